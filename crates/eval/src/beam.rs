//! Rankings of whole code tokens by a beam of five: top-5 accuracy and reciprocal ranks.
//!
//! The protocols ask on one position in fifty. A hypothesis grows piece by piece until a piece that starts a new token
//! would follow; its probability is that of its pieces times that of ending there. This module knows pieces and
//! probabilities; the caller runs the network.

use std::sync::Arc;

use nestor_bsl::pieces::Tokenizer;

use crate::strict::{Mask, Masks, dot};

/// Hypotheses that are kept.
pub const BEAM: usize = 5;

/// Longest token in pieces; a longer one is missed.
const MAX_PIECES: usize = 12;

#[derive(Clone, Debug)]
struct Hypothesis {
    pieces: Vec<u32>,
    text: Vec<u8>,
    p: f64,
}

/// The texts of the five likeliest code tokens, best first. `first` says which pieces may begin, `probs` gives the
/// distribution after some pieces.
pub fn ranking<E>(
    masks: &Masks,
    first: &Mask,
    mut probs: impl FnMut(&[u32]) -> Result<Arc<[f32]>, E>,
) -> Result<Vec<Vec<u8>>, E> {
    let tokenizer = masks.tokenizer();
    let start = probs(&[])?;
    let mass = f64::from(dot(&start, first)).max(f64::MIN_POSITIVE);
    let allowed = |id: usize| first[id] > 0.0;
    let empty = Hypothesis {
        pieces: Vec::new(),
        text: Vec::new(),
        p: 1.0 / mass,
    };
    let mut open = extend(tokenizer, &empty, &start, allowed);
    let mut done: Vec<(Vec<u8>, f64)> = Vec::new();
    for _ in 0..MAX_PIECES {
        let mut longer = Vec::new();
        for hypothesis in &open {
            if hypothesis.text == b"\"" {
                complete(&mut done, hypothesis.text.clone(), hypothesis.p);
                continue;
            }
            let next = probs(&hypothesis.pieces)?;
            let Some(last) = last_char(&hypothesis.text) else {
                // Within a character nothing can end.
                longer.extend(extend(tokenizer, hypothesis, &next, |id| {
                    !tokenizer.piece(id as u32).is_empty()
                }));
                continue;
            };
            let starts = masks.starts_after(last);
            let is_open = is_open_token(&hypothesis.text);
            if !is_open {
                let p_end = f64::from(dot(&next, &starts));
                complete(&mut done, hypothesis.text.clone(), hypothesis.p * p_end);
            }
            longer.extend(extend(tokenizer, hypothesis, &next, |id| {
                starts[id] == 0.0 || is_open
            }));
        }
        longer.sort_by(|a, b| b.p.total_cmp(&a.p).then_with(|| a.pieces.cmp(&b.pieces)));
        longer.truncate(BEAM);
        done.sort_by(|a, b| b.1.total_cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
        open = longer;
        let worst_kept = done.get(BEAM - 1).map_or(0.0, |item| item.1);
        if open.first().is_none_or(|best| best.p <= worst_kept) {
            break;
        }
    }
    done.truncate(BEAM);
    Ok(done.into_iter().map(|item| item.0).collect())
}

/// The five likeliest ways to go on that are `allowed`.
fn extend(
    tokenizer: &Tokenizer,
    from: &Hypothesis,
    probs: &[f32],
    allowed: impl Fn(usize) -> bool,
) -> Vec<Hypothesis> {
    let mut best: Vec<(f32, usize)> = Vec::with_capacity(BEAM + 1);
    for (id, p) in probs.iter().enumerate() {
        let enters = *p > 0.0 && (best.len() < BEAM || *p > best[BEAM - 1].0);
        if enters && allowed(id) {
            let at = best.partition_point(|item| item.0 >= *p);
            best.insert(at, (*p, id));
            best.truncate(BEAM);
        }
    }
    best.into_iter()
        .map(|(p, id)| {
            let mut longer = from.clone();
            let piece = tokenizer.piece(id as u32);
            let visible = match from.pieces.is_empty() {
                true => piece.strip_prefix(b" ").unwrap_or(piece),
                false => piece,
            };
            longer.text.extend_from_slice(visible);
            longer.pieces.push(id as u32);
            longer.p *= f64::from(p);
            longer
        })
        .collect()
}

/// Different pieces may spell one token: their probabilities add up.
fn complete(done: &mut Vec<(Vec<u8>, f64)>, text: Vec<u8>, p: f64) {
    match done.iter_mut().find(|item| item.0 == text) {
        Some(item) => item.1 += p,
        None => done.push((text, p)),
    }
}

/// A directive or a date that has only begun: the next piece belongs to it although it looks like a new token.
fn is_open_token(text: &[u8]) -> bool {
    match text {
        b"#" => true,
        [b'\'', rest @ ..] => !rest.ends_with(b"'"),
        _ => false,
    }
}

fn last_char(text: &[u8]) -> Option<char> {
    let start = text.len().saturating_sub(4);
    let tail = (start..text.len()).find_map(|at| std::str::from_utf8(&text[at..]).ok())?;
    tail.chars().next_back()
}
