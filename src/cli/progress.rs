//! Progress of work that is followed: bars on a terminal, a line a change elsewhere, nothing where quiet is asked for.
//!
//! [`frame`] makes the lines of one moment and knows no terminal; [`View`] draws them. [`Waiting`] is for calls that
//! answer once.

mod frame;

use std::collections::HashMap;
use std::io::IsTerminal;
use std::time::Duration;

use console::Term;
use indicatif::{ProgressBar, ProgressStyle};

use self::frame::{Frame, Row};
pub(super) use self::frame::{Mood, bar};
use super::Printer;
use crate::api::batch::BatchView;
use crate::api::rollback::RollbackView;
use crate::api::task::Task;
use crate::client::ClientError;
use crate::model::status::{BatchStatus, OperationStatus, RollbackStatus, TaskStatus};
use crate::model::time::Timestamp;

/// How long a call may take before something is shown; together with drawing less than 100 ms.
const UNNOTICED: Duration = Duration::from_millis(60);
/// What is said while the daemon doesn't answer.
const AWAY: &str = "the daemon is away; waiting";

/// Whether bars can be drawn: on standard error, on a terminal that can.
pub(super) fn can_draw() -> bool {
    std::io::stderr().is_terminal() && std::env::var_os("TERM").is_none_or(|term| term != "dumb")
}

/// A drawing of whole lines, which a later one replaces.
fn canvas() -> ProgressBar {
    let canvas = ProgressBar::new_spinner();
    canvas.set_style(ProgressStyle::with_template("{msg}").unwrap_or_else(|_| ProgressStyle::default_spinner()));
    canvas
}

/// Shows that an answer is awaited, and leaves nothing of it.
pub(super) struct Waiting(ProgressBar);

impl Waiting {
    /// Awaits a call.
    ///
    /// # Errors
    /// Those of the call.
    pub(super) async fn during<T>(
        printer: &Printer,
        call: impl Future<Output = Result<T, ClientError>>,
    ) -> Result<T, ClientError> {
        if printer.is_quiet() || !can_draw() {
            return call.await;
        }
        let mut call = std::pin::pin!(call);
        if let Ok(answer) = tokio::time::timeout(UNNOTICED, &mut call).await {
            return answer;
        }
        let canvas = canvas();
        canvas.set_message("waiting for the daemon …");
        canvas.tick();
        let _shown = Self(canvas);
        call.await
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}

/// Shows progress. What was drawn last stays, however following ends.
pub(super) struct View {
    printer: Printer,
    canvas: Option<ProgressBar>,
    frame: Frame,
    told: HashMap<String, String>,
    is_away: bool,
    silent: bool,
}

impl View {
    /// One that shows something only where it is wanted, and that at once.
    pub(super) fn new(wanted: bool, what: &str, printer: &Printer) -> Self {
        let silent = !wanted || printer.is_quiet();
        let view = Self {
            printer: *printer,
            canvas: (!silent && can_draw()).then(canvas),
            frame: Frame::waiting(format!("{what}: waiting for the daemon …")),
            told: HashMap::new(),
            is_away: false,
            silent,
        };
        view.draw();
        view
    }

    /// Shows a task as it stands.
    pub(super) fn task(&mut self, task: &Task) {
        let row = Row {
            key: String::new(),
            name: task.name.clone(),
            status: task.status.as_str(),
            mood: mood_of_task(task.status),
            progress: task.progress,
            step: task.step.clone(),
            started_at: task.started_at,
            completed_at: task.completed_at,
        };
        self.show(Vec::new(), row);
    }

    /// Shows a batch as it stands: each operation once it has started, and the whole below them.
    pub(super) fn batch(&mut self, batch: &BatchView) {
        let summary = &batch.summary;
        let operations = batch.operations.iter().map(|operation| Row {
            key: operation.id.to_string(),
            name: operation.id.to_string(),
            status: operation.status.as_str(),
            mood: mood(operation.status),
            progress: operation.progress,
            step: operation.step.clone(),
            started_at: operation.started_at,
            completed_at: operation.completed_at,
        });
        let whole = Row {
            key: String::new(),
            name: summary.name.clone(),
            status: summary.status.as_str(),
            mood: mood_of_batch(summary.status),
            progress: summary.progress,
            step: None,
            started_at: summary.started_at,
            completed_at: summary.completed_at,
        };
        self.show(operations.collect(), whole);
    }

    /// Shows a rollback as it stands: each step, and the whole below them.
    pub(super) fn rollback(&mut self, rollback: &RollbackView) {
        let summary = &rollback.summary;
        let steps = rollback.steps.iter().map(|step| Row {
            key: format!("{} {}/{}", step.action.as_str(), step.batch_id, step.operation_id),
            name: format!("{} {}", step.action.as_str(), step.operation_id),
            status: step.status.as_str(),
            mood: mood(step.status),
            progress: f64::from(u8::from(step.status == OperationStatus::Completed)),
            step: None,
            started_at: None,
            completed_at: None,
        });
        let whole = Row {
            key: String::new(),
            name: "rollback".to_owned(),
            status: summary.status.as_str(),
            mood: match summary.status {
                RollbackStatus::Pending => Mood::Waiting,
                RollbackStatus::Running => Mood::Undoing,
                RollbackStatus::Completed => Mood::Good,
                RollbackStatus::Accepted => Mood::Undone,
                RollbackStatus::Failed => Mood::Bad,
            },
            progress: f64::from(summary.operations_executed) / f64::from(summary.operations_total.max(1)),
            step: None,
            started_at: summary.started_at,
            completed_at: summary.completed_at,
        };
        self.show(steps.collect(), whole);
    }

    fn show(&mut self, rows: Vec<Row>, whole: Row) {
        if self.is_away {
            self.is_away = false;
            self.remark("the daemon is back");
        }
        if !self.silent && self.canvas.is_none() {
            for row in rows.iter().chain([&whole]) {
                let line = format!("{} {}", row.name, row.status);
                if self.told.get(&row.key) != Some(&line) {
                    self.printer.remark(&line);
                    self.told.insert(row.key.clone(), line);
                }
            }
        }
        self.frame = Frame::of(rows, whole);
        self.draw();
    }

    /// Shows that the daemon doesn't answer.
    pub(super) fn away(&mut self) {
        if !self.is_away {
            self.is_away = true;
            self.remark(AWAY);
        }
        self.draw();
    }

    /// Draws what is known again: time goes on while nothing happens.
    pub(super) fn redraw(&self) {
        self.draw();
    }

    /// What a canvas shows by itself is said once where there is none.
    fn remark(&self, text: &str) {
        if !self.silent && self.canvas.is_none() {
            self.printer.remark(text);
        }
    }

    fn draw(&self) {
        let Some(canvas) = &self.canvas else { return };
        let (height, width) = Term::stderr().size();
        let note = self.is_away.then_some(AWAY);
        let lines = self.frame.lines((usize::from(height), usize::from(width)), note, Timestamp::now());
        canvas.set_message(lines.join("\n"));
        canvas.tick();
    }
}

impl Drop for View {
    /// Leaves what was drawn last standing.
    fn drop(&mut self) {
        if let Some(canvas) = &self.canvas {
            canvas.abandon();
        }
    }
}

/// Shows how many of a number of like things are done: a bar on a terminal, elsewhere a line for each tenth of them.
pub(super) struct Count {
    noun: &'static str,
    total: u64,
    done: u64,
    printer: Printer,
    bar: Option<ProgressBar>,
}

impl Count {
    /// None done yet.
    pub(super) fn new(noun: &'static str, total: u64, printer: &Printer) -> Self {
        let bar = (!printer.is_quiet() && can_draw()).then(|| {
            let bar = ProgressBar::new(total);
            let style = ProgressStyle::with_template("{prefix} {bar:40} {pos}/{len} {elapsed}");
            bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()).progress_chars("█▉ "));
            bar.set_prefix(noun);
            bar.tick();
            bar
        });
        Self { noun, total, done: 0, printer: *printer, bar }
    }

    /// One more is done.
    pub(super) fn step(&mut self) {
        self.done += 1;
        if let Some(bar) = &self.bar {
            bar.set_position(self.done);
        } else if self.done * 10 / self.total != (self.done - 1) * 10 / self.total {
            self.printer.remark(&format!("{} {} of {}", self.noun, self.done, self.total));
        }
    }

    /// Leaves the bar standing.
    pub(super) fn finish(&self) {
        self.bar.iter().for_each(ProgressBar::abandon);
    }
}

/// What a task's status means for whoever looks on.
pub(super) fn mood_of_task(status: TaskStatus) -> Mood {
    match status {
        TaskStatus::Pending => Mood::Waiting,
        TaskStatus::Running => Mood::Going,
        TaskStatus::Completed => Mood::Good,
        TaskStatus::Cancelled => Mood::Undone,
        TaskStatus::Failed => Mood::Bad,
    }
}

/// What an operation's status means for whoever looks on.
pub(super) fn mood(status: OperationStatus) -> Mood {
    match status {
        OperationStatus::Pending | OperationStatus::Skipped => Mood::Waiting,
        OperationStatus::Running => Mood::Going,
        OperationStatus::RollingBack => Mood::Undoing,
        OperationStatus::Completed => Mood::Good,
        OperationStatus::RolledBack | OperationStatus::Cancelled => Mood::Undone,
        OperationStatus::Failed | OperationStatus::RollbackFailed => Mood::Bad,
    }
}

/// What a batch's status means for whoever looks on.
pub(super) fn mood_of_batch(status: BatchStatus) -> Mood {
    match status {
        BatchStatus::Pending => Mood::Waiting,
        BatchStatus::Running => Mood::Going,
        BatchStatus::RollingBack => Mood::Undoing,
        BatchStatus::Completed => Mood::Good,
        BatchStatus::RolledBack | BatchStatus::Cancelled => Mood::Undone,
        BatchStatus::Failed | BatchStatus::RollbackFailed => Mood::Bad,
    }
}
