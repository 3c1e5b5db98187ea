//! A stream that holds a command's output and, marked, what is said of the command.

use super::header::Mark;
use crate::provision::transport::tail::Tail;

/// Takes a stream apart as it comes.
#[derive(Debug)]
pub(in crate::provision) struct Marked {
    mark: Vec<u8>,
    /// What may be the start of a mark.
    rest: Vec<u8>,
    output: Tail,
    said: Vec<String>,
}

impl Marked {
    pub(in crate::provision) fn by(mark: &Mark) -> Self {
        Self { mark: mark.as_bytes().to_vec(), rest: Vec::new(), output: Tail::default(), said: Vec::new() }
    }

    /// Takes the next bytes; answers what they say of the command, a line each, in order.
    pub(in crate::provision) fn push(&mut self, bytes: &[u8]) -> Vec<String> {
        self.rest.extend_from_slice(bytes);
        let mut from = 0;
        while let Some(begin) = self.rest[from..].iter().position(|byte| *byte == self.mark[0]).map(|at| from + at) {
            self.output.push(&self.rest[from..begin]);
            from = begin;
            let ahead = &self.rest[begin..];
            if ahead.starts_with(&self.mark) {
                let Some(end) = ahead.iter().position(|byte| *byte == b'\n') else { break };
                self.said.push(String::from_utf8_lossy(&ahead[self.mark.len()..end]).trim().to_owned());
                from = begin + end + 1;
            } else if self.mark.starts_with(ahead) {
                break;
            } else {
                self.output.push(&self.rest[begin..=begin]);
                from = begin + 1;
            }
        }
        if self.rest.get(from) != self.mark.first() {
            self.output.push(&self.rest[from..]);
            from = self.rest.len();
        }
        self.rest.drain(..from);
        std::mem::take(&mut self.said)
    }

    /// The end of the output.
    pub(in crate::provision) fn into_output(mut self) -> Vec<u8> {
        self.output.push(&self.rest);
        self.output.into_bytes()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn output_and_what_is_said_come_apart_however_they_are_cut(
            parts in proptest::collection::vec(("[a\x1e\n]{0,9}", "[A-Z]( [0-9]{1,3})?"), 0..6),
            cut in 1usize..9,
        ) {
            let mark = Mark::new();
            let (mut stream, mut output, mut said) = (Vec::new(), String::new(), Vec::new());
            for (text, word) in &parts {
                stream.extend_from_slice(text.as_bytes());
                stream.extend_from_slice(mark.as_bytes());
                stream.extend_from_slice(format!(" {word}\n").as_bytes());
                output.push_str(text);
                said.push(word.clone());
            }
            let mut marked = Marked::by(&mark);
            let heard: Vec<String> = stream.chunks(cut).flat_map(|chunk| marked.push(chunk)).collect();
            prop_assert_eq!(heard, said);
            prop_assert_eq!(marked.into_output(), output.into_bytes());
        }
    }
}
