//! `manifest.json`: what went into a corpus and what came out.
//!
//! It holds neither times nor paths of the machine, so the same sources and the same configuration give the same bytes.
//! The hash of this file names the corpus in models.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::CorpusError;
use crate::source::SourceKind;

/// The version this code writes. It reads the one before too, whose index has no outlines.
pub const FORMAT_VERSION: u32 = 2;
const OLDEST_READ: u32 = 1;
/// The manifest's name in the corpus folder.
pub const MANIFEST_FILE: &str = "manifest.json";
/// The tokenizer's name in the corpus folder.
pub const TOKENIZER_FILE: &str = "tokenizer.json";
/// The index's name in the corpus folder.
pub const INDEX_FILE: &str = "index.jsonl.zst";
/// The folder of the shards in the corpus folder.
pub const SHARDS_FOLDER: &str = "shards";

/// What a project is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// The slow weights and the tokenizer learn from it.
    Train,
    /// Kept from the slow weights: gate, rates and memories are fitted on it.
    Withheld,
    /// Only measured on.
    Dev,
}

impl Role {
    /// The role's name in lists and manifests.
    pub fn name(self) -> &'static str {
        match self {
            Role::Train => "train",
            Role::Withheld => "withheld",
            Role::Dev => "dev",
        }
    }

    /// The role of that name.
    pub fn from_name(name: &str) -> Option<Role> {
        [Role::Train, Role::Withheld, Role::Dev]
            .into_iter()
            .find(|role| role.name() == name)
    }
}

/// The language that the names of a file or method are written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Language {
    /// More Cyrillic letters than Latin ones.
    Russian,
    /// More Latin letters, or none at all.
    English,
}

impl Language {
    /// The language of `text`, by its letters.
    pub fn of(text: &str) -> Language {
        let latin = text.bytes().filter(u8::is_ascii_alphabetic).count();
        // Cyrillic letters of Russian lead with 0xD0 or 0xD1 in UTF-8, and no continuation byte is that high.
        let cyrillic = text
            .bytes()
            .filter(|byte| matches!(byte, 0xD0 | 0xD1))
            .count();
        if cyrillic > latin {
            Language::Russian
        } else {
            Language::English
        }
    }
}

/// The whole manifest.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// [`FORMAT_VERSION`].
    pub format_version: u32,
    /// The values the corpus was built with.
    pub config: ManifestConfig,
    /// One entry a source, in the order of the corpus: train, withheld, dev, each in the order given.
    pub sources: Vec<SourceEntry>,
    /// Sums over the sources.
    pub totals: Counts,
    /// Stored files by their language: what bytes a token stands for on average.
    pub languages: BTreeMap<Language, LanguageCounts>,
    /// The tokenizer.
    pub tokenizer: TokenizerEntry,
    /// SHA-256 of the index file.
    pub index_sha256: String,
    /// The shards in their order.
    pub shards: Vec<ShardEntry>,
}

/// The values that decide what is built, beside the sources.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ManifestConfig {
    /// Pieces asked for.
    pub vocab_size: usize,
    /// Lower and upper share of English in the tokenizer's training text.
    pub english_share: [f64; 2],
    /// Most tokens in a shard, unless one file has more.
    pub shard_tokens: usize,
    /// Seed of the near-duplicate search.
    pub seed: u64,
}

/// What one source gave.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SourceEntry {
    /// The project's name.
    pub name: String,
    /// How it is stored.
    pub kind: SourceKind,
    /// What it is for.
    pub role: Role,
    /// Its licence: as given, else as found in it, else `unknown`.
    pub licence: String,
    /// The commit, for a git repository.
    pub revision: Option<String>,
    /// SHA-256 over the paths and texts of its files.
    pub content_sha256: String,
    /// Its figures.
    pub counts: Counts,
    /// What could not be read, in path order.
    pub skipped: Vec<SkippedEntry>,
}

/// A file that was not read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SkippedEntry {
    /// Its path in the source.
    pub path: String,
    /// Why.
    pub reason: String,
}

/// Figures of a source or of the corpus.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Counts {
    /// Modules read.
    pub files: u64,
    /// Bytes of their text (no byte order mark, `\n` line ends).
    pub bytes: u64,
    /// Modules whose text an earlier one has: not stored again.
    pub duplicate_files: u64,
    /// Modules without text: neither read nor stored.
    pub empty_files: u64,
    /// Files that could not be read.
    pub skipped_files: u64,
    /// Methods in the modules read.
    pub methods: u64,
    /// Methods with a hash that no earlier method has.
    pub unique_methods: u64,
    /// Unique methods that nearly repeat an earlier one.
    pub near_duplicates: u64,
    /// Files stored.
    pub stored_files: u64,
    /// Tokens stored.
    pub tokens: u64,
}

impl Counts {
    /// Adds the figures of `other`.
    pub fn add(&mut self, other: &Counts) {
        self.files += other.files;
        self.bytes += other.bytes;
        self.duplicate_files += other.duplicate_files;
        self.empty_files += other.empty_files;
        self.skipped_files += other.skipped_files;
        self.methods += other.methods;
        self.unique_methods += other.unique_methods;
        self.near_duplicates += other.near_duplicates;
        self.stored_files += other.stored_files;
        self.tokens += other.tokens;
    }
}

/// Stored text of one language.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LanguageCounts {
    /// Files.
    pub files: u64,
    /// Bytes of text.
    pub bytes: u64,
    /// Tokens.
    pub tokens: u64,
}

/// The tokenizer of the corpus.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TokenizerEntry {
    /// SHA-256 of `tokenizer.json`.
    pub sha256: String,
    /// Pieces it has; fewer than asked for where the text has not enough.
    pub vocab_size: usize,
    /// Share of English in the text it was trained on, after balancing; absent for a tokenizer that was given.
    pub english_share: Option<f64>,
}

/// One shard file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ShardEntry {
    /// Its name under `shards/`.
    pub file: String,
    /// SHA-256 of the file.
    pub sha256: String,
    /// Tokens in it.
    pub tokens: u64,
}

impl Manifest {
    /// Reads the manifest at `path` and gives its SHA-256 too.
    pub fn read(path: &Path) -> Result<(Manifest, String), CorpusError> {
        let bytes = std::fs::read(path).map_err(CorpusError::io(path))?;
        let version: Version =
            serde_json::from_slice(&bytes).map_err(|error| CorpusError::corrupt(path, error))?;
        if !(OLDEST_READ..=FORMAT_VERSION).contains(&version.format_version) {
            return Err(CorpusError::Version {
                path: path.to_owned(),
                found: version.format_version,
                expected: FORMAT_VERSION,
            });
        }
        let manifest =
            serde_json::from_slice(&bytes).map_err(|error| CorpusError::corrupt(path, error))?;
        Ok((manifest, sha256_hex(&bytes)))
    }

    /// The bytes of `manifest.json`.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes =
            serde_json::to_vec_pretty(self).expect("a manifest has only strings and numbers");
        bytes.push(b'\n');
        bytes
    }
}

/// Read before everything else, so that a manifest of another version is refused by its version.
#[derive(Deserialize)]
struct Version {
    format_version: u32,
}

/// SHA-256 in lower-case hexadecimal.
pub(crate) fn sha256_hex(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

pub(crate) fn hex(digest: &[u8]) -> String {
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_language_is_that_of_most_letters() {
        assert_eq!(
            Language::of("Процедура Х() Экспорт КонецПроцедуры"),
            Language::Russian
        );
        assert_eq!(Language::of("Procedure Run() // тест"), Language::English);
        assert_eq!(
            Language::of("HTTPСоединение = Новый HTTPСоединение;"),
            Language::Russian
        );
        assert_eq!(Language::of("123;"), Language::English);
    }

    #[test]
    fn roles_have_names() {
        for role in [Role::Train, Role::Withheld, Role::Dev] {
            assert_eq!(Role::from_name(role.name()), Some(role));
        }
        assert_eq!(Role::from_name("test"), None);
    }
}
