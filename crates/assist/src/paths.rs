//! Where a document of an editor lies in a project.
//!
//! The servers call this with paths as editors write them; the project knows its roots by the folders that they were learned from.

/// The root that a document lies in, and its path inside that root: of several the innermost. `roots` are names and folders.
#[must_use]
pub fn in_root<'a>(
    roots: impl IntoIterator<Item = (&'a str, &'a str)>,
    path: &str,
) -> Option<(&'a str, String)> {
    let path = comparable(path);
    let inside = roots.into_iter().filter_map(|(name, folder)| {
        let folder = comparable(folder);
        let rest = path.strip_prefix(&folder)?.strip_prefix('/')?;
        Some((folder.len(), name, rest.to_owned()))
    });
    let (_, name, rest) = inside.max_by_key(|found| found.0)?;
    Some((name, rest))
}

/// A path with `/` between its parts, without the mark that Windows puts before long paths, its drive in lower case.
fn comparable(path: &str) -> String {
    let path = path.replace('\\', "/");
    let path = path.strip_prefix("//?/").unwrap_or(&path);
    let path = path.trim_end_matches('/');
    match path.split_at_checked(1) {
        Some((drive, rest)) if rest.starts_with(':') => drive.to_ascii_lowercase() + rest,
        _ => path.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_innermost_root_has_a_document_however_its_path_is_written() {
        let roots = [
            ("cf", "/src/cf"),
            ("ext", "/src/cf/ext/"),
            ("win", r"\\?\C:\База\src"),
        ];
        for (path, expected) in [
            ("/src/cf/a.bsl", Some(("cf", "a.bsl"))),
            ("/src/cf/ext/b/c.bsl", Some(("ext", "b/c.bsl"))),
            ("/src/cf2/a.bsl", None),
            ("/src/cf", None),
            ("c:/База/src/М.bsl", Some(("win", "М.bsl"))),
            (r"C:\База\src\М.bsl", Some(("win", "М.bsl"))),
            ("a.bsl", None),
            ("", None),
        ] {
            let found = in_root(roots, path);
            let found = found.as_ref().map(|(name, rest)| (*name, rest.as_str()));
            assert_eq!(found, expected, "{path}");
        }
    }
}
