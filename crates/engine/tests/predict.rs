//! Prediction and generation of one document, without a cache.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

mod support;

use nestor_engine::{
    BeamRequest, Component, Finish, GenerateRequest, Model, Predictor, Sampling, Session, Speed,
};
use std::cell::Cell;
use std::sync::Arc;
use support::{random_tensors, random_tokens, small_config};

fn model() -> Arc<Model> {
    let config = small_config(3);
    support::model(&config, &random_tensors(&config, 1))
}

fn predictor(speed: Speed) -> Predictor {
    let mut predictor = Predictor::new(model(), speed).unwrap();
    predictor
        .prefill(&random_tokens(&small_config(3), 30, 1))
        .unwrap();
    predictor
}

fn random(seed: u64) -> Sampling {
    Sampling::Random {
        temperature: 1.0,
        top_p: 0.95,
        seed,
    }
}

#[test]
fn a_distribution_sums_to_one_and_names_its_parts() {
    for (speed, exits) in [(Speed::Fast, 1), (Speed::Balanced, 2), (Speed::Accurate, 3)] {
        let mut predictor = predictor(speed);
        let mixed = predictor.distribution().unwrap();
        assert!((mixed.probs.iter().sum::<f32>() - 1.0).abs() < 1e-5);
        assert_eq!((mixed.parts.len(), mixed.exits.len()), (exits, exits));
        assert_eq!(mixed.parts[0].component, Component::Level(1));
        let (top, prob) = mixed.top();
        assert!(mixed.probs.iter().all(|p| *p <= prob));
        let shares: f32 = mixed.contributions(top).iter().map(|c| c.share).sum();
        assert!((shares - 1.0).abs() < 1e-5);
        assert_eq!(mixed.prob(97), 0.0);
    }
}

#[test]
fn without_a_gate_the_deepest_exit_speaks() {
    let tokens = random_tokens(&small_config(3), 30, 1);
    let mut session = Session::new(model(), 2).unwrap();
    let states = session.forward(&tokens).unwrap();
    let mut probs = vec![0.0; 97];
    session
        .exit_logits(1, states.row(1, 29).unwrap(), &mut probs)
        .unwrap();
    nestor_kernels::softmax_in_place(&mut probs);
    assert_eq!(
        predictor(Speed::Balanced).distribution().unwrap().probs,
        probs
    );
}

#[test]
fn greedy_generation_is_a_chain_of_best_tokens() {
    let start = predictor(Speed::Accurate);
    let generated = start.generate(&GenerateRequest::default()).unwrap();
    assert_eq!(
        (generated.steps.len(), generated.finish),
        (16, Finish::MaxTokens)
    );
    let mut chain = start.clone();
    let mut confidence = 1.0;
    for step in &generated.steps {
        let (token, prob) = chain.distribution().unwrap().top();
        assert_eq!((step.token, step.prob), (token, prob));
        confidence *= step.confidence;
        chain.accept(token).unwrap();
    }
    assert_eq!(generated.confidence(), confidence);
    assert_eq!(start.context().len(), 30);
    assert_eq!(
        generated,
        start.generate(&GenerateRequest::default()).unwrap()
    );
}

#[test]
fn the_seed_decides() {
    let start = predictor(Speed::Fast);
    let run = |seed| {
        let request = GenerateRequest {
            sampling: random(seed),
            ..GenerateRequest::default()
        };
        start.generate(&request).unwrap().tokens()
    };
    assert_eq!(run(1), run(1));
    assert_ne!(run(1), run(2));
}

#[test]
fn allowed_and_banned_tokens_are_kept() {
    let start = predictor(Speed::Fast);
    // The first token is one of three, of which one is banned; the second is free.
    let allowed = |so_far: &[u32]| so_far.is_empty().then(|| vec![5, 6, 7, 5, 1000]);
    for seed in 0..20 {
        let request = GenerateRequest {
            sampling: random(seed),
            banned: &[6],
            allowed: Some(&allowed),
            ..GenerateRequest::default()
        };
        let generated = start.generate(&request).unwrap();
        let tokens = generated.tokens();
        assert!([5, 7].contains(&tokens[0]));
        assert!(!tokens.contains(&6));
        let first = &generated.steps[0];
        assert!(first.confidence > first.prob && first.confidence <= 1.0);
        // Where only one token is banned, what is left holds a little less than 1.
        let second = &generated.steps[1];
        assert!(second.confidence >= second.prob && second.confidence < second.prob * 1.2);
    }
    let none = |_: &[u32]| Some(Vec::new());
    let request = GenerateRequest {
        allowed: Some(&none),
        ..GenerateRequest::default()
    };
    let generated = start.generate(&request).unwrap();
    assert_eq!(
        (generated.steps.len(), generated.finish),
        (0, Finish::NoneAllowed)
    );
    assert_eq!(generated.confidence(), 1.0);
}

#[test]
fn generation_ends_where_it_is_told() {
    let start = predictor(Speed::Fast);
    let request = GenerateRequest {
        stop: &|tokens, steps| tokens.len() == 3 && steps.len() == 3,
        ..GenerateRequest::default()
    };
    let stopped = start.generate(&request).unwrap();
    assert_eq!((stopped.steps.len(), stopped.finish), (3, Finish::Stopped));
    let request = GenerateRequest {
        max_tokens: 0,
        ..GenerateRequest::default()
    };
    assert_eq!(start.generate(&request).unwrap().finish, Finish::MaxTokens);
    // A request that is cancelled while a token is made yields that token and no other.
    let asked = Cell::new(0);
    let cancelled = || {
        asked.set(asked.get() + 1);
        asked.get() > 2
    };
    let request = GenerateRequest {
        cancelled: &cancelled,
        ..GenerateRequest::default()
    };
    let generated = start.generate(&request).unwrap();
    assert_eq!(
        (generated.steps.len(), generated.finish),
        (2, Finish::Cancelled)
    );
}

#[test]
fn a_wide_beam_finds_the_best_pairs() {
    let start = predictor(Speed::Balanced);
    let mut pairs = Vec::new();
    let first = start.clone().distribution().unwrap().probs.clone();
    for a in 0..97u32 {
        let mut fork = start.clone();
        fork.accept(a).unwrap();
        let second = &fork.distribution().unwrap().probs;
        pairs.extend((0..97u32).map(|b| (first[a as usize] * second[b as usize], vec![a, b])));
    }
    pairs.sort_by(|a, b| b.0.total_cmp(&a.0));
    let request = BeamRequest {
        width: 97,
        max_tokens: 4,
        banned: &[],
        allowed: None,
        complete: &|tokens| tokens.len() == 2,
    };
    let beams = start.beam(&request).unwrap();
    assert_eq!(beams.len(), 97);
    for (beam, (prob, tokens)) in beams.iter().zip(&pairs).take(20) {
        assert_eq!(&beam.tokens, tokens);
        assert!((beam.log_prob - prob.ln()).abs() < 1e-4);
    }
}

#[test]
fn a_beam_of_one_is_greedy_and_a_beam_that_completes_nothing_is_empty() {
    let start = predictor(Speed::Fast);
    let greedy = start
        .generate(&GenerateRequest::default())
        .unwrap()
        .tokens();
    let request = |max_tokens| BeamRequest {
        width: 1,
        max_tokens,
        banned: &[],
        allowed: None,
        complete: &|tokens| tokens.len() == 4,
    };
    assert_eq!(start.beam(&request(4)).unwrap()[0].tokens, greedy[..4]);
    assert!(start.beam(&request(3)).unwrap().is_empty());
    assert!(
        start
            .beam(&BeamRequest {
                width: 0,
                ..request(4)
            })
            .unwrap()
            .is_empty()
    );
}

#[test]
fn wrong_use_is_an_error() {
    let mut empty = Predictor::new(model(), Speed::Fast).unwrap();
    assert!(
        empty
            .distribution()
            .unwrap_err()
            .to_string()
            .contains("no token")
    );
    empty.prefill(&[]).unwrap();
    assert!(empty.distribution().is_err());
    assert!(empty.accept(97).is_err());
    let start = predictor(Speed::Fast);
    let sampling = Sampling::Random {
        temperature: -1.0,
        top_p: 1.0,
        seed: 0,
    };
    let request = GenerateRequest {
        sampling,
        ..GenerateRequest::default()
    };
    assert!(
        start
            .generate(&request)
            .unwrap_err()
            .to_string()
            .contains("temperature")
    );
    assert_eq!("balanced".parse::<Speed>().unwrap(), Speed::Balanced);
    assert!(
        "quick"
            .parse::<Speed>()
            .unwrap_err()
            .to_string()
            .contains("quick")
    );
}
