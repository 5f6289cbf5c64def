//! Saved files on their way to a server's project.
//!
//! They are sent one after another, of each path the newest text only, so that a completion never waits for learning. While a project is
//! taught by another, or the server cannot be reached, they wait and are sent again.

use std::collections::BTreeSet;
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
use crate::waiting::{Pauses, SavedFile, WaitingFiles};
use crate::worker::Told;

/// Time in which a file is learned.
const LEARN: Duration = Duration::from_secs(120);

/// Pauses before what waits is sent again.
const PAUSES: Pauses = Pauses::new(Duration::from_millis(300), Duration::from_secs(30));

/// Time that an editor which closes waits for the last files.
const LAST: Duration = Duration::from_secs(1);

/// Statuses that say that the project takes no file now: it is taught by another, the rate is too high.
const BUSY: [u16; 2] = [409, 429];

/// Statuses that say that the same may be tried later: the server or one before it stops or starts, or takes too long.
const AWAY: [u16; 3] = [502, 503, 504];

/// Where saved files are put.
pub(super) struct Saving {
    send: UnboundedSender<SavedFile>,
    done: JoinHandle<()>,
}

impl Saving {
    /// Begins to wait for files.
    pub fn start(runtime: &Runtime, server: Arc<Server>, tell: Sender<Told>) -> Self {
        Self::start_with(runtime, server, tell, PAUSES)
    }

    fn start_with(
        runtime: &Runtime,
        server: Arc<Server>,
        tell: Sender<Told>,
        pauses: Pauses,
    ) -> Self {
        let (send, receive) = unbounded_channel();
        let done = runtime.spawn(send_all(server, receive, tell, pauses));
        Self { send, done }
    }

    /// Puts a file there.
    pub fn send(&self, project: ProjectName, path: String, text: String) {
        // It ends with the value only.
        let _ = self.send.send(SavedFile {
            project,
            path,
            text,
        });
    }

    /// Sends what waits for the last time, and waits a moment for what is on its way.
    pub fn end(self, runtime: &Runtime) {
        let Self { send, done } = self;
        drop(send);
        // What takes longer is read by the server's own sources.
        let _ = runtime.block_on(async { tokio::time::timeout(LAST, done).await });
    }
}

async fn send_all(
    server: Arc<Server>,
    mut receive: UnboundedReceiver<SavedFile>,
    tell: Sender<Told>,
    mut pauses: Pauses,
) {
    let mut waiting = WaitingFiles::default();
    let mut is_open = true;
    loop {
        if waiting.is_empty() {
            let Some(saved) = receive.recv().await else {
                return;
            };
            waiting.put(saved, &tell);
        }
        while let Ok(newer) = receive.try_recv() {
            waiting.put(newer, &tell);
        }
        send_waiting(&server, &mut waiting, &tell).await;
        if waiting.is_empty() {
            pauses.begin_anew();
            continue;
        }
        if !is_open {
            return;
        }
        tokio::select! {
            () = tokio::time::sleep(pauses.next()) => {}
            saved = receive.recv() => match saved {
                Some(saved) => waiting.put(saved, &tell),
                // All of it is tried once more.
                None => is_open = false,
            }
        }
    }
}

/// Sends what waits; the files of projects that take none now wait on.
async fn send_waiting(server: &Server, waiting: &mut WaitingFiles, tell: &Sender<Told>) {
    let mut busy = BTreeSet::new();
    loop {
        let taken = waiting.take(&busy, 1);
        let Some(saved) = taken.first() else {
            return;
        };
        let told = match learn(server, saved).await {
            Ok(()) => Told::Learned,
            Err(refused) => {
                let is_busy = refused.status.is_some_and(|status| BUSY.contains(&status));
                let is_away = refused.status.is_none_or(|status| AWAY.contains(&status));
                if is_busy || is_away {
                    busy.insert(saved.project.clone());
                }
                if is_busy {
                    waiting.put_back(taken);
                } else if is_away {
                    // Perhaps only this one takes too long: others need not wait for it.
                    waiting.put_behind(taken);
                }
                if refused.status.is_some() && (is_busy || is_away) {
                    // It is on its way.
                    continue;
                }
                Told::NotLearned(refused.reason)
            }
        };
        // The language server may have ended meanwhile.
        let _ = tell.send(told);
    }
}

async fn learn(server: &Server, saved: &SavedFile) -> Result<(), Refused> {
    let path = format!("v1/projects/{}/learn", saved.project);
    let body = json!({
        "files": [{"path": saved.path, "text": saved.text}],
        "saved": true,
    });
    let answered = server.ask(Method::POST, &path, Some(&body), LEARN).await;
    answered.map(drop)
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader, Read as _, Write as _};
    use std::net::TcpListener;
    use std::sync::Mutex;
    use std::time::Instant;

    use super::*;
    use crate::remote::way::RemoteOptions;

    /// A server that answers with these statuses, the last again and again; what it is asked to learn is pushed to `asked`.
    fn serve(statuses: &[u16], asked: Arc<Mutex<Vec<String>>>) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let statuses = statuses.to_vec();
        std::thread::spawn(move || {
            for (n, stream) in listener.incoming().enumerate() {
                let mut stream = BufReader::new(stream.unwrap());
                let (mut line, mut length) = (String::new(), 0);
                while line != "\r\n" {
                    line.clear();
                    stream.read_line(&mut line).unwrap();
                    if let Some(given) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                        length = given.trim().parse().unwrap();
                    }
                }
                let mut body = vec![0; length];
                stream.read_exact(&mut body).unwrap();
                let body: serde_json::Value = serde_json::from_slice(&body).unwrap();
                let text = body["files"][0]["text"].as_str().unwrap().to_owned();
                asked.lock().unwrap().push(text);
                let status = statuses[n.min(statuses.len() - 1)];
                let head = "Connection: close\r\nContent-Length: 2";
                let answer = format!("HTTP/1.1 {status} X\r\n{head}\r\n\r\n{{}}");
                stream.get_mut().write_all(answer.as_bytes()).unwrap();
            }
        });
        url
    }

    struct Started {
        runtime: Runtime,
        saving: Saving,
        told: crossbeam_channel::Receiver<Told>,
    }

    fn reach(url: String) -> Server {
        let options = RemoteOptions {
            url,
            key: None,
            ca: None,
        };
        Server::new(&options).unwrap()
    }

    fn runtime() -> Runtime {
        let mut runtime = tokio::runtime::Builder::new_multi_thread();
        runtime.worker_threads(1).enable_all().build().unwrap()
    }

    fn start(url: String, pauses: Pauses) -> Started {
        let server = Arc::new(reach(url));
        let runtime = runtime();
        let (tell, told) = crossbeam_channel::unbounded();
        Started {
            saving: Saving::start_with(&runtime, server, tell, pauses),
            runtime,
            told,
        }
    }

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn a_busy_server_is_asked_until_it_learns() {
        let asked = Arc::default();
        let mut statuses = vec![409; 12];
        statuses.extend([503, 429, 200]);
        let url = serve(&statuses, Arc::clone(&asked));
        let started = start(url, Pauses::new(ms(1), ms(10)));
        let project: ProjectName = "erp".parse().unwrap();
        for text in ["1", "2", "3"] {
            let saving = &started.saving;
            saving.send(project.clone(), "А.bsl".to_owned(), text.to_owned());
        }
        let told = started.told.recv_timeout(ms(60_000)).unwrap();
        assert!(matches!(told, Told::Learned));
        let Started {
            runtime,
            saving,
            told,
        } = started;
        saving.end(&runtime);
        // Nothing else was told, and no older text was learned after a newer one.
        assert!(told.is_empty());
        let asked = asked.lock().unwrap();
        assert_eq!(asked.len(), statuses.len());
        assert!(
            asked.is_sorted() && asked.last().unwrap() == "3",
            "{asked:?}"
        );
    }

    #[test]
    fn a_file_that_takes_too_long_lets_others_be_learned() {
        let asked: Arc<Mutex<Vec<String>>> = Arc::default();
        let url = serve(&[504, 200], Arc::clone(&asked));
        let (runtime, server) = (runtime(), reach(url));
        let (tell, _told) = crossbeam_channel::unbounded();
        let mut waiting = WaitingFiles::default();
        for text in ["1", "2"] {
            let saved = SavedFile {
                project: "erp".parse().unwrap(),
                path: format!("{text}.bsl"),
                text: text.to_owned(),
            };
            waiting.put(saved, &tell);
        }
        while !waiting.is_empty() {
            runtime.block_on(send_waiting(&server, &mut waiting, &tell));
        }
        assert_eq!(*asked.lock().unwrap(), ["1", "2", "1"]);
    }

    #[test]
    fn an_editor_that_closes_asks_once_more_and_does_not_wait() {
        let asked: Arc<Mutex<Vec<String>>> = Arc::default();
        let url = serve(&[409], Arc::clone(&asked));
        let started = start(url, Pauses::new(ms(60_000), ms(60_000)));
        let project: ProjectName = "erp".parse().unwrap();
        let saving = started.saving;
        saving.send(project, "А.bsl".to_owned(), "1".to_owned());
        let begun = Instant::now();
        while asked.lock().unwrap().is_empty() {
            assert!(begun.elapsed() < ms(60_000));
            std::thread::sleep(ms(5));
        }
        let begun = Instant::now();
        saving.end(&started.runtime);
        assert!(begun.elapsed() < ms(10_000));
        assert_eq!(asked.lock().unwrap().len(), 2);
        assert!(started.told.is_empty());
    }

    #[test]
    fn a_server_that_is_away_is_told_and_waited_for() {
        let started = start("http://127.0.0.1:1".to_owned(), Pauses::new(ms(1), ms(5)));
        let project: ProjectName = "erp".parse().unwrap();
        let saving = started.saving;
        saving.send(project, "А.bsl".to_owned(), "1".to_owned());
        for _ in 0..3 {
            let told = started.told.recv_timeout(ms(60_000)).unwrap();
            assert!(matches!(told, Told::NotLearned(_)));
        }
        saving.end(&started.runtime);
    }
}
