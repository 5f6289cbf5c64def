//! The weights of a network in memory, and the names and shapes that they have in a file.

use crate::{EngineError, NetworkConfig};

/// All weights; matrices are `[in, out]`, row-major.
#[derive(Debug)]
pub(crate) struct Weights {
    /// `[V, d]`, also the head of every exit.
    pub embedding: Vec<f32>,
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
    pub gate_up: Vec<f32>,
    /// `[F, d]`
    pub down: Vec<f32>,
}

#[derive(Debug)]
pub(crate) enum Mixer {
    Delta(DeltaWeights),
    Attention(AttentionWeights),
}

#[derive(Debug)]
pub(crate) struct DeltaWeights {
    /// `[d, 2HK + 2HV + 2H]`: q, k, v, gate z, a, b.
    pub in_proj: Vec<f32>,
    /// `[taps, 2HK + HV]`
    pub conv: Vec<f32>,
    /// `[H]`
    pub a_log: Vec<f32>,
    /// `[H]`
    pub dt_bias: Vec<f32>,
    /// `[V]`, shared by the heads.
    pub out_norm: Vec<f32>,
    /// `[HV, d]`
    pub out_proj: Vec<f32>,
}

#[derive(Debug)]
pub(crate) struct AttentionWeights {
    /// `[d, (query_heads + 2 kv_heads) head_dim]`: q, k, v.
    pub qkv: Vec<f32>,
    /// `[head_dim]`
    pub q_norm: Vec<f32>,
    /// `[head_dim]`
    pub k_norm: Vec<f32>,
    /// `[query_heads head_dim, d]`
    pub out_proj: Vec<f32>,
}

#[derive(Debug)]
pub(crate) struct Exit {
    pub norm: Vec<f32>,
    /// `[d, r]`
    pub down: Vec<f32>,
    /// `[r, d]`
    pub up: Vec<f32>,
}

/// Gives a tensor's values for its name and shape.
type Take<'a> = &'a mut dyn FnMut(&str, &[usize]) -> Result<Vec<f32>, EngineError>;

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
                let last = b + 1 == config.blocks_per_stage;
                let prefix = format!("stages.{s}.blocks.{b}");
                let mut take =
                    |name: &str, shape: &[usize]| take(&format!("{prefix}.{name}"), shape);
                let mixer_norm = take("mixer_norm", &[d])?;
                let mixer = if last {
                    Mixer::Attention(AttentionWeights::build(config, &mut take)?)
                } else {
                    Mixer::Delta(DeltaWeights::build(config, &mut take)?)
                };
                blocks.push(Block {
                    mixer_norm,
                    mixer,
                    ffn_norm: take("ffn_norm", &[d])?,
                    gate_up: take("ffn.gate_up", &[d, 2 * config.ffn])?,
                    down: take("ffn.down", &[config.ffn, d])?,
                });
            }
            let exit = Exit {
                norm: take(&format!("exits.{s}.norm"), &[d])?,
                down: take(&format!("exits.{s}.down"), &[d, config.exit_rank])?,
                up: take(&format!("exits.{s}.up"), &[config.exit_rank, d])?,
            };
            stages.push(Stage { blocks, exit });
        }
        Ok(Self { embedding, stages })
    }
}

impl DeltaWeights {
    fn build(config: &NetworkConfig, take: Take<'_>) -> Result<Self, EngineError> {
        let heads = config.delta_heads;
        let values = heads * config.value_dim;
        Ok(Self {
            in_proj: take("mixer.in_proj", &[config.width, config.delta_columns()])?,
            conv: take("mixer.conv", &[config.conv, config.conv_channels()])?,
            a_log: take("mixer.a_log", &[heads])?,
            dt_bias: take("mixer.dt_bias", &[heads])?,
            out_norm: take("mixer.out_norm", &[config.value_dim])?,
            out_proj: take("mixer.out_proj", &[values, config.width])?,
        })
    }
}

impl AttentionWeights {
    fn build(config: &NetworkConfig, take: Take<'_>) -> Result<Self, EngineError> {
        let queries = config.query_heads * config.head_dim;
        Ok(Self {
            qkv: take("mixer.qkv", &[config.width, config.attention_columns()])?,
            q_norm: take("mixer.q_norm", &[config.head_dim])?,
            k_norm: take("mixer.k_norm", &[config.head_dim])?,
            out_proj: take("mixer.out_proj", &[queries, config.width])?,
        })
    }
}
