//! Packages by the server's own apt, which reaches mirrors.

use std::time::{Duration, Instant};

use super::{Apt, PackageError, Wanted};
use crate::provision::taskserv::run::last_words;
use crate::provision::transport::ExecResult;

/// How often what may pass is tried again.
const ATTEMPTS: u32 = 6;

/// Has the lists of packages fetched, if they are missing, older than a day, or `$1` says so.
const UPDATE: &str = r#"if [ "$1" = now ] || [ -z "$(find /var/lib/apt/lists -maxdepth 1 -name '*Packages*' -mtime -1 -print -quit 2>/dev/null)" ]; then
  apt-get update -o Acquire::Retries=2 -o Acquire::http::Timeout=20 -o Acquire::https::Timeout=20
fi"#;

/// Why apt may do better if it is asked again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Passing {
    /// Somebody else uses it.
    Locked,
    /// A mirror fails, or has other packages by now than the lists say.
    Mirror,
}

impl Apt<'_> {
    pub(super) fn by_itself(&self, wanted: &Wanted) -> Result<(), PackageError> {
        let mut lists = "old";
        let mut attempt = 1;
        loop {
            let updated = self.run(["sh", "-c", UPDATE, "sh", lists].map(str::to_owned).to_vec())?;
            let result = if updated.status == 0 {
                let resolved = match self.resolved(wanted, &[]) {
                    // Lists of today may be too old for it.
                    Err(PackageError::NoVersion { .. }) if lists == "old" => {
                        lists = "now";
                        continue;
                    }
                    other => other?,
                };
                let retries =
                    ["-o", "Acquire::Retries=2", "-o", "Acquire::http::Timeout=20", "-o", "Acquire::https::Timeout=20"];
                self.apt_get(&retries, &resolved)?
            } else {
                updated.clone()
            };
            if result.status == 0 {
                return Ok(());
            }
            // A list that could not be fetched is told of by the update, and missed by what comes after it.
            let passing = passing(&result).or_else(|| passing(&updated));
            let pause = Duration::from_secs(1 << attempt.min(5));
            if passing.is_none() || attempt == ATTEMPTS || Instant::now() + pause >= self.deadline {
                return Err(PackageError::Install { status: result.status, last_words: last_words(&result) });
            }
            if passing == Some(Passing::Mirror) {
                lists = "now";
            }
            std::thread::sleep(pause);
            attempt += 1;
        }
    }
}

/// Whether what apt failed of may pass.
fn passing(result: &ExecResult) -> Option<Passing> {
    let said = String::from_utf8_lossy(&result.stderr);
    let says = |words: &[&str]| words.iter().any(|word| said.contains(word));
    if says(&["Could not get lock", "Unable to acquire the dpkg frontend lock", "Unable to lock"]) {
        return Some(Passing::Locked);
    }
    let mirror =
        ["Failed to fetch", "Unable to fetch", "Temporary failure resolving", "Hash Sum mismatch", "Mirror sync"];
    says(&mirror).then_some(Passing::Mirror)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_pass_is_told_from_what_stays() {
        let said = |text: &str| ExecResult { status: 100, stderr: text.as_bytes().to_vec(), ..ExecResult::default() };
        for (text, expected) in [
            ("E: Could not get lock /var/lib/dpkg/lock-frontend. It is held by process 1", Some(Passing::Locked)),
            ("E: Failed to fetch http://m/x.deb  404  Not Found", Some(Passing::Mirror)),
            ("E: Unable to locate package nginks", None),
        ] {
            assert_eq!(passing(&said(text)), expected, "{text}");
        }
    }
}
