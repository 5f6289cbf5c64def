//! Any bytes on stdin of the language server: it answers, refuses or ends, and never panics.

#![no_main]

use libfuzzer_sys::fuzz_target;
use lsp_server::{Connection, Message, Notification, Request};
use nestor_assist::Speed;
use nestor_lsp::{Engine, Options};
use nestor_memory::Projects;
use serde_json::json;
use std::io::BufReader;

fn options() -> Options {
    Options {
        engine: Engine::Local {
            model: "no-such-model".into(),
            projects: Projects::at("no-such-projects"),
            program: "no-such-program".into(),
        },
        project: None,
        speed: Speed::Fast,
        russian: true,
    }
}

const METHODS: [&str; 10] = [
    "textDocument/didOpen",
    "textDocument/didChange",
    "textDocument/didClose",
    "textDocument/didSave",
    "textDocument/inlineCompletion",
    "textDocument/completion",
    "textDocument/didPartiallyAcceptCompletion",
    "workspace/executeCommand",
    "workspace/didChangeConfiguration",
    "$/cancelRequest",
];

fuzz_target!(|bytes: &[u8]| {
    let (server, client) = Connection::memory();
    let serving = std::thread::spawn(move || {
        // A model that is not there: the protocol is answered all the same.
        let _ = nestor_lsp::serve(&server, options());
    });
    let send = |message: Message| client.sender.send(message).is_ok();
    let start = Request::new(
        0.into(),
        "initialize".to_owned(),
        json!({"capabilities": {}}),
    );
    send(start.into());
    send(Notification::new("initialized".to_owned(), json!({})).into());
    let mut rest = BufReader::new(bytes);
    // Frames as they come; what is no frame goes on as the parameters of some method.
    while let Ok(Some(message)) = Message::read(&mut rest) {
        if !send(message) {
            break;
        }
    }
    for line in bytes.split(|byte| *byte == b'\n').take(20) {
        let Some((first, params)) = line.split_first() else {
            continue;
        };
        let Ok(params) = serde_json::from_slice::<serde_json::Value>(params) else {
            continue;
        };
        let method = METHODS[usize::from(*first) % METHODS.len()].to_owned();
        let message = if first % 2 == 0 {
            Request::new(i32::from(*first).into(), method, params).into()
        } else {
            Notification::new(method, params).into()
        };
        if !send(message) {
            break;
        }
    }
    send(Request::new(1000.into(), "shutdown".to_owned(), json!(null)).into());
    send(Notification::new("exit".to_owned(), json!(null)).into());
    drop(client);
    serving.join().expect("the server does not panic");
});
