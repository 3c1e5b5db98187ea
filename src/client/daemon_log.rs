//! The daemon's own log, taken up again where it broke off.

use reqwest::{Method, Response};

use super::{Client, ClientError, data, good};
use crate::api::envelope::Code;
use crate::api::live::Notice;
use crate::api::logs::{DaemonLogQuery, LogLevels, LogLevelsChange, LogLine, LogMessage};
use crate::model::time::Timestamp;

/// The daemon's log. Where it breaks, asking again goes on after the last line that came.
pub struct DaemonLog<'c> {
    client: &'c Client,
    query: DaemonLogQuery,
    body: Option<Response>,
    /// Bytes of a line whose end has not come.
    open: Vec<u8>,
    /// The last line that came.
    last: Option<(u64, Timestamp)>,
    connections: u64,
}

impl Client {
    /// `GET /logs`, from when [`DaemonLog::next`] is first called.
    #[must_use]
    pub fn daemon_log(&self, query: DaemonLogQuery) -> DaemonLog<'_> {
        DaemonLog { client: self, query, body: None, open: Vec::new(), last: None, connections: 0 }
    }

    /// `GET /logs/levels`.
    pub async fn log_levels_get(&self) -> Result<LogLevels, ClientError> {
        self.get("/logs/levels").await
    }

    /// `PUT /logs/levels`.
    pub async fn log_levels_update(&self, change: &LogLevelsChange) -> Result<LogLevels, ClientError> {
        let url = format!("{}/logs/levels", self.servers.orchestrator);
        let send = |token: String| self.orchestrator.request(Method::PUT, &url).json(change).bearer_auth(token).send();
        data(self.authorised("change the log's levels", &url, send).await?).await
    }
}

impl DaemonLog<'_> {
    /// How often the daemon began to send it.
    #[must_use]
    pub fn connections(&self) -> u64 {
        self.connections
    }

    /// What comes next; nothing at its end.
    ///
    /// # Errors
    /// When the daemon is away or refuses; asking again goes on where it was.
    pub async fn next(&mut self) -> Result<Option<LogMessage>, ClientError> {
        loop {
            match self.message() {
                Some(LogMessage::Line(line)) if self.is_known(&line) => continue,
                Some(LogMessage::Line(line)) => {
                    self.last = Some((line.sequence, line.timestamp));
                    return Ok(Some(LogMessage::Line(line)));
                }
                // The token had its time: the next request has another.
                Some(LogMessage::Notice(Notice::Error(failure))) if failure.code == Code::Unauthenticated => {
                    self.breaks();
                }
                Some(LogMessage::Notice(Notice::Error(failure))) => {
                    self.breaks();
                    return Err(ClientError::Answered(Box::new(failure)));
                }
                Some(notice) => return Ok(Some(notice)),
                None => {}
            }
            let Some(body) = &mut self.body else {
                self.body = Some(self.request().await?);
                self.connections += 1;
                continue;
            };
            match body.chunk().await {
                Ok(Some(bytes)) => self.open.extend_from_slice(&bytes),
                Ok(None) if !self.query.follow => return Ok(None),
                Ok(None) => {
                    self.breaks();
                    return Err(ClientError::Ended);
                }
                Err(error) => {
                    self.breaks();
                    let url = self.client.servers.orchestrator.as_str();
                    return Err(ClientError::transport("read the daemon's log", url, error));
                }
            }
        }
    }

    async fn request(&self) -> Result<Response, ClientError> {
        let client = self.client;
        let url = format!("{}/logs", client.servers.orchestrator);
        let send = |token: String| client.orchestrator.get(&url).query(&self.query).bearer_auth(token).send();
        good(client.authorised("read the daemon's log", &url, send).await?).await
    }

    /// The next whole line of the answer that is a message.
    fn message(&mut self) -> Option<LogMessage> {
        while let Some(end) = self.open.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = self.open.drain(..=end).collect();
            if let Ok(message) = serde_json::from_slice(&line) {
                return Some(message);
            }
        }
        None
    }

    /// The connection is gone. The next daemon may count its lines anew, so everything that it keeps is asked for again.
    fn breaks(&mut self) {
        self.body = None;
        self.open.clear();
        if self.last.is_some() {
            (self.query.tail, self.query.since) = (None, None);
        }
    }

    /// Whether a line came before: of a daemon that started since, all are later.
    fn is_known(&self, line: &LogLine) -> bool {
        self.last.is_some_and(|(sequence, time)| line.sequence <= sequence && line.timestamp <= time)
    }
}
