//! `nestor eval --protocol commits --baseline openai:URL:MODEL` from outside: a server of the test's own, and Nestor's.

#![allow(
    clippy::unwrap_used,
    reason = "clippy's exception for tests does not know helpers of integration tests"
)]

#[allow(dead_code, reason = "this test binary does not use all of it")]
mod support;

use std::path::Path;
use std::sync::{Arc, Mutex};

use nestor_assist::{Assistant, ByteOffset, CompleteRequest, Speed, StopRule};
use serde_json::{Value, json};
use support::repository::commit;
use support::served::{exchange, serve};
use support::stub::{Asked, Stub};
use support::{Ran, command, run, workspace};

const KEY: &str = "sk-geheim";

const BEFORE: &str =
    "// 🙂 Склад\nПроцедура Печать(Склад) Экспорт\n\tЗапрос = Новый Запрос;\nКонецПроцедуры\n";

/// Three lines more.
const AFTER: &str = "// 🙂 Склад\nПроцедура Печать(Склад) Экспорт\n\tЗапрос = Новый Запрос;\n\tВыборка = Запрос.Выполнить().Выбрать();\n\tПока Выборка.Следующий() Цикл\n\tКонецЦикла;\nКонецПроцедуры\n";

/// A repository whose last commit has added the lines.
fn repository(dir: &Path) {
    let file = |text: &str| [("Модуль.bsl", text.to_owned())];
    let first = commit(dir, None, 1_000, &file(BEFORE));
    let last = commit(dir, Some(first), 2_000, &file(AFTER));
    std::fs::write(dir.join("HEAD"), format!("{last}\n")).unwrap();
}

/// Measures the repository beside a peer.
fn eval(address: &str, more: &[&str]) -> Ran {
    let dir = tempfile::tempdir().unwrap();
    repository(dir.path());
    let mut command = command();
    command.args(["--lang=en", "eval"]).arg(dir.path());
    command.args(["--protocol", "commits", "--commits", "1", "--baseline"]);
    command.arg(format!("openai:{address}")).args(more);
    // Proxies that lead nowhere: a server on this machine is asked directly.
    for name in ["http_proxy", "https_proxy", "ALL_PROXY"] {
        command.env(name, "http://127.0.0.1:9");
    }
    run(command.env("NESTOR_OPENAI_KEY", KEY))
}

/// What stands in the last commit behind the prompt of a request.
fn right(asked: &Asked) -> String {
    let prompt = asked.body["prompt"].as_str().unwrap();
    let rest = AFTER.strip_prefix(prompt).unwrap_or_default();
    rest.split('\n').next().unwrap().to_owned()
}

fn row(report: &Value) -> Value {
    let rows = report["results"].as_array().unwrap();
    assert_eq!(rows.len(), 2, "{report}");
    assert_eq!(rows[0]["level"], "all");
    assert!(rows[0]["list_saved"].is_number(), "{report}");
    rows[1].clone()
}

#[test]
fn a_peer_with_probabilities_is_measured_beside_nestor() {
    let stub = Stub::start(|asked, _| {
        let answer = json!({"choices": [{"text": right(asked), "logprobs": {"token_logprobs": [-0.25, -0.25]}}]});
        (200, answer.to_string())
    });
    let ran = eval(&format!("{}/v1:qwen:7b", stub.url), &["--json"]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let row = row(&ran.json());
    assert_eq!(row["level"], "openai:qwen:7b");
    for (field, expected) in [
        ("whole_line_exact", 1.0),
        ("precision", 1.0),
        ("precision_at_30", 1.0),
        ("invented", 0.0),
    ] {
        assert_eq!(row[field], expected, "{field} {row}");
    }
    let chars = row["chars"].as_f64().unwrap();
    // One key a line.
    let saved = row["keystrokes_saved"].as_f64().unwrap();
    assert!((saved - (chars - 3.0) / chars).abs() < 1e-9, "{row}");
    let threshold = row["threshold_at_30"].as_f64().unwrap();
    assert!((threshold - (-0.5_f64).exp()).abs() < 1e-6, "{row}");
    assert_eq!(row["curve"].as_array().unwrap().len(), 10);
    assert_eq!((&row["failed"], &row["without"]), (&json!(0), &json!([])));

    let asked = stub.asked();
    assert_eq!(asked.len() as u64, row["asked"].as_u64().unwrap() + 1);
    let first = &asked[1];
    assert_eq!(first.line, "POST /v1/completions HTTP/1.1");
    assert_eq!(
        first.authorization.as_deref(),
        Some(format!("Bearer {KEY}").as_str())
    );
    let prompt = AFTER.split_once("Выборка").unwrap().0;
    let expected = json!({
        "model": "qwen:7b", "prompt": prompt, "suffix": "\n\tПока Выборка.Следующий() Цикл\n\tКонецЦикла;\nКонецПроцедуры\n",
        "max_tokens": 64, "temperature": 0, "stop": ["\n"], "logprobs": 1,
    });
    assert_eq!(first.body, expected);
}

#[test]
fn without_probabilities_the_surest_are_not_made_up_and_fields_that_are_refused_are_told() {
    let stub = Stub::start(|asked, _| {
        if asked.body.get("suffix").is_some() {
            // As llama.cpp's server has it.
            let error = json!({"error": {"code": 500, "message": "Unsupported param: suffix", "type": "server_error"}});
            return (500, error.to_string());
        }
        let answer =
            json!({"choices": [{"text": format!("{}\nмимо", right(asked)), "logprobs": null}]});
        (200, answer.to_string())
    });
    let ran = eval(&format!("{}:m", stub.url), &["--json"]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let row = row(&ran.json());
    assert_eq!(row["precision"], 1.0, "{row}");
    for field in [
        "precision_at_30",
        "threshold_at_30",
        "keystrokes_saved_at_30",
    ] {
        assert!(row[field].is_null(), "{field} {row}");
    }
    assert_eq!(
        (&row["curve"], &row["log"], &row["without"]),
        (&json!([]), &json!([]), &json!(["suffix"]))
    );
    assert!(
        ran.stderr
            .contains("takes no \"suffix\" and was asked without it"),
        "{}",
        ran.stderr
    );
}

#[test]
fn a_request_is_sent_once_more_then_counted() {
    // The first answer opens the way; the second fails once, the next one for good.
    let stub = Stub::start(|asked, n| match n {
        1 => (503, "busy".to_owned()),
        3 | 4 => (500, format!(r#"{{"error": "key {KEY} has had enough"}}"#)),
        _ => {
            let answer = json!({"choices": [{"text": right(asked)}]});
            (200, answer.to_string())
        }
    });
    let ran = eval(&format!("{}:m", stub.url), &[]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let line = ran.stdout.lines().find(|line| line.contains("openai:m"));
    let line = line.unwrap_or_else(|| panic!("{}", ran.stdout));
    let n_places = stub.asked().len() - 3;
    let told = format!("1 of {n_places} requests without an answer");
    assert!(line.contains(&told), "{line}");
    assert!(
        line.contains("right of the surest 30 %: - %"),
        "no probabilities, no surest: {line}"
    );
    assert!(
        ran.stderr.contains("key ... has had enough"),
        "{}",
        ran.stderr
    );
    assert!(!ran.stderr.contains(KEY) && !ran.stdout.contains(KEY));
}

#[test]
fn a_server_that_is_no_peer_ends_the_command() {
    let check = |address: &str, expected: &[&str]| {
        let ran = eval(address, &[]);
        assert_eq!(ran.code, 3, "{}", ran.stderr);
        for part in expected {
            assert!(ran.stderr.contains(part), "{part}: {}", ran.stderr);
        }
        assert!(!ran.stderr.contains(KEY), "{}", ran.stderr);
    };
    // Nobody listens on a port that was free a moment ago.
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", free.local_addr().unwrap());
    drop(free);
    let endpoint = format!("{address}/v1/completions (--baseline)");
    check(&format!("{address}:m"), &[&endpoint, "refused"]);

    let answers: [(u16, String, &[&str]); 4] = [
        (
            401,
            format!(r#"{{"error": {{"message": "bad key {KEY}"}}}}"#),
            &["401", "bad key ...", "NESTOR_OPENAI_KEY"],
        ),
        (404, "no model".to_owned(), &["404", "no model"]),
        (
            200,
            r#"{"choices": [{"message": {}}]}"#.to_owned(),
            &["choices[0].text"],
        ),
        (200, "<html>".to_owned(), &["not JSON"]),
    ];
    for (status, body, expected) in answers {
        let stub = Stub::start(move |_, _| (status, body.clone()));
        check(&format!("{}:m", stub.url), expected);
    }
    // It answers once, then never again.
    let stub = Stub::start(|_, n| match n {
        0 => (200, r#"{"choices": [{"text": ""}]}"#.to_owned()),
        _ => (500, "gone mad".to_owned()),
    });
    check(&format!("{}:m", stub.url), &["gone mad"]);
}

#[test]
fn the_peer_belongs_to_the_protocol_commits() {
    let check = |arguments: &[&str], expected: &str| {
        let ran = run(command().args(["--lang=en", "eval", "."]).args(arguments));
        assert_eq!(ran.code, 2, "{}", ran.stderr);
        assert!(ran.stderr.contains(expected), "{}", ran.stderr);
    };
    let peer = "openai:http://127.0.0.1:9:m";
    check(
        &["--baseline", peer],
        "--baseline openai belongs to --protocol commits",
    );
    check(
        &["--baseline", peer, "--protocol", "maintenance"],
        "belongs to --protocol commits",
    );
    check(
        &["--baseline", "ngram", "--protocol", "commits"],
        "writes no lines",
    );
    let with_corpus = ["--baseline", peer, "--protocol", "commits"];
    check(
        &[&with_corpus[..], &["--baseline-corpus", "."]].concat(),
        "learns nothing",
    );
    for wrong in ["openai:m", "openai:http://host", "gpt"] {
        check(
            &["--protocol", "commits", "--baseline", wrong],
            "openai:http://HOST:PORT:MODEL",
        );
    }
}

#[test]
fn nestor_itself_answers_a_peer_as_the_assistant_does() {
    let served = serve(|_| "[scheduler]\ndeadline_ms = 60000\n".to_owned());
    let address = served.address.clone();
    let answers: Arc<Mutex<Vec<(Asked, String)>>> = Arc::default();
    let heard = Arc::clone(&answers);
    let stub = Stub::start(move |asked, _| {
        let body = Some(&asked.body);
        let (status, answer) =
            exchange(&address, "POST", "/v1/completions", None, body).expect("the server answers");
        let value: Value = serde_json::from_str(&answer).unwrap_or_default();
        let text = value["choices"][0]["text"].as_str().unwrap_or_default();
        heard.lock().unwrap().push((asked.clone(), text.to_owned()));
        (status, answer)
    });
    let ran = eval(&format!("{}:nestor-accurate", stub.url), &["--json"]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let row = row(&ran.json());
    assert_eq!(
        (&row["failed"], &row["without"]),
        (&json!(0), &json!([])),
        "{row}"
    );
    assert!(row["precision_at_30"].is_number(), "{row}");

    // What the interface does not tell: the path, and what the project has taught.
    let assistant = Assistant::open(&workspace().join("models").join("tiny")).unwrap();
    let answers = answers.lock().unwrap();
    assert_eq!(answers.len() as u64, row["asked"].as_u64().unwrap() + 1);
    let (mut n_right, mut n_said) = (0, 0);
    for (asked, text) in &answers[1..] {
        let [prompt, suffix] =
            ["prompt", "suffix"].map(|field| asked.body[field].as_str().unwrap());
        let at = ByteOffset(prompt.len());
        let completion = assistant.complete(&CompleteRequest {
            speed: Speed::Accurate,
            max_tokens: 64,
            stop: StopRule::Text,
            ..CompleteRequest::new("Module.bsl", format!("{prompt}{suffix}"), at)
        });
        let own = completion.unwrap().insert;
        assert_eq!(text, own.split('\n').next().unwrap(), "{prompt}");
        let said = text.trim_end();
        let rest = right(asked);
        let after = rest.strip_prefix(said).filter(|_| !said.is_empty());
        let is_name = |text: &str| text.starts_with(|c: char| c.is_alphanumeric());
        n_right += u32::from(after.is_some_and(|after| {
            !(is_name(after) && said.ends_with(|c: char| c.is_alphanumeric()))
        }));
        n_said += u32::from(!text.is_empty());
    }
    assert!(n_right > 0, "the model knows nothing: {row}");
    let precision = row["precision"].as_f64().unwrap();
    assert!((precision - f64::from(n_right) / f64::from(n_said)).abs() < 1e-9);
}
