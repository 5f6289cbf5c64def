//! `nestor corpus build|stats|sample`: training corpora from source code, and a look into them.

use crate::explain;
use crate::failure::{Failure, Outcome};
use crate::messages::Messages;
use crate::sources::SourcesTyped;
use crate::table::{Emphasis, Table};
use crate::terminal::{Terminal, style};
use clap::{Args, Subcommand};
use indicatif::ProgressBar;
use nestor_corpus::manifest::{Counts, Manifest, SourceEntry};
use nestor_corpus::{BuildConfig, Corpus, Phase, Role, Step, sample, stats};
use serde::Serialize;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// Arguments of `nestor corpus`.
#[derive(Debug, Args)]
pub struct Typed {
    #[command(subcommand)]
    command: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Builds a corpus.
    Build(BuildTyped),
    /// Shows its figures.
    Stats(StatsTyped),
    /// Prints random methods of it.
    Sample(SampleTyped),
}

#[derive(Debug, Args)]
struct BuildTyped {
    #[command(flatten)]
    sources: SourcesTyped,
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    #[arg(long, value_name = "NAME")]
    withhold: Vec<String>,
    #[arg(long, value_name = "N", default_value_t = 8192)]
    vocab: usize,
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
}

#[derive(Debug, Args)]
struct StatsTyped {
    #[arg(value_name = "DIR")]
    corpus: PathBuf,
}

#[derive(Debug, Args)]
struct SampleTyped {
    #[arg(value_name = "DIR")]
    corpus: PathBuf,
    #[arg(long, value_name = "N", default_value_t = 10)]
    samples: usize,
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
}

/// Runs the command.
pub fn run(typed: Typed, terminal: &Terminal) -> Outcome {
    match typed.command {
        Action::Build(typed) => build(typed, terminal),
        Action::Stats(typed) => {
            let corpus = open(&typed.corpus, &terminal.messages)?;
            let stats = stats::stats(&corpus);
            terminal.result(&stats, || stats_text(&stats, &terminal.messages))
        }
        Action::Sample(typed) => print_sample(&typed, terminal),
    }
}

/// Opens a corpus folder.
pub fn open(dir: &Path, messages: &Messages) -> Outcome<Corpus> {
    Corpus::open(dir).map_err(|error| explain::corpus(messages, &error))
}

fn build(typed: BuildTyped, terminal: &Terminal) -> Outcome {
    let messages = &terminal.messages;
    let config = resolve(typed, messages)?;
    let view = View::new(terminal);
    let started = Instant::now();
    let built = nestor_corpus::build(&config, &|step: &Step<'_>| view.show(step));
    view.clear();
    let manifest = built.map_err(|error| explain::corpus(messages, &error))?;
    let seconds = started.elapsed().as_secs_f64();
    let report = BuildReport {
        seconds,
        mb_per_s: manifest.totals.bytes as f64 / 1e6 / seconds.max(1e-9),
        out: config.out,
        manifest,
    };
    terminal.result(&report, || build_text(&report, messages))
}

/// What was typed as a configuration of the build.
fn resolve(typed: BuildTyped, messages: &Messages) -> Outcome<BuildConfig> {
    let mut sources = typed.sources.resolve(Role::Train, messages)?;
    for name in &typed.withhold {
        let source = sources.iter_mut().find(|source| &source.name == name);
        let source = source.ok_or_else(|| {
            Failure::usage(
                messages,
                "corpus-withhold-unknown",
                &[("name", name.as_str().into())],
            )
        })?;
        source.role = Role::Withheld;
    }
    let mut config = BuildConfig::new(sources, typed.out);
    config.vocab_size = typed.vocab;
    config.seed = typed.seed;
    Ok(config)
}

#[derive(Serialize)]
struct BuildReport {
    out: PathBuf,
    seconds: f64,
    mb_per_s: f64,
    manifest: Manifest,
}

fn build_text(report: &BuildReport, messages: &Messages) -> String {
    let sources: Vec<Row> = report.manifest.sources.iter().map(Row::of_source).collect();
    let mut text = counts_table(&sources, &report.manifest.totals, messages);
    let skipped: Vec<_> = report
        .manifest
        .sources
        .iter()
        .filter(|source| !source.skipped.is_empty())
        .collect();
    if !skipped.is_empty() {
        text.push_str(&format!("\n{}\n", messages.text("corpus-skipped")));
        for source in skipped {
            for file in source.skipped.iter().take(SHOWN_SKIPPED) {
                text.push_str(&format!(
                    "  {}: {} ({})\n",
                    source.name, file.path, file.reason
                ));
            }
            let more = source.skipped.len().saturating_sub(SHOWN_SKIPPED);
            if more > 0 {
                let values = [
                    ("source", source.name.as_str().into()),
                    ("count", more.into()),
                ];
                text.push_str(&format!(
                    "  {}\n",
                    messages.with("corpus-skipped-more", &values)
                ));
            }
        }
    }
    let values = [
        ("size", messages.bytes(report.manifest.totals.bytes).into()),
        ("time", messages.duration(report.seconds).into()),
        ("rate", messages.decimal(report.mb_per_s, 1).into()),
        ("path", report.out.display().to_string().into()),
    ];
    text.push_str(&format!("\n{}\n", messages.with("corpus-built", &values)));
    text
}

/// Skipped files of a source that are named; the manifest has them all.
const SHOWN_SKIPPED: usize = 5;

/// A line of the table of sources.
struct Row<'a> {
    name: &'a str,
    role: Role,
    licence: &'a str,
    counts: Counts,
}

impl<'a> Row<'a> {
    fn of_source(source: &'a SourceEntry) -> Self {
        Self {
            name: &source.name,
            role: source.role,
            licence: &source.licence,
            counts: source.counts,
        }
    }
}

fn counts_table(rows: &[Row<'_>], totals: &Counts, messages: &Messages) -> String {
    let headings = [
        "corpus-source",
        "corpus-role",
        "corpus-licence",
        "corpus-files",
        "corpus-copies",
        "corpus-size",
        "corpus-methods",
        "corpus-unique",
        "corpus-near",
        "corpus-tokens",
    ];
    let mut table = Table::new(headings.map(|key| messages.text(key)));
    let cells = |name: &str, role: &str, licence: &str, counts: &Counts| {
        [
            name.to_owned(),
            role.to_owned(),
            licence.to_owned(),
            messages.count(counts.files),
            messages.count(counts.duplicate_files),
            messages.bytes(counts.bytes),
            messages.count(counts.methods),
            messages.count(counts.unique_methods),
            messages.count(counts.near_duplicates),
            messages.count(counts.tokens),
        ]
    };
    for row in rows {
        table.row(
            cells(row.name, row.role.name(), row.licence, &row.counts),
            Emphasis::Plain,
        );
    }
    table.rule();
    table.row(
        cells(&messages.text("corpus-total"), "", "", totals),
        Emphasis::Strong,
    );
    table.render()
}

fn stats_text(stats: &stats::Stats, messages: &Messages) -> String {
    let rows: Vec<Row> = stats
        .projects
        .iter()
        .map(|project| Row {
            name: &project.name,
            role: project.role,
            licence: &project.licence,
            counts: project.counts,
        })
        .collect();
    let mut text = counts_table(&rows, &stats.totals, messages);
    text.push('\n');
    for language in &stats.languages {
        let name = match language.language {
            nestor_corpus::manifest::Language::Russian => messages.text("corpus-russian"),
            nestor_corpus::manifest::Language::English => messages.text("corpus-english"),
        };
        let values = [
            ("language", name.into()),
            ("files", messages.count(language.counts.files).into()),
            ("size", messages.bytes(language.counts.bytes).into()),
            ("tokens", messages.count(language.counts.tokens).into()),
            (
                "bytes",
                messages.decimal(language.bytes_per_token, 2).into(),
            ),
        ];
        text.push_str(&format!("{}\n", messages.with("corpus-language", &values)));
    }
    let [median, p90, p99, longest] = stats
        .method_tokens
        .map(|tokens| messages.count(tokens as u64));
    let values = [
        ("median", median.into()),
        ("p90", p90.into()),
        ("p99", p99.into()),
        ("longest", longest.into()),
    ];
    text.push_str(&format!(
        "{}\n",
        messages.with("corpus-method-lengths", &values)
    ));
    let values = [
        ("vocabulary", messages.count(stats.vocab_size as u64).into()),
        ("shards", messages.count(stats.shards as u64).into()),
    ];
    text.push_str(&format!("{}\n", messages.with("corpus-stored", &values)));
    text
}

/// A method drawn from a corpus.
#[derive(Serialize)]
struct Sampled {
    project: String,
    path: String,
    tokens: usize,
    text: String,
}

fn print_sample(typed: &SampleTyped, terminal: &Terminal) -> Outcome {
    let messages = &terminal.messages;
    let corpus = open(&typed.corpus, messages)?;
    let drawn = sample::sample(&corpus, typed.samples, typed.seed)
        .map_err(|error| explain::corpus(messages, &error))?;
    let mut places: Vec<_> = drawn.train.iter().chain(&drawn.test).collect();
    places.sort_unstable();
    let mut samples = Vec::with_capacity(places.len());
    for place in places {
        let file = corpus
            .file(place.file)
            .map_err(|error| explain::corpus(messages, &error))?;
        let method = &file.methods[place.method];
        let text = corpus
            .tokenizer()
            .decode(&file.tokens[method.tokens.clone()]);
        samples.push(Sampled {
            project: corpus.projects()[file.project].name.clone(),
            path: file.path.clone(),
            tokens: method.tokens.len(),
            text: String::from_utf8_lossy(&text).trim_matches('\n').to_owned(),
        });
    }
    terminal.result(&serde_json::json!({ "samples": samples }), || {
        let method = |one: &Sampled| {
            let title = console::style(format!("// {}: {}", one.project, one.path)).dim();
            format!("{title}\n{}\n", one.text)
        };
        samples.iter().map(method).collect::<Vec<_>>().join("\n")
    })
}

/// The progress of a build: one bar, which starts again with each phase.
struct View<'a> {
    terminal: &'a Terminal,
    bar: ProgressBar,
    phase: Mutex<Option<(Phase, Instant, Instant)>>,
}

/// How often a log that nobody watches gets a line.
const LOG_INTERVAL: Duration = Duration::from_secs(15);

impl<'a> View<'a> {
    fn new(terminal: &'a Terminal) -> Self {
        let bar = terminal.bar(0, "");
        bar.set_style(style("{prefix:<22} {bar:30} {msg}"));
        Self {
            terminal,
            bar,
            phase: Mutex::new(None),
        }
    }

    fn show(&self, step: &Step<'_>) {
        let mut state = self
            .phase
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        let now = Instant::now();
        let changed = state
            .as_ref()
            .is_none_or(|(phase, ..)| *phase != step.phase);
        if changed {
            *state = Some((step.phase, now, now));
        }
        let Some((_, started, logged)) = state.as_mut() else {
            return;
        };
        let line = self.line(step, started.elapsed());
        if self.terminal.is_live() {
            self.bar.set_prefix(self.phase_name(step.phase));
            self.bar.set_length(step.total_bytes);
            self.bar.set_position(step.done_bytes);
            self.bar.set_message(line);
        } else if changed || logged.elapsed() >= LOG_INTERVAL {
            *logged = now;
            self.terminal
                .note(format!("{} {line}", self.phase_name(step.phase)).trim_end());
        }
    }

    fn line(&self, step: &Step<'_>, elapsed: Duration) -> String {
        let messages = &self.terminal.messages;
        if step.total_bytes == 0 || step.done_bytes == 0 {
            return step.source.to_owned();
        }
        let left = step.time_left(elapsed).map_or_else(String::new, |left| {
            messages.with(
                "train-left",
                &[("time", messages.duration(left.as_secs_f64()).into())],
            )
        });
        let done = messages.bytes(step.done_bytes);
        let all = messages.bytes(step.total_bytes);
        let rate = messages.decimal(step.mb_per_s(elapsed), 1);
        let unit = messages.text("unit-megabytes");
        let second = messages.text("unit-seconds");
        format!(
            "{done} / {all}, {rate} {unit}/{second}, {left}  {}",
            step.source
        )
    }

    fn phase_name(&self, phase: Phase) -> String {
        let messages = &self.terminal.messages;
        match phase {
            Phase::Listing => messages.text("corpus-phase-listing"),
            Phase::Reading => messages.text("corpus-phase-reading"),
            Phase::Training => messages.text("corpus-phase-training"),
            Phase::Encoding => messages.text("corpus-phase-encoding"),
            Phase::Finishing => messages.text("corpus-phase-finishing"),
        }
    }

    fn clear(&self) {
        self.bar.finish_and_clear();
    }
}
