//! What a connection is fed with.

use crate::api::live::{ClientFrame, Notice};
use crate::app::{Context, Error};
use crate::model::time::Timestamp;

/// Something to follow.
pub(in crate::server) trait Feed: Send + Sized + 'static {
    /// Where it is: whoever goes on after this misses nothing.
    fn sequence(&self) -> u64;

    /// Until when the client's token is good.
    fn expires_at(&self) -> Timestamp;

    /// The next messages; waits for them. Whoever stops waiting loses nothing.
    ///
    /// # Errors
    /// When the client may have no more of it.
    fn next(&mut self) -> impl Future<Output = Result<Vec<String>, Error>> + Send;

    /// The client took a message only after it had been kept waiting: what to tell it when that was too long.
    ///
    /// # Errors
    /// When the store can't be read.
    fn lagged(&mut self) -> impl Future<Output = Result<Option<Notice>, Error>> + Send;

    /// What the client says besides `auth` and `ping`.
    ///
    /// # Errors
    /// When it is of no use here.
    fn hear(&mut self, frame: ClientFrame) -> Result<Notice, Error>;

    /// Goes on with a newer token.
    ///
    /// # Errors
    /// When it is somebody else's.
    fn renew(&mut self, context: Context) -> Result<(), Error>;
}
