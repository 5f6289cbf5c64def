//! llama.cpp on random weights of our shape, in a Python environment that is made for it once.
//!
//! Its weights are a plain transformer of about as many bytes as ours; `peer.py` writes them with the package `gguf` and times
//! `llama-cpp-python`, whose functions cost some microseconds a token over those of the library.

use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use std::process::Command;

const SCRIPT: &str = include_str!("peer.py");

/// For this processor, without the half of it that reads pictures or is programs.
const BUILD: &str =
    "-DGGML_NATIVE=ON -DLLAVA_BUILD=OFF -DLLAMA_BUILD_TOOLS=OFF -DLLAMA_BUILD_EXAMPLES=OFF";

/// The shape of the peer's network, and how it is timed.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PeerShape {
    /// Width.
    pub width: usize,
    /// Layers.
    pub layers: usize,
    /// Inner width of the feed-forward layers; a multiple of 32, as the width.
    pub ffn: usize,
    /// Vocabulary.
    pub vocab: usize,
    /// Query heads, which divide the width.
    pub heads: usize,
    /// Heads of keys and values.
    pub kv_heads: usize,
    /// `q8_0` or `q4_0`.
    pub quant: &'static str,
    /// Numbers of threads to time.
    pub threads: Vec<usize>,
    /// Runs of which the median is told.
    pub repeats: usize,
}

impl PeerShape {
    /// A plain transformer of a width, a vocabulary and about so many weights beside the embedding.
    pub fn about(
        width: usize,
        vocab: usize,
        weights: usize,
        heads: usize,
        kv_heads: usize,
    ) -> Self {
        let ffn = (8 * width / 3).next_multiple_of(32);
        let layer = 2 * width * width + 2 * width * (width / heads * kv_heads) + 3 * width * ffn;
        Self {
            width,
            layers: ((weights as f64 / layer as f64).round() as usize).max(1),
            ffn,
            vocab,
            heads,
            kv_heads,
            quant: "q8_0",
            threads: vec![1, 2],
            repeats: 15,
        }
    }
}

/// What the peer took.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PeerTimes {
    /// Version of llama-cpp-python.
    pub version: String,
    /// Bytes of the file of weights.
    pub bytes: u64,
    /// One for each number of threads and length of context.
    pub runs: Vec<PeerRun>,
}

/// Times at one number of threads and length of context.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PeerRun {
    /// Threads.
    pub threads: usize,
    /// Tokens before those that are decoded.
    pub context: usize,
    /// Tokens of the context read in a second.
    pub prefill_tokens_per_s: f64,
    /// Milliseconds a token decoded after it.
    pub decode_ms: f64,
}

/// Why the peer was not timed.
#[derive(Debug, thiserror::Error)]
pub enum PeerError {
    /// A program that could not be started.
    #[error("{program}: {reason}")]
    Program {
        /// The program.
        program: String,
        /// What the operating system said.
        reason: String,
    },
    /// A program that failed.
    #[error("{what} failed: {output}")]
    Failed {
        /// What was done.
        what: &'static str,
        /// The end of what it wrote.
        output: String,
    },
    /// An answer that cannot be read.
    #[error("the peer's answer: {0}")]
    Answer(String),
}

/// Makes the environment in `folder` if it is not there, and times llama.cpp.
///
/// # Errors
/// [`PeerError`] that names the program or the step.
pub fn llama_cpp(folder: &Path, shape: &PeerShape) -> Result<PeerTimes, PeerError> {
    let python = if cfg!(windows) {
        folder.join("Scripts").join("python.exe")
    } else {
        folder.join("bin").join("python")
    };
    if !python.exists() {
        let outside = if cfg!(windows) { "python" } else { "python3" };
        let mut venv = Command::new(outside);
        run("python -m venv", venv.args(["-m", "venv"]).arg(folder))?;
    }
    let mut known = Command::new(&python);
    if run("import", known.args(["-c", "import llama_cpp, gguf"])).is_err() {
        let mut pip = Command::new(&python);
        let packages = ["-m", "pip", "install", "llama-cpp-python", "gguf", "numpy"];
        if std::env::var_os("CMAKE_ARGS").is_none() {
            pip.env("CMAKE_ARGS", BUILD);
        }
        run(
            "pip install llama-cpp-python gguf numpy",
            pip.args(packages),
        )?;
    }
    let shape =
        serde_json::to_string(shape).map_err(|error| PeerError::Answer(error.to_string()))?;
    let mut timed = Command::new(&python);
    let answer = run("llama.cpp", timed.args(["-c", SCRIPT, &shape]))?;
    let last = answer.lines().last().unwrap_or_default();
    serde_json::from_str(last).map_err(|error| PeerError::Answer(format!("{error}: {last}")))
}

/// What a program wrote to its output.
fn run(what: &'static str, command: &mut Command) -> Result<String, PeerError> {
    let output = command.output().map_err(|error| PeerError::Program {
        program: PathBuf::from(command.get_program()).display().to_string(),
        reason: error.to_string(),
    })?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let text = String::from_utf8_lossy(&output.stderr);
    let start = text.len().saturating_sub(2000);
    Err(PeerError::Failed {
        what,
        output: text[text.ceil_char_boundary(start)..].trim().to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shape_has_about_the_weights_asked_for() {
        let shape = PeerShape::about(320, 8192, 11_000_000, 5, 1);
        let layer = 2 * 320 * 320 + 2 * 320 * 64 + 3 * 320 * shape.ffn;
        let weights = shape.layers * layer;
        assert!((10_000_000..12_000_000).contains(&weights), "{weights}");
        assert!(shape.ffn.is_multiple_of(32));
    }

    #[test]
    fn a_program_that_fails_is_named() {
        let mut missing = Command::new("no-such-program-here");
        let error = run("x", &mut missing).unwrap_err().to_string();
        assert!(error.contains("no-such-program-here"), "{error}");
    }

    #[test]
    fn the_answer_of_the_script_is_read() {
        let text = r#"{"version":"1","bytes":2,"runs":[{"threads":1,"context":64,"prefill_tokens_per_s":3.0,"decode_ms":0.5}]}"#;
        let times: PeerTimes = serde_json::from_str(text).unwrap();
        assert_eq!(times.runs[0].context, 64);
    }
}
