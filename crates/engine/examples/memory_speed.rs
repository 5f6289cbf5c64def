//! Prints what the memories of the exits cost a token, on one thread, with random rows in clusters:
//! `cargo run --release -p nestor-engine --example memory_speed -- 192 8192` (width and vocabulary).

use nestor_engine::{
    EngineError, Episodic, EpisodicConfig, ExitMlp, ExitMlpConfig, MlpBatch, OutputDelta,
    OutputDeltaConfig,
};
use nestor_kernels::{MatMut, MatRef, Update, matmul, softmax_in_place};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use std::error::Error;
use std::time::Instant;

const CHUNK: usize = 64;
const REPEATS: usize = 15;
const CLUSTERS: usize = 2000;
const STATES: usize = 100_000;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let width: usize = arguments.next().map_or(Ok(192), |text| text.parse())?;
    let vocab: usize = arguments.next().map_or(Ok(8192), |text| text.parse())?;
    println!(
        "width {width}, vocabulary {vocab}, chunks of {CHUNK}, {}; microseconds a token, median (best) of {REPEATS}",
        nestor_kernels::instruction_set()
    );
    let mut source = Source::new(width, vocab);
    level_2(&mut source)?;
    level_3(&mut source)?;
    episodic(&mut source)?;
    Ok(())
}

fn level_2(source: &mut Source) -> Result<(), Box<dyn Error>> {
    let mut memory = OutputDelta::new(OutputDeltaConfig::default(), source.vocab, source.width)?;
    for rows_wanted in [500, 2000, 4000] {
        while memory.len() < rows_wanted {
            let (rows, targets, probs) = source.chunk();
            memory.learn(&rows, &targets, &probs)?;
        }
        let (rows, targets, probs) = source.chunk();
        let mut logits = vec![0.0; CHUNK * source.vocab];
        let name = format!("level 2, {} rows", memory.len());
        time(&format!("{name}: logits of a chunk"), CHUNK, || {
            memory.add_logits(&rows, &mut logits, 1)
        })?;
        time(&format!("{name}: logits of one row"), 1, || {
            memory.add_logits(&rows[..source.width], &mut logits[..source.vocab], 1)
        })?;
        let mut learner = memory.clone();
        learner.learn(&rows, &targets, &probs)?;
        time(&format!("{name}: learning"), CHUNK, || {
            learner.learn(&rows, &targets, &probs).map(drop)
        })?;
    }
    Ok(())
}

fn level_3(source: &mut Source) -> Result<(), Box<dyn Error>> {
    let mut memory = ExitMlp::new(ExitMlpConfig::default(), source.width, 1)?;
    let (rows, targets, probs) = source.chunk();
    let head = source.head.clone();
    let batch = MlpBatch {
        rows: &rows,
        targets: &targets,
        probs: &probs,
        head: &head,
    };
    memory.accumulate(batch, 1)?;
    memory.step();
    time("level 3: rows of a chunk", CHUNK, || {
        memory.forward(&rows, 1).map(drop)
    })?;
    time("level 3: one row", 1, || {
        memory.forward(&rows[..source.width], 1).map(drop)
    })?;
    time("level 3: gradient, every token taught", CHUNK, || {
        memory.accumulate(batch, 1).map(drop)
    })?;
    time("level 3: the step, spread over 4096 tokens", 4096, || {
        memory.accumulate(batch, 1)?;
        memory.step();
        Ok(())
    })
}

fn episodic(source: &mut Source) -> Result<(), Box<dyn Error>> {
    let config = EpisodicConfig::default();
    let mut memory = Episodic::new(config, source.vocab, source.width)?;
    let (rows, targets) = source.rows(STATES);
    let start = Instant::now();
    let mut longest = 0.0f64;
    for (rows, targets) in rows.chunks(CHUNK * source.width).zip(targets.chunks(CHUNK)) {
        let start = Instant::now();
        memory.push_batch(rows, targets)?;
        longest = longest.max(start.elapsed().as_secs_f64());
    }
    let each = start.elapsed().as_secs_f64() * 1e6 / STATES as f64;
    println!(
        "episodic, {STATES} states: storing {each:.1}, the slowest chunk took {:.0} ms, {} MB",
        longest * 1e3,
        memory.bytes() / 1_000_000
    );
    let (queries, _) = source.rows(CHUNK);
    time("episodic: a chunk of queries", CHUNK, || {
        memory.query_batch(&queries, 24, 0.05).map(drop)
    })?;
    time("episodic: one query", 1, || {
        memory.query(&queries[..source.width], 24, 0.05).map(drop)
    })?;
    let everything = EpisodicConfig {
        scan: STATES,
        ..config
    };
    let bytes = memory.to_bytes();
    let whole = Episodic::from_bytes(everything, source.vocab, source.width, &bytes)?;
    time("episodic: a chunk that reads everything", CHUNK, || {
        whole.query_batch(&queries, 24, 0.05).map(drop)
    })?;
    let (mut agreed, mut similarity, mut best) = (0, 0.0, 0.0);
    let found = memory.query_batch(&queries, 24, 0.05)?;
    for (found, all) in found.iter().zip(whole.query_batch(&queries, 24, 0.05)?) {
        if let (Some(found), Some(all)) = (found, all) {
            agreed += usize::from(found.probs[0].0 == all.probs[0].0);
            similarity += found.similarity;
            best += all.similarity;
        }
    }
    println!(
        "episodic: the likeliest token is the one of the whole memory for {agreed} of {CHUNK} queries, similarity {:.3} of {:.3}",
        similarity / CHUNK as f32,
        best / CHUNK as f32
    );
    Ok(())
}

/// Random rows in clusters, each cluster with a usual next token.
struct Source {
    width: usize,
    vocab: usize,
    head: Vec<f32>,
    centres: Vec<f32>,
    rng: StdRng,
}

impl Source {
    fn new(width: usize, vocab: usize) -> Self {
        let mut rng = StdRng::seed_from_u64(1);
        let mut uniform = |len: usize, bound: f32| -> Vec<f32> {
            (0..len).map(|_| rng.random_range(-bound..bound)).collect()
        };
        Self {
            width,
            vocab,
            head: uniform(vocab * width, 0.2),
            centres: uniform(CLUSTERS * width, 1.7),
            rng,
        }
    }

    fn rows(&mut self, n: usize) -> (Vec<f32>, Vec<u32>) {
        let mut rows = Vec::with_capacity(n * self.width);
        let mut targets = Vec::with_capacity(n);
        for _ in 0..n {
            let cluster = self.rng.random_range(0..CLUSTERS);
            let centre = &self.centres[cluster * self.width..][..self.width];
            rows.extend(centre.iter().map(|x| x + self.rng.random_range(-0.6..0.6)));
            let usual = self.rng.random_range(0..4) > 0;
            let token = if usual {
                cluster
            } else {
                self.rng.random_range(0..self.vocab)
            };
            targets.push((token % self.vocab) as u32);
        }
        (rows, targets)
    }

    fn chunk(&mut self) -> (Vec<f32>, Vec<u32>, Vec<f32>) {
        let (rows, targets) = self.rows(CHUNK);
        let mut probs = vec![0.0; CHUNK * self.vocab];
        matmul(
            MatMut::new(&mut probs, CHUNK, self.vocab),
            MatRef::new(&rows, CHUNK, self.width),
            MatRef::new(&self.head, self.vocab, self.width).transposed(),
            Update::Assign,
            1,
        );
        for row in probs.chunks_exact_mut(self.vocab) {
            softmax_in_place(row);
        }
        (rows, targets, probs)
    }
}

fn time(
    name: &str,
    tokens: usize,
    mut run: impl FnMut() -> Result<(), EngineError>,
) -> Result<(), Box<dyn Error>> {
    run()?;
    let mut seconds = Vec::with_capacity(REPEATS);
    for _ in 0..REPEATS {
        let start = Instant::now();
        run()?;
        seconds.push(start.elapsed().as_secs_f64());
    }
    seconds.sort_unstable_by(f64::total_cmp);
    let each = |seconds: f64| seconds * 1e6 / tokens as f64;
    println!(
        "{name}: {:.2} ({:.2})",
        each(seconds[REPEATS / 2]),
        each(seconds[0])
    );
    Ok(())
}
