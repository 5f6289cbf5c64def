//! `nestor serve`: completions over HTTP, with pages and figures.
//!
//! The configuration file and the options become one resolved configuration; the crate `server` does the rest. Paths in the file
//! are relative to its folder, so that a service finds them wherever it is started.

use crate::explain;
use crate::failure::{Failure, Outcome};
use crate::home;
use crate::messages::Messages;
use crate::projects::MemoryTyped;
use crate::terminal::Terminal;
use clap::Args;
use etcetera::BaseStrategy;
use nestor_assist::Projects;
use nestor_server::{ServerConfig, ServerError, Setup, Told};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Arguments of `nestor serve`.
#[derive(Clone, Debug, Args)]
pub struct Typed {
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    #[arg(long, value_name = "ADDRESS:PORT")]
    listen: Option<SocketAddr>,
    #[arg(long, value_name = "MODEL")]
    model: Option<String>,
    #[arg(long, value_name = "NAME")]
    project: Option<String>,
    #[command(flatten)]
    memory: MemoryTyped,
}

/// Runs the command until the process is asked to end.
pub fn run(typed: Typed, terminal: &Terminal) -> Outcome {
    let messages = &terminal.messages;
    let config = resolve(&typed, messages)?;
    let model_folder = home::model_folder(messages, &config.model)?;
    let projects = match &config.memory {
        Some(dir) => Projects::at(dir),
        None => typed.memory.projects(messages)?,
    };
    let language = messages.language();
    let watch = typed.config.iter().cloned().collect();
    let again = typed.clone();
    let setup = Setup {
        config,
        model_folder,
        projects,
        program: std::env::current_exe().map_err(Failure::internal)?,
        read_config: Box::new(move || {
            let messages = Messages::new(language);
            let config = resolve(&again, &messages).map_err(|failure| failure.message)?;
            let folder = home::model_folder(&messages, &config.model);
            Ok((config, folder.map_err(|failure| failure.message)?))
        }),
    };
    let messages = Arc::new(Messages::new(language));
    let json = terminal.is_json();
    let tell = move |told| match told {
        Told::Listening {
            address,
            scheme,
            keys,
        } => {
            let url = format!("{scheme}://{address}");
            if json {
                println!("{}", serde_json::json!({"url": url, "keys": keys}));
            }
            let about = messages.text(if keys { "serve-keys" } else { "serve-open" });
            let values = [("url", url.into()), ("about", about.into())];
            eprintln!("{}", messages.with("serve-listening", &values));
        }
        Told::Reloaded(model) => {
            let key = if model {
                "serve-reloaded-model"
            } else {
                "serve-reloaded"
            };
            eprintln!("{}", messages.text(key));
        }
        Told::NotReloaded(error) => {
            let values = [("reason", server_text(&messages, &error).into())];
            eprintln!("{}", messages.with("serve-not-reloaded", &values));
        }
        Told::Stopping => eprintln!("{}", messages.text("serve-stopping")),
    };
    nestor_server::run(setup, watch, tell).map_err(|error| failure(&terminal.messages, &error))
}

/// The configuration of the file, with what was typed over it.
fn resolve(typed: &Typed, messages: &Messages) -> Outcome<ServerConfig> {
    let mut config = match &typed.config {
        Some(path) => read(path, messages)?,
        None => ServerConfig::default(),
    };
    if let Some(listen) = typed.listen {
        config.listen = listen;
    }
    if let Some(model) = &typed.model {
        config.model.clone_from(model);
    }
    if let Some(project) = &typed.project {
        config.defaults.project = Some(project.clone());
        config.defaults.preload.push(project.clone());
    }
    if config.keys.is_none() {
        config.keys = default_keys();
    }
    config
        .validate()
        .map_err(|error| failure(messages, &error))?;
    Ok(config)
}

/// Reads a configuration file; its paths become those seen from its folder.
pub fn read(path: &Path, messages: &Messages) -> Outcome<ServerConfig> {
    let wrong = |reason: String| {
        let values = [
            ("path", path.display().to_string().into()),
            ("reason", reason.into()),
        ];
        Failure::input(messages, "error-file", &values)
    };
    let text = std::fs::read_to_string(path).map_err(|error| wrong(error.to_string()))?;
    let mut config: ServerConfig =
        toml::from_str(&text).map_err(|error| wrong(error.to_string()))?;
    let folder = path.parent().unwrap_or(Path::new(""));
    let from_there = |path: &mut PathBuf| *path = folder.join(&*path);
    // A model may be named instead of its folder.
    let model = folder.join(&config.model);
    if model.is_dir() {
        config.model = model.to_string_lossy().into_owned();
    }
    config.memory.iter_mut().for_each(from_there);
    config.keys.iter_mut().for_each(from_there);
    config.jobs.sources.iter_mut().for_each(from_there);
    config.jobs.runs.iter_mut().for_each(from_there);
    if let Some(tls) = &mut config.tls {
        from_there(&mut tls.certificate);
        from_there(&mut tls.key);
    }
    Ok(config)
}

/// Where keys lie when nothing names a file: in the user's data folder.
pub fn default_keys() -> Option<PathBuf> {
    let strategy = etcetera::choose_base_strategy().ok()?;
    Some(strategy.data_dir().join("nestor").join("keys.json"))
}

/// A server's error as a failure with the exit code that fits.
pub fn failure(messages: &Messages, error: &ServerError) -> Failure {
    let values = |named: &[(&'static str, String)]| -> Vec<crate::messages::Value<'static>> {
        let named = named.iter();
        named
            .map(|(name, value)| (*name, value.clone().into()))
            .collect()
    };
    match error {
        ServerError::Assist(error) => explain::assist(messages, error),
        ServerError::Memory(error) => explain::memory(messages, error),
        ServerError::Config { key, reason } => {
            let values = values(&[("key", key.clone()), ("reason", reason.clone())]);
            Failure::usage(messages, "serve-error-config", &values)
        }
        ServerError::Open { listen } => {
            let values = values(&[("listen", listen.to_string())]);
            Failure::usage(messages, "serve-error-open", &values)
        }
        ServerError::Listen { listen, source } => {
            let named = [
                ("listen", listen.to_string()),
                ("reason", source.to_string()),
            ];
            Failure::input(messages, "serve-error-listen", &values(&named))
        }
        ServerError::File { path, reason } => {
            let named = [
                ("path", path.display().to_string()),
                ("reason", reason.clone()),
            ];
            Failure::input(messages, "error-file", &values(&named))
        }
        _ => Failure::internal(error),
    }
}

fn server_text(messages: &Messages, error: &ServerError) -> String {
    failure(messages, error).message
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::failure::Kind;
    use crate::messages::Language;

    #[test]
    fn paths_of_the_file_are_seen_from_its_folder_and_wrong_keys_are_named() {
        let messages = Messages::new(Language::En);
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("server.toml");
        let text = "listen = \"127.0.0.1:9000\"\nkeys = \"keys.json\"\nmemory = \"/srv/projects\"\n\
                    [jobs]\nsources = [\"src\"]\n[limits]\nmax_tokens = 64\n";
        std::fs::write(&path, text).unwrap();
        let config = read(&path, &messages).unwrap();
        assert_eq!(config.keys, Some(dir.path().join("keys.json")));
        assert_eq!(config.jobs.sources, [dir.path().join("src")]);
        assert_eq!(config.limits.max_tokens, 64);
        assert_eq!(config.model, "tiny");
        std::fs::write(&path, "[limits]\nmax_token = 64\n").unwrap();
        let failure = read(&path, &messages).unwrap_err();
        assert_eq!(failure.kind, Kind::Input);
        assert!(failure.message.contains("max_token"), "{}", failure.message);
    }

    #[test]
    fn the_example_of_the_documentation_is_right() {
        let text = include_str!("../../../../deploy/server.toml");
        let config: ServerConfig = toml::from_str(text).unwrap();
        config.validate().unwrap();
        // It shows what holds anyway, so that nothing changes for who copies it.
        let shown = ServerConfig {
            keys: None,
            ..config
        };
        assert_eq!(shown, ServerConfig::default());
    }
}
