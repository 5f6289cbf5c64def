//! The network in the engine against its definition, and its forms against each other.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

mod support;

use nestor_engine::{Model, NetworkConfig, Precision, Session};
use proptest::prelude::*;
use std::sync::Arc;
use support::{model, random_tensors, random_tokens, reference, relative_error, small_config};

/// Logits of every exit, `[exit][tokens * vocab]`, with the tokens sent in pieces.
fn logits(session: &mut Session, tokens: &[u32], pieces: &[usize]) -> Vec<Vec<f32>> {
    assert_eq!(pieces.iter().sum::<usize>(), tokens.len());
    let vocab = session.model().config().vocab;
    let mut all = vec![Vec::new(); session.stages()];
    let mut at = 0;
    for piece in pieces {
        let states = session.forward(&tokens[at..at + piece]).unwrap();
        assert_eq!(
            (states.tokens(), states.exits()),
            (*piece, session.stages())
        );
        for (exit, all) in all.iter_mut().enumerate() {
            let mut out = vec![0.0; piece * vocab];
            session
                .exit_logits(exit, states.rows(exit), &mut out)
                .unwrap();
            all.extend(out);
        }
        at += piece;
    }
    all
}

fn assert_close(found: &[Vec<f32>], expected: &[Vec<f32>], tolerance: f32) {
    for (exit, (found, expected)) in found.iter().zip(expected).enumerate() {
        let error = relative_error(found, expected);
        assert!(error < tolerance, "exit {exit}: relative error {error}");
    }
}

/// The tolerance is that of sums in `f32` through nine blocks, against `f64`.
#[test]
fn logits_are_those_of_the_definition() {
    let config = small_config(3);
    for seed in 0..3 {
        let tensors = random_tensors(&config, seed);
        let tokens = random_tokens(&config, 50, seed);
        let expected: Vec<Vec<f32>> = reference::logits(&config, &tensors, &tokens)
            .into_iter()
            .map(|exit| exit.into_iter().flatten().map(|x| x as f32).collect())
            .collect();
        let model = model(&config, &tensors);
        let mut whole = Session::new(model.clone(), 3).unwrap();
        assert_close(&logits(&mut whole, &tokens, &[50]), &expected, 1e-4);
        let mut steps = Session::new(model, 3).unwrap();
        assert_close(&logits(&mut steps, &tokens, &[1; 50]), &expected, 1e-4);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn pieces_of_any_length_give_the_bits_of_the_whole(
        pieces in proptest::collection::vec(prop_oneof![Just(1usize), 1usize..12, 12usize..90], 1..7),
        seed in 0u64..1000,
    ) {
        let config = small_config(2);
        let tokens = random_tokens(&config, pieces.iter().sum(), seed);
        for precision in [Precision::F32, Precision::Int8, Precision::Int4] {
            let model = Model::random_as(&config, seed, precision).unwrap();
            let mut whole = Session::new(model.clone(), 2).unwrap();
            let mut split = Session::new(model, 2).unwrap();
            let expected = logits(&mut whole, &tokens, &[tokens.len()]);
            prop_assert!(logits(&mut split, &tokens, &pieces) == expected);
            prop_assert!(split.state_values().eq(whole.state_values()));
            prop_assert_eq!(whole.len(), split.len());
            prop_assert_eq!(whole.state_bytes(), split.state_bytes());
        }
    }

    /// Not a bit of a prediction depends on tokens that come later.
    #[test]
    fn later_tokens_change_no_earlier_logit(
        len in 2usize..100, cut in 0.0f64..1.0, threads in 1usize..3, seed in 0u64..1000,
    ) {
        let config = small_config(2);
        let model = model(&config, &random_tensors(&config, seed));
        let cut = 1 + ((len - 1) as f64 * cut) as usize;
        let tokens = random_tokens(&config, len, seed);
        let mut others = random_tokens(&config, len, seed + 1);
        others[..cut].copy_from_slice(&tokens[..cut]);
        let run = |tokens: &[u32]| {
            let mut session = Session::new(model.clone(), 2).unwrap().with_threads(threads);
            logits(&mut session, tokens, &[len])
        };
        let (first, second) = (run(&tokens), run(&others));
        for exit in 0..2 {
            prop_assert!(first[exit][..cut * config.vocab] == second[exit][..cut * config.vocab]);
        }
    }
}

/// A full-size chunk border lies inside the input, and the window of 512 has moved on.
#[test]
fn steps_are_the_whole_at_full_size() {
    let config = NetworkConfig {
        vocab: 300,
        ..NetworkConfig::nano(2)
    };
    let tokens = random_tokens(&config, 600, 5);
    let model = model(&config, &random_tensors(&config, 5));
    let mut whole = Session::new(model.clone(), 2).unwrap();
    let mut steps = Session::new(model, 2).unwrap();
    let expected = logits(&mut whole, &tokens, &[600]);
    assert!(logits(&mut steps, &tokens, &[1; 600]) == expected);
    assert!(steps.state_values().eq(whole.state_values()));
}

/// Sessions of different depths and lengths on more threads than passes, in steps of different sizes, for both precisions.
#[test]
fn sessions_that_share_passes_have_the_bits_of_sessions_alone() {
    let config = small_config(3);
    for precision in [Precision::F32, Precision::Int8, Precision::Int4] {
        let alone = Model::random_as(&config, 5, precision).unwrap();
        let shared = Model::random_as(&config, 5, precision).unwrap();
        shared.share_passes(2);
        let answers = |model: &Arc<Model>, seed: u64| {
            let tokens = random_tokens(&config, 120, seed);
            let mut session = Session::new(model.clone(), 1 + seed as usize % 3).unwrap();
            let pieces: Vec<usize> = std::iter::successors(Some(1 + seed as usize), |n| {
                Some(1 + (5 * n + seed as usize) % 29)
            })
            .scan(0, |sum, n| {
                let n = n.min(tokens.len() - *sum);
                *sum += n;
                Some(n)
            })
            .take_while(|n| *n > 0)
            .collect();
            let found = logits(&mut session, &tokens, &pieces);
            (found, session.state_values().collect::<Vec<_>>())
        };
        let together: Vec<_> = std::thread::scope(|scope| {
            let (answers, shared) = (&answers, &shared);
            let threads: Vec<_> = (0..8)
                .map(|seed| scope.spawn(move || answers(shared, seed)))
                .collect();
            threads
                .into_iter()
                .map(|thread| thread.join().unwrap())
                .collect()
        });
        for (seed, together) in together.into_iter().enumerate() {
            assert!(together == answers(&alone, seed as u64), "session {seed}");
        }
    }
}

#[test]
fn a_snapshot_continues_like_a_fresh_session() {
    let config = small_config(2);
    let model = model(&config, &random_tensors(&config, 1));
    let (before, after) = (random_tokens(&config, 33, 1), random_tokens(&config, 17, 2));
    let mut session = Session::new(model.clone(), 2).unwrap();
    session.forward(&before).unwrap();
    let mut snapshot = session.clone();
    // What the original does in between must not reach the snapshot.
    session.forward(&random_tokens(&config, 9, 3)).unwrap();
    let mut fresh = Session::new(model, 2).unwrap();
    fresh.forward(&before).unwrap();
    assert_eq!(
        snapshot.forward(&after).unwrap(),
        fresh.forward(&after).unwrap()
    );
    assert_eq!(snapshot.len(), 50);
}

#[test]
fn fewer_stages_give_the_same_first_exits() {
    let config = small_config(3);
    let model = model(&config, &random_tensors(&config, 1));
    let tokens = random_tokens(&config, 40, 1);
    let all = Session::new(model.clone(), 3)
        .unwrap()
        .forward(&tokens)
        .unwrap();
    let one = Session::new(model, 1).unwrap().forward(&tokens).unwrap();
    assert_eq!(all.rows(0), one.rows(0));
    assert_eq!((one.exits(), one.rows(1).len()), (1, 0));
    assert_eq!(one.row(0, 39).unwrap().len(), config.width);
    assert!(one.row(0, 40).is_none() && one.row(1, 0).is_none());
}

#[test]
fn wrong_use_is_an_error_and_changes_nothing() {
    let config = small_config(2);
    let model = model(&config, &random_tensors(&config, 1));
    for stages in [0, 3] {
        let error = Session::new(model.clone(), stages).unwrap_err().to_string();
        assert!(error.contains(&format!("{stages} stages")), "{error}");
    }
    let mut session = Session::new(model, 2).unwrap();
    let error = session.forward(&[1, 97]).unwrap_err().to_string();
    assert!(error.contains("token 97 at index 1"), "{error}");
    assert!(session.is_empty());
    let states = session.forward(&[1, 2]).unwrap();
    assert!(
        session
            .exit_logits(2, states.rows(1), &mut [0.0; 194])
            .is_err()
    );
    assert!(
        session
            .exit_logits(1, states.rows(1), &mut [0.0; 193])
            .is_err()
    );
    assert!(
        session
            .exit_logits(1, &states.rows(1)[1..], &mut [0.0; 194])
            .is_err()
    );
    assert_eq!(session.forward(&[]).unwrap().tokens(), 0);
}

#[test]
fn without_its_memory_level_1_knows_the_taps_of_the_convolution_alone() {
    let config = small_config(1);
    let tensors = random_tensors(&config, 5);
    let mut silent = model(&config, &tensors);
    assert!(Model::silence_state(&mut silent));
    let shared = Arc::clone(&silent);
    assert!(!Model::silence_state(&mut silent));
    let tokens = random_tokens(&config, 40, 5);
    // The first block sees tokens as they are, so its state depends on as many of them as the convolution has taps.
    let first_state = |model: &Arc<Model>, tokens: &[u32]| {
        let mut session = Session::new(model.clone(), 1).unwrap();
        session.forward(tokens).unwrap();
        session.state_values().next().unwrap()
    };
    let last = &tokens[tokens.len() - config.conv..];
    assert_eq!(first_state(&shared, &tokens), first_state(&shared, last));
    let whole = model(&config, &tensors);
    assert_ne!(first_state(&whole, &tokens), first_state(&whole, last));
}
