//! Numbers that tell code which people wrote from text that is no code, and from code that machines wrote.
//!
//! One pass over the tokens of a file. The assistant's filter asks before a project learns a file and sets the bounds; this
//! module only counts, and must not know what is done with the counts. Counts are of tokens other than white space and
//! comments unless they say bytes or lines.

use rustc_hash::FxHashSet;

use crate::keywords::Keyword;
use crate::lexer::{Lexer, Token, TokenKind};

/// A line of more tokens was not laid out for people. The longest line of the SSL has 160.
pub const LONG_LINE_TOKENS: usize = 200;
/// Shorter runs of letters and digits may be names: a GUID has 36 characters.
const MIN_BLOB: usize = 40;
/// Shorter runs of digits and separators may be the arguments of a call.
const MIN_TABLE: usize = 200;

/// What was counted in one text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Measures {
    /// Bytes of the text.
    pub bytes: usize,
    /// Tokens.
    pub tokens: usize,
    /// Tokens that cannot stand where they stand in BSL or OneScript: a name behind a name, a brace, a literal at the start of
    /// a statement.
    pub misplaced: usize,
    /// Tokens in lines of more than [`LONG_LINE_TOKENS`] tokens.
    pub in_long_lines: usize,
    /// Bytes in runs that look like base64, hexadecimal dumps or tables of numbers.
    pub data_bytes: usize,
    /// Lines with a token.
    pub code_lines: usize,
    /// Such lines that differ in more than digits and literals.
    pub distinct_lines: usize,
    /// Such lines that differ in more than digits, literals and names.
    pub distinct_forms: usize,
}

impl Measures {
    /// Counts in a text without byte order mark.
    #[must_use]
    pub fn of(text: &str) -> Self {
        let mut measures = Self {
            bytes: text.len(),
            data_bytes: data_bytes(text.as_bytes()),
            ..Self::default()
        };
        let mut place = Place::default();
        let mut line = Line::default();
        let mut seen = Seen::default();
        for token in Lexer::new(text) {
            match token.kind {
                TokenKind::Newline => {
                    measures.end_line(&mut line, &mut seen);
                    place.end_line();
                }
                kind if kind.is_trivia() => {}
                _ => {
                    measures.tokens += 1;
                    measures.misplaced += usize::from(place.misplaces(&token, text));
                    line.push(&token, text);
                }
            }
        }
        measures.end_line(&mut line, &mut seen);
        measures.distinct_lines = seen.lines.len();
        measures.distinct_forms = seen.forms.len();
        measures
    }

    fn end_line(&mut self, line: &mut Line, seen: &mut Seen) {
        let line = std::mem::take(line);
        if line.tokens == 0 {
            return;
        }
        self.code_lines += 1;
        seen.lines.insert(line.hash);
        seen.forms.insert(line.form);
        if line.tokens > LONG_LINE_TOKENS {
            self.in_long_lines += line.tokens;
        }
    }
}

/// Hashes of the lines read.
#[derive(Default)]
struct Seen {
    lines: FxHashSet<u64>,
    forms: FxHashSet<u64>,
}

/// The line being read.
#[derive(Default)]
struct Line {
    tokens: usize,
    /// A hash of its tokens, literals as one and names without digits.
    hash: u64,
    /// The same with all names as one.
    form: u64,
}

impl Line {
    fn push(&mut self, token: &Token, text: &str) {
        self.tokens += 1;
        let hash = match token.kind {
            TokenKind::Number | TokenKind::Date => 1,
            kind if kind.is_string() => 2,
            _ => token
                .text(text)
                .bytes()
                .filter(|byte| !byte.is_ascii_digit())
                .fold(3, |hash: u64, byte| {
                    (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01B3)
                }),
        };
        let form = if token.kind == TokenKind::Identifier {
            4
        } else {
            hash
        };
        let add =
            |to: u64, hash: u64| (to.rotate_left(5) ^ hash).wrapping_mul(0x517C_C1B7_2722_0A95);
        self.hash = add(self.hash, hash);
        self.form = add(self.form, form);
    }
}

/// What stands before the next token, as far as it decides what may follow.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Before {
    /// A statement may start: the start of the text, `;`, `Тогда`, `КонецЕсли` …
    #[default]
    Statement,
    /// The end of an operand: a name, a literal, `)`.
    Operand,
    /// A string: another may follow.
    Text,
    /// An operator or a dot: an operand must follow.
    Operator,
    /// Anything may follow.
    Open,
}

/// Where in a statement the reader is.
#[derive(Default)]
struct Place {
    before: Before,
    /// In a line that starts with `#`, whose words are not the language's.
    in_directive: bool,
    /// Between `Процедура` or an annotation and the bracket that closes its parameters.
    in_header: bool,
    /// Open brackets of the header.
    depth: usize,
    /// The statement is a name so far, with nothing that would make it do something.
    is_bare: bool,
}

impl Place {
    fn end_line(&mut self) {
        if std::mem::take(&mut self.in_directive) {
            self.before = Before::Statement;
            self.is_bare = false;
        }
    }

    /// Takes the next token; true if it cannot stand here.
    fn misplaces(&mut self, token: &Token, text: &str) -> bool {
        if self.in_directive {
            return token.kind == TokenKind::Unknown;
        }
        let before = self.before;
        match token.kind {
            TokenKind::Preprocessor(word) => {
                self.in_directive = true;
                word.is_none()
            }
            TokenKind::Unknown => {
                self.before = Before::Open;
                true
            }
            TokenKind::Annotation => {
                if !self.in_header {
                    // What stands behind its arguments is a method or a variable, as behind a header.
                    self.in_header = true;
                    self.depth = 0;
                }
                self.before = Before::Open;
                false
            }
            TokenKind::Identifier => {
                self.is_bare = match before {
                    Before::Statement => true,
                    Before::Open => false,
                    _ => self.is_bare,
                };
                self.before = Before::Operand;
                matches!(before, Before::Operand | Before::Text)
            }
            TokenKind::Number => self.literal(before, Before::Operand),
            TokenKind::Date => {
                let body = token.text(text).trim_matches('\'');
                // JavaScript and Python write strings so.
                let is_date = !body.chars().any(char::is_alphabetic);
                self.literal(before, Before::Operand) || !is_date
            }
            kind if kind.is_string() => {
                self.literal(before, Before::Text) && before != Before::Text
            }
            TokenKind::Keyword(word) => self.keyword(word, before),
            _ => self.punctuation(text.as_bytes()[token.span.start], before),
        }
    }

    fn literal(&mut self, before: Before, after: Before) -> bool {
        self.before = after;
        matches!(before, Before::Statement | Before::Operand | Before::Text)
    }

    fn keyword(&mut self, word: Keyword, before: Before) -> bool {
        use Keyword as K;
        self.is_bare = false;
        match word {
            K::True | K::False | K::Undefined | K::Null => {
                return self.literal(before, Before::Operand);
            }
            K::Procedure | K::Function => {
                self.in_header = true;
                self.depth = 0;
            }
            _ => {}
        }
        self.before = match word {
            K::Then
            | K::Else
            | K::Do
            | K::Try
            | K::Except
            | K::EndIf
            | K::EndDo
            | K::EndTry
            | K::EndProcedure
            | K::EndFunction => Before::Statement,
            _ => Before::Open,
        };
        let starts_statement = matches!(
            word,
            K::If
                | K::For
                | K::While
                | K::Try
                | K::Return
                | K::Break
                | K::Continue
                | K::Raise
                | K::Goto
                | K::Procedure
                | K::Function
        );
        starts_statement && matches!(before, Before::Operand | Before::Text | Before::Operator)
    }

    fn punctuation(&mut self, byte: u8, before: Before) -> bool {
        let is_operator = matches!(before, Before::Operator);
        let starts = before == Before::Statement;
        match byte {
            b';' => {
                self.before = Before::Statement;
                is_operator || std::mem::take(&mut self.is_bare)
            }
            b'(' => {
                self.is_bare = false;
                self.depth += usize::from(self.in_header);
                self.before = Before::Open;
                false
            }
            b')' => {
                self.before = Before::Operand;
                if self.in_header {
                    self.depth = self.depth.saturating_sub(1);
                    // The body follows, or the parameter that an annotation belongs to.
                    self.in_header = self.depth > 0;
                    self.before = Before::Open;
                }
                is_operator || starts
            }
            b'[' => {
                self.before = Before::Open;
                is_operator || starts
            }
            b']' => {
                self.before = Before::Operand;
                is_operator || starts
            }
            b',' | b'?' | b'~' => {
                self.before = Before::Open;
                self.is_bare = false;
                byte == b',' && (is_operator || starts)
            }
            b':' => {
                // A label.
                self.before = Before::Statement;
                let is_wrong = starts || is_operator;
                self.is_bare = false;
                is_wrong
            }
            b'+' | b'-' => {
                self.before = Before::Operator;
                starts
            }
            _ => {
                self.is_bare &= byte == b'.';
                self.before = Before::Operator;
                is_operator || starts
            }
        }
    }
}

/// Bytes in runs of base64 or in tables of numbers.
fn data_bytes(bytes: &[u8]) -> usize {
    let mut blob = Run::default();
    let mut table = Run::default();
    let mut found = 0;
    for &byte in bytes.iter().chain([&b'$', &b'$']) {
        let class = CLASSES[usize::from(byte)];
        let is_digit = class & DIGIT != 0;
        if class & BLOB != 0 {
            blob.push(is_digit);
        } else {
            let run = std::mem::take(&mut blob);
            // A tenth of base64 is digits, of names with a number nothing like it; hexadecimal has more.
            if run.len >= MIN_BLOB && run.digits * 20 >= run.len {
                found += run.len;
                // The table around it holds it already.
                table = Run::default();
            }
        }
        if class & TABLE != 0 {
            table.push(is_digit);
        } else {
            let run = std::mem::take(&mut table);
            if run.len >= MIN_TABLE && run.digits * 4 >= run.len {
                found += run.len;
            }
        }
    }
    found
}

#[derive(Default)]
struct Run {
    len: usize,
    digits: usize,
}

impl Run {
    fn push(&mut self, is_digit: bool) {
        self.len += 1;
        self.digits += usize::from(is_digit);
    }
}

const DIGIT: u8 = 1;
const BLOB: u8 = 2;
const TABLE: u8 = 4;

/// What each byte may belong to.
const CLASSES: [u8; 256] = {
    let mut classes = [0; 256];
    let mut byte = 0;
    while byte < 128 {
        let c = byte as u8;
        if c.is_ascii_digit() {
            classes[byte] |= DIGIT;
        }
        if c.is_ascii_alphanumeric() || matches!(c, b'+' | b'/' | b'=' | b'-' | b'_') {
            classes[byte] |= BLOB;
        }
        if c.is_ascii_hexdigit()
            || c.is_ascii_whitespace()
            || matches!(
                c,
                b'.' | b',' | b';' | b':' | b'|' | b'"' | b'+' | b'-' | b'x' | b'(' | b')'
            )
        {
            classes[byte] |= TABLE;
        }
        byte += 1;
    }
    classes
};

#[cfg(test)]
mod tests {
    use super::*;

    fn misplaced(text: &str, expected: usize) {
        assert_eq!(Measures::of(text).misplaced, expected, "{text}");
    }

    #[test]
    fn every_token_of_right_code_is_in_its_place() {
        misplaced("", 0);
        misplaced(
            "#Область А Б\n&НаКлиенте\nАсинх Процедура А(Знач Б = -1, В = \"\") Экспорт\nКонецПроцедуры\n",
            0,
        );
        misplaced("Процедура А(Б)\n\tВ = Б;\nКонецПроцедуры\nА(1);", 0);
        misplaced(
            "&Ж(\"а\", Б = 1)\nProcedure A(&Д(\"б\") Б)\nВ();\nEndProcedure",
            0,
        );
        misplaced(
            "Для Каждого А Из Б Цикл В[0].Г = ?(А, 1, -2) * 'Д'; КонецЦикла;",
            1,
        );
        misplaced(
            "А = \"а\" \"б\"\n\"в\";\nБ = \"ВЫБРАТЬ\n|ИЗ\";\nМетод(, А, );",
            0,
        );
        misplaced("~М:\nПерейти ~М;\nВызватьИсключение;\nВозврат Не А И Б;", 0);
        misplaced("Попытка А.Б(); Исключение Ждать В(); КонецПопытки", 0);
    }

    #[test]
    fn what_cannot_stand_in_code_is_counted() {
        misplaced("a b", 1);
        misplaced("a;b;", 2);
        misplaced("1;", 1);
        misplaced("А = = 1;", 1);
        misplaced("А = ;", 1);
        misplaced("{ }", 2);
        misplaced("А = 1\nБ = 2;", 1);
        misplaced("А = 'text';", 1);
    }

    #[test]
    fn lines_and_data_are_counted() {
        let base64 = "aB3d".repeat(10);
        let text = format!(
            "А1 = \"{base64}\";\n\nА2 = 5;\nБ = 'в';\n// {}\n",
            "x".repeat(99)
        );
        let measures = Measures::of(&text);
        assert_eq!((measures.bytes, measures.data_bytes), (text.len(), 40));
        assert_eq!(
            (
                measures.code_lines,
                measures.distinct_lines,
                measures.distinct_forms
            ),
            (3, 3, 2)
        );
        assert_eq!(Measures::of("А1 = 2;\nА7 = 9;\n").distinct_lines, 1);
        assert_eq!(measures.in_long_lines, 0);
        assert_eq!(Measures::of(&"А=Б;".repeat(60)).in_long_lines, 240);
        let numbers = "12, 7; ".repeat(40);
        assert_eq!(Measures::of(&numbers).data_bytes, numbers.len());
        let guid = "А = \"b2f8a0c4-1111-2222-3333-0123456789ab\";";
        assert_eq!(Measures::of(guid).data_bytes, 0);
    }
}
