//! Keys of a structure that is being made: those that the same method, or one that the structure is handed to, asks it for.
//!
//! `Отбор = Новый Структура("` and `Отбор.Вставить("` name what stands behind `Отбор.` elsewhere in the method, and behind the parameter of a
//! method of the module that gets `Отбор`. What the structure already has is not offered again.

use std::ops::Range;

use nestor_bsl::keywords::fold;
use nestor_bsl::lexer::is_name_char;
use nestor_metadata::resolve::Document;

/// What every structure has and no key is.
const MEMBERS: [&str; 10] = [
    "вставить",
    "insert",
    "удалить",
    "delete",
    "свойство",
    "property",
    "количество",
    "count",
    "очистить",
    "clear",
];

/// The keys for the place `at`, behind the quote of a literal or a comma in it; none where no structure is made there.
pub(super) fn keys(document: &Document, at: usize) -> Option<Vec<String>> {
    let text = document.text();
    let before = &text[..at];
    let line = before.rfind('\n').map_or(0, |end| end + 1);
    let quote = line + text[line..at].rfind('"')?;
    let call = text[line..quote].trim_end().strip_suffix('(')?.trim_end();
    let typed = &text[quote + 1..at];
    let variable = if let Some(receiver) = strip_word(call, &["вставить", "insert"]) {
        last_word(receiver.strip_suffix('.')?)
    } else {
        let new = strip_word(call, &["структура", "structure"])?.trim_end();
        let left = strip_word(new, &["новый", "new"])?
            .trim_end()
            .strip_suffix('=')?;
        last_word(left.trim_end())
    };
    let method = document.method_at(at)?;
    let span = document.methods()[method].span.clone();
    let mut known: Vec<String> = typed.split(',').map(|key| fold(key.trim())).collect();
    known.extend(MEMBERS.map(str::to_owned));
    known.extend(inserted(text, span.clone(), variable, at));
    let mut found = Vec::new();
    asked(text, span.clone(), variable, &mut known, &mut found);
    for (callee, param) in handed_to(document, span, variable) {
        let callee = &document.methods()[callee];
        if let Some(param) = callee.params.get(param) {
            asked(
                text,
                callee.body_span.clone(),
                &param.name,
                &mut known,
                &mut found,
            );
        }
    }
    (!found.is_empty()).then_some(found)
}

/// The names behind `variable.` in a part of the text that are not `known` yet.
fn asked(
    text: &str,
    part: Range<usize>,
    variable: &str,
    known: &mut Vec<String>,
    found: &mut Vec<String>,
) {
    for (name, _) in members_of(text, part, variable) {
        if !known.contains(&fold(name)) {
            known.push(fold(name));
            found.push(name.to_owned());
        }
    }
}

/// The names behind `variable.` in a part of the text that no bracket follows.
pub(super) fn asked_of<'t>(
    text: &'t str,
    part: Range<usize>,
    variable: &'t str,
) -> impl Iterator<Item = &'t str> {
    let found = members_of(text, part, variable);
    found.filter_map(|(name, behind)| (!behind.starts_with('(')).then_some(name))
}

/// The names behind `variable.` in a part of the text, with what stands behind each.
fn members_of<'t>(
    text: &'t str,
    part: Range<usize>,
    variable: &'t str,
) -> impl Iterator<Item = (&'t str, &'t str)> {
    let end_of_part = part.end;
    words(text, part, variable).filter_map(move |end| {
        let rest = text[end..end_of_part].strip_prefix('.')?;
        let len = rest.find(|c| !is_name_char(c)).unwrap_or(rest.len());
        (len > 0).then(|| rest.split_at(len))
    })
}

/// The folded keys that `variable.Вставить("` and the literal of `Новый Структура("` name, but for the call at `at`.
fn inserted(text: &str, part: Range<usize>, variable: &str, at: usize) -> Vec<String> {
    let mut keys = Vec::new();
    for end in words(text, part.clone(), variable) {
        let line_end = text[end..part.end]
            .find('\n')
            .map_or(part.end, |len| end + len);
        let rest = &text[end..line_end];
        let Some(open) = rest.find("(\"") else {
            continue;
        };
        let call = &rest[..open];
        let is_insert =
            call.starts_with('.') && strip_word(call, &["вставить", "insert"]).is_some();
        let is_new = call.trim_start().starts_with('=')
            && strip_word(call, &["структура", "structure"]).is_some();
        let list = &rest[open + 2..];
        let list_at = end + open + 2;
        if (is_insert || is_new) && !(list_at..=line_end).contains(&at) {
            let list = &list[..list.find('"').unwrap_or(list.len())];
            keys.extend(list.split(',').map(|key| fold(key.trim())));
        }
    }
    keys
}

/// The methods of the module that get `variable` in this part of the text, with the number of the parameter.
fn handed_to(document: &Document, part: Range<usize>, variable: &str) -> Vec<(usize, usize)> {
    let text = document.text();
    let mut found = Vec::new();
    for end in words(text, part.clone(), variable) {
        let start = end - variable.len();
        // Back to the bracket of the call, over arguments without calls of their own.
        let line = text[..start]
            .rfind('\n')
            .map_or(0, |end| end + 1)
            .max(part.start);
        let Some(open) = text[line..start].rfind('(') else {
            continue;
        };
        let arguments = &text[line + open + 1..start];
        let is_whole = text[end..].trim_start().starts_with([',', ')']);
        let callee = last_word(text[line..line + open].trim_end());
        let is_own = !text[line..line + open]
            .trim_end()
            .trim_end_matches(is_name_char)
            .ends_with('.');
        if is_whole
            && is_own
            && !arguments.contains([')', '"'])
            && let Some(method) = document.method_named(callee)
        {
            found.push((method, arguments.matches(',').count()));
        }
    }
    found
}

/// Where the word ends, each time that it stands by itself and behind no dot.
fn words<'t>(text: &'t str, part: Range<usize>, word: &'t str) -> impl Iterator<Item = usize> + 't {
    let found = text[part.clone()].match_indices(word);
    let ends = found.map(move |(at, word)| (part.start + at, part.start + at + word.len()));
    let is_whole = move |&(start, end): &(usize, usize)| {
        !word.is_empty()
            && !text[..start].ends_with(|c: char| is_name_char(c) || c == '.')
            && !text[end..].starts_with(is_name_char)
    };
    ends.filter(is_whole).map(|(_, end)| end)
}

fn last_word(text: &str) -> &str {
    &text[text.trim_end_matches(is_name_char).len()..]
}

/// What stands before the last word, where it is one of `words`.
fn strip_word<'t>(text: &'t str, words: &[&str]) -> Option<&'t str> {
    let start = text.trim_end_matches(is_name_char).len();
    words
        .contains(&fold(&text[start..]).as_str())
        .then_some(&text[..start])
}

#[cfg(test)]
mod tests {
    use super::*;

    const CODE: &str = "Процедура А()\n\
        \tОтбор = Новый Структура(\"Склад, |\");\n\
        \tОтбор.Вставить(\"^\");\n\
        \tОтбор.Вставить(\"Цена\", 1);\n\
        \tЕсли Отбор.Количество() > 0 Тогда\n\
        \t\tБ(1, Отбор);\n\
        \t\tСообщить(Отбор.Товар + Другой.Код + Отбор.склад);\n\
        \tКонецЕсли;\n\
        КонецПроцедуры\n\n\
        Процедура Б(Число, Настройка)\n\
        \tСообщить(Настройка.Период + Настройка.Цена + Число.Знак);\n\
        КонецПроцедуры\n";

    fn check(mark: char, expected: &[&str]) {
        let at = CODE
            .replace(if mark == '|' { '^' } else { '|' }, "")
            .find(mark)
            .unwrap();
        let text = CODE.replace(['|', '^'], "");
        let document = Document::new("м.bsl", text);
        assert_eq!(keys(&document, at).unwrap_or_default(), expected, "{mark}");
    }

    #[test]
    fn keys_come_from_what_the_method_and_its_callees_ask() {
        check('|', &["Товар", "Период"]);
        check('^', &["Товар", "Период"]);
    }

    #[test]
    fn other_literals_have_no_keys() {
        for text in [
            "Процедура А()\n\tБ = Новый Массив(\"|\"); Б.В = 1;\nКонецПроцедуры",
            "Процедура А()\n\tСообщить(\"|\"); Б.В = 1;\nКонецПроцедуры",
            "Процедура А()\n\tБ = Новый Структура(\"|\");\nКонецПроцедуры",
            "Б = Новый Структура(\"|\"); Б.В = 1;",
        ] {
            let at = text.find('|').unwrap();
            let document = Document::new("м.bsl", text.replace('|', ""));
            assert_eq!(keys(&document, at), None, "{text}");
        }
    }
}
