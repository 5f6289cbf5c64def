//! The text of the query that code executes, and its columns.
//!
//! The text is followed from `Выполнить` back to the literals that it is put together from. Where anything else takes part, the columns are not
//! known.

use std::ops::Range;

use nestor_bsl::keywords::{Keyword, fold};
use nestor_bsl::lexer::TokenKind;
use nestor_bsl::query::{self, lex_query};

use super::Resolver;
use super::eval::Code;
use super::query::{Fields, Query};
use super::scan::{Scan, Value};
use crate::names::same;

impl<'a> Resolver<'a> {
    /// The columns of the query that is executed by the call at `open`: `Запрос.Выполнить(`.
    pub(super) fn query_columns(&self, code: &Code, open: usize) -> Option<Fields<'a>> {
        let text = self.document.text();
        let scan = &code.scan;
        // The variable before `.Выполнить(`.
        let variable = open.checked_sub(3)?;
        if scan.kind(variable)? != TokenKind::Identifier
            || variable > 0 && scan.text(text, variable - 1) == "."
        {
            return None;
        }
        let name = fold(scan.text(text, variable));
        let source = self.query_text(code, &name, variable)?;
        self.columns_of_literals(code, &source)
    }

    /// The literals that the text of the query in variable `name` is put together from, at the token `at`.
    pub(super) fn query_text(&self, code: &Code, name: &str, at: usize) -> Option<Vec<usize>> {
        let text = self.document.text();
        let scan = &code.scan;
        for idx in (0..at).rev() {
            if scan.token(idx).kind != TokenKind::Identifier || !same(scan.text(text, idx), name) {
                continue;
            }
            // `Запрос.Текст = ...`
            let is_text = scan.text(text, idx + 1) == "."
                && ["Текст", "Text"]
                    .iter()
                    .any(|word| same(word, scan.text(text, idx + 2)))
                && scan.text(text, idx + 3) == "="
                && (idx == 0 || scan.text(text, idx - 1) != ".");
            if is_text {
                let end = scan.end_of_statement(text, idx + 4);
                if end >= at {
                    continue;
                }
                // A replacement within the same text changes tables and conditions, hardly the columns.
                if self.replaces_itself(scan, idx + 4, name) {
                    continue;
                }
                return self.literals(code, idx + 4..end);
            }
            // `Запрос = Новый Запрос("...")`
            if scan.text(text, idx + 1) == "="
                && scan.kind(idx + 2) == Some(TokenKind::Keyword(Keyword::New))
            {
                if scan.text(text, idx + 4) != "(" {
                    return None;
                }
                let close = scan.closing(text, idx + 4)?;
                let arguments = scan.arguments(text, idx + 4, close);
                return self.literals(code, arguments.first()?.clone());
            }
        }
        None
    }

    pub(super) fn replaces_itself(&self, scan: &Scan, start: usize, name: &str) -> bool {
        let text = self.document.text();
        ["СтрЗаменить", "StrReplace"]
            .iter()
            .any(|word| same(word, scan.text(text, start)))
            && same(scan.text(text, start + 2), name)
    }

    /// The literals that an expression of text is put together from; `None` when anything else takes part.
    pub(super) fn literals(&self, code: &Code, range: Range<usize>) -> Option<Vec<usize>> {
        let _depth = self.go_deeper()?;
        let text = self.document.text();
        let scan = &code.scan;
        let mut found = Vec::new();
        let mut at = range.start;
        while at < range.end {
            match scan.kind(at)? {
                TokenKind::String | TokenKind::StringStart => found.push(scan.code[at] as usize),
                TokenKind::Identifier if range.len() == 1 => {
                    let name = fold(scan.text(text, at));
                    let (definitions, _) = scan.reaching(&name, at);
                    let [definition] = &definitions[..] else {
                        return None;
                    };
                    let Value::Expression(value) = &definition.value else {
                        return None;
                    };
                    return self.literals(code, value.clone());
                }
                TokenKind::Identifier
                    if ["СтрЗаменить", "StrReplace"]
                        .iter()
                        .any(|word| same(word, scan.text(text, at))) =>
                {
                    let close = scan
                        .closing(text, at + 1)
                        .filter(|&close| close + 1 == range.end)?;
                    let arguments = scan.arguments(text, at + 1, close);
                    return self.literals(code, arguments.first()?.clone());
                }
                TokenKind::Punctuation if scan.text(text, at) == "+" => {}
                _ => return None,
            }
            at += 1;
        }
        (!found.is_empty()).then_some(found)
    }

    pub(super) fn columns_of_literals(
        &self,
        code: &Code,
        literals: &[usize],
    ) -> Option<Fields<'a>> {
        let scan = &code.scan;
        let text = self.document.text();
        let start = scan.raw[*literals.first()?].span.start;
        if let Some(known) = self.query_columns.borrow().get(&start) {
            return known.clone();
        }
        let mut tokens = Vec::new();
        for &first in literals {
            tokens.extend(lex_query(text, &query::literal(text, &scan.raw, first)?));
        }
        let tables = |name: &str| self.temporary_table(name, code.method);
        let columns = Query::new(self.view, text, tokens).columns(&tables);
        self.query_columns
            .borrow_mut()
            .insert(start, columns.clone());
        columns
    }

    /// The columns of a query that stands outside of code.
    pub(super) fn columns_of_text(&self, text: &str) -> Option<Fields<'a>> {
        let _depth = self.go_deeper()?;
        let mut lines = Vec::new();
        let mut start = 0;
        for line in text.split_inclusive('\n') {
            lines.push(start..start + line.trim_end_matches(['\n', '\r']).len());
            start += line.len();
        }
        let literal = query::Literal {
            tokens: 0..0,
            span: 0..text.len(),
            open: 0..0,
            close: None,
            lines,
        };
        let tokens = lex_query(text, &literal);
        Query::new(self.view, text, tokens).columns(&|_| None)
    }
}
