//! The process that reads one Nickel or YAML file: `prov internal evaluate ROOT FILE SECONDS`.
//!
//! Started by [`super::evaluate`], never by people, and dispatched before anything else of the program runs. It locks
//! itself in ([`super::jail`]), reads the file, answers on standard output and ends. It holds nothing worth stealing:
//! its environment is empty and its standard input closed.

use std::ffi::OsString;
use std::io::Write;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use serde_json::Value;

use super::evaluate::Format;
use super::jail::{self, Reach};
use super::problem::Problem;
use super::{imports, parse};

/// The word after `prov internal` that means this process.
pub const SUBCOMMAND: &str = "evaluate";

/// The first byte of an answer that is a value.
const VALUE: u8 = b'v';
/// The first byte of an answer that is a list of problems.
const PROBLEMS: u8 = b'p';

/// What reading a file comes to.
type Answer = Result<Value, Vec<Problem>>;

/// Runs the process with the words after [`SUBCOMMAND`].
#[must_use]
pub fn run(args: &[OsString]) -> ExitCode {
    let [root, file, seconds] = args else { return refuse("wrong number of arguments") };
    let Some(seconds) = seconds.to_str().and_then(|text| text.parse().ok()) else { return refuse("bad time limit") };
    let (root, file) = (Path::new(root), Path::new(file));
    let reach = match jail::enter(root, file, Duration::from_secs(seconds)) {
        Ok(reach) => reach,
        Err(error) => return refuse(&error.to_string()),
    };
    match answer(root, file, reach).and_then(|answer| write_answer(&answer)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => refuse(&error.to_string()),
    }
}

fn refuse(why: &str) -> ExitCode {
    eprintln!("{why}");
    ExitCode::FAILURE
}

fn answer(root: &Path, file: &Path, reach: Reach) -> std::io::Result<Answer> {
    let name = file.display().to_string();
    let text = std::fs::read_to_string(root.join(file))?;
    Ok(match Format::of(file) {
        Some(Format::Nickel) => {
            // Looked through before anything follows them: a FIFO would be waited for until the time is up.
            let refused = imports::refused(root, file, reach);
            if refused.is_empty() { nickel(root, &name, &text) } else { Err(refused) }
        }
        Some(Format::Yaml) => parse::yaml(&text).map_err(|error| vec![error.problem(&name, &text)]),
        Some(Format::Json) => parse::json(&text).map_err(|error| vec![error.problem(&name, &text)]),
        None => return Err(std::io::Error::other("the file is in no known format")),
    })
}

#[cfg(feature = "nickel")]
fn nickel(root: &Path, name: &str, text: &str) -> Answer {
    super::nickel::evaluate(root, name, text)
}

#[cfg(not(feature = "nickel"))]
fn nickel(_root: &Path, name: &str, _text: &str) -> Answer {
    let message = "this prov was built without the feature `nickel`".to_owned();
    Err(vec![Problem { file: name.to_owned(), message, ..Problem::default() }])
}

fn write_answer(answer: &Answer) -> std::io::Result<()> {
    let mut bytes = Vec::new();
    match answer {
        Ok(value) => {
            bytes.push(VALUE);
            serde_json::to_writer(&mut bytes, value)?;
        }
        Err(problems) => {
            bytes.push(PROBLEMS);
            serde_json::to_writer(&mut bytes, problems)?;
        }
    }
    std::io::stdout().lock().write_all(&bytes)
}

/// The answer that the process wrote; `None` where `bytes` are none.
#[must_use]
pub fn read_answer(bytes: &[u8]) -> Option<Answer> {
    let (tag, json) = bytes.split_first()?;
    match *tag {
        VALUE => parse::json(std::str::from_utf8(json).ok()?).ok().map(Ok),
        PROBLEMS => serde_json::from_slice(json).ok().filter(|problems: &Vec<Problem>| !problems.is_empty()).map(Err),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_a_value_or_problems_and_nothing_else() {
        assert_eq!(read_answer(b"v{\"a\":1}"), Some(Ok(serde_json::json!({"a": 1}))));
        let problems = vec![Problem { message: "bad".to_owned(), ..Problem::default() }];
        let bytes = [b"p".as_slice(), &serde_json::to_vec(&problems).unwrap()].concat();
        assert_eq!(read_answer(&bytes), Some(Err(problems)));
        for bad in [b"".as_slice(), b"v", b"v{", b"p[]", b"x{}", b"v\xff"] {
            assert_eq!(read_answer(bad), None, "{bad:?}");
        }
    }
}
