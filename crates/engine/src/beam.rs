//! The best few continuations up to a condition, for rankings of whole code tokens.

use crate::generate::Allowed;
use crate::{EngineError, Predictor};

/// What a beam looks for. Callbacks see the tokens of one continuation.
pub struct BeamRequest<'a> {
    /// How many continuations are kept and returned.
    pub width: usize,
    /// Continuations longer than this are given up.
    pub max_tokens: usize,
    /// Tokens that are never generated.
    pub banned: &'a [u32],
    /// Restricts the next token.
    pub allowed: Option<Allowed<'a>>,
    /// Whether a continuation is complete; it is then not extended.
    pub complete: &'a dyn Fn(&[u32]) -> bool,
}

/// One continuation.
#[derive(Debug, Clone, PartialEq)]
pub struct Beam {
    /// Its tokens.
    pub tokens: Vec<u32>,
    /// Sum of the logarithms of their probabilities.
    pub log_prob: f32,
}

impl Predictor {
    /// The most probable complete continuations, best first; the predictor itself stays where it is.
    ///
    /// # Errors
    /// What [`Predictor::distribution`] returns.
    pub fn beam(&self, request: &BeamRequest<'_>) -> Result<Vec<Beam>, EngineError> {
        let mut open = vec![(
            Beam {
                tokens: Vec::new(),
                log_prob: 0.0,
            },
            self.clone(),
        )];
        let mut complete: Vec<Beam> = Vec::new();
        for _ in 0..request.max_tokens {
            let mut next: Vec<(usize, Beam)> = Vec::new();
            for (parent, (beam, fork)) in open.iter_mut().enumerate() {
                for beam in extensions(beam, fork, request)? {
                    next.push((parent, beam));
                }
            }
            next.sort_by(|a, b| order(&a.1, &b.1));
            let mut survivors = Vec::new();
            for (parent, beam) in next.into_iter().take(request.width) {
                if (request.complete)(&beam.tokens) {
                    complete.push(beam);
                } else {
                    survivors.push((parent, beam));
                }
            }
            complete.sort_by(order);
            complete.truncate(request.width);
            // A continuation only loses probability by growing.
            let last = complete
                .get(request.width.wrapping_sub(1))
                .map(|beam| beam.log_prob);
            survivors.retain(|(_, beam)| last.is_none_or(|last| beam.log_prob > last));
            if survivors.is_empty() {
                break;
            }
            let mut forks = Vec::with_capacity(survivors.len());
            for (parent, beam) in survivors {
                let mut fork = open[parent].1.clone();
                if let Some(token) = beam.tokens.last() {
                    fork.accept(*token)?;
                }
                forks.push((beam, fork));
            }
            open = forks;
        }
        Ok(complete)
    }
}

/// The best `width` continuations of a beam by one token.
fn extensions(
    beam: &Beam,
    fork: &mut Predictor,
    request: &BeamRequest<'_>,
) -> Result<Vec<Beam>, EngineError> {
    let mixed = fork.distribution()?;
    let allowed = request.allowed.and_then(|allowed| allowed(&beam.tokens));
    let mut best: Vec<(u32, f32)> = match &allowed {
        None => (0..).zip(mixed.probs.iter().copied()).collect(),
        Some(tokens) => tokens
            .iter()
            .map(|token| (*token, mixed.prob(*token)))
            .collect(),
    };
    best.retain(|(token, prob)| *prob > 0.0 && !request.banned.contains(token));
    let by_prob = |a: &(u32, f32), b: &(u32, f32)| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0));
    if best.len() > request.width && request.width > 0 {
        best.select_nth_unstable_by(request.width - 1, by_prob);
    }
    best.truncate(request.width);
    best.sort_unstable_by(by_prob);
    let extend = |(token, prob): (u32, f32)| {
        let mut tokens = beam.tokens.clone();
        tokens.push(token);
        Beam {
            tokens,
            log_prob: beam.log_prob + prob.ln(),
        }
    };
    Ok(best.into_iter().map(extend).collect())
}

fn order(a: &Beam, b: &Beam) -> std::cmp::Ordering {
    b.log_prob
        .total_cmp(&a.log_prob)
        .then_with(|| a.tokens.cmp(&b.tokens))
}
