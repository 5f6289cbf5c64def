//! Lists of repositories: a table of `repository`, `role`, `licence` and `note`, and a folder of mirrors.
//!
//! The `corpus build` and `eval` commands read one instead of a long command line. Repository `owner/name` lives in
//! `owner+name/repo` under the folder of mirrors, bare or with its `.git` inside.

use std::path::Path;

use crate::build::SourceSpec;
use crate::{CorpusError, Role};

const COLUMNS: [&str; 4] = ["repository", "role", "licence", "note"];

/// Reads the list at `path`; the rows of every role, in their order.
///
/// The repositories named in `withheld` change their role from train to withheld. A name that the list lacks or has with
/// another role, and an unknown role are errors. Whether a mirror is there shows when the source is opened: a caller
/// that drops the rows of a role needs no mirrors for them.
pub fn read_list(
    path: &Path,
    mirrors: &Path,
    withheld: &[String],
) -> Result<Vec<SourceSpec>, CorpusError> {
    let text = std::fs::read_to_string(path).map_err(CorpusError::io(path))?;
    let wrong = |line: usize, reason: String| CorpusError::List {
        path: path.to_owned(),
        line: line + 1,
        reason,
    };
    let mut rows = text.lines().enumerate();
    let head: Vec<&str> = rows
        .next()
        .map(|(_, head)| {
            head.trim_start_matches('\u{feff}')
                .split('\t')
                .map(str::trim)
                .collect()
        })
        .unwrap_or_default();
    if head != COLUMNS {
        return Err(wrong(
            0,
            format!(
                "the columns must be {}, separated by tabs",
                COLUMNS.join(", ")
            ),
        ));
    }
    let mut specs: Vec<SourceSpec> = Vec::new();
    for (line, row) in rows.filter(|(_, row)| !row.trim().is_empty()) {
        let cells: Vec<&str> = row.split('\t').map(str::trim).collect();
        let [repository, role, licence, ..] = cells[..] else {
            return Err(wrong(
                line,
                format!("{} columns instead of {}", cells.len(), COLUMNS.len()),
            ));
        };
        let role = Role::from_name(role).ok_or_else(|| {
            wrong(
                line,
                format!("unknown role `{role}`; roles are train, withheld, dev"),
            )
        })?;
        let folder = mirrors.join(repository.replace('/', "+")).join("repo");
        if specs.iter().any(|spec| spec.name == repository) {
            return Err(wrong(
                line,
                format!("`{repository}` stands in the list twice"),
            ));
        }
        specs.push(SourceSpec {
            path: folder,
            name: repository.to_owned(),
            role,
            licence: Some(licence.to_owned()),
        });
    }
    for name in withheld {
        let spec = specs
            .iter_mut()
            .find(|spec| &spec.name == name && spec.role != Role::Dev);
        let spec = spec.ok_or_else(|| CorpusError::List {
            path: path.to_owned(),
            line: 1,
            reason: format!("`{name}` is to be withheld, but no row with role train names it"),
        })?;
        spec.role = Role::Withheld;
    }
    Ok(specs)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(rows: &str) -> (tempfile::TempDir, std::path::PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("list.tsv");
        std::fs::write(&path, format!("repository\trole\tlicence\tnote\n{rows}")).unwrap();
        (dir, path)
    }

    #[test]
    fn rows_become_sources_and_named_ones_are_withheld() {
        let (_dir, path) =
            list("a/one\ttrain\tMIT\t\nb/two\ttrain\tApache-2.0\tзаметка\n\nc/three\tdev\tMIT\t\n");
        let specs = read_list(&path, Path::new("mirrors"), &["b/two".to_owned()]).unwrap();
        let roles: Vec<_> = specs
            .iter()
            .map(|spec| (spec.name.as_str(), spec.role))
            .collect();
        assert_eq!(
            roles,
            [
                ("a/one", Role::Train),
                ("b/two", Role::Withheld),
                ("c/three", Role::Dev)
            ]
        );
        assert_eq!(specs[1].licence.as_deref(), Some("Apache-2.0"));
        assert_eq!(
            specs[1].path,
            Path::new("mirrors").join("b+two").join("repo")
        );
    }

    #[test]
    fn wrong_rows_are_named_with_their_line() {
        let check = |rows: &str, withheld: &[&str], expected: &str| {
            let (_dir, path) = list(rows);
            let withheld: Vec<String> = withheld.iter().map(|&name| name.to_owned()).collect();
            let error = read_list(&path, Path::new("mirrors"), &withheld)
                .unwrap_err()
                .to_string();
            assert!(error.contains(expected), "{error}");
        };
        check("a/one\ttrian\tMIT\t\n", &[], "line 2: unknown role `trian`");
        check("a/one\ttrain\n", &[], "line 2: 2 columns");
        check("a/one\ttrain\tMIT\t\na/one\tdev\tMIT\t\n", &[], "twice");
        check(
            "a/one\ttrain\tMIT\t\n",
            &["b/two"],
            "`b/two` is to be withheld",
        );
        check(
            "a/one\tdev\tMIT\t\n",
            &["a/one"],
            "`a/one` is to be withheld",
        );
    }
}
