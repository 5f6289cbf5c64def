//! The gate: it finds what is right when, and survives its file.

use nestor_cache::gate_fit::{TEMPERATURES, best_temperature};
use nestor_cache::{
    ExitDistribution, FitOptions, GATE_SETS, Gate, GateExample, GateSet, NestPrediction,
    NestedCache, component_names, feature_count, gate_features, mix, summarise,
};

/// Component 0 is right when feature 0 is large; component 1 when features 1 and 2 differ in sign.
fn examples(count: usize) -> Vec<GateExample> {
    let mut state = 1u32;
    let mut random = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as f32 / (1 << 24) as f32 * 2.0 - 1.0
    };
    (0..count)
        .map(|_| {
            let features = vec![random() * 10.0 + 100.0, random(), random(), 1.0];
            let first = features[0] > 105.0;
            let second = (features[1] > 0.0) != (features[2] > 0.0);
            let p = |right| if right { 0.9 } else { 0.05 };
            GateExample {
                likely: None,
                probabilities: vec![p(first), p(second && !first), p(!first && !second)],
                features,
            }
        })
        .collect()
}

fn names(count: usize) -> Vec<String> {
    (0..count).map(|i| format!("c{i}")).collect()
}

#[test]
fn fitting_finds_who_is_right_when() {
    let examples = examples(4000);
    let (train, test) = examples.split_at(3000);
    let options = FitOptions {
        epochs: 60,
        learning_rate: 1e-2,
        batch: 64,
        ..FitOptions::default()
    };
    let (gate, _) = Gate::fit(&names(3), train, &options).unwrap();
    let report = gate.assess(test).unwrap();
    assert!(report.loss < report.loss_best + 0.1, "{report:?}");
    let linear = FitOptions {
        hidden: 0,
        ..options
    };
    let (linear, _) = Gate::fit(&names(3), train, &linear).unwrap();
    let linear = linear.assess(test).unwrap();
    assert!(
        report.loss < linear.loss && linear.loss < linear.loss_uniform,
        "{linear:?}"
    );
}

#[test]
fn the_same_seed_gives_the_same_gate() {
    let fit = |seed| {
        Gate::fit(
            &names(3),
            &examples(500),
            &FitOptions {
                seed,
                ..FitOptions::default()
            },
        )
        .unwrap()
        .0
    };
    assert_eq!(fit(5), fit(5));
    assert_ne!(fit(5), fit(6));
}

#[test]
fn weights_are_positive_and_sum_to_one_even_far_outside() {
    let (gate, _) = Gate::fit(&names(3), &examples(500), &FitOptions::default()).unwrap();
    for scale in [0.0, 1.0, -1e6, 1e30] {
        let mut weights = [0.0; 3];
        gate.weights(&[scale, scale, -scale, scale], &mut weights)
            .unwrap();
        assert!((weights.iter().sum::<f32>() - 1.0).abs() < 1e-6);
        assert!(weights.iter().all(|&w| w > 0.0));
    }
    assert!(gate.weights(&[0.0; 3], &mut [0.0; 3]).is_err());
    assert!(gate.weights(&[0.0; 4], &mut [0.0; 2]).is_err());
}

#[test]
fn a_loaded_set_is_the_set_and_a_broken_one_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("gate.json");
    let mut set = GateSet::default();
    for (name, exits) in GATE_SETS {
        let components = component_names(exits);
        let rows: Vec<_> = examples(50)
            .into_iter()
            .map(|mut example| {
                example.probabilities.resize(components.len(), 0.1);
                example
            })
            .collect();
        let (gate, _) = Gate::fit(&components, &rows, &FitOptions::default()).unwrap();
        set.gates.insert(name.to_owned(), gate);
    }
    set.save(&path).unwrap();
    assert_eq!(GateSet::load(&path).unwrap(), set);
    assert_eq!(
        set.gate("balanced").unwrap().components,
        ["exit1", "exit2", "corpus", "project", "file"]
    );
    assert!(
        set.gate("level9")
            .unwrap_err()
            .to_string()
            .contains("level9")
    );

    let text = std::fs::read_to_string(&path).unwrap();
    for (damaged, expected) in [
        (
            text.replacen("\"format_version\":1", "\"format_version\":2", 1),
            "version 2",
        ),
        (
            text.replacen("\"means\":[", "\"means\":[0.5,", 1),
            "scales has 4",
        ),
        (text.replacen("\"scales\"", "\"scale\"", 1), "scale"),
        (text[..text.len() / 2].to_owned(), "EOF"),
    ] {
        std::fs::write(&path, damaged).unwrap();
        let error = GateSet::load(&path).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
}

#[test]
fn impossible_examples_are_refused() {
    let fit = |examples: &[GateExample]| {
        Gate::fit(&names(3), examples, &FitOptions::default())
            .unwrap_err()
            .to_string()
    };
    assert!(fit(&[]).contains("no examples"));
    let mut rows = examples(3);
    rows[1].features[0] = f32::NAN;
    assert!(fit(&rows).contains("example 1"));
    let mut rows = examples(3);
    rows[2].probabilities[0] = 1.5;
    assert!(fit(&rows).contains("example 2"));
    let mut rows = examples(3);
    rows[2].features.pop();
    assert!(fit(&rows).contains("example 2"));
}

#[test]
fn features_have_their_announced_number_and_are_finite() {
    let cache = NestedCache::new(300, None).unwrap();
    let mut prediction = NestPrediction::new(300);
    cache.predict(&[1, 2], &mut prediction);
    let certain: Vec<f32> = (0..300).map(|i| if i == 9 { 1.0 } else { 0.0 }).collect();
    let exit = ExitDistribution {
        probabilities: &certain,
        summary: summarise(&certain),
    };
    let mut features = Vec::new();
    for exits in 0..=3 {
        gate_features(&prediction, &vec![exit; exits], 200, &mut features);
        assert_eq!(features.len(), feature_count(exits));
        assert!(features.iter().all(|f| f.is_finite()));
    }
}

#[test]
fn mixing_with_a_gate_gives_a_distribution() {
    let gate = Gate::uniform(&component_names(&[1]), 4).unwrap();
    let mut weights = [0.0; 4];
    gate.weights(&[1.0; 4], &mut weights).unwrap();
    let components = [[0.5f32, 0.5], [1.0, 0.0], [0.0, 1.0], [0.25, 0.75]];
    let mut mixed = [0.0; 2];
    mix(
        &components.each_ref().map(|c| c.as_slice()),
        &weights,
        &mut mixed,
    );
    assert_eq!(mixed, [0.4375, 0.5625]);
}

#[test]
fn the_best_temperature_lies_where_the_loss_is_least() {
    let losses = TEMPERATURES.map(|t| (f64::from(t) - 1.06).powi(2));
    assert!((best_temperature(&losses) - 1.06).abs() < 0.01);
    assert_eq!(
        best_temperature(&TEMPERATURES.map(f64::from)),
        TEMPERATURES[0]
    );
    assert_eq!(best_temperature(&[1.0; 7]), TEMPERATURES[0]);
}
