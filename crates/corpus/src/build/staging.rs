//! The folder a corpus is written in before it takes its place.
//!
//! It is a sibling of the output, `NAME.part`, locked while a build runs. A failed build removes it; what a killed one left is
//! removed by the next. An older corpus at the output is set aside as `NAME.old` only for the moment of the exchange.

use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};

use crate::CorpusError;
use crate::manifest::MANIFEST_FILE;

const LOCK_FILE: &str = "lock";

pub(super) struct Staging {
    out: PathBuf,
    part: PathBuf,
    old: PathBuf,
    lock: Option<File>,
}

impl Staging {
    /// Claims the sibling folder of `out`.
    pub(super) fn begin(out: &Path) -> Result<Staging, CorpusError> {
        let (part, old) = (sibling(out, "part"), sibling(out, "old"));
        if old.exists() && !out.exists() {
            // A build was killed between the two renames.
            std::fs::rename(&old, out).map_err(CorpusError::io(&old))?;
        }
        if !may_replace(out)? {
            return Err(CorpusError::Occupied(out.to_owned()));
        }
        std::fs::create_dir_all(&part).map_err(CorpusError::io(&part))?;
        let lock_path = part.join(LOCK_FILE);
        let lock = File::create(&lock_path).map_err(CorpusError::io(&lock_path))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(CorpusError::Busy(out.to_owned())),
            Err(TryLockError::Error(error)) => return Err(CorpusError::io(&lock_path)(error)),
        }
        let staging = Staging {
            out: out.to_owned(),
            part,
            old,
            lock: Some(lock),
        };
        staging.clear()?;
        Ok(staging)
    }

    /// Where to write.
    pub(super) fn folder(&self) -> &Path {
        &self.part
    }

    /// Puts the folder in its place.
    pub(super) fn commit(mut self) -> Result<(), CorpusError> {
        // A folder with an open file in it cannot be renamed on Windows.
        self.lock = None;
        let lock_path = self.part.join(LOCK_FILE);
        std::fs::remove_file(&lock_path).map_err(CorpusError::io(&lock_path))?;
        remove(&self.old)?;
        if self.out.exists() {
            std::fs::rename(&self.out, &self.old).map_err(CorpusError::io(&self.out))?;
        }
        if let Err(error) = std::fs::rename(&self.part, &self.out) {
            // The older corpus goes back; its own error would hide the one that matters.
            let _ = std::fs::rename(&self.old, &self.out);
            return Err(CorpusError::io(&self.out)(error));
        }
        remove(&self.old)
    }

    fn clear(&self) -> Result<(), CorpusError> {
        for entry in std::fs::read_dir(&self.part).map_err(CorpusError::io(&self.part))? {
            let path = entry.map_err(CorpusError::io(&self.part))?.path();
            if !path.ends_with(LOCK_FILE) {
                remove(&path)?;
            }
        }
        Ok(())
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        if self.lock.take().is_some() {
            // The build failed, and its error says why; a folder that stays is removed by the next build.
            let _ = std::fs::remove_dir_all(&self.part);
        }
    }
}

/// Whether `out` is free, empty, or a corpus.
fn may_replace(out: &Path) -> Result<bool, CorpusError> {
    if !out.exists() {
        return Ok(true);
    }
    if !out.is_dir() {
        return Ok(false);
    }
    let is_empty = std::fs::read_dir(out)
        .map_err(CorpusError::io(out))?
        .next()
        .is_none();
    Ok(is_empty || out.join(MANIFEST_FILE).is_file())
}

fn sibling(out: &Path, ending: &str) -> PathBuf {
    let mut name = out.file_name().unwrap_or_default().to_owned();
    name.push(".");
    name.push(ending);
    out.with_file_name(name)
}

fn remove(path: &Path) -> Result<(), CorpusError> {
    let removed = if path.is_dir() {
        std::fs::remove_dir_all(path)
    } else {
        std::fs::remove_file(path)
    };
    match removed {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        other => other.map_err(CorpusError::io(path)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_build_appears_whole_or_not_at_all() {
        let dir = tempfile::tempdir().unwrap();
        let out = dir.path().join("корпус");
        let names = || {
            let mut names: Vec<_> = std::fs::read_dir(dir.path())
                .unwrap()
                .map(|e| e.unwrap().file_name().into_string().unwrap())
                .collect();
            names.sort();
            names
        };

        let failed = Staging::begin(&out).unwrap();
        std::fs::write(failed.folder().join("half"), "x").unwrap();
        assert!(matches!(Staging::begin(&out), Err(CorpusError::Busy(_))));
        drop(failed);
        assert!(names().is_empty());

        // What a killed build left is not taken over.
        std::fs::create_dir(sibling(&out, "part")).unwrap();
        std::fs::write(sibling(&out, "part").join("half"), "x").unwrap();
        for content in ["1", "2"] {
            let staging = Staging::begin(&out).unwrap();
            std::fs::write(staging.folder().join(MANIFEST_FILE), content).unwrap();
            staging.commit().unwrap();
            assert_eq!(names(), ["корпус"]);
            assert_eq!(
                std::fs::read_to_string(out.join(MANIFEST_FILE)).unwrap(),
                content
            );
            assert_eq!(std::fs::read_dir(&out).unwrap().count(), 1);
        }

        // Killed between the renames: the older corpus comes back.
        std::fs::rename(&out, sibling(&out, "old")).unwrap();
        drop(Staging::begin(&out).unwrap());
        assert_eq!(
            std::fs::read_to_string(out.join(MANIFEST_FILE)).unwrap(),
            "2"
        );
    }

    #[test]
    fn other_peoples_folders_are_not_replaced() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("photo.jpg"), "x").unwrap();
        assert!(matches!(
            Staging::begin(dir.path()),
            Err(CorpusError::Occupied(_))
        ));
        assert!(matches!(
            Staging::begin(&dir.path().join("photo.jpg")),
            Err(CorpusError::Occupied(_))
        ));
    }
}
