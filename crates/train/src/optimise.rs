//! The optimisers: Muon for the 2-D hidden weights, AdamW for the rest, one clip over the whole
//! gradient, and the average of the weights that is released.
//!
//! Called by `trainer` once a step. State is kept by parameter name, on the device, so that a
//! checkpoint outlives the process. It must not know batches or schedules: it is told a rate factor.
//!
//! Muon: Jordan et al. 2024, with the scale `0.2 sqrt(max(rows, columns))` of Liu et al. 2025
//! (arXiv 2502.16982), which lets it share AdamW's rates and decay.

use crate::checkpoint::NamedTensor;
use crate::{OptimiserConfig, TrainError};
use burn::module::{AutodiffModule, Module, ModuleMapper, ModuleVisitor, Param, ParamId};
use burn::optim::GradientsParams;
use burn::tensor::backend::{AutodiffBackend, Backend};
use burn::tensor::{Tensor, TensorData};
use nestor_model::{NestorBackend, Network};
use rustc_hash::FxHashMap;

/// Decay of AdamW's first moment.
const BETA_1: f64 = 0.9;
/// Decay of AdamW's second moment.
const BETA_2: f64 = 0.95;
/// Added to the root of AdamW's second moment.
const ADAM_EPS: f64 = 1e-8;
/// Momentum of Muon, in Nesterov's form.
const MUON_MOMENTUM: f64 = 0.95;
/// Coefficients of the quintic Newton-Schulz step, chosen for the steepest slope at zero.
const NEWTON_SCHULZ: (f64, f64, f64) = (3.4445, -4.775, 2.0315);
/// Newton-Schulz steps.
const NEWTON_SCHULZ_STEPS: usize = 5;
/// Norms below this are taken as this, so that a zero gradient gives a zero update.
const MIN_NORM: f64 = 1e-7;

/// A back end with gradients whose inner back end computes without.
pub trait TrainBackend: NestorBackend + AutodiffBackend<InnerBackend = Self::Plain> {
    /// The same device without gradients.
    type Plain: NestorBackend;
}

impl<B, I> TrainBackend for B
where
    B: NestorBackend + AutodiffBackend<InnerBackend = I>,
    I: NestorBackend,
{
    type Plain = I;
}

/// How a parameter is moved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rule {
    Muon,
    AdamW { decay: bool },
}

/// The state of one parameter, flat.
#[derive(Debug)]
struct Slot<I: Backend> {
    name: String,
    rule: Rule,
    shape: Vec<usize>,
    first: Tensor<I, 1>,
    /// AdamW's second moment; empty for Muon.
    second: Option<Tensor<I, 1>>,
    average: Tensor<I, 1>,
}

/// The optimisers' state for one network.
#[derive(Debug)]
pub struct Optimiser<I: Backend> {
    config: OptimiserConfig,
    slots: FxHashMap<ParamId, Slot<I>>,
    /// Parameters in the network's order.
    order: Vec<ParamId>,
}

/// What one update saw.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Update {
    /// Norm of the whole gradient before clipping.
    pub gradient_norm: f64,
}

impl<I: NestorBackend> Optimiser<I> {
    /// Fresh state for a network; the average starts at its weights.
    pub fn new<B: TrainBackend<Plain = I>>(network: &Network<B>, config: &OptimiserConfig) -> Self {
        let muon = network.muon_ids();
        let no_decay = network.no_decay_ids();
        let rule = |id: &ParamId| match (muon.contains(id), no_decay.contains(id)) {
            (true, _) => Rule::Muon,
            (false, frozen) => Rule::AdamW { decay: !frozen },
        };
        let mut lister = Lister {
            path: Vec::new(),
            slots: Vec::new(),
            rule: &rule,
        };
        network.visit(&mut lister);
        let order = lister.slots.iter().map(|(id, _)| *id).collect();
        Self {
            config: config.clone(),
            slots: lister.slots.into_iter().collect(),
            order,
        }
    }

    /// Moves the weights against the gradient and the average towards the weights.
    ///
    /// `step` counts from 0; `factor` multiplies both rates.
    ///
    /// # Errors
    /// [`TrainError::NonFinite`] with the layer whose gradient is not finite; nothing has moved then.
    pub fn update<B: TrainBackend<Plain = I>>(
        &mut self,
        network: &mut Network<B>,
        gradients: B::Gradients,
        step: u64,
        factor: f64,
    ) -> Result<Update, TrainError> {
        let gradients = GradientsParams::from_grads(gradients, network);
        let mut squares = Squares {
            gradients: &gradients,
            sums: Vec::new(),
        };
        network.visit(&mut squares);
        let mut total = 0.0;
        for (id, sum) in squares.host_sums() {
            if !sum.is_finite() {
                let place = format!("the gradient of {}", self.slots[&id].name);
                return Err(TrainError::NonFinite { step, place });
            }
            total += sum;
        }
        let gradient_norm = total.sqrt();
        let mut mover = Mover {
            slots: &mut self.slots,
            gradients,
            rates: Rates {
                muon: self.config.muon_rate * factor,
                adamw: self.config.adamw_rate * factor,
                decay: self.config.weight_decay,
                clip: (self.config.clip / gradient_norm.max(MIN_NORM)).min(1.0),
                correction_1: 1.0 - BETA_1.powf(step as f64 + 1.0),
                correction_2: 1.0 - BETA_2.powf(step as f64 + 1.0),
                // A young average must not remember the random start.
                ema: self
                    .config
                    .ema
                    .min((step as f64 + 1.0) / (step as f64 + 10.0)),
            },
        };
        *network = network.clone().map(&mut mover);
        Ok(Update { gradient_norm })
    }

    /// The network with the averaged weights.
    pub fn averaged<B: TrainBackend<Plain = I>>(&self, network: &Network<B>) -> Network<I> {
        network.valid().map(&mut Replacer {
            values: |id: ParamId| self.slots.get(&id).map(|s| s.average.clone()),
        })
    }

    /// Weights, averages and moments, by name.
    pub fn export<B: TrainBackend<Plain = I>>(&self, network: &Network<B>) -> Vec<NamedTensor> {
        let mut reader = Reader {
            values: FxHashMap::default(),
        };
        network.valid().visit(&mut reader);
        let mut out = Vec::new();
        for id in &self.order {
            let slot = &self.slots[id];
            let weights = reader.values.get(id).map(|w| (WEIGHTS, w.clone()));
            let second = slot.second.clone().map(|second| (SECOND, second));
            let first = Some((FIRST, slot.first.clone()));
            let average = Some((AVERAGE, slot.average.clone()));
            for (kind, tensor) in [weights, average, first, second].into_iter().flatten() {
                out.push(NamedTensor {
                    name: format!("{kind}/{}", slot.name),
                    shape: slot.shape.clone(),
                    values: host_values(tensor),
                });
            }
        }
        out
    }

    /// Takes weights and state back from an export.
    ///
    /// # Errors
    /// The name of a tensor that is missing or has another shape.
    pub fn import<B: TrainBackend<Plain = I>>(
        &mut self,
        network: &mut Network<B>,
        tensors: &[NamedTensor],
    ) -> Result<(), String> {
        let device = network.embedding.val().inner().device();
        let by_name: FxHashMap<&str, &NamedTensor> =
            tensors.iter().map(|t| (t.name.as_str(), t)).collect();
        let take = |kind: &str, name: &str, shape: &[usize]| {
            let key = format!("{kind}/{name}");
            let tensor = by_name
                .get(key.as_str())
                .ok_or_else(|| format!("has no tensor {key}"))?;
            if tensor.shape != shape {
                return Err(format!("tensor {key} is {:?}, not {shape:?}", tensor.shape));
            }
            let data = TensorData::new(tensor.values.clone(), [tensor.values.len()]);
            Ok(Tensor::<I, 1>::from_data(data, &device))
        };
        let mut weights = FxHashMap::default();
        for (id, slot) in &mut self.slots {
            weights.insert(*id, take(WEIGHTS, &slot.name, &slot.shape)?);
            slot.average = take(AVERAGE, &slot.name, &slot.shape)?;
            slot.first = take(FIRST, &slot.name, &slot.shape)?;
            if slot.second.is_some() {
                slot.second = Some(take(SECOND, &slot.name, &slot.shape)?);
            }
        }
        let values = |id: ParamId| weights.remove(&id).map(Tensor::<B, 1>::from_inner);
        *network = network.clone().map(&mut Replacer { values });
        Ok(())
    }
}

const WEIGHTS: &str = "weights";
const AVERAGE: &str = "average";
const FIRST: &str = "first";
const SECOND: &str = "second";

/// Nearest matrix with orthonormal rows or columns, about: singular values end in 0.7 to 1.2.
fn orthogonalise<I: Backend>(gradient: Tensor<I, 2>) -> Tensor<I, 2> {
    let [rows, columns] = gradient.dims();
    let tall = rows > columns;
    let x = if tall { gradient.transpose() } else { gradient };
    let norm = x.clone().powi_scalar(2).sum().sqrt().clamp_min(MIN_NORM);
    let mut x = x / norm.reshape([1, 1]);
    let (a, b, c) = NEWTON_SCHULZ;
    for _ in 0..NEWTON_SCHULZ_STEPS {
        let gram = x.clone().matmul(x.clone().transpose());
        let mix = gram.clone() * b + gram.clone().matmul(gram) * c;
        x = x.clone() * a + mix.matmul(x);
    }
    if tall { x.transpose() } else { x }
}

/// The numbers of one update.
struct Rates {
    muon: f64,
    adamw: f64,
    decay: f64,
    clip: f64,
    correction_1: f64,
    correction_2: f64,
    ema: f64,
}

impl Rates {
    /// New flat weights; the slot's state moves along.
    fn apply<I: Backend>(
        &self,
        slot: &mut Slot<I>,
        weights: Tensor<I, 1>,
        gradient: Tensor<I, 1>,
    ) -> Tensor<I, 1> {
        let gradient = if self.clip < 1.0 {
            gradient * self.clip
        } else {
            gradient
        };
        let moved = match (slot.rule, slot.second.take()) {
            (Rule::Muon, _) => {
                let (rows, columns) = (slot.shape[0], slot.shape[1]);
                slot.first = slot.first.clone() * MUON_MOMENTUM + gradient.clone();
                let ahead = slot.first.clone() * MUON_MOMENTUM + gradient;
                let direction = orthogonalise(ahead.reshape([rows, columns]));
                let rate = self.muon * 0.2 * (rows.max(columns) as f64).sqrt();
                weights * (1.0 - self.muon * self.decay)
                    - direction.reshape([rows * columns]) * rate
            }
            (Rule::AdamW { decay }, second) => {
                let second = second.unwrap_or_else(|| slot.first.zeros_like());
                slot.first = slot.first.clone() * BETA_1 + gradient.clone() * (1.0 - BETA_1);
                let second = second * BETA_2 + gradient.clone() * gradient * (1.0 - BETA_2);
                slot.second = Some(second.clone());
                let scale = (second / self.correction_2).sqrt() + ADAM_EPS;
                let decay = if decay { self.decay } else { 0.0 };
                weights * (1.0 - self.adamw * decay)
                    - slot.first.clone() / scale * (self.adamw / self.correction_1)
            }
        };
        slot.average = slot.average.clone() * self.ema + moved.clone() * (1.0 - self.ema);
        moved
    }
}

/// Collects a slot for each parameter, in the network's order.
struct Lister<'a, I: Backend> {
    path: Vec<String>,
    slots: Vec<(ParamId, Slot<I>)>,
    rule: &'a dyn Fn(&ParamId) -> Rule,
}

impl<B: TrainBackend> ModuleVisitor<B> for Lister<'_, B::Plain> {
    fn enter_module(&mut self, name: &str, _container: &str) {
        self.path.push(name.to_string());
    }

    fn exit_module(&mut self, _name: &str, _container: &str) {
        self.path.pop();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<B, D>>) {
        let weights = param.val().inner();
        let shape = weights.dims().to_vec();
        let flat = weights.reshape([shape.iter().product::<usize>()]);
        let rule = (self.rule)(&param.id);
        let second = (rule != Rule::Muon).then(|| flat.zeros_like());
        let slot = Slot {
            name: self.path.join("."),
            rule,
            shape,
            first: flat.zeros_like(),
            second,
            average: flat,
        };
        self.slots.push((param.id, slot));
    }
}

/// Sums of squares of each parameter's gradient.
struct Squares<'a, I: Backend> {
    gradients: &'a GradientsParams,
    sums: Vec<(ParamId, SquareSum<I>)>,
}

enum SquareSum<I: Backend> {
    Host(f64),
    Device(Tensor<I, 1>),
}

impl<B: TrainBackend> ModuleVisitor<B> for Squares<'_, B::Plain> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<B, D>>) {
        let Some(gradient) = self.gradients.get::<B::Plain, D>(param.id) else {
            return;
        };
        let sum = if B::HOST {
            // In one thread and in f64: the same for any number of threads.
            let sum = B::Plain::read([gradient.into_primitive().tensor()], |[values]| {
                values
                    .chunks(1024)
                    .map(|c| f64::from(c.iter().map(|v| v * v).sum::<f32>()))
                    .sum()
            });
            SquareSum::Host(sum)
        } else {
            SquareSum::Device(gradient.powi_scalar(2).sum())
        };
        self.sums.push((param.id, sum));
    }
}

impl<I: Backend> Squares<'_, I> {
    /// The sums, fetched from the device at once.
    fn host_sums(self) -> Vec<(ParamId, f64)> {
        let on_device: Vec<_> = self
            .sums
            .iter()
            .filter_map(|(_, sum)| match sum {
                SquareSum::Device(sum) => Some(sum.clone()),
                SquareSum::Host(_) => None,
            })
            .collect();
        let fetched = if on_device.is_empty() {
            Vec::new()
        } else {
            host_values(Tensor::cat(on_device, 0))
        };
        let mut fetched = fetched.into_iter();
        let value = |sum| match sum {
            SquareSum::Host(sum) => sum,
            SquareSum::Device(_) => f64::from(fetched.next().unwrap_or(f32::NAN)),
        };
        let (ids, sums): (Vec<_>, Vec<_>) = self.sums.into_iter().unzip();
        ids.into_iter()
            .zip(sums.into_iter().map(value).collect::<Vec<_>>())
            .collect()
    }
}

/// Moves every parameter that has a gradient.
struct Mover<'a, I: Backend> {
    slots: &'a mut FxHashMap<ParamId, Slot<I>>,
    gradients: GradientsParams,
    rates: Rates,
}

impl<B: TrainBackend> ModuleMapper<B> for Mover<'_, B::Plain> {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<B, D>>) -> Param<Tensor<B, D>> {
        let (id, tensor, mapper) = param.consume();
        let gradient = self.gradients.remove::<B::Plain, D>(id);
        let (Some(gradient), Some(slot)) = (gradient, self.slots.get_mut(&id)) else {
            return Param::from_mapped_value(id, tensor, mapper);
        };
        let shape = tensor.shape();
        let length = [shape.num_elements()];
        let weights = tensor.inner().reshape(length);
        let moved = self.rates.apply(slot, weights, gradient.reshape(length));
        let tensor = Tensor::from_inner(moved.reshape(shape)).require_grad();
        Param::from_mapped_value(id, tensor, mapper)
    }
}

/// Puts other values in the place of parameters.
struct Replacer<F> {
    values: F,
}

impl<B: Backend, F: FnMut(ParamId) -> Option<Tensor<B, 1>>> ModuleMapper<B> for Replacer<F> {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<B, D>>) -> Param<Tensor<B, D>> {
        let (id, tensor, mapper) = param.consume();
        let tracked = tensor.is_require_grad();
        let tensor = match (self.values)(id) {
            Some(values) => values.reshape(tensor.shape()),
            None => tensor,
        };
        let tensor = if tracked {
            tensor.require_grad()
        } else {
            tensor
        };
        Param::from_mapped_value(id, tensor, mapper)
    }
}

/// Reads every parameter, flat.
struct Reader<I: Backend> {
    values: FxHashMap<ParamId, Tensor<I, 1>>,
}

impl<I: Backend> ModuleVisitor<I> for Reader<I> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<I, D>>) {
        let tensor = param.val();
        let length = [tensor.shape().num_elements()];
        self.values.insert(param.id, tensor.reshape(length));
    }
}

fn host_values<I: Backend>(tensor: Tensor<I, 1>) -> Vec<f32> {
    tensor
        .into_data()
        .convert::<f32>()
        .into_vec()
        .expect("converted to f32 just now")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Size, TrainConfig};
    use nestor_model::{Cpu, TrainCpu};
    use rand::rngs::StdRng;
    use rand::{Rng, SeedableRng};

    fn network() -> (Network<TrainCpu>, OptimiserConfig) {
        let config = TrainConfig::new("c".into(), Size::Nano, 1, "o".into());
        let network = Network::new(&Size::Nano.network(1, 300), 1, &Default::default());
        (network, config.optimiser)
    }

    #[test]
    fn an_orthogonalised_matrix_is_nearly_orthonormal() {
        for shape in [[8usize, 40], [40, 8]] {
            // The same numbers in every run: the bound is for these, others may leave it by a hair.
            let mut random = StdRng::seed_from_u64(1);
            let values: Vec<f32> = (0..320).map(|_| random.random()).collect();
            let gradient = Tensor::<Cpu, 1>::from_floats(values.as_slice(), &Default::default());
            let x = orthogonalise(gradient.reshape(shape));
            assert_eq!(x.dims(), shape);
            let x = if shape[0] > shape[1] {
                x.transpose()
            } else {
                x
            };
            let gram: Vec<f32> = x
                .clone()
                .matmul(x.transpose())
                .into_data()
                .into_vec()
                .unwrap();
            for (i, value) in gram.iter().enumerate() {
                let expected = if i % 9 == 0 { 1.0 } else { 0.0 };
                // Newton-Schulz with these coefficients leaves singular values in about 0.7 to 1.2.
                assert!((value - expected).abs() < 0.5, "{i}: {value}");
            }
        }
        let zero = orthogonalise(Tensor::<Cpu, 2>::zeros([4, 4], &Default::default()));
        assert_eq!(zero.abs().max().into_scalar(), 0.0);
    }

    #[test]
    fn the_first_step_moves_by_the_rate_and_the_average_follows() {
        let (mut network, config) = network();
        let mut optimiser = Optimiser::new(&network, &config);
        let before: Vec<f32> = network.exits[0].norm.val().into_data().into_vec().unwrap();
        let gradients = network.exits[0]
            .norm
            .val()
            .sum()
            .mul_scalar(1e-3)
            .backward();
        let update = optimiser.update(&mut network, gradients, 0, 0.5).unwrap();
        assert!((update.gradient_norm - 1e-3 * (before.len() as f64).sqrt()).abs() < 1e-6);
        let after: Vec<f32> = network.exits[0].norm.val().into_data().into_vec().unwrap();
        let average: Vec<f32> = optimiser.averaged(&network).exits[0]
            .norm
            .val()
            .into_data()
            .into_vec()
            .unwrap();
        for i in 0..before.len() {
            let moved = f64::from(before[i] - after[i]);
            assert!((moved - config.adamw_rate * 0.5).abs() < 1e-6, "{moved}");
            let expected = before[i] * 0.1 + after[i] * 0.9;
            assert!((average[i] - expected).abs() < 1e-6);
        }
    }

    #[test]
    fn a_gradient_that_is_not_finite_is_named_and_nothing_moves() {
        let (mut network, config) = network();
        let mut optimiser = Optimiser::new(&network, &config);
        let before: Vec<f32> = network.embedding.val().into_data().into_vec().unwrap();
        let bad = network.stages[0].blocks[0]
            .down
            .val()
            .mul_scalar(f32::NAN)
            .sum();
        let gradients = (bad + network.embedding.val().sum()).backward();
        let error = optimiser
            .update(&mut network, gradients, 7, 1.0)
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("step 7") && error.contains("stages.0.blocks.0.down"),
            "{error}"
        );
        let after: Vec<f32> = network.embedding.val().into_data().into_vec().unwrap();
        assert_eq!(before, after);
    }
}
