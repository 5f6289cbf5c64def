//! A nest as bytes: the live segments in order. Chains and counts are rebuilt on reading, at the speed of learning.

use std::path::Path;

use crate::error::CacheError;
use crate::format::{Kind, Reader, name_file, put_varint, read_file, write_file};
use crate::ngram::Ngram;

const KIND: Kind = Kind {
    magic: b"NestorNG",
    version: 1,
    what: "n-gram nest",
};

const COMPRESSION_LEVEL: i32 = 3;

impl Ngram {
    /// The nest as bytes. Forgotten segments are not in it, so segments are numbered anew.
    ///
    /// # Errors
    /// [`CacheError::Corrupt`] when compression fails.
    pub fn to_bytes(&self) -> Result<Vec<u8>, CacheError> {
        let mut body = Vec::with_capacity(self.len() * 2 + 64);
        put_varint(&mut body, self.max_order() as u64);
        put_varint(&mut body, self.segments().count() as u64);
        for id in self.segments() {
            let range = self.range(id)?;
            put_varint(&mut body, range.len() as u64);
            for &token in &self.stream()[range] {
                body.extend_from_slice(&token.to_le_bytes());
            }
        }
        KIND.frame(self.vocab_size(), &body, COMPRESSION_LEVEL)
    }

    /// Rebuilds a nest from [`Ngram::to_bytes`], on up to 4 threads; how many changes nothing but the time.
    ///
    /// # Errors
    /// [`CacheError::Corrupt`] naming what is wrong.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, CacheError> {
        let (vocab_size, body) = KIND.unframe(bytes)?;
        let short = || KIND.corrupt("it ends too early");
        let mut reader = Reader::new(&body);
        let max_order = reader.varint().ok_or_else(short)? as usize;
        let mut ngram = Self::new(vocab_size, max_order)?;
        let segments = reader.varint().ok_or_else(short)?;
        let mut files = Vec::new();
        for _ in 0..segments {
            let len = reader.varint().ok_or_else(short)?;
            let len = usize::try_from(len).ok().and_then(|len| len.checked_mul(2));
            let stored = len.and_then(|len| reader.take(len)).ok_or_else(short)?;
            let tokens: Vec<u32> = stored
                .chunks_exact(2)
                .map(|pair| u32::from(u16::from_le_bytes([pair[0], pair[1]])))
                .collect();
            files.push(tokens);
        }
        if reader.remaining() > 0 {
            return Err(KIND.corrupt("there are bytes after its end"));
        }
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        ngram.learn_files(&files, threads)?;
        Ok(ngram)
    }

    /// Writes the nest to a file, whole or not at all.
    ///
    /// # Errors
    /// [`CacheError::Io`] naming the file.
    pub fn save(&self, path: &Path) -> Result<(), CacheError> {
        write_file(path, &self.to_bytes()?)
    }

    /// Reads a nest from a file.
    ///
    /// # Errors
    /// [`CacheError::Io`] or [`CacheError::Corrupt`], both naming the file.
    pub fn load(path: &Path) -> Result<Self, CacheError> {
        Self::from_bytes(&read_file(path)?).map_err(|error| name_file(error, path))
    }
}
