//! Random methods of a corpus: the data of `train --samples N` and of the samples protocol.
//!
//! A sample is a method of the projects to train on, each distinct method once. Near-duplicates stay on one side of the split, so
//! that no test method has its twin in the training part. Same corpus, number and seed: same samples.

use rustc_hash::{FxHashMap, FxHashSet};

use crate::{Corpus, CorpusError, Role};
use nestor_bsl::similarity::mix;

/// One part in so many goes to the test side.
const TEST_PART: usize = 10;

/// Where a method lies in the corpus.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SampleRef {
    /// The file in [`Corpus::files`].
    pub file: usize,
    /// The method among the file's.
    pub method: usize,
}

/// Samples, split 90/10. Both sides are in the order of the corpus.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Samples {
    /// To train on.
    pub train: Vec<SampleRef>,
    /// To measure on.
    pub test: Vec<SampleRef>,
}

/// Draws `n` distinct methods. Asking for more than there are is an error that names how many there are.
pub fn sample(corpus: &Corpus, n: usize, seed: u64) -> Result<Samples, CorpusError> {
    let mut methods = distinct_methods(corpus);
    if n > methods.len() {
        return Err(CorpusError::TooFewMethods {
            asked: n,
            available: methods.len(),
        });
    }
    // The front of a Fisher-Yates shuffle.
    let mut random = Random { state: seed };
    for at in 0..n {
        let other = at + random.below(methods.len() - at);
        methods.swap(at, other);
    }
    methods.truncate(n);
    let group = |sample: &SampleRef| corpus.files()[sample.file].methods[sample.method].group;
    let mut drawn_groups = FxHashSet::default();
    let mut test_groups = FxHashSet::default();
    let mut sizes: FxHashMap<u32, usize> = FxHashMap::default();
    methods
        .iter()
        .for_each(|sample| *sizes.entry(group(sample)).or_default() += 1);
    let n_test = n / TEST_PART;
    let mut test_len = 0;
    // In the random order of the draw; a group that would overshoot stays on the training side.
    for sample in &methods {
        let group = group(sample);
        if drawn_groups.insert(group) && test_len + sizes[&group] <= n_test {
            test_groups.insert(group);
            test_len += sizes[&group];
        }
    }
    methods.sort_unstable();
    let (test, train) = methods
        .into_iter()
        .partition(|sample| test_groups.contains(&group(sample)));
    Ok(Samples { train, test })
}

/// The text of a sample: the method with its doc comment and annotations.
pub fn text(corpus: &Corpus, sample: SampleRef) -> Result<String, CorpusError> {
    let tokens = corpus.tokens(sample.file)?;
    let method = &corpus.files()[sample.file].methods[sample.method];
    let bytes = corpus.tokenizer().decode(&tokens[method.tokens.clone()]);
    // The tokens may start with white space that stands before the method, never within a character.
    Ok(String::from_utf8_lossy(&bytes).trim().to_owned())
}

/// How many distinct methods [`sample`] can draw from.
pub fn available(corpus: &Corpus) -> usize {
    distinct_methods(corpus).len()
}

fn distinct_methods(corpus: &Corpus) -> Vec<SampleRef> {
    let train = corpus
        .projects()
        .iter()
        .filter(|project| project.role == Role::Train);
    let files = train.flat_map(|project| project.files.clone());
    files
        .flat_map(|file| {
            let methods = corpus.files()[file].methods.iter().enumerate();
            methods
                .filter(|(_, method)| method.is_first && !method.tokens.is_empty())
                .map(move |(method, _)| SampleRef { file, method })
        })
        .collect()
}

/// SplitMix64: stated here because a library's generator may change with its version, and samples may not.
struct Random {
    state: u64,
}

impl Random {
    /// A number below `bound`; the bias of the multiplication is below 2^-32 for every corpus.
    fn below(&mut self, bound: usize) -> usize {
        self.state = self.state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        ((u128::from(mix(self.state)) * bound as u128) >> 64) as usize
    }
}
