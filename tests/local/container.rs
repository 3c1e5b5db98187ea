//! Servers that are containers, with a real engine.

use std::fs;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use prov::model::name::Name;
use prov::provision::provider::local::LocalProvider;
use prov::provision::provider::{Provider, ProviderError, Server, ServerSpec, ServerState};
use prov::provision::transport::{Exec, ExecResult, Mirrors};
use serde_json::json;

use super::podman::{IMAGE, Podman};
use super::support::{infra, name, processes, spec, until};

/// A workspace whose containers a Podman of its own makes.
pub struct Bench {
    pub dir: tempfile::TempDir,
    pub podman: Podman,
    pub provider: LocalProvider,
}

impl Bench {
    pub fn new() -> Option<Self> {
        let (podman, dir) = (Podman::start()?, tempfile::tempdir().unwrap());
        let provider = LocalProvider::new(dir.path()).unwrap().with_program(env!("CARGO_BIN_EXE_prov").into());
        let provider = provider.with_engine(podman.socket());
        Some(Self { dir, podman, provider })
    }

    pub fn state_of(&self, server: &str) -> std::path::PathBuf {
        self.dir.path().join(".prov/local/production").join(server)
    }

    fn exec(&self, server: &str, exec: &Exec<'_>) -> ExecResult {
        self.provider.transport(&infra(), &name(server)).unwrap().exec(exec).unwrap()
    }

    fn out(&self, server: &str, script: &str) -> String {
        let result = self.exec(server, &sh(script));
        assert_eq!(result.status, 0, "{script}: {result:?}");
        String::from_utf8(result.stdout).unwrap().trim_end().to_owned()
    }

    pub fn only(&self) -> Server {
        let mut servers = self.provider.list(&infra()).unwrap();
        assert_eq!(servers.len(), 1, "{servers:?}");
        servers.remove(0)
    }

    /// Defines a task service of the workspace's own by its scripts.
    fn define(&self, name: &str, [install, check, uninstall]: [&str; 3]) {
        let own = self.dir.path().join("extensions/taskservs/test").join(name);
        fs::create_dir_all(own.join("default")).unwrap();
        let metadata = format!("name = {name:?}\nversion = \"1\"\ndescription = \"For a test.\"\n");
        fs::write(own.join("metadata.toml"), metadata).unwrap();
        fs::write(own.join("default/defs.toml"), "").unwrap();
        for (kind, script) in [("install", install), ("check", check), ("uninstall", uninstall)] {
            fs::write(own.join(format!("{kind}-{name}.sh")), script).unwrap();
        }
    }

    fn only_address(&self, server: &str) -> String {
        let servers = self.provider.list(&infra()).unwrap();
        servers.into_iter().find(|one| one.spec.name.as_str() == server).and_then(|one| one.address).unwrap()
    }

    /// `prov` in the workspace, with the engine behind `socket`.
    fn prov(&self, socket: &std::path::Path, line: &str) -> Command {
        let mut prov = Command::new(env!("CARGO_BIN_EXE_prov"));
        prov.args(line.split_whitespace()).current_dir(self.dir.path()).env_clear().env("PATH", "/usr/bin:/bin");
        prov.env("DOCKER_HOST", format!("unix://{}", socket.display()));
        prov
    }

    /// What it says: its status, its output, its errors.
    fn said(&self, line: &str) -> (i32, String, String) {
        let output = self.prov(&self.podman.socket(), line).output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        (output.status.code().unwrap_or(-1), text(output.stdout), text(output.stderr))
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        for server in self.provider.list(&infra()).unwrap_or_default() {
            let _ = self.provider.delete(&infra(), &server.spec.name);
        }
    }
}

pub fn container(server: &str) -> ServerSpec {
    let extra = json!({"driver": "container", "image": IMAGE});
    ServerSpec { extra: extra.as_object().unwrap().clone(), operation: "b/o".to_owned(), ..spec(server) }
}

fn sh(script: &str) -> Exec<'static> {
    Exec { argv: ["sh", "-c", script].map(str::to_owned).to_vec(), ..Exec::default() }
}

pub fn web() -> Name {
    name("web")
}

#[test]
fn from_create_to_delete_nothing_is_left() {
    let Some(bench) = Bench::new() else { return };
    let made = bench.provider.create(&container("web")).unwrap();
    assert_eq!((made.state, made.spec.name.as_str()), (ServerState::Running, "web"), "{made:?}");
    assert!(made.limits.starts_with("enforced (container engine)"), "{made:?}");
    assert!(made.address.as_deref().is_some_and(|address| address.starts_with("10.")), "{made:?}");
    assert_eq!(bench.out("web", "hostname; id -u; echo $HOME; pwd"), "web\n0\n/root\n/root");
    assert_eq!(bench.provider.create(&container("web")).unwrap(), made);
    assert_eq!(bench.podman.containers("").len(), 1);
    let bigger = ServerSpec { plan: "2xCPU-2 GB".parse().unwrap(), ..container("web") };
    let error = bench.provider.create(&bigger).unwrap_err();
    assert!(matches!(error, ProviderError::Conflict { field: "plan", .. }), "{error}");
    let error = bench.provider.create(&ServerSpec { extra: spec("web").extra, ..container("web") }).unwrap_err();
    assert!(matches!(error, ProviderError::Conflict { field: "extra", .. }), "{error}");

    let labels = [("team".to_owned(), "shop".to_owned())].into();
    assert_eq!(bench.provider.relabel(&infra(), &web(), &labels).unwrap().spec.labels, labels);
    assert_eq!(bench.only().spec.labels, labels);

    bench.out("web", "echo kept >/etc/mark");
    assert_eq!(bench.podman.call("POST", &format!("/containers/{}/stop", made.id), "").0, 204);
    assert_eq!(bench.only().state, ServerState::Stopped);
    let error = bench.provider.wait_ready(&infra(), &web(), Duration::from_secs(1)).unwrap_err();
    assert!(error.to_string().contains("does not run"), "{error}");
    assert!(bench.provider.transport(&infra(), &web()).is_err());
    assert_eq!(bench.provider.create(&container("web")).unwrap().state, ServerState::Running);
    assert_eq!(bench.out("web", "cat /etc/mark"), "kept");

    bench.podman.call("DELETE", &format!("/containers/{}?force=true", made.id), "");
    assert!(bench.provider.list(&infra()).unwrap().is_empty());
    assert_eq!(
        bench.provider.gone(&infra()).unwrap().iter().map(|spec| spec.name.clone()).collect::<Vec<_>>(),
        [web()]
    );
    assert_eq!(bench.provider.create(&container("web")).unwrap().state, ServerState::Running);
    assert_ne!(bench.exec("web", &sh("test -e /etc/mark")).status, 0);

    bench.provider.delete(&infra(), &web()).unwrap();
    assert!(bench.podman.containers("").is_empty() && !bench.state_of("web").exists());
    bench.provider.delete(&infra(), &web()).unwrap();
    assert!(bench.provider.list(&infra()).unwrap().is_empty() && bench.provider.gone(&infra()).unwrap().is_empty());
}

#[test]
fn commands_and_files_go_there_unseen_and_come_back_whole() {
    let Some(bench) = Bench::new() else { return };
    bench.provider.create(&container("web")).unwrap();
    let argv =
        ["sh", "-c", "cat; echo \"$0|$1|$WORD\" >&2; sleep 0.2; exit 7", "a b", "'\"$x"].map(str::to_owned).to_vec();
    let env = vec![("WORD".to_owned(), "se'cret\nline".to_owned())];
    let stdin: Vec<u8> = (0..300_000_u32).map(|number| (number % 251) as u8).collect();
    let result = bench.exec("web", &Exec { argv, env, stdin: &stdin, deadline: None });
    assert_eq!((result.status, result.timed_out), (7, false));
    assert!(result.stdout == stdin && result.stderr == b"a b|'\"$x|se'cret\nline\n", "{:?}", result.stderr);
    let many = bench.exec("web", &sh("head -c 3000000 /dev/zero | tr '\\0' a; echo end"));
    assert!(many.stdout.len() == 1 << 20 && many.stdout.ends_with(b"aend\n"));
    assert_eq!(bench.exec("web", &sh("kill -9 $$")).status, 128 + 9);
    let missing = bench.provider.transport(&infra(), &web()).unwrap();
    let error = missing.exec(&Exec { argv: vec!["no-such".to_owned()], ..Exec::default() }).unwrap_err();
    assert!(format!("{error:?}").contains("no such program"), "{error:?}");

    std::thread::scope(|scope| {
        let seen = scope.spawn(|| {
            bench.exec(
                "web",
                &Exec {
                    env: vec![("TOKEN".to_owned(), "canary-7".to_owned())],
                    ..sh("echo in >/tmp/in; read line </tmp/go || sleep 0.5")
                },
            )
        });
        until("the command runs", || bench.exec("web", &sh("test -e /tmp/in")).status == 0);
        assert_eq!(processes("canary-7"), [""; 0]);
        assert_eq!(seen.join().unwrap().status, 0);
    });

    let way = bench.provider.transport(&infra(), &web()).unwrap();
    assert_eq!(way.mirrors(), Mirrors::Reached);
    way.write("/srv/a/b", &stdin).unwrap();
    assert_eq!(way.read("/srv/a/b").unwrap().as_deref(), Some(stdin.as_slice()));
    assert_eq!(bench.out("web", "stat -c %a /srv/a/b"), "600");
    way.remove(&["/srv/a/b".to_owned(), "/srv/absent".to_owned()]).unwrap();
    assert_eq!(way.read("/srv/a/b").unwrap(), None);
    // What it leaves running doesn't keep it from ending, and goes on.
    assert_eq!(bench.exec("web", &sh("sleep 600 & echo $! >/tmp/left")).status, 0);
    assert_eq!(bench.out("web", "kill -0 $(cat /tmp/left) && echo on"), "on");
}

#[test]
fn a_deadline_ends_what_was_started_and_says_where_that_is_not_certain() {
    let Some(bench) = Bench::new() else { return };
    bench.provider.create(&container("web")).unwrap();
    let within = |script: &str| {
        let deadline = Instant::now().checked_add(Duration::from_secs(2));
        let result = bench.exec("web", &Exec { deadline, ..sh(script) });
        assert!(result.timed_out, "{result:?}");
        result
    };
    let script = "trap '' TERM; setsid sleep 901 & (sleep 902 & sleep 903) & echo out; sleep 904";
    let ended = within(script);
    assert!(ended.is_whole && ended.stdout == b"out\n", "{ended:?}");
    assert_eq!(bench.out("web", "ps | grep 'sleep 90[1-4]' || echo none"), "none");
    let other = within("su www -c 'sleep 905' & sleep 906");
    assert!(other.is_whole, "{other:?}");
    assert_eq!(bench.out("web", "ps | grep 'sleep 90[56]' || echo none"), "none");
    let shed = within("env -i setsid sleep 907 & sleep 908");
    assert!(!shed.is_whole, "{shed:?}");
    assert_eq!(bench.out("web", "ps | grep -c 'sleep 90[78]'"), "1");
}

#[test]
fn killed_at_any_call_a_creation_is_completed_and_nothing_is_left_over() {
    let Some(bench) = Bench::new() else { return };
    let operation = bench.dir.path().join("operation.json");
    let config = json!({"name": "web", "plan": "1xCPU-1 GB", "zone": "here", "driver": "container", "image": IMAGE});
    let text =
        json!({"batch_id": "b", "id": "o", "type": "server_batch", "server_configs": [config], "dependencies": []});
    fs::write(&operation, text.to_string()).unwrap();
    let wanted = container("web");
    let mut kills = 0;
    for (number, before) in [(1, true)].into_iter().chain((1..).map(|number| (number, false))) {
        let victim = Arc::new(Mutex::new(None));
        let socket = bench.podman.deadly(number, before, Arc::clone(&victim));
        let mut prov = bench.prov(&socket, "servers create --infra production --operation operation.json --yes");
        let child = prov.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        *victim.lock().unwrap() = Some(child);
        let status = loop {
            let ended = victim.lock().unwrap().as_mut().map(Child::try_wait).unwrap().unwrap();
            match ended {
                Some(status) => break status,
                None => std::thread::yield_now(),
            }
        };
        let was_killed = status.code().is_none();
        kills += usize::from(was_killed);
        assert!(bench.podman.containers("").len() <= 1);
        // The socket in between is gone by now; only the engine itself counts from here on.
        let recorded = bench.state_of("web").join("engine.json");
        if recorded.exists() {
            fs::write(&recorded, json!(bench.podman.socket()).to_string()).unwrap();
        }
        assert!(bench.podman.containers("").is_empty() || recorded.exists(), "{number} {before}: nobody knows it");
        let seen = bench.provider.list(&infra()).unwrap();
        let made = bench.provider.create(&wanted).unwrap_or_else(|error| panic!("{number} {before}: {error} {seen:?}"));
        assert_eq!((made.state, bench.podman.containers("").len()), (ServerState::Running, 1), "{number} {before}");
        bench.provider.delete(&infra(), &web()).unwrap();
        assert!(bench.podman.containers("").is_empty() && !bench.state_of("web").exists());
        if !was_killed {
            break;
        }
    }
    assert!(kills > 4, "{kills}");
}

#[test]
fn without_its_engine_a_container_hides_no_other_server() {
    let Some(mut bench) = Bench::new() else { return };
    bench.provider.create(&container("web")).unwrap();
    bench.provider.create(&container("mail")).unwrap();
    let address = bench.only_address("mail");
    assert!(bench.out("web", "cat /etc/hosts").contains(&format!("{address} mail")));
    bench.provider.create(&spec("plain")).unwrap();
    assert!(!bench.out("web", "cat /etc/hosts").contains("plain"));
    bench.podman.end();
    let servers = bench.provider.list(&infra()).unwrap();
    let states: Vec<_> = servers.iter().map(|server| (server.spec.name.as_str(), server.state)).collect();
    let expected = [("mail", ServerState::Stopped), ("plain", ServerState::Running), ("web", ServerState::Stopped)];
    assert_eq!(states, expected);
    let why = servers[2].silent.as_deref().unwrap();
    assert!(why.contains("can't reach the container engine") && servers[2].notes.iter().any(|note| note == why));
    let mut errors = vec![bench.provider.delete(&infra(), &web()).unwrap_err()];
    errors.extend(bench.provider.transport(&infra(), &web()).err());
    errors.extend(bench.provider.create(&container("web")).err());
    errors.extend(bench.provider.create(&container("new")).err());
    assert_eq!(errors.len(), 4);
    for error in errors {
        let ProviderError::Unavailable { what, hint: Some(_) } = error else { panic!("{error:?}") };
        assert!(what.contains("can't reach the container engine"), "{what}");
    }
    assert!(!bench.state_of("new").exists(), "it was never begun");
    bench.provider.delete(&infra(), &name("plain")).unwrap();
    bench.podman.serve();
    assert_eq!(bench.provider.list(&infra()).unwrap().len(), 2);
    bench.provider.delete(&infra(), &name("mail")).unwrap();
    assert!(!bench.out("web", "cat /etc/hosts").contains("mail"), "who is gone is forgotten");
}

#[test]
fn what_is_no_engine_is_said_to_be_none() {
    let dir = tempfile::tempdir().unwrap();
    let (socket, provider) = (dir.path().join("s"), LocalProvider::new(dir.path()).unwrap());
    let provider = provider.with_engine(socket.clone());
    let listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let _ = std::io::Read::read(&mut stream, &mut [0; 4096]);
            let _ = std::io::Write::write_all(&mut stream, b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi");
        }
    });
    let error = provider.create(&container("web")).unwrap_err();
    assert!(error.to_string().ends_with("is neither Docker nor Podman"), "{error}");
    let warned = provider.warnings(&container("web"));
    assert!(warned.len() == 1 && warned[0].contains("can't be made: what answers"), "{warned:?}");
}

#[test]
fn an_engine_that_hangs_is_waited_for_once() {
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("s");
    let listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
    let looks = Arc::new(Mutex::new(Vec::new()));
    let held = Arc::clone(&looks);
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut chunk = [0; 4096];
            let count = std::io::Read::read(&mut stream, &mut chunk).unwrap();
            if chunk[..count].starts_with(b"GET /version ") {
                let said = json!({"ApiVersion": "1.44"}).to_string();
                let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", said.len());
                let _ = std::io::Write::write_all(&mut stream, (answer + &said).as_bytes());
            } else {
                held.lock().unwrap().push(stream);
            }
        }
    });
    for server in ["a", "b", "c"] {
        let state = dir.path().join(".prov/local/production").join(server);
        fs::create_dir_all(&state).unwrap();
        let record = json!({
            "spec": container(server), "id": format!("0:production:{server}"), "address": null, "cgroups": [],
            "limits": "", "notes": [],
        });
        fs::write(state.join("spec.json"), record.to_string()).unwrap();
        fs::write(state.join("engine.json"), json!(socket).to_string()).unwrap();
        fs::write(state.join("made"), "").unwrap();
    }
    let servers = LocalProvider::new(dir.path()).unwrap().list(&infra()).unwrap();
    let silent = |server: &Server| server.silent.as_ref().is_some_and(|why| why.contains("took too long"));
    assert!(servers.len() == 3 && servers.iter().all(silent), "{servers:?}");
    assert_eq!(looks.lock().unwrap().len(), 1);
}

#[test]
fn a_batch_has_its_containers_and_what_is_installed_in_them() {
    let Some(bench) = Bench::new() else { return };
    let config = |image: &str| json!({"name": "web", "plan": "1xCPU-512 MB", "zone": "here", "driver": "container", "image": image});
    let operation = |image: &str| {
        let operation = json!({"batch_id": "b", "id": "o", "type": "server_batch", "server_configs": [config(image)], "dependencies": []});
        fs::write(bench.dir.path().join("operation.json"), operation.to_string()).unwrap();
    };
    operation("localhost/absent:1");
    let create = "servers create --infra production --operation operation.json";
    let check = bench.said(&format!("{create} --check"));
    assert!(check.0 == 0 && check.1.contains("the image localhost/absent:1 is not here"), "{check:?}");
    let failed = bench.said(create);
    assert!(failed.0 == 1 && failed.2.contains("the image localhost/absent:1 can't be had: "), "{failed:?}");
    assert!(bench.podman.containers("").is_empty());
    assert!(bench.provider.list(&infra()).unwrap().is_empty());
    assert!(bench.said("doctor").1.contains("Podman at"));
    operation(IMAGE);
    assert!(!bench.said(&format!("{create} --check")).1.contains("image"), "it is here");
    let made = bench.said(&format!("{create} --wait"));
    assert_eq!((made.0, made.1.as_str()), (0, "Successfully created 1 server\n"), "{made:?}");

    bench.define("note", ["mkdir -p /srv && echo hi >/srv/note", "test -e /srv/note", "rm -f /srv/note"]);
    let installed = bench.said("taskserv create note --infra production");
    assert_eq!((installed.0, installed.1.as_str()), (0, "Successfully installed 1 task service\n"), "{installed:?}");
    assert_eq!(bench.out("web", "cat /srv/note"), "hi");
    bench.define("slow", ["sleep 909", "true", "true"]);
    let mut prov = bench.prov(&bench.podman.socket(), "taskserv create slow --infra production");
    let mut prov = prov.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let sleeps = || bench.exec("web", &sh("ps | grep 'sleep 90[9]'")).status == 0;
    until("its script runs", sleeps);
    prov.kill().unwrap();
    prov.wait().unwrap();
    until("it ends with who started it", || !sleeps());
    let listed = bench.said("servers list --infra production");
    assert!(listed.0 == 0 && listed.1.contains("running"), "{listed:?}");
    let deleted = bench.said("servers delete --infra production --yes");
    assert_eq!((deleted.0, deleted.1.as_str()), (0, "Successfully deleted 1 server\n"), "{deleted:?}");
    assert!(bench.podman.containers("").is_empty());
}
