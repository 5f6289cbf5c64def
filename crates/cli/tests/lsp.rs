//! `nestor lsp` from outside: a client that speaks the wire protocol over stdio with the bundled model.

#![allow(
    clippy::unwrap_used,
    reason = "clippy's exception for tests does not know helpers of integration tests"
)]

#[allow(dead_code, reason = "this test binary does not use all of it")]
mod support;

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, ChildStdin, ChildStdout, Stdio};

use serde_json::{Value, json};

const DOC: &str =
    "file:///%D0%9F%D1%80%D0%BE%D0%B5%D0%BA%D1%82/CommonModules/%D0%9E/Ext/Module.bsl";

/// A client over the pipes of a process.
struct Client {
    child: Child,
    stdin: Option<ChildStdin>,
    stdout: BufReader<ChildStdout>,
    next_id: i64,
    /// Notifications that came while something else was waited for.
    notes: Vec<Value>,
}

impl Client {
    fn start(memory: &std::path::Path, arguments: &[&str]) -> Self {
        let mut child = support::command()
            .args(["--lang=en", "lsp", "--stdio", "--speed", "fast", "--memory"])
            .arg(memory)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        Self {
            stdin: child.stdin.take(),
            stdout: BufReader::new(child.stdout.take().unwrap()),
            child,
            next_id: 0,
            notes: Vec::new(),
        }
    }

    fn write(&mut self, message: &Value) {
        let body = message.to_string();
        let stdin = self.stdin.as_mut().unwrap();
        write!(stdin, "Content-Length: {}\r\n\r\n{body}", body.len()).unwrap();
        stdin.flush().unwrap();
    }

    fn read(&mut self) -> Value {
        let mut length = None;
        loop {
            let mut line = String::new();
            assert!(
                self.stdout.read_line(&mut line).unwrap() > 0,
                "the server ended"
            );
            let line = line.trim_end();
            if line.is_empty() {
                break;
            }
            if let Some(n) = line.strip_prefix("Content-Length: ") {
                length = Some(n.parse::<usize>().unwrap());
            }
        }
        let mut body = vec![0; length.unwrap()];
        self.stdout.read_exact(&mut body).unwrap();
        serde_json::from_slice(&body).unwrap()
    }

    fn notify(&mut self, method: &str, params: Value) {
        self.write(&json!({"jsonrpc": "2.0", "method": method, "params": params}));
    }

    fn request(&mut self, method: &str, params: Value) -> i64 {
        self.next_id += 1;
        let id = self.next_id;
        self.write(&json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params}));
        id
    }

    fn answer(&mut self, id: i64) -> Value {
        loop {
            let message = self.read();
            if message["id"] == id && message.get("method").is_none() {
                return message;
            }
            self.notes.push(message);
        }
    }

    fn ask(&mut self, method: &str, params: Value) -> Value {
        let id = self.request(method, params);
        self.answer(id)
    }

    /// Says hello and waits until the model is open.
    fn hello(&mut self, capabilities: Value, options: Value) -> Value {
        let params = json!({
            "processId": null, "rootUri": null, "capabilities": capabilities, "initializationOptions": options,
        });
        let answer = self.ask("initialize", params);
        self.notify("initialized", json!({}));
        loop {
            let note = self.read();
            if note["method"] == "nestor/didChangeStatus" {
                assert_eq!(note["params"]["kind"], "Normal", "{note}");
                if note["params"]["busy"] == false {
                    return answer;
                }
            }
        }
    }

    fn open(&mut self, text: &str) {
        let document = json!({"uri": DOC, "languageId": "bsl", "version": 1, "text": text});
        self.notify("textDocument/didOpen", json!({"textDocument": document}));
    }

    fn inline(line: u32, character: u32) -> Value {
        json!({
            "textDocument": {"uri": DOC}, "position": {"line": line, "character": character},
            "context": {"triggerKind": 1},
        })
    }

    fn bye(mut self) {
        let answer = self.ask("shutdown", Value::Null);
        assert!(answer["error"].is_null(), "{answer}");
        self.notify("exit", Value::Null);
        drop(self.stdin.take());
        assert!(self.child.wait().unwrap().success());
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        // Only where a test has failed before the goodbye.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

const WITH_GHOST: &str =
    r#"{"textDocument": {"inlineCompletion": {"dynamicRegistration": false}}}"#;

fn with_ghost() -> Value {
    serde_json::from_str(WITH_GHOST).unwrap()
}

/// Text before the place of an edit, on a line with letters and signs of every width.
const MODULE: &str = "// Ёжик 🙂 проверяет\r\nПроцедура Печать(Склад) Экспорт\r\n\tЗапрос = Новый Запрос;\r\n\tВыборка = Запрос.Выполнить().Выбрать();\r\n\tПока Выборка.Следующий() Цикл\r\n\tКонецЦикла;\r\n\t// 🙂🙂\r\nКонецПроцедуры\r\n";

#[test]
fn a_module_is_opened_typed_in_completed_and_partly_accepted() {
    let dir = tempfile::tempdir().unwrap();
    let mut client = Client::start(dir.path(), &[]);
    let hello = client.hello(with_ghost(), Value::Null);
    let capabilities = &hello["result"]["capabilities"];
    assert_eq!(capabilities["inlineCompletionProvider"], true);
    assert_eq!(capabilities["textDocumentSync"]["change"], 2);
    client.open(MODULE);
    // After the two emoji, which are two units wide each: the comment's line is closed and a statement begun.
    let change = json!({
        "textDocument": {"uri": DOC, "version": 2},
        "contentChanges": [{"range": {"start": {"line": 6, "character": 4}, "end": {"line": 6, "character": 8}}, "text": "Ё\r\n\tНовыйЗапрос = Новый "}],
    });
    client.notify("textDocument/didChange", change);
    let answer = client.ask("textDocument/inlineCompletion", Client::inline(7, 21));
    let items = answer["result"]["items"]
        .as_array()
        .unwrap_or_else(|| panic!("{answer}"));
    assert_eq!(items.len(), 1, "{answer}");
    let text = items[0]["insertText"].as_str().unwrap();
    // The word that follows `Новый` in this very module.
    assert_eq!(text, "Запрос;");
    assert_eq!(
        items[0]["range"]["start"],
        json!({"line": 7, "character": 21})
    );
    let command = items[0]["command"].clone();
    assert_eq!(command["command"], "nestor.accepted");

    client.notify("textDocument/didShowCompletion", json!({"item": items[0]}));
    let partly = json!({"item": {"command": command}, "acceptedLength": 6});
    client.notify("textDocument/didPartiallyAcceptCompletion", partly);
    let run = json!({"command": "nestor.accepted", "arguments": command["arguments"]});
    assert_eq!(
        client.ask("workspace/executeCommand", run)["result"],
        Value::Null
    );
    let status = client.ask("nestor/status", Value::Null);
    let expected = json!({"requested": 1, "shown": 1, "accepted": 1, "partlyAccepted": 1, "acceptedCharacters": 6});
    assert_eq!(status["result"]["counted"], expected);
    // An entry of a list that is selected: ghost text begins with it and replaces the same range.
    let mut selected = Client::inline(7, 21);
    selected["context"]["selectedCompletionInfo"] = json!({
        "range": {"start": {"line": 7, "character": 15}, "end": {"line": 7, "character": 21}}, "text": "Новый Запрос",
    });
    let answer = client.ask("textDocument/inlineCompletion", selected);
    let text = answer["result"]["items"][0]["insertText"].as_str().unwrap();
    assert_eq!(text, "Новый Запрос;");
    // The list stays with other servers where ghost text is shown.
    let list = client.ask("textDocument/completion", Client::inline(7, 21));
    assert!(list["result"].is_null(), "{list}");
    client.bye();
}

#[test]
fn a_newer_request_and_a_cancel_end_older_ones_and_each_is_answered() {
    let dir = tempfile::tempdir().unwrap();
    let mut client = Client::start(dir.path(), &[]);
    client.hello(with_ghost(), json!({"maxTokens": 400, "stop": "block"}));
    client.open(MODULE);
    let ids: Vec<i64> = (0..6)
        .map(|_| client.request("textDocument/inlineCompletion", Client::inline(4, 29)))
        .collect();
    let mut answers = Vec::new();
    for id in &ids {
        answers.push(client.answer(*id));
    }
    let superseded = answers
        .iter()
        .filter(|one| one["error"]["code"] == -32801)
        .count();
    assert!(superseded >= 4, "{answers:?}");
    assert!(answers[5]["result"]["items"].is_array(), "{:?}", answers[5]);

    let first = client.request("textDocument/inlineCompletion", Client::inline(2, 0));
    let other = client.request("textDocument/inlineCompletion", Client::inline(4, 29));
    client.notify("$/cancelRequest", json!({"id": other}));
    let answer = client.answer(first);
    assert!(
        answer["error"]["code"] == -32801 || answer["result"].is_object(),
        "{answer}"
    );
    let answer = client.answer(other);
    assert!(
        answer["error"]["code"] == -32800 || answer["result"].is_object(),
        "{answer}"
    );
    client.bye();
}

#[test]
fn an_older_client_gets_ranked_entries_that_replace_the_typed_word() {
    let dir = tempfile::tempdir().unwrap();
    let mut client = Client::start(dir.path(), &[]);
    client.hello(json!({}), json!({"maxTokens": 16}));
    client.open(&MODULE.replace("\t// 🙂🙂\r\n", "\t/* 🙂 */ Выборка2 = Новый Зап\r\n"));
    let line = "\t/* 🙂 */ Выборка2 = Новый Зап";
    let character = line.encode_utf16().count();
    let at = json!({"textDocument": {"uri": DOC}, "position": {"line": 6, "character": character}});
    let answer = client.ask("textDocument/completion", at);
    let items = answer["result"]["items"]
        .as_array()
        .unwrap_or_else(|| panic!("{answer}"));
    assert!(!items.is_empty(), "{answer}");
    assert_eq!(answer["result"]["isIncomplete"], true);
    assert_eq!(items[0]["textEdit"]["newText"], "Запрос");
    assert_eq!(
        items[0]["textEdit"]["range"]["start"]["character"],
        character - 3
    );
    let ranks: Vec<&str> = items
        .iter()
        .map(|item| item["sortText"].as_str().unwrap())
        .collect();
    assert!(ranks.is_sorted());
    client.bye();
}

#[test]
fn what_is_saved_is_learned_for_other_modules() {
    let dir = tempfile::tempdir().unwrap();
    let mut client = Client::start(dir.path(), &[]);
    client.hello(with_ghost(), Value::Null);
    let other = "file:///p/CommonModules/Other/Ext/Module.bsl";
    let text = "Процедура А()\n\tКурс = РасчётКурсовЦБ.ПолучитьКурсНаДату(Валюта, Дата);\n\tКурс = РасчётКурсовЦБ.ПолучитьКурсНаДату(Валюта, Дата);\nКонецПроцедуры\n";
    let document = json!({"uri": other, "languageId": "bsl", "version": 1, "text": text});
    client.notify("textDocument/didOpen", json!({"textDocument": document}));
    client.open("Процедура Б()\n\tКурс = РасчётКурсовЦБ.\nКонецПроцедуры\n");
    let at = Client::inline(1, 23);
    let before = client.ask("textDocument/inlineCompletion", at.clone());
    client.notify(
        "textDocument/didSave",
        json!({"textDocument": {"uri": other}}),
    );
    let after = client.ask("textDocument/inlineCompletion", at);
    let text = |answer: &Value| answer["result"]["items"][0]["insertText"].to_string();
    assert!(!text(&before).contains("ПолучитьКурсНаДату"), "{before}");
    assert!(
        text(&after).contains("ПолучитьКурсНаДату(Валюта, Дата);"),
        "{after}"
    );
    client.bye();
}

#[test]
fn nonsense_is_answered_and_ends_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let mut client = Client::start(dir.path(), &[]);
    client.hello(with_ghost(), json!({"maxTokens": "many"}));
    let unknown = client.ask("textDocument/hover", json!({}));
    assert_eq!(unknown["error"]["code"], -32601);
    let wrong = client.ask("textDocument/inlineCompletion", json!({"textDocument": 1}));
    assert_eq!(wrong["error"]["code"], -32602);
    let closed = client.ask("textDocument/inlineCompletion", Client::inline(0, 0));
    assert_eq!(closed["error"]["code"], -32602);
    // Out of order: changed, saved and closed before it was opened.
    let change =
        json!({"textDocument": {"uri": DOC, "version": 9}, "contentChanges": [{"text": "x"}]});
    client.notify("textDocument/didChange", change);
    client.notify(
        "textDocument/didSave",
        json!({"textDocument": {"uri": DOC}}),
    );
    client.notify(
        "textDocument/didClose",
        json!({"textDocument": {"uri": DOC}}),
    );
    client.notify("no/such", json!({"a": 1}));
    client.open("\u{feff}А = ");
    // Positions outside of the document are its ends.
    for (line, character) in [(0, 4_000), (900, 0), (900, 900)] {
        let answer = client.ask(
            "textDocument/inlineCompletion",
            Client::inline(line, character),
        );
        assert!(answer["result"]["items"].is_array(), "{answer}");
    }
    let unknown = client.ask("workspace/executeCommand", json!({"command": "rm"}));
    assert_eq!(unknown["error"]["code"], -32602);
    let learn = client.ask(
        "workspace/executeCommand",
        json!({"command": "nestor.learnWorkspace"}),
    );
    assert!(
        learn["error"]["message"]
            .as_str()
            .unwrap()
            .contains("project"),
        "{learn}"
    );
    client.bye();
}

#[test]
fn a_project_that_is_not_there_is_told_and_completions_go_on() {
    let dir = tempfile::tempdir().unwrap();
    let mut client = Client::start(dir.path(), &["--project", "erp"]);
    client.ask(
        "initialize",
        json!({"processId": null, "rootUri": null, "capabilities": with_ghost()}),
    );
    client.notify("initialized", json!({}));
    let note = loop {
        let note = client.read();
        if note["params"]["kind"] == "Error" {
            break note;
        }
    };
    assert!(
        note["params"]["message"].as_str().unwrap().contains("erp"),
        "{note}"
    );
    client.open("А = Новый ");
    let answer = client.ask("textDocument/inlineCompletion", Client::inline(0, 10));
    assert!(answer["result"]["items"].is_array(), "{answer}");
    client.bye();
}
