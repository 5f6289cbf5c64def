//! Training by another program: our batches go out, its weights come in.
//!
//! Called by the scripts in `gpu/` through `train_lab`. What is learned from and what a model folder holds stay
//! ours; only the steps between are done elsewhere.

use crate::export::{ModelFacts, write_model};
use crate::loader::{Batches, Loader, Order, fixed_batches, project_material};
use crate::record::{Event, Header, LevelScore, Record, Summary};
use crate::trainer::score_of;
use crate::{TrainConfig, TrainError};
use nestor_model::{Cpu, LossBatch, load_weights};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// First bytes of a stream of batches.
const MAGIC: &[u8; 8] = b"NSTBAT01";

/// Writes batches until the reader goes or `steps` of them are written.
///
/// Little-endian: `NSTBAT01`; then vocabulary, tokens of a window and number of validation batches, each u32; then the validation batches and
/// the training batches, each as its windows (u32), inputs, targets (i32 each) and weights (f32), `[windows,
/// tokens]` each.
///
/// # Errors
/// [`TrainError`] as in a run; a reader that has gone is no error.
pub fn write_batches(
    config: &TrainConfig,
    steps: u64,
    mut out: impl Write,
) -> Result<u64, TrainError> {
    let material = project_material(config)?;
    let validation = fixed_batches(
        material.held_out,
        material.pieces.clone(),
        Order::Paths,
        &config.loader,
        config.intervals.validate_windows,
    )?;
    let vocab = material.pieces.count();
    let loader = Loader::new(
        material.train,
        material.pieces,
        material.names,
        Order::Paths,
        &config.loader,
    );
    let mut batches = Batches::start(loader, 0);
    let mut head = MAGIC.to_vec();
    for value in [vocab, config.loader.seq_len, validation.len()] {
        head.extend((value as u32).to_le_bytes());
    }
    let mut written = 0;
    let mut sent = out.write_all(&head);
    for batch in &validation {
        sent = sent.and_then(|()| out.write_all(&bytes(batch)));
    }
    while sent.is_ok() && written < steps {
        let batch = batches.next_batch()?;
        sent = out.write_all(&bytes(&batch));
        written += u64::from(sent.is_ok());
    }
    match sent {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(TrainError::file(Path::new("standard output"), error))
        }
        _ => Ok(written),
    }
}

fn bytes(batch: &LossBatch) -> Vec<u8> {
    let mut out = Vec::with_capacity(4 + batch.tokens.len() * 12);
    out.extend((batch.batch as u32).to_le_bytes());
    for values in [&batch.tokens, &batch.targets] {
        out.extend(values.iter().flat_map(|v| v.to_le_bytes()));
    }
    out.extend(batch.weights.iter().flat_map(|v| v.to_le_bytes()));
    out
}

/// What another program has done with the batches.
#[derive(Debug, Clone)]
pub struct TrainedElsewhere {
    /// The weights, as a safetensors file under the names of the model folder.
    pub weights: PathBuf,
    /// Its optimiser's steps.
    pub steps: u64,
    /// Tokens that it has seen.
    pub tokens: u64,
    /// Its seconds of training.
    pub elapsed_s: f64,
    /// Which program on what, for the record.
    pub by: String,
}

/// Makes a model folder and a record at `config.out` of weights that another program has trained, so that
/// `nestor train --finish` can complete it; gives their scores on the withheld text.
///
/// # Errors
/// [`TrainError::Model`] naming the tensor if the weights do not fit, otherwise as in a run.
pub fn adopt(
    config: &TrainConfig,
    trained: &TrainedElsewhere,
) -> Result<Vec<LevelScore>, TrainError> {
    let material = project_material(config)?;
    let network = config.size.network(config.levels, material.pieces.count());
    let parameters = network.parameter_count();
    let network = load_weights::<Cpu>(&network, &trained.weights, &Default::default())?;
    let validation = fixed_batches(
        material.held_out,
        material.pieces,
        Order::Paths,
        &config.loader,
        config.intervals.validate_windows,
    )?;
    let levels = score_of(&network, &config.level_weights(), &validation)?;
    let facts = ModelFacts {
        size: config.size,
        tokenizer: &material.tokenizer,
        corpus_sha256: &material.corpus_sha256,
        methods: &material.methods,
        has_outlines: config.loader.drop_outline < 1.0 && material.train.has_outlines(),
        step: trained.steps,
        tokens: trained.tokens,
        levels: &levels,
    };
    write_model(&config.out, &network, &facts)?;
    let mut record = Record::open(&config.out)?;
    let events = [
        Event::Header(Header {
            config: config.clone(),
            command: std::env::args().collect(),
            corpus_sha256: material.corpus_sha256.clone(),
            parameters,
            corpus_tokens: material.train.tokens(),
            threads: rayon::current_num_threads(),
            first_step: 0,
        }),
        Event::Note {
            step: trained.steps,
            text: format!("trained by {}", trained.by),
        },
        Event::Summary(Summary {
            step: trained.steps,
            tokens: trained.tokens,
            elapsed_s: trained.elapsed_s,
            tokens_per_s: trained.tokens as f64 / trained.elapsed_s.max(1e-9),
            peak_bytes: None,
            levels: levels.clone(),
            stopped: false,
            model: Some(config.out.clone()),
        }),
    ];
    events.iter().try_for_each(|event| record.append(event))?;
    Ok(levels)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_corpus::build_corpus;
    use crate::{Control, Size, run};
    use nestor_model::{Network, WeightType, save_weights};

    #[test]
    fn batches_go_out_and_weights_come_back_as_a_model_folder() {
        let (folder, corpus) = build_corpus();
        let mut config = TrainConfig::new(corpus, Size::Nano, 2, folder.path().join("trained"));
        config.loader.batch = 2;
        config.loader.seq_len = 64;
        config.intervals.validate_windows = 2;
        let mut stream = Vec::new();
        assert_eq!(write_batches(&config, 3, &mut stream).unwrap(), 3);
        let number =
            |at: usize| u32::from_le_bytes(stream[at..at + 4].try_into().unwrap()) as usize;
        assert_eq!(&stream[..8], MAGIC);
        let (vocab, time, validations) = (number(8), number(12), number(16));
        assert_eq!(time, 64);
        let mut at = 20;
        let mut counts = Vec::new();
        while at < stream.len() {
            let tokens = number(at) * time;
            assert!((0..2 * tokens).all(|i| number(at + 4 + 4 * i) < vocab));
            counts.push(tokens);
            at += 4 + 12 * tokens;
        }
        assert_eq!((at, counts.len()), (stream.len(), validations + 3));

        let network = Network::<Cpu>::new(&config.size.network(2, vocab), 7, &Default::default());
        let weights = folder.path().join("w.safetensors");
        save_weights(&network, &weights, WeightType::F32).unwrap();
        let trained = TrainedElsewhere {
            weights,
            steps: 3,
            tokens: 384,
            elapsed_s: 2.0,
            by: "a test".into(),
        };
        let levels = adopt(&config, &trained).unwrap();
        assert_eq!(levels.len(), 2);
        // The folder is one that a run can start from.
        config.start = Some(config.out.clone());
        config.out = folder.path().join("next");
        config.budget.steps = Some(1);
        let summary = run(&config, &Control::default(), &mut |_| ()).unwrap();
        assert_eq!(summary.step, 1);
    }
}
