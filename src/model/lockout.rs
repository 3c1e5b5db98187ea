//! How often logins failed for a name: in a user's record, or in memory for a name that nobody has.

use serde::{Deserialize, Serialize};

use super::time::Timestamp;

/// Failed logins in a row, and the lock they led to. The default is: none.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Lockout {
    /// Failures since the last success, unlock or lock.
    pub failures: u32,
    /// Locks since the last success or unlock; each lasts longer than the one before.
    pub locks: u32,
    /// When the last lock ends, or ended.
    pub locked_until: Option<Timestamp>,
    /// When the last failure was.
    pub failed_at: Option<Timestamp>,
}
