//! The stream as readers take it: each asks for what comes after the last frame it had, and gets it, in order, once.
//!
//! The newest frames are kept for all who follow, and made once. Whoever asks for older ones reads the log for themselves until
//! they have caught up. Nobody is ever told of less than there is because they were slow: what is asked for is in the store.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use super::projection::{Projector, last_of, place_of};
use crate::api::event::Frame;
use crate::store::{Backend, StoreError};

/// Frames kept for all.
const KEPT: usize = 8192;
/// Facts read at once.
const PART: usize = 1024;

/// The newest frames, and who makes more.
#[derive(Default)]
pub(in crate::app) struct Feed(Mutex<Newest>);

#[derive(Default)]
struct Newest {
    /// Every frame after `from`, up to the place `upto` of the log.
    frames: VecDeque<Arc<Frame>>,
    from: u64,
    upto: u64,
    projector: Projector,
}

/// Where one reader is.
#[derive(Default)]
pub(in crate::app) struct Reader {
    /// The sequence of the last frame it had.
    pub(in crate::app) after: u64,
    /// What makes frames that are kept for nobody else.
    own: Option<Box<Projector>>,
}

impl Reader {
    /// One that has had everything up to the frame of this sequence.
    pub(in crate::app) fn after(sequence: u64) -> Self {
        Self { after: sequence, own: None }
    }

    /// One to whom all that the log has so far is old.
    ///
    /// # Errors
    /// When the store can't be read.
    pub(in crate::app) fn at_the_end(reads: &dyn Backend) -> Result<Self, StoreError> {
        Ok(Self::after(last_of(reads.log_end()?)))
    }
}

impl Feed {
    /// The next frames of a reader; none when it has had all there are.
    ///
    /// # Errors
    /// When the store can't be read.
    pub(in crate::app) fn read(&self, reads: &dyn Backend, reader: &mut Reader) -> Result<Vec<Arc<Frame>>, StoreError> {
        let kept = {
            let mut newest = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            newest.begin_near(reads, reader.after)?;
            (newest.from <= reader.after).then(|| newest.after(reads, reader.after)).transpose()?
        };
        let frames = if let Some(frames) = kept {
            reader.own = None;
            frames
        } else {
            read_back(reads, reader)?
        };
        if let Some(last) = frames.last() {
            reader.after = last.sequence;
        }
        Ok(frames)
    }
}

impl Newest {
    /// Where nobody has followed for long, it begins anew where the first reader is, unless that is far back.
    fn begin_near(&mut self, reads: &dyn Backend, after: u64) -> Result<(), StoreError> {
        let end = reads.log_end()?;
        if end.saturating_sub(self.upto) > KEPT as u64 {
            let from = last_of(end.saturating_sub(PART as u64)).max(after.min(last_of(end)));
            *self = Self { from, upto: place_of(from), ..Self::default() };
        }
        Ok(())
    }

    fn after(&mut self, reads: &dyn Backend, after: u64) -> Result<Vec<Arc<Frame>>, StoreError> {
        let (facts, upto) = reads.log(self.upto, PART)?;
        for (place, fact) in facts {
            self.frames.extend(self.projector.frames(reads, place, &fact)?.into_iter().map(Arc::new));
        }
        self.upto = upto;
        while self.frames.len() > KEPT {
            self.from = self.frames.pop_front().map_or(self.from, |frame| frame.sequence);
        }
        let old = self.frames.partition_point(|frame| frame.sequence <= after);
        Ok(self.frames.range(old..).take(PART).cloned().collect())
    }
}

/// Frames that are kept for nobody. A part of the log that makes none is passed over.
fn read_back(reads: &dyn Backend, reader: &mut Reader) -> Result<Vec<Arc<Frame>>, StoreError> {
    let projector = reader.own.get_or_insert_default();
    // The fact that made the last frame may have made more.
    let mut upto = place_of(reader.after).saturating_sub(1);
    loop {
        let (facts, next) = reads.log(upto, PART)?;
        if next == upto {
            return Ok(Vec::new());
        }
        upto = next;
        let mut frames = Vec::new();
        for (place, fact) in facts {
            let made = projector.frames(reads, place, &fact)?.into_iter();
            frames.extend(made.filter(|frame| frame.sequence > reader.after).map(Arc::new));
        }
        if !frames.is_empty() {
            return Ok(frames);
        }
    }
}
