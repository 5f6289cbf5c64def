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
    /// The mixture for the current context, once it was asked for.
    mixed: Option<Mixed>,
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
            mixed: None,
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
        self.mixed = None;
        Ok(())
    }

    /// What the project has taught the exits, or nothing. The predictor reads the memories and never teaches them; what it reads
    /// after this tells how far to believe them.
    pub fn set_memories(&mut self, memories: Option<Arc<LevelMemories>>) {
        self.memories = memories;
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

    /// Takes in many tokens at once.
    ///
    /// # Errors
    /// [`EngineError::Token`]; the state is then unchanged.
    pub fn prefill(&mut self, tokens: &[u32]) -> Result<(), EngineError> {
        let states = self.session.forward(tokens)?;
        self.watch(tokens, &states)?;
        if let Some(last) = tokens.len().checked_sub(1) {
            let row = |exit| states.row(exit, last).unwrap_or_default().to_vec();
            self.rows = (0..states.exits()).map(row).collect();
            self.mixed = None;
        }
        self.context.extend_from_slice(tokens);
        Ok(())
    }

    /// Lets the memories see how well they predict the end of a text that is read at once.
    fn watch(&mut self, tokens: &[u32], states: &ExitStates) -> Result<(), EngineError> {
        let width = self.session.model().config().width;
        let n = tokens.len().saturating_sub(1).min(WATCHED);
        let Some(memories) = self.memories.as_mut().filter(|_| n > 0) else {
            return Ok(());
        };
        let end = tokens.len() - 1;
        let rows: Vec<Vec<f32>> = (0..states.exits())
            .map(|exit| states.rows(exit)[(end - n) * width..end * width].to_vec())
            .collect();
        let (model, threads) = (self.session.model(), self.session.threads());
        Arc::make_mut(memories).watch(model, &rows, &tokens[end + 1 - n..], threads)
    }

    /// Takes in one token.
    ///
    /// # Errors
    /// [`EngineError::Token`]; the state is then unchanged.
    pub fn accept(&mut self, token: u32) -> Result<(), EngineError> {
        self.prefill(&[token])
    }

    /// The distribution over the next token.
    ///
    /// # Errors
    /// [`EngineError::Empty`] before the first token, [`EngineError::NotFinite`] for logits that are
    /// not numbers.
    pub fn distribution(&mut self) -> Result<&Mixed, EngineError> {
        if self.mixed.is_none() {
            self.mixed = Some(self.mix()?);
        }
        self.mixed.as_ref().ok_or(EngineError::Empty)
    }

    fn mix(&self) -> Result<Mixed, EngineError> {
        if self.rows.is_empty() {
            return Err(EngineError::Empty);
        }
        let vocab = self.session.model().config().vocab;
        let mut mixed = Mixed {
            probs: vec![0.0; vocab],
            ..Mixed::default()
        };
        let levels = self.mixture.levels();
        let probs = self.exit_probs(levels)?;
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
            let probs = memories.recall(self.session.model(), &self.rows[1])?;
            mixed.parts.push(Part {
                component: Component::Nearest,
                weight: 0.0,
                probs,
            });
        }
        let weights = match &self.cache {
            Some(cache) => self.add_nests(cache, &mut mixed)?,
            // A gate weighs exits against nests; alone the exits have nothing to be weighed by.
            None => deepest_alone(mixed.exits.len(), mixed.parts.len()),
        };
        for (part, weight) in mixed.parts.iter_mut().zip(weights) {
            part.weight = weight;
            add_scaled(&mut mixed.probs, weight, &part.probs);
        }
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
    fn add_nests(&self, cache: &NestedCache, mixed: &mut Mixed) -> Result<Vec<f32>, EngineError> {
        let mut nests = NestPrediction::new(cache.vocab_size());
        cache.predict(&self.context, &mut nests);
        let exits = mixed.parts.len();
        let gate = match mixed.parts.last() {
            Some(part) if part.component == Component::Nearest => self.mixture.memory_gate(),
            _ => self.mixture.gate(),
        };
        let weights = match gate {
            Some(gate) => {
                let weights = self.gate_weights(gate, &nests, mixed)?;
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
