//! What the server can do, and what the client takes.

use lsp_types::{
    ClientCapabilities, CodeActionKind, CodeActionOptions, CodeActionProviderCapability,
    CompletionOptions, ExecuteCommandOptions, OneOf, SaveOptions, ServerCapabilities,
    TextDocumentSyncCapability, TextDocumentSyncKind, TextDocumentSyncOptions,
    TextDocumentSyncSaveOptions,
};

use nestor_assist::signs::SIGNS;

use crate::action::{Takes, WRITE_BODY};
use crate::server::LEARN;
use crate::suggest::ACCEPTED;

/// How the client takes code actions and edits.
pub(super) fn takes(client: &ClientCapabilities, locale: Option<&str>, russian: bool) -> Takes {
    let document = client.text_document.as_ref();
    let actions = document.and_then(|document| document.code_action.as_ref());
    let resolves = actions.and_then(|actions| actions.resolve_support.as_ref());
    let edits = client
        .workspace
        .as_ref()
        .and_then(|workspace| workspace.workspace_edit.as_ref());
    Takes {
        resolves: resolves.is_some_and(|support| support.properties.iter().any(|p| p == "edit")),
        versions: edits.and_then(|edits| edits.document_changes) == Some(true),
        russian: locale.map_or(russian, |locale| locale.starts_with("ru")),
    }
}

/// What the server can do.
pub(super) fn capabilities() -> ServerCapabilities {
    ServerCapabilities {
        text_document_sync: Some(TextDocumentSyncCapability::Options(
            TextDocumentSyncOptions {
                open_close: Some(true),
                change: Some(TextDocumentSyncKind::INCREMENTAL),
                will_save: None,
                will_save_wait_until: None,
                save: Some(TextDocumentSyncSaveOptions::SaveOptions(SaveOptions {
                    include_text: Some(false),
                })),
            },
        )),
        inline_completion_provider: Some(OneOf::Left(true)),
        completion_provider: Some(CompletionOptions {
            trigger_characters: Some(SIGNS.map(str::to_owned).into()),
            ..CompletionOptions::default()
        }),
        code_action_provider: Some(CodeActionProviderCapability::Options(CodeActionOptions {
            code_action_kinds: Some(vec![CodeActionKind::REFACTOR_REWRITE]),
            resolve_provider: Some(true),
            ..CodeActionOptions::default()
        })),
        execute_command_provider: Some(ExecuteCommandOptions {
            commands: [ACCEPTED, LEARN, WRITE_BODY].map(str::to_owned).into(),
            ..ExecuteCommandOptions::default()
        }),
        ..ServerCapabilities::default()
    }
}
