//! How much a level's evidence is trusted: `p(w) = (count(w) + kappa * p_shorter(w)) / (total + kappa)` with
//! `kappa = own + per_distinct * distinct` (between Jelinek-Mercer and Witten-Bell).

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
struct Kappa {
    own: f32,
    per_distinct: f32,
}

const fn kappa(own: f32, per_distinct: f32) -> Kappa {
    Kappa { own, per_distinct }
}

/// Per source and level.
const TABLE: [[Kappa; LEVELS]; 4] = [[kappa(0.5, 0.8); LEVELS]; 4];

/// Pseudo-count of everything that is not in this level's counts.
pub(crate) fn escape(source: Source, level: usize, distinct: u32) -> f32 {
    let kappa = TABLE[source as usize][level];
    kappa.own + kappa.per_distinct * distinct as f32
}

/// The same for a context of the corpus model.
pub(crate) fn corpus_escape(order: usize, distinct: u32) -> f32 {
    escape(Source::Corpus, order, distinct)
}
