//! Where the SELECT list of a query ends: a completion that began in one does not go on with the tables.
//!
//! Called by the rules "statement" and "block" with the text of the literal. Sees text only.

use nestor_bsl::keywords::QueryKeyword;
use nestor_bsl::lexer::{Token, TokenKind};
use nestor_bsl::query::{Literal, QueryToken, QueryTokenKind, Shape, lex_query, literal, shape};

/// A SELECT whose list is open, and the brackets that were open before it.
struct List {
    depth: usize,
}

/// Bytes behind `from` that belong to the SELECT list around it; `None` where there is no such list, where it does not end in the text,
/// or where nothing of it follows.
pub(super) fn list_end(text: &str, tokens: &[Token], from: usize) -> Option<usize> {
    let (literal, query) = query_around(text, tokens, from)?;
    let mut lists: Vec<List> = Vec::new();
    let mut depth = 0_usize;
    // How many of the lists were open at the cursor; the innermost of them is the one.
    let mut wanted: Option<usize> = None;
    let mut end = from;
    for (idx, token) in query.iter().enumerate() {
        if token.span.end > from && wanted.is_none() {
            wanted = Some(lists.len());
        }
        let word = &text[token.span.clone()];
        let ended = match token.kind {
            QueryTokenKind::Keyword(QueryKeyword::Select) => {
                lists.push(List { depth });
                0
            }
            QueryTokenKind::Keyword(keyword) if ends_list(keyword) => {
                // The word may go on (`ИЗ` of `ИЗделие`): what follows must have been seen.
                if idx + 1 == query.len() && literal.close.is_none() {
                    return None;
                }
                close(&mut lists, |list| list.depth == depth)
            }
            QueryTokenKind::Punctuation if word == "(" => {
                depth += 1;
                0
            }
            QueryTokenKind::Punctuation if word == ")" => {
                depth = depth.saturating_sub(1);
                close(&mut lists, |list| list.depth > depth)
            }
            QueryTokenKind::Punctuation if word == ";" => {
                depth = 0;
                close(&mut lists, |_| true)
            }
            _ => 0,
        };
        if ended > 0 && wanted.is_some_and(|wanted| wanted > lists.len()) {
            return behind(text, from, end);
        }
        end = token.span.end;
    }
    // The literal may end with its list.
    let is_open = wanted.unwrap_or(lists.len()) > 0;
    match literal.close {
        Some(quote) if is_open && quote.start >= from => behind(text, from, quote.start),
        _ => None,
    }
}

/// Drops the innermost lists that `is_over` holds for; their number.
fn close(lists: &mut Vec<List>, is_over: impl Fn(&List) -> bool) -> usize {
    let n = lists.len();
    while lists.pop_if(|list| is_over(list)).is_some() {}
    n - lists.len()
}

fn behind(text: &str, from: usize, end: usize) -> Option<usize> {
    let list = text.get(from..end)?.trim_end();
    (!list.is_empty()).then_some(list.len())
}

/// The literal around `from`, if it is query text.
fn query_around(text: &str, tokens: &[Token], from: usize) -> Option<(Literal, Vec<QueryToken>)> {
    let starts = |token: &Token| matches!(token.kind, TokenKind::String | TokenKind::StringStart);
    let first = tokens
        .iter()
        .rposition(|token| starts(token) && token.span.start < from)?;
    let found = literal(text, tokens, first)?;
    let is_around = found.close.as_ref().is_none_or(|quote| quote.start >= from);
    let query = lex_query(text, &found);
    (is_around && shape(text, &found, &query, false) == Shape::Query).then_some((found, query))
}

fn ends_list(keyword: QueryKeyword) -> bool {
    matches!(
        keyword,
        QueryKeyword::From
            | QueryKeyword::Into
            | QueryKeyword::Where
            | QueryKeyword::Group
            | QueryKeyword::Having
            | QueryKeyword::Order
            | QueryKeyword::Totals
            | QueryKeyword::Union
            | QueryKeyword::AutoOrder
    )
}
