//! Queries, read so that every problem is answered at once and an unknown parameter is not passed over.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::str::FromStr;

use axum::extract::FromRequestParts;
use axum::http::Uri;
use axum::http::request::Parts;

use super::error::HttpError;
use crate::api::audit::{AuditFilter, AuditPage, AuditQuery, ExportQuery, Format, VerifyQuery};
use crate::api::batch::BatchQuery;
use crate::api::event::EventQuery;
use crate::api::list::Page;
use crate::api::live::{MOST_IN_A_MESSAGE, SocketQuery, Wire};
use crate::api::logs::{DaemonLogQuery, LogSocketQuery};
use crate::api::policy::PolicyQuery;
use crate::api::read::{Problem, Problems, shown, unknown};
use crate::api::state::{SnapshotQuery, StatisticsQuery};
use crate::api::task::{LogQuery, LogStream, TaskFilter, TaskQuery};
use crate::api::token::OwnerQuery;
use crate::api::webhook::{DeliveryQuery, WebhookQuery};
use crate::model::id::WorkId;
use crate::model::time::{FirstMoment, LastMoment};

/// A query that can be read.
pub(super) trait Readable: Sized {
    fn read(query: &mut Fields) -> Self;
}

/// The query of a request, and its address for links.
pub(super) struct Query<T>(pub(super) T, pub(super) Uri);

impl<T: Readable, S: Send + Sync> FromRequestParts<S> for Query<T> {
    type Rejection = HttpError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, HttpError> {
        let mut fields = Fields::parse(parts.uri.query().unwrap_or(""));
        let read = T::read(&mut fields);
        fields.finish(read).map(|read| Self(read, parts.uri.clone())).map_err(HttpError::problems)
    }
}

/// Refuses every parameter, for a call that takes none.
pub(super) fn refuse_all(query: Option<&str>) -> Result<(), HttpError> {
    Fields::parse(query.unwrap_or("")).finish(()).map_err(HttpError::problems)
}

/// The parameters not yet asked for, and the faults found.
pub(super) struct Fields {
    given: BTreeMap<String, String>,
    known: Vec<&'static str>,
    problems: Problems,
}

impl Fields {
    fn parse(query: &str) -> Self {
        let problems = Problems::default();
        let mut given = BTreeMap::new();
        for part in query.split('&').filter(|part| !part.is_empty()) {
            let (name, value) = part.split_once('=').unwrap_or((part, ""));
            let (Ok(name), Ok(value)) = (decode(name), decode(value)) else {
                problems.push(format!("?{}", shown(name)), "is not UTF-8");
                continue;
            };
            if given.insert(name.clone(), value).is_some() {
                problems.push(format!("?{}", shown(&name)), "is given twice");
            }
        }
        Self { given, known: Vec::new(), problems }
    }

    fn take<T>(&mut self, name: &'static str) -> Option<T>
    where
        T: FromStr,
        T::Err: Display,
    {
        self.known.push(name);
        let text = self.given.remove(name)?;
        text.parse().map_err(|error: T::Err| self.problems.push(format!("?{name}"), error.to_string())).ok()
    }

    fn number(&mut self, name: &'static str, least: usize, most: usize) -> Option<usize> {
        self.known.push(name);
        let text = self.given.remove(name)?;
        let number = text.parse().ok().filter(|number| (least..=most).contains(number));
        if number.is_none() {
            self.problems.push(format!("?{name}"), format!("must be a whole number from {least} to {most}"));
        }
        number
    }

    fn finish<T>(self, read: T) -> Result<T, Vec<Problem>> {
        for name in self.given.keys() {
            self.problems.push(format!("?{}", shown(name)), unknown("parameter", name, &self.known));
        }
        self.problems.finish(Some(read))
    }
}

/// Undoes the percent encoding; what isn't one stays as it is.
fn decode(text: &str) -> Result<String, std::string::FromUtf8Error> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        let digit = |byte: u8| char::from(byte).to_digit(16);
        match (first, tail) {
            (b'%', [high, low, after @ ..]) if digit(*high).is_some() && digit(*low).is_some() => {
                let value = digit(*high).unwrap_or(0) * 16 + digit(*low).unwrap_or(0);
                bytes.push(u8::try_from(value).unwrap_or(b'?'));
                rest = after;
                continue;
            }
            (b'+', _) => bytes.push(b' '),
            _ => bytes.push(*first),
        }
        rest = tail;
    }
    String::from_utf8(bytes)
}

impl Readable for EventQuery {
    fn read(query: &mut Fields) -> Self {
        let topics = query.take("events").unwrap_or_default();
        Self { topics, since: query.take("since"), work: query.take("work") }
    }
}

impl Readable for Wire {
    fn read(query: &mut Fields) -> Self {
        Self { token: query.take("token"), compression: query.take("compression").unwrap_or(false) }
    }
}

impl Readable for SocketQuery {
    fn read(query: &mut Fields) -> Self {
        let events = EventQuery::read(query);
        let batch_size = query.number("batch_size", 1, MOST_IN_A_MESSAGE).unwrap_or(Self::default().batch_size);
        Self { events, batch_size, wire: Wire::read(query) }
    }
}

impl Readable for DaemonLogQuery {
    fn read(query: &mut Fields) -> Self {
        Self {
            level: query.take("level"),
            component: query.take("component"),
            search: query.take("search"),
            tail: query.number("tail", 0, 1_000_000),
            since: query.take("since"),
            follow: query.take("follow").unwrap_or(false),
        }
    }
}

impl Readable for LogSocketQuery {
    fn read(query: &mut Fields) -> Self {
        Self { lines: DaemonLogQuery::read(query), wire: Wire::read(query) }
    }
}

impl Readable for OwnerQuery {
    fn read(query: &mut Fields) -> Self {
        Self { user: query.take("user") }
    }
}

fn page(query: &mut Fields) -> Page {
    let default = Page::default();
    Page {
        limit: query.number("limit", 1, Page::MAX_LIMIT).unwrap_or(default.limit),
        offset: query.number("offset", 0, usize::MAX / 2).unwrap_or(default.offset),
        after: query.take::<WorkId>("after").map(|id| id.0),
    }
}

impl Readable for TaskQuery {
    fn read(query: &mut Fields) -> Self {
        let filter = TaskFilter {
            status: query.take("status"),
            name: query.take("name"),
            infra: query.take("infra"),
            batch_id: query.take("batch_id"),
        };
        Self { filter, page: page(query) }
    }
}

impl Readable for Page {
    fn read(query: &mut Fields) -> Self {
        page(query)
    }
}

impl Readable for BatchQuery {
    fn read(query: &mut Fields) -> Self {
        Self { status: query.take("status"), page: page(query) }
    }
}

impl Readable for SnapshotQuery {
    fn read(query: &mut Fields) -> Self {
        let default = Self::default();
        Self {
            limit: query.number("limit", 1, Page::MAX_LIMIT).unwrap_or(default.limit),
            offset: query.number("offset", 0, usize::MAX / 2).unwrap_or(default.offset),
            after: query.take("after"),
        }
    }
}

impl Readable for StatisticsQuery {
    fn read(query: &mut Fields) -> Self {
        Self {
            since: query.take::<FirstMoment>("since").map(|moment| moment.0),
            until: query.take::<LastMoment>("until").map(|moment| moment.0),
        }
    }
}

impl Readable for WebhookQuery {
    fn read(query: &mut Fields) -> Self {
        Self { user: query.take("user"), page: page(query) }
    }
}

impl Readable for DeliveryQuery {
    fn read(query: &mut Fields) -> Self {
        Self { status: query.take("status"), page: page(query) }
    }
}

impl Readable for PolicyQuery {
    fn read(query: &mut Fields) -> Self {
        Self { page: page(query) }
    }
}

impl Readable for LogQuery {
    fn read(query: &mut Fields) -> Self {
        let read = Self {
            stream: query.take::<Stream>("stream").map(|stream| stream.0).unwrap_or_default(),
            tail: query.number("tail", 0, 1_000_000),
            follow: query.take("follow").unwrap_or(false),
            offset: query.take("offset"),
        };
        if read.offset.is_some() && read.stream == LogStream::All {
            query.problems.push("?offset".to_owned(), "is a place in one stream: name it with `stream`");
        }
        read
    }
}

impl Readable for AuditQuery {
    fn read(query: &mut Fields) -> Self {
        let default = AuditPage::default();
        let page = AuditPage {
            limit: query.number("limit", 1, Page::MAX_LIMIT).unwrap_or(default.limit),
            offset: query.number("offset", 0, usize::MAX / 2).unwrap_or(default.offset),
            after: query.take("after"),
        };
        Self { filter: audit_filter(query), page }
    }
}

impl Readable for ExportQuery {
    fn read(query: &mut Fields) -> Self {
        Self { format: query.take("format").unwrap_or(Format::Jsonl), filter: audit_filter(query) }
    }
}

impl Readable for VerifyQuery {
    fn read(query: &mut Fields) -> Self {
        Self { checkpoint: query.take("checkpoint") }
    }
}

fn audit_filter(query: &mut Fields) -> AuditFilter {
    AuditFilter {
        user_id: query.take("user_id"),
        action: query.take("action"),
        resource: query.take("resource"),
        outcome: query.take("outcome"),
        from_date: query.take::<FirstMoment>("from_date").map(|moment| moment.0),
        to_date: query.take::<LastMoment>("to_date").map(|moment| moment.0),
    }
}

struct Stream(LogStream);

impl FromStr for Stream {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "stdout" => Ok(Self(LogStream::Stdout)),
            "stderr" => Ok(Self(LogStream::Stderr)),
            "all" => Ok(Self(LogStream::All)),
            other => Err(unknown("stream", other, &["stdout", "stderr", "all"])),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::api::openapi::document;
    use crate::api::operations::{Api, TABLE};

    fn known<T: Readable>() -> Vec<&'static str> {
        let mut fields = Fields::parse("");
        T::read(&mut fields);
        fields.known
    }

    fn read_by(id: &str) -> Vec<&'static str> {
        match id {
            "task_list" => known::<TaskQuery>(),
            "task_logs" => known::<LogQuery>(),
            "batch_list" => known::<BatchQuery>(),
            "event_stream" => known::<EventQuery>(),
            "event_socket" => known::<SocketQuery>(),
            "metrics" => known::<Wire>(),
            "log_stream" => known::<LogSocketQuery>(),
            "session_list" | "token_list" => known::<OwnerQuery>(),
            "user_list" | "checkpoint_list" | "rollback_list" => known::<Page>(),
            "policy_list" => known::<PolicyQuery>(),
            "audit_list" => known::<AuditQuery>(),
            "audit_export" => known::<ExportQuery>(),
            "workflow_snapshots" => known::<SnapshotQuery>(),
            "statistics" => known::<StatisticsQuery>(),
            "audit_verify" => known::<VerifyQuery>(),
            "webhook_list" => known::<WebhookQuery>(),
            "webhook_deliveries" => known::<DeliveryQuery>(),
            _ => panic!("nobody says what reads the query of {id}"),
        }
    }

    #[test]
    fn the_parameters_that_are_read_are_those_that_are_described() {
        for api in [Api::Orchestrator, Api::ControlCenter] {
            let document = document(api);
            for row in TABLE.iter().filter(|row| row.api == api) {
                let said = &document["paths"][row.path][row.method.to_ascii_lowercase().as_str()]["parameters"];
                let said = said.as_array().into_iter().flatten().filter(|said| said["in"] == "query");
                let said: BTreeSet<&str> = said.filter_map(|said| said["name"].as_str()).collect();
                let read = if row.takes_query { read_by(row.id) } else { Vec::new() };
                assert_eq!(said, read.into_iter().collect(), "{}", row.id);
            }
        }
    }
}
