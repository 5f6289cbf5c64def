//! Predicts the next token of one document: a session, the cache and the gate together.
//!
//! The predictor reads the cache and never teaches it: whoever owns the text does, through
//! [`Predictor::cache_mut`], and so decides what counts as the file's own text.

use crate::mixture::{Component, ExitSummary, Mixed, Mixture, Part, Speed};
use crate::{EngineError, ExitStates, LevelMemories, Model, Session};
use nestor_cache::{
    CandidateMixer, CandidatePlace, ExitDistribution, Gate, GateSet, NESTS, Nest, NestPrediction,
    NestedCache, Summary, gate_features, summarise,
};
use nestor_kernels::{add_scaled, softmax_in_place};
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

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
    /// Rows of every exit after the last [`WATCHED`] + 1 tokens, where they are kept.
    recent: Option<Vec<Vec<f32>>>,
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
    /// Distributions of the exits, `[n, V]`; nothing where the memories of a project change them.
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

/// A guess is made where the counts of the file give one token at least this probability.
const WORTH_A_GUESS: f32 = 0.6;

/// Guesses of a first pass. Of a later one: twice as many as of the last if all of those came, else one more than came.
const FIRST_GUESSES: usize = 4;

/// Tokens that a session may lag behind before it reads them without guesses.
const MOST_UNREAD: usize = 12;

/// Where the time went, and what guessing gained, summed over calls.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Profile {
    /// Passes through the network of [`Predictor::accept_guessing`].
    pub passes: usize,
    /// Tokens that were guessed in them.
    pub guessed: usize,
    /// Guesses that came, each of which spared a pass.
    pub right: usize,
    /// The blocks of the network, in reading and writing.
    pub blocks: Duration,
    /// The exits' products with the head and their softmax.
    pub head: Duration,
    /// The memories of levels 2 and 3, their products with the head among it.
    pub memories: Duration,
    /// The counts of corpus, project and file.
    pub counts: Duration,
    /// What weighs the parts, its features and the mixture.
    pub gate: Duration,
    /// Picking a token, and what was asked of the caller.
    pub sampling: Duration,
}

impl std::ops::AddAssign for Profile {
    fn add_assign(&mut self, other: Self) {
        self.passes += other.passes;
        self.guessed += other.guessed;
        self.right += other.right;
        self.blocks += other.blocks;
        self.head += other.head;
        self.memories += other.memories;
        self.counts += other.counts;
        self.gate += other.gate;
        self.sampling += other.sampling;
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
        self.recent = kept.then(Vec::new);
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
        self.recent = self.recent.as_ref().map(|_| Vec::new());
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
            + self.recent.as_ref().map_or(0, rows)
    }

    /// What the project has taught the exits, or nothing. The predictor reads the memories and never teaches them; what it reads
    /// after this tells how far to believe them.
    pub fn set_memories(&mut self, memories: Option<Arc<LevelMemories>>) {
        self.memories = memories;
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

    /// Takes in many tokens at once; the memories see how well they predict the last ones.
    ///
    /// # Errors
    /// [`EngineError::Token`]; the state is then unchanged.
    pub fn prefill(&mut self, tokens: &[u32]) -> Result<(), EngineError> {
        let states = self.take_in(tokens)?;
        let width = self.session.model().config().width;
        let n = tokens.len().saturating_sub(1).min(WATCHED);
        let end = tokens.len().saturating_sub(1);
        let rows: Vec<Vec<f32>> = (0..states.exits())
            .map(|exit| states.rows(exit)[(end - n) * width..end * width].to_vec())
            .collect();
        self.watch(&rows, n)
    }

    /// Takes in tokens; the memories see nothing of it.
    ///
    /// # Errors
    /// [`EngineError::Token`]; the state is then unchanged.
    pub fn read(&mut self, tokens: &[u32]) -> Result<(), EngineError> {
        self.take_in(tokens).map(drop)
    }

    fn take_in(&mut self, tokens: &[u32]) -> Result<ExitStates, EngineError> {
        let started = Instant::now();
        self.catch_up()?;
        self.ready = None;
        let states = self.session.forward(tokens)?;
        if let Some(last) = tokens.len().checked_sub(1) {
            let row = |exit| states.row(exit, last).unwrap_or_default().to_vec();
            self.rows = (0..states.exits()).map(row).collect();
            self.mixed = None;
        }
        let kept = (WATCHED + 1) * self.session.model().config().width;
        if let Some(recent) = &mut self.recent {
            recent.resize(states.exits(), Vec::new());
            for (exit, recent) in recent.iter_mut().enumerate() {
                let rows = states.rows(exit);
                recent.extend_from_slice(&rows[rows.len().saturating_sub(kept)..]);
                let surplus = recent.len().saturating_sub(kept);
                recent.drain(..surplus);
            }
        }
        self.context.extend_from_slice(tokens);
        self.profile.blocks += started.elapsed();
        Ok(states)
    }

    /// Lets the memories see how well they predict the last tokens read, however many calls brought them. Needs the rows that
    /// [`Predictor::keep_recent`] keeps.
    ///
    /// # Errors
    /// What the memories return.
    pub fn watch_recent(&mut self) -> Result<(), EngineError> {
        let width = self.session.model().config().width;
        let Some(recent) = &self.recent else {
            return Ok(());
        };
        let n = recent
            .first()
            .map_or(0, |rows| rows.len() / width)
            .saturating_sub(1);
        let rows: Vec<Vec<f32>> = recent
            .iter()
            .map(|rows| rows[..n * width].to_vec())
            .collect();
        self.watch(&rows, n)
    }

    /// `rows` are those that predicted the last `n` tokens.
    fn watch(&mut self, rows: &[Vec<f32>], n: usize) -> Result<(), EngineError> {
        let Some(memories) = self.memories.as_mut().filter(|_| n > 0) else {
            return Ok(());
        };
        let started = Instant::now();
        let (model, threads) = (self.session.model(), self.session.threads());
        let targets = &self.context[self.context.len() - n..];
        Arc::make_mut(memories).watch(model, rows, targets, threads)?;
        self.profile.memories += started.elapsed();
        Ok(())
    }

    /// Takes in one token.
    ///
    /// # Errors
    /// [`EngineError::Token`]; the state is then unchanged.
    pub fn accept(&mut self, token: u32) -> Result<(), EngineError> {
        self.prefill(&[token])
    }

    /// Takes in one token, after which up to `guesses` tokens are read ahead where the counts are sure of them. What is predicted is what
    /// [`Predictor::accept`] leaves, bit for bit. The memories see nothing of it; rows of the last tokens are not kept.
    ///
    /// # Errors
    /// [`EngineError::Token`]; the state is then unchanged.
    pub fn accept_guessing(&mut self, token: u32, guesses: usize) -> Result<(), EngineError> {
        let vocab = self.session.model().config().vocab;
        if token as usize >= vocab {
            return Err(EngineError::Token {
                token,
                index: 0,
                vocab,
            });
        }
        self.mixed = None;
        self.context.push(token);
        let mut unread = vec![token];
        if let Some(mut ahead) = self.ahead.take() {
            if ahead.tokens.get(ahead.come) == Some(&token) {
                let (rows, ready) = ahead.next.pop_front().expect("rows after every guess");
                ahead.come += 1;
                self.profile.right += 1;
                self.rows = rows;
                self.put_ready(Some(ready));
                self.ahead = Some(ahead);
                return Ok(());
            }
            self.most_guesses = if ahead.come == ahead.tokens.len() {
                2 * ahead.come
            } else {
                ahead.come + 1
            };
            if ahead.come < ahead.tokens.len() {
                // A wrong guess: the session goes back, and what has come since is read with the next guesses.
                self.session = ahead.before;
                ahead.unread.extend(&ahead.tokens[..ahead.come]);
                ahead.unread.push(token);
                unread = ahead.unread;
            }
        }
        let mut clock = Clock::start();
        let guessed = self.guess(guesses.min(self.most_guesses))?;
        clock.lap(&mut self.profile.counts);
        let tokens: Vec<u32> = guessed.iter().filter_map(|(_, token)| *token).collect();
        self.profile.passes += 1;
        self.profile.guessed += tokens.len();
        if unread.len() > MOST_UNREAD {
            let last = unread.pop();
            self.session.forward(&unread)?;
            unread = last.into_iter().collect();
        }
        let before = (!tokens.is_empty()).then(|| self.session.clone());
        let states = self
            .session
            .forward(&[unread.as_slice(), &tokens].concat())?;
        clock.lap(&mut self.profile.blocks);
        let first = unread.len() - 1;
        let rows_after = |at: usize| -> Vec<Vec<f32>> {
            let row = |exit| states.row(exit, first + at).unwrap_or_default().to_vec();
            (0..states.exits()).map(row).collect()
        };
        let rows: Vec<Vec<Vec<f32>>> = (0..=tokens.len()).map(rows_after).collect();
        let mut probs = self.probs_after(&rows)?.into_iter();
        clock.lap(&mut self.profile.head);
        let nests = guessed.into_iter().map(|(nests, _)| nests);
        let mut next: VecDeque<(Vec<Vec<f32>>, Ready)> = rows
            .into_iter()
            .zip(nests)
            .map(|(rows, nests)| {
                let probs = probs.next();
                (rows, Ready { probs, nests })
            })
            .collect();
        match next.pop_front() {
            Some((rows, ready)) => {
                self.rows = rows;
                self.put_ready(Some(ready));
            }
            None => {
                self.rows = rows_after(0);
                self.put_ready(None);
            }
        }
        self.ahead = before.map(|before| {
            Box::new(Ahead {
                tokens,
                come: 0,
                next,
                before,
                unread,
            })
        });
        Ok(())
    }

    /// The counts after the context, and after each of up to `most` tokens that they are sure of, with that token; the last has none.
    /// Nothing without a cache.
    fn guess(&mut self, most: usize) -> Result<Vec<(NestPrediction, Option<u32>)>, EngineError> {
        let Some(cache) = self.cache.clone() else {
            return Ok(Vec::new());
        };
        let mut context = self.context[self.context.len().saturating_sub(64)..].to_vec();
        let mut found = Vec::new();
        loop {
            let mut nests = self.spare_nests();
            cache.predict(&context, &mut nests);
            let top = nests.summary(Nest::File);
            let sure = found.len() < most && top.top_probability >= WORTH_A_GUESS;
            found.push((nests, sure.then_some(top.top)));
            if !sure {
                return Ok(found);
            }
            context.push(top.top);
        }
    }

    fn spare_nests(&mut self) -> NestPrediction {
        let vocab = self.session.model().config().vocab;
        let spare = self.spare.0.pop();
        spare.unwrap_or_else(|| NestPrediction::new(vocab))
    }

    /// Replaces the known parts of the mixture; the buffers of the old ones are kept.
    fn put_ready(&mut self, ready: Option<Ready>) {
        if let Some(old) = std::mem::replace(&mut self.ready, ready.map(Box::new)) {
            self.spare.0.push(old.nests);
        }
    }

    /// Distributions of the exits after each of some tokens, in one product; nothing where the memories change them.
    fn probs_after(&self, rows: &[Vec<Vec<f32>>]) -> Result<Vec<Vec<f32>>, EngineError> {
        let levels = self.mixture.levels();
        if self.memories.is_some() || levels.is_empty() {
            return Ok(Vec::new());
        }
        let of_exits: Vec<(usize, &[f32])> = rows
            .iter()
            .flat_map(|rows| {
                levels
                    .iter()
                    .map(|level| (level - 1, rows[level - 1].as_slice()))
            })
            .collect();
        let vocab = self.session.model().config().vocab;
        let probs = self.session.probs_of_exits(&of_exits)?;
        let each = probs.chunks_exact(levels.len() * vocab);
        Ok(each.map(<[f32]>::to_vec).collect())
    }

    /// Brings the session to the end of the context after guesses.
    fn catch_up(&mut self) -> Result<(), EngineError> {
        if let Some(ahead) = self.ahead.take()
            && ahead.come < ahead.tokens.len()
        {
            self.session = ahead.before;
            self.session.forward(&ahead.unread)?;
            self.session.forward(&ahead.tokens[..ahead.come])?;
        }
        Ok(())
    }

    /// The distribution over the next token.
    ///
    /// # Errors
    /// [`EngineError::Empty`] before the first token, [`EngineError::NotFinite`] for logits that are
    /// not numbers.
    pub fn distribution(&mut self) -> Result<&Mixed, EngineError> {
        if self.mixed.is_none() {
            let mut profile = Profile::default();
            let ready = self.ready.take();
            let (probs, nests) = match ready {
                Some(ready) => (ready.probs, Some(ready.nests)),
                None => (None, None),
            };
            let counted = nests.is_some();
            let mut nests = match nests {
                Some(nests) => nests,
                None => self.spare_nests(),
            };
            if let (Some(cache), false) = (&self.cache, counted) {
                let mut clock = Clock::start();
                cache.predict(&self.context, &mut nests);
                clock.lap(&mut profile.counts);
            }
            self.mixed = Some(self.mix(probs, &nests, &mut profile)?);
            self.spare.0.push(nests);
            self.profile += profile;
        }
        self.mixed.as_ref().ok_or(EngineError::Empty)
    }

    /// The mixture of the exits (whose distributions may be known already), what the memories recall, and the counts.
    fn mix(
        &self,
        probs: Option<Vec<f32>>,
        nests: &NestPrediction,
        profile: &mut Profile,
    ) -> Result<Mixed, EngineError> {
        if self.rows.is_empty() {
            return Err(EngineError::Empty);
        }
        let vocab = self.session.model().config().vocab;
        let mut mixed = Mixed {
            probs: vec![0.0; vocab],
            ..Mixed::default()
        };
        let mut clock = Clock::start();
        let levels = self.mixture.levels();
        let probs = match probs {
            Some(probs) => probs,
            None => self.exit_probs(levels)?,
        };
        if self.memories.is_some() {
            clock.lap(&mut profile.memories);
        } else {
            clock.lap(&mut profile.head);
        }
        for (level, probs) in levels.iter().zip(probs.chunks_exact(vocab)) {
            let found = summarise(probs);
            mixed.exits.push(ExitSummary {
                level: *level,
                top: found.top,
                top_prob: found.top_probability,
                entropy: found.entropy,
            });
            let component = Component::Level(*level);
            mixed.parts.push(Part {
                component,
                weight: 0.0,
                probs: probs.to_vec(),
            });
        }
        if let (Some(memories), Some(_)) = (&self.memories, self.mixture.memory_gate()) {
            // A memory gate mixes exits beyond the first, so the session has the rows that are asked for.
            clock.lap(&mut profile.gate);
            let probs = memories.recall(self.session.model(), &self.rows[1])?;
            clock.lap(&mut profile.memories);
            mixed.parts.push(Part {
                component: Component::Nearest,
                weight: 0.0,
                probs,
            });
        }
        clock.lap(&mut profile.gate);
        let weights = match &self.cache {
            Some(_) => self.add_nests(nests, &mut mixed)?,
            // A gate weighs exits against nests; alone the exits have nothing to be weighed by.
            None => deepest_alone(mixed.exits.len(), mixed.parts.len()),
        };
        for (part, weight) in mixed.parts.iter_mut().zip(weights) {
            part.weight = weight;
            add_scaled(&mut mixed.probs, weight, &part.probs);
        }
        clock.lap(&mut profile.gate);
        if let (Some(place), Some(gate)) = (&self.candidates, self.mixture.candidate_gate()) {
            add_names(place, gate, &mut mixed)?;
        }
        Ok(mixed)
    }

    /// Distributions of the exits of `levels`, `[n, V]`.
    fn exit_probs(&self, levels: &[usize]) -> Result<Vec<f32>, EngineError> {
        let Some(memories) = &self.memories else {
            let rows: Vec<(usize, &[f32])> = levels
                .iter()
                .map(|level| (level - 1, self.rows[level - 1].as_slice()))
                .collect();
            return self.session.probs_of_exits(&rows);
        };
        let mut probs = Vec::new();
        for level in levels {
            let rows = &self.rows[level - 1];
            let model = self.session.model();
            probs.extend(memories.exit_probs(model, level - 1, rows, self.session.threads())?);
        }
        Ok(probs)
    }

    /// Adds the cache's distributions to the parts and returns the weights of all.
    fn add_nests(
        &self,
        nests: &NestPrediction,
        mixed: &mut Mixed,
    ) -> Result<Vec<f32>, EngineError> {
        let exits = mixed.parts.len();
        let gate = match mixed.parts.last() {
            Some(part) if part.component == Component::Nearest => self.mixture.memory_gate(),
            _ => self.mixture.gate(),
        };
        let weights = match gate {
            Some(gate) => {
                let weights = self.gate_weights(gate, nests, mixed)?;
                for (part, temperature) in mixed.parts.iter_mut().zip(&gate.temperatures) {
                    temper(&mut part.probs, *temperature);
                }
                weights
            }
            None => {
                let mut weights = vec![0.0; exits + NESTS.len()];
                weights[exits + Nest::File as usize] = if exits == 0 { 1.0 } else { 0.5 };
                if let Some(deepest) = exits.checked_sub(1) {
                    weights[deepest] = 0.5;
                }
                weights
            }
        };
        for nest in NESTS {
            let component = match nest {
                Nest::Corpus => Component::Corpus,
                Nest::Project => Component::Project,
                Nest::File => Component::File,
            };
            let probs = nests.probabilities(nest).to_vec();
            mixed.parts.push(Part {
                component,
                weight: 0.0,
                probs,
            });
        }
        Ok(weights)
    }

    fn gate_weights(
        &self,
        gate: &Gate,
        nests: &NestPrediction,
        mixed: &Mixed,
    ) -> Result<Vec<f32>, EngineError> {
        let known = mixed.exits.iter().map(|exit| Summary {
            entropy: exit.entropy,
            top_probability: exit.top_prob,
            top: exit.top,
        });
        // The nearest states stand behind the exits and are no exit.
        let others = mixed.parts[mixed.exits.len()..]
            .iter()
            .map(|part| summarise(&part.probs));
        let exits: Vec<ExitDistribution<'_>> = mixed
            .parts
            .iter()
            .zip(known.chain(others))
            .map(|(part, summary)| ExitDistribution {
                probabilities: &part.probs,
                summary,
            })
            .collect();
        let mut features = Vec::new();
        let slot = self.mixture.slot_after(self.context.last());
        gate_features(nests, &exits, slot, &mut features);
        let mut weights = vec![0.0; exits.len() + NESTS.len()];
        gate.weights(&features, &mut weights)?;
        Ok(weights)
    }
}

/// Tells laps of time.
pub(crate) struct Clock(Instant);

impl Clock {
    pub fn start() -> Self {
        Self(Instant::now())
    }

    /// Adds the time since the last lap.
    pub fn lap(&mut self, sum: &mut Duration) {
        let now = Instant::now();
        *sum += now - self.0;
        self.0 = now;
    }
}

/// Mixes in the names of a place; what they add is one part more.
fn add_names(place: &CandidatePlace, gate: &Gate, mixed: &mut Mixed) -> Result<(), EngineError> {
    let mut mixer = CandidateMixer::default();
    let base = mixed.probs.clone();
    mixer.read(place, &base);
    let [rest, ..] = mixer.blend(gate, &mut mixed.probs)?;
    for part in &mut mixed.parts {
        part.weight *= rest;
    }
    let names = 1.0 - rest;
    let of_names = |(p, base): (&f32, &f32)| (p - rest * base).max(0.0) / names;
    let probs = if names > 0.0 {
        mixed.probs.iter().zip(&base).map(of_names).collect()
    } else {
        base
    };
    mixed.parts.push(Part {
        component: Component::Names,
        weight: names,
        probs,
    });
    Ok(())
}

fn deepest_alone(exits: usize, parts: usize) -> Vec<f32> {
    let mut weights = vec![0.0; parts];
    if let Some(deepest) = exits.checked_sub(1) {
        weights[deepest] = 1.0;
    }
    weights
}

/// The softmax of the same logits divided by `temperature`.
fn temper(probs: &mut [f32], temperature: f32) {
    if temperature == 1.0 {
        return;
    }
    for p in probs.iter_mut() {
        *p = p.max(f32::MIN_POSITIVE).ln() / temperature;
    }
    softmax_in_place(probs);
}
