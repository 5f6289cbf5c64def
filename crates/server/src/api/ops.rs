//! What operators and browsers ask: health, metrics, reloading, the OpenAPI document, the pages.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{Html, IntoResponse, Redirect, Response};
use serde_json::json;

use crate::api::{ApiError, App, Who, blocking};
use crate::keys::Right;

/// Whether the process lives.
#[utoipa::path(get, path = "/health/live", tag = "Operations", responses((status = 200, description = "It does")))]
pub async fn live() -> Json<serde_json::Value> {
    Json(json!({"status": "ok"}))
}

/// Whether it can complete now.
#[utoipa::path(get, path = "/health/ready", tag = "Operations", responses((status = 200, description = "It can"), (status = 503, description = "It is stopping, or projects to preload are not loaded")))]
pub async fn ready(State(app): State<Arc<App>>) -> Response {
    let waiting: Vec<String> = app
        .config()
        .defaults
        .preload
        .iter()
        .filter(|name| match app.serving.project(name) {
            Ok(_) => false,
            Err(problem) => matches!(problem, crate::serving::ProjectProblem::Loading),
        })
        .cloned()
        .collect();
    if app.is_stopping() || !waiting.is_empty() {
        let status = if app.is_stopping() {
            "stopping"
        } else {
            "loading"
        };
        let body = json!({"status": status, "projects_loading": waiting.len()});
        return (StatusCode::SERVICE_UNAVAILABLE, Json(body)).into_response();
    }
    Json(json!({"status": "ok"})).into_response()
}

/// Figures for Prometheus.
#[utoipa::path(get, path = "/metrics", tag = "Operations", responses((status = 200, description = "OpenMetrics text")))]
pub async fn metrics(State(app): State<Arc<App>>, who: Who) -> Result<Response, ApiError> {
    who.need(Right::Admin, &app)?;
    app.jobs.count();
    app.tell_queue();
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    let kind = HeaderValue::from_static(kind);
    Ok(([(header::CONTENT_TYPE, kind)], app.metrics.text()).into_response())
}

/// Reads configuration and keys again, and the model if it has changed.
#[utoipa::path(post, path = "/v1/admin/reload", tag = "Operations", responses((status = 200, description = "What was loaded anew"), (status = "4XX", body = crate::wire::ErrorShown)))]
pub async fn reload(
    State(app): State<Arc<App>>,
    who: Who,
) -> Result<Json<serde_json::Value>, ApiError> {
    who.need(Right::Admin, &app)?;
    blocking(move || {
        let model = app.reload().map_err(|error| {
            ApiError::new(StatusCode::CONFLICT, "reload_failed", error.to_string())
        })?;
        Ok(Json(json!({"config": true, "keys": true, "model": model})))
    })
    .await
}

/// The OpenAPI document.
#[utoipa::path(get, path = "/openapi.json", tag = "Operations", responses((status = 200, description = "This document")))]
pub async fn openapi() -> Response {
    let json = HeaderValue::from_static("application/json");
    ([(header::CONTENT_TYPE, json)], crate::openapi::document()).into_response()
}

/// A page that is part of the program, allowed to run its own script and to ask this server.
fn page(text: &'static str) -> Response {
    let policy = "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
    let policy = HeaderValue::from_static(policy);
    ([(header::CONTENT_SECURITY_POLICY, policy)], Html(text)).into_response()
}

fn file(kind: &'static str, text: &'static str) -> Response {
    let kind = HeaderValue::from_static(kind);
    ([(header::CONTENT_TYPE, kind)], text).into_response()
}

/// The first page.
pub async fn index() -> Redirect {
    Redirect::temporary("/playground")
}

/// An editor to try completions in.
pub async fn playground() -> Response {
    page(include_str!("../../pages/playground.html"))
}

/// Live figures.
pub async fn dashboard() -> Response {
    page(include_str!("../../pages/dashboard.html"))
}

/// The OpenAPI document to read.
pub async fn docs() -> Response {
    page(include_str!("../../pages/docs.html"))
}

/// What the pages share.
pub async fn style() -> Response {
    file(
        "text/css; charset=utf-8",
        include_str!("../../pages/style.css"),
    )
}

/// What the pages share.
pub async fn shared_script() -> Response {
    file(
        "text/javascript; charset=utf-8",
        include_str!("../../pages/shared.js"),
    )
}

/// The editor's script.
pub async fn playground_script() -> Response {
    file(
        "text/javascript; charset=utf-8",
        include_str!("../../pages/playground.js"),
    )
}

/// The figures' script.
pub async fn dashboard_script() -> Response {
    file(
        "text/javascript; charset=utf-8",
        include_str!("../../pages/dashboard.js"),
    )
}

/// The document's script.
pub async fn docs_script() -> Response {
    file(
        "text/javascript; charset=utf-8",
        include_str!("../../pages/docs.js"),
    )
}
