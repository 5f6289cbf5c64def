//! Metadata follows what is saved: on disk and in what completions ask, behind a crash too, and what was forgotten stays so.
#![allow(
    clippy::unwrap_used,
    reason = "clippy's exception for tests does not know helpers of integration tests"
)]

mod fixture;

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use fixture::{TOKENIZER, assistant, file};
use nestor_assist::{
    Assistant, Counts, MemoryError, Metadata, MetadataFile, MetadataIndex, MetadataUpdates,
    ProjectName, Projects, WhenBusy,
};

const MODULE: &str = "CommonModules/Общий/Ext/Module.bsl";

/// What the last update handed over.
type Taken = Arc<Mutex<Vec<Arc<Metadata>>>>;

fn updates(dir: &Path) -> (MetadataUpdates, Taken) {
    let taken = Taken::default();
    let into = Arc::clone(&taken);
    let take_over = move |_: &ProjectName, metadata: &Arc<Metadata>| {
        into.lock().unwrap().push(Arc::clone(metadata));
        true
    };
    let updates = MetadataUpdates::new(Projects::at(dir), Box::new(take_over));
    (updates, taken)
}

fn name() -> ProjectName {
    "erp".parse().unwrap()
}

fn exporting(method: &str) -> String {
    format!("Процедура {method}() Экспорт\n\tВозврат;\nКонецПроцедуры\n")
}

/// Learns a module as the servers do, up to telling the updates; the number of the last change.
fn learn(
    assistant: &mut Assistant,
    updates: &MetadataUpdates,
    dir: &Path,
    path: &str,
    text: &str,
) -> u64 {
    let mut writer = fixture::writer(assistant, dir, 1);
    let whole = format!("cf/{path}");
    updates.will_learn(&mut writer, [whole.as_str()]).unwrap();
    let mut learning = assistant
        .learn_project(&mut writer, "cf", Counts::Stay)
        .unwrap();
    learning.keep(MODULE);
    learning.learn(&[file(path, text)]).unwrap();
    learning.finish().unwrap();
    writer.history().len() as u64
}

fn methods(metadata: &Metadata) -> Vec<&str> {
    let modules = metadata.modules().iter();
    let methods = modules.flat_map(|module| metadata.methods(module));
    methods.map(|method| metadata.name(method.name)).collect()
}

/// The methods that the index on disk has.
fn methods_on_disk(dir: &Path) -> Vec<String> {
    let store = Projects::at(dir).open(&name()).unwrap();
    let index = MetadataIndex::open(&store).unwrap().unwrap();
    let (metadata, _) = index.link();
    methods(&metadata).into_iter().map(str::to_owned).collect()
}

fn until(what: &str, holds: impl Fn() -> bool) {
    let started = Instant::now();
    while !holds() {
        assert!(started.elapsed() < Duration::from_secs(30), "{what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn what_is_saved_is_handed_over_and_lies_on_disk() {
    let dir = tempfile::tempdir().unwrap();
    let mut assistant = assistant(1, None);
    let (updates, taken) = updates(dir.path());
    let seq = learn(
        &mut assistant,
        &updates,
        dir.path(),
        MODULE,
        &exporting("Старая"),
    );
    updates.saved(&name(), &TOKENIZER, [], seq);
    until("the first", || !taken.lock().unwrap().is_empty());
    assert_eq!(methods(&taken.lock().unwrap()[0]), ["Старая"]);
    assert_eq!(methods_on_disk(dir.path()), ["Старая"]);

    let seq = learn(
        &mut assistant,
        &updates,
        dir.path(),
        MODULE,
        &exporting("Новая"),
    );
    updates.saved(&name(), &TOKENIZER, [], seq);
    updates.finish(&name(), Duration::ZERO).unwrap();
    assert_eq!(methods(taken.lock().unwrap().last().unwrap()), ["Новая"]);
    assert_eq!(methods_on_disk(dir.path()), ["Новая"]);
    let store = Projects::at(dir.path()).open(&name()).unwrap();
    assert!(store.stale_metadata().is_empty());
    // Nothing waits, so nothing is linked.
    let n_taken = taken.lock().unwrap().len();
    updates.finish(&name(), Duration::ZERO).unwrap();
    updates.end();
    assert_eq!(taken.lock().unwrap().len(), n_taken);
}

#[test]
fn descriptions_are_read_while_no_log_names_them() {
    let dir = tempfile::tempdir().unwrap();
    let mut assistant = assistant(1, None);
    let (updates, taken) = updates(dir.path());
    let seq = learn(
        &mut assistant,
        &updates,
        dir.path(),
        MODULE,
        &exporting("А"),
    );
    let xml = "<MetaDataObject xmlns=\"http://v8.1c.ru/8.3/MDClasses\" version=\"2.17\"><CommonModule><Properties>\
        <Name>Общий</Name></Properties></CommonModule></MetaDataObject>";
    let description = MetadataFile {
        path: "cf/CommonModules/Общий.xml".to_owned(),
        bytes: xml.as_bytes().to_vec(),
    };
    updates.saved(&name(), &TOKENIZER, [description], seq);
    updates.finish(&name(), Duration::ZERO).unwrap();
    assert_eq!(taken.lock().unwrap().last().unwrap().objects().len(), 1);
    let store = Projects::at(dir.path()).open(&name()).unwrap();
    let index = MetadataIndex::open(&store).unwrap().unwrap();
    assert!(index.holds("cf/CommonModules/Общий.xml"));
}

#[test]
fn a_crash_behind_the_log_loses_no_facts() {
    let dir = tempfile::tempdir().unwrap();
    let mut assistant = assistant(1, None);
    {
        let (updates, _) = updates(dir.path());
        // The log has it; the process ends before the index follows.
        learn(
            &mut assistant,
            &updates,
            dir.path(),
            MODULE,
            &exporting("Новая"),
        );
    }
    let store = Projects::at(dir.path()).open(&name()).unwrap();
    assert!(MetadataIndex::open(&store).unwrap().is_none());
    let mut again = fixture::assistant(1, None);
    again.load_project(&store, 1, &mut |_| {}).unwrap();
    assert_eq!(methods(again.memory().metadata().unwrap()), ["Новая"]);
    // The next update of any file brings it to the disk.
    let (updates, _) = updates(dir.path());
    let other = "CommonModules/Иной/Ext/Module.bsl";
    let seq = learn(
        &mut assistant,
        &updates,
        dir.path(),
        other,
        &exporting("Вторая"),
    );
    updates.saved(&name(), &TOKENIZER, [], seq);
    updates.finish(&name(), Duration::ZERO).unwrap();
    assert_eq!(methods_on_disk(dir.path()), ["Вторая", "Новая"]);
}

#[test]
fn what_is_forgotten_before_the_update_does_not_come_back() {
    let dir = tempfile::tempdir().unwrap();
    let mut assistant = assistant(1, None);
    let (updates, taken) = updates(dir.path());
    let seq = learn(
        &mut assistant,
        &updates,
        dir.path(),
        MODULE,
        &exporting("Тайная"),
    );
    let writer = Projects::at(dir.path()).open_to_write(&name(), WhenBusy::Fail, 2);
    let mut writer = writer.unwrap();
    writer.forget("cf/CommonModules").unwrap();
    // Somebody changes the project: the update waits for its turn.
    let saved = MetadataFile {
        path: format!("cf/{MODULE}"),
        bytes: exporting("Тайная").into_bytes(),
    };
    updates.saved(&name(), &TOKENIZER, [saved], seq);
    let busy = updates.finish(&name(), Duration::ZERO).unwrap_err();
    assert!(
        matches!(
            busy,
            nestor_assist::AssistError::Memory(MemoryError::Busy { .. })
        ),
        "{busy}"
    );
    drop(writer);
    updates.finish(&name(), Duration::from_secs(30)).unwrap();
    assert_eq!(methods_on_disk(dir.path()), Vec::<String>::new());
    assert!(methods(taken.lock().unwrap().last().unwrap()).is_empty());
}
