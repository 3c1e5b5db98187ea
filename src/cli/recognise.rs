//! Having somebody recognise a daemon's certificate by its fingerprint, as ssh does with a host's key.

use std::io::{self, BufRead, IsTerminal, Write};

use super::Global;
use super::error::{CliError, Kind};
use crate::client::Untrusted;
use crate::model::digest::Fingerprint;

/// What to do about a certificate that is not trusted.
pub(super) fn hint(certificate: &Untrusted) -> String {
    let shown = certificate.shown();
    let pin =
        format!("if that is the fingerprint that `prov serve` printed on its host: prov login --fingerprint {shown}");
    match certificate {
        Untrusted::Other { .. } => format!("{pin}; if an authority vouches for it now: prov logout, and prov login"),
        Untrusted::Unknown { .. } => pin,
    }
}

/// Has whoever is at the terminal look at the certificate of `url`.
///
/// # Errors
/// When they don't recognise it, or nobody is there.
pub(super) fn recognise(url: &str, certificate: &Untrusted, global: &Global) -> Result<(), CliError> {
    if global.no_input || !io::stdin().is_terminal() || !io::stderr().is_terminal() {
        let error = CliError::new(Kind::Usage, format!("can't trust {url}, and there is nobody to ask: {certificate}"));
        return Err(error.hint(hint(certificate)));
    }
    let shown = certificate.shown();
    let mut question = format!(
        "Can't trust {url}: {certificate}\n\
         `prov serve` prints the fingerprint of its certificate: compare it on the daemon's host.\n\
         Trust {shown} from now on? (yes/no/the fingerprint) "
    );
    loop {
        let _ = write!(io::stderr(), "{question}");
        let mut answer = String::new();
        let read = io::stdin().lock().read_line(&mut answer);
        match verdict(&answer, shown) {
            _ if !matches!(read, Ok(1..)) => return Err(not_trusted("nobody answered")),
            Some(Ok(())) => return Ok(()),
            Some(Err(why)) => return Err(not_trusted(why)),
            None => "yes, no, or the fingerprint: ".clone_into(&mut question),
        }
    }
}

fn not_trusted(why: &str) -> CliError {
    CliError::new(Kind::Failure, format!("the certificate is not trusted, and nothing was sent: {why}"))
}

/// What an answer means; `None` when it is none.
fn verdict(answer: &str, shown: Fingerprint) -> Option<Result<(), &'static str>> {
    match answer.trim() {
        // One letter is typed too easily.
        "yes" => Some(Ok(())),
        "no" => Some(Err("the answer was no")),
        text => {
            let other = "its fingerprint is not the one that was typed";
            text.parse().ok().map(|typed: Fingerprint| (typed == shown).then_some(()).ok_or(other))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_clear_answer_counts() {
        let (shown, other) = (Fingerprint::of(b"shown"), Fingerprint::of(b"other"));
        assert_eq!(verdict("yes\n", shown), Some(Ok(())));
        assert_eq!(verdict(&format!(" {shown}\n"), shown), Some(Ok(())));
        assert!(matches!(verdict("no", shown), Some(Err(_))));
        assert!(matches!(verdict(&other.to_string(), shown), Some(Err(_))));
        for unclear in ["", "y", "Y", "n", "yes please", "SHA256:"] {
            assert_eq!(verdict(unclear, shown), None, "{unclear}");
        }
    }
}
