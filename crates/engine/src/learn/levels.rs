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
    DocumentStates, Episodic, EpisodicConfig, ExitMlp, ExitMlpConfig, MlpBatch, MlpWeights,
    OutputDelta, OutputDeltaConfig, check_option, check_size, check_tokens,
};
use crate::session::head_logits;
use crate::{EngineError, Model};
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

mod answers;
mod outline;
mod settings;
mod strand;

use answers::softmax_rows;
pub use answers::{Evidence, MemoriesIdentity};
pub use outline::LevelsOutline;
use strand::Strand;

/// The exit, counted from 0, whose rows the episodic memory holds.
const EPISODIC_EXIT: usize = 1;

/// The exit, counted from 0, that level 3 corrects.
const MLP_EXIT: usize = 2;

/// Share of the episodic distribution that is spread over all tokens: what was never seen is not impossible.
const SPREAD: f32 = 0.01;

/// Parts of a project that learn apart; a configuration with extensions and libraries has fewer, a folder of external processors more.
const MOST_STRANDS: usize = 8;

/// The strand of the parts that have none of their own; no root is called so.
const SHARED_STRAND: &str = "*";

static SAVED: Kind = Kind {
    magic: b"NestorLM",
    version: 2,
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
///
/// What levels 2 and 3 learn of code that has little in common would wear out what they know of the other, so it goes into strands: parts of a
/// project (its roots; own code and a vendor's) that learn apart. A strand begins as a fork of the one that learned last. The
/// nearest states are common to all.
#[derive(Debug, Clone)]
pub struct LevelMemories {
    config: LevelMemoriesConfig,
    /// The strand at work.
    strand: Strand,
    /// Its name; empty until one is asked for.
    name: Arc<str>,
    /// The others.
    resting: Arc<BTreeMap<Arc<str>, Strand>>,
    episodic: Arc<Episodic>,
    /// Insertion ids of states that are not recalled.
    hidden: Arc<[Range<u64>]>,
    /// States of the open document, recalled beside those that are remembered.
    document: Option<Arc<DocumentStates>>,
    tokens: u64,
}

impl LevelMemories {
    /// Tokens that are learned together, and so the delay of level 2.
    pub const CHUNK: usize = 64;

    /// Memories for a model that have learned nothing: silent ones, but for an MLP with a learned start.
    ///
    /// # Errors
    /// [`EngineError::Setting`] naming the field that makes no sense.
    pub fn new(config: LevelMemoriesConfig, model: &Model) -> Result<Self, EngineError> {
        let start = model.memory_start().map(|start| &*start.weights);
        Self::starting_at(config, model, start)
    }

    /// [`LevelMemories::new`] with an MLP that starts at, and decays to, weights that were learned elsewhere.
    ///
    /// # Errors
    /// As [`LevelMemories::new`]; [`EngineError::Length`] for weights of other shapes.
    pub fn starting_at(
        config: LevelMemoriesConfig,
        model: &Model,
        start: Option<&MlpWeights>,
    ) -> Result<Self, EngineError> {
        let network = model.config();
        check_size("period", config.period)?;
        check_size("neighbours", config.neighbours)?;
        check_option("temperature", config.temperature, config.temperature > 0.0)?;
        Ok(Self {
            config,
            strand: Strand::new(&config, network, start)?,
            name: Arc::from(""),
            resting: Arc::default(),
            episodic: Arc::new(Episodic::new(
                config.episodic,
                network.vocab,
                network.width,
            )?),
            hidden: Arc::default(),
            document: None,
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

    /// The same memories that do not recall some of their states, by their insertion ids: what they have learned of an open document's own text.
    #[must_use]
    pub fn hiding(&self, states: Arc<[Range<u64>]>) -> Self {
        let mut memories = self.clone();
        memories.hidden = states;
        memories
    }

    /// The same memories with the states of an open document beside them: rows of the second exit.
    #[must_use]
    pub fn beside(&self, document: Arc<DocumentStates>) -> Self {
        let mut memories = self.clone();
        memories.document = Some(document);
        memories
    }

    /// The insertion id of the state that is learned next. Each token of a text that teaches has one, from the first on.
    pub fn next_state(&self) -> u64 {
        self.episodic.next_id()
    }

    /// Puts a strand to work; one that has learned nothing yet begins as a fork of the one at work.
    ///
    /// ```text
    /// base ---learns---> base ------------------------> base
    ///                     +-fork-> extension --learns-->
    /// ```
    ///
    /// A strand takes tens of megabytes, so of more than [`MOST_STRANDS`] the later ones are one.
    pub fn turn_to(&mut self, strand: &str) {
        let is_known = *self.name == *strand || self.resting.contains_key(strand);
        let is_full = self.resting.len() + 1 >= MOST_STRANDS;
        let strand = if is_full && !is_known {
            SHARED_STRAND
        } else {
            strand
        };
        if *self.name == *strand {
            return;
        }
        let resting = Arc::make_mut(&mut self.resting);
        let next = resting.remove(strand);
        let next = next.unwrap_or_else(|| self.strand.clone());
        let before = std::mem::replace(&mut self.strand, next);
        let name = std::mem::replace(&mut self.name, Arc::from(strand));
        // What has learned before anyone named a strand goes on under the first name.
        if !name.is_empty() {
            resting.insert(name, before);
        }
    }

    /// Names of the strands, that at work first.
    pub fn strands(&self) -> impl Iterator<Item = &str> {
        std::iter::once(&self.name)
            .chain(self.resting.keys())
            .map(|name| &**name)
    }

    /// The output delta of an exit (from 0) in the strand at work; `None` for the first exit and for those that the network lacks.
    pub fn output_delta(&self, exit: usize) -> Option<&OutputDelta> {
        self.strand.deltas.get(exit.checked_sub(EPISODIC_EXIT)?)
    }

    /// The MLP of the third exit in the strand at work; `None` where the network has fewer exits.
    pub fn exit_mlp(&self) -> Option<&ExitMlp> {
        self.strand.mlp.as_ref()
    }

    /// Tokens taught so far.
    pub fn tokens(&self) -> u64 {
        self.tokens
    }

    /// Resident bytes, shared with clones or not.
    pub fn bytes(&self) -> usize {
        let resting: usize = self.resting.values().map(Strand::bytes).sum();
        self.strand.bytes() + resting + self.episodic.bytes()
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
        self.close_chunk(rows, targets, true)
    }

    /// [`LevelMemories::learn`] where nobody asks what the exits say without the memories: how far they are believed stays.
    fn learn_quietly(
        &mut self,
        model: &Model,
        rows: &[&[f32]],
        targets: &[u32],
        recalled: bool,
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
        self.close_chunk(rows, targets, recalled)
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
            .strand
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
            let delta = self.strand.deltas.get(exit - EPISODIC_EXIT);
            mlp.accumulate_under(batch, delta.filter(|_| parts.level2), threads)?;
        }
        if parts.level2 {
            let delta = &mut self.strand.deltas[exit - EPISODIC_EXIT];
            delta.learn(lesson.used, lesson.targets, lesson.probs)?;
        }
        Ok(())
    }

    /// What is learned of a chunk once its exits have learned it.
    fn close_chunk(
        &mut self,
        rows: &[impl AsRef<[f32]>],
        targets: &[u32],
        recalled: bool,
    ) -> Result<(), EngineError> {
        let parts = self.config.parts;
        if let Some(rows) = rows.get(EPISODIC_EXIT).filter(|_| parts.episodic) {
            let episodic = Arc::make_mut(&mut self.episodic);
            if recalled {
                episodic.push_batch(rows.as_ref(), targets)?;
            } else {
                episodic.pass_over(targets.len());
            }
        }
        self.tokens = self.tokens.saturating_add(targets.len() as u64);
        self.strand.since_step += targets.len();
        if self.strand.since_step >= self.config.period {
            self.strand.since_step = 0;
            if let Some(mlp) = self.strand.mlp.as_mut().filter(|_| parts.level3) {
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
        let strands: Vec<(&str, Vec<u8>)> = std::iter::once((&*self.name, &self.strand))
            .chain(self.resting.iter().map(|(name, strand)| (&**name, strand)))
            .map(|(name, strand)| (name, strand.to_bytes()))
            .collect();
        let mut body = Vec::new();
        body.put_u64s(&[self.tokens, states.len() as u64]);
        body.put_u32s(&[strands.len() as u32]);
        for (name, bytes) in &strands {
            body.put_u32s(&[name.len() as u32]);
            body.put_u64s(&[bytes.len() as u64]);
        }
        for (name, bytes) in &strands {
            body.extend_from_slice(name.as_bytes());
            body.extend_from_slice(bytes);
        }
        body.extend_from_slice(&states);
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
        let mut reader = kind.open(bytes)?;
        memories.tokens = reader.u64()?;
        let states = reader.length()?;
        let count = reader.u32()? as usize;
        let mut lengths = Vec::new();
        for _ in 0..count {
            lengths.push((reader.u32()? as usize, reader.length()?));
        }
        let mut resting = BTreeMap::new();
        for (at, (name, strand)) in lengths.into_iter().enumerate() {
            let name = std::str::from_utf8(reader.bytes(name)?);
            let name: Arc<str> = Arc::from(name.map_err(|_| kind.wrong("a strand's name"))?);
            let strand = Strand::from_bytes(&config, model.config(), kind, reader.bytes(strand)?)?;
            if at == 0 {
                (memories.name, memories.strand) = (name, strand);
            } else if name == memories.name || resting.insert(name.clone(), strand).is_some() {
                return Err(kind.wrong(format!("the strand {name} stands twice")));
            }
        }
        memories.resting = Arc::new(resting);
        let states = reader.bytes(states)?;
        reader.finish()?;
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
        let document = Document {
            strand: None,
            opening,
            text,
            recalled: true,
        };
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
            if let Some(strand) = block.strand {
                self.turn_to(strand);
            }
            for (at, targets) in block.targets.chunks(Self::CHUNK).enumerate() {
                let start = at * Self::CHUNK * width;
                let rows: Vec<&[f32]> = block
                    .rows
                    .iter()
                    .map(|rows| &rows[start..start + targets.len() * width])
                    .collect();
                self.learn_quietly(model, &rows, targets, block.recalled, 1)?;
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
                    self.learn_quietly(model, &rows, targets, true, threads)?;
                }
                left -= targets.len();
            }
            Ok(())
        })
    }
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

#[cfg(test)]
mod tests;
