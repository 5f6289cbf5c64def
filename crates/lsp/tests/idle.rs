//! Teaching while nobody types begins anew when another process has changed the project.

#![allow(
    clippy::unwrap_used,
    reason = "clippy's exception for tests does not know helpers of integration tests"
)]
#![cfg(unix)]

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use lsp_server::{Connection, Message, Notification, Request, RequestId};
use nestor_assist::{Assistant, Counts, LearnFile, Projects, Root, Speed, WhenBusy};
use nestor_lsp::{Engine, Options, serve};
use serde_json::{Value, json};

const MODEL: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../models/tiny");

/// Learns a module of the project `erp`, as another process does.
fn learn(projects: &Projects, name: &str) {
    let mut model = Assistant::open(Path::new(MODEL)).unwrap();
    let (project, identity) = ("erp".parse().unwrap(), model.identity());
    let opened = projects.open_or_create(&project, &identity, WhenBusy::Fail, 1);
    let mut writer = opened.unwrap();
    let root = Root {
        name: "cf".to_owned(),
        location: "/Проект/cf".to_owned(),
        role: None,
    };
    writer.set_root(&root).unwrap();
    let learning = model.learn_project(&mut writer, "cf", Counts::Stay);
    let mut learning = learning.unwrap();
    let file = LearnFile {
        path: format!("CommonModules/{name}/Ext/Module.bsl"),
        text: format!("Процедура {name}()\n\tА = 1;\nКонецПроцедуры\n"),
    };
    learning.learn(&[file]).unwrap();
    learning.finish().unwrap();
}

/// A program in the place of `nestor learn` that finds nothing to teach, and the file that grows by a line with each call.
fn program(folder: &Path) -> (PathBuf, PathBuf) {
    let (program, calls) = (folder.join("learn.sh"), folder.join("calls"));
    let said = r#"{"taught": {"pieces": 0, "pieces_left": 0}}"#;
    let script = format!(
        "#!/bin/sh\necho call >> '{}'\necho '{said}'\n",
        calls.display()
    );
    std::fs::write(&program, script).unwrap();
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
    (program, calls)
}

#[test]
fn what_another_process_learns_is_taught_while_nobody_types() {
    let folder = tempfile::tempdir().unwrap();
    let projects = Projects::at(folder.path().join("projects"));
    learn(&projects, "А");
    let (program, calls) = program(folder.path());
    let options = Options {
        engine: Engine::Local {
            model: MODEL.into(),
            projects: projects.clone(),
            program,
        },
        project: Some("erp".parse().unwrap()),
        speed: Speed::Fast,
        russian: false,
    };
    let (server, client) = Connection::memory();
    let serving = std::thread::spawn(move || serve(&server, options));
    let ask = |id: i32, method: &str, params: Value| {
        let request = Request::new(RequestId::from(id), method.to_owned(), params);
        client.sender.send(request.into()).unwrap();
    };
    let note = |method: &str| {
        let note = Notification::new(method.to_owned(), json!({}));
        client.sender.send(note.into()).unwrap();
    };
    let options = json!({"capabilities": {}, "initializationOptions": {"idleSeconds": 1}});
    ask(0, "initialize", options);
    note("initialized");

    let n_calls = || {
        let calls = std::fs::read_to_string(&calls);
        calls.map_or(0, |calls| calls.lines().count())
    };
    let until_called = |n: usize| {
        let started = Instant::now();
        while n_calls() < n {
            assert!(started.elapsed() < Duration::from_secs(60), "{n}");
            std::thread::sleep(Duration::from_millis(20));
        }
    };
    until_called(1);
    // There was nothing to teach, and nothing has changed.
    std::thread::sleep(Duration::from_secs(5));
    assert_eq!(n_calls(), 1);
    learn(&projects, "Б");
    until_called(2);

    ask(1, "shutdown", Value::Null);
    let is_answer = |message: &Message| matches!(message, Message::Response(response) if response.id == RequestId::from(1));
    while !is_answer(
        &client
            .receiver
            .recv_timeout(Duration::from_secs(20))
            .unwrap(),
    ) {}
    note("exit");
    serving.join().unwrap().unwrap();
}
