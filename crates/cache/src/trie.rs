//! Candidates as a distribution: a trie of pieces over whole candidates (names of members, fields, tables).
//!
//! At a node, the next piece is as probable as the weight of the candidates that go on with it; the weight of candidates
//! that end here, and everything after the trie is left, belongs to a distribution the caller supplies. Called by `assist`
//! with candidates from metadata; knows pieces and weights only.

use std::collections::BTreeMap;

/// A place in the trie: the pieces read so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct NodeId(u32);

/// Weighted piece sequences.
#[derive(Clone, Debug)]
pub struct CandidateTrie {
    nodes: Vec<TrieNode>,
}

#[derive(Clone, Debug, Default)]
struct TrieNode {
    children: BTreeMap<u32, u32>,
    /// Weight of all candidates through this node, itself included.
    weight: f32,
    /// Their number, equal ones each for itself.
    count: usize,
}

impl CandidateTrie {
    /// Builds the trie of `(pieces, weight)`. Candidates without pieces or without a positive, finite weight are ignored;
    /// equal candidates add up.
    pub fn new<'a>(candidates: impl IntoIterator<Item = (&'a [u32], f32)>) -> Self {
        let mut nodes = vec![TrieNode::default()];
        for (pieces, weight) in candidates {
            if pieces.is_empty() || !weight.is_finite() || weight <= 0.0 {
                continue;
            }
            let mut at = 0;
            nodes[at].weight += weight;
            nodes[at].count += 1;
            for &piece in pieces {
                let fresh = nodes.len() as u32;
                let child = *nodes[at].children.entry(piece).or_insert(fresh);
                if child == fresh {
                    nodes.push(TrieNode::default());
                }
                at = child as usize;
                nodes[at].weight += weight;
                nodes[at].count += 1;
            }
        }
        Self { nodes }
    }

    /// Before the first piece.
    pub fn root(&self) -> NodeId {
        NodeId(0)
    }

    /// True when there are no candidates.
    pub fn is_empty(&self) -> bool {
        self.nodes.len() == 1
    }

    /// After one more piece; `None` when no candidate goes on with it.
    pub fn child(&self, node: NodeId, piece: u32) -> Option<NodeId> {
        self.nodes[node.0 as usize]
            .children
            .get(&piece)
            .copied()
            .map(NodeId)
    }

    /// After these pieces from the root.
    pub fn walk(&self, pieces: &[u32]) -> Option<NodeId> {
        pieces
            .iter()
            .try_fold(self.root(), |node, &piece| self.child(node, piece))
    }

    /// How many candidates go through `node`.
    pub fn count(&self, node: NodeId) -> usize {
        self.nodes[node.0 as usize].count
    }

    /// Share of the candidates through `node` that end there: between 0 and 1, 1 in an empty trie.
    pub fn end_share(&self, node: NodeId) -> f32 {
        let at = &self.nodes[node.0 as usize];
        if at.children.is_empty() || at.weight <= 0.0 {
            return 1.0;
        }
        let going_on: f32 = at
            .children
            .values()
            .map(|&child| self.nodes[child as usize].weight)
            .sum();
        (1.0 - going_on / at.weight).clamp(0.0, 1.0)
    }

    /// The pieces that can follow, with their shares of the candidates through `node`, in order of piece id.
    pub fn next(&self, node: NodeId) -> impl Iterator<Item = (u32, f32)> + '_ {
        let at = &self.nodes[node.0 as usize];
        at.children
            .iter()
            .map(|(&piece, &child)| (piece, self.nodes[child as usize].weight / at.weight))
    }

    /// Writes the full distribution at `node` into `out` (`[V]`): shares of the next pieces plus what ends here, spread as
    /// `backoff` (`[V]`). Sums to 1 when `backoff` does; pieces outside `[V]` go to the backoff too.
    pub fn fill(&self, node: NodeId, backoff: &[f32], out: &mut [f32]) {
        let inside = |piece: u32| (piece as usize) < out.len();
        let direct: f32 = self
            .next(node)
            .filter(|&(piece, _)| inside(piece))
            .map(|(_, share)| share)
            .sum();
        let left = (1.0 - direct).max(0.0);
        for (p, &b) in out.iter_mut().zip(backoff) {
            *p = left * b;
        }
        for (piece, share) in self.next(node) {
            if let Some(p) = out.get_mut(piece as usize) {
                *p += share;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trie() -> CandidateTrie {
        let candidates: [(&[u32], f32); 5] = [
            (&[1, 2, 3], 1.0),
            (&[1, 2], 1.0),
            (&[1, 4], 2.0),
            (&[5], 4.0),
            (&[], 9.0),
        ];
        CandidateTrie::new(candidates)
    }

    #[test]
    fn shares_follow_the_weights_below() {
        let trie = trie();
        let root: Vec<_> = trie.next(trie.root()).collect();
        assert_eq!(root, [(1, 0.5), (5, 0.5)]);
        let after_one = trie.walk(&[1]).unwrap();
        assert_eq!(
            trie.next(after_one).collect::<Vec<_>>(),
            [(2, 0.5), (4, 0.5)]
        );
        assert_eq!(trie.end_share(trie.walk(&[1, 2]).unwrap()), 0.5);
        assert_eq!(trie.end_share(trie.walk(&[5]).unwrap()), 1.0);
        assert_eq!(trie.walk(&[2]), None);
    }

    #[test]
    fn the_filled_distribution_sums_to_one_everywhere() {
        let trie = trie();
        let backoff = [0.1f32; 10];
        for path in [&[][..], &[1], &[1, 2], &[1, 2, 3], &[5]] {
            let mut out = [0.0; 10];
            trie.fill(trie.walk(path).unwrap(), &backoff, &mut out);
            assert!((out.iter().sum::<f32>() - 1.0).abs() < 1e-6);
        }
        let mut out = [0.0; 2];
        trie.fill(trie.root(), &[0.5; 2], &mut out);
        assert!(
            (out.iter().sum::<f32>() - 1.0).abs() < 1e-6,
            "pieces outside go to the backoff"
        );
    }

    #[test]
    fn an_empty_trie_is_the_backoff() {
        let trie = CandidateTrie::new([]);
        assert!(trie.is_empty());
        let mut out = [0.0; 3];
        trie.fill(trie.root(), &[0.2, 0.3, 0.5], &mut out);
        assert_eq!(out, [0.2, 0.3, 0.5]);
    }
}
