//! Learns what level 3's memory should start from, so that it learns a new project faster: first-order meta-learning over many small projects.
//!
//! Called once after training; the result is `memories.safetensors` of the model folder. The projects are those that the weights were
//! trained on, which teach the memories nothing as they are: their words change places ([`Renaming`]). Cut into tasks, each is learned by the memories of
//! levels 2 and 3 as a project of its own; then the start goes a part of the way to where the MLP came (Reptile: Nichol, Achiam and Schulman 2018,
//! "On first-order meta-learning algorithms").

use std::ops::Range;

use nestor_engine::{LevelMemories, LevelMemoriesConfig, MemoryParts, MlpWeights};
use rayon::prelude::*;

use crate::assistant::{Assistant, LearnFile};
use crate::error::AssistError;
use crate::gates::CorpusProject;
use crate::renaming::Renaming;
use crate::stream::FileStream;

/// Bytes of code a piece, about.
const BYTES_A_PIECE: usize = 6;

/// How a start is learned.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct StartOptions {
    /// Pieces of a task, about; a task of one long file may have up to twice as many.
    pub task_pieces: usize,
    /// Tasks at most, drawn evenly from all.
    pub tasks: usize,
    /// Part of the way that the start goes after the first task; it falls on a line to a tenth of that.
    pub rate: f32,
    /// Of the renaming and the order of tasks.
    pub seed: u64,
}

impl Default for StartOptions {
    fn default() -> Self {
        Self {
            task_pieces: 24_576,
            tasks: 48,
            rate: 0.3,
            seed: 1,
        }
    }
}

/// How far learning a start is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StartProgress {
    /// Tasks learned.
    pub tasks: usize,
    /// Tasks that there are.
    pub of: usize,
}

/// The start, and how many tasks it was learned from; `None` where the model has no such memory or the projects give no task.
///
/// # Errors
/// Those of the network.
pub fn learn_memory_start(
    assistant: &Assistant,
    projects: &[CorpusProject],
    options: &StartOptions,
    progress: &mut dyn FnMut(StartProgress),
) -> Result<Option<(MlpWeights, usize)>, AssistError> {
    let config = LevelMemoriesConfig {
        parts: MemoryParts {
            episodic: false,
            ..MemoryParts::ALL
        },
        ..assistant.level_config()
    };
    let mut fresh = assistant.empty_levels(config)?;
    let Some(mut start) = weights_of(&mut fresh) else {
        return Ok(None);
    };
    let renamings: Vec<Renaming> = projects
        .par_iter()
        .map(|project| {
            let texts = project.files.iter().map(|file| file.text.as_str());
            Renaming::of(texts, options.seed)
        })
        .collect();
    let tasks = tasks(projects, options);
    for (n, (project, files)) in tasks.iter().enumerate() {
        let files = &projects[*project].files[files.clone()];
        let streams = renamed(assistant, files, &renamings[*project]);
        let model = assistant.model();
        let mut levels = LevelMemories::starting_at(config, model, Some(&start))?;
        assistant.teach_streams(&mut levels, &streams)?;
        if let Some(end) = weights_of(&mut levels) {
            let rate = options.rate * (1.0 - 0.9 * n as f32 / tasks.len() as f32);
            approach(&mut start.w_a, &end.w_a, rate);
            approach(&mut start.w_b, &end.w_b, rate);
        }
        progress(StartProgress {
            tasks: n + 1,
            of: tasks.len(),
        });
    }
    Ok((!tasks.is_empty()).then_some((start, tasks.len())))
}

fn weights_of(levels: &mut LevelMemories) -> Option<MlpWeights> {
    levels.exit_mlp().map(|mlp| mlp.weights().clone())
}

fn approach(from: &mut [f32], to: &[f32], share: f32) {
    for (from, to) in from.iter_mut().zip(to) {
        *from += share * (to - *from);
    }
}

/// Runs of whole files, by the index of their project, in the order in which they are learned.
fn tasks(projects: &[CorpusProject], options: &StartOptions) -> Vec<(usize, Range<usize>)> {
    let least = BYTES_A_PIECE * options.task_pieces;
    let mut tasks = Vec::new();
    for (project, of) in projects.iter().enumerate() {
        let (mut begin, mut bytes) = (0, 0);
        for (at, file) in of.files.iter().enumerate() {
            bytes += file.text.len();
            if bytes >= least {
                tasks.push((project, begin..at + 1));
                (begin, bytes) = (at + 1, 0);
            }
        }
        // What is left is a task of its own where it is long enough to take a step.
        if 2 * bytes >= least {
            tasks.push((project, begin..of.files.len()));
        }
    }
    let mut state = options.seed;
    for last in (1..tasks.len()).rev() {
        state = nestor_bsl::similarity::mix(state);
        tasks.swap(last, (state % (last as u64 + 1)) as usize);
    }
    tasks.truncate(options.tasks);
    tasks
}

/// Files under other names; what is no text is left out.
fn renamed(assistant: &Assistant, files: &[LearnFile], renaming: &Renaming) -> Vec<FileStream> {
    let streams = files.par_iter().map(|file| {
        let text = nestor_bsl::normalise(file.text.as_bytes()).ok()?.text;
        let (path, text) = (renaming.apply(&file.path), renaming.apply(&text));
        Some(FileStream::new(assistant.tokenizer(), &path, text))
    });
    streams.flatten().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn project(name: &str, sizes: &[usize]) -> CorpusProject {
        let files = sizes.iter().enumerate();
        CorpusProject {
            name: name.to_owned(),
            files: files
                .map(|(idx, size)| LearnFile {
                    path: format!("{idx}.bsl"),
                    text: "а".repeat(size / 2),
                })
                .collect(),
        }
    }

    #[test]
    fn tasks_are_runs_of_whole_files_in_an_order_that_the_seed_gives() {
        let projects = [
            project("a", &[50, 60, 200, 10, 30]),
            project("b", &[10, 20]),
        ];
        let options = StartOptions {
            task_pieces: 100 / BYTES_A_PIECE,
            ..StartOptions::default()
        };
        let found = tasks(&projects, &options);
        let mut sorted = found.clone();
        sorted.sort_by_key(|(project, files)| (*project, files.start));
        assert_eq!(sorted, [(0, 0..2), (0, 2..3)]);
        assert_eq!(found, tasks(&projects, &options));
        let few = StartOptions {
            tasks: 1,
            ..options
        };
        assert_eq!(tasks(&projects, &few), found[..1]);
        assert!(tasks(&[], &options).is_empty());
    }
}
