//! Code tokens: the units that strict accuracy counts (DESIGN section 6, definition b).
//!
//! The evaluation and the count baselines walk these. Comments and white space are left out. Of strings, query text,
//! names, dotted paths and comma lists of them are lexed and both quotes are tokens; any other string is one token that is
//! right when its opening quote is. The `|` that continues a string over a line is given, like white space.
//!
//! Each token also says in which slot it stands, so that accuracy can be told apart by slot. Only the text decides: this module
//! must not know metadata or models.

mod code_slots;
mod query_slots;

use std::borrow::Cow;
use std::ops::Range;

use crate::lexer::{Token, TokenKind, lex};
use crate::query::{self, Literal, QueryToken, QueryTokenKind, Shape};
use code_slots::CodeSlots;
use query_slots::QuerySlots;

/// One scored token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CodeToken {
    /// Its bytes in the text; for prose the whole literal with both quotes.
    pub span: Range<usize>,
    /// The bytes that must be right: the span, but for prose the opening quote only.
    pub scored: Range<usize>,
    /// What it is.
    pub class: TokenClass,
    /// Where it stands.
    pub slot: Slot,
}

/// What a code token is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum TokenClass {
    /// A name, in code, query text or a lexed string.
    Identifier,
    /// A reserved word of the language or of the query language.
    Keyword,
    /// A number.
    Number,
    /// An operator or a mark.
    Punctuation,
    /// A quote of a lexed string.
    Quote,
    /// A string of prose.
    Prose,
    /// A date literal.
    Date,
    /// `#Если`, `&НаКлиенте`: a preprocessor word or an annotation.
    Directive,
    /// A character that does not belong into a module.
    Unknown,
}

/// Where a code token stands. The first that fits, in this order, but `Other`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Slot {
    /// A name after a dot, in code or in a path inside a string.
    AfterDot,
    /// In query text: a name of a table path, of its alias, or after `ПОМЕСТИТЬ`.
    QueryTable,
    /// In query text: any other name that is no function.
    QueryField,
    /// In query text: the name after `&`.
    QueryParameter,
    /// The first token of an argument.
    CallArgument,
    /// A name in the string that names keys: `Новый Структура("...")`, `.Вставить("...")`, `.Свойство("...")`.
    StructureKey,
    /// The first token of a statement, block closers and directives among them.
    StatementStart,
    /// The name of a method, parameter, variable or region where it is declared.
    Declaration,
    /// Anywhere else.
    Other,
}

impl Slot {
    /// Every slot, in the order of the enum.
    pub const ALL: [Slot; 9] = [
        Slot::AfterDot,
        Slot::QueryTable,
        Slot::QueryField,
        Slot::QueryParameter,
        Slot::CallArgument,
        Slot::StructureKey,
        Slot::StatementStart,
        Slot::Declaration,
        Slot::Other,
    ];
}

/// The code tokens of `text`, in order.
pub fn code_tokens(text: &str) -> Vec<CodeToken> {
    let tokens = lex(text);
    let mut walk = Walk {
        text,
        tokens: &tokens,
        slots: CodeSlots::default(),
        query: None,
        out: Vec::with_capacity(tokens.len() / 2),
    };
    let mut idx = 0;
    while idx < tokens.len() {
        idx = walk.step(idx);
    }
    walk.out
}

/// The text that stands for the token where tokens are counted: its own, but for prose the quote.
pub fn token_text<'a>(text: &'a str, token: &CodeToken) -> Cow<'a, str> {
    Cow::Borrowed(&text[token.scored.clone()])
}

struct Walk<'a> {
    text: &'a str,
    tokens: &'a [Token],
    slots: CodeSlots,
    /// The slots of the query text that this statement has begun; a literal added with `+` goes on with them.
    query: Option<QuerySlots>,
    out: Vec<CodeToken>,
}

impl Walk<'_> {
    /// Takes the token at `idx` and says which is next.
    fn step(&mut self, idx: usize) -> usize {
        let token = &self.tokens[idx];
        let text = token.text(self.text);
        if let Some(literal) = query::literal(self.text, self.tokens, idx) {
            return self.literal(&literal);
        }
        let class = match token.kind {
            TokenKind::Newline => {
                self.slots.end_of_line();
                return idx + 1;
            }
            TokenKind::Whitespace | TokenKind::Comment => return idx + 1,
            TokenKind::Identifier => TokenClass::Identifier,
            TokenKind::Keyword(_) => TokenClass::Keyword,
            TokenKind::Number => TokenClass::Number,
            TokenKind::Date => TokenClass::Date,
            TokenKind::Punctuation => TokenClass::Punctuation,
            TokenKind::Preprocessor(_) | TokenKind::Annotation => TokenClass::Directive,
            // Lines of a string are taken with the literal that opens them.
            TokenKind::String
            | TokenKind::StringStart
            | TokenKind::StringPart
            | TokenKind::StringEnd
            | TokenKind::Unknown => TokenClass::Unknown,
        };
        if matches!(token.kind, TokenKind::Keyword(_)) || text == ";" {
            self.query = None;
        }
        let slot = self.slots.take(token.kind, text);
        self.push(token.span.clone(), class, slot);
        idx + 1
    }

    fn push(&mut self, span: Range<usize>, class: TokenClass, slot: Slot) {
        self.out.push(CodeToken {
            scored: span.clone(),
            span,
            class,
            slot,
        });
    }

    fn literal(&mut self, literal: &Literal) -> usize {
        let continues_query = self.query.is_some() && self.slots.is_after_plus();
        let names_keys = self.slots.names_keys();
        let slot = self.slots.take(TokenKind::String, "\"");
        let tokens = query::lex_query(self.text, literal);
        match query::shape(self.text, literal, &tokens, continues_query) {
            Shape::Prose => {
                self.out.push(CodeToken {
                    span: literal.span.clone(),
                    scored: literal.open.clone(),
                    class: TokenClass::Prose,
                    slot,
                });
                return literal.tokens.end;
            }
            Shape::Empty => self.push(literal.open.clone(), TokenClass::Quote, slot),
            Shape::Names => {
                self.push(literal.open.clone(), TokenClass::Quote, slot);
                self.names(&tokens, names_keys);
            }
            Shape::Query => {
                self.push(literal.open.clone(), TokenClass::Quote, slot);
                self.query(&tokens, continues_query);
            }
        }
        if let Some(close) = literal.close.clone() {
            self.push(close, TokenClass::Quote, Slot::Other);
        }
        self.directives_inside(literal);
        literal.tokens.end
    }

    fn names(&mut self, tokens: &[QueryToken], are_keys: bool) {
        let mut after_dot = false;
        for token in tokens {
            let (class, slot) = match token.kind {
                QueryTokenKind::Punctuation => (TokenClass::Punctuation, Slot::Other),
                _ if are_keys => (TokenClass::Identifier, Slot::StructureKey),
                _ if after_dot => (TokenClass::Identifier, Slot::AfterDot),
                _ => (TokenClass::Identifier, Slot::Other),
            };
            after_dot = &self.text[token.span.clone()] == ".";
            self.push(token.span.clone(), class, slot);
        }
    }

    fn query(&mut self, tokens: &[QueryToken], continues: bool) {
        let mut slots = self.query.take().filter(|_| continues).unwrap_or_default();
        let mut seen = tokens
            .iter()
            .filter(|token| token.kind != QueryTokenKind::Comment)
            .peekable();
        while let Some(token) = seen.next() {
            let next = seen.peek().map(|next| &self.text[next.span.clone()]);
            let slot = slots.take(token.kind, &self.text[token.span.clone()], next);
            let class = match token.kind {
                QueryTokenKind::Identifier => TokenClass::Identifier,
                QueryTokenKind::Keyword(_) => TokenClass::Keyword,
                QueryTokenKind::Number => TokenClass::Number,
                QueryTokenKind::String => TokenClass::Prose,
                QueryTokenKind::Punctuation | QueryTokenKind::Comment => TokenClass::Punctuation,
            };
            self.push(token.span.clone(), class, slot);
            if let (TokenClass::Prose, Some(prose)) = (class, self.out.last_mut()) {
                // A string of the query language, `""text""`: its opening quote is two characters.
                prose.scored.end = prose.span.end.min(prose.span.start + 2);
            }
        }
        self.query = Some(slots);
    }

    /// `#Вставка` and the like between the lines of a literal are tokens in their places.
    fn directives_inside(&mut self, literal: &Literal) {
        let inside = &self.tokens[literal.tokens.clone()];
        let mut directives = inside
            .iter()
            .filter(|token| matches!(token.kind, TokenKind::Preprocessor(_)))
            .peekable();
        if directives.peek().is_none() {
            return;
        }
        for directive in directives {
            self.push(
                directive.span.clone(),
                TokenClass::Directive,
                Slot::StatementStart,
            );
        }
        let first = self
            .out
            .partition_point(|token| token.span.start < literal.span.start);
        self.out[first..].sort_by_key(|token| token.span.start);
    }
}

#[cfg(test)]
mod tests;
