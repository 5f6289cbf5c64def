//! Which exits a level mixes with the nests, and the mixture itself for one position.
//!
//! The scorer and the fitting of gates call this with distributions that they have computed for many positions at once;
//! the engine's predictor does the same for one. It knows distributions; it must not know text.

use std::sync::Arc;

use nestor_bsl::pieces::{Tokenizer, WhiteSpaceClass};
use nestor_cache::{
    CacheError, CandidateMixer, CandidatePlace, ExitDistribution, GATE_SETS, Gate, GateSet,
    MEMORY_GATE_SETS, NESTS, Nest, NestPrediction, check_candidate_gate, component_names,
    feature_count, gate_features, memory_component_names, mix, refine,
};
use serde::{Deserialize, Serialize};

/// A row of the accuracy tables: one exit with the cache, or a mixture.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum LevelRow {
    /// The cache alone.
    #[serde(rename = "0")]
    Cache,
    /// Exit 1 with the cache.
    #[serde(rename = "1")]
    One,
    /// Exit 2 with the cache.
    #[serde(rename = "2")]
    Two,
    /// Exit 3 with the cache.
    #[serde(rename = "3")]
    Three,
    /// All exits with the cache.
    #[serde(rename = "all")]
    All,
}

impl LevelRow {
    /// Every row.
    pub const ALL_ROWS: [Self; 5] = [Self::Cache, Self::One, Self::Two, Self::Three, Self::All];

    /// The rows that a model of so many stages has.
    pub fn of_model(stages: usize) -> impl Iterator<Item = Self> {
        Self::ALL_ROWS
            .into_iter()
            .filter(move |row| row.exit().is_none_or(|exit| exit <= stages))
    }

    /// Name of the gate that mixes it.
    #[must_use]
    pub fn gate_name(self) -> &'static str {
        match self {
            Self::Cache => "cache",
            Self::One => "level1",
            Self::Two => "level2",
            Self::Three => "level3",
            Self::All => "accurate",
        }
    }

    /// Name of the gate that mixes it where a project's memories are at work; exit 1 has no memory but its state.
    #[must_use]
    pub fn memory_gate_name(self) -> Option<&'static str> {
        match self {
            Self::Cache | Self::One => None,
            Self::Two => Some("level2-memory"),
            Self::Three => Some("level3-memory"),
            Self::All => Some("accurate-memory"),
        }
    }

    fn exit(self) -> Option<usize> {
        match self {
            Self::One => Some(1),
            Self::Two => Some(2),
            Self::Three => Some(3),
            Self::Cache | Self::All => None,
        }
    }
}

/// The exits (1 is the first) that a gate mixes with the nests in a model of so many stages; `None` for a gate that such a
/// model has no use for.
#[must_use]
pub fn exits_of(gate_name: &str, stages: usize) -> Option<Vec<usize>> {
    let mut sets = GATE_SETS.iter().chain(&MEMORY_GATE_SETS);
    let (_, exits) = sets.find(|(name, _)| *name == gate_name)?;
    let present: Vec<usize> = exits
        .iter()
        .copied()
        .filter(|exit| *exit <= stages)
        .collect();
    // A single exit must be there; a mixture takes those that are.
    let usable = present.len() == exits.len() || exits.len() > 1;
    usable.then_some(present)
}

/// What a gate is told about where the next piece stands: a class for each last piece.
#[derive(Clone, Debug)]
pub struct SlotTable {
    classes: Arc<[u8]>,
}

impl SlotTable {
    /// Classes of all pieces of a tokenizer.
    #[must_use]
    pub fn new(tokenizer: &Tokenizer) -> Self {
        let ids = 0..tokenizer.vocab_size() as u32;
        Self {
            classes: ids.map(|id| slot_class(tokenizer, id)).collect(),
        }
    }

    /// The class of the position after `last`.
    #[must_use]
    pub fn after(&self, last: u32) -> u8 {
        self.classes.get(last as usize).copied().unwrap_or(SPECIAL)
    }

    /// The class after each piece, `[V]`, as [`nestor_engine::Mixture::with_slots`] takes it.
    #[must_use]
    pub fn classes(&self) -> Arc<[u8]> {
        Arc::clone(&self.classes)
    }
}

const SPECIAL: u8 = 0;

/// At most `nestor_cache::features::SLOT_CLASSES` classes.
fn slot_class(tokenizer: &Tokenizer, id: u32) -> u8 {
    let piece = tokenizer.piece(id);
    match tokenizer.white_space_class(id) {
        WhiteSpaceClass::Special => return SPECIAL,
        WhiteSpaceClass::Only if piece.contains(&b'\n') => return 1,
        WhiteSpaceClass::Only => return 2,
        WhiteSpaceClass::None | WhiteSpaceClass::LeadingSpace => {}
    }
    let visible = piece.strip_prefix(b" ").unwrap_or(piece);
    match visible.last() {
        Some(b'.') => 3,
        Some(b'(') => 4,
        Some(b',') => 5,
        Some(b'=') => 6,
        Some(b'"') => 7,
        Some(b'&') => 8,
        Some(b'|') => 9,
        Some(b';' | b')') => 10,
        Some(b'/') => 11,
        Some(b'0'..=b'9') => 12,
        Some(byte) if byte.is_ascii_alphabetic() || *byte == b'_' => 13,
        Some(byte) if byte.is_ascii() => 14,
        _ => 15,
    }
}

/// Everything that may be mixed at one place.
#[derive(Clone, Copy)]
pub struct Scene<'a> {
    /// All exits of the model, the first one first, as the memories change them.
    pub exits: &'a [ExitDistribution<'a>],
    /// What followed the nearest states, where memories are at work.
    pub nearest: Option<ExitDistribution<'a>>,
    /// The nests.
    pub nests: &'a NestPrediction,
    /// What the gates are told about the place.
    pub slot: u8,
    /// Names that the metadata offers here.
    pub candidates: Option<&'a CandidatePlace>,
}

impl<'a> Scene<'a> {
    /// The components before the nests: the exits of a gate, and the nearest states if it is one of memories.
    #[must_use]
    pub fn components(&self, exits: &[usize], with_nearest: bool) -> Vec<ExitDistribution<'a>> {
        let mut found = chosen(self.exits, exits);
        if with_nearest {
            found.extend(self.nearest);
        }
        found
    }
}

/// Mixes one level's exits and nests. Buffers are kept between calls.
#[derive(Debug, Default)]
pub struct Mixer {
    features: Vec<f32>,
    weights: Vec<f32>,
    candidates: CandidateMixer,
}

impl Mixer {
    /// Writes the mixture of a row into `out` (`[V]`). A row without a gate is weighed as the engine does it: the deepest
    /// exit and the innermost nest share evenly.
    ///
    /// # Errors
    /// [`CacheError::Gate`] when the gate was fitted for other components.
    pub fn mix(
        &mut self,
        row: &RowGate,
        scene: &Scene<'_>,
        out: &mut [f32],
    ) -> Result<(), CacheError> {
        let memory_gate = row.memory_gate.as_ref().filter(|_| scene.nearest.is_some());
        let exits = scene.components(&row.exits, memory_gate.is_some());
        self.weights.clear();
        self.weights.resize(exits.len() + NESTS.len(), 0.0);
        let gate = memory_gate.or(row.gate.as_ref());
        match gate {
            Some(gate) => {
                gate_features(scene.nests, &exits, scene.slot, &mut self.features);
                gate.weights(&self.features, &mut self.weights)?;
            }
            None => {
                self.weights[exits.len() + Nest::File as usize] =
                    if exits.is_empty() { 1.0 } else { 0.5 };
                if let Some(deepest) = exits.len().checked_sub(1) {
                    self.weights[deepest] = 0.5;
                }
            }
        }
        let components: Vec<&[f32]> = exits
            .iter()
            .map(|exit| exit.probabilities)
            .chain(NESTS.iter().map(|nest| scene.nests.probabilities(*nest)))
            .collect();
        mix(&components, &self.weights, out);
        if let Some(gate) = gate.filter(|_| scene.nests.knows_more_than_the_corpus()) {
            refine(&components, &gate.exponents, out);
        }
        if let (Some(place), Some(gate)) = (scene.candidates, &row.candidate_gate) {
            self.candidates.read(place, out);
            self.candidates.blend(gate, out)?;
        }
        Ok(())
    }
}

/// The exits that a gate mixes, 1 is the first.
#[must_use]
pub fn chosen<'a>(all: &[ExitDistribution<'a>], exits: &[usize]) -> Vec<ExitDistribution<'a>> {
    exits
        .iter()
        .filter_map(|exit| all.get(exit.wrapping_sub(1)).copied())
        .collect()
}

/// The rows that a model of so many stages has, with their gates.
///
/// # Errors
/// [`CacheError::Gate`] naming a gate that the set lacks or that was fitted for other components.
pub fn rows_of_model(gates: Option<&GateSet>, stages: usize) -> Result<Vec<RowGate>, CacheError> {
    LevelRow::of_model(stages)
        .map(|row| {
            let exits = exits_of(row.gate_name(), stages).unwrap_or_default();
            let gate = gates.map(|gates| gates.gate(row.gate_name())).transpose()?;
            if let Some(gate) = gate {
                check_components(row.gate_name(), gate, component_names(&exits))?;
            }
            // A set that was fitted before there were memories lacks their gates.
            let memory_name = row.memory_gate_name();
            let memory_gate = memory_name.and_then(|name| gates?.gates.get(name));
            if let (Some(name), Some(gate)) = (memory_name, memory_gate) {
                check_components(name, gate, memory_component_names(&exits))?;
            }
            Ok(RowGate {
                row,
                gate: gate.cloned(),
                memory_gate: memory_gate.cloned(),
                candidate_gate: None,
                exits,
            })
        })
        .collect()
}

/// Gives each row its gate of candidates, where the set has one.
///
/// # Errors
/// [`CacheError::Gate`] naming a gate that was not fitted for candidates.
pub fn with_candidate_gates(
    rows: Vec<RowGate>,
    gates: Option<&GateSet>,
) -> Result<Vec<RowGate>, CacheError> {
    rows.into_iter()
        .map(|mut row| {
            let name = row.row.gate_name();
            row.candidate_gate = gates.and_then(|gates| gates.gates.get(name)).cloned();
            if let Some(gate) = &row.candidate_gate {
                check_candidate_gate(name, gate)?;
            }
            Ok(row)
        })
        .collect()
}

fn check_components(name: &str, gate: &Gate, needed: Vec<String>) -> Result<(), CacheError> {
    let features = feature_count(needed.len() - NESTS.len());
    if gate.components == needed && gate.features() == features {
        return Ok(());
    }
    Err(CacheError::Gate {
        gate: name.to_owned(),
        reason: format!(
            "mixes {} with {} features, the model needs {} with {features}",
            gate.components.join("+"),
            gate.features(),
            needed.join("+"),
        ),
    })
}

/// A row with what mixes it.
#[derive(Clone, Debug)]
pub struct RowGate {
    /// The row.
    pub row: LevelRow,
    /// Its gate; `None` for a model folder without gates.
    pub gate: Option<Gate>,
    /// Its gate where memories are at work, if it was fitted.
    pub memory_gate: Option<Gate>,
    /// What weighs the names of the metadata against everything else; without it they are not heard.
    pub candidate_gate: Option<Gate>,
    /// The exits it mixes, 1 is the first.
    pub exits: Vec<usize>,
}
