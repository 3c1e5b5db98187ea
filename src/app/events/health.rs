//! How the daemon does, for whoever follows: looked at while somebody does, told when it changed.
//!
//! What makes a change is a word of status, of the whole or of a part; the reasons beside it have numbers that never stand
//! still.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use super::super::App;
use crate::api::state::{Health, SystemHealth};
use crate::app::error::Error;

/// How often it is looked at.
const INTERVAL: Duration = Duration::from_secs(2);

/// How the daemon did when it was last looked at.
pub(in crate::app) type Board = watch::Sender<Option<Arc<SystemHealth>>>;

/// Somebody who is told.
pub(super) struct Told {
    board: watch::Receiver<Option<Arc<SystemHealth>>>,
    last: Option<Arc<SystemHealth>>,
}

impl App {
    /// Looks how the daemon does while anybody follows it, for as long as the daemon runs.
    pub async fn watch_health(self: Arc<Self>) {
        let mut interval = tokio::time::interval(INTERVAL);
        interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            interval.tick().await;
            if self.health.receiver_count() > 0
                && let Err(error) = self.look_at_health().await
            {
                tracing::warn!(%error, "can't find out how the daemon does");
            }
        }
    }

    /// Looks, and tells when something changed.
    async fn look_at_health(&self) -> Result<(), Error> {
        let now = Arc::new(self.health_now().await?);
        self.health.send_if_modified(|last| {
            let changed = last.as_ref().is_none_or(|last| differ(last, &now));
            *last = Some(now);
            changed
        });
        Ok(())
    }
}

impl Told {
    /// Somebody who knows nothing yet, and finds how things are now.
    ///
    /// # Errors
    /// When it can't be found out.
    pub(super) async fn begin(app: &App) -> Result<Self, Error> {
        // Before it is looked: what changes after that is a change for this one.
        let board = app.health.subscribe();
        app.look_at_health().await?;
        Ok(Self { board, last: None })
    }

    /// What there is to tell: how it did by what was told last, and how it does.
    pub(super) fn news(&mut self) -> Option<(Option<Health>, Arc<SystemHealth>)> {
        let now = self.board.borrow_and_update().clone()?;
        let is_news = self.last.as_ref().is_none_or(|last| differ(last, &now));
        let before = self.last.as_ref().map(|last| last.overall_status);
        is_news.then(|| {
            self.last = Some(Arc::clone(&now));
            (before, now)
        })
    }

    /// Waits until there may be something to tell.
    pub(super) async fn changed(told: &mut Option<Self>) {
        // Only the board's end is an error, and it lasts as long as the app.
        let changed = if let Some(told) = told { told.board.changed().await.is_ok() } else { false };
        if !changed {
            std::future::pending::<()>().await;
        }
    }
}

fn differ(one: &SystemHealth, other: &SystemHealth) -> bool {
    let words = |health: &SystemHealth| -> Vec<(String, Health)> {
        health.components.iter().map(|(name, part)| (name.clone(), part.status)).collect()
    };
    one.overall_status != other.overall_status || words(one) != words(other)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::state::ComponentHealth;
    use crate::model::time::Timestamp;

    fn health(disk: Health, reason: &str) -> Arc<SystemHealth> {
        let part = ComponentHealth { status: disk, reason: Some(reason.to_owned()) };
        let components = [("disk".to_owned(), part)].into();
        Arc::new(SystemHealth { overall_status: disk, components, last_check: Timestamp(0) })
    }

    #[test]
    fn a_change_of_a_word_is_told_once_and_a_number_is_none() {
        let (board, receiver) = watch::channel(None);
        let mut told = Told { board: receiver, last: None };
        let mut tell = |now| {
            board.send_replace(now);
            told.news().map(|(before, now)| (before, now.overall_status))
        };
        assert_eq!(tell(None), None, "nothing is known yet");
        assert_eq!(tell(Some(health(Health::Degraded, "9 MiB left"))), Some((None, Health::Degraded)));
        assert_eq!(tell(Some(health(Health::Degraded, "8 MiB left"))), None);
        assert_eq!(tell(Some(health(Health::Healthy, ""))), Some((Some(Health::Degraded), Health::Healthy)));
        assert_eq!(tell(Some(health(Health::Healthy, ""))), None);
    }
}
