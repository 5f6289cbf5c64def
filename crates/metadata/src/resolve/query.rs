//! Query text: which tables it reads, under which names, and which columns it gives.
//!
//! A pass over the tokens finds the selects, nested and united, with their sources and columns; fields are looked up when they are asked for. What
//! the pass does not understand (a table in a parameter, a part of the text that is put in later) is unknown, not guessed.

mod lookup;

use std::borrow::Cow;
use std::cell::RefCell;
use std::ops::Range;
use std::rc::Rc;

use nestor_bsl::keywords::QueryKeyword;
use nestor_bsl::query::{QueryToken, QueryTokenKind};
use rustc_hash::FxHashMap;

use crate::fields::Field;
use crate::kinds::ObjectKind;
use crate::names::NameKey;
use crate::view::View;

/// The fields of a table, shared by everyone who asks.
pub(super) type Fields<'a> = Rc<Vec<Field<'a>>>;

/// Who knows temporary tables that other texts have filled.
pub(super) type TemporaryTables<'q, 'a> = &'q dyn Fn(&str) -> Option<Fields<'a>>;

/// A question on its way down.
#[derive(Clone, Copy)]
struct Ask<'q, 'a> {
    depth: u32,
    tables: TemporaryTables<'q, 'a>,
}

impl Ask<'_, '_> {
    fn deeper(self) -> Self {
        Ask {
            depth: self.depth + 1,
            ..self
        }
    }
}

/// The selects of a text.
pub(super) struct Query<'a, 't> {
    view: View<'a>,
    text: &'t str,
    tokens: Vec<QueryToken>,
    selects: Vec<Select>,
    /// The select around each token.
    select_of: Vec<Option<usize>>,
    /// Tokens that belong to the path of a source.
    is_source: Vec<bool>,
    /// Columns by select. Selects that lie in each other would be worked out again for every column otherwise.
    columns_of: RefCell<FxHashMap<usize, Option<Fields<'a>>>>,
    /// Fields of sources by the first token of their path.
    sources: RefCell<FxHashMap<usize, Option<Fields<'a>>>>,
    /// Fields of objects that references lead to.
    objects: RefCell<FxHashMap<(ObjectKind, NameKey), Fields<'a>>>,
}

struct Select {
    parent: Option<usize>,
    /// The first select of the union that it belongs to.
    first: usize,
    sources: Vec<SourceEntry>,
    columns: Vec<Range<usize>>,
    into: Option<String>,
    /// The statement of the package.
    statement: usize,
    is_nested: bool,
}

struct SourceEntry {
    alias: String,
    source: Source,
}

#[derive(Clone)]
enum Source {
    Path(Range<usize>),
    Select(usize),
    Unknown,
}

/// What can follow a dot in query text.
pub(super) enum Found<'a> {
    /// Fields of a table, and tables within it.
    Fields(Fields<'a>),
    /// Names of objects, virtual tables, values.
    Names(Vec<(Cow<'a, str>, Cow<'a, str>)>),
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Clause {
    Columns,
    Into,
    /// A source is to come.
    Source,
    /// A source has been read; its name may follow.
    AfterSource,
    /// Behind a source's name, or in the condition of a join: a comma brings another source.
    Sources,
    Else,
}

#[derive(Clone, Copy)]
struct Frame {
    select: Option<usize>,
    clause: Clause,
    column_start: usize,
    /// The source of the outer frame that this one is.
    is_source: bool,
}

const DEEPEST: u32 = 24;

impl<'a, 't> Query<'a, 't> {
    /// Finds the selects among `tokens` of `text`.
    pub(super) fn new(view: View<'a>, text: &'t str, mut tokens: Vec<QueryToken>) -> Self {
        tokens.retain(|token| token.kind != QueryTokenKind::Comment);
        unfinished_paths(text, &mut tokens);
        let mut query = Query {
            view,
            text,
            select_of: Vec::with_capacity(tokens.len()),
            is_source: vec![false; tokens.len()],
            tokens,
            selects: Vec::new(),
            columns_of: RefCell::default(),
            sources: RefCell::default(),
            objects: RefCell::default(),
        };
        query.scan();
        query
    }

    fn word(&self, idx: usize) -> &'t str {
        self.tokens
            .get(idx)
            .map_or("", |token| &self.text[token.span.clone()])
    }

    fn keyword(&self, idx: usize) -> Option<QueryKeyword> {
        match self.tokens.get(idx)?.kind {
            QueryTokenKind::Keyword(keyword) => Some(keyword),
            _ => None,
        }
    }

    fn is_name(&self, idx: usize) -> bool {
        self.tokens
            .get(idx)
            .is_some_and(|token| token.kind == QueryTokenKind::Identifier)
    }

    fn scan(&mut self) {
        let empty = Frame {
            select: None,
            clause: Clause::Else,
            column_start: 0,
            is_source: false,
        };
        let mut stack: Vec<Frame> = Vec::new();
        let mut frame = empty;
        let mut statement = 0;
        let mut idx = 0;
        while idx < self.tokens.len() {
            let around = frame
                .select
                .or_else(|| stack.iter().rev().find_map(|outer| outer.select));
            while self.select_of.len() < idx {
                self.select_of.push(around);
            }
            let mut next = idx + 1;
            match self.keyword(idx) {
                Some(QueryKeyword::Select) => {
                    let id = self.selects.len();
                    let first = frame.select.map_or(id, |before| self.selects[before].first);
                    self.selects.push(Select {
                        parent: stack.iter().rev().find_map(|outer| outer.select),
                        first,
                        sources: Vec::new(),
                        columns: Vec::new(),
                        into: None,
                        statement,
                        is_nested: !stack.is_empty(),
                    });
                    if frame.is_source
                        && frame.select.is_none()
                        && let Some(outer) = stack.last().and_then(|outer| outer.select)
                        && let Some(entry) = self.selects[outer].sources.last_mut()
                    {
                        entry.source = Source::Select(id);
                    }
                    frame.select = Some(id);
                    frame.clause = Clause::Columns;
                    while matches!(
                        self.keyword(next),
                        Some(QueryKeyword::Distinct | QueryKeyword::Allowed | QueryKeyword::Top)
                    ) {
                        next += if self.keyword(next) == Some(QueryKeyword::Top) {
                            2
                        } else {
                            1
                        };
                    }
                    frame.column_start = next;
                }
                Some(QueryKeyword::Into | QueryKeyword::AddTo)
                    if frame.clause == Clause::Columns =>
                {
                    self.end_column(&mut frame, idx);
                    frame.clause = Clause::Into;
                }
                Some(QueryKeyword::From) => {
                    self.end_column(&mut frame, idx);
                    frame.clause = Clause::Source;
                }
                Some(QueryKeyword::Join) if frame.select.is_some() => frame.clause = Clause::Source,
                Some(QueryKeyword::As) if frame.clause == Clause::AfterSource => {
                    if self.is_name(next) {
                        self.name_source(&frame, next);
                        next += 1;
                    }
                    frame.clause = Clause::Sources;
                }
                Some(QueryKeyword::On)
                    if matches!(frame.clause, Clause::AfterSource | Clause::Sources) =>
                {
                    frame.clause = Clause::Sources;
                }
                Some(
                    QueryKeyword::Where
                    | QueryKeyword::Group
                    | QueryKeyword::Having
                    | QueryKeyword::Order
                    | QueryKeyword::Totals
                    | QueryKeyword::Union
                    | QueryKeyword::Index
                    | QueryKeyword::On
                    | QueryKeyword::For,
                ) => {
                    self.end_column(&mut frame, idx);
                    frame.clause = Clause::Else;
                }
                Some(_) => {}
                None => next = self.mark_or_name(idx, &mut frame, &mut stack, &mut statement),
            }
            idx = next;
        }
        self.end_column(&mut frame, self.tokens.len());
        let around = frame
            .select
            .or_else(|| stack.iter().rev().find_map(|outer| outer.select));
        self.select_of.resize(self.tokens.len(), around);
    }

    fn mark_or_name(
        &mut self,
        idx: usize,
        frame: &mut Frame,
        stack: &mut Vec<Frame>,
        statement: &mut usize,
    ) -> usize {
        let inner = |is_source: bool| Frame {
            select: None,
            clause: Clause::Else,
            column_start: 0,
            is_source,
        };
        match (self.word(idx), frame.clause) {
            (";", _) if self.tokens[idx].kind == QueryTokenKind::Punctuation => {
                self.end_column(frame, idx);
                stack.clear();
                *frame = inner(false);
                *statement += 1;
            }
            // Braces hold fields for the data composition; only joins inside them add to the query.
            ("{", _)
                if matches!(
                    self.keyword(idx + 1),
                    Some(QueryKeyword::Select | QueryKeyword::Where | QueryKeyword::Order)
                ) =>
            {
                self.end_column(frame, idx);
                let close = (idx..self.tokens.len()).find(|&at| self.word(at) == "}");
                return close.unwrap_or(self.tokens.len() - 1) + 1;
            }
            ("(", Clause::Source) => {
                self.add_source(frame, Source::Unknown, String::new());
                frame.clause = Clause::AfterSource;
                stack.push(*frame);
                *frame = inner(true);
            }
            ("(", _) => {
                stack.push(*frame);
                *frame = inner(false);
            }
            (")", _) => {
                self.end_column(frame, idx);
                *frame = stack.pop().unwrap_or(inner(false));
            }
            (",", Clause::Columns) => {
                self.end_column(frame, idx);
                frame.clause = Clause::Columns;
                frame.column_start = idx + 1;
            }
            (",", Clause::AfterSource | Clause::Sources) => frame.clause = Clause::Source,
            (_, Clause::Source) if self.is_name(idx) => {
                let end = self.end_of_path(idx);
                self.is_source[idx..end].fill(true);
                let alias = self.word(end - 1).to_owned();
                self.add_source(frame, Source::Path(idx..end), alias);
                frame.clause = Clause::AfterSource;
                return end;
            }
            (_, Clause::Source) => {
                // `&Таблица`, `#Таблица`, `%1`.
                self.add_source(frame, Source::Unknown, String::new());
                frame.clause = Clause::AfterSource;
                return if self.is_name(idx + 1) {
                    self.end_of_path(idx + 1)
                } else {
                    idx + 1
                };
            }
            (_, Clause::AfterSource) if self.is_name(idx) => {
                self.name_source(frame, idx);
                frame.clause = Clause::Sources;
            }
            (_, Clause::Into) if self.is_name(idx) => {
                if let Some(select) = frame.select {
                    self.selects[select].into = Some(self.word(idx).to_owned());
                }
                frame.clause = Clause::Else;
            }
            _ => {}
        }
        idx + 1
    }

    fn end_column(&mut self, frame: &mut Frame, end: usize) {
        if frame.clause == Clause::Columns
            && let Some(select) = frame.select
            && frame.column_start < end
        {
            self.selects[select].columns.push(frame.column_start..end);
        }
        if frame.clause == Clause::Columns {
            frame.clause = Clause::Else;
        }
    }

    fn add_source(&mut self, frame: &Frame, source: Source, alias: String) {
        if let Some(select) = frame.select {
            self.selects[select]
                .sources
                .push(SourceEntry { alias, source });
        }
    }

    fn name_source(&mut self, frame: &Frame, idx: usize) {
        let alias = self.word(idx).to_owned();
        if let Some(entry) = frame
            .select
            .and_then(|select| self.selects[select].sources.last_mut())
        {
            entry.alias = alias;
        }
    }

    /// The end of `Имя.Имя.Имя` from `idx` on.
    fn end_of_path(&self, idx: usize) -> usize {
        let mut end = idx + 1;
        let goes_on = |end: usize| {
            let next = self.tokens.get(end + 1);
            self.word(end) == "."
                && next.is_some_and(|next| {
                    next.kind == QueryTokenKind::Identifier
                        || is_word(next.kind) && next.span.start == self.tokens[end].span.end
                })
        };
        while goes_on(end) {
            end += 2;
        }
        end
    }
}

/// `ВЫБРАТЬ Т. ИЗ Справочник.Товары`: a reserved word with white space before it is no field, though it stands behind a dot.
fn unfinished_paths(text: &str, tokens: &mut [QueryToken]) {
    for idx in 1..tokens.len() {
        let (before, token) = (&tokens[idx - 1], &tokens[idx]);
        let is_apart = &text[before.span.clone()] == "." && before.span.end < token.span.start;
        if is_apart
            && token.kind == QueryTokenKind::Identifier
            && let Some(keyword) = QueryKeyword::find(&text[token.span.clone()])
        {
            tokens[idx].kind = QueryTokenKind::Keyword(keyword);
        }
    }
}

fn is_word(kind: QueryTokenKind) -> bool {
    matches!(
        kind,
        QueryTokenKind::Identifier | QueryTokenKind::Keyword(_)
    )
}
