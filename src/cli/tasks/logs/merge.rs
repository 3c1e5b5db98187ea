//! Two streams put together so that no line is broken by a line of the other. Pure: parts in, text out.

/// What has come of each stream and has not been printed.
#[derive(Debug, Default)]
pub(super) struct Merge {
    /// The beginnings of lines.
    held: [Vec<u8>; 2],
    /// Whose connection is gone: the rest of the line is certain to come.
    is_broken: [bool; 2],
    /// The stream that was last printed from, and whether that ended its line.
    last: Option<(usize, bool)>,
}

impl Merge {
    /// Something came of a stream: its whole lines can be printed.
    pub(super) fn push(&mut self, stream: usize, bytes: &[u8]) -> Vec<u8> {
        let Some(held) = self.held.get_mut(stream) else { return Vec::new() };
        self.is_broken[stream] = false;
        let Some(end) = bytes.iter().rposition(|byte| *byte == b'\n') else {
            held.extend_from_slice(bytes);
            return Vec::new();
        };
        let mut text = std::mem::take(held);
        text.extend_from_slice(&bytes[..=end]);
        held.extend_from_slice(&bytes[end + 1..]);
        self.printed(stream, text)
    }

    /// A stream's connection is gone for now.
    pub(super) fn breaks(&mut self, stream: usize) -> Vec<u8> {
        if let Some(is_broken) = self.is_broken.get_mut(stream) {
            *is_broken = true;
        }
        Vec::new()
    }

    /// A stream has ended, or its line is waited for no longer.
    pub(super) fn flush(&mut self, stream: usize) -> Vec<u8> {
        let text = self.held.get_mut(stream).map(std::mem::take).unwrap_or_default();
        self.printed(stream, text)
    }

    /// Nothing came for a while: a question without a line's end is to be seen.
    pub(super) fn idle(&mut self) -> Vec<u8> {
        let waits = |stream: &usize| !self.is_broken[*stream];
        let streams: Vec<usize> = [0, 1].into_iter().filter(waits).collect();
        streams.into_iter().flat_map(|stream| self.flush(stream)).collect()
    }

    fn printed(&mut self, stream: usize, mut text: Vec<u8>) -> Vec<u8> {
        let Some(byte) = text.last() else { return text };
        let ends_line = *byte == b'\n';
        if self.last.is_some_and(|(other, ended)| other != stream && !ended) {
            text.insert(0, b'\n');
        }
        self.last = Some((stream, ends_line));
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn text(bytes: &[u8]) -> String {
        String::from_utf8_lossy(bytes).into_owned()
    }

    #[test]
    fn a_line_is_printed_when_it_is_whole_or_nothing_comes() {
        let mut merge = Merge::default();
        assert_eq!(text(&merge.push(0, b"one\ntw")), "one\n");
        assert_eq!(text(&merge.push(1, b"an error\n")), "an error\n");
        assert_eq!(text(&merge.push(0, b"o\nName: ")), "two\n");
        assert_eq!(text(&merge.idle()), "Name: ");
        assert_eq!(text(&merge.push(1, b"late\n")), "\nlate\n");
        assert_eq!(text(&merge.push(0, b"?")), "");
        assert_eq!((text(&merge.breaks(0)), text(&merge.idle())), (String::new(), String::new()));
        assert_eq!((text(&merge.flush(0)), text(&merge.flush(0))), ("?".to_owned(), String::new()));
    }

    proptest! {
        #[test]
        fn every_line_comes_once_and_in_the_order_of_its_stream(parts in prop::collection::vec((0usize..2, 1usize..9), 0..60)) {
            let whole: [Vec<u8>; 2] = ["o", "e"].map(|name| {
                (0..40).flat_map(|number| format!("{name}{number}\n").into_bytes()).collect()
            });
            let (mut merge, mut at, mut printed) = (Merge::default(), [0, 0], Vec::new());
            for (stream, size) in parts.into_iter().chain([(0, 1000), (1, 1000)]) {
                let end = (at[stream] + size).min(whole[stream].len());
                printed.extend(merge.push(stream, &whole[stream][at[stream]..end]));
                at[stream] = end;
            }
            printed.extend(merge.idle());
            for (stream, name) in ["o", "e"].into_iter().enumerate() {
                let told = text(&printed);
                let lines = told.lines().filter(|line| line.starts_with(name)).map(|line| format!("{line}\n"));
                prop_assert_eq!(lines.collect::<String>(), text(&whole[stream]));
            }
        }
    }
}
