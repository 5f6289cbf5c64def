//! Which names a text has used so far: how often, where last, behind which receiver, and what followed what.
//!
//! The text only grows; what stands behind the place is not seen. What the uses say of a name that is to come is for `marks` to say.

use std::hash::Hasher;

use nestor_bsl::keywords::fold;
use nestor_bsl::lexer::is_name_char;
use rustc_hash::{FxHashMap, FxHashSet, FxHasher};

use super::around::is_first;

/// Uses so many bytes back are near, and the same passage.
pub(super) const NEAR: usize = 300;
/// Uses so many bytes back are recent.
pub(super) const RECENT: usize = 2_000;

/// The uses of a text that only grows.
#[derive(Clone, Debug, Default)]
pub(super) struct Uses {
    names: FxHashMap<String, Use>,
    /// By the hash of receiver and name.
    behind: FxHashMap<u64, UseBehind>,
    /// The folded name that was used last behind a receiver, by the receiver's hash.
    last_behind: FxHashMap<u64, String>,
    /// Hashes of names that stood behind dots one after another.
    pairs: FxHashSet<u64>,
    /// The hash of the name that stood last behind a dot.
    last_name: u64,
    /// Methods that have begun.
    n_methods: u32,
    n_cyrillic: usize,
    n_latin: usize,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Use {
    spelling: String,
    pub(super) last: usize,
}

#[derive(Clone, Copy, Debug, Default)]
pub(super) struct UseBehind {
    pub(super) count: u32,
    pub(super) last: usize,
    /// The method of the last use, and of the last time that it got a value; methods count from 1.
    pub(super) method: u32,
    pub(super) assigned_in: u32,
}

impl Uses {
    /// Takes in what follows the byte `from` of `text`, whose beginning it has read. The new text begins and ends between names.
    pub(super) fn read(&mut self, text: &str, from: usize) {
        let mut at = from;
        while let Some(len) = text[at..].find(is_name_char) {
            let start = at + len;
            let line_end = text[at..start].rfind('\n').map_or(at, |end| at + end + 1);
            if text[line_end..start].contains("//") {
                let rest = &text[start..];
                at = start + rest.find('\n').unwrap_or(rest.len());
                continue;
            }
            let tail = &text[start..];
            let end = start + tail.find(|c| !is_name_char(c)).unwrap_or(tail.len());
            self.add(text, start, end);
            at = end;
        }
    }

    fn add(&mut self, text: &str, start: usize, end: usize) {
        let name = &text[start..end];
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
        let folded = fold(name);
        match receiver(text, start) {
            Some(receiver) => {
                let key = hash(receiver, &folded);
                let behind = self.behind.entry(key).or_default();
                behind.count += 1;
                behind.last = start;
                behind.method = self.n_methods;
                let gets_value = text[end..].trim_start_matches([' ', '\t']).starts_with('=');
                if gets_value && is_first(text, start) {
                    behind.assigned_in = self.n_methods;
                }
                self.last_behind.insert(receiver, folded.clone());
                self.pairs.insert(hash(self.last_name, &folded));
                self.last_name = hash(1, &folded);
            }
            None if matches!(
                folded.as_str(),
                "процедура" | "функция" | "procedure" | "function"
            ) =>
            {
                self.n_methods += 1;
            }
            None => {}
        }
        let used = self.names.entry(folded).or_default();
        if used.spelling != name {
            name.clone_into(&mut used.spelling);
        }
        used.last = start;
    }

    /// Whether the code is written in English.
    pub(super) fn is_english(&self) -> bool {
        self.n_latin > self.n_cyrillic
    }

    /// How a folded name was written last.
    pub(super) fn spelling(&self, folded: &str) -> Option<&str> {
        Some(&self.names.get(folded)?.spelling)
    }

    /// The last use of a name, given folded in both languages.
    pub(super) fn of_any(&self, folded: &[&str; 2]) -> Option<&Use> {
        let used = folded.iter().filter_map(|name| self.names.get(*name));
        used.max_by_key(|used| used.last)
    }

    /// The uses of a folded name behind the receiver of that hash.
    pub(super) fn behind(&self, receiver: u64, folded: &str) -> Option<&UseBehind> {
        self.behind.get(&hash(receiver, folded))
    }

    /// The folded name that was used last behind the receiver of that hash.
    pub(super) fn last_behind(&self, receiver: u64) -> Option<&str> {
        self.last_behind.get(&receiver).map(String::as_str)
    }

    /// Whether a folded name once stood behind a dot as the next after the one that stood last behind one.
    pub(super) fn follows_last(&self, folded: &str) -> bool {
        self.pairs.contains(&hash(self.last_name, folded))
    }

    /// Methods that have begun.
    pub(super) fn n_methods(&self) -> u32 {
        self.n_methods
    }
}

/// The hash of the word before the dot that a name at `start` stands behind.
pub(super) fn receiver(text: &str, start: usize) -> Option<u64> {
    let before = text[..start].strip_suffix('.')?;
    let word = &before[before.trim_end_matches(is_name_char).len()..];
    Some(hash(0, &fold(word)))
}

pub(super) fn hash(receiver: u64, name: &str) -> u64 {
    let mut hasher = FxHasher::default();
    hasher.write_u64(receiver);
    hasher.write(name.as_bytes());
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Uses {
        let mut uses = Uses::default();
        uses.read(text, 0);
        uses
    }

    #[test]
    fn names_count_outside_of_comments_and_keep_their_last_spelling() {
        let text = "\t// Склад Склад\n\tТовар = товар + 1;\nСтрока.ТОВАР";
        let mut uses = read(text);
        assert_eq!(uses.spelling("товар"), Some("ТОВАР"));
        assert_eq!(uses.spelling("склад"), None);
        assert!(!uses.is_english());
        let more =
            format!("{text} If Value = Undefined Then Return Value; Else Return Value; EndIf;");
        uses.read(&more, text.len());
        assert!(uses.is_english());
    }

    #[test]
    fn what_stood_behind_a_receiver_is_known_with_its_method() {
        let uses = read("Процедура А()\n\tБ.Код = 1;\nПроцедура В()\n\tГ = Б.Код + Б.Цена + Б.Код");
        let receiver = receiver("Б.", "Б.".len()).unwrap();
        let code = uses.behind(receiver, "код").unwrap();
        assert_eq!((code.count, code.assigned_in, code.method), (3, 1, 2));
        assert_eq!(uses.last_behind(receiver), Some("код"));
        assert!(uses.follows_last("цена") && !uses.follows_last("сумма"));
    }

    #[test]
    fn reading_in_parts_is_reading_at_once() {
        let text = "Процедура А()\n\tСтрока.Код = Товар.Код;\n\tСтрока.Цена = Строка.";
        let whole = read(text);
        let mut parts = Uses::default();
        let cut = text.find("Код").unwrap();
        parts.read(&text[..cut], 0);
        parts.read(text, cut);
        assert_eq!(format!("{parts:?}"), format!("{whole:?}"));
    }
}
