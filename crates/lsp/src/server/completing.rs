//! Completions: what is asked of the worker, in which shape it is answered, and what becomes of it.

use lsp_server::{RequestId, Response};
use lsp_types::{
    CompletionParams, CompletionTriggerKind, InlineCompletionParams, InlineCompletionTriggerKind,
    Uri,
};
use nestor_assist::signs::asks_behind;
use nestor_assist::{ByteOffset, CompleteRequest};
use serde_json::{Value, json};

use crate::documents::path_of;
use crate::error::LspError;
use crate::server::settings::List;
use crate::server::{Asked, Server, Shape};
use crate::suggest::{Place, entries, ghost, last_word};
use crate::worker::{Answer, Cancel, Work};

impl Server<'_> {
    pub(super) fn inline(
        &mut self,
        id: RequestId,
        params: InlineCompletionParams,
    ) -> Result<(), LspError> {
        let by_itself = params.context.trigger_kind == InlineCompletionTriggerKind::Automatic;
        if by_itself && self.settings.manual {
            self.send(Response::new_ok(id, json!({"items": []})));
            return Ok(());
        }
        let at = params.text_document_position;
        let (uri, position) = (at.text_document.uri, at.position);
        let Some(document) = self.documents.get(&uri) else {
            self.wrong(id, &format!("{} is not open", uri.as_str()));
            return Ok(());
        };
        let mut text = document.text.clone();
        let mut offset = document.offset(position);
        let mut selected = None;
        if let Some(info) = params.context.selected_completion_info
            && let Some(bytes) = document.bytes(info.range)
        {
            // What would stand there if the entry of the list were taken.
            offset = bytes.start + info.text.len();
            text.replace_range(bytes, &info.text);
            selected = Some((info.range, info.text));
        }
        let place = Place {
            position,
            word: String::new(),
            selected,
        };
        let least = if by_itself {
            self.settings.show_threshold
        } else {
            0.0
        };
        let request = self.request_at(&uri, text, offset);
        self.ask(id, uri, request, Shape::Ghost(place, least))
    }

    pub(super) fn list(&mut self, id: RequestId, params: CompletionParams) -> Result<(), LspError> {
        let wanted = match self.settings.list {
            List::On => true,
            List::Off => false,
            List::Auto => !self.has_ghost,
        };
        if !wanted {
            self.send(Response::new_ok(id, Value::Null));
            return Ok(());
        }
        let at = params.text_document_position;
        let (uri, position) = (at.text_document.uri, at.position);
        let Some(document) = self.documents.get(&uri) else {
            self.wrong(id, &format!("{} is not open", uri.as_str()));
            return Ok(());
        };
        let offset = document.offset(position);
        let before = &document.text[..offset];
        let sign = params.context.as_ref().and_then(|context| {
            let sign = context.trigger_character.as_deref();
            sign.filter(|_| context.trigger_kind == CompletionTriggerKind::TRIGGER_CHARACTER)
        });
        if sign.is_some_and(|sign| self.settings.manual || !asks_behind(before, sign)) {
            self.send(Response::new_ok(id, Value::Null));
            return Ok(());
        }
        let place = Place {
            position,
            word: last_word(before).to_owned(),
            selected: None,
        };
        let text = document.text.clone();
        // Editors say the same of a key for the list and of a letter that is typed: both are answered. A sign that opens the list is not asked for.
        let kind = params.context.map(|context| context.trigger_kind);
        let least = match kind {
            None | Some(CompletionTriggerKind::INVOKED) => 0.0,
            Some(_) => self.settings.show_threshold,
        };
        let request = self.request_at(&uri, text, offset);
        self.ask(id, uri, request, Shape::List(place, least))
    }

    /// The request for a completion as the settings ask for it.
    pub(super) fn request_at(&self, uri: &Uri, text: String, offset: usize) -> CompleteRequest {
        let mut request = CompleteRequest::new(path_of(uri), text, ByteOffset(offset));
        request.speed = self.settings.speed.unwrap_or(self.options.speed);
        request.max_tokens = self
            .settings
            .max_tokens
            .min(nestor_assist::complete::MAX_TOKENS);
        request.stop = self.settings.stop.into();
        request
    }

    pub(super) fn ask(
        &mut self,
        id: RequestId,
        uri: Uri,
        request: CompleteRequest,
        shape: Shape,
    ) -> Result<(), LspError> {
        for older in self.asked.values_mut().filter(|older| older.uri == uri) {
            older.cancel.cancel();
            older.is_superseded = true;
        }
        self.next_ticket += 1;
        let ticket = self.next_ticket;
        let cancel = Cancel::default();
        let asked = Asked {
            id,
            uri,
            cancel: cancel.clone(),
            shape,
            is_superseded: false,
        };
        self.asked.insert(ticket, asked);
        self.counting.counted.requested += 1;
        let work = Work::Complete {
            ticket,
            request: Box::new(request),
            cancel,
        };
        self.work.send(work).map_err(|_| LspError::Worker)
    }

    /// The answer in the shape in which it was asked for.
    pub(super) fn shaped(&mut self, asked: Asked, ticket: u64, answer: &Answer) -> Response {
        let name = answer.id.clone();
        let name = name.unwrap_or_else(|| format!("lsp-{ticket}"));
        match asked.shape {
            Shape::Ghost(place, least) => {
                self.know(&name, &asked.uri, answer);
                Response::new_ok(asked.id, ghost(answer, &place, &name, least))
            }
            Shape::List(place, least) => {
                self.know(&name, &asked.uri, answer);
                Response::new_ok(asked.id, entries(answer, &place, &name, least))
            }
            Shape::Body {
                place,
                version,
                action,
            } => self.body(asked.id, &asked.uri, (&place, version), action, answer),
        }
    }

    /// Has a document read for a cursor, unless completions are asked for by key alone.
    pub(super) fn read_ahead(&self, uri: &Uri, offset: usize) {
        if self.settings.manual {
            return;
        }
        if let Some(document) = self.documents.get(uri) {
            let request = self.request_at(uri, document.text.clone(), offset);
            // A worker that has ended is told by the loop.
            let _ = self.work.send(Work::ReadAhead(Box::new(request)));
        }
    }
}
