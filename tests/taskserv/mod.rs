//! `prov taskserv` as people and the daemon run it, inside local servers.

mod artifacts;
mod bundles;
mod clusters;
mod downloads;
mod drift;
mod mirror;
mod mirrors;
mod packages;
mod scripts;
mod tiny;

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use prov::model::name::Name;
use prov::provision::provider::Provider;
use prov::provision::provider::local::LocalProvider;
use prov::provision::transport::Exec;
use serde_json::{Value, json};

/// A workspace with running servers in its infra `demo`, all of which go with it.
struct Sample {
    dir: tempfile::TempDir,
}

/// What a command said.
#[derive(Debug)]
struct Ran {
    code: i32,
    stdout: String,
    stderr: String,
}

impl Sample {
    /// `None` where this account can't have servers as the tests want them; says why.
    fn new(servers: &[&str]) -> Option<Self> {
        if !rustix::process::geteuid().is_root() {
            println!("skipped: local servers need root here");
            return None;
        }
        let sample = Self { dir: tempfile::tempdir().unwrap() };
        if servers.is_empty() {
            return Some(sample);
        }
        let configs: Vec<Value> =
            servers.iter().map(|name| json!({"name": name, "plan": "1xCPU-1 GB", "zone": "local"})).collect();
        let operation = json!({"batch_id": "b", "id": "servers", "type": "server_batch", "server_configs": configs,
            "dependencies": []});
        let made = sample.prov_with("servers create --infra demo --operation - --wait", &operation.to_string());
        assert_eq!(made.code, 0, "{made:?}");
        Some(sample)
    }

    fn path(&self) -> &Path {
        self.dir.path()
    }

    /// Runs prov in the workspace with the words of `line`.
    fn prov(&self, line: &str) -> Ran {
        self.prov_with(line, "")
    }

    fn prov_with(&self, line: &str, stdin: &str) -> Ran {
        self.prov_in("/usr/sbin:/usr/bin:/sbin:/bin", line, stdin)
    }

    /// The same with the programs of `path`.
    fn prov_in(&self, path: &str, line: &str, stdin: &str) -> Ran {
        let mut command = Command::new(env!("CARGO_BIN_EXE_prov"));
        command.args(line.split_whitespace()).current_dir(self.path()).env_clear();
        command.env("PATH", path);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(stdin.as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        Ran {
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// Carries out (`create`) or undoes (`delete`) an operation of the batch `b` that installs `taskservs`.
    fn operation(&self, verb: &str, id: &str, taskservs: &Value) -> Ran {
        let operation = json!({"batch_id": "b", "id": id, "type": "taskserv_batch", "taskservs": taskservs,
            "dependencies": []});
        let last = if verb == "create" { "--wait" } else { "--yes" };
        self.prov_with(&format!("taskserv {verb} --infra demo --operation - {last}"), &operation.to_string())
    }

    /// Defines a task service of the workspace's own; `metadata` is added to what each must have.
    fn define(&self, name: &str, metadata: &str, defs: &str, [install, check, uninstall]: [&str; 3]) {
        let own = self.path().join("extensions/taskservs/test").join(name);
        fs::create_dir_all(own.join("default")).unwrap();
        let metadata = format!("name = {name:?}\nversion = \"1\"\ndescription = \"For a test.\"\n{metadata}");
        fs::write(own.join("metadata.toml"), metadata).unwrap();
        fs::write(own.join("default/defs.toml"), defs).unwrap();
        for (kind, text) in [("install", install), ("check", check), ("uninstall", uninstall)] {
            fs::write(own.join(format!("{kind}-{name}.sh")), text).unwrap();
        }
    }

    /// `SERVER TASKSERV STATE` of everything installed.
    fn installed(&self) -> Vec<String> {
        let listed = self.prov("taskserv list --infra demo");
        assert_eq!(listed.code, 0, "{listed:?}");
        let row = |line: &str| {
            let words: Vec<&str> = line.split_whitespace().collect();
            format!("{} {} {}", words[0], words[1], words[3..].join(" "))
        };
        listed.stdout.lines().skip(1).map(row).collect()
    }

    /// Ends a server from outside, as a crash would.
    fn stop(&self, server: &str) {
        let init = fs::read(self.path().join(format!(".prov/local/demo/{server}/init.json"))).unwrap();
        let init: Value = serde_json::from_slice(&init).unwrap();
        let pid = rustix::process::Pid::from_raw(i32::try_from(init["pid"].as_i64().unwrap()).unwrap()).unwrap();
        rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
        let is_stopped = |listed: &str| listed.lines().any(|line| line.contains(server) && line.contains("stopped"));
        while !is_stopped(&self.prov("servers list --infra demo").stdout) {}
    }

    /// What a script prints inside a server.
    fn inside(&self, server: &str, script: &str) -> String {
        let provider = LocalProvider::new(self.path()).unwrap().with_program(env!("CARGO_BIN_EXE_prov").into());
        let argv = ["sh", "-c", script].map(str::to_owned).to_vec();
        let (infra, server) = (Name::new("demo").unwrap(), Name::new(server).unwrap());
        let result = provider.transport(&infra, &server).unwrap().exec(&Exec { argv, ..Exec::default() }).unwrap();
        String::from_utf8(result.stdout).unwrap()
    }

    /// What a server's service answers to the host: sends `request`, ends sending, reads to the end.
    fn ask(&self, server: &str, port: u16, request: &str) -> String {
        let provider = LocalProvider::new(self.path()).unwrap();
        let servers = provider.list(&Name::new("demo").unwrap()).unwrap();
        let found = servers.iter().find(|found| found.spec.name.as_str() == server).unwrap();
        let address = found.address.as_deref().expect("a server of root's has an address");
        let mut stream = TcpStream::connect((address, port)).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        // Who refuses a client at once may have closed already.
        let _ = stream.shutdown(std::net::Shutdown::Write);
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }
}

impl Drop for Sample {
    fn drop(&mut self) {
        let names = self.prov("servers list --infra demo -o name").stdout.replace('\n', " ");
        if !names.trim().is_empty() {
            self.prov(&format!("servers delete --infra demo --yes {names}"));
        }
    }
}
