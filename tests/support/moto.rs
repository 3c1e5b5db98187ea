//! moto: somebody else's EC2, from PyPI, in a process of its own that all tests share.
//!
//! Kept in a cache directory and made once. It ends when the tests' process does, however that ends: its standard input
//! closes then. Where PyPI can't be reached there is none.

use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;

use rustix::fs::{FlockOperation, flock};
use serde_json::json;

const VERSION: &str = "5.2.5";

/// Serves on a port that the system picks, tells which, and ends when standard input closes.
const PROGRAM: &str = r#"
import os, sys, threading
from moto.server import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import make_server
server = make_server("127.0.0.1", 0, DomainDispatcherApplication(create_backend_app), threaded=True)
os.environ["MOTO_PORT"] = str(server.server_port)
threading.Thread(target=lambda: (sys.stdin.read(), os._exit(0)), daemon=True).start()
print(server.server_port, flush=True)
server.serve_forever()
"#;

/// A running moto.
pub struct Moto {
    /// `http://127.0.0.1:PORT`
    pub address: String,
    _child: Child,
}

/// The one that all tests share; it takes any credentials. `None`, with a word about it, where it can't be had.
pub fn moto() -> Option<&'static Moto> {
    static SHARED: OnceLock<Result<Moto, String>> = OnceLock::new();
    had(SHARED.get_or_init(|| Moto::start(&[])))
}

/// One that verifies signatures and permissions after three calls.
pub fn strict_moto() -> Option<&'static Moto> {
    static STRICT: OnceLock<Result<Moto, String>> = OnceLock::new();
    had(STRICT.get_or_init(|| Moto::start(&[("INITIAL_NO_AUTH_ACTION_COUNT", "3")])))
}

fn had(moto: &'static Result<Moto, String>) -> Option<&'static Moto> {
    match moto {
        Ok(moto) => Some(moto),
        Err(why) => {
            println!("skipped: moto {VERSION} can't be had here: {why}");
            None
        }
    }
}

impl Moto {
    fn start(variables: &[(&str, &str)]) -> Result<Self, String> {
        let home = installed()?;
        let images = home.join("images.json");
        let draft = home.join(format!("images-{}-{}.json", std::process::id(), variables.len()));
        fs::write(&draft, images_of_publishers().to_string())
            .and_then(|()| fs::rename(&draft, &images))
            .map_err(text)?;
        let mut child = Command::new(home.join("bin/python"))
            .args(["-c", PROGRAM])
            .env("MOTO_AMIS_PATH", &images)
            .env("MOTO_ENABLE_AMI_VALIDATION", "true")
            .env("MOTO_ENABLE_KEYPAIR_VALIDATION", "true")
            .env("MOTO_EC2_ENABLE_INSTANCE_TYPE_VALIDATION", "true")
            .envs(variables.iter().copied())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .map_err(text)?;
        let mut port = String::new();
        let stdout = child.stdout.take().ok_or("it has no output")?;
        BufReader::new(stdout).read_line(&mut port).map_err(text)?;
        let port: u16 = port.trim().parse().map_err(|_| "it doesn't start".to_owned())?;
        Ok(Self { address: format!("http://127.0.0.1:{port}"), _child: child })
    }
}

/// The directory that moto is installed in.
fn installed() -> Result<PathBuf, String> {
    let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from).filter(|path| path.is_absolute());
    let home = || std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache"));
    let directory = cache.or_else(home).ok_or("there is no cache directory")?.join("prov-tests");
    fs::create_dir_all(&directory).map_err(text)?;
    let name = format!("moto-{VERSION}");
    let lock = File::create(directory.join(format!("{name}.lock"))).map_err(text)?;
    flock(&lock, FlockOperation::LockExclusive).map_err(text)?;
    let target = directory.join(name);
    let is_whole = target.join("whole");
    if !is_whole.exists() {
        let _ = fs::remove_dir_all(&target);
        run(Command::new("python3").args(["-m", "venv"]).arg(&target))?;
        let package = format!("moto[server,ec2]=={VERSION}");
        let pip =
            ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--retries", "1", "--timeout", "15"];
        run(Command::new(target.join("bin/python")).args(pip).arg(package))?;
        fs::write(&is_whole, "").map_err(text)?;
    }
    Ok(target)
}

fn run(command: &mut Command) -> Result<(), String> {
    let output = command.stdin(Stdio::null()).output().map_err(text)?;
    let last = || String::from_utf8_lossy(&output.stderr).trim().lines().last().unwrap_or_default().to_owned();
    if output.status.success() { Ok(()) } else { Err(last()) }
}

fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}

/// Debian's images of two days, a later one that only bears such a name, and Ubuntu's.
fn images_of_publishers() -> serde_json::Value {
    let image = |id: &str, owner: &str, name: &str, created: &str, architecture: &str| {
        json!({"ami_id": id, "owner_id": owner, "name": name, "creation_date": created, "architecture": architecture,
            "description": name, "image_location": name, "image_type": "machine", "public": true, "state": "available",
            "virtualization_type": "hvm", "hypervisor": "xen", "platform": null, "sriov": "simple",
            "root_device_name": "/dev/xvda", "root_device_type": "ebs"})
    };
    let debian = "136693071363";
    json!([
        image("ami-00000000000000001", debian, "debian-12-amd64-20250101-1", "2025-01-01T00:00:00.000Z", "x86_64"),
        image("ami-00000000000000002", debian, "debian-12-amd64-20260101-2", "2026-01-01T00:00:00.000Z", "x86_64"),
        image(
            "ami-00000000000000003",
            "999999999999",
            "debian-12-amd64-20990101-3",
            "2099-01-01T00:00:00.000Z",
            "x86_64"
        ),
        image("ami-00000000000000004", debian, "debian-12-arm64-20260101-2", "2026-01-01T00:00:00.000Z", "arm64"),
        image(
            "ami-00000000000000005",
            "099720109477",
            "ubuntu/images/noble-24.04",
            "2026-01-01T00:00:00.000Z",
            "x86_64"
        ),
    ])
}

/// Where a file of a test's workspace would be that says in which regions to look.
pub fn regions_file(workspace: &Path) -> PathBuf {
    workspace.join(".prov/aws/regions")
}
