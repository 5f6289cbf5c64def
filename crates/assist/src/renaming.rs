//! A project under other names, so that a model which was trained on it does not know it by heart.
//!
//! Words of identifiers change places with others of like frequency, the same word everywhere: in code, in XML and in paths, so
//! that what the metadata says of the code stays true. Only Cyrillic words do, since Latin ones are those of XML itself too; words
//! of the platform, keywords and the most frequent words stay. Called when the gates of candidates are fitted; it knows no models.

use std::ops::Range;

use nestor_bsl::keywords::{Keyword, QueryKeyword, fold};
use nestor_metadata::{Facet, ObjectKind, PlatformType};
use rustc_hash::{FxHashMap, FxHashSet};

/// The most frequent words, which stay: mostly names of the platform that its table lacks.
const KEPT_WORDS: usize = 250;
/// Rarer words are as good as renamed.
const MIN_COUNT: usize = 3;
/// Letters of a word at least; shorter ones are prepositions and abbreviations.
const MIN_LETTERS: usize = 3;
/// Neighbours in frequency that change places.
const BUCKET: usize = 48;

/// New words for old ones, both folded.
#[derive(Clone, Debug, Default)]
pub struct Renaming {
    new: FxHashMap<String, String>,
}

impl Renaming {
    /// A renaming of the words that the code of a project uses; the same texts and seed give the same one.
    pub fn of<'t>(texts: impl IntoIterator<Item = &'t str>, seed: u64) -> Self {
        let mut counts: FxHashMap<String, usize> = FxHashMap::default();
        for text in texts {
            for word in words(text) {
                let word = &text[word];
                if is_cyrillic(word) && word.chars().count() >= MIN_LETTERS {
                    *counts.entry(fold(word)).or_default() += 1;
                }
            }
        }
        let kept = words_of_platform();
        let mut found: Vec<(String, usize)> = counts.into_iter().collect();
        found.sort_by(|left, right| right.1.cmp(&left.1).then_with(|| left.0.cmp(&right.0)));
        let free: Vec<String> = found
            .into_iter()
            .skip(KEPT_WORDS)
            .filter(|(word, count)| *count >= MIN_COUNT && !kept.contains(word))
            .map(|(word, _)| word)
            .collect();
        let mut random = Random(seed);
        let mut new = FxHashMap::default();
        for bucket in free.chunks(BUCKET) {
            let mut order: Vec<usize> = (0..bucket.len()).collect();
            for last in (1..order.len()).rev() {
                order.swap(last, random.below(last + 1));
            }
            let renamed = order.into_iter().map(|idx| bucket[idx].clone());
            new.extend(bucket.iter().cloned().zip(renamed));
        }
        Self { new }
    }

    /// A text, or a path, under its new names.
    #[must_use]
    pub fn apply(&self, text: &str) -> String {
        let mut renamed = String::with_capacity(text.len());
        let mut copied = 0;
        for range in words(text) {
            let word = &text[range.clone()];
            if let Some(new) = self.new.get(&fold(word)) {
                renamed.push_str(&text[copied..range.start]);
                spell(new, word, &mut renamed);
                copied = range.end;
            }
        }
        renamed.push_str(&text[copied..]);
        renamed
    }
}

/// Writes the folded word `new` with capitals where `old` has them.
fn spell(new: &str, old: &str, out: &mut String) {
    let is_upper = |c: char| c.is_uppercase();
    let starts_upper = old.starts_with(is_upper);
    let all_upper = starts_upper && old.chars().all(is_upper);
    for (idx, c) in new.chars().enumerate() {
        if all_upper || (starts_upper && idx == 0) {
            out.extend(c.to_uppercase());
        } else {
            out.push(c);
        }
    }
}

/// The words of the platform and of the language, folded.
fn words_of_platform() -> FxHashSet<String> {
    let mut names: Vec<&str> = Vec::new();
    for known in PlatformType::all() {
        names.push(known.russian());
        names.extend(known.members().iter().map(|member| member.russian));
    }
    for kind in ObjectKind::ALL {
        names.extend([kind.russian(), kind.russian_plural()]);
    }
    names.extend(Facet::ALL.iter().map(|facet| facet.russian()));
    names.extend(Keyword::ALL.iter().map(|keyword| keyword.russian()));
    names.extend(QueryKeyword::ALL.iter().map(|keyword| keyword.russian()));
    let words = names
        .into_iter()
        .flat_map(|name| words(name).map(move |word| fold(&name[word])));
    words.collect()
}

/// The words of a text: letters from one capital, or another sign, to the next; capitals in a row are one word.
pub(crate) fn words(text: &str) -> impl Iterator<Item = Range<usize>> + '_ {
    let mut at = 0;
    std::iter::from_fn(move || {
        let start = at + text[at..].find(char::is_alphabetic)?;
        let mut end = text.len();
        let mut before: Option<(usize, char)> = None;
        for (offset, c) in text[start..].char_indices() {
            let at = start + offset;
            if !c.is_alphabetic() {
                end = at;
                break;
            }
            match before {
                Some((_, last)) if c.is_uppercase() && !last.is_uppercase() => {
                    end = at;
                    break;
                }
                // `НДССумма`: the last capital begins the next word.
                Some((last_at, last))
                    if !c.is_uppercase() && last.is_uppercase() && last_at > start =>
                {
                    end = last_at;
                    break;
                }
                _ => before = Some((at, c)),
            }
        }
        at = end;
        Some(start..end)
    })
}

fn is_cyrillic(word: &str) -> bool {
    word.chars()
        .all(|c| ('а'..='я').contains(&c) || ('А'..='Я').contains(&c) || matches!(c, 'ё' | 'Ё'))
}

/// SplitMix64.
struct Random(u64);

impl Random {
    fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((mixed ^ (mixed >> 31)) % n as u64) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(text: &str) -> Vec<&str> {
        words(text).map(|word| &text[word]).collect()
    }

    #[test]
    fn a_name_falls_into_words() {
        assert_eq!(
            split("СуммаНДСИтого_вал2рубль"),
            ["Сумма", "НДС", "Итого", "вал", "рубль"]
        );
        assert_eq!(
            split("Если А.Код = \"ключ\";"),
            ["Если", "А", "Код", "ключ"]
        );
        assert_eq!(split(" … "), [""; 0]);
    }

    fn renaming() -> Renaming {
        let pairs = [("груша", "слива"), ("слива", "груша")];
        let new = pairs.map(|(old, new)| (old.to_owned(), new.to_owned()));
        Renaming {
            new: new.into_iter().collect(),
        }
    }

    #[test]
    fn a_word_is_renamed_everywhere_with_its_capitals() {
        let text = "<Name>СортГруша</Name> груша.СЛИВА Грушами";
        let expected = "<Name>СортСлива</Name> слива.ГРУША Грушами";
        assert_eq!(renaming().apply(text), expected);
        assert_eq!(renaming().apply(expected), text, "no two words become one");
    }

    #[test]
    fn words_change_places_and_those_of_the_platform_stay() {
        // Words by falling frequency, so that the last hundred may change.
        let word = |idx: usize| -> String {
            let letter = |digit: usize| char::from_u32('а' as u32 + digit as u32).unwrap();
            [
                "слово".to_owned(),
                letter(idx / 26).to_string(),
                letter(idx % 26).to_string(),
            ]
            .concat()
        };
        let mut text: String = (0..KEPT_WORDS + 100)
            .map(|idx| format!("{} ", word(idx)).repeat(500 - idx))
            .collect();
        text.push_str("Справочники.Ссылка Справочники.Ссылка Справочники.Ссылка");
        let renaming = Renaming::of([text.as_str()], 1);
        assert_eq!(renaming.apply("Справочники Ссылка"), "Справочники Ссылка");
        assert_eq!(renaming.apply(&word(0)), word(0));
        let renamed =
            (KEPT_WORDS..KEPT_WORDS + 100).filter(|idx| renaming.apply(&word(*idx)) != word(*idx));
        assert!(renamed.count() > 80);
        let again = Renaming::of([text.as_str()], 1);
        assert_eq!(again.apply(&text), renaming.apply(&text));
    }
}
