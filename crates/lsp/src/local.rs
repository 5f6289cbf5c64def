//! The model in this process: completes, learns saved files, loads projects.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use nestor_assist::{
    AssistError, Assistant, CompleteRequest, Counts, GivenUp, LearnFile, MemoryError, Metadata,
    MetadataFile, MetadataUpdates, OpenDocuments, ProjectName, Projects, WhenBusy, is_description,
};

use crate::worker::{Answer, Backend, Cancel, Event, Failed, Taken, Told};

/// What is opened before anything else.
#[derive(Clone, Debug)]
pub struct Opens {
    /// The model's folder.
    pub model: PathBuf,
    /// Where projects lie.
    pub projects: Projects,
    /// The project that counts.
    pub project: Option<ProjectName>,
}

/// Bytes that all open documents may hold for the next requests.
const DOCUMENT_BYTES: usize = 256 << 20;

/// The model in this process.
pub struct Local {
    opens: Opens,
    assistant: Assistant,
    /// What earlier requests have read of their documents.
    documents: OpenDocuments,
    /// Names of the project's roots and where they lie.
    roots: Vec<(String, String)>,
    /// Brings what the configurations say up to date beside completions.
    metadata: MetadataUpdates,
    /// What they say since the last update, until a completion changes to it.
    linked: Arc<Mutex<Option<Linked>>>,
    /// Saved files whose projects other processes had, to be tried again.
    late: Vec<Late>,
}

/// A saved file whose project another process had.
struct Late {
    project: ProjectName,
    root: String,
    file: LearnFile,
}

impl Late {
    fn is_of(&self, other: &Self) -> bool {
        (&self.project, &self.root, &self.file.path)
            == (&other.project, &other.root, &other.file.path)
    }
}

/// What the configurations of a project say.
type Linked = (ProjectName, Arc<Metadata>);

impl Local {
    /// Opens the model; the project follows with [`Backend::load`].
    ///
    /// # Errors
    /// Those of the model folder.
    pub fn open(opens: Opens) -> Result<Self, AssistError> {
        let linked: Arc<Mutex<Option<Linked>>> = Arc::default();
        let into = Arc::clone(&linked);
        let take_over = move |name: &ProjectName, metadata: &Arc<Metadata>| {
            let newest = (name.clone(), Arc::clone(metadata));
            *lock(&into) = Some(newest);
            true
        };
        Ok(Self {
            assistant: Assistant::open(&opens.model)?,
            documents: OpenDocuments::new(DOCUMENT_BYTES),
            metadata: MetadataUpdates::new(opens.projects.clone(), Box::new(take_over)),
            opens,
            roots: Vec::new(),
            linked,
            late: Vec::new(),
        })
    }

    /// Changes to what the configurations say since the last update.
    fn take_over_metadata(&mut self) {
        let mut linked = lock(&self.linked);
        if let Some((name, metadata)) = linked.take()
            && self.opens.project.as_ref() == Some(&name)
        {
            self.assistant.set_metadata(Some(metadata));
        }
    }

    /// The request under the path that the project knows the document by.
    fn in_project(&self, mut request: CompleteRequest) -> CompleteRequest {
        if let Some((root, rest)) = self.root_of(&request.path) {
            request.path = format!("{root}/{rest}");
        }
        request
    }

    /// The root that a path lies in, and the path inside it.
    fn root_of(&self, path: &str) -> Option<(&str, String)> {
        let roots = self.roots.iter();
        let roots = roots.map(|(name, folder)| (name.as_str(), folder.as_str()));
        nestor_assist::paths::in_root(roots, path)
    }

    /// Learns a saved file into its project, or keeps it while another process has the project.
    fn save_late(&mut self, late: Late) -> Result<Taken, Failed> {
        match self.save_into(&late.project, &late.root, late.file.clone()) {
            Ok(()) => Ok(Taken::Learned),
            Err(AssistError::Memory(MemoryError::Busy { .. })) => {
                self.late.push(late);
                Ok(Taken::Later)
            }
            Err(error) => Err(Failed(error.to_string())),
        }
    }

    fn save_into(
        &mut self,
        name: &ProjectName,
        root: &str,
        file: LearnFile,
    ) -> Result<(), AssistError> {
        let projects = self.opens.projects.clone();
        let path = format!("{root}/{}", file.path);
        let metadata = MetadataFile {
            path: path.clone(),
            bytes: file.text.clone().into_bytes(),
        };
        let tokenizer = Arc::clone(self.assistant.tokenizer());
        if is_description(&path) {
            let seq = projects.open(name)?.history().len() as u64;
            self.metadata.saved(name, &tokenizer, [metadata], seq);
            return Ok(());
        }
        let turn = self.metadata.turn();
        let mut writer = projects.open_to_write(name, WhenBusy::Fail, now())?;
        drop(turn);
        self.metadata.will_learn(&mut writer, [path.as_str()])?;
        let own = format!("{root}/");
        let known: Vec<String> = writer
            .files()
            .filter_map(|(path, _)| path.strip_prefix(&own).map(str::to_owned))
            .collect();
        let mut learning = self
            .assistant
            .learn_project(&mut writer, root, Counts::Follow)?;
        for path in &known {
            learning.keep(path);
        }
        learning.learn(&[file])?;
        learning.finish()?;
        let seq = writer.history().len() as u64;
        drop(writer);
        self.metadata.saved(name, &tokenizer, [metadata], seq);
        Ok(())
    }
}

impl Backend for Local {
    fn load(&mut self, project: Option<ProjectName>) -> Told {
        self.opens.project = project;
        self.roots.clear();
        // What is on disk is newer than what was linked before.
        drop(lock(&self.linked).take());
        let loaded = match &self.opens.project {
            None => Ok(()),
            Some(name) => self
                .opens
                .projects
                .open(name)
                .map_err(AssistError::from)
                .and_then(|store| {
                    let roots = store.roots();
                    self.roots = roots
                        .map(|root| (root.name.clone(), root.location.clone()))
                        .collect();
                    self.assistant.load_project(&store, 1, &mut |_| {})
                }),
        };
        match loaded {
            Ok(()) => Told::Ready {
                files: self.assistant.memory().n_files(),
                pieces: self.assistant.memory().n_pieces(),
            },
            Err(error) => Told::Broken(error.to_string()),
        }
    }

    fn load_levels(&mut self) -> Result<(), Failed> {
        let Some(name) = &self.opens.project else {
            return Ok(());
        };
        let store = self.opens.projects.open(name).map_err(AssistError::from);
        store
            .and_then(|store| self.assistant.load_levels(&store))
            .map_err(|error| Failed(error.to_string()))
    }

    fn complete(&mut self, request: CompleteRequest, cancel: &Cancel) -> Result<Answer, Failed> {
        self.take_over_metadata();
        let request = self.in_project(request);
        let cancel = cancel.clone();
        let given_up: GivenUp = Arc::new(move || cancel.is_cancelled());
        let made = self
            .documents
            .complete(&self.assistant, "", &request, &given_up, &|_| false);
        made.map(Answer::from)
            .map_err(|error| Failed(error.to_string()))
    }

    fn read_ahead(&mut self, request: CompleteRequest, stop: &GivenUp) {
        self.take_over_metadata();
        let request = self.in_project(request);
        // What is wrong with the document is told to the request that follows.
        let _ = self
            .documents
            .read_ahead(&self.assistant, "", &request, stop);
    }

    /// Learns a saved file: into the project on disk if it belongs to one, else for this session.
    fn saved(&mut self, path: String, text: String) -> Result<Taken, Failed> {
        let found = self.root_of(&path);
        let found = found.map(|(root, rest)| (root.to_owned(), rest));
        let learned = match (self.opens.project.clone(), found) {
            (Some(name), Some((root, rest))) => {
                let late = Late {
                    project: name,
                    root,
                    file: LearnFile { path: rest, text },
                };
                // Of each path the newest text only.
                self.late.retain(|older| !older.is_of(&late));
                return self.save_late(late);
            }
            // No code, and of no project.
            _ if is_description(&path) => return Ok(Taken::Later),
            _ => {
                let file = LearnFile { path, text };
                self.assistant.learn_files([file], &mut |_| {}).map(drop)
            }
        };
        match learned {
            Ok(()) => Ok(Taken::Learned),
            Err(error) => Err(Failed(error.to_string())),
        }
    }

    fn try_again(&mut self) -> Option<Result<Taken, Failed>> {
        (!self.late.is_empty()).then(|| {
            let late = self.late.remove(0);
            self.save_late(late)
        })
    }

    fn is_late(&self) -> bool {
        !self.late.is_empty()
    }

    /// Only a server counts what becomes of completions.
    fn happened(&mut self, _: Event) {}
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
