//! Projects from outside: learned once, used by `complete`, forgotten, rolled back, carried to another place.

#![allow(
    clippy::unwrap_used,
    reason = "clippy's exception for tests does not know helpers of integration tests"
)]

mod support;

use nestor_memory::{ModelIdentity, Operation, Projects, WhenBusy};
use serde_json::Value;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use support::{Ran, command, configuration, copy_folder, made, nestor, run};
use tempfile::TempDir;

/// A copy of the bundled configuration and a folder for projects.
struct Place {
    dir: TempDir,
}

impl Place {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        copy_folder(&configuration(), &dir.path().join("trade"));
        Self { dir }
    }

    fn source(&self) -> PathBuf {
        self.dir.path().join("trade")
    }

    fn memory(&self) -> PathBuf {
        self.dir.path().join("проекты")
    }

    fn projects(&self) -> Projects {
        Projects::at(self.memory())
    }

    /// Runs a command on the projects of this place.
    fn run(&self, arguments: &[&str]) -> Ran {
        run(command()
            .arg("--lang=en")
            .args(arguments)
            .env("NESTOR_MEMORY", self.memory()))
    }

    /// The same, and expects a document.
    fn json(&self, arguments: &[&str]) -> Value {
        let mut arguments = arguments.to_vec();
        arguments.push("--json");
        let ran = self.run(&arguments);
        assert_eq!(ran.code, 0, "{arguments:?}: {}", ran.stderr);
        ran.json()
    }

    fn learn(&self, source: &Path) -> Value {
        let model = &made("project").model;
        let source = path(source);
        let arguments = ["learn", source, "--project", "erp", "--model", path(model)];
        // Counts alone: what levels 2 and 3 are taught has a test of its own.
        self.json(&[&arguments[..], &["--teach", "0"]].concat())
    }

    /// Completes in a module of the configuration.
    fn complete(&self, last: &[&str]) -> Value {
        let module = self
            .source()
            .join("cf/Documents/РеализацияТоваров/Ext/ObjectModule.bsl");
        let text = std::fs::read_to_string(&module).unwrap();
        let line = text
            .lines()
            .position(|line| line.contains("ВзаиморасчетыСервер."))
            .unwrap();
        let column = text.lines().nth(line).unwrap().split_once('.').unwrap().0;
        let mark = usize::from(line == 0 && text.starts_with('\u{feff}'));
        let column = column.chars().count() + 2 - mark;
        let place = format!("{}:{}:{column}", module.display(), line + 1);
        let mut arguments = vec!["complete", place.as_str()];
        arguments.extend(["--model", path(&made("project").model)]);
        arguments.extend(last);
        self.json(&arguments)
    }
}

fn path(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn figures(report: &Value) -> [u64; 4] {
    ["new", "changed", "unchanged", "removed"].map(|field| report[field].as_u64().unwrap())
}

#[test]
fn only_what_has_changed_is_learned_again() {
    let place = Place::new();
    let first = place.learn(&place.source());
    let n = first["files"].as_u64().unwrap();
    assert!(n > 60 && figures(&first) == [n, 0, 0, 0], "{first}");
    assert!(first["pieces_per_s"].as_f64().unwrap() > 0.0);
    let again = place.learn(&place.source());
    assert_eq!(figures(&again), [0, 0, n, 0]);
    assert_eq!(again["change"], first["change"], "nothing happened");

    // The extension is learned before the configuration.
    let store = place.projects().open(&"erp".parse().unwrap()).unwrap();
    let learned = store
        .history()
        .iter()
        .filter_map(|record| match &record.op {
            Operation::Learn { path, .. } => Some(path.starts_with("trade/cfe/")),
            _ => None,
        });
    let learned: Vec<bool> = learned.collect();
    assert!(learned[0] && !learned[learned.len() - 1]);
    assert!(
        learned.is_sorted_by(|before, after| before >= after),
        "{learned:?}"
    );
    drop(store);

    let modules = place.source().join("cf/CommonModules");
    let module = std::fs::read_dir(&modules)
        .unwrap()
        .next()
        .unwrap()
        .unwrap();
    let module = module.path().join("Ext/Module.bsl");
    let text = std::fs::read_to_string(&module).unwrap();
    std::fs::write(&module, text + "\n// Конец.\n").unwrap();
    let gone = "cf/Documents/РеализацияТоваров/Ext/ObjectModule.bsl";
    std::fs::remove_file(place.source().join(gone)).unwrap();
    let changed = place.learn(&place.source());
    assert_eq!(figures(&changed), [0, 1, n - 2, 1]);
    assert_eq!(changed["roots"][0]["root"], "trade");

    // Rolling back brings the removed file and the older text.
    let before = first["change"].to_string();
    let rolled = place.json(&["project", "rollback", "erp", &before]);
    assert_eq!(rolled["restored"], 2);
    assert_eq!(rolled["files"], n);

    let ran = place.run(&["project", "show", "erp", "--history"]);
    for expected in ["trade", "learned", "removed", "rolled back", "→"] {
        assert!(ran.stdout.contains(expected), "{expected}: {}", ran.stdout);
    }
    let shown = place.json(&["project", "show", "erp"]);
    assert_eq!(shown["roots"][0]["files"], n);
    let listed = place.json(&["project", "list"]);
    assert_eq!(listed["projects"][0]["name"], "erp");
    assert_eq!(listed["projects"][0]["files"], n);
}

#[test]
fn a_project_completes_as_the_code_it_was_learned_from() {
    let place = Place::new();
    place.learn(&place.source());
    let of_source = place.complete(&["--learn", path(&place.source())]);
    let of_project = place.complete(&["--project", "erp"]);
    assert_eq!(of_project["text"], of_source["text"]);
    assert_eq!(
        of_project["project"]["files"],
        of_source["learned"]["files"]
    );
    assert_eq!(
        of_project["project"]["pieces"],
        of_source["learned"]["pieces"]
    );
    let text = of_project["text"].as_str().unwrap();
    assert!(
        text.contains('('),
        "a call of the project's own module: {text}"
    );
    let alone = place.complete(&[]);
    assert_ne!(of_project["contributions"], alone["contributions"]);

    let conflict = place.run(&["complete", "a.bsl:1:1", "--project", "erp", "--learn", "."]);
    assert_eq!(conflict.code, 2);
}

#[test]
fn what_is_forgotten_no_longer_counts_and_does_not_come_back() {
    let place = Place::new();
    let learned = place.learn(&place.source());
    let n = learned["files"].as_u64().unwrap();
    let told = place.json(&["project", "forget", "erp", "trade/cf"]);
    let forgotten = told["forgotten"][0]["files"].as_u64().unwrap();
    assert!(forgotten > 50 && told["files"].as_u64().unwrap() == n - forgotten);
    let change = learned["change"].to_string();
    let ran = place.run(&["project", "rollback", "erp", &change]);
    assert!(ran.stdout.contains("Forgotten since"), "{}", ran.stdout);
    let alone = place.complete(&["--project", "erp"]);
    assert_eq!(alone["project"]["files"], n - forgotten);
    // Learning again is allowed: the source still has it.
    assert_eq!(
        figures(&place.learn(&place.source())),
        [forgotten, 0, n - forgotten, 0]
    );

    let ran = place.run(&["project", "forget", "erp", "cf"]);
    assert_eq!(ran.code, 3);
    assert!(
        ran.stderr.contains("begins with the name of a root"),
        "{}",
        ran.stderr
    );
}

#[test]
fn a_project_is_carried_in_one_file_and_removed() {
    let place = Place::new();
    place.learn(&place.source().join("cfe"));
    let bundle = place.dir.path().join("erp.nestor");
    let ran = place.run(&["project", "export", "erp", path(&bundle)]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert!(
        ran.stderr.contains("holds the source text"),
        "{}",
        ran.stderr
    );
    let again = place.run(&["project", "export", "erp", path(&bundle)]);
    assert_eq!(again.code, 3);
    let model = &made("project").model;
    let import = [
        "project",
        "import",
        "Копия",
        path(&bundle),
        "--model",
        path(model),
    ];
    let imported = place.json(&import);
    let shown = |name: &str| place.json(&["project", "show", name]);
    assert_eq!(shown("Копия")["pieces"], shown("erp")["pieces"]);
    assert_eq!(imported["files"], shown("erp")["files"]);
    assert_eq!(place.run(&import).code, 3, "it exists");
    assert_eq!(place.run(&["project", "remove", "erp"]).code, 0);
    let gone = place.run(&["project", "show", "erp"]);
    assert_eq!(gone.code, 3);
    assert!(gone.stderr.contains("no project erp"), "{}", gone.stderr);
    let listed = place.json(&["project", "list"]);
    assert_eq!(listed["projects"].as_array().unwrap().len(), 1);

    std::fs::write(&bundle, "мусор").unwrap();
    let import = [
        "project",
        "import",
        "x",
        path(&bundle),
        "--model",
        path(model),
    ];
    let refused = place.run(&import);
    assert_eq!(refused.code, 3);
    assert!(refused.stderr.contains("erp.nestor"), "{}", refused.stderr);
}

#[test]
fn names_that_are_none_and_projects_that_are_not_there() {
    let place = Place::new();
    for name in [
        "../erp", "a/b", r"a\b", "", "..", "erp.", "nul", "e r p", "erp🙂",
    ] {
        for arguments in [
            &["learn", "examples/trade", "--project", name][..],
            &["project", "show", name],
            &["project", "remove", name],
            &["complete", "README.md:1:1", "--project", name],
        ] {
            let ran = place.run(arguments);
            assert_eq!(ran.code, 2, "{arguments:?}: {}", ran.stderr);
            assert!(
                ran.stderr.contains("no name of a project"),
                "{}",
                ran.stderr
            );
        }
    }
    for arguments in [
        &["project", "show", "нет"][..],
        &["project", "remove", "нет"],
        &["project", "forget", "нет", "cf"],
        &["project", "rollback", "нет", "1"],
    ] {
        let ran = place.run(arguments);
        assert_eq!(ran.code, 3, "{arguments:?}: {}", ran.stderr);
        assert!(ran.stderr.contains("no project нет"), "{}", ran.stderr);
    }
    assert!(!place.memory().exists(), "looking creates nothing");
    let ran = place.run(&["project", "list"]);
    assert!(ran.stdout.contains("no projects in"), "{}", ran.stdout);
}

#[test]
fn a_project_of_another_tokenizer_is_refused_by_name() {
    let place = Place::new();
    let identity = ModelIdentity {
        model_sha256: None,
        tokenizer_sha256: "ab".repeat(32),
        vocabulary: 800,
    };
    let name = "erp".parse().unwrap();
    let made_elsewhere = place
        .projects()
        .open_or_create(&name, &identity, WhenBusy::Fail, 0);
    drop(made_elsewhere.unwrap());
    let model = &made("project").model;
    let source = place.source();
    for arguments in [
        [
            "learn",
            path(&source),
            "--project",
            "erp",
            "--model",
            path(model),
        ],
        [
            "complete",
            "README.md:1:1",
            "--project",
            "erp",
            "--model",
            path(model),
        ],
    ] {
        let ran = place.run(&arguments);
        assert_eq!(ran.code, 3, "{arguments:?}: {}", ran.stderr);
        assert!(
            ran.stderr
                .contains("project erp was learned with the tokenizer abab")
        );
    }
}

#[test]
fn one_writer_at_a_time() {
    let place = Place::new();
    place.learn(&place.source().join("cfe"));
    let name = "erp".parse().unwrap();
    let held = place.projects().open_to_write(&name, WhenBusy::Fail, 0);
    let held = held.unwrap();
    let refused = place.run(&["project", "rollback", "erp", "0", "--no-wait"]);
    assert_eq!(refused.code, 3);
    assert!(
        refused.stderr.contains("another process changes"),
        "{}",
        refused.stderr
    );
    // Reading does not wait.
    assert!(place.complete(&["--project", "erp"])["project"]["files"].as_u64() > Some(0));
    let mut waiting = command()
        .args(["--lang=en", "project", "rollback", "erp", "0", "--json"])
        .env("NESTOR_MEMORY", place.memory())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    let mut stderr = BufReader::new(waiting.stderr.take().unwrap());
    stderr.read_line(&mut line).unwrap();
    assert!(line.contains("waiting for it"), "{line}");
    drop(held);
    let output = waiting.wait_with_output().unwrap();
    assert!(output.status.success());
    let document: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(document["files"], 0);
}

#[test]
fn a_source_that_has_moved_is_told_by_name() {
    let place = Place::new();
    let n = figures(&place.learn(&place.source().join("cfe")))[0];
    let elsewhere = place.dir.path().join("other/cfe");
    copy_folder(&place.source().join("cfe"), &elsewhere);
    let model = &made("project").model;
    let learn = |source: &str| {
        nestor(&[
            "learn",
            source,
            "--project",
            "erp",
            "--model",
            path(model),
            "--memory",
            path(&place.memory()),
            "--role",
            "extension",
            "--json",
        ])
    };
    let refused = learn(path(&elsewhere));
    assert_eq!(refused.code, 2);
    assert!(
        refused.stderr.contains("if it has moved"),
        "{}",
        refused.stderr
    );
    let moved = learn(&format!("cfe={}", elsewhere.display()));
    assert_eq!(figures(&moved.json()), [0, 0, n, 0]);
    let second = learn(&format!("второй={}", place.source().join("cfe").display()));
    assert_eq!(figures(&second.json()), [n, 0, 0, 0]);
    let shown = place.json(&["project", "show", "erp"]);
    assert_eq!(
        shown["roots"][0]["location"],
        path(&elsewhere.canonicalize().unwrap())
    );
    assert_eq!(shown["roots"][0]["role"], "extension");
}

#[test]
fn levels_are_taught_a_part_at_a_time() {
    let place = Place::new();
    let model = &made("project").model;
    let source = place.source();
    let arguments = [
        "learn",
        path(&source),
        "--project",
        "erp",
        "--model",
        path(model),
        "--teach",
        "2000",
    ];
    let first = place.json(&arguments)["taught"].clone();
    let (taught, left) = (&first["pieces"], &first["pieces_left"]);
    assert!(taught.as_u64().unwrap() >= 2000, "{first}");
    let left = left.as_u64().unwrap();
    let again = place.json(&arguments);
    assert_eq!(again["new"], 0);
    let taught = again["taught"]["pieces"].as_u64().unwrap();
    assert_eq!(
        again["taught"]["pieces_left"].as_u64().unwrap(),
        left - taught
    );
    let completion = place.complete(&["--project", "erp", "--speed", "accurate"]);
    let parts = completion["contributions"].to_string();
    assert!(parts.contains("nearest"), "{parts}");
    let ran = place.run(&arguments[..6]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert!(ran.stdout.contains("Levels 2 and 3"), "{}", ran.stdout);
}
