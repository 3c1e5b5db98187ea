//! Threads that start processes. Whoever starts one waits until its program is loaded, which takes long where that is on a
//! slow disk, and for ever where it is on one that is gone; the supervisor has other things to do.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicI32, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};

use rustix::event::{EventfdFlags, eventfd};

use super::cgroup::Group;
use super::child::{Child, Place};
use super::wire::Spawn;
use crate::model::time::Timestamp;

/// So many programs are loaded side by side.
const THREADS: usize = 4;
/// What a starter puts on its stack is small.
const STACK_BYTES: usize = 256 * 1024;

/// An attempt that is being started.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) spawn: Spawn,
    /// Where it is started.
    pub(super) group: Option<Group>,
    /// When it was begun.
    pub(super) at: Timestamp,
    /// Its process, from before that runs its first instruction; 0 until then.
    pub(super) pid: AtomicI32,
}

impl Job {
    pub(super) fn pid(&self) -> i32 {
        self.pid.load(Ordering::Acquire)
    }
}

/// What became of a job.
pub(super) type Started = (Arc<Job>, io::Result<Child>);

/// The threads.
pub(super) struct Starters {
    jobs: Sender<Arc<Job>>,
    started: Receiver<Started>,
    /// Becomes readable when there is something in `started`.
    bell: Arc<OwnedFd>,
}

impl Starters {
    /// Starts the threads. They block the signals that the caller blocks.
    ///
    /// # Errors
    /// When there are no threads to be had.
    pub(super) fn new(place: Place) -> io::Result<Self> {
        let (jobs, queue) = channel::<Arc<Job>>();
        let (results, started) = channel();
        let bell = Arc::new(eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?);
        let (queue, place) = (Arc::new(Mutex::new(queue)), Arc::new(place));
        for _ in 0..THREADS {
            let (queue, place) = (Arc::clone(&queue), Arc::clone(&place));
            let (results, bell) = (results.clone(), Arc::clone(&bell));
            let work = move || {
                while let Some(job) = next(&queue) {
                    let child = Child::start(&job, &place);
                    if results.send((job, child)).is_err() {
                        return;
                    }
                    let _ = rustix::io::write(&bell, &1u64.to_ne_bytes());
                }
            };
            std::thread::Builder::new().name("starter".to_owned()).stack_size(STACK_BYTES).spawn(work)?;
        }
        Ok(Self { jobs, started, bell })
    }

    /// Starts it as soon as a thread has time.
    pub(super) fn start(&self, job: Arc<Job>) {
        self.jobs.send(job).expect("the threads end only with this");
    }

    /// Becomes readable when something was started.
    pub(super) fn bell(&self) -> BorrowedFd<'_> {
        self.bell.as_fd()
    }

    /// What was started, or could not be.
    pub(super) fn started(&self) -> impl Iterator<Item = Started> + use<'_> {
        let _ = rustix::io::read(&self.bell, &mut [0; 8]);
        self.started.try_iter()
    }
}

fn next(queue: &Mutex<Receiver<Arc<Job>>>) -> Option<Arc<Job>> {
    queue.lock().ok()?.recv().ok()
}
