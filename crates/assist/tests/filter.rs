//! What a project learns of input that is not worth learning.
#![allow(
    clippy::unwrap_used,
    reason = "clippy's exception for tests does not know helpers of integration tests"
)]

mod fixture;

use fixture::{MODULE, assistant, file, module};
use nestor_assist::{Assistant, Counts, LearnFile, ProjectReport, Reason, Teaches};
use nestor_memory::{ProjectStore, ProjectWriter, Projects};
use tempfile::TempDir;

const DAY: u64 = 24 * 60 * 60;

fn writer(assistant: &Assistant, dir: &TempDir) -> ProjectWriter {
    fixture::writer(assistant, dir.path(), 10 * DAY)
}

/// Learns the files as all that the root has; returns the report and what of it was held back.
fn learn(
    assistant: &mut Assistant,
    writer: &mut ProjectWriter,
    files: &[LearnFile],
) -> (ProjectReport, Vec<(Reason, Teaches)>) {
    let mut learning = assistant
        .learn_project(writer, "cf", Counts::Follow)
        .unwrap();
    for batch in files.chunks(7) {
        learning.learn(batch).unwrap();
    }
    let report = learning.finish().unwrap();
    let held = report.filtered.iter().map(|one| (one.reason, one.teaches));
    let held = held.collect();
    (report, held)
}

/// Pieces that levels 2 and 3 would be taught.
fn for_levels(store: &ProjectStore) -> u64 {
    store
        .untaught(&[], u64::MAX)
        .iter()
        .map(|file| u64::from(file.pieces))
        .sum()
}

#[test]
fn garbage_counts_nothing_and_is_remembered() {
    let dir = tempfile::tempdir().unwrap();
    let mut assistant = assistant(1, None);
    let mut writer = writer(&assistant, &dir);
    let blob: String = (0..3000)
        .map(|at: usize| (b'A' + (at * at % 26) as u8) as char)
        .map(|c| if c < 'J' { '7' } else { c })
        .collect();
    let minified: String = (0..100).map(|at| format!("А{at}=Б.В({at});")).collect();
    let files = [
        file("a.bsl", MODULE),
        file("b.bsl", &format!("Данные = \"{blob}\";\n")),
        file("c.bsl", &minified),
        file("d.bsl", &"if (a === b) { return { a: 1 }; }\n".repeat(20)),
    ];
    let (report, held) = learn(&mut assistant, &mut writer, &files);
    assert_eq!((report.new, report.filtered.len()), (1, 3));
    assert_eq!(
        held,
        [Reason::Data, Reason::Minified, Reason::Foreign].map(|reason| (reason, Teaches::Nothing))
    );
    assert_eq!((writer.n_files(), assistant.memory().n_files()), (1, 1));
    assert_eq!(writer.n_pieces(), report.pieces as u64);
    let history = writer.history().len();
    let (report, held) = learn(&mut assistant, &mut writer, &files);
    assert_eq!((report.unchanged, held.len()), (4, 0), "reported once");
    assert_eq!(writer.history().len(), history);

    // Code takes the place of garbage, and garbage that of code.
    let turned = [
        file("a.bsl", &minified),
        file("b.bsl", MODULE),
        files[2].clone(),
    ];
    let (report, held) = learn(&mut assistant, &mut writer, &turned);
    assert_eq!((report.changed, report.removed, held.len()), (1, 1, 1));
    assert!(assistant.memory().holds("cf/b.bsl") && !assistant.memory().holds("cf/a.bsl"));
    drop(writer);

    let store = Projects::at(dir.path())
        .open(&"erp".parse().unwrap())
        .unwrap();
    let pieces = assistant.memory().n_pieces();
    assistant.load_project(&store, 1, &mut |_| {}).unwrap();
    assert_eq!(assistant.memory().n_pieces(), pieces);
    assert_eq!((store.n_files(), store.files().count()), (1, 3));
}

#[test]
fn generated_code_counts_and_teaches_no_level() {
    let dir = tempfile::tempdir().unwrap();
    let mut assistant = assistant(1, None);
    let mut writer = writer(&assistant, &dir);
    let table: String = (0..500)
        .map(|at| format!("Таблица.Добавить({at}, \"а{at}\");\n"))
        .collect();
    let files = [file("a.bsl", &table)];
    let (report, held) = learn(&mut assistant, &mut writer, &files);
    assert_eq!(held, [(Reason::Generated, Teaches::Counts)]);
    assert_eq!(
        (report.new, writer.n_files(), for_levels(&writer)),
        (1, 1, 0)
    );
    let taught = assistant
        .teach_project(&mut writer, u64::MAX, &mut |_| true)
        .unwrap();
    assert_eq!((taught.files, taught.pieces_left), (0, 0));
}

#[test]
fn the_same_file_a_thousand_times_counts_ten_times_and_teaches_once() {
    let dir = tempfile::tempdir().unwrap();
    let mut assistant = assistant(1, None);
    let mut writer = writer(&assistant, &dir);
    let text = module(1);
    let mut files: Vec<LearnFile> = (0..1000)
        .map(|at| file(&format!("Общие/М{at:03}.bsl"), &text))
        .collect();
    // Half of them in a later run: what the project holds counts.
    learn(&mut assistant, &mut writer, &files[..500]);
    let (_, held) = learn(&mut assistant, &mut writer, &files);
    assert_eq!(held.len(), 500);
    assert!(held.iter().all(|(reason, _)| *reason == Reason::Copy));
    assert_eq!(
        (writer.n_files(), writer.untaught(&[], u64::MAX).len()),
        (10, 1)
    );
    assert_eq!(assistant.memory().n_files(), 10);
    let (report, _) = learn(&mut assistant, &mut writer, &files);
    assert_eq!(report.unchanged, 1000);

    // The first goes: another takes its place, so that the project never loses the text.
    files.remove(0);
    let (report, _) = learn(&mut assistant, &mut writer, &files);
    assert_eq!(
        (report.removed, writer.untaught(&[], u64::MAX).len()),
        (1, 1)
    );
    // All are renamed: learned under their new names before the old ones go.
    let renamed: Vec<LearnFile> = files
        .iter()
        .map(|one| file(&format!("Новые/{}", one.path), &text))
        .collect();
    learn(&mut assistant, &mut writer, &renamed);
    assert_eq!(
        (writer.n_files(), writer.untaught(&[], u64::MAX).len()),
        (10, 1)
    );
    assert_eq!(assistant.memory().n_files(), 10);
}

#[test]
fn a_copy_in_another_root_takes_the_place_of_what_goes() {
    let dir = tempfile::tempdir().unwrap();
    let mut assistant = assistant(1, None);
    let mut writer = writer(&assistant, &dir);
    let root = writer.roots().next().unwrap().clone();
    let other = nestor_memory::Root {
        name: "cfe".to_owned(),
        ..root
    };
    writer.set_root(&other).unwrap();
    let (text, rest) = (module(1), file("b.bsl", MODULE));
    learn(
        &mut assistant,
        &mut writer,
        &[file("a.bsl", &text), rest.clone()],
    );
    let learning = assistant.learn_project(&mut writer, "cfe", Counts::Follow);
    let mut learning = learning.unwrap();
    learning.learn(&[file("a.bsl", &text)]).unwrap();
    let report = learning.finish().unwrap();
    assert_eq!(report.filtered[0].reason, Reason::Copy);
    let (report, _) = learn(&mut assistant, &mut writer, &[rest]);
    assert_eq!(report.removed, 1);
    let copy = writer.file("cfe/a.bsl").unwrap();
    assert_eq!((copy.root.as_str(), copy.teaches_levels()), ("cfe", true));
}

#[test]
fn different_modules_are_no_copies() {
    let dir = tempfile::tempdir().unwrap();
    let mut assistant = assistant(1, None);
    let mut writer = writer(&assistant, &dir);
    let files: Vec<LearnFile> = [1, 2, 4, 5]
        .map(|n| file(&format!("{n}.bsl"), &module(n)))
        .into();
    let (report, held) = learn(&mut assistant, &mut writer, &files);
    assert_eq!((report.new, held), (4, vec![]));
}

#[test]
fn a_module_that_changes_every_second_teaches_levels_now_and_then() {
    let dir = tempfile::tempdir().unwrap();
    let mut assistant = assistant(1, None);
    let mut writer = writer(&assistant, &dir);
    let mut taught = Vec::new();
    let mut text = module(1);
    for version in 1..=20u64 {
        writer.set_time(10 * DAY + version);
        learn(&mut assistant, &mut writer, &[file("a.bsl", &text)]);
        assert_eq!(
            (writer.n_files(), assistant.memory().n_files()),
            (1, 1),
            "counts follow"
        );
        if !writer.untaught(&[], u64::MAX).is_empty() {
            taught.push(version);
        }
        text.push_str(&format!("А = {version};\n"));
    }
    assert_eq!(taught, [1, 2, 4, 8, 16]);
    // A day later it is new again, and no copy of what it was.
    writer.set_time(12 * DAY);
    let (_, held) = learn(&mut assistant, &mut writer, &[file("a.bsl", &text)]);
    assert_eq!((held.len(), writer.untaught(&[], u64::MAX).len()), (0, 1));
    // So it is where the clock was years ahead and is set right: what it had said then is of no day.
    writer.set_time(5 * DAY);
    text.push_str("Б = 1;\n");
    let (_, held) = learn(&mut assistant, &mut writer, &[file("a.bsl", &text)]);
    assert_eq!((held.len(), writer.untaught(&[], u64::MAX).len()), (0, 1));
}
