//! Projects at work: loaded when they are asked for, loaded anew when they change on disk, unloaded when there are too many.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use nestor_assist::{
    AssistError, Assistant, METADATA_FILE, MemoryError, Metadata, ProjectName, ProjectStore,
    Projects,
};

use crate::serving::{Serving, Stamp, stamp};

/// How often a project's files are looked at for changes.
const LOOK_AGAIN: Duration = Duration::from_secs(2);

/// Where the file of what configurations say stands in a project's stamp; that of the levels is before it, all else behind.
const METADATA_AT: usize = 1;

/// A project at work.
#[derive(Clone)]
pub struct ProjectLoaded {
    /// The model with what the project has taught.
    pub assistant: Arc<Assistant>,
    /// Names of its roots and where they lie.
    roots: Arc<[(String, String)]>,
    stamp: Stamp,
    looked: Instant,
    /// How often its metadata was brought up to date.
    n_updates: u64,
    /// Its files have changed since, and could not be read then.
    is_behind: bool,
}

impl ProjectLoaded {
    /// The path that the project knows a document by, or the one that it was asked for by.
    #[must_use]
    pub fn path_of(&self, path: &str) -> String {
        let memory = self.assistant.memory();
        let known = known_as(path, &self.roots, &|path| memory.holds(path));
        known.unwrap_or_else(|| path.replace('\\', "/"))
    }
}

/// The path that a project knows a document by: one that it holds, or that lies in a root's folder, or whose end it holds. Roots are names
/// and where they lie.
#[must_use]
pub fn known_as(
    path: &str,
    roots: &[(String, String)],
    holds: &dyn Fn(&str) -> bool,
) -> Option<String> {
    let path = path.replace('\\', "/");
    if holds(&path) {
        return Some(path);
    }
    // A root without a folder was taught by requests.
    let folders = roots.iter().filter(|(_, folder)| !folder.is_empty());
    let folders = folders.map(|(name, folder)| (name.as_str(), folder.as_str()));
    if let Some((name, rest)) = nestor_assist::paths::in_root(folders, &path) {
        return Some(format!("{name}/{rest}"));
    }
    let names: Vec<&str> = roots.iter().map(|(name, _)| name.as_str()).collect();
    held_as(&path, &names, holds)
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

pub(super) enum Slot {
    Loading,
    Ready(ProjectLoaded),
    /// Loaded before, and being loaded again.
    Reloading(ProjectLoaded),
}

/// The projects at work.
pub(super) type Slots = Mutex<HashMap<ProjectName, Slot>>;

/// Gives a project at work what its configurations say now, and have just been written to its file; false while it is being loaded,
/// perhaps without that.
pub(super) fn take_over(
    slots: &Slots,
    projects: &Projects,
    name: &ProjectName,
    metadata: &Arc<Metadata>,
) -> bool {
    let written = stamp(&[projects.dir().join(name.as_str()).join(METADATA_FILE)]);
    loop {
        let assistant = match lock(slots).get(name) {
            None => return true,
            Some(Slot::Loading) => return false,
            Some(Slot::Ready(loaded) | Slot::Reloading(loaded)) => Arc::clone(&loaded.assistant),
        };
        // Copies names of files and folders, so requests are not kept waiting meanwhile.
        let mut with = assistant.as_ref().clone();
        with.set_metadata(Some(Arc::clone(metadata)));
        if let Some(Slot::Ready(loaded) | Slot::Reloading(loaded)) = lock(slots).get_mut(name)
            && Arc::ptr_eq(&loaded.assistant, &assistant)
        {
            loaded.assistant = Arc::new(with);
            loaded.stamp[METADATA_AT] = written[0];
            loaded.n_updates += 1;
            return true;
        }
    }
}

fn lock(slots: &Slots) -> MutexGuard<'_, HashMap<ProjectName, Slot>> {
    slots.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Serving {
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

    /// As [`Serving::project_within`], with all that the project was taught until now.
    ///
    /// # Errors
    /// [`ProjectProblem`].
    pub async fn project_as_taught(
        self: &Arc<Self>,
        name: &str,
        patience: Duration,
    ) -> Result<ProjectLoaded, ProjectProblem> {
        let until = Instant::now() + patience;
        loop {
            if let Ok(name) = name.parse() {
                self.look_again(&name);
            }
            let found = self.project(name);
            let is_old = match &found {
                Err(ProjectProblem::Loading) => true,
                Err(_) => false,
                Ok(_) => self.is_reloading(name),
            };
            if !is_old || Instant::now() >= until {
                return found;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    fn is_reloading(&self, name: &str) -> bool {
        let name = name.parse::<ProjectName>();
        name.is_ok_and(|name| matches!(self.slots().get(&name), Some(Slot::Reloading(_))))
    }

    /// The projects at work, those used last first.
    #[must_use]
    pub fn at_work(&self) -> Vec<ProjectName> {
        let slots = self.slots();
        let ready = slots.iter();
        let ready = ready.filter(|(_, slot)| matches!(slot, Slot::Ready(_)));
        let mut names: Vec<ProjectName> = ready.map(|(name, _)| name.clone()).collect();
        drop(slots);
        let used = self.used();
        names.sort_by_key(|name| std::cmp::Reverse(used.get(name).copied()));
        names
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

    pub(super) fn slots(&self) -> MutexGuard<'_, HashMap<ProjectName, Slot>> {
        lock(&self.slots)
    }

    fn used(&self) -> MutexGuard<'_, HashMap<ProjectName, Instant>> {
        self.used.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Unloads the projects that were not asked for longest while more are at work than may be. What is under way with one goes on.
    pub(super) fn unload_surplus(&self, slots: &mut HashMap<ProjectName, Slot>) {
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
        let files = ["levels.bin", METADATA_FILE, "memory.json"];
        let mut files: Vec<PathBuf> = files.map(|file| dir.join(file)).into();
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

    /// The files of a project that change when it learns something, but for what its levels are taught and its configurations say.
    pub(crate) fn learned_stamp(&self, name: &ProjectName) -> Stamp {
        self.project_stamp(name).split_off(METADATA_AT + 1)
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
        let mut stamp = self.project_stamp(name);
        let n_updates = match self.slots().get(name) {
            Some(Slot::Reloading(old)) => old.n_updates,
            _ => 0,
        };
        let before = match self.slots().get(name) {
            Some(Slot::Reloading(old)) => {
                let levels_alone = !old.is_behind && only_levels_differ(&old.stamp, &stamp);
                Some((Arc::clone(&old.assistant), levels_alone))
            }
            _ => None,
        };
        let of_model = |old: &Assistant| Arc::ptr_eq(old.model(), model.assistant.model());
        let before = before.filter(|(old, _)| of_model(old));
        let loaded = self.projects.open(name).map_err(AssistError::from);
        let loaded = loaded.and_then(|store| {
            // Counting a project anew takes seconds; what levels 2 and 3 were taught does not, nor do a few files.
            let mut kept = None;
            if let Some((before, levels_alone)) = before {
                let mut assistant = before.as_ref().clone();
                let is_whole = if levels_alone {
                    assistant.load_levels(&store).map(|()| true)
                } else {
                    assistant.load_changes(&store)
                };
                // What goes wrong here is told by loading all of it.
                kept = is_whole.is_ok_and(|is_whole| is_whole).then_some(assistant);
            }
            let assistant = match kept {
                Some(assistant) => assistant,
                None => {
                    let mut assistant = model.assistant.as_ref().clone();
                    assistant.load_project(&store, 1, &mut |_| {})?;
                    assistant
                }
            };
            Ok((assistant, roots_of(&store)))
        });
        let mut slots = self.slots();
        // A new model, or a removal, made what was loaded worthless meanwhile.
        let is_wanted = Arc::ptr_eq(&model, &self.model()) && slots.contains_key(name);
        self.metrics.reloaded("project", loaded.is_ok());
        match loaded {
            Ok((mut assistant, roots)) if is_wanted => {
                for damage in assistant.memory().damages() {
                    eprintln!("nestor: project {name} serves without {damage}");
                }
                let old = match slots.get(name) {
                    Some(Slot::Reloading(old)) => Some(old),
                    _ => None,
                };
                // Brought up to date while this was read.
                if let Some(old) = old.filter(|old| old.n_updates != n_updates) {
                    assistant.set_metadata(old.assistant.memory().metadata().cloned());
                    stamp[METADATA_AT] = old.stamp[METADATA_AT];
                }
                let n_updates = old.map_or(0, |old| old.n_updates);
                let memory = assistant.memory();
                self.metrics
                    .project(name.as_str(), memory.n_files(), memory.n_pieces());
                let loaded = ProjectLoaded {
                    assistant: Arc::new(assistant),
                    roots,
                    stamp,
                    looked: Instant::now(),
                    n_updates,
                    is_behind: false,
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
                        let old = ProjectLoaded {
                            stamp,
                            is_behind: true,
                            ..old
                        };
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

/// Whether nothing but the file of the levels, the first of a stamp, has changed.
fn only_levels_differ(one: &Stamp, other: &Stamp) -> bool {
    one.len() == other.len() && one[1..] == other[1..]
}

fn roots_of(store: &ProjectStore) -> Arc<[(String, String)]> {
    let roots = store.roots();
    roots
        .map(|root| (root.name.clone(), root.location.clone()))
        .collect()
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
}
