//! The MLP and its gradient against loops of `f64`, the limits of its steps, and memories saved.

use super::*;
use crate::learn::tests::{loss, noise, probabilities};
use proptest::prelude::*;

const V: usize = 40;
const D: usize = 12;
const R: usize = 9;

fn config() -> ExitMlpConfig {
    ExitMlpConfig {
        hidden: R,
        probability_threshold: 0.0,
        band: Band {
            loss_floor: 0.0,
            loss_ceiling: f32::INFINITY,
            max_gradient: 10.0,
        },
        ..ExitMlpConfig::default()
    }
}

fn head() -> Vec<f32> {
    noise(77, V * D)
}

fn targets(n: usize) -> Vec<u32> {
    (0..n as u32).map(|t| t * 7 % V as u32).collect()
}

fn started(config: ExitMlpConfig) -> ExitMlp {
    let start = MlpWeights {
        w_a: noise(1, D * R),
        w_b: noise(2, R * D).iter().map(|x| 0.3 * x).collect(),
    };
    ExitMlp::from_start(config, D, start).unwrap()
}

fn probs_of(memory: &ExitMlp, rows: &[f32]) -> Vec<f32> {
    probabilities(&head(), D, &memory.forward(rows, 1).unwrap())
}

/// Gives a lesson on rows with what the memory says of them now.
fn teach(memory: &mut ExitMlp, rows: &[f32], targets: &[u32]) -> Learned {
    let probs = probs_of(memory, rows);
    let batch = MlpBatch {
        rows,
        targets,
        probs: &probs,
        head: &head(),
    };
    memory.accumulate(batch, 1).unwrap()
}

/// The exit's rows with the memory, in three loops of `f64`.
fn forward_reference(w_a: &[f64], w_b: &[f64], gain: f64, rows: &[f32]) -> Vec<f64> {
    let mut corrected = Vec::new();
    for row in rows.chunks_exact(D) {
        let mean = row.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>() / D as f64;
        let rms = (mean + f64::from(NORM_EPS)).sqrt();
        let hidden: Vec<f64> = (0..R)
            .map(|j| {
                let x: f64 = (0..D)
                    .map(|i| f64::from(row[i]) / rms * w_a[i * R + j])
                    .sum();
                x / (1.0 + (-x).exp())
            })
            .collect();
        for i in 0..D {
            let out: f64 = (0..R).map(|j| hidden[j] * w_b[j * D + i]).sum();
            corrected.push(f64::from(row[i]) + gain * out);
        }
    }
    corrected
}

fn loss_reference(w_a: &[f64], w_b: &[f64], gain: f64, rows: &[f32], targets: &[u32]) -> f64 {
    let head = head();
    let corrected = forward_reference(w_a, w_b, gain, rows);
    let mut total = 0.0;
    for (row, target) in corrected.chunks_exact(D).zip(targets) {
        let logits: Vec<f64> = head
            .chunks_exact(D)
            .map(|e| e.iter().zip(row).map(|(e, x)| f64::from(*e) * x).sum())
            .collect();
        let sum: f64 = logits.iter().map(|x| x.exp()).sum();
        total += sum.ln() - logits[*target as usize];
    }
    total
}

fn wide(x: &[f32]) -> Vec<f64> {
    x.iter().map(|x| f64::from(*x)).collect()
}

#[test]
fn forward_is_the_plain_one() {
    let memory = started(ExitMlpConfig {
        gain: 0.7,
        ..config()
    });
    let rows = noise(3, 20 * D);
    let weights = memory.weights();
    // The same f32 gain on both sides.
    let gain = f64::from(0.7f32);
    let expected = forward_reference(&wide(&weights.w_a), &wide(&weights.w_b), gain, &rows);
    for (found, expected) in memory.forward(&rows, 1).unwrap().iter().zip(expected) {
        assert!((f64::from(*found) - expected).abs() < 2e-6);
    }
}

#[test]
fn the_gradient_is_that_of_finite_differences() {
    let gain = 0.7;
    let mut memory = started(ExitMlpConfig { gain, ..config() });
    let (rows, targets) = (noise(4, 5 * D), targets(5));
    teach(&mut memory, &rows, &targets);
    let weights = memory.weights();
    let (w_a, w_b) = (wide(&weights.w_a), wide(&weights.w_b));
    let gradient = &memory.learner.gradient;
    let check = |found: &[f32], is_a: bool| {
        for at in 0..found.len() {
            let at_offset = |offset: f64| {
                let (mut w_a, mut w_b) = (w_a.clone(), w_b.clone());
                let moved = if is_a { &mut w_a } else { &mut w_b };
                moved[at] += offset;
                loss_reference(&w_a, &w_b, f64::from(gain), &rows, &targets)
            };
            let expected = (at_offset(1e-5) - at_offset(-1e-5)) / 2e-5;
            // The gradient is a sum of some hundred f32 products of numbers near 1.
            assert!(
                (f64::from(found[at]) - expected).abs() < 1e-5,
                "{at}: {} and {expected}",
                found[at]
            );
        }
    };
    check(&gradient.w_a, true);
    check(&gradient.w_b, false);
}

#[test]
fn tokens_under_the_threshold_push_by_their_mean() {
    let (rows, targets) = (noise(4, 30 * D), targets(30));
    let gradient = |probability_threshold: f32| {
        let mut memory = started(ExitMlpConfig {
            probability_threshold,
            ..config()
        });
        teach(&mut memory, &rows, &targets);
        let gradient = &memory.learner.gradient;
        gradient.values().copied().collect::<Vec<f32>>()
    };
    let exact = gradient(0.0);
    let error = |found: &[f32]| distance(found, &exact) / norm(&exact);
    // Probabilities are about 1 / 40: nothing, half or all of them lie under these.
    for (threshold, most) in [(1e-6, 1e-5), (0.025, 0.25), (0.9, 0.7)] {
        let error = error(&gradient(threshold));
        assert!(error < most, "{threshold}: {error}");
    }
    // One position's mean is its own: the whole gradient again.
    let alone = |probability_threshold: f32| {
        let mut memory = started(ExitMlpConfig {
            probability_threshold,
            ..config()
        });
        teach(&mut memory, &rows[..D], &targets[..1]);
        memory.learner.gradient.clone()
    };
    for (found, exact) in alone(0.9).values().zip(alone(0.0).values()) {
        assert!((found - exact).abs() < 1e-5, "{found} {exact}");
    }
}

#[test]
fn lessons_add_up() {
    let (rows, targets) = (noise(5, 12 * D), targets(12));
    let mut whole = started(config());
    teach(&mut whole, &rows, &targets);
    let mut parts = started(config());
    for (rows, targets) in rows.chunks_exact(4 * D).zip(targets.chunks_exact(4)) {
        teach(&mut parts, rows, targets);
    }
    assert_eq!(whole.pending_tokens(), 12);
    assert_eq!(parts.pending_tokens(), 12);
    let (whole, parts) = (&whole.learner.gradient, &parts.learner.gradient);
    for (whole, parts) in whole.values().zip(parts.values()) {
        assert!((whole - parts).abs() < 1e-5);
    }
}

#[test]
fn a_silent_memory_changes_no_bit() {
    let mut memory = ExitMlp::new(config(), D, 1).unwrap();
    let rows = [noise(6, 3 * D), vec![-0.0; D]].concat();
    let bits = |rows: &[f32]| rows.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
    assert!(memory.is_silent());
    assert_eq!(bits(&memory.forward(&rows, 1).unwrap()), bits(&rows));
    teach(&mut memory, &rows, &targets(4));
    assert_eq!(bits(&memory.forward(&rows, 1).unwrap()), bits(&rows));
    memory.step();
    assert!(!memory.is_silent());
    assert_ne!(memory.forward(&rows, 1).unwrap(), rows);
}

#[test]
fn repeated_lessons_lower_the_loss() {
    let (rows, targets) = (noise(7, 24 * D), targets(24));
    for (optimiser, rate) in [(Optimiser::Sgd, 0.1), (Optimiser::Muon, 0.1)] {
        let config = ExitMlpConfig {
            optimiser,
            rate,
            ..config()
        };
        let mut memory = ExitMlp::new(config, D, 2).unwrap();
        let first = loss(&probs_of(&memory, &rows), &targets);
        for _ in 0..20 {
            teach(&mut memory, &rows, &targets);
            assert!(memory.step().unwrap().finite);
        }
        let last = loss(&probs_of(&memory, &rows), &targets);
        assert!(last < first - 0.2, "{optimiser:?}: {last} after {first}");
    }
}

#[test]
fn rows_together_are_the_rows_alone() {
    let memory = started(config());
    let rows = noise(8, 30 * D);
    let alone: Vec<f32> = rows
        .chunks_exact(D)
        .flat_map(|row| memory.forward(row, 1).unwrap())
        .collect();
    for threads in [1, 2] {
        assert_eq!(memory.forward(&rows, threads).unwrap(), alone);
    }
}

#[test]
fn clips_hold() {
    for optimiser in [Optimiser::Sgd, Optimiser::Muon] {
        let config = ExitMlpConfig {
            optimiser,
            rate: 1e4,
            max_step: 0.05,
            max_distance: 0.12,
            decay: 0.0,
            ..config()
        };
        let mut memory = started(config);
        let start = memory.weights().clone();
        let (rows, targets) = (noise(10, 8 * D), targets(8));
        let units = [(R as f32).sqrt(), (D as f32).sqrt()];
        for _ in 0..6 {
            let before = memory.weights().clone();
            teach(&mut memory, &rows, &targets);
            memory.step().unwrap();
            let now = memory.weights();
            for (now, before, start, unit) in [
                (&now.w_a, &before.w_a, &start.w_a, units[0]),
                (&now.w_b, &before.w_b, &start.w_b, units[1]),
            ] {
                let longest = 0.05 * norm(before).max(unit);
                assert!(distance(now, before) <= longest * 1.001);
                let radius = 0.12 * norm(start).max(unit);
                assert!(distance(now, start) <= radius * 1.001);
                assert!(distance(now, start) > 0.3 * longest);
            }
        }
    }
}

#[test]
fn decay_brings_it_back() {
    let config = ExitMlpConfig {
        decay: 0.5,
        momentum: 0.0,
        ..config()
    };
    let mut memory = started(config);
    let start = memory.weights().clone();
    let rows = noise(11, 4 * D);
    teach(&mut memory, &rows, &targets(4));
    memory.step();
    let first = distance(&memory.weights().w_b, &start.w_b);
    assert!(first > 0.0);
    // A period of nothing but broken rows has no gradient.
    for _ in 0..10 {
        let mut broken = rows.clone();
        for row in broken.chunks_exact_mut(D) {
            row[0] = f32::NAN;
        }
        let batch = MlpBatch {
            rows: &broken,
            targets: &targets(4),
            probs: &[1.0 / V as f32; 4 * V],
            head: &head(),
        };
        assert_eq!(memory.accumulate(batch, 1).unwrap().refused, 4);
        memory.step().unwrap();
    }
    let last = distance(&memory.weights().w_b, &start.w_b);
    assert!(last < first * 2e-3, "{last} after {first}");
    assert_eq!(memory.step(), None);
}

#[test]
fn known_and_broken_tokens_teach_nothing() {
    let mut memory = started(ExitMlpConfig {
        band: Band::default(),
        ..config()
    });
    let mut rows = noise(12, 4 * D);
    rows[D] = f32::INFINITY;
    let mut probs = vec![0.001; 4 * V];
    probs[5] = 0.999;
    probs[2 * V + 5] = f32::NAN;
    probs[3 * V + 6] = f32::NAN;
    let batch = MlpBatch {
        rows: &rows,
        targets: &[5; 4],
        probs: &probs,
        head: &head(),
    };
    let expected = Learned {
        taught: 0,
        known: 1,
        refused: 3,
    };
    assert_eq!(memory.accumulate(batch, 1).unwrap(), expected);
    assert!(memory.learner.gradient.values().all(|x| *x == 0.0));
}

#[test]
fn a_gradient_that_is_no_number_is_thrown_away() {
    let mut memory = started(config());
    let before = memory.weights().clone();
    let probs = [1.0 / V as f32; V];
    let batch = MlpBatch {
        rows: &noise(13, D),
        targets: &[1],
        probs: &probs,
        head: &[f32::MAX; V * D],
    };
    memory.accumulate(batch, 1).unwrap();
    Arc::make_mut(&mut memory.learner).gradient.w_a[0] = f32::NAN;
    assert!(!memory.step().unwrap().finite);
    assert!(distance(&memory.weights().w_a, &before.w_a) < 1e-6);
    assert!(memory.learner.momentum.values().all(|x| *x == 0.0));
    teach(&mut memory, &noise(13, D), &[1]);
    assert!(memory.step().unwrap().finite);
}

#[test]
fn a_clone_is_a_snapshot() {
    let (rows, targets) = (noise(14, 6 * D), targets(6));
    let mut memory = started(config());
    teach(&mut memory, &rows, &targets);
    memory.step();
    let snapshot = memory.clone();
    let bytes = snapshot.to_bytes();
    teach(&mut memory, &rows, &targets);
    memory.step();
    assert_eq!(snapshot.to_bytes(), bytes);
    let later = memory.to_bytes();
    memory = snapshot;
    teach(&mut memory, &rows, &targets);
    memory.step();
    assert_eq!(memory.to_bytes(), later);
    memory.reset();
    assert_eq!(memory.to_bytes(), started(config()).to_bytes());
}

#[test]
fn saved_is_loaded() {
    let (rows, targets) = (noise(15, 6 * D), targets(6));
    let mut memory = ExitMlp::new(config(), D, 3).unwrap();
    for _ in 0..3 {
        teach(&mut memory, &rows, &targets);
        memory.step();
    }
    teach(&mut memory, &rows, &targets);
    let bytes = memory.to_bytes();
    let mut loaded = ExitMlp::from_bytes(config(), D, &bytes).unwrap();
    assert_eq!(loaded.to_bytes(), bytes);
    assert_eq!(loaded.step(), memory.step());
    assert_eq!(loaded.to_bytes(), memory.to_bytes());
    assert!(ExitMlp::from_bytes(config(), D + 1, &bytes).is_err());
    let other = ExitMlpConfig {
        hidden: R + 1,
        ..config()
    };
    assert!(ExitMlp::from_bytes(other, D, &bytes).is_err());
}

#[test]
fn wrong_input_is_refused() {
    let mut memory = started(config());
    let (rows, probs, head) = (noise(16, 2 * D), vec![0.01; 2 * V], head());
    let batch = MlpBatch {
        rows: &rows,
        targets: &[1, 2],
        probs: &probs,
        head: &head,
    };
    let foreign = MlpBatch {
        targets: &[1, V as u32],
        ..batch
    };
    let short = MlpBatch {
        rows: &rows[1..],
        ..batch
    };
    let cut = MlpBatch {
        head: &head[1..],
        ..batch
    };
    for batch in [foreign, short, cut] {
        assert!(memory.accumulate(batch, 1).is_err());
    }
    assert!(memory.forward(&rows[1..], 1).is_err());
    assert_eq!(memory.step(), None);
    let nothing = MlpBatch {
        rows: &[],
        targets: &[],
        probs: &[],
        head: &[],
    };
    assert_eq!(memory.accumulate(nothing, 1).unwrap(), Learned::default());
    let start = MlpWeights {
        w_a: vec![f32::NAN; D * R],
        w_b: vec![0.0; D * R],
    };
    assert!(ExitMlp::from_start(config(), D, start).is_err());
    let frozen = ExitMlpConfig {
        gain: 0.0,
        ..config()
    };
    let message = ExitMlp::new(frozen, D, 1).unwrap_err().to_string();
    assert!(message.contains("gain is 0"), "{message}");
}

#[test]
fn the_seed_decides_the_start() {
    let start = |seed| ExitMlp::new(config(), D, seed).unwrap().weights().clone();
    assert_eq!(start(1), start(1));
    assert_ne!(start(1), start(2));
    let mut values = vec![0.0; 10_001];
    fill_normal(&mut values, 0.5, 1);
    let mean = values.iter().sum::<f32>() / 10_001.0;
    let variance = dot(&values, &values) / 10_001.0;
    assert!(mean.abs() < 0.02 && (variance - 0.25).abs() < 0.02);
}

proptest! {
    #[test]
    fn bodies_of_garbage_are_refused_or_make_sense(
        rest in proptest::collection::vec(any::<u8>(), 0..120),
    ) {
        let config = ExitMlpConfig { hidden: 1, ..config() };
        let mut body = Vec::new();
        body.put_u32s(&[2, 1]);
        body.extend_from_slice(&rest);
        if let Ok(memory) = ExitMlp::from_bytes(config, 2, &SAVED.seal(&body)) {
            prop_assert!(memory.weights().values().all(|x| x.is_finite()));
        }
        prop_assert!(ExitMlp::from_bytes(config, 2, &rest).is_err());
    }
}

#[test]
fn a_delta_over_the_head_teaches_as_the_head_with_the_delta_in_it() {
    use crate::learn::OutputDeltaConfig;
    let (rows, targets) = (noise(31, 12 * D), targets(12));
    let mut delta = OutputDelta::new(OutputDeltaConfig::default(), V, D).unwrap();
    for seed in 0..5 {
        let rows = noise(seed, 12 * D);
        let probs = probabilities(&head(), D, &rows);
        delta.learn(&rows, &targets, &probs).unwrap();
    }
    let mut whole = head();
    for row in delta.rows() {
        let of_head = &mut whole[row.token as usize * D..][..D];
        for (value, change) in of_head.iter_mut().zip(row.values) {
            *value += row.scale * change;
        }
    }
    let mut apart = started(config());
    let mut together = started(config());
    let probs = probabilities(&whole, D, &apart.forward(&rows, 1).unwrap());
    let (rows, targets, probs) = (&rows[..], &targets[..], &probs[..]);
    let batch = |head| MlpBatch {
        rows,
        targets,
        probs,
        head,
    };
    let plain = head();
    apart
        .accumulate_under(batch(&plain), Some(&delta), 1)
        .unwrap();
    together.accumulate(batch(&whole), 1).unwrap();
    let mut without = started(config());
    without.accumulate(batch(&plain), 1).unwrap();
    let norms = |memory: &mut ExitMlp| memory.step().unwrap().gradient_norms;
    let (found, expected, other) = (norms(&mut apart), norms(&mut together), norms(&mut without));
    for at in 0..2 {
        assert!((found[at] - expected[at]).abs() < 1e-5 * expected[at]);
        assert!((other[at] - expected[at]).abs() > 1e-3 * expected[at]);
    }
    for (a, b) in apart.weights().values().zip(together.weights().values()) {
        assert!((a - b).abs() < 1e-4, "{a} {b}");
    }
}
