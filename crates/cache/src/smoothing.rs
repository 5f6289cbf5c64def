//! How much a level's evidence is trusted.
//!
//! A level with `total` occurrences, `distinct` of them different, backs off as
//! `p(w) = trust * seen(w) + (1 - trust) * p_shorter(w)` with `trust = total / (total + kappa)` and
//! `ln kappa = own + per_distinct * ln(distinct) + per_total * ln(total)`: Jelinek-Mercer at `per_total = 1`, Witten-Bell at
//! `per_distinct = 1`, Dirichlet at neither. Where occurrences are looked at one by one the most recent one gets the
//! share `newest` of the trust and the counts the rest: code repeats what it did last. Called by `nested`, `corpus_build`.

use crate::evidence::LEVELS;

/// Where evidence comes from, innermost last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// The shipped corpus model.
    Corpus = 0,
    /// The project.
    Project = 1,
    /// The module's folder.
    Folder = 2,
    /// The open file.
    File = 3,
}

/// All sources, outermost first.
pub const SOURCES: [Source; 4] = [
    Source::Corpus,
    Source::Project,
    Source::Folder,
    Source::File,
];

#[derive(Clone, Copy)]
struct Rule {
    own: f32,
    per_distinct: f32,
    per_total: f32,
    newest: f32,
}

const fn rule(own: f32, per_distinct: f32, per_total: f32, newest: f32) -> Rule {
    Rule {
        own,
        per_distinct,
        per_total,
        newest,
    }
}

/// Share of the probability that a level's own counts get; the rest goes to shorter contexts.
pub(crate) fn trust(source: Source, level: usize, total: u32, distinct: u32) -> f32 {
    let rule = TABLE[source as usize][level];
    let (total, distinct) = (total.max(1) as f32, distinct.max(1) as f32);
    let kappa = (rule.own + rule.per_distinct * distinct.ln() + rule.per_total * total.ln()).exp();
    total / (total + kappa)
}

/// Share of a level's trust that goes to what followed the most recent occurrence.
pub(crate) fn newest_share(source: Source, level: usize) -> f32 {
    TABLE[source as usize][level].newest
}

/// Fitted by gradient on 350,000 positions of five projects that the corpus model had not seen, all nests at once (the
/// file nest weighing most), each file scored before it is learned; six other projects confirmed it.
const TABLE: [[Rule; LEVELS]; 4] = [
    // Corpus: orders 0, 1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 16, 20, 24, 32.
    [
        rule(0.71, 0.94, 0.31, 0.00),
        rule(0.71, 0.94, 0.31, 0.00),
        rule(0.51, 0.88, 0.45, 0.00),
        rule(0.44, 0.96, 0.54, 0.00),
        rule(0.54, 0.83, 0.55, 0.00),
        rule(1.15, 0.70, 0.42, 0.00),
        rule(1.15, 0.70, 0.42, 0.00),
        rule(1.15, 0.70, 0.42, 0.00),
        rule(1.15, 0.70, 0.42, 0.00),
        rule(1.15, 0.70, 0.42, 0.00),
        rule(1.15, 0.70, 0.42, 0.00),
        rule(1.15, 0.70, 0.42, 0.00),
        rule(1.15, 0.70, 0.42, 0.00),
        rule(1.15, 0.70, 0.42, 0.00),
        rule(1.15, 0.70, 0.42, 0.00),
    ],
    // Project: orders 0, 1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 16, 20, 24, 32.
    [
        rule(0.25, 1.19, 0.13, 0.00),
        rule(2.18, 0.45, 0.46, 0.00),
        rule(1.87, 0.81, 0.29, 0.00),
        rule(1.48, 1.02, 0.43, 0.15),
        rule(1.42, 1.31, 0.33, 0.23),
        rule(1.22, 1.61, 0.46, 0.15),
        rule(0.85, 1.49, 0.50, 0.15),
        rule(0.68, 1.42, 0.64, 0.11),
        rule(0.55, 1.20, 0.56, 0.11),
        rule(0.06, 1.60, 0.52, 0.10),
        rule(-0.34, 2.35, 0.46, 0.12),
        rule(-0.88, 2.17, 0.66, 0.10),
        rule(-1.14, 2.15, 0.65, 0.09),
        rule(-1.51, 2.11, 0.55, 0.11),
        rule(-2.37, 3.05, 0.01, 0.16),
    ],
    // Folder: orders 0, 1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 16, 20, 24, 32.
    [
        rule(0.50, 1.84, 0.86, 0.00),
        rule(1.89, 1.83, 1.05, 0.00),
        rule(1.96, 1.91, 1.23, 0.00),
        rule(1.80, 2.00, 1.14, 0.12),
        rule(2.05, 1.92, 1.22, 0.12),
        rule(1.89, 1.42, 0.87, 0.12),
        rule(1.35, 1.65, 1.22, 0.12),
        rule(1.58, 1.38, 1.30, 0.12),
        rule(1.48, 1.46, 0.84, 0.11),
        rule(1.61, 1.26, 1.21, 0.12),
        rule(1.37, 1.30, 1.28, 0.12),
        rule(0.85, 1.18, 0.84, 0.12),
        rule(0.58, 1.22, 0.27, 0.12),
        rule(0.73, 1.00, 0.17, 0.12),
        rule(0.85, 1.10, 0.27, 0.12),
    ],
    // File: orders 0, 1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 16, 20, 24, 32.
    [
        rule(0.12, 1.12, 0.03, 0.00),
        rule(0.58, 0.96, 0.17, 0.00),
        rule(0.44, 1.31, 0.14, 0.00),
        rule(0.59, 1.22, 0.15, 0.45),
        rule(0.57, 1.72, 0.02, 0.42),
        rule(0.31, 0.41, 1.15, 0.34),
        rule(0.34, 2.15, 0.14, 0.28),
        rule(0.15, 2.49, 0.23, 0.27),
        rule(0.15, 1.52, 0.18, 0.48),
        rule(-0.25, 2.29, 0.23, 0.31),
        rule(-0.45, 2.79, -0.10, 0.35),
        rule(-0.57, 2.98, -0.10, 0.19),
        rule(-0.60, 1.11, 0.26, 0.89),
        rule(-0.35, 2.12, 0.18, 0.79),
        rule(-1.98, 3.43, -0.16, 0.27),
    ],
];
