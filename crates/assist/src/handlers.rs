//! Skeletons of handlers that a form names and its module does not have yet.
//!
//! The form's file says what is missing, so nothing is guessed: name, directive and parameters are the platform's. Called by completion at the
//! level of the module, where a method begins.

use nestor_bsl::methods;
use nestor_metadata::Metadata;
use nestor_metadata::handlers::{MissingHandler, missing_handlers};

/// Words of a skeleton in one language.
struct Words {
    at_client: &'static str,
    at_server: &'static str,
    begin: &'static str,
    end: &'static str,
}

const RUSSIAN: Words = Words {
    at_client: "&НаКлиенте",
    at_server: "&НаСервере",
    begin: "Процедура ",
    end: "КонецПроцедуры",
};

const ENGLISH: Words = Words {
    at_client: "&AtClient",
    at_server: "&AtServer",
    begin: "Procedure ",
    end: "EndProcedure",
};

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
