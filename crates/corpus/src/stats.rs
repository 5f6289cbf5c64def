//! Figures of a corpus for people: `corpus stats`.

use serde::Serialize;

use crate::manifest::{Counts, Language, LanguageCounts, Role};
use crate::source::SourceKind;
use crate::{Corpus, Manifest};

/// The figures of a corpus.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Stats {
    /// By project.
    pub projects: Vec<ProjectStats>,
    /// By role, in the order train, withheld, dev; roles without a project are left out.
    pub roles: Vec<(Role, Counts)>,
    /// All together.
    pub totals: Counts,
    /// By language of the stored files.
    pub languages: Vec<LanguageStats>,
    /// Pieces of the tokenizer.
    pub vocab_size: usize,
    /// Number of shards.
    pub shards: usize,
    /// Lengths of the distinct methods to train on, in tokens: median, 90th and 99th percentile, longest.
    pub method_tokens: [usize; 4],
}

/// The figures of one project.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ProjectStats {
    /// Its name.
    pub name: String,
    /// How it was stored.
    pub kind: SourceKind,
    /// What it is for.
    pub role: Role,
    /// Its licence.
    pub licence: String,
    /// Its figures.
    pub counts: Counts,
}

/// Text of one language.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct LanguageStats {
    /// The language.
    pub language: Language,
    /// Files, bytes, tokens.
    pub counts: LanguageCounts,
    /// Bytes a token stands for on average.
    pub bytes_per_token: f64,
}

/// Gathers the figures of `corpus`.
pub fn stats(corpus: &Corpus) -> Stats {
    let manifest = corpus.manifest();
    let train = corpus
        .files()
        .iter()
        .filter(|file| corpus.projects()[file.project].role == Role::Train);
    let mut lengths: Vec<usize> = train
        .flat_map(|file| &file.methods)
        .filter(|method| method.is_first)
        .map(|method| method.tokens.len())
        .collect();
    lengths.sort_unstable();
    let percentile = |part: f64| {
        lengths
            .get(((lengths.len().max(1) - 1) as f64 * part) as usize)
            .copied()
            .unwrap_or(0)
    };
    Stats {
        projects: manifest.sources.iter().map(project_stats).collect(),
        roles: roles(manifest),
        totals: manifest.totals,
        languages: manifest.languages.iter().map(language_stats).collect(),
        vocab_size: manifest.tokenizer.vocab_size,
        shards: manifest.shards.len(),
        method_tokens: [0.5, 0.9, 0.99, 1.0].map(percentile),
    }
}

fn project_stats(source: &crate::manifest::SourceEntry) -> ProjectStats {
    ProjectStats {
        name: source.name.clone(),
        kind: source.kind,
        role: source.role,
        licence: source.licence.clone(),
        counts: source.counts,
    }
}

fn roles(manifest: &Manifest) -> Vec<(Role, Counts)> {
    let sum = |role: Role| {
        let mut counts = Counts::default();
        let mut of_role = manifest
            .sources
            .iter()
            .filter(|source| source.role == role)
            .peekable();
        of_role.peek()?;
        of_role.for_each(|source| counts.add(&source.counts));
        Some((role, counts))
    };
    [Role::Train, Role::Withheld, Role::Dev]
        .into_iter()
        .filter_map(sum)
        .collect()
}

fn language_stats((&language, &counts): (&Language, &LanguageCounts)) -> LanguageStats {
    LanguageStats {
        language,
        counts,
        bytes_per_token: counts.bytes as f64 / counts.tokens.max(1) as f64,
    }
}
