//! A training run from configuration to model folder.
//!
//! Called by `cli`. It decides when to log, validate, keep a checkpoint and stop; the work is done by
//! `loader`, `trainer`, `checkpoint`, `record` and `export`.

use crate::checkpoint::{self, Checkpoint, Found, RunState};
use crate::device::run_on_device;
use crate::export::{ModelFacts, write_model};
use crate::loader::{
    Batches, Loader, Material, Order, fixed_batches, project_material, sample_material,
};
use crate::optimise::TrainBackend;
use crate::record::{Event, Header, LevelScore, Record, Step, Summary, resident_bytes};
use crate::start;
use crate::trainer::{ScoreMean, Trainer};
use crate::{Budget, TrainConfig, TrainError};
use nestor_model::LossBatch;
use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

/// How a run is driven from outside.
#[derive(Debug, Clone, Default)]
pub struct Control {
    /// Go on with the run that the output folder holds.
    pub resume: bool,
    /// Set to true to stop after the present step, with a checkpoint.
    pub stop: Arc<AtomicBool>,
}

/// Trains a network until its budget is used up or it is stopped.
///
/// Every event also becomes a line of `run.jsonl` in the output folder. A model folder is written
/// there at every checkpoint and at the end.
///
/// # Errors
/// [`TrainError`] naming the setting, file, checkpoint or layer that is wrong. What was kept before
/// stays usable.
pub fn run(
    config: &TrainConfig,
    control: &Control,
    on_event: &mut dyn FnMut(&Event),
) -> Result<Summary, TrainError> {
    config.validate()?;
    let material = match config.samples {
        None => project_material(config)?,
        Some(count) => sample_material(config, count)?,
    };
    run_on_device(config, control, material, on_event)
}

/// The run on one device; see [`run`].
pub(crate) fn run_on<B: TrainBackend>(
    config: &TrainConfig,
    control: &Control,
    material: Material,
    on_event: &mut dyn FnMut(&Event),
    device: &B::Device,
) -> Result<Summary, TrainError> {
    let found = prepare_folder(config, control)?;
    let order = if config.samples.is_some() {
        Order::Shuffled
    } else {
        Order::Paths
    };
    let validation = fixed_batches(
        material.held_out,
        material.pieces.clone(),
        order,
        &config.loader,
        config.intervals.validate_windows,
    )?;
    let network = config.size.network(config.levels, material.pieces.count());
    let parameters = network.parameter_count();
    let mut trainer = Trainer::<B>::new(config, &network, device)?;
    let mut started_from = None;
    // A checkpoint holds what the weights have become since.
    if let (Some(dir), None) = (&config.start, &found) {
        let (weights, tokens) = start::load::<B>(dir, &network, &material.tokenizer, device)?;
        trainer.start_from(weights, config);
        started_from = Some(tokens);
    }
    let loader = Loader::new(
        material.train,
        material.pieces,
        material.names,
        order,
        &config.loader,
    );
    let mut run = Run {
        config,
        budget: config.budget.in_steps(loader.batches_per_epoch()),
        record: Record::open(&config.out)?,
        on_event,
        facts: Facts {
            tokenizer: material.tokenizer,
            corpus_sha256: material.corpus_sha256,
            methods: material.methods,
            has_outlines: loader.has_outlines(),
        },
        step: 0,
        tokens: 0,
        elapsed_before_s: 0.0,
        tokens_before: 0,
        tokens_at_start: 0,
        started: Instant::now(),
        levels: Vec::new(),
    };
    if let Some(Found {
        path,
        checkpoint,
        warnings,
    }) = found
    {
        run.restore(&mut trainer, &path, checkpoint)?;
        for text in warnings {
            run.emit(Event::Note {
                step: run.step,
                text,
            })?;
        }
    }
    if let Some(tokens) = started_from {
        run.tokens_at_start = tokens;
        let text = format!("starts from weights that have seen {tokens} tokens");
        run.emit(Event::Note { step: 0, text })?;
    }
    run.emit(Event::Header(Header {
        config: config.clone(),
        command: std::env::args().collect(),
        corpus_sha256: run.facts.corpus_sha256.clone(),
        parameters,
        corpus_tokens: loader.tokens(),
        threads: rayon::current_num_threads(),
        first_step: run.step,
    }))?;
    let batches = Batches::start(loader, run.step);
    run.go(&mut trainer, batches, &validation, &control.stop)
}

/// Makes the output folder and finds what is to be resumed in it.
fn prepare_folder(config: &TrainConfig, control: &Control) -> Result<Option<Found>, TrainError> {
    fs::create_dir_all(&config.out).map_err(|e| TrainError::file(&config.out, e))?;
    if control.resume {
        return checkpoint::latest(&config.out);
    }
    if Record::path(&config.out).exists() || checkpoint::folder(&config.out).exists() {
        return Err(TrainError::Occupied {
            path: config.out.clone(),
        });
    }
    Ok(None)
}

/// What goes into the model folder unchanged.
struct Facts {
    tokenizer: Vec<u8>,
    corpus_sha256: String,
    methods: Vec<u64>,
    has_outlines: bool,
}

/// The state of a run in progress.
struct Run<'a> {
    config: &'a TrainConfig,
    budget: Budget,
    record: Record,
    on_event: &'a mut dyn FnMut(&Event),
    facts: Facts,
    step: u64,
    tokens: u64,
    elapsed_before_s: f64,
    tokens_before: u64,
    /// Tokens that the weights had seen when the run began.
    tokens_at_start: u64,
    started: Instant,
    /// The last validation's scores.
    levels: Vec<LevelScore>,
}

impl Run<'_> {
    fn go<B: TrainBackend>(
        &mut self,
        trainer: &mut Trainer<B>,
        mut batches: Batches,
        validation: &[LossBatch],
        stop: &AtomicBool,
    ) -> Result<Summary, TrainError> {
        self.started = Instant::now();
        let mut log = Log::new(self.tokens);
        let mut kept = Instant::now();
        let mut kept_step = self.step;
        let stopped = loop {
            if stop.load(Ordering::Relaxed) {
                break true;
            }
            let progress = self.budget.progress(self.step, self.elapsed_s());
            if progress >= 1.0 {
                break false;
            }
            let batch = batches.next_batch()?;
            let factor = self.config.optimiser.schedule.factor(self.step, progress);
            let result = trainer.step(&batch, self.step, factor)?;
            self.step += 1;
            self.tokens += batch.tokens.len() as u64;
            log.add(result.loss, &result.levels);
            let step = self.step;
            let every = |steps: u64| steps > 0 && step.is_multiple_of(steps);
            if every(self.config.intervals.log_steps) {
                let finished = std::mem::replace(&mut log, Log::new(self.tokens));
                self.emit(finished.event(self, factor, result.gradient_norm))?;
            }
            if every(self.config.intervals.validate_steps) {
                self.validate(trainer, validation)?;
            }
            if every(self.config.intervals.checkpoint_steps)
                || kept.elapsed().as_secs_f64() >= self.config.intervals.checkpoint_s
            {
                self.keep(trainer)?;
                kept = Instant::now();
                kept_step = self.step;
            }
        };
        if !stopped {
            self.validate(trainer, validation)?;
        }
        // A run that ends can be continued with a larger budget.
        if kept_step != self.step || !stopped {
            self.keep(trainer)?;
        }
        let summary = Summary {
            step: self.step,
            tokens: self.tokens,
            elapsed_s: self.elapsed_s(),
            tokens_per_s: (self.tokens - self.tokens_before) as f64
                / self.started.elapsed().as_secs_f64().max(1e-9),
            peak_bytes: resident_bytes().1,
            levels: self.levels.clone(),
            stopped,
            model: (!stopped).then(|| self.config.out.clone()),
        };
        self.emit(Event::Summary(summary.clone()))?;
        Ok(summary)
    }

    fn elapsed_s(&self) -> f64 {
        self.elapsed_before_s + self.started.elapsed().as_secs_f64()
    }

    fn emit(&mut self, event: Event) -> Result<(), TrainError> {
        (self.on_event)(&event);
        self.record.append(&event)
    }

    fn validate<B: TrainBackend>(
        &mut self,
        trainer: &Trainer<B>,
        batches: &[LossBatch],
    ) -> Result<(), TrainError> {
        let started = Instant::now();
        self.levels = trainer.score(batches)?;
        let seconds = started.elapsed().as_secs_f64();
        self.emit(Event::Validation {
            step: self.step,
            levels: self.levels.clone(),
            seconds,
        })
    }

    /// Writes a checkpoint and the model as it is.
    fn keep<B: TrainBackend>(&mut self, trainer: &Trainer<B>) -> Result<(), TrainError> {
        let started = Instant::now();
        let state = RunState {
            step: self.step,
            tokens: self.tokens,
            tokens_at_start: self.tokens_at_start,
            elapsed_s: self.elapsed_s(),
            config: self.config.clone(),
            corpus_sha256: self.facts.corpus_sha256.clone(),
            levels: self.levels.clone(),
        };
        checkpoint::write(
            &self.config.out,
            &Checkpoint {
                state,
                tensors: trainer.export(),
            },
        )?;
        let facts = ModelFacts {
            size: self.config.size,
            tokenizer: &self.facts.tokenizer,
            corpus_sha256: &self.facts.corpus_sha256,
            methods: &self.facts.methods,
            has_outlines: self.facts.has_outlines,
            step: self.step,
            tokens: self.tokens_at_start + self.tokens,
            levels: &self.levels,
        };
        write_model(&self.config.out, &trainer.averaged(), &facts)?;
        let seconds = started.elapsed().as_secs_f64();
        self.emit(Event::Checkpoint {
            step: self.step,
            seconds,
        })
    }

    fn restore<B: TrainBackend>(
        &mut self,
        trainer: &mut Trainer<B>,
        path: &std::path::Path,
        checkpoint: Checkpoint,
    ) -> Result<(), TrainError> {
        let refuse = |reason: String| TrainError::Checkpoint {
            path: path.to_path_buf(),
            reason,
        };
        let state = checkpoint.state;
        if state.corpus_sha256 != self.facts.corpus_sha256 {
            return Err(refuse("was made from another corpus".into()));
        }
        if let Some(field) = state.config.first_difference(self.config) {
            return Err(refuse(format!("was made with another `{field}`")));
        }
        trainer.import(&checkpoint.tensors).map_err(refuse)?;
        self.step = state.step;
        self.tokens = state.tokens;
        self.tokens_before = state.tokens;
        self.tokens_at_start = state.tokens_at_start;
        self.elapsed_before_s = state.elapsed_s;
        self.levels = state.levels;
        Ok(())
    }
}

/// What is summed between two logged steps.
struct Log {
    loss: f64,
    steps: u64,
    levels: ScoreMean,
    tokens_at_start: u64,
    started: Instant,
}

impl Log {
    fn new(tokens: u64) -> Self {
        Self {
            loss: 0.0,
            steps: 0,
            levels: ScoreMean::default(),
            tokens_at_start: tokens,
            started: Instant::now(),
        }
    }

    fn add(&mut self, loss: f64, levels: &[LevelScore]) {
        self.loss += loss;
        self.steps += 1;
        self.levels.add(levels);
    }

    fn event(self, run: &Run<'_>, rate_factor: f64, gradient_norm: f64) -> Event {
        let elapsed_s = run.elapsed_s();
        Event::Step(Step {
            step: run.step,
            tokens: run.tokens,
            loss: self.loss / self.steps.max(1) as f64,
            levels: self.levels.finish(),
            rate_factor,
            gradient_norm,
            tokens_per_s: (run.tokens - self.tokens_at_start) as f64
                / self.started.elapsed().as_secs_f64().max(1e-9),
            resident_bytes: resident_bytes().0,
            progress: run.budget.progress(run.step, elapsed_s),
            seconds_left: run.budget.seconds_left(run.step, elapsed_s),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_corpus::build_corpus;
    use crate::{Schedule, Shape, Size};
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use std::path::Path;

    fn config(corpus: &Path, out: &Path, steps: u64) -> TrainConfig {
        let mut config = TrainConfig::new(corpus.into(), Size::Nano, 2, out.into());
        config.budget.steps = Some(steps);
        config.loader.batch = 2;
        config.loader.seq_len = 64;
        config.optimiser.schedule = Schedule {
            shape: Shape::Cosine,
            warm_up_steps: 4,
            floor: 0.1,
        };
        config.intervals.log_steps = 1;
        config.intervals.validate_steps = 6;
        config.intervals.validate_windows = 2;
        config.intervals.checkpoint_steps = 3;
        config
    }

    /// Runs and gathers what each step says of loss and gradient.
    fn losses(config: &TrainConfig, resume: bool, kill_at: u64) -> Vec<(u64, u64, u64)> {
        let control = Control {
            resume,
            ..Control::default()
        };
        let mut out = Vec::new();
        let mut on_event = |event: &Event| {
            if let Event::Step(step) = event {
                out.push((step.step, step.loss.to_bits(), step.gradient_norm.to_bits()));
                // The nearest that a test comes to a kill: nothing after this line is run.
                assert_ne!(step.step, kill_at, "killed here on purpose");
            }
        };
        let ended = catch_unwind(AssertUnwindSafe(|| run(config, &control, &mut on_event)));
        assert_eq!(ended.is_err(), kill_at > 0);
        if let Ok(result) = ended {
            result.unwrap();
        }
        out
    }

    #[test]
    fn a_killed_and_resumed_run_gives_the_same_losses_and_weights() {
        let (dir, corpus) = build_corpus();
        let whole = config(&corpus, &dir.path().join("whole"), 12);
        let broken = config(&corpus, &dir.path().join("broken"), 12);
        let expected = losses(&whole, false, 0);
        assert_eq!(expected.len(), 12);
        let mut found = losses(&broken, false, 8);
        assert_eq!(found, expected[..8]);
        found.truncate(6);
        found.extend(losses(&broken, true, 0));
        assert_eq!(found, expected);
        let weights =
            |config: &TrainConfig| fs::read(config.out.join("weights.safetensors")).unwrap();
        assert_eq!(weights(&whole), weights(&broken));
        let model: serde_json::Value =
            serde_json::from_slice(&fs::read(whole.out.join("model.json")).unwrap()).unwrap();
        assert_eq!(model["name"], "nestor-nano");
        assert_eq!(model["metrics"]["withheld"].as_array().unwrap().len(), 2);
        let tokenizer = |dir: &Path| fs::read(dir.join("tokenizer.json")).unwrap();
        assert_eq!(tokenizer(&whole.out), tokenizer(&corpus));
        assert!(fs::read(whole.out.join("methods.bin")).unwrap().len() > 800);
    }

    #[test]
    fn training_lowers_the_loss_and_a_stop_can_be_resumed() {
        let (dir, corpus) = build_corpus();
        let mut config = config(&corpus, &dir.path().join("out"), 40);
        config.levels = 1;
        config.intervals.checkpoint_steps = 0;
        let control = Control::default();
        let stop = control.stop.clone();
        let mut first = f64::NAN;
        let summary = run(&config, &control, &mut |event| {
            if let Event::Step(step) = event {
                first = if step.step == 1 { step.loss } else { first };
                stop.store(step.step == 20, Ordering::Relaxed);
            }
        })
        .unwrap();
        assert!(summary.stopped && summary.model.is_none());
        assert_eq!(summary.step, 20);
        let mut last = f64::NAN;
        let resume = Control {
            resume: true,
            ..Control::default()
        };
        let summary = run(&config, &resume, &mut |event| {
            if let Event::Step(step) = event {
                last = step.loss;
            }
        })
        .unwrap();
        assert_eq!((summary.step, summary.stopped), (40, false));
        assert!(last < 0.7 * first, "{first} -> {last}");
        assert!(summary.levels.iter().all(|level| level.positions > 50));
    }

    #[test]
    fn a_run_starts_from_the_weights_of_another() {
        let (dir, corpus) = build_corpus();
        let first = config(&corpus, &dir.path().join("first"), 20);
        let cold = losses(&first, false, 0)[0].1;
        let second = TrainConfig {
            start: Some(first.out.clone()),
            ..config(&corpus, &dir.path().join("second"), 1)
        };
        let warm = losses(&second, false, 0)[0].1;
        assert!(f64::from_bits(warm) < 0.9 * f64::from_bits(cold));
        let model: serde_json::Value =
            serde_json::from_slice(&fs::read(second.out.join("model.json")).unwrap()).unwrap();
        assert_eq!(model["metrics"]["tokens"], 21 * 2 * 64);
        let other = TrainConfig {
            start: Some(first.out.clone()),
            levels: 1,
            ..config(&corpus, &dir.path().join("third"), 1)
        };
        let error = run(&other, &Control::default(), &mut |_| ()).unwrap_err();
        assert!(
            matches!(&error, TrainError::Start { path, .. } if *path == first.out),
            "{error}"
        );
    }

    #[test]
    fn an_occupied_folder_and_another_configuration_are_refused() {
        let (dir, corpus) = build_corpus();
        let config = TrainConfig {
            levels: 1,
            ..config(&corpus, &dir.path().join("out"), 1)
        };
        let go = |config: &TrainConfig, resume| {
            run(
                config,
                &Control {
                    resume,
                    ..Control::default()
                },
                &mut |_| (),
            )
        };
        go(&config, false).unwrap();
        let error = go(&config, false).unwrap_err().to_string();
        assert!(error.contains("--resume"), "{error}");
        let other = TrainConfig {
            distill: 0.1,
            ..config.clone()
        };
        let error = go(&other, true).unwrap_err().to_string();
        assert!(
            error.contains("distill") && error.contains(".ckpt"),
            "{error}"
        );
        let mut longer = config;
        longer.budget.steps = Some(2);
        assert_eq!(go(&longer, true).unwrap().step, 2);
    }

    #[test]
    fn a_loss_that_is_not_finite_stops_the_run() {
        let (dir, corpus) = build_corpus();
        let mut config = config(&corpus, &dir.path().join("out"), 50).with_samples(50);
        config.levels = 1;
        config.optimiser.adamw_rate = 1e37;
        let error = run(&config, &Control::default(), &mut |_| ()).unwrap_err();
        assert!(matches!(error, TrainError::NonFinite { .. }), "{error}");
    }
}
