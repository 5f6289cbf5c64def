//! The only place that knows which devices this build can train on.

use crate::bench::{BenchReport, ParityReport, bench_on, parity_on};
use crate::loader::Material;
use crate::record::{Event, Summary};
use crate::run::{Control, run_on};
use crate::{Device, TrainConfig, TrainError};
use nestor_model::TrainCpu;

/// Calls a function that is generic over the back end, with the device that a configuration names.
macro_rules! on_device {
    ($config:expr, $function:ident($($argument:expr),*)) => {
        match $config.device {
            Device::Cpu => $function::<TrainCpu>($config, $($argument,)* &Default::default()),
            #[cfg(feature = "cuda")]
            Device::Cuda => {
                $function::<nestor_model::TrainCuda>($config, $($argument,)* &Default::default())
            }
            #[cfg(not(feature = "cuda"))]
            Device::Cuda => {
                Err(TrainError::Device { device: "cuda", reason: "build with `--features cuda`" })
            }
            #[cfg(feature = "wgpu")]
            Device::Wgpu => {
                $function::<nestor_model::TrainWgpu>($config, $($argument,)* &Default::default())
            }
            #[cfg(not(feature = "wgpu"))]
            Device::Wgpu => {
                Err(TrainError::Device { device: "wgpu", reason: "build with `--features wgpu`" })
            }
        }
    };
}

/// Runs on the device that the configuration names.
pub(crate) fn run_on_device(
    config: &TrainConfig,
    control: &Control,
    material: Material,
    on_event: &mut dyn FnMut(&Event),
) -> Result<Summary, TrainError> {
    on_device!(config, run_on(control, material, on_event))
}

/// Trains on random tokens for `steps` steps and measures them.
///
/// # Errors
/// [`TrainError`] as in a run.
pub fn bench_step(
    config: &TrainConfig,
    vocab: usize,
    steps: usize,
) -> Result<BenchReport, TrainError> {
    on_device!(config, bench_on(vocab, steps))
}

/// Takes the same steps on the processor and on the device that the configuration names.
///
/// # Errors
/// [`TrainError`] as in a run.
pub fn parity(
    config: &TrainConfig,
    vocab: usize,
    steps: usize,
) -> Result<ParityReport, TrainError> {
    on_device!(config, parity_on(vocab, steps))
}
