//! From a request's settings to completions: size, project, turn, and what is told of them.
//!
//! The shapes of OpenAI, llama.cpp and editors are different clothes of the same work, which is here.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::http::StatusCode;
use nestor_assist::Assistant;
use tokio::sync::mpsc;

use crate::api::{ApiError, App, Who};
use crate::metrics::{Completed, Outcome};
use crate::scheduler::{Done, Pending, Refused, Ticket};
use crate::serving::{Asked, Ended, Grown, Made, ProjectLoaded};
use crate::wire::{About, Share, SpeedName, TimingsShown, TokenShown};

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
    parts: mpsc::UnboundedReceiver<(usize, Grown)>,
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
        app.work.begins();
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
    pub async fn next_part(&mut self) -> Option<(usize, Grown)> {
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
    send: &mpsc::UnboundedSender<(usize, Grown)>,
) -> Result<Vec<Made>, ApiError> {
    let mut made = Vec::with_capacity(asked.len());
    for (idx, asked) in asked.iter().enumerate() {
        // Nobody reads the parts of an answer that is not streamed.
        let mut grown = |part: Grown| drop(send.send((idx, part)));
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
