//! The signs behind which an editor asks for completions by itself, and whether a place is worth it.
//!
//! Told by looks at the last statement alone, so that a place where nothing is to be offered costs no completion. Called by the language
//! server; it must not know models.

use nestor_bsl::lexer::{TokenKind, lex};

use crate::stop::statement_context;

/// What opens a list: behind a receiver, in calls, assignments and lists, between words, in strings and queries, before directives, on a
/// new line.
pub const SIGNS: [&str; 9] = [".", "(", ",", "=", " ", "\"", "&", "|", "\n"];

/// Whether a completion is worth asking for at the end of `before`, where `sign` has just been typed. A new line may be indented already.
#[must_use]
pub fn asks_behind(before: &str, sign: &str) -> bool {
    let statement = statement_context(before);
    let tokens = lex(statement);
    let line = before.rsplit('\n').next().unwrap_or_default();
    let is_first = line.trim_start() == sign;
    let Some(last) = tokens.last() else {
        return sign == "\n";
    };
    let is_open_string = matches!(last.kind, TokenKind::StringStart | TokenKind::StringPart);
    match sign {
        _ if last.kind == TokenKind::Comment => false,
        // A new line, but for one within white space: the lines around it are as good.
        "\n" => line.trim().is_empty(),
        // Indenting says nothing.
        " " => !line.trim().is_empty(),
        // The quote that opens a string, not the one that closes it.
        "\"" => last.kind == TokenKind::StringStart && last.text(statement) == "\"",
        "|" => last.kind == TokenKind::StringPart && is_first,
        // A directive, or a parameter of a query.
        "&" => is_first || is_open_string,
        // The point of a number.
        "." => {
            let receiver = tokens.iter().rev().nth(1);
            receiver.is_none_or(|token| token.kind != TokenKind::Number)
        }
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signs_ask_where_something_may_follow() {
        let check = |before: &str, expected: bool| {
            let sign = before.chars().next_back().unwrap_or('\n').to_string();
            assert_eq!(asks_behind(before, &sign), expected, "{before:?}");
        };
        for before in [
            "\tЗапрос.",
            "\tСообщить(",
            "\tА = Б(1,",
            "\tА =",
            "\tА = Новый ",
            "\tЗапрос.УстановитьПараметр(\"",
            "\tЗапрос = Новый Запрос(\"ВЫБРАТЬ\n\t|",
            "\tЗапрос.Текст = \"ВЫБРАТЬ Т.Код ГДЕ Т.Код = &",
            "\tЗапрос.Текст = \"ВЫБРАТЬ\n\t|\tТ.",
            "&",
            "КонецПроцедуры\n\n&",
            "А = 1;\n",
        ] {
            check(before, true);
        }
        for before in [
            "\t// Слово,",
            "\t// Слово. ",
            "А = 1; // Б =",
            "\tА = \"Б\"",
            "\tА = 1.",
            "    ",
            "\tА = Б |",
            "|",
            "\tА = Б &",
        ] {
            check(before, false);
        }
        assert!(asks_behind("А = 1;\r\n\t", "\n"));
        assert!(asks_behind("", "\n"));
    }
}
