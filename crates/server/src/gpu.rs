//! Figures of the machine's GPUs, on which jobs train; completions use none.
//!
//! They come from `nvidia-smi`, which every driver brings: a machine without it has no figures, and is not asked again.

use std::process::{Command, Stdio};
use std::time::Duration;

use crate::metrics::SharedMetrics;

/// How often a machine with GPUs is asked.
const LOOK_EVERY: Duration = Duration::from_secs(10);

const QUERY: [&str; 2] = [
    "--query-gpu=index,utilization.gpu,memory.used,memory.total,power.draw,temperature.gpu",
    "--format=csv,noheader,nounits",
];

/// What a GPU does; `None` for what its driver does not tell.
#[derive(Clone, Debug, PartialEq)]
pub struct Gpu {
    /// Its number.
    pub index: String,
    /// Share of the time that it computed.
    pub utilization: Option<f64>,
    /// Bytes used.
    pub memory_used: Option<f64>,
    /// Bytes that it has.
    pub memory_total: Option<f64>,
    /// Watts drawn.
    pub power: Option<f64>,
    /// Degrees Celsius.
    pub temperature: Option<f64>,
}

/// Tells what the GPUs do until the machine turns out to have none.
pub async fn watch(metrics: SharedMetrics) {
    loop {
        let found = tokio::task::spawn_blocking(ask).await;
        let Ok(Some(gpus)) = found else { return };
        metrics.gpus(&gpus);
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

fn ask() -> Option<Vec<Gpu>> {
    let mut command = Command::new("nvidia-smi");
    let output = command.args(QUERY).stdin(Stdio::null()).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    let gpus: Vec<Gpu> = text.lines().filter_map(parse).collect();
    (output.status.success() && !gpus.is_empty()).then_some(gpus)
}

fn parse(line: &str) -> Option<Gpu> {
    const MIB: f64 = 1_048_576.0;
    let fields: Vec<&str> = line.split(',').map(str::trim).collect();
    let [index, utilization, used, total, power, temperature] = fields[..] else {
        return None;
    };
    let number = |text: &str, times: f64| Some(text.parse::<f64>().ok()? * times);
    Some(Gpu {
        index: index.to_owned(),
        utilization: number(utilization, 0.01),
        memory_used: number(used, MIB),
        memory_total: number(total, MIB),
        power: number(power, 1.0),
        temperature: number(temperature, 1.0),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_driver_does_not_tell_is_left_out() {
        let gpu = parse("0, 37, 1024, 81559, 120.50, 41").expect("a line of a GPU");
        assert_eq!((gpu.utilization, gpu.power), (Some(0.37), Some(120.5)));
        assert_eq!(gpu.memory_used, Some(1_073_741_824.0));
        let silent = parse("1, [N/A], 1, 2, [Not Supported], 30").expect("a line of a GPU");
        assert_eq!((silent.utilization, silent.power), (None, None));
        assert_eq!(silent.temperature, Some(30.0));
        for none in ["", "No devices were found", "0, 1, 2"] {
            assert_eq!(parse(none), None, "{none}");
        }
    }
}
