//! Skeletons of handlers that a form names and its module does not have yet, and of methods by which an extension changes others.
//!
//! The form's file says what is missing, and the module of the base what parameters a method has, so nothing is guessed. Words and indents are
//! spelled as the module spells them. Called by completion at the level of the module, where a method begins.

use nestor_bsl::keywords::{Directive, Keyword, fold};
use nestor_bsl::methods::{Method, methods};
use nestor_metadata::handlers::{MissingHandler, missing_handlers};
use nestor_metadata::{Metadata, MethodEntry};

use crate::spelling::Spelling;

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
    let directive_above = above
        .lines()
        .next_back()
        .filter(|line| line.starts_with('&'));
    // A directive that waits for its method is not that of the next one.
    let others = directive_above.map_or(above, |directive| {
        let end = above.trim_end().len() - directive.trim_end().len();
        &above[..end]
    });
    let waits =
        |next: &Method| next.annotations.is_empty() && suffix[..next.span.start].trim().is_empty();
    // But where nothing is begun and the next method lacks one.
    if directive_above.is_some() && line.is_empty() && methods(suffix).first().is_some_and(waits) {
        return None;
    }
    let known = methods(&format!("{others}{suffix}"));
    let others_end = others.trim_end().len();
    let is_around =
        |method: &Method| method.span.start < others_end && others_end < method.span.end;
    if known.iter().any(is_around) {
        return None;
    }
    let missing = missing_handlers(view, path, &known);
    let begun = if line.is_empty() {
        directive_above.unwrap_or_default()
    } else {
        line
    };
    let spelling = Spelling::of(&text).behind(begun);
    let fitting = missing.iter().find_map(|handler| {
        let directive = if handler.at_server {
            Directive::AtServer
        } else {
            Directive::AtClient
        };
        let is_another =
            |above: &str| Directive::find(above.trim_start_matches('&').trim()) != Some(directive);
        if directive_above.is_some_and(is_another) {
            return None;
        }
        let whole = whole(handler, &spelling);
        let head = if directive_above.is_some() {
            String::new()
        } else {
            format!("{}\n", spelling.directive(directive))
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
    let is_around = match Directive::find(change)? {
        Directive::Around => true,
        Directive::Before | Directive::After => false,
        // A copy of the whole method must stand there.
        _ => return None,
    };
    if rest.trim() != ")" {
        return None;
    }
    let spelling = Spelling::of(text).behind(change);
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
    let named: Vec<&str> = params.iter().map(|p| metadata.name(p.name)).collect();
    // Whoever calls the method may leave out what it has a value for.
    let declared: Vec<String> = params
        .iter()
        .map(|param| {
            let mut declared = metadata.name(param.name).to_owned();
            if param.by_value {
                declared = format!("{} {declared}", spelling.keyword(Keyword::Val));
            }
            match metadata.name(param.default) {
                "" => declared,
                value => format!("{declared} = {value}"),
            }
        })
        .collect();
    let call = if is_around {
        let proceed = spelling.pick("ПродолжитьВызов", "ProceedWithCall");
        let call = format!("{proceed}({});", named.join(", "));
        if base.is_function {
            format!("{} {call}", spelling.keyword(Keyword::Return))
        } else {
            call
        }
    } else {
        String::new()
    };
    let header = format!("{own}({})", declared.join(", "));
    Some(method(base.is_function, &header, &call, &spelling))
}

fn whole(handler: &MissingHandler, spelling: &Spelling) -> String {
    let params: Vec<&str> = handler
        .params
        .iter()
        .map(|(russian, english)| spelling.pick(russian, english))
        .collect();
    let header = format!("{}({})", handler.name, params.join(", "));
    method(false, &header, "", spelling)
}

/// A method with one line in it.
fn method(is_function: bool, header: &str, line: &str, spelling: &Spelling) -> String {
    let (begin, end) = if is_function {
        (Keyword::Function, Keyword::EndFunction)
    } else {
        (Keyword::Procedure, Keyword::EndProcedure)
    };
    format!(
        "{} {header}\n{}{line}\n{}",
        spelling.keyword(begin),
        spelling.indent,
        spelling.keyword(end)
    )
}
