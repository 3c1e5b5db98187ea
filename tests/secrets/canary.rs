//! Secrets that can be told from everything else, in all the forms that they could turn up in.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};

/// How often command lines are looked at.
const INTERVAL: Duration = Duration::from_millis(5);

/// Some secrets.
#[derive(Clone)]
pub struct Canaries {
    forms: Vec<Vec<u8>>,
}

/// A secret with characters that are written otherwise in JSON, URLs and base64.
pub fn canary(name: &str) -> String {
    format!("cNaRy-{name}/+\"7\u{e9}&= \\x9%")
}

impl Canaries {
    pub fn of(secrets: &[&str]) -> Self {
        let forms = secrets.iter().flat_map(|secret| forms(secret));
        Self { forms: forms.map(String::into_bytes).collect() }
    }

    /// The forms that stand in `bytes`.
    pub fn found_in(&self, bytes: &[u8]) -> Vec<String> {
        let stands = |form: &&Vec<u8>| bytes.windows(form.len()).any(|window| window == form.as_slice());
        self.forms.iter().filter(stands).map(|form| String::from_utf8_lossy(form).into_owned()).collect()
    }

    /// Fails where `bytes` holds one.
    pub fn expect_none(&self, place: &str, bytes: &[u8]) {
        let found = self.found_in(bytes);
        assert!(found.is_empty(), "{place} holds {found:?}: {}", String::from_utf8_lossy(bytes));
    }

    /// Fails where a file below `directory`, those of `except` aside, holds one; answers how many were looked at.
    pub fn expect_none_below(&self, directory: &Path, except: &[PathBuf]) -> usize {
        let mut looked_at = 0;
        for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
            let (path, kind) = (entry.path(), entry.file_type().unwrap());
            if kind.is_dir() {
                looked_at += self.expect_none_below(&path, except);
            } else if kind.is_file() && !except.contains(&path) {
                let found = fs::read(&path).map(|bytes| self.found_in(&bytes)).unwrap_or_default();
                assert!(found.is_empty(), "{} holds {found:?}", path.display());
                looked_at += 1;
            }
        }
        looked_at
    }
}

fn forms(secret: &str) -> BTreeSet<String> {
    let json = serde_json::to_string(secret).unwrap();
    let mut url: reqwest::Url = "http://h/".parse().unwrap();
    url.query_pairs_mut().append_pair("k", secret);
    let query = url.query().unwrap().trim_start_matches("k=").to_owned();
    let percent = secret.bytes().map(|byte| match byte {
        byte if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) => char::from(byte).to_string(),
        byte => format!("%{byte:02X}"),
    });
    let mut forms = BTreeSet::from([secret.to_owned(), json.trim_matches('"').to_owned(), query, percent.collect()]);
    for before in 0..3 {
        // Whole groups of three bytes alone look the same wherever they stand.
        let bytes = &secret.as_bytes()[before..];
        let whole = &bytes[..bytes.len() / 3 * 3];
        forms.extend([STANDARD.encode(whole), URL_SAFE.encode(whole)]);
    }
    forms
}

/// Looks at the command lines of all processes as long as it lives.
pub struct Watch {
    is_over: Arc<AtomicBool>,
    watching: Option<JoinHandle<(usize, BTreeSet<String>)>>,
}

impl Watch {
    pub fn start(canaries: &Canaries) -> Self {
        let is_over = Arc::new(AtomicBool::new(false));
        let (over, canaries) = (Arc::clone(&is_over), canaries.clone());
        let watching = std::thread::spawn(move || {
            let (mut rounds, mut seen) = (0, BTreeSet::new());
            while !over.load(Ordering::Relaxed) {
                for entry in fs::read_dir("/proc").unwrap().flatten() {
                    let line = fs::read(entry.path().join("cmdline")).unwrap_or_default();
                    if !line.is_empty() && !canaries.found_in(&line).is_empty() {
                        seen.insert(String::from_utf8_lossy(&line).into_owned());
                    }
                }
                rounds += 1;
                std::thread::sleep(INTERVAL);
            }
            (rounds, seen)
        });
        Self { is_over, watching: Some(watching) }
    }

    /// Fails where one of them held a secret; answers how often they were looked at.
    pub fn expect_none(mut self) -> usize {
        self.is_over.store(true, Ordering::Relaxed);
        let (rounds, seen) = self.watching.take().unwrap().join().unwrap();
        assert_eq!(seen, BTreeSet::new());
        rounds
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
    }
}

#[test]
fn every_form_of_a_secret_is_found() {
    let secret = canary("test");
    let canaries = Canaries::of(&[&secret]);
    let around = |text: &str| format!("before{text}after");
    for text in [
        around(&secret),
        around(&serde_json::to_string(&secret).unwrap()),
        STANDARD.encode(around(&secret)),
        STANDARD.encode(format!("x{}", around(&secret))),
        STANDARD.encode(format!("xy{}", around(&secret))),
    ] {
        assert!(!canaries.found_in(text.as_bytes()).is_empty(), "{text}");
    }
    assert!(canaries.found_in(canary("other").as_bytes()).is_empty());
}
