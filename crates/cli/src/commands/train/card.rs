//! `CARD.md` of a model folder: what the model was made from, what it is for, how good it is, where it ends.
//!
//! Written once after training. It holds no paths of the machine. Figures of evaluations are added by whoever runs them.

use super::finish::Finished;
use nestor_corpus::{Manifest, Role};
use nestor_train::{Summary, TrainConfig};
use std::fmt::Write;

/// What the card tells.
pub struct Facts<'a> {
    /// The run.
    pub config: &'a TrainConfig,
    /// How it ended.
    pub summary: &'a Summary,
    /// The corpus.
    pub manifest: &'a Manifest,
    /// Its hash.
    pub corpus_sha256: &'a str,
    /// Trained parameters.
    pub parameters: usize,
    /// Counts and gates.
    pub finished: &'a Finished,
}

/// The card.
pub fn text(facts: &Facts<'_>) -> String {
    let mut text = String::new();
    // Writing into a string cannot fail.
    let _ = write_card(&mut text, facts);
    text
}

fn write_card(text: &mut String, facts: &Facts<'_>) -> std::fmt::Result {
    let (config, summary) = (facts.config, facts.summary);
    writeln!(text, "# nestor-{}\n", config.size.name())?;
    writeln!(
        text,
        "A code model for the 1C:Enterprise language (BSL, OneScript): {} parameters, {} levels. It completes code on a CPU and\n\
         learns a configuration by exact counts while it is used.\n",
        facts.parameters, config.levels
    )?;
    writeln!(text, "## Training\n")?;
    writeln!(
        text,
        "{} steps of {} windows of {} tokens: {} tokens in {:.1} hours on one {} at {:.0} tokens/s. Seed {}.",
        summary.step,
        config.loader.batch,
        config.loader.seq_len,
        summary.tokens,
        summary.elapsed_s / 3600.0,
        config.device.name(),
        summary.tokens_per_s,
        config.loader.seed,
    )?;
    if config.start.is_some() {
        writeln!(
            text,
            "The run started from the weights of an earlier one; model.json counts the tokens of both."
        )?;
    }
    if let Some(samples) = config.samples {
        writeln!(
            text,
            "Trained on {samples} random methods, not on whole projects."
        )?;
    }
    writeln!(text, "Corpus {}.\n", facts.corpus_sha256)?;
    write_scores(text, facts)?;
    write_data(text, facts.manifest)?;
    text.push_str(USE_AND_LIMITS);
    Ok(())
}

fn write_scores(text: &mut String, facts: &Facts<'_>) -> std::fmt::Result {
    writeln!(
        text,
        "Teacher-forced on pieces of withheld projects, without counts:\n"
    )?;
    writeln!(
        text,
        "| level | loss, nats a piece | top-1 |\n|---|---|---|"
    )?;
    for score in &facts.summary.levels {
        writeln!(
            text,
            "| {} | {:.3} | {:.3} |",
            score.level, score.nll, score.top1
        )?;
    }
    if !facts.finished.gates.is_empty() {
        writeln!(
            text,
            "\nMixed with the counts by the gates, which were fitted on these projects:\n"
        )?;
        writeln!(
            text,
            "| gate | loss | all parts alike | best part known |\n|---|---|---|---|"
        )?;
        for gate in &facts.finished.gates {
            let (loss, uniform, best) = (gate.loss, gate.loss_uniform, gate.loss_best);
            writeln!(
                text,
                "| {} | {loss:.3} | {uniform:.3} | {best:.3} |",
                gate.gate
            )?;
        }
    }
    writeln!(text)
}

fn write_data(text: &mut String, manifest: &Manifest) -> std::fmt::Result {
    writeln!(text, "## Data\n")?;
    writeln!(
        text,
        "| source | role | licence | revision | files | distinct methods |\n|---|---|---|---|---|---|"
    )?;
    for source in manifest
        .sources
        .iter()
        .filter(|source| source.role != Role::Dev)
    {
        let revision = source
            .revision
            .as_deref()
            .map_or("", |revision| revision.get(..12).unwrap_or(revision));
        writeln!(
            text,
            "| {} | {} | {} | {revision} | {} | {} |",
            source.name,
            source.role.name(),
            source.licence,
            source.counts.files,
            source.counts.unique_methods,
        )?;
    }
    writeln!(
        text,
        "\nThe weights learned from the sources of role train; the mixture was fitted on the withheld ones. Sources under\n\
         CC-BY-4.0 are credited by their names above.\n"
    )
}

const USE_AND_LIMITS: &str = "\
## Intended use

Completing BSL and OneScript code in an editor, as suggestions that a developer reads before accepting them. It is meant to be used
with the counts of the user's own project (`nestor complete --learn`), where most of its accuracy comes from.

## Limits

It writes what is likely, not what is right: the network knows no types, names of the metadata are mixed in where a receiver is known, elsewhere it may name members that do not exist, and it must
not be used to write code that nobody reads. It does not write texts for people inside string literals. It has seen little
OneScript and little English code. Nothing it learns from a project is written into these files.
";
