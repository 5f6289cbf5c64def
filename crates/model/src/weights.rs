//! Weights as a safetensors file, under the names of the model folder's contract.

use crate::{Mixer, ModelError, NestorBackend, Network, NetworkConfig};
use burn::module::Param;
use burn::tensor::{Tensor, TensorData};
use half::f16;
use safetensors::{Dtype, SafeTensors, tensor::TensorView};
use std::path::Path;

/// How weights are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WeightType {
    /// Four bytes a weight, exact.
    F32,
    /// Two bytes a weight, what a release ships.
    F16,
}

/// Every weight as `(name, shape, values)`, in a fixed order.
pub fn named_tensors<B: NestorBackend>(
    network: &Network<B>,
) -> Vec<(String, Vec<usize>, Vec<f32>)> {
    let mut out = Vec::new();
    let mut network = network.clone();
    visit(&mut network, &mut |name, slot| {
        let data = match slot {
            Slot::Vector(param) => param.val().into_data(),
            Slot::Matrix(param) => param.val().into_data(),
        };
        let shape = data.shape.as_slice().to_vec();
        out.push((
            name,
            shape,
            data.into_vec::<f32>().expect("parameters are f32"),
        ));
        Ok(())
    })
    .expect("reading parameters cannot fail");
    out
}

/// Writes the weights; the file appears whole or not at all.
///
/// # Errors
/// [`ModelError::File`] when the file cannot be written.
pub fn save_weights<B: NestorBackend>(
    network: &Network<B>,
    path: &Path,
    kind: WeightType,
) -> Result<(), ModelError> {
    let failed = |reason: String| ModelError::File {
        path: path.to_owned(),
        reason,
    };
    let stored: Vec<(String, Vec<usize>, Vec<u8>)> = named_tensors(network)
        .into_iter()
        .map(|(name, shape, values)| {
            let bytes = match kind {
                WeightType::F32 => values.iter().flat_map(|v| v.to_le_bytes()).collect(),
                WeightType::F16 => values
                    .iter()
                    .flat_map(|v| f16::from_f32(*v).to_le_bytes())
                    .collect(),
            };
            (name, shape, bytes)
        })
        .collect();
    let dtype = match kind {
        WeightType::F32 => Dtype::F32,
        WeightType::F16 => Dtype::F16,
    };
    let views = stored
        .iter()
        .map(|(name, shape, bytes)| {
            let view = TensorView::new(dtype, shape.clone(), bytes);
            view.map(|view| (name.as_str(), view))
                .map_err(|e| failed(e.to_string()))
        })
        .collect::<Result<Vec<_>, _>>()?;
    let bytes = safetensors::serialize(views, None).map_err(|e| failed(e.to_string()))?;
    let partial = path.with_extension("partial");
    let write = || {
        let mut file = std::fs::File::create(&partial)?;
        std::io::Write::write_all(&mut file, &bytes)?;
        file.sync_all()?;
        std::fs::rename(&partial, path)
    };
    write().map_err(|e: std::io::Error| {
        // Nothing half-written stays behind; that it cannot be removed either adds no news.
        let _ = std::fs::remove_file(&partial);
        failed(e.to_string())
    })
}

/// Reads weights into a network of the given sizes: floats, or codes with their scales; a file whose name ends in `.zst`
/// is unpacked.
///
/// # Errors
/// [`ModelError::File`] for a file that is no safetensors file, [`ModelError::Tensor`] for a
/// tensor that is missing, superfluous, or of another shape or type.
pub fn load_weights<B: NestorBackend>(
    config: &NetworkConfig,
    path: &Path,
    device: &B::Device,
) -> Result<Network<B>, ModelError> {
    config.validate()?;
    let failed = |reason: String| ModelError::File {
        path: path.to_owned(),
        reason,
    };
    let bytes = read(path).map_err(|e| failed(e.to_string()))?;
    let tensors = SafeTensors::deserialize(&bytes).map_err(|e| failed(e.to_string()))?;
    let mut network = Network::<B>::new(config, 0, device);
    let mut known = Vec::new();
    visit(&mut network, &mut |name, slot| {
        let wrong = |reason: String| ModelError::Tensor {
            path: path.to_owned(),
            tensor: name.clone(),
            reason,
        };
        let view = tensors.tensor(&name).map_err(|e| wrong(e.to_string()))?;
        let expected = match &slot {
            Slot::Vector(param) => param.dims().to_vec(),
            Slot::Matrix(param) => param.dims().to_vec(),
        };
        if view.shape() != expected {
            return Err(wrong(format!(
                "shape {:?}, {expected:?} is needed",
                view.shape()
            )));
        }
        let values: Vec<f32> = match view.dtype() {
            Dtype::F32 => view
                .data()
                .chunks_exact(4)
                .map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]]))
                .collect(),
            Dtype::F16 => view
                .data()
                .chunks_exact(2)
                .map(|b| f16::from_le_bytes([b[0], b[1]]).to_f32())
                .collect(),
            Dtype::I8 => {
                let scale = format!("{name}.scale");
                let values = decode(&tensors, &name, &scale, &view).map_err(wrong)?;
                known.push(scale);
                values
            }
            other => return Err(wrong(format!("type {other:?}, F32, F16 or I8 is needed"))),
        };
        let data = TensorData::new(values, expected);
        match slot {
            Slot::Vector(param) => {
                *param =
                    Param::initialized(param.id, Tensor::from_data(data, device).require_grad());
            }
            Slot::Matrix(param) => {
                *param =
                    Param::initialized(param.id, Tensor::from_data(data, device).require_grad());
            }
        }
        known.push(name);
        Ok(())
    })?;
    match tensors
        .names()
        .into_iter()
        .find(|name| !known.iter().any(|known| known == *name))
    {
        None => Ok(network),
        Some(name) => Err(ModelError::Tensor {
            path: path.to_owned(),
            tensor: name.to_owned(),
            reason: "no place in a network of these sizes".to_owned(),
        }),
    }
}

/// The bytes of a file of weights, unpacked.
fn read(path: &Path) -> std::io::Result<Vec<u8>> {
    /// More than any network of ours.
    const MOST: u64 = 1 << 31;
    if path.extension().is_none_or(|end| end != "zst") {
        return std::fs::read(path);
    }
    let mut bytes = Vec::new();
    let file = zstd::Decoder::new(std::fs::File::open(path)?)?;
    std::io::Read::read_to_end(&mut std::io::Read::take(file, MOST), &mut bytes)?;
    Ok(bytes)
}

/// The weights that codes stand for: each column of a matrix has a scale, of the embedding each row.
fn decode(
    tensors: &SafeTensors<'_>,
    name: &str,
    scale: &str,
    codes: &TensorView<'_>,
) -> Result<Vec<f32>, String> {
    let &[rows, columns] = codes.shape() else {
        return Err("only matrices may be codes".to_owned());
    };
    let by_rows = name == "embedding";
    let scales = tensors.tensor(scale).map_err(|e| e.to_string())?;
    let expected = if by_rows { rows } else { columns };
    if scales.dtype() != Dtype::F32 || scales.shape() != [expected] {
        return Err(format!("{scale} is no row of {expected} F32"));
    }
    let scales: Vec<f32> = scales
        .data()
        .chunks_exact(4)
        .map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]]))
        .collect();
    let of = |at: usize| scales[if by_rows { at / columns } else { at % columns }];
    let codes = codes.data().iter().enumerate();
    Ok(codes
        .map(|(at, code)| f32::from(*code as i8) * of(at))
        .collect())
}

enum Slot<'a, B: NestorBackend> {
    Vector(&'a mut Param<Tensor<B, 1>>),
    Matrix(&'a mut Param<Tensor<B, 2>>),
}

/// What is done with every parameter.
type See<'a, B> = dyn FnMut(String, Slot<'_, B>) -> Result<(), ModelError> + 'a;

/// Shows every parameter with its name.
fn visit<B: NestorBackend>(
    network: &mut Network<B>,
    see: &mut See<'_, B>,
) -> Result<(), ModelError> {
    see("embedding".to_owned(), Slot::Matrix(&mut network.embedding))?;
    for (s, stage) in network.stages.iter_mut().enumerate() {
        for (b, block) in stage.blocks.iter_mut().enumerate() {
            let name = |part: &str| format!("stages.{s}.blocks.{b}.{part}");
            see(name("mixer_norm"), Slot::Vector(&mut block.mixer_norm))?;
            match &mut block.mixer {
                Mixer::Delta(mixer) => {
                    see(name("mixer.in_proj"), Slot::Matrix(&mut mixer.in_proj))?;
                    see(name("mixer.conv"), Slot::Matrix(&mut mixer.conv))?;
                    see(name("mixer.a_log"), Slot::Vector(&mut mixer.a_log))?;
                    see(name("mixer.dt_bias"), Slot::Vector(&mut mixer.dt_bias))?;
                    see(name("mixer.out_norm"), Slot::Vector(&mut mixer.out_norm))?;
                    see(name("mixer.out_proj"), Slot::Matrix(&mut mixer.out_proj))?;
                }
                Mixer::Attention(mixer) => {
                    see(name("mixer.qkv"), Slot::Matrix(&mut mixer.qkv))?;
                    see(name("mixer.q_norm"), Slot::Vector(&mut mixer.q_norm))?;
                    see(name("mixer.k_norm"), Slot::Vector(&mut mixer.k_norm))?;
                    see(name("mixer.out_proj"), Slot::Matrix(&mut mixer.out_proj))?;
                }
            }
            see(name("ffn_norm"), Slot::Vector(&mut block.ffn_norm))?;
            see(name("ffn.gate_up"), Slot::Matrix(&mut block.gate_up))?;
            see(name("ffn.down"), Slot::Matrix(&mut block.down))?;
        }
    }
    for (s, exit) in network.exits.iter_mut().enumerate() {
        see(format!("exits.{s}.norm"), Slot::Vector(&mut exit.norm))?;
        see(format!("exits.{s}.down"), Slot::Matrix(&mut exit.down))?;
        see(format!("exits.{s}.up"), Slot::Matrix(&mut exit.up))?;
    }
    Ok(())
}
