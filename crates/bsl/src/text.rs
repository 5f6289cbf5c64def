//! Bytes of a source file to the text Nestor works on, and back.
//!
//! Called by everything that reads or writes source files. Inside Nestor a text has no byte order mark and only `\n`
//! line ends; [`NormalisedText`] remembers what was there, because Designer dumps begin with a mark, EDT projects do
//! not, and a file must be written back the way it was.

use thiserror::Error;

/// Why bytes are not a source text.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum TextError {
    /// Not UTF-8; neither UTF-16 nor the ANSI code pages occur in dumps made by the platform.
    #[error("the text is not UTF-8: invalid byte at offset {offset}")]
    NotUtf8 {
        /// Offset of the first byte that is not UTF-8.
        offset: usize,
    },
    /// A UTF-16 or UTF-32 byte order mark.
    #[error("the text is {encoding}; only UTF-8 is read")]
    OtherEncoding {
        /// The encoding its first bytes name.
        encoding: &'static str,
    },
    /// A zero byte: a protected module, an ordinary form, or another binary file.
    #[error("the file is binary: zero byte at offset {offset}")]
    Binary {
        /// Offset of the first zero byte.
        offset: usize,
    },
}

/// How the lines of a file end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LineEnd {
    /// `\n`, also for a text of one line.
    Lf,
    /// `\r\n`.
    CrLf,
    /// Both in one file. Restored as `\r\n` or `\n`, whichever the file had more of.
    Mixed {
        /// True when more lines ended with `\r\n` than with `\n`.
        mostly_crlf: bool,
    },
}

/// A text without byte order mark and with `\n` line ends, and what it takes to restore the file's own form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NormalisedText {
    /// The text inside Nestor.
    pub text: String,
    /// Whether the file began with a UTF-8 byte order mark.
    pub has_bom: bool,
    /// How its lines ended.
    pub line_end: LineEnd,
}

impl NormalisedText {
    /// The bytes of the file holding `text` (this text or an edited one) in the form the file had.
    ///
    /// `restore(&self.text)` gives the original bytes back unless the line ends were mixed.
    pub fn restore(&self, text: &str) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(text.len() + 3);
        if self.has_bom {
            bytes.extend_from_slice(BOM);
        }
        let crlf = match self.line_end {
            LineEnd::Lf => false,
            LineEnd::CrLf => true,
            LineEnd::Mixed { mostly_crlf } => mostly_crlf,
        };
        if crlf {
            for (line_idx, line) in text.split('\n').enumerate() {
                if line_idx > 0 {
                    bytes.extend_from_slice(b"\r\n");
                }
                bytes.extend_from_slice(line.as_bytes());
            }
        } else {
            bytes.extend_from_slice(text.as_bytes());
        }
        bytes
    }
}

const BOM: &[u8] = b"\xEF\xBB\xBF";

/// Strips the byte order mark and turns `\r\n` into `\n`. A lone `\r` is kept: it is part of the text.
pub fn normalise(bytes: &[u8]) -> Result<NormalisedText, TextError> {
    let has_bom = bytes.starts_with(BOM);
    let body = if has_bom { &bytes[BOM.len()..] } else { bytes };
    if let Some(encoding) = foreign_mark(body) {
        return Err(TextError::OtherEncoding { encoding });
    }
    let mark_len = bytes.len() - body.len();
    if let Some(offset) = body.iter().position(|&byte| byte == 0) {
        return Err(TextError::Binary {
            offset: offset + mark_len,
        });
    }
    let text = std::str::from_utf8(body).map_err(|error| TextError::NotUtf8 {
        offset: error.valid_up_to() + mark_len,
    })?;
    let newlines = body.iter().filter(|&&byte| byte == b'\n').count();
    let crlfs = body.windows(2).filter(|pair| pair == b"\r\n").count();
    let line_end = match crlfs {
        0 => LineEnd::Lf,
        _ if crlfs == newlines => LineEnd::CrLf,
        _ => LineEnd::Mixed {
            mostly_crlf: crlfs * 2 > newlines,
        },
    };
    let text = if crlfs == 0 {
        text.to_owned()
    } else {
        text.replace("\r\n", "\n")
    };
    Ok(NormalisedText {
        text,
        has_bom,
        line_end,
    })
}

/// Names the encoding of a text that starts with another mark than UTF-8's.
fn foreign_mark(bytes: &[u8]) -> Option<&'static str> {
    match bytes {
        [0xFF, 0xFE, 0, 0, ..] | [0, 0, 0xFE, 0xFF, ..] => Some("UTF-32"),
        [0xFF, 0xFE, ..] | [0xFE, 0xFF, ..] => Some("UTF-16"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn check(bytes: &[u8], text: &str, has_bom: bool, line_end: LineEnd) {
        let normalised = normalise(bytes).unwrap();
        assert_eq!(normalised.text, text);
        assert_eq!(normalised.has_bom, has_bom);
        assert_eq!(normalised.line_end, line_end);
    }

    #[test]
    fn marks_and_line_ends_are_taken_off_and_remembered() {
        check(b"", "", false, LineEnd::Lf);
        check(BOM, "", true, LineEnd::Lf);
        check(
            "\u{feff}А = 1;\r\n".as_bytes(),
            "А = 1;\n",
            true,
            LineEnd::CrLf,
        );
        check(b"a\nb", "a\nb", false, LineEnd::Lf);
        check(
            b"a\r\nb\nc\r\n",
            "a\nb\nc\n",
            false,
            LineEnd::Mixed { mostly_crlf: true },
        );
        check(
            b"a\r\nb\nc\n",
            "a\nb\nc\n",
            false,
            LineEnd::Mixed { mostly_crlf: false },
        );
        check(b"a\rb", "a\rb", false, LineEnd::Lf);
    }

    #[test]
    fn what_is_not_text_is_named() {
        assert_eq!(normalise(b"ab\0"), Err(TextError::Binary { offset: 2 }));
        assert_eq!(
            normalise(b"\xEF\xBB\xBFab\0"),
            Err(TextError::Binary { offset: 5 })
        );
        assert_eq!(
            normalise(b"ab\xCF\xF0\xEE"),
            Err(TextError::NotUtf8 { offset: 2 })
        );
        assert_eq!(
            normalise(b"\xFF\xFEa\0"),
            Err(TextError::OtherEncoding { encoding: "UTF-16" })
        );
    }

    proptest! {
        #[test]
        fn restoring_gives_the_file_back(lines in prop::collection::vec("[а-яёA-Z \"\t🙂]{0,8}", 0..6), bom: bool, crlf: bool) {
            let mut file = if bom { "\u{feff}".to_owned() } else { String::new() };
            file.push_str(&lines.join(if crlf { "\r\n" } else { "\n" }));
            let normalised = normalise(file.as_bytes()).unwrap();
            prop_assert_eq!(normalised.restore(&normalised.text), file.into_bytes());
        }
    }
}
