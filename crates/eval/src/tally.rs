//! Sums of right and wrong answers, by file and in total: what every metric is computed from.
//!
//! The protocols add one [`Verdict`] per scored code token; [`crate::results`] turns tallies into figures and the
//! bootstrap resamples them by file. Nothing here knows how a verdict was reached.

/// Number of slots of [`nestor_bsl::code_tokens::Slot`].
pub const N_SLOTS: usize = 9;

/// What a level said about one code token.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Verdict {
    /// Index of the slot, below [`N_SLOTS`].
    pub slot_idx: usize,
    /// Whether the token is an identifier.
    pub identifier: bool,
    /// The strict definition: every piece right and the next piece starts a new token.
    pub strict: bool,
    /// As `strict`, with case folded.
    pub folded: bool,
    /// CodeXGLUE's definition: every piece right, the end of the token not checked.
    pub codexglue: bool,
    /// -log2 of the token's probability, white space given.
    pub bits: f64,
    /// Characters of the token.
    pub n_chars: u64,
    /// Place of the true token in the ranking of a beam of five (1 = first); `None` where no beam was run.
    pub rank: Option<Rank>,
    /// What the metadata knows of the token's place; `None` where it knows nothing.
    pub known: Option<Known>,
    /// What was said there, where it was decoded.
    pub spoken: Option<Spoken>,
}

/// What the metadata knows of a place where a name stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Known {
    /// The true name is one of those that it offers.
    pub offers: bool,
    /// It claims that there are no others.
    pub is_closed: bool,
}

/// A name that was decoded at a place that the metadata knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Spoken {
    /// Neither the metadata nor the code has such a name anywhere.
    pub is_invented: bool,
    /// The receiver does not have it, as far as the metadata knows.
    pub is_outside: bool,
}

/// Where a ranking of five holds the true token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rank {
    /// 1 is the first place.
    At(u8),
    /// Not among the five.
    Missed,
}

impl Rank {
    /// The place of `truth` in a ranking, best first.
    #[must_use]
    pub fn of<T: PartialEq>(truth: &T, ranking: &[T]) -> Self {
        match ranking.iter().take(5).position(|item| item == truth) {
            Some(at) => Self::At(at as u8 + 1),
            None => Self::Missed,
        }
    }

    fn reciprocal(self) -> f64 {
        match self {
            Self::At(place) => 1.0 / f64::from(place),
            Self::Missed => 0.0,
        }
    }
}

/// Right answers out of positions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Share {
    /// Right answers.
    pub right: u64,
    /// Positions asked.
    pub total: u64,
}

impl Share {
    /// Adds one answer.
    pub fn add(&mut self, right: bool) {
        self.right += u64::from(right);
        self.total += 1;
    }

    /// Adds another share.
    pub fn merge(&mut self, other: Self) {
        self.right += other.right;
        self.total += other.total;
    }

    /// Right divided by total; nothing was asked: `None`.
    #[must_use]
    pub fn ratio(&self) -> Option<f64> {
        (self.total > 0).then(|| self.right as f64 / self.total as f64)
    }
}

/// Everything one level answered in one file (or, merged, in a whole source).
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Tally {
    /// Strict accuracy.
    pub strict: Share,
    /// Strict accuracy with case folded.
    pub folded: Share,
    /// CodeXGLUE's accuracy.
    pub codexglue: Share,
    /// Strict accuracy over identifiers.
    pub identifiers: Share,
    /// Strict accuracy by slot.
    pub slots: [Share; N_SLOTS],
    /// The same where the metadata knows the place.
    pub known_slots: [Share; N_SLOTS],
    /// The true name is offered, of those places, by slot.
    pub offered: [Share; N_SLOTS],
    /// Decoded names that nobody has, of those that were decoded.
    pub invented: Share,
    /// Decoded names that the receiver does not have, where it is known to have no others than the metadata says.
    pub outside: Share,
    /// Token accuracy: the model's own pieces.
    pub pieces: Share,
    /// The true token among five.
    pub top5: Share,
    /// Sum of reciprocal ranks, and ranked positions.
    pub reciprocal: (f64, u64),
    /// The same over identifiers.
    pub reciprocal_identifiers: (f64, u64),
    /// Sum of -log2 p over code tokens.
    pub bits: f64,
    /// Characters of those tokens.
    pub n_chars: u64,
}

impl Tally {
    /// Adds one code token.
    pub fn add(&mut self, verdict: &Verdict) {
        self.strict.add(verdict.strict);
        self.folded.add(verdict.folded);
        self.codexglue.add(verdict.codexglue);
        self.slots[verdict.slot_idx].add(verdict.strict);
        if verdict.identifier {
            self.identifiers.add(verdict.strict);
        }
        if let Some(known) = verdict.known {
            self.known_slots[verdict.slot_idx].add(verdict.strict);
            self.offered[verdict.slot_idx].add(known.offers);
            if let Some(spoken) = verdict.spoken {
                self.invented.add(spoken.is_invented);
                if known.is_closed {
                    self.outside.add(spoken.is_outside);
                }
            }
        }
        if let Some(rank) = verdict.rank {
            self.top5.add(rank != Rank::Missed);
            let sums = [
                Some(&mut self.reciprocal),
                verdict
                    .identifier
                    .then_some(&mut self.reciprocal_identifiers),
            ];
            for sum in sums.into_iter().flatten() {
                sum.0 += rank.reciprocal();
                sum.1 += 1;
            }
        }
        self.bits += verdict.bits;
        self.n_chars += verdict.n_chars;
    }

    /// Adds another tally.
    pub fn merge(&mut self, other: &Self) {
        self.strict.merge(other.strict);
        self.folded.merge(other.folded);
        self.codexglue.merge(other.codexglue);
        self.identifiers.merge(other.identifiers);
        for (slots, more) in [
            (&mut self.slots, &other.slots),
            (&mut self.known_slots, &other.known_slots),
            (&mut self.offered, &other.offered),
        ] {
            for (slot, more) in slots.iter_mut().zip(more) {
                slot.merge(*more);
            }
        }
        self.invented.merge(other.invented);
        self.outside.merge(other.outside);
        self.pieces.merge(other.pieces);
        self.top5.merge(other.top5);
        self.reciprocal.0 += other.reciprocal.0;
        self.reciprocal.1 += other.reciprocal.1;
        self.reciprocal_identifiers.0 += other.reciprocal_identifiers.0;
        self.reciprocal_identifiers.1 += other.reciprocal_identifiers.1;
        self.bits += other.bits;
        self.n_chars += other.n_chars;
    }

    /// The sum of many.
    #[must_use]
    pub fn sum<'a>(tallies: impl IntoIterator<Item = &'a Self>) -> Self {
        let mut total = Self::default();
        for tally in tallies {
            total.merge(tally);
        }
        total
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(slot_idx: usize, strict: bool, rank: Option<Rank>) -> Verdict {
        Verdict {
            slot_idx,
            identifier: slot_idx == 0,
            strict,
            folded: true,
            codexglue: true,
            bits: 2.0,
            n_chars: 4,
            rank,
            known: (slot_idx == 0).then_some(Known {
                offers: !strict,
                is_closed: strict,
            }),
            spoken: rank.map(|_| Spoken {
                is_invented: strict,
                is_outside: true,
            }),
        }
    }

    #[test]
    fn a_tally_adds_up_by_hand() {
        let mut tally = Tally::default();
        tally.add(&verdict(0, true, Some(Rank::At(1))));
        tally.add(&verdict(0, false, Some(Rank::At(4))));
        tally.add(&verdict(3, false, Some(Rank::Missed)));
        tally.add(&verdict(3, true, None));
        assert_eq!(tally.strict, Share { right: 2, total: 4 });
        assert_eq!(tally.folded.ratio(), Some(1.0));
        assert_eq!(tally.identifiers, Share { right: 1, total: 2 });
        assert_eq!(tally.slots[3], Share { right: 1, total: 2 });
        assert_eq!(tally.top5, Share { right: 2, total: 3 });
        assert_eq!(tally.reciprocal, (1.25, 3));
        assert_eq!(tally.reciprocal_identifiers, (1.25, 2));
        assert_eq!((tally.bits, tally.n_chars), (8.0, 16));
        assert_eq!(tally.known_slots[0], Share { right: 1, total: 2 });
        assert_eq!(tally.known_slots[3], Share::default());
        assert_eq!(tally.offered[0], Share { right: 1, total: 2 });
        assert_eq!(tally.invented, Share { right: 1, total: 2 });
        assert_eq!(tally.outside, Share { right: 1, total: 1 });
    }

    #[test]
    fn merging_equals_adding() {
        let verdicts: Vec<Verdict> = (0..20)
            .map(|i| verdict(i % N_SLOTS, i % 3 == 0, (i % 2 == 0).then_some(Rank::At(2))))
            .collect();
        let mut whole = Tally::default();
        let mut parts = [Tally::default(), Tally::default()];
        for (i, verdict) in verdicts.iter().enumerate() {
            whole.add(verdict);
            parts[usize::from(i > 7)].add(verdict);
        }
        assert_eq!(Tally::sum(&parts), whole);
    }

    #[test]
    fn ranks_look_at_five_places() {
        assert_eq!(Rank::of(&3, &[1, 3]), Rank::At(2));
        assert_eq!(Rank::of(&6, &[1, 2, 3, 4, 5, 6]), Rank::Missed);
        assert_eq!(Rank::of(&6, &[]), Rank::Missed);
    }
}
