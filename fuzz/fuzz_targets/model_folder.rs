//! Any bytes as `weights.safetensors`: read or refused, never a panic, and what is read can be made into codes and read again.

#![no_main]

use libfuzzer_sys::fuzz_target;
use nestor_engine::{Model, NetworkConfig, Precision, int8_safetensors};

fuzz_target!(|bytes: &[u8]| {
    let config = NetworkConfig {
        width: 2,
        stages: 1,
        blocks_per_stage: 2,
        ffn: 2,
        vocab: 3,
        delta_heads: 1,
        key_dim: 2,
        value_dim: 2,
        query_heads: 1,
        kv_heads: 1,
        head_dim: 2,
        window: 2,
        conv: 2,
        exit_rank: 1,
        ..NetworkConfig::nano(1)
    };
    if Model::from_safetensors(&config, bytes).is_ok() {
        let coded = int8_safetensors(&config, bytes).expect("what was read");
        Model::from_safetensors_as(&config, &coded, Precision::Int8).expect("our own codes");
    }
});
