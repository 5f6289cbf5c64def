//! A corpus on disk, read file by file.
//!
//! The training loader, the evaluation and the `corpus` commands read corpora through [`Corpus`]. The index (files and
//! methods) is in memory, the tokens come from shards of about 4 MB each, of which a few are kept: a corpus may be larger
//! than memory. Every shard's hash is checked before its tokens are used.

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use nestor_bsl::Tokenizer;
use rayon::prelude::*;

use crate::CorpusError;
use crate::manifest::{
    INDEX_FILE, Language, MANIFEST_FILE, Manifest, Role, SHARDS_FOLDER, TOKENIZER_FILE, sha256_hex,
};

mod index;
mod write;

pub(crate) use write::{ShardWriter, write_durably};

/// One project of a corpus.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Project {
    /// Its name.
    pub name: String,
    /// What it is for.
    pub role: Role,
    /// Its licence.
    pub licence: String,
    /// Its files, in path order. Files whose text an earlier file of the corpus has are not among them.
    pub files: Range<usize>,
}

/// A method in a stored file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MethodSpan {
    /// Its tokens in the file, doc comment and annotations included; white space before it may be in its first token.
    pub tokens: Range<usize>,
    /// [`nestor_bsl::method_hash`].
    pub hash: u64,
    /// No earlier method of the corpus has this hash.
    pub is_first: bool,
    /// Methods that nearly repeat each other share a group.
    pub group: u32,
}

/// What the index says about a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileEntry {
    /// Its project in [`Corpus::projects`].
    pub project: usize,
    /// Its path in the source.
    pub path: String,
    /// What a document of this file starts with: object type, object name, module kind.
    pub header: String,
    /// What the project's metadata says of its object and form ([`nestor_metadata::Metadata::outline`]); empty where it says nothing.
    pub outline: String,
    /// The language of most of its letters.
    pub language: Language,
    /// Bytes of its text.
    pub bytes: usize,
    /// Its shard, and its tokens in it.
    pub(crate) shard: usize,
    pub(crate) tokens: Range<usize>,
    /// Its methods in their order.
    pub methods: Vec<MethodSpan>,
}

impl FileEntry {
    /// Number of its tokens.
    pub fn n_tokens(&self) -> usize {
        self.tokens.len()
    }
}

/// A file with its tokens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileRecord {
    /// Its project in [`Corpus::projects`].
    pub project: usize,
    /// Its path in the source.
    pub path: String,
    /// What a document of this file starts with.
    pub header: String,
    /// What the project's metadata says of its object and form; empty where it says nothing.
    pub outline: String,
    /// Bytes of its text.
    pub bytes: usize,
    /// The text's tokens; no special ones.
    pub tokens: Vec<u32>,
    /// Its methods in their order.
    pub methods: Vec<MethodSpan>,
}

/// Shards kept decoded, least recently used first.
const KEPT_SHARDS: usize = 4;

/// An open corpus. Cheap to share between threads.
pub struct Corpus {
    folder: PathBuf,
    manifest: Manifest,
    sha256: String,
    projects: Vec<Project>,
    files: Vec<FileEntry>,
    tokenizer: Arc<Tokenizer>,
    kept: Mutex<Vec<(usize, Arc<Vec<u16>>)>>,
}

impl std::fmt::Debug for Corpus {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Corpus")
            .field("folder", &self.folder)
            .field("sha256", &self.sha256)
            .field("files", &self.files.len())
            .finish()
    }
}

impl Corpus {
    /// Opens the corpus in `folder`: checks the manifest, the tokenizer and the index. Shards are checked when they are used.
    pub fn open(folder: impl AsRef<Path>) -> Result<Corpus, CorpusError> {
        let folder = folder.as_ref().to_owned();
        let (manifest, sha256) = Manifest::read(&folder.join(MANIFEST_FILE))?;
        let tokenizer_path = folder.join(TOKENIZER_FILE);
        let tokenizer_file = read_checked(&tokenizer_path, &manifest.tokenizer.sha256)?;
        let tokenizer =
            Tokenizer::from_bytes(&tokenizer_file).map_err(|source| CorpusError::Tokenizer {
                path: tokenizer_path,
                source,
            })?;
        let index_path = folder.join(INDEX_FILE);
        let files = index::decode(
            &read_checked(&index_path, &manifest.index_sha256)?,
            &manifest,
        )
        .map_err(|reason| CorpusError::corrupt(&index_path, reason))?;
        let projects = projects(&manifest, &files);
        Ok(Corpus {
            folder,
            manifest,
            sha256,
            projects,
            files,
            tokenizer: Arc::new(tokenizer),
            kept: Mutex::default(),
        })
    }

    /// The folder it was opened from.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Its manifest.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// SHA-256 of the manifest: the name of this corpus in models.
    pub fn sha256(&self) -> &str {
        &self.sha256
    }

    /// Its tokenizer.
    pub fn tokenizer(&self) -> &Arc<Tokenizer> {
        &self.tokenizer
    }

    /// Its projects: train, withheld, dev, each in the order of the build.
    pub fn projects(&self) -> &[Project] {
        &self.projects
    }

    /// What the index says about each file, in the order of projects and paths.
    pub fn files(&self) -> &[FileEntry] {
        &self.files
    }

    /// A file with its tokens.
    pub fn file(&self, index: usize) -> Result<FileRecord, CorpusError> {
        let entry = self.entry(index)?;
        Ok(FileRecord {
            project: entry.project,
            path: entry.path.clone(),
            header: entry.header.clone(),
            outline: entry.outline.clone(),
            bytes: entry.bytes,
            tokens: self.tokens(index)?,
            methods: entry.methods.clone(),
        })
    }

    /// A file's tokens alone.
    pub fn tokens(&self, index: usize) -> Result<Vec<u32>, CorpusError> {
        let entry = self.entry(index)?;
        let shard = self.shard(entry.shard)?;
        Ok(shard[entry.tokens.clone()]
            .iter()
            .map(|&token| u32::from(token))
            .collect())
    }

    /// A file's text: its tokens decoded.
    pub fn text(&self, index: usize) -> Result<String, CorpusError> {
        let bytes = self.tokenizer.decode(&self.tokens(index)?);
        let entry = self.entry(index)?;
        let text = String::from_utf8(bytes)
            .ok()
            .filter(|text| text.len() == entry.bytes);
        text.ok_or_else(|| {
            CorpusError::corrupt(
                self.shard_path(entry.shard),
                format!(
                    "the tokens of {} give no text of {} bytes",
                    entry.path, entry.bytes
                ),
            )
        })
    }

    /// The hashes of all methods of the projects to train on, sorted, each once.
    pub fn train_method_hashes(&self) -> Vec<u64> {
        let train = self
            .files
            .iter()
            .filter(|file| self.projects[file.project].role == Role::Train);
        let mut hashes: Vec<u64> = train
            .flat_map(|file| &file.methods)
            .filter(|method| method.is_first)
            .map(|method| method.hash)
            .collect();
        hashes.sort_unstable();
        hashes.dedup();
        hashes
    }

    /// Reads every shard and compares it with the manifest; the first that differs is the error.
    pub fn verify(&self) -> Result<(), CorpusError> {
        (0..self.manifest.shards.len())
            .into_par_iter()
            .try_for_each(|shard| self.load_shard(shard).map(drop))
    }

    fn entry(&self, index: usize) -> Result<&FileEntry, CorpusError> {
        self.files.get(index).ok_or(CorpusError::NoSuchFile {
            index,
            files: self.files.len(),
        })
    }

    fn shard(&self, shard: usize) -> Result<Arc<Vec<u16>>, CorpusError> {
        {
            let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(at) = kept.iter().position(|(kept, _)| *kept == shard) {
                let found = kept.remove(at);
                kept.push(found.clone());
                return Ok(found.1);
            }
        }
        // Decoding takes milliseconds: other threads go on meanwhile, even if two of them decode one shard.
        let loaded = Arc::new(self.load_shard(shard)?);
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() >= KEPT_SHARDS {
            kept.remove(0);
        }
        kept.push((shard, Arc::clone(&loaded)));
        Ok(loaded)
    }

    fn load_shard(&self, shard: usize) -> Result<Vec<u16>, CorpusError> {
        let entry = &self.manifest.shards[shard];
        let path = self.shard_path(shard);
        let file = read_checked(&path, &entry.sha256)?;
        let tokens =
            write::decode_shard(&file).map_err(|reason| CorpusError::corrupt(&path, reason))?;
        if tokens.len() as u64 != entry.tokens {
            return Err(CorpusError::corrupt(
                &path,
                format!("{} tokens instead of {}", tokens.len(), entry.tokens),
            ));
        }
        Ok(tokens)
    }

    fn shard_path(&self, shard: usize) -> PathBuf {
        self.folder
            .join(SHARDS_FOLDER)
            .join(&self.manifest.shards[shard].file)
    }
}

/// Reads a file of the corpus and compares its hash with the manifest's.
fn read_checked(path: &Path, sha256: &str) -> Result<Vec<u8>, CorpusError> {
    let bytes = std::fs::read(path).map_err(CorpusError::io(path))?;
    let found = sha256_hex(&bytes);
    if found != sha256 {
        return Err(CorpusError::corrupt(
            path,
            format!("its SHA-256 is {found}, the manifest says {sha256}"),
        ));
    }
    Ok(bytes)
}

fn projects(manifest: &Manifest, files: &[FileEntry]) -> Vec<Project> {
    let project = |(idx, source): (usize, &crate::manifest::SourceEntry)| Project {
        name: source.name.clone(),
        role: source.role,
        licence: source.licence.clone(),
        files: files.partition_point(|file| file.project < idx)
            ..files.partition_point(|file| file.project <= idx),
    };
    manifest.sources.iter().enumerate().map(project).collect()
}

#[cfg(test)]
mod tests;
