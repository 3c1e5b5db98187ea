//! A Podman of a test's own: its storage, its network and its socket go with it.

use std::fs;
use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock};

use serde_json::Value;

use super::support::until;

/// The image that its containers are of.
pub const IMAGE: &str = "localhost/small:latest";
/// What is to be there, besides what a Debian has.
const PACKAGES: &[&str] = &["podman", "runc", "netavark", "iptables", "busybox-static"];

/// Whether this host has what it takes, installing it where that can be; says why not.
fn is_there() -> bool {
    static WHY_NOT: OnceLock<Option<&str>> = OnceLock::new();
    let why_not = *WHY_NOT.get_or_init(|| {
        if !rustix::process::geteuid().is_root() {
            return Some("needs root");
        }
        let programs = ["/usr/bin/podman", "/usr/sbin/runc", "/usr/lib/podman/netavark", "/bin/busybox"];
        let missing = || programs.iter().any(|program| !Path::new(program).exists());
        if missing() {
            let mut apt = Command::new("apt-get");
            apt.args(["install", "-y", "--no-install-recommends"]).args(PACKAGES);
            let _ = apt.env("DEBIAN_FRONTEND", "noninteractive").output();
        }
        missing().then_some("needs podman, runc, netavark, iptables and busybox-static")
    });
    if let Some(why) = why_not {
        println!("skipped: {why}");
    }
    why_not.is_none()
}

pub struct Podman {
    dir: tempfile::TempDir,
    service: Option<Child>,
}

impl Podman {
    /// A service that answers and has the [`IMAGE`]; `None`, and says why, where this host can't have one.
    pub fn start() -> Option<Self> {
        if !is_there() {
            return None;
        }
        let dir = tempfile::tempdir().unwrap();
        // What of it waits before it cleans up would outlive the test.
        fs::write(dir.path().join("containers.conf"), "[engine]\nexit_command_delay = 0\n").unwrap();
        let mut podman = Self { dir, service: None };
        podman.serve();
        let image = image(&podman.dir.path().join("image"));
        let (status, said) = call(&podman.socket(), "POST", "/images/create?fromSrc=-&repo=localhost/small", &image);
        assert_eq!(status, 200, "{said}");
        if let Some(why) = podman.refuses() {
            println!("skipped: podman can't run a container here: {why}");
            return None;
        }
        Some(podman)
    }

    pub fn socket(&self) -> PathBuf {
        self.dir.path().join("podman.sock")
    }

    fn command(&self, rest: &[&str]) -> Command {
        let mut podman = Command::new("unshare");
        podman.args(["--net", "--", "podman", "--storage-driver", "vfs", "--cgroup-manager", "cgroupfs"]);
        podman.args(["--runtime", "runc", "--events-backend", "file"]);
        for (option, below) in [("--root", "root"), ("--runroot", "run"), ("--tmpdir", "tmp")] {
            podman.arg(option).arg(self.dir.path().join(below));
        }
        podman.args(rest).env("CONTAINERS_CONF", self.dir.path().join("containers.conf"));
        podman
    }

    /// Starts the service, in a network of its own.
    pub fn serve(&mut self) {
        let socket = self.socket();
        let mut command = self.command(&["system", "service", "--time", "0"]);
        command.arg(format!("unix://{}", socket.display()));
        let service = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        self.service = Some(service);
        until("podman answers", || UnixStream::connect(&socket).is_ok());
    }

    /// Ends the service; what it runs goes on.
    pub fn end(&mut self) {
        if let Some(mut service) = self.service.take() {
            let _ = service.kill();
            let _ = service.wait();
        }
        let _ = fs::remove_file(self.socket());
    }

    /// Why it runs no containers, if so.
    fn refuses(&self) -> Option<String> {
        let body = format!(
            "{{\"Image\":\"{IMAGE}\",\"Cmd\":[\"/bin/true\"],\"HostConfig\":{{\"Ulimits\":[\
            {{\"Name\":\"nofile\",\"Soft\":256,\"Hard\":256}},{{\"Name\":\"nproc\",\"Soft\":256,\"Hard\":256}}]}}}}"
        );
        let (_, made) = self.call("POST", "/containers/create?name=probe", &body);
        let (status, started) = self.call("POST", "/containers/probe/start", "");
        self.call("DELETE", "/containers/probe?force=true", "");
        (status != 204).then(|| format!("{made} {started}"))
    }

    /// A call of its API: status and answer.
    pub fn call(&self, method: &str, path: &str, body: &str) -> (u16, Value) {
        call(&self.socket(), method, path, body.as_bytes())
    }

    /// The ids of all containers of that name, running or not; of all where the name is empty.
    pub fn containers(&self, name: &str) -> Vec<String> {
        let (_, said) = self.call("GET", "/containers/json?all=true", "");
        let all = said.as_array().unwrap().iter();
        let named = all.filter(|one| name.is_empty() || one["Names"][0] == format!("/{name}"));
        named.map(|one| one["Id"].as_str().unwrap().to_owned()).collect()
    }

    /// A socket that passes calls on to it, and ends `victim` at that one of the calls that change something which has this
    /// number: before it is made, or when its answer comes.
    pub fn deadly(&self, number: usize, before: bool, victim: Arc<Mutex<Option<Child>>>) -> PathBuf {
        let socket = self.dir.path().join(format!("deadly-{number}-{before}.sock"));
        let (listener, engine) = (UnixListener::bind(&socket).unwrap(), self.socket());
        let calls = Arc::new(AtomicUsize::new(0));
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (calls, victim, engine) = (Arc::clone(&calls), Arc::clone(&victim), engine.clone());
                std::thread::spawn(move || {
                    let _ = pass_on(stream, &engine, number, before, &calls, &victim);
                });
            }
        });
        socket
    }
}

impl Drop for Podman {
    fn drop(&mut self) {
        if self.service.is_some() {
            for id in self.containers("") {
                self.call("DELETE", &format!("/containers/{id}?force=true"), "");
            }
        }
        self.end();
        // Those that watch over commands may not have noticed yet.
        let own = self.dir.path().display().to_string();
        until("what podman started ends", || {
            let entries = fs::read_dir("/proc").unwrap().flatten();
            let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
            let left = pids.filter(|pid| {
                let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
                let line = String::from_utf8_lossy(&line);
                line.contains(&own) && ["podman", "conmon"].iter().any(|program| line.contains(program))
            });
            let killed = left.filter_map(rustix::process::Pid::from_raw);
            killed.map(|pid| rustix::process::kill_process(pid, rustix::process::Signal::KILL)).count() == 0
        });
        let mounts = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
        let below = mounts.lines().filter_map(|line| line.split(' ').nth(1)).filter(|point| point.starts_with(&own));
        for point in below.collect::<Vec<_>>().into_iter().rev() {
            let _ = rustix::mount::unmount(point, rustix::mount::UnmountFlags::DETACH);
        }
    }
}

/// A root of busybox and bash, as a tar.
fn image(dir: &Path) -> Vec<u8> {
    for below in ["bin", "etc", "root", "tmp", "proc", "sys", "dev"] {
        fs::create_dir_all(dir.join(below)).unwrap();
    }
    fs::copy("/bin/busybox", dir.join("bin/busybox")).unwrap();
    fs::write(dir.join("etc/passwd"), "root:x:0:0:root:/root:/bin/sh\nwww:x:33:33::/tmp:/bin/sh\n").unwrap();
    let listed = Command::new("/bin/busybox").arg("--list").output().unwrap().stdout;
    for applet in String::from_utf8(listed).unwrap().lines().filter(|applet| !["bash", "busybox"].contains(applet)) {
        std::os::unix::fs::symlink("busybox", dir.join("bin").join(applet)).unwrap();
    }
    copy_with_libraries("/bin/bash", dir);
    Command::new("tar").arg("-C").arg(dir).args(["-cf", "-", "."]).output().unwrap().stdout
}

fn copy_with_libraries(program: &str, root: &Path) {
    let libraries = Command::new("ldd").arg(program).output().unwrap().stdout;
    let libraries = String::from_utf8(libraries).unwrap();
    for path in libraries.split_whitespace().chain([program]).filter(|word| word.starts_with('/')) {
        let copy = root.join(path.trim_start_matches('/'));
        fs::create_dir_all(copy.parent().unwrap()).unwrap();
        fs::copy(path, copy).unwrap();
    }
}

fn call(socket: &Path, method: &str, path: &str, body: &[u8]) -> (u16, Value) {
    let mut stream = UnixStream::connect(socket).unwrap();
    let kind = if path.starts_with("/images") { "application/x-tar" } else { "application/json" };
    let length = body.len();
    let head = format!("{method} /v1.41{path} HTTP/1.0\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\n\r\n");
    stream.write_all(head.as_bytes()).unwrap();
    stream.write_all(body).unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    let answer = String::from_utf8_lossy(&answer);
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    (status, serde_json::from_str(body).unwrap_or_else(|_| Value::String(body.to_owned())))
}

/// Passes one connection on to `engine`, and ends `victim` where the call that it has the turn of comes.
fn pass_on(
    mut client: UnixStream,
    engine: &Path,
    number: usize,
    before: bool,
    calls: &AtomicUsize,
    victim: &Mutex<Option<Child>>,
) -> io::Result<()> {
    let kill = || {
        let mut victim = victim.lock().unwrap();
        let _ = victim.as_mut().map(Child::kill);
    };
    let mut engine = UnixStream::connect(engine)?;
    let (mut answers, mut to_client) = (engine.try_clone()?, client.try_clone()?);
    let is_last = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut chunk = vec![0; 65_536];
            while let Ok(count @ 1..) = answers.read(&mut chunk) {
                if is_last.load(Ordering::SeqCst) {
                    kill();
                }
                if to_client.write_all(&chunk[..count]).is_err() {
                    break;
                }
            }
            let _ = to_client.shutdown(Shutdown::Both);
        });
        let mut chunk = vec![0; 65_536];
        while let Ok(count @ 1..) = client.read(&mut chunk) {
            let changes = chunk.starts_with(b"POST ");
            if changes && calls.fetch_add(1, Ordering::SeqCst) + 1 == number {
                if before {
                    kill();
                    break;
                }
                is_last.store(true, Ordering::SeqCst);
            }
            if engine.write_all(&chunk[..count]).is_err() {
                break;
            }
        }
        let _ = engine.shutdown(if is_last.load(Ordering::SeqCst) { Shutdown::Write } else { Shutdown::Both });
    });
    Ok(())
}
