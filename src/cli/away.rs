//! A daemon that is away while somebody follows something of it: it is waited for, for a while.

use std::time::{Duration, Instant};

use super::Printer;
use super::connect::failure;
use super::error::CliError;
use crate::client::ClientError;

/// How long it may be away.
const PATIENCE: Duration = Duration::from_mins(1);
/// How often it is tried meanwhile.
const PAUSE: Duration = Duration::from_millis(250);

/// What is known of the connections of one follower.
#[derive(Debug, Default)]
pub(super) struct Away {
    /// Those that were made.
    connections: u64,
    /// Whether anything came by the last one.
    came: bool,
    since: Option<Instant>,
}

impl Away {
    /// Something came.
    pub(super) fn came(&mut self) {
        self.came = true;
    }

    /// A connection broke or could not be made, with this error; so many were made until now. Returns when the next one is
    /// to be tried. Whether the daemon is away, or only that connection gone, the next one tells; then `says` is told.
    ///
    /// # Errors
    /// The error, once the daemon has been away for too long.
    pub(super) async fn wait(
        &mut self,
        error: &ClientError,
        connections: u64,
        says: Option<&Printer>,
    ) -> Result<(), CliError> {
        if self.connections != connections {
            (self.connections, self.since) = (connections, None);
            if std::mem::take(&mut self.came) {
                return Ok(());
            }
        } else if self.since.is_none() {
            self.since = Some(Instant::now());
            if let Some(printer) = says {
                printer.remark("the daemon is away; waiting for it");
            }
        }
        if self.since.is_some_and(|since| since.elapsed() > PATIENCE) {
            return Err(failure(error));
        }
        tokio::time::sleep(PAUSE).await;
        Ok(())
    }
}
