//! The lines of one moment of a followed piece of work. Pure: rows, the terminal's size and the time in, lines out.

use std::time::Duration;

use console::{Alignment, Style, measure_text_width, pad_str, truncate_str};

use crate::model::time::Timestamp;

/// The widest name and bar.
const NAME: usize = 24;
const BAR: usize = 24;
/// Columns of a status word, the longest being `RollbackFailed`, and of a time.
const STATUS: usize = 14;
const TIME: usize = 6;
/// No bar is drawn shorter than this; the columns are the name's then.
const LEAST_BAR: usize = 6;
/// How much of a name is shown where there is room for nothing else.
const LEAST_NAME: usize = 8;

/// One piece of work.
#[derive(Clone, Debug)]
pub(super) struct Row {
    /// Tells rows apart; empty for the whole.
    pub(super) key: String,
    /// What people call it.
    pub(super) name: String,
    /// The word of the wire.
    pub(super) status: &'static str,
    /// What the word means for whoever looks on.
    pub(super) mood: Mood,
    /// From 0 to 1.
    pub(super) progress: f64,
    /// What it does at the moment, where it says so.
    pub(super) step: Option<String>,
    /// When it began.
    pub(super) started_at: Option<Timestamp>,
    /// When it ended.
    pub(super) completed_at: Option<Timestamp>,
}

/// What a status means for whoever looks on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::cli) enum Mood {
    /// Not begun.
    Waiting,
    /// Runs.
    Going,
    /// Is being undone.
    Undoing,
    /// Done.
    Good,
    /// Undone, or ended on request.
    Undone,
    /// Failed.
    Bad,
}

impl Mood {
    /// Which rows are shown where there is no room for all: those that move, then those that failed.
    fn rank(self) -> u8 {
        match self {
            Self::Going | Self::Undoing => 0,
            Self::Bad => 1,
            Self::Good | Self::Undone => 2,
            Self::Waiting => 3,
        }
    }

    /// Whether it changes by itself.
    pub(in crate::cli) fn is_moving(self) -> bool {
        self.rank() == 0
    }

    fn style(self) -> Style {
        let style = Style::new().for_stderr();
        match self {
            Self::Waiting => style.dim(),
            Self::Going => style,
            Self::Good => style.green(),
            Self::Undoing | Self::Undone => style.yellow(),
            Self::Bad => style.red(),
        }
    }
}

/// What there is to show.
pub(super) enum Frame {
    /// Nothing is known yet.
    Waiting(String),
    /// The parts in their order, and the whole.
    Known(Vec<Row>, Row),
}

impl Frame {
    /// Nothing is known yet.
    pub(super) fn waiting(text: String) -> Self {
        Self::Waiting(text)
    }

    /// The parts and the whole.
    pub(super) fn of(rows: Vec<Row>, whole: Row) -> Self {
        Self::Known(rows, whole)
    }

    /// The lines for a terminal of these rows and columns: never more, never longer, the whole and the note always
    /// among them.
    pub(super) fn lines(&self, (height, width): (usize, usize), note: Option<&str>, now: Timestamp) -> Vec<String> {
        // The last column stays free: writing there makes some terminals wrap.
        let width = width.saturating_sub(1).max(1);
        let mut lines = match self {
            Self::Waiting(text) => vec![text.clone()],
            Self::Known(rows, whole) => {
                // One line for the cursor, and one for each of what is always shown.
                let room = height.saturating_sub(2 + usize::from(note.is_some()));
                let (shown, hidden) = choose(rows, room);
                let count = if rows.is_empty() { String::new() } else { format!("{}/{}", ended(rows), rows.len()) };
                let columns = Columns::fit(&shown, whole, width.saturating_sub(count.len() + 1));
                let step = |row: &Row| row.step.as_deref().filter(|_| row.mood.is_moving()).unwrap_or("").to_owned();
                let mut lines: Vec<String> = shown.iter().map(|row| columns.line(row, &step(row), now)).collect();
                lines.extend(hidden);
                let count = if rows.is_empty() { step(whole) } else { count };
                lines.push(columns.line(whole, &count, now));
                lines
            }
        };
        lines.extend(note.map(str::to_owned));
        lines.iter().map(|line| truncate_str(line, width, "…").into_owned()).collect()
    }
}

fn ended(rows: &[Row]) -> usize {
    rows.iter().filter(|row| row.mood == Mood::Good).count()
}

/// The rows that have begun, as many as there is room for, in their order, and a line on those that are left out.
fn choose(rows: &[Row], room: usize) -> (Vec<&Row>, Option<String>) {
    let mut begun: Vec<(usize, &Row)> = rows.iter().enumerate().filter(|(_, row)| row.mood != Mood::Waiting).collect();
    if begun.len() <= room {
        return (begun.into_iter().map(|(_, row)| row).collect(), None);
    }
    let all = begun.len();
    // Of those that have ended, the latest say most.
    let ended_last = |row: &Row| std::cmp::Reverse(row.completed_at);
    begun.sort_by_key(|(_, row)| (row.mood.rank(), ended_last(row)));
    begun.truncate(room.saturating_sub(1));
    begun.sort_by_key(|(position, _)| *position);
    let hidden = (room > 0).then(|| format!("… and {} more", all - begun.len()));
    (begun.into_iter().map(|(_, row)| row).collect(), hidden)
}

/// How wide the columns are.
struct Columns {
    name: usize,
    bar: usize,
}

impl Columns {
    fn fit(rows: &[&Row], whole: &Row, width: usize) -> Self {
        let longest = rows.iter().copied().chain([whole]).map(|row| measure_text_width(&row.name)).max().unwrap_or(0);
        let room = width.saturating_sub(STATUS + TIME + 2);
        let name = longest.min(NAME).min(room.saturating_sub(1)).max(LEAST_NAME);
        let bar = room.saturating_sub(name + 1).min(BAR);
        Self { name, bar: if bar < LEAST_BAR { 0 } else { bar } }
    }

    /// A row, and what stands after its columns.
    fn line(&self, row: &Row, after: &str, now: Timestamp) -> String {
        let name = truncate_str(&row.name, self.name, "…");
        let name = pad_str(&name, self.name, Alignment::Left, None);
        let bar =
            if self.bar == 0 { String::new() } else { format!(" {}", bar(row.mood, row.progress, self.bar, now)) };
        let status = row.mood.style().apply_to(format!("{:STATUS$}", row.status));
        let took = row.started_at.map(|start| precise(row.completed_at.unwrap_or(now).since(start)));
        format!("{name}{bar} {status} {:<TIME$} {after}", took.unwrap_or_default()).trim_end().to_owned()
    }
}

/// A bar of `width` columns. Work that runs and says nothing of how far it is has a mark that wanders.
pub(in crate::cli) fn bar(mood: Mood, progress: f64, width: usize, now: Timestamp) -> String {
    if mood.is_moving() && progress <= 0.0 {
        let at = usize::try_from(now.0 / 250).unwrap_or(0) % width;
        return (0..width).map(|column| if column == at { '█' } else { '·' }).collect();
    }
    let progress = if mood == Mood::Good { 1.0 } else { progress.clamp(0.0, 1.0) };
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss)]
    // A terminal has few columns, and the progress is from 0 to 1.
    let done = (progress * width as f64).round() as usize;
    (0..width).map(|column| if column < done { '█' } else { '·' }).collect()
}

/// A length of time with tenths of a second while they matter.
fn precise(took: Duration) -> String {
    if took < Duration::from_mins(1) { format!("{:.1}s", took.as_secs_f64()) } else { crate::cli::printer::short(took) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(name: &str, mood: Mood, progress: f64) -> Row {
        let status = match mood {
            Mood::Waiting => "Pending",
            Mood::Going => "Running",
            Mood::Undoing => "RollingBack",
            Mood::Good => "Completed",
            Mood::Undone => "RolledBack",
            Mood::Bad => "RollbackFailed",
        };
        let started_at = (mood != Mood::Waiting).then_some(Timestamp(0));
        let completed_at = (!mood.is_moving()).then_some(Timestamp(1500));
        let (key, name) = (name.to_owned(), name.to_owned());
        Row { key, name, status, mood, progress, step: None, started_at, completed_at }
    }

    fn lines(rows: Vec<Row>, size: (usize, usize), note: Option<&str>) -> Vec<String> {
        let frame = Frame::of(rows, row("whole", Mood::Going, 0.5));
        let lines = frame.lines(size, note, Timestamp(2000));
        lines.iter().map(|line| console::strip_ansi_codes(line).into_owned()).collect()
    }

    #[test]
    fn a_line_has_name_bar_status_time_and_the_whole_a_count() {
        let rows = vec![row("a", Mood::Good, 0.0), row("b", Mood::Going, 0.25), row("c", Mood::Waiting, 0.0)];
        assert_eq!(
            lines(rows, (24, 80), None),
            [
                "a        ████████████████████████ Completed      1.5s",
                "b        ██████·················· Running        2.0s",
                "whole    ████████████············ Running        2.0s   1/3",
            ]
        );
    }

    #[test]
    fn what_runs_says_what_it_does_as_far_as_there_is_room() {
        let step = Some("waiting for web-2".to_owned());
        let rows =
            vec![Row { step: step.clone(), ..row("a", Mood::Going, 0.5) }, Row { step, ..row("b", Mood::Good, 1.0) }];
        let shown = lines(rows, (24, 70), None);
        assert_eq!(shown[0], "a        ████████████············ Running        2.0s   waiting for …");
        assert!(shown[1].ends_with("1.5s"), "{shown:?}");
    }

    #[test]
    fn there_are_never_more_lines_than_rows_and_what_runs_goes_first() {
        let mut rows: Vec<Row> = (0..40).map(|i| row(&format!("done-{i}"), Mood::Good, 1.0)).collect();
        rows.push(row("runs", Mood::Going, 0.1));
        rows.push(row("failed", Mood::Bad, 0.1));
        for height in [1, 2, 3, 4, 10, 24] {
            let shown = lines(rows.clone(), (height, 80), Some("away"));
            assert!(shown.len() < height.max(3), "{height}: {shown:?}");
            assert!(shown.iter().any(|line| line.starts_with("whole")) && shown.last().unwrap() == "away");
        }
        let shown = lines(rows, (6, 80), None);
        assert!(shown[0].starts_with("done-") && shown[1].starts_with("runs") && shown[2].starts_with("failed"));
        assert_eq!(shown[3], "… and 39 more");
        assert!(shown[4].ends_with("40/42"), "{shown:?}");
    }

    #[test]
    fn no_line_is_longer_than_the_terminal() {
        for width in 1..120 {
            let rows = vec![row("an-operation-with-a-rather-long-name", Mood::Bad, 0.5), row("b", Mood::Going, 0.0)];
            for line in lines(rows, (24, width), Some("the daemon is away; waiting")) {
                assert!(measure_text_width(&line) < width.max(2), "{width}: {line}");
            }
        }
        let narrow = lines(vec![row("an-operation", Mood::Good, 1.0)], (24, 40), None);
        assert!(narrow[0].contains("an-operation") && narrow[0].contains("Completed"), "{narrow:?}");
        assert!(narrow[1].ends_with(" 1/1"), "{narrow:?}");
    }

    #[test]
    fn work_that_does_not_say_how_far_it_is_has_a_wandering_mark() {
        let shown = bar(Mood::Going, 0.0, 8, Timestamp(500));
        assert_eq!(shown, "··█·····");
    }
}
