//! Lines of the preprocessor: regions, conditions, insertions, `#Использовать`.
//!
//! The editor's context and review ask which region a place is in. Regions are told by their words alone and need
//! not match the methods: code that is being written has them half open.

use std::ops::Range;

use crate::keywords::Preprocessor;
use crate::lexer::{TokenKind, lex};

/// One line of the preprocessor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PreprocessorLine {
    /// Its word; `None` for one that BSL does not know.
    pub word: Option<Preprocessor>,
    /// From `#` to the last visible character before a comment or the line end.
    pub span: Range<usize>,
    /// What follows the word: a region's name, a condition, a library. Empty where nothing does.
    pub rest: Range<usize>,
}

/// A region of a module.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Region {
    /// Its name as written; empty while it is being typed.
    pub name: String,
    /// From its `#Область` to the end of its `#КонецОбласти`, or to the end of the text where that is missing.
    pub span: Range<usize>,
    /// How many regions it stands in.
    pub depth: usize,
    /// Whether its `#КонецОбласти` is there.
    pub is_closed: bool,
}

/// The preprocessor lines of `text`, in order. Those between the lines of a string are among them.
pub fn preprocessor_lines(text: &str) -> Vec<PreprocessorLine> {
    let mut lines: Vec<PreprocessorLine> = Vec::new();
    let mut is_open = false;
    for token in lex(text) {
        match token.kind {
            TokenKind::Preprocessor(word) => {
                let end = token.span.end;
                lines.push(PreprocessorLine {
                    word,
                    span: token.span,
                    rest: end..end,
                });
                is_open = true;
            }
            TokenKind::Newline => is_open = false,
            kind if is_open && !kind.is_trivia() => {
                if let Some(line) = lines.last_mut() {
                    if line.rest.is_empty() {
                        line.rest.start = token.span.start;
                    }
                    line.rest.end = token.span.end;
                    line.span.end = token.span.end;
                }
            }
            _ => {}
        }
    }
    lines
}

/// The regions of `text`, in the order of their starts.
pub fn regions(text: &str) -> Vec<Region> {
    let mut regions: Vec<Region> = Vec::new();
    let mut open: Vec<usize> = Vec::new();
    for line in preprocessor_lines(text) {
        match line.word {
            Some(Preprocessor::Region) => {
                open.push(regions.len());
                regions.push(Region {
                    name: text[line.rest].to_owned(),
                    span: line.span.start..text.len(),
                    depth: open.len() - 1,
                    is_closed: false,
                });
            }
            Some(Preprocessor::EndRegion) => {
                if let Some(region_idx) = open.pop() {
                    regions[region_idx].span.end = line.span.end;
                    regions[region_idx].is_closed = true;
                }
            }
            _ => {}
        }
    }
    regions
}

/// The names of the regions around the byte `offset`, outermost first.
pub fn region_path(regions: &[Region], offset: usize) -> Vec<&str> {
    let around = regions
        .iter()
        .filter(|region| region.span.contains(&offset));
    around.map(|region| region.name.as_str()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &[(&str, usize, bool)]) {
        let got = regions(text);
        let got: Vec<_> = got
            .iter()
            .map(|region| (region.name.as_str(), region.depth, region.is_closed))
            .collect();
        assert_eq!(got, expected, "{text}");
    }

    #[test]
    fn regions_nest_and_may_be_unfinished() {
        check("", &[]);
        check(
            "#Область А // к\n# Region Б\nВ();\n#EndRegion\n#КонецОбласти\n#КонецОбласти\n#Область",
            &[("А", 0, true), ("Б", 1, true), ("", 0, false)],
        );
        let text = "#Область А\n#Область Б\nВ();";
        assert_eq!(region_path(&regions(text), text.len() - 1), ["А", "Б"]);
        assert_eq!(region_path(&regions(text), 0), ["А"]);
    }

    #[test]
    fn lines_keep_what_follows_the_word() {
        let check = |text: &str, word: Option<Preprocessor>, rest: &str| {
            let line = &preprocessor_lines(text)[0];
            assert_eq!(
                (line.word, &text[line.rest.clone()]),
                (word, rest),
                "{text}"
            );
        };
        check(
            "#Если Сервер Или Клиент Тогда // к",
            Some(Preprocessor::If),
            "Сервер Или Клиент Тогда",
        );
        check(
            "#Использовать \"../src\"\r\nА",
            Some(Preprocessor::Use),
            "\"../src\"",
        );
        check("#use logos", Some(Preprocessor::Use), "logos");
        check("#native", None, "");
        check("\"а\n#Вставка\n|б\"", Some(Preprocessor::Insert), "");
    }
}
