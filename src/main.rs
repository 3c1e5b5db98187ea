//! The `prov` binary: parse, dispatch, map errors to exit codes.

use std::ffi::OsString;
use std::process::ExitCode;

use prov::provision::settings::evaluator;

fn main() -> ExitCode {
    let args: Vec<OsString> = std::env::args_os().skip(1).collect();
    // Before anything else of the program: what evaluates a stranger's file must hold nothing.
    if let [first, second, rest @ ..] = args.as_slice()
        && first == "internal"
        && second == evaluator::SUBCOMMAND
    {
        return evaluator::run(rest);
    }
    ExitCode::SUCCESS
}
