//! Which piece writes which part of an answer's text.

use nestor_assist::CompletionToken;

/// A piece of an answer.
#[derive(Clone, Debug, PartialEq)]
pub struct Piece {
    /// It, with its probability and what stood beside it.
    pub token: CompletionToken,
    /// The part of the answer's text that it writes. What the first pieces write again of a typed word is in none, and a piece that a stop
    /// text has cut or taken away is as short as it was left.
    pub text: String,
    /// Characters of the text before it.
    pub offset: usize,
}

/// A part of an answer's text that stays whatever comes.
#[derive(Clone, Debug, PartialEq)]
pub struct Grown {
    /// The part.
    pub text: String,
    /// The pieces that write it, where they were asked for.
    pub pieces: Vec<Piece>,
}

impl From<&str> for Grown {
    fn from(text: &str) -> Self {
        Self {
            text: text.to_owned(),
            pieces: Vec::new(),
        }
    }
}

/// The pieces with their parts of a text, which may end before they do. `n_healed` bytes of them write again what was typed.
#[must_use]
pub fn pieces_of(text: &str, n_healed: usize, tokens: &[CompletionToken]) -> Vec<Piece> {
    let mut rest = text;
    // Bytes as the model wrote them: with `\n` where the document has `\r\n`.
    let mut left = 0i64 - n_healed as i64;
    let mut offset = 0;
    let last = tokens.len().saturating_sub(1);
    let mut pieces = Vec::with_capacity(tokens.len());
    for (idx, token) in tokens.iter().enumerate() {
        left += token.bytes.len() as i64;
        let mut end = 0;
        for (at, c) in rest.char_indices() {
            let is_added = c == '\r' && rest[at + 1..].starts_with('\n');
            let size = if is_added { 0 } else { c.len_utf8() as i64 };
            if idx < last && left < size.max(1) {
                break;
            }
            left -= size;
            end = at + c.len_utf8();
        }
        let (part, behind) = rest.split_at(end);
        pieces.push(Piece {
            token: token.clone(),
            text: part.to_owned(),
            offset,
        });
        offset += part.chars().count();
        rest = behind;
    }
    pieces
}

/// The parts of a text, one for each piece that writes any of it, with the pieces before it that write nothing. The pieces that are left
/// write nothing, either.
#[must_use]
pub fn group(pieces: Vec<Piece>) -> (Vec<Grown>, Vec<Piece>) {
    let mut parts = Vec::new();
    let mut open = Vec::new();
    for piece in pieces {
        let text = piece.text.clone();
        open.push(piece);
        if !text.is_empty() {
            let pieces = std::mem::take(&mut open);
            parts.push(Grown { text, pieces });
        }
    }
    (parts, open)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tokens(pieces: &[&[u8]]) -> Vec<CompletionToken> {
        let tokens = pieces.iter().map(|bytes| CompletionToken {
            id: 0,
            text: String::from_utf8_lossy(bytes).into_owned(),
            bytes: bytes.to_vec(),
            probability: 0.5,
            alternatives: Vec::new(),
        });
        tokens.collect()
    }

    #[test]
    fn pieces_write_the_text_each_its_part() {
        let yo = "Ё".as_bytes();
        for (pieces, n_healed, text, expected) in [
            (
                &["А".as_bytes(), b" = 1;"][..],
                0,
                "А = 1;",
                &["А", " = 1;"][..],
            ),
            // The word was typed in part, and in part by a piece of its own.
            (
                &["Вы".as_bytes(), "брать".as_bytes(), b"()"],
                6,
                "рать()",
                &["", "рать", "()"],
            ),
            // A character in two pieces belongs to the one that ends it.
            (&[&yo[..1], &yo[1..], b";"], 0, "Ё;", &["", "Ё", ";"]),
            // Line ends are the document's.
            (&[b"a;\n", b"\tb;"], 0, "a;\r\n\tb;", &["a;\r\n", "\tb;"]),
            // A stop text has cut the second piece and taken the third.
            (&[b"a", b" = b", b";"], 0, "a =", &["a", " =", ""]),
        ] {
            let found = pieces_of(text, n_healed, &tokens(pieces));
            let parts: Vec<&str> = found.iter().map(|piece| piece.text.as_str()).collect();
            assert_eq!(parts, expected);
            let before = |idx: usize| parts[..idx].iter().map(|part| part.chars().count());
            let offsets = (0..pieces.len()).map(|idx| before(idx).sum::<usize>());
            assert!(offsets.eq(found.iter().map(|piece| piece.offset)));
            let (told, left) = group(found);
            let whole: String = told.iter().map(|one| one.text.as_str()).collect();
            assert_eq!(whole, text);
            let n_told: usize = told.iter().map(|one| one.pieces.len()).sum();
            assert_eq!(n_told + left.len(), pieces.len());
        }
    }
}
