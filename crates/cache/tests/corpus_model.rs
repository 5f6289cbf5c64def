//! The corpus model: counting against a plain count, pruning to a size, its file.

#![expect(
    clippy::unwrap_used,
    reason = "clippy's exception for tests does not know helpers of integration tests"
)]

use std::collections::BTreeMap;
use std::sync::Arc;

use nestor_cache::{
    CacheError, CorpusBuildOptions, CorpusBuilder, CorpusNgram, LongContextBuilder, Nest,
    NestPrediction, NestedCache, Source,
};

const VOCAB: usize = 200;

/// Each token depends mostly on the one before it; one in four is random.
fn text(seed: u32, len: usize) -> Vec<u32> {
    let mut state = seed.wrapping_mul(2_654_435_761) | 1;
    let mut previous = 0;
    (0..len)
        .map(|_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let random = state >> 16;
            previous = if random.is_multiple_of(4) {
                random / 4
            } else {
                previous * 3 + random % 2
            };
            previous %= VOCAB as u32;
            previous
        })
        .collect()
}

/// Each token depends on the two before it; one in eight is random.
fn patterned(seed: u32, len: usize) -> Vec<u32> {
    let mut state = seed.wrapping_mul(2_654_435_761) | 1;
    let (mut older, mut newer) = (0, 1);
    (0..len)
        .map(|_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let random = state >> 16;
            let token = if random.is_multiple_of(8) {
                random / 8 % 12
            } else {
                (older * 3 + newer) % 12
            };
            (older, newer) = (newer, token);
            token * 7
        })
        .collect()
}

fn build(files: &[Vec<u32>], options: CorpusBuildOptions) -> CorpusNgram {
    let mut builder = CorpusBuilder::new(VOCAB, options).unwrap();
    for file in files {
        builder.add(file).unwrap();
    }
    builder.build().unwrap()
}

fn files() -> Vec<Vec<u32>> {
    (0..20).map(|seed| text(seed, 3000)).collect()
}

const GENEROUS: CorpusBuildOptions = CorpusBuildOptions {
    max_context: 4,
    min_count: 2,
    max_file_bytes: 10 << 20,
};

#[test]
fn evidence_is_the_plain_count() {
    let files = files();
    let mut cache = NestedCache::new(VOCAB, Some(Arc::new(build(&files, GENEROUS)))).unwrap();
    cache.start_file();
    let mut after_pair: BTreeMap<&[u32], BTreeMap<u32, u32>> = BTreeMap::new();
    for window in files.iter().flat_map(|file| file.windows(3)) {
        *after_pair
            .entry(&window[..2])
            .or_default()
            .entry(window[2])
            .or_default() += 1;
    }
    let mut prediction = NestPrediction::new(VOCAB);
    let mut checked = 0;
    for (pair, next) in after_pair {
        cache.predict(pair, &mut prediction);
        let found = prediction.source(Source::Corpus);
        let total: u32 = next.values().sum();
        if found.matched_order == 2 && total <= 16 && next.values().all(|&count| count >= 2) {
            assert_eq!(
                (found.evidence, found.distinct as usize),
                (total, next.len()),
                "{pair:?}"
            );
            checked += 1;
        }
    }
    assert!(checked > 20, "{checked} pairs were checked");
}

#[test]
fn longer_contexts_help_on_their_own_text() {
    let files: Vec<_> = (0..20).map(|seed| patterned(seed, 3000)).collect();
    let loss = |max_context| {
        let model = build(
            &files,
            CorpusBuildOptions {
                max_context,
                ..GENEROUS
            },
        );
        assert_eq!(model.max_context(), max_context);
        let cache = NestedCache::new(VOCAB, Some(Arc::new(model))).unwrap();
        let mut prediction = NestPrediction::new(VOCAB);
        let tokens = &files[3][..1000];
        (10..tokens.len())
            .map(|t| {
                cache.predict(&tokens[..t], &mut prediction);
                -prediction.probabilities(Nest::Corpus)[tokens[t] as usize].ln()
            })
            .sum::<f32>()
    };
    let losses = [0, 1, 2].map(loss);
    assert!(losses.is_sorted_by(|a, b| a > b), "{losses:?}");
}

#[test]
fn the_order_of_files_does_not_matter() {
    let mut files = files();
    let one = build(&files, GENEROUS);
    files.reverse();
    assert_eq!(one, build(&files, GENEROUS));
}

#[test]
fn the_file_stays_within_its_size_and_uses_it() {
    for max_file_bytes in [6_000, 12_000, 25_000] {
        let model = build(
            &files(),
            CorpusBuildOptions {
                max_file_bytes,
                ..GENEROUS
            },
        );
        let size = model.to_bytes().unwrap().len();
        assert!(
            size <= max_file_bytes && size > max_file_bytes * 8 / 10,
            "{size} of {max_file_bytes}"
        );
    }
    let tiny = build(
        &files(),
        CorpusBuildOptions {
            max_file_bytes: 10,
            ..GENEROUS
        },
    );
    assert_eq!(tiny.entries(), 0, "single tokens are always kept");
}

#[test]
fn a_loaded_model_is_the_model() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ngram.bin");
    for model in [
        build(&files(), GENEROUS),
        build(&[], GENEROUS),
        build(&[vec![7]], GENEROUS),
    ] {
        model.save(&path).unwrap();
        assert_eq!(CorpusNgram::load(&path).unwrap(), model);
        assert_eq!(
            std::fs::read_dir(folder.path()).unwrap().count(),
            1,
            "nothing half-written"
        );
    }
}

#[test]
fn an_empty_model_is_uniform() {
    let cache = NestedCache::new(VOCAB, Some(Arc::new(build(&[], GENEROUS)))).unwrap();
    let mut prediction = NestPrediction::new(VOCAB);
    cache.predict(&[1, 2, 3], &mut prediction);
    let uniform = 1.0 / VOCAB as f32;
    assert!(
        prediction
            .probabilities(Nest::File)
            .iter()
            .all(|p| (p - uniform).abs() < 1e-9)
    );
}

#[test]
fn a_damaged_file_is_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ngram.bin");
    let bytes = build(&files(), GENEROUS).to_bytes().unwrap();
    let check = |damaged: &[u8], expected: &str| {
        std::fs::write(&path, damaged).unwrap();
        let error = CorpusNgram::load(&path).unwrap_err();
        assert!(matches!(error, CacheError::Corrupt { .. }));
        let text = error.to_string();
        assert!(
            text.contains("ngram.bin") && text.contains(expected),
            "{text}"
        );
    };
    check(&bytes[..40], "ends inside its header");
    check(&bytes[..bytes.len() - 1], "bytes of content expected");
    check(
        b"PK\x03\x04 and something else that is long enough to hold a header of 64 bytes",
        "magic",
    );
    let mut flipped = bytes.clone();
    flipped[bytes.len() / 2] ^= 1;
    check(&flipped, "SHA-256");
    for at in 12..64 {
        let mut flipped = bytes.clone();
        flipped[at] ^= 1;
        check(&flipped, "corpus n-gram");
    }
    let mut newer = bytes.clone();
    newer[8] = 9;
    check(&newer, "version 9");
    let missing = folder.path().join("none.bin");
    assert!(
        CorpusNgram::load(&missing)
            .unwrap_err()
            .to_string()
            .contains("none.bin")
    );
}

#[test]
fn a_long_context_speaks_first_and_the_distribution_still_sums_to_one() {
    let files = files();
    let counts = build(&files, GENEROUS);
    let mut builder = LongContextBuilder::new(VOCAB).unwrap();
    for file in &files {
        builder.add(file, &vec![1; file.len()]).unwrap();
    }
    let long = builder.build(&counts, 1 << 20).unwrap();
    let with = counts.clone().with_long_contexts(Arc::new(long)).unwrap();
    let right = |corpus: CorpusNgram| {
        let mut cache = NestedCache::new(VOCAB, Some(Arc::new(corpus))).unwrap();
        cache.start_file();
        let mut prediction = NestPrediction::new(VOCAB);
        let mut right = 0;
        for at in 100..600 {
            cache.predict(&files[3][at - 40..at], &mut prediction);
            let probabilities = prediction.probabilities(Nest::Corpus);
            assert!((probabilities.iter().sum::<f32>() - 1.0).abs() < 1e-4);
            let top = prediction.summary(Nest::Corpus).top;
            right += usize::from(top == files[3][at]);
        }
        right
    };
    let (short, long) = (right(counts), right(with));
    assert!(long > 470 && short < 450, "{short} -> {long} of 500");
}
