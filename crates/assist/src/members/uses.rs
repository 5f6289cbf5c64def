//! Which names a text has used so far: how often, where last, behind which receiver, and what followed what.
//!
//! What stands behind the place is not seen. A text that goes on is read on; of one that was edited only the last part is read again, if the
//! edit lies there. What the uses say of a name that is to come is for `marks` to say.

use std::hash::Hasher;

use nestor_bsl::keywords::fold;
use nestor_bsl::lexer::is_name_char;
use rustc_hash::{FxHashMap, FxHashSet, FxHasher};

use super::around::is_first;

/// Uses so many bytes back are near, and the same passage.
pub(super) const NEAR: usize = 300;
/// Uses so many bytes back are recent.
pub(super) const RECENT: usize = 2_000;

/// Bytes at the end of a text that an edit may change without all of it being read again.
const LOOSE: usize = 32_000;

/// The uses of a text.
#[derive(Clone, Debug, Default)]
pub(super) struct Uses {
    /// Those of the text before the byte `base_end`, which begins a line.
    base: Layer,
    base_end: usize,
    /// Those of what follows; its sums and what it repeats of the base hold for the whole text.
    recent: Layer,
}

/// The uses of a part of a text.
#[derive(Clone, Debug, Default)]
struct Layer {
    names: FxHashMap<String, Use>,
    /// By the hash of receiver and name.
    behind: FxHashMap<u64, UseBehind>,
    /// The folded name that was used last behind a receiver, by the receiver's hash.
    last_behind: FxHashMap<u64, String>,
    /// Hashes of names that stood behind dots one after another.
    pairs: FxHashSet<u64>,
    sums: Sums,
}

#[derive(Clone, Copy, Debug, Default)]
struct Sums {
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
        self.recent.read(&self.base, text, from);
    }

    /// Changes to the uses of `text`, whose first `n_same` bytes are those of the text that was read.
    pub(super) fn change_to(&mut self, text: &str, n_same: usize) {
        if n_same < self.base_end {
            *self = Self::default();
        }
        let settled = text.floor_char_boundary(text.len().saturating_sub(LOOSE));
        let settled = text[..settled].rfind('\n').map_or(0, |end| end + 1);
        if settled > self.base_end + LOOSE {
            self.base
                .read(&Layer::default(), &text[..settled], self.base_end);
            self.base_end = settled;
        }
        self.recent = Layer {
            sums: self.base.sums,
            ..Layer::default()
        };
        self.recent.read(&self.base, text, self.base_end);
    }

    /// Resident bytes, about.
    pub(super) fn bytes(&self) -> usize {
        [&self.base, &self.recent].map(Layer::bytes).iter().sum()
    }

    /// Whether the code is written in English.
    pub(super) fn is_english(&self) -> bool {
        self.recent.sums.n_latin > self.recent.sums.n_cyrillic
    }

    /// How a folded name was written last.
    pub(super) fn spelling(&self, folded: &str) -> Option<&str> {
        Some(&self.of(folded)?.spelling)
    }

    /// The last use of a name, given folded in both languages.
    pub(super) fn of_any(&self, folded: &[&str; 2]) -> Option<&Use> {
        let used = folded.iter().filter_map(|name| self.of(name));
        used.max_by_key(|used| used.last)
    }

    fn of(&self, folded: &str) -> Option<&Use> {
        let recent = self.recent.names.get(folded);
        recent.or_else(|| self.base.names.get(folded))
    }

    /// The uses of a folded name behind the receiver of that hash.
    pub(super) fn behind(&self, receiver: u64, folded: &str) -> Option<&UseBehind> {
        let key = hash(receiver, folded);
        let recent = self.recent.behind.get(&key);
        recent.or_else(|| self.base.behind.get(&key))
    }

    /// The folded name that was used last behind the receiver of that hash.
    pub(super) fn last_behind(&self, receiver: u64) -> Option<&str> {
        let recent = self.recent.last_behind.get(&receiver);
        let last = recent.or_else(|| self.base.last_behind.get(&receiver));
        last.map(String::as_str)
    }

    /// Whether a folded name once stood behind a dot as the next after the one that stood last behind one.
    pub(super) fn follows_last(&self, folded: &str) -> bool {
        let pair = hash(self.recent.sums.last_name, folded);
        self.recent.pairs.contains(&pair) || self.base.pairs.contains(&pair)
    }

    /// Methods that have begun.
    pub(super) fn n_methods(&self) -> u32 {
        self.recent.sums.n_methods
    }
}

impl Layer {
    fn read(&mut self, base: &Layer, text: &str, from: usize) {
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
            self.add(base, text, start, end);
            at = end;
        }
    }

    fn add(&mut self, base: &Layer, text: &str, start: usize, end: usize) {
        let name = &text[start..end];
        if name.starts_with(|c: char| c.is_numeric()) {
            return;
        }
        let is_cyrillic = name
            .chars()
            .any(|c| matches!(c, 'а'..='я' | 'А'..='Я' | 'ё' | 'Ё'));
        if is_cyrillic {
            self.sums.n_cyrillic += 1;
        } else {
            self.sums.n_latin += 1;
        }
        let folded = fold(name);
        match receiver(text, start) {
            Some(receiver) => {
                let key = hash(receiver, &folded);
                let earlier = || base.behind.get(&key).copied().unwrap_or_default();
                let behind = self.behind.entry(key).or_insert_with(earlier);
                behind.count += 1;
                behind.last = start;
                behind.method = self.sums.n_methods;
                let gets_value = text[end..].trim_start_matches([' ', '\t']).starts_with('=');
                if gets_value && is_first(text, start) {
                    behind.assigned_in = self.sums.n_methods;
                }
                self.last_behind.insert(receiver, folded.clone());
                self.pairs.insert(hash(self.sums.last_name, &folded));
                self.sums.last_name = hash(1, &folded);
            }
            None if matches!(
                folded.as_str(),
                "процедура" | "функция" | "procedure" | "function"
            ) =>
            {
                self.sums.n_methods += 1;
            }
            None => {}
        }
        let used = self.names.entry(folded).or_default();
        if used.spelling != name {
            name.clone_into(&mut used.spelling);
        }
        used.last = start;
    }

    fn bytes(&self) -> usize {
        let names = self.names.len() + self.last_behind.len();
        128 * names + (8 + size_of::<UseBehind>()) * self.behind.len() + 8 * self.pairs.len()
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

    #[test]
    fn a_text_that_was_edited_is_read_as_one_that_is_new() {
        let line = |n: usize| format!("\tСтрока.Код{n} = Товар{}.Цена{n}; // Код\n", n % 7);
        let method = |n: usize| {
            let lines: String = (n..n + 20).map(line).collect();
            format!("Процедура А{n}()\n{lines}КонецПроцедуры\n")
        };
        let text: String = (0..200).map(method).collect();
        assert!(text.len() > 4 * LOOSE);
        let mut kept = Uses::default();
        let mut n_same = 0;
        let ends = [
            text.len() / 2,
            text.len(),
            text.len() - 300,
            text.len() / 3,
            text.len() - 9000,
        ];
        for end in ends.map(|end| text[..end].rfind(';').unwrap()) {
            let now = format!("{}\n\tСтрока.", &text[..end]);
            kept.change_to(&now, n_same.min(end));
            n_same = end;
            let fresh = read(&now);
            for n in 0..220 {
                let (code, price) = (format!("код{n}"), format!("цена{n}"));
                let receiver = receiver("Строка.", "Строка.".len()).unwrap();
                let of = |uses: &Uses| {
                    let used = uses
                        .of_any(&[&code, &price])
                        .map(|used| (used.last, used.spelling.clone()));
                    let behind = uses.behind(receiver, &code).copied();
                    let behind =
                        behind.map(|used| (used.count, used.last, used.method, used.assigned_in));
                    (
                        used,
                        behind,
                        uses.follows_last(&price),
                        uses.follows_last(&code),
                    )
                };
                assert_eq!(of(&kept), of(&fresh), "{n} of {end}");
            }
            let of = |uses: &Uses| {
                let last = receiver("Строка.", "Строка.".len())
                    .map(|it| uses.last_behind(it).map(str::to_owned));
                (
                    last,
                    uses.n_methods(),
                    uses.is_english(),
                    uses.spelling("строка").map(str::to_owned),
                )
            };
            assert_eq!(of(&kept), of(&fresh));
        }
    }
}
