//! API keys: who may ask for what.
//!
//! `nestor keys` makes, lists and revokes them; the server reads the file and looks again when it changes. A key is 256 bits of the
//! system's randomness, so its plain SHA-256 on disk gives nothing away; it is compared in constant time. Only the hash is kept:
//! a lost key is replaced, not found.

use std::fmt;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use nestor_assist::ProjectName;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::error::ServerError;

/// What every key begins with, so that a search for leaked keys finds them.
const MARK: &str = "nst_";

const FORMAT_VERSION: u32 = 1;

/// What a key allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Right {
    /// Completions and events.
    Complete,
    /// Looking at projects, teaching and forgetting them.
    Learn,
    /// Training.
    Train,
    /// Metrics, the dashboard, reloading.
    Admin,
}

impl Right {
    /// Every right.
    pub const ALL: [Self; 4] = [Self::Complete, Self::Learn, Self::Train, Self::Admin];

    /// The word for it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Complete => "complete",
            Self::Learn => "learn",
            Self::Train => "train",
            Self::Admin => "admin",
        }
    }
}

impl fmt::Display for Right {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Right {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut all = Self::ALL.into_iter();
        all.find(|right| right.name() == text)
            .ok_or_else(|| format!("{text:?} is not complete, learn, train or admin"))
    }
}

/// A key as it is kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Key {
    /// Who has it.
    pub name: String,
    /// SHA-256 of the key, in hexadecimal digits.
    sha256: String,
    /// What it allows.
    pub rights: Vec<Right>,
    /// The projects that it may use; all if missing.
    pub projects: Option<Vec<String>>,
    /// Seconds since 1970.
    pub created: u64,
}

impl Key {
    /// Whether the key allows something.
    #[must_use]
    pub fn may(&self, right: Right) -> bool {
        self.rights.contains(&right)
    }

    /// Whether the key may use a project.
    #[must_use]
    pub fn may_use(&self, project: &str) -> bool {
        let allowed = self.projects.as_ref();
        allowed.is_none_or(|names| names.iter().any(|name| name == project))
    }
}

/// The file of the keys.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Keys {
    format_version: u32,
    keys: Vec<Key>,
}

impl Default for Keys {
    fn default() -> Self {
        Self {
            format_version: FORMAT_VERSION,
            keys: Vec::new(),
        }
    }
}

/// What a new key is for.
#[derive(Clone, Debug)]
pub struct NewKey {
    /// Who gets it.
    pub name: String,
    /// What it allows.
    pub rights: Vec<Right>,
    /// The projects that it may use; all if missing.
    pub projects: Option<Vec<ProjectName>>,
    /// Seconds since 1970.
    pub time: u64,
}

impl Keys {
    /// Reads the file; one that does not exist holds no key.
    ///
    /// # Errors
    /// [`ServerError::File`] for a file that cannot be read or understood.
    pub fn read(path: &Path) -> Result<Self, ServerError> {
        let text = match fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Ok(Self::default());
            }
            Err(error) => return Err(ServerError::file(path, error)),
        };
        let keys: Self =
            serde_json::from_str(&text).map_err(|error| ServerError::file(path, error))?;
        if keys.format_version != FORMAT_VERSION {
            let reason = format!(
                "format_version is {}, this program reads {FORMAT_VERSION}",
                keys.format_version
            );
            return Err(ServerError::file(path, reason));
        }
        Ok(keys)
    }

    /// Writes the file as a whole, readable by its owner only where the platform has such rights.
    ///
    /// # Errors
    /// [`ServerError::File`] when it cannot be written.
    pub fn write(&self, path: &Path) -> Result<(), ServerError> {
        let failed = |error: std::io::Error| ServerError::file(path, error);
        if let Some(dir) = path.parent().filter(|dir| !dir.as_os_str().is_empty()) {
            fs::create_dir_all(dir).map_err(failed)?;
        }
        let mut part: PathBuf = path.to_path_buf();
        part.as_mut_os_string().push(".part");
        let text =
            serde_json::to_string_pretty(self).map_err(|error| ServerError::file(path, error))?;
        let mut options = fs::OpenOptions::new();
        options.write(true).create(true).truncate(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let mut file = options.open(&part).map_err(failed)?;
        file.write_all(text.as_bytes()).map_err(failed)?;
        file.write_all(b"\n").map_err(failed)?;
        file.sync_all().map_err(failed)?;
        drop(file);
        fs::rename(&part, path).map_err(failed)
    }

    /// Makes a key and keeps its hash; returns the key, which cannot be found again.
    ///
    /// # Errors
    /// [`ServerError::Config`] for a name that is taken or empty, or no rights.
    pub fn add(&mut self, new: NewKey) -> Result<String, ServerError> {
        if new.name.is_empty() || new.name.chars().any(char::is_control) {
            return Err(ServerError::config("name", "must be some visible text"));
        }
        if self.keys.iter().any(|key| key.name == new.name) {
            let reason = format!("there is a key of {:?} already", new.name);
            return Err(ServerError::config("name", reason));
        }
        if new.rights.is_empty() {
            return Err(ServerError::config("rights", "must name at least one"));
        }
        let mut random = [0; 32];
        getrandom::fill(&mut random)
            .map_err(|error| ServerError::Start(std::io::Error::other(error)))?;
        let secret = format!("{MARK}{}", hex(&random));
        self.keys.push(Key {
            sha256: hex(&hash(&secret)),
            name: new.name,
            rights: new.rights,
            projects: new
                .projects
                .map(|names| names.iter().map(ToString::to_string).collect()),
            created: new.time,
        });
        Ok(secret)
    }

    /// Takes a key back; false if there was none of the name.
    pub fn revoke(&mut self, name: &str) -> bool {
        let before = self.keys.len();
        self.keys.retain(|key| key.name != name);
        self.keys.len() < before
    }

    /// The keys, oldest first.
    #[must_use]
    pub fn list(&self) -> &[Key] {
        &self.keys
    }

    /// The key that a secret is. Takes the same time whichever key it is and wherever it differs.
    #[must_use]
    pub fn find(&self, secret: &str) -> Option<&Key> {
        let hashed = hex(&hash(secret));
        let mut found = None;
        for key in &self.keys {
            if bool::from(key.sha256.as_bytes().ct_eq(hashed.as_bytes())) {
                found = Some(key);
            }
        }
        found
    }
}

fn hash(secret: &str) -> [u8; 32] {
    Sha256::digest(secret.as_bytes()).into()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn new(name: &str) -> NewKey {
        NewKey {
            name: name.to_owned(),
            rights: vec![Right::Complete],
            projects: Some(vec!["erp".parse().unwrap()]),
            time: 1,
        }
    }

    #[test]
    fn a_key_is_found_by_its_secret_until_it_is_revoked() {
        let mut keys = Keys::default();
        let secret = keys.add(new("Иванов")).unwrap();
        let other = keys.add(new("ci")).unwrap();
        assert_ne!(secret, other);
        assert_eq!(keys.find(&secret).unwrap().name, "Иванов");
        assert!(keys.find(&secret[..secret.len() - 1]).is_none());
        assert!(keys.find("").is_none());
        assert!(keys.revoke("Иванов"));
        assert!(!keys.revoke("Иванов"));
        assert!(keys.find(&secret).is_none());
        assert!(keys.find(&other).is_some());
    }

    #[test]
    fn the_file_never_holds_the_secret_and_comes_back_as_it_was() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("Ключи").join("keys.json");
        assert_eq!(Keys::read(&path).unwrap(), Keys::default());
        let mut keys = Keys::default();
        let secret = keys.add(new("a")).unwrap();
        keys.write(&path).unwrap();
        let text = fs::read_to_string(&path).unwrap();
        assert!(!text.contains(&secret) && !text.contains(&secret[4..20]));
        assert_eq!(Keys::read(&path).unwrap(), keys);
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            let mode = fs::metadata(&path).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600);
        }
    }

    #[test]
    fn wrong_keys_and_files_are_refused_by_name() {
        let mut keys = Keys::default();
        keys.add(new("a")).unwrap();
        assert!(keys.add(new("a")).unwrap_err().to_string().contains("name"));
        let mut without = new("b");
        without.rights.clear();
        assert!(
            keys.add(without)
                .unwrap_err()
                .to_string()
                .contains("rights")
        );
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("keys.json");
        fs::write(&path, "{\"format_version\":2,\"keys\":[]}").unwrap();
        assert!(
            Keys::read(&path)
                .unwrap_err()
                .to_string()
                .contains("format_version")
        );
        fs::write(&path, "{").unwrap();
        assert!(
            Keys::read(&path)
                .unwrap_err()
                .to_string()
                .contains("keys.json")
        );
    }

    #[test]
    fn rights_and_projects_are_told_apart() {
        let mut keys = Keys::default();
        let secret = keys.add(new("a")).unwrap();
        let key = keys.find(&secret).unwrap();
        assert!(key.may(Right::Complete) && !key.may(Right::Learn));
        assert!(key.may_use("erp") && !key.may_use("crm"));
    }
}
