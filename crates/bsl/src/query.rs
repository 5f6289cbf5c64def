//! String literals: what they hold, and the query language inside them.
//!
//! Code tokens and the editor's context ask here. A literal is gathered from the lexer's tokens (it may go over
//! many lines), its [`Shape`] is told from its text alone and from the literal it continues, and query text is lexed
//! line by line. The `|` that continues a literal belongs to no content: it is given, like white space. This module
//! must not know statements: the caller says whether a literal continues a query.

use std::ops::Range;

use crate::keywords::{Keyword, QueryKeyword};
use crate::lexer::{Token, TokenKind, is_name_char, is_name_start};

/// A string literal of one or more lines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Literal {
    /// Its lexer tokens, by index, from the one with the opening quote to the last line of it; trivia and preprocessor
    /// lines between the lines are inside.
    pub tokens: Range<usize>,
    /// From the opening quote to the closing one, or to the end of the last line.
    pub span: Range<usize>,
    /// The opening quote.
    pub open: Range<usize>,
    /// The closing quote; `None` where the literal is unfinished.
    pub close: Option<Range<usize>>,
    /// What each line holds, without quotes and `|`. Escaped quotes stay doubled.
    pub lines: Vec<Range<usize>>,
}

/// What a literal holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Shape {
    /// Nothing but white space.
    Empty,
    /// Query text, or a part of it.
    Query,
    /// Names, dotted paths, or a comma list of them.
    Names,
    /// Anything else: messages, НСтр texts, templates, file names.
    Prose,
}

/// What a token of query text is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum QueryTokenKind {
    /// A name: a word that is not reserved, or any word after `.`, `&` or `КАК`.
    Identifier,
    /// A reserved word.
    Keyword(QueryKeyword),
    /// `1`, `1.5`.
    Number,
    /// An operator or a mark, `&`, `#` and `%` among them.
    Punctuation,
    /// `""text""`.
    String,
    /// `// ...` to the end of the line.
    Comment,
}

/// A token of query text; its span is in the module's text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueryToken {
    /// What it is.
    pub kind: QueryTokenKind,
    /// Its bytes in the text.
    pub span: Range<usize>,
}

/// The literal whose opening quote is in token `first`; `None` when that token opens none.
pub fn literal(text: &str, tokens: &[Token], first: usize) -> Option<Literal> {
    let opening = tokens.get(first)?;
    if !matches!(opening.kind, TokenKind::String | TokenKind::StringStart) {
        return None;
    }
    let mut last = first;
    if opening.kind == TokenKind::StringStart {
        for (idx, token) in tokens.iter().enumerate().skip(first + 1) {
            match token.kind {
                TokenKind::StringPart => last = idx,
                TokenKind::StringEnd => {
                    last = idx;
                    break;
                }
                TokenKind::Preprocessor(_) => {}
                kind if kind.is_trivia() => {}
                _ => break,
            }
        }
    }
    let mut lines = Vec::new();
    let mut close = None;
    for token in tokens[first..=last]
        .iter()
        .filter(|token| token.kind.is_string())
    {
        let mut line = token.span.start + 1..token.span.end;
        if matches!(token.kind, TokenKind::String | TokenKind::StringEnd) {
            line.end -= 1;
            close = Some(line.end..token.span.end);
        }
        lines.push(line);
    }
    let open = opening.span.start..opening.span.start + 1;
    debug_assert_eq!(&text[open.clone()], "\"");
    Some(Literal {
        tokens: first..last + 1,
        span: open.start..tokens[last].span.end,
        open,
        close,
        lines,
    })
}

/// The tokens of the literal's text read as query language. White space is left out.
pub fn lex_query(text: &str, literal: &Literal) -> Vec<QueryToken> {
    let mut tokens = Vec::new();
    for line in &literal.lines {
        lex_line(text, line.clone(), &mut tokens);
    }
    tokens
}

/// What `literal` holds; `tokens` are its [`lex_query`]. `continues_query`: it is added with `+` to query text.
///
/// Query text starts with `ВЫБРАТЬ`/`SELECT` (or drops a table) in capitals; spelled otherwise (`Выбрать файл` is a
/// caption) it must also have its `ИЗ`/`FROM` and a second line, a dotted path or `*`. A literal of several lines that is
/// added to a query elsewhere is told by its words: it starts with another clause in capitals, or it has an alias
/// or a clause and a path or a parameter, and neither sentences nor statements of the language.
pub fn shape(text: &str, literal: &Literal, tokens: &[QueryToken], continues_query: bool) -> Shape {
    if literal
        .lines
        .iter()
        .all(|line| text[line.clone()].trim().is_empty())
    {
        Shape::Empty
    } else if continues_query || starts_query(text, literal, tokens) {
        Shape::Query
    } else if are_names(text, tokens) {
        Shape::Names
    } else {
        Shape::Prose
    }
}

fn starts_query(text: &str, literal: &Literal, tokens: &[QueryToken]) -> bool {
    let is_skipped = |token: &&QueryToken| {
        token.kind == QueryTokenKind::Comment || &text[token.span.clone()] == ";"
    };
    let mut words = tokens.iter().skip_while(is_skipped);
    let Some(first) = words.next() else {
        return false;
    };
    let first_text = &text[first.span.clone()];
    let is_capitals = !first_text.contains(char::is_lowercase);
    let has_lines = literal.lines.len() > 1;
    match first.kind {
        QueryTokenKind::Keyword(QueryKeyword::Select | QueryKeyword::Drop) if is_capitals => {
            // The bare word is a name unless something is to follow it.
            tokens.len() > 1 || has_lines || literal.lines[0].end > first.span.end
        }
        QueryTokenKind::Keyword(QueryKeyword::Select) => {
            let has_from = tokens
                .iter()
                .any(|token| is_keyword(token, QueryKeyword::From));
            let selects_all = words
                .next()
                .is_some_and(|second| &text[second.span.clone()] == "*");
            has_from && (has_lines || selects_all || has_path(text, tokens))
        }
        QueryTokenKind::Keyword(keyword) if has_lines && is_capitals && is_clause(keyword) => true,
        _ => has_lines && is_fragment(text, tokens),
    }
}

/// A part of a query that starts in the middle, told from messages of several lines and from generated code.
fn is_fragment(text: &str, tokens: &[QueryToken]) -> bool {
    let has_clause = tokens.iter().any(
        |token| matches!(token.kind, QueryTokenKind::Keyword(word) if is_clause(word) || word == QueryKeyword::As),
    );
    let has_parameter = || {
        tokens.windows(2).any(|two| {
            &text[two[0].span.clone()] == "&" && two[1].kind == QueryTokenKind::Identifier
        })
    };
    let is_sentence = || {
        let is_name = |token: &QueryToken| token.kind == QueryTokenKind::Identifier;
        tokens.windows(3).any(|three| three.iter().all(is_name))
    };
    let is_statement = |token: &QueryToken| {
        token.kind == QueryTokenKind::Identifier
            && matches!(
                Keyword::find(&text[token.span.clone()]),
                Some(
                    Keyword::If
                        | Keyword::EndIf
                        | Keyword::Do
                        | Keyword::EndDo
                        | Keyword::Return
                        | Keyword::Procedure
                        | Keyword::EndProcedure
                        | Keyword::Function
                        | Keyword::EndFunction
                )
            )
    };
    has_clause
        && (has_path(text, tokens) || has_parameter())
        && !is_sentence()
        && !tokens.iter().any(is_statement)
}

fn is_keyword(token: &QueryToken, keyword: QueryKeyword) -> bool {
    token.kind == QueryTokenKind::Keyword(keyword)
}

/// Words that begin a clause and are no everyday words in capitals.
fn is_clause(keyword: QueryKeyword) -> bool {
    matches!(
        keyword,
        QueryKeyword::From
            | QueryKeyword::Where
            | QueryKeyword::Into
            | QueryKeyword::Index
            | QueryKeyword::Left
            | QueryKeyword::Right
            | QueryKeyword::Full
            | QueryKeyword::Inner
            | QueryKeyword::Join
            | QueryKeyword::Union
            | QueryKeyword::Group
            | QueryKeyword::Having
            | QueryKeyword::Order
            | QueryKeyword::Totals
            | QueryKeyword::AutoOrder
            | QueryKeyword::Case
    )
}

fn has_path(text: &str, tokens: &[QueryToken]) -> bool {
    let is_word = |token: &QueryToken| {
        matches!(
            token.kind,
            QueryTokenKind::Identifier | QueryTokenKind::Keyword(_)
        )
    };
    tokens.windows(3).any(|three| {
        is_word(&three[0])
            && is_word(&three[2])
            && &text[three[1].span.clone()] == "."
            && three[0].span.end == three[1].span.start
            && three[1].span.end == three[2].span.start
    })
}

/// Name (`.` name)* (`,` name (`.` name)*)*, and nothing else.
fn are_names(text: &str, tokens: &[QueryToken]) -> bool {
    let mut wants_name = true;
    for token in tokens {
        let is_name = match token.kind {
            QueryTokenKind::Identifier | QueryTokenKind::Keyword(_) => true,
            QueryTokenKind::Punctuation if matches!(&text[token.span.clone()], "." | ",") => false,
            _ => return false,
        };
        if is_name != wants_name {
            return false;
        }
        wants_name = !wants_name;
    }
    !wants_name
}

fn lex_line(text: &str, line: Range<usize>, tokens: &mut Vec<QueryToken>) {
    let text_to_end = &text[..line.end];
    let mut at = line.start;
    while let Some(c) = text_to_end[at..].chars().next() {
        let rest = &text_to_end[at..];
        let (kind, len) = match c {
            c if c.is_whitespace() || c == '\u{feff}' => {
                at += c.len_utf8();
                continue;
            }
            '/' if rest.starts_with("//") => (QueryTokenKind::Comment, rest.len()),
            '"' => (QueryTokenKind::String, nested_string_len(rest)),
            '0'..='9' => (QueryTokenKind::Number, number_len(rest)),
            '<' if rest.starts_with("<>") || rest.starts_with("<=") => {
                (QueryTokenKind::Punctuation, 2)
            }
            '>' if rest.starts_with(">=") => (QueryTokenKind::Punctuation, 2),
            c if is_name_start(c) => {
                let len = rest.find(|c| !is_name_char(c)).unwrap_or(rest.len());
                (word_kind(text, tokens.last(), &rest[..len]), len)
            }
            c => (QueryTokenKind::Punctuation, c.len_utf8()),
        };
        tokens.push(QueryToken {
            kind,
            span: at..at + len,
        });
        at += len;
    }
}

fn word_kind(text: &str, previous: Option<&QueryToken>, word: &str) -> QueryTokenKind {
    let is_name = previous.is_some_and(|previous| match previous.kind {
        QueryTokenKind::Punctuation => matches!(&text[previous.span.clone()], "." | "&"),
        kind => kind == QueryTokenKind::Keyword(QueryKeyword::As),
    });
    if is_name {
        return QueryTokenKind::Identifier;
    }
    QueryKeyword::find(word).map_or(QueryTokenKind::Identifier, QueryTokenKind::Keyword)
}

/// Bytes of `""text""` at the start of `rest`; an unfinished one goes to the end of the line.
fn nested_string_len(rest: &str) -> usize {
    let mut len = 2;
    while let Some(found) = rest.get(len..).and_then(|rest| rest.find("\"\"")) {
        let after = len + found + 2;
        // Doubled again it is a quote inside the nested string; right after the opening it closes an empty one.
        if found > 0 && rest[after..].starts_with("\"\"") {
            len = after + 2;
        } else {
            return after;
        }
    }
    rest.len()
}

fn number_len(rest: &str) -> usize {
    let digits = |text: &str| text.bytes().take_while(u8::is_ascii_digit).count();
    let whole = digits(rest);
    let fraction = rest[whole..].strip_prefix('.').map_or(0, digits);
    if fraction > 0 {
        whole + 1 + fraction
    } else {
        whole
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lexer::lex;

    fn first_literal(text: &str) -> Literal {
        let tokens = lex(text);
        let first = tokens
            .iter()
            .position(|token| token.kind.is_string())
            .unwrap();
        literal(text, &tokens, first).unwrap()
    }

    fn check_shape(text: &str, expected: Shape) {
        let literal = first_literal(text);
        assert_eq!(
            shape(text, &literal, &lex_query(text, &literal), false),
            expected,
            "{text}"
        );
    }

    fn check_tokens(text: &str, expected: &[&str]) {
        let literal = first_literal(text);
        let tokens = lex_query(text, &literal);
        let words: Vec<_> = tokens
            .iter()
            .map(|token| &text[token.span.clone()])
            .collect();
        assert_eq!(words, expected, "{text}");
    }

    #[test]
    fn shapes() {
        check_shape("\"\"", Shape::Empty);
        check_shape("\"\n|  \"", Shape::Empty);
        check_shape("\"Наименование\"", Shape::Names);
        check_shape("\"Ссылка, Код,\n|Дата\"", Shape::Names);
        check_shape("\"Объект.Товары.Номенклатура\"", Shape::Names);
        check_shape("\"Select, Все\"", Shape::Names);
        check_shape("\"Ссылка Код\"", Shape::Prose);
        check_shape("\"Готово.\"", Shape::Prose);
        check_shape("\"1С\"", Shape::Prose);
        check_shape("\"ru = 'Текст'; en = 'Text'\"", Shape::Prose);
        check_shape("\"🙂\"", Shape::Prose);
        check_shape("\"ВЫБРАТЬ Т.Код ИЗ Справочник.Т КАК Т\"", Shape::Query);
        check_shape("\"ВЫБРАТЬ\"", Shape::Names);
        check_shape("\"ВЫБРАТЬ \"", Shape::Query);
        check_shape("\"Выбрать * Из \"", Shape::Query);
        check_shape("\"\n|// пояснение\n|SELECT\n|  1\"", Shape::Query);
        check_shape("\";\n|ВЫБРАТЬ 1\"", Shape::Query);
        check_shape("\"Выбрать Код Из Справочник.Т\"", Shape::Query);
        check_shape("\"Выбрать файл из списка\"", Shape::Prose);
        check_shape("\"Select the file from disk.\"", Shape::Prose);
        check_shape("\"УНИЧТОЖИТЬ ВТ\"", Shape::Query);
        check_shape("\"\n|ГДЕ Т.А = 1\"", Shape::Query);
        check_shape("\"ГДЕ Т.А = 1\"", Shape::Prose);
        check_shape("\" as T\n|where T.Ref = &Ref\"", Shape::Query);
        check_shape("\",\n|\tТ.Код КАК Код,\n|\t\"", Shape::Query);
        check_shape(
            "\"ru = 'Не выбран так как\n|текст в поле объекта Т.Код'\"",
            Shape::Prose,
        );
        check_shape(
            "\"Для Каждого Х Из А.Б Цикл\n|\tВ();\n|КонецЦикла\"",
            Shape::Prose,
        );
        check_shape("\"ВЫБРАТЬ\n| Т.А", Shape::Query);
    }

    #[test]
    fn query_text_is_lexed_over_lines() {
        check_tokens(
            "\"ВЫБРАТЬ\n// нет\n\t|\tТ.Выбор КАК Все, // да\n\t|\t\"\"а\"\"\"\"б\"\" <> &Из, 1.5, \"\"\"\"\n\t|;\"",
            &[
                "ВЫБРАТЬ",
                "Т",
                ".",
                "Выбор",
                "КАК",
                "Все",
                ",",
                "// да",
                "\"\"а\"\"\"\"б\"\"",
                "<>",
                "&",
                "Из",
                ",",
                "1.5",
                ",",
                "\"\"\"\"",
                ";",
            ],
        );
        check_tokens(
            "\"#Т %1 {А.*}\"",
            &["#", "Т", "%", "1", "{", "А", ".", "*", "}"],
        );
        check_tokens("\"\"\"не закрыта", &["\"\"не закрыта"]);
    }

    #[test]
    fn literals_know_their_quotes_and_lines() {
        let text = "А = \"аб\n  // к\n#Вставка\n  |в\";";
        let literal = first_literal(text);
        assert_eq!(
            literal
                .lines
                .iter()
                .map(|line| &text[line.clone()])
                .collect::<Vec<_>>(),
            ["аб", "в"]
        );
        assert_eq!(&text[literal.close.unwrap()], "\"");
        assert!(text[literal.span].ends_with("|в\""));
        let unfinished = first_literal("\"аб\nБ = 1");
        assert_eq!((unfinished.close, unfinished.span), (None, 0.."\"аб".len()));
    }
}
