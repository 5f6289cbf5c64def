//! The assistant: a model folder, the tokenizer, and what the project has taught.
//!
//! The facade that the command line opens. Completion itself is in [`crate::complete`].

use std::path::Path;
use std::sync::Arc;

use nestor_bsl::pieces::{Tokenizer, TokenizerError};
use nestor_cache::{CorpusNgram, GateSet};
use nestor_engine::{
    LevelMemories, LevelMemoriesConfig, Mixture, Model, ModelFolder, Precision, Speed,
};
use nestor_metadata::Metadata;
use rayon::prelude::*;

use crate::document::{file_pieces, outline_pieces};
use crate::error::AssistError;
use crate::filter::copies::KnownSignatures;
use crate::members::{MemberReader, ends_of_names};
use crate::memory::ProjectMemory;
use crate::mixture::{RowGate, SlotTable, rows_of_model, with_candidate_gates};
use crate::stream::Stream;

/// A loaded model with a project.
#[derive(Clone, Debug)]
pub struct Assistant {
    model: Arc<Model>,
    tokenizer: Arc<Tokenizer>,
    gates: Option<Arc<GateSet>>,
    candidate_gates: Option<Arc<GateSet>>,
    corpus: Option<Arc<CorpusNgram>>,
    train_methods: Arc<[u64]>,
    slots: Arc<SlotTable>,
    ends_of_names: Arc<[f32]>,
    level_config: LevelMemoriesConfig,
    memory: ProjectMemory,
    /// Shared by all that were cloned from one.
    signatures: Arc<KnownSignatures>,
    threads: Option<usize>,
}

/// What an assistant is made of.
#[derive(Clone, Debug)]
pub struct Parts {
    /// The network.
    pub model: Arc<Model>,
    /// Its tokenizer.
    pub tokenizer: Arc<Tokenizer>,
    /// What weighs exits against nests; without it they share evenly.
    pub gates: Option<Arc<GateSet>>,
    /// Counts of the training corpus.
    pub corpus: Option<Arc<CorpusNgram>>,
    /// Hashes of the methods that the model was trained on, rising.
    pub train_methods: Arc<[u64]>,
}

/// A file to learn.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LearnFile {
    /// Path inside the project.
    pub path: String,
    /// Its text; byte order mark and `\r\n` are taken off.
    pub text: String,
}

/// How far learning is, for the caller's progress bar.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LearnProgress {
    /// Files learned.
    pub files: usize,
    /// Bytes of text in them.
    pub bytes: usize,
    /// Pieces learned.
    pub pieces: usize,
}

/// What learning left behind.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LearnReport {
    /// Files learned.
    pub files: usize,
    /// Bytes of text in them.
    pub bytes: usize,
    /// Pieces in them.
    pub pieces: usize,
    /// Files that are no source text, with the reason.
    pub skipped: Vec<(String, String)>,
}

/// Files that are cut into pieces together, in parallel.
const LEARN_BATCH: usize = 64;

impl Assistant {
    /// Opens a model folder with an empty project; the network computes with 8-bit codes.
    ///
    /// # Errors
    /// [`AssistError`] naming the file or field that is wrong.
    pub fn open(model_dir: &Path) -> Result<Self, AssistError> {
        Self::open_as(model_dir, Precision::Int8)
    }

    /// [`Assistant::open`] with a network of a precision.
    ///
    /// # Errors
    /// As [`Assistant::open`].
    pub fn open_as(model_dir: &Path, precision: Precision) -> Result<Self, AssistError> {
        let folder = ModelFolder::open_as(model_dir, Some(precision))?;
        let path = model_dir.join("tokenizer.json");
        let tokenizer = Tokenizer::from_file(&path).map_err(|source| match source {
            TokenizerError::Read { source, .. } => AssistError::ModelFile {
                path: path.clone(),
                reason: source.to_string(),
            },
            source => AssistError::Tokenizer {
                path: path.clone(),
                source,
            },
        })?;
        let vocab = folder.model.config().vocab;
        if tokenizer.vocab_size() != vocab {
            return Err(AssistError::ModelFile {
                path,
                reason: format!(
                    "has {} pieces, the network of model.json has {vocab}",
                    tokenizer.vocab_size()
                ),
            });
        }
        let mut assistant = Self::from_parts(Parts {
            model: folder.model,
            tokenizer: Arc::new(tokenizer),
            gates: folder.gates,
            corpus: folder.corpus,
            train_methods: folder.method_hashes,
        })?;
        assistant.set_candidate_gates(folder.candidate_gates)?;
        assistant.level_config = folder.memories;
        Ok(assistant)
    }

    /// An assistant of parts that are loaded already, with an empty project.
    ///
    /// # Errors
    /// When the parts do not belong together.
    pub fn from_parts(parts: Parts) -> Result<Self, AssistError> {
        let stages = parts.model.config().stages;
        // Refuses gates of other components now, not at the first request.
        rows_of_model(parts.gates.as_deref(), stages)?;
        for speed in [Speed::Fast, Speed::Balanced, Speed::Accurate] {
            Mixture::for_speed(speed, stages, parts.gates.as_deref())?;
        }
        let memory = ProjectMemory::new(parts.model.config().vocab, parts.corpus.clone())?;
        Ok(Self {
            slots: Arc::new(SlotTable::new(&parts.tokenizer)),
            ends_of_names: ends_of_names(&parts.tokenizer),
            candidate_gates: None,
            model: parts.model,
            tokenizer: parts.tokenizer,
            gates: parts.gates,
            corpus: parts.corpus,
            train_methods: parts.train_methods,
            level_config: LevelMemoriesConfig::default(),
            memory,
            signatures: Arc::default(),
            threads: None,
        })
    }

    /// Learns files of the project in the order given; one that was learned before is replaced. Files that are no source
    /// text are skipped and reported. `progress` is called after every few dozen files.
    ///
    /// # Errors
    /// When the counts are full.
    pub fn learn_files(
        &mut self,
        files: impl IntoIterator<Item = LearnFile>,
        progress: &mut dyn FnMut(LearnProgress),
    ) -> Result<LearnReport, AssistError> {
        let mut report = LearnReport::default();
        let mut files = files.into_iter();
        loop {
            let batch: Vec<LearnFile> = files.by_ref().take(LEARN_BATCH).collect();
            if batch.is_empty() {
                return Ok(report);
            }
            let cut: Vec<Result<(usize, Vec<u32>), String>> = batch
                .par_iter()
                .map(|file| {
                    let text = nestor_bsl::normalise(file.text.as_bytes())
                        .map_err(|error| error.to_string())?
                        .text;
                    Ok((text.len(), file_pieces(&self.tokenizer, &file.path, &text)))
                })
                .collect();
            for (file, cut) in batch.iter().zip(cut) {
                match cut {
                    Ok((n_bytes, pieces)) => {
                        self.memory.learn(&file.path, &pieces)?;
                        report.files += 1;
                        report.bytes += n_bytes;
                        report.pieces += pieces.len();
                    }
                    Err(reason) => report.skipped.push((file.path.clone(), reason)),
                }
            }
            progress(LearnProgress {
                files: report.files,
                bytes: report.bytes,
                pieces: report.pieces,
            });
        }
    }

    /// Forgets everything that the project has taught.
    ///
    /// # Errors
    /// Never for an assistant that could be opened.
    pub fn forget_project(&mut self) -> Result<(), AssistError> {
        self.memory = self.empty_memory()?;
        Ok(())
    }

    /// A project that has taught nothing, over this model's corpus counts.
    ///
    /// # Errors
    /// Never for an assistant that could be opened.
    pub fn empty_memory(&self) -> Result<ProjectMemory, AssistError> {
        ProjectMemory::new(self.model.config().vocab, self.corpus.clone())
    }

    /// How the memories of levels 2 and 3 learn under this model.
    #[must_use]
    pub fn level_config(&self) -> LevelMemoriesConfig {
        self.level_config
    }

    /// Lets them learn otherwise than the model folder says.
    pub fn set_level_config(&mut self, config: LevelMemoriesConfig) {
        self.level_config = config;
    }

    /// Memories of levels 2 and 3 that have learned nothing.
    ///
    /// # Errors
    /// When the configuration makes no sense.
    pub fn empty_levels(&self, config: LevelMemoriesConfig) -> Result<LevelMemories, AssistError> {
        Ok(LevelMemories::new(config, &self.model)?)
    }

    /// Takes the memory of level 1 away ([`Model::silence_state`]); returns whether it could, which it can before anything was asked.
    #[must_use]
    pub fn silence_level1(&mut self) -> bool {
        Model::silence_state(&mut self.model)
    }

    /// Completions use so many threads each, instead of all of the pool that they run in. One is best where requests come together.
    pub fn set_threads(&mut self, threads: usize) {
        self.threads = Some(threads.max(1));
    }

    pub(crate) fn threads(&self) -> usize {
        self.threads.unwrap_or_else(rayon::current_num_threads)
    }

    /// Puts memories of levels 2 and 3 to work for the project, or takes them away.
    pub fn set_levels(&mut self, levels: Option<LevelMemories>) {
        self.memory.set_levels(levels);
    }

    pub(crate) fn signatures(&self) -> &KnownSignatures {
        &self.signatures
    }

    /// What the project has taught.
    #[must_use]
    pub fn memory(&self) -> &ProjectMemory {
        &self.memory
    }

    pub(crate) fn memory_mut(&mut self) -> &mut ProjectMemory {
        &mut self.memory
    }

    /// Puts what the project's configurations say to use, or takes it away.
    pub fn set_metadata(&mut self, metadata: Option<Arc<Metadata>>) {
        self.memory.set_metadata(metadata);
    }

    pub(crate) fn set_memory(&mut self, memory: ProjectMemory) {
        self.memory = memory;
    }

    /// Counts of the training corpus, where the model folder has them.
    #[must_use]
    pub fn corpus(&self) -> Option<&Arc<CorpusNgram>> {
        self.corpus.as_ref()
    }

    /// The network.
    #[must_use]
    pub fn model(&self) -> &Arc<Model> {
        &self.model
    }

    /// The tokenizer.
    #[must_use]
    pub fn tokenizer(&self) -> &Arc<Tokenizer> {
        &self.tokenizer
    }

    /// The gates, where the model folder has them.
    #[must_use]
    pub fn gates(&self) -> Option<&Arc<GateSet>> {
        self.gates.as_ref()
    }

    /// Replaces the gates.
    ///
    /// # Errors
    /// When they were fitted for other components.
    pub fn set_gates(&mut self, gates: Arc<GateSet>) -> Result<(), AssistError> {
        rows_of_model(Some(&gates), self.model.config().stages)?;
        self.gates = Some(gates);
        Ok(())
    }

    /// What weighs the names that metadata offers, by the names of the rows' gates.
    #[must_use]
    pub fn candidate_gates(&self) -> Option<&Arc<GateSet>> {
        self.candidate_gates.as_ref()
    }

    /// Replaces them; without any, metadata is not heard.
    ///
    /// # Errors
    /// When one was not fitted for candidates.
    pub fn set_candidate_gates(&mut self, gates: Option<Arc<GateSet>>) -> Result<(), AssistError> {
        with_candidate_gates(self.rows()?, gates.as_deref())?;
        self.candidate_gates = gates;
        Ok(())
    }

    /// What finds the names that metadata offers in the document at `path`; `suffix` is the text behind all places, if it is to be
    /// seen. `None` without metadata.
    #[must_use]
    pub fn members(
        &self,
        metadata: Option<&Arc<Metadata>>,
        path: &str,
        suffix: &str,
    ) -> Option<MemberReader> {
        MemberReader::new(
            Arc::clone(metadata?),
            Arc::clone(&self.tokenizer),
            Arc::clone(&self.ends_of_names),
            path,
            suffix,
        )
    }

    /// What the network reads behind the header of the document at `path`: pieces of what the metadata says of its object and form. None
    /// without metadata, and for a model that was not trained with it (`outlines` in `model.json`).
    #[must_use]
    pub fn outline(&self, metadata: Option<&Arc<Metadata>>, path: &str) -> Vec<u32> {
        let reads = self.model.manifest().is_some_and(|model| model.outlines);
        match metadata.filter(|_| reads) {
            Some(metadata) => outline_pieces(&self.tokenizer, &metadata.outline(path)),
            None => Vec::new(),
        }
    }

    /// Hashes of the methods that the model was trained on, rising.
    #[must_use]
    pub fn train_methods(&self) -> &Arc<[u64]> {
        &self.train_methods
    }

    /// Runs whole files through the model.
    #[must_use]
    pub fn stream(&self) -> Stream<'_> {
        Stream::new(&self.model, &self.slots)
    }

    /// The rows of the accuracy tables that the model has.
    ///
    /// # Errors
    /// Never for an assistant that could be opened.
    pub fn rows(&self) -> Result<Vec<RowGate>, AssistError> {
        let rows = rows_of_model(self.gates.as_deref(), self.model.config().stages)?;
        Ok(with_candidate_gates(rows, self.candidate_gates.as_deref())?)
    }

    pub(crate) fn mixture(&self, speed: Speed) -> Result<Mixture, AssistError> {
        let stages = self.model.config().stages;
        let mixture = Mixture::for_speed(speed, stages, self.gates.as_deref())?;
        let mixture = mixture.with_slots(self.slots.classes());
        let gates = self.candidate_gates.as_ref();
        match gates.and_then(|gates| gates.gates.get(speed.name())) {
            Some(gate) => Ok(mixture.with_candidate_gate(Arc::new(gate.clone()))?),
            None => Ok(mixture),
        }
    }
}
