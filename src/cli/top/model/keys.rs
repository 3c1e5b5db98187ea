//! What a key does, depending on what is shown.

use super::{Effect, Key, List, Model, Over};
use crate::cli::progress::Mood;
use crate::cli::top::rows::{Id, Row};

/// A key was pressed.
pub(super) fn press(model: &mut Model, key: Key) -> Vec<Effect> {
    model.told.clear();
    if key == Key::Interrupt {
        return vec![Effect::Quit];
    }
    match model.over.take() {
        Some(Over::Help) => Vec::new(),
        Some(Over::Cancel(id, _)) => cancel(&id, key),
        Some(Over::Log(log)) => {
            model.over = Some(Over::Log(log));
            read_log(model, key)
        }
        None if model.is_typing => {
            type_filter(model, key);
            Vec::new()
        }
        None => in_list(model, key),
    }
}

/// The answer to whether something is to be ended: nothing but a clear yes ends it.
fn cancel(id: &Id, key: Key) -> Vec<Effect> {
    match (id, key) {
        (Id::Batch(id), Key::Char('y')) => vec![Effect::CancelBatch(*id, false)],
        (Id::Batch(id), Key::Char('u')) => vec![Effect::CancelBatch(*id, true)],
        (Id::Task(id), Key::Char('y')) => vec![Effect::CancelTask(*id)],
        _ => Vec::new(),
    }
}

fn read_log(model: &mut Model, key: Key) -> Vec<Effect> {
    let page = model.page;
    let Some(Over::Log(log)) = &mut model.over else { return Vec::new() };
    let far = isize::try_from(page).unwrap_or(isize::MAX);
    match key {
        Key::Escape | Key::Backspace | Key::Char('q' | 'l' | 'h') => {
            model.over = None;
            return vec![Effect::CloseLog];
        }
        Key::Up | Key::Char('k') => log.scroll(-1, page),
        Key::Down | Key::Char('j') => log.scroll(1, page),
        Key::PageUp => log.scroll(-far, page),
        Key::PageDown | Key::Char(' ') => log.scroll(far, page),
        Key::Home | Key::Char('g') => log.scroll(isize::MIN + 1, page),
        Key::End | Key::Char('G') => log.follow(),
        Key::Enter | Key::Tab | Key::Interrupt | Key::Char(_) => {}
    }
    Vec::new()
}

fn type_filter(model: &mut Model, key: Key) {
    match key {
        Key::Char(c) => model.filter.push(c),
        Key::Backspace => drop(model.filter.pop()),
        Key::Enter | Key::Tab => model.is_typing = false,
        Key::Escape => {
            model.filter.clear();
            model.is_typing = false;
        }
        _ => {}
    }
}

fn in_list(model: &mut Model, key: Key) -> Vec<Effect> {
    let rows = model.rows();
    let at = model.selected(&rows);
    let row = rows.get(at);
    let page = isize::try_from(model.page).unwrap_or(isize::MAX);
    match key {
        Key::Up | Key::Char('k') => go(model, &rows, at, -1),
        Key::Down | Key::Char('j') => go(model, &rows, at, 1),
        Key::PageUp => go(model, &rows, at, -page),
        Key::PageDown | Key::Char(' ') => go(model, &rows, at, page),
        Key::Home | Key::Char('g') => go(model, &rows, at, isize::MIN + 1),
        Key::End | Key::Char('G') => go(model, &rows, at, isize::MAX),
        Key::Tab => {
            model.list = if model.list == List::Work { List::Tasks } else { List::Work };
            close(model);
        }
        Key::Char('q') => return vec![Effect::Quit],
        Key::Char('?' | 'h') => model.over = Some(Over::Help),
        Key::Char('/') => model.is_typing = true,
        Key::Char('s') => model.picked = model.picked.next(),
        Key::Escape | Key::Backspace => back(model),
        Key::Enter => return row.map_or_else(Vec::new, |row| open(model, row, false)),
        Key::Char('l') => return row.map_or_else(Vec::new, |row| open(model, row, true)),
        Key::Char('c') => return row.map_or_else(Vec::new, |row| ask(model, row)),
        Key::Char('r') => return row.map_or_else(Vec::new, |row| retry(model, row)),
        Key::Interrupt | Key::Char(_) => {}
    }
    Vec::new()
}

fn go(model: &mut Model, rows: &[Row], at: usize, by: isize) {
    let to = at.saturating_add_signed(by).min(rows.len().saturating_sub(1));
    model.selected = rows.get(to).map(|row| row.id.clone());
}

/// Out of what one is in: a batch, then a filter.
fn back(model: &mut Model) {
    if model.list == List::Operations {
        model.list = List::Work;
        model.selected = model.opening.map(Id::Batch);
        close(model);
    } else {
        model.filter.clear();
    }
}

fn close(model: &mut Model) {
    (model.opening, model.opened, model.wants_log) = (None, None, false);
}

fn open(model: &mut Model, row: &Row, wants_log: bool) -> Vec<Effect> {
    let Id::Batch(id) = row.id else { return model.open_log(row) };
    model.list = List::Operations;
    model.selected = None;
    model.filter.clear();
    (model.opening, model.opened, model.wants_log) = (Some(id), None, wants_log);
    vec![Effect::Open(id)]
}

fn ask(model: &mut Model, row: &Row) -> Vec<Effect> {
    let id = match (&row.id, row.task) {
        (Id::Operation(..), Some(task)) => Id::Task(task),
        (id, _) => id.clone(),
    };
    if matches!(id, Id::Operation(..)) || !(row.mood.is_moving() || row.mood == Mood::Waiting) {
        model.told = format!("{} is {}: there is nothing to cancel", row.name, row.status);
    } else {
        model.over = Some(Over::Cancel(id, row.name.clone()));
    }
    Vec::new()
}

fn retry(model: &mut Model, row: &Row) -> Vec<Effect> {
    if matches!(row.mood, Mood::Going | Mood::Undoing | Mood::Waiting | Mood::Good) {
        model.told = format!("{} is {}: there is nothing to retry", row.name, row.status);
        return Vec::new();
    }
    match row.id {
        Id::Batch(id) | Id::Operation(id, _) => vec![Effect::RetryBatch(id)],
        Id::Task(id) => vec![Effect::RetryTask(id)],
    }
}
