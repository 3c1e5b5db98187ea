//! QR codes drawn on the terminal, two modules a character, by half blocks.
//!
//! A scanner wants dark modules on a light ground with a quiet zone of four modules around. Terminals are dark or light, and
//! don't say which, so ground and modules are coloured here: black on white, whatever the theme. Without colour the
//! *light* modules are drawn in the terminal's own ink: right on a dark terminal, inverted on a light one, which most
//! scanners read as well. Knows nothing of what it draws; whoever calls prints the text beside it, for typing.

use qrcodegen::{QrCode, QrCodeEcc};

/// Light modules around the code (ISO/IEC 18004).
const QUIET: i32 = 4;
/// Black on white from the fixed part of the 256 colours, which themes leave alone.
const BLACK_ON_WHITE: &str = "\x1b[38;5;16;48;5;231m";
const RESET: &str = "\x1b[0m";

/// What a code is drawn with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ink {
    /// Black on white.
    BlackOnWhite,
    /// The terminal's own two colours.
    Own,
}

/// The text as a QR code, in lines; nothing when it is longer than a code can hold.
#[must_use]
pub fn draw(text: &str, ink: Ink) -> Option<String> {
    // A screen has no scratches: the least correction makes the smallest code.
    let code = QrCode::encode_text(text, QrCodeEcc::Low).ok()?;
    let places = -QUIET..code.size() + QUIET;
    let lines = places.clone().step_by(2).map(|y| {
        let line: String = places.clone().map(|x| half_blocks(&code, x, y, ink)).collect();
        match ink {
            Ink::BlackOnWhite => format!("{BLACK_ON_WHITE}{line}{RESET}\n"),
            Ink::Own => format!("{line}\n"),
        }
    });
    Some(lines.collect())
}

/// The module at a place and the one below it. The last line has nothing below, which is drawn as ground.
fn half_blocks(code: &QrCode, x: i32, y: i32, ink: Ink) -> char {
    let below = y + 1 < code.size() + QUIET;
    let (upper, lower) = match ink {
        Ink::BlackOnWhite => (code.get_module(x, y), below && code.get_module(x, y + 1)),
        Ink::Own => (!code.get_module(x, y), below && !code.get_module(x, y + 1)),
    };
    match (upper, lower) {
        (true, true) => '█',
        (true, false) => '▀',
        (false, true) => '▄',
        (false, false) => ' ',
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const URI: &str = "otpauth://totp/prov:alice?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ&issuer=prov&algorithm=SHA1&digits=6&period=30";

    /// The modules that were drawn: true where there is ink.
    fn inked(drawn: &str) -> Vec<Vec<bool>> {
        let line = |line: &str, blocks: [char; 2]| line.chars().map(|block| blocks.contains(&block)).collect();
        drawn.lines().flat_map(|text| [line(text, ['█', '▀']), line(text, ['█', '▄'])]).collect()
    }

    #[test]
    fn what_is_drawn_is_the_code_with_its_quiet_zone() {
        let code = QrCode::encode_text(URI, QrCodeEcc::Low).unwrap();
        let side = code.size() + 2 * QUIET;
        for ink in [Ink::BlackOnWhite, Ink::Own] {
            let drawn = draw(URI, ink).unwrap().replace(BLACK_ON_WHITE, "").replace(RESET, "");
            let inked = inked(&drawn);
            for (y, row) in (0..side).zip(&inked) {
                assert_eq!(row.len(), usize::try_from(side).unwrap());
                for (x, inked) in (0..side).zip(row) {
                    let dark = code.get_module(x - QUIET, y - QUIET);
                    assert_eq!(*inked, dark == (ink == Ink::BlackOnWhite), "{x} {y}");
                }
            }
        }
    }

    #[test]
    fn it_fits_a_terminal_and_each_line_ends_with_the_colours_it_found() {
        let drawn = draw(URI, Ink::BlackOnWhite).unwrap();
        assert!(drawn.lines().all(|line| line.starts_with(BLACK_ON_WHITE) && line.ends_with(RESET)));
        let plain = draw(URI, Ink::Own).unwrap();
        assert!(plain.lines().count() <= 25 && plain.lines().all(|line| line.chars().count() <= 80), "\n{plain}");
        assert!(!plain.contains('\x1b'));
    }

    #[test]
    fn what_no_code_can_hold_is_not_drawn() {
        assert_eq!(draw(&"x".repeat(3000), Ink::Own), None);
    }
}
