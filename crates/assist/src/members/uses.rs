//! The names that a text has used so far: how often, where last, in which spelling and language.

use nestor_bsl::keywords::fold;
use nestor_bsl::lexer::is_name_char;
use rustc_hash::FxHashMap;

/// A use so many bytes back is recent.
const RECENT: usize = 2_000;

/// More uses than this say no more.
const MOST_USES: u32 = 8;

/// The uses of a text that only grows.
#[derive(Clone, Debug, Default)]
pub(super) struct Uses {
    names: FxHashMap<String, Use>,
    n_bytes: usize,
    n_cyrillic: usize,
    n_latin: usize,
}

#[derive(Clone, Debug)]
struct Use {
    spelling: String,
    count: u32,
    last: usize,
}

/// What the uses of one name say.
pub(super) struct Used<'a> {
    /// As it was written last; `None` where it was not used.
    pub(super) spelling: Option<&'a str>,
    /// How many times more it counts than a name that was not used.
    pub(super) factor: f32,
}

impl Uses {
    /// Takes in the text that follows. It begins and ends between names.
    pub(super) fn read(&mut self, text: &str) {
        let mut rest = text;
        while let Some(start) = rest.find(is_name_char) {
            let line_end = rest[..start].rfind('\n').map_or(0, |at| at + 1);
            let is_comment = rest[line_end..start].contains("//");
            if is_comment {
                let end = rest[start..].find('\n').map_or(rest.len(), |at| start + at);
                rest = &rest[end..];
                continue;
            }
            let tail = &rest[start..];
            let len = tail.find(|c| !is_name_char(c)).unwrap_or(tail.len());
            let at = self.n_bytes + (text.len() - rest.len()) + start;
            self.add(&tail[..len], at);
            rest = &tail[len..];
        }
        self.n_bytes += text.len();
    }

    fn add(&mut self, name: &str, at: usize) {
        if name.starts_with(|c: char| c.is_numeric()) {
            return;
        }
        let is_cyrillic = name
            .chars()
            .any(|c| matches!(c, 'а'..='я' | 'А'..='Я' | 'ё' | 'Ё'));
        if is_cyrillic {
            self.n_cyrillic += 1;
        } else {
            self.n_latin += 1;
        }
        let used = self.names.entry(fold(name)).or_insert_with(|| Use {
            spelling: String::new(),
            count: 0,
            last: 0,
        });
        if used.spelling != name {
            name.clone_into(&mut used.spelling);
        }
        used.count += 1;
        used.last = at;
    }

    /// Whether the code is written in English.
    pub(super) fn is_english(&self) -> bool {
        self.n_latin > self.n_cyrillic
    }

    /// What the uses of a folded name say at the byte `at`.
    pub(super) fn of(&self, folded: &str, at: usize) -> Used<'_> {
        let Some(used) = self.names.get(folded) else {
            return Used {
                spelling: None,
                factor: 1.0,
            };
        };
        let recent = if at.saturating_sub(used.last) <= RECENT {
            3.0
        } else {
            1.0
        };
        Used {
            spelling: Some(&used.spelling),
            factor: 1.0 + 3.0 * used.count.min(MOST_USES) as f32 * recent,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_count_outside_of_comments_and_keep_their_last_spelling() {
        let mut uses = Uses::default();
        uses.read("\t// Товар Товар\n\tТовар = товар + 1;\n");
        uses.read("Строка.ТОВАР");
        let at = uses.n_bytes;
        let used = uses.of("товар", at);
        assert_eq!(used.spelling, Some("ТОВАР"));
        assert_eq!(used.factor, 1.0 + 3.0 * 3.0 * 3.0);
        assert_eq!(uses.of("товар", at + 10_000).factor, 1.0 + 3.0 * 3.0);
        assert_eq!(uses.of("склад", at).factor, 1.0);
        assert!(!uses.is_english());
        uses.read("If Value = Undefined Then Return Value; EndIf;");
        assert!(uses.is_english());
    }
}
