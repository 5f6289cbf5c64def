//! The files of a source that say what the configuration is made of: XML, `.mdo`, `.form`, and the modules themselves.
//!
//! Which files those are is `nestor-metadata`'s to say; here they are listed and read, and nobody looks into them.

use nestor_metadata::is_metadata_path;
use rayon::prelude::*;

use super::{BATCH_FILES, Dumped, Files, LoadError, MAX_FILE_BYTES, Skipped, Stamp, is_module};
use crate::CorpusError;

/// A file that may say something about metadata, as a source lists it without reading it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MetadataFile<'a> {
    /// Its path in the source, with `/` between folders.
    pub path: &'a str,
    /// What tells its version.
    pub stamp: Stamp,
    /// What Designer's dump says of its object, if the file was not changed behind the dump.
    pub dumped: Option<Dumped>,
    /// It holds code, which the source also hands out as a module.
    pub is_module: bool,
}

/// A file that was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MetadataBytes {
    /// Its index in the list.
    pub file: usize,
    /// Its content as it is stored.
    pub bytes: Vec<u8>,
}

/// The files of the list, as indexes of the storage. Binary ones say nothing but that they cannot be read, which the reading of
/// modules says too.
fn listed<F: Files>(files: &F) -> Vec<usize> {
    let paths: Vec<&str> = files.paths().collect();
    let mut listed: Vec<usize> = (0..paths.len())
        .filter(|&file| is_metadata_path(paths[file]) && !paths[file].ends_with(".bin"))
        .collect();
    listed.sort_by_key(|&file| paths[file]);
    listed
}

pub(super) fn list<'f, F: Files>(
    files: &'f F,
    dumped: &dyn Fn(usize) -> Option<Dumped>,
) -> Vec<MetadataFile<'f>> {
    listed(files)
        .into_iter()
        .map(|file| MetadataFile {
            path: files.path(file),
            stamp: files.stamp(file),
            dumped: dumped(file),
            is_module: is_module(files.path(file)),
        })
        .collect()
}

pub(super) fn read<F: Files>(
    files: &F,
    wanted: &[usize],
    visit: &mut dyn FnMut(Vec<MetadataBytes>),
) -> Result<Vec<Skipped>, CorpusError> {
    let listed = listed(files);
    let mut skipped = Vec::new();
    for batch in wanted.chunks(BATCH_FILES) {
        let loaded: Vec<Result<Vec<u8>, LoadError>> = batch
            .par_iter()
            .map_init(
                || files.loader(),
                |loader, &idx| {
                    let bytes = files.load(loader, listed[idx])?;
                    if bytes.len() as u64 > MAX_FILE_BYTES {
                        let reason = format!("larger than {} MB", MAX_FILE_BYTES >> 20);
                        return Err(LoadError::Skip(reason));
                    }
                    Ok(bytes)
                },
            )
            .collect();
        let mut read = Vec::with_capacity(batch.len());
        for (&file, loaded) in batch.iter().zip(loaded) {
            match loaded {
                Ok(bytes) => read.push(MetadataBytes { file, bytes }),
                Err(LoadError::Skip(reason)) => skipped.push(Skipped {
                    path: files.path(listed[file]).to_owned(),
                    reason,
                }),
                Err(LoadError::Fatal(error)) => return Err(error),
            }
        }
        visit(read);
    }
    Ok(skipped)
}
