//! The mixture of exits and cache, and the optional files of a model folder.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

mod support;

use nestor_cache::{
    CandidateNames, CandidatePlace, CandidateTrie, CorpusBuildOptions, CorpusBuilder, CorpusNgram,
    Gate, GateSet, LongContextBuilder, NestedCache, component_names, feature_count,
};
use nestor_engine::{
    Component, GenerateRequest, LevelMemories, LevelMemoriesConfig, Mixture, Model, ModelFolder,
    Precision, Predictor, Profile, Session, Speed,
};
use safetensors::Dtype;
use std::sync::Arc;
use support::{random_tensors, random_tokens, small_config, to_safetensors, write_folder};

const VOCAB: usize = 97;

fn model() -> Arc<Model> {
    let config = small_config(3);
    support::model(&config, &random_tensors(&config, 1))
}

/// A cache whose file goes 10, 11, .. 19 again and again.
fn cache() -> NestedCache {
    let mut cache = NestedCache::new(VOCAB, None).unwrap();
    let text: Vec<u32> = (0..60).map(|i| 10 + i % 10).collect();
    cache.file_mut().extend(&text).unwrap();
    cache
}

fn uniform(levels: &[usize]) -> Gate {
    Gate::uniform(&component_names(levels), feature_count(levels.len())).unwrap()
}

fn gates() -> GateSet {
    let mut set = GateSet::default();
    for (name, levels) in [
        ("fast", &[1][..]),
        ("balanced", &[1, 2]),
        ("accurate", &[1, 2, 3]),
    ] {
        set.gates.insert(name.to_owned(), uniform(levels));
    }
    set
}

/// A gate with one field changed as it stands in `gate.json`.
fn changed(gate: &Gate, field: &str, change: impl Fn(&mut Vec<f64>)) -> Arc<Gate> {
    let mut value = serde_json::to_value(gate).unwrap();
    let mut numbers: Vec<f64> = serde_json::from_value(value[field].clone()).unwrap();
    change(&mut numbers);
    value[field] = serde_json::to_value(numbers).unwrap();
    Arc::new(serde_json::from_value(value).unwrap())
}

fn prefilled(mixture: Mixture) -> Predictor {
    let mut predictor = Predictor::with_mixture(model(), mixture).unwrap();
    predictor.set_cache(Some(cache())).unwrap();
    predictor.prefill(&[1, 40, 12, 13, 14]).unwrap();
    predictor
}

#[test]
fn a_mixture_with_the_cache_sums_to_one() {
    for (speed, exits) in [(Speed::Fast, 1), (Speed::Balanced, 2), (Speed::Accurate, 3)] {
        let mut predictor = Predictor::with_cache(model(), speed, cache(), Some(&gates())).unwrap();
        predictor
            .prefill(&random_tokens(&small_config(3), 20, 2))
            .unwrap();
        let mixed = predictor.distribution().unwrap();
        assert!((mixed.probs.iter().sum::<f32>() - 1.0).abs() < 1e-5);
        assert!((mixed.parts.iter().map(|part| part.weight).sum::<f32>() - 1.0).abs() < 1e-5);
        assert_eq!((mixed.exits.len(), mixed.parts.len()), (exits, exits + 3));
        assert_eq!(mixed.parts.last().unwrap().component, Component::File);
        for token in [0, 50, 96] {
            let mean: f32 = mixed.parts.iter().map(|part| part.probs[token]).sum();
            let mean = mean / mixed.parts.len() as f32;
            assert!((mixed.probs[token] - mean).abs() < 1e-6);
            let shares = mixed.contributions(token as u32);
            assert!((shares.iter().map(|c| c.share).sum::<f32>() - 1.0).abs() < 1e-4);
        }
    }
}

#[test]
fn without_a_gate_the_deepest_exit_and_the_file_share() {
    let mut predictor = prefilled(Mixture::new(&[1, 2], None).unwrap());
    let weights: Vec<f32> = predictor
        .distribution()
        .unwrap()
        .parts
        .iter()
        .map(|part| part.weight)
        .collect();
    assert_eq!(weights, [0.0, 0.5, 0.0, 0.0, 0.5]);
}

#[test]
fn the_cache_alone_continues_what_it_was_taught() {
    let predictor = prefilled(Mixture::new(&[], None).unwrap());
    let generated = predictor.generate(&GenerateRequest::default()).unwrap();
    let expected: Vec<u32> = (15..).take(5).chain((0..11).map(|i| 10 + i % 10)).collect();
    assert_eq!(generated.tokens(), expected);
    assert!(generated.steps[0].confidence > 0.5);
    assert_eq!(
        generated.steps[0].contributions[2].component,
        Component::File
    );
}

#[test]
fn a_fork_shares_the_cache_until_one_side_teaches_it() {
    let mut predictor = prefilled(Mixture::new(&[], None).unwrap());
    let mut fork = predictor.clone();
    let before = predictor.distribution().unwrap().clone();
    fork.cache_mut()
        .unwrap()
        .file_mut()
        .extend(&[12, 13, 14, 77].repeat(10))
        .unwrap();
    assert_eq!(fork.distribution().unwrap().top().0, 77);
    assert_eq!(predictor.distribution().unwrap(), &before);
    // What was predicted before the lesson is not kept.
    predictor
        .cache_mut()
        .unwrap()
        .file_mut()
        .extend(&[12, 13, 14, 77].repeat(10))
        .unwrap();
    assert_eq!(predictor.distribution().unwrap().top().0, 77);
}

/// A file in which the same continuations come often and are broken now and then.
fn broken_cycles(seed: u64) -> Vec<u32> {
    let noise = random_tokens(&small_config(1), 400, seed);
    let cycle = (0..400u32).map(|i| 10 + i % 12);
    let broken = |(at, token): (usize, u32)| if noise[at] < 8 { noise[at] } else { token };
    cycle.enumerate().map(broken).collect()
}

/// Memories of levels 2 and 3 that say something.
fn taught(model: &Arc<Model>) -> Arc<LevelMemories> {
    let config = LevelMemoriesConfig {
        period: 64,
        ..LevelMemoriesConfig::default()
    };
    let mut memories = LevelMemories::new(config, model).unwrap();
    let text: Vec<u32> = (0..257).map(|i| i * i % VOCAB as u32).collect();
    let mut session = Session::new(model.clone(), 3).unwrap();
    let states = session.forward(&text[..256]).unwrap();
    let width = model.config().width;
    for chunk in 0..4 {
        let rows: Vec<&[f32]> = (0..3)
            .map(|exit| &states.rows(exit)[chunk * 64 * width..][..64 * width])
            .collect();
        let targets = &text[chunk * 64 + 1..][..64];
        memories.learn(model, &rows, targets, 1).unwrap();
    }
    Arc::new(memories)
}

#[test]
fn memories_are_believed_alike_whatever_the_calls_and_the_questions_between() {
    let model = Model::random_as(&small_config(3), 9, Precision::Int8).unwrap();
    let memories = taught(&model);
    let text: Vec<u32> = (0..150).map(|i| (7 * i + i / 9) % VOCAB as u32).collect();
    for speed in [Speed::Fast, Speed::Balanced, Speed::Accurate] {
        let start = || {
            let mut predictor = Predictor::new(model.clone(), speed).unwrap();
            predictor.keep_recent(true);
            predictor
        };
        for end in [1, 3, 40, 64, 65, 66, 150] {
            let mut whole = start();
            whole.read(&text[..end]).unwrap();
            whole.set_memories(Some(memories.clone()));
            whole.watch_recent().unwrap();
            let mut pieces = start();
            for piece in text[..end].chunks(13) {
                pieces.read(piece).unwrap();
                pieces.set_memories(Some(memories.clone()));
                pieces.watch_recent().unwrap();
                pieces.set_memories(None);
            }
            pieces.set_memories(Some(memories.clone()));
            pieces.watch_recent().unwrap();
            assert_eq!(
                pieces.distribution().unwrap(),
                whole.distribution().unwrap(),
                "{speed:?} after {end}"
            );
            // Other memories are asked again.
            let other = Arc::new(taught(&model).without_episodic());
            pieces.set_memories(Some(other.clone()));
            pieces.watch_recent().unwrap();
            whole.set_memories(Some(other));
            whole.watch_recent().unwrap();
            assert_eq!(
                pieces.distribution().unwrap(),
                whole.distribution().unwrap()
            );
        }
    }
}

/// Names are guessed where the counts know nothing, right or wrong, and change no bit either.
#[test]
fn names_that_are_guessed_change_no_bit_of_what_is_generated() {
    let model = Model::random_as(&small_config(3), 4, Precision::Int8).unwrap();
    let cache = NestedCache::new(VOCAB, None).unwrap();
    let gates = gates();
    let mut predictor = Predictor::with_cache(model, Speed::Accurate, cache, Some(&gates)).unwrap();
    predictor.prefill(&[5, 6, 7]).unwrap();
    let plain = GenerateRequest {
        max_tokens: 12,
        ..GenerateRequest::default()
    };
    let expected = predictor.generate(&plain).unwrap();
    let tokens = expected.tokens();
    let wrong = [&tokens[..6], &[(tokens[6] + 1) % VOCAB as u32; 4]].concat();
    for (name, right) in [(&tokens, 9), (&wrong, 5)] {
        let trie = CandidateTrie::new([(name.as_slice(), 1.0)]);
        let names = Arc::new(CandidateNames::new(trie, [0.0; VOCAB].into(), 0, true));
        let find = |read: &[u32]| CandidatePlace::new(&names, read);
        let request = GenerateRequest {
            guesses: 4,
            names: Some(&find),
            ..plain
        };
        let mut profile = Profile::default();
        let found = predictor.generate_timed(&request, &mut profile).unwrap();
        assert_eq!(found, expected);
        assert!(profile.right + 2 >= right, "{profile:?}");
        assert!(profile.passes < 11, "{profile:?}");
    }
}

#[test]
fn guessing_ahead_changes_no_bit_of_what_is_generated() {
    let (mut profile, mut plain_profile) = (Profile::default(), Profile::default());
    for (seed, precision) in [
        (1, Precision::F32),
        (2, Precision::Int8),
        (3, Precision::Int8),
    ] {
        let model = Model::random_as(&small_config(3), seed, precision).unwrap();
        for speed in [Speed::Fast, Speed::Balanced, Speed::Accurate] {
            let mut cache = NestedCache::new(VOCAB, None).unwrap();
            let text = broken_cycles(seed);
            cache.file_mut().extend(&text).unwrap();
            let gates = gates();
            let mut predictor =
                Predictor::with_cache(model.clone(), speed, cache, Some(&gates)).unwrap();
            for start in [0, 100, 203] {
                // The last time with what a project has taught.
                predictor.set_memories((start == 203).then(|| taught(&model)));
                predictor.prefill(&text[start..start + 25]).unwrap();
                let plain = GenerateRequest {
                    max_tokens: 40,
                    banned: &[13],
                    ..GenerateRequest::default()
                };
                let expected = predictor
                    .generate_timed(&plain, &mut plain_profile)
                    .unwrap();
                for guesses in [1, 4, 20] {
                    let request = GenerateRequest { guesses, ..plain };
                    let found = predictor.generate_timed(&request, &mut profile).unwrap();
                    assert_eq!(found, expected);
                }
                // After guesses the document goes on as if there had been none.
                let mut guessing = predictor.clone();
                for token in expected.tokens() {
                    guessing.accept_guessing(token, 3).unwrap();
                }
                guessing.accept_guessing(96, 3).unwrap();
                guessing.prefill(&[11, 12]).unwrap();
                let mut going_on = predictor.clone();
                for token in expected.tokens() {
                    going_on.accept(token).unwrap();
                }
                going_on.accept(96).unwrap();
                going_on.prefill(&[11, 12]).unwrap();
                assert_eq!(
                    guessing.distribution().unwrap(),
                    going_on.distribution().unwrap()
                );
                let values = going_on.session().state_values();
                assert!(guessing.session().state_values().eq(values));
                predictor.prefill(&[0]).unwrap();
            }
        }
    }
    // Some guesses were right, some wrong.
    assert!(
        profile.right > 100 && profile.guessed > profile.right + 100,
        "{profile:?}"
    );
    assert_eq!(plain_profile.guessed, 0);
}

#[test]
fn the_class_of_the_last_token_reaches_the_gate() {
    let features = feature_count(1);
    // Class 3, of the last 16 features, speaks for the exit.
    let gate = changed(&uniform(&[1]), "direct", |direct| {
        direct[features - 13] = 4.0
    });
    let mut classes = vec![0u8; VOCAB];
    let mixture = || Mixture::new(&[1], Some(gate.clone())).unwrap();
    let weight = |mixture: Mixture| prefilled(mixture).distribution().unwrap().parts[0].weight;
    assert!((weight(mixture()) - 0.25).abs() < 1e-5);
    assert!((weight(mixture().with_slots(classes.clone().into())) - 0.25).abs() < 1e-5);
    classes[14] = 3;
    assert!(weight(mixture().with_slots(classes.into())) > 0.9);
}

#[test]
fn a_gate_s_temperature_flattens_its_exit() {
    let plain = prefilled(Mixture::new(&[1], Some(Arc::new(uniform(&[1])))).unwrap())
        .distribution()
        .unwrap()
        .clone();
    let gate = changed(&uniform(&[1]), "temperatures", |t| t[0] = 2.0);
    let mut predictor = prefilled(Mixture::new(&[1], Some(gate)).unwrap());
    let flat = predictor.distribution().unwrap();
    let roots: Vec<f32> = plain.parts[0].probs.iter().map(|p| p.sqrt()).collect();
    let total: f32 = roots.iter().sum();
    for (flat, root) in flat.parts[0].probs.iter().zip(&roots) {
        assert!((flat - root / total).abs() < 1e-5);
    }
    assert!((flat.probs.iter().sum::<f32>() - 1.0).abs() < 1e-5);
}

#[test]
fn parts_that_do_not_fit_are_refused() {
    let error = Mixture::new(&[1, 2], Some(Arc::new(uniform(&[1]))))
        .unwrap_err()
        .to_string();
    assert!(error.contains("exit2"), "{error}");
    for levels in [&[0, 1][..], &[2, 2], &[2, 1]] {
        assert!(
            Mixture::new(levels, None)
                .unwrap_err()
                .to_string()
                .contains("rise")
        );
    }
    let mut set = gates();
    set.gates.remove("fast");
    let error = Mixture::for_speed(Speed::Fast, 3, Some(&set))
        .unwrap_err()
        .to_string();
    assert!(error.contains("fast"), "{error}");
    let deep = Mixture::new(&[4], None).unwrap();
    assert!(
        Predictor::with_mixture(model(), deep)
            .unwrap_err()
            .to_string()
            .contains("4 stages")
    );
    let foreign = NestedCache::new(50, None).unwrap();
    let error = Predictor::with_cache(model(), Speed::Fast, foreign, None)
        .unwrap_err()
        .to_string();
    assert!(error.contains("50") && error.contains("97"), "{error}");
}

#[test]
fn a_shallow_model_answers_at_every_speed() {
    let config = small_config(1);
    let model = support::model(&config, &random_tensors(&config, 1));
    for speed in [Speed::Fast, Speed::Balanced, Speed::Accurate] {
        let mut predictor = Predictor::with_cache(model.clone(), speed, cache(), None).unwrap();
        predictor.accept(5).unwrap();
        assert_eq!(predictor.distribution().unwrap().exits.len(), 1);
    }
}

#[test]
fn the_optional_files_of_a_folder_are_read_or_refused_by_name() {
    let config = small_config(3);
    let weights = to_safetensors(&random_tensors(&config, 1), Dtype::F16);
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    write_folder(dir.path(), &config, &weights);
    let bare = ModelFolder::open(dir.path()).unwrap();
    assert!(bare.gates.is_none() && bare.corpus.is_none() && !bare.has_method(7));

    let corpus = |vocab| {
        let mut builder = CorpusBuilder::new(vocab, CorpusBuildOptions::default()).unwrap();
        builder
            .add(&(0..200).map(|i| i % 40).collect::<Vec<u32>>())
            .unwrap();
        builder.build().unwrap()
    };
    gates().save(&at("gate.json")).unwrap();
    corpus(VOCAB).save(&at("ngram.bin")).unwrap();
    let long = |vocab, counts: &CorpusNgram| {
        let mut builder = LongContextBuilder::new(vocab).unwrap();
        let text: Vec<u32> = (0..300).map(|i| i * i / 3 % 40).collect();
        builder.add(&text, &vec![1; text.len()]).unwrap();
        builder.build(counts, 1 << 20).unwrap()
    };
    long(VOCAB, &corpus(VOCAB))
        .save(&at("contexts.bin"))
        .unwrap();
    let hashes: Vec<u8> = [3u64, 7, 1 << 40]
        .iter()
        .flat_map(|h| h.to_le_bytes())
        .collect();
    std::fs::write(at("methods.bin"), &hashes).unwrap();
    let folder = ModelFolder::open(dir.path()).unwrap();
    assert!(folder.corpus.as_ref().unwrap().long_contexts().is_some());
    assert!(folder.has_method(7) && folder.has_method(1 << 40) && !folder.has_method(8));
    let (cache, gates) = (folder.new_cache().unwrap(), folder.gates.clone().unwrap());
    let mut predictor =
        Predictor::with_cache(folder.model.clone(), Speed::Accurate, cache, Some(&gates)).unwrap();
    predictor.prefill(&[20, 21, 22]).unwrap();
    let mixed = predictor.distribution().unwrap();
    assert_eq!(nestor_kernels::argmax(&mixed.parts[3].probs), 23);

    let refused = |name: &str, bytes: &[u8]| {
        let good = std::fs::read(at(name)).unwrap();
        std::fs::write(at(name), bytes).unwrap();
        let error = ModelFolder::open(dir.path()).unwrap_err().to_string();
        assert!(error.contains(name), "{error:?} does not name {name}");
        std::fs::write(at(name), good).unwrap();
    };
    refused("gate.json", b"{}");
    refused("ngram.bin", b"NOT AN NGRAM");
    refused("methods.bin", &hashes[..15]);
    refused(
        "methods.bin",
        &[7, 0, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0],
    );
    corpus(50).save(&at("other.bin")).unwrap();
    refused("ngram.bin", &std::fs::read(at("other.bin")).unwrap());
    refused("contexts.bin", b"NOT CONTEXTS");
    long(50, &corpus(50)).save(&at("other.bin")).unwrap();
    refused("contexts.bin", &std::fs::read(at("other.bin")).unwrap());
}
