//! Trains the tokenizer: byte-level BPE over counted words.
//!
//! The builder counts the words of [`nestor_bsl::split_words`] on methods that occur once, Russian and English apart, and
//! hands the counts over. Public code is mostly Russian; English gets its share of merges by weighting, because a
//! tokenizer without English merges makes English code twice as long. Same counts, same bytes.

use std::collections::hash_map::Entry;

use nestor_bsl::pieces::{SPECIAL_TOKENS, byte_level, byte_level_alphabet};
use rustc_hash::FxHashMap;
use tokenizers::AddedToken;
use tokenizers::models::bpe::{BPE, BpeTrainer};

use crate::CorpusError;
use crate::manifest::Language;

/// The fewest pieces a tokenizer has: the special ones and the 256 bytes.
pub const MIN_VOCAB: usize = SPECIAL_TOKENS.len() + 256;
/// Token ids are two bytes on disk.
pub const MAX_VOCAB: usize = 1 << 16;

/// A text in little English is not repeated more than this to reach its share.
const MAX_WEIGHT: f64 = 4.0;
/// Weights are multiples of one part in so many, so that counts stay whole numbers.
const WEIGHT_UNIT: u64 = 1000;
/// Pairs seen less often are not worth a piece.
const MIN_PAIR_COUNT: u64 = 2;
/// With more distinct words than this, those seen once are dropped: they cannot earn a piece.
const MAX_WORDS: usize = 4_000_000;

/// How often each word occurs in Russian and in English text.
#[derive(Debug, Clone, Default)]
pub struct WordCounts {
    words: FxHashMap<Box<str>, [u64; 2]>,
}

impl WordCounts {
    /// Counts `word` `count` times.
    pub fn add(&mut self, word: &str, language: Language, count: u64) {
        match self.words.get_mut(word) {
            Some(counts) => counts[language as usize] += count,
            None => {
                let mut counts = [0; 2];
                counts[language as usize] = count;
                self.words.insert(word.into(), counts);
            }
        }
    }

    /// Adds all counts of `other`.
    pub fn merge(&mut self, other: WordCounts) {
        if self.words.is_empty() {
            self.words = other.words;
            return;
        }
        for (word, counts) in other.words {
            match self.words.entry(word) {
                Entry::Occupied(mut entry) => entry
                    .get_mut()
                    .iter_mut()
                    .zip(counts)
                    .for_each(|(sum, count)| *sum += count),
                Entry::Vacant(entry) => {
                    entry.insert(counts);
                }
            }
        }
    }

    /// Drops words seen once when there are too many of all. Call it at places that do not depend on timing.
    pub fn shrink(&mut self) {
        if self.words.len() > MAX_WORDS {
            self.words
                .retain(|_, counts| counts.iter().sum::<u64>() > 1);
        }
    }

    /// Distinct words.
    pub fn len(&self) -> usize {
        self.words.len()
    }

    /// Whether nothing has been counted.
    pub fn is_empty(&self) -> bool {
        self.words.is_empty()
    }

    /// Bytes of text counted in each language: Russian, English.
    pub fn bytes(&self) -> [u64; 2] {
        self.words
            .iter()
            .fold([0; 2], |[ru, en], (word, [n_ru, n_en])| {
                [ru + n_ru * word.len() as u64, en + n_en * word.len() as u64]
            })
    }
}

/// A trained tokenizer.
#[derive(Debug, Clone)]
pub struct Trained {
    /// The bytes of `tokenizer.json`.
    pub file: Vec<u8>,
    /// Share of English in the weighted text.
    pub english_share: f64,
}

/// Trains a tokenizer of `vocab_size` pieces (fewer where the text has not enough pairs) with English weighted into
/// `english_share`, as far as a weight between 1/4 and 4 goes.
pub fn train(
    words: &WordCounts,
    vocab_size: usize,
    english_share: [f64; 2],
) -> Result<Trained, CorpusError> {
    let (weight, english_share) = english_weight(words.bytes(), english_share);
    let english_unit = (weight * WEIGHT_UNIT as f64).round() as u64;
    let weighted = |[russian, english]: [u64; 2]| russian * WEIGHT_UNIT + english * english_unit;
    let trainer = BpeTrainer::builder()
        .vocab_size(vocab_size)
        .min_frequency(MIN_PAIR_COUNT * WEIGHT_UNIT)
        .show_progress(false)
        .special_tokens(
            SPECIAL_TOKENS
                .iter()
                .map(|&token| AddedToken::from(token, true))
                .collect(),
        )
        .initial_alphabet(byte_level_alphabet().collect())
        .build();
    let counts = words
        .words
        .iter()
        .map(|(word, &counts)| (byte_level(word.as_bytes()).into(), weighted(counts)))
        .collect();
    let mut bpe = BPE::default();
    trainer
        .do_train(&counts, &mut bpe)
        .map_err(|error| CorpusError::Training(error.to_string()))?;
    let file = tokenizers::Tokenizer::new(bpe)
        .to_string(false)
        .map_err(|error| CorpusError::Training(error.to_string()))?;
    Ok(Trained {
        file: file.into_bytes(),
        english_share,
    })
}

/// The weight of English against Russian, and the share of English that comes of it.
fn english_weight([russian, english]: [u64; 2], [low, high]: [f64; 2]) -> (f64, f64) {
    let (russian, english) = (russian as f64, english as f64);
    let share = |weight: f64| {
        if english == 0.0 {
            0.0
        } else {
            weight * english / (russian + weight * english)
        }
    };
    let natural = share(1.0);
    if natural == 0.0 || natural == 1.0 || (low..=high).contains(&natural) {
        return (1.0, natural);
    }
    let wanted = if natural < low { low } else { high };
    let weight = (wanted / (1.0 - wanted) * russian / english).clamp(1.0 / MAX_WEIGHT, MAX_WEIGHT);
    (weight, share(weight))
}

#[cfg(test)]
mod tests {
    use super::*;
    use nestor_bsl::{Tokenizer, split_words};

    const RUSSIAN: &str = "Процедура ПриЗаписи(Отказ)\n\tЕсли Отказ Тогда\n\t\tВозврат;\n\tКонецЕсли;\nКонецПроцедуры\n";
    const ENGLISH: &str =
        "Procedure OnWrite(Cancel)\n\tIf Cancel Then\n\t\tReturn;\n\tEndIf;\nEndProcedure\n";

    fn counts(texts: &[(&str, Language, u64)]) -> WordCounts {
        let mut counts = WordCounts::default();
        for &(text, language, times) in texts {
            split_words(text)
                .into_iter()
                .for_each(|word| counts.add(&text[word], language, times));
        }
        counts
    }

    #[test]
    fn the_order_of_counting_does_not_change_the_file() {
        let forward = counts(&[
            (RUSSIAN, Language::Russian, 5),
            (ENGLISH, Language::English, 3),
        ]);
        let backward = counts(&[
            (ENGLISH, Language::English, 3),
            (RUSSIAN, Language::Russian, 2),
        ]);
        let mut merged = counts(&[(RUSSIAN, Language::Russian, 3)]);
        merged.merge(backward);
        let file = |counts: &WordCounts| train(counts, 400, [0.2, 0.25]).unwrap().file;
        assert_eq!(file(&forward), file(&merged));
    }

    #[test]
    fn the_tokenizer_reads_back_and_has_the_size_asked_for() {
        let trained = train(
            &counts(&[
                (RUSSIAN, Language::Russian, 9),
                (ENGLISH, Language::English, 9),
            ]),
            300,
            [0.2, 0.25],
        )
        .unwrap();
        let tokenizer = Tokenizer::from_bytes(&trained.file).unwrap();
        assert_eq!(tokenizer.vocab_size(), 300);
        let text = format!("{RUSSIAN}🙂{ENGLISH}");
        assert_eq!(tokenizer.decode(&tokenizer.encode(&text)), text.as_bytes());
        // A text with few pairs gives fewer pieces, and none at all gives the bytes.
        assert_eq!(
            Tokenizer::from_bytes(
                &train(&WordCounts::default(), 8192, [0.2, 0.25])
                    .unwrap()
                    .file
            )
            .unwrap()
            .vocab_size(),
            MIN_VOCAB
        );
    }

    #[test]
    fn english_is_weighted_into_its_share() {
        let check = |bytes, expected_weight: f64, expected_share: f64| {
            let (weight, share) = english_weight(bytes, [0.2, 0.25]);
            assert!(
                (weight - expected_weight).abs() < 1e-9 && (share - expected_share).abs() < 1e-9,
                "{weight} {share}"
            );
        };
        check([78, 22], 1.0, 0.22);
        check([900, 100], 2.25, 0.2);
        check([50, 50], 1.0 / 3.0, 0.25);
        check([990, 10], 4.0, 40.0 / 1030.0);
        check([100, 0], 1.0, 0.0);
        check([0, 100], 1.0, 1.0);
        check([0, 0], 1.0, 0.0);
    }
}
