//! Prints the speed of prefill, of logits for every position, of decoding, and of one generated
//! token with cache and gate, for a model of random weights at each depth: `cargo run --release -p nestor-engine --example engine_speed -- nano 1`
//! (the size, then the number of threads).

use nestor_cache::{Gate, NestedCache, component_names, feature_count};
use nestor_engine::{
    EngineError, GenerateRequest, Mixture, Model, NetworkConfig, Predictor, Session,
};
use std::error::Error;
use std::sync::Arc;
use std::time::Instant;

const REPEATS: usize = 15;

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
        let prefill = time(|| fresh.clone().forward(&tokens).map(drop))?;
        let short = time(|| filled.clone().forward(&tokens[..16]).map(drop))?;
        let mut probs = vec![0.0; 256 * config.vocab];
        let rows = &states.rows(depth - 1)[..256 * config.width];
        let head = time(|| fresh.exit_probs(depth - 1, rows, &mut probs))?;
        let decode = |start: &Session| {
            let mut session = start.clone();
            let mut row = vec![0.0; config.vocab];
            time(|| {
                for token in &tokens[..16] {
                    let states = session.forward(&[*token])?;
                    session.exit_probs(depth - 1, states.rows(depth - 1), &mut row)?;
                }
                Ok(())
            })
        };
        let (empty, full) = (decode(&fresh)?, decode(&filled)?);
        let predictor = predictor(&model, depth, &tokens)?;
        let generated = time(|| predictor.generate(&GenerateRequest::default()).map(drop))?;
        let snapshot = time(|| {
            drop(filled.clone());
            Ok(())
        })?;
        println!("depth {depth}, median (best) of {REPEATS}:");
        println!("  prefill of 1024         {} tokens/s", prefill.rate(1024));
        println!("  16 tokens after 1024    {} ms", short.milliseconds(1));
        println!("  softmax of one exit     {} rows/s", head.rate(256));
        println!(
            "  decode after 0          {} ms/token",
            empty.milliseconds(16)
        );
        println!(
            "  decode after 1024       {} ms/token",
            full.milliseconds(16)
        );
        println!(
            "  generate, all exits     {} ms/token",
            generated.milliseconds(16)
        );
        let kib = filled.state_bytes() / 1024;
        println!(
            "  snapshot of {kib:4} KiB    {} ms",
            snapshot.milliseconds(1)
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

/// Seconds of a few runs.
struct Timing {
    median: f64,
    best: f64,
}

impl Timing {
    fn rate(&self, count: usize) -> String {
        let count = count as f64;
        format!("{:8.0} ({:.0})", count / self.median, count / self.best)
    }

    fn milliseconds(&self, count: usize) -> String {
        let scale = 1e3 / count as f64;
        format!("{:8.3} ({:.3})", self.median * scale, self.best * scale)
    }
}

fn time(mut run: impl FnMut() -> Result<(), EngineError>) -> Result<Timing, EngineError> {
    let mut seconds = Vec::with_capacity(REPEATS);
    for _ in 0..REPEATS {
        let start = Instant::now();
        run()?;
        seconds.push(start.elapsed().as_secs_f64());
    }
    seconds.sort_by(f64::total_cmp);
    Ok(Timing {
        median: seconds[REPEATS / 2],
        best: seconds[0],
    })
}
