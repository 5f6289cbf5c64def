//! The open documents as the client tells them, and positions in them.
//!
//! Positions are lines and UTF-16 columns. One outside the document is clamped as LSP asks; ranges of changes that are the wrong way
//! round are told to the client instead of guessed at.

use std::collections::HashMap;

use lsp_types::{Position, Range, TextDocumentContentChangeEvent, Uri};
use nestor_assist::{ByteOffset, Line, LineIndex, Utf16Col};

/// A document that is open in the editor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Document {
    /// Its text.
    pub text: String,
    /// The client's number of it.
    pub version: i32,
}

impl Document {
    /// The byte at a position.
    #[must_use]
    pub fn offset(&self, position: Position) -> usize {
        offset(&self.text, position)
    }

    /// The position of a byte.
    #[must_use]
    pub fn position(&self, at: usize) -> Position {
        let (line, column) = LineIndex::new(&self.text).position(&self.text, ByteOffset(at));
        Position::new(line.0, column.0)
    }

    /// The bytes of a range; `None` if it ends before it starts.
    #[must_use]
    pub fn bytes(&self, range: Range) -> Option<std::ops::Range<usize>> {
        let (start, end) = (self.offset(range.start), self.offset(range.end));
        (start <= end).then_some(start..end)
    }
}

/// The byte at a position of a text.
fn offset(text: &str, position: Position) -> usize {
    let index = LineIndex::new(text);
    let ByteOffset(at) = index.offset(text, Line(position.line), Utf16Col(position.character));
    // A column behind the end of a line that ends with `\r\n` is before both.
    let is_between = text[..at].ends_with('\r') && text[at..].starts_with('\n');
    at - usize::from(is_between)
}

/// The open documents.
#[derive(Default)]
pub struct Documents {
    open: HashMap<Uri, Document>,
}

impl Documents {
    /// A document was opened.
    pub fn open(&mut self, uri: Uri, text: String, version: i32) {
        self.open.insert(uri, Document { text, version });
    }

    /// A document was closed.
    pub fn close(&mut self, uri: &Uri) {
        self.open.remove(uri);
    }

    /// An open document.
    #[must_use]
    pub fn get(&self, uri: &Uri) -> Option<&Document> {
        self.open.get(uri)
    }

    /// A document was changed; the byte behind the last change, which is where its author types.
    ///
    /// # Errors
    /// A sentence that names what does not fit; the document is then as before the first change that does not.
    pub fn change(
        &mut self,
        uri: &Uri,
        version: i32,
        changes: Vec<TextDocumentContentChangeEvent>,
    ) -> Result<Option<usize>, String> {
        let Some(document) = self.open.get_mut(uri) else {
            return Err(format!("{} was changed and is not open", uri.as_str()));
        };
        document.version = version;
        let mut end = None;
        for change in changes {
            match change.range {
                None => document.text = change.text,
                Some(range) => {
                    let Some(bytes) = document.bytes(range) else {
                        return Err(format!(
                            "{}: a change ends at {}:{}, before it starts",
                            uri.as_str(),
                            range.end.line,
                            range.end.character
                        ));
                    };
                    document.text.replace_range(bytes.clone(), &change.text);
                    end = Some(bytes.start + change.text.len());
                }
            }
        }
        Ok(end)
    }
}

/// The path of a `file:` URI, with `/` between its parts; the URI itself for another scheme.
#[must_use]
pub fn path_of(uri: &Uri) -> String {
    let text = uri.as_str();
    let Some(rest) = text.strip_prefix("file://") else {
        return text.to_owned();
    };
    // What stands before the path is a host, which Windows shares have.
    let (host, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let path = percent_decoded(path);
    let bytes = path.as_bytes();
    let has_drive = bytes.len() > 2 && bytes[1].is_ascii_alphabetic() && bytes[2] == b':';
    if has_drive {
        return path[1..].to_owned();
    }
    if host.is_empty() || host == "localhost" {
        return path;
    }
    format!("//{host}{path}")
}

fn percent_decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        let digits = after.get(..2).and_then(|two| std::str::from_utf8(two).ok());
        let decoded = digits.and_then(|two| u8::from_str_radix(two, 16).ok());
        match (byte, decoded) {
            (b'%', Some(decoded)) => {
                bytes.push(decoded);
                rest = &after[2..];
            }
            _ => {
                bytes.push(byte);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn uri(text: &str) -> Uri {
        text.parse().unwrap()
    }

    fn change(range: Option<[u32; 4]>, text: &str) -> TextDocumentContentChangeEvent {
        TextDocumentContentChangeEvent {
            range: range.map(|[a, b, c, d]| Range::new(Position::new(a, b), Position::new(c, d))),
            range_length: None,
            text: text.to_owned(),
        }
    }

    #[test]
    fn changes_count_in_utf16_whatever_the_letters_are() {
        let doc = uri("file:///m.bsl");
        let mut documents = Documents::default();
        documents.open(doc.clone(), "Ё = \"🙂\";\r\nБ = 2;\r\n".to_owned(), 1);
        let changes = vec![
            // The emoji is two units wide.
            change(Some([0, 5, 0, 7]), "да"),
            change(Some([1, 0, 1, 1]), "Ы"),
            // Behind the end of a line is its end, before the line break.
            change(Some([1, 99, 1, 99]), " // конец"),
            // Behind the last line is the end.
            change(Some([9, 0, 9, 0]), "В = 3;"),
        ];
        let end = documents.change(&doc, 2, changes).unwrap();
        let document = documents.get(&doc).unwrap();
        assert_eq!(document.text, "Ё = \"да\";\r\nЫ = 2; // конец\r\nВ = 3;");
        assert_eq!(document.version, 2);
        assert_eq!(end, Some(document.text.len()));
        assert_eq!(document.position(document.text.len()), Position::new(2, 6));
        documents
            .change(&doc, 3, vec![change(None, "целиком")])
            .unwrap();
        assert_eq!(documents.get(&doc).unwrap().text, "целиком");
    }

    #[test]
    fn what_does_not_fit_is_told_and_changes_nothing() {
        let doc = uri("file:///m.bsl");
        let mut documents = Documents::default();
        assert!(documents.change(&doc, 1, vec![change(None, "x")]).is_err());
        documents.open(doc.clone(), "АБВ".to_owned(), 1);
        let wrong = documents.change(&doc, 2, vec![change(Some([0, 2, 0, 1]), "x")]);
        assert!(wrong.unwrap_err().contains("0:1"));
        assert_eq!(documents.get(&doc).unwrap().text, "АБВ");
        documents.close(&doc);
        assert!(documents.get(&doc).is_none());
    }

    #[test]
    fn paths_come_out_of_uris_of_every_system() {
        for (text, expected) in [
            ("file:///home/%D0%AF/a%20b.bsl", "/home/Я/a b.bsl"),
            ("file:///c%3A/src/%D0%9C.bsl", "c:/src/М.bsl"),
            ("file:///C:/src/m.bsl", "C:/src/m.bsl"),
            ("file://server/share/m.bsl", "//server/share/m.bsl"),
            ("untitled:Untitled-1", "untitled:Untitled-1"),
            ("file:///100%25.bsl", "/100%.bsl"),
        ] {
            assert_eq!(path_of(&uri(text)), expected, "{text}");
        }
    }
}
