//! Any row of edits: an open document answers as one opened afresh.

#![no_main]

#[path = "../../crates/assist/tests/fixture/mod.rs"]
mod fixture;

use arbitrary::Arbitrary;
use fixture::{MODULE, assistant, file};
use libfuzzer_sys::fuzz_target;
use nestor_assist::{Assistant, CompleteRequest, OpenDocument, Speed};
use nestor_bsl::position::ByteOffset;
use std::sync::LazyLock;

/// Bytes of a text at most: longer ones find nothing more and take their time.
const MOST: usize = 4096;

#[derive(Arbitrary, Debug)]
enum Edit<'a> {
    Type(&'a str),
    /// Text that modules are made of.
    Paste {
        from: u16,
        bytes: u8,
    },
    Delete(u8),
    Jump(u16),
    /// Somewhere else, while the cursor stays with its text.
    Elsewhere {
        at: u16,
        text: &'a str,
    },
    Replace(&'a str),
}

static ASSISTANT: LazyLock<Assistant> = LazyLock::new(|| {
    let mut assistant = assistant(3, None);
    let copy = file("src/cf/CommonModules/Копия/Ext/Module.bsl", MODULE);
    assistant
        .learn_files([copy], &mut |_| {})
        .expect("plain text");
    assistant
});

fuzz_target!(|input: (bool, Vec<Edit<'_>>)| {
    let (starts_full, edits) = input;
    let mut text = if starts_full {
        MODULE.to_owned()
    } else {
        String::new()
    };
    let mut cursor = text.len() / 2;
    while !text.is_char_boundary(cursor) {
        cursor -= 1;
    }
    let mut open = OpenDocument::default();
    for edit in edits.iter().take(12) {
        let place =
            |text: &str, at: u16| text.floor_char_boundary(usize::from(at) % (text.len() + 1));
        match edit {
            Edit::Type(typed) => {
                text.insert_str(cursor, typed);
                cursor += typed.len();
            }
            Edit::Paste { from, bytes } => {
                let start = place(MODULE, *from);
                let end =
                    MODULE.ceil_char_boundary((start + usize::from(*bytes)).min(MODULE.len()));
                text.insert_str(cursor, &MODULE[start..end]);
                cursor += end - start;
            }
            Edit::Delete(bytes) => {
                let start = text.floor_char_boundary(cursor.saturating_sub(usize::from(*bytes)));
                text.replace_range(start..cursor, "");
                cursor = start;
            }
            Edit::Jump(at) => cursor = place(&text, *at),
            Edit::Elsewhere { at, text: typed } => {
                let at = place(&text, *at);
                text.insert_str(at, typed);
                if at <= cursor {
                    cursor += typed.len();
                }
            }
            Edit::Replace(with) => {
                text = (*with).to_owned();
                cursor = text.len();
            }
        }
        if text.len() > MOST {
            return;
        }
        let mut request = CompleteRequest::new("src/A.bsl", text.clone(), ByteOffset(cursor));
        request.speed = Speed::Balanced;
        request.max_tokens = 3;
        let ask = |document: &mut OpenDocument| {
            ASSISTANT.complete_in(document, &request, &|| false, &|_| false)
        };
        let fresh = ask(&mut open.fresh());
        match (ask(&mut open), fresh) {
            (Ok(found), Ok(fresh)) => {
                assert_eq!(found.tokens, fresh.tokens);
                assert_eq!(found.insert, fresh.insert);
                assert_eq!(found.confidence, fresh.confidence);
            }
            (found, fresh) => assert_eq!(
                found.map(|_| ()).map_err(|error| error.to_string()),
                fresh.map(|_| ()).map_err(|error| error.to_string())
            ),
        }
    }
});
