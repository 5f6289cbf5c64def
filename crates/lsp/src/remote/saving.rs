//! Saved files on their way to a server's project.
//!
//! They are sent one after another, of each path the newest text only, so that a completion never waits for learning. A project that is
//! being taught by another is tried again.

use std::sync::Arc;
use std::time::Duration;

use crossbeam_channel::Sender;
use nestor_assist::ProjectName;
use reqwest::Method;
use serde_json::json;
use tokio::runtime::Runtime;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::JoinHandle;

use crate::remote::way::{Refused, Server};
use crate::worker::Told;

/// Time in which a file is learned.
const LEARN: Duration = Duration::from_secs(120);

/// Pauses before a file is sent again that came while the project was taught.
const PAUSES: [Duration; 5] = [
    Duration::from_millis(300),
    Duration::from_secs(1),
    Duration::from_secs(3),
    Duration::from_secs(10),
    Duration::from_secs(30),
];

/// Time that an editor which closes waits for the last files.
const LAST: Duration = Duration::from_secs(2);

/// Statuses that say that the same may be tried later: the project is taught by another, the rate is too high, the server stops.
const LATER: [u16; 3] = [409, 429, 503];

struct Saved {
    project: ProjectName,
    path: String,
    text: String,
}

/// Where saved files are put.
pub(super) struct Saving {
    send: UnboundedSender<Saved>,
    done: JoinHandle<()>,
}

impl Saving {
    /// Begins to wait for files.
    pub fn start(runtime: &Runtime, server: Arc<Server>, tell: Sender<Told>) -> Self {
        let (send, receive) = unbounded_channel();
        let done = runtime.spawn(send_all(server, receive, tell));
        Self { send, done }
    }

    /// Puts a file there.
    pub fn send(&self, project: ProjectName, path: String, text: String) {
        // It ends with the value only.
        let _ = self.send.send(Saved {
            project,
            path,
            text,
        });
    }

    /// Waits a moment for what is on its way.
    pub fn end(self, runtime: &Runtime) {
        let Self { send, done } = self;
        drop(send);
        // What takes longer is read by the server's own sources.
        let _ = runtime.block_on(async { tokio::time::timeout(LAST, done).await });
    }
}

async fn send_all(server: Arc<Server>, mut receive: UnboundedReceiver<Saved>, tell: Sender<Told>) {
    let mut waiting: Vec<Saved> = Vec::new();
    while let Some(saved) = receive.recv().await {
        waiting.push(saved);
        while !waiting.is_empty() {
            while let Ok(newer) = receive.try_recv() {
                waiting
                    .retain(|older| (&older.project, &older.path) != (&newer.project, &newer.path));
                waiting.push(newer);
            }
            let saved = waiting.remove(0);
            let told = match learn(&server, &saved).await {
                Ok(()) => Told::Learned,
                Err(refused) => Told::NotLearned(refused.reason),
            };
            // The language server may have ended meanwhile.
            let _ = tell.send(told);
        }
    }
}

async fn learn(server: &Server, saved: &Saved) -> Result<(), Refused> {
    let path = format!("v1/projects/{}/learn", saved.project);
    let body = json!({
        "files": [{"path": saved.path, "text": saved.text}],
        "saved": true,
    });
    let mut pauses = PAUSES.into_iter();
    loop {
        let answered = server.ask(Method::POST, &path, Some(&body), LEARN).await;
        let refused = match answered {
            Ok(_) => return Ok(()),
            Err(refused) => refused,
        };
        let is_later = refused.status.is_some_and(|status| LATER.contains(&status));
        match pauses.next().filter(|_| is_later) {
            Some(pause) => tokio::time::sleep(pause).await,
            None => return Err(refused),
        }
    }
}
