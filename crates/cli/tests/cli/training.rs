//! Folders of trained models: whole, gone on with, packed, interrupted.

use super::path;
use super::support::{command, configuration, copy_folder, made, nestor, run};
use serde_json::Value;

#[test]
fn a_trained_folder_is_whole_and_can_be_gone_on_with() {
    let made = made("cli");
    for file in [
        "model.json",
        "weights.safetensors",
        "tokenizer.json",
        "gate.json",
        "ngram.bin",
        "contexts.bin",
        "methods.bin",
        "CARD.md",
    ] {
        assert!(made.model.join(file).is_file(), "{file}");
    }
    let card = std::fs::read_to_string(made.model.join("CARD.md")).unwrap();
    assert!(
        card.contains("| conf | train |") && card.contains("## Limits"),
        "{card}"
    );

    let shown = nestor(&["models", "show", path(&made.model), "--json"]).json();
    assert_eq!(shown["model"]["network"]["stages"], 3);
    assert!(shown["parameters"].as_u64().unwrap() > 1_000_000);

    // A folder that holds a run is not trained into by accident; with --resume the same run goes on.
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("model");
    copy_folder(&made.model, &out);
    let train = |last: &[&str]| {
        let budget = [
            "--max-tokens",
            "320",
            "--batch",
            "1",
            "--seq-len",
            "64",
            "--device",
            "cpu",
            "--json",
        ];
        run(command()
            .args([
                "--lang=en",
                "train",
                "--corpus",
                path(&made.corpus),
                "--out",
                path(&out),
            ])
            .args(budget)
            .args(last))
    };
    let refused = train(&[]);
    assert_eq!(refused.code, 2, "{}", refused.stderr);
    assert!(refused.stderr.contains("--resume"), "{}", refused.stderr);
    let resumed = train(&["--resume"]);
    assert_eq!(resumed.code, 0, "{}", resumed.stderr);
    let document = resumed.json();
    assert_eq!(document["summary"]["step"], 5);
    let gates: Vec<&Value> = document["mixture"]["gates"]
        .as_array()
        .unwrap()
        .iter()
        .map(|g| &g["gate"])
        .collect();
    assert_eq!(
        gates,
        [
            "cache",
            "level1",
            "level2",
            "level3",
            "balanced",
            "accurate",
            "level2-memory",
            "level3-memory",
            "balanced-memory",
            "accurate-memory",
        ]
    );

    std::fs::remove_file(out.join("gate.json")).unwrap();
    let finish = [
        "train",
        "--corpus",
        path(&made.corpus),
        "--out",
        path(&out),
        "--finish",
        "--json",
    ];
    let finished = nestor(&finish);
    assert_eq!(finished.code, 0, "{}", finished.stderr);
    assert_eq!(finished.json()["summary"]["step"], 5);
    assert!(out.join("gate.json").is_file());

    // What its memories start from, and the gates that go with it; ending the run again takes both back.
    let only = |what: &str| {
        let fitted = nestor(&[finish.as_slice(), &[what]].concat());
        assert_eq!(fitted.code, 0, "{}", fitted.stderr);
        fitted.json()
    };
    let fitted = only("--only-memories");
    assert!(fitted["start_tasks"].as_u64().unwrap() > 0, "{fitted}");
    let trials = fitted["trials"].as_array().unwrap();
    assert!(trials.len() > 5 && trials[0]["kept"] == true, "{fitted}");
    let memories = ["memories.safetensors", "memories.json"].map(|name| out.join(name));
    assert!(memories.iter().all(|file| file.is_file()));
    only("--only-gates");
    assert!(memories.iter().all(|file| file.is_file()));
    assert_eq!(nestor(&finish).code, 0);
    assert!(memories.iter().all(|file| !file.exists()));
}

#[test]
fn a_packed_model_of_coarse_codes_serves_and_can_be_trained_on() {
    let made = made("cli");
    let dir = tempfile::tempdir().unwrap();
    let packed = dir.path().join("packed");
    let quantize = |bits: &str| {
        run(command()
            .arg("quantize")
            .arg(&made.model)
            .args(["--bits", bits, "--pack", "--json", "--lang", "en", "--out"])
            .arg(&packed))
    };
    assert_eq!(quantize("3").code, 2);
    let ran = quantize("6");
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let (before, after) = (&ran.json()["weights_bytes"], &ran.json()["int8_bytes"]);
    assert!(after.as_u64().unwrap() * 2 < before.as_u64().unwrap());
    let file = packed.join("weights.safetensors.zst");
    assert!(file.exists() && !packed.join("weights.safetensors").exists());

    let place = configuration().join("cf/Documents/РеализацияТоваров/Ext/ObjectModule.bsl");
    let complete = |model: &std::path::Path| {
        run(command()
            .arg("complete")
            .arg(format!("{}:20:1", place.display()))
            .args(["--json", "--model"])
            .arg(model))
    };
    assert_eq!(complete(&packed).code, 0, "{}", complete(&packed).stderr);
    let out = dir.path().join("next");
    let trained = run(command()
        .args([
            "train",
            "--max-tokens",
            "64",
            "--batch",
            "1",
            "--seq-len",
            "64",
            "--device",
            "cpu",
        ])
        .args(["--json", "--corpus"])
        .arg(&made.corpus)
        .arg("--from")
        .arg(&packed)
        .arg("--out")
        .arg(&out));
    assert_eq!(trained.code, 0, "{}", trained.stderr);

    let bytes = std::fs::read(&file).unwrap();
    std::fs::write(&file, &bytes[..bytes.len() / 2]).unwrap();
    let broken = complete(&packed);
    assert_eq!(broken.code, 3);
    assert!(
        broken.stderr.contains("weights.safetensors.zst"),
        "{}",
        broken.stderr
    );
}

#[cfg(unix)]
#[test]
fn an_interrupt_ends_a_run_with_a_checkpoint() {
    use std::time::{Duration, Instant};
    let made = made("cli");
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("run");
    let mut training = command()
        .args([
            "--lang=en",
            "train",
            "--minutes",
            "10",
            "--batch",
            "1",
            "--seq-len",
            "64",
            "--device",
            "cpu",
        ])
        .args([
            "--json",
            "--corpus",
            path(&made.corpus),
            "--out",
            path(&out),
        ])
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let started = Instant::now();
    let has_step = || {
        std::fs::read_to_string(out.join("run.jsonl")).is_ok_and(|text| text.contains("\"step\""))
    };
    while !has_step() && started.elapsed() < Duration::from_secs(60) {
        std::thread::sleep(Duration::from_millis(50));
    }
    let interrupted = std::process::Command::new("kill")
        .args(["-INT", &training.id().to_string()])
        .status();
    assert!(interrupted.unwrap().success());
    assert!(training.wait().unwrap().success());
    let output = training.wait_with_output().unwrap();
    let summary: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(summary["stopped"], true);
    assert!(String::from_utf8_lossy(&output.stderr).contains("--resume"));
    assert!(std::fs::read_dir(out.join("checkpoints")).unwrap().count() > 0);
}
