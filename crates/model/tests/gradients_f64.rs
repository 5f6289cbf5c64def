//! Hand-written backward passes against central differences, in f64.

use nestor_model::host::attention::{self, AttentionShape};
use nestor_model::host::delta::{self, DeltaInputs, DeltaShape};
use nestor_model::host::exits::{self, ExitsShape};
use nestor_model::host::norm;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use std::sync::Arc;

/// Largest difference that counts as equal, relative to the gradient's size.
const TOLERANCE: f64 = 1e-6;

fn random(rng: &mut StdRng, len: usize) -> Vec<f64> {
    (0..len).map(|_| rng.random_range(-1.0..1.0)).collect()
}

/// Compares `gradients[i]` with central differences of `loss` in `inputs[i]`.
fn check(inputs: &[Vec<f64>], gradients: &[Vec<f64>], loss: impl Fn(&[Vec<f64>]) -> f64) {
    let step = 1e-5;
    let mut inputs = inputs.to_vec();
    for (which, gradient) in gradients.iter().enumerate() {
        assert_eq!(gradient.len(), inputs[which].len());
        for i in 0..gradient.len() {
            let x = inputs[which][i];
            inputs[which][i] = x + step;
            let above = loss(&inputs);
            inputs[which][i] = x - step;
            let below = loss(&inputs);
            inputs[which][i] = x;
            let expected = (above - below) / (2.0 * step);
            let error = (gradient[i] - expected).abs() / expected.abs().max(1.0);
            assert!(
                error < TOLERANCE,
                "input {which}[{i}]: {} against {expected}",
                gradient[i]
            );
        }
    }
}

fn weighted(out: &[f64], dy: &[f64]) -> f64 {
    out.iter().zip(dy).map(|(a, b)| a * b).sum()
}

#[test]
fn rms_norm_and_swiglu() {
    let mut rng = StdRng::seed_from_u64(1);
    let (x, gain, dy) = (
        random(&mut rng, 35),
        random(&mut rng, 7),
        random(&mut rng, 35),
    );
    let (dx, dgain) = norm::rms_norm_backward(&x, &gain, 1e-6, &dy);
    check(&[x, gain], &[dx, dgain], |i| {
        weighted(&norm::rms_norm(&i[0], &i[1], 1e-6), &dy)
    });

    let (x, dy) = (random(&mut rng, 40), random(&mut rng, 20));
    let dx = norm::swiglu_backward(&x, 5, &dy);
    check(&[x], &[dx], |i| weighted(&norm::swiglu(&i[0], 5), &dy));
}

#[test]
fn delta_rule() {
    let mut rng = StdRng::seed_from_u64(2);
    // More tokens than a segment holds, and not a multiple of it.
    let shape = DeltaShape {
        batch: 2,
        time: 19,
        heads: 2,
        key_dim: 3,
        value_dim: 4,
        conv: 4,
        eps: 1e-6,
    };
    let inputs = vec![
        random(&mut rng, shape.batch * shape.time * shape.columns()),
        random(&mut rng, shape.conv * shape.channels()),
        random(&mut rng, shape.heads),
        random(&mut rng, shape.heads),
        random(&mut rng, shape.value_dim),
    ];
    let dy = random(
        &mut rng,
        shape.batch * shape.time * shape.heads * shape.value_dim,
    );
    fn view(i: &[Vec<f64>]) -> DeltaInputs<'_, f64> {
        DeltaInputs {
            projected: &i[0],
            conv: &i[1],
            a_log: &i[2],
            dt_bias: &i[3],
            out_norm: &i[4],
        }
    }
    let gradients = delta::backward(shape, view(&inputs), &dy);
    check(&inputs, &gradients, |i| {
        weighted(&delta::forward(shape, view(i)), &dy)
    });
}

#[test]
fn attention_with_a_window_shorter_than_the_sequence() {
    let mut rng = StdRng::seed_from_u64(3);
    let shape = AttentionShape {
        batch: 2,
        time: 6,
        query_heads: 4,
        kv_heads: 2,
        head_dim: 4,
        window: 3,
        rope_theta: 100.0,
        eps: 1e-6,
    };
    let inputs = vec![
        random(&mut rng, shape.batch * shape.time * shape.columns()),
        random(&mut rng, shape.head_dim),
        random(&mut rng, shape.head_dim),
    ];
    let dy = random(
        &mut rng,
        shape.batch * shape.time * shape.query_heads * shape.head_dim,
    );
    let (_, weights) = attention::forward(shape, &inputs[0], &inputs[1], &inputs[2]);
    let views = [&inputs[0][..], &inputs[1][..], &inputs[2][..]];
    let gradients = attention::backward(shape, views, &weights, &dy);
    check(&inputs, &gradients, |i| {
        weighted(&attention::forward(shape, &i[0], &i[1], &i[2]).0, &dy)
    });
}

#[test]
fn exits() {
    let mut rng = StdRng::seed_from_u64(4);
    let (rows, width, vocab) = (9, 3, 11);
    let shape = ExitsShape {
        width,
        vocab,
        targets: Arc::new(
            (0..rows)
                .map(|_| rng.random_range(0..vocab as u32))
                .collect(),
        ),
        weights: Arc::new(vec![1.0, 0.0, 0.5, 1.0, 1.0, 0.0, 1.0, 0.25, 1.0]),
        level_weights: vec![0.15, 1.0],
        distill: 0.0,
        early_stride: 2,
        phase: 1,
    };
    let inputs = vec![
        random(&mut rng, vocab * width),
        random(&mut rng, rows * width),
        random(&mut rng, rows * width),
    ];
    let run = |shape: &ExitsShape, i: &[Vec<f64>]| {
        exits::forward(shape, &i[0], &[&i[1][..], &i[2][..]], true)
    };
    let result = run(&shape, &inputs);
    check(&inputs, &result.gradients, |i| run(&shape, i).loss);

    // With distillation the teacher is held fixed: only the lower exit's own rows vary freely.
    let distilling = ExitsShape {
        distill: 0.5,
        ..shape
    };
    let result = run(&distilling, &inputs);
    let fixed = inputs.clone();
    check(&inputs[1..2], &result.gradients[1..2], |i| {
        run(
            &distilling,
            &[fixed[0].clone(), i[0].clone(), fixed[2].clone()],
        )
        .loss
    });
}
