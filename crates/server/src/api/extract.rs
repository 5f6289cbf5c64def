//! What handlers take out of a request: its JSON, and who asks.

use std::sync::Arc;
use std::time::Duration;

use axum::body::to_bytes;
use axum::extract::{FromRequest, FromRequestParts, Path, Query, Request};
use axum::http::request::Parts;
use axum::http::{StatusCode, header};
use serde::de::DeserializeOwned;

use crate::api::{ApiError, App};
use crate::keys::{Key, Right};

/// The body of a request as JSON, within the server's limits of size and time.
#[derive(Clone, Debug)]
pub struct ApiJson<T>(pub T);

impl<T: DeserializeOwned> FromRequest<Arc<App>> for ApiJson<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, app: &Arc<App>) -> Result<Self, ApiError> {
        let config = app.config();
        let kind = request.headers().get(header::CONTENT_TYPE);
        let kind = kind.and_then(|kind| kind.to_str().ok()).unwrap_or_default();
        let essence = kind.split(';').next().unwrap_or_default().trim();
        if !essence.eq_ignore_ascii_case("application/json") {
            // Also what keeps web pages of other origins out: a browser asks first before it sends this type.
            return Err(ApiError::new(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "content_type",
                "send the header Content-Type: application/json",
            ));
        }
        let most = config.limits.body_bytes;
        let too_large = || {
            let message = format!("the body has more than {most} bytes; send less text");
            ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, "body_too_large", message)
        };
        let declared = request.headers().get(header::CONTENT_LENGTH);
        let declared = declared.and_then(|length| length.to_str().ok()?.parse::<usize>().ok());
        if declared.is_some_and(|length| length > most) {
            return Err(too_large());
        }
        let time = Duration::from_millis(config.limits.body_timeout_ms);
        let body = tokio::time::timeout(time, to_bytes(request.into_body(), most)).await;
        let bytes = match body {
            Err(_) => {
                let message = format!("the body did not arrive within {} ms", time.as_millis());
                let status = StatusCode::REQUEST_TIMEOUT;
                return Err(ApiError::new(status, "body_timeout", message));
            }
            Ok(Err(error)) => {
                let is_long = std::error::Error::source(&error)
                    .is_some_and(|source| source.is::<http_body_util::LengthLimitError>());
                if is_long {
                    return Err(too_large());
                }
                let message = format!("the body broke off: {error}");
                return Err(ApiError::new(
                    StatusCode::BAD_REQUEST,
                    "body_broken",
                    message,
                ));
            }
            Ok(Ok(bytes)) => bytes,
        };
        parse(&bytes).map(Self)
    }
}

/// A part of the path, refused in the same shape as a body.
#[derive(Clone, Debug)]
pub struct ApiPath<T>(pub T);

impl<T: DeserializeOwned + Send> FromRequestParts<Arc<App>> for ApiPath<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, ApiError> {
        let found = Path::from_request_parts(parts, app).await;
        let Path(value) = found.map_err(|error| {
            let message = format!("the path cannot be read: {}", error.body_text());
            ApiError::new(StatusCode::BAD_REQUEST, "invalid_path", message)
        })?;
        Ok(Self(value))
    }
}

/// What stands behind `?`, refused in the same shape as a body.
#[derive(Clone, Debug)]
pub struct ApiQuery<T>(pub T);

impl<T: DeserializeOwned> FromRequestParts<Arc<App>> for ApiQuery<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, ApiError> {
        let found = Query::from_request_parts(parts, app).await;
        let Query(value) = found.map_err(|error| {
            ApiError::new(StatusCode::BAD_REQUEST, "invalid_query", error.body_text())
        })?;
        Ok(Self(value))
    }
}

/// Reads JSON; says where it breaks off, or which field is wrong and how.
fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, ApiError> {
    let text = std::str::from_utf8(bytes).map_err(|error| {
        let message = format!(
            "the body is no UTF-8 from byte {} on; encode it as UTF-8",
            error.valid_up_to()
        );
        ApiError::new(StatusCode::BAD_REQUEST, "invalid_utf8", message)
    })?;
    let mut reader = serde_json::Deserializer::from_str(text);
    let value = serde_path_to_error::deserialize(&mut reader).map_err(|error| {
        let path = error.path().to_string();
        let inner = error.into_inner();
        if inner.is_data() {
            let at = if path == "." || path == "?" {
                None
            } else {
                Some(path)
            };
            let shown = at.as_deref().map_or(String::new(), |at| format!("{at}: "));
            let error = ApiError::new(
                StatusCode::BAD_REQUEST,
                "invalid_type",
                format!("{shown}{inner}"),
            );
            return match at {
                Some(at) => error.about(at),
                None => error,
            };
        }
        let message = format!("the body is no JSON: {inner}");
        ApiError::new(StatusCode::BAD_REQUEST, "invalid_json", message)
    })?;
    reader.end().map_err(|error| {
        let message = format!("the body goes on after its JSON: {error}");
        ApiError::new(StatusCode::BAD_REQUEST, "invalid_json", message)
    })?;
    Ok(value)
}

/// Who asks. Without keys everyone is the same, and may everything.
#[derive(Clone, Debug)]
pub struct Who(Option<Arc<Key>>);

impl Who {
    /// Who asks where no key is needed.
    #[must_use]
    pub fn anyone() -> Self {
        Self(None)
    }

    /// The holder of a key.
    #[must_use]
    pub fn holder(key: Key) -> Self {
        Self(Some(Arc::new(key)))
    }

    /// The name, for fairness and rates.
    #[must_use]
    pub fn name(&self) -> &str {
        self.0.as_ref().map_or("", |key| key.name.as_str())
    }

    /// Whether something is allowed.
    #[must_use]
    pub fn allows(&self, right: Right) -> bool {
        self.0.as_ref().is_none_or(|key| key.may(right))
    }

    /// Refuses who lacks a right.
    ///
    /// # Errors
    /// 403 naming the right.
    pub fn need(&self, right: Right, app: &App) -> Result<(), ApiError> {
        if self.allows(right) {
            return Ok(());
        }
        app.metrics.denied("right");
        let message =
            format!("the key lacks the right `{right}`; ask for one made with --rights {right}");
        Err(ApiError::new(
            StatusCode::FORBIDDEN,
            "missing_right",
            message,
        ))
    }

    /// Whether a project may be used.
    #[must_use]
    pub fn may_use(&self, project: &str) -> bool {
        self.0.as_ref().is_none_or(|key| key.may_use(project))
    }

    /// Refuses who may not use a project. It says the same of a project that does not exist.
    ///
    /// # Errors
    /// 404.
    pub fn need_project(&self, project: &str, app: &App) -> Result<(), ApiError> {
        if self.may_use(project) {
            return Ok(());
        }
        app.metrics.denied("right");
        let reason = format!("there is no project {project} for this key");
        Err(crate::serving::ProjectProblem::Unknown(reason).into())
    }
}

impl FromRequestParts<Arc<App>> for Who {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &Arc<App>) -> Result<Self, ApiError> {
        // Routes outside the layer that puts it there have no handler that asks for it.
        let who = parts.extensions.get::<Self>().cloned();
        who.ok_or_else(|| ApiError::internal("the route does not ask who calls"))
    }
}
