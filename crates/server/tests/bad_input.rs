//! Bad input: the right status, a body that says what to change, and nothing else affected.

#![allow(
    clippy::unwrap_used,
    reason = "clippy's exception for tests does not know helpers of integration tests"
)]

mod support;

use axum::body::Body;
use axum::http::{Request, StatusCode};
use nestor_server::{Keys, NewKey, Right, ServerConfig};
use serde_json::{Value, json};
use support::{Made, json_request, server};

fn asked() -> Value {
    json!({"model": "nestor-fast", "prompt": "А = "})
}

async fn refused(server: &Made, path: &str, body: Value, status: u16, code: &str, says: &str) {
    let answer = server.post(path, body.clone()).await;
    assert_eq!(
        answer.status.as_u16(),
        status,
        "{path} {body}: {}",
        answer.text
    );
    assert_eq!(answer.code(), code, "{path} {body}");
    let message = answer.json()["error"]["message"]
        .as_str()
        .unwrap()
        .to_owned();
    assert!(message.contains(says), "{path} {body}: {message}");
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_values_are_refused_by_name() {
    let server = server(|config: &mut ServerConfig| {
        config.limits.text_bytes = 1_000;
        config.jobs.runs = Some("runs".into());
    });
    let with = |key: &str, value: Value| {
        let mut body = asked();
        body[key] = value;
        body
    };
    let path = "/v1/completions";
    for (body, status, code, says) in [
        (json!([]), 400, "invalid_type", "struct"),
        (json!({"prompt": "А"}), 400, "invalid_type", "model"),
        (
            json!({"model": "nestor-fast"}),
            400,
            "invalid_type",
            "prompt",
        ),
        (
            with("model", json!("gpt-4o")),
            404,
            "model_not_found",
            "nestor-balanced",
        ),
        (with("model", json!(7)), 400, "invalid_type", "model"),
        (with("prompt", json!([1, 2])), 400, "invalid_type", "prompt"),
        (
            with("prompt", json!("я".repeat(600))),
            400,
            "context_length_exceeded",
            "1200 bytes",
        ),
        (
            with("max_tokens", json!(-1)),
            400,
            "invalid_type",
            "max_tokens",
        ),
        (
            with("max_tokens", json!(100_000)),
            400,
            "invalid_value",
            "max_tokens",
        ),
        (
            with("temperature", json!(3)),
            400,
            "invalid_value",
            "temperature",
        ),
        (
            with("temperature", json!("warm")),
            400,
            "invalid_type",
            "temperature",
        ),
        (with("top_p", json!(-0.1)), 400, "invalid_value", "top_p"),
        (with("n", json!(0)), 400, "invalid_value", "n"),
        (with("n", json!(1000)), 400, "invalid_value", "n"),
        (with("best_of", json!(5)), 400, "invalid_value", "best_of"),
        (with("stop", json!([""])), 400, "invalid_value", "stop"),
        (with("speed", json!("warp")), 400, "invalid_type", "warp"),
        (
            with("project", json!("нет")),
            404,
            "project_not_found",
            "нет",
        ),
        (
            with("project", json!("../x")),
            404,
            "project_not_found",
            "../x",
        ),
        (
            with("deadline_ms", json!(0)),
            400,
            "invalid_value",
            "deadline_ms",
        ),
    ] {
        refused(&server, path, body, status, code, says).await;
    }
    let path = "/v1/complete";
    let document = |more: Value| {
        let mut body = json!({"path": "м.bsl", "text": "Ё🙂", "offset": 0});
        for (key, value) in more.as_object().unwrap() {
            body[key] = value.clone();
        }
        body
    };
    for (more, code, says) in [
        (json!({"offset": 9}), "invalid_value", "behind the end"),
        (json!({"offset": 2}), "invalid_value", "inside a character"),
        (json!({"offset": -1}), "invalid_type", "offset"),
        (json!({"text": "\u{0}\u{1}"}), "not_text", "м.bsl"),
        (json!({"colour": "red"}), "invalid_type", "colour"),
        (json!({"offset_unit": "lines"}), "invalid_type", "lines"),
    ] {
        refused(&server, path, document(more), 400, code, says).await;
    }
    let train = |more: Value| {
        let mut body = json!({"name": "a", "corpus": "/nowhere", "epochs": 1});
        for (key, value) in more.as_object().unwrap() {
            body[key] = value.clone();
        }
        body
    };
    for (more, says) in [
        (json!({}), "jobs.sources"),
        (json!({"name": "../a"}), "name"),
    ] {
        refused(
            &server,
            "/v1/train",
            train(more),
            400,
            "invalid_value",
            says,
        )
        .await;
    }
    let learn = "/v1/projects/erp/learn";
    refused(&server, learn, json!({}), 400, "invalid_value", "files").await;
    refused(
        &server,
        learn,
        json!({"source": "/etc"}),
        400,
        "invalid_value",
        "jobs.sources",
    )
    .await;
    for path in ["../x.bsl", "a/../../x.bsl", "/etc/x.bsl", "a\\..\\x.bsl"] {
        let body = json!({"files": [{"path": path, "text": "А = 1;"}]});
        refused(&server, learn, body, 400, "invalid_value", "files").await;
    }
    refused(
        &server,
        learn,
        json!({"files": [], "root": "a/b"}),
        400,
        "invalid_value",
        "root",
    )
    .await;
    refused(
        &server,
        "/v1/projects/a%2Fb/learn",
        json!({"files": []}),
        400,
        "invalid_value",
        "project",
    )
    .await;
    // Nothing else was affected.
    assert_eq!(
        server.post("/v1/completions", asked()).await.status,
        StatusCode::OK
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_that_are_no_json_are_refused_with_the_place() {
    let server = server(|config: &mut ServerConfig| config.limits.body_bytes = 2_000);
    let send = async |body: &[u8]| {
        let request = json_request("POST", "/v1/completions", body.to_vec());
        server.send(request).await
    };
    for (body, status, code, says) in [
        (b"".as_slice(), 400, "invalid_json", "EOF"),
        (b"{\"model\": ", 400, "invalid_json", "line 1"),
        (
            b"{\"model\": \"nestor-fast\", \"prompt\": \"\"} x",
            400,
            "invalid_json",
            "goes on",
        ),
        (b"{\"model\": \"\xff\"}", 400, "invalid_utf8", "byte 11"),
        (&[b' '; 3_000], 413, "body_too_large", "2000"),
    ] {
        let answer = send(body).await;
        assert_eq!(
            (answer.status.as_u16(), answer.code().as_str()),
            (status, code)
        );
        assert!(answer.text.contains(says), "{}", answer.text);
    }
    let request = Request::post("/v1/completions")
        .body(Body::from("{}"))
        .unwrap();
    let answer = server.send(request).await;
    assert_eq!(answer.status, StatusCode::UNSUPPORTED_MEDIA_TYPE);
    assert_eq!(answer.code(), "content_type");
}

#[tokio::test(flavor = "multi_thread")]
async fn unknown_paths_and_methods_have_the_same_shape() {
    let server = server(|_| {});
    let answer = server.ask("GET", "/v2/nothing").await;
    assert_eq!(
        (answer.status, answer.code().as_str()),
        (StatusCode::NOT_FOUND, "unknown_path")
    );
    let answer = server.ask("GET", "/v1/completions").await;
    assert_eq!(answer.status, StatusCode::METHOD_NOT_ALLOWED);
    assert_eq!(answer.code(), "method_not_allowed");
    assert_eq!(answer.headers["allow"], "POST");
    let answer = server.ask("GET", "/v1/train/train-9").await;
    assert_eq!(
        (answer.status, answer.code().as_str()),
        (StatusCode::NOT_FOUND, "job_not_found")
    );
    let answer = server.ask("GET", "/v1/train/train-9?stream=1.1").await;
    assert_eq!(
        (answer.status, answer.code().as_str()),
        (StatusCode::BAD_REQUEST, "invalid_query")
    );
    let answer = server.ask("GET", "/v1/projects/%FF").await;
    assert_eq!(
        (answer.status, answer.code().as_str()),
        (StatusCode::BAD_REQUEST, "invalid_path")
    );
    let answer = server.ask("GET", "/v1/models/gpt-4o").await;
    assert_eq!(answer.code(), "model_not_found");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deadline_that_is_over_ends_the_text_and_not_the_server() {
    let server = server(|_| {});
    let body =
        json!({"model": "nestor-accurate", "prompt": "А = ", "max_tokens": 512, "deadline_ms": 1});
    let answer = server.post("/v1/completions", body).await;
    match answer.status {
        StatusCode::OK => assert_eq!(answer.json()["choices"][0]["finish_reason"], "length"),
        status => {
            assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE, "{}", answer.text);
            assert_eq!(answer.code(), "deadline_exceeded");
            assert!(answer.headers.contains_key("retry-after"));
        }
    }
}

/// A server with keys, and the keys: one for completions of `erp` alone, one for everything.
fn with_keys(change: impl FnOnce(&mut ServerConfig)) -> (Made, String, String, tempfile::TempDir) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("keys.json");
    let mut keys = Keys::default();
    let mut add = |name: &str, rights: &[Right], projects: Option<&str>| {
        let new = NewKey {
            name: name.to_owned(),
            rights: rights.to_vec(),
            projects: projects.map(|name| vec![name.parse().unwrap()]),
            time: 1,
        };
        keys.add(new).unwrap()
    };
    let typist = add("typist", &[Right::Complete], Some("erp"));
    let owner = add("owner", &Right::ALL, None);
    keys.write(&path).unwrap();
    let made = server(|config: &mut ServerConfig| {
        config.keys = Some(path);
        change(config);
    });
    (made, typist, owner, dir)
}

async fn with_key(
    server: &Made,
    key: &str,
    method: &str,
    path: &str,
    body: Option<Value>,
) -> support::Answer {
    let body = body.map_or(Vec::new(), |body| body.to_string().into_bytes());
    let mut request = json_request(method, path, body);
    request
        .headers_mut()
        .insert("authorization", format!("Bearer {key}").parse().unwrap());
    server.send(request).await
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_are_needed_and_reach_no_further_than_they_say() {
    let (server, typist, owner, _dir) = with_keys(|_| {});
    let answer = server.post("/v1/completions", asked()).await;
    assert_eq!(
        (answer.status, answer.code().as_str()),
        (StatusCode::UNAUTHORIZED, "missing_api_key")
    );
    assert_eq!(answer.headers["www-authenticate"], "Bearer");
    for wrong in ["nst_00", "", &typist[..typist.len() - 1]] {
        let answer = with_key(&server, wrong, "POST", "/v1/completions", Some(asked())).await;
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
    }
    for path in ["/health", "/health/live", "/health/ready", "/openapi.json"] {
        assert_eq!(
            server.ask("GET", path).await.status,
            StatusCode::OK,
            "{path}"
        );
    }
    for path in [
        "/metrics",
        "/v1/models",
        "/v1/projects",
        "/v1/jobs",
        "/props",
    ] {
        assert_eq!(
            server.ask("GET", path).await.status,
            StatusCode::UNAUTHORIZED,
            "{path}"
        );
    }
    let files = json!({"files": [{"path": "a.bsl", "text": "А = 1;\n"}]});
    for project in ["erp", "crm"] {
        let path = format!("/v1/projects/{project}/learn");
        let answer = with_key(&server, &owner, "POST", &path, Some(files.clone())).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
        let answer = with_key(&server, &typist, "POST", &path, Some(files.clone())).await;
        assert_eq!(
            (answer.status, answer.code().as_str()),
            (StatusCode::FORBIDDEN, "missing_right")
        );
    }
    let ask = async |key: &str, project: &str| {
        let body = json!({"model": "nestor-fast", "prompt": "А = ", "project": project});
        with_key(&server, key, "POST", "/v1/completions", Some(body))
            .await
            .status
    };
    assert_eq!(ask(&typist, "erp").await, StatusCode::OK);
    // A project of others answers as one that does not exist.
    assert_eq!(ask(&typist, "crm").await, StatusCode::NOT_FOUND);
    assert_eq!(ask(&owner, "crm").await, StatusCode::OK);
    let answer = with_key(&server, &typist, "GET", "/v1/projects", None)
        .await
        .json();
    assert_eq!(answer["projects"].as_array().unwrap().len(), 1);
    let answer = with_key(&server, &typist, "GET", "/metrics", None).await;
    assert_eq!(answer.code(), "missing_right");
    let answer = with_key(&server, &owner, "GET", "/metrics", None).await;
    assert!(
        answer
            .text
            .contains("nestor_denied_requests_total{reason=\"key\"}")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_key_ends_with_the_next_reload_and_the_last_one_opens_nothing() {
    let (server, typist, owner, dir) = with_keys(|_| {});
    let path = dir.path().join("keys.json");
    let mut keys = Keys::read(&path).unwrap();
    keys.revoke("typist");
    keys.write(&path).unwrap();
    let reloaded = with_key(&server, &owner, "POST", "/v1/admin/reload", None).await;
    assert_eq!(reloaded.status, StatusCode::OK, "{}", reloaded.text);
    let answer = with_key(&server, &typist, "POST", "/v1/completions", Some(asked())).await;
    assert_eq!(answer.code(), "invalid_api_key");
    // A file that is broken leaves everything as it was.
    std::fs::write(&path, "{").unwrap();
    let reloaded = with_key(&server, &owner, "POST", "/v1/admin/reload", None).await;
    assert_eq!(
        (reloaded.status, reloaded.code().as_str()),
        (StatusCode::CONFLICT, "reload_failed")
    );
    let answer = with_key(&server, &owner, "POST", "/v1/completions", Some(asked())).await;
    assert_eq!(answer.status, StatusCode::OK);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_asks_too_often_is_told_when_to_come_again() {
    let (server, typist, owner, _dir) = with_keys(|config| {
        config.limits.requests_per_minute = 60;
        config.limits.burst = 3;
    });
    for _ in 0..3 {
        let answer = with_key(&server, &typist, "GET", "/v1/models", None).await;
        assert_eq!(answer.status, StatusCode::OK);
    }
    let answer = with_key(&server, &typist, "GET", "/v1/models", None).await;
    assert_eq!(
        (answer.status, answer.code().as_str()),
        (StatusCode::TOO_MANY_REQUESTS, "rate_limit_exceeded")
    );
    assert_eq!(answer.headers["retry-after"], "1");
    let answer = with_key(&server, &owner, "GET", "/v1/models", None).await;
    assert_eq!(answer.status, StatusCode::OK);
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_of_other_origins_are_refused_but_for_those_of_the_list() {
    let server = server(|config: &mut ServerConfig| {
        config.cors_origins = vec!["https://edit.example".to_owned()];
    });
    let send = async |origin: &str, method: &str| {
        let mut request = json_request(
            method,
            "/v1/complete",
            json!({"path": "m.bsl", "text": "", "offset": 0})
                .to_string()
                .into_bytes(),
        );
        let headers = request.headers_mut();
        headers.insert("host", "127.0.0.1:8088".parse().unwrap());
        headers.insert("origin", origin.parse().unwrap());
        if method == "OPTIONS" {
            headers.insert("access-control-request-method", "POST".parse().unwrap());
            headers.insert(
                "access-control-request-headers",
                "content-type".parse().unwrap(),
            );
        }
        server.send(request).await
    };
    let answer = send("https://evil.example", "POST").await;
    assert_eq!(
        (answer.status, answer.code().as_str()),
        (StatusCode::FORBIDDEN, "wrong_origin")
    );
    assert_eq!(
        send("https://evil.example", "OPTIONS").await.status,
        StatusCode::FORBIDDEN
    );
    let answer = send("https://edit.example", "POST").await;
    assert_eq!(answer.status, StatusCode::OK);
    assert_eq!(
        answer.headers["access-control-allow-origin"],
        "https://edit.example"
    );
    let answer = send("https://edit.example", "OPTIONS").await;
    assert_eq!(answer.status, StatusCode::OK);
    assert_eq!(
        answer.headers["access-control-allow-origin"],
        "https://edit.example"
    );
    assert!(
        answer.headers["access-control-allow-headers"]
            .to_str()
            .unwrap()
            .contains("content-type")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn source_text_is_in_no_metric_and_in_no_error_of_the_server() {
    let server = server(|_| {});
    let secret = "ОченьСекретноеИмя";
    let body = json!({"model": "nestor-fast", "prompt": format!("{secret} = "), "path": format!("{secret}.bsl")});
    assert_eq!(
        server.post("/v1/completions", body).await.status,
        StatusCode::OK
    );
    server.ask("GET", &format!("/v1/train/{}", "secret")).await;
    server.ask("GET", "/v9/secret").await;
    let metrics = server.ask("GET", "/metrics").await.text;
    assert!(
        !metrics.contains(secret) && !metrics.contains("secret"),
        "{metrics}"
    );
}
