//! Names that one place of a module takes from another: parameters of a query, keys of a structure, handlers.
//!
//! `Запрос.УстановитьПараметр("` names a `&Parameter` of a query in the method and the other way round, `Структура.Свойство("` a
//! key, `Новый ОписаниеОповещения("` a method of the module, `Новый Структура("` what is asked of the structure ([`keys`](super::keys)). The text decides; these lists never claim to be whole.

use nestor_bsl::keywords::fold;
use nestor_bsl::lexer::is_name_char;
use nestor_metadata::resolve::{Candidate, Document, Resolver, ValueSort};

use super::keys::keys;

/// The names for the place `at`, which stands behind a quote or a `&`.
pub(super) fn names(
    resolver: &Resolver<'_>,
    document: &Document,
    at: usize,
) -> Option<Vec<Candidate>> {
    let text = document.text();
    let before = &text[..at];
    if let Some(found) = keys(document, at) {
        return Some(found.into_iter().map(same_in_both).collect());
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
                return non_empty(keys.collect());
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
    non_empty(found.into_iter().map(same_in_both).collect())
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
