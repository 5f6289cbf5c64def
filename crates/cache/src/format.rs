//! The frame around the crate's binary files: magic, version, vocabulary, length, SHA-256, compressed body.
//!
//! Called by `corpus_format` and `ngram_format`. Reading never trusts a length and never panics.

use std::path::Path;

use sha2::{Digest, Sha256};

use crate::error::CacheError;

/// Header: magic 8, version 4, vocabulary 4, body length 8, payload length 8, SHA-256 of all that and the payload 32.
const HEADER_LEN: usize = 64;

/// What the hash covers of the header: all before the hash.
const HASHED_HEADER: usize = 32;

/// No file of ours unpacks to more.
const MAX_BODY_LEN: u64 = 4 << 30;

/// What a file is.
pub(crate) struct Kind {
    /// Eight bytes at the start of the file.
    pub(crate) magic: &'static [u8; 8],
    pub(crate) version: u32,
    /// The words of error messages.
    pub(crate) what: &'static str,
}

impl Kind {
    pub(crate) fn corrupt(&self, reason: impl Into<String>) -> CacheError {
        CacheError::Corrupt {
            what: self.what.to_owned(),
            reason: reason.into(),
        }
    }

    /// Compresses `body` and puts the header before it.
    pub(crate) fn frame(
        &self,
        vocab_size: usize,
        body: &[u8],
        level: i32,
    ) -> Result<Vec<u8>, CacheError> {
        let payload = zstd::bulk::compress(body, level)
            .map_err(|error| self.corrupt(format!("compression failed: {error}")))?;
        let mut bytes = Vec::with_capacity(HEADER_LEN + payload.len());
        bytes.extend_from_slice(self.magic);
        bytes.extend_from_slice(&self.version.to_le_bytes());
        bytes.extend_from_slice(&(vocab_size as u32).to_le_bytes());
        bytes.extend_from_slice(&(body.len() as u64).to_le_bytes());
        bytes.extend_from_slice(&(payload.len() as u64).to_le_bytes());
        let hash = hash(&bytes, &payload);
        bytes.extend_from_slice(&hash);
        bytes.extend_from_slice(&payload);
        Ok(bytes)
    }

    /// Checks the header and the hash; returns the vocabulary size and the body.
    pub(crate) fn unframe(&self, bytes: &[u8]) -> Result<(usize, Vec<u8>), CacheError> {
        let Some((header, payload)) = bytes.split_at_checked(HEADER_LEN) else {
            return Err(self.corrupt("it ends inside its header"));
        };
        if header[..8] != *self.magic {
            return Err(self.corrupt("it does not start with the magic bytes of its kind"));
        }
        let version = u32_at(header, 8);
        if version != self.version {
            return Err(self.corrupt(format!(
                "format version {version} is unknown, this program reads {}",
                self.version
            )));
        }
        if u64_at(header, 24) != payload.len() as u64 {
            return Err(self.corrupt(format!(
                "{} bytes of content expected, {} found",
                u64_at(header, 24),
                payload.len()
            )));
        }
        if hash(&header[..HASHED_HEADER], payload) != header[HASHED_HEADER..] {
            return Err(self.corrupt("its SHA-256 does not match its content"));
        }
        let body_len = u64_at(header, 16);
        if body_len > MAX_BODY_LEN {
            return Err(self.corrupt(format!("it claims to unpack to {body_len} bytes")));
        }
        let body = zstd::bulk::decompress(payload, body_len as usize)
            .map_err(|error| self.corrupt(format!("its content does not unpack: {error}")))?;
        if body.len() as u64 != body_len {
            return Err(self.corrupt(format!("it unpacks to {} bytes", body.len())));
        }
        Ok((u32_at(header, 12) as usize, body))
    }
}

/// Writes through a temporary file beside `path`, so that nothing half-written is left.
pub(crate) fn write_file(path: &Path, bytes: &[u8]) -> Result<(), CacheError> {
    let io = |source| CacheError::Io {
        action: "cannot write",
        path: path.to_owned(),
        source,
    };
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".partial");
    let partial = path.with_file_name(name);
    let written = std::fs::File::create(&partial).and_then(|mut file| {
        std::io::Write::write_all(&mut file, bytes)?;
        file.sync_all()
    });
    let done = written.and_then(|()| std::fs::rename(&partial, path));
    if done.is_err() {
        // The first error is the one to tell.
        let _ = std::fs::remove_file(&partial);
    }
    done.map_err(io)
}

pub(crate) fn read_file(path: &Path) -> Result<Vec<u8>, CacheError> {
    std::fs::read(path).map_err(|source| CacheError::Io {
        action: "cannot read",
        path: path.to_owned(),
        source,
    })
}

/// Puts the file's name into an error about its content.
pub(crate) fn name_file(error: CacheError, path: &Path) -> CacheError {
    match error {
        CacheError::Corrupt { what, reason } => CacheError::Corrupt {
            what: format!("{what} {}", path.display()),
            reason,
        },
        other => other,
    }
}

/// Appends `value` in LEB128.
pub(crate) fn put_varint(bytes: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        bytes.push(value as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
}

/// Reads a body from its start; `None` where it ends too early or a number is malformed.
pub(crate) struct Reader<'a> {
    bytes: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes }
    }

    pub(crate) fn varint(&mut self) -> Option<u64> {
        let mut value = 0u64;
        for shift in (0..63).step_by(7) {
            let (&byte, rest) = self.bytes.split_first()?;
            self.bytes = rest;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Some(value);
            }
        }
        None
    }

    pub(crate) fn u32(&mut self) -> Option<u32> {
        u32::try_from(self.varint()?).ok()
    }

    pub(crate) fn take(&mut self, len: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.bytes.split_at_checked(len)?;
        self.bytes = rest;
        Some(taken)
    }

    pub(crate) fn remaining(&self) -> usize {
        self.bytes.len()
    }
}

fn hash(header: &[u8], payload: &[u8]) -> [u8; 32] {
    Sha256::new()
        .chain_update(header)
        .chain_update(payload)
        .finalize()
        .into()
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four bytes"))
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().expect("eight bytes"))
}
