//! Which snapshots of the memories to keep: few, and the further back the further apart.
//!
//! Ages are counted in pieces taught, never in time, so that the same lessons keep the same snapshots wherever a clock does not
//! decide when to save. Called by `levels`; knows numbers only.

/// Snapshots that are kept at most.
pub(crate) const MOST: usize = 6;

/// Bytes that they may take together, where the newest memories themselves are not larger.
const MOST_BYTES: u64 = 32 << 20;

/// A snapshot: how much had been taught, and its bytes on disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Member {
    pub taught: u64,
    pub bytes: u64,
}

/// The indices of those to drop, so that what stays is within the bounds; `members` rise by what had been taught. The newest stays
/// always. `whole_bytes` is the size of the newest memories.
pub(crate) fn to_drop(members: &[Member], whole_bytes: u64) -> Vec<usize> {
    let budget = whole_bytes.max(MOST_BYTES);
    let mut kept: Vec<usize> = (0..members.len()).collect();
    let mut dropped = Vec::new();
    loop {
        let bytes: u64 = kept.iter().map(|idx| members[*idx].bytes).sum();
        if kept.len() <= 1 || (kept.len() <= MOST && bytes <= budget) {
            dropped.sort_unstable();
            return dropped;
        }
        let taught: Vec<u64> = kept.iter().map(|idx| members[*idx].taught).collect();
        dropped.push(kept.remove(least_useful(&taught)));
    }
}

/// The one of several rising points, the last excepted, that is missed least: the gap that it leaves is the smallest part of the way
/// back to its far end. What lies before the first is the beginning, from which everything can be taught anew.
fn least_useful(taught: &[u64]) -> usize {
    let newest = taught.last().copied().unwrap_or_default();
    let gap = |at: usize| {
        let before = at.checked_sub(1).map_or(0, |before| taught[before]);
        let way_back = newest - before;
        let gap = taught[at + 1] - before;
        // As whole numbers, so that no rounding decides; nothing is taught 2^52 pieces.
        u128::from(gap) * (1 << 32) / u128::from(way_back.max(1))
    };
    (0..taught.len().saturating_sub(1))
        .min_by_key(|at| (gap(*at), *at))
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is kept when a snapshot is made each time that `step` pieces more were taught.
    fn kept(n: u64, step: impl Fn(u64) -> u64, bytes: u64, whole_bytes: u64) -> Vec<u64> {
        let mut members: Vec<Member> = Vec::new();
        let mut taught = 0;
        for at in 0..n {
            taught += step(at);
            members.push(Member { taught, bytes });
            let mut at = 0;
            let dropped = to_drop(&members, whole_bytes);
            members.retain(|_| {
                at += 1;
                !dropped.contains(&(at - 1))
            });
            assert!(members.len() <= MOST);
            assert_eq!(members.last().unwrap().taught, taught, "the newest stays");
        }
        members
            .iter()
            .map(|member| taught - member.taught)
            .rev()
            .collect()
    }

    #[test]
    fn snapshots_are_spaced_by_their_age() {
        let irregular = |at: u64| 40_000 + at * 7919 % 60_000;
        for n in [7, 10, 40, 100, 333, 1000] {
            let ages = kept(n, |_| 1000, 1 << 20, 0);
            assert_eq!(
                (ages.len(), ages[0], ages[1]),
                (MOST, 0, 1000),
                "{n} {ages:?}"
            );
            for pair in ages[1..].windows(2) {
                let ratio = pair[1] as f64 / pair[0] as f64;
                assert!(ratio <= 6.0, "{n} {ages:?}");
            }
            assert!(n < 40 || ages[MOST - 1] >= n * 1000 / 8, "{n} {ages:?}");
            let ages = kept(n, irregular, 1 << 20, 0);
            assert_eq!(ages.len(), MOST);
            assert!(ages[1] <= 100_000 && ages[MOST - 1] >= 250_000, "{ages:?}");
        }
    }

    #[test]
    fn bytes_are_bounded_too() {
        let ages = kept(50, |_| 1000, 9 << 20, 0);
        assert_eq!(ages.len(), 3, "{ages:?}");
        let ages = kept(50, |_| 1000, 9 << 20, 45 << 20);
        assert_eq!(ages.len(), 5, "{ages:?}");
        assert_eq!(
            kept(3, |_| 10, 99 << 20, 0),
            [0],
            "the newest however large"
        );
        assert_eq!(to_drop(&[], 0), [0usize; 0]);
    }
}
