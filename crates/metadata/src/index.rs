//! The facts of all files of a project, packed, by path: what is kept on disk and brought up to date file by file.
//!
//! Callers ask [`Index::is_current`] with the hash of a file before they read it, hand over what changed, and
//! [`link`](Index::link) the whole. Reading a file is [`read_file`](crate::read_file), which is pure: callers read in parallel and
//! [`insert`](Index::insert) in any order; the linked result does not depend on it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use thiserror::Error;

use crate::facts::FileFacts;
use crate::kinds::ObjectKind;
use crate::link;
use crate::model::Metadata;
use crate::problem::Problem;
use crate::read::read_file;

const MAGIC: &[u8; 8] = b"NestorMD";
const FORMAT_VERSION: u32 = 2;
const HEADER_LEN: usize = 8 + 4 + 32;
/// It is written after every change; level 6 makes it a sixth smaller and takes half as long again.
const ZSTD_LEVEL: i32 = 3;

/// Why bytes are no index.
#[derive(Debug, Error)]
pub enum IndexError {
    /// Something else than an index.
    #[error("not a metadata index: it does not begin with NestorMD")]
    Foreign,
    /// An index of another format.
    #[error(
        "the metadata index has format version {found}; this program reads version {FORMAT_VERSION}"
    )]
    Version {
        /// Its version.
        found: u32,
    },
    /// The bytes are not those that were written.
    #[error("the metadata index is damaged: {reason}")]
    Damaged {
        /// What does not fit.
        reason: String,
    },
}

/// Says whether two files hold the same bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct FileHash([u8; 16]);

impl FileHash {
    /// The hash of a file's bytes: 16 bytes of SHA-256.
    pub fn of(bytes: &[u8]) -> FileHash {
        let digest = Sha256::digest(bytes);
        let mut hash = [0; 16];
        hash.copy_from_slice(&digest[..16]);
        FileHash(hash)
    }
}

/// What one file says, and of which bytes it is said.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Entry {
    hash: FileHash,
    root: Option<RootMark>,
    /// [`FileFacts`] in postcard; empty where the file says nothing.
    packed: Box<[u8]>,
}

/// That a root begins at a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum RootMark {
    Base { name: String },
    Extension { name: String },
    External { kind: ObjectKind, name: String },
}

/// The facts of all files by path. See the module's documentation.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Index {
    files: BTreeMap<Box<str>, Entry>,
}

impl Index {
    /// An index of no files.
    pub fn new() -> Index {
        Index::default()
    }

    /// Reads the file at `path` and keeps what it says in the place of what it said before. Paths have `/`, and those of one
    /// project start at one folder.
    pub fn add(&mut self, path: &str, bytes: &[u8]) {
        let hash = FileHash::of(bytes);
        if !self.is_current(path, hash) {
            self.insert(path, hash, read_file(path, bytes));
        }
    }

    /// Keeps what [`read_file`] said of the file at `path`.
    pub fn insert(&mut self, path: &str, hash: FileHash, facts: Option<FileFacts>) {
        let root = facts.as_ref().and_then(root_mark);
        let packed = facts
            .map(|facts| postcard::to_stdvec(&facts).expect("facts are plain data"))
            .unwrap_or_default();
        self.files.insert(
            path.into(),
            Entry {
                hash,
                root,
                packed: packed.into(),
            },
        );
    }

    /// Whether the file at `path` was read when it had these bytes.
    pub fn is_current(&self, path: &str, hash: FileHash) -> bool {
        self.files.get(path).is_some_and(|entry| entry.hash == hash)
    }

    /// Whether a file was read under this path.
    pub fn holds(&self, path: &str) -> bool {
        self.files.contains_key(path)
    }

    /// Forgets the file at `path`; says whether it was there.
    pub fn remove(&mut self, path: &str) -> bool {
        self.files.remove(path).is_some()
    }

    /// Forgets the files whose path `keeps` does not hold.
    pub fn retain(&mut self, mut keeps: impl FnMut(&str) -> bool) {
        self.files.retain(|path, _| keeps(path));
    }

    /// The paths, in order.
    pub fn paths(&self) -> impl Iterator<Item = &str> {
        self.files.keys().map(|path| &**path)
    }

    /// Links all files. Problems come in the order of their paths, each once.
    pub fn link(&self) -> (Metadata, Vec<Problem>) {
        link::link(self)
    }

    /// The files that say something and where roots begin, in the order of paths.
    pub(crate) fn facts(&self) -> impl Iterator<Item = (&str, FileFacts<&str>)> {
        self.files
            .iter()
            .filter(|(_, entry)| !entry.packed.is_empty())
            .filter_map(|(path, entry)| {
                // `load` has proved the bytes; a failure here would be a fault of `insert`.
                postcard::from_bytes(&entry.packed)
                    .ok()
                    .map(|facts| (&**path, facts))
            })
    }

    pub(crate) fn root_marks(&self) -> impl Iterator<Item = (&str, &RootMark)> {
        self.files
            .iter()
            .filter_map(|(path, entry)| entry.root.as_ref().map(|root| (&**path, root)))
    }

    /// Bytes held in memory, about.
    pub fn heap_bytes(&self) -> usize {
        self.files
            .iter()
            .map(|(path, entry)| path.len() + entry.packed.len() + size_of::<Entry>() + 32)
            .sum()
    }

    /// The index as bytes that prove themselves: magic, version, SHA-256 of the rest, the rest as zstd.
    pub fn save(&self) -> Vec<u8> {
        let plain = postcard::to_stdvec(&self.files).expect("facts are plain data");
        let body =
            zstd::encode_all(&plain[..], ZSTD_LEVEL).expect("writing to memory does not fail");
        let mut bytes = Vec::with_capacity(HEADER_LEN + body.len());
        bytes.extend_from_slice(MAGIC);
        bytes.extend_from_slice(&FORMAT_VERSION.to_le_bytes());
        bytes.extend_from_slice(&Sha256::digest(&body));
        bytes.extend_from_slice(&body);
        bytes
    }

    /// Reads what [`save`](Index::save) wrote.
    ///
    /// # Errors
    /// [`IndexError`] when the bytes are something else, of another version, or damaged.
    pub fn load(bytes: &[u8]) -> Result<Index, IndexError> {
        if !bytes.starts_with(MAGIC) {
            return Err(IndexError::Foreign);
        }
        let damaged = |reason: &str| IndexError::Damaged {
            reason: reason.to_owned(),
        };
        let (header, body) = bytes
            .split_at_checked(HEADER_LEN)
            .ok_or_else(|| damaged("it is too short"))?;
        let version: [u8; 4] = header[8..12].try_into().expect("four bytes");
        let found = u32::from_le_bytes(version);
        if found != FORMAT_VERSION {
            return Err(IndexError::Version { found });
        }
        if header[12..] != Sha256::digest(body)[..] {
            return Err(damaged("its hash is wrong"));
        }
        let plain = zstd::decode_all(body).map_err(|error| damaged(&error.to_string()))?;
        let files: BTreeMap<Box<str>, Entry> =
            postcard::from_bytes(&plain).map_err(|error| damaged(&error.to_string()))?;
        Ok(Index { files })
    }
}

fn root_mark(facts: &FileFacts) -> Option<RootMark> {
    if let Some(configuration) = &facts.configuration {
        let name = configuration.name.clone();
        return Some(if configuration.is_extension {
            RootMark::Extension { name }
        } else {
            RootMark::Base { name }
        });
    }
    let object = facts.object.as_ref()?;
    matches!(
        object.kind,
        ObjectKind::ExternalDataProcessor | ObjectKind::ExternalReport
    )
    .then(|| RootMark::External {
        kind: object.kind,
        name: object.name.clone(),
    })
}
