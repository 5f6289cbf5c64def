//! The nested cache: corpus, project, folder and file as full normalised distributions over the vocabulary.
//!
//! Evidence is used from the longest match to the shortest, at equal length the inner nest before the outer one, and the
//! corpus' single-token probabilities are the floor. A nest without evidence therefore gives the next outer nest exactly;
//! with nothing at all the distribution is uniform. Called by `engine` and `eval`; knows token ids only. What it predicts
//! depends on the given context and on what was learned before, on nothing else.

use std::sync::Arc;

use crate::corpus_ngram::CorpusNgram;
use crate::error::CacheError;
use crate::evidence::{Entries, Evidence, LEVEL_ORDERS};
use crate::ngram::{MAX_ORDER, Ngram, check_vocab_size};
use crate::smoothing::{SOURCES, Source, newest_share, trust};
use crate::subtraction::Subtraction;
use crate::summary::{Summary, summarise};

/// A distribution of the cache; each one contains the ones before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Nest {
    /// The shipped corpus alone.
    Corpus = 0,
    /// Project over corpus.
    Project = 1,
    /// File over folder over project over corpus.
    File = 2,
}

/// All nests, outermost first: the order of components in a gate.
pub const NESTS: [Nest; 3] = [Nest::Corpus, Nest::Project, Nest::File];

/// What one source knew about the context by itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SourceMatch {
    /// Length of the longest context found, in tokens; 0 when not even one token matched.
    pub matched_order: usize,
    /// Occurrences of that context (of at most the bounded number looked at).
    pub evidence: u32,
    /// Different continuations of that context.
    pub distinct: u32,
}

/// The counts of one session. Corpus, project and folder are shared; the file is the session's own.
#[derive(Clone, Debug)]
pub struct NestedCache {
    vocab_size: usize,
    corpus: Option<Arc<CorpusNgram>>,
    project: Arc<Ngram>,
    folder: Arc<Ngram>,
    file: Ngram,
    project_subtraction: Option<Arc<Subtraction>>,
    folder_subtraction: Option<Arc<Subtraction>>,
}

impl NestedCache {
    /// Empty nests over a corpus model.
    ///
    /// # Errors
    /// When the vocabulary cannot be stored or is not the corpus model's.
    pub fn new(vocab_size: usize, corpus: Option<Arc<CorpusNgram>>) -> Result<Self, CacheError> {
        check_vocab_size(vocab_size)?;
        if let Some(corpus) = &corpus {
            check_vocabulary("the corpus n-gram", vocab_size, corpus.vocab_size())?;
        }
        let empty = Ngram::new(vocab_size, MAX_ORDER)?;
        Ok(Self {
            vocab_size,
            corpus,
            project: Arc::new(empty.clone()),
            folder: Arc::new(empty.clone()),
            file: empty,
            project_subtraction: None,
            folder_subtraction: None,
        })
    }

    /// Size of the vocabulary.
    pub fn vocab_size(&self) -> usize {
        self.vocab_size
    }

    /// The corpus model, if there is one.
    pub fn corpus(&self) -> Option<&Arc<CorpusNgram>> {
        self.corpus.as_ref()
    }

    /// The project's counts.
    pub fn project(&self) -> &Arc<Ngram> {
        &self.project
    }

    /// Replaces the project's counts; what was subtracted from the old ones is dropped.
    ///
    /// # Errors
    /// [`CacheError::VocabularyMismatch`].
    pub fn set_project(&mut self, project: Arc<Ngram>) -> Result<(), CacheError> {
        check_vocabulary("the project nest", self.vocab_size, project.vocab_size())?;
        self.project = project;
        self.project_subtraction = None;
        Ok(())
    }

    /// The project's counts for learning. Copies them first when other sessions share them; drops the subtraction.
    pub fn project_mut(&mut self) -> &mut Ngram {
        self.project_subtraction = None;
        Arc::make_mut(&mut self.project)
    }

    /// The folder's counts.
    pub fn folder(&self) -> &Arc<Ngram> {
        &self.folder
    }

    /// Replaces the folder's counts; what was subtracted from the old ones is dropped.
    ///
    /// # Errors
    /// [`CacheError::VocabularyMismatch`].
    pub fn set_folder(&mut self, folder: Arc<Ngram>) -> Result<(), CacheError> {
        check_vocabulary("the folder nest", self.vocab_size, folder.vocab_size())?;
        self.folder = folder;
        self.folder_subtraction = None;
        Ok(())
    }

    /// The folder's counts for learning; see [`NestedCache::project_mut`].
    pub fn folder_mut(&mut self) -> &mut Ngram {
        self.folder_subtraction = None;
        Arc::make_mut(&mut self.folder)
    }

    /// Lets go of the project's and the folder's counts, which others may be about to learn into; the file's own stay.
    ///
    /// # Errors
    /// Never for a vocabulary that the counts were made for.
    pub fn leave_project(&mut self) -> Result<(), CacheError> {
        let empty = Arc::new(Ngram::new(self.vocab_size, MAX_ORDER)?);
        self.project = Arc::clone(&empty);
        self.folder = empty;
        (self.project_subtraction, self.folder_subtraction) = (None, None);
        Ok(())
    }

    /// The open file's counts.
    pub fn file(&self) -> &Ngram {
        &self.file
    }

    /// The open file's counts for learning, token by token, and for taking tokens back.
    pub fn file_mut(&mut self) -> &mut Ngram {
        &mut self.file
    }

    /// Another file is opened: its counts start empty.
    pub fn start_file(&mut self) {
        self.file.clear();
    }

    /// Hides part of a file that the project has learned; made by [`Subtraction::new`] from [`NestedCache::project`].
    pub fn subtract_from_project(&mut self, subtraction: Option<Arc<Subtraction>>) {
        self.project_subtraction = subtraction;
    }

    /// Hides part of a file that the folder has learned; made by [`Subtraction::new`] from [`NestedCache::folder`].
    pub fn subtract_from_folder(&mut self, subtraction: Option<Arc<Subtraction>>) {
        self.folder_subtraction = subtraction;
    }

    /// Predicts what follows `context` (newest token last; more than [`MAX_ORDER`] tokens add nothing, nor do those before
    /// an id outside the vocabulary). Allocates only until the buffers of `out` have grown.
    pub fn predict(&self, context: &[u32], out: &mut NestPrediction) {
        let context = &context[context.len().saturating_sub(MAX_ORDER)..];
        let foreign = |&token: &u32| token as usize >= self.vocab_size;
        let known_from = context.iter().rposition(foreign).map_or(0, |at| at + 1);
        let context = &context[known_from..];
        out.gather(self, context);
        let sources = [
            self.corpus.is_some(),
            !self.project.is_empty(),
            !self.folder.is_empty(),
            !self.file.is_empty(),
        ];
        for nest in NESTS {
            // A nest whose own sources are empty is the outer nest.
            let same_as_outer = match nest {
                Nest::Corpus => false,
                Nest::Project => !sources[1],
                Nest::File => !sources[2] && !sources[3],
            };
            let index = nest as usize;
            if same_as_outer {
                let (outer, inner) = out.distributions.split_at_mut(index);
                inner[0].copy_from_slice(&outer[index - 1]);
                out.summaries[index] = out.summaries[index - 1];
                continue;
            }
            out.weigh(self, nest);
            out.fill(self, nest, context);
            out.summaries[index] = summarise(&out.distributions[index]);
        }
    }

    fn nest_of(&self, source: Source) -> Option<&Ngram> {
        match source {
            Source::Corpus => None,
            Source::Project => Some(&self.project),
            Source::Folder => Some(&self.folder),
            Source::File => Some(&self.file),
        }
    }

    fn subtraction_of(&self, source: Source) -> Option<&Subtraction> {
        match source {
            Source::Project => self.project_subtraction.as_deref(),
            Source::Folder => self.folder_subtraction.as_deref(),
            Source::Corpus | Source::File => None,
        }
    }
}

/// Distributions and matches of one context, and the buffers to compute them in.
#[derive(Clone, Debug)]
pub struct NestPrediction {
    distributions: [Vec<f32>; 3],
    summaries: [Summary; 3],
    matches: [SourceMatch; 4],
    evidence: [Evidence; 4],
    /// Per source: trust in each of its levels.
    trusts: [Vec<f32>; 4],
    /// Per source: weights of its levels for the nest being computed.
    weights: [Vec<LevelWeight>; 4],
    /// Per source: weight of one single-token count.
    unigram_weights: [f32; 4],
    /// What is left for the floor.
    floor_weight: f32,
}

/// What a level adds to a distribution.
#[derive(Clone, Copy, Debug)]
struct LevelWeight {
    /// Per count of a continuation.
    each: f32,
    /// To what followed the most recent occurrence.
    newest: f32,
}

impl NestPrediction {
    /// Buffers for a vocabulary.
    pub fn new(vocab_size: usize) -> Self {
        let uniform = vec![1.0 / vocab_size as f32; vocab_size];
        Self {
            distributions: [uniform.clone(), uniform.clone(), uniform],
            summaries: Default::default(),
            matches: Default::default(),
            evidence: Default::default(),
            trusts: Default::default(),
            weights: Default::default(),
            unigram_weights: [0.0; 4],
            floor_weight: 1.0,
        }
    }

    /// Probabilities of a nest, `[V]`, summing to 1.
    pub fn probabilities(&self, nest: Nest) -> &[f32] {
        &self.distributions[nest as usize]
    }

    /// Entropy and most probable token of a nest.
    pub fn summary(&self, nest: Nest) -> Summary {
        self.summaries[nest as usize]
    }

    /// What a source knew by itself.
    pub fn source(&self, source: Source) -> SourceMatch {
        self.matches[source as usize]
    }

    /// Whether anything but the shipped corpus knows the context: else all nests say the same.
    pub fn knows_more_than_the_corpus(&self) -> bool {
        let learned = [Source::Project, Source::Folder, Source::File];
        learned
            .iter()
            .any(|source| self.source(*source).evidence > 0)
    }

    fn gather(&mut self, cache: &NestedCache, context: &[u32]) {
        for distribution in &mut self.distributions {
            distribution.resize(cache.vocab_size, 0.0);
        }
        for source in SOURCES {
            let evidence = &mut self.evidence[source as usize];
            match (source, &cache.corpus) {
                (Source::Corpus, Some(corpus)) => corpus.gather(context, evidence),
                (Source::Corpus, None) => evidence.clear(),
                _ => {
                    if let Some(nest) = cache.nest_of(source) {
                        evidence.gather(nest, context, cache.subtraction_of(source));
                    }
                }
            }
            let trusts = &mut self.trusts[source as usize];
            trusts.clear();
            trusts.extend(
                evidence
                    .levels
                    .iter()
                    .map(|found| trust(source, found.level, found.total, found.distinct)),
            );
            let longest = evidence.levels.first();
            self.matches[source as usize] = SourceMatch {
                matched_order: evidence.matched_order,
                evidence: longest.map_or(0, |level| level.total),
                distinct: longest.map_or(0, |level| level.distinct),
            };
        }
    }

    /// Shares the probability mass of a nest among its levels, longest match first, inner source first.
    fn weigh(&mut self, cache: &NestedCache, nest: Nest) {
        let mut left = 1.0 - FLOOR;
        let mut next = [0usize; 4];
        for weights in &mut self.weights {
            weights.clear();
        }
        for level in (1..LEVEL_ORDERS.len()).rev() {
            for &source in sources_of(nest).iter().rev() {
                let index = source as usize;
                let Some(&found) = self.evidence[index].levels.get(next[index]) else {
                    continue;
                };
                if found.level != level {
                    continue;
                }
                let trusted = if left < NEGLIGIBLE {
                    0.0
                } else {
                    left * self.trusts[index][next[index]]
                };
                next[index] += 1;
                let newest = found.newest.map_or(0.0, |_| newest_share(source, level));
                let each = trusted * (1.0 - newest) / found.total as f32;
                self.weights[index].push(LevelWeight {
                    each,
                    newest: trusted * newest,
                });
                left -= (each * found.kept as f32 + trusted * newest).min(left);
            }
        }
        self.unigram_weights = [0.0; 4];
        for &source in sources_of(nest).iter().rev() {
            let Some(ngram) = cache.nest_of(source) else {
                continue;
            };
            let hidden = cache.subtraction_of(source).map(|s| s.counts());
            let total = ngram.counts().total() - hidden.map_or(0, |counts| counts.total());
            if total == 0 || left < NEGLIGIBLE {
                continue;
            }
            let trusted = left * trust(source, 0, total, ngram.counts().distinct());
            self.unigram_weights[source as usize] = trusted / total as f32;
            left -= trusted.min(left);
        }
        self.floor_weight = left + FLOOR;
    }

    fn fill(&mut self, cache: &NestedCache, nest: Nest, context: &[u32]) {
        let out = &mut self.distributions[nest as usize];
        match &cache.corpus {
            Some(corpus) => pulp::Arch::new().dispatch(SetScaled {
                out: &mut *out,
                weight: self.floor_weight,
                values: &corpus.base,
            }),
            None => out.fill(self.floor_weight / cache.vocab_size as f32),
        }
        for &source in sources_of(nest) {
            if let Some(ngram) = cache.nest_of(source) {
                let weight = self.unigram_weights[source as usize];
                if weight > 0.0 {
                    let hidden = cache.subtraction_of(source).map(|s| s.counts().unigrams());
                    add_unigrams(out, weight, ngram.counts().unigrams(), hidden);
                }
            }
            let evidence = &self.evidence[source as usize];
            for (found, &weight) in evidence.levels.iter().zip(&self.weights[source as usize]) {
                if weight.each == 0.0 {
                    continue;
                }
                if let Some(token) = found.newest {
                    out[usize::from(token)] += weight.newest;
                }
                let weight = weight.each;
                match found.entries {
                    Entries::Buffered { start, end } => add(
                        out,
                        weight,
                        &evidence.tokens[start..end],
                        &evidence.counts[start..end],
                    ),
                    Entries::Counted { order, len } => {
                        let list = cache
                            .nest_of(source)
                            .and_then(|nest| nest.counts().after(context, order));
                        if let Some(list) = list {
                            add(out, weight, &list.tokens[..len], &list.counts[..len]);
                        }
                    }
                    Entries::Corpus { start, end } => {
                        if let Some(corpus) = &cache.corpus {
                            add(
                                out,
                                weight,
                                &corpus.entry_tokens[start..end],
                                &corpus.entry_counts[start..end],
                            );
                        }
                    }
                }
            }
        }
    }
}

/// Mass of the corpus' single-token probabilities whatever the evidence says: no token is ever impossible.
const FLOOR: f32 = 1e-5;

/// Below this much mass left, shorter contexts are not worth their (long) lists: it goes to the floor.
const NEGLIGIBLE: f32 = 1e-4;

/// Sources of a nest, outermost first.
fn sources_of(nest: Nest) -> &'static [Source] {
    match nest {
        Nest::Corpus => &SOURCES[..1],
        Nest::Project => &SOURCES[..2],
        Nest::File => &SOURCES,
    }
}

fn add(out: &mut [f32], weight: f32, tokens: &[u16], counts: &[u32]) {
    for (&token, &count) in tokens.iter().zip(counts) {
        if let Some(p) = out.get_mut(usize::from(token)) {
            *p += weight * count as f32;
        }
    }
}

fn add_unigrams(out: &mut [f32], weight: f32, counts: &[i32], hidden: Option<&[i32]>) {
    let arch = pulp::Arch::new();
    arch.dispatch(AddScaled {
        out,
        weight,
        counts,
    });
    arch.dispatch(AddScaled {
        out,
        weight: -weight,
        counts: hidden.unwrap_or_default(),
    });
}

/// `out += weight * counts`.
struct AddScaled<'a> {
    out: &'a mut [f32],
    weight: f32,
    counts: &'a [i32],
}

impl pulp::NullaryFnOnce for AddScaled<'_> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        for (p, &count) in self.out.iter_mut().zip(self.counts) {
            *p += self.weight * count as f32;
        }
    }
}

/// `out = weight * values`.
struct SetScaled<'a> {
    out: &'a mut [f32],
    weight: f32,
    values: &'a [f32],
}

impl pulp::NullaryFnOnce for SetScaled<'_> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        for (p, &value) in self.out.iter_mut().zip(self.values) {
            *p = self.weight * value;
        }
    }
}

fn check_vocabulary(part: &'static str, expected: usize, found: usize) -> Result<(), CacheError> {
    if expected != found {
        return Err(CacheError::VocabularyMismatch {
            part,
            expected,
            found,
        });
    }
    Ok(())
}
