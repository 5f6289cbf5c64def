//! How a session begins: `initialize`, our answer, `initialized`. A client that goes away or talks out of turn is an error, never a panic.
//!
//! The framework's own beginning panics where the client has gone. Called by the server; it must not know what the answer says.

use lsp_server::{Connection, ErrorCode, Message, RequestId, Response};
use serde_json::Value;

use crate::error::LspError;

/// Waits for the client's `initialize`; other requests are answered that it is not time yet.
///
/// # Errors
/// [`LspError::Gone`] and [`LspError::Beginning`].
pub fn begin(connection: &Connection) -> Result<(RequestId, Value), LspError> {
    loop {
        match connection.receiver.recv() {
            Ok(Message::Request(request)) if request.method == "initialize" => {
                return Ok((request.id, request.params));
            }
            Ok(Message::Request(request)) => {
                let code = ErrorCode::ServerNotInitialized as i32;
                let message = format!("{} before initialize", request.method);
                send(connection, Response::new_err(request.id, code, message))?;
            }
            Ok(Message::Notification(note)) if note.method == "exit" => {
                return Err(LspError::Beginning(note.method));
            }
            Ok(Message::Notification(_) | Message::Response(_)) => {}
            Err(_) => return Err(LspError::Gone),
        }
    }
}

/// Answers `initialize` and waits for `initialized`.
///
/// # Errors
/// As [`begin`].
pub fn finish(connection: &Connection, id: RequestId, answer: Value) -> Result<(), LspError> {
    send(connection, Response::new_ok(id, answer))?;
    match connection.receiver.recv() {
        Ok(Message::Notification(note)) if note.method == "initialized" => Ok(()),
        Ok(Message::Notification(note)) => Err(LspError::Beginning(note.method)),
        Ok(Message::Request(request)) => Err(LspError::Beginning(request.method)),
        Ok(Message::Response(_)) => Err(LspError::Beginning("a response".to_owned())),
        Err(_) => Err(LspError::Gone),
    }
}

fn send(connection: &Connection, response: Response) -> Result<(), LspError> {
    let sent = connection.sender.send(response.into());
    sent.map_err(|_| LspError::Gone)
}

#[cfg(test)]
mod tests {
    use super::*;
    use lsp_server::{Notification, Request};
    use serde_json::json;

    fn request(id: i32, method: &str) -> Message {
        Request::new(id.into(), method.to_owned(), json!({"text": "Секрет"})).into()
    }

    fn note(method: &str) -> Message {
        Notification::new(method.to_owned(), json!({})).into()
    }

    /// What begins and finishes with these messages of a client that then goes away, and the number of answers that it got.
    fn check(messages: Vec<Message>, reads: bool) -> (Result<(), LspError>, usize) {
        let (server, client) = Connection::memory();
        let serving = std::thread::spawn(move || {
            let (id, _) = begin(&server)?;
            finish(&server, id, json!({}))
        });
        let Connection { sender, receiver } = client;
        let answers = std::thread::spawn(move || if reads { receiver.iter().count() } else { 0 });
        for message in messages {
            // The server may have ended already.
            let _ = sender.send(message);
        }
        drop(sender);
        let ended = serving.join().expect("no panic");
        (ended, answers.join().expect("no panic"))
    }

    #[test]
    fn a_session_begins() {
        let messages = vec![
            note("$/setTrace"),
            request(1, "textDocument/hover"),
            request(2, "initialize"),
            note("initialized"),
        ];
        let (begun, answers) = check(messages, true);
        assert!(begun.is_ok() && answers == 2, "{begun:?}, {answers}");
    }

    #[test]
    fn a_client_that_goes_away_is_an_error() {
        for messages in [
            vec![],
            vec![request(1, "initialize")],
            vec![request(1, "shutdown"), request(2, "initialize")],
        ] {
            for reads in [true, false] {
                let (begun, _) = check(messages.clone(), reads);
                assert!(matches!(begun, Err(LspError::Gone)), "{begun:?}");
            }
        }
    }

    #[test]
    fn a_message_out_of_turn_is_named_without_its_text() {
        let messages = vec![
            request(1, "initialize"),
            request(2, "textDocument/completion"),
        ];
        let (begun, _) = check(messages, true);
        let error = begun.expect_err("out of turn").to_string();
        assert!(error.contains("textDocument/completion"), "{error}");
        assert!(!error.contains("Секрет"), "{error}");
        let (begun, _) = check(vec![note("exit")], true);
        assert!(matches!(begun, Err(LspError::Beginning(_))), "{begun:?}");
    }
}
