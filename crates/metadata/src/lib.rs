//! What the XML of a 1C configuration says, and what types it gives to code.
//!
//! Callers feed paths and bytes into an [`Index`]; linked it becomes [`Metadata`], which a [`View`] shows as code in one root
//! sees it: an extension over its base. [`fields`] adds what the platform makes up. This crate opens no files, knows no
//! sources and no models. Formats: docs/metadata.md.
#![forbid(unsafe_code)]

pub mod doc;
pub mod facts;
pub mod fields;
pub mod handlers;
mod index;
mod kinds;
mod link;
mod model;
mod names;
mod outline;
mod platform;
mod problem;
mod read;
pub mod resolve;
mod types;
mod view;

pub use index::{FileHash, Index, IndexError};
pub use kinds::{Facet, ObjectKind, split_type_word};
pub use model::{
    FileId, Form, FormAttribute, FormColumn, FormCommand, FormId, Handler, Item, Link, Member,
    Metadata, MethodEntry, MethodId, Module, ModuleId, ModulePlace, Object, ObjectId, ParamEntry,
    Root, RootId, RootRole, Section, Span,
};
pub use names::{NameId, NameKey, Names};
pub use platform::{PlatformMember, PlatformResult, PlatformType};
pub use problem::{Problem, ProblemKind};
pub use read::{is_metadata_path, read_file};
pub use types::{TypeRef, TypeSetId, TypeSets};
pub use view::{ObjectView, View};
