//! Tools that people use for the same today, where they are installed: commands a second, 8 at once.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use super::dispatch::PARALLEL;
use super::measure::{rate, timed};

/// GNU parallel takes about 3 ms a command, pueue more: fewer commands than prov's are enough.
const FOR_PARALLEL: usize = 1000;
const FOR_PUEUE: usize = 200;

/// `xargs -P8 -n1 /bin/true`.
pub fn xargs(count: usize) -> Option<f64> {
    fed("xargs", &[&format!("-P{PARALLEL}"), "-n1", "/bin/true"], count)
}

/// `parallel -j8 -n0 /bin/true`.
pub fn parallel() -> Option<f64> {
    fed("parallel", &[&format!("-j{PARALLEL}"), "-n0", "/bin/true"], FOR_PARALLEL)
}

/// Runs a tool that starts one command for each line that it reads.
fn fed(program: &str, args: &[&str], count: usize) -> Option<f64> {
    is_installed(program).then_some(())?;
    let home = tempfile::tempdir().unwrap();
    let mut command = Command::new(program);
    command.args(args).env("HOME", home.path()).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
    let (status, took) = timed(|| {
        let mut child = command.spawn().unwrap();
        child.stdin.take().unwrap().write_all("x\n".repeat(count).as_bytes()).unwrap();
        child.wait().unwrap()
    });
    assert!(status.success(), "{program}: {status}");
    Some(rate(count, took))
}

/// pueue's daemon with 8 slots: commands added one by one, as its interface has it, then waited for.
pub fn pueue() -> Option<f64> {
    (is_installed("pueue") && is_installed("pueued")).then_some(())?;
    let home = tempfile::tempdir().unwrap();
    let pueue = |program: &str, args: &[&str]| {
        let mut command = Command::new(program);
        command.args(args).env("HOME", home.path()).env("XDG_RUNTIME_DIR", home.path()).env_remove("XDG_CONFIG_HOME");
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        command
    };
    let configuration = home.path().join(".config/pueue");
    std::fs::create_dir_all(&configuration).unwrap();
    let text = "client: {}\ndaemon: {}\nshared: { use_unix_socket: true }\n";
    std::fs::write(configuration.join("pueue.yml"), text).unwrap();
    let mut daemon = pueue("pueued", &[]).spawn().unwrap();
    let succeeds = |args: &[&str]| pueue("pueue", args).status().unwrap().success();
    while !succeeds(&["parallel", &PARALLEL.to_string()]) {
        assert!(daemon.try_wait().unwrap().is_none(), "pueued ended");
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    let ((), took) = timed(|| {
        for _ in 0..FOR_PUEUE {
            assert!(succeeds(&["add", "--", "/bin/true"]));
        }
        assert!(succeeds(&["wait", "--quiet"]));
    });
    assert!(succeeds(&["shutdown"]));
    daemon.wait().unwrap();
    Some(rate(FOR_PUEUE, took))
}

fn is_installed(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|directory| Path::new(&directory).join(program).is_file())
}
