//! Wrong use in the user's language: clap's errors told through the Fluent files.
//!
//! Called by `main` alone. What has no text of its own keeps clap's.

use crate::failure::{Failure, Kind};
use crate::messages::Messages;
use clap::error::{ContextKind, ContextValue, ErrorKind};

/// The failure that an error of clap's is.
pub fn failure(messages: &Messages, error: &clap::Error) -> Failure {
    let text = |kind: ContextKind| match error.get(kind) {
        Some(ContextValue::String(text)) => text.clone(),
        Some(ContextValue::Strings(texts)) => texts.join(", "),
        Some(ContextValue::StyledStr(text)) => text.to_string(),
        _ => String::new(),
    };
    let argument = text(ContextKind::InvalidArg);
    let value = text(ContextKind::InvalidValue);
    let allowed = text(ContextKind::ValidValue);
    let mut message = match error.kind() {
        ErrorKind::UnknownArgument => {
            messages.with("use-unknown-argument", &[("argument", argument.into())])
        }
        ErrorKind::InvalidSubcommand => {
            let command = text(ContextKind::InvalidSubcommand);
            messages.with("use-unknown-command", &[("command", command.into())])
        }
        ErrorKind::InvalidValue if value.is_empty() => {
            messages.with("use-value-missing", &[("argument", argument.into())])
        }
        ErrorKind::InvalidValue => {
            let values = [
                ("argument", argument.into()),
                ("value", value.into()),
                ("allowed", allowed.into()),
            ];
            messages.with("use-value-not-allowed", &values)
        }
        ErrorKind::ValueValidation => {
            let reason = std::error::Error::source(error).map(ToString::to_string);
            let values = [
                ("argument", argument.into()),
                ("value", value.into()),
                ("reason", reason.unwrap_or_default().into()),
            ];
            messages.with("use-value-wrong", &values)
        }
        ErrorKind::MissingRequiredArgument => {
            messages.with("use-argument-missing", &[("argument", argument.into())])
        }
        ErrorKind::MissingSubcommand | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            messages.text("use-command-missing")
        }
        ErrorKind::ArgumentConflict => {
            let other = text(ContextKind::PriorArg);
            let values = [("argument", argument.into()), ("other", other.into())];
            messages.with("use-conflict", &values)
        }
        _ => error.to_string(),
    };
    for kind in [
        ContextKind::SuggestedArg,
        ContextKind::SuggestedSubcommand,
        ContextKind::SuggestedValue,
    ] {
        let suggestion = text(kind);
        if !suggestion.is_empty() {
            message.push(' ');
            message
                .push_str(&messages.with("use-suggestion", &[("suggestion", suggestion.into())]));
        }
    }
    message.push('\n');
    message.push_str(&messages.text("use-see-help"));
    Failure {
        kind: Kind::Usage,
        message,
    }
}
