//! Bad input, one test a kind: exit code 3, a text that names what is wrong, nothing half-written left behind.

#![allow(
    clippy::unwrap_used,
    reason = "clippy's exception for tests does not know helpers of integration tests"
)]

mod support;

use std::fs;
use std::path::Path;
use support::{configuration, copy_folder, made, nestor};
use tempfile::TempDir;

fn path(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// Runs and expects exit code 3 and all of `expected` on stderr.
fn check(arguments: &[&str], expected: &[&str]) {
    let ran = nestor(arguments);
    assert_eq!(ran.code, 3, "{arguments:?}: {}{}", ran.stdout, ran.stderr);
    for part in expected {
        assert!(
            ran.stderr.contains(part),
            "{arguments:?}: no {part:?} in {}",
            ran.stderr
        );
    }
    assert_eq!(ran.stdout, "", "{arguments:?}");
}

fn folder(files: &[(&str, &[u8])]) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    for (name, bytes) in files {
        let file = dir.path().join(name);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, bytes).unwrap();
    }
    dir
}

const BINARY: &[u8] = &[0xd0, 0xcf, 0x11, 0xe0, 0x00, 0x01, 0xff, 0xfe, 0x00, 0x80];

#[test]
fn a_binary_file_named_bsl_is_refused_or_left_out() {
    let made = made("bad_input");
    let module = "Процедура А()\n\tБ = 1;\nКонецПроцедуры\n".as_bytes();
    let dir = folder(&[("Module.bsl", BINARY), ("Other.bsl", module)]);
    let file = dir.path().join("Module.bsl");
    let place = format!("{}:1:1", file.display());
    check(
        &["complete", &place, "--model", path(&made.model)],
        &[path(&file), "no source text"],
    );

    // In a codebase it is left out, and told.
    let other = format!("{}:2:2", dir.path().join("Other.bsl").display());
    let ran = nestor(&[
        "complete",
        &other,
        "--learn",
        path(dir.path()),
        "--model",
        path(&made.model),
        "--json",
    ]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let learned = &ran.json()["learned"];
    assert_eq!(learned["files"], 1);
    assert_eq!(learned["skipped"][0]["path"], "Module.bsl");
}

#[test]
fn a_cursor_outside_the_file_is_told_with_the_files_size() {
    let made = made("bad_input");
    let dir = folder(&[("Module.bsl", "А = 1;\nБ = 2;\n".as_bytes())]);
    let file = dir.path().join("Module.bsl");
    let model = ["--model", path(&made.model)];
    for (place, expected) in [
        ("9:1", "line 9 is outside the file, which has 3 lines"),
        ("1:99", "last column is 7"),
    ] {
        let place = format!("{}:{place}", file.display());
        check(
            &["complete", &place, model[0], model[1]],
            &[expected, path(&file)],
        );
    }
    let missing = format!("{}:1:1", dir.path().join("Нет.bsl").display());
    check(
        &["complete", &missing, model[0], model[1]],
        &["Нет.bsl", "cannot be read"],
    );
}

#[test]
fn a_source_without_code_is_refused_and_no_corpus_is_left() {
    let made = made("bad_input");
    let empty = folder(&[]);
    let broken_git = folder(&[
        ("HEAD", b"ref: refs/heads/main\n"),
        ("objects/pack/x", b""),
        (
            "refs/heads/main",
            b"1111111111111111111111111111111111111111\n",
        ),
        (
            "config",
            b"[core]\n\tbare = true\n\trepositoryformatversion = 0\n",
        ),
    ]);
    let out = folder(&[]);
    let corpus = out.path().join("corpus");
    let missing = out.path().join("missing");
    for (source, expected) in [
        (empty.path(), "holds no .bsl or .os file"),
        (missing.as_path(), "does not exist"),
        (broken_git.path(), "git repository"),
    ] {
        check(
            &["corpus", "build", path(source), "--out", path(&corpus)],
            &[path(source), expected],
        );
        assert_eq!(
            fs::read_dir(out.path()).unwrap().count(),
            0,
            "something was left behind"
        );
        check(
            &["eval", path(source), "--model", path(&made.model)],
            &[path(source), expected],
        );
    }
    // The codebase before it would take minutes.
    let began = std::time::Instant::now();
    let whole = configuration();
    check(
        &[
            "eval",
            path(&whole),
            path(&missing),
            "--model",
            path(&made.model),
        ],
        &[path(&missing), "does not exist"],
    );
    assert!(began.elapsed() < std::time::Duration::from_secs(30));
    let occupied = folder(&[("thesis.txt", b"mine")]);
    let source = configuration().join("cfe");
    check(
        &[
            "corpus",
            "build",
            path(&source),
            "--out",
            path(occupied.path()),
        ],
        &["something else than a corpus"],
    );
    assert_eq!(
        fs::read(occupied.path().join("thesis.txt")).unwrap(),
        b"mine"
    );
}

/// Flips the bytes in the middle of a file.
fn damage(file: &Path) {
    let mut bytes = fs::read(file).unwrap();
    let middle = bytes.len() / 2;
    for byte in &mut bytes[middle..(middle + 8)] {
        *byte ^= 0xff;
    }
    fs::write(file, bytes).unwrap();
}

#[test]
fn a_damaged_corpus_is_refused_by_the_files_name() {
    let made = made("bad_input");
    let shard = fs::read_dir(made.corpus.join("shards"))
        .unwrap()
        .next()
        .unwrap()
        .unwrap()
        .file_name();
    let shard = Path::new("shards").join(shard);
    for file in [
        shard.as_path(),
        Path::new("tokenizer.json"),
        Path::new("index.jsonl.zst"),
    ] {
        let dir = tempfile::tempdir().unwrap();
        copy_folder(&made.corpus, dir.path());
        damage(&dir.path().join(file));
        let name = file.file_name().unwrap().to_str().unwrap();
        check(
            &["corpus", "sample", path(dir.path())],
            &[name, "build the corpus again"],
        );
        let out = dir.path().join("model");
        check(
            &[
                "train",
                "--corpus",
                path(dir.path()),
                "--out",
                path(&out),
                "--max-tokens",
                "64",
                "--seq-len",
                "64",
            ],
            &[name],
        );
        assert!(!out.join("model.json").exists());
    }
    let dir = folder(&[("manifest.json", br#"{"format_version": 99}"#)]);
    check(
        &["corpus", "stats", path(dir.path())],
        &["manifest.json", "99"],
    );
}

#[test]
fn a_damaged_model_is_refused_by_the_files_name() {
    let made = made("bad_input");
    let module = folder(&[("Module.bsl", "А = 1;\n".as_bytes())]);
    let place = format!("{}:1:1", module.path().join("Module.bsl").display());
    let needed = ["weights.safetensors", "tokenizer.json", "model.json"];
    let optional = [
        "gate.json",
        "ngram.bin",
        "contexts.bin",
        "methods.bin",
        "memories.json",
        "memories.safetensors",
    ];
    for file in needed.into_iter().chain(optional) {
        let dir = tempfile::tempdir().unwrap();
        copy_folder(&made.model, dir.path());
        let target = dir.path().join(file);
        if file == "methods.bin" {
            // Any eight bytes are a hash; half a hash is not.
            fs::write(&target, b"half").unwrap();
        } else if file.starts_with("memories") {
            fs::write(&target, b"{}").unwrap();
        } else {
            damage(&target);
        }
        check(&["complete", &place, "--model", path(dir.path())], &[file]);
        fs::remove_file(&target).unwrap();
        if needed.contains(&file) {
            check(&["complete", &place, "--model", path(dir.path())], &[file]);
        }
    }
    let dir = tempfile::tempdir().unwrap();
    copy_folder(&made.model, dir.path());
    let model_json = dir.path().join("model.json");
    let text = fs::read_to_string(&model_json).unwrap();
    fs::write(
        &model_json,
        text.replace("\"format_version\": 1", "\"format_version\": 7"),
    )
    .unwrap();
    check(
        &["models", "show", path(dir.path())],
        &["model.json", "format_version is 7"],
    );
    check(
        &["complete", &place, "--model", "no/such/folder"],
        &["no/such/folder", "models list"],
    );
    check(
        &["complete", &place, "--model", "gigantic"],
        &["gigantic", "--model"],
    );
}

#[test]
fn a_damaged_checkpoint_does_not_stop_silently() {
    let made = made("bad_input");
    let dir = tempfile::tempdir().unwrap();
    copy_folder(&made.model, dir.path());
    let checkpoints = dir.path().join("checkpoints");
    for entry in fs::read_dir(&checkpoints).unwrap() {
        let file = entry.unwrap().path();
        if file.is_file() {
            damage(&file);
        }
    }
    let ran = nestor(&[
        "train",
        "--corpus",
        path(&made.corpus),
        "--out",
        path(dir.path()),
        "--max-tokens",
        "320",
        "--batch",
        "1",
        "--seq-len",
        "64",
        "--device",
        "cpu",
        "--resume",
    ]);
    assert_eq!(ran.code, 3, "{}{}", ran.stdout, ran.stderr);
    assert!(ran.stderr.contains("checkpoint"), "{}", ran.stderr);
}

#[test]
fn a_home_that_is_none_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let missing = dir.path().join("missing");
    let run = |home: &Path| {
        support::run(
            support::command()
                .args(["--lang=en", "quickstart"])
                .env("NESTOR_HOME", home),
        )
    };
    let ran = run(&missing);
    assert_eq!(ran.code, 3);
    assert!(
        ran.stderr.contains("NESTOR_HOME") && ran.stderr.contains(path(&missing)),
        "{}",
        ran.stderr
    );
    let ran = run(dir.path());
    assert_eq!(ran.code, 3);
    assert!(ran.stderr.contains("tiny"), "{}", ran.stderr);
}

/// Runs under a limit on the size of files, which writes meet as they meet a full disk.
#[cfg(unix)]
fn with_little_room(arguments: &[&str]) -> support::Ran {
    let script = "trap '' XFSZ; ulimit -f 8; exec \"$0\" --lang=en \"$@\"";
    support::run(
        std::process::Command::new("sh")
            .args(["-c", script, env!("CARGO_BIN_EXE_nestor")])
            .args(arguments)
            .current_dir(support::workspace()),
    )
}

#[cfg(unix)]
#[test]
fn a_full_disk_leaves_nothing_half_written() {
    let made = made("bad_input");
    let dir = folder(&[]);
    let source = configuration();
    let corpus = dir.path().join("corpus");
    let ran = with_little_room(&["corpus", "build", path(&source), "--out", path(&corpus)]);
    assert_eq!(ran.code, 3, "{}{}", ran.stdout, ran.stderr);
    assert!(
        ran.stderr.contains(path(dir.path())),
        "the file is not named: {}",
        ran.stderr
    );
    assert_eq!(
        fs::read_dir(dir.path()).unwrap().count(),
        0,
        "something was left behind"
    );

    let model = dir.path().join("model");
    let train = [
        "train",
        "--max-tokens",
        "64",
        "--batch",
        "1",
        "--seq-len",
        "64",
        "--device",
        "cpu",
    ];
    let places = ["--corpus", path(&made.corpus), "--out", path(&model)];
    let ran = with_little_room(&[&train[..], &places[..]].concat());
    assert_eq!(ran.code, 3, "{}{}", ran.stdout, ran.stderr);
    assert!(
        ran.stderr.contains(path(&model)),
        "the file is not named: {}",
        ran.stderr
    );
    assert!(!model.join("model.json").exists());
    for entry in walk(&model) {
        let name = entry.file_name().unwrap().to_string_lossy().into_owned();
        assert!(
            !name.contains("partial") && !name.contains("tmp"),
            "{name} was left behind"
        );
    }
}

/// All files below a folder.
#[cfg(unix)]
fn walk(dir: &Path) -> Vec<std::path::PathBuf> {
    let entries = fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    entries
        .flat_map(|path| {
            if path.is_dir() {
                walk(&path)
            } else {
                vec![path]
            }
        })
        .collect()
}

#[cfg(target_os = "linux")]
#[test]
fn an_output_that_takes_nothing_is_a_failure() {
    let full = fs::OpenOptions::new()
        .write(true)
        .open("/dev/full")
        .unwrap();
    let status = support::command()
        .args(["models", "list"])
        .stdout(full)
        .status()
        .unwrap();
    assert_eq!(status.code(), Some(4));
}
