//! What a server is told: the configuration file, checked, with the defaults that suit one developer's machine.
//!
//! The command line reads the file, fills in the paths that only it knows and hands the result over. A key that does not exist
//! or a value that makes no sense is an error that names it. Limits, keys, defaults and the model may change while the server
//! runs; the address and TLS may not.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use nestor_assist::StopRule;
use serde::{Deserialize, Serialize};

use crate::error::ServerError;
use crate::wire::{SpeedName, StopName};

/// The configuration of a server.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ServerConfig {
    /// Address and port to listen on. Loopback unless told otherwise; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Listen beyond this machine even though no key is needed.
    pub allow_without_keys: bool,
    /// Name or folder of the model.
    pub model: String,
    /// Folder of the projects; the user's own when missing.
    pub memory: Option<PathBuf>,
    /// File of the keys, which `nestor keys` writes. Once it holds a key, every request needs one.
    pub keys: Option<PathBuf>,
    /// Certificate and key of the server; without them it speaks plain HTTP.
    pub tls: Option<TlsConfig>,
    /// What a client may ask for.
    pub limits: Limits,
    /// How completions get their turn.
    pub scheduler: SchedulerConfig,
    /// What holds where a request says nothing.
    pub defaults: Defaults,
    /// Web pages of other origins that may use the editor endpoint.
    pub cors_origins: Vec<String>,
    /// Long work that a client may start.
    pub jobs: JobsConfig,
}

/// Certificate and key, both PEM.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TlsConfig {
    /// The certificate, with the chain behind it.
    pub certificate: PathBuf,
    /// Its private key.
    pub key: PathBuf,
}

/// What a client may ask for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Bytes of a request's body.
    pub body_bytes: usize,
    /// Bytes of the text that is completed.
    pub text_bytes: usize,
    /// Pieces of a completion.
    pub max_tokens: usize,
    /// Answers to one request (`n`).
    pub choices: usize,
    /// Time in which the headers of a request must be there; also how long a kept connection may be silent.
    pub header_timeout_ms: u64,
    /// Time in which its body must be there.
    pub body_timeout_ms: u64,
    /// Projects at work at once; of more, those not asked for longest are unloaded, and loaded again when they are.
    pub projects: usize,
    /// Connections at once; further ones wait to be taken.
    pub connections: usize,
    /// Requests a minute and key; 0 is no limit. Sized for typing: ten a second.
    pub requests_per_minute: u32,
    /// Requests that a key may make at once after a pause.
    pub burst: u32,
}

/// How completions get their turn.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SchedulerConfig {
    /// Completions at once; 0 is two for each core.
    pub workers: usize,
    /// Threads of one completion; 0 is the cores divided by the workers, at least one.
    pub threads: usize,
    /// Completions that may wait.
    pub queue: usize,
    /// A completion that is expected to wait longer than this is refused at once; 0 is no limit.
    pub longest_wait_ms: u64,
    /// Time in which a completion must be answered, where the request names none.
    pub deadline_ms: u64,
    /// Time that a stopping server gives to what is under way.
    pub shutdown_ms: u64,
}

/// What holds where a request says nothing.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Defaults {
    /// The speed of `/infill` and `/v1/complete`.
    pub speed: SpeedName,
    /// Where completions for editors end: `/infill` and `/v1/complete`.
    pub stop: StopName,
    /// The project that counts where none is named.
    pub project: Option<String>,
    /// `speed: auto` is content with a confidence from here on.
    pub auto_confidence: f32,
    /// Projects that are loaded when the server starts.
    pub preload: Vec<String>,
}

/// Long work that a client may start; each job is a process of its own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct JobsConfig {
    /// Folders that sources may be learned from, and corpora read from. Nothing else on the disk can be named.
    pub sources: Vec<PathBuf>,
    /// Folder that trained models are written to; without it nothing can be trained.
    pub runs: Option<PathBuf>,
    /// Jobs at once; further ones are refused.
    pub at_once: usize,
    /// Seconds without completions after which the projects at work are taught on; 0 never does.
    pub teach_after_idle_s: u64,
}

impl Default for ServerConfig {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 8088)),
            allow_without_keys: false,
            model: "tiny".to_owned(),
            memory: None,
            keys: None,
            tls: None,
            limits: Limits::default(),
            scheduler: SchedulerConfig::default(),
            defaults: Defaults::default(),
            cors_origins: Vec::new(),
            jobs: JobsConfig::default(),
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            body_bytes: 16 << 20,
            text_bytes: 8 << 20,
            max_tokens: 512,
            choices: 8,
            header_timeout_ms: 15_000,
            body_timeout_ms: 10_000,
            projects: 16,
            connections: 2_048,
            requests_per_minute: 600,
            burst: 60,
        }
    }
}

impl Default for SchedulerConfig {
    fn default() -> Self {
        Self {
            workers: 0,
            threads: 0,
            queue: 64,
            longest_wait_ms: 150,
            deadline_ms: 2_000,
            shutdown_ms: 5_000,
        }
    }
}

impl Default for Defaults {
    fn default() -> Self {
        Self {
            speed: SpeedName::Balanced,
            stop: StopName::Line,
            project: None,
            auto_confidence: 0.6,
            preload: Vec::new(),
        }
    }
}

impl Default for JobsConfig {
    fn default() -> Self {
        Self {
            sources: Vec::new(),
            runs: None,
            at_once: 1,
            teach_after_idle_s: 30,
        }
    }
}

impl ServerConfig {
    /// Checks the values.
    ///
    /// # Errors
    /// [`ServerError::Config`] naming the key that makes no sense.
    pub fn validate(&self) -> Result<(), ServerError> {
        let positive = [
            ("limits.body_bytes", self.limits.body_bytes),
            ("limits.text_bytes", self.limits.text_bytes),
            ("limits.max_tokens", self.limits.max_tokens),
            ("limits.choices", self.limits.choices),
            ("limits.projects", self.limits.projects),
            ("limits.connections", self.limits.connections),
            ("scheduler.queue", self.scheduler.queue),
            ("jobs.at_once", self.jobs.at_once),
            ("limits.burst", self.limits.burst as usize),
            (
                "limits.header_timeout_ms",
                self.limits.header_timeout_ms as usize,
            ),
            (
                "limits.body_timeout_ms",
                self.limits.body_timeout_ms as usize,
            ),
            ("scheduler.deadline_ms", self.scheduler.deadline_ms as usize),
        ];
        if let Some((key, _)) = positive.iter().find(|(_, value)| *value == 0) {
            return Err(ServerError::config(*key, "must be above 0"));
        }
        let most = nestor_assist::complete::MAX_TOKENS;
        if self.limits.max_tokens > most {
            let reason = format!(
                "{} is more than the model writes, {most}",
                self.limits.max_tokens
            );
            return Err(ServerError::config("limits.max_tokens", reason));
        }
        if !(0.0..=1.0).contains(&self.defaults.auto_confidence) {
            let reason = format!("{} is not in 0..1", self.defaults.auto_confidence);
            return Err(ServerError::config("defaults.auto_confidence", reason));
        }
        for origin in &self.cors_origins {
            let rest = origin
                .strip_prefix("http://")
                .or_else(|| origin.strip_prefix("https://"));
            if rest.is_none_or(|rest| rest.is_empty() || rest.contains('/')) {
                let reason = format!("{origin:?} is not an origin such as https://host:port");
                return Err(ServerError::config("cors_origins", reason));
            }
        }
        for name in self.defaults.preload.iter().chain(&self.defaults.project) {
            if let Err(error) = name.parse::<nestor_assist::ProjectName>() {
                return Err(ServerError::config("defaults", error.to_string()));
            }
        }
        Ok(())
    }

    /// Refuses to listen beyond this machine where anyone could ask.
    ///
    /// # Errors
    /// [`ServerError::Open`] unless there are keys, or the configuration says that it is meant.
    pub fn check_open(&self, has_keys: bool) -> Result<(), ServerError> {
        if self.listen.ip().is_loopback() || has_keys || self.allow_without_keys {
            return Ok(());
        }
        Err(ServerError::Open {
            listen: self.listen,
        })
    }

    /// The rule that ends completions for editors.
    #[must_use]
    pub fn stop_rule(&self) -> StopRule {
        self.defaults.stop.into()
    }

    /// What a source or corpus path that a client names means, if it lies in a folder that is allowed.
    #[must_use]
    pub fn allowed_source(&self, path: &Path) -> Option<PathBuf> {
        let path = path.canonicalize().ok()?;
        let mut allowed = self.jobs.sources.iter();
        let inside = allowed.any(|dir| dir.canonicalize().is_ok_and(|dir| path.starts_with(dir)));
        inside.then_some(path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(change: impl FnOnce(&mut ServerConfig)) -> String {
        let mut config = ServerConfig::default();
        change(&mut config);
        config.validate().unwrap_err().to_string()
    }

    #[test]
    fn wrong_values_are_named() {
        ServerConfig::default().validate().unwrap();
        assert!(refused(|c| c.scheduler.queue = 0).contains("scheduler.queue"));
        assert!(refused(|c| c.limits.max_tokens = 100_000).contains("limits.max_tokens"));
        assert!(refused(|c| c.defaults.auto_confidence = f32::NAN).contains("auto_confidence"));
        assert!(refused(|c| c.cors_origins = vec!["*".to_owned()]).contains("cors_origins"));
        assert!(refused(|c| c.defaults.preload = vec!["..".to_owned()]).contains("defaults"));
    }

    #[test]
    fn without_keys_only_this_machine_is_listened_to() {
        let mut config = ServerConfig::default();
        config.check_open(false).unwrap();
        config.listen = SocketAddr::from(([0, 0, 0, 0], 8088));
        assert!(config.check_open(false).is_err());
        config.check_open(true).unwrap();
        config.allow_without_keys = true;
        config.check_open(false).unwrap();
    }

    #[test]
    fn sources_outside_the_allowed_folders_do_not_exist() {
        let dir = tempfile::tempdir().unwrap();
        let inside = dir.path().join("in");
        std::fs::create_dir_all(inside.join("cf")).unwrap();
        let mut config = ServerConfig::default();
        assert_eq!(config.allowed_source(&inside), None);
        config.jobs.sources = vec![inside.clone()];
        assert!(config.allowed_source(&inside.join("cf")).is_some());
        assert_eq!(config.allowed_source(&inside.join("..")), None);
        assert_eq!(config.allowed_source(&inside.join("missing")), None);
    }
}
