//! A peer behind OpenAI's interface, for the protocol "commits": `--baseline openai:URL:MODEL`.
//!
//! The one place of the command line that knows HTTP. A request that fails is sent once more; after that its place counts as one without an
//! answer. Source code goes to the server, the key to nobody else: redirects are not followed, and a server on this machine is asked directly.

use nestor_eval::completer::{Completer, Cursor, Said};
use nestor_lsp::{is_loopback, reason_of};
use reqwest::Url;
use reqwest::blocking::Client;
use reqwest::header::CONTENT_TYPE;
use serde::Serialize;
use serde_json::{Value, json};
use std::time::Duration;

/// The variable that holds the key. An argument would be seen by everyone on the machine.
pub(super) const KEY: &str = "NESTOR_OPENAI_KEY";

/// Characters before the cursor that are sent at most.
const PROMPT_CHARS: usize = 8_000;

/// Characters after it.
const SUFFIX_CHARS: usize = 2_000;

/// Pieces of an answer at most: other tokenizers cut Cyrillic into many.
const MAX_TOKENS: usize = 64;

/// Time for a connection, and for a whole answer: large models read slowly on a CPU.
const CONNECT: Duration = Duration::from_secs(5);
const ANSWER: Duration = Duration::from_secs(120);

/// Before a request is sent again.
const PAUSE: Duration = Duration::from_millis(200);

/// So many places in a row without an answer: no more are to be expected.
const FAILED_IN_A_ROW: usize = 5;

/// Characters of a server's message that are shown.
const SHOWN_CHARS: usize = 300;

/// Fields that not every server takes; without them it is asked, and told of.
const OPTIONAL: [&str; 2] = ["suffix", "logprobs"];

/// Where a peer answers, and which of its models.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Address {
    url: Url,
    model: String,
}

impl Address {
    /// `URL:MODEL`, with or without `/v1` behind the URL. A model's name may hold `:` and `/`.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let host_start = text.find("://")? + 3;
        let host_len = match text[host_start..].strip_prefix('[') {
            Some(rest) => rest.find(']')? + 2,
            None => text[host_start..].find([':', '/'])?,
        };
        let mut end = host_start + host_len;
        if let Some(rest) = text[end..].strip_prefix(':') {
            let n_digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
            let behind = &rest[n_digits..];
            if n_digits > 0 && (behind.is_empty() || behind.starts_with([':', '/'])) {
                end += 1 + n_digits;
            }
        }
        if text[end..].starts_with('/') {
            end += text[end..].find(':')?;
        }
        let model = text[end..].strip_prefix(':')?;
        // A name and a password, which belong in no address.
        let is_plain = end > host_start + host_len || !model.contains('@');
        let url = Url::parse(text[..end].trim_end_matches('/')).ok()?;
        let is_plain = is_plain && url.username().is_empty() && url.password().is_none();
        let is_http = matches!(url.scheme(), "http" | "https") && url.host_str().is_some();
        (is_http && is_plain && !model.is_empty()).then(|| Self {
            url,
            model: model.to_owned(),
        })
    }

    /// The level's name in results.
    pub(super) fn level(&self) -> String {
        format!("openai:{}", self.model)
    }

    fn endpoint(&self) -> String {
        let base = self.url.as_str().trim_end_matches('/');
        let base = base.strip_suffix("/v1").unwrap_or(base);
        format!("{base}/v1/completions")
    }
}

/// Why no more answers are to be expected.
#[derive(Debug)]
pub(super) struct Gone {
    /// Where it was asked.
    pub(super) url: String,
    /// What is wrong; names the field where one is.
    pub(super) reason: String,
}

/// What happened beside the completions.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(super) struct Account {
    /// Where it was asked.
    pub(super) url: String,
    /// Fields that the server refused; it was asked without them.
    pub(super) without: Vec<&'static str>,
    /// Why the last place without an answer has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) last_failure: Option<String>,
}

/// A peer.
pub(super) struct Peer {
    client: Client,
    model: String,
    key: Option<String>,
    account: Account,
    n_failed_in_a_row: usize,
}

/// Why a request has no answer.
enum Trouble {
    /// The server does not take this field.
    Field(&'static str),
    /// Whatever is asked: no server, no such model, no right.
    Final(String),
    /// This time.
    Once(String),
}

impl Peer {
    /// Makes the client and asks once, so that a server that is not there is known before anything is learned.
    pub(super) fn open(address: &Address, key: Option<String>) -> Result<Self, Gone> {
        let account = Account {
            url: address.endpoint(),
            ..Account::default()
        };
        let gone = |reason: String| Gone {
            url: address.endpoint(),
            reason,
        };
        let mut client = Client::builder()
            .connect_timeout(CONNECT)
            .timeout(ANSWER)
            .redirect(reqwest::redirect::Policy::none());
        if address.url.host_str().is_some_and(is_loopback) {
            client = client.no_proxy();
        }
        let client = client.build().map_err(|error| gone(reason_of(&error)))?;
        let mut peer = Self {
            client,
            model: address.model.clone(),
            key,
            account,
            n_failed_in_a_row: 0,
        };
        match peer.ask("Процедура ", "\nКонецПроцедуры\n", 1) {
            Ok(_) => Ok(peer),
            Err(Trouble::Final(reason) | Trouble::Once(reason)) => Err(gone(reason)),
            Err(Trouble::Field(field)) => Err(gone(field.to_owned())),
        }
    }

    /// What happened so far.
    pub(super) fn account(&self) -> Account {
        self.account.clone()
    }

    /// Asks until there is an answer, at most once more; a field that the server refuses is left out from then on.
    fn ask(&mut self, prompt: &str, suffix: &str, max_tokens: usize) -> Result<Said, Trouble> {
        let mut is_second = false;
        loop {
            match self.ask_once(prompt, suffix, max_tokens) {
                Err(Trouble::Field(field)) => self.account.without.push(field),
                Err(Trouble::Once(_)) if !is_second => {
                    is_second = true;
                    std::thread::sleep(PAUSE);
                }
                answered => return answered,
            }
        }
    }

    fn ask_once(&self, prompt: &str, suffix: &str, max_tokens: usize) -> Result<Said, Trouble> {
        let mut body = json!({
            "model": self.model, "prompt": prompt, "suffix": suffix, "max_tokens": max_tokens, "temperature": 0, "stop": ["\n"],
            "logprobs": 1,
        });
        if let Some(fields) = body.as_object_mut() {
            fields.retain(|field, _| !self.account.without.contains(&field.as_str()));
        }
        let mut request = self.client.post(&self.account.url);
        if let Some(key) = &self.key {
            request = request.bearer_auth(key);
        }
        let request = request.header(CONTENT_TYPE, "application/json");
        let answered = request.body(body.to_string()).send().and_then(|response| {
            let status = response.status();
            Ok((status, response.bytes()?))
        });
        let (status, bytes) = answered.map_err(|error| {
            // Nobody is there, or the request cannot be made at all.
            let is_final = error.is_connect() || error.is_builder();
            let reason = reason_of(&error.without_url());
            if is_final {
                Trouble::Final(reason)
            } else {
                Trouble::Once(reason)
            }
        })?;
        if status.is_success() {
            return said(&bytes).map_err(|reason| Trouble::Once(reason.to_owned()));
        }
        let value: Value = serde_json::from_slice(&bytes).unwrap_or_default();
        let told = ["/error/message", "/message", "/detail", "/error"];
        let told = told
            .iter()
            .find_map(|at| value.pointer(at).and_then(Value::as_str));
        let sent = OPTIONAL
            .into_iter()
            .filter(|field| !self.account.without.contains(field));
        if let Some(told) = told
            && let Some(field) = sent.into_iter().find(|field| told.contains(field))
        {
            return Err(Trouble::Field(field));
        }
        let message = told.map_or_else(|| String::from_utf8_lossy(&bytes), Into::into);
        let reason = format!("{status}: {}", self.shortened(&message));
        Err(match status.as_u16() {
            401 | 403 => Trouble::Final(format!("{reason} ({KEY})")),
            404 | 405 => Trouble::Final(reason),
            300..=399 => Trouble::Final(format!("{reason} (redirect)")),
            _ => Trouble::Once(reason),
        })
    }

    /// What a server says, in short and without the key.
    fn shortened(&self, message: &str) -> String {
        let text = match &self.key {
            Some(key) => message.replace(key.as_str(), "..."),
            None => message.to_owned(),
        };
        let words: Vec<&str> = text.split_whitespace().collect();
        words.join(" ").chars().take(SHOWN_CHARS).collect()
    }
}

impl Completer for Peer {
    type Error = Gone;

    fn complete(&mut self, cursor: Cursor<'_>) -> Result<Option<Said>, Gone> {
        let prompt = last_lines(cursor.before, PROMPT_CHARS);
        let suffix = first_lines(cursor.after, SUFFIX_CHARS);
        let reason = match self.ask(prompt, suffix, MAX_TOKENS) {
            Ok(said) => {
                self.n_failed_in_a_row = 0;
                return Ok(Some(said));
            }
            Err(Trouble::Once(reason)) => {
                self.n_failed_in_a_row += 1;
                self.account.last_failure = Some(reason.clone());
                if self.n_failed_in_a_row < FAILED_IN_A_ROW {
                    return Ok(None);
                }
                reason
            }
            Err(Trouble::Final(reason)) => reason,
            Err(Trouble::Field(field)) => field.to_owned(),
        };
        Err(Gone {
            url: self.account.url.clone(),
            reason,
        })
    }
}

/// The completion in an answer; else what it lacks.
fn said(bytes: &[u8]) -> Result<Said, &'static str> {
    let value: Value = serde_json::from_slice(bytes).map_err(|_| "the answer is not JSON")?;
    let text = value.pointer("/choices/0/text").and_then(Value::as_str);
    let whole = text.ok_or("the answer has no choices[0].text")?;
    let line = whole.split('\n').next().unwrap_or_default();
    let confidence = value.pointer("/choices/0/logprobs").and_then(confidence);
    Ok(Said {
        text: line.to_owned(),
        // What a server writes behind the line counts in its probabilities.
        confidence: confidence.filter(|_| line.len() == whole.len()),
        features: None,
    })
}

/// The probability of all pieces, in the shape of OpenAI's completions or in that of its chat, which llama.cpp has here too.
fn confidence(logprobs: &Value) -> Option<f32> {
    let of_pieces: Option<Vec<f64>> = match (
        logprobs["token_logprobs"].as_array(),
        logprobs["content"].as_array(),
    ) {
        (Some(pieces), _) => pieces.iter().map(Value::as_f64).collect(),
        (None, Some(pieces)) => pieces
            .iter()
            .map(|piece| piece["logprob"].as_f64())
            .collect(),
        (None, None) => None,
    };
    let of_pieces = of_pieces.filter(|pieces| !pieces.is_empty())?;
    let confidence = of_pieces.iter().sum::<f64>().exp().min(1.0) as f32;
    confidence.is_finite().then_some(confidence)
}

/// The last characters of a text, from the start of a line on where there is one.
fn last_lines(text: &str, n_chars: usize) -> &str {
    let Some((start, first)) = text.char_indices().rev().nth(n_chars) else {
        return text;
    };
    let line_start = text[start..].find('\n').map(|end| start + end + 1);
    &text[line_start.unwrap_or(start + first.len_utf8())..]
}

/// The first characters of a text, to the end of a line where there is one.
fn first_lines(text: &str, n_chars: usize) -> &str {
    let Some((end, _)) = text.char_indices().nth(n_chars) else {
        return text;
    };
    let line_end = text[..end].rfind('\n').map(|last| last + 1);
    &text[..line_end.unwrap_or(end)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_told_from_models() {
        let check = |text: &str, expected: Option<(&str, &str)>| {
            let found = Address::parse(text).map(|it| (it.endpoint(), it.model));
            let found = found
                .as_ref()
                .map(|(url, model)| (url.as_str(), model.as_str()));
            assert_eq!(found, expected, "{text}");
        };
        let local = "http://127.0.0.1:8080/v1/completions";
        check("http://127.0.0.1:8080:m", Some((local, "m")));
        check("http://127.0.0.1:8080/:m", Some((local, "m")));
        check("http://127.0.0.1:8080/v1:m", Some((local, "m")));
        check(
            "http://127.0.0.1:8080/v1/:qwen2.5-coder:7b",
            Some((local, "qwen2.5-coder:7b")),
        );
        check(
            "https://host:Qwen/Qwen2.5-Coder-7B",
            Some(("https://host/v1/completions", "Qwen/Qwen2.5-Coder-7B")),
        );
        check(
            "https://host/a/b:7b",
            Some(("https://host/a/b/v1/completions", "7b")),
        );
        check(
            "http://[::1]:8080:m",
            Some(("http://[::1]:8080/v1/completions", "m")),
        );
        for wrong in [
            "",
            "host:m",
            "http://host",
            "http://host:8080",
            "http://host:8080/v1",
            "http://host:",
            "ftp://host:m",
            "http://user:geheim@host:m",
            "http://user:geheim@host:8080:m",
            "http://user@host:m",
        ] {
            check(wrong, None);
        }
    }

    #[test]
    fn probabilities_are_read_in_both_shapes_and_never_made_up() {
        let check = |logprobs: &str, expected: Option<f32>| {
            let answer = format!(r#"{{"choices": [{{"text": "Код", "logprobs": {logprobs}}}]}}"#);
            let found = said(answer.as_bytes()).unwrap().confidence;
            let is_same = match (found, expected) {
                (Some(a), Some(b)) => (a - b).abs() < 1e-6,
                (a, b) => a == b,
            };
            assert!(is_same, "{logprobs}: {found:?}");
        };
        let half = 0.5_f64.ln();
        check(
            &format!(r#"{{"token_logprobs": [{half}, {half}]}}"#),
            Some(0.25),
        );
        check(
            &format!(r#"{{"content": [{{"logprob": {half}}}]}}"#),
            Some(0.5),
        );
        check("null", None);
        check(r#"{"token_logprobs": []}"#, None);
        check(r#"{"token_logprobs": [null, -0.1]}"#, None);
        check(r#"{"content": [{"token": "Код"}]}"#, None);
    }

    #[test]
    fn an_answer_ends_with_its_line_and_says_what_it_lacks() {
        let answer = r#"{"choices": [{"text": "А;\nБ;", "logprobs": {"token_logprobs": [-0.1]}}]}"#;
        let found = said(answer.as_bytes()).unwrap();
        assert_eq!((found.text.as_str(), found.confidence), ("А;", None));
        assert_eq!(said(b"<html>"), Err("the answer is not JSON"));
        let wrong = said(br#"{"choices": []}"#);
        assert_eq!(wrong, Err("the answer has no choices[0].text"));
    }

    #[test]
    fn texts_are_cut_at_lines() {
        for (n_chars, expected) in [(20, "Ёж\nАб\nВг"), (5, "Аб\nВг"), (4, "Вг"), (1, "г")]
        {
            assert_eq!(last_lines("Ёж\nАб\nВг", n_chars), expected, "{n_chars}");
        }
        for (n_chars, expected) in [(20, "Ёж\nАб\nВг"), (6, "Ёж\nАб\n"), (4, "Ёж\n"), (1, "Ё")]
        {
            assert_eq!(first_lines("Ёж\nАб\nВг", n_chars), expected, "{n_chars}");
        }
    }
}
