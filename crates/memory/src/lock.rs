//! One writer at a time, across processes: a file of the operating system's locks, which a killed process gives back.
//!
//! The file lies beside the projects, not in them, so that a project can be created, replaced and removed under its lock. Teaching levels 2
//! and 3 takes hours, so whoever does that lets others have their turn: those who wait hold a second lock meanwhile, and those who come again
//! leave a wish, a file that counts for [`WISH_LASTS`].

use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::error::MemoryError;
use crate::files;
use crate::name::ProjectName;

const LOCK_FOLDER: &str = ".locks";

/// How often whoever gives way looks whether it is its turn.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// How long a wish counts after it was left: longer than anybody pauses between two tries.
const WISH_LASTS: Duration = Duration::from_secs(40);

/// What to do while another process changes the project.
pub enum WhenBusy<'a> {
    /// Wait; the function is called once, before the waiting.
    Wait(&'a mut dyn FnMut()),
    /// Wait, also for all others who want the project; the function is called once, before the waiting.
    WaitBehind(&'a mut dyn FnMut()),
    /// Give up with [`MemoryError::Busy`].
    Fail,
    /// Give up with [`MemoryError::Busy`] and come again within half a minute: until then whoever teaches gives way.
    ComeAgain,
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
        let is_free = || match file.try_lock() {
            Ok(()) => Ok(true),
            Err(TryLockError::WouldBlock) => Ok(false),
            Err(TryLockError::Error(error)) => Err(MemoryError::io(&path)(error)),
        };
        match when_busy {
            WhenBusy::Wait(tell) => {
                if !is_free()? {
                    tell();
                    // Hints, both of them: without one the turn comes later.
                    let next = files::open_or_create(&next(projects, name)).ok();
                    let _ = next.as_ref().map(File::lock);
                    file.lock().map_err(MemoryError::io(&path))?;
                }
            }
            WhenBusy::WaitBehind(tell) => {
                let mut tell = Some(tell);
                while is_wanted(projects, name) || !is_free()? {
                    if let Some(tell) = tell.take() {
                        tell();
                    }
                    std::thread::sleep(LOOK_EVERY);
                }
            }
            WhenBusy::Fail => {
                if !is_free()? {
                    return Err(busy(name));
                }
            }
            WhenBusy::ComeAgain => {
                if !is_free()? {
                    let _ = std::fs::write(wish(projects, name), "1");
                    return Err(busy(name));
                }
                let _ = std::fs::remove_file(wish(projects, name));
            }
        }
        Ok(Self { _file: file })
    }
}

fn busy(name: &ProjectName) -> MemoryError {
    MemoryError::Busy {
        name: name.to_string(),
    }
}

/// The file that says that somebody comes again for a project. No project's name ends like that, nor like the next.
fn wish(projects: &Path, name: &ProjectName) -> PathBuf {
    projects.join(LOCK_FOLDER).join(format!("{name}~wanted"))
}

/// The file that whoever waits for a project's lock holds.
fn next(projects: &Path, name: &ProjectName) -> PathBuf {
    projects.join(LOCK_FOLDER).join(format!("{name}~next"))
}

/// Whether somebody waits for a project's lock, or will soon come again for it.
pub(crate) fn is_wanted(projects: &Path, name: &ProjectName) -> bool {
    let left = std::fs::metadata(wish(projects, name)).and_then(|wish| wish.modified());
    // A wish of the future is one of a clock that was set back.
    let is_wished = left.is_ok_and(|left| left.elapsed().is_ok_and(|age| age < WISH_LASTS));
    let waits = || {
        let next = File::open(next(projects, name));
        next.is_ok_and(|next| matches!(next.try_lock_shared(), Err(TryLockError::WouldBlock)))
    };
    is_wished || waits()
}
