//! The terminal: taken whole, and given back as it was, however top ends.

use std::io;

use ratatui::DefaultTerminal;
use ratatui::crossterm::event::{self, Event, KeyCode, KeyEventKind, KeyModifiers};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use super::model::Key;

/// What comes from the terminal.
#[derive(Clone, Copy, Debug)]
pub(super) enum Typed {
    /// A key.
    Key(Key),
    /// Another size, or anything else that wants drawing.
    Redraw,
}

/// The terminal while it is taken.
pub(super) struct Screen(pub(super) DefaultTerminal);

impl Screen {
    /// Takes the terminal; a panic gives it back, too.
    ///
    /// # Errors
    /// When it can't be drawn on.
    pub(super) fn take() -> io::Result<Self> {
        ratatui::try_init().map(Self)
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        ratatui::restore();
    }
}

/// What is typed from now on. The thread that reads it ends with the program.
pub(super) fn keyboard() -> UnboundedReceiver<Typed> {
    let (sender, receiver) = unbounded_channel();
    std::thread::spawn(move || {
        while let Ok(event) = event::read() {
            let typed = match event {
                Event::Key(event) if event.kind == KeyEventKind::Release => None,
                Event::Key(event) => key(event.code, event.modifiers).map(Typed::Key),
                _ => Some(Typed::Redraw),
            };
            if typed.is_some_and(|typed| sender.send(typed).is_err()) {
                return;
            }
        }
    });
    receiver
}

fn key(code: KeyCode, modifiers: KeyModifiers) -> Option<Key> {
    let is_control = modifiers.contains(KeyModifiers::CONTROL);
    Some(match code {
        KeyCode::Char('c') if is_control => Key::Interrupt,
        KeyCode::Char(_) if is_control => return None,
        KeyCode::Char(c) => Key::Char(c),
        KeyCode::Up => Key::Up,
        KeyCode::Down => Key::Down,
        KeyCode::PageUp => Key::PageUp,
        KeyCode::PageDown => Key::PageDown,
        KeyCode::Home => Key::Home,
        KeyCode::End => Key::End,
        KeyCode::Enter => Key::Enter,
        KeyCode::Esc => Key::Escape,
        KeyCode::Tab => Key::Tab,
        KeyCode::Backspace => Key::Backspace,
        _ => return None,
    })
}
