//! What could not be read or does not fit together, by name.

use std::fmt;

use crate::facts::Trouble;
use crate::kinds::ObjectKind;

/// One thing that is wrong. What is readable of it was used.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Problem {
    /// The file.
    pub path: String,
    /// What is wrong with it.
    pub kind: ProblemKind,
}

/// What is wrong.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum ProblemKind {
    /// The file was not read, or not to its end.
    Unreadable(Trouble),
    /// Two objects of one kind in one root have the same name; the one of the other file counts.
    SameName {
        /// The kind.
        kind: ObjectKind,
        /// The name.
        name: String,
        /// The file that counts.
        other: String,
    },
    /// A form names methods that events call, but has no module.
    FormWithoutModule {
        /// One of the methods.
        method: String,
    },
    /// A defined type that stands for itself in the end.
    CyclicType {
        /// Its name.
        name: String,
    },
    /// An extension takes over objects, but no configuration has them.
    MissingBase {
        /// The extension.
        extension: String,
    },
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path, self.kind)
    }
}

impl fmt::Display for ProblemKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ProblemKind::Unreadable(trouble) => trouble.fmt(f),
            ProblemKind::SameName { kind, name, other } => {
                write!(
                    f,
                    "{}.{name} is also described by {other}, which counts",
                    kind.english()
                )
            }
            ProblemKind::FormWithoutModule { method } => {
                write!(f, "the form calls {method} but its module is missing")
            }
            ProblemKind::CyclicType { name } => write!(f, "DefinedType.{name} stands for itself"),
            ProblemKind::MissingBase { extension } => {
                write!(
                    f,
                    "no configuration has the objects that {extension} extends; they are known as far as the extension shows them"
                )
            }
        }
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Trouble::CutShort { offset } => write!(
                f,
                "the XML ends in the middle, at byte {offset}; what stands before was used"
            ),
            Trouble::NotXml { offset, reason } => {
                write!(
                    f,
                    "not XML at byte {offset}: {reason}; what stands before was used"
                )
            }
            Trouble::TooDeep { offset } => write!(
                f,
                "elements nested too deep at byte {offset}; what stands before was used"
            ),
            Trouble::NotText { reason } => write!(f, "not a text: {reason}"),
            Trouble::ProtectedModule => {
                f.write_str("the module is protected: its text is not there")
            }
            Trouble::OrdinaryForm => {
                f.write_str("a form of the ordinary application, which is binary")
            }
            Trouble::OtherVersion { version } => {
                write!(
                    f,
                    "the format has the unknown version {version}; what is understood was used"
                )
            }
            Trouble::Nameless => f.write_str("the object has no name"),
        }
    }
}
