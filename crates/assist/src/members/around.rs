//! What is being written where a name is to come: the last line before it, as far as it says which name that will be.
//!
//! Called by `marks`. Only the text before the place is looked at, and the methods of the document.

use nestor_bsl::keywords::fold;
use nestor_bsl::lexer::is_name_char;
use nestor_metadata::resolve::Document;
use rustc_hash::FxHashSet;

use super::uses::NEAR;
use crate::renaming::words;

/// Letters of a word that is long enough to tell something, in bytes of Cyrillic.
pub(super) const LONG_WORD: usize = 6;

/// What stands around a place. Names are folded, and empty where there are none.
#[derive(Debug)]
pub(super) struct Around {
    /// Whether the chain begins a statement.
    pub(super) is_first: bool,
    pub(super) setting: Setting,
    /// The name on the left of the assignment.
    pub(super) left: String,
    /// The name that is compared with what comes.
    pub(super) compared: String,
    /// The literal before what comes in the same call.
    pub(super) literal: String,
    /// The parameter that what comes is handed to.
    pub(super) parameter: String,
    /// The method around.
    pub(super) method: String,
    /// Words of the text right before.
    pub(super) words_near: FxHashSet<String>,
}

/// What the chain is a part of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Setting {
    /// `Для Каждого Строка Из `
    Loop,
    /// `Если `, `И `, `Не `
    Condition,
    /// `+ `, `- `
    Sum,
    /// Anything else.
    Other,
}

impl Around {
    /// What stands around the end of `text`, the beginning of `document`.
    pub(super) fn new(text: &str, document: &Document) -> Self {
        let method = document.method_at(text.len());
        Self {
            is_first: is_first(text, text.len()),
            setting: setting(text),
            left: left_of_assignment(text),
            compared: left_of_comparison(text),
            literal: literal_before(text),
            parameter: parameter_of_call(text, document),
            method: method.map_or_else(String::new, |idx| fold(&document.methods()[idx].name)),
            words_near: words_near(text),
        }
    }
}

/// The line before the dotted chain that a name at `start` ends.
fn before_chain(text: &str, start: usize) -> &str {
    let line = text[..start].rfind('\n').map_or(0, |end| end + 1);
    text[line..start]
        .trim_end_matches(|c: char| is_name_char(c) || c == '.')
        .trim()
}

/// What the chain at the end of `text` is a part of.
fn setting(text: &str) -> Setting {
    let before = before_chain(text, text.len());
    let word = &before[before.trim_end_matches(is_name_char).len()..];
    match fold(word).as_str() {
        "из" | "in" => Setting::Loop,
        "если" | "иначеесли" | "и" | "или" | "не" | "if" | "elsif" | "and" | "or" | "not" => {
            Setting::Condition
        }
        _ if before.ends_with(['+', '-', '*', '/']) => Setting::Sum,
        _ => Setting::Other,
    }
}

/// The folded words of the last bytes but those of the chain itself.
fn words_near(text: &str) -> FxHashSet<String> {
    let end = text
        .trim_end_matches(|c: char| is_name_char(c) || c == '.')
        .len();
    let near = &text[text.floor_char_boundary(end.saturating_sub(NEAR))..end];
    words(near)
        .map(|word| &near[word])
        .filter(|word| word.len() >= LONG_WORD)
        .map(fold)
        .collect()
}

/// Whether the chain begins a statement.
pub(super) fn is_first(text: &str, start: usize) -> bool {
    let before = before_chain(text, start);
    let word = &before[before.trim_end_matches(is_name_char).len()..];
    before.is_empty()
        || before.ends_with(';')
        || matches!(fold(word).as_str(), "тогда" | "then" | "цикл" | "do")
}

/// The last name on the left of the assignment whose value the chain at the end of `text` begins, folded.
fn left_of_assignment(text: &str) -> String {
    let before = before_chain(text, text.len());
    let Some(left) = before.strip_suffix('=') else {
        return String::new();
    };
    let left = left.trim_end();
    let name = &left[left.trim_end_matches(is_name_char).len()..];
    let chain = &left[left
        .trim_end_matches(|c: char| is_name_char(c) || c == '.')
        .len()..];
    // A comparison in a condition has something before its left side.
    if chain.len() == left.len() {
        fold(name)
    } else {
        String::new()
    }
}

/// The last name of the chain before a sign of comparison that the chain at the end of `text` follows, folded; not of an assignment.
fn left_of_comparison(text: &str) -> String {
    let before = before_chain(text, text.len());
    let signs = before.trim_end_matches(['=', '<', '>']);
    let left = signs.trim_end();
    let chain = left.trim_end_matches(|c: char| is_name_char(c) || c == '.');
    if signs.len() == before.len()
        || (chain.is_empty() && before.ends_with('=') && signs.len() + 1 == before.len())
    {
        return String::new();
    }
    fold(&left[left.trim_end_matches(is_name_char).len()..])
}

/// The literal that is the argument before the chain at the end of `text`, folded.
fn literal_before(text: &str) -> String {
    let before = before_chain(text, text.len());
    let literal = before
        .strip_suffix(',')
        .and_then(|before| before.trim_end().strip_suffix('"'));
    let Some(literal) = literal else {
        return String::new();
    };
    let name = &literal[literal.trim_end_matches(is_name_char).len()..];
    if literal[..literal.len() - name.len()].ends_with('"') {
        fold(name)
    } else {
        String::new()
    }
}

/// The name of the parameter that the chain at the end of `text` is handed to, folded; of methods of the module only.
fn parameter_of_call(text: &str, document: &Document) -> String {
    let before = before_chain(text, text.len());
    let Some(open) = before.rfind('(') else {
        return String::new();
    };
    let arguments = &before[open + 1..];
    let call = before[..open].trim_end();
    let name = &call[call.trim_end_matches(is_name_char).len()..];
    let is_own = !call[..call.len() - name.len()].ends_with('.');
    if !is_own
        || name.is_empty()
        || arguments.contains([')', '"'])
        || !(arguments.is_empty() || arguments.ends_with(','))
    {
        return String::new();
    }
    let Some(method) = document.method_named(name) else {
        return String::new();
    };
    let params = &document.methods()[method].params;
    let param = params.get(arguments.matches(',').count());
    param.map_or_else(String::new, |param| fold(&param.name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn around(text: &str) -> Around {
        Around::new(text, &Document::new("м.bsl", text.to_owned()))
    }

    #[test]
    fn an_assignment_and_a_comparison_have_a_left_side() {
        for (text, left, compared) in [
            ("\tСтрока.Сумма = Товар.", "сумма", ""),
            ("\tСумма = Товар.", "сумма", ""),
            ("\tЕсли А.Сумма = Товар.", "", "сумма"),
            ("\tЕсли А.Сумма <> Товар.", "", "сумма"),
            ("\tПока Сумма >= Товар.", "", "сумма"),
            ("\tСообщить(Товар.", "", ""),
        ] {
            let found = around(text);
            assert_eq!(
                (found.left.as_str(), found.compared.as_str()),
                (left, compared),
                "{text}"
            );
        }
    }

    #[test]
    fn a_call_names_what_it_takes() {
        let text =
            "Процедура Списать(Знач Склад, Товар)\nКонецПроцедуры\n\nПроцедура Б()\n\tСписать(Док.";
        assert_eq!(around(text).parameter, "склад");
        assert_eq!(around(&text.replace("(Док", "(А, Док")).parameter, "товар");
        assert_eq!(
            around(&text.replace("\tСписать", "\tД.Списать")).parameter,
            ""
        );
        assert_eq!(around("\tОтбор.Вставить(\"Склад\", Док.").literal, "склад");
        assert_eq!(around("\tОтбор.Вставить(Склад, Док.").literal, "");
        assert_eq!(around("\tСообщить(\"на складе\", Док.").literal, "");
    }

    #[test]
    fn the_word_before_says_what_is_wanted() {
        for (text, expected) in [
            ("\tДля Каждого С Из Док.", Setting::Loop),
            ("\tIf Doc.", Setting::Condition),
            ("\tЕсли А = 1 И Не Док.", Setting::Condition),
            ("\tА = Б + Док.", Setting::Sum),
            ("\tА = Док.", Setting::Other),
        ] {
            assert_eq!(around(text).setting, expected, "{text}");
        }
    }

    #[test]
    fn words_and_the_method_are_those_before_the_chain() {
        let found = around("Процедура СкладПриИзменении()\n\tЦенаТовара = Дно.Плита.");
        assert_eq!(found.method, "складприизменении");
        assert!(found.words_near.contains("цена") && !found.words_near.contains("плита"));
    }
}
