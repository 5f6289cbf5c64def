//! All memories of a project together: what levels 2 and 3 and the episodic memory make of the exits' rows.
//!
//! Level 2 is an output delta on every exit but the first, learned when a chunk closes; level 3 is an MLP on the third exit,
//! which steps once a period; the episodic memory holds the rows of the second exit, so that the balanced speed, which
//! computes no deeper one, can ask it too. Called by `assist` and `memory`, which own the documents and decide what is
//! taught: a document forks the project's memories, and only saved text is taught to the project. It must not know about text,
//! files or time.
//!
//! What is learned from a chunk is used from the next chunk on: the caller scores a chunk before it teaches it.

use super::exit_mlp::WeightsIdentity;
use super::frame::{Kind, Put};
use super::output_delta::RowsIdentity;
use super::reading::{Document, DocumentReader, read_ahead};
use super::trust::Trust;
use super::{
    Episodic, EpisodicConfig, ExitMlp, ExitMlpConfig, MlpBatch, OutputDelta, OutputDeltaConfig,
    check_option, check_size, check_tokens,
};
use crate::session::head_logits;
use crate::{EngineError, Model};
use nestor_kernels::softmax_in_place;
use std::collections::BTreeMap;
use std::sync::Arc;

mod outline;
mod strand;

pub use outline::LevelsOutline;
use strand::Strand;

/// The exit, counted from 0, whose rows the episodic memory holds.
const EPISODIC_EXIT: usize = 1;

/// The exit, counted from 0, that level 3 corrects.
const MLP_EXIT: usize = 2;

/// Share of the episodic distribution that is spread over all tokens: what was never seen is not impossible.
const SPREAD: f32 = 0.01;

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
        Ok(Self {
            config,
            strand: Strand::new(&config, network)?,
            name: Arc::from(""),
            resting: Arc::default(),
            episodic: Arc::new(Episodic::new(
                config.episodic,
                network.vocab,
                network.width,
            )?),
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

    /// Puts a strand to work; one that has learned nothing yet begins as a fork of the one at work.
    ///
    /// ```text
    /// base ---learns---> base ------------------------> base
    ///                     +-fork-> extension --learns-->
    /// ```
    pub fn turn_to(&mut self, strand: &str) {
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

    /// Tokens taught so far.
    pub fn tokens(&self) -> u64 {
        self.tokens
    }

    /// Resident bytes, shared with clones or not.
    pub fn bytes(&self) -> usize {
        let resting: usize = self.resting.values().map(Strand::bytes).sum();
        self.strand.bytes() + resting + self.episodic.bytes()
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
        self.strand
            .trust
            .blend(exit - EPISODIC_EXIT, &answers.plain, &mut changed);
        Ok(changed)
    }

    /// [`LevelMemories::exit_probs`] for some exits, each with its rows `[n, d]`: `[all rows, V]`, the bits that it gives one by one, from
    /// one product with the head instead of several.
    ///
    /// # Errors
    /// As [`LevelMemories::exit_probs`].
    pub fn probs_of_exits(
        &self,
        model: &Model,
        rows: &[(usize, &[f32])],
        threads: usize,
    ) -> Result<Vec<f32>, EngineError> {
        let mut probs = Vec::with_capacity(rows.len() * model.config().vocab);
        for ((exit, _), answers) in rows.iter().zip(self.answers_of(model, rows, threads)?) {
            match answers.changed {
                Some(mut changed) => {
                    let at = exit - EPISODIC_EXIT;
                    self.strand.trust.blend(at, &answers.plain, &mut changed);
                    probs.extend(changed);
                }
                None => probs.extend(answers.plain),
            }
        }
        Ok(probs)
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
        let evidence = self.weigh(model, rows, targets, threads)?;
        self.believe_all(&evidence);
        Ok(())
    }

    /// What the exits gave to the n tokens that followed their rows `[n, d]`, with their memories and without: one list for each exit from
    /// the second on. [`LevelMemories::believe_all`] takes it, as often as one likes: it costs the products, which this needs.
    ///
    /// # Errors
    /// As [`LevelMemories::watch`].
    pub fn weigh(
        &self,
        model: &Model,
        rows: &[Vec<f32>],
        targets: &[u32],
        threads: usize,
    ) -> Result<Vec<Vec<Evidence>>, EngineError> {
        let vocab = model.config().vocab;
        check_tokens(targets, vocab)?;
        let exits = EPISODIC_EXIT..rows.len().min(model.config().stages);
        exits
            .map(|exit| {
                let answers = self.answers(model, exit, &rows[exit], threads)?;
                let given = |probs: &[f32], at: usize| probs[at * vocab + targets[at] as usize];
                let evidence = |at: usize| Evidence {
                    plain: given(&answers.plain, at),
                    changed: answers.changed.as_ref().map(|changed| given(changed, at)),
                };
                Ok((0..targets.len()).map(evidence).collect())
            })
            .collect()
    }

    /// Lets what [`LevelMemories::weigh`] has found decide how far the memories are believed.
    pub fn believe_all(&mut self, evidence: &[Vec<Evidence>]) {
        for (exit, evidence) in evidence.iter().enumerate() {
            for Evidence { plain, changed } in evidence {
                if let Some(changed) = changed {
                    self.strand.trust.see(exit, *plain, *changed);
                }
            }
        }
    }

    /// What tells these memories from others that answer otherwise. Keeps nothing of them alive.
    #[must_use]
    pub fn identity(&self) -> MemoriesIdentity {
        let MemoryParts { level2, level3, .. } = self.config.parts;
        MemoriesIdentity {
            deltas: self
                .strand
                .deltas
                .iter()
                .filter(|_| level2)
                .map(OutputDelta::identity)
                .collect(),
            mlp: self
                .strand
                .mlp
                .as_ref()
                .filter(|_| level3)
                .map(ExitMlp::identity),
        }
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
        self.strand
            .trust
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
    ) -> Result<(), EngineError> {
        let parts = self.config.parts;
        if let Some(rows) = rows.get(EPISODIC_EXIT).filter(|_| parts.episodic) {
            Arc::make_mut(&mut self.episodic).push_batch(rows.as_ref(), targets)?;
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
        match &self.strand.mlp {
            Some(mlp) if exit == MLP_EXIT && self.config.parts.level3 && !mlp.is_silent() => {
                mlp.forward(rows, threads).map(Some)
            }
            _ => Ok(None),
        }
    }

    /// The delta of an exit, where it changes anything.
    fn delta(&self, exit: usize) -> Option<&OutputDelta> {
        exit.checked_sub(EPISODIC_EXIT)
            .and_then(|at| self.strand.deltas.get(at))
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
        let mut answers = self.answers_of(model, &[(exit, rows)], threads)?;
        Ok(answers.remove(0))
    }

    /// What some exits, each with its rows `[n, d]`, say with their memories and without. All rows go through the head together.
    fn answers_of(
        &self,
        model: &Model,
        rows: &[(usize, &[f32])],
        threads: usize,
    ) -> Result<Vec<Answers>, EngineError> {
        let network = model.config();
        let corrected: Vec<Option<Vec<f32>>> = rows
            .iter()
            .map(|(exit, rows)| self.corrected(*exit, rows, threads))
            .collect::<Result<_, _>>()?;
        let all: Vec<f32> = rows
            .iter()
            .zip(&corrected)
            .flat_map(|((_, rows), corrected)| {
                rows.iter().chain(corrected.iter().flatten()).copied()
            })
            .collect();
        let mut logits = vec![0.0; all.len() / network.width * network.vocab];
        head_logits(model, &all, &mut logits, threads);
        let mut rest = logits.as_slice();
        let mut next = |n: usize| {
            let (own, behind) = rest.split_at(n / network.width * network.vocab);
            rest = behind;
            own.to_vec()
        };
        let mut found = Vec::with_capacity(rows.len());
        for ((exit, rows), corrected) in rows.iter().zip(corrected) {
            let mut plain = next(rows.len());
            let delta = self.delta(*exit);
            let mut changed = match (&corrected, delta) {
                (Some(corrected), _) => Some(next(corrected.len())),
                (None, Some(_)) => Some(plain.clone()),
                (None, None) => None,
            };
            if let Some((logits, delta)) = changed.as_mut().zip(delta) {
                delta.add_logits(corrected.as_deref().unwrap_or(rows), logits, threads)?;
            }
            for logits in std::iter::once(&mut plain).chain(&mut changed) {
                softmax_rows(logits, model, *exit)?;
            }
            found.push(Answers {
                plain,
                changed,
                corrected,
            });
        }
        Ok(found)
    }

    fn believe(&mut self, exit: usize, answers: &Answers, targets: &[u32]) {
        if let Some(changed) = &answers.changed {
            self.strand
                .trust
                .update(exit - EPISODIC_EXIT, &answers.plain, changed, targets);
        }
    }
}

/// Which memories of levels 2 and 3 these are, but for how far they are believed. A place in memory that is remembered here is not used
/// again for others.
#[derive(Debug, Clone)]
pub struct MemoriesIdentity {
    deltas: Vec<RowsIdentity>,
    mlp: Option<WeightsIdentity>,
}

impl PartialEq for MemoriesIdentity {
    fn eq(&self, other: &Self) -> bool {
        let deltas = self.deltas.iter().zip(&other.deltas);
        let mlp = match (&self.mlp, &other.mlp) {
            (Some(one), Some(two)) => one.ptr_eq(two),
            (one, two) => one.is_none() == two.is_none(),
        };
        self.deltas.len() == other.deltas.len()
            && mlp
            && deltas.into_iter().all(|(a, b)| a.ptr_eq(b))
    }
}

/// What an exit gave to a token that followed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Evidence {
    plain: f32,
    /// With the memories, where they are not silent.
    changed: Option<f32>,
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
