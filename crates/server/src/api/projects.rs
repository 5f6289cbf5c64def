//! Projects: what they know, teaching them, forgetting them.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use nestor_assist::{
    Counts, LearnFile, MetadataFile, MetadataIndex, ProjectName, ProjectReport, ProjectWriter,
    Projects, Root, WhenBusy, is_description,
};

use crate::api::{ApiError, ApiJson, ApiPath, App, Who, blocking, now};
use crate::jobs::{JobKind, NewJob};
use crate::keys::Right;
use crate::serving::known_as;
use crate::wire::{
    LearnFileIn, LearnRequest, LearnShown, ProjectShown, ProjectsShown, SkippedShown,
};

/// Files that are cut into pieces together.
const BATCH: usize = 64;

fn parse_name(name: &str, who: &Who, app: &App) -> Result<ProjectName, ApiError> {
    let parsed: ProjectName = name.parse()?;
    who.need_project(name, app)?;
    Ok(parsed)
}

fn show(projects: &Projects, name: &ProjectName, loaded: bool) -> Result<ProjectShown, ApiError> {
    let store = projects.open(name)?;
    Ok(ProjectShown {
        name: name.to_string(),
        files: store.n_files(),
        pieces: store.n_pieces(),
        roots: store.roots().map(|root| root.name.clone()).collect(),
        disk_bytes: store.disk_bytes(),
        changes: store.history().len(),
        loaded,
    })
}

/// The projects that the key may use.
#[utoipa::path(get, path = "/v1/projects", tag = "Projects", responses((status = 200, body = ProjectsShown), (status = "4XX", body = crate::wire::ErrorShown)))]
pub async fn list(State(app): State<Arc<App>>, who: Who) -> Result<Json<ProjectsShown>, ApiError> {
    blocking(move || {
        let projects = app.serving.projects();
        let mut shown = Vec::new();
        for name in projects.names()? {
            if !who.may_use(name.as_str()) {
                continue;
            }
            // One that is damaged, or removed meanwhile, does not hide the others.
            if let Ok(project) = show(projects, &name, app.serving.is_loaded(&name)) {
                shown.push(project);
            }
        }
        Ok(Json(ProjectsShown { projects: shown }))
    })
    .await
}

/// What a project knows.
#[utoipa::path(get, path = "/v1/projects/{name}", tag = "Projects", params(("name" = String, Path)),
    responses((status = 200, body = ProjectShown), (status = "4XX", body = crate::wire::ErrorShown)))]
pub async fn get(
    State(app): State<Arc<App>>,
    who: Who,
    ApiPath(name): ApiPath<String>,
) -> Result<Json<ProjectShown>, ApiError> {
    let name = parse_name(&name, &who, &app)?;
    blocking(move || show(app.serving.projects(), &name, app.serving.is_loaded(&name)).map(Json))
        .await
}

/// Forgets a project for good.
#[utoipa::path(delete, path = "/v1/projects/{name}", tag = "Projects", params(("name" = String, Path)),
    responses((status = 204, description = "It is gone"), (status = "4XX", body = crate::wire::ErrorShown)))]
pub async fn delete(
    State(app): State<Arc<App>>,
    who: Who,
    ApiPath(name): ApiPath<String>,
) -> Result<StatusCode, ApiError> {
    who.need(Right::Learn, &app)?;
    let name = parse_name(&name, &who, &app)?;
    blocking(move || {
        app.free_project(&name);
        let turn = app.serving.metadata().turn();
        app.serving.projects().remove(&name, WhenBusy::ComeAgain)?;
        app.serving.metadata().forget(&name);
        drop(turn);
        app.serving.unload(&name);
        Ok(StatusCode::NO_CONTENT)
    })
    .await
}

/// Teaches a project.
#[utoipa::path(post, path = "/v1/projects/{name}/learn", tag = "Projects", params(("name" = String, Path)), request_body = LearnRequest,
    responses((status = 200, description = "The files are learned", body = LearnShown), (status = 202, description = "A job learns the source", body = crate::wire::JobShown),
        (status = "4XX", body = crate::wire::ErrorShown)))]
pub async fn learn(
    State(app): State<Arc<App>>,
    who: Who,
    ApiPath(name): ApiPath<String>,
    ApiJson(request): ApiJson<LearnRequest>,
) -> Result<Response, ApiError> {
    who.need(Right::Learn, &app)?;
    let name = parse_name(&name, &who, &app)?;
    match (request.files, request.source) {
        (Some(files), None) => {
            let place = match (request.saved.unwrap_or(false), request.root) {
                (false, root) => Place::Root(root.unwrap_or_else(|| FILES.to_owned())),
                (true, None) => Place::WhereKnown,
                (true, Some(_)) => {
                    let message = "a saved file belongs where the project knows it";
                    return Err(ApiError::field("root", message));
                }
            };
            let learned = blocking(move || learn_files(&app, &name, &place, files)).await?;
            Ok(Json(learned).into_response())
        }
        (None, Some(source)) => {
            if request.root.is_some() {
                let message = "a source has the root that it was learned as first";
                return Err(ApiError::field("root", message));
            }
            if request.saved.is_some() {
                let message = "only files are saved; leave it out";
                return Err(ApiError::field("saved", message));
            }
            let job = learn_source(&app, &name, &source)?;
            Ok((StatusCode::ACCEPTED, Json(job)).into_response())
        }
        _ => Err(ApiError::field("files", "send either `files` or `source`")),
    }
}

/// Refuses paths that lead out of their root.
fn check_paths(files: &[LearnFile]) -> Result<(), ApiError> {
    let leads_out = |path: &str| {
        let mut parts = path.split('/');
        path.starts_with('/') || parts.any(|part| matches!(part, "." | ".."))
    };
    match files.iter().find(|file| leads_out(&file.path)) {
        None => Ok(()),
        Some(file) => {
            let message = format!("{:?} is no path inside a root", file.path);
            Err(ApiError::field("files", &message))
        }
    }
}

/// The root of files that requests bring.
const FILES: &str = "files";

/// Where files are learned.
enum Place {
    /// Into a root that requests teach.
    Root(String),
    /// In the place of the files that the project knows by their paths.
    WhereKnown,
}

/// Time that descriptions wait for another process which changes the project.
const PATIENCE: Duration = Duration::from_secs(5);

/// Files by the root that learns them.
type ByRoot = BTreeMap<String, Vec<LearnFile>>;

fn learn_files(
    app: &App,
    name: &ProjectName,
    place: &Place,
    files: Vec<LearnFileIn>,
) -> Result<LearnShown, ApiError> {
    let files = files.into_iter().map(|file| LearnFile {
        path: file.path.replace('\\', "/"),
        text: file.text,
    });
    let files: Vec<LearnFile> = files.collect();
    if let Place::Root(_) = place {
        check_paths(&files)?;
    }
    let mut assistant = app.serving.model().assistant.as_ref().clone();
    let identity = assistant.identity();
    let projects = app.serving.projects();
    app.free_project(name);
    let turn = app.serving.metadata().turn();
    let mut writer = projects.open_or_create(name, &identity, WhenBusy::ComeAgain, now())?;
    drop(turn);
    let mut shown = LearnShown {
        project: name.to_string(),
        new: 0,
        changed: 0,
        unchanged: 0,
        pieces: 0,
        descriptions: 0,
        skipped: Vec::new(),
    };
    let by_root = match place {
        Place::Root(root) => {
            check_root(&writer, root)?;
            ByRoot::from([(root.clone(), files)])
        }
        Place::WhereKnown => where_known(&writer, files, &mut shown.skipped)?,
    };
    let code = |(root, files): (&String, &Vec<LearnFile>)| {
        let code = files.iter().filter(|file| !is_description(&file.path));
        code.map(|file| format!("{root}/{}", file.path))
            .collect::<Vec<_>>()
    };
    let code: Vec<String> = by_root.iter().flat_map(code).collect();
    app.serving
        .metadata()
        .will_learn(&mut writer, code.iter().map(String::as_str))?;
    let mut metadata = Vec::new();
    for (root, files) in by_root {
        if writer.root(&root).is_none() {
            writer.set_root(&Root {
                name: root.clone(),
                location: String::new(),
                role: None,
            })?;
        }
        let own = format!("{root}/");
        metadata.extend(files.iter().map(|file| MetadataFile {
            path: format!("{own}{}", file.path),
            bytes: file.text.clone().into_bytes(),
        }));
        let (descriptions, files): (Vec<_>, Vec<_>) = files
            .into_iter()
            .partition(|file| is_description(&file.path));
        shown.descriptions += descriptions.len();
        let known: Vec<String> = writer
            .files()
            .filter_map(|(path, _)| path.strip_prefix(&own).map(str::to_owned))
            .collect();
        let mut learning = assistant.learn_project(&mut writer, &root, Counts::Stay)?;
        for path in &known {
            learning.keep(path);
        }
        for batch in files.chunks(BATCH) {
            learning.learn(batch)?;
        }
        tell(&mut shown, learning.finish()?);
    }
    let seq = writer.history().len() as u64;
    drop(writer);
    let updates = app.serving.metadata();
    updates.saved(name, assistant.tokenizer(), metadata, seq);
    if shown.descriptions > 0 {
        // No log names them, so they are on disk before the answer comes.
        updates.finish(name, PATIENCE)?;
    }
    app.serving.look_again(name);
    Ok(shown)
}

/// Refuses a root that requests cannot teach.
fn check_root(writer: &ProjectWriter, root: &str) -> Result<(), ApiError> {
    if root.parse::<ProjectName>().is_err() {
        let message = format!("{root:?} is no name: letters, digits, dots, dashes, underscores");
        return Err(ApiError::field("root", message));
    }
    let known = writer.root(root);
    if known.is_some_and(|known| !known.location.is_empty()) {
        let message = format!("{root:?} is a source on the server's disk; name another root");
        return Err(ApiError::field("root", message));
    }
    Ok(())
}

/// Sorts saved files by the roots that hold them.
fn where_known(
    writer: &ProjectWriter,
    files: Vec<LearnFile>,
    skipped: &mut Vec<SkippedShown>,
) -> Result<ByRoot, ApiError> {
    let held: HashSet<&str> = writer.files().map(|(path, _)| path).collect();
    // Descriptions are in no log.
    let described = match files.iter().any(|file| is_description(&file.path)) {
        true => MetadataIndex::open(writer)?.unwrap_or_default(),
        false => MetadataIndex::new(),
    };
    let roots: Vec<(String, String)> = writer
        .roots()
        .map(|root| (root.name.clone(), root.location.clone()))
        .collect();
    let has_source = roots.iter().any(|(_, location)| !location.is_empty());
    let mut by_root = ByRoot::new();
    for file in files {
        let known = known_as(&file.path, &roots, &|path| {
            held.contains(path) || described.holds(path)
        });
        let found = known.as_deref().and_then(|known| known.split_once('/'));
        let (root, path) = match found {
            Some((root, path)) => (root.to_owned(), path.to_owned()),
            None if has_source => {
                skipped.push(SkippedShown {
                    path: file.path,
                    reason: "not_in_project".to_owned(),
                });
                continue;
            }
            None => (FILES.to_owned(), file.path),
        };
        let text = file.text;
        by_root
            .entry(root)
            .or_default()
            .push(LearnFile { path, text });
    }
    Ok(by_root)
}

/// Adds what a root has learned.
fn tell(shown: &mut LearnShown, report: ProjectReport) {
    shown.new += report.new;
    shown.changed += report.changed;
    shown.unchanged += report.unchanged;
    shown.pieces += report.pieces;
    for (path, reason) in report.skipped {
        shown.skipped.push(SkippedShown { path, reason });
    }
    for held in report.filtered {
        if held.teaches == nestor_assist::Teaches::Nothing {
            shown.skipped.push(SkippedShown {
                path: held.path,
                reason: held.reason.key().to_owned(),
            });
        }
    }
}

fn learn_source(
    app: &App,
    name: &ProjectName,
    source: &str,
) -> Result<crate::wire::JobShown, ApiError> {
    let config = app.config();
    let path = config
        .allowed_source(std::path::Path::new(source))
        .ok_or_else(|| outside("source", source))?;
    let arguments = ["learn", "--json", "--project", name.as_str(), "--memory"];
    let mut arguments: Vec<std::ffi::OsString> = arguments.map(Into::into).into();
    arguments.push(app.serving.projects().dir().into());
    arguments.push("--model".into());
    arguments.push(app.model_folder().into());
    arguments.push("--".into());
    arguments.push(path.into());
    // It waits for the project by itself.
    app.jobs.end(JobKind::Teach, name.as_str());
    app.start_job(NewJob {
        kind: JobKind::Learn,
        name: name.to_string(),
        arguments,
        record: None,
        at_once: config.jobs.at_once,
    })
}

/// The same of a folder that does not exist and one that may not be read.
pub fn outside(param: &str, path: &str) -> ApiError {
    let message =
        format!("{path:?} is no folder inside those that jobs.sources of the configuration names");
    ApiError::field(param, message)
}
