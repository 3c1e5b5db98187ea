//! Verifying an export without a daemon: a line at a time, so that its size doesn't matter.

use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::Path;

use crate::api::audit::{CheckpointDocument, FirstBroken, Verification};
use crate::audit::{Head, Key, Keyring, Sealed, Verifier};
use crate::cli::error::{CliError, Kind};

/// Verifies a JSON Lines export. It may begin later than the trail did, where entries had had their time; the answer says
/// with which entry. Only a checkpoint tells that from a beginning that was cut off, and an end from where it was cut.
pub(super) fn verify(
    path: &Path,
    key: &Path,
    checkpoint: Option<&CheckpointDocument>,
) -> Result<Verification, CliError> {
    let keys = Keyring::new(read_key(key)?);
    let failed = |error: io::Error| CliError::new(Kind::Usage, format!("can't read {}: {error}", path.display()));
    let reader: Box<dyn BufRead> = if path == Path::new("-") {
        Box::new(io::stdin().lock())
    } else {
        Box::new(BufReader::new(File::open(path).map_err(failed)?))
    };
    let mut lines = reader.lines();
    let first = lines.next().transpose().map_err(failed)?;
    if first.is_none() {
        return Err(CliError::new(Kind::Usage, format!("{} is empty: an export has entries", path.display())));
    }
    let start = first.as_deref().and_then(begin).unwrap_or(Head::START);
    let opened = checkpoint.map(CheckpointDocument::open).transpose();
    let opened = opened.map_err(|why| CliError::new(Kind::Usage, format!("the checkpoint is none: {why}")))?;
    let mut verifier = opened.into_iter().fold(Verifier::of_claimed(&keys, start), Verifier::against);
    let mut last = start;
    for line in first.into_iter().map(Ok).chain(lines) {
        let line = line.map_err(failed)?;
        if let Err(broken) = verifier.push_line(&line) {
            return Ok(bad(start, last, broken.sequence, broken.fault.to_string()));
        }
        if let Ok(sealed) = serde_json::from_str::<Sealed>(&line) {
            last = Head { sequence: last.sequence + 1, mac: sealed.mac, key: sealed.key };
        }
    }
    Ok(match verifier.finish() {
        Ok(report) => Verification {
            verified: true,
            entries: report.entries,
            head: report.head,
            first_broken: None,
            checkpoints: report.checkpoints,
        },
        Err(broken) => bad(start, last, broken.sequence, broken.fault.to_string()),
    })
}

fn bad(start: Head, last: Head, sequence: u64, what: String) -> Verification {
    let (entries, first_broken) = (last.sequence - start.sequence, Some(FirstBroken { sequence, what }));
    Verification { verified: false, entries, head: last, first_broken, checkpoints: 0 }
}

/// Where an export that begins with this line begins: after the entry that the line says it follows.
fn begin(line: &str) -> Option<Head> {
    let sealed: Sealed = serde_json::from_str(line).ok()?;
    let sequence = sealed.sequence().ok()?.checked_sub(1)?;
    if sequence == 0 { None } else { Some(Head { sequence, mac: sealed.previous, key: sealed.key }) }
}

fn read_key(path: &Path) -> Result<Key, CliError> {
    let wrong = |why: String| CliError::new(Kind::Usage, format!("can't use the key {}: {why}", path.display()));
    let bytes = std::fs::read(path).map_err(|error| wrong(error.to_string()))?;
    let secret = bytes.try_into().map_err(|_| wrong("an audit key has 32 bytes".to_owned()))?;
    Ok(Key::from_bytes(1, secret))
}
