//! Token healing: a cursor in the middle of a word does not force the piece borders that typing left.
//!
//! The pieces of the last word are taken back and the completion must start with its bytes. So `Устано|` may go on with the
//! single piece `Установить`, and a space typed before the cursor may become the space that a piece begins with. Called by
//! completion; knows text and pieces.

use nestor_bsl::lexer::is_name_char;
use nestor_bsl::pieces::{Tokenizer, split_words};

/// The bytes at the end of `prefix` that a completion has to write again: its last word, where that word may go on.
#[must_use]
pub fn unfinished_word(prefix: &str) -> &str {
    let Some(last) = prefix.chars().next_back() else {
        return "";
    };
    if !(is_name_char(last) || last.is_whitespace()) {
        return "";
    }
    // Words never cross a line but for the line end itself, so the last lines are enough.
    let visible = prefix.trim_end().len();
    let line_start = prefix[..visible].rfind('\n').map_or(0, |at| at + 1);
    let word = split_words(&prefix[line_start..]).pop();
    word.map_or("", |word| &prefix[line_start + word.start..])
}

/// The pieces that may come after `generated`, when the whole must start with `healed`; `None` where every piece may.
#[must_use]
pub fn allowed(tokenizer: &Tokenizer, healed: &[u8], generated: &[u32]) -> Option<Vec<u32>> {
    let written: usize = generated.iter().map(|id| tokenizer.piece(*id).len()).sum();
    let rest = healed.get(written..).filter(|rest| !rest.is_empty())?;
    Some(tokenizer.with_prefix(rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_word_is_taken_back_where_it_may_go_on() {
        let check =
            |prefix: &str, word: &str| assert_eq!(unfinished_word(prefix), word, "{prefix:?}");
        check("\tЗапрос.Устано", "Устано");
        check("\tУстановитьДос", "Дос");
        check("\tЕсли А", " А");
        check("\tЕсли ", " ");
        check("А = 1;\n\t", "\n\t");
        check("А = 1;", "");
        check("Запрос.", "");
        check("Ф(\"", "");
        check("", "");
        check("А = 12", " 12");
        check("Текст = \"ВЫБРАТЬ\n\t|\tТова", "Това");
    }
}
