//! Speed of the products that reading and decoding are made of, beside the crate `gemm` on the same shapes in the same run.
//!
//! `cargo run --release -p nestor-kernels --example products [threads]`: median of 41 runs, GFLOP/s, with the panels and without.

use nestor_kernels::{MatMut, MatRef, Panels, Update, matmul, matmul_panels};
use std::hint::black_box;
use std::time::Instant;

/// Rows, inputs, columns: the head, the wide projections and the narrow ones of nano, at a chunk, a few rows and one.
const SHAPES: [(usize, usize, usize); 8] = [
    (256, 192, 1024),
    (256, 512, 192),
    (64, 192, 8192),
    (64, 192, 1024),
    (64, 512, 192),
    (8, 192, 8192),
    (1, 192, 8192),
    (1, 192, 1024),
];

fn main() {
    let threads = std::env::args()
        .nth(1)
        .map_or(1, |n| n.parse().expect("a number of threads"));
    println!("rows x inputs x columns: gemm GFLOP/s, panels GFLOP/s, ratio ({threads} threads)");
    for (n, inputs, outputs) in SHAPES {
        let x: Vec<f32> = (0..n * inputs).map(|i| (i % 97) as f32 / 97.0).collect();
        let w: Vec<f32> = (0..inputs * outputs)
            .map(|i| (i % 89) as f32 / 89.0)
            .collect();
        let panels = Panels::from_rows(&w, inputs);
        let mut y = vec![0.0; n * outputs];
        let general = median(|| {
            matmul(
                MatMut::new(&mut y, n, outputs),
                MatRef::new(&x, n, inputs),
                MatRef::new(&w, outputs, inputs).transposed(),
                Update::Assign,
                threads,
            );
            black_box(&mut y);
        });
        let ours = median(|| {
            matmul_panels(&x, &panels, &mut y, threads);
            black_box(&mut y);
        });
        let gflop = 2e-9 * (n * inputs * outputs) as f64;
        println!(
            "{n:>4} x {inputs:>4} x {outputs:>5}: {:>6.1} {:>6.1} {:>5.2}",
            gflop / general,
            gflop / ours,
            general / ours
        );
    }
}

/// Median seconds.
fn median(mut run: impl FnMut()) -> f64 {
    run();
    let mut seconds: Vec<f64> = (0..41)
        .map(|_| {
            let started = Instant::now();
            run();
            started.elapsed().as_secs_f64()
        })
        .collect();
    seconds.sort_by(f64::total_cmp);
    seconds[seconds.len() / 2]
}
