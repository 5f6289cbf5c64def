//! The project at work: what completions ask, and what takes its place when the project has changed on disk.

use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use nestor_assist::{
    AssistError, Assistant, LearnFile, Metadata, MetadataIndex, ProjectName, ProjectStore, Projects,
};

use crate::local::stamp::{Changed, Stamp};
use crate::worker::Told;

/// Files of no project that are learned again when the project has been loaded.
const MOST_OF_SESSION: usize = 32;

/// The model and what the project has taught. Completions hold it to read, the thread beside them changes it within milliseconds.
pub(super) struct AtWork {
    /// The project that counts.
    pub project: Option<ProjectName>,
    /// The model with it.
    pub assistant: Assistant,
    /// Names of the project's roots and where they lie.
    pub roots: Vec<(String, String)>,
    /// The project's files as they are known here.
    pub stamp: Stamp,
    /// The project is at work as its files were then; else it could not be read, and less of it or none is.
    pub is_whole: bool,
    /// What was learned for this session only, the newest last.
    session: Vec<LearnFile>,
}

/// It, as both threads have it.
pub(super) type Shared = Arc<RwLock<AtWork>>;

/// To read what is at work.
pub(super) fn read(shared: &Shared) -> RwLockReadGuard<'_, AtWork> {
    // Whatever a panic elsewhere left behind is whole.
    shared.read().unwrap_or_else(PoisonError::into_inner)
}

/// To change what is at work; completions wait meanwhile.
pub(super) fn write(shared: &Shared) -> RwLockWriteGuard<'_, AtWork> {
    shared.write().unwrap_or_else(PoisonError::into_inner)
}

/// A project that was read.
pub(super) enum Loaded {
    /// All that it has taught.
    Whole(Box<Whole>),
    /// What its configurations say, alone.
    Metadata(Option<Arc<Metadata>>),
}

/// All that a project has taught.
pub(super) struct Whole {
    assistant: Assistant,
    roots: Vec<(String, String)>,
    /// What was learned again for this session.
    session: Vec<LearnFile>,
}

/// What a project is loaded from.
pub(super) struct Loading {
    pub projects: Projects,
    pub project: ProjectName,
    /// The model without a project.
    pub model: Assistant,
    /// The model with the project as it was before, if there is one.
    pub before: Option<Assistant>,
    /// What was learned for this session only.
    pub session: Vec<LearnFile>,
    /// What of the project has changed.
    pub changed: Changed,
}

impl Loading {
    /// Reads what has changed, or everything where that is less work.
    ///
    /// # Errors
    /// Why the project cannot be read.
    pub fn load(self) -> Result<Loaded, AssistError> {
        let store = self.projects.open(&self.project)?;
        let mut kept = self.before;
        let is_kept = match (&mut kept, self.changed) {
            (Some(before), Changed::Metadata) => {
                let index = MetadataIndex::open_current(&store, before.tokenizer())?;
                return Ok(Loaded::Metadata(index.map(|index| index.link().0)));
            }
            (Some(before), Changed::Levels) => before.load_levels(&store).map(|()| true),
            (Some(before), _) => before.load_changes(&store),
            (None, _) => Ok(false),
        };
        // What goes wrong here is told by loading all of it.
        let kept = kept.filter(|_| is_kept.is_ok_and(|is_kept| is_kept));
        let mut assistant = match kept {
            Some(assistant) => assistant,
            None => {
                let mut assistant = self.model;
                assistant.load_project(&store, 1, &mut |_| {})?;
                assistant
            }
        };
        // A project takes the place of all that was learned before.
        assistant.learn_files(self.session.iter().cloned(), &mut |_| {})?;
        tell_damage(&assistant, &self.project);
        Ok(Loaded::Whole(Box::new(Whole {
            assistant,
            roots: roots_of(&store),
            session: self.session,
        })))
    }
}

impl AtWork {
    /// A model without a project.
    pub fn new(assistant: Assistant) -> Self {
        Self {
            project: None,
            assistant,
            roots: Vec::new(),
            stamp: Stamp::default(),
            is_whole: false,
            session: Vec::new(),
        }
    }

    /// What was learned for this session only.
    pub fn session(&self) -> &[LearnFile] {
        &self.session
    }

    /// Learns a file for this session.
    ///
    /// # Errors
    /// When the counts are full.
    pub fn learn_for_session(&mut self, file: LearnFile) -> Result<(), AssistError> {
        self.assistant.learn_files([file.clone()], &mut |_| {})?;
        self.session.retain(|older| older.path != file.path);
        self.session.push(file);
        if self.session.len() > MOST_OF_SESSION {
            self.session.remove(0);
        }
        Ok(())
    }

    /// Begins with another project, of which nothing is known yet but what the session has taught.
    ///
    /// # Errors
    /// When the counts are full.
    pub fn turn_to(
        &mut self,
        project: Option<ProjectName>,
        stamp: Stamp,
        mut model: Assistant,
    ) -> Result<(), AssistError> {
        model.learn_files(self.session.iter().cloned(), &mut |_| {})?;
        self.assistant = model;
        self.roots.clear();
        self.project = project;
        self.stamp = stamp;
        self.is_whole = false;
        Ok(())
    }

    /// Takes over what was read of the project when its files looked like `stamp`, and gives back what it takes the place of.
    ///
    /// # Errors
    /// When the counts are full.
    pub fn take_over(
        &mut self,
        loaded: Loaded,
        stamp: Stamp,
    ) -> Result<Option<Assistant>, AssistError> {
        self.stamp = stamp;
        let whole = match loaded {
            Loaded::Whole(whole) => *whole,
            Loaded::Metadata(metadata) => {
                self.assistant.set_metadata(metadata);
                return Ok(None);
            }
        };
        let old = std::mem::replace(&mut self.assistant, whole.assistant);
        self.roots = whole.roots;
        self.is_whole = true;
        // Saved while the project was read.
        let later = self.session.iter();
        let later = later.filter(|file| !whole.session.contains(file)).cloned();
        self.assistant.learn_files(later, &mut |_| {})?;
        Ok(Some(old))
    }

    /// The path that the project knows a document by.
    pub fn in_project(&self, path: &str) -> Option<String> {
        // A root without a folder was taught by requests.
        let roots = self.roots.iter().filter(|(_, folder)| !folder.is_empty());
        let roots = roots.map(|(name, folder)| (name.as_str(), folder.as_str()));
        let (root, rest) = nestor_assist::paths::in_root(roots, path)?;
        Some(format!("{root}/{rest}"))
    }

    /// What is told of it once it is loaded.
    pub fn ready(&self) -> Told {
        Told::Ready {
            files: self.assistant.memory().n_files(),
            pieces: self.assistant.memory().n_pieces(),
        }
    }
}

/// Names of a project's roots and where they lie.
fn roots_of(store: &ProjectStore) -> Vec<(String, String)> {
    let roots = store.roots();
    roots
        .map(|root| (root.name.clone(), root.location.clone()))
        .collect()
}

/// Says on stderr what is not at work.
fn tell_damage(assistant: &Assistant, project: &ProjectName) {
    for damage in assistant.memory().damages() {
        eprintln!("nestor: project {project} serves without {damage}");
    }
}
