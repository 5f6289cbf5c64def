//! Prints the speed of prefill, of logits for every position, of decoding, and of one generated
//! token with cache and gate, for a model of random weights at each depth: `cargo run --release -p nestor-engine --example engine_speed -- nano 1`
//! (the size, then the number of threads).

use nestor_cache::{Gate, NestedCache, component_names, feature_count};
use nestor_engine::{GenerateRequest, Mixture, Model, NetworkConfig, Predictor, Session};
use std::error::Error;
use std::sync::Arc;
use std::time::Instant;

const REPEATS: usize = 7;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let size = arguments.next().unwrap_or_else(|| "nano".to_owned());
    let threads: usize = arguments.next().map_or(Ok(1), |text| text.parse())?;
    let config = match size.as_str() {
        "nano" => NetworkConfig::nano(3),
        "tiny" => NetworkConfig::tiny(3),
        other => return Err(format!("size {other}: nano or tiny").into()),
    };
    let model = Model::random(&config, 1)?;
    println!(
        "{size}, {} parameters, {threads} thread(s), {}",
        model.parameter_count(),
        nestor_kernels::instruction_set()
    );
    let tokens: Vec<u32> = (0..1024u32)
        .map(|i| i * 7919 % config.vocab as u32)
        .collect();
    for depth in 1..=config.stages {
        let fresh = Session::new(model.clone(), depth)?.with_threads(threads);
        let mut filled = fresh.clone();
        let states = filled.forward(&tokens)?;
        let prefill = median(|| fresh.clone().forward(&tokens).map(drop))?;
        let mut logits = vec![0.0; 256 * config.vocab];
        let head = median(|| {
            for rows in states.rows(depth - 1).chunks_exact(256 * config.width) {
                fresh.exit_logits(depth - 1, rows, &mut logits)?;
                for row in logits.chunks_exact_mut(config.vocab) {
                    nestor_kernels::softmax_in_place(row);
                }
            }
            Ok(())
        })?;
        let decode = |start: &Session| {
            let mut session = start.clone();
            let mut row = vec![0.0; config.vocab];
            median(|| {
                for token in &tokens[..32] {
                    let states = session.forward(&[*token])?;
                    session.exit_logits(depth - 1, states.rows(depth - 1), &mut row)?;
                    nestor_kernels::softmax_in_place(&mut row);
                }
                Ok(())
            })
        };
        let (short, long) = (decode(&fresh)? / 32.0, decode(&filled)? / 32.0);
        let predictor = predictor(&model, depth, &tokens)?;
        let generated =
            median(|| predictor.generate(&GenerateRequest::default()).map(drop))? / 16.0;
        let snapshot = median(|| {
            drop(filled.clone());
            Ok(())
        })?;
        println!(
            "depth {depth}: prefill {:.0} tokens/s, softmax of one exit {:.0} rows/s, \
             decode {:.3} ms/token empty, {:.3} ms/token after 1024, generate {:.3} ms/token, \
             snapshot {:.3} ms of {} KiB",
            1024.0 / prefill,
            1024.0 / head,
            short * 1e3,
            long * 1e3,
            generated * 1e3,
            snapshot * 1e3,
            filled.state_bytes() / 1024,
        );
    }
    Ok(())
}

/// All exits up to a depth, the cache of a file that repeats itself, and a gate as large as a
/// fitted one.
fn predictor(
    model: &Arc<Model>,
    depth: usize,
    tokens: &[u32],
) -> Result<Predictor, Box<dyn Error>> {
    let levels: Vec<usize> = (1..=depth).collect();
    let gate = Gate::uniform(&component_names(&levels), feature_count(depth))?;
    let mixture = Mixture::new(&levels, Some(Arc::new(gate)))?;
    let mut predictor = Predictor::with_mixture(Arc::clone(model), mixture)?;
    let mut cache = NestedCache::new(model.config().vocab, None)?;
    cache.file_mut().extend(&tokens.repeat(8))?;
    predictor.set_cache(Some(cache))?;
    predictor.prefill(tokens)?;
    Ok(predictor)
}

/// Median seconds of a few runs.
fn median(
    mut run: impl FnMut() -> Result<(), nestor_engine::EngineError>,
) -> Result<f64, nestor_engine::EngineError> {
    let mut seconds = Vec::with_capacity(REPEATS);
    for _ in 0..REPEATS {
        let start = Instant::now();
        run()?;
        seconds.push(start.elapsed().as_secs_f64());
    }
    seconds.sort_by(f64::total_cmp);
    Ok(seconds[REPEATS / 2])
}
