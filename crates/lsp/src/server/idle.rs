//! Levels 2 and 3 learn while nobody works: after a while without typing, a process of its own teaches the project on, a part at a time.
//!
//! The process steps back behind everything else on the machine. What it has kept stays when it is killed, so a saved file, which
//! needs the project for itself, ends it without asking. The loop owns this; nothing here reads the project.

use std::io::Read as _;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, after, never};
use serde::Deserialize;

use crate::server::learning::Learned;
use crate::server::{Engine, Server};
use crate::worker::{Why, Work};

/// Pieces that one process teaches: some ten seconds, after which completions have them.
const PART: u64 = 60_000;

/// How often it is looked whether there is something to teach again, at most.
const LOOK_AGAIN: Duration = Duration::from_secs(2);

/// Whether and what is taught now.
pub(super) struct Idle {
    /// When somebody typed, asked or saved last.
    worked: Instant,
    running: Option<Arc<Mutex<Child>>>,
    /// Nothing is left to teach, or the last part failed: what changes the project begins anew.
    rests: bool,
    /// When it was looked last whether something has changed it.
    looked: Instant,
}

/// What `nestor learn --json` says at its end, as far as it is asked here.
#[derive(Deserialize)]
struct Report {
    taught: TaughtPart,
}

/// What a part has taught.
#[derive(Clone, Copy, Debug, Deserialize)]
pub(super) struct TaughtPart {
    pieces: u64,
    pieces_left: u64,
}

impl Idle {
    pub(super) fn new() -> Self {
        Self {
            worked: Instant::now(),
            running: None,
            rests: false,
            looked: Instant::now(),
        }
    }

    /// Somebody works.
    pub(super) fn work(&mut self) {
        self.worked = Instant::now();
    }

    /// Ends what is being taught; the project is free when this returns.
    pub(super) fn end(&mut self) {
        if let Some(child) = self.running.take() {
            let mut child = child.lock().unwrap_or_else(PoisonError::into_inner);
            // It may have ended by itself.
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// The project has changed, so there may be something to teach.
    pub(super) fn begin_anew(&mut self) {
        self.rests = false;
    }

    pub(super) fn is_running(&self) -> bool {
        self.running.is_some()
    }
}

impl Drop for Idle {
    fn drop(&mut self) {
        self.end();
    }
}

impl Server<'_> {
    /// Fires when it is time to teach a part, or to look whether there is one.
    pub(super) fn idle_due(&self) -> Receiver<Instant> {
        let is_local = matches!(self.options.engine, Engine::Local { .. });
        let wanted = is_local && self.settings.learn_when_idle && self.project.is_some();
        if !wanted || self.is_learning || self.idle.is_running() {
            return never();
        }
        let pause = Duration::from_secs(self.settings.idle_seconds);
        let mut left = pause.saturating_sub(self.idle.worked.elapsed());
        if self.idle.rests {
            let since = self.idle.looked.elapsed();
            left = left.max(pause.max(LOOK_AGAIN).saturating_sub(since));
        }
        after(left)
    }

    /// Nobody has worked for a while.
    pub(super) fn is_idle(&mut self) {
        if self.idle.rests {
            self.idle.looked = Instant::now();
            // A worker that has ended is told by the loop.
            let _ = self.work.send(Work::Look(Why::Time));
        } else {
            self.teach_part();
        }
    }

    /// Teaches a part in a process of its own.
    fn teach_part(&mut self) {
        let (
            Engine::Local {
                model,
                projects,
                program,
            },
            Some(project),
        ) = (&self.options.engine, &self.project)
        else {
            return;
        };
        let spawned = Command::new(program)
            .args(["learn", "--json", "--project", project.as_str()])
            .args(["--teach", &PART.to_string(), "--model"])
            .arg(model)
            .arg("--memory")
            .arg(projects.dir())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn();
        let Ok(mut child) = spawned else {
            // There is no program to run: completions go on without.
            self.idle.rests = true;
            return;
        };
        let stdout = child.stdout.take();
        let child = Arc::new(Mutex::new(child));
        self.idle.running = Some(Arc::clone(&child));
        let learned = self.learned.clone();
        std::thread::spawn(move || {
            let mut text = String::new();
            if let Some(mut stdout) = stdout {
                // Ends when the process does.
                let _ = stdout.read_to_string(&mut text);
            }
            let mut ended = child.lock().unwrap_or_else(PoisonError::into_inner);
            let is_whole = ended.wait().is_ok_and(|status| status.success());
            drop(ended);
            let report = serde_json::from_str::<Report>(&text).ok();
            let part = report.filter(|_| is_whole).map(|report| report.taught);
            // The server may have ended meanwhile.
            let _ = learned.send(Learned::Part(child, part));
        });
    }

    /// A part has ended, by itself or by force.
    pub(super) fn part_taught(&mut self, child: &Arc<Mutex<Child>>, part: Option<TaughtPart>) {
        let is_this = |running: &Arc<Mutex<Child>>| Arc::ptr_eq(running, child);
        if !self.idle.running.as_ref().is_some_and(is_this) {
            // It was ended, and what it has kept is loaded with the next part.
            return;
        }
        self.idle.running = None;
        self.idle.rests = part.is_none_or(|part| part.pieces_left == 0 || part.pieces == 0);
        if part.is_some_and(|part| part.pieces > 0) {
            // A worker that has ended is told by the loop.
            let _ = self.work.send(Work::Look(Why::Known));
        }
    }
}
