//! What the client's user has set.

use std::fmt::Display;
use std::str::FromStr;

use nestor_assist::{ProjectName, Speed, StopRule};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use crate::server::Server;

/// Confidence below which nothing is shown by itself: in a foreign project six of ten completions above it are right.
const SHOW_THRESHOLD: f32 = 0.3;

/// Settings of the client: `initializationOptions`, or the section `nestor` of its configuration.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Settings {
    #[serde(deserialize_with = "speed")]
    pub speed: Option<Speed>,
    /// A completion below this confidence is not shown by itself; one that was asked for is.
    pub show_threshold: f32,
    /// Show nothing by itself.
    pub manual: bool,
    pub max_tokens: usize,
    pub stop: Stop,
    pub list: List,
    /// Learn saved files.
    pub learn_on_save: bool,
    /// Teach levels 2 and 3 while nobody works.
    pub learn_when_idle: bool,
    /// Seconds without work after which that begins.
    pub idle_seconds: u64,
    #[serde(deserialize_with = "project")]
    pub project: Option<ProjectName>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            speed: None,
            show_threshold: SHOW_THRESHOLD,
            manual: false,
            max_tokens: 32,
            stop: Stop::Line,
            list: List::Auto,
            learn_on_save: true,
            learn_when_idle: true,
            idle_seconds: 30,
            project: None,
        }
    }
}

/// Where completions end.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Stop {
    Line,
    Statement,
    Block,
}

impl From<Stop> for StopRule {
    fn from(stop: Stop) -> Self {
        match stop {
            Stop::Line => Self::Line,
            Stop::Statement => Self::Statement,
            Stop::Block => Self::Block,
        }
    }
}

/// Entries in completion lists: `auto` for clients without ghost text.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum List {
    Auto,
    On,
    Off,
}

/// A name that stands for a value; nothing for none, as some clients write it by an empty text.
fn named<'de, T: FromStr<Err: Display>, D: Deserializer<'de>>(
    from: D,
) -> Result<Option<T>, D::Error> {
    let name = Option::<String>::deserialize(from)?;
    let name = name.filter(|name| !name.is_empty());
    let parsed = name.map(|name| name.parse().map_err(D::Error::custom));
    parsed.transpose()
}

fn speed<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Speed>, D::Error> {
    named(from)
}

fn project<'de, D: Deserializer<'de>>(from: D) -> Result<Option<ProjectName>, D::Error> {
    named(from)
}

/// Reads settings; `None` and a note on stderr for what are none.
pub(super) fn settings_of(value: Value) -> Option<Settings> {
    let value = match value {
        Value::Null => return None,
        Value::Object(mut map) if map.contains_key("nestor") => map.remove("nestor")?,
        value => value,
    };
    match serde_json::from_value(value) {
        Ok(settings) => Some(settings),
        Err(error) => {
            eprintln!("nestor: the settings are not taken over: {error}");
            None
        }
    }
}

impl Server<'_> {
    pub(super) fn take_settings(&mut self, settings: Settings) {
        let project = settings.project.clone();
        self.settings = settings;
        if project.is_some() && project != self.project {
            self.load(project);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn settings_are_taken_over_whole_or_not_at_all() {
        for (given, is_taken) in [
            (json!({}), true),
            (
                json!({"nestor": {"speed": "accurate", "stop": "block"}}),
                true,
            ),
            (json!({"speed": "", "project": "", "delay": 75}), true),
            (json!({"speed": "turbo"}), false),
            (json!({"stop": "page"}), false),
            (json!({"list": "maybe"}), false),
            (json!({"project": "a/b"}), false),
            (json!({"maxTokens": "many"}), false),
            (Value::Null, false),
        ] {
            assert_eq!(settings_of(given.clone()).is_some(), is_taken, "{given}");
        }
        let usual = settings_of(json!({})).expect("nothing is set");
        assert!((usual.show_threshold - 0.3).abs() < 1e-6 && usual.learn_on_save);
    }
}
