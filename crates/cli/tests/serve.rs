//! `nestor serve` from outside: sockets, jobs in their own processes, keys by command, hot reload.

#![allow(
    clippy::unwrap_used,
    reason = "clippy's exception for tests does not know helpers of integration tests"
)]

#[allow(dead_code, reason = "this test binary does not use all of it")]
mod support;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use support::served::{exchange, serve, toml_path, until};

#[test]
fn a_source_is_learned_by_a_job_and_counts_in_completions() {
    let trade = support::configuration();
    let served = serve(|_| {
        format!(
            "[jobs]\nsources = [{}]\n[scheduler]\ndeadline_ms = 60000\n",
            toml_path(&trade)
        )
    });
    let source = trade.join("cf").display().to_string();
    let job = served.json(
        "POST",
        "/v1/projects/trade/learn",
        Some(&json!({"source": source})),
    );
    let id = job["id"].as_str().unwrap();
    assert_eq!(
        (job["kind"].as_str(), job["state"].as_str()),
        (Some("learn"), Some("running"))
    );
    let path = format!("/v1/train/{id}");
    let mut shares = Vec::new();
    until("the source is learned", || {
        let job = served.json("GET", &path, None);
        shares.extend(job["progress"].as_f64());
        job["state"] != "running"
    });
    let done = served.json("GET", &path, None);
    assert_eq!(done["state"], "done", "{done}");
    // It tells how far it is, and the figures of Prometheus do.
    assert!(shares.iter().any(|share| *share < 1.0), "{shares:?}");
    assert!(shares.is_sorted(), "{shares:?}");
    assert_eq!(done["progress"], 1.0);
    assert!(done["tokens"].as_u64().unwrap() > 0, "{done}");
    let progress = "nestor_train_progress_ratio{run=\"trade\",kind=\"learn\"} ";
    assert_eq!(served.metric(progress), 1.0);
    let project = served.json("GET", "/v1/projects/trade", None);
    assert!(project["files"].as_u64().unwrap() > 10, "{project}");
    let text = "Процедура А()\n\tЗапрос = Новый \nКонецПроцедуры\n";
    let offset = text.find("Новый ").unwrap() + "Новый ".len();
    let body = json!({"path": "CommonModules/А/Ext/Module.bsl", "text": text, "offset": offset, "offset_unit": "bytes", "project": "trade"});
    let answer = served.json("POST", "/v1/complete", Some(&body));
    assert_eq!(answer["text"], "Запрос;", "{answer}");
    let shares = answer["contributions"].as_array().unwrap();
    assert!(
        shares
            .iter()
            .any(|part| part["part"] == "project" || part["part"] == "file")
    );
    // A job can be asked to end at any time, also after it has.
    assert_eq!(served.send("DELETE", &path, None, None).0, 202);
}

#[test]
fn an_export_that_is_posted_is_offered_and_one_that_is_gone_is_not() {
    let served = serve(|_| "[scheduler]\ndeadline_ms = 60000\n".to_owned());
    let module = "CommonModules/КурсыБанка/Ext/Module.bsl";
    let exporting =
        |method: &str| format!("Функция {method}() Экспорт\n\tВозврат 1;\nКонецФункции\n");
    let xml = "<MetaDataObject xmlns=\"http://v8.1c.ru/8.3/MDClasses\" version=\"2.17\"><CommonModule><Properties>\
        <Name>КурсыБанка</Name></Properties></CommonModule></MetaDataObject>";
    let learn = "/v1/projects/erp/learn";
    let body = json!({"root": "cf", "files": [
        {"path": "CommonModules/КурсыБанка.xml", "text": xml},
        {"path": module, "text": exporting("СтарыйКурсЗолота")},
    ]});
    let learned = served.json("POST", learn, Some(&body));
    assert_eq!(
        (
            &learned["new"],
            &learned["descriptions"],
            &learned["skipped"]
        ),
        (&json!(1), &json!(1), &json!([])),
        "{learned}"
    );
    let offered = || {
        let text = "Процедура Б()\n\tКурс = КурсыБанка.\nКонецПроцедуры\n";
        let offset = text.find("Банка.").unwrap() + "Банка.".len();
        let body = json!({"path": "cf/CommonModules/Свой/Ext/Module.bsl", "text": text, "offset": offset, "offset_unit": "bytes", "project": "erp"});
        served.json("POST", "/v1/complete", Some(&body))["text"].to_string()
    };
    until("the export is offered", || offered().contains("СтарыйКурс"));
    let saved =
        json!({"saved": true, "files": [{"path": module, "text": exporting("СвежийКурсПлатины")}]});
    served.json("POST", learn, Some(&saved));
    until(
        "the new export is offered in the place of the old one",
        || offered().contains("СвежийКурс"),
    );
    // What the server wrote itself it does not read again.
    let loads = || {
        std::thread::sleep(Duration::from_millis(2_200));
        offered();
        std::thread::sleep(Duration::from_millis(500));
        served.metric("nestor_reloads_total{what=\"project\",result=\"ok\"}")
    };
    let before = loads();
    let gone = json!({"saved": true, "files": [{"path": "CommonModules/КурсыБанка.xml", "text": xml.replace("КурсыБанка", "Иное")}]});
    assert_eq!(served.json("POST", learn, Some(&gone))["descriptions"], 1);
    until("a module without its description is none", || {
        !offered().contains("СвежийКурс")
    });
    assert!((loads() - before).abs() < 0.5);
}

#[test]
fn what_a_client_saves_and_what_a_source_brings_do_not_undo_each_other() {
    let sources = tempfile::tempdir().unwrap();
    let source = sources.path().canonicalize().unwrap().join("cf");
    let served = serve(|_| {
        format!(
            "[jobs]\nsources = [{}]\n[scheduler]\ndeadline_ms = 60000\n",
            toml_path(source.parent().unwrap())
        )
    });
    let write = |path: &str, text: &str| {
        let path = source.join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
    };
    let module = "CommonModules/КурсыБанка/Ext/Module.bsl";
    let exporting =
        |method: &str| format!("Функция {method}() Экспорт\n\tВозврат 1;\nКонецФункции\n");
    let described = |name: &str| {
        format!(
            "<MetaDataObject xmlns=\"http://v8.1c.ru/8.3/MDClasses\" version=\"2.17\"><CommonModule><Properties>\
            <Name>{name}</Name></Properties></CommonModule></MetaDataObject>"
        )
    };
    write("CommonModules/КурсыБанка.xml", &described("КурсыБанка"));
    write(module, &exporting("СтарыйКурсЗолота"));
    // Older than their first reading, as a rule.
    let file = std::fs::File::options()
        .write(true)
        .open(source.join(module));
    let an_hour_ago = std::time::SystemTime::now() - Duration::from_secs(3600);
    file.unwrap().set_modified(an_hour_ago).unwrap();
    let learn = "/v1/projects/erp/learn";
    let learn_source = || {
        let body = json!({"source": source.display().to_string()});
        let job = served.json("POST", learn, Some(&body));
        let path = format!("/v1/train/{}", job["id"].as_str().unwrap());
        until("the source is learned", || {
            served.json("GET", &path, None)["state"] != "running"
        });
        let done = served.json("GET", &path, None);
        assert_eq!(done["state"], "done", "{done}");
        done["result"].clone()
    };
    let offered = || {
        let text = "Процедура Б()\n\tКурс = КурсыБанка.\nКонецПроцедуры\n";
        let offset = text.find("Банка.").unwrap() + "Банка.".len();
        let body = json!({"path": "cf/CommonModules/Свой/Ext/Module.bsl", "text": text, "offset": offset, "offset_unit": "bytes", "project": "erp"});
        served.json("POST", "/v1/complete", Some(&body))["text"].to_string()
    };
    assert_eq!(learn_source()["new"], 1);
    until("the export is offered", || offered().contains("СтарыйКурс"));

    let saved =
        json!({"saved": true, "files": [{"path": module, "text": exporting("СвежийКурсПлатины")}]});
    assert_eq!(served.json("POST", learn, Some(&saved))["changed"], 1);
    until("the saved export is offered", || {
        offered().contains("СвежийКурс")
    });
    let again = learn_source();
    assert_eq!(
        [&again["changed"], &again["unchanged"], &again["removed"]],
        [0, 1, 0],
        "{again}"
    );
    assert!(offered().contains("СвежийКурс"));

    write(module, &exporting("НовыйКурсСеребра"));
    assert_eq!(learn_source()["changed"], 1);
    until("the source's own change is offered", || {
        offered().contains("НовыйКурс")
    });

    // A change of descriptions alone is seen too.
    write("CommonModules/КурсыБанка.xml", &described("Иное"));
    assert_eq!(learn_source()["changed"], 0);
    until("a module without its description is none", || {
        !offered().contains("НовыйКурс")
    });
}

#[test]
fn a_training_run_is_watched_by_events_and_cancelled() {
    let made = support::made("serve");
    let corpus = made.corpus.clone();
    let served = serve(|_| {
        format!(
            "[jobs]\nsources = [{}]\nruns = \"runs\"\n",
            toml_path(&corpus)
        )
    });
    let body = json!({"name": "first", "corpus": corpus, "max_tokens": 100_000_000u64, "batch": 1, "seq_len": 64});
    let job = served.json("POST", "/v1/train", Some(&body));
    let path = format!("/v1/train/{}", job["id"].as_str().unwrap());
    let (status, same) = served.send("POST", "/v1/train", None, Some(&body));
    assert_eq!(status, 409, "{same}");
    until("a step is trained", || {
        let job = served.json("GET", &path, None);
        assert_eq!(job["state"], "running", "{job}");
        !job["levels"].as_array().unwrap().is_empty()
    });
    let job = served.json("GET", &path, None);
    assert_eq!(job["levels"].as_array().unwrap().len(), 3);
    assert!(job["loss"].as_f64().unwrap() > 0.0 && job["progress"].as_f64().unwrap() > 0.0);
    let (_, metrics) = served.send("GET", "/metrics", None, None);
    assert!(
        metrics.contains("nestor_train_loss_nats{run=\"first\",set=\"train\",level=\"1\"}"),
        "{metrics}"
    );
    assert_eq!(served.send("DELETE", &path, None, None).0, 202);
    // The stream ends with the job.
    let (_, events) = served.send("GET", &format!("{path}?stream=true"), None, None);
    let last = events
        .lines()
        .filter_map(|line| line.strip_prefix("data: "))
        .next_back();
    let last: Value = serde_json::from_str(last.unwrap()).unwrap();
    assert_eq!(last["state"], "cancelled");
    let (status, refused) = served.send(
        "POST",
        "/v1/train",
        None,
        Some(&json!({"name": "b", "corpus": "/etc", "epochs": 1})),
    );
    assert_eq!(status, 400, "{refused}");
}

#[test]
fn a_client_that_goes_away_frees_its_place() {
    let served = serve(|_| "[scheduler]\nworkers = 1\ndeadline_ms = 60000\n".to_owned());
    let body = json!({"model": "nestor-accurate", "prompt": "// Долгий текст\nПроцедура А()\n", "max_tokens": 512, "n": 8, "temperature": 1.0}).to_string();
    let mut stream = TcpStream::connect(&served.address).unwrap();
    write!(
        stream,
        "POST /v1/completions HTTP/1.1\r\nHost: {}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        served.address,
        body.len()
    )
    .unwrap();
    until("it runs", || {
        served.metric("nestor_completions_running ") > 0.0
    });
    drop(stream);
    let gone = Instant::now();
    until("its place is free", || {
        served.metric("nestor_completions_running ") == 0.0
    });
    // Eight times 512 pieces take far longer than this.
    assert!(
        gone.elapsed() < Duration::from_secs(5),
        "{:?}",
        gone.elapsed()
    );
    assert_eq!(
        served.metric("nestor_completions_total{speed=\"accurate\",outcome=\"cancelled\"} "),
        1.0
    );
}

#[test]
fn slow_headers_slow_bodies_and_idle_connections_hold_nothing_up() {
    let served = serve(|_| "[limits]\nheader_timeout_ms = 300\nbody_timeout_ms = 300\n".to_owned());
    let mut idle: Vec<TcpStream> = (0..200)
        .map(|_| TcpStream::connect(&served.address).unwrap())
        .collect();
    assert_eq!(served.json("GET", "/health", None)["status"], "ok");
    let mut slow = TcpStream::connect(&served.address).unwrap();
    write!(slow, "POST /v1/complete HTTP/1.1\r\nHost: {}\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{{", served.address).unwrap();
    let mut answer = String::new();
    slow.read_to_string(&mut answer).unwrap();
    assert!(
        answer.starts_with("HTTP/1.1 408") && answer.contains("body_timeout"),
        "{answer}"
    );
    // The server hangs up on who says nothing.
    let mut rest = Vec::new();
    idle[0]
        .set_read_timeout(Some(Duration::from_secs(20)))
        .unwrap();
    idle[0].read_to_end(&mut rest).unwrap();
    let mut garbage = TcpStream::connect(&served.address).unwrap();
    garbage.write_all(&[0xff; 4_000]).unwrap();
    let mut answer = Vec::new();
    let _ = garbage.read_to_end(&mut answer);
    assert!(!answer.starts_with(b"HTTP/1.1 200"));
    assert_eq!(served.json("GET", "/health/ready", None)["status"], "ok");
}

#[test]
fn keys_are_made_by_command_and_a_running_server_notices() {
    let served = serve(|_| String::new());
    let body = json!({"model": "nestor-fast", "prompt": "А = "});
    assert_eq!(
        served.send("POST", "/v1/completions", None, Some(&body)).0,
        200
    );
    let keys = |arguments: &[&str]| {
        let mut command = support::command();
        command
            .args(["--lang=en", "--json", "keys"])
            .args(arguments);
        let ran = support::run(command.arg("--config").arg(&served.config));
        assert_eq!(ran.code, 0, "{}", ran.stderr);
        ran.json()
    };
    let key = keys(&["add", "Иванов", "--rights", "complete,admin"]);
    let key = key["key"].as_str().unwrap();
    let stored = std::fs::read_to_string(served.dir.path().join("keys.json")).unwrap();
    assert!(!stored.contains(key));
    let status = |key: Option<&str>| served.send("POST", "/v1/completions", key, Some(&body)).0;
    until("the key is needed", || status(None) == 401);
    assert_eq!(status(Some(key)), 200);
    assert_eq!(keys(&["list"])["keys"][0]["name"], "Иванов");
    keys(&["add", "second"]);
    keys(&["revoke", "Иванов"]);
    until("the key is revoked", || status(Some(key)) == 401);
}

#[test]
fn a_changed_configuration_is_taken_over_and_a_broken_one_is_not() {
    let served = serve(|_| String::new());
    let status = |tokens: u32| {
        let body = json!({"model": "nestor-fast", "prompt": "А = ", "max_tokens": tokens});
        served.send("POST", "/v1/completions", None, Some(&body)).0
    };
    assert_eq!(status(9), 200);
    let text = std::fs::read_to_string(&served.config).unwrap();
    std::fs::write(&served.config, format!("{text}[limits]\nmax_tokens = 8\n")).unwrap();
    until("the limit holds", || status(9) == 400);
    std::fs::write(&served.config, "listen = 7").unwrap();
    until("the broken file was seen", || {
        served.metric("nestor_reloads_total{what=\"config\",result=\"failed\"} ") > 0.0
    });
    assert_eq!((status(8), status(9)), (200, 400));
}

#[test]
fn a_changed_model_is_loaded_beside_the_old_one_and_a_broken_one_is_not() {
    let bundled = support::workspace().join("models").join("tiny");
    let served = serve(|dir| {
        support::copy_folder(&bundled, &dir.join("model"));
        "model = \"model\"\n".to_owned()
    });
    let complete = || {
        let body = json!({"model": "nestor-fast", "prompt": "А = Новый "});
        served.json("POST", "/v1/completions", Some(&body))["choices"][0]["text"].clone()
    };
    let before = complete();
    let reloads = |result: &str| {
        served.metric(&format!(
            "nestor_reloads_total{{what=\"model\",result=\"{result}\"}} "
        ))
    };
    let gate = served.dir.path().join("model").join("gate.json");
    let text = std::fs::read(&gate).unwrap();
    std::fs::write(&gate, &text).unwrap();
    until("the model is loaded anew", || reloads("ok") > 0.0);
    assert_eq!(complete(), before);
    std::fs::write(&gate, b"{").unwrap();
    until("the broken model was seen", || reloads("failed") > 0.0);
    assert_eq!(complete(), before);
}

#[test]
fn wrong_use_is_named() {
    let refused = |arguments: &[&str], code: i32, says: &str| {
        let ran = support::nestor(arguments);
        assert_eq!(ran.code, code, "{arguments:?}: {}", ran.stderr);
        assert!(ran.stderr.contains(says), "{arguments:?}: {}", ran.stderr);
    };
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("server.toml");
    let path = file.to_str().unwrap();
    let keys = format!("keys = {}\n", toml_path(&dir.path().join("keys.json")));
    for (text, code, says) in [
        ("listen = \"0.0.0.0:0\"", 2, "nestor keys add"),
        ("listen = \"here\"", 3, "listen"),
        ("colour = 1", 3, "colour"),
        ("[scheduler]\nqueue = 0", 2, "scheduler.queue"),
        ("model = \"gpt\"", 3, "gpt"),
        (
            "[tls]\ncertificate = \"no.pem\"\nkey = \"no.key\"",
            3,
            "no.pem",
        ),
    ] {
        std::fs::write(&file, format!("{keys}{text}\n")).unwrap();
        refused(&["serve", "--config", path], code, says);
    }
    refused(&["serve", "--config", "no/such.toml"], 3, "no/such.toml");
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    std::fs::write(&file, &keys).unwrap();
    refused(
        &["serve", "--config", path, "--listen", &address],
        3,
        "--listen",
    );
    let keys = dir.path().join("keys.json");
    let keys = keys.to_str().unwrap();
    refused(
        &["keys", "add", "a", "--rights", "fly", "--file", keys],
        2,
        "fly",
    );
    refused(
        &["keys", "add", "a", "--projects", "a/b", "--file", keys],
        2,
        "a/b",
    );
    refused(&["keys", "revoke", "nobody", "--file", keys], 3, "nobody");
}

/// The text that a file of a round holds: a name that nothing else has.
fn taught_text(round: usize, file: usize) -> String {
    format!(
        "Процедура П{round}_{file}() Экспорт\n\tРезультат = Модуль{round}.Метод{file}();\nКонецПроцедуры\n"
    )
}

/// The status of an answer; nothing when the server went away before the whole of it was there: what was cut off acknowledges nothing.
fn post(address: &str, path: &str, body: &Value) -> Option<u16> {
    let (status, told) = exchange(address, "POST", path, None, Some(body))?;
    serde_json::from_str::<Value>(&told).ok()?;
    Some(status)
}

#[test]
fn killed_under_load_the_server_loses_nothing_that_it_said_it_learned() {
    const ROUNDS: usize = 12;
    const PER_ROUND: usize = 200;
    let dir = tempfile::tempdir().unwrap();
    let mut acknowledged: Vec<(usize, usize)> = Vec::new();
    for round in 0..=ROUNDS {
        let mut served = serve(|_| format!("memory = {}\n", toml_path(dir.path())));
        if !acknowledged.is_empty() {
            // It opens, and all that was acknowledged is there.
            let body = json!({"path": "m.bsl", "text": "А = ", "offset": 4, "project": "erp", "deadline_ms": 60_000});
            served.json("POST", "/v1/complete", Some(&body));
            let project = served.json("GET", "/v1/projects/erp", None);
            let files = project["files"].as_u64().unwrap() as usize;
            let sent = acknowledged.len() + round;
            assert!(
                (acknowledged.len()..=sent).contains(&files),
                "{files} {project}"
            );
        }
        if round == ROUNDS {
            // Nothing was torn: learned once more, each acknowledged text is the one that is known.
            for (round, file) in &acknowledged {
                let files = [
                    json!({"path": format!("{round}/{file}.bsl"), "text": taught_text(*round, *file)}),
                ];
                let learned = served.json(
                    "POST",
                    "/v1/projects/erp/learn",
                    Some(&json!({"files": files})),
                );
                assert_eq!(learned["unchanged"], 1, "{round}/{file}: {learned}");
            }
            break;
        }
        let (address, told) = (served.address.clone(), std::sync::Mutex::new(Vec::new()));
        let stopped = std::sync::atomic::AtomicBool::new(false);
        let is_over = || stopped.load(std::sync::atomic::Ordering::Relaxed);
        std::thread::scope(|scope| {
            // One teaches file after file, two complete, until the server is gone.
            scope.spawn(|| {
                for file in 0..PER_ROUND {
                    let files = [json!({"path": format!("{round}/{file}.bsl"), "text": taught_text(round, file)})];
                    let body = json!({"files": files});
                    match post(&address, "/v1/projects/erp/learn", &body) {
                        Some(200) => told.lock().unwrap().push((round, file)),
                        _ if is_over() => return,
                        other => panic!("{other:?}"),
                    }
                }
            });
            for _ in 0..2 {
                scope.spawn(|| {
                    while !is_over() {
                        let body = json!({"path": "m.bsl", "text": "А = Модуль", "offset": 10, "project": "erp"});
                        let _ = post(&address, "/v1/complete", &body);
                    }
                });
            }
            until("something is learned", || told.lock().unwrap().len() > 1);
            // At another point of the work in every round.
            std::thread::sleep(Duration::from_millis(7 * round as u64 % 50));
            stopped.store(true, std::sync::atomic::Ordering::Relaxed);
            served.child.kill().unwrap();
            served.child.wait().unwrap();
        });
        acknowledged.extend(told.into_inner().unwrap());
    }
    assert!(acknowledged.len() >= 2 * ROUNDS);
}

/// Local port and remote address of the sockets of a process, as the kernel writes them in hexadecimal digits.
#[cfg(target_os = "linux")]
fn sockets(process: u32) -> Vec<(u16, String)> {
    let inodes: Vec<String> = std::fs::read_dir(format!("/proc/{process}/fd"))
        .unwrap()
        .flatten()
        .filter_map(|entry| std::fs::read_link(entry.path()).ok())
        .filter_map(|link| {
            let link = link.to_string_lossy().into_owned();
            Some(link.strip_prefix("socket:[")?.strip_suffix(']')?.to_owned())
        })
        .collect();
    let mut found = Vec::new();
    for table in ["tcp", "tcp6", "udp", "udp6"] {
        let text =
            std::fs::read_to_string(format!("/proc/{process}/net/{table}")).unwrap_or_default();
        for line in text.lines().skip(1) {
            let fields: Vec<&str> = line.split_whitespace().collect();
            if inodes.iter().any(|inode| fields[9] == inode) {
                let port = fields[1].rsplit(':').next().unwrap();
                found.push((u16::from_str_radix(port, 16).unwrap(), fields[2].to_owned()));
            }
        }
    }
    found
}

#[cfg(target_os = "linux")]
#[test]
fn the_server_opens_no_connection_of_its_own() {
    let served = serve(|_| String::new());
    let port: u16 = served.address.rsplit(':').next().unwrap().parse().unwrap();
    let open = TcpStream::connect(&served.address).unwrap();
    let body = json!({"model": "nestor-auto"});
    served.send("POST", "/v1/completions", None, Some(&body));
    let body = json!({"path": "m.bsl", "text": "А = ", "offset": 4, "speed": "auto"});
    served.json("POST", "/v1/complete", Some(&body));
    let all = sockets(served.child.id());
    // The listening one, and the one that was taken from us.
    assert!(all.len() >= 2, "{all:?}");
    assert!(all.iter().all(|(local, _)| *local == port), "{all:?}");
    drop(open);
}
