//! What the gate sees at one position: how well the nests matched, how sure each component is, where they agree.
//!
//! Components are always ordered exits first, then the nests from corpus to file. Called by whoever mixes (`engine`) and
//! by whoever collects examples for [`crate::gate::Gate::fit`]; both must use the same function.

use crate::nested::{NESTS, NestPrediction};
use crate::smoothing::SOURCES;
use crate::summary::Summary;

/// Number of slot classes: the caller's small enum of where in a word or statement the position is.
pub const SLOT_CLASSES: usize = 16;

/// Match orders that get an indicator of their own.
const ORDER_STEPS: [usize; 5] = [1, 3, 6, 12, 24];

/// Features per source: order, evidence, distinct, single continuation, indicators.
const PER_SOURCE: usize = 4 + ORDER_STEPS.len();

/// Features per component: entropy, probability of its best token and the log of that.
const PER_COMPONENT: usize = 3;

/// One exit's distribution with its summary.
#[derive(Clone, Copy, Debug)]
pub struct ExitDistribution<'a> {
    /// Probabilities, `[V]`.
    pub probabilities: &'a [f32],
    /// Their summary, from [`crate::summary::summarise`].
    pub summary: Summary,
}

/// Most components a gate mixes.
pub const MAX_COMPONENTS: usize = 8;

/// Number of features with `exits` exits.
pub fn feature_count(exits: usize) -> usize {
    let components = exits + NESTS.len();
    // Per ordered pair the log probability of the other's best token; per unordered pair agreement.
    let pairs = components * (components - 1);
    SOURCES.len() * PER_SOURCE + components * PER_COMPONENT + pairs + pairs / 2 + SLOT_CLASSES
}

/// Writes the features of one position into `out` (cleared first). A slot of [`SLOT_CLASSES`] or more is "none".
pub fn gate_features(
    prediction: &NestPrediction,
    exits: &[ExitDistribution<'_>],
    slot: u8,
    out: &mut Vec<f32>,
) {
    out.clear();
    for source in SOURCES {
        let found = prediction.source(source);
        out.push((1.0 + found.matched_order as f32).ln());
        out.push((1.0 + found.evidence as f32).ln());
        out.push((1.0 + found.distinct as f32).ln());
        out.push(indicator(found.distinct == 1));
        out.extend(ORDER_STEPS.map(|order| indicator(found.matched_order >= order)));
    }
    let components = || {
        let nests = NESTS.iter().map(|&nest| ExitDistribution {
            probabilities: prediction.probabilities(nest),
            summary: prediction.summary(nest),
        });
        exits.iter().copied().chain(nests)
    };
    for component in components() {
        let summary = component.summary;
        out.extend([
            summary.entropy,
            summary.top_probability,
            log_probability(summary.top_probability),
        ]);
    }
    for (i, one) in components().enumerate() {
        for (j, other) in components().enumerate() {
            if i == j {
                continue;
            }
            let top = other.summary.top as usize;
            let probability = one.probabilities.get(top).copied().unwrap_or_default();
            out.push(log_probability(probability));
            if i < j {
                out.push(indicator(one.summary.top == other.summary.top));
            }
        }
    }
    out.extend((0..SLOT_CLASSES).map(|class| indicator(class == usize::from(slot))));
}

fn indicator(holds: bool) -> f32 {
    f32::from(u8::from(holds))
}

fn log_probability(probability: f32) -> f32 {
    (probability + 1e-6).ln()
}
