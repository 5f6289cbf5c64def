//! What fields of requests may be: checked against the server's limits, with errors that name the field.

use nestor_assist::Sampling;

use crate::api::{ApiError, App};

/// Pieces that may be listed beside each one written.
const MAX_ALTERNATIVES: u32 = 20;

/// Checks how many pieces are to be listed.
///
/// # Errors
/// For more than 20.
pub fn alternatives(param: &str, asked: Option<u32>) -> Result<usize, ApiError> {
    let n = asked.unwrap_or(0);
    if n > MAX_ALTERNATIVES {
        let message = format!("{n} is more than {MAX_ALTERNATIVES}");
        return Err(ApiError::field(param, message));
    }
    Ok(n as usize)
}

/// How pieces are picked for one of several answers.
///
/// # Errors
/// For a temperature or share that makes no sense.
pub fn sampling(
    temperature: Option<f32>,
    top_p: Option<f32>,
    seed: Option<u64>,
    choice_idx: usize,
) -> Result<Sampling, ApiError> {
    let temperature = temperature.unwrap_or(0.0);
    if !(0.0..=2.0).contains(&temperature) {
        let message = format!("{temperature} is not in 0..2");
        return Err(ApiError::field("temperature", message));
    }
    let top_p = top_p.unwrap_or(1.0);
    if !(0.0..=1.0).contains(&top_p) {
        return Err(ApiError::field("top_p", format!("{top_p} is not in 0..1")));
    }
    // Sharpened beyond this, the most probable piece is taken anyway.
    if temperature < 0.01 || top_p == 0.0 {
        return Ok(Sampling::Greedy);
    }
    let seed = match seed {
        Some(seed) => seed,
        None => {
            let mut random = [0; 8];
            getrandom::fill(&mut random)
                .map_err(|error| ApiError::internal(format!("no randomness: {error}")))?;
            u64::from_le_bytes(random)
        }
    };
    Ok(Sampling::Random {
        temperature,
        top_p,
        seed: seed.wrapping_add(choice_idx as u64),
    })
}

/// Pieces to write at most, within the server's limit.
///
/// # Errors
/// For more than that.
pub fn max_tokens(
    app: &App,
    param: &str,
    asked: Option<usize>,
    default: usize,
) -> Result<usize, ApiError> {
    let most = app.config().limits.max_tokens;
    match asked {
        None => Ok(default.min(most)),
        Some(asked) if asked <= most => Ok(asked),
        Some(asked) => {
            let message = format!("{asked} is more than the server writes, {most}");
            Err(ApiError::field(param, message))
        }
    }
}

/// Answers to one request, within the server's limit.
///
/// # Errors
/// For none or more than that.
pub fn choices(app: &App, param: &str, asked: Option<usize>) -> Result<usize, ApiError> {
    let most = app.config().limits.choices;
    let n = asked.unwrap_or(1);
    if (1..=most).contains(&n) {
        return Ok(n);
    }
    Err(ApiError::field(param, format!("{n} is not in 1..{most}")))
}

/// Texts that end an answer.
///
/// # Errors
/// For more than 16, or one that is empty.
pub fn stops(stop: Option<crate::wire::OneOrMany>) -> Result<Vec<String>, ApiError> {
    let stops = stop
        .map(crate::wire::OneOrMany::into_vec)
        .unwrap_or_default();
    if stops.len() > 16 {
        let message = format!("{} texts are too many; name at most 16", stops.len());
        return Err(ApiError::field("stop", message));
    }
    if stops.iter().any(String::is_empty) {
        return Err(ApiError::field("stop", "an empty text ends nothing"));
    }
    Ok(stops)
}
