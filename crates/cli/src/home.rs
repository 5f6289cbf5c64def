//! Where Nestor's own files are: the bundled models and the bundled configuration.
//!
//! Looked for in `NESTOR_HOME`, then in the folders above the program, then in those above the current folder.

use crate::failure::{Failure, Outcome};
use crate::messages::Messages;
use std::path::{Path, PathBuf};

/// The environment variable that names the home folder.
pub const HOME_VARIABLE: &str = "NESTOR_HOME";

/// The model that is used when none is named.
pub const DEFAULT_MODEL: &str = "tiny";

/// The folder that holds `models/` and `examples/`.
///
/// # Errors
/// Input, naming the places, if there is none.
pub fn find(messages: &Messages) -> Outcome<PathBuf> {
    if let Some(home) = std::env::var_os(HOME_VARIABLE) {
        let home = PathBuf::from(home);
        if home.is_dir() {
            return Ok(home);
        }
        let path = home.display().to_string();
        return Err(Failure::input(
            messages,
            "home-not-a-folder",
            &[("path", path.into())],
        ));
    }
    let program = std::env::current_exe().ok();
    let current = std::env::current_dir().ok();
    [program, current]
        .into_iter()
        .flatten()
        .find_map(|start| {
            start
                .ancestors()
                .find(|dir| is_home(dir))
                .map(Path::to_path_buf)
        })
        .ok_or_else(|| Failure::input(messages, "home-not-found", &[]))
}

/// True of a folder that holds a model or the bundled configuration.
fn is_home(dir: &Path) -> bool {
    dir.join("models").join(DEFAULT_MODEL).is_dir() || configuration(dir).is_dir()
}

/// The bundled configuration and its extension.
pub fn configuration(home: &Path) -> PathBuf {
    home.join("examples").join("trade")
}

/// The folder of the bundled models.
pub fn models(home: &Path) -> PathBuf {
    home.join("models")
}

/// The model folder that `name` means: a folder if there is one by that path, else a bundled model.
///
/// # Errors
/// Input, naming both places, if it is neither.
pub fn model_folder(messages: &Messages, name: &str) -> Outcome<PathBuf> {
    let path = PathBuf::from(name);
    if path.is_dir() {
        return Ok(path);
    }
    if path.components().count() > 1 {
        return Err(Failure::input(
            messages,
            "model-folder-missing",
            &[("path", name.into())],
        ));
    }
    let folder = models(&find(messages)?).join(name);
    if folder.is_dir() {
        return Ok(folder);
    }
    let path = folder.display().to_string();
    Err(Failure::input(
        messages,
        "model-unknown",
        &[("name", name.into()), ("path", path.into())],
    ))
}
