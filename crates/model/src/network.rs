//! The decoder: embedding, stages of blocks, an exit after each stage.
//!
//! Letters: B batch, T time, d width, V vocabulary. Weights lie as `[in, out]`, `y = x W`.

use crate::backend::{apply, apply_on_device};
use crate::fused::{Lookup, product};
use crate::host::attention::{AttentionOp, AttentionShape};
use crate::host::delta::{DeltaOp, DeltaShape};
use crate::host::norm::{RmsNorm, SwiGlu};
use crate::{NestorBackend, NetworkConfig, tensor_form};
use burn::module::{Module, Param, ParamId};
use burn::tensor::{Int, Tensor, TensorData};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde::{Deserialize, Serialize};

/// The whole network.
#[derive(Module, Debug)]
pub struct Network<B: NestorBackend> {
    /// Token embedding and head, `[V, d]`.
    pub embedding: Param<Tensor<B, 2>>,
    /// Stages, shallowest first.
    pub stages: Vec<Stage<B>>,
    /// One exit a stage.
    pub exits: Vec<Exit<B>>,
    #[module(skip)]
    config: NetworkConfig,
    #[module(skip)]
    products: Products,
}

/// How the factors of products with weights are rounded on the way to a GPU's matrix units.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Products {
    /// Not at all.
    #[default]
    F32,
    /// To bfloat16; sums stay f32 inside the product.
    Bf16,
}

/// A run of blocks that ends in an exit.
#[derive(Module, Debug)]
pub struct Stage<B: NestorBackend> {
    /// Blocks; [`NetworkConfig::attends`] says how each mixes.
    pub blocks: Vec<Block<B>>,
}

/// Pre-norm mixer and pre-norm feed-forward layer, both residual.
#[derive(Module, Debug)]
pub struct Block<B: NestorBackend> {
    /// Gain before the mixer, `[d]`.
    pub mixer_norm: Param<Tensor<B, 1>>,
    /// The mixer over time.
    pub mixer: Mixer<B>,
    /// Gain before the feed-forward layer, `[d]`.
    pub ffn_norm: Param<Tensor<B, 1>>,
    /// Gate and up projections side by side, `[d, 2 F]`.
    pub gate_up: Param<Tensor<B, 2>>,
    /// Down projection, `[F, d]`.
    pub down: Param<Tensor<B, 2>>,
}

/// What mixes a block's positions.
#[derive(Module, Debug)]
#[allow(
    clippy::large_enum_variant,
    reason = "a handful exist in a network, and a box would stand between module and parameters; \
              an expectation would have to hold for the derived types too"
)]
pub enum Mixer<B: NestorBackend> {
    /// Gated delta rule: the level-1 memory.
    Delta(DeltaMixer<B>),
    /// Sliding-window attention.
    Attention(AttentionMixer<B>),
}

/// The gated delta rule with its projections.
#[derive(Module, Debug)]
pub struct DeltaMixer<B: NestorBackend> {
    /// `[d, P]`, columns q, k, v, gate, decay, write strength.
    pub in_proj: Param<Tensor<B, 2>>,
    /// Taps of the causal convolution `[taps, C]`, oldest first.
    pub conv: Param<Tensor<B, 2>>,
    /// Logarithm of each head's decay rate, `[H]`.
    pub a_log: Param<Tensor<B, 1>>,
    /// Bias of each head's decay, `[H]`.
    pub dt_bias: Param<Tensor<B, 1>>,
    /// Gain over a head's output.
    pub out_norm: Param<Tensor<B, 1>>,
    /// `[H D, d]`.
    pub out_proj: Param<Tensor<B, 2>>,
}

/// Sliding-window attention with its projections.
#[derive(Module, Debug)]
pub struct AttentionMixer<B: NestorBackend> {
    /// `[d, (query + 2 kv heads) head width]`.
    pub qkv: Param<Tensor<B, 2>>,
    /// Gain of the query norm.
    pub q_norm: Param<Tensor<B, 1>>,
    /// Gain of the key norm.
    pub k_norm: Param<Tensor<B, 1>>,
    /// `[query heads x head width, d]`.
    pub out_proj: Param<Tensor<B, 2>>,
}

/// Norm and low-rank adapter before the shared head.
#[derive(Module, Debug)]
pub struct Exit<B: NestorBackend> {
    /// Gain, `[d]`.
    pub norm: Param<Tensor<B, 1>>,
    /// `[d, r]`.
    pub down: Param<Tensor<B, 2>>,
    /// `[r, d]`, zero at the start.
    pub up: Param<Tensor<B, 2>>,
}

impl<B: NestorBackend> Network<B> {
    /// A network with fresh weights, the same for the same seed on every back end.
    pub fn new(config: &NetworkConfig, seed: u64, device: &B::Device) -> Self {
        let mut init = Init::<B> {
            rng: StdRng::seed_from_u64(seed),
            device: device.clone(),
        };
        let depth = config.stages * config.blocks_per_stage;
        let stages = (0..config.stages)
            .map(|_| Stage {
                blocks: (0..config.blocks_per_stage)
                    .map(|b| Block::new(config, config.attends(b), depth, &mut init))
                    .collect(),
            })
            .collect();
        let exits = (0..config.stages)
            .map(|_| Exit {
                norm: init.constant(1.0, config.width),
                down: init.projection(config.width, config.exit_rank, 1.0),
                up: init.projection(config.exit_rank, config.width, 0.0),
            })
            .collect();
        Self {
            embedding: init.normal(config.vocab, config.width, 0.02),
            stages,
            exits,
            config: config.clone(),
            products: Products::default(),
        }
    }

    /// The same network with products rounded otherwise. Fused host operations ignore it.
    #[must_use]
    pub fn with_products(mut self, products: Products) -> Self {
        self.products = products;
        self
    }

    /// How products with weights are rounded.
    pub fn products(&self) -> Products {
        self.products
    }

    /// The network's sizes.
    pub fn config(&self) -> &NetworkConfig {
        &self.config
    }

    /// Rows of every exit, ready for the head: `[B, T] -> [B, T, d]` each; logits are rows times
    /// the transposed embedding.
    pub fn exit_states(&self, tokens: Tensor<B, 2, Int>) -> Vec<Tensor<B, 3>> {
        let config = self.config();
        let [batch, time] = tokens.dims();
        let device = tokens.device();
        let flat = tokens.reshape([batch * time]);
        let table = self.embedding.val();
        let x = if B::HOST {
            table.select(0, flat)
        } else {
            let rows = flat.float().into_primitive().tensor();
            let table = table.into_primitive().tensor();
            apply_on_device::<B, _, 2, 2>(Lookup(self.products), [table, rows])
        };
        let x = x.reshape([batch, time, config.width]);
        let mut x = rms_norm(x, Tensor::ones([config.width], &device), config.norm_eps);
        let mut states = Vec::with_capacity(self.stages.len());
        for (stage, exit) in self.stages.iter().zip(&self.exits) {
            for block in &stage.blocks {
                x = block.forward(x, config, self.products);
            }
            states.push(exit.forward(x.clone(), config, self.products));
        }
        states
    }

    /// Parameters for Muon: the 2-D weights of the blocks and exits.
    pub fn muon_ids(&self) -> Vec<ParamId> {
        let mut ids = Vec::new();
        for block in self.stages.iter().flat_map(|stage| &stage.blocks) {
            match &block.mixer {
                Mixer::Delta(mixer) => ids.extend([mixer.in_proj.id, mixer.out_proj.id]),
                Mixer::Attention(mixer) => ids.extend([mixer.qkv.id, mixer.out_proj.id]),
            }
            ids.extend([block.gate_up.id, block.down.id]);
        }
        for exit in &self.exits {
            ids.extend([exit.down.id, exit.up.id]);
        }
        ids
    }

    /// Parameters for AdamW: embedding, convolutions, norms, decays.
    pub fn adamw_ids(&self) -> Vec<ParamId> {
        let mut ids = vec![self.embedding.id];
        for block in self.stages.iter().flat_map(|stage| &stage.blocks) {
            if let Mixer::Delta(mixer) = &block.mixer {
                ids.push(mixer.conv.id);
            }
        }
        ids.extend(self.no_decay_ids());
        ids
    }

    /// Parameters that weight decay must not touch: gains and decays (a part of `adamw_ids`).
    pub fn no_decay_ids(&self) -> Vec<ParamId> {
        let mut ids = Vec::new();
        for block in self.stages.iter().flat_map(|stage| &stage.blocks) {
            ids.extend([block.mixer_norm.id, block.ffn_norm.id]);
            match &block.mixer {
                Mixer::Delta(mixer) => {
                    ids.extend([mixer.a_log.id, mixer.dt_bias.id, mixer.out_norm.id]);
                }
                Mixer::Attention(mixer) => ids.extend([mixer.q_norm.id, mixer.k_norm.id]),
            }
        }
        ids.extend(self.exits.iter().map(|exit| exit.norm.id));
        ids
    }
}

impl<B: NestorBackend> Block<B> {
    fn new(config: &NetworkConfig, attends: bool, depth: usize, init: &mut Init<B>) -> Self {
        let d = config.width;
        // Residual branches start small, so that the sum over blocks starts at unit scale.
        let residual = 1.0 / (2.0 * depth as f64).sqrt();
        let mixer = if attends {
            Mixer::Attention(AttentionMixer {
                qkv: init.projection(d, config.attention_columns(), 1.0),
                q_norm: init.constant(1.0, config.head_dim),
                k_norm: init.constant(1.0, config.head_dim),
                out_proj: init.projection(config.query_heads * config.head_dim, d, residual),
            })
        } else {
            Mixer::Delta(DeltaMixer {
                in_proj: init.projection(d, config.delta_columns(), 1.0),
                conv: init.normal(config.conv, config.conv_channels(), 0.5),
                a_log: init.vector(config.delta_heads, |rng| {
                    rng.random_range(1.0_f64..16.0).ln()
                }),
                dt_bias: init.vector(config.delta_heads, |rng| {
                    // softplus(bias) log-uniform in [1e-3, 1e-1].
                    let dt = rng.random_range(1e-3_f64.ln()..1e-1_f64.ln()).exp();
                    dt.exp_m1().ln()
                }),
                out_norm: init.constant(1.0, config.value_dim),
                out_proj: init.projection(config.delta_heads * config.value_dim, d, residual),
            })
        };
        Self {
            mixer_norm: init.constant(1.0, d),
            mixer,
            ffn_norm: init.constant(1.0, d),
            gate_up: init.projection(d, 2 * config.ffn, 1.0),
            down: init.projection(config.ffn, d, residual),
        }
    }

    fn forward(&self, x: Tensor<B, 3>, config: &NetworkConfig, products: Products) -> Tensor<B, 3> {
        let u = rms_norm(x.clone(), self.mixer_norm.val(), config.norm_eps);
        let x = x + match &self.mixer {
            Mixer::Delta(mixer) => mixer.forward(u, config, products),
            Mixer::Attention(mixer) => mixer.forward(u, config, products),
        };
        let u = rms_norm(x.clone(), self.ffn_norm.val(), config.norm_eps);
        let inner = swiglu(linear(u, &self.gate_up, products), config.ffn);
        x + linear(inner, &self.down, products)
    }
}

impl<B: NestorBackend> DeltaMixer<B> {
    fn forward(&self, u: Tensor<B, 3>, config: &NetworkConfig, products: Products) -> Tensor<B, 3> {
        let [batch, time, _] = u.dims();
        let shape = DeltaShape {
            batch,
            time,
            heads: config.delta_heads,
            key_dim: config.key_dim,
            value_dim: config.value_dim,
            conv: config.conv,
            eps: config.norm_eps,
        };
        let projected = linear(u, &self.in_proj, products);
        let mixed = if B::HOST {
            let inputs = [
                projected.into_primitive().tensor(),
                self.conv.val().into_primitive().tensor(),
                self.a_log.val().into_primitive().tensor(),
                self.dt_bias.val().into_primitive().tensor(),
                self.out_norm.val().into_primitive().tensor(),
            ];
            apply::<B, _, 5, 3>(DeltaOp(shape), inputs)
        } else {
            let parameters = tensor_form::DeltaParameters {
                conv: self.conv.val(),
                a_log: self.a_log.val(),
                dt_bias: self.dt_bias.val(),
                out_norm: self.out_norm.val(),
            };
            tensor_form::delta_mixer(shape, projected, parameters)
        };
        linear(mixed, &self.out_proj, products)
    }
}

impl<B: NestorBackend> AttentionMixer<B> {
    fn forward(&self, u: Tensor<B, 3>, config: &NetworkConfig, products: Products) -> Tensor<B, 3> {
        let [batch, time, _] = u.dims();
        let shape = AttentionShape {
            batch,
            time,
            query_heads: config.query_heads,
            kv_heads: config.kv_heads,
            head_dim: config.head_dim,
            window: config.window,
            rope_theta: config.rope_theta,
            eps: config.norm_eps,
        };
        let qkv = linear(u, &self.qkv, products);
        let mixed = if B::HOST {
            let inputs = [
                qkv.into_primitive().tensor(),
                self.q_norm.val().into_primitive().tensor(),
                self.k_norm.val().into_primitive().tensor(),
            ];
            apply::<B, _, 3, 3>(AttentionOp(shape), inputs)
        } else {
            tensor_form::attention(shape, qkv, self.q_norm.val(), self.k_norm.val())
        };
        linear(mixed, &self.out_proj, products)
    }
}

impl<B: NestorBackend> Exit<B> {
    fn forward(&self, x: Tensor<B, 3>, config: &NetworkConfig, products: Products) -> Tensor<B, 3> {
        let e = rms_norm(x, self.norm.val(), config.norm_eps);
        let adapted = linear(linear(e.clone(), &self.down, products), &self.up, products);
        e + adapted
    }
}

fn linear<B: NestorBackend>(
    x: Tensor<B, 3>,
    weight: &Param<Tensor<B, 2>>,
    products: Products,
) -> Tensor<B, 3> {
    let [batch, time, width] = x.dims();
    let out = weight.dims()[1];
    product(
        x.reshape([batch * time, width]),
        weight.val(),
        if B::HOST { Products::F32 } else { products },
    )
    .reshape([batch, time, out])
}

fn rms_norm<B: NestorBackend>(x: Tensor<B, 3>, gain: Tensor<B, 1>, eps: f64) -> Tensor<B, 3> {
    if !B::HOST {
        return tensor_form::rms_norm(x, gain, eps);
    }
    let op = RmsNorm {
        shape: x.dims().to_vec(),
        eps,
    };
    apply::<B, _, 2, 3>(
        op,
        [x.into_primitive().tensor(), gain.into_primitive().tensor()],
    )
}

fn swiglu<B: NestorBackend>(x: Tensor<B, 3>, ffn: usize) -> Tensor<B, 3> {
    if !B::HOST {
        return tensor_form::swiglu(x, ffn);
    }
    let [batch, time, _] = x.dims();
    let op = SwiGlu {
        shape: vec![batch, time, ffn],
    };
    apply::<B, _, 1, 3>(op, [x.into_primitive().tensor()])
}

/// Fresh parameters, drawn on the host so that every back end starts from the same values.
struct Init<B: NestorBackend> {
    rng: StdRng,
    device: B::Device,
}

impl<B: NestorBackend> Init<B> {
    fn normal(&mut self, rows: usize, columns: usize, std: f64) -> Param<Tensor<B, 2>> {
        let values: Vec<f32> = (0..rows * columns)
            .map(|_| {
                // Box-Muller; 1 - u is in (0, 1].
                let radius = (-2.0 * (1.0 - self.rng.random::<f64>()).ln()).sqrt();
                let angle = std::f64::consts::TAU * self.rng.random::<f64>();
                (radius * angle.cos() * std) as f32
            })
            .collect();
        Param::from_tensor(Tensor::from_data(
            TensorData::new(values, [rows, columns]),
            &self.device,
        ))
    }

    /// Normal with standard deviation `scale / sqrt(rows)`.
    fn projection(&mut self, rows: usize, columns: usize, scale: f64) -> Param<Tensor<B, 2>> {
        self.normal(rows, columns, scale / (rows as f64).sqrt())
    }

    fn vector(
        &mut self,
        len: usize,
        mut draw: impl FnMut(&mut StdRng) -> f64,
    ) -> Param<Tensor<B, 1>> {
        let values: Vec<f32> = (0..len).map(|_| draw(&mut self.rng) as f32).collect();
        Param::from_tensor(Tensor::from_data(
            TensorData::new(values, [len]),
            &self.device,
        ))
    }

    fn constant(&mut self, value: f64, len: usize) -> Param<Tensor<B, 1>> {
        self.vector(len, |_| value)
    }
}
