//! Builds a corpus from a list of repositories: `build_list LIST MIRRORS OUT VOCAB [WITHHELD,...]`.
//!
//! The rows with role dev are left out. Prints phases, rates and the figures of the corpus.

use std::path::Path;
use std::sync::Mutex;
use std::time::Instant;

use nestor_corpus::{BuildConfig, Corpus, Phase, Role, Step, build, list, stats};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [list_path, mirrors, out, vocab, withheld @ ..] = &args[..] else {
        return Err("usage: build_list LIST MIRRORS OUT VOCAB [WITHHELD,...]".into());
    };
    let withheld: Vec<String> = withheld.iter().flat_map(|names| names.split(',')).map(str::to_owned).collect();
    let mut sources = list::read_list(Path::new(list_path), Path::new(mirrors), &withheld)?;
    sources.retain(|source| source.role != Role::Dev);
    let config = BuildConfig { vocab_size: vocab.parse()?, ..BuildConfig::new(sources, out) };
    let begin = Instant::now();
    let phase: Mutex<(Option<Phase>, Instant)> = Mutex::new((None, begin));
    let manifest = build(&config, &|step: &Step<'_>| {
        let Ok(mut phase) = phase.lock() else { return };
        if phase.0 != Some(step.phase) {
            *phase = (Some(step.phase), Instant::now());
        }
        let elapsed = phase.1.elapsed();
        eprintln!(
            "{:6.1} s  {:?} {}: {}/{} files, {:.1}/{:.1} MB, {:.1} MB/s, {:?} left",
            begin.elapsed().as_secs_f64(),
            step.phase,
            step.source,
            step.done_files,
            step.total_files,
            step.done_bytes as f64 / 1e6,
            step.total_bytes as f64 / 1e6,
            step.mb_per_s(elapsed),
            step.time_left(elapsed),
        );
    })?;
    let seconds = begin.elapsed().as_secs_f64();
    let corpus = Corpus::open(out)?;
    corpus.verify()?;
    println!("{}", serde_json::to_string_pretty(&stats::stats(&corpus))?);
    println!("{seconds:.1} s, {:.1} MB/s, corpus {}", manifest.totals.bytes as f64 / 1e6 / seconds, corpus.sha256());
    println!("{} skipped, English share of the tokenizer {:?}", manifest.totals.skipped_files, manifest.tokenizer.english_share);
    Ok(())
}
