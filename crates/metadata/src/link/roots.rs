//! Where configurations, extensions and external processors begin, and which files belong to each.

use crate::index::{Index, RootMark};
use crate::kinds::ObjectKind;
use crate::model::{Root, RootId, RootRole};

/// The roots of an index, in the order of their folders; files of no root come last.
pub(super) struct Roots {
    roots: Vec<Root>,
    /// The external object that a root is, in the order of roots.
    externals: Vec<Option<ObjectKind>>,
    /// Descriptions that lie beside their root's folder: `X.xml` beside `X/`.
    beside: Vec<(String, RootId)>,
}

impl Roots {
    pub(super) fn find(index: &Index) -> Roots {
        let mut found: Vec<(Root, Option<ObjectKind>, &str)> = index
            .root_marks()
            .map(|(path, mark)| {
                let (role, name, external) = match mark {
                    RootMark::Base { name } => (RootRole::Base, name, None),
                    RootMark::Extension { name } => (RootRole::Extension, name, None),
                    RootMark::External { kind, name } => (RootRole::External, name, Some(*kind)),
                };
                (root(name, folder(path, role), role), external, path)
            })
            .collect();
        found.sort_by(|left, right| left.0.folder.cmp(&right.0.folder));
        found.push((root("", String::new(), RootRole::Loose), None, ""));
        let mut roots = Roots {
            roots: Vec::new(),
            externals: Vec::new(),
            beside: Vec::new(),
        };
        for (id, (root, external, path)) in (0..).map(RootId).zip(found) {
            if !path.starts_with(&root.folder) {
                roots.beside.push((path.to_owned(), id));
            }
            roots.roots.push(root);
            roots.externals.push(external);
        }
        roots
    }

    /// The root that the file at `path` belongs to.
    pub(super) fn of(&self, path: &str) -> RootId {
        if let Some((_, root)) = self.beside.iter().find(|(beside, _)| beside == path) {
            return *root;
        }
        let loose = RootId(self.roots.len() as u32 - 1);
        (0..)
            .map(RootId)
            .zip(&self.roots)
            .filter(|(id, root)| *id != loose && path.starts_with(&root.folder))
            .max_by_key(|(id, root)| (root.folder.len(), std::cmp::Reverse(*id)))
            .map_or(loose, |(id, _)| id)
    }

    /// Kind and name of the external object that `root` is.
    pub(super) fn external(&self, root: RootId) -> Option<(ObjectKind, &str)> {
        let idx = root.0 as usize;
        self.externals[idx].map(|kind| (kind, self.roots[idx].name.as_str()))
    }

    pub(super) fn take(&mut self) -> Vec<Root> {
        std::mem::take(&mut self.roots)
    }
}

fn root(name: &str, folder: String, role: RootRole) -> Root {
    Root {
        name: name.to_owned(),
        folder,
        role,
        base: None,
        sees: Vec::new(),
    }
}

/// The folder of the root that the file at `path` describes.
fn folder(path: &str, role: RootRole) -> String {
    let (parent, file) = path
        .rsplit_once('/')
        .map_or(("", path), |(parent, file)| (parent, file));
    let (stem, file_type) = file.rsplit_once('.').unwrap_or((file, ""));
    let folder = match (role, file_type) {
        // `src/Configuration/Configuration.mdo`, but `src/ExternalReports/X/X.mdo`.
        (RootRole::Base | RootRole::Extension, "mdo") => parent
            .rsplit_once('/')
            .map_or("", |(folder, _)| folder)
            .to_owned(),
        (RootRole::External, "xml") if parent.is_empty() => stem.to_owned(),
        (RootRole::External, "xml") => format!("{parent}/{stem}"),
        _ => parent.to_owned(),
    };
    if folder.is_empty() {
        folder
    } else {
        folder + "/"
    }
}
