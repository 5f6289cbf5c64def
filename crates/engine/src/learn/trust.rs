//! How far the memories of an exit are believed: a running mixture with what the exit says without them.
//!
//! Two experts, the exit with its memories and the exit as it was trained, are weighed by how well each predicted so far, with
//! fixed share (Herbster and Warmuth 1998, "Tracking the best expert"): over any stretch of T tokens the mixture loses at most
//! `T ln(1 / (1 - SHARE / 2)) + ln(2 / SHARE)` nats more than the better of the two. So a memory that does not fit a text costs
//! next to nothing there. Called by `levels`; knows probabilities only.

/// What passes from each expert to the other at every token.
const SHARE: f32 = 0.01;

/// Shares of the memories in the exits' answers, between 0 and 1.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Trust {
    shares: Vec<f32>,
}

impl Trust {
    /// Both experts alike, for so many exits.
    pub fn new(exits: usize) -> Self {
        Self {
            shares: vec![0.5; exits],
        }
    }

    /// The shares as they are kept.
    pub fn shares(&self) -> &[f32] {
        &self.shares
    }

    /// Trust as it was kept; a share that is none counts as one half.
    pub fn from_shares(shares: Vec<f32>) -> Self {
        let sane = |share: f32| {
            if (0.0..=1.0).contains(&share) {
                share
            } else {
                0.5
            }
        };
        Self {
            shares: shares.into_iter().map(sane).collect(),
        }
    }

    /// Mixes the answers of one exit into `changed`; both are `[n, V]`.
    pub fn blend(&self, exit: usize, plain: &[f32], changed: &mut [f32]) {
        let share = self.shares[exit];
        for (changed, plain) in changed.iter_mut().zip(plain) {
            *changed = share * *changed + (1.0 - share) * plain;
        }
    }

    /// Learns what each expert gave to the n tokens that followed.
    pub fn update(&mut self, exit: usize, plain: &[f32], changed: &[f32], targets: &[u32]) {
        let vocab = plain.len() / targets.len().max(1);
        let rows = plain
            .chunks_exact(vocab.max(1))
            .zip(changed.chunks_exact(vocab.max(1)));
        for ((plain, changed), target) in rows.zip(targets) {
            self.see(exit, plain[*target as usize], changed[*target as usize]);
        }
    }

    /// Learns what each expert gave to a token that followed.
    pub fn see(&mut self, exit: usize, plain: f32, changed: f32) {
        let share = &mut self.shares[exit];
        let (with, without) = (*share * changed, (1.0 - *share) * plain);
        let sum = with + without;
        // What neither thought possible says nothing about them.
        if sum.is_finite() && sum > f32::MIN_POSITIVE {
            *share = (1.0 - SHARE) * (with / sum) + SHARE / 2.0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::learn::tests::noise;

    /// Losses in nats of the two experts and of the mixture over texts of two tokens.
    fn losses(experts: impl Fn(usize) -> (f32, f32), n: usize) -> (f64, f64, f64) {
        let mut trust = Trust::new(1);
        let (mut plain_loss, mut changed_loss, mut mixed_loss) = (0.0, 0.0, 0.0);
        for at in 0..n {
            let (plain, changed) = experts(at);
            let plain = [plain, 1.0 - plain];
            let changed = [changed, 1.0 - changed];
            let mut mixed = changed;
            trust.blend(0, &plain, &mut mixed);
            plain_loss -= f64::from(plain[0]).ln();
            changed_loss -= f64::from(changed[0]).ln();
            mixed_loss -= f64::from(mixed[0]).ln();
            trust.update(0, &plain, &changed, &[0]);
        }
        (plain_loss, changed_loss, mixed_loss)
    }

    #[test]
    fn the_mixture_keeps_its_bound_against_the_better_of_the_two() {
        let random = noise(3, 4000);
        let bound = |n: usize| n as f64 * 0.00502 + (200.0f64).ln();
        type Experts<'a> = &'a dyn Fn(usize) -> (f32, f32);
        let cases: [Experts<'_>; 4] = [
            &|_| (0.6, 0.1),
            &|_| (0.1, 0.6),
            &|at| (0.5, 0.5 + 0.4 * random[at]),
            &|_| (0.3, 0.0),
        ];
        for (case, experts) in cases.into_iter().enumerate() {
            let (plain, changed, mixed) = losses(experts, 2000);
            assert!(
                mixed <= plain.min(changed) + bound(2000),
                "{case}: {plain} {changed} {mixed}"
            );
        }
        // It follows a change of mind, which neither expert does.
        let turning = |at: usize| if at < 1000 { (0.1, 0.8) } else { (0.8, 0.1) };
        let (plain, changed, mixed) = losses(turning, 2000);
        assert!(
            mixed < 0.3 * plain.min(changed),
            "{plain} {changed} {mixed}"
        );
    }

    #[test]
    fn shares_stay_shares() {
        let mut trust = Trust::from_shares(vec![f32::NAN, 2.0, 0.25]);
        assert_eq!(trust.shares(), [0.5, 0.5, 0.25]);
        trust.update(0, &[f32::NAN, 0.5], &[0.5, 0.5], &[0]);
        trust.update(1, &[0.0, 1.0], &[0.0, 1.0], &[0]);
        assert_eq!(trust.shares(), [0.5, 0.5, 0.25]);
        trust.update(2, &[], &[], &[]);
        assert_eq!(trust.shares()[2], 0.25);
    }
}
