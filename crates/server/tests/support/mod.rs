//! What the tests of the server share: a server over a tiny model that has learned one project, asked without a socket.
#![allow(dead_code, reason = "not every test binary uses all of it")]

#[path = "../../../assist/tests/fixture/mod.rs"]
mod fixture;

use std::sync::Arc;

use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, Request, StatusCode};
pub use fixture::MODULE;
use nestor_assist::Projects;
use nestor_server::{App, ServerConfig, Setup};
use serde_json::{Value, json};
use tower::ServiceExt as _;

/// A server and the folder that its projects lie in.
pub struct Made {
    pub app: Arc<App>,
    pub dir: tempfile::TempDir,
}

/// An answer.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub text: String,
}

impl Answer {
    /// The body as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {}", self.text))
    }

    /// The data of server-sent events.
    pub fn events(&self) -> Vec<&str> {
        let lines = self.text.lines();
        lines
            .filter_map(|line| line.strip_prefix("data: "))
            .collect()
    }

    /// The code of an error.
    pub fn code(&self) -> String {
        let json = self.json();
        let error = &json["error"];
        assert!(
            error["message"].is_string() && error["type"].is_string(),
            "{json}"
        );
        error["code"].as_str().unwrap_or_default().to_owned()
    }
}

/// A server whose model has no project of its own; `erp` can be taught.
pub fn server(change: impl FnOnce(&mut ServerConfig)) -> Made {
    let dir = tempfile::tempdir().unwrap();
    let mut config = ServerConfig::default();
    config.scheduler.deadline_ms = 60_000;
    change(&mut config);
    let again = config.clone();
    let setup = Setup {
        config,
        model_folder: "model".into(),
        projects: Projects::at(dir.path().join("projects")),
        program: "nestor-is-not-started-by-tests".into(),
        read_config: Box::new(move || Ok((again.clone(), "model".into()))),
    };
    let app = App::of(setup, fixture::assistant(3, None)).unwrap();
    Made { app, dir }
}

impl Made {
    /// Sends a request.
    pub async fn send(&self, request: Request<Body>) -> Answer {
        let response = nestor_server::app(Arc::clone(&self.app))
            .oneshot(request)
            .await
            .unwrap();
        let (parts, body) = response.into_parts();
        let bytes = to_bytes(body, usize::MAX).await.unwrap();
        Answer {
            status: parts.status,
            headers: parts.headers,
            text: String::from_utf8(bytes.to_vec()).unwrap(),
        }
    }

    /// Sends JSON.
    pub async fn post(&self, path: &str, body: Value) -> Answer {
        self.send(json_request("POST", path, body.to_string().into_bytes()))
            .await
    }

    /// Asks without a body.
    pub async fn ask(&self, method: &str, path: &str) -> Answer {
        let request = Request::builder().method(method).uri(path);
        self.send(request.body(Body::empty()).unwrap()).await
    }

    /// Teaches the project `erp` two modules of the same text.
    pub async fn teach(&self) {
        let file = |name: &str| {
            let path = format!("CommonModules/{name}/Ext/Module.bsl");
            json!({"path": path, "text": MODULE})
        };
        let body = json!({"root": "cf", "files": [file("Копия"), file("ЕщеКопия")]});
        let learned = self.post("/v1/projects/erp/learn", body).await;
        assert_eq!(learned.status, StatusCode::OK, "{}", learned.text);
        assert_eq!(learned.json()["new"], 2);
    }
}

/// A request with a body that says to be JSON.
pub fn json_request(method: &str, path: &str, body: Vec<u8>) -> Request<Body> {
    Request::builder()
        .method(method)
        .uri(path)
        .header("content-type", "application/json")
        .body(Body::from(body))
        .unwrap()
}

/// The module up to the end of `seen`.
pub fn up_to(seen: &str) -> &'static str {
    let end = MODULE.find(seen).expect("part of the module") + seen.len();
    &MODULE[..end]
}
