//! `nestor eval SRC|CORPUS`: how accurate each level is on code that the model has not seen.
//!
//! The protocols and figures are `nestor-eval`'s; here sources are read, the baseline is taught and tables are printed.

mod commits;
mod peer;

use super::complete::{self, PrecisionTyped};
use crate::accuracy;
use crate::commands::corpus;
use crate::explain;
use crate::failure::{Failure, Outcome};
use crate::home;
use crate::learning;
use crate::messages::Messages;
use crate::sources::{SourcesTyped, check_present};
use crate::terminal::Terminal;
use clap::{Args, ValueEnum};
use nestor_assist::{Assistant, LevelMemoriesConfig, MemoryParts, MetadataIndex};
use nestor_corpus::{Corpus, Role, SourceSpec, manifest, sample};
use nestor_eval::{
    Contestants, EvalConfig, EvalProgress, Evaluation, Level, NgramBaseline, ProjectFile, Protocol,
    Source, SourceMetadata, evaluate,
};
use serde::Serialize;
use std::path::{Path, PathBuf};

/// Arguments of `nestor eval`.
#[derive(Debug, Args)]
pub struct Typed {
    #[command(flatten)]
    sources: SourcesTyped,
    #[arg(long, value_enum, default_value = "project")]
    protocol: ProtocolTyped,
    #[arg(long, value_name = "LEVELS", value_parser = levels)]
    levels: Option<LevelsTyped>,
    #[arg(long, value_name = "ngram|openai:URL:MODEL", value_parser = baseline_typed)]
    baseline: Option<BaselineTyped>,
    #[arg(long, value_name = "CORPUS", requires = "baseline")]
    baseline_corpus: Option<PathBuf>,
    #[arg(long, value_name = "N", default_value_t = 20_000)]
    max_positions: u64,
    #[arg(long, value_name = "N")]
    max_bytes: Option<usize>,
    #[arg(long, value_enum, default_value = "all")]
    code: CodeTyped,
    #[arg(long, value_enum, default_value = "off")]
    memories: MemoriesTyped,
    #[arg(long, value_name = "N", default_value_t = 50)]
    commits: usize,
    #[arg(long, value_name = "N", default_value_t = 200)]
    max_lines: usize,
    #[arg(long, value_enum, default_value = "on")]
    metadata: MetadataTyped,
    #[arg(long, value_name = "N", default_value_t = 10)]
    folds: usize,
    #[arg(long, value_name = "SHARE", default_value_t = 1.0)]
    learned_share: f64,
    #[arg(long, value_name = "N", default_value_t = 10_000)]
    samples: usize,
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    #[arg(long, value_enum, default_value = "int8")]
    precision: PrecisionTyped,
    #[arg(long, value_name = "MODEL", default_value = home::DEFAULT_MODEL)]
    model: String,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum ProtocolTyped {
    Project,
    Maintenance,
    Samples,
    Commits,
}

/// Whose code of a codebase is learned and scored.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum CodeTyped {
    All,
    Own,
}

/// Who is measured beside Nestor.
#[derive(Clone, Debug, PartialEq, Eq)]
enum BaselineTyped {
    /// Counts of lexer tokens.
    Ngram,
    /// A model behind OpenAI's interface.
    OpenAi(peer::Address),
}

fn baseline_typed(text: &str) -> Result<BaselineTyped, String> {
    let peer = text.strip_prefix("openai:").and_then(peer::Address::parse);
    match (text, peer) {
        ("ngram", _) => Ok(BaselineTyped::Ngram),
        (_, Some(address)) => Ok(BaselineTyped::OpenAi(address)),
        _ => Err("ngram, openai:http://HOST:PORT:MODEL, openai:https://HOST/v1:MODEL".to_owned()),
    }
}

/// Whether the names that the metadata of a codebase offers are mixed in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum MetadataTyped {
    On,
    Off,
}

/// Which memories learn with the project.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum MemoriesTyped {
    Off,
    All,
    Served,
    WithoutLevel1,
    WithoutLevel2,
    WithoutLevel3,
    WithoutEpisodic,
}

impl MemoriesTyped {
    fn parts(self) -> Option<MemoryParts> {
        let all = MemoryParts::ALL;
        Some(match self {
            Self::Off => return None,
            Self::All | Self::Served | Self::WithoutLevel1 => all,
            Self::WithoutLevel2 => MemoryParts {
                level2: false,
                ..all
            },
            Self::WithoutLevel3 => MemoryParts {
                level3: false,
                ..all
            },
            Self::WithoutEpisodic => MemoryParts {
                episodic: false,
                ..all
            },
        })
    }
}

/// Levels to show.
#[derive(Clone, Debug, PartialEq)]
struct LevelsTyped(Vec<Level>);

/// `0,1,2,3,all`, `1..3`, or both mixed.
fn levels(text: &str) -> Result<LevelsTyped, String> {
    let one = |word: &str| {
        let models = [
            Level::Cache,
            Level::One,
            Level::Two,
            Level::Three,
            Level::All,
        ];
        models
            .into_iter()
            .find(|level| level.name() == word)
            .ok_or_else(|| "0, 1, 2, 3, all, 0..3".to_owned())
    };
    let mut levels = Vec::new();
    for word in text.split(',') {
        match word.split_once("..") {
            Some((first, last)) => {
                let (first, last) = (one(first)?, one(last)?);
                levels.extend(
                    accuracy::LEVELS
                        .into_iter()
                        .filter(|level| (first..=last).contains(level)),
                );
            }
            None => levels.push(one(word)?),
        }
    }
    Ok(LevelsTyped(levels))
}

/// Runs the command.
pub fn run(typed: Typed, terminal: &Terminal) -> Outcome {
    let messages = &terminal.messages;
    if matches!(typed.protocol, ProtocolTyped::Commits) {
        return commits::run(&typed, terminal);
    }
    if let Some(BaselineTyped::OpenAi(_)) = typed.baseline {
        return Err(Failure::usage(messages, "eval-peer-writes-lines", &[]));
    }
    let mut config = resolve(&typed);
    let mut assistant = complete::open_as(&typed.model, typed.precision, messages)?;
    if matches!(typed.memories, MemoriesTyped::WithoutLevel1) && !assistant.silence_level1() {
        return Err(Failure::internal("the model is shared"));
    }
    config.levels = typed.memories.parts().map(|parts| LevelMemoriesConfig {
        parts,
        ..assistant.level_config()
    });
    let mut specs = typed.sources.resolve(Role::Dev, messages)?;
    // A table also lists what models are trained on.
    specs.retain(|spec| spec.role == Role::Dev);
    check_present(&specs, messages)?;
    let mut baseline = baseline(&typed, &specs, terminal)?;
    let mut evaluation = Evaluation::default();
    for spec in &specs {
        for mut source in sources(spec, &typed, terminal)? {
            if let Some(max_bytes) = typed.max_bytes {
                learning::keep_first(&mut source.files, max_bytes);
            }
            let index = metadata_of(spec, &typed, terminal)?;
            let metadata = index.as_ref().map(|index| SourceMetadata {
                index,
                is_heard: typed.metadata == MetadataTyped::On,
            });
            let contestants = Contestants {
                assistant: Some(&assistant),
                baseline: baseline.as_mut(),
                metadata,
            };
            let one = measure_all(&source, contestants, &config, terminal)?;
            evaluation.extend(one);
        }
    }
    if let Some(LevelsTyped(levels)) = &typed.levels {
        evaluation
            .results
            .retain(|row| row.level == Level::Ngram || levels.contains(&row.level));
    }
    let report = Report {
        mean: (evaluation.sources.len() > 1)
            .then(|| accuracy::mean(&evaluation, &messages.text("eval-mean"))),
        evaluation,
    };
    terminal.result(&report, || text(&report, messages))
}

fn resolve(typed: &Typed) -> EvalConfig {
    let mut config = EvalConfig::new(match typed.protocol {
        // Commits are replayed, not scored token by token.
        ProtocolTyped::Project | ProtocolTyped::Commits => Protocol::Project,
        ProtocolTyped::Maintenance => Protocol::Maintenance,
        ProtocolTyped::Samples => Protocol::Samples,
    });
    config.max_positions = Some(typed.max_positions);
    config.seed = typed.seed;
    config.open_file_teaches = !matches!(typed.memories, MemoriesTyped::Served);
    config.folds = typed.folds;
    config.learned_share = typed.learned_share;
    config
}

/// Measures one source, with a bar.
pub fn measure(
    source: &Source,
    assistant: &Assistant,
    baseline: Option<&mut NgramBaseline>,
    config: &EvalConfig,
    terminal: &Terminal,
) -> Outcome<Evaluation> {
    let contestants = Contestants {
        assistant: Some(assistant),
        baseline,
        metadata: None,
    };
    measure_all(source, contestants, config, terminal)
}

/// The metadata of a codebase; a corpus has none.
fn metadata_of(
    spec: &SourceSpec,
    typed: &Typed,
    terminal: &Terminal,
) -> Outcome<Option<MetadataIndex>> {
    if is_corpus(&spec.path) || matches!(typed.protocol, ProtocolTyped::Samples) {
        return Ok(None);
    }
    learning::read_metadata(&spec.path, terminal).map(Some)
}

fn measure_all(
    source: &Source,
    contestants: Contestants<'_>,
    config: &EvalConfig,
    terminal: &Terminal,
) -> Outcome<Evaluation> {
    let messages = &terminal.messages;
    let bar = terminal.bar(0, &source.name);
    let measured = evaluate(
        source,
        contestants,
        config,
        &mut |progress: EvalProgress| {
            bar.set_length(progress.n_positions);
            bar.set_position(progress.positions);
            bar.set_message(messages.with(
                "eval-progress",
                &[
                    ("files", progress.files.into()),
                    ("of", progress.n_files.into()),
                ],
            ));
        },
    );
    bar.finish_and_clear();
    measured.map_err(|error| explain::eval(messages, &error))
}

/// True of a folder that `corpus build` wrote.
fn is_corpus(path: &Path) -> bool {
    path.join(manifest::MANIFEST_FILE).is_file() && path.join(manifest::SHARDS_FOLDER).is_dir()
}

/// What there is to measure in a source.
fn sources(spec: &SourceSpec, typed: &Typed, terminal: &Terminal) -> Outcome<Vec<Source>> {
    let messages = &terminal.messages;
    let path = spec.path.as_path();
    let shown = || path.display().to_string();
    match (typed.protocol, is_corpus(path)) {
        (ProtocolTyped::Samples, false) => Err(Failure::input(
            messages,
            "eval-needs-corpus",
            &[("path", shown().into())],
        )),
        (ProtocolTyped::Samples, true) => {
            let corpus = corpus::open(path, messages)?;
            let drawn = sample::sample(&corpus, typed.samples, typed.seed)
                .map_err(|error| explain::corpus(messages, &error))?;
            Ok(vec![Source {
                name: spec.name.clone(),
                files: methods(&corpus, &drawn.test, messages)?,
            }])
        }
        (_, false) => {
            let files = match typed.code {
                CodeTyped::All => learning::read_all(path, terminal)?,
                CodeTyped::Own => learning::read_own(path, terminal)?,
            };
            Ok(vec![Source {
                name: spec.name.clone(),
                files,
            }])
        }
        (_, true) => {
            let corpus = corpus::open(path, messages)?;
            projects(&corpus, messages)
        }
    }
}

/// The projects of a corpus that a model may be measured on: those for measuring, else those withheld.
fn projects(corpus: &Corpus, messages: &Messages) -> Outcome<Vec<Source>> {
    let of_role = |role: Role| {
        corpus
            .projects()
            .iter()
            .filter(move |project| project.role == role)
    };
    let role = [Role::Dev, Role::Withheld]
        .into_iter()
        .find(|role| of_role(*role).next().is_some());
    let Some(role) = role else {
        let path = corpus.folder().display().to_string();
        return Err(Failure::input(
            messages,
            "eval-nothing-withheld",
            &[("path", path.into())],
        ));
    };
    of_role(role)
        .map(|project| {
            let files = project.files.clone().map(|file_idx| {
                let text = corpus
                    .text(file_idx)
                    .map_err(|error| explain::corpus(messages, &error))?;
                Ok(ProjectFile {
                    path: corpus.files()[file_idx].path.clone(),
                    text,
                })
            });
            Ok(Source {
                name: project.name.clone(),
                files: files.collect::<Outcome<_>>()?,
            })
        })
        .collect()
}

/// Sampled methods, each as a file of its own.
fn methods(
    corpus: &Corpus,
    places: &[sample::SampleRef],
    messages: &Messages,
) -> Outcome<Vec<ProjectFile>> {
    let method = |place: &sample::SampleRef| {
        let tokens = corpus
            .tokens(place.file)
            .map_err(|error| explain::corpus(messages, &error))?;
        let entry = &corpus.files()[place.file];
        let text = corpus
            .tokenizer()
            .decode(&tokens[entry.methods[place.method].tokens.clone()]);
        let text = String::from_utf8_lossy(&text)
            .trim_start_matches('\n')
            .to_owned();
        Ok(ProjectFile {
            path: entry.path.clone(),
            text,
        })
    };
    places.iter().map(method).collect()
}

/// Texts taught to the baseline together.
const BASELINE_BATCH: usize = 256;

/// The baseline, taught what the model was taught.
fn baseline(
    typed: &Typed,
    specs: &[SourceSpec],
    terminal: &Terminal,
) -> Outcome<Option<NgramBaseline>> {
    if typed.baseline.is_none() {
        return Ok(None);
    }
    let messages = &terminal.messages;
    let mut baseline = NgramBaseline::new();
    let of_sources = specs
        .iter()
        .map(|spec| &spec.path)
        .find(|path| is_corpus(path));
    let Some(path) = typed.baseline_corpus.as_ref().or(of_sources) else {
        terminal.note(&messages.text("eval-baseline-untaught"));
        return Ok(Some(baseline));
    };
    let corpus = corpus::open(path, messages)?;
    let bar = terminal.bar(0, &messages.text("eval-baseline-learning"));
    if let ProtocolTyped::Samples = typed.protocol {
        let drawn = sample::sample(&corpus, typed.samples, typed.seed)
            .map_err(|error| explain::corpus(messages, &error))?;
        let texts: Vec<String> = methods(&corpus, &drawn.train, messages)?
            .into_iter()
            .map(|file| file.text)
            .collect();
        baseline.learn_train(&texts);
    } else {
        // The baseline of DESIGN 6 knows everything that was not kept for measuring, also what only the mixture was fitted on.
        let measures_corpus = specs.iter().any(|spec| is_corpus(&spec.path));
        let is_known =
            |role: Role| role == Role::Train || (role == Role::Withheld && !measures_corpus);
        let train = corpus
            .projects()
            .iter()
            .filter(|project| is_known(project.role));
        let files: Vec<usize> = train.flat_map(|project| project.files.clone()).collect();
        bar.set_length(files.len() as u64);
        for batch in files.chunks(BASELINE_BATCH) {
            let texts: Vec<String> = batch
                .iter()
                .map(|file_idx| corpus.text(*file_idx))
                .collect::<Result<_, _>>()
                .map_err(|error| explain::corpus(messages, &error))?;
            baseline.learn_train(&texts);
            bar.inc(batch.len() as u64);
        }
    }
    bar.finish_and_clear();
    Ok(Some(baseline))
}

/// The document of the command.
#[derive(Serialize)]
struct Report {
    #[serde(flatten)]
    evaluation: Evaluation,
    /// Rows over several sources.
    #[serde(skip_serializing_if = "Option::is_none")]
    mean: Option<Evaluation>,
}

fn text(report: &Report, messages: &Messages) -> String {
    let evaluation = &report.evaluation;
    let mut text = String::new();
    for source in &evaluation.sources {
        let values = [
            ("name", source.source.as_str().into()),
            ("files", messages.count(source.files).into()),
            ("tokens", messages.count(source.code_tokens).into()),
            ("own", messages.count(source.own_code_tokens).into()),
            ("scored", messages.count(source.scored_code_tokens).into()),
        ];
        text.push_str(&format!(
            "{}\n\n",
            console::style(messages.with("eval-source", &values)).bold()
        ));
        text.push_str(&accuracy::table(evaluation, &source.source, messages));
        text.push('\n');
    }
    if let Some(mean) = &report.mean {
        let name = messages.text("eval-mean");
        text.push_str(&format!("{}\n\n", console::style(&name).bold()));
        text.push_str(&accuracy::table(mean, &name, messages));
        text.push('\n');
    }
    text.push_str(&format!("{}\n", messages.text("accuracy-legend")));
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_are_names_and_ranges() {
        let check = |text: &str, expected: &[Level]| {
            assert_eq!(
                levels(text).unwrap(),
                LevelsTyped(expected.to_vec()),
                "{text}"
            );
        };
        check("1", &[Level::One]);
        check("0,all", &[Level::Cache, Level::All]);
        check("1..3", &[Level::One, Level::Two, Level::Three]);
        check(
            "0..3,all",
            &[
                Level::Cache,
                Level::One,
                Level::Two,
                Level::Three,
                Level::All,
            ],
        );
        for wrong in ["", "4", "1..", "1,,2", "ngram", "a..b"] {
            assert!(levels(wrong).is_err(), "{wrong}");
        }
    }
}
