//! Fits what weighs the names that metadata offers against the mixture of exits and nests: `candidates.json` of a model folder.
//!
//! Called after the other gates were fitted, which stay as they are. Each project is read as the evaluation reads one: what the
//! XML says is known from the start, files come in order, each learned after it was visited. Every place in a name that has
//! candidates gives an example with what the project has taught so far, and one with the open file only.

use std::collections::BTreeMap;

use nestor_cache::{
    CANDIDATE_COMPONENTS, CandidateMixer, FitOptions, GATE_SETS, Gate, GateExample, GateSet,
};
use rayon::prelude::*;

use crate::assistant::{Assistant, LearnFile};
use crate::error::AssistError;
use crate::gates::{FitProgress, GateReport, own_places, wanted_gates};
use crate::members::name_start;
use crate::metadata::{GrowingMetadata, MetadataIndex};
use crate::mixture::{LevelRow, Mixer, RowGate, exits_of};
use crate::stream::{FileStream, Moment, View};

/// A project to fit on.
#[derive(Clone, Debug)]
pub struct ProjectWithMetadata {
    /// Its files in path order.
    pub files: Vec<LearnFile>,
    /// What its XML says, no code among it.
    pub metadata: MetadataIndex,
}

/// How the gates of candidates are fitted.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CandidateFitOptions {
    /// Places to visit in each project; each gives two examples.
    pub max_places: usize,
    /// Whether places inside methods that the model was trained on count too, as they must where all projects are the model's own.
    pub uses_trained: bool,
    /// How each gate is fitted.
    pub fit: FitOptions,
}

impl Default for CandidateFitOptions {
    fn default() -> Self {
        Self {
            max_places: 12_000,
            uses_trained: true,
            fit: FitOptions {
                hidden: 16,
                ..FitOptions::default()
            },
        }
    }
}

/// Fits one gate of candidates for each set of exits, under every name that the set has in [`GATE_SETS`].
///
/// # Errors
/// [`AssistError::Fit`] when no place has candidates; those of the network and the cache.
pub fn fit_candidate_gates(
    assistant: &Assistant,
    projects: &[ProjectWithMetadata],
    options: &CandidateFitOptions,
    progress: &mut dyn FnMut(FitProgress),
) -> Result<(GateSet, Vec<GateReport>), AssistError> {
    let stages = assistant.model().config().stages;
    let wanted = wanted_gates(stages);
    let rows: Vec<RowGate> = wanted
        .iter()
        .map(|(name, exits)| RowGate {
            row: LevelRow::All,
            gate: assistant
                .gates()
                .and_then(|gates| gates.gates.get(*name))
                .cloned(),
            memory_gate: None,
            candidate_gate: None,
            exits: exits.clone(),
        })
        .collect();
    let mut examples = vec![Vec::new(); rows.len()];
    let mut state = FitProgress {
        files: 0,
        n_files: projects.iter().map(|project| project.files.len()).sum(),
        places: 0,
    };
    for project in projects {
        collect(
            assistant,
            project,
            options,
            &rows,
            &mut examples,
            &mut |places| {
                state.files += 1;
                state.places += places;
                progress(state);
            },
        )?;
    }
    let names = CANDIDATE_COMPONENTS.map(str::to_owned);
    let fitted: Vec<(Gate, GateReport)> = wanted
        .par_iter()
        .zip(&examples)
        .map(|((gate, _), examples)| {
            if examples.is_empty() {
                let reason = "the projects have no name that their metadata offers".into();
                return Err(AssistError::Fit { gate, reason });
            }
            let (fitted, loss) = Gate::fit(&names, examples, &options.fit)?;
            let report = GateReport {
                refined: None,
                gate,
                n_examples: examples.len(),
                loss,
            };
            Ok((fitted, report))
        })
        .collect::<Result<_, _>>()?;
    let mut gates = BTreeMap::new();
    for (name, _) in GATE_SETS {
        let exits = exits_of(name, stages);
        let same = wanted
            .iter()
            .position(|(_, known)| Some(known) == exits.as_ref());
        if let Some(idx) = same {
            gates.insert(name.to_owned(), fitted[idx].0.clone());
        }
    }
    let mut set = GateSet::default();
    set.gates = gates;
    Ok((set, fitted.into_iter().map(|(_, report)| report).collect()))
}

/// Places that are looked at in a row.
const RUN: usize = 128;

/// One place in so many, about, is inside a name behind a dot.
const PLACES_PER_NAME: usize = 6;

/// Adds the examples of one project, for each row.
fn collect(
    assistant: &Assistant,
    project: &ProjectWithMetadata,
    options: &CandidateFitOptions,
    rows: &[RowGate],
    examples: &mut [Vec<GateExample>],
    step: &mut dyn FnMut(usize),
) -> Result<(), AssistError> {
    let n_bytes: usize = project.files.iter().map(|file| file.text.len()).sum();
    let every = (n_bytes / 5 / PLACES_PER_NAME / options.max_places.max(1)).max(1);
    let mut memory = assistant.empty_memory()?;
    let mut known = GrowingMetadata::new(project.metadata.clone());
    let mut n_seen = 0;
    for file in &project.files {
        let Ok(normalised) = nestor_bsl::normalise(file.text.as_bytes()) else {
            step(0);
            continue;
        };
        let outline = assistant.outline(Some(known.current()), &file.path);
        let stream = FileStream::new(assistant.tokenizer(), &file.path, normalised.text)
            .with_outline(outline);
        let n_places = stream.pieces().len();
        let all: Vec<usize> = if options.uses_trained {
            (0..n_places).collect()
        } else {
            own_places(assistant, &stream)
        };
        let places: Vec<usize> = all
            .into_iter()
            .filter(|place| ((n_seen + place) / RUN).is_multiple_of(every))
            .filter(|&place| is_in_name(stream.text(), stream.pieces()[place].1.start))
            .collect();
        n_seen += n_places;
        let members = assistant.members(Some(known.current()), &file.path, "");
        if !places.is_empty() && members.is_some() {
            let mut views = [
                View::new(memory.cache_for(&file.path)?, true).with_members(members.clone()),
                View::new(memory.without_project()?, true).with_members(members),
            ];
            let walked = assistant.stream().walk(
                &stream,
                &mut views,
                &places,
                &[],
                |moment| examples_at(moment, stream.truth(moment.place), rows),
                |_, _| Ok(()),
            )?;
            for of_rows in walked.answers.into_iter().flatten().flatten() {
                for (known, example) in examples.iter_mut().zip(of_rows) {
                    known.push(example);
                }
            }
        }
        memory.learn(&file.path, stream.tokens())?;
        known.learn(&file.path, stream.text());
        step(places.len());
    }
    Ok(())
}

/// Whether the byte `at` is in a name behind a dot, or behind a quote or `&`, where links may be; or where one ends.
fn is_in_name(text: &str, at: usize) -> bool {
    text[..name_start(text, at)].ends_with(['.', '"', '&'])
}

/// One example a row; `None` at a place without candidates.
fn examples_at(
    moment: &Moment<'_>,
    truth: Option<u32>,
    rows: &[RowGate],
) -> Result<Option<Vec<GateExample>>, AssistError> {
    let Some(place) = moment.candidates else {
        return Ok(None);
    };
    let mut mixer = Mixer::default();
    let mut names = CandidateMixer::default();
    let mut base = vec![0.0; moment.exits[0].probabilities.len()];
    let examples = rows.iter().map(|row| {
        mixer.mix(row, &moment.scene(), &mut base)?;
        names.read(place, &base);
        Ok(names.example(&base, truth.unwrap_or_default()))
    });
    examples.collect::<Result<_, AssistError>>().map(Some)
}
