//! A git repository that a test makes.
#![allow(dead_code, reason = "not every test binary uses all of it")]

use std::path::Path;

/// A path and the text that lies there.
pub type TestFile = (&'static str, String);

/// Makes the next commit of a bare repository and switches to it; gives it.
pub fn commit(
    repository: &Path,
    parent: Option<gix::ObjectId>,
    time: u64,
    files: &[TestFile],
) -> gix::ObjectId {
    let repository = gix::open(repository).unwrap_or_else(|_| gix::init_bare(repository).unwrap());
    let mut tree = gix::objs::Tree::empty();
    for (path, text) in files {
        tree.entries.push(gix::objs::tree::Entry {
            mode: gix::objs::tree::EntryKind::Blob.into(),
            filename: (*path).into(),
            oid: repository.write_blob(text).unwrap().detach(),
        });
    }
    tree.entries.sort();
    let tree = repository.write_object(&tree).unwrap();
    let time = format!("{time} +0000");
    let who = gix::actor::SignatureRef {
        name: "Автор".into(),
        email: "author@example.com".into(),
        time: &time,
    };
    let branch = format!("refs/heads/n{time}")
        .replace(' ', "-")
        .replace('+', "");
    repository
        .commit_as(who, who, branch.as_str(), "Правка", tree, parent)
        .unwrap()
        .detach()
}
