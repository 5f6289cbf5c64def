//! The network of Nestor in Burn: what `train` teaches and the engine later serves.
//!
//! A decoder in stages with an exit after each: gated delta rule and sliding-window attention as
//! mixers, SwiGLU feed-forward layers, a tied head. Called by `train` and `cli`. It must not know
//! about files of source code, tokenizers, schedules or optimisers.
//!
//! Every costly operation exists twice: as a fused host operation with a hand-written backward
//! ([`host`], for CPUs) and as a composition of tensor operations ([`tensor_form`], for GPUs and as
//! the reference that the tests compare with), the costliest parts of which have a hand-written backward too.

mod backend;
mod config;
mod error;
mod fused;
pub mod host;
mod loss;
mod network;
pub mod tensor_form;
mod weights;

pub use backend::{Cpu, DeviceOp, HostOp, NestorBackend, TrainCpu};
#[cfg(feature = "cuda")]
pub use backend::{Cuda, TrainCuda};
#[cfg(feature = "wgpu")]
pub use backend::{TrainWgpu, Wgpu};
pub use config::NetworkConfig;
pub use error::ModelError;
pub use loss::{LevelMetrics, LossBatch, LossOptions, LossOutput};
pub use network::{AttentionMixer, Block, DeltaMixer, Exit, Mixer, Network, Products, Stage};
pub use weights::{WeightType, load_weights, named_tensors, save_weights};
