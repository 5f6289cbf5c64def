//! Which memory, learned while the model is used, adds to context and counts: the study of LOG.md.
//!
//! `cargo run --release -p nestor-eval --example memory_study -- MODEL CORPUS [key=value ...] SRC...`
//!
//! Streams a project through the network, scores each chunk of 64 pieces before any memory learns it, and mixes the
//! exits with the counts once for every set of memories. The gates of each set are fitted on the projects that CORPUS
//! withholds, with the memories in action. Prints one JSON document. Keys: `pieces` of each stream (60000), `stride` between
//! scored pieces (4), `fit_pieces` and `fit_stride` of the withheld projects (120000, 8; 0 leaves the counts and mixtures out), `rate2` of the output delta and `period2` in pieces (64), `rate3` and `hidden` of the exit's MLP,
//! `period3` in pieces (4096), `optimiser3` (`muon`, `sgd`), `start3` (`fresh`; `learned`: the mean of what it becomes on each withheld project; `model`: that of the model folder), `rate_m` and `gain_m` of the
//! matrix memories, `k` and `temperature` of the episodic memory, `sets` by name, separated by commas: what none of them contains is left out.
//!
//! The matrix memories M `[d, d]` add `M k` to a row of exit 3, k being the row made as long as 1: one learns `v = gain (E[next] - sum p E)` by the delta rule, `M <- M (1 - rate k k') + rate v k'`;
//! the other by HOPE's rule with its literal gradient, `M <- M (1 - rate k k') + rate (v - M0 k) k'`, M0 being M when the chunk began.
//!
//! Letters: V vocabulary, d width, n pieces of a chunk.

mod matrix;
mod settings;

use matrix::MatrixMemory;
use nestor_assist::mixture::SlotTable;
use nestor_assist::stream::FileStream;
use nestor_assist::{Assistant, ProjectMemory};
use nestor_bsl::code_tokens::code_tokens;
use nestor_bsl::methods::{method_hash, methods};
use nestor_cache::{
    ExitDistribution, FitOptions, Gate, GateExample, NESTS, NestPrediction, NestedCache, Summary,
    component_names, gate_features, mix, summarise,
};
use nestor_corpus::{Corpus, Role, source};
use nestor_engine::{
    Episodic, EpisodicConfig, ExitMlp, ExitMlpConfig, MlpBatch, MlpWeights, OutputDelta,
    OutputDeltaConfig, Session,
};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use rayon::prelude::*;
use serde_json::json;
use settings::{PARTS, Part, SETS, Settings, StartOfMlp};
use std::ops::ControlFlow;
use std::path::Path;
use std::time::Instant;

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Pieces a session sees before it starts again.
const MAX_SESSION: usize = 8192;
/// Pieces that a session which starts again looks back at.
const LOOK_BACK: usize = 1024;

/// What the counts know: the file alone, or the project too.
const VIEWS: [&str; 2] = ["file", "project"];

fn main() -> Result<(), Failure> {
    let mut settings = Settings::default();
    let mut places = Vec::new();
    for arg in std::env::args().skip(1) {
        match arg.split_once('=') {
            Some((key, value)) => settings.set(key, value)?,
            None => places.push(arg),
        }
    }
    let [model, corpus, sources @ ..] = places.as_slice() else {
        return Err("MODEL CORPUS SRC... are needed".into());
    };
    let assistant = Assistant::open(Path::new(model))?;
    let corpus = Corpus::open(Path::new(corpus))?;
    let start = match settings.start3 {
        StartOfMlp::Fresh => None,
        StartOfMlp::Learned => Some(learned_start(&assistant, &corpus, &settings)?),
        StartOfMlp::Model => {
            let start = assistant.model().memory_start();
            let start = start.ok_or_else(|| format!("{model}: has no memories.safetensors"))?;
            Some((*start.weights).clone())
        }
    };
    if settings.fit_pieces == 0 {
        settings.sets.clear();
    }
    let gates = fit(&assistant, &corpus, &settings, start.as_ref())?;
    eprintln!("the gates are fitted");
    let found: Vec<(String, Found, f64)> = sources
        .par_iter()
        .map(|path| {
            let started = Instant::now();
            let files = read(Path::new(path))?;
            let found = stream(&assistant, &files, &settings, Some(&gates), start.as_ref())?;
            Ok((source_name(path), found, started.elapsed().as_secs_f64()))
        })
        .collect::<Result<_, Failure>>()?;
    let rows: Vec<_> = found
        .iter()
        .flat_map(|(source, found, seconds)| rows(source, found, *seconds, &settings))
        .collect();
    let settings = json!({
        "pieces": settings.pieces, "stride": settings.stride,
        "fit_pieces": settings.fit_pieces, "fit_stride": settings.fit_stride, "rate2": settings.rate2, "period2": settings.period2, "rate3": settings.rate3,
        "optimiser3": format!("{:?}", settings.optimiser3), "start3": format!("{:?}", settings.start3), "rate_m": settings.rate_m, "gain_m": settings.gain_m,
        "hidden": settings.hidden, "period3": settings.period3, "k": settings.k, "temperature": settings.temperature,
    });
    let document = json!({ "settings": settings, "rows": rows });
    println!("{}", serde_json::to_string_pretty(&document)?);
    Ok(())
}

/// What is printed of one project.
fn rows(source: &str, found: &Found, seconds: f64, settings: &Settings) -> Vec<serde_json::Value> {
    let mut rows = Vec::new();
    for (slot, set) in settings.sets.iter().enumerate() {
        for (view, name) in VIEWS.iter().enumerate() {
            let score = &found.scores[slot * VIEWS.len() + view];
            let n = score.n.max(1) as f64;
            let quarters: Vec<f64> = (0..4)
                .map(|quarter| score.bits_of[quarter] / score.n_of[quarter].max(1.0))
                .collect();
            rows.push(json!({
                "source": source, "set": SETS[*set].0, "counts": name, "positions": score.n,
                "bits": score.bits / n, "top1": score.right as f64 / n, "bits_by_quarter": quarters,
            }));
        }
    }
    // A part that no set has is not computed.
    let alone = |(part, sum): (&Part, &f64)| {
        settings
            .wants(*part)
            .then(|| sum / found.n_parts.max(1) as f64)
    };
    let saved = saved(&found.by_file);
    let saved = PARTS.iter().zip(&saved);
    let saved: Vec<_> = saved
        .map(|(part, saved)| settings.wants(*part).then_some(saved))
        .collect();
    let micros = |s: &f64| s * 1e6 / found.pieces.max(1) as f64;
    rows.push(json!({
        "source": source, "seconds": seconds, "pieces": found.pieces, "saved_by_part": saved,
        "bits_alone": PARTS.iter().zip(&found.parts).map(alone).collect::<Vec<_>>(),
        "learn_us_a_piece": found.learn_s.iter().map(micros).collect::<Vec<_>>(),
    }));
    rows
}

/// For each part the share of exit 3's bits that it saves alone, with the 95 % interval of 1,000 draws of whole files.
fn saved(by_file: &[[f64; PARTS.len()]]) -> Vec<[f64; 3]> {
    const EXIT3: usize = 2;
    let share = |files: &[usize], part: usize| {
        let sum = |part: usize| files.iter().map(|file| by_file[*file][part]).sum::<f64>();
        1.0 - sum(part) / sum(EXIT3).max(1e-9)
    };
    let mut rng = StdRng::seed_from_u64(1);
    let all: Vec<usize> = (0..by_file.len()).collect();
    let draws: Vec<Vec<usize>> = (0..1000)
        .map(|_| all.iter().map(|_| rng.random_range(0..all.len())).collect())
        .collect();
    (0..PARTS.len())
        .map(|part| {
            let mut drawn: Vec<f64> = draws.iter().map(|files| share(files, part)).collect();
            drawn.sort_by(f64::total_cmp);
            [share(&all, part), drawn[25], drawn[974]]
        })
        .collect()
}

/// The repository of a mirror, or the last part of a path.
fn source_name(path: &str) -> String {
    let name = path
        .rsplit('/')
        .find(|part| !["repo", ".git", ""].contains(part));
    name.unwrap_or(path).replace('+', "/")
}

fn read(path: &Path) -> Result<Vec<(String, String)>, Failure> {
    let mut files = Vec::new();
    source::open(path)?.read(&mut |file| {
        files.push((file.path, file.text));
        ControlFlow::Continue(())
    })?;
    Ok(files)
}

/// The files of each project that the corpus withholds.
fn withheld(corpus: &Corpus) -> Result<Vec<Vec<(String, String)>>, Failure> {
    let projects = corpus.projects().iter();
    let projects = projects.filter(|project| project.role == Role::Withheld);
    projects
        .map(|project| {
            let files = project.files.clone();
            files
                .map(|index| Ok((corpus.files()[index].path.clone(), corpus.text(index)?)))
                .collect()
        })
        .collect()
}

/// The mean of what the MLP becomes on each withheld project, begun at the same weights.
fn learned_start(
    assistant: &Assistant,
    corpus: &Corpus,
    settings: &Settings,
) -> Result<MlpWeights, Failure> {
    let mut settings = settings.clone();
    settings.sets.clear();
    let ends: Vec<MlpWeights> = withheld(corpus)?
        .par_iter()
        .map(|files| Ok(stream(assistant, files, &settings, Some(&[]), None)?.mlp))
        .collect::<Result<_, Failure>>()?;
    let mean = |of: &dyn Fn(&MlpWeights) -> &[f32]| -> Vec<f32> {
        let at = |i: usize| ends.iter().map(|end| of(end)[i]).sum::<f32>() / ends.len() as f32;
        (0..of(&ends[0]).len()).map(at).collect()
    };
    Ok(MlpWeights {
        w_a: mean(&|weights| &weights.w_a),
        w_b: mean(&|weights| &weights.w_b),
    })
}

/// One gate for each set, fitted on what the withheld projects gave under all views.
fn fit(
    assistant: &Assistant,
    corpus: &Corpus,
    settings: &Settings,
    start: Option<&MlpWeights>,
) -> Result<Vec<Gate>, Failure> {
    if settings.sets.is_empty() {
        return Ok(Vec::new());
    }
    let fitting = Settings {
        pieces: settings.fit_pieces,
        stride: settings.fit_stride,
        ..settings.clone()
    };
    let found: Vec<Found> = withheld(corpus)?
        .par_iter()
        .map(|files| stream(assistant, files, &fitting, None, start))
        .collect::<Result<_, Failure>>()?;
    settings
        .sets
        .par_iter()
        .enumerate()
        .map(|(slot, set)| {
            let examples: Vec<GateExample> = found
                .iter()
                .flat_map(|found| found.examples[slot].iter().cloned())
                .collect();
            let exits: Vec<usize> = (1..=SETS[*set].1.len()).collect();
            let gate = Gate::fit(&component_names(&exits), &examples, &FitOptions::default())?.0;
            Ok(gate)
        })
        .collect()
}

/// What a set of parts reached under one view.
#[derive(Clone, Default)]
struct Score {
    n: u64,
    right: u64,
    bits: f64,
    /// By quarters of the stream.
    bits_of: [f64; 4],
    n_of: [f64; 4],
}

struct Found {
    /// By set; only without gates.
    examples: Vec<Vec<GateExample>>,
    /// By set and view; only with gates.
    scores: Vec<Score>,
    /// Sum of bits of each part alone.
    parts: [f64; PARTS.len()],
    n_parts: u64,
    /// The same of each file.
    by_file: Vec<[f64; PARTS.len()]>,
    /// What the MLP has become.
    mlp: MlpWeights,
    pieces: usize,
    /// Seconds spent learning: deltas (three of them), MLP, nearest states.
    learn_s: [f64; 3],
}

/// All memories of one project.
struct Memories {
    deltas: [OutputDelta; 2],
    mlp: ExitMlp,
    mlp_delta: OutputDelta,
    nearest: Episodic,
    matrices: [MatrixMemory; 2],
    since_step: usize,
}

impl Memories {
    fn new(
        settings: &Settings,
        vocab: usize,
        width: usize,
        start: Option<&MlpWeights>,
    ) -> Result<Self, Failure> {
        let delta = OutputDeltaConfig {
            rate: settings.rate2,
            ..OutputDeltaConfig::default()
        };
        let mlp = ExitMlpConfig {
            rate: settings.rate3,
            hidden: settings.hidden,
            optimiser: settings.optimiser3,
            ..ExitMlpConfig::default()
        };
        let fresh = || OutputDelta::new(delta, vocab, width);
        Ok(Self {
            deltas: [fresh()?, fresh()?],
            mlp: match start {
                Some(start) => ExitMlp::from_start(mlp, width, start.clone())?,
                None => ExitMlp::new(mlp, width, 1)?,
            },
            matrices: [false, true]
                .map(|by_hope| MatrixMemory::new(width, settings.rate_m, settings.gain_m, by_hope)),
            mlp_delta: fresh()?,
            nearest: Episodic::new(EpisodicConfig::default(), vocab, width)?,
            since_step: 0,
        })
    }
}

/// Runs one project; with gates it scores, without it gathers examples for them.
fn stream(
    assistant: &Assistant,
    files: &[(String, String)],
    settings: &Settings,
    gates: Option<&[Gate]>,
    start: Option<&MlpWeights>,
) -> Result<Found, Failure> {
    let model = assistant.model();
    let (vocab, width) = (model.config().vocab, model.config().width);
    let slots = SlotTable::new(assistant.tokenizer());
    let mut memories = Memories::new(settings, vocab, width, start)?;
    let mut counts: ProjectMemory = assistant.empty_memory()?;
    let mut found = Found {
        examples: vec![Vec::new(); settings.sets.len()],
        scores: vec![Score::default(); settings.sets.len() * VIEWS.len()],
        parts: [0.0; PARTS.len()],
        n_parts: 0,
        by_file: Vec::new(),
        mlp: memories.mlp.weights().clone(),
        pieces: 0,
        learn_s: [0.0; 3],
    };
    let mut n_code = 0usize;
    for (path, text) in files {
        if found.pieces >= settings.pieces {
            break;
        }
        let Ok(normalised) = nestor_bsl::normalise(text.as_bytes()) else {
            continue;
        };
        let file = FileStream::new(assistant.tokenizer(), path, normalised.text);
        let tokens = file.tokens();
        let end = tokens.len() - 1;
        let opening = end - file.pieces().len();
        let scored = scored_pieces(assistant, &file);
        let mut caches = [counts.without_project()?, counts.cache_for(path)?];
        caches.iter_mut().for_each(NestedCache::start_file);
        let mut learned = 0;
        let mut session = Session::new(model.clone(), model.config().stages)?;
        let states = session.forward(&tokens[..opening])?;
        let mut before: Vec<Vec<f32>> = (0..3)
            .map(|exit| states.row(exit, opening - 1).unwrap_or_default().to_vec())
            .collect();
        found.by_file.push([0.0; PARTS.len()]);
        for first in (opening..end).step_by(settings.period2) {
            let chunk = &tokens[first..(first + settings.period2).min(end)];
            let n = chunk.len();
            if session.len() > MAX_SESSION {
                session = Session::new(model.clone(), model.config().stages)?;
                let mut again = tokens[..opening].to_vec();
                again.extend(&tokens[first.saturating_sub(LOOK_BACK).max(opening)..first]);
                session.forward(&again)?;
            }
            let states = session.forward(chunk)?;
            let rows: Vec<Vec<f32>> = (0..3)
                .map(|exit| {
                    let mut rows = before[exit].clone();
                    rows.extend_from_slice(&states.rows(exit)[..(n - 1) * width]);
                    before[exit] = states.rows(exit)[(n - 1) * width..].to_vec();
                    rows
                })
                .collect();
            let probs = parts(&session, &memories, &rows, settings)?;
            for at in 0..n {
                if !scored[first + at - opening] {
                    continue;
                }
                n_code += 1;
                for (part, probs) in probs.iter().enumerate() {
                    if probs.is_empty() {
                        continue;
                    }
                    let p = probs[at * vocab + chunk[at] as usize].max(1e-9);
                    found.parts[part] -= f64::from(p).log2();
                    if let Some(sums) = found.by_file.last_mut() {
                        sums[part] -= f64::from(p).log2();
                    }
                }
                found.n_parts += 1;
                if settings.sets.is_empty() || !n_code.is_multiple_of(settings.stride) {
                    continue;
                }
                let upto = first + at;
                for cache in &mut caches {
                    cache.file_mut().extend(&tokens[learned..upto])?;
                }
                learned = upto;
                let moment = Moment {
                    probs: probs
                        .iter()
                        .map(|probs| probs.get(at * vocab..(at + 1) * vocab).unwrap_or_default())
                        .collect(),
                    slot: slots.after(tokens[upto - 1]),
                    truth: chunk[at] as usize,
                    quarter: (4 * (found.pieces + at) / settings.pieces).min(3),
                };
                for (view, cache) in caches.iter().enumerate() {
                    let mut nests = NestPrediction::new(vocab);
                    cache.predict(&tokens[..upto], &mut nests);
                    moment.judge(view, &nests, settings, gates, &mut found)?;
                }
            }
            learn(&mut memories, &session, &rows, chunk, &probs, &mut found)?;
            if memories.since_step >= settings.period3 {
                memories.mlp.step();
                memories.since_step = 0;
            }
            found.pieces += n;
        }
        counts.learn(path, tokens)?;
    }
    found.mlp = memories.mlp.weights().clone();
    Ok(found)
}

/// Distributions of all parts for a chunk, `[n, V]` each; empty where no set has the part.
fn parts(
    session: &Session,
    memories: &Memories,
    rows: &[Vec<f32>],
    settings: &Settings,
) -> Result<Vec<Vec<f32>>, Failure> {
    let vocab = session.model().config().vocab;
    let n = rows[0].len() / session.model().config().width;
    let logits = |exit: usize, rows: &[f32]| -> Result<Vec<f32>, Failure> {
        let mut logits = vec![0.0; n * vocab];
        session.exit_logits(exit, rows, &mut logits)?;
        Ok(logits)
    };
    let plain = [
        logits(0, &rows[0])?,
        logits(1, &rows[1])?,
        logits(2, &rows[2])?,
    ];
    let (corrected, mlp) = match settings.wants(Part::Mlp) {
        true => {
            let corrected = memories.mlp.forward(&rows[2], 1)?;
            let mlp = logits(2, &corrected)?;
            (corrected, mlp)
        }
        false => (Vec::new(), Vec::new()),
    };
    let mut out = Vec::with_capacity(PARTS.len());
    for part in PARTS {
        if !settings.wants(part) {
            out.push(Vec::new());
            continue;
        }
        let mut values = match part {
            Part::Exit(exit) => plain[exit].clone(),
            Part::Delta(exit) => {
                let mut values = plain[exit].clone();
                memories.deltas[exit - 1].add_logits(&rows[exit], &mut values, 1)?;
                values
            }
            Part::Mlp => mlp.clone(),
            Part::MlpDelta => {
                let mut values = mlp.clone();
                memories.mlp_delta.add_logits(&corrected, &mut values, 1)?;
                values
            }
            Part::Matrix(which) => {
                let width = session.model().config().width;
                logits(2, &memories.matrices[which].forward(&rows[2], width))?
            }
            Part::Nearest => nearest(&memories.nearest, &rows[2], vocab, settings)?,
        };
        if part != Part::Nearest {
            values.chunks_exact_mut(vocab).for_each(softmax);
        }
        out.push(values);
    }
    Ok(out)
}

/// What followed the nearest states, with a little of everything: what was never seen is not impossible.
fn nearest(
    memory: &Episodic,
    rows: &[f32],
    vocab: usize,
    settings: &Settings,
) -> Result<Vec<f32>, Failure> {
    const EVERYTHING: f32 = 0.01;
    let recalled = memory.query_batch(rows, settings.k, settings.temperature)?;
    let mut values = vec![1.0 / vocab as f32; recalled.len() * vocab];
    for (recalled, values) in recalled.iter().zip(values.chunks_exact_mut(vocab)) {
        if let Some(recalled) = recalled {
            values.fill(EVERYTHING / vocab as f32);
            for (token, p) in &recalled.probs {
                values[*token as usize] += (1.0 - EVERYTHING) * p;
            }
        }
    }
    Ok(values)
}

fn softmax(values: &mut [f32]) {
    let max = values.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let mut sum = 0.0;
    for value in values.iter_mut() {
        *value = (*value - max).exp();
        sum += *value;
    }
    values.iter_mut().for_each(|value| *value /= sum);
}

/// Teaches a chunk that was scored to every memory.
fn learn(
    memories: &mut Memories,
    session: &Session,
    rows: &[Vec<f32>],
    chunk: &[u32],
    probs: &[Vec<f32>],
    found: &mut Found,
) -> Result<(), Failure> {
    let started = Instant::now();
    for (delta, (rows, probs)) in memories
        .deltas
        .iter_mut()
        .zip([(&rows[1], &probs[3]), (&rows[2], &probs[4])])
    {
        if !probs.is_empty() {
            delta.learn(rows, chunk, probs)?;
        }
    }
    if !probs[6].is_empty() {
        let corrected = memories.mlp.forward(&rows[2], 1)?;
        memories.mlp_delta.learn(&corrected, chunk, &probs[6])?;
    }
    found.learn_s[0] += started.elapsed().as_secs_f64();
    let (head, width) = (session.model().head(), session.model().config().width);
    for (memory, part) in memories.matrices.iter_mut().zip([8, 9]) {
        if !probs[part].is_empty() {
            memory.learn(&rows[2], chunk, &probs[part], head, width);
        }
    }
    let started = Instant::now();
    let batch = MlpBatch {
        rows: &rows[2],
        targets: chunk,
        probs: &probs[5],
        head: session.model().head(),
    };
    if !batch.probs.is_empty() {
        memories.mlp.accumulate(batch, 1)?;
    }
    memories.since_step += chunk.len();
    found.learn_s[1] += started.elapsed().as_secs_f64();
    let started = Instant::now();
    if !probs[7].is_empty() {
        memories.nearest.push_batch(&rows[2], chunk)?;
    }
    found.learn_s[2] += started.elapsed().as_secs_f64();
    Ok(())
}

/// One scored piece.
struct Moment<'a> {
    /// By part, `[V]`.
    probs: Vec<&'a [f32]>,
    slot: u8,
    truth: usize,
    quarter: usize,
}

impl Moment<'_> {
    fn judge(
        &self,
        view: usize,
        nests: &NestPrediction,
        settings: &Settings,
        gates: Option<&[Gate]>,
        found: &mut Found,
    ) -> Result<(), Failure> {
        let summaries: Vec<Summary> = self
            .probs
            .iter()
            .map(|probs| {
                if probs.is_empty() {
                    Summary::default()
                } else {
                    summarise(probs)
                }
            })
            .collect();
        let mut features = Vec::new();
        let mut mixed = vec![0.0; nests.probabilities(NESTS[0]).len()];
        for (slot, set) in settings.sets.iter().enumerate() {
            let exits: Vec<ExitDistribution<'_>> = SETS[*set]
                .1
                .iter()
                .map(|&part| ExitDistribution {
                    probabilities: self.probs[part],
                    summary: summaries[part],
                })
                .collect();
            gate_features(nests, &exits, self.slot, &mut features);
            let components: Vec<&[f32]> = exits
                .iter()
                .map(|exit| exit.probabilities)
                .chain(NESTS.iter().map(|nest| nests.probabilities(*nest)))
                .collect();
            let Some(gates) = gates else {
                let probabilities = components.iter().map(|p| p[self.truth].clamp(0.0, 1.0));
                found.examples[slot].push(GateExample {
                    likely: None,
                    features: features.clone(),
                    probabilities: probabilities.collect(),
                });
                continue;
            };
            let mut weights = vec![0.0; components.len()];
            gates[slot].weights(&features, &mut weights)?;
            mix(&components, &weights, &mut mixed);
            let score = &mut found.scores[slot * VIEWS.len() + view];
            let bits = -f64::from(mixed[self.truth].max(1e-9)).log2();
            score.n += 1;
            score.right += u64::from(summarise(&mixed).top as usize == self.truth);
            score.bits += bits;
            score.bits_of[self.quarter] += bits;
            score.n_of[self.quarter] += 1.0;
        }
        Ok(())
    }
}

/// Pieces of code tokens outside methods that the model was trained on, by place.
fn scored_pieces(assistant: &Assistant, file: &FileStream) -> Vec<bool> {
    let known: Vec<_> = methods(file.text())
        .into_iter()
        .map(|method| method.span)
        .filter(|span| {
            let hash = method_hash(&file.text()[span.clone()]);
            assistant.train_methods().binary_search(&hash).is_ok()
        })
        .collect();
    let mut code = code_tokens(file.text())
        .into_iter()
        .map(|token| token.scored)
        .peekable();
    file.pieces()
        .iter()
        .map(|(_, bytes)| {
            while code.peek().is_some_and(|scored| scored.end <= bytes.start) {
                code.next();
            }
            let is_code = code.peek().is_some_and(|scored| scored.start < bytes.end);
            let is_known = || {
                known
                    .iter()
                    .any(|span| span.start < bytes.end && bytes.start < span.end)
            };
            is_code && !is_known()
        })
        .collect()
}
