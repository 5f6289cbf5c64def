//! llama.cpp beside our decoding and reading, on about as many bytes of weights.

use super::Typed;
use crate::explain;
use crate::failure::{Failure, Outcome};
use crate::messages::Messages;
use crate::table::{Emphasis, Table};
use nestor_assist::{Assistant, Speed};
use nestor_bench::{PeerShape, PeerTimes, Percentiles, llama_cpp};
use nestor_engine::{EngineError, Model, Session};
use serde::Serialize;
use std::sync::Arc;
use std::time::{Duration, Instant};

#[derive(Serialize)]
pub struct Report {
    /// The peer's network has about the bytes of this speed's.
    speed: &'static str,
    times: PeerTimes,
    /// Our own decoding after as many tokens of context, one thread: blocks and head, without counts.
    ours: Vec<OwnTimes>,
}

#[derive(Serialize)]
struct OwnTimes {
    context: usize,
    prefill_tokens_per_s: f64,
    decode_ms: f64,
}

/// llama.cpp on as many bytes as `fast` and as all stages stream.
pub fn measure(typed: &Typed, assistant: &Assistant, messages: &Messages) -> Outcome<Vec<Report>> {
    let config = assistant.model().config();
    let mut reports = Vec::new();
    for speed in [Speed::Fast, Speed::Accurate] {
        let stages = speed.exits(config.stages);
        let head = config.vocab * config.width;
        let bytes = assistant.model().streamed_bytes(stages);
        // 34 bytes hold 32 weights there.
        let weights = (bytes * 32 / 34).saturating_sub(head);
        let (heads, kv_heads) = (config.width / config.head_dim, 1);
        let shape = PeerShape::about(config.width, config.vocab, weights, heads, kv_heads);
        let times = llama_cpp(&typed.peer_environment, &shape).map_err(|error| {
            let values = [("reason", error.to_string().into())];
            Failure::input(messages, "bench-complete-peer-failed", &values)
        })?;
        let ours = own_times(assistant.model(), stages);
        let ours = ours.map_err(|error| explain::engine(messages, &error))?;
        reports.push(Report {
            speed: speed.name(),
            times,
            ours,
        });
    }
    Ok(reports)
}

fn own_times(model: &Arc<Model>, stages: usize) -> Result<Vec<OwnTimes>, EngineError> {
    const REPEATS: usize = 15;
    const DECODED: usize = 32;
    let config = model.config();
    let mut found = Vec::new();
    for context in [64usize, 512] {
        let tokens: Vec<u32> = (0..context)
            .map(|i| (i * 7919 % config.vocab) as u32)
            .collect();
        let (mut prefill, mut decode) = (Vec::new(), Vec::new());
        for _ in 0..REPEATS {
            let mut session = Session::new(model.clone(), stages)?;
            let mut logits = vec![0.0; config.vocab];
            let started = Instant::now();
            session.forward(&tokens)?;
            prefill.push(started.elapsed());
            let started = Instant::now();
            for token in 0..DECODED as u32 {
                let states = session.forward(&[token])?;
                session.exit_logits(stages - 1, states.rows(stages - 1), &mut logits)?;
            }
            decode.push(started.elapsed() / DECODED as u32);
        }
        let median = |times: &[Duration]| Percentiles::of(times).p50;
        found.push(OwnTimes {
            context,
            prefill_tokens_per_s: 1e3 * context as f64 / median(&prefill),
            decode_ms: median(&decode),
        });
    }
    Ok(found)
}

/// The reports as a table.
pub fn text(peer: &[Report], messages: &Messages) -> String {
    let headings = [
        "bench-speed",
        "bench-complete-context",
        "bench-complete-threads",
        "bench-complete-peer-decode",
        "bench-complete-our-decode",
        "bench-complete-peer-read",
        "bench-complete-our-read",
    ];
    let mut table = Table::new(headings.map(|key| messages.text(key)));
    for one in peer {
        for run in &one.times.runs {
            let ours = one.ours.iter().find(|ours| ours.context == run.context);
            let Some(ours) = ours else {
                continue;
            };
            let cells = [
                one.speed.to_owned(),
                run.context.to_string(),
                run.threads.to_string(),
                messages.decimal(run.decode_ms, 3),
                messages.decimal(ours.decode_ms, 3),
                messages.count(run.prefill_tokens_per_s as u64),
                messages.count(ours.prefill_tokens_per_s as u64),
            ];
            table.row(cells, Emphasis::Plain);
        }
    }
    table.render()
}
