//! Speed and memory of the cache: `cargo run --release -p nestor-cache --example cache_speed [TOKENS]`.
//!
//! Learns a made-up stream with the repetitions of code (phrases of a Zipf-like stock with noise), then predicts along a
//! file of the same kind. Prints rates of learning, bytes a token, and time a prediction (median, 99th percentile).

use std::sync::Arc;
use std::time::{Duration, Instant};

use nestor_cache::{
    CorpusBuildOptions, CorpusBuilder, MAX_ORDER, NestPrediction, NestedCache, Ngram,
};

const VOCAB: usize = 8192;
const FILE_LEN: usize = 4000;

/// Code-like tokens: phrases of 3 to 40 tokens, frequent ones often, one token in forty anything.
struct Writer {
    state: u64,
}

impl Writer {
    fn next(&mut self, n: u64) -> u64 {
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        self.state % n
    }

    /// Small numbers often, large ones seldom.
    fn skewed(&mut self, n: u64) -> u64 {
        let bits = self.next(u64::from(n.ilog2()) + 1);
        self.next((2u64 << bits).min(n))
    }

    fn file(&mut self, len: usize) -> Vec<u32> {
        let mut tokens = Vec::with_capacity(len + 40);
        while tokens.len() < len {
            let phrase = self.skewed(1 << 15);
            let length = 3 + (phrase * 31 + 7) % 38;
            for i in 0..length {
                let token = if self.next(40) == 0 {
                    self.skewed(VOCAB as u64)
                } else {
                    let mixed = (phrase << 6 | i).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
                    let bits = 4 + mixed % 10;
                    (mixed >> 8) % (1 << bits) % VOCAB as u64
                };
                tokens.push(token as u32);
            }
        }
        tokens.truncate(len);
        tokens
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let tokens: usize = match std::env::args().nth(1) {
        Some(argument) => argument.parse()?,
        None => 5_000_000,
    };
    let mut writer = Writer { state: 42 };
    let files: Vec<Vec<u32>> = (0..tokens / FILE_LEN)
        .map(|_| writer.file(FILE_LEN))
        .collect();

    let start = Instant::now();
    let mut project = Ngram::new(VOCAB, MAX_ORDER)?;
    for file in &files {
        project.learn(file)?;
    }
    let bulk = start.elapsed();
    println!("learn, bulk:           {}", rate(project.len(), bulk));
    let start = Instant::now();
    let mut shared = Ngram::new(VOCAB, MAX_ORDER)?;
    shared.learn_files(&files, 2)?;
    println!(
        "learn, two threads:    {}",
        rate(shared.len(), start.elapsed())
    );
    drop(shared);
    println!(
        "memory:                {:.1} bytes a token",
        project.bytes() as f64 / project.len() as f64
    );

    let start = Instant::now();
    let mut stepwise = Ngram::new(VOCAB, MAX_ORDER)?;
    for &token in files.iter().take(250).flatten() {
        stepwise.push(token)?;
    }
    println!(
        "learn, token by token: {}",
        rate(stepwise.len(), start.elapsed())
    );

    let start = Instant::now();
    let mut builder = CorpusBuilder::new(VOCAB, CorpusBuildOptions::default())?;
    for file in &files {
        builder.add(file)?;
    }
    let corpus = builder.build()?;
    println!(
        "corpus model:          built in {:.1} s, {} n-grams, {:.1} MB on disk, {:.1} MB resident",
        start.elapsed().as_secs_f64(),
        corpus.entries(),
        corpus.to_bytes()?.len() as f64 / 1e6,
        corpus.bytes() as f64 / 1e6
    );

    let mut cache = NestedCache::new(VOCAB, Some(Arc::new(corpus)))?;
    cache.set_project(Arc::new(project))?;
    for file in files.iter().take(10) {
        cache.folder_mut().learn(file)?;
    }
    let mut prediction = NestPrediction::new(VOCAB);
    let mut times = Vec::new();
    let file = writer.file(20_000);
    for t in 0..file.len() {
        let start = Instant::now();
        cache.predict(&file[..t], &mut prediction);
        times.push(start.elapsed());
        cache.file_mut().push(file[t])?;
    }
    times.sort_unstable();
    let percentile = |p: usize| times[(times.len() - 1) * p / 100];
    println!(
        "predict, 3 nests:      median {:.1?}, 99 % {:.1?}",
        percentile(50),
        percentile(99)
    );
    Ok(())
}

fn rate(tokens: usize, time: Duration) -> String {
    format!("{:.2} M tokens/s", tokens as f64 / time.as_secs_f64() / 1e6)
}
