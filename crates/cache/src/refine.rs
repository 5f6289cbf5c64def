//! What a mixture of probabilities gains from a mixture of logarithms on top: `q(t) ~ p(t) exp(sum_i v_i ln(p_i(t) / p(t)))`.
//!
//! A weighted sum is never surer than its surest component. Where several agree a product is, as it should be when they know different
//! things; one exponent a component says how far each is heard so. They do not depend on the place: fitted by the gate's features they learn the
//! projects that they are fitted on by heart (LOG.md). Where nothing but the shipped
//! corpus knows the context its counts would agree with themselves, so there the caller refines nothing. Only tokens that p thinks likely are changed; the others keep what they have among themselves.

use crate::error::CacheError;
use crate::gate::{Gate, gate_error};
use crate::gate_fit::GateExample;

/// Least probability of a token that is changed.
pub const LIKELY: f32 = 1.0 / 2048.0;

/// Added to probabilities before their logarithm: a component that knows nothing of a token does not rule it out.
const FLOOR: f32 = 1e-6;

/// Largest logarithm that a probability is multiplied by.
const MOST: f32 = 8.0;

/// Largest exponent.
const MAX_EXPONENT: f32 = 4.0;

/// Tokens that are looked at together: few are likely.
const SCAN: usize = 32;

/// What the components gave the tokens that one of them thought likely.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LikelyTokens {
    /// `[n, C]`, row-major.
    pub probabilities: Vec<f32>,
    /// Which of the n came; `None` for another token.
    pub truth: Option<usize>,
}

impl LikelyTokens {
    /// The likely tokens of components, each `[V]`, and `truth` among them.
    #[must_use]
    pub fn of(components: &[&[f32]], truth: usize) -> Self {
        let mut found = Self::default();
        let vocab = components.iter().map(|probs| probs.len()).min();
        for token in 0..vocab.unwrap_or_default() {
            if components.iter().any(|probs| probs[token] >= LIKELY) {
                if token == truth {
                    found.truth = Some(found.probabilities.len() / components.len());
                }
                let probs = components.iter().map(|probs| probs[token]);
                found.probabilities.extend(probs);
            }
        }
        found
    }
}

/// Changes a mixture of components, all `[V]`, by their exponents; none changes nothing. The mixture goes on summing to what it did.
pub fn refine(components: &[&[f32]], exponents: &[f32], mixed: &mut [f32]) {
    if exponents.is_empty() {
        return;
    }
    let mut changed: Vec<(usize, f32)> = Vec::new();
    let (mut before, mut after) = (0.0, 0.0);
    for (block, probs) in mixed.chunks(SCAN).enumerate() {
        let is_likely = probs.iter().fold(false, |any, p| any | (*p >= LIKELY));
        if !is_likely {
            continue;
        }
        for (idx, p) in probs.iter().enumerate().filter(|(_, p)| **p >= LIKELY) {
            let token = block * SCAN + idx;
            let of_token = components.iter().map(|component| component[token]);
            let q = p * factor(of_token, exponents, *p);
            before += p;
            after += q;
            changed.push((token, q));
        }
    }
    let total: f32 = mixed.iter().sum();
    let rest = (total - before).max(0.0);
    let scale = total / (after + rest).max(f32::MIN_POSITIVE);
    mixed.iter_mut().for_each(|p| *p *= scale);
    for (token, q) in changed {
        mixed[token] = q * scale;
    }
}

/// `exp(sum_i v_i ln(p_i / p))`.
fn factor(components: impl Iterator<Item = f32>, exponents: &[f32], p: f32) -> f32 {
    let log = (p + FLOOR).ln();
    let sum: f32 = components
        .zip(exponents)
        .map(|(part, exponent)| exponent * ((part + FLOOR).ln() - log))
        .sum();
    sum.clamp(-MOST, MOST).exp()
}

/// Losses in nats a place with exponents that were fitted and with none.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RefineReport {
    /// Places that they were fitted on.
    pub places: usize,
    /// With none.
    pub before: f64,
    /// With those that were fitted.
    pub after: f64,
}

/// A place as the fit sees it: what is known of it once the gate is.
struct Place {
    /// Of the likely tokens by the mixture.
    p: Vec<f32>,
    /// `[n, C]`: `ln(p_i / p)`.
    ratios: Vec<f32>,
    /// The mixture's probability of all others.
    rest: f32,
    truth: Option<usize>,
    /// The mixture's probability of what came.
    p_truth: f32,
}

/// Steps of the fit.
const STEPS: usize = 150;

/// Rate of the first step; it falls to zero on a line.
const RATE: f32 = 0.05;

/// Pull of each exponent towards zero, in nats a place.
const RIDGE: f32 = 1e-3;

impl Gate {
    /// Fits the exponents to the examples that hold likely tokens, the gate being as it is. Convex, so the start does not matter. `None` without such
    /// examples.
    ///
    /// # Errors
    /// [`CacheError::Gate`] for examples of other shapes.
    pub fn fit_exponents(
        &mut self,
        examples: &[GateExample],
    ) -> Result<Option<RefineReport>, CacheError> {
        let n_components = self.components.len();
        let mut places = Vec::new();
        for example in examples {
            let Some(likely) = &example.likely else {
                continue;
            };
            places.push(self.place(example, likely)?);
        }
        if places.is_empty() {
            return Ok(None);
        }
        let mut exponents = vec![0.0f32; n_components];
        let (mut momentum, mut square) = (vec![0.0f32; n_components], vec![0.0f32; n_components]);
        for step in 0..STEPS {
            let gradient = gradient(&places, &exponents);
            let rate = RATE * (1.0 - step as f32 / STEPS as f32);
            let age = step as i32 + 1;
            for i in 0..n_components {
                let g = gradient[i] + RIDGE * exponents[i];
                momentum[i] = 0.9 * momentum[i] + 0.1 * g;
                square[i] = 0.99 * square[i] + 0.01 * g * g;
                let m = momentum[i] / (1.0 - 0.9f32.powi(age));
                let s = square[i] / (1.0 - 0.99f32.powi(age));
                exponents[i] -= rate * m / (s.sqrt() + 1e-6);
                exponents[i] = exponents[i].clamp(-MAX_EXPONENT, MAX_EXPONENT);
            }
        }
        let report = RefineReport {
            places: places.len(),
            before: loss(&places, &vec![0.0; n_components]),
            after: loss(&places, &exponents),
        };
        self.exponents = if report.after < report.before {
            exponents
        } else {
            Vec::new()
        };
        Ok(Some(report))
    }

    fn place(&self, example: &GateExample, likely: &LikelyTokens) -> Result<Place, CacheError> {
        let n_components = self.components.len();
        let fits = example.probabilities.len() == n_components
            && likely.probabilities.len().is_multiple_of(n_components)
            && likely
                .truth
                .is_none_or(|truth| truth < likely.probabilities.len() / n_components);
        if !fits {
            let reason = format!("likely tokens of other components than {n_components}");
            return Err(gate_error(&self.components.join("+"), reason));
        }
        let mut weights = vec![0.0; n_components];
        self.weights(&example.features, &mut weights)?;
        let mixture = |of: &[f32]| weights.iter().zip(of).map(|(w, p)| w * p).sum::<f32>();
        let mut place = Place {
            p: Vec::new(),
            ratios: Vec::new(),
            rest: 1.0,
            truth: None,
            p_truth: mixture(&example.probabilities),
        };
        for (idx, of_token) in likely.probabilities.chunks_exact(n_components).enumerate() {
            let p = mixture(of_token);
            if p < LIKELY {
                continue;
            }
            if likely.truth == Some(idx) {
                place.truth = Some(place.p.len());
            }
            place.rest -= p;
            place.p.push(p);
            let log = (p + FLOOR).ln();
            let ratios = of_token.iter().map(|part| (part + FLOOR).ln() - log);
            place.ratios.extend(ratios);
        }
        place.rest = place.rest.max(FLOOR);
        Ok(place)
    }

    /// Checks that there are none, or one for each component.
    pub(crate) fn check_exponents(&self, name: &str) -> Result<(), CacheError> {
        let n = self.exponents.len();
        let sane = |v: &f32| v.abs() <= MAX_EXPONENT;
        if (n == 0 || n == self.components.len()) && self.exponents.iter().all(sane) {
            return Ok(());
        }
        let reason = format!(
            "exponents are {n} numbers: none or {} of at most {MAX_EXPONENT} are expected",
            self.components.len()
        );
        Err(gate_error(name, reason))
    }
}

impl Place {
    /// The likely tokens' probabilities times what is to be divided by, and that.
    fn weighed(&self, exponents: &[f32]) -> (Vec<f32>, f32) {
        let ratios = self.ratios.chunks_exact(exponents.len());
        let of_tokens: Vec<f32> = self
            .p
            .iter()
            .zip(ratios)
            .map(|(p, ratios)| {
                let sum: f32 = ratios.iter().zip(exponents).map(|(r, v)| r * v).sum();
                p * sum.clamp(-MOST, MOST).exp()
            })
            .collect();
        let total = of_tokens.iter().sum::<f32>() + self.rest;
        (of_tokens, total)
    }
}

/// Mean gradient of the loss by the exponents.
fn gradient(places: &[Place], exponents: &[f32]) -> Vec<f32> {
    let n_components = exponents.len();
    let mut sums = vec![0.0f64; n_components];
    for place in places {
        let (of_tokens, total) = place.weighed(exponents);
        let mut mean = vec![0.0f32; n_components];
        for (q, ratios) in of_tokens
            .iter()
            .zip(place.ratios.chunks_exact(n_components))
        {
            for (mean, ratio) in mean.iter_mut().zip(ratios) {
                *mean += q / total * ratio;
            }
        }
        let came = place
            .truth
            .map(|truth| &place.ratios[truth * n_components..][..n_components]);
        for i in 0..n_components {
            sums[i] += f64::from(mean[i] - came.map_or(0.0, |came| came[i]));
        }
    }
    let n = places.len() as f64;
    sums.into_iter().map(|sum| (sum / n) as f32).collect()
}

/// Mean loss in nats.
fn loss(places: &[Place], exponents: &[f32]) -> f64 {
    let of_place = |place: &Place| {
        let (of_tokens, total) = place.weighed(exponents);
        let came = match place.truth {
            Some(truth) => of_tokens[truth],
            // It stays what it was among the others.
            None => place.p_truth,
        };
        -f64::from((came / total).max(1e-12)).ln()
    };
    places.iter().map(of_place).sum::<f64>() / places.len() as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gate::component_names;
    use proptest::prelude::*;

    fn normalised(mut values: Vec<f32>) -> Vec<f32> {
        let total: f32 = values.iter().sum();
        values.iter_mut().for_each(|v| *v /= total);
        values
    }

    #[test]
    fn components_that_agree_make_the_mixture_surer_than_each() {
        let parts = [
            normalised(vec![6.0, 3.0, 1.0]),
            normalised(vec![6.0, 1.0, 3.0]),
        ];
        let slices: Vec<&[f32]> = parts.iter().map(Vec::as_slice).collect();
        let mixed: Vec<f32> = (0..3).map(|t| 0.5 * (parts[0][t] + parts[1][t])).collect();
        let mut refined = mixed.clone();
        refine(&slices, &[0.8, 0.8], &mut refined);
        assert!(refined[0] > 0.65, "{refined:?}");
        let mut same = mixed.clone();
        refine(&slices, &[], &mut same);
        assert_eq!(same, mixed);
        refine(&slices, &[0.0, 0.0], &mut same);
        for (same, mixed) in same.iter().zip(&mixed) {
            assert!((same - mixed).abs() < 1e-6);
        }
    }

    #[test]
    fn exponents_that_are_fitted_predict_better() {
        // Two components that each know one thing of a token of four: the pair (a, b). A sum cannot tell it, a product can.
        let names = &component_names(&[1, 2])[..2];
        let mut gate = Gate::uniform(names, 1).unwrap();
        let mut examples = Vec::new();
        for at in 0..64usize {
            let (a, b) = (at & 1, at >> 1 & 1);
            let of = |knows: &dyn Fn(usize) -> bool| -> Vec<f32> {
                normalised((0..4).map(|t| if knows(t) { 0.45 } else { 0.05 }).collect())
            };
            let parts = [of(&|t| t & 1 == a), of(&|t| t >> 1 == b)];
            let truth = b << 1 | a;
            let slices: Vec<&[f32]> = parts.iter().map(Vec::as_slice).collect();
            examples.push(GateExample {
                features: vec![0.0],
                probabilities: parts.iter().map(|part| part[truth]).collect(),
                likely: Some(LikelyTokens::of(&slices, truth)),
            });
        }
        let report = gate.fit_exponents(&examples).unwrap().unwrap();
        assert_eq!(report.places, 64);
        assert!(report.after < 0.5 * report.before, "{report:?}");
        assert!(
            gate.exponents.iter().all(|v| *v > 0.5),
            "{:?}",
            gate.exponents
        );
        gate.check_exponents("test").unwrap();
        gate.exponents.pop();
        assert!(gate.check_exponents("test").is_err());
    }

    #[test]
    fn examples_without_likely_tokens_fit_nothing() {
        let mut gate = Gate::uniform(&component_names(&[]), 1).unwrap();
        let example = GateExample {
            features: vec![0.0],
            probabilities: vec![0.1; 3],
            likely: None,
        };
        assert_eq!(gate.fit_exponents(&[example]).unwrap(), None);
        assert!(gate.exponents.is_empty());
    }

    proptest! {
        #[test]
        fn a_refined_mixture_sums_to_one_whatever_the_exponents(
            raw in prop::collection::vec(prop::collection::vec(0.0f32..1.0, 300), 2..6),
            exponents in prop::collection::vec(-4.0f32..4.0, 6),
            powers in 1.0f32..30.0,
        ) {
            let parts: Vec<Vec<f32>> = raw
                .into_iter()
                .map(|values| normalised(values.into_iter().map(|v| v.powf(powers) + 1e-9).collect()))
                .collect();
            let slices: Vec<&[f32]> = parts.iter().map(Vec::as_slice).collect();
            let share = 1.0 / parts.len() as f32;
            let mut mixed: Vec<f32> = (0..300).map(|t| parts.iter().map(|p| share * p[t]).sum()).collect();
            refine(&slices, &exponents[..parts.len()], &mut mixed);
            prop_assert!(mixed.iter().all(|p| p.is_finite() && *p >= 0.0));
            prop_assert!((mixed.iter().sum::<f32>() - 1.0).abs() < 1e-4);
        }
    }
}
