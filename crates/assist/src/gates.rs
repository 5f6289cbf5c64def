//! Fits the gates of a model on projects that its weights have not seen.
//!
//! Called once after training; the result is `gate.json` of the model folder. Each project is read as the evaluation reads
//! one: files in order, each learned after it was visited. Every place gives an example with what the project has taught so
//! far, and one with the open file only, so that the same gate serves a fresh installation. Places inside methods that the
//! model was trained on are left out: there the exits would look better than they are.
//!
//! The gates of memories are fitted on a second reading, over the first files of each project, with the memories of levels 2
//! and 3 learning along: they start silent, so the same gates serve a project that has taught little.

use nestor_bsl::methods::{method_hash, methods};
use nestor_cache::{
    FitOptions, FitReport, GATE_SETS, Gate, GateExample, GateSet, LikelyTokens, MEMORY_GATE_SETS,
    NESTS, RefineReport, component_names, gate_features, memory_component_names,
};
use nestor_engine::LevelMemoriesConfig;
use rayon::prelude::*;

use crate::assistant::{Assistant, LearnFile};
use crate::error::AssistError;
use crate::mixture::exits_of;
use crate::stream::{FileStream, Moment, View};

/// A project of a corpus: one withheld from the weights, or one that they were trained on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CorpusProject {
    /// Its name, for messages.
    pub name: String,
    /// Its files in path order.
    pub files: Vec<LearnFile>,
}

/// How gates are fitted.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct GateFitOptions {
    /// Places to visit over all projects; each gives two examples.
    pub max_places: usize,
    /// Pieces of each project that teach its memories.
    pub max_taught: usize,
    /// How the memories learn.
    pub levels: LevelMemoriesConfig,
    /// How each gate is fitted.
    pub fit: FitOptions,
}

impl Default for GateFitOptions {
    fn default() -> Self {
        Self {
            max_places: 40_000,
            max_taught: 100_000,
            levels: LevelMemoriesConfig::default(),
            fit: FitOptions::default(),
        }
    }
}

/// How far collecting examples is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FitProgress {
    /// Files visited.
    pub files: usize,
    /// Files of all projects.
    pub n_files: usize,
    /// Places visited.
    pub places: usize,
}

/// One fitted gate.
#[derive(Clone, Debug, PartialEq)]
pub struct GateReport {
    /// Its name.
    pub gate: &'static str,
    /// Examples it was fitted on.
    pub n_examples: usize,
    /// Its loss in nats a piece, on the examples.
    pub loss: FitReport,
    /// The losses without and with its exponents, on those that it was fitted on for that.
    pub refined: Option<RefineReport>,
}

/// Places that are visited in a row.
const RUN: usize = 128;

/// Exponents, which are few, are fitted to one run in so many.
const REFINED_RUNS: usize = 8;

/// Fits every gate that the model has a use for.
///
/// # Errors
/// [`AssistError::Fit`] when the projects have no place to learn from; those of the network and the cache.
pub fn fit_gates(
    assistant: &Assistant,
    projects: &[CorpusProject],
    options: &GateFitOptions,
    progress: &mut dyn FnMut(FitProgress),
) -> Result<(GateSet, Vec<GateReport>), AssistError> {
    let wanted = wanted_gates(assistant.model().config().stages);
    let examples = collect(assistant, projects, options.max_places, &wanted, progress)?;
    let fitted = fit_all(&wanted, &examples, &component_names, &options.fit)?;
    drop(examples);
    let mut set = GateSet::default();
    let mut reports = Vec::new();
    for (gate, report) in fitted {
        // A gate of the same components is the same gate, under each of its names.
        for (name, _) in GATE_SETS {
            let exits = exits_of(name, assistant.model().config().stages);
            if exits.is_some_and(|exits| component_names(&exits) == gate.components) {
                set.gates.insert(name.to_owned(), gate.clone());
            }
        }
        reports.push(report);
    }
    let stages = assistant.model().config().stages;
    if stages > 1 {
        let wanted: Vec<_> = MEMORY_GATE_SETS
            .into_iter()
            .filter_map(|(name, _)| Some((name, exits_of(name, stages)?)))
            .collect();
        let examples = collect_taught(assistant, projects, options, &wanted, progress)?;
        // Projects that begin with nothing but library code give no examples; the plain gates then serve.
        let wanted = if examples.iter().any(Vec::is_empty) {
            Vec::new()
        } else {
            wanted
        };
        for (gate, report) in fit_all(&wanted, &examples, &memory_component_names, &options.fit)? {
            set.gates.insert(report.gate.to_owned(), gate);
            reports.push(report);
        }
    }
    Ok((set, reports))
}

/// Fits one gate for each set of exits.
pub(crate) fn fit_all(
    wanted: &[(&'static str, Vec<usize>)],
    examples: &[Vec<GateExample>],
    names: &(impl Fn(&[usize]) -> Vec<String> + Sync),
    options: &FitOptions,
) -> Result<Vec<(Gate, GateReport)>, AssistError> {
    wanted
        .par_iter()
        .zip(examples)
        .map(|((name, exits), examples)| {
            if examples.is_empty() {
                return Err(AssistError::Fit {
                    gate: name,
                    reason: "the withheld projects have no code that is new to the model".into(),
                });
            }
            let (mut gate, loss) = Gate::fit(&names(exits), examples, options)?;
            let refined = gate.fit_exponents(examples)?;
            let report = GateReport {
                gate: name,
                n_examples: examples.len(),
                loss,
                refined,
            };
            Ok((gate, report))
        })
        .collect()
}

/// Names and exits of the gates to fit, one for each set of exits.
pub(crate) fn wanted_gates(stages: usize) -> Vec<(&'static str, Vec<usize>)> {
    let mut wanted: Vec<(&'static str, Vec<usize>)> = Vec::new();
    for (name, _) in GATE_SETS {
        if let Some(exits) = exits_of(name, stages)
            && wanted.iter().all(|(_, known)| *known != exits)
        {
            wanted.push((name, exits));
        }
    }
    wanted
}

/// Examples for each of the wanted gates.
fn collect(
    assistant: &Assistant,
    projects: &[CorpusProject],
    max_places: usize,
    wanted: &[(&'static str, Vec<usize>)],
    progress: &mut dyn FnMut(FitProgress),
) -> Result<Vec<Vec<GateExample>>, AssistError> {
    let n_files = projects.iter().map(|project| project.files.len()).sum();
    let n_bytes: usize = projects
        .iter()
        .flat_map(|project| &project.files)
        .map(|file| file.text.len())
        .sum();
    // Five bytes a piece, about; what counts is that runs are even over all projects.
    let every = (n_bytes / 5 / max_places.max(1)).max(1);
    let mut examples = vec![Vec::new(); wanted.len()];
    let mut state = FitProgress {
        files: 0,
        n_files,
        places: 0,
    };
    let mut n_seen = 0;
    for project in projects {
        let mut memory = assistant.empty_memory()?;
        for file in &project.files {
            let Ok(normalised) = nestor_bsl::normalise(file.text.as_bytes()) else {
                state.files += 1;
                continue;
            };
            let stream = FileStream::new(assistant.tokenizer(), &file.path, normalised.text);
            let own = own_places(assistant, &stream);
            let places: Vec<usize> = own
                .into_iter()
                .enumerate()
                .filter(|(idx, _)| ((n_seen + idx) / RUN).is_multiple_of(every))
                .map(|(_, place)| place)
                .collect();
            n_seen += stream.pieces().len();
            let mut views = [
                View::new(memory.cache_for(&file.path)?, true),
                View::new(memory.without_project()?, true),
            ];
            gather(
                assistant,
                &stream,
                &mut views,
                &places,
                wanted,
                &mut examples,
            )?;
            state.places += places.len();
            drop(views);
            memory.learn(&file.path, stream.tokens())?;
            state.files += 1;
            progress(state);
        }
    }
    Ok(examples)
}

/// Examples for each of the gates of memories: counts and memories of the project so far.
pub(crate) fn collect_taught(
    assistant: &Assistant,
    projects: &[CorpusProject],
    options: &GateFitOptions,
    wanted: &[(&'static str, Vec<usize>)],
    progress: &mut dyn FnMut(FitProgress),
) -> Result<Vec<Vec<GateExample>>, AssistError> {
    let n_bytes: usize = projects
        .iter()
        .flat_map(|project| &project.files)
        .map(|file| file.text.len())
        .sum();
    let n_read = (n_bytes / 5).min(options.max_taught * projects.len());
    let every = (n_read / options.max_places.max(1)).max(1);
    let mut examples = vec![Vec::new(); wanted.len()];
    let mut state = FitProgress {
        files: 0,
        n_files: projects.iter().map(|project| project.files.len()).sum(),
        places: 0,
    };
    for project in projects {
        let mut memory = assistant.empty_memory()?;
        memory.set_levels(Some(assistant.empty_levels(options.levels)?));
        let mut n_taught = 0;
        for file in &project.files {
            state.files += 1;
            if n_taught >= options.max_taught {
                continue;
            }
            let Ok(normalised) = nestor_bsl::normalise(file.text.as_bytes()) else {
                continue;
            };
            let stream = FileStream::new(assistant.tokenizer(), &file.path, normalised.text);
            let places: Vec<usize> = own_places(assistant, &stream)
                .into_iter()
                .filter(|place| ((n_taught + place) / RUN).is_multiple_of(every))
                .collect();
            let mut view = View::new(memory.cache_for(&file.path)?, true);
            if let Some(levels) = memory.levels() {
                view = view.with_memories(levels.as_ref().clone());
            }
            let mut views = [view];
            gather(
                assistant,
                &stream,
                &mut views,
                &places,
                wanted,
                &mut examples,
            )?;
            state.places += places.len();
            let [view] = views;
            memory.set_levels(assistant.stream().finish(&stream, view)?);
            memory.learn(&file.path, stream.tokens())?;
            n_taught += stream.pieces().len();
            progress(state);
        }
    }
    Ok(examples)
}

/// Places of code that the model was not trained on.
pub(crate) fn own_places(assistant: &Assistant, stream: &FileStream) -> Vec<usize> {
    let known: Vec<_> = methods(stream.text())
        .into_iter()
        .map(|method| method.span)
        .filter(|span| {
            let hash = method_hash(&stream.text()[span.clone()]);
            assistant.train_methods().binary_search(&hash).is_ok()
        })
        .collect();
    let mut spans = known.into_iter().peekable();
    let mut own = Vec::new();
    for (place, (_, bytes)) in stream.pieces().iter().enumerate() {
        while spans.peek().is_some_and(|span| span.end <= bytes.start) {
            spans.next();
        }
        if spans.peek().is_none_or(|span| bytes.start < span.start) {
            own.push(place);
        }
    }
    own
}

/// Adds the examples of some places in all views.
fn gather(
    assistant: &Assistant,
    stream: &FileStream,
    views: &mut [View],
    places: &[usize],
    wanted: &[(&'static str, Vec<usize>)],
    examples: &mut [Vec<GateExample>],
) -> Result<(), AssistError> {
    let walked = assistant.stream().walk(
        stream,
        views,
        places,
        &[],
        |moment| {
            let refines = (moment.place / RUN).is_multiple_of(REFINED_RUNS);
            let truth = stream.truth(moment.place);
            Ok(examples_at(moment, truth, wanted, refines))
        },
        |_, _| Ok(()),
    )?;
    for of_gates in walked.answers.into_iter().flatten() {
        for (known, example) in examples.iter_mut().zip(of_gates) {
            known.push(example);
        }
    }
    Ok(())
}

fn examples_at(
    moment: &Moment<'_>,
    truth: Option<u32>,
    wanted: &[(&'static str, Vec<usize>)],
    refines: bool,
) -> Vec<GateExample> {
    let truth = truth.unwrap_or_default() as usize;
    wanted
        .iter()
        .map(|(_, exits)| {
            let exits = moment.scene().components(exits, moment.nearest.is_some());
            let mut features = Vec::new();
            gate_features(moment.nests, &exits, moment.slot, &mut features);
            let nests = NESTS.iter().map(|nest| moment.nests.probabilities(*nest));
            let exits = exits.iter().map(|exit| exit.probabilities);
            let components: Vec<&[f32]> = exits.chain(nests).collect();
            let probabilities = components
                .iter()
                .map(|probs| {
                    probs
                        .get(truth)
                        .copied()
                        .unwrap_or_default()
                        .clamp(0.0, 1.0)
                })
                .collect();
            GateExample {
                likely: (refines && moment.nests.knows_more_than_the_corpus())
                    .then(|| LikelyTokens::of(&components, truth)),
                features,
                probabilities,
            }
        })
        .collect()
}
