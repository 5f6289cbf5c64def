//! The protocol "commits": the lines that later commits added, written again with the completion's help.
//!
//! The project is learned at a revision. Then each added line is typed from left to right with the rest of the file in place, as the
//! commit left it: at the start of the line and behind every mark that an editor asks at, one completion is asked for; where it is
//! what stands there, it is taken with one key. The plain list of an editor without a model is the peer: at a name whose receiver the
//! metadata knows, letters are typed until the name is the first of the list. Nothing of the later commits is learned.

use std::ops::Range;

use nestor_assist::{AssistError, Assistant, CompleteRequest, Completion, ShowFeatures, Speed};
use nestor_bsl::code_tokens::{CodeToken, TokenClass, code_tokens};
use nestor_bsl::keywords::fold;
use nestor_bsl::lexer::is_name_char;
use nestor_bsl::position::ByteOffset;
use serde::{Deserialize, Serialize};

use crate::decode::CodeNames;

/// A module with lines to write again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChangedFile {
    /// Its path inside the project.
    pub path: String,
    /// Its text with the lines.
    pub text: String,
    /// The bytes of the lines.
    pub added: Vec<Range<usize>>,
}

/// How lines are written again.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CommitsConfig {
    /// Lines at most, evenly over all.
    pub max_lines: usize,
    /// What answers.
    pub speed: Speed,
}

/// One completion that was asked for, with what may tell whether it should be shown.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Asked {
    /// What it is like.
    #[serde(flatten)]
    pub features: ShowFeatures,
    /// It is what stands there.
    pub is_right: bool,
}

/// A point of the curve of precision over what is shown.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct CurvePoint {
    /// The share of the places where something is shown.
    pub shown: f64,
    /// The share that is right, the surest by the mixture's probability shown first.
    pub by_confidence: Option<f64>,
}

/// What writing lines again gave.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct CommitsResult {
    /// Name of the project.
    pub source: String,
    /// Whether names of the metadata were heard.
    pub metadata: bool,
    /// Modules with lines, and lines written.
    pub files: usize,
    /// Lines.
    pub lines: usize,
    /// The share of lines that one completion at their start wrote whole.
    pub whole_line_exact: f64,
    /// Characters of the lines.
    pub chars: usize,
    /// Keys saved, as a share of them.
    pub keystrokes_saved: f64,
    /// The same where only completions of at least `threshold_at_30` are shown.
    pub keystrokes_saved_at_30: f64,
    /// Of the 30 % of the completions that are surest, the share that is right.
    pub precision_at_30: Option<f64>,
    /// The confidence of the least sure of them.
    pub threshold_at_30: f32,
    /// Completions that were asked for, and of these right.
    pub asked: usize,
    /// Of all that say something, the share that is right.
    pub precision: Option<f64>,
    /// Names behind a dot in all completions.
    pub names_shown: usize,
    /// Of these, the share that neither the metadata nor the code has.
    pub invented: Option<f64>,
    /// Keys that the plain list of names saves, as a share of all characters.
    pub list_saved: f64,
    /// Names behind a dot in the lines, and those whose receiver the metadata knows.
    pub list_names: usize,
    /// Those whose receiver is known.
    pub list_known: usize,
    /// How precise the surest are, by the share of places where something is shown.
    pub curve: Vec<CurvePoint>,
    /// Every completion.
    pub log: Vec<Asked>,
}

/// A file and a line of it.
struct Line<'a> {
    file: &'a ChangedFile,
    /// Without white space at both ends.
    span: Range<usize>,
}

/// Writes the lines of `files` again. The assistant has learned the project, and its metadata if that is to be heard; `code` are the names
/// of that code. `step` is called after every line.
///
/// # Errors
/// Those of completion.
pub fn write_again(
    assistant: &Assistant,
    files: &[ChangedFile],
    code: &CodeNames,
    config: &CommitsConfig,
    step: &mut dyn FnMut(usize, usize),
) -> Result<CommitsResult, AssistError> {
    let lines = chosen(files, config.max_lines);
    let mut result = CommitsResult {
        metadata: assistant.memory().metadata().is_some() && assistant.candidate_gates().is_some(),
        files: files.len(),
        lines: lines.len(),
        ..CommitsResult::default()
    };
    let (mut n_whole, mut n_invented) = (0, 0);
    // For the sums by threshold: what each completion would save, by line.
    let mut written: Vec<Vec<Chance>> = Vec::with_capacity(lines.len());
    for (idx, line) in lines.iter().enumerate() {
        let tokens = tokens_of(line);
        result.chars += line.file.text[line.span.clone()].chars().count();
        let mut chances = Vec::new();
        for at in stops(line, &tokens) {
            let completion = complete(assistant, config, line, at)?;
            let rest = &line.file.text[at..line.span.end];
            let said = completion.insert.trim_end();
            let is_right = !said.is_empty() && is_whole_token(rest, said);
            n_whole += usize::from(at == line.span.start && said == rest);
            for name in names_behind_dots(&line.file.text[..at], said) {
                result.names_shown += 1;
                let known = assistant.memory().metadata();
                let is_known = known.is_some_and(|known| known.names().find(name).is_some());
                let is_new = !is_known && !code.has(name);
                n_invented += usize::from(is_new && !CodeNames::of(&line.file.text).has(name));
            }
            let before = &line.file.text[line.span.start..at];
            result.log.push(Asked {
                features: ShowFeatures::new(&completion, before),
                is_right,
            });
            chances.push(Chance {
                at,
                len: said.len(),
                confidence: completion.confidence,
                is_right,
            });
        }
        written.push(chances);
        list(assistant, line, &tokens, &mut result);
        step(idx + 1, lines.len());
    }
    let chars = result.chars.max(1) as f64;
    let ratio = |part: usize, of: usize| (of > 0).then(|| part as f64 / of as f64);
    result.whole_line_exact = ratio(n_whole, result.lines).unwrap_or(0.0);
    result.invented = ratio(n_invented, result.names_shown);
    result.list_saved /= chars;
    result.asked = result.log.len();
    let by_confidence = order(&result.log, |asked| asked.features.confidence);
    result.precision = precision(&by_confidence, 1.0, result.asked);
    result.precision_at_30 = precision(&by_confidence, 0.3, result.asked);
    let last = by_confidence[..by_confidence.len().min(n_shown(0.3, result.asked))].last();
    result.threshold_at_30 = last.map_or(0.0, |asked| asked.features.confidence);
    let curve = (1..=10).map(|tenth| {
        let shown = f64::from(tenth) / 10.0;
        CurvePoint {
            shown,
            by_confidence: precision(&by_confidence, shown, result.asked),
        }
    });
    result.curve = curve.collect();
    let saved = |threshold: f32| {
        let of_lines = lines.iter().zip(&written);
        of_lines
            .map(|(line, chances)| saved_keys(line, chances, threshold))
            .sum::<usize>()
    };
    result.keystrokes_saved = saved(0.0) as f64 / chars;
    result.keystrokes_saved_at_30 = saved(result.threshold_at_30) as f64 / chars;
    Ok(result)
}

/// The completions that say something, the best first.
fn order(log: &[Asked], worth: impl Fn(&Asked) -> f32) -> Vec<&Asked> {
    let mut order: Vec<&Asked> = log
        .iter()
        .filter(|asked| asked.features.pieces > 0)
        .collect();
    order.sort_by(|a, b| worth(b).total_cmp(&worth(a)));
    order
}

fn n_shown(share: f64, n_places: usize) -> usize {
    (n_places as f64 * share).ceil() as usize
}

/// The share of the first of `order` that is right, when something is shown at a share of the places; fewer may have something to show.
fn precision(order: &[&Asked], share: f64, n_places: usize) -> Option<f64> {
    let shown = &order[..order.len().min(n_shown(share, n_places))];
    let n_right = shown.iter().filter(|asked| asked.is_right).count();
    (!shown.is_empty()).then(|| n_right as f64 / shown.len() as f64)
}

/// A completion at a byte of its line.
struct Chance {
    at: usize,
    len: usize,
    confidence: f32,
    is_right: bool,
}

/// Keys saved when the line is typed from left to right and every right completion of this confidence is taken.
fn saved_keys(line: &Line<'_>, chances: &[Chance], threshold: f32) -> usize {
    let (mut at, mut saved) = (line.span.start, 0);
    for chance in chances {
        if chance.at >= at && chance.is_right && chance.confidence >= threshold {
            let text = &line.file.text[chance.at..chance.at + chance.len];
            saved += text.chars().count() - 1;
            at = chance.at + chance.len;
        }
    }
    saved
}

/// Lines of code, evenly over all of them.
fn chosen(files: &[ChangedFile], max_lines: usize) -> Vec<Line<'_>> {
    let mut lines: Vec<Line<'_>> = files
        .iter()
        .flat_map(|file| file.added.iter().map(move |line| (file, line.clone())))
        .filter_map(|(file, line)| {
            let text = &file.text[line.clone()];
            let indent = text.len() - text.trim_start().len();
            let span = line.start + indent..line.start + text.trim_end().len();
            let text = file.text.get(span.clone())?;
            let is_code =
                text.chars().count() > 2 && !text.starts_with("//") && !text.starts_with("|//");
            is_code.then_some(Line { file, span })
        })
        .collect();
    let n = lines.len();
    if n > max_lines {
        let mut idx = 0;
        lines.retain(|_| {
            idx += 1;
            idx * max_lines / n > (idx - 1) * max_lines / n
        });
    }
    lines
}

/// The code tokens of the line; the method around it is read, so that literals over several lines are known as such.
fn tokens_of(line: &Line<'_>) -> Vec<CodeToken> {
    let text = &line.file.text;
    let tokens = code_tokens(text).into_iter();
    tokens
        .filter(|token| token.span.start >= line.span.start && token.span.end <= line.span.end)
        .collect()
}

/// Where an editor asks: at the start of the line, and behind marks.
fn stops(line: &Line<'_>, tokens: &[CodeToken]) -> Vec<usize> {
    let text = &line.file.text;
    let mut stops = vec![line.span.start];
    for token in tokens {
        let end = token.span.end;
        let is_mark = matches!(&text[token.span.clone()], "." | "(" | "," | "=" | "&");
        if is_mark && end < line.span.end {
            let space =
                text[end..line.span.end].len() - text[end..line.span.end].trim_start().len();
            stops.push(end + space);
        }
    }
    stops.dedup();
    stops
}

fn complete(
    assistant: &Assistant,
    config: &CommitsConfig,
    line: &Line<'_>,
    at: usize,
) -> Result<Completion, AssistError> {
    let text = &line.file.text;
    let shown = format!("{}{}", &text[..at], &text[line.span.end..]);
    assistant.complete(&CompleteRequest {
        speed: config.speed,
        ..CompleteRequest::new(line.file.path.clone(), shown, ByteOffset(at))
    })
}

/// Whether `rest` begins with `said`, which does not end within a name.
fn is_whole_token(rest: &str, said: &str) -> bool {
    let Some(after) = rest.strip_prefix(said) else {
        return false;
    };
    let ends_name = said.ends_with(is_name_char);
    !(ends_name && after.starts_with(is_name_char))
}

/// The names in `said`, which is written behind `before`, that stand behind a dot.
fn names_behind_dots<'a>(before: &str, said: &'a str) -> Vec<&'a str> {
    let mut names = Vec::new();
    let mut at = 0;
    let mut is_behind = before.ends_with('.');
    // What is said within a name already typed is no name of its own.
    while at < said.len() {
        let rest = &said[at..];
        let len = rest.find(|c| !is_name_char(c)).unwrap_or(rest.len());
        if len > 0 {
            if is_behind && !rest.starts_with(|c: char| c.is_numeric()) {
                names.push(&rest[..len]);
            }
            is_behind = false;
            at += len;
        } else {
            let mark = rest.chars().next().unwrap_or(' ');
            is_behind = mark == '.';
            at += mark.len_utf8();
        }
    }
    names
}

/// What the plain list would save in a line: a name is taken with one key once it is the first of those that begin as it does.
fn list(assistant: &Assistant, line: &Line<'_>, tokens: &[CodeToken], result: &mut CommitsResult) {
    let text = &line.file.text;
    for token in tokens {
        let name = &text[token.span.clone()];
        let start = token.span.start;
        if token.class != TokenClass::Identifier || !text[..start].ends_with('.') {
            continue;
        }
        result.list_names += 1;
        let suffix = &text[line.span.end..];
        let members = assistant.members(assistant.memory().metadata(), &line.file.path, suffix);
        let Some(member) = members.and_then(|mut members| members.member(text, start, "")) else {
            continue;
        };
        result.list_known += 1;
        let wanted = fold(name);
        let mut typed = String::new();
        for (idx, letter) in wanted.chars().enumerate() {
            if member.first_in_list(&typed) == Some(wanted.as_str()) {
                result.list_saved += (wanted.chars().count() - idx).saturating_sub(1) as f64;
                break;
            }
            typed.push(letter);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_behind_dots_are_found_across_the_cursor() {
        let check = |before: &str, said: &str, expected: &[&str]| {
            assert_eq!(names_behind_dots(before, said), expected, "{before} {said}");
        };
        check("А.", "Код = Б.Цена;", &["Код", "Цена"]);
        check("А", ".Код(1.5)", &["Код"]);
        check("А = ", "Б;", &[]);
    }

    #[test]
    fn a_completion_is_right_when_it_ends_where_a_token_does() {
        assert!(is_whole_token("Код = 1;", "Код"));
        assert!(is_whole_token("Код = 1;", "Код = 1;"));
        assert!(!is_whole_token("Код = 1;", "Ко"));
        assert!(!is_whole_token("Код = 1;", "Код = 2"));
    }

    #[test]
    fn keys_are_saved_once_and_only_by_sure_completions() {
        let file = ChangedFile {
            path: "м.bsl".into(),
            text: "\tА.Код = 1;".into(),
            added: std::iter::once(0..15).collect(),
        };
        let lines = chosen(std::slice::from_ref(&file), 10);
        let line = &lines[0];
        assert_eq!(&file.text[line.span.clone()], "А.Код = 1;");
        let stops = stops(line, &tokens_of(line));
        assert_eq!(
            stops.iter().map(|at| &file.text[*at..]).collect::<Vec<_>>(),
            ["А.Код = 1;", "Код = 1;", "1;"]
        );
        let chance = |at: usize, len: usize, confidence: f32| Chance {
            at,
            len,
            confidence,
            is_right: true,
        };
        // All of the line, then a part of it that is already written.
        let chances = [
            chance(stops[0], file.text.len() - 1, 0.5),
            chance(stops[1], 6, 0.9),
        ];
        assert_eq!(saved_keys(line, &chances, 0.0), 9);
        assert_eq!(saved_keys(line, &chances, 0.8), 2);
        assert_eq!(saved_keys(line, &chances, 0.95), 0);
    }
}
