//! Errors as people and scripts see them: kind → exit code, causes indented, hints, the request's id.

use std::error::Error;
use std::process::ExitCode;

use serde_json::json;

use super::printer::Format;

/// What kind of failure; each has its exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A failure not named below.
    Failure,
    /// Usage, or a file that is not valid.
    Usage,
    /// Changes are present (`--detailed-exitcode`).
    Changes,
    /// Not logged in, a second factor is needed, or what was given as proof is wrong.
    Unauthenticated,
    /// Denied by policy.
    Denied,
    /// There is no such thing.
    NotFound,
    /// It contradicts what is there.
    Conflict,
    /// The work was cancelled.
    Cancelled,
    /// Waiting took too long; the work goes on.
    TimedOut,
    /// The work failed, and was rolled back or had nothing to roll back.
    WorkFailed,
    /// The work failed, and its rollback is incomplete.
    RollbackIncomplete,
    /// The daemon doesn't answer.
    Unreachable,
    /// Ended by Ctrl-C.
    Interrupted,
    /// Ended by SIGTERM, or with its terminal.
    Terminated,
}

impl Kind {
    /// The exit code.
    #[must_use]
    pub const fn code(self) -> u8 {
        match self {
            Self::Failure => 1,
            Self::Usage => 2,
            Self::Changes => 3,
            Self::Unauthenticated => 4,
            Self::Denied => 5,
            Self::NotFound => 6,
            Self::Conflict => 7,
            Self::Cancelled => 8,
            Self::TimedOut => 9,
            Self::WorkFailed => 10,
            Self::RollbackIncomplete => 11,
            Self::Unreachable => 12,
            Self::Interrupted => 130,
            Self::Terminated => 143,
        }
    }
}

/// A failure of a command.
#[derive(Debug)]
pub struct CliError {
    /// Decides the exit code.
    pub kind: Kind,
    /// What failed.
    pub message: String,
    /// Why, outermost first.
    pub causes: Vec<String>,
    /// What to do about it.
    pub hints: Vec<String>,
    /// The request, for the daemon's log.
    pub request_id: Option<String>,
    /// The work that it is about, for programs.
    pub id: Option<Box<str>>,
}

impl CliError {
    /// A failure with nothing but its message.
    #[must_use]
    pub fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), causes: Vec::new(), hints: Vec::new(), request_id: None, id: None }
    }

    /// A failure with an error and all its causes.
    #[must_use]
    pub fn of(kind: Kind, error: &dyn Error) -> Self {
        let mut cli = Self::new(kind, error.to_string());
        let mut cause = error.source();
        while let Some(error) = cause {
            cli.causes.push(error.to_string());
            cause = error.source();
        }
        cli
    }

    /// Adds what to do about it, where somebody knows.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<Option<String>>) -> Self {
        self.hints.extend(hint.into());
        self
    }

    /// Prints the error on standard error and gives its exit code.
    #[must_use]
    pub fn report(&self, format: Format) -> ExitCode {
        let text = if format.is_structured() { self.json() } else { self.text() };
        // A closed standard error leaves only the exit code to say it.
        let _ = std::io::Write::write_all(&mut std::io::stderr(), text.as_bytes());
        ExitCode::from(self.kind.code())
    }

    fn text(&self) -> String {
        let causes = self.causes.iter().map(|cause| format!("  {}\n", cause.replace('\n', "\n  ")));
        let hints = self.hints.iter().map(|hint| format!("hint: {hint}\n"));
        let request = self.request_id.iter().filter(|id| !id.is_empty()).map(|id| format!("request: {id}\n"));
        let rest: String = causes.chain(hints).chain(request).collect();
        let colon = if self.causes.is_empty() { "" } else { ":" };
        format!("error: {}{colon}\n{rest}", self.message)
    }

    fn json(&self) -> String {
        let error = json!({
            "error": self.message,
            "exit_code": self.kind.code(),
            "causes": self.causes,
            "hints": self.hints,
            "request_id": self.request_id,
            "id": self.id,
        });
        format!("{error}\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_says_what_why_and_what_to_do() {
        let mut error = CliError::new(Kind::NotFound, "can't show task 7").hint(Some("prov tasks list".to_owned()));
        error.causes.push("there is no task 7".to_owned());
        error.request_id = Some("r-1".to_owned());
        assert_eq!(
            error.text(),
            "error: can't show task 7:\n  there is no task 7\nhint: prov tasks list\nrequest: r-1\n"
        );
        let json: serde_json::Value = serde_json::from_str(&error.json()).unwrap();
        assert_eq!(json["exit_code"], 6);
    }
}
