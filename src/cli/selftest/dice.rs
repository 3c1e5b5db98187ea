//! Chance that can be had again: the same seed gives the same sequence.

/// A generator (`SplitMix64`; Steele, Lea and Flood 2014).
#[derive(Clone, Debug)]
pub(super) struct Dice(u64);

impl Dice {
    /// The dice of one round: they don't depend on the rounds before it.
    pub(super) fn of_round(seed: u64, round: u32) -> Self {
        let mut dice = Self(seed ^ (u64::from(round) << 32));
        dice.next();
        dice
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number from `low` to `high`, both included.
    pub(super) fn between(&mut self, low: u64, high: u64) -> u64 {
        low + self.next() % (high - low + 1)
    }

    /// True so often in a hundred.
    pub(super) fn percent(&mut self, chance: u64) -> bool {
        self.next() % 100 < chance
    }

    /// One of these; there is at least one.
    pub(super) fn choose<'i, T>(&mut self, items: &'i [T]) -> &'i T {
        let index = self.next() % (items.len() as u64);
        &items[usize::try_from(index).unwrap_or(0)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_round_has_the_same_dice_whatever_came_before_and_another_has_others() {
        let throws = |seed, round| {
            let mut dice = Dice::of_round(seed, round);
            (0..20).map(|_| dice.between(1, 1_000_000)).collect::<Vec<_>>()
        };
        assert_eq!(throws(7, 3), throws(7, 3));
        assert_ne!(throws(7, 3), throws(7, 4));
        assert_ne!(throws(8, 3), throws(7, 3));
        assert!(throws(1, 1).iter().all(|throw| (1..=1_000_000).contains(throw)));
    }
}
