//! Positions in a text: bytes inside Nestor, lines and UTF-16 columns at an editor's border.
//!
//! The assistant, the language server and review convert here. Cyrillic makes the three countings differ on almost
//! every line, so each has its own type.

/// Offset in bytes from the start of a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct ByteOffset(pub usize);

/// Line, from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Line(pub u32);

/// Column in UTF-16 code units, from 0: what editors and LSP count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Utf16Col(pub u32);

/// Where the lines of a text start. Built once a version of the text; conversions take the time of one line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LineIndex {
    starts: Vec<usize>,
}

impl LineIndex {
    /// Finds the lines of `text`, which has `\n` line ends.
    pub fn new(text: &str) -> Self {
        let starts = text
            .bytes()
            .enumerate()
            .filter(|(_, byte)| *byte == b'\n')
            .map(|(at, _)| at + 1);
        LineIndex {
            starts: std::iter::once(0).chain(starts).collect(),
        }
    }

    /// Number of lines; a text that ends with `\n` has an empty last one.
    pub fn line_count(&self) -> usize {
        self.starts.len()
    }

    /// The line and column of a byte. Inside a character it is the character's column, past the end the last one.
    pub fn position(&self, text: &str, offset: ByteOffset) -> (Line, Utf16Col) {
        let offset = text.floor_char_boundary(offset.0);
        let line = self.starts.partition_point(|&start| start <= offset) - 1;
        let column = text[self.starts[line]..offset]
            .chars()
            .map(char::len_utf16)
            .sum::<usize>();
        (Line(line as u32), Utf16Col(column as u32))
    }

    /// The byte at a line and column, as LSP clamps them: past the end of a line is its end, past the last line the
    /// text's end, in the middle of a surrogate pair its start.
    pub fn offset(&self, text: &str, line: Line, column: Utf16Col) -> ByteOffset {
        let range = self.line_range(text, line);
        let mut left = column.0 as usize;
        for (at, c) in text[range.clone()].char_indices() {
            if left < c.len_utf16() {
                return ByteOffset(range.start + at);
            }
            left -= c.len_utf16();
        }
        ByteOffset(range.end)
    }

    /// The bytes of a line without its `\n`; empty at the end of the text for a line past the last.
    pub fn line_range(&self, text: &str, line: Line) -> std::ops::Range<usize> {
        let Some(&start) = self.starts.get(line.0 as usize) else {
            return text.len()..text.len();
        };
        let end = self
            .starts
            .get(line.0 as usize + 1)
            .map_or(text.len(), |&next| next - 1);
        start..end
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn columns_count_utf16() {
        let text = "Ёж🙂 = 1;\n\n\tА";
        let index = LineIndex::new(text);
        let check = |offset: usize, line: u32, column: u32| {
            assert_eq!(
                index.position(text, ByteOffset(offset)),
                (Line(line), Utf16Col(column)),
                "{offset}"
            );
        };
        check(0, 0, 0);
        check(4, 0, 2);
        check(6, 0, 2);
        check(8, 0, 4);
        check(text.find('\n').unwrap() + 1, 1, 0);
        check(text.len() + 9, 2, 2);
        assert_eq!(index.offset(text, Line(0), Utf16Col(3)), ByteOffset(4));
        assert_eq!(index.offset(text, Line(1), Utf16Col(5)), ByteOffset(14));
        assert_eq!(
            index.offset(text, Line(7), Utf16Col(0)),
            ByteOffset(text.len())
        );
        assert_eq!(index.line_count(), 3);
    }

    proptest! {
        #[test]
        fn positions_lead_back(text in "[аЁa🙂\n\t ]{0,40}") {
            let index = LineIndex::new(&text);
            for (at, _) in text.char_indices().chain([(text.len(), ' ')]) {
                let (line, column) = index.position(&text, ByteOffset(at));
                prop_assert_eq!(index.offset(&text, line, column), ByteOffset(at));
            }
        }
    }
}
