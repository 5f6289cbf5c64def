//! The binary from outside: results as JSON, help in both languages, wrong use.

#![allow(
    clippy::unwrap_used,
    reason = "clippy's exception for tests does not know helpers of integration tests"
)]

#[path = "../support/mod.rs"]
mod support;
mod training;

use serde_json::Value;
use support::{command, configuration, copy_folder, made, nestor, run};

fn path(path: &std::path::Path) -> &str {
    path.to_str().unwrap()
}

/// Every command and what leads to its help.
const COMMANDS: &[&[&str]] = &[
    &[],
    &["quickstart"],
    &["corpus"],
    &["corpus", "build"],
    &["corpus", "stats"],
    &["corpus", "sample"],
    &["train"],
    &["learn"],
    &["project"],
    &["project", "list"],
    &["project", "show"],
    &["project", "forget"],
    &["project", "rollback"],
    &["project", "export"],
    &["project", "import"],
    &["project", "remove"],
    &["complete"],
    &["eval"],
    &["models"],
    &["models", "list"],
    &["models", "show"],
    &["bench"],
    &["bench", "decode"],
    &["bench", "serve"],
    &["serve"],
    &["keys"],
    &["keys", "add"],
    &["keys", "list"],
    &["keys", "revoke"],
    &["lsp"],
    &["bench", "complete"],
    &["quantize"],
];

#[test]
fn help_reads_well_in_both_languages() {
    for language in ["ru", "en"] {
        let mut text = String::new();
        for words in COMMANDS {
            let ran = run(command().args(*words).args(["--help", "--lang", language]));
            assert_eq!(ran.code, 0, "{words:?}: {}", ran.stderr);
            text.push_str(&format!(
                "$ nestor {} --help\n{}\n",
                words.join(" "),
                ran.stdout
            ));
        }
        insta::assert_snapshot!(format!("help_{language}"), text);
    }
}

#[test]
fn wrong_use_is_told_and_ends_with_2() {
    let cases: &[(&[&str], &str)] = &[
        (&["--fast"], "unknown option or argument \"--fast\""),
        (
            &["complete", "a.bsl:1:1", "--sped", "fast"],
            "Did you mean \"--speed\"?",
        ),
        (
            &["traim"],
            "unknown command \"traim\". Did you mean \"train\"?",
        ),
        (&[], "a command is missing"),
        (&["corpus"], "a command is missing"),
        (&["complete"], "missing: <FILE:LINE:COL>"),
        (&["complete", "a.bsl"], "FILE:LINE:COL"),
        (&["complete", "a.bsl:0:1"], "LINE >= 1"),
        (
            &["complete", "a.bsl:1:1", "--speed", "turbo"],
            "possible: fast, balanced, accurate",
        ),
        (&["complete", "a.bsl:1:1", "--speed"], "needs a value"),
        (&["eval", "x", "--levels", "7"], "--levels"),
        (
            &["train", "--corpus", "c", "--out", "o"],
            "--epochs, --minutes or --max-tokens",
        ),
        (
            &[
                "train", "--corpus", "c", "--out", "o", "--epochs", "1", "--levels", "4",
            ],
            "1..=3",
        ),
        (
            &[
                "train", "--corpus", "c", "--out", "o", "--finish", "--resume",
            ],
            "does not go with",
        ),
        (&["corpus", "build", "--out", "o"], "missing"),
        (
            &[
                "corpus",
                "build",
                "examples/trade",
                "--withhold",
                "ssl",
                "--out",
                "o",
            ],
            "--withhold ssl",
        ),
        (
            &[
                "corpus",
                "build",
                "examples/trade",
                "--vocab",
                "5",
                "--out",
                "o",
            ],
            "vocab_size",
        ),
    ];
    for (arguments, expected) in cases {
        let ran = nestor(arguments);
        assert_eq!(ran.code, 2, "{arguments:?}: {}", ran.stderr);
        assert!(
            ran.stderr.contains(expected),
            "{arguments:?}: {}",
            ran.stderr
        );
        assert!(
            ran.stderr.starts_with("error: "),
            "{arguments:?}: {}",
            ran.stderr
        );
        assert_eq!(ran.stdout, "", "{arguments:?}");
    }
}

#[test]
fn the_language_follows_the_option_and_the_locale() {
    for (arguments, locale, expected) in [
        (
            vec!["traim", "--lang", "ru"],
            "en_US.UTF-8",
            "неизвестная команда",
        ),
        (vec!["traim"], "ru_RU.UTF-8", "неизвестная команда"),
        (vec!["traim"], "C", "unknown command"),
        (vec!["traim", "--lang=en"], "ru_RU.UTF-8", "unknown command"),
    ] {
        let ran = run(command().args(&arguments).env("LC_ALL", locale));
        assert!(
            ran.stderr.contains(expected),
            "{arguments:?} {locale}: {}",
            ran.stderr
        );
    }
}

#[test]
fn a_failure_is_json_too() {
    let ran = nestor(&["--json", "corpus", "stats", "no-such-corpus"]);
    assert_eq!(ran.code, 3);
    let error = &ran.json()["error"];
    assert_eq!(error["kind"], "input");
    assert_eq!(error["exit_code"], 3);
    assert!(
        error["message"]
            .as_str()
            .unwrap()
            .contains("no-such-corpus")
    );
    let ran = nestor(&["--json", "traim"]);
    assert_eq!(ran.json()["error"]["exit_code"], 2);
}

#[test]
fn a_corpus_is_built_shown_and_sampled() {
    let made = made("cli");
    let stats = nestor(&["corpus", "stats", path(&made.corpus), "--json"]).json();
    let projects = stats["projects"].as_array().unwrap();
    assert_eq!(
        projects
            .iter()
            .map(|p| p["role"].as_str().unwrap())
            .collect::<Vec<_>>(),
        ["train", "withheld"]
    );
    assert!(stats["totals"]["methods"].as_u64().unwrap() > 100);
    assert_eq!(stats["vocab_size"], 800);

    let sample = |seed: &str| {
        nestor(&[
            "corpus",
            "sample",
            path(&made.corpus),
            "--samples",
            "3",
            "--seed",
            seed,
            "--json",
        ])
        .json()
    };
    let first = sample("1");
    assert_eq!(first["samples"].as_array().unwrap().len(), 3);
    assert_eq!(first, sample("1"));
    assert_ne!(first, sample("2"));
    for method in first["samples"].as_array().unwrap() {
        let text = method["text"].as_str().unwrap();
        let ends = [
            "КонецПроцедуры",
            "КонецФункции",
            "EndProcedure",
            "EndFunction",
        ];
        assert!(
            ends.iter().any(|end| text.trim_end().ends_with(end)),
            "{text}"
        );
    }
    let table = nestor(&["corpus", "stats", path(&made.corpus)]).stdout;
    assert!(
        table.contains("withheld") && table.contains("total"),
        "{table}"
    );
}

#[test]
fn the_same_build_gives_the_same_manifest() {
    let dir = tempfile::tempdir().unwrap();
    let source = configuration().join("cfe");
    let manifest = |out: &str| {
        let out = dir.path().join(out);
        let ran = nestor(&[
            "corpus",
            "build",
            path(&source),
            "--vocab",
            "400",
            "--out",
            path(&out),
            "--json",
        ]);
        assert_eq!(ran.code, 0, "{}", ran.stderr);
        let report = ran.json();
        assert!(report["mb_per_s"].as_f64().unwrap() > 0.0);
        std::fs::read(out.join("manifest.json")).unwrap()
    };
    assert_eq!(manifest("one"), manifest("two"));
}

#[test]
fn a_completion_says_what_it_knows_of_itself() {
    let made = made("cli");
    let dir = tempfile::tempdir().unwrap();
    let module = dir
        .path()
        .join("CommonModules")
        .join("Продажи")
        .join("Ext")
        .join("Module.bsl");
    std::fs::create_dir_all(module.parent().unwrap()).unwrap();
    std::fs::write(
        &module,
        "\u{feff}Процедура Провести()\r\n\tЕсли Отказ Тогда\r\n\t\tВоз\r\n",
    )
    .unwrap();
    let place = format!("{}:3:6", module.display());
    for speed in ["fast", "balanced", "accurate"] {
        let source = configuration();
        let ran = nestor(&[
            "complete",
            &place,
            "--speed",
            speed,
            "--learn",
            path(&source),
            "--model",
            path(&made.model),
            "--json",
        ]);
        assert_eq!(ran.code, 0, "{}", ran.stderr);
        let answer = ran.json();
        assert_eq!(answer["speed"], speed);
        assert_eq!((&answer["line"], &answer["column"]), (&3.into(), &6.into()));
        assert!(answer["learned"]["files"].as_u64().unwrap() > 60);
        assert!(answer["latency_ms"].as_f64().unwrap() > 0.0);
        let text = answer["text"].as_str().unwrap();
        assert!(!text.is_empty() && !text.contains('\n'), "{text:?}");
        let shares: f64 = answer["contributions"]
            .as_array()
            .unwrap()
            .iter()
            .map(|part| part["share"].as_f64().unwrap())
            .sum();
        assert!((shares - 1.0).abs() < 1e-3, "{shares}");
    }
    let text = nestor(&["complete", &place, "--model", path(&made.model)]);
    assert_eq!(text.code, 0, "{}", text.stderr);
    assert!(
        text.stdout.starts_with("\t\tВоз") && text.stdout.contains("balanced:"),
        "{}",
        text.stdout
    );
}

/// The fields of a row that scripts rely on (DESIGN 4).
const ROW: [&str; 9] = [
    "level",
    "strict_top1",
    "strict_top5",
    "token_top1",
    "identifier_mrr",
    "bits_per_char",
    "low",
    "high",
    "positions",
];

fn check_rows(results: &Value, expected: &[(&str, &str)]) {
    let rows = results.as_array().unwrap();
    for row in rows {
        assert!(ROW.iter().all(|field| row.get(field).is_some()), "{row}");
        let share = |field: &str| row[field].as_f64().unwrap();
        assert!(
            share("low") <= share("strict_top1") && share("strict_top1") <= share("high"),
            "{row}"
        );
    }
    for (adaptation, level) in expected {
        let found = rows
            .iter()
            .any(|row| row["adaptation"] == *adaptation && row["level"] == *level);
        assert!(found, "no row for level {level}, {adaptation}");
    }
}

#[test]
fn an_evaluation_has_a_row_for_every_level() {
    let made = made("cli");
    let source = configuration().join("cfe");
    let model = path(&made.model);
    let ran = nestor(&[
        "eval",
        path(&source),
        "--baseline",
        "ngram",
        "--baseline-corpus",
        path(&made.corpus),
        "--max-positions",
        "128",
        "--model",
        model,
        "--json",
    ]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let levels = ["0", "1", "2", "3", "all", "ngram"];
    let expected: Vec<_> = ["none", "file", "dynamic"]
        .iter()
        .flat_map(|a| levels.iter().map(move |l| (*a, *l)))
        .collect();
    check_rows(&ran.json()["results"], &expected);
    assert!(
        ran.json()["sources"][0]["scored_code_tokens"]
            .as_u64()
            .unwrap()
            <= 128
    );

    // A corpus stands for the projects it withholds; --levels chooses rows.
    let ran = nestor(&[
        "eval",
        path(&made.corpus),
        "--levels",
        "1,all",
        "--max-positions",
        "64",
        "--model",
        model,
        "--json",
    ]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let results = ran.json()["results"].clone();
    check_rows(&results, &[("dynamic", "1"), ("dynamic", "all")]);
    assert!(
        results
            .as_array()
            .unwrap()
            .iter()
            .all(|row| row["source"] == "ext" && row["level"] != "2")
    );

    let (one, two) = (
        format!("one={}", path(&source)),
        format!("two={}", path(&source)),
    );
    let both = [
        "eval",
        &one,
        &two,
        "--levels",
        "all",
        "--max-positions",
        "64",
        "--model",
        model,
    ];
    let text = nestor(&both).stdout;
    assert!(
        text.contains("mean over the sources") && text.contains("one:"),
        "{text}"
    );
    let same = nestor(&["eval", &one, &one, "--model", model]);
    assert_eq!(same.code, 2, "{}", same.stderr);
    assert!(
        same.stderr.contains("two sources are named \"one\""),
        "{}",
        same.stderr
    );

    let ran = nestor(&[
        "eval",
        path(&source),
        "--protocol",
        "samples",
        "--model",
        model,
    ]);
    assert_eq!(ran.code, 3);
    assert!(
        ran.stderr
            .contains("needs a folder that \"nestor corpus build\" wrote"),
        "{}",
        ran.stderr
    );
}

#[test]
fn samples_that_the_model_was_not_trained_on_are_scored() {
    let made = made("cli");
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("samples");
    let trained = run(command()
        .args([
            "--lang=en",
            "train",
            "--samples",
            "60",
            "--seed",
            "3",
            "--levels",
            "1",
            "--max-tokens",
            "128",
        ])
        .args(["--batch", "1", "--seq-len", "64", "--device", "cpu"])
        .args(["--corpus", path(&made.corpus), "--out", path(&out)]));
    assert_eq!(trained.code, 0, "{}", trained.stderr);
    let ran = nestor(&[
        "eval",
        path(&made.corpus),
        "--protocol",
        "samples",
        "--samples",
        "60",
        "--seed",
        "3",
        "--baseline",
        "ngram",
        "--model",
        path(&out),
        "--json",
    ]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let results = ran.json()["results"].clone();
    check_rows(
        &results,
        &[("none", "1"), ("file", "all"), ("none", "ngram")],
    );
    assert!(
        results
            .as_array()
            .unwrap()
            .iter()
            .all(|row| row["level"] != "3"),
        "the model has one level"
    );
}

#[test]
fn speeds_are_timed() {
    let made = made("cli");
    let source = configuration().join("cfe");
    let ran = nestor(&[
        "bench",
        "decode",
        path(&source),
        "--requests",
        "3",
        "--model",
        path(&made.model),
        "--json",
    ]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let report = ran.json();
    let speeds = report["speeds"].as_array().unwrap();
    assert_eq!(
        speeds
            .iter()
            .map(|s| s["speed"].as_str().unwrap())
            .collect::<Vec<_>>(),
        ["fast", "balanced", "accurate"]
    );
    for speed in speeds {
        let (p50, p99) = (
            speed["total"]["p50"].as_f64().unwrap(),
            speed["total"]["p99"].as_f64().unwrap(),
        );
        assert!(0.0 < p50 && p50 <= p99);
    }
}

#[test]
fn the_quickstart_runs_from_any_home() {
    let made = made("cli");
    let home = tempfile::tempdir().unwrap();
    copy_folder(
        &configuration(),
        &home.path().join("examples").join("trade"),
    );
    copy_folder(&made.model, &home.path().join("models").join("tiny"));
    let quickstart = |last: &[&str]| {
        run(command()
            .args(["quickstart", "--max-positions", "256", "--lang", "ru"])
            .args(last)
            .env("NESTOR_HOME", home.path())
            .current_dir(home.path()))
    };
    let ran = quickstart(&["--json"]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let report = ran.json();
    let speeds: Vec<&Value> = report["completions"]
        .as_array()
        .unwrap()
        .iter()
        .map(|c| &c["speed"])
        .collect();
    assert_eq!(speeds, ["fast", "balanced", "accurate"]);
    assert!(report["learned"]["files"].as_u64().unwrap() > 60);
    assert_eq!(report["place"]["before"], "ВзаиморасчетыСервер.");
    check_rows(
        &report["results"],
        &[
            ("none", "all"),
            ("dynamic", "all"),
            ("dynamic", "ngram"),
            ("none", "1"),
        ],
    );

    let memories = &report["memories"];
    assert!(memories["pieces"].as_u64().unwrap() >= 20_000);
    assert!(memories["held_out_pieces"].as_u64().unwrap() > 1_000);
    let levels = memories["levels"].as_array().unwrap();
    let names: Vec<&Value> = levels.iter().map(|row| &row["level"]).collect();
    assert_eq!(names, ["2", "3"]);
    for row in levels {
        assert!(
            row["bits_taught"].as_f64() < row["bits_untaught"].as_f64(),
            "{row}"
        );
    }

    let text = quickstart(&[]).stdout;
    for expected in [
        "Выучено файлов",
        "accurate",
        "Уровни 2 и 3",
        "все уровни",
        "n-граммы",
    ] {
        assert!(text.contains(expected), "{expected}: {text}");
    }

    let listed = run(command()
        .args(["models", "list", "--json"])
        .env("NESTOR_HOME", home.path()))
    .json();
    assert_eq!(listed["models"][0]["folder"], "tiny");
}
