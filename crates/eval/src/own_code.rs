//! Which code tokens of a project are scored: own code only, all of it or an even subset.
//!
//! Methods whose hash occurs in the training data stay as context and are left out (DESIGN 6). The protocols and the
//! baseline share this choice, so that every level and the baseline answer the same questions.

use std::collections::HashSet;
use std::hash::BuildHasher;

use nestor_bsl::code_tokens::{CodeToken, code_tokens};
use nestor_bsl::methods::{method_hash, methods};
use rayon::prelude::*;

/// A file of the project that is measured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProjectFile {
    /// Path inside the project, `/` between folders.
    pub path: String,
    /// Normalised text (no BOM, LF).
    pub text: String,
}

/// The code tokens of a file and which of them are own code.
#[derive(Clone, Debug)]
pub struct OwnCode {
    /// All code tokens in order.
    pub tokens: Vec<CodeToken>,
    /// For each token, whether it stands outside methods that occur in the training data.
    pub own: Vec<bool>,
}

impl OwnCode {
    /// Finds the code tokens of `text` and marks those that may be scored.
    #[must_use]
    pub fn find<S: BuildHasher>(text: &str, train_methods: &HashSet<u64, S>) -> Self {
        let tokens = code_tokens(text);
        let mut own = vec![true; tokens.len()];
        for method in methods(text) {
            if train_methods.contains(&method_hash(&text[method.span.clone()])) {
                let first = tokens.partition_point(|t| t.span.start < method.span.start);
                let end = tokens.partition_point(|t| t.span.start < method.span.end);
                own[first..end].fill(false);
            }
        }
        Self { tokens, own }
    }

    /// Number of own code tokens.
    #[must_use]
    pub fn n_own(&self) -> usize {
        self.own.iter().filter(|own| **own).count()
    }
}

/// Consecutive own code tokens that are scored together when a subset is scored.
pub const BLOCK: u64 = 64;

/// An even subset of the own code tokens of a project, in blocks of [`BLOCK`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subset {
    n_own: u64,
    n_blocks: u64,
}

impl Subset {
    /// At most about `max_positions` of `n_own` tokens; `None` takes all.
    #[must_use]
    pub fn new(n_own: u64, max_positions: Option<u64>) -> Self {
        let n_blocks = match max_positions {
            Some(max) if max < n_own => (max / BLOCK).max(1),
            _ => 0,
        };
        Self { n_own, n_blocks }
    }

    /// Number of tokens that are scored.
    #[must_use]
    pub fn len(&self) -> u64 {
        match self.n_blocks {
            0 => self.n_own,
            n => n * BLOCK,
        }
    }

    /// Whether nothing is scored.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether the own token with this number (over all files in order) is scored.
    #[must_use]
    pub fn contains(&self, own_idx: u64) -> bool {
        if self.n_blocks == 0 {
            return own_idx < self.n_own;
        }
        // Block k starts at floor(k n_own / n_blocks); the last block that starts at or before the token decides.
        let k = ((own_idx + 1) * self.n_blocks - 1) / self.n_own;
        let start = k * self.n_own / self.n_blocks;
        own_idx >= start && own_idx < start + BLOCK
    }
}

/// What is scored in a project: numbers of own tokens by file, and the subset.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Code tokens by file.
    pub n_tokens: Vec<u64>,
    /// Own code tokens by file, of those that are scored.
    pub n_own: Vec<u64>,
    /// Number of own tokens before each file.
    pub first_own: Vec<u64>,
    /// Which of them are scored.
    pub subset: Subset,
}

impl Plan {
    /// Reads every file once, in parallel.
    #[must_use]
    pub fn new<S: BuildHasher + Sync>(
        files: &[ProjectFile],
        train_methods: &HashSet<u64, S>,
        max_positions: Option<u64>,
    ) -> Self {
        Self::of(files, train_methods, max_positions, &|_| true)
    }

    /// [`Plan::new`] of which only some files are scored.
    #[must_use]
    pub fn of<S: BuildHasher + Sync>(
        files: &[ProjectFile],
        train_methods: &HashSet<u64, S>,
        max_positions: Option<u64>,
        is_scored: &(dyn Fn(&ProjectFile) -> bool + Sync),
    ) -> Self {
        let counted: Vec<(u64, u64)> = files
            .par_iter()
            .map(|file| {
                let code = OwnCode::find(&file.text, train_methods);
                let n_own = if is_scored(file) { code.n_own() } else { 0 };
                (code.tokens.len() as u64, n_own as u64)
            })
            .collect();
        let mut first_own = Vec::with_capacity(files.len());
        let mut n_own = 0;
        for (_, own) in &counted {
            first_own.push(n_own);
            n_own += own;
        }
        Self {
            n_tokens: counted.iter().map(|c| c.0).collect(),
            n_own: counted.iter().map(|c| c.1).collect(),
            first_own,
            subset: Subset::new(n_own, max_positions),
        }
    }

    /// For each code token of a file, whether it is scored.
    #[must_use]
    pub fn scored(&self, file_idx: usize, code: &OwnCode) -> Vec<bool> {
        if self.n_own[file_idx] == 0 {
            return vec![false; code.own.len()];
        }
        let mut own_idx = self.first_own[file_idx];
        code.own
            .iter()
            .map(|own| {
                let scored = *own && self.subset.contains(own_idx);
                own_idx += u64::from(*own);
                scored
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subset_is_even_and_of_the_asked_size() {
        for (n_own, max) in [
            (100_000u64, 6_400u64),
            (1_000, 128),
            (70, 64),
            (9_999, 9_998),
        ] {
            let subset = Subset::new(n_own, Some(max));
            let chosen: Vec<u64> = (0..n_own).filter(|i| subset.contains(*i)).collect();
            let n_blocks = max / BLOCK;
            assert_eq!(chosen.len() as u64, n_blocks * BLOCK, "{n_own} {max}");
            assert_eq!(subset.len(), n_blocks * BLOCK);
            for k in 0..n_blocks {
                assert!(subset.contains(k * n_own / n_blocks));
            }
        }
        let all = Subset::new(10, None);
        assert!((0..10).all(|i| all.contains(i)));
        let enough = Subset::new(10, Some(10));
        assert!((0..10).all(|i| enough.contains(i)));
    }

    #[test]
    fn methods_of_the_training_data_are_context_only() {
        let known = "Процедура А()\n\tБ = 1;\nКонецПроцедуры\n";
        let own = "Процедура В()\n\tГ = 2;\nКонецПроцедуры\n";
        let text = format!("Перем Д;\n{known}\n{own}");
        let span = methods(known)[0].span.clone();
        let train: HashSet<u64> = [method_hash(&known[span])].into();
        let code = OwnCode::find(&text, &train);
        let scored: Vec<&str> = code
            .tokens
            .iter()
            .zip(&code.own)
            .filter(|(_, own)| **own)
            .map(|(token, _)| &text[token.span.clone()])
            .collect();
        assert_eq!(scored[..3], ["Перем", "Д", ";"]);
        assert!(scored.contains(&"Г") && !scored.contains(&"Б"));
        let plan = Plan::new(
            &[ProjectFile {
                path: "а.bsl".into(),
                text: text.clone(),
            }],
            &train,
            None,
        );
        assert_eq!(plan.n_own[0], scored.len() as u64);
        assert_eq!(plan.scored(0, &code), code.own);
    }
}
