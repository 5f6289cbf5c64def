//! Projects as the commands reach them: where they lie, their names, the waiting for another writer.
//!
//! Called by `learn`, `project` and `complete`. Looked for in `--memory`, then in `NESTOR_MEMORY`, then in the user's data
//! folder.

use crate::explain;
use crate::failure::{Failure, Outcome};
use crate::messages::Messages;
use crate::terminal::Terminal;
use clap::Args;
use etcetera::BaseStrategy;
use nestor_memory::{
    Cut, Harm, MemoryError, ProjectName, ProjectStore, ProjectWriter, Projects, Quarantined,
    WhenBusy,
};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

/// The environment variable that names the folder of the projects.
pub const MEMORY_VARIABLE: &str = "NESTOR_MEMORY";

/// Where projects lie, as typed.
#[derive(Clone, Debug, Args)]
pub struct MemoryTyped {
    #[arg(long, value_name = "DIR")]
    memory: Option<PathBuf>,
}

/// The same for a command that changes a project.
#[derive(Debug, Args)]
pub struct WriteTyped {
    #[command(flatten)]
    memory: MemoryTyped,
    #[arg(long)]
    no_wait: bool,
}

impl MemoryTyped {
    /// The projects that are meant.
    ///
    /// # Errors
    /// Input if nothing names a folder and the user has no home.
    pub fn projects(&self, messages: &Messages) -> Outcome<Projects> {
        if let Some(dir) = &self.memory {
            return Ok(Projects::at(dir));
        }
        if let Some(dir) = std::env::var_os(MEMORY_VARIABLE).filter(|dir| !dir.is_empty()) {
            return Ok(Projects::at(dir));
        }
        let strategy = etcetera::choose_base_strategy()
            .map_err(|_| Failure::input(messages, "project-no-home", &[]))?;
        // On Windows the data folder roams between computers, and a project may have a gigabyte; the cache folder stays.
        let data = if cfg!(windows) {
            strategy.cache_dir()
        } else {
            strategy.data_dir()
        };
        Ok(Projects::at(data.join("nestor").join("projects")))
    }
}

impl WriteTyped {
    /// The projects that are meant.
    ///
    /// # Errors
    /// Input if nothing names a folder and the user has no home.
    pub fn projects(&self, messages: &Messages) -> Outcome<Projects> {
        self.memory.projects(messages)
    }

    /// Opens a project to change it.
    ///
    /// # Errors
    /// Input if there is none, it is damaged, or another process changes it and nobody is to wait.
    pub fn open(&self, name: &ProjectName, terminal: &Terminal) -> Outcome<ProjectWriter> {
        let projects = self.projects(&terminal.messages)?;
        let writer = self.in_turn(name, terminal, |when_busy| {
            projects.open_to_write(name, when_busy, now())
        })?;
        tell_cut(writer.cut(), name, terminal);
        Ok(writer)
    }

    /// Does something that needs the project's lock; tells when that takes waiting.
    ///
    /// # Errors
    /// Those of `work`, and input for a project that is busy under `--no-wait`.
    pub fn in_turn<T>(
        &self,
        name: &ProjectName,
        terminal: &Terminal,
        work: impl FnOnce(WhenBusy<'_>) -> Result<T, MemoryError>,
    ) -> Outcome<T> {
        let mut tell = || {
            let values = [("name", name.as_str().into())];
            terminal.note(&terminal.messages.with("project-waiting", &values));
        };
        let done = if self.no_wait {
            work(WhenBusy::Fail)
        } else {
            work(WhenBusy::Wait(&mut tell))
        };
        done.map_err(|error| explain::memory(&terminal.messages, &error))
    }
}

/// The name as typed, checked.
///
/// # Errors
/// Usage for a name that no project may have.
pub fn name(typed: &str, messages: &Messages) -> Outcome<ProjectName> {
    typed
        .parse()
        .map_err(|error| explain::memory(messages, &error))
}

/// Tells what a crash has cost.
pub fn tell_cut(cut: Cut, name: &ProjectName, terminal: &Terminal) {
    if cut == Cut::default() {
        return;
    }
    let values = [
        ("name", name.as_str().into()),
        ("bytes", (cut.log + cut.segments).into()),
    ];
    terminal.note(&terminal.messages.with("project-cut", &values));
}

/// The path of a file in a project: the name of the root that it lies in, then its path there.
pub fn path_in(store: &ProjectStore, file: &Path) -> Option<String> {
    let file = file.canonicalize().ok()?;
    let inside = store.roots().filter_map(|root| {
        let location = Path::new(&root.location);
        let path = file.strip_prefix(location).ok()?;
        // A root may be one file; its path is then its own name.
        let path = if path.as_os_str().is_empty() {
            Path::new(file.file_name()?)
        } else {
            path
        };
        let parts: Vec<_> = path.iter().map(|part| part.to_string_lossy()).collect();
        Some((
            location.as_os_str().len(),
            format!("{}/{}", root.name, parts.join("/")),
        ))
    });
    inside.max().map(|(_, path)| path)
}

/// Seconds since 1970.
pub fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    // A clock before 1970 is wrong anyway.
    since.map_or(0, |since| since.as_secs())
}

/// Nanoseconds since 1970.
pub fn now_ns() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    // A clock before 1970 or after 2262 is wrong anyway; no file is older than the earliest moment.
    let nanoseconds = since.map_or(0, |since| since.as_nanos());
    i64::try_from(nanoseconds).unwrap_or(0)
}

/// A moment for people, in their time zone.
pub fn local_time(seconds: u64) -> String {
    match timestamp(seconds) {
        Some(time) => time
            .to_zoned(jiff::tz::TimeZone::system())
            .strftime("%Y-%m-%d %H:%M")
            .to_string(),
        None => seconds.to_string(),
    }
}

/// A moment for programs: RFC 3339 in UTC.
pub fn utc_time(seconds: u64) -> String {
    timestamp(seconds).map_or_else(|| seconds.to_string(), |time| time.to_string())
}

fn timestamp(seconds: u64) -> Option<jiff::Timestamp> {
    jiff::Timestamp::from_second(i64::try_from(seconds).ok()?).ok()
}
/// A file in quarantine, with the reason, in a line.
pub fn quarantined(one: &Quarantined, messages: &Messages) -> String {
    let key = match one.harm {
        Harm::Project => "quarantine-project",
        Harm::General => "quarantine-general",
        Harm::Broken => "quarantine-broken",
    };
    let rise = one.rise.map(|rise| messages.percent(rise));
    let values = [
        ("path", one.path.as_str().into()),
        ("rise", rise.unwrap_or_default().into()),
    ];
    messages.with(key, &values)
}
