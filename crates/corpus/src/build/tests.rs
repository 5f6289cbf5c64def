//! Whole builds over sources made on the spot.

use std::path::Path;

use super::*;
use crate::progress::Silent;
use crate::shards::Corpus;
use crate::test_sources::{git_repository, module, write_files};

fn spec(path: &Path, name: &str, role: Role) -> SourceSpec {
    SourceSpec {
        path: path.to_owned(),
        name: name.to_owned(),
        role,
        licence: None,
    }
}

fn config(sources: Vec<SourceSpec>, out: &Path) -> BuildConfig {
    BuildConfig {
        vocab_size: 600,
        shard_tokens: 400,
        ..BuildConfig::new(sources, out)
    }
}

/// Two projects that share a file and a method, and one to measure on.
fn sources(dir: &Path) -> Vec<SourceSpec> {
    let english =
        "Procedure Run(Cancel)\n\tIf Cancel Then\n\t\tReturn;\n\tEndIf;\nEndProcedure\n".repeat(20);
    write_files(
        &dir.join("one"),
        &[
            ("LICENSE", b"Permission is hereby granted, free of charge"),
            (
                "CommonModules/Цены/Ext/Module.bsl",
                format!("\u{feff}{}", module(&["Цены", "Скидки"]))
                    .replace('\n', "\r\n")
                    .as_bytes(),
            ),
            (
                "CommonModules/Общий/Ext/Module.bsl",
                module(&["Общий"]).as_bytes(),
            ),
            ("CommonModules/Run/Ext/Module.bsl", english.as_bytes()),
            ("CommonModules/Пустой/Ext/Module.bsl", b""),
            ("CommonModules/Закрытый/Ext/Module.bsl", b"\x00\x01"),
        ],
    );
    git_repository(
        &dir.join("two.git"),
        &[
            ("src/Общий.os", module(&["Общий"]).as_bytes()),
            (
                "src/Иной.os",
                format!("{}\n{}", module(&["Скидки"]), module(&["Остатки"])).as_bytes(),
            ),
        ],
    );
    write_files(
        &dir.join("three"),
        &[("м.bsl", module(&["Цены", "Продажи"]).as_bytes())],
    );
    vec![
        spec(&dir.join("three"), "three", Role::Withheld),
        spec(&dir.join("one"), "one", Role::Train),
        spec(&dir.join("two.git"), "two", Role::Train),
    ]
}

#[test]
fn what_is_built_reads_back() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("out/corpus");
    let manifest = build(&config(sources(dir.path()), &out), &Silent).unwrap();
    let corpus = Corpus::open(&out).unwrap();
    corpus.verify().unwrap();
    assert_eq!(corpus.manifest(), &manifest);

    let projects: Vec<_> = corpus
        .projects()
        .iter()
        .map(|p| (p.name.as_str(), p.role, p.licence.as_str(), p.files.clone()))
        .collect();
    assert_eq!(
        projects,
        [
            ("one", Role::Train, "MIT", 0..3),
            ("two", Role::Train, "unknown", 3..4),
            ("three", Role::Withheld, "unknown", 4..5)
        ]
    );
    let texts: Vec<String> = (0..5).map(|file| corpus.text(file).unwrap()).collect();
    assert_eq!(corpus.files()[2].path, "CommonModules/Цены/Ext/Module.bsl");
    assert_eq!(texts[2], module(&["Цены", "Скидки"]));
    assert_eq!(texts[4], module(&["Цены", "Продажи"]));

    // Every method's tokens hold its text, and nothing but white space before it.
    for (file, text) in texts.iter().enumerate() {
        let record = corpus.file(file).unwrap();
        let methods = nestor_bsl::methods(text);
        assert_eq!(record.methods.len(), methods.len());
        for (span, method) in record.methods.iter().zip(methods) {
            let decoded = String::from_utf8(
                corpus
                    .tokenizer()
                    .decode(&record.tokens[span.tokens.clone()]),
            )
            .unwrap();
            assert_eq!(decoded.trim(), &text[method.span.clone()]);
            assert_eq!(span.hash, nestor_bsl::method_hash(&text[method.span]));
        }
    }
    let firsts = |file: usize| {
        corpus.files()[file]
            .methods
            .iter()
            .map(|method| method.is_first)
            .collect::<Vec<_>>()
    };
    assert_eq!(
        (firsts(2), firsts(3), firsts(4)),
        (vec![true, true], vec![false, true], vec![false, true])
    );
    assert_eq!(corpus.train_method_hashes().len(), 5);

    let one = &manifest.sources[0];
    assert_eq!(
        (
            one.counts.files,
            one.counts.stored_files,
            one.counts.empty_files,
            one.counts.skipped_files
        ),
        (3, 3, 1, 1)
    );
    assert_eq!(one.skipped[0].path, "CommonModules/Закрытый/Ext/Module.bsl");
    let two = &manifest.sources[1];
    assert_eq!(
        (
            two.counts.duplicate_files,
            two.counts.methods,
            two.counts.unique_methods
        ),
        (1, 3, 1)
    );
    assert!(two.revision.is_some());
    assert!(manifest.shards.len() > 1);
    assert_eq!(
        manifest.totals.tokens,
        corpus
            .files()
            .iter()
            .map(|file| file.n_tokens() as u64)
            .sum::<u64>()
    );
}

#[test]
fn the_same_build_gives_the_same_bytes() {
    let dir = tempfile::tempdir().unwrap();
    let sources = sources(dir.path());
    let bytes = |name: &str, threads: usize| {
        let out = dir.path().join(name);
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .build()
            .unwrap();
        pool.install(|| build(&config(sources.clone(), &out), &Silent))
            .unwrap();
        let mut files: Vec<_> = walkdir::WalkDir::new(&out)
            .into_iter()
            .map(|entry| entry.unwrap().into_path())
            .filter(|p| p.is_file())
            .collect();
        files.sort();
        files
            .iter()
            .map(|path| {
                (
                    path.strip_prefix(&out).unwrap().to_owned(),
                    std::fs::read(path).unwrap(),
                )
            })
            .collect::<Vec<_>>()
    };
    let first = bytes("a", 1);
    assert!(first.len() > 4);
    assert_eq!(first, bytes("b", 4));
    // Once more over the same folder: replaced, not added to.
    assert_eq!(first, bytes("a", 2));
}

#[test]
fn a_given_tokenizer_is_used() {
    let dir = tempfile::tempdir().unwrap();
    let first = config(sources(dir.path()), &dir.path().join("a"));
    let manifest = build(&first, &Silent).unwrap();
    let dev = vec![spec(&dir.path().join("three"), "three", Role::Dev)];
    let second = BuildConfig {
        tokenizer: Some(first.out.join(TOKENIZER_FILE)),
        ..config(dev, &dir.path().join("b"))
    };
    let second = build(&second, &Silent).unwrap();
    assert_eq!(second.tokenizer.sha256, manifest.tokenizer.sha256);
    assert_eq!(second.tokenizer.english_share, None);
}

#[test]
fn progress_counts_up_to_the_whole() {
    let dir = tempfile::tempdir().unwrap();
    let steps = std::sync::Mutex::new(Vec::new());
    let watch = |step: &Step<'_>| {
        steps
            .lock()
            .unwrap()
            .push((step.phase, step.done_files, step.total_files))
    };
    build(
        &config(sources(dir.path()), &dir.path().join("out")),
        &watch,
    )
    .unwrap();
    let steps = steps.into_inner().unwrap();
    let last = |phase: Phase| *steps.iter().rfind(|step| step.0 == phase).unwrap();
    assert_eq!(last(Phase::Reading), (Phase::Reading, 8, 8));
    assert_eq!(last(Phase::Encoding), (Phase::Encoding, 5, 5));
    assert!(steps.is_sorted_by_key(|step| step.0 as usize));
}

#[test]
fn wrong_configurations_are_named_and_leave_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let good = sources(dir.path());
    let out = dir.path().join("out");
    let check = |config: BuildConfig, expected: &str| {
        let error = build(&config, &Silent).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
        assert!(!out.exists() && !dir.path().join("out.part").exists());
    };
    check(config(vec![], &out), "no source");
    check(
        BuildConfig {
            vocab_size: 263,
            ..config(good.clone(), &out)
        },
        "vocab_size = 263",
    );
    check(
        BuildConfig {
            english_share: [0.5, 0.2],
            ..config(good.clone(), &out)
        },
        "english_share",
    );
    check(config(good[..1].to_vec(), &out), "role train");
    check(
        config(vec![good[1].clone(), good[1].clone()], &out),
        "`one`",
    );
    check(
        BuildConfig {
            tokenizer: Some(dir.path().join("нет.json")),
            ..config(good.clone(), &out)
        },
        "нет.json",
    );

    let below_file = good[0].path.join("м.bsl").join("out");
    assert!(matches!(
        build(&config(good.clone(), &below_file), &Silent),
        Err(CorpusError::Io { .. })
    ));
    check(
        config(vec![spec(&dir.path().join("нет"), "n", Role::Train)], &out),
        "нет: no such file",
    );
    write_files(
        &dir.path().join("binary"),
        &[("модуль.bsl", b"\x00\x01\x02")],
    );
    check(
        config(
            vec![spec(&dir.path().join("binary"), "b", Role::Train)],
            &out,
        ),
        "модуль.bsl",
    );
    std::fs::create_dir(dir.path().join("empty")).unwrap();
    check(
        config(
            vec![spec(&dir.path().join("empty"), "e", Role::Train)],
            &out,
        ),
        "empty: no .bsl or .os file",
    );
}

#[test]
fn what_the_metadata_says_is_kept_beside_the_header() {
    let dir = tempfile::tempdir().unwrap();
    let object = |tag: &str, name: &str, children: &str| {
        format!(
            "<MetaDataObject xmlns=\"http://v8.1c.ru/8.3/MDClasses\" version=\"2.17\"><{tag}><Properties><Name>{name}</Name></Properties>\
             <ChildObjects>{children}</ChildObjects></{tag}></MetaDataObject>"
        )
    };
    let attribute = "<Attribute><Properties><Name>Вес</Name></Properties></Attribute>";
    write_files(
        &dir.path().join("one"),
        &[
            (
                "Configuration.xml",
                object("Configuration", "База", "").as_bytes(),
            ),
            (
                "Catalogs/Цены.xml",
                object("Catalog", "Цены", attribute).as_bytes(),
            ),
            ("Catalogs/Битый.xml", b"<MetaDataObject"),
            (
                "Catalogs/Цены/Ext/ObjectModule.bsl",
                module(&["Цены"]).as_bytes(),
            ),
            (
                "Catalogs/Битый/Ext/ObjectModule.bsl",
                module(&["Битый"]).as_bytes(),
            ),
        ],
    );
    let out = dir.path().join("corpus");
    build(
        &config(
            vec![spec(&dir.path().join("one"), "one", Role::Train)],
            &out,
        ),
        &Silent,
    )
    .unwrap();
    let corpus = Corpus::open(&out).unwrap();
    let outline = |path: &str| {
        let file = corpus
            .files()
            .iter()
            .position(|file| file.path == path)
            .unwrap();
        corpus.file(file).unwrap().outline
    };
    assert_eq!(outline("Catalogs/Цены/Ext/ObjectModule.bsl"), "Вес");
    assert_eq!(outline("Catalogs/Битый/Ext/ObjectModule.bsl"), "");

    // A corpus of before has no outlines and is read all the same.
    let path = out.join(crate::manifest::MANIFEST_FILE);
    let manifest = std::fs::read_to_string(&path).unwrap();
    std::fs::write(
        &path,
        manifest.replacen("\"format_version\": 2", "\"format_version\": 1", 1),
    )
    .unwrap();
    Corpus::open(&out).unwrap();
}
