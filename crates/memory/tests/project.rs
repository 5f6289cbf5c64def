//! Equalities of a project on disk: reopened = in memory, again = no change, forgotten = never learned, rolled back = then,
//! imported = exported.
#![allow(
    clippy::unwrap_used,
    reason = "clippy's exception for tests does not know helpers of integration tests"
)]

mod support;

use nestor_memory::{
    Change, CountedFile, FileToLearn, Filtered, Forgotten, MemoryError, Operation, ProjectCounts,
    RolledBack, WhenBusy,
};
use support::*;

#[test]
fn a_memory_reopened_is_the_memory_in_ram() {
    let place = place();
    let mut writer = writer(&place.projects);
    let mut files = Vec::new();
    for idx in 0..12 {
        assert_eq!(learn(&mut writer, idx, idx), Change::New);
        files.push((idx, idx));
    }
    for idx in [3, 7] {
        assert_eq!(learn(&mut writer, idx, 100 + idx), Change::Changed);
        files.retain(|(other, _)| *other != idx);
        files.push((idx, 100 + idx));
    }
    writer.commit().unwrap();
    let in_ram = predictions(&loaded_counts_of(&files));
    assert_close(&counts(&writer), &loaded_counts_of(&files));
    drop(writer);
    let store = open(&place.projects);
    assert_eq!(store.n_files(), 12);
    let reopened = counts(&store);
    assert_close(&reopened, &loaded_counts_of(&files));

    // Nothing was replaced here, so not even rounding may differ.
    let mut fresh = counts_of(&[]);
    let mut order: Vec<_> = store.files().collect();
    order.sort_by_key(|(_, file)| std::cmp::Reverse(file.seq));
    for (path, _) in order {
        let pieces = store.pieces(path).unwrap();
        fresh.learn(path, &folder(path), &pieces).unwrap();
    }
    assert_eq!(predictions(&reopened), predictions(&fresh));
    assert_eq!(
        predictions(&counts(&open(&place.projects))),
        predictions(&reopened)
    );
    assert_eq!(in_ram.len(), predictions(&reopened).len());
}

#[test]
fn what_a_later_call_learns_is_newer_and_in_a_call_what_comes_first() {
    let place = place();
    let mut writer = writer(&place.projects);
    for (time, files) in [(1, [1, 2]), (2, [4, 3])] {
        writer.set_time(time);
        for idx in files {
            learn(&mut writer, idx, idx);
        }
    }
    // Taken up again, a text is as old as it was.
    learn(&mut writer, 1, 9);
    writer.learn_again(&path(1), &sha(1)).unwrap();
    writer.commit().unwrap();
    let order = [2, 1, 3, 4].map(|idx| (idx, idx));
    let expected = predictions(&counts_of(&order));
    assert_eq!(predictions(&counts(&writer)), expected);
    let by_number = [1, 2, 4, 3].map(|idx| (idx, idx));
    assert_ne!(expected, predictions(&counts_of(&by_number)));
}

#[test]
fn learning_many_is_learning_each() {
    let files: Vec<CountedFile> = (0..9)
        .map(|idx| CountedFile {
            path: path(idx),
            folder: folder(&path(idx)),
            pieces: pieces(idx),
        })
        .collect();
    let mut many = ProjectCounts::new(VOCAB as usize, None).unwrap();
    many.learn_all(&files[..4], 1).unwrap();
    many.learn_all(&files[4..], 4).unwrap();
    let each: Vec<_> = (0..9).map(|idx| (idx, idx)).collect();
    assert_eq!(predictions(&many), predictions(&counts_of(&each)));
    // Learned again, each takes its own place.
    many.learn_all(&files[2..5], 2).unwrap();
    assert_eq!(many.n_files(), 9);
}

#[test]
fn a_folder_counted_early_is_one_counted_late() {
    let mut early = counts_of(&[(0, 0), (1, 1), (4, 4)]);
    // Asks for the folders of files 1 and 4, which are made now and learn with the project from here on.
    predictions(&early);
    for idx in [2, 3, 5] {
        let path = path(idx);
        early.learn(&path, &folder(&path), &pieces(idx)).unwrap();
    }
    let late = counts_of(&[(0, 0), (1, 1), (4, 4), (2, 2), (3, 3), (5, 5)]);
    assert_eq!(predictions(&early), predictions(&late));
    early.forget(&path(0)).unwrap();
    early.forget(&path(4)).unwrap();
    assert_close(&early, &counts_of(&[(1, 1), (2, 2), (3, 3), (5, 5)]));
    early.forget(&path(5)).unwrap();
    assert_close(&early, &counts_of(&[(1, 1), (2, 2), (3, 3)]));
}

#[test]
fn learning_again_changes_nothing() {
    let place = place();
    let mut writer = writer(&place.projects);
    for idx in 0..5 {
        learn(&mut writer, idx, idx);
    }
    writer.commit().unwrap();
    drop(writer);
    let bytes = || {
        ["memory.", "log.", "segments."]
            .map(|start| std::fs::read(file(&place.projects, start)).unwrap())
    };
    let before = bytes();
    let mut writer = support::writer(&place.projects);
    for idx in 0..5 {
        assert_eq!(learn(&mut writer, idx, idx), Change::Unchanged);
    }
    writer.retire("cf/never.bsl").unwrap();
    writer.commit().unwrap();
    drop(writer);
    assert_eq!(bytes(), before);
}

#[test]
fn what_is_forgotten_was_never_learned_and_is_gone_from_disk() {
    let place = place();
    let mut writer = writer(&place.projects);
    for idx in 0..8 {
        learn(&mut writer, idx, idx);
    }
    // An older text of a file is forgotten with it.
    learn(&mut writer, 5, 500);
    writer.commit().unwrap();
    let secret: Vec<Vec<u8>> = [5, 500].map(|seed| stored_frame(&place, seed)).into();
    let segments = || std::fs::read(file(&place.projects, "segments.")).unwrap();
    let holds = |secret: &[u8]| segments().windows(secret.len()).any(|part| part == secret);
    assert!(secret.iter().all(|secret| holds(secret)));

    // A reader that was there before goes on with what it had.
    let reader = open(&place.projects);
    let forgotten = writer.forget("cf\\CommonModules/Модуль5/").unwrap();
    assert_eq!(forgotten, Forgotten { files: 1, texts: 2 });
    assert!(!secret.iter().any(|secret| holds(secret)));
    assert_eq!(reader.pieces(&path(5)).unwrap(), pieces(500));

    let rest: Vec<_> = (0..8)
        .filter(|&idx| idx != 5)
        .map(|idx| (idx, idx))
        .collect();
    let expected = predictions(&loaded_counts_of(&rest));
    assert_eq!(predictions(&counts(&writer)), expected);
    assert_eq!(writer.forget(&path(5)).unwrap(), Forgotten::default());
    // The writer goes on in the new files.
    learn(&mut writer, 9, 9);
    writer.commit().unwrap();
    drop(writer);
    let store = open(&place.projects);
    store.verify().unwrap();
    let with_9: Vec<_> = rest.iter().copied().chain([(9, 9)]).collect();
    assert_eq!(
        predictions(&counts(&store)),
        predictions(&loaded_counts_of(&with_9))
    );

    // And in RAM.
    let mut in_ram = counts_of(&(0..8).map(|idx| (idx, idx)).collect::<Vec<_>>());
    in_ram.forget(&path(5)).unwrap();
    assert_close(&in_ram, &counts_of(&rest));

    let mut writer = support::writer(&place.projects);
    for nothing in ["cf/CommonModules/Модуль", "cf/нет", "", "c"] {
        let error = writer.forget(nothing).unwrap_err();
        assert!(
            matches!(error, MemoryError::NotLearned { .. }),
            "{nothing}: {error}"
        );
    }
    let all = writer.forget("cf").unwrap();
    assert_eq!((all.files, writer.n_files()), (8, 0));
}

/// The bytes that the text `seed` has on disk now, without the numbers around it.
fn stored_frame(place: &Place, seed: u64) -> Vec<u8> {
    let store = open(&place.projects);
    let bytes = std::fs::read(file(&place.projects, "segments.")).unwrap();
    let place = store.history().iter().find_map(|record| match &record.op {
        Operation::Learn { sha256, place, .. } if *sha256 == sha(seed) => *place,
        _ => None,
    });
    let place = place.unwrap();
    bytes[place.at as usize + 32..][..place.len as usize - 32].to_vec()
}

#[test]
fn rolling_back_gives_the_state_of_then() {
    let place = place();
    let mut writer = writer(&place.projects);
    for idx in 0..6 {
        learn(&mut writer, idx, idx);
    }
    writer.commit().unwrap();
    let then = writer.history().len() as u64;
    let predicted = predictions(&counts(&writer));
    learn(&mut writer, 2, 200);
    learn(&mut writer, 8, 8);
    writer.retire(&path(1)).unwrap();
    let later = writer.history().len() as u64;
    let predicted_later = predictions(&counts(&writer));
    assert_ne!(predicted, predicted_later);

    let rolled = writer.rollback(then).unwrap();
    assert_eq!(
        rolled,
        RolledBack {
            restored: 2,
            removed: 1,
            lost: Vec::new()
        }
    );
    assert_eq!(predictions(&counts(&writer)), predicted);
    drop(writer);
    assert_eq!(predictions(&counts(&open(&place.projects))), predicted);

    // The history stays, so rolling back can be rolled back.
    let mut writer = support::writer(&place.projects);
    writer.rollback(later).unwrap();
    assert_eq!(predictions(&counts(&writer)), predicted_later);

    // What was forgotten does not come back, and that is said.
    writer.forget(&path(2)).unwrap();
    let rolled = writer.rollback(then).unwrap();
    assert_eq!(rolled.lost, [path(2)]);
    let rest: Vec<_> = [0, 1, 3, 4, 5].map(|idx| (idx, idx)).into();
    assert_eq!(
        predictions(&counts(&writer)),
        predictions(&loaded_counts_of(&rest))
    );

    assert_eq!(writer.rollback(0).unwrap().removed, 5);
    assert_eq!(writer.n_files(), 0);
    let error = writer.rollback(1_000).unwrap_err();
    assert!(matches!(
        error,
        MemoryError::NoSuchChange { seq: 1_000, .. }
    ));
}

#[test]
fn a_text_that_comes_back_is_taken_up_where_it_lies() {
    let place = place();
    let mut writer = writer(&place.projects);
    for seed in [1, 2] {
        learn(&mut writer, 1, seed);
    }
    learn(&mut writer, 2, 7);
    let first = writer.history().len();
    writer.commit().unwrap();
    let segments = writer.dir().join("segments.1.bin");
    let bytes = || std::fs::metadata(&segments);
    let n_bytes = bytes().unwrap().len();
    for _ in 0..50 {
        for seed in [1, 2] {
            let change = writer.learn_again(&path(1), &sha(seed)).unwrap();
            assert_eq!(change, Some(Change::Changed));
            let unchanged = writer.learn_again(&path(1), &sha(seed)).unwrap();
            assert_eq!(unchanged, Some(Change::Unchanged));
        }
    }
    assert_eq!(writer.learn_again(&path(1), &sha(3)).unwrap(), None);
    assert_eq!(
        writer.learn_again(&path(2), &sha(1)).unwrap(),
        None,
        "another path"
    );
    writer.retire(&path(1)).unwrap();
    let new = writer.learn_again(&path(1), &sha(1)).unwrap();
    assert_eq!(new, Some(Change::New));
    // Known as what was learned first: levels 2 and 3 have nothing to learn of it.
    assert!(
        writer
            .untaught(&(1..=first as u64).collect::<Vec<_>>(), u64::MAX)
            .is_empty()
    );
    writer.commit().unwrap();
    drop(writer);
    assert_eq!(bytes().unwrap().len(), n_bytes);

    let store = open(&place.projects);
    store.verify().unwrap();
    assert_eq!(store.pieces(&path(1)).unwrap(), pieces(1));
    assert_eq!(store.file(&path(1)).unwrap().sha256, sha(1));
    let bundle = place.dir.path().join("bundle");
    store.export(&bundle).unwrap();
    let other = "Копия".parse().unwrap();
    let import = |name| {
        let imported = place
            .projects
            .import(name, &bundle, &model(), WhenBusy::Fail, 0);
        imported.unwrap()
    };
    assert_eq!(import(&other).pieces(&path(1)).unwrap(), pieces(1));

    // Forgetting takes every text of the path, and none of them can be taken up again.
    let mut writer = self::writer(&place.projects);
    assert_eq!(writer.forget(&path(1)).unwrap().files, 1);
    assert_eq!(writer.learn_again(&path(1), &sha(1)).unwrap(), None);
    let rolled = writer.rollback(first as u64 + 1).unwrap();
    assert_eq!(rolled.lost, [path(1)]);
    drop(writer);
    let store = open(&place.projects);
    assert!(store.file(&path(1)).is_none() && store.file(&path(2)).is_some());
}

#[test]
fn a_log_that_takes_up_what_was_never_learned_is_refused() {
    let place = place();
    let mut writer = writer(&place.projects);
    learn(&mut writer, 1, 1);
    learn(&mut writer, 1, 2);
    writer.learn_again(&path(1), &sha(1)).unwrap();
    writer.save_sources(b"{}").unwrap();
    let dir = writer.dir().to_owned();
    drop(writer);
    let log = dir.join("log.1.jsonl");
    let text = std::fs::read_to_string(&log).unwrap();
    let last = text.lines().find(|line| line.contains("again")).unwrap();
    for (old, new) in [
        ("\"of\":2", "\"of\":1"),
        ("\"of\":2", "\"of\":9"),
        ("Модуль1", "Модуль2"),
    ] {
        let json = last.split(",\"check\"").next().unwrap().to_owned() + "}";
        let sealed = resealed(&json.replace(old, new));
        assert_ne!(sealed, last, "{old}");
        std::fs::write(&log, text.replace(last, &sealed)).unwrap();
        let refused = place.projects.open(&name()).unwrap_err().to_string();
        assert!(refused.contains("takes up again"), "{refused}");
    }
    std::fs::write(&log, text).unwrap();
    assert_eq!(std::fs::read(dir.join("sources.json")).unwrap(), b"{}");
    drop(self::writer(&place.projects));
    assert!(dir.join("sources.json").exists(), "it is no leftover");
}

/// A line of the log whose check is right.
fn resealed(json: &str) -> String {
    use sha2::{Digest, Sha256};
    let digest = Sha256::digest(json);
    let check: String = digest[..8]
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    format!(
        "{},\"check\":\"{check}\"}}",
        json.strip_suffix('}').unwrap()
    )
}

#[test]
fn an_exported_project_comes_back_with_its_history() {
    let place = place();
    let mut writer = writer(&place.projects);
    for idx in 0..6 {
        learn(&mut writer, idx, idx);
    }
    writer.forget(&path(3)).unwrap();
    writer.note("перед обновлением").unwrap();
    writer.commit().unwrap();
    let bundle = place.dir.path().join("erp.nestor");
    let len = writer.export(&bundle).unwrap();
    assert_eq!(std::fs::metadata(&bundle).unwrap().len(), len);
    let error = writer.export(&bundle).unwrap_err();
    assert!(matches!(error, MemoryError::Exists(_)), "{error}");
    drop(writer);
    let exported = open(&place.projects);

    // Another network over the same pieces is welcome.
    let mut other_model = model();
    other_model.model_sha256 = None;
    let copy = "copy".parse().unwrap();
    let import = |name, model| {
        place
            .projects
            .import(name, &bundle, model, WhenBusy::Fail, 5)
    };
    let imported = import(&copy, &other_model).unwrap();
    assert_eq!(imported.history(), exported.history());
    assert_eq!(
        predictions(&counts(&imported)),
        predictions(&counts(&exported))
    );
    assert_eq!(imported.header().name, "copy");
    let mut other_pieces = model();
    other_pieces.tokenizer_sha256 = "cc".repeat(32);
    let other = "other".parse().unwrap();
    let error = import(&other, &other_pieces).err().unwrap();
    assert!(matches!(error, MemoryError::Tokenizer { .. }), "{error}");
    let mut other_size = model();
    other_size.vocabulary += 1;
    let error = import(&other, &other_size).err().unwrap();
    assert!(matches!(error, MemoryError::Vocabulary { .. }), "{error}");
    let error = import(&name(), &model()).err().unwrap();
    assert!(matches!(error, MemoryError::Exists(_)), "{error}");
    assert_eq!(place.projects.names().unwrap(), [copy, name()]);
}

#[test]
fn damaged_bundles_are_refused_and_leave_nothing() {
    let place = place();
    let mut writer = writer(&place.projects);
    learn(&mut writer, 1, 1);
    learn(&mut writer, 2, 2);
    writer.commit().unwrap();
    let bundle = place.dir.path().join("bundle");
    writer.export(&bundle).unwrap();
    let whole = std::fs::read(&bundle).unwrap();
    let copy = "copy".parse().unwrap();
    let check = |bytes: &[u8]| {
        std::fs::write(&bundle, bytes).unwrap();
        let imported = place
            .projects
            .import(&copy, &bundle, &model(), WhenBusy::Fail, 5);
        let error = imported.err().unwrap();
        let refused = matches!(
            error,
            MemoryError::Corrupt { .. } | MemoryError::Version { .. }
        );
        assert!(refused && error.to_string().contains("bundle"), "{error}");
    };
    for at in (0..whole.len()).step_by(whole.len() / 60) {
        let mut flipped = whole.clone();
        flipped[at] ^= 0x10;
        check(&flipped);
        check(&whole[..at]);
    }
    let mut longer = whole.clone();
    longer.push(0);
    check(&longer);
    let mut lengths = whole.clone();
    lengths[12..20].copy_from_slice(&u64::MAX.to_le_bytes());
    check(&lengths);
    let entries: Vec<_> = std::fs::read_dir(place.projects.dir())
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    assert_eq!(entries.len(), 2, "{entries:?}");
}

#[test]
fn one_project_has_one_writer_and_readers_need_not_wait() {
    let place = place();
    let mut writer = writer(&place.projects);
    learn(&mut writer, 1, 1);
    writer.commit().unwrap();
    learn(&mut writer, 2, 2);
    assert_eq!(
        open(&place.projects).n_files(),
        1,
        "the last committed state"
    );
    let again = place
        .projects
        .open_to_write(&name(), WhenBusy::Fail, 0)
        .err();
    assert!(matches!(again, Some(MemoryError::Busy { .. })));
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| {
            let mut told = 0;
            let second =
                place
                    .projects
                    .open_to_write(&name(), WhenBusy::Wait(&mut || told += 1), 0);
            (second.unwrap().n_files(), told)
        });
        std::thread::sleep(std::time::Duration::from_millis(100));
        writer.commit().unwrap();
        drop(writer);
        assert_eq!(waiting.join().unwrap(), (2, 1));
    });
    place.projects.remove(&name(), WhenBusy::Fail).unwrap();
    let gone = place.projects.open(&name()).unwrap_err();
    assert!(matches!(gone, MemoryError::Missing { .. }));
    assert_eq!(support::writer(&place.projects).n_files(), 0);
}

#[cfg(unix)]
#[test]
fn only_the_owner_may_read() {
    use std::os::unix::fs::PermissionsExt;
    let place = place();
    let mut writer = writer(&place.projects);
    learn(&mut writer, 1, 1);
    learn(&mut writer, 2, 2);
    writer.forget(&path(1)).unwrap();
    let bundle = place.dir.path().join("bundle");
    writer.export(&bundle).unwrap();
    let mode =
        |path: &std::path::Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&bundle), 0o600);
    assert_eq!(mode(place.projects.dir()), 0o700);
    assert_eq!(mode(writer.dir()), 0o700);
    for start in ["memory.", "log.", "segments."] {
        assert_eq!(mode(&file(&place.projects, start)), 0o600, "{start}");
    }
}

#[test]
fn what_a_filter_keeps_from_counting_is_remembered() {
    let place = place();
    let mut writer = support::writer(&place.projects);
    learn(&mut writer, 1, 1);
    let counted = writer.n_pieces();
    let not_counted = Filtered {
        counts: false,
        reason: "data".to_owned(),
    };
    let hash = sha(77);
    let file = |path, filter, weight| FileToLearn {
        root: "cf",
        path,
        sha256: &hash,
        pieces: &[1, 2, 3],
        weight,
        filter,
        vendor: false,
    };
    let change = writer.learn(&file("cf/blob.bsl", Some(&not_counted), 0.0));
    assert_eq!(change.unwrap(), Change::New);
    writer.learn(&file("cf/no-levels.bsl", None, 0.0)).unwrap();
    writer.commit().unwrap();
    drop(writer);

    let store = open(&place.projects);
    assert_eq!((store.n_files(), store.n_pieces()), (2, counted + 3));
    let blob = store.file("cf/blob.bsl").unwrap();
    assert_eq!(
        (blob.counts(), blob.filter.as_ref()),
        (false, Some(&not_counted))
    );
    assert_eq!(store.change("cf/blob.bsl", &hash), Change::Unchanged);
    assert_eq!(
        store.untaught(&[], u64::MAX).len(),
        1,
        "weight 0 teaches no level"
    );
    let counts = store.load_counts(None, &folder, 1, &mut |_| {});
    let counts = counts.unwrap();
    assert!(!counts.holds("cf/blob.bsl") && counts.holds("cf/no-levels.bsl"));
    drop(store);

    // The same text, judged anew.
    let mut writer = support::writer(&place.projects);
    writer.learn(&file("cf/blob.bsl", None, 1.0)).unwrap();
    assert_eq!(
        (writer.n_files(), writer.untaught(&[], u64::MAX).len()),
        (3, 2)
    );
    let before = writer.history().len();
    writer.learn(&file("cf/blob.bsl", None, 1.0)).unwrap();
    assert_eq!(writer.history().len(), before);
    writer.rollback(before as u64 - 1).unwrap();
    assert_eq!(writer.n_files(), 2);
}

#[test]
fn a_project_without_its_header_is_named_and_can_be_removed() {
    let place = place();
    drop(writer(&place.projects));
    std::fs::remove_file(file(&place.projects, "memory.json")).unwrap();
    let identity = model();
    let made = place
        .projects
        .open_or_create(&name(), &identity, WhenBusy::Fail, 0);
    for error in [
        made.err(),
        place.projects.open(&name()).err(),
        place
            .projects
            .open_to_write(&name(), WhenBusy::Fail, 0)
            .err(),
    ] {
        let Some(MemoryError::Corrupt { path, .. }) = error else {
            panic!("{error:?}");
        };
        assert!(path.ends_with("memory.json"));
    }
    place.projects.remove(&name(), WhenBusy::Fail).unwrap();
    drop(writer(&place.projects));
}

/// Waits for something, half a minute at most.
fn soon(what: &str, done: impl Fn() -> bool) {
    let began = std::time::Instant::now();
    while !done() {
        assert!(
            began.elapsed() < std::time::Duration::from_secs(30),
            "{what}"
        );
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
}

#[test]
fn whoever_wants_a_project_has_its_turn_before_those_who_teach() {
    let place = place();
    let projects = place.projects.clone();
    let (tell, turns) = std::sync::mpsc::channel();
    // Opens the project as somebody would, says that it has, and holds it for a while.
    let opener = |who: &'static str, behind: bool| {
        let (projects, tell) = (place.projects.clone(), tell.clone());
        std::thread::spawn(move || {
            let when_busy = match behind {
                true => WhenBusy::WaitBehind(&mut || ()),
                false => WhenBusy::Wait(&mut || ()),
            };
            let opened = projects.open_to_write(&name(), when_busy, 0).unwrap();
            tell.send(who).unwrap();
            std::thread::sleep(std::time::Duration::from_millis(50));
            drop(opened);
        })
    };
    let wait = || std::thread::sleep(std::time::Duration::from_millis(100));

    // Those who wait: all of them before any that teaches, who ask nobody.
    let held = writer(&projects);
    let teachers = ["teacher", "teacher"].map(|who| opener(who, true));
    wait();
    assert!(!projects.is_wanted(&name()));
    let waiting = ["waits", "waits"].map(|who| opener(who, false));
    soon("they are seen", || projects.is_wanted(&name()));
    wait();
    drop(held);
    for one in waiting.into_iter().chain(teachers) {
        one.join().unwrap();
    }
    let order: Vec<&str> = turns.try_iter().collect();
    assert_eq!(order, ["waits", "waits", "teacher", "teacher"]);
    assert!(!projects.is_wanted(&name()));

    // Those who come again: the teachers leave the project to them, free as it is.
    let held = writer(&projects);
    let again = || projects.open_to_write(&name(), WhenBusy::ComeAgain, 0);
    assert!(matches!(again().err(), Some(MemoryError::Busy { .. })));
    assert!(projects.is_wanted(&name()));
    let teachers = ["teacher", "teacher"].map(|who| opener(who, true));
    drop(held);
    wait();
    assert!(turns.try_iter().next().is_none());
    drop(again().unwrap());
    assert!(!projects.is_wanted(&name()));
    for one in teachers {
        one.join().unwrap();
    }
    assert_eq!(turns.try_iter().count(), 2);

    // Who gives up asks nothing of anybody.
    let held = writer(&projects);
    let refused = projects.open_to_write(&name(), WhenBusy::Fail, 0);
    assert!(matches!(refused.err(), Some(MemoryError::Busy { .. })));
    assert!(!projects.is_wanted(&name()));

    // Who does not come again is not waited for for ever.
    assert!(again().is_err());
    let wish = projects.dir().join(format!(".locks/{}~wanted", name()));
    let wish = std::fs::File::options().write(true).open(wish).unwrap();
    for (age_s, counts) in [(30, true), (41, false), (-3600, false)] {
        let now = std::time::SystemTime::now();
        let age = std::time::Duration::from_secs(i64::unsigned_abs(age_s));
        let left = if age_s < 0 { now + age } else { now - age };
        wish.set_modified(left).unwrap();
        assert_eq!(projects.is_wanted(&name()), counts, "{age_s}");
    }
    drop(held);
    let teacher = projects.open_to_write(&name(), WhenBusy::WaitBehind(&mut || ()), 0);
    drop(teacher.unwrap());
}

#[test]
fn a_file_that_changes_again_and_again_takes_no_more_room_for_ever() {
    let place = place();
    let mut seed = 7u64;
    let mut text = || -> Vec<u32> {
        let mut next = || {
            seed = seed.wrapping_mul(6364136223846793005).wrapping_add(1);
            (seed >> 33) as u32 % VOCAB
        };
        (0..100_000).map(|_| next()).collect()
    };
    let segments = || {
        let folder = std::fs::read_dir(place.projects.dir().join(name().as_str())).unwrap();
        let files = folder.map(|entry| entry.unwrap());
        let is_one = |file: &std::fs::DirEntry| {
            let name = file.file_name();
            name.to_string_lossy().starts_with("segments.")
        };
        let sizes = files
            .filter(is_one)
            .map(|file| file.metadata().unwrap().len());
        sizes.sum::<u64>()
    };
    let mut opened = writer(&place.projects);
    learn(&mut opened, 1, 1);
    let mut most = 0;
    let mut taught = Vec::new();
    for version in 1..=500u32 {
        let teaches = version.is_power_of_two();
        let restless = Filtered {
            counts: true,
            reason: "restless".to_owned(),
        };
        let pieces = text();
        let file = FileToLearn {
            root: "cf",
            path: "cf/Restless.bsl",
            sha256: &format!("{version:064x}"),
            pieces: &pieces,
            weight: if teaches { 1.0 } else { 0.0 },
            filter: (!teaches).then_some(&restless),
            vendor: false,
        };
        assert!(opened.learn(&file).is_ok());
        opened.commit().unwrap();
        if teaches {
            taught.push((opened.history().len() as u64, pieces));
        }
        if version % 20 == 0 {
            opened.let_go_of_old_versions().unwrap();
            most = most.max(segments());
        }
    }
    assert!(most < 50_000_000, "{most}");
    let last = opened.history().len() as u64;
    let notes = opened.history().iter();
    let notes = notes.filter(|record| matches!(record.op, Operation::Note { .. }));
    assert!(notes.count() >= 1);
    // What has taught is there, so that teaching can go on from any snapshot; so are the versions of late.
    for (seq, pieces) in taught {
        let found = opened.history()[seq as usize - 1].seq;
        assert_eq!(opened.pieces_of_change(found).unwrap(), pieces);
    }
    let back = opened.rollback(last - 30).unwrap();
    assert_eq!((back.restored, back.lost.len()), (1, 0));
    opened.rollback(last).unwrap();
    let back = opened.rollback(20).unwrap();
    assert_eq!(back.lost, ["cf/Restless.bsl"]);
    opened.rollback(last).unwrap();
    assert_eq!(opened.n_files(), 2);
    drop(opened);
    open(&place.projects).verify().unwrap();
}
