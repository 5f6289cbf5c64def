//! Whatever bytes and messages come, in whatever order: each request is answered once, and the server ends when it is told to.

#![allow(
    clippy::unwrap_used,
    reason = "clippy's exception for tests does not know helpers of integration tests"
)]

use std::collections::BTreeMap;
use std::time::Duration;

use lsp_server::{Connection, Message, Notification, Request, RequestId};
use nestor_assist::Speed;
use nestor_lsp::{Engine, Options, RemoteOptions, serve};
use proptest::prelude::*;
use serde_json::{Value, json};

/// A text with letters of every width and both line ends.
const TEXT: &str = "// Ё 🙂\r\nПроцедура А()\r\n\r\nКонецПроцедуры\nБ = \"🙂🙂\";";

const DOCUMENTS: [&str; 3] = ["file:///%D0%81.bsl", "file:///c%3A/m.bsl", "untitled:1"];

const REQUESTS: [&str; 7] = [
    "textDocument/inlineCompletion",
    "textDocument/completion",
    "textDocument/codeAction",
    "codeAction/resolve",
    "workspace/executeCommand",
    "nestor/status",
    "no/such",
];

const NOTES: [&str; 9] = [
    "textDocument/didOpen",
    "textDocument/didChange",
    "textDocument/didClose",
    "textDocument/didSave",
    "textDocument/didShowCompletion",
    "textDocument/didPartiallyAcceptCompletion",
    "workspace/didChangeConfiguration",
    "$/cancelRequest",
    "no/such",
];

const COMMANDS: [&str; 4] = [
    "nestor.writeBody",
    "nestor.accepted",
    "nestor.learnWorkspace",
    "rm",
];

fn position() -> impl Strategy<Value = Value> {
    let number = prop_oneof![0u32..8, any::<u32>()];
    (number.clone(), number)
        .prop_map(|(line, character)| json!({"line": line, "character": character}))
}

/// Anything that is JSON, small.
fn nonsense() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        ".{0,8}".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 12, 4, |inner| {
        let key = prop_oneof![
            Just("textDocument"),
            Just("position"),
            Just("uri"),
            Just("item")
        ];
        let key = key.prop_map(str::to_owned);
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map(key, inner, 0..4)
                .prop_map(|map: BTreeMap<String, Value>| json!(map)),
        ]
    })
}

/// Parameters that one or another method takes; each gets them all, and passes over what it does not know.
fn sensible() -> impl Strategy<Value = Value> {
    let text = prop_oneof![Just(TEXT.to_owned()), ".{0,12}"];
    (0usize..3, position(), position(), text, -1i64..40).prop_map(|(doc, start, end, text, id)| {
        let uri = DOCUMENTS[doc];
        json!({
            "textDocument": {"uri": uri, "languageId": "bsl", "version": id, "text": text},
            "position": start, "range": {"start": start, "end": end},
            "context": {"triggerKind": 1, "diagnostics": []},
            "contentChanges": [{"range": {"start": start, "end": end}, "text": text}, {"text": text}],
            "id": id, "acceptedLength": id, "settings": {"nestor": {"manual": id % 2 == 0, "list": "on"}},
            "command": COMMANDS[(id & 3) as usize],
            "arguments": [{"uri": uri, "version": id, "position": start}],
            "title": text, "data": {"uri": uri, "version": id, "position": end},
        })
    })
}

fn messages() -> impl Strategy<Value = Vec<(bool, usize, Value)>> {
    let params = prop_oneof![3 => sensible(), 1 => nonsense()];
    prop::collection::vec((any::<bool>(), 0usize..63, params), 1..24)
}

/// A server that has no model to ask, and says so.
fn options() -> Options {
    Options {
        engine: Engine::Remote(RemoteOptions {
            url: "http://127.0.0.1:1".to_owned(),
            key: None,
            ca: None,
        }),
        project: None,
        speed: Speed::Fast,
        russian: false,
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn each_request_is_answered_once_and_goodbye_is_heard(messages in messages()) {
        let (server, client) = Connection::memory();
        let serving = std::thread::spawn(move || serve(&server, options()));
        let hello = Request::new(RequestId::from(-1), "initialize".to_owned(), json!({"capabilities": {}}));
        client.sender.send(hello.into()).unwrap();
        client.sender.send(Notification::new("initialized".to_owned(), json!({})).into()).unwrap();
        let mut asked = vec![RequestId::from(-1)];
        for (idx, (is_request, which, params)) in messages.into_iter().enumerate() {
            let message: Message = if is_request {
                let id = RequestId::from(idx as i32);
                asked.push(id.clone());
                Request::new(id, REQUESTS[which % REQUESTS.len()].to_owned(), params).into()
            } else {
                Notification::new(NOTES[which % NOTES.len()].to_owned(), params).into()
            };
            client.sender.send(message).unwrap();
        }
        let mut left = asked;
        while !left.is_empty() {
            let message = client.receiver.recv_timeout(Duration::from_secs(20));
            let Ok(message) = message else { panic!("no answer to {left:?}") };
            if let Message::Response(response) = message {
                let at = left.iter().position(|id| *id == response.id);
                left.remove(at.expect("answered once, and only what was asked"));
            }
        }
        let bye = Request::new(RequestId::from(-2), "shutdown".to_owned(), Value::Null);
        client.sender.send(bye.into()).unwrap();
        client.sender.send(Notification::new("exit".to_owned(), Value::Null).into()).unwrap();
        serving.join().expect("no panic").expect("a goodbye");
    }

    #[test]
    fn broken_frames_end_the_conversation_and_nothing_else(
        header in prop_oneof![
            Just("Content-Length: ".to_owned()), Just("content-length:".to_owned()), Just("Content-Type: x\r\n".to_owned()), ".{0,24}",
        ],
        length in prop_oneof![(0i64..200).prop_map(|n| n.to_string()), ".{0,6}"],
        separator in prop_oneof![Just("\r\n\r\n".to_owned()), Just("\n\n".to_owned()), ".{0,4}"],
        body in prop::collection::vec(any::<u8>(), 0..200),
    ) {
        let mut bytes = format!("{header}{length}{separator}").into_bytes();
        bytes.extend(&body);
        let mut reader = std::io::BufReader::new(bytes.as_slice());
        // An error or the end, never more messages than bytes could hold.
        let mut n_read = 0;
        while let Ok(Some(_)) = Message::read(&mut reader) {
            n_read += 1;
            prop_assert!(n_read < 20);
        }
    }

    #[test]
    fn a_whole_frame_is_read_whatever_its_text(text in ".{0,40}", cut in 0usize..400) {
        let note = Notification::new("textDocument/didOpen".to_owned(), json!({"text": text}));
        let mut bytes = Vec::new();
        Message::from(note).write(&mut bytes).unwrap();
        let read = Message::read(&mut bytes.as_slice()).unwrap();
        let Some(Message::Notification(read)) = read else { panic!("{read:?}") };
        prop_assert_eq!(&read.params["text"], &json!(text));
        // A frame that ends too early is none.
        let cut = cut % bytes.len();
        prop_assert!(!matches!(Message::read(&mut &bytes[..cut]), Ok(Some(_))));
    }
}
