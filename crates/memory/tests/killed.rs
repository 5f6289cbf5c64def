//! Killed at any moment: a child process learns and forgets in a loop, the memory opens each time and holds a prefix.
#![allow(
    clippy::unwrap_used,
    reason = "clippy's exception for tests does not know helpers of integration tests"
)]

mod support;

use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use nestor_engine::{LevelMemories, LevelMemoriesConfig, Model, NetworkConfig};
use nestor_memory::{
    Cut, FileToLearn, KeptLevels, MemoryError, Operation, ProjectStore, Projects, TaughtLevels,
    WhenBusy,
};
use support::*;

const FOLDER: &str = "NESTOR_TEST_KILLED_FOLDER";
const FORGETS: &str = "NESTOR_TEST_KILLED_FORGETS";
const TEACHING_FOLDER: &str = "NESTOR_TEST_KILLED_TEACHING_FOLDER";

/// What the child does: learns file after file, commits every few, says what is durable. Every 16th file is forgotten if so told.
#[test]
fn child() {
    let Some(folder) = std::env::var_os(FOLDER) else {
        return;
    };
    let forgets = std::env::var_os(FORGETS).is_some();
    let projects = Projects::at(folder);
    let mut writer = writer(&projects);
    let mut out = std::io::stdout();
    for idx in next_idx(&writer).. {
        let text = pieces(idx);
        let learned = writer.learn(&FileToLearn {
            root: "cf",
            path: &path(idx),
            sha256: &sha(idx),
            pieces: &text,
            weight: 1.0,
            filter: None,
            vendor: false,
        });
        let done = learned.and_then(|_| {
            if idx % 5 == 0 {
                writer.commit()
            } else {
                Ok(())
            }
        });
        if let Err(error) = done {
            assert!(matches!(error, MemoryError::Io { .. }), "{error}");
            let again = writer.commit();
            assert!(matches!(again, Err(MemoryError::Failed { .. })));
            writeln!(out, "full").unwrap();
            return;
        }
        if idx % 5 == 0 {
            writeln!(out, "durable {idx}").unwrap();
            out.flush().unwrap();
        }
        if forgets && idx % 16 == 15 {
            writer.forget(&path(idx - 7)).unwrap();
            writeln!(out, "forgot {}", idx - 7).unwrap();
            out.flush().unwrap();
        }
    }
}

/// A network as small as can be: what is tested is its folder.
fn network() -> Arc<Model> {
    let config = NetworkConfig {
        width: 16,
        ffn: 16,
        vocab: VOCAB as usize,
        delta_heads: 1,
        key_dim: 8,
        value_dim: 8,
        query_heads: 1,
        kv_heads: 1,
        head_dim: 16,
        window: 16,
        exit_rank: 2,
        ..NetworkConfig::nano(3)
    };
    Model::random(&config, 3).unwrap()
}

/// What teaching goes on from; outlines are taken without their nearest states, which are `assist`'s to read again.
fn taught(store: &ProjectStore, model: &Model) -> Option<TaughtLevels> {
    let config = LevelMemoriesConfig::default();
    let kept = store.newest_levels(config, model).unwrap()?;
    Some(match kept {
        KeptLevels::Whole(levels) => levels,
        KeptLevels::Outline(outline, seen) => TaughtLevels {
            memories: outline.without_states(),
            seen,
        },
    })
}

/// What the teaching child does: learns a file, teaches it, keeps the memories, says so; forgets one now and then.
#[test]
fn teaching_child() {
    let Some(folder) = std::env::var_os(TEACHING_FOLDER) else {
        return;
    };
    let projects = Projects::at(folder);
    let mut writer = writer(&projects);
    let model = network();
    let mut out = std::io::stdout();
    let mut levels = taught(&writer, &model);
    for idx in next_idx(&writer).. {
        learn(&mut writer, idx, idx);
        let mut next = levels.take().unwrap_or_else(|| TaughtLevels {
            memories: LevelMemories::new(LevelMemoriesConfig::default(), &model).unwrap(),
            seen: Vec::new(),
        });
        for file in writer.untaught(&next.seen, u64::MAX) {
            let text: Vec<u32> = writer.pieces(&file.path).unwrap();
            let memories = &mut next.memories;
            memories
                .learn_document(&model, &[1], &text[..40], 1)
                .unwrap();
            next.seen.push(file.seq);
        }
        writer.save_levels(&next, &model).unwrap();
        writeln!(out, "durable {}", next.seen.len()).unwrap();
        out.flush().unwrap();
        levels = Some(next);
        if idx % 5 == 4 {
            writer.forget(&path(idx - 2)).unwrap();
            writeln!(out, "forgot {}", idx - 2).unwrap();
            out.flush().unwrap();
            levels = taught(&writer, &model);
        }
    }
}

#[test]
fn a_teacher_killed_at_any_moment_leaves_memories_that_load_and_hold_nothing_forgotten() {
    let place = place();
    let model = network();
    let mut forgotten = Vec::new();
    let mut loaded = 0;
    for (run, moment) in moments(40).enumerate() {
        let moment = moment + Duration::from_millis(150);
        let (saved, just) =
            run_and_kill_as(&place.projects, "teaching_child", TEACHING_FOLDER, moment);
        let has_forgotten = !just.is_empty();
        forgotten.extend(just);
        if !place.projects.holds(&name()) {
            continue;
        }
        let store = open(&place.projects);
        let found = taught(&store, &model);
        let forgets = store.history().iter();
        let forgets = forgets.filter(|record| matches!(record.op, Operation::Forget { .. }));
        // Killed between forgetting and saying so it has gone back to an earlier snapshot.
        if !has_forgotten && forgets.count() == forgotten.len() {
            let seen = found.as_ref().map_or(0, |levels| levels.seen.len() as u64);
            assert!(
                seen >= saved.unwrap_or_default(),
                "run {run}: {seen} of {saved:?}"
            );
        }
        loaded += usize::from(found.is_some());
        assert!(store.snapshots().len() <= 9, "{:?}", store.snapshots());
        for idx in &forgotten {
            assert!(store.file(&path(*idx)).is_none(), "{idx} came back");
        }
        // What is left by a kill between the two is gone once the project is opened to change.
        drop(support::writer(&place.projects));
        let store = open(&place.projects);
        assert!(store.snapshots().iter().all(|snapshot| snapshot.holds));
    }
    assert!(
        loaded > 10 && !forgotten.is_empty(),
        "{loaded} {forgotten:?}"
    );
}

/// One more than the last file that counts.
fn next_idx(store: &ProjectStore) -> u64 {
    let last = store.files().map(|(_, file)| file.seq).max();
    let path = store
        .files()
        .find(|(_, file)| Some(file.seq) == last)
        .map(|(path, _)| path.to_owned());
    path.map_or(0, |path| {
        let digits: String = path.chars().filter(char::is_ascii_digit).collect();
        digits.parse::<u64>().unwrap() + 1
    })
}

/// Runs the child for a moment and kills it; returns the last file that it called durable and those it called forgotten.
fn run_and_kill(projects: &Projects, forgets: bool, moment: Duration) -> (Option<u64>, Vec<u64>) {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "child", "--nocapture"]);
    command.env(FOLDER, projects.dir());
    if forgets {
        command.env(FORGETS, "1");
    }
    kill_after(command, moment)
}

fn run_and_kill_as(
    projects: &Projects,
    child: &str,
    variable: &str,
    moment: Duration,
) -> (Option<u64>, Vec<u64>) {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", child, "--nocapture"]);
    command.env(variable, projects.dir());
    kill_after(command, moment)
}

fn kill_after(mut command: Command, moment: Duration) -> (Option<u64>, Vec<u64>) {
    let mut child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    std::thread::sleep(moment);
    child.kill().unwrap();
    child.wait().unwrap();
    told(child.stdout.take().unwrap())
}

/// What a child said: the last durable file, the forgotten ones.
fn told(stdout: impl std::io::Read) -> (Option<u64>, Vec<u64>) {
    let (mut durable, mut forgotten) = (None, Vec::new());
    for line in BufReader::new(stdout).lines() {
        let line = line.unwrap();
        // The test harness writes its own words before the first line, without ending them.
        if let Some((_, idx)) = line.split_once("durable ") {
            durable = idx.parse().ok();
        }
        if let Some((_, idx)) = line.split_once("forgot ") {
            forgotten.push(idx.parse().unwrap());
        }
    }
    (durable, forgotten)
}

fn moments(n: u64) -> impl Iterator<Item = Duration> {
    (0..n).map(|run| {
        let mut state = (run + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        state ^= state >> 29;
        Duration::from_millis(5 + state % 120)
    })
}

#[test]
fn a_killed_writer_leaves_a_prefix_of_what_it_learned() {
    let place = place();
    let mut cuts = 0;
    let mut before = 0;
    for (run, moment) in moments(100).enumerate() {
        if run > 0 && run % 25 == 0 {
            // Begun anew now and then, so that the first moments of a project are among those that are hit.
            assert!(
                before > 10,
                "the children came to learn: {before} files, {cuts} cuts"
            );
            place.projects.remove(&name(), WhenBusy::Fail).unwrap();
            before = 0;
        }
        let (durable, _) = run_and_kill(&place.projects, false, moment);
        if !place.projects.holds(&name()) {
            // Killed before the project was there.
            assert_eq!(durable, None);
            continue;
        }
        let store = open(&place.projects);
        if run % 8 == 0 {
            store.verify().unwrap();
        }
        cuts += usize::from(store.cut() != Cut::default());
        let n_files = store.n_files() as u64;
        for idx in 0..n_files {
            let file = store.file(&path(idx)).expect("a prefix has no gaps");
            assert_eq!(file.sha256, sha(idx));
        }
        assert!(n_files >= before, "what was there once stays");
        if let Some(durable) = durable {
            assert!(n_files > durable, "{n_files} files, {durable} was durable");
        }
        before = n_files;
    }
    let store = open(&place.projects);
    assert_eq!(store.pieces(&path(before - 1)).unwrap(), pieces(before - 1));
    drop(support::writer(&place.projects));
    assert_eq!(open(&place.projects).cut(), Cut::default());
}

#[test]
fn a_writer_killed_while_forgetting_leaves_the_old_state_or_the_new() {
    let place = place();
    let mut forgotten = Vec::new();
    for moment in moments(25) {
        let (durable, just) = run_and_kill(&place.projects, true, moment);
        forgotten.extend(just);
        if !place.projects.holds(&name()) {
            continue;
        }
        let store = open(&place.projects);
        store.verify().unwrap();
        for idx in &forgotten {
            assert!(store.file(&path(*idx)).is_none(), "{idx} came back");
        }
        if let Some(durable) = durable {
            assert!(store.file(&path(durable)).is_some() || forgotten.contains(&durable));
        }
    }
    assert!(!forgotten.is_empty());
}

/// A limit on the length of files stands for a full disk: writes are cut short and then fail.
#[cfg(unix)]
#[test]
fn a_full_disk_leaves_a_prefix_and_stops_the_writer() {
    for kilobytes in [8, 21, 34] {
        let place = place();
        let limit = format!("trap '' XFSZ; ulimit -f {}; exec \"$@\"", kilobytes * 2);
        let output = Command::new("sh")
            .args(["-c", &limit, "sh"])
            .arg(std::env::current_exe().unwrap())
            .args(["--exact", "child", "--nocapture"])
            .env(FOLDER, place.projects.dir())
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success() && said.contains("full"), "{said}");
        let store = open(&place.projects);
        store.verify().unwrap();
        let durable = told(&output.stdout[..]).0.unwrap();
        let n_files = store.n_files() as u64;
        assert!(n_files > durable);
        assert!((0..n_files).all(|idx| store.file(&path(idx)).is_some()));
        // With room again, learning goes on.
        let mut writer = writer(&place.projects);
        learn(&mut writer, n_files, n_files);
        writer.commit().unwrap();
        open(&place.projects).verify().unwrap();
    }
}
