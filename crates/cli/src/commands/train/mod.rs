//! `nestor train`: trains a network, then fits its mixture and completes the model folder.
//!
//! The network is trained by `nestor-train`; what the folder needs beside it (n-gram counts, gate, card) is made by
//! `finish`, also on `--resume` of a run that has come to its end.

mod card;
mod counts;
mod finish;
mod memories;
mod names;
mod record;
mod view;

use crate::explain;
use crate::failure::{Failure, Kind, Outcome};
use crate::messages::Messages;
use crate::terminal::Terminal;
use clap::{Args, ValueEnum};
use nestor_train::{Control, Device, Size, Summary, TrainConfig};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use view::View;

/// Arguments of `nestor train`.
#[derive(Debug, Args)]
pub struct Typed {
    #[arg(long, value_name = "DIR")]
    corpus: PathBuf,
    #[arg(long, value_enum, default_value = "nano")]
    model: SizeTyped,
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u8).range(1..=3))]
    levels: u8,
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    #[arg(long, value_name = "N")]
    samples: Option<usize>,
    #[arg(long, value_name = "N")]
    epochs: Option<f64>,
    #[arg(long, value_name = "N")]
    minutes: Option<f64>,
    #[arg(long, value_name = "N")]
    max_tokens: Option<u64>,
    #[arg(long, value_name = "DIR", conflicts_with = "finish")]
    from: Option<PathBuf>,
    #[arg(long, value_enum, default_value = "auto")]
    device: DeviceTyped,
    #[arg(long)]
    resume: bool,
    #[arg(long, conflicts_with_all = ["resume", "epochs", "minutes", "max_tokens", "samples"])]
    finish: bool,
    #[arg(long, value_name = "SRC", num_args = 1.., requires = "finish")]
    only_names: Vec<String>,
    #[arg(long, requires = "finish", conflicts_with = "only_names")]
    only_gates: bool,
    #[arg(long, requires = "finish", conflicts_with_all = ["only_names", "only_gates"])]
    only_memories: bool,
    #[arg(long, value_name = "N")]
    seq_len: Option<usize>,
    #[arg(long, value_name = "N")]
    batch: Option<usize>,
    #[arg(long, value_name = "SHARE")]
    rename: Option<f64>,
    #[arg(long, value_name = "FACTOR", default_value_t = 1.0)]
    rate: f64,
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum SizeTyped {
    Nano,
    NanoAttention,
    Tiny,
    Base,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum DeviceTyped {
    Auto,
    Cpu,
    Cuda,
    Wgpu,
}

/// Runs the command.
pub fn run(typed: Typed, terminal: &Terminal) -> Outcome {
    if !typed.only_names.is_empty() {
        return names::fit(&typed.out, &typed.only_names, terminal);
    }
    if typed.only_memories {
        return memories::fit(&typed.out, &typed.corpus, terminal);
    }
    let keep_counts = typed.only_gates;
    if keep_counts && !nestor_train::Record::path(&typed.out).exists() {
        // A folder that no run has left, such as one that is shipped: its card stays as it is.
        return finish::gates_alone(&typed.out, &typed.corpus, terminal);
    }
    let trained = if typed.finish {
        Box::new(record::read(&typed.out, typed.corpus, &terminal.messages)?)
    } else {
        match train(typed, terminal)? {
            Trained::Whole(run) => run,
            Trained::Stopped(summary) => return terminal.result(&summary, String::new),
        }
    };
    let finished = finish::finish(&trained, keep_counts, terminal)?;
    let document = serde_json::json!({ "summary": trained.summary, "mixture": finished });
    terminal.result(&document, || summary_text(&trained, &terminal.messages))
}

/// A run that has weights to go on with.
pub struct Run {
    /// What it was told.
    pub config: TrainConfig,
    /// How it ended.
    pub summary: Summary,
}

enum Trained {
    Whole(Box<Run>),
    Stopped(Box<Summary>),
}

fn train(typed: Typed, terminal: &Terminal) -> Outcome<Trained> {
    let resume = typed.resume;
    let config = resolve(typed, &terminal.messages)?;
    let control = Control {
        resume,
        stop: stop_on_interrupt()?,
    };
    let mut view = View::new(terminal, config.levels);
    let trained = nestor_train::run(&config, &control, &mut |event| view.show(event));
    view.clear();
    let summary = trained.map_err(|error| explain::train(&terminal.messages, &error))?;
    if summary.stopped {
        let out = config.out.display().to_string();
        terminal.note(
            &terminal
                .messages
                .with("train-stopped", &[("path", out.into())]),
        );
        return Ok(Trained::Stopped(Box::new(summary)));
    }
    Ok(Trained::Whole(Box::new(Run { config, summary })))
}

/// What was typed as a configuration of the run.
fn resolve(typed: Typed, messages: &Messages) -> Outcome<TrainConfig> {
    let size = match typed.model {
        SizeTyped::Nano => Size::Nano,
        SizeTyped::Tiny => Size::Tiny,
        SizeTyped::NanoAttention => Size::NanoAttention,
        SizeTyped::Base => Size::Base,
    };
    let mut config = TrainConfig::new(typed.corpus, size, usize::from(typed.levels), typed.out);
    if let Some(samples) = typed.samples {
        config = config.with_samples(samples);
    }
    config.device = match typed.device {
        DeviceTyped::Cpu => Device::Cpu,
        DeviceTyped::Cuda => Device::Cuda,
        DeviceTyped::Wgpu => Device::Wgpu,
        // A build that can use a card is made where there is one.
        DeviceTyped::Auto if cfg!(feature = "cuda") => Device::Cuda,
        DeviceTyped::Auto if cfg!(feature = "wgpu") => Device::Wgpu,
        DeviceTyped::Auto => Device::Cpu,
    };
    config.loader.seed = typed.seed;
    config.start = typed.from;
    if let Some(seq_len) = typed.seq_len {
        config.loader.seq_len = seq_len;
    }
    if let Some(batch) = typed.batch {
        config.loader.batch = batch;
    }
    if let Some(rename) = typed.rename {
        config.loader.rename = rename;
    }
    config.optimiser.muon_rate *= typed.rate;
    config.optimiser.adamw_rate *= typed.rate;
    let batch_tokens = (config.loader.batch * config.loader.seq_len).max(1) as u64;
    config.budget.steps = typed.max_tokens.map(|tokens| tokens.div_ceil(batch_tokens));
    config.budget.epochs = typed.epochs;
    config.budget.minutes = typed.minutes;
    if config.budget.is_unlimited() {
        return Err(Failure::usage(messages, "train-no-budget", &[]));
    }
    config
        .validate()
        .map_err(|error| explain::train(messages, &error))?;
    Ok(config)
}

/// A flag that Ctrl-C raises; a second Ctrl-C ends the program at once.
fn stop_on_interrupt() -> Outcome<Arc<AtomicBool>> {
    let stop = Arc::new(AtomicBool::new(false));
    let raised = Arc::clone(&stop);
    ctrlc::set_handler(move || {
        if raised.swap(true, Ordering::Relaxed) {
            std::process::exit(i32::from(Kind::Internal.code()));
        }
    })
    .map_err(Failure::internal)?;
    Ok(stop)
}

fn summary_text(run: &Run, messages: &Messages) -> String {
    let Run { config, summary } = run;
    let values = [
        ("steps", messages.count(summary.step).into()),
        ("tokens", messages.count(summary.tokens).into()),
        ("time", messages.duration(summary.elapsed_s).into()),
        (
            "rate",
            messages.count(summary.tokens_per_s.max(0.0) as u64).into(),
        ),
        (
            "memory",
            summary
                .peak_bytes
                .map_or_else(|| "–".to_owned(), |bytes| messages.bytes(bytes))
                .into(),
        ),
    ];
    let mut text = format!("{}\n", messages.with("train-done", &values));
    for score in &summary.levels {
        text.push_str(&format!("  {}\n", view::level_line(messages, score)));
    }
    let path = config.out.display().to_string();
    text.push_str(&format!(
        "{}\n",
        messages.with("train-model-at", &[("path", path.into())])
    ));
    text
}
