//! The text format that Prometheus reads, version 0.0.4
//! (<https://prometheus.io/docs/instrumenting/exposition_formats/>).

use std::fmt::{Display, Write};

use super::histogram::Snapshot;

/// What kind of figures a family has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// They only grow.
    Counter,
    /// They go up and down.
    Gauge,
    /// Counts by upper bounds.
    Histogram,
}

/// A label and its value.
type Label<'a> = (&'a str, &'a str);

/// A text in the making: one family after the other, each with its figures.
#[derive(Debug, Default)]
pub struct Text {
    text: String,
    family: &'static str,
}

impl Text {
    /// What is served as `Content-Type`.
    pub const MEDIA_TYPE: &'static str = "text/plain; version=0.0.4; charset=utf-8";

    /// Begins a family of figures.
    pub fn family(&mut self, name: &'static str, kind: Kind, help: &str) -> &mut Self {
        self.family = name;
        let kind = match kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        };
        let help = help.replace('\\', "\\\\").replace('\n', "\\n");
        self.line(format_args!("# HELP {name} {help}"));
        self.line(format_args!("# TYPE {name} {kind}"));
        self
    }

    /// A figure of the family.
    pub fn figure(&mut self, labels: &[Label<'_>], value: impl Display) -> &mut Self {
        self.sample("", labels, value);
        self
    }

    /// A family of one figure.
    pub fn single(&mut self, name: &'static str, kind: Kind, help: &str, value: impl Display) {
        self.family(name, kind, help).figure(&[], value);
    }

    /// A histogram of the family.
    pub fn histogram(&mut self, labels: &[Label<'_>], snapshot: &Snapshot) -> &mut Self {
        for (bound, count) in &snapshot.within {
            let bound = bound.to_string();
            self.sample("_bucket", &[labels, &[("le", &bound)]].concat(), count);
        }
        self.sample("_bucket", &[labels, &[("le", "+Inf")]].concat(), snapshot.count);
        self.sample("_sum", labels, snapshot.seconds);
        self.sample("_count", labels, snapshot.count);
        self
    }

    /// The whole.
    #[must_use]
    pub fn finish(self) -> String {
        self.text
    }

    fn sample(&mut self, suffix: &str, labels: &[Label<'_>], value: impl Display) {
        let family = self.family;
        let labels: Vec<String> = labels.iter().map(|(name, value)| format!("{name}=\"{}\"", escaped(value))).collect();
        let labels = if labels.is_empty() { String::new() } else { format!("{{{}}}", labels.join(",")) };
        self.line(format_args!("{family}{suffix}{labels} {value}"));
    }

    fn line(&mut self, line: std::fmt::Arguments<'_>) {
        writeln!(self.text, "{line}").expect("a String takes everything");
    }
}

fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::Histogram;
    use std::time::Duration;

    #[test]
    fn families_stand_as_prometheus_reads_them() {
        let mut text = Text::default();
        text.single("up", Kind::Gauge, "Whether it\nlives.", 1);
        text.family("tasks_total", Kind::Counter, "Tasks.").figure(&[("status", "a\"b\\")], 2).figure(&[], 0.5);
        let histogram = Histogram::with(&[0.5, 1.0]);
        histogram.observe(Duration::from_millis(500));
        histogram.observe(Duration::from_secs(2));
        text.family("took_seconds", Kind::Histogram, "Time.").histogram(&[("type", "x")], &histogram.snapshot());
        let expected = r#"# HELP up Whether it\nlives.
# TYPE up gauge
up 1
# HELP tasks_total Tasks.
# TYPE tasks_total counter
tasks_total{status="a\"b\\"} 2
tasks_total 0.5
# HELP took_seconds Time.
# TYPE took_seconds histogram
took_seconds_bucket{type="x",le="0.5"} 1
took_seconds_bucket{type="x",le="1"} 1
took_seconds_bucket{type="x",le="+Inf"} 2
took_seconds_sum{type="x"} 2.5
took_seconds_count{type="x"} 2
"#;
        assert_eq!(text.finish(), expected);
    }
}
