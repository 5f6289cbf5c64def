//! The protocol "commits": the lines that later commits added, written again with the completion's help.
//!
//! The project is learned at a revision. Then each added line is typed from left to right with the rest of the file in place, as the
//! commit left it: at the start of the line and behind every mark that an editor asks at, one completion is asked for; where it is
//! what stands there, it is taken with one key. The plain list of an editor without a model stands beside: at a name whose receiver the
//! metadata knows, letters are typed until the name is the first of the list. Nothing of the later commits is learned.

mod list;

use std::ops::Range;

use nestor_assist::{Assistant, ShowFeatures};
use nestor_bsl::code_tokens::{CodeToken, code_tokens};
use nestor_bsl::lexer::is_name_char;
use serde::{Deserialize, Serialize};

use crate::completer::{Completer, Cursor};
use crate::decode::CodeNames;

pub use list::{ListResult, plain_list};

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

/// The names that exist when the lines are written again; others behind a dot are invented.
#[derive(Clone, Copy)]
pub struct ProjectNames<'a> {
    /// The assistant with the project's metadata.
    pub assistant: &'a Assistant,
    /// The names of its code.
    pub code: &'a CodeNames,
}

impl ProjectNames<'_> {
    fn has(&self, name: &str) -> bool {
        let known = self.assistant.memory().metadata();
        known.is_some_and(|known| known.names().find(name).is_some()) || self.code.has(name)
    }
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

/// What writing lines again gave. Figures by confidence are left out where a completer does not tell it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct CommitsResult {
    /// Modules with lines.
    pub files: usize,
    /// Lines written.
    pub lines: usize,
    /// The share of lines that one completion at their start wrote whole.
    pub whole_line_exact: f64,
    /// Characters of the lines.
    pub chars: usize,
    /// Keys saved, as a share of them.
    pub keystrokes_saved: f64,
    /// The same where only completions of at least `threshold_at_30` are shown.
    pub keystrokes_saved_at_30: Option<f64>,
    /// Of the 30 % of the completions that are surest, the share that is right.
    pub precision_at_30: Option<f64>,
    /// The confidence of the least sure of them.
    pub threshold_at_30: Option<f32>,
    /// Completions that were asked for.
    pub asked: usize,
    /// Of these, the ones that the completer failed to answer.
    pub failed: usize,
    /// Of all that say something, the share that is right.
    pub precision: Option<f64>,
    /// Names behind a dot in all completions.
    pub names_shown: usize,
    /// Of these, the share that neither the metadata nor the code has.
    pub invented: Option<f64>,
    /// How precise the surest are, by the share of places where something is shown.
    pub curve: Vec<CurvePoint>,
    /// Every completion whose figures are known.
    pub log: Vec<Asked>,
}

/// A file and a line of it.
struct Line<'a> {
    file: &'a ChangedFile,
    /// Without white space at both ends.
    span: Range<usize>,
}

/// Writes at most `max_lines` lines of `files` again, evenly over all. `completer` has learned the project, if it learns; `step` is
/// called after every line.
///
/// # Errors
/// Those of the completer.
pub fn write_again<C: Completer>(
    completer: &mut C,
    files: &[ChangedFile],
    names: ProjectNames<'_>,
    max_lines: usize,
    step: &mut dyn FnMut(usize, usize),
) -> Result<CommitsResult, C::Error> {
    let lines = chosen(files, max_lines);
    let mut result = CommitsResult {
        files: files.len(),
        lines: lines.len(),
        ..CommitsResult::default()
    };
    let (mut n_whole, mut n_invented) = (0, 0);
    // For the sums by threshold: what each completion would save, by line.
    let mut written: Vec<Vec<Chance>> = Vec::with_capacity(lines.len());
    for (idx, line) in lines.iter().enumerate() {
        let text = &line.file.text;
        result.chars += text[line.span.clone()].chars().count();
        let mut chances = Vec::new();
        for at in stops(line, &tokens_of(line)) {
            result.asked += 1;
            let cursor = Cursor {
                path: &line.file.path,
                before: &text[..at],
                after: &text[line.span.end..],
            };
            let Some(completion) = completer.complete(cursor)? else {
                result.failed += 1;
                continue;
            };
            let rest = &text[at..line.span.end];
            let said = completion.text.trim_end();
            let is_right = !said.is_empty() && is_whole_token(rest, said);
            n_whole += usize::from(at == line.span.start && said == rest);
            for name in names_behind_dots(&text[..at], said) {
                result.names_shown += 1;
                let is_new = !names.has(name) && !CodeNames::of(text).has(name);
                n_invented += usize::from(is_new);
            }
            let features = completion.features;
            chances.push(Chance {
                at,
                len: said.len(),
                says_something: features
                    .as_ref()
                    .map_or(!completion.text.is_empty(), |features| features.pieces > 0),
                confidence: completion.confidence,
                is_right,
            });
            let logged = features.map(|features| Asked { features, is_right });
            result.log.extend(logged);
        }
        written.push(chances);
        step(idx + 1, lines.len());
    }
    let ratio = |part: usize, of: usize| (of > 0).then(|| part as f64 / of as f64);
    result.whole_line_exact = ratio(n_whole, result.lines).unwrap_or(0.0);
    result.invented = ratio(n_invented, result.names_shown);
    let shown: Vec<&Chance> = said_something(&written).collect();
    let n_right = shown.iter().filter(|chance| chance.is_right).count();
    result.precision = ratio(n_right, shown.len());
    let saved = |threshold: Option<f32>| saved_share(&lines, &written, threshold, result.chars);
    result.keystrokes_saved = saved(None);
    let Some(order) = order(&shown) else {
        return Ok(result);
    };
    result.precision_at_30 = precision(&order, 0.3, result.asked);
    let last = order[..order.len().min(n_shown(0.3, result.asked))].last();
    result.threshold_at_30 = last.map(|(confidence, _)| *confidence);
    result.keystrokes_saved_at_30 = Some(saved(result.threshold_at_30));
    let curve = (1..=10).map(|tenth| {
        let shown = f64::from(tenth) / 10.0;
        CurvePoint {
            shown,
            by_confidence: precision(&order, shown, result.asked),
        }
    });
    result.curve = curve.collect();
    Ok(result)
}

fn said_something(written: &[Vec<Chance>]) -> impl Iterator<Item = &Chance> {
    let all = written.iter().flatten();
    all.filter(|chance| chance.says_something)
}

/// The confidence of each completion and whether it is right, the surest first; nothing where one has no confidence.
fn order(shown: &[&Chance]) -> Option<Vec<(f32, bool)>> {
    let known = shown.iter().map(|chance| {
        let confidence = chance.confidence?;
        Some((confidence, chance.is_right))
    });
    let mut order: Vec<(f32, bool)> = known.collect::<Option<_>>()?;
    order.sort_by(|a, b| b.0.total_cmp(&a.0));
    Some(order)
}

fn n_shown(share: f64, n_places: usize) -> usize {
    (n_places as f64 * share).ceil() as usize
}

/// The share of the first of `order` that is right, when something is shown at a share of the places; fewer may have something to show.
fn precision(order: &[(f32, bool)], share: f64, n_places: usize) -> Option<f64> {
    let shown = &order[..order.len().min(n_shown(share, n_places))];
    let n_right = shown.iter().filter(|(_, is_right)| *is_right).count();
    (!shown.is_empty()).then(|| n_right as f64 / shown.len() as f64)
}

/// A completion at a byte of its line.
struct Chance {
    at: usize,
    len: usize,
    says_something: bool,
    confidence: Option<f32>,
    is_right: bool,
}

/// Keys saved in all lines, as a share of their characters.
fn saved_share(
    lines: &[Line<'_>],
    written: &[Vec<Chance>],
    threshold: Option<f32>,
    chars: usize,
) -> f64 {
    let of_lines = lines.iter().zip(written);
    let saved = of_lines.map(|(line, chances)| saved_keys(line, chances, threshold));
    saved.sum::<usize>() as f64 / chars.max(1) as f64
}

/// Keys saved when the line is typed from left to right and every right completion is taken, or those of this confidence alone.
fn saved_keys(line: &Line<'_>, chances: &[Chance], threshold: Option<f32>) -> usize {
    let (mut at, mut saved) = (line.span.start, 0);
    for chance in chances {
        let is_sure = threshold.is_none_or(|least| chance.confidence >= Some(least));
        if chance.at >= at && chance.is_right && is_sure {
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
            says_something: true,
            confidence: Some(confidence),
            is_right: true,
        };
        // All of the line, then a part of it that is already written.
        let chances = [
            chance(stops[0], file.text.len() - 1, 0.5),
            chance(stops[1], 6, 0.9),
        ];
        assert_eq!(saved_keys(line, &chances, None), 9);
        assert_eq!(saved_keys(line, &chances, Some(0.8)), 2);
        assert_eq!(saved_keys(line, &chances, Some(0.95)), 0);
    }

    #[test]
    fn the_surest_are_ordered_only_where_all_tell_how_sure_they_are() {
        let chance = |confidence: Option<f32>, is_right: bool| Chance {
            at: 0,
            len: 1,
            says_something: true,
            confidence,
            is_right,
        };
        let chances = [chance(Some(0.2), false), chance(Some(0.9), true)];
        let sorted = order(&chances.iter().collect::<Vec<_>>()).unwrap();
        assert_eq!(sorted, [(0.9, true), (0.2, false)]);
        assert_eq!(precision(&sorted, 0.3, 2), Some(1.0));
        assert_eq!(precision(&sorted, 1.0, 2), Some(0.5));
        let unknown = chance(None, true);
        assert_eq!(order(&[&chances[0], &unknown]), None);
    }
}
