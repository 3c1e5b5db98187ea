//! What the screen shows, and what keys and news do to it. Pure: an input in, the state changes, and what is to be done about
//! it comes out.

mod keys;

use super::log::Log;
use super::rows::{Id, Picked, Row, wanted};
use crate::api::batch::{BatchSummary, BatchView};
use crate::api::event::{Event, Frame};
use crate::api::state::{SystemHealth, SystemMetrics};
use crate::api::task::Task;
use crate::cli::watch::followed::{self, Followed};
use crate::model::id::{BatchId, TaskId};

/// A key that means something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Key {
    Up,
    Down,
    PageUp,
    PageDown,
    Home,
    End,
    Enter,
    Escape,
    Tab,
    Backspace,
    /// Ctrl-C.
    Interrupt,
    Char(char),
}

/// How news come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Link {
    /// By asking.
    #[default]
    Asking,
    /// By the stream.
    Live,
    /// Not at all: the daemon doesn't answer.
    Away,
}

/// What was read of all work.
#[derive(Clone, Debug, Default)]
pub(super) struct Lists {
    pub(super) batches: Vec<BatchSummary>,
    pub(super) tasks: Vec<Task>,
}

/// Something that comes in.
#[derive(Clone, Debug)]
pub(super) enum Input {
    Key(Key),
    Read(Lists),
    Opened(Box<BatchView>),
    Figures(Box<SystemMetrics>, Option<Box<SystemHealth>>),
    NoFigures,
    Frame(Box<Frame>),
    Link(Link),
    Log(TaskId, Vec<u8>),
    LogEnded(TaskId, String),
    /// What became of something that was asked for.
    Told(String),
}

/// Something to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Effect {
    Quit,
    /// Read all work again.
    Read,
    /// Read the batch that is open.
    Open(BatchId),
    /// Read a log from now on, and no other.
    Log(TaskId),
    CloseLog,
    CancelTask(TaskId),
    CancelBatch(BatchId, bool),
    RetryTask(TaskId),
    RetryBatch(BatchId),
}

/// Which list is shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum List {
    /// Batches, and tasks that belong to none.
    #[default]
    Work,
    /// Every task.
    Tasks,
    /// The operations of the batch that is open.
    Operations,
}

/// What lies over the list.
#[derive(Clone, Debug)]
pub(super) enum Over {
    Help,
    /// Whether this is to be ended.
    Cancel(Id, String),
    Log(Log),
}

/// All that is shown.
#[derive(Clone, Debug, Default)]
pub(super) struct Model {
    pub(super) server: String,
    pub(super) list: List,
    lists: Lists,
    pub(super) opened: Option<Box<BatchView>>,
    /// The batch whose operations are wanted; it may not have been read yet.
    opening: Option<BatchId>,
    /// Whether a log is wanted once that has been read.
    wants_log: bool,
    selected: Option<Id>,
    pub(super) picked: Picked,
    pub(super) filter: String,
    pub(super) is_typing: bool,
    pub(super) over: Option<Over>,
    pub(super) metrics: Option<Box<SystemMetrics>>,
    pub(super) health: Option<Box<SystemHealth>>,
    pub(super) link: Link,
    pub(super) told: String,
    /// Lines that the list, or what lies over it, has room for.
    pub(super) page: usize,
}

impl Model {
    /// Nothing is known yet.
    pub(super) fn new(server: String, filter: String) -> Self {
        Self { server, filter, page: 10, ..Self::default() }
    }

    /// The lines of the list that is shown.
    pub(super) fn rows(&self) -> Vec<Row> {
        let lone = |task: &&Task| task.batch_id.is_none();
        let rows: Vec<Row> = match (self.list, &self.opened) {
            (List::Work, _) => {
                let batches = self.lists.batches.iter().map(Row::of_batch);
                batches.chain(self.lists.tasks.iter().filter(lone).map(Row::of_task)).collect()
            }
            (List::Tasks, _) => self.lists.tasks.iter().map(Row::of_task).collect(),
            (List::Operations, Some(batch)) => {
                batch.operations.iter().map(|operation| Row::of_operation(&batch.summary, operation)).collect()
            }
            (List::Operations, None) => Vec::new(),
        };
        wanted(rows, self.picked, &self.filter)
    }

    /// Which of these lines is selected; the first where that one is gone.
    pub(super) fn selected(&self, rows: &[Row]) -> usize {
        rows.iter().position(|row| Some(&row.id) == self.selected.as_ref()).unwrap_or(0)
    }

    /// Whether anything runs: then how far it is, which no event tells, is worth reading.
    pub(super) fn is_busy(&self) -> bool {
        self.rows().iter().any(|row| row.mood.is_moving())
    }

    /// The batch whose operations are shown.
    pub(super) fn opening(&self) -> Option<BatchId> {
        self.opening.filter(|_| self.list == List::Operations)
    }

    /// Takes in what came.
    pub(super) fn update(&mut self, input: Input) -> Vec<Effect> {
        match input {
            Input::Key(key) => return keys::press(self, key),
            Input::Read(lists) => self.lists = lists,
            Input::Opened(batch) => return self.open(batch),
            Input::Figures(metrics, health) => {
                self.metrics = Some(metrics);
                self.health = health;
            }
            Input::NoFigures => (self.metrics, self.health) = (None, None),
            Input::Frame(frame) => return self.happened(&frame),
            Input::Link(link) => self.link = link,
            Input::Log(task, bytes) => {
                if let Some(log) = self.log(task) {
                    log.push(&bytes);
                }
            }
            Input::LogEnded(task, how) => {
                if let Some(log) = self.log(task) {
                    log.ended = Some(how);
                }
            }
            Input::Told(text) => self.told = text,
        }
        Vec::new()
    }

    fn log(&mut self, task: TaskId) -> Option<&mut Log> {
        match &mut self.over {
            Some(Over::Log(log)) if log.task == task => Some(log),
            _ => None,
        }
    }

    /// Something happened: what is known of changes at once, and what is not known, or has ended, is read.
    fn happened(&mut self, frame: &Frame) -> Vec<Effect> {
        let is_news = self.happened_to_task(frame) || self.happened_to_batch(frame);
        let mut effects = if is_news { vec![Effect::Read] } else { Vec::new() };
        if let Some(batch) = &mut self.opened
            && batch.apply(frame) == followed::Effect::Ended
        {
            effects.extend(self.opening().map(Effect::Open));
        }
        effects
    }

    /// Says whether the lists must be read.
    fn happened_to_task(&mut self, frame: &Frame) -> bool {
        let Event::TaskStatusChanged { task_id, .. } = &frame.event else { return false };
        let known = self.lists.tasks.iter_mut().find(|task| task.id == *task_id);
        known.is_none_or(|task| {
            let has_ended = task.apply(frame) == followed::Effect::Ended;
            task.completed_at = if has_ended { Some(frame.timestamp) } else { task.completed_at };
            has_ended
        })
    }

    /// The same of a batch. A workflow's task is told of as a task already.
    fn happened_to_batch(&mut self, frame: &Frame) -> bool {
        let Event::WorkflowProgressUpdate { workflow_id, status, error, .. } = &frame.event else { return false };
        if self.lists.tasks.iter().any(|task| task.id.0 == workflow_id.0) {
            return false;
        }
        let known = self.lists.batches.iter_mut().find(|batch| batch.batch_id.0 == workflow_id.0);
        known.is_none_or(|batch| {
            let has_ended = followed::whole(batch, frame) == followed::Effect::Ended;
            if has_ended {
                (batch.status, batch.completed_at) = (*status, Some(frame.timestamp));
                batch.error.clone_from(error);
            }
            // One that had ended and goes on was retried.
            has_ended || batch.status != *status
        })
    }

    /// Shows the batch that was read; and the log of its most telling task where that was asked for.
    fn open(&mut self, batch: Box<BatchView>) -> Vec<Effect> {
        if self.opening != Some(batch.summary.batch_id) {
            return Vec::new();
        }
        let rows = batch.operations.iter().map(|operation| Row::of_operation(&batch.summary, operation)).collect();
        self.opened = Some(batch);
        if !std::mem::take(&mut self.wants_log) {
            return Vec::new();
        }
        match wanted(rows, Picked::All, "").iter().find(|row| row.task.is_some()) {
            Some(row) => self.open_log(row),
            None => Vec::new(),
        }
    }

    /// Shows the log of what a line stands for; nothing where it has none.
    fn open_log(&mut self, row: &Row) -> Vec<Effect> {
        let Some(task) = row.task else {
            self.told = format!("{} has not begun: there is no log", row.name);
            return Vec::new();
        };
        self.over = Some(Over::Log(Log::new(task, row.name.clone())));
        vec![Effect::Log(task)]
    }
}
