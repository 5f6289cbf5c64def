//! Which predictions are mixed, and what a mixture knows about its parts.

use crate::EngineError;
use nestor_cache::{
    Gate, GateSet, check_candidate_gate, component_names, feature_count, memory_component_names,
};
use std::fmt;
use std::sync::Arc;

/// What a user picks: how many exits take part. The cache takes part at every speed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Speed {
    /// Exit 1.
    Fast,
    /// Exits 1 and 2.
    Balanced,
    /// All exits.
    Accurate,
}

impl Speed {
    /// The word that users write.
    pub fn name(self) -> &'static str {
        match self {
            Self::Fast => "fast",
            Self::Balanced => "balanced",
            Self::Accurate => "accurate",
        }
    }

    /// Exits that take part, of a model that has `stages`.
    pub fn exits(self, stages: usize) -> usize {
        match self {
            Self::Fast => stages.min(1),
            Self::Balanced => stages.min(2),
            Self::Accurate => stages,
        }
    }
}

impl fmt::Display for Speed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl std::str::FromStr for Speed {
    type Err = EngineError;

    fn from_str(text: &str) -> Result<Self, EngineError> {
        [Self::Fast, Self::Balanced, Self::Accurate]
            .into_iter()
            .find(|speed| speed.name() == text)
            .ok_or_else(|| EngineError::Request {
                field: "speed",
                reason: format!("{text:?} is not fast, balanced or accurate"),
            })
    }
}

/// One part of a mixture.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Component {
    /// The exit of a level, counted from 1.
    Level(usize),
    /// What followed the nearest states of the project.
    Nearest,
    /// Counts of the training corpus.
    Corpus,
    /// Counts of the project, backing off into the corpus.
    Project,
    /// Counts of the open file, backing off into its folder, the project and the corpus.
    File,
    /// Names that the metadata offers.
    Names,
}

impl fmt::Display for Component {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Level(level) => write!(f, "level{level}"),
            Self::Nearest => f.write_str("nearest"),
            Self::Corpus => f.write_str("corpus"),
            Self::Project => f.write_str("project"),
            Self::File => f.write_str("file"),
            Self::Names => f.write_str("names"),
        }
    }
}

/// Which exits are mixed with the cache, and what weighs them.
#[derive(Debug, Clone)]
pub struct Mixture {
    levels: Vec<usize>,
    gate: Option<Arc<Gate>>,
    memory_gate: Option<Arc<Gate>>,
    candidate_gate: Option<Arc<Gate>>,
    slots: Option<Arc<[u8]>>,
}

impl Mixture {
    /// A mixture of the exits of `levels` (from 1, rising). Without a gate the deepest exit speaks
    /// alone, and together with a cache it shares evenly with the innermost nest.
    ///
    /// # Errors
    /// [`EngineError::Request`] for levels that do not rise from 1, [`EngineError::Gate`] for a gate
    /// of other components.
    pub fn new(levels: &[usize], gate: Option<Arc<Gate>>) -> Result<Self, EngineError> {
        if levels.first() == Some(&0) || levels.windows(2).any(|pair| pair[0] >= pair[1]) {
            let reason = format!("{levels:?} do not rise from 1");
            return Err(EngineError::Request {
                field: "levels",
                reason,
            });
        }
        if let Some(gate) = &gate {
            check_gate(gate, component_names(levels))?;
        }
        Ok(Self {
            levels: levels.to_vec(),
            gate,
            memory_gate: None,
            candidate_gate: None,
            slots: None,
        })
    }

    /// Adds what weighs the parts where a project's memories are at work.
    ///
    /// # Errors
    /// [`EngineError::Gate`] for a gate of other components.
    pub fn with_memory_gate(mut self, gate: Arc<Gate>) -> Result<Self, EngineError> {
        let needed = memory_component_names(&self.levels);
        check_gate(&gate, needed.clone())?;
        // The nearest states are those of the second exit, which exit 1 alone does not reach.
        if self.levels.last().is_none_or(|deepest| *deepest < 2) {
            return Err(EngineError::Gate {
                found: gate.components.clone(),
                needed,
            });
        }
        self.memory_gate = Some(gate);
        Ok(self)
    }

    /// Adds what weighs the names that metadata offers against everything else; without it they are not heard.
    ///
    /// # Errors
    /// [`EngineError::Cache`] for a gate that was not fitted for candidates.
    pub fn with_candidate_gate(mut self, gate: Arc<Gate>) -> Result<Self, EngineError> {
        check_candidate_gate("candidates", &gate)?;
        self.candidate_gate = Some(gate);
        Ok(self)
    }

    /// The mixture of a speed for a model of so many stages, weighed by the gate of that name.
    ///
    /// # Errors
    /// [`EngineError::Cache`] when the set lacks the gate, [`EngineError::Gate`] when the gate is one
    /// of other components.
    pub fn for_speed(
        speed: Speed,
        stages: usize,
        gates: Option<&GateSet>,
    ) -> Result<Self, EngineError> {
        let levels: Vec<usize> = (1..=speed.exits(stages)).collect();
        let gate = gates.map(|gates| gates.gate(speed.name())).transpose()?;
        let mixture = Self::new(&levels, gate.map(|gate| Arc::new(gate.clone())))?;
        // A set that was fitted before there were memories lacks their gates; exit 1 alone has none.
        let memory_gate = gates.and_then(|gates| gates.gates.get(&format!("{speed}-memory")));
        match memory_gate {
            Some(gate) => mixture.with_memory_gate(Arc::new(gate.clone())),
            None => Ok(mixture),
        }
    }

    /// Tells the gate where the next token stands: `classes[token]` is the class of the position
    /// after that token.
    pub fn with_slots(mut self, classes: Arc<[u8]>) -> Self {
        self.slots = Some(classes);
        self
    }

    /// Levels whose exits take part, from 1.
    pub fn levels(&self) -> &[usize] {
        &self.levels
    }

    /// Stages that a session needs for the mixture.
    pub fn stages(&self) -> usize {
        self.levels.last().copied().unwrap_or(1)
    }

    pub(crate) fn gate(&self) -> Option<&Gate> {
        self.gate.as_deref()
    }

    pub(crate) fn candidate_gate(&self) -> Option<&Gate> {
        self.candidate_gate.as_deref()
    }

    pub(crate) fn memory_gate(&self) -> Option<&Gate> {
        self.memory_gate.as_deref()
    }

    /// The class of the position after a token, as the gate's features want it.
    pub(crate) fn slot_after(&self, token: Option<&u32>) -> u8 {
        let class = |classes: &Arc<[u8]>| classes.get(*token? as usize).copied();
        self.slots.as_ref().and_then(class).unwrap_or(u8::MAX)
    }
}

/// Refuses a gate that was fitted for other components or other features.
fn check_gate(gate: &Gate, needed: Vec<String>) -> Result<(), EngineError> {
    // Every component but the three nests has the features of an exit.
    let exits = needed.len() - component_names(&[]).len();
    if gate.components == needed && gate.features() == feature_count(exits) {
        return Ok(());
    }
    Err(EngineError::Gate {
        found: gate.components.clone(),
        needed,
    })
}

/// One part's distribution and its weight in the mixture.
#[derive(Debug, Clone, PartialEq)]
pub struct Part {
    /// Which part.
    pub component: Component,
    /// Its weight; the weights of a mixture sum to 1.
    pub weight: f32,
    /// Its probabilities, one per token of the vocabulary.
    pub probs: Vec<f32>,
}

/// What one exit says, for displays and for the gate.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ExitSummary {
    /// The level, counted from 1.
    pub level: usize,
    /// Its most probable token.
    pub top: u32,
    /// That token's probability.
    pub top_prob: f32,
    /// Entropy of its distribution in nats.
    pub entropy: f32,
}

/// A distribution over the next token and the parts that it is made of.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Mixed {
    /// One probability per token of the vocabulary; they sum to 1.
    pub probs: Vec<f32>,
    /// The parts, exits first.
    pub parts: Vec<Part>,
    /// What the exits say.
    pub exits: Vec<ExitSummary>,
}

/// What one part added to the probability of a token.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Contribution {
    /// Which part.
    pub component: Component,
    /// Its weight times its probability, over the sum of these: shares sum to 1.
    pub share: f32,
}

impl Mixed {
    /// The most probable token, the one of the lowest id among equals, and its probability.
    pub fn top(&self) -> (u32, f32) {
        let best = nestor_kernels::argmax(&self.probs);
        (best as u32, self.prob(best as u32))
    }

    /// Probability of a token; 0 outside the vocabulary.
    pub fn prob(&self, token: u32) -> f32 {
        self.probs.get(token as usize).copied().unwrap_or(0.0)
    }

    /// What each part added to the probability of a token, before it was refined.
    pub fn contributions(&self, token: u32) -> Vec<Contribution> {
        let of = |part: &Part| {
            let prob = part.probs.get(token as usize).copied().unwrap_or(0.0);
            part.weight * prob
        };
        let total: f32 = self.parts.iter().map(of).sum();
        let share = |part: &Part| Contribution {
            component: part.component,
            share: of(part) / total.max(f32::MIN_POSITIVE),
        };
        self.parts.iter().map(share).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gate_of_memories_needs_an_exit_that_has_them() {
        let gate = |levels: &[usize]| {
            let names = memory_component_names(levels);
            let gate = Gate::uniform(&names, feature_count(levels.len() + 1));
            Arc::new(gate.expect("a handful of components"))
        };
        let with = |levels: &[usize]| {
            let mixture = Mixture::new(levels, None).expect("rising levels");
            mixture.with_memory_gate(gate(levels)).is_ok()
        };
        assert!(with(&[1, 2]) && with(&[3]) && with(&[2]));
        assert!(!with(&[1]) && !with(&[]));
        let mixture = Mixture::new(&[1, 2], None).expect("rising levels");
        assert!(mixture.with_memory_gate(gate(&[2])).is_err());
    }
}
