//! Characters that have no look of their own: controls, and those that format what is around them. Knows nothing of where text
//! comes from or goes.

use std::ops::RangeInclusive;

/// General category Cf of Unicode 16, and the separators of lines and paragraphs (U+2028, U+2029).
const FORMATS: [RangeInclusive<char>; 20] = [
    '\u{ad}'..='\u{ad}',
    '\u{600}'..='\u{605}',
    '\u{61c}'..='\u{61c}',
    '\u{6dd}'..='\u{6dd}',
    '\u{70f}'..='\u{70f}',
    '\u{890}'..='\u{891}',
    '\u{8e2}'..='\u{8e2}',
    '\u{180e}'..='\u{180e}',
    '\u{200b}'..='\u{200f}',
    '\u{2028}'..='\u{202e}',
    '\u{2060}'..='\u{2064}',
    '\u{2066}'..='\u{206f}',
    '\u{feff}'..='\u{feff}',
    '\u{fff9}'..='\u{fffb}',
    '\u{110bd}'..='\u{110bd}',
    '\u{110cd}'..='\u{110cd}',
    '\u{13430}'..='\u{1343f}',
    '\u{1bca0}'..='\u{1bca3}',
    '\u{1d173}'..='\u{1d17a}',
    '\u{e0001}'..='\u{e007f}',
];

/// The text with a space for each of them: it stays on its line, and reads in the order in which it is written.
pub(super) fn blanked(text: &str) -> String {
    let is_invisible = |c: char| c.is_control() || FORMATS.iter().any(|range| range.contains(&c));
    text.chars().map(|c| if is_invisible(c) { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_no_look_is_a_space_and_all_else_stays() {
        let hidden = "a\u{202e}b\u{200b}c\u{2066}d\u{feff}e\u{ad}f\u{e0041}g\u{2028}h\u{1b}i\nj";
        assert_eq!(blanked(hidden), "a b c d e f g h i j");
        let seen = "  Größe, 数, שלום, سلام, 🦀 – \u{2065}\u{2027}\u{202f}";
        assert_eq!(blanked(seen), seen);
        assert!(FORMATS.windows(2).all(|pair| pair[0].end() < pair[1].start()));
    }
}
