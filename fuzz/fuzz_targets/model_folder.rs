//! A model folder with damage behind its hashes: whatever the files hold, opening them is a model or an error that names the file.
//!
//! Hashes and frames are made anew after the damage, or the readers behind them would never see it.

#![no_main]

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use nestor_engine::{
    Model, ModelFolder, NetworkConfig, Precision, Session, int8_safetensors, pack_weights,
    sha256_hex, tensor_shapes,
};
use safetensors::Dtype;
use safetensors::tensor::TensorView;
use sha2::{Digest, Sha256};
use std::fs;
use std::path::Path;
use std::sync::LazyLock;
use tempfile::TempDir;

/// Bytes of a file that are changed, then where it is cut.
#[derive(Arbitrary, Debug)]
struct Damage {
    changes: Vec<(u16, u8)>,
    cut: Option<u16>,
}

#[derive(Arbitrary, Debug)]
enum Weights {
    Floats(Damage),
    Codes(Damage),
    Packed(Damage),
    /// Any bytes at all.
    Raw(Vec<u8>),
}

#[derive(Arbitrary, Debug)]
struct Input {
    manifest: Option<Damage>,
    weights: Weights,
    /// Bodies of `ngram.bin` and `contexts.bin` inside a right frame.
    counts: Option<Vec<u8>>,
    contexts: Option<Vec<u8>>,
    gate: Option<Vec<u8>>,
    methods: Option<Vec<u8>>,
    memories: Option<Vec<u8>>,
    start: Option<Vec<u8>>,
}

/// Magic bytes and version of `ngram.bin` and `contexts.bin`.
const COUNTS: (&[u8; 8], u32) = (b"NestorNC", 1);
const CONTEXTS: (&[u8; 8], u32) = (b"NestorLC", 1);

static FOLDER: LazyLock<TempDir> = LazyLock::new(|| tempfile::tempdir().expect("a folder"));

fn config() -> NetworkConfig {
    NetworkConfig {
        width: 8,
        ffn: 8,
        vocab: 64,
        delta_heads: 1,
        key_dim: 4,
        value_dim: 4,
        query_heads: 1,
        kv_heads: 1,
        head_dim: 4,
        window: 4,
        exit_rank: 2,
        ..NetworkConfig::nano(2)
    }
}

static FLOATS: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let shapes = tensor_shapes(&config());
    let bytes: Vec<Vec<u8>> = shapes
        .iter()
        .map(|(_, shape)| {
            let n: usize = shape.iter().product();
            let value = |i: usize| ((i * 7919 % 31) as f32 - 15.0) / 60.0;
            (0..n).flat_map(|i| value(i).to_le_bytes()).collect()
        })
        .collect();
    let views = shapes.iter().zip(&bytes).map(|((name, shape), bytes)| {
        let view = TensorView::new(Dtype::F32, shape.clone(), bytes).expect("a tensor");
        (name.clone(), view)
    });
    safetensors::serialize(views, None).expect("tensors")
});

static CODES: LazyLock<Vec<u8>> =
    LazyLock::new(|| int8_safetensors(&config(), &FLOATS, 8).expect("weights of the network"));

impl Damage {
    fn of(&self, bytes: &[u8]) -> Vec<u8> {
        let mut bytes = bytes.to_vec();
        for (at, byte) in &self.changes {
            let at = usize::from(*at) % bytes.len().max(1);
            if let Some(old) = bytes.get_mut(at) {
                *old ^= byte;
            }
        }
        if let Some(cut) = self.cut {
            bytes.truncate(usize::from(cut) % (bytes.len() + 1));
        }
        bytes
    }
}

/// The frame of the counts' files around a body.
fn framed(magic: &[u8; 8], version: u32, body: &[u8]) -> Vec<u8> {
    let payload = zstd::bulk::compress(body, 1).expect("bytes");
    let mut bytes = magic.to_vec();
    bytes.extend(version.to_le_bytes());
    bytes.extend((config().vocab as u32).to_le_bytes());
    bytes.extend((body.len() as u64).to_le_bytes());
    bytes.extend((payload.len() as u64).to_le_bytes());
    let mut hash = Sha256::new();
    hash.update(&bytes);
    hash.update(&payload);
    bytes.extend(hash.finalize());
    bytes.extend(payload);
    bytes
}

fn put(dir: &Path, name: &str, bytes: Option<&[u8]>) {
    match bytes {
        Some(bytes) => fs::write(dir.join(name), bytes).expect("a file"),
        None => drop(fs::remove_file(dir.join(name))),
    }
}

fuzz_target!(|input: Input| {
    let dir = FOLDER.path();
    let (plain, packed, quantisation) = match &input.weights {
        Weights::Floats(damage) => (Some(damage.of(&FLOATS)), None, "f32"),
        Weights::Codes(damage) => (Some(damage.of(&CODES)), None, "int8"),
        Weights::Packed(damage) => {
            let Ok(packed) = pack_weights(&damage.of(&CODES)) else {
                return;
            };
            (None, Some(packed), "int8")
        }
        Weights::Raw(bytes) => (None, Some(bytes.clone()), "int8"),
    };
    let hashed = match (&plain, &packed) {
        (Some(plain), _) => plain.clone(),
        (_, Some(packed)) => zstd::bulk::decompress(packed, 1 << 20).unwrap_or_default(),
        _ => Vec::new(),
    };
    let manifest = serde_json::json!({
        "format_version": 1,
        "name": "fuzzed",
        "network": config(),
        "quantisation": quantisation,
        "tokenizer_sha256": sha256_hex(b"{}"),
        "corpus_sha256": sha256_hex(b""),
        "weights_sha256": sha256_hex(&hashed),
        "metrics": {},
    });
    let mut manifest = manifest.to_string().into_bytes();
    if let Some(damage) = &input.manifest {
        manifest = damage.of(&manifest);
    }
    put(dir, "model.json", Some(&manifest));
    put(dir, "tokenizer.json", Some(b"{}"));
    put(dir, "weights.safetensors", plain.as_deref());
    put(dir, "weights.safetensors.zst", packed.as_deref());
    let counts = input
        .counts
        .as_ref()
        .map(|body| framed(COUNTS.0, COUNTS.1, body));
    put(dir, "ngram.bin", counts.as_deref());
    let contexts = input
        .contexts
        .as_ref()
        .map(|body| framed(CONTEXTS.0, CONTEXTS.1, body));
    put(dir, "contexts.bin", contexts.as_deref());
    put(dir, "gate.json", input.gate.as_deref());
    put(dir, "methods.bin", input.methods.as_deref());
    put(dir, "memories.json", input.memories.as_deref());
    put(dir, "memories.safetensors", input.start.as_deref());
    for precision in [None, Some(Precision::F32), Some(Precision::Int8)] {
        let Ok(folder) = ModelFolder::open_as(dir, precision) else {
            // What the folder's error says is checked by the tests; here nothing may panic.
            continue;
        };
        run(&folder.model);
    }
});

/// A model that opens can be used.
fn run(model: &std::sync::Arc<Model>) {
    let config = model.config();
    let mut session = Session::new(model.clone(), config.stages).expect("its own stages");
    let states = session
        .forward(&[1, 2, 3])
        .expect("tokens of the vocabulary");
    let mut logits = vec![0.0; 3 * config.vocab];
    session
        .exit_logits(0, states.rows(0), &mut logits)
        .expect("rows of the model");
}
