//! What protects the memories of levels 2 and 3: snapshots to go back to, a canary, quarantine.
#![allow(
    clippy::unwrap_used,
    reason = "clippy's exception for tests does not know helpers of integration tests"
)]

mod fixture;

use std::path::PathBuf;

use fixture::{MODULE, assistant, file};
use nestor_assist::stream::FileStream;
use nestor_assist::{
    Assistant, CanaryConfig, CompleteRequest, LearnFile, LevelMemories, LevelMemoriesConfig, Speed,
    TeachReport,
};
use nestor_bsl::position::ByteOffset;
use nestor_engine::DocumentReader;
use nestor_memory::{FileToLearn, KeptLevels, LEVELS_FILE, ProjectWriter, Projects, Root};
use tempfile::TempDir;

fn projects(dir: &TempDir) -> Projects {
    Projects::at(dir.path())
}

fn writer(assistant: &Assistant, dir: &TempDir) -> ProjectWriter {
    fixture::writer(assistant, dir.path(), 7)
}

fn module(idx: usize) -> String {
    format!("CommonModules/Модуль{idx}/Ext/Module.bsl")
}

fn good(idx: usize) -> LearnFile {
    let text = MODULE.replace("Склад", &format!("Склад{idx}"));
    file(
        &module(idx),
        &text.replace("Остатки", &format!("Запасы{}", idx % 5)),
    )
}

/// Learns files beside those that the root has, past the filter of what is learned: the protection must hold without it.
fn learn(assistant: &Assistant, writer: &mut ProjectWriter, files: &[LearnFile]) {
    learn_root(assistant, writer, "cf", false, files);
}

/// The same for another root, whose code may be a vendor's.
fn learn_root(
    assistant: &Assistant,
    writer: &mut ProjectWriter,
    root: &str,
    vendor: bool,
    files: &[LearnFile],
) {
    for file in files {
        let path = format!("{root}/{}", file.path);
        let stream = FileStream::new(assistant.tokenizer(), &path, file.text.clone());
        writer
            .learn(&FileToLearn {
                root,
                path: &path,
                sha256: &nestor_engine::sha256_hex(file.text.as_bytes()),
                pieces: stream.tokens(),
                weight: 1.0,
                filter: None,
                vendor,
            })
            .unwrap();
    }
    writer.commit().unwrap();
}

/// A canary that costs little on a slow build of the network.
fn small_canary() -> CanaryConfig {
    CanaryConfig {
        own_pieces: 256,
        fixed_pieces: 128,
        ..CanaryConfig::default()
    }
}

fn teach(assistant: &Assistant, writer: &mut ProjectWriter) -> TeachReport {
    teach_under(assistant, writer, small_canary())
}

fn teach_under(
    assistant: &Assistant,
    writer: &mut ProjectWriter,
    config: CanaryConfig,
) -> TeachReport {
    assistant
        .teach_project_watched(writer, u64::MAX, config, &mut |_| true)
        .unwrap()
}

/// Learns and teaches files one call a file, so that each leaves a snapshot; the pieces of each.
fn teach_one_by_one(
    assistant: &Assistant,
    writer: &mut ProjectWriter,
    files: impl Iterator<Item = usize>,
) -> Vec<u64> {
    files
        .map(|idx| {
            // Each in a call of its own.
            writer.set_time(writer.time() + 1);
            learn(assistant, writer, &[good(idx)]);
            let report = teach(assistant, writer);
            assert_eq!((report.files, report.refused), (1, 0));
            report.pieces
        })
        .collect()
}

/// The memories as a reader finds them.
fn levels(assistant: &Assistant, dir: &TempDir) -> Option<Vec<u8>> {
    let store = projects(dir).open(&"erp".parse().unwrap()).unwrap();
    let mut opened = assistant.clone();
    opened.load_project(&store, 1, &mut |_| {}).unwrap();
    opened.memory().levels().map(|levels| levels.to_bytes())
}

fn level_files(dir: &TempDir) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(dir.path().join("erp")).unwrap();
    let mut found: Vec<PathBuf> = entries
        .map(|entry| entry.unwrap().path())
        .filter(|path| {
            path.file_name()
                .unwrap()
                .to_string_lossy()
                .starts_with("levels.")
        })
        .collect();
    found.sort();
    found
}

fn completions(assistant: &Assistant, dir: &TempDir) -> Vec<(String, u32)> {
    let store = projects(dir).open(&"erp".parse().unwrap()).unwrap();
    let mut opened = assistant.clone();
    opened.load_project(&store, 1, &mut |_| {}).unwrap();
    [
        "Запрос.Устан",
        "Выборка = Запрос.",
        "If Value = Undef",
        "\tПока ",
    ]
    .iter()
    .map(|seen| {
        let end = MODULE.find(seen).unwrap() + seen.len();
        let path = "cf/CommonModules/Новый/Ext/Module.bsl";
        let mut request = CompleteRequest::new(path, &MODULE[..end], ByteOffset(end));
        request.speed = Speed::Accurate;
        let completion = opened.complete(&request).unwrap();
        (completion.insert, completion.confidence.to_bits())
    })
    .collect()
}

#[test]
fn rolling_back_gives_the_answers_of_then_and_teaches_nothing_anew() {
    let dir = tempfile::tempdir().unwrap();
    let assistant = assistant(3, None);
    let mut writer = writer(&assistant, &dir);
    teach_one_by_one(&assistant, &mut writer, 0..3);
    let then = writer.history().len() as u64;
    let (levels_then, answers_then) = (levels(&assistant, &dir), completions(&assistant, &dir));
    teach_one_by_one(&assistant, &mut writer, 3..5);
    let now = writer.history().len() as u64;
    let (levels_now, answers_now) = (levels(&assistant, &dir), completions(&assistant, &dir));
    assert_ne!(levels_then, levels_now);

    writer.rollback(then).unwrap();
    assert!(
        levels(&assistant, &dir).is_some(),
        "an outline serves readers"
    );
    assert!(writer.taught_pieces() > 0);
    let report = teach(&assistant, &mut writer);
    assert_eq!((report.files, report.pieces, report.pieces_left), (0, 0, 0));
    assert!(report.pieces_read_again > 0);
    assert!(levels(&assistant, &dir) == levels_then, "bit for bit");
    assert_eq!(completions(&assistant, &dir), answers_then);

    // And forth again: the files taken back are taught again, as they were.
    writer.rollback(now).unwrap();
    assert_eq!(teach(&assistant, &mut writer).files, 2);
    assert!(levels(&assistant, &dir) == levels_now);
    assert_eq!(completions(&assistant, &dir), answers_now);
}

#[test]
fn each_root_and_a_vendors_code_teach_strands_of_their_own() {
    let dir = TempDir::new().unwrap();
    let assistant = assistant(3, None);
    let mut writer = writer(&assistant, &dir);
    learn(&assistant, &mut writer, &[good(0), good(1)]);
    teach(&assistant, &mut writer);
    let open = |assistant: &Assistant| {
        let store = projects(&dir).open(&"erp".parse().unwrap()).unwrap();
        let mut opened = assistant.clone();
        opened.load_project(&store, 1, &mut |_| {}).unwrap();
        opened
    };
    let own = |assistant: &Assistant| {
        let path = format!("cf/{}", module(9));
        let levels = assistant.memory().levels_for(&path).unwrap();
        bits(assistant, &levels)
    };
    let before = own(&open(&assistant));
    writer
        .set_root(&Root {
            name: "lib".to_owned(),
            location: "lib".to_owned(),
            role: None,
        })
        .unwrap();
    learn_root(&assistant, &mut writer, "lib", false, &[good(2)]);
    learn_root(&assistant, &mut writer, "cf", true, &[good(3)]);
    teach(&assistant, &mut writer);
    let opened = open(&assistant);
    // Nothing that others have taught is in what own code uses.
    assert_eq!(own(&opened), before);
    let memory = opened.memory();
    let strand = |path: &str| {
        let levels = memory.levels_for(path).unwrap();
        levels.strands().next().unwrap().to_owned()
    };
    assert_eq!(strand(&format!("cf/{}", module(0))), "cf");
    assert_eq!(strand("cf/CommonModules/Новый/Ext/Module.bsl"), "cf");
    assert_eq!(strand(&format!("cf/{}", module(3))), "cf/vendor");
    assert_eq!(strand(&format!("lib/{}", module(2))), "lib");
    // A path outside the roots is read with what learned last.
    assert_eq!(strand("Файл.bsl"), "cf/vendor");
}

#[test]
fn the_nearest_states_are_those_of_the_newest_own_code() {
    let dir = TempDir::new().unwrap();
    let mut assistant = assistant(3, None);
    let mut writer = writer(&assistant, &dir);
    let files: Vec<LearnFile> = (0..6).map(good).collect();
    learn(&assistant, &mut writer, &files);
    let one = writer.n_pieces() / 6;
    // Room for two files and a half.
    let mut config = assistant.level_config();
    config.episodic.capacity = (one * 5 / 2) as usize;
    assistant.set_level_config(config);
    writer.set_time(8);
    learn_root(&assistant, &mut writer, "cf", true, &[good(6), good(7)]);
    let hashes = |writer: &ProjectWriter| {
        let texts = writer.untaught(&[], config.episodic.capacity as u64);
        let recalled = texts.iter().filter(|text| text.recalled);
        recalled.map(|text| text.path.clone()).collect::<Vec<_>>()
    };
    // Of one call what was learned first is the newest, and the one that is half inside counts.
    let newest = [0, 1, 2].map(|idx| format!("cf/{}", module(idx)));
    assert_eq!(hashes(&writer), newest);
    teach(&assistant, &mut writer);
    let memories = whole_levels(&assistant, &writer);
    assert!(memories.tokens() > 7 * (one - 20));
    // Asked what follows its own states, the memory of a file that is recalled is sure, and that of another is not.
    let bits_of = |idx: usize| {
        let path = format!("cf/{}", module(idx));
        let stream = FileStream::new(assistant.tokenizer(), &path, good(idx).text);
        let (opening, text) = stream.opening_and_text();
        let model = assistant.model();
        let mut reader = DocumentReader::new(model.clone(), opening, 1).unwrap();
        let rows = reader.read(text).unwrap();
        let probs = memories.recall(model, &rows[1]).unwrap();
        let of = |(probs, token): (&[f32], &u32)| -f64::from(probs[*token as usize]).log2();
        let vocab = model.config().vocab;
        let bits: f64 = probs.chunks_exact(vocab).zip(text).map(of).sum();
        bits / text.len() as f64
    };
    let (own, vendor) = (bits_of(0), bits_of(6));
    assert!(own < 0.5 * vendor, "{own} {vendor}");
    // A save is newer than all.
    writer.set_time(9);
    learn(&assistant, &mut writer, &[good(9)]);
    assert_eq!(hashes(&writer)[0], format!("cf/{}", module(9)));
    teach(&assistant, &mut writer);
    let expected = writer.n_pieces();
    assert_eq!(writer.taught_pieces(), expected);
}

#[test]
fn forgetting_goes_on_from_what_never_saw_it() {
    let (dir, never) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let assistant = assistant(3, None);
    let mut writer_of_all = writer(&assistant, &dir);
    let pieces = teach_one_by_one(&assistant, &mut writer_of_all, 0..5);
    let n_files = level_files(&dir).len();
    writer_of_all.forget(&format!("cf/{}", module(3))).unwrap();
    let left = level_files(&dir);
    assert_eq!(
        left.len(),
        n_files - 3,
        "the newest, and two snapshots: {left:?}"
    );
    assert!(!left.iter().any(|path| path.ends_with(LEVELS_FILE)));
    let snapshots = writer_of_all.snapshots();
    assert!(!snapshots.is_empty() && snapshots.iter().all(|snapshot| snapshot.holds));

    let report = teach(&assistant, &mut writer_of_all);
    assert_eq!(
        (report.files, report.pieces),
        (1, pieces[4]),
        "only what came after"
    );
    let mut without = writer(&assistant, &never);
    teach_one_by_one(&assistant, &mut without, [0, 1, 2, 4].into_iter());
    assert!(levels(&assistant, &dir).is_some());
    assert!(
        levels(&assistant, &dir) == levels(&assistant, &never),
        "bit for bit"
    );

    // What was seen by all of them leaves none.
    writer_of_all.forget(&format!("cf/{}", module(0))).unwrap();
    assert_eq!(level_files(&dir), Vec::<PathBuf>::new());
    assert_eq!(levels(&assistant, &dir), None);
    assert_eq!(teach(&assistant, &mut writer_of_all).files, 3);
}

#[test]
fn a_file_that_was_changed_or_that_its_source_lost_leaves_the_snapshots_in_use() {
    let dir = tempfile::tempdir().unwrap();
    let assistant = assistant(3, None);
    let mut writer = writer(&assistant, &dir);
    teach_one_by_one(&assistant, &mut writer, 0..4);
    let mut changed = good(1);
    changed.text.push_str("// ещё\n");
    learn(&assistant, &mut writer, &[changed]);
    assert!(writer.snapshots().iter().all(|snapshot| snapshot.holds));
    assert_eq!(teach(&assistant, &mut writer).files, 1);
    writer.retire(&format!("cf/{}", module(3))).unwrap();
    writer.commit().unwrap();
    assert!(writer.snapshots().iter().all(|snapshot| snapshot.holds));
    assert_eq!(teach(&assistant, &mut writer).files, 0);
    // It comes back as it was.
    learn(&assistant, &mut writer, &[good(3)]);
    assert!(writer.snapshots().iter().all(|snapshot| snapshot.holds));
}

#[test]
fn snapshots_are_few_and_a_damaged_one_gives_way_to_another() {
    let dir = tempfile::tempdir().unwrap();
    let assistant = assistant(3, None);
    let mut writer = writer(&assistant, &dir);
    teach_one_by_one(&assistant, &mut writer, 0..9);
    let files = level_files(&dir);
    assert_eq!(files.len(), 7, "{files:?}");
    let expected = levels(&assistant, &dir);
    let newest = dir.path().join("erp").join(LEVELS_FILE);
    let whole = std::fs::read(&newest).unwrap();
    for at in [3, 20, 60, whole.len() / 2, whole.len() - 1] {
        let mut damaged = whole.clone();
        damaged[at] ^= 0x10;
        std::fs::write(&newest, &damaged).unwrap();
        assert!(levels(&assistant, &dir).is_some(), "byte {at}");
        let report = teach(&assistant, &mut writer);
        assert_eq!(report.pieces, 0, "the snapshot beside it has seen as much");
        assert!(levels(&assistant, &dir) == expected, "byte {at}");
    }
    // The newest and the newest snapshot: an earlier one, and what came after it.
    let snapshots = writer.snapshots();
    let newest_snapshot = newest.with_file_name(format!("levels.{}.bin", snapshots[0].seq));
    for path in [&newest, &newest_snapshot] {
        let bytes = std::fs::read(path).unwrap();
        std::fs::write(path, &bytes[..bytes.len() - 9]).unwrap();
    }
    assert_eq!(teach(&assistant, &mut writer).files, 1);
    assert!(levels(&assistant, &dir) == expected);
}

/// What an older or newer program has learned is not looked into: it is made again.
#[test]
fn memories_of_another_format_version_are_made_again_and_break_nothing() {
    let dir = TempDir::new().unwrap();
    let assistant = assistant(3, None);
    let mut writer = writer(&assistant, &dir);
    learn(&assistant, &mut writer, &[good(0), good(1)]);
    teach(&assistant, &mut writer);
    let expected = levels(&assistant, &dir);
    assert!(expected.is_some());
    for path in level_files(&dir) {
        let mut bytes = std::fs::read(&path).unwrap();
        // The version stands behind the magic bytes; the rest need not make sense in another one.
        bytes[8] -= 1;
        bytes.truncate(100);
        std::fs::write(&path, bytes).unwrap();
    }
    assert_eq!(levels(&assistant, &dir), None);
    assert_eq!(teach(&assistant, &mut writer).files, 2);
    assert!(levels(&assistant, &dir) == expected);
}

/// A path that cannot be created stands for a full disk.
#[test]
fn what_cannot_be_saved_leaves_what_was_there() {
    let dir = tempfile::tempdir().unwrap();
    let assistant = assistant(3, None);
    let mut writer = writer(&assistant, &dir);
    teach_one_by_one(&assistant, &mut writer, 0..2);
    let before = levels(&assistant, &dir);
    learn(&assistant, &mut writer, &[good(2)]);
    let in_the_way = dir.path().join("erp").join(format!("{LEVELS_FILE}.part"));
    std::fs::create_dir(&in_the_way).unwrap();
    let error = assistant
        .teach_project(&mut writer, u64::MAX, &mut |_| true)
        .unwrap_err();
    assert!(error.to_string().contains(LEVELS_FILE), "{error}");
    assert!(levels(&assistant, &dir) == before);
    std::fs::remove_dir(&in_the_way).unwrap();
    drop(writer);
    let mut writer = self::writer(&assistant, &dir);
    teach(&assistant, &mut writer);
    assert_eq!(writer.taught_pieces(), writer.n_pieces());
}

/// Bits that the exits with their memories lose on code of the project which teaches nothing.
fn bits(assistant: &Assistant, levels: &LevelMemories) -> Vec<f64> {
    let losses = assistant.exit_losses(levels, &good(99)).unwrap();
    losses.per_piece()[1..].to_vec()
}

fn whole_levels(assistant: &Assistant, writer: &ProjectWriter) -> LevelMemories {
    let config = LevelMemoriesConfig::default();
    match writer.newest_levels(config, assistant.model()).unwrap() {
        Some(KeptLevels::Whole(levels)) => levels.memories,
        other => panic!("{other:?}"),
    }
}

/// Texts that look like code and are none.
fn poisons() -> Vec<(&'static str, String)> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = |n: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 33) as usize % n
    };
    let words = [
        "Если",
        "Тогда",
        ";",
        "=",
        "Процедура",
        "Запрос",
        ".",
        "Выборка",
        "(",
        ")",
        "Цикл",
        "\n",
        "\t",
    ];
    let letters: Vec<char> = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/\n"
        .chars()
        .collect();
    let wrong = "\tВыборка = Запрос.Сообщить(КонецЦикла).Возврат();\n";
    vec![
        ("the same wrong continuation", wrong.repeat(1000)),
        (
            "words in no order",
            (0..3000)
                .map(|_| format!("{} ", words[next(words.len())]))
                .collect(),
        ),
        (
            "letters in no order",
            (0..4000).map(|_| letters[next(letters.len())]).collect(),
        ),
    ]
}

/// A project of eight taught files, then poison among three more, taught under a canary; gives back what happened and the losses
/// on code of the project: with nothing learned, before the poison, after it.
struct Poisoned {
    assistant: Assistant,
    dir: TempDir,
    report: TeachReport,
    base: Vec<f64>,
    before: Vec<f64>,
    after: Vec<f64>,
}

fn first_files() -> Vec<LearnFile> {
    (0..8).map(good).collect()
}

fn poisoned(text: &str, config: CanaryConfig) -> Poisoned {
    let dir = tempfile::tempdir().unwrap();
    let assistant = assistant(3, None);
    let mut writer = writer(&assistant, &dir);
    learn(&assistant, &mut writer, &first_files());
    teach(&assistant, &mut writer);
    let silent = assistant
        .empty_levels(LevelMemoriesConfig::default())
        .unwrap();
    let base = bits(&assistant, &silent);
    let before = bits(&assistant, &whole_levels(&assistant, &writer));
    let poison = file(&module(50), text);
    let mixed = [good(8), good(9), poison, good(10)];
    learn(&assistant, &mut writer, &mixed);
    let report = teach_under(&assistant, &mut writer, config);
    let after = bits(&assistant, &whole_levels(&assistant, &writer));
    drop(writer);
    Poisoned {
        assistant,
        dir,
        report,
        base,
        before,
        after,
    }
}

#[test]
fn poison_is_caught_or_harmless() {
    for (what, text) in poisons() {
        let config = small_canary();
        let found = poisoned(&text, config);
        for ((after, before), base) in found.after.iter().zip(&found.before).zip(&found.base) {
            assert!(
                *after <= before + config.own_over_before * base,
                "{what}: {before} -> {after}, base {base}"
            );
            assert!(
                *after <= base * (1.0 + config.over_base),
                "{what}: {base} -> {after}"
            );
        }
        let quarantined: Vec<&str> = found
            .report
            .quarantined
            .iter()
            .map(|one| one.path.as_str())
            .collect();
        assert!(
            quarantined.is_empty() || quarantined == [format!("cf/{}", module(50))],
            "{what}: {quarantined:?}"
        );
    }
}

#[test]
fn a_file_that_does_harm_is_found_among_others_and_stays_out() {
    let (what, text) = poisons().remove(0);
    // What the memories of so small a network can lose by it is little, so the canary must be strict.
    let strict = CanaryConfig {
        own_over_before: 0.015,
        ..small_canary()
    };
    let found = poisoned(&text, strict);
    let path = format!("cf/{}", module(50));
    let quarantined: Vec<&str> = found
        .report
        .quarantined
        .iter()
        .map(|one| one.path.as_str())
        .collect();
    assert_eq!(quarantined, [path.as_str()], "{what}");
    assert_eq!((found.report.refused, found.report.files), (1, 3));
    assert_eq!(found.report.pieces_left, 0);

    // It stays there, also for who opens the project again, until its text changes.
    let mut writer = writer(&found.assistant, &found.dir);
    assert_eq!(writer.quarantined(), found.report.quarantined);
    let report = teach_under(&found.assistant, &mut writer, strict);
    assert_eq!(
        (report.files, report.refused, report.pieces_left),
        (0, 0, 0)
    );
    assert_eq!(writer.quarantined().len(), 1);
    learn(&found.assistant, &mut writer, &[good(50)]);
    assert_eq!(writer.quarantined(), []);
    assert_eq!(teach_under(&found.assistant, &mut writer, strict).files, 1);

    // As if it had never been there.
    let clean_dir = tempfile::tempdir().unwrap();
    let mut clean = self::writer(&found.assistant, &clean_dir);
    for files in [
        &first_files()[..],
        &[good(8), good(9), good(10)],
        &[good(50)],
    ] {
        learn(&found.assistant, &mut clean, files);
        teach(&found.assistant, &mut clean);
    }
    assert!(levels(&found.assistant, &found.dir) == levels(&found.assistant, &clean_dir));
}

#[test]
fn a_canary_that_lets_nothing_pass_keeps_out_whatever_it_can_judge() {
    let dir = tempfile::tempdir().unwrap();
    let assistant = assistant(3, None);
    let mut writer = writer(&assistant, &dir);
    let files: Vec<LearnFile> = (0..3).map(good).collect();
    learn(&assistant, &mut writer, &files);
    let nothing_passes = CanaryConfig {
        stretch: 1,
        own_over_before: -1.0,
        ..small_canary()
    };
    let report = teach_under(&assistant, &mut writer, nothing_passes);
    // The last has no other code of the project beside it.
    assert_eq!((report.files, report.accepted, report.refused), (1, 1, 2));
    assert_eq!((report.quarantined.len(), report.pieces_left), (2, 0));
    assert_eq!(writer.taught_pieces(), report.pieces);
    assert_eq!(writer.n_files(), 3, "they count as before");
}

#[test]
fn a_damaged_quarantine_is_made_again() {
    let dir = tempfile::tempdir().unwrap();
    let assistant = assistant(3, None);
    let mut writer = writer(&assistant, &dir);
    learn(&assistant, &mut writer, &[good(0)]);
    let kept = dir.path().join("erp").join("quarantine.json");
    for bytes in ["", "{}", "{\"format_version\":9}", "\u{0}"] {
        std::fs::write(&kept, bytes).unwrap();
        assert_eq!(writer.quarantined(), []);
    }
    teach(&assistant, &mut writer);
    assert_eq!(writer.taught_pieces(), writer.n_pieces());
    writer.save_quarantine(&[], assistant.model()).unwrap();
    drop(writer);
    assert!(kept.exists());
    let writer = self::writer(&assistant, &dir);
    assert_eq!(writer.quarantined(), []);
    assert!(kept.exists(), "it is part of the project");
}

#[test]
fn an_open_file_is_not_told_what_its_own_text_has_left_in_the_memories() {
    let assistant = assistant(3, None);
    let width = assistant.model().config().width;
    let row = |seed: usize| -> Vec<f32> {
        (0..width)
            .map(|at| ((at * 7 + seed * 13) % 11) as f32 - 5.0)
            .collect()
    };
    let rows: Vec<f32> = (0..6).flat_map(row).collect();
    // What a project that has taught these files recalls for the module `asked`.
    let recalled = |files: &[LearnFile], asked: usize| {
        let dir = TempDir::new().unwrap();
        let mut writer = writer(&assistant, &dir);
        learn(&assistant, &mut writer, files);
        assert_eq!(teach(&assistant, &mut writer).refused, 0);
        drop(writer);
        let store = projects(&dir).open(&"erp".parse().unwrap()).unwrap();
        let mut opened = assistant.clone();
        opened.load_project(&store, 1, &mut |_| {}).unwrap();
        let path = format!("cf/{}", module(asked));
        let levels = opened.memory().levels_for(&path).unwrap();
        levels.recall(opened.model(), &rows).unwrap()
    };
    let changed = file(&module(1), &good(7).text);
    let both = recalled(&[good(0), good(1)], 1);
    assert_eq!(both, recalled(&[good(0)], 1), "its states are hidden");
    assert_ne!(both, recalled(&[good(0), good(1)], 2), "from it alone");
    assert_ne!(both, recalled(&[good(0), good(1)], 0));
    let flat = vec![1.0 / assistant.model().config().vocab as f32; both.len()];
    assert_ne!(both, flat, "what other files have left is recalled");
    // A text that another has replaced is as much its own.
    let dir = TempDir::new().unwrap();
    let mut writer = writer(&assistant, &dir);
    for files in [vec![good(0), good(1)], vec![changed]] {
        learn(&assistant, &mut writer, &files);
        teach(&assistant, &mut writer);
    }
    drop(writer);
    let store = projects(&dir).open(&"erp".parse().unwrap()).unwrap();
    let mut opened = assistant.clone();
    opened.load_project(&store, 1, &mut |_| {}).unwrap();
    let levels = opened.memory().levels_for(&format!("cf/{}", module(1)));
    assert_eq!(levels.unwrap().recall(opened.model(), &rows).unwrap(), both);
}
