//! Files that only their owner reads, written so that a crash leaves the old or the new one.
//!
//! The one place that knows what the platform has: access rights and the syncing of folders exist on Unix; on Windows the
//! user's own folders are private already and folders need no syncing.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use crate::error::MemoryError;

/// Creates a folder and those above it, for its owner alone.
pub(crate) fn create_folder(path: &Path) -> Result<(), MemoryError> {
    let mut builder = DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path).map_err(MemoryError::io(path))
}

/// Creates an empty file, for its owner alone; one that is there is emptied.
pub(crate) fn create(path: &Path) -> Result<File, MemoryError> {
    private()
        .read(true)
        .write(true)
        .create(true)
        .truncate(true)
        .open(path)
        .map_err(MemoryError::io(path))
}

/// Creates a file that must not be there, for its owner alone.
pub(crate) fn create_new(path: &Path) -> Result<File, MemoryError> {
    let created = private().read(true).write(true).create_new(true).open(path);
    created.map_err(|source| match source.kind() {
        io::ErrorKind::AlreadyExists => MemoryError::Exists(path.to_owned()),
        _ => MemoryError::io(path)(source),
    })
}

/// Opens a file to read and change it; created if it is not there, its content stays.
pub(crate) fn open_or_create(path: &Path) -> Result<File, MemoryError> {
    private()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(path)
        .map_err(MemoryError::io(path))
}

/// Writes a file beside `path`, syncs it and puts it in its place.
pub(crate) fn replace(path: &Path, bytes: &[u8]) -> Result<(), MemoryError> {
    let beside = beside(path);
    let mut file = create(&beside)?;
    let written = file
        .write_all(bytes)
        .and_then(|()| file.sync_all())
        .and_then(|()| std::fs::rename(&beside, path));
    if let Err(error) = written {
        // The first error is the one to tell.
        let _ = std::fs::remove_file(&beside);
        return Err(MemoryError::io(path)(error));
    }
    sync_folder(path.parent().unwrap_or(Path::new(".")))
}

/// Where a file is written before it takes its place.
pub(crate) fn beside(path: &Path) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".part");
    path.with_file_name(name)
}

/// Makes the names in a folder durable.
pub(crate) fn sync_folder(path: &Path) -> Result<(), MemoryError> {
    #[cfg(unix)]
    {
        let path = if path.as_os_str().is_empty() {
            Path::new(".")
        } else {
            path
        };
        File::open(path)
            .and_then(|folder| folder.sync_all())
            .map_err(MemoryError::io(path))?;
    }
    #[cfg(not(unix))]
    let _ = path;
    Ok(())
}

/// Removes a file or folder; one that is not there is removed already.
pub(crate) fn remove(path: &Path) -> io::Result<()> {
    let removed = if path.is_dir() {
        std::fs::remove_dir_all(path)
    } else {
        std::fs::remove_file(path)
    };
    match removed {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

fn private() -> OpenOptions {
    #[cfg_attr(
        not(unix),
        expect(unused_mut, reason = "only Unix has access rights to set")
    )]
    let mut options = OpenOptions::new();
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}
