//! `nestor learn` from outside: whose code it learns first, and what it does not read again.

#![allow(
    clippy::unwrap_used,
    reason = "clippy's exception for tests does not know helpers of integration tests"
)]

#[allow(dead_code, reason = "not every test binary uses all of it")]
mod support;

use nestor_assist::{Assistant, Counts, LearnFile};
use nestor_memory::{Operation, Projects, WhenBusy};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};
use support::repository::{TestFile, commit};
use support::{Ran, command, run};
use tempfile::TempDir;

/// A source and a folder for projects.
struct Place {
    dir: TempDir,
}

impl Place {
    fn new(files: &[TestFile]) -> Self {
        let place = Self {
            dir: tempfile::tempdir().unwrap(),
        };
        place.write(files);
        for (path, _) in files {
            // Files are older than their first reading, as a rule.
            place.set_age(path, 100);
        }
        place
    }

    fn source(&self) -> PathBuf {
        self.dir.path().join("src")
    }

    fn memory(&self) -> PathBuf {
        self.dir.path().join("проекты")
    }

    fn write(&self, files: &[TestFile]) {
        for (path, text) in files {
            let path = self.source().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
    }

    /// Says that a file was changed so many seconds ago; negative: in the future.
    fn set_age(&self, path: &str, seconds: i64) {
        let mut options = std::fs::File::options();
        let file = options.write(true).open(self.source().join(path)).unwrap();
        let age = Duration::from_secs(seconds.unsigned_abs());
        let now = SystemTime::now();
        let time = if seconds < 0 { now + age } else { now - age };
        file.set_modified(time).unwrap();
    }

    fn run(&self, arguments: &[&str]) -> Ran {
        let memory = self.memory();
        run(command().args(arguments).env("NESTOR_MEMORY", memory))
    }

    /// Learns the source; `more` are other arguments.
    fn learn(&self, more: &[&str]) -> Value {
        let source = self.source();
        let first = ["learn", source.to_str().unwrap(), "--project", "erp"];
        let ran = self.run(&[&first[..], &["--teach", "0", "--json"], more].concat());
        assert_eq!(ran.code, 0, "{}", ran.stderr);
        ran.json()
    }

    /// Learns a file as an editor does that saves it.
    fn save(&self, path: &str, text: &str) {
        let model = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models/tiny");
        let mut assistant = Assistant::open(&model).unwrap();
        let projects = Projects::at(self.memory());
        let opened = projects.open_to_write(&"erp".parse().unwrap(), WhenBusy::Fail, 1);
        let mut writer = opened.unwrap();
        let known: Vec<String> = writer.files().map(|(path, _)| path.to_owned()).collect();
        let learning = assistant.learn_project(&mut writer, "src", Counts::Stay);
        let mut learning = learning.unwrap();
        for path in &known {
            learning.keep(path.strip_prefix("src/").unwrap());
        }
        let file = LearnFile {
            path: path.to_owned(),
            text: text.to_owned(),
        };
        learning.learn(&[file]).unwrap();
        learning.finish().unwrap();
    }

    /// The paths of the project in the order in which they were learned.
    fn learned(&self) -> Vec<String> {
        let projects = Projects::at(self.memory());
        let store = projects.open(&"erp".parse().unwrap()).unwrap();
        let paths = store
            .history()
            .iter()
            .filter_map(|change| match &change.op {
                Operation::Learn { path, .. } => Some(path.strip_prefix("src/")?.to_owned()),
                _ => None,
            });
        paths.collect()
    }
}

/// New, changed, unchanged and removed files, and whether anything was read.
fn figures(report: &Value) -> ([u64; 4], bool) {
    let figures = ["new", "changed", "unchanged", "removed"];
    let figures = figures.map(|field| report[field].as_u64().unwrap());
    (figures, report["bytes_read"].as_u64().unwrap() > 0)
}

fn shares(report: &Value) -> [u64; 3] {
    ["own", "unknown", "vendor"].map(|of| report["origins"][of]["files"].as_u64().unwrap())
}

fn module(path: &'static str) -> TestFile {
    let name = path.split('/').find(|part| part.starts_with("М"));
    let name = name.unwrap_or("Модуль");
    let text = format!("Функция {name}() Экспорт\n\tВозврат \"{path}\";\nКонецФункции\n");
    (path, text)
}

fn uuid(n: u8) -> String {
    format!("00000000-0000-0000-0000-0000000000{n:02x}")
}

fn object(path: &'static str, n: u8) -> TestFile {
    let text = format!(
        "<MetaDataObject>\n<CommonModule uuid=\"{}\"><Name>М</Name>",
        uuid(n)
    );
    (path, text)
}

/// A list of support with these rules and objects.
fn support_list(objects: &[(u8, u8)]) -> TestFile {
    let records: String = objects
        .iter()
        .map(|(rule, object)| format!(",{rule},0,{0},{0}", uuid(*object)))
        .collect();
    let text = format!(
        "\u{feff}{{6,0,1,{},0,{},\"1.0\",\"Кто-то\",\"База\",{}{records},0,0}}",
        uuid(250),
        uuid(251),
        objects.len()
    );
    ("cf/Ext/ParentConfigurations.bin", text)
}

/// A configuration with a locked module, an editable one and two own ones, and an extension.
fn configuration() -> Vec<TestFile> {
    let extension = "<ConfigurationExtensionPurpose>AddOn</ConfigurationExtensionPurpose>";
    vec![
        ("cf/Configuration.xml", "<Configuration/>".to_owned()),
        support_list(&[(0, 1), (1, 2)]),
        object("cf/CommonModules/М1.xml", 1),
        module("cf/CommonModules/М1/Ext/Module.bsl"),
        object("cf/CommonModules/М2.xml", 2),
        module("cf/CommonModules/М2/Ext/Module.bsl"),
        object("cf/CommonModules/М3.xml", 3),
        module("cf/CommonModules/М3/Ext/Module.bsl"),
        object("cf/CommonModules/М4.xml", 4),
        module("cf/CommonModules/М4/Ext/Module.bsl"),
        ("cfe/Configuration.xml", extension.to_owned()),
        module("cfe/CommonModules/М5/Ext/Module.bsl"),
    ]
}

#[test]
fn own_code_is_learned_first_and_the_newest_of_it_before_the_rest() {
    let place = Place::new(&configuration());
    place.set_age("cf/CommonModules/М4/Ext/Module.bsl", 50);
    let report = place.learn(&[]);
    assert_eq!(figures(&report), ([5, 0, 0, 0], true));
    assert_eq!(shares(&report), [3, 1, 1]);
    assert_eq!(report["origins"]["reasons"]["locked"]["files"], 1);
    let order = ["cfe М5", "cf М4", "cf М3", "cf М2", "cf М1"];
    let order = order.map(|place| {
        let (root, name) = place.split_once(' ').unwrap();
        format!("{root}/CommonModules/{name}/Ext/Module.bsl")
    });
    assert_eq!(place.learned(), order);

    // The vendor's list has changed, and no module: only those are read that have become another's.
    place.write(&[support_list(&[(2, 1), (1, 2), (0, 3)])]);
    let report = place.learn(&[]);
    assert_eq!(figures(&report), ([0, 2, 3, 0], true));
    assert_eq!(shares(&report), [3, 1, 1]);
    assert_eq!(figures(&place.learn(&[])), ([0, 0, 5, 0], false));
    let reasons = &report["origins"]["reasons"];
    assert_eq!(reasons["off_support"]["files"], 1);
    // A list that is cut short tells nothing of the configuration.
    let (path, text) = support_list(&[(2, 1), (1, 2)]);
    place.write(&[(path, text[..60].to_owned())]);
    assert_eq!(shares(&place.learn(&[])), [1, 4, 0]);

    // The user knows better.
    let report = place.learn(&["--role", "library"]);
    assert_eq!(shares(&report), [0, 0, 5]);
    // Also what was learned as own code before teaches a vendor's strand.
    let store = Projects::at(place.memory()).open(&"erp".parse().unwrap());
    assert!(store.unwrap().files().all(|(_, file)| file.vendor));
    for role in ["extension", "library"] {
        assert_eq!(figures(&place.learn(&["--role", role])).0, [0, 5, 0, 0]);
    }
    // The same text, however often it is another's, is no file that changes all the time.
    let store = Projects::at(place.memory()).open(&"erp".parse().unwrap());
    assert!(
        store
            .unwrap()
            .files()
            .all(|(_, file)| file.filter.is_none())
    );
    assert_eq!(
        shares(&place.learn(&[])),
        [0, 0, 5],
        "once told, it is known"
    );
    for lang in ["--lang=ru", "--lang=en"] {
        let source = place.source();
        let ran = place.run(&[lang, "learn", source.to_str().unwrap(), "--project", "erp"]);
        let expected = if lang == "--lang=ru" {
            "поставщика: 5"
        } else {
            "vendor code: 5"
        };
        assert!(ran.stdout.contains(expected), "{}", ran.stdout);
    }
}

#[test]
fn only_what_may_have_changed_is_read() {
    let place = Place::new(&[
        module("a.bsl"),
        module("b.bsl"),
        ("c.bsl", "\u{0}".to_owned()),
    ]);
    let first = place.learn(&[]);
    assert_eq!(figures(&first), ([2, 0, 0, 0], true));
    let skipped = first["roots"][0]["skipped"].clone();
    assert_eq!(skipped[0]["path"], "c.bsl");
    let again = place.learn(&[]);
    assert_eq!(figures(&again), ([0, 0, 2, 0], false));
    assert_eq!(again["bytes_unchanged"], first["bytes_read"]);
    assert_eq!(again["roots"][0]["skipped"], skipped);
    assert_eq!(again["change"], first["change"]);
    let full = place.learn(&["--full"]);
    assert_eq!(figures(&full), ([0, 0, 2, 0], true));
    assert_eq!(full["bytes_read"], first["bytes_read"]);

    // Of one size, written with a clock that has jumped back, or with one that is ahead: read all the same.
    for (age, digit) in [(100_000, "1"), (-100_000, "2"), (-100_000, "3")] {
        let (path, text) = module("a.bsl");
        place.write(&[(path, text.replace("a.bsl", &format!("{digit}.bsl")))]);
        place.set_age(path, age);
        assert_eq!(figures(&place.learn(&[])), ([0, 1, 1, 0], true), "{age}");
    }
    // Written around the time of reading: whether it has changed since is not known by its time.
    place.set_age("a.bsl", 0);
    for _ in 0..2 {
        assert_eq!(figures(&place.learn(&[])), ([0, 0, 2, 0], true));
    }
    place.set_age("a.bsl", 100);
    place.learn(&[]);

    // What was rolled back or forgotten is learned again, though its file is the same.
    for (command, argument) in [("rollback", "1"), ("forget", "src/a.bsl")] {
        let ran = place.run(&["project", command, "erp", argument]);
        assert_eq!(ran.code, 0, "{}", ran.stderr);
        let ([new, changed, unchanged, _], read) = figures(&place.learn(&[]));
        assert!(
            read && new > 0 && changed == 0 && new + unchanged == 2,
            "{command}"
        );
    }
    // Without its notes, or with nonsense in them, everything is read.
    let notes = place.memory().join("erp").join("sources.json");
    assert_eq!(figures(&place.learn(&[])), ([0, 0, 2, 0], false));
    std::fs::write(&notes, b"{\"version\":1,").unwrap();
    assert_eq!(figures(&place.learn(&[])), ([0, 0, 2, 0], true));
    std::fs::remove_file(&notes).unwrap();
    std::fs::remove_file(place.source().join("b.bsl")).unwrap();
    assert_eq!(figures(&place.learn(&[])), ([0, 0, 1, 1], true));
}

#[test]
fn several_sources_are_learned_by_whose_code_they_hold() {
    let place = Place::new(&configuration());
    let cf = format!("cf={}", place.source().join("cf").display());
    let cfe = format!("cfe={}", place.source().join("cfe").display());
    let arguments = [
        "learn",
        &cf,
        &cfe,
        "--project",
        "erp",
        "--teach",
        "0",
        "--json",
    ];
    let report = place.run(&arguments).json();
    assert_eq!(figures(&report), ([5, 0, 0, 0], true));
    let projects = Projects::at(place.memory());
    let store = projects.open(&"erp".parse().unwrap()).unwrap();
    let roots = store
        .history()
        .iter()
        .filter_map(|change| match &change.op {
            Operation::Learn { root, .. } => Some(root.as_str()),
            _ => None,
        });
    assert_eq!(roots.collect::<Vec<_>>(), ["cfe", "cf", "cf", "cf", "cf"]);
    // One source alone leaves the other's files and notes as they are.
    place.write(&[("cf/CommonModules/М1/Ext/Module.bsl", "А = 1;".to_owned())]);
    let one = place.run(&["learn", &cf, "--project", "erp", "--teach", "0", "--json"]);
    assert_eq!(figures(&one.json()), ([0, 1, 3, 0], true));
    let both = place.run(&arguments).json();
    let read = both["bytes_read"].as_u64().unwrap();
    assert!(read < 20, "only what has just been written: {both}");
}

#[test]
fn a_repository_is_read_by_what_its_commits_change() {
    let place = Place::new(&[]);
    let source = place.source();
    let [a, b, c] = ["a.bsl", "b.bsl", "c.bsl"].map(module);
    let other = ("a.bsl", a.1.replace("Модуль", "Другой"));
    let first = commit(&source, None, 1_000, &[a.clone(), b.clone(), c.clone()]);
    let newer = commit(
        &source,
        Some(first),
        2_000,
        &[a, ("b.bsl", "А = 2;".to_owned()), c.clone()],
    );
    let branch = commit(&source, Some(first), 3_000, &[other, c]);
    let switch = |commit: gix::ObjectId| {
        std::fs::write(source.join("HEAD"), format!("{commit}\n")).unwrap();
    };
    switch(newer);
    assert_eq!(figures(&place.learn(&[])), ([3, 0, 0, 0], true));
    assert_eq!(
        place.learned(),
        ["b.bsl", "a.bsl", "c.bsl"],
        "the newest first"
    );
    assert_eq!(figures(&place.learn(&[])), ([0, 0, 3, 0], false));

    switch(branch);
    let report = place.learn(&[]);
    assert_eq!(figures(&report), ([0, 1, 1, 1], true));
    let pieces = report["total_pieces"].clone();
    // There and back: the changes are read, and nothing is cut into pieces or taught.
    for (commit, expected) in [(newer, [1, 1, 1, 0]), (branch, [0, 1, 1, 1])] {
        switch(commit);
        let report = place.learn(&[]);
        assert_eq!(figures(&report).0, expected);
        assert_eq!(report["again"], expected[0] + expected[1]);
        assert_eq!(
            (&report["pieces"], &report["bytes"]),
            (&Value::from(0), &Value::from(0))
        );
    }
    assert_eq!(place.learn(&[])["total_pieces"], pieces);
    assert_eq!(place.learned().len(), 4);
}

/// A catalog in Designer's XML.
#[test]
fn a_damaged_text_is_learned_again_by_a_full_reading() {
    let place = Place::new(&[module("a.bsl"), module("b.bsl"), module("c.bsl")]);
    place.learn(&[]);
    // Two of three, side by side.
    let segments = place.memory().join("erp/segments.1.bin");
    let mut bytes = std::fs::read(&segments).unwrap();
    let of_three = bytes.len() / 3;
    for at in [of_three + of_three / 2, 2 * of_three + of_three / 2] {
        bytes[at] ^= 1;
    }
    std::fs::write(&segments, &bytes).unwrap();
    let position = format!("{}:1:1", place.source().join("a.bsl").display());
    let complete = ["--lang=en", "complete", &position, "--project", "erp"];
    let refused = place.run(&complete);
    assert_eq!(refused.code, 3);
    assert!(refused.stderr.contains("--full"), "{}", refused.stderr);
    assert_eq!(figures(&place.learn(&["--full"])), ([2, 0, 1, 0], true));
    assert_eq!(place.run(&complete).code, 0);
    assert_eq!(figures(&place.learn(&["--full"])), ([0, 0, 3, 0], true));
}

#[test]
fn a_folder_is_not_learned_twice_as_part_and_whole() {
    let place = Place::new(&[module("cf/a.bsl"), module("cfe/b.bsl")]);
    let learn = |source: &str| {
        let source = source.replace("src", place.source().to_str().unwrap());
        place.run(&[
            "--lang=en",
            "learn",
            &source,
            "--project",
            "erp",
            "--teach",
            "0",
        ])
    };
    assert_eq!(learn("src/cf").code, 0);
    let source = place.source();
    let both = [source.join("cfe"), source.clone()].map(|path| path.display().to_string());
    let both = ["learn", &both[0], &both[1], "--project", "crm"];
    assert_eq!(place.run(&both).code, 2);
    for source in ["src", "src/cf/../..", "again=src/cf"] {
        let refused = learn(source);
        assert_eq!(refused.code, 2, "{source}: {}", refused.stderr);
        assert!(
            refused.stderr.contains("project forget erp cf"),
            "{}",
            refused.stderr
        );
    }
    assert_eq!(learn("src/cfe").code, 0);
    // The same as before, and under its own name.
    assert_eq!(learn("cf=src/cf").code, 0);
    for root in ["cf", "cfe"] {
        assert_eq!(place.run(&["project", "forget", "erp", root]).code, 0);
    }
    assert_eq!(learn("src").code, 0);
    // What is said of sources needs one.
    for option in [&["--full"][..], &["--role", "library"]] {
        let ran = place.run(&[&["learn", "--project", "erp"], option].concat());
        assert_eq!(ran.code, 2, "{}", ran.stderr);
    }
}

#[test]
fn what_an_editor_saved_stays_until_its_source_has_another() {
    let place = Place::new(&[]);
    let source = place.source();
    let [a, b] = ["a.bsl", "b.bsl"].map(module);
    let empty = ("empty.bsl", String::new());
    let first = commit(&source, None, 1_000, &[a.clone(), empty.clone()]);
    let pushed = commit(
        &source,
        Some(first),
        2_000,
        &[a.clone(), b.clone(), empty.clone()],
    );
    let switch = |commit: gix::ObjectId| {
        std::fs::write(source.join("HEAD"), format!("{commit}\n")).unwrap();
    };
    switch(first);
    assert_eq!(figures(&place.learn(&[])).0, [1, 0, 0, 0]);
    place.save("empty.bsl", "А = 1;");
    // The repository has it with the next push.
    place.save("b.bsl", "Б = 1;");
    let (learned, any_read) = figures(&place.learn(&[]));
    assert_eq!((learned[3], any_read), (0, false));
    assert_eq!(place.learn(&[])["files"], 3);
    // Also beside something that is read.
    place.save("a.bsl", &a.1);
    let newer = commit(
        &source,
        Some(first),
        1_500,
        &[("a.bsl", "А = 2;".to_owned()), empty],
    );
    switch(newer);
    let report = place.learn(&[]);
    assert_eq!(figures(&report), ([0, 1, 0, 0], true));
    assert_eq!(report["files"], 3);
    switch(pushed);
    assert_eq!(figures(&place.learn(&[])).0[1], 2);
    switch(first);
    let report = place.learn(&[]);
    assert_eq!(
        (&report["removed"], &report["files"]),
        (&1.into(), &2.into())
    );

    // After a rollback the source tells alone: what it brings back was saved by nobody, also into the empty module.
    switch(pushed);
    let before = place.learn(&[])["change"].as_u64().unwrap();
    switch(first);
    assert_eq!(figures(&place.learn(&[])).0[3], 1);
    let rollback = ["project", "rollback", "erp", &before.to_string()];
    assert_eq!(place.run(&rollback).code, 0);
    let report = place.learn(&[]);
    assert_eq!((figures(&report).0[3], &report["files"]), (2, &1.into()));

    // In a folder what is not there any more is gone.
    let place = Place::new(&[a]);
    place.learn(&[]);
    place.save("b.bsl", "Б = 1;");
    assert_eq!(figures(&place.learn(&[])), ([0, 0, 1, 1], false));
}

fn catalog(path: &'static str, name: &str, attribute: &str) -> TestFile {
    let text = format!(
        "<MetaDataObject xmlns=\"http://v8.1c.ru/8.3/MDClasses\" version=\"2.17\"><Catalog><Properties><Name>{name}</Name></Properties>\
         <ChildObjects><Attribute><Properties><Name>{attribute}</Name></Properties></Attribute></ChildObjects></Catalog></MetaDataObject>"
    );
    (path, text)
}

fn metadata(report: &Value) -> [u64; 5] {
    ["files", "read", "changed", "removed", "objects"]
        .map(|field| report["metadata"][field].as_u64().unwrap())
}

#[test]
fn metadata_is_kept_beside_the_code_and_only_what_changed_is_read_again() {
    const GOODS: &str = "Catalogs/Товары.xml";
    const SHELVES: &str = "Catalogs/Полки.xml";
    let place = Place::new(&[
        catalog(GOODS, "Товары", "Цвет"),
        catalog(SHELVES, "Полки", "Ряд"),
        module("CommonModules/МОбщий/Ext/Module.bsl"),
    ]);
    assert_eq!(metadata(&place.learn(&[])), [3, 3, 3, 0, 2]);
    assert_eq!(metadata(&place.learn(&[])), [3, 0, 0, 0, 2]);
    assert_eq!(metadata(&place.learn(&["--full"])), [3, 3, 0, 0, 2]);

    place.write(&[catalog(GOODS, "Товары", "Размер")]);
    assert_eq!(metadata(&place.learn(&[])), [3, 1, 1, 0, 2]);

    std::fs::remove_file(place.source().join(SHELVES)).unwrap();
    // The catalog was changed within the last seconds, so it is looked at once more.
    place.set_age(GOODS, 50);
    assert_eq!(metadata(&place.learn(&[])), [2, 1, 0, 1, 1]);

    let index = place.memory().join("erp").join("metadata.bin");
    let holds_goods = || {
        let projects = Projects::at(place.memory());
        let store = projects.open(&"erp".parse().unwrap()).unwrap();
        let index = nestor_assist::MetadataIndex::open(&store).unwrap().unwrap();
        index.holds("src/Catalogs/Товары.xml")
    };
    assert!(holds_goods());
    let forget = ["project", "forget", "erp", "src/Catalogs", "--json"];
    let ran = place.run(&forget);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert_eq!(ran.json()["forgotten"][0]["metadata"], 1);
    assert!(!holds_goods());
    // Nothing says in what state the rest was read, and the rest is the same.
    assert_eq!(metadata(&place.learn(&[])), [2, 2, 1, 0, 1]);

    let mut bytes = std::fs::read(&index).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    std::fs::write(&index, &bytes).unwrap();
    let position = format!("{}:1:1", place.source().join(GOODS).display());
    let ran = place.run(&["--lang=en", "complete", &position, "--project", "erp"]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert!(ran.stderr.contains("metadata.bin"), "{}", ran.stderr);
    assert_eq!(metadata(&place.learn(&[])), [2, 2, 2, 0, 1]);
}

#[test]
fn a_new_dump_tells_which_descriptions_are_the_same() {
    const GOODS: &str = "Catalogs/Товары.xml";
    const SHELVES: &str = "Catalogs/Полки.xml";
    const INFO: &str = "ConfigDumpInfo.xml";
    let info = |goods: &str, shelves: &str| {
        let of = |name: &str, version: &str| {
            format!("<Metadata name=\"Catalog.{name}\" id=\"1\" configVersion=\"{version}\"/>")
        };
        (
            INFO,
            format!(
                "<ConfigVersions>{}{}</ConfigVersions>",
                of("Товары", goods),
                of("Полки", shelves)
            ),
        )
    };
    let configuration = (
        "Configuration.xml",
        "<MetaDataObject xmlns=\"http://v8.1c.ru/8.3/MDClasses\" version=\"2.17\"><Configuration><Properties><Name>К</Name></Properties>\
         </Configuration></MetaDataObject>".to_owned(),
    );
    let place = Place::new(&[
        configuration,
        catalog(GOODS, "Товары", "Цвет"),
        catalog(SHELVES, "Полки", "Ряд"),
        module("Catalogs/Товары/Ext/ObjectModule.bsl"),
        info("1", "1"),
    ]);
    let dump = |files: &[TestFile], age: i64| {
        place.write(files);
        for path in [GOODS, SHELVES, "Catalogs/Товары/Ext/ObjectModule.bsl", INFO] {
            place.set_age(path, age);
        }
    };
    assert_eq!(metadata(&place.learn(&[])), [4, 4, 4, 0, 2]);
    // All of it has new times, and one object a new version.
    dump(&[catalog(SHELVES, "Полки", "Бок"), info("1", "2")], 80);
    assert_eq!(metadata(&place.learn(&[])), [4, 1, 1, 0, 2]);
    // Another size than the version promises: read.
    dump(&[catalog(GOODS, "Товары", "Размер"), info("1", "2")], 70);
    assert_eq!(metadata(&place.learn(&[])), [4, 1, 1, 0, 2]);
    // A file that was changed behind its dump is read, also when the version is the same.
    place.write(&[catalog(GOODS, "Товары", "Ширина")]);
    place.set_age(GOODS, 50);
    assert_eq!(metadata(&place.learn(&[])), [4, 1, 1, 0, 2]);
    // The dump says nothing of it until it has read it once.
    dump(&[info("1", "2")], 40);
    assert_eq!(metadata(&place.learn(&[])), [4, 1, 0, 0, 2]);
    dump(&[info("1", "2")], 35);
    assert_eq!(metadata(&place.learn(&[])), [4, 0, 0, 0, 2]);
    // What is gone may be named otherwise in files whose versions are the same.
    std::fs::remove_file(place.source().join(SHELVES)).unwrap();
    place.write(&[info("1", "3")]);
    for path in [GOODS, "Catalogs/Товары/Ext/ObjectModule.bsl", INFO] {
        place.set_age(path, 30);
    }
    assert_eq!(metadata(&place.learn(&[])), [3, 2, 0, 1, 1]);
}

#[test]
fn problems_of_metadata_are_named_once() {
    let cut = |path: &'static str, name: &str| {
        let (path, text) = catalog(path, name, "Цвет");
        (path, text[..text.len() - 40].to_owned())
    };
    let place = Place::new(&[
        cut("Catalogs/Товары.xml", "Товары"),
        catalog("Catalogs/Полки.xml", "Полки", "Ряд"),
        module("CommonModules/МОбщий/Ext/Module.bsl"),
    ]);
    let learned = || {
        let source = place.source();
        let source = source.to_str().unwrap();
        let ran = place.run(&[
            "--lang=en",
            "learn",
            source,
            "--project",
            "erp",
            "--teach",
            "0",
        ]);
        assert_eq!(ran.code, 0, "{}", ran.stderr);
        ran.stdout
    };
    let named = |text: &str, path: &str| text.matches(&format!("src/{path}: ")).count();
    let first = learned();
    assert_eq!(named(&first, "Catalogs/Товары.xml"), 1, "{first}");
    assert!(first.contains("the XML ends in the middle"), "{first}");
    // Told already; a new one is told alone.
    assert_eq!(named(&learned(), "Catalogs/Товары.xml"), 0);
    place.write(&[cut("Catalogs/Полки.xml", "Полки")]);
    let second = learned();
    assert_eq!(
        ["Catalogs/Товары.xml", "Catalogs/Полки.xml"].map(|path| named(&second, path)),
        [0, 1],
        "{second}"
    );
    // One that has changed is told again.
    place.write(&[cut("Catalogs/Товары.xml", "ТоварыИУслуги")]);
    assert_eq!(named(&learned(), "Catalogs/Товары.xml"), 1);
    let report = place.learn(&[]);
    let known = &report["metadata"];
    assert_eq!(
        (&known["n_problems"], &known["n_new_problems"]),
        (&2.into(), &0.into())
    );
    assert_eq!(known["problems"].as_array().unwrap().len(), 2);
    // One that is gone and comes back is new.
    place.write(&[catalog("Catalogs/Полки.xml", "Полки", "Ряд")]);
    learned();
    place.write(&[cut("Catalogs/Полки.xml", "Полки")]);
    assert_eq!(named(&learned(), "Catalogs/Полки.xml"), 1);
}

#[test]
fn of_many_problems_the_first_are_named() {
    let paths: Vec<String> = (0..25).map(|at| format!("Catalogs/К{at}.xml")).collect();
    let place = Place::new(&[module("CommonModules/МОбщий/Ext/Module.bsl")]);
    for path in &paths {
        let path = place.source().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(
            path,
            "<MetaDataObject xmlns=\"http://v8.1c.ru/8.3/MDClasses\"><Catalog>",
        )
        .unwrap();
    }
    let source = place.source();
    let ran = place.run(&[
        "--lang=en",
        "learn",
        source.to_str().unwrap(),
        "--project",
        "erp",
        "--teach",
        "0",
    ]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let lines = ran.stdout.lines();
    let named: Vec<&str> = lines
        .filter(|line| line.starts_with("  src/Catalogs/К"))
        .collect();
    assert_eq!(named.len(), 20, "{}", ran.stdout);
    assert!(
        ran.stdout.contains(" more (--json names them)"),
        "{}",
        ran.stdout
    );
}
