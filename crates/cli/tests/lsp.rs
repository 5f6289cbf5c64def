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
        let mut command = support::command();
        command.arg("--memory").arg(memory).args(arguments);
        Self::of(command)
    }

    /// A client of a command that ends with arguments of `nestor lsp`.
    fn of(with_arguments: std::process::Command) -> Self {
        let mut command = support::command();
        command.args(["--lang=en", "lsp", "--stdio", "--speed", "fast"]);
        command.args(with_arguments.get_args());
        for (name, value) in with_arguments.get_envs() {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        let mut child = command
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

/// A method with a comment that says what it does, between others.
const EMPTY_METHOD: &str = "// 🙂\r\nПроцедура А()\r\n\tБ();\r\nКонецПроцедуры\r\n\r\n// Возвращает остатки товаров на складе.\r\nФункция ОстаткиТоваров(Склад) Экспорт\r\n\r\nКонецФункции\r\n";

fn actions_at(line: u32) -> Value {
    let at = json!({"line": line, "character": 0});
    json!({"textDocument": {"uri": DOC}, "range": {"start": at, "end": at}, "context": {"diagnostics": []}})
}

/// The text after one edit.
fn edited(text: &str, edit: &Value) -> String {
    let at = |position: &Value| {
        let line = position["line"].as_u64().unwrap() as usize;
        let start: usize = text.split_inclusive('\n').take(line).map(str::len).sum();
        let units = position["character"].as_u64().unwrap() as usize;
        let rest = text[start..].encode_utf16().take(units).collect::<Vec<_>>();
        start + String::from_utf16(&rest).unwrap().len()
    };
    let (start, end) = (at(&edit["range"]["start"]), at(&edit["range"]["end"]));
    let mut text = text.to_owned();
    text.replace_range(start..end, edit["newText"].as_str().unwrap());
    text
}

/// Whether a body stands in the method, which is closed as before and the only thing that changed.
fn check_body(text: &str) {
    let (head, _) = EMPTY_METHOD.split_once("\r\n\r\nКонецФункции").unwrap();
    let body = text.strip_prefix(head).unwrap_or_else(|| panic!("{text}"));
    let body = body.strip_suffix("\r\nКонецФункции\r\n");
    let body = body.unwrap_or_else(|| panic!("{text}"));
    assert!(body.starts_with("\r\n\t") && body.len() > 8, "{body:?}");
    assert!(!body.replace("\r\n", "").contains('\n'));
}

#[test]
fn the_body_of_an_empty_method_is_written_when_the_action_is_picked() {
    let dir = tempfile::tempdir().unwrap();
    let mut client = Client::start(dir.path(), &[]);
    let capabilities = json!({
        "textDocument": {"codeAction": {"dataSupport": true, "resolveSupport": {"properties": ["edit"]}}},
        "workspace": {"workspaceEdit": {"documentChanges": true}},
    });
    let hello = client.hello(capabilities, Value::Null);
    let provider = &hello["result"]["capabilities"]["codeActionProvider"];
    assert_eq!(provider["resolveProvider"], true);
    client.open(EMPTY_METHOD);
    // A method that has a body is left alone.
    let none = client.ask("textDocument/codeAction", actions_at(2));
    assert_eq!(none["result"], json!([]));
    let offered = client.ask("textDocument/codeAction", actions_at(5));
    let action = offered["result"][0].clone();
    assert_eq!(action["kind"], "refactor.rewrite", "{offered}");
    assert!(action["title"].as_str().unwrap().contains("ОстаткиТоваров"));
    assert!(action["edit"].is_null() && action["command"].is_null());
    let resolved = client.ask("codeAction/resolve", action.clone());
    let change = &resolved["result"]["edit"]["documentChanges"][0];
    assert_eq!(
        change["textDocument"],
        json!({"uri": DOC, "version": 1}),
        "{resolved}"
    );
    check_body(&edited(EMPTY_METHOD, &change["edits"][0]));

    // Cancelled on the way, and asked for again.
    let id = client.request("codeAction/resolve", action.clone());
    client.notify("$/cancelRequest", json!({"id": id}));
    assert_eq!(client.answer(id)["error"]["code"], -32800);
    let again = client.ask("codeAction/resolve", action.clone());
    assert_eq!(again["result"]["edit"], resolved["result"]["edit"]);
    // What was offered for another text is not written.
    let change = json!({"textDocument": {"uri": DOC, "version": 2}, "contentChanges": [{"text": EMPTY_METHOD}]});
    client.notify("textDocument/didChange", change);
    let stale = client.ask("codeAction/resolve", action);
    assert_eq!(stale["error"]["code"], -32801, "{stale}");
    let foreign = client.ask(
        "codeAction/resolve",
        json!({"title": "x", "data": {"a": 1}}),
    );
    assert_eq!(foreign["error"]["code"], -32602, "{foreign}");
    client.bye();
}

#[test]
fn a_client_that_resolves_nothing_gets_the_body_by_a_command() {
    let dir = tempfile::tempdir().unwrap();
    let mut client = Client::start(dir.path(), &[]);
    client.hello(json!({}), Value::Null);
    client.open(EMPTY_METHOD);
    let offered = client.ask("textDocument/codeAction", actions_at(7));
    let command = &offered["result"][0]["command"];
    assert_eq!(command["command"], "nestor.writeBody", "{offered}");
    let run = json!({"command": command["command"], "arguments": command["arguments"]});
    let done = client.ask("workspace/executeCommand", run);
    assert!(done["error"].is_null(), "{done}");
    let apply = client
        .notes
        .iter()
        .find(|note| note["method"] == "workspace/applyEdit");
    let edit = &apply.unwrap()["params"]["edit"]["changes"][DOC][0];
    check_body(&edited(EMPTY_METHOD, edit));
    client.bye();
}

/// A `nestor serve` with the key that it wants.
struct Server {
    child: Child,
    url: String,
    key: String,
    dir: tempfile::TempDir,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Server {
    /// Starts it; with a certificate where `tls` says so, which lies in `ca.pem` then.
    fn start(tls: bool) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let config = dir.path().join("server.toml");
        let mut text =
            "listen = \"127.0.0.1:0\"\nmemory = \"projects\"\nkeys = \"keys.json\"\n".to_owned();
        if tls {
            let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
            std::fs::write(dir.path().join("ca.pem"), made.cert.pem()).unwrap();
            let key = made.signing_key.serialize_pem();
            std::fs::write(dir.path().join("key.pem"), key).unwrap();
            text.push_str("[tls]\ncertificate = \"ca.pem\"\nkey = \"key.pem\"\n");
        }
        std::fs::write(&config, text).unwrap();
        let mut keys = support::command();
        keys.args([
            "--lang=en",
            "--json",
            "keys",
            "add",
            "editor",
            "--rights",
            "complete,admin",
        ]);
        let made = support::run(keys.arg("--config").arg(&config)).json();
        let mut child = support::command()
            .args(["--lang=en", "serve", "--json", "--config"])
            .arg(&config)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut line = String::new();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        stdout.read_line(&mut line).unwrap();
        let told: Value = serde_json::from_str(&line).unwrap();
        Self {
            child,
            url: told["url"]
                .as_str()
                .unwrap()
                .replace("127.0.0.1", "localhost"),
            key: made["key"].as_str().unwrap().to_owned(),
            dir,
        }
    }

    /// A client of it, which finds proxies in its environment that lead nowhere.
    fn client(&self, arguments: &[&str]) -> Client {
        let mut command = std::process::Command::new("nestor");
        command.args(["--server", &self.url]).args(arguments);
        for name in ["http_proxy", "https_proxy", "HTTPS_PROXY", "ALL_PROXY"] {
            command.env(name, "http://127.0.0.1:9");
        }
        command.env("NESTOR_KEY", &self.key);
        Client::of(command)
    }

    fn metric(&self, line_start: &str) -> f64 {
        let address = self.url.strip_prefix("http://").unwrap();
        let mut stream = std::net::TcpStream::connect(address).unwrap();
        write!(
            stream,
            "GET /metrics HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\nAuthorization: Bearer {}\r\n\r\n",
            self.key
        )
        .unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        let found = text.lines().find_map(|line| line.strip_prefix(line_start));
        found
            .unwrap_or_else(|| panic!("{line_start}\n{text}"))
            .trim()
            .parse()
            .unwrap()
    }
}

#[test]
fn a_server_completes_writes_bodies_and_counts_for_an_editor() {
    let server = Server::start(false);
    let mut client = server.client(&[]);
    client.hello(with_ghost(), Value::Null);
    client.open(&MODULE.replace("\t// 🙂🙂\r\n", "\tНовыйЗапрос = Новый Зап\r\n"));
    let answer = client.ask("textDocument/inlineCompletion", Client::inline(6, 24));
    let item = &answer["result"]["items"][0];
    assert_eq!(item["insertText"], "рос;", "{answer}");
    client.notify("textDocument/didShowCompletion", json!({"item": item}));
    let partly = json!({"item": item, "acceptedLength": 3});
    client.notify("textDocument/didPartiallyAcceptCompletion", partly);
    let command = &item["command"];
    let run = json!({"command": command["command"], "arguments": command["arguments"]});
    client.ask("workspace/executeCommand", run);

    let change = json!({"textDocument": {"uri": DOC, "version": 2}, "contentChanges": [{"text": EMPTY_METHOD}]});
    client.notify("textDocument/didChange", change);
    let offered = client.ask("textDocument/codeAction", actions_at(6));
    let command = &offered["result"][0]["command"];
    let run = json!({"command": command["command"], "arguments": command["arguments"]});
    // A body that nobody waits for any more frees the server's worker.
    let id = client.request("workspace/executeCommand", run.clone());
    while server.metric("nestor_completions_running ") == 0.0 {
        std::thread::yield_now();
    }
    client.notify("$/cancelRequest", json!({"id": id}));
    assert_eq!(client.answer(id)["error"]["code"], -32800);
    let gone = std::time::Instant::now();
    while server.metric("nestor_completions_running ") > 0.0 {
        assert!(gone.elapsed().as_secs() < 5);
    }
    let cancelled = "nestor_completions_total{speed=\"accurate\",outcome=\"cancelled\"} ";
    assert_eq!(server.metric(cancelled), 1.0);
    let done = client.ask("workspace/executeCommand", run);
    assert!(done["error"].is_null(), "{done}");
    let apply = client
        .notes
        .iter()
        .find(|note| note["method"] == "workspace/applyEdit");
    check_body(&edited(
        EMPTY_METHOD,
        &apply.unwrap()["params"]["edit"]["changes"][DOC][0],
    ));
    let learn = json!({"command": "nestor.learnWorkspace"});
    let refused = client.ask("workspace/executeCommand", learn);
    assert!(
        refused["error"]["message"]
            .as_str()
            .unwrap()
            .contains("server"),
        "{refused}"
    );
    client.bye();
    // Three of the four characters, then the rest.
    for (event, characters) in [("shown", 4.0), ("accepted", 4.0)] {
        let line = format!("nestor_suggestion_characters_total{{event=\"{event}\"}} ");
        assert_eq!(server.metric(&line), characters, "{event}");
    }
}

#[test]
fn a_server_is_reached_by_tls_with_an_authority_of_ones_own_and_a_key_of_a_file() {
    let server = Server::start(true);
    let ca = server.dir.path().join("ca.pem");
    let key = server.dir.path().join("key.txt");
    std::fs::write(&key, format!("{}\n", server.key)).unwrap();
    let (ca, key) = (ca.to_str().unwrap(), key.to_str().unwrap());
    let mut client = server.client(&["--ca", ca, "--key-file", key]);
    client.hello(with_ghost(), Value::Null);
    client.open("А = Новый ");
    let answer = client.ask("textDocument/inlineCompletion", Client::inline(0, 10));
    assert!(answer["result"]["items"].is_array(), "{answer}");
    client.bye();
    // Who does not know the authority does not speak to the server, and says why; a wrong key is told by the server.
    std::fs::write(server.dir.path().join("wrong.txt"), "nestor_wrong").unwrap();
    let wrong = server.dir.path().join("wrong.txt");
    for (arguments, says) in [
        (&[][..], "certificate"),
        (
            &["--ca", ca, "--key-file", wrong.to_str().unwrap()][..],
            "401",
        ),
    ] {
        let mut client = server.client(arguments);
        client.ask(
            "initialize",
            json!({"processId": null, "rootUri": null, "capabilities": with_ghost()}),
        );
        client.notify("initialized", json!({}));
        let told = loop {
            let note = client.read();
            if note["params"]["kind"] == "Error" {
                break note["params"]["message"].as_str().unwrap().to_owned();
            }
        };
        assert!(told.contains(says), "{told}");
        // A request is answered all the same.
        client.open("А = ");
        let answer = client.ask("textDocument/inlineCompletion", Client::inline(0, 4));
        assert_eq!(answer["error"]["code"], -32803, "{answer}");
        client.bye();
    }
}

#[test]
fn wrong_ways_to_a_server_are_named() {
    let refused = |arguments: &[&str], code: i32, says: &str| {
        let ran = support::nestor(&[&["lsp"][..], arguments].concat());
        assert_eq!(ran.code, code, "{arguments:?}: {}", ran.stderr);
        assert!(ran.stderr.contains(says), "{arguments:?}: {}", ran.stderr);
    };
    let url = "http://localhost:1";
    refused(&["--server", url, "--key-file", "no/such"], 3, "no/such");
    refused(&["--key-file", "k"], 2, "--server");
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
