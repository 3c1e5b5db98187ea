//! A log on the screen: its last lines, and where in them one looks. Pure.

use std::collections::VecDeque;

use crate::cli::printer::clean;
use crate::model::id::TaskId;

/// Lines that are kept.
const KEPT: usize = 5000;

/// A log that is open.
#[derive(Clone, Debug)]
pub(super) struct Log {
    pub(super) task: TaskId,
    pub(super) title: String,
    lines: VecDeque<String>,
    /// Bytes of a line whose end has not come.
    open: Vec<u8>,
    /// Lines below what is shown; none while it follows.
    below: usize,
    /// How it ended, once it has.
    pub(super) ended: Option<String>,
}

impl Log {
    /// One of which nothing has come.
    pub(super) fn new(task: TaskId, title: String) -> Self {
        Self { task, title, lines: VecDeque::new(), open: Vec::new(), below: 0, ended: None }
    }

    /// Something came.
    pub(super) fn push(&mut self, bytes: &[u8]) {
        self.open.extend_from_slice(bytes);
        let Some(end) = self.open.iter().rposition(|byte| *byte == b'\n') else { return };
        let rest = self.open.split_off(end + 1);
        let whole = std::mem::replace(&mut self.open, rest);
        for line in String::from_utf8_lossy(&whole).lines() {
            self.lines.push_back(shown(line));
            // Who looks at older lines keeps looking at them.
            if self.below > 0 {
                self.below += 1;
            }
        }
        let over = self.lines.len().saturating_sub(KEPT);
        self.lines.drain(..over);
        self.below = self.below.min(self.lines.len());
    }

    /// Moves by so many lines, up where it is less than nothing, where so many are shown at once.
    pub(super) fn scroll(&mut self, by: isize, shown: usize) {
        self.below = self.below.saturating_add_signed(-by).min(self.lines.len().saturating_sub(shown));
    }

    /// To the newest, and on with it.
    pub(super) fn follow(&mut self) {
        self.below = 0;
    }

    /// Whether what comes is shown.
    pub(super) fn follows(&self) -> bool {
        self.below == 0
    }

    /// The lines to show in so many rows.
    pub(super) fn visible(&self, height: usize) -> Vec<String> {
        let open = String::from_utf8_lossy(&self.open);
        let all = self.lines.len() + usize::from(!open.is_empty());
        // The oldest line stops at the top.
        let end = (all - self.below.min(all)).max(height.min(all));
        let shown = self.lines.iter().cloned().chain((!open.is_empty()).then(|| shown(&open)));
        shown.skip(end.saturating_sub(height)).take(height.min(end)).collect()
    }
}

/// A line as a terminal may get it. What a bar of a program drew over itself is gone there, too.
fn shown(line: &str) -> String {
    let last = line.trim_end_matches('\r').rsplit('\r').next().unwrap_or_default();
    clean(&console::strip_ansi_codes(last).replace('\t', "    "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log(lines: usize) -> Log {
        let mut log = Log::new(TaskId(uuid::Uuid::nil()), String::new());
        (0..lines).for_each(|number| log.push(format!("{number}\n").as_bytes()));
        log
    }

    #[test]
    fn it_follows_until_somebody_looks_back() {
        let mut log = log(10);
        assert_eq!(log.visible(3), ["7", "8", "9"]);
        log.scroll(-2, 3);
        assert_eq!((log.visible(3), log.follows()), (["5", "6", "7"].map(str::to_owned).to_vec(), false));
        log.push(b"10\n");
        assert_eq!(log.visible(3), ["5", "6", "7"]);
        log.scroll(-100, 3);
        assert_eq!(log.visible(3), ["0", "1", "2"]);
        log.follow();
        log.push(b"half a li");
        assert_eq!(log.visible(2), ["10", "half a li"]);
        log.push(b"ne\n");
        assert_eq!(log.visible(100).len(), 12);
    }

    #[test]
    fn what_a_program_draws_is_text_and_there_is_never_too_much() {
        let mut log = log(KEPT + 10);
        log.push(b"10%\r50%\r\x1b[32m100%\x1b[0m\tdone\r\n");
        assert_eq!(log.visible(1), ["100%    done"]);
        assert_eq!(log.visible(usize::MAX).len(), KEPT);
    }
}
