//! What a process that evaluates settings may do: read files of the workspace, and nothing else.
//!
//! Three layers, each of which holds when the language has a hole. Resource limits bound memory, processor time and
//! open files. Landlock (Linux 5.13) lets files be opened below the workspace only, wherever a path, `..` or a symbolic
//! link leads, and no network port be reached. A seccomp filter refuses sockets, new processes and new programs.
//! On a kernel without Landlock the caller must look through imports itself; [`enter`] says so.

use std::path::Path;
use std::time::Duration;

use landlock::{
    ABI, Access, AccessFs, AccessNet, PathBeneath, Ruleset, RulesetAttr, RulesetCreatedAttr, RulesetError,
    RulesetStatus, Scope,
};
use rustix::fs::{FileType, Mode, OFlags};
use rustix::process::{Resource, Rlimit, Signal, getrlimit, setrlimit};
use seccompiler::{BpfProgram, SeccompAction, SeccompFilter};

/// Memory (address space) that an evaluation may use.
pub const MEMORY_BYTES: u64 = 512 << 20;
/// Files that it may hold open; imports are read one after the other.
const MAX_OPEN_FILES: u64 = 64;
/// The newest Landlock whose restrictions are asked for; older kernels apply those that they know.
const LANDLOCK_ABI: ABI = ABI::V6;
/// What files the process can still read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// Those of the workspace: the kernel sees to it.
    Workspace,
    /// Anything its user can: this kernel has no Landlock.
    Anything,
}

/// Why the process could not be locked in.
#[derive(Debug, thiserror::Error)]
pub enum JailError {
    /// A resource limit.
    #[error("can't limit the evaluation: {0}")]
    Limits(#[from] rustix::io::Errno),
    /// Landlock.
    #[error("can't keep the evaluation inside the workspace: {0}")]
    Files(#[from] RulesetError),
    /// The workspace can't be listed.
    #[error("can't read the workspace: {0}")]
    Workspace(#[from] std::io::Error),
    /// Seccomp.
    #[error("can't filter the evaluation's system calls: {0}")]
    Calls(#[from] seccompiler::Error),
    /// Seccomp's filter.
    #[error("can't filter the evaluation's system calls: {0}")]
    Filter(#[from] seccompiler::BackendError),
}

/// Whether `relative`, a path inside the workspace, is none of the business of settings: what is hidden at the top is
/// the execution plane's (`.prov`), a version control's, or a home directory's keys. The `file` itself is not private.
#[must_use]
pub fn is_private(relative: &Path, file: &Path) -> bool {
    let top = |path: &Path| path.iter().next().map(std::ffi::OsStr::to_owned);
    let is_hidden = top(relative).is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
    is_hidden && top(relative) != top(file)
}

/// Locks this process, which evaluates the file `file` of the workspace at `root`, in for the rest of its life.
///
/// # Errors
/// Where a layer that this kernel has can't be put up; the process must end then.
pub fn enter(root: &Path, file: &Path, time: Duration) -> Result<Reach, JailError> {
    // Nobody is left to kill it, or to read the answer, when the process that asked is gone.
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
    limit_resources(time)?;
    let reach = limit_files(root, file)?;
    limit_calls()?;
    Ok(reach)
}

fn limit_resources(time: Duration) -> Result<(), JailError> {
    // One second more than the clock allows: the clock's error is the clearer one.
    let limits = [
        (Resource::As, MEMORY_BYTES),
        (Resource::Cpu, time.as_secs() + 1),
        (Resource::Nofile, MAX_OPEN_FILES),
        (Resource::Fsize, 0),
        (Resource::Core, 0),
        (Resource::Nproc, 0),
    ];
    for (resource, limit) in limits {
        // Whoever started prov may have set a lower one, which an ordinary user can't raise.
        let limit = Some(getrlimit(resource).maximum.map_or(limit, |maximum| maximum.min(limit)));
        setrlimit(resource, Rlimit { current: limit, maximum: limit })?;
    }
    Ok(())
}

/// Allows reading below each entry of the workspace that isn't private. A symbolic link among them gets no rule:
/// where it leads inside, the rule of its target holds.
fn limit_files(root: &Path, file: &Path) -> Result<Reach, JailError> {
    let mut ruleset = Ruleset::default()
        .handle_access(AccessFs::from_all(LANDLOCK_ABI))?
        .handle_access(AccessNet::from_all(LANDLOCK_ABI))?
        .scope(Scope::from_all(LANDLOCK_ABI))?
        .create()?;
    for entry in std::fs::read_dir(root)? {
        let entry = entry?;
        if is_private(Path::new(&entry.file_name()), file) {
            continue;
        }
        let path = entry.path();
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        // What can't be opened, or is gone by now, can't be imported either.
        let Ok(file) = rustix::fs::open(&path, flags, Mode::empty()) else { continue };
        let access = match FileType::from_raw_mode(rustix::fs::fstat(&file)?.st_mode) {
            FileType::Directory => AccessFs::ReadFile | AccessFs::ReadDir,
            FileType::RegularFile => AccessFs::ReadFile.into(),
            _ => continue,
        };
        ruleset = ruleset.add_rule(PathBeneath::new(file, access))?;
    }
    match ruleset.restrict_self()?.ruleset {
        RulesetStatus::FullyEnforced | RulesetStatus::PartiallyEnforced => Ok(Reach::Workspace),
        RulesetStatus::NotEnforced => Ok(Reach::Anything),
    }
}

/// Refuses the calls by which a process reaches beyond itself. What reads and writes files is Landlock's.
fn limit_calls() -> Result<(), JailError> {
    const REFUSED: &[libc::c_long] = &[
        libc::SYS_socket,
        libc::SYS_socketpair,
        libc::SYS_clone,
        libc::SYS_clone3,
        libc::SYS_execve,
        libc::SYS_execveat,
        libc::SYS_kill,
        libc::SYS_ptrace,
        libc::SYS_process_vm_readv,
        libc::SYS_process_vm_writev,
        libc::SYS_io_uring_setup,
        libc::SYS_bpf,
        libc::SYS_keyctl,
        libc::SYS_add_key,
        libc::SYS_request_key,
        libc::SYS_unshare,
        libc::SYS_setns,
        libc::SYS_mount,
        libc::SYS_chroot,
        libc::SYS_open_by_handle_at,
        #[cfg(target_arch = "x86_64")]
        libc::SYS_fork,
        #[cfg(target_arch = "x86_64")]
        libc::SYS_vfork,
    ];
    let rules = REFUSED.iter().map(|call| (*call, Vec::new())).collect();
    let refused = SeccompAction::Errno(libc::EPERM.unsigned_abs());
    let filter = SeccompFilter::new(rules, SeccompAction::Allow, refused, std::env::consts::ARCH.try_into()?)?;
    let program: BpfProgram = filter.try_into()?;
    Ok(seccompiler::apply_filter(&program)?)
}

#[cfg(test)]
mod tests {
    use std::fs::{self, File};
    use std::io::ErrorKind;
    use std::net::{TcpListener, TcpStream, UdpSocket};
    use std::os::unix::fs::symlink;
    use std::os::unix::net::UnixStream;
    use std::process::Command;

    use super::*;

    /// Runs `test` in a thread of its own: Landlock and seccomp bind a thread and what it starts, and nothing else here.
    /// Resource limits bind the process, so they are left to the tests of the whole evaluation.
    fn confined(root: &Path, test: impl FnOnce() + Send + 'static) {
        let root = root.to_owned();
        let confined = std::thread::spawn(move || match limit_files(&root, Path::new("infra/a/config.ncl")) {
            Ok(Reach::Workspace) => {
                limit_calls().unwrap();
                test();
            }
            Ok(Reach::Anything) => println!("skipped: this kernel has no Landlock"),
            Err(error) => panic!("{error}"),
        });
        confined.join().unwrap();
    }

    #[test]
    fn only_files_of_the_workspace_can_be_read_and_none_written() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().canonicalize().unwrap();
        fs::create_dir_all(root.join("infra/a")).unwrap();
        fs::create_dir_all(root.join(".prov/local")).unwrap();
        for file in ["infra/a/config.ncl", "common.ncl", ".prov/local/key", ".netrc"] {
            fs::write(root.join(file), "x").unwrap();
        }
        symlink("/etc/passwd", root.join("infra/a/out")).unwrap();
        symlink("/etc", root.join("top")).unwrap();
        symlink("../../common.ncl", root.join("infra/a/in")).unwrap();
        let inside = root.clone();
        confined(&root, move || {
            for allowed in ["infra/a/config.ncl", "common.ncl", "infra/a/in"] {
                assert!(fs::read(inside.join(allowed)).is_ok(), "{allowed}");
            }
            for refused in ["infra/a/out", "top/passwd", ".prov/local/key", ".netrc", "../../etc/passwd"] {
                let error = fs::read(inside.join(refused)).unwrap_err();
                assert_eq!(error.kind(), ErrorKind::PermissionDenied, "{refused}");
            }
            for refused in ["/etc/passwd", "/proc/self/environ", "/dev/null"] {
                assert_eq!(File::open(refused).unwrap_err().kind(), ErrorKind::PermissionDenied, "{refused}");
            }
            assert!(File::create(inside.join("infra/a/new")).is_err());
            assert!(fs::OpenOptions::new().append(true).open(inside.join("common.ncl")).is_err());
            assert!(fs::remove_file(inside.join("common.ncl")).is_err());
        });
        assert!(root.join("common.ncl").exists());
    }

    #[test]
    fn what_is_hidden_at_the_top_is_private_but_not_the_file_itself() {
        let file = Path::new(".hidden/demo.ncl");
        assert!(is_private(Path::new(".prov/x"), file) && is_private(Path::new(".ssh"), file));
        assert!(!is_private(Path::new(".hidden/other.ncl"), file));
        assert!(!is_private(Path::new("infra/.x"), file) && !is_private(Path::new(""), file));
    }

    #[test]
    fn no_socket_and_no_process_can_be_made() {
        let dir = tempfile::tempdir().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        confined(dir.path(), move || {
            assert_eq!(TcpStream::connect(address).unwrap_err().kind(), ErrorKind::PermissionDenied);
            assert_eq!(UdpSocket::bind("127.0.0.1:0").unwrap_err().kind(), ErrorKind::PermissionDenied);
            assert_eq!(UnixStream::pair().unwrap_err().kind(), ErrorKind::PermissionDenied);
            assert!(Command::new("/bin/true").status().is_err());
            assert!(std::thread::Builder::new().spawn(|| ()).is_err());
        });
    }
}
