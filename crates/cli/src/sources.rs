//! Sources as typed: paths that may carry a name, or a table of repositories.
//!
//! `corpus build` and `eval` take the same arguments.

use crate::explain;
use crate::failure::{Failure, Outcome};
use crate::messages::Messages;
use clap::Args;
use nestor_corpus::{CorpusError, Role, SourceSpec, list};
use std::path::{Path, PathBuf};

/// Arguments that name sources.
#[derive(Debug, Args)]
pub struct SourcesTyped {
    #[arg(value_name = "SRC", required_unless_present = "list")]
    sources: Vec<String>,
    #[arg(long, value_name = "FILE", requires = "mirrors")]
    list: Option<PathBuf>,
    #[arg(long, value_name = "DIR", requires = "list")]
    mirrors: Option<PathBuf>,
}

impl SourcesTyped {
    /// The sources of the table, then those of the command line, which have the role `role`.
    ///
    /// # Errors
    /// Input for a table that cannot be used, usage for two sources of one name.
    pub fn resolve(&self, role: Role, messages: &Messages) -> Outcome<Vec<SourceSpec>> {
        let mut sources = Vec::new();
        if let (Some(list), Some(mirrors)) = (&self.list, &self.mirrors) {
            let listed = list::read_list(list, mirrors, &[]);
            sources.extend(listed.map_err(|error| explain::corpus(messages, &error))?);
        }
        sources.extend(self.sources.iter().map(|typed| named_source(typed, role)));
        for (idx, source) in sources.iter().enumerate() {
            if sources[..idx].iter().any(|other| other.name == source.name) {
                let values = [("name", source.name.as_str().into())];
                return Err(Failure::usage(messages, "corpus-error-same-name", &values));
            }
        }
        Ok(sources)
    }
}

/// Checks that all sources are there: the last of them is read hours after the first.
///
/// # Errors
/// Input naming the first that is missing.
pub fn check_present(specs: &[SourceSpec], messages: &Messages) -> Outcome {
    match specs.iter().find(|spec| !spec.path.exists()) {
        Some(spec) => {
            let missing = CorpusError::Missing(spec.path.clone());
            Err(explain::corpus(messages, &missing))
        }
        None => Ok(()),
    }
}

/// `NAME=PATH`, or a path that names itself by its last part.
fn named_source(typed: &str, role: Role) -> SourceSpec {
    let (name, path) = match typed.split_once('=') {
        Some((name, path)) if !name.is_empty() && !name.contains(['/', '\\']) => (Some(name), path),
        _ => (None, typed),
    };
    let path = PathBuf::from(path);
    let name = name
        .map(str::to_owned)
        .or_else(|| last_part(&path))
        .unwrap_or_else(|| typed.to_owned());
    SourceSpec {
        path,
        name,
        role,
        licence: None,
    }
}

fn last_part(path: &Path) -> Option<String> {
    let whole = path.canonicalize().unwrap_or_else(|_| path.to_path_buf());
    let name = whole.file_name()?.to_string_lossy().into_owned();
    Some(name.strip_suffix(".git").map(str::to_owned).unwrap_or(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_may_be_given_a_name() {
        for (typed, name, path) in [
            ("erp=/src/one", "erp", "/src/one"),
            ("/src/one", "one", "/src/one"),
            ("/src/one.git", "one", "/src/one.git"),
            ("/src/a=b", "a=b", "/src/a=b"),
        ] {
            let source = named_source(typed, Role::Train);
            assert_eq!(
                (source.name.as_str(), source.path.as_path()),
                (name, Path::new(path)),
                "{typed}"
            );
        }
    }
}
