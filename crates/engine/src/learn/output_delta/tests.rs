//! Lessons against the dense rule in `f64`, the limits of rows, and memories saved.

use super::*;
use crate::learn::tests::{loss, noise, probabilities, softmax_rows};
use nestor_kernels::dot_rows;
use proptest::prelude::*;

const V: usize = 50;
const D: usize = 16;

fn plain_config() -> OutputDeltaConfig {
    OutputDeltaConfig {
        band: Band {
            loss_floor: 0.0,
            loss_ceiling: f32::INFINITY,
            max_gradient: 10.0,
        },
        ..OutputDeltaConfig::default()
    }
}

fn memory(config: OutputDeltaConfig) -> OutputDelta {
    OutputDelta::new(config, V, D).unwrap()
}

fn targets(seed: u64, n: usize) -> Vec<u32> {
    noise(seed, n)
        .iter()
        .map(|x| ((x + 1.0) * 0.5 * V as f32) as u32 % V as u32)
        .collect()
}

fn head() -> Vec<f32> {
    noise(77, V * D)
}

/// Probabilities of the exit with the memory.
fn with_memory(memory: &OutputDelta, rows: &[f32]) -> Vec<f32> {
    let head = head();
    let mut logits = vec![0.0; rows.len() / D * V];
    dot_rows(&head, D, rows, &mut logits);
    memory.add_logits(rows, &mut logits, 1).unwrap();
    softmax_rows(&mut logits, V);
    logits
}

/// Teaches chunks of eight tokens, each with what the memory said before.
fn teach(memory: &mut OutputDelta, seed: u64, chunks: usize) {
    for chunk in 0..chunks as u64 {
        let rows = noise(seed + chunk, 8 * D);
        let probs = with_memory(memory, &rows);
        memory
            .learn(&rows, &targets(seed + chunk, 8), &probs)
            .unwrap();
    }
}

fn dense(memory: &OutputDelta) -> Vec<f32> {
    let mut dense = vec![0.0; V * D];
    for row in memory.rows() {
        for (i, value) in row.values.iter().enumerate() {
            dense[row.token as usize * D + i] = row.scale * value;
        }
    }
    dense
}

/// The rule of the module's description on a dense matrix, in `f64`, without clips.
fn dense_reference(
    dense: &mut [f64],
    config: &OutputDeltaConfig,
    rows: &[f32],
    targets: &[u32],
    probs: &[f32],
) {
    let n = targets.len();
    let mut gradient = vec![0.0; V * D];
    for t in 0..n {
        let row = &rows[t * D..][..D];
        let mean = row.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>() / D as f64;
        let rms = (mean + f64::from(NORM_EPS)).sqrt();
        for v in 0..V {
            let p = probs[t * V + v];
            let is_target = v == targets[t] as usize;
            if is_target || p >= config.probability_threshold {
                let error = f64::from(p) - f64::from(u8::from(is_target));
                for i in 0..D {
                    gradient[v * D + i] += error * f64::from(row[i]) / rms / n as f64;
                }
            }
        }
    }
    for (value, gradient) in dense.iter_mut().zip(gradient) {
        *value = *value * f64::from(config.decay) - f64::from(config.rate) * gradient;
    }
}

#[test]
fn lessons_are_those_of_the_dense_rule() {
    let config = OutputDeltaConfig {
        decay: 0.9,
        max_step_norm: 100.0,
        max_row_norm: 100.0,
        ..plain_config()
    };
    let mut memory = memory(config);
    let mut reference = vec![0.0; V * D];
    for chunk in 0..20 {
        let rows = noise(chunk, 5 * D);
        let targets = targets(chunk, 5);
        let probs = with_memory(&memory, &rows);
        memory.learn(&rows, &targets, &probs).unwrap();
        dense_reference(&mut reference, &config, &rows, &targets, &probs);
    }
    for (found, expected) in dense(&memory).iter().zip(&reference) {
        // Twenty lessons of sums in f32 of numbers near 1.
        assert!((f64::from(*found) - expected).abs() < 1e-6);
    }
}

#[test]
fn the_step_is_the_gradient_of_the_mean_loss() {
    let config = OutputDeltaConfig {
        rate: 1e-3,
        decay: 1.0,
        probability_threshold: 1e-9,
        ..plain_config()
    };
    let mut memory = memory(config);
    // Rows of RMS 1, so that the gradient by dE is taken at the row itself.
    let mut rows = vec![0.0; 6 * D];
    for (row, unit) in noise(5, 6 * D)
        .chunks_exact(D)
        .zip(rows.chunks_exact_mut(D))
    {
        rms_norm(row, &[], 0.0, unit);
    }
    let targets = targets(5, 6);
    let probs = with_memory(&memory, &rows);
    memory.learn(&rows, &targets, &probs).unwrap();
    let step = dense(&memory);
    let reference_loss = |delta: &[f64]| -> f64 {
        let head = head();
        let mut total = 0.0;
        for t in 0..6 {
            let logits: Vec<f64> = (0..V)
                .map(|v| {
                    (0..D)
                        .map(|i| {
                            (f64::from(head[v * D + i]) + delta[v * D + i])
                                * f64::from(rows[t * D + i])
                        })
                        .sum()
                })
                .collect();
            let sum: f64 = logits.iter().map(|x| x.exp()).sum();
            total += sum.ln() - logits[targets[t] as usize];
        }
        total / 6.0
    };
    for at in (0..V * D).step_by(7) {
        let mut delta = vec![0.0; V * D];
        delta[at] = 1e-5;
        let above = reference_loss(&delta);
        delta[at] = -1e-5;
        let gradient = (above - reference_loss(&delta)) / 2e-5;
        let found = -f64::from(step[at]) / 1e-3;
        assert!(
            (found - gradient).abs() < 1e-5,
            "at {at}: {found}, {gradient}"
        );
    }
}

#[test]
fn a_silent_memory_changes_no_bit() {
    let memory = memory(OutputDeltaConfig::default());
    let before = noise(1, 3 * V);
    let mut logits = before.clone();
    memory.add_logits(&noise(2, 3 * D), &mut logits, 1).unwrap();
    assert_eq!(logits, before);
    assert!(memory.is_empty());
}

#[test]
fn a_repeated_chunk_becomes_likelier() {
    let mut memory = memory(OutputDeltaConfig::default());
    let rows = noise(3, 16 * D);
    let targets = targets(3, 16);
    let mut last = loss(&probabilities(&head(), D, &rows), &targets);
    for _ in 0..5 {
        let probs = with_memory(&memory, &rows);
        let learned = memory.learn(&rows, &targets, &probs).unwrap();
        assert_eq!(learned.taught + learned.known, 16);
        let now = loss(&with_memory(&memory, &rows), &targets);
        assert!(now < last - 0.02, "{now} after {last}");
        last = now;
    }
}

#[test]
fn rows_together_are_the_rows_alone() {
    let mut memory = memory(OutputDeltaConfig::default());
    teach(&mut memory, 20, 6);
    let rows = noise(4, 40 * D);
    let alone: Vec<f32> = rows
        .chunks_exact(D)
        .flat_map(|row| {
            let mut logits = vec![0.5; V];
            memory.add_logits(row, &mut logits, 1).unwrap();
            logits
        })
        .collect();
    for threads in [1, 2] {
        let mut many = vec![0.5; 40 * V];
        memory.add_logits(&rows, &mut many, threads).unwrap();
        assert_eq!(many, alone);
    }
}

#[test]
fn a_fork_learns_apart() {
    let mut memory = memory(OutputDeltaConfig::default());
    teach(&mut memory, 30, 3);
    let before = memory.to_bytes();
    let mut fork = memory.clone();
    assert!(Arc::ptr_eq(&memory.rows, &fork.rows));
    teach(&mut fork, 40, 1);
    assert_eq!(memory.to_bytes(), before);
    teach(&mut memory, 40, 1);
    assert_eq!(memory.to_bytes(), fork.to_bytes());
    memory.reset();
    assert!(memory.is_empty());
    assert!(!fork.is_empty());
}

#[test]
fn decay_brings_rows_at_rest_back() {
    let config = OutputDeltaConfig {
        decay: 0.5,
        ..OutputDeltaConfig::default()
    };
    let mut memory = memory(config);
    let row = noise(6, D);
    let probs = vec![1.0 / V as f32; V];
    memory.learn(&row, &[7], &probs).unwrap();
    let correction = |memory: &OutputDelta| {
        let mut logits = vec![0.0; V];
        memory.add_logits(&row, &mut logits, 1).unwrap();
        logits[7]
    };
    let first = correction(&memory);
    assert!(first > 0.0);
    let mut certain = vec![0.0; V];
    certain[3] = 1.0;
    for _ in 0..10 {
        memory.learn(&row, &[3], &certain).unwrap();
    }
    let last = correction(&memory);
    assert!((last * 1024.0 / first - 1.0).abs() < 1e-5, "{last}");
}

#[test]
fn known_and_broken_tokens_teach_nothing() {
    let mut memory = memory(OutputDeltaConfig::default());
    teach(&mut memory, 50, 2);
    let before = memory.clone();
    let mut rows = noise(7, 5 * D);
    rows[D] = f32::NAN;
    rows[2 * D + 1] = f32::NEG_INFINITY;
    let mut probs = vec![0.001; 5 * V];
    probs[5] = 0.999;
    probs[3 * V + 5] = f32::NAN;
    probs[4 * V + 6] = f32::INFINITY;
    let learned = memory.learn(&rows, &[5; 5], &probs).unwrap();
    let expected = Learned {
        taught: 0,
        known: 1,
        refused: 4,
    };
    assert_eq!(learned, expected);
    assert_eq!(memory.rows.values, before.rows.values);
    assert!(memory.rows.scales.iter().all(|scale| scale.is_finite()));
}

#[test]
fn rows_that_overflow_when_squared_do_no_harm() {
    let mut memory = memory(OutputDeltaConfig::default());
    let probs = vec![1.0 / V as f32; 2 * V];
    let rows = [vec![3e38; D], vec![0.0; D]].concat();
    memory.learn(&rows, &[1, 2], &probs).unwrap();
    assert!(dense(&memory).iter().all(|x| *x == 0.0));
}

#[test]
fn wrong_input_is_refused_and_changes_nothing() {
    let mut memory = memory(OutputDeltaConfig::default());
    let (rows, probs) = (vec![1.0; 2 * D], vec![0.02; 2 * V]);
    assert!(matches!(
        memory.learn(&rows, &[1, V as u32], &probs),
        Err(EngineError::Token { index: 1, .. })
    ));
    assert!(memory.learn(&rows[1..], &[1, 2], &probs).is_err());
    assert!(memory.learn(&rows, &[1, 2], &probs[1..]).is_err());
    let mut logits = vec![0.0; V];
    assert!(memory.add_logits(&rows, &mut logits, 1).is_err());
    assert!(memory.is_empty());
    assert_eq!(memory.learn(&[], &[], &[]).unwrap(), Learned::default());
}

#[test]
fn clips_hold() {
    let config = OutputDeltaConfig {
        rate: 1e6,
        max_step_norm: 0.25,
        max_row_norm: 0.6,
        ..plain_config()
    };
    let mut memory = memory(config);
    let row = noise(8, D);
    let probs = vec![1.0 / V as f32; V];
    for lesson in 1..=5 {
        memory.learn(&row, &[9], &probs).unwrap();
        let longest = memory
            .rows()
            .map(|row| row.scale * dot(row.values, row.values).sqrt())
            .fold(0.0, f32::max);
        assert!(longest <= (0.25 * lesson as f32).min(0.6) * 1.000_01);
        assert!(longest > 0.24);
    }
}

#[test]
fn the_shortest_rows_at_rest_make_room() {
    let config = OutputDeltaConfig {
        max_rows: 3,
        probability_threshold: 0.5,
        max_step_norm: 100.0,
        ..plain_config()
    };
    let mut memory = memory(config);
    let row = noise(9, D);
    // The surer the target was, the shorter its row.
    for (target, p) in [(1, 0.2), (2, 0.4), (3, 0.1), (4, 0.3)] {
        let mut probs = vec![0.0; V];
        probs[target as usize] = p;
        memory.learn(&row, &[target], &probs).unwrap();
    }
    let mut tokens: Vec<u32> = memory.rows().map(|row| row.token).collect();
    tokens.sort_unstable();
    assert_eq!(tokens, [1, 3, 4]);
    let rows = row.repeat(5);
    let mut probs = vec![0.0; 5 * V];
    for (t, p) in [(0, 0.3), (1, 0.1), (2, 0.2), (3, 0.05), (4, 0.4)] {
        probs[t * V + 10 + t] = p;
    }
    memory.learn(&rows, &[10, 11, 12, 13, 14], &probs).unwrap();
    let mut tokens: Vec<u32> = memory.rows().map(|row| row.token).collect();
    tokens.sort_unstable();
    assert_eq!(tokens, [11, 12, 13]);
    for (slot, token) in memory.rows.tokens.iter().enumerate() {
        assert_eq!(memory.rows.slots[*token as usize], slot as u32);
    }
    let taken = memory.rows.slots.iter().filter(|slot| **slot != NO_SLOT);
    assert_eq!(taken.count(), 3);
}

#[test]
fn saved_is_loaded() {
    let config = OutputDeltaConfig::default();
    let mut memory = memory(config);
    teach(&mut memory, 60, 5);
    let bytes = memory.to_bytes();
    let mut loaded = OutputDelta::from_bytes(config, V, D, &bytes).unwrap();
    assert_eq!(loaded.rows, memory.rows);
    teach(&mut memory, 70, 2);
    teach(&mut loaded, 70, 2);
    assert_eq!(loaded.to_bytes(), memory.to_bytes());
    assert!(memory.bytes() > 4 * memory.len() * D);

    assert!(OutputDelta::from_bytes(config, V + 1, D, &bytes).is_err());
    assert!(OutputDelta::from_bytes(config, V, D + 1, &bytes).is_err());
    let fewer = OutputDeltaConfig {
        max_rows: 1,
        ..config
    };
    assert!(OutputDelta::from_bytes(fewer, V, D, &bytes).is_err());
    let shorter = OutputDeltaConfig {
        max_row_norm: 0.01,
        ..config
    };
    let loaded = OutputDelta::from_bytes(shorter, V, D, &bytes).unwrap();
    for row in loaded.rows() {
        assert!(dot(row.values, row.values).sqrt() < 0.010_001);
    }
}

#[test]
fn settings_that_make_no_sense_are_named() {
    let default = OutputDeltaConfig::default();
    for (config, named) in [
        (
            OutputDeltaConfig {
                rate: 0.0,
                ..default
            },
            "rate is 0",
        ),
        (
            OutputDeltaConfig {
                decay: 1.5,
                ..default
            },
            "decay is 1.5",
        ),
        (
            OutputDeltaConfig {
                max_rows: 0,
                ..default
            },
            "max_rows is 0",
        ),
        (
            OutputDeltaConfig {
                max_row_norm: f32::INFINITY,
                ..default
            },
            "max_row_norm is inf",
        ),
    ] {
        let message = OutputDelta::new(config, V, D).unwrap_err().to_string();
        assert!(message.contains(named), "{message}");
    }
    assert!(OutputDelta::new(default, 0, D).is_err());
}

proptest! {
    #[test]
    fn bodies_of_garbage_are_refused_or_make_sense(
        count in 0u32..4,
        rest in proptest::collection::vec(any::<u8>(), 0..300),
    ) {
        let mut body = Vec::new();
        body.put_u32s(&[V as u32, 4, count]);
        body.extend_from_slice(&rest);
        let config = OutputDeltaConfig::default();
        if let Ok(memory) = OutputDelta::from_bytes(config, V, 4, &SAVED.seal(&body)) {
            let mut logits = vec![0.0; V];
            memory.add_logits(&[1.0; 4], &mut logits, 1).unwrap();
            prop_assert!(logits.iter().all(|x| x.is_finite()));
        }
        prop_assert!(OutputDelta::from_bytes(config, V, 4, &rest).is_err());
    }
}
