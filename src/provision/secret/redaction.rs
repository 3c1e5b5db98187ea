//! Taking secrets out of what others say: a provider's error may quote the request, a script may print its environment.
//!
//! Finds a secret as it is and in the forms that it takes on the way: base64 wherever it begins, escaped for a URL, escaped
//! in JSON. Whoever changes it otherwise is not found out.

use std::collections::BTreeSet;

use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;

use super::Secret;
use crate::provision::transport::ExecResult;

/// What stands where a secret was.
const COVER: &str = "********";
/// Shorter forms would cover what is no secret.
const LEAST: usize = 4;
/// The lines of a secret are covered from this length on.
const LEAST_LINE: usize = 8;

/// Covers some secrets in texts.
#[derive(Clone, Default)]
pub struct Redaction {
    /// Longest first: a part of a secret must not be covered before the whole.
    forms: Vec<String>,
}

impl std::fmt::Debug for Redaction {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Redaction(…)")
    }
}

impl Redaction {
    /// Covers these.
    pub fn of<'s>(secrets: impl IntoIterator<Item = &'s Secret>) -> Self {
        let mut forms = BTreeSet::new();
        for secret in secrets {
            let text = secret.expose();
            forms.extend([text.to_owned()].into_iter().filter(|text| !text.is_empty()));
            let lines = text.lines().map(str::trim).filter(|line| line.len() >= LEAST_LINE && *line != text);
            for part in [text].into_iter().chain(lines) {
                forms.extend(forms_of(part).into_iter().filter(|form| form.len() >= LEAST));
            }
        }
        let mut forms: Vec<String> = forms.into_iter().collect();
        forms.sort_by_key(|form| std::cmp::Reverse(form.len()));
        Self { forms }
    }

    /// The text without them.
    #[must_use]
    pub fn text(&self, text: &str) -> String {
        self.forms.iter().fold(text.to_owned(), |text, form| text.replace(form.as_str(), COVER))
    }

    /// What came of a command without them.
    #[must_use]
    pub fn result(&self, result: ExecResult) -> ExecResult {
        ExecResult { stdout: self.bytes(result.stdout), stderr: self.bytes(result.stderr), ..result }
    }

    /// Output without them; where something is to be covered, what is no text becomes text.
    #[must_use]
    pub fn bytes(&self, bytes: Vec<u8>) -> Vec<u8> {
        if self.forms.is_empty() { bytes } else { self.text(&String::from_utf8_lossy(&bytes)).into_bytes() }
    }
}

fn forms_of(text: &str) -> Vec<String> {
    let json = serde_json::to_string(text).unwrap_or_default();
    let json = json.trim_matches('"').to_owned();
    let safe = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.~".contains(byte);
    let percent = |upper: bool| -> String {
        let one = |byte: u8| match byte {
            byte if safe(&byte) => char::from(byte).to_string(),
            byte if upper => format!("%{byte:02X}"),
            byte => format!("%{byte:02x}"),
        };
        text.bytes().map(one).collect()
    };
    let form = percent(true).replace("%20", "+");
    let mut forms = vec![text.to_owned(), json, percent(true), percent(false), form];
    for before in 0..3 {
        let standard = base64(text, before);
        forms.push(standard.replace('+', "-").replace('/', "_"));
        forms.push(standard);
    }
    forms
}

/// What base64 makes of `text` behind so many other bytes, without the characters that depend on what stands around it.
fn base64(text: &str, before: usize) -> String {
    let mut bytes = vec![0; before];
    bytes.extend_from_slice(text.as_bytes());
    let whole = STANDARD_NO_PAD.encode(&bytes);
    let (from, to) = ((before * 8).div_ceil(6), bytes.len() * 8 / 6);
    whole.get(from..to).unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use base64::engine::general_purpose::STANDARD;
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn no_form_of_a_secret_comes_through(
            secret in "[a-zA-Z0-9 \"\\\\/+?é-]{6,40}", before in "[a-z:]{0,7}", after in "[a-z:]{0,7}",
        ) {
            let hidden = Secret::new(secret.clone());
            let redaction = Redaction::of([&hidden]);
            let around = format!("{before}{secret}{after}");
            let json = serde_json::to_string(&around).unwrap();
            prop_assert!(!redaction.text(&around).contains(&secret));
            prop_assert!(!redaction.text(&json).contains(json.trim_matches('"')));
            let encoded = STANDARD.encode(&around);
            let covered = redaction.text(&encoded);
            prop_assert!(covered.contains(COVER), "{encoded}");
        }
    }

    #[test]
    fn a_line_of_a_long_secret_is_covered_too() {
        let secret = Secret::new("-----BEGIN KEY-----\nabcdefghijkl\n-----END KEY-----".to_owned());
        assert_eq!(Redaction::of([&secret]).text("key: abcdefghijkl;"), "key: ********;");
        assert_eq!(format!("{:?}", Redaction::of([&secret])), "Redaction(…)");
    }

    #[test]
    fn what_is_no_secret_stays() {
        let redaction = Redaction::of([&Secret::new("ab".to_owned())]);
        assert_eq!(redaction.text("nothing here"), "nothing here");
        assert_eq!(Redaction::default().bytes(vec![0xff]), [0xff]);
    }
}
