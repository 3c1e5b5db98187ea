//! `prov selftest crash`: all rounds, the last look at the store, and nothing left of it.

use std::process::ExitCode;
use std::time::Instant;

use super::CrashArgs;
use super::check::{Promise, Violation, check};
use super::history::History;
use super::report::Report;
use super::round::{Link, Round, Strike};
use crate::api::batch::BatchView;
use crate::cli::connect::block_on;
use crate::cli::error::{CliError, Kind};
use crate::cli::own_daemon::{self, OwnDaemon};
use crate::cli::progress::Count;
use crate::cli::{Global, Printer, printer};

pub(super) fn run(args: &CrashArgs, global: &Global) -> Result<ExitCode, CliError> {
    let printer = Printer::new(global);
    let seed = args.seed.unwrap_or_else(|| uuid::Uuid::now_v7().as_u64_pair().1 & 0xffff_ffff);
    let mut own = OwnDaemon::set_up("selftest")?;
    printer.remark(&format!("a daemon of its own, in {}; the seed is {seed}", own.directory().display()));
    let start = Instant::now();
    let mut report = Report::of(seed);
    let played = block_on(async {
        tokio::select! {
            // Listened for before anything is started.
            biased;
            interruption = own_daemon::interruption() => Err(interruption),
            played = play(args.rounds, &mut own, &mut report, &printer) => played,
        }
    });
    report.finish(start.elapsed());
    own.end_everything();
    let is_broken = matches!(played, Ok(Some(_)));
    if !args.keep && !is_broken {
        own.remove()?;
    }
    let broken = played?;
    printer.item(&report, &seed.to_string(), |report| printer::text(&report.rows()))?;
    if let Some(broken) = broken {
        return Err(broken.explain(seed, &own));
    }
    if args.keep {
        printer.remark(&format!("the ledgers, the daemon's data and its log are in {}", own.directory().display()));
        printer.remark("every promise was kept, and no process is left");
    } else {
        printer.remark("every promise was kept, and nothing is left: no process, no file");
    }
    Ok(ExitCode::SUCCESS)
}

/// Plays all rounds, until one breaks a promise.
async fn play(
    rounds: u32,
    own: &mut OwnDaemon,
    report: &mut Report,
    printer: &Printer,
) -> Result<Option<Broken>, CliError> {
    let mut link = Link::open(own).await?;
    let (mut history, mut progress) = (History::default(), Count::new("round", u64::from(rounds), printer));
    for number in 1..=rounds {
        let mut round = Round::new(report.seed(), number, link.own);
        let played = round.play(&mut link).await;
        report.round(&round);
        let (violations, batch) = match played {
            Ok(evidence) => {
                report.evidence(&round, &evidence);
                let violations = check(&evidence);
                history.note(&evidence);
                (violations, evidence.view)
            }
            Err(error) => (vec![unplayable(&error)], None),
        };
        if !violations.is_empty() {
            report.broken(&violations);
            return Ok(Some(Broken { round: Some(round), violations, batch }));
        }
        progress.step();
    }
    progress.finish();
    printer.remark("stopping the daemon, and starting it once more to see what it remembers");
    let violations = history.verify(&mut link).await.unwrap_or_else(|error| vec![unplayable(&error)]);
    report.broken(&violations);
    Ok((!violations.is_empty()).then_some(Broken { round: None, violations, batch: None }))
}

/// The daemon did not start again, or did not answer.
fn unplayable(error: &CliError) -> Violation {
    let words: Vec<&str> = std::iter::once(&error.message).chain(&error.causes).map(String::as_str).collect();
    Violation { broken: Promise::Stuck, what: words.join(": ") }
}

/// A promise that was not kept, with all that is known.
struct Broken {
    /// `None` when it was found after the last round.
    round: Option<Round>,
    violations: Vec<Violation>,
    batch: Option<BatchView>,
}

impl Broken {
    /// Everything that is known, for whoever looks for the cause.
    fn explain(self, seed: u64, own: &OwnDaemon) -> CliError {
        let place = match &self.round {
            Some(round) => format!("in round {}", round.number),
            None => "after the last round".to_owned(),
        };
        let mut error = CliError::new(Kind::Failure, format!("prov broke a promise {place}, with the seed {seed}"));
        error.causes.extend(self.violations.iter().map(ToString::to_string));
        if let Some(round) = &self.round {
            let kill = |strike: &Strike| {
                let (after, lines) = (strike.after.as_millis(), strike.lines);
                format!("{after} ms after the begin of the round, at line {lines} of the ledger: {}", strike.hit)
            };
            error.causes.extend(round.strikes.iter().map(|strike| format!("killed {}", kill(strike))));
            error.causes.push(format!("the ledger:\n{}", round.ledger().trim_end()));
            error.hints.push(format!("prov selftest crash --seed {seed} --rounds {}", round.number));
        }
        error.causes.extend(self.batch.as_ref().and_then(|view| {
            serde_json::to_string_pretty(view).ok().map(|text| format!("the batch, as the daemon tells it:\n{text}"))
        }));
        let kept = own.directory().display();
        error.hint(format!("the ledgers, the daemon's data and its log (daemon.log) are kept in {kept}"))
    }
}
