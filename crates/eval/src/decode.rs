//! The name that a level would write at a place, and the names that code has: for counting names that nobody has.
//!
//! [`crate::evaluate()`] asks at names behind a dot. Decoding is greedy, as an editor shows it; the caller runs the network.

use std::sync::Arc;

use nestor_bsl::keywords::fold;
use nestor_bsl::lexer::{Lexer, TokenKind, is_name_char};
use rustc_hash::FxHashSet;

use crate::strict::{Mask, Masks};

/// Longest name in pieces.
const MAX_PIECES: usize = 24;

/// The likeliest token, piece by piece, to where another token begins. `first` says which pieces may begin it, `probs` gives the
/// distribution after some pieces.
pub fn decoded<E>(
    masks: &Masks,
    first: &Mask,
    mut probs: impl FnMut(&[u32]) -> Result<Arc<[f32]>, E>,
) -> Result<String, E> {
    let mut pieces: Vec<u32> = Vec::new();
    let mut text: Vec<u8> = Vec::new();
    while pieces.len() < MAX_PIECES {
        let next = probs(&pieces)?;
        let allowed = |id: usize| !pieces.is_empty() || first[id] > 0.0;
        let best = (0..next.len())
            .filter(|&id| allowed(id))
            .fold(None, |best, id| match best {
                Some(known) if next[known] >= next[id] => best,
                _ => Some(id),
            });
        let Some(best) = best else { break };
        // Within a character nothing ends.
        let last = std::str::from_utf8(&text)
            .ok()
            .and_then(|text| text.chars().next_back());
        if last.is_some_and(|last| masks.starts_after(last)[best] > 0.0) {
            break;
        }
        let piece = masks.tokenizer().piece(best as u32);
        text.extend_from_slice(piece);
        pieces.push(best as u32);
    }
    Ok(String::from_utf8_lossy(&text).trim_start().to_owned())
}

/// Names that some code has, in any case; those in strings too, where keys and queries have theirs.
#[derive(Clone, Debug, Default)]
pub struct CodeNames {
    names: FxHashSet<String>,
}

impl CodeNames {
    /// The names of a text.
    #[must_use]
    pub fn of(text: &str) -> Self {
        let mut names = Self::default();
        names.read(text);
        names
    }

    /// Adds the names of a text.
    pub fn read(&mut self, text: &str) {
        for token in Lexer::new(text) {
            match token.kind {
                TokenKind::Comment => {}
                kind if kind.is_white() => {}
                _ => {
                    let words = token.text(text).split(|c| !is_name_char(c));
                    let words = words.filter(|word| !word.is_empty());
                    self.names.extend(words.map(fold));
                }
            }
        }
    }

    /// Whether one of them is `name`.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        self.names.contains(&fold(name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_code_and_strings_in_any_case() {
        let names = CodeNames::of("А.Код = \"ВЫБРАТЬ Т.Цена\"; // Скидка\n");
        for (name, expected) in [
            ("код", true),
            ("ЦЕНА", true),
            ("Скидка", false),
            ("Ко", false),
        ] {
            assert_eq!(names.has(name), expected, "{name}");
        }
    }
}
