//! Sources made on the spot: folders, dumps, EDT projects, git repositories, and broken ones.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use super::*;
use crate::test_sources::{git_repository, write_files};

/// Everything that a reading of `path` gives: path, text, kind, root.
fn read(path: &Path) -> (Vec<SourceFile>, ReadReport, Box<dyn Source>) {
    let source = open(path).unwrap();
    let mut files = Vec::new();
    let report = source
        .read(&mut |file| {
            files.push(file);
            ControlFlow::Continue(())
        })
        .unwrap();
    (files, report, source)
}

fn paths(files: &[SourceFile]) -> Vec<&str> {
    files.iter().map(|file| file.path.as_str()).collect()
}

fn folder(files: &[(&str, &[u8])]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    write_files(dir.path(), files);
    dir
}

#[test]
fn a_folder_gives_its_modules_in_path_order() {
    let dir = folder(&[
        ("б.bsl", "\u{feff}А = 1;\r\n".as_bytes()),
        ("a/z.os", "Сообщить(1);".as_bytes()),
        ("a.bsl", "🙂 = \"ё\";".as_bytes()),
        (".git2/x.bsl", b"hidden"),
        ("readme.md", b"no module"),
        ("empty.bsl", b"\xEF\xBB\xBF\r\n"),
    ]);
    let (files, report, source) = read(dir.path());
    assert_eq!(paths(&files), ["a.bsl", "a/z.os", "б.bsl"]);
    assert_eq!(files[2].text, "А = 1;\n");
    assert_eq!(
        (files[0].kind, files[1].kind),
        (FileKind::Bsl, FileKind::OneScript)
    );
    assert_eq!(
        (report.files, report.empty, report.skipped.len()),
        (3, 1, 0)
    );
    assert_eq!(
        (source.kind(), source.revision(), source.licence()),
        (SourceKind::Folder, None, None)
    );
    assert_eq!(read(&dir.path().join("a.bsl")).0[0].path, "a.bsl");
}

#[test]
fn binary_and_protected_modules_are_skipped_with_a_reason() {
    let dir = folder(&[
        ("Configuration.xml", b"<x/>"),
        ("CommonModules/A/Ext/Module.bsl", "А = 1;".as_bytes()),
        ("CommonModules/B/Ext/Module.bin", b"\x01\x02"),
        ("CommonModules/C/Ext/Module.bsl", b"\xFF\xFF\xFF\x7F\x00"),
        ("CommonModules/D/Ext/Module.bsl", b"\xCF\xF0\xEE\xF6"),
        ("CommonTemplates/E/Ext/Template.bin", b"\x01\x02"),
        ("Catalogs/F/Forms/G/Ext/Form.bin", b"<Form/>"),
    ]);
    let (files, report, source) = read(dir.path());
    assert_eq!(paths(&files), ["CommonModules/A/Ext/Module.bsl"]);
    assert_eq!(source.kind(), SourceKind::DesignerDump);
    let reason = |path: &str| {
        &report
            .skipped
            .iter()
            .find(|skipped| skipped.path == path)
            .unwrap()
            .reason
    };
    assert_eq!(report.skipped.len(), 4);
    assert!(reason("CommonModules/B/Ext/Module.bin").contains("protected"));
    assert!(reason("CommonModules/C/Ext/Module.bsl").contains("binary"));
    assert!(reason("CommonModules/D/Ext/Module.bsl").contains("not UTF-8"));
    assert!(reason("Catalogs/F/Forms/G/Ext/Form.bin").contains("not a 1C container"));
}

#[test]
fn ordinary_forms_give_their_module() {
    let form = container::tests::container(
        &[
            ("form", b"{27}"),
            (
                "module",
                "\u{feff}Процедура Х()\r\nКонецПроцедуры".as_bytes(),
            ),
        ],
        512,
    );
    let dir = folder(&[("Catalogs/Товары/Forms/ФормаСписка/Ext/Form.bin", &form)]);
    let (files, ..) = read(dir.path());
    assert_eq!(files[0].text, "Процедура Х()\nКонецПроцедуры");
    assert_eq!(files[0].kind, FileKind::OrdinaryForm);
    let managed = ModulePath::from_path("Catalogs/Товары/Forms/ФормаСписка/Ext/Form/Module.bsl");
    assert_eq!(files[0].module_path().header(), managed.header());
}

#[test]
fn roots_are_found_and_files_belong_to_them() {
    const MODULE: &[u8] = "А = 1;".as_bytes();
    let dir = folder(&[
        ("app/src/Configuration/Configuration.mdo", b"<mdclass/>"),
        ("app/src/CommonModules/A/Module.bsl", MODULE),
        (
            "tests/src/Configuration/Configuration.mdo",
            b"<configurationExtensionPurpose>AddOn</configurationExtensionPurpose>",
        ),
        ("tests/src/CommonModules/T/Module.bsl", MODULE),
        ("tools/build.os", MODULE),
        ("LICENSE", b"Apache License\nVersion 2.0"),
    ]);
    let (files, _, source) = read(dir.path());
    assert_eq!(
        (source.kind(), source.licence()),
        (SourceKind::EdtProject, Some("Apache-2.0"))
    );
    let roles: Vec<_> = source
        .roots()
        .iter()
        .map(|root| (root.path.as_str(), root.role))
        .collect();
    assert_eq!(
        roles,
        [
            ("app", RootRole::Configuration),
            ("tests", RootRole::Extension)
        ]
    );
    assert_eq!(
        files.iter().map(|file| file.root).collect::<Vec<_>>(),
        [Some(0), Some(1), None]
    );
}

#[test]
fn git_repositories_are_read_at_head_bare_or_inside() {
    let files: [(&str, &[u8]); 4] = [
        ("src/b.bsl", "Б = 2;\r\n".as_bytes()),
        ("src/Я/a.bsl", "А = 1;".as_bytes()),
        ("src.os", "В = 3;".as_bytes()),
        ("LICENSE", b"Permission is hereby granted, free of charge"),
    ];
    let dir = tempfile::tempdir().unwrap();
    let bare = dir.path().join("bare.git");
    let head = git_repository(&bare, &files);
    let (read_files, report, source) = read(&bare);
    assert_eq!(paths(&read_files), ["src.os", "src/b.bsl", "src/Я/a.bsl"]);
    assert_eq!(read_files[1].text, "Б = 2;\n");
    assert_eq!(report.skipped, []);
    assert_eq!(
        (source.kind(), source.revision(), source.licence()),
        (SourceKind::GitRepository, Some(head.as_str()), Some("MIT"))
    );

    // The same inside a `.git`: with nothing beside it the commit counts, with modules beside it the folder does.
    let work = dir.path().join("work");
    git_repository(&work.join(".git"), &files);
    assert_eq!(read(&work).0.len(), 3);
    assert_eq!(read(&work.join(".git")).0.len(), 3);
    write_files(&work, &[("new.bsl", b"X = 1;")]);
    let (read_files, _, source) = read(&work);
    assert_eq!(
        (paths(&read_files), source.kind()),
        (vec!["new.bsl"], SourceKind::Folder)
    );
}

/// The loose object files of a repository, largest last.
fn objects(repository: &Path) -> Vec<PathBuf> {
    let files = walkdir::WalkDir::new(repository.join("objects"))
        .into_iter()
        .map(|entry| entry.unwrap().into_path());
    let mut files: Vec<PathBuf> = files.filter(|path| path.is_file()).collect();
    files.sort_by_key(|path| path.metadata().unwrap().len());
    files
}

#[test]
fn a_git_repository_without_a_commit_is_told_from_a_broken_one() {
    let dir = tempfile::tempdir().unwrap();
    let is_empty = |path: &Path| matches!(open(path), Err(CorpusError::NoCommit(of)) if of == path);
    let path = dir.path().join("пуст.git");
    gix::init_bare(&path).unwrap();
    assert!(is_empty(&path));
    let path = dir.path().join("полон.git");
    git_repository(&path, &[("a.bsl", b"\xd0\x90 = 1;")]);
    assert!(open(&path).is_ok());
    std::fs::write(path.join("HEAD"), "ref: refs/heads/elsewhere\n").unwrap();
    assert!(is_empty(&path));
}

#[test]
fn a_broken_git_repository_is_an_error_that_names_it() {
    let text: String = (0..500)
        .map(|n| format!("Поле{n} = {};\n", n * n))
        .collect();
    let check = |damage: &dyn Fn(&Path)| {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("сломан.git");
        git_repository(&path, &[("a.bsl", text.as_bytes())]);
        damage(&path);
        let error = open(&path)
            .and_then(|source| source.read(&mut |_| ControlFlow::Continue(())).map(drop))
            .unwrap_err();
        let is_told = matches!(error, CorpusError::Git { .. } | CorpusError::NoCommit(_));
        assert!(is_told, "{error}");
        assert!(error.to_string().contains("сломан.git"), "{error}");
    };
    let garble = |path: &Path| {
        let mut permissions = path.metadata().unwrap().permissions();
        #[expect(
            clippy::permissions_set_readonly_false,
            reason = "a file in a temporary folder"
        )]
        permissions.set_readonly(false);
        std::fs::set_permissions(path, permissions).unwrap();
        std::fs::write(path, b"garbage").unwrap();
    };
    check(&|path| garble(objects(path).last().unwrap()));
    check(&|path| objects(path).iter().for_each(|object| garble(object)));
    check(&|path| std::fs::write(path.join("HEAD"), "ref: refs/heads/nowhere\n").unwrap());
    check(&|path| std::fs::write(path.join("HEAD"), "\0\0\0").unwrap());
    check(&|path| {
        objects(path)
            .iter()
            .for_each(|object| std::fs::remove_file(object).unwrap())
    });
}

#[test]
fn an_object_left_out_of_the_repository_is_skipped() {
    let text: String = (0..500)
        .map(|n| format!("Поле{n} = {};\n", n * n))
        .collect();
    let dir = tempfile::tempdir().unwrap();
    git_repository(
        dir.path(),
        &[("a.bsl", text.as_bytes()), ("b.bsl", b"X = 1;")],
    );
    std::fs::remove_file(objects(dir.path()).last().unwrap()).unwrap();
    let (files, report, _) = read(dir.path());
    assert_eq!(paths(&files), ["b.bsl"]);
    assert!(
        report.skipped[0].path == "a.bsl" && report.skipped[0].reason.contains("absent"),
        "{report:?}"
    );
}

#[test]
fn a_source_without_modules_is_an_error() {
    let dir = tempfile::tempdir().unwrap();
    assert!(matches!(open(dir.path()), Err(CorpusError::NoModules(path)) if path == dir.path()));
    write_files(dir.path(), &[("Ext/Module.bin", b"\x01"), ("a.txt", b"x")]);
    assert!(matches!(open(dir.path()), Err(CorpusError::NoModules(_))));
    assert!(matches!(
        open(&dir.path().join("нет")),
        Err(CorpusError::Missing(_))
    ));
    assert!(matches!(
        open(&dir.path().join("a.txt")),
        Err(CorpusError::NoModules(_))
    ));
}

#[test]
fn a_visitor_may_stop_the_reading() {
    let dir = folder(&[("a.bsl", b"A = 1;"), ("b.bsl", b"B = 1;")]);
    let report = open(dir.path())
        .unwrap()
        .read(&mut |_| ControlFlow::Break(()))
        .unwrap();
    assert_eq!(report.files, 1);
}
