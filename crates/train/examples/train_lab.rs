//! Training without the command line's comfort, for measurements and for the scripts in `gpu/`:
//!
//! `cargo run --release -p nestor-train --example train_lab -- train CORPUS OUT [key=value ...]`,
//! `... -- bench [key=value ...]`, `... -- parity [key=value ...]`, `... -- loader CORPUS [key=value ...]`;
//! for another program's training `... -- batches CORPUS [key=value ...]` writes batches to standard output, and
//! `... -- adopt CORPUS OUT weights=FILE steps=N tokens=N elapsed_s=N by=TEXT [key=value ...]` makes a model folder of its weights.
//!
//! Prints JSON: the run record's lines, or one report. `call_minutes` ends one call of a longer run, which
//! `resume=1` continues.

use nestor_train::{
    Control, Device, Event, Size, TrainConfig, TrainedElsewhere, adopt, bench_loader, bench_step,
    parity, run, write_batches,
};
use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::time::Instant;

type Failure = Box<dyn std::error::Error>;

/// What the arguments ask for.
struct Request {
    config: TrainConfig,
    resume: bool,
    call_minutes: f64,
    steps: usize,
    vocab: usize,
    trained: TrainedElsewhere,
}

fn main() -> Result<(), Failure> {
    let mut args = std::env::args().skip(1);
    let mut next = |name: &str| args.next().ok_or(format!("{name} is missing"));
    let command = next("train, bench, parity, loader, batches or adopt")?;
    let (corpus, out) = match command.as_str() {
        "train" | "adopt" => (next("CORPUS")?, next("OUT")?),
        "loader" | "batches" => (next("CORPUS")?, "out".to_string()),
        _ => ("corpus".to_string(), "out".to_string()),
    };
    let config = TrainConfig::new(corpus.into(), Size::Nano, 3, out.into());
    let mut request = Request {
        config,
        resume: false,
        call_minutes: f64::INFINITY,
        steps: 7,
        vocab: 8192,
        trained: TrainedElsewhere {
            weights: PathBuf::new(),
            steps: 0,
            tokens: 0,
            elapsed_s: 0.0,
            by: "another program".into(),
        },
    };
    for arg in args {
        let (key, value) = arg
            .split_once('=')
            .ok_or(format!("{arg}: key=value is expected"))?;
        request
            .set(key, value)
            .map_err(|error| format!("{arg}: {error}"))?;
    }
    match command.as_str() {
        "train" => train(&request),
        "bench" => print(&bench_step(&request.config, request.vocab, request.steps)?),
        "parity" => {
            let report = parity(&request.config, request.vocab, request.steps)?;
            print(&report)?;
            if report.passed {
                Ok(())
            } else {
                Err("the device differs from the processor".into())
            }
        }
        "loader" => print(&format!(
            "{:.0} tokens/s",
            bench_loader(&request.config, request.steps)?
        )),
        "batches" => {
            let steps = request.config.budget.steps.unwrap_or(u64::MAX);
            write_batches(&request.config, steps, std::io::stdout().lock())?;
            Ok(())
        }
        "adopt" => {
            request.trained.steps = request.config.budget.steps.unwrap_or(0);
            print(&adopt(&request.config, &request.trained)?)
        }
        other => Err(format!(
            "{other}: train, bench, parity, loader, batches or adopt is expected"
        )
        .into()),
    }
}

impl Request {
    fn set(&mut self, key: &str, value: &str) -> Result<(), Failure> {
        let config = &mut self.config;
        match key {
            "size" => config.size = serde_json::from_value(value.into())?,
            "device" => config.device = serde_json::from_value::<Device>(value.into())?,
            "products" => config.products = serde_json::from_value(value.into())?,
            "levels" => config.levels = value.parse()?,
            "samples" => *config = config.clone().with_samples(value.parse()?),
            "minutes" => config.budget.minutes = Some(value.parse()?),
            "epochs" => config.budget.epochs = Some(value.parse()?),
            "steps" => {
                config.budget.steps = Some(value.parse()?);
                self.steps = value.parse()?;
            }
            "batch" => config.loader.batch = value.parse()?,
            "seq_len" => config.loader.seq_len = value.parse()?,
            "fim" => config.loader.fill_in_middle = value.parse()?,
            "rename" => config.loader.rename = value.parse()?,
            "seed" => config.loader.seed = value.parse()?,
            "muon" => config.optimiser.muon_rate = value.parse()?,
            "adamw" => config.optimiser.adamw_rate = value.parse()?,
            "decay" => config.optimiser.weight_decay = value.parse()?,
            "ema" => config.optimiser.ema = value.parse()?,
            "warm_up" => config.optimiser.schedule.warm_up_steps = value.parse()?,
            "shape" => config.optimiser.schedule.shape = serde_json::from_value(value.into())?,
            "stride" => config.early_exit_stride = value.parse()?,
            "distill" => config.distill = value.parse()?,
            "log" => config.intervals.log_steps = value.parse()?,
            "validate" => config.intervals.validate_steps = value.parse()?,
            "windows" => config.intervals.validate_windows = value.parse()?,
            "checkpoint" => config.intervals.checkpoint_steps = value.parse()?,
            "resume" => self.resume = value == "1",
            "call_minutes" => self.call_minutes = value.parse()?,
            "weights" => self.trained.weights = value.into(),
            "tokens" => self.trained.tokens = value.parse()?,
            "elapsed_s" => self.trained.elapsed_s = value.parse()?,
            "by" => self.trained.by = value.into(),
            "vocab" => self.vocab = value.parse()?,
            _ => return Err("not a setting".into()),
        }
        Ok(())
    }
}

fn train(request: &Request) -> Result<(), Failure> {
    let control = Control {
        resume: request.resume,
        ..Control::default()
    };
    let stop = control.stop.clone();
    let started = Instant::now();
    run(&request.config, &control, &mut |event: &Event| {
        if let Ok(line) = serde_json::to_string(event) {
            println!("{line}");
        }
        if started.elapsed().as_secs_f64() > request.call_minutes * 60.0 {
            stop.store(true, Ordering::Relaxed);
        }
    })?;
    Ok(())
}

fn print(report: &impl serde::Serialize) -> Result<(), Failure> {
    println!("{}", serde_json::to_string_pretty(report)?);
    Ok(())
}
