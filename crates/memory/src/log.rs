//! `log.N.jsonl`: records as sealed lines, and what to do with a log that a crash has cut.
//!
//! Records are appended and synced in batches; a line `commit` follows each batch, written after the sync. So a broken
//! line with a `commit` behind it was whole once and is damage, which is refused; one without was never promised to
//! anyone and is cut off with everything behind it.

use std::path::Path;

use crate::error::MemoryError;
use crate::record::{Operation, Record};
use crate::seal;

/// A log as far as it is whole.
#[derive(Debug, Default)]
pub(crate) struct Log {
    /// Its records; record `n` has number `n + 1`.
    pub(crate) records: Vec<Record>,
    /// Bytes of the whole lines.
    pub(crate) len: u64,
    /// Bytes behind them.
    pub(crate) torn: u64,
    /// True if the last whole line is a commit, or there is none.
    pub(crate) is_committed: bool,
}

/// A record as a line.
pub(crate) fn line(record: &Record) -> String {
    let json = serde_json::to_string(record).expect("a record is plain text and numbers");
    format!("{}\n", seal::seal(&json))
}

/// The line that ends a batch.
pub(crate) fn commit_line(seq: u64, time: u64) -> String {
    line(&Record {
        seq,
        time,
        op: Operation::Commit,
    })
}

/// Reads a log; `path` is named in errors.
pub(crate) fn read(bytes: &[u8], path: &Path) -> Result<Log, MemoryError> {
    let mut log = Log {
        is_committed: true,
        ..Log::default()
    };
    let mut rest = bytes;
    let mut line_number = 0;
    while let Some(end) = rest.iter().position(|&byte| byte == b'\n') {
        line_number += 1;
        let damage =
            |reason: String| MemoryError::corrupt(path, format!("line {line_number}: {reason}"));
        let (line, tail) = (&rest[..end], &rest[end + 1..]);
        let Some(json) = seal::open(line) else {
            if has_commit(tail) {
                return Err(damage("its check does not match its content".to_owned()));
            }
            break;
        };
        let record: Record =
            serde_json::from_str(&json).map_err(|error| damage(error.to_string()))?;
        let last = log.records.len() as u64;
        log.is_committed = record.op == Operation::Commit;
        let expected = last + u64::from(!log.is_committed);
        if record.seq != expected {
            return Err(damage(format!(
                "its number is {}, {expected} was expected",
                record.seq
            )));
        }
        if let Operation::Rollback { to } = record.op
            && to > last
        {
            return Err(damage(format!("it rolls forward, to {to}")));
        }
        if let Operation::Again { path, of } = &record.op
            && learned_path(&log.records, *of) != Some(path.as_str())
        {
            return Err(damage(format!(
                "change {of}, which it takes up again, learned no text of its path"
            )));
        }
        if !record.op.is_plain() {
            return Err(damage("a text in it has control characters".to_owned()));
        }
        if !log.is_committed {
            log.records.push(record);
        }
        rest = tail;
    }
    log.torn = rest.len() as u64;
    log.len = (bytes.len() - rest.len()) as u64;
    Ok(log)
}

/// The path whose text the record with this number learned.
fn learned_path(records: &[Record], seq: u64) -> Option<&str> {
    match &records.get(seq.checked_sub(1)? as usize)?.op {
        Operation::Learn { path, .. } => Some(path),
        _ => None,
    }
}

fn has_commit(bytes: &[u8]) -> bool {
    bytes.split(|&byte| byte == b'\n').any(|line| {
        seal::open(line)
            .and_then(|json| serde_json::from_str::<Record>(&json).ok())
            .is_some_and(|record| record.op == Operation::Commit)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn note(seq: u64) -> String {
        line(&Record {
            seq,
            time: 0,
            op: Operation::Note {
                text: "Заметка 🙂".to_owned(),
            },
        })
    }

    fn read(text: impl AsRef<[u8]>) -> Result<Log, MemoryError> {
        super::read(text.as_ref(), Path::new("log"))
    }

    #[test]
    fn a_torn_tail_is_cut_and_damage_in_the_middle_is_not() {
        let whole = format!("{}{}{}", note(1), note(2), commit_line(2, 0));
        let log = read(&whole).unwrap();
        assert_eq!(
            (log.records.len(), log.torn, log.is_committed),
            (2, 0, true)
        );

        for cut in 0..whole.len() {
            let log = read(&whole.as_bytes()[..cut]).unwrap();
            assert_eq!(log.len + log.torn, cut as u64);
            let n_whole = whole.as_bytes()[..cut]
                .iter()
                .filter(|&&b| b == b'\n')
                .count();
            assert_eq!(log.records.len(), n_whole.min(2), "{cut}");
        }

        // A batch that was never committed may have holes in it, as a power cut leaves them.
        let mut open = format!("{whole}{}{}", note(3), note(4)).into_bytes();
        open[whole.len() + 5] ^= 1;
        assert_eq!(read(&open).unwrap().records.len(), 2);
        open.extend_from_slice(commit_line(4, 0).as_bytes());
        let error = read(&open).unwrap_err().to_string();
        assert!(error.contains("line 4"), "{error}");
    }

    #[test]
    fn texts_that_would_command_a_terminal_are_refused() {
        let line = line(&Record {
            seq: 1,
            time: 0,
            op: Operation::Note {
                text: "\u{1b}[2J".to_owned(),
            },
        });
        let error = read(&line).unwrap_err().to_string();
        assert!(error.contains("control characters"), "{error}");
    }

    #[test]
    fn a_lost_line_is_noticed() {
        let error = read(format!("{}{}", note(1), note(3)))
            .unwrap_err()
            .to_string();
        assert!(error.contains("its number is 3, 2 was expected"), "{error}");
    }

    proptest! {
        #[test]
        fn bytes_from_outside_never_panic(bytes: Vec<u8>) {
            let _ = read(bytes);
        }
    }
}
