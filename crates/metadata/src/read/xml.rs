//! A pull parser over one XML text, in the shape that the readers want: the children of an element, its text.
//!
//! [`Xml::children`] calls a closure for each child; whatever the closure leaves unread is skipped. Reading stops at the first
//! fault, which [`Xml::trouble`] names; what was read before it counts.

use quick_xml::Reader;
use quick_xml::errors::{Error, IllFormedError};
use quick_xml::events::{BytesStart, Event};

use crate::facts::Trouble;

/// Elements deeper than this are no form that a person made.
const DEEPEST: usize = 400;

/// The parser.
pub(super) struct Xml<'a> {
    reader: Reader<&'a [u8]>,
    /// Elements that are open.
    depth: usize,
    is_over: bool,
    trouble: Option<Trouble>,
}

/// The start of an element.
pub(super) struct Element<'a> {
    start: BytesStart<'a>,
}

impl Element<'_> {
    /// Its tag without prefix.
    pub(super) fn tag(&self) -> &str {
        // The text was UTF-8 and tags are cut at ASCII bytes.
        std::str::from_utf8(self.start.local_name().into_inner()).unwrap_or_default()
    }

    /// Whether its tag is `tag` with the prefix `prefix`.
    pub(super) fn is(&self, prefix: &str, tag: &str) -> bool {
        let name = self.start.name();
        name.prefix()
            .is_some_and(|found| found.into_inner() == prefix.as_bytes())
            && self.tag() == tag
    }

    /// The value of the attribute `name`, whatever its prefix.
    pub(super) fn attribute(&self, name: &str) -> Option<String> {
        self.start
            .attributes()
            .with_checks(false)
            .flatten()
            .find(|attribute| attribute.key.local_name().into_inner() == name.as_bytes())
            .and_then(|attribute| attribute.unescape_value().ok())
            .map(|value| value.into_owned())
    }
}

impl<'a> Xml<'a> {
    /// A parser before the root of `text`.
    pub(super) fn new(text: &'a str) -> Self {
        let mut reader = Reader::from_str(text.strip_prefix('\u{feff}').unwrap_or(text));
        reader.config_mut().expand_empty_elements = true;
        Xml {
            reader,
            depth: 0,
            is_over: false,
            trouble: None,
        }
    }

    /// The root element; `None` once the text is over.
    pub(super) fn root(&mut self) -> Option<Element<'a>> {
        while let Some(event) = self.next() {
            if let Event::Start(start) = event {
                return Some(Element { start });
            }
        }
        None
    }

    /// Calls `each` for every child of the element that was entered last.
    pub(super) fn children(&mut self, mut each: impl FnMut(&mut Self, Element<'a>)) {
        let depth = self.depth;
        while let Some(event) = self.next() {
            match event {
                Event::Start(start) => {
                    each(self, Element { start });
                    while self.depth > depth && self.next().is_some() {}
                }
                Event::End(_) => return,
                _ => {}
            }
        }
    }

    /// The text of the element that was entered last, without white space around it. Elements inside are passed over.
    pub(super) fn text(&mut self) -> String {
        self.text_or(|_, _| {})
    }

    /// The text of the element that was entered last; `each` is called for the elements inside.
    pub(super) fn text_or(&mut self, mut each: impl FnMut(&mut Self, Element<'a>)) -> String {
        let depth = self.depth;
        let mut text = String::new();
        while let Some(event) = self.next() {
            match event {
                Event::Start(start) => {
                    each(self, Element { start });
                    while self.depth > depth && self.next().is_some() {}
                }
                Event::Text(part) => {
                    text.push_str(&part.decode().unwrap_or_default());
                }
                Event::CData(part) => {
                    text.push_str(&part.decode().unwrap_or_default());
                }
                Event::GeneralRef(reference) => match reference.resolve_char_ref() {
                    Ok(Some(c)) => text.push(c),
                    _ => {
                        let name = reference.decode().unwrap_or_default();
                        text.push_str(
                            quick_xml::escape::resolve_predefined_entity(&name).unwrap_or_default(),
                        );
                    }
                },
                Event::End(_) => break,
                _ => {}
            }
        }
        let trimmed = text.trim();
        if trimmed.len() == text.len() {
            text
        } else {
            trimmed.to_owned()
        }
    }

    /// Every text inside the element that was entered last, at any depth, that is not blank.
    pub(super) fn texts(&mut self) -> Vec<String> {
        fn collect<'a>(xml: &mut Xml<'a>, texts: &mut Vec<String>) {
            let text = xml.text_or(|xml, _| collect(xml, texts));
            if !text.is_empty() {
                texts.push(text);
            }
        }
        let mut texts = Vec::new();
        collect(self, &mut texts);
        texts
    }

    /// What stopped the reading.
    pub(super) fn trouble(self) -> Option<Trouble> {
        self.trouble
    }

    fn next(&mut self) -> Option<Event<'a>> {
        if self.is_over {
            return None;
        }
        let event = self.reader.read_event();
        let offset = self.reader.buffer_position();
        let trouble = match event {
            Ok(Event::Eof) if self.depth > 0 => Trouble::CutShort { offset },
            Ok(Event::Eof) => {
                self.is_over = true;
                return None;
            }
            Ok(Event::Start(_)) if self.depth >= DEEPEST => Trouble::TooDeep { offset },
            Ok(event) => {
                match event {
                    Event::Start(_) => self.depth += 1,
                    Event::End(_) => self.depth = self.depth.saturating_sub(1),
                    _ => {}
                }
                return Some(event);
            }
            // Tags, comments and quotes without an end.
            Err(Error::Syntax(_) | Error::IllFormed(IllFormedError::MissingEndTag(_))) => {
                Trouble::CutShort { offset }
            }
            Err(error) => Trouble::NotXml {
                offset,
                reason: error.to_string(),
            },
        };
        self.is_over = true;
        self.trouble = Some(trouble);
        None
    }
}
