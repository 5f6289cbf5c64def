//! The text that a run trains on, as token streams by project and file.
//!
//! Built once at the start from a corpus or from sampled methods; read at random by the window
//! builder. Tokens lie in memory as u16, or in a temporary file where they are too many.

use crate::TrainError;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::Path;

/// Tokens kept in memory; more go to a file (two bytes each).
const MEMORY_TOKENS: usize = 1 << 30;

/// Most pieces of an outline; the assistant reads no more of them (`nestor_assist::document`).
pub const MAX_OUTLINE: usize = 256;

/// Files of one project in path order, or methods in the order drawn.
#[derive(Debug, Clone, PartialEq)]
pub struct Project {
    /// Name, for messages.
    pub name: String,
    /// Its files.
    pub files: Vec<TextFile>,
    /// Tokens of all files.
    pub tokens: u64,
}

/// One file's place in the store.
#[derive(Debug, Clone, PartialEq)]
pub struct TextFile {
    /// Pieces of the path header with its line end.
    pub header: Box<[u16]>,
    /// Pieces of what the metadata says of the file's object and form, at most [`MAX_OUTLINE`]; empty where it says nothing.
    pub outline: Box<[u16]>,
    /// First token in the store.
    pub start: u64,
    /// Tokens of text.
    pub len: u32,
}

/// Projects and their text.
#[derive(Debug)]
pub struct Documents {
    /// Projects that have at least one file.
    pub projects: Vec<Project>,
    store: Store,
}

#[derive(Debug)]
enum Store {
    Memory(Vec<u16>),
    File { file: File, tokens: u64 },
}

impl Documents {
    /// No text yet, to be kept in memory while it fits there.
    pub fn new() -> Self {
        Self {
            projects: Vec::new(),
            store: Store::Memory(Vec::new()),
        }
    }

    /// Starts a project; the files added next belong to it.
    pub fn begin_project(&mut self, name: &str) {
        self.projects.retain(|project| !project.files.is_empty());
        self.projects.push(Project {
            name: name.to_string(),
            files: Vec::new(),
            tokens: 0,
        });
    }

    /// Adds a file to the project begun last. A file without text is left out.
    ///
    /// # Errors
    /// [`TrainError::File`] if the store has moved to a file and that cannot be written.
    pub fn add_file(
        &mut self,
        header: &[u32],
        outline: &[u32],
        text: &[u32],
    ) -> Result<(), TrainError> {
        if text.is_empty() {
            return Ok(());
        }
        let narrow = |tokens: &[u32]| -> Vec<u16> { tokens.iter().map(|t| *t as u16).collect() };
        let start = self.store.append(&narrow(text), MEMORY_TOKENS)?;
        let project = self.projects.last_mut().expect("a project was begun");
        project.tokens += text.len() as u64;
        project.files.push(TextFile {
            header: narrow(header).into(),
            outline: narrow(&outline[..outline.len().min(MAX_OUTLINE)]).into(),
            start,
            len: text.len() as u32,
        });
        Ok(())
    }

    /// Ends the last project.
    pub fn finish(mut self) -> Self {
        self.projects.retain(|project| !project.files.is_empty());
        self
    }

    /// Whether the metadata says something of any file.
    pub fn has_outlines(&self) -> bool {
        let mut files = self.projects.iter().flat_map(|project| &project.files);
        files.any(|file| !file.outline.is_empty())
    }

    /// Tokens of all projects.
    pub fn tokens(&self) -> u64 {
        self.projects.iter().map(|project| project.tokens).sum()
    }

    /// Appends tokens `from..to` of a file's text to `out`, `to` cut to the file's length.
    ///
    /// # Errors
    /// [`TrainError::File`] if the text lies in a file that cannot be read.
    pub fn read(
        &mut self,
        project: usize,
        file: usize,
        from: usize,
        to: usize,
        out: &mut Vec<u32>,
    ) -> Result<(), TrainError> {
        let file = &self.projects[project].files[file];
        let to = to.min(file.len as usize);
        if from >= to {
            return Ok(());
        }
        self.store.read(file.start + from as u64, to - from, out)
    }
}

impl Default for Documents {
    fn default() -> Self {
        Self::new()
    }
}

impl Store {
    /// Appends tokens and returns the place of the first.
    fn append(&mut self, tokens: &[u16], memory_tokens: usize) -> Result<u64, TrainError> {
        if let Self::Memory(kept) = self {
            if kept.len() + tokens.len() <= memory_tokens {
                kept.extend_from_slice(tokens);
                return Ok((kept.len() - tokens.len()) as u64);
            }
            let moved = std::mem::take(kept);
            let file = tempfile::tempfile().map_err(spill_error)?;
            *self = Self::File { file, tokens: 0 };
            for part in moved.chunks(1 << 20) {
                self.append(part, 0)?;
            }
        }
        let Self::File {
            file,
            tokens: stored,
        } = self
        else {
            unreachable!("moved to a file")
        };
        let bytes: Vec<u8> = tokens.iter().flat_map(|t| t.to_le_bytes()).collect();
        file.seek(SeekFrom::End(0))
            .and_then(|_| file.write_all(&bytes))
            .map_err(spill_error)?;
        *stored += tokens.len() as u64;
        Ok(*stored - tokens.len() as u64)
    }

    fn read(&mut self, start: u64, len: usize, out: &mut Vec<u32>) -> Result<(), TrainError> {
        match self {
            Self::Memory(kept) => {
                let start = start as usize;
                out.extend(kept[start..start + len].iter().map(|t| u32::from(*t)));
            }
            Self::File { file, .. } => {
                let mut bytes = vec![0; len * 2];
                file.seek(SeekFrom::Start(start * 2))
                    .and_then(|_| file.read_exact(&mut bytes))
                    .map_err(spill_error)?;
                out.extend(
                    bytes
                        .chunks_exact(2)
                        .map(|b| u32::from(u16::from_le_bytes([b[0], b[1]]))),
                );
            }
        }
        Ok(())
    }
}

fn spill_error(error: std::io::Error) -> TrainError {
    TrainError::file(Path::new("temporary token file"), error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_store_on_disk_reads_as_one_in_memory() {
        let parts: Vec<Vec<u16>> = (0..5).map(|i| (i * 100..i * 100 + 40).collect()).collect();
        let mut memory = Store::Memory(Vec::new());
        let mut file = Store::Memory(Vec::new());
        for part in &parts {
            let a = memory.append(part, 1000).unwrap();
            assert_eq!(file.append(part, 100).unwrap(), a);
        }
        assert!(matches!(file, Store::File { .. }));
        for (start, len) in [(0, 200), (35, 10), (199, 1)] {
            let (mut a, mut b) = (Vec::new(), Vec::new());
            memory.read(start, len, &mut a).unwrap();
            file.read(start, len, &mut b).unwrap();
            assert_eq!(a, b);
        }
    }

    #[test]
    fn projects_without_text_are_left_out() {
        let mut documents = Documents::new();
        documents.begin_project("пустой");
        documents.add_file(&[9], &[], &[]).unwrap();
        documents.begin_project("полный");
        documents.add_file(&[9], &[7; 300], &[10, 11]).unwrap();
        documents.begin_project("последний");
        let documents = documents.finish();
        assert_eq!(documents.projects.len(), 1);
        assert_eq!(documents.tokens(), 2);
        assert_eq!(documents.projects[0].files[0].outline.len(), MAX_OUTLINE);
    }
}
