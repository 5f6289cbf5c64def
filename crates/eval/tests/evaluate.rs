//! Whole evaluations of a random network: every protocol, every level, and what learning is worth.

#[path = "../../assist/tests/fixture/mod.rs"]
mod fixture;

use fixture::{MODULE, assistant};
use nestor_assist::{GateSet, MetadataFile, MetadataIndex};
use nestor_bsl::methods::{method_hash, methods};
use nestor_cache::{CANDIDATE_COMPONENTS, CANDIDATE_FEATURES, GATE_SETS, Gate};
use nestor_eval::{
    Adaptation, Contestants, EvalConfig, EvalError, Evaluation, Level, NgramBaseline, ProjectFile,
    Protocol, Source, SourceMetadata, evaluate,
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

/// What the XML of [`source`] says.
fn metadata() -> MetadataIndex {
    let object = |tag: &str, name: &str, children: &str| {
        format!(
            "<MetaDataObject xmlns=\"http://v8.1c.ru/8.3/MDClasses\" version=\"2.17\"><{tag}><Properties><Name>{name}</Name></Properties>\
             <ChildObjects>{children}</ChildObjects></{tag}></MetaDataObject>"
        )
    };
    let file = |path: &str, text: String| MetadataFile {
        path: path.to_owned(),
        bytes: text.into_bytes(),
    };
    let mut index = MetadataIndex::new();
    index.read(&[
        file("Configuration.xml", object("Configuration", "База", "")),
        file("Catalogs/Товары.xml", object("Catalog", "Товары", "")),
    ]);
    index
}

#[test]
fn metadata_changes_the_column_of_the_project_and_only_when_it_is_heard() {
    let gate = Gate::uniform(&CANDIDATE_COMPONENTS.map(str::to_owned), CANDIDATE_FEATURES);
    let gate = gate.expect("a handful of components");
    let mut gates = GateSet::default();
    for (name, _) in GATE_SETS {
        gates.gates.insert(name.to_owned(), gate.clone());
    }
    let mut assistant = assistant(3, None);
    let told = assistant.set_candidate_gates(Some(std::sync::Arc::new(gates)));
    told.expect("gates of candidates");
    let index = metadata();
    let run = |is_heard: Option<bool>| {
        let contestants = Contestants {
            assistant: Some(&assistant),
            baseline: None,
            metadata: is_heard.map(|is_heard| SourceMetadata {
                index: &index,
                is_heard,
            }),
        };
        let config = config(Protocol::Project);
        evaluate(&source(), contestants, &config, &mut |_| {}).expect("an evaluation")
    };
    let bits = |evaluation: &Evaluation, adaptation: Adaptation| {
        let row = evaluation.row("проект", Level::All, adaptation);
        row.expect("a row").bits_per_char.expect("measured")
    };
    let (none, off, on) = (run(None), run(Some(false)), run(Some(true)));
    for adaptation in Adaptation::ALL {
        // Places where names are decoded cut batches of matrix products, which rounds otherwise.
        assert!((bits(&none, adaptation) - bits(&off, adaptation)).abs() < 1e-5);
        let is_same = bits(&off, adaptation) == bits(&on, adaptation);
        assert_eq!(is_same, adaptation != Adaptation::Dynamic, "{adaptation:?}");
    }
    let known = |evaluation: &Evaluation| {
        let row = evaluation.row("проект", Level::All, Adaptation::Dynamic);
        let row = row.expect("a row");
        let slots = row.slots.iter().map(|slot| slot.known_positions);
        (slots.sum::<u64>(), row.decoded_names.is_some())
    };
    assert_eq!(known(&none), (0, false));
    assert_eq!(known(&off), known(&on));
    assert!(known(&on).0 > 10 && known(&on).1, "{:?}", known(&on));
}
