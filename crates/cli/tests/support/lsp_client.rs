//! A client of `nestor lsp` that speaks the wire protocol over the pipes of a process.
#![allow(dead_code, reason = "not every test binary uses all of it")]

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, ChildStdin, ChildStdout, Stdio};

use serde_json::{Value, json};

/// The document that the tests open.
pub const DOC: &str =
    "file:///%D0%9F%D1%80%D0%BE%D0%B5%D0%BA%D1%82/CommonModules/%D0%9E/Ext/Module.bsl";

/// A client over the pipes of a process.
pub struct Client {
    child: Child,
    stdin: Option<ChildStdin>,
    stdout: BufReader<ChildStdout>,
    next_id: i64,
    /// Notifications that came while something else was waited for.
    pub notes: Vec<Value>,
}

impl Client {
    pub fn start(memory: &std::path::Path, arguments: &[&str]) -> Self {
        let mut command = super::command();
        command.arg("--memory").arg(memory).args(arguments);
        Self::of(command)
    }

    /// A client of a command that ends with arguments of `nestor lsp`.
    pub fn of(with_arguments: std::process::Command) -> Self {
        let mut command = super::command();
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

    pub fn write(&mut self, message: &Value) {
        let body = message.to_string();
        let stdin = self.stdin.as_mut().unwrap();
        write!(stdin, "Content-Length: {}\r\n\r\n{body}", body.len()).unwrap();
        stdin.flush().unwrap();
    }

    pub fn read(&mut self) -> Value {
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

    pub fn notify(&mut self, method: &str, params: Value) {
        self.write(&json!({"jsonrpc": "2.0", "method": method, "params": params}));
    }

    pub fn request(&mut self, method: &str, params: Value) -> i64 {
        self.next_id += 1;
        let id = self.next_id;
        self.write(&json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params}));
        id
    }

    pub fn answer(&mut self, id: i64) -> Value {
        loop {
            let message = self.read();
            if message["id"] == id && message.get("method").is_none() {
                return message;
            }
            self.notes.push(message);
        }
    }

    pub fn ask(&mut self, method: &str, params: Value) -> Value {
        let id = self.request(method, params);
        self.answer(id)
    }

    /// Says hello and waits until the model is open.
    pub fn hello(&mut self, capabilities: Value, options: Value) -> Value {
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

    /// Says hello where the model or the project cannot be used; the reason.
    pub fn hello_refused(&mut self, capabilities: Value) -> String {
        let params = json!({"processId": null, "rootUri": null, "capabilities": capabilities});
        self.ask("initialize", params);
        self.notify("initialized", json!({}));
        loop {
            let note = self.read();
            if note["params"]["kind"] == "Error" {
                return note["params"]["message"].as_str().unwrap().to_owned();
            }
        }
    }

    pub fn open(&mut self, text: &str) {
        let document = json!({"uri": DOC, "languageId": "bsl", "version": 1, "text": text});
        self.notify("textDocument/didOpen", json!({"textDocument": document}));
    }

    pub fn inline(line: u32, character: u32) -> Value {
        json!({
            "textDocument": {"uri": DOC}, "position": {"line": line, "character": character},
            "context": {"triggerKind": 1},
        })
    }

    pub fn bye(mut self) {
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

/// The text after one edit.
pub fn edited(text: &str, edit: &Value) -> String {
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
