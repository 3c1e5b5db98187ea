//! What moves the screen: reads, follows the stream of events, and does what the model wants done.
//!
//! The first reading happens before the terminal is taken, so that whoever may not read, or has no daemon, is told so as by any
//! other command. After that nothing but a key or a signal ends it: a daemon that is away is waited for.

mod reads;

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::model::{Effect, Input, Link, Model};
use super::render::{self, Theme};
use super::screen::{Screen, Typed, keyboard};
use crate::cli::connect::ask;
use crate::cli::error::{CliError, Kind};
use crate::cli::printer::Printer;
use crate::cli::style;
use crate::cli::watch::stream::{self, News};
use crate::client::{Client, ClientError};
use crate::model::time::Timestamp;

/// How often it is drawn while nothing happens: ages go on, and marks wander.
const DRAW: Duration = Duration::from_millis(500);
/// How long at least between two drawings, unless a key was pressed.
const BREATH: Duration = Duration::from_millis(40);
/// How often all is read while something runs, how often else, and how long at least between two readings.
const BUSY: Duration = Duration::from_secs(2);
const IDLE: Duration = Duration::from_secs(15);
const APART: Duration = Duration::from_millis(500);
/// The same where there is no stream.
const ASKING: Duration = Duration::from_secs(1);
/// How long a reading may take before the daemon counts as away.
const PATIENCE: Duration = Duration::from_secs(2);
/// What waits at most to be taken in.
const WAITING: usize = 256;

/// Shows everything until somebody quits.
///
/// # Errors
/// When nothing can be read at first, or the terminal can't be drawn on.
pub(super) async fn run(client: Client, printer: Printer, filter: String) -> Result<ExitCode, CliError> {
    let client = Arc::new(client);
    let lists = ask(&printer, Box::pin(reads::lists(&client))).await?;
    let failed = |error: std::io::Error| CliError::new(Kind::Failure, format!("can't draw on the terminal: {error}"));
    let (mut terminate, mut hang_up) =
        (listen(SignalKind::terminate()).map_err(failed)?, listen(SignalKind::hangup()).map_err(failed)?);
    let mut interrupt = listen(SignalKind::interrupt()).map_err(failed)?;
    let mut screen = Screen::take().map_err(failed)?;
    let mut driver = Driver::new(client, printer, filter);
    driver.take(Input::Read(lists));
    let (mut typed, mut news) = (keyboard(), driver.follow());
    loop {
        driver.draw(&mut screen).map_err(failed)?;
        let due = driver.next_due();
        tokio::select! {
            typed = typed.recv() => match typed {
                Some(typed) => driver.typed(typed),
                // There is no terminal any more.
                None => return Ok(ExitCode::from(Kind::Terminated.code())),
            },
            Some(news) = news.recv() => driver.news(news),
            Some(input) = driver.inputs.recv() => driver.input(input),
            () = tokio::time::sleep_until(due) => driver.due(),
            _ = terminate.recv() => return Ok(ExitCode::from(Kind::Terminated.code())),
            _ = hang_up.recv() => return Ok(ExitCode::from(Kind::Terminated.code())),
            _ = interrupt.recv() => return Ok(ExitCode::from(Kind::Interrupted.code())),
        }
        if driver.quits {
            return Ok(ExitCode::SUCCESS);
        }
    }
}

fn listen(kind: SignalKind) -> std::io::Result<Signal> {
    signal(kind)
}

/// What comes of something that was asked for.
pub(super) enum Came {
    /// Something to show.
    Input(Input),
    /// All work, or why it can't be read.
    Read(Result<Input, ClientError>),
    /// Something was changed: what is shown is old.
    Changed(String),
}

struct Driver {
    client: Arc<Client>,
    printer: Printer,
    model: Model,
    theme: Theme,
    inputs: Receiver<Came>,
    sender: Sender<Came>,
    asked: JoinSet<()>,
    log: Option<tokio::task::AbortHandle>,
    /// When all is read again; none while it is being read.
    read_at: Option<Instant>,
    /// When it was read last, or began to be.
    read_last: Instant,
    /// Whether it is to be read again as soon as that is done.
    is_stale: bool,
    drawn_at: Instant,
    is_drawn: bool,
    is_live: bool,
    quits: bool,
}

impl Driver {
    fn new(client: Arc<Client>, printer: Printer, filter: String) -> Self {
        let (sender, inputs) = channel(WAITING);
        let (server, now) = (client.servers().orchestrator.clone(), Instant::now());
        Self {
            client,
            printer,
            model: Model::new(server, filter),
            theme: Theme { has_colour: style::on_stdout() },
            inputs,
            sender,
            asked: JoinSet::new(),
            log: None,
            read_at: Some(now),
            read_last: now,
            is_stale: false,
            drawn_at: now,
            is_drawn: false,
            is_live: false,
            quits: false,
        }
    }

    fn follow(&mut self) -> Receiver<News> {
        let (sender, news) = channel(WAITING);
        let client = Arc::clone(&self.client);
        self.asked.spawn(async move { stream::feed(&client, None, sender).await });
        news
    }

    fn typed(&mut self, typed: Typed) {
        if let Typed::Key(key) = typed {
            self.take(Input::Key(key));
        }
        // Who presses a key sees at once what it does.
        (self.is_drawn, self.drawn_at) = (false, Instant::now() - BREATH);
    }

    fn news(&mut self, news: News) {
        match news {
            News::Frame(frame) => self.take(Input::Frame(frame)),
            News::Open { .. } => {
                self.is_live = true;
                self.take(Input::Link(Link::Live));
                self.read_soon();
            }
            News::Lost => {
                self.is_live = false;
                self.take(Input::Link(Link::Asking));
                self.read_soon();
            }
        }
    }

    fn input(&mut self, came: Came) {
        match came {
            Came::Input(input) => self.take(input),
            Came::Changed(text) => {
                self.take(Input::Told(text));
                self.read_soon();
            }
            Came::Read(read) => {
                let pause = match read {
                    Ok(input) => {
                        self.take(input);
                        self.take(Input::Link(if self.is_live { Link::Live } else { Link::Asking }));
                        match (self.is_live, self.model.is_busy()) {
                            (false, _) => ASKING,
                            (true, true) => BUSY,
                            (true, false) => IDLE,
                        }
                    }
                    Err(error) => {
                        self.take(if error.is_away() {
                            Input::Link(Link::Away)
                        } else {
                            Input::Told(error.to_string())
                        });
                        ASKING
                    }
                };
                self.read_last = Instant::now();
                let pause = if std::mem::take(&mut self.is_stale) { APART } else { pause };
                self.read_at = Some(self.read_last + pause);
            }
        }
    }

    /// What is shown is old: it is read as soon as the last reading is long enough ago.
    fn read_soon(&mut self) {
        match &mut self.read_at {
            Some(at) => *at = (*at).min(self.read_last + APART),
            None => self.is_stale = true,
        }
    }

    fn next_due(&self) -> Instant {
        let draw = self.drawn_at + if self.is_drawn { DRAW } else { BREATH };
        self.read_at.map_or(draw, |read| read.min(draw))
    }

    fn due(&mut self) {
        let now = Instant::now();
        if self.read_at.is_some_and(|at| at <= now) {
            (self.read_at, self.read_last) = (None, now);
            self.ask(|client| async move { Came::Read(reads::lists(&client).await.map(Input::Read)) });
            self.ask(|client| async move { reads::figures(&client).await });
            if let Some(batch) = self.model.opening() {
                self.apply(Effect::Open(batch));
            }
        }
        if self.read_at.is_none() && now > self.read_last + PATIENCE {
            self.take(Input::Link(Link::Away));
        }
        if self.drawn_at + DRAW <= now {
            self.is_drawn = false;
        }
    }

    /// Takes something in, and does what follows from it.
    fn take(&mut self, input: Input) {
        let effects = self.model.update(input);
        self.is_drawn = false;
        for effect in effects {
            self.apply(effect);
        }
    }

    fn apply(&mut self, effect: Effect) {
        match effect {
            Effect::Quit => self.quits = true,
            Effect::Read => self.read_soon(),
            Effect::Open(id) => self.ask(move |client| async move {
                reads::told(client.batch_get(id).await, |batch| Input::Opened(Box::new(batch)))
            }),
            Effect::CloseLog => drop(self.log.take().map(|log| log.abort())),
            Effect::Log(task) => {
                let (client, sender, printer) = (Arc::clone(&self.client), self.sender.clone(), self.printer);
                let reading = self.asked.spawn(async move { reads::log(&client, task, &printer, sender).await });
                if let Some(other) = self.log.replace(reading) {
                    other.abort();
                }
            }
            Effect::CancelTask(id) => self.ask(move |client| async move {
                reads::changed(client.task_cancel(id).await, |task| format!("{} is being cancelled", task.name))
            }),
            Effect::CancelBatch(id, rollback) => self.ask(move |client| async move {
                let how = if rollback { " and undone" } else { "" };
                let said = |name: String| format!("{name} is being cancelled{how}");
                reads::changed(client.batch_cancel(id, rollback).await, |batch| said(batch.summary.name))
            }),
            Effect::RetryTask(id) => self.ask(move |client| async move {
                reads::changed(client.task_retry(id).await, |id| format!("it runs again as task {id}"))
            }),
            Effect::RetryBatch(id) => self.ask(move |client| async move {
                reads::changed(client.batch_retry(id).await, |batch| format!("{} goes on", batch.summary.name))
            }),
        }
    }

    /// Does something beside, and has what comes of it taken in.
    fn ask<F>(&mut self, call: impl FnOnce(Arc<Client>) -> F)
    where
        F: Future<Output = Came> + Send + 'static,
    {
        let (asked, sender) = (call(Arc::clone(&self.client)), self.sender.clone());
        self.asked.spawn(async move {
            // Nobody looks any more where nobody takes it.
            let _ = sender.send(asked.await).await;
        });
        // What has ended is let go of.
        while self.asked.try_join_next().is_some() {}
    }

    fn draw(&mut self, screen: &mut Screen) -> std::io::Result<()> {
        let now = Instant::now();
        if self.is_drawn || now < self.drawn_at + BREATH {
            return Ok(());
        }
        let height = screen.0.size()?.height;
        self.model.page = render::page(height, self.model.over.as_ref());
        let (model, theme) = (&self.model, self.theme);
        screen.0.draw(|frame| render::draw(frame, model, theme, Timestamp::now()))?;
        (self.drawn_at, self.is_drawn) = (now, true);
        Ok(())
    }
}
