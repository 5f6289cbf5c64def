//! The first pass: every source read once, duplicates found, words counted, texts spooled.

use std::ops::{ControlFlow, Range};
use std::path::Path;

use nestor_bsl::{method_hash, methods, split_words};
use nestor_metadata::{FileHash, Index, Metadata, read_file};
use rayon::prelude::*;
use rustc_hash::{FxHashMap, FxHashSet};
use sha2::{Digest, Sha256};

use super::OpenSource;
use super::spool::{Frame, Spool, SpoolWriter};
use crate::duplicates::{self, Signature};
use crate::manifest::{Counts, Language, Role, SkippedEntry, hex};
use crate::source::SourceFile;
use crate::tokenizer_training::WordCounts;
use crate::{CorpusError, Phase, Progress, Source, Step};

/// Texts looked at together.
const BATCH_BYTES: usize = 16 << 20;

/// Everything the first pass learned.
pub(super) struct Scan {
    pub(super) sources: Vec<ScannedSource>,
    /// The files to store, in order; the spool has their texts in the same order.
    pub(super) files: Vec<ScannedFile>,
    pub(super) words: WordCounts,
    pub(super) spool: Spool,
    /// By distinct method: its signature and the source that has it first.
    unique: Vec<(Option<Signature>, u32)>,
}

/// The figures of one source.
pub(super) struct ScannedSource {
    pub(super) counts: Counts,
    pub(super) skipped: Vec<SkippedEntry>,
    pub(super) content_sha256: String,
}

/// A file to store.
pub(super) struct ScannedFile {
    pub(super) source: usize,
    pub(super) path: String,
    pub(super) header: String,
    pub(super) outline: String,
    pub(super) language: Language,
    pub(super) bytes: usize,
    pub(super) methods: Vec<ScannedMethod>,
}

/// A method of a file to store.
pub(super) struct ScannedMethod {
    pub(super) span: Range<usize>,
    pub(super) hash: u64,
    /// Which of the distinct methods it is.
    pub(super) unique: u32,
    pub(super) is_first: bool,
}

impl Scan {
    /// For each distinct method, the distinct method that stands for its group.
    pub(super) fn groups(&self) -> Vec<u32> {
        let signatures: Vec<Option<Signature>> = self
            .unique
            .iter()
            .map(|(signature, _)| *signature)
            .collect();
        duplicates::groups(&signatures)
    }

    /// By source: the distinct methods it has first that nearly repeat an earlier one.
    pub(super) fn near_duplicates(&self, groups: &[u32]) -> Vec<u64> {
        let mut counts = vec![0; self.sources.len()];
        for (unique, &(_, source)) in self.unique.iter().enumerate() {
            counts[source as usize] += u64::from(groups[unique] != unique as u32);
        }
        counts
    }
}

/// Reads all `sources`, in their order.
pub(super) fn read_all(
    sources: &[OpenSource<'_>],
    folder: &Path,
    seed: u64,
    progress: &dyn Progress,
) -> Result<Scan, CorpusError> {
    let sizes: Vec<(usize, u64)> = sources.iter().map(|open| open.source.size()).collect();
    let mut reader = Reader {
        seed,
        progress,
        total_files: sizes.iter().map(|(files, _)| files).sum(),
        total_bytes: sizes.iter().map(|(_, bytes)| bytes).sum(),
        done: (0, 0),
        texts: FxHashSet::default(),
        method_ids: FxHashMap::default(),
        words: WordCounts::default(),
        unique: Vec::new(),
        files: Vec::new(),
        spool: SpoolWriter::create(folder)?,
    };
    reader.report("", (0, 0));
    let mut scanned = Vec::with_capacity(sources.len());
    for (idx, open) in sources.iter().enumerate() {
        scanned.push(reader.read(idx, open)?);
        let done = (
            sizes[..=idx].iter().map(|(files, _)| files).sum(),
            sizes[..=idx].iter().map(|(_, bytes)| bytes).sum(),
        );
        reader.report(&open.spec.name, done);
    }
    let Reader {
        files,
        words,
        spool,
        unique,
        ..
    } = reader;
    Ok(Scan {
        sources: scanned,
        files,
        words,
        spool: spool.finish()?,
        unique,
    })
}

struct Reader<'a> {
    seed: u64,
    progress: &'a dyn Progress,
    total_files: usize,
    total_bytes: u64,
    /// Files and bytes of the sources before this moment.
    done: (usize, u64),
    /// First halves of the SHA-256 of all texts stored.
    texts: FxHashSet<[u8; 16]>,
    method_ids: FxHashMap<u64, u32>,
    words: WordCounts,
    unique: Vec<(Option<Signature>, u32)>,
    files: Vec<ScannedFile>,
    spool: SpoolWriter,
}

/// What can be said of a file without the others.
struct Looked {
    sha256: [u8; 32],
    header: String,
    outline: String,
    language: Language,
    methods: Vec<(Range<usize>, u64)>,
}

/// A file of a batch that no file before it equals.
struct Kept<'f> {
    file: &'f SourceFile,
    header: String,
    outline: String,
    language: Language,
    methods: Vec<ScannedMethod>,
}

impl Reader<'_> {
    fn read(&mut self, idx: usize, open: &OpenSource<'_>) -> Result<ScannedSource, CorpusError> {
        let mut counts = Counts::default();
        let mut content = Sha256::new();
        let metadata = linked_metadata(&*open.source)?;
        let mut batch: Vec<SourceFile> = Vec::new();
        let mut batch_bytes = 0;
        let mut failure = None;
        let report = open.source.read(&mut |file| {
            batch_bytes += file.text.len();
            batch.push(file);
            if batch_bytes < BATCH_BYTES {
                return ControlFlow::Continue(());
            }
            batch_bytes = 0;
            match self.look(
                idx,
                open,
                &metadata,
                std::mem::take(&mut batch),
                &mut counts,
                &mut content,
            ) {
                Ok(()) => ControlFlow::Continue(()),
                Err(error) => {
                    failure = Some(error);
                    ControlFlow::Break(())
                }
            }
        })?;
        if let Some(error) = failure {
            return Err(error);
        }
        self.look(idx, open, &metadata, batch, &mut counts, &mut content)?;
        if let (0, Some(first)) = (report.files, report.skipped.first()) {
            return Err(CorpusError::NothingReadable {
                path: open.spec.path.clone(),
                first: first.path.clone(),
                reason: first.reason.clone(),
            });
        }
        counts.empty_files = report.empty as u64;
        counts.skipped_files = report.skipped.len() as u64;
        let skipped = report
            .skipped
            .into_iter()
            .map(|skipped| SkippedEntry {
                path: skipped.path,
                reason: skipped.reason,
            })
            .collect();
        Ok(ScannedSource {
            counts,
            skipped,
            content_sha256: hex(&content.finalize()),
        })
    }

    /// Takes in one batch of files.
    fn look(
        &mut self,
        idx: usize,
        open: &OpenSource<'_>,
        metadata: &Metadata,
        batch: Vec<SourceFile>,
        counts: &mut Counts,
        content: &mut Sha256,
    ) -> Result<(), CorpusError> {
        let looked: Vec<Looked> = batch
            .par_iter()
            .map(|file| look_at(file, metadata))
            .collect();
        let mut stored = Vec::new();
        let first_unique = self.unique.len();
        for (file, looked) in batch.iter().zip(looked) {
            counts.files += 1;
            counts.bytes += file.text.len() as u64;
            counts.methods += looked.methods.len() as u64;
            content.update(file.path.as_bytes());
            content.update([0]);
            content.update(looked.sha256);
            let mut half = [0; 16];
            half.copy_from_slice(&looked.sha256[..16]);
            if !self.texts.insert(half) {
                counts.duplicate_files += 1;
                continue;
            }
            let methods: Vec<ScannedMethod> = looked
                .methods
                .into_iter()
                .map(|(span, hash)| self.method(span, hash, idx))
                .collect();
            counts.unique_methods += methods.iter().filter(|method| method.is_first).count() as u64;
            stored.push(Kept {
                file,
                header: looked.header,
                outline: looked.outline,
                language: looked.language,
                methods,
            });
        }
        let is_train = open.spec.role == Role::Train;
        let seed = self.seed;
        let (frames, signatures): (Vec<_>, Vec<_>) = stored
            .par_iter()
            .map(|kept| {
                let file = kept.file;
                let firsts = kept.methods.iter().filter(|method| method.is_first);
                let signatures: Vec<_> = firsts
                    .map(|method| {
                        (
                            method.unique,
                            Signature::of(&file.text[method.span.clone()], seed),
                        )
                    })
                    .collect();
                (Frame::of(&file.text), signatures)
            })
            .unzip();
        if is_train {
            let batch_words = stored
                .par_iter()
                .fold(WordCounts::default, |mut words, kept| {
                    count_words(&kept.file.text, kept.language, &kept.methods, &mut words);
                    words
                });
            let batch_words = batch_words.reduce(WordCounts::default, |mut a, b| {
                a.merge(b);
                a
            });
            self.words.merge(batch_words);
            self.words.shrink();
        }
        for (unique, signature) in signatures.into_iter().flatten() {
            debug_assert!(unique as usize >= first_unique);
            self.unique[unique as usize].0 = signature;
        }
        for frame in frames {
            self.spool
                .push(&frame.map_err(CorpusError::io(&open.spec.path))?)?;
        }
        for kept in stored {
            self.files.push(ScannedFile {
                source: idx,
                path: kept.file.path.clone(),
                header: kept.header,
                outline: kept.outline,
                language: kept.language,
                bytes: kept.file.text.len(),
                methods: kept.methods,
            });
        }
        let done = (
            self.done.0 + batch.len(),
            self.done.1 + batch.iter().map(|file| file.text.len() as u64).sum::<u64>(),
        );
        self.report(&open.spec.name, done);
        Ok(())
    }

    fn method(&mut self, span: Range<usize>, hash: u64, source: usize) -> ScannedMethod {
        let next = self.unique.len() as u32;
        let unique = *self.method_ids.entry(hash).or_insert(next);
        let is_first = unique == next;
        if is_first {
            self.unique.push((None, source as u32));
        }
        ScannedMethod {
            span,
            hash,
            unique,
            is_first,
        }
    }

    fn report(&mut self, source: &str, done: (usize, u64)) {
        self.done = done;
        self.progress.step(&Step {
            phase: Phase::Reading,
            source,
            done_bytes: done.1.min(self.total_bytes),
            total_bytes: self.total_bytes,
            done_files: done.0.min(self.total_files),
            total_files: self.total_files,
        });
    }
}

/// What the XML of a source says; of its modules nothing is asked.
fn linked_metadata(source: &dyn Source) -> Result<Metadata, CorpusError> {
    let files = source.metadata_files();
    let wanted: Vec<usize> = (0..files.len())
        .filter(|&file| !files[file].is_module)
        .collect();
    let mut index = Index::new();
    source.read_metadata(&wanted, &mut |batch| {
        let facts: Vec<_> = batch
            .par_iter()
            .map(|read| read_file(files[read.file].path, &read.bytes))
            .collect();
        for (read, facts) in batch.iter().zip(facts) {
            index.insert(files[read.file].path, FileHash::of(&read.bytes), facts);
        }
    })?;
    Ok(index.link().0)
}

fn look_at(file: &SourceFile, metadata: &Metadata) -> Looked {
    let found = methods(&file.text);
    Looked {
        sha256: Sha256::digest(file.text.as_bytes()).into(),
        header: file.module_path().header(),
        outline: metadata.outline(&file.path),
        language: Language::of(&file.text),
        methods: found
            .into_iter()
            .map(|method| (method.span.clone(), method_hash(&file.text[method.span])))
            .collect(),
    }
}

/// Counts the words of a file but those of methods that occurred before.
fn count_words(text: &str, language: Language, methods: &[ScannedMethod], words: &mut WordCounts) {
    let mut counted: FxHashMap<(&str, Language), u64> = FxHashMap::default();
    let mut rest = methods;
    let mut method_language = language;
    let mut entered = false;
    for word in split_words(text) {
        while rest
            .first()
            .is_some_and(|method| method.span.end <= word.start)
        {
            rest = &rest[1..];
            entered = false;
        }
        let mut word_language = language;
        if let Some(method) = rest.first().filter(|method| method.span.start < word.end) {
            if !method.is_first {
                continue;
            }
            if !entered {
                method_language = Language::of(&text[method.span.clone()]);
                entered = true;
            }
            word_language = method_language;
        }
        *counted.entry((&text[word], word_language)).or_default() += 1;
    }
    for ((word, language), count) in counted {
        words.add(word, language, count);
    }
}
