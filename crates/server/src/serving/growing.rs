//! A completion's text as it grows: where a stop text or its time ends it, and what of it is certain to stay.

use std::time::Instant;

use nestor_assist::{Completion, Growing};

use crate::scheduler::Caller;
use crate::serving::pieces::{group, pieces_of};
use crate::serving::{Asked, Ended, Grown, Piece};

/// Looks at the text as it grows, and tells what is certain.
pub struct Watcher<'a, 'b> {
    asked: &'a Asked,
    caller: &'a Caller,
    grown: Option<&'b mut dyn FnMut(Grown)>,
    crlf: bool,
    told: Told,
    writing_since: Option<Instant>,
    ended: Option<Ended>,
}

/// How much was told of a text.
#[derive(Clone, Copy, Debug, Default)]
struct Told {
    /// Bytes, with the document's line ends.
    bytes: usize,
    /// Pieces, where they are told.
    pieces: usize,
}

impl<'a, 'b> Watcher<'a, 'b> {
    /// A watcher that tells parts to `grown`, if anyone listens.
    pub fn new(
        asked: &'a Asked,
        caller: &'a Caller,
        grown: Option<&'b mut dyn FnMut(Grown)>,
    ) -> Self {
        Self {
            asked,
            caller,
            grown,
            crlf: mostly_crlf(&asked.text),
            told: Told::default(),
            writing_since: None,
            ended: None,
        }
    }

    /// True to end the completion here.
    pub fn sees(&mut self, growing: &Growing<'_>) -> bool {
        let text = if self.crlf {
            growing.text().replace('\n', "\r\n")
        } else {
            growing.text().to_owned()
        };
        if let Some((_, stop)) = first_stop(&text, &self.asked.stops, self.crlf) {
            self.ended = Some(Ended::StopText(stop));
            return true;
        }
        let since = *self.writing_since.get_or_insert_with(Instant::now);
        let over = self
            .asked
            .write_for
            .is_some_and(|most| since.elapsed() >= most);
        if over || self.caller.is_late() {
            self.ended = Some(Ended::Deadline);
            return true;
        }
        let certain = certain_part(&text, &self.asked.stops);
        if let Some(grown) = &mut self.grown
            && certain > self.told.bytes
        {
            if self.asked.alternatives.is_some() {
                let pieces = pieces_of(&text, growing.n_healed(), &growing.tokens());
                self.told.tell_pieces(pieces, certain, grown);
            } else {
                grown(Grown::from(&text[self.told.bytes..certain]));
                self.told.bytes = certain;
            }
        }
        false
    }

    /// The answer's text and why it ends; what was not told of it is told now.
    pub fn end(self, completion: &Completion) -> (String, Ended) {
        let mut text = completion.insert.clone();
        let mut ended = Ended::Assistant(completion.stop);
        if let Some((at, stop)) = first_stop(&text, &self.asked.stops, self.crlf) {
            text.truncate(at);
            ended = Ended::StopText(stop);
        } else if matches!(self.ended, Some(Ended::Deadline)) {
            ended = Ended::Deadline;
        }
        if let Some(grown) = self.grown {
            self.told.tell_rest(self.asked, &text, completion, grown);
        }
        (text, ended)
    }
}

impl Told {
    /// Tells the next pieces whose parts of the text end before `certain`.
    fn tell_pieces(&mut self, pieces: Vec<Piece>, certain: usize, grown: &mut dyn FnMut(Grown)) {
        let mut end = self.bytes;
        let next = pieces.into_iter().skip(self.pieces);
        let certain = next.take_while(|piece| {
            end += piece.text.len();
            end <= certain
        });
        for part in group(certain.collect()).0 {
            self.bytes += part.text.len();
            self.pieces += part.pieces.len();
            grown(part);
        }
    }

    fn tell_rest(
        self,
        asked: &Asked,
        text: &str,
        completion: &Completion,
        grown: &mut dyn FnMut(Grown),
    ) {
        if asked.alternatives.is_none() {
            if let Some(rest) = text.get(self.bytes..).filter(|rest| !rest.is_empty()) {
                grown(Grown::from(rest));
            }
            return;
        }
        let pieces = pieces_of(text, completion.n_healed, &completion.tokens);
        let (mut parts, cut) = group(pieces.into_iter().skip(self.pieces).collect());
        // Pieces that a stop text has taken away come with the last one that it left.
        match parts.last_mut() {
            Some(last) => last.pieces.extend(cut),
            None if cut.is_empty() => {}
            None => parts.push(Grown {
                text: String::new(),
                pieces: cut,
            }),
        }
        parts.into_iter().for_each(grown);
    }
}

/// Tells all of an answer of which nothing was told while it grew.
pub fn tell_all(asked: &Asked, text: &str, completion: &Completion, grown: &mut dyn FnMut(Grown)) {
    Told::default().tell_rest(asked, text, completion, grown);
}

/// How much of a growing text stays whatever comes: rules take back white space, the word at the end, or the beginning of a stop
/// text, and nothing is offered when all of it is white space.
fn certain_part(text: &str, stops: &[String]) -> usize {
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    let mut end = text.trim_end().trim_end_matches(is_word).trim_end().len();
    for stop in stops {
        for (at, _) in text.char_indices().rev().take(stop.chars().count()) {
            if at < end && stop.starts_with(&text[at..]) {
                end = at;
            }
        }
    }
    end
}

/// Where the first stop text begins, and which it is.
fn first_stop(text: &str, stops: &[String], crlf: bool) -> Option<(usize, String)> {
    let stops = stops.iter().filter(|stop| !stop.is_empty());
    let found = stops.filter_map(|stop| {
        // A client that says `\n` means the line end of the document.
        let at = if crlf && !stop.contains('\r') {
            text.find(&stop.replace('\n', "\r\n"))
        } else {
            text.find(stop.as_str())
        };
        Some((at?, stop.clone()))
    });
    found.min_by_key(|(at, _)| *at)
}

/// The line ends that a completion will have, as the assistant decides it.
fn mostly_crlf(text: &str) -> bool {
    let crlf = text.matches("\r\n").count();
    crlf * 2 > text.matches('\n').count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_stop_text_ends() {
        let stops = ["\n".to_owned(), ";".to_owned(), String::new()];
        assert_eq!(
            first_stop("А = 1;\nБ", &stops, false),
            Some((6, ";".to_owned()))
        );
        assert_eq!(
            first_stop("А\r\nБ", &stops[..1], true),
            Some((2, "\n".to_owned()))
        );
        assert_eq!(first_stop("А", &stops, false), None);
    }

    #[test]
    fn only_what_stays_is_told_while_a_text_grows() {
        let stops = ["КонецЦикла;".to_owned(), ");\n".to_owned()];
        for (text, expected) in [
            ("А = Вызов(", "А = Вызов("),
            ("А = Выз", "А ="),
            ("А(1);", "А(1"),
            ("А(1)", "А(1"),
            ("  ", ""),
            ("Слово", ""),
            ("А; КонецЦ", "А;"),
        ] {
            assert_eq!(&text[..certain_part(text, &stops)], expected, "{text}");
        }
    }

    #[test]
    fn line_ends_are_those_of_the_document() {
        assert!(mostly_crlf("а\r\nб\r\nв\n"));
        assert!(!mostly_crlf("а\nб\n"));
        assert!(!mostly_crlf(""));
    }
}
