//! Code actions: the body of a method.

use lsp_server::{ErrorCode, Request, RequestId, Response};
use lsp_types::{CodeAction, CodeActionParams, Range, Uri};
use nestor_assist::BodyPlace;
use serde_json::{Value, json};

use crate::action::{self, Offered};
use crate::documents::path_of;
use crate::error::LspError;
use crate::server::{CONTENT_MODIFIED, Server, Shape};
use crate::worker::Answer;

impl Server<'_> {
    pub(super) fn actions(&mut self, id: RequestId, params: &CodeActionParams) {
        let uri = &params.text_document.uri;
        let Some(document) = self.documents.get(uri) else {
            self.wrong(id, &format!("{} is not open", uri.as_str()));
            return;
        };
        let position = params.range.start;
        let mut offers = Vec::new();
        if action::is_wanted(params.context.only.as_deref())
            && let Some(place) = action::body_at(document, position)
        {
            let offered = Offered {
                uri: uri.clone(),
                version: document.version,
                position,
            };
            offers.push(action::offer(&place, &offered, self.takes));
        }
        self.send(Response::new_ok(id, offers));
        // Editors ask for actions wherever the cursor stops.
        let offset = document.offset(params.range.end);
        self.read_ahead(uri, offset);
    }

    pub(super) fn resolve(
        &mut self,
        id: RequestId,
        mut action: CodeAction,
    ) -> Result<(), LspError> {
        let data = action.data.take().unwrap_or_default();
        match serde_json::from_value::<Offered>(data) {
            Ok(offered) => self.write_body(id, offered, Some(Box::new(action))),
            Err(error) => {
                self.wrong(id, &format!("the action is none of ours: {error}"));
                Ok(())
            }
        }
    }

    /// Asks for the body that was offered; `action` is completed by it, or else the client is asked to apply the edit.
    pub(super) fn write_body(
        &mut self,
        id: RequestId,
        offered: Offered,
        action: Option<Box<CodeAction>>,
    ) -> Result<(), LspError> {
        let uri = offered.uri;
        let document = self.documents.get(&uri);
        let place = document
            .filter(|document| document.version == offered.version)
            .and_then(|document| Some((document, action::body_at(document, offered.position)?)));
        let Some((document, place)) = place else {
            let reason = "the document is another since the action was offered".to_owned();
            self.send(Response::new_err(id, CONTENT_MODIFIED, reason));
            return Ok(());
        };
        let request = place.request(&path_of(&uri), &document.text);
        let shape = Shape::Body {
            place,
            version: offered.version,
            action,
        };
        self.ask(id, uri, request, shape)
    }

    /// The answer to who asked for a body.
    pub(super) fn body(
        &mut self,
        id: RequestId,
        uri: &Uri,
        (place, version): (&BodyPlace, i32),
        action: Option<Box<CodeAction>>,
        answer: &Answer,
    ) -> Response {
        let Some(document) = self
            .documents
            .get(uri)
            .filter(|document| document.version == version)
        else {
            let reason = "the document was changed meanwhile".to_owned();
            return Response::new_err(id, CONTENT_MODIFIED, reason);
        };
        let Some(text) = place.text(&answer.insert, answer.stop) else {
            let code = ErrorCode::RequestFailed as i32;
            let reason = "no whole statement was written".to_owned();
            return Response::new_err(id, code, reason);
        };
        let range = Range::new(
            document.position(place.replaces.start),
            document.position(place.replaces.end),
        );
        let edit = action::edit(document, uri, range, text, self.takes);
        match action {
            Some(mut action) => {
                action.edit = Some(edit);
                Response::new_ok(id, action)
            }
            None => {
                self.next_ticket += 1;
                let apply = RequestId::from(format!("edit-{}", self.next_ticket));
                let method = "workspace/applyEdit".to_owned();
                self.send(Request::new(apply, method, json!({"edit": edit})));
                Response::new_ok(id, Value::Null)
            }
        }
    }
}
