//! Who it is: the token of the query or the header, or of a first frame.

use std::time::Duration;

use axum::extract::ws::WebSocket;
use tokio::time::timeout;

use super::line::{Heard, Line};
use super::visit::Knock;
use crate::api::live::{ClientFrame, Token};
use crate::app::{App, Caller, Context, Error};
use crate::server::error::HttpError;

/// How long a client may take to say who it is.
const PATIENCE: Duration = Duration::from_secs(5);
/// Said to a client that says nothing of who it is.
const NOBODY: Error = Error::Unauthenticated(
    "this needs a token: in the query, in an Authorization header, or in a first frame {\"type\":\"auth\",\"token\":\"…\"}",
);

/// What is known of whoever knocks.
pub(super) struct Knocked {
    pub(super) caller: Caller,
    pub(super) operation: &'static str,
    pub(super) token: Option<Token>,
}

impl Knocked {
    /// The token of the query, or else of the header.
    ///
    /// # Errors
    /// When there is one in both.
    pub(super) fn of(knock: &Knock, in_query: Option<Token>) -> Result<Self, HttpError> {
        let token = match (in_query, &knock.token) {
            (Some(_), Some(_)) => return Err(HttpError::invalid("there is a token in the query and one in a header")),
            (in_query, in_header) => in_query.or_else(|| in_header.clone()),
        };
        Ok(Self { caller: knock.caller.clone(), operation: knock.operation, token })
    }
}

/// Lets the client in, or tells it why not and closes.
pub(super) async fn welcome(app: &App, mut line: Line, knocked: Knocked) -> Option<(Line, Context)> {
    let token = match knocked.token {
        Some(token) => token,
        None => match timeout(PATIENCE, line.hear()).await {
            Ok(Heard::Frame(ClientFrame::Auth(token))) => token,
            Ok(Heard::Over(ending)) => {
                line.end(ending).await;
                return None;
            }
            Ok(Heard::Frame(_) | Heard::Wrong(_)) | Err(_) => {
                app.unproven(&knocked.caller, knocked.operation);
                line.fail(NOBODY).await;
                return None;
            }
        },
    };
    match app.authenticate(&token.0, knocked.caller, knocked.operation).await {
        Ok((context, _)) => Some((line, context)),
        Err(error) => {
            line.fail(error).await;
            None
        }
    }
}

/// A line for a socket that has just been opened.
pub(super) fn line(app: &App, socket: WebSocket, is_compressed: bool, request_id: String) -> Line {
    Line::new(socket, is_compressed, app.limits().streams.heartbeat, request_id)
}
