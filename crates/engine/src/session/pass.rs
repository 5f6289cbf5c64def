//! One pass of tokens through the network: of one sequence, or of several whose rows read the weights once.
//!
//! A row has the same bits whatever other rows are in a pass: products are row by row, and everything else belongs to a sequence.
//! Letters: T tokens of a sequence, n rows of all sequences, d width, F feed-forward width, V vocabulary.

use super::MixerState;
use super::attention::{self, Rotation};
use super::delta;
use crate::Model;
use crate::passes::MOST_SHARED_ROWS;
use crate::weights::{Block, Matrix, Mixer};
use nestor_kernels::{CodeRows, add_in_place, rms_norm, swiglu};

/// Tokens of one text and the state that they change.
#[derive(Debug)]
pub(crate) struct Sequence {
    /// Stages that it runs.
    pub stages: usize,
    /// Tokens before these.
    pub position: usize,
    /// One for each block of its stages.
    pub states: Vec<MixerState>,
    /// The tokens, all of the vocabulary.
    pub tokens: Vec<u32>,
    /// Receives the rows of every exit, `[T, d]` each.
    pub exits: Vec<Vec<f32>>,
}

/// Buffers that are kept between passes; they carry nothing from one to the next.
#[derive(Debug, Default)]
pub(crate) struct Scratch {
    normed: Vec<f32>,
    mixed: Vec<f32>,
    wide: Vec<f32>,
    inner: Vec<f32>,
    codes: CodeRows,
    delta: delta::Scratch,
    attention: attention::Scratch,
}

/// Sends the tokens of all sequences through the network. Sequences with more stages come first.
///
/// # Panics
/// When they do not, or a state is missing.
pub(crate) fn forward(
    model: &Model,
    sequences: &mut [Sequence],
    threads: usize,
    scratch: &mut Scratch,
) {
    assert!(
        sequences.is_sorted_by(|a, b| a.stages >= b.stages),
        "sequences with more stages come first"
    );
    let (config, weights) = (model.config(), &model.weights);
    let (d, eps) = (config.width, config.norm_eps as f32);
    let rows: usize = sequences.iter().map(|one| one.tokens.len()).sum();
    let mut x = vec![0.0; rows * d];
    let tokens = sequences.iter().flat_map(|one| &one.tokens);
    for (row, token) in x.chunks_exact_mut(d).zip(tokens) {
        let embedding = &weights.embedding[*token as usize * d..][..d];
        rms_norm(embedding, &[], eps, row);
    }
    let rotations: Vec<Rotation> = sequences
        .iter()
        .map(|one| Rotation::new(config, one.position, one.tokens.len()))
        .collect();
    let mut first_block = 0;
    for (s, stage) in weights.stages.iter().enumerate() {
        // Those that end before this stage stand behind the others.
        let going_on = sequences.partition_point(|one| one.stages > s);
        let sequences = &mut sequences[..going_on];
        let rows: usize = sequences.iter().map(|one| one.tokens.len()).sum();
        x.truncate(rows * d);
        if rows == 0 {
            return;
        }
        for (b, block) in stage.blocks.iter().enumerate() {
            norm_rows(&x, &block.mixer_norm, eps, &mut scratch.normed);
            let states = sequences
                .iter_mut()
                .map(|one| (one.tokens.len(), &mut one.states[first_block + b]));
            mix(model, block, states.zip(&rotations), rows, threads, scratch);
            add_in_place(&mut x, &scratch.mixed);
            norm_rows(&x, &block.ffn_norm, eps, &mut scratch.normed);
            feed_forward(block, config.ffn, rows, threads, scratch);
            add_in_place(&mut x, &scratch.mixed);
        }
        first_block += stage.blocks.len();
        let Scratch {
            normed,
            mixed,
            inner,
            codes,
            ..
        } = scratch;
        let exit = &stage.exit;
        norm_rows(&x, &exit.norm, eps, normed);
        project(normed, &exit.down, inner, codes, threads);
        project(inner, &exit.up, mixed, codes, threads);
        add_in_place(normed, mixed);
        let mut rest = normed.as_slice();
        for one in sequences {
            let (rows, behind) = rest.split_at(one.tokens.len() * d);
            one.exits[s].extend_from_slice(rows);
            rest = behind;
        }
    }
}

/// The product of rows `[n, d]` of any exits with the head: `logits` receives `[n, V]`. Few rows go together with those of other threads,
/// where the model's passes are shared.
pub(crate) fn head_logits(model: &Model, rows: &[f32], logits: &mut [f32], threads: usize) {
    match model.passes() {
        Some(passes) if rows.len() <= MOST_SHARED_ROWS * model.config().width => {
            logits.copy_from_slice(&passes.head(model, rows));
        }
        _ => head_product(model, rows, logits, threads),
    }
}

/// [`head_logits`], alone.
pub(crate) fn head_product(model: &Model, rows: &[f32], logits: &mut [f32], threads: usize) {
    let head = &model.weights.head;
    head.product(rows, logits, &mut CodeRows::default(), threads);
}

/// The mixer of a block: reads `scratch.normed [n, d]`, leaves its result in `scratch.mixed`. `sequences` has the tokens, the state and the
/// angles of each sequence.
fn mix<'a>(
    model: &Model,
    block: &Block,
    sequences: impl Iterator<Item = ((usize, &'a mut MixerState), &'a Rotation)>,
    rows: usize,
    threads: usize,
    scratch: &mut Scratch,
) {
    let Scratch {
        normed,
        mixed,
        wide,
        inner,
        codes,
        delta,
        attention,
    } = scratch;
    let config = model.config();
    let (input, output) = match &block.mixer {
        Mixer::Delta(weights) => (&weights.in_proj, &weights.out_proj),
        Mixer::Attention(weights) => (&weights.qkv, &weights.out_proj),
    };
    project(normed, input, wide, codes, threads);
    inner.resize(rows * output.inputs(), 0.0);
    let (mut wide, mut out) = (wide.as_mut_slice(), inner.as_mut_slice());
    for ((time, state), rotation) in sequences {
        let (projected, wide_behind) = wide.split_at_mut(time * input.outputs());
        let (read, out_behind) = out.split_at_mut(time * output.inputs());
        match (&block.mixer, state) {
            (Mixer::Delta(weights), MixerState::Delta(state)) => {
                state.advance(config, weights, projected, time, read, delta);
            }
            (Mixer::Attention(weights), MixerState::Attention(state)) => {
                state.advance(config, weights, rotation, projected, read, attention);
            }
            _ => unreachable!("Session::new made the states from the same blocks"),
        }
        (wide, out) = (wide_behind, out_behind);
    }
    project(inner, output, mixed, codes, threads);
}

/// SwiGLU: reads `scratch.normed`, leaves its result in `scratch.mixed`.
fn feed_forward(block: &Block, ffn: usize, rows: usize, threads: usize, scratch: &mut Scratch) {
    let Scratch {
        normed,
        mixed,
        wide,
        inner,
        codes,
        ..
    } = scratch;
    project(normed, &block.gate_up, wide, codes, threads);
    inner.resize(rows * ffn, 0.0);
    for (gate_up, out) in wide.chunks_exact(2 * ffn).zip(inner.chunks_exact_mut(ffn)) {
        swiglu(gate_up, out);
    }
    project(inner, &block.down, mixed, codes, threads);
}

fn norm_rows(x: &[f32], gain: &[f32], eps: f32, out: &mut Vec<f32>) {
    out.resize(x.len(), 0.0);
    for (x, out) in x
        .chunks_exact(gain.len())
        .zip(out.chunks_exact_mut(gain.len()))
    {
        rms_norm(x, gain, eps, out);
    }
}

/// `out = x W` for `x [rows, in]`.
fn project(x: &[f32], w: &Matrix, out: &mut Vec<f32>, codes: &mut CodeRows, threads: usize) {
    out.resize(x.len() / w.inputs() * w.outputs(), 0.0);
    w.product(x, out, codes, threads);
}
