//! A completion as the client gets it: ghost text, or entries of a list for clients that have none.

use lsp_types::{
    Command, CompletionItem, CompletionItemKind, CompletionList, CompletionTextEdit,
    InlineCompletionItem, InlineCompletionList, Position, Range, TextEdit,
};
use serde_json::Value;

use crate::worker::Answer;

/// The command that a client runs after a completion was accepted.
pub const ACCEPTED: &str = "nestor.accepted";

/// Where a completion goes and what stands there already.
#[derive(Clone, Debug)]
pub struct Place {
    /// The cursor.
    pub position: Position,
    /// The word before the cursor, for the filter of a list.
    pub word: String,
    /// The range and text of an entry of a list that is selected; ghost text must begin with it.
    pub selected: Option<(Range, String)>,
}

/// The command names the completion and how many characters of it are taken.
fn accepted(id: &str, taken: &str) -> Command {
    Command {
        title: String::new(),
        command: ACCEPTED.to_owned(),
        arguments: Some(vec![Value::from(id), Value::from(taken.chars().count())]),
    }
}

/// Ghost text; none for a completion below the threshold.
#[must_use]
pub fn ghost(completion: &Answer, place: &Place, id: &str, least: f32) -> InlineCompletionList {
    let is_shown = !completion.insert.is_empty() && completion.confidence >= least;
    let (range, before) = match &place.selected {
        Some((range, text)) => (*range, text.as_str()),
        None => (Range::new(place.position, place.position), ""),
    };
    let item = is_shown.then(|| InlineCompletionItem {
        insert_text: format!("{before}{}", completion.insert),
        filter_text: None,
        range: Some(range),
        command: Some(accepted(id, &completion.insert)),
        insert_text_format: None,
    });
    InlineCompletionList {
        items: item.into_iter().collect(),
    }
}

/// Entries of a list, the likeliest first: the next word, which is surer, and all of it.
#[must_use]
pub fn entries(completion: &Answer, place: &Place, id: &str, least: f32) -> CompletionList {
    let mut texts: Vec<(&str, f32)> = Vec::new();
    if !completion.insert.is_empty() && completion.confidence >= least {
        let whole = completion.insert.as_str();
        let word = first_word(whole);
        if word.len() < whole.len() {
            texts.push((word, confidence_of(completion, word.len())));
        }
        texts.push((whole, completion.confidence));
    }
    let n_utf16 = place.word.encode_utf16().count() as u32;
    let start = Position {
        character: place.position.character.saturating_sub(n_utf16),
        ..place.position
    };
    let entry = |(rank, (text, confidence)): (usize, (&str, f32))| {
        let new_text = format!("{}{text}", place.word);
        let label = new_text.lines().next().unwrap_or_default().trim();
        CompletionItem {
            label: label.to_owned(),
            kind: Some(CompletionItemKind::TEXT),
            detail: Some(format!("Nestor {:.0} %", confidence * 100.0)),
            // Digits sort before letters: beside other servers' entries ours come first, in their own order.
            sort_text: Some(format!("0000{rank}")),
            filter_text: Some(new_text.clone()),
            text_edit: Some(CompletionTextEdit::Edit(TextEdit {
                range: Range::new(start, place.position),
                new_text,
            })),
            command: Some(accepted(id, text)),
            ..CompletionItem::default()
        }
    };
    CompletionList {
        // The next letter may bring a better one.
        is_incomplete: true,
        items: texts.into_iter().enumerate().map(entry).collect(),
    }
}

/// White space, then the letters, or the one sign, at the beginning of a text.
fn first_word(text: &str) -> &str {
    let start = text.len() - text.trim_start().len();
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    let rest = &text[start..];
    let end = match rest.find(|c: char| !is_word(c)) {
        Some(0) => rest.chars().next().map_or(0, char::len_utf8),
        Some(end) => end,
        None => rest.len(),
    };
    &text[..start + end]
}

/// Probability that the first bytes of a completion are right.
fn confidence_of(completion: &Answer, n_bytes: usize) -> f32 {
    let mut at = 0;
    let begun = completion.tokens.iter().take_while(|token| {
        let begins = at < n_bytes + completion.n_healed;
        at += token.0.len();
        begins
    });
    begun.map(|token| token.1).product()
}

/// The word that ends a text.
#[must_use]
pub fn last_word(text: &str) -> &str {
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    let rest = text.trim_end_matches(is_word);
    &text[rest.len()..]
}

#[cfg(test)]
mod tests {
    use super::*;
    use nestor_assist::StopReason;

    fn completion(pieces: &[(&str, f32)], n_healed: usize) -> Answer {
        let whole: String = pieces.iter().map(|piece| piece.0).collect();
        Answer {
            insert: whole[n_healed..].to_owned(),
            confidence: pieces.iter().map(|piece| piece.1).product(),
            tokens: pieces
                .iter()
                .map(|(text, p)| ((*text).to_owned(), *p))
                .collect(),
            n_healed,
            stop: StopReason::Rule,
            id: None,
        }
    }

    fn place(word: &str) -> Place {
        Place {
            position: Position::new(3, 10),
            word: word.to_owned(),
            selected: None,
        }
    }

    #[test]
    fn entries_go_from_the_surest_to_the_longest_and_replace_the_word() {
        let healed = "Вып".len();
        let completion = completion(&[("Выполнить", 0.9), ("()", 0.5), (";", 0.8)], healed);
        let list = entries(&completion, &place("Вып"), "id", 0.0);
        let texts: Vec<(&str, &str)> = list
            .items
            .iter()
            .map(|item| {
                let Some(CompletionTextEdit::Edit(edit)) = &item.text_edit else {
                    panic!("{item:?}")
                };
                assert_eq!(edit.range.start, Position::new(3, 7));
                (edit.new_text.as_str(), item.detail.as_deref().unwrap())
            })
            .collect();
        assert_eq!(
            texts,
            [
                ("Выполнить", "Nestor 90 %"),
                ("Выполнить();", "Nestor 36 %")
            ]
        );
        assert!(list.items[0].sort_text < list.items[1].sort_text);
        assert!(
            entries(&completion, &place("Вып"), "id", 0.5)
                .items
                .is_empty()
        );
    }

    #[test]
    fn ghost_text_begins_with_what_is_selected_in_the_list() {
        let completion = completion(&[("(", 0.9), (")", 0.9)], 0);
        let mut place = place("");
        let range = Range::new(Position::new(3, 5), Position::new(3, 10));
        place.selected = Some((range, "Выбрать".to_owned()));
        let list = ghost(&completion, &place, "id", 0.0);
        assert_eq!(list.items[0].insert_text, "Выбрать()");
        assert_eq!(list.items[0].range, Some(range));
        assert!(ghost(&completion, &place, "id", 0.9).items.is_empty());
    }

    #[test]
    fn words_are_letters_of_any_script() {
        for (text, first, last) in [
            ("Ёж.Имя", "Ёж", "Имя"),
            (" = Новый", " =", "Новый"),
            (".Код", ".", "Код"),
            ("", "", ""),
            ("\n\tА1_б(", "\n\tА1_б", ""),
        ] {
            assert_eq!((first_word(text), last_word(text)), (first, last), "{text}");
        }
    }
}
