//! Codes of the second factor on their way in: an option's value, standard input, the environment, or a prompt.
//!
//! Unlike a password a code may stand on the command line: it is spent by its first use, and soon worth nothing unused.

use std::fmt;
use std::io::{self, BufRead, IsTerminal, Write};
use std::str::FromStr;

use super::Global;
use super::error::{CliError, Kind};
use super::secret::{self, PasswordArgs};

/// What to do where a code is lacking and nobody can be asked.
pub(super) const HOW_TO_GIVE: &str =
    "give a code with --mfa-code CODE, with --mfa-code - from standard input, or in PROV_MFA_CODE";
/// What stands for standard input.
const STDIN: &str = "-";

/// A code as it was given. `Debug` hides it.
#[derive(Clone, PartialEq, Eq)]
pub struct Code(String);

impl FromStr for Code {
    type Err = std::convert::Infallible;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(Self(text.trim().to_owned()))
    }
}

impl fmt::Debug for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Code(hidden)")
    }
}

/// Where a code comes from.
#[derive(Debug, clap::Args)]
pub(super) struct CodeArgs {
    /// A code of your second factor, or a backup code; `-` reads it from standard input, behind the password if that
    /// comes from there as well
    #[arg(long, value_name = "CODE", env = "PROV_MFA_CODE", hide_env_values = true)]
    mfa_code: Option<Code>,
}

/// Password and code from where the options say; `None` for what is to be typed. Both from standard input are two lines.
pub(super) fn with_password(
    password: &PasswordArgs,
    code: &CodeArgs,
    global: &Global,
) -> Result<(Option<String>, Option<String>), CliError> {
    let from_stdin = code.mfa_code.as_ref().is_some_and(|code| code.0 == STDIN);
    if !(from_stdin && password.password_stdin) {
        return Ok((secret::given(password, global)?, given(code.mfa_code.as_ref(), global)?));
    }
    let text = secret::from_stdin(global)?;
    let mut lines = text.lines();
    let (Some(password), Some(code), None) = (lines.next(), lines.next(), lines.next()) else {
        let message = "standard input must have two lines: the password, and a code of the second factor";
        return Err(CliError::new(Kind::Usage, message));
    };
    Ok((Some(secret::password(Ok(password.to_owned()), "standard input")?), Some(whole(code, "standard input")?)))
}

/// The code that was given, if one was: of an empty variable there is none.
pub(super) fn given(code: Option<&Code>, global: &Global) -> Result<Option<String>, CliError> {
    match code.map(|code| code.0.as_str()) {
        None | Some("") => Ok(None),
        Some(STDIN) => whole(&secret::from_stdin(global)?, "standard input").map(Some),
        Some(code) => Ok(Some(code.to_owned())),
    }
}

/// Whether there is somebody to ask.
pub(super) fn can_ask(global: &Global) -> bool {
    !global.no_input && io::stdin().is_terminal() && io::stderr().is_terminal()
}

/// A code typed at the terminal, where it may be seen.
pub(super) fn typed(prompt: &str) -> Result<String, CliError> {
    let _ = write!(io::stderr(), "{prompt}");
    let mut line = String::new();
    let read = io::stdin().lock().read_line(&mut line);
    read.map_err(|error| CliError::new(Kind::Usage, format!("can't read the code: {error}")))?;
    whole(&line, "the terminal")
}

fn whole(text: &str, from: &str) -> Result<String, CliError> {
    match text.trim() {
        "" => Err(CliError::new(Kind::Usage, format!("the code from {from} is empty"))),
        code => Ok(code.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_read_without_white_space_and_never_shown() {
        let code: Code = " 123 456\n".parse().unwrap_or_else(|never| match never {});
        assert_eq!((code.0.as_str(), format!("{code:?}")), ("123 456", "Code(hidden)".to_owned()));
        assert!(whole(" \n", "there").is_err());
    }
}
