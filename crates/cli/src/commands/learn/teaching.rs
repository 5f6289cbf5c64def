//! Levels 2 and 3 of a project are taught, which may take hours; others that want the project have their turn in between.

use crate::commands::learn::progress::Progress;
use crate::explain;
use crate::failure::Outcome;
use crate::messages::Messages;
use nestor_assist::{Assistant, TeachProgress, TeachReport};
use nestor_memory::{ProjectWriter, Quarantined};
use serde::Serialize;
use std::time::Instant;

/// What was taught to levels 2 and 3.
#[derive(Default, Serialize)]
pub struct Taught {
    files: usize,
    /// Pieces of them.
    pub pieces: u64,
    /// Pieces that are learned by counts and have not taught levels 2 and 3 yet.
    pub pieces_left: u64,
    /// Stretches of teaching that did no harm.
    stretches_accepted: usize,
    /// Those that were taken back because they did.
    pub stretches_refused: usize,
    /// Files that did harm.
    pub quarantined: Vec<Quarantined>,
    /// What all of it took, without the turns of others.
    pub seconds: f64,
    /// Of these, what looking for harm took.
    canary_seconds: f64,
    /// Of the whole time.
    pub pieces_per_s: f64,
}

impl Taught {
    /// Adds what a turn has done.
    fn add(&mut self, turn: TeachReport) {
        self.files += turn.files;
        self.pieces += turn.pieces;
        self.pieces_left = turn.pieces_left;
        self.stretches_accepted += turn.accepted;
        self.stretches_refused += turn.refused;
        self.quarantined.extend(turn.quarantined);
        self.canary_seconds += turn.canary_time.as_secs_f64();
    }
}

/// How teaching, which may take hours, lets others change the project in between.
pub struct Turns<'a> {
    /// Whether somebody waits for the project.
    pub is_wanted: &'a dyn Fn() -> bool,
    /// Gives way to whoever wants the closed project, and opens it again.
    pub reopen: &'a dyn Fn() -> Outcome<ProjectWriter>,
}

/// Teaches levels 2 and 3, with a bar. The counts serve already, so breaking this off loses nothing but itself.
///
/// # Errors
/// When the project cannot be read, written or opened again.
pub fn teach(
    assistant: &Assistant,
    mut writer: ProjectWriter,
    max_pieces: u64,
    mut progress: Progress,
    turns: &Turns<'_>,
    messages: &Messages,
) -> Outcome<(Taught, ProjectWriter)> {
    let mut taught = Taught::default();
    loop {
        let (mut gives_way, before) = (false, taught.pieces);
        let started = Instant::now();
        let report = assistant.teach_project(&mut writer, max_pieces - before, &mut |part| {
            progress.taught(TeachProgress {
                pieces: before + part.pieces,
                of: before + part.of,
            });
            gives_way = (turns.is_wanted)();
            !gives_way
        });
        let report = report.map_err(|error| explain::assist(messages, &error))?;
        let is_done = report.pieces_left == 0 || before + report.pieces >= max_pieces;
        taught.add(report);
        taught.seconds += started.elapsed().as_secs_f64();
        if is_done || !gives_way {
            break;
        }
        drop(writer);
        writer = (turns.reopen)()?;
    }
    progress.bar.finish_and_clear();
    taught.pieces_per_s = taught.pieces as f64 / taught.seconds.max(1e-9);
    Ok((taught, writer))
}
