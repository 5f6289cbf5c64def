//! What the filter of project learning holds back of real code, and what it costs: the tables of LOG.md.
//!
//! `cargo run --release -p nestor-eval --example filter_study -- MODEL FOLDER SRC...`
//!
//! Learns each source as a project of its own under FOLDER, which must not exist, and prints a line a source: files, files
//! held back by reason. Then what is held back
//! by other reasons than copies that count and known text, by name, and microseconds a kilobyte of each measure on one core.

use nestor_assist::document::file_pieces;
use nestor_assist::filter::{judge_known, judge_text};
use nestor_assist::{Assistant, Counts, LearnFile, Reason, Teaches};
use nestor_bsl::similarity::Signature;
use nestor_corpus::source;
use nestor_memory::{Projects, Root, WhenBusy, fitting_name};
use std::collections::BTreeMap;
use std::hint::black_box;
use std::ops::ControlFlow;
use std::path::Path;
use std::time::{Duration, Instant};

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Files that are learned together, as the command line does.
const BATCH: usize = 64;

fn main() -> Result<(), Failure> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [model, folder, sources @ ..] = &arguments[..] else {
        return Err("MODEL FOLDER SRC...".into());
    };
    let mut assistant = Assistant::open(Path::new(model))?;
    let projects = Projects::at(Path::new(folder));
    let mut held: Vec<String> = Vec::new();
    let mut cost = Cost::default();
    for location in sources {
        let source = source::open(Path::new(location))?;
        let mut files = Vec::new();
        source.read(&mut |file| {
            files.push(LearnFile {
                path: file.path,
                text: file.text,
            });
            ControlFlow::Continue(())
        })?;
        let name = fitting_name(
            location
                .trim_end_matches("/repo")
                .rsplit('/')
                .next()
                .unwrap_or(location),
        );
        let mut writer =
            projects.open_or_create(&name.parse()?, &assistant.identity(), WhenBusy::Fail, 0)?;
        writer.set_root(&Root {
            name: "src".to_owned(),
            location: location.clone(),
            role: None,
        })?;
        let started = Instant::now();
        let mut learning = assistant.learn_project(&mut writer, "src", Counts::Stay)?;
        for batch in files.chunks(BATCH) {
            learning.learn(batch)?;
        }
        let report = learning.finish()?;
        let seconds = started.elapsed().as_secs_f64();
        let mut reasons: BTreeMap<String, usize> = BTreeMap::new();
        for one in &report.filtered {
            *reasons
                .entry(format!("{} {:?}", one.reason.key(), one.teaches))
                .or_default() += 1;
            let is_expected = match one.reason {
                Reason::Copy => one.teaches == Teaches::Counts,
                reason => reason == Reason::Known,
            };
            if !is_expected {
                held.push(format!(
                    "{name}: {} ({}, {:?})",
                    one.path,
                    one.reason.key(),
                    one.teaches
                ));
            }
        }
        let n_bytes: usize = files.iter().map(|file| file.text.len()).sum();
        println!(
            "{name}: {} files, {:.1} MB in {seconds:.1} s, held back {reasons:?}",
            files.len(),
            n_bytes as f64 / 1e6
        );
        cost.add(&assistant, &files);
    }
    println!("{}", held.join("\n"));
    println!("{cost:?}");
    Ok(())
}

/// Time of each measure on one core.
#[derive(Debug, Default)]
#[allow(dead_code, reason = "printed")]
struct Cost {
    kilobytes: f64,
    text: Duration,
    pieces: Duration,
    known: Duration,
    signature: Duration,
}

impl Cost {
    fn add(&mut self, assistant: &Assistant, files: &[LearnFile]) {
        // One file in eight tells enough.
        for file in files.iter().step_by(8) {
            self.kilobytes += file.text.len() as f64 / 1e3;
            let started = Instant::now();
            assert!(black_box(judge_text(&file.text)).teaches >= Teaches::Nothing);
            self.text += started.elapsed();
            let started = Instant::now();
            let pieces = file_pieces(assistant.tokenizer(), &file.path, &file.text);
            self.pieces += started.elapsed();
            let started = Instant::now();
            black_box(judge_known(assistant.train_methods(), &file.text));
            self.known += started.elapsed();
            let started = Instant::now();
            black_box(Signature::of_words(
                pieces.iter().map(|&piece| u64::from(piece)),
                1,
            ));
            self.signature += started.elapsed();
        }
    }
}
