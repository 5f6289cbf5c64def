//! Any row of edits of an open document: it answers like a document opened afresh, never a panic.

#![no_main]

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use nestor_assist::assistant::Parts;
use nestor_assist::{Assistant, CompleteRequest, Model, NetworkConfig, OpenDocument, Speed};
use nestor_bsl::pieces::Tokenizer;
use nestor_bsl::position::ByteOffset;
use std::sync::{Arc, LazyLock};

#[derive(Arbitrary, Debug)]
enum Edit {
    Insert { at: u16, text: String },
    Delete { at: u16, bytes: u8 },
    Move { to: u16 },
}

static ASSISTANT: LazyLock<Assistant> = LazyLock::new(|| {
    let file = include_bytes!("../../models/nano/tokenizer.json");
    let tokenizer = Arc::new(Tokenizer::from_bytes(file).expect("the bundled tokenizer"));
    let config = NetworkConfig {
        width: 8,
        ffn: 8,
        vocab: tokenizer.vocab_size(),
        delta_heads: 1,
        key_dim: 4,
        value_dim: 4,
        query_heads: 1,
        head_dim: 4,
        window: 40,
        exit_rank: 2,
        ..NetworkConfig::nano(1)
    };
    Assistant::from_parts(Parts {
        model: Model::random(&config, 1).expect("sizes of a network"),
        tokenizer,
        gates: None,
        corpus: None,
        train_methods: Arc::from([]),
    })
    .expect("parts that belong together")
});

fuzz_target!(|edits: Vec<Edit>| {
    let mut text = "Процедура А()\n\tБ = 1;\nКонецПроцедуры\n".to_owned();
    let mut cursor = 0;
    let mut open = OpenDocument::default();
    for edit in edits.iter().take(20) {
        match edit {
            Edit::Insert { at, text: new } => {
                let at = text.floor_char_boundary(usize::from(*at));
                text.insert_str(at, new);
                cursor = at + new.len();
            }
            Edit::Delete { at, bytes } => {
                let at = text.floor_char_boundary(usize::from(*at));
                let end = text.floor_char_boundary(at + usize::from(*bytes));
                text.replace_range(at..end, "");
                cursor = at;
            }
            Edit::Move { to } => cursor = text.floor_char_boundary(usize::from(*to)),
        }
        let mut request = CompleteRequest::new("А.bsl", text.clone(), ByteOffset(cursor));
        request.speed = Speed::Fast;
        request.max_tokens = 2;
        let found = ASSISTANT.complete_in(&mut open, &request, &|| false);
        let fresh = ASSISTANT.complete_in(&mut open.fresh(), &request, &|| false);
        match (found, fresh) {
            (Ok(found), Ok(fresh)) => {
                assert_eq!(found.tokens, fresh.tokens);
                assert_eq!(found.insert, fresh.insert);
            }
            (found, fresh) => assert_eq!(found.is_err(), fresh.is_err()),
        }
    }
});
