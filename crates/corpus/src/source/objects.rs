//! What files of metadata declare: objects with their uuids and names, in Designer's `.xml` and EDT's `.mdo` alike.
//!
//! In both layouts a declared object is an element with an attribute `uuid` and, inside it, a first element `Name` or
//! `name`. More is not read here; the crate `metadata` is for more.

use super::support::{Uuid, uuid};

/// A declared object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Declared<'a> {
    /// Its element, without a namespace: `Catalog`, `Command`, `forms`.
    pub(super) element: &'a str,
    /// Its id.
    pub(super) uuid: Uuid,
    /// Its name; empty where the text ends before it.
    pub(super) name: &'a str,
}

const ATTRIBUTE: &str = " uuid=\"";

/// The objects that a file declares in order; the first is the file's own.
pub(super) fn declared(text: &str) -> Vec<Declared<'_>> {
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(next) = text[at..].find(ATTRIBUTE) {
        let start = at + next;
        at = start + ATTRIBUTE.len();
        let Some(uuid) = text.get(at..at + 36).and_then(uuid) else {
            continue;
        };
        let Some(open) = text[..start].rfind('<') else {
            continue;
        };
        let element = text[open + 1..].split_whitespace().next().unwrap_or("");
        let end = text[at..].find(ATTRIBUTE).map_or(text.len(), |n| at + n);
        let inside = &text[at..end];
        let name = ["Name", "name"].iter().find_map(|tag| value(inside, tag));
        found.push(Declared {
            element: element.rsplit(':').next().unwrap_or(element),
            uuid,
            name: name.unwrap_or(""),
        });
    }
    found
}

/// The text inside the first element `tag` without attributes.
pub(super) fn value<'a>(text: &'a str, tag: &str) -> Option<&'a str> {
    let (_, rest) = text.split_once(&format!("<{tag}>"))?;
    let (value, _) = rest.split_once('<')?;
    Some(value.trim())
}

/// The texts of all elements whose name ends with `tag`.
pub(super) fn values<'a>(text: &'a str, tag: &str) -> Vec<&'a str> {
    let close = format!("{tag}>");
    let before_close = text.match_indices(&close).filter_map(|(at, _)| {
        let (inside, end) = text[..at].rsplit_once("</")?;
        // Only a name space may stand between.
        let is_tag = end.is_empty() || (end.ends_with(':') && !end.contains('>'));
        is_tag.then(|| inside.rsplit_once('>').map(|(_, value)| value.trim()))?
    });
    before_close.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::support::tests::id;

    #[test]
    fn objects_of_both_layouts() {
        let designer = format!(
            "<MetaDataObject version=\"2.16\">\r\n\t<Catalog uuid=\"{}\">\r\n<Properties><Name>Товары</Name><Synonym/>\
             </Properties><ChildObjects><Form>ФормаСписка</Form><Command uuid=\"{}\"><Properties><Name>Печать</Name>",
            id(1),
            id(2)
        );
        let edt = format!(
            "<mdclass:Catalog xmlns:mdclass=\"http://g5.1c.ru\" uuid=\"{}\">\n <name>Товары</name>\n <forms uuid=\"{}\">\n\
             <name>ФормаСписка</name>",
            id(1),
            id(2)
        );
        let found = |text| -> Vec<_> {
            let found = declared(text).into_iter();
            found
                .map(|found| (found.element, found.uuid, found.name))
                .collect()
        };
        assert_eq!(
            found(&designer),
            [("Catalog", 1, "Товары"), ("Command", 2, "Печать")]
        );
        assert_eq!(
            found(&edt),
            [("Catalog", 1, "Товары"), ("forms", 2, "ФормаСписка")]
        );
        assert_eq!(
            found(" uuid=\"1\" < uuid=\"ёёёёёёёёёёёёёёёёёёёёёёёёё\""),
            []
        );
        let cut = &designer[..designer.find("<Properties>").unwrap()];
        assert_eq!(found(cut), [("Catalog", 1, "")]);
    }

    #[test]
    fn values_of_elements() {
        let text = "<Content><xr:Item xsi:type=\"r\">Catalog.А</xr:Item><xr:Item>Catalog.Б</xr:Item></Content>";
        assert_eq!(values(text, "Item"), ["Catalog.А", "Catalog.Б"]);
        assert_eq!(
            values("<content>Catalog.В</content>", "content"),
            ["Catalog.В"]
        );
        assert_eq!(value("<NamePrefix/><Name>X</Name>", "Name"), Some("X"));
        assert_eq!(value("<NamePrefix/>", "NamePrefix"), None);
    }
}
