//! Progress of work that is followed: bars on a terminal, a line a change elsewhere, nothing where quiet is asked for.

use std::collections::HashMap;
use std::io::IsTerminal;
use std::time::Duration;

use console::{Style, pad_str, truncate_str};
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use super::Printer;
use crate::api::batch::BatchView;
use crate::api::task::Task;
use crate::model::status::{BatchStatus, OperationStatus, TaskStatus};
use crate::model::time::Timestamp;

/// How many operations have a bar of their own.
const MOST_BARS: usize = 24;
/// Columns of a name.
const NAME: usize = 24;
/// Columns of a status word.
const STATUS: usize = 14;

/// What is shown of one piece of work.
struct Row<'a> {
    name: &'a str,
    status: &'a str,
    mood: Mood,
    progress: f64,
    started_at: Option<Timestamp>,
    completed_at: Option<Timestamp>,
}

/// What a status means for whoever looks on.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Mood {
    Waiting,
    Going,
    Good,
    Undone,
    Bad,
}

/// Shows progress.
pub(super) struct View {
    printer: Printer,
    bars: Option<MultiProgress>,
    by_key: HashMap<String, ProgressBar>,
    told: HashMap<String, String>,
    silent: bool,
}

impl View {
    /// One that shows something only where it is wanted.
    pub(super) fn new(wanted: bool, printer: &Printer) -> Self {
        let silent = !wanted || printer.is_quiet();
        Self {
            printer: *printer,
            bars: (!silent && is_terminal()).then(MultiProgress::new),
            by_key: HashMap::new(),
            told: HashMap::new(),
            silent,
        }
    }

    /// Shows a task as it stands.
    pub(super) fn task(&mut self, task: &Task) {
        let mood = match task.status {
            TaskStatus::Pending => Mood::Waiting,
            TaskStatus::Running => Mood::Going,
            TaskStatus::Completed => Mood::Good,
            TaskStatus::Cancelled => Mood::Undone,
            TaskStatus::Failed => Mood::Bad,
        };
        self.show(
            "",
            &Row {
                name: &task.name,
                status: task.status.as_str(),
                mood,
                progress: if mood == Mood::Good { 1.0 } else { task.progress },
                started_at: task.started_at,
                completed_at: task.completed_at,
            },
        );
    }

    /// Shows a batch as it stands: each operation once it has started, and the whole below them.
    pub(super) fn batch(&mut self, batch: &BatchView) {
        let summary = &batch.summary;
        let whole = Row {
            name: &summary.name,
            status: summary.status.as_str(),
            mood: match summary.status {
                BatchStatus::Pending => Mood::Waiting,
                BatchStatus::Running => Mood::Going,
                BatchStatus::Completed => Mood::Good,
                BatchStatus::RollingBack | BatchStatus::RolledBack | BatchStatus::Cancelled => Mood::Undone,
                BatchStatus::Failed | BatchStatus::RollbackFailed => Mood::Bad,
            },
            progress: summary.progress,
            started_at: summary.started_at,
            completed_at: summary.completed_at,
        };
        if self.bars.is_some() {
            // First, so that it stands below the others.
            self.show("", &whole);
        }
        for operation in &batch.operations {
            let row = Row {
                name: operation.id.as_str(),
                status: operation.status.as_str(),
                mood: mood(operation.status),
                progress: operation.progress,
                started_at: operation.started_at,
                completed_at: operation.completed_at,
            };
            if self.bars.is_none() || row.mood != Mood::Waiting {
                self.show(operation.id.as_str(), &row);
            }
        }
        self.show("", &whole);
    }

    /// Shows a row under a key; the empty key is the whole.
    fn show(&mut self, key: &str, row: &Row<'_>) {
        let Some(bars) = &self.bars else {
            let line = format!("{} {}", row.name, row.status);
            if !self.silent && self.told.get(key) != Some(&line) {
                self.printer.remark(&line);
                self.told.insert(key.to_owned(), line);
            }
            return;
        };
        if !self.by_key.contains_key(key) {
            if self.by_key.len() > MOST_BARS {
                return;
            }
            let bar = bars.insert_from_back(usize::from(!key.is_empty()), ProgressBar::new(100));
            bar.set_style(template());
            bar.set_prefix(
                pad_str(&truncate_str(row.name, NAME, "…"), NAME, console::Alignment::Left, None).into_owned(),
            );
            self.by_key.insert(key.to_owned(), bar);
        }
        let Some(bar) = self.by_key.get(key) else { return };
        let took = row.started_at.map(|start| row.completed_at.unwrap_or_else(Timestamp::now).since(start));
        bar.set_message(format!(
            "{} {}",
            colour(row.mood).apply_to(format!("{:STATUS$}", row.status)),
            took.map(precise).unwrap_or_default()
        ));
        bar.set_position(percent(row.progress));
        bar.tick();
    }

    /// Leaves the last state of the bars standing.
    pub(super) fn finish(&self) {
        for bar in self.by_key.values() {
            bar.abandon();
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
        let bar = (!printer.is_quiet() && is_terminal()).then(|| {
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

fn is_terminal() -> bool {
    std::io::stderr().is_terminal() && std::env::var_os("TERM").is_none_or(|term| term != "dumb")
}

fn mood(status: OperationStatus) -> Mood {
    match status {
        OperationStatus::Pending | OperationStatus::Skipped => Mood::Waiting,
        OperationStatus::Running => Mood::Going,
        OperationStatus::Completed => Mood::Good,
        OperationStatus::RollingBack | OperationStatus::RolledBack | OperationStatus::Cancelled => Mood::Undone,
        OperationStatus::Failed | OperationStatus::RollbackFailed => Mood::Bad,
    }
}

fn colour(mood: Mood) -> Style {
    let style = Style::new().for_stderr();
    match mood {
        Mood::Waiting => style.dim(),
        Mood::Going => style,
        Mood::Good => style.green(),
        Mood::Undone => style.yellow(),
        Mood::Bad => style.red(),
    }
}

/// A length of time with tenths of a second while they matter.
fn precise(took: Duration) -> String {
    if took < Duration::from_mins(1) { format!("{:.1}s", took.as_secs_f64()) } else { super::printer::short(took) }
}

#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
fn percent(progress: f64) -> u64 {
    // Clamped to 0..=100, so nothing is cut off.
    (progress.clamp(0.0, 1.0) * 100.0).round() as u64
}

fn template() -> ProgressStyle {
    let style = ProgressStyle::with_template("{prefix} {bar:24} {msg}");
    style.unwrap_or_else(|_| ProgressStyle::default_bar()).progress_chars("█▉ ")
}
