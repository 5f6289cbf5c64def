//! The gate: features of a position -> weights of the components (exits and nests), by one hidden layer and a softmax.
//!
//! One fitted gate per component set ([`GATE_SETS`]); [`GateSet`] is `gate.json` of a model folder. Called by `engine` to
//! mix and by `gate_fit` to learn; knows nothing of how features or components came about.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::error::CacheError;
use crate::features::MAX_COMPONENTS;
use crate::format::{read_file, write_file};

/// Names of the fitted gates and the exits (1 is the first) each one mixes with the nests.
pub const GATE_SETS: [(&str, &[usize]); 7] = [
    ("cache", &[]),
    ("level1", &[1]),
    ("level2", &[2]),
    ("level3", &[3]),
    ("fast", &[1]),
    ("balanced", &[1, 2]),
    ("accurate", &[1, 2, 3]),
];

/// Gates for a project whose memories have learned: the exits as the memories change them, and what followed the nearest
/// states as one component more. Same form as [`GATE_SETS`].
pub const MEMORY_GATE_SETS: [(&str, &[usize]); 4] = [
    ("level2-memory", &[2]),
    ("level3-memory", &[3]),
    ("balanced-memory", &[1, 2]),
    ("accurate-memory", &[1, 2, 3]),
];

/// Largest hidden layer.
pub const MAX_HIDDEN: usize = 64;

/// Most features a gate takes.
pub const MAX_FEATURES: usize = 256;

const FORMAT_VERSION: u32 = 1;

/// Names of a set's components: `exit1`, .., `corpus`, `project`, `file`.
pub fn component_names(exits: &[usize]) -> Vec<String> {
    let nests = ["corpus", "project", "file"].map(str::to_owned);
    exits
        .iter()
        .map(|exit| format!("exit{exit}"))
        .chain(nests)
        .collect()
}

/// Names of the components of a set of [`MEMORY_GATE_SETS`]: `exit1`, .., `nearest`, `corpus`, `project`, `file`.
pub fn memory_component_names(exits: &[usize]) -> Vec<String> {
    let mut names = component_names(exits);
    names.insert(exits.len(), "nearest".to_owned());
    names
}

/// A fitted gate. Letters: F features, H hidden units, C components.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Gate {
    /// Names of the components, `[C]`.
    pub components: Vec<String>,
    /// Divides the logits of each component before its softmax, `[C]`; 1 for nests.
    pub temperatures: Vec<f32>,
    /// Subtracted from the features, `[F]`.
    pub(crate) means: Vec<f32>,
    /// Divides the features after that, `[F]`.
    pub(crate) scales: Vec<f32>,
    /// `[H, F]`, row-major.
    pub(crate) hidden: Vec<f32>,
    /// `[H]`.
    pub(crate) hidden_bias: Vec<f32>,
    /// `[C, H]`, row-major.
    pub(crate) output: Vec<f32>,
    /// `[C, F]`, row-major: the linear path beside the hidden layer.
    pub(crate) direct: Vec<f32>,
    /// `[C]`.
    pub(crate) output_bias: Vec<f32>,
    /// How far each component is heard by its logarithm, `[C]` or none; see [`crate::refine()`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub exponents: Vec<f32>,
}

impl Gate {
    /// A gate that weighs all components equally, whatever the features are.
    ///
    /// # Errors
    /// [`CacheError::Gate`] when there are no components or more than [`MAX_COMPONENTS`].
    pub fn uniform(components: &[String], features: usize) -> Result<Self, CacheError> {
        let gate = Self {
            components: components.to_vec(),
            temperatures: vec![1.0; components.len()],
            means: vec![0.0; features],
            scales: vec![1.0; features],
            hidden: Vec::new(),
            hidden_bias: Vec::new(),
            output: Vec::new(),
            direct: vec![0.0; components.len() * features],
            output_bias: vec![0.0; components.len()],
            exponents: Vec::new(),
        };
        gate.check("uniform")?;
        Ok(gate)
    }

    /// Number of features, F.
    pub fn features(&self) -> usize {
        self.means.len()
    }

    /// Writes the components' weights (`[C]`, positive, summing to 1) for `features` (`[F]`).
    ///
    /// # Errors
    /// [`CacheError::Gate`] when a length is wrong.
    pub fn weights(&self, features: &[f32], out: &mut [f32]) -> Result<(), CacheError> {
        let (f, c, h) = (
            self.features(),
            self.components.len(),
            self.hidden_bias.len(),
        );
        if features.len() != f || out.len() != c {
            return Err(gate_error(
                &self.components.join("+"),
                format!(
                    "takes {f} features to {c} weights, got {} to {}",
                    features.len(),
                    out.len()
                ),
            ));
        }
        let mut inputs = [0.0f32; MAX_FEATURES];
        for i in 0..f {
            inputs[i] = standardise(features[i], self.means[i], self.scales[i]);
        }
        let inputs = &inputs[..f];
        out.copy_from_slice(&self.output_bias);
        for unit in 0..h {
            let row = &self.hidden[unit * f..(unit + 1) * f];
            let activation = (dot(row, inputs) + self.hidden_bias[unit]).tanh();
            for component in 0..c {
                out[component] += self.output[component * h + unit] * activation;
            }
        }
        for component in 0..c {
            out[component] += dot(&self.direct[component * f..(component + 1) * f], inputs);
        }
        softmax(out);
        Ok(())
    }

    /// Checks that the shapes fit together and every number is finite.
    pub(crate) fn check(&self, name: &str) -> Result<(), CacheError> {
        let (f, c, h) = (
            self.features(),
            self.components.len(),
            self.hidden_bias.len(),
        );
        if c == 0 || c > MAX_COMPONENTS || h > MAX_HIDDEN || f > MAX_FEATURES {
            return Err(gate_error(
                name,
                format!(
                    "{f} features, {h} hidden units, {c} components: at most {MAX_FEATURES}, {MAX_HIDDEN} and 1 to {MAX_COMPONENTS} are supported"
                ),
            ));
        }
        self.check_exponents(name)?;
        let shapes = [
            ("temperatures", &self.temperatures, c),
            ("scales", &self.scales, f),
            ("hidden", &self.hidden, h * f),
            ("output", &self.output, c * h),
            ("direct", &self.direct, c * f),
            ("output_bias", &self.output_bias, c),
            ("means", &self.means, f),
            ("hidden_bias", &self.hidden_bias, h),
        ];
        for (field, values, expected) in shapes {
            if values.len() != expected {
                return Err(gate_error(
                    name,
                    format!("{field} has {} numbers, {expected} expected", values.len()),
                ));
            }
            if !values.iter().all(|value| value.is_finite()) {
                return Err(gate_error(
                    name,
                    format!("{field} holds a number that is not finite"),
                ));
            }
        }
        if self
            .scales
            .iter()
            .chain(&self.temperatures)
            .any(|&value| value <= 0.0)
        {
            return Err(gate_error(
                name,
                "scales and temperatures must be positive".to_owned(),
            ));
        }
        Ok(())
    }
}

/// Features far outside what was seen in fitting must not saturate the gate.
pub(crate) fn standardise(feature: f32, mean: f32, scale: f32) -> f32 {
    ((feature - mean) / scale).clamp(-5.0, 5.0)
}

pub(crate) fn softmax(values: &mut [f32]) {
    let maximum = values.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let mut total = 0.0;
    for value in values.iter_mut() {
        *value = (*value - maximum).exp();
        total += *value;
    }
    for value in values {
        *value /= total;
    }
}

/// Dot product in fixed lanes: the same bits on every machine.
pub(crate) fn dot(a: &[f32], b: &[f32]) -> f32 {
    const LANES: usize = 8;
    let mut sums = [0.0f32; LANES];
    let (a_chunks, b_chunks) = (a.chunks_exact(LANES), b.chunks_exact(LANES));
    let rest: f32 = a_chunks
        .remainder()
        .iter()
        .zip(b_chunks.remainder())
        .map(|(x, y)| x * y)
        .sum();
    for (x, y) in a_chunks.zip(b_chunks) {
        for lane in 0..LANES {
            sums[lane] += x[lane] * y[lane];
        }
    }
    sums.iter().sum::<f32>() + rest
}

pub(crate) fn gate_error(gate: &str, reason: String) -> CacheError {
    CacheError::Gate {
        gate: gate.to_owned(),
        reason,
    }
}

/// All gates of a model: `gate.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GateSet {
    format_version: u32,
    /// Gates by the names of [`GATE_SETS`] and [`MEMORY_GATE_SETS`].
    pub gates: BTreeMap<String, Gate>,
}

impl Default for GateSet {
    fn default() -> Self {
        Self {
            format_version: FORMAT_VERSION,
            gates: BTreeMap::new(),
        }
    }
}

impl GateSet {
    /// The gate of a component set.
    ///
    /// # Errors
    /// [`CacheError::Gate`] naming the set when it was never fitted.
    pub fn gate(&self, name: &str) -> Result<&Gate, CacheError> {
        self.gates
            .get(name)
            .ok_or_else(|| gate_error(name, "not in this set of gates".to_owned()))
    }

    /// Reads `gate.json`.
    ///
    /// # Errors
    /// [`CacheError::Io`] or [`CacheError::Corrupt`] naming the file, [`CacheError::Gate`] naming the gate.
    pub fn load(path: &Path) -> Result<Self, CacheError> {
        let corrupt = |reason: String| CacheError::Corrupt {
            what: format!("set of gates {}", path.display()),
            reason,
        };
        let set: Self = serde_json::from_slice(&read_file(path)?)
            .map_err(|error| corrupt(error.to_string()))?;
        if set.format_version != FORMAT_VERSION {
            return Err(corrupt(format!(
                "format version {} is unknown, this program reads {FORMAT_VERSION}",
                set.format_version
            )));
        }
        for (name, gate) in &set.gates {
            gate.check(name)?;
        }
        Ok(set)
    }

    /// Writes `gate.json`, whole or not at all.
    ///
    /// # Errors
    /// [`CacheError::Io`] naming the file.
    pub fn save(&self, path: &Path) -> Result<(), CacheError> {
        let text = serde_json::to_vec(self).map_err(|error| CacheError::Corrupt {
            what: format!("set of gates {}", path.display()),
            reason: error.to_string(),
        })?;
        write_file(path, &text)
    }
}
