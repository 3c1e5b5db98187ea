//! Asking before something is destroyed.

use std::io::{self, BufRead, IsTerminal, Write};

use super::Global;
use super::error::{CliError, Kind};

/// The option that answers beforehand; part of every command that may destroy something.
#[derive(Clone, Copy, Debug, clap::Args)]
pub struct Yes {
    /// Answer yes to whatever destroys something
    #[arg(short, long)]
    yes: bool,
}

impl Yes {
    /// Whether it was answered beforehand.
    #[must_use]
    pub fn is_given(self) -> bool {
        self.yes
    }

    /// Has somebody agree to `what`.
    ///
    /// # Errors
    /// Where the answer is not yes; where there is nobody to ask, and then it names the option.
    pub fn agree(self, global: &Global, what: &str) -> Result<(), CliError> {
        if self.yes { Ok(()) } else { confirm(global, what) }
    }
}

fn confirm(global: &Global, what: &str) -> Result<(), CliError> {
    let can_ask = !global.no_input && io::stdin().is_terminal() && io::stderr().is_terminal();
    if !can_ask {
        let message = format!("nothing was done, because this needs a yes:\n{}", indented(what));
        return Err(CliError::new(Kind::Usage, message).hint("add --yes".to_owned()));
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
