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
    /// The bytes of `memories.safetensors`, 16-bit floats, for a width.
    ///
    /// # Errors
    /// [`EngineError::File`] for matrices that are not of the width.
    pub fn to_safetensors(&self, width: usize) -> Result<Vec<u8>, EngineError> {
        let hidden = self.w_a.len() / width.max(1);
        let half = |values: &[f32]| -> Vec<u8> {
            let halves = values.iter().map(|x| half::f16::from_f32(*x));
            halves.flat_map(half::f16::to_le_bytes).collect()
        };
        let (w_a, w_b) = (half(&self.w_a), half(&self.w_b));
        let wrong = |error: safetensors::SafeTensorError| EngineError::File {
            path: "memories.safetensors".into(),
            reason: error.to_string(),
        };
        let view = |shape: [usize; 2], bytes| TensorView::new(Dtype::F16, shape.to_vec(), bytes);
        let tensors = [
            ("w_a", view([width, hidden], &w_a).map_err(wrong)?),
            ("w_b", view([hidden, width], &w_b).map_err(wrong)?),
        ];
        serialize(tensors, None).map_err(wrong)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::learn::tests::noise;

    #[test]
    fn a_start_is_read_as_it_was_written_and_another_shape_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("memories.safetensors");
        // Numbers that 16 bits hold.
        let values = |seed| -> Vec<f32> {
            let rounded = noise(seed, 8 * 3).into_iter();
            rounded.map(|x| half::f16::from_f32(x).to_f32()).collect()
        };
        let weights = MlpWeights {
            w_a: values(1),
            w_b: values(2),
        };
        std::fs::write(&path, weights.to_safetensors(8).unwrap()).unwrap();
        let start = MemoryStart::load(&path, 8, 3).unwrap();
        assert_eq!(*start.weights, weights);
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
        let mut broken = weights.clone();
        broken.w_b[5] = f32::NAN;
        std::fs::write(&path, broken.to_safetensors(8).unwrap()).unwrap();
        let message = MemoryStart::load(&path, 8, 3).unwrap_err().to_string();
        assert!(message.contains("w_b: element 5"), "{message}");
    }
}
