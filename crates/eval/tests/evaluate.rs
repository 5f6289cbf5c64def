//! Whole evaluations of a random network: every protocol, every level, and what learning is worth.

#[path = "../../assist/tests/fixture/mod.rs"]
mod fixture;

use fixture::{MODULE, assistant};
use nestor_bsl::methods::{method_hash, methods};
use nestor_eval::{
    Adaptation, Contestants, EvalConfig, EvalError, Evaluation, Level, NgramBaseline, ProjectFile,
    Protocol, Source, evaluate,
};

fn source() -> Source {
    let names = ["Товары", "Склады", "Заказы", "Оплаты"];
    let files = names.iter().map(|name| ProjectFile {
        path: format!("Catalogs/{name}/Ext/ObjectModule.bsl"),
        text: MODULE.replace("Остатки", name),
    });
    Source {
        name: "проект".into(),
        files: files.collect(),
    }
}

fn run(config: &EvalConfig) -> Evaluation {
    let mut baseline = NgramBaseline::new();
    let contestants = Contestants {
        assistant: Some(&assistant(3, None)),
        baseline: Some(&mut baseline),
        metadata: None,
    };
    let mut last = None;
    let evaluation = evaluate(&source(), contestants, config, &mut |progress| {
        last = Some(progress)
    })
    .expect("an evaluation");
    let last = last.expect("progress");
    assert_eq!(
        (last.files, last.positions),
        (last.n_files, last.n_positions)
    );
    evaluation
}

fn config(protocol: Protocol) -> EvalConfig {
    EvalConfig {
        max_positions: None,
        rank_every: 10,
        ..EvalConfig::new(protocol)
    }
}

#[test]
fn every_level_and_the_baseline_answer_the_same_questions() {
    let evaluation = run(&config(Protocol::Project));
    assert_eq!(evaluation.results.len(), 3 * (5 + 1));
    let n_positions = evaluation.sources[0].scored_code_tokens;
    assert_eq!(n_positions, evaluation.sources[0].own_code_tokens);
    for row in &evaluation.results {
        assert_eq!(
            row.positions, n_positions,
            "{:?} {:?}",
            row.level, row.adaptation
        );
        assert!(row.low <= row.strict_top1 && row.strict_top1 <= row.high);
        assert!(row.strict_top1 <= row.folded_top1 && row.strict_top1 <= row.codexglue_top1);
        let by_slot: u64 = row.slots.iter().map(|slot| slot.positions).sum();
        assert_eq!(by_slot, n_positions);
        if row.level != Level::Ngram {
            assert!(row.token_top1.is_some());
            assert!(row.ranked_positions >= n_positions / 10);
        }
    }
}

#[test]
fn what_the_project_teaches_is_measured() {
    let evaluation = run(&config(Protocol::Project));
    for level in [Level::Cache, Level::One, Level::All, Level::Ngram] {
        let row = |adaptation| evaluation.row("проект", level, adaptation).expect("a row");
        let [none, file, dynamic] = Adaptation::ALL.map(row);
        let top1 = [none, file, dynamic].map(|row| row.strict_top1);
        assert!(
            top1[0] < top1[1] && top1[1] < top1[2] && top1[2] > 0.6,
            "{level:?}: {top1:?}"
        );
        assert!(
            dynamic.strict_top5.expect("ranked") >= top1[2] - 0.1,
            "{level:?}"
        );
        match (none.bits_per_char, dynamic.bits_per_char) {
            (Some(none), Some(dynamic)) => assert!(none > dynamic, "{level:?}"),
            bits => assert_eq!((level, bits), (Level::Ngram, (None, None))),
        }
    }
}

#[test]
fn the_other_protocols_run() {
    let maintenance = run(&config(Protocol::Maintenance));
    let row = |level| {
        maintenance
            .row("проект", level, Adaptation::Dynamic)
            .expect("a row")
            .strict_top1
    };
    assert!(row(Level::Cache) > 0.6 && row(Level::Ngram) > 0.6);
    let samples = run(&config(Protocol::Samples));
    assert!(
        samples
            .row("проект", Level::All, Adaptation::Dynamic)
            .is_none()
    );
    assert_eq!(samples.results[0].protocol, Protocol::Samples);
}

#[test]
fn a_subset_is_scored_and_the_same_twice() {
    let mut config = config(Protocol::Project);
    config.max_positions = Some(128);
    config.adaptations = vec![Adaptation::Dynamic];
    let evaluation = run(&config);
    assert_eq!(evaluation.sources[0].scored_code_tokens, 128);
    assert_eq!(evaluation, run(&config));
}

#[test]
fn a_source_without_own_code_is_named() {
    let mut source = source();
    let mut baseline = NgramBaseline::new();
    for file in &mut source.files {
        let spans = methods(&file.text).into_iter().map(|method| method.span);
        let only_methods: Vec<&str> = spans.map(|span| &file.text[span]).collect();
        assert!(only_methods.iter().all(|method| method_hash(method) != 0));
        file.text = only_methods.join("\n");
        baseline.learn_train(&[&file.text]);
    }
    let ask = |source: &Source, baseline: &mut NgramBaseline| {
        let contestants = Contestants {
            assistant: None,
            baseline: Some(baseline),
            metadata: None,
        };
        evaluate(
            source,
            contestants,
            &EvalConfig::new(Protocol::Project),
            &mut |_| {},
        )
    };
    let error = ask(&source, &mut baseline).expect_err("all of it is known");
    assert!(matches!(error, EvalError::NothingToScore { .. }));
    assert!(error.to_string().contains("проект"));
    source.files.clear();
    assert!(ask(&source, &mut baseline).is_err());
}
