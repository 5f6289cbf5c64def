//! Skeletons of handlers that a form names and its module does not have yet, and of methods by which an extension changes others.
//!
//! The form's file says what is missing, and the module of the base what parameters a method has, so nothing is guessed. Called by completion at
//! the level of the module, where a method begins.

use nestor_bsl::keywords::fold;
use nestor_bsl::methods;
use nestor_metadata::handlers::{MissingHandler, missing_handlers};
use nestor_metadata::{Metadata, MethodEntry};

/// Words of a skeleton in one language.
struct Words {
    at_client: &'static str,
    at_server: &'static str,
    begin: &'static str,
    end: &'static str,
    begin_function: &'static str,
    end_function: &'static str,
    by_value: &'static str,
    returns: &'static str,
    proceed: &'static str,
}

const RUSSIAN: Words = Words {
    at_client: "&НаКлиенте",
    at_server: "&НаСервере",
    begin: "Процедура ",
    end: "КонецПроцедуры",
    begin_function: "Функция ",
    end_function: "КонецФункции",
    by_value: "Знач ",
    returns: "Возврат ",
    proceed: "ПродолжитьВызов",
};

const ENGLISH: Words = Words {
    at_client: "&AtClient",
    at_server: "&AtServer",
    begin: "Procedure ",
    end: "EndProcedure",
    begin_function: "Function ",
    end_function: "EndFunction",
    by_value: "Val ",
    returns: "Return ",
    proceed: "ProceedWithCall",
};

/// What stands before the names of an extension's methods where it has none yet: the platform's own suggestion.
const OWN_PREFIX: &str = "Расш1_";

/// What completes the place between `prefix` and `suffix` of the form module at `path`: the rest of the skeleton of the first handler that is
/// missing and fits what is typed. `None` anywhere but on a line between methods that is empty or begins a procedure.
pub(crate) fn skeleton(
    metadata: &Metadata,
    path: &str,
    prefix: &str,
    suffix: &str,
) -> Option<String> {
    let line_start = prefix.rfind('\n').map_or(0, |end| end + 1);
    let (above, line) = prefix.split_at(line_start);
    let rest_of_line = suffix.split('\n').next().unwrap_or_default();
    if !rest_of_line.trim().is_empty() || line.starts_with([' ', '\t']) {
        return None;
    }
    let view = metadata.view_of_path(path)?;
    // The line itself may be half a header.
    let text = format!("{above}{suffix}");
    if let Some(whole) = changed_method(metadata, path, above, &text) {
        let rest = whole.strip_prefix(line.trim_end_matches('\r'))?;
        return (!rest.is_empty()).then(|| rest.to_owned());
    }
    let known = methods(&text);
    if known.iter().any(|method| {
        method.span.start < above.trim_end().len() && above.trim_end().len() < method.span.end
    }) {
        return None;
    }
    let missing = missing_handlers(view, path, &known);
    let is_english = text.contains("EndProcedure") || line.starts_with('P');
    let words = if is_english { &ENGLISH } else { &RUSSIAN };
    let directive_above = above
        .lines()
        .next_back()
        .filter(|line| line.starts_with('&'));
    let fitting = missing.iter().find_map(|handler| {
        let directive = if handler.at_server {
            words.at_server
        } else {
            words.at_client
        };
        if directive_above.is_some_and(|above| above.trim_end() != directive) {
            return None;
        }
        let whole = whole(handler, words, is_english);
        let head = if directive_above.is_some() {
            String::new()
        } else {
            format!("{directive}\n")
        };
        let all = format!("{head}{whole}");
        // A header that is typed without its directive above is not ours to mend.
        let typed = line.trim_end_matches(['\r']);
        all.strip_prefix(typed)
            .or_else(|| whole.strip_prefix(typed).filter(|_| !typed.is_empty()))
            .map(str::to_owned)
    });
    fitting.filter(|rest| !rest.is_empty())
}

/// The method below an annotation `&Вместо("Имя")`, `&Перед` or `&После`, as the extended module's method asks for it: its parameters, and under
/// `&Вместо` the call that goes on with it. Nothing where `text` has the method already.
fn changed_method(metadata: &Metadata, path: &str, above: &str, text: &str) -> Option<String> {
    let annotation = above.lines().next_back()?.trim_end().strip_prefix('&')?;
    let (change, rest) = annotation.split_once("(\"")?;
    let (name, rest) = rest.split_once('"')?;
    let (is_english, is_around) = match fold(change).as_str() {
        "вместо" => (false, true),
        "around" => (true, true),
        "перед" | "после" => (false, false),
        "before" | "after" => (true, false),
        // A copy of the whole method must stand there.
        _ => return None,
    };
    if rest.trim() != ")" {
        return None;
    }
    let words = if is_english { &ENGLISH } else { &RUSSIAN };
    let bases = metadata.base_methods(path);
    let same = |base: &MethodEntry| fold(metadata.name(base.name)) == fold(name);
    let (_, base) = bases.into_iter().find(|(_, base)| same(base))?;
    // A function cannot be gone before or behind.
    if base.is_function && !is_around {
        return None;
    }
    let prefix = metadata.method_prefix(path).unwrap_or(OWN_PREFIX);
    let own = format!("{prefix}{}", metadata.name(base.name));
    if methods(text)
        .iter()
        .any(|method| fold(&method.name) == fold(&own))
    {
        return None;
    }
    let params = metadata.params(base);
    let named = |with_value: bool| -> String {
        let names = params.iter().map(|param| {
            let by_value = if with_value && param.by_value {
                words.by_value
            } else {
                ""
            };
            format!("{by_value}{}", metadata.name(param.name))
        });
        names.collect::<Vec<_>>().join(", ")
    };
    let (begin, end, returns) = if base.is_function {
        (words.begin_function, words.end_function, words.returns)
    } else {
        (words.begin, words.end, "")
    };
    let call = if is_around {
        format!("{returns}{}({});", words.proceed, named(false))
    } else {
        String::new()
    };
    Some(format!("{begin}{own}({})\n\t{call}\n{end}", named(true)))
}

fn whole(handler: &MissingHandler, words: &Words, is_english: bool) -> String {
    let params: Vec<&str> = handler
        .params
        .iter()
        .map(|(russian, english)| if is_english { *english } else { *russian })
        .collect();
    format!(
        "{}{}({})\n\t\n{}",
        words.begin,
        handler.name,
        params.join(", "),
        words.end
    )
}
