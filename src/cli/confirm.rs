//! Asking before something is destroyed.

use std::io::{self, BufRead, IsTerminal, Write};

use super::Global;
use super::error::{CliError, Kind};

/// Asks on the terminal whether `what` is to be done.
///
/// # Errors
/// Where the answer is not yes; where there is nobody to ask, and then it names `flag`, which answers beforehand.
pub fn confirm(global: &Global, what: &str, flag: &str) -> Result<(), CliError> {
    let can_ask = !global.no_input && io::stdin().is_terminal() && io::stderr().is_terminal();
    if !can_ask {
        let message = format!("nothing was done, because this needs a yes:\n{}", indented(what));
        return Err(CliError::new(Kind::Conflict, message).hint(format!("add {flag}")));
    }
    let _ = write!(io::stderr(), "{what}\nGo on? [y/N] ");
    let mut answer = String::new();
    let read = io::stdin().lock().read_line(&mut answer);
    if read.is_ok() && matches!(answer.trim().to_lowercase().as_str(), "y" | "yes") {
        return Ok(());
    }
    Err(CliError::new(Kind::Failure, "nothing was done: the answer was not yes"))
}

fn indented(text: &str) -> String {
    text.lines().map(|line| format!("  {line}")).collect::<Vec<_>>().join("\n")
}
