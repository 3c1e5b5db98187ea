//! Asking until work has ended. Answers, Ctrl-C and the time limit are awaited together: a daemon that hangs holds up
//! nobody who wants to leave.

use std::time::{Duration, Instant};

use super::Limits;
use crate::cli::connect::failure;
use crate::cli::error::{CliError, Kind};
use crate::cli::progress::View;
use crate::client::ClientError;

/// How often is asked.
const ASK: Duration = Duration::from_millis(150);
/// How long an answer may take before the view says that the daemon is away.
const SOON: Duration = Duration::from_secs(1);
/// How often the view is drawn while no answer comes.
const DRAW: Duration = Duration::from_millis(250);
/// How long the daemon may be away before following gives up.
const PATIENCE: Duration = Duration::from_mins(1);

/// What is followed, for people.
pub(super) struct Watched {
    /// `batch` or `task`.
    pub(super) noun: &'static str,
    /// Its id.
    pub(super) id: String,
    /// What ends it.
    pub(super) cancel: String,
}

impl Watched {
    /// `batch 0199…`.
    pub(super) fn name(&self) -> String {
        format!("{} {}", self.noun, self.id)
    }

    /// An error about it.
    pub(super) fn error(&self, kind: Kind, message: String) -> CliError {
        CliError { id: Some(self.id.as_str().into()), ..CliError::new(kind, message) }
    }

    /// Does something until it is done, somebody presses Ctrl-C, or time is up.
    pub(super) async fn attend<T>(
        &self,
        timeout: Option<Duration>,
        work: impl Future<Output = Result<T, CliError>>,
    ) -> Result<T, CliError> {
        let time_is_up = async {
            match timeout {
                Some(timeout) => tokio::time::sleep(timeout).await,
                None => std::future::pending().await,
            }
        };
        let stop = format!("cancel it with `{}`", self.cancel);
        tokio::select! {
            biased;
            done = work => done,
            _ = tokio::signal::ctrl_c() => {
                let message = format!("no longer following; {} goes on", self.name());
                Err(self.error(Kind::Interrupted, message).hint(stop))
            }
            () = time_is_up => {
                let message = format!("{} has not ended yet; it goes on", self.name());
                Err(self.error(Kind::TimedOut, message).hint(stop))
            }
        }
    }
}

/// Asks until `show`, which shows an answer, says that it was the last. A daemon that is away for a while, as for an
/// upgrade, is waited for, but one that was never there is not.
pub(super) async fn until_ended<T, F>(
    ask: impl Fn() -> F,
    limits: Limits,
    view: &mut View,
    mut show: impl FnMut(&mut View, &T) -> bool,
) -> Result<T, CliError>
where
    F: Future<Output = Result<T, ClientError>>,
{
    let mut was_there = limits.was_there;
    let mut away: Option<Instant> = None;
    loop {
        match answer(ask(), view).await {
            Ok(answer) => {
                (was_there, away) = (true, None);
                if show(view, &answer) {
                    return Ok(answer);
                }
            }
            Err(error) if error.is_away() && was_there => {
                if away.get_or_insert_with(Instant::now).elapsed() > PATIENCE {
                    return Err(failure(&error));
                }
                view.away();
            }
            Err(error) => return Err(failure(&error)),
        }
        tokio::time::sleep(ASK).await;
    }
}

/// Awaits an answer, and has the view say so when it takes long.
async fn answer<T>(asked: impl Future<Output = Result<T, ClientError>>, view: &mut View) -> Result<T, ClientError> {
    let mut asked = std::pin::pin!(asked);
    if let Ok(answer) = tokio::time::timeout(SOON, &mut asked).await {
        return answer;
    }
    loop {
        view.away();
        if let Ok(answer) = tokio::time::timeout(DRAW, &mut asked).await {
            return answer;
        }
    }
}
