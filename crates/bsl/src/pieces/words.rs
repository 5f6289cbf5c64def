//! Pre-tokenisation: text to words.
//!
//! A word never crosses a lexer token or a line. It may start with one space that stands before its first visible
//! character; all other white space is in words of its own: a line end together with the blank lines and the indent
//! after it is one word, further spaces and tabs within a line are one. Names are cut before capital letters (a run
//! of capitals stays together: `HTTP|Соединение`), where the alphabet changes, and around digits and `_`; digits go
//! in threes. Quotes are always single words. Strings and comments are cut the same way.

use std::ops::Range;

use crate::lexer::{Lexer, TokenKind};

/// No word is longer: runs of one character (`//////`), of letters or of white space are cut after this many bytes.
pub const MAX_WORD_BYTES: usize = 128;

/// Most digits in one word.
const MAX_DIGITS: usize = 3;

/// Cuts `text` into words. Put together they give the text back.
pub fn split_words(text: &str) -> Vec<Range<usize>> {
    let mut splitter = Splitter {
        text,
        words: Vec::with_capacity(text.len() / 5),
    };
    let mut white_start = 0;
    for token in Lexer::new(text) {
        if token.kind.is_white() {
            continue;
        }
        let word_start = splitter.white(white_start..token.span.start);
        white_start = token.span.end;
        match token.kind {
            TokenKind::Punctuation => splitter.push(word_start..token.span.end),
            TokenKind::Comment => splitter.visible(word_start, token.span, Runs::Any),
            _ => splitter.visible(word_start, token.span, Runs::Slashes),
        }
    }
    let rest = splitter.white(white_start..text.len());
    splitter.push(rest..text.len());
    splitter.words
}

/// Which characters that are no letters or digits go together when they repeat.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Runs {
    /// All of them: `-----` in a comment is one word.
    Any,
    /// `//` only: in a string it starts a comment of the query language, and all other marks are tokens one by one.
    Slashes,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum CharClass {
    Upper,
    Lower,
    Digit,
    Underscore,
    White,
    Quote,
    Mark,
}

fn class(c: char) -> CharClass {
    match c {
        'a'..='z' | 'а'..='я' | 'ё' => CharClass::Lower,
        'A'..='Z' | 'А'..='Я' | 'Ё' => CharClass::Upper,
        '0'..='9' => CharClass::Digit,
        '_' => CharClass::Underscore,
        ' ' | '\t' => CharClass::White,
        '"' | '\'' => CharClass::Quote,
        c if c.is_ascii() => CharClass::Mark,
        c if c.is_uppercase() => CharClass::Upper,
        c if c.is_alphabetic() => CharClass::Lower,
        c if c.is_numeric() => CharClass::Digit,
        c if c.is_whitespace() => CharClass::White,
        _ => CharClass::Mark,
    }
}

struct Splitter<'a> {
    text: &'a str,
    words: Vec<Range<usize>>,
}

impl Splitter<'_> {
    /// Adds a word, in parts where it is too long.
    fn push(&mut self, mut word: Range<usize>) {
        while word.len() > MAX_WORD_BYTES {
            let cut = self.text.floor_char_boundary(word.start + MAX_WORD_BYTES);
            self.words.push(word.start..cut);
            word.start = cut;
        }
        if !word.is_empty() {
            self.words.push(word);
        }
    }

    /// Adds the words of a run of white space and says where the next word starts: at its last space, or after it.
    fn white(&mut self, run: Range<usize>) -> usize {
        let bytes = &self.text.as_bytes()[run.clone()];
        if let Some(newline) = bytes.iter().position(|&byte| byte == b'\n') {
            // The `\r` of a text that was not normalised stays with its line end.
            let newline = if newline > 0 && bytes[newline - 1] == b'\r' {
                newline - 1
            } else {
                newline
            };
            self.push(run.start..run.start + newline);
            self.push(run.start + newline..run.end);
            return run.end;
        }
        if bytes.last() == Some(&b' ') {
            self.push(run.start..run.end - 1);
            return run.end - 1;
        }
        self.push(run.clone());
        run.end
    }

    /// Adds the words of a token without line ends; its first word starts at `word_start`, at most a space before it.
    fn visible(&mut self, mut word_start: usize, span: Range<usize>, runs: Runs) {
        let text = &self.text[..span.end];
        let mut at = span.start;
        while let Some(c) = text[at..].chars().next() {
            let end = at + c.len_utf8();
            match class(c) {
                CharClass::Upper | CharClass::Lower => {
                    at = end_of_letters(text, at);
                    self.push(word_start..at);
                }
                CharClass::Digit => {
                    at = end_of(text, at, MAX_DIGITS, |next| class(next) == CharClass::Digit);
                    self.push(word_start..at);
                }
                CharClass::White => {
                    let white_end =
                        end_of(text, at, usize::MAX, |next| class(next) == CharClass::White);
                    // A leading space before white space cannot be: the lexer ends white space at a token.
                    word_start = self.white(word_start..white_end);
                    at = white_end;
                    continue;
                }
                CharClass::Quote => {
                    at = end;
                    self.push(word_start..at);
                }
                CharClass::Underscore => {
                    at = end_of(text, at, usize::MAX, |next| next == '_');
                    self.push(word_start..at);
                }
                CharClass::Mark => {
                    let is_run = runs == Runs::Any || c == '/';
                    at = if is_run {
                        end_of(text, at, usize::MAX, |next| next == c)
                    } else {
                        end
                    };
                    self.push(word_start..at);
                }
            }
            word_start = at;
        }
        // Only a token that ends with a space, an unfinished string or a comment, leaves something over.
        self.push(word_start..span.end);
    }
}

/// The end of the run of at most `limit` characters from `at` that satisfy `belongs`; the first one always does.
fn end_of(text: &str, at: usize, limit: usize, belongs: impl Fn(char) -> bool) -> usize {
    let mut end = at;
    for c in text[at..].chars().take(limit) {
        if end > at && !belongs(c) {
            break;
        }
        end += c.len_utf8();
    }
    end
}

/// The end of the word of letters that starts at `at`.
fn end_of_letters(text: &str, at: usize) -> usize {
    let mut chars = text[at..].chars().peekable();
    let mut end = at;
    let mut previous: Option<(CharClass, bool)> = None;
    while let Some(c) = chars.next() {
        let current = (class(c), c.is_ascii());
        if !matches!(current.0, CharClass::Upper | CharClass::Lower) {
            break;
        }
        if let Some(previous) = previous {
            let alphabet_changes = previous.1 != current.1;
            let capital_starts = current.0 == CharClass::Upper
                && (previous.0 == CharClass::Lower
                    || chars.peek().is_some_and(|&next| {
                        class(next) == CharClass::Lower && next.is_ascii() == current.1
                    }));
            if alphabet_changes || capital_starts {
                break;
            }
        }
        previous = Some(current);
        end += c.len_utf8();
    }
    end
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lexer::lex;
    use proptest::prelude::*;

    fn check(text: &str, expected: &[&str]) {
        let words: Vec<_> = split_words(text)
            .into_iter()
            .map(|word| &text[word])
            .collect();
        assert_eq!(words, expected, "{text:?}");
    }

    #[test]
    fn names_are_cut_at_capitals_alphabets_and_digits() {
        check("УстановитьДоступность", &["Установить", "Доступность"]);
        check("HTTPСоединение", &["HTTP", "Соединение"]);
        check("HTTPConnection", &["HTTP", "Connection"]);
        check("XMLВСтроку", &["XML", "В", "Строку"]);
        check("имяФайла2", &["имя", "Файла", "2"]);
        check("СуммаНДС", &["Сумма", "НДС"]);
        check("_Тест__Ёлка", &["_", "Тест", "__", "Ёлка"]);
        check("ПереМeннаяЛ", &["Пере", "М", "e", "нная", "Л"]);
        check("1234567.89", &["123", "456", "7", ".", "89"]);
    }

    #[test]
    fn white_space_is_apart_but_for_one_space() {
        check("А = 1;", &["А", " =", " 1", ";"]);
        check("А  =\tБ", &["А", " ", " =", "\t", "Б"]);
        check(
            "Если А\n\n\t\tБ;  \n  В",
            &["Если", " А", "\n\n\t\t", "Б", ";", "  ", "\n  ", "В"],
        );
        check(" А ", &[" А", " "]);
        check("", &[]);
        check("\n", &["\n"]);
        check("\r\n\tА", &["\r\n\t", "А"]);
    }

    #[test]
    fn strings_comments_and_directives() {
        check(
            "Ф(\"\", \"а\"\"б\")",
            &[
                "Ф", "(", "\"", "\"", ",", " \"", "а", "\"", "\"", "б", "\"", ")",
            ],
        );
        check(
            "\"ВЫБРАТЬ\n\t|  Т.Код\"",
            &["\"", "ВЫБРАТЬ", "\n\t", "|", " ", " Т", ".", "Код", "\""],
        );
        check(
            "// Текст комментария.",
            &["//", " Текст", " комментария", "."],
        );
        check("А //////// ---", &["А", " ////////", " ---"]);
        check(
            "&НаКлиенте\n#Область Имя",
            &["&", "На", "Клиенте", "\n", "#", "Область", " Имя"],
        );
        check("'20240101'", &["'", "202", "401", "01", "'"]);
        check("\"не закрыта ", &["\"", "не", " закрыта", " "]);
        check("а<>б", &["а", "<>", "б"]);
        check("🙂🙂", &["🙂", "🙂"]);
    }

    #[test]
    fn long_runs_are_cut() {
        let text = "/".repeat(300);
        check(&text, &[&text[..128], &text[..128], &text[..44]]);
        let text = "я".repeat(100);
        check(&text, &[&text[..128], &text[..72]]);
    }

    proptest! {
        #[test]
        fn words_cover_the_text_and_cross_no_token(text in "([а-яА-Яa-zA-Z0-9_\"'|&#.,;()<>=/ \t\r\n🙂]|  |//|\"\"|ЁЖ){0,60}") {
            let words = split_words(&text);
            let mut at = 0;
            for word in &words {
                prop_assert_eq!(word.start, at);
                prop_assert!(word.end > at && word.len() <= MAX_WORD_BYTES);
                at = word.end;
            }
            prop_assert_eq!(at, text.len());
            let tokens = lex(&text);
            for word in &words {
                let word_text = &text[word.clone()];
                let visible = word.start + word_text.len() - word_text.trim_start().len();
                if visible < word.end {
                    prop_assert!(word_text.starts_with(' ') as usize == visible - word.start, "{word_text:?}");
                    prop_assert!(tokens.iter().any(|token| token.span.start <= visible && word.end <= token.span.end));
                }
            }
        }
    }
}
