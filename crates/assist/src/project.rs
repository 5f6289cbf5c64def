//! A project on disk and the assistant: load what it has taught, learn what has changed in its sources.
//!
//! Called by the command line, later by the servers. Text is cut into pieces here, in parallel, and only where it has
//! changed; `memory` keeps the pieces. It must not know where the files come from.

use std::collections::HashSet;

use nestor_engine::LevelMemoriesConfig;
use nestor_memory::{
    Change, FileToLearn, LoadProgress, MemoryError, ModelIdentity, ProjectStore, ProjectWriter,
};
use rayon::prelude::*;

use crate::assistant::{Assistant, LearnFile};
use crate::document::{file_pieces, module_folder};
use crate::error::AssistError;
use crate::memory::ProjectMemory;

/// What a file weighs that nothing else is known of.
const WEIGHT: f32 = 1.0;

/// What learning a root into a project did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProjectReport {
    /// Files that the project did not have.
    pub new: usize,
    /// Files with another text than the project had.
    pub changed: usize,
    /// Files that the project has as they are.
    pub unchanged: usize,
    /// Files that the project had and the source no longer has.
    pub removed: usize,
    /// Bytes of text in the new and changed files.
    pub bytes: usize,
    /// Pieces in them.
    pub pieces: usize,
    /// Files that are no source text or cannot be learned, with the reason.
    pub skipped: Vec<(String, String)>,
}

/// Whether the assistant's own counts take part in learning a project.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Counts {
    /// They hold the project, from [`Assistant::load_project`], and learn with it.
    Follow,
    /// They stay as they are: the project is learned for later.
    Stay,
}

impl Assistant {
    /// What a project must have in common with the model.
    #[must_use]
    pub fn identity(&self) -> ModelIdentity {
        let manifest = self.model().manifest();
        ModelIdentity {
            model_sha256: manifest.map(|manifest| manifest.weights_sha256.clone()),
            tokenizer_sha256: self.tokenizer().sha256().to_owned(),
            vocabulary: self.tokenizer().vocab_size() as u32,
        }
    }

    /// Takes over what a project has taught, instead of what was learned before. At most `threads` threads count.
    ///
    /// # Errors
    /// When the project was learned with another tokenizer, or is damaged; the assistant then stays as it was.
    pub fn load_project(
        &mut self,
        store: &ProjectStore,
        threads: usize,
        progress: &mut dyn FnMut(LoadProgress),
    ) -> Result<(), AssistError> {
        store.check_model(&self.identity())?;
        let corpus = self.corpus().cloned();
        let counts = store.load_counts(corpus, &module_folder, threads, progress)?;
        let levels = store.load_levels(LevelMemoriesConfig::default(), self.model())?;
        let mut memory = ProjectMemory::from(counts);
        memory.set_levels(levels.map(|levels| levels.memories));
        self.set_memory(memory);
        Ok(())
    }

    /// Begins to learn the root `root` of a project, which the caller has told the writer of.
    ///
    /// # Errors
    /// When the project was learned with another tokenizer.
    pub fn learn_project<'a>(
        &'a mut self,
        writer: &'a mut ProjectWriter,
        root: &str,
        counts: Counts,
    ) -> Result<ProjectLearning<'a>, AssistError> {
        writer.check_model(&self.identity())?;
        Ok(ProjectLearning {
            assistant: self,
            writer,
            root: root.to_owned(),
            counts,
            seen: HashSet::new(),
            report: ProjectReport::default(),
        })
    }
}

/// One pass over the files of a root.
pub struct ProjectLearning<'a> {
    assistant: &'a mut Assistant,
    writer: &'a mut ProjectWriter,
    root: String,
    counts: Counts,
    seen: HashSet<String>,
    report: ProjectReport,
}

/// A file that was looked at: what is left to do with it.
enum Looked {
    Unchanged,
    Cut {
        sha256: String,
        n_bytes: usize,
        pieces: Vec<u32>,
    },
    NoText(String),
}

impl ProjectLearning<'_> {
    /// Learns the files that are new or changed, in the order given. Paths are those inside the root. The files are cut into
    /// pieces together, so a few dozen at a time are best.
    ///
    /// # Errors
    /// When the project cannot be written. A file that cannot be learned is reported as skipped.
    pub fn learn(&mut self, files: &[LearnFile]) -> Result<(), AssistError> {
        let (root, tokenizer) = (&self.root, self.assistant.tokenizer());
        let store: &ProjectStore = self.writer;
        let looked: Vec<(String, Looked)> = files
            .par_iter()
            .map(|file| {
                let path = format!("{root}/{}", file.path);
                let text = match nestor_bsl::normalise(file.text.as_bytes()) {
                    Ok(normalised) => normalised.text,
                    Err(error) => return (path, Looked::NoText(error.to_string())),
                };
                let sha256 = nestor_engine::sha256_hex(text.as_bytes());
                if store.change(&path, &sha256) == Change::Unchanged {
                    return (path, Looked::Unchanged);
                }
                let cut = Looked::Cut {
                    sha256,
                    n_bytes: text.len(),
                    pieces: file_pieces(tokenizer, &path, &text),
                };
                (path, cut)
            })
            .collect();
        for ((path, looked), file) in looked.into_iter().zip(files) {
            match looked {
                Looked::Unchanged => self.report.unchanged += 1,
                Looked::NoText(reason) => self.report.skipped.push((file.path.clone(), reason)),
                Looked::Cut {
                    sha256,
                    n_bytes,
                    pieces,
                } => self.take(&path, &file.path, &sha256, n_bytes, &pieces)?,
            }
            self.seen.insert(path);
        }
        Ok(())
    }

    /// Says that the source still has a file which cannot be read now: what it taught stays.
    pub fn keep(&mut self, path: &str) {
        self.seen.insert(format!("{}/{path}", self.root));
    }

    /// What has been done so far.
    #[must_use]
    pub fn report(&self) -> &ProjectReport {
        &self.report
    }

    /// Ends the pass: what the root had and no longer has stops counting; all of it is made durable.
    ///
    /// # Errors
    /// When the project cannot be written.
    pub fn finish(mut self) -> Result<ProjectReport, AssistError> {
        let files = self.writer.files();
        let gone: Vec<String> = files
            .filter(|(path, file)| file.root == self.root && !self.seen.contains(*path))
            .map(|(path, _)| path.to_owned())
            .collect();
        for path in &gone {
            self.writer.retire(path)?;
            if let Some(memory) = self.memory() {
                memory.forget(path)?;
            }
        }
        if !gone.is_empty()
            && let Some(memory) = self.memory()
        {
            // They have seen what no longer counts.
            memory.set_levels(None);
        }
        self.report.removed = gone.len();
        self.writer.commit()?;
        Ok(self.report)
    }

    /// Learns one file that was cut into pieces.
    fn take(
        &mut self,
        path: &str,
        shown: &str,
        sha256: &str,
        n_bytes: usize,
        pieces: &[u32],
    ) -> Result<(), AssistError> {
        let learned = self.writer.learn(&FileToLearn {
            root: &self.root,
            path,
            sha256,
            pieces,
            weight: WEIGHT,
        });
        let change = match learned {
            Ok(change) => change,
            Err(error @ (MemoryError::Path { .. } | MemoryError::Cache(_))) => {
                let skipped = (shown.to_owned(), error.to_string());
                self.report.skipped.push(skipped);
                return Ok(());
            }
            Err(error) => return Err(error.into()),
        };
        if let Some(memory) = self.memory() {
            memory.learn(path, pieces)?;
        }
        match change {
            Change::New => self.report.new += 1,
            Change::Changed => self.report.changed += 1,
            // Another file of the same pass has the same path and text.
            Change::Unchanged => self.report.unchanged += 1,
        }
        if change != Change::Unchanged {
            self.report.bytes += n_bytes;
            self.report.pieces += pieces.len();
        }
        Ok(())
    }

    fn memory(&mut self) -> Option<&mut ProjectMemory> {
        (self.counts == Counts::Follow).then(|| self.assistant.memory_mut())
    }
}
