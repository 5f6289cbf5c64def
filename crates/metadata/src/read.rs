//! From the bytes of one file to its facts.
//!
//! [`read_file`] decides by the path and the first tag what a file is. Designer's XML and EDT's differ in spelling more
//! than in structure, so objects have one reader; forms have two. Nothing here looks at another file, and nothing fails: what cannot be
//! read becomes a [`Trouble`](crate::facts::Trouble) beside what could.

mod designer_form;
mod edt_form;
mod module;
mod object;
mod xml;

pub(crate) use module::without_marks;

use crate::facts::{FileFacts, Trouble};
use crate::kinds::ObjectKind;
use xml::Xml;

/// What `bytes`, the file at `path`, says. `None` for files that say nothing about metadata: templates, pictures, help.
///
/// Pure, so that callers may read many files at once.
pub fn read_file(path: &str, bytes: &[u8]) -> Option<FileFacts> {
    let file = path.rsplit(['/', '\\']).next().unwrap_or(path);
    let (_, file_type) = file.rsplit_once('.')?;
    match file_type.to_ascii_lowercase().as_str() {
        "bsl" | "os" => Some(module::read(bytes)),
        "txt" if is_flat_module(path) => Some(module::read(bytes)),
        "xml" | "mdo" | "form" => read_xml(bytes),
        "bin" if file == "Form.bin" => Some(only(Trouble::OrdinaryForm)),
        // `Ext/ObjectModule.bin`: the compiled module of a protected one.
        "bin" if file.ends_with("Module.bin") => Some(only(Trouble::ProtectedModule)),
        _ => None,
    }
}

/// Whether [`read_file`] could say something about the file at `path`; the others need not be opened.
pub fn is_metadata_path(path: &str) -> bool {
    let file = path.rsplit(['/', '\\']).next().unwrap_or(path);
    let Some((stem, file_type)) = file.rsplit_once('.') else {
        return false;
    };
    match file_type.to_ascii_lowercase().as_str() {
        "bsl" | "os" | "mdo" | "form" => true,
        "txt" => is_flat_module(path),
        "xml" => !matches!(
            stem,
            "Template"
                | "Help"
                | "Rights"
                | "Picture"
                | "Flowchart"
                | "CommandInterface"
                | "ConfigDumpInfo"
        ),
        "bin" => file == "Form.bin" || file.ends_with("Module.bin"),
        _ => false,
    }
}

/// `Catalog.Товары.Form.ФормаСписка.Form.Module.txt`: a module in a dump of platform 8.2.
fn is_flat_module(path: &str) -> bool {
    path.ends_with("Module.txt")
        && nestor_bsl::ModulePath::from_path(path).object_type
            != nestor_bsl::module_path::ObjectType::Other
}

fn only(trouble: Trouble) -> FileFacts {
    FileFacts {
        troubles: vec![trouble],
        ..FileFacts::default()
    }
}

fn read_xml(bytes: &[u8]) -> Option<FileFacts> {
    // The file of another kind is recognised by its first tag, before its text is checked.
    if !is_metadata(bytes) {
        return None;
    }
    let text = match std::str::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => {
            return Some(only(Trouble::NotText {
                reason: format!("invalid UTF-8 at byte {}", error.valid_up_to()),
            }));
        }
    };
    let mut facts = FileFacts::default();
    let mut xml = Xml::new(text);
    while let Some(root) = xml.root() {
        match root.tag() {
            "MetaDataObject" => {
                if let Some(version) = root
                    .attribute("version")
                    .filter(|version| !is_known(version))
                {
                    facts.troubles.push(Trouble::OtherVersion { version });
                }
                xml.children(|xml, element| object::read(xml, &element, &mut facts));
            }
            "Form" if root.is("form", "Form") => facts.form = Some(edt_form::read(&mut xml)),
            "Form" => facts.form = Some(designer_form::read(&mut xml)),
            "PredefinedData" => object::predefined(&mut xml, &mut facts.predefined),
            tag if ObjectKind::from_tag(tag).is_some() => object::read(&mut xml, &root, &mut facts),
            _ => return None,
        }
    }
    if let Some(trouble) = xml.trouble() {
        // A name that was not reached is not missing.
        facts.troubles.retain(|known| *known != Trouble::Nameless);
        facts.troubles.push(trouble);
    }
    Some(facts)
}

/// Versions of Designer's format: 2.0 came with platform 8.3.5, each later platform raises the second number.
fn is_known(version: &str) -> bool {
    version
        .split_once('.')
        .is_some_and(|(major, minor)| matches!(major, "1" | "2") && minor.parse::<u32>().is_ok())
}

/// Whether the first tag within the first bytes belongs to metadata.
fn is_metadata(bytes: &[u8]) -> bool {
    const FAR_ENOUGH: usize = 4096;
    let head = String::from_utf8_lossy(&bytes[..bytes.len().min(FAR_ENOUGH)]);
    if bytes.starts_with(&[0xFF, 0xFE]) || bytes.starts_with(&[0xFE, 0xFF]) {
        // UTF-16: nobody writes metadata so, but then it has to be named.
        return head.replace('\0', "").contains("MetaDataObject");
    }
    let mut rest = &*head;
    while let Some(open) = rest.find('<') {
        rest = &rest[open + 1..];
        if rest.starts_with(['?', '!']) {
            continue;
        }
        let end = rest
            .find(|c: char| c.is_whitespace() || c == '>' || c == '/')
            .unwrap_or(rest.len());
        let tag = &rest[..end];
        return match tag.split_once(':') {
            Some(("mdclass", tag)) => ObjectKind::from_tag(tag).is_some(),
            Some(("form", "Form")) => true,
            Some(_) => false,
            None => {
                matches!(tag, "MetaDataObject" | "PredefinedData")
                    || tag == "Form" && head.contains("logform")
            }
        };
    }
    false
}
