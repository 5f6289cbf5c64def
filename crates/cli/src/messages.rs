//! Texts for people, in Russian and English, from the Fluent files in `locales/`.
//!
//! Every command asks here for what it prints; nothing else in the crate holds prose. Knows no command and no terminal.

use clap::ValueEnum;
use fluent_bundle::{FluentArgs, FluentResource, FluentValue, concurrent::FluentBundle};
use unic_langid::LanguageIdentifier;

/// A language that Nestor speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Language {
    /// Russian.
    Ru,
    /// English.
    En,
}

impl Language {
    /// The language of the user's system, English where it is neither of ours or not known.
    pub fn of_system() -> Self {
        sys_locale::get_locale()
            .as_deref()
            .map_or(Self::En, Self::of_locale)
    }

    /// The language of a locale's name such as `ru_RU.UTF-8`.
    pub fn of_locale(locale: &str) -> Self {
        let language = locale.split(['-', '_', '.']).next().unwrap_or_default();
        if language.eq_ignore_ascii_case("ru") {
            Self::Ru
        } else {
            Self::En
        }
    }

    /// The code as typed.
    pub fn code(self) -> &'static str {
        match self {
            Self::Ru => "ru",
            Self::En => "en",
        }
    }

    /// The Fluent file of the language.
    fn source(self) -> &'static str {
        match self {
            Self::Ru => include_str!("../locales/ru.ftl"),
            Self::En => include_str!("../locales/en.ftl"),
        }
    }
}

/// The texts of one language.
pub struct Messages {
    language: Language,
    bundle: FluentBundle<FluentResource>,
}

/// A named value that a text mentions.
pub type Value<'a> = (&'static str, FluentValue<'a>);

impl Messages {
    /// The texts of `language`.
    pub fn new(language: Language) -> Self {
        let identifier: LanguageIdentifier = language
            .code()
            .parse()
            .expect("the code of a language is an identifier of one");
        let mut bundle = FluentBundle::new_concurrent(vec![identifier]);
        // The marks that Fluent puts around values keep right-to-left text apart; in a terminal they are noise.
        bundle.set_use_isolating(false);
        // A file with a broken message still gives the others; a test refuses such a file.
        let resource = FluentResource::try_new(language.source().to_owned())
            .unwrap_or_else(|(resource, _)| resource);
        bundle.add_resource_overriding(resource);
        Self { language, bundle }
    }

    /// The language.
    pub fn language(&self) -> Language {
        self.language
    }

    /// The text of a key, if there is one.
    pub fn find(&self, key: &str, values: &[Value]) -> Option<String> {
        let pattern = self.bundle.get_message(key)?.value()?;
        let mut arguments = FluentArgs::with_capacity(values.len());
        for (name, value) in values {
            arguments.set(*name, value.clone());
        }
        let mut errors = Vec::new();
        Some(
            self.bundle
                .format_pattern(pattern, Some(&arguments), &mut errors)
                .into_owned(),
        )
    }

    /// The text of a key that mentions no values.
    pub fn text(&self, key: &str) -> String {
        self.with(key, &[])
    }

    /// The text of a key with its values. A key without a text, which a test rules out, is shown itself.
    pub fn with(&self, key: &str, values: &[Value]) -> String {
        self.find(key, values).unwrap_or_else(|| key.to_owned())
    }

    /// A share such as 0.718 as a percentage, with the decimal sign of the language.
    pub fn percent(&self, share: f64) -> String {
        self.decimal(share * 100.0, 1)
    }

    /// A number with `digits` digits after the decimal sign of the language.
    pub fn decimal(&self, number: f64, digits: usize) -> String {
        let text = format!("{number:.digits$}");
        match self.language {
            Language::Ru => text.replace('.', ","),
            Language::En => text,
        }
    }

    /// A whole number with its thousands kept apart.
    pub fn count(&self, number: u64) -> String {
        let digits = number.to_string();
        let separator = match self.language {
            Language::Ru => '\u{a0}',
            Language::En => ',',
        };
        let mut text = String::with_capacity(digits.len() * 2);
        for (idx, digit) in digits.chars().enumerate() {
            if idx > 0 && (digits.len() - idx).is_multiple_of(3) {
                text.push(separator);
            }
            text.push(digit);
        }
        text
    }

    /// A size in bytes in the unit that suits it.
    pub fn bytes(&self, bytes: u64) -> String {
        let (unit, digits, divisor) = match bytes {
            0..1_000 => ("unit-bytes", 0, 1.0),
            1_000..1_000_000 => ("unit-kilobytes", 0, 1e3),
            1_000_000..1_000_000_000 => ("unit-megabytes", 1, 1e6),
            _ => ("unit-gigabytes", 1, 1e9),
        };
        format!(
            "{}\u{a0}{}",
            self.decimal(bytes as f64 / divisor, digits),
            self.text(unit)
        )
    }

    /// A time in the unit that suits it.
    pub fn duration(&self, seconds: f64) -> String {
        if seconds < 1.0 {
            return self.milliseconds(seconds * 1e3);
        }
        if seconds < 60.0 {
            return format!(
                "{}\u{a0}{}",
                self.decimal(seconds, 1),
                self.text("unit-seconds")
            );
        }
        let minutes = (seconds / 60.0).round() as u64;
        if minutes < 60 {
            return format!("{minutes}\u{a0}{}", self.text("unit-minutes"));
        }
        let (hours, minutes) = (minutes / 60, minutes % 60);
        let (hour, minute) = (self.text("unit-hours"), self.text("unit-minutes"));
        format!("{hours}\u{a0}{hour} {minutes}\u{a0}{minute}")
    }

    /// A latency.
    pub fn milliseconds(&self, milliseconds: f64) -> String {
        let digits = if milliseconds < 10.0 { 1 } else { 0 };
        format!(
            "{}\u{a0}{}",
            self.decimal(milliseconds, digits),
            self.text("unit-milliseconds")
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;
    use std::path::Path;

    fn keys(language: Language) -> BTreeSet<String> {
        language
            .source()
            .lines()
            .filter(|line| line.starts_with(|c: char| c.is_ascii_alphabetic()))
            .filter_map(|line| Some(line.split_once(" =")?.0.to_owned()))
            .collect()
    }

    /// Every string literal of the crate's sources that stands where a key is expected.
    fn keys_in_code(dir: &Path, found: &mut BTreeSet<String>) {
        for entry in std::fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                keys_in_code(&path, found);
            } else if path.extension().is_some_and(|e| e == "rs") {
                let text = std::fs::read_to_string(&path).unwrap();
                let code = text.split("#[cfg(test)]\nmod tests").next().unwrap();
                for literal in code.split('"').skip(1).step_by(2) {
                    let looks_like_a_key = literal.contains('-')
                        && literal.starts_with(|c: char| c.is_ascii_lowercase())
                        && literal
                            .chars()
                            .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-');
                    if looks_like_a_key {
                        found.insert(literal.to_owned());
                    }
                }
            }
        }
    }

    #[test]
    fn the_files_are_whole_and_have_the_same_keys() {
        for language in [Language::Ru, Language::En] {
            if let Err((_, errors)) = FluentResource::try_new(language.source().to_owned()) {
                panic!("{language:?}: {errors:?}");
            }
            let lines = language
                .source()
                .lines()
                .filter(|l| l.contains(" =") && l.starts_with(char::is_alphabetic));
            assert_eq!(
                lines.count(),
                keys(language).len(),
                "{language:?}: a key stands twice"
            );
        }
        let (ru, en) = (keys(Language::Ru), keys(Language::En));
        assert_eq!(
            ru.difference(&en).collect::<Vec<_>>(),
            Vec::<&String>::new(),
            "only in ru.ftl"
        );
        assert_eq!(
            en.difference(&ru).collect::<Vec<_>>(),
            Vec::<&String>::new(),
            "only in en.ftl"
        );
    }

    #[test]
    fn the_languages_mention_the_same_values() {
        let variables = |source: &str| -> Vec<(String, BTreeSet<String>)> {
            let mut messages: Vec<(String, BTreeSet<String>)> = Vec::new();
            for line in source.lines() {
                if line.starts_with(|c: char| c.is_ascii_alphabetic()) {
                    let key = line.split(" =").next().unwrap_or_default();
                    messages.push((key.to_owned(), BTreeSet::new()));
                }
                for part in line.split('$').skip(1) {
                    let name: String = part
                        .chars()
                        .take_while(|c| c.is_ascii_alphanumeric() || *c == '_')
                        .collect();
                    messages.last_mut().unwrap().1.insert(name);
                }
            }
            messages.sort();
            messages
        };
        assert_eq!(
            variables(Language::Ru.source()),
            variables(Language::En.source())
        );
    }

    #[test]
    fn every_key_of_the_code_has_a_text_and_every_text_a_use() {
        let mut used = BTreeSet::new();
        keys_in_code(
            &Path::new(env!("CARGO_MANIFEST_DIR")).join("src"),
            &mut used,
        );
        let known = keys(Language::En);
        let not_keys: BTreeSet<_> = ["max-positions"].map(str::to_owned).into();
        let missing: Vec<_> = used
            .difference(&known)
            .filter(|k| !not_keys.contains(*k))
            .collect();
        assert_eq!(
            missing,
            Vec::<&String>::new(),
            "in the code, not in the files"
        );
        let unused: Vec<_> = known
            .difference(&used)
            .filter(|key| !key.starts_with("help"))
            .collect();
        assert_eq!(
            unused,
            Vec::<&String>::new(),
            "in the files, not in the code"
        );
    }

    #[test]
    fn values_are_put_in_and_numbers_follow_the_language() {
        let (ru, en) = (Messages::new(Language::Ru), Messages::new(Language::En));
        assert_eq!(ru.percent(0.7184), "71,8");
        assert_eq!(en.percent(0.7184), "71.8");
        assert_eq!(en.count(1_234_567), "1,234,567");
        assert_eq!(en.count(999), "999");
        assert_eq!(ru.bytes(25_300_000), "25,3\u{a0}МБ");
        assert_eq!(en.duration(4_000.0), "1\u{a0}h 7\u{a0}min");
        assert_eq!(en.milliseconds(3.26), "3.3\u{a0}ms");
    }

    #[test]
    fn the_language_follows_the_locale() {
        for (locale, expected) in [
            ("ru_RU.UTF-8", Language::Ru),
            ("ru-RU", Language::Ru),
            ("RU", Language::Ru),
            ("en_US.UTF-8", Language::En),
            ("C", Language::En),
            ("ruby", Language::En),
            ("", Language::En),
        ] {
            assert_eq!(Language::of_locale(locale), expected, "{locale}");
        }
    }
}
