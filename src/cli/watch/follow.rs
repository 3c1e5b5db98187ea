//! Following until work has ended: told by the stream of events, and asking where there is none. Answers, Ctrl-C and the time
//! limit are awaited together: a daemon that hangs holds up nobody who wants to leave.

use std::time::Duration;

use tokio::sync::mpsc::{Receiver, channel};
use tokio::time::Instant;

use super::Limits;
use super::followed::{Effect, Followed, Running};
use super::stream::{self, News};
use crate::api::envelope::Code;
use crate::cli::connect::failure;
use crate::cli::error::{CliError, Kind};
use crate::cli::progress::View;
use crate::client::{Client, ClientError};

/// How often is asked where there is no stream, at first.
const ASK: Duration = Duration::from_millis(150);
/// How often once that went in vain for a while.
const ASK_LATE: Duration = Duration::from_secs(1);
/// How often work is read that says how far it is.
const REPORTING: Duration = Duration::from_secs(2);
/// How often such that may say so yet.
const SILENT: Duration = Duration::from_secs(5);
/// How often all other: the net below a stream that is silent.
const SAFETY: Duration = Duration::from_secs(15);
/// News that wait at most.
const NEWS: usize = 64;
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
    /// What whoever stops following can do.
    pub(super) hint: String,
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
        let stop = self.hint.clone();
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

/// Follows until the work has ended. A daemon that is away for a while, as for an upgrade, is waited for, but one that was
/// never there is not.
pub(super) async fn until_ended<W: Followed, F>(
    client: &Client,
    ask: impl Fn() -> F,
    limits: Limits,
    view: &mut View,
    show: impl Fn(&mut View, &W),
) -> Result<W, CliError>
where
    F: Future<Output = Result<W, ClientError>>,
{
    let mut was_there = limits.was_there;
    let first = read(&ask, &mut was_there, view).await?;
    show(view, &first);
    if first.has_ended() {
        return Ok(first);
    }
    let (sender, mut news) = channel(NEWS);
    let fed = stream::feed(client, Some(first.work()), sender);
    let followed = async {
        let (mut work, mut pace) = (first, Pace::Asking(ASK));
        loop {
            if wait(&mut work, &mut news, &mut pace, limits, view, &show).await == Next::Read {
                let read = read(&ask, &mut was_there, view).await?;
                pace = pace.after(read == work);
                work = read;
                show(view, &work);
                if work.has_ended() {
                    return Ok(work);
                }
            }
        }
    };
    tokio::select! {
        biased;
        ended = followed => ended,
        () = fed => unreachable!("the stream is fed for as long as somebody listens"),
    }
}

/// How it is found out that the work went on.
#[derive(Clone, Copy, Debug)]
enum Pace {
    /// By asking, after so long: there is no stream.
    Asking(Duration),
    /// By being told.
    Told,
}

impl Pace {
    /// What is asked about in vain is asked about less often.
    fn after(self, in_vain: bool) -> Self {
        match self {
            Self::Asking(pause) if in_vain => Self::Asking((pause * 5 / 4).min(ASK_LATE)),
            Self::Asking(_) => Self::Asking(ASK),
            Self::Told => Self::Told,
        }
    }

    /// How long until it is read without being told. What is not in the stream, how far something is, is for who looks on.
    fn pause(self, running: Running, limits: Limits) -> Duration {
        match (self, running) {
            (Self::Asking(pause), _) => pause,
            (Self::Told, Running::Reporting) if limits.progress => REPORTING,
            (Self::Told, Running::Silent) if limits.progress => SILENT,
            (Self::Told, _) => SAFETY,
        }
    }
}

/// What is to be done next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    Read,
    Wait,
}

/// Waits until something is told or it is time to read.
async fn wait<W: Followed>(
    work: &mut W,
    news: &mut Receiver<News>,
    pace: &mut Pace,
    limits: Limits,
    view: &mut View,
    show: &impl Fn(&mut View, &W),
) -> Next {
    let due = Instant::now() + pace.pause(work.running(), limits);
    loop {
        let draw = Instant::now() + DRAW;
        tokio::select! {
            biased;
            told = news.recv() => match told {
                Some(News::Frame(frame)) => match work.apply(&frame) {
                    Effect::Ended => return Next::Read,
                    Effect::Changed => {
                        show(view, work);
                        return Next::Wait;
                    }
                    Effect::Nothing => {}
                },
                Some(News::Open { resumed }) => {
                    *pace = Pace::Told;
                    return if resumed { Next::Wait } else { Next::Read };
                }
                Some(News::Lost) | None => {
                    *pace = Pace::Asking(ASK);
                    return Next::Wait;
                }
            },
            () = tokio::time::sleep_until(due.min(draw)) => {
                if Instant::now() >= due {
                    return Next::Read;
                }
                view.redraw();
            }
        }
    }
}

/// Reads the work; waits for a daemon that is away.
async fn read<W, F>(ask: &impl Fn() -> F, was_there: &mut bool, view: &mut View) -> Result<W, CliError>
where
    F: Future<Output = Result<W, ClientError>>,
{
    let mut away: Option<Instant> = None;
    loop {
        match answer(ask(), view).await {
            Ok(work) => {
                *was_there = true;
                return Ok(work);
            }
            Err(error) if error.is_away() && *was_there => {
                if away.get_or_insert_with(Instant::now).elapsed() > PATIENCE {
                    return Err(failure(&error));
                }
                view.away();
            }
            // Others of the same user ask as well: a little later it is this one's turn.
            Err(ClientError::Answered(refused)) if refused.code == Code::RateLimited && *was_there => {
                tokio::time::sleep(ASK_LATE).await;
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
