//! Forgetting for good, and letting go of versions that only took room: the memory is written anew without the texts, under the next
//! generation's names.
//!
//! Replacing the header is the moment at which everyone sees the new state; until then a failure leaves the old one as it
//! was. The old files are deleted afterwards. What the operating system or the drive keeps of deleted files is beyond us.

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::io::{BufWriter, Seek, SeekFrom, Write};

use crate::error::MemoryError;
use crate::header::Header;
use crate::record::{Operation, Record, lies_under};
use crate::replay;
use crate::segments::{self, Place};
use crate::writer::{ProjectWriter, remove_leftovers};
use crate::{files, log};

/// Earlier versions of a file that are kept whatever they teach.
const KEPT_VERSIONS: u32 = 64;

/// Bytes of versions to let go of, below which nothing is done.
const LEAST_SPARED: u64 = 16 << 20;

/// Erases every text under `path`; all changes have been committed.
pub(crate) fn erase(writer: &mut ProjectWriter, path: &str) -> Result<(), MemoryError> {
    let goes = |_: &Record, of: &str| lies_under(of, path);
    let forget = Operation::Forget {
        path: path.to_owned(),
        erased: true,
    };
    rewrite(writer, &goes, vec![forget])
}

/// Lets go of the texts of these records, which are damaged; returns the paths that count no more.
pub(crate) fn let_go_of_damaged(
    writer: &mut ProjectWriter,
    damaged: &HashSet<u64>,
) -> Result<Vec<String>, MemoryError> {
    let files = writer.store.files.iter();
    let gone = files.filter(|(_, file)| damaged.contains(&file.seq));
    let gone: Vec<String> = gone.map(|(path, _)| path.clone()).collect();
    let forget = |path: &String| Operation::Forget {
        path: path.clone(),
        erased: false,
    };
    let mut last: Vec<Operation> = gone.iter().map(forget).collect();
    last.push(Operation::Note {
        text: format!("let go of {} damaged texts", damaged.len()),
    });
    let goes = |record: &Record, _: &str| damaged.contains(&record.seq);
    rewrite(writer, &goes, last)?;
    Ok(gone)
}

/// What [`ProjectWriter::let_go_of_old_versions`] does; all changes have been committed.
pub(crate) fn let_go_of_old_versions(writer: &mut ProjectWriter) -> Result<(), MemoryError> {
    let store = &writer.store;
    let live = store
        .files
        .values()
        .map(|file| u64::from(file.place.len))
        .sum::<u64>();
    let enough = live.max(LEAST_SPARED);
    if store.segments_end.saturating_sub(live) < enough {
        return Ok(());
    }
    let (versions, spared) = old_versions(&store.records, &store.files);
    if spared < enough {
        return Ok(());
    }
    let text = format!(
        "let go of {} earlier versions of files that change often",
        versions.len()
    );
    let goes = |record: &Record, _: &str| versions.contains(&record.seq);
    rewrite(writer, &goes, vec![Operation::Note { text }])
}

/// The versions that may go, and their bytes.
fn old_versions(records: &[Record], files: &replay::Files) -> (HashSet<u64>, u64) {
    let (mut newer, mut versions, mut bytes) = (HashMap::new(), HashSet::new(), 0);
    for record in records.iter().rev() {
        let Operation::Learn {
            path,
            place: Some(place),
            ..
        } = &record.op
        else {
            continue;
        };
        let newer: &mut u32 = newer.entry(path.as_str()).or_default();
        *newer += 1;
        let counts = files.get(path).is_some_and(|file| file.seq == record.seq);
        let teaches = replay::learned(record).is_some_and(|file| file.teaches_levels());
        if *newer > KEPT_VERSIONS && !counts && !teaches {
            versions.insert(record.seq);
            bytes += u64::from(place.len);
        }
    }
    (versions, bytes)
}

/// Writes the next generation without the texts of the records that `goes` names, by their paths; `last` says so in the history.
fn rewrite(
    writer: &mut ProjectWriter,
    goes: &dyn Fn(&Record, &str) -> bool,
    last: Vec<Operation>,
) -> Result<(), MemoryError> {
    let store = &writer.store;
    let dir = store.dir.clone();
    let mut header = store.header.clone();
    header.generation += 1;
    let (log_path, segments_path) = (header.log_path(&dir), header.segments_path(&dir));
    let written = write_generation(writer, goes, last, &log_path, &segments_path).and_then(|new| {
        files::sync_folder(&dir)?;
        header.write(&dir)?;
        Ok(new)
    });
    let new = match written {
        Ok(new) => new,
        Err(error) => {
            let old = writer.store.header.generation;
            if Header::read(&dir).is_ok_and(|now| now.generation == old) {
                // Nobody has seen these files; the next writer removes what stays of them.
                let _ = files::remove(&log_path);
                let _ = files::remove(&segments_path);
            } else {
                // The header was replaced, but not durably: both generations must stay until it is known which counts.
                writer.failed = true;
            }
            return Err(error);
        }
    };
    let store = &mut writer.store;
    store.header = header;
    store.files = replay::files_after(&new.records, new.records.len() as u64).0;
    store.records = new.records;
    store.texts = std::sync::OnceLock::new();
    store.segments = new.segments.into();
    store.segments_end = new.segments_end;
    writer.log = new.log;
    remove_leftovers(&writer.store)
}

struct Generation {
    records: Vec<Record>,
    log: File,
    segments: File,
    segments_end: u64,
}

fn write_generation(
    writer: &ProjectWriter,
    goes: &dyn Fn(&Record, &str) -> bool,
    last: Vec<Operation>,
    log_path: &std::path::Path,
    segments_path: &std::path::Path,
) -> Result<Generation, MemoryError> {
    let store = &writer.store;
    let io = || MemoryError::io(segments_path);
    let mut segments = BufWriter::new(files::create(segments_path)?);
    segments.write_all(&segments::FILE_HEADER).map_err(io())?;
    let mut end = segments::FILE_HEADER.len() as u64;
    let mut records = store.records.clone();
    let mut lines = String::new();
    for (record, before) in records.iter_mut().zip(&store.records) {
        let seq = record.seq;
        if let Operation::Learn {
            path: of,
            place,
            pieces,
            ..
        } = &mut record.op
            && let Some(old) = *place
        {
            if goes(before, of) {
                *place = None;
            } else {
                let frame = store.frame(old)?;
                // Damage is told here, not carried on into a file that looks new.
                segments::check(&frame, seq, *pieces)
                    .map_err(|reason| MemoryError::corrupt(store.segments_path(), reason))?;
                segments.write_all(&frame).map_err(io())?;
                *place = Some(Place {
                    at: end,
                    len: old.len,
                });
                end += u64::from(old.len);
            }
        }
        lines.push_str(&log::line(record));
    }
    for (seq, op) in (store.last_seq() + 1..).zip(last) {
        let time = writer.time;
        let record = Record { seq, time, op };
        lines.push_str(&log::line(&record));
        records.push(record);
    }
    lines.push_str(&log::commit_line(records.len() as u64, writer.time));
    let segments = segments
        .into_inner()
        .map_err(|error| io()(error.into_error()))?;
    segments.sync_all().map_err(io())?;
    let mut log = files::create(log_path)?;
    log.write_all(lines.as_bytes())
        .and_then(|()| log.sync_all())
        .and_then(|()| log.seek(SeekFrom::End(0)).map(|_| ()))
        .map_err(MemoryError::io(log_path))?;
    Ok(Generation {
        records,
        log,
        segments,
        segments_end: end,
    })
}
