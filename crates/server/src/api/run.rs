//! From a request's settings to completions: limits, project, turn, and what is told of them.
//!
//! The shapes of OpenAI, llama.cpp and editors are different clothes of the same work, which is here.

use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::http::StatusCode;
use nestor_assist::{Assistant, Sampling};
use tokio::sync::mpsc;

use crate::api::{ApiError, App, Who};
use crate::metrics::{Completed, Outcome};
use crate::scheduler::{Done, Pending, Refused, Ticket};
use crate::serving::{Asked, Ended, Made, ProjectLoaded};
use crate::wire::{
    About, ChatAlternative, ChatLogprob, ChatLogprobs, Logprobs, Share, SpeedName, TimingsShown,
    TokenShown,
};

/// Completions that a request asks for.
pub struct Order {
    /// They, one a choice.
    pub asked: Vec<Asked>,
    /// The project that counts.
    pub project: Option<String>,
    /// The document, for which the newest request wins.
    pub document: Option<String>,
    /// Whether the documents are only read, for requests that may follow.
    pub is_ahead: bool,
    /// Time in which the answer is wanted.
    pub deadline: Option<Duration>,
}

/// Completions under way.
pub struct Run {
    app: Arc<App>,
    pending: Option<Pending<Result<Vec<Made>, ApiError>>>,
    /// Parts of the text as they become certain: the choice and the part.
    parts: mpsc::UnboundedReceiver<(usize, String)>,
    speed: &'static str,
    is_ahead: bool,
    project: Option<String>,
    started: Instant,
}

/// Completions that were made.
pub struct Answers {
    /// They, one a choice.
    pub made: Vec<Made>,
    /// Time in the queue.
    pub waited: Duration,
    /// From the request to now.
    pub total: Duration,
    /// The project that counted.
    pub project: Option<String>,
}

/// The word of a speed as asked for.
fn asked_name(speed: SpeedName) -> &'static str {
    speed.fixed().map_or("auto", nestor_assist::Speed::name)
}

impl Run {
    /// Checks an order and puts it into the queue.
    ///
    /// # Errors
    /// What is wrong with it, or that there is no place.
    pub async fn begin(app: &Arc<App>, who: &Who, order: Order) -> Result<Self, ApiError> {
        let started = Instant::now();
        let config = app.config();
        for asked in &order.asked {
            if asked.text.len() > config.limits.text_bytes {
                let message = format!(
                    "the text has {} bytes, at most {} are read; send the part around the cursor",
                    asked.text.len(),
                    config.limits.text_bytes
                );
                let status = StatusCode::BAD_REQUEST;
                return Err(ApiError::new(status, "context_length_exceeded", message));
            }
            asked
                .sampling
                .validate()
                .map_err(nestor_assist::AssistError::from)?;
        }
        let most = Duration::from_millis(config.scheduler.deadline_ms);
        let time = order.deadline.unwrap_or(most);
        if time.is_zero() {
            return Err(ApiError::field("deadline_ms", "must be above 0"));
        }
        let deadline = started + time.min(Duration::from_secs(600));
        let name = order.project.or_else(|| config.defaults.project.clone());
        let project = match &name {
            Some(name) => {
                who.need_project(name, app)?;
                Some(app.serving.project_within(name, time).await?)
            }
            None => None,
        };
        let assistant = match &project {
            Some(project) => Arc::clone(&project.assistant),
            None => Arc::clone(&app.serving.model().assistant),
        };
        let speed = order.asked.first().map_or("auto", |a| asked_name(a.speed));
        let owner = format!("{}\0{}", who.name(), name.as_deref().unwrap_or(""));
        let ticket = Ticket {
            key: who.name().to_owned(),
            document: order
                .document
                .map(|document| format!("{owner}\0{document}")),
            deadline,
            is_ahead: order.is_ahead,
        };
        let is_ahead = order.is_ahead;
        let (send, parts) = mpsc::unbounded_channel();
        let asked = in_project(order.asked, project.as_ref());
        let serving = Arc::clone(&app.serving);
        let work = move |caller: &crate::scheduler::Caller| {
            if is_ahead {
                read(&serving, &assistant, &asked, caller, &owner)
            } else {
                make(&serving, &assistant, &asked, caller, &owner, &send)
            }
        };
        let pending = app.scheduler.submit(ticket, work);
        let pending = pending.inspect_err(|refused| {
            if !is_ahead {
                app.metrics.outcome(speed, outcome_of(*refused));
            }
        })?;
        Ok(Self {
            app: Arc::clone(app),
            pending: Some(pending),
            parts,
            speed,
            is_ahead,
            project: name,
            started,
        })
    }

    /// The next part of a text that is certain; `None` when the completions are made.
    pub async fn next_part(&mut self) -> Option<(usize, String)> {
        self.parts.recv().await
    }

    /// Waits for the completions.
    ///
    /// # Errors
    /// Why there are none.
    pub async fn end(mut self) -> Result<Answers, ApiError> {
        let Some(pending) = self.pending.take() else {
            return Err(ApiError::internal("the completions were taken before"));
        };
        // A caller that goes away here drops this future; the guard then still counts it.
        let guard = CancelCount {
            app: Arc::clone(&self.app),
            speed: self.speed,
            armed: !self.is_ahead,
        };
        let done = pending.wait().await;
        guard.disarm();
        let count = |outcome| {
            if !self.is_ahead {
                self.app.metrics.outcome(self.speed, outcome);
            }
        };
        let Done { waited, value } = done.inspect_err(|refused| count(outcome_of(*refused)))?;
        let made = value.inspect_err(|_| count(Outcome::Failed))?;
        let answers = Answers {
            made,
            waited,
            total: self.started.elapsed(),
            project: self.project.clone(),
        };
        if !self.is_ahead {
            answers.count(&self.app);
        }
        Ok(answers)
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        if self.pending.is_some() && !self.is_ahead {
            self.app.metrics.outcome(self.speed, Outcome::Cancelled);
        }
    }
}

/// Counts a completion as cancelled when it is dropped while it waits.
struct CancelCount {
    app: Arc<App>,
    speed: &'static str,
    armed: bool,
}

impl CancelCount {
    fn disarm(mut self) {
        self.armed = false;
    }
}

impl Drop for CancelCount {
    fn drop(&mut self) {
        if self.armed {
            self.app.metrics.outcome(self.speed, Outcome::Cancelled);
        }
    }
}

fn outcome_of(refused: Refused) -> Outcome {
    match refused {
        Refused::Full { .. } | Refused::Stopping => Outcome::Rejected,
        Refused::TooLate { .. } => Outcome::Late,
        Refused::Superseded => Outcome::Superseded,
        Refused::Broken => Outcome::Failed,
    }
}

/// The documents under their paths in the project.
fn in_project(mut asked: Vec<Asked>, project: Option<&ProjectLoaded>) -> Vec<Asked> {
    if let Some(project) = project {
        for one in &mut asked {
            one.path = project.path_of(&one.path);
        }
    }
    asked
}

/// The work of a run, on a worker's thread.
fn make(
    serving: &crate::serving::Serving,
    assistant: &Assistant,
    asked: &[Asked],
    caller: &crate::scheduler::Caller,
    owner: &str,
    send: &mpsc::UnboundedSender<(usize, String)>,
) -> Result<Vec<Made>, ApiError> {
    let mut made = Vec::with_capacity(asked.len());
    for (idx, asked) in asked.iter().enumerate() {
        // Nobody reads the parts of an answer that is not streamed.
        let mut grown = |part: &str| drop(send.send((idx, part.to_owned())));
        let one = serving.complete(assistant, asked, caller, owner, &mut grown)?;
        made.push(one);
    }
    Ok(made)
}

/// Reads documents and writes nothing.
fn read(
    serving: &crate::serving::Serving,
    assistant: &Assistant,
    asked: &[Asked],
    caller: &crate::scheduler::Caller,
    owner: &str,
) -> Result<Vec<Made>, ApiError> {
    let mut made = Vec::with_capacity(asked.len());
    for asked in asked {
        let is_whole = serving.read_ahead(assistant, asked, caller, owner)?;
        let mut one = Made::nothing();
        if !is_whole {
            one.ended = Ended::Assistant(nestor_assist::StopReason::Cancelled);
        }
        made.push(one);
    }
    Ok(made)
}

impl Answers {
    /// Nothing was asked for.
    #[must_use]
    pub fn nothing() -> Self {
        Self {
            made: Vec::new(),
            waited: Duration::ZERO,
            total: Duration::ZERO,
            project: None,
        }
    }

    fn count(&self, app: &App) {
        for made in &self.made {
            let completion = &made.completion;
            let parts: Vec<(String, f32)> = completion
                .contributions
                .iter()
                .map(|part| (part.part.clone(), part.share))
                .collect();
            app.metrics.completed(&Completed {
                speed: made.speed.name(),
                outcome: if made.text.is_empty() {
                    Outcome::Empty
                } else {
                    Outcome::Answered
                },
                total: self.total,
                waited: self.waited,
                prefill: completion.timings.prefill,
                decode: completion.timings.decode,
                context: completion.n_context,
                written: completion.tokens.len(),
                confidence: completion.confidence,
                parts: &parts,
            });
        }
    }

    /// How one of them came about.
    #[must_use]
    pub fn about(&self, made: &Made) -> About {
        let ms = |time: Duration| time.as_secs_f64() * 1e3;
        let timings = &made.completion.timings;
        About {
            speed: made.speed.into(),
            confidence: made.completion.confidence,
            contributions: made
                .completion
                .contributions
                .iter()
                .map(|part| Share {
                    part: part.part.clone(),
                    share: part.share,
                })
                .collect(),
            stop: made.ended.name(),
            project: self.project.clone(),
            timings: TimingsShown {
                queue_ms: ms(self.waited),
                prepare_ms: ms(timings.prepare),
                prefill_ms: ms(timings.prefill),
                decode_ms: ms(timings.decode),
                total_ms: ms(self.total),
            },
        }
    }
}

/// The pieces of a completion with their probabilities.
#[must_use]
pub fn tokens_shown(made: &Made) -> Vec<TokenShown> {
    let tokens = made.completion.tokens.iter();
    tokens
        .map(|token| TokenShown {
            text: token.text.clone(),
            probability: token.probability,
        })
        .collect()
}

/// The parts of the answer's text that its pieces write, one a piece. What the first ones write again of a typed word is in none of
/// them, and a piece that a stop text has cut or taken away is as short as it was left.
#[must_use]
pub fn parts_of_text(made: &Made) -> Vec<&str> {
    let mut rest = made.text.as_str();
    // Bytes as the model wrote them: with `\n` where the document has `\r\n`.
    let mut left = 0i64 - made.completion.n_healed as i64;
    let tokens = &made.completion.tokens;
    let last = tokens.len().saturating_sub(1);
    let mut parts = Vec::with_capacity(tokens.len());
    for (idx, token) in tokens.iter().enumerate() {
        left += token.bytes.len() as i64;
        let mut end = 0;
        for (at, c) in rest.char_indices() {
            let is_added = c == '\r' && rest[at + 1..].starts_with('\n');
            let size = if is_added { 0 } else { c.len_utf8() as i64 };
            if idx < last && left < size.max(1) {
                break;
            }
            left -= size;
            end = at + c.len_utf8();
        }
        let (part, behind) = rest.split_at(end);
        parts.push(part);
        rest = behind;
    }
    parts
}

fn logprob(probability: f32) -> f32 {
    probability.max(f32::MIN_POSITIVE).ln()
}

/// The text in parts, each with the pieces that write it; the last also with those that a stop text has cut away.
#[must_use]
pub fn parts_with_pieces(made: &Made) -> Vec<(Range<usize>, String)> {
    let parts = parts_of_text(made);
    let n_pieces = parts.len();
    let mut first = 0;
    let mut told: Vec<(Range<usize>, String)> = Vec::new();
    for (idx, part) in parts.into_iter().enumerate() {
        if !part.is_empty() {
            told.push((first..idx + 1, part.to_owned()));
            first = idx + 1;
        }
    }
    if let Some((range, _)) = told.last_mut() {
        range.end = n_pieces;
    }
    told
}

/// Some pieces of the answer in OpenAI's older shape.
#[must_use]
pub fn logprobs(made: &Made, range: Range<usize>) -> Logprobs {
    let parts = parts_of_text(made);
    let mut shown = Logprobs::default();
    for idx in range {
        let token = &made.completion.tokens[idx];
        let taken = (token.text.clone(), logprob(token.probability));
        let others = token.alternatives.iter();
        let others = others.map(|other| (other.text.clone(), logprob(other.probability)));
        let before = parts[..idx].iter().map(|part| part.chars().count());
        shown.text_offset.push(before.sum());
        shown.tokens.push(taken.0.clone());
        shown.token_logprobs.push(taken.1);
        // As at OpenAI the piece taken is listed even where it is none of the most probable.
        shown.top_logprobs.push(others.chain([taken]).collect());
    }
    shown
}

/// Some pieces of the answer in the shape of OpenAI's chat.
#[must_use]
pub fn chat_logprobs(made: &Made, range: Range<usize>) -> ChatLogprobs {
    let content = made.completion.tokens[range].iter();
    let content = content.map(|token| ChatLogprob {
        token: token.text.clone(),
        logprob: logprob(token.probability),
        bytes: token.bytes.clone(),
        top_logprobs: token
            .alternatives
            .iter()
            .map(|other| ChatAlternative {
                token: other.text.clone(),
                logprob: logprob(other.probability),
                bytes: other.bytes.clone(),
            })
            .collect(),
    });
    ChatLogprobs {
        content: content.collect(),
    }
}

/// Pieces that may be listed beside each one written.
const MAX_ALTERNATIVES: u32 = 20;

/// Checks how many pieces are to be listed.
///
/// # Errors
/// For more than 20.
pub fn alternatives(param: &str, asked: Option<u32>) -> Result<usize, ApiError> {
    let n = asked.unwrap_or(0);
    if n > MAX_ALTERNATIVES {
        let message = format!("{n} is more than {MAX_ALTERNATIVES}");
        return Err(ApiError::field(param, message));
    }
    Ok(n as usize)
}

/// How pieces are picked for one of several answers.
///
/// # Errors
/// For a temperature or share that makes no sense.
pub fn sampling(
    temperature: Option<f32>,
    top_p: Option<f32>,
    seed: Option<u64>,
    choice_idx: usize,
) -> Result<Sampling, ApiError> {
    let temperature = temperature.unwrap_or(0.0);
    if !(0.0..=2.0).contains(&temperature) {
        let message = format!("{temperature} is not in 0..2");
        return Err(ApiError::field("temperature", message));
    }
    let top_p = top_p.unwrap_or(1.0);
    if !(0.0..=1.0).contains(&top_p) {
        return Err(ApiError::field("top_p", format!("{top_p} is not in 0..1")));
    }
    // Sharpened beyond this, the most probable piece is taken anyway.
    if temperature < 0.01 || top_p == 0.0 {
        return Ok(Sampling::Greedy);
    }
    let seed = match seed {
        Some(seed) => seed,
        None => {
            let mut random = [0; 8];
            getrandom::fill(&mut random)
                .map_err(|error| ApiError::internal(format!("no randomness: {error}")))?;
            u64::from_le_bytes(random)
        }
    };
    Ok(Sampling::Random {
        temperature,
        top_p,
        seed: seed.wrapping_add(choice_idx as u64),
    })
}

/// Pieces to write at most, within the server's limit.
///
/// # Errors
/// For more than that.
pub fn max_tokens(
    app: &App,
    param: &str,
    asked: Option<usize>,
    default: usize,
) -> Result<usize, ApiError> {
    let most = app.config().limits.max_tokens;
    match asked {
        None => Ok(default.min(most)),
        Some(asked) if asked <= most => Ok(asked),
        Some(asked) => {
            let message = format!("{asked} is more than the server writes, {most}");
            Err(ApiError::field(param, message))
        }
    }
}

/// Answers to one request, within the server's limit.
///
/// # Errors
/// For none or more than that.
pub fn choices(app: &App, param: &str, asked: Option<usize>) -> Result<usize, ApiError> {
    let most = app.config().limits.choices;
    let n = asked.unwrap_or(1);
    if (1..=most).contains(&n) {
        return Ok(n);
    }
    Err(ApiError::field(param, format!("{n} is not in 1..{most}")))
}

/// Texts that end an answer.
///
/// # Errors
/// For more than 16, or one that is empty.
pub fn stops(stop: Option<crate::wire::OneOrMany>) -> Result<Vec<String>, ApiError> {
    let stops = stop
        .map(crate::wire::OneOrMany::into_vec)
        .unwrap_or_default();
    if stops.len() > 16 {
        let message = format!("{} texts are too many; name at most 16", stops.len());
        return Err(ApiError::field("stop", message));
    }
    if stops.iter().any(String::is_empty) {
        return Err(ApiError::field("stop", "an empty text ends nothing"));
    }
    Ok(stops)
}

#[cfg(test)]
mod tests {
    use super::*;
    use nestor_assist::complete::CompletionToken;

    fn made(pieces: &[&[u8]], n_healed: usize, text: &str) -> Made {
        let mut made = Made::nothing();
        made.text = text.to_owned();
        made.completion.n_healed = n_healed;
        made.completion.tokens = pieces
            .iter()
            .map(|bytes| CompletionToken {
                id: 0,
                text: String::from_utf8_lossy(bytes).into_owned(),
                bytes: bytes.to_vec(),
                probability: 0.5,
                alternatives: Vec::new(),
            })
            .collect();
        made
    }

    #[test]
    fn pieces_write_the_text_each_its_part() {
        let yo = "Ё".as_bytes();
        for (pieces, n_healed, text, expected) in [
            (
                &["А".as_bytes(), b" = 1;"][..],
                0,
                "А = 1;",
                &["А", " = 1;"][..],
            ),
            // The word was typed in part, and in part by a piece of its own.
            (
                &["Вы".as_bytes(), "брать".as_bytes(), b"()"],
                6,
                "рать()",
                &["", "рать", "()"],
            ),
            // A character in two pieces belongs to the one that ends it.
            (&[&yo[..1], &yo[1..], b";"], 0, "Ё;", &["", "Ё", ";"]),
            // Line ends are the document's.
            (&[b"a;\n", b"\tb;"], 0, "a;\r\n\tb;", &["a;\r\n", "\tb;"]),
            // A stop text has cut the second piece and taken the third.
            (&[b"a", b" = b", b";"], 0, "a =", &["a", " =", ""]),
        ] {
            let made = made(pieces, n_healed, text);
            assert_eq!(parts_of_text(&made), expected);
            let told = parts_with_pieces(&made);
            let whole: String = told.iter().map(|one| one.1.as_str()).collect();
            assert_eq!(whole, text);
            let ranges = told.into_iter().flat_map(|one| one.0);
            assert!(ranges.eq(0..pieces.len()));
            assert_eq!(logprobs(&made, 0..pieces.len()).tokens.len(), pieces.len());
        }
    }
}
