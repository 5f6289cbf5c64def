//! `ConfigDumpInfo.xml`: the versions of a configuration's objects as Designer dumped them.
//!
//! A dump into an emptied folder gives every file a new time. The versions tell which objects are still the same, so that
//! their files need not be read. They say nothing of a file that was edited after the dump.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};

/// Versions by the name of an object, `Товары` for all of `Catalog.Товары.*`. Objects of one name and different kinds share an
/// entry, which costs some reading and no table of kinds.
#[derive(Debug, Default)]
pub(super) struct DumpInfo {
    versions: HashMap<String, u64>,
}

impl DumpInfo {
    /// Reads a file; what it does not say is not known.
    pub(super) fn read(text: &str) -> Self {
        let mut versions: HashMap<String, u64> = HashMap::new();
        for element in text.split("<Metadata ").skip(1) {
            let element = element.split('>').next().unwrap_or("");
            let (Some(name), Some(version)) = (
                attribute(element, "name"),
                attribute(element, "configVersion"),
            ) else {
                continue;
            };
            let mut hasher = DefaultHasher::new();
            (name, version).hash(&mut hasher);
            let object = name.split('.').nth(1).unwrap_or(name);
            // The order of the elements does not matter.
            let sum = versions.entry(object.to_owned()).or_default();
            *sum = sum.wrapping_add(hasher.finish());
        }
        Self { versions }
    }

    /// The version of all that bears the name of an object.
    pub(super) fn version(&self, object: &str) -> Option<u64> {
        self.versions.get(object).copied()
    }
}

fn attribute<'a>(element: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = element.split_once(&format!("{name}=\""))?;
    Some(rest.split_once('"')?.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_changes_with_any_part_of_its_object() {
        let text = "<ConfigVersions><Metadata name=\"Catalog.А\" id=\"1\" configVersion=\"aa\">\
            <Metadata name=\"Catalog.А.Attribute.Б\" id=\"2\"/></Metadata>\
            <Metadata name=\"Catalog.А.ObjectModule\" id=\"1.0\" configVersion=\"bb\"/>\
            <Metadata name=\"Configuration.К\" id=\"3\" configVersion=\"cc\"/>";
        let info = DumpInfo::read(text);
        assert!(info.version("А").is_some() && info.version("К").is_some());
        assert_eq!((info.version("Б"), info.version("Attribute")), (None, None));
        let other = DumpInfo::read(&text.replace("bb", "b0"));
        assert_ne!(info.version("А"), other.version("А"));
        assert_eq!(info.version("К"), other.version("К"));
        let cut = DumpInfo::read(&text[..text.find("bb").unwrap()]);
        assert_ne!(info.version("А"), cut.version("А"));
        assert!(
            DumpInfo::read("\u{0}<Metadata <Metadata name=\"")
                .versions
                .is_empty()
        );
    }
}
