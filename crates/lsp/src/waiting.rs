//! Saved files that wait for their project: of each path the newest text, so many files at most, tried again after pauses that grow.
//!
//! Both ways to a model keep here what was saved until its project takes it. It must not know how a file is learned.

use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

use crossbeam_channel::Sender;
use nestor_assist::ProjectName;

use crate::worker::Told;

/// Files that wait at most. A module is some ten kilobytes, so this is what an editor can spare.
const MOST_FILES: usize = 500;

/// How much longer than the last pause the next one is.
const LONGER: u32 = 3;

/// A file that was saved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SavedFile {
    /// The project that it belongs to.
    pub project: ProjectName,
    /// Its path as the project is asked for it.
    pub path: String,
    /// Its text.
    pub text: String,
}

impl SavedFile {
    fn is_of(&self, other: &Self) -> bool {
        (&self.project, &self.path) == (&other.project, &other.path)
    }
}

/// Files that wait, the one that waits longest first.
#[derive(Debug)]
pub struct WaitingFiles {
    files: VecDeque<SavedFile>,
    most: usize,
}

impl Default for WaitingFiles {
    fn default() -> Self {
        Self {
            files: VecDeque::new(),
            most: MOST_FILES,
        }
    }
}

impl WaitingFiles {
    /// Whether none waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.files.is_empty()
    }

    /// Puts a file behind the others, in the place of an older text of it. Where that is one too many the one that waits longest is let go
    /// of, which is told.
    pub fn put(&mut self, saved: SavedFile, tell: &Sender<Told>) {
        self.files.retain(|older| !older.is_of(&saved));
        self.files.push_back(saved);
        if self.files.len() <= self.most {
            return;
        }
        if let Some(gone) = self.files.pop_front() {
            let (most, project) = (self.most, &gone.project);
            let reason = format!("{most} saved files wait for their project; more are not learned");
            eprintln!("nestor: {reason}: {} of project {project}", gone.path);
            // The client may be gone.
            let _ = tell.send(Told::NotLearned(reason));
        }
    }

    /// Takes up to `most` files of one project, of the file that waits longest, unless `busy` names it.
    pub fn take(&mut self, busy: &BTreeSet<ProjectName>, most: usize) -> Vec<SavedFile> {
        let mut waiting = self.files.iter().map(|file| &file.project);
        let Some(project) = waiting.find(|project| !busy.contains(*project)).cloned() else {
            return Vec::new();
        };
        let mut taken = Vec::new();
        for file in std::mem::take(&mut self.files) {
            if file.project == project && taken.len() < most {
                taken.push(file);
            } else {
                self.files.push_back(file);
            }
        }
        taken
    }

    /// Puts files that were taken behind the others. Nothing was put here in between.
    pub fn put_behind(&mut self, taken: Vec<SavedFile>) {
        self.files.extend(taken);
    }

    /// Puts files that were taken in front again. Nothing was put here in between.
    pub fn put_back(&mut self, taken: Vec<SavedFile>) {
        for file in taken.into_iter().rev() {
            self.files.push_front(file);
        }
    }
}

/// Pauses between two tries, which grow.
#[derive(Clone, Copy, Debug)]
pub struct Pauses {
    first: Duration,
    most: Duration,
    next: Duration,
}

impl Pauses {
    /// Pauses from `first` to `most`.
    #[must_use]
    pub const fn new(first: Duration, most: Duration) -> Self {
        Self {
            first,
            most,
            next: first,
        }
    }

    /// The next pause.
    pub fn next(&mut self) -> Duration {
        let pause = self.next;
        self.next = (LONGER * pause).min(self.most);
        pause
    }

    /// Begins with the first pause again.
    pub fn begin_anew(&mut self) {
        self.next = self.first;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn saved(project: &str, path: &str, text: &str) -> SavedFile {
        SavedFile {
            project: project.parse().unwrap(),
            path: path.to_owned(),
            text: text.to_owned(),
        }
    }

    fn texts(files: &[SavedFile]) -> Vec<&str> {
        files.iter().map(|file| file.text.as_str()).collect()
    }

    #[test]
    fn the_newest_text_of_each_path_waits_for_its_project() {
        let (tell, told) = crossbeam_channel::unbounded();
        let mut waiting = WaitingFiles::default();
        for (project, path, text) in [
            ("erp", "А.bsl", "1"),
            ("crm", "А.bsl", "2"),
            ("erp", "Б.bsl", "3"),
            ("erp", "А.bsl", "4"),
        ] {
            waiting.put(saved(project, path, text), &tell);
        }
        let mut busy = BTreeSet::new();
        let first = waiting.take(&busy, 9);
        assert_eq!(texts(&first), ["2"]);
        busy.insert(first[0].project.clone());
        waiting.put_back(first);
        // Nobody waits behind a project that is busy.
        assert_eq!(texts(&waiting.take(&busy, 1)), ["3"]);
        assert_eq!(texts(&waiting.take(&busy, 9)), ["4"]);
        assert!(waiting.take(&busy, 9).is_empty() && !waiting.is_empty());
        assert_eq!(texts(&waiting.take(&BTreeSet::new(), 9)), ["2"]);
        assert!(waiting.is_empty() && told.is_empty());
    }

    #[test]
    fn of_too_many_the_oldest_is_let_go_of_and_that_is_told() {
        let (tell, told) = crossbeam_channel::unbounded();
        let mut waiting = WaitingFiles {
            most: 2,
            ..WaitingFiles::default()
        };
        for path in ["А", "Б", "А", "В"] {
            waiting.put(saved("erp", path, path), &tell);
        }
        assert_eq!(texts(&waiting.take(&BTreeSet::new(), 9)), ["А", "В"]);
        let Ok(Told::NotLearned(reason)) = told.try_recv() else {
            panic!("nothing was told");
        };
        assert!(reason.contains('2') && told.is_empty(), "{reason}");
    }

    #[test]
    fn pauses_grow_to_the_longest_and_begin_anew() {
        let ms = Duration::from_millis;
        let mut pauses = Pauses::new(ms(300), ms(5_000));
        let expected = [300, 900, 2_700, 5_000, 5_000].map(ms);
        assert_eq!([(); 5].map(|()| pauses.next()), expected);
        pauses.begin_anew();
        assert_eq!(pauses.next(), ms(300));
    }
}
