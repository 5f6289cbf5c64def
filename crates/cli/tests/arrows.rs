//! The workspace keeps the arrows of DESIGN 3 and its lints: who may use whom, and where `unsafe` may stand.

#![allow(
    clippy::unwrap_used,
    reason = "clippy's exception for tests does not know helpers of integration tests"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

/// A crate and the crates of ours that it may use, in the order of DESIGN 3. A crate that does not exist yet keeps its row.
const ARROWS: &[(&str, &[&str])] = &[
    ("bsl", &[]),
    ("metadata", &["bsl"]),
    ("corpus", &["bsl", "metadata"]),
    ("kernels", &[]),
    ("cache", &[]),
    ("model", &[]),
    ("train", &["corpus", "cache", "model"]),
    ("engine", &["kernels", "cache"]),
    ("memory", &["corpus", "cache", "engine"]),
    ("assist", &["bsl", "metadata", "cache", "engine", "memory"]),
    ("eval", &["bsl", "corpus", "assist"]),
    ("bench", &["eval", "train"]),
    ("registry", &[]),
    ("server", &["assist", "eval", "registry"]),
    ("lsp", &["assist", "eval", "registry"]),
];

/// The binary uses everything.
const BINARY: &str = "cli";

/// The only crate that may hold `unsafe`.
const WITH_UNSAFE: &str = "kernels";

fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .ancestors()
        .nth(2)
        .unwrap()
        .to_path_buf()
}

/// Internal edges of the workspace by folder name, development dependencies left out.
fn edges() -> BTreeMap<String, BTreeSet<String>> {
    let output = Command::new(env!("CARGO"))
        .args([
            "metadata",
            "--format-version",
            "1",
            "--no-deps",
            "--offline",
        ])
        .current_dir(workspace())
        .output()
        .expect("cargo runs, for it runs this test");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let mut edges = BTreeMap::new();
    for package in metadata["packages"].as_array().unwrap() {
        let folder = folder_of(package["name"].as_str().unwrap());
        let uses = package["dependencies"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|dependency| dependency["kind"] != "dev" && !dependency["path"].is_null())
            .map(|dependency| folder_of(dependency["name"].as_str().unwrap()))
            .collect();
        edges.insert(folder, uses);
    }
    edges
}

fn folder_of(package: &str) -> String {
    package
        .strip_prefix("nestor-")
        .unwrap_or_else(|| panic!("{package} is not nestor-FOLDER"))
        .to_owned()
}

#[test]
fn every_crate_uses_only_what_the_design_allows() {
    let allowed: BTreeMap<_, _> = ARROWS.iter().copied().collect();
    let edges = edges();
    assert!(
        edges.contains_key(BINARY),
        "cargo metadata lists no {BINARY}"
    );
    let mut wrong = Vec::new();
    for (folder, uses) in edges.iter().filter(|(folder, _)| *folder != BINARY) {
        let Some(allowed) = allowed.get(folder.as_str()) else {
            wrong.push(format!("{folder} has no row in the table"));
            continue;
        };
        for used in uses.iter().filter(|used| !allowed.contains(&used.as_str())) {
            wrong.push(format!("{folder} -> {used}"));
        }
    }
    assert!(
        wrong.is_empty(),
        "arrows that DESIGN 3 does not have: {}",
        wrong.join(", ")
    );
}

#[test]
fn the_table_points_upwards_only() {
    for (idx, (folder, uses)) in ARROWS.iter().enumerate() {
        for used in *uses {
            let above = ARROWS[..idx].iter().any(|(other, _)| other == used);
            assert!(above, "{folder} -> {used} points down or to nothing");
        }
    }
}

/// Calls `visit` with every Rust source below `dir`.
fn sources(dir: &Path, visit: &mut dyn FnMut(&Path, &str)) {
    let Ok(entries) = std::fs::read_dir(dir) else {
        return;
    };
    for entry in entries {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, visit);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            visit(&path, &std::fs::read_to_string(&path).unwrap());
        }
    }
}

/// True of a line of code, comments left out, that opens something unsafe.
fn is_unsafe(line: &str) -> bool {
    let code = line.split("//").next().unwrap_or_default();
    let mut words = code.split(|c: char| !(c.is_alphanumeric() || c == '_' || c == '"'));
    words.any(|word| word == "unsafe")
}

#[test]
fn unsafe_stands_only_in_kernels() {
    let mut found = Vec::new();
    for folder in edges().keys().filter(|folder| *folder != WITH_UNSAFE) {
        let dir = workspace().join("crates").join(folder);
        sources(&dir, &mut |path, text| {
            if path.ends_with("tests/arrows.rs") {
                return;
            }
            let lines = text.lines().enumerate().filter(|(_, line)| is_unsafe(line));
            found.extend(
                lines.map(|(idx, line)| format!("{}:{}: {}", path.display(), idx + 1, line.trim())),
            );
        });
        let manifest = std::fs::read_to_string(dir.join("Cargo.toml")).unwrap();
        assert!(
            manifest.contains("[lints]\nworkspace = true"),
            "{folder} does not take the workspace's lints, which forbid unsafe code"
        );
    }
    assert!(
        found.is_empty(),
        "unsafe outside {WITH_UNSAFE}:\n{}",
        found.join("\n")
    );
}

#[test]
fn the_search_for_unsafe_finds_it() {
    assert!(is_unsafe("    let x = unsafe { *p };"));
    assert!(is_unsafe("pub unsafe fn f() {}"));
    assert!(!is_unsafe("// unsafe is not allowed"));
    assert!(!is_unsafe("#![forbid(unsafe_code)]"));
}
