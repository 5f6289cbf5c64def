//! Strict accuracy over the model's own pieces: which positions ask what, and how answers become a verdict.
//!
//! DESIGN 6, definition (b), says what counts; the protocols call this for every scored file. Teacher forced: the
//! pieces before a position are the true ones. Three kinds of positions belong to a code token:
//!
//! - its *first* piece. White space is given and so is that a token begins here: the argmax is taken among pieces that
//!   have the true white-space class (a leading space or none) and begin a code token after the last character;
//!   white-space-only pieces, comments and the `|` of a continued string are context, not tokens;
//! - its *inner* pieces, argmax over everything: a piece that would end the token early is wrong;
//! - the piece *after* it, argmax over everything: it must start a new token, whatever it is. Only the quote that opens
//!   a literal needs no such check: it is a token by itself.
//!
//! So a token is right exactly when greedy decoding from the true context writes it and stops there. This module knows
//! pieces and probabilities; it must not know where the probabilities come from.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::{Arc, PoisonError, RwLock};

use nestor_bsl::code_tokens::{CodeToken, TokenClass};
use nestor_bsl::pieces::{Tokenizer, WhiteSpaceClass};
use rustc_hash::FxHashMap;

use crate::ngram::fold_case;
use crate::tally::{Rank, Verdict};

/// A piece of the text: its id and the bytes it stands for.
pub type Piece = (u32, Range<usize>);

/// Which pieces may stand somewhere: 1 for each that may, 0 for the others; one entry a piece of the vocabulary.
pub type Mask = Arc<[f32]>;

/// What a mask depends on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum MaskKey {
    /// First pieces of a token after this character, with this white space.
    First(char, bool),
    /// Pieces that start a new token after this character.
    Starts(char),
}

/// Masks over the vocabulary of one tokenizer, made when first asked for.
pub struct Masks {
    tokenizer: Arc<Tokenizer>,
    made: RwLock<FxHashMap<MaskKey, Mask>>,
}

impl Masks {
    /// Masks of a tokenizer.
    #[must_use]
    pub fn new(tokenizer: Arc<Tokenizer>) -> Self {
        Self {
            tokenizer,
            made: RwLock::default(),
        }
    }

    /// The tokenizer.
    #[must_use]
    pub fn tokenizer(&self) -> &Tokenizer {
        &self.tokenizer
    }

    /// Pieces that may begin a code token after a text that ends with `before`; `leading_space`: the token has one
    /// space before it that belongs to its first piece.
    #[must_use]
    pub fn first(&self, before: char, leading_space: bool) -> Mask {
        // After a space of its own the piece begins a token whatever stood before.
        let before = if leading_space { ' ' } else { before };
        self.get(MaskKey::First(before, leading_space))
    }

    /// Pieces that end a token whose last character is `last` by starting another one.
    #[must_use]
    pub fn starts_after(&self, last: char) -> Mask {
        self.get(MaskKey::Starts(last))
    }

    fn get(&self, key: MaskKey) -> Mask {
        let made = self.made.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(mask) = made.get(&key) {
            return Arc::clone(mask);
        }
        drop(made);
        let ids = 0..self.tokenizer.vocab_size() as u32;
        let mask: Mask = ids
            .map(|id| f32::from(u8::from(self.admits(key, id))))
            .collect();
        let mut made = self.made.write().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(made.entry(key).or_insert(mask))
    }

    fn admits(&self, key: MaskKey, id: u32) -> bool {
        match key {
            MaskKey::Starts(last) => self.tokenizer.starts_new_token(last, id),
            MaskKey::First(before, leading_space) => {
                let class = if leading_space {
                    WhiteSpaceClass::LeadingSpace
                } else {
                    WhiteSpaceClass::None
                };
                let piece = self.tokenizer.piece(id);
                let visible = piece.strip_prefix(b" ").unwrap_or(piece);
                self.tokenizer.white_space_class(id) == class
                    && (leading_space || self.tokenizer.starts_new_token(before, id))
                    && !visible.starts_with(b"//")
                    && !visible.starts_with(b"|")
            }
        }
    }
}

/// One code token as a question to the model.
#[derive(Clone, Debug)]
pub struct TokenQuestion {
    /// Index of the code token in the file.
    pub token_idx: usize,
    /// Its pieces, by index in the file.
    pub pieces: Range<usize>,
    /// Which pieces may be the first.
    pub first: Mask,
    /// Which pieces may follow it; `None` where the end is not checked.
    pub end: Option<Mask>,
}

/// The questions of the `wanted` code tokens of a file.
#[must_use]
pub fn questions(
    text: &str,
    code: &[CodeToken],
    wanted: &[bool],
    pieces: &[Piece],
    masks: &Masks,
) -> Vec<TokenQuestion> {
    let mut questions = Vec::new();
    for (token_idx, token) in code.iter().enumerate().filter(|(idx, _)| wanted[*idx]) {
        let scored = &token.scored;
        let first = pieces.partition_point(|piece| piece.1.end <= scored.start);
        let end = pieces.partition_point(|piece| piece.1.start < scored.end);
        let before = text[..scored.start].chars().next_back().unwrap_or('\n');
        let leading_space = pieces[first].1.start < scored.start;
        let checks_end = !matches!(token.class, TokenClass::Quote | TokenClass::Prose);
        let last = text[scored.clone()].chars().next_back().unwrap_or('\n');
        questions.push(TokenQuestion {
            token_idx,
            pieces: first..end,
            first: masks.first(before, leading_space),
            end: checks_end.then(|| masks.starts_after(last)),
        });
    }
    questions
}

/// What is asked at one piece position.
#[derive(Clone, Debug, Default)]
pub struct Position {
    /// The true piece; `None` after the last one.
    pub truth: Option<u32>,
    /// The position is the first of a token: pieces that may stand here.
    pub first: Option<Mask>,
    /// The position ends a token: pieces that would start a new one.
    pub end: Option<Mask>,
    /// The piece counts for token accuracy: it is part of the scored code, or white space or a comment in it.
    pub counts: bool,
}

/// What a level says at one position.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Answer {
    /// The likeliest piece of all.
    pub top: u32,
    /// The likeliest piece of those that may be first.
    pub first_top: u32,
    /// Probability of the true piece.
    pub p_truth: f32,
    /// Probability of the true piece among those that may be first.
    pub p_first: f32,
    /// Probability that a new token starts here.
    pub p_end: f32,
    /// Whether the likeliest piece of all starts a new token.
    pub ends: bool,
}

/// Reads one distribution.
#[must_use]
pub fn answer(position: &Position, probs: &[f32]) -> Answer {
    let top = argmax(probs.iter().copied());
    let p_truth = position
        .truth
        .and_then(|id| probs.get(id as usize))
        .map_or(0.0, |p| *p);
    let (first_top, p_first) = match &position.first {
        Some(mask) => {
            let allowed = probs.iter().zip(mask.iter()).map(|(p, m)| p * m);
            let mass: f32 = allowed.clone().sum();
            let share = if mass > 0.0 { p_truth / mass } else { 0.0 };
            (argmax(allowed), share)
        }
        None => (top, p_truth),
    };
    let (p_end, ends) = match &position.end {
        Some(mask) => (dot(probs, mask), mask[top as usize] > 0.0),
        None => (1.0, true),
    };
    Answer {
        top,
        first_top,
        p_truth,
        p_first,
        p_end,
        ends,
    }
}

/// The sum of the probabilities of the pieces in the mask.
#[must_use]
pub fn dot(probs: &[f32], mask: &[f32]) -> f32 {
    probs.iter().zip(mask).map(|(p, m)| p * m).sum()
}

/// The first of the largest values.
fn argmax(values: impl Iterator<Item = f32>) -> u32 {
    let mut best = (0, f32::NEG_INFINITY);
    for (id, value) in values.enumerate() {
        if value > best.1 {
            best = (id as u32, value);
        }
    }
    best.0
}

/// The positions that the questions of a file need, in order, and what each of them asks. Pieces between two tokens that
/// are asked one after the other are among them, for token accuracy.
#[must_use]
pub fn positions(questions: &[TokenQuestion], pieces: &[Piece]) -> Vec<(usize, Position)> {
    let mut asked: BTreeMap<usize, Position> = BTreeMap::new();
    for (idx, question) in questions.iter().enumerate() {
        let next = questions
            .get(idx + 1)
            .filter(|next| next.token_idx == question.token_idx + 1);
        let end = next.map_or(question.pieces.end, |next| next.pieces.start);
        for place in question.pieces.start..end.max(question.pieces.end) {
            asked.entry(place).or_default().counts = true;
        }
        asked.entry(question.pieces.start).or_default().first = Some(Arc::clone(&question.first));
        if let Some(end) = &question.end {
            asked.entry(question.pieces.end).or_default().end = Some(Arc::clone(end));
        }
    }
    for (place, position) in &mut asked {
        position.truth = pieces.get(*place).map(|piece| piece.0);
    }
    asked.into_iter().collect()
}

/// What one file says about a token beside the answers.
#[derive(Clone, Copy, Debug)]
pub struct TokenText<'a> {
    /// Text of the file.
    pub text: &'a str,
    /// The token.
    pub token: &'a CodeToken,
    /// The file's pieces.
    pub pieces: &'a [Piece],
}

/// The verdict on a token, without what metadata knows of it; `answer_at` gives the answer at a piece position.
pub fn verdict<'a>(
    question: &TokenQuestion,
    token: TokenText<'_>,
    tokenizer: &Tokenizer,
    answer_at: impl Fn(usize) -> &'a Answer,
    rank: Option<Rank>,
) -> Verdict {
    let (mut right, mut folded, mut bits) = (true, true, 0.0);
    for idx in question.pieces.clone() {
        let answer = answer_at(idx);
        let truth = token.pieces[idx].0;
        let (said, p) = if idx == question.pieces.start {
            (answer.first_top, answer.p_first)
        } else {
            (answer.top, answer.p_truth)
        };
        right &= said == truth;
        folded &= said == truth || folds_to(tokenizer.piece(said), tokenizer.piece(truth));
        bits -= f64::from(p.max(f32::MIN_POSITIVE)).log2();
    }
    let mut ends = true;
    if question.end.is_some() {
        let answer = answer_at(question.pieces.end);
        ends = answer.ends;
        bits -= f64::from(answer.p_end.max(f32::MIN_POSITIVE)).log2();
    }
    Verdict {
        slot_idx: token.token.slot as usize,
        identifier: token.token.class == TokenClass::Identifier,
        strict: right && ends,
        folded: folded && ends,
        codexglue: right,
        bits,
        n_chars: token.text[token.token.scored.clone()].chars().count() as u64,
        rank,
        known: None,
        spoken: None,
    }
}

fn folds_to(said: &[u8], truth: &[u8]) -> bool {
    match (std::str::from_utf8(said), std::str::from_utf8(truth)) {
        (Ok(said), Ok(truth)) => fold_case(said) == fold_case(truth),
        // Part of a character has no case.
        _ => false,
    }
}
