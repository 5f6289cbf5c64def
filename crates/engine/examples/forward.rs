//! Times calls of the network by the number of tokens that they bring: `cargo run --release -p nestor-engine --example forward -- [nano|tiny|base] [STAGES] [TOKENS]`.
//!
//! Weights are random, as 8-bit codes and as 4-bit numbers by turns; each call stands 512 tokens into a text, on one thread. Medians, in
//! microseconds.

use nestor_engine::{Model, NetworkConfig, Precision, Session};
use std::error::Error;
use std::time::Instant;

const CONTEXT: usize = 512;

fn main() -> Result<(), Box<dyn Error>> {
    let mut typed = std::env::args().skip(1);
    let size = typed.next().unwrap_or_else(|| "tiny".to_owned());
    let config = match size.as_str() {
        "nano" => NetworkConfig::nano(3),
        "tiny" => NetworkConfig::tiny(3),
        "base" => NetworkConfig::base(3),
        other => return Err(format!("{other}: nano, tiny or base").into()),
    };
    let stages = typed.next().map_or(Ok(1), |stages| stages.parse())?;
    let lengths = match typed.next() {
        Some(tokens) => vec![tokens.parse()?],
        None => vec![1usize, 2, 3, 5, 8, 16, 33, 64, 128, 256],
    };
    let vocab = config.vocab;
    let text = |n: usize| -> Vec<u32> { (0..n).map(|i| (i * 7919 % vocab) as u32).collect() };
    let mut starts = Vec::new();
    for precision in [Precision::Int8, Precision::Int4] {
        let model = Model::random_as(&config, 1, precision)?;
        let mut start = Session::new(model, stages)?;
        start.forward(&text(CONTEXT))?;
        starts.push(start);
    }
    println!("{size}, {stages} stages: tokens, us a call with 8 and with 4 bits, us a token");
    for n in lengths {
        let tokens = text(n);
        let mut times = [Vec::new(), Vec::new()];
        let begun = Instant::now();
        while begun.elapsed().as_secs_f64() < 2.0 {
            for (start, times) in starts.iter().zip(&mut times) {
                // A copy keeps the window where it is; its buffers are made by a first call.
                let mut session = start.clone();
                session.forward(&tokens)?;
                let started = Instant::now();
                session.forward(&tokens)?;
                times.push(started.elapsed().as_secs_f64() * 1e6);
            }
        }
        let [wide, narrow] = times.map(|mut times| {
            times.sort_by(f64::total_cmp);
            times[times.len() / 2]
        });
        let of_token = |time: f64| time / n as f64;
        println!(
            "{n:>6} {wide:>10.1} {narrow:>10.1} {:>8.2} {:>8.2}",
            of_token(wide),
            of_token(narrow)
        );
    }
    Ok(())
}
