//! What the study compares, and its settings.

use crate::Failure;
use nestor_engine::{ExitMlpConfig, Optimiser, OutputDeltaConfig};

/// A distribution that a mixture may contain beside the counts.
#[derive(Clone, Copy, PartialEq)]
pub enum Part {
    /// An exit as it was trained, from 0.
    Exit(usize),
    /// Exit 2 or 3 (from 0) with an output delta of its own.
    Delta(usize),
    /// Exit 3 with the MLP.
    Mlp,
    /// Exit 3 with the MLP and an output delta over it.
    MlpDelta,
    /// Nearest states of exit 3.
    Nearest,
    /// Exit 3 with a matrix memory, 0 by the delta rule, 1 by HOPE's.
    Matrix(usize),
}

/// All of them.
pub const PARTS: [Part; 10] = [
    Part::Exit(0),
    Part::Exit(1),
    Part::Exit(2),
    Part::Delta(1),
    Part::Delta(2),
    Part::Mlp,
    Part::MlpDelta,
    Part::Nearest,
    Part::Matrix(0),
    Part::Matrix(1),
];

/// Sets of parts that are compared.
pub const SETS: [(&str, &[usize]); 11] = [
    ("counts", &[]),
    ("none", &[0, 1, 2]),
    ("delta2", &[0, 3, 2]),
    ("delta3", &[0, 1, 4]),
    ("mlp3", &[0, 1, 5]),
    ("delta2+mlp3", &[0, 3, 5]),
    ("delta2+mlp3+delta3", &[0, 3, 6]),
    ("nearest", &[0, 1, 2, 7]),
    ("all", &[0, 3, 6, 7]),
    ("matrix3", &[0, 1, 8]),
    ("hope3", &[0, 1, 9]),
];

/// What the MLP's weights are before a project.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum StartOfMlp {
    /// As a new MLP has them.
    Fresh,
    /// The mean of what they become on each withheld project.
    Learned,
    /// Those of the model folder.
    Model,
}

/// What is typed as `key=value`; main.rs says what each is.
#[derive(Clone)]
pub struct Settings {
    /// Pieces of each stream.
    pub pieces: usize,
    /// Pieces between two that are scored.
    pub stride: usize,
    /// Pieces of each withheld project.
    pub fit_pieces: usize,
    /// Pieces between two that gates are fitted on.
    pub fit_stride: usize,
    /// Rate of the output deltas.
    pub rate2: f32,
    /// Pieces between two of their steps.
    pub period2: usize,
    /// Rate of the MLP.
    pub rate3: f32,
    /// Its hidden width.
    pub hidden: usize,
    /// Pieces between two of its steps.
    pub period3: usize,
    /// What makes its steps.
    pub optimiser3: Optimiser,
    /// What it begins at.
    pub start3: StartOfMlp,
    /// Rate of the matrix memories.
    pub rate_m: f32,
    /// What their values are scaled by.
    pub gain_m: f32,
    /// Neighbours that the episodic memory looks up.
    pub k: usize,
    /// Temperature of their weights.
    pub temperature: f32,
    /// Indices of the sets that are compared; none stands for all parts.
    pub sets: Vec<usize>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            pieces: 60_000,
            stride: 4,
            fit_pieces: 120_000,
            fit_stride: 8,
            rate2: OutputDeltaConfig::default().rate,
            period2: 64,
            rate3: ExitMlpConfig::default().rate,
            hidden: ExitMlpConfig::default().hidden,
            period3: 4096,
            optimiser3: ExitMlpConfig::default().optimiser,
            start3: StartOfMlp::Fresh,
            rate_m: 0.5,
            gain_m: 1.0,
            k: 24,
            temperature: 0.02,
            sets: (0..SETS.len()).collect(),
        }
    }
}

impl Settings {
    /// Whether a part is computed: without sets all are.
    pub fn wants(&self, part: Part) -> bool {
        let has = |set: &usize| {
            let mut parts = SETS[*set].1.iter().map(|i| PARTS[*i]);
            // The delta over the MLP learns from rows that the MLP has corrected.
            parts.any(|had| had == part || (had == Part::MlpDelta && part == Part::Mlp))
        };
        self.sets.is_empty() || part == Part::Exit(2) || self.sets.iter().any(has)
    }

    /// Sets one.
    ///
    /// # Errors
    /// A sentence that names what is wrong.
    pub fn set(&mut self, key: &str, value: &str) -> Result<(), Failure> {
        match key {
            "pieces" => self.pieces = value.parse()?,
            "stride" => self.stride = value.parse()?,
            "fit_pieces" => self.fit_pieces = value.parse()?,
            "fit_stride" => self.fit_stride = value.parse()?,
            "rate2" => self.rate2 = value.parse()?,
            "period2" => self.period2 = value.parse()?,
            "rate3" => self.rate3 = value.parse()?,
            "optimiser3" => {
                self.optimiser3 = match value {
                    "muon" => Optimiser::Muon,
                    "sgd" => Optimiser::Sgd,
                    _ => return Err(format!("{value}: muon or sgd").into()),
                }
            }
            "start3" => {
                self.start3 = match value {
                    "fresh" => StartOfMlp::Fresh,
                    "learned" => StartOfMlp::Learned,
                    "model" => StartOfMlp::Model,
                    _ => return Err(format!("{value}: fresh, learned or model").into()),
                }
            }
            "rate_m" => self.rate_m = value.parse()?,
            "gain_m" => self.gain_m = value.parse()?,
            "hidden" => self.hidden = value.parse()?,
            "period3" => self.period3 = value.parse()?,
            "k" => self.k = value.parse()?,
            "temperature" => self.temperature = value.parse()?,
            "sets" => {
                let find = |name: &str| {
                    let found = SETS.iter().position(|(known, _)| *known == name);
                    found.ok_or_else(|| Failure::from(format!("{name}: no such set")))
                };
                self.sets = value.split(',').map(find).collect::<Result<_, _>>()?;
            }
            _ => return Err(format!("{key}: no such setting").into()),
        }
        Ok(())
    }
}
