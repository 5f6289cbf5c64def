//! Every figure that the shipped dashboards and alerts ask for is exported, with the labels that they name.

#![allow(
    clippy::unwrap_used,
    reason = "clippy's exception for tests does not know helpers of integration tests"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

use nestor_server::gpu::Gpu;
use nestor_server::metrics::{Completed, Metrics, Outcome};
use nestor_server::wire::{JobShown, LevelShown};

fn deploy() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy")
}

/// Figures with their labels, after one of everything has happened.
fn exported() -> BTreeMap<String, BTreeSet<String>> {
    let metrics = Metrics::new();
    metrics.request("/health", "GET", 200, Duration::from_millis(1));
    metrics.completed(&Completed {
        speed: "fast",
        outcome: Outcome::Answered,
        total: Duration::from_millis(4),
        waited: Duration::ZERO,
        prefill: Duration::from_millis(2),
        decode: Duration::from_millis(1),
        context: 100,
        written: 10,
        confidence: 0.5,
        parts: &[("level1".to_owned(), 1.0)],
    });
    metrics.project("erp", 1, 1);
    let level = LevelShown {
        level: 1,
        nll: 1.0,
        top1: 0.5,
    };
    metrics.training(
        "first",
        &JobShown {
            id: "train-1".to_owned(),
            kind: "train",
            name: "first".to_owned(),
            state: "running",
            started: 0,
            elapsed_s: 1.0,
            progress: Some(0.5),
            seconds_left: Some(60.0),
            step: Some(1),
            tokens: Some(64),
            tokens_per_s: Some(64.0),
            loss: Some(1.0),
            levels: vec![level],
            validation: vec![level],
            error: None,
            result: None,
        },
    );
    metrics.gpus(&[Gpu {
        index: "0".to_owned(),
        utilization: Some(0.5),
        memory_used: Some(1.0),
        memory_total: Some(2.0),
        power: Some(100.0),
        temperature: Some(40.0),
    }]);
    let mut found: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for line in metrics.text().lines().filter(|line| !line.starts_with('#')) {
        let series = line.rsplit_once(' ').map_or(line, |parts| parts.0);
        let (name, labels) = series.split_once('{').unwrap_or((series, ""));
        // What the scraper itself adds.
        let labels = labels_of(labels)
            .into_iter()
            .chain(["job", "instance"].map(str::to_owned));
        found.entry(name.to_owned()).or_default().extend(labels);
    }
    found
}

/// The names before `=`, `!=`, `=~` and `!~` of a selector.
fn labels_of(selector: &str) -> Vec<String> {
    let selector = selector.trim_end_matches('}');
    let mut outside = String::new();
    let mut in_quotes = false;
    for c in selector.chars() {
        match c {
            '"' => in_quotes = !in_quotes,
            c if !in_quotes => outside.push(c),
            _ => {}
        }
    }
    let names = outside.split(',');
    names
        .map(|one| one.trim_end_matches(['=', '~', '!']).trim().to_owned())
        .filter(|name| !name.is_empty())
        .collect()
}

/// The figures that an expression asks for, with the labels of their selectors.
fn asked(expression: &str) -> Vec<(String, Vec<String>)> {
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let mut found = Vec::new();
    let mut rest = expression;
    while let Some(start) = rest.find(|c: char| c.is_ascii_alphabetic()) {
        rest = &rest[start..];
        let end = rest.find(|c: char| !is_name(c)).unwrap_or(rest.len());
        let name = &rest[..end];
        rest = &rest[end..];
        let selector = rest
            .strip_prefix('{')
            .and_then(|inner| inner.split_once('}'))
            .map(|(inner, _)| inner);
        if name.starts_with("nestor_") || name.starts_with("process_") {
            found.push((name.to_owned(), selector.map(labels_of).unwrap_or_default()));
        }
        if let Some(selector) = selector {
            rest = &rest[selector.len() + 2..];
        }
    }
    found
}

/// The labels of `by (...)`.
fn grouped_by(expression: &str) -> Vec<String> {
    let groups = expression.split("by (").skip(1);
    groups
        .flat_map(|rest| rest.split(')').next().unwrap_or_default().split(','))
        .map(|label| label.trim().to_owned())
        .collect()
}

fn check(place: &str, expression: &str, exported: &BTreeMap<String, BTreeSet<String>>) {
    let asked = asked(expression);
    let mut known: BTreeSet<&String> = BTreeSet::new();
    for (name, labels) in &asked {
        let Some(has) = exported.get(name) else {
            panic!("{place}: {name} is not exported");
        };
        known.extend(has);
        for label in labels {
            assert!(has.contains(label), "{place}: {name} has no label {label}");
        }
    }
    for label in grouped_by(expression) {
        assert!(
            known.contains(&label),
            "{place}: nothing in it has the label {label}"
        );
    }
}

#[test]
fn dashboards_show_what_is_exported() {
    let exported = exported();
    let mut n = 0;
    for name in ["training", "model-performance", "system-health"] {
        let path = deploy().join("grafana").join(format!("{name}.json"));
        let text = std::fs::read_to_string(&path).unwrap();
        let dashboard: serde_json::Value = serde_json::from_str(&text).unwrap();
        for panel in dashboard["panels"].as_array().unwrap() {
            let place = format!("{name}: {}", panel["title"]);
            for target in panel["targets"].as_array().unwrap() {
                let expression = target["expr"].as_str().unwrap();
                assert!(
                    !asked(expression).is_empty(),
                    "{place} asks for nothing of ours"
                );
                check(&place, expression, &exported);
                n += 1;
            }
        }
    }
    assert!(n > 30, "{n}");
}

#[test]
fn alerts_watch_what_is_exported() {
    let exported = exported();
    let text = std::fs::read_to_string(deploy().join("prometheus/alerts.yml")).unwrap();
    let mut n = 0;
    for rule in text.split("- alert: ").skip(1) {
        let name = rule.lines().next().unwrap();
        let expression = rule.split("expr:").nth(1).unwrap();
        let expression = expression.split("labels:").next().unwrap();
        let expression = expression.split(" for:").next().unwrap().replace('\n', " ");
        let of_scraper = expression.trim().starts_with("up{");
        assert!(of_scraper || !asked(&expression).is_empty(), "{name}");
        check(name, &expression, &exported);
        for field in ["severity:", "summary:", "action:"] {
            assert!(rule.contains(field), "{name} has no {field}");
        }
        n += 1;
    }
    assert!(n >= 8, "{n}");
}

#[test]
#[should_panic(expected = "is not exported")]
fn a_figure_that_is_not_there_is_found() {
    check("test", "rate(nestor_no_such_total[5m])", &exported());
}

#[test]
#[should_panic(expected = "has no label colour")]
fn a_label_that_is_not_there_is_found() {
    check("test", "nestor_jobs{colour=\"red\"}", &exported());
}
