//! One project on disk, as it was last committed: opened without a lock, by any number of readers.
//!
//! What readers may rely on: bytes that a record names were synced before the record was written, and files are never
//! changed in place, only appended to or replaced by a new generation. So a reader sees some committed state, or one that
//! is about to be.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use nestor_cache::{ContextSample, CorpusNgram};
use rayon::prelude::*;

use crate::counts::{CountedFile, ProjectCounts};
use crate::error::MemoryError;
use crate::header::{Header, ModelIdentity};
use crate::log::{self, Log};
use crate::name::ProjectName;
use crate::record::{Operation, Record, Root, lies_under};
use crate::replay::{self, Files, LearnedFile};
use crate::segments::{self, Place};

/// A writer may replace the generation while a reader opens it; each try sees a newer one.
const OPEN_TRIES: usize = 8;

/// Pieces unpacked together while counts are loaded: bounds what is in memory twice.
const LOAD_PIECES: usize = 4 << 20;

/// Pieces from which it pays to unpack a project once more to learn how large its counts will be.
const LARGE: u64 = 1 << 20;

/// Changed files that counts are brought up to date by in a project of any size; else one file in fifty.
const MOST_UPDATED: usize = 32;

/// A project, opened to read.
#[derive(Debug)]
pub struct ProjectStore {
    pub(crate) name: ProjectName,
    pub(crate) dir: PathBuf,
    pub(crate) header: Header,
    pub(crate) records: Vec<Record>,
    pub(crate) files: Files,
    pub(crate) roots: BTreeMap<String, Root>,
    /// Numbers of the records that learned texts under a path, oldest first; made when it is first asked for.
    pub(crate) texts: OnceLock<HashMap<String, Vec<u64>>>,
    pub(crate) segments: Mutex<File>,
    /// The byte behind the last frame that a record names.
    pub(crate) segments_end: u64,
    pub(crate) cut: Cut,
}

/// Bytes that a crash left behind the last whole record, and that are left out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cut {
    /// Of the log.
    pub log: u64,
    /// Of the segments.
    pub segments: u64,
}

/// How far loading is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LoadProgress {
    /// Pieces counted.
    pub pieces: u64,
    /// Pieces in all.
    pub of: u64,
}

impl ProjectStore {
    /// Opens the project that lies in `dir`.
    pub(crate) fn open(dir: &Path, name: &ProjectName) -> Result<Self, MemoryError> {
        for _ in 1..OPEN_TRIES {
            match Self::try_open(dir, name) {
                // Replaced by the next generation between reading the header and opening its files.
                Err(error) if error.is_not_found() => {}
                other => return other.map(|(store, _)| store),
            }
        }
        Self::try_open(dir, name).map(|(store, _)| store)
    }

    /// Opens once; also tells how the log ends.
    pub(crate) fn try_open(dir: &Path, name: &ProjectName) -> Result<(Self, Log), MemoryError> {
        let header = Header::read(dir)?;
        let log_path = header.log_path(dir);
        let bytes = std::fs::read(&log_path).map_err(MemoryError::io(&log_path))?;
        let mut log = log::read(&bytes, &log_path)?;
        // Opened after the log was read, so every frame that the log names is in it.
        let path = header.segments_path(dir);
        let mut segments = std::fs::OpenOptions::new()
            .read(true)
            .open(&path)
            .map_err(MemoryError::io(&path))?;
        let segments_end = check_places(&log.records, &mut segments, &path)?;
        let len = segments.metadata().map_err(MemoryError::io(&path))?.len();
        let records = std::mem::take(&mut log.records);
        let last = records.len() as u64;
        let store = Self {
            name: name.clone(),
            dir: dir.to_owned(),
            files: replay::files_after(&records, last).0,
            roots: replay::roots(&records),
            texts: OnceLock::new(),
            records,
            header,
            segments: Mutex::new(segments),
            segments_end,
            cut: Cut {
                log: log.torn,
                segments: len - segments_end,
            },
        };
        Ok((store, log))
    }

    /// The project's name: that of its folder.
    #[must_use]
    pub fn name(&self) -> &ProjectName {
        &self.name
    }

    /// Where it lies.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// What its header says.
    #[must_use]
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// The learned files by path, also those that a filter keeps from counting.
    pub fn files(&self) -> impl Iterator<Item = (&str, &LearnedFile)> {
        self.files.iter().map(|(path, file)| (path.as_str(), file))
    }

    /// The file that is learned under a path.
    #[must_use]
    pub fn file(&self, path: &str) -> Option<&LearnedFile> {
        self.files.get(path)
    }

    /// The last change that learned this text under this path, if its pieces are still there.
    #[must_use]
    pub fn learned_before(&self, path: &str, sha256: &str) -> Option<u64> {
        let texts = self.texts.get_or_init(|| {
            let mut texts: HashMap<String, Vec<u64>> = HashMap::new();
            for record in &self.records {
                if let Operation::Learn { path, .. } = &record.op {
                    texts.entry(path.clone()).or_default().push(record.seq);
                }
            }
            texts
        });
        let is_it = |seq: &&u64| {
            let file = replay::learned(&self.records[**seq as usize - 1]);
            file.is_some_and(|file| file.sha256 == sha256)
        };
        texts.get(path)?.iter().rfind(is_it).copied()
    }

    /// The paths whose last change learned a text: neither was anything rolled back after it, nor were they forgotten.
    #[must_use]
    pub fn learned_last(&self) -> HashSet<&str> {
        let mut learned = HashSet::new();
        for record in &self.records {
            match &record.op {
                Operation::Learn { path, .. } | Operation::Again { path, .. } => {
                    learned.insert(path.as_str());
                }
                Operation::Forget { path: gone, .. } => {
                    // A file, or all that lies under a folder.
                    if !learned.remove(gone.as_str()) {
                        learned.retain(|path| !lies_under(path, gone));
                    }
                }
                Operation::Rollback { .. } => learned.clear(),
                Operation::Root(_) | Operation::Note { .. } | Operation::Commit => {}
            }
        }
        learned
    }

    /// Files that count.
    #[must_use]
    pub fn n_files(&self) -> usize {
        self.files.values().filter(|file| file.counts()).count()
    }

    /// Pieces in them.
    #[must_use]
    pub fn n_pieces(&self) -> u64 {
        let counted = self.files.values().filter(|file| file.counts());
        counted.map(|file| u64::from(file.pieces)).sum()
    }

    /// The roots by name.
    pub fn roots(&self) -> impl Iterator<Item = &Root> {
        self.roots.values()
    }

    /// The root of a name.
    #[must_use]
    pub fn root(&self, name: &str) -> Option<&Root> {
        self.roots.get(name)
    }

    /// Every change, oldest first; the number of the last is its length.
    #[must_use]
    pub fn history(&self) -> &[Record] {
        &self.records
    }

    /// What was left out because a crash had cut it.
    #[must_use]
    pub fn cut(&self) -> Cut {
        self.cut
    }

    /// Bytes of the folder's files, old generations and all.
    #[must_use]
    pub fn disk_bytes(&self) -> u64 {
        let entries = std::fs::read_dir(&self.dir).into_iter().flatten().flatten();
        entries
            .filter_map(|entry| Some(entry.metadata().ok()?.len()))
            .sum()
    }

    /// Refuses a model whose pieces are not this memory's.
    ///
    /// # Errors
    /// [`MemoryError::Tokenizer`] or [`MemoryError::Vocabulary`].
    pub fn check_model(&self, model: &ModelIdentity) -> Result<(), MemoryError> {
        self.header.check_model(self.name.as_str(), model)
    }

    /// The pieces of a file that counts.
    ///
    /// # Errors
    /// [`MemoryError::Corrupt`] when its segment is damaged, [`MemoryError::NotLearned`] when nothing counts there.
    pub fn pieces(&self, path: &str) -> Result<Vec<u32>, MemoryError> {
        let file = self.file(path).ok_or_else(|| MemoryError::NotLearned {
            name: self.name.to_string(),
            path: path.to_owned(),
        })?;
        self.unpack(file.seq, file.pieces, &self.frame(file.place)?)
    }

    /// The files that count, in the order in which they are counted: call after call, each from its last file to its first. What
    /// is counted last counts as newest, and a call learns first what matters most.
    fn in_counting_order(&self) -> Vec<(&str, &LearnedFile)> {
        let calls = self.calls();
        let mut files: Vec<(&str, &LearnedFile)> =
            self.files().filter(|(_, file)| file.counts()).collect();
        files.sort_unstable_by_key(|(_, file)| (calls[file.seq as usize - 1], Reverse(file.seq)));
        files
    }

    /// For every record the number of the call that it is of: records of one time are of one call.
    pub(crate) fn calls(&self) -> Vec<usize> {
        let mut calls = Vec::with_capacity(self.records.len());
        for (idx, record) in self.records.iter().enumerate() {
            let is_next = idx > 0 && self.records[idx - 1].time != record.time;
            calls.push(calls.last().copied().unwrap_or(0) + usize::from(is_next));
        }
        calls
    }

    /// The pieces that a change has learned, whether they count or not.
    ///
    /// # Errors
    /// [`MemoryError::NoSuchChange`] when the change learned nothing or was forgotten, [`MemoryError::Corrupt`] when its segment is
    /// damaged.
    pub fn pieces_of_change(&self, seq: u64) -> Result<Vec<u32>, MemoryError> {
        let record = seq
            .checked_sub(1)
            .and_then(|idx| self.records.get(idx as usize));
        match record.map(|record| &record.op) {
            Some(Operation::Learn {
                pieces,
                place: Some(place),
                ..
            }) => self.unpack(seq, *pieces, &self.frame(*place)?),
            _ => Err(MemoryError::NoSuchChange {
                name: self.name.to_string(),
                seq,
                last: self.last_seq(),
            }),
        }
    }

    /// The counts of everything that counts: the files of an earlier call before those of a later one, the files of one call
    /// from the last to the first. `folder_of` is the key of a path's module folder; at most `threads` threads count.
    ///
    /// # Errors
    /// [`MemoryError::Corrupt`] naming the damaged segment.
    pub fn load_counts(
        &self,
        corpus: Option<Arc<CorpusNgram>>,
        folder_of: &(dyn Fn(&str) -> String + Sync),
        threads: usize,
        progress: &mut dyn FnMut(LoadProgress),
    ) -> Result<ProjectCounts, MemoryError> {
        let mut counts = ProjectCounts::new(self.header.vocabulary as usize, corpus)?;
        let files = self.in_counting_order();
        let (of, mut done) = (self.n_pieces(), 0);
        if of >= LARGE {
            let pieces = of as usize + files.len();
            counts.reserve(pieces, &self.sample(&files)?);
        }
        let mut rest = files.as_slice();
        while !rest.is_empty() {
            let mut n_pieces = 0;
            let n_files = rest.iter().take_while(|(_, file)| {
                let fits = n_pieces < LOAD_PIECES;
                n_pieces += file.pieces as usize;
                fits
            });
            let (batch, tail) = rest.split_at(n_files.count());
            rest = tail;
            let unpacked: Vec<CountedFile> = batch
                .par_iter()
                .map(|(path, file)| {
                    Ok(CountedFile {
                        path: (*path).to_owned(),
                        folder: folder_of(path),
                        pieces: self.unpack(file.seq, file.pieces, &self.frame(file.place)?)?,
                    })
                })
                .collect::<Result<_, MemoryError>>()?;
            counts.learn_all(&unpacked, threads)?;
            for (path, file) in batch {
                counts.set_text_of(path, &file.sha256);
            }
            done += unpacked.iter().map(|f| f.pieces.len() as u64).sum::<u64>();
            progress(LoadProgress { pieces: done, of });
        }
        Ok(counts)
    }

    /// A sample of the contexts of some files.
    fn sample(&self, files: &[(&str, &LearnedFile)]) -> Result<ContextSample, MemoryError> {
        let add = |mut sample: ContextSample, (_, file): &(&str, &LearnedFile)| {
            sample.add(&self.unpack(file.seq, file.pieces, &self.frame(file.place)?)?);
            Ok(sample)
        };
        files
            .par_iter()
            .try_fold(ContextSample::default, add)
            .try_reduce(ContextSample::default, |one, other| Ok(one.merge(other)))
    }

    /// Brings counts that hold the project as it was to what counts now, by the files that have changed since. False when that is more than a few, so
    /// that counting anew is better; the counts then stay. A file that has changed is the newest of its contexts until the counts are loaded again.
    ///
    /// # Errors
    /// [`MemoryError::Corrupt`] naming the damaged segment; the counts may then lack files.
    pub fn update_counts(
        &self,
        counts: &mut ProjectCounts,
        folder_of: &dyn Fn(&str) -> String,
    ) -> Result<bool, MemoryError> {
        let standing = self.in_counting_order();
        let changed: Vec<_> = standing
            .iter()
            .filter(|(path, file)| counts.text_of(path) != Some(file.sha256.as_str()))
            .collect();
        let stand: HashSet<&str> = standing.iter().map(|(path, _)| *path).collect();
        let gone = counts.paths().filter(|path| !stand.contains(path));
        let gone: Vec<String> = gone.map(str::to_owned).collect();
        if changed.len() + gone.len() > MOST_UPDATED.max(standing.len() / 50) {
            return Ok(false);
        }
        for path in &gone {
            counts.forget(path)?;
        }
        for (path, file) in changed {
            let pieces = self.unpack(file.seq, file.pieces, &self.frame(file.place)?)?;
            counts.learn(path, &folder_of(path), &pieces)?;
            counts.set_text_of(path, &file.sha256);
        }
        Ok(true)
    }

    /// Reads every segment that a record names, also of files that no longer count.
    ///
    /// # Errors
    /// [`MemoryError::Corrupt`] naming the first that is damaged.
    pub fn verify(&self) -> Result<(), MemoryError> {
        self.records
            .par_iter()
            .try_for_each(|record| self.verify_text(record))
    }

    fn verify_text(&self, record: &Record) -> Result<(), MemoryError> {
        match &record.op {
            Operation::Learn {
                pieces,
                place: Some(place),
                ..
            } => self
                .unpack(record.seq, *pieces, &self.frame(*place)?)
                .map(|_| ()),
            _ => Ok(()),
        }
    }

    /// The changes of which the text is damaged, also of files that no longer count.
    ///
    /// # Errors
    /// [`MemoryError::Io`] when a text cannot be read at all.
    pub(crate) fn damaged(&self) -> Result<HashSet<u64>, MemoryError> {
        let damaged = self.records.par_iter();
        let damaged = damaged.filter_map(|record| match self.verify_text(record) {
            Ok(()) => None,
            Err(MemoryError::Corrupt { .. }) => Some(Ok(record.seq)),
            Err(error) => Some(Err(error)),
        });
        damaged.collect()
    }

    pub(crate) fn last_seq(&self) -> u64 {
        self.records.len() as u64
    }

    pub(crate) fn segments_path(&self) -> PathBuf {
        self.header.segments_path(&self.dir)
    }

    /// The bytes of a frame, unchecked.
    pub(crate) fn frame(&self, place: Place) -> Result<Vec<u8>, MemoryError> {
        // The length was found to lie inside the file when the store was opened.
        let mut frame = vec![0; place.len as usize];
        let mut file = self.segments.lock().unwrap_or_else(PoisonError::into_inner);
        file.seek(SeekFrom::Start(place.at))
            .and_then(|_| file.read_exact(&mut frame))
            .map_err(MemoryError::io(self.segments_path()))?;
        Ok(frame)
    }

    fn unpack(&self, seq: u64, n_pieces: u32, frame: &[u8]) -> Result<Vec<u32>, MemoryError> {
        segments::unpack(frame, seq, n_pieces, self.header.vocabulary)
            .map_err(|reason| MemoryError::corrupt(self.segments_path(), reason))
    }
}

/// Checks that the frames of the log lie inside the file one behind the other; returns the byte behind the last.
fn check_places(records: &[Record], segments: &mut File, path: &Path) -> Result<u64, MemoryError> {
    let mut start = [0; segments::FILE_HEADER.len()];
    segments
        .read_exact(&mut start)
        .map_err(|_| MemoryError::corrupt(path, "it ends inside its header"))?;
    if start != segments::FILE_HEADER {
        return Err(MemoryError::corrupt(
            path,
            "it does not start as a file of segments of this version does",
        ));
    }
    let len = segments.metadata().map_err(MemoryError::io(path))?.len();
    let mut end = start.len() as u64;
    for record in records {
        let Operation::Learn {
            place: Some(place), ..
        } = &record.op
        else {
            continue;
        };
        match place.end() {
            Some(next) if place.at >= end && next <= len => end = next,
            _ => {
                let reason = format!(
                    "segment {} should lie at {}, {} bytes long; {end} bytes are taken, the file has {len}",
                    record.seq, place.at, place.len
                );
                return Err(MemoryError::corrupt(path, reason));
            }
        }
    }
    Ok(end)
}
