//! The shapes of OpenAI, llama.cpp and editors, on a tiny model that has learned a project.

#![allow(
    clippy::unwrap_used,
    reason = "clippy's exception for tests does not know helpers of integration tests"
)]

mod support;

use axum::http::StatusCode;
use nestor_server::ServerConfig;
use serde_json::{Value, json};
use support::{MODULE, server, up_to};

const BEFORE: &str = "Выборка = Запрос.";
const EXPECTED: &str = "Выполнить().Выбрать();";

fn asked(more: Value) -> Value {
    let mut body = json!({
        "model": "nestor-balanced", "prompt": up_to(BEFORE), "suffix": "\n", "max_tokens": 60,
        "stop": "\n", "project": "erp", "path": "CommonModules/Остатки/Ext/Module.bsl",
    });
    for (key, value) in more.as_object().unwrap() {
        body[key] = value.clone();
    }
    body
}

fn check_about(about: &Value, speed: &str) {
    assert_eq!(about["speed"], speed);
    let confidence = about["confidence"].as_f64().unwrap();
    assert!((0.0..=1.0).contains(&confidence));
    let shares = about["contributions"].as_array().unwrap();
    let sum: f64 = shares
        .iter()
        .map(|part| part["share"].as_f64().unwrap())
        .sum();
    assert!((sum - 1.0).abs() < 1e-3, "{about}");
    assert!(about["timings"]["total_ms"].as_f64().unwrap() > 0.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn completions_have_openais_shape_and_say_how_they_came_about() {
    let server = server(|_| {});
    server.teach().await;
    for speed in ["fast", "balanced", "accurate"] {
        let body = asked(json!({"model": format!("nestor-{speed}")}));
        let answer = server.post("/v1/completions", body).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
        let json = answer.json();
        assert_eq!(json["object"], "text_completion");
        assert_eq!(json["choices"][0]["text"], EXPECTED);
        assert_eq!(json["choices"][0]["finish_reason"], "stop");
        check_about(&json["choices"][0]["nestor"], speed);
        let usage = &json["usage"];
        let count = |name: &str| usage[name].as_u64().unwrap();
        assert!(count("prompt_tokens") > 20 && count("completion_tokens") > 3);
        assert_eq!(
            count("total_tokens"),
            count("prompt_tokens") + count("completion_tokens")
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn several_prompts_and_answers_come_in_order_with_echo_and_probabilities() {
    let server = server(|_| {});
    server.teach().await;
    let body = asked(
        json!({"prompt": [up_to(BEFORE), up_to("Запрос = ")], "n": 2, "logprobs": 1, "echo": true}),
    );
    let json = server.post("/v1/completions", body).await.json();
    let choices = json["choices"].as_array().unwrap();
    assert_eq!(choices.len(), 4, "{json}");
    for (idx, choice) in choices.iter().enumerate() {
        assert_eq!(choice["index"], idx);
        let prompt = if idx < 2 {
            up_to(BEFORE)
        } else {
            up_to("Запрос = ")
        };
        assert!(choice["text"].as_str().unwrap().starts_with(prompt));
        let logprobs = &choice["logprobs"];
        let n = logprobs["tokens"].as_array().unwrap().len();
        for field in ["token_logprobs", "top_logprobs", "text_offset"] {
            assert_eq!(logprobs[field].as_array().unwrap().len(), n);
        }
        let all = logprobs["token_logprobs"].as_array().unwrap();
        let sum: f64 = all.iter().map(|p| p.as_f64().unwrap()).sum();
        let confidence = choice["nestor"]["confidence"].as_f64().unwrap();
        assert!((sum.exp() - confidence).abs() < 1e-3, "{choice}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn alternatives_stand_beside_each_piece_the_most_probable_first() {
    let server = server(|_| {});
    server.teach().await;
    let body = asked(json!({"logprobs": 3, "speed": "fast"}));
    let json = server.post("/v1/completions", body).await.json();
    let choice = &json["choices"][0];
    let told = &choice["logprobs"];
    let tokens = told["tokens"].as_array().unwrap();
    assert!(tokens.len() > 2, "{json}");
    for (idx, token) in tokens.iter().enumerate() {
        let others = told["top_logprobs"][idx].as_object().unwrap();
        let own = told["token_logprobs"][idx].as_f64().unwrap();
        // Greedily the piece taken is the most probable one, and so one of the three.
        assert!((1..=3).contains(&others.len()), "{others:?}");
        assert_eq!(others[token.as_str().unwrap()].as_f64(), Some(own));
        assert!(others.values().all(|p| p.as_f64().unwrap() <= own));
        let sum: f64 = others.values().map(|p| p.as_f64().unwrap().exp()).sum();
        assert!(sum <= 1.0 + 1e-4, "{others:?}");
    }

    // The same answer as a stream: every event has the pieces that write its text.
    let body = asked(json!({"logprobs": 3, "speed": "fast", "stream": true, "echo": true}));
    let streamed = server.post("/v1/completions", body).await;
    let events = streamed.events();
    let mut text = String::new();
    let mut pieces = Vec::new();
    for event in &events[..events.len() - 1] {
        let event: Value = serde_json::from_str(event).unwrap();
        let choice = &event["choices"][0];
        text.push_str(choice["text"].as_str().unwrap());
        if let Some(tokens) = choice["logprobs"]["tokens"].as_array() {
            pieces.extend(tokens.iter().cloned());
        }
    }
    assert_eq!(
        text,
        format!("{}{}", up_to(BEFORE), choice["text"].as_str().unwrap())
    );
    assert_eq!(&pieces, tokens);

    let message = format!("```bsl\n{}", up_to(BEFORE));
    let chat = |more: Value| {
        let mut body = json!({
            "model": "nestor-fast", "project": "erp", "messages": [{"role": "user", "content": message}],
            "logprobs": true, "top_logprobs": 2, "max_tokens": 12,
        });
        let more = more.as_object().unwrap().clone();
        body.as_object_mut().unwrap().extend(more);
        body
    };
    let json = server
        .post("/v1/chat/completions", chat(json!({})))
        .await
        .json();
    let content = json["choices"][0]["logprobs"]["content"].clone();
    let all = content.as_array().unwrap();
    assert!(all.len() > 2, "{json}");
    for piece in all {
        let bytes: Vec<u8> = serde_json::from_value(piece["bytes"].clone()).unwrap();
        assert_eq!(
            String::from_utf8_lossy(&bytes),
            piece["token"].as_str().unwrap()
        );
        let top = piece["top_logprobs"].as_array().unwrap();
        assert!(
            top.len() <= 2 && top[0]["logprob"] == piece["logprob"],
            "{piece}"
        );
    }
    let streamed = server
        .post("/v1/chat/completions", chat(json!({"stream": true})))
        .await;
    let events = streamed.events();
    let mut told = Vec::new();
    for event in &events[..events.len() - 1] {
        let event: Value = serde_json::from_str(event).unwrap();
        if let Some(content) = event["choices"][0]["logprobs"]["content"].as_array() {
            told.extend(content.iter().cloned());
        }
    }
    assert_eq!(&told, all);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_document_that_was_read_ahead_is_answered_the_same_and_sooner() {
    let server = server(|_| {});
    server.teach().await;
    let text = MODULE.repeat(6);
    let offset = text.rfind("Новый ").unwrap() + "Новый ".len();
    let body = |path: &str, max_tokens: usize| {
        json!({
            "path": path, "text": text, "offset": offset, "offset_unit": "bytes", "speed": "fast",
            "max_tokens": max_tokens, "project": "erp",
        })
    };
    let ahead = server.post("/v1/complete", body("a.bsl", 0)).await.json();
    assert_eq!(
        (&ahead["text"], &ahead["stop"]),
        (&json!(""), &json!("max_tokens"))
    );
    let warm = server.post("/v1/complete", body("a.bsl", 8)).await.json();
    let cold = server.post("/v1/complete", body("b.bsl", 8)).await.json();
    assert_eq!(
        (&warm["text"], &warm["tokens"]),
        (&cold["text"], &cold["tokens"])
    );
    let prefill = |answer: &Value| answer["timings"]["prefill_ms"].as_f64().unwrap();
    assert!(prefill(&warm) < prefill(&cold) / 4.0, "{warm} {cold}");
    // Reading ahead is no completion, and nobody has typed.
    let metrics = server.ask("GET", "/metrics").await.text;
    let answered = "nestor_completions_total{speed=\"fast\",outcome=\"answered\"} ";
    let empty = "nestor_completions_total{speed=\"fast\",outcome=\"empty\"} ";
    let count = |name: &str| {
        let line = metrics.lines().find_map(|line| line.strip_prefix(name));
        line.map_or(0, |count| count.parse().unwrap())
    };
    assert_eq!(count(answered) + count(empty), 2, "{metrics}");
}

#[tokio::test(flavor = "multi_thread")]
async fn projects_that_were_not_asked_for_longest_make_room() {
    let server = server(|config| config.limits.projects = 2);
    let body = json!({"files": [{"path": "m.bsl", "text": MODULE}]});
    for project in ["a", "b", "c"] {
        let path = format!("/v1/projects/{project}/learn");
        assert_eq!(server.post(&path, body.clone()).await.status, 200);
    }
    let complete = async |project: &str| {
        let body = json!({"path": "x.bsl", "text": "А = ", "offset": 4, "project": project});
        let answer = server.post("/v1/complete", body).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        answer.json()["tokens"].clone()
    };
    let first = complete("a").await;
    complete("b").await;
    complete("a").await;
    complete("c").await;
    let loaded = async |project: &str| {
        let shown = server
            .ask("GET", &format!("/v1/projects/{project}"))
            .await
            .json();
        shown["loaded"].as_bool().unwrap()
    };
    assert_eq!(
        (loaded("a").await, loaded("b").await, loaded("c").await),
        (true, false, true)
    );
    let metrics = server.ask("GET", "/metrics").await.text;
    for line in [
        "nestor_projects_loaded 2",
        "nestor_projects_unloaded_total 1",
    ] {
        assert!(metrics.contains(line), "{metrics}");
    }
    assert!(!metrics.contains("nestor_project_files{project=\"b\"}"));
    // It is loaded again when it is asked for, and answers as before.
    complete("b").await;
    assert_eq!(complete("a").await, first);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_seed_gives_the_same_answer_and_another_one_another() {
    let server = server(|_| {});
    let texts = async |seed: u64| {
        let body =
            asked(json!({"temperature": 1.5, "seed": seed, "n": 3, "project": null, "stop": null}));
        let json = server.post("/v1/completions", body).await.json();
        let choices = json["choices"].as_array().unwrap();
        choices
            .iter()
            .map(|choice| choice["text"].to_string())
            .collect::<Vec<_>>()
    };
    let first = texts(1).await;
    assert_eq!(first, texts(1).await);
    assert_ne!(first[0], first[1]);
    assert_ne!(first, texts(77).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_tells_the_same_text_in_parts_and_ends() {
    let server = server(|_| {});
    server.teach().await;
    for stop in [json!("\n"), json!(null), json!(["Выбрать", ";\n\tПока"])] {
        let whole = server
            .post("/v1/completions", asked(json!({"stop": stop})))
            .await
            .json();
        let body =
            asked(json!({"stop": stop, "stream": true, "stream_options": {"include_usage": true}}));
        let answer = server.post("/v1/completions", body).await;
        assert!(
            answer.headers["content-type"]
                .to_str()
                .unwrap()
                .starts_with("text/event-stream")
        );
        let events = answer.events();
        assert_eq!(events.last(), Some(&"[DONE]"));
        let events: Vec<Value> = events[..events.len() - 1]
            .iter()
            .map(|event| serde_json::from_str(event).unwrap())
            .collect();
        let text: String = events
            .iter()
            .filter_map(|event| event["choices"][0]["text"].as_str())
            .collect();
        assert_eq!(
            text,
            whole["choices"][0]["text"].as_str().unwrap(),
            "{stop}"
        );
        let n_parts = events
            .iter()
            .filter(|event| event["choices"][0]["text"] != "")
            .count();
        assert!(n_parts > 2, "{events:?}");
        let last = &events[events.len() - 2]["choices"][0];
        assert_eq!(last["finish_reason"], whole["choices"][0]["finish_reason"]);
        check_about(&last["nestor"], "balanced");
        assert_eq!(events.last().unwrap()["usage"], whole["usage"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_at_the_speed_auto_tells_the_text_that_won() {
    let server = server(|config: &mut ServerConfig| config.defaults.auto_confidence = 1.0);
    server.teach().await;
    let body = asked(json!({"speed": "auto", "stream": true}));
    let answer = server.post("/v1/completions", body).await;
    let events: Vec<Value> = answer
        .events()
        .iter()
        .filter_map(|event| serde_json::from_str(event).ok())
        .collect();
    let text: String = events
        .iter()
        .filter_map(|event| event["choices"][0]["text"].as_str())
        .collect();
    assert_eq!(text, EXPECTED);
    let last = &events[events.len() - 1]["choices"][0]["nestor"];
    assert_eq!(last["speed"], "accurate");
}

#[tokio::test(flavor = "multi_thread")]
async fn line_ends_of_the_document_are_kept_in_parts_too() {
    let server = server(|_| {});
    server.teach().await;
    let crlf = |text: &str| text.replace('\n', "\r\n");
    let body = json!({"prompt": crlf(up_to("\tПока Выборка")), "stop": null, "max_tokens": 40});
    let whole = server
        .post("/v1/completions", asked(body.clone()))
        .await
        .json();
    let whole = whole["choices"][0]["text"].as_str().unwrap().to_owned();
    assert!(whole.contains("\r\n"), "{whole:?}");
    let mut streamed = asked(body);
    streamed["stream"] = json!(true);
    let answer = server.post("/v1/completions", streamed).await;
    let text: String = answer
        .events()
        .iter()
        .filter_map(|event| serde_json::from_str::<Value>(event).ok())
        .filter_map(|event| Some(event["choices"][0]["text"].as_str()?.to_owned()))
        .collect();
    assert_eq!(text, whole);
}

#[tokio::test(flavor = "multi_thread")]
async fn chat_continues_the_code_of_the_last_message() {
    let server = server(|_| {});
    server.teach().await;
    let body = json!({
        "model": "nestor-accurate", "project": "erp", "stop_rule": "line",
        "messages": [
            {"role": "system", "content": "Ты помощник"},
            {"role": "user", "content": [{"type": "text", "text": format!("Допиши\n```bsl\n{}\n```", up_to(BEFORE))}]},
        ],
    });
    let json = server
        .post("/v1/chat/completions", body.clone())
        .await
        .json();
    assert_eq!(json["object"], "chat.completion");
    let message = &json["choices"][0]["message"];
    assert_eq!(
        (message["role"].as_str(), message["content"].as_str()),
        (Some("assistant"), Some(EXPECTED))
    );
    check_about(&json["choices"][0]["nestor"], "accurate");
    let mut streamed = body;
    streamed["stream"] = json!(true);
    let answer = server.post("/v1/chat/completions", streamed).await;
    let events: Vec<Value> = answer
        .events()
        .iter()
        .filter_map(|event| serde_json::from_str(event).ok())
        .collect();
    assert_eq!(events[0]["choices"][0]["delta"]["role"], "assistant");
    let text: String = events
        .iter()
        .filter_map(|event| event["choices"][0]["delta"]["content"].as_str())
        .collect();
    assert_eq!(text, EXPECTED);
    assert_eq!(answer.events().last(), Some(&"[DONE]"));
}

/// What llama.vim sends and reads.
#[tokio::test(flavor = "multi_thread")]
async fn infill_answers_llama_vim() {
    let server =
        server(|config: &mut ServerConfig| config.defaults.project = Some("erp".to_owned()));
    server.teach().await;
    let prefix = up_to("Склад);\n");
    let body = json!({
        "id_slot": 0, "input_prefix": prefix, "input_suffix": "\n", "prompt": "\tВыборка = Запрос.",
        "input_extra": [{"text": "Перем А;\n", "filename": "b.bsl", "time": 0}],
        "n_predict": 128, "stop": [], "n_indent": 1, "top_k": 40, "top_p": 0.9, "samplers": ["top_k", "top_p", "infill"],
        "stream": false, "cache_prompt": true, "t_max_prompt_ms": 500, "t_max_predict_ms": 1000,
        "response_fields": ["content", "timings/prompt_n", "timings/prompt_ms", "timings/predicted_n", "truncated", "tokens_cached", ""],
    });
    let answer = server.post("/infill", body.clone()).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
    // The plug-in looks for this in the raw text.
    assert!(answer.text.starts_with('{') && answer.text.contains("\"content\":\""));
    let json = answer.json();
    let mut keys: Vec<&String> = json.as_object().unwrap().keys().collect();
    keys.sort();
    assert_eq!(
        keys,
        [
            "content",
            "timings/predicted_n",
            "timings/prompt_ms",
            "timings/prompt_n",
            "tokens_cached",
            "truncated"
        ]
    );
    assert_eq!(json["content"], EXPECTED);
    assert!(json["timings/prompt_n"].as_u64().unwrap() > 20);

    let mut ring = body.clone();
    ring["n_predict"] = json!(0);
    ring["response_fields"] = json!([""]);
    assert_eq!(server.post("/infill", ring).await.json(), json!({}));

    let mut several = body.clone();
    several["response_fields"] = json!(null);
    several["n_cmpl"] = json!(2);
    let json = server.post("/infill", several).await.json();
    assert_eq!(json.as_array().unwrap().len(), 2);
    assert_eq!(json[1]["content"], EXPECTED);
    assert_eq!(json[0]["stop_type"], "eos");
    check_about(&json[0]["nestor"], "balanced");

    let mut streamed = body;
    streamed["response_fields"] = json!(null);
    streamed["stream"] = json!(true);
    let answer = server.post("/infill", streamed).await;
    let events: Vec<Value> = answer
        .events()
        .iter()
        .map(|e| serde_json::from_str(e).unwrap())
        .collect();
    let text: String = events
        .iter()
        .filter_map(|e| e["content"].as_str())
        .collect();
    assert_eq!(text, EXPECTED);
    assert_eq!(events.last().unwrap()["stop"], true);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_editor_endpoint_counts_in_utf16_and_answers_with_levels() {
    let server = server(|_| {});
    server.teach().await;
    let before = format!("// Готово 🙂\n{}", up_to(BEFORE));
    let body = json!({
        "path": "CommonModules/Остатки/Ext/Module.bsl", "text": format!("{before}\n"),
        "offset": before.encode_utf16().count(), "project": "erp", "speed": "auto", "max_tokens": 40,
    });
    let answer = server.post("/v1/complete", body).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
    let json = answer.json();
    assert_eq!(json["text"], EXPECTED);
    assert!(["fast", "balanced", "accurate"].contains(&json["speed"].as_str().unwrap()));
    assert_eq!(json["project"], "erp");
    // Half a character of a piece shows as U+FFFD, so the texts need not join to the answer; the probabilities do.
    let tokens = json["tokens"].as_array().unwrap();
    let product: f64 = tokens
        .iter()
        .map(|t| t["probability"].as_f64().unwrap())
        .product();
    assert!(tokens.len() > 3 && (product - json["confidence"].as_f64().unwrap()).abs() < 1e-3);
}

#[tokio::test(flavor = "multi_thread")]
async fn auto_goes_deeper_only_where_it_is_not_sure() {
    let speed_with = async |enough: f32| {
        let server = server(|config: &mut ServerConfig| config.defaults.auto_confidence = enough);
        let body = json!({"path": "m.bsl", "text": MODULE, "offset": 40, "speed": "auto"});
        let json = server.post("/v1/complete", body).await.json();
        json["speed"].as_str().unwrap().to_owned()
    };
    assert_eq!(speed_with(1.0).await, "accurate");
    assert_eq!(speed_with(0.0).await, "fast");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_project_is_taught_shown_and_forgotten() {
    let server = server(|_| {});
    let missing = server.ask("GET", "/v1/projects/erp").await;
    assert_eq!(
        (missing.status, missing.code().as_str()),
        (StatusCode::NOT_FOUND, "project_not_found")
    );
    server.teach().await;
    let again = json!({"root": "cf", "files": [
        {"path": "CommonModules/Копия/Ext/Module.bsl", "text": MODULE},
        {"path": "noise.bsl", "text": "\u{0}\u{1}\u{2}"},
    ]});
    let learned = server.post("/v1/projects/erp/learn", again).await.json();
    assert_eq!(
        (learned["new"].as_u64(), learned["unchanged"].as_u64()),
        (Some(0), Some(1)),
        "{learned}"
    );
    assert_eq!(learned["skipped"][0]["path"], "noise.bsl");
    let shown = server.ask("GET", "/v1/projects/erp").await.json();
    // Those that were not named again stay.
    assert_eq!(
        (shown["files"].as_u64(), &shown["roots"]),
        (Some(2), &json!(["cf"]))
    );
    let all = server.ask("GET", "/v1/projects").await.json();
    assert_eq!(all["projects"][0]["name"], "erp");
    assert_eq!(
        server.ask("DELETE", "/v1/projects/erp").await.status,
        StatusCode::NO_CONTENT
    );
    assert_eq!(
        server.ask("DELETE", "/v1/projects/erp").await.status,
        StatusCode::NOT_FOUND
    );
    let body = asked(json!({}));
    assert_eq!(
        server.post("/v1/completions", body).await.status,
        StatusCode::NOT_FOUND
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_learned_counts_in_a_server_that_has_the_project_loaded() {
    let server = server(|_| {});
    let other = json!({"root": "cf", "files": [{"path": "Пусто.bsl", "text": "Процедура Пусто()\nКонецПроцедуры\n"}]});
    server.post("/v1/projects/erp/learn", other).await;
    let before = server
        .post("/v1/completions", asked(json!({})))
        .await
        .json();
    assert_ne!(before["choices"][0]["text"], EXPECTED);
    server.teach().await;
    let until = std::time::Instant::now() + std::time::Duration::from_secs(20);
    loop {
        let after = server
            .post("/v1/completions", asked(json!({})))
            .await
            .json();
        if after["choices"][0]["text"] == EXPECTED {
            return;
        }
        assert!(std::time::Instant::now() < until, "{after}");
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn events_are_counted_and_never_twice() {
    let server = server(|_| {});
    let body = json!({"path": "m.bsl", "text": MODULE, "offset": 40});
    let id = server.post("/v1/complete", body).await.json()["id"]
        .as_str()
        .unwrap()
        .to_owned();
    let events = json!({"events": [
        {"event": "shown", "id": id, "characters": 12},
        {"event": "partly_accepted", "id": id, "characters": 4},
        {"event": "partly_accepted", "id": id, "characters": 6},
        {"event": "accepted", "id": id, "characters": 12},
        {"event": "retained", "id": id, "after_seconds": 30, "accepted": 12, "retained": 9},
        {"event": "typed", "characters": 5},
        {"event": "shown", "id": "edit-unknown", "characters": 12},
    ]});
    let answer = server.post("/v1/events", events).await.json();
    assert_eq!(
        (answer["taken"].as_u64(), answer["unknown"].as_u64()),
        (Some(6), Some(1))
    );
    let metrics = server.ask("GET", "/metrics").await.text;
    for line in [
        r#"nestor_suggestion_characters_total{event="accepted"} 12"#,
        r#"nestor_suggestions_total{event="accepted"} 1"#,
        r#"nestor_suggestions_total{event="partly_accepted"} 1"#,
        r#"nestor_retained_characters_total{after_seconds="30"} 9"#,
        "nestor_typed_characters_total 5",
    ] {
        assert!(
            metrics.lines().any(|found| found == line),
            "{line}\n{metrics}"
        );
    }
    for wrong in [
        json!({"event": "retained", "id": "x", "after_seconds": 31, "accepted": 1, "retained": 1}),
        json!({"event": "retained", "id": "x", "after_seconds": 30, "accepted": 1, "retained": 2}),
        json!({"event": "shown", "id": "x", "characters": 1, "text": "Секрет"}),
    ] {
        let answer = server.post("/v1/events", json!({"events": [wrong]})).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{}", answer.text);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_users_type_is_scored_by_level() {
    let server = server(|_| {});
    server.teach().await;
    for seen in ["\tПока ", "Цикл\n"] {
        let text = up_to(seen);
        let body = json!({"path": "m.bsl", "text": text, "offset": text.encode_utf16().count(), "project": "erp"});
        assert_eq!(
            server.post("/v1/complete", body).await.status,
            StatusCode::OK
        );
    }
    let until = std::time::Instant::now() + std::time::Duration::from_secs(20);
    loop {
        let metrics = server.ask("GET", "/metrics").await.text;
        let value = |name: &str, level: &str| {
            let start = format!("{name}{{level=\"{level}\"}} ");
            let line = metrics.lines().find_map(|line| line.strip_prefix(&start));
            line.unwrap().parse::<u64>().unwrap()
        };
        let scored = value("nestor_online_tokens_total", "all");
        if scored > 0 {
            assert_eq!(scored, value("nestor_online_tokens_total", "1"));
            let hits = value("nestor_online_correct_tokens_total", "0");
            assert!(hits * 2 > scored, "{hits} of {scored}");
            return;
        }
        assert!(std::time::Instant::now() < until);
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn pieces_with_probabilities_come_while_the_text_grows() {
    use http_body_util::BodyExt as _;
    use tower::ServiceExt as _;

    let server = server(|_| {});
    server.teach().await;
    let body = |streams: bool| {
        let body = json!({
            "model": "nestor-fast", "prompt": up_to("Запрос = "), "max_tokens": 400, "logprobs": 1,
            "project": "erp", "stream": streams,
        });
        support::json_request("POST", "/v1/completions", body.to_string().into_bytes())
    };
    let whole = server.send(body(false)).await.json();
    let expected = &whole["choices"][0]["logprobs"];
    // Who reads may be held up until the text is written; not each time.
    for _ in 0..20 {
        let app = nestor_server::app(std::sync::Arc::clone(&server.app));
        let mut stream = app.oneshot(body(true)).await.unwrap().into_body();
        let (mut text, mut n_before_the_end, mut told) = (String::new(), 0, Vec::new());
        let mut n_parts = 0;
        while let Some(frame) = stream.frame().await {
            let Ok(data) = frame.unwrap().into_data() else {
                continue;
            };
            let running = server.ask("GET", "/metrics").await.text;
            let is_running = running.contains("nestor_completions_running 1");
            for line in std::str::from_utf8(&data).unwrap().lines() {
                let Some(event) = line
                    .strip_prefix("data: ")
                    .filter(|event| *event != "[DONE]")
                else {
                    continue;
                };
                let event: Value = serde_json::from_str(event).unwrap();
                let choice = &event["choices"][0];
                text.push_str(choice["text"].as_str().unwrap());
                let logprobs = &choice["logprobs"];
                if logprobs["tokens"].is_array() {
                    n_parts += 1;
                    n_before_the_end += usize::from(is_running);
                    let pieces = logprobs["tokens"].as_array().unwrap().iter().cloned();
                    let offsets = logprobs["text_offset"].as_array().unwrap().iter().cloned();
                    told.extend(pieces.zip(offsets));
                }
            }
        }
        assert_eq!(text, whole["choices"][0]["text"].as_str().unwrap());
        let pieces = expected["tokens"].as_array().unwrap().iter().cloned();
        let offsets = expected["text_offset"].as_array().unwrap().iter().cloned();
        assert_eq!(told, pieces.zip(offsets).collect::<Vec<_>>());
        assert!(n_parts > 1, "{} pieces at once", told.len());
        if n_before_the_end > 0 {
            return;
        }
    }
    panic!("no piece came before the text was whole");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_saved_file_takes_the_place_of_the_one_that_the_project_knows() {
    let server = server(|_| {});
    server.teach().await;
    let learn = "/v1/projects/erp/learn";
    let saved =
        |path: &str, text: &str| json!({"saved": true, "files": [{"path": path, "text": text}]});
    let path = "src/cf/CommonModules/Копия/Ext/Module.bsl";
    let text = format!("{MODULE}\n// Еще строка\n");
    let learned = server.post(learn, saved(path, &text)).await.json();
    assert_eq!(learned["changed"], 1, "{learned}");
    // A file that nobody knows goes to the files of requests: no source of the server's own will bring it.
    let learned = server
        .post(
            learn,
            saved(
                "Новый.bsl",
                "Процедура Новая(А) Экспорт\n\tВозврат;\nКонецПроцедуры\n",
            ),
        )
        .await
        .json();
    assert_eq!(learned["new"], 1, "{learned}");
    let shown = server.ask("GET", "/v1/projects/erp").await.json();
    assert_eq!(
        (shown["files"].as_u64(), &shown["roots"]),
        (Some(3), &json!(["cf", "files"]))
    );
    let both = json!({"saved": true, "root": "cf", "files": []});
    assert_eq!(
        server.post(learn, both).await.status,
        StatusCode::BAD_REQUEST
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_score_rises_with_what_the_project_was_taught() {
    let server = server(|_| {});
    let score = async |project: Option<&str>| {
        let file = json!({"path": "CommonModules/Третья/Ext/Module.bsl", "text": MODULE});
        let body = json!({"files": [file], "project": project});
        let answer = server.post("/v1/score", body).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
        let levels = answer.json()["levels"].as_array().unwrap().clone();
        let names: Vec<&str> = levels
            .iter()
            .map(|one| one["level"].as_str().unwrap())
            .collect();
        assert_eq!(names, ["0", "1", "2", "3", "all"]);
        assert!(
            levels
                .iter()
                .all(|one| one["pieces"].as_u64().unwrap() > 20)
        );
        levels[4]["hits"].as_u64().unwrap()
    };
    let before = score(None).await;
    server.teach().await;
    let after = score(Some("erp")).await;
    assert!(after > before, "{before} {after}");
    let many = json!({"files": vec![json!({"path": "m.bsl", "text": MODULE}); 9]});
    let refused = server.post("/v1/score", many).await;
    assert_eq!(refused.status, StatusCode::BAD_REQUEST);
}
