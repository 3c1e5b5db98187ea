//! Which passwords may be chosen, after NIST SP 800-63B section 3.1.1.2: long ones, of any composition, that aren't the first
//! to be guessed.
//!
//! With twelve characters as the minimum, the usual lists of leaked passwords match nearly nothing whole: what people
//! make of them is `password1234`, `Summer2026!!`, `passwordpassword`, `alice-20261127`. So the list
//! (`common-passwords.txt`) holds stems, and a password is counted by what a guesser has left to guess:
//!
//! | part | counts as |
//! | --- | --- |
//! | the user's name, a part of the e-mail address, the product's name | 0 |
//! | a sequence (`1234`, `cba`, `qwert`, `aaaa`), a repetition of what came before, a year | 1 |
//! | a stem of the list, in any case, with leet spelling undone (`P@ssw0rd`) | 2 |
//! | any other character | 1 |
//!
//! The cheapest way to put the password together must count at least [`WORTH`]. So two stems with a date are refused, four
//! random words are not. Of random passwords of twelve letters and digits about two in a thousand look like something known
//! and are refused, of longer ones next to none. Knows no hashes and no store; says nothing of the
//! password in its messages.

use std::collections::HashSet;
use std::sync::OnceLock;

/// Characters (Unicode scalar values) of a password at least.
pub const SHORTEST: usize = 12;
/// Characters at most: what is longer only costs time.
pub const LONGEST: usize = 128;
/// What a password must count at least.
const WORTH: usize = 9;
/// Shorter names, sequences and repetitions are everywhere by chance.
const SHORTEST_PART: usize = 3;
const PRODUCT: &[&str] = &["prov", "provision", "provisioning", "orchestrator"];
const LIST: &str = include_str!("common-passwords.txt");
/// Neighbours on keyboards, and in the alphabet of whoever types columns.
const WALKS: &[&str] = &[
    "1234567890",
    "qwertyuiop",
    "asdfghjkl",
    "zxcvbnm",
    "qwertzuiop",
    "yxcvbnm",
    "azertyuiop",
    "qsdfghjklm",
    "wxcvbn",
    "!@#$%^&*()",
    "1qaz2wsx3edc4rfv5tgb6yhn7ujm",
    "qazwsxedcrfvtgbyhnujm",
    "1q2w3e4r5t6y7u8i9o0p",
    "q1w2e3r4t5y6u7i8o9p0",
    "147258369",
];

/// Why a password is not taken; the text says what to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// Too few characters.
    #[error(
        "the password has {0} characters and needs at least {SHORTEST}: four random words do, or what a password manager makes"
    )]
    TooShort(usize),
    /// Too many characters.
    #[error("the password has {0} characters; {LONGEST} are the most")]
    TooLong(usize),
    /// The user's or the product's name, with little more.
    #[error(
        "the password is little more than the user's name, e-mail address or the name of the product: choose one that has nothing to do with them, such as four random words"
    )]
    Name,
    /// A common one, or common ones with little more.
    #[error(
        "the password is one of the first that are guessed, or little more than that: choose four random words, or what a password manager makes"
    )]
    Common,
    /// Repetitions and sequences, with little more.
    #[error(
        "the password is little more than a sequence or a repetition: choose four random words, or what a password manager makes"
    )]
    Pattern,
}

/// Whether the user may have this password.
///
/// # Errors
/// When not, with what to do.
pub fn check(password: &str, username: &str, email: &str) -> Result<(), Refused> {
    let length = password.chars().count();
    if length < SHORTEST {
        return Err(Refused::TooShort(length));
    }
    if length > LONGEST {
        return Err(Refused::TooLong(length));
    }
    let cheapest = Parts::of(password, &names(username, email)).cheapest();
    match cheapest {
        Cost { total: WORTH.., .. } => Ok(()),
        Cost { names: 1.., .. } => Err(Refused::Name),
        Cost { stems: 1.., .. } => Err(Refused::Common),
        Cost { .. } => Err(Refused::Pattern),
    }
}

/// What a guesser knows of the user, folded.
fn names(username: &str, email: &str) -> Vec<Vec<char>> {
    let mut names: Vec<&str> = vec![username, email];
    names.extend(email.split('@'));
    for text in [username, email] {
        names.extend(text.split(|c: char| !c.is_alphanumeric()));
    }
    names.extend(PRODUCT);
    let names = names.into_iter().map(|name| name.chars().map(fold).collect::<Vec<_>>());
    names.filter(|name| name.len() >= SHORTEST_PART).collect()
}

/// The stems of the list, folded, and the length of the longest.
fn stems() -> &'static (HashSet<Vec<char>>, usize) {
    static STEMS: OnceLock<(HashSet<Vec<char>>, usize)> = OnceLock::new();
    STEMS.get_or_init(|| {
        let stems: HashSet<Vec<char>> = listed().map(|stem| stem.chars().map(fold).collect()).collect();
        let longest = stems.iter().map(Vec::len).max().unwrap_or(0);
        (stems, longest)
    })
}

fn listed() -> impl Iterator<Item = &'static str> {
    LIST.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'))
}

/// A character in lower case; one a password, so that places stay places.
fn lower(c: char) -> char {
    c.to_lowercase().next().unwrap_or(c)
}

/// A character as the letter that it may stand for. `1` stands for `i` and for `l`, so those two are one.
fn fold(c: char) -> char {
    match lower(c) {
        '0' => 'o',
        '1' | '!' | '|' | 'l' => 'i',
        '3' | '€' => 'e',
        '4' | '@' => 'a',
        '5' | '$' => 's',
        '7' | '+' => 't',
        '8' => 'b',
        '9' => 'g',
        c => c,
    }
}

/// What a way to put a password together counts, and what it uses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
struct Cost {
    total: usize,
    names: usize,
    stems: usize,
}

impl Cost {
    fn and(self, total: usize, names: usize, stems: usize) -> Self {
        Self { total: self.total + total, names: self.names + names, stems: self.stems + stems }
    }
}

/// A password as a guesser sees it.
struct Parts<'n> {
    lower: Vec<char>,
    folded: Vec<char>,
    names: &'n [Vec<char>],
}

impl<'n> Parts<'n> {
    fn of(password: &str, names: &'n [Vec<char>]) -> Self {
        Self { lower: password.chars().map(lower).collect(), folded: password.chars().map(fold).collect(), names }
    }

    /// The cheapest way to put the password together: for each place the cheapest way there, from the left.
    fn cheapest(&self) -> Cost {
        let length = self.lower.len();
        let mut ways: Vec<Option<Cost>> = vec![None; length + 1];
        ways[0] = Some(Cost::default());
        for start in 0..length {
            let Some(way) = ways[start] else { continue };
            let mut reach = |end: usize, cost: Cost| {
                ways[end] = Some(ways[end].map_or(cost, |other| other.min(cost)));
            };
            reach(start + 1, way.and(1, 0, 0));
            for name in self.names.iter().filter(|name| self.folded[start..].starts_with(name)) {
                reach(start + name.len(), way.and(0, 1, 0));
            }
            for end in self.stems_from(start) {
                reach(end, way.and(2, 0, 1));
            }
            for end in start + SHORTEST_PART..=start + self.pattern_from(start) {
                reach(end, way.and(1, 0, 0));
            }
            if self.is_year(start) {
                reach(start + 4, way.and(1, 0, 0));
            }
        }
        ways[length].unwrap_or_default()
    }

    /// Where the stems end that begin here.
    fn stems_from(&self, start: usize) -> impl Iterator<Item = usize> {
        let (stems, longest) = stems();
        let last = (start + longest).min(self.folded.len());
        (start + 1..=last).filter(move |end| stems.contains(&self.folded[start..*end]))
    }

    /// How long the longest sequence or repetition is that begins here.
    fn pattern_from(&self, start: usize) -> usize {
        let rest = &self.lower[start..];
        [run(rest), walk(rest), repetition(&self.lower, start)].into_iter().max().unwrap_or(0)
    }

    fn is_year(&self, start: usize) -> bool {
        match self.lower.get(start..start + 4) {
            Some([a, b, c, d]) => matches!((a, b), ('1', '9') | ('2', '0')) && c.is_ascii_digit() && d.is_ascii_digit(),
            _ => false,
        }
    }
}

/// How far the text counts on, up or down, or stays the same.
fn run(text: &[char]) -> usize {
    let step = |pair: &[char]| i64::from(u32::from(pair[1])) - i64::from(u32::from(pair[0]));
    let Some(first) = text.windows(2).next().map(step).filter(|first| first.abs() <= 1) else { return 0 };
    1 + text.windows(2).take_while(|pair| step(pair) == first).count()
}

/// How far the text goes along a keyboard.
fn walk(text: &[char]) -> usize {
    let along = |walk: &[char]| {
        let begins = walk.iter().enumerate().filter(|(_, c)| Some(*c) == text.first()).map(|(place, _)| place);
        begins.map(|place| common_prefix(&walk[place..], text)).max().unwrap_or(0)
    };
    let both = WALKS.iter().map(|walk| {
        let forth: Vec<char> = walk.chars().collect();
        let back: Vec<char> = walk.chars().rev().collect();
        along(&forth).max(along(&back))
    });
    both.max().unwrap_or(0)
}

/// How far the text from `start` on repeats something that ended before.
fn repetition(text: &[char], start: usize) -> usize {
    let (before, rest) = text.split_at(start);
    (0..before.len()).map(|place| common_prefix(&before[place..], rest)).max().unwrap_or(0)
}

fn common_prefix(one: &[char], other: &[char]) -> usize {
    one.iter().zip(other).take_while(|(one, other)| one == other).count()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn plain(password: &str) -> Result<(), Refused> {
        check(password, "alice.smith", "asmith@example.com")
    }

    #[test]
    fn length_is_counted_in_characters() {
        assert_eq!(plain("k7#mQ2v!xR9"), Err(Refused::TooShort(11)));
        assert_eq!(plain("k7#mQ2v!xR9z"), Ok(()));
        assert_eq!(plain("żółwgęśląjaź"), Ok(()));
        assert_eq!(plain("ключ"), Err(Refused::TooShort(4)));
        let long: String = "kqzvmxwjtbry".chars().cycle().take(129).collect();
        assert_eq!(plain(&long), Err(Refused::TooLong(129)));
        assert_eq!(plain(&long[..128]), Ok(()));
    }

    #[test]
    fn no_composition_is_asked_for() {
        for good in [
            "correct horse battery staples on a hill",
            "vexing-otter-plumbing",
            "umbrella pickle thunder vase",
            "wgkzqhvpxnrt",
            "83026174950281736",
            "我喜欢在雨天里慢慢地散步回家",
        ] {
            assert_eq!(plain(good), Ok(()), "{good}");
        }
    }

    #[test]
    fn common_passwords_are_refused_however_they_are_dressed_up() {
        for common in [
            "password1234",
            "Password2026!",
            "P@ssw0rd1234",
            "passwordpassword",
            "!!!P4$$w0rd!!!",
            "Summer2026!!",
            "letmein-letmein",
            "iloveyou12345",
            "adminpassword",
            "welcome20261015",
            "changemechangeme",
            "correcthorsebatterystaple",
            "Correct-Horse-Battery-Staple",
            "kubernetes123",
            "1dragon2dragon3",
            "administrator",
        ] {
            assert_eq!(plain(common), Err(Refused::Common), "{common}");
        }
    }

    #[test]
    fn sequences_and_repetitions_are_refused() {
        for pattern in [
            "aaaaaaaaaaaa",
            "123456789012",
            "abcdefghijkl",
            "zyxwvutsrqponm",
            "qwertyuiop12",
            "poiuytrewq09",
            "1qaz2wsx3edc",
            "!@#$%^&*()_+",
            "xk9xk9xk9xk9",
            "abcabcabcabc",
            "111222333444",
            "20262026202620",
            "é".repeat(12).as_str(),
        ] {
            assert_eq!(plain(pattern), Err(Refused::Pattern), "{pattern}");
        }
    }

    #[test]
    fn names_with_little_more_are_refused() {
        for name in [
            "alice.smith1",
            "AliceSmith2026!",
            "smithsmithsmith",
            "asmith@example.com",
            "example-asmith-1",
            "4l1c3-20261127",
            "provisioning1",
            "prov-prov-prov-prov",
            "Provision2026!",
            "alicepassword",
        ] {
            assert_eq!(plain(name), Err(Refused::Name), "{name}");
        }
        assert_eq!(check("alice.smith1234", "bob", ""), Ok(()), "another's name");
        assert_eq!(check("wgkzqhvpxnrt", "", ""), Ok(()));
    }

    #[test]
    fn the_list_holds_stems_that_are_worth_looking_for() {
        let stems: Vec<&str> = listed().collect();
        assert!(stems.len() > 500, "{}", stems.len());
        let mut seen = HashSet::new();
        for stem in stems {
            assert!(stem.len() >= 4, "{stem} is short");
            assert!(!stem.contains(|c: char| c.is_uppercase() || c.is_whitespace()), "{stem}");
            assert!(seen.insert(stem), "{stem} stands there twice");
        }
    }

    #[test]
    fn a_random_secret_is_taken() {
        for _ in 0..500 {
            let secret = crate::auth::secret::random().unwrap();
            assert_eq!(check(&secret, "admin", ""), Ok(()));
        }
    }

    #[test]
    fn messages_say_what_to_do() {
        for refused in [Refused::TooShort(3), Refused::Name, Refused::Common, Refused::Pattern] {
            assert!(refused.to_string().contains("four random words"), "{refused}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_judged(password in ".{0,140}", username in ".{0,20}", email in ".{0,20}") {
            let _ = check(&password, &username, &email);
        }

        #[test]
        fn what_is_random_is_nearly_always_taken(password in "[a-zA-Z0-9]{20}") {
            prop_assert_eq!(plain(&password), Ok(()));
        }

        #[test]
        fn six_digits_after_a_stem_are_no_help(number in 0u32..1_000_000) {
            prop_assert_eq!(plain(&format!("Passw0rd{number:06}")), Err(Refused::Common));
        }
    }
}
