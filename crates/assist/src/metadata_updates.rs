//! Metadata that follows saved files: the index in a project's folder and the linked facts are brought up to date beside completions.
//!
//! The servers say what they have taught a project; a thread here reads those files into the index, links all, writes the index and hands
//! the facts over, whole, for completions to change to. Linking and writing a large configuration take a second, so what is saved
//! meanwhile waits a few seconds and goes together. Code comes from the project's log, which names the files that the index does not know
//! yet ([`ProjectStore::stale_metadata`]): a crash loses none. Descriptions in XML are in no log and wait in memory.

use std::collections::BTreeMap;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use nestor_bsl::pieces::Tokenizer;
use nestor_memory::{
    MemoryError, Operation, ProjectName, ProjectStore, ProjectWriter, Projects, WhenBusy,
};
use nestor_metadata::Metadata;

use crate::error::AssistError;
use crate::metadata::{Mark, MetadataFile, MetadataIndex, stale_files};

/// Time between two updates of a project at least.
const PAUSE: Duration = Duration::from_secs(3);

/// Updates take a fifth of one core's time at most.
const PAUSE_SHARE: u32 = 4;

/// The longest pause; whoever teaches the project does not give way for longer after it was asked to.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// How often an update begins anew because the project has changed under it, before it is put off.
const TRIES: usize = 4;

/// How often whoever waits for an update that another process delays tries again.
const TRY_AGAIN: Duration = Duration::from_millis(100);

/// What takes the linked facts of a project over; false puts them off, as while the project is being loaded.
pub type TakeOver = dyn Fn(&ProjectName, &Arc<Metadata>) -> bool + Send + Sync;

/// Brings the metadata of projects up to date. Dropping it ends with what waits.
pub struct MetadataUpdates {
    shared: Arc<Shared>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

struct Shared {
    projects: Projects,
    take_over: Box<TakeOver>,
    state: Mutex<State>,
    changed: Condvar,
    /// Held by the one that updates.
    updating: Mutex<()>,
    /// Held while a writer is open here.
    turn: Mutex<()>,
}

#[derive(Default)]
struct State {
    waiting: BTreeMap<ProjectName, Waiting>,
    is_ending: bool,
}

/// What a project waits for.
struct Waiting {
    tokenizer: Arc<Tokenizer>,
    /// Files that are in no log, or teach nothing there, by path.
    files: BTreeMap<String, Saved>,
    /// Rises with each change of this value.
    version: u64,
    not_before: Instant,
}

#[derive(Clone)]
struct Saved {
    bytes: Arc<[u8]>,
    /// The project's last change when it was saved.
    seq: u64,
}

/// What an update did.
enum Updated {
    /// All of it is on disk.
    Written,
    /// Another process changes the project.
    Busy,
}

impl std::fmt::Debug for MetadataUpdates {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MetadataUpdates")
            .field("projects", &self.shared.projects)
            .finish_non_exhaustive()
    }
}

impl MetadataUpdates {
    /// Updates of the projects in a folder; `take_over` is called on a thread of its own.
    #[must_use]
    pub fn new(projects: Projects, take_over: Box<TakeOver>) -> Self {
        Self {
            shared: Arc::new(Shared {
                projects,
                take_over,
                state: Mutex::default(),
                changed: Condvar::new(),
                updating: Mutex::default(),
                turn: Mutex::default(),
            }),
            thread: Mutex::default(),
        }
    }

    /// To be held while a project is opened to change it: an update that is writing one is waited for, which takes a moment, where another
    /// process counts as busy.
    pub fn turn(&self) -> MutexGuard<'_, ()> {
        lock(&self.shared.turn)
    }

    /// Says that code will be learned under these paths; to be called before it is.
    ///
    /// # Errors
    /// When the project cannot be written.
    pub fn will_learn<'p>(
        &self,
        writer: &mut ProjectWriter,
        paths: impl IntoIterator<Item = &'p str>,
    ) -> Result<(), AssistError> {
        let mut stale = writer.stale_metadata();
        let n_before = stale.len();
        stale.extend(paths.into_iter().map(str::to_owned));
        if stale.len() > n_before {
            writer.set_stale_metadata(&stale)?;
        }
        Ok(())
    }

    /// Brings the metadata of a project up to date soon: with the code that was learned, which the log names, and with `files`, which may
    /// be code too. `seq` is the project's last change.
    pub fn saved(
        &self,
        project: &ProjectName,
        tokenizer: &Arc<Tokenizer>,
        files: impl IntoIterator<Item = MetadataFile>,
        seq: u64,
    ) {
        let mut state = self.shared.state();
        let waiting = state.waiting.entry(project.clone());
        let waiting = waiting.or_insert_with(|| Waiting::new(tokenizer));
        for file in files {
            let bytes = file.bytes.into();
            waiting.files.insert(file.path, Saved { bytes, seq });
        }
        waiting.version += 1;
        drop(state);
        self.shared.changed.notify_all();
        self.start();
    }

    /// Lets go of what waits for a project that is removed; to be called in its [`MetadataUpdates::turn`].
    pub fn forget(&self, project: &ProjectName) {
        self.shared.state().waiting.remove(project);
    }

    /// Waits until what was saved in a project is on disk, at most so long for other processes.
    ///
    /// # Errors
    /// [`MemoryError::Busy`] when it is not yet, which it will be soon after; else what is wrong with the project.
    pub fn finish(&self, project: &ProjectName, patience: Duration) -> Result<(), AssistError> {
        let until = Instant::now() + patience;
        loop {
            match self.shared.update(project)? {
                Updated::Written => return Ok(()),
                Updated::Busy if Instant::now() < until => std::thread::sleep(TRY_AGAIN),
                Updated::Busy => {
                    return Err(MemoryError::Busy {
                        name: project.to_string(),
                    }
                    .into());
                }
            }
        }
    }

    /// Ends with what waits, as far as no other process changes the project.
    pub fn end(&self) {
        self.shared.state().is_ending = true;
        self.shared.changed.notify_all();
        let thread = lock(&self.thread).take();
        if let Some(thread) = thread {
            // A panic there has been told.
            let _ = thread.join();
        }
    }

    fn start(&self) {
        let mut thread = lock(&self.thread);
        if thread.is_some() {
            return;
        }
        let shared = Arc::clone(&self.shared);
        let named = std::thread::Builder::new().name("metadata".to_owned());
        match named.spawn(move || shared.run()) {
            Ok(started) => *thread = Some(started),
            Err(error) => eprintln!("nestor: metadata is not brought up to date: {error}"),
        }
    }
}

impl Drop for MetadataUpdates {
    fn drop(&mut self) {
        self.end();
    }
}

impl Waiting {
    fn new(tokenizer: &Arc<Tokenizer>) -> Self {
        Self {
            tokenizer: Arc::clone(tokenizer),
            files: BTreeMap::new(),
            version: 0,
            not_before: Instant::now(),
        }
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    fn run(&self) {
        while let Some((project, is_last)) = self.next() {
            let started = Instant::now();
            let updated = self.update(&project);
            match &updated {
                // A project that was removed needs none.
                Ok(_) | Err(AssistError::Memory(MemoryError::Missing { .. })) => {}
                Err(error) => eprintln!(
                    "nestor: the metadata of project {project} is not brought up to date: {error}"
                ),
            }
            let mut state = self.state();
            let gives_up = updated.is_err() || is_last;
            if gives_up {
                state.waiting.remove(&project);
            } else if let Some(waiting) = state.waiting.get_mut(&project) {
                let pause = PAUSE.max(PAUSE_SHARE * started.elapsed());
                waiting.not_before = Instant::now() + pause.min(LONGEST_PAUSE);
            }
        }
    }

    /// The next project whose time has come, and whether it is the last time; `None` at the end.
    fn next(&self) -> Option<(ProjectName, bool)> {
        let mut state = self.state();
        loop {
            let now = Instant::now();
            let waiting = state
                .waiting
                .iter()
                .filter(|(_, waiting)| waiting.version > 0);
            let first = waiting.min_by_key(|(_, waiting)| waiting.not_before);
            let first = first.map(|(name, waiting)| (name.clone(), waiting.not_before));
            match first {
                Some((name, _)) if state.is_ending => return Some((name, true)),
                None if state.is_ending => return None,
                Some((name, at)) if at <= now => return Some((name, false)),
                Some((_, at)) => {
                    let waited = self.changed.wait_timeout(state, at - now);
                    state = waited.unwrap_or_else(PoisonError::into_inner).0;
                }
                None => {
                    let waited = self.changed.wait(state);
                    state = waited.unwrap_or_else(PoisonError::into_inner);
                }
            }
        }
    }

    /// Updates a project with what waits for it, if anything does.
    fn update(&self, project: &ProjectName) -> Result<Updated, AssistError> {
        let _one = lock(&self.updating);
        let (tokenizer, files, version) = {
            let state = self.state();
            match state.waiting.get(project) {
                Some(waiting) if waiting.version > 0 => (
                    Arc::clone(&waiting.tokenizer),
                    waiting.files.clone(),
                    waiting.version,
                ),
                _ => return Ok(Updated::Written),
            }
        };
        let mut updated = Updated::Busy;
        let mut linked = None;
        for _ in 0..TRIES {
            let built = Built::new(&self.projects, project, &tokenizer, &files)?;
            let bytes = built.index.to_bytes();
            linked = Some(built.index.link().0);
            if let Some(done) = self.write(project, &built, &bytes)? {
                updated = done;
                break;
            }
        }
        let is_taken = linked.is_none_or(|linked| (self.take_over)(project, &linked));
        if is_taken && matches!(updated, Updated::Written) {
            let mut state = self.state();
            if let Some(waiting) = state.waiting.get_mut(project) {
                waiting.files.retain(|path, saved| {
                    let done = files.get(path);
                    done.is_none_or(|done| !Arc::ptr_eq(&done.bytes, &saved.bytes))
                });
                if waiting.version == version {
                    waiting.version = 0;
                }
            }
        }
        Ok(updated)
    }

    /// Puts an index in the place of the one that it was made of; `None` when the project has changed meanwhile.
    fn write(
        &self,
        project: &ProjectName,
        built: &Built,
        bytes: &[u8],
    ) -> Result<Option<Updated>, AssistError> {
        let _turn = lock(&self.turn);
        let opened = self
            .projects
            .open_to_write(project, WhenBusy::ComeAgain, now());
        let mut writer = match opened {
            Ok(writer) => writer,
            Err(MemoryError::Busy { .. }) => return Ok(Some(Updated::Busy)),
            Err(error) => return Err(error.into()),
        };
        let is_gone = |path: &String| writer.file(path).is_none();
        if Mark::now(&writer) != built.mark
            || built.learned.keys().any(is_gone)
            || built
                .files
                .iter()
                .any(|(path, seq)| is_forgotten(&writer, path, *seq))
        {
            return Ok(None);
        }
        writer.save_metadata_index(bytes)?;
        let mut stale = writer.stale_metadata();
        // A text that came meanwhile is another change of its path.
        stale.retain(|path| {
            let seq = writer.file(path).map(|file| file.seq);
            seq.is_some() && seq != built.learned.get(path).copied()
        });
        writer.set_stale_metadata(&stale)?;
        Ok(Some(Updated::Written))
    }
}

/// An index with what was saved, and of which state of the project it was made.
struct Built {
    index: MetadataIndex,
    mark: Mark,
    /// Learned files that the index knows now, and the changes that have learned them.
    learned: BTreeMap<String, u64>,
    /// Files that are in no log, and the project's last change when they were saved.
    files: BTreeMap<String, u64>,
}

impl Built {
    fn new(
        projects: &Projects,
        project: &ProjectName,
        tokenizer: &Tokenizer,
        files: &BTreeMap<String, Saved>,
    ) -> Result<Self, AssistError> {
        let store = projects.open(project)?;
        let opened = MetadataIndex::open_marked(&store)?;
        let (mut index, mark) = opened.unwrap_or_default();
        index.read(&stale_files(&store, tokenizer)?);
        let stale = store.stale_metadata().into_iter();
        let learned = stale.filter_map(|path| Some((store.file(&path)?.seq, path)));
        let learned = learned.map(|(seq, path)| (path, seq)).collect();
        // Another process may have learned a newer text meanwhile.
        let is_old = |path: &str, saved: &Saved| {
            is_forgotten(&store, path, saved.seq)
                || store.file(path).is_some_and(|file| file.seq > saved.seq)
        };
        let kept = files.iter().filter(|(path, saved)| !is_old(path, saved));
        let files: BTreeMap<String, u64> = kept
            .clone()
            .map(|(path, saved)| (path.clone(), saved.seq))
            .collect();
        let read: Vec<MetadataFile> = kept
            .map(|(path, saved)| MetadataFile {
                path: path.clone(),
                bytes: saved.bytes.to_vec(),
            })
            .collect();
        index.read(&read);
        Ok(Self {
            index,
            mark,
            learned,
            files,
        })
    }
}

/// Whether a path was forgotten for good behind a change.
fn is_forgotten(store: &ProjectStore, path: &str, seq: u64) -> bool {
    let later = store
        .history()
        .iter()
        .rev()
        .take_while(|record| record.seq > seq);
    later.into_iter().any(|record| match &record.op {
        Operation::Forget {
            path: gone,
            erased: true,
        } => path
            .strip_prefix(gone.as_str())
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/')),
        _ => false,
    })
}

/// Whatever a panic elsewhere left behind is whole.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Seconds since 1970.
fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    // A clock before 1970 is wrong anyway.
    since.map_or(0, |since| since.as_secs())
}
