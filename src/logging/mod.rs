//! The daemon's own log: how its lines look, how much each component says, and the newest lines for whoever reads along.
//!
//! Every line goes to standard error, as text for people or as JSON, and into a ring of the newest ([`ring`]). What a span
//! knows, the request above all, stands on each line within it. How much is said can be changed while the daemon runs
//! ([`levels`]). Knows nothing of who may read what.

mod journal;
pub mod levels;
pub mod ring;

use std::sync::Arc;

use tracing_subscriber::Registry;
use tracing_subscriber::layer::SubscriberExt;

use journal::Journal;
use levels::Levels;
use ring::Ring;

/// How lines look on standard error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Look {
    /// For people, perhaps in colour.
    Text {
        /// Whether in colour.
        coloured: bool,
    },
    /// One JSON object a line.
    Json,
}

/// The log of this process.
#[derive(Clone, Debug, Default)]
pub struct Logging {
    /// How much each component says.
    pub levels: Arc<Levels>,
    /// The newest lines.
    pub ring: Arc<Ring>,
}

impl Logging {
    /// One that says so much.
    #[must_use]
    pub fn new(levels: Levels) -> Self {
        Self { levels: Arc::new(levels), ring: Arc::default() }
    }

    /// From now on all that this process logs goes here. Only the first of a process is listened to.
    pub fn install(&self, look: Look) {
        let journal = Journal::new(self.clone(), look);
        // Where there is one already, it stays.
        let _ = tracing::subscriber::set_global_default(Registry::default().with(journal));
    }
}
