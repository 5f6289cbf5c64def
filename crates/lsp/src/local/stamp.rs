//! What the files of a project looked like when they were read: tells whether somebody has changed the project since.

use std::ffi::OsString;
use std::path::Path;
use std::time::SystemTime;

use nestor_assist::{METADATA_FILE, ProjectName, Projects};

/// What levels 2 and 3 were taught.
const LEVELS_FILE: &str = "levels.bin";

/// The header, which names the generation.
const HEADER_FILE: &str = "memory.json";

/// The logs of the generations: each change of what is learned is in one.
const LOG_START: &str = "log.";

/// The files of a project at one time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Stamp {
    levels: Seen,
    metadata: Seen,
    learned: Learned,
}

/// The part of a [`Stamp`] that changes when a project learns or forgets a text.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Learned {
    header: Seen,
    logs: Vec<(OsString, Seen)>,
}

/// Length and time of a file; `None` where there is none.
type Seen = Option<(u64, SystemTime)>;

/// What has changed between two stamps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Changed {
    Nothing,
    /// What levels 2 and 3 were taught, alone.
    Levels,
    /// What the configurations say, alone.
    Metadata,
    /// What was learned, or both of these.
    All,
}

impl Stamp {
    /// The files of a project as they are. Bytes of a change that comes while they are read count as a change after it, so this is taken
    /// before.
    pub fn of(projects: &Projects, name: &ProjectName) -> Self {
        let dir = projects.dir().join(name.as_str());
        let entries = std::fs::read_dir(&dir).into_iter().flatten().flatten();
        let names = entries.map(|entry| entry.file_name());
        let is_log = |name: &OsString| {
            name.to_str()
                .is_some_and(|name| name.starts_with(LOG_START))
        };
        let mut logs: Vec<_> = names
            .filter(is_log)
            .map(|name| {
                let seen = look(&dir.join(&name));
                (name, seen)
            })
            .collect();
        logs.sort();
        Self {
            levels: look(&dir.join(LEVELS_FILE)),
            metadata: look(&dir.join(METADATA_FILE)),
            learned: Learned {
                header: look(&dir.join(HEADER_FILE)),
                logs,
            },
        }
    }

    /// What has changed since an older one.
    pub fn since(&self, older: &Self) -> Changed {
        let levels = self.levels != older.levels;
        let metadata = self.metadata != older.metadata;
        if self.learned != older.learned {
            return Changed::All;
        }
        match (levels, metadata) {
            (false, false) => Changed::Nothing,
            (true, false) => Changed::Levels,
            (false, true) => Changed::Metadata,
            (true, true) => Changed::All,
        }
    }

    /// Takes over what was changed from here; unless somebody else has changed it before, of which `before` knows.
    pub fn learned_here(&mut self, before: &Self, after: Self) {
        if self.learned == before.learned {
            self.learned = after.learned;
        }
    }

    /// Takes over what the configurations say now.
    pub fn read_metadata(&mut self, now: &Self) {
        self.metadata = now.metadata;
    }

    /// Whether something was learned or forgotten since an older one.
    pub fn has_learned_since(&self, older: &Self) -> bool {
        self.learned != older.learned
    }
}

fn look(path: &Path) -> Seen {
    let meta = std::fs::metadata(path).ok()?;
    Some((meta.len(), meta.modified().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stamp_tells_what_has_changed() {
        let folder = tempfile::tempdir().unwrap();
        let (projects, name) = (Projects::at(folder.path()), "erp".parse().unwrap());
        let file = |name: &str| folder.path().join("erp").join(name);
        std::fs::create_dir_all(file("")).unwrap();
        for name in ["memory.json", "log.1", "levels.bin", "metadata.bin"] {
            std::fs::write(file(name), "1").unwrap();
        }
        let mut last = Stamp::of(&projects, &name);
        for (changed, expected) in [
            (&[][..], Changed::Nothing),
            (&["sources.json", "metadata.stale.json"], Changed::Nothing),
            (&["levels.bin"], Changed::Levels),
            (&["metadata.bin"], Changed::Metadata),
            (&["levels.bin", "metadata.bin"], Changed::All),
            (&["log.1"], Changed::All),
            (&["log.2"], Changed::All),
            (&["levels.bin", "memory.json"], Changed::All),
        ] {
            for name in changed {
                let longer = std::fs::read_to_string(file(name)).unwrap_or_default() + "+";
                std::fs::write(file(name), longer).unwrap();
            }
            let now = Stamp::of(&projects, &name);
            assert_eq!(now.since(&last), expected, "{changed:?}");
            last = now;
        }
        std::fs::remove_dir_all(file("")).unwrap();
        let gone = Stamp::of(&projects, &name);
        assert_eq!(gone.since(&last), Changed::All);
        assert_eq!(gone, Stamp::default());
    }
}
