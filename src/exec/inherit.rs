//! What a supervisor that was killed left behind: results that the daemon does not have yet, and processes whose end nobody
//! would see any more.

use super::census;
use super::cgroup::{Group, Groups};
use super::journal::{Entry, Trace};
use super::wire::{Key, Report};

/// What is told of an attempt of the dead supervisor, and what is written down of it where that is new. What still runs of
/// it is ended, because nobody could learn its exit status.
pub(super) fn inherit(key: Key, trace: Trace, groups: Option<&Groups>) -> (Vec<Report>, Option<Entry>) {
    let kill = |group: Option<u32>, leader| {
        let group = groups.zip(group).map(|(groups, number)| groups.of(number));
        let held = group.as_ref().map_or(0, end);
        held.max(census::kill_all(key.task, leader))
    };
    let (at, what) = match trace {
        Trace::Exited { started, at, ending } => {
            return (vec![Report::Started { key, pid: 0, at: started }, Report::Exited { key, at, ending }], None);
        }
        Trace::Lost { started, what } => return (lost(key, started, what), None),
        Trace::Begun { at, group } => {
            let killed = kill(group, 0);
            (at, format!("the supervisor was killed while it started this; {}", remains(killed)))
        }
        Trace::Started { at, this_boot: false, .. } => (at, "the machine went down while it ran".to_owned()),
        Trace::Started { at, group, pid, start, .. } => {
            let same = census::is_of(pid, start);
            let killed = kill(group, if same { pid } else { 0 });
            let known = "the supervisor was killed while it ran, so its exit status is not known";
            (at, format!("{known}; {}", remains(killed)))
        }
    };
    (lost(key, at, what.clone()), Some(Entry::Lost { key, what }))
}

/// Ends what is left in the group, and answers how many processes that were.
pub(super) fn end(group: &Group) -> usize {
    let count = group.members().len();
    let _ = group.kill();
    for _ in 0..census::KILL_ROUNDS {
        if group.remove().is_ok() {
            break;
        }
        std::thread::sleep(census::KILL_INTERVAL);
    }
    count
}

fn lost(key: Key, at: crate::model::time::Timestamp, what: String) -> Vec<Report> {
    vec![Report::Started { key, pid: 0, at }, Report::Lost { key, at, what }]
}

fn remains(killed: usize) -> String {
    match killed {
        0 => "nothing of it was left".to_owned(),
        1 => "one process of it was left and has been ended".to_owned(),
        many => format!("{many} processes of it were left and have been ended"),
    }
}
