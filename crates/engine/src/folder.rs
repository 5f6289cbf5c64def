//! All of a model folder: the model, the gates, the corpus' counts and the methods it was trained on.

use crate::weights_file::{PACKED_WEIGHTS, PLAIN_WEIGHTS};
use crate::{EngineError, LevelMemoriesConfig, MemoryStart, Model, Precision};
use nestor_cache::{CorpusNgram, GateSet, LongContexts, NestedCache, check_candidate_gate};
use std::path::Path;
use std::sync::Arc;

/// Every file of a model folder that a program reads; which of them must be there says docs/model-folder.md.
pub const MODEL_FILES: [&str; 11] = [
    "model.json",
    PLAIN_WEIGHTS,
    PACKED_WEIGHTS,
    "tokenizer.json",
    "gate.json",
    "candidates.json",
    "memories.safetensors",
    "memories.json",
    "ngram.bin",
    "contexts.bin",
    "methods.bin",
];

/// What a model folder holds. The optional files are `None` or empty where the folder lacks them.
#[derive(Debug, Clone)]
pub struct ModelFolder {
    /// The network, with what its memories start from (`memories.safetensors`).
    pub model: Arc<Model>,
    /// `gate.json`
    pub gates: Option<Arc<GateSet>>,
    /// `candidates.json`: what weighs the names that metadata offers, by the names of the gates of `gate.json`
    pub candidate_gates: Option<Arc<GateSet>>,
    /// `memories.json`: how its memories learn; as all do where it is missing
    pub memories: LevelMemoriesConfig,
    /// `ngram.bin`, with `contexts.bin` over it
    pub corpus: Option<Arc<CorpusNgram>>,
    /// `methods.bin`: hashes of the methods of the training rows, rising.
    pub method_hashes: Arc<[u64]>,
}

impl ModelFolder {
    /// Opens a folder and checks everything in it.
    ///
    /// # Errors
    /// [`EngineError`] that names the file, field or tensor that is wrong.
    pub fn open(dir: &Path) -> Result<Self, EngineError> {
        Self::open_as(dir, None)
    }

    /// [`ModelFolder::open`] with matrices of a precision, whatever the folder holds.
    ///
    /// # Errors
    /// As [`ModelFolder::open`].
    pub fn open_as(dir: &Path, precision: Option<Precision>) -> Result<Self, EngineError> {
        let mut model = Model::load_as(dir, precision)?;
        let gates = present(dir, "gate.json", |path| Ok(GateSet::load(path)?))?;
        let candidate_gates = present(dir, "candidates.json", |path| {
            let gates = GateSet::load(path)?;
            for (name, gate) in &gates.gates {
                check_candidate_gate(name, gate)?;
            }
            Ok(gates)
        })?;
        let memories = present(dir, "memories.json", LevelMemoriesConfig::load)?;
        let memories = memories.unwrap_or_default();
        let start = present(dir, "memories.safetensors", |path| {
            MemoryStart::load(path, model.config().width, memories.mlp.hidden)
        })?;
        let is_alone = Model::set_memory_start(&mut model, start);
        debug_assert!(is_alone, "a model that was just loaded is not shared");
        let vocab = model.config().vocab;
        let corpus = present(dir, "ngram.bin", |path| Ok(CorpusNgram::load(path)?))?;
        let long = present(dir, "contexts.bin", |path| Ok(LongContexts::load(path)?))?;
        check_vocabulary(
            "ngram.bin",
            vocab,
            corpus.as_ref().map(CorpusNgram::vocab_size),
        )?;
        check_vocabulary(
            "contexts.bin",
            vocab,
            long.as_ref().map(LongContexts::vocab_size),
        )?;
        let corpus = match (corpus, long) {
            (Some(corpus), Some(long)) => Some(corpus.with_long_contexts(Arc::new(long))?),
            // Long contexts hold only what the counts get wrong: without those they say too little.
            (corpus, _) => corpus,
        };
        let method_hashes = present(dir, "methods.bin", read_hashes)?.unwrap_or_default();
        Ok(Self {
            model,
            gates: gates.map(Arc::new),
            candidate_gates: candidate_gates.map(Arc::new),
            memories,
            corpus: corpus.map(Arc::new),
            method_hashes: method_hashes.into(),
        })
    }

    /// An empty cache over the corpus' counts.
    ///
    /// # Errors
    /// [`EngineError::Cache`] for a vocabulary that the cache cannot store.
    pub fn new_cache(&self) -> Result<NestedCache, EngineError> {
        Ok(NestedCache::new(
            self.model.config().vocab,
            self.corpus.clone(),
        )?)
    }

    /// Whether the model was trained on a method with this hash.
    pub fn has_method(&self, hash: u64) -> bool {
        self.method_hashes.binary_search(&hash).is_ok()
    }
}

fn check_vocabulary(
    part: &'static str,
    expected: usize,
    found: Option<usize>,
) -> Result<(), EngineError> {
    match found {
        Some(found) if found != expected => Err(EngineError::Vocabulary {
            part,
            expected,
            found,
        }),
        _ => Ok(()),
    }
}

fn present<T>(
    dir: &Path,
    name: &str,
    load: impl FnOnce(&Path) -> Result<T, EngineError>,
) -> Result<Option<T>, EngineError> {
    let path = dir.join(name);
    if path.exists() {
        load(&path).map(Some)
    } else {
        Ok(None)
    }
}

fn read_hashes(path: &Path) -> Result<Vec<u64>, EngineError> {
    let error = |reason: String| EngineError::File {
        path: path.to_path_buf(),
        reason,
    };
    let bytes = std::fs::read(path).map_err(|e| error(e.to_string()))?;
    let (words, rest) = bytes.as_chunks::<8>();
    if !rest.is_empty() {
        return Err(error(format!(
            "{} bytes are not whole 64-bit hashes",
            bytes.len()
        )));
    }
    let hashes: Vec<u64> = words.iter().map(|word| u64::from_le_bytes(*word)).collect();
    match hashes.windows(2).position(|pair| pair[0] > pair[1]) {
        None => Ok(hashes),
        Some(at) => Err(error(format!(
            "hash {} is smaller than the one before",
            at + 1
        ))),
    }
}
