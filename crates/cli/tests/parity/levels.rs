//! The memories of levels 2 and 3: the same weights, tokens and lessons give the same rows of the output deltas, the same weights of
//! the MLP, and so the same logits.
//!
//! The engine reads the tokens and learns by gradients written by hand; the other side learns from the exit states of Burn's network.

use super::lessons::{DELTA_EXITS, MLP_EXIT, Matrix, Reference, zeros};
use super::{burn_states, engine_model, peaked, small};
use burn::tensor::activation::softmax;
use nestor_engine::{
    Band, DocumentReader, ExitMlpConfig, LevelMemories, LevelMemoriesConfig, MlpWeights, Model,
    Optimiser, OutputDelta, OutputDeltaConfig, Session,
};
use std::collections::BTreeSet;
use std::sync::Arc;

/// Both sides compute in f32 and sum in different orders: errors of what is learned, as a share of the largest change.
const SMOOTH_TOLERANCE: f32 = 2e-5;
/// The same where a probability at a threshold may fall on either side of it: one push of 0.003 more or less.
const THRESHOLD_TOLERANCE: f32 = 5e-4;
/// Rounding of logits and probabilities, as a share of the largest.
const ROUNDING: f32 = 5e-6;

const HIDDEN: usize = 32;
/// Two chunks, so that the MLP steps three times.
const PERIOD: usize = 2 * LevelMemories::CHUNK;
const OPENING: usize = 20;
/// Six chunks and the beginning of one.
const TEXT: usize = 6 * LevelMemories::CHUNK + 16;
/// Tokens after the lessons, whose logits are compared.
const AFTER: usize = 50;

#[test]
fn memories_learn_as_autodiff_says() {
    let network = peaked(&small());
    let model = engine_model(&network);
    let tokens: Vec<u32> = (0..(OPENING + TEXT + AFTER) as u32).map(token).collect();
    let states = burn_states(&network, &tokens);
    let mut reached = BTreeSet::new();
    for (name, config, tolerance) in configs() {
        // One lesson, one period, and several.
        for taught in [LevelMemories::CHUNK, PERIOD, TEXT] {
            let mut memories = LevelMemories::new(config, &model).unwrap();
            let mut reference = Reference::new(config, &network.embedding.val(), &memories);
            let (opening, text) = tokens[..OPENING + taught].split_at(OPENING);
            memories.learn_document(&model, opening, text, 1).unwrap();
            for (at, targets) in text.chunks(LevelMemories::CHUNK).enumerate() {
                let start = OPENING - 1 + at * LevelMemories::CHUNK;
                let rows: Vec<Matrix> = states
                    .iter()
                    .map(|rows| rows.clone().narrow(0, start, targets.len()))
                    .collect();
                reference.learn(&rows, targets);
            }
            let what = format!("{name}, {taught} tokens");
            compare_weights(&memories, &reference, tolerance, &what);
            let seen = OPENING + taught;
            let after: Vec<Matrix> = states
                .iter()
                .map(|rows| rows.clone().narrow(0, seen - 1, AFTER))
                .collect();
            let found = Answers::of_engine(&memories, &model, &tokens[..seen + AFTER]);
            compare_answers(&found, &reference, &after, tolerance, &what);
            reached.extend(reference.reached);
        }
    }
    // Otherwise a part of the rules would not be held by this test.
    let all = [
        "a known token",
        "a token over the ceiling",
        "a clipped gradient",
        "tokens under the threshold of level 2",
        "tokens under the threshold of level 3",
        "a limited step of a row",
        "a limited row",
        "a cautious step",
        "a limited step of a matrix",
        "a limited matrix",
    ];
    assert_eq!(reached, BTreeSet::from(all));
}

/// Two tokens of three are the same, so that lessons overshoot and tokens become known; the others come from the whole vocabulary.
fn token(at: u32) -> u32 {
    if at.is_multiple_of(3) {
        (at * 7 + at * at / 11) % 300
    } else {
        5
    }
}

/// Each with the tolerance of what it teaches.
fn configs() -> [(&'static str, LevelMemoriesConfig, f32); 3] {
    let all = LevelMemoriesConfig {
        period: PERIOD,
        mlp: ExitMlpConfig {
            hidden: HIDDEN,
            ..ExitMlpConfig::default()
        },
        ..LevelMemoriesConfig::default()
    };
    let open = Band {
        loss_floor: 0.0,
        loss_ceiling: f32::INFINITY,
        max_gradient: f32::INFINITY,
    };
    let exact = LevelMemoriesConfig {
        delta: OutputDeltaConfig {
            decay: 1.0,
            probability_threshold: f32::MIN_POSITIVE,
            band: open,
            max_step_norm: 1e3,
            max_row_norm: 1e3,
            ..all.delta
        },
        mlp: ExitMlpConfig {
            optimiser: Optimiser::Sgd,
            rate: 0.5,
            probability_threshold: 0.0,
            band: open,
            ..all.mlp
        },
        ..all
    };
    let tight = LevelMemoriesConfig {
        delta: OutputDeltaConfig {
            decay: 0.8,
            max_step_norm: 0.05,
            max_row_norm: 0.1,
            ..all.delta
        },
        mlp: ExitMlpConfig {
            gain: -0.7,
            momentum: 0.5,
            decay: 0.2,
            max_step: 0.01,
            max_distance: 0.015,
            ..all.mlp
        },
        ..all
    };
    [
        ("as shipped", all, THRESHOLD_TOLERANCE),
        ("plain gradient descent", exact, SMOOTH_TOLERANCE),
        ("tight limits", tight, THRESHOLD_TOLERANCE),
    ]
}

/// What the exits with memories say of some tokens.
struct Answers {
    /// For each of [`DELTA_EXITS`], `[n, V]`.
    logits: Vec<Vec<f32>>,
    /// The same mixed with what the plain exit says, half and half, as long as no document was read.
    probs: Vec<Vec<f32>>,
}

impl Answers {
    /// Of the last tokens.
    fn of_engine(memories: &LevelMemories, model: &Arc<Model>, tokens: &[u32]) -> Self {
        let (before, after) = tokens.split_at(tokens.len() - AFTER);
        let mut reader = DocumentReader::new(Arc::clone(model), before, 1).unwrap();
        let rows = reader.read(after).unwrap();
        let session = Session::new(Arc::clone(model), rows.len()).unwrap();
        let logits = |exit: usize| {
            let mut used = rows[exit].clone();
            if exit == MLP_EXIT {
                used = memories.exit_mlp().unwrap().forward(&used, 1).unwrap();
            }
            let mut logits = vec![0.0; AFTER * model.config().vocab];
            session.exit_logits(exit, &used, &mut logits).unwrap();
            let delta = memories.output_delta(exit).unwrap();
            delta.add_logits(&used, &mut logits, 1).unwrap();
            logits
        };
        let probs = |exit| memories.exit_probs(model, exit, &rows[exit], 1).unwrap();
        Self {
            logits: DELTA_EXITS.map(logits).collect(),
            probs: DELTA_EXITS.map(probs).collect(),
        }
    }
}

fn compare_weights(memories: &LevelMemories, reference: &Reference, tolerance: f32, what: &str) {
    let check = |name: &str, found: &[f32], before: &Matrix, expected: &Matrix| {
        let allowed = tolerance * largest(&(expected.clone() - before.clone()));
        assert_close(found, expected, allowed, &format!("{what}, {name}"));
    };
    for exit in DELTA_EXITS {
        let expected = &reference.deltas[exit - DELTA_EXITS.start];
        let found = dense(memories.output_delta(exit).unwrap(), expected.dims());
        check(
            &format!("dE of exit {exit}"),
            &found,
            &zeros(expected.dims()),
            expected,
        );
    }
    let MlpWeights { w_a, w_b } = memories.exit_mlp().unwrap().weights();
    let [expected_a, expected_b] = &reference.weights;
    check("W_a", w_a, &expected_a.start, &expected_a.now);
    check("W_b", w_b, &expected_b.start, &expected_b.now);
}

/// The delta as a whole matrix, `[V, d]`.
fn dense(delta: &OutputDelta, [vocab, width]: [usize; 2]) -> Vec<f32> {
    let mut all = vec![0.0; vocab * width];
    for row in delta.rows() {
        let at = row.token as usize * width;
        for (to, value) in all[at..at + width].iter_mut().zip(row.values) {
            *to = row.scale * value;
        }
    }
    all
}

fn compare_answers(
    found: &Answers,
    reference: &Reference,
    rows: &[Matrix],
    tolerance: f32,
    what: &str,
) {
    let check = |name: &str, found: &[f32], before: &Matrix, expected: &Matrix| {
        let change = largest(&(expected.clone() - before.clone()));
        let allowed = tolerance * change + ROUNDING * largest(expected);
        assert_close(found, expected, allowed, &format!("{what}, {name}"));
    };
    for (at, exit) in DELTA_EXITS.enumerate() {
        let plain = rows[exit]
            .clone()
            .matmul(reference.head.clone().transpose());
        let logits = reference.logits(exit, &rows[exit]);
        check(
            &format!("logits of exit {exit}"),
            &found.logits[at],
            &plain,
            &logits,
        );
        let plain = softmax(plain, 1);
        let probs = (softmax(logits, 1) + plain.clone()).div_scalar(2.0);
        check(
            &format!("probabilities of exit {exit}"),
            &found.probs[at],
            &plain,
            &probs,
        );
    }
}

fn largest(matrix: &Matrix) -> f32 {
    matrix.clone().abs().max().into_scalar()
}

fn assert_close(found: &[f32], expected: &Matrix, allowed: f32, what: &str) {
    let expected: Vec<f32> = expected.clone().into_data().into_vec().unwrap();
    assert_eq!(found.len(), expected.len(), "{what}");
    let pairs = found.iter().zip(&expected);
    let error = pairs.fold(0.0_f32, |most, (a, b)| most.max((a - b).abs()));
    assert!(
        error <= allowed,
        "{what}: differences up to {error}, {allowed} is allowed"
    );
}
