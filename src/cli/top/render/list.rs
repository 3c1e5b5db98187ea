//! The list: its header, a line a piece of work, and what there is to say of the selected one.

use console::{Alignment, measure_text_width, pad_str, truncate_str};
use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::{Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Paragraph, Wrap};

use super::{DIM, Theme};
use crate::cli::printer::{clean, short};
use crate::cli::progress::bar;
use crate::cli::top::model::{List, Model};
use crate::cli::top::rows::{Id, Picked, Row};
use crate::model::time::Timestamp;

/// Columns of a status word, and of an age or a time.
const STATUS: usize = 14;
const TIME: usize = 4;
/// The widest name, infra and bar, and the narrowest name.
const NAME: usize = 32;
const LEAST_NAME: usize = 14;
const INFRA: usize = 16;
const BAR: usize = 16;
/// No step is shown in less.
const STEP: usize = 10;

/// How wide the columns are; one of none is left out.
struct Columns {
    name: usize,
    bar: usize,
    count: usize,
    infra: usize,
    step: usize,
}

impl Columns {
    fn fit(rows: &[Row], width: usize) -> Self {
        let widest = |of: fn(&Row) -> usize, header: usize, most: usize| {
            rows.iter().map(of).max().unwrap_or(0).clamp(header, most)
        };
        let count = widest(|row| self::count(row).len(), 4, 9);
        let mut rest = width.saturating_sub(1 + STATUS + 1 + count + 1 + TIME + 1 + TIME + 1);
        let mut take = |wanted: usize, least: usize| {
            let got = if rest > least { wanted.min(rest - 1) } else { 0 };
            rest -= if got > 0 { got + 1 } else { 0 };
            got
        };
        // In the order of what is missed most.
        let name = take(widest(|row| measure_text_width(&row.name), LEAST_NAME, NAME), 0);
        let infra = take(widest(|row| measure_text_width(&row.infra), 5, INFRA), 5);
        let bar = take(if width >= 120 { BAR } else { BAR / 2 }, 6);
        let step = if rest >= STEP { rest } else { 0 };
        Self { name, bar, count, infra, step }
    }
}

/// Draws header, lines and detail, each in its place.
pub(super) fn draw(frame: &mut Frame<'_>, model: &Model, theme: Theme, now: Timestamp, places: [Rect; 3]) {
    let [header, area, detail] = places;
    let rows = model.rows();
    let selected = model.selected(&rows);
    let columns = Columns::fit(&rows, usize::from(area.width));
    frame.render_widget(head(model, &columns, rows.len()), header);
    let height = usize::from(area.height);
    // The selected line is as near to the middle as the ends of the list allow.
    let first = selected.saturating_sub(height / 2).min(rows.len().saturating_sub(height));
    let shown = rows.iter().enumerate().skip(first).take(height);
    let lines: Vec<Line<'_>> =
        shown.map(|(index, row)| line(row, &columns, theme, now, index == selected, area.width)).collect();
    if lines.is_empty() {
        let why = Line::styled(format!("   {}", nothing(model)), DIM);
        frame.render_widget(why, area);
    }
    frame.render_widget(Paragraph::new(lines), area);
    if let Some(row) = rows.get(selected) {
        frame.render_widget(about(row, model, theme), detail);
    }
}

/// Why the list is empty.
fn nothing(model: &Model) -> &'static str {
    if model.list == List::Operations && model.opened.is_none() {
        "reading …"
    } else if model.filter.is_empty() && model.picked == Picked::All {
        "nothing has been submitted yet"
    } else {
        "nothing like that; Esc clears the filter, s picks another status"
    }
}

fn head(model: &Model, columns: &Columns, count: usize) -> Line<'static> {
    let list = match (model.list, &model.opened) {
        (List::Work, _) => "WORK".to_owned(),
        (List::Tasks, _) => "TASKS".to_owned(),
        (List::Operations, None) => "BATCH".to_owned(),
        (List::Operations, Some(batch)) => format!("BATCH {}", batch.summary.name),
    };
    let mut what = format!("{list} {count}");
    if model.picked != Picked::All {
        what += &format!(" {}", model.picked.as_str());
    }
    if !model.filter.is_empty() {
        what += &format!(" /{}", model.filter);
    }
    let mut text = format!(" {} {:STATUS$} ", cell(&what, columns.name), "STATUS");
    if columns.bar > 0 {
        text += &format!("{} ", cell("PROGRESS", columns.bar));
    }
    text += &format!("{:1$} {2:>TIME$} {3:>TIME$} ", "", columns.count, "TOOK", "AGE");
    if columns.infra > 0 {
        text += &format!("{} ", cell("INFRA", columns.infra));
    }
    if columns.step > 0 {
        text += "STEP";
    }
    Line::styled(text, Style::new().add_modifier(Modifier::UNDERLINED))
}

fn line(row: &Row, columns: &Columns, theme: Theme, now: Timestamp, is_selected: bool, width: u16) -> Line<'static> {
    let mood = theme.of(row.mood);
    let mark = if is_selected { ">" } else { " " };
    let took = row.started_at.map(|start| short(row.completed_at.unwrap_or(now).since(start))).unwrap_or_default();
    let age = row.age(now).map(short).unwrap_or_default();
    let mut spans = vec![Span::raw(format!("{mark}{} ", cell(&clean(&row.name), columns.name)))];
    spans.push(Span::styled(format!("{:STATUS$} ", row.status), mood));
    if columns.bar > 0 {
        spans.push(Span::styled(format!("{} ", bar(row.mood, row.progress, columns.bar, now)), mood));
    }
    spans.push(Span::raw(format!("{:1$} {took:>TIME$} {age:>TIME$} ", count(row), columns.count)));
    if columns.infra > 0 {
        spans.push(Span::raw(format!("{} ", cell(&clean(&row.infra), columns.infra))));
    }
    if columns.step > 0 {
        let said =
            if row.mood.is_moving() { clean(&row.step) } else { row.error.as_deref().map(clean).unwrap_or_default() };
        spans.push(Span::styled(truncate_str(&said, columns.step, "…").into_owned(), DIM));
    }
    let used: usize = spans.iter().map(Span::width).sum();
    spans.push(Span::raw(" ".repeat(usize::from(width).saturating_sub(used))));
    let style = if is_selected { Style::new().add_modifier(Modifier::REVERSED) } else { Style::new() };
    Line::from(spans).style(style)
}

/// How much of it is done, in numbers.
fn count(row: &Row) -> String {
    match row.done {
        Some((done, of)) => format!("{done}/{of}"),
        None if row.progress > 0.0 => format!("{:.0}%", row.progress * 100.0),
        None => String::new(),
    }
}

/// What there is to say of the selected line: which it is, and what it does or why it failed.
fn about(row: &Row, model: &Model, theme: Theme) -> Paragraph<'static> {
    let id = match (&row.id, row.task) {
        (Id::Batch(id), _) => format!("batch {id}"),
        (Id::Task(_) | Id::Operation(..), Some(id)) => format!("task {id}"),
        (Id::Operation(_, name), None) => format!("operation {name}"),
        (Id::Task(id), None) => format!("task {id}"),
    };
    let left = model.opened.iter().flat_map(|batch| &batch.summary.left);
    let left: Vec<String> = left.map(|left| format!("left: {}", left.what)).collect();
    let said = match &row.error {
        Some(error) => Line::styled(format!(" {}", clean(&error.replace('\n', "  "))), theme.bad()),
        None if !row.step.is_empty() => Line::from(format!(" {}", clean(&row.step))),
        None if !left.is_empty() => Line::styled(format!(" {}", clean(&left.join("; "))), theme.warning()),
        None => Line::default(),
    };
    Paragraph::new(vec![Line::styled(format!(" {id}"), DIM), said]).wrap(Wrap { trim: false })
}

fn cell(text: &str, width: usize) -> String {
    pad_str(&truncate_str(text, width, "…"), width, Alignment::Left, None).into_owned()
}
