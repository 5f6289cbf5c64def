//! Configurations made on the spot, on support and off it.

use std::path::Path;

use super::*;
use crate::source::support::tests::{file, id};
use crate::source::{Stamp, open};
use crate::test_sources::{TestFile, git_commits, write_files};

const MODULE: &[u8] = "А = 1;".as_bytes();

/// What tells of each module that lies at `path`, by its path.
fn found(path: &Path) -> HashMap<String, OriginReason> {
    let source = open(path).unwrap();
    let modules = source.modules();
    let all: Vec<usize> = (0..modules.len()).collect();
    let paths = modules.iter().map(|module| module.path.to_owned());
    paths.zip(source.origins(&all)).collect()
}

fn check(files: &[(&str, &[u8])], expected: &[(&str, OriginReason)]) {
    let dir = tempfile::tempdir().unwrap();
    write_files(dir.path(), files);
    let found = found(dir.path());
    for (path, reason) in expected {
        assert_eq!(found.get(*path), Some(reason), "{path}");
    }
    assert_eq!(found.len(), expected.len());
}

/// A file of Designer that declares an object, a form of it by name and a command.
fn object(kind: &str, name: &str, uuid: u128, command: u128) -> String {
    format!(
        "<MetaDataObject version=\"2.16\">\n<{kind} uuid=\"{}\"><Properties><Name>{name}</Name></Properties>\
         <ChildObjects><Form>Ф</Form><Command uuid=\"{}\"><Properties><Name>К</Name></Properties></Command>\
         </ChildObjects></{kind}></MetaDataObject>",
        id(uuid),
        id(command)
    )
}

fn configuration(prefix: &str) -> String {
    format!(
        "<MetaDataObject>\n<Configuration uuid=\"{}\"><Name>Учёт</Name><NamePrefix>{prefix}</NamePrefix>",
        id(1)
    )
}

#[test]
fn the_rule_of_support_decides() {
    let support = file(
        false,
        &[&[(1, 1), (0, 10), (1, 11), (2, 12), (0, 20), (0, 30), (0, 14)]],
    );
    let object = |name: &str, uuid| object("Catalog", name, uuid, uuid + 20);
    check(
        &[
            ("cf/Configuration.xml", configuration("").as_bytes()),
            ("cf/Ext/ParentConfigurations.bin", support.as_bytes()),
            ("cf/Ext/SessionModule.bsl", MODULE),
            ("cf/Catalogs/Замок.xml", object("Замок", 10).as_bytes()),
            ("cf/Catalogs/Замок/Ext/ObjectModule.bsl", MODULE),
            // A form of the vendor's, and one that was added to the vendor's object.
            ("cf/Catalogs/Замок/Forms/Ф.xml", object("Ф", 20).as_bytes()),
            ("cf/Catalogs/Замок/Forms/Ф/Ext/Form/Module.bsl", MODULE),
            ("cf/Catalogs/Замок/Forms/Н.xml", object("Н", 21).as_bytes()),
            ("cf/Catalogs/Замок/Forms/Н/Ext/Form/Module.bsl", MODULE),
            ("cf/Catalogs/Замок/Commands/К/Ext/CommandModule.bsl", MODULE),
            ("cf/Catalogs/Правка.xml", object("Правка", 11).as_bytes()),
            ("cf/Catalogs/Правка/Ext/ObjectModule.bsl", MODULE),
            (
                "cf/Catalogs/Правка/Commands/К/Ext/CommandModule.bsl",
                MODULE,
            ),
            ("cf/Catalogs/Снят.xml", object("Снят", 12).as_bytes()),
            ("cf/Catalogs/Снят/Ext/ManagerModule.bsl", MODULE),
            ("cf/Catalogs/Свой.xml", object("Свой", 13).as_bytes()),
            ("cf/Catalogs/Свой/Ext/ManagerModule.bsl", MODULE),
            ("cf/Catalogs/БезОписания/Ext/ManagerModule.bsl", MODULE),
            ("cf/oscript_modules/пакет/a.os", MODULE),
            (
                "cfe/Configuration.xml",
                b"<ConfigurationExtensionPurpose>AddOn</ConfigurationExtensionPurpose>",
            ),
            ("cfe/Catalogs/Замок/Ext/ObjectModule.bsl", MODULE),
            ("tools/build.os", MODULE),
        ],
        &[
            ("cf/Ext/SessionModule.bsl", OriginReason::Editable),
            (
                "cf/Catalogs/Замок/Ext/ObjectModule.bsl",
                OriginReason::Locked,
            ),
            (
                "cf/Catalogs/Замок/Forms/Ф/Ext/Form/Module.bsl",
                OriginReason::Locked,
            ),
            (
                "cf/Catalogs/Замок/Forms/Н/Ext/Form/Module.bsl",
                OriginReason::NotListed,
            ),
            (
                "cf/Catalogs/Замок/Commands/К/Ext/CommandModule.bsl",
                OriginReason::Locked,
            ),
            (
                "cf/Catalogs/Правка/Ext/ObjectModule.bsl",
                OriginReason::Editable,
            ),
            (
                "cf/Catalogs/Правка/Commands/К/Ext/CommandModule.bsl",
                OriginReason::NotListed,
            ),
            (
                "cf/Catalogs/Снят/Ext/ManagerModule.bsl",
                OriginReason::OffSupport,
            ),
            (
                "cf/Catalogs/Свой/Ext/ManagerModule.bsl",
                OriginReason::NotListed,
            ),
            (
                "cf/Catalogs/БезОписания/Ext/ManagerModule.bsl",
                OriginReason::NoObject,
            ),
            ("cf/oscript_modules/пакет/a.os", OriginReason::Package),
            (
                "cfe/Catalogs/Замок/Ext/ObjectModule.bsl",
                OriginReason::Extension,
            ),
            ("tools/build.os", OriginReason::NoConfiguration),
        ],
    );
}

#[test]
fn edt_projects_keep_the_same_rules() {
    let support = file(false, &[&[(0, 10), (0, 20)]]);
    let mdo = |name: &str, uuid, form| {
        format!(
            "<mdclass:Catalog xmlns:mdclass=\"g5\" uuid=\"{}\">\n<name>{name}</name>\n<forms uuid=\"{}\">\n\
             <name>Ф</name></forms></mdclass:Catalog>",
            id(uuid),
            id(form)
        )
    };
    check(
        &[
            ("src/Configuration/Configuration.mdo", b"<mdclass/>"),
            (
                "src/Configuration/ParentConfigurations.bin",
                support.as_bytes(),
            ),
            ("src/Configuration/SessionModule.bsl", MODULE),
            (
                "src/Catalogs/Замок/Замок.mdo",
                mdo("Замок", 10, 20).as_bytes(),
            ),
            ("src/Catalogs/Замок/ObjectModule.bsl", MODULE),
            ("src/Catalogs/Замок/Forms/Ф/Module.bsl", MODULE),
            ("src/Catalogs/Свой/Свой.mdo", mdo("Свой", 11, 21).as_bytes()),
            ("src/Catalogs/Свой/Forms/Ф/Module.bsl", MODULE),
        ],
        &[
            (
                "src/Configuration/SessionModule.bsl",
                OriginReason::NoObject,
            ),
            ("src/Catalogs/Замок/ObjectModule.bsl", OriginReason::Locked),
            (
                "src/Catalogs/Замок/Forms/Ф/Module.bsl",
                OriginReason::Locked,
            ),
            (
                "src/Catalogs/Свой/Forms/Ф/Module.bsl",
                OriginReason::NotListed,
            ),
        ],
    );
}

#[test]
fn the_prefix_tells_own_objects_and_subsystems_where_the_rule_does_not() {
    let support = file(false, &[&[(1, 1), (1, 10), (1, 11), (1, 12), (0, 13)]]);
    let module = |name: &str, uuid| object("CommonModule", name, uuid, 99);
    let subsystem = "<Subsystem><Content><xr:Item xsi:type=\"r\">CommonModule.Обмен</xr:Item>\
                     <xr:Item>Catalog.Прочее</xr:Item></Content></Subsystem>";
    let files: Vec<(&str, Vec<u8>)> = vec![
        ("Configuration.xml", configuration("бит_").into()),
        ("Ext/ParentConfigurations.bin", support.clone().into()),
        ("Subsystems/БИТ_Обмены.xml", subsystem.into()),
        (
            "CommonModules/БИТ_Сервер.xml",
            module("БИТ_Сервер", 10).into(),
        ),
        ("CommonModules/БИТ_Сервер/Ext/Module.bsl", MODULE.into()),
        ("CommonModules/Обмен.xml", module("Обмен", 11).into()),
        ("CommonModules/Обмен/Ext/Module.bsl", MODULE.into()),
        ("CommonModules/Прочее.xml", module("Прочее", 12).into()),
        ("CommonModules/Прочее/Ext/Module.bsl", MODULE.into()),
        (
            "CommonModules/БИТ_Замок.xml",
            module("БИТ_Замок", 13).into(),
        ),
        ("CommonModules/БИТ_Замок/Ext/Module.bsl", MODULE.into()),
    ];
    fn slices<'a>(files: &'a [(&'a str, Vec<u8>)]) -> Vec<TestFile<'a>> {
        files
            .iter()
            .map(|(path, bytes)| (*path, &bytes[..]))
            .collect()
    }
    let expect = |server, exchange, other, locked| {
        [
            ("CommonModules/БИТ_Сервер/Ext/Module.bsl", server),
            ("CommonModules/Обмен/Ext/Module.bsl", exchange),
            ("CommonModules/Прочее/Ext/Module.bsl", other),
            ("CommonModules/БИТ_Замок/Ext/Module.bsl", locked),
        ]
    };
    use OriginReason::{Editable, Locked, NoSupport, Prefix, ReadOnly, UnreadableSupport};
    check(&slices(&files), &expect(Prefix, Prefix, Editable, Locked));

    // A list that was cut short tells nothing, and the prefix is what is left.
    let with = |support: &[u8]| {
        let mut files = files.clone();
        files[1].1 = support.to_vec();
        files
    };
    for broken in [&support.as_bytes()[..support.len() / 2], b"\0\0", b""] {
        let unreadable = expect(Prefix, Prefix, UnreadableSupport, Prefix);
        check(&slices(&with(broken)), &unreadable);
    }
    let read_only = support.replace("{6,0,", "{6,1,");
    let expected = expect(ReadOnly, ReadOnly, ReadOnly, ReadOnly);
    check(&slices(&with(read_only.as_bytes())), &expected);
    let expected = expect(NoSupport, NoSupport, NoSupport, NoSupport);
    check(&slices(&with(b"{6,0,0}")), &expected);
    let mut without = files.clone();
    without.remove(1);
    check(&slices(&without), &expected);
}

#[test]
fn commits_by_hand_tell_what_was_edited_on_support() {
    let support = file(false, &[&[(1, 10), (1, 11), (0, 12)]]);
    let module = |name: &str, uuid| object("CommonModule", name, uuid, 99).into_bytes();
    let [edited, left, locked] =
        [("А", 10), ("Б", 11), ("В", 12)].map(|(name, uuid)| module(name, uuid));
    let files = |text: &'static [u8]| -> Vec<TestFile<'_>> {
        vec![
            ("CommonModules/А.xml", &edited),
            ("CommonModules/А/Ext/Module.bsl", text),
            ("CommonModules/Б.xml", &left),
            ("CommonModules/Б/Ext/Module.bsl", MODULE),
            ("CommonModules/В.xml", &locked),
            ("CommonModules/В/Ext/Module.bsl", text),
            ("Configuration.xml", b"<Configuration/>"),
            ("Ext/ParentConfigurations.bin", support.as_bytes()),
        ]
    };
    let dir = tempfile::tempdir().unwrap();
    git_commits(dir.path(), &[(100, files(b"1")), (200, files(b"2"))]);
    let found = found(dir.path());
    let reason = |name: &str| found[&format!("CommonModules/{name}/Ext/Module.bsl")];
    assert_eq!(reason("А"), OriginReason::EditedByHand);
    assert_eq!(reason("Б"), OriginReason::Editable);
    assert_eq!(reason("В"), OriginReason::Locked);

    let source = open(dir.path()).unwrap();
    assert_eq!(source.changed_at(&[1, 0]), [Some(100), Some(200)]);
    // Another list of support asks for other answers.
    let stamp = source.origin_stamp();
    assert_eq!(open(dir.path()).unwrap().origin_stamp(), stamp);
    let other = file(false, &[&[(1, 10)]]);
    let changed = files(b"2").into_iter().map(|(path, bytes)| match path {
        "Ext/ParentConfigurations.bin" => (path, other.as_bytes()),
        _ => (path, bytes),
    });
    let dir = tempfile::tempdir().unwrap();
    git_commits(dir.path(), &[(100, changed.collect())]);
    assert_ne!(open(dir.path()).unwrap().origin_stamp(), stamp);
}

#[test]
fn a_dump_vouches_for_files_that_were_not_changed_behind_it() {
    let info = "<Metadata name=\"Catalog.А\" id=\"1\" configVersion=\"aa\"/>\
                <Metadata name=\"Catalog.Б\" id=\"2\" configVersion=\"bb\"/>";
    let dir = tempfile::tempdir().unwrap();
    write_files(
        dir.path(),
        &[
            ("Configuration.xml", b"<x/>"),
            ("Catalogs/А/Ext/ObjectModule.bsl", MODULE),
            ("Catalogs/Б/Ext/ObjectModule.bsl", MODULE),
            ("Catalogs/В/Ext/ObjectModule.bsl", MODULE),
            ("Catalogs/А.xml", b"<x/>"),
            ("ConfigDumpInfo.xml", info.as_bytes()),
        ],
    );
    let set = |path: &str, seconds| {
        let file = std::fs::File::options()
            .write(true)
            .open(dir.path().join(path));
        let time = std::time::SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(seconds);
        file.unwrap().set_modified(time).unwrap();
    };
    set("Catalogs/А/Ext/ObjectModule.bsl", 1000);
    set("Catalogs/А.xml", 1500);
    set("Configuration.xml", 1500);
    set("Catalogs/Б/Ext/ObjectModule.bsl", 3000);
    set("Catalogs/В/Ext/ObjectModule.bsl", 1000);
    set("ConfigDumpInfo.xml", 2000);
    let source = open(dir.path()).unwrap();
    let modules = source.modules();
    let dumped: Vec<_> = modules.iter().map(|module| module.dumped).collect();
    assert_eq!(dumped[0].unwrap().dumped_ns, 2_000_000_000_000);
    assert_eq!(dumped[1..], [None, None], "edited since, and not dumped");
    let described = source.metadata_files();
    let described = described.iter().filter(|file| file.dumped.is_some());
    let described: Vec<_> = described.map(|file| (file.path, file.dumped)).collect();
    let first = ("Catalogs/А.xml", dumped[0]);
    assert_eq!(
        described,
        [first, ("Catalogs/А/Ext/ObjectModule.bsl", dumped[0])]
    );
    let stamp = Stamp::Disk {
        size: MODULE.len() as u64,
        modified_ns: Some(1_000_000_000_000),
    };
    assert_eq!(modules[0].stamp, stamp);
    assert_eq!(source.changed_at(&[1, 0]), [Some(3000), Some(1000)]);
}
