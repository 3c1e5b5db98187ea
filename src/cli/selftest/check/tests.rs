//! The check accepts what is true and bites on everything else.

use uuid::Uuid;

use super::super::ledger::Ledger;
use super::super::plan::Plan;
use super::*;
use crate::api::batch::{BatchSummary, LeftBehind};
use crate::model::id::BatchId;
use crate::model::name::Name;
use crate::model::status::{BatchStatus, OperationStatus, TaskStatus};
use crate::model::time::Timestamp;

use OperationStatus::{Completed, Failed, RolledBack, Skipped};
use Promise::{Disordered, Duplicated, LeftRunning, Lost, Stuck, Untrue};

/// The supervisors of these stories: the first and the one after it.
const FIRST: i32 = 100;
const SECOND: i32 = 200;

const ALL_DONE: &str = "\
do begin diamond-start 1 100
do end diamond-start 1 100
do begin diamond-left 1 100
do begin diamond-right 1 100
do end diamond-right 1 100
do end diamond-left 1 100
do begin diamond-end 1 100
do end diamond-end 1 100";

const FAILED_AT_THE_END: &str = "\
do begin diamond-start 1 100
do end diamond-start 1 100
do begin diamond-left 1 100
do begin diamond-right 1 100
do end diamond-right 1 100
do end diamond-left 1 100
do begin diamond-end 1 100
do fail diamond-end 1 100";

const UNDONE: &str = "\
undo begin diamond-right 1 100
undo begin diamond-left 1 100
undo end diamond-left 1 100
undo end diamond-right 1 100
undo begin diamond-start 1 100
undo end diamond-start 1 100";

fn name(text: &str) -> Name {
    Name::new(text).unwrap()
}

fn task(id: u128, attempt: u32, operation: &str, status: TaskStatus) -> Task {
    let is_done = status == TaskStatus::Completed;
    Task {
        id: TaskId(Uuid::from_u128(id)),
        name: operation.to_owned(),
        command: "sh".to_owned(),
        args: Vec::new(),
        dependencies: Vec::new(),
        status,
        created_at: Timestamp(0),
        started_at: None,
        completed_at: None,
        output: Some(if is_done { format!("{operation} {attempt}") } else { String::new() }),
        error: (!is_done).then(|| "exit status 3".to_owned()),
        workflow: None,
        infra: None,
        provider: None,
        batch_id: None,
        operation_id: Some(name(operation)),
        rollback_id: None,
        attempt,
        max_attempts: 1,
        exit_code: Some(if is_done { 0 } else { 3 }),
        processes_ended: 0,
        progress: 0.0,
        step: None,
        submitted_by: "admin".to_owned(),
    }
}

/// What the daemon says when it tells the truth of this ledger: the statuses of start, left, right and end, and the whole.
fn evidence(text: &str, max_attempts: u32, statuses: [OperationStatus; 4], whole: BatchStatus) -> Evidence {
    let plan = Plan::diamond(whole != BatchStatus::Failed, max_attempts);
    let ledger = Ledger::read(text);
    let (mut tasks, mut operations) = (Vec::new(), Vec::new());
    for ((planned, status), id) in plan.operations.iter().zip(statuses).zip(1..) {
        let last = |direction| ledger.attempts(direction, planned.id).keys().next_back().copied().unwrap_or(1);
        let done = if status == Failed { TaskStatus::Failed } else { TaskStatus::Completed };
        let doing = (status != Skipped).then(|| task(id, last(Direction::Do), planned.id, done));
        let undoing =
            (status == RolledBack).then(|| task(id + 10, last(Direction::Undo), planned.id, TaskStatus::Completed));
        operations.push(OperationView {
            id: name(planned.id),
            kind: "command".to_owned(),
            provider: None,
            status,
            progress: 0.0,
            step: None,
            task_id: doing.as_ref().map(|task| task.id),
            rollback_task_id: undoing.as_ref().map(|task| task.id),
            attempt: 1,
            max_attempts,
            started_at: None,
            completed_at: None,
            error: None,
        });
        tasks.extend(doing.into_iter().chain(undoing).map(|task| Task { max_attempts, ..task }));
    }
    let of = |status| operations.iter().filter(move |shown| shown.status == status);
    let summary = BatchSummary {
        rehearse: false,
        batch_id: BatchId(Uuid::nil()),
        name: plan.name.clone(),
        version: "1".to_owned(),
        status: whole,
        infra: name("selftest"),
        parallel_limit: 4,
        rollback_enabled: plan.rollback,
        operations_total: 4,
        operations_completed: u32::try_from(of(Completed).count()).unwrap(),
        progress: 0.0,
        created_at: Timestamp(0),
        started_at: None,
        completed_at: None,
        cancel_requested: false,
        rollback_id: None,
        error: None,
        left: of(Failed).map(|shown| LeftBehind { operation_id: shown.id.clone(), what: String::new() }).collect(),
        submitted_by: "admin".to_owned(),
    };
    let (view, harm) = (Some(BatchView { summary, operations }), Harm::default());
    Evidence { plan, ledger, copies: 1, view, tasks, running: Vec::new(), harm }
}

fn done(text: &str) -> Evidence {
    evidence(text, 1, [Completed; 4], BatchStatus::Completed)
}

fn undone(text: &str) -> Evidence {
    evidence(text, 1, [RolledBack, RolledBack, RolledBack, Failed], BatchStatus::RolledBack)
}

fn undone_as_told() -> String {
    format!("{FAILED_AT_THE_END}\n{UNDONE}")
}

impl Evidence {
    fn task(mut self, id: u128, change: impl FnOnce(&mut Task)) -> Self {
        change(self.tasks.iter_mut().find(|task| task.id.0.as_u128() == id).unwrap());
        self
    }

    fn whole(mut self, status: BatchStatus) -> Self {
        self.view.as_mut().unwrap().summary.status = status;
        self
    }

    fn supervisor_killed(mut self) -> Self {
        self.harm.supervisor = true;
        self.harm.survivors = [SECOND].into();
        self
    }

    fn attempt_killed(mut self, task: u128, attempt: u32) -> Self {
        self.harm.attempts.insert((TaskId(Uuid::from_u128(task)), attempt));
        self
    }
}

#[track_caller]
fn holds(evidence: &Evidence) {
    assert_eq!(check(evidence), []);
}

#[track_caller]
fn breaks(evidence: &Evidence, promise: Promise, words: &str) {
    let found = check(evidence);
    let bites = found.iter().any(|violation| violation.broken == promise && violation.what.contains(words));
    assert!(bites, "{promise:?} {words:?} is not among {found:#?}");
}

#[test]
fn the_truth_is_accepted() {
    holds(&done(ALL_DONE));
    holds(&undone(&undone_as_told()));
    holds(&evidence(FAILED_AT_THE_END, 1, [Completed, Completed, Completed, Failed], BatchStatus::Failed));
    let early = "do begin diamond-start 1 100\ndo fail diamond-start 1 100";
    holds(&evidence(early, 1, [Failed, Skipped, Skipped, Skipped], BatchStatus::RolledBack));
    let twice = format!("{early}\n{}", ALL_DONE.replace("diamond-start 1", "diamond-start 2"));
    holds(&evidence(&twice, 2, [Completed; 4], BatchStatus::Completed));
}

#[test]
fn what_is_lost_is_found() {
    let without = |line: &str| ALL_DONE.replace(&format!("{line}\n"), "");
    breaks(&done(&without("do end diamond-left 1 100")), Lost, "the ledger has no end of diamond-left");
    breaks(&Evidence { view: None, ..done(ALL_DONE) }, Lost, "knows nothing of it");
    let mut fewer = done(ALL_DONE);
    fewer.view.as_mut().unwrap().operations.remove(1);
    breaks(&fewer, Lost, "diamond-left is not among");
    let mut fewer = done(ALL_DONE);
    fewer.tasks.remove(1);
    breaks(&fewer, Lost, "is not listed");
    let second = ALL_DONE.replace("diamond-left 1", "diamond-left 2");
    breaks(
        &evidence(&second, 2, [Completed; 4], BatchStatus::Completed),
        Lost,
        "attempt 1 of diamond-left left no mark",
    );
}

#[test]
fn what_is_done_twice_is_found() {
    let again = |line: &str| format!("{ALL_DONE}\n{line}");
    let twice =
        ALL_DONE.replace("do begin diamond-left 1 100", "do begin diamond-left 1 100\ndo begin diamond-left 1 100");
    breaks(&done(&twice), Duplicated, "attempt 1 of diamond-left was begun 2 times");
    breaks(&done(&again("do end diamond-end 1 100")), Duplicated, "more than one end");
    breaks(&done(&again("do begin diamond-end 2 100")), Duplicated, "attempt 2; it may have 1");
    let redone = again("do begin diamond-end 2 100\ndo end diamond-end 2 100");
    let redone = evidence(&redone, 2, [Completed; 4], BatchStatus::Completed);
    breaks(&redone, Duplicated, "although attempt 1 had not failed");
    let unknown = redone.task(4, |task| task.attempt = 1);
    breaks(&unknown, Duplicated, "after attempt 1 had succeeded");
    breaks(&Evidence { copies: 2, ..done(ALL_DONE) }, Duplicated, "2 batches came of one request");
    let mut more = done(ALL_DONE);
    more.tasks.push(task(99, 1, "diamond-end", TaskStatus::Completed));
    breaks(&more, Duplicated, "no operation knows");
}

#[test]
fn attempts_that_overlap_are_found() {
    let overlapping = "do begin diamond-start 1 100\ndo begin diamond-start 2 100\ndo fail diamond-start 1 100\n\
                       do fail diamond-start 2 100";
    let overlapping = evidence(overlapping, 2, [Failed, Skipped, Skipped, Skipped], BatchStatus::RolledBack);
    breaks(&overlapping, Duplicated, "attempt 2 of diamond-start began while the one before ran");
}

#[test]
fn a_wrong_order_is_found() {
    let lines: Vec<&str> = ALL_DONE.lines().collect();
    let order = |order: [usize; 8]| order.map(|at| lines[at]).join("\n");
    breaks(&done(&order([0, 1, 2, 3, 6, 4, 5, 7])), Disordered, "diamond-end began before diamond-left was done");
    breaks(&done(&order([2, 0, 1, 3, 4, 5, 6, 7])), Disordered, "diamond-left began before diamond-start was done");
    breaks(&done(&order([1, 0, 2, 3, 4, 5, 6, 7])), Disordered, "diamond-start ended before it began");
    let undo: Vec<&str> = UNDONE.lines().collect();
    let undone_in =
        |order: [usize; 6]| undone(&format!("{FAILED_AT_THE_END}\n{}", order.map(|at| undo[at]).join("\n")));
    breaks(&undone_in([4, 5, 0, 1, 2, 3]), Disordered, "diamond-start was undone before diamond-left");
    breaks(&undone_in([0, 3, 4, 1, 2, 5]), Disordered, "diamond-start was undone before diamond-left");
    let hasty = format!("{}\n{}", FAILED_AT_THE_END.replace("\ndo fail diamond-end 1 100", ""), UNDONE);
    breaks(&undone(&format!("{hasty}\ndo fail diamond-end 1 100")), Disordered, "before everything had come to rest");
}

#[test]
fn compensations_that_are_missing_or_too_many_are_found() {
    let never = UNDONE.replace("undo begin diamond-left 1 100\nundo end diamond-left 1 100\n", "");
    breaks(&undone(&format!("{FAILED_AT_THE_END}\n{never}")), Lost, "no end of the compensation of diamond-left");
    let kept = evidence(&undone_as_told(), 1, [Completed, RolledBack, RolledBack, Failed], BatchStatus::RolledBack);
    breaks(&kept, Lost, "diamond-start is Completed in a batch that is RolledBack");
    let again = format!("{}\nundo begin diamond-start 2 100\nundo end diamond-start 2 100", undone_as_told());
    breaks(&undone(&again), Duplicated, "the compensation of diamond-start was run again");
    let of_nothing = format!("{}\nundo begin diamond-end 1 100\nundo end diamond-end 1 100", undone_as_told());
    breaks(&undone(&of_nothing), Untrue, "diamond-end is Failed, and the compensation of diamond-end ran");
    let given_up = [OperationStatus::RollbackFailed, RolledBack, RolledBack, Failed];
    let given_up = evidence(&undone_as_told(), 1, given_up, BatchStatus::RollbackFailed);
    breaks(&given_up, Lost, "the compensation of diamond-start failed without cause");
}

#[test]
fn a_wrong_account_is_found() {
    breaks(&done(ALL_DONE).whole(BatchStatus::RolledBack), Untrue, "the batch is RolledBack");
    breaks(&undone(&undone_as_told()).whole(BatchStatus::Completed), Untrue, "by its operations it must be RolledBack");
    let failed = evidence(ALL_DONE, 1, [Completed, Completed, Completed, Failed], BatchStatus::Failed);
    breaks(&failed, Untrue, "nothing that happened explains \"exit status 3\"");
    let skipped = evidence(FAILED_AT_THE_END, 1, [Completed, Completed, Completed, Skipped], BatchStatus::Failed);
    breaks(&skipped, Untrue, "diamond-end is Skipped, and diamond-end ran");
    let unfinished = undone(&undone_as_told()).task(4, |task| task.max_attempts = 2);
    breaks(&unfinished, Untrue, "could still be tried again");
    breaks(&done(ALL_DONE).task(1, |task| task.output = Some(String::new())), Untrue, "printed \"diamond-start 1\"");
    breaks(
        &done(ALL_DONE).task(1, |task| task.status = TaskStatus::Failed),
        Untrue,
        "the task of diamond-start is Failed",
    );
    let mut silent = undone(&undone_as_told());
    silent.view.as_mut().unwrap().summary.left.clear();
    breaks(&silent, Untrue, "doesn't name diamond-end");
    breaks(&done(&format!("{ALL_DONE}\ndo end")), Untrue, "a line that no operation writes");
    breaks(&done(&format!("{ALL_DONE}\ndo begin other 1 100")), Untrue, "nobody asked for it");
}

#[test]
fn what_does_not_end_is_found() {
    breaks(&done(ALL_DONE).whole(BatchStatus::Running), Stuck, "it is Running");
    breaks(&done(ALL_DONE).task(2, |task| task.status = TaskStatus::Running), Stuck, "is Running");
    breaks(&Evidence { running: vec!["7 (sleep)".to_owned()], ..done(ALL_DONE) }, LeftRunning, "7 (sleep)");
}

#[test]
fn a_killed_task_excuses_itself_alone() {
    let again = ALL_DONE.replace("do end diamond-left 1", "do begin diamond-left 2 100\ndo end diamond-left 2");
    let again = || evidence(&again, 2, [Completed; 4], BatchStatus::Completed);
    holds(&again().attempt_killed(2, 1));
    breaks(&again().attempt_killed(3, 1), Duplicated, "diamond-left was run again");
    let ended = |error: &str| {
        let told = FAILED_AT_THE_END.replace("do fail", "do end");
        evidence(&told, 1, [Completed, Completed, Completed, Failed], BatchStatus::Failed)
            .task(4, |task| task.error = Some(error.to_owned()))
    };
    holds(&ended("ended by SIGKILL").attempt_killed(4, 1));
    breaks(&ended("ended by SIGKILL"), Untrue, "nothing that happened explains");
    breaks(&ended("exit status 3").attempt_killed(4, 1), Untrue, "nothing that happened explains");
}

#[test]
fn a_killed_supervisor_excuses_what_it_had_started() {
    let lost = |parent: i32| {
        let again = format!("do begin diamond-left 2 {SECOND}\ndo end diamond-left 2");
        let text = ALL_DONE.replace("do end diamond-left 1", &again);
        let text =
            text.replace(&format!("do begin diamond-left 1 {FIRST}"), &format!("do begin diamond-left 1 {parent}"));
        evidence(&text, 2, [Completed; 4], BatchStatus::Completed)
    };
    holds(&lost(FIRST).supervisor_killed());
    breaks(&lost(FIRST), Duplicated, "diamond-left was run again");
    breaks(&lost(SECOND).supervisor_killed(), Duplicated, "diamond-left was run again");
    let unseen = ALL_DONE.replace("diamond-left 1", "diamond-left 2");
    holds(&evidence(&unseen, 2, [Completed; 4], BatchStatus::Completed).supervisor_killed());
    let undone_twice = format!("{}\nundo begin diamond-start 2 200\nundo end diamond-start 2 200", undone_as_told());
    holds(&undone(&undone_twice).supervisor_killed());
}
