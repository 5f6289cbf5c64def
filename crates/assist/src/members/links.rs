//! Names that one place of a module takes from another: parameters of a query, keys of a structure, handlers.
//!
//! `Запрос.УстановитьПараметр("` names a `&Parameter` of a query in the method and the other way round, `Структура.Свойство("` a
//! key, `Новый ОписаниеОповещения("` a method of the module, `Новый Структура("` what is asked of the structure ([`keys`](super::keys)), `&Вместо("` and its kin a method of the module that is extended, `КАК` in a
//! query what its result is asked for below. The text decides; only the methods of an extended module
//! claim to be all that there are.

use nestor_bsl::keywords::fold;
use nestor_bsl::lexer::is_name_char;
use nestor_metadata::Metadata;
use nestor_metadata::resolve::{Candidate, Document, Resolver, ValueSort};

use super::keys::{asked_of, keys};

/// What an extension does to a method, as its annotations say it.
const CHANGES: [&str; 8] = [
    "перед",
    "before",
    "после",
    "after",
    "вместо",
    "around",
    "изменениеиконтроль",
    "changeandvalidate",
];

/// Methods that make a result of a query to be read.
const READS: [&str; 4] = [".Выбрать(", ".Выгрузить(", ".Select(", ".Unload("];

/// Where a column's name begins with its space, if the text ends, at `at`, behind `КАК` in a literal or in the name behind it.
pub(super) fn alias_start(text: &str, at: usize) -> Option<usize> {
    let at = text.floor_char_boundary(at);
    let before = &text[..at];
    let line = &before[before.rfind('\n').map_or(0, |end| end + 1)..];
    // A query's line, or a literal that is still open in this one.
    if !line.trim_start().starts_with('|') && line.matches('"').count().is_multiple_of(2) {
        return None;
    }
    let is_as = |text: &str| {
        let word = &text[text.trim_end_matches(is_name_char).len()..];
        matches!(fold(word).as_str(), "как" | "as")
    };
    if is_as(before) {
        return Some(at);
    }
    let word = before.trim_end_matches(is_name_char);
    let space = word.strip_suffix(' ')?;
    is_as(space).then_some(space.len())
}

/// What the results that the method reads below `at` are asked for, and no column of its queries is called yet.
pub(super) fn columns(document: &Document, at: usize) -> Option<Vec<Candidate>> {
    let span = document.methods()[document.method_at(at)?].span.clone();
    let (text, method) = (document.text(), &document.text()[span.clone()]);
    let below = at..span.end;
    let mut known: Vec<String> = Vec::new();
    for word in ["КАК ", "AS "] {
        for (place, _) in method.match_indices(word) {
            known.push(fold(name_at(method, place + word.len())));
        }
    }
    let mut found = Vec::new();
    let mut results: Vec<&str> = Vec::new();
    for line in text[below.clone()].lines() {
        let variable = match line.split_once('=') {
            Some((left, right)) if READS.iter().any(|read| right.contains(read)) => left.trim(),
            _ => loop_over(line, &results).unwrap_or_default(),
        };
        let is_name = !variable.is_empty() && variable.chars().all(is_name_char);
        if is_name && !results.contains(&variable) {
            results.push(variable);
            for name in asked_of(text, below.clone(), variable) {
                if !known.contains(&fold(name)) {
                    known.push(fold(name));
                    found.push(same_in_both(name.to_owned()));
                }
            }
        }
    }
    non_empty(found)
}

/// The variable of `Для Каждого Строка Из Таблица Цикл`, where the table is one of `tables`.
fn loop_over<'t>(line: &'t str, tables: &[&str]) -> Option<&'t str> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let [first, each, variable, of, table, ..] = words.as_slice() else {
        return None;
    };
    let is_loop = matches!(fold(first).as_str(), "для" | "for")
        && matches!(fold(each).as_str(), "каждого" | "each")
        && matches!(fold(of).as_str(), "из" | "in");
    let is_table = tables.iter().any(|known| fold(known) == fold(table));
    (is_loop && is_table).then_some(*variable)
}

/// The name that begins at a byte; empty where none does.
fn name_at(text: &str, at: usize) -> &str {
    let rest = &text[at..];
    &rest[..rest.find(|c| !is_name_char(c)).unwrap_or(rest.len())]
}

/// The names for the place `at`, which stands behind a quote or a `&`, and whether others may stand there too.
pub(super) fn names(
    metadata: &Metadata,
    resolver: &Resolver<'_>,
    document: &Document,
    at: usize,
) -> Option<(Vec<Candidate>, bool)> {
    let text = document.text();
    let before = &text[..at];
    if let Some(found) = keys(document, at) {
        return Some((found.into_iter().map(same_in_both).collect(), true));
    }
    let found = if before.ends_with('&') {
        let line = before.rfind('\n').map_or(0, |end| end + 1);
        // A directive stands first in its line, a parameter inside a literal.
        if before[line..at - 1].trim().is_empty() {
            return None;
        }
        query_parameters(method_around(document, at), at)
    } else {
        let call = before
            .strip_suffix('"')?
            .trim_end()
            .strip_suffix('(')?
            .trim_end();
        let start = call.trim_end_matches(is_name_char).len();
        let (head, name) = call.split_at(start);
        match fold(name).as_str() {
            "установитьпараметр" | "setparameter" if head.ends_with('.') => {
                query_parameters(method_around(document, at), at)
            }
            "свойство" | "property" if head.ends_with('.') => {
                let keys = resolver.at(start)?;
                let keys = keys.candidates.into_iter().filter(|key| !key.is_method);
                return Some((non_empty(keys.collect())?, true));
            }
            change if head.ends_with('&') && CHANGES.contains(&change) => {
                let methods = metadata.base_methods(document.path());
                // A function cannot be gone before or behind.
                let is_any = !matches!(change, "перед" | "before" | "после" | "after");
                let methods = methods
                    .iter()
                    .filter(|(_, base)| is_any || !base.is_function);
                let names = methods.map(|(_, base)| metadata.name(base.name));
                let is_free = |name: &&str| !text.contains(&format!("(\"{name}\")"));
                let names = names.filter(is_free).map(|name| Candidate {
                    is_method: true,
                    ..same_in_both(name.to_owned())
                });
                return Some((non_empty(names.collect())?, false));
            }
            "описаниеоповещения" | "notifydescription" => {
                let methods = document.methods().iter();
                methods
                    .filter(|method| method.is_export && !method.params.is_empty())
                    .map(|method| method.name.clone())
                    .collect()
            }
            _ => return None,
        }
    };
    let found = non_empty(found.into_iter().map(same_in_both).collect())?;
    Some((found, true))
}

fn non_empty(candidates: Vec<Candidate>) -> Option<Vec<Candidate>> {
    (!candidates.is_empty()).then_some(candidates)
}

fn same_in_both(name: String) -> Candidate {
    Candidate {
        russian: name.clone(),
        english: name,
        is_method: false,
        sort: ValueSort::Unknown,
    }
}

/// The text of the method around `at`, with the byte at which it starts.
fn method_around(document: &Document, at: usize) -> (&str, usize) {
    let span = match document.method_at(at) {
        Some(idx) => document.methods()[idx].span.clone(),
        None => 0..document.text().len(),
    };
    (&document.text()[span.clone()], span.start)
}

/// What the method calls parameters of queries, each once: names behind `&` in literals and in `УстановитьПараметр`. What is
/// being typed at `at` is none.
fn query_parameters((method, start): (&str, usize), at: usize) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    let mut add = |from: usize| {
        let rest = &method[from..];
        let len = rest.find(|c| !is_name_char(c)).unwrap_or(rest.len());
        let name = &rest[..len];
        if len > 0 && start + from != at && names.iter().all(|known| fold(known) != fold(name)) {
            names.push(name.to_owned());
        }
    };
    for (place, _) in method.match_indices('&') {
        let line = method[..place].rfind('\n').map_or(0, |end| end + 1);
        if !method[line..place].trim().is_empty() {
            add(place + 1);
        }
    }
    for call in ["УстановитьПараметр(\"", "SetParameter(\""] {
        for (place, _) in method.match_indices(call) {
            add(place + call.len());
        }
    }
    names
}
