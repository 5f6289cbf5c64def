//! The code action "write the body": what is offered, and the edit that comes of it.
//!
//! Called by the server for `textDocument/codeAction` and after the body was written. It must not know how bodies are written.

use std::collections::HashMap;

use lsp_types::{
    CodeAction, CodeActionKind, Command, DocumentChanges, OneOf,
    OptionalVersionedTextDocumentIdentifier, Position, Range, TextDocumentEdit, TextEdit, Uri,
    WorkspaceEdit,
};
use nestor_assist::BodyPlace;
use serde::{Deserialize, Serialize};

use crate::documents::Document;

/// The command that writes a body, for clients that do not resolve actions.
pub const WRITE_BODY: &str = "nestor.writeBody";

/// Lines around the cursor in which its method is looked for: a header, its comment and nothing else.
const LINES_AROUND: u32 = 200;

/// Where a body was offered; goes to the client and comes back.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Offered {
    /// The document.
    pub uri: Uri,
    /// Its version then.
    pub version: i32,
    /// Where the cursor was.
    pub position: Position,
}

/// How a client takes edits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Takes {
    /// It asks for the edit of an action when the user has picked it.
    pub resolves: bool,
    /// It checks the version of what is edited.
    pub versions: bool,
    /// It speaks Russian.
    pub russian: bool,
}

/// The empty method around a position.
#[must_use]
pub fn body_at(document: &Document, position: Position) -> Option<BodyPlace> {
    let cursor = document.offset(position);
    let line = document.position(cursor).line;
    let at = |line: u32| document.offset(Position::new(line, 0));
    // Lexing all of a module of 4 MB at each step of the cursor would be felt.
    let start = at(line.saturating_sub(LINES_AROUND));
    let end = at(line.saturating_add(LINES_AROUND));
    let mut place = BodyPlace::at(&document.text[start..end], cursor - start)?;
    place.replaces = place.replaces.start + start..place.replaces.end + start;
    Some(place)
}

/// The action that writes the body at a place.
#[must_use]
pub fn offer(place: &BodyPlace, offered: &Offered, takes: Takes) -> CodeAction {
    let title = if takes.russian {
        format!("Nestor: написать тело {}", place.name)
    } else {
        format!("Nestor: write the body of {}", place.name)
    };
    let data = serde_json::to_value(offered).expect("a place is JSON");
    let command = (!takes.resolves).then(|| Command {
        title: title.clone(),
        command: WRITE_BODY.to_owned(),
        arguments: Some(vec![data.clone()]),
    });
    CodeAction {
        title,
        kind: Some(CodeActionKind::REFACTOR_REWRITE),
        command,
        data: takes.resolves.then_some(data),
        ..CodeAction::default()
    }
}

/// Whether a client that asks for some kinds of actions only asks for ours.
#[must_use]
pub fn is_wanted(only: Option<&[CodeActionKind]>) -> bool {
    let ours = CodeActionKind::REFACTOR_REWRITE;
    only.is_none_or(|kinds| {
        kinds.iter().any(|kind| {
            let rest = ours.as_str().strip_prefix(kind.as_str());
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        })
    })
}

/// The edit that puts a new text in a document.
#[must_use]
pub fn edit(
    document: &Document,
    uri: &Uri,
    range: Range,
    new_text: String,
    takes: Takes,
) -> WorkspaceEdit {
    let edit = TextEdit { range, new_text };
    if !takes.versions {
        return WorkspaceEdit {
            changes: Some(HashMap::from([(uri.clone(), vec![edit])])),
            ..WorkspaceEdit::default()
        };
    }
    let text_document = OptionalVersionedTextDocumentIdentifier {
        uri: uri.clone(),
        version: Some(document.version),
    };
    WorkspaceEdit {
        document_changes: Some(DocumentChanges::Edits(vec![TextDocumentEdit {
            text_document,
            edits: vec![OneOf::Left(edit)],
        }])),
        ..WorkspaceEdit::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_method_is_found_far_down_a_long_module() {
        let before = "// Ё\r\nПроцедура А()\r\n\tБ();\r\nКонецПроцедуры\r\n".repeat(300);
        let text = format!("{before}Процедура В()\r\nКонецПроцедуры\r\n");
        let document = Document { text, version: 1 };
        let place = body_at(&document, Position::new(1200, 3)).expect("an empty method");
        assert_eq!(place.name, "В");
        let header = before.len() + "Процедура В()".len();
        assert_eq!(place.replaces, header..header + 2);
        assert_eq!(body_at(&document, Position::new(1198, 0)), None);
        // A column that is not there is the end of its line, a line that is not there the end of the text.
        assert!(body_at(&document, Position::new(1201, 90_000)).is_some());
        assert_eq!(body_at(&document, Position::new(90_000, 0)), None);
    }

    #[test]
    fn only_those_who_ask_for_it_get_it() {
        let kinds = |names: &[&'static str]| -> Vec<CodeActionKind> {
            names.iter().map(|name| CodeActionKind::new(name)).collect()
        };
        for (only, wanted) in [
            (None, true),
            (Some(kinds(&["refactor"])), true),
            (Some(kinds(&["refactor.rewrite"])), true),
            (Some(kinds(&["quickfix", "refactor.rewrite"])), true),
            (Some(kinds(&["refactor.rew"])), false),
            (Some(kinds(&["quickfix"])), false),
            (Some(kinds(&["refactor.rewrite.body"])), false),
        ] {
            assert_eq!(is_wanted(only.as_deref()), wanted, "{only:?}");
        }
    }
}
