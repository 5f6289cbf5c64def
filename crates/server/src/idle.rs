//! Levels 2 and 3 learn while nobody asks: after a while without completions, a job teaches the projects at work on, a part at a time.
//!
//! The job steps back behind everything else on the machine; what it has kept stays when it is ended. Files that a client brings need the
//! project for themselves, so they end it. What the projects know is reloaded like after any other change on disk.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use nestor_assist::ProjectName;

use crate::api::App;
use crate::jobs::{JobKind, NewJob};
use crate::serving::Stamp;

/// Pieces that one job teaches: about half a minute, after which completions have them.
const PART: &str = "100000";

/// How often it is looked whether nobody works.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// How long a job that was told to end is waited for.
const PATIENCE: Duration = Duration::from_secs(5);

/// When somebody asked last.
#[derive(Debug)]
pub(crate) struct Work(Mutex<Instant>);

impl Default for Work {
    fn default() -> Self {
        Self(Mutex::new(Instant::now()))
    }
}

impl Work {
    /// Somebody asks.
    pub fn begins(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }

    fn rests_since(&self) -> Duration {
        let last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        last.elapsed()
    }
}

/// Teaches until the server ends.
pub(crate) async fn teach(app: Arc<App>) {
    // Projects that have nothing left to teach, or cannot be taught, as they were then.
    let mut rests: HashMap<ProjectName, Stamp> = HashMap::new();
    // The last job, and what its project had learned when it began: what came meanwhile is taught by the next one.
    let mut taught: Option<(ProjectName, String, Stamp)> = None;
    loop {
        tokio::time::sleep(LOOK_EVERY).await;
        let pause = Duration::from_secs(app.config().jobs.teach_after_idle_s);
        if app.is_stopping() {
            return;
        }
        if app.jobs.n_running() > 0 {
            continue;
        }
        if let Some((name, id, learned)) = taught.take()
            && !app.jobs.get(&id).is_some_and(|job| left_something(&job))
        {
            rests.insert(name, learned);
        }
        let works = app.scheduler.n_running() > 0 || app.work.rests_since() < pause;
        if pause.is_zero() || works {
            continue;
        }
        let next = app.serving.at_work().into_iter().find(|name| {
            rests
                .get(name)
                .is_none_or(|learned| *learned != app.serving.learned_stamp(name))
        });
        let Some(name) = next else { continue };
        let learned = app.serving.learned_stamp(&name);
        match app.jobs.start(job(&app, &name)) {
            Ok(job) => taught = Some((name, job.id, learned)),
            Err(_) => drop(rests.insert(name, learned)),
        }
    }
}

fn job(app: &App, name: &ProjectName) -> NewJob {
    let words = ["learn", "--json", "--project", name.as_str()];
    let mut arguments: Vec<std::ffi::OsString> = words.map(Into::into).into();
    arguments.extend(["--teach", PART, "--memory"].map(Into::into));
    arguments.push(app.serving.projects().dir().into());
    arguments.push("--model".into());
    arguments.push(app.model_folder().into());
    NewJob {
        kind: JobKind::Teach,
        name: name.to_string(),
        arguments,
        record: None,
        at_once: usize::MAX,
    }
}

/// Whether a job has taught something and there is more. One that was ended for a client's files has.
fn left_something(job: &crate::wire::JobShown) -> bool {
    if job.state == "cancelled" {
        return true;
    }
    let taught = job.result.as_ref().map(|result| &result["taught"]);
    taught.is_some_and(|taught| {
        taught["pieces"].as_u64() > Some(0) && taught["pieces_left"].as_u64() > Some(0)
    })
}

impl App {
    /// Ends what is being taught to a project while nobody works, so that it is free to learn. Blocks for as long as that takes.
    pub(crate) fn free_project(&self, name: &ProjectName) {
        self.work.begins();
        let until = Instant::now() + PATIENCE;
        while self.jobs.end(JobKind::Teach, name.as_str()) && Instant::now() < until {
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}
