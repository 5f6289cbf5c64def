//! What a file may teach a project: looked at before it is learned, so that machine-made text does not drown people's.
//!
//! `project` asks for a [`Verdict`] on every new or changed file. Bounds were set on 15,499 real modules, of which they hold
//! back 10 (LOG.md); what real code never comes near is garbage. A file is learned whole or not at all, so a weight of
//! `1 / n` means that of files 1, 2, 3 … the first, second, fourth, eighth are learned. This module knows text and pieces; it
//! must not know the project's folder.

use std::fmt;

use nestor_bsl::measures::Measures;
use nestor_bsl::methods::{method_hash, methods};

pub(crate) mod copies;

/// What a file may teach.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Teaches {
    /// Nothing: it is remembered as seen.
    Nothing,
    /// Counts, and neither level 2 nor level 3.
    Counts,
    /// Counts and levels.
    All,
}

/// What is known of a file before it is learned.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Verdict {
    /// What it may teach.
    pub teaches: Teaches,
    /// How much, above 0 and at most 1.
    pub weight: f32,
    /// Why not everything.
    pub reason: Option<Reason>,
}

/// Why a file does not teach everything.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reason {
    /// It is no BSL.
    Foreign,
    /// Its lines were not laid out for people.
    Minified,
    /// Most of it is base64, hexadecimal digits or a table of numbers.
    Data,
    /// It is longer than people write.
    Long,
    /// Its lines are alike: written by a generator, or a table in the form of code.
    Generated,
    /// The model was trained on it.
    Known,
    /// The project has nearly the same text under other paths.
    Copy,
    /// It has changed often within a day.
    Restless,
}

impl Reason {
    const ALL: [Self; 8] = [
        Self::Foreign,
        Self::Minified,
        Self::Data,
        Self::Long,
        Self::Generated,
        Self::Known,
        Self::Copy,
        Self::Restless,
    ];

    /// One word, for logs and programs.
    #[must_use]
    pub fn key(self) -> &'static str {
        match self {
            Self::Foreign => "foreign",
            Self::Minified => "minified",
            Self::Data => "data",
            Self::Long => "long",
            Self::Generated => "generated",
            Self::Known => "known",
            Self::Copy => "copy",
            Self::Restless => "restless",
        }
    }

    /// The reason of a key; `None` for one that another version has written.
    #[must_use]
    pub fn of_key(key: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| reason.key() == key)
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Foreign => "it is not BSL or OneScript",
            Self::Minified => "its lines are too long to be written by people",
            Self::Data => "most of it is encoded data or numbers",
            Self::Long => "it is longer than people write",
            Self::Generated => "its lines are alike, as a generator writes them",
            Self::Known => "the model was trained on it",
            Self::Copy => "the project has nearly the same text under another path",
            Self::Restless => "it has changed often within a day",
        })
    }
}

impl Verdict {
    /// A file that teaches everything.
    pub const ALL: Self = Self {
        teaches: Teaches::All,
        weight: 1.0,
        reason: None,
    };

    fn of(teaches: Teaches, reason: Reason) -> Self {
        Self {
            teaches,
            weight: 1.0,
            reason: Some(reason),
        }
    }

    /// What a copy may teach that is due so much.
    pub(crate) fn copy(due: Teaches) -> Self {
        match due {
            Teaches::All => Self::ALL,
            due => Self::of(due, Reason::Copy),
        }
    }

    /// The stricter of two verdicts; the first of those that let a file teach the same.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        if other.teaches < self.teaches {
            other
        } else {
            self
        }
    }

    /// What levels 2 and 3 weigh the file with: 0 where they must not learn it.
    #[must_use]
    pub fn levels_weight(&self) -> f32 {
        match self.teaches {
            Teaches::All => self.weight,
            Teaches::Counts | Teaches::Nothing => 0.0,
        }
    }
}

/// Misplaced tokens that any file may have: unfinished code has one for each place that is being written. Real files have
/// 9 at most.
const FREE_MISPLACED: usize = 10;
/// One misplaced token in so many tells another language, above the free ones. In real code none is left; JavaScript and C#, which
/// come nearest, have one in ten.
const TOKENS_PER_MISPLACED: usize = 50;
/// A longer file is no module that a person wrote: the longest of the corpus has 3.7 MB.
const MAX_BYTES: usize = 8 << 20;
/// Shorter files may repeat a line as often as they like.
const MIN_ALIKE_LINES: usize = 300;
/// One different line in so many at least. People's longest tables have one in eight.
const LINES_PER_DISTINCT: usize = 10;
/// One different form of line in so many at least, where names differ and nothing else.
const LINES_PER_FORM: usize = 60;
/// Fewer tokens beside data are its wrapping.
const MIN_TOKENS_BESIDE_DATA: usize = 200;

/// What a file may teach as far as it alone tells, given the hashes of the methods that the model was trained on, rising.
#[must_use]
pub fn judge_alone(text: &str, train_methods: &[u64]) -> Verdict {
    let verdict = judge_text(text);
    if verdict.teaches == Teaches::All {
        judge_known(train_methods, text)
    } else {
        verdict
    }
}

/// What a text says for itself.
#[must_use]
pub fn judge_text(text: &str) -> Verdict {
    judge(&Measures::of(text))
}

fn judge(measures: &Measures) -> Verdict {
    let Measures {
        bytes,
        tokens,
        misplaced,
        in_long_lines,
        data_bytes,
        code_lines,
        distinct_lines,
        distinct_forms,
    } = *measures;
    let is_alike = distinct_lines * LINES_PER_DISTINCT < code_lines
        || distinct_forms * LINES_PER_FORM < code_lines;
    if data_bytes * 2 > bytes {
        // Real code around a picture still counts.
        let teaches = if tokens < MIN_TOKENS_BESIDE_DATA || is_foreign(tokens, misplaced) {
            Teaches::Nothing
        } else {
            Teaches::Counts
        };
        Verdict::of(teaches, Reason::Data)
    } else if is_foreign(tokens, misplaced) {
        Verdict::of(Teaches::Nothing, Reason::Foreign)
    } else if in_long_lines * 2 > tokens {
        Verdict::of(Teaches::Nothing, Reason::Minified)
    } else if bytes > MAX_BYTES {
        Verdict::of(Teaches::Counts, Reason::Long)
    } else if code_lines >= MIN_ALIKE_LINES && is_alike {
        Verdict::of(Teaches::Counts, Reason::Generated)
    } else {
        Verdict::ALL
    }
}

fn is_foreign(tokens: usize, misplaced: usize) -> bool {
    misplaced > FREE_MISPLACED + tokens / TOKENS_PER_MISPLACED
}

/// Methods of a file that are looked up at most: hashing all of them would cost more than cutting the text into pieces.
const ASKED_METHODS: usize = 6;
/// Fewer bytes of methods are stubs, which all code shares.
const MIN_ASKED_BYTES: usize = 500;
/// The model was not trained on so much of a known file at most, in hundredths of the bytes looked up.
const FOREIGN_PERCENT: usize = 20;

/// Whether the model was trained on a text, given the hashes of the methods that it was trained on, rising. Asks for a few
/// methods, evenly spread.
#[must_use]
pub fn judge_known(train_methods: &[u64], text: &str) -> Verdict {
    if train_methods.is_empty() {
        return Verdict::ALL;
    }
    let methods = methods(text);
    let n_asked = methods.len().min(ASKED_METHODS);
    let asked = (0..n_asked).map(|idx| &text[methods[idx * methods.len() / n_asked].span.clone()]);
    let bytes: usize = asked.clone().map(str::len).sum();
    if bytes < MIN_ASKED_BYTES {
        return Verdict::ALL;
    }
    let mut foreign = 0;
    for method in asked {
        if train_methods.binary_search(&method_hash(method)).is_err() {
            foreign += method.len();
            // Own code is told by its first method or two.
            if foreign * 100 > bytes * FOREIGN_PERCENT {
                return Verdict::ALL;
            }
        }
    }
    Verdict::of(Teaches::Counts, Reason::Known)
}

/// What a file may teach that is learned for the `n`-th time within a day.
pub(crate) fn judge_version(n: u32) -> Verdict {
    if n.is_power_of_two() {
        return Verdict::ALL;
    }
    Verdict {
        weight: 1.0 / n as f32,
        ..Verdict::of(Teaches::Counts, Reason::Restless)
    }
}

#[cfg(test)]
mod tests;
