//! A folder that is damaged, foreign or of another version is refused by name.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

mod support;

use nestor_engine::{
    Model, NetworkConfig, PACKED_WEIGHTS, PLAIN_WEIGHTS, Precision, Session, int8_safetensors,
    pack_weights, sha256_hex,
};
use proptest::prelude::*;
use safetensors::Dtype;
use serde_json::{Value, json};
use std::path::Path;
use std::sync::Arc;
use support::{
    random_tensors, random_tokens, relative_error, small_config, to_safetensors, write_folder,
    write_manifest,
};

fn refused(dir: &Path, expected: &[&str]) {
    let error = Model::load(dir).unwrap_err().to_string();
    for part in expected {
        assert!(error.contains(part), "{error:?} does not name {part:?}");
    }
}

/// A folder with given weights whose hash is right.
fn folder(config: &NetworkConfig, weights: &[u8]) -> (tempfile::TempDir, Value) {
    let dir = tempfile::tempdir().unwrap();
    let manifest = write_folder(dir.path(), config, weights);
    (dir, manifest)
}

#[test]
fn both_float_types_are_read() {
    let config = small_config(2);
    let tensors = random_tensors(&config, 1);
    let tokens = random_tokens(&config, 30, 1);
    let mut rows = Vec::new();
    for dtype in [Dtype::F32, Dtype::F16] {
        let (dir, _) = folder(&config, &to_safetensors(&tensors, dtype));
        let model = Model::load(dir.path()).unwrap();
        assert_eq!(model.config(), &config);
        let manifest = model.manifest().unwrap();
        assert_eq!(manifest.name, "nestor-test");
        assert_eq!(manifest.metrics["bits_per_char"], json!(1.5));
        let states = Session::new(model, 2).unwrap().forward(&tokens).unwrap();
        rows.push(states.rows(1).to_vec());
    }
    // Eleven bits of mantissa instead of 24.
    assert!(relative_error(&rows[1], &rows[0]) < 2e-2);
}

#[test]
fn codes_in_a_file_are_the_codes_made_at_load() {
    let config = small_config(2);
    let tensors = random_tensors(&config, 1);
    let floats = to_safetensors(&tensors, Dtype::F32);
    let coded = int8_safetensors(&config, &floats, 8).unwrap();
    assert!(coded.len() < floats.len() / 2);
    assert_eq!(int8_safetensors(&config, &coded, 8).unwrap(), coded);
    let tokens = random_tokens(&config, 30, 1);
    let (dir, _) = folder(&config, &coded);
    let rows = |model: Arc<Model>| {
        let mut session = Session::new(model, 2).unwrap();
        let states = session.forward(&tokens).unwrap();
        let mut logits = vec![0.0; 30 * config.vocab];
        session.exit_logits(1, states.rows(1), &mut logits).unwrap();
        (states.rows(0).to_vec(), logits)
    };
    let stored = Model::load(dir.path()).unwrap();
    assert_eq!(stored.precision(), Precision::Int8);
    let (made, _) = folder(&config, &floats);
    let made = Model::load_as(made.path(), Some(Precision::Int8)).unwrap();
    assert_eq!(stored.head(), made.head());
    assert_eq!(rows(stored), rows(made));
    // The floats that the codes stand for, then those that they were made of.
    let same = Model::load_as(dir.path(), Some(Precision::F32)).unwrap();
    let plain = Model::from_safetensors(&config, &floats).unwrap();
    let coded = rows(Model::load(dir.path()).unwrap());
    for floats in [rows(same), rows(plain)] {
        assert!(relative_error(&coded.0, &floats.0) < 0.1);
        assert!(relative_error(&coded.1, &floats.1) < 0.1);
    }
}

#[test]
fn fewer_bits_are_coarser_and_pack_smaller() {
    let config = small_config(2);
    let floats = to_safetensors(&random_tensors(&config, 1), Dtype::F32);
    let tokens = random_tokens(&config, 30, 1);
    let exact = Model::from_safetensors(&config, &floats).unwrap();
    let rows = |model: Arc<Model>| {
        let states = Session::new(model, 2).unwrap().forward(&tokens).unwrap();
        states.rows(1).to_vec()
    };
    let expected = rows(exact);
    let mut last = (0.0, usize::MAX);
    for bits in [8, 6, 4] {
        let coded = int8_safetensors(&config, &floats, bits).unwrap();
        let packed = pack_weights(&coded).unwrap();
        let (dir, _) = folder(&config, &coded);
        let plain = rows(Model::load(dir.path()).unwrap());
        std::fs::remove_file(dir.path().join(PLAIN_WEIGHTS)).unwrap();
        std::fs::write(dir.path().join(PACKED_WEIGHTS), &packed).unwrap();
        assert_eq!(rows(Model::load(dir.path()).unwrap()), plain);
        let error = relative_error(&plain, &expected);
        assert!(error > last.0 && packed.len() < last.1, "{bits}: {error}");
        last = (error, packed.len());
        // A packed file that was cut is named.
        std::fs::write(dir.path().join(PACKED_WEIGHTS), &packed[..packed.len() / 2]).unwrap();
        let refused = Model::load(dir.path()).unwrap_err().to_string();
        assert!(refused.contains(PACKED_WEIGHTS), "{refused}");
    }
    // Numbers of 4 bits are read as such, and made at load they are the same.
    let coded = int8_safetensors(&config, &floats, 4).unwrap();
    let stored = Model::from_safetensors_as(&config, &coded, Precision::Int8).unwrap();
    assert_eq!(stored.precision(), Precision::Int4);
    let made = Model::from_safetensors_as(&config, &floats, Precision::Int4).unwrap();
    assert_eq!(rows(stored), rows(made));
    // Codes are made coarser, never finer.
    let [fine, coarse] = [8, 4].map(|bits| int8_safetensors(&config, &floats, bits).unwrap());
    assert_eq!(int8_safetensors(&config, &coarse, 8).unwrap(), coarse);
    let coarser = int8_safetensors(&config, &fine, 4).unwrap();
    assert!(pack_weights(&coarser).unwrap().len() < pack_weights(&fine).unwrap().len());
    assert_eq!(int8_safetensors(&config, &coarser, 4).unwrap(), coarser);
    for bits in [3, 9] {
        let error = int8_safetensors(&config, &floats, bits).unwrap_err();
        assert!(error.to_string().contains("bits"), "{error}");
    }
}

#[test]
fn wrong_codes_are_named() {
    let config = small_config(1);
    let coded = int8_safetensors(
        &config,
        &to_safetensors(&random_tensors(&config, 1), Dtype::F32),
        8,
    );
    let coded = coded.unwrap();
    let file = safetensors::SafeTensors::deserialize(&coded).unwrap();
    let name = "stages.0.blocks.0.ffn.down";
    let scale = format!("{name}.scale");
    let with = |changed: &str, view: Option<safetensors::tensor::TensorView<'_>>| {
        let kept = file
            .tensors()
            .into_iter()
            .filter(|(name, _)| name != changed);
        let all = kept.chain(view.map(|view| (changed.to_owned(), view)));
        let bytes = safetensors::serialize(all, None).unwrap();
        Model::from_safetensors_as(&config, &bytes, Precision::Int8)
            .unwrap_err()
            .to_string()
    };
    assert!(with(&scale, None).contains(&format!("{scale}: is missing")));
    let shape = file.tensor(name).unwrap().shape().to_vec();
    let lowest = vec![0x80u8; shape.iter().product()];
    let view = safetensors::tensor::TensorView::new(Dtype::I8, shape, &lowest).unwrap();
    assert!(with(name, Some(view)).contains("-128"));
    let short = safetensors::tensor::TensorView::new(Dtype::F32, vec![1], &[0; 4]).unwrap();
    assert!(with(&scale, Some(short)).contains("shape"));
    let conv = file
        .tensor("stages.0.blocks.0.mixer.conv")
        .unwrap()
        .shape()
        .to_vec();
    let zeros = vec![0u8; conv.iter().product()];
    let view = safetensors::tensor::TensorView::new(Dtype::I8, conv, &zeros).unwrap();
    assert!(with("stages.0.blocks.0.mixer.conv", Some(view)).contains("I8"));
}

#[test]
fn the_parameters_are_counted() {
    let nano = Model::random(&NetworkConfig::nano(3), 1)
        .unwrap()
        .parameter_count();
    assert!((4_000_000..5_000_000).contains(&nano), "{nano}");
}

#[test]
fn a_wrong_model_json_is_refused() {
    let config = small_config(2);
    let weights = to_safetensors(&random_tensors(&config, 1), Dtype::F32);
    let (dir, good) = folder(&config, &weights);
    let change = |change: &dyn Fn(&mut Value)| {
        let mut manifest = good.clone();
        change(&mut manifest);
        write_manifest(dir.path(), &manifest);
    };
    change(&|m| m["format_version"] = json!(2));
    refused(
        dir.path(),
        &["model.json", "format_version is 2", "reads 1"],
    );
    change(&|m| m["format_version"] = json!("1"));
    refused(dir.path(), &["model.json", "format_version is \"1\""]);
    change(&|m| drop(m.as_object_mut().unwrap().remove("format_version")));
    refused(dir.path(), &["model.json", "format_version is missing"]);
    change(&|m| m["colour"] = json!("red"));
    refused(dir.path(), &["model.json", "colour"]);
    change(&|m| m["network"]["depth"] = json!(3));
    refused(dir.path(), &["model.json", "depth"]);
    change(&|m| drop(m["network"].as_object_mut().unwrap().remove("width")));
    refused(dir.path(), &["model.json", "width"]);
    change(&|m| m["network"]["kv_heads"] = json!(3));
    refused(dir.path(), &["query_heads"]);
    change(&|m| m["quantisation"] = json!("q4"));
    refused(dir.path(), &["model.json", "q4"]);
    std::fs::write(dir.path().join("model.json"), "{").unwrap();
    refused(dir.path(), &["model.json", "not JSON"]);
    std::fs::remove_file(dir.path().join("model.json")).unwrap();
    refused(dir.path(), &["model.json"]);
}

#[test]
fn damaged_or_foreign_files_are_refused() {
    let config = small_config(2);
    let weights = to_safetensors(&random_tensors(&config, 1), Dtype::F32);
    let (dir, _) = folder(&config, &weights);
    let path = dir.path().join("weights.safetensors");
    let mut damaged = weights.clone();
    *damaged.last_mut().unwrap() ^= 1;
    std::fs::write(&path, &damaged).unwrap();
    refused(dir.path(), &["weights.safetensors", "weights_sha256"]);
    std::fs::write(&path, &weights[..weights.len() - 3]).unwrap();
    refused(dir.path(), &["weights.safetensors", "weights_sha256"]);
    std::fs::remove_file(&path).unwrap();
    refused(dir.path(), &["weights.safetensors"]);
    std::fs::write(&path, &weights).unwrap();
    std::fs::write(dir.path().join("tokenizer.json"), "{}").unwrap();
    refused(dir.path(), &["tokenizer.json", "tokenizer_sha256"]);
    std::fs::remove_file(dir.path().join("tokenizer.json")).unwrap();
    refused(dir.path(), &["tokenizer.json"]);
}

/// Files whose hash is right but whose content is not that of the network.
#[test]
fn wrong_tensors_are_named() {
    let config = small_config(2);
    let tensors = random_tensors(&config, 1);
    let name = "stages.1.blocks.0.mixer.conv";
    let check = |change: &dyn Fn(&mut support::Tensors), expected: &[&str]| {
        let mut tensors = tensors.clone();
        change(&mut tensors);
        let (dir, _) = folder(&config, &to_safetensors(&tensors, Dtype::F32));
        refused(dir.path(), expected);
    };
    check(
        &|t| drop(t.remove(name)),
        &["weights.safetensors", name, "missing"],
    );
    check(
        &|t| drop(t.insert("exits.2.norm".to_owned(), (vec![24], vec![1.0; 24]))),
        &["exits.2.norm", "no such tensor"],
    );
    check(
        &|t| t.get_mut(name).unwrap().0.reverse(),
        &[name, "shape is"],
    );
    check(
        &|t| t.get_mut("embedding").unwrap().1[7] = f32::NAN,
        &["embedding", "element 7", "NaN"],
    );
}

#[test]
fn bytes_that_are_no_safetensors_are_refused_without_a_panic() {
    let config = small_config(1);
    let weights = to_safetensors(&random_tensors(&config, 1), Dtype::F32);
    for bytes in [
        &b""[..],
        b"\xff\xff\xff\xff\xff\xff\xff\x7f{}",
        &weights[..100],
        &weights[8..],
    ] {
        let (dir, mut manifest) = folder(&config, bytes);
        manifest["weights_sha256"] = json!(sha256_hex(bytes));
        write_manifest(dir.path(), &manifest);
        refused(
            dir.path(),
            &["weights.safetensors", "not a safetensors file"],
        );
        assert!(Model::from_safetensors(&config, bytes).is_err());
    }
    let doubles = {
        let data = vec![0u8; 8 * 97 * 24];
        let view = safetensors::tensor::TensorView::new(Dtype::F64, vec![97, 24], &data).unwrap();
        safetensors::serialize([("embedding", view)], None).unwrap()
    };
    let error = Model::from_safetensors(&config, &doubles)
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("embedding") && error.contains("F64"),
        "{error}"
    );
}

proptest! {
    /// Whatever the header says: an error or a model, never a panic and no memory beyond the file's.
    #[test]
    fn a_changed_header_never_panics(at in 0usize..3000, byte: u8, cut in 0usize..4000) {
        let config = NetworkConfig { vocab: 9, ..small_config(1) };
        let mut bytes = to_safetensors(&random_tensors(&config, 1), Dtype::F16);
        bytes[at] = byte;
        bytes.truncate(bytes.len() - cut.saturating_sub(2000));
        let _ = Model::from_safetensors(&config, &bytes);
    }
}
