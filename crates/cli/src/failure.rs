//! What a command ends with when it does not end well: the exit code and a text that names what is wrong.
//!
//! Built by the commands and by the conversions from the other crates' errors; turned into an exit code by `main`.

use crate::messages::{Messages, Value};

/// Why a command failed. Exit code 1, the finding that it was asked to fail on, comes with the first command that has one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// 2: wrong use.
    Usage,
    /// 3: wrong input.
    Input,
    /// 4: internal.
    Internal,
}

impl Kind {
    /// The exit code.
    pub fn code(self) -> u8 {
        match self {
            Self::Usage => 2,
            Self::Input => 3,
            Self::Internal => 4,
        }
    }

    /// The name in JSON.
    pub fn name(self) -> &'static str {
        match self {
            Self::Usage => "usage",
            Self::Input => "input",
            Self::Internal => "internal",
        }
    }
}

/// A command that did not end well.
#[derive(Debug)]
pub struct Failure {
    /// Why, as an exit code.
    pub kind: Kind,
    /// What is wrong, with what, and what to do.
    pub message: String,
}

impl Failure {
    /// Wrong use: an option or argument that makes no sense.
    pub fn usage(messages: &Messages, key: &str, values: &[Value]) -> Self {
        Self {
            kind: Kind::Usage,
            message: messages.with(key, values),
        }
    }

    /// Wrong input: a file or folder that cannot be used.
    pub fn input(messages: &Messages, key: &str, values: &[Value]) -> Self {
        Self {
            kind: Kind::Input,
            message: messages.with(key, values),
        }
    }

    /// A failure that is not the user's.
    pub fn internal(error: impl std::fmt::Display) -> Self {
        Self {
            kind: Kind::Internal,
            message: error.to_string(),
        }
    }

    /// An error of another crate that is about the user's input.
    pub fn about_input(error: impl std::fmt::Display) -> Self {
        Self {
            kind: Kind::Input,
            message: error.to_string(),
        }
    }
}

/// What every command returns.
pub type Outcome<T = ()> = Result<T, Failure>;
