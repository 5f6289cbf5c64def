//! Equalities of the nests: they need no golden numbers.

#![expect(
    clippy::unwrap_used,
    reason = "clippy's exception for tests does not know helpers of integration tests"
)]

use std::sync::Arc;

use nestor_cache::{
    CorpusBuildOptions, CorpusBuilder, CorpusNgram, MAX_ORDER, NESTS, Nest, NestPrediction,
    NestedCache, Ngram, SegmentId, Source, Subtraction,
};
use proptest::prelude::*;

const VOCAB: usize = 50;

/// Text with structure: phrases from a small stock, some noise.
fn text(seed: u64, len: usize) -> Vec<u32> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = |n: u64| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state % n
    };
    let mut tokens = Vec::new();
    while tokens.len() < len {
        let phrase = next(12);
        let length = 2 + next(30);
        for i in 0..length {
            let noise = next(10) == 0;
            tokens.push(if noise {
                next(VOCAB as u64)
            } else {
                (phrase * 7 + i * (phrase + 1)) % VOCAB as u64
            } as u32);
        }
    }
    tokens.truncate(len);
    tokens
}

fn corpus() -> Arc<CorpusNgram> {
    let mut builder = CorpusBuilder::new(VOCAB, CorpusBuildOptions::default()).unwrap();
    for seed in 100..110 {
        builder.add(&text(seed, 700)).unwrap();
    }
    Arc::new(builder.build().unwrap())
}

fn nest(files: &[Vec<u32>]) -> Ngram {
    let mut nest = Ngram::new(VOCAB, MAX_ORDER).unwrap();
    for file in files {
        nest.learn(file).unwrap();
    }
    nest
}

fn predict(cache: &NestedCache, context: &[u32]) -> NestPrediction {
    let mut prediction = NestPrediction::new(VOCAB);
    cache.predict(context, &mut prediction);
    prediction
}

/// A cache with this project and nothing else.
fn with_project(project: Ngram) -> NestedCache {
    let mut cache = NestedCache::new(VOCAB, None).unwrap();
    cache.set_project(Arc::new(project)).unwrap();
    cache
}

fn contexts(tokens: &[u32]) -> impl Iterator<Item = &[u32]> {
    (0..tokens.len()).step_by(7).map(|end| &tokens[..end])
}

/// Both caches give the same distributions (to rounding) and matches for every context of `tokens`.
fn assert_same_predictions(one: &NestedCache, other: &NestedCache, tokens: &[u32]) {
    for context in contexts(tokens) {
        let (a, b) = (predict(one, context), predict(other, context));
        for nest in NESTS {
            for (x, y) in a.probabilities(nest).iter().zip(b.probabilities(nest)) {
                assert!(
                    (x - y).abs() < 1e-6,
                    "{x} {y} after {} tokens",
                    context.len()
                );
            }
        }
        for source in [Source::Project, Source::Folder, Source::File] {
            assert_eq!(a.source(source), b.source(source));
        }
    }
}

#[test]
fn bulk_learning_equals_learning_token_by_token() {
    let files = [text(1, 900), text(2, 40), Vec::new(), text(3, 500)];
    let bulk = nest(&files);
    let mut stepwise = Ngram::new(VOCAB, MAX_ORDER).unwrap();
    for file in &files {
        stepwise.begin();
        for &token in file {
            stepwise.push(token).unwrap();
        }
    }
    assert_eq!(bulk.to_bytes().unwrap(), stepwise.to_bytes().unwrap());
    assert_same_predictions(&with_project(bulk), &with_project(stepwise), &text(4, 600));
}

#[test]
fn learning_many_files_equals_learning_each_whatever_the_threads() {
    let files = [text(1, 900), text(2, 40), Vec::new(), text(3, 500)];
    let each = nest(&files);
    for threads in [0, 1, 2, 3, 4, 9] {
        let mut many = nest(&files[..1]);
        let ids = many.learn_files(&files[1..], threads).unwrap();
        assert_eq!(ids, [SegmentId(1), SegmentId(2), SegmentId(3)]);
        assert_eq!(many.to_bytes().unwrap(), each.to_bytes().unwrap());
        assert_same_predictions(
            &with_project(many),
            &with_project(each.clone()),
            &text(4, 300),
        );
    }
    let mut refused = Ngram::new(VOCAB, MAX_ORDER).unwrap();
    assert!(refused.learn_files(&[vec![1], vec![50]], 2).is_err());
    assert!(refused.is_empty() && refused.segments().next().is_none());
}

#[test]
fn a_forgotten_file_was_never_learned() {
    let files: Vec<_> = (0..6).map(|seed| text(seed, 400)).collect();
    for forgotten in [
        vec![0],
        vec![5],
        vec![2, 3],
        vec![0, 1, 2, 3],
        vec![5, 4, 1],
    ] {
        let mut with = nest(&files);
        for &index in &forgotten {
            with.unlearn(SegmentId(index)).unwrap();
            assert!(with.unlearn(SegmentId(index)).is_err());
        }
        let kept: Vec<_> = (0..files.len())
            .filter(|i| !forgotten.contains(i))
            .map(|i| files[i].clone())
            .collect();
        let without = nest(&kept);
        assert_eq!(with.len(), without.len());
        assert_eq!(with.to_bytes().unwrap(), without.to_bytes().unwrap());
        for &index in &forgotten {
            assert_same_predictions(
                &with_project(with.clone()),
                &with_project(without.clone()),
                &files[index],
            );
        }
    }
}

#[test]
fn learning_goes_on_after_forgetting() {
    let mut nest_with_history = nest(&[text(1, 300), text(2, 300)]);
    nest_with_history.unlearn(SegmentId(1)).unwrap();
    nest_with_history.unlearn(SegmentId(0)).unwrap();
    assert!(nest_with_history.is_empty());
    nest_with_history.extend(&text(3, 300)).unwrap();
    assert_same_predictions(
        &with_project(nest_with_history),
        &with_project(nest(&[text(3, 300)])),
        &text(3, 300),
    );
}

#[test]
fn popped_tokens_were_never_pushed() {
    let file = text(5, 800);
    for keep in [0, 1, 2, 100, 799] {
        let mut popped = nest(&[text(6, 300)]);
        popped.learn(&file).unwrap();
        popped.pop(file.len() - keep);
        let short = nest(&[text(6, 300), file[..keep].to_vec()]);
        assert_eq!(popped.to_bytes().unwrap(), short.to_bytes().unwrap());
        assert_same_predictions(&with_project(popped.clone()), &with_project(short), &file);
        popped.extend(&file[keep..]).unwrap();
        let whole = nest(&[text(6, 300), file.clone()]);
        assert_same_predictions(&with_project(popped), &with_project(whole), &file);
    }
}

#[test]
fn what_is_subtracted_was_never_learned() {
    let files = [text(7, 500), text(8, 500), text(9, 500)];
    let project = Arc::new(nest(&files));
    for from in [0, 1, 250, 499, 500, 900] {
        let mut cache = NestedCache::new(VOCAB, Some(corpus())).unwrap();
        cache.set_project(project.clone()).unwrap();
        let hidden = Subtraction::new(&project, SegmentId(1), from).unwrap();
        cache.subtract_from_project(Some(Arc::new(hidden)));
        let visible = [
            files[0].clone(),
            files[1][..from.min(500)].to_vec(),
            files[2].clone(),
        ];
        let mut expected = NestedCache::new(VOCAB, Some(corpus())).unwrap();
        expected.set_project(Arc::new(nest(&visible))).unwrap();
        assert_same_predictions(&cache, &expected, &files[1]);
    }
    assert!(Subtraction::new(&project, SegmentId(3), 0).is_err());
}

#[test]
fn a_saved_nest_is_the_nest() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("project.ngram");
    let saved = nest(&[text(1, 700), text(2, 300)]);
    saved.save(&path).unwrap();
    let loaded = Ngram::load(&path).unwrap();
    assert_eq!(saved.to_bytes().unwrap(), loaded.to_bytes().unwrap());
    assert_same_predictions(&with_project(saved), &with_project(loaded), &text(3, 300));
}

#[test]
fn files_are_found_by_content_and_given_back() {
    let files = [text(1, 70), text(2, 70), text(1, 70)];
    let mut project = nest(&files);
    assert_eq!(project.find(&files[1]), Some(SegmentId(1)));
    assert_eq!(project.find(&files[0]), Some(SegmentId(2)));
    assert_eq!(project.find(&files[0][1..]), None);
    assert_eq!(project.tokens(SegmentId(1)).unwrap(), files[1]);
    project.unlearn(SegmentId(1)).unwrap();
    assert_eq!(project.find(&files[1]), None);
    assert!(project.tokens(SegmentId(1)).is_err());
    assert_eq!(
        project.segments().collect::<Vec<_>>(),
        [SegmentId(0), SegmentId(2)]
    );
}

#[test]
fn the_longest_match_is_reported() {
    let phrase: Vec<u32> = (0..40).collect();
    let mut file = phrase.clone();
    file.extend([45, 46, 47]);
    let mut cache = NestedCache::new(VOCAB, None).unwrap();
    cache.file_mut().learn(&file).unwrap();
    for length in 1..=MAX_ORDER {
        let mut context = vec![49; 3];
        context.extend(&phrase[40 - length..]);
        let prediction = predict(&cache, &context);
        let found = prediction.source(Source::File);
        assert_eq!(
            (found.matched_order, found.evidence, found.distinct),
            (length, 1, 1)
        );
        assert_eq!(prediction.summary(Nest::File).top, 45);
        assert_eq!(prediction.source(Source::Project).matched_order, 0);
    }
    assert_eq!(predict(&cache, &[49]).source(Source::File).matched_order, 0);
    assert_eq!(
        predict(&cache, &phrase).source(Source::File).matched_order,
        MAX_ORDER
    );
}

#[test]
fn contexts_do_not_cross_files() {
    let project = nest(&[vec![1, 2, 3, 4], vec![5, 6, 7, 8]]);
    let prediction = predict(&with_project(project), &[2, 3, 4]);
    assert_eq!(prediction.source(Source::Project).matched_order, 0);
}

#[test]
fn an_empty_nest_gives_the_outer_nest_exactly() {
    let mut cache = NestedCache::new(VOCAB, Some(corpus())).unwrap();
    for context in contexts(&text(11, 200)) {
        let prediction = predict(&cache, context);
        assert_eq!(
            prediction.probabilities(Nest::Corpus),
            prediction.probabilities(Nest::Project)
        );
        assert_eq!(
            prediction.probabilities(Nest::Corpus),
            prediction.probabilities(Nest::File)
        );
        assert_eq!(
            prediction.summary(Nest::Corpus),
            prediction.summary(Nest::File)
        );
    }
    cache.project_mut().learn(&text(12, 300)).unwrap();
    for context in contexts(&text(11, 200)) {
        let prediction = predict(&cache, context);
        assert_eq!(
            prediction.probabilities(Nest::Project),
            prediction.probabilities(Nest::File)
        );
    }
}

#[test]
fn nothing_learned_is_uniform() {
    let cache = NestedCache::new(VOCAB, None).unwrap();
    for context in [&[][..], &[1, 2, 3], &[4_000_000_000]] {
        let prediction = predict(&cache, context);
        for nest in NESTS {
            assert!(
                prediction
                    .probabilities(nest)
                    .iter()
                    .all(|&p| p == 1.0 / VOCAB as f32)
            );
        }
    }
}

#[test]
fn foreign_ids_in_the_context_end_it() {
    let mut cache = NestedCache::new(VOCAB, Some(corpus())).unwrap();
    cache.file_mut().learn(&[5, 6, 7, 8]).unwrap();
    cache.project_mut().learn(&[5, 6, 7, 8]).unwrap();
    let expected = predict(&cache, &[5, 6, 7]);
    for foreign in [VOCAB as u32, u32::from(u16::MAX), u32::MAX] {
        let prediction = predict(&cache, &[1, foreign, 5, 6, 7]);
        assert_eq!(prediction.source(Source::File).matched_order, 3);
        assert_eq!(
            prediction.probabilities(Nest::File),
            expected.probabilities(Nest::File)
        );
    }
}

#[test]
fn only_the_context_and_what_was_learned_count() {
    let mut cache = NestedCache::new(VOCAB, Some(corpus())).unwrap();
    let file = text(13, 400);
    let mut other = file.clone();
    for token in &mut other[200..] {
        *token = (*token + 1) % VOCAB as u32;
    }
    let mut buffers = NestPrediction::new(VOCAB);
    for t in 0..=200 {
        // Score first, learn after; dirty buffers and what comes later change nothing, bit for bit.
        cache.predict(&other[..t.min(200)], &mut buffers);
        let fresh = predict(&cache, &file[..t]);
        for nest in NESTS {
            assert_eq!(buffers.probabilities(nest), fresh.probabilities(nest));
        }
        cache.file_mut().push(file[t]).unwrap();
    }
}

#[test]
fn bad_tokens_and_vocabularies_are_refused_by_name() {
    let mut small = Ngram::new(VOCAB, MAX_ORDER).unwrap();
    let error = small.learn(&[1, 50]).unwrap_err().to_string();
    assert_eq!(error, "token id 50 is outside the vocabulary of 50");
    assert!(small.is_empty() && small.push(50).is_err() && small.is_empty());
    assert!(Ngram::new(0, 8).is_err() && Ngram::new(70_000, 8).is_err());
    let mut cache = NestedCache::new(VOCAB + 1, None).unwrap();
    assert!(cache.set_project(Arc::new(small)).is_err());
    assert!(NestedCache::new(VOCAB + 1, Some(corpus())).is_err());
}

#[test]
fn shorter_orders_are_possible() {
    for max_order in [0, 1, 2, 3, 8] {
        let mut nest = Ngram::new(VOCAB, max_order).unwrap();
        nest.learn(&text(1, 400)).unwrap();
        let prediction = predict(&with_project(nest), &text(1, 300));
        assert_eq!(prediction.source(Source::Project).matched_order, max_order);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn every_distribution_sums_to_one(
        seeds in prop::collection::vec(0u64..1000, 4),
        lengths in prop::collection::vec(0usize..1500, 4),
        hide_from in 0usize..1500,
        context in prop::collection::vec(0u32..60, 0..40),
    ) {
        let mut cache = NestedCache::new(VOCAB, (seeds[0] % 2 == 0).then(corpus)).unwrap();
        cache.project_mut().learn(&text(seeds[1], lengths[0])).unwrap();
        let learned = cache.project_mut().learn(&text(seeds[2], lengths[1])).unwrap();
        cache.folder_mut().learn(&text(seeds[2], lengths[2])).unwrap();
        let file = text(seeds[3], lengths[3]);
        cache.file_mut().extend(&file).unwrap();
        let hidden = Subtraction::new(cache.project(), learned, hide_from).unwrap();
        cache.subtract_from_project(Some(Arc::new(hidden)));
        for context in [&context[..], &file] {
            let prediction = predict(&cache, context);
            for nest in NESTS {
                let p = prediction.probabilities(nest);
                let total: f32 = p.iter().sum();
                prop_assert!((total - 1.0).abs() < 1e-5, "{nest:?}: {total}");
                prop_assert!(p.iter().all(|&p| p > 0.0 && p <= 1.0 + 1e-5));
            }
        }
    }

    #[test]
    fn arbitrary_bytes_are_refused_not_fatal(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        prop_assert!(Ngram::from_bytes(&bytes).is_err());
        prop_assert!(CorpusNgram::from_bytes(&bytes).is_err());
    }
}
