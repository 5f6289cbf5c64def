//! Speed of the products that reading and decoding are made of: the crate `gemm`, panels of `f32`, of 8-bit codes and of 4-bit numbers on
//! the same shapes, by turns in the same run.
//!
//! `cargo run --release -p nestor-kernels --example products [threads] [portable|avx2|best]`: median of 41 runs, GFLOP/s; the codes' time
//! holds making codes of the rows.

use nestor_kernels::{
    CodeRows, Int4Panels, Int8Panels, Limit, MatMut, MatRef, Panels, Update, instruction_set,
    integer_instruction_set, limit_instructions, matmul, matmul_int4, matmul_int8, matmul_panels,
};
use std::hint::black_box;
use std::time::Instant;

/// Rows, inputs, columns: the head, the wide projections and the narrow ones of nano, at a chunk, a few rows and one; some of tiny,
/// and the head of base.
const SHAPES: [(usize, usize, usize); 19] = [
    (256, 192, 1024),
    (256, 512, 192),
    (64, 192, 8192),
    (64, 192, 1024),
    (64, 512, 192),
    (8, 192, 8192),
    (1, 192, 8192),
    (1, 192, 1024),
    (1, 320, 8192),
    (1, 320, 1760),
    (1, 880, 320),
    (16, 320, 1760),
    (1, 512, 16384),
    (1, 512, 2816),
    (2, 320, 1760),
    (3, 320, 1760),
    (4, 320, 1760),
    (6, 320, 1760),
    (8, 320, 1760),
];

fn main() {
    let threads = std::env::args()
        .nth(1)
        .map_or(1, |n| n.parse().expect("a number of threads"));
    let limit = match std::env::args().nth(2).as_deref() {
        None | Some("best") => Limit::Best,
        Some("avx2") => Limit::Avx2,
        Some("portable") => Limit::Portable,
        Some(other) => panic!("{other}: portable, avx2 or best"),
    };
    assert!(limit_instructions(limit), "no kernel ran before");
    println!(
        "rows x inputs x columns, GFLOP/s ({threads} threads): gemm, f32 panels ({}), int8 ({}), int8 over f32 panels, GB/s of codes, int4, int4 over int8",
        instruction_set(),
        integer_instruction_set()
    );
    for (n, inputs, outputs) in SHAPES {
        let x: Vec<f32> = (0..n * inputs).map(|i| (i % 97) as f32 / 97.0).collect();
        let w: Vec<f32> = (0..inputs * outputs)
            .map(|i| (i % 89) as f32 / 89.0)
            .collect();
        let panels = Panels::from_rows(&w, inputs);
        let int8 = Int8Panels::from_rows(&w, inputs);
        let numbers: Vec<i8> = (0..w.len()).map(|i| (i % 16) as i8 - 8).collect();
        let int4 = Int4Panels::from_codes(&numbers, &vec![1.0; outputs], inputs);
        let int4 = int4.expect("numbers of 4 bits");
        let mut rows = CodeRows::default();
        let mut y = vec![0.0; n * outputs];
        let mut seconds: [Vec<f64>; 4] = Default::default();
        for _ in 0..=41 {
            time(&mut seconds[0], || {
                matmul(
                    MatMut::new(&mut y, n, outputs),
                    MatRef::new(&x, n, inputs),
                    MatRef::new(&w, outputs, inputs).transposed(),
                    Update::Assign,
                    threads,
                );
                black_box(&mut y);
            });
            time(&mut seconds[1], || {
                matmul_panels(&x, &panels, &mut y, threads);
                black_box(&mut y);
            });
            time(&mut seconds[2], || {
                rows.set(black_box(&x), inputs);
                matmul_int8(&rows, &int8, &mut y, threads);
                black_box(&mut y);
            });
            time(&mut seconds[3], || {
                rows.set_grouped(black_box(&x), inputs);
                matmul_int4(&rows, &int4, &mut y, threads);
                black_box(&mut y);
            });
        }
        let [general, f32s, codes, numbers] = seconds.map(median);
        let gflop = 2e-9 * (n * inputs * outputs) as f64;
        println!(
            "{n:>4} x {inputs:>4} x {outputs:>5}: {:>6.1} {:>6.1} {:>6.1} {:>5.2} {:>6.1} {:>6.1} {:>5.2}",
            gflop / general,
            gflop / f32s,
            gflop / codes,
            f32s / codes,
            1e-9 * int8.bytes() as f64 / codes,
            gflop / numbers,
            codes / numbers,
        );
    }
}

fn time(seconds: &mut Vec<f64>, run: impl FnOnce()) {
    let started = Instant::now();
    run();
    seconds.push(started.elapsed().as_secs_f64());
}

/// The median without the first, which warms caches.
fn median(mut seconds: Vec<f64>) -> f64 {
    seconds.remove(0);
    seconds.sort_by(f64::total_cmp);
    seconds[seconds.len() / 2]
}
