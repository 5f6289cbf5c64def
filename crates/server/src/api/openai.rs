//! OpenAI's shapes: `/v1/completions`, `/v1/chat/completions`, `/v1/models`.

use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use nestor_assist::{Speed, StopRule};

use crate::api::fields::{alternatives, choices, max_tokens, sampling, stops};
use crate::api::logprobs::{chat_logprobs, logprobs};
use crate::api::run::{Answers, Order, Run};
use crate::api::sse::{self, Events};
use crate::api::{ApiError, ApiJson, ApiPath, App, Who, now};
use crate::keys::Right;
use crate::serving::{Asked, Grown};
use crate::wire::{
    ChatChoice, ChatMessage, ChatRequest, ChatResponse, ChatText, Choice, CompletionsRequest,
    CompletionsResponse, Extras, ModelShown, ModelsShown, SpeedName, Usage,
};

/// The path of a document whose path nobody tells: a module of no known kind.
pub const UNKNOWN_PATH: &str = "Module.bsl";

const SPEEDS: [Speed; 3] = [Speed::Fast, Speed::Balanced, Speed::Accurate];

/// The speed that a model's name says.
///
/// # Errors
/// 404 for a model that does not exist, as OpenAI answers.
pub fn speed_of_model(model: &str) -> Result<SpeedName, ApiError> {
    let found = model
        .strip_prefix("nestor-")
        .and_then(|name| SPEEDS.into_iter().find(|speed| speed.name() == name));
    found.map(SpeedName::from).ok_or_else(|| {
        let message = format!(
            "there is no model {model:?}; use nestor-fast, nestor-balanced or nestor-accurate"
        );
        ApiError::new(StatusCode::NOT_FOUND, "model_not_found", message).about("model")
    })
}

/// What a request of OpenAI's shapes says besides its text.
struct Common {
    id: String,
    created: u64,
    model: String,
    fingerprint: String,
    with_usage: bool,
}

impl Common {
    fn new(app: &App, prefix: &str, model: String, with_usage: bool) -> Self {
        Self {
            id: app.new_id(prefix),
            created: now(),
            model,
            fingerprint: app.serving.model().fingerprint.clone(),
            with_usage,
        }
    }

    fn usage(answers: &Answers) -> Usage {
        answers.made.iter().fold(Usage::default(), |usage, made| {
            usage.and(made.completion.n_context, made.completion.tokens.len())
        })
    }

    fn completions(&self, choices: Vec<Choice>, usage: Option<Usage>) -> CompletionsResponse {
        CompletionsResponse {
            id: self.id.clone(),
            object: "text_completion",
            created: self.created,
            model: self.model.clone(),
            system_fingerprint: self.fingerprint.clone(),
            choices,
            usage,
        }
    }

    fn chat(
        &self,
        object: &'static str,
        choices: Vec<ChatChoice>,
        usage: Option<Usage>,
    ) -> ChatResponse {
        ChatResponse {
            id: self.id.clone(),
            object,
            created: self.created,
            model: self.model.clone(),
            system_fingerprint: self.fingerprint.clone(),
            choices,
            usage,
        }
    }
}

fn order(asked: Vec<Asked>, extras: &Extras) -> Order {
    Order {
        asked,
        project: extras.project.clone(),
        document: None,
        is_ahead: false,
        deadline: extras.deadline_ms.map(Duration::from_millis),
    }
}

/// Completes text.
#[utoipa::path(post, path = "/v1/completions", tag = "OpenAI", request_body = CompletionsRequest,
    responses((status = 200, description = "The completion; with `stream` server-sent events of the same shape, ended by `data: [DONE]`", content((CompletionsResponse = "application/json"), (crate::wire::StreamEvent = "text/event-stream"))),
        (status = "4XX", body = crate::wire::ErrorShown), (status = "5XX", body = crate::wire::ErrorShown)))]
pub async fn completions(
    State(app): State<Arc<App>>,
    who: Who,
    ApiJson(request): ApiJson<CompletionsRequest>,
) -> Result<Response, ApiError> {
    who.need(Right::Complete, &app)?;
    let speed = speed_of_model(&request.model)?;
    let n = choices(&app, "n", request.n)?;
    if request.best_of.is_some_and(|best_of| best_of != n) {
        let message = "only as many answers as are returned are made; leave it out";
        return Err(ApiError::field("best_of", message));
    }
    let prompts = request.prompt.into_vec();
    choices(&app, "prompt", Some(prompts.len() * n))?;
    let max_tokens = max_tokens(&app, "max_tokens", request.max_tokens, 16)?;
    let stops = stops(request.stop)?;
    let with_logprobs = request.logprobs.is_some();
    let alternatives = alternatives("logprobs", request.logprobs)?;
    let extras = &request.extras;
    let mut asked = Vec::with_capacity(prompts.len() * n);
    for (prompt_idx, prompt) in prompts.iter().enumerate() {
        for choice_idx in 0..n {
            let suffix = request.suffix.as_deref().unwrap_or_default();
            asked.push(Asked {
                path: extras
                    .path
                    .clone()
                    .unwrap_or_else(|| UNKNOWN_PATH.to_owned()),
                text: format!("{prompt}{suffix}"),
                offset: prompt.len(),
                speed: extras.speed.unwrap_or(speed),
                max_tokens,
                rule: extras.stop_rule.map_or(StopRule::Text, StopRule::from),
                use_suffix: true,
                sampling: sampling(
                    request.temperature,
                    request.top_p,
                    request.seed,
                    prompt_idx * n + choice_idx,
                )?,
                stops: stops.clone(),
                write_for: None,
                alternatives: with_logprobs.then_some(alternatives),
            });
        }
    }
    let echo = request.echo.unwrap_or(false);
    let streams = request.stream.unwrap_or(false);
    let with_usage = request
        .stream_options
        .is_some_and(|options| options.include_usage.unwrap_or(false));
    let common = Common::new(&app, "cmpl", request.model, with_usage);
    app.know(&common.id, None);
    let run = Run::begin(&app, &who, order(asked, extras)).await?;
    let prompt_of = move |idx: usize| {
        if echo {
            prompts[idx / n].clone()
        } else {
            String::new()
        }
    };
    if streams {
        return Ok(sse::stream(run, CompletionsEvents { common }, prompt_of));
    }
    let answers = run.end().await?;
    let shown = answers.made.iter().enumerate();
    let shown = shown.map(|(index, made)| Choice {
        text: format!("{}{}", prompt_of(index), made.text),
        index,
        logprobs: with_logprobs.then(|| logprobs(&made.pieces())),
        finish_reason: Some(made.ended.finish_reason()),
        nestor: Some(answers.about(made)),
    });
    let usage = Common::usage(&answers);
    Ok(Json(common.completions(shown.collect(), Some(usage))).into_response())
}

struct CompletionsEvents {
    common: Common,
}

impl CompletionsEvents {
    fn event(&self, choice: Choice) -> String {
        sse::json(&self.common.completions(vec![choice], None))
    }
}

impl Events for CompletionsEvents {
    fn part(&mut self, index: usize, part: Grown) -> String {
        self.event(Choice {
            text: part.text,
            index,
            logprobs: (!part.pieces.is_empty()).then(|| logprobs(&part.pieces)),
            finish_reason: None,
            nestor: None,
        })
    }

    fn end(&mut self, answers: &Answers) -> Vec<String> {
        let mut events = Vec::new();
        for (index, made) in answers.made.iter().enumerate() {
            events.push(self.event(Choice {
                text: String::new(),
                index,
                logprobs: None,
                finish_reason: Some(made.ended.finish_reason()),
                nestor: Some(answers.about(made)),
            }));
        }
        if self.common.with_usage {
            let usage = Common::usage(answers);
            events.push(sse::json(&self.common.completions(Vec::new(), Some(usage))));
        }
        events.push(sse::DONE.to_owned());
        events
    }
}

/// Completes the code of a conversation, for clients that know nothing else.
#[utoipa::path(post, path = "/v1/chat/completions", tag = "OpenAI", request_body = ChatRequest,
    responses((status = 200, description = "The completion; with `stream` server-sent events, ended by `data: [DONE]`", content((ChatResponse = "application/json"), (crate::wire::StreamEvent = "text/event-stream"))),
        (status = "4XX", body = crate::wire::ErrorShown), (status = "5XX", body = crate::wire::ErrorShown)))]
pub async fn chat(
    State(app): State<Arc<App>>,
    who: Who,
    ApiJson(request): ApiJson<ChatRequest>,
) -> Result<Response, ApiError> {
    who.need(Right::Complete, &app)?;
    let speed = speed_of_model(&request.model)?;
    let n = choices(&app, "n", request.n)?;
    let (param, asked_tokens) = match request.max_completion_tokens {
        Some(asked) => ("max_completion_tokens", Some(asked)),
        None => ("max_tokens", request.max_tokens),
    };
    let max_tokens = max_tokens(&app, param, asked_tokens, 256)?;
    let stops = stops(request.stop)?;
    let with_logprobs = request.logprobs.unwrap_or(false);
    if request.top_logprobs.is_some_and(|n| n > 0) && !with_logprobs {
        let message = "set `logprobs` to true, or leave it out";
        return Err(ApiError::field("top_logprobs", message));
    }
    let alternatives = alternatives("top_logprobs", request.top_logprobs)?;
    let text = text_of(request.messages)?;
    let extras = &request.extras;
    let mut asked = Vec::with_capacity(n);
    for choice_idx in 0..n {
        asked.push(Asked {
            path: extras
                .path
                .clone()
                .unwrap_or_else(|| UNKNOWN_PATH.to_owned()),
            offset: text.len(),
            text: text.clone(),
            speed: extras.speed.unwrap_or(speed),
            max_tokens,
            rule: extras.stop_rule.map_or(StopRule::Block, StopRule::from),
            use_suffix: true,
            sampling: sampling(request.temperature, request.top_p, request.seed, choice_idx)?,
            stops: stops.clone(),
            write_for: None,
            alternatives: with_logprobs.then_some(alternatives),
        });
    }
    let with_usage = request
        .stream_options
        .is_some_and(|options| options.include_usage.unwrap_or(false));
    let common = Common::new(&app, "chatcmpl", request.model, with_usage);
    app.know(&common.id, None);
    let run = Run::begin(&app, &who, order(asked, extras)).await?;
    if request.stream.unwrap_or(false) {
        let shape = ChatEvents {
            common,
            begun: Vec::new(),
        };
        return Ok(sse::stream(run, shape, |_| String::new()));
    }
    let answers = run.end().await?;
    let shown = answers.made.iter().enumerate();
    let shown = shown.map(|(index, made)| ChatChoice {
        index,
        message: Some(ChatText {
            role: Some("assistant"),
            content: made.text.clone(),
        }),
        delta: None,
        logprobs: with_logprobs.then(|| chat_logprobs(&made.pieces())),
        finish_reason: Some(made.ended.finish_reason()),
        nestor: Some(answers.about(made)),
    });
    let usage = Common::usage(&answers);
    let response = common.chat("chat.completion", shown.collect(), Some(usage));
    Ok(Json(response).into_response())
}

struct ChatEvents {
    common: Common,
    /// Choices whose role was told.
    begun: Vec<usize>,
}

impl ChatEvents {
    fn event(&self, choice: ChatChoice) -> String {
        sse::json(
            &self
                .common
                .chat("chat.completion.chunk", vec![choice], None),
        )
    }

    fn choice(index: usize, role: Option<&'static str>, content: String) -> ChatChoice {
        ChatChoice {
            index,
            message: None,
            delta: Some(ChatText { role, content }),
            logprobs: None,
            finish_reason: None,
            nestor: None,
        }
    }
}

impl Events for ChatEvents {
    fn part(&mut self, index: usize, part: Grown) -> String {
        let mut role = None;
        if !self.begun.contains(&index) {
            self.begun.push(index);
            role = Some("assistant");
        }
        self.event(ChatChoice {
            logprobs: (!part.pieces.is_empty()).then(|| chat_logprobs(&part.pieces)),
            ..Self::choice(index, role, part.text)
        })
    }

    fn end(&mut self, answers: &Answers) -> Vec<String> {
        let mut events = Vec::new();
        for (index, made) in answers.made.iter().enumerate() {
            events.push(self.event(ChatChoice {
                finish_reason: Some(made.ended.finish_reason()),
                nestor: Some(answers.about(made)),
                ..Self::choice(index, None, String::new())
            }));
        }
        if self.common.with_usage {
            let usage = Some(Common::usage(answers));
            let last = self.common.chat("chat.completion.chunk", Vec::new(), usage);
            events.push(sse::json(&last));
        }
        events.push(sse::DONE.to_owned());
        events
    }
}

/// The code that a conversation asks to continue.
fn text_of(messages: Vec<ChatMessage>) -> Result<String, ApiError> {
    let mut user = None;
    let mut written = String::new();
    for (idx, message) in messages.into_iter().enumerate() {
        match message.role.as_str() {
            "user" => {
                user = Some(message.content.into_text());
                written.clear();
            }
            "assistant" => written = message.content.into_text(),
            "system" | "developer" | "tool" => {}
            other => {
                let message = format!("{other:?} is not system, user or assistant");
                return Err(ApiError::field(&format!("messages[{idx}].role"), message));
            }
        }
    }
    let Some(user) = user else {
        return Err(ApiError::field("messages", "none is the user's"));
    };
    Ok(format!("{}{written}", code_of(&user)))
}

/// The last code block of a message, or the message itself.
fn code_of(message: &str) -> &str {
    let mut found = None;
    let mut rest = message;
    while let Some(fence) = rest.find("```") {
        let after = &rest[fence + 3..];
        // What follows the fence on its line names the language.
        let Some(line_end) = after.find('\n') else {
            break;
        };
        let code = &after[line_end + 1..];
        match code.find("```") {
            Some(end) => {
                found = Some(code[..end].strip_suffix('\n').unwrap_or(&code[..end]));
                rest = &code[end + 3..];
            }
            None => {
                found = Some(code);
                break;
            }
        }
    }
    found.unwrap_or(message)
}

fn models_shown(app: &App) -> Vec<ModelShown> {
    let since = app.serving.model().since.duration_since(UNIX_EPOCH);
    let created = since.unwrap_or_default().as_secs();
    let shown = SPEEDS.into_iter().map(|speed| ModelShown {
        id: format!("nestor-{speed}"),
        object: "model",
        created,
        owned_by: "nestor",
    });
    shown.collect()
}

/// The models.
#[utoipa::path(get, path = "/v1/models", tag = "OpenAI", responses((status = 200, body = ModelsShown)))]
pub async fn models(State(app): State<Arc<App>>, _who: Who) -> Json<ModelsShown> {
    Json(ModelsShown {
        object: "list",
        data: models_shown(&app),
    })
}

/// One model.
#[utoipa::path(get, path = "/v1/models/{model}", tag = "OpenAI", params(("model" = String, Path)),
    responses((status = 200, body = ModelShown), (status = 404, body = crate::wire::ErrorShown)))]
pub async fn model(
    State(app): State<Arc<App>>,
    _who: Who,
    ApiPath(name): ApiPath<String>,
) -> Result<Json<ModelShown>, ApiError> {
    speed_of_model(&name)?;
    let shown = models_shown(&app)
        .into_iter()
        .find(|model| model.id == name);
    shown
        .map(Json)
        .ok_or_else(|| ApiError::internal("a speed without a model"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::ChatContent;

    fn message(role: &str, text: &str) -> ChatMessage {
        ChatMessage {
            role: role.to_owned(),
            content: ChatContent::Text(text.to_owned()),
        }
    }

    #[test]
    fn the_last_block_of_the_last_user_is_continued() {
        for (text, expected) in [
            ("Сообщить(", "Сообщить("),
            ("Допиши:\n```bsl\nА = 1;\n```\nспасибо", "А = 1;"),
            ("```\nА\n```\nи\n```1c\nБ = ", "Б = "),
            ("``` без строки", "``` без строки"),
        ] {
            assert_eq!(code_of(text), expected);
        }
        let text = text_of(vec![
            message("system", "Ты помощник"),
            message("user", "старое"),
            message("assistant", "ответ"),
            message("user", "А = "),
            message("assistant", "Новый "),
        ]);
        assert_eq!(text.unwrap(), "А = Новый ");
        assert!(text_of(vec![message("system", "х")]).is_err());
        assert!(text_of(vec![message("robot", "х")]).is_err());
    }

    #[test]
    fn unknown_models_are_refused_by_name() {
        assert_eq!(speed_of_model("nestor-fast").unwrap(), SpeedName::Fast);
        for wrong in ["gpt-4o", "nestor-", "fast", "nestor-auto"] {
            let error = speed_of_model(wrong).unwrap_err();
            assert_eq!(error.status, StatusCode::NOT_FOUND);
            assert!(error.body().error.message.contains("nestor-balanced"));
        }
    }
}
