//! What a worker has before it: the frames that wait for a webhook, in order, and how far the sending has come.
//!
//! Holds a part of the stream at a time, however much there is behind it.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::super::events::Reader;
use crate::api::event::Frame;
use crate::model::id::DeliveryId;
use crate::model::time::Timestamp;
use crate::model::webhook::{DeliveryStatus, WebhookProgress};
use crate::store::delivery::DeliveryRecord;

/// How often it is looked whether what waits may still be read.
const REVIEW: Duration = Duration::from_secs(1);
/// So many frames that aren't for a webhook are passed over before that is written down.
const PASSED: u64 = 4096;
/// Deliveries that arrived and are still shown.
const DELIVERED: usize = 100;
/// Deliveries that were set aside and are kept.
const DEAD: usize = 1000;

/// What a worker has before it.
pub(super) struct Line {
    /// Of the webhook as it was when this was begun.
    pub(super) generation: u64,
    /// Ahead of the disk while that can't be written.
    pub(super) progress: WebhookProgress,
    pub(super) reader: Option<Reader>,
    frames: VecDeque<Arc<Frame>>,
    reviewed: Instant,
    /// What is known of the delivery of the first frame, or of one that was first before.
    known: Option<DeliveryRecord>,
    /// Whether the first is to be tried without waiting for its time.
    is_urgent: bool,
    /// The cursor that is on disk.
    written: u64,
    /// Deliveries that ended since the last time that old ones were forgotten.
    pub(super) ended: usize,
}

impl Line {
    /// What comes after what was done before.
    pub(super) fn after(progress: WebhookProgress, generation: u64) -> Self {
        Self {
            generation,
            reader: Some(Reader::after(progress.cursor)),
            frames: VecDeque::new(),
            reviewed: Instant::now(),
            known: None,
            is_urgent: false,
            written: progress.cursor,
            ended: 0,
            progress,
        }
    }

    /// The same for a webhook that has changed: what waited may not be wanted any more, and what failed may work.
    pub(super) fn anew(self, generation: u64) -> Self {
        let (written, ended) = (self.written, self.ended);
        Self { written, ended, is_urgent: true, ..Self::after(self.progress, generation) }
    }

    /// The frame that nothing overtakes.
    pub(super) fn first(&self) -> Option<&Arc<Frame>> {
        self.frames.front()
    }

    /// Frames that were found to be wanted and readable now.
    pub(super) fn take_in(&mut self, frames: Vec<Arc<Frame>>) {
        (self.frames, self.reviewed) = (frames.into(), Instant::now());
    }

    /// Whether it is time to look whether the first may still be read.
    pub(super) fn is_stale(&self) -> bool {
        self.reviewed.elapsed() >= REVIEW
    }

    /// Every frame that waits, to be looked at anew.
    pub(super) fn all(&mut self) -> Vec<Arc<Frame>> {
        self.frames.drain(..).collect()
    }

    /// What is known of the delivery of a frame, if it was told.
    pub(super) fn known(&self, frame: &Frame) -> Option<&DeliveryRecord> {
        self.known.as_ref().filter(|known| known.sequence == frame.sequence)
    }

    /// Tells it.
    pub(super) fn learn(&mut self, record: DeliveryRecord) -> &DeliveryRecord {
        let next_at = record.next_at.filter(|_| !std::mem::take(&mut self.is_urgent));
        self.known.insert(DeliveryRecord { next_at, ..record })
    }

    /// All up to this frame needs nothing more.
    pub(super) fn pass(&mut self, sequence: u64) {
        self.progress.cursor = self.progress.cursor.max(sequence);
        while self.frames.front().is_some_and(|frame| frame.sequence <= sequence) {
            self.frames.pop_front();
        }
    }

    /// Whether so much was passed over that it is worth writing down.
    pub(super) fn is_far_ahead(&self) -> bool {
        self.progress.cursor - self.written > PASSED
    }

    /// What was done is on disk.
    pub(super) fn is_written(&mut self) {
        self.written = self.progress.cursor;
    }

    /// Nothing fails at the moment.
    pub(super) fn arrived(&mut self, now: Timestamp) {
        let WebhookProgress { failures, delivered_at, next_at, error, .. } = &mut self.progress;
        (*failures, *delivered_at, *next_at, *error) = (0, Some(now), None, None);
    }

    /// The attempt failed.
    pub(super) fn failed(&mut self, record: &DeliveryRecord) {
        let WebhookProgress { failures, next_at, error, .. } = &mut self.progress;
        (*failures, *next_at) = (failures.saturating_add(1), record.next_at);
        error.clone_from(&record.error);
    }
}

/// Those deliveries that are more than are kept, of all in the order of their frames.
pub(super) fn superfluous(records: &[DeliveryRecord]) -> Vec<DeliveryId> {
    let beyond = |status, kept| {
        let of_status = records.iter().rev().filter(move |record| record.status == status);
        of_status.skip(kept).map(|record| record.id)
    };
    beyond(DeliveryStatus::Delivered, DELIVERED).chain(beyond(DeliveryStatus::Dead, DEAD)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::id::WebhookId;

    fn record(sequence: u64, status: DeliveryStatus) -> DeliveryRecord {
        let webhook = WebhookId(uuid::Uuid::from_u128(1));
        DeliveryRecord {
            webhook,
            id: DeliveryId::of(webhook, sequence),
            sequence,
            event: "TaskStatusChanged".to_owned(),
            status,
            attempts: 1,
            first_at: Timestamp(0),
            last_at: Timestamp(0),
            next_at: None,
            response: None,
            error: None,
            duration_ms: 0,
            frame: None,
        }
    }

    #[test]
    fn the_oldest_of_too_many_are_forgotten_and_none_that_is_still_to_be_sent() {
        let mut records: Vec<_> = (0..2000).map(|sequence| record(sequence, DeliveryStatus::Delivered)).collect();
        for place in [0, 500, 1999] {
            records[place].status = DeliveryStatus::Dead;
        }
        records[1].status = DeliveryStatus::Queued;
        records[2].status = DeliveryStatus::Retrying;
        let gone = superfluous(&records);
        let delivered = records.iter().filter(|record| record.status == DeliveryStatus::Delivered).count();
        assert_eq!(gone.len(), delivered - DELIVERED);
        assert!(
            records
                .iter()
                .filter(|record| gone.contains(&record.id))
                .all(|record| { record.status == DeliveryStatus::Delivered && record.sequence < 1899 })
        );
        let dead: Vec<_> = (0..1003).map(|sequence| record(sequence, DeliveryStatus::Dead)).collect();
        let expected = [2, 1, 0].map(|sequence| DeliveryId::of(dead[0].webhook, sequence));
        assert_eq!(superfluous(&dead), expected);
    }

    #[test]
    fn a_line_goes_on_after_what_is_done() {
        let mut line = Line::after(WebhookProgress { cursor: 7, ..WebhookProgress::default() }, 1);
        line.pass(5);
        assert_eq!(line.progress.cursor, 7, "nothing goes back");
        line.pass(7 + PASSED);
        assert!(!line.is_far_ahead());
        line.pass(8 + PASSED);
        assert!(line.is_far_ahead());
        line.is_written();
        assert!(!line.is_far_ahead());
        line.failed(&DeliveryRecord { error: Some("why".to_owned()), ..record(9, DeliveryStatus::Retrying) });
        assert_eq!((line.progress.failures, line.progress.error.as_deref()), (1, Some("why")));
        line.arrived(Timestamp(3));
        assert_eq!((line.progress.failures, &line.progress.error), (0, &None));
        let anew = line.anew(2);
        assert_eq!(
            (anew.progress.cursor, anew.reader.as_ref().map(|reader| reader.after)),
            (8 + PASSED, Some(8 + PASSED))
        );
    }
}
