//! Whatever is done to a log, verification fails, and names the first place where something is wrong.

use proptest::prelude::*;
use proptest::sample::Index;

use super::*;

/// What somebody without the key does to the lines of a log.
#[derive(Clone, Debug)]
enum Damage {
    /// Changes one byte.
    Flip { line: Index, byte: Index, to: u8 },
    /// Removes an entry that isn't the last.
    Delete(Index),
    /// Puts in an entry sealed with another key.
    Forge(Index),
    /// Puts in an entry that stands elsewhere in the log.
    Repeat(Index, Index),
    /// Exchanges two.
    Swap(Index, Index),
    /// Moves one to another place.
    Move(Index, Index),
    /// Reverses all.
    Reverse,
    /// Removes the tail.
    Cut(Index),
}

fn damages() -> impl Strategy<Value = Damage> {
    let (one, other) = (any::<Index>, any::<Index>);
    prop_oneof![
        4 => (one(), other(), 0x20..0x7f_u8).prop_map(|(line, byte, to)| Damage::Flip { line, byte, to }),
        1 => one().prop_map(Damage::Delete),
        1 => one().prop_map(Damage::Forge),
        1 => (one(), other()).prop_map(|(one, other)| Damage::Repeat(one, other)),
        1 => (one(), other()).prop_map(|(one, other)| Damage::Swap(one, other)),
        1 => (one(), other()).prop_map(|(one, other)| Damage::Move(one, other)),
        1 => Just(Damage::Reverse),
        1 => one().prop_map(Damage::Cut),
    ]
}

/// Does it.
fn damage(lines: &mut Vec<String>, damage: &Damage) {
    let length = lines.len();
    match damage {
        Damage::Flip { line, byte, to } => {
            let line = line.get_mut(lines.as_mut_slice());
            let at = byte.index(line.len());
            line.replace_range(at..=at, &char::from(*to).to_string());
        }
        Damage::Delete(at) => drop(lines.remove(at.index(length - 1))),
        Damage::Forge(at) => {
            let at = at.index(length);
            let before = serde_json::from_str::<Sealed>(&lines[at]).unwrap();
            let place = Head { sequence: before.sequence().unwrap() - 1, mac: before.previous, key: 1 };
            lines.insert(at, line(&sealed(&key(1, 0xff), place, [event(-1)])[0]));
        }
        Damage::Repeat(from, to) => lines.insert(to.index(length + 1), from.get(lines).clone()),
        Damage::Swap(one, other) => lines.swap(one.index(length), other.index(length)),
        Damage::Move(from, to) => {
            let moved = lines.remove(from.index(length));
            lines.insert(to.index(length), moved);
        }
        Damage::Reverse => lines.reverse(),
        Damage::Cut(at) => lines.truncate(at.index(length)),
    }
}

fn line(entry: &Sealed) -> String {
    serde_json::to_string(entry).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(1024) })]

    #[test]
    fn all_damage_is_found_where_it_begins(
        (length, dropped, rotated) in (2..10_usize).prop_flat_map(|length| (Just(length), 0..length - 1, 0..length)),
        harm in damages(),
    ) {
        let keys = Keyring::new(key(1, 1)).with(key(2, 2));
        let number = |index: usize| event(i64::try_from(index).unwrap());
        let mut log = sealed(&key(1, 1), Head::START, (0..rotated).map(number));
        log.extend(sealed(&key(2, 2), log.last().map_or(Head::START, head), (rotated..length).map(number)));
        let start = dropped.checked_sub(1).map_or(Head::START, |last| head(&log[last]));
        let checkpoint = Checkpoint { head: head(&log[length - 1]), first: start.sequence + 1, at: Timestamp(0) };
        let whole: Vec<String> = log[dropped..].iter().map(line).collect();

        let mut damaged = whole.clone();
        damage(&mut damaged, &harm);
        let mut verifier = Verifier::new(&keys, start).against(&checkpoint);
        let failed = damaged.iter().try_for_each(|line| verifier.push_line(line));
        let result = failed.and_then(|()| verifier.clone().finish());
        if failed.is_err() {
            // What comes later mends nothing.
            prop_assert_eq!(verifier.push_line(&whole[0]), failed);
            prop_assert_eq!(verifier.finish().map(drop), failed);
        }

        // Where the damaged log first differs from the whole one, end included.
        let differs = (0..=whole.len().max(damaged.len())).find(|index| whole.get(*index) != damaged.get(*index));
        match differs {
            None => prop_assert_eq!(result.unwrap().entries, whole.len() as u64),
            Some(index) => {
                let broken = result.unwrap_err();
                prop_assert_eq!(broken.sequence, start.sequence + 1 + index as u64, "{}", broken);
            }
        }
    }

    #[test]
    fn a_log_written_anew_with_the_key_is_found_by_a_checkpoint(
        (length, from, seen) in (1..10_usize).prop_flat_map(|length| (Just(length), 0..length, 0..length)),
    ) {
        let keys = Keyring::new(key(1, 1));
        let number = |index: usize| event(i64::try_from(index).unwrap());
        let log = sealed(keys.current(), Head::START, (0..length).map(number));
        let checkpoint = Checkpoint { head: head(&log[seen]), first: 1, at: Timestamp(5) };
        let other = |index: usize| number(if index < from { index } else { index + 100 });
        let anew = sealed(keys.current(), Head::START, (0..length).map(other));

        prop_assert!(verify(Verifier::new(&keys, Head::START), &anew).is_ok());
        let result = verify(Verifier::new(&keys, Head::START).against(&checkpoint), &anew);
        if seen < from {
            prop_assert!(result.is_ok());
        } else {
            let fault = Fault::Rewritten { at: Timestamp(5) };
            prop_assert_eq!(result, Err(Broken { sequence: seen as u64 + 1, fault }));
        }
    }
}

#[test]
fn what_is_wrong_is_said() {
    let keys = Keyring::new(key(1, 1));
    let log = sealed(keys.current(), Head::START, (0..4).map(event));
    let checkpoint = Checkpoint { head: head(&log[3]), first: 1, at: Timestamp(1_790_000_000_000) };
    let says = |log: &[&Sealed]| {
        let log: Vec<Sealed> = log.iter().copied().cloned().collect();
        verify(Verifier::new(&keys, Head::START).against(&checkpoint), &log).unwrap_err().to_string()
    };
    let [a, b, c, d] = [&log[0], &log[1], &log[2], &log[3]];
    assert_eq!(says(&[a, c, d]), "audit entry 2 is missing: entry 3 stands in its place");
    assert_eq!(says(&[a, a, b]), "audit entry 2 isn't in its place: entry 1 stands there, out of order or repeated");
    let cut =
        "audit entry 3 and all after it are missing: the checkpoint of 2026-09-21T14:13:20.000Z saw entries up to 4";
    assert_eq!(says(&[a, b]), cut);
    let fork = sealed(keys.current(), head(a), (7..9).map(event));
    let unlinked =
        "audit entry 3 doesn't follow the entry before it: one of the two belongs to another history of this log";
    assert_eq!(says(&[a, b, &fork[1]]), unlinked);
    let forged = sealed(&key(1, 2), head(b), [event(2)]);
    let altered = "audit entry 3 isn't what was written: its text, link or mac was changed, or it was forged";
    assert_eq!(says(&[a, b, &forged[0], d]), altered);
}
