//! From an event to a line: what it says, what the spans around it know, where it goes.

use std::fmt;
use std::io::Write;

use serde_json::{Map, Value, json};
use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::span::{Attributes, Id, Record};
use tracing::subscriber::Interest;
use tracing::{Event, Level, Metadata, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;
use tracing_subscriber::registry::LookupSpan;

use super::{Logging, Look};
use crate::api::logs::{COMPONENTS, LogLevel, LogLine};
use crate::model::time::Timestamp;

/// The most of a text that a line has, in characters.
const MOST_CHARS: usize = 8 * 1024;

/// Writes lines.
pub(super) struct Journal {
    logging: Logging,
    look: Look,
}

/// What was recorded: the message, and everything else by its name.
#[derive(Default)]
struct Recorded(Map<String, Value>);

impl Journal {
    pub(super) fn new(logging: Logging, look: Look) -> Self {
        Self { logging, look }
    }

    fn write(&self, line: &LogLine) {
        let text = match self.look {
            Look::Json => serde_json::to_string(line).unwrap_or_default() + "\n",
            Look::Text { coloured } => text(line, coloured),
        };
        // Where that can't be written, the log is lost and the work goes on.
        let _ = std::io::stderr().lock().write_all(text.as_bytes());
    }
}

impl<S: Subscriber + for<'s> LookupSpan<'s>> Layer<S> for Journal {
    fn register_callsite(&self, metadata: &'static Metadata<'static>) -> Interest {
        let is_wanted = metadata.is_span() || self.logging.levels.let_through(metadata);
        if is_wanted { Interest::always() } else { Interest::never() }
    }

    fn enabled(&self, metadata: &Metadata<'_>, _: Context<'_, S>) -> bool {
        metadata.is_span() || self.logging.levels.let_through(metadata)
    }

    /// Spans are there whatever is said within them: what they know stands on every line. They are of the level `error`.
    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(self.logging.levels.most().max(LevelFilter::ERROR))
    }

    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let mut recorded = Recorded::default();
        attributes.record(&mut recorded);
        if let Some(span) = context.span(id) {
            span.extensions_mut().insert(recorded);
        }
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        if let Some(span) = context.span(id)
            && let Some(recorded) = span.extensions_mut().get_mut::<Recorded>()
        {
            values.record(recorded);
        }
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let mut recorded = Recorded::default();
        for span in context.event_scope(event).into_iter().flat_map(|scope| scope.from_root()) {
            if let Some(known) = span.extensions().get::<Recorded>() {
                recorded.0.extend(known.0.clone());
            }
        }
        event.record(&mut recorded);
        let line = self.logging.ring.push(line(event.metadata(), recorded));
        self.write(&line);
    }
}

impl Visit for Recorded {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.record_str(field, &format!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        let value = value.chars().take(MOST_CHARS).collect::<String>();
        self.0.insert(field.name().to_owned(), Value::String(value));
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.0.insert(field.name().to_owned(), json!(value));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.0.insert(field.name().to_owned(), json!(value));
    }

    fn record_u128(&mut self, field: &Field, value: u128) {
        let number = u64::try_from(value).map_or_else(|_| json!(value.to_string()), |value| json!(value));
        self.0.insert(field.name().to_owned(), number);
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.0.insert(field.name().to_owned(), json!(value));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.0.insert(field.name().to_owned(), json!(value));
    }
}

fn line(metadata: &Metadata<'_>, Recorded(mut fields): Recorded) -> LogLine {
    let mut take = |name: &str| match fields.remove(name) {
        Some(Value::String(text)) => Some(text),
        Some(other) => Some(other.to_string()),
        None => None,
    };
    LogLine {
        sequence: 0,
        timestamp: Timestamp::now(),
        level: level(*metadata.level()),
        component: component(metadata.target()),
        message: take("message").unwrap_or_default(),
        request_id: take("request_id").filter(|id| !id.is_empty()),
        task_id: take("task_id"),
        work_id: take("work_id"),
        fields,
    }
}

fn level(level: Level) -> LogLevel {
    match level {
        Level::ERROR => LogLevel::Error,
        Level::WARN => LogLevel::Warn,
        Level::INFO => LogLevel::Info,
        Level::DEBUG => LogLevel::Debug,
        Level::TRACE => LogLevel::Trace,
    }
}

/// The module of this program, or the library.
fn component(target: &str) -> String {
    let mut parts = target.split("::");
    let first = parts.next().unwrap_or_default();
    parts.next().filter(|part| COMPONENTS.contains(part)).unwrap_or(first).to_owned()
}

/// A line for people. What comes from outside can't begin another line, or colour this one.
fn text(line: &LogLine, coloured: bool) -> String {
    let word = line.level.as_str().to_ascii_uppercase();
    let level =
        if coloured { format!("\u{1b}[{}m{word:<5}\u{1b}[0m", colour(line.level)) } else { format!("{word:<5}") };
    let message: String = line.message.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    format!("{} {level} {}: {message}{}\n", line.timestamp, line.component, line.facts())
}

fn colour(level: LogLevel) -> u8 {
    match level {
        LogLevel::Error => 31,
        LogLevel::Warn => 33,
        LogLevel::Info => 32,
        LogLevel::Off | LogLevel::Debug => 34,
        LogLevel::Trace => 35,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::logs::DaemonLogQuery;
    use tracing_subscriber::Registry;
    use tracing_subscriber::layer::SubscriberExt;

    #[test]
    fn a_line_has_what_its_spans_know_and_levels_count_at_once() {
        let logging = Logging::new("error,prov::logging=info".parse().unwrap());
        let journal = Journal::new(logging.clone(), Look::Json);
        tracing::subscriber::with_default(Registry::default().with(journal), || {
            let request = tracing::error_span!("request", request_id = "r-1");
            let _within = request.enter();
            let work = tracing::error_span!("work", work_id = "w-1", tries = 2);
            work.in_scope(|| tracing::info!(task_id = "t-1", error = %"bad\nnews", "it began"));
            tracing::debug!("nobody hears this");
            tracing::info!("after");
        });
        let lines = logging.ring.read(DaemonLogQuery::default()).part().lines;
        let [began, after] = lines.as_slice() else { panic!("{lines:?}") };
        let ids = |line: &LogLine| (line.request_id.clone(), line.task_id.clone(), line.work_id.clone());
        let some = |id: &str| Some(id.to_owned());
        assert_eq!(ids(began), (some("r-1"), some("t-1"), some("w-1")));
        assert_eq!((began.component.as_str(), began.message.as_str()), ("logging", "it began"));
        assert_eq!(began.fields, *json!({ "tries": 2, "error": "bad\nnews" }).as_object().unwrap());
        assert_eq!(ids(after), (some("r-1"), None, None));
        let shown = text(began, false);
        assert!(
            shown.ends_with(
                "INFO  logging: it began request_id=r-1 task_id=t-1 work_id=w-1 error=\"bad\\nnews\" tries=2\n"
            ),
            "{shown}"
        );
    }

    #[test]
    fn what_comes_from_outside_stays_on_its_line() {
        let mut said = line_of("one\ntwo\u{1b}[31m");
        assert_eq!(text(&said, false).lines().count(), 1);
        assert!(!text(&said, false).contains('\u{1b}'));
        said.level = LogLevel::Error;
        assert!(text(&said, true).contains("\u{1b}[31mERROR\u{1b}[0m"));
    }

    fn line_of(message: &str) -> LogLine {
        LogLine {
            sequence: 1,
            timestamp: Timestamp(0),
            level: LogLevel::Info,
            component: component("prov::server::middleware"),
            message: message.to_owned(),
            request_id: None,
            task_id: None,
            work_id: None,
            fields: Map::new(),
        }
    }
}
