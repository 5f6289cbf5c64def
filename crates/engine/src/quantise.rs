//! Weights as codes of at most 8 bits in a file, and how often a model of codes says what the model of floats says.
//!
//! Called by whoever writes model folders; it must not know about folders. A tensor of codes stands under the matrix's name, the
//! scales of its columns (of the embedding: of its rows) under that name with `.scale`.

use crate::model::{read_tensor_file, scale_name};
use crate::weights::{Tensor, is_matrix, turned};
use crate::{EngineError, Model, NetworkConfig, Session, tensor_shapes};
use nestor_kernels::{Int4Panels, argmax, log_sum_exp};
use safetensors::Dtype;
use safetensors::tensor::TensorView;
use std::path::Path;
use std::sync::Arc;

/// Fewest and most bits of a code.
pub const CODE_BITS: std::ops::RangeInclusive<u8> = 4..=8;

/// The bytes of a `weights.safetensors` with its matrices as codes of `bits` bits, [`CODE_BITS`]; codes that are not
/// wider already stay. With 4 bits they are numbers of 4 bits, each times a factor that 32 inputs of an output share
/// ([`Int4Panels`]), and those of the embedding have 8 bits.
///
/// A code lies in a byte whatever its bits; a compressed file is smaller. While serving, codes of 5 to 7 bits take as long as
/// codes of 8, those of 4 bits less.
///
/// # Errors
/// [`EngineError`] that names the field or tensor that is wrong.
pub fn int8_safetensors(
    config: &NetworkConfig,
    bytes: &[u8],
    bits: u8,
) -> Result<Vec<u8>, EngineError> {
    config.validate()?;
    if !CODE_BITS.contains(&bits) {
        return Err(EngineError::Config {
            field: "bits",
            value: f64::from(bits),
            reason: "must lie between 4 and 8".into(),
        });
    }
    let mut read = read_tensor_file(Path::new("weights.safetensors"), bytes, config)?;
    let mut stored: Vec<(String, Dtype, Vec<usize>, Vec<u8>)> = Vec::new();
    for (name, shape) in tensor_shapes(config) {
        let tensor = match read(&name, &shape)? {
            Tensor::F32(values) if is_matrix(&name, &shape) => encode(&name, &shape, &values, bits),
            Tensor::Int8 { codes, scales } if wider(&name, &shape, &codes, bits) => {
                let at = |idx: usize| {
                    if name == EMBEDDING {
                        idx / shape[1]
                    } else {
                        idx % shape[1]
                    }
                };
                let codes = codes.iter().enumerate();
                let values: Vec<f32> = codes.map(|(i, c)| f32::from(*c) * scales[at(i)]).collect();
                encode(&name, &shape, &values, bits)
            }
            tensor => tensor,
        };
        match tensor {
            Tensor::F32(values) => stored.push((name, Dtype::F32, shape, bytes_of(&values))),
            Tensor::Int8 { codes, scales } => {
                let codes = codes.iter().map(|code| *code as u8).collect();
                let lengths = vec![scales.len()];
                stored.push((scale_name(&name), Dtype::F32, lengths, bytes_of(&scales)));
                stored.push((name, Dtype::I8, shape, codes));
            }
        }
    }
    let views: Result<Vec<_>, _> = stored
        .iter()
        .map(|(name, dtype, shape, data)| {
            TensorView::new(*dtype, shape.clone(), data).map(|view| (name.as_str(), view))
        })
        .collect();
    let written = views.and_then(|views| safetensors::serialize(views, None));
    written.map_err(|error| EngineError::File {
        path: "weights.safetensors".into(),
        reason: error.to_string(),
    })
}

/// The matrix whose rows have the scales.
const EMBEDDING: &str = "embedding";

/// Whether codes of a matrix need more than `bits` bits.
fn wider(name: &str, shape: &[usize], codes: &[i8], bits: u8) -> bool {
    if bits == 4 && name != EMBEDDING {
        let (rows, ones) = (turned(codes, [shape[0], shape[1]]), vec![1.0; shape[1]]);
        return Int4Panels::from_codes(&rows, &ones, shape[0]).is_none();
    }
    let bits = if bits == 4 { 8 } else { bits };
    codes
        .iter()
        .any(|code| i32::from(*code).abs() >= 1 << (bits - 1))
}

/// Codes of a matrix, in its order.
fn encode(name: &str, shape: &[usize], values: &[f32], bits: u8) -> Tensor {
    match (bits, name) {
        (4, EMBEDDING) => encode_evenly(name, shape, values, 8),
        (4, _) => {
            let [inputs, outputs] = [shape[0], shape[1]];
            let panels = Int4Panels::from_rows(&turned(values, [inputs, outputs]), inputs);
            let (mut codes, mut scales) = (vec![0; values.len()], Vec::new());
            for j in 0..outputs {
                let (scale, column) = panels.column(j);
                scales.push(scale);
                for (i, code) in column.enumerate() {
                    codes[i * outputs + j] = code;
                }
            }
            Tensor::Int8 { codes, scales }
        }
        _ => encode_evenly(name, shape, values, bits),
    }
}

/// Codes of a matrix, in its order: each output's weights to the nearest of evenly spaced numbers, the largest of which
/// is its largest weight. 8 bits are the codes that `nestor_kernels::Int8Panels` makes of floats (tested).
fn encode_evenly(name: &str, shape: &[usize], values: &[f32], bits: u8) -> Tensor {
    let largest = ((1_i32 << (bits - 1)) - 1) as f32;
    let by_rows = name == EMBEDDING;
    let (inputs, outputs) = if by_rows {
        (shape[1], shape[0])
    } else {
        (shape[0], shape[1])
    };
    let at = |i: usize, j: usize| {
        if by_rows {
            j * inputs + i
        } else {
            i * outputs + j
        }
    };
    let (mut codes, mut scales) = (vec![0; values.len()], vec![0.0; outputs]);
    for (j, scale) in scales.iter_mut().enumerate() {
        let column = || (0..inputs).map(|i| values[at(i, j)]);
        let peak = column().fold(0.0_f32, |peak, w| {
            if w.is_finite() {
                peak.max(w.abs())
            } else {
                f32::NAN
            }
        });
        // Below this the factor would not be finite; nothing that a network computes is as small.
        if peak < 1e-30 {
            continue;
        }
        *scale = peak / largest;
        let inverse = largest / peak;
        for (i, w) in column().enumerate() {
            codes[at(i, j)] = (w * inverse).round_ties_even() as i8;
        }
    }
    Tensor::Int8 { codes, scales }
}

fn bytes_of(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|x| x.to_le_bytes()).collect()
}

/// How one exit of a model agrees with the same exit of another, over positions of documents.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Agreement {
    /// Positions compared.
    pub positions: usize,
    /// Positions where both say the same most probable token.
    pub same_top: usize,
    /// Sum of the losses of the first model on the tokens that followed, in nats.
    pub loss: f64,
    /// The same of the second model.
    pub other_loss: f64,
}

/// Tokens that are compared at once.
const BLOCK: usize = 128;

/// Compares all exits of two models of one network over documents, exit by exit.
///
/// # Errors
/// [`EngineError::Stages`] for another number of stages, [`EngineError::Token`] for a token outside the vocabulary.
pub fn agreement(
    model: &Arc<Model>,
    other: &Arc<Model>,
    documents: &[&[u32]],
    threads: usize,
) -> Result<Vec<Agreement>, EngineError> {
    let stages = model.config().stages;
    let vocab = model.config().vocab;
    let mut found = vec![Agreement::default(); stages];
    for document in documents {
        let mut one = Session::new(Arc::clone(model), stages)?.with_threads(threads);
        let mut two = Session::new(Arc::clone(other), stages)?.with_threads(threads);
        for start in (0..document.len().saturating_sub(1)).step_by(BLOCK) {
            let end = (start + BLOCK).min(document.len() - 1);
            let (tokens, targets) = (&document[start..end], &document[start + 1..=end]);
            let (rows, other_rows) = (one.forward(tokens)?, two.forward(tokens)?);
            for (exit, found) in found.iter_mut().enumerate() {
                let mut logits = vec![0.0; tokens.len() * vocab];
                let mut other_logits = logits.clone();
                one.exit_logits(exit, rows.rows(exit), &mut logits)?;
                two.exit_logits(exit, other_rows.rows(exit), &mut other_logits)?;
                let pairs = logits
                    .chunks_exact(vocab)
                    .zip(other_logits.chunks_exact(vocab));
                for ((logits, other), target) in pairs.zip(targets) {
                    let loss =
                        |logits: &[f32]| f64::from(log_sum_exp(logits) - logits[*target as usize]);
                    found.positions += 1;
                    found.same_top += usize::from(argmax(logits) == argmax(other));
                    found.loss += loss(logits);
                    found.other_loss += loss(other);
                }
            }
        }
    }
    Ok(found)
}
