//! Reading one stream of a task's log, taken up again where it broke off: every byte once.

use bytes::Bytes;
use reqwest::Response;

use super::{Client, ClientError};
use crate::api::task::{LOG_OFFSET, LogQuery};
use crate::model::id::TaskId;

/// A stream of a log. Where it breaks, asking again goes on after the last byte that came.
pub struct Log<'c> {
    client: &'c Client,
    task: TaskId,
    query: LogQuery,
    body: Option<Response>,
    /// Whether everything that comes yet is there already.
    is_last: bool,
    connections: u64,
}

impl Client {
    /// `GET /tasks/{id}/logs` of one stream, from when [`Log::next`] is first called.
    #[must_use]
    pub fn log(&self, task: TaskId, query: LogQuery) -> Log<'_> {
        Log { client: self, task, query, body: None, is_last: !query.follow, connections: 0 }
    }
}

impl Log<'_> {
    /// How often the daemon began to send it.
    #[must_use]
    pub fn connections(&self) -> u64 {
        self.connections
    }

    /// What comes next; nothing at its end.
    ///
    /// # Errors
    /// When the daemon is away or refuses; asking again goes on where it was.
    pub async fn next(&mut self) -> Result<Option<Bytes>, ClientError> {
        loop {
            let Some(body) = &mut self.body else {
                self.body = Some(self.open().await?);
                continue;
            };
            match body.chunk().await {
                Ok(Some(bytes)) => {
                    self.query.offset = self.query.offset.map(|offset| offset + bytes.len() as u64);
                    return Ok(Some(bytes));
                }
                Ok(None) if self.is_last => return Ok(None),
                // A daemon that ends lets go of those who follow: the task may go on, or has written more.
                Ok(None) => {
                    self.body = None;
                    let is_over = self.client.task_get(self.task).await?.status.is_terminal();
                    self.is_last = is_over;
                    self.query.follow = !is_over;
                    if !is_over {
                        return Err(ClientError::Ended);
                    }
                }
                Err(error) => {
                    self.body = None;
                    return Err(ClientError::transport(
                        "read the log",
                        self.client.servers.orchestrator.as_str(),
                        error,
                    ));
                }
            }
        }
    }

    /// Begins where it was. Where the daemon doesn't say where that is, the whole stream is counted from its beginning.
    async fn open(&mut self) -> Result<Response, ClientError> {
        let response = self.client.task_logs(self.task, &self.query).await?;
        let said = response.headers().get(LOG_OFFSET).and_then(|value| value.to_str().ok()?.parse().ok());
        let begins = if self.query.tail.is_none() { Some(0) } else { None };
        self.query.offset = said.or(self.query.offset).or(begins);
        self.query.tail = self.query.tail.filter(|_| self.query.offset.is_none());
        self.connections += 1;
        Ok(response)
    }
}
