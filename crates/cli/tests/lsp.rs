//! `nestor lsp` from outside: a client that speaks the wire protocol over stdio with the bundled model.

#![allow(
    clippy::unwrap_used,
    reason = "clippy's exception for tests does not know helpers of integration tests"
)]

#[allow(dead_code, reason = "this test binary does not use all of it")]
mod support;

use serde_json::{Value, json};
use support::lsp_client::{Client, DOC, edited};
use support::served::{Served, serve_with_key, until};

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
    let counted = &status["result"]["counted"];
    for (name, expected) in [
        ("requested", 1),
        ("shown", 1),
        ("accepted", 1),
        ("partlyAccepted", 1),
        ("acceptedCharacters", 6),
        // What was typed, less what would have come by accepting.
        ("typedCharacters", 24 - 7),
    ] {
        assert_eq!(counted[name], expected, "{name} {counted}");
    }
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

/// A server with the key that it wants; with a certificate where `tls` says so, which lies in `ca.pem` then.
fn server(tls: bool) -> Served {
    serve_with_key("complete,learn,admin", |dir| {
        if !tls {
            return String::new();
        }
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        std::fs::write(dir.join("ca.pem"), made.cert.pem()).unwrap();
        std::fs::write(dir.join("key.pem"), made.signing_key.serialize_pem()).unwrap();
        "[tls]\ncertificate = \"ca.pem\"\nkey = \"key.pem\"\n".to_owned()
    })
}

/// A client of a server, which finds proxies in its environment that lead nowhere.
fn client_of(server: &Served, arguments: &[&str]) -> Client {
    let mut command = std::process::Command::new("nestor");
    command.args(["--server", &server.url]).args(arguments);
    for name in ["http_proxy", "https_proxy", "HTTPS_PROXY", "ALL_PROXY"] {
        command.env(name, "http://127.0.0.1:9");
    }
    command.env("NESTOR_KEY", server.key.as_ref().unwrap());
    Client::of(command)
}

#[test]
fn a_server_completes_writes_bodies_and_counts_for_an_editor() {
    let server = server(false);
    let mut client = client_of(&server, &[]);
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
    let cancelled = "nestor_completions_total{speed=\"accurate\",outcome=\"cancelled\"} ";
    // It is counted when it has freed the worker.
    while server.metric("nestor_completions_running ") > 0.0 || server.metric(cancelled) < 1.0 {
        assert!(gone.elapsed().as_secs() < 5);
    }
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
    let server = server(true);
    let ca = server.dir.path().join("ca.pem");
    let key = server.dir.path().join("key.txt");
    std::fs::write(&key, format!("{}\n", server.key.as_ref().unwrap())).unwrap();
    let (ca, key) = (ca.to_str().unwrap(), key.to_str().unwrap());
    let mut client = client_of(&server, &["--ca", ca, "--key-file", key]);
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
        let mut client = client_of(&server, arguments);
        let told = client.hello_refused(with_ghost());
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
fn an_export_that_is_saved_is_offered_and_one_that_is_gone_is_not() {
    let dir = tempfile::tempdir().unwrap();
    let source = dir.path().join("src");
    let xml = "<MetaDataObject xmlns=\"http://v8.1c.ru/8.3/MDClasses\" version=\"2.17\"><CommonModule><Properties>\
        <Name>КурсыБанка</Name></Properties></CommonModule></MetaDataObject>";
    let exporting =
        |method: &str| format!("Функция {method}() Экспорт\n\tВозврат 1;\nКонецФункции\n");
    let other = source.join("CommonModules/КурсыБанка/Ext/Module.bsl");
    let own = source.join("CommonModules/Свой/Ext/Module.bsl");
    for (path, text) in [
        (&source.join("CommonModules/КурсыБанка.xml"), xml),
        (&other, &exporting("СтарыйКурсЗолота")),
        (&own, "Процедура В()\nКонецПроцедуры\n"),
    ] {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    let memory = dir.path().join("projects");
    let mut learn = support::command();
    learn.arg("learn").arg(&source).arg("--memory").arg(&memory);
    let learned = support::run(learn.args(["--project", "erp", "--teach", "0"]));
    assert_eq!(learned.code, 0, "{}", learned.stderr);

    let mut client = Client::start(&memory, &["--project", "erp"]);
    client.hello(with_ghost(), json!({"showThreshold": 0}));
    let uri = |path: &std::path::Path| {
        let path = path.to_str().unwrap().bytes().map(|byte| match byte {
            b'/' | b'.' | b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z' => char::from(byte).to_string(),
            other => format!("%{other:02X}"),
        });
        format!("file://{}", path.collect::<String>())
    };
    let open = |client: &mut Client, path: &std::path::Path, text: &str| {
        let document = json!({"uri": uri(path), "languageId": "bsl", "version": 1, "text": text});
        client.notify("textDocument/didOpen", json!({"textDocument": document}));
    };
    open(
        &mut client,
        &own,
        "Процедура Б()\n\tКурс = КурсыБанка.\nКонецПроцедуры\n",
    );
    let offered = |client: &mut Client| {
        let mut at = Client::inline(1, 19);
        at["textDocument"]["uri"] = uri(&own).into();
        let answer = client.ask("textDocument/inlineCompletion", at);
        answer["result"]["items"][0]["insertText"].to_string()
    };
    assert!(offered(&mut client).contains("СтарыйКурс"));
    open(&mut client, &other, &exporting("СвежийКурсПлатины"));
    client.notify(
        "textDocument/didSave",
        json!({"textDocument": {"uri": uri(&other)}}),
    );
    until(
        "the new export is offered in the place of the old one",
        || offered(&mut client).contains("СвежийКурс"),
    );
    client.bye();
    // What the next start knows.
    let mut client = Client::start(&memory, &["--project", "erp"]);
    client.hello(with_ghost(), json!({"showThreshold": 0}));
    open(
        &mut client,
        &own,
        "Процедура Б()\n\tКурс = КурсыБанка.\nКонецПроцедуры\n",
    );
    assert!(offered(&mut client).contains("СвежийКурс"));
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
    let told = client.hello_refused(with_ghost());
    assert!(told.contains("erp"), "{told}");
    client.open("А = Новый ");
    let answer = client.ask("textDocument/inlineCompletion", Client::inline(0, 10));
    assert!(answer["result"]["items"].is_array(), "{answer}");
    client.bye();
}

#[test]
fn a_server_learns_what_is_saved_unless_it_is_told_not_to() {
    let server = server(false);
    let text = "Процедура А()\n\tКурс = РасчётКурсовЦБ.ПолучитьКурсНаДату(Валюта, Дата);\n\tКурс = РасчётКурсовЦБ.ПолучитьКурсНаДату(Валюта, Дата);\nКонецПроцедуры\n";
    let body = json!({"files": [{"path": "CommonModules/Иной/Ext/Module.bsl", "text": "Процедура В()\nКонецПроцедуры\n"}], "root": "cf"});
    server.json("POST", "/v1/projects/erp/learn", Some(&body));
    let other = "file:///p/CommonModules/%D0%98%D0%BD%D0%BE%D0%B9/Ext/Module.bsl";
    let save = |client: &mut Client, options: Value| {
        client.hello(with_ghost(), options);
        let document = json!({"uri": other, "languageId": "bsl", "version": 1, "text": text});
        client.notify("textDocument/didOpen", json!({"textDocument": document}));
        client.notify(
            "textDocument/didSave",
            json!({"textDocument": {"uri": other}}),
        );
    };
    let files = || server.json("GET", "/v1/projects/erp", None);
    let before = files();
    let mut off = client_of(&server, &["--project", "erp"]);
    save(&mut off, json!({"learnOnSave": false}));
    off.bye();
    assert_eq!(files()["changes"], before["changes"]);
    let mut client = client_of(&server, &["--project", "erp"]);
    save(&mut client, Value::Null);
    client.open("Процедура Б()\n\tКурс = РасчётКурсовЦБ.\nКонецПроцедуры\n");
    until("the file is learned", || {
        let answer = client.ask("textDocument/inlineCompletion", Client::inline(1, 23));
        answer["result"]["items"][0]["insertText"]
            .as_str()
            .is_some_and(|text| text.contains("ПолучитьКурсНаДату(Валюта, Дата);"))
    });
    client.bye();
    // In the place of the file that the project had by that path.
    assert_eq!(files()["files"], before["files"]);
    assert_eq!(files()["roots"], json!(["cf"]));
}

#[test]
fn a_key_that_may_not_teach_is_told_once() {
    let server = serve_with_key("complete", |_| String::new());
    std::fs::create_dir_all(server.dir.path()).unwrap();
    let mut client = client_of(&server, &[]);
    client.hello(with_ghost(), json!({"showThreshold": 0}));
    let settings = json!({"settings": {"nestor": {"project": "erp"}}});
    client.notify("workspace/didChangeConfiguration", settings);
    client.open("А = Новый ");
    for _ in 0..3 {
        client.notify(
            "textDocument/didSave",
            json!({"textDocument": {"uri": DOC}}),
        );
    }
    let warned = |client: &Client| {
        let notes = client.notes.iter();
        let kinds = notes.filter(|note| note["params"]["kind"] == "Warning");
        kinds.count()
    };
    until("it is told", || {
        client.ask("nestor/status", Value::Null);
        warned(&client) > 0
    });
    // The three were sent, or the last of them; whatever came of them was told in one sentence.
    std::thread::sleep(std::time::Duration::from_millis(500));
    client.ask("nestor/status", Value::Null);
    assert_eq!(warned(&client), 1, "{:?}", client.notes);
    client.bye();
}

#[test]
fn what_is_little_sure_is_shown_only_where_it_was_asked_for() {
    let dir = tempfile::tempdir().unwrap();
    let mut client = Client::start(dir.path(), &[]);
    client.hello(with_ghost(), json!({"showThreshold": 1.0}));
    client.open(MODULE);
    let mut at = Client::inline(2, 17);
    let asked = client.ask("textDocument/inlineCompletion", at.clone());
    assert_eq!(
        asked["result"]["items"].as_array().unwrap().len(),
        1,
        "{asked}"
    );
    at["context"]["triggerKind"] = json!(2);
    let by_itself = client.ask("textDocument/inlineCompletion", at);
    assert_eq!(by_itself["result"]["items"], json!([]));
    client.bye();
}

/// A list asked for at `^` of a text behind the sign before it.
fn behind_sign(client: &mut Client, version: i64, marked: &str, sign: &str) -> Value {
    let (before, after) = marked.split_once('^').unwrap();
    let text = format!("{before}{after}");
    let change = json!({"textDocument": {"uri": DOC, "version": version}, "contentChanges": [{"text": text}]});
    client.notify("textDocument/didChange", change);
    let line = before.rsplit('\n').next().unwrap();
    let at =
        json!({"line": before.matches('\n').count(), "character": line.encode_utf16().count()});
    let context = json!({"triggerKind": 2, "triggerCharacter": sign});
    let params = json!({"textDocument": {"uri": DOC}, "position": at, "context": context});
    client.ask("textDocument/completion", params)["result"].clone()
}

#[test]
fn every_sign_that_opens_a_list_gives_what_may_follow_or_nothing_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let mut client = Client::start(dir.path(), &[]);
    let hello = client.hello(json!({}), json!({"showThreshold": 0}));
    let signs = &hello["result"]["capabilities"]["completionProvider"]["triggerCharacters"];
    let signs: Vec<&str> = signs
        .as_array()
        .unwrap()
        .iter()
        .map(|sign| sign.as_str().unwrap())
        .collect();
    client.open(MODULE);
    let requested = |client: &mut Client| {
        let status = client.ask("nestor/status", Value::Null);
        status["result"]["counted"]["requested"].as_u64().unwrap()
    };
    let method = |line: &str| {
        format!(
            "// 🙂\r\nПроцедура А(Склад) Экспорт\r\n\tЗапрос = Новый Запрос;\r\n{line}\r\nКонецПроцедуры\r\n"
        )
    };
    let asked = [
        (".", "\tВыборка = Запрос.^"),
        ("(", "\tСообщить(^"),
        (",", "\tЗапрос.УстановитьПараметр(\"Склад\",^"),
        ("=", "\tВыборка =^"),
        (" ", "\tВыборка = ^"),
        ("\"", "\tЗапрос.УстановитьПараметр(\"^"),
        ("\"", "\tЗапрос.УстановитьПараметр(\"^\""),
        ("&", "\tЗапрос.Текст = \"ВЫБРАТЬ 1 ГДЕ Склад = &^"),
        ("|", "\tЗапрос.Текст = \"ВЫБРАТЬ\r\n\t|^"),
        (
            "|",
            "\tЗапрос.Текст = \"ВЫБРАТЬ\r\n\t|^\r\n\t|ИЗ Справочник.Склады\";",
        ),
        ("\n", "\tВыборка = Запрос.Выполнить().Выбрать();\r\n\t^"),
    ];
    for (idx, (sign, line)) in asked.iter().enumerate() {
        let started = std::time::Instant::now();
        let list = behind_sign(&mut client, 10 + idx as i64, &method(line), sign);
        assert!(started.elapsed().as_secs() < 20, "{sign:?} {line}");
        let items = list["items"].as_array().unwrap_or_else(|| panic!("{list}"));
        assert!(!items.is_empty(), "{sign:?} {line}: {list}");
        let first = items[0]["textEdit"]["newText"].as_str().unwrap();
        assert!(!first.trim().is_empty(), "{sign:?} {line}: {list}");
    }
    let before = requested(&mut client);
    let unasked = [
        (".", "\t// Склад.^"),
        (",", "\t// Склад,^"),
        (" ", "\t// Склад ^"),
        (" ", "  ^"),
        (".", "\tА = 1.^"),
        ("\"", "\tА = \"Склад\"^"),
        ("|", "\tА = 1 |^"),
        ("&", "\tА = Б &^"),
    ];
    for (idx, (sign, line)) in unasked.iter().enumerate() {
        let list = behind_sign(&mut client, 50 + idx as i64, &method(line), sign);
        assert!(list.is_null(), "{sign:?} {line}: {list}");
    }
    assert_eq!(requested(&mut client), before, "no completion was made");
    let tried = asked.iter().chain(&unasked).map(|(sign, _)| *sign);
    let tried: std::collections::BTreeSet<&str> = tried.collect();
    assert_eq!(tried, signs.into_iter().collect());

    // Nothing opens by itself where the user has said so.
    let settings = json!({"settings": {"nestor": {"manual": true}}});
    client.notify("workspace/didChangeConfiguration", settings);
    let list = behind_sign(&mut client, 99, &method("\tВыборка = Запрос.^"), ".");
    assert!(list.is_null(), "{list}");
    client.bye();
}

#[test]
fn a_query_goes_on_with_a_bar_on_every_line() {
    let dir = tempfile::tempdir().unwrap();
    let mut client = Client::start(dir.path(), &[]);
    client.hello(with_ghost(), json!({"stop": "block", "maxTokens": 64}));
    let head = "Процедура А(Склад) Экспорт\r\n    Запрос = Новый Запрос;\r\n    Запрос.Текст =\r\n    \"ВЫБРАТЬ\r\n    |    Товары.Ссылка КАК Ссылка\r\n    |ИЗ";
    let tail = "\r\n    Выборка = Запрос.Выполнить().Выбрать();\r\nКонецПроцедуры\r\n";
    client.open(&format!("{head}{tail}"));
    let line = head.matches('\n').count() as u32;
    let answer = client.ask("textDocument/inlineCompletion", Client::inline(line, 7));
    let text = answer["result"]["items"][0]["insertText"].as_str();
    let text = text.unwrap_or_else(|| panic!("{answer}"));
    // To the end of the query, or of what was asked for.
    let literal = text.split('"').next().unwrap();
    let lines: Vec<&str> = literal.split("\r\n").skip(1).collect();
    assert!(!lines.is_empty(), "{text:?}");
    for line in lines {
        assert!(line.trim_start().starts_with('|'), "{text:?}");
    }
    assert!(!text.replace("\r\n", "").contains('\n'), "{text:?}");
    client.bye();
}
