//! What goes wrong in a rehearsal: decided by the seed, the server and how often it was asked, whatever order threads and
//! processes come in.

use crate::model::digest::sha256;
use crate::model::rehearsal::Rehearsal;

/// What a call of a rehearsal meets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Trouble {
    /// It is done, and its reply is lost.
    LostReply,
    /// The provider fails before it does anything, and its caller can't tell.
    Broken,
    /// The machine is in between states.
    Maintenance,
}

/// What happens to the call `call` about `subject`, the `count`th of its kind.
pub(super) fn trouble(rehearsal: &Rehearsal, call: &str, subject: &str, count: u64) -> Option<Trouble> {
    if fraction(rehearsal, &["trouble", call, subject, &count.to_string()]) >= rehearsal.faults {
        return None;
    }
    Some(match draw(rehearsal, &["kind", call, subject, &count.to_string()]) % 3 {
        0 => Trouble::LostReply,
        1 => Trouble::Broken,
        _ => Trouble::Maintenance,
    })
}

/// How long something takes, in seconds of the twin: from `least` to `most`, and five times as long where it is slow.
pub(super) fn seconds(rehearsal: &Rehearsal, what: &str, subject: &str, least: f64, most: f64) -> f64 {
    let usual = least + (most - least) * fraction(rehearsal, &["time", what, subject]);
    let is_slow = fraction(rehearsal, &["slow", what, subject]) < rehearsal.faults;
    if is_slow { usual * 5.0 } else { usual }
}

/// From 0 to 1.
fn fraction(rehearsal: &Rehearsal, of: &[&str]) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "a share needs no more than 53 bits")]
    let fraction = (draw(rehearsal, of) >> 11) as f64 / (1u64 << 53) as f64;
    fraction
}

fn draw(rehearsal: &Rehearsal, of: &[&str]) -> u64 {
    let text: String = of.iter().map(|part| format!("{}:{part}", part.len())).collect();
    let digest = sha256(format!("{}/{text}", rehearsal.seed).as_bytes());
    let mut first = [0; 8];
    first.copy_from_slice(&digest[..8]);
    u64::from_le_bytes(first)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_seed_decides_and_the_share_is_kept() {
        let rehearsal = |seed| Rehearsal { seed, faults: 0.2, ..Rehearsal::default() };
        let troubles = |seed| (0..1000).map(|n| trouble(&rehearsal(seed), "create", "web", n)).collect::<Vec<_>>();
        assert_eq!(troubles(1), troubles(1));
        assert_ne!(troubles(1), troubles(2));
        let met = troubles(1).iter().flatten().count();
        assert!((150..250).contains(&met), "{met}");
        let calm = Rehearsal { faults: 0.0, ..rehearsal(1) };
        assert!((0..1000).all(|n| trouble(&calm, "create", "web", n).is_none()));
    }
}
