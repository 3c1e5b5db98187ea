//! Versions as people ask for them, and as Debian writes them. Pure.

/// Whether the Debian version `actual` (`5:7.0.15-1~deb12u1`) is one that `asked` means: itself, its upstream part or the
/// beginning of that (`7.0`), or a pattern with `*` for any of these.
pub(super) fn means(asked: &str, actual: &str) -> bool {
    let without_epoch = actual.split_once(':').map_or(actual, |(_, rest)| rest);
    let upstream = without_epoch.rsplit_once('-').map_or(without_epoch, |(upstream, _)| upstream);
    let begins = upstream.strip_prefix(asked).is_some_and(|rest| rest.starts_with(['.', '+', '-', '~', '_']));
    begins || [actual, without_epoch, upstream].iter().any(|version| fits(asked, version))
}

/// Whether `pattern`, with `*` for any characters, is the whole text.
fn fits(pattern: &str, text: &str) -> bool {
    let Some((start, rest)) = pattern.split_once('*') else { return pattern == text };
    let Some(text) = text.strip_prefix(start) else { return false };
    text.char_indices().map(|(at, _)| at).chain([text.len()]).any(|at| fits(rest, &text[at..]))
}

/// Whether a text can be asked for as a version: it reaches command lines, and names of files.
pub(super) fn is_version(text: &str) -> bool {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '+' | '-' | '~' | ':' | '*' | '_');
    text.len() <= 100 && text.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '*') && text.chars().all(fits)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_version_is_meant_by_its_beginning_or_a_pattern() {
        for (asked, actual) in [
            ("1.22", "1.22.1-9+deb12u11"),
            ("1.22.1", "1.22.1-9+deb12u11"),
            ("1.22.*", "1.22.1-9+deb12u11"),
            ("7.0.15", "5:7.0.15-1~deb12u10"),
            ("5:7.0.15-1~deb12u10", "5:7.0.15-1~deb12u10"),
            ("7.0.15-1~deb12u10", "5:7.0.15-1~deb12u10"),
            ("15", "15+248+deb12u1"),
            ("1.6.20", "1.6.20~ds1-1+deb12u3"),
            ("*", "1"),
        ] {
            assert!(means(asked, actual), "{asked} {actual}");
        }
        for (asked, actual) in [("1.2", "1.22.1-9"), ("1.22.2", "1.22.1-9"), ("5", "5:7.0.15-1"), ("2.*", "1.22.1-9")] {
            assert!(!means(asked, actual), "{asked} {actual}");
        }
    }

    proptest! {
        #[test]
        fn a_whole_version_means_itself(version in "([0-9]:)?[0-9]{1,3}(\\.[0-9a-z]{1,3}){0,3}([-+~][0-9a-z.]{1,8}){0,2}") {
            prop_assert!(is_version(&version) && means(&version, &version));
        }

        #[test]
        fn what_could_mean_something_to_a_shell_is_no_version(text in ".*[ $;&|/'\"`\\\\<>(){}\\n].*") {
            prop_assert!(!is_version(&text));
        }
    }
}
