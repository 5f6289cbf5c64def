//! Finds the words of identifiers in a stretch of BSL: `ЗаказПокупателя` is `Заказ`, `Покупателя`.
//!
//! Used by renaming, thousands of windows a second, on text that may begin and end anywhere, so it is a
//! scanner of its own: it knows comments, dates and string literals, and looks into a literal
//! only when it holds a query or names, never into prose.

use std::ops::Range;

/// Calls `visit` with the byte range of every word of an identifier that starts with a capital
/// letter and goes on with at least two small ones.
pub fn code_words(text: &str, mut visit: impl FnMut(Range<usize>)) {
    let bytes = text.as_bytes();
    let mut at = 0;
    if text.trim_start().starts_with('|') {
        // The text begins inside a literal of several lines, which nearly always holds a query.
        let end = literal_end(bytes, 0);
        words(text, 0..end, &mut visit);
        at = end + 1;
    }
    while at < bytes.len() {
        match bytes[at] {
            b'/' if bytes.get(at + 1) == Some(&b'/') => at = line_end(bytes, at),
            b'\'' => at = date_end(bytes, at + 1),
            b'"' => {
                let end = literal_end(bytes, at + 1);
                if holds_code(&text[at + 1..end]) {
                    words(text, at + 1..end, &mut visit);
                }
                at = end + 1;
            }
            _ => {
                let end = bytes[at..]
                    .iter()
                    .position(|b| matches!(b, b'/' | b'"' | b'\''))
                    .map_or(bytes.len(), |offset| at + offset.max(1));
                words(text, at..end, &mut visit);
                at = end;
            }
        }
    }
}

/// Words within a range that holds no comments; the range's ends lie between characters.
fn words(text: &str, range: Range<usize>, visit: &mut impl FnMut(Range<usize>)) {
    let mut start = None;
    let mut small = 0;
    let base = range.start;
    let mut in_comment = false;
    let mut previous = ' ';
    for (offset, c) in text[range.clone()].char_indices() {
        if in_comment {
            in_comment = c != '\n';
            continue;
        }
        if is_small(c) && start.is_some() {
            small += 1;
            previous = c;
            continue;
        }
        if let Some(begin) = start.take().filter(|_| small >= 2) {
            visit(begin..base + offset);
        }
        small = 0;
        if is_capital(c) {
            start = Some(base + offset);
        }
        // Queries have comments of their own.
        in_comment = c == '/' && previous == '/';
        previous = c;
    }
    if let Some(begin) = start.filter(|_| small >= 2) {
        visit(begin..range.end);
    }
}

fn is_capital(c: char) -> bool {
    matches!(c, 'A'..='Z' | 'А'..='Я' | 'Ё')
}

fn is_small(c: char) -> bool {
    matches!(c, 'a'..='z' | 'а'..='я' | 'ё')
}

fn line_end(bytes: &[u8], from: usize) -> usize {
    bytes[from..]
        .iter()
        .position(|b| *b == b'\n')
        .map_or(bytes.len(), |offset| from + offset)
}

/// One past the closing quote of a date, or the end of the line if it has none.
fn date_end(bytes: &[u8], from: usize) -> usize {
    let end = line_end(bytes, from);
    bytes[from..end]
        .iter()
        .position(|b| *b == b'\'')
        .map_or(end, |offset| from + offset + 1)
}

/// The place of a literal's closing quote, of the line end that cuts it, or of the text's end.
fn literal_end(bytes: &[u8], from: usize) -> usize {
    let mut at = from;
    while at < bytes.len() {
        match bytes[at] {
            b'"' if bytes.get(at + 1) == Some(&b'"') => at += 2,
            b'"' => return at,
            b'\n' => {
                let rest = &bytes[at..];
                let next = rest.iter().position(|b| !b.is_ascii_whitespace());
                match next.map(|offset| (offset, rest[offset])) {
                    Some((offset, b'|')) => at += offset + 1,
                    // A comment between the lines of a literal.
                    Some((offset, b'/')) if rest.get(offset + 1) == Some(&b'/') => {
                        at = line_end(bytes, at + offset);
                    }
                    _ => return at,
                }
            }
            _ => at += 1,
        }
    }
    bytes.len()
}

/// Whether a literal holds a query, a part of one, or names: not prose.
fn holds_code(literal: &str) -> bool {
    let trimmed = literal.trim_start_matches(|c: char| c.is_whitespace() || c == '|');
    let first = trimmed
        .split(|c: char| !c.is_alphabetic())
        .next()
        .unwrap_or("");
    if first.chars().count() >= 2 && first.chars().all(is_capital) {
        return true;
    }
    let mut previous = ' ';
    trimmed.chars().all(|c| {
        let fits = c.is_alphanumeric()
            || matches!(
                c,
                '_' | '.' | ',' | '&' | '%' | '[' | ']' | '=' | '*' | ';' | '(' | ')'
            )
            || (matches!(c, ' ' | '\n' | '|' | '\t') && !previous.is_alphanumeric());
        previous = c;
        fits
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &[&str]) {
        let mut found = Vec::new();
        code_words(text, |range| found.push(&text[range]));
        assert_eq!(found, expected, "{text}");
    }

    #[test]
    fn words_of_identifiers_are_found_and_prose_is_not() {
        check(
            "ЗаказПокупателя = GetItem_Name2();",
            &["Заказ", "Покупателя", "Get", "Item", "Name"],
        );
        check(
            "а = НТТПСоединение; // Привет Мир\nДа1 = Нет",
            &["Соединение", "Нет"],
        );
        check("Дата > '20240101Абв' И Ссылка", &["Дата", "Ссылка"]);
        check(
            "Сообщить(НСтр(\"ru = 'Заказ Покупателя'\"));",
            &["Сообщить", "Стр"],
        );
        check(
            "Ф(\"Товары.Цена, Номер\", \"Итого по Заказу\")",
            &["Товары", "Цена", "Номер"],
        );
        check("Ф(\"Он сказал \"\"Привет\"\" Тут\"); Код", &["Код"]);
    }

    #[test]
    fn queries_of_several_lines_are_code() {
        check(
            "Текст = \"ВЫБРАТЬ\n\t|\tЗаказ.Сумма // Вот\n\t|ИЗ Документ\"; Далее",
            &["Текст", "Заказ", "Сумма", "Документ", "Далее"],
        );
        check(
            "\t|\tЗаказ.Сумма\n\t|ИЗ\"; // Вот\nДалее",
            &["Заказ", "Сумма", "Далее"],
        );
        check("Текст = \"Не закрыто\nДалее = 1", &["Текст", "Далее"]);
        check(
            "Текст = \"SELECT\n// Note\n| Item\" Next",
            &["Текст", "Item", "Next"],
        );
    }

    #[test]
    fn odd_text_is_no_trouble() {
        for text in [
            "",
            "\"",
            "'",
            "/",
            "//",
            "|",
            "\"\"\"",
            "Аб",
            "😀Абв",
            "\n|\n",
        ] {
            code_words(text, |range| assert!(text.get(range).is_some()));
        }
    }
}
