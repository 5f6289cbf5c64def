//! A `nestor serve` of its own for a test, and requests to it.
#![allow(dead_code, reason = "not every test binary uses all of it")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

/// A running server and the folder with its configuration.
pub struct Served {
    pub child: Child,
    /// Host and port.
    pub address: String,
    /// With the scheme, by the name that certificates have.
    pub url: String,
    /// Sent where a request names none.
    pub key: Option<String>,
    pub dir: tempfile::TempDir,
    pub config: PathBuf,
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A path in TOML.
pub fn toml_path(path: &Path) -> String {
    // A literal string: backslashes of Windows stay.
    format!("'{}'", path.display())
}

/// Starts a server that needs no key. `config` writes what else its configuration says, with the folder it lies in.
pub fn serve(config: impl FnOnce(&Path) -> String) -> Served {
    start(None, config)
}

/// Starts a server that wants a key, with one that has these rights.
pub fn serve_with_key(rights: &str, config: impl FnOnce(&Path) -> String) -> Served {
    start(Some(rights), config)
}

fn start(rights: Option<&str>, config: impl FnOnce(&Path) -> String) -> Served {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("server.toml");
    let more = config(dir.path());
    let memory = if more.starts_with("memory") {
        ""
    } else {
        "memory = \"projects\"\n"
    };
    let head = format!("listen = \"127.0.0.1:0\"\nkeys = \"keys.json\"\n{memory}");
    std::fs::write(&path, format!("{head}{more}")).unwrap();
    let key = rights.map(|rights| {
        let mut keys = super::command();
        keys.args([
            "--lang=en",
            "--json",
            "keys",
            "add",
            "editor",
            "--rights",
            rights,
        ]);
        let made = super::run(keys.arg("--config").arg(&path)).json();
        made["key"].as_str().unwrap().to_owned()
    });
    let mut child = super::command()
        .args(["--lang=en", "serve", "--json", "--config"])
        .arg(&path)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut line = String::new();
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    stdout.read_line(&mut line).unwrap();
    let told: Value = serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}"));
    let url = told["url"].as_str().unwrap();
    Served {
        child,
        address: url.split_once("://").unwrap().1.to_owned(),
        url: url.replace("127.0.0.1", "localhost"),
        key,
        dir,
        config: path,
    }
}

/// Sends a request on a connection of its own; the status and the body, or nothing when the server went away.
pub fn exchange(
    address: &str,
    method: &str,
    path: &str,
    key: Option<&str>,
    body: Option<&Value>,
) -> Option<(u16, String)> {
    let mut stream = TcpStream::connect(address).ok()?;
    let body = body.map(Value::to_string).unwrap_or_default();
    let key = key
        .map(|key| format!("Authorization: Bearer {key}\r\n"))
        .unwrap_or_default();
    write!(
        stream,
        "{method} {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\nContent-Type: application/json\r\n{key}Content-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    let status = answer.split(' ').nth(1)?.parse().ok()?;
    Some((status, answer.split_once("\r\n\r\n")?.1.to_owned()))
}

impl Served {
    /// Sends a request; the status and the body.
    pub fn send(
        &self,
        method: &str,
        path: &str,
        key: Option<&str>,
        body: Option<&Value>,
    ) -> (u16, String) {
        let key = key.or(self.key.as_deref());
        exchange(&self.address, method, path, key, body).expect("the server answers")
    }

    /// Sends a request that is answered well.
    pub fn json(&self, method: &str, path: &str, body: Option<&Value>) -> Value {
        let (status, text) = self.send(method, path, None, body);
        assert!(status < 300, "{method} {path}: {status} {text}");
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
    }

    /// The figure of the line that begins so.
    pub fn metric(&self, line_start: &str) -> f64 {
        let (_, text) = self.send("GET", "/metrics", None, None);
        let found = text.lines().find_map(|line| line.strip_prefix(line_start));
        found
            .unwrap_or_else(|| panic!("{line_start}\n{text}"))
            .trim()
            .parse()
            .unwrap()
    }
}

/// Waits until `done`, at most ten minutes: learning steps back on a busy machine.
pub fn until(what: &str, mut done: impl FnMut() -> bool) {
    let started = Instant::now();
    while !done() {
        assert!(started.elapsed() < Duration::from_secs(600), "{what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}
