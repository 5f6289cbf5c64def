//! Writes shards and the index; the builder calls it with files in their order.
//!
//! A shard is eight bytes that name the format, then one zstd frame of little-endian two-byte tokens.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

use super::{FileEntry, index};
use crate::CorpusError;
use crate::manifest::{INDEX_FILE, SHARDS_FOLDER, ShardEntry, sha256_hex};

const MAGIC: &[u8; 8] = b"NSTSHRD1";
const COMPRESSION_LEVEL: i32 = 3;

/// Collects the tokens of files into shards of a corpus folder.
pub(crate) struct ShardWriter {
    folder: PathBuf,
    shard_tokens: usize,
    open: Vec<u16>,
    shards: Vec<ShardEntry>,
    files: Vec<FileEntry>,
}

impl ShardWriter {
    /// Writes into `folder`, which exists; a shard is closed before a file that would make it larger than `shard_tokens`.
    pub(crate) fn new(folder: &Path, shard_tokens: usize) -> Result<ShardWriter, CorpusError> {
        let shards = folder.join(SHARDS_FOLDER);
        std::fs::create_dir(&shards).map_err(CorpusError::io(&shards))?;
        Ok(ShardWriter {
            folder: folder.to_owned(),
            shard_tokens,
            open: Vec::new(),
            shards: Vec::new(),
            files: Vec::new(),
        })
    }

    /// Adds a file; the entry's place in a shard is filled in here.
    pub(crate) fn push(&mut self, mut entry: FileEntry, tokens: &[u16]) -> Result<(), CorpusError> {
        if !self.open.is_empty() && self.open.len() + tokens.len() > self.shard_tokens {
            self.close_shard()?;
        }
        entry.shard = self.shards.len();
        entry.tokens = self.open.len()..self.open.len() + tokens.len();
        self.open.extend_from_slice(tokens);
        self.files.push(entry);
        Ok(())
    }

    /// Writes the last shard and the index. Gives the shards and the hash of the index.
    pub(crate) fn finish(mut self) -> Result<(Vec<ShardEntry>, String), CorpusError> {
        if !self.open.is_empty() {
            self.close_shard()?;
        }
        let path = self.folder.join(INDEX_FILE);
        let index = index::encode(&self.files).map_err(CorpusError::io(&path))?;
        write_durably(&path, &index)?;
        Ok((self.shards, sha256_hex(&index)))
    }

    fn close_shard(&mut self) -> Result<(), CorpusError> {
        let name = format!("{:05}.zst", self.shards.len());
        let path = self.folder.join(SHARDS_FOLDER).join(&name);
        let file = encode_shard(&self.open).map_err(CorpusError::io(&path))?;
        write_durably(&path, &file)?;
        self.shards.push(ShardEntry {
            file: name,
            sha256: sha256_hex(&file),
            tokens: self.open.len() as u64,
        });
        self.open.clear();
        Ok(())
    }
}

/// Writes a new file and waits until the disk has it.
pub(crate) fn write_durably(path: &Path, bytes: &[u8]) -> Result<(), CorpusError> {
    let mut file = File::create(path).map_err(CorpusError::io(path))?;
    file.write_all(bytes)
        .and_then(|()| file.sync_all())
        .map_err(CorpusError::io(path))
}

fn encode_shard(tokens: &[u16]) -> std::io::Result<Vec<u8>> {
    let bytes: Vec<u8> = tokens
        .iter()
        .flat_map(|token| token.to_le_bytes())
        .collect();
    let mut file = MAGIC.to_vec();
    file.extend(zstd::bulk::compress(&bytes, COMPRESSION_LEVEL)?);
    Ok(file)
}

/// The tokens of a shard file.
pub(super) fn decode_shard(file: &[u8]) -> Result<Vec<u16>, String> {
    let frame = file
        .strip_prefix(MAGIC)
        .ok_or("not a shard of this version")?;
    let bytes = zstd::decode_all(frame).map_err(|error| error.to_string())?;
    if bytes.len() % 2 != 0 {
        return Err("half a token at its end".to_owned());
    }
    Ok(bytes
        .chunks_exact(2)
        .map(|pair| u16::from_le_bytes([pair[0], pair[1]]))
        .collect())
}
