//! All memories of a project together: what levels 2 and 3 and the episodic memory make of the exits' rows.
//!
//! Level 2 is an output delta on every exit but the first, learned when a chunk closes; level 3 is an MLP on the third exit,
//! which steps once a period; the episodic memory holds the rows of the second exit, so that the balanced speed, which
//! computes no deeper one, can ask it too. Called by `assist` and `memory`, which own the documents and decide what is
//! taught: a document forks the project's memories, and only saved text is taught to the project. It must not know about text,
//! files or time.
//!
//! What is learned from a chunk is used from the next chunk on: the caller scores a chunk before it teaches it.

use super::frame::{Kind, Put};
use super::reading::{Document, DocumentReader, read_ahead};
use super::trust::Trust;
use super::{
    Episodic, EpisodicConfig, ExitMlp, ExitMlpConfig, MlpBatch, OutputDelta, OutputDeltaConfig,
    check_option, check_size, check_tokens,
};
use crate::session::head_logits;
use crate::{EngineError, Model};
use nestor_kernels::softmax_in_place;
use std::sync::Arc;

mod outline;

pub use outline::LevelsOutline;

/// The exit, counted from 0, whose rows the episodic memory holds.
const EPISODIC_EXIT: usize = 1;

/// The exit, counted from 0, that level 3 corrects.
const MLP_EXIT: usize = 2;

/// Share of the episodic distribution that is spread over all tokens: what was never seen is not impossible.
const SPREAD: f32 = 0.01;

static SAVED: Kind = Kind {
    magic: b"NestorLM",
    version: 1,
    what: "memories of levels 2 and 3",
};

/// Which memories are at work; those that are not stay silent and learn nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MemoryParts {
    /// The output deltas.
    pub level2: bool,
    /// The MLP.
    pub level3: bool,
    /// The nearest states.
    pub episodic: bool,
}

impl MemoryParts {
    /// Every memory.
    pub const ALL: Self = Self {
        level2: true,
        level3: true,
        episodic: true,
    };
}

/// How the memories of a project learn.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LevelMemoriesConfig {
    /// Which ones there are.
    pub parts: MemoryParts,
    /// Level 2.
    pub delta: OutputDeltaConfig,
    /// Level 3.
    pub mlp: ExitMlpConfig,
    /// Tokens between the steps of level 3.
    pub period: usize,
    /// Episodic memory.
    pub episodic: EpisodicConfig,
    /// Nearest states asked for.
    pub neighbours: usize,
    /// Divides cosines before their softmax.
    pub temperature: f32,
}

impl Default for LevelMemoriesConfig {
    fn default() -> Self {
        Self {
            parts: MemoryParts::ALL,
            delta: OutputDeltaConfig::default(),
            mlp: ExitMlpConfig::default(),
            period: 4096,
            episodic: EpisodicConfig::default(),
            neighbours: 24,
            temperature: 0.02,
        }
    }
}

/// The memories of one project, or of one document that forked them. A clone shares what neither side has changed.
#[derive(Debug, Clone)]
pub struct LevelMemories {
    config: LevelMemoriesConfig,
    /// Of the exits from the second on.
    deltas: Vec<OutputDelta>,
    /// Only a network of three stages has a place for it.
    mlp: Option<ExitMlp>,
    episodic: Arc<Episodic>,
    /// How far the memories of each exit from the second on are believed.
    trust: Trust,
    since_step: usize,
    tokens: u64,
}

impl LevelMemories {
    /// Tokens that are learned together, and so the delay of level 2.
    pub const CHUNK: usize = 64;

    /// Silent memories for a model.
    ///
    /// # Errors
    /// [`EngineError::Setting`] naming the field that makes no sense.
    pub fn new(config: LevelMemoriesConfig, model: &Model) -> Result<Self, EngineError> {
        let network = model.config();
        check_size("period", config.period)?;
        check_size("neighbours", config.neighbours)?;
        check_option("temperature", config.temperature, config.temperature > 0.0)?;
        let deltas = (EPISODIC_EXIT..network.stages)
            .map(|_| OutputDelta::new(config.delta, network.vocab, network.width))
            .collect::<Result<Vec<_>, _>>()?;
        let mlp = (network.stages > MLP_EXIT)
            .then(|| ExitMlp::new(config.mlp, network.width, 1))
            .transpose()?;
        Ok(Self {
            config,
            trust: Trust::new(deltas.len()),
            deltas,
            mlp,
            episodic: Arc::new(Episodic::new(
                config.episodic,
                network.vocab,
                network.width,
            )?),
            since_step: 0,
            tokens: 0,
        })
    }

    /// How they learn.
    pub fn config(&self) -> &LevelMemoriesConfig {
        &self.config
    }

    /// The same memories with the episodic one silent: for a document whose own text, also that after the cursor, they have
    /// learned.
    #[must_use]
    pub fn without_episodic(&self) -> Self {
        let mut memories = self.clone();
        memories.config.parts.episodic = false;
        memories
    }

    /// Tokens taught so far.
    pub fn tokens(&self) -> u64 {
        self.tokens
    }

    /// Resident bytes, shared with clones or not.
    pub fn bytes(&self) -> usize {
        let deltas: usize = self.deltas.iter().map(OutputDelta::bytes).sum();
        deltas + self.mlp.as_ref().map_or(0, ExitMlp::bytes) + self.episodic.bytes()
    }

    /// Probabilities that an exit (from 0) gives with its memories, as far as they are believed: `rows` is `[n, d]`, the result
    /// `[n, V]`.
    ///
    /// # Errors
    /// [`EngineError::Length`] for rows of another width, [`EngineError::NotFinite`] for logits that are not numbers.
    pub fn exit_probs(
        &self,
        model: &Model,
        exit: usize,
        rows: &[f32],
        threads: usize,
    ) -> Result<Vec<f32>, EngineError> {
        let answers = self.answers(model, exit, rows, threads)?;
        let Some(mut changed) = answers.changed else {
            return Ok(answers.plain);
        };
        self.trust
            .blend(exit - EPISODIC_EXIT, &answers.plain, &mut changed);
        Ok(changed)
    }

    /// Sees how well the memories predict a text, without learning it: only how far they are believed changes. For each
    /// exit its rows `[n, d]`, and the n tokens that followed them.
    ///
    /// # Errors
    /// [`EngineError::Length`] or [`EngineError::Token`] for input that does not fit.
    pub fn watch(
        &mut self,
        model: &Model,
        rows: &[Vec<f32>],
        targets: &[u32],
        threads: usize,
    ) -> Result<(), EngineError> {
        check_tokens(targets, model.config().vocab)?;
        for exit in EPISODIC_EXIT..rows.len().min(model.config().stages) {
            let answers = self.answers(model, exit, &rows[exit], threads)?;
            self.believe(exit, &answers, targets);
        }
        Ok(())
    }

    /// [`LevelMemories::exit_probs`], then what [`LevelMemories::watch`] does for this exit: one pass instead of two.
    ///
    /// # Errors
    /// As those two.
    pub fn score_exit(
        &mut self,
        model: &Model,
        exit: usize,
        rows: &[f32],
        targets: &[u32],
        threads: usize,
    ) -> Result<Vec<f32>, EngineError> {
        check_tokens(targets, model.config().vocab)?;
        let mut answers = self.answers(model, exit, rows, threads)?;
        let Some(changed) = answers.changed.take() else {
            return Ok(answers.plain);
        };
        let mut probs = changed.clone();
        self.trust
            .blend(exit - EPISODIC_EXIT, &answers.plain, &mut probs);
        answers.changed = Some(changed);
        self.believe(exit, &answers, targets);
        Ok(probs)
    }

    /// What followed the states most like the rows `[n, d]` of the second exit: `[n, V]`, each summing to 1. Without anything
    /// to remember every token is as likely as the next.
    ///
    /// # Errors
    /// [`EngineError::Length`] for rows of another width.
    pub fn recall(&self, model: &Model, rows: &[f32]) -> Result<Vec<f32>, EngineError> {
        let vocab = model.config().vocab;
        if !self.config.parts.episodic || self.episodic.is_empty() {
            let n = rows.len() / model.config().width;
            return Ok(vec![1.0 / vocab as f32; n * vocab]);
        }
        let found =
            self.episodic
                .query_batch(rows, self.config.neighbours, self.config.temperature)?;
        let mut probs = vec![1.0 / vocab as f32; found.len() * vocab];
        for (found, probs) in found.iter().zip(probs.chunks_exact_mut(vocab)) {
            if let Some(found) = found {
                probs.fill(SPREAD / vocab as f32);
                for (token, p) in &found.probs {
                    probs[*token as usize] += (1.0 - SPREAD) * p;
                }
            }
        }
        Ok(probs)
    }

    /// Teaches a chunk that was scored: for each exit its rows `[n, d]`, and the n tokens that followed them. How far the
    /// memories are believed changes too.
    ///
    /// # Errors
    /// [`EngineError::Length`] or [`EngineError::Token`] for input that does not fit.
    pub fn learn(
        &mut self,
        model: &Model,
        rows: &[impl AsRef<[f32]>],
        targets: &[u32],
        threads: usize,
    ) -> Result<(), EngineError> {
        check_tokens(targets, model.config().vocab)?;
        for exit in EPISODIC_EXIT..rows.len().min(model.config().stages) {
            if self.teaches(exit) {
                let rows = rows[exit].as_ref();
                let answers = self.answers(model, exit, rows, threads)?;
                self.believe(exit, &answers, targets);
                let lesson = Lesson {
                    rows,
                    used: answers.corrected.as_deref().unwrap_or(rows),
                    targets,
                    probs: &answers.changed.unwrap_or(answers.plain),
                };
                self.learn_exit(model, exit, lesson, threads)?;
            }
        }
        self.close_chunk(rows, targets)
    }

    /// [`LevelMemories::learn`] where nobody asks what the exits say without the memories: how far they are believed stays.
    fn learn_quietly(
        &mut self,
        model: &Model,
        rows: &[&[f32]],
        targets: &[u32],
        threads: usize,
    ) -> Result<(), EngineError> {
        check_tokens(targets, model.config().vocab)?;
        for exit in EPISODIC_EXIT..rows.len().min(model.config().stages) {
            if self.teaches(exit) {
                let corrected = self.corrected(exit, rows[exit], threads)?;
                let used = corrected.as_deref().unwrap_or(rows[exit]);
                let mut probs = vec![0.0; targets.len() * model.config().vocab];
                head_logits(model, used, &mut probs, threads);
                if let Some(delta) = self.delta(exit) {
                    delta.add_logits(used, &mut probs, threads)?;
                }
                softmax_rows(&mut probs, model, exit)?;
                let lesson = Lesson {
                    rows: rows[exit],
                    used,
                    targets,
                    probs: &probs,
                };
                self.learn_exit(model, exit, lesson, threads)?;
            }
        }
        self.close_chunk(rows, targets)
    }

    /// Whether an exit's own answers are needed to learn.
    fn teaches(&self, exit: usize) -> bool {
        self.config.parts.level2 || self.config.parts.level3 && exit == MLP_EXIT
    }

    fn learn_exit(
        &mut self,
        model: &Model,
        exit: usize,
        lesson: Lesson<'_>,
        threads: usize,
    ) -> Result<(), EngineError> {
        let parts = self.config.parts;
        if let Some(mlp) = self
            .mlp
            .as_mut()
            .filter(|_| parts.level3 && exit == MLP_EXIT)
        {
            let batch = MlpBatch {
                rows: lesson.rows,
                targets: lesson.targets,
                probs: lesson.probs,
                head: model.head(),
            };
            let delta = self.deltas.get(exit - EPISODIC_EXIT);
            mlp.accumulate_under(batch, delta.filter(|_| parts.level2), threads)?;
        }
        if parts.level2 {
            let delta = &mut self.deltas[exit - EPISODIC_EXIT];
            delta.learn(lesson.used, lesson.targets, lesson.probs)?;
        }
        Ok(())
    }

    /// What is learned of a chunk once its exits have learned it.
    fn close_chunk(
        &mut self,
        rows: &[impl AsRef<[f32]>],
        targets: &[u32],
    ) -> Result<(), EngineError> {
        let parts = self.config.parts;
        if let Some(rows) = rows.get(EPISODIC_EXIT).filter(|_| parts.episodic) {
            Arc::make_mut(&mut self.episodic).push_batch(rows.as_ref(), targets)?;
        }
        self.tokens = self.tokens.saturating_add(targets.len() as u64);
        self.since_step += targets.len();
        if self.since_step >= self.config.period {
            self.since_step = 0;
            if let Some(mlp) = self.mlp.as_mut().filter(|_| parts.level3) {
                mlp.step();
            }
        }
        Ok(())
    }

    /// The memories as bytes that [`LevelMemories::from_bytes`] reads.
    pub fn to_bytes(&self) -> Vec<u8> {
        self.seal(&SAVED, self.episodic.to_bytes())
    }

    /// The memories as bytes of a kind, which decides what stands for the nearest states.
    fn seal(&self, kind: &Kind, states: Vec<u8>) -> Vec<u8> {
        let mut parts: Vec<Vec<u8>> = self.deltas.iter().map(OutputDelta::to_bytes).collect();
        parts.extend(self.mlp.as_ref().map(ExitMlp::to_bytes));
        parts.push(states);
        let mut body = Vec::new();
        body.put_u64s(&[self.tokens, self.since_step as u64]);
        body.put_f32s(self.trust.shares());
        body.put_u32s(&[parts.len() as u32]);
        for part in &parts {
            body.put_u64s(&[part.len() as u64]);
        }
        parts.iter().for_each(|part| body.extend_from_slice(part));
        kind.seal(&body)
    }

    /// Memories from their bytes, for the same network.
    ///
    /// # Errors
    /// [`EngineError::Memory`] for bytes that are damaged, of another version or of another network;
    /// [`EngineError::Setting`] for a configuration that makes no sense.
    pub fn from_bytes(
        config: LevelMemoriesConfig,
        model: &Model,
        bytes: &[u8],
    ) -> Result<Self, EngineError> {
        let (mut memories, states) = Self::open(config, model, &SAVED, bytes)?;
        let (vocab, width) = (model.config().vocab, model.config().width);
        let episodic = Episodic::from_bytes(config.episodic, vocab, width, states)?;
        memories.episodic = Arc::new(episodic);
        Ok(memories)
    }

    /// Memories from bytes of a kind, and the bytes that stand for their nearest states.
    fn open<'a>(
        config: LevelMemoriesConfig,
        model: &Model,
        kind: &'static Kind,
        bytes: &'a [u8],
    ) -> Result<(Self, &'a [u8]), EngineError> {
        let mut memories = Self::new(config, model)?;
        let (vocab, width) = (model.config().vocab, model.config().width);
        let mut reader = kind.open(bytes)?;
        memories.tokens = reader.u64()?;
        memories.since_step = reader.u64()?.min(config.period as u64) as usize;
        memories.trust = Trust::from_shares(reader.f32s(memories.deltas.len())?);
        let n_parts = memories.deltas.len() + usize::from(memories.mlp.is_some()) + 1;
        reader.expect_size("number of parts", n_parts)?;
        let lengths = reader.u64s(n_parts)?;
        let mut parts = Vec::with_capacity(n_parts);
        for length in lengths {
            let length = usize::try_from(length).unwrap_or(usize::MAX);
            parts.push(reader.bytes(length)?);
        }
        reader.finish()?;
        let states = parts.pop().unwrap_or_default();
        let mut parts = parts.into_iter();
        for (delta, part) in memories.deltas.iter_mut().zip(parts.by_ref()) {
            *delta = OutputDelta::from_bytes(config.delta, vocab, width, part)?;
        }
        if let Some((mlp, part)) = memories.mlp.as_mut().zip(parts.next()) {
            *mlp = ExitMlp::from_bytes(config.mlp, width, part)?;
        }
        Ok((memories, states))
    }

    /// Teaches a whole document: [`LevelMemories::learn_documents`] with one.
    ///
    /// # Errors
    /// [`EngineError::Token`] for a token outside the vocabulary.
    pub fn learn_document(
        &mut self,
        model: &Arc<Model>,
        opening: &[u32],
        text: &[u32],
        threads: usize,
    ) -> Result<(), EngineError> {
        let document = Document { opening, text };
        self.learn_documents(model, &[document], threads, &mut |_| true)
            .map(drop)
    }

    /// Teaches documents one after another: what each opens with is context, the rest is learned chunk by chunk. How far the
    /// memories are believed stays as it is. `after` is called when a document was learned, with the memories as they are then, and
    /// ends the teaching by returning false. Returns the number of documents learned. The result does not depend on `threads`: all but one of them
    /// read ahead, which needs no memory.
    ///
    /// # Errors
    /// [`EngineError::Token`] for a token outside the vocabulary.
    pub fn learn_documents(
        &mut self,
        model: &Arc<Model>,
        documents: &[Document<'_>],
        threads: usize,
        after: &mut dyn FnMut(&Self) -> bool,
    ) -> Result<usize, EngineError> {
        read_ahead(model, documents, threads, &mut |block| {
            let width = model.config().width;
            for (at, targets) in block.targets.chunks(Self::CHUNK).enumerate() {
                let start = at * Self::CHUNK * width;
                let rows: Vec<&[f32]> = block
                    .rows
                    .iter()
                    .map(|rows| &rows[start..start + targets.len() * width])
                    .collect();
                self.learn_quietly(model, &rows, targets, 1)?;
            }
            Ok(!block.ends_document || after(self))
        })
    }

    /// Goes on with a document that is read by `reader` and was learned up to there, in whole chunks but for its end. How far the
    /// memories are believed follows the last `watched` tokens only. With more than one thread the next blocks are read while one is
    /// learned.
    ///
    /// # Errors
    /// [`EngineError::Token`] for a token outside the vocabulary.
    pub fn learn_on(
        &mut self,
        model: &Model,
        reader: &mut DocumentReader,
        text: &[u32],
        watched: usize,
        threads: usize,
    ) -> Result<(), EngineError> {
        let width = model.config().width;
        let mut left = text.len();
        reader.read_on(text, threads, &mut |rows, targets| {
            // Other threads are busy with reading.
            let threads = if text.len() > targets.len() {
                1
            } else {
                threads
            };
            for (at, targets) in targets.chunks(Self::CHUNK).enumerate() {
                let start = at * Self::CHUNK * width;
                let rows: Vec<&[f32]> = rows
                    .iter()
                    .map(|rows| &rows[start..start + targets.len() * width])
                    .collect();
                if left <= watched {
                    self.learn(model, &rows, targets, threads)?;
                } else {
                    self.learn_quietly(model, &rows, targets, threads)?;
                }
                left -= targets.len();
            }
            Ok(())
        })
    }

    /// The rows that an exit's logits are made of, where the MLP changes them.
    fn corrected(
        &self,
        exit: usize,
        rows: &[f32],
        threads: usize,
    ) -> Result<Option<Vec<f32>>, EngineError> {
        match &self.mlp {
            Some(mlp) if exit == MLP_EXIT && self.config.parts.level3 && !mlp.is_silent() => {
                mlp.forward(rows, threads).map(Some)
            }
            _ => Ok(None),
        }
    }

    /// The delta of an exit, where it changes anything.
    fn delta(&self, exit: usize) -> Option<&OutputDelta> {
        exit.checked_sub(EPISODIC_EXIT)
            .and_then(|at| self.deltas.get(at))
            .filter(|delta| self.config.parts.level2 && !delta.is_empty())
    }

    /// What an exit says with its memories and without.
    fn answers(
        &self,
        model: &Model,
        exit: usize,
        rows: &[f32],
        threads: usize,
    ) -> Result<Answers, EngineError> {
        let network = model.config();
        let corrected = self.corrected(exit, rows, threads)?;
        let mut plain = vec![0.0; rows.len() / network.width * network.vocab];
        head_logits(model, rows, &mut plain, threads);
        let delta = self.delta(exit);
        let mut changed = match (&corrected, delta) {
            (Some(corrected), _) => {
                let mut logits = vec![0.0; plain.len()];
                head_logits(model, corrected, &mut logits, threads);
                Some(logits)
            }
            (None, Some(_)) => Some(plain.clone()),
            (None, None) => None,
        };
        if let Some((logits, delta)) = changed.as_mut().zip(delta) {
            delta.add_logits(corrected.as_deref().unwrap_or(rows), logits, threads)?;
        }
        for logits in std::iter::once(&mut plain).chain(&mut changed) {
            softmax_rows(logits, model, exit)?;
        }
        Ok(Answers {
            plain,
            changed,
            corrected,
        })
    }

    fn believe(&mut self, exit: usize, answers: &Answers, targets: &[u32]) {
        if let Some(changed) = &answers.changed {
            self.trust
                .update(exit - EPISODIC_EXIT, &answers.plain, changed, targets);
        }
    }
}

/// What an exit says to some rows.
struct Answers {
    /// Without memories, `[n, V]`.
    plain: Vec<f32>,
    /// With them, `[n, V]`; `None` where they are silent.
    changed: Option<Vec<f32>>,
    /// The rows as the MLP makes them, `[n, d]`; `None` where it is silent.
    corrected: Option<Vec<f32>>,
}

/// What the exit of a chunk learns from.
struct Lesson<'a> {
    /// The exit's rows, `[n, d]`.
    rows: &'a [f32],
    /// The same as the MLP makes them.
    used: &'a [f32],
    targets: &'a [u32],
    /// What the exit with its memories said, `[n, V]`.
    probs: &'a [f32],
}

fn softmax_rows(logits: &mut [f32], model: &Model, exit: usize) -> Result<(), EngineError> {
    for (position, row) in logits.chunks_exact_mut(model.config().vocab).enumerate() {
        if !softmax_in_place(row).log_sum.is_finite() {
            return Err(EngineError::NotFinite { exit, position });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
