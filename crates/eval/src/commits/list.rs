//! The plain list of names of an editor without a model: what it would save in the lines.

use nestor_assist::Assistant;
use nestor_bsl::code_tokens::TokenClass;
use nestor_bsl::keywords::fold;
use serde::{Deserialize, Serialize};

use super::{ChangedFile, Line, chosen, tokens_of};

/// What the plain list saves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ListResult {
    /// Keys saved, as a share of all characters of the lines.
    pub list_saved: f64,
    /// Names behind a dot in the lines.
    pub list_names: usize,
    /// Of these, the ones whose receiver the metadata knows.
    pub list_known: usize,
}

/// What the plain list would save in the lines that [`super::write_again`] writes: a name is taken with one key once it is the first of those
/// that begin as it does.
#[must_use]
pub fn plain_list(assistant: &Assistant, files: &[ChangedFile], max_lines: usize) -> ListResult {
    let mut result = ListResult::default();
    let (mut chars, mut saved) = (0, 0);
    for line in chosen(files, max_lines) {
        chars += line.file.text[line.span.clone()].chars().count();
        saved += saved_in(assistant, &line, &mut result);
    }
    result.list_saved = saved as f64 / chars.max(1) as f64;
    result
}

fn saved_in(assistant: &Assistant, line: &Line<'_>, result: &mut ListResult) -> usize {
    let text = &line.file.text;
    let mut saved = 0;
    for token in tokens_of(line) {
        let name = &text[token.span.clone()];
        let start = token.span.start;
        if token.class != TokenClass::Identifier || !text[..start].ends_with('.') {
            continue;
        }
        result.list_names += 1;
        let suffix = &text[line.span.end..];
        let members = assistant.members(assistant.memory().metadata(), &line.file.path, suffix);
        let Some(member) = members.and_then(|mut members| members.member(text, start, "")) else {
            continue;
        };
        result.list_known += 1;
        let wanted = fold(name);
        let mut typed = String::new();
        for (idx, letter) in wanted.chars().enumerate() {
            if member.first_in_list(&typed) == Some(wanted.as_str()) {
                saved += (wanted.chars().count() - idx).saturating_sub(1);
                break;
            }
            typed.push(letter);
        }
    }
    saved
}
