//! The limits of a plan as control groups: version 2 where its controllers can be used, else the hierarchies of
//! version 1, else none, and then it says so. (Kernel documentation, admin-guide/cgroup-v1 and cgroup-v2.)

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::model::plan::Plan;

/// Processes and threads that one server may have at once: enough for a kubernetes node, too few for a fork bomb.
pub const PIDS_MAX: u32 = 16_384;
/// The period over which processor time is counted, in microseconds.
const PERIOD_US: u64 = 100_000;
/// How long the kernel may take to notice that a group's processes have ended.
const EMPTY_WITHIN: Duration = Duration::from_secs(5);
/// How the groups of the driver begin.
const PREFIX: &str = "prov-";

/// What came of asking for limits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The groups that a process must join.
    pub groups: Vec<PathBuf>,
    /// How they hold, for people.
    pub text: String,
}

/// Where control groups are mounted, as `/proc/self/mounts` says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Mounts {
    /// The tree of version 2.
    unified: Option<PathBuf>,
    /// Trees of version 1 with their controllers.
    split: Vec<(PathBuf, Vec<String>)>,
}

impl Mounts {
    fn of(mounts: &str) -> Self {
        let mut found = Self::default();
        for line in mounts.lines() {
            let fields: Vec<&str> = line.split(' ').collect();
            let [_, point, kind, options, ..] = fields.as_slice() else { continue };
            match *kind {
                "cgroup2" => found.unified = found.unified.or_else(|| Some(PathBuf::from(point))),
                "cgroup" => found.split.push((PathBuf::from(point), options.split(',').map(str::to_owned).collect())),
                _ => {}
            }
        }
        found
    }

    fn with(&self, controller: &str) -> Option<&Path> {
        let found = self.split.iter().find(|(_, controllers)| controllers.iter().any(|one| one == controller));
        found.map(|(point, _)| point.as_path())
    }
}

/// Makes the groups of the server `id`, or finds them, and sets the limits of `plan`.
#[must_use]
pub fn prepare(id: &str, plan: &Plan) -> Limits {
    let mounts = Mounts::of(&fs::read_to_string("/proc/self/mounts").unwrap_or_default());
    let unified = mounts.unified.as_deref().map(|root| in_unified(root, id, plan));
    let mut limits = match unified {
        Some(Ok(group)) => Limits { groups: vec![group], text: "enforced (cgroup v2)".to_owned() },
        Some(Err(_)) if !mounts.split.is_empty() => in_split(&mounts, id, plan),
        Some(Err(error)) => none(&error.to_string()),
        None if mounts.split.is_empty() => none("no control groups are mounted"),
        None => in_split(&mounts, id, plan),
    };
    // Whatever the limits: a server is in a group of its own, so that it isn't ended with the task that made it.
    if let Some(root) = mounts.unified.as_deref().filter(|root| !limits.groups.iter().any(|one| one.starts_with(root)))
    {
        let made = make(root, id).or_else(|_| make(&home(root), id));
        limits.groups.extend(made);
    }
    limits
}

/// The group of version 2 that this process is in, or that the supervisor of the task is in whose process this is.
fn home(root: &Path) -> PathBuf {
    let own = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let own = own.lines().find_map(|line| line.strip_prefix("0::/")).unwrap_or_default();
    root.join(own.split_once("/prov-tasks-").map_or(own, |(outer, _)| outer))
}

fn none(why: &str) -> Limits {
    Limits { groups: Vec::new(), text: format!("not enforced: {why}") }
}

fn in_unified(root: &Path, id: &str, plan: &Plan) -> io::Result<PathBuf> {
    let controllers = fs::read_to_string(root.join("cgroup.controllers"))?;
    for wanted in ["memory", "cpu", "pids"] {
        if !controllers.split_ascii_whitespace().any(|one| one == wanted) {
            return Err(io::Error::other(format!("cgroup v2 has no {wanted} controller here")));
        }
    }
    let switch = root.join("cgroup.subtree_control");
    set(&switch, "+memory +cpu +pids")?;
    let group = make(root, id)?;
    set(&group.join("memory.max"), &memory_bytes(plan).to_string())?;
    set(&group.join("cpu.max"), &format!("{} {PERIOD_US}", quota_us(plan)))?;
    set(&group.join("pids.max"), &PIDS_MAX.to_string())?;
    Ok(group)
}

fn in_split(mounts: &Mounts, id: &str, plan: &Plan) -> Limits {
    let memory = [("memory.limit_in_bytes", memory_bytes(plan).to_string())];
    let cpu = [("cpu.cfs_period_us", PERIOD_US.to_string()), ("cpu.cfs_quota_us", quota_us(plan).to_string())];
    let pids = [("pids.max", PIDS_MAX.to_string())];
    let wanted: [(&str, &[(&str, String)]); 3] = [("memory", &memory), ("cpu", &cpu), ("pids", &pids)];
    let (mut groups, mut lacking) = (Vec::new(), Vec::new());
    for (controller, settings) in wanted {
        let made = mounts.with(controller).ok_or_else(|| io::Error::other("not mounted")).and_then(|root| {
            let group = make(root, id)?;
            settings.iter().try_for_each(|(file, value)| set(&group.join(file), value))?;
            Ok(group)
        });
        match made {
            // One mount can hold several controllers.
            Ok(group) if groups.contains(&group) => {}
            Ok(group) => groups.push(group),
            Err(error) => lacking.push(format!("{controller} ({error})")),
        }
    }
    let is_limited = !groups.is_empty();
    // Whatever else there is, so that engines inside don't meet the host's groups.
    for (root, controllers) in &mounts.split {
        let joined = groups.iter().any(|group| group.starts_with(root));
        if let Some(group) = (!joined).then(|| make(root, id).ok()).flatten()
            && (!controllers.iter().any(|one| one == "cpuset") || inherit_cpuset(root, &group).is_ok())
        {
            groups.push(group);
        }
    }
    let text = match (is_limited, lacking.is_empty()) {
        (true, true) => "enforced (cgroup v1)".to_owned(),
        (true, false) => format!("enforced (cgroup v1), but not {}", lacking.join(" and not ")),
        (false, _) => format!("not enforced: {}", lacking.join(", ")),
    };
    Limits { groups, text }
}

/// A new group of this hierarchy may use no processor until it is told which.
fn inherit_cpuset(root: &Path, group: &Path) -> io::Result<()> {
    ["cpuset.cpus", "cpuset.mems"]
        .iter()
        .try_for_each(|file| set(&group.join(file), fs::read_to_string(root.join(file))?.trim()))
}

fn make(root: &Path, id: &str) -> io::Result<PathBuf> {
    let group = root.join(format!("{PREFIX}{id}"));
    match fs::create_dir(&group) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(group),
        made => made.map(|()| group),
    }
}

fn set(file: &Path, value: &str) -> io::Result<()> {
    fs::write(file, value)
        .map_err(|error| io::Error::new(error.kind(), format!("can't write {value:?} to {}: {error}", file.display())))
}

fn memory_bytes(plan: &Plan) -> u64 {
    plan.memory_mib.saturating_mul(1024 * 1024)
}

fn quota_us(plan: &Plan) -> u64 {
    u64::from(plan.cpus) * PERIOD_US
}

/// Removes the groups of the server `id` wherever they are, those first that its own services made inside. `recorded` are
/// those that it was made with, as far as is known.
pub fn remove(id: &str, recorded: &[PathBuf]) -> io::Result<()> {
    let mounts = Mounts::of(&fs::read_to_string("/proc/self/mounts")?);
    let roots = mounts.unified.iter().chain(mounts.split.iter().map(|(point, _)| point));
    let here = roots.map(|root| root.join(format!("{PREFIX}{id}")));
    here.chain(recorded.iter().cloned()).try_for_each(|group| remove_tree(&group))
}

fn remove_tree(group: &Path) -> io::Result<()> {
    let Ok(entries) = fs::read_dir(group) else { return Ok(()) };
    for entry in entries.flatten().filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir())) {
        remove_tree(&entry.path())?;
    }
    let begun = Instant::now();
    loop {
        match fs::remove_dir(group) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) if error.kind() == io::ErrorKind::ResourceBusy && begun.elapsed() < EMPTY_WITHIN => {
                std::thread::sleep(Duration::from_millis(2));
            }
            Err(error) => {
                return Err(io::Error::new(error.kind(), format!("can't remove {}: {error}", group.display())));
            }
            Ok(()) => return Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_versions_are_found_among_the_mounts() {
        let mounts = Mounts::of(
            "proc /proc proc rw 0 0\ncgroup /sys/fs/cgroup/cpu cgroup rw,relatime,cpu,cpuacct 0 0\n\
             cgroup2 /sys/fs/cgroup/unified cgroup2 rw 0 0\n",
        );
        assert_eq!(mounts.unified.as_deref(), Some(Path::new("/sys/fs/cgroup/unified")));
        assert_eq!(mounts.with("cpuacct"), Some(Path::new("/sys/fs/cgroup/cpu")));
        assert_eq!(mounts.with("memory"), None);
    }

    #[test]
    fn without_controllers_it_says_so() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("cgroup.controllers"), "cpu pids\n").unwrap();
        let error = in_unified(dir.path(), "x", &"1xCPU-1 GB".parse().unwrap()).unwrap_err();
        assert!(error.to_string().contains("no memory controller"), "{error}");
    }
}
