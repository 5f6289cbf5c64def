//! `nestor learn SRC... --project NAME`: teaches codebases, or what changed in them, to a project that stays.
//!
//! Own code comes first, of all sources: extensions, then external processors, packages, configurations, in each the newest
//! first. Code that may be a vendor's follows, a vendor's code is last. So a run that is broken off has learned what matters
//! most. What has not changed since the last call is not read. Without a source only levels 2 and 3 are taught on, which is what the
//! servers do while nobody works.

mod metadata;
mod plan;
mod progress;
mod report;
mod teaching;

use crate::explain;
use crate::failure::{Failure, Outcome};
use crate::home;
use crate::learning::{self, Skipped};
use crate::messages::Messages;
use crate::priority;
use crate::projects::{self, WriteTyped};
use crate::terminal::Terminal;
use clap::{Args, ValueEnum};
use nestor_assist::{AssistError, Assistant, Counts, LearnFile, ProjectLearning, ProjectReport};
use nestor_corpus::Source;
use nestor_corpus::source::{Learned, RootRole, SourceState, SourceStates};
use nestor_memory::{MemoryError, ProjectStore, ProjectWriter, Role, Root, SOURCES_FILE, WhenBusy};
use plan::{Asked, CLASSES, Plan};
use progress::Progress;
use report::{Report, RootReport};
use std::collections::HashSet;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::time::Instant;
use teaching::Turns;

/// Files that are cut into pieces together.
const BATCH: usize = 64;

/// Arguments of `nestor learn`.
#[derive(Debug, Args)]
pub struct Typed {
    #[arg(value_name = "SRC")]
    sources: Vec<String>,
    #[arg(long, value_name = "NAME")]
    project: String,
    #[arg(long, value_enum, requires = "sources")]
    role: Option<RoleTyped>,
    #[arg(long, value_name = "N|all", default_value = "300000", value_parser = pieces)]
    teach: u64,
    #[arg(long, requires = "sources")]
    full: bool,
    #[arg(long, value_name = "MODEL", default_value = home::DEFAULT_MODEL)]
    model: String,
    #[command(flatten)]
    write: WriteTyped,
}

/// A number of pieces, or all that there are.
fn pieces(typed: &str) -> Result<u64, std::num::ParseIntError> {
    match typed {
        "all" => Ok(u64::MAX),
        number => number.parse(),
    }
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum RoleTyped {
    Base,
    Extension,
    Library,
    External,
}

impl From<RoleTyped> for Role {
    fn from(typed: RoleTyped) -> Self {
        match typed {
            RoleTyped::Base => Self::Base,
            RoleTyped::Extension => Self::Extension,
            RoleTyped::Library => Self::Library,
            RoleTyped::External => Self::External,
        }
    }
}

/// Runs the command.
pub fn run(typed: Typed, terminal: &Terminal) -> Outcome {
    // Before the first thread is started, so that all of them do.
    priority::step_back();
    let messages = &terminal.messages;
    let name = projects::name(&typed.project, messages)?;
    let projects = typed.write.projects(messages)?;
    // A file that changes while it is looked at must count as changed next time.
    let read_ns = projects::now_ns();
    let mut given = open_sources(&typed.sources, terminal)?;
    let mut assistant = super::complete::open(&typed.model, messages)?;
    let identity = assistant.identity();
    let goes_on = typed.sources.is_empty();
    let mut writer = typed.write.in_turn(&name, terminal, |when_busy| {
        if goes_on {
            // It only teaches, and gives way to others itself.
            let when_busy = match when_busy {
                WhenBusy::Wait(tell) => WhenBusy::WaitBehind(tell),
                _ if projects.is_wanted(&name) => {
                    let name = name.to_string();
                    return Err(MemoryError::Busy { name });
                }
                other => other,
            };
            return projects.open_to_write(&name, when_busy, projects::now());
        }
        projects.open_or_create(&name, &identity, when_busy, projects::now())
    })?;
    projects::tell_cut(writer.cut(), &name, terminal);
    if typed.full {
        let damaged = writer.forget_damaged();
        let damaged = damaged.map_err(|error| explain::memory(messages, &error))?;
        for path in damaged {
            let values = [("path", path.into())];
            terminal.note(&messages.with("learn-damaged", &values));
        }
    }
    let started = Instant::now();
    let role = typed.role.map(Role::from);
    // A hint: without it everything is read.
    let kept = std::fs::read(writer.dir().join(SOURCES_FILE)).unwrap_or_default();
    let mut states = SourceStates::from_bytes(&kept);
    for one in &mut given {
        let root = root_of(one, role, &writer, messages)?;
        let state = states.take(&root.name, &root.location);
        one.root = Some(root);
        one.plan = Some(plan(one, role, state.filter(|_| !typed.full), &writer));
    }
    given.sort_by_key(Given::first_rank);

    // Useful before the first module is learned.
    let known = match goes_on {
        true => None,
        false => Some(metadata::learn(
            &given,
            &mut writer,
            typed.full,
            read_ns,
            terminal,
        )?),
    };

    let bytes = given.iter().flat_map(|one| &one.plan);
    let bytes: u64 = bytes.map(|plan| plan.bytes_read).sum();
    if bytes > 0 {
        // A call that is broken off must not leave what it has learned beside an older state, as if an editor had saved it.
        writer
            .save_sources(&states.to_bytes())
            .map_err(|error| explain::memory(messages, &error))?;
    }
    let mut progress = Progress::new(terminal, bytes, typed.teach);
    for class in 0..CLASSES.len() {
        for one in &mut given {
            if one
                .plan
                .as_ref()
                .is_some_and(|plan| plan.classes().contains(&class))
            {
                learn(
                    one,
                    class,
                    &mut assistant,
                    &mut writer,
                    &mut progress,
                    messages,
                )?;
            }
        }
    }
    progress.teach(terminal);
    let mut roots = Vec::with_capacity(given.len());
    for one in given {
        let (report, root, state) = one.finish(read_ns);
        states.sources.insert(root, state);
        roots.push(report);
    }
    if !goes_on {
        writer
            .save_sources(&states.to_bytes())
            .map_err(|error| explain::memory(messages, &error))?;
    }
    let seconds = started.elapsed().as_secs_f64();
    let reopen = || {
        // Also under `--no-wait`: whoever was given way to is soon done.
        let when_busy = WhenBusy::WaitBehind(&mut || ());
        let opened = projects.open_to_write(&name, when_busy, projects::now());
        opened.map_err(|error| explain::memory(messages, &error))
    };
    let wanted = || projects.is_wanted(&name);
    let turns = Turns {
        is_wanted: &wanted,
        reopen: &reopen,
    };
    let (taught, writer) =
        teaching::teach(&assistant, writer, typed.teach, progress, &turns, messages)?;
    let report = Report::new(roots, seconds, (taught, known), &writer);
    terminal.result(&report, || report.text(messages))
}

/// A source as given on the command line.
struct Given {
    /// The name in `NAME=PATH`.
    name: Option<String>,
    path: PathBuf,
    location: String,
    source: Box<dyn Source>,
    /// Known once the project is open.
    root: Option<Root>,
    plan: Option<Plan>,
    /// What was done of the plan.
    done: ProjectReport,
}

impl Given {
    /// What a file of the source is to the project.
    fn role_of(&self, root: Option<usize>) -> Option<Role> {
        let told = self.root.as_ref().and_then(|root| root.role);
        let found = || Some(role_of(self.source.roots().get(root?)?.role));
        told.or_else(found)
    }

    /// The ranks of its files, in the order in which they are learned.
    fn ranks(&self) -> Vec<u8> {
        let roots = 0..self.source.roots().len();
        let mut ranks: Vec<u8> = roots.map(|idx| rank(self.role_of(Some(idx)))).collect();
        if ranks.is_empty() {
            ranks.push(rank(self.role_of(None)));
        }
        ranks.sort_unstable();
        ranks.dedup();
        ranks
    }

    fn first_rank(&self) -> u8 {
        self.ranks().first().copied().unwrap_or_default()
    }

    /// What the user says that the source is, in this call or an earlier one; not what the source itself tells.
    fn told_role(&self, typed: Option<Role>) -> Option<Role> {
        let kept = self.root.as_ref().and_then(|root| root.role);
        let is_told = |role: &Role| {
            let mut found = self.source.roots().iter();
            !found.any(|root| role_of(root.role) == *role)
        };
        typed.or(kept.filter(is_told))
    }

    /// Adds what a pass has done.
    fn add(&mut self, pass: ProjectReport) {
        let done = &mut self.done;
        done.new += pass.new;
        done.changed += pass.changed;
        done.unchanged += pass.unchanged;
        done.again += pass.again;
        done.removed += pass.removed;
        done.bytes += pass.bytes;
        done.pieces += pass.pieces;
        done.skipped.extend(pass.skipped);
    }

    /// The report, and the state of the source under the name of its root.
    fn finish(self, read_ns: i64) -> (RootReport, String, SourceState) {
        let root = self.root.expect("resolved before");
        let plan = self.plan.expect("made before");
        let report = RootReport::new(&root, &self.path, self.done, &plan);
        let state = plan.into_state(root.location, read_ns);
        (report, root.name, state)
    }
}

/// Own code first. What nothing is known of is a folder of scripts as a rule.
fn rank(role: Option<Role>) -> u8 {
    match role {
        Some(Role::Extension) => 0,
        Some(Role::External) => 1,
        Some(Role::Library) | None => 2,
        Some(Role::Base) => 3,
    }
}

fn role_of(found: RootRole) -> Role {
    match found {
        RootRole::Configuration => Role::Base,
        RootRole::Extension => Role::Extension,
        RootRole::Library => Role::Library,
        RootRole::ExternalProcessor => Role::External,
    }
}

/// Opens all sources before anything is written.
fn open_sources(typed: &[String], terminal: &Terminal) -> Outcome<Vec<Given>> {
    let mut given: Vec<Given> = Vec::with_capacity(typed.len());
    for typed in typed {
        let (name, path) = match typed.split_once('=') {
            Some((name, path)) if !name.is_empty() && !name.contains(['/', '\\']) => {
                (Some(name.to_owned()), PathBuf::from(path))
            }
            _ => (None, PathBuf::from(typed)),
        };
        let source = learning::open(&path, terminal)?;
        let location = path.canonicalize().unwrap_or_else(|_| path.clone());
        given.push(Given {
            name,
            path,
            location: location.to_string_lossy().into_owned(),
            source,
            root: None,
            plan: None,
            done: ProjectReport::default(),
        });
    }
    for (idx, one) in given.iter().enumerate() {
        if let Some(other) = given[..idx]
            .iter()
            .find(|other| wanted(other) == wanted(one))
        {
            let values = [("name", wanted(other).into())];
            let messages = &terminal.messages;
            return Err(Failure::usage(messages, "corpus-error-same-name", &values));
        }
        let shares = |other: &&Given| share_files(&one.location, &other.location);
        if let Some(other) = given[..idx].iter().find(shares) {
            let values = [
                ("given", one.location.as_str().into()),
                ("other", other.location.as_str().into()),
            ];
            let messages = &terminal.messages;
            return Err(Failure::usage(messages, "learn-error-shared", &values));
        }
    }
    Ok(given)
}

/// The name that a source would have in a new project: the given one, or the last part of its path made fit.
fn wanted(given: &Given) -> String {
    if let Some(name) = &given.name {
        return name.clone();
    }
    let name = given.source.name();
    nestor_memory::fitting_name(name.strip_suffix(".git").unwrap_or(name))
}

/// The root of the project that a source is: the one learned from the same place, or the one of its name.
fn root_of(
    given: &Given,
    role: Option<Role>,
    store: &ProjectStore,
    messages: &Messages,
) -> Outcome<Root> {
    let same_place = store.roots().find(|root| root.location == given.location);
    let name = match (&given.name, same_place) {
        (None, Some(root)) => root.name.clone(),
        _ => wanted(given),
    };
    let known = store.root(&name);
    // A name that was not typed may be two sources' by accident; a typed one says that the source has moved.
    if let Some(known) = known.filter(|known| known.location != given.location)
        && given.name.is_none()
    {
        let error = MemoryError::RootElsewhere {
            name,
            learned: known.location.clone(),
            given: given.location.clone(),
        };
        return Err(explain::memory(messages, &error));
    }
    check_apart(given, &name, store, messages)?;
    let mut found: Vec<Role> = given
        .source
        .roots()
        .iter()
        .map(|r| role_of(r.role))
        .collect();
    found.dedup();
    let alone = (found.len() == 1).then(|| found[0]);
    Ok(Root {
        role: role.or(known.and_then(|known| known.role)).or(alone),
        location: given.location.clone(),
        name,
    })
}

/// Refuses a folder that another root of the project has learned, as a part or as the whole: its files would count twice.
fn check_apart(
    given: &Given,
    name: &str,
    store: &ProjectStore,
    messages: &Messages,
) -> Outcome<()> {
    let shares = |root: &&Root| {
        let is_other = root.name != name && !root.location.is_empty();
        is_other && share_files(&given.location, &root.location)
    };
    // What was forgotten is no hindrance.
    let counts = |root: &&Root| store.files().any(|(_, file)| file.root == root.name);
    let Some(other) = store.roots().filter(shares).find(counts) else {
        return Ok(());
    };
    let values = [
        ("given", given.location.as_str().into()),
        ("learned", other.location.as_str().into()),
        ("root", other.name.as_str().into()),
        ("project", store.name().to_string().into()),
    ];
    Err(Failure::usage(messages, "learn-error-nested", &values))
}

/// Whether one of two places lies in the other, or is it. What lies in a bare repository is none of a folder's files.
fn share_files(one: &str, other: &str) -> bool {
    let [one, other] = [one, other].map(Path::new);
    let is_repository = |path: &Path| path.join("objects").is_dir() && path.join("HEAD").is_file();
    (one.starts_with(other) || other.starts_with(one))
        && !is_repository(one)
        && !is_repository(other)
}

/// Compares a source with what the project has learned of it.
fn plan(
    given: &Given,
    typed: Option<Role>,
    state: Option<SourceState>,
    store: &ProjectStore,
) -> Plan {
    let name = &given.root.as_ref().expect("resolved before").name;
    let last = store.learned_last();
    let learned = |path: &str| {
        let path = format!("{name}/{path}");
        match store.file(&path) {
            None => Learned::Nothing,
            Some(file) if last.contains(path.as_str()) => Learned::Saved(&file.sha256),
            Some(file) => Learned::Text(&file.sha256),
        }
    };
    Plan::new(Asked {
        source: given.source.as_ref(),
        state,
        role: given.told_role(typed),
        rank: &|root| rank(given.role_of(root)),
        learned: &learned,
        counting: paths_of(&last, name),
        is_vendor: &|path| Some(store.file(&format!("{name}/{path}"))?.vendor),
    })
}

/// Those of some paths of a project that lie in a root, inside it.
fn paths_of(paths: &HashSet<&str>, root: &str) -> Vec<String> {
    let inside = paths
        .iter()
        .filter_map(|path| path.strip_prefix(root)?.strip_prefix('/'));
    inside.map(str::to_owned).collect()
}

/// The hash of the text that counts under a path of a root.
fn learned(store: &ProjectStore, root: &str, path: &str) -> Option<String> {
    let file = store.file(&format!("{root}/{path}"));
    file.map(|file| file.sha256.clone())
}

/// Learns one class of a source's code.
fn learn(
    given: &mut Given,
    class: usize,
    assistant: &mut Assistant,
    writer: &mut ProjectWriter,
    progress: &mut Progress,
    messages: &Messages,
) -> Outcome<()> {
    let told = |error: AssistError| explain::assist(messages, &error);
    let root = given.root.as_ref().expect("resolved before");
    let plan = given.plan.as_mut().expect("made before");
    writer
        .set_root(root)
        .map_err(|error| explain::memory(messages, &error))?;
    let learning = assistant.learn_project(writer, &root.name, Counts::Stay);
    let is_vendor = CLASSES[class] == nestor_corpus::source::Origin::Vendor;
    let mut learning = learning.map_err(told)?.of_vendor(is_vendor);
    for path in plan.beside(class) {
        learning.keep(path);
    }
    let source = given.source.as_ref();
    let read = read_pass(source, plan.pass(class), &mut learning, progress, messages)?;
    for file in &read.left_out {
        learning.keep(&file.path);
    }
    let report = learning.finish().map_err(told)?;
    let left_out = read.left_out.iter();
    let left_out = left_out.map(|file| (file.path.as_str(), file.reason.as_str()));
    let unlearned = report.skipped.iter().map(|(path, _)| path.as_str());
    plan.read(
        class,
        &read.visited,
        &left_out.collect(),
        &unlearned.collect(),
        &|path| learned(writer, &root.name, path),
    );
    given.add(report);
    Ok(())
}

/// What reading some files of a source gave.
struct Read {
    /// Files with text.
    visited: HashSet<String>,
    /// Files that are no text.
    left_out: Vec<Skipped>,
}

/// Reads some files of a source and learns them.
fn read_pass(
    source: &dyn Source,
    modules: &[usize],
    learning: &mut ProjectLearning<'_>,
    progress: &mut Progress,
    messages: &Messages,
) -> Outcome<Read> {
    let mut visited = HashSet::with_capacity(modules.len());
    let mut batch: Vec<LearnFile> = Vec::with_capacity(BATCH);
    let mut teach = |batch: &mut Vec<LearnFile>| {
        let n_bytes: usize = batch.iter().map(|file| file.text.len()).sum();
        learning.learn(batch)?;
        batch.clear();
        progress.read(n_bytes);
        Ok(())
    };
    let mut failed: Option<AssistError> = None;
    let read = source.read_some(modules, &mut |file| {
        visited.insert(file.path.clone());
        batch.push(LearnFile {
            path: file.path,
            text: file.text,
        });
        if batch.len() < BATCH {
            return ControlFlow::Continue(());
        }
        match teach(&mut batch) {
            Ok(()) => ControlFlow::Continue(()),
            Err(error) => {
                failed = Some(error);
                ControlFlow::Break(())
            }
        }
    });
    let report = read.map_err(|error| explain::corpus(messages, &error))?;
    failed
        .map_or_else(|| teach(&mut batch), Err)
        .map_err(|error| explain::assist(messages, &error))?;
    let left_out = report.skipped.into_iter().map(|file| Skipped {
        path: file.path,
        reason: file.reason,
    });
    Ok(Read {
        visited,
        left_out: left_out.collect(),
    })
}
