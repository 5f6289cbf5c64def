//! The place of a method's body: where an empty method, or a signature alone, is to be filled.
//!
//! An editor offers to write the body there. The place becomes an ordinary request for a completion that ends with the method, so that a
//! model in the process and one behind HTTP write the same. What was written is cut to whole statements. It must not know models.

use std::collections::HashSet;
use std::ops::Range;

use nestor_bsl::keywords::Keyword;
use nestor_bsl::lexer::{Token, TokenKind, lex};
use nestor_bsl::methods::{Method, methods};
use nestor_bsl::position::ByteOffset;

use crate::complete::{CompleteRequest, StopReason};
use crate::spelling::{Case, indent_of};
use crate::stop::StopRule;
use nestor_engine::Speed;

/// Pieces that a body has at most.
pub const MAX_BODY_TOKENS: usize = 256;

/// Where a body is to be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BodyPlace {
    /// The method's name.
    pub name: String,
    /// What the body takes the place of, in bytes of the document.
    pub replaces: Range<usize>,
    /// What stands before the body in the new text: a line end and its indent.
    opens: String,
    /// What stands behind it: a line end, and the closing word where there is none.
    closes: String,
}

impl BodyPlace {
    /// The method around an offset whose body holds nothing but comments; `None` where there is none.
    #[must_use]
    pub fn at(text: &str, offset: usize) -> Option<Self> {
        let line_end = |at: usize| text[at..].find('\n').map_or(text.len(), |end| at + end);
        let method = methods(text).into_iter().find(|method| {
            let first = text[..method.span.start].rfind('\n').map_or(0, |at| at + 1);
            (first..=line_end(method.span.end)).contains(&offset)
        })?;
        let is_closed = text[method.header_span.clone()].ends_with(')') || method.is_export;
        if method.name.is_empty() || !is_closed {
            return None;
        }
        let body = empty_body(text, &method)?;
        let line = text[..method.header_span.start]
            .rfind('\n')
            .map_or(0, |at| at + 1);
        let indent = &text[line..method.header_span.start];
        let indent = &indent[..indent.len() - indent.trim_start().len()];
        let newline = if text.contains("\r\n") { "\r\n" } else { "\n" };
        let closing = if method.is_complete {
            String::new()
        } else {
            closing_word(text, &method)
        };
        Some(Self {
            opens: format!("{newline}{indent}{}", indent_of(text)),
            closes: format!("{newline}{indent}{closing}"),
            name: method.name,
            replaces: body,
        })
    }

    /// The request that writes the body: the document with its line opened, and the cursor there.
    #[must_use]
    pub fn request(&self, path: &str, text: &str) -> CompleteRequest {
        let (before, behind) = (&text[..self.replaces.start], &text[self.replaces.end..]);
        let opened = format!("{before}{}{}{behind}", self.opens, self.closes);
        let cursor = ByteOffset(before.len() + self.opens.len());
        CompleteRequest {
            speed: Speed::Accurate,
            max_tokens: MAX_BODY_TOKENS,
            stop: StopRule::Method,
            ..CompleteRequest::new(path, opened, cursor)
        }
    }

    /// What takes the place of [`BodyPlace::replaces`] when `written` was written there; `None` when no whole statement was.
    #[must_use]
    pub fn text(&self, written: &str, stop: StopReason) -> Option<String> {
        let ended = matches!(stop, StopReason::Rule | StopReason::EndOfText);
        let body = if ended {
            written
        } else {
            whole_statements(written)
        };
        // Empty lines around it are no part of a body.
        let body = body.trim();
        if body.is_empty() {
            return None;
        }
        Some(format!("{}{body}{}", self.opens, self.closes))
    }
}

/// What the body would take the place of: the white space behind the header and its comments.
fn empty_body(text: &str, method: &Method) -> Option<Range<usize>> {
    let start = method.header_span.end;
    let mut tokens = lex(&text[start..method.body_span.end.max(start)]);
    if !method.is_complete {
        // The text goes on with what belongs to no method.
        let end = tokens
            .iter()
            .position(|token| matches!(token.kind, TokenKind::Preprocessor(_)));
        tokens.truncate(end.unwrap_or(tokens.len()));
    }
    if !tokens.iter().all(|token| token.kind.is_trivia()) {
        return None;
    }
    let comment = tokens
        .iter()
        .rfind(|token| token.kind == TokenKind::Comment);
    let from = start + comment.map_or(0, |comment| comment.span.end);
    let to = if method.is_complete {
        method.body_span.end
    } else {
        from
    };
    Some(from..to)
}

/// The word that closes a method, spelled like the one that begins it.
fn closing_word(text: &str, method: &Method) -> String {
    let keyword = if method.is_function {
        Keyword::EndFunction
    } else {
        Keyword::EndProcedure
    };
    let header = &text[method.header_span.clone()];
    let begin = header.split_whitespace().next().unwrap_or_default();
    let word = if begin.is_ascii() {
        keyword.english()
    } else {
        keyword.russian()
    };
    Case::of(begin).write(word)
}

/// The text up to its last statement that is whole and in no block that is still open; up to the first that was written before, where a
/// model has begun to repeat itself.
fn whole_statements(text: &str) -> &str {
    let mut depth = 0i32;
    let mut end = 0;
    let mut seen = HashSet::new();
    for Token { kind, span } in lex(text) {
        match kind {
            TokenKind::Keyword(Keyword::If | Keyword::For | Keyword::While | Keyword::Try) => {
                depth += 1;
            }
            TokenKind::Keyword(Keyword::EndIf | Keyword::EndDo | Keyword::EndTry) => depth -= 1,
            TokenKind::Punctuation if &text[span.clone()] == ";" && depth == 0 => {
                if !seen.insert(text[end..span.end].trim()) {
                    break;
                }
                end = span.end;
            }
            _ => {}
        }
    }
    &text[..end]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Writes `А();` at `|` of a text; what the text then is.
    fn written(marked: &str) -> Option<String> {
        let offset = marked.find('|').expect("a cursor");
        let text = marked.replacen('|', "", 1);
        let place = BodyPlace::at(&text, offset)?;
        let request = place.request("m.bsl", &text);
        let (before, behind) = request.text.split_at(request.offset.0);
        let new = place.text("А();\n", StopReason::Rule)?;
        let mut whole = text.clone();
        whole.replace_range(place.replaces.clone(), &new);
        // What the model was shown is what comes out.
        assert_eq!(format!("{before}А();{behind}"), whole);
        Some(whole)
    }

    #[test]
    fn a_body_goes_where_none_is() {
        for (text, expected) in [
            (
                "Процедура Б()|\nКонецПроцедуры\n",
                Some("Процедура Б()\n\tА();\nКонецПроцедуры\n"),
            ),
            (
                "// Считает.\nФункция| Б(В) Экспорт\n\n\t\nКонецФункции",
                Some("// Считает.\nФункция Б(В) Экспорт\n\tА();\nКонецФункции"),
            ),
            (
                "Процедура Б()\r\n\t// Вставить содержимое.\r\n|КонецПроцедуры\r\n",
                Some("Процедура Б()\r\n\t// Вставить содержимое.\r\n\tА();\r\nКонецПроцедуры\r\n"),
            ),
            (
                "// Doc.\nFunction B() Export|\n\n#EndRegion\n",
                Some("// Doc.\nFunction B() Export\n\tА();\nEndFunction\n\n#EndRegion\n"),
            ),
            (
                "Процедура| Б()\n\nПроцедура В()\nКонецПроцедуры",
                Some("Процедура Б()\n\tА();\nКонецПроцедуры\n\nПроцедура В()\nКонецПроцедуры"),
            ),
            (
                "процедура А()\n    В();\nконецпроцедуры\n\nфункция Б()|",
                Some(
                    "процедура А()\n    В();\nконецпроцедуры\n\nфункция Б()\n    А();\nконецфункции",
                ),
            ),
            ("Процедура Б()\n\tВ();|\nКонецПроцедуры\n", None),
            ("А = 1;\n|\nПроцедура Б()\nКонецПроцедуры\n", None),
            ("Процедура |", None),
            ("Процедура Б(|", None),
            ("|", None),
        ] {
            assert_eq!(written(text).as_deref(), expected, "{text:?}");
        }
    }

    #[test]
    fn what_was_not_ended_is_cut_to_whole_statements() {
        let place = BodyPlace::at("Процедура Б()\nКонецПроцедуры", 0).expect("an empty method");
        let cut = |text: &str| place.text(text, StopReason::MaxTokens);
        assert_eq!(
            cut("А = 1;\n\tЕсли Б Тогда\n\t\tВ();").as_deref(),
            Some("\n\tА = 1;\n")
        );
        assert_eq!(cut("Если А Тогда\n\t\tБ();"), None);
        // Whoever repeats himself has said it.
        let again = "Если А Тогда\n\t\tБ();\n\tКонецЕсли;\n\t\n\t";
        assert_eq!(
            cut(&format!("В();\n\t{}", again.repeat(9))).as_deref(),
            Some("\n\tВ();\n\tЕсли А Тогда\n\t\tБ();\n\tКонецЕсли;\n")
        );
        assert_eq!(place.text("  \n", StopReason::EndOfText), None);
        assert_eq!(
            place.text("\n\tА();\n\n", StopReason::Rule).as_deref(),
            Some("\n\tА();\n")
        );
    }
}
