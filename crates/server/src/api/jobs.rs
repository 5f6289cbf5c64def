//! Training runs and other jobs: start, watch, cancel.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use nestor_assist::ProjectName;
use serde::Deserialize;

use crate::api::projects::outside;
use crate::api::{ApiError, ApiJson, ApiPath, ApiQuery, App, Who};
use crate::jobs::{JobKind, NewJob};
use crate::keys::Right;
use crate::wire::{JobShown, TrainRequest};

/// How often a watched job is looked at.
const WATCH_EVERY: Duration = Duration::from_millis(500);

/// Trains a model as a job.
#[utoipa::path(post, path = "/v1/train", tag = "Jobs", request_body = TrainRequest,
    responses((status = 202, body = JobShown), (status = "4XX", body = crate::wire::ErrorShown)))]
pub async fn train(
    State(app): State<Arc<App>>,
    who: Who,
    ApiJson(request): ApiJson<TrainRequest>,
) -> Result<Response, ApiError> {
    who.need(Right::Train, &app)?;
    let config = app.config();
    let Some(runs) = &config.jobs.runs else {
        let message = "the configuration names no folder for trained models; set jobs.runs";
        return Err(ApiError::new(
            StatusCode::FORBIDDEN,
            "training_off",
            message,
        ));
    };
    if let Err(error) = request.name.parse::<ProjectName>() {
        return Err(ApiError::field("name", error));
    }
    let corpus = config
        .allowed_source(std::path::Path::new(&request.corpus))
        .ok_or_else(|| outside("corpus", &request.corpus))?;
    let levels = request.levels.unwrap_or(3);
    if !(1..=3).contains(&levels) {
        return Err(ApiError::field(
            "levels",
            format!("{levels} is not in 1..3"),
        ));
    }
    if request.epochs.is_none() && request.minutes.is_none() && request.max_tokens.is_none() {
        let message = "say how long to train: one of `epochs`, `minutes`, `max_tokens`";
        return Err(ApiError::field("epochs", message));
    }
    for (param, value) in [("epochs", request.epochs), ("minutes", request.minutes)] {
        if value.is_some_and(|value| !(value > 0.0 && value.is_finite())) {
            return Err(ApiError::field(param, "must be above 0"));
        }
    }
    let out = runs.join(&request.name);
    let mut arguments: Vec<std::ffi::OsString> = vec!["train".into(), "--json".into()];
    arguments.extend(["--corpus".into(), corpus.into_os_string()]);
    arguments.extend(["--out".into(), out.clone().into_os_string()]);
    let size = request.model.unwrap_or(crate::wire::SizeName::Nano);
    arguments.extend(["--model".into(), size.name().into()]);
    let mut number = |option: &str, value: Option<String>| {
        if let Some(value) = value {
            arguments.extend([option.into(), value.into()]);
        }
    };
    number("--levels", Some(levels.to_string()));
    number("--samples", request.samples.map(|n| n.to_string()));
    number("--epochs", request.epochs.map(|n| n.to_string()));
    number("--minutes", request.minutes.map(|n| n.to_string()));
    number("--max-tokens", request.max_tokens.map(|n| n.to_string()));
    number("--seq-len", request.seq_len.map(|n| n.to_string()));
    number("--batch", request.batch.map(|n| n.to_string()));
    if request.resume {
        arguments.push("--resume".into());
    }
    let job = app.start_job(NewJob {
        kind: JobKind::Train,
        name: request.name,
        arguments,
        record: Some(out.join("run.jsonl")),
        at_once: config.jobs.at_once,
    })?;
    Ok((StatusCode::ACCEPTED, Json(job)).into_response())
}

/// How a job is asked for.
#[derive(Clone, Copy, Debug, Deserialize)]
pub struct Watch {
    /// Tell every change as server-sent events until it ends.
    #[serde(default)]
    stream: bool,
}

fn right_of(job: &JobShown, who: &Who, app: &App) -> Result<(), ApiError> {
    if job.kind == JobKind::Train.name() {
        return who.need(Right::Train, app);
    }
    who.need(Right::Learn, app)?;
    who.need_project(&job.name, app)
}

fn find(app: &App, who: &Who, id: &str) -> Result<JobShown, ApiError> {
    let job = app.jobs.get(id).ok_or_else(|| {
        let message = format!("there is no job {id:?}; see GET /v1/jobs");
        ApiError::new(StatusCode::NOT_FOUND, "job_not_found", message)
    })?;
    right_of(&job, who, app)?;
    Ok(job)
}

/// How far a job is.
#[utoipa::path(get, path = "/v1/train/{id}", tag = "Jobs", params(("id" = String, Path), ("stream" = Option<bool>, Query, description = "Server-sent events until it ends")),
    responses((status = 200, description = "How far it is; with `stream` server-sent events of the same shape", content((JobShown = "application/json"), (crate::wire::StreamEvent = "text/event-stream"))), (status = "4XX", body = crate::wire::ErrorShown)))]
pub async fn get(
    State(app): State<Arc<App>>,
    who: Who,
    ApiPath(id): ApiPath<String>,
    ApiQuery(watch): ApiQuery<Watch>,
) -> Result<Response, ApiError> {
    let job = find(&app, &who, &id)?;
    if !watch.stream {
        return Ok(Json(job).into_response());
    }
    let states = stream::unfold(Some((app, id, None::<String>)), |watched| async move {
        let (app, id, mut told) = watched?;
        loop {
            let job = app.jobs.get(&id)?;
            let text = crate::api::sse::json(&job);
            let ended = job.state != "running";
            // The time runs on; what counts is whether anything else has changed.
            let compared = crate::api::sse::json(&JobShown {
                elapsed_s: 0.0,
                ..job
            });
            if told.as_ref() != Some(&compared) {
                told = Some(compared);
                let next = (!ended).then_some((app, id, told));
                return Some((Ok::<_, Infallible>(Event::default().data(text)), next));
            }
            tokio::time::sleep(WATCH_EVERY).await;
        }
    });
    Ok(Sse::new(states)
        .keep_alive(KeepAlive::default())
        .into_response())
}

/// Ends a job; what it has kept so far stays.
#[utoipa::path(delete, path = "/v1/train/{id}", tag = "Jobs", params(("id" = String, Path)),
    responses((status = 202, description = "It is ending"), (status = "4XX", body = crate::wire::ErrorShown)))]
pub async fn cancel(
    State(app): State<Arc<App>>,
    who: Who,
    ApiPath(id): ApiPath<String>,
) -> Result<StatusCode, ApiError> {
    find(&app, &who, &id)?;
    if app.jobs.cancel(&id) {
        return Ok(StatusCode::ACCEPTED);
    }
    find(&app, &who, &id).map(|_| StatusCode::ACCEPTED)
}

/// The jobs that the key may see, newest first.
#[utoipa::path(get, path = "/v1/jobs", tag = "Jobs", responses((status = 200, body = [JobShown]), (status = "4XX", body = crate::wire::ErrorShown)))]
pub async fn list(State(app): State<Arc<App>>, who: Who) -> Result<Json<Vec<JobShown>>, ApiError> {
    let mut jobs = app.jobs.all();
    jobs.retain(|job| match job.kind {
        "train" => who.allows(Right::Train),
        _ => who.allows(Right::Learn) && who.may_use(&job.name),
    });
    Ok(Json(jobs))
}
