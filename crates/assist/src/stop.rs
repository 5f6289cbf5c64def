//! Where a completion ends: the end of the line, of the statement, of a query's SELECT list or of the block, and never inside НСтр prose.
//!
//! The completion loop asks after every piece. This module sees text only; it must not know pieces or probabilities.

mod select_list;

use nestor_bsl::keywords::Keyword;
use nestor_bsl::lexer::{Token, TokenKind, lex};
use serde::{Deserialize, Serialize};

/// What a completion may reach.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum StopRule {
    /// The end of the first line that holds something visible.
    #[default]
    Line,
    /// The end of the statement: its `;`, or the word that opens a block; in the SELECT list of a query the end of the list.
    Statement,
    /// The end of the block that the completion opens, or just before the end of the one it stands in; in a SELECT list its end.
    Block,
    /// The end of the method that the cursor stands in, texts for people included: who asks for a whole body reads it before taking it.
    Method,
    /// Nothing but the end of the text or method that the model writes, and prose.
    Text,
}

/// What the completion loop should do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing ends here.
    GoOn,
    /// Stop and keep this many bytes of what was generated.
    Stop {
        /// Bytes of the generated text to keep.
        keep: usize,
    },
}

/// Judges `generated`, which follows `before` (text before the cursor from the start of its statement on, see
/// [`statement_context`]).
#[must_use]
pub fn judge(before: &str, generated: &str, rule: StopRule) -> Verdict {
    let text = format!("{before}{generated}");
    let tokens = lex(&text);
    if rule != StopRule::Method
        && let Some(quote) = open_prose(&text, &tokens)
    {
        // Text for people is theirs to write: the quote is the last thing offered.
        return Verdict::Stop {
            keep: (quote + 1).saturating_sub(before.len()),
        };
    }
    let end = match rule {
        StopRule::Line => line_end(generated),
        StopRule::Statement => first_of(
            select_list::list_end(&text, &tokens, before.len()),
            statement_end(&text, &tokens, before.len()).or_else(|| blank_line(generated)),
        ),
        StopRule::Block => first_of(
            select_list::list_end(&text, &tokens, before.len()),
            block_end(&text, &tokens, before.len()),
        ),
        StopRule::Method => method_end(&text, &tokens, before.len()),
        StopRule::Text => None,
    };
    let end = match rule {
        StopRule::Text => end,
        _ => first_of(end, broken_string(&tokens, before.len())),
    };
    match end {
        Some(keep) => Verdict::Stop { keep },
        None => Verdict::GoOn,
    }
}

/// Whether the end of `before` lies inside the text of an НСтр literal, where nothing is offered.
#[must_use]
pub fn inside_prose(before: &str) -> bool {
    open_prose(before, &lex(before)).is_some()
}

/// The end of `prefix` from the last line that does not continue a string: enough to know whether the cursor is in a
/// literal and which statement it stands in.
#[must_use]
pub fn statement_context(prefix: &str) -> &str {
    let mut start = prefix.len();
    for _ in 0..400 {
        let line_start = prefix[..start].rfind('\n').map_or(0, |at| at + 1);
        let line = prefix[line_start..].trim_start_matches([' ', '\t']);
        start = line_start;
        let continues = line.starts_with('|') || line.starts_with("//");
        if start == 0 || !continues {
            break;
        }
        start -= 1;
    }
    &prefix[start..]
}

/// The offset of the opening quote of an НСтр literal that is open at the end of the text.
fn open_prose(text: &str, tokens: &[Token]) -> Option<usize> {
    let start = tokens
        .iter()
        .rposition(|token| token.kind == TokenKind::StringStart)?;
    let after = &tokens[start + 1..];
    let open = after
        .iter()
        .all(|token| token.kind.is_trivia() || matches!(token.kind, TokenKind::StringPart));
    // A line that ended without a quote and has something else than `|` after it is broken code, not an open literal.
    let broken = after
        .last()
        .is_some_and(|token| matches!(token.kind, TokenKind::Whitespace | TokenKind::Comment));
    if !open || broken {
        return None;
    }
    let mut before = tokens[..start].iter().rev().filter(|t| !t.kind.is_trivia());
    let bracket = before.next()?;
    let name = before.next()?.text(text).to_lowercase();
    let called = bracket.text(text) == "(" && matches!(name.as_str(), "нстр" | "nstr");
    called.then_some(tokens[start].span.start)
}

/// The end of the line behind which a string that is open would be broken: every further line of it begins with `|`.
fn broken_string(tokens: &[Token], from: usize) -> Option<usize> {
    let mut line_end = None;
    let mut is_open = false;
    for token in tokens {
        match token.kind {
            TokenKind::StringStart | TokenKind::StringPart => {
                is_open = true;
                line_end = None;
            }
            TokenKind::Newline if is_open => {
                line_end = line_end.or(Some(token.span.start));
            }
            TokenKind::StringEnd => is_open = false,
            kind if kind.is_trivia() => {}
            _ => {
                if let Some(end) = line_end.filter(|end| is_open && *end >= from) {
                    return Some(end - from);
                }
                is_open = false;
            }
        }
    }
    None
}

fn first_of(left: Option<usize>, right: Option<usize>) -> Option<usize> {
    left.into_iter().chain(right).min()
}

fn line_end(generated: &str) -> Option<usize> {
    let visible = generated.find(|c: char| !c.is_whitespace())?;
    generated[visible..].find('\n').map(|at| visible + at)
}

/// Two line ends in a row end whatever it was.
fn blank_line(generated: &str) -> Option<usize> {
    let visible = generated.find(|c: char| !c.is_whitespace())?;
    let mut line_start = None;
    for (at, c) in generated[visible..].char_indices() {
        match c {
            '\n' if line_start.is_some() => return line_start,
            '\n' => line_start = Some(visible + at),
            c if c.is_whitespace() => {}
            _ => line_start = None,
        }
    }
    None
}

fn statement_end(text: &str, tokens: &[Token], from: usize) -> Option<usize> {
    for token in tokens.iter().filter(|token| token.span.end > from) {
        let ends = match token.kind {
            TokenKind::Keyword(keyword) => matches!(
                keyword,
                Keyword::Then | Keyword::Do | Keyword::Else | Keyword::Try | Keyword::Except
            ),
            TokenKind::Punctuation => token.text(text) == ";",
            _ => false,
        };
        // The word may be a prefix of a longer one (`Цикл` of `ЦиклОбмена`): what follows must have been seen.
        if ends && (token.kind == TokenKind::Punctuation || !is_last(token, tokens)) {
            return Some(token.span.end - from);
        }
    }
    None
}

fn is_last(token: &Token, tokens: &[Token]) -> bool {
    tokens.last().is_some_and(|last| last.span == token.span)
}

/// Before the word that ends a method, or begins the next one.
fn method_end(text: &str, tokens: &[Token], from: usize) -> Option<usize> {
    let is_border = |token: &&Token| {
        let is_word = matches!(
            token.kind,
            TokenKind::Keyword(
                Keyword::EndProcedure
                    | Keyword::EndFunction
                    | Keyword::Procedure
                    | Keyword::Function
            )
        );
        is_word && token.span.end > from && !is_last(token, tokens)
    };
    let border = tokens.iter().find(is_border)?;
    let keep = border.span.start.max(from);
    Some(text[from..keep].trim_end().len())
}

fn block_end(text: &str, tokens: &[Token], from: usize) -> Option<usize> {
    let mut depth = 0i32;
    for (idx, token) in tokens.iter().enumerate() {
        if token.span.end <= from {
            continue;
        }
        let TokenKind::Keyword(keyword) = token.kind else {
            continue;
        };
        if is_last(token, tokens) {
            break;
        }
        match keyword {
            Keyword::If | Keyword::For | Keyword::While | Keyword::Try => depth += 1,
            Keyword::Procedure | Keyword::Function => depth += 1,
            Keyword::EndIf
            | Keyword::EndDo
            | Keyword::EndTry
            | Keyword::EndProcedure
            | Keyword::EndFunction => {
                depth -= 1;
                if depth < 0 {
                    let keep = token.span.start.max(from) - from;
                    return Some(text[from..from + keep].trim_end().len());
                }
                if depth == 0 {
                    let next = &tokens[idx + 1];
                    let end = if next.text(text) == ";" { next } else { token };
                    return Some(end.span.end - from);
                }
            }
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(rule: StopRule, before: &str, generated: &str, expected: Option<&str>) {
        let found = match judge(before, generated, rule) {
            Verdict::GoOn => None,
            Verdict::Stop { keep } => Some(&generated[..keep]),
        };
        assert_eq!(found, expected, "{rule:?} {before:?} {generated:?}");
    }

    #[test]
    fn a_line_ends_at_its_line_end() {
        check(StopRule::Line, "\tА", " = 1;", None);
        check(StopRule::Line, "\tА", " = 1;\n\tБ", Some(" = 1;"));
        check(StopRule::Line, "\tА = 1;", "\n\tБ = 2;", None);
        check(
            StopRule::Line,
            "\tА = 1;",
            "\n\tБ = 2;\n",
            Some("\n\tБ = 2;"),
        );
        check(StopRule::Line, "", "", None);
    }

    #[test]
    fn a_string_goes_on_with_a_bar_or_ends_with_its_line() {
        let head = "\tЗапрос.Текст = \"ВЫБРАТЬ\n\t|\tТ.Код";
        for rule in [StopRule::Line, StopRule::Block, StopRule::Method] {
            check(rule, head, "\n\tКонецЕсли", Some(""));
        }
        check(StopRule::Block, head, "\n\t|ИЗ\n\t", None);
        check(StopRule::Block, head, "\n\t// Таблица\n\t|ИЗ", None);
        check(
            StopRule::Method,
            head,
            "\n\t|ИЗ\n\tСправочник",
            Some("\n\t|ИЗ"),
        );
        check(StopRule::Method, head, "\";\n\tБ = 1;", None);
        // What was broken before is not ours to mend.
        check(StopRule::Method, "\tА = \"Б\n", "\tВ = 1;", None);
        check(StopRule::Text, head, "\n\tКонецЕсли", None);
    }

    #[test]
    fn a_text_ends_at_prose_alone() {
        check(StopRule::Text, "\tА", " = 1;\n\n\tБ = 2;\n", None);
        check(StopRule::Text, "", "А(НСтр(\"ru", Some("А(НСтр(\""));
    }

    #[test]
    fn a_statement_ends_at_its_semicolon_or_block_word() {
        check(
            StopRule::Statement,
            "А",
            " = Ф(1,\n\t2); Б",
            Some(" = Ф(1,\n\t2);"),
        );
        check(StopRule::Statement, "Если А", " > 0 Тогда", None);
        check(
            StopRule::Statement,
            "Если А",
            " > 0 Тогда\n",
            Some(" > 0 Тогда"),
        );
        check(StopRule::Statement, "А = ", "\"б;в\"", None);
        check(StopRule::Statement, "А", "\n\t\n", None);
        check(StopRule::Statement, "А", " = 1\n\t\nБ", Some(" = 1"));
    }

    #[test]
    fn a_block_ends_with_what_it_opened_or_before_the_outer_end() {
        let body = "\tЕсли А Тогда\n\t\tБ();\n\tКонецЕсли;";
        check(StopRule::Block, "", &format!("{body}\n"), Some(body));
        check(StopRule::Block, "", "\tЕсли А Тогда\n\tКонецЕсли", None);
        check(StopRule::Block, "", "А();\nКонецПроцедуры\n", Some("А();"));
        check(
            StopRule::Block,
            "",
            "For Each A In B Do\nEndDo;\n",
            Some("For Each A In B Do\nEndDo;"),
        );
    }

    #[test]
    fn a_select_list_ends_before_the_tables() {
        let both = |before: &str, generated: &str, expected: Option<&str>| {
            check(StopRule::Statement, before, generated, expected);
            check(StopRule::Block, before, generated, expected);
        };
        let head = "\tЗапрос.Текст = \"ВЫБРАТЬ\n\t|\tТ.";
        let fields = "Код,\n\t|\tТ.Наименование КАК Имя";
        both(head, fields, None);
        both(head, &format!("{fields}\n\t|ИЗ"), None);
        both(head, &format!("{fields}\n\t|ИЗ "), None);
        both(head, &format!("{fields}\n\t|ИЗ\n\t|\tС"), Some(fields));
        both(head, &format!("{fields}\n\t|ПОМЕСТИТЬ Цены"), Some(fields));
        both(head, &format!("{fields}\n\t|ОБЪЕДИНИТЬ ВСЕ"), Some(fields));
        both(head, &format!("{fields}\";"), Some(fields));
        both(head, "ИЗделие", None);
        both(
            "Text = \"SELECT\n|\tT.",
            "Code,\n|\tT.From AS From\n|FROM\n|\tC",
            Some("Code,\n|\tT.From AS From"),
        );
        // A list in brackets ends with them; the outer one goes on behind it.
        let inner = "Запрос = \"ВЫБРАТЬ Т.Код В (ВЫБРАТЬ В.";
        both(inner, "Код ИЗ В КАК В) КАК Есть", Some("Код"));
        both(
            "Т = \"ВЫБРАТЬ Т.Код В (",
            "ВЫБРАТЬ В.Код ИЗ В) КАК Е ИЗ Т",
            Some("ВЫБРАТЬ В.Код ИЗ В) КАК Е"),
        );
        // The list is over, or there is none: the other rules alone.
        both("Т = \"ВЫБРАТЬ\n\t|\tКод", "\n\t|ИЗ\n\t|\tС", None);
        both("Т = \"ВЫБРАТЬ К ИЗ ", "С ГДЕ С.К = 1", None);
        check(
            StopRule::Statement,
            "А = ",
            "\"ВЫБРАТЬ К ИЗ С\"; Б",
            Some("\"ВЫБРАТЬ К ИЗ С\";"),
        );
        check(
            StopRule::Text,
            head,
            &format!("{fields}\n\t|ИЗ\n\t|\tС"),
            None,
        );
    }

    #[test]
    fn a_method_ends_before_its_last_word_and_may_hold_prose() {
        let body = "\tЕсли А Тогда\n\t\tСообщить(НСтр(\"ru = 'я'\"));\n\tКонецЕсли;\n\tБ();";
        check(StopRule::Method, "", body, None);
        check(StopRule::Method, "", "А(НСтр(\"ru", None);
        check(
            StopRule::Method,
            "",
            &format!("{body}\nКонецПроцедуры"),
            None,
        );
        check(
            StopRule::Method,
            "",
            &format!("{body}\nКонецПроцедуры\n"),
            Some(body),
        );
        check(StopRule::Method, "\t", "А();\n\nFunction B", Some("А();"));
    }

    #[test]
    fn prose_of_nstr_is_never_written() {
        check(StopRule::Line, "\tСообщить(", "НСтр(\"ru", Some("НСтр(\""));
        check(StopRule::Line, "\tMessage(", "NStr(\"", Some("NStr(\""));
        check(StopRule::Line, "\tА = ", "Б[\"ru", None);
        check(StopRule::Line, "\tА = ", "НСтр(\"ru = 'я'\"", None);
        assert!(inside_prose("Сообщить(НСтр(\"ru = 'Прив"));
        assert!(inside_prose("Сообщить(НСтр(\"ru = 'Прив\n\t|вторая"));
        assert!(!inside_prose("Сообщить(НСтр(\"ru = 'Привет'\")"));
        assert!(!inside_prose("Запрос.Текст = \"ВЫБРАТЬ\n\t|Поле"));
    }

    #[test]
    fn the_context_starts_where_the_literal_does() {
        let text = "А = 1;\nТекст = \"ВЫБРАТЬ\n\t// строка\n\t|\tПоле\n\t|ИЗ ";
        assert!(statement_context(text).starts_with("Текст"));
        assert_eq!(statement_context("А = 1;\n\tБ"), "\tБ");
        assert_eq!(statement_context(""), "");
        assert_eq!(statement_context("|а"), "|а");
    }
}
