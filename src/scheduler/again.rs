//! Ended work that is taken up again: tried again, gone on with without an operation, or closed.

use super::driver::Driver;
use super::outbox::Reply;
use super::{ScheduleError, recover};
use crate::engine::Command;
use crate::engine::react::{NotNow, react};
use crate::model::id::WorkId;
use crate::model::time::Timestamp;
use crate::store::record::LiveRecord;
use crate::store::{Backend, Change};

impl Driver {
    /// Takes ended work up again; `reads` is where it is found, `how` says what becomes of it, and `also` is written with
    /// that.
    pub fn take_up_again(
        &mut self,
        work: WorkId,
        how: &Command,
        also: Vec<Change>,
        reads: &dyn Backend,
        reply: Reply,
        now: Timestamp,
    ) {
        match self.try_again(work, how, reads, now) {
            Ok(()) => self.answer_with(also, reply),
            Err(reason) => _ = reply.send(Err(reason)),
        }
    }

    fn try_again(
        &mut self,
        work: WorkId,
        how: &Command,
        reads: &dyn Backend,
        now: Timestamp,
    ) -> Result<(), ScheduleError> {
        self.accepts()?;
        if let Some(host) = self.guests.host(work) {
            return Err(NotNow::Held(host).into());
        }
        let goes_on = !matches!(how, Command::Close { .. });
        if let Some(live) = self.engine.work(work) {
            react(live, how)?;
        } else {
            self.bring_back(work, how, goes_on, reads)?;
        }
        if goes_on {
            let reopened = self.reopen(work, now);
            self.group.changes.extend(reopened);
        }
        let step = self.handle(work, how, now);
        let step = step.map_err(|reason| reason.map_or(ScheduleError::Unknown(work), ScheduleError::NotNow))?;
        if goes_on {
            // Before what follows: it may end again at once.
            self.group.changes.push(Change::PutLive(work, LiveRecord { epoch: self.epoch }));
        } else {
            self.group.after.retire.insert(work);
        }
        self.note(work, step, now);
        Ok(())
    }

    /// Takes ended work back into memory, to go on with it or to close it. Work leaves the memory only once its end is on
    /// disk, so the store knows it as it is.
    fn bring_back(
        &mut self,
        work: WorkId,
        how: &Command,
        goes_on: bool,
        reads: &dyn Backend,
    ) -> Result<(), ScheduleError> {
        let mut loaded = recover::load(reads, work)?.ok_or(ScheduleError::Unknown(work))?;
        react(&loaded.replayed(work), how)?;
        if goes_on {
            self.may_hold(&loaded, work)?;
        } else {
            loaded.guests.clear();
        }
        self.restore(work, loaded);
        Ok(())
    }
}
