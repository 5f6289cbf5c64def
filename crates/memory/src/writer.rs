//! A project that this process may change: learn, retire, forget, roll back, note.
//!
//! Changes take effect in the value at once and reach the disk in batches: first the segments, synced, then the records
//! that name them, synced, then the line that says so. A crash loses the last batch at most and never leaves a record without
//! its segment. Everything learned in the meantime stays unchanged in the folder, so learning again goes on from there.

use std::collections::{BTreeSet, HashMap};
use std::io::{Seek, SeekFrom, Write};
use std::ops::Deref;
use std::path::Path;
use std::sync::PoisonError;
use std::time::{Duration, Instant};

use nestor_cache::CacheError;

use crate::error::MemoryError;
use crate::header::{HEADER_FILE, Header, ModelIdentity};
use crate::levels;
use crate::lock::Lock;
use crate::name::{self, ProjectName};
use crate::quarantine::QUARANTINE_FILE;
use crate::record::{Filtered, Operation, Record, Root, lies_under};
use crate::replay::{self, LearnedFile};
use crate::segments::{self, MAX_PIECES, Packer, Place};
use crate::store::{Cut, ProjectStore};
use crate::{erase, files, log};

/// Changes that wait for the disk at most.
const BATCH_RECORDS: usize = 512;
/// How long a change waits at most while others follow.
const BATCH_TIME: Duration = Duration::from_secs(3);
/// No path of ours is longer.
const MAX_PATH_LEN: usize = 4096;

/// Name of the file in a project's folder that says in what state its sources were read; its content is the caller's.
pub const SOURCES_FILE: &str = "sources.json";

/// What the configurations of the sources say: an index of the crate `metadata`, which knows its format.
pub const METADATA_FILE: &str = "metadata.bin";

/// In what state the files were read that the index was made of; a hint, like [`SOURCES_FILE`].
pub const METADATA_STATE_FILE: &str = "metadata.json";

/// Paths of learned files whose facts in the index are older than the log, as a JSON list; missing when there are none.
pub const METADATA_STALE_FILE: &str = "metadata.stale.json";

/// A project, opened to change; holds its lock.
pub struct ProjectWriter {
    pub(crate) store: ProjectStore,
    pub(crate) log: std::fs::File,
    /// Records that are not in the log yet, as lines.
    pending: String,
    n_pending: usize,
    pending_since: Instant,
    wrote_segments: bool,
    packer: Packer,
    pub(crate) time: u64,
    pub(crate) failed: bool,
    _lock: Lock,
}

/// A file to learn.
#[derive(Clone, Copy, Debug)]
pub struct FileToLearn<'a> {
    /// Name of its root, which [`ProjectWriter::set_root`] has told.
    pub root: &'a str,
    /// Its path, beginning with the root's name and a slash.
    pub path: &'a str,
    /// SHA-256 of its normalised text.
    pub sha256: &'a str,
    /// Its pieces.
    pub pieces: &'a [u32],
    /// How much it weighs in training levels 2 and 3; they do not learn it at 0.
    pub weight: f32,
    /// What is held back of it.
    pub filter: Option<&'a Filtered>,
    /// Whether it is a vendor's code.
    pub vendor: bool,
}

/// What a file is to a project.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// Nothing counts under its path.
    New,
    /// Another text counts under its path.
    Changed,
    /// This text counts already.
    Unchanged,
}

/// What forgetting took away.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Forgotten {
    /// Files that counted.
    pub files: usize,
    /// Texts erased, older ones of the same files among them.
    pub texts: usize,
}

/// What rolling back changed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RolledBack {
    /// Files that count again, or with another text.
    pub restored: usize,
    /// Files that no longer count.
    pub removed: usize,
    /// Paths that counted then and were forgotten since: their text is gone, they stay out.
    pub lost: Vec<String>,
}

impl ProjectStore {
    /// What a file with this text would be to the project.
    #[must_use]
    pub fn change(&self, path: &str, sha256: &str) -> Change {
        match self.file(path) {
            None => Change::New,
            Some(file) if file.sha256 == sha256 => Change::Unchanged,
            Some(_) => Change::Changed,
        }
    }
}

impl ProjectStore {
    /// Paths of learned files whose facts in the metadata index may be older than the log.
    #[must_use]
    pub fn stale_metadata(&self) -> BTreeSet<String> {
        // It is replaced as a whole; what is no list is none of ours.
        let list = std::fs::read(self.dir.join(METADATA_STALE_FILE)).unwrap_or_default();
        serde_json::from_slice(&list).unwrap_or_default()
    }
}

impl Deref for ProjectWriter {
    type Target = ProjectStore;

    fn deref(&self) -> &ProjectStore {
        &self.store
    }
}

impl ProjectWriter {
    /// Writes the files of an empty project into `dir`, which is nobody else's yet.
    pub(crate) fn lay_out(
        dir: &Path,
        name: &ProjectName,
        model: &ModelIdentity,
        created: u64,
    ) -> Result<(), MemoryError> {
        files::create_folder(dir)?;
        let header = Header::new(name.as_str(), model, created);
        let log_path = header.log_path(dir);
        let log = files::create(&log_path)?;
        log.sync_all().map_err(MemoryError::io(&log_path))?;
        let path = header.segments_path(dir);
        let mut file = files::create(&path)?;
        file.write_all(&segments::FILE_HEADER)
            .and_then(|()| file.sync_all())
            .map_err(MemoryError::io(&path))?;
        header.write(dir)
    }

    /// Opens the project in `dir`, whose lock is held: cuts off what a crash left, removes old generations. `time` is written
    /// into the records, in seconds since 1970.
    pub(crate) fn open(
        dir: &Path,
        name: &ProjectName,
        lock: Lock,
        time: u64,
    ) -> Result<Self, MemoryError> {
        let (mut store, read) = ProjectStore::try_open(dir, name)?;
        remove_leftovers(&store)?;
        let log_path = store.header.log_path(dir);
        let mut log = files::open_or_create(&log_path)?;
        let segments_path = store.segments_path();
        let segments = files::open_or_create(&segments_path)?;
        if store.cut.segments > 0 {
            segments
                .set_len(store.segments_end)
                .and_then(|()| segments.sync_all())
                .map_err(MemoryError::io(&segments_path))?;
        }
        if store.cut.log > 0 {
            log.set_len(read.len)
                .and_then(|()| log.sync_all())
                .map_err(MemoryError::io(&log_path))?;
        }
        log.seek(SeekFrom::Start(read.len))
            .map_err(MemoryError::io(&log_path))?;
        store.segments = segments.into();
        let mut writer = Self {
            packer: Packer::new().map_err(MemoryError::io(&segments_path))?,
            store,
            log,
            pending: String::new(),
            n_pending: 0,
            pending_since: Instant::now(),
            wrote_segments: false,
            time,
            failed: false,
            _lock: lock,
        };
        let cut = writer.store.cut;
        if cut != Cut::default() {
            writer.note(&format!(
                "cut off after a crash: {} bytes of the log, {} of the segments",
                cut.log, cut.segments
            ))?;
        }
        if !read.is_committed || writer.n_pending > 0 {
            // Whole records without their commit line: a crash came between, and they may not be durable yet.
            let path = writer.store.header.log_path(dir);
            writer.log.sync_all().map_err(MemoryError::io(&path))?;
            writer.write_pending()?;
        }
        Ok(writer)
    }

    /// How often each path was learned in the last `seconds`, by the time that is written into the records. Records of a clock that was ahead
    /// by more than that do not count.
    #[must_use]
    pub fn learned_within(&self, seconds: u64) -> HashMap<String, u32> {
        let mut times = HashMap::new();
        let recent = self.store.records.iter().rev();
        let recent = recent.take_while(|record| record.time.saturating_add(seconds) >= self.time);
        for record in recent.filter(|record| record.time <= self.time.saturating_add(seconds)) {
            if let Operation::Learn { path, .. } = &record.op {
                *times.entry(path.clone()).or_default() += 1;
            }
        }
        times
    }

    /// The time that is written into the records, in seconds since 1970.
    #[must_use]
    pub fn time(&self) -> u64 {
        self.time
    }

    /// Sets the time that is written into the records, in seconds since 1970.
    pub fn set_time(&mut self, time: u64) {
        self.time = time;
    }

    /// Names a root, or says anew where it lies and what it is; nothing happens if that is known.
    ///
    /// # Errors
    /// [`MemoryError::Name`] for a name that is none.
    pub fn set_root(&mut self, root: &Root) -> Result<(), MemoryError> {
        if let Some(reason) = name::problem(&root.name) {
            return Err(MemoryError::Name {
                name: root.name.clone(),
                reason,
            });
        }
        if self.store.root(&root.name) == Some(root) {
            return Ok(());
        }
        let op = Operation::Root(root.clone());
        check_plain(&op, &root.location)?;
        self.push(op)
    }

    /// Learns a file, which takes the place of what was learned under its path; nothing happens if its text is the same and it
    /// teaches the same.
    ///
    /// # Errors
    /// [`MemoryError::Path`] or [`MemoryError::Cache`] for a file that cannot be learned; the project stays as it was.
    pub fn learn(&mut self, file: &FileToLearn<'_>) -> Result<Change, MemoryError> {
        self.check_usable()?;
        self.check_file(file)?;
        let change = self.store.change(file.path, file.sha256);
        let teaches_same = |known: &LearnedFile| {
            known.weight == file.weight
                && known.filter.as_ref() == file.filter
                && known.vendor == file.vendor
        };
        if change == Change::Unchanged && self.store.file(file.path).is_some_and(teaches_same) {
            return Ok(change);
        }
        let seq = self.store.last_seq() + 1;
        let mut op = Operation::Learn {
            root: file.root.to_owned(),
            path: file.path.to_owned(),
            sha256: file.sha256.to_owned(),
            pieces: file.pieces.len() as u32,
            weight: file.weight,
            place: None,
            filter: file.filter.cloned(),
            vendor: file.vendor,
        };
        check_plain(&op, file.path)?;
        let path = self.store.segments_path();
        let packed = self.packer.pack(seq, file.pieces);
        let frame = packed.map_err(MemoryError::io(&path))?;
        let place = Place {
            at: self.store.segments_end,
            len: frame.len() as u32,
        };
        let written = {
            let segments = &mut self.store.segments;
            let segments = segments.get_mut().unwrap_or_else(PoisonError::into_inner);
            segments
                .seek(SeekFrom::Start(place.at))
                .and_then(|_| segments.write_all(&frame))
        };
        if let Err(error) = written {
            self.failed = true;
            return Err(MemoryError::io(&path)(error));
        }
        self.wrote_segments = true;
        self.store.segments_end += frame.len() as u64;
        if let Operation::Learn { place: of, .. } = &mut op {
            *of = Some(place);
        }
        self.push(op)?;
        Ok(change)
    }

    /// Takes up a text again that was learned under this path before, as after a branch was switched back: nothing is written
    /// but the change, and levels 2 and 3 are not taught anew. `None` when that text was never learned there, or is erased.
    ///
    /// # Errors
    /// When a batch cannot be written.
    pub fn learn_again(&mut self, path: &str, sha256: &str) -> Result<Option<Change>, MemoryError> {
        self.check_usable()?;
        let change = self.store.change(path, sha256);
        if change == Change::Unchanged {
            return Ok(Some(change));
        }
        let Some(of) = self.store.learned_before(path, sha256) else {
            return Ok(None);
        };
        self.push(Operation::Again {
            path: path.to_owned(),
            of,
        })?;
        Ok(Some(change))
    }

    /// Keeps a file beside the log that can be made again at any time; it appears whole or not at all.
    ///
    /// # Errors
    /// [`MemoryError::Io`], for instance when the disk is full; the earlier file then stays.
    pub fn save_sources(&mut self, bytes: &[u8]) -> Result<(), MemoryError> {
        // What it says of the log must not be lost behind it.
        self.commit()?;
        files::replace(&self.store.dir.join(SOURCES_FILE), bytes)
    }

    /// Keeps the metadata index ([`METADATA_FILE`]) and what tells which files need not be read again. What is in them is the
    /// caller's; each appears whole or not at all, the index first.
    ///
    /// # Errors
    /// [`MemoryError::Io`], for instance when the disk is full; the earlier files then stay.
    pub fn save_metadata(&mut self, index: &[u8], state: &[u8]) -> Result<(), MemoryError> {
        self.save_metadata_index(index)?;
        files::replace(&self.store.dir.join(METADATA_STATE_FILE), state)
    }

    /// Keeps the metadata index alone: what tells which files need not be read again stays.
    ///
    /// # Errors
    /// As [`ProjectWriter::save_metadata`].
    pub fn save_metadata_index(&mut self, index: &[u8]) -> Result<(), MemoryError> {
        self.check_usable()?;
        files::replace(&self.store.dir.join(METADATA_FILE), index)
    }

    /// Says which files will be learned, or are, without the metadata index knowing their text; durable when it returns, so that whoever
    /// opens the project behind a crash knows it too.
    ///
    /// # Errors
    /// [`MemoryError::Io`]; the earlier list then stays.
    pub fn set_stale_metadata(&mut self, paths: &BTreeSet<String>) -> Result<(), MemoryError> {
        self.check_usable()?;
        let path = self.store.dir.join(METADATA_STALE_FILE);
        if paths.is_empty() {
            return files::remove(&path).map_err(MemoryError::io(&path));
        }
        let list = serde_json::to_vec(paths).expect("paths are plain text");
        files::replace(&path, &list)
    }

    /// Takes a file out of what counts because its source no longer has it; rolling back can bring it back. Nothing happens if
    /// nothing counts there.
    ///
    /// # Errors
    /// When a batch cannot be written.
    pub fn retire(&mut self, path: &str) -> Result<(), MemoryError> {
        if self.store.file(path).is_none() {
            return Ok(());
        }
        self.push(Operation::Forget {
            path: path.to_owned(),
            erased: false,
        })
    }

    /// Lets go of all texts that are damaged; returns the paths that count no more, which can be learned again.
    ///
    /// # Errors
    /// As [`ProjectWriter::forget`], and when the texts cannot be read at all.
    pub fn forget_damaged(&mut self) -> Result<Vec<String>, MemoryError> {
        self.commit()?;
        let damaged = self.store.damaged()?;
        if damaged.is_empty() {
            return Ok(Vec::new());
        }
        erase::let_go_of_damaged(self, &damaged)
    }

    /// Forgets a file, or every file under a folder, for good: it no longer counts, and neither its text nor an older one of it
    /// lies in the folder when this returns. Paths and hashes stay in the history.
    ///
    /// # Errors
    /// [`MemoryError::NotLearned`] when nothing was ever learned there; [`MemoryError::NotErased`] when the old file cannot be
    /// deleted. Any other error leaves everything as it was.
    pub fn forget(&mut self, path: &str) -> Result<Forgotten, MemoryError> {
        self.commit()?;
        let path = path.replace('\\', "/");
        let path = path.trim_end_matches('/');
        let mut known = false;
        let mut forgotten = Forgotten::default();
        for record in &self.store.records {
            if let Operation::Learn {
                path: of, place, ..
            } = &record.op
                && lies_under(of, path)
            {
                known = true;
                forgotten.texts += usize::from(place.is_some());
            }
        }
        if !known {
            return Err(MemoryError::NotLearned {
                name: self.store.name.to_string(),
                path: path.to_owned(),
            });
        }
        if forgotten.texts == 0 {
            return Ok(forgotten);
        }
        forgotten.files = replay::under(&self.store.files, path).len();
        erase::erase(self, path)?;
        Ok(forgotten)
    }

    /// Makes everything as it was after change `seq`, but for what was forgotten since; the history stays.
    ///
    /// # Errors
    /// [`MemoryError::NoSuchChange`] when the history is shorter.
    pub fn rollback(&mut self, seq: u64) -> Result<RolledBack, MemoryError> {
        self.check_usable()?;
        let last = self.store.last_seq();
        if seq > last {
            return Err(MemoryError::NoSuchChange {
                name: self.store.name.to_string(),
                seq,
                last,
            });
        }
        let (then, lost) = replay::files_after(&self.store.records, seq);
        let now = &self.store.files;
        let is_same = |path: &String, file: &LearnedFile| {
            now.get(path).is_some_and(|now| now.sha256 == file.sha256)
        };
        let rolled = RolledBack {
            restored: then
                .iter()
                .filter(|(path, file)| !is_same(path, file))
                .count(),
            removed: now.keys().filter(|path| !then.contains_key(*path)).count(),
            lost,
        };
        self.push(Operation::Rollback { to: seq })?;
        self.commit()?;
        Ok(rolled)
    }

    /// Lets go of what a file that changes again and again has left behind: versions that 64 newer ones have replaced and that never taught levels
    /// 2 and 3. Does so when they take as much room as everything that counts, and 16 MiB.
    ///
    /// # Errors
    /// [`MemoryError::Failed`] or [`MemoryError::Io`] when nobody knows what lies on disk; where there only was no room to write, nothing has
    /// happened and the next call tries again.
    pub fn let_go_of_old_versions(&mut self) -> Result<(), MemoryError> {
        self.commit()?;
        let let_go = erase::let_go_of_old_versions(self);
        if self.failed { let_go } else { Ok(()) }
    }

    /// Writes a sentence for people into the history.
    ///
    /// # Errors
    /// When a batch cannot be written.
    pub fn note(&mut self, text: &str) -> Result<(), MemoryError> {
        let text = text.replace(char::is_control, " ");
        self.push(Operation::Note { text })
    }

    /// Makes every change durable.
    ///
    /// # Errors
    /// [`MemoryError::Io`], for instance when the disk is full; the folder then holds an earlier state, and this writer refuses
    /// further work.
    pub fn commit(&mut self) -> Result<(), MemoryError> {
        self.check_usable()?;
        if self.n_pending == 0 {
            return Ok(());
        }
        // Until all of it has succeeded, nobody knows what lies on disk.
        self.failed = true;
        if self.wrote_segments {
            let path = self.store.segments_path();
            let segments = &mut self.store.segments;
            let segments = segments.get_mut().unwrap_or_else(PoisonError::into_inner);
            segments.sync_data().map_err(MemoryError::io(&path))?;
            self.wrote_segments = false;
        }
        self.write_pending()?;
        self.failed = false;
        Ok(())
    }

    /// Appends the waiting records and the line that ends them.
    fn write_pending(&mut self) -> Result<(), MemoryError> {
        let path = self.store.header.log_path(&self.store.dir);
        let end = log::commit_line(self.store.last_seq(), self.time);
        self.log
            .write_all(self.pending.as_bytes())
            .and_then(|()| self.log.sync_data())
            .and_then(|()| self.log.write_all(end.as_bytes()))
            .map_err(MemoryError::io(&path))?;
        self.pending.clear();
        self.n_pending = 0;
        Ok(())
    }

    /// Numbers a change, applies it and queues it for the log.
    fn push(&mut self, op: Operation) -> Result<(), MemoryError> {
        self.check_usable()?;
        let record = Record {
            seq: self.store.last_seq() + 1,
            time: self.time,
            op,
        };
        if self.n_pending == 0 {
            self.pending_since = Instant::now();
        }
        self.pending.push_str(&log::line(&record));
        self.n_pending += 1;
        match &record.op {
            Operation::Rollback { to } => {
                self.store.files = replay::files_after(&self.store.records, *to).0;
            }
            Operation::Root(root) => {
                self.store.roots.insert(root.name.clone(), root.clone());
            }
            _ => replay::apply(&mut self.store.files, &self.store.records, &record),
        }
        if let Operation::Learn { path, .. } = &record.op
            && let Some(texts) = self.store.texts.get_mut()
        {
            texts.entry(path.clone()).or_default().push(record.seq);
        }
        self.store.records.push(record);
        if self.n_pending >= BATCH_RECORDS || self.pending_since.elapsed() >= BATCH_TIME {
            self.commit()?;
        }
        Ok(())
    }

    fn check_usable(&self) -> Result<(), MemoryError> {
        if self.failed {
            return Err(MemoryError::Failed {
                name: self.store.name.to_string(),
            });
        }
        Ok(())
    }

    fn check_file(&self, file: &FileToLearn<'_>) -> Result<(), MemoryError> {
        let wrong = |reason| MemoryError::Path {
            path: file.path.to_owned(),
            reason,
        };
        let inside = file.path.strip_prefix(file.root);
        if self.store.root(file.root).is_none() {
            return Err(wrong("its root is not known"));
        }
        if !inside.is_some_and(|rest| rest.len() > 1 && rest.starts_with('/')) {
            return Err(wrong("it does not lie under its root"));
        }
        if file.path.len() > MAX_PATH_LEN {
            return Err(wrong("the path is too long"));
        }
        if file.pieces.len() > MAX_PIECES as usize {
            return Err(wrong("the file has too many pieces"));
        }
        if !(file.weight.is_finite() && file.weight >= 0.0) {
            return Err(wrong("its weight is no number from 0 on"));
        }
        let vocab_size = self.store.header.vocabulary as usize;
        match file.pieces.iter().find(|&&id| id as usize >= vocab_size) {
            Some(&token) => Err(CacheError::TokenOutsideVocabulary { token, vocab_size }.into()),
            None => Ok(()),
        }
    }
}

/// Refuses what the reader of the log would refuse.
fn check_plain(op: &Operation, path: &str) -> Result<(), MemoryError> {
    if op.is_plain() {
        return Ok(());
    }
    Err(MemoryError::Path {
        path: path.escape_debug().to_string(),
        reason: "it has control characters, or its hash is no SHA-256",
    })
}

/// Removes what is no part of the memory: older generations, files that never took their place. Only the lock's holder may.
pub(crate) fn remove_leftovers(store: &ProjectStore) -> Result<(), MemoryError> {
    let dir = &store.dir;
    let kept = [
        dir.join(HEADER_FILE),
        store.header.log_path(dir),
        store.segments_path(),
        dir.join(SOURCES_FILE),
        dir.join(METADATA_FILE),
        dir.join(METADATA_STATE_FILE),
        dir.join(METADATA_STALE_FILE),
        dir.join(QUARANTINE_FILE),
    ];
    for entry in std::fs::read_dir(dir).map_err(MemoryError::io(dir))? {
        let path = entry.map_err(MemoryError::io(dir))?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let is_ours = [
            "memory.",
            "log.",
            "segments.",
            "levels.",
            "sources.",
            "metadata.",
            "quarantine.",
        ]
        .iter()
        .any(|start| name.starts_with(start));
        if is_ours && !kept.contains(&path) && !levels::is_levels_file(&path) {
            files::remove(&path).map_err(|source| MemoryError::NotErased {
                path: path.clone(),
                source,
            })?;
        }
    }
    levels::remove_outdated(store)
}
