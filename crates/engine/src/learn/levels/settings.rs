//! `memories.json` of a model folder: how fast the memories learn and forget, as it was fitted after training.
//!
//! The page docs/model-folder.md is the contract. Everything that the file does not name stays as in [`LevelMemoriesConfig::default`].

use super::{LevelMemoriesConfig, check_size};
use crate::EngineError;
use serde::{Deserialize, Serialize};
use std::path::Path;

/// The version of `memories.json` that this program reads.
const FORMAT_VERSION: u32 = 1;

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    format_version: u32,
    delta_rate: f32,
    delta_decay: f32,
    mlp_rate: f32,
    mlp_decay: f32,
    period: usize,
}

impl LevelMemoriesConfig {
    /// What `memories.json` holds of it.
    #[must_use]
    pub fn to_json(&self) -> String {
        let written = Written {
            format_version: FORMAT_VERSION,
            delta_rate: self.delta.rate,
            delta_decay: self.delta.decay,
            mlp_rate: self.mlp.rate,
            mlp_decay: self.mlp.decay,
            period: self.period,
        };
        let mut text = serde_json::to_string_pretty(&written).unwrap_or_default();
        text.push('\n');
        text
    }

    /// Reads `memories.json`.
    ///
    /// # Errors
    /// [`EngineError::File`] for what is no such file or a field that makes no sense; [`EngineError::FormatVersion`].
    pub fn load(path: &Path) -> Result<Self, EngineError> {
        let wrong = |reason: String| EngineError::File {
            path: path.to_path_buf(),
            reason,
        };
        let text = std::fs::read_to_string(path).map_err(|error| wrong(error.to_string()))?;
        let written: Written =
            serde_json::from_str(&text).map_err(|error| wrong(error.to_string()))?;
        if written.format_version != FORMAT_VERSION {
            return Err(EngineError::FormatVersion {
                path: path.to_path_buf(),
                found: written.format_version.to_string(),
                supported: FORMAT_VERSION,
            });
        }
        let mut config = Self::default();
        config.delta.rate = written.delta_rate;
        config.delta.decay = written.delta_decay;
        config.mlp.rate = written.mlp_rate;
        config.mlp.decay = written.mlp_decay;
        config.period = written.period;
        let checked = config.delta.validate();
        let checked = checked.and_then(|()| config.mlp.validate());
        checked
            .and_then(|()| check_size("period", config.period))
            .map_err(|error| wrong(error.to_string()))?;
        Ok(config)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_and_what_makes_no_sense_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("memories.json");
        let mut config = LevelMemoriesConfig {
            period: 2048,
            ..LevelMemoriesConfig::default()
        };
        config.delta.rate = 0.25;
        config.mlp.decay = 0.0;
        std::fs::write(&path, config.to_json()).unwrap();
        assert_eq!(LevelMemoriesConfig::load(&path).unwrap(), config);
        for (from, to, named) in [
            (
                "\"format_version\": 1",
                "\"format_version\": 2",
                "format_version is 2",
            ),
            ("\"delta_rate\": 0.25", "\"delta_rate\": -1", "rate is -1"),
            ("\"period\": 2048", "\"period\": 0", "period is 0"),
            ("\"period\": 2048", "\"periods\": 2048", "periods"),
            ("{", "[", "expected"),
        ] {
            std::fs::write(&path, config.to_json().replacen(from, to, 1)).unwrap();
            let message = LevelMemoriesConfig::load(&path).unwrap_err().to_string();
            assert!(message.contains("memories.json"), "{message}");
            assert!(message.contains(named), "{message}");
        }
    }
}
