//! `ParentConfigurations.bin`: which objects of a configuration are on a vendor's support, and by which rule.
//!
//! The platform writes it beside a configuration's dump (`Ext/`) and EDT beside `Configuration.mdo`. In spite of its name it
//! is text, one flat list: `{6, read-only, vendors, vendor's block, ..}`. A block is an id, a flag, the vendor
//! configuration's id, its version, vendor and name, a number of records, the records; a record is a rule, a flag, the uuid
//! of the object here and its uuid in the vendor's configuration, which may be left out. Numbers between the blocks and behind
//! the last one are not read. No official description exists; this is what dumps of real configurations hold.

use std::collections::HashMap;

use thiserror::Error;

/// Id of a metadata object.
pub type Uuid = u128;

/// Why a file says nothing about support.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum SupportError {
    /// It is no text, or does not begin as such a file does.
    #[error("it does not begin as a list of objects on support does")]
    NoList,
    /// Its version is not the known one.
    #[error("its format {0} is not known")]
    Format(u64),
    /// It ends early.
    #[error("it is cut short")]
    Short,
    /// Something in it is not what stands there in all such files.
    #[error("element {0} is not what should stand there")]
    Element(usize),
}

/// What a vendor allows to do with an object of theirs; the strictest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SupportRule {
    /// It may not be edited.
    Locked,
    /// It may be edited and stays on support; nothing says whether it was.
    Editable,
    /// It was taken off support.
    Off,
}

/// A vendor's configuration that objects come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VendorConfiguration {
    /// Its name.
    pub name: String,
    /// Who makes it.
    pub vendor: String,
    /// Its version.
    pub version: String,
    /// Objects of it that are listed.
    pub objects: usize,
}

/// What a file says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Support {
    /// True if nothing of the configuration may be edited, whatever the rules of its objects.
    pub is_read_only: bool,
    /// The vendors' configurations; empty when support was given up.
    pub vendors: Vec<VendorConfiguration>,
    rules: HashMap<Uuid, SupportRule>,
}

const FORMAT: u64 = 6;

impl Support {
    /// Reads the bytes of a file.
    pub fn read(bytes: &[u8]) -> Result<Self, SupportError> {
        let text = std::str::from_utf8(bytes).map_err(|_| SupportError::NoList)?;
        let text = text.trim_start_matches('\u{feff}').trim();
        let list = text.strip_prefix('{').ok_or(SupportError::NoList)?;
        let list = list.strip_suffix('}').ok_or(SupportError::Short)?;
        let elements = elements(list)?;
        let mut rest = Reader {
            elements: &elements,
            at: 0,
        };
        match rest.number()? {
            FORMAT => {}
            other => return Err(SupportError::Format(other)),
        }
        let is_read_only = rest.number()? != 0;
        let n_vendors = rest.number()?;
        let mut support = Self {
            is_read_only,
            ..Self::default()
        };
        for _ in 0..n_vendors {
            support.read_block(&mut rest)?;
        }
        Ok(support)
    }

    /// The rule of an object; `None` for one that comes from no vendor. Of several vendors' rules the strictest holds, for
    /// editing against it would break that vendor's updates.
    #[must_use]
    pub fn rule(&self, object: Uuid) -> Option<SupportRule> {
        self.rules.get(&object).copied()
    }

    /// Objects that come from a vendor.
    #[must_use]
    pub fn n_objects(&self) -> usize {
        self.rules.len()
    }

    fn read_block(&mut self, rest: &mut Reader<'_>) -> Result<(), SupportError> {
        while !rest.is_block() {
            rest.number()?;
        }
        rest.at += 3;
        let (version, vendor, name) = (rest.text()?, rest.text()?, rest.text()?);
        let count = rest.number()?;
        for _ in 0..count {
            let rule = match rest.number()? {
                0 => SupportRule::Locked,
                1 => SupportRule::Editable,
                2 => SupportRule::Off,
                _ => return Err(SupportError::Element(rest.at - 1)),
            };
            rest.number()?;
            let Some(Element::Uuid(object)) = rest.take()? else {
                return Err(SupportError::Element(rest.at - 1));
            };
            if matches!(rest.peek(), Some(Element::Uuid(_))) && !rest.is_block() {
                rest.at += 1;
            }
            let known = self.rules.entry(*object).or_insert(rule);
            *known = rule.min(*known);
        }
        self.vendors.push(VendorConfiguration {
            name: name.to_owned(),
            vendor: vendor.to_owned(),
            version: version.to_owned(),
            objects: count as usize,
        });
        Ok(())
    }
}

#[derive(Debug, PartialEq)]
enum Element {
    Number(u64),
    Uuid(Uuid),
    Text(String),
}

struct Reader<'a> {
    elements: &'a [Element],
    at: usize,
}

impl<'a> Reader<'a> {
    fn peek(&self) -> Option<&'a Element> {
        self.elements.get(self.at)
    }

    fn take(&mut self) -> Result<Option<&'a Element>, SupportError> {
        let element = self.peek().ok_or(SupportError::Short)?;
        self.at += 1;
        Ok(Some(element))
    }

    fn number(&mut self) -> Result<u64, SupportError> {
        match self.take()? {
            Some(Element::Number(number)) => Ok(*number),
            _ => Err(SupportError::Element(self.at - 1)),
        }
    }

    fn text(&mut self) -> Result<&'a str, SupportError> {
        match self.take()? {
            Some(Element::Text(text)) => Ok(text),
            _ => Err(SupportError::Element(self.at - 1)),
        }
    }

    /// Whether a vendor's block begins here.
    fn is_block(&self) -> bool {
        matches!(
            self.elements.get(self.at..),
            Some([
                Element::Uuid(_),
                Element::Number(_),
                Element::Uuid(_),
                Element::Text(_),
                ..
            ])
        )
    }
}

/// Cuts the inside of the braces at its commas. A quote inside of quotes is doubled.
fn elements(list: &str) -> Result<Vec<Element>, SupportError> {
    let mut elements = Vec::new();
    let mut rest = list.trim_start();
    loop {
        let wrong = || SupportError::Element(elements.len());
        let (element, tail) = if let Some(quoted) = rest.strip_prefix('"') {
            let (text, tail) = unquote(quoted).ok_or(SupportError::Short)?;
            (Element::Text(text), tail)
        } else {
            let (word, tail) = rest.split_at(rest.find(',').unwrap_or(rest.len()));
            let word = word.trim();
            let element = match uuid(word) {
                Some(uuid) => Element::Uuid(uuid),
                None => Element::Number(word.parse().map_err(|_| wrong())?),
            };
            (element, tail)
        };
        let tail = tail.trim_start();
        let is_last = tail.is_empty();
        if !is_last {
            rest = tail.strip_prefix(',').ok_or_else(wrong)?.trim_start();
        }
        elements.push(element);
        if is_last {
            return Ok(elements);
        }
    }
}

/// The text up to the closing quote, and what stands behind it.
fn unquote(quoted: &str) -> Option<(String, &str)> {
    let mut text = String::new();
    let mut rest = quoted;
    loop {
        let (part, tail) = rest.split_once('"')?;
        text.push_str(part);
        let Some(more) = tail.strip_prefix('"') else {
            return Some((text, tail));
        };
        text.push('"');
        rest = more;
    }
}

/// A uuid of 36 characters.
pub(super) fn uuid(text: &str) -> Option<Uuid> {
    let is_dash = |at: usize| matches!(at, 8 | 13 | 18 | 23);
    let is_uuid = text.len() == 36
        && text.bytes().enumerate().all(|(at, byte)| match byte {
            b'-' => is_dash(at),
            _ => !is_dash(at) && byte.is_ascii_hexdigit(),
        });
    is_uuid.then(|| {
        text.bytes()
            .filter_map(|byte| char::from(byte).to_digit(16))
            .fold(0, |uuid, digit| uuid << 4 | u128::from(digit))
    })
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use proptest::prelude::*;

    pub(in crate::source) fn id(n: u128) -> String {
        let hex = format!("{n:032x}");
        [
            &hex[..8],
            &hex[8..12],
            &hex[12..16],
            &hex[16..20],
            &hex[20..],
        ]
        .join("-")
    }

    /// A file with one vendor for each list of rules and objects.
    pub(in crate::source) fn file(is_read_only: bool, vendors: &[&[(u8, u128)]]) -> String {
        let mut text = format!("\u{feff}{{6,{},{}", u8::from(is_read_only), vendors.len());
        for (nth, objects) in vendors.iter().enumerate() {
            let (block, vendor) = (id(900 + nth as u128), id(800));
            text += &format!(",{block},0,{vendor},\"1.0.{nth}\",\"ООО \"\"Полёт\"\"\",\"База\"");
            text += &format!(",{}", objects.len());
            for (rule, object) in *objects {
                text += &format!(",{rule},0,{},{}", id(*object), id(object + 1000));
            }
            text += ",0,0";
        }
        text + ",0,1,1}"
    }

    #[test]
    fn rules_are_read_and_the_strictest_vendor_wins() {
        let text = file(false, &[&[(1, 1), (0, 2), (2, 3)], &[(2, 2), (1, 3)]]);
        let support = Support::read(text.as_bytes()).unwrap();
        let rule = |object| support.rule(object);
        assert_eq!(rule(1), Some(SupportRule::Editable));
        assert_eq!(rule(2), Some(SupportRule::Locked));
        assert_eq!(rule(3), Some(SupportRule::Editable));
        assert_eq!((rule(4), rule(1001)), (None, None));
        assert!(!support.is_read_only && support.n_objects() == 3);
        assert_eq!(support.vendors[0].vendor, "ООО \"Полёт\"");
        assert_eq!(support.vendors[1].version, "1.0.1");
    }

    #[test]
    fn the_first_record_may_have_no_vendor_uuid() {
        let pair = format!("{},{}", id(1), id(1001));
        let text = file(true, &[&[(1, 1), (0, 2)]]).replace(&pair, &id(1));
        let support = Support::read(text.as_bytes()).unwrap();
        assert_eq!(support.rule(2), Some(SupportRule::Locked));
        assert!(support.is_read_only);
        // A block directly behind a record of one uuid.
        let pair = format!(",{},{},0,0", id(1), id(1001));
        let text = file(false, &[&[(1, 1)], &[(0, 2)]]).replace(&pair, &format!(",{}", id(1)));
        assert_eq!(Support::read(text.as_bytes()).unwrap().n_objects(), 2);
    }

    #[test]
    fn support_that_was_given_up_has_no_vendors() {
        for text in [
            "\u{feff}{6,0,0}",
            "{6,0,0,8,0b06d4d1-b1a5-45a0-8caa-3858ac75915f,2}",
        ] {
            let support = Support::read(text.as_bytes()).unwrap();
            assert!(support.vendors.is_empty() && support.rule(1).is_none());
        }
    }

    #[test]
    fn files_cut_short_and_nonsense_are_refused() {
        let text = file(false, &[&[(1, 1), (0, 2)]]);
        // A record may do without its second uuid, and behind the last one only numbers of no interest follow.
        let records_end = text.find(&format!(",{}", id(1002))).unwrap();
        for (cut, _) in text.char_indices().filter(|(cut, _)| *cut < text.len()) {
            assert!(Support::read(&text.as_bytes()[..cut]).is_err(), "{cut}");
            let closed = format!("{}}}", &text[..cut]);
            let read = Support::read(closed.as_bytes());
            assert!(cut >= records_end || read.is_err(), "{closed}");
        }
        let error = |text: &str| Support::read(text.as_bytes()).unwrap_err();
        assert_eq!(error(""), SupportError::NoList);
        assert_eq!(error("PK\u{3}"), SupportError::NoList);
        assert_eq!(error("{7,0,0}"), SupportError::Format(7));
        assert_eq!(error("{6,0,1}"), SupportError::Short);
        assert_eq!(error("{6,да,1}"), SupportError::Element(1));
        assert_eq!(error("{}"), SupportError::Element(0));
        assert_eq!(
            error(&text.replace(",1,0,", ",7,0,")),
            SupportError::Element(10)
        );
        assert_eq!(Support::read(&[0xFF, 0xFE, 0]), Err(SupportError::NoList));
        let huge = text.replace("\"База\",2", "\"База\",18446744073709551615");
        assert!(Support::read(huge.as_bytes()).is_err());
    }

    proptest! {
        #[test]
        fn bytes_from_outside_never_panic(bytes: Vec<u8>, text in "\\{6,[0-9a-f\",{}-]{0,60}\\}?") {
            let _ = Support::read(&bytes);
            let _ = Support::read(text.as_bytes());
        }
    }
}
