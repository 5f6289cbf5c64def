//! Batches of token windows from a corpus, prepared in the background.
//!
//! Called by `run`. Every batch follows from the seed and its number alone, so a resumed run sees what
//! an unbroken one would have seen. A pass over a project visits all of it once, in windows whose
//! borders move from pass to pass. It must not know networks or devices.

mod code_words;
mod documents;
mod from_corpus;
mod pieces;
mod rename;
mod window;

pub use documents::Documents;
pub use from_corpus::{Material, project_material, sample_material};
pub use pieces::{Pieces, special};
pub use rename::Names;

use crate::{LoaderConfig, TrainError};
use nestor_model::LossBatch;
use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use rand::{Rng, SeedableRng};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;
use window::{Shares, Source, Start, Window};

/// Room that a window's headers and marks take, about; the rest is new text.
const HEADER_ROOM: usize = 32;
/// Room for starting a little earlier, at the start of a line.
const LINE_ROOM: usize = 24;
/// Batches that wait in the background.
const READY_BATCHES: usize = 4;

/// How a pass goes through a project's files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// As the files lie: code of a project in the order of its paths.
    Paths,
    /// In a new random order each pass, windows starting at files: methods drawn one by one.
    Shuffled,
}

/// Makes batches, one after another or from any number on.
#[derive(Debug)]
pub struct Loader {
    documents: Documents,
    pieces: Arc<Pieces>,
    names: Names,
    config: LoaderConfig,
    order: Order,
    /// Sums of the projects' weights up to each.
    cumulative: Vec<f64>,
    passes: Vec<Pass>,
    next_row: u64,
}

/// One pass over a project.
#[derive(Debug)]
struct Pass {
    number: u64,
    /// The project's files.
    order: Vec<u32>,
    /// Where the windows start, in the order of their use.
    starts: Vec<Start>,
    /// Windows used so far.
    used: usize,
}

impl Loader {
    /// A loader whose next batch is batch 0.
    ///
    /// Renaming needs `names`; without any, nothing is renamed.
    pub fn new(
        documents: Documents,
        pieces: Arc<Pieces>,
        names: Names,
        order: Order,
        config: &LoaderConfig,
    ) -> Self {
        let mut sum = 0.0;
        let cumulative = documents
            .projects
            .iter()
            .map(|project| {
                sum += (project.tokens as f64).powf(config.project_exponent);
                sum
            })
            .collect();
        let mut loader = Self {
            documents,
            pieces,
            names,
            config: config.clone(),
            order,
            cumulative,
            passes: Vec::new(),
            next_row: 0,
        };
        loader.begin();
        loader
    }

    /// Whether windows may hold what metadata says of their files.
    pub fn has_outlines(&self) -> bool {
        self.config.drop_outline < 1.0 && self.documents.has_outlines()
    }

    /// Tokens of text that a pass over everything visits.
    pub fn tokens(&self) -> u64 {
        self.documents.tokens()
    }

    /// Batches that hold as many windows as one pass over every project.
    pub fn batches_per_epoch(&self) -> u64 {
        let first = |project| self.plan(project, 0).starts.len();
        let windows: usize = (0..self.documents.projects.len()).map(first).sum();
        windows.div_ceil(self.config.batch).max(1) as u64
    }

    /// Makes `batch` the number of the next batch.
    pub fn skip_to(&mut self, batch: u64) {
        self.begin();
        for _ in 0..batch * self.config.batch as u64 {
            self.draw();
        }
    }

    fn begin(&mut self) {
        self.next_row = 0;
        self.passes = (0..self.documents.projects.len())
            .map(|p| self.plan(p, 0))
            .collect();
    }

    /// The project and start of the next row.
    fn draw(&mut self) -> (usize, Start) {
        let total = self.cumulative.last().copied().unwrap_or(0.0);
        let seed = mix(self.config.seed, 1, self.next_row);
        let at = StdRng::seed_from_u64(seed).random::<f64>() * total;
        let project = self
            .cumulative
            .partition_point(|sum| *sum <= at)
            .min(self.cumulative.len() - 1);
        self.next_row += 1;
        if self.passes[project].used == self.passes[project].starts.len() {
            self.passes[project] = self.plan(project, self.passes[project].number + 1);
        }
        let pass = &mut self.passes[project];
        pass.used += 1;
        (project, pass.starts[pass.used - 1])
    }

    /// The next batch.
    ///
    /// # Errors
    /// [`TrainError::File`] if text that lies on disk cannot be read.
    pub fn next_batch(&mut self) -> Result<LossBatch, TrainError> {
        let windows = (0..self.config.batch)
            .map(|_| self.next_window())
            .collect::<Result<Vec<_>, _>>()?;
        Ok(to_batch(&windows, self.config.seq_len))
    }

    fn next_window(&mut self) -> Result<Window, TrainError> {
        let row = self.next_row;
        let (project, start) = self.draw();
        let mut rng = StdRng::seed_from_u64(mix(self.config.seed, 2, row));
        let renaming = (!self.names.is_empty() && rng.random_bool(self.config.rename))
            .then(|| self.names.visit(rng.random()));
        let shares = Shares {
            fill_in_middle: self.config.fill_in_middle,
            drop_header: self.config.drop_header,
            drop_outline: self.config.drop_outline,
        };
        let mut source = Source {
            documents: &mut self.documents,
            pieces: &self.pieces,
            project,
            order: &self.passes[project].order,
            renaming: renaming.as_ref(),
        };
        Window::lay_out(
            &mut source,
            start,
            self.config.seq_len + 1,
            shares,
            &mut rng,
        )
    }

    fn stride(&self) -> usize {
        self.config
            .seq_len
            .saturating_sub(HEADER_ROOM)
            .max(self.config.seq_len / 2)
    }

    /// Where the windows of a pass start, in random order.
    fn plan(&self, project: usize, number: u64) -> Pass {
        let seed = mix(self.config.seed, 3 + project as u64, number);
        let mut rng = StdRng::seed_from_u64(seed);
        let files = &self.documents.projects[project].files;
        let mut order: Vec<u32> = (0..files.len() as u32).collect();
        let mut starts = Vec::new();
        match self.order {
            Order::Paths => {
                let stride = self.stride() as u64;
                let mut wanted = rng.random_range(0..stride);
                let mut before = 0;
                for (place, file) in files.iter().enumerate() {
                    while wanted < before + u64::from(file.len) {
                        starts.push(Start {
                            place: place as u32,
                            offset: (wanted - before) as u32,
                        });
                        wanted += stride;
                    }
                    before += u64::from(file.len);
                }
                // What lies before the first border is a window too.
                starts.push(Start {
                    place: 0,
                    offset: 0,
                });
            }
            Order::Shuffled => {
                order.shuffle(&mut rng);
                let room = self.config.seq_len;
                let mut used = room;
                for (place, file) in order.iter().enumerate() {
                    let file = &files[*file as usize];
                    let head = file.header.len() + 3;
                    let len = file.len as usize + head;
                    if used + len > room {
                        // What the window before could not hold starts the next one; a file
                        // longer than a window goes on in windows of its own.
                        let step = room - (head + LINE_ROOM).min(room / 2);
                        for offset in (0..file.len as usize).step_by(step) {
                            starts.push(Start {
                                place: place as u32,
                                offset: offset as u32,
                            });
                            used = head + (file.len as usize - offset).min(step);
                        }
                    } else {
                        used += len;
                    }
                }
            }
        }
        starts.shuffle(&mut rng);
        Pass {
            number,
            order,
            starts,
            used: 0,
        }
    }
}

/// Windows spread evenly over text that is not trained on: left to right, names as they are.
///
/// # Errors
/// [`TrainError::File`] if text that lies on disk cannot be read.
pub fn fixed_batches(
    documents: Documents,
    pieces: Arc<Pieces>,
    order: Order,
    config: &LoaderConfig,
    windows: usize,
) -> Result<Vec<LossBatch>, TrainError> {
    let plain = LoaderConfig {
        fill_in_middle: 0.0,
        rename: 0.0,
        drop_header: 0.0,
        drop_outline: 1.0,
        ..config.clone()
    };
    let projects = documents.projects.len();
    let mut loader = Loader::new(documents, pieces, Names::default(), order, &plain);
    let mut rng = StdRng::seed_from_u64(config.seed);
    let shares = Shares {
        fill_in_middle: 0.0,
        drop_header: 0.0,
        drop_outline: 1.0,
    };
    let mut out = Vec::new();
    for project in 0..projects {
        let mut pass = loader.plan(project, 0);
        pass.starts
            .sort_unstable_by_key(|start| (start.place, start.offset));
        let wanted = windows.div_ceil(projects).min(pass.starts.len());
        for i in 0..wanted {
            let start = pass.starts[i * pass.starts.len() / wanted];
            let mut source = Source {
                documents: &mut loader.documents,
                pieces: &loader.pieces,
                project,
                order: &pass.order,
                renaming: None,
            };
            out.push(Window::lay_out(
                &mut source,
                start,
                config.seq_len + 1,
                shares,
                &mut rng,
            )?);
        }
    }
    Ok(out
        .chunks(config.batch)
        .map(|windows| to_batch(windows, config.seq_len))
        .collect())
}

fn to_batch(windows: &[Window], seq_len: usize) -> LossBatch {
    let collect = |range: std::ops::Range<usize>| {
        windows
            .iter()
            .flat_map(|w| &w.tokens[range.clone()])
            .copied()
            .collect()
    };
    LossBatch {
        batch: windows.len(),
        time: seq_len,
        tokens: collect(0..seq_len),
        targets: collect(1..seq_len + 1),
        weights: windows
            .iter()
            .flat_map(|w| &w.weights[1..])
            .copied()
            .collect(),
    }
}

/// A seed from a seed, a purpose and a number (the finaliser of SplitMix64 over their sum).
fn mix(seed: u64, purpose: u64, number: u64) -> u64 {
    let mut z = seed
        .wrapping_mul(0x9E37_79B9_7F4A_7C15)
        .wrapping_add(purpose.wrapping_mul(0xD1B5_4A32_D192_ED03))
        .wrapping_add(number.wrapping_mul(0x8CB9_2BA7_2F3D_8DD7));
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// Batches from a thread of their own.
#[derive(Debug)]
pub struct Batches {
    receiver: Option<Receiver<Result<LossBatch, TrainError>>>,
    thread: Option<JoinHandle<()>>,
}

impl Batches {
    /// Starts preparing batches from number `first` on.
    pub fn start(mut loader: Loader, first: u64) -> Self {
        let (sender, receiver): (SyncSender<_>, _) = sync_channel(READY_BATCHES);
        let thread = std::thread::spawn(move || {
            loader.skip_to(first);
            loop {
                let batch = loader.next_batch();
                let failed = batch.is_err();
                // The receiver has gone when the run has ended.
                if sender.send(batch).is_err() || failed {
                    break;
                }
            }
        });
        Self {
            receiver: Some(receiver),
            thread: Some(thread),
        }
    }

    /// The next batch; waits for it where it is not ready.
    ///
    /// # Errors
    /// What the loader met, or [`TrainError::Loader`] if its thread has gone.
    pub fn next_batch(&mut self) -> Result<LossBatch, TrainError> {
        let gone = || TrainError::Loader {
            reason: "its thread has ended".into(),
        };
        self.receiver
            .as_ref()
            .ok_or_else(gone)?
            .recv()
            .map_err(|_| gone())?
    }
}

impl Drop for Batches {
    fn drop(&mut self) {
        self.receiver = None;
        if let Some(thread) = self.thread.take() {
            // A panic there has already been printed; the run does not depend on it any more.
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::pieces::special;
    use super::rename::WordCounts;
    use super::*;

    fn config() -> LoaderConfig {
        LoaderConfig {
            batch: 3,
            seq_len: 128,
            fill_in_middle: 0.4,
            rename: 0.4,
            drop_header: 0.1,
            drop_outline: 0.5,
            project_exponent: 0.7,
            seed: 7,
        }
    }

    fn loader(order: Order, config: &LoaderConfig) -> Loader {
        let pieces = Arc::new(Pieces::single_bytes());
        let mut documents = Documents::new();
        let mut counts = WordCounts::default();
        for (project, lines) in [("малый", 30), ("большой", 300)] {
            documents.begin_project(project);
            for file in 0..4 {
                let text: String = (0..lines)
                    .map(|i| format!("Name{i} = Заказ.Item{file};\n"))
                    .collect();
                counts.add(&text);
                let header = pieces.encode(&format!("Документ.Ф{file}.Модуль\n"));
                documents
                    .add_file(
                        &header,
                        &pieces.encode("Item0,Item1\n"),
                        &pieces.encode(&text),
                    )
                    .unwrap();
            }
        }
        let names = Names::new(counts, &pieces);
        Loader::new(documents.finish(), pieces, names, order, config)
    }

    #[test]
    fn a_batch_follows_from_the_seed_and_its_number() {
        for order in [Order::Paths, Order::Shuffled] {
            let mut one = loader(order, &config());
            let batches: Vec<_> = (0..40).map(|_| one.next_batch().unwrap()).collect();
            let mut other = loader(order, &config());
            for number in [17, 3, 39] {
                other.skip_to(number);
                assert_eq!(other.next_batch().unwrap(), batches[number as usize]);
            }
            let mut background = Batches::start(loader(order, &config()), 5);
            assert_eq!(background.next_batch().unwrap(), batches[5]);
            assert_eq!(background.next_batch().unwrap(), batches[6]);
            let mut reseeded = loader(
                order,
                &LoaderConfig {
                    seed: 8,
                    ..config()
                },
            );
            assert_ne!(reseeded.next_batch().unwrap(), batches[0]);
        }
    }

    #[test]
    fn targets_are_the_tokens_shifted_by_one() {
        let batch = loader(Order::Paths, &config()).next_batch().unwrap();
        assert_eq!((batch.batch, batch.time), (3, 128));
        for row in 0..3 {
            let row = row * 128..(row + 1) * 128;
            assert_eq!(batch.tokens[row.clone()][1..], batch.targets[row][..127]);
        }
        for (target, weight) in batch.targets.iter().zip(&batch.weights) {
            assert!(*weight == 0.0 || *target >= special::END_OF_MIDDLE);
        }
    }

    #[test]
    fn a_pass_visits_all_text_and_projects_are_drawn_by_their_size() {
        let plain = LoaderConfig {
            fill_in_middle: 0.0,
            rename: 0.0,
            drop_header: 0.0,
            ..config()
        };
        for order in [Order::Paths, Order::Shuffled] {
            let mut loader = loader(order, &plain);
            let pieces = Pieces::single_bytes();
            let rows = loader.batches_per_epoch() * 3 * 4;
            let mut drawn = [0.0; 2];
            (0..rows).for_each(|_| drawn[loader.draw().0] += 1.0);
            let share = drawn[0] / (drawn[0] + drawn[1]);
            let expected = 1.0 / (1.0 + 10_f64.powf(0.7));
            assert!((share - expected).abs() < 0.08, "{share} {expected}");
            let mut seen = String::new();
            for _ in 0..rows {
                let window = loader.next_window().unwrap();
                seen += &String::from_utf8_lossy(&pieces.decode(&window.tokens));
                seen += "\n";
            }
            let big = (0..300)
                .filter(|i| seen.contains(&format!("Name{i} = ")))
                .count();
            assert!(big > 290, "{order:?}: {big}");
        }
    }

    #[test]
    fn fixed_windows_are_always_the_same() {
        let make = || {
            let loader = loader(Order::Paths, &config());
            fixed_batches(loader.documents, loader.pieces, Order::Paths, &config(), 7).unwrap()
        };
        let batches = make();
        assert_eq!(batches, make());
        assert_eq!(batches.iter().map(|batch| batch.batch).sum::<usize>(), 8);
    }
}
