//! One writer at a time, across processes: a file of the operating system's locks, which a killed process gives back.
//!
//! The file lies beside the projects, not in them, so that a project can be created, replaced and removed under its lock.

use std::fs::{File, TryLockError};
use std::path::Path;

use crate::error::MemoryError;
use crate::files;
use crate::name::ProjectName;

const LOCK_FOLDER: &str = ".locks";

/// What to do while another process changes the project.
pub enum WhenBusy<'a> {
    /// Wait; the function is called once, before the waiting.
    Wait(&'a mut dyn FnMut()),
    /// Give up with [`MemoryError::Busy`].
    Fail,
}

/// The right to change a project; ends with the value.
#[derive(Debug)]
pub(crate) struct Lock {
    _file: File,
}

impl Lock {
    /// Takes the lock of the project `name` in the folder `projects`.
    pub(crate) fn take(
        projects: &Path,
        name: &ProjectName,
        when_busy: WhenBusy<'_>,
    ) -> Result<Self, MemoryError> {
        let folder = projects.join(LOCK_FOLDER);
        files::create_folder(&folder)?;
        let path = folder.join(name.as_str());
        let file = files::open_or_create(&path)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::Error(error)) => return Err(MemoryError::io(&path)(error)),
            Err(TryLockError::WouldBlock) => match when_busy {
                WhenBusy::Fail => {
                    return Err(MemoryError::Busy {
                        name: name.to_string(),
                    });
                }
                WhenBusy::Wait(tell) => {
                    tell();
                    file.lock().map_err(MemoryError::io(&path))?;
                }
            },
        }
        Ok(Self { _file: file })
    }
}
