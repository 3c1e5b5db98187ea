//! An sshd of a test's own: a listener that starts one `sshd -i` for each connection.

use std::fmt::Write as _;
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant};

use prov::provision::transport::Exec;
use prov::provision::transport::ssh::{Destination, HostKeys, Way};

const SSHD: &str = "/usr/sbin/sshd";

/// Whether this host has one, installing it where that can be; says why not.
fn is_there() -> bool {
    static THERE: OnceLock<bool> = OnceLock::new();
    let there = *THERE.get_or_init(|| {
        if rustix::process::geteuid().is_root() && !Path::new(SSHD).exists() {
            let arguments = ["install", "-y", "--no-install-recommends", "openssh-server"];
            let mut apt = Command::new("apt-get");
            let _ = apt.args(arguments).env("DEBIAN_FRONTEND", "noninteractive").output();
        }
        // Where it gives up its rights.
        let _ = std::fs::create_dir_all("/run/sshd");
        Path::new(SSHD).exists() && rustix::process::geteuid().is_root()
    });
    if !there {
        println!("skipped: needs root and {SSHD} (Debian: openssh-server)");
    }
    there
}

pub struct Sshd {
    dir: tempfile::TempDir,
    pub port: u16,
    connections: Arc<Mutex<Vec<TcpStream>>>,
}

impl Sshd {
    /// One that lets root in by the key [`Sshd::key`]; `extra` are lines of its configuration.
    pub fn start(extra: &str) -> Option<Self> {
        if !is_there() {
            return None;
        }
        let dir = tempfile::tempdir().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let sshd = Self { dir, port, connections: Arc::default() };
        sshd.new_host_key();
        keygen(&sshd.key());
        std::fs::copy(sshd.path("key.pub"), sshd.path("authorized_keys")).unwrap();
        let mut config = String::new();
        for (name, value) in [
            ("HostKey", sshd.path("host").display().to_string()),
            ("AuthorizedKeysFile", sshd.path("authorized_keys").display().to_string()),
            ("PidFile", "none".to_owned()),
            ("UsePAM", "no".to_owned()),
            ("PasswordAuthentication", "no".to_owned()),
            ("StrictModes", "no".to_owned()),
            ("PrintMotd", "no".to_owned()),
        ] {
            writeln!(config, "{name} {value}").unwrap();
        }
        std::fs::write(sshd.path("config"), config + extra).unwrap();
        let (config, connections) = (sshd.path("config"), Arc::clone(&sshd.connections));
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let stream = stream.unwrap();
                if !config.exists() {
                    return;
                }
                connections.lock().unwrap().push(stream.try_clone().unwrap());
                let mut sshd = Command::new(SSHD);
                sshd.arg("-i").arg("-f").arg(&config).stderr(Stdio::null());
                let output = OwnedFd::from(stream.try_clone().unwrap());
                let mut child = sshd.stdin(OwnedFd::from(stream)).stdout(output).spawn().unwrap();
                std::thread::spawn(move || child.wait());
            }
        });
        Some(sshd)
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// The private key that it lets in.
    pub fn key(&self) -> PathBuf {
        self.path("key")
    }

    /// Its public host key.
    pub fn host_key(&self) -> String {
        std::fs::read_to_string(self.path("host.pub")).unwrap()
    }

    /// Gives it another host key.
    pub fn new_host_key(&self) {
        let _ = std::fs::remove_file(self.path("host"));
        keygen(&self.path("host"));
    }

    /// The way to it that trusts the first key it shows.
    pub fn way(&self) -> Way {
        let host_keys = HostKeys::FirstSeen { file: self.path("known"), alias: "test:1".to_owned() };
        Way { to: self.to("root"), identity: Some(self.key()), jump: None, host_keys, sudo: true }
    }

    pub fn to(&self, user: &str) -> Destination {
        Destination::new("127.0.0.1", user, self.port).unwrap()
    }

    /// How many connections there were.
    pub fn connections(&self) -> usize {
        self.connections.lock().unwrap().len()
    }

    /// Cuts every connection.
    pub fn cut(&self) {
        for stream in self.connections.lock().unwrap().iter() {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}

impl Drop for Sshd {
    fn drop(&mut self) {
        self.cut();
        let _ = std::fs::remove_file(self.path("config"));
        // Wakes the listener, which ends.
        let _ = TcpStream::connect(("127.0.0.1", self.port));
    }
}

fn keygen(file: &Path) {
    let _ = std::fs::remove_file(file.with_extension("pub"));
    let mut keygen = Command::new("ssh-keygen");
    let made = keygen.args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(file).status();
    assert!(made.unwrap().success());
}

/// A script for the other end.
pub fn sh(script: &str) -> Exec<'static> {
    Exec { argv: ["sh", "-c", script].map(str::to_owned).to_vec(), ..Exec::default() }
}

/// Waits until a process is no more, or is one that nobody has asked after yet.
pub fn wait_gone(pid: &str) {
    let until = Instant::now() + Duration::from_secs(20);
    while std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !stat.contains(") Z ")) {
        assert!(Instant::now() < until, "{pid} is still there");
        std::thread::sleep(Duration::from_millis(20));
    }
}
