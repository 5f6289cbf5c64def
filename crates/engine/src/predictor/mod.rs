//! Predicts the next token of one document: a session, the cache and the gate together.
//!
//! The predictor reads the cache and never teaches it: whoever owns the text does, through
//! [`Predictor::cache_mut`], and so decides what counts as the file's own text.

mod mixing;
mod profile;
mod reading;

use crate::mixture::{Mixed, Mixture, Speed};
use crate::{EngineError, Evidence, LevelMemories, MemoriesIdentity, Model, Session};
use nestor_cache::{CandidatePlace, GateSet, NestPrediction, NestedCache};
pub(crate) use profile::Clock;
pub use profile::Profile;
use reading::FIRST_GUESSES;
pub(crate) use reading::WORTH_A_GUESS;
use std::collections::VecDeque;
use std::sync::Arc;

/// Tokens before the cursor that tell how far the memories can be believed there.
const WATCHED: usize = 64;

/// The state of one document and how its next token is predicted. A clone is a fork: it copies the
/// network's state and shares the cache until one side teaches it.
#[derive(Debug, Clone)]
pub struct Predictor {
    session: Session,
    mixture: Mixture,
    cache: Option<Arc<NestedCache>>,
    memories: Option<Arc<LevelMemories>>,
    /// Names that can stand where the document ends.
    candidates: Option<CandidatePlace>,
    /// All tokens seen; the cache looks back into them.
    context: Vec<u32>,
    /// The last token's row of every exit.
    rows: Vec<Vec<f32>>,
    /// The last tokens read, where they are kept.
    recent: Option<Recent>,
    /// What was read ahead of the context on a guess.
    ahead: Option<Box<Ahead>>,
    /// Guesses that the next pass may hold, by how many of the last ones came.
    most_guesses: usize,
    /// Parts of the mixture for the current context that are known already.
    ready: Option<Box<Ready>>,
    spare: Spare,
    /// The mixture for the current context, once it was asked for.
    mixed: Option<Mixed>,
    profile: Profile,
}

/// What tells how far the memories can be believed where the document ends.
#[derive(Debug, Clone, Default)]
struct Recent {
    /// Rows of every exit after the last [`WATCHED`] + 1 tokens.
    rows: Vec<Vec<f32>>,
    /// What the memories gave to the tokens before this one of the context; a list for each exit that has memories.
    weighed: Vec<Vec<Evidence>>,
    weighed_end: usize,
    /// Those memories.
    weighed_by: Option<MemoriesIdentity>,
}

/// Tokens that were guessed to come, with everything that the mixture needs after each of them. Rows have the same bits whatever the call
/// that brought them, so a guess that was right changes nothing but the time.
#[derive(Debug, Clone)]
struct Ahead {
    /// The guessed tokens; the session has read them.
    tokens: Vec<u32>,
    /// How many of them have come.
    come: usize,
    /// After each of them, next first; the last one of the pass, which needs no guess, is at work already.
    next: VecDeque<(Vec<Vec<f32>>, Ready)>,
    /// The session before the pass, for the case that a guess was wrong.
    before: Session,
    /// What has come and that session has not read.
    unread: Vec<u32>,
}

/// Parts of a mixture.
#[derive(Debug, Clone)]
struct Ready {
    /// Distributions of the exits, `[n, V]`; nothing where they are not known yet.
    probs: Option<Vec<f32>>,
    nests: NestPrediction,
}

/// Buffers between two predictions of the counts. A clone has none.
#[derive(Debug, Default)]
struct Spare(Vec<NestPrediction>);

impl Clone for Spare {
    fn clone(&self) -> Self {
        Self::default()
    }
}

impl Predictor {
    /// An empty document without a cache.
    ///
    /// # Errors
    /// [`EngineError::Stages`] cannot happen for a model that loaded; it is passed on.
    pub fn new(model: Arc<Model>, speed: Speed) -> Result<Self, EngineError> {
        let mixture = Mixture::for_speed(speed, model.config().stages, None)?;
        Self::with_mixture(model, mixture)
    }

    /// An empty document with a mixture of the caller's choice.
    ///
    /// # Errors
    /// [`EngineError::Stages`] when the model lacks a level of the mixture.
    pub fn with_mixture(model: Arc<Model>, mixture: Mixture) -> Result<Self, EngineError> {
        let session = Session::new(model, mixture.stages())?;
        Ok(Self {
            session,
            mixture,
            cache: None,
            memories: None,
            candidates: None,
            context: Vec::new(),
            rows: Vec::new(),
            recent: None,
            ahead: None,
            most_guesses: FIRST_GUESSES,
            ready: None,
            spare: Spare::default(),
            mixed: None,
            profile: Profile::default(),
        })
    }

    /// An empty document at a speed, with a cache and the gate of that speed.
    ///
    /// # Errors
    /// What [`Mixture::for_speed`] and [`Predictor::set_cache`] return.
    pub fn with_cache(
        model: Arc<Model>,
        speed: Speed,
        cache: NestedCache,
        gates: Option<&GateSet>,
    ) -> Result<Self, EngineError> {
        let mixture = Mixture::for_speed(speed, model.config().stages, gates)?;
        let mut predictor = Self::with_mixture(model, mixture)?;
        predictor.set_cache(Some(cache))?;
        Ok(predictor)
    }

    /// Replaces the cache.
    ///
    /// # Errors
    /// [`EngineError::Vocabulary`] when it is one of another vocabulary.
    pub fn set_cache(&mut self, cache: Option<NestedCache>) -> Result<(), EngineError> {
        let expected = self.session.model().config().vocab;
        if let Some(found) = cache
            .as_ref()
            .map(NestedCache::vocab_size)
            .filter(|v| *v != expected)
        {
            return Err(EngineError::Vocabulary {
                part: "the cache",
                expected,
                found,
            });
        }
        self.cache = cache.map(Arc::new);
        self.ready = None;
        self.mixed = None;
        Ok(())
    }

    /// [`Predictor::set_cache`] with a cache that others read too.
    ///
    /// # Errors
    /// As [`Predictor::set_cache`].
    pub fn set_shared_cache(&mut self, cache: Option<Arc<NestedCache>>) -> Result<(), EngineError> {
        self.set_cache(None)?;
        let expected = self.session.model().config().vocab;
        match cache {
            Some(cache) if cache.vocab_size() != expected => Err(EngineError::Vocabulary {
                part: "the cache",
                expected,
                found: cache.vocab_size(),
            }),
            cache => {
                self.cache = cache;
                Ok(())
            }
        }
    }

    /// Whether the rows of the last tokens are kept for [`Predictor::watch_recent`]. Says nothing about tokens that were read already.
    pub fn keep_recent(&mut self, kept: bool) {
        self.recent = kept.then(Recent::default);
    }

    /// The time spent since the last call.
    pub fn take_profile(&mut self) -> Profile {
        std::mem::take(&mut self.profile)
    }

    /// Forgets the tokens, and nothing else.
    ///
    /// # Errors
    /// [`EngineError::Stages`] cannot happen for a predictor that could be made; it is passed on.
    pub fn start_again(&mut self) -> Result<(), EngineError> {
        let model = Arc::clone(self.session.model());
        self.session =
            Session::new(model, self.session.stages())?.with_threads(self.session.threads());
        self.context.clear();
        self.rows.clear();
        self.ahead = None;
        self.ready = None;
        self.recent = self.recent.as_ref().map(|_| Recent::default());
        self.mixed = None;
        Ok(())
    }

    /// Gives back the buffers of the computation, as [`Session::release_buffers`].
    pub fn release_buffers(&mut self) {
        self.session.release_buffers();
        self.spare = Spare::default();
        self.ready = None;
        self.mixed = None;
    }

    /// Bytes of its state, without cache and memories.
    pub fn bytes(&self) -> usize {
        self.own_bytes() + self.session.shared_bytes()
    }

    /// Of [`Predictor::bytes`] what a clone does not share.
    pub fn own_bytes(&self) -> usize {
        let rows = |rows: &Vec<Vec<f32>>| rows.iter().map(|row| 4 * row.len()).sum::<usize>();
        self.session.state_bytes() - self.session.shared_bytes()
            + 4 * self.context.len()
            + rows(&self.rows)
            + self.recent.as_ref().map_or(0, |recent| {
                let weighed = recent
                    .weighed
                    .iter()
                    .map(|list| size_of_val(list.as_slice()));
                rows(&recent.rows) + weighed.sum::<usize>()
            })
    }

    /// What the project has taught the exits, or nothing. The predictor reads the memories and never teaches them; what it reads
    /// after this tells how far to believe them.
    pub fn set_memories(&mut self, memories: Option<Arc<LevelMemories>>) {
        self.memories = memories;
        // What was read ahead stays, what the old memories made of it does not.
        for (_, ready) in self.ahead.iter_mut().flat_map(|ahead| &mut ahead.next) {
            ready.probs = None;
        }
        self.ready = None;
        self.mixed = None;
    }

    /// The names that can stand where the document ends, or nothing; they are heard where the mixture has a gate for them. Whoever
    /// takes in a token says anew what can stand behind it.
    pub fn set_candidates(&mut self, candidates: Option<CandidatePlace>) {
        // Most places have none before and after.
        if self.candidates.is_some() || candidates.is_some() {
            self.candidates = candidates;
            self.mixed = None;
        }
    }

    /// The cache.
    pub fn cache(&self) -> Option<&NestedCache> {
        self.cache.as_deref()
    }

    /// The cache for teaching. Copies the open file's counts first when a fork shares them.
    pub fn cache_mut(&mut self) -> Option<&mut NestedCache> {
        self.ready = None;
        self.mixed = None;
        self.cache.as_mut().map(Arc::make_mut)
    }

    /// What is mixed.
    pub fn mixture(&self) -> &Mixture {
        &self.mixture
    }

    /// The session.
    pub fn session(&self) -> &Session {
        &self.session
    }

    /// All tokens seen.
    pub fn context(&self) -> &[u32] {
        &self.context
    }

    /// Matrix products of prefill run on up to `threads` threads.
    pub fn with_threads(mut self, threads: usize) -> Self {
        self.session = self.session.with_threads(threads);
        self
    }
}
