//! The OpenAPI document, made of the handlers and the types on the wire.

use std::sync::OnceLock;

use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::{Modify, OpenApi};

use crate::api::{editor, jobs, llama, openai, ops, projects, score};

#[derive(OpenApi)]
#[openapi(
    info(title = "Nestor", description = "A code model for 1C:Enterprise BSL. Errors have OpenAI's shape. Where the server has keys, send one as `Authorization: Bearer KEY`."),
    paths(
        openai::completions, openai::chat, openai::models, openai::model,
        llama::infill, llama::health, llama::props,
        editor::complete, editor::events,
        projects::list, projects::get, projects::delete, projects::learn, score::score,
        jobs::train, jobs::get, jobs::cancel, jobs::list,
        ops::reload, ops::metrics, ops::live, ops::ready, ops::openapi,
    ),
    modifiers(&Keys)
)]
struct Document;

struct Keys;

impl Modify for Keys {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let bearer = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).build();
        let components = document.components.get_or_insert_default();
        components.add_security_scheme("key", SecurityScheme::Http(bearer));
    }
}

/// The document as JSON.
#[must_use]
pub fn document() -> &'static str {
    static TEXT: OnceLock<String> = OnceLock::new();
    TEXT.get_or_init(|| {
        Document::openapi()
            .to_json()
            .expect("the document is made of our own types")
    })
}
