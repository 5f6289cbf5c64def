//! The weights of a network in memory, and the names and shapes that they have in a file.

use crate::{EngineError, NetworkConfig};
use nestor_kernels::{
    CodeRows, Int4Panels, Int8Panels, MAX_WIDE_INPUTS, Panels, matmul_int4, matmul_int8,
    matmul_panels,
};

/// What the matrices are in memory. Norms, convolutions and states are `f32` either way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Precision {
    /// 32-bit floats: the reference.
    F32,
    /// 8-bit codes with a scale for each column; activations become 8-bit codes with a scale for each row.
    Int8,
    /// Those of [`Precision::Int8`] that 4-bit numbers with a factor for each 32 inputs can say; the head keeps its 8 bits.
    Int4,
}

impl Precision {
    /// The word that users write.
    pub fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::Int8 => "int8",
            Self::Int4 => "int4",
        }
    }
}

/// A tensor as a file holds it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Tensor {
    F32(Vec<f32>),
    /// Codes of a matrix in the order of the file, with a scale for each of its columns (for each row of the embedding).
    Int8 {
        codes: Vec<i8>,
        scales: Vec<f32>,
    },
}

/// A matrix `[in, out]`, laid out for products.
#[derive(Debug)]
pub(crate) enum Matrix {
    F32(Panels),
    Int8 {
        panels: Int8Panels,
        /// Whether activations take two planes of codes.
        wide: bool,
    },
    Int4(Int4Panels),
}

impl Matrix {
    pub fn inputs(&self) -> usize {
        match self {
            Self::F32(panels) => panels.inputs(),
            Self::Int8 { panels, .. } => panels.inputs(),
            Self::Int4(panels) => panels.inputs(),
        }
    }

    pub fn outputs(&self) -> usize {
        match self {
            Self::F32(panels) => panels.outputs(),
            Self::Int8 { panels, .. } => panels.outputs(),
            Self::Int4(panels) => panels.outputs(),
        }
    }

    /// Bytes that a product with few rows reads.
    pub fn bytes(&self) -> usize {
        match self {
            Self::F32(panels) => panels.bytes(),
            Self::Int8 { panels, .. } => panels.bytes(),
            Self::Int4(panels) => panels.bytes(),
        }
    }

    /// `y = x W` for `x [n, in]` and `y [n, out]`; a row of `y` has the same bits whatever the other rows are. `codes` is a buffer.
    pub fn product(&self, x: &[f32], y: &mut [f32], codes: &mut CodeRows, threads: usize) {
        match self {
            Self::F32(panels) => matmul_panels(x, panels, y, threads),
            Self::Int8 { panels, wide } => {
                if *wide {
                    codes.set_wide(x, panels.inputs());
                } else {
                    codes.set(x, panels.inputs());
                }
                matmul_int8(codes, panels, y, threads);
            }
            Self::Int4(panels) => {
                codes.set_grouped(x, panels.inputs());
                matmul_int4(codes, panels, y, threads);
            }
        }
    }
}

/// All weights; matrices are `[in, out]`.
#[derive(Debug)]
pub(crate) struct Weights {
    /// `[V, d]`, row-major; what the head's codes stand for where it has codes.
    pub embedding: Vec<f32>,
    /// The head of every exit, `[d, V]`: the embedding again, as products want it.
    pub head: Matrix,
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
    pub gate_up: Matrix,
    /// `[F, d]`
    pub down: Matrix,
}

#[derive(Debug)]
pub(crate) enum Mixer {
    Delta(DeltaWeights),
    Attention(AttentionWeights),
}

#[derive(Debug)]
pub(crate) struct DeltaWeights {
    /// `[d, 2HK + 2HV + 2H]`: q, k, v, gate z, a, b.
    pub in_proj: Matrix,
    /// `[taps, 2HK + HV]`
    pub conv: Vec<f32>,
    /// `[H]`
    pub a_log: Vec<f32>,
    /// `[H]`
    pub dt_bias: Vec<f32>,
    /// `[V]`, shared by the heads.
    pub out_norm: Vec<f32>,
    /// `[HV, d]`
    pub out_proj: Matrix,
}

#[derive(Debug)]
pub(crate) struct AttentionWeights {
    /// `[d, (query_heads + 2 kv_heads) head_dim]`: q, k, v.
    pub qkv: Matrix,
    /// `[head_dim]`
    pub q_norm: Vec<f32>,
    /// `[head_dim]`
    pub k_norm: Vec<f32>,
    /// `[query_heads head_dim, d]`
    pub out_proj: Matrix,
}

#[derive(Debug)]
pub(crate) struct Exit {
    pub norm: Vec<f32>,
    /// `[d, r]`
    pub down: Matrix,
    /// `[r, d]`
    pub up: Matrix,
}

/// A matrix of codes `[out, in]` whose activations take one plane: in 4 bits where they fit, which changes no bit of a product.
fn matrix_of_codes(codes: &[i8], scales: &[f32], inputs: usize) -> Matrix {
    match Int4Panels::from_codes(codes, scales, inputs) {
        Some(panels) => Matrix::Int4(panels),
        None => Matrix::Int8 {
            panels: Int8Panels::from_codes(codes, scales, inputs),
            wide: false,
        },
    }
}

/// A matrix `[in, out]` as its rows `[out, in]`.
pub(crate) fn turned<T: Copy + Default>(w: &[T], [inputs, outputs]: [usize; 2]) -> Vec<T> {
    let mut turned = vec![T::default(); w.len()];
    for i in 0..inputs {
        for j in 0..outputs {
            turned[j * inputs + i] = w[i * outputs + j];
        }
    }
    turned
}

/// Gives a tensor for its name and shape.
type Take<'a> = &'a mut dyn FnMut(&str, &[usize]) -> Result<Tensor, EngineError>;

/// Makes the parts of a network out of tensors.
struct Builder<'a> {
    take: Take<'a>,
    precision: Precision,
    prefix: String,
}

impl Builder<'_> {
    fn take(&mut self, name: &str, shape: &[usize]) -> Result<Tensor, EngineError> {
        (self.take)(&format!("{}{name}", self.prefix), shape)
    }

    /// What stays `f32`.
    fn vector(&mut self, name: &str, shape: &[usize]) -> Result<Vec<f32>, EngineError> {
        Ok(match self.take(name, shape)? {
            Tensor::F32(values) => values,
            Tensor::Int8 { .. } => unreachable!("only matrices are read as codes"),
        })
    }

    /// A matrix `[in, out]`.
    fn matrix(&mut self, name: &str, [inputs, outputs]: [usize; 2]) -> Result<Matrix, EngineError> {
        let tensor = self.take(name, &[inputs, outputs])?;
        let of_codes = |codes: &[i8], scales: &[f32]| {
            let value = |(at, code): (usize, &i8)| f32::from(*code) * scales[at % outputs];
            codes.iter().enumerate().map(value).collect::<Vec<f32>>()
        };
        Ok(match (tensor, self.precision) {
            (Tensor::F32(w), Precision::F32) => Matrix::F32(Panels::from_columns(&w, inputs)),
            (Tensor::F32(w), Precision::Int8) => Matrix::Int8 {
                panels: Int8Panels::from_columns(&w, inputs),
                wide: false,
            },
            (Tensor::F32(w), Precision::Int4) => Matrix::Int4(Int4Panels::from_rows(
                &turned(&w, [inputs, outputs]),
                inputs,
            )),
            (Tensor::Int8 { codes, scales }, Precision::F32) => {
                Matrix::F32(Panels::from_columns(&of_codes(&codes, &scales), inputs))
            }
            (Tensor::Int8 { codes, scales }, precision) => {
                let rows = turned(&codes, [inputs, outputs]);
                match (matrix_of_codes(&rows, &scales, inputs), precision) {
                    (Matrix::Int8 { .. }, Precision::Int4) => {
                        let w = turned(&of_codes(&codes, &scales), [inputs, outputs]);
                        Matrix::Int4(Int4Panels::from_rows(&w, inputs))
                    }
                    (matrix, _) => matrix,
                }
            }
        })
    }

    /// The embedding `[V, d]` and the head that shares its numbers.
    fn embedding(&mut self, vocab: usize, d: usize) -> Result<(Vec<f32>, Matrix), EngineError> {
        let tensor = self.take("embedding", &[vocab, d])?;
        let head = match (&tensor, self.precision) {
            (Tensor::F32(w), Precision::F32) => {
                return Ok((w.clone(), Matrix::F32(Panels::from_rows(w, d))));
            }
            (Tensor::F32(w), _) => Int8Panels::from_rows(w, d),
            (Tensor::Int8 { codes, scales }, _) => Int8Panels::from_codes(codes, scales, d),
        };
        let mut embedding = Vec::with_capacity(vocab * d);
        for token in 0..head.outputs() {
            let (scale, codes) = head.column(token);
            embedding.extend(codes.map(|code| f32::from(code) * scale));
        }
        Ok(match self.precision {
            Precision::F32 => {
                let head = Matrix::F32(Panels::from_rows(&embedding, d));
                (embedding, head)
            }
            // Most positions where codes change the best token change it in the head, and a token waits for its weights anyway.
            Precision::Int8 | Precision::Int4 => {
                let wide = d <= MAX_WIDE_INPUTS;
                let panels = head;
                (embedding, Matrix::Int8 { panels, wide })
            }
        })
    }

    fn exit(&mut self, config: &NetworkConfig) -> Result<Exit, EngineError> {
        let (d, rank) = (config.width, config.exit_rank);
        Ok(Exit {
            norm: self.vector("norm", &[d])?,
            down: self.matrix("down", [d, rank])?,
            up: self.matrix("up", [rank, d])?,
        })
    }

    fn block(&mut self, config: &NetworkConfig, last: bool) -> Result<Block, EngineError> {
        let d = config.width;
        Ok(Block {
            mixer_norm: self.vector("mixer_norm", &[d])?,
            mixer: if last {
                Mixer::Attention(self.attention(config)?)
            } else {
                Mixer::Delta(self.delta(config)?)
            },
            ffn_norm: self.vector("ffn_norm", &[d])?,
            gate_up: self.matrix("ffn.gate_up", [d, 2 * config.ffn])?,
            down: self.matrix("ffn.down", [config.ffn, d])?,
        })
    }

    fn delta(&mut self, config: &NetworkConfig) -> Result<DeltaWeights, EngineError> {
        let heads = config.delta_heads;
        let values = heads * config.value_dim;
        Ok(DeltaWeights {
            in_proj: self.matrix("mixer.in_proj", [config.width, config.delta_columns()])?,
            conv: self.vector("mixer.conv", &[config.conv, config.conv_channels()])?,
            a_log: self.vector("mixer.a_log", &[heads])?,
            dt_bias: self.vector("mixer.dt_bias", &[heads])?,
            out_norm: self.vector("mixer.out_norm", &[config.value_dim])?,
            out_proj: self.matrix("mixer.out_proj", [values, config.width])?,
        })
    }

    fn attention(&mut self, config: &NetworkConfig) -> Result<AttentionWeights, EngineError> {
        let queries = config.query_heads * config.head_dim;
        Ok(AttentionWeights {
            qkv: self.matrix("mixer.qkv", [config.width, config.attention_columns()])?,
            q_norm: self.vector("mixer.q_norm", &[config.head_dim])?,
            k_norm: self.vector("mixer.k_norm", &[config.head_dim])?,
            out_proj: self.matrix("mixer.out_proj", [queries, config.width])?,
        })
    }
}

/// Names and shapes of every tensor of `weights.safetensors`, in the order of the network. Matrices, which may be stored as codes, have two
/// dimensions; so has `conv`, which may not.
pub fn tensor_shapes(config: &NetworkConfig) -> Vec<(String, Vec<usize>)> {
    let d = config.width;
    let (heads, values) = (config.delta_heads, config.delta_heads * config.value_dim);
    let mut shapes = vec![("embedding".to_owned(), vec![config.vocab, d])];
    for s in 0..config.stages {
        for b in 0..config.blocks_per_stage {
            let mut add = |name: &str, shape: &[usize]| {
                shapes.push((format!("stages.{s}.blocks.{b}.{name}"), shape.to_vec()));
            };
            add("mixer_norm", &[d]);
            if config.attends(b) {
                add("mixer.qkv", &[d, config.attention_columns()]);
                add("mixer.q_norm", &[config.head_dim]);
                add("mixer.k_norm", &[config.head_dim]);
                add("mixer.out_proj", &[config.query_heads * config.head_dim, d]);
            } else {
                add("mixer.in_proj", &[d, config.delta_columns()]);
                add("mixer.conv", &[config.conv, config.conv_channels()]);
                add("mixer.a_log", &[heads]);
                add("mixer.dt_bias", &[heads]);
                add("mixer.out_norm", &[config.value_dim]);
                add("mixer.out_proj", &[values, d]);
            }
            add("ffn_norm", &[d]);
            add("ffn.gate_up", &[d, 2 * config.ffn]);
            add("ffn.down", &[config.ffn, d]);
        }
        let mut add = |name: &str, shape: &[usize]| {
            shapes.push((format!("exits.{s}.{name}"), shape.to_vec()))
        };
        add("norm", &[d]);
        add("down", &[d, config.exit_rank]);
        add("up", &[config.exit_rank, d]);
    }
    shapes
}

/// Whether a tensor of [`tensor_shapes`] is a matrix of products, which may be stored as codes.
pub(crate) fn is_matrix(name: &str, shape: &[usize]) -> bool {
    shape.len() == 2 && !name.ends_with(".conv")
}

impl Weights {
    /// Asks `take` for every tensor by name and shape.
    ///
    /// # Errors
    /// The first error of `take`.
    pub fn build(
        config: &NetworkConfig,
        precision: Precision,
        take: Take<'_>,
    ) -> Result<Self, EngineError> {
        let mut builder = Builder {
            take,
            precision,
            prefix: String::new(),
        };
        let (embedding, head) = builder.embedding(config.vocab, config.width)?;
        let mut stages = Vec::with_capacity(config.stages);
        for s in 0..config.stages {
            let mut blocks = Vec::with_capacity(config.blocks_per_stage);
            for b in 0..config.blocks_per_stage {
                builder.prefix = format!("stages.{s}.blocks.{b}.");
                blocks.push(builder.block(config, config.attends(b))?);
            }
            builder.prefix = format!("exits.{s}.");
            let exit = builder.exit(config)?;
            stages.push(Stage { blocks, exit });
        }
        Ok(Self {
            head,
            embedding,
            stages,
        })
    }

    /// What the matrices are; [`Precision::Int4`] where any of them is.
    pub fn precision(&self) -> Precision {
        let blocks = self.stages.iter().flat_map(|stage| &stage.blocks);
        let mut matrices = blocks.flat_map(|block| [&block.gate_up, &block.down]);
        match &self.head {
            Matrix::F32(_) => Precision::F32,
            _ if matrices.any(|matrix| matches!(matrix, Matrix::Int4(_))) => Precision::Int4,
            _ => Precision::Int8,
        }
    }

    /// Bytes of the matrices that one token streams through the first `stages` stages and one exit's head.
    pub fn streamed_bytes(&self, stages: usize) -> usize {
        let block = |block: &Block| {
            let mixer = match &block.mixer {
                Mixer::Delta(weights) => weights.in_proj.bytes() + weights.out_proj.bytes(),
                Mixer::Attention(weights) => weights.qkv.bytes() + weights.out_proj.bytes(),
            };
            mixer + block.gate_up.bytes() + block.down.bytes()
        };
        let stage = |stage: &Stage| {
            let blocks: usize = stage.blocks.iter().map(block).sum();
            blocks + stage.exit.down.bytes() + stage.exit.up.bytes()
        };
        self.stages.iter().take(stages).map(stage).sum::<usize>() + self.head.bytes()
    }
}
