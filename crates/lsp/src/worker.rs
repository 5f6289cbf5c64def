//! The thread that owns the model: completes, learns saved files, loads projects.
//!
//! The loop that reads the client's messages sends it work and goes on reading, so that a newer request or a cancel reaches work that is
//! under way. It must not know the protocol.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use crossbeam_channel::{Receiver, Sender};
use nestor_assist::{
    AssistError, Assistant, CompleteRequest, Completion, Counts, LearnFile, OpenDocuments,
    ProjectName, Projects, WhenBusy,
};

/// What the worker opens before anything else.
#[derive(Clone, Debug)]
pub struct Opens {
    /// The model's folder.
    pub model: PathBuf,
    /// Where projects lie.
    pub projects: Projects,
    /// The project that counts.
    pub project: Option<ProjectName>,
}

/// Says to work under way that nobody waits for it any more.
#[derive(Clone, Debug, Default)]
pub struct Cancel(Arc<AtomicBool>);

impl Cancel {
    /// Says it.
    pub fn cancel(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Whether it was said.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// Work for the worker.
pub enum Work {
    /// Completes and answers under a number.
    Complete {
        /// The caller's number.
        ticket: u64,
        /// What to complete; its path is that in the editor.
        request: Box<CompleteRequest>,
        /// Stops it.
        cancel: Cancel,
    },
    /// Learns a file that was saved.
    Saved {
        /// Its path in the editor.
        path: String,
        /// Its text.
        text: String,
    },
    /// Loads another project, or the same one anew.
    Load(Option<ProjectName>),
}

/// What the worker tells.
pub enum Told {
    /// The model is open, and a project if one was asked for: files and pieces in it.
    Ready {
        /// Files that the project has learned.
        files: usize,
        /// Pieces in them.
        pieces: usize,
    },
    /// The model or the project cannot be used.
    Broken(String),
    /// A completion.
    Completed {
        /// The caller's number.
        ticket: u64,
        /// It, or what was wrong.
        answer: Result<Box<Completion>, AssistError>,
    },
    /// A saved file was not learned, with the reason.
    NotLearned(String),
}

/// Works until the sender of work is gone.
pub fn work(opens: Opens, receive: &Receiver<Work>, tell: &Sender<Told>) {
    let mut worker = match Worker::open(opens) {
        Ok(worker) => worker,
        Err(error) => {
            // The client is gone if nobody hears it.
            let _ = tell.send(Told::Broken(error.to_string()));
            return;
        }
    };
    let _ = tell.send(worker.load());
    for work in receive {
        let told = match work {
            Work::Complete {
                ticket,
                request,
                cancel,
            } => Some(Told::Completed {
                ticket,
                answer: worker.complete(*request, &cancel).map(Box::new),
            }),
            Work::Saved { path, text } => worker.saved(path, text).err().map(Told::NotLearned),
            Work::Load(project) => {
                worker.opens.project = project;
                Some(worker.load())
            }
        };
        if let Some(told) = told
            && tell.send(told).is_err()
        {
            return;
        }
    }
}

/// Bytes that all open documents may hold for the next requests.
const DOCUMENT_BYTES: usize = 256 << 20;

struct Worker {
    opens: Opens,
    assistant: Assistant,
    /// What earlier requests have read of their documents.
    documents: OpenDocuments,
    /// Names of the project's roots and where they lie.
    roots: Vec<(String, String)>,
}

impl Worker {
    fn open(opens: Opens) -> Result<Self, AssistError> {
        Ok(Self {
            assistant: Assistant::open(&opens.model)?,
            documents: OpenDocuments::new(DOCUMENT_BYTES),
            opens,
            roots: Vec::new(),
        })
    }

    /// Loads the project; without one nothing is known but what the session teaches.
    fn load(&mut self) -> Told {
        self.roots.clear();
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

    fn complete(
        &self,
        mut request: CompleteRequest,
        cancel: &Cancel,
    ) -> Result<Completion, AssistError> {
        if let Some((root, rest)) = self.root_of(&request.path) {
            request.path = format!("{root}/{rest}");
        }
        let cancelled = || cancel.is_cancelled();
        let watch = |_: &str| false;
        self.documents
            .complete(&self.assistant, "", &request, &cancelled, &watch)
    }

    /// The root that a path lies in, and the path inside it.
    fn root_of(&self, path: &str) -> Option<(&str, String)> {
        let roots = self.roots.iter();
        let roots = roots.map(|(name, folder)| (name.as_str(), folder.as_str()));
        nestor_assist::paths::in_root(roots, path)
    }

    /// Learns a saved file: into the project on disk if it belongs to one, else for this session.
    fn saved(&mut self, path: String, text: String) -> Result<(), String> {
        let found = self.root_of(&path);
        let found = found.map(|(root, rest)| (root.to_owned(), rest));
        let (Some(name), Some((root, rest))) = (self.opens.project.clone(), found) else {
            let file = LearnFile { path, text };
            let learned = self.assistant.learn_files([file], &mut |_| {});
            return learned.map(|_| ()).map_err(|error| error.to_string());
        };
        self.save_into(&name, &root, LearnFile { path: rest, text })
            .map_err(|error| error.to_string())
    }

    fn save_into(
        &mut self,
        name: &ProjectName,
        root: &str,
        file: LearnFile,
    ) -> Result<(), AssistError> {
        let projects = self.opens.projects.clone();
        // `nestor learn` may hold the project for minutes; it reads the file itself then.
        let mut writer = projects.open_to_write(name, WhenBusy::Fail, now())?;
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
        Ok(())
    }
}

/// Seconds since 1970.
fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    // A clock before 1970 is wrong anyway.
    since.map_or(0, |since| since.as_secs())
}
