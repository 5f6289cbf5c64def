//! Completions as server-sent events: each part of the text as soon as it is certain.
//!
//! The stream owns the completion: a client that goes away drops the stream, and with it the completion stops within a piece.

use std::convert::Infallible;

use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use serde::Serialize;

use crate::api::run::{Answers, Run};
use crate::serving::Grown;

/// The event that ends a stream of OpenAI's shapes.
pub const DONE: &str = "[DONE]";

/// How a shape tells a completion as events.
pub trait Events: Send + 'static {
    /// The event of a part of a choice's text.
    fn part(&mut self, index: usize, part: Grown) -> String;
    /// The last events.
    fn end(&mut self, answers: &Answers) -> Vec<String>;
}

/// JSON of something that we made ourselves.
#[must_use]
pub fn json(value: &impl Serialize) -> String {
    serde_json::to_string(value).expect("our own types are JSON")
}

struct State<E> {
    run: Option<Run>,
    events: E,
    /// Events that are made and not sent.
    ready: std::collections::VecDeque<String>,
    /// What is told before a choice's text.
    prompts: Box<dyn Fn(usize) -> String + Send>,
    begun: Vec<usize>,
}

/// A response that tells a run as events.
pub fn stream<E: Events>(
    run: Run,
    events: E,
    prompts: impl Fn(usize) -> String + Send + 'static,
) -> Response {
    let state = State {
        run: Some(run),
        events,
        ready: std::collections::VecDeque::new(),
        prompts: Box::new(prompts),
        begun: Vec::new(),
    };
    let parts = stream::unfold(state, |mut state| async move {
        let text = state.next().await?;
        Some((Ok::<_, Infallible>(Event::default().data(text)), state))
    });
    Sse::new(parts)
        .keep_alive(KeepAlive::default())
        .into_response()
}

impl<E: Events> State<E> {
    /// Tells what stands before a choice's text, once.
    fn begin(&mut self, index: usize) {
        if self.begun.contains(&index) {
            return;
        }
        self.begun.push(index);
        let prompt = (self.prompts)(index);
        if !prompt.is_empty() {
            let event = self.events.part(index, Grown::from(prompt.as_str()));
            self.ready.push_back(event);
        }
    }

    async fn next(&mut self) -> Option<String> {
        loop {
            if let Some(event) = self.ready.pop_front() {
                return Some(event);
            }
            let run = self.run.as_mut()?;
            match run.next_part().await {
                Some((index, part)) => {
                    self.begin(index);
                    let event = self.events.part(index, part);
                    self.ready.push_back(event);
                }
                None => {
                    let run = self.run.take()?;
                    match run.end().await {
                        Ok(answers) => {
                            // A choice without a text has its prompt, too.
                            (0..answers.made.len()).for_each(|index| self.begin(index));
                            self.ready.extend(self.events.end(&answers));
                        }
                        // The status has been sent: the error comes as the last event.
                        Err(error) => self.ready.push_back(json(&error.body())),
                    }
                }
            }
        }
    }
}
