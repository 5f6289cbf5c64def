//! A project on disk and the assistant: load what it has taught, learn what has changed in its sources.
//!
//! Called by the command line, later by the servers. Text is cut into pieces here, in parallel, and only where it has
//! changed; `memory` keeps the pieces. It must not know where the files come from.

use std::collections::{HashMap, HashSet};
use std::ops::Range;
use std::sync::Arc;

use nestor_bsl::pieces::Tokenizer;
use nestor_bsl::similarity::Signature;
use nestor_memory::{
    Change, FileToLearn, Filtered, LearnedFile, LoadProgress, MemoryError, ModelIdentity,
    Operation, ProjectCounts, ProjectStore, ProjectWriter, TaughtLevels,
};
use rayon::prelude::*;

use crate::assistant::{Assistant, LearnFile};
use crate::document::{file_pieces, module_folder};
use crate::error::AssistError;
use crate::filter::copies::{self, Copies, KnownSignatures};
use crate::filter::{Reason, Teaches, Verdict, judge_alone, judge_version};
use crate::memory::{ProjectMemory, TaughtStates};
use crate::metadata::MetadataIndex;
use crate::teach::opening_and_text;

/// Versions of a file within this time are counted together, in seconds: a day.
const RESTLESS_WITHIN: u64 = 24 * 60 * 60;

/// What learning a root into a project did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProjectReport {
    /// Files that the project did not have.
    pub new: usize,
    /// Files with another text than the project had.
    pub changed: usize,
    /// Files that the project has as they are.
    pub unchanged: usize,
    /// Of the new and changed files, those with a text that was learned under their path before: nothing was cut into pieces.
    pub again: usize,
    /// Files that the project had and the source no longer has.
    pub removed: usize,
    /// Bytes of text in the new and changed files.
    pub bytes: usize,
    /// Pieces in them.
    pub pieces: usize,
    /// Files that are no source text or cannot be learned, with the reason.
    pub skipped: Vec<(String, String)>,
    /// New and changed files that do not teach everything. Those that teach nothing are not counted above.
    pub filtered: Vec<HeldBack>,
}

/// A file that does not teach everything.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeldBack {
    /// Its path inside the root.
    pub path: String,
    /// What it teaches.
    pub teaches: Teaches,
    /// Why not more.
    pub reason: Reason,
}

/// Whether the assistant's own counts take part in learning a project.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Counts {
    /// They hold the project, from [`Assistant::load_project`], and learn with it.
    Follow,
    /// They stay as they are: the project is learned for later.
    Stay,
}

impl Assistant {
    /// What a project must have in common with the model.
    #[must_use]
    pub fn identity(&self) -> ModelIdentity {
        let manifest = self.model().manifest();
        ModelIdentity {
            model_sha256: manifest.map(|manifest| manifest.weights_sha256.clone()),
            tokenizer_sha256: self.tokenizer().sha256().to_owned(),
            vocabulary: self.tokenizer().vocab_size() as u32,
        }
    }

    /// Takes over what a project has taught, instead of what was learned before. At most `threads` threads count.
    ///
    /// # Errors
    /// When the project was learned with another tokenizer, or is damaged; the assistant then stays as it was.
    pub fn load_project(
        &mut self,
        store: &ProjectStore,
        threads: usize,
        progress: &mut dyn FnMut(LoadProgress),
    ) -> Result<(), AssistError> {
        store.check_model(&self.identity())?;
        let corpus = self.corpus().cloned();
        let counts = store.load_counts(corpus, &module_folder, threads, progress)?;
        self.take_over(store, counts)
    }

    /// [`Assistant::load_project`] for an assistant that holds the project as it was before: only files that have changed since are counted. False
    /// when those are too many for that; the assistant then stays as it was.
    ///
    /// # Errors
    /// As [`Assistant::load_project`].
    pub fn load_changes(&mut self, store: &ProjectStore) -> Result<bool, AssistError> {
        store.check_model(&self.identity())?;
        let mut counts = self.memory().counts().clone();
        let updated = store.update_counts(&mut counts, &module_folder)?;
        if updated {
            self.take_over(store, counts)?;
        }
        Ok(updated)
    }

    /// Replaces what was learned before by counts of a project and all else that it has taught.
    fn take_over(
        &mut self,
        store: &ProjectStore,
        counts: ProjectCounts,
    ) -> Result<(), AssistError> {
        let (levels, damage) = self.levels_of(store)?;
        let (metadata, metadata_damage) = match MetadataIndex::open_current(store, self.tokenizer())
        {
            Ok(metadata) => (metadata, None),
            Err(error @ AssistError::Metadata { .. }) => (None, Some(error.to_string())),
            Err(error) => return Err(error),
        };
        let mut memory = ProjectMemory::from(counts);
        let taught = levels
            .as_ref()
            .and_then(|levels| self.taught_states(store, levels));
        memory.set_levels(levels.map(|levels| levels.memories));
        memory.set_taught(taught);
        let vendor = store.files().filter(|(_, file)| file.vendor);
        memory.set_strands(
            store.roots().map(|root| root.name.clone()).collect(),
            vendor.map(|(path, _)| path.to_owned()).collect(),
        );
        memory.set_metadata(metadata.map(|index| index.link().0));
        memory.set_damage(damage);
        memory.set_metadata_damage(metadata_damage);
        self.set_memory(memory);
        Ok(())
    }

    /// Takes over what a project has taught levels 2 and 3, and leaves all else as it was loaded.
    ///
    /// # Errors
    /// As [`Assistant::load_project`]; the assistant then stays as it was.
    pub fn load_levels(&mut self, store: &ProjectStore) -> Result<(), AssistError> {
        store.check_model(&self.identity())?;
        let (levels, damage) = self.levels_of(store)?;
        let taught = levels
            .as_ref()
            .and_then(|levels| self.taught_states(store, levels));
        let memory = self.memory_mut();
        memory.set_levels(levels.map(|levels| levels.memories));
        memory.set_taught(taught);
        memory.set_damage(damage);
        Ok(())
    }

    /// What a project has taught levels 2 and 3. Where nothing of it can be read the counts serve without, and teaching makes it again; then
    /// the reason.
    fn levels_of(
        &self,
        store: &ProjectStore,
    ) -> Result<(Option<TaughtLevels>, Option<String>), AssistError> {
        match store.load_levels(self.level_config(), self.model()) {
            Ok(levels) => Ok((levels, None)),
            Err(error @ MemoryError::Corrupt { .. }) => Ok((None, Some(error.to_string()))),
            Err(error) => Err(error.into()),
        }
    }

    /// The insertion ids of the states that each path's texts have left, also those that were replaced since: a text has one for each of its
    /// tokens, in the order in which texts were taught. `None` where that does not add up.
    fn taught_states(&self, store: &ProjectStore, levels: &TaughtLevels) -> Option<TaughtStates> {
        let mut taught: HashMap<String, Vec<Range<u64>>> = HashMap::new();
        let mut next = 0;
        for seq in &levels.seen {
            let record = store.history().get(seq.checked_sub(1)? as usize)?;
            let Operation::Learn { path, pieces, .. } = &record.op else {
                return None;
            };
            let around = file_pieces(self.tokenizer(), path, "").len() as u64;
            let n_text = u64::from(*pieces).checked_sub(around)?;
            let states = taught.entry(path.clone()).or_default();
            states.push(next..next + n_text);
            next += n_text;
        }
        if next != levels.memories.next_state() {
            return None;
        }
        let taught = taught.into_iter();
        Some(Arc::new(
            taught
                .map(|(path, states)| (path, Arc::from(states)))
                .collect(),
        ))
    }

    /// Begins to learn the root `root` of a project, which the caller has told the writer of.
    ///
    /// # Errors
    /// When the project was learned with another tokenizer.
    pub fn learn_project<'a>(
        &'a mut self,
        writer: &'a mut ProjectWriter,
        root: &str,
        counts: Counts,
    ) -> Result<ProjectLearning<'a>, AssistError> {
        writer.check_model(&self.identity())?;
        Ok(ProjectLearning {
            assistant: self,
            writer,
            root: root.to_owned(),
            vendor: None,
            counts,
            seen: HashSet::new(),
            copies: None,
            versions: None,
            report: ProjectReport::default(),
        })
    }
}

/// One pass over the files of a root.
pub struct ProjectLearning<'a> {
    assistant: &'a mut Assistant,
    writer: &'a mut ProjectWriter,
    root: String,
    /// Whose code it is; `None` for that of whoever had it before.
    vendor: Option<bool>,
    counts: Counts,
    seen: HashSet<String>,
    /// The project's files in groups of near-duplicates; known once a file is new.
    copies: Option<Copies>,
    /// How often each path was learned in the last day; known once a file has changed.
    versions: Option<HashMap<String, u32>>,
    report: ProjectReport,
}

/// A file that was looked at: what is left to do with it.
enum Looked {
    Unchanged,
    LearnedBefore { sha256: String },
    Cut(Cut),
    NoText(String),
}

/// A file that was cut into pieces, but for one that teaches nothing.
struct Cut {
    sha256: String,
    n_bytes: usize,
    pieces: Vec<u32>,
    /// What it may teach by its text alone.
    verdict: Verdict,
    signature: Option<Signature>,
}

/// Whether a file is learned as a copy of others.
fn is_copy(file: &LearnedFile) -> bool {
    let reason = file.filter.as_ref().map(|filter| filter.reason.as_str());
    reason == Some(Reason::Copy.key())
}

/// The signatures of the files that a project has learned.
fn signatures(
    store: &ProjectStore,
    tokenizer: &Tokenizer,
    known: &KnownSignatures,
) -> Result<Vec<(String, Signature)>, AssistError> {
    let files: Vec<(&str, &LearnedFile)> = store.files().collect();
    // What teaches nothing by its text has no pieces, and no signature.
    let signed = files.par_iter().filter(|(_, file)| file.pieces > 0);
    let signed = signed.map(|(path, file)| {
        let signature = known.of(&file.sha256, || {
            let pieces = store.pieces(path)?;
            Ok(copies::signature(tokenizer, opening_and_text(&pieces).1))
        })?;
        Ok(signature.map(|signature| ((*path).to_owned(), signature)))
    });
    let signed: Result<Vec<Option<_>>, MemoryError> = signed.collect();
    Ok(signed?.into_iter().flatten().collect())
}

/// The learned ones of some files: those first that teach most, then those learned first. So a group keeps its first file
/// when that is edited.
fn by_standing(
    mut files: Vec<(String, Signature)>,
    store: &ProjectStore,
) -> Vec<(String, Signature)> {
    files.retain(|(path, _)| store.file(path).is_some());
    files.sort_by_cached_key(|(path, _)| {
        let file = store.file(path).expect("kept above");
        (is_copy(file), std::cmp::Reverse(teaches(file)), file.seq)
    });
    files
}

/// What a learned file teaches now.
fn teaches(file: &LearnedFile) -> Teaches {
    if file.teaches_levels() {
        Teaches::All
    } else if file.counts() {
        Teaches::Counts
    } else {
        Teaches::Nothing
    }
}

/// Whether a learned file is a vendor's, or not, as it is to become.
fn stays_whose_it_is(store: &ProjectStore, path: &str, becomes: Option<bool>) -> bool {
    let vendor = store.file(path).map(|file| file.vendor);
    becomes.is_none_or(|becomes| vendor == Some(becomes))
}

/// Whether a text that was learned under a path before was a vendor's, or not, as the path is to be.
fn was_whose_it_is(store: &ProjectStore, path: &str, seq: u64, becomes: Option<bool>) -> bool {
    let is_now = || store.file(path).map(|file| file.vendor);
    let was = match store
        .history()
        .get(seq as usize - 1)
        .map(|change| &change.op)
    {
        Some(Operation::Learn { vendor, .. }) => Some(*vendor),
        _ => None,
    };
    becomes
        .or_else(is_now)
        .is_none_or(|becomes| was == Some(becomes))
}

impl ProjectLearning<'_> {
    /// The same pass over files that are a vendor's code, or not. Otherwise a file stays whose it was, and a new one is own code.
    #[must_use]
    pub fn of_vendor(mut self, vendor: bool) -> Self {
        self.vendor = Some(vendor);
        self
    }

    /// Learns the files that are new or changed, in the order given. Paths are those inside the root. The files are cut into
    /// pieces together, so a few dozen at a time are best.
    ///
    /// # Errors
    /// When the project cannot be written. A file that cannot be learned is reported as skipped.
    pub fn learn(&mut self, files: &[LearnFile]) -> Result<(), AssistError> {
        let (root, tokenizer) = (&self.root, self.assistant.tokenizer());
        let train_methods = self.assistant.train_methods();
        let store: &ProjectStore = self.writer;
        let becomes = self.vendor;
        let looked: Vec<(String, Looked)> = files
            .par_iter()
            .map(|file| {
                let path = format!("{root}/{}", file.path);
                let text = match nestor_bsl::normalise(file.text.as_bytes()) {
                    Ok(normalised) => normalised.text,
                    Err(error) => return (path, Looked::NoText(error.to_string())),
                };
                let sha256 = nestor_engine::sha256_hex(text.as_bytes());
                let is_new = store.change(&path, &sha256) != Change::Unchanged;
                if !is_new && stays_whose_it_is(store, &path, becomes) {
                    return (path, Looked::Unchanged);
                }
                let before = store.learned_before(&path, &sha256);
                if is_new && before.is_some_and(|seq| was_whose_it_is(store, &path, seq, becomes)) {
                    return (path, Looked::LearnedBefore { sha256 });
                }
                let mut cut = Cut {
                    sha256,
                    n_bytes: text.len(),
                    pieces: Vec::new(),
                    verdict: judge_alone(&text, train_methods),
                    signature: None,
                };
                if cut.verdict.teaches > Teaches::Nothing {
                    cut.pieces = file_pieces(tokenizer, &path, &text);
                    let (_, text) = opening_and_text(&cut.pieces);
                    cut.signature = copies::signature(tokenizer, text);
                }
                (path, Looked::Cut(cut))
            })
            .collect();
        for ((path, looked), file) in looked.into_iter().zip(files) {
            match looked {
                Looked::Unchanged => self.report.unchanged += 1,
                Looked::LearnedBefore { sha256 } => self.take_again(&path, &sha256)?,
                Looked::NoText(reason) => self.report.skipped.push((file.path.clone(), reason)),
                Looked::Cut(cut) => self.take(&path, &file.path, &cut)?,
            }
            self.seen.insert(path);
        }
        Ok(())
    }

    /// Says that the source still has a file which cannot be read now: what it taught stays.
    pub fn keep(&mut self, path: &str) {
        self.seen.insert(format!("{}/{path}", self.root));
    }

    /// What has been done so far.
    #[must_use]
    pub fn report(&self) -> &ProjectReport {
        &self.report
    }

    /// Ends the pass: what the root had and no longer has stops counting; all of it is made durable.
    ///
    /// # Errors
    /// When the project cannot be written.
    pub fn finish(mut self) -> Result<ProjectReport, AssistError> {
        let files = self.writer.files();
        let gone: Vec<String> = files
            .filter(|(path, file)| file.root == self.root && !self.seen.contains(*path))
            .map(|(path, _)| path.to_owned())
            .collect();
        for path in &gone {
            self.writer.retire(path)?;
            if let Some(memory) = self.memory() {
                memory.forget(path)?;
            }
        }
        self.report.removed = gone.len();
        self.release_copies(&gone)?;
        self.writer.let_go_of_old_versions()?;
        Ok(self.report)
    }

    /// Learns one file that was cut into pieces, as far as it may teach.
    fn take(&mut self, path: &str, shown: &str, cut: &Cut) -> Result<(), AssistError> {
        if self.writer.change(path, &cut.sha256) == Change::Unchanged
            && stays_whose_it_is(self.writer, path, self.vendor)
        {
            // Another file of the same pass has the same path and text.
            self.report.unchanged += 1;
            return Ok(());
        }
        let verdict = self.judge(path, cut)?;
        let was_vendor = || self.writer.file(path).is_some_and(|file| file.vendor);
        let vendor = self.vendor.unwrap_or_else(was_vendor);
        let change = match self.write(path, &cut.sha256, &cut.pieces, verdict, vendor) {
            Ok(change) => change,
            Err(AssistError::Memory(
                error @ (MemoryError::Path { .. } | MemoryError::Cache(_)),
            )) => {
                let skipped = (shown.to_owned(), error.to_string());
                self.report.skipped.push(skipped);
                return Ok(());
            }
            Err(error) => return Err(error),
        };
        if let Some(reason) = verdict.reason {
            self.report.filtered.push(HeldBack {
                path: shown.to_owned(),
                teaches: verdict.teaches,
                reason,
            });
        }
        if verdict.teaches == Teaches::Nothing {
            return Ok(());
        }
        match change {
            Change::New => self.report.new += 1,
            // The same text teaches others' strands now.
            Change::Changed | Change::Unchanged => self.report.changed += 1,
        }
        self.report.bytes += cut.n_bytes;
        self.report.pieces += cut.pieces.len();
        Ok(())
    }

    /// What a file may teach, by its text and by what the project knows.
    fn judge(&mut self, path: &str, cut: &Cut) -> Result<Verdict, AssistError> {
        let mut verdict = cut.verdict;
        let known = self.writer.file(path);
        let was_first = known.is_some_and(|file| !is_copy(file));
        // The same text for another strand is no version.
        if self.writer.change(path, &cut.sha256) == Change::Changed {
            let versions = self
                .versions
                .get_or_insert_with(|| self.writer.learned_within(RESTLESS_WITHIN));
            let n = versions.entry(path.to_owned()).or_default();
            *n += 1;
            verdict = verdict.and(judge_version(*n));
        }
        if self.copies.is_none() {
            let mut copies = Copies::default();
            let (tokenizer, known) = (self.assistant.tokenizer(), self.assistant.signatures());
            let known = signatures(self.writer, tokenizer, known)?;
            for (path, signature) in by_standing(known, self.writer) {
                copies.enter(&path, &signature, false);
            }
            self.copies = Some(copies);
        }
        let copies = self.copies.as_mut().expect("made above");
        match &cut.signature {
            Some(signature) => {
                verdict = verdict.and(copies.enter(path, signature, was_first));
            }
            None => {
                copies.remove(path);
            }
        }
        Ok(verdict)
    }
    /// Learns more of files that were copies of what is gone or has changed. A folder that was renamed is learned under its new
    /// name while the project still has the old one.
    fn release_copies(&mut self, gone: &[String]) -> Result<(), AssistError> {
        let has_copies = self.writer.files().any(|(_, file)| is_copy(file));
        if !has_copies || self.copies.is_none() && gone.is_empty() {
            return Ok(());
        }
        let tokenizer = Arc::clone(self.assistant.tokenizer());
        let signatures = match self.copies.take() {
            Some(copies) => copies.into_signatures(),
            None => signatures(self.writer, &tokenizer, self.assistant.signatures())?,
        };
        let files = by_standing(signatures, self.writer);
        let due = Copies::due(&files);
        for ((path, _), due) in files.into_iter().zip(due) {
            let file = self.writer.file(&path).expect("ordered by what is learned");
            let (taught, sha256, vendor) = (teaches(file), file.sha256.clone(), file.vendor);
            if !is_copy(file) || due <= taught {
                continue;
            }
            let pieces = self.writer.pieces(&path)?;
            let text = tokenizer.decode(opening_and_text(&pieces).1);
            let text = String::from_utf8_lossy(&text);
            let verdict =
                Verdict::copy(due).and(judge_alone(&text, self.assistant.train_methods()));
            if verdict.teaches > taught {
                self.write(&path, &sha256, &pieces, verdict, vendor)?;
            }
        }
        Ok(())
    }

    /// Writes a file into the project, and into the assistant's counts where they follow.
    fn write(
        &mut self,
        path: &str,
        sha256: &str,
        pieces: &[u32],
        verdict: Verdict,
        vendor: bool,
    ) -> Result<Change, AssistError> {
        let filter = verdict
            .reason
            .filter(|_| verdict.teaches < Teaches::All)
            .map(|reason| Filtered {
                counts: verdict.teaches == Teaches::Counts,
                reason: reason.key().to_owned(),
            });
        // What is no copy any more may lie in another root.
        let root = path.split_once('/').map_or(path, |(root, _)| root);
        let change = self.writer.learn(&FileToLearn {
            root,
            path,
            sha256,
            pieces,
            weight: verdict.levels_weight(),
            filter: filter.as_ref(),
            vendor,
        })?;
        if let Some(memory) = self.memory() {
            match verdict.teaches {
                Teaches::Nothing => memory.forget(path)?,
                Teaches::Counts | Teaches::All => memory.learn(path, pieces)?,
            }
        }
        Ok(change)
    }

    /// Takes up a text that the project has learned under this path before, with what it was held to teach then.
    fn take_again(&mut self, path: &str, sha256: &str) -> Result<(), AssistError> {
        match self.writer.learn_again(path, sha256)? {
            Some(Change::New) => self.report.new += 1,
            Some(Change::Changed) => self.report.changed += 1,
            // Another file of the same pass has the same path and text.
            Some(Change::Unchanged) | None => {
                self.report.unchanged += 1;
                return Ok(());
            }
        }
        self.report.again += 1;
        if self.counts == Counts::Follow {
            let counts = self.writer.file(path).is_some_and(|file| file.counts());
            if counts {
                let pieces = self.writer.pieces(path)?;
                self.assistant.memory_mut().learn(path, &pieces)?;
            } else {
                self.assistant.memory_mut().forget(path)?;
            }
        }
        Ok(())
    }

    fn memory(&mut self) -> Option<&mut ProjectMemory> {
        (self.counts == Counts::Follow).then(|| self.assistant.memory_mut())
    }
}
