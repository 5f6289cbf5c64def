//! `ConfigDumpInfo.xml`: the versions of everything in a Designer dump.
//!
//! Whoever feeds files can compare two of these and read only what changed.

use std::collections::BTreeMap;

use super::xml::Xml;
use crate::facts::Trouble;
use crate::kinds::ObjectKind;

/// Versions by the full name of what they are of (`Catalog.Товары.Form.ФормаСписка.Form`).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DumpInfo {
    versions: BTreeMap<String, String>,
}

impl DumpInfo {
    /// Reads the file's bytes.
    pub fn read(bytes: &[u8]) -> Result<DumpInfo, Trouble> {
        let text = std::str::from_utf8(bytes).map_err(|error| Trouble::NotText {
            reason: format!("invalid UTF-8 at byte {}", error.valid_up_to()),
        })?;
        let mut xml = Xml::new(text);
        let mut info = DumpInfo::default();
        while xml.root().is_some() {
            info.entries(&mut xml);
        }
        match xml.trouble() {
            // Half a list would call the other half deleted.
            Some(trouble) => Err(trouble),
            None => Ok(info),
        }
    }

    fn entries(&mut self, xml: &mut Xml<'_>) {
        xml.children(|xml, element| {
            if let (Some(name), Some(version)) = (
                element.attribute("name"),
                element.attribute("configVersion"),
            ) {
                self.versions.insert(name, version);
            }
            self.entries(xml);
        });
    }

    /// Full names that are new or of another version than in `before`, in order.
    pub fn changed_since(&self, before: &DumpInfo) -> Vec<&str> {
        self.versions
            .iter()
            .filter(|(name, version)| before.versions.get(*name) != Some(version))
            .map(|(name, _)| name.as_str())
            .collect()
    }

    /// Full names of `before` that are no more, in order.
    pub fn removed_since<'a>(&self, before: &'a DumpInfo) -> Vec<&'a str> {
        before
            .versions
            .keys()
            .filter(|name| !self.versions.contains_key(*name))
            .map(String::as_str)
            .collect()
    }
}

/// Where a dump keeps what has the full name `name`, from the dump's folder: `Catalogs/Товары/Ext/ObjectModule.bsl`. Empty for
/// parts that have no file of their own or say nothing about metadata. A form has one version for its layout and its module.
pub fn paths_of(name: &str) -> Vec<String> {
    let words: Vec<&str> = name.split('.').collect();
    let [first, object, rest @ ..] = words.as_slice() else {
        return Vec::new();
    };
    let Some(kind) = ObjectKind::from_tag(first) else {
        return Vec::new();
    };
    if kind == ObjectKind::Configuration {
        return match rest {
            [] => vec!["Configuration.xml".to_owned()],
            [module] if module.ends_with("Module") => vec![format!("Ext/{module}.bsl")],
            _ => Vec::new(),
        };
    }
    let mut path = format!("{}/{object}", kind.english_plural());
    let mut rest = rest;
    while let ["Subsystem", name, tail @ ..] = rest {
        path = format!("{path}/Subsystems/{name}");
        rest = tail;
    }
    let form = |folder: String| {
        vec![
            format!("{folder}/Ext/Form.xml"),
            format!("{folder}/Ext/Form/Module.bsl"),
        ]
    };
    match rest {
        [] => vec![format!("{path}.xml")],
        [module] if module.ends_with("Module") => vec![format!("{path}/Ext/{module}.bsl")],
        ["Form"] => form(path),
        ["Predefined"] => vec![format!("{path}/Ext/Predefined.xml")],
        ["Form", name] => vec![format!("{path}/Forms/{name}.xml")],
        ["Form", name, "Form"] => form(format!("{path}/Forms/{name}")),
        ["Command", command, "CommandModule"] => {
            vec![format!("{path}/Commands/{command}/Ext/CommandModule.bsl")]
        }
        _ => Vec::new(),
    }
}
