//! What a request did wrong, as a status and a body in OpenAI's shape that says what to change.

use std::time::Duration;

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use nestor_assist::{AssistError, MemoryError};

use crate::scheduler::Refused;
use crate::serving::ProjectProblem;
use crate::wire::{ErrorBody, ErrorShown};

/// An answer that is an error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiError {
    /// The status.
    pub status: StatusCode,
    code: &'static str,
    message: String,
    param: Option<String>,
    retry_after: Option<Duration>,
}

impl ApiError {
    /// An error with a word for programs and a text for people.
    #[must_use]
    pub fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self {
            status,
            code,
            message: message.into(),
            param: None,
            retry_after: None,
        }
    }

    /// A field with a value that cannot be used.
    #[must_use]
    pub fn field(param: &str, message: impl std::fmt::Display) -> Self {
        let message = format!("{param}: {message}");
        Self::new(StatusCode::BAD_REQUEST, "invalid_value", message).about(param)
    }

    /// Names the field that is wrong.
    #[must_use]
    pub fn about(mut self, param: impl Into<String>) -> Self {
        self.param = Some(param.into());
        self
    }

    /// Says when to come again.
    #[must_use]
    pub fn retry_after(mut self, time: Duration) -> Self {
        self.retry_after = Some(time);
        self
    }

    /// An error that is the server's own.
    #[must_use]
    pub fn internal(message: impl Into<String>) -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal_error", message)
    }

    fn kind(&self) -> &'static str {
        match self.status.as_u16() {
            401 => "authentication_error",
            403 => "permission_error",
            429 => "rate_limit_error",
            503 => "overloaded_error",
            500.. => "server_error",
            _ => "invalid_request_error",
        }
    }

    /// The body.
    #[must_use]
    pub fn body(&self) -> ErrorShown {
        ErrorShown {
            error: ErrorBody {
                message: self.message.clone(),
                r#type: self.kind(),
                param: self.param.clone(),
                code: self.code,
            },
        }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let mut response = (self.status, Json(self.body())).into_response();
        if let Some(time) = self.retry_after {
            // Whole seconds are all that the header can say, and 0 would mean at once.
            let seconds = time.as_secs_f64().ceil().max(1.0) as u64;
            let headers = response.headers_mut();
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
            let ms = u64::try_from(time.as_millis()).unwrap_or(u64::MAX).max(1);
            headers.insert("retry-after-ms", HeaderValue::from(ms));
        }
        if self.status == StatusCode::UNAUTHORIZED {
            let bearer = HeaderValue::from_static("Bearer");
            response
                .headers_mut()
                .insert(header::WWW_AUTHENTICATE, bearer);
        }
        response
    }
}

impl From<Refused> for ApiError {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::Full { retry_after } => Self::new(
                StatusCode::TOO_MANY_REQUESTS,
                "queue_full",
                "too many completions are waiting; come again after the time in Retry-After",
            )
            .retry_after(retry_after),
            Refused::TooLate { retry_after } => Self::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "deadline_exceeded",
                "the deadline passed before the completion's turn came; ask for a later one with deadline_ms, or come again after the time in Retry-After",
            )
            .retry_after(retry_after),
            Refused::Superseded => Self::new(
                StatusCode::CONFLICT,
                "superseded",
                "a newer request for the same document took the place of this one",
            ),
            Refused::Stopping => Self::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "stopping",
                "the server is stopping; come again when it has started",
            )
            .retry_after(Duration::from_secs(5)),
            Refused::Broken => Self::internal(
                "the completion broke an invariant; the server's error stream tells where",
            ),
        }
    }
}

impl From<ProjectProblem> for ApiError {
    fn from(problem: ProjectProblem) -> Self {
        match problem {
            ProjectProblem::Unknown(reason) => {
                let message = format!("{reason}; see GET /v1/projects");
                Self::new(StatusCode::NOT_FOUND, "project_not_found", message).about("project")
            }
            ProjectProblem::Loading => Self::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "project_loading",
                "the project is being loaded; come again after the time in Retry-After, or leave `project` out",
            )
            .about("project")
            .retry_after(Duration::from_secs(1)),
            ProjectProblem::Broken(reason) => Self::internal(reason).about("project"),
        }
    }
}

impl From<AssistError> for ApiError {
    fn from(error: AssistError) -> Self {
        match &error {
            AssistError::Text { .. } => {
                Self::new(StatusCode::BAD_REQUEST, "not_text", error.to_string()).about("text")
            }
            AssistError::CursorOutside { .. } | AssistError::CursorInsideCharacter { .. } => {
                Self::field("offset", error)
            }
            AssistError::Request { field, .. } => Self::field(field, error.to_string()),
            AssistError::Engine(nestor_assist::EngineError::Request { field, .. }) => {
                Self::field(field, error.to_string())
            }
            AssistError::Memory(_) => match error {
                AssistError::Memory(error) => error.into(),
                _ => unreachable!("matched above"),
            },
            _ => Self::internal(error.to_string()),
        }
    }
}

impl From<MemoryError> for ApiError {
    fn from(error: MemoryError) -> Self {
        let message = error.to_string();
        match error {
            MemoryError::Missing { name, .. } => {
                ProjectProblem::Unknown(format!("there is no project {name}")).into()
            }
            MemoryError::Name { .. } => Self::field("project", message),
            MemoryError::Busy { .. } => Self::new(StatusCode::CONFLICT, "project_busy", message)
                .about("project")
                .retry_after(Duration::from_secs(2)),
            MemoryError::Tokenizer { .. } | MemoryError::Vocabulary { .. } => {
                Self::new(StatusCode::CONFLICT, "other_model", message).about("project")
            }
            _ => Self::internal(message),
        }
    }
}
