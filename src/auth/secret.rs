//! Random secrets.

use aws_lc_rs::rand;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// The system has no randomness to give.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("the system gives no random numbers")]
pub struct NoRandomness;

/// 256 random bits as 43 characters that are safe in URLs, headers and shells.
///
/// # Errors
/// When the system gives no random numbers.
pub fn random() -> Result<String, NoRandomness> {
    let mut bytes = [0u8; 32];
    rand::fill(&mut bytes).map_err(|_| NoRandomness)?;
    Ok(URL_SAFE_NO_PAD.encode(bytes))
}
