//! Projects and what they learn.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A project.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct ProjectShown {
    /// Its name.
    pub name: String,
    /// Files learned.
    pub files: usize,
    /// Pieces learned.
    pub pieces: u64,
    /// Its sources by name.
    pub roots: Vec<String>,
    /// Bytes on disk.
    pub disk_bytes: u64,
    /// Changes so far.
    pub changes: usize,
    /// Whether it is at work in this server.
    pub loaded: bool,
}

/// All projects that the key may use.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct ProjectsShown {
    /// They.
    pub projects: Vec<ProjectShown>,
}

/// `POST /v1/projects/{name}/learn`: either files in the request, or a source on the server's disk.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct LearnRequest {
    /// Files to learn now; those of the same root that are not named stay.
    pub files: Option<Vec<LearnFileIn>>,
    /// The root that they belong to; `files` if missing.
    pub root: Option<String>,
    /// Whether an editor saved the files: each takes the place of the file that the project knows by its path, wherever a completion would
    /// look for it. One that is not known is learned into `files` if the project has no source of its own, and else left to that.
    pub saved: Option<bool>,
    /// A folder or repository on the server, inside `jobs.sources`; it is learned by a job.
    pub source: Option<String>,
}

/// A file to learn: code, or what describes an object or a form.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct LearnFileIn {
    /// Path inside the root.
    pub path: String,
    /// Its text.
    pub text: String,
}

/// What learning files did.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct LearnShown {
    /// The project.
    pub project: String,
    /// Files that the project did not have.
    pub new: usize,
    /// Files with another text than the project had.
    pub changed: usize,
    /// Files that the project has as they are.
    pub unchanged: usize,
    /// Pieces in the new and changed files.
    pub pieces: usize,
    /// Files that describe objects and forms (`.xml`, `.mdo`, `.form`): they are read into the metadata and counted nowhere else.
    pub descriptions: usize,
    /// Files that cannot be learned, with the reason.
    pub skipped: Vec<SkippedShown>,
}

/// A file that was not learned.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct SkippedShown {
    /// Its path.
    pub path: String,
    /// Why.
    pub reason: String,
}

/// `POST /v1/score`: files that are scored as if they were being typed.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ScoreRequest {
    /// The project that counts, with all that it was taught until now.
    pub project: Option<String>,
    /// The files, at most 8; nothing is learned from them.
    pub files: Vec<LearnFileIn>,
}

/// How often each level's first guess was the piece that stands there.
#[derive(Clone, Debug, Default, Serialize, ToSchema)]
pub struct ScoreResponse {
    /// The levels; none without files.
    pub levels: Vec<LevelScore>,
}

/// A level's score.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct LevelScore {
    /// `0` for the counts alone, `1` to `3`, or `all`.
    pub level: &'static str,
    /// Pieces scored, at the middle and the end of each file.
    pub pieces: usize,
    /// Of these, foreseen.
    pub hits: usize,
}
