//! `prov init`.

use std::path::PathBuf;
use std::process::ExitCode;

use super::error::{CliError, Kind};
use super::{Global, Printer};
use crate::provision::scaffold;

/// Make a workspace to start from
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The directory; made if need be, and nothing in it is overwritten [default: the workspace]
    #[arg(value_name = "DIR", value_hint = clap::ValueHint::DirPath)]
    directory: Option<PathBuf>,
}

pub(super) fn run(args: &Args, global: &Global) -> Result<ExitCode, CliError> {
    let printer = Printer::new(global);
    let directory = args.directory.as_ref().unwrap_or(&global.workspace);
    let written = scaffold::write(directory).map_err(|error| CliError::of(Kind::Usage, &error).hint(error.hint()))?;
    let paths: Vec<String> = written.iter().map(|path| path.display().to_string()).collect();
    printer.list(&paths, |paths| super::printer::Rows {
        header: vec!["FILE"],
        narrow: 1,
        rows: paths.iter().map(|path| vec![path.clone()]).collect(),
    })?;
    printer.remark(&format!("next: prov serve --workspace {}", quoted(&directory.display().to_string())));
    Ok(ExitCode::SUCCESS)
}

/// A word as a shell takes it.
fn quoted(word: &str) -> String {
    let is_plain = |c: char| c.is_alphanumeric() || matches!(c, '/' | '.' | '_' | '-' | '+' | ',' | ':' | '@' | '=');
    if !word.is_empty() && word.chars().all(is_plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_quoted_where_a_shell_would_split_them() {
        assert_eq!([quoted("ws/a-b"), quoted("my ws"), quoted("it's")], ["ws/a-b", "'my ws'", r"'it'\''s'"]);
    }
}
