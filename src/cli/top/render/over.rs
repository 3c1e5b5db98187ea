//! What lies over the list: help, a question, a log.

use console::truncate_str;
use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Clear, Paragraph};

use super::{DIM, Theme, link, middle};
use crate::cli::top::log::Log;
use crate::cli::top::model::Link;
use crate::cli::top::rows::Id;

/// Every key, and what it does.
const KEYS: &[(&str, &str)] = &[
    ("↑ ↓ j k", "move; PgUp PgDn g G farther"),
    ("Enter", "open: a batch's operations, a task's log"),
    ("l", "the log; of a batch that of what failed or runs"),
    ("c", "cancel, after asking"),
    ("r", "retry what failed or was cancelled"),
    ("/", "filter by name, id, infra, status or step"),
    ("s", "all, active, failed, completed"),
    ("Tab", "work or all tasks"),
    ("Esc", "back; clears the filter"),
    ("q Ctrl-C", "quit; the work goes on"),
];

/// Shows the keys.
pub(super) fn help(frame: &mut Frame<'_>, area: Rect) {
    let lines: Vec<Line<'_>> = KEYS.iter().map(|(keys, what)| Line::from(format!(" {keys:9} {what}"))).collect();
    let place = middle(area, 62, u16::try_from(lines.len()).unwrap_or(u16::MAX).saturating_add(2));
    window(frame, place, " keys ", lines);
}

/// Asks whether something is to be ended.
pub(super) fn cancel(frame: &mut Frame<'_>, area: Rect, id: &Id, name: &str, theme: Theme) {
    let is_batch = matches!(id, Id::Batch(_));
    let noun = if is_batch { "batch" } else { "task" };
    let bold = Style::new().add_modifier(Modifier::BOLD);
    let mut lines = vec![
        Line::from(vec![
            Span::raw(format!(" Cancel {noun} ")),
            Span::styled(truncate_str(name, 32, "…").into_owned(), bold),
            Span::raw("?"),
        ]),
        Line::from(" y  yes: everything it started ends"),
    ];
    if is_batch {
        lines.push(Line::styled(" u  yes, and undo what was done", theme.warning()));
    }
    lines.push(Line::from(" any other key: no"));
    let place = middle(area, 54, u16::try_from(lines.len()).unwrap_or(u16::MAX).saturating_add(2));
    window(frame, place, " cancel ", lines);
}

fn window(frame: &mut Frame<'_>, place: Rect, title: &'static str, lines: Vec<Line<'_>>) {
    frame.render_widget(Clear, place);
    frame.render_widget(Paragraph::new(lines).block(Block::bordered().title(title)), place);
}

/// A log on the whole screen.
pub(super) fn log(frame: &mut Frame<'_>, log: &Log, way: Link, theme: Theme) {
    let [head, area, foot] =
        Layout::vertical([Constraint::Length(1), Constraint::Min(1), Constraint::Length(1)]).areas(frame.area());
    let how = match &log.ended {
        Some(how) => Span::raw(how.clone()),
        None if way == Link::Away => Span::styled(link(way, theme).0, theme.bad()),
        None if log.follows() => Span::raw("following"),
        None => Span::raw("paused; G follows"),
    };
    let title = format!(" {}  task {}  ", log.title, log.task);
    let title = Line::from(vec![Span::raw(title), how]).style(Style::new().add_modifier(Modifier::REVERSED));
    frame.render_widget(title, head);
    let lines: Vec<Line<'_>> = log.visible(usize::from(area.height)).into_iter().map(Line::from).collect();
    if lines.is_empty() {
        let text = if log.ended.is_some() { " it printed nothing" } else { " nothing yet" };
        frame.render_widget(Line::styled(text, DIM), area);
    }
    frame.render_widget(Paragraph::new(lines), area);
    frame.render_widget(Line::styled(" ↑ ↓ PgUp PgDn g G move  Esc back", DIM), foot);
}
