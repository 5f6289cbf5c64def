//! Bad days of a project's folder: what a crash leaves is cut off, what is damaged is refused by name, the old stays.
#![allow(
    clippy::unwrap_used,
    reason = "clippy's exception for tests does not know helpers of integration tests"
)]

mod support;

use nestor_memory::{Cut, FileToLearn, MemoryError, Operation, Root, WhenBusy};
use support::*;

/// A project of two batches: files 0 to 2, then 3 and 4.
fn two_batches() -> Place {
    let place = place();
    let mut writer = writer(&place.projects);
    for idx in 0..3 {
        learn(&mut writer, idx, idx);
    }
    writer.commit().unwrap();
    for idx in 3..5 {
        learn(&mut writer, idx, idx);
    }
    writer.commit().unwrap();
    place
}

fn refused(place: &Place) -> String {
    let as_reader = place.projects.open(&name()).unwrap_err();
    let writer = place.projects.open_to_write(&name(), WhenBusy::Fail, 0);
    let as_writer = writer.err().unwrap();
    assert_eq!(as_reader.to_string(), as_writer.to_string());
    as_reader.to_string()
}

#[test]
fn a_torn_log_is_cut_at_open_with_a_note() {
    let place = two_batches();
    let log = file(&place.projects, "log.");
    let whole = std::fs::read(&log).unwrap();
    for cut in 1..whole.len() {
        std::fs::write(&log, &whole[..cut]).unwrap();
        let segments = file(&place.projects, "segments.");
        let all_segments = std::fs::read(&segments).unwrap();
        let as_reader = open(&place.projects);
        let n_files = as_reader.n_files();
        for idx in 0..5 {
            assert_eq!(
                as_reader.file(&path(idx)).is_some(),
                (idx as usize) < n_files
            );
        }
        if cut % 97 == 0 {
            let writer = place
                .projects
                .open_to_write(&name(), WhenBusy::Fail, 1_700_000_000)
                .unwrap();
            assert_eq!(writer.n_files(), n_files);
            let was_cut = writer.cut();
            assert_eq!(was_cut, as_reader.cut());
            if was_cut != Cut::default() {
                let last = &writer.history().last().unwrap().op;
                assert!(matches!(last, Operation::Note { .. }), "{last:?}");
            }
            drop(writer);
            // Healed: nothing more to cut, and learning goes on.
            assert_eq!(open(&place.projects).cut(), Cut::default());
            let mut writer = support::writer(&place.projects);
            for idx in 0..5 {
                learn(&mut writer, idx, idx);
            }
            writer.commit().unwrap();
            let files: Vec<_> = (0..5).map(|idx| (idx, idx)).collect();
            assert_eq!(
                predictions(&counts(&writer)),
                predictions(&loaded_counts_of(&files))
            );
            drop(writer);
            std::fs::write(&segments, all_segments).unwrap();
        }
    }
}

#[test]
fn garbage_behind_the_segments_is_cut_at_open() {
    let place = two_batches();
    let segments = file(&place.projects, "segments.");
    let mut bytes = std::fs::read(&segments).unwrap();
    let len = bytes.len();
    bytes.extend_from_slice("мусор".as_bytes());
    std::fs::write(&segments, &bytes).unwrap();
    let before = open(&place.projects);
    assert_eq!(before.cut().segments, 10);
    drop(support::writer(&place.projects));
    assert_eq!(std::fs::metadata(&segments).unwrap().len() as usize, len);
    assert_eq!(
        predictions(&counts(&open(&place.projects))),
        predictions(&counts(&before))
    );
}

#[test]
fn a_flipped_byte_in_the_middle_is_refused_by_name() {
    let place = two_batches();
    for start in ["log.", "segments.", "memory."] {
        let path = file(&place.projects, start);
        let whole = std::fs::read(&path).unwrap();
        // The very last line of the log only says that the others are durable.
        let end = match start {
            "log." => whole[..whole.len() - 1]
                .iter()
                .rposition(|&b| b == b'\n')
                .unwrap(),
            _ => whole.len(),
        };
        for at in (0..end).step_by(end / 40) {
            let mut bytes = whole.clone();
            bytes[at] ^= 0x08;
            std::fs::write(&path, &bytes).unwrap();
            let error = match place.projects.open(&name()) {
                Err(error) => error,
                // Segments are read when their content is asked for.
                Ok(store) => store.verify().unwrap_err(),
            };
            let text = error.to_string();
            let is_named = text.contains(path.file_name().unwrap().to_str().unwrap());
            let is_right = matches!(
                error,
                MemoryError::Corrupt { .. } | MemoryError::Version { .. }
            );
            assert!(is_named && is_right, "{start} {at}: {text}");
        }
        std::fs::write(&path, &whole).unwrap();
    }
    open(&place.projects).verify().unwrap();
}

#[test]
fn segments_that_are_too_short_are_refused() {
    let place = two_batches();
    let path = file(&place.projects, "segments.");
    let whole = std::fs::read(&path).unwrap();
    std::fs::write(&path, &whole[..whole.len() - 1]).unwrap();
    let error = refused(&place);
    assert!(
        error.contains("segments.1.bin") && error.contains("bytes"),
        "{error}"
    );
    std::fs::write(&path, b"").unwrap();
    assert!(refused(&place).contains("ends inside its header"));
    std::fs::remove_file(&path).unwrap();
    assert!(refused(&place).contains("segments.1.bin"));
}

#[test]
fn an_unknown_version_is_refused_before_anything_else_is_looked_at() {
    let place = two_batches();
    let path = file(&place.projects, "memory.");
    let text = std::fs::read_to_string(&path).unwrap();
    let later = text.replace("\"format_version\":1", "\"format_version\":2,\"levels\":3");
    std::fs::write(&path, later).unwrap();
    assert!(refused(&place).contains("format_version is 2, this program reads 1"));
    std::fs::write(&path, "{}").unwrap();
    assert!(refused(&place).contains("format_version is missing"));
    std::fs::write(&path, "что-то").unwrap();
    assert!(refused(&place).contains("not JSON"));
    assert_eq!(
        place.projects.names().unwrap(),
        [name()],
        "it is still listed"
    );
}

#[test]
fn another_tokenizer_is_refused_and_another_network_is_not() {
    let place = two_batches();
    let mut other = model();
    other.model_sha256 = Some("ff".repeat(32));
    open(&place.projects).check_model(&other).unwrap();
    other.tokenizer_sha256 = "cc".repeat(32);
    let error = open(&place.projects).check_model(&other).unwrap_err();
    assert!(error.to_string().contains("Торговля"), "{error}");
    let opened = place
        .projects
        .open_or_create(&name(), &other, WhenBusy::Fail, 0);
    assert!(matches!(opened.err(), Some(MemoryError::Tokenizer { .. })));
    open(&place.projects).verify().unwrap();
}

#[test]
fn files_that_cannot_be_learned_change_nothing() {
    let place = two_batches();
    let mut writer = writer(&place.projects);
    let before = writer.history().len();
    let hash = &sha(1);
    let file = |root, path, pieces, weight| FileToLearn {
        root,
        path,
        sha256: hash,
        pieces,
        weight,
        filter: None,
        vendor: false,
    };
    for wrong in [
        file("cf", "cfe/a.bsl", &[1], 1.0),
        file("cf", "cf", &[1], 1.0),
        file("cf", "cf/", &[1], 1.0),
        file("cfe", "cfe/a.bsl", &[1], 1.0),
        file("cf", "cf/a.bsl", &[1], f32::NAN),
        file("cf", "cf/a.bsl", &[VOCAB], 1.0),
        file("cf", "cf/\u{1b}[2J.bsl", &[1], 1.0),
        FileToLearn {
            sha256: "",
            ..file("cf", "cf/a.bsl", &[1], 1.0)
        },
        file("cf", &format!("cf/{}", "а".repeat(5000)), &[1], 1.0),
    ] {
        let error = writer.learn(&wrong).unwrap_err();
        let is_right = matches!(error, MemoryError::Path { .. } | MemoryError::Cache(_));
        assert!(is_right, "{error}");
    }
    let root = Root {
        name: "../cf".to_owned(),
        ..root()
    };
    assert!(matches!(
        writer.set_root(&root),
        Err(MemoryError::Name { .. })
    ));
    assert_eq!(writer.history().len(), before);
    learn(&mut writer, 9, 9);
    writer.commit().unwrap();
    assert_eq!(open(&place.projects).n_files(), 6);
}

/// A path that cannot be created stands for a full disk: the next generation's segments are in the way as a folder.
#[test]
fn what_cannot_be_written_leaves_the_old_memory() {
    let place = two_batches();
    let mut writer = writer(&place.projects);
    let expected = predictions(&counts(&writer));
    let blocked = writer.dir().join("segments.2.bin");
    std::fs::create_dir(&blocked).unwrap();
    let error = writer.forget(&path(1)).unwrap_err();
    assert!(error.to_string().contains("segments.2.bin"), "{error}");
    assert_eq!(predictions(&counts(&writer)), expected);
    // The writer is still good, and what stood in the way is cleared away.
    learn(&mut writer, 9, 9);
    writer.commit().unwrap();
    assert_eq!(writer.forget(&path(9)).unwrap().files, 1);
    assert_eq!(predictions(&counts(&open(&place.projects))), expected);

    // Where no project can be made, nothing appears.
    let not_a_folder = place.dir.path().join("file");
    std::fs::write(&not_a_folder, "").unwrap();
    let nowhere = nestor_memory::Projects::at(not_a_folder.join("projects"));
    let made = nowhere.open_or_create(&name(), &model(), WhenBusy::Fail, 0);
    assert!(matches!(made.err(), Some(MemoryError::Io { .. })));
    let bundle = not_a_folder.join("bundle");
    assert!(matches!(
        writer.export(&bundle),
        Err(MemoryError::Io { .. })
    ));
}
