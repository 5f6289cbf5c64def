//! The lossless lexer: any text becomes tokens whose spans, put together, give the text back.
//!
//! Everything here that looks at code starts from these tokens. The lexer knows words, literals and lines; it must
//! not know statements, methods or what a string holds.
//!
//! A string that goes over several lines is one token a line: [`TokenKind::StringStart`] (`"ВЫБРАТЬ`), then
//! [`TokenKind::StringPart`] (`|  Поле`) and [`TokenKind::StringEnd`] (`|ИЗ Таблица"`), with the white space, comments
//! and preprocessor lines that may stand between them as tokens of their own. So no token but white space ever
//! crosses a line. A string whose line ends without its quote and is not continued stays a lone `StringStart`.

use std::ops::Range;

use crate::keywords::{Keyword, Preprocessor};

/// What a token is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TokenKind {
    /// White space within a line, also a lone `\r` and a byte order mark in the middle of a text.
    Whitespace,
    /// One line end: `\n` or `\r\n`.
    Newline,
    /// `// ...` to the end of the line; also a `#!` line at the start of a script.
    Comment,
    /// A name: a word that is not reserved, or any word after a dot.
    Identifier,
    /// A reserved word.
    Keyword(Keyword),
    /// `12`, `12.5`.
    Number,
    /// A string within one line, both quotes included.
    String,
    /// The first line of a string that has no closing quote in this line.
    StringStart,
    /// A middle line of a string: `|` to the end of the line.
    StringPart,
    /// The last line of a string: `|` to the closing quote.
    StringEnd,
    /// `'20240101'`; unfinished ones go to the end of the line.
    Date,
    /// An operator or a mark: `(`, `<=`, `;`, `?`, `~` ...
    Punctuation,
    /// `#` with its word: `#Если`, `# Область`. The word is `None` where it is none that BSL knows.
    Preprocessor(Option<Preprocessor>),
    /// `&` with its name: `&НаКлиенте`.
    Annotation,
    /// A character that no BSL token starts with.
    Unknown,
}

impl TokenKind {
    /// White space or a line end.
    pub fn is_white(self) -> bool {
        matches!(self, TokenKind::Whitespace | TokenKind::Newline)
    }

    /// White space, a line end or a comment: what the grammar never sees.
    pub fn is_trivia(self) -> bool {
        self.is_white() || self == TokenKind::Comment
    }

    /// A whole string or one line of it.
    pub fn is_string(self) -> bool {
        matches!(
            self,
            TokenKind::String
                | TokenKind::StringStart
                | TokenKind::StringPart
                | TokenKind::StringEnd
        )
    }
}

/// One token of a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    /// What it is.
    pub kind: TokenKind,
    /// Its bytes in the text.
    pub span: Range<usize>,
}

impl Token {
    /// The token's own text.
    pub fn text<'a>(&self, text: &'a str) -> &'a str {
        &text[self.span.clone()]
    }
}

/// All tokens of `text`.
pub fn lex(text: &str) -> Vec<Token> {
    // Measured on SSL: one token for every 7 bytes.
    let mut tokens = Vec::with_capacity(text.len() / 6);
    tokens.extend(Lexer::new(text));
    tokens
}

/// Whether a name may start with `c`.
pub fn is_name_start(c: char) -> bool {
    // Russian letters first: the tables of Unicode are searched slowly.
    matches!(c, 'А'..='я' | 'Ё' | 'ё' | 'a'..='z' | 'A'..='Z' | '_') || c.is_alphabetic()
}

/// Whether a name may go on with `c`.
pub fn is_name_char(c: char) -> bool {
    is_name_start(c) || c.is_alphanumeric()
}

/// Reads tokens one by one, in one pass and in constant memory.
#[derive(Debug, Clone)]
pub struct Lexer<'a> {
    text: &'a str,
    at: usize,
    /// A string is open: the next line that starts with `|` goes on with it.
    in_string: bool,
    /// What the last token that is not trivia does to the next word.
    before_word: BeforeWord,
}

/// What stands before a word decides whether it can be reserved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum BeforeWord {
    /// Nothing special: a reserved word is one.
    Open,
    /// A dot, or `Процедура`/`Функция`: whatever follows is a name.
    Name,
}

impl<'a> Lexer<'a> {
    /// A lexer at the start of `text`.
    pub fn new(text: &'a str) -> Self {
        Lexer {
            text,
            at: 0,
            in_string: false,
            before_word: BeforeWord::Open,
        }
    }

    fn byte(&self, at: usize) -> u8 {
        // Zero is no byte of a token that is looked for, so it stands for the end of the text.
        self.text.as_bytes().get(at).copied().unwrap_or(0)
    }

    /// The end of the line that holds `at`, without its `\r\n` or `\n`.
    fn line_end(&self, at: usize) -> usize {
        let bytes = self.text.as_bytes();
        let end = bytes[at..]
            .iter()
            .position(|&byte| byte == b'\n')
            .map_or(bytes.len(), |len| at + len);
        if end > at && end < bytes.len() && bytes[end - 1] == b'\r' {
            end - 1
        } else {
            end
        }
    }

    fn end_of_white(&self, mut at: usize) -> usize {
        loop {
            match self.byte(at) {
                b' ' | b'\t' | 0x0B | 0x0C => at += 1,
                b'\r' if self.byte(at + 1) != b'\n' => at += 1,
                byte if byte < 0x80 => return at,
                _ => match self.char_at(at) {
                    Some(c) if is_white_char(c) => at += c.len_utf8(),
                    _ => return at,
                },
            }
        }
    }

    fn end_of_name(&self, mut at: usize) -> usize {
        let bytes = self.text.as_bytes();
        while at < bytes.len() {
            match bytes[at] {
                b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'_' => at += 1,
                0xD0 | 0xD1 => at += 2,
                byte if byte < 0x80 => break,
                _ => match self.char_at(at) {
                    Some(c) if is_name_char(c) => at += c.len_utf8(),
                    _ => break,
                },
            }
        }
        at
    }

    fn char_at(&self, at: usize) -> Option<char> {
        self.text[at..].chars().next()
    }

    /// The end of a string's line from `at`, which is past its opening quote or `|`, and whether it was closed.
    fn end_of_string_line(&self, mut at: usize) -> (usize, bool) {
        let bytes = self.text.as_bytes();
        while at < bytes.len() {
            match bytes[at] {
                b'"' if self.byte(at + 1) == b'"' => at += 2,
                b'"' => return (at + 1, true),
                b'\n' => {
                    return (
                        if at > 0 && bytes[at - 1] == b'\r' {
                            at - 1
                        } else {
                            at
                        },
                        false,
                    );
                }
                _ => at += 1,
            }
        }
        (at, false)
    }

    fn string(&mut self, from: usize, closed: TokenKind, open: TokenKind) -> (TokenKind, usize) {
        let (end, is_closed) = self.end_of_string_line(from + 1);
        self.in_string = !is_closed;
        // `"` or `|` alone before `\r\n`: the scan may not step back over it.
        (if is_closed { closed } else { open }, end.max(from + 1))
    }

    fn scan(&mut self) -> (TokenKind, usize) {
        let start = self.at;
        let next = self.byte(start + 1);
        match self.byte(start) {
            b'\n' => (TokenKind::Newline, start + 1),
            b'\r' if next == b'\n' => (TokenKind::Newline, start + 2),
            b' ' | b'\t' | b'\r' | 0x0B | 0x0C => (TokenKind::Whitespace, self.end_of_white(start)),
            b'/' if next == b'/' => (TokenKind::Comment, self.line_end(start)),
            b'#' if start == 0 && next == b'!' => (TokenKind::Comment, self.line_end(start)),
            b'"' => self.string(start, TokenKind::String, TokenKind::StringStart),
            b'|' if self.in_string => {
                self.string(start, TokenKind::StringEnd, TokenKind::StringPart)
            }
            b'\'' => (TokenKind::Date, self.end_of_date(start)),
            b'#' => self.preprocessor(start),
            b'&' if self.char_at(start + 1).is_some_and(is_name_start) => {
                (TokenKind::Annotation, self.end_of_name(start + 1))
            }
            b'0'..=b'9' => (TokenKind::Number, self.end_of_number(start)),
            b'<' if next == b'>' || next == b'=' => (TokenKind::Punctuation, start + 2),
            b'>' if next == b'=' => (TokenKind::Punctuation, start + 2),
            b'a'..=b'z' | b'A'..=b'Z' | b'_' | 0xD0 | 0xD1 => self.word(start),
            0x21..=0x7E => {
                let kind = match self.byte(start) {
                    b'!' | b'$' | b'@' | b'\\' | b'^' | b'`' | b'{' | b'}' => TokenKind::Unknown,
                    _ => TokenKind::Punctuation,
                };
                (kind, start + 1)
            }
            _ => match self.char_at(start) {
                Some(c) if is_name_start(c) => self.word(start),
                Some(c) if is_white_char(c) => (TokenKind::Whitespace, self.end_of_white(start)),
                Some(c) => (TokenKind::Unknown, start + c.len_utf8()),
                None => (TokenKind::Unknown, self.text.len()),
            },
        }
    }

    fn word(&self, start: usize) -> (TokenKind, usize) {
        let end = self.end_of_name(start);
        let keyword = match self.before_word {
            BeforeWord::Name => None,
            BeforeWord::Open => Keyword::find(&self.text[start..end]),
        };
        (
            keyword.map_or(TokenKind::Identifier, TokenKind::Keyword),
            end,
        )
    }

    fn preprocessor(&self, start: usize) -> (TokenKind, usize) {
        let mut word_start = start + 1;
        while matches!(self.byte(word_start), b' ' | b'\t') {
            word_start += 1;
        }
        let end = self.end_of_name(word_start);
        if end == word_start {
            return (TokenKind::Preprocessor(None), start + 1);
        }
        (
            TokenKind::Preprocessor(Preprocessor::find(&self.text[word_start..end])),
            end,
        )
    }

    fn end_of_date(&self, start: usize) -> usize {
        let line_end = self.line_end(start + 1).max(start + 1);
        let body = &self.text.as_bytes()[start + 1..line_end];
        body.iter()
            .position(|&byte| byte == b'\'')
            .map_or(line_end, |len| start + len + 2)
    }

    fn end_of_number(&self, start: usize) -> usize {
        let digits = |mut at: usize| {
            while self.byte(at).is_ascii_digit() {
                at += 1;
            }
            at
        };
        let end = digits(start);
        let is_fraction = self.byte(end) == b'.' && self.byte(end + 1).is_ascii_digit();
        if is_fraction { digits(end + 1) } else { end }
    }
}

fn is_white_char(c: char) -> bool {
    (c.is_whitespace() && c != '\n') || c == '\u{feff}'
}

impl Iterator for Lexer<'_> {
    type Item = Token;

    fn next(&mut self) -> Option<Token> {
        if self.at >= self.text.len() {
            return None;
        }
        let start = self.at;
        let (kind, end) = self.scan();
        match kind {
            kind if kind.is_trivia() || kind.is_string() => {}
            // Preprocessor lines stand between the lines of a string in extensions: #Вставка inside a query text.
            TokenKind::Preprocessor(_) => {}
            _ => self.in_string = false,
        }
        if !kind.is_trivia() {
            self.before_word = match kind {
                TokenKind::Punctuation if self.byte(start) == b'.' => BeforeWord::Name,
                TokenKind::Keyword(Keyword::Procedure | Keyword::Function) => BeforeWord::Name,
                _ => BeforeWord::Open,
            };
        }
        self.at = end;
        Some(Token {
            kind,
            span: start..end,
        })
    }
}

#[cfg(test)]
mod tests;
