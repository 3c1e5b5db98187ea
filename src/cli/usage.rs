//! Wrong use, as clap found it, told like every other error. Help and version, which clap reports the same way, go to
//! standard output.

use std::ffi::OsString;
use std::process::ExitCode;

use clap::ValueEnum;
use clap::error::ErrorKind;

use super::error::{CliError, Kind};
use super::printer::{self, Format};

/// Prints what clap has to say about these arguments, and gives the exit code.
pub(super) fn report(error: &clap::Error, args: &[OsString]) -> ExitCode {
    let printed = match error.kind() {
        ErrorKind::DisplayHelp => printer::page(&error.render().to_string()),
        ErrorKind::DisplayVersion => printer::write(error.render().to_string().as_bytes()).map(|_| ()),
        _ => Err(told(error)),
    };
    match printed {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => error.report(asked(args)),
    }
}

/// The format that was asked for, as far as it can be told from arguments that are wrong.
fn asked(args: &[OsString]) -> Format {
    let words: Vec<&str> = args.iter().map_while(|arg| arg.to_str()).take_while(|arg| *arg != "--").collect();
    let mut values = words.iter().enumerate().filter_map(|(position, word)| match *word {
        "-o" | "--output" => words.get(position + 1).copied(),
        word => {
            let short = word.strip_prefix("-o").filter(|_| !word.starts_with("--"));
            let value = word.strip_prefix("--output=").or(short)?;
            Some(value.strip_prefix('=').unwrap_or(value))
        }
    });
    values.next_back().and_then(|value| Format::from_str(value, false).ok()).unwrap_or(Format::Table)
}

fn told(error: &clap::Error) -> CliError {
    if error.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand {
        let text = error.render().to_string();
        let usage = text.lines().find_map(|line| line.strip_prefix("Usage: ")).unwrap_or("prov");
        let words = command_of(usage);
        return CliError::new(Kind::Usage, format!("`{words}` needs a command")).hint(format!("{words} --help"));
    }
    parsed(&error.render().to_string())
}

/// clap's text taken apart: its paragraphs are the message, tips, the usage, and where to read on.
fn parsed(text: &str) -> CliError {
    let text = text.strip_prefix("error: ").unwrap_or(text).trim_end();
    let mut error = CliError::new(Kind::Usage, String::new());
    let mut message: Vec<&str> = Vec::new();
    let mut help = "prov --help".to_owned();
    for line in text.lines().filter(|line| !line.is_empty()) {
        if let Some(usage) = line.strip_prefix("Usage: ") {
            help = format!("{} --help", command_of(usage));
        } else if let Some(tip) = line.trim_start().strip_prefix("tip: ") {
            error.hints.extend(useful(tip));
        } else if !line.starts_with("For more information") {
            message.push(line);
        }
    }
    error.message = message.join("\n");
    error.hint(help)
}

/// A tip as a hint. That a misspelt option could be meant as a value is never what was meant.
fn useful(tip: &str) -> Option<String> {
    let is_similar = tip.contains("similar") || tip.contains("some ");
    is_similar.then(|| format!("did you mean {}?", tip.rsplit_once(": ").map_or(tip, |(_, words)| words)))
}

/// `prov tasks list` of `prov tasks list [OPTIONS] <ID>`.
fn command_of(usage: &str) -> String {
    let is_word = |word: &&str| !word.starts_with(['[', '<', '-', '|']);
    usage.split_whitespace().take_while(is_word).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;
    use crate::cli::Cli;

    fn wrong(words: &[&str]) -> CliError {
        told(&Cli::command().try_get_matches_from([&["prov"], words].concat()).unwrap_err())
    }

    #[test]
    fn wrong_use_is_message_and_hints() {
        let unknown = wrong(&["task", "lst"]);
        assert_eq!(unknown.message, "unrecognized subcommand 'lst'");
        assert_eq!(unknown.hints, ["did you mean 'list'?", "prov tasks --help"]);
        let option = wrong(&["tasks", "list", "--stauts", "Failed"]);
        assert_eq!(option.hints, ["did you mean '--status'?", "prov tasks list --help"]);
        let missing = wrong(&["tasks", "get"]);
        assert!(missing.message.contains("<ID>"), "{}", missing.message);
        assert_eq!(wrong(&["batch"]).message, "`prov batch` needs a command");
        assert_eq!(wrong(&["tasks", "list", "--nonsense-nobody-meant"]).hints, ["prov tasks list --help"]);
    }

    #[test]
    fn the_format_is_told_from_wrong_arguments_too() {
        let asked = |words: &[&str]| asked(&words.iter().map(OsString::from).collect::<Vec<_>>());
        for words in [&["-o", "json", "x"][..], &["-ojson"], &["-o=json"], &["--output", "json"], &["--output=json"]] {
            assert_eq!(asked(words), Format::Json, "{words:?}");
        }
        assert_eq!(asked(&["-o", "jsn"]), Format::Table);
        assert_eq!(asked(&["--", "-o", "json"]), Format::Table);
    }
}
