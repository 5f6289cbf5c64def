//! Sources that the tests make for themselves.

use std::path::Path;

/// A path and the bytes that lie there.
pub(crate) type TestFile<'a> = (&'a str, &'a [u8]);

/// Writes files and the folders they lie in.
pub(crate) fn write_files(base: &Path, files: &[(&str, &[u8])]) {
    for (path, bytes) in files {
        let path = base.join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    }
}

/// Makes a bare repository at `path` with one commit that holds `files`. Gives the commit.
pub(crate) fn git_repository(path: &Path, files: &[(&str, &[u8])]) -> String {
    std::fs::create_dir_all(path).unwrap();
    let repository = gix::init_bare(path).unwrap();
    let tree = git_tree(&repository, files);
    let who = gix::actor::SignatureRef {
        name: "Автор".into(),
        email: "author@example.com".into(),
        time: "1700000000 +0000",
    };
    repository
        .commit_as(who, who, "HEAD", "Первый", tree, None::<gix::ObjectId>)
        .unwrap()
        .detach()
        .to_string()
}

fn git_tree(repository: &gix::Repository, files: &[(&str, &[u8])]) -> gix::ObjectId {
    let mut folders: std::collections::BTreeMap<&str, Vec<(&str, &[u8])>> = Default::default();
    let mut tree = gix::objs::Tree::empty();
    for (path, bytes) in files {
        match path.split_once('/') {
            Some((folder, rest)) => folders.entry(folder).or_default().push((rest, bytes)),
            None => {
                let oid = repository.write_blob(bytes).unwrap().detach();
                tree.entries.push(gix::objs::tree::Entry {
                    mode: gix::objs::tree::EntryKind::Blob.into(),
                    filename: (*path).into(),
                    oid,
                });
            }
        }
    }
    for (folder, files) in folders {
        let oid = git_tree(repository, &files);
        tree.entries.push(gix::objs::tree::Entry {
            mode: gix::objs::tree::EntryKind::Tree.into(),
            filename: folder.into(),
            oid,
        });
    }
    tree.entries.sort();
    repository.write_object(&tree).unwrap().detach()
}

/// A module with the methods named, each long enough to be compared with others.
pub(crate) fn module(names: &[&str]) -> String {
    let method = |name: &&str| {
        let lines: String = (0..12)
            .map(|n| format!("\tДанные.Поле{name}{n} = Источник.Значение{n};\n"))
            .collect();
        format!(
            "// Заполняет {name}.\n//\n&НаСервере\nПроцедура {name}(Данные) Экспорт\n{lines}КонецПроцедуры\n"
        )
    };
    names.iter().map(method).collect::<Vec<_>>().join("\n")
}

/// Makes a bare repository whose HEAD has one commit behind the other, each made at its time and holding its files.
pub(crate) fn git_commits(path: &Path, commits: &[(u64, Vec<TestFile<'_>>)]) {
    std::fs::create_dir_all(path).unwrap();
    let repository = gix::init_bare(path).unwrap();
    let mut parent = None;
    for (time, files) in commits {
        let tree = git_tree(&repository, files);
        let time = format!("{time} +0000");
        let who = gix::actor::SignatureRef {
            name: "Автор".into(),
            email: "author@example.com".into(),
            time: &time,
        };
        let commit = repository.commit_as(who, who, "HEAD", "Правка", tree, parent);
        parent = Some(commit.unwrap().detach());
    }
}
