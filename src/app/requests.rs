//! Requests as they were answered, by operation and class of status. Knows no HTTP but the numbers.

use std::time::Duration;

use crate::api::operations::{Row, TABLE};
use crate::metrics::{Counter, Histogram, Kind, Text};

/// `1xx` to `5xx`.
const CLASSES: [&str; 5] = ["1xx", "2xx", "3xx", "4xx", "5xx"];
/// What is no operation's: paths that are not there.
const NONE: &str = "none";

/// What was answered since the start.
pub struct Requests(Vec<Answered>);

/// What an operation answered.
struct Answered {
    classes: [Counter; CLASSES.len()],
    took: Histogram,
}

impl Default for Requests {
    fn default() -> Self {
        let nothing = || Answered { classes: Default::default(), took: Histogram::with(Histogram::QUICK) };
        Self((0..=TABLE.len()).map(|_| nothing()).collect())
    }
}

impl Requests {
    /// A request was answered with this status, after so long; `None` where it was no operation's.
    pub fn answered(&self, row: Option<&Row>, status: u16, took: Duration) {
        let place = row.and_then(|row| TABLE.iter().position(|one| one.id == row.id));
        let answered = &self.0[place.unwrap_or(TABLE.len())];
        let class = usize::from(status / 100).clamp(1, CLASSES.len()) - 1;
        answered.classes[class].add_one();
        answered.took.observe(took);
    }

    /// Tells Prometheus of those operations that were asked for.
    pub(super) fn tell(&self, text: &mut Text) {
        let names = TABLE.iter().map(|row| row.id).chain([NONE]);
        let asked: Vec<_> =
            names.zip(&self.0).map(|(name, answered)| (name, answered, answered.took.snapshot())).collect();
        let asked = || asked.iter().filter(|(_, _, took)| took.count > 0);
        text.family("prov_http_requests_total", Kind::Counter, "Requests answered, by operation and class of status.");
        for (operation, answered, _) in asked() {
            for (class, count) in CLASSES.iter().zip(&answered.classes).filter(|(_, count)| count.get() > 0) {
                text.figure(&[("operation", operation), ("status", class)], count.get());
            }
        }
        let help = "Time until the head of an answer was ready, by operation.";
        text.family("prov_http_request_duration_seconds", Kind::Histogram, help);
        for (operation, _, took) in asked() {
            text.histogram(&[("operation", operation)], took);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::operations;

    #[test]
    fn each_operation_counts_for_itself_and_what_is_none_together() {
        let requests = Requests::default();
        requests.answered(operations::find("task_list"), 200, Duration::from_millis(3));
        requests.answered(operations::find("task_list"), 404, Duration::from_millis(3));
        requests.answered(None, 999, Duration::ZERO);
        let mut text = Text::default();
        requests.tell(&mut text);
        let text = text.finish();
        for line in [
            "prov_http_requests_total{operation=\"task_list\",status=\"2xx\"} 1",
            "prov_http_requests_total{operation=\"task_list\",status=\"4xx\"} 1",
            "prov_http_requests_total{operation=\"none\",status=\"5xx\"} 1",
            "prov_http_request_duration_seconds_count{operation=\"task_list\"} 2",
        ] {
            assert!(text.lines().any(|found| found == line), "{line}: {text}");
        }
        assert!(!text.contains("task_get"));
    }
}
