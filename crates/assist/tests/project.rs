//! A project on disk and the assistant: what was learned once is there again, only changes are learned.
#![allow(
    clippy::unwrap_used,
    reason = "clippy's exception for tests does not know helpers of integration tests"
)]

mod fixture;

use fixture::{MODULE, assistant, file, module as code};
use nestor_assist::{
    AssistError, Assistant, CompleteRequest, Counts, LearnFile, ProjectReport, Speed,
};
use nestor_bsl::position::ByteOffset;
use nestor_memory::{MemoryError, ProjectStore, ProjectWriter, Projects, WhenBusy};
use tempfile::TempDir;

/// Learns the files as everything that the root `cf` has now.
fn learn(
    assistant: &mut Assistant,
    writer: &mut ProjectWriter,
    files: &[LearnFile],
    counts: Counts,
) -> ProjectReport {
    let mut learning = assistant.learn_project(writer, "cf", counts).unwrap();
    for batch in files.chunks(2) {
        learning.learn(batch).unwrap();
    }
    learning.finish().unwrap()
}

fn projects(dir: &TempDir) -> Projects {
    Projects::at(dir.path())
}

fn writer(assistant: &Assistant, dir: &TempDir) -> ProjectWriter {
    fixture::writer(assistant, dir.path(), 0)
}

/// Numbers of modules that are no copies of each other.
const NUMBERS: [usize; 4] = [1, 2, 4, 5];

fn module(idx: usize) -> String {
    format!("CommonModules/Модуль{idx}/Ext/Module.bsl")
}

/// What is offered at a few places, with all that is known of it but the time.
fn completions(assistant: &Assistant) -> Vec<(String, f32)> {
    let places = [
        "Запрос.Устан",
        "Выборка = Запрос.",
        "If Value = Undef",
        "\tПока ",
    ];
    places
        .iter()
        .map(|seen| {
            let end = MODULE.find(seen).unwrap() + seen.len();
            let path = format!("cf/{}", module(1));
            let mut request = CompleteRequest::new(path, &MODULE[..end], ByteOffset(end));
            request.speed = Speed::Accurate;
            let completion = assistant.complete(&request).unwrap();
            (completion.insert, completion.confidence)
        })
        .collect()
}

#[test]
fn a_project_opened_again_completes_as_it_did_in_memory() {
    let dir = tempfile::tempdir().unwrap();
    let mut in_ram = assistant(2, None);
    let mut writer = writer(&in_ram, &dir);
    let other = code(2);
    let crlf = format!("\u{feff}{}", code(4).replace('\n', "\r\n"));
    let mut files = vec![
        file(&module(1), MODULE),
        file(&module(2), &other),
        file(&module(3), &crlf),
    ];
    let report = learn(&mut in_ram, &mut writer, &files, Counts::Follow);
    assert_eq!((report.new, report.changed, report.removed), (3, 0, 0));
    assert_eq!(report.pieces, in_ram.memory().n_pieces());

    files[1].text.push_str("// ещё\n");
    files.remove(0);
    let report = learn(&mut in_ram, &mut writer, &files, Counts::Follow);
    assert_eq!(
        (report.new, report.changed, report.unchanged, report.removed),
        (0, 1, 1, 1)
    );
    assert!(!in_ram.memory().holds(&format!("cf/{}", module(1))));
    drop(writer);

    let mut again = assistant(2, None);
    let store = projects(&dir).open(&"erp".parse().unwrap()).unwrap();
    again.load_project(&store, 2, &mut |_| {}).unwrap();
    assert_eq!(again.memory().n_files(), 2);
    assert_eq!(again.memory().n_pieces(), in_ram.memory().n_pieces());
    for ((text, a), (expected, b)) in completions(&again).into_iter().zip(completions(&in_ram)) {
        assert_eq!(text, expected);
        assert!((a - b).abs() < 1e-5, "{a} {b}");
    }

    // What was learned for later is the same as what was learned at once.
    let elsewhere = tempfile::tempdir().unwrap();
    let mut for_later = assistant(2, None);
    let mut writer = self::writer(&for_later, &elsewhere);
    learn(&mut for_later, &mut writer, &files, Counts::Stay);
    assert_eq!(for_later.memory().n_files(), 0);
    for_later.load_project(&writer, 1, &mut |_| {}).unwrap();
    assert_eq!(for_later.memory().n_pieces(), in_ram.memory().n_pieces());
}

#[test]
fn changes_of_a_loaded_project_are_counted_without_the_rest() {
    let dir = tempfile::tempdir().unwrap();
    let mut assistant = assistant(2, None);
    let mut writer = writer(&assistant, &dir);
    let mut files = vec![
        file(&module(1), MODULE),
        file(&module(2), &code(2)),
        file(&module(4), &code(4)),
    ];
    learn(&mut assistant, &mut writer, &files, Counts::Stay);
    let mut loaded = assistant.clone();
    loaded.load_project(&writer, 1, &mut |_| {}).unwrap();

    // One changed, one gone, one new; then one that comes back as it was.
    files[1].text.push_str("// ещё\n");
    files.remove(0);
    files.push(file(&module(5), &code(5)));
    learn(&mut assistant, &mut writer, &files, Counts::Stay);
    let open = || projects(&dir).open(&"erp".parse().unwrap()).unwrap();
    assert!(loaded.load_changes(&open()).unwrap());
    files.push(file(&module(1), MODULE));
    learn(&mut assistant, &mut writer, &files, Counts::Stay);
    let revision = loaded.memory().revision();
    assert!(loaded.load_changes(&open()).unwrap());
    assert_ne!(loaded.memory().revision(), revision);

    let mut fresh = assistant.clone();
    fresh.load_project(&open(), 1, &mut |_| {}).unwrap();
    assert_eq!(loaded.memory().n_files(), fresh.memory().n_files());
    assert_eq!(loaded.memory().n_pieces(), fresh.memory().n_pieces());
    for ((text, a), (expected, b)) in completions(&loaded).into_iter().zip(completions(&fresh)) {
        assert_eq!(text, expected);
        assert!((a - b).abs() < 1e-5, "{a} {b}");
    }

    // Too much has changed: it is to be loaded anew, and nothing is touched.
    let many: Vec<LearnFile> = (0..40)
        .map(|idx| {
            file(
                &format!("CommonModules/Новый{idx}/Ext/Module.bsl"),
                &code(idx),
            )
        })
        .collect();
    learn(&mut assistant, &mut writer, &many, Counts::Stay);
    assert!(!loaded.load_changes(&open()).unwrap());
    assert_eq!(loaded.memory().n_files(), fresh.memory().n_files());
}

#[test]
fn a_branch_switched_there_and_back_is_not_learned_or_taught_again() {
    let dir = tempfile::tempdir().unwrap();
    let mut assistant = assistant(3, None);
    let mut writer = writer(&assistant, &dir);
    let other = MODULE.replace("Остатки", "Запасы");
    let trunk = [file(&module(1), MODULE), file(&module(2), &other)];
    // The branch changes a file, has none of the other and one of its own.
    let branch = [file(&module(1), &other), file(&module(3), MODULE)];
    for files in [&trunk, &branch] {
        let report = learn(&mut assistant, &mut writer, files, Counts::Stay);
        assert!(report.again == 0 && report.pieces > 0);
        assert!(teach(&assistant, &mut writer, u64::MAX).0 > 0);
    }
    let taught = levels_of(&assistant, &dir);
    let size = |writer: &ProjectWriter| {
        let segments = writer.dir().join("segments.1.bin");
        std::fs::metadata(segments).unwrap().len()
    };
    let before = size(&writer);
    for files in [&trunk, &branch, &trunk] {
        let report = learn(&mut assistant, &mut writer, files, Counts::Follow);
        let figures = (report.new, report.changed, report.again, report.removed);
        assert_eq!((figures, report.pieces), ((1, 1, 2, 1), 0));
        assert_eq!(teach(&assistant, &mut writer, u64::MAX), (0, 0));
    }
    assert_eq!(size(&writer), before);
    assert!(taught.is_some());
    assert_eq!(levels_of(&assistant, &dir), taught);

    // What counts is what was learned of the trunk at first.
    let first = tempfile::tempdir().unwrap();
    let mut writer_of_first = self::writer(&assistant, &first);
    learn(&mut assistant, &mut writer_of_first, &trunk, Counts::Stay);
    let counted = |store: &ProjectStore| -> Vec<_> {
        let files = store.files().map(|(path, _)| path);
        files
            .map(|path| (path.to_owned(), store.pieces(path).unwrap()))
            .collect()
    };
    assert_eq!(counted(&writer), counted(&writer_of_first));
}

#[test]
fn a_module_changed_every_second_counts_as_it_is_last() {
    let dir = tempfile::tempdir().unwrap();
    let mut assistant = assistant(3, None);
    let mut writer = writer(&assistant, &dir);
    let version = |n: usize| format!("{MODULE}// версия {n}\n");
    // The 32nd version of a day is one of those that teach levels 2 and 3.
    for n in 0..32 {
        let files = [file(&module(1), &version(n))];
        let report = learn(&mut assistant, &mut writer, &files, Counts::Stay);
        assert_eq!(
            (report.new, report.changed),
            (usize::from(n == 0), usize::from(n > 0))
        );
    }
    assert_eq!(writer.n_files(), 1);
    let files = [file(&module(1), &version(31))];
    let report = learn(&mut assistant, &mut writer, &files, Counts::Stay);
    assert_eq!(report.unchanged, 1);
    // Only the text that counts is taught, once.
    let (taught, left) = teach(&assistant, &mut writer, u64::MAX);
    assert_eq!((taught, left), (writer.n_pieces(), 0));
}

#[test]
fn learning_again_learns_nothing_and_unreadable_files_stay() {
    let dir = tempfile::tempdir().unwrap();
    let mut assistant = assistant(1, None);
    let mut writer = writer(&assistant, &dir);
    let files = [
        file(&module(1), MODULE),
        file(&module(2), "А = 1;"),
        file(&module(3), "Б\0"),
    ];
    let report = learn(&mut assistant, &mut writer, &files, Counts::Stay);
    assert_eq!((report.new, report.skipped.len()), (2, 1));
    assert_eq!(report.skipped[0].0, module(3));
    let n_changes = writer.history().len();
    let report = learn(&mut assistant, &mut writer, &files, Counts::Stay);
    assert_eq!((report.new, report.unchanged, report.pieces), (0, 2, 0));
    assert_eq!(writer.history().len(), n_changes);

    let mut learning = assistant
        .learn_project(&mut writer, "cf", Counts::Stay)
        .unwrap();
    learning.learn(&files[..1]).unwrap();
    learning.keep(&module(2));
    assert_eq!(learning.finish().unwrap().removed, 0);
    // Binary now, text before: what it taught stays until the file is gone.
    let binary = [file(&module(1), MODULE), file(&module(2), "А\0")];
    let report = learn(&mut assistant, &mut writer, &binary, Counts::Stay);
    assert_eq!((report.removed, writer.n_files()), (0, 2));
}

#[test]
fn a_project_of_another_tokenizer_is_refused_and_the_assistant_stays() {
    let dir = tempfile::tempdir().unwrap();
    let mut ours = assistant(1, None);
    ours.learn_files([file("a.bsl", MODULE)], &mut |_| {})
        .unwrap();
    let mut other = ours.identity();
    other.tokenizer_sha256 = "00".repeat(32);
    let name = "erp".parse().unwrap();
    let mut writer = projects(&dir)
        .open_or_create(&name, &other, WhenBusy::Fail, 0)
        .unwrap();
    let refused = ours.load_project(&writer, 1, &mut |_| {}).unwrap_err();
    let is_named = matches!(refused, AssistError::Memory(MemoryError::Tokenizer { .. }));
    assert!(is_named && refused.to_string().contains("erp"), "{refused}");
    assert!(ours.learn_project(&mut writer, "cf", Counts::Stay).is_err());
    assert_eq!(ours.memory().n_files(), 1);
}

/// Teaches everything that is left; returns the pieces taught and those left.
fn teach(assistant: &Assistant, writer: &mut ProjectWriter, max_pieces: u64) -> (u64, u64) {
    let report = assistant.teach_project(writer, max_pieces, &mut |_| true);
    let report = report.unwrap();
    (report.pieces, report.pieces_left)
}

/// The hash of what levels 2 and 3 have learned, as it is kept.
fn levels_of(assistant: &Assistant, dir: &TempDir) -> Option<String> {
    let store = projects(dir).open(&"erp".parse().unwrap()).unwrap();
    let mut opened = assistant.clone();
    opened.load_project(&store, 1, &mut |_| {}).unwrap();
    let levels = opened.memory().levels();
    levels.map(|levels| nestor_engine::sha256_hex(&levels.to_bytes()))
}

#[test]
fn levels_are_taught_in_parts_and_found_again() {
    let whole_dir = tempfile::tempdir().unwrap();
    let parts_dir = tempfile::tempdir().unwrap();
    let mut assistant = assistant(3, None);
    let files: Vec<LearnFile> = (0..4)
        .map(|idx| file(&module(idx), &code(NUMBERS[idx])))
        .collect();
    let mut whole = writer(&assistant, &whole_dir);
    learn(&mut assistant, &mut whole, &files[..2], Counts::Stay);
    let (first, left) = teach(&assistant, &mut whole, 1);
    assert!(first > 0 && left > 0, "a file at a time");
    learn(&mut assistant, &mut whole, &files, Counts::Stay);
    let (rest, left) = teach(&assistant, &mut whole, u64::MAX);
    assert_eq!((first + rest, left), (whole.n_pieces(), 0));
    assert_eq!(teach(&assistant, &mut whole, u64::MAX), (0, 0), "once");

    // Whoever opens the project anew goes on from there.
    let mut parts = writer(&assistant, &parts_dir);
    learn(&mut assistant, &mut parts, &files[..2], Counts::Stay);
    assert_eq!(teach(&assistant, &mut parts, 1).0, first);
    drop(parts);
    let mut parts = writer(&assistant, &parts_dir);
    learn(&mut assistant, &mut parts, &files, Counts::Stay);
    assert_eq!(teach(&assistant, &mut parts, u64::MAX), (rest, 0));
    let found = levels_of(&assistant, &whole_dir);
    assert!(found.is_some());
    assert_eq!(found, levels_of(&assistant, &parts_dir));
}

#[test]
fn levels_that_saw_what_no_longer_counts_are_not_used_and_are_made_again() {
    let dir = tempfile::tempdir().unwrap();
    let never = tempfile::tempdir().unwrap();
    let mut assistant = assistant(3, None);
    let files: Vec<LearnFile> = (0..3)
        .map(|idx| file(&module(idx), &code(NUMBERS[idx])))
        .collect();
    let mut writer_of_all = writer(&assistant, &dir);
    learn(&mut assistant, &mut writer_of_all, &files, Counts::Stay);
    teach(&assistant, &mut writer_of_all, u64::MAX);
    let before = levels_of(&assistant, &dir);
    assert!(before.is_some());
    writer_of_all.forget(&format!("cf/{}", module(1))).unwrap();
    assert_eq!(levels_of(&assistant, &dir), None);
    let kept = dir.path().join("erp").join(nestor_memory::LEVELS_FILE);
    assert!(!kept.exists(), "it holds what was forgotten");
    teach(&assistant, &mut writer_of_all, u64::MAX);

    let mut without = writer(&assistant, &never);
    let others = [files[0].clone(), files[2].clone()];
    learn(&mut assistant, &mut without, &others, Counts::Stay);
    teach(&assistant, &mut without, u64::MAX);
    assert_eq!(levels_of(&assistant, &dir), levels_of(&assistant, &never));

    let last = writer_of_all.history().len() as u64;
    let more = [files[0].clone(), files[2].clone(), file(&module(7), MODULE)];
    learn(&mut assistant, &mut writer_of_all, &more, Counts::Stay);
    teach(&assistant, &mut writer_of_all, u64::MAX);
    writer_of_all.rollback(last).unwrap();
    assert_eq!(teach(&assistant, &mut writer_of_all, u64::MAX), (0, 0));
    assert_eq!(levels_of(&assistant, &dir), levels_of(&assistant, &never));

    for entry in std::fs::read_dir(kept.parent().unwrap()).unwrap() {
        let path = entry.unwrap().path();
        if path
            .file_name()
            .unwrap()
            .to_string_lossy()
            .starts_with("levels.")
        {
            std::fs::write(&path, b"NestorPL, but no more").unwrap();
        }
    }
    let store = projects(&dir).open(&"erp".parse().unwrap()).unwrap();
    // Damaged, they are not at work and say so; the counts serve.
    assistant.load_project(&store, 1, &mut |_| {}).unwrap();
    let memory = assistant.memory();
    let damage = memory.damage().unwrap();
    assert!(damage.contains("levels."), "{damage}");
    assert!(memory.levels().is_none() && memory.n_files() > 0);
    assert!(memory.metadata_damage().is_none());
    std::fs::write(kept.with_file_name("metadata.bin"), b"no index").unwrap();
    let store = projects(&dir).open(&"erp".parse().unwrap()).unwrap();
    assistant.load_project(&store, 1, &mut |_| {}).unwrap();
    let damage = assistant.memory().metadata_damage().unwrap();
    assert!(damage.contains("metadata.bin"), "{damage}");
    assert!(assistant.memory().n_files() > 0);
    assert!(teach(&assistant, &mut writer_of_all, u64::MAX).0 > 0);
    assert_eq!(levels_of(&assistant, &dir), levels_of(&assistant, &never));
}

#[test]
fn taught_levels_take_part_in_completion() {
    let dir = tempfile::tempdir().unwrap();
    let mut assistant = assistant(3, None);
    let mut writer = writer(&assistant, &dir);
    let files = [file(&module(0), MODULE)];
    learn(&mut assistant, &mut writer, &files, Counts::Follow);
    let counted = completions(&assistant);
    teach(&assistant, &mut writer, u64::MAX);
    drop(writer);
    let store = projects(&dir).open(&"erp".parse().unwrap()).unwrap();
    assistant.load_project(&store, 1, &mut |_| {}).unwrap();
    assert_ne!(completions(&assistant), counted);
}
