//! The text of an open module and its methods, kept up to date over edits.
//!
//! An edit looks again at the methods around it only, so that typing in a module of some megabytes costs what the method costs. What is found
//! is what a fresh look at the whole text would find; a test compares the two.

use std::hash::{Hash, Hasher};
use std::ops::Range;

use nestor_bsl::keywords::{Keyword, fold};
use nestor_bsl::lexer::{Lexer, TokenKind};
use nestor_bsl::{Method, ModulePath, methods};
use rustc_hash::FxHasher;

/// An open module. Its text has no byte order mark and `\n` line ends, as `nestor_bsl::normalise` gives it.
#[derive(Debug, Clone)]
pub struct Document {
    path: String,
    place: ModulePath,
    text: String,
    methods: Vec<Method>,
    /// The hash of each method's folded name.
    names: Vec<u64>,
    /// What each method calls by a name alone; the last entry is the body of the module.
    calls: Vec<Vec<Call>>,
}

/// A place that hands values to a method of the module.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Call {
    /// The hash of the method's folded name.
    name: u64,
    /// Bytes from the start of the calling method to the name.
    at: u32,
    kind: CallKind,
}

/// How a method is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum CallKind {
    /// `Метод(...)`.
    Direct,
    /// `Новый ОписаниеОповещения("Метод", ...)`.
    Notification,
}

impl Document {
    /// The module at `path` with this text. The path says what module it is, and which root it belongs to.
    pub fn new(path: &str, text: String) -> Document {
        let methods = methods(&text);
        let mut calls: Vec<Vec<Call>> = methods
            .iter()
            .map(|method| calls(&text, method.span.clone()))
            .collect();
        calls.push(body_calls(&text, &methods));
        Document {
            path: path.replace('\\', "/"),
            place: ModulePath::from_path(path),
            names: methods.iter().map(|method| hash(&method.name)).collect(),
            methods,
            calls,
            text,
        }
    }

    /// The path.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// What module the path says it is.
    pub fn place(&self) -> &ModulePath {
        &self.place
    }

    /// The text.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The methods, in order.
    pub fn methods(&self) -> &[Method] {
        &self.methods
    }

    /// The index of the method around the byte `offset`.
    pub fn method_at(&self, offset: usize) -> Option<usize> {
        let idx = self
            .methods
            .partition_point(|method| method.span.start <= offset)
            .checked_sub(1)?;
        (offset <= self.methods[idx].span.end).then_some(idx)
    }

    /// The index of the method with that name, in any case.
    pub fn method_named(&self, name: &str) -> Option<usize> {
        let hash = hash(name);
        let same_hash = |idx: &usize| self.names[*idx] == hash;
        let mut found = (0..self.names.len()).filter(same_hash);
        found.find(|&idx| crate::names::same(&self.methods[idx].name, name))
    }

    /// Puts `replacement` in the place of the bytes `range`, which begin and end between characters.
    pub fn edit(&mut self, range: Range<usize>, replacement: &str) {
        // From the method before the edit to the one after it, both included: what is typed between two methods may belong to
        // the comment of either.
        let mut first = self
            .methods
            .partition_point(|method| method.span.start < range.start)
            .saturating_sub(1);
        let start = loop {
            // A method without its closing word goes on to wherever the next one starts.
            while first > 0 && !self.methods[first - 1].is_complete {
                first -= 1;
            }
            if first == 0 {
                break 0;
            }
            // Whether a header counts depends on what stands before it in its line.
            let start = line_start(&self.text, self.methods[first].span.start);
            let at_start = self
                .methods
                .partition_point(|method| method.span.start < start);
            if at_start == first {
                break start;
            }
            first = at_start;
        };
        let last = self
            .methods
            .partition_point(|method| method.span.start <= range.end);
        let begins_line = |method: &Method| {
            let start = method.span.start;
            let line = line_start(&self.text, start);
            self.text[line..start].trim().is_empty()
        };
        // The last one looked at has to be whole: an open header reads on into the annotations of the next.
        let mut after = (last + 1).min(self.methods.len());
        while self
            .methods
            .get(after)
            .is_some_and(|next| !begins_line(next) || !self.methods[after - 1].is_complete)
        {
            after += 1;
        }
        let next = self.methods.get(after);
        let old_end = next.map_or(self.text.len(), |method| method.span.start);
        self.text.replace_range(range.clone(), replacement);
        let shift = |at: usize| at + replacement.len() - range.len();
        let end = shift(old_end);
        let mut found = methods(&self.text[start..end]);
        for method in &mut found {
            moved(method, |at| at + start);
        }
        for method in &mut self.methods[after..] {
            moved(method, shift);
        }
        let found_calls: Vec<Vec<Call>> = found
            .iter()
            .map(|method| calls(&self.text, method.span.clone()))
            .collect();
        let found_names: Vec<u64> = found.iter().map(|method| hash(&method.name)).collect();
        self.methods.splice(first..after, found);
        self.names.splice(first..after, found_names);
        self.calls.splice(first..after, found_calls);
        if let Some(body) = self.calls.last_mut() {
            *body = body_calls(&self.text, &self.methods);
        }
    }

    /// The places that call the method `name` by its name alone: the index of the calling method (none for the module's body), and
    /// the byte at which the name starts. Names are compared by a hash, so the caller looks again.
    pub(super) fn calls_of(
        &self,
        name: &str,
        kind: CallKind,
    ) -> impl Iterator<Item = (Option<usize>, usize)> {
        let name = hash(name);
        self.calls.iter().enumerate().flat_map(move |(idx, calls)| {
            let method = self.methods.get(idx);
            let start =
                method.map_or_else(|| body_start(&self.methods), |method| method.span.start);
            let calls = calls
                .iter()
                .filter(move |call| call.name == name && call.kind == kind);
            calls.map(move |call| (method.map(|_| idx), start + call.at as usize))
        })
    }
}

/// The start of the line that holds `at`; of the first line of a string, where that line goes on with one.
fn line_start(text: &str, mut at: usize) -> usize {
    loop {
        let start = text[..at].rfind('\n').map_or(0, |end| end + 1);
        if start == 0 || !text[start..].trim_start().starts_with('|') {
            return start;
        }
        at = start - 1;
    }
}

fn body_start(methods: &[Method]) -> usize {
    methods.last().map_or(0, |method| method.span.end)
}

fn body_calls(text: &str, methods: &[Method]) -> Vec<Call> {
    calls(text, body_start(methods)..text.len())
}

fn hash(name: &str) -> u64 {
    let mut hasher = FxHasher::default();
    fold(name).hash(&mut hasher);
    hasher.finish()
}

/// What the bytes `span` of `text` call by a name alone.
fn calls(text: &str, span: Range<usize>) -> Vec<Call> {
    let code = &text[span];
    let mut found = Vec::new();
    let mut name: Option<Range<usize>> = None;
    let mut before = "";
    let mut notifies = false;
    for token in Lexer::new(code).filter(|token| !token.kind.is_trivia()) {
        let word = token.text(code);
        let mut add = |name: &str, at: usize, kind| {
            found.push(Call {
                name: hash(name),
                at: u32::try_from(at).unwrap_or(u32::MAX),
                kind,
            });
        };
        match token.kind {
            TokenKind::Punctuation if word == "(" => {
                if let Some(name) = name.take() {
                    notifies = ["описаниеоповещения", "notifydescription"]
                        .contains(&fold(&code[name.clone()]).as_str());
                    add(&code[name.clone()], name.start, CallKind::Direct);
                }
            }
            TokenKind::String if std::mem::take(&mut notifies) => {
                add(
                    &word[1..word.len() - 1],
                    token.span.start,
                    CallKind::Notification,
                );
            }
            TokenKind::Identifier => {
                notifies = false;
                name = (before != ".").then_some(token.span.clone());
            }
            // The header of a method is no call of it.
            TokenKind::Keyword(Keyword::Procedure | Keyword::Function) => name = None,
            _ => (notifies, name) = (false, None),
        }
        before = if token.kind == TokenKind::Punctuation {
            word
        } else {
            ""
        };
    }
    found
}

fn moved(method: &mut Method, to: impl Fn(usize) -> usize) {
    let shift = |range: &mut Range<usize>| *range = to(range.start)..to(range.end);
    shift(&mut method.name_span);
    shift(&mut method.span);
    shift(&mut method.header_span);
    shift(&mut method.body_span);
    method.doc_span.iter_mut().for_each(shift);
    let defaults = method
        .params
        .iter_mut()
        .filter_map(|param| param.default.as_mut());
    defaults.for_each(shift);
    method
        .annotations
        .iter_mut()
        .map(|annotation| &mut annotation.span)
        .for_each(shift);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(400))]

        #[test]
        fn edits_find_what_a_fresh_look_finds(
            parts in prop::collection::vec("(// к\n|&НаКлиенте\n|Процедура А\\(Б, Знач В = 1\\) Экспорт\n|А = \"стр\n|\\|ещё\";\n|А\\(1\\);\n|М = Новый ОписаниеОповещения\\(\"А\"\\);\n|КонецПроцедуры\n|Функция Ф\\(\\)\n|КонецФункции|\n|;|\\)|\"| 🙂)", 0..30),
            edits in prop::collection::vec((0.0f64..1.0, 0usize..12, "(// к\n|Процедура Н\\(|КонецПроцедуры\n|\"|\n|Э|Функция|\\)|&После\\(\"А\"\\)\n|)"), 1..6),
        ) {
            let mut document = Document::new("CommonModules/М/Ext/Module.bsl", parts.concat());
            for (at, len, text) in edits {
                let boundary = |at: usize| (at..=document.text.len()).find(|&at| document.text.is_char_boundary(at)).unwrap();
                let start = boundary((at * document.text.len() as f64) as usize);
                let end = boundary((start + len).min(document.text.len()));
                document.edit(start..end, &text);
                let fresh = Document::new(&document.path, document.text.clone());
                prop_assert_eq!(&document.methods, &fresh.methods);
                prop_assert_eq!(&document.calls, &fresh.calls);
                prop_assert_eq!(&document.names, &fresh.names);
            }
        }
    }
}
