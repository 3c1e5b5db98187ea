//! Asking a provider until there is an answer: calls that change nothing, or that may be repeated.

use std::sync::PoisonError;
use std::time::Instant;

use super::Cloud;
use super::api::{CallError, Deletion, Labels, Machine};
use super::backoff::Backoff;
use crate::provision::provider::ProviderError;

impl Cloud {
    /// The waits between attempts at one thing.
    pub(super) fn backoff(&self) -> Backoff {
        let poll = self.api.poll_every();
        Backoff::new(poll / 2, poll * 15)
    }

    /// Makes a call that may be made again until it has an answer, for as long as patience lasts.
    pub(super) fn ask<T>(&self, what: &str, call: impl Fn() -> Result<T, CallError>) -> Result<T, ProviderError> {
        let begun = Instant::now();
        let until = begun + self.patience();
        let mut backoff = self.backoff();
        loop {
            match call() {
                Ok(answer) => return Ok(answer),
                Err(CallError::Refused { what: said, hint }) => {
                    return Err(refused(&format!("can't {what}"), &said, hint));
                }
                Err(error) => {
                    let wait = backoff.next(error.after());
                    if wait >= until.saturating_duration_since(Instant::now()) {
                        return Err(self.out_of_patience(what, &error));
                    }
                    self.tell(what, &error, begun);
                    std::thread::sleep(wait);
                }
            }
        }
    }

    /// Every machine with these labels.
    pub(super) fn find(&self, labels: &Labels) -> Result<Vec<Machine>, ProviderError> {
        self.ask("list its machines", || self.api.find(labels))
    }

    /// Deletes a machine, step by step, until it is gone.
    pub(super) fn end(&self, machine: &Machine) -> Result<(), ProviderError> {
        let until = Instant::now() + self.patience();
        loop {
            let what = format!("delete the machine {}", machine.id);
            if self.ask(&what, || self.api.delete(machine))? == Deletion::Gone {
                return Ok(());
            }
            if Instant::now() >= until {
                let still = CallError::Unknown("it is still there".to_owned());
                return Err(self.out_of_patience(&what, &still));
            }
            std::thread::sleep(self.api.poll_every());
        }
    }

    /// Tells what goes on being tried since `begun`: not what a second try mends, and not the same from every thread.
    pub(super) fn tell(&self, what: &str, last: &CallError, begun: Instant) {
        let (now, pause) = (Instant::now(), self.api.poll_every() * 15);
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        let is_news = told.is_none_or(|at| now.duration_since(at) >= pause);
        if is_news && now.duration_since(begun) >= self.api.poll_every() {
            *told = Some(now);
            let (provider, left) = (self.api.name(), self.patience().saturating_sub(now.duration_since(begun)));
            self.reporter.step(&format!("{provider} can't {what}: {last}; trying for {} s more", left.as_secs()));
        }
    }

    /// The error for what couldn't be done for as long as prov tries, and why not the last time.
    pub(super) fn out_of_patience(&self, what: &str, last: &CallError) -> ProviderError {
        let (provider, patience_s) = (self.api.name(), self.patience().as_secs());
        match last.after().filter(|after| *after > self.backoff().most()) {
            Some(after) => ProviderError::Unavailable {
                what: format!("{provider} can't {what}: {last}"),
                hint: Some(format!(
                    "it wants to be asked again in {} s, and prov tries for {patience_s} s: try again after that",
                    after.as_secs()
                )),
            },
            None => ProviderError::Failed {
                attempt: format!("{provider} can't {what} within {patience_s} s"),
                source: Box::new(last.clone()),
            },
        }
    }
}

/// The error for what a provider refused.
pub(super) fn refused(attempt: &str, said: &str, hint: Option<String>) -> ProviderError {
    ProviderError::Unavailable { what: format!("{attempt}: {said}"), hint }
}
