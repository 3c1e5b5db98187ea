//! Colour and paging: whether, and which colour a word of state has. Colour only ever adds to a word.
//!
//! `NO_COLOR` (<https://no-color.org>) goes before `FORCE_COLOR`, and both before what the terminal can.

use std::io::IsTerminal;
use std::process::{Command, Stdio};

use console::Style;

/// Takes the environment's wish for colour to all that draws. Once, before anything is printed.
pub(super) fn init() {
    if let Some(wanted) = wanted() {
        console::set_colors_enabled(wanted);
        console::set_colors_enabled_stderr(wanted);
    }
}

/// What the environment wishes.
fn wanted() -> Option<bool> {
    let is_set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    if is_set("NO_COLOR") {
        return Some(false);
    }
    if is_set("FORCE_COLOR") {
        return Some(std::env::var_os("FORCE_COLOR").is_none_or(|value| value != "0"));
    }
    std::env::var_os("TERM").is_some_and(|term| term == "dumb").then_some(false)
}

/// Whether what goes to standard error may be coloured.
pub(super) fn on_stderr() -> bool {
    wanted().unwrap_or_else(|| std::io::stderr().is_terminal())
}

/// A cell of a table, coloured where it is a word of state; `shown` is how it stands there, cut or padded.
pub(super) fn coloured(word: &str, shown: &str) -> String {
    let style = Style::new();
    let style = match word {
        "Completed" | "running" | "works" | "valid" | "yes" | "Healthy" | "active" | "delivered" => style.green(),
        "Failed" | "ERROR" | "RollbackFailed" | "incomplete" | "fails its check" | "no" | "Unhealthy" | "failing"
        | "dead" => style.red(),
        "Cancelled" | "WARN" | "RolledBack" | "RollingBack" | "stopped" | "Degraded" | "paused" | "suspended"
        | "retrying" => style.yellow(),
        "Running" => style.cyan(),
        _ => return shown.to_owned(),
    };
    style.apply_to(shown).to_string()
}

/// Hands `text` to the pager, where there is one and it is longer than the terminal is high; says whether it did.
pub(super) fn paged(text: &str) -> bool {
    let pager = std::env::var("PAGER").unwrap_or_default();
    let mut words = pager.split_whitespace();
    let Some(program) = words.next().filter(|_| std::io::stdout().is_terminal()) else { return false };
    let (height, _) = console::Term::stdout().size();
    if text.lines().count() < usize::from(height) {
        return false;
    }
    let started = Command::new(program).args(words).stdin(Stdio::piped()).spawn();
    let Ok(mut pager) = started else { return false };
    if let Some(mut stdin) = pager.stdin.take() {
        // Whoever leaves the pager early has seen enough.
        let _ = std::io::Write::write_all(&mut stdin, text.as_bytes());
    }
    pager.wait().is_ok()
}
