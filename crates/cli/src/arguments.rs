//! The arguments as typed: the tree of commands, whose help comes from the Fluent files.
//!
//! `main` parses here. Each command's own arguments stand in its module under `commands`; a help text has the key
//! `help-COMMAND` or `help-COMMAND-ARGUMENT`, an example `help-COMMAND-example`.

use crate::commands::{
    bench, complete, corpus, eval, keys, learn, lsp, models, project, quantize, quickstart, serve,
    train,
};
use crate::messages::{Language, Messages};
use clap::{Arg, ArgAction, CommandFactory, FromArgMatches, Parser, Subcommand};
use std::ffi::OsString;

/// Everything typed.
#[derive(Debug, Parser)]
#[command(
    name = "nestor",
    bin_name = "nestor",
    version,
    disable_help_subcommand = true
)]
pub struct Arguments {
    /// One JSON document on stdout.
    #[arg(long, global = true, display_order = 800)]
    pub json: bool,
    /// The language of messages; read by [`language`] before anything else.
    #[arg(long, global = true, value_enum, display_order = 801)]
    pub lang: Option<Language>,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Learn the bundled configuration and show what that gives.
    Quickstart(quickstart::Typed),
    /// Build and look at corpora.
    Corpus(corpus::Typed),
    /// Train a model.
    Train(train::Typed),
    /// Teach a codebase to a project.
    Learn(learn::Typed),
    /// Look at projects and take back what they know.
    Project(project::Typed),
    /// Complete code at a position.
    Complete(complete::Typed),
    /// Measure accuracy.
    Eval(eval::Typed),
    /// Look at models.
    Models(models::Typed),
    /// Store a model's matrices as 8-bit codes.
    Quantize(quantize::Typed),
    /// Measure speed.
    Bench(bench::Typed),
    /// Serve editors over HTTP.
    Serve(serve::Typed),
    /// Make and revoke keys of a server.
    Keys(keys::Typed),
    /// Serve an editor as its language server.
    Lsp(lsp::Typed),
}

/// The language asked for by `--lang`, else that of the user's system.
pub fn language(typed: &[OsString]) -> Language {
    let words: Vec<_> = typed.iter().map(|word| word.to_string_lossy()).collect();
    let after_equals = words.iter().find_map(|word| word.strip_prefix("--lang="));
    let after_space = || {
        let idx = words.iter().position(|word| word == "--lang")?;
        words.get(idx + 1).map(AsRef::as_ref)
    };
    match after_equals.or_else(after_space) {
        Some("ru") => Language::Ru,
        Some("en") => Language::En,
        _ => Language::of_system(),
    }
}

/// True if JSON was asked for, also where the rest cannot be parsed.
pub fn asks_for_json(typed: &[OsString]) -> bool {
    typed.iter().any(|word| word == "--json")
}

/// Parses what was typed.
///
/// # Errors
/// clap's, for wrong use and for `--help` and `--version`, whose texts are then its display.
pub fn parse(typed: &[OsString], messages: &Messages) -> Result<Arguments, clap::Error> {
    let matches = command(messages).try_get_matches_from(typed)?;
    Arguments::from_arg_matches(&matches)
}

/// The tree of commands with help in the language of `messages`.
pub fn command(messages: &Messages) -> clap::Command {
    with_help(Arguments::command(), "help", messages)
}

/// Gives a command, its arguments and the commands below it their help texts.
fn with_help(command: clap::Command, key: &str, messages: &Messages) -> clap::Command {
    let is_root = key == "help";
    let heading = |key: &str| messages.text(key);
    let mut command = command
        .disable_help_flag(true)
        .disable_version_flag(true)
        .help_template(
            "{about-with-newline}\n{usage-heading} {usage}\n\n{all-args}{after-help}\n"
                .replace("{usage-heading}", &heading("help-heading-usage")),
        )
        .subcommand_help_heading(heading("help-heading-commands"))
        .arg(
            Arg::new("help")
                .short('h')
                .long("help")
                .action(ArgAction::Help)
                .display_order(900),
        );
    if is_root {
        command = command.arg(
            Arg::new("version")
                .short('V')
                .long("version")
                .action(ArgAction::Version)
                .display_order(901),
        );
    }
    if let Some(about) = messages.find(key, &[]) {
        command = command.about(about);
    }
    if let Some(example) = messages.find(&format!("{key}-example"), &[]) {
        command = command.after_help(format!("{}\n{example}", heading("help-heading-example")));
    }
    command = command.mut_args(|arg| {
        let id = arg.get_id().as_str().replace('_', "-");
        let own = format!("{key}-{id}");
        let shared = format!("help-every-{id}");
        let text = messages
            .find(&own, &[])
            .or_else(|| messages.find(&shared, &[]));
        let heading = if arg.is_positional() {
            "help-heading-arguments"
        } else {
            "help-heading-options"
        };
        let mut text = text.unwrap_or_default();
        let default = arg
            .get_default_values()
            .iter()
            .map(|value| value.to_string_lossy());
        let default = default.collect::<Vec<_>>().join(", ");
        if !default.is_empty() {
            text.push(' ');
            text.push_str(&messages.with("help-default", &[("value", default.into())]));
        }
        let values = arg.get_possible_values();
        let takes_value = matches!(arg.get_action(), ArgAction::Set | ArgAction::Append);
        let arg = arg
            .help_heading(messages.text(heading))
            .help(text)
            .hide_default_value(takes_value);
        if values.is_empty() || !takes_value {
            return arg;
        }
        let names: Vec<&str> = values
            .iter()
            .map(clap::builder::PossibleValue::get_name)
            .collect();
        arg.value_name(names.join("|")).hide_possible_values(true)
    });
    command.mut_subcommands(|below| {
        let key = format!("{key}-{}", below.get_name());
        with_help(below, &key, messages)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Walks the commands and calls `check` with each and its key.
    fn walk(command: &clap::Command, key: &str, check: &mut dyn FnMut(&clap::Command, &str)) {
        check(command, key);
        for below in command.get_subcommands() {
            walk(below, &format!("{key}-{}", below.get_name()), check);
        }
    }

    #[test]
    fn clap_accepts_the_tree() {
        command(&Messages::new(Language::Ru)).debug_assert();
    }

    #[test]
    fn every_command_and_argument_has_help_and_every_command_an_example() {
        for language in [Language::Ru, Language::En] {
            let messages = Messages::new(language);
            walk(&command(&messages), "help", &mut |command, key| {
                assert!(messages.find(key, &[]).is_some(), "{key}");
                assert!(
                    messages.find(&format!("{key}-example"), &[]).is_some(),
                    "{key}-example"
                );
                for arg in command.get_arguments() {
                    let help = arg.get_help().map(ToString::to_string).unwrap_or_default();
                    assert!(
                        !help.trim().is_empty() && !help.starts_with(' '),
                        "{key}: {}",
                        arg.get_id()
                    );
                }
            });
        }
    }

    #[test]
    fn no_help_text_is_without_its_argument() {
        let messages = Messages::new(Language::En);
        let mut known = vec![
            "help-every-help".to_owned(),
            "help-every-version".to_owned(),
            "help-every-json".to_owned(),
            "help-every-lang".to_owned(),
            "help-every-memory".to_owned(),
            "help-every-no-wait".to_owned(),
            "help-every-project".to_owned(),
            "help-every-precision".to_owned(),
        ];
        walk(&command(&messages), "help", &mut |command, key| {
            known.push(key.to_owned());
            known.push(format!("{key}-example"));
            let id = |arg: &Arg| arg.get_id().as_str().replace('_', "-");
            known.extend(
                command
                    .get_arguments()
                    .map(|arg| format!("{key}-{}", id(arg))),
            );
        });
        for line in include_str!("../locales/en.ftl")
            .lines()
            .filter(|line| line.starts_with("help-"))
        {
            let key = line.split(" =").next().unwrap();
            assert!(
                key.starts_with("help-heading-")
                    || key == "help-default"
                    || known.iter().any(|k| k == key),
                "{key} is the help of nothing"
            );
        }
    }

    #[test]
    fn the_language_is_found_before_parsing() {
        let typed = |text: &str| text.split(' ').map(OsString::from).collect::<Vec<_>>();
        assert_eq!(
            language(&typed("nestor --lang ru quickstart")),
            Language::Ru
        );
        assert_eq!(
            language(&typed("nestor quickstart --lang=en")),
            Language::En
        );
    }
}
