//! One document's state in the network: what the tokens so far have left behind.
//!
//! A session costs as much as its state, and a clone of it is a snapshot. Letters: T tokens of a
//! chunk, d width, F feed-forward width, V vocabulary.

mod attention;
mod delta;
mod pass;

use crate::passes::MOST_SHARED_ROWS;
use crate::weights::Mixer;
use crate::{EngineError, Model};
use attention::AttentionState;
use delta::DeltaState;
use nestor_kernels::softmax_in_place;
pub(crate) use pass::{Scratch, Sequence, forward, head_logits, head_product};
use std::sync::Arc;

/// Tokens that go through the network as one matrix.
const CHUNK: usize = 256;

/// The state of a sequence of tokens in the first stages of a model.
#[derive(Debug)]
pub struct Session {
    model: Arc<Model>,
    stages: usize,
    position: usize,
    threads: usize,
    states: Vec<MixerState>,
    scratch: Scratch,
}

#[derive(Debug, Clone)]
pub(crate) enum MixerState {
    Delta(DeltaState),
    Attention(AttentionState),
}

/// What a call to [`Session::forward`] found at every exit: the rows whose product with the head
/// are the logits.
#[derive(Debug, Clone, PartialEq)]
pub struct ExitStates {
    tokens: usize,
    width: usize,
    exits: Vec<Vec<f32>>,
}

impl ExitStates {
    /// Tokens of the call.
    pub fn tokens(&self) -> usize {
        self.tokens
    }

    /// Number of exits, as many as the session has stages.
    pub fn exits(&self) -> usize {
        self.exits.len()
    }

    /// All rows of an exit, `[tokens, width]`; empty for an exit that does not exist.
    pub fn rows(&self, exit: usize) -> &[f32] {
        self.exits.get(exit).map_or(&[], Vec::as_slice)
    }

    /// The row of one token at one exit; `None` when either does not exist.
    pub fn row(&self, exit: usize, token: usize) -> Option<&[f32]> {
        self.rows(exit).chunks_exact(self.width).nth(token)
    }
}

impl Clone for Session {
    /// A snapshot: it continues exactly as the original would.
    fn clone(&self) -> Self {
        Self {
            model: Arc::clone(&self.model),
            stages: self.stages,
            position: self.position,
            threads: self.threads,
            states: self.states.clone(),
            scratch: Scratch::default(),
        }
    }
}

impl Session {
    /// An empty session that runs the first `stages` stages, on one thread.
    ///
    /// # Errors
    /// [`EngineError::Stages`] when the model has fewer stages or none are asked for.
    pub fn new(model: Arc<Model>, stages: usize) -> Result<Self, EngineError> {
        let config = model.config();
        if stages == 0 || stages > config.stages {
            return Err(EngineError::Stages {
                requested: stages,
                available: config.stages,
            });
        }
        let states = model.weights.stages[..stages]
            .iter()
            .flat_map(|stage| &stage.blocks)
            .map(|block| match block.mixer {
                Mixer::Delta(_) => MixerState::Delta(DeltaState::new(config)),
                Mixer::Attention(_) => MixerState::Attention(AttentionState::new(config)),
            })
            .collect();
        let scratch = Scratch::default();
        Ok(Self {
            model,
            stages,
            position: 0,
            threads: 1,
            states,
            scratch,
        })
    }

    /// The same session with matrix products on up to `threads` threads.
    pub fn with_threads(mut self, threads: usize) -> Self {
        self.threads = threads.max(1);
        self
    }

    /// Threads of matrix products.
    pub(crate) fn threads(&self) -> usize {
        self.threads
    }

    /// The model.
    pub fn model(&self) -> &Arc<Model> {
        &self.model
    }

    /// Stages that the session runs, and so its number of exits.
    pub fn stages(&self) -> usize {
        self.stages
    }

    /// Tokens seen.
    pub fn len(&self) -> usize {
        self.position
    }

    /// Whether no token was seen.
    pub fn is_empty(&self) -> bool {
        self.position == 0
    }

    /// Bytes of the state. A snapshot shares the keys and values among them, and copies the rest.
    pub fn state_bytes(&self) -> usize {
        let bytes = |state: &MixerState| match state {
            MixerState::Delta(state) => state.bytes(),
            MixerState::Attention(state) => state.bytes(),
        };
        self.states.iter().map(bytes).sum()
    }

    /// Of these bytes those that snapshots share for good: keys and values of whole blocks of positions.
    pub fn shared_bytes(&self) -> usize {
        let bytes = |state: &MixerState| match state {
            MixerState::Delta(_) => 0,
            MixerState::Attention(state) => state.shared_bytes(),
        };
        self.states.iter().map(bytes).sum()
    }

    /// Gives back the buffers of the computation, a few megabytes after a long text; they are made anew when they are needed.
    pub fn release_buffers(&mut self) {
        self.scratch = Scratch::default();
    }

    /// The numbers of the state, block by block, for comparisons: the delta rule's memory
    /// `[H, K, V]` and convolution tail; or for every kv head of attention its keys, then the values, oldest first, from a position on
    /// that the window does not reach any more.
    pub fn state_values(&self) -> impl Iterator<Item = Vec<f32>> {
        self.states.iter().flat_map(|state| match state {
            MixerState::Delta(state) => state.values(),
            MixerState::Attention(state) => state.values(),
        })
    }

    /// Sends tokens through the network and returns the rows of every exit.
    ///
    /// # Errors
    /// [`EngineError::Token`] for a token outside the vocabulary; the state is then unchanged.
    pub fn forward(&mut self, tokens: &[u32]) -> Result<ExitStates, EngineError> {
        let (vocab, width) = (self.model.config().vocab, self.model.config().width);
        if let Some(index) = tokens.iter().position(|t| *t as usize >= vocab) {
            return Err(EngineError::Token {
                token: tokens[index],
                index,
                vocab,
            });
        }
        let mut exits = vec![Vec::with_capacity(tokens.len() * width); self.stages];
        for chunk in tokens.chunks(CHUNK) {
            self.forward_chunk(chunk, &mut exits);
        }
        Ok(ExitStates {
            tokens: tokens.len(),
            width,
            exits,
        })
    }

    /// Logits of rows of one exit: `rows` is `[n, width]`, `logits` receives `[n, V]`.
    ///
    /// # Errors
    /// [`EngineError::Exit`] or [`EngineError::Length`] for an exit or buffers that do not fit.
    pub fn exit_logits(
        &self,
        exit: usize,
        rows: &[f32],
        logits: &mut [f32],
    ) -> Result<(), EngineError> {
        let (vocab, width) = (self.model.config().vocab, self.model.config().width);
        if exit >= self.stages {
            return Err(EngineError::Exit {
                exit,
                available: self.stages,
            });
        }
        let n = rows.len() / width;
        check_length("rows of an exit", rows.len(), n * width)?;
        check_length("logits", logits.len(), n * vocab)?;
        self.head(rows, logits);
        Ok(())
    }

    /// The product of rows of any exits with the head.
    fn head(&self, rows: &[f32], logits: &mut [f32]) {
        head_logits(&self.model, rows, logits, self.threads);
    }

    /// Probabilities of some exits, each with its rows `[n, d]`: `[all rows, V]`; reads the head once for all.
    pub(crate) fn probs_of_exits(&self, rows: &[(usize, &[f32])]) -> Result<Vec<f32>, EngineError> {
        let (vocab, width) = (self.model.config().vocab, self.model.config().width);
        let together: Vec<f32> = rows.iter().flat_map(|(_, rows)| *rows).copied().collect();
        let mut probs = vec![0.0; together.len() / width * vocab];
        self.head(&together, &mut probs);
        let exits = rows
            .iter()
            .flat_map(|(exit, rows)| std::iter::repeat_n(*exit, rows.len() / width));
        for (exit, row) in exits.zip(probs.chunks_exact_mut(vocab)) {
            self.softmax(exit, row)?;
        }
        Ok(probs)
    }

    fn softmax(&self, exit: usize, logits: &mut [f32]) -> Result<(), EngineError> {
        if softmax_in_place(logits).log_sum.is_finite() {
            return Ok(());
        }
        Err(EngineError::NotFinite {
            exit,
            position: self.position,
        })
    }

    /// Appends the rows of every exit to `exits`. Few tokens go together with those of other sessions, where the model's passes are shared.
    fn forward_chunk(&mut self, tokens: &[u32], exits: &mut [Vec<f32>]) {
        let sequence = Sequence {
            stages: self.stages,
            position: self.position,
            states: std::mem::take(&mut self.states),
            tokens: tokens.to_vec(),
            exits: vec![Vec::new(); self.stages],
        };
        let sequence = match self.model.passes() {
            Some(passes) if tokens.len() <= MOST_SHARED_ROWS => {
                passes.forward(&self.model, sequence)
            }
            _ => {
                let mut one = [sequence];
                forward(&self.model, &mut one, self.threads, &mut self.scratch);
                let [sequence] = one;
                sequence
            }
        };
        self.states = sequence.states;
        self.position += tokens.len();
        for (all, rows) in exits.iter_mut().zip(&sequence.exits) {
            all.extend_from_slice(rows);
        }
    }

    /// Probabilities of rows of one exit: `rows` is `[n, width]`, `probs` receives `[n, V]`.
    ///
    /// # Errors
    /// As [`Session::exit_logits`]; [`EngineError::NotFinite`] for logits that are not numbers.
    pub fn exit_probs(
        &self,
        exit: usize,
        rows: &[f32],
        probs: &mut [f32],
    ) -> Result<(), EngineError> {
        self.exit_logits(exit, rows, probs)?;
        for row in probs.chunks_exact_mut(self.model.config().vocab) {
            if !softmax_in_place(row).log_sum.is_finite() {
                return Err(EngineError::NotFinite {
                    exit,
                    position: self.position,
                });
            }
        }
        Ok(())
    }
}

pub(crate) fn check_length(
    what: &'static str,
    found: usize,
    expected: usize,
) -> Result<(), EngineError> {
    if found == expected {
        return Ok(());
    }
    Err(EngineError::Length {
        what,
        found,
        expected,
    })
}
