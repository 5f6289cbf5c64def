//! Levels 2 and 3 learn while nobody works: by `nestor learn` without a source, and by both servers of themselves. And a learner that is
//! killed loses nothing.

#![allow(
    clippy::unwrap_used,
    reason = "clippy's exception for tests does not know helpers of integration tests"
)]

#[allow(dead_code, reason = "not every test binary uses all of it")]
mod support;

use std::path::{Path, PathBuf};

use nestor_memory::{Operation, Projects, WhenBusy};
use serde_json::{Value, json};
use support::lsp_client::Client;
use support::served::{serve, until};
use support::{Ran, command, run};

fn source() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/trade/cf/CommonModules")
}

/// Learns some modules into the project `erp` by counts alone.
fn counted(memory: &Path) -> Value {
    let ran = run(command()
        .arg("learn")
        .arg(source())
        .args(["--project", "erp", "--teach", "0", "--json"])
        .env("NESTOR_MEMORY", memory));
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    ran.json()
}

/// Pieces that the project has not taught levels 2 and 3 yet.
fn left(memory: &Path) -> u64 {
    let ran = run(command()
        .args(["learn", "--project", "erp", "--teach", "0", "--json"])
        .env("NESTOR_MEMORY", memory));
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    ran.json()["taught"]["pieces_left"].as_u64().unwrap()
}

#[test]
fn without_a_source_a_project_is_taught_on() {
    let dir = tempfile::tempdir().unwrap();
    let memory = dir.path();
    let before = counted(memory);
    let all = left(memory);
    assert!(
        all > 5_000 && before["taught"]["pieces_left"] == all,
        "{before}"
    );
    let teach = |pieces: &str| {
        run(command()
            .args(["--lang=en", "learn", "--project", "erp", "--teach", pieces])
            .env("NESTOR_MEMORY", memory))
    };
    let part = teach("3000");
    assert_eq!(part.code, 0, "{}", part.stderr);
    assert!(part.stdout.contains("are left"), "{}", part.stdout);
    let after = left(memory);
    assert!(after < all && after > 0, "{all} {after}");
    let rest = run(command()
        .args(["learn", "--project", "erp", "--teach", "all", "--json"])
        .env("NESTOR_MEMORY", memory));
    assert_eq!(rest.code, 0, "{}", rest.stderr);
    let rest = rest.json();
    assert_eq!(rest["taught"]["pieces_left"], 0);
    assert_eq!(rest["roots"], json!([]));
    // Nothing but the levels has changed.
    for what in ["files", "total_pieces", "change"] {
        assert_eq!(rest[what], before[what], "{what}");
    }

    let unknown = run(command()
        .args(["--lang=en", "learn", "--project", "crm"])
        .env("NESTOR_MEMORY", memory));
    assert_eq!(unknown.code, 3, "{}", unknown.stderr);
    assert!(unknown.stderr.contains("crm"), "{}", unknown.stderr);
    let wrong = teach("some");
    assert_eq!(wrong.code, 2, "{}", wrong.stderr);
}

#[test]
fn the_language_server_teaches_while_nobody_types() {
    let dir = tempfile::tempdir().unwrap();
    let memory = dir.path();
    counted(memory);
    let mut client = Client::start(memory, &["--project", "erp"]);
    client.hello(json!({}), json!({"idleSeconds": 1}));
    let uri = open_in_root(&mut client);
    until("a part is taught", || {
        client.ask("nestor/status", Value::Null)["result"]["teaching"] == true
            || memory.join("erp/levels.bin").exists()
    });
    // The saved file does not wait for the part.
    save(&mut client, &uri);
    until("the file is learned", || n_learned(memory) == 1);
    until("all is taught", || {
        std::thread::sleep(std::time::Duration::from_secs(1));
        client.ask("nestor/status", Value::Null)["result"]["teaching"] == false && left(memory) == 0
    });
    client.bye();
}

#[test]
fn a_saved_file_is_learned_when_another_process_lets_the_project_go() {
    let dir = tempfile::tempdir().unwrap();
    let memory = dir.path();
    counted(memory);
    let mut client = Client::start(memory, &["--project", "erp"]);
    client.hello(json!({}), json!({"learnWhenIdle": false}));
    let uri = open_in_root(&mut client);
    let name = "erp".parse().unwrap();
    let held = Projects::at(memory).open_to_write(&name, WhenBusy::Fail, 7);
    save(&mut client, &uri);
    // The worker has had the save when it answers what came behind it.
    let at = json!({"textDocument": {"uri": uri}, "position": {"line": 1, "character": 1}, "context": {"triggerKind": 1}});
    client.ask("textDocument/completion", at);
    assert_eq!(n_learned(memory), 0);
    drop(held.unwrap());
    until("the file is learned", || n_learned(memory) == 1);
    client.bye();
    assert_eq!(n_learned(memory), 1);
}

const NEW_MODULE: &str = "Idle/Ext/Module.bsl";

/// A new module of the project, open in the editor.
fn open_in_root(client: &mut Client) -> String {
    let root = std::fs::canonicalize(source()).unwrap();
    let uri = format!("file://{}/{NEW_MODULE}", root.display());
    let text = "Процедура А()\n\tБ = 1;\nКонецПроцедуры\n";
    let document = json!({"uri": uri, "languageId": "bsl", "version": 1, "text": text});
    client.notify("textDocument/didOpen", json!({"textDocument": document}));
    uri
}

fn save(client: &mut Client, uri: &str) {
    client.notify(
        "textDocument/didSave",
        json!({"textDocument": {"uri": uri}}),
    );
}

/// How often the new module was learned.
fn n_learned(memory: &Path) -> usize {
    let store = Projects::at(memory).open(&"erp".parse().unwrap()).unwrap();
    let learned = store.history().iter().filter(
        |record| matches!(&record.op, Operation::Learn { path, .. } if path.ends_with(NEW_MODULE)),
    );
    learned.count()
}

#[test]
fn a_server_teaches_while_nobody_asks() {
    let server = serve(|dir| {
        counted(&dir.join("projects"));
        "[defaults]\npreload = [\"erp\"]\n[jobs]\nteach_after_idle_s = 1\n".to_owned()
    });
    let memory = server.dir.path().join("projects");
    let jobs = || {
        let jobs = server.json("GET", "/v1/jobs", None);
        let list = jobs.as_array().unwrap().clone();
        list.into_iter().filter(|job| job["kind"] == "teach")
    };
    until("a job teaches", || jobs().next().is_some());
    // Files of a client have the project at once.
    let body = json!({"files": [{"path": "CommonModules/Иной/Ext/Module.bsl", "text": "Процедура В()\nКонецПроцедуры\n"}]});
    let learned = server.json("POST", "/v1/projects/erp/learn", Some(&body));
    assert_eq!(learned["new"], 1, "{learned}");
    until("all is taught", || {
        std::thread::sleep(std::time::Duration::from_secs(1));
        jobs().all(|job| job["state"] != "running") && left(&memory) == 0
    });
    assert!(jobs().any(|job| job["state"] == "done"));
    let request = json!({"model": "nestor-accurate", "prompt": "Процедура А()\n\t", "max_tokens": 4, "project": "erp"});
    let answer = server.json("POST", "/v1/completions", Some(&request));
    assert!(answer["choices"][0]["text"].is_string(), "{answer}");
    // Nothing is left, so nothing is started again.
    let n = jobs().count();
    std::thread::sleep(std::time::Duration::from_secs(3));
    assert_eq!(jobs().count(), n);
}

/// Kills of `nestor learn` at random moments; `NESTOR_KILLS` asks for another number.
fn n_kills() -> u64 {
    let asked = std::env::var("NESTOR_KILLS").ok();
    asked.map_or(6, |asked| asked.parse().unwrap())
}

#[test]
fn a_learner_killed_at_any_moment_leaves_a_project_that_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let (memory, sources) = (dir.path().join("проекты"), dir.path().join("cf"));
    // Code, XML that says what it is about, and a text of each round, so that every call has something to write of each kind.
    let trade = source().parent().unwrap().to_owned();
    for name in ["CommonModules", "Catalogs"] {
        copy(&trade.join(name), &sources.join(name));
    }
    std::fs::copy(
        trade.join("Configuration.xml"),
        sources.join("Configuration.xml"),
    )
    .unwrap();
    let learn = |teach: &str| {
        let mut learn = command();
        learn.arg("learn").arg(&sources);
        // Read in full, so that a call takes as long as the first one.
        learn
            .args(["--project", "erp", "--json", "--full", "--teach", teach])
            .env("NESTOR_MEMORY", &memory);
        learn
    };
    // How long a whole call takes: the kills fall anywhere in it.
    let started = std::time::Instant::now();
    let whole = run(&mut learn("5000"));
    assert_eq!(whole.code, 0, "{}", whole.stderr);
    let whole_ms = started.elapsed().as_millis() as u64;
    let files = whole.json()["files"].as_u64().unwrap();
    // A call that has ended is not killed; the test says something of those that have not.
    let mut n_alive = 0;
    for round in 0..n_kills() {
        let text = format!("Процедура Круг{round}()\n\tОстаток = {round};\nКонецПроцедуры\n");
        std::fs::write(sources.join("CommonModules/Круг.bsl"), text).unwrap();
        let object = "Catalogs/Номенклатура.xml";
        let xml = std::fs::read_to_string(trade.join(object)).unwrap();
        std::fs::write(sources.join(object), format!("{xml}<!-- {round} -->")).unwrap();
        if round % 3 == 2 {
            // The levels anew, so that some kills fall into teaching.
            let _ = std::fs::remove_file(memory.join("erp/levels.bin"));
        }
        let mut child = learn("5000")
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::null())
            .spawn()
            .unwrap();
        // Spread evenly, in an order that jumps.
        let share = (round * 7 + 3) % n_kills().max(1);
        let moment = whole_ms * share / n_kills().max(1);
        std::thread::sleep(std::time::Duration::from_millis(moment));
        n_alive += u64::from(child.try_wait().unwrap().is_none());
        let _ = child.kill();
        child.wait().unwrap();
        // Whoever comes next opens the project and completes with it, without repair.
        let module = sources.join("CommonModules/Круг.bsl");
        let ran = completes(&memory, &module);
        assert_eq!(
            ran.code, 0,
            "round {round} after {moment} ms: {}",
            ran.stderr
        );
    }
    println!("{n_alive} of {} were killed alive", n_kills());
    assert!(2 * n_alive >= n_kills(), "{n_alive} of {}", n_kills());
    let last = run(&mut learn("all"));
    assert_eq!(last.code, 0, "{}", last.stderr);
    let last = last.json();
    assert_eq!(last["files"], files + 1);
    assert_eq!(last["taught"]["pieces_left"], 0);
    let objects = last["metadata"]["objects"].as_u64().unwrap();
    assert_eq!(
        objects,
        whole.json()["metadata"]["objects"].as_u64().unwrap()
    );
}

/// A completion in the second line of a module, with the project.
fn completes(memory: &Path, module: &Path) -> Ran {
    run(command()
        .arg("complete")
        .arg(format!("{}:2:1", module.display()))
        .args(["--project", "erp", "--json"])
        .env("NESTOR_MEMORY", memory))
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap().map(Result::unwrap) {
        let (from, to) = (entry.path(), to.join(entry.file_name()));
        if from.is_dir() {
            copy(&from, &to);
        } else {
            std::fs::copy(from, to).unwrap();
        }
    }
}

/// A file that may not grow beyond so many blocks stands for a full disk.
#[cfg(unix)]
#[test]
fn a_full_disk_is_named_and_leaves_a_project_that_serves() {
    let dir = tempfile::tempdir().unwrap();
    let (memory, sources) = (dir.path().join("projects"), dir.path().join("cf"));
    let trade = source().parent().unwrap().to_owned();
    for name in ["CommonModules", "Catalogs"] {
        copy(&trade.join(name), &sources.join(name));
    }
    let whole = run(command()
        .arg("learn")
        .arg(&sources)
        .args(["--project", "erp", "--teach", "0"])
        .env("NESTOR_MEMORY", &memory));
    assert_eq!(whole.code, 0, "{}", whole.stderr);
    for entry in std::fs::read_dir(sources.join("Catalogs")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|end| end == "xml") {
            let xml = std::fs::read_to_string(&path).unwrap();
            std::fs::write(&path, format!("{xml}<!-- -->")).unwrap();
        }
    }
    let mut named = std::collections::BTreeSet::new();
    // Of 512 bytes: the index of the metadata does not fit, then the segments, then what the levels have learned.
    for blocks in ["4", "60", "120", "400"] {
        let learn = command();
        let program = learn.get_program();
        let mut limited = std::process::Command::new("sh");
        for (name, value) in learn.get_envs() {
            match value {
                Some(value) => limited.env(name, value),
                None => limited.env_remove(name),
            };
        }
        limited
            .current_dir(learn.get_current_dir().unwrap())
            .arg("-c")
            .arg(format!("trap '' XFSZ; ulimit -f {blocks}; exec \"$@\""))
            .arg("sh")
            .arg(program)
            .args(["--lang=en", "learn"])
            .arg(&sources)
            .args(["--project", "erp", "--teach", "5000"])
            .env("NESTOR_MEMORY", &memory);
        let ran = run(&mut limited);
        assert!(
            matches!(ran.code, 3 | 4),
            "{blocks}: {} {}",
            ran.code,
            ran.stderr
        );
        let file = ran.stderr.split("projects/erp/").nth(1).map(|rest| {
            let end = rest.find(':').unwrap_or(rest.len());
            rest[..end].to_owned()
        });
        named.insert(file.unwrap_or_else(|| panic!("{blocks}: no file is named: {}", ran.stderr)));
        let module = sources
            .join("CommonModules")
            .join("ПроведениеСервер/Ext/Module.bsl");
        let ran = completes(&memory, &module);
        assert_eq!(ran.code, 0, "{blocks}: {}", ran.stderr);
    }
    assert!(named.len() > 1, "{named:?}");
    let last = run(command()
        .arg("learn")
        .arg(&sources)
        .args(["--project", "erp", "--teach", "all", "--json"])
        .env("NESTOR_MEMORY", &memory));
    assert_eq!(last.code, 0, "{}", last.stderr);
    assert_eq!(last.json()["taught"]["pieces_left"], 0);
}
