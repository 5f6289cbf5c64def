//! Errors of the other crates in the user's language, with the exit code that fits.
//!
//! The crates' errors carry their operands; here they become a text. Reasons that come from the operating system or from a
//! file format stay as they are. Called by the commands.

use crate::failure::{Failure, Kind};
use crate::messages::Messages;
use nestor_assist::AssistError;
use nestor_cache::CacheError;
use nestor_corpus::CorpusError;
use nestor_engine::EngineError;
use nestor_eval::EvalError;
use nestor_memory::{MemoryError, NameProblem};
use nestor_train::TrainError;
use std::path::Path;

/// An error while a source or a corpus is read or built.
pub fn corpus(messages: &Messages, error: &CorpusError) -> Failure {
    let text = |key: &str, path: &Path| messages.with(key, &[("path", shown(path).into())]);
    let with_reason = |key: &str, path: &Path, reason: &str| {
        messages.with(
            key,
            &[("path", shown(path).into()), ("reason", reason.into())],
        )
    };
    let (kind, message) = match error {
        CorpusError::Missing(path) => (Kind::Input, text("corpus-error-missing", path)),
        CorpusError::NoModules(path) => (Kind::Input, text("corpus-error-no-modules", path)),
        CorpusError::Occupied(path) => (Kind::Input, text("corpus-error-occupied", path)),
        CorpusError::Busy(path) => (Kind::Input, text("corpus-error-busy", path)),
        CorpusError::NoCommit(path) => (Kind::Input, text("corpus-error-no-commit", path)),
        CorpusError::Git { path, reason } => {
            (Kind::Input, with_reason("corpus-error-git", path, reason))
        }
        CorpusError::Corrupt { path, reason } => (
            Kind::Input,
            with_reason("corpus-error-corrupt", path, reason),
        ),
        CorpusError::Io { path, source } => (
            Kind::Input,
            with_reason("error-file", path, &source.to_string()),
        ),
        CorpusError::SameName(name) => (
            Kind::Usage,
            messages.with("corpus-error-same-name", &[("name", name.as_str().into())]),
        ),
        CorpusError::TooFewMethods { asked, available } => {
            let values = [
                ("asked", (*asked).into()),
                ("available", (*available).into()),
            ];
            (
                Kind::Usage,
                messages.with("corpus-error-too-few-methods", &values),
            )
        }
        CorpusError::NoSources | CorpusError::Config { .. } => (Kind::Usage, error.to_string()),
        _ => (Kind::Input, error.to_string()),
    };
    Failure { kind, message }
}

/// An error while a model folder is loaded or used.
pub fn engine(messages: &Messages, error: &EngineError) -> Failure {
    let (kind, message) = match error {
        EngineError::File { path, reason } => {
            let values = [
                ("path", shown(path).into()),
                ("reason", reason.as_str().into()),
            ];
            (Kind::Input, messages.with("model-error-file", &values))
        }
        EngineError::FormatVersion {
            path,
            found,
            supported,
        } => {
            let values = [
                ("path", shown(path).into()),
                ("found", found.as_str().into()),
                ("supported", (*supported).into()),
            ];
            (Kind::Input, messages.with("model-error-version", &values))
        }
        EngineError::Hash {
            path,
            field,
            expected,
            found,
        } => {
            let values = [
                ("path", shown(path).into()),
                ("field", (*field).into()),
                ("expected", expected.as_str().into()),
                ("found", found.as_str().into()),
            ];
            (Kind::Input, messages.with("model-error-hash", &values))
        }
        EngineError::Tensor {
            path,
            tensor,
            reason,
        } => {
            let values = [
                ("path", shown(path).into()),
                ("tensor", tensor.as_str().into()),
                ("reason", reason.as_str().into()),
            ];
            (Kind::Input, messages.with("model-error-tensor", &values))
        }
        EngineError::Cache(error) => return cache(messages, error),
        EngineError::Config { .. } | EngineError::Gate { .. } | EngineError::Memory { .. } => {
            (Kind::Input, error.to_string())
        }
        EngineError::Request { .. } | EngineError::Setting { .. } => {
            (Kind::Usage, error.to_string())
        }
        _ => (Kind::Internal, error.to_string()),
    };
    Failure { kind, message }
}

/// An error of counts or gates.
pub fn cache(messages: &Messages, error: &CacheError) -> Failure {
    let (kind, message) = match error {
        CacheError::Corrupt { what, reason } => {
            let values = [
                ("what", what.as_str().into()),
                ("reason", reason.as_str().into()),
            ];
            (Kind::Input, messages.with("model-error-corrupt", &values))
        }
        CacheError::Io { path, source, .. } => {
            let values = [
                ("path", shown(path).into()),
                ("reason", source.to_string().into()),
            ];
            (Kind::Input, messages.with("error-file", &values))
        }
        CacheError::VocabularyMismatch { .. } => (Kind::Input, error.to_string()),
        _ => (Kind::Internal, error.to_string()),
    };
    Failure { kind, message }
}

/// An error of the assistant.
pub fn assist(messages: &Messages, error: &AssistError) -> Failure {
    let (kind, message) = match error {
        AssistError::Engine(error) => return engine(messages, error),
        AssistError::Cache(error) => return cache(messages, error),
        AssistError::Memory(error) => return memory(messages, error),
        AssistError::ModelFile { path, reason } => {
            let values = [
                ("path", shown(path).into()),
                ("reason", reason.as_str().into()),
            ];
            (Kind::Input, messages.with("model-error-file", &values))
        }
        AssistError::Tokenizer { path, source } => {
            let values = [
                ("path", shown(path).into()),
                ("reason", source.to_string().into()),
            ];
            (Kind::Input, messages.with("model-error-file", &values))
        }
        AssistError::Request { .. } => (Kind::Usage, error.to_string()),
        _ => (Kind::Input, error.to_string()),
    };
    Failure { kind, message }
}

/// An error of a project on disk.
pub fn memory(messages: &Messages, error: &MemoryError) -> Failure {
    let path_and = |key: &str, path: &Path, reason: &str| {
        messages.with(
            key,
            &[("path", shown(path).into()), ("reason", reason.into())],
        )
    };
    let (kind, message) = match error {
        MemoryError::Io { path, source } => (
            Kind::Input,
            path_and("error-file", path, &source.to_string()),
        ),
        MemoryError::Name { name, reason } => {
            let reason = name_problem(messages, *reason);
            let values = [("name", name.as_str().into()), ("reason", reason.into())];
            (Kind::Usage, messages.with("project-error-name", &values))
        }
        MemoryError::Missing { name, dir } => {
            let values = [("name", name.as_str().into()), ("path", shown(dir).into())];
            (Kind::Input, messages.with("project-error-missing", &values))
        }
        MemoryError::Exists(path) => {
            let values = [("path", shown(path).into())];
            (Kind::Input, messages.with("project-error-exists", &values))
        }
        MemoryError::Busy { name } => {
            let values = [("name", name.as_str().into())];
            (Kind::Input, messages.with("project-error-busy", &values))
        }
        MemoryError::Version {
            path,
            found,
            supported,
        } => {
            let values = [
                ("path", shown(path).into()),
                ("found", found.as_str().into()),
                ("supported", (*supported).into()),
            ];
            (Kind::Input, messages.with("project-error-version", &values))
        }
        MemoryError::Corrupt { path, reason } => {
            (Kind::Input, path_and("project-error-corrupt", path, reason))
        }
        MemoryError::Tokenizer {
            name,
            expected,
            found,
        } => {
            let values = [
                ("name", name.as_str().into()),
                ("found", found.as_str().into()),
                ("expected", expected.as_str().into()),
            ];
            (
                Kind::Input,
                messages.with("project-error-tokenizer", &values),
            )
        }
        MemoryError::Vocabulary {
            name,
            expected,
            found,
        } => {
            let values = [
                ("name", name.as_str().into()),
                ("found", (*found).into()),
                ("expected", (*expected).into()),
            ];
            (
                Kind::Input,
                messages.with("project-error-vocabulary", &values),
            )
        }
        MemoryError::RootElsewhere {
            name,
            learned,
            given,
        } => {
            let values = [
                ("name", name.as_str().into()),
                ("learned", learned.as_str().into()),
                ("given", given.as_str().into()),
            ];
            (Kind::Usage, messages.with("project-error-root", &values))
        }
        MemoryError::NotLearned { name, path } => {
            let values = [
                ("name", name.as_str().into()),
                ("path", path.as_str().into()),
            ];
            (
                Kind::Input,
                messages.with("project-error-not-learned", &values),
            )
        }
        MemoryError::NoSuchChange { name, seq, last } => {
            let values = [
                ("name", name.as_str().into()),
                ("change", (*seq).into()),
                ("last", (*last).into()),
            ];
            (Kind::Usage, messages.with("project-error-change", &values))
        }
        MemoryError::NotErased { path, source } => (
            Kind::Input,
            path_and("project-error-not-erased", path, &source.to_string()),
        ),
        MemoryError::Cache(error) => return cache(messages, error),
        MemoryError::Path { .. } => (Kind::Input, error.to_string()),
        _ => (Kind::Internal, error.to_string()),
    };
    Failure { kind, message }
}

fn name_problem(messages: &Messages, problem: NameProblem) -> String {
    match problem {
        NameProblem::Empty => messages.text("project-name-empty"),
        NameProblem::TooLong => messages.text("project-name-long"),
        NameProblem::Dot => messages.text("project-name-dot"),
        NameProblem::Device => messages.text("project-name-device"),
        NameProblem::Character(character) => {
            let values = [("character", character.to_string().into())];
            messages.with("project-name-character", &values)
        }
    }
}

/// An error of an evaluation.
pub fn eval(messages: &Messages, error: &EvalError) -> Failure {
    let (kind, message) = match error {
        EvalError::Assist(error) => return assist(messages, error),
        EvalError::NothingToScore { name, reason } => {
            let values = [
                ("name", name.as_str().into()),
                ("reason", reason.as_str().into()),
            ];
            (Kind::Input, messages.with("eval-nothing-to-score", &values))
        }
        EvalError::Setting { .. } => (Kind::Usage, error.to_string()),
        _ => (Kind::Input, error.to_string()),
    };
    Failure { kind, message }
}

/// An error of a training run.
pub fn train(messages: &Messages, error: &TrainError) -> Failure {
    let (kind, message) = match error {
        TrainError::Corpus(error) => return corpus(messages, error),
        TrainError::Occupied { path } => (
            Kind::Usage,
            messages.with("train-error-occupied", &[("path", shown(path).into())]),
        ),
        TrainError::Checkpoint { path, reason } => {
            let values = [
                ("path", shown(path).into()),
                ("reason", reason.as_str().into()),
            ];
            (
                Kind::Input,
                messages.with("train-error-checkpoint", &values),
            )
        }
        TrainError::File { path, reason } => {
            let values = [
                ("path", shown(path).into()),
                ("reason", reason.as_str().into()),
            ];
            (Kind::Input, messages.with("error-file", &values))
        }
        TrainError::Start { path, reason } => {
            let values = [
                ("path", shown(path).into()),
                ("reason", reason.as_str().into()),
            ];
            (Kind::Input, messages.with("train-error-start", &values))
        }
        TrainError::NonFinite { step, place } => {
            let values = [("step", (*step).into()), ("place", place.as_str().into())];
            (
                Kind::Internal,
                messages.with("train-error-not-finite", &values),
            )
        }
        TrainError::Config { .. } | TrainError::Device { .. } => (Kind::Usage, error.to_string()),
        TrainError::Loader { .. } => (Kind::Internal, error.to_string()),
        _ => (Kind::Input, error.to_string()),
    };
    Failure { kind, message }
}

fn shown(path: &Path) -> String {
    path.display().to_string()
}
