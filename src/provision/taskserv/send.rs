//! Large files to a server, by commands: in pieces, so that neither side holds them whole, and whole or not at all.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;
use std::time::Instant;

use crate::model::digest::{Sha256, hexadecimal};
use crate::provision::provider::ProviderError;
use crate::provision::transport::{Exec, ExecResult, Transport};

/// Bytes that are sent at once.
const PIECE: usize = 8 << 20;

/// Puts the file `from` to `to` in the server, which is known by its checksum to be whole; one that is there already is not
/// sent again.
///
/// # Errors
/// When it isn't there.
pub(super) fn file(transport: &dyn Transport, from: &Path, to: &str, deadline: Instant) -> Result<(), ProviderError> {
    let failed = |source: io::Error| ProviderError::Failed {
        attempt: format!("can't send {} to the server", from.display()),
        source: source.into(),
    };
    let mut file = File::open(from).map_err(failed)?;
    let wanted = checksum(&mut file).map_err(failed)?;
    let run = |script: &str, args: &[&str], stdin: &[u8]| -> Result<ExecResult, ProviderError> {
        let argv = ["sh", "-c", script, "sh"].into_iter().chain(args.iter().copied()).map(str::to_owned).collect();
        let result = transport.exec(&Exec { argv, env: Vec::new(), stdin, deadline: Some(deadline) })?;
        if result.timed_out { Err(failed(io::ErrorKind::TimedOut.into())) } else { Ok(result) }
    };
    let is_whole = r#"[ "$(sha256sum "$1" 2>/dev/null | cut -d' ' -f1)" = "$2" ]"#;
    if run(is_whole, &[to, &wanted], b"")?.status == 0 {
        return Ok(());
    }
    let part = format!("{to}.part");
    let must = |result: ExecResult| match result.status {
        0 => Ok(()),
        _ => Err(failed(io::Error::other(String::from_utf8_lossy(&result.stderr).trim().to_owned()))),
    };
    must(run(r#"mkdir -p "${1%/*}" && : > "$1""#, &[&part], b"")?)?;
    let mut piece = vec![0; PIECE];
    let mut sent = 0_u64;
    loop {
        let count = fill(&mut file, &mut piece).map_err(failed)?;
        if count == 0 {
            break;
        }
        // A piece that came twice, or not wholly before, would show here.
        let append = r#"[ "$(stat -c %s "$1")" = "$2" ] || { echo "it changed meanwhile" >&2; exit 1; }; cat >> "$1""#;
        must(run(append, &[&part, &sent.to_string()], &piece[..count])?)?;
        sent += count as u64;
    }
    let end = r#"[ "$(sha256sum "$1" | cut -d' ' -f1)" = "$3" ] || { echo "it arrived damaged" >&2; exit 1; }
sync "$1" && mv "$1" "$2""#;
    must(run(end, &[&part, to, &wanted], b"")?)
}

/// The checksum of a file, which is then at its beginning again.
fn checksum(file: &mut File) -> io::Result<String> {
    let mut hash = Sha256::default();
    let mut piece = vec![0; 1 << 20];
    loop {
        match file.read(&mut piece)? {
            0 => break,
            count => hash.update(&piece[..count]),
        }
    }
    file.seek(SeekFrom::Start(0))?;
    Ok(hexadecimal(&hash.finish()))
}

fn fill(file: &mut File, piece: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < piece.len() {
        match file.read(&mut piece[filled..])? {
            0 => break,
            count => filled += count,
        }
    }
    Ok(filled)
}
