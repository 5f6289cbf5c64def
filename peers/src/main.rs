//! Products of the shapes of `tiny`, in one run: our codes, `candle-core`'s `QMatMul` (Q8_0) and `rten-gemm` (u8 by i8), one thread each.
//!
//! `cd peers && cargo run --release`. Medians in microseconds. Ours and candle's take floats and give floats; for rten
//! the codes of the activations are made beforehand and its sums stay integers, so it does a little less.

use candle_core::quantized::{GgmlDType, QMatMul, QTensor};
use candle_core::{Device, Module, Tensor};
use nestor_kernels::{CodeRows, Int8Panels, integer_instruction_set, matmul_int8};
use rten_gemm::{GemmExecutor, GemmInputA, GemmInputB, GemmOptions};
use rten_tensor::NdTensor;
use rten_tensor::prelude::*;
use std::error::Error;
use std::time::Instant;

/// Inputs and outputs: into the feed-forward layer of `tiny`, out of it (880 there, which Q8_0 cannot hold), and the head.
const SHAPES: [(usize, usize); 3] = [(320, 1760), (896, 320), (320, 8192)];

const ROWS: [usize; 5] = [1, 4, 16, 33, 128];

fn main() -> Result<(), Box<dyn Error>> {
    // Candle and rten take their threads from a pool that they share.
    rayon_of_one();
    println!("ours: {}", integer_instruction_set());
    println!("inputs x outputs   rows     ours   candle     rten, us");
    for (inputs, outputs) in SHAPES {
        for rows in ROWS {
            let times = times(inputs, outputs, rows)?;
            let [ours, candle, rten] = times.map(|time| format!("{time:8.1}"));
            println!("{inputs:>6} x {outputs:<8} {rows:>6} {ours} {candle} {rten}");
        }
    }
    Ok(())
}

fn rayon_of_one() {
    // SAFETY: the first thing that the program does, with no other thread.
    unsafe { std::env::set_var("RAYON_NUM_THREADS", "1") };
}

fn times(inputs: usize, outputs: usize, rows: usize) -> Result<[f64; 3], Box<dyn Error>> {
    // As many matrices as a stage has bytes, one after the other: a single one would stay in the nearest cache.
    let n = (4 << 20) / (inputs * outputs) + 1;
    let x = noise(1, rows * inputs);
    let weights: Vec<Vec<f32>> = (0..n)
        .map(|i| noise(i as u64 + 2, inputs * outputs))
        .collect();

    let panels: Vec<Int8Panels> = weights
        .iter()
        .map(|w| Int8Panels::from_rows(w, inputs))
        .collect();
    let (mut codes, mut y) = (CodeRows::default(), vec![0.0; rows * outputs]);
    let ours = median(n, &mut |i| {
        codes.set(&x, inputs);
        matmul_int8(&codes, &panels[i], &mut y, 1);
        Ok(())
    })?;

    let device = Device::Cpu;
    let quantised: Vec<QMatMul> = weights
        .iter()
        .map(|w| {
            let w = Tensor::from_slice(w, (outputs, inputs), &device)?;
            QMatMul::from_qtensor(QTensor::quantize(&w, GgmlDType::Q8_0)?)
        })
        .collect::<Result<_, _>>()?;
    let floats = Tensor::from_slice(&x, (rows, inputs), &device)?;
    let candle = median(n, &mut |i| Ok(drop(quantised[i].forward(&floats)?)))?;

    let gemm = GemmExecutor::<u8, i8, i32>::default();
    let a: NdTensor<u8, 2> = NdTensor::from_data(
        [rows, inputs],
        x.iter()
            .map(|x| (127.0 * x + 128.0) as u8)
            .collect::<Vec<_>>(),
    );
    let packed: Vec<_> = weights
        .iter()
        .map(|w| {
            let codes: Vec<i8> = w.iter().map(|w| (127.0 * w) as i8).collect();
            let b: NdTensor<i8, 2> = NdTensor::from_data([outputs, inputs], codes);
            gemm.prepack_b(b.transposed().as_dyn().nd_view())
        })
        .collect();
    let mut sums = vec![0i32; rows * outputs];
    let rten = median(n, &mut |i| {
        let (a, b) = (
            GemmInputA::Unpacked(a.view()),
            GemmInputB::Packed(&packed[i]),
        );
        gemm.gemm(&mut sums, a, b, GemmOptions::default())
            .map_err(|error| format!("{error:?}").into())
    })?;
    Ok([ours, candle, rten])
}

/// Microseconds a call, over calls that go round `n` matrices.
fn median(
    n: usize,
    call: &mut dyn FnMut(usize) -> Result<(), Box<dyn Error>>,
) -> Result<f64, Box<dyn Error>> {
    let mut times = Vec::new();
    let begun = Instant::now();
    while begun.elapsed().as_secs_f64() < 0.3 || times.len() < 5 {
        let started = Instant::now();
        for i in 0..n {
            call(i)?;
        }
        times.push(1e6 * started.elapsed().as_secs_f64() / n as f64);
    }
    times.sort_by(f64::total_cmp);
    Ok(times[times.len() / 2])
}

/// Deterministic values in -1..1 (SplitMix64).
fn noise(seed: u64, len: usize) -> Vec<f32> {
    let mut state = seed;
    let next = |_| {
        state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = state;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((z ^ (z >> 31)) >> 40) as f32 / (1u64 << 23) as f32 - 1.0
    };
    (0..len).map(next).collect()
}
