//! Editor terms: `/v1/complete` for thin clients, and `/v1/events`, which tells what became of completions.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use nestor_assist::{Sampling, StopRule};

use crate::api::fields::max_tokens;
use crate::api::run::{Order, Run, tokens_shown};
use crate::api::{ApiError, ApiJson, App, Who};
use crate::keys::Right;
use crate::metrics::RETAINED_AFTER;
use crate::online::Seen;
use crate::serving::Asked;
use crate::wire::{
    EditorRequest, EditorResponse, EventIn, EventsRequest, EventsResponse, OffsetUnit,
};

/// Completes at a cursor in a document.
#[utoipa::path(post, path = "/v1/complete", tag = "Nestor", request_body = EditorRequest,
    responses((status = 200, body = EditorResponse), (status = 409, description = "A newer request for the document came", body = crate::wire::ErrorShown),
        (status = "4XX", body = crate::wire::ErrorShown), (status = "5XX", body = crate::wire::ErrorShown)))]
pub async fn complete(
    State(app): State<Arc<App>>,
    who: Who,
    ApiJson(request): ApiJson<EditorRequest>,
) -> Result<Json<EditorResponse>, ApiError> {
    who.need(Right::Complete, &app)?;
    let config = app.config();
    let offset = byte_offset(&request.text, request.offset, request.offset_unit)?;
    let asked = Asked {
        path: request.path.clone(),
        text: request.text,
        offset,
        speed: request.speed.unwrap_or(config.defaults.speed),
        max_tokens: max_tokens(&app, "max_tokens", request.max_tokens, 16)?,
        rule: request.stop.map_or(config.stop_rule(), StopRule::from),
        use_suffix: request.use_suffix.unwrap_or(true),
        sampling: Sampling::Greedy,
        stops: Vec::new(),
        write_for: None,
        alternatives: None,
    };
    let is_ahead = asked.max_tokens == 0;
    let session = request.session.unwrap_or_default();
    let document = format!("{}\0{session}", request.path);
    let project = request.project.or_else(|| config.defaults.project.clone());
    let seen = Seen {
        document: format!("{}\0{document}", who.name()),
        path: asked.path.clone(),
        project: project.clone(),
        text: asked.text.clone(),
        offset,
    };
    let order = Order {
        asked: vec![asked],
        project,
        document: Some(document),
        is_ahead,
        deadline: request.deadline_ms.map(Duration::from_millis),
    };
    let id = app.new_id("edit");
    let run = Run::begin(&app, &who, order).await?;
    if !is_ahead {
        app.know(&id, Some(seen.document.clone()));
        app.online.saw(seen);
    }
    let answers = run.end().await?;
    let made = answers
        .made
        .first()
        .ok_or_else(|| ApiError::internal("no completion was made"))?;
    Ok(Json(EditorResponse {
        id,
        text: made.text.clone(),
        tokens: tokens_shown(made),
        healed_bytes: made.completion.n_healed,
        context_tokens: made.completion.n_context,
        about: answers.about(made),
    }))
}

/// The byte that an offset means.
fn byte_offset(text: &str, offset: usize, unit: OffsetUnit) -> Result<usize, ApiError> {
    let count = |size: fn(char) -> usize| {
        let mut left = offset;
        for (at, c) in text.char_indices() {
            if left == 0 {
                return Ok(at);
            }
            if left < size(c) {
                let message = format!("{offset} is inside a character; move it to a side");
                return Err(ApiError::field("offset", message));
            }
            left -= size(c);
        }
        if left == 0 {
            return Ok(text.len());
        }
        let message = format!("{offset} is {left} behind the end of the text");
        Err(ApiError::field("offset", message))
    };
    match unit {
        OffsetUnit::Utf16 => count(char::len_utf16),
        OffsetUnit::Characters => count(|_| 1),
        OffsetUnit::Bytes => count(char::len_utf8),
    }
}

/// Tells what became of completions.
#[utoipa::path(post, path = "/v1/events", tag = "Nestor", request_body = EventsRequest,
    responses((status = 200, body = EventsResponse), (status = "4XX", body = crate::wire::ErrorShown)))]
pub async fn events(
    State(app): State<Arc<App>>,
    who: Who,
    ApiJson(request): ApiJson<EventsRequest>,
) -> Result<Json<EventsResponse>, ApiError> {
    who.need(Right::Complete, &app)?;
    for (idx, event) in request.events.iter().enumerate() {
        if let EventIn::Retained {
            after_seconds,
            accepted,
            retained,
            ..
        } = event
        {
            if !RETAINED_AFTER.contains(after_seconds) {
                let message = format!("{after_seconds} is not 30, 90, 180 or 360");
                let param = format!("events[{idx}].after_seconds");
                return Err(ApiError::field(&param, message));
            }
            if retained > accepted {
                let message = format!("{retained} is more than the {accepted} accepted");
                return Err(ApiError::field(&format!("events[{idx}].retained"), message));
            }
        }
    }
    let mut response = EventsResponse {
        taken: 0,
        unknown: 0,
    };
    for event in request.events {
        if take(&app, event) {
            response.taken += 1;
        } else {
            response.unknown += 1;
        }
    }
    Ok(Json(response))
}

/// Counts an event; false for a completion that is not known.
fn take(app: &App, event: EventIn) -> bool {
    match event {
        EventIn::Typed { characters } => {
            app.metrics.typed(characters);
            true
        }
        EventIn::Shown { id, characters } => app.with_known(&id, |_| {
            app.metrics.suggestion("shown", characters);
        }),
        EventIn::Accepted { id, characters } => app.with_known(&id, |known| {
            let more = characters.saturating_sub(known.accepted);
            app.metrics.suggestion("accepted", more);
            known.accepted = known.accepted.max(characters);
            if let Some(document) = &known.document {
                app.online.forget(document);
            }
        }),
        EventIn::PartlyAccepted { id, characters } => app.with_known(&id, |known| {
            // The count is of all that was taken so far: the first tells of the completion, the next ones add to it.
            let more = characters.saturating_sub(known.accepted);
            if known.accepted == 0 {
                app.metrics.suggestion("partly_accepted", more);
            } else {
                app.metrics.accepted_more(more);
            }
            known.accepted = known.accepted.max(characters);
            if let Some(document) = &known.document {
                app.online.forget(document);
            }
        }),
        EventIn::Rejected { id } => app.with_known(&id, |_| {
            app.metrics.suggestion("rejected", 0);
        }),
        EventIn::Retained {
            id,
            after_seconds,
            accepted,
            retained,
        } => app.with_known(&id, |_| {
            app.metrics.retained(after_seconds, accepted, retained);
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offsets_count_as_their_unit_says() {
        let text = "Ё🙂x";
        for (unit, offset, expected) in [
            (OffsetUnit::Utf16, 1, Some(2)),
            (OffsetUnit::Utf16, 2, None),
            (OffsetUnit::Utf16, 3, Some(6)),
            (OffsetUnit::Utf16, 4, Some(7)),
            (OffsetUnit::Utf16, 5, None),
            (OffsetUnit::Characters, 2, Some(6)),
            (OffsetUnit::Bytes, 6, Some(6)),
            (OffsetUnit::Bytes, 3, None),
            (OffsetUnit::Bytes, 8, None),
        ] {
            let found = byte_offset(text, offset, unit).ok();
            assert_eq!(found, expected, "{unit:?} {offset}");
        }
    }
}
