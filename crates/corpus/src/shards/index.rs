//! The index of a corpus: one JSON object a line and file, compressed.

use std::borrow::Cow;
use std::io::{BufRead, BufReader, Write};

use serde::{Deserialize, Serialize};

use super::{FileEntry, MethodSpan};
use crate::manifest::{Language, Manifest};

const COMPRESSION_LEVEL: i32 = 6;

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Line<'a> {
    project: usize,
    path: Cow<'a, str>,
    header: Cow<'a, str>,
    /// Corpora of before have none.
    #[serde(default, skip_serializing_if = "str::is_empty")]
    outline: Cow<'a, str>,
    language: Language,
    bytes: usize,
    shard: usize,
    /// Start and length in the shard.
    tokens: (usize, usize),
    /// Start, length, hash, first occurrence, group.
    methods: Vec<(usize, usize, u64, bool, u32)>,
}

/// The bytes of the index file.
pub(super) fn encode(files: &[FileEntry]) -> std::io::Result<Vec<u8>> {
    let mut encoder = zstd::Encoder::new(Vec::new(), COMPRESSION_LEVEL)?;
    for file in files {
        let line = Line {
            project: file.project,
            path: file.path.as_str().into(),
            header: file.header.as_str().into(),
            outline: file.outline.as_str().into(),
            language: file.language,
            bytes: file.bytes,
            shard: file.shard,
            tokens: (file.tokens.start, file.tokens.len()),
            methods: file
                .methods
                .iter()
                .map(|m| (m.tokens.start, m.tokens.len(), m.hash, m.is_first, m.group))
                .collect(),
        };
        serde_json::to_writer(&mut encoder, &line)?;
        encoder.write_all(b"\n")?;
    }
    encoder.finish()
}

/// Reads the index and checks that everything in it lies where the manifest allows.
pub(super) fn decode(bytes: &[u8], manifest: &Manifest) -> Result<Vec<FileEntry>, String> {
    let lines =
        BufReader::new(zstd::Decoder::new(bytes).map_err(|error| error.to_string())?).lines();
    let mut files: Vec<FileEntry> = Vec::new();
    for (number, line) in lines.enumerate() {
        let at = |reason: String| format!("line {}: {reason}", number + 1);
        let line = line.map_err(|error| at(error.to_string()))?;
        let line: Line<'_> = serde_json::from_str(&line).map_err(|error| at(error.to_string()))?;
        let shard = manifest
            .shards
            .get(line.shard)
            .ok_or_else(|| at(format!("no shard {}", line.shard)))?;
        let (start, len) = line.tokens;
        let end = start
            .checked_add(len)
            .filter(|&end| end as u64 <= shard.tokens)
            .ok_or_else(|| at("tokens outside the shard".to_owned()))?;
        if line.project >= manifest.sources.len()
            || files.last().is_some_and(|last| last.project > line.project)
        {
            return Err(at(format!("project {} is out of order", line.project)));
        }
        let methods: Option<Vec<MethodSpan>> = line
            .methods
            .into_iter()
            .map(|(start, method_len, hash, is_first, group)| {
                let end = start.checked_add(method_len).filter(|&end| end <= len)?;
                Some(MethodSpan {
                    tokens: start..end,
                    hash,
                    is_first,
                    group,
                })
            })
            .collect();
        files.push(FileEntry {
            project: line.project,
            path: line.path.into_owned(),
            header: line.header.into_owned(),
            outline: line.outline.into_owned(),
            language: line.language,
            bytes: line.bytes,
            shard: line.shard,
            tokens: start..end,
            methods: methods.ok_or_else(|| at("a method outside its file".to_owned()))?,
        });
    }
    Ok(files)
}
