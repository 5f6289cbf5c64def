//! Corpora that are damaged after the build, and samples drawn from whole ones.

use std::path::Path;

use super::*;
use crate::build::{BuildConfig, SourceSpec, build};
use crate::progress::Silent;
use crate::sample::{available, sample};
use crate::test_sources::{module, write_files};

/// A corpus of 40 methods, of which every four are near-duplicates.
fn corpus(dir: &Path) -> PathBuf {
    for file in 0..10 {
        let method = module(&[&format!("Метод{file}")]);
        let near: Vec<String> = (0..4)
            .map(|n| method.replacen("(Данные)", &format!("Вид{n}(Данные)"), 1))
            .collect();
        write_files(
            &dir.join("src"),
            &[(&format!("{file}.bsl"), near.join("\n").as_bytes())],
        );
    }
    let out = dir.join("corpus");
    let source = SourceSpec {
        path: dir.join("src"),
        name: "src".to_owned(),
        role: Role::Train,
        licence: Some("MIT".to_owned()),
    };
    let config = BuildConfig {
        vocab_size: 400,
        shard_tokens: 400,
        ..BuildConfig::new(vec![source], &out)
    };
    build(&config, &Silent).unwrap();
    out
}

#[test]
fn damaged_files_are_named() {
    let dir = tempfile::tempdir().unwrap();
    let out = corpus(dir.path());
    let check = |file: &str, damage: &dyn Fn(Vec<u8>) -> Vec<u8>| {
        let path = out.join(file);
        let whole = std::fs::read(&path).unwrap();
        std::fs::write(&path, damage(whole.clone())).unwrap();
        let error = Corpus::open(&out)
            .and_then(|corpus| corpus.verify())
            .unwrap_err()
            .to_string();
        std::fs::write(&path, whole).unwrap();
        assert!(error.contains(file.rsplit('/').next().unwrap()), "{error}");
        error
    };
    let flip = |mut bytes: Vec<u8>| {
        let at = bytes.len() / 2;
        bytes[at] ^= 1;
        bytes
    };
    let cut = |bytes: Vec<u8>| bytes[..bytes.len() / 2].to_vec();
    for file in [
        "shards/00000.zst",
        "shards/00001.zst",
        "index.jsonl.zst",
        "tokenizer.json",
    ] {
        check(file, &flip);
        check(file, &cut);
        check(file, &|_| Vec::new());
    }
    check("manifest.json", &cut);
    let newer = |bytes: Vec<u8>| {
        String::from_utf8(bytes)
            .unwrap()
            .replacen("\"format_version\": 2", "\"format_version\": 9", 1)
            .into_bytes()
    };
    assert!(check("manifest.json", &newer).contains("version 9"));
    let unknown = |bytes: Vec<u8>| {
        String::from_utf8(bytes)
            .unwrap()
            .replacen(
                "\"format_version\"",
                "\"surprise\": 1, \"format_version\"",
                1,
            )
            .into_bytes()
    };
    assert!(check("manifest.json", &unknown).contains("surprise"));
    Corpus::open(&out).unwrap().verify().unwrap();

    std::fs::remove_file(out.join("shards/00001.zst")).unwrap();
    assert!(
        Corpus::open(&out)
            .unwrap()
            .verify()
            .unwrap_err()
            .to_string()
            .contains("00001.zst")
    );
    assert!(
        Corpus::open(dir.path().join("нет"))
            .unwrap_err()
            .to_string()
            .contains("нет")
    );
}

#[test]
fn shards_with_right_hashes_and_wrong_content_are_refused() {
    assert!(write::decode_shard(b"").is_err());
    assert!(write::decode_shard(b"NSTSHRD2....").is_err());
    assert!(write::decode_shard(b"NSTSHRD1garbage").is_err());
    let odd = [
        &b"NSTSHRD1"[..],
        &zstd::bulk::compress(&[1, 2, 3], 1).unwrap(),
    ]
    .concat();
    assert!(write::decode_shard(&odd).is_err());
}

#[test]
fn files_are_read_in_any_order_from_many_threads() {
    let dir = tempfile::tempdir().unwrap();
    let corpus = Corpus::open(corpus(dir.path())).unwrap();
    assert!(corpus.manifest().shards.len() > KEPT_SHARDS);
    let forward: Vec<Vec<u32>> = (0..10).map(|file| corpus.tokens(file).unwrap()).collect();
    let backward: Vec<Vec<u32>> = (0..10usize)
        .into_par_iter()
        .rev()
        .map(|file| corpus.tokens(file).unwrap())
        .collect();
    assert!(forward.iter().eq(backward.iter().rev()));
    assert!(matches!(
        corpus.file(10),
        Err(CorpusError::NoSuchFile {
            index: 10,
            files: 10
        })
    ));
}

#[test]
fn samples_are_distinct_repeatable_and_keep_groups_together() {
    let dir = tempfile::tempdir().unwrap();
    let corpus = Corpus::open(corpus(dir.path())).unwrap();
    assert_eq!(available(&corpus), 40);
    assert_eq!(corpus.manifest().totals.near_duplicates, 30);
    let drawn = sample(&corpus, 40, 1).unwrap();
    assert_eq!((drawn.train.len(), drawn.test.len()), (36, 4));
    let group = |refs: &[crate::sample::SampleRef]| {
        refs.iter()
            .map(|sample| corpus.files()[sample.file].methods[sample.method].group)
            .collect::<std::collections::BTreeSet<_>>()
    };
    assert!(group(&drawn.train).is_disjoint(&group(&drawn.test)));
    let mut all: Vec<_> = drawn.train.iter().chain(&drawn.test).collect();
    all.sort();
    all.dedup();
    assert_eq!(all.len(), 40);
    let text = crate::sample::text(&corpus, drawn.test[0]).unwrap();
    assert!(
        text.starts_with("// Заполняет") && text.ends_with("КонецПроцедуры"),
        "{text}"
    );
    assert_eq!(
        sample(&corpus, 20, 7).unwrap(),
        sample(&corpus, 20, 7).unwrap()
    );
    assert_ne!(
        sample(&corpus, 20, 7).unwrap(),
        sample(&corpus, 20, 8).unwrap()
    );
    assert!(matches!(
        sample(&corpus, 41, 1),
        Err(CorpusError::TooFewMethods {
            asked: 41,
            available: 40
        })
    ));
    assert_eq!(sample(&corpus, 0, 1).unwrap().train.len(), 0);
}

#[test]
fn statistics_add_up() {
    let dir = tempfile::tempdir().unwrap();
    let corpus = Corpus::open(corpus(dir.path())).unwrap();
    let stats = crate::stats::stats(&corpus);
    assert_eq!(stats.totals.methods, 40);
    assert_eq!(stats.roles, [(Role::Train, stats.totals)]);
    assert_eq!(
        stats
            .languages
            .iter()
            .map(|language| language.counts.tokens)
            .sum::<u64>(),
        stats.totals.tokens
    );
    assert!(stats.languages[0].bytes_per_token > 2.0);
    assert!(stats.method_tokens.is_sorted() && stats.method_tokens[0] > 0);
}
