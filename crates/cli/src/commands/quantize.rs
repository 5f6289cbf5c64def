//! `nestor quantize MODEL --out DIR`: a model folder whose matrices are codes of at most 8 bits, and how well it agrees with the first.

use crate::explain;
use crate::failure::{Failure, Outcome};
use crate::home;
use crate::learning;
use crate::messages::Messages;
use crate::table::{Emphasis, Table};
use crate::terminal::Terminal;
use clap::Args;
use nestor_assist::document::file_pieces;
use nestor_bsl::pieces::Tokenizer;
use nestor_engine::{
    Agreement, Manifest, Model, PACKED_WEIGHTS, PLAIN_WEIGHTS, Precision, Quantisation, agreement,
    int8_safetensors, pack_weights, read_weights_file, sha256_hex,
};
use serde::Serialize;
use std::ffi::OsStr;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

/// Arguments of `nestor quantize`.
#[derive(Debug, Args)]
pub struct Typed {
    #[arg(value_name = "MODEL", default_value = home::DEFAULT_MODEL)]
    model: String,
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    #[arg(long, value_name = "SRC")]
    check: Option<PathBuf>,
    #[arg(long, value_name = "N", default_value_t = 500_000)]
    max_bytes: usize,
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = clap::value_parser!(u8).range(4..=8))]
    bits: u8,
    #[arg(long)]
    pack: bool,
}

/// Runs the command.
pub fn run(typed: Typed, terminal: &Terminal) -> Outcome {
    let messages = &terminal.messages;
    let dir = home::model_folder(messages, &typed.model)?;
    let sizes = write(&dir, &typed, messages)?;
    let agreement = match &typed.check {
        Some(source) => compare(&dir, &typed.out, source, typed.max_bytes, terminal)?,
        None => Vec::new(),
    };
    let report = Report {
        path: typed.out,
        weights_bytes: sizes.0,
        int8_bytes: sizes.1,
        agreement,
    };
    terminal.result(&report, || text(&report, messages))
}

/// Writes the folder beside its place and moves it there when it is whole; returns the sizes of the weights before and after.
fn write(dir: &Path, typed: &Typed, messages: &Messages) -> Outcome<(u64, u64)> {
    let out = &typed.out;
    let shown = out.display().to_string();
    if out.exists() {
        return Err(Failure::input(
            messages,
            "quantize-exists",
            &[("path", shown.into())],
        ));
    }
    // Everything in the folder is checked before anything is made of it.
    Model::load(dir).map_err(|error| explain::engine(messages, &error))?;
    let manifest = Manifest::read(&dir.join("model.json"));
    let mut manifest = manifest.map_err(|error| explain::engine(messages, &error))?;
    let failed = |error: std::io::Error| {
        let values = [
            ("path", shown.as_str().into()),
            ("reason", error.to_string().into()),
        ];
        Failure::input(messages, "quantize-cannot-write", &values)
    };
    let explained = |error| explain::engine(messages, &error);
    let (file, weights) = read_weights_file(dir).map_err(explained)?;
    let before = fs::metadata(&file).map_err(failed)?.len();
    let coded = int8_safetensors(&manifest.network, &weights, typed.bits).map_err(explained)?;
    manifest.quantisation = Quantisation::Int8;
    manifest.weights_sha256 = sha256_hex(&coded);
    let (name, coded) = if typed.pack {
        (PACKED_WEIGHTS, pack_weights(&coded).map_err(explained)?)
    } else {
        (PLAIN_WEIGHTS, coded)
    };
    let model = serde_json::to_vec_pretty(&manifest)
        .map_err(|error| Failure::internal(error.to_string()))?;
    let parent = out.parent().filter(|parent| !parent.as_os_str().is_empty());
    let parent = parent.unwrap_or(Path::new("."));
    let make = || -> std::io::Result<()> {
        fs::create_dir_all(parent)?;
        let partial = tempfile::tempdir_in(parent)?;
        let put = |name: &OsStr, bytes: &[u8]| {
            let mut file = fs::File::create(partial.path().join(name))?;
            file.write_all(bytes)?;
            file.sync_all()
        };
        put(OsStr::new(name), &coded)?;
        put(OsStr::new("model.json"), &model)?;
        let made = [PLAIN_WEIGHTS, PACKED_WEIGHTS, "model.json"];
        for entry in fs::read_dir(dir)? {
            let (entry, other) = (entry?, |name: &OsStr| made.iter().all(|made| name != *made));
            if entry.file_type()?.is_file() && other(&entry.file_name()) {
                put(&entry.file_name(), &fs::read(entry.path())?)?;
            }
        }
        fs::rename(partial.keep(), out)
    };
    make().map_err(failed)?;
    Ok((before, coded.len() as u64))
}

/// The folder's model as floats beside the folder that was made of it, over the first files of a codebase.
fn compare(
    dir: &Path,
    made: &Path,
    source: &Path,
    max_bytes: usize,
    terminal: &Terminal,
) -> Outcome<Vec<Compared>> {
    let messages = &terminal.messages;
    let load = |dir: &Path, precision| {
        Model::load_as(dir, Some(precision)).map_err(|error| explain::engine(messages, &error))
    };
    let (floats, codes) = (load(dir, Precision::F32)?, load(made, Precision::Int8)?);
    let tokenizer = Tokenizer::from_file(dir.join("tokenizer.json"))
        .map_err(|error| Failure::about_input(error.to_string()))?;
    let mut left = max_bytes;
    let mut documents = Vec::new();
    for file in learning::read_all(source, terminal)? {
        let Ok(normalised) = nestor_bsl::normalise(file.text.as_bytes()) else {
            continue;
        };
        if normalised.text.len() > left {
            break;
        }
        left -= normalised.text.len();
        documents.push(file_pieces(&tokenizer, &file.path, &normalised.text));
    }
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let bar = terminal.bar(documents.len() as u64, "int8");
    let mut total = vec![Agreement::default(); floats.config().stages];
    for document in &documents {
        let found = agreement(&floats, &codes, &[document], threads);
        let found = found.map_err(|error| explain::engine(messages, &error))?;
        for (total, found) in total.iter_mut().zip(found) {
            total.positions += found.positions;
            total.same_top += found.same_top;
            total.loss += found.loss;
            total.other_loss += found.other_loss;
        }
        bar.inc(1);
    }
    bar.finish_and_clear();
    Ok(total.iter().enumerate().map(Compared::of).collect())
}

/// One exit's line.
#[derive(Serialize)]
struct Compared {
    level: usize,
    positions: usize,
    /// Share of the positions where both models say the same token.
    same_top1: f64,
    /// Mean loss in nats of the model of floats, then of that of codes.
    loss: f64,
    int8_loss: f64,
}

impl Compared {
    fn of((exit, found): (usize, &Agreement)) -> Self {
        let n = found.positions.max(1) as f64;
        Self {
            level: exit + 1,
            positions: found.positions,
            same_top1: found.same_top as f64 / n,
            loss: found.loss / n,
            int8_loss: found.other_loss / n,
        }
    }
}

#[derive(Serialize)]
struct Report {
    path: PathBuf,
    weights_bytes: u64,
    int8_bytes: u64,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    agreement: Vec<Compared>,
}

fn text(report: &Report, messages: &Messages) -> String {
    let values = [
        ("path", report.path.display().to_string().into()),
        ("before", messages.bytes(report.weights_bytes).into()),
        ("after", messages.bytes(report.int8_bytes).into()),
    ];
    let mut text = format!("{}\n", messages.with("quantize-written", &values));
    if !report.agreement.is_empty() {
        let headings = [
            "quantize-exit",
            "quantize-positions",
            "quantize-same",
            "quantize-loss",
            "quantize-loss-int8",
        ];
        let mut table = Table::new(headings.map(|key| messages.text(key)));
        for one in &report.agreement {
            let cells = [
                one.level.to_string(),
                messages.count(one.positions as u64),
                format!("{:.2} %", 100.0 * one.same_top1),
                format!("{:.4}", one.loss),
                format!("{:.4}", one.int8_loss),
            ];
            table.row(cells, Emphasis::Plain);
        }
        text.push_str(&format!("\n{}", table.render()));
    }
    text
}
