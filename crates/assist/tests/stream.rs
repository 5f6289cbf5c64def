//! The scorer: equal to completion's predictor, causal, the same in one walk or in parts; gates fitted on it.

mod fixture;

use fixture::{MODULE, TOKENIZER, assistant, file};
use nestor_assist::gates::{CorpusProject, GateFitOptions, fit_gates};
use nestor_assist::mixture::{LevelRow, Mixer};
use nestor_assist::stream::{FileStream, View};
use nestor_assist::{Assistant, LevelMemories, LevelMemoriesConfig, Speed};
use nestor_cache::{FitOptions, GATE_SETS, GateSet, MEMORY_GATE_SETS};
use nestor_engine::{Mixture, Predictor};

const PATH: &str = "src/Catalogs/Товары/ObjectModule.bsl";

fn stream(text: &str) -> FileStream {
    FileStream::new(&TOKENIZER, PATH, text.to_owned())
}

/// The mixtures at the wanted places, `[places][views][rows]`.
fn mixtures(
    assistant: &Assistant,
    file: &FileStream,
    views: &mut [View],
    wanted: &[usize],
) -> Vec<Vec<Vec<Vec<f32>>>> {
    let rows = assistant.rows().expect("rows");
    let walked = assistant.stream().walk(
        file,
        views,
        wanted,
        &[],
        |moment| {
            let mut mixer = Mixer::default();
            rows.iter()
                .map(|row| {
                    let mut out = vec![0.0; TOKENIZER.vocab_size()];
                    mixer.mix(row, &moment.scene(), &mut out)?;
                    Ok(out)
                })
                .collect()
        },
        |_, _| Ok(()),
    );
    walked.expect("a walk").answers
}

fn fitted(stages: usize) -> GateSet {
    let project = CorpusProject {
        name: "проект".into(),
        files: (0..3).map(|i| file(&format!("{i}.bsl"), MODULE)).collect(),
    };
    let options = GateFitOptions {
        max_places: 500,
        fit: FitOptions {
            hidden: 4,
            epochs: 2,
            ..FitOptions::default()
        },
        ..GateFitOptions::default()
    };
    let (gates, reports) = fit_gates(&assistant(stages, None), &[project], &options, &mut |_| {})
        .expect("enough code");
    for report in reports {
        assert!(report.loss.loss < report.loss.loss_uniform, "{report:?}");
        assert!(report.n_examples > 100);
    }
    gates
}

#[test]
fn the_scorer_says_what_completion_would_say() {
    for gates in [None, Some(fitted(3))] {
        let mut assistant = assistant(3, gates);
        assistant
            .learn_files([file("другой.bsl", MODULE)], &mut |_| {})
            .expect("text");
        let file = stream(MODULE);
        let cache = assistant.memory().cache_for(PATH).expect("a cache");
        let wanted: Vec<usize> = (0..=file.pieces().len()).step_by(7).collect();
        let mut views = [View::new(cache.clone(), true)];
        let found = mixtures(&assistant, &file, &mut views, &wanted);
        let all = assistant.rows().expect("rows").len() - 1;
        for (place, found) in wanted.iter().zip(&found) {
            let n_opening = file.tokens().len() - file.pieces().len() - 1;
            let context = &file.tokens()[..n_opening + place];
            let mixture = Mixture::for_speed(Speed::Accurate, 3, assistant.gates().map(|g| &**g))
                .expect("fitted for this model")
                .with_slots(nestor_assist::mixture::SlotTable::new(&TOKENIZER).classes());
            let mut predictor =
                Predictor::with_mixture(assistant.model().clone(), mixture).expect("three stages");
            let mut cache = cache.clone();
            cache.file_mut().extend(context).expect("known pieces");
            predictor.set_cache(Some(cache)).expect("same vocabulary");
            predictor.prefill(context).expect("known pieces");
            let expected = predictor.distribution().expect("a distribution");
            // The batch runs matrix products in another order than one token does.
            for (a, b) in expected.probs.iter().zip(&found[0][all]) {
                assert!((a - b).abs() < 1e-4, "place {place}: {a} {b}");
            }
        }
    }
}

#[test]
fn every_mixture_is_a_distribution() {
    let assistant = assistant(3, Some(fitted(3)));
    let file = stream(MODULE);
    let memory = assistant.memory();
    let mut views = [
        View::new(memory.without_project().expect("a cache"), false),
        View::new(memory.cache_for(PATH).expect("a cache"), true),
    ];
    let wanted: Vec<usize> = (0..file.pieces().len()).step_by(11).collect();
    for probs in mixtures(&assistant, &file, &mut views, &wanted)
        .iter()
        .flatten()
        .flatten()
    {
        let sum: f32 = probs.iter().sum();
        assert!((sum - 1.0).abs() < 1e-4, "{sum}");
    }
}

/// Two files that begin alike, and how many pieces they share.
fn parting() -> (FileStream, FileStream, usize) {
    let cut = MODULE.find("\tВыборка =").expect("part of the module");
    let other = format!("{}\tДругое = 1; // совсем\n", &MODULE[..cut]);
    let (one, two) = (stream(MODULE), stream(&other));
    let n_common = one
        .pieces()
        .iter()
        .zip(two.pieces())
        .take_while(|(a, b)| a == b)
        .count();
    (one, two, n_common)
}

#[test]
fn nothing_after_a_place_changes_what_is_said_there() {
    let assistant = assistant(2, None);
    let (one, two, n_common) = parting();
    let wanted: Vec<usize> = (0..=n_common).collect();
    let ask = |file: &FileStream| {
        let mut views = [View::new(
            assistant.memory().cache_for(PATH).expect("a cache"),
            true,
        )];
        mixtures(&assistant, file, &mut views, &wanted)
    };
    assert!(n_common > 50);
    assert_eq!(ask(&one), ask(&two));
}

#[test]
fn a_walk_in_parts_says_the_same() {
    let assistant = assistant(3, None);
    let file = stream(MODULE);
    let new_views = || {
        [View::new(
            assistant.memory().cache_for(PATH).expect("a cache"),
            true,
        )]
    };
    let all: Vec<usize> = (0..file.pieces().len()).collect();
    let whole = mixtures(&assistant, &file, &mut new_views(), &all);
    let mut views = new_views();
    let (first, second) = all.split_at(all.len() / 3);
    let mut parts = mixtures(&assistant, &file, &mut views, first);
    parts.extend(mixtures(&assistant, &file, &mut views, second));
    for (a, b) in whole
        .iter()
        .flatten()
        .flatten()
        .flatten()
        .zip(parts.iter().flatten().flatten().flatten())
    {
        assert!((a - b).abs() < 1e-4, "{a} {b}");
    }
}

#[test]
fn looking_ahead_along_the_text_is_walking_it() {
    let assistant = assistant(2, None);
    let file = stream(MODULE);
    let rows = assistant.rows().expect("rows");
    let mut views = [View::new(
        assistant.memory().without_project().expect("a cache"),
        false,
    )];
    let place = file.pieces().len() / 2;
    let wanted: Vec<usize> = (place..place + 4).collect();
    let expected = mixtures(&assistant, &file, &mut views, &wanted);
    let pieces: Vec<u32> = file.pieces()[place..place + 3]
        .iter()
        .map(|piece| piece.0)
        .collect();
    let walked = assistant.stream().walk(
        &file,
        &mut views,
        &wanted,
        &[place],
        |_| Ok(()),
        |at, lookahead| {
            assert_eq!(at, place);
            for n in 0..=pieces.len() {
                for (row_idx, row) in rows.iter().enumerate() {
                    let found = lookahead.mixture(&pieces[..n], 0, &rows, row_idx)?;
                    for (a, b) in found.iter().zip(&expected[n][0][row_idx]) {
                        assert!((a - b).abs() < 1e-4, "{n} {:?}", row.row);
                    }
                }
            }
            Ok(())
        },
    );
    assert_eq!(walked.expect("a walk").ranks.len(), 1);
}

#[test]
fn gates_are_fitted_for_every_speed_of_any_depth() {
    for stages in 1..=3 {
        let gates = fitted(stages);
        assert_eq!(
            gates,
            fitted(stages),
            "the same examples give the same gates"
        );
        for (name, exits) in GATE_SETS {
            let needed = exits.len() != 1 || exits[0] <= stages;
            assert_eq!(
                gates.gate(name).is_ok(),
                needed,
                "{name} with {stages} stages"
            );
        }
        for (name, exits) in MEMORY_GATE_SETS {
            let needed = stages > 1 && (exits.len() != 1 || exits[0] <= stages);
            assert_eq!(
                gates.gate(name).is_ok(),
                needed,
                "{name} with {stages} stages"
            );
        }
        let rows = assistant(stages, Some(gates))
            .rows()
            .expect("gates for all rows");
        assert_eq!(rows.len(), stages + 2);
        assert_eq!(rows[0].row, LevelRow::Cache);
    }
}

#[test]
fn a_learned_file_does_not_see_itself() {
    let mut assistant = assistant(1, None);
    let own = file(PATH, MODULE);
    let lines = (0..300).map(|i| format!("Показатель{i} = Источник.Поле(\"{i}\", Value > {i});\n"));
    let other = file(
        "src/Catalogs/Товары/ManagerModule.bsl",
        &lines.collect::<String>(),
    );
    assistant
        .learn_files([other.clone(), own], &mut |_| {})
        .expect("text");
    let mut without = fixture::assistant(1, None);
    without.learn_files([other], &mut |_| {}).expect("text");
    let file = stream(MODULE);
    let wanted: Vec<usize> = (0..file.pieces().len()).step_by(5).collect();
    let ask = |assistant: &Assistant| {
        let mut views = [View::new(
            assistant.memory().cache_for(PATH).expect("a cache"),
            true,
        )];
        mixtures(assistant, &file, &mut views, &wanted)
    };
    // Had the file seen itself, it would be sure of what comes next.
    let truth = |place: usize| file.truth(place).expect("a piece") as usize;
    let p = |answers: &[Vec<Vec<Vec<f32>>>]| -> f32 {
        let of_place =
            |(answer, place): (&Vec<Vec<Vec<f32>>>, &usize)| answer[0][0][truth(*place)].ln();
        answers.iter().zip(&wanted).map(of_place).sum()
    };
    let (hidden, absent) = (p(&ask(&assistant)), p(&ask(&without)));
    let mut copied = assistant.clone();
    copied
        .learn_files([fixture::file("копия.bsl", MODULE)], &mut |_| {})
        .expect("text");
    let seen = p(&ask(&copied));
    assert!(seen > absent + 1.5 * wanted.len() as f32, "{seen} {absent}");
    // Not equal to the bit: the hidden file still counts among the different single pieces that smoothing looks at.
    assert!(
        (hidden - absent).abs() < 0.1 * (seen - absent),
        "{hidden} {absent} {seen}"
    );
}

/// A view of an empty project whose memories are at work.
fn remembering(assistant: &Assistant) -> View {
    let cache = assistant.memory().cache_for(PATH).expect("a cache");
    let levels = assistant
        .empty_levels(LevelMemoriesConfig::default())
        .expect("usual settings");
    View::new(cache, true).with_memories(levels)
}

#[test]
fn memories_learn_from_what_was_scored_and_see_no_future() {
    let assistant = assistant(3, Some(fitted(3)));
    let (one, two, n_common) = parting();
    let wanted: Vec<usize> = (0..=n_common).collect();
    let ask =
        |file: &FileStream| mixtures(&assistant, file, &mut [remembering(&assistant)], &wanted);
    let found = ask(&one);
    assert_eq!(found, ask(&two));
    for probs in found.iter().flatten().flatten() {
        assert!((probs.iter().sum::<f32>() - 1.0).abs() < 1e-4);
    }
    let cache = assistant.memory().cache_for(PATH).expect("a cache");
    let without = mixtures(&assistant, &one, &mut [View::new(cache, true)], &wanted);
    let all = found[0][0].len() - 1;
    assert!(n_common > LevelMemories::CHUNK);
    assert_ne!(found[n_common][0][all], without[n_common][0][all]);
}

#[test]
fn a_file_teaches_the_same_whether_it_was_scored_or_not() {
    let assistant = assistant(3, None);
    let file = stream(MODULE);
    let finish = |wanted: &[usize]| {
        let mut views = [remembering(&assistant)];
        mixtures(&assistant, &file, &mut views, wanted);
        let [view] = views;
        let levels = assistant.stream().finish(&file, view).expect("a network");
        levels.expect("memories were given")
    };
    let all: Vec<usize> = (0..file.pieces().len()).collect();
    let (scored, read) = (finish(&all), finish(&[]));
    assert_eq!(scored.tokens(), file.pieces().len() as u64);
    let rows = vec![0.3; assistant.model().config().width];
    for exit in 0..3 {
        let probs = |levels: &LevelMemories| {
            levels
                .exit_probs(assistant.model(), exit, &rows, 1)
                .expect("a row")
        };
        assert_eq!(probs(&scored), probs(&read), "exit {exit}");
    }
}

#[test]
fn a_file_that_teaches_at_its_end_changes_no_answer_before_and_teaches_the_same() {
    let assistant = assistant(3, Some(fitted(3)));
    let file = stream(MODULE);
    let all: Vec<usize> = (0..=file.pieces().len()).collect();
    let mut at_rest = [remembering(&assistant).taught_at_the_end(assistant.model().config().width)];
    let found = mixtures(&assistant, &file, &mut at_rest, &all);
    // The states of the file are recalled, its lessons are not heard.
    let cache = assistant.memory().cache_for(PATH).expect("a cache");
    let last = all[all.len() - 1];
    let without = mixtures(&assistant, &file, &mut [View::new(cache, true)], &[last]);
    let taught = mixtures(&assistant, &file, &mut [remembering(&assistant)], &all);
    let row = taught[0][0].len() - 1;
    assert_ne!(found[last][0][row], taught[last][0][row]);
    assert_ne!(found[last][0][row], without[0][0][row]);

    let tokens = |view: View| {
        let levels = assistant.stream().finish(&file, view).expect("a network");
        levels.expect("memories were given").tokens()
    };
    let [at_rest] = at_rest;
    assert_eq!(tokens(at_rest), tokens(remembering(&assistant)));
}
