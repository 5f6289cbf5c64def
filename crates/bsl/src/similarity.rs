//! Texts that nearly repeat each other, found by MinHash over their words.
//!
//! The corpus builder compares methods, the assistant's filter compares the files of a project; both keep a [`Signature`] of
//! each text and compare those that agree in a band. One permutation with as many bins as the signature has values
//! (one-permutation hashing, Li et al. 2012) makes a signature cost one hash a word. What is done with a repetition is
//! the caller's business.

use crate::lexer::{Lexer, TokenKind};

/// Values in a signature: [`BANDS`] bands of [`ROWS`] values.
pub const VALUES: usize = BANDS * ROWS;
/// Bands of a signature. Two texts are compared when they agree in a whole band: with 8 bands of 5, texts whose shingles agree to 0.8 are
/// compared with probability 0.96, to 0.5 with 0.22.
pub const BANDS: usize = 8;
const ROWS: usize = 5;
/// Near-duplicates agree in so many values: an estimated Jaccard index of 0.75.
const AGREEING_VALUES: usize = 30;
/// Words a shingle is made of.
const SHINGLE_WORDS: usize = 3;
/// Texts with fewer shingles are alike by chance: handlers of one line, empty stubs.
const MIN_SHINGLES: usize = 16;

/// What is kept of a text to compare it: the lowest hashes of its shingles.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Signature([u16; VALUES]);

impl Signature {
    /// The signature of a method's text; `None` for one too short to compare. Comments, strings and case do not count.
    pub fn of(text: &str, seed: u64) -> Option<Signature> {
        let words = Lexer::new(text).filter(|token| {
            matches!(
                token.kind,
                TokenKind::Identifier
                    | TokenKind::Keyword(_)
                    | TokenKind::Annotation
                    | TokenKind::Number
            )
        });
        Self::of_words(words.map(|token| folded_hash(token.text(text))), seed)
    }

    /// The signature of anything that is a row of words, given their hashes or numbers; `None` for fewer than 18.
    pub fn of_words(words: impl Iterator<Item = u64>, seed: u64) -> Option<Signature> {
        let mut bins = [u32::MAX; VALUES];
        let mut window = [0u64; SHINGLE_WORDS];
        let mut n_words = 0;
        for word in words {
            window.rotate_left(1);
            window[SHINGLE_WORDS - 1] = word;
            n_words += 1;
            if n_words >= SHINGLE_WORDS {
                let shingle = mix(window.iter().fold(seed, |hash, &word| mix(hash ^ word)));
                let bin = (shingle >> 32) as usize % VALUES;
                bins[bin] = bins[bin].min(shingle as u32);
            }
        }
        (n_words >= MIN_SHINGLES + SHINGLE_WORDS - 1)
            .then(|| Signature(std::array::from_fn(|bin| value(&bins, bin))))
    }

    /// In how many of its [`VALUES`] values it agrees with another: over all of them, an estimate of the Jaccard index.
    pub fn agreeing_values(&self, other: &Signature) -> usize {
        self.0.iter().zip(&other.0).filter(|(a, b)| a == b).count()
    }

    /// Whether the texts are near-duplicates: an estimated Jaccard index of 0.75.
    pub fn is_near(&self, other: &Signature) -> bool {
        self.agreeing_values(other) >= AGREEING_VALUES
    }

    /// A key for each band. Signatures that share no key at the same place need not be compared.
    pub fn band_keys(&self) -> [u64; BANDS] {
        std::array::from_fn(|band| {
            let rows = &self.0[band * ROWS..(band + 1) * ROWS];
            rows.iter().fold(0, |key, &row| mix(key ^ u64::from(row)))
        })
    }
}

/// The lowest hash of a bin; an empty bin takes that of the next one that has any (densification by rotation).
fn value(bins: &[u32; VALUES], bin: usize) -> u16 {
    let filled = (0..VALUES)
        .map(|step| bins[(bin + step) % VALUES])
        .find(|&lowest| lowest != u32::MAX);
    filled.unwrap_or(u32::MAX) as u16
}

/// A hash of a word that upper and lower case share.
fn folded_hash(word: &str) -> u64 {
    word.chars().fold(0xCBF2_9CE4_8422_2325, |hash, c| {
        let folded = match c {
            'A'..='Z' => c as u32 + 32,
            'А'..='Я' => c as u32 + 32,
            'Ё' => 'ё' as u32,
            c => c as u32,
        };
        (hash ^ u64::from(folded)).wrapping_mul(0x0100_0000_01B3)
    })
}

/// The finisher of SplitMix64: every bit of the input moves every bit of the output.
pub fn mix(value: u64) -> u64 {
    let value = value.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let value = (value ^ (value >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    value ^ (value >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_and_text_give_the_same_signature() {
        let text: String = (0..40).map(|n| format!("Поле{n} = Сумма{n};\n")).collect();
        let names = (0..40).flat_map(|n| [format!("поле{n}"), format!("сумма{n}")]);
        let of_words = Signature::of_words(names.map(|name| folded_hash(&name)), 1).unwrap();
        let of_text = Signature::of(&text.to_uppercase(), 1).unwrap();
        assert_eq!(of_words, of_text);
        assert_eq!(of_words.agreeing_values(&of_text), VALUES);
        assert_eq!(of_words.band_keys(), of_text.band_keys());
        assert_eq!(Signature::of_words(0..17, 1), None);
        assert!(Signature::of_words(0..18, 1).is_some());
    }

    #[test]
    fn what_differs_agrees_in_few_values() {
        let first = Signature::of_words(0..400, 1).unwrap();
        let other = Signature::of_words(1000..1400, 1).unwrap();
        assert!(first.agreeing_values(&other) <= 2);
        let changed = (0..400).map(|word| if word == 200 { 9999 } else { word });
        assert!(Signature::of_words(changed, 1).unwrap().is_near(&first));
    }
}
