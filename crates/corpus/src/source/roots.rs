//! The parts of a source: configurations, extensions, libraries, external processors, and where each lies.
//!
//! Found from the list of paths; only the few files that name a configuration are read.

use std::collections::BTreeMap;

/// How a root is laid out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Layout {
    /// `DESIGNER /DumpConfigToFiles`: `Ext` folders, `.xml`.
    Designer,
    /// 1C:EDT: `src`, `.mdo`.
    Edt,
    /// Neither: OneScript packages.
    Plain,
}

/// What a root is to the project.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RootRole {
    /// A whole configuration.
    Configuration,
    /// An extension of one.
    Extension,
    /// A package that others use.
    Library,
    /// An external data processor or report.
    ExternalProcessor,
}

/// One root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Root {
    /// Its folder in the source, without a slash at the end; empty for the source itself.
    pub path: String,
    /// Its layout.
    pub layout: Layout,
    /// Its role.
    pub role: RootRole,
}

const DESIGNER_ROOT: &str = "Configuration.xml";
const EDT_ROOT: &str = "src/Configuration/Configuration.mdo";

/// Finds the roots among `paths`; `load_text` reads one of them.
pub(super) fn find(paths: &[&str], load_text: &dyn Fn(usize) -> Option<String>) -> Vec<Root> {
    let mut roots = BTreeMap::new();
    for (file, path) in paths.iter().enumerate() {
        let is_extension = || {
            load_text(file).is_some_and(|text| {
                text.to_lowercase()
                    .contains("configurationextensionpurpose>")
            })
        };
        let role = |is_extension| {
            if is_extension {
                RootRole::Extension
            } else {
                RootRole::Configuration
            }
        };
        if let Some(folder) = folder_of(path, DESIGNER_ROOT) {
            roots.insert(folder, (Layout::Designer, role(is_extension())));
        } else if let Some(folder) = folder_of(path, EDT_ROOT) {
            roots.insert(folder, (Layout::Edt, role(is_extension())));
        }
    }
    let inside = |roots: &BTreeMap<&str, (Layout, RootRole)>, folder: &str| {
        roots.keys().any(|root| lies_under(folder, root))
    };
    for path in paths {
        // Folder `Имя` beside `Имя.xml`, outside every configuration: an external processor dumped to files.
        let object = ["Ext/ObjectModule.bsl", "Ext/ObjectModule.bin"]
            .iter()
            .find_map(|module| folder_of(path, module));
        let processor = object.filter(|folder| !folder.is_empty() && !inside(&roots, folder));
        if let Some(folder) = processor
            && paths
                .binary_search(&format!("{folder}.xml").as_str())
                .is_ok()
        {
            roots.insert(folder, (Layout::Designer, RootRole::ExternalProcessor));
        }
        let package = folder_of(path, "packagedef").or_else(|| folder_of(path, "lib.config"));
        if let Some(folder) = package.filter(|folder| !inside(&roots, folder)) {
            roots.insert(folder, (Layout::Plain, RootRole::Library));
        }
    }
    roots
        .into_iter()
        .map(|(path, (layout, role))| Root {
            path: path.to_owned(),
            layout,
            role,
        })
        .collect()
}

/// The root with the longest path that `path` lies under.
pub(super) fn innermost(roots: &[Root], path: &str) -> Option<usize> {
    let over = roots
        .iter()
        .enumerate()
        .filter(|(_, root)| lies_under(path, &root.path));
    over.max_by_key(|(_, root)| root.path.len())
        .map(|(root, _)| root)
}

/// The folder in which `path` ends with `tail`.
fn folder_of<'a>(path: &'a str, tail: &str) -> Option<&'a str> {
    let folder = path.strip_suffix(tail)?;
    if folder.is_empty() {
        Some("")
    } else {
        folder.strip_suffix('/')
    }
}

fn lies_under(path: &str, folder: &str) -> bool {
    folder.is_empty()
        || path
            .strip_prefix(folder)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(files: &[(&str, &str)], expected: &[(&str, Layout, RootRole)]) {
        let mut files = files.to_vec();
        files.sort_unstable();
        let paths: Vec<&str> = files.iter().map(|(path, _)| *path).collect();
        let roots = find(&paths, &|file| Some(files[file].1.to_owned()));
        let got: Vec<_> = roots
            .iter()
            .map(|root| (root.path.as_str(), root.layout, root.role))
            .collect();
        assert_eq!(got, expected);
    }

    #[test]
    fn configurations_and_extensions_of_both_layouts() {
        const PURPOSE: &str =
            "<ConfigurationExtensionPurpose>Customization</ConfigurationExtensionPurpose>";
        check(
            &[("Configuration.xml", "<x/>")],
            &[("", Layout::Designer, RootRole::Configuration)],
        );
        check(
            &[
                ("src/cf/Configuration.xml", ""),
                ("src/cfe/Доработки/Configuration.xml", PURPOSE),
            ],
            &[
                ("src/cf", Layout::Designer, RootRole::Configuration),
                ("src/cfe/Доработки", Layout::Designer, RootRole::Extension),
            ],
        );
        check(
            &[
                ("app/src/Configuration/Configuration.mdo", ""),
                (
                    "ext/src/Configuration/Configuration.mdo",
                    "<configurationExtensionPurpose>AddOn</configurationExtensionPurpose>",
                ),
            ],
            &[
                ("app", Layout::Edt, RootRole::Configuration),
                ("ext", Layout::Edt, RootRole::Extension),
            ],
        );
    }

    #[test]
    fn external_processors_and_packages_lie_outside_configurations() {
        check(
            &[
                ("cf/Configuration.xml", ""),
                ("cf/DataProcessors/А.xml", ""),
                ("cf/DataProcessors/А/Ext/ObjectModule.bsl", ""),
                ("epf/Загрузка.xml", ""),
                ("epf/Загрузка/Ext/ObjectModule.bsl", ""),
                ("packagedef", ""),
            ],
            &[
                ("", Layout::Plain, RootRole::Library),
                ("cf", Layout::Designer, RootRole::Configuration),
                (
                    "epf/Загрузка",
                    Layout::Designer,
                    RootRole::ExternalProcessor,
                ),
            ],
        );
    }

    #[test]
    fn a_file_belongs_to_the_innermost_root() {
        let root = |path: &str| Root {
            path: path.to_owned(),
            layout: Layout::Plain,
            role: RootRole::Library,
        };
        let roots = [root(""), root("cf"), root("cf2")];
        assert_eq!(innermost(&roots, "cf/a.bsl"), Some(1));
        assert_eq!(innermost(&roots, "cf2/a.bsl"), Some(2));
        assert_eq!(innermost(&roots, "cf3/a.bsl"), Some(0));
        assert_eq!(innermost(&roots[1..], "a.bsl"), None);
    }
}
