//! Procedures and functions of a module.
//!
//! The corpus cuts files into them, the assistant finds the one around the cursor, generation reads the header and the doc
//! comment. Found by the lexer, not by a parse: a method is there as soon as its header is, and broken code inside
//! one does not hide the next.

use std::ops::Range;

use sha2::{Digest, Sha256};

use crate::keywords::{Directive, Keyword};
use crate::lexer::{Lexer, Token, TokenKind, lex};

/// A procedure or a function.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Method {
    /// Its name as written; empty while it is being typed.
    pub name: String,
    /// The name.
    pub name_span: Range<usize>,
    /// Doc comment, annotations, header, body and closing word; no white space around them.
    pub span: Range<usize>,
    /// The comment lines right above the annotations, or between them and the header.
    pub doc_span: Option<Range<usize>>,
    /// From `Асинх`, `Процедура` or `Функция` to the closing parenthesis or `Экспорт`.
    pub header_span: Range<usize>,
    /// Between the header and the closing word, white space included.
    pub body_span: Range<usize>,
    /// What it takes.
    pub params: Vec<Param>,
    /// `Экспорт`.
    pub is_export: bool,
    /// `Функция`, not `Процедура`.
    pub is_function: bool,
    /// `Асинх`.
    pub is_async: bool,
    /// Whether the closing word is there. Without it the body goes to the next method or the end of the text.
    pub is_complete: bool,
    /// `&НаКлиенте`, `&Вместо("...")` and the like, in order.
    pub annotations: Vec<Annotation>,
}

/// A parameter of a method.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Param {
    /// Its name as written.
    pub name: String,
    /// `Знач`.
    pub by_value: bool,
    /// The default value, where there is one.
    pub default: Option<Range<usize>>,
}

/// An annotation of a method.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Annotation {
    /// Its name as written, without `&`.
    pub name: String,
    /// What the platform knows it as; `None` for OneScript's free ones.
    pub directive: Option<Directive>,
    /// From `&` to its name's or its arguments' end.
    pub span: Range<usize>,
}

impl Method {
    /// The hash of the method in `text`, the text it was found in. See [`method_hash`].
    pub fn hash(&self, text: &str) -> u64 {
        method_hash(&text[self.span.clone()])
    }
}

/// The methods of `text`, in order.
pub fn methods(text: &str) -> Vec<Method> {
    let tokens = lex(text);
    let mut found: Vec<(Method, usize)> = Vec::new();
    let mut idx = 0;
    while idx < tokens.len() {
        match Header::read(text, &tokens, idx) {
            Some(header) => {
                idx = header.end_idx;
                found.push((header.into_method(text, &tokens), idx));
            }
            None => idx += 1,
        }
    }
    let starts: Vec<usize> = found.iter().map(|(method, _)| method.span.start).collect();
    let mut out = Vec::with_capacity(found.len());
    for (method_idx, (mut method, body_idx)) in found.into_iter().enumerate() {
        let limit = starts.get(method_idx + 1).copied().unwrap_or(text.len());
        close(&mut method, text, &tokens[body_idx..], limit);
        out.push(method);
    }
    out
}

/// A hash that says whether two methods are the same code: comments stripped, white space and case folded.
///
/// 64 bits of SHA-256, the same on every machine and in every version; models ship it for the methods they were
/// trained on.
pub fn method_hash(text: &str) -> u64 {
    let mut hasher = Sha256::new();
    let mut folded = String::new();
    for token in Lexer::new(text) {
        if token.kind.is_trivia() {
            continue;
        }
        folded.clear();
        let mut after_white = false;
        for c in token.text(text).chars() {
            if c.is_whitespace() {
                after_white = true;
                continue;
            }
            if std::mem::take(&mut after_white) {
                folded.push(' ');
            }
            folded.extend(c.to_lowercase());
        }
        folded.push('\n');
        hasher.update(folded.as_bytes());
    }
    let digest = hasher.finalize();
    u64::from_le_bytes(digest[..8].try_into().expect("SHA-256 has 32 bytes"))
}

/// Finds the closing word before the byte `limit`, where the next method starts.
fn close(method: &mut Method, text: &str, tokens: &[Token], limit: usize) {
    let start = method.header_span.end;
    let closing = tokens
        .iter()
        .take_while(|token| token.span.start < limit)
        .find(|token| {
            matches!(
                token.kind,
                TokenKind::Keyword(Keyword::EndProcedure | Keyword::EndFunction)
            )
        });
    match closing {
        Some(closing) => {
            method.body_span = start..closing.span.start;
            method.span.end = closing.span.end;
            method.is_complete = true;
        }
        None => {
            let end = start + text[start..limit.max(start)].trim_end().len();
            method.body_span = start..end;
            method.span.end = end;
        }
    }
}

/// A method's header as it was read from the tokens.
struct Header {
    /// `Асинх`, `Процедура` or `Функция`.
    start_idx: usize,
    keyword_idx: usize,
    /// The token after the header.
    end_idx: usize,
    name: Option<usize>,
    params: Vec<Param>,
    is_export: bool,
}

impl Header {
    /// Reads the header whose keyword is at `idx`; `None` where none is.
    fn read(text: &str, tokens: &[Token], idx: usize) -> Option<Header> {
        if !is_method_word(tokens[idx].kind) {
            return None;
        }
        let mut header = Header {
            start_idx: idx,
            keyword_idx: idx,
            end_idx: idx + 1,
            name: None,
            params: Vec::new(),
            is_export: false,
        };
        if let Some(before) = back(tokens, idx)
            .filter(|&before| tokens[before].kind == TokenKind::Keyword(Keyword::Async))
        {
            header.start_idx = before;
        }
        let mut at = forward(tokens, idx + 1);
        match at {
            Some(name) if tokens[name].kind == TokenKind::Identifier => {
                header.name = Some(name);
                header.end_idx = name + 1;
                at = forward(tokens, name + 1);
            }
            _ => return starts_line(tokens, header.start_idx).then_some(header),
        }
        let Some(open) = at.filter(|&at| tokens[at].text(text) == "(") else {
            return starts_line(tokens, header.start_idx).then_some(header);
        };
        header.end_idx = open + 1;
        header.params(text, tokens);
        if let Some(export) = forward(tokens, header.end_idx) {
            header.is_export = tokens[export].kind == TokenKind::Keyword(Keyword::Export);
            header.end_idx = if header.is_export {
                export + 1
            } else {
                header.end_idx
            };
        }
        Some(header)
    }

    /// Reads parameters up to the closing parenthesis, or to what cannot belong to a header.
    fn params(&mut self, text: &str, tokens: &[Token]) {
        let mut depth = 0;
        let mut by_value = false;
        let mut in_default = false;
        while let Some(at) = forward(tokens, self.end_idx) {
            let token = &tokens[at];
            let mark = if token.kind == TokenKind::Punctuation {
                token.text(text)
            } else {
                ""
            };
            match (token.kind, mark) {
                (TokenKind::Keyword(keyword), _) if !is_value(keyword) => {
                    // Annotations that were read as a parameter's belong to the method that starts here.
                    let (_, first_idx) = annotations(text, tokens, at);
                    self.end_idx = back(tokens, first_idx).map_or(self.end_idx, |last| last + 1);
                    return;
                }
                (_, ";") => return,
                (_, "(") => depth += 1,
                (_, ")") if depth == 0 => {
                    self.end_idx = at + 1;
                    return;
                }
                (_, ")") => depth -= 1,
                (_, ",") if depth == 0 => (by_value, in_default) = (false, false),
                (TokenKind::Keyword(Keyword::Val), _) => by_value = true,
                (_, "=") if depth == 0 && !in_default => in_default = true,
                _ if in_default => {
                    if let Some(param) = self.params.last_mut() {
                        let start = param
                            .default
                            .as_ref()
                            .map_or(token.span.start, |default| default.start);
                        param.default = Some(start..token.span.end);
                    }
                }
                (TokenKind::Identifier, _) if depth == 0 => {
                    self.params.push(Param {
                        name: token.text(text).to_owned(),
                        by_value,
                        default: None,
                    });
                }
                _ => {}
            }
            self.end_idx = at + 1;
        }
    }

    fn into_method(self, text: &str, tokens: &[Token]) -> Method {
        let (annotations, first_idx) = annotations(text, tokens, self.start_idx);
        let doc_span = doc_comment(text, tokens, first_idx).or_else(|| {
            doc_comment(text, tokens, self.start_idx).filter(|_| first_idx < self.start_idx)
        });
        let keyword = &tokens[self.keyword_idx];
        let header_span = tokens[self.start_idx].span.start..tokens[self.end_idx - 1].span.end;
        let first = tokens[first_idx].span.start;
        let name_span = match self.name {
            Some(name) => tokens[name].span.clone(),
            None => keyword.span.end..keyword.span.end,
        };
        Method {
            name: text[name_span.clone()].to_owned(),
            name_span,
            span: doc_span.as_ref().map_or(first, |doc| doc.start.min(first))..header_span.end,
            doc_span,
            body_span: header_span.end..header_span.end,
            header_span,
            params: self.params,
            is_export: self.is_export,
            is_function: keyword.kind == TokenKind::Keyword(Keyword::Function),
            is_async: self.start_idx < self.keyword_idx,
            is_complete: false,
            annotations,
        }
    }
}

fn is_method_word(kind: TokenKind) -> bool {
    matches!(
        kind,
        TokenKind::Keyword(Keyword::Procedure | Keyword::Function)
    )
}

fn is_method_border(kind: TokenKind) -> bool {
    is_method_word(kind)
        || matches!(
            kind,
            TokenKind::Keyword(Keyword::EndProcedure | Keyword::EndFunction)
        )
}

/// Reserved words that may stand between the parentheses of a header.
fn is_value(keyword: Keyword) -> bool {
    matches!(
        keyword,
        Keyword::Val | Keyword::True | Keyword::False | Keyword::Undefined | Keyword::Null
    )
}

/// The first token from `idx` on that is no trivia.
fn forward(tokens: &[Token], idx: usize) -> Option<usize> {
    (idx..tokens.len()).find(|&idx| !tokens[idx].kind.is_trivia())
}

/// The last token before `idx` that is no trivia.
fn back(tokens: &[Token], idx: usize) -> Option<usize> {
    (0..idx).rev().find(|&idx| !tokens[idx].kind.is_trivia())
}

/// Whether only white space stands before token `idx` in its line.
fn starts_line(tokens: &[Token], idx: usize) -> bool {
    match tokens[..idx]
        .iter()
        .rev()
        .find(|token| token.kind != TokenKind::Whitespace)
    {
        Some(before) => before.kind == TokenKind::Newline,
        None => true,
    }
}

/// The annotations right before token `start_idx`, and the token where the first of them starts.
fn annotations(text: &str, tokens: &[Token], start_idx: usize) -> (Vec<Annotation>, usize) {
    let mut found = Vec::new();
    let mut first_idx = start_idx;
    while let Some(last) = back(tokens, first_idx) {
        let at = if tokens[last].text(text) == ")" {
            callee(text, tokens, last)
        } else {
            Some(last)
        };
        let Some(at) = at.filter(|&at| tokens[at].kind == TokenKind::Annotation) else {
            break;
        };
        let name = tokens[at].text(text)[1..].to_owned();
        found.push(Annotation {
            directive: Directive::find(&name),
            name,
            span: tokens[at].span.start..tokens[last].span.end,
        });
        first_idx = at;
    }
    found.reverse();
    (found, first_idx)
}

/// What stands before the parenthesis that token `close` closes.
fn callee(text: &str, tokens: &[Token], close: usize) -> Option<usize> {
    // The arguments of an annotation are few; a long way back means that this is a call in code.
    const FARTHEST: usize = 200;
    let mut depth = 0usize;
    for idx in (close.saturating_sub(FARTHEST)..=close).rev() {
        // A stray parenthesis belongs to nothing in the method before.
        if is_method_border(tokens[idx].kind) {
            return None;
        }
        match tokens[idx].text(text) {
            ";" => return None,
            ")" => depth += 1,
            "(" => {
                depth -= 1;
                if depth == 0 {
                    return back(tokens, idx);
                }
            }
            _ => {}
        }
    }
    None
}

/// The comment lines that end in the line above token `idx`, without a blank line between.
fn doc_comment(text: &str, tokens: &[Token], idx: usize) -> Option<Range<usize>> {
    let mut doc: Option<Range<usize>> = None;
    let mut at = idx;
    loop {
        let mut before = tokens[..at]
            .iter()
            .enumerate()
            .rev()
            .filter(|(_, token)| token.kind != TokenKind::Whitespace);
        let Some((_, newline)) = before.next() else {
            break;
        };
        let Some((comment_idx, comment)) = before.next() else {
            break;
        };
        let is_line = newline.kind == TokenKind::Newline
            && comment.kind == TokenKind::Comment
            && starts_line(tokens, comment_idx)
            && !comment.text(text).starts_with("#!");
        if !is_line {
            break;
        }
        doc = Some(comment.span.start..doc.map_or(comment.span.end, |doc| doc.end));
        at = comment_idx;
    }
    doc
}

#[cfg(test)]
mod tests;
