//! Fits a gate by Adam (Kingma and Ba 2015) on `-log(sum_i w_i p_i(target))`. Same examples, options and seed: same gate.

use crate::error::CacheError;
use crate::gate::{Gate, MAX_HIDDEN, dot, gate_error, softmax, standardise};
use crate::refine::LikelyTokens;

/// One scored position. `probabilities[i]` is what component `i` gave the token that came.
#[derive(Clone, Debug, PartialEq)]
pub struct GateExample {
    /// From [`crate::features::gate_features`], `[F]`.
    pub features: Vec<f32>,
    /// `[C]`.
    pub probabilities: Vec<f32>,
    /// What the components gave other tokens, where exponents are fitted to the example too.
    pub likely: Option<LikelyTokens>,
}

/// How a gate is fitted.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FitOptions {
    /// Hidden units; 0 fits a linear gate.
    pub hidden: usize,
    /// Passes over the examples.
    pub epochs: usize,
    /// Adam's rate at the start; it falls to zero along a cosine.
    pub learning_rate: f32,
    /// Examples a step.
    pub batch: usize,
    /// Decoupled weight decay per step, times the rate.
    pub weight_decay: f32,
    /// Of the initial weights and the order of examples.
    pub seed: u64,
}

impl Default for FitOptions {
    fn default() -> Self {
        Self {
            hidden: 32,
            epochs: 8,
            learning_rate: 3e-3,
            batch: 256,
            weight_decay: 0.01,
            seed: 1,
        }
    }
}

/// How well a gate fits examples, in nats a position.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FitReport {
    /// Loss with the fitted gate.
    pub loss: f64,
    /// Loss with equal weights.
    pub loss_uniform: f64,
    /// Loss if the best component were known at every position: no gate does better.
    pub loss_best: f64,
}

/// No component gives less to a token, for the loss' sake.
const SMALLEST: f32 = 1e-12;

impl Gate {
    /// Fits a gate for `components` (their names).
    ///
    /// # Errors
    /// [`CacheError::Gate`] when there are no examples, their shapes differ or a number is not a probability or not finite.
    pub fn fit(
        components: &[String],
        examples: &[GateExample],
        options: &FitOptions,
    ) -> Result<(Self, FitReport), CacheError> {
        let name = components.join("+");
        check_examples(&name, components.len(), examples)?;
        if options.hidden > MAX_HIDDEN {
            return Err(gate_error(
                &name,
                format!("{} hidden units: at most {MAX_HIDDEN}", options.hidden),
            ));
        }
        let features = examples[0].features.len();
        let mut gate = Self::uniform(components, features)?;
        (gate.means, gate.scales) = standards(examples);
        let mut random = Random(options.seed);
        let spread = 1.0 / (features.max(1) as f32).sqrt();
        gate.hidden = (0..options.hidden * features)
            .map(|_| random.symmetric() * spread)
            .collect();
        gate.hidden_bias = vec![0.0; options.hidden];
        gate.output = vec![0.0; options.hidden * components.len()];

        let mut learner = Learner::new(&gate);
        let mut order: Vec<usize> = (0..examples.len()).collect();
        let batch = options.batch.max(1);
        let steps = (options.epochs * examples.len().div_ceil(batch)).max(1);
        let mut step = 0;
        for _ in 0..options.epochs {
            random.shuffle(&mut order);
            for chosen in order.chunks(batch) {
                let progress = step as f32 / steps as f32;
                let rate =
                    options.learning_rate * 0.5 * (1.0 + (std::f32::consts::PI * progress).cos());
                step += 1;
                for &index in chosen {
                    learner.accumulate(&gate, &examples[index]);
                }
                learner.apply(&mut gate, step, rate, options.weight_decay, chosen.len());
            }
        }
        gate.check(&name)?;
        let report = gate.assess(examples)?;
        Ok((gate, report))
    }

    /// Loss of the gate on examples, withheld ones for instance.
    ///
    /// # Errors
    /// [`CacheError::Gate`] when there are no examples or their shapes are wrong.
    pub fn assess(&self, examples: &[GateExample]) -> Result<FitReport, CacheError> {
        check_examples(&self.components.join("+"), self.components.len(), examples)?;
        let mut weights = vec![0.0; self.components.len()];
        let mut report = FitReport {
            loss: 0.0,
            loss_uniform: 0.0,
            loss_best: 0.0,
        };
        for example in examples {
            self.weights(&example.features, &mut weights)?;
            let p = &example.probabilities;
            let mixed: f32 = weights.iter().zip(p).map(|(w, p)| w * p).sum();
            let mean = p.iter().sum::<f32>() / p.len() as f32;
            let best = p.iter().copied().fold(0.0, f32::max);
            report.loss -= f64::from(mixed.max(SMALLEST).ln());
            report.loss_uniform -= f64::from(mean.max(SMALLEST).ln());
            report.loss_best -= f64::from(best.max(SMALLEST).ln());
        }
        let count = examples.len() as f64;
        report.loss /= count;
        report.loss_uniform /= count;
        report.loss_best /= count;
        Ok(report)
    }
}

fn check_examples(
    name: &str,
    components: usize,
    examples: &[GateExample],
) -> Result<(), CacheError> {
    let Some(first) = examples.first() else {
        return Err(gate_error(name, "there are no examples".to_owned()));
    };
    for (index, example) in examples.iter().enumerate() {
        if example.features.len() != first.features.len()
            || example.probabilities.len() != components
        {
            return Err(gate_error(
                name,
                format!(
                    "example {index} has {} features and {} probabilities, {} and {components} expected",
                    example.features.len(),
                    example.probabilities.len(),
                    first.features.len()
                ),
            ));
        }
        let sound = example.features.iter().all(|value| value.is_finite())
            && example
                .probabilities
                .iter()
                .all(|p| (0.0..=1.0 + 1e-4).contains(p));
        if !sound {
            return Err(gate_error(
                name,
                format!("example {index} holds an impossible number"),
            ));
        }
    }
    Ok(())
}

/// Mean and standard deviation of each feature; constant features get a scale of 1.
fn standards(examples: &[GateExample]) -> (Vec<f32>, Vec<f32>) {
    let features = examples[0].features.len();
    let count = examples.len() as f64;
    let column = |i: usize| examples.iter().map(move |e| f64::from(e.features[i]));
    let means: Vec<f64> = (0..features)
        .map(|i| column(i).sum::<f64>() / count)
        .collect();
    let scales = (0..features).map(|i| {
        let variance = column(i).map(|x| (x - means[i]).powi(2)).sum::<f64>() / count;
        if variance > 1e-8 {
            variance.sqrt() as f32
        } else {
            1.0
        }
    });
    (
        means.iter().map(|&mean| mean as f32).collect(),
        scales.collect(),
    )
}

/// Gradients and Adam's moments for all parameters in one vector: hidden, hidden bias, output, direct, output bias.
struct Learner {
    gradient: Vec<f32>,
    first: Vec<f32>,
    second: Vec<f32>,
    inputs: Vec<f32>,
    activations: Vec<f32>,
    weights: Vec<f32>,
}

impl Learner {
    fn new(gate: &Gate) -> Self {
        let parameters = gate.hidden.len()
            + gate.hidden_bias.len()
            + gate.output.len()
            + gate.direct.len()
            + gate.output_bias.len();
        Self {
            gradient: vec![0.0; parameters],
            first: vec![0.0; parameters],
            second: vec![0.0; parameters],
            inputs: vec![0.0; gate.features()],
            activations: vec![0.0; gate.hidden_bias.len()],
            weights: vec![0.0; gate.components.len()],
        }
    }

    fn accumulate(&mut self, gate: &Gate, example: &GateExample) {
        let (f, c, h) = (
            gate.features(),
            gate.components.len(),
            gate.hidden_bias.len(),
        );
        for i in 0..f {
            self.inputs[i] = standardise(example.features[i], gate.means[i], gate.scales[i]);
        }
        self.weights.copy_from_slice(&gate.output_bias);
        for unit in 0..h {
            let row = &gate.hidden[unit * f..(unit + 1) * f];
            self.activations[unit] = (dot(row, &self.inputs) + gate.hidden_bias[unit]).tanh();
        }
        for component in 0..c {
            self.weights[component] += dot(
                &gate.output[component * h..(component + 1) * h],
                &self.activations,
            ) + dot(
                &gate.direct[component * f..(component + 1) * f],
                &self.inputs,
            );
        }
        softmax(&mut self.weights);
        let p = |component: usize| example.probabilities[component].max(SMALLEST);
        let mixed: f32 = (0..c).map(|i| self.weights[i] * p(i)).sum();
        // d(-log mixed)/d logit_i = w_i - w_i p_i / mixed.
        for component in 0..c {
            self.weights[component] *= 1.0 - p(component) / mixed;
        }
        let (hidden, rest) = self.gradient.split_at_mut(h * f);
        let (hidden_bias, rest) = rest.split_at_mut(h);
        let (output, rest) = rest.split_at_mut(c * h);
        let (direct, output_bias) = rest.split_at_mut(c * f);
        for unit in 0..h {
            let activation = self.activations[unit];
            let mut slope = 0.0;
            for component in 0..c {
                slope += self.weights[component] * gate.output[component * h + unit];
                output[component * h + unit] += self.weights[component] * activation;
            }
            slope *= 1.0 - activation * activation;
            hidden_bias[unit] += slope;
            add_scaled(&mut hidden[unit * f..(unit + 1) * f], slope, &self.inputs);
        }
        for component in 0..c {
            output_bias[component] += self.weights[component];
            add_scaled(
                &mut direct[component * f..(component + 1) * f],
                self.weights[component],
                &self.inputs,
            );
        }
    }

    /// One step of Adam on the mean gradient of `count` examples.
    fn apply(&mut self, gate: &mut Gate, step: usize, rate: f32, decay: f32, count: usize) {
        const FIRST: f32 = 0.9;
        const SECOND: f32 = 0.999;
        let first_correction = 1.0 - FIRST.powi(step as i32);
        let second_correction = 1.0 - SECOND.powi(step as i32);
        let parameters = gate
            .hidden
            .iter_mut()
            .chain(&mut gate.hidden_bias)
            .chain(&mut gate.output)
            .chain(&mut gate.direct)
            .chain(&mut gate.output_bias);
        for (index, parameter) in parameters.enumerate() {
            let gradient = self.gradient[index] / count as f32;
            self.gradient[index] = 0.0;
            let first = &mut self.first[index];
            let second = &mut self.second[index];
            *first = FIRST * *first + (1.0 - FIRST) * gradient;
            *second = SECOND * *second + (1.0 - SECOND) * gradient * gradient;
            let direction =
                *first / first_correction / ((*second / second_correction).sqrt() + 1e-8);
            *parameter -= rate * (direction + decay * *parameter);
        }
    }
}

fn add_scaled(out: &mut [f32], scale: f32, values: &[f32]) {
    for (o, &v) in out.iter_mut().zip(values) {
        *o += scale * v;
    }
}

/// SplitMix64 (Steele, Lea, Flood 2014): enough for initial weights and shuffles.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Uniform in -1 to 1.
    fn symmetric(&mut self) -> f32 {
        (self.next() >> 40) as f32 / (1u64 << 23) as f32 - 1.0
    }

    fn shuffle(&mut self, values: &mut [usize]) {
        for i in (1..values.len()).rev() {
            values.swap(i, (self.next() % (i as u64 + 1)) as usize);
        }
    }
}

/// Temperatures tried for an exit.
pub const TEMPERATURES: [f32; 7] = [0.7, 0.8, 0.9, 1.0, 1.1, 1.25, 1.4];

/// The temperature of the least loss: `losses[i]` is `-ln p(target)` summed over positions with the exit's logits divided
/// by `TEMPERATURES[i]`. Refined by a parabola through the best value and its neighbours.
pub fn best_temperature(losses: &[f64; TEMPERATURES.len()]) -> f32 {
    let best = (0..losses.len())
        .min_by(|&a, &b| losses[a].total_cmp(&losses[b]))
        .unwrap_or(3);
    if best == 0 || best + 1 == losses.len() {
        return TEMPERATURES[best];
    }
    let x = [best - 1, best, best + 1].map(|i| f64::from(TEMPERATURES[i]));
    let y = [best - 1, best, best + 1].map(|i| losses[i]);
    let left = (x[1] - x[0]) * (y[1] - y[2]);
    let right = (x[1] - x[2]) * (y[1] - y[0]);
    let denominator = left - right;
    if denominator.abs() < 1e-12 || !denominator.is_finite() {
        return TEMPERATURES[best];
    }
    let shift = 0.5 * ((x[1] - x[0]) * left - (x[1] - x[2]) * right) / denominator;
    ((x[1] - shift) as f32).clamp(TEMPERATURES[best - 1], TEMPERATURES[best + 1])
}
