//! How well the server would have written files that it is shown: what a project is worth before and after it is taught.

use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Json;
use axum::extract::State;
use nestor_assist::Assistant;

use crate::api::{ApiError, ApiJson, App, Who};
use crate::keys::Right;
use crate::metrics::level_name;
use crate::scheduler::{Caller, Ticket};
use crate::wire::{LevelScore, ScoreRequest, ScoreResponse};

/// Files of a request.
const MAX_FILES: usize = 8;

/// Pieces that are scored at each place of a file.
const PIECES: usize = 48;

/// Time in which a file has its turn.
const PATIENCE: Duration = Duration::from_secs(60);

/// Scores files as if they were being typed, by every level. Nothing is learned from them.
#[utoipa::path(post, path = "/v1/score", tag = "Projects", request_body = ScoreRequest,
    responses((status = 200, body = ScoreResponse), (status = "4XX", body = crate::wire::ErrorShown), (status = "5XX", body = crate::wire::ErrorShown)))]
pub async fn score(
    State(app): State<Arc<App>>,
    who: Who,
    ApiJson(request): ApiJson<ScoreRequest>,
) -> Result<Json<ScoreResponse>, ApiError> {
    who.need(Right::Complete, &app)?;
    if request.files.len() > MAX_FILES {
        let message = format!(
            "{} files are too many; send {MAX_FILES} at most",
            request.files.len()
        );
        return Err(ApiError::field("files", message));
    }
    let project = match &request.project {
        Some(name) => {
            who.need_project(name, &app)?;
            Some(app.serving.project_as_taught(name, PATIENCE).await?)
        }
        None => None,
    };
    let mut response = ScoreResponse::default();
    for file in request.files {
        let (assistant, path) = match &project {
            Some(project) => (Arc::clone(&project.assistant), project.path_of(&file.path)),
            None => (Arc::clone(&app.serving.model().assistant), file.path),
        };
        let ticket = Ticket {
            key: who.name().to_owned(),
            document: None,
            deadline: Instant::now() + PATIENCE,
            is_ahead: false,
        };
        // A turn for each file, so that completions come between them.
        let work = move |caller: &Caller| score_file(&assistant, &path, &file.text, caller);
        let scored = app.scheduler.submit(ticket, work)?.wait().await?;
        scored
            .value?
            .into_iter()
            .for_each(|level| add(&mut response, level));
    }
    Ok(Json(response))
}

fn add(response: &mut ScoreResponse, level: LevelScore) {
    let mut levels = response.levels.iter_mut();
    match levels.find(|known| known.level == level.level) {
        Some(known) => {
            known.pieces += level.pieces;
            known.hits += level.hits;
        }
        None => response.levels.push(level),
    }
}

fn score_file(
    assistant: &Assistant,
    path: &str,
    text: &str,
    caller: &Caller,
) -> Result<Vec<LevelScore>, ApiError> {
    let mut levels = Vec::new();
    for typed in places(text) {
        if caller.is_gone() {
            break;
        }
        let rows = assistant.score_typed(path, text, typed, PIECES)?;
        levels.extend(rows.into_iter().map(|row| LevelScore {
            level: level_name(row.row),
            pieces: row.pieces,
            hits: row.hits,
        }));
    }
    Ok(levels)
}

/// The middle and the end of a text, at ends of lines.
fn places(text: &str) -> impl Iterator<Item = Range<usize>> {
    let middle = text.floor_char_boundary(text.len() / 2);
    let middle = text[middle..]
        .find('\n')
        .map_or(text.len(), |at| middle + at);
    let ends = [middle, text.len()];
    let n = if middle < text.len() { 2 } else { 1 };
    ends.into_iter().rev().take(n).map(|end| 0..end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_middle_and_the_end_are_scored_once_each() {
        let ends = |text: &str| places(text).map(|typed| typed.end).collect::<Vec<_>>();
        assert_eq!(ends(""), [0]);
        assert_eq!(ends("Ё"), ["Ё".len()]);
        assert_eq!(ends("а\nбв\nг\n"), ["а\nбв\nг\n".len(), "а\nбв".len()]);
    }
}
