//! The model and the projects at work, and how one completion is made with them.
//!
//! The routes ask here on a worker's thread. A model or project that changes on disk is loaded beside the old one, which answers until
//! the new one is whole; one that cannot be loaded leaves the old one in place. It must not know HTTP.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::{Duration, Instant, SystemTime};

use nestor_assist::{
    AssistError, Assistant, ByteOffset, CompleteRequest, Completion, MemoryError, OpenDocuments,
    ProjectName, ProjectStore, Projects, Sampling, Speed, StopReason, StopRule,
};

use crate::error::ServerError;
use crate::metrics::SharedMetrics;
use crate::scheduler::Caller;
use crate::wire::SpeedName;

/// Bytes that all open documents may hold for the next requests.
const DOCUMENT_BYTES: usize = 512 << 20;

/// How often a project's files are looked at for changes.
const LOOK_AGAIN: Duration = Duration::from_secs(2);

/// The model that is loaded.
pub struct Loaded {
    /// The model without a project.
    pub assistant: Arc<Assistant>,
    /// Tells this model from others, for `system_fingerprint`.
    pub fingerprint: String,
    /// When it was loaded.
    pub since: SystemTime,
    folder: PathBuf,
    stamp: Stamp,
}

/// What a file or folder looked like when it was read.
type Stamp = Vec<Option<(u64, SystemTime)>>;

fn stamp(files: &[PathBuf]) -> Stamp {
    let look = |path: &PathBuf| {
        let meta = std::fs::metadata(path).ok()?;
        Some((meta.len(), meta.modified().ok()?))
    };
    files.iter().map(look).collect()
}

fn model_stamp(folder: &Path) -> Stamp {
    let files = [
        "model.json",
        "weights.safetensors",
        "weights.safetensors.zst",
        "tokenizer.json",
        "gate.json",
    ];
    stamp(&files.map(|name| folder.join(name)))
}

impl Loaded {
    fn open(folder: &Path) -> Result<Self, AssistError> {
        // Before it is read: a change during that counts as a change after it.
        let stamp = model_stamp(folder);
        let assistant = Assistant::open(folder)?;
        Ok(Self::of(assistant, folder, stamp))
    }

    fn of(assistant: Assistant, folder: &Path, stamp: Stamp) -> Self {
        // More completions are at work than there are cores: they share the passes over the weights.
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        assistant.model().share_passes(cores);
        let identity = assistant.identity();
        let hash = identity.model_sha256.unwrap_or(identity.tokenizer_sha256);
        Self {
            assistant: Arc::new(assistant),
            fingerprint: format!("nestor-{}", hash.get(..12).unwrap_or(&hash)),
            since: SystemTime::now(),
            folder: folder.to_path_buf(),
            stamp,
        }
    }
}

/// A project at work.
#[derive(Clone)]
pub struct ProjectLoaded {
    /// The model with what the project has taught.
    pub assistant: Arc<Assistant>,
    /// Names of its roots and where they lie.
    roots: Arc<[(String, String)]>,
    stamp: Stamp,
    looked: Instant,
}

impl ProjectLoaded {
    /// The path that the project knows a document by: one that begins with a root, or lies in a root's folder, or is held by one.
    #[must_use]
    pub fn path_of(&self, path: &str) -> String {
        let path = path.replace('\\', "/");
        let memory = self.assistant.memory();
        if memory.holds(&path) {
            return path;
        }
        let roots = self.roots.iter();
        // A root without a folder was taught by requests.
        let roots = roots.filter(|(_, folder)| !folder.is_empty());
        let roots = roots.map(|(name, folder)| (name.as_str(), folder.as_str()));
        if let Some((name, rest)) = nestor_assist::paths::in_root(roots, &path) {
            return format!("{name}/{rest}");
        }
        let names: Vec<&str> = self.roots.iter().map(|(name, _)| name.as_str()).collect();
        held_as(&path, &names, &|path| memory.holds(path)).unwrap_or(path)
    }
}

/// Parts of a path that must agree for two places to be one: an object's name and what stands around it.
const LEAST_PARTS: usize = 3;

/// The path that a project holds a document by which lies elsewhere on the client's disk: the longest end of it that the project knows.
fn held_as(path: &str, roots: &[&str], holds: &dyn Fn(&str) -> bool) -> Option<String> {
    let in_roots = |end: &str| {
        let names = roots.iter().map(|name| format!("{name}/{end}"));
        names.into_iter().find(|path| holds(path))
    };
    if let Some(found) = in_roots(path) {
        return Some(found);
    }
    let starts = path.match_indices('/').map(|(at, _)| &path[at + 1..]);
    starts
        .take_while(|end| end.split('/').count() >= LEAST_PARTS)
        .find_map(|end| in_roots(end).or_else(|| holds(end).then(|| end.to_owned())))
}

/// Why a project cannot be used now.
#[derive(Debug)]
pub enum ProjectProblem {
    /// No project has the name, or it is no name.
    Unknown(String),
    /// It is being loaded; come again.
    Loading,
    /// It cannot be read.
    Broken(String),
}

enum Slot {
    Loading,
    Ready(ProjectLoaded),
    /// Loaded before, and being loaded again.
    Reloading(ProjectLoaded),
}

/// The model and the projects.
pub struct Serving {
    loaded: RwLock<Arc<Loaded>>,
    projects: Projects,
    slots: Mutex<HashMap<ProjectName, Slot>>,
    /// When each was asked for last.
    used: Mutex<HashMap<ProjectName, Instant>>,
    /// Projects at work at once.
    max_projects: AtomicUsize,
    metrics: SharedMetrics,
    /// Typical time of a completion at each speed, in microseconds.
    typical_us: [AtomicU64; 3],
    auto_confidence: AtomicU32,
    /// What earlier requests have read of their documents.
    documents: OpenDocuments,
}

impl Serving {
    /// Opens the model.
    ///
    /// # Errors
    /// Those of the model folder.
    pub fn open(
        folder: &Path,
        projects: Projects,
        metrics: SharedMetrics,
    ) -> Result<Self, ServerError> {
        Ok(Self::with(Loaded::open(folder)?, projects, metrics))
    }

    /// Serves an assistant that is open already.
    #[must_use]
    pub fn of(assistant: Assistant, projects: Projects, metrics: SharedMetrics) -> Self {
        Self::with(
            Loaded::of(assistant, Path::new(""), Stamp::new()),
            projects,
            metrics,
        )
    }

    fn with(loaded: Loaded, projects: Projects, metrics: SharedMetrics) -> Self {
        Self {
            loaded: RwLock::new(Arc::new(loaded)),
            projects,
            slots: Mutex::default(),
            used: Mutex::default(),
            max_projects: AtomicUsize::new(usize::MAX),
            metrics,
            typical_us: [5_000, 10_000, 15_000].map(AtomicU64::new),
            auto_confidence: AtomicU32::new(0.6f32.to_bits()),
            documents: OpenDocuments::new(DOCUMENT_BYTES),
        }
    }

    /// The model.
    #[must_use]
    pub fn model(&self) -> Arc<Loaded> {
        Arc::clone(&self.loaded.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Where the projects lie.
    #[must_use]
    pub fn projects(&self) -> &Projects {
        &self.projects
    }

    /// Changes how many projects are at work at once; those above it that were not asked for longest are unloaded.
    pub fn set_max_projects(&self, n: usize) {
        self.max_projects.store(n, Ordering::Relaxed);
        self.unload_surplus(&mut self.slots());
    }

    /// Changes what `speed: auto` is content with.
    pub fn set_auto_confidence(&self, confidence: f32) {
        self.auto_confidence
            .store(confidence.to_bits(), Ordering::Relaxed);
    }

    /// Loads the model anew if its folder is another or has changed; true if it was. Projects follow with their next request.
    ///
    /// # Errors
    /// When the new one cannot be loaded; the old one stays.
    pub fn refresh_model(&self, folder: &Path) -> Result<bool, ServerError> {
        let now = self.model();
        if now.folder.as_os_str().is_empty()
            || (now.folder == folder && now.stamp == model_stamp(folder))
        {
            return Ok(false);
        }
        let loaded = Loaded::open(folder);
        self.metrics.reloaded("model", loaded.is_ok());
        *self.loaded.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(loaded?);
        self.slots().clear();
        self.metrics.set_projects(0);
        Ok(true)
    }

    /// A project for a completion; asking for one that is not loaded begins to load it.
    ///
    /// # Errors
    /// [`ProjectProblem`], at once.
    pub fn project(self: &Arc<Self>, name: &str) -> Result<ProjectLoaded, ProjectProblem> {
        let name: ProjectName = name
            .parse()
            .map_err(|error: MemoryError| ProjectProblem::Unknown(error.to_string()))?;
        let mut slots = self.slots();
        if slots.contains_key(&name) {
            self.used().insert(name.clone(), Instant::now());
        }
        match slots.get(&name) {
            Some(Slot::Loading) => return Err(ProjectProblem::Loading),
            Some(Slot::Reloading(loaded)) => return Ok(loaded.clone()),
            Some(Slot::Ready(loaded)) if loaded.looked.elapsed() < LOOK_AGAIN => {
                return Ok(loaded.clone());
            }
            _ => {}
        }
        if !self.projects.holds(&name) {
            slots.remove(&name);
            self.metrics.set_projects(slots.len());
            self.metrics.project_gone(name.as_str());
            let reason = format!("there is no project {name}");
            return Err(ProjectProblem::Unknown(reason));
        }
        if let Some(Slot::Ready(loaded)) = slots.get_mut(&name) {
            loaded.looked = Instant::now();
            let loaded = loaded.clone();
            if loaded.stamp != self.project_stamp(&name) {
                slots.insert(name.clone(), Slot::Reloading(loaded.clone()));
                drop(slots);
                self.begin_to_load(name);
            }
            return Ok(loaded);
        }
        slots.insert(name.clone(), Slot::Loading);
        self.used().insert(name.clone(), Instant::now());
        drop(slots);
        self.begin_to_load(name);
        Err(ProjectProblem::Loading)
    }

    /// As [`Serving::project`], waiting up to `patience` for one that is being loaded.
    ///
    /// # Errors
    /// [`ProjectProblem`].
    pub async fn project_within(
        self: &Arc<Self>,
        name: &str,
        patience: Duration,
    ) -> Result<ProjectLoaded, ProjectProblem> {
        let until = Instant::now() + patience;
        loop {
            match self.project(name) {
                Err(ProjectProblem::Loading) if Instant::now() < until => {
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
                done => return done,
            }
        }
    }

    /// Whether a project is at work.
    #[must_use]
    pub fn is_loaded(&self, name: &ProjectName) -> bool {
        let slots = self.slots();
        matches!(slots.get(name), Some(Slot::Ready(_) | Slot::Reloading(_)))
    }

    /// Looks at a project again with the next request, as after it was taught.
    pub fn look_again(&self, name: &ProjectName) {
        if let Some(Slot::Ready(loaded)) = self.slots().get_mut(name) {
            loaded.looked = loaded
                .looked
                .checked_sub(LOOK_AGAIN)
                .unwrap_or(loaded.looked);
        }
    }

    /// Takes a project out of work.
    pub fn unload(&self, name: &ProjectName) {
        let mut slots = self.slots();
        slots.remove(name);
        self.metrics.set_projects(slots.len());
        self.metrics.project_gone(name.as_str());
    }

    fn slots(&self) -> MutexGuard<'_, HashMap<ProjectName, Slot>> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn used(&self) -> MutexGuard<'_, HashMap<ProjectName, Instant>> {
        self.used.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Unloads the projects that were not asked for longest while more are at work than may be. What is under way with one goes on.
    fn unload_surplus(&self, slots: &mut HashMap<ProjectName, Slot>) {
        let mut used = self.used();
        used.retain(|name, _| slots.contains_key(name));
        let max = self.max_projects.load(Ordering::Relaxed);
        loop {
            let ready = slots
                .iter()
                .filter(|(_, slot)| !matches!(slot, Slot::Loading));
            let n = ready.clone().count();
            self.metrics.set_projects(n);
            let oldest = ready.min_by_key(|(name, _)| used.get(*name).copied());
            let Some((name, _)) = oldest.filter(|_| n > max) else {
                return;
            };
            let name = name.clone();
            slots.remove(&name);
            used.remove(&name);
            // What was read of its documents holds its counts.
            self.documents.close_if(&|owner| {
                owner
                    .rsplit('\0')
                    .next()
                    .is_some_and(|project| project == name.as_str())
            });
            self.metrics.project_gone(name.as_str());
            self.metrics.project_unloaded();
        }
    }

    /// The files of a project that change when it learns.
    fn project_stamp(&self, name: &ProjectName) -> Stamp {
        let dir = self.projects.dir().join(name.as_str());
        let mut files = vec![dir.join("memory.json"), dir.join("levels.bin")];
        let mut logs: Vec<PathBuf> = std::fs::read_dir(&dir)
            .into_iter()
            .flatten()
            .flatten()
            .map(|entry| entry.path())
            .filter(|path| {
                let name = path.file_name().and_then(|name| name.to_str());
                name.is_some_and(|name| name.starts_with("log."))
            })
            .collect();
        logs.sort();
        files.extend(logs);
        stamp(&files)
    }

    fn begin_to_load(self: &Arc<Self>, name: ProjectName) {
        let serving = Arc::clone(self);
        let load = move || serving.load(&name);
        // A load takes seconds to minutes: a thread of its own, so that it delays no completion.
        let named = std::thread::Builder::new().name("load-project".to_owned());
        if let Err(error) = named.spawn(load) {
            eprintln!("nestor: a project cannot be loaded: {error}");
        }
    }

    fn load(&self, name: &ProjectName) {
        let model = self.model();
        let stamp = self.project_stamp(name);
        let loaded = self.projects.open(name).map_err(AssistError::from);
        let loaded = loaded.and_then(|store| {
            let mut assistant = model.assistant.as_ref().clone();
            assistant.load_project(&store, 1, &mut |_| {})?;
            Ok((assistant, roots_of(&store)))
        });
        let mut slots = self.slots();
        // A new model, or a removal, made what was loaded worthless meanwhile.
        let is_wanted = Arc::ptr_eq(&model, &self.model()) && slots.contains_key(name);
        self.metrics.reloaded("project", loaded.is_ok());
        match loaded {
            Ok((assistant, roots)) if is_wanted => {
                let memory = assistant.memory();
                self.metrics
                    .project(name.as_str(), memory.n_files(), memory.n_pieces());
                let loaded = ProjectLoaded {
                    assistant: Arc::new(assistant),
                    roots,
                    stamp,
                    looked: Instant::now(),
                };
                slots.insert(name.clone(), Slot::Ready(loaded));
            }
            Ok(_) => {
                slots.remove(name);
            }
            Err(error) => {
                eprintln!("nestor: project {name} cannot be loaded: {error}");
                match slots.remove(name) {
                    // The old one goes on; it is looked at again when the files change once more.
                    Some(Slot::Reloading(old)) => {
                        let old = ProjectLoaded { stamp, ..old };
                        slots.insert(name.clone(), Slot::Ready(old));
                    }
                    _ => {
                        self.metrics.project_gone(name.as_str());
                    }
                }
            }
        }
        self.unload_surplus(&mut slots);
    }
}

fn roots_of(store: &ProjectStore) -> Arc<[(String, String)]> {
    let roots = store.roots();
    roots
        .map(|root| (root.name.clone(), root.location.clone()))
        .collect()
}

/// A completion to make.
#[derive(Clone, Debug)]
pub struct Asked {
    /// Path of the document.
    pub path: String,
    /// The document.
    pub text: String,
    /// The cursor, in bytes.
    pub offset: usize,
    /// The speed.
    pub speed: SpeedName,
    /// Pieces to write at most.
    pub max_tokens: usize,
    /// Where to end.
    pub rule: StopRule,
    /// Whether the text after the cursor is read.
    pub use_suffix: bool,
    /// How pieces are picked.
    pub sampling: Sampling,
    /// Texts that end it; they are not part of the answer.
    pub stops: Vec<String>,
    /// Time after which writing ends.
    pub write_for: Option<Duration>,
    /// Pieces that are listed beside each one written.
    pub alternatives: usize,
}

/// A completion that was made.
#[derive(Clone, Debug)]
pub struct Made {
    /// The text to insert.
    pub text: String,
    /// The completion, of which `text` may leave out the end.
    pub completion: Completion,
    /// The speed that was used.
    pub speed: Speed,
    /// Why it ends.
    pub ended: Ended,
}

impl Made {
    /// The answer to a request for nothing.
    #[must_use]
    pub fn nothing() -> Self {
        Self {
            text: String::new(),
            completion: Completion {
                insert: String::new(),
                confidence: 0.0,
                contributions: Vec::new(),
                tokens: Vec::new(),
                n_healed: 0,
                stop: StopReason::MaxTokens,
                n_context: 0,
                n_read: 0,
                timings: nestor_assist::Timings::default(),
            },
            speed: Speed::Fast,
            ended: Ended::Assistant(StopReason::MaxTokens),
        }
    }
}

/// Why a completion ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ended {
    /// As the assistant says.
    Assistant(StopReason),
    /// At a stop text.
    StopText(String),
    /// Its time was over.
    Deadline,
}

impl Ended {
    /// The word on the wire.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::StopText(_) => "stop",
            Self::Deadline => "deadline",
            Self::Assistant(StopReason::Rule) => "rule",
            Self::Assistant(StopReason::EndOfText) => "end_of_text",
            Self::Assistant(StopReason::MaxTokens) => "max_tokens",
            Self::Assistant(StopReason::Prose) => "prose",
            Self::Assistant(StopReason::NothingFits) => "nothing_fits",
            Self::Assistant(StopReason::Cancelled) => "cancelled",
        }
    }

    /// OpenAI's word.
    #[must_use]
    pub fn finish_reason(&self) -> &'static str {
        match self {
            Self::Deadline | Self::Assistant(StopReason::MaxTokens) => "length",
            _ => "stop",
        }
    }
}

impl Serving {
    /// Makes a completion on this thread. `grown` is told parts of the text that are certain to stay, in order, before the end;
    /// where a second speed may still overrule the first, all of it at the end. What was read of a document serves the next request of
    /// the same `owner` (a key and a project).
    ///
    /// # Errors
    /// Those of the assistant.
    pub fn complete(
        &self,
        assistant: &Assistant,
        asked: &Asked,
        caller: &Caller,
        owner: &str,
        grown: &mut dyn FnMut(&str),
    ) -> Result<Made, AssistError> {
        if let Some(speed) = asked.speed.fixed() {
            return self.complete_at(assistant, asked, speed, caller, owner, Some(grown));
        }
        let enough = f32::from_bits(self.auto_confidence.load(Ordering::Relaxed));
        let mut best = self.complete_at(assistant, asked, Speed::Fast, caller, owner, None)?;
        for speed in [Speed::Accurate, Speed::Balanced] {
            let settled = best.completion.confidence >= enough && !best.text.is_empty();
            if settled || matches!(best.ended, Ended::Assistant(StopReason::Prose)) {
                break;
            }
            // Twice the usual time: a deadline that is missed by a little is missed.
            if caller.is_gone() || caller.left() < self.typical(speed) * 2 {
                continue;
            }
            best = self.complete_at(assistant, asked, speed, caller, owner, None)?;
            break;
        }
        if !best.text.is_empty() {
            grown(&best.text);
        }
        Ok(best)
    }

    /// Reads a document for a cursor at which something may be asked soon, until the caller is gone. No answer changes by it.
    ///
    /// # Errors
    /// Those of the assistant.
    pub fn read_ahead(
        &self,
        assistant: &Assistant,
        asked: &Asked,
        caller: &Caller,
        owner: &str,
    ) -> Result<bool, AssistError> {
        let text = asked.text.clone();
        let mut request = CompleteRequest::new(&asked.path, text, ByteOffset(asked.offset));
        // What `auto` begins with.
        request.speed = asked.speed.fixed().unwrap_or(Speed::Fast);
        request.use_suffix = asked.use_suffix;
        let stop = || caller.is_gone() || caller.is_late();
        self.documents.read_ahead(assistant, owner, &request, &stop)
    }

    /// The usual time of a completion at a speed.
    #[must_use]
    pub fn typical(&self, speed: Speed) -> Duration {
        Duration::from_micros(self.typical_us[speed as usize].load(Ordering::Relaxed))
    }

    fn complete_at(
        &self,
        assistant: &Assistant,
        asked: &Asked,
        speed: Speed,
        caller: &Caller,
        owner: &str,
        grown: Option<&mut dyn FnMut(&str)>,
    ) -> Result<Made, AssistError> {
        let mut request = CompleteRequest::new(
            asked.path.clone(),
            asked.text.clone(),
            ByteOffset(asked.offset),
        );
        request.speed = speed;
        request.max_tokens = asked.max_tokens;
        request.stop = asked.rule;
        request.use_suffix = asked.use_suffix;
        request.sampling = asked.sampling;
        request.alternatives = asked.alternatives;
        let started = Instant::now();
        let crlf = mostly_crlf(&asked.text);
        let watcher = std::cell::RefCell::new(Watcher {
            asked,
            caller,
            grown,
            crlf,
            sent: 0,
            writing_since: None,
            ended: None,
        });
        let completion =
            self.documents
                .complete(assistant, owner, &request, &|| caller.is_gone(), &|text| {
                    watcher.borrow_mut().sees(text)
                })?;
        let watcher = watcher.into_inner();
        let mut text = completion.insert.clone();
        let mut ended = Ended::Assistant(completion.stop);
        if let Some((at, stop)) = first_stop(&text, &asked.stops, crlf) {
            text.truncate(at);
            ended = Ended::StopText(stop);
        } else if matches!(watcher.ended, Some(Ended::Deadline)) {
            ended = Ended::Deadline;
        }
        if let Some(grown) = watcher.grown
            && let Some(rest) = text.get(watcher.sent..).filter(|rest| !rest.is_empty())
        {
            grown(rest);
        }
        self.learn_time(speed, started.elapsed());
        Ok(Made {
            text,
            completion,
            speed,
            ended,
        })
    }

    fn learn_time(&self, speed: Speed, took: Duration) {
        let typical = &self.typical_us[speed as usize];
        let took = took.as_micros().min(60_000_000) as u64;
        let before = typical.load(Ordering::Relaxed);
        typical.store((before * 7 + took) / 8, Ordering::Relaxed);
    }
}

/// Looks at the text as it grows.
struct Watcher<'a, 'b> {
    asked: &'a Asked,
    caller: &'a Caller,
    grown: Option<&'b mut dyn FnMut(&str)>,
    crlf: bool,
    /// Bytes told, with the document's line ends.
    sent: usize,
    writing_since: Option<Instant>,
    ended: Option<Ended>,
}

impl Watcher<'_, '_> {
    /// True to end the completion here.
    fn sees(&mut self, text: &str) -> bool {
        let text = if self.crlf {
            text.replace('\n', "\r\n")
        } else {
            text.to_owned()
        };
        if let Some((_, stop)) = first_stop(&text, &self.asked.stops, self.crlf) {
            self.ended = Some(Ended::StopText(stop));
            return true;
        }
        let since = *self.writing_since.get_or_insert_with(Instant::now);
        let over = self
            .asked
            .write_for
            .is_some_and(|most| since.elapsed() >= most);
        if over || self.caller.is_late() {
            self.ended = Some(Ended::Deadline);
            return true;
        }
        let certain = certain_part(&text, &self.asked.stops);
        if let Some(grown) = &mut self.grown
            && certain > self.sent
        {
            grown(&text[self.sent..certain]);
            self.sent = certain;
        }
        false
    }
}

/// How much of a growing text stays whatever comes: rules take back white space, the word at the end, or the beginning of a stop
/// text, and nothing is offered when all of it is white space.
fn certain_part(text: &str, stops: &[String]) -> usize {
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    let mut end = text.trim_end().trim_end_matches(is_word).trim_end().len();
    for stop in stops {
        for (at, _) in text.char_indices().rev().take(stop.chars().count()) {
            if at < end && stop.starts_with(&text[at..]) {
                end = at;
            }
        }
    }
    end
}

/// Where the first stop text begins, and which it is.
fn first_stop(text: &str, stops: &[String], crlf: bool) -> Option<(usize, String)> {
    let stops = stops.iter().filter(|stop| !stop.is_empty());
    let found = stops.filter_map(|stop| {
        // A client that says `\n` means the line end of the document.
        let at = if crlf && !stop.contains('\r') {
            text.find(&stop.replace('\n', "\r\n"))
        } else {
            text.find(stop.as_str())
        };
        Some((at?, stop.clone()))
    });
    found.min_by_key(|(at, _)| *at)
}

/// The line ends that a completion will have, as the assistant decides it.
fn mostly_crlf(text: &str) -> bool {
    let crlf = text.matches("\r\n").count();
    crlf * 2 > text.matches('\n').count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_of_another_machine_is_known_by_the_end_of_its_path() {
        let held = ["cf/CommonModules/А/Ext/Module.bsl", "files/m.bsl"];
        let found = |path: &str| held_as(path, &["cf", "files"], &|path| held.contains(&path));
        for (path, expected) in [
            ("CommonModules/А/Ext/Module.bsl", Some(held[0])),
            ("src/cf/CommonModules/А/Ext/Module.bsl", Some(held[0])),
            ("C:/work/erp/CommonModules/А/Ext/Module.bsl", Some(held[0])),
            ("m.bsl", Some(held[1])),
            // Too little to tell.
            ("elsewhere/m.bsl", None),
            ("CommonModules/Б/Ext/Module.bsl", None),
        ] {
            assert_eq!(found(path).as_deref(), expected, "{path}");
        }
    }

    #[test]
    fn the_first_stop_text_ends() {
        let stops = ["\n".to_owned(), ";".to_owned(), String::new()];
        assert_eq!(
            first_stop("А = 1;\nБ", &stops, false),
            Some((6, ";".to_owned()))
        );
        assert_eq!(
            first_stop("А\r\nБ", &stops[..1], true),
            Some((2, "\n".to_owned()))
        );
        assert_eq!(first_stop("А", &stops, false), None);
    }

    #[test]
    fn only_what_stays_is_told_while_a_text_grows() {
        let stops = ["КонецЦикла;".to_owned(), ");\n".to_owned()];
        for (text, expected) in [
            ("А = Вызов(", "А = Вызов("),
            ("А = Выз", "А ="),
            ("А(1);", "А(1"),
            ("А(1)", "А(1"),
            ("  ", ""),
            ("Слово", ""),
            ("А; КонецЦ", "А;"),
        ] {
            assert_eq!(&text[..certain_part(text, &stops)], expected, "{text}");
        }
    }

    #[test]
    fn line_ends_are_those_of_the_document() {
        assert!(mostly_crlf("а\r\nб\r\nв\n"));
        assert!(!mostly_crlf("а\nб\n"));
        assert!(!mostly_crlf(""));
    }
}
