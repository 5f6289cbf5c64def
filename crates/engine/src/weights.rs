//! The weights of a network in memory, and the names and shapes that they have in a file.

use crate::{EngineError, NetworkConfig};
use nestor_kernels::Panels;

/// All weights; matrices are `[in, out]`.
#[derive(Debug)]
pub(crate) struct Weights {
    /// `[V, d]`, row-major.
    pub embedding: Vec<f32>,
    /// The head of every exit, `[d, V]`: the embedding again, as products want it.
    pub head: Panels,
    pub stages: Vec<Stage>,
}

#[derive(Debug)]
pub(crate) struct Stage {
    pub blocks: Vec<Block>,
    pub exit: Exit,
}

#[derive(Debug)]
pub(crate) struct Block {
    pub mixer_norm: Vec<f32>,
    pub mixer: Mixer,
    pub ffn_norm: Vec<f32>,
    /// `[d, 2F]`, the gate's columns first.
    pub gate_up: Panels,
    /// `[F, d]`
    pub down: Panels,
}

#[derive(Debug)]
pub(crate) enum Mixer {
    Delta(DeltaWeights),
    Attention(AttentionWeights),
}

#[derive(Debug)]
pub(crate) struct DeltaWeights {
    /// `[d, 2HK + 2HV + 2H]`: q, k, v, gate z, a, b.
    pub in_proj: Panels,
    /// `[taps, 2HK + HV]`
    pub conv: Vec<f32>,
    /// `[H]`
    pub a_log: Vec<f32>,
    /// `[H]`
    pub dt_bias: Vec<f32>,
    /// `[V]`, shared by the heads.
    pub out_norm: Vec<f32>,
    /// `[HV, d]`
    pub out_proj: Panels,
}

#[derive(Debug)]
pub(crate) struct AttentionWeights {
    /// `[d, (query_heads + 2 kv_heads) head_dim]`: q, k, v.
    pub qkv: Panels,
    /// `[head_dim]`
    pub q_norm: Vec<f32>,
    /// `[head_dim]`
    pub k_norm: Vec<f32>,
    /// `[query_heads head_dim, d]`
    pub out_proj: Panels,
}

#[derive(Debug)]
pub(crate) struct Exit {
    pub norm: Vec<f32>,
    /// `[d, r]`
    pub down: Panels,
    /// `[r, d]`
    pub up: Panels,
}

/// Gives a tensor's values for its name and shape.
type Take<'a> = &'a mut dyn FnMut(&str, &[usize]) -> Result<Vec<f32>, EngineError>;

/// A matrix `[in, out]`, laid out for products.
fn take_matrix(take: Take<'_>, name: &str, shape: [usize; 2]) -> Result<Panels, EngineError> {
    Ok(Panels::from_columns(&take(name, &shape)?, shape[0]))
}

/// Names and shapes of every tensor of `weights.safetensors`, in the order of the network.
pub fn tensor_shapes(config: &NetworkConfig) -> Vec<(String, Vec<usize>)> {
    let mut shapes = Vec::new();
    let collected = Weights::build(config, &mut |name, shape| {
        shapes.push((name.to_owned(), shape.to_vec()));
        Ok(Vec::new())
    });
    debug_assert!(collected.is_ok(), "listing shapes cannot fail");
    shapes
}

impl Weights {
    /// Asks `take` for every tensor by name and shape.
    ///
    /// # Errors
    /// The first error of `take`.
    pub fn build(config: &NetworkConfig, take: Take<'_>) -> Result<Self, EngineError> {
        let d = config.width;
        let embedding = take("embedding", &[config.vocab, d])?;
        let mut stages = Vec::with_capacity(config.stages);
        for s in 0..config.stages {
            let mut blocks = Vec::with_capacity(config.blocks_per_stage);
            for b in 0..config.blocks_per_stage {
                let prefix = format!("stages.{s}.blocks.{b}");
                let mut take =
                    |name: &str, shape: &[usize]| take(&format!("{prefix}.{name}"), shape);
                let mixer_norm = take("mixer_norm", &[d])?;
                let mixer = if config.attends(b) {
                    Mixer::Attention(AttentionWeights::build(config, &mut take)?)
                } else {
                    Mixer::Delta(DeltaWeights::build(config, &mut take)?)
                };
                blocks.push(Block {
                    mixer_norm,
                    mixer,
                    ffn_norm: take("ffn_norm", &[d])?,
                    gate_up: take_matrix(&mut take, "ffn.gate_up", [d, 2 * config.ffn])?,
                    down: take_matrix(&mut take, "ffn.down", [config.ffn, d])?,
                });
            }
            let exit = Exit {
                norm: take(&format!("exits.{s}.norm"), &[d])?,
                down: take_matrix(take, &format!("exits.{s}.down"), [d, config.exit_rank])?,
                up: take_matrix(take, &format!("exits.{s}.up"), [config.exit_rank, d])?,
            };
            stages.push(Stage { blocks, exit });
        }
        Ok(Self {
            head: Panels::from_rows(&embedding, d),
            embedding,
            stages,
        })
    }
}

impl DeltaWeights {
    fn build(config: &NetworkConfig, take: Take<'_>) -> Result<Self, EngineError> {
        let heads = config.delta_heads;
        let values = heads * config.value_dim;
        Ok(Self {
            in_proj: take_matrix(
                take,
                "mixer.in_proj",
                [config.width, config.delta_columns()],
            )?,
            conv: take("mixer.conv", &[config.conv, config.conv_channels()])?,
            a_log: take("mixer.a_log", &[heads])?,
            dt_bias: take("mixer.dt_bias", &[heads])?,
            out_norm: take("mixer.out_norm", &[config.value_dim])?,
            out_proj: take_matrix(take, "mixer.out_proj", [values, config.width])?,
        })
    }
}

impl AttentionWeights {
    fn build(config: &NetworkConfig, take: Take<'_>) -> Result<Self, EngineError> {
        let queries = config.query_heads * config.head_dim;
        Ok(Self {
            qkv: take_matrix(
                take,
                "mixer.qkv",
                [config.width, config.attention_columns()],
            )?,
            q_norm: take("mixer.q_norm", &[config.head_dim])?,
            k_norm: take("mixer.k_norm", &[config.head_dim])?,
            out_proj: take_matrix(take, "mixer.out_proj", [queries, config.width])?,
        })
    }
}
