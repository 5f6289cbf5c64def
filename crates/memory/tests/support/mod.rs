//! What the tests share: a folder of projects, files of made-up pieces, predictions to compare.
#![allow(dead_code, reason = "not every test binary uses all of it")]
#![allow(
    clippy::unwrap_used,
    reason = "clippy's exception for tests does not know helpers of integration tests"
)]

use std::path::PathBuf;

use nestor_cache::{NESTS, NestPrediction, NestedCache};
use nestor_memory::{
    Change, FileToLearn, ModelIdentity, ProjectCounts, ProjectName, ProjectStore, ProjectWriter,
    Projects, Role, Root, WhenBusy,
};
use tempfile::TempDir;

pub const VOCAB: u32 = 300;

/// A folder of projects that goes away with the value.
pub struct Place {
    pub dir: TempDir,
    pub projects: Projects,
}

pub fn place() -> Place {
    let dir = tempfile::tempdir().unwrap();
    let projects = Projects::at(dir.path().join("проекты"));
    Place { dir, projects }
}

pub fn name() -> ProjectName {
    "Торговля".parse().unwrap()
}

pub fn model() -> ModelIdentity {
    ModelIdentity {
        model_sha256: Some("aa".repeat(32)),
        tokenizer_sha256: "bb".repeat(32),
        vocabulary: VOCAB,
    }
}

pub fn root() -> Root {
    Root {
        name: "cf".to_owned(),
        location: "/src/cf".to_owned(),
        role: Some(Role::Base),
    }
}

/// The project, opened to change, with its root told.
pub fn writer(projects: &Projects) -> ProjectWriter {
    let mut writer = projects
        .open_or_create(&name(), &model(), WhenBusy::Fail, 1_700_000_000)
        .unwrap();
    writer.set_root(&root()).unwrap();
    writer
}

pub fn open(projects: &Projects) -> ProjectStore {
    projects.open(&name()).unwrap()
}

/// Pieces with repetitions, the same for the same seed.
pub fn pieces(seed: u64) -> Vec<u32> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = |n: u64| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state % n
    };
    let phrases = 20 + next(20);
    (0..phrases)
        .flat_map(|_| {
            let phrase = next(12);
            (0..5 + next(20)).map(move |i| (phrase * 7 + i * (phrase + 1)) % u64::from(VOCAB))
        })
        .map(|piece| piece as u32)
        .collect()
}

pub fn path(idx: u64) -> String {
    format!("cf/CommonModules/Модуль{idx}/Ext/Module.bsl")
}

pub fn sha(seed: u64) -> String {
    format!("{seed:064x}")
}

/// Learns the text `seed` as file `idx`.
pub fn learn(writer: &mut ProjectWriter, idx: u64, seed: u64) -> Change {
    learn_as(writer, &path(idx), seed)
}

pub fn learn_as(writer: &mut ProjectWriter, path: &str, seed: u64) -> Change {
    writer
        .learn(&FileToLearn {
            root: "cf",
            path,
            sha256: &sha(seed),
            pieces: &pieces(seed),
            weight: 1.0,
            filter: None,
            vendor: false,
        })
        .unwrap()
}

/// The key of a module folder, as the tests cut it: two modules share one.
pub fn folder(path: &str) -> String {
    let digits: String = path.chars().filter(char::is_ascii_digit).collect();
    format!("folder{}", digits.parse::<u64>().unwrap_or(0) / 2)
}

pub fn counts(store: &ProjectStore) -> ProjectCounts {
    store.load_counts(None, &folder, 2, &mut |_| {}).unwrap()
}

/// Counts of files that were never on disk: `(idx, seed)` in the order of learning.
pub fn counts_of(files: &[(u64, u64)]) -> ProjectCounts {
    let mut counts = ProjectCounts::new(VOCAB as usize, None).unwrap();
    for &(idx, seed) in files {
        counts
            .learn(&path(idx), &folder(&path(idx)), &pieces(seed))
            .unwrap();
    }
    counts
}

/// The same for files that one call has learned and that were loaded: what was learned first is counted last.
pub fn loaded_counts_of(files: &[(u64, u64)]) -> ProjectCounts {
    let reversed: Vec<_> = files.iter().rev().copied().collect();
    counts_of(&reversed)
}

/// Predictions for contexts of a few texts, seen from an open file of the project and from a new one.
pub fn predictions(counts: &ProjectCounts) -> Vec<f32> {
    let mut all = Vec::new();
    let mut out = NestPrediction::new(VOCAB as usize);
    for (open, seed) in [(path(1), 1), (path(4), 4), ("cf/new.bsl".to_owned(), 77)] {
        let cache: NestedCache = counts.cache_for(&open, &folder(&open)).unwrap();
        let text = pieces(seed);
        for end in (0..text.len()).step_by(23) {
            cache.predict(&text[..end], &mut out);
            for nest in NESTS {
                all.extend_from_slice(out.probabilities(nest));
            }
        }
    }
    all
}

/// Equal up to the rounding of sums that were taken in another order.
pub fn assert_close(one: &ProjectCounts, other: &ProjectCounts) {
    assert_eq!(one.n_files(), other.n_files());
    assert_eq!(one.n_pieces(), other.n_pieces());
    let (one, other) = (predictions(one), predictions(other));
    assert_eq!(one.len(), other.len());
    for (a, b) in one.iter().zip(&other) {
        assert!((a - b).abs() < 1e-5, "{a} {b}");
    }
}

/// The only file in the project's folder whose name starts like this.
pub fn file(projects: &Projects, start: &str) -> PathBuf {
    let dir = projects.dir().join(name().as_str());
    let found: Vec<PathBuf> = std::fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| {
            path.file_name()
                .unwrap()
                .to_string_lossy()
                .starts_with(start)
        })
        .collect();
    assert_eq!(found.len(), 1, "{found:?}");
    found[0].clone()
}
