//! The place where projects lie: one folder a project, and the locks beside them.

use std::path::{Path, PathBuf};

use crate::error::MemoryError;
use crate::files;
use crate::header::{HEADER_FILE, ModelIdentity};
use crate::lock::{self, Lock, WhenBusy};
use crate::name::ProjectName;
use crate::store::ProjectStore;
use crate::writer::ProjectWriter;

/// A folder of projects; it need not exist until something is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Projects {
    pub(crate) dir: PathBuf,
}

impl Projects {
    /// The projects in `dir`.
    #[must_use]
    pub fn at(dir: impl Into<PathBuf>) -> Self {
        Self { dir: dir.into() }
    }

    /// Where they lie.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The projects by name; a folder without a header is none.
    ///
    /// # Errors
    /// When the folder cannot be read; one that does not exist holds no project.
    pub fn names(&self) -> Result<Vec<ProjectName>, MemoryError> {
        let entries = match std::fs::read_dir(&self.dir) {
            Ok(entries) => entries,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(MemoryError::io(&self.dir)(error)),
        };
        let mut names: Vec<ProjectName> = entries
            .flatten()
            .filter(|entry| entry.path().join(HEADER_FILE).exists())
            .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
            .collect();
        names.sort();
        Ok(names)
    }

    /// Whether there is a project of this name.
    #[must_use]
    pub fn holds(&self, name: &ProjectName) -> bool {
        self.folder(name).join(HEADER_FILE).exists()
    }

    /// Opens a project to read it.
    ///
    /// # Errors
    /// [`MemoryError::Missing`], or the file of it that is wrong.
    pub fn open(&self, name: &ProjectName) -> Result<ProjectStore, MemoryError> {
        self.check_present(name)?;
        ProjectStore::open(&self.folder(name), name)
    }

    /// Opens a project to change it; `time` is written into its records, in seconds since 1970.
    ///
    /// # Errors
    /// [`MemoryError::Missing`], [`MemoryError::Busy`], or the file of it that is wrong.
    pub fn open_to_write(
        &self,
        name: &ProjectName,
        when_busy: WhenBusy<'_>,
        time: u64,
    ) -> Result<ProjectWriter, MemoryError> {
        // Before the lock, which would create the folder of the projects.
        self.check_present(name)?;
        let lock = Lock::take(&self.dir, name, when_busy)?;
        self.check_present(name)?;
        ProjectWriter::open(&self.folder(name), name, lock, time)
    }

    /// Opens a project to change it with a model's pieces; makes it if there is none.
    ///
    /// # Errors
    /// [`MemoryError::Busy`], [`MemoryError::Tokenizer`], or the file of it that is wrong.
    pub fn open_or_create(
        &self,
        name: &ProjectName,
        model: &ModelIdentity,
        when_busy: WhenBusy<'_>,
        time: u64,
    ) -> Result<ProjectWriter, MemoryError> {
        let lock = Lock::take(&self.dir, name, when_busy)?;
        self.check_header(name)?;
        let folder = self.folder(name);
        if !self.holds(name) {
            let part = self.part(name)?;
            ProjectWriter::lay_out(&part, name, model, time)?;
            self.put_in_place(&part, name)?;
        }
        let writer = ProjectWriter::open(&folder, name, lock, time)?;
        writer.check_model(model)?;
        Ok(writer)
    }

    /// Removes a project with all it knows, or what is left of one.
    ///
    /// # Errors
    /// [`MemoryError::Missing`] or [`MemoryError::Busy`].
    pub fn remove(&self, name: &ProjectName, when_busy: WhenBusy<'_>) -> Result<(), MemoryError> {
        let check = || match self.is_headless(name) {
            true => Ok(()),
            false => self.check_present(name),
        };
        check()?;
        let _lock = Lock::take(&self.dir, name, when_busy)?;
        check()?;
        let folder = self.folder(name);
        // Out of sight in one step, so that a crash leaves no half of a project.
        let aside = self.dir.join(format!(".{name}.removed"));
        files::remove(&aside).map_err(MemoryError::io(&aside))?;
        std::fs::rename(&folder, &aside).map_err(MemoryError::io(&folder))?;
        files::sync_folder(&self.dir)?;
        files::remove(&aside).map_err(|source| MemoryError::NotErased {
            path: aside,
            source,
        })
    }

    /// Whether somebody waits to change the project, or was told that it is busy and will soon come again.
    #[must_use]
    pub fn is_wanted(&self, name: &ProjectName) -> bool {
        lock::is_wanted(&self.dir, name)
    }

    pub(crate) fn folder(&self, name: &ProjectName) -> PathBuf {
        self.dir.join(name.as_str())
    }

    /// An empty folder beside the project's; the lock is held.
    pub(crate) fn part(&self, name: &ProjectName) -> Result<PathBuf, MemoryError> {
        for left in ["part", "removed"] {
            let left = self.dir.join(format!(".{name}.{left}"));
            files::remove(&left).map_err(MemoryError::io(&left))?;
        }
        let part = self.dir.join(format!(".{name}.part"));
        files::create_folder(&part)?;
        Ok(part)
    }

    /// Makes a folder that was written beside it the project's.
    pub(crate) fn put_in_place(&self, part: &Path, name: &ProjectName) -> Result<(), MemoryError> {
        let folder = self.folder(name);
        std::fs::rename(part, &folder).map_err(MemoryError::io(&folder))?;
        files::sync_folder(&self.dir)
    }

    fn check_present(&self, name: &ProjectName) -> Result<(), MemoryError> {
        self.check_header(name)?;
        if self.holds(name) {
            return Ok(());
        }
        Err(MemoryError::Missing {
            name: name.to_string(),
            dir: self.dir.clone(),
        })
    }

    /// Refuses what is left of a project whose header is gone.
    fn check_header(&self, name: &ProjectName) -> Result<(), MemoryError> {
        if self.holds(name) || !self.is_headless(name) {
            return Ok(());
        }
        let header = self.folder(name).join(HEADER_FILE);
        Err(MemoryError::corrupt(&header, "it is gone"))
    }

    /// Whether a folder has files of a project, and no header.
    fn is_headless(&self, name: &ProjectName) -> bool {
        let entries = std::fs::read_dir(self.folder(name));
        let mut entries = entries.into_iter().flatten().flatten();
        let is_ours = |name: &str| name.starts_with("log.") || name.starts_with("segments.");
        !self.holds(name) && entries.any(|entry| entry.file_name().to_str().is_some_and(is_ours))
    }
}
