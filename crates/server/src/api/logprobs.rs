//! Probabilities of pieces in OpenAI's two shapes.

use crate::serving::Piece;
use crate::wire::{ChatAlternative, ChatLogprob, ChatLogprobs, Logprobs};

fn logprob(probability: f32) -> f32 {
    probability.max(f32::MIN_POSITIVE).ln()
}

/// Pieces in the older shape.
#[must_use]
pub fn logprobs(pieces: &[Piece]) -> Logprobs {
    let mut shown = Logprobs::default();
    for piece in pieces {
        let token = &piece.token;
        let taken = (token.text.clone(), logprob(token.probability));
        let others = token.alternatives.iter();
        let others = others.map(|other| (other.text.clone(), logprob(other.probability)));
        shown.text_offset.push(piece.offset);
        shown.tokens.push(taken.0.clone());
        shown.token_logprobs.push(taken.1);
        // As at OpenAI the piece taken is listed even where it is none of the most probable.
        shown.top_logprobs.push(others.chain([taken]).collect());
    }
    shown
}

/// Pieces in the shape of chat.
#[must_use]
pub fn chat_logprobs(pieces: &[Piece]) -> ChatLogprobs {
    let content = pieces.iter().map(|piece| &piece.token);
    let content = content.map(|token| ChatLogprob {
        token: token.text.clone(),
        logprob: logprob(token.probability),
        bytes: token.bytes.clone(),
        top_logprobs: token
            .alternatives
            .iter()
            .map(|other| ChatAlternative {
                token: other.text.clone(),
                logprob: logprob(other.probability),
                bytes: other.bytes.clone(),
            })
            .collect(),
    });
    ChatLogprobs {
        content: content.collect(),
    }
}
