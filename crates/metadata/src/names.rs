//! Interned names, compared the way BSL compares them: case does not matter.
//!
//! Everything in the model that has a name holds a [`NameId`]. Spellings that differ in case only have ids of their
//! own (a list shows the name as it was written) and one *key*, the id of the spelling that came first. Lookups go
//! through keys. The table only grows; it must not know what its names mean.

use std::hash::{Hash, Hasher};

use hashbrown::HashTable;
use rustc_hash::FxHasher;

/// An interned spelling.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NameId(pub(crate) u32);

/// What all spellings of a name share: the id of the first one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NameKey(pub(crate) u32);

/// The table of names.
#[derive(Debug, Clone, Default)]
pub struct Names {
    /// All spellings, one after the other.
    text: String,
    /// Where the spelling of each id ends.
    ends: Vec<u32>,
    /// The key of each id.
    keys: Vec<NameKey>,
    /// The next spelling with the same key.
    next: Vec<u32>,
    /// The first spelling of each name, by the hash of its folded letters.
    first: HashTable<u32>,
}

const NONE: u32 = u32::MAX;

impl Names {
    /// The id of the spelling `name`, new or old.
    pub fn intern(&mut self, name: &str) -> NameId {
        let key = self.find(name);
        let mut last = None;
        let mut at = key.map(|key| key.0);
        while let Some(id) = at {
            if self.spelling(id) == name {
                return NameId(id);
            }
            last = Some(id);
            at = Some(self.next[id as usize]).filter(|&next| next != NONE);
        }
        let id = u32::try_from(self.ends.len()).expect("fewer than 4 billion names");
        self.text.push_str(name);
        self.ends
            .push(u32::try_from(self.text.len()).expect("less than 4 GB of names"));
        self.keys.push(key.unwrap_or(NameKey(id)));
        self.next.push(NONE);
        match last {
            Some(last) => self.next[last as usize] = id,
            None => {
                let Names {
                    text, ends, first, ..
                } = self;
                first.insert_unique(hash(name), id, |&id| hash(spelling(text, ends, id)));
            }
        }
        NameId(id)
    }

    /// The key of the name that `name` spells in any case; `None` when nothing has that name.
    pub fn find(&self, name: &str) -> Option<NameKey> {
        self.first
            .find(hash(name), |&id| same(self.spelling(id), name))
            .map(|&id| NameKey(id))
    }

    /// The spelling.
    pub fn get(&self, name: NameId) -> &str {
        self.spelling(name.0)
    }

    /// What the name is compared by.
    pub fn key(&self, name: NameId) -> NameKey {
        self.keys[name.0 as usize]
    }

    /// The first spelling of a name.
    pub fn of_key(&self, key: NameKey) -> &str {
        self.spelling(key.0)
    }

    /// How many spellings there are.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// Bytes held in memory, about.
    pub fn heap_bytes(&self) -> usize {
        self.text.capacity()
            + (self.ends.capacity() + self.keys.capacity() + self.next.capacity()) * 4
            + self.first.capacity() * 5
    }

    fn spelling(&self, id: u32) -> &str {
        spelling(&self.text, &self.ends, id)
    }
}

fn spelling<'a>(text: &'a str, ends: &[u32], id: u32) -> &'a str {
    let id = id as usize;
    let start = if id == 0 { 0 } else { ends[id - 1] as usize };
    &text[start..ends[id] as usize]
}

/// Whether two spellings are one name.
pub fn same(left: &str, right: &str) -> bool {
    let (mut lefts, mut rights) = (left.chars(), right.chars());
    loop {
        match (lefts.next(), rights.next()) {
            (None, None) => return true,
            (Some(left), Some(right)) if left == right => {}
            (Some(one), Some(other)) => match (simple_fold(one), simple_fold(other)) {
                (Some(one), Some(other)) if one == other => {}
                (Some(_), Some(_)) => return false,
                _ => return folded(left).eq(folded(right)),
            },
            // No letter folds to nothing.
            _ => return false,
        }
    }
}

fn hash(name: &str) -> u64 {
    let mut hasher = FxHasher::default();
    for c in folded(name) {
        c.hash(&mut hasher);
    }
    hasher.finish()
}

fn folded(name: &str) -> impl Iterator<Item = char> {
    name.chars().flat_map(fold)
}

fn fold(c: char) -> impl Iterator<Item = char> {
    let simple = simple_fold(c);
    let other = if simple.is_none() {
        Some(c.to_lowercase())
    } else {
        None
    };
    simple.into_iter().chain(other.into_iter().flatten())
}

/// The lower case of a Latin or Russian letter, which needs no search in a table; itself for other ASCII.
fn simple_fold(c: char) -> Option<char> {
    match c {
        // Russian letters but Ё lie 32 apart.
        'А'..='Я' => char::from_u32(c as u32 + 32),
        'а'..='я' => Some(c),
        '\0'..='\x7f' => Some(c.to_ascii_lowercase()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn spellings_share_a_key() {
        let mut names = Names::default();
        let first = names.intern("Номенклатура");
        let other = names.intern("НОМЕНКЛАТУРА");
        assert_ne!(first, other);
        assert_eq!(names.key(first), names.key(other));
        assert_eq!(names.get(other), "НОМЕНКЛАТУРА");
        assert_eq!(names.find("номенклатурА"), Some(names.key(first)));
        assert_eq!(names.of_key(names.key(other)), "Номенклатура");
        assert_eq!(names.intern("НОМЕНКЛАТУРА"), other);
        assert_eq!(names.find("Товары"), None);
        assert!(same("Ёлка_ID", "ёЛКА_id") && !same("Елка", "Ёлка"));
    }

    proptest! {
        #[test]
        fn names_compare_like_their_lower_case(words in prop::collection::vec("[а-яА-ЯёЁa-zA-Z_0-9İẞ🙂]{0,4}", 0..40)) {
            let mut names = Names::default();
            let ids: Vec<NameId> = words.iter().map(|word| names.intern(word)).collect();
            for (idx, word) in words.iter().enumerate() {
                prop_assert_eq!(names.get(ids[idx]), word);
                for (other_idx, other) in words.iter().enumerate() {
                    let is_same = word.to_lowercase() == other.to_lowercase();
                    // `to_lowercase` of a whole word treats a final Σ by itself; BSL names have none.
                    prop_assert_eq!(names.key(ids[idx]) == names.key(ids[other_idx]), is_same);
                    prop_assert_eq!(same(word, other), is_same);
                }
            }
        }
    }
}
