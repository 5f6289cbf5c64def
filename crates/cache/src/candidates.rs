//! Names that can stand at a place, as distributions over the next piece, and how they are mixed in.
//!
//! Metadata says which names can follow a dot; here they become three distributions beside the mixture of exits and nests: the
//! names by their own weights, the mixture restricted to what the names allow, and the product of the weights and a root of the mixture. Where a name may end, pieces that
//! begin another token are allowed too, as probable among themselves as the mixture has them. A small gate weighs
//! the four. Without names nothing happens to the mixture. Called by `assist` and `engine`; knows pieces and weights only.

use std::sync::Arc;

use crate::error::CacheError;
use crate::gate::{Gate, gate_error};
use crate::gate_fit::GateExample;
use crate::summary::summarise;
use crate::trie::{CandidateTrie, NodeId};

/// What the gate of candidates weighs: the mixture as it was, and the three distributions of the names.
pub const CANDIDATE_COMPONENTS: [&str; 4] = ["mixture", "names", "fitting", "both"];

/// What sort of place the names are for: the caller's small enum.
pub const NAME_KINDS: usize = 6;

/// Number of features that the gate of candidates takes.
pub const CANDIDATE_FEATURES: usize = 22 + NAME_KINDS;

/// The names that can stand at a place.
#[derive(Clone, Debug)]
pub struct CandidateNames {
    trie: CandidateTrie,
    /// 1 for each piece that begins another token after a name, 0 for the others, `[V]`.
    ends: Arc<[f32]>,
    kind: u8,
    is_open: bool,
}

impl CandidateNames {
    /// Names as pieces with their weights. `ends` (`[V]`) is 1 for each piece that begins another token after a name and 0 for
    /// the others; a `kind` of [`NAME_KINDS`] or more is "none"; `is_open` says that other names may stand there too.
    #[must_use]
    pub fn new(trie: CandidateTrie, ends: Arc<[f32]>, kind: u8, is_open: bool) -> Self {
        Self {
            trie,
            ends,
            kind,
            is_open,
        }
    }

    /// Whether other names may stand there too.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.is_open
    }
}

/// A place in names: some pieces of one have been read.
#[derive(Clone, Debug)]
pub struct CandidatePlace {
    names: Arc<CandidateNames>,
    node: NodeId,
    depth: usize,
}

impl CandidatePlace {
    /// The place after `read` pieces of a name; `None` when no name begins with them.
    #[must_use]
    pub fn new(names: &Arc<CandidateNames>, read: &[u32]) -> Option<Self> {
        if names.trie.is_empty() {
            return None;
        }
        Some(Self {
            node: names.trie.walk(read)?,
            names: Arc::clone(names),
            depth: read.len(),
        })
    }

    /// The place some pieces further on.
    #[must_use]
    pub fn after(&self, pieces: &[u32]) -> Option<Self> {
        let node = pieces
            .iter()
            .try_fold(self.node, |node, &piece| self.names.trie.child(node, piece))?;
        Some(Self {
            names: Arc::clone(&self.names),
            node,
            depth: self.depth + pieces.len(),
        })
    }

    /// What the names go on with, piece by piece, while one piece has at least `share` of the weight of all names that are left; at most
    /// `most` pieces.
    #[must_use]
    pub fn draft(&self, share: f32, most: usize) -> Vec<u32> {
        let trie = &self.names.trie;
        let mut node = self.node;
        let mut found = Vec::new();
        while found.len() < most {
            let likely = trie.next(node).find(|(_, of_all)| *of_all >= share);
            let next = likely.and_then(|(piece, _)| Some((piece, trie.child(node, piece)?)));
            let Some((piece, child)) = next else {
                break;
            };
            found.push(piece);
            node = child;
        }
        found
    }

    /// The names.
    #[must_use]
    pub fn names(&self) -> &CandidateNames {
        &self.names
    }
}

/// Works out the distributions of the names at one place. Buffers are kept between calls.
#[derive(Clone, Debug, Default)]
pub struct CandidateMixer {
    parts: [Vec<f32>; 3],
    features: Vec<f32>,
}

impl CandidateMixer {
    /// Reads a place over the mixture `base` (`[V]`, sums to 1).
    pub fn read(&mut self, place: &CandidatePlace, base: &[f32]) {
        let names = place.names.as_ref();
        let end_share = names.trie.end_share(place.node);
        let may_end = end_share > 0.0;
        let end_mass: f32 = base.iter().zip(names.ends.iter()).map(|(p, e)| p * e).sum();
        let [own, fitting, both] = &mut self.parts;
        for part in [&mut *own, &mut *fitting, &mut *both] {
            part.clear();
            part.resize(base.len(), 0.0);
        }
        if may_end {
            for (id, (&p, &end)) in base.iter().zip(names.ends.iter()).enumerate() {
                // An even share where the mixture knows of no end at all.
                if end > 0.0 && end_mass > SMALLEST {
                    let spread = p / end_mass;
                    own[id] = end_share * spread;
                    fitting[id] = p;
                    both[id] = end_mass.powf(BELIEF) * end_share * spread;
                }
            }
        }
        let mut n_next = 0;
        let mut inside = 0.0;
        for (piece, share) in names.trie.next(place.node) {
            let id = piece as usize;
            if let Some(&p) = base.get(id) {
                own[id] += share;
                fitting[id] = p;
                both[id] += p.powf(BELIEF) * share;
                inside += p;
                n_next += 1;
            }
        }
        let allowed = inside + if may_end { end_mass } else { 0.0 };
        normalise(own, base);
        normalise(fitting, own);
        normalise(both, fitting);
        let summaries = [&*own, &*fitting, &*both].map(|part| summarise(part));
        let of_base = summarise(base);
        let at = |part: &[f32], id: u32| part.get(id as usize).copied().unwrap_or_default();
        let [own_summary, fitting_summary, both_summary] = &summaries;
        self.features.clear();
        self.features.extend([
            (1.0 + names.trie.count(place.node) as f32).ln(),
            (1.0 + n_next as f32).ln(),
            end_share,
            own_summary.entropy,
            own_summary.top_probability,
            indicator(names.is_open),
            indicator(place.depth == 0),
            indicator(place.depth == 1),
            of_base.entropy,
            of_base.top_probability,
            log(of_base.top_probability),
            allowed,
            log(allowed),
            log(end_mass),
            indicator(at(fitting, of_base.top) > 0.0),
            log(at(base, own_summary.top)),
            log(at(own, of_base.top)),
            fitting_summary.top_probability,
            fitting_summary.entropy,
            both_summary.top_probability,
            indicator(own_summary.top == fitting_summary.top),
            indicator(both_summary.top == of_base.top),
        ]);
        let kinds = (0..NAME_KINDS).map(|kind| indicator(kind == usize::from(names.kind)));
        self.features.extend(kinds);
    }

    /// Puts the mixture of all four in the place of `base`, as `gate` weighs them; the weights are returned in the order of
    /// [`CANDIDATE_COMPONENTS`]. [`CandidateMixer::read`] has been called with the same `base`.
    ///
    /// # Errors
    /// [`CacheError::Gate`] when the gate was fitted for something else.
    pub fn blend(&self, gate: &Gate, base: &mut [f32]) -> Result<[f32; 4], CacheError> {
        let mut weights = [0.0; CANDIDATE_COMPONENTS.len()];
        gate.weights(&self.features, &mut weights)?;
        let [own, fitting, both] = &self.parts;
        for (id, p) in base.iter_mut().enumerate() {
            *p = weights[0] * *p
                + weights[1] * own[id]
                + weights[2] * fitting[id]
                + weights[3] * both[id];
        }
        Ok(weights)
    }

    /// The place as an example for a gate: what each component gave the piece that came.
    #[must_use]
    pub fn example(&self, base: &[f32], truth: u32) -> GateExample {
        let of = |part: &[f32]| {
            let p = part.get(truth as usize).copied().unwrap_or_default();
            p.clamp(0.0, 1.0)
        };
        let [own, fitting, both] = &self.parts;
        GateExample {
            likely: None,
            features: self.features.clone(),
            probabilities: vec![of(base), of(own), of(fitting), of(both)],
        }
    }
}

/// Refuses a gate that was not fitted for candidates.
///
/// # Errors
/// [`CacheError::Gate`] naming it.
pub fn check_candidate_gate(name: &str, gate: &Gate) -> Result<(), CacheError> {
    if gate.components == CANDIDATE_COMPONENTS && gate.features() == CANDIDATE_FEATURES {
        return Ok(());
    }
    let reason = format!(
        "mixes {} with {} features; candidates need {} with {CANDIDATE_FEATURES}",
        gate.components.join("+"),
        gate.features(),
        CANDIDATE_COMPONENTS.join("+"),
    );
    Err(gate_error(name, reason))
}

/// The power of the mixture in its product with the names: it knows a part of what the names' weights say too. Fitted together with these
/// (`assist::members`).
const BELIEF: f32 = 0.645;

/// Less than this is nothing.
const SMALLEST: f32 = 1e-20;

/// Makes `part` sum to 1; where it has nothing, it becomes `instead`.
fn normalise(part: &mut [f32], instead: &[f32]) {
    let total: f32 = part.iter().sum();
    if total > SMALLEST {
        part.iter_mut().for_each(|p| *p /= total);
    } else {
        part.copy_from_slice(instead);
    }
}

fn indicator(holds: bool) -> f32 {
    f32::from(u8::from(holds))
}

fn log(probability: f32) -> f32 {
    (probability + 1e-6).ln()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const V: usize = 12;

    /// Names 1 2, 1 2 3 and 5; pieces 9 and above begin another token.
    fn names() -> Arc<CandidateNames> {
        let named: [(&[u32], f32); 3] = [(&[1, 2], 1.0), (&[1, 2, 3], 1.0), (&[5], 2.0)];
        let ends = (0..V).map(|id| indicator(id >= 9)).collect();
        Arc::new(CandidateNames::new(
            CandidateTrie::new(named),
            ends,
            0,
            false,
        ))
    }

    fn gate() -> Gate {
        let components = CANDIDATE_COMPONENTS.map(str::to_owned);
        Gate::uniform(&components, CANDIDATE_FEATURES).unwrap()
    }

    fn read(path: &[u32], base: &[f32]) -> CandidateMixer {
        let mut mixer = CandidateMixer::default();
        mixer.read(&CandidatePlace::new(&names(), path).unwrap(), base);
        mixer
    }

    #[test]
    fn a_name_that_goes_on_cannot_end_and_one_that_is_whole_can() {
        let base = [1.0 / V as f32; V];
        let [own, fitting, both] = &read(&[1], &base).parts;
        for part in [own, fitting, both] {
            assert_eq!(part[2], 1.0, "{part:?}");
        }
        let [own, fitting, _] = &read(&[1, 2], &base).parts;
        assert!((own[3] - 0.5).abs() < 1e-6 && (own[9] - 0.5 / 3.0).abs() < 1e-6);
        assert!((fitting[3] - 0.25).abs() < 1e-6 && fitting[4] == 0.0);
        let [own, ..] = &read(&[5], &base).parts;
        assert!((own[9..].iter().sum::<f32>() - 1.0).abs() < 1e-6);
    }

    #[test]
    fn a_draft_goes_on_while_one_piece_is_likely() {
        let draft = |path: &[u32], share| {
            let place = CandidatePlace::new(&names(), path).unwrap();
            place.draft(share, 8)
        };
        // Half of the weight is 5; behind 1 2 half of what is left ends.
        assert!(draft(&[], 0.6).is_empty());
        assert_eq!(draft(&[1], 0.6), [2]);
        assert_eq!(draft(&[1], 0.5), [2, 3]);
        assert_eq!(
            CandidatePlace::new(&names(), &[1]).unwrap().draft(0.5, 1),
            [2]
        );
    }

    #[test]
    fn pieces_that_no_name_begins_with_have_no_place() {
        assert!(CandidatePlace::new(&names(), &[2]).is_none());
        let place = CandidatePlace::new(&names(), &[1]).unwrap();
        assert!(place.after(&[2, 3]).is_some() && place.after(&[2, 9]).is_none());
        let empty = CandidateNames::new(CandidateTrie::new([]), [0.0; V].into(), 0, true);
        assert!(CandidatePlace::new(&Arc::new(empty), &[]).is_none());
    }

    #[test]
    fn a_gate_of_something_else_is_refused() {
        assert!(check_candidate_gate("cache", &gate()).is_ok());
        let other = Gate::uniform(&["mixture".to_owned()], CANDIDATE_FEATURES).unwrap();
        assert!(check_candidate_gate("cache", &other).is_err());
    }

    proptest! {
        #[test]
        fn everything_sums_to_one(raw in prop::collection::vec(0.0f32..1.0, V), path in 0usize..5) {
            let total: f32 = raw.iter().sum::<f32>() + 1e-3;
            let mut base: Vec<f32> = raw.iter().map(|p| p / total).collect();
            base[0] += 1e-3 / total;
            let path: &[u32] = [&[][..], &[1], &[1, 2], &[1, 2, 3], &[5]][path];
            let mixer = read(path, &base);
            prop_assert_eq!(mixer.features.len(), CANDIDATE_FEATURES);
            prop_assert!(mixer.features.iter().all(|feature| feature.is_finite()));
            for part in &mixer.parts {
                prop_assert!((part.iter().sum::<f32>() - 1.0).abs() < 1e-5);
            }
            let weights = mixer.blend(&gate(), &mut base).unwrap();
            prop_assert!((weights.iter().sum::<f32>() - 1.0).abs() < 1e-6);
            prop_assert!((base.iter().sum::<f32>() - 1.0).abs() < 1e-5);
        }
    }
}
