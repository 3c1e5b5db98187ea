//! The stream as readers take it: each asks for what comes after the last frame it had, and gets it, in order, once.
//!
//! The newest frames are kept for all who follow, and made once. Whoever asks for older ones reads the log for themselves until
//! they have caught up. Nobody is ever told of less than there is because they were slow: what is asked for is in the store.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use super::projection::{Projector, last_of, place_of};
use crate::api::event::Frame;
use crate::store::record::LoggedEvent;
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
            *self = Self { from, upto: place_before(from), ..Self::default() };
        }
        Ok(())
    }

    /// The next frames after this sequence, which is none before `from`. More is read only for who has had all that is kept, so
    /// that what is dropped for it is never what is asked for.
    fn after(&mut self, reads: &dyn Backend, after: u64) -> Result<Vec<Arc<Frame>>, StoreError> {
        loop {
            let old = self.frames.partition_point(|frame| frame.sequence <= after);
            if old < self.frames.len() {
                return Ok(self.frames.range(old..).take(PART).cloned().collect());
            }
            if !self.read_on(reads)? {
                return Ok(Vec::new());
            }
        }
    }

    /// Takes in a part of the log; false where there is no more of it.
    fn read_on(&mut self, reads: &dyn Backend) -> Result<bool, StoreError> {
        let (facts, upto) = reads.log(self.upto, PART)?;
        if upto == self.upto {
            return Ok(false);
        }
        // All of the part or nothing: what can't be read now is read again.
        let frames = frames_after(self.from, &mut self.projector, reads, facts)?;
        self.frames.extend(frames);
        self.upto = upto;
        while self.frames.len() > KEPT {
            self.from = self.frames.pop_front().map_or(self.from, |frame| frame.sequence);
        }
        Ok(true)
    }
}

/// The place up to which the log needs not be read for what comes after this frame: the fact that made it may have made more.
const fn place_before(sequence: u64) -> u64 {
    place_of(sequence).saturating_sub(1)
}

/// The frames of these facts that come after this sequence.
fn frames_after(
    after: u64,
    projector: &mut Projector,
    reads: &dyn Backend,
    facts: Vec<(u64, LoggedEvent)>,
) -> Result<Vec<Arc<Frame>>, StoreError> {
    let mut frames = Vec::new();
    for (place, fact) in facts {
        let made = projector.frames(reads, place, &fact)?.into_iter();
        frames.extend(made.filter(|frame| frame.sequence > after).map(Arc::new));
    }
    Ok(frames)
}

/// Frames that are kept for nobody. A part of the log that makes none is passed over.
fn read_back(reads: &dyn Backend, reader: &mut Reader) -> Result<Vec<Arc<Frame>>, StoreError> {
    let projector = reader.own.get_or_insert_default();
    let mut upto = place_before(reader.after);
    loop {
        let (facts, next) = reads.log(upto, PART)?;
        if next == upto {
            return Ok(Vec::new());
        }
        upto = next;
        let frames = frames_after(reader.after, projector, reads, facts)?;
        if !frames.is_empty() {
            return Ok(frames);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::{Direction, Event};
    use crate::model::batch::{BatchSpec, OnFailure, Operation, Payload, Retry};
    use crate::model::id::{TaskId, WorkId};
    use crate::model::name::Name;
    use crate::model::status::BatchStatus;
    use crate::model::time::Timestamp;
    use crate::store::record::{WorkKind, WorkRecord};
    use crate::store::{Change, Store, Transaction};
    use uuid::Uuid;

    /// Facts of each batch.
    const FACTS: usize = 5;

    fn batch() -> WorkRecord {
        let name = |text: &str| Name::new(text.to_owned()).unwrap();
        let operation = Operation {
            id: name("one"),
            payload: Payload::ClusterBatch { cluster_type: name("lab"), params: serde_json::Map::new() },
            provider: None,
            dependencies: Vec::new(),
            timeout_seconds: 60,
            on_failure: OnFailure::Fail,
            retry: Retry::default(),
            rollback: None,
        };
        let spec = BatchSpec {
            name: "b".to_owned(),
            version: String::new(),
            parallel_limit: 1,
            rollback_enabled: false,
            rehearse: None,
            infra: name("lab"),
            operations: vec![operation],
        };
        WorkRecord { kind: WorkKind::Batch { spec }, submitted_by: "admin".to_owned(), created_at: Timestamp(0) }
    }

    /// Does batches of one operation, of these numbers.
    fn add(store: &Store, numbers: std::ops::Range<usize>) {
        let record = batch();
        let changes = numbers.flat_map(|number| {
            let id = Uuid::from_u128(number as u128 + 1);
            let at = Timestamp(0);
            let facts: [Event; FACTS] = [
                Event::Accepted,
                Event::Intended { operation: 0, direction: Direction::Do, attempt: 1, task: TaskId(id) },
                Event::Started { operation: 0, at, deadline: at },
                Event::Succeeded { operation: 0, direction: Direction::Do },
                Event::Ended { status: BatchStatus::Completed },
            ];
            let facts = facts.map(|event| Change::Append(LoggedEvent { work: WorkId(id), at, event }));
            std::iter::once(Change::PutWork(WorkId(id), Box::new(record.clone()))).chain(facts)
        });
        store.submit(Transaction::of(changes.collect())).blocking_recv().unwrap().unwrap();
    }

    /// A store with so many facts at least, and all its frames.
    fn filled(facts: usize) -> (Store, Vec<Arc<Frame>>) {
        let store = Store::in_memory().unwrap();
        add(&store, 0..facts.div_ceil(FACTS));
        let frames = all(&store);
        (store, frames)
    }

    /// All that the log says.
    fn all(store: &Store) -> Vec<Arc<Frame>> {
        let (facts, _) = store.reads().log(0, usize::MAX).unwrap();
        frames_after(0, &mut Projector::default(), store.reads(), facts).unwrap()
    }

    fn sequences(frames: &[Arc<Frame>]) -> Vec<u64> {
        frames.iter().map(|frame| frame.sequence).collect()
    }

    /// What is read from there must be what comes there.
    fn assert_resumes(store: &Store, feed: &Feed, all: &[Arc<Frame>], after: u64) {
        let read = feed.read(store.reads(), &mut Reader::after(after)).unwrap();
        let rest = &all[all.partition_point(|frame| frame.sequence <= after)..];
        assert_eq!(read.is_empty(), rest.is_empty(), "after {after}");
        assert_eq!(sequences(&read), sequences(&rest[..read.len()]), "after {after}");
    }

    #[test]
    fn whoever_resumes_within_a_fact_is_told_the_rest_of_it_however_long_the_log_is() {
        let (short, frames) = filled(60);
        assert!(frames.windows(3).any(|three| place_of(three[0].sequence) == place_of(three[2].sequence)));
        for after in 0..=last_of(short.reads().log_end().unwrap()) {
            assert_resumes(&short, &Feed::default(), &frames, after);
        }
        let (long, frames) = filled(KEPT + 2 * PART);
        let end = long.reads().log_end().unwrap();
        let edge = end - PART as u64;
        // Far back, where what is kept begins, and near the end.
        for places in [2..6, edge - 3..edge + 4, end - 30..end + 1] {
            for after in places.start * 4..places.end * 4 {
                assert_resumes(&long, &Feed::default(), &frames, after);
            }
        }
        let (feed, mut reader, mut read) = (Feed::default(), Reader::after(edge * 4 + 4), Vec::new());
        loop {
            let part = feed.read(long.reads(), &mut reader).unwrap();
            if part.is_empty() {
                break;
            }
            read.extend(sequences(&part));
        }
        assert_eq!(read, sequences(&frames[frames.len() - read.len()..]), "and everything to the end");
        assert!(read[0] > edge * 4 + 4 && read[0] < edge * 4 + 12, "{}", read[0]);
    }

    #[test]
    fn what_is_dropped_for_new_frames_is_not_lost_for_who_has_not_had_it() {
        let (store, frames) = filled(KEPT - 100);
        let (feed, mut quick) = (Feed::default(), Reader::after(0));
        while !feed.read(store.reads(), &mut quick).unwrap().is_empty() {}
        let oldest = feed.0.lock().unwrap().from;
        assert!(oldest > 0, "some were dropped");
        let before = frames.len();
        add(&store, 10_000..10_100);
        let frames = all(&store);
        assert!(frames.len() > before);
        assert_resumes(&store, &feed, &frames, oldest);
        assert_resumes(&store, &feed, &frames, quick.after);
        assert_resumes(&store, &feed, &frames, oldest);
    }

    #[test]
    fn whoever_is_far_ahead_of_what_is_kept_need_not_ask_twice() {
        let (store, frames) = filled(KEPT / 2);
        let after = frames[frames.len() - 3].sequence;
        let read = Feed::default().read(store.reads(), &mut Reader::after(after)).unwrap();
        assert_eq!(sequences(&read), sequences(&frames[frames.len() - 2..]));
    }
}
