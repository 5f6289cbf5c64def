//! llama.cpp's shapes: `/infill`, `/health`, `/props`, so that its editor plug-ins work unchanged.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use nestor_assist::StopRule;
use serde_json::{Map, Value, json};

use crate::api::fields::{choices, max_tokens, sampling, stops};
use crate::api::openai::{UNKNOWN_PATH, speed_of_model};
use crate::api::run::{Answers, Order, Run};
use crate::api::sse::{self, Events};
use crate::api::{ApiError, ApiJson, App, Who};
use crate::keys::Right;
use crate::serving::{Asked, Ended, Grown, Made};
use crate::wire::{InfillRequest, InfillResponse, LlamaTimings, OneOrMany, SpeedName};
use nestor_assist::StopReason;

/// Bytes of other files that are taken: the newest chunks, which come last.
const MAX_EXTRA: usize = 64 << 10;

/// Fills in at the cursor.
#[utoipa::path(post, path = "/infill", tag = "llama.cpp", request_body = InfillRequest,
    responses((status = 200, description = "The text; with `n_cmpl` above 1 a list, with `stream` server-sent events", content((InfillResponse = "application/json"), (crate::wire::StreamEvent = "text/event-stream"))),
        (status = "4XX", body = crate::wire::ErrorShown), (status = "5XX", body = crate::wire::ErrorShown)))]
pub async fn infill(
    State(app): State<Arc<App>>,
    who: Who,
    ApiJson(request): ApiJson<InfillRequest>,
) -> Result<Response, ApiError> {
    who.need(Right::Complete, &app)?;
    let config = app.config();
    let speed = match (request.extras.speed, &request.model) {
        (Some(speed), _) => speed,
        // Plug-ins send the name of the model that they believe to be loaded.
        (None, Some(model)) => speed_of_model(model).unwrap_or(config.defaults.speed),
        (None, None) => config.defaults.speed,
    };
    let n = choices(&app, "n_cmpl", request.n_cmpl)?;
    let n_predict = request.n_predict.unwrap_or(-1);
    let asked_tokens = usize::try_from(n_predict).ok();
    let most = config.limits.max_tokens;
    let max_tokens = max_tokens(&app, "n_predict", asked_tokens, most)?;
    let stops = stops(Some(OneOrMany::Many(request.stop)))?;
    let seed = request.seed.and_then(|seed| u64::try_from(seed).ok());
    let mut before = String::new();
    for extra in newest(&request.input_extra) {
        before.push_str(extra);
        if !extra.ends_with('\n') {
            before.push('\n');
        }
    }
    before.push_str(&request.input_prefix);
    before.push_str(&request.prompt);
    let path = request.extras.path.clone();
    let mut asked = Vec::with_capacity(n);
    for choice_idx in 0..n {
        asked.push(Asked {
            path: path.clone().unwrap_or_else(|| UNKNOWN_PATH.to_owned()),
            text: format!("{before}{}", request.input_suffix),
            offset: before.len(),
            speed,
            max_tokens,
            rule: request
                .extras
                .stop_rule
                .map_or(config.stop_rule(), StopRule::from),
            use_suffix: true,
            sampling: sampling(request.temperature, request.top_p, seed, choice_idx)?,
            stops: stops.clone(),
            write_for: request
                .t_max_predict_ms
                .filter(|ms| *ms > 0)
                .map(Duration::from_millis),
            alternatives: None,
        });
    }
    let shape = Shape {
        id: app.new_id("infill"),
        fields: request.response_fields,
        speed,
    };
    if max_tokens == 0 {
        // Plug-ins ask for nothing to make a server read ahead. Nestor keeps nothing between requests of this shape.
        let nothing = shape.response(0, &Made::nothing(), &Answers::nothing());
        return Ok(Json(shape.only_fields(&nothing)).into_response());
    }
    app.know(&shape.id, None);
    let order = Order {
        asked,
        project: request.extras.project.clone(),
        document: None,
        is_ahead: false,
        deadline: request.extras.deadline_ms.map(Duration::from_millis),
    };
    let run = Run::begin(&app, &who, order).await?;
    if request.stream {
        return Ok(sse::stream(run, shape, |_| String::new()));
    }
    let answers = run.end().await?;
    let shown = answers.made.iter().enumerate();
    let mut shown: Vec<Value> = shown
        .map(|(index, made)| shape.only_fields(&shape.response(index, made, &answers)))
        .collect();
    if n > 1 {
        return Ok(Json(shown).into_response());
    }
    Ok(Json(shown.remove(0)).into_response())
}

/// The newest chunks that fit, in their order.
fn newest(extra: &[crate::wire::InfillExtra]) -> impl Iterator<Item = &str> {
    let mut left = MAX_EXTRA;
    let fitting = extra.iter().rev().take_while(|one| {
        let fits = one.text.len() <= left;
        left = left.saturating_sub(one.text.len());
        fits
    });
    let skip = extra.len() - fitting.count();
    extra[skip..].iter().map(|one| one.text.as_str())
}

struct Shape {
    id: String,
    fields: Option<Vec<String>>,
    speed: SpeedName,
}

impl Shape {
    fn response(&self, index: usize, made: &Made, answers: &Answers) -> InfillResponse {
        let timings = &made.completion.timings;
        let (read, written) = (made.completion.n_context, made.completion.tokens.len());
        let ms = |time: Duration| time.as_secs_f64() * 1e3;
        let prompt_ms = ms(timings.prepare + timings.prefill);
        let predicted_ms = ms(timings.decode);
        InfillResponse {
            content: made.text.clone(),
            index,
            stop: true,
            model: format!("nestor-{}", made.speed),
            tokens_predicted: written,
            tokens_evaluated: read,
            tokens_cached: 0,
            truncated: false,
            stop_type: match &made.ended {
                Ended::StopText(_) => "word",
                Ended::Deadline | Ended::Assistant(StopReason::MaxTokens) => "limit",
                Ended::Assistant(StopReason::Cancelled) => "none",
                Ended::Assistant(_) => "eos",
            },
            stopping_word: match &made.ended {
                Ended::StopText(word) => word.clone(),
                _ => String::new(),
            },
            timings: LlamaTimings {
                prompt_n: read,
                prompt_ms,
                prompt_per_token_ms: prompt_ms / read.max(1) as f64,
                prompt_per_second: read as f64 / prompt_ms.max(1e-3) * 1e3,
                predicted_n: written,
                predicted_ms,
                predicted_per_token_ms: predicted_ms / written.max(1) as f64,
                predicted_per_second: written as f64 / predicted_ms.max(1e-3) * 1e3,
            },
            id: self.id.clone(),
            nestor: answers.about(made),
        }
    }

    /// The fields that were asked for, under the names that they were asked by.
    fn only_fields(&self, response: &InfillResponse) -> Value {
        let whole = serde_json::to_value(response).expect("our own types are JSON");
        let Some(fields) = &self.fields else {
            return whole;
        };
        let mut only = Map::new();
        for field in fields {
            let pointer = format!("/{field}");
            if let Some(value) = whole.pointer(&pointer).filter(|_| !field.is_empty()) {
                only.insert(field.clone(), value.clone());
            }
        }
        Value::Object(only)
    }
}

impl Events for Shape {
    fn part(&mut self, index: usize, part: Grown) -> String {
        let model = self
            .speed
            .fixed()
            .map_or("nestor".to_owned(), |speed| format!("nestor-{speed}"));
        sse::json(&json!({
            "content": part.text, "index": index, "stop": false, "model": model, "id": self.id,
        }))
    }

    fn end(&mut self, answers: &Answers) -> Vec<String> {
        let ends = answers.made.iter().enumerate();
        ends.map(|(index, made)| {
            let mut response = self.response(index, made, answers);
            // The text was told in parts.
            response.content.clear();
            sse::json(&self.only_fields(&response))
        })
        .collect()
    }
}

/// Whether the server answers, as llama.cpp says it.
#[utoipa::path(get, path = "/health", tag = "llama.cpp", responses((status = 200, description = "`{\"status\":\"ok\"}`"), (status = 503, description = "The server is stopping")))]
pub async fn health(State(app): State<Arc<App>>) -> Response {
    if app.is_stopping() {
        let body =
            json!({"error": {"code": 503, "message": "Stopping", "type": "unavailable_error"}});
        return (axum::http::StatusCode::SERVICE_UNAVAILABLE, Json(body)).into_response();
    }
    Json(json!({"status": "ok"})).into_response()
}

/// What plug-ins ask a llama.cpp server about itself.
#[utoipa::path(get, path = "/props", tag = "llama.cpp", responses((status = 200, description = "Sizes of the server")))]
pub async fn props(State(app): State<Arc<App>>, _who: Who) -> Json<Value> {
    let n_ctx = nestor_assist::document::MAX_CONTEXT;
    Json(json!({
        "default_generation_settings": {"n_ctx": n_ctx},
        "total_slots": app.scheduler.n_workers(),
        "model_alias": "nestor",
        "build_info": app.serving.model().fingerprint,
    }))
}
