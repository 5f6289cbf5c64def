//! Teaching a project to levels 2 and 3, stretch by stretch, and refusing what does harm.
//!
//! A stretch is some dozens of thousands of pieces. After it a canary compares losses; if they have risen too far, the memories go
//! back to what they were before, the stretch is taught in halves, and the files that do the harm are put in quarantine: they
//! count as before, but teach these levels nothing until their text changes. Where a stretch ends depends on the texts alone, so the
//! same lessons give the same memories. Called by `project`; it must not know where files come from.

use std::collections::{HashSet, VecDeque};
use std::time::{Duration, Instant};

use nestor_bsl::pieces::{EOF, PRE};
use nestor_engine::{Document, LevelMemories, LevelsOutline};
use nestor_memory::{KeptLevels, ProjectStore, ProjectWriter, Quarantined, TaughtLevels, Untaught};

use crate::assistant::Assistant;
use crate::canary::{self, Canary, CanaryConfig, Harmed, Measured};
use crate::error::AssistError;

/// How long what was taught may stay in memory alone.
const KEEP_EVERY: Duration = Duration::from_secs(30);

/// Pieces that are taught from the oldest to the newest at most; of more the newest come first, for nobody may wait for the rest.
const MOST_TURNED: u64 = 1 << 19;

/// Parts of a refused stretch that are judged at most; then what is left of the part is refused together.
const MOST_JUDGED: usize = 64;

/// How far teaching levels 2 and 3 is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TeachProgress {
    /// Pieces taught by this call.
    pub pieces: u64,
    /// Pieces that it will teach, about.
    pub of: u64,
}

/// What teaching levels 2 and 3 did.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TeachReport {
    /// Files taught.
    pub files: usize,
    /// Pieces in them.
    pub pieces: u64,
    /// Pieces that were learned by counts and have not taught yet.
    pub pieces_left: u64,
    /// Stretches of teaching that did no harm.
    pub accepted: usize,
    /// Stretches that did harm, so that they were taken back.
    pub refused: usize,
    /// Files that did it: they teach nothing until their text changes.
    pub quarantined: Vec<Quarantined>,
    /// Pieces that were read again to make an earlier snapshot whole.
    pub pieces_read_again: u64,
    /// Of the time that it took, what looking for harm took.
    pub canary_time: Duration,
}

/// A learned document as the network reads it: what it opens with, and its text without the mark of its end.
pub(crate) fn opening_and_text(pieces: &[u32]) -> (&[u32], &[u32]) {
    let opening = pieces.iter().position(|piece| *piece == PRE);
    let (opening, text) = pieces.split_at(opening.map_or(0, |at| at + 1));
    (opening, text.strip_suffix(&[EOF]).unwrap_or(text))
}

/// A learned document as a strand learns it.
fn document<'a>(pieces: &'a [u32], strand: &'a str, recalled: bool) -> Document<'a> {
    let (opening, text) = opening_and_text(pieces);
    Document {
        strand: Some(strand),
        opening,
        text,
        recalled,
    }
}

/// Turns round the first `pieces` pieces of texts that come newest first, a vendor's and own ones each for themselves: what is taught last
/// stays longest, so that must be the newest of what one call teaches.
fn newest_last(texts: &mut VecDeque<Untaught>, pieces: u64) {
    let (mut sum, mut n) = (0, 0);
    while sum < pieces && n < texts.len() {
        sum += u64::from(texts[n].pieces);
        n += 1;
    }
    let first = &mut texts.make_contiguous()[..n];
    let n_own = first.partition_point(|text| !text.vendor);
    first[..n_own].reverse();
    first[n_own..].reverse();
}

impl Assistant {
    /// Teaches levels 2 and 3 what the project has learned since they were taught, until about `max_pieces` pieces were taught: own code before
    /// a vendor's, and of more than that the newest, from the oldest of it to the newest; calling again goes on from there. What was taught is kept every half a minute, so that little is
    /// lost when the program ends. `progress` is called after each file and stops the teaching by returning false. Files that do
    /// harm are put in quarantine.
    ///
    /// # Errors
    /// When the project was learned with another tokenizer, is damaged or cannot be written.
    pub fn teach_project(
        &self,
        writer: &mut ProjectWriter,
        max_pieces: u64,
        progress: &mut dyn FnMut(TeachProgress) -> bool,
    ) -> Result<TeachReport, AssistError> {
        self.teach_project_watched(writer, max_pieces, CanaryConfig::default(), progress)
    }

    /// [`Assistant::teach_project`] with another canary than the usual one.
    ///
    /// # Errors
    /// As there.
    pub fn teach_project_watched(
        &self,
        writer: &mut ProjectWriter,
        max_pieces: u64,
        config: CanaryConfig,
        progress: &mut dyn FnMut(TeachProgress) -> bool,
    ) -> Result<TeachReport, AssistError> {
        writer.check_model(&self.identity())?;
        let mut report = TeachReport::default();
        let (levels, is_whole) = self.levels_to_go_on_from(writer, &mut report)?;
        let quarantine = writer.quarantined_by(self.model());
        let refused: HashSet<(&str, &str)> = quarantine
            .iter()
            .map(|one| (one.path.as_str(), one.sha256.as_str()))
            .collect();
        let room = self.level_config().episodic.capacity as u64;
        let mut left: VecDeque<Untaught> = writer.untaught(&levels.seen, room).into();
        left.retain(|file| !refused.contains(&(file.path.as_str(), file.sha256.as_str())));
        newest_last(&mut left, max_pieces.min(MOST_TURNED));
        let of = max_pieces.min(left.iter().map(|file| u64::from(file.pieces)).sum());
        let mut teacher = Teacher {
            assistant: self,
            writer,
            config,
            levels,
            quarantine,
            canary: None,
            measured: None,
            report,
            done: 0,
        };
        let mut kept = Instant::now();
        let mut is_kept = is_whole;
        let mut goes_on = true;
        while goes_on && teacher.done < max_pieces && !left.is_empty() {
            let mut progress = |pieces| progress(TeachProgress { pieces, of });
            goes_on = teacher.teach_stretch(&mut left, max_pieces, &mut progress)?;
            is_kept = false;
            if kept.elapsed() >= KEEP_EVERY {
                teacher.save()?;
                is_kept = true;
                kept = Instant::now();
            }
        }
        if !is_kept {
            teacher.save()?;
        }
        let mut report = teacher.report;
        report.pieces_left = left.iter().map(|file| u64::from(file.pieces)).sum();
        Ok(report)
    }

    /// The newest memories that have seen only what counts, made whole, or silent ones; and whether they lie on disk like that.
    fn levels_to_go_on_from(
        &self,
        store: &ProjectStore,
        report: &mut TeachReport,
    ) -> Result<(TaughtLevels, bool), AssistError> {
        let config = self.level_config();
        match store.newest_levels(config, self.model())? {
            Some(KeptLevels::Whole(levels)) => Ok((levels, true)),
            Some(KeptLevels::Outline(outline, seen)) => {
                let (memories, pieces) = self.made_whole(store, outline, &seen)?;
                report.pieces_read_again = pieces;
                Ok((TaughtLevels { memories, seen }, false))
            }
            None => Ok((
                TaughtLevels {
                    memories: LevelMemories::new(config, self.model())?,
                    seen: Vec::new(),
                },
                true,
            )),
        }
    }

    /// An outline with its nearest states, which the last texts that it has seen give again; and the pieces read.
    fn made_whole(
        &self,
        store: &ProjectStore,
        mut outline: LevelsOutline,
        seen: &[u64],
    ) -> Result<(LevelMemories, u64), AssistError> {
        let reach = outline.reach();
        let mut lessons = Vec::new();
        let (mut back, mut read) = (0, 0);
        for seq in seen.iter().rev() {
            if back >= reach {
                break;
            }
            let pieces = store.pieces_of_change(*seq)?;
            let n_text = opening_and_text(&pieces).1.len() as u64;
            if !outline.lacks_nothing_of(n_text, back) {
                lessons.push((pieces, back));
                read += n_text;
            }
            back += n_text;
        }
        let threads = rayon::current_num_threads();
        for (pieces, back) in lessons.iter().rev() {
            let (opening, text) = opening_and_text(pieces);
            outline.read_again(self.model(), opening, text, *back, threads)?;
        }
        Ok((outline.finish()?, read))
    }
}

/// One call's teaching.
struct Teacher<'a> {
    assistant: &'a Assistant,
    writer: &'a mut ProjectWriter,
    config: CanaryConfig,
    levels: TaughtLevels,
    quarantine: Vec<Quarantined>,
    canary: Option<Canary>,
    /// The losses with the memories as they are, where they are known.
    measured: Option<Measured>,
    report: TeachReport,
    /// Pieces taken from what was left, taught or refused.
    done: u64,
}

impl Teacher<'_> {
    /// Teaches a stretch of what is left and judges it. Returns false when the caller wants to stop.
    fn teach_stretch(
        &mut self,
        left: &mut VecDeque<Untaught>,
        max_pieces: u64,
        progress: &mut dyn FnMut(u64) -> bool,
    ) -> Result<bool, AssistError> {
        let before = self.levels.clone();
        let mut lessons = self.stretch_of(left, max_pieces);
        let (broken, taught, goes_on) = self.teach_all(&lessons, progress)?;
        for file in lessons.drain(taught..).rev() {
            left.push_front(file);
        }
        let started = Instant::now();
        let losses_before = self.look_before(&before, left)?;
        let harmed = self.judge(&losses_before, broken)?;
        self.report.canary_time += started.elapsed();
        match harmed {
            None => {
                self.accept(&lessons);
                self.report.accepted += 1;
            }
            Some(harmed) => {
                self.report.refused += 1;
                self.levels = before;
                self.measured = Some(losses_before);
                let mut judged = 0;
                self.sift(&lessons, harmed, &mut judged)?;
                self.writer
                    .save_quarantine(&self.quarantine, self.assistant.model())?;
            }
        }
        Ok(goes_on)
    }

    /// Takes the next stretch out of what is left.
    fn stretch_of(&self, left: &mut VecDeque<Untaught>, max_pieces: u64) -> Vec<Untaught> {
        let mut lessons = Vec::new();
        let mut pieces = 0;
        while self.done + pieces < max_pieces
            && pieces < self.config.stretch
            && let Some(file) = left.pop_front()
        {
            pieces += u64::from(file.pieces);
            lessons.push(file);
        }
        lessons
    }

    /// Teaches lessons until the caller wants to stop or one breaks the memories; says whether one did, how many were taught, that one
    /// included, and whether to go on.
    fn teach_all(
        &mut self,
        lessons: &[Untaught],
        progress: &mut dyn FnMut(u64) -> bool,
    ) -> Result<(Option<Harmed>, usize, bool), AssistError> {
        let pieces = lessons
            .iter()
            .map(|file| self.writer.pieces_of_change(file.seq))
            .collect::<Result<Vec<_>, _>>()?;
        let documents: Vec<Document<'_>> = pieces
            .iter()
            .zip(lessons)
            .map(|(pieces, file)| document(pieces, &file.strand, file.recalled))
            .collect();
        let (mut taught, mut goes_on) = (0, true);
        let done = &mut self.done;
        let learned = self.levels.memories.learn_documents(
            self.assistant.model(),
            &documents,
            rayon::current_num_threads(),
            &mut |_| {
                *done += u64::from(lessons[taught].pieces);
                taught += 1;
                goes_on = progress(*done);
                goes_on
            },
        );
        let broken = match learned.map_err(AssistError::from) {
            Ok(_) => None,
            Err(error) => {
                let broken = canary::is_broken(&error).ok_or(error)?;
                self.done += u64::from(lessons[taught].pieces);
                taught += 1;
                Some(broken)
            }
        };
        let seen = lessons[..taught].iter().map(|file| file.seq);
        self.levels.seen.extend(seen);
        Ok((broken, taught, goes_on))
    }

    /// Teaches lessons that together did harm in halves, until it is known which of them do it. The memories are those before
    /// the first of them.
    fn sift(
        &mut self,
        lessons: &[Untaught],
        harmed: Harmed,
        judged: &mut usize,
    ) -> Result<(), AssistError> {
        if lessons.len() <= 1 || *judged >= MOST_JUDGED {
            self.refuse(lessons, harmed);
            return Ok(());
        }
        for part in halves(lessons) {
            *judged += 1;
            let before = self.levels.clone();
            let mut broken = None;
            for file in part {
                broken = self.teach(file)?;
                if broken.is_some() {
                    break;
                }
            }
            let started = Instant::now();
            let losses_before = match self.measured.take() {
                Some(measured) => measured,
                None => self.canary()?.measure(&before.memories)?,
            };
            let harmed = self.judge(&losses_before, broken)?;
            self.report.canary_time += started.elapsed();
            match harmed {
                None => self.accept(part),
                Some(harmed) => {
                    self.levels = before;
                    self.measured = Some(losses_before);
                    self.sift(part, harmed, judged)?;
                }
            }
        }
        Ok(())
    }

    fn teach(&mut self, file: &Untaught) -> Result<Option<Harmed>, AssistError> {
        let pieces = self.writer.pieces_of_change(file.seq)?;
        let lesson = [document(&pieces, &file.strand, file.recalled)];
        let threads = rayon::current_num_threads();
        let memories = &mut self.levels.memories;
        let taught = memories
            .learn_documents(self.assistant.model(), &lesson, threads, &mut |_| true)
            .map_err(AssistError::from);
        self.levels.seen.push(file.seq);
        match taught {
            Ok(_) => Ok(None),
            Err(error) => canary::is_broken(&error).map(Some).ok_or(error),
        }
    }

    fn accept(&mut self, lessons: &[Untaught]) {
        let pieces = lessons.iter().map(|file| u64::from(file.pieces));
        self.report.pieces += pieces.sum::<u64>();
        self.report.files += lessons.len();
    }

    fn refuse(&mut self, lessons: &[Untaught], harmed: Harmed) {
        for file in lessons {
            let one = Quarantined {
                path: file.path.clone(),
                sha256: file.sha256.clone(),
                harm: harmed.harm,
                // As much as is shown, so that it is read as it was written.
                rise: harmed.rise.map(|rise| (rise * 1e4).round() / 1e4),
                time: self.writer.time(),
            };
            self.report.quarantined.push(one.clone());
            self.quarantine.push(one);
        }
    }

    /// Chooses the code that harm would show on, and measures what was lost on it before a stretch: code that comes next, and where
    /// that is not enough the last that was taught before.
    fn look_before(
        &mut self,
        before: &TaughtLevels,
        next: &VecDeque<Untaught>,
    ) -> Result<Measured, AssistError> {
        let mut documents = Vec::new();
        let mut pieces = 0;
        let next = next.iter().map(|file| (file.seq, file.strand.clone()));
        let last = before.seen.iter().rev();
        // A text that was replaced has no strand; another will do. Mostly the next texts are enough, and none is looked up.
        let last = last.filter_map(|seq| {
            let mut files = self.writer.files();
            let (_, file) = files.find(|(_, file)| file.seq == *seq)?;
            Some((*seq, file.strand()))
        });
        for (seq, strand) in next.chain(last) {
            if pieces >= self.config.own_pieces {
                break;
            }
            let pieces_of_file = self.writer.pieces_of_change(seq)?;
            // Something must be left behind the first chunk, which is not scored.
            let scored = pieces_of_file.len().min(self.config.own_pieces_of_file());
            if scored > LevelMemories::CHUNK {
                pieces += scored;
                documents.push((pieces_of_file, strand));
            }
        }
        let known = self.measured.take();
        let canary = self.canary()?;
        canary.set_own(
            documents
                .iter()
                .map(|(pieces, strand)| document(pieces, strand, false)),
        )?;
        match known {
            Some(known) => canary.measure_own(&before.memories, known),
            None => canary.measure(&before.memories),
        }
    }

    /// The harm that was done since the losses were `before`; without any the losses are known from now on.
    fn judge(
        &mut self,
        before: &Measured,
        broken: Option<Harmed>,
    ) -> Result<Option<Harmed>, AssistError> {
        if broken.is_some() {
            return Ok(broken);
        }
        let Self { canary, levels, .. } = self;
        let canary = canary.as_ref().expect("made when the losses were measured");
        match canary.judge(before, &levels.memories)? {
            Ok(after) => {
                self.measured = Some(after);
                Ok(None)
            }
            Err(harmed) => Ok(Some(harmed)),
        }
    }

    fn canary(&mut self) -> Result<&mut Canary, AssistError> {
        if self.canary.is_none() {
            self.canary = Some(Canary::new(self.assistant, self.config)?);
        }
        Ok(self.canary.as_mut().expect("made above"))
    }

    fn save(&mut self) -> Result<(), AssistError> {
        Ok(self
            .writer
            .save_levels(&self.levels, self.assistant.model())?)
    }
}

/// Two parts of several lessons, about alike in pieces, neither empty.
fn halves(lessons: &[Untaught]) -> [&[Untaught]; 2] {
    let of: u64 = lessons.iter().map(|file| u64::from(file.pieces)).sum();
    let mut sum = 0;
    let middle = lessons.iter().position(|file| {
        sum += u64::from(file.pieces);
        2 * sum >= of
    });
    let middle = (middle.unwrap_or_default() + 1).clamp(1, lessons.len() - 1);
    let (first, second) = lessons.split_at(middle);
    [first, second]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halves_are_alike_and_never_empty() {
        let check = |pieces: &[u32], expected: usize| {
            let lessons: Vec<Untaught> = pieces
                .iter()
                .map(|pieces| Untaught {
                    seq: 1,
                    path: String::new(),
                    strand: String::new(),
                    sha256: String::new(),
                    pieces: *pieces,
                    vendor: false,
                    recalled: true,
                })
                .collect();
            let [first, second] = halves(&lessons);
            assert_eq!(
                (first.len(), second.len()),
                (expected, pieces.len() - expected)
            );
        };
        check(&[1, 1], 1);
        check(&[1, 100], 1);
        check(&[100, 1], 1);
        check(&[1, 1, 1, 1], 2);
        check(&[10, 1, 1, 1], 1);
        check(&[0, 0, 0], 1);
    }

    #[test]
    fn of_what_a_call_teaches_the_newest_is_last() {
        let texts = |of: &[(u64, bool)]| -> VecDeque<Untaught> {
            let text = |(seq, vendor): &(u64, bool)| Untaught {
                seq: *seq,
                path: String::new(),
                strand: String::new(),
                sha256: String::new(),
                pieces: 10,
                vendor: *vendor,
                recalled: true,
            };
            of.iter().map(text).collect()
        };
        let all = [(3, false), (2, false), (1, false), (9, true), (8, true)];
        let check = |pieces: u64, expected: [u64; 5]| {
            let mut texts = texts(&all);
            newest_last(&mut texts, pieces);
            let found: Vec<u64> = texts.iter().map(|text| text.seq).collect();
            assert_eq!(found, expected, "{pieces}");
        };
        check(0, [3, 2, 1, 9, 8]);
        check(11, [2, 3, 1, 9, 8]);
        check(30, [1, 2, 3, 9, 8]);
        check(u64::MAX, [1, 2, 3, 8, 9]);
        newest_last(&mut VecDeque::new(), 5);
    }
}
