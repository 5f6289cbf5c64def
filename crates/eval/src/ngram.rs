//! The count-only baseline: a nested cache n-gram over code tokens (Hellendoorn and Devanbu 2017), orders 0-6.
//!
//! Three nests of counts (training rows, project, file) are interpolated by evidence into one distribution. The
//! protocols score it beside the model; it knows interned tokens, not files, methods or slots.
//!
//! Orders go up from 0; at each order the nests follow from the outermost to the innermost, and each takes the
//! distribution so far as its prior: `p(w) <- (c(w) + D p(w)) / (N + D)`, where the context was seen `N` times with `D`
//! different followers (Witten and Bell 1991, method C). A context that was never seen changes nothing. Other constants
//! were searched on three withheld repositories (a constant pseudo-count, multiples of `D`, a trend over orders, each
//! by nest): the best gained 0.0003, so there is nothing to set. Below order 0 stands a spelling model over all
//! strings, so that no token has probability zero.

use std::borrow::Cow;

use rustc_hash::FxHashMap;

use crate::counts::{ContextHashes, Counts, Followers, MAX_ORDER};

/// Number of nests: training rows, project, file.
pub const N_NESTS: usize = 3;

/// Interned code tokens, as written. Contexts fold no case: measured on the six dev repositories, folding them gains
/// 6 points on one (tester.edt, keywords in lower case) without adaptation and loses a little with it.
#[derive(Default)]
pub struct Vocabulary {
    ids: FxHashMap<Box<str>, u32>,
    texts: Vec<Box<str>>,
    folded: Vec<u32>,
}

impl Vocabulary {
    /// The id of a token, new when it was never met.
    pub fn intern(&mut self, text: &str) -> u32 {
        if let Some(id) = self.ids.get(text) {
            return *id;
        }
        let folded = fold_case(text);
        let folded_id = if folded == text {
            None
        } else {
            Some(self.intern(&folded))
        };
        let id = self.texts.len() as u32;
        self.texts.push(text.into());
        self.ids.insert(text.into(), id);
        self.folded.push(folded_id.unwrap_or(id));
        id
    }

    /// The text of a token.
    #[must_use]
    pub fn text(&self, id: u32) -> &str {
        &self.texts[id as usize]
    }

    /// The id of the token with its case folded: equal for `Если` and `ЕСЛИ`.
    #[must_use]
    pub fn folded(&self, id: u32) -> u32 {
        self.folded[id as usize]
    }

    /// Number of tokens.
    #[must_use]
    pub fn len(&self) -> usize {
        self.texts.len()
    }

    /// Whether no token was met.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.texts.is_empty()
    }
}

/// Case folding of BSL names: both alphabets.
#[must_use]
pub fn fold_case(text: &str) -> Cow<'_, str> {
    if text.chars().any(char::is_uppercase) {
        Cow::Owned(text.to_lowercase())
    } else {
        Cow::Borrowed(text)
    }
}

/// The nests that take part in a prediction, outermost first; `None` leaves one out.
#[derive(Clone, Copy)]
pub struct Nests<'a> {
    /// Training rows, project, file.
    pub counts: [Option<&'a Counts>; N_NESTS],
}

/// The distribution over the next token at one position.
pub struct Prediction<'a> {
    steps: Vec<(Followers<'a>, f64)>,
}

impl<'a> Nests<'a> {
    /// The distribution after the tokens before `at`.
    #[must_use]
    pub fn predict(&self, tokens: &[u32], at: usize) -> Prediction<'a> {
        let contexts = ContextHashes::before(tokens, at);
        let mut steps = Vec::with_capacity(N_NESTS * (MAX_ORDER + 1));
        for order in 0..contexts.n_orders() {
            for counts in self.counts.into_iter().flatten() {
                if let Some(followers) = counts.followers(&contexts, order) {
                    steps.push((followers, followers.n_distinct() as f64));
                }
            }
        }
        Prediction { steps }
    }
}

/// How many followers of each context stand for the top of the mixture.
const CANDIDATES_PER_CONTEXT: usize = 10;

impl Prediction<'_> {
    /// The probability of a token; `spelled` is its probability below order 0 ([`spelling_probability`]).
    #[must_use]
    pub fn probability(&self, token: u32, spelled: f64) -> f64 {
        let mut p = spelled;
        for (followers, kappa) in &self.steps {
            let seen = f64::from(followers.count(token));
            p = (seen + kappa * p) / (f64::from(followers.total()) + kappa);
        }
        p
    }

    /// The likeliest tokens, best first; ties by id. A token must be among the ten most frequent followers of one
    /// of its contexts to be found.
    #[must_use]
    pub fn top(&self, n: usize) -> Vec<u32> {
        let mut candidates: Vec<u32> = Vec::with_capacity(64);
        for (followers, _) in &self.steps {
            candidates.extend(followers.top(CANDIDATES_PER_CONTEXT));
        }
        candidates.sort_unstable();
        candidates.dedup();
        let mut ranked: Vec<(f64, u32)> = candidates
            .into_iter()
            .map(|token| (self.probability(token, 0.0), token))
            .collect();
        ranked.sort_unstable_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
        ranked.truncate(n);
        ranked.into_iter().map(|item| item.1).collect()
    }
}

/// A proper distribution over all strings: each character and the end cost one in 256.
#[must_use]
pub fn spelling_probability(text: &str) -> f64 {
    (-8.0 * (text.chars().count() as f64 + 1.0)).exp2()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tokens(vocabulary: &mut Vocabulary, text: &str) -> Vec<u32> {
        text.split(' ')
            .map(|word| vocabulary.intern(word))
            .collect()
    }

    #[test]
    fn the_mixture_is_a_distribution() {
        let mut vocabulary = Vocabulary::default();
        let train = tokens(&mut vocabulary, "а = б ; а = в ; б = а ( в ) ;");
        let file = tokens(&mut vocabulary, "а = г ; а = г ; г");
        let (mut outer, mut inner) = (Counts::new(), Counts::new());
        outer.learn(&train);
        inner.learn(&file);
        let nests = Nests {
            counts: [Some(&outer), None, Some(&inner)],
        };
        for at in 0..file.len() {
            let prediction = nests.predict(&file, at);
            // All that the nests hold plus the share of strings that were never met: exactly one.
            let n = vocabulary.len() as u32;
            let known: f64 = (0..n).map(|id| prediction.probability(id, 0.0)).sum();
            let unseen = prediction.probability(n, 1.0);
            assert!((known + unseen - 1.0).abs() < 1e-12, "{known} {unseen}");
        }
    }

    #[test]
    fn a_worked_example_of_the_interpolation() {
        let mut vocabulary = Vocabulary::default();
        let train = tokens(&mut vocabulary, "а б а в");
        let mut outer = Counts::new();
        outer.learn(&train);
        let nests = Nests {
            counts: [Some(&outer), None, None],
        };
        let context = tokens(&mut vocabulary, "в а");
        let prediction = nests.predict(&context, 2);
        // Order 0: N = 4, D = 3, c(б) = 1: (1 + 3 p0) / 7. Order 1, after `а`: N = 2, D = 2, c = 1.
        let order_0 = 1.0 / 7.0;
        let expected = (1.0 + 2.0 * order_0) / 4.0;
        let b = vocabulary.intern("б");
        assert!((prediction.probability(b, 0.0) - expected).abs() < 1e-15);
        // Order 0 breaks no tie between `б` and `в`: the smaller id comes first.
        assert_eq!(prediction.top(1), vec![b]);
    }

    #[test]
    fn case_is_folded_for_the_folded_figure_only() {
        let mut vocabulary = Vocabulary::default();
        let ids = tokens(&mut vocabulary, "ЕСЛИ Если если IF");
        assert_eq!(vocabulary.folded(ids[0]), vocabulary.folded(ids[1]));
        assert_eq!(vocabulary.folded(ids[2]), ids[2]);
        assert_ne!(vocabulary.folded(ids[3]), ids[2]);
        assert_eq!(vocabulary.text(ids[1]), "Если");
    }
}
