//! A project on disk and the assistant: what was learned once is there again, only changes are learned.
#![allow(
    clippy::unwrap_used,
    reason = "clippy's exception for tests does not know helpers of integration tests"
)]

mod fixture;

use fixture::{MODULE, assistant, file};
use nestor_assist::{
    AssistError, Assistant, CompleteRequest, Counts, LearnFile, ProjectReport, Speed,
};
use nestor_bsl::position::ByteOffset;
use nestor_memory::{MemoryError, ProjectWriter, Projects, Root, WhenBusy};
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
    let name = "erp".parse().unwrap();
    let identity = assistant.identity();
    let mut writer = projects(dir)
        .open_or_create(&name, &identity, WhenBusy::Fail, 0)
        .unwrap();
    let root = Root {
        name: "cf".to_owned(),
        location: "/src/cf".to_owned(),
        role: None,
    };
    writer.set_root(&root).unwrap();
    writer
}

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
    let other = MODULE.replace("Остатки", "Запасы");
    let crlf = format!("\u{feff}{}", MODULE.replace('\n', "\r\n"));
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
