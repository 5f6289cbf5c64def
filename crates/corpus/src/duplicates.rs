//! Methods that nearly repeat each other, found by MinHash over their names.
//!
//! The builder asks for the groups once, over all methods with distinct hashes; sampling keeps a group on one side of a
//! split. One permutation with as many bins as the signature has values (one-permutation hashing, Li et al. 2012)
//! makes a signature cost one hash a word.

use nestor_bsl::lexer::{Lexer, TokenKind};
use rayon::prelude::*;

/// Values in a signature: [`BANDS`] bands of [`ROWS`] values.
const VALUES: usize = BANDS * ROWS;
/// Two methods are compared when they agree in a whole band: with 8 bands of 5, methods whose shingles agree to 0.8 are
/// compared with probability 0.96, to 0.5 with 0.22.
const BANDS: usize = 8;
const ROWS: usize = 5;
/// Near-duplicates agree in so many values: an estimated Jaccard index of 0.75.
const AGREEING_VALUES: usize = 30;
/// Words a shingle is made of.
const SHINGLE_WORDS: usize = 3;
/// Methods with fewer shingles are alike by chance: handlers of one line, empty stubs.
const MIN_SHINGLES: usize = 16;

/// What is kept of a method to compare it: the lowest hashes of its shingles.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Signature([u16; VALUES]);

impl Signature {
    /// The signature of a method's text; `None` for one too short to compare. Comments, strings and case do not count.
    pub fn of(text: &str, seed: u64) -> Option<Signature> {
        let mut bins = [u32::MAX; VALUES];
        let mut window = [0u64; SHINGLE_WORDS];
        let mut words = 0;
        for token in Lexer::new(text) {
            if !matches!(
                token.kind,
                TokenKind::Identifier
                    | TokenKind::Keyword(_)
                    | TokenKind::Annotation
                    | TokenKind::Number
            ) {
                continue;
            }
            window.rotate_left(1);
            window[SHINGLE_WORDS - 1] = folded_hash(token.text(text));
            words += 1;
            if words >= SHINGLE_WORDS {
                let shingle = mix(window.iter().fold(seed, |hash, &word| mix(hash ^ word)));
                let bin = (shingle >> 32) as usize % VALUES;
                bins[bin] = bins[bin].min(shingle as u32);
            }
        }
        (words >= MIN_SHINGLES + SHINGLE_WORDS - 1)
            .then(|| Signature(std::array::from_fn(|bin| value(&bins, bin))))
    }

    fn is_near(&self, other: &Signature) -> bool {
        self.0.iter().zip(&other.0).filter(|(a, b)| a == b).count() >= AGREEING_VALUES
    }
}

/// The groups that `signatures` fall into: for each, the lowest index of its group. Those without a signature are alone.
pub fn groups(signatures: &[Option<Signature>]) -> Vec<u32> {
    let mut parents: Vec<u32> = (0..signatures.len() as u32).collect();
    for band in 0..BANDS {
        let mut keys: Vec<(u64, u32)> = signatures
            .par_iter()
            .enumerate()
            .filter_map(|(idx, signature)| {
                let rows = &signature.as_ref()?.0[band * ROWS..(band + 1) * ROWS];
                Some((
                    rows.iter().fold(0, |key, &row| mix(key ^ u64::from(row))),
                    idx as u32,
                ))
            })
            .collect();
        keys.par_sort_unstable();
        for run in keys.chunk_by(|a, b| a.0 == b.0) {
            for pair in run.windows(2) {
                // The first of a run stands for the group, the one before for a chain of small changes.
                for earlier in [run[0].1, pair[0].1] {
                    let [Some(a), Some(b)] =
                        [earlier, pair[1].1].map(|idx| signatures[idx as usize])
                    else {
                        continue;
                    };
                    if a.is_near(&b) {
                        join(&mut parents, earlier, pair[1].1);
                        break;
                    }
                }
            }
        }
    }
    (0..parents.len() as u32)
        .map(|idx| root(&mut parents, idx))
        .collect()
}

fn root(parents: &mut [u32], mut idx: u32) -> u32 {
    while parents[idx as usize] != idx {
        parents[idx as usize] = parents[parents[idx as usize] as usize];
        idx = parents[idx as usize];
    }
    idx
}

fn join(parents: &mut [u32], a: u32, b: u32) {
    let (a, b) = (root(parents, a), root(parents, b));
    parents[a.max(b) as usize] = a.min(b);
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
pub(crate) fn mix(value: u64) -> u64 {
    let value = value.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let value = (value ^ (value >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    value ^ (value >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn method(names: std::ops::Range<usize>, ending: &str) -> String {
        let lines: Vec<String> = names
            .map(|n| format!("\tПоле{n} = Запрос.Параметр{n} + Сумма{n};"))
            .collect();
        format!(
            "Процедура Заполнить()\n{}\n\t{ending}\nКонецПроцедуры",
            lines.join("\n")
        )
    }

    fn groups_of(texts: &[String]) -> Vec<u32> {
        groups(
            &texts
                .iter()
                .map(|text| Signature::of(text, 1))
                .collect::<Vec<_>>(),
        )
    }

    #[test]
    fn small_changes_keep_methods_together_and_others_apart() {
        let texts = [
            method(0..30, "Записать();"),
            method(100..130, "Записать();"),
            method(0..30, "Прочитать();"),
            method(0..31, "Записать(); // иначе"),
            method(100..130, "ЗаписатьВсе();"),
            method(200..230, "Записать();"),
        ];
        assert_eq!(groups_of(&texts), [0, 1, 0, 0, 1, 5]);
    }

    #[test]
    fn case_comments_and_white_space_do_not_count() {
        let text = method(0..30, "Записать();");
        assert_eq!(
            Signature::of(&text, 1),
            Signature::of(&text.to_uppercase(), 1)
        );
        assert_eq!(
            Signature::of(&text, 1),
            Signature::of(&text.replace(";\n", "; // Примечание\n\n"), 1)
        );
        assert_ne!(Signature::of(&text, 1), Signature::of(&text, 2));
    }

    #[test]
    fn short_methods_are_alone() {
        let stub = "Процедура ПриОткрытии(Отказ)\n\tОбновить();\nКонецПроцедуры".to_owned();
        assert_eq!(Signature::of(&stub, 1), None);
        assert_eq!(groups_of(&[stub.clone(), stub]), [0, 1]);
        assert!(groups(&[]).is_empty());
    }
}
