//! Names of projects: one folder each, so a name is never a path.

use std::fmt;
use std::str::FromStr;

use crate::error::{MemoryError, NameProblem};

const MAX_CHARS: usize = 64;

/// Names that Windows gives to devices, whatever extension follows.
const DEVICES: [&str; 4] = ["CON", "PRN", "AUX", "NUL"];

/// A checked name: letters (Latin and Cyrillic), digits, dot, dash and underscore, at most 64 characters.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ProjectName(String);

impl ProjectName {
    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A name as near to `text` as the rules allow.
#[must_use]
pub fn fitting_name(text: &str) -> String {
    let fit = |c: char| if is_allowed(c) { c } else { '_' };
    let name: String = text.chars().map(fit).take(MAX_CHARS).collect();
    let name = name.trim_matches('.');
    match problem(name) {
        None => name.to_owned(),
        Some(_) => format!("_{name}").chars().take(MAX_CHARS).collect(),
    }
}

impl FromStr for ProjectName {
    type Err = MemoryError;

    fn from_str(name: &str) -> Result<Self, MemoryError> {
        match problem(name) {
            None => Ok(Self(name.to_owned())),
            Some(reason) => Err(MemoryError::Name {
                name: name.to_owned(),
                reason,
            }),
        }
    }
}

impl fmt::Display for ProjectName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Why a name is none. Roots follow the same rules.
pub(crate) fn problem(name: &str) -> Option<NameProblem> {
    if name.is_empty() {
        return Some(NameProblem::Empty);
    }
    if let Some(c) = name.chars().find(|&c| !is_allowed(c)) {
        return Some(NameProblem::Character(c));
    }
    if name.chars().count() > MAX_CHARS {
        return Some(NameProblem::TooLong);
    }
    if name.starts_with('.') || name.ends_with('.') {
        return Some(NameProblem::Dot);
    }
    let stem = name.split('.').next().unwrap_or(name).to_ascii_uppercase();
    let numbered = |device: &str| {
        stem.strip_prefix(device)
            .is_some_and(|n| n.len() == 1 && n.as_bytes()[0].is_ascii_digit())
    };
    if DEVICES.contains(&stem.as_str()) || numbered("COM") || numbered("LPT") {
        return Some(NameProblem::Device);
    }
    None
}

fn is_allowed(c: char) -> bool {
    c.is_ascii_alphanumeric()
        || matches!(c, '.' | '-' | '_')
        || (('\u{400}'..='\u{4ff}').contains(&c) && c.is_alphabetic())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_never_a_path() {
        for name in [
            "erp",
            "ЕРП_2.5",
            "ut-11.5",
            "ё",
            "a",
            "con1",
            "х".repeat(64).as_str(),
        ] {
            assert_eq!(problem(name), None, "{name}");
        }
        for (name, expected) in [
            ("", NameProblem::Empty),
            (".", NameProblem::Dot),
            ("..", NameProblem::Dot),
            (".hidden", NameProblem::Dot),
            ("erp.", NameProblem::Dot),
            ("a/b", NameProblem::Character('/')),
            (r"a\b", NameProblem::Character('\\')),
            ("C:", NameProblem::Character(':')),
            ("a b", NameProblem::Character(' ')),
            ("a\0", NameProblem::Character('\0')),
            ("erp🙂", NameProblem::Character('🙂')),
            ("и\u{306}", NameProblem::Character('\u{306}')),
            ("nul", NameProblem::Device),
            ("Com1.erp", NameProblem::Device),
            (&"х".repeat(65), NameProblem::TooLong),
        ] {
            assert_eq!(problem(name), Some(expected), "{name}");
        }
    }

    #[test]
    fn any_text_has_a_fitting_name() {
        for (text, expected) in [
            ("cf", "cf"),
            ("Моя база 2", "Моя_база_2"),
            ("..", "_"),
            ("", "_"),
            ("nul", "_nul"),
            ("配置", "__"),
            (&"х".repeat(99), &"х".repeat(64)),
        ] {
            assert_eq!(fitting_name(text), expected);
            assert_eq!(problem(&fitting_name(text)), None);
        }
    }
}
