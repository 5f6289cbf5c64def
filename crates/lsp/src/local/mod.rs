//! The model in this process: completes on the worker's thread; saved files are learned and projects loaded beside it (`beside`).

mod at_work;
mod beside;
mod stamp;
#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::sync::{Arc, RwLock};
use std::time::{Duration, Instant};

use crossbeam_channel::Sender;
use nestor_assist::{
    Assistant, CompleteRequest, GivenUp, LearnFile, Metadata, MetadataUpdates, OpenDocuments,
    ProjectName, Projects, is_description,
};

use crate::local::at_work::{AtWork, Loading, Shared, read, write};
use crate::local::beside::{Beside, Job, Tools};
use crate::local::stamp::{Changed, Stamp};
use crate::waiting::SavedFile;
use crate::worker::{Answer, Backend, Cancel, Event, Failed, Taken, Told, Why};

/// What is opened before anything else.
#[derive(Clone, Debug)]
pub struct Opens {
    /// The model's folder.
    pub model: PathBuf,
    /// Where projects lie.
    pub projects: Projects,
}

/// Bytes that all open documents may hold for the next requests.
const DOCUMENT_BYTES: usize = 256 << 20;

/// How often a project's files are looked at for changes at most.
const LOOK_AGAIN: Duration = Duration::from_secs(2);

/// The model in this process.
pub struct Local {
    projects: Projects,
    /// The model without a project.
    model: Assistant,
    shared: Shared,
    /// What earlier requests have read of their documents; the owner of each is its path in the editor.
    documents: OpenDocuments,
    /// Ends before what configurations say is brought up to date for the last time.
    beside: Beside,
    /// Kept for its end, which waits for what configurations say.
    _metadata: Arc<MetadataUpdates>,
    looked: Instant,
}

impl Local {
    /// Opens the model; the project follows with [`Backend::load`]. `tell` hears what becomes of saved files and of the project.
    ///
    /// # Errors
    /// Those of the model folder.
    pub fn open(opens: Opens, tell: Sender<Told>) -> Result<Self, Failed> {
        let Opens { model, projects } = opens;
        let model = Assistant::open(&model).map_err(|error| Failed(error.to_string()))?;
        let shared: Shared = Arc::new(RwLock::new(AtWork::new(model.clone())));
        let metadata = MetadataUpdates::new(projects.clone(), {
            let (shared, projects) = (Arc::clone(&shared), projects.clone());
            Box::new(move |name, metadata| {
                take_over_metadata(&shared, &projects, name, metadata);
                true
            })
        });
        let metadata = Arc::new(metadata);
        let tools = Tools {
            shared: Arc::clone(&shared),
            model: model.clone(),
            projects: projects.clone(),
            metadata: Arc::clone(&metadata),
            tell,
        };
        Ok(Self {
            projects,
            model,
            shared,
            documents: OpenDocuments::new(DOCUMENT_BYTES),
            beside: Beside::start(tools).map_err(|error| Failed(error.to_string()))?,
            _metadata: metadata,
            looked: Instant::now(),
        })
    }

    /// Has the project looked at, if that was some time ago.
    fn look_sometimes(&mut self) {
        if self.looked.elapsed() >= LOOK_AGAIN {
            self.look(Why::Time);
        }
    }
}

/// Changes to what the configurations of a project say since the last update. The file with it was just written; where it was not, because
/// another process has the project, the next update reads what stands in it.
fn take_over_metadata(
    shared: &Shared,
    projects: &Projects,
    name: &ProjectName,
    metadata: &Arc<Metadata>,
) {
    let now = Stamp::of(projects, name);
    let mut at_work = write(shared);
    if at_work.project.as_ref() == Some(name) {
        at_work.assistant.set_metadata(Some(Arc::clone(metadata)));
        at_work.stamp.read_metadata(&now);
    }
}

/// The request under the path that the project knows the document by.
fn in_project(at_work: &AtWork, mut request: CompleteRequest) -> CompleteRequest {
    if let Some(path) = at_work.in_project(&request.path) {
        request.path = path;
    }
    request
}

impl Backend for Local {
    fn load(&mut self, project: Option<ProjectName>) -> Told {
        let stamp = project.as_ref().map(|name| Stamp::of(&self.projects, name));
        let stamp = stamp.unwrap_or_default();
        let (session, turned) = {
            let mut at_work = write(&self.shared);
            let turned = at_work.turn_to(project.clone(), stamp.clone(), self.model.clone());
            (at_work.session().to_vec(), turned)
        };
        let loaded = turned.and_then(|()| {
            let Some(project) = project else {
                return Ok(());
            };
            let loading = Loading {
                projects: self.projects.clone(),
                project,
                model: self.model.clone(),
                before: None,
                session,
                changed: Changed::All,
            };
            let loaded = loading.load()?;
            write(&self.shared).take_over(loaded, stamp).map(drop)
        });
        self.looked = Instant::now();
        match loaded {
            Ok(()) => read(&self.shared).ready(),
            Err(error) => Told::Broken(error.to_string()),
        }
    }

    fn look(&mut self, why: Why) {
        self.looked = Instant::now();
        self.beside.send(Job::Look(why));
    }

    fn complete(&mut self, request: CompleteRequest, cancel: &Cancel) -> Result<Answer, Failed> {
        self.look_sometimes();
        let owner = request.path.clone();
        let cancel = cancel.clone();
        let given_up: GivenUp = Arc::new(move || cancel.is_cancelled());
        let at_work = read(&self.shared);
        let request = in_project(&at_work, request);
        let made =
            self.documents
                .complete(&at_work.assistant, &owner, &request, &given_up, &|_| false);
        made.map(Answer::from)
            .map_err(|error| Failed(error.to_string()))
    }

    fn read_ahead(&mut self, request: CompleteRequest, stop: &GivenUp) {
        self.look_sometimes();
        let owner = request.path.clone();
        let at_work = read(&self.shared);
        let request = in_project(&at_work, request);
        // What is wrong with the document is told to the request that follows.
        let _ = self
            .documents
            .read_ahead(&at_work.assistant, &owner, &request, stop);
    }

    fn closed(&mut self, path: &str) {
        self.documents.close_if(&|owner| owner == path);
    }

    /// Has a saved file learned: into the project on disk if it belongs to one, else for this session.
    fn saved(&mut self, path: String, text: String) -> Result<Taken, Failed> {
        self.look_sometimes();
        let found = {
            let at_work = read(&self.shared);
            at_work.project.clone().zip(at_work.in_project(&path))
        };
        match found {
            Some((project, path)) => {
                self.beside.send(Job::Save(SavedFile {
                    project,
                    path,
                    text,
                }));
                Ok(Taken::Later)
            }
            // No code, and of no project.
            None if is_description(&path) => Ok(Taken::Later),
            None => write(&self.shared)
                .learn_for_session(LearnFile { path, text })
                .map(|()| Taken::Learned)
                .map_err(|error| Failed(error.to_string())),
        }
    }

    /// Only a server counts what becomes of completions.
    fn happened(&mut self, _: Event) {}
}
