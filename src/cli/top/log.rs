//! A log on the screen: its last lines, and where in them one looks. Pure.

use std::collections::VecDeque;

use crate::cli::invisible::blanked;
use crate::model::id::TaskId;

/// Lines that are kept.
const KEPT: usize = 5000;
/// The most of a line that is kept.
const LINE_BYTES: usize = 16 * 1024;
/// Stands for the rest of a line.
const CUT: &str = "…";

/// A log that is open.
#[derive(Clone, Debug)]
pub(super) struct Log {
    pub(super) task: TaskId,
    pub(super) title: String,
    lines: VecDeque<String>,
    open: Open,
    /// Lines below what is shown; none while it follows.
    below: usize,
    /// How it ended, once it has.
    pub(super) ended: Option<String>,
}

impl Log {
    /// One of which nothing has come.
    pub(super) fn new(task: TaskId, title: String) -> Self {
        Self { task, title, lines: VecDeque::new(), open: Open::default(), below: 0, ended: None }
    }

    /// Something came.
    pub(super) fn push(&mut self, bytes: &[u8]) {
        let mut parts = bytes.split(|byte| *byte == b'\n');
        self.open.push(parts.next().unwrap_or_default());
        for part in parts {
            self.lines.push_back(std::mem::take(&mut self.open).shown());
            self.open.push(part);
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
        let is_open = !self.open.bytes.is_empty();
        let all = self.lines.len() + usize::from(is_open);
        // The oldest line stops at the top.
        let end = (all - self.below.min(all)).max(height.min(all));
        let shown = self.lines.iter().cloned().chain(is_open.then(|| self.open.shown()));
        shown.skip(end.saturating_sub(height)).take(height.min(end)).collect()
    }
}

/// A line whose end has not come: what of it would be seen in a terminal.
#[derive(Clone, Debug, Default)]
struct Open {
    bytes: Vec<u8>,
    /// Whether there was more than is kept.
    is_cut: bool,
    /// Whether what comes is drawn over what is there, as the bar of a program is.
    is_returned: bool,
}

impl Open {
    fn push(&mut self, bytes: &[u8]) {
        for (index, part) in bytes.split(|byte| *byte == b'\r').enumerate() {
            self.is_returned |= index > 0;
            if part.is_empty() {
                continue;
            }
            if std::mem::take(&mut self.is_returned) {
                self.bytes.clear();
                self.is_cut = false;
            }
            let room = LINE_BYTES - self.bytes.len();
            self.is_cut |= part.len() > room;
            self.bytes.extend_from_slice(&part[..part.len().min(room)]);
        }
    }

    /// As a terminal may get it.
    fn shown(&self) -> String {
        let text = String::from_utf8_lossy(&self.bytes);
        let text = blanked(&console::strip_ansi_codes(&text).replace('\t', "    "));
        if self.is_cut { text + CUT } else { text.trim_end().to_owned() }
    }
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

    #[test]
    fn a_line_is_cut_where_it_is_too_long_whether_it_ends_or_not() {
        let mut log = log(0);
        (0..100).for_each(|_| log.push(&[b'x'; 1000]));
        assert_eq!(log.open.bytes.len(), LINE_BYTES);
        let cut = "x".repeat(LINE_BYTES) + CUT;
        assert_eq!(log.visible(1), [cut.as_str()]);
        // What is drawn over it is seen.
        log.push(b"\r50%");
        assert_eq!(log.visible(1), ["50%"]);
        log.push(&[b"\r", vec![b'x'; 2 * LINE_BYTES].as_slice(), b"\nnext"].concat());
        assert_eq!(log.visible(2), [cut.as_str(), "next"]);
    }

    #[test]
    fn lines_keep_their_indentation_and_nothing_invisible() {
        let mut log = log(0);
        log.push("if:\n    then \u{202e}x\r\n\n\telse\u{200b}  \n  open".as_bytes());
        assert_eq!(log.visible(9), ["if:", "    then  x", "", "    else", "  open"]);
    }
}
