//! Slots in code: which token starts a statement, an argument, a declaration.
//!
//! A few counters instead of a parse, so that broken code never throws it off for longer than a statement.

use super::Slot;
use crate::keywords::{Keyword, Preprocessor, fold};
use crate::lexer::TokenKind;

/// Follows code token by token.
#[derive(Debug, Clone)]
pub(super) struct CodeSlots {
    place: Place,
    /// The next token would start a statement.
    at_statement: bool,
    previous: Previous,
    /// The last name was the type of `Новый`.
    after_new: bool,
    /// What the last name, when it is called, takes as keys.
    calls_with_keys: bool,
    open: Vec<Paren>,
    in_preprocessor_line: bool,
}

/// What kind of text the tokens belong to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Code,
    /// From `Процедура` to the closing parenthesis.
    Header,
    /// From `Перем` to `;`.
    Variables,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Previous {
    Dot,
    Plus,
    /// `(` or `,` of a call.
    Argument,
    /// A name, a type, `)` or `]`: a parenthesis after it is a call.
    Callable,
    Annotation,
    Equals,
    RegionWord,
    Else,
}

#[derive(Debug, Clone, Copy)]
struct Paren {
    is_call: bool,
    has_keys: bool,
    of_annotation: bool,
    argument_idx: usize,
}

impl Default for CodeSlots {
    fn default() -> Self {
        CodeSlots {
            place: Place::Code,
            at_statement: true,
            previous: Previous::Else,
            after_new: false,
            calls_with_keys: false,
            open: Vec::new(),
            in_preprocessor_line: false,
        }
    }
}

impl CodeSlots {
    /// The line is over; a preprocessor line ends with it.
    pub(super) fn end_of_line(&mut self) {
        if std::mem::take(&mut self.in_preprocessor_line) {
            self.at_statement = true;
        }
    }

    /// The last token was `+`.
    pub(super) fn is_after_plus(&self) -> bool {
        self.previous == Previous::Plus
    }

    /// A string here would name keys of a structure.
    pub(super) fn names_keys(&self) -> bool {
        self.previous == Previous::Argument
            && self
                .open
                .last()
                .is_some_and(|paren| paren.has_keys && paren.argument_idx == 0)
    }

    /// The slot of the next token, which is no trivia. A string literal comes as one token.
    pub(super) fn take(&mut self, kind: TokenKind, text: &str) -> Slot {
        let slot = self.slot(kind, text);
        self.advance(kind, text);
        slot
    }

    fn slot(&self, kind: TokenKind, text: &str) -> Slot {
        let is_name = kind == TokenKind::Identifier;
        let declares = match self.place {
            Place::Code => self.previous == Previous::RegionWord,
            Place::Header | Place::Variables => {
                self.previous != Previous::Equals && self.previous != Previous::Dot
            }
        };
        let starts_statement = match kind {
            TokenKind::Keyword(keyword) => {
                starts_statement(keyword) || self.at_statement && keyword != Keyword::Export
            }
            TokenKind::Preprocessor(_) => true,
            TokenKind::Annotation => self.place == Place::Code,
            _ => self.at_statement && !(self.previous == Previous::Annotation && text == "("),
        };
        if is_name && self.previous == Previous::Dot {
            Slot::AfterDot
        } else if is_name && declares {
            Slot::Declaration
        } else if starts_statement && self.place == Place::Code {
            Slot::StatementStart
        } else if self.previous == Previous::Argument && !matches!(text, ")" | ",") {
            Slot::CallArgument
        } else {
            Slot::Other
        }
    }

    fn advance(&mut self, kind: TokenKind, text: &str) {
        let before = std::mem::replace(&mut self.previous, Previous::Else);
        let was_after_new = std::mem::take(&mut self.after_new);
        let calls_with_keys = std::mem::take(&mut self.calls_with_keys);
        self.at_statement = false;
        match kind {
            TokenKind::Identifier => {
                self.previous = Previous::Callable;
                self.calls_with_keys = match before {
                    Previous::Dot => {
                        is_one_of(text, &["вставить", "insert", "свойство", "property"])
                    }
                    _ if was_after_new => is_one_of(
                        text,
                        &[
                            "структура",
                            "structure",
                            "фиксированнаяструктура",
                            "fixedstructure",
                        ],
                    ),
                    _ => false,
                };
            }
            TokenKind::Keyword(keyword) => self.keyword(keyword),
            TokenKind::Preprocessor(word) => {
                self.in_preprocessor_line = true;
                if word == Some(Preprocessor::Region) {
                    self.previous = Previous::RegionWord;
                }
            }
            TokenKind::Annotation => {
                self.previous = Previous::Annotation;
                self.at_statement = self.place == Place::Code;
            }
            TokenKind::Punctuation => self.mark(text, before, calls_with_keys),
            _ => {}
        }
    }

    fn keyword(&mut self, keyword: Keyword) {
        if starts_statement(keyword) {
            self.open.clear();
            self.place = Place::Code;
        }
        match keyword {
            Keyword::Procedure | Keyword::Function => self.place = Place::Header,
            Keyword::Var => self.place = Place::Variables,
            Keyword::New => {
                self.after_new = true;
                self.previous = Previous::Callable;
            }
            Keyword::Execute => self.previous = Previous::Callable,
            Keyword::Then
            | Keyword::Else
            | Keyword::Do
            | Keyword::Try
            | Keyword::Except
            | Keyword::EndProcedure
            | Keyword::EndFunction => self.at_statement = true,
            Keyword::Export => self.at_statement = self.place == Place::Code,
            _ => {}
        }
    }

    fn mark(&mut self, mark: &str, before: Previous, calls_with_keys: bool) {
        match mark {
            "." => self.previous = Previous::Dot,
            "+" => self.previous = Previous::Plus,
            "=" => self.previous = Previous::Equals,
            "?" | "]" => self.previous = Previous::Callable,
            ";" => {
                self.open.clear();
                self.place = Place::Code;
                self.at_statement = true;
            }
            // A label.
            ":" => self.at_statement = self.open.is_empty(),
            "(" => {
                let is_call = self.place == Place::Code
                    && matches!(before, Previous::Callable | Previous::Annotation);
                self.open.push(Paren {
                    is_call,
                    has_keys: calls_with_keys,
                    of_annotation: before == Previous::Annotation,
                    argument_idx: 0,
                });
                self.previous = if is_call {
                    Previous::Argument
                } else {
                    Previous::Else
                };
            }
            "," => {
                if let Some(paren) = self.open.last_mut() {
                    paren.argument_idx += 1;
                    if paren.is_call {
                        self.previous = Previous::Argument;
                    }
                }
            }
            ")" => self.close(),
            _ => {}
        }
    }

    fn close(&mut self) {
        let paren = self.open.pop();
        self.previous = Previous::Callable;
        let ends_header = self.place == Place::Header && self.open.is_empty();
        if ends_header {
            self.place = Place::Code;
        }
        self.at_statement = ends_header
            || self.place == Place::Code && paren.is_some_and(|paren| paren.of_annotation);
    }
}

/// Words that can stand at the start of a statement only.
fn starts_statement(keyword: Keyword) -> bool {
    matches!(
        keyword,
        Keyword::If
            | Keyword::ElsIf
            | Keyword::Else
            | Keyword::EndIf
            | Keyword::For
            | Keyword::While
            | Keyword::EndDo
            | Keyword::Procedure
            | Keyword::EndProcedure
            | Keyword::Function
            | Keyword::EndFunction
            | Keyword::Var
            | Keyword::Return
            | Keyword::Break
            | Keyword::Continue
            | Keyword::Goto
            | Keyword::Try
            | Keyword::Except
            | Keyword::EndTry
            | Keyword::Raise
            | Keyword::AddHandler
            | Keyword::RemoveHandler
    )
}

fn is_one_of(name: &str, folded: &[&str]) -> bool {
    // Most names differ in length already.
    folded.iter().any(|known| known.len() == name.len()) && folded.contains(&fold(name).as_str())
}
