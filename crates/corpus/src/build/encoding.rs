//! The second pass: spooled texts to tokens, tokens to shards.

use std::path::Path;

use nestor_bsl::Tokenizer;
use rayon::prelude::*;

use super::reading::{Scan, ScannedFile};
use super::spool::Frame;
use super::{Encoded, OpenSource, Stored};
use crate::manifest::LanguageCounts;
use crate::shards::{FileEntry, MethodSpan, ShardWriter};
use crate::{CorpusError, Phase, Progress, Step};

/// Bytes of text cut into tokens together.
const BATCH_BYTES: usize = 16 << 20;

/// Where the shards go.
pub(super) struct Output<'a> {
    pub(super) folder: &'a Path,
    pub(super) shard_tokens: usize,
}

/// Cuts all files of `scan` and writes shards and index.
pub(super) fn encode_all(
    sources: &[OpenSource<'_>],
    scan: &Scan,
    groups: &[u32],
    tokenizer: &Tokenizer,
    output: &Output<'_>,
    progress: &dyn Progress,
) -> Result<Encoded, CorpusError> {
    let mut writer = ShardWriter::new(output.folder, output.shard_tokens)?;
    let mut spool = scan.spool.reader()?;
    let mut stored = vec![Stored::default(); scan.sources.len()];
    let mut languages = [LanguageCounts::default(); 2];
    let total_bytes = scan.files.iter().map(|file| file.bytes as u64).sum();
    let (mut done_bytes, mut done_files) = (0, 0);
    let report = |source: &str, done_bytes: u64, done_files: usize| {
        progress.step(&Step {
            phase: Phase::Encoding,
            source,
            done_bytes,
            total_bytes,
            done_files,
            total_files: scan.files.len(),
        });
    };
    report("", 0, 0);
    while done_files < scan.files.len() {
        let batch = &scan.files[done_files..];
        let mut bytes = 0;
        let len = batch
            .iter()
            .take_while(|file| {
                let fits = bytes < BATCH_BYTES;
                bytes += file.bytes;
                fits
            })
            .count();
        let batch = &batch[..len];
        let frames: Vec<Frame> = batch
            .iter()
            .map(|_| spool.next())
            .collect::<Result<_, _>>()?;
        let cut: Vec<std::io::Result<_>> = batch
            .par_iter()
            .zip(frames)
            .map(|(file, frame)| Ok(encode(file, &frame.text()?, groups, tokenizer)))
            .collect();
        for (file, cut) in batch.iter().zip(cut) {
            let (tokens, methods) = cut.map_err(CorpusError::io(output.folder))?;
            let (n_bytes, n_tokens) = (file.bytes as u64, tokens.len() as u64);
            stored[file.source].files += 1;
            stored[file.source].tokens += n_tokens;
            let language = &mut languages[file.language as usize];
            language.files += 1;
            language.bytes += n_bytes;
            language.tokens += n_tokens;
            let entry = FileEntry {
                project: file.source,
                path: file.path.clone(),
                header: file.header.clone(),
                outline: file.outline.clone(),
                language: file.language,
                bytes: file.bytes,
                shard: 0,
                tokens: 0..0,
                methods,
            };
            writer.push(entry, &tokens)?;
            done_bytes += n_bytes;
        }
        done_files += len;
        report(&sources[batch[0].source].spec.name, done_bytes, done_files);
    }
    let (shards, index_sha256) = writer.finish()?;
    Ok(Encoded {
        stored,
        languages,
        shards,
        index_sha256,
    })
}

fn encode(
    file: &ScannedFile,
    text: &str,
    groups: &[u32],
    tokenizer: &Tokenizer,
) -> (Vec<u16>, Vec<MethodSpan>) {
    let ids = tokenizer.encode(text);
    let mut tokens = Vec::with_capacity(ids.len());
    // Ends of the tokens in the text, for the methods' borders.
    let mut ends = Vec::with_capacity(ids.len());
    let mut end = 0;
    for id in ids {
        end += tokenizer.piece(id).len();
        ends.push(end);
        tokens.push(u16::try_from(id).expect("a vocabulary has at most 65536 pieces"));
    }
    let methods = file.methods.iter().map(|method| {
        let start = ends.partition_point(|&end| end <= method.span.start);
        let last = ends.partition_point(|&end| end < method.span.end);
        let tokens = start..(last + 1).min(ends.len()).max(start);
        MethodSpan {
            tokens,
            hash: method.hash,
            is_first: method.is_first,
            group: groups[method.unique as usize],
        }
    });
    let methods = methods.collect();
    (tokens, methods)
}
