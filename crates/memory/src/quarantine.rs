//! Texts that harmed what levels 2 and 3 had learned: they count as before, but teach those levels nothing until they change.
//!
//! One file beside the log, for one model; where it is missing, damaged or another model's, nothing is in quarantine and the
//! harm is found anew. Called by `assist`, which finds the harm, and by whoever shows a project.

use std::path::PathBuf;

use nestor_engine::Model;
use serde::{Deserialize, Serialize};

use crate::error::MemoryError;
use crate::files;
use crate::levels::weights_of;
use crate::store::ProjectStore;
use crate::writer::ProjectWriter;

/// Name of the file in a project's folder.
pub(crate) const QUARANTINE_FILE: &str = "quarantine.json";

const FORMAT_VERSION: u32 = 1;

/// A text that teaches levels 2 and 3 nothing.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Quarantined {
    /// Its path.
    pub path: String,
    /// SHA-256 of the normalised text; another text under the path is not meant.
    pub sha256: String,
    /// What it harmed.
    pub harm: Harm,
    /// How much the loss there rose, as a share of that of a network which has learned nothing; `None` where it became no number.
    pub rise: Option<f64>,
    /// When it was found, in seconds since 1970.
    pub time: u64,
}

/// What a text can harm.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Harm {
    /// What is known of the project's own code.
    Project,
    /// What is known of code as such: a fixed text of no project.
    General,
    /// The memories gave what is no number.
    Broken,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Kept {
    format_version: u32,
    model_sha256: String,
    files: Vec<Quarantined>,
}

impl ProjectStore {
    /// The texts in quarantine that count, whichever model has found them.
    #[must_use]
    pub fn quarantined(&self) -> Vec<Quarantined> {
        let mut files = self.kept_quarantine().map_or_else(Vec::new, |k| k.files);
        files.retain(|one| self.is_current(one));
        files
    }

    /// The texts in quarantine that count, as a model has found them.
    #[must_use]
    pub fn quarantined_by(&self, model: &Model) -> Vec<Quarantined> {
        let kept = self.kept_quarantine();
        let kept = kept.filter(|kept| kept.model_sha256 == weights_of(model));
        let mut files = kept.map_or_else(Vec::new, |kept| kept.files);
        files.retain(|one| self.is_current(one));
        files
    }

    fn is_current(&self, one: &Quarantined) -> bool {
        let file = self.file(&one.path);
        file.is_some_and(|file| file.sha256 == one.sha256)
    }

    fn quarantine_path(&self) -> PathBuf {
        self.dir.join(QUARANTINE_FILE)
    }

    fn kept_quarantine(&self) -> Option<Kept> {
        let bytes = std::fs::read(self.quarantine_path()).ok()?;
        let kept: Kept = serde_json::from_slice(&bytes).ok()?;
        (kept.format_version == FORMAT_VERSION).then_some(kept)
    }
}

impl ProjectWriter {
    /// Keeps which texts are in quarantine over a model, instead of what was kept before.
    ///
    /// # Errors
    /// [`MemoryError::Io`]; what was kept before then stays.
    pub fn save_quarantine(
        &mut self,
        files: &[Quarantined],
        model: &Model,
    ) -> Result<(), MemoryError> {
        self.commit()?;
        let path = self.quarantine_path();
        let kept = Kept {
            format_version: FORMAT_VERSION,
            model_sha256: weights_of(model),
            files: files.to_vec(),
        };
        let bytes = serde_json::to_vec(&kept).map_err(|e| MemoryError::corrupt(&path, e))?;
        files::replace(&path, &bytes)
    }
}
