//! The thread beside completions: learns saved files into their projects, and loads what other processes have changed of the project.
//!
//! To compare a file with all that a project knows takes a third of a second in a large one, and to load a project takes seconds:
//! completions must not wait for either. What is learned takes effect in the project at work within milliseconds. A project that another
//! process changes is tried again. It must not know what an editor is.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded, select, unbounded};
use nestor_assist::{
    AssistError, Assistant, Counts, LearnFile, LearnedFile, MemoryError, MetadataFile,
    MetadataUpdates, ProjectName, Projects, WhenBusy, is_description,
};

use crate::local::at_work::{Loaded, Loading, Shared, read, write};
use crate::local::stamp::{Changed, Stamp};
use crate::waiting::{Pauses, SavedFile, WaitingFiles};
use crate::worker::{Told, Why};

/// Saved files that are learned together.
const BATCH: usize = 32;

/// Pauses before a project is tried again that another process changes. Teaching gives way to whoever comes again within 40 seconds.
const PAUSES: Pauses = Pauses::new(Duration::from_millis(300), Duration::from_secs(5));

/// Time that an editor which closes waits for a project that another process changes, and how often it is tried then.
const LAST: Duration = Duration::from_secs(1);
const LAST_PAUSE: Duration = Duration::from_millis(100);

/// Loading takes a fifth of one core's time at most while another process learns.
const PAUSE_SHARE: u32 = 4;

/// What the thread has to do.
pub(super) enum Job {
    /// A file was saved; its path is that in the project.
    Save(SavedFile),
    /// The project may have changed on disk.
    Look(Why),
}

/// The thread; dropping it waits for what was saved.
pub(super) struct Beside {
    /// `None` once the value is dropped.
    jobs: Option<Sender<Job>>,
    thread: Option<JoinHandle<()>>,
}

/// What the thread works with.
pub(super) struct Tools {
    pub shared: Shared,
    /// The model without a project.
    pub model: Assistant,
    pub projects: Projects,
    /// Brings what configurations say up to date.
    pub metadata: Arc<MetadataUpdates>,
    /// Hears what becomes of saves, and of the project.
    pub tell: Sender<Told>,
}

impl Beside {
    /// Starts the thread.
    ///
    /// # Errors
    /// When the system has no thread to give.
    pub fn start(tools: Tools) -> std::io::Result<Self> {
        let (send, jobs) = unbounded();
        let running = Running {
            tools,
            jobs,
            waiting: WaitingFiles::default(),
            pauses: PAUSES,
            looks: None,
            not_before: Instant::now(),
        };
        let named = std::thread::Builder::new().name("beside".to_owned());
        Ok(Self {
            jobs: Some(send),
            thread: Some(named.spawn(move || running.run())?),
        })
    }

    /// Gives the thread a job.
    pub fn send(&self, job: Job) {
        if let Some(jobs) = &self.jobs {
            // It ends with the value only.
            let _ = jobs.send(job);
        }
    }
}

impl Drop for Beside {
    fn drop(&mut self) {
        drop(self.jobs.take());
        if let Some(thread) = self.thread.take() {
            // A panic there has been told.
            let _ = thread.join();
        }
    }
}

struct Running {
    tools: Tools,
    jobs: Receiver<Job>,
    /// Saved files that are not learned yet.
    waiting: WaitingFiles,
    pauses: Pauses,
    /// Whether the project is to be looked at.
    looks: Option<Why>,
    /// When it may be loaded again.
    not_before: Instant,
}

impl Running {
    fn run(mut self) {
        while self.wait() {
            self.learn_waiting();
            self.look();
        }
        // The last chance of what waits.
        let until = Instant::now() + LAST;
        loop {
            self.learn_waiting();
            if self.waiting.is_empty() || Instant::now() >= until {
                return;
            }
            std::thread::sleep(LAST_PAUSE);
        }
    }

    /// Waits for a job, or until what waits is tried again; false at the end.
    fn wait(&mut self) -> bool {
        // It may have come while a project was loaded.
        if self.looks.is_none() {
            let came = if self.waiting.is_empty() {
                self.jobs.recv().map_err(RecvTimeoutError::from)
            } else {
                self.jobs.recv_timeout(self.pauses.next())
            };
            match came {
                Ok(job) => self.take(job),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return false,
            }
        }
        while let Ok(job) = self.jobs.try_recv() {
            self.take(job);
        }
        true
    }

    fn take(&mut self, job: Job) {
        match job {
            Job::Save(saved) if is_description(&saved.path) => {
                if let Err(error) = self.describe(saved) {
                    self.tell(Told::NotLearned(error.to_string()));
                }
            }
            Job::Save(saved) => self.waiting.put(saved, &self.tools.tell),
            Job::Look(why) => self.looks = self.looks.max(Some(why)),
        }
    }

    fn tell(&self, told: Told) {
        // The client may be gone.
        let _ = self.tools.tell.send(told);
    }

    /// Has a saved description read, which teaches no code.
    fn describe(&self, saved: SavedFile) -> Result<(), AssistError> {
        let store = self.tools.projects.open(&saved.project)?;
        let seq = store.history().len() as u64;
        let file = MetadataFile {
            path: saved.path,
            bytes: saved.text.into_bytes(),
        };
        let tokenizer = self.tools.model.tokenizer();
        self.tools
            .metadata
            .saved(&saved.project, tokenizer, [file], seq);
        Ok(())
    }

    /// Learns what waits, but for the files of projects that other processes change.
    fn learn_waiting(&mut self) {
        let mut busy = BTreeSet::new();
        loop {
            let files = self.waiting.take(&busy, BATCH);
            let Some(first) = files.first() else {
                break;
            };
            let project = first.project.clone();
            match apart(|| self.learn(&project, &files)) {
                Ok(()) => self.tell(Told::Learned),
                Err(AssistError::Memory(MemoryError::Busy { .. })) => {
                    self.waiting.put_back(files);
                    busy.insert(project);
                }
                Err(error) => {
                    // A full disk has room again.
                    if let AssistError::Memory(MemoryError::Io { .. }) = error {
                        self.waiting.put_back(files);
                        busy.insert(project);
                    }
                    self.tell(Told::NotLearned(error.to_string()));
                }
            }
        }
        if self.waiting.is_empty() {
            self.pauses.begin_anew();
        }
    }

    /// Learns files into their project, on disk and at work.
    fn learn(&mut self, project: &ProjectName, files: &[SavedFile]) -> Result<(), AssistError> {
        let Tools {
            shared,
            model,
            projects,
            metadata,
            ..
        } = &mut self.tools;
        let turn = metadata.turn();
        let mut writer = projects.open_to_write(project, WhenBusy::ComeAgain, now())?;
        drop(turn);
        // Nobody else changes the project until the writer is closed.
        let before = Stamp::of(projects, project);
        metadata.will_learn(&mut writer, files.iter().map(|file| file.path.as_str()))?;
        let (n_before, mut n_learned) = (writer.history().len(), 0);
        for (root, files) in by_root(files) {
            let own = format!("{root}/");
            let known: Vec<String> = writer
                .files()
                .filter_map(|(path, _)| path.strip_prefix(&own).map(str::to_owned))
                .collect();
            // Code that the project knows as a vendor's stays that.
            let mut learning = model.learn_project(&mut writer, root, Counts::Stay)?;
            for path in &known {
                learning.keep(path);
            }
            learning.learn(&files)?;
            let report = learning.finish()?;
            n_learned += report.new + report.changed;
        }
        let n_changes = writer.history().len() - n_before;
        let counts = |file: &SavedFile| writer.file(&file.path).is_some_and(LearnedFile::counts);
        // Else a file teaches nothing any more, or others teach more, which were its copies.
        let is_plain = n_changes == n_learned && files.iter().all(counts);
        let seq = writer.history().len() as u64;
        let after = Stamp::of(projects, project);
        drop(writer);
        let described = files.iter().map(|file| MetadataFile {
            path: file.path.clone(),
            bytes: file.text.clone().into_bytes(),
        });
        metadata.saved(project, model.tokenizer(), described, seq);
        if n_changes == 0 {
            return Ok(());
        }
        let mut at_work = write(shared);
        if at_work.project.as_ref() != Some(project) {
            return Ok(());
        }
        if !is_plain {
            self.looks = Some(Why::Known);
            return Ok(());
        }
        let learned = files.iter().map(|file| LearnFile {
            path: file.path.clone(),
            text: file.text.clone(),
        });
        at_work.assistant.learn_files(learned, &mut |_| {})?;
        at_work.stamp.learned_here(&before, after);
        Ok(())
    }

    /// Looks whether the project has changed, if that is due, and loads what has.
    fn look(&mut self) {
        let Some(why) = self.looks.take() else {
            return;
        };
        let (project, known, is_whole) = {
            let at_work = read(&self.tools.shared);
            let known = at_work.stamp.clone();
            (at_work.project.clone(), known, at_work.is_whole)
        };
        let Some(project) = project else {
            return;
        };
        let stamp = Stamp::of(&self.tools.projects, &project);
        let changed = match stamp.since(&known) {
            Changed::Nothing if is_whole || why == Why::Time => Changed::Nothing,
            changed if is_whole => changed,
            _ => Changed::All,
        };
        let has_learned = stamp.has_learned_since(&known) || (changed == Changed::All && !is_whole);
        if changed != Changed::Nothing {
            let started = Instant::now();
            if why == Why::Time && started < self.not_before {
                // A later look loads it.
                return;
            }
            let loaded = self.load(&project, changed);
            self.not_before = Instant::now() + PAUSE_SHARE * started.elapsed();
            let Some(loaded) = loaded else {
                return;
            };
            match self.take_over(&project, loaded, stamp) {
                Ok(true) => {}
                Ok(false) => return,
                Err(told) => return self.tell(told),
            }
        }
        if has_learned {
            self.tell(Told::Changed);
        }
        if has_learned || why == Why::Awaited {
            let ready = read(&self.tools.shared).ready();
            self.tell(ready);
        }
    }

    /// Loads what has changed of a project; `None` when the editor closes meanwhile. Saves that come are learned after it.
    fn load(
        &mut self,
        project: &ProjectName,
        changed: Changed,
    ) -> Option<Result<Loaded, AssistError>> {
        let loading = {
            let at_work = read(&self.tools.shared);
            Loading {
                projects: self.tools.projects.clone(),
                project: project.clone(),
                model: self.tools.model.clone(),
                before: Some(at_work.assistant.clone()),
                session: at_work.session().to_vec(),
                changed,
            }
        };
        let (send, loaded) = bounded(1);
        let named = std::thread::Builder::new().name("load-project".to_owned());
        // A thread of its own, which an editor that closes need not wait for.
        let spawned = named.spawn(move || send.send(apart(|| loading.load())));
        if let Err(error) = spawned {
            eprintln!("nestor: a project cannot be loaded: {error}");
            return None;
        }
        let jobs = self.jobs.clone();
        loop {
            select! {
                // A panic there has been told.
                recv(loaded) -> loaded => return loaded.ok(),
                recv(jobs) -> job => self.take(job.ok()?),
            }
        }
    }

    /// Takes over what was read of a project; false when it is not at work any more.
    fn take_over(
        &self,
        project: &ProjectName,
        loaded: Result<Loaded, AssistError>,
        stamp: Stamp,
    ) -> Result<bool, Told> {
        let not_learned = |error: AssistError| Told::NotLearned(error.to_string());
        let mut at_work = write(&self.tools.shared);
        if at_work.project.as_ref() != Some(project) {
            return Ok(false);
        }
        let loaded = match loaded {
            Ok(loaded) => loaded,
            Err(error @ AssistError::Memory(MemoryError::Missing { .. })) => {
                // Nothing of a project that was removed is offered any longer.
                let model = self.tools.model.clone();
                let turned = at_work.turn_to(Some(project.clone()), stamp, model);
                turned.map_err(not_learned)?;
                return Err(Told::Broken(error.to_string()));
            }
            Err(error) => {
                // What was loaded before stays, until the files change once more or somebody asks.
                at_work.stamp = stamp;
                at_work.is_whole = false;
                return Err(not_learned(error));
            }
        };
        let old = at_work.take_over(loaded, stamp).map_err(not_learned)?;
        drop(at_work);
        // Megabytes that are given back keep no completion waiting.
        drop(old);
        Ok(true)
    }
}

/// Works on threads of its own, half as many as there are cores. Those that all share have completions to do, which would wait there for
/// whatever was begun before them.
fn apart<R: Send>(work: impl FnOnce() -> R + Send) -> R {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let threads = rayon::ThreadPoolBuilder::new()
        .num_threads((cores / 2).max(1))
        .thread_name(|thread| format!("beside-{thread}"))
        .build();
    match threads {
        Ok(threads) => threads.install(work),
        // The system has none to give.
        Err(_) => work(),
    }
}

/// Files by the root that their paths begin with, by the paths inside it.
fn by_root(files: &[SavedFile]) -> BTreeMap<&str, Vec<LearnFile>> {
    let mut by_root: BTreeMap<&str, Vec<LearnFile>> = BTreeMap::new();
    for file in files {
        let (root, path) = file.path.split_once('/').unwrap_or(("", &file.path));
        by_root.entry(root).or_default().push(LearnFile {
            path: path.to_owned(),
            text: file.text.clone(),
        });
    }
    by_root
}

/// Seconds since 1970.
fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    // A clock before 1970 is wrong anyway.
    since.map_or(0, |since| since.as_secs())
}
