//! One writer at a time, across processes: a file of the operating system's locks, which a killed process gives back.
//!
//! The file lies beside the projects, not in them, so that a project can be created, replaced and removed under its lock. Whoever finds
//! it taken leaves a wish beside it, which whoever can take turns (teaching levels 2 and 3 takes hours) looks for.

use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::error::MemoryError;
use crate::files;
use crate::name::ProjectName;

const LOCK_FOLDER: &str = ".locks";

/// How often whoever waits looks whether it is its turn, and whoever gives way whether the other has had it.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// What to do while another process changes the project.
pub enum WhenBusy<'a> {
    /// Wait; the function is called once, before the waiting.
    Wait(&'a mut dyn FnMut()),
    /// The same for whoever gives way to others itself: nobody who does is asked to.
    WaitBehind(&'a mut dyn FnMut()),
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
            Err(TryLockError::WouldBlock) => {
                let ask = || {
                    // A hint: without it the turn comes later.
                    let _ = std::fs::write(wish(projects, name), []);
                };
                match when_busy {
                    WhenBusy::Fail => {
                        ask();
                        return Err(MemoryError::Busy {
                            name: name.to_string(),
                        });
                    }
                    WhenBusy::Wait(tell) => {
                        tell();
                        // Whoever has its turn before takes the wish away.
                        let ask_again = || {
                            if !is_wanted(projects, name) {
                                ask();
                            }
                        };
                        wait(&file, &path, &ask_again)?;
                    }
                    WhenBusy::WaitBehind(tell) => {
                        tell();
                        file.lock().map_err(MemoryError::io(&path))?;
                    }
                }
            }
        }
        let _ = std::fs::remove_file(wish(projects, name));
        Ok(Self { _file: file })
    }
}

/// Waits for a lock; `meanwhile` is called again and again.
fn wait(file: &File, path: &Path, meanwhile: &dyn Fn()) -> Result<(), MemoryError> {
    loop {
        meanwhile();
        match file.try_lock() {
            Ok(()) => return Ok(()),
            Err(TryLockError::Error(error)) => return Err(MemoryError::io(path)(error)),
            Err(TryLockError::WouldBlock) => std::thread::sleep(LOOK_EVERY),
        }
    }
}

/// The file that says that somebody waits for a project's lock, or comes again for it. No project's name ends like that.
fn wish(projects: &Path, name: &ProjectName) -> PathBuf {
    projects.join(LOCK_FOLDER).join(format!("{name}~wanted"))
}

/// Whether somebody has found the project's lock taken since it was taken.
pub(crate) fn is_wanted(projects: &Path, name: &ProjectName) -> bool {
    wish(projects, name).exists()
}

/// Waits until whoever wanted the lock has had it, `patience` at most. The caller must not hold it.
pub(crate) fn give_way(projects: &Path, name: &ProjectName, patience: Duration) {
    let until = Instant::now() + patience;
    while is_wanted(projects, name) && Instant::now() < until {
        std::thread::sleep(LOOK_EVERY);
    }
}
