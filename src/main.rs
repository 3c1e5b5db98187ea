//! The `prov` binary: parse, dispatch, map errors to exit codes.

use std::ffi::OsString;
use std::path::Path;
use std::process::ExitCode;

use prov::provision::describe;
use prov::provision::provider::local;
use prov::provision::settings::evaluator;
use prov::provision::tiny;

fn main() -> ExitCode {
    let args: Vec<OsString> = std::env::args_os().skip(1).collect();
    // Before anything else of the program: helpers that must hold nothing and stay small.
    if let [first, second, rest @ ..] = args.as_slice()
        && first == "internal"
    {
        return internal(second, rest);
    }
    prov::cli::main()
}

/// Entries that prov calls itself by.
fn internal(name: &OsString, rest: &[OsString]) -> ExitCode {
    match (name.to_str(), rest) {
        (Some(evaluator::SUBCOMMAND), rest) => evaluator::run(rest),
        (Some(describe::SUBCOMMAND), rest) => describe::run(rest),
        (Some(word @ (local::init::SUBCOMMAND | local::exec::SUBCOMMAND)), rest) => local::internal(word, rest),
        (Some(word @ (tiny::HTTP | tiny::KV)), rest) => tiny::run(word, rest),
        (Some("supervisor"), [directory, logs, limit]) => {
            let limit = limit.to_str().and_then(|limit| limit.parse().ok()).unwrap_or(u64::MAX);
            match prov::exec::supervisor::run(Path::new(directory), Path::new(logs), limit) {
                Ok(()) => ExitCode::SUCCESS,
                Err(error) => {
                    eprintln!("prov supervisor: {error}");
                    ExitCode::FAILURE
                }
            }
        }
        _ => {
            eprintln!("prov: `prov internal` is for prov itself");
            ExitCode::from(2)
        }
    }
}
