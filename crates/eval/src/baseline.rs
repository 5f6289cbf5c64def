//! The count-only baseline over texts: learns training rows, then scores a project file by file.
//!
//! The bar that the model must beat (DESIGN 6). Called by the protocols and by `nestor eval --baseline ngram`; the
//! counting and mixing is in [`crate::counts`] and [`crate::ngram`].

use std::collections::HashSet;
use std::hash::BuildHasher;
use std::ops::Range;

use nestor_bsl::code_tokens::{CodeToken, TokenClass, code_tokens, token_text};
use nestor_bsl::methods::{method_hash, methods};
use rayon::prelude::*;
use rustc_hash::FxHashSet;

use crate::counts::{ContextHashes, Counts};
use crate::ngram::{Nests, Vocabulary, spelling_probability};
use crate::own_code::{OwnCode, Plan, ProjectFile};
use crate::results::Adaptation;
use crate::rounds::Round;
use crate::tally::{Rank, Tally, Verdict};

/// The baseline with its training counts.
#[derive(Default)]
pub struct NgramBaseline {
    vocabulary: Vocabulary,
    train: Counts,
    train_methods: FxHashSet<u64>,
}

impl NgramBaseline {
    /// A baseline that has seen nothing.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Learns files of the training rows. A method that was learned before (same hash) is context only.
    pub fn learn_train<T: AsRef<str> + Sync>(&mut self, texts: &[T]) {
        let read: Vec<Read> = texts
            .par_iter()
            .map(|text| Read::new(text.as_ref()))
            .collect();
        let mut batch = Vec::new();
        for (text, Read { code, methods }) in texts.iter().zip(&read) {
            let tokens = intern(&mut self.vocabulary, text.as_ref(), code);
            let mut fresh = vec![true; code.len()];
            for (span, hash) in methods {
                if !self.train_methods.insert(*hash) {
                    let first = code.partition_point(|token| token.span.start < span.start);
                    let end = code.partition_point(|token| token.span.start < span.end);
                    fresh[first..end].fill(false);
                }
            }
            batch.extend((0..code.len()).filter(|at| fresh[*at]).map(|at| {
                let contexts = ContextHashes::before(&tokens, at);
                (contexts, tokens[at])
            }));
        }
        self.train.learn_batch(&batch);
    }

    /// Hashes of the methods that were learned as training rows.
    #[must_use]
    pub fn train_methods(&self) -> &FxHashSet<u64> {
        &self.train_methods
    }

    /// Code tokens learned as training rows.
    #[must_use]
    pub fn n_train_tokens(&self) -> u64 {
        self.train.n_tokens()
    }

    /// Scores files round by round. Returns for each adaptation asked one tally a file, in the order of `files`.
    pub fn score_rounds<S: BuildHasher>(
        &mut self,
        files: &[ProjectFile],
        rounds: &[Round],
        plan: &Plan,
        train_methods: &HashSet<u64, S>,
        adaptations: &[Adaptation],
    ) -> Vec<Vec<Tally>> {
        let mut tallies = vec![vec![Tally::default(); files.len()]; adaptations.len()];
        let learns = adaptations.contains(&Adaptation::Dynamic);
        for round in rounds {
            let mut project = Counts::new();
            for file in round
                .learn
                .iter()
                .filter(|_| learns)
                .map(|idx| &files[*idx])
            {
                let tokens = intern(&mut self.vocabulary, &file.text, &code_tokens(&file.text));
                project.learn(&tokens);
            }
            for &file_idx in &round.score {
                let file = &files[file_idx];
                let code = OwnCode::find(&file.text, train_methods);
                let scored = plan.scored(file_idx, &code);
                let tokens = intern(&mut self.vocabulary, &file.text, &code.tokens);
                let question = Question {
                    text: &file.text,
                    code: &code.tokens,
                    tokens: &tokens,
                    scored: &scored,
                };
                let answered: Vec<Tally> = adaptations
                    .par_iter()
                    .map(|adaptation| self.score_file(&question, *adaptation, &project))
                    .collect();
                for (of_files, tally) in tallies.iter_mut().zip(answered) {
                    of_files[file_idx] = tally;
                }
                if round.learn_scored && learns {
                    project.learn(&tokens);
                }
            }
        }
        tallies
    }

    fn score_file(
        &self,
        question: &Question<'_>,
        adaptation: Adaptation,
        project: &Counts,
    ) -> Tally {
        let mut tally = Tally::default();
        if !question.scored.contains(&true) {
            return tally;
        }
        let mut file = Counts::new();
        for at in 0..question.tokens.len() {
            if question.scored[at] {
                let nests = Nests {
                    counts: [
                        Some(&self.train),
                        (adaptation == Adaptation::Dynamic).then_some(project),
                        (adaptation != Adaptation::None).then_some(&file),
                    ],
                };
                tally.add(&self.verdict(&nests, question, at));
            }
            if adaptation != Adaptation::None {
                file.learn_at(
                    &ContextHashes::before(question.tokens, at),
                    question.tokens[at],
                );
            }
        }
        tally
    }

    fn verdict(&self, nests: &Nests<'_>, question: &Question<'_>, at: usize) -> Verdict {
        let truth = question.tokens[at];
        let prediction = nests.predict(question.tokens, at);
        let ranking = prediction.top(5);
        let spelled = spelling_probability(self.vocabulary.text(truth));
        let strict = ranking.first() == Some(&truth);
        let folded = self.vocabulary.folded(truth);
        let token = &question.code[at];
        Verdict {
            slot_idx: token.slot as usize,
            identifier: token.class == TokenClass::Identifier,
            strict,
            folded: ranking
                .first()
                .is_some_and(|best| self.vocabulary.folded(*best) == folded),
            codexglue: strict,
            bits: -prediction.probability(truth, spelled).log2(),
            n_chars: question.text[token.scored.clone()].chars().count() as u64,
            rank: Some(Rank::of(&truth, &ranking)),
            known: None,
            spoken: None,
        }
    }
}

/// A training file, cut.
struct Read {
    code: Vec<CodeToken>,
    /// Where its methods stand, with their hashes.
    methods: Vec<(Range<usize>, u64)>,
}

impl Read {
    fn new(text: &str) -> Self {
        let hashed = methods(text)
            .into_iter()
            .map(|method| (method.span.clone(), method_hash(&text[method.span])));
        Self {
            methods: hashed.collect(),
            code: code_tokens(text),
        }
    }
}

/// One file as it is scored.
struct Question<'a> {
    text: &'a str,
    code: &'a [CodeToken],
    tokens: &'a [u32],
    scored: &'a [bool],
}

fn intern(vocabulary: &mut Vocabulary, text: &str, tokens: &[CodeToken]) -> Vec<u32> {
    tokens
        .iter()
        .map(|token| vocabulary.intern(&token_text(text, token)))
        .collect()
}
