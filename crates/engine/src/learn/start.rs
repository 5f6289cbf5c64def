//! What level 3's memory starts from, as it was learned over many small projects: `memories.safetensors` of a model folder.
//!
//! Two tensors, `w_a` `[d, r]` and `w_b` `[r, d]`. The page docs/model-folder.md is the contract.

use super::MlpWeights;
use crate::EngineError;
use crate::model::{read_plain_tensors, sha256_hex};
use safetensors::tensor::TensorView;
use safetensors::{Dtype, serialize};
use std::path::Path;
use std::sync::Arc;

/// A learned start.
#[derive(Debug, Clone)]
pub struct MemoryStart {
    /// The two matrices.
    pub weights: Arc<MlpWeights>,
    /// Of the file's bytes.
    pub sha256: String,
}

impl MemoryStart {
    /// Reads `memories.safetensors` for a network of a width and a memory of some hidden units.
    ///
    /// # Errors
    /// [`EngineError::File`] or [`EngineError::Tensor`] naming the file, and the tensor that is wrong.
    pub fn load(path: &Path, width: usize, hidden: usize) -> Result<Self, EngineError> {
        let bytes = std::fs::read(path).map_err(|error| EngineError::File {
            path: path.to_path_buf(),
            reason: error.to_string(),
        })?;
        let shapes = [("w_a", [width, hidden]), ("w_b", [hidden, width])];
        let [w_a, w_b] = read_plain_tensors(path, &bytes, &shapes)?;
        Ok(Self {
            weights: Arc::new(MlpWeights { w_a, w_b }),
            sha256: sha256_hex(&bytes),
        })
    }
}

impl MlpWeights {
    /// The bytes of `memories.safetensors` for a width: codes of 8 bits with a scale a column.
    ///
    /// # Errors
    /// [`EngineError::File`] for matrices that are not of the width.
    pub fn to_safetensors(&self, width: usize) -> Result<Vec<u8>, EngineError> {
        let hidden = self.w_a.len() / width.max(1);
        let wrong = |error: safetensors::SafeTensorError| EngineError::File {
            path: "memories.safetensors".into(),
            reason: error.to_string(),
        };
        let (a, a_scales) = codes_of(&self.w_a, hidden);
        let (b, b_scales) = codes_of(&self.w_b, width);
        let codes = |shape: [usize; 2], bytes| TensorView::new(Dtype::I8, shape.to_vec(), bytes);
        let scales = |n: usize, bytes| TensorView::new(Dtype::F32, vec![n], bytes);
        let tensors = [
            ("w_a", codes([width, hidden], &a)),
            ("w_a.scale", scales(hidden, &a_scales)),
            ("w_b", codes([hidden, width], &b)),
            ("w_b.scale", scales(width, &b_scales)),
        ];
        let mut views = Vec::with_capacity(tensors.len());
        for (name, view) in tensors {
            views.push((name, view.map_err(wrong)?));
        }
        serialize(views, None).map_err(wrong)
    }
}

/// Bytes of the codes of a matrix with so many columns, and of their scales.
fn codes_of(values: &[f32], columns: usize) -> (Vec<u8>, Vec<u8>) {
    let mut largest = vec![0.0f32; columns];
    for row in values.chunks_exact(columns.max(1)) {
        for (largest, value) in largest.iter_mut().zip(row) {
            *largest = largest.max(value.abs());
        }
    }
    let scales: Vec<f32> = largest.iter().map(|x| (x / 127.0).max(1e-12)).collect();
    let codes = values.iter().zip(scales.iter().cycle());
    let codes = codes.map(|(value, scale)| (value / scale).round().clamp(-127.0, 127.0) as i8);
    (
        codes.flat_map(i8::to_le_bytes).collect(),
        scales
            .iter()
            .flat_map(|scale| scale.to_le_bytes())
            .collect(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::learn::tests::noise;

    #[test]
    fn a_start_is_read_as_it_was_written_and_another_shape_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("memories.safetensors");
        let weights = MlpWeights {
            w_a: noise(1, 8 * 3),
            w_b: noise(2, 8 * 3),
        };
        std::fs::write(&path, weights.to_safetensors(8).unwrap()).unwrap();
        let start = MemoryStart::load(&path, 8, 3).unwrap();
        let read = start.weights.w_a.iter().chain(&start.weights.w_b);
        for (read, written) in read.zip(weights.w_a.iter().chain(&weights.w_b)) {
            assert!((read - written).abs() < 1.0 / 250.0, "{read} {written}");
        }
        assert_eq!(start.sha256.len(), 64);
        for (width, hidden) in [(8, 4), (4, 6), (3, 8)] {
            let message = MemoryStart::load(&path, width, hidden)
                .unwrap_err()
                .to_string();
            assert!(
                message.contains("memories.safetensors: tensor w_a: shape"),
                "{message}"
            );
        }
        for bytes in [&b"half"[..], b""] {
            std::fs::write(&path, bytes).unwrap();
            let message = MemoryStart::load(&path, 8, 3).unwrap_err().to_string();
            assert!(message.contains("not a safetensors file"), "{message}");
        }
        let floats = |nan: f32| {
            let mut values = weights.w_b.clone();
            values[5] = nan;
            let bytes = |values: &[f32]| values.iter().flat_map(|x| x.to_le_bytes()).collect();
            let (w_a, w_b): (Vec<u8>, Vec<u8>) = (bytes(&weights.w_a), bytes(&values));
            let view = |shape: &[usize], bytes| TensorView::new(Dtype::F32, shape.to_vec(), bytes);
            let tensors = [
                ("w_a", view(&[8, 3], &w_a).unwrap()),
                ("w_b", view(&[3, 8], &w_b).unwrap()),
            ];
            serialize(tensors, None).unwrap()
        };
        std::fs::write(&path, floats(0.5)).unwrap();
        let start = MemoryStart::load(&path, 8, 3).unwrap();
        assert_eq!(start.weights.w_a, weights.w_a);
        std::fs::write(&path, floats(f32::NAN)).unwrap();
        let message = MemoryStart::load(&path, 8, 3).unwrap_err().to_string();
        assert!(message.contains("w_b: element 5"), "{message}");
    }
}
