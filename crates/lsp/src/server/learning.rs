//! Learning: files that were saved, and the whole workspace.

use std::collections::BTreeSet;
use std::io::BufRead as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};

use lsp_server::{Notification, Request, RequestId};
use lsp_types::DidSaveTextDocumentParams;
use serde::Deserialize;
use serde_json::{Value, json};

use nestor_assist::{ProjectName, Projects};

use crate::documents::path_of;
use crate::server::idle::TaughtPart;
use crate::server::{Engine, LEARN, Server};
use crate::worker::{Why, Work};

/// What learning the workspace tells.
pub(super) enum Learned {
    /// How much of it is done.
    Share(f64),
    /// How it ended.
    Done(Result<(), String>),
    /// A part was taught while nobody worked; `None` if it was not.
    Part(Arc<Mutex<Child>>, Option<TaughtPart>),
}

/// What to learn for the open folders: where the project knows a part of one, or the whole that it is a part of, that.
fn sources_of(folders: &[String], projects: &Projects, project: &ProjectName) -> Vec<String> {
    let store = projects.open(project).ok();
    let mut known: Vec<String> = Vec::new();
    if let Some(store) = &store {
        // What was forgotten is not learned again.
        let counting: BTreeSet<&str> = store.files().map(|(_, file)| file.root.as_str()).collect();
        let roots = store.roots();
        let roots = roots.filter(|root| counting.contains(root.name.as_str()));
        known.extend(roots.map(|root| root.location.clone()));
    }
    let mut sources: Vec<String> = Vec::new();
    for folder in folders {
        let here = Path::new(folder);
        let here = here.canonicalize().unwrap_or_else(|_| here.to_owned());
        let meets = |root: &&String| {
            let there = Path::new(root.as_str());
            there.is_dir() && (there.starts_with(&here) || here.starts_with(there))
        };
        let of_it: Vec<String> = known.iter().filter(meets).cloned().collect();
        let of_it = if of_it.is_empty() {
            vec![folder.clone()]
        } else {
            of_it
        };
        for source in of_it {
            if sources
                .iter()
                .any(|whole| Path::new(&source).starts_with(whole))
            {
                continue;
            }
            sources.retain(|part| !Path::new(part).starts_with(&source));
            sources.push(source);
        }
    }
    sources
}

/// A line of `nestor learn --json` on its stderr.
#[derive(Deserialize)]
struct Learning {
    progress: f64,
}

impl Server<'_> {
    pub(super) fn saved(&mut self, params: &DidSaveTextDocumentParams) {
        let Some(document) = self.documents.get(&params.text_document.uri) else {
            return;
        };
        self.idle.work();
        if self.settings.learn_on_save {
            // One at a time has the project, and the saved file is worth more.
            self.idle.end();
            self.idle.begin_anew();
            let saved = Work::Saved {
                path: path_of(&params.text_document.uri),
                text: document.text.clone(),
            };
            let _ = self.work.send(saved);
        }
    }

    /// Learns the folders of the workspace in a process of its own, so that completions go on.
    pub(super) fn learn_workspace(&mut self) -> Result<(), String> {
        let Engine::Local {
            model,
            projects,
            program,
        } = &self.options.engine
        else {
            let reason = "the server learns, not the editor: POST /v1/projects/NAME/learn";
            return Err(reason.to_owned());
        };
        let Some(project) = &self.project else {
            return Err("no project is named; set nestor.project".to_owned());
        };
        if self.is_learning {
            return Err("the workspace is being learned already".to_owned());
        }
        if self.folders.is_empty() {
            return Err("no folder is open".to_owned());
        }
        self.idle.end();
        let sources = sources_of(&self.folders, projects, project);
        let mut child = Command::new(program)
            .args(["learn", "--json", "--project", project.as_str(), "--model"])
            .arg(model)
            .arg("--memory")
            .arg(projects.dir())
            .arg("--")
            .args(&sources)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|error| error.to_string())?;
        self.is_learning = true;
        self.idle.begin_anew();
        if self.has_progress {
            let create = json!({"token": LEARN});
            let method = "window/workDoneProgress/create".to_owned();
            let id = RequestId::from(format!("progress-{}", self.next_ticket));
            self.send(Request::new(id, method, create));
            self.progress(
                json!({"kind": "begin", "title": "Nestor", "cancellable": false, "percentage": 0}),
            );
        }
        let learned = self.learned.clone();
        std::thread::spawn(move || {
            let mut last = String::new();
            if let Some(stderr) = child.stderr.take() {
                for line in std::io::BufReader::new(stderr)
                    .lines()
                    .map_while(Result::ok)
                {
                    match serde_json::from_str::<Learning>(&line) {
                        Ok(learning) => {
                            // The server may have ended meanwhile.
                            let _ = learned.send(Learned::Share(learning.progress));
                        }
                        Err(_) => last = line,
                    }
                }
            }
            let done = match child.wait() {
                Ok(status) if status.success() => Ok(()),
                Ok(_) => Err(last),
                Err(error) => Err(error.to_string()),
            };
            let _ = learned.send(Learned::Done(done));
        });
        Ok(())
    }

    pub(super) fn progress(&self, value: Value) {
        let params = json!({"token": LEARN, "value": value});
        self.send(Notification::new("$/progress".to_owned(), params));
    }

    pub(super) fn share_learned(&self, share: f64) {
        if self.has_progress {
            let percentage = (share * 100.0).round().clamp(0.0, 100.0) as u32;
            self.progress(json!({"kind": "report", "percentage": percentage}));
        }
    }

    pub(super) fn workspace_learned(&mut self, done: Result<(), String>) {
        self.is_learning = false;
        if self.has_progress {
            let message = done.as_ref().err().cloned().unwrap_or_default();
            self.progress(json!({"kind": "end", "message": message}));
        }
        match done {
            Ok(()) => {
                self.idle.begin_anew();
                self.status("Normal", true, "");
                // A worker that has ended is told by the loop.
                let _ = self.work.send(Work::Look(Why::Awaited));
            }
            Err(reason) => self.status("Error", false, &reason),
        }
    }
}

#[cfg(test)]
mod tests {
    use nestor_assist::{Assistant, Counts, LearnFile, Root, WhenBusy};

    use super::*;

    const MODEL: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../models/tiny");

    #[test]
    fn of_a_workspace_that_a_project_knows_by_its_parts_those_are_learned() {
        let folder = tempfile::tempdir().unwrap();
        let place = |path: &str| {
            let path = folder.path().join(path);
            std::fs::create_dir_all(&path).unwrap();
            let path = path.canonicalize().unwrap();
            path.to_string_lossy().into_owned()
        };
        let [whole, base, extension, part, other] = [
            "erp",
            "erp/src/cf",
            "erp/src/cfe",
            "erp/src/cf/Catalogs",
            "docs",
        ]
        .map(place);
        let projects = Projects::at(folder.path().join("memory"));
        let name: ProjectName = "erp".parse().unwrap();
        let folders = [whole.clone(), other.clone()];
        assert_eq!(sources_of(&folders, &projects, &name), folders);
        let model = Assistant::open(Path::new(MODEL)).unwrap();
        let identity = model.identity();
        let opened = projects.open_or_create(&name, &identity, WhenBusy::Fail, 1);
        let mut writer = opened.unwrap();
        let gone = folder.path().join("erp/src/gone").display().to_string();
        for (name, location) in [("cf", &base), ("cfe", &extension), ("gone", &gone)] {
            let root = Root {
                name: name.to_owned(),
                location: location.clone(),
                role: None,
            };
            writer.set_root(&root).unwrap();
        }
        let mut model = model;
        for root in ["cf", "cfe", "gone"] {
            let mut learning = model
                .learn_project(&mut writer, root, Counts::Stay)
                .unwrap();
            let text = format!("Процедура А{root}()\n\tБ = 1;\nКонецПроцедуры\n");
            let path = "a.bsl".to_owned();
            learning.learn(&[LearnFile { path, text }]).unwrap();
            learning.finish().unwrap();
        }
        let parts = [base.clone(), extension, other];
        assert_eq!(sources_of(&folders, &projects, &name), parts);
        assert_eq!(
            sources_of(&[part, base.clone()], &projects, &name),
            [base.as_str()]
        );
        // What was forgotten as a part may be learned as a whole.
        for root in ["cf", "cfe"] {
            writer.forget(root).unwrap();
        }
        drop(writer);
        assert_eq!(
            sources_of(&[base, whole.clone()], &projects, &name),
            [whole]
        );
    }
}
