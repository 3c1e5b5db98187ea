//! Asking a provider until there is an answer: calls that change nothing, or that may be repeated.

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
        let until = Instant::now() + self.patience();
        let mut backoff = self.backoff();
        loop {
            match call() {
                Ok(answer) => return Ok(answer),
                Err(CallError::Refused { what: said, hint }) => {
                    return Err(refused(&format!("can't {what}"), &said, hint));
                }
                Err(error) => {
                    let after = if let CallError::Later { after, .. } = &error { *after } else { None };
                    let wait = backoff.next(after);
                    if Instant::now() + wait >= until {
                        return Err(self.out_of_patience(&format!("can't {what}"), &error));
                    }
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
                return Err(self.out_of_patience(&format!("can't {what}"), &still));
            }
            std::thread::sleep(self.api.poll_every());
        }
    }

    pub(super) fn out_of_patience(&self, attempt: &str, last: &CallError) -> ProviderError {
        let attempt = format!("{} {attempt} within {} s", self.api.name(), self.patience().as_secs());
        ProviderError::Failed { attempt, source: Box::new(last.clone()) }
    }
}

/// The error for what a provider refused.
pub(super) fn refused(attempt: &str, said: &str, hint: Option<String>) -> ProviderError {
    ProviderError::Unavailable { what: format!("{attempt}: {said}"), hint }
}
