//! The model in this process beside others that change its project, with the bundled model.

use std::path::Path;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, unbounded};
use nestor_assist::{
    Assistant, ByteOffset, CompleteRequest, Counts, LearnFile, ProjectName, ProjectStore,
    ProjectWriter, Projects, Root, Speed, WhenBusy,
};
use tempfile::TempDir;

use super::*;

const MODEL: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../models/tiny");

/// Where the editor has the project's root.
const ROOT: &str = "/Проект/cf";

/// The document that completions are asked for in, and the text before the cursor.
const ASKED: &str = "/Проект/cf/CommonModules/О/Ext/Module.bsl";
const BEFORE: &str = "Процедура Б()\n\tКурс = РасчётКурсовЦБ.";

/// A module that says what goes on after [`BEFORE`].
fn module(method: &str) -> String {
    let line = format!("\tКурс = РасчётКурсовЦБ.{method}(Валюта, Дата);\n");
    format!("Процедура А()\n{line}{line}КонецПроцедуры\n")
}

/// The path of a module inside the root.
fn path(name: &str) -> String {
    format!("CommonModules/{name}/Ext/Module.bsl")
}

/// A project on disk, as another process has it.
struct Elsewhere {
    projects: Projects,
    name: ProjectName,
    model: Assistant,
}

impl Elsewhere {
    fn new(folder: &TempDir) -> Self {
        Self {
            projects: Projects::at(folder.path()),
            name: "erp".parse().unwrap(),
            model: Assistant::open(Path::new(MODEL)).unwrap(),
        }
    }

    fn open(&self) -> ProjectStore {
        self.projects.open(&self.name).unwrap()
    }

    fn write(&self) -> ProjectWriter {
        let identity = self.model.identity();
        let opened = self
            .projects
            .open_or_create(&self.name, &identity, WhenBusy::Fail, 1);
        opened.unwrap()
    }

    fn learn(&mut self, files: &[(&str, &str)], is_vendor: bool) {
        let mut writer = self.write();
        let root = Root {
            name: "cf".to_owned(),
            location: ROOT.to_owned(),
            role: None,
        };
        writer.set_root(&root).unwrap();
        let known: Vec<String> = writer.files().map(|(path, _)| path.to_owned()).collect();
        let learning = self.model.learn_project(&mut writer, "cf", Counts::Stay);
        let mut learning = learning.unwrap().of_vendor(is_vendor);
        for path in &known {
            learning.keep(path.strip_prefix("cf/").unwrap());
        }
        let files: Vec<LearnFile> = files
            .iter()
            .map(|(name, text)| LearnFile {
                path: path(name),
                text: (*text).to_owned(),
            })
            .collect();
        learning.learn(&files).unwrap();
        learning.finish().unwrap();
    }

    /// Changes that have learned something under the path of a module.
    fn n_learned(&self, name: &str) -> usize {
        let times = self.write().learned_within(u64::MAX / 2);
        times
            .get(&format!("cf/{}", path(name)))
            .map_or(0, |n| *n as usize)
    }
}

/// The model in this process with the project `erp`.
fn local(folder: &TempDir) -> (Local, Receiver<Told>) {
    let (tell, told) = unbounded();
    let opens = Opens {
        model: MODEL.into(),
        projects: Projects::at(folder.path()),
    };
    let mut local = Local::open(opens, tell).unwrap();
    let loaded = local.load(Some("erp".parse().unwrap()));
    assert!(matches!(loaded, Told::Ready { .. }));
    (local, told)
}

fn request() -> CompleteRequest {
    let at = ByteOffset(BEFORE.len());
    let text = format!("{BEFORE}\nКонецПроцедуры\n");
    let mut request = CompleteRequest::new(ASKED.to_owned(), text, at);
    request.speed = Speed::Fast;
    request
}

fn offered(local: &mut Local) -> String {
    let answer = local.complete(request(), &Cancel::default());
    answer.unwrap().insert
}

fn save(local: &mut Local, name: &str, text: &str) {
    let saved = local.saved(format!("{ROOT}/{}", path(name)), text.to_owned());
    assert_eq!(saved, Ok(Taken::Later));
}

fn until(what: &str, mut done: impl FnMut() -> bool) {
    let started = Instant::now();
    while !done() {
        assert!(started.elapsed() < Duration::from_secs(60), "{what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// The next that is told, within a minute.
fn next(told: &Receiver<Told>) -> Told {
    told.recv_timeout(Duration::from_secs(60)).unwrap()
}

#[test]
fn what_other_processes_teach_and_forget_is_known_at_the_next_look() {
    let folder = tempfile::tempdir().unwrap();
    let mut elsewhere = Elsewhere::new(&folder);
    elsewhere.learn(&[("В", &module("ПолучитьКурсНаДату"))], false);
    let (mut local, told) = local(&folder);
    assert!(offered(&mut local).contains("ПолучитьКурсНаДату"));
    // Nothing has changed, so nothing is told.
    local.look(Why::Time);

    let mut writer = elsewhere.write();
    writer.forget(&format!("cf/{}", path("В"))).unwrap();
    drop(writer);
    // As if the last look were some seconds ago: a request looks by itself.
    local.looked -= 2 * LOOK_AGAIN;
    offered(&mut local);
    assert!(matches!(next(&told), Told::Changed));
    assert!(matches!(next(&told), Told::Ready { files: 0, .. }));
    assert!(!offered(&mut local).contains("ПолучитьКурсНаДату"));

    elsewhere.learn(&[("Г", &module("КурсПоКалендарю"))], false);
    local.look(Why::Awaited);
    assert!(matches!(next(&told), Told::Changed));
    assert!(matches!(next(&told), Told::Ready { files: 1, .. }));
    assert!(offered(&mut local).contains("КурсПоКалендарю"));

    elsewhere
        .projects
        .remove(&elsewhere.name, WhenBusy::Fail)
        .unwrap();
    local.look(Why::Known);
    assert!(matches!(next(&told), Told::Broken(_)));
    assert!(!offered(&mut local).contains("КурсПоКалендарю"));
    assert!(told.is_empty());
}

#[test]
fn a_saved_file_is_learned_beside_completions_and_loads_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let mut elsewhere = Elsewhere::new(&folder);
    elsewhere.learn(&[("В", "Процедура В()\nКонецПроцедуры\n")], false);
    let (mut local, told) = local(&folder);
    save(&mut local, "Г", &module("ПолучитьКурсНаДату"));
    assert!(matches!(next(&told), Told::Learned));
    assert!(offered(&mut local).contains("ПолучитьКурсНаДату"));
    // Also when what the configurations say has followed.
    until("metadata follows", || {
        folder.path().join("erp/metadata.bin").exists()
    });
    until("all that was written is known", || {
        let now = Stamp::of(&local.projects, &elsewhere.name);
        now.since(&read(&local.shared).stamp) == Changed::Nothing
    });
    local.look(Why::Awaited);
    assert!(matches!(next(&told), Told::Ready { files: 2, .. }));
    // A text that teaches nothing takes the place of one that did.
    save(
        &mut local,
        "Г",
        &format!("А = \"{}\";\n", "QUJDREVGR0hJSktM".repeat(9_000)),
    );
    assert!(matches!(next(&told), Told::Learned));
    until("it is forgotten", || {
        !offered(&mut local).contains("ПолучитьКурсНаДату")
    });
}

#[test]
fn a_save_waits_for_its_project_and_keeps_nobody_waiting() {
    let folder = tempfile::tempdir().unwrap();
    let mut elsewhere = Elsewhere::new(&folder);
    elsewhere.learn(&[("В", "Процедура В()\nКонецПроцедуры\n")], false);
    let (mut local, told) = local(&folder);
    let held = elsewhere.write();
    save(&mut local, "Г", &module("СтарыйКурс"));
    save(&mut local, "Г", &module("НовыйКурс"));
    offered(&mut local);
    assert!(told.is_empty());
    drop(held);
    assert!(matches!(next(&told), Told::Learned));
    assert!(offered(&mut local).contains("НовыйКурс"));
    // Nor does one that is being learned: whoever learns waits for this.
    let metadata = Arc::clone(&local._metadata);
    let held = metadata.turn();
    save(&mut local, "Д", &module("ДругойКурс"));
    offered(&mut local);
    assert!(told.is_empty());
    drop(held);
    assert!(matches!(next(&told), Told::Learned));
    drop((local, metadata));
    assert_eq!(elsewhere.n_learned("Г"), 1);
    assert_eq!(elsewhere.n_learned("Д"), 1);
}

#[test]
fn what_was_saved_last_is_on_disk_when_the_editor_has_closed() {
    let folder = tempfile::tempdir().unwrap();
    let mut elsewhere = Elsewhere::new(&folder);
    elsewhere.learn(&[("В", "Процедура В()\nКонецПроцедуры\n")], false);
    for (name, held_ms) in [("Г", 0), ("Д", 500)] {
        let (mut local, _told) = local(&folder);
        let held = (held_ms > 0).then(|| elsewhere.write());
        save(&mut local, name, &module("НовыйКурс"));
        let lets_go = std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(held_ms));
            drop(held);
        });
        drop(local);
        lets_go.join().unwrap();
        assert_eq!(elsewhere.n_learned(name), 1, "{name}");
    }
    // For a project that stays busy the editor is not kept waiting.
    let (mut local, _told) = local(&folder);
    let held = elsewhere.write();
    save(&mut local, "Е", &module("НовыйКурс"));
    let started = Instant::now();
    drop(local);
    assert!(started.elapsed() < Duration::from_secs(10));
    drop(held);
}

#[test]
fn a_vendors_module_stays_that_when_it_is_saved() {
    let folder = tempfile::tempdir().unwrap();
    let mut elsewhere = Elsewhere::new(&folder);
    elsewhere.learn(&[("В", &module("СтарыйКурс"))], true);
    let (mut local, told) = local(&folder);
    save(&mut local, "В", &module("НовыйКурс"));
    save(&mut local, "Г", &module("СвойКурс"));
    assert!(matches!(next(&told), Told::Learned));
    drop(local);
    let store = elsewhere.open();
    let is_vendor = |name: &str| store.file(&format!("cf/{}", path(name))).unwrap().vendor;
    assert!(is_vendor("В") && !is_vendor("Г"));
    assert_eq!(elsewhere.n_learned("В"), 2);
}

#[test]
fn a_project_that_could_not_be_read_is_loaded_whole_later() {
    let folder = tempfile::tempdir().unwrap();
    let mut elsewhere = Elsewhere::new(&folder);
    elsewhere.learn(&[("В", &module("ПолучитьКурсНаДату"))], false);
    let levels = folder.path().join("erp/levels.bin");
    // What cannot be read as a file, for root neither.
    let in_the_way = || {
        let _ = std::fs::remove_file(&levels);
        std::fs::create_dir(&levels).unwrap();
    };
    in_the_way();
    let (tell, told) = unbounded();
    let opens = Opens {
        model: MODEL.into(),
        projects: Projects::at(folder.path()),
    };
    let mut local = Local::open(opens, tell).unwrap();
    let loaded = local.load(Some(elsewhere.name.clone()));
    assert!(matches!(loaded, Told::Broken(_)));
    assert!(!offered(&mut local).contains("ПолучитьКурсНаДату"));
    // Nothing but the file of the levels has changed.
    std::fs::remove_dir(&levels).unwrap();
    local.look(Why::Known);
    assert!(matches!(next(&told), Told::Changed));
    assert!(matches!(next(&told), Told::Ready { files: 1, .. }));
    assert!(offered(&mut local).contains("ПолучитьКурсНаДату"));

    // What was loaded before stays, and what came then follows.
    elsewhere.learn(&[("Г", &module("КурсПоКалендарю"))], false);
    in_the_way();
    local.look(Why::Known);
    assert!(matches!(next(&told), Told::NotLearned(_)));
    assert!(offered(&mut local).contains("ПолучитьКурсНаДату"));
    std::fs::remove_dir(&levels).unwrap();
    local.look(Why::Known);
    assert!(matches!(next(&told), Told::Changed));
    assert!(matches!(next(&told), Told::Ready { files: 2, .. }));
}

#[test]
fn a_save_waits_for_a_disk_that_takes_none() {
    let folder = tempfile::tempdir().unwrap();
    let mut elsewhere = Elsewhere::new(&folder);
    elsewhere.learn(&[("В", "Процедура В()\nКонецПроцедуры\n")], false);
    let (mut local, told) = local(&folder);
    let lock = folder.path().join(".locks/erp");
    std::fs::remove_file(&lock).unwrap();
    std::fs::create_dir(&lock).unwrap();
    save(&mut local, "Г", &module("ПолучитьКурсНаДату"));
    assert!(matches!(next(&told), Told::NotLearned(_)));
    std::fs::remove_dir(&lock).unwrap();
    until("it is learned", || matches!(next(&told), Told::Learned));
    drop(local);
    assert_eq!(elsewhere.n_learned("Г"), 1);
}

#[test]
fn what_was_learned_for_the_session_outlasts_changes_of_the_project() {
    let folder = tempfile::tempdir().unwrap();
    let mut elsewhere = Elsewhere::new(&folder);
    elsewhere.learn(&[("В", "Процедура В()\nКонецПроцедуры\n")], false);
    let (mut local, told) = local(&folder);
    let outside = "/Иное/Модуль.bsl".to_owned();
    let learned = local.saved(outside, module("ПолучитьКурсНаДату"));
    assert_eq!(learned, Ok(Taken::Learned));
    assert!(offered(&mut local).contains("ПолучитьКурсНаДату"));
    elsewhere.learn(&[("Г", "Процедура Г()\n\tА = 1;\nКонецПроцедуры\n")], false);
    local.look(Why::Known);
    assert!(matches!(next(&told), Told::Changed));
    assert!(matches!(next(&told), Told::Ready { files: 3, .. }));
    assert!(offered(&mut local).contains("ПолучитьКурсНаДату"));
}

#[test]
fn a_document_that_is_closed_gives_its_memory_back() {
    let folder = tempfile::tempdir().unwrap();
    let mut elsewhere = Elsewhere::new(&folder);
    elsewhere.learn(&[("В", "Процедура В()\nКонецПроцедуры\n")], false);
    let (mut local, _told) = local(&folder);
    let before = offered(&mut local);
    let mut accurate = request();
    accurate.speed = Speed::Accurate;
    local.read_ahead(accurate, &(Arc::new(|| false) as GivenUp));
    let mut other = request();
    other.path = "/Проект/cf/Иной.bsl".to_owned();
    local.read_ahead(other, &(Arc::new(|| false) as GivenUp));
    assert_eq!(local.documents.len(), 3);
    local.closed(ASKED);
    assert_eq!(local.documents.len(), 1);
    assert_eq!(offered(&mut local), before);
}
