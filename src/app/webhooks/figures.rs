//! How the sending goes, for those who watch the daemon. Counts over all webhooks: there may be many, and one's URL is
//! nobody else's to read.

use super::Webhooks;
use crate::metrics::{Counter, Kind, Text};
use crate::model::time::Timestamp;

/// From so many failed attempts on one counts as failing.
const FAILING: u32 = 3;

/// What became of attempts since the start.
#[derive(Debug, Default)]
pub(super) struct Figures {
    pub(super) delivered: Counter,
    pub(super) failed: Counter,
    pub(super) dead: Counter,
}

impl Webhooks {
    /// How many fail again and again, and how many there are.
    pub(in crate::app) fn failing(&self) -> (usize, usize) {
        let workers = self.workers();
        (workers.values().filter(|worker| worker.condition().failures >= FAILING).count(), workers.len())
    }

    /// Tells Prometheus.
    pub(in crate::app) fn tell(&self, text: &mut Text, now: Timestamp) {
        let (failing, all) = self.failing();
        let oldest = self.workers().values().filter_map(|worker| worker.condition().waits_since).min();
        let help = "Attempts to deliver to webhooks, by outcome; `dead` counts what was set aside after its last one.";
        text.family("prov_webhook_deliveries_total", Kind::Counter, help);
        let figures = &self.figures;
        for (outcome, count) in
            [("delivered", &figures.delivered), ("failed", &figures.failed), ("dead", &figures.dead)]
        {
            text.figure(&[("outcome", outcome)], count.get());
        }
        text.single("prov_webhooks", Kind::Gauge, "Webhooks.", all);
        text.single("prov_webhooks_failing", Kind::Gauge, "Webhooks that fail again and again.", failing);
        let lag = oldest.map_or(0.0, |since| now.since(since).as_secs_f64());
        let help = "For how long the oldest event has waited that a webhook tries to deliver.";
        text.single("prov_webhook_lag_seconds", Kind::Gauge, help, lag);
    }
}
