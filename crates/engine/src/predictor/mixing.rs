//! The mixture for the place where a document ends.

use super::Predictor;
use super::profile::{Clock, Profile};
use crate::EngineError;
use crate::mixture::{Component, ExitSummary, Mixed, Part};
use nestor_cache::{
    CandidateMixer, CandidatePlace, ExitDistribution, Gate, NESTS, Nest, NestPrediction, Summary,
    gate_features, refine, summarise,
};
use nestor_kernels::{add_scaled, softmax_in_place};

impl Predictor {
    /// The distribution over the next token.
    ///
    /// # Errors
    /// [`EngineError::Empty`] before the first token, [`EngineError::NotFinite`] for logits that are
    /// not numbers.
    pub fn distribution(&mut self) -> Result<&Mixed, EngineError> {
        if self.mixed.is_none() {
            let mut profile = Profile::default();
            let ready = self.ready.take();
            let (probs, nests) = match ready {
                Some(ready) => (ready.probs, Some(ready.nests)),
                None => (None, None),
            };
            let counted = nests.is_some();
            let mut nests = match nests {
                Some(nests) => nests,
                None => self.spare_nests(),
            };
            if let (Some(cache), false) = (&self.cache, counted) {
                let mut clock = Clock::start();
                cache.predict(&self.context, &mut nests);
                clock.lap(&mut profile.counts);
            }
            self.mixed = Some(self.mix(probs, &nests, &mut profile)?);
            self.spare.0.push(nests);
            self.profile += profile;
        }
        self.mixed.as_ref().ok_or(EngineError::Empty)
    }

    /// The mixture of the exits (whose distributions may be known already), what the memories recall, and the counts.
    fn mix(
        &self,
        probs: Option<Vec<f32>>,
        nests: &NestPrediction,
        profile: &mut Profile,
    ) -> Result<Mixed, EngineError> {
        if self.rows.is_empty() {
            return Err(EngineError::Empty);
        }
        let vocab = self.session.model().config().vocab;
        let mut mixed = Mixed {
            probs: vec![0.0; vocab],
            ..Mixed::default()
        };
        let mut clock = Clock::start();
        let levels = self.mixture.levels();
        let probs = match probs {
            Some(probs) => probs,
            None => self.exit_probs(levels)?,
        };
        if self.memories.is_some() {
            clock.lap(&mut profile.memories);
        } else {
            clock.lap(&mut profile.head);
        }
        for (level, probs) in levels.iter().zip(probs.chunks_exact(vocab)) {
            let found = summarise(probs);
            mixed.exits.push(ExitSummary {
                level: *level,
                top: found.top,
                top_prob: found.top_probability,
                entropy: found.entropy,
            });
            let component = Component::Level(*level);
            mixed.parts.push(Part {
                component,
                weight: 0.0,
                probs: probs.to_vec(),
            });
        }
        if let (Some(memories), Some(_)) = (&self.memories, self.mixture.memory_gate()) {
            // A memory gate mixes exits beyond the first, so the session has the rows that are asked for.
            clock.lap(&mut profile.gate);
            let probs = memories.recall(self.session.model(), &self.rows[1])?;
            clock.lap(&mut profile.memories);
            mixed.parts.push(Part {
                component: Component::Nearest,
                weight: 0.0,
                probs,
            });
        }
        clock.lap(&mut profile.gate);
        let (weights, gate) = match &self.cache {
            Some(_) => self.add_nests(nests, &mut mixed)?,
            // A gate weighs exits against nests; alone the exits have nothing to be weighed by.
            None => (deepest_alone(mixed.exits.len(), mixed.parts.len()), None),
        };
        for (part, weight) in mixed.parts.iter_mut().zip(weights) {
            part.weight = weight;
            add_scaled(&mut mixed.probs, weight, &part.probs);
        }
        let gate = gate.filter(|gate| !gate.exponents.is_empty());
        if let Some(gate) = gate.filter(|_| nests.knows_more_than_the_corpus()) {
            let parts: Vec<&[f32]> = mixed.parts.iter().map(|part| &*part.probs).collect();
            refine(&parts, &gate.exponents, &mut mixed.probs);
        }
        clock.lap(&mut profile.gate);
        if let (Some(place), Some(gate)) = (&self.candidates, self.mixture.candidate_gate()) {
            add_names(place, gate, &mut mixed)?;
        }
        Ok(mixed)
    }

    /// Distributions of the exits of `levels`, `[n, V]`.
    fn exit_probs(&self, levels: &[usize]) -> Result<Vec<f32>, EngineError> {
        let rows: Vec<(usize, &[f32])> = levels
            .iter()
            .map(|level| (level - 1, self.rows[level - 1].as_slice()))
            .collect();
        match &self.memories {
            Some(memories) => {
                memories.probs_of_exits(self.session.model(), &rows, self.session.threads())
            }
            None => self.session.probs_of_exits(&rows),
        }
    }

    /// Adds the cache's distributions to the parts and returns the weights of all, and the gate that weighed them.
    fn add_nests(
        &self,
        nests: &NestPrediction,
        mixed: &mut Mixed,
    ) -> Result<(Vec<f32>, Option<&Gate>), EngineError> {
        let exits = mixed.parts.len();
        let gate = match mixed.parts.last() {
            Some(part) if part.component == Component::Nearest => self.mixture.memory_gate(),
            _ => self.mixture.gate(),
        };
        let weights = match gate {
            Some(gate) => {
                let weights = self.gate_weights(gate, nests, mixed)?;
                for (part, temperature) in mixed.parts.iter_mut().zip(&gate.temperatures) {
                    temper(&mut part.probs, *temperature);
                }
                weights
            }
            None => {
                let mut weights = vec![0.0; exits + NESTS.len()];
                weights[exits + Nest::File as usize] = if exits == 0 { 1.0 } else { 0.5 };
                if let Some(deepest) = exits.checked_sub(1) {
                    weights[deepest] = 0.5;
                }
                weights
            }
        };
        for nest in NESTS {
            let component = match nest {
                Nest::Corpus => Component::Corpus,
                Nest::Project => Component::Project,
                Nest::File => Component::File,
            };
            let probs = nests.probabilities(nest).to_vec();
            mixed.parts.push(Part {
                component,
                weight: 0.0,
                probs,
            });
        }
        Ok((weights, gate))
    }

    fn gate_weights(
        &self,
        gate: &Gate,
        nests: &NestPrediction,
        mixed: &Mixed,
    ) -> Result<Vec<f32>, EngineError> {
        let known = mixed.exits.iter().map(|exit| Summary {
            entropy: exit.entropy,
            top_probability: exit.top_prob,
            top: exit.top,
        });
        // The nearest states stand behind the exits and are no exit.
        let others = mixed.parts[mixed.exits.len()..]
            .iter()
            .map(|part| summarise(&part.probs));
        let exits: Vec<ExitDistribution<'_>> = mixed
            .parts
            .iter()
            .zip(known.chain(others))
            .map(|(part, summary)| ExitDistribution {
                probabilities: &part.probs,
                summary,
            })
            .collect();
        let mut features = Vec::new();
        let slot = self.mixture.slot_after(self.context.last());
        gate_features(nests, &exits, slot, &mut features);
        let mut weights = vec![0.0; exits.len() + NESTS.len()];
        gate.weights(&features, &mut weights)?;
        Ok(weights)
    }
}

/// Mixes in the names of a place; what they add is one part more.
fn add_names(place: &CandidatePlace, gate: &Gate, mixed: &mut Mixed) -> Result<(), EngineError> {
    let mut mixer = CandidateMixer::default();
    let base = mixed.probs.clone();
    mixer.read(place, &base);
    let [rest, ..] = mixer.blend(gate, &mut mixed.probs)?;
    for part in &mut mixed.parts {
        part.weight *= rest;
    }
    let names = 1.0 - rest;
    let of_names = |(p, base): (&f32, &f32)| (p - rest * base).max(0.0) / names;
    let probs = if names > 0.0 {
        mixed.probs.iter().zip(&base).map(of_names).collect()
    } else {
        base
    };
    mixed.parts.push(Part {
        component: Component::Names,
        weight: names,
        probs,
    });
    Ok(())
}

fn deepest_alone(exits: usize, parts: usize) -> Vec<f32> {
    let mut weights = vec![0.0; parts];
    if let Some(deepest) = exits.checked_sub(1) {
        weights[deepest] = 1.0;
    }
    weights
}

/// The softmax of the same logits divided by `temperature`.
fn temper(probs: &mut [f32], temperature: f32) {
    if temperature == 1.0 {
        return;
    }
    for p in probs.iter_mut() {
        *p = p.max(f32::MIN_POSITIVE).ln() / temperature;
    }
    softmax_in_place(probs);
}
