//! The end of a stream whose beginning nobody keeps.

use std::collections::VecDeque;

/// How much of a stream is kept.
pub const KEPT: usize = 1024 * 1024;

/// The last [`KEPT`] bytes of what was pushed.
#[derive(Debug, Default)]
pub struct Tail(VecDeque<u8>);

impl Tail {
    /// Adds `bytes` at the end.
    pub fn push(&mut self, bytes: &[u8]) {
        let bytes = &bytes[bytes.len().saturating_sub(KEPT)..];
        let excess = (self.0.len() + bytes.len()).saturating_sub(KEPT);
        self.0.drain(..excess);
        self.0.extend(bytes);
    }

    /// What was kept.
    #[must_use]
    pub fn into_bytes(self) -> Vec<u8> {
        self.0.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_end_is_kept() {
        let mut tail = Tail::default();
        tail.push(b"begin");
        tail.push(&vec![b'x'; KEPT - 3]);
        tail.push(b"end");
        let bytes = tail.into_bytes();
        assert_eq!(bytes.len(), KEPT);
        assert!(bytes.starts_with(b"xxx") && bytes.ends_with(b"xend"));
        let mut tail = Tail::default();
        tail.push(&vec![b'y'; KEPT + 5]);
        assert_eq!(tail.into_bytes().len(), KEPT);
    }
}
