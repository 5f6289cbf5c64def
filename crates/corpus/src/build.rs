//! Builds a corpus: sources in, a corpus folder out.
//!
//! Called by `corpus build`. Two passes: the first reads the sources once, finds duplicates, counts words and spools the texts
//! (compressed) beside the output; then the tokenizer is trained; the second cuts the spooled texts into tokens and
//! writes shards. Memory holds one batch of texts and the index, never the corpus. Everything is decided in the order of
//! sources and paths, so the number of threads changes nothing.

use std::path::PathBuf;

use crate::manifest::{
    Counts, FORMAT_VERSION, Language, LanguageCounts, MANIFEST_FILE, Manifest, ManifestConfig,
    Role, SourceEntry, TOKENIZER_FILE, TokenizerEntry,
};
use crate::shards::write_durably;
use crate::tokenizer_training::{self, MAX_VOCAB, MIN_VOCAB};
use crate::{CorpusError, Phase, Progress, Source, Step, source};

mod encoding;
mod reading;
mod spool;
mod staging;

use staging::Staging;

/// One project to put in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceSpec {
    /// Where it lies: whatever [`source::open`] reads.
    pub path: PathBuf,
    /// Its name in the corpus; no two projects share one.
    pub name: String,
    /// What it is for.
    pub role: Role,
    /// Its licence, where the caller knows better than the source's own licence file.
    pub licence: Option<String>,
}

/// What to build. [`BuildConfig::new`] gives the values that the small models use.
#[derive(Debug, Clone, PartialEq)]
pub struct BuildConfig {
    /// The projects. Their order decides which of two equal methods is the first, but train comes before withheld before dev.
    pub sources: Vec<SourceSpec>,
    /// The corpus folder; an older corpus there is replaced.
    pub out: PathBuf,
    /// Pieces of the tokenizer.
    pub vocab_size: usize,
    /// Lower and upper share of English in the tokenizer's training text.
    pub english_share: [f64; 2],
    /// Most tokens in a shard, unless one file has more.
    pub shard_tokens: usize,
    /// Seed of the near-duplicate search.
    pub seed: u64,
    /// A `tokenizer.json` to use instead of training one.
    pub tokenizer: Option<PathBuf>,
}

impl BuildConfig {
    /// A build of `sources` into `out` with a vocabulary of 8192 pieces, 20-25 % English and shards of 4 MB.
    pub fn new(sources: Vec<SourceSpec>, out: impl Into<PathBuf>) -> BuildConfig {
        BuildConfig {
            sources,
            out: out.into(),
            vocab_size: 8192,
            english_share: [0.20, 0.25],
            shard_tokens: 2 << 20,
            seed: 1,
            tokenizer: None,
        }
    }

    fn check(&self) -> Result<(), CorpusError> {
        let wrong = |field, value: String, expected| {
            Err(CorpusError::Config {
                field,
                value,
                expected,
            })
        };
        if !(MIN_VOCAB..=MAX_VOCAB).contains(&self.vocab_size) {
            return wrong(
                "vocab_size",
                self.vocab_size.to_string(),
                "264 to 65536 pieces",
            );
        }
        let [low, high] = self.english_share;
        if !(0.0 < low && low <= high && high < 1.0) {
            return wrong(
                "english_share",
                format!("{low}..{high}"),
                "two shares above 0 and below 1, the lower one first",
            );
        }
        if self.shard_tokens == 0 {
            return wrong("shard_tokens", "0".to_owned(), "at least 1");
        }
        if self.sources.is_empty() {
            return Err(CorpusError::NoSources);
        }
        if self.tokenizer.is_none() && self.sources.iter().all(|source| source.role != Role::Train)
        {
            return wrong(
                "sources",
                "none with role train".to_owned(),
                "at least one to train the tokenizer on, or a tokenizer of your own",
            );
        }
        let mut names: Vec<&str> = self
            .sources
            .iter()
            .map(|source| source.name.as_str())
            .collect();
        names.sort_unstable();
        match names.windows(2).find(|pair| pair[0] == pair[1]) {
            Some(pair) => Err(CorpusError::SameName(pair[0].to_owned())),
            None => Ok(()),
        }
    }
}

/// Builds the corpus that `config` describes. The folder `config.out` appears whole, or stays as it was.
pub fn build(config: &BuildConfig, progress: &dyn Progress) -> Result<Manifest, CorpusError> {
    config.check()?;
    let sources = open_all(config, progress)?;
    let staging = Staging::begin(&config.out)?;
    let mut scan = reading::read_all(&sources, staging.folder(), config.seed, progress)?;

    progress.step(&Step {
        phase: Phase::Training,
        source: "",
        done_bytes: 0,
        total_bytes: 0,
        done_files: 0,
        total_files: 0,
    });
    let (tokenizer_file, english_share) = match &config.tokenizer {
        Some(path) => (std::fs::read(path).map_err(CorpusError::io(path))?, None),
        None => {
            let trained = tokenizer_training::train(
                &std::mem::take(&mut scan.words),
                config.vocab_size,
                config.english_share,
            )?;
            (trained.file, Some(trained.english_share))
        }
    };
    let tokenizer_path = staging.folder().join(TOKENIZER_FILE);
    let tokenizer = nestor_bsl::Tokenizer::from_bytes(&tokenizer_file).map_err(|source| {
        CorpusError::Tokenizer {
            path: config.tokenizer.clone().unwrap_or(tokenizer_path.clone()),
            source,
        }
    })?;
    write_durably(&tokenizer_path, &tokenizer_file)?;

    let groups = scan.groups();
    let output = encoding::Output {
        folder: staging.folder(),
        shard_tokens: config.shard_tokens,
    };
    let encoded = encoding::encode_all(&sources, &scan, &groups, &tokenizer, &output, progress)?;

    progress.step(&Step {
        phase: Phase::Finishing,
        source: "",
        done_bytes: 0,
        total_bytes: 0,
        done_files: 0,
        total_files: 0,
    });
    let entries = source_entries(&sources, &scan, &groups, &encoded.stored);
    let mut totals = Counts::default();
    entries.iter().for_each(|entry| totals.add(&entry.counts));
    let manifest = Manifest {
        format_version: FORMAT_VERSION,
        config: ManifestConfig {
            vocab_size: config.vocab_size,
            english_share: config.english_share,
            shard_tokens: config.shard_tokens,
            seed: config.seed,
        },
        sources: entries,
        totals,
        languages: [Language::Russian, Language::English]
            .into_iter()
            .map(|l| (l, encoded.languages[l as usize]))
            .collect(),
        tokenizer: TokenizerEntry {
            sha256: tokenizer.sha256().to_owned(),
            vocab_size: tokenizer.vocab_size(),
            english_share,
        },
        index_sha256: encoded.index_sha256,
        shards: encoded.shards,
    };
    scan.spool.remove()?;
    write_durably(&staging.folder().join(MANIFEST_FILE), &manifest.to_bytes())?;
    staging.commit()?;
    Ok(manifest)
}

/// A source that is open, with what the caller said about it.
struct OpenSource<'a> {
    spec: &'a SourceSpec,
    source: Box<dyn Source>,
}

fn open_all<'a>(
    config: &'a BuildConfig,
    progress: &dyn Progress,
) -> Result<Vec<OpenSource<'a>>, CorpusError> {
    let mut specs: Vec<&SourceSpec> = config.sources.iter().collect();
    specs.sort_by_key(|spec| spec.role);
    let total_files = specs.len();
    let open = |(done_files, spec): (usize, &'a SourceSpec)| {
        progress.step(&Step {
            phase: Phase::Listing,
            source: &spec.name,
            done_bytes: 0,
            total_bytes: 0,
            done_files,
            total_files,
        });
        Ok(OpenSource {
            spec,
            source: source::open(&spec.path)?,
        })
    };
    specs.into_iter().enumerate().map(open).collect()
}

/// What the second pass stored of a source.
#[derive(Debug, Clone, Copy, Default)]
struct Stored {
    files: u64,
    tokens: u64,
}

fn source_entries(
    sources: &[OpenSource<'_>],
    scan: &reading::Scan,
    groups: &[u32],
    stored: &[Stored],
) -> Vec<SourceEntry> {
    let near_duplicates = scan.near_duplicates(groups);
    let entry = |(idx, open): (usize, &OpenSource<'_>)| {
        let scanned = &scan.sources[idx];
        SourceEntry {
            name: open.spec.name.clone(),
            kind: open.source.kind(),
            role: open.spec.role,
            licence: open
                .spec
                .licence
                .as_deref()
                .or(open.source.licence())
                .unwrap_or("unknown")
                .to_owned(),
            revision: open.source.revision().map(str::to_owned),
            content_sha256: scanned.content_sha256.clone(),
            counts: Counts {
                near_duplicates: near_duplicates[idx],
                stored_files: stored[idx].files,
                tokens: stored[idx].tokens,
                ..scanned.counts
            },
            skipped: scanned.skipped.clone(),
        }
    };
    sources.iter().enumerate().map(entry).collect()
}

/// What the second pass gave.
struct Encoded {
    stored: Vec<Stored>,
    languages: [LanguageCounts; 2],
    shards: Vec<crate::manifest::ShardEntry>,
    index_sha256: String,
}

#[cfg(test)]
mod tests;
