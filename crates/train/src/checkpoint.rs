//! Checkpoints of a run: what is needed to go on as if the run had never stopped.
//!
//! A checkpoint is one file in the run's `checkpoints` folder: a line of JSON with the format, the
//! length and the hash of the rest; a line of JSON with the run's state and the names and shapes of
//! the tensors; the tensors as little-endian f32, in that order. It is written beside its place,
//! flushed to disk and renamed, so a kill leaves the previous one whole. The last two are kept; a
//! damaged one is refused by name and the older one used. Called by `run`; knows nothing of Burn.

use crate::{LevelScore, TrainConfig, TrainError};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::fs::{self, File};
use std::io::{BufWriter, Read, Write};
use std::path::{Path, PathBuf};

const FORMAT: &str = "nestor-checkpoint";
const VERSION: u32 = 1;
const KEPT: usize = 2;

/// The state of a run beside its tensors.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RunState {
    /// Steps done; the next batch is the one with this number.
    pub step: u64,
    /// Tokens seen.
    pub tokens: u64,
    /// Tokens that the weights had seen when the run began.
    #[serde(default)]
    pub tokens_at_start: u64,
    /// Seconds of training, over all calls.
    pub elapsed_s: f64,
    /// The configuration of the run.
    pub config: TrainConfig,
    /// Hash of the corpus.
    pub corpus_sha256: String,
    /// Scores of the last validation.
    pub levels: Vec<LevelScore>,
}

/// A named tensor on the host.
#[derive(Debug, Clone, PartialEq)]
pub struct NamedTensor {
    /// Where it belongs, for example `ema/stages.0.blocks.0.ffn.down`.
    pub name: String,
    /// Its shape.
    pub shape: Vec<usize>,
    /// Its values, row-major.
    pub values: Vec<f32>,
}

/// Everything that a checkpoint holds.
#[derive(Debug, Clone, PartialEq)]
pub struct Checkpoint {
    /// The state of the run.
    pub state: RunState,
    /// Weights, averaged weights and both optimisers' states.
    pub tensors: Vec<NamedTensor>,
}

/// A checkpoint that was found, and which newer ones were refused.
#[derive(Debug)]
pub struct Found {
    /// The file.
    pub path: PathBuf,
    /// Its content.
    pub checkpoint: Checkpoint,
    /// One line for each newer checkpoint that is damaged.
    pub warnings: Vec<String>,
}

#[derive(Serialize, Deserialize)]
struct Envelope {
    format: String,
    version: u32,
    bytes: u64,
    sha256: String,
}

#[derive(Serialize, Deserialize)]
struct Inner {
    state: RunState,
    tensors: Vec<(String, Vec<usize>)>,
}

/// The folder of a run's checkpoints.
pub fn folder(out: &Path) -> PathBuf {
    out.join("checkpoints")
}

/// Writes a checkpoint and removes all but the last two.
///
/// # Errors
/// [`TrainError::File`]; nothing half-written is left under a checkpoint's name.
pub fn write(out: &Path, checkpoint: &Checkpoint) -> Result<PathBuf, TrainError> {
    let dir = folder(out);
    fs::create_dir_all(&dir).map_err(|e| TrainError::file(&dir, e))?;
    let path = dir.join(format!("step-{:010}.ckpt", checkpoint.state.step));
    let partial = path.with_extension("partial");
    let written = write_file(&partial, checkpoint).and_then(|()| fs::rename(&partial, &path));
    if let Err(error) = written {
        // The disk may be full: what was written so far is of no use to anyone.
        let _ = fs::remove_file(&partial);
        return Err(TrainError::file(&path, error));
    }
    sync_folder(&dir);
    for old in list(&dir)?.into_iter().skip(KEPT) {
        fs::remove_file(&old).map_err(|e| TrainError::file(&old, e))?;
    }
    Ok(path)
}

/// The newest undamaged checkpoint of a run, if the run has any checkpoint.
///
/// # Errors
/// [`TrainError::Checkpoint`] naming the newest one if all are damaged; [`TrainError::File`].
pub fn latest(out: &Path) -> Result<Option<Found>, TrainError> {
    let dir = folder(out);
    if !dir.is_dir() {
        return Ok(None);
    }
    let mut warnings = Vec::new();
    let mut refused = None;
    for path in list(&dir)? {
        match read(&path) {
            Ok(checkpoint) => {
                return Ok(Some(Found {
                    path,
                    checkpoint,
                    warnings,
                }));
            }
            Err(error @ TrainError::Checkpoint { .. }) => {
                warnings.push(format!("{error}; an older checkpoint is used"));
                refused.get_or_insert(error);
            }
            Err(error) => return Err(error),
        }
    }
    refused.map_or(Ok(None), Err)
}

/// Reads one checkpoint.
///
/// # Errors
/// [`TrainError::Checkpoint`] if it is damaged or of another version; [`TrainError::File`].
pub fn read(path: &Path) -> Result<Checkpoint, TrainError> {
    let refuse = |reason: String| TrainError::Checkpoint {
        path: path.to_path_buf(),
        reason,
    };
    let mut bytes = Vec::new();
    File::open(path)
        .and_then(|mut file| file.read_to_end(&mut bytes))
        .map_err(|e| TrainError::file(path, e))?;
    let (line, body) = split_line(&bytes).ok_or_else(|| refuse("has no header".into()))?;
    let envelope: Envelope =
        serde_json::from_slice(line).map_err(|e| refuse(format!("header: {e}")))?;
    if envelope.format != FORMAT || envelope.version != VERSION {
        return Err(refuse(format!(
            "format {} version {} is not {FORMAT} version {VERSION}",
            envelope.format, envelope.version
        )));
    }
    if envelope.bytes != body.len() as u64 {
        return Err(refuse(format!(
            "holds {} bytes of {}",
            body.len(),
            envelope.bytes
        )));
    }
    if hex(&Sha256::digest(body)) != envelope.sha256 {
        return Err(refuse("its hash does not fit its content".into()));
    }
    let (line, mut payload) = split_line(body).ok_or_else(|| refuse("has no table".into()))?;
    let inner: Inner = serde_json::from_slice(line).map_err(|e| refuse(format!("table: {e}")))?;
    let mut tensors = Vec::with_capacity(inner.tensors.len());
    for (name, shape) in inner.tensors {
        let length = shape.iter().product::<usize>() * 4;
        let (values, rest) = payload
            .split_at_checked(length)
            .ok_or_else(|| refuse(format!("tensor {name} is cut short")))?;
        payload = rest;
        let values = values
            .chunks_exact(4)
            .map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]]))
            .collect();
        tensors.push(NamedTensor {
            name,
            shape,
            values,
        });
    }
    Ok(Checkpoint {
        state: inner.state,
        tensors,
    })
}

fn write_file(path: &Path, checkpoint: &Checkpoint) -> std::io::Result<()> {
    let inner = Inner {
        state: checkpoint.state.clone(),
        tensors: checkpoint
            .tensors
            .iter()
            .map(|t| (t.name.clone(), t.shape.clone()))
            .collect(),
    };
    let mut table = serde_json::to_vec(&inner)?;
    table.push(b'\n');
    let mut hash = Sha256::new();
    hash.update(&table);
    let mut bytes = table.len() as u64;
    for_each_block(&checkpoint.tensors, |block| {
        hash.update(block);
        bytes += block.len() as u64;
        Ok(())
    })?;
    let envelope = Envelope {
        format: FORMAT.into(),
        version: VERSION,
        bytes,
        sha256: hex(&hash.finalize()),
    };
    let mut file = BufWriter::new(File::create(path)?);
    serde_json::to_writer(&mut file, &envelope)?;
    file.write_all(b"\n")?;
    file.write_all(&table)?;
    for_each_block(&checkpoint.tensors, |block| file.write_all(block))?;
    file.flush()?;
    file.get_ref().sync_all()
}

/// Calls `visit` with the tensors' bytes, block by block.
fn for_each_block(
    tensors: &[NamedTensor],
    mut visit: impl FnMut(&[u8]) -> std::io::Result<()>,
) -> std::io::Result<()> {
    let mut block = Vec::new();
    for values in tensors.iter().flat_map(|t| t.values.chunks(1 << 16)) {
        block.clear();
        block.extend(values.iter().flat_map(|v| v.to_le_bytes()));
        visit(&block)?;
    }
    Ok(())
}

/// The checkpoints of a folder, newest first.
fn list(dir: &Path) -> Result<Vec<PathBuf>, TrainError> {
    let entries = fs::read_dir(dir).map_err(|e| TrainError::file(dir, e))?;
    let mut paths: Vec<PathBuf> = entries
        .filter_map(|entry| entry.ok().map(|entry| entry.path()))
        .filter(|path| path.extension().is_some_and(|e| e == "ckpt"))
        .collect();
    paths.sort();
    paths.reverse();
    Ok(paths)
}

/// Makes a rename durable where folders can be flushed; elsewhere the file system does it.
fn sync_folder(dir: &Path) {
    if let Ok(folder) = File::open(dir) {
        let _ = folder.sync_all();
    }
}

fn split_line(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = bytes.iter().position(|&b| b == b'\n')?;
    Some((&bytes[..end], &bytes[end + 1..]))
}

/// Lower-case hexadecimal digits of bytes.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Size;

    fn sample(step: u64) -> Checkpoint {
        Checkpoint {
            state: RunState {
                step,
                tokens: step * 4096,
                tokens_at_start: 0,
                elapsed_s: 0.1 + step as f64,
                config: TrainConfig::new("corpus".into(), Size::Nano, 3, "out".into()),
                corpus_sha256: "ab".into(),
                levels: vec![LevelScore {
                    level: 1,
                    nll: 0.5,
                    top1: 0.25,
                    positions: 3,
                }],
            },
            tensors: vec![
                NamedTensor {
                    name: "weights/a".into(),
                    shape: vec![2, 2],
                    values: vec![1.0, -0.0, f32::MIN_POSITIVE, 1e30 + step as f32],
                },
                NamedTensor {
                    name: "ema/b".into(),
                    shape: vec![0],
                    values: vec![],
                },
            ],
        }
    }

    #[test]
    fn what_is_written_is_read_and_two_are_kept() {
        let dir = tempfile::tempdir().unwrap();
        assert!(latest(dir.path()).unwrap().is_none());
        for step in [1, 2, 30] {
            write(dir.path(), &sample(step)).unwrap();
        }
        let found = latest(dir.path()).unwrap().unwrap();
        assert_eq!(found.checkpoint, sample(30));
        assert!(found.warnings.is_empty());
        assert_eq!(list(&folder(dir.path())).unwrap().len(), 2);
    }

    #[test]
    fn a_damaged_checkpoint_is_refused_by_name_and_the_older_one_used() {
        let dir = tempfile::tempdir().unwrap();
        write(dir.path(), &sample(1)).unwrap();
        let newest = write(dir.path(), &sample(2)).unwrap();
        let whole = fs::read(&newest).unwrap();
        let mut flipped = whole.clone();
        *flipped.last_mut().unwrap() ^= 1;
        let mut renamed = whole.clone();
        renamed[11] = b'x';
        for damaged in [&whole[..whole.len() - 3], &flipped, &renamed, b"", b"{}\n"] {
            fs::write(&newest, damaged).unwrap();
            let found = latest(dir.path()).unwrap().unwrap();
            assert_eq!(found.checkpoint.state.step, 1);
            assert!(
                found.warnings[0].contains("step-0000000002.ckpt"),
                "{:?}",
                found.warnings
            );
        }
        fs::write(folder(dir.path()).join("step-0000000001.ckpt"), b"broken\n").unwrap();
        let error = latest(dir.path()).unwrap_err().to_string();
        assert!(error.contains("step-0000000002.ckpt"), "{error}");
    }

    #[test]
    fn a_kill_while_writing_leaves_the_previous_one() {
        let dir = tempfile::tempdir().unwrap();
        write(dir.path(), &sample(1)).unwrap();
        fs::write(
            folder(dir.path()).join("step-0000000002.partial"),
            b"{\"form",
        )
        .unwrap();
        assert_eq!(
            latest(dir.path()).unwrap().unwrap().checkpoint.state.step,
            1
        );
    }
}
