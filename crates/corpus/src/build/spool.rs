//! The texts of a build between its two passes: one file of compressed frames, read in the order it was written.

use std::fs::File;
use std::io::{BufReader, BufWriter, Read, Write};
use std::path::{Path, PathBuf};

use crate::CorpusError;

/// Fast: the spool lives for minutes.
const COMPRESSION_LEVEL: i32 = 1;

/// A text ready for the spool. Made on any thread.
pub(super) struct Frame {
    text_len: u32,
    bytes: Vec<u8>,
}

impl Frame {
    pub(super) fn of(text: &str) -> std::io::Result<Frame> {
        Ok(Frame {
            text_len: text.len() as u32,
            bytes: zstd::bulk::compress(text.as_bytes(), COMPRESSION_LEVEL)?,
        })
    }

    pub(super) fn text(&self) -> std::io::Result<String> {
        let bytes = zstd::bulk::decompress(&self.bytes, self.text_len as usize)?;
        String::from_utf8(bytes)
            .map_err(|error| std::io::Error::new(std::io::ErrorKind::InvalidData, error))
    }
}

pub(super) struct SpoolWriter {
    path: PathBuf,
    file: BufWriter<File>,
}

impl SpoolWriter {
    pub(super) fn create(folder: &Path) -> Result<SpoolWriter, CorpusError> {
        let path = folder.join("texts.spool");
        let file = File::create(&path).map_err(CorpusError::io(&path))?;
        Ok(SpoolWriter {
            path,
            file: BufWriter::with_capacity(1 << 20, file),
        })
    }

    pub(super) fn push(&mut self, frame: &Frame) -> Result<(), CorpusError> {
        let mut write = || {
            self.file.write_all(&frame.text_len.to_le_bytes())?;
            self.file
                .write_all(&(frame.bytes.len() as u32).to_le_bytes())?;
            self.file.write_all(&frame.bytes)
        };
        write().map_err(CorpusError::io(&self.path))
    }

    pub(super) fn finish(mut self) -> Result<Spool, CorpusError> {
        self.file.flush().map_err(CorpusError::io(&self.path))?;
        Ok(Spool { path: self.path })
    }
}

/// A spool that is written.
pub(super) struct Spool {
    path: PathBuf,
}

impl Spool {
    pub(super) fn reader(&self) -> Result<SpoolReader, CorpusError> {
        let file = File::open(&self.path).map_err(CorpusError::io(&self.path))?;
        Ok(SpoolReader {
            path: self.path.clone(),
            file: BufReader::with_capacity(1 << 20, file),
        })
    }

    pub(super) fn remove(&self) -> Result<(), CorpusError> {
        std::fs::remove_file(&self.path).map_err(CorpusError::io(&self.path))
    }
}

pub(super) struct SpoolReader {
    path: PathBuf,
    file: BufReader<File>,
}

impl SpoolReader {
    /// The next frame; an error at the end, because the caller knows how many there are.
    pub(super) fn next(&mut self) -> Result<Frame, CorpusError> {
        let mut read = || {
            let mut lengths = [0; 8];
            self.file.read_exact(&mut lengths)?;
            let [a, b, c, d, e, f, g, h] = lengths;
            let mut bytes = vec![0; u32::from_le_bytes([e, f, g, h]) as usize];
            self.file.read_exact(&mut bytes)?;
            Ok(Frame {
                text_len: u32::from_le_bytes([a, b, c, d]),
                bytes,
            })
        };
        read().map_err(CorpusError::io(&self.path))
    }
}
