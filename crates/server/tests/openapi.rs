//! The OpenAPI document has every route and no other.

#![allow(
    clippy::unwrap_used,
    reason = "clippy's exception for tests does not know helpers of integration tests"
)]

mod support;

use std::collections::BTreeSet;

use serde_json::Value;
use support::server;

/// Paths that are pages for people.
const PAGES: [&str; 9] = [
    "/",
    "/playground",
    "/dashboard",
    "/docs",
    "/pages/style.css",
    "/pages/shared.js",
    "/pages/playground.js",
    "/pages/dashboard.js",
    "/pages/docs.js",
];

fn document() -> Value {
    serde_json::from_str(nestor_server::document()).unwrap()
}

#[test]
fn every_route_is_described_and_nothing_else_is() {
    let code = include_str!("../src/api/mod.rs");
    let routes: BTreeSet<String> = code
        .split(".route(")
        .skip(1)
        .filter_map(|rest| Some(rest.split('"').nth(1)?.to_owned()))
        .filter(|path| !PAGES.contains(&path.as_str()))
        .collect();
    assert!(routes.len() > 15, "{routes:?}");
    let document = document();
    let described: BTreeSet<String> = document["paths"]
        .as_object()
        .unwrap()
        .keys()
        .cloned()
        .collect();
    assert_eq!(routes, described);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_described_method_is_answered() {
    let server = server(|_| {});
    let document = document();
    for (path, methods) in document["paths"].as_object().unwrap() {
        for method in methods.as_object().unwrap().keys() {
            let path = path
                .replace("{model}", "nestor-fast")
                .replace("{name}", "erp")
                .replace("{id}", "train-1");
            let answer = server.ask(&method.to_uppercase(), &path).await;
            let is_missing = answer.text.contains("unknown_path") || answer.status.as_u16() == 405;
            assert!(!is_missing, "{method} {path}: {}", answer.status);
        }
    }
}

#[test]
fn references_point_to_schemas_that_are_there() {
    let document = document();
    let schemas = document["components"]["schemas"].as_object().unwrap();
    let text = document.to_string();
    let mut n = 0;
    for name in text.split("#/components/schemas/").skip(1) {
        let name = name.split('"').next().unwrap();
        assert!(schemas.contains_key(name), "{name}");
        n += 1;
    }
    assert!(n > 30, "{n}");
    // Nestor's own fields are beside those of the shape.
    let parts = schemas["CompletionsRequest"]["allOf"].as_array().unwrap();
    assert!(
        parts
            .iter()
            .any(|part| part["$ref"] == "#/components/schemas/Extras")
    );
    assert!(
        parts
            .iter()
            .any(|part| part["properties"]["prompt"].is_object())
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_are_served_and_may_load_nothing_from_elsewhere() {
    let server = server(|_| {});
    for path in PAGES {
        let answer = server.ask("GET", path).await;
        if path == "/" {
            assert_eq!(answer.headers["location"], "/playground");
            continue;
        }
        assert_eq!(answer.status.as_u16(), 200, "{path}");
        assert!(answer.text.len() > 200, "{path}");
        assert!(
            !answer.text.contains("https://"),
            "{path} names another site"
        );
        if !path.starts_with("/pages/") {
            let policy = answer.headers["content-security-policy"].to_str().unwrap();
            assert!(policy.contains("default-src 'none'"), "{policy}");
        }
    }
}
