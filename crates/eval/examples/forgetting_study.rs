//! What one codebase costs another that was learned before it: the study of LOG.md.
//!
//! `cargo run --release -p nestor-eval --example forgetting_study -- MODEL A B FOREIGN [pieces=N] [scored=N] [strands=1] [key=value,...]...`
//!
//! Teaches A, then B, and measures what the last exit loses on a tenth of A's files that was held out, on B's and on FOREIGN
//! before and after. Each further argument is one setting to try, its keys separated by commas: `rate`, `decay` of
//! the output deltas, `rate3`, `decay3` and `period` of the MLP, `level2=0`, `level3=0`; `rehearse`: after each file of B so many pieces of A for each of its own, a hundred lines here and there; `default` changes nothing. Prints a line a setting.

use nestor_assist::stream::FileStream;
use nestor_assist::{Assistant, LearnFile, LevelMemories, LevelMemoriesConfig};
use nestor_corpus::source;
use nestor_engine::DocumentReader;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Threads of each product.
const THREADS: usize = 1;

/// One file in so many is held out.
const HOLD_OUT: usize = 10;

struct Code {
    taught: Vec<LearnFile>,
    held_out: Vec<LearnFile>,
}

fn main() -> Result<(), Failure> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [model, a, b, foreign, settings @ ..] = args.as_slice() else {
        return Err("MODEL A B FOREIGN are needed".into());
    };
    let assistant = Assistant::open(Path::new(model))?;
    let (mut pieces, mut scored, mut strands) = (20_000, 8_000, false);
    let [a, b, foreign] = [read(a)?, read(b)?, read(foreign)?];
    let foreign: Vec<LearnFile> = foreign.taught.into_iter().chain(foreign.held_out).collect();
    println!("bits a piece of the last exit: while a file teaches nothing / teaches its fork");
    println!(
        "setting: A untaught, A taught, A after B (rise) | B before, after | foreign untaught, after both (rise)"
    );
    for setting in settings {
        match setting.split_once('=') {
            Some(("pieces", value)) => pieces = value.parse()?,
            Some(("scored", value)) => scored = value.parse()?,
            Some(("strands", value)) => strands = value != "0",
            _ => {
                let (config, rehearsed) = config(setting, assistant.level_config())?;
                let mut levels = assistant.empty_levels(config)?;
                let turn = |levels: &mut LevelMemories, strand: &str| {
                    if strands {
                        levels.turn_to(strand);
                    }
                };
                let loss = |levels: &LevelMemories, files: &[LearnFile]| {
                    losses(&assistant, levels, files, scored)
                };
                turn(&mut levels, "a");
                let (a0, f0) = (loss(&levels, &a.held_out)?, loss(&levels, &foreign)?);
                let n_taught = teach(&assistant, &mut levels, &a.taught, pieces, Rehearsal::NONE)?;
                let a1 = loss(&levels, &a.held_out)?;
                turn(&mut levels, "b");
                let b1 = loss(&levels, &b.held_out)?;
                let parts = parts(&a.taught[..n_taught]);
                let again = Rehearsal {
                    files: &parts,
                    share: rehearsed,
                };
                teach(&assistant, &mut levels, &b.taught, pieces, again)?;
                let (b2, f2) = (loss(&levels, &b.held_out)?, loss(&levels, &foreign)?);
                turn(&mut levels, "a");
                let a2 = loss(&levels, &a.held_out)?;
                let rise =
                    |from: [f64; 2], to: [f64; 2]| [0, 1].map(|i| 100.0 * (to[i] / from[i] - 1.0));
                println!(
                    "{setting}: {a0:.4?} {a1:.4?} {a2:.4?} ({:+.2?} %) | {b1:.4?} {b2:.4?} | {f0:.4?} {f2:.4?} ({:+.2?} %)",
                    rise(a1, a2),
                    rise(f0, f2)
                );
            }
        }
    }
    Ok(())
}

/// Bits a piece of the last exit, when a file teaches nothing and when it teaches a fork of its own as it goes.
fn losses(
    assistant: &Assistant,
    levels: &LevelMemories,
    files: &[LearnFile],
    scored: u64,
) -> Result<[f64; 2], Failure> {
    let model = assistant.model();
    let (vocab, exit) = (model.config().vocab, model.config().stages - 1);
    let mut bits = [0.0; 2];
    let mut pieces = 0;
    for file in files {
        if pieces >= scored {
            break;
        }
        let text = nestor_bsl::normalise(file.text.as_bytes())?.text;
        let stream = FileStream::new(assistant.tokenizer(), &file.path, text);
        let (opening, text) = stream.opening_and_text();
        let mut reader = DocumentReader::new(Arc::clone(model), opening, THREADS)?;
        let mut forks = [levels.clone(), levels.clone()];
        for chunk in text.chunks(LevelMemories::CHUNK) {
            let rows = reader.read(chunk)?;
            for (bits, fork) in bits.iter_mut().zip(&mut forks) {
                let probs = fork.exit_probs(model, exit, &rows[exit], THREADS)?;
                *bits -= chunk
                    .iter()
                    .zip(probs.chunks_exact(vocab))
                    .map(|(truth, probs)| f64::from(probs[*truth as usize].max(1e-30)).log2())
                    .sum::<f64>();
            }
            forks[0].watch(model, &rows, chunk, THREADS)?;
            forks[1].learn(model, &rows, chunk, THREADS)?;
            pieces += chunk.len() as u64;
        }
    }
    Ok(bits.map(|bits| bits / pieces as f64))
}

/// The memories of a setting, and the share of the first codebase that is taught again.
fn config(
    setting: &str,
    mut config: LevelMemoriesConfig,
) -> Result<(LevelMemoriesConfig, f64), Failure> {
    let mut rehearsed = 0.0;
    if setting == "default" {
        return Ok((config, rehearsed));
    }
    for pair in setting.split(',') {
        let (key, value) = pair
            .split_once('=')
            .ok_or_else(|| format!("{pair}: key=value is needed"))?;
        match key {
            "rate" => config.delta.rate = value.parse()?,
            "decay" => config.delta.decay = value.parse()?,
            "rate3" => config.mlp.rate = value.parse()?,
            "decay3" => config.mlp.decay = value.parse()?,
            "period" => config.period = value.parse()?,
            "rehearse" => rehearsed = value.parse()?,
            "level2" => config.parts.level2 = value != "0",
            "level3" => config.parts.level3 = value != "0",
            _ => return Err(format!("{key}: no such setting").into()),
        }
    }
    Ok((config, rehearsed))
}

/// Lines that are taught again together.
const PART: usize = 100;

/// The files in parts, neighbours far from each other.
fn parts(files: &[LearnFile]) -> Vec<LearnFile> {
    let mut parts = Vec::new();
    for file in files {
        let lines: Vec<&str> = file.text.split_inclusive('\n').collect();
        parts.extend(lines.chunks(PART).map(|lines| LearnFile {
            path: file.path.clone(),
            text: lines.concat(),
        }));
    }
    let n = parts.len();
    let mut order: Vec<usize> = (0..n).collect();
    // Steps of the golden section meet each part once and none too early again.
    order.sort_by_key(|idx| (*idx as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    let mut parts: Vec<Option<LearnFile>> = parts.into_iter().map(Some).collect();
    let in_order = order.into_iter().filter_map(|idx| parts[idx].take());
    in_order.collect()
}

/// Files that are taught again between others.
#[derive(Clone, Copy)]
struct Rehearsal<'a> {
    files: &'a [LearnFile],
    /// Pieces of them for each piece of the others.
    share: f64,
}

impl Rehearsal<'_> {
    const NONE: Self = Self {
        files: &[],
        share: 0.0,
    };
}

/// Teaches files until so many pieces of them are taught; returns how many files.
fn teach(
    assistant: &Assistant,
    levels: &mut LevelMemories,
    files: &[LearnFile],
    pieces: u64,
    again: Rehearsal<'_>,
) -> Result<usize, Failure> {
    let (mut taught, mut rehearsed) = (0, 0);
    let mut old = again.files.iter().rev().cycle();
    for (idx, file) in files.iter().enumerate() {
        if taught >= pieces {
            return Ok(idx);
        }
        taught += assistant.teach(levels, file)? as u64;
        while (rehearsed as f64) < taught as f64 * again.share
            && let Some(file) = old.next()
        {
            rehearsed += assistant.teach(levels, file)?;
        }
    }
    Ok(files.len())
}

/// Source files in path order, every tenth of them held out.
fn read(path: &str) -> Result<Code, Failure> {
    let mut code = Code {
        taught: Vec::new(),
        held_out: Vec::new(),
    };
    let opened = source::open(Path::new(path))?;
    let mut idx = 0;
    opened.read(&mut |file| {
        let file = LearnFile {
            path: file.path,
            text: file.text,
        };
        idx += 1;
        if idx % HOLD_OUT == HOLD_OUT / 2 {
            code.held_out.push(file);
        } else {
            code.taught.push(file);
        }
        ControlFlow::Continue(())
    })?;
    Ok(code)
}
