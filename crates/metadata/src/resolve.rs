//! What can follow a dot: the type of the receiver, and the names that it offers.
//!
//! `assist` asks [`Resolver::at`] with a place in an open [`Document`]; candidates go into the prediction, so a wrong one costs more than a
//! missing one: where the code does not show a type, there is no answer. In code the receiver comes from declarations,
//! assignments, loops, doc comments and the metadata; in query text from the tables that the query reads. Nothing here predicts: which of the names
//! is meant is for others to say.

mod doc_types;
mod document;
mod eval;
mod form_members;
mod functions;
mod members;
mod query;
mod query_text;
mod scan;
mod shapes;
mod types;
mod values;

use std::borrow::Cow;
use std::cell::{Cell, RefCell};
use std::rc::Rc;

use nestor_bsl::keywords::{Keyword, fold};
use nestor_bsl::lexer::{Lexer, TokenKind, is_name_char};
use nestor_bsl::module_path::ModuleKind;
use nestor_bsl::query::{Shape as LiteralShape, lex_query, literal, shape};
use rustc_hash::{FxHashMap, FxHashSet};

pub use document::Document;

use crate::kinds::{Facet, ObjectKind};
use crate::model::{Form, FormAttribute, Item, Member as MetadataMember, Metadata, ModulePlace};
use crate::names::{NameId, NameKey, same};
use crate::view::View;
use eval::{Asked, Code};
use members::Member;
use query::{Fields, Found, Query};
use scan::Scan;
use types::{Type, Types};

/// What can follow a dot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resolution {
    /// The types of the receiver, in English as Designer writes them; what is no type of the platform is described.
    pub receiver: Vec<String>,
    /// The names, those that belong to the configuration first. No name twice.
    pub candidates: Vec<Candidate>,
    /// Whether the receiver may have more names than these: keys of a structure that came from elsewhere.
    pub is_open: bool,
}

/// A name that can follow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// The name in Russian; a name of the configuration is the same in both.
    pub russian: String,
    /// The name in English.
    pub english: String,
    /// A method.
    pub is_method: bool,
    /// What sort of value it has or gives back, where that is known.
    pub sort: ValueSort,
}

/// What sort of value a name stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ValueSort {
    /// Not known, or several.
    #[default]
    Unknown,
    /// `Булево`.
    Boolean,
    /// `Число`.
    Number,
    /// Something that a loop can go through.
    Collection,
    /// Any other.
    Other,
}

impl Resolution {
    /// Whether `name` is one of the candidates, in either language and any case.
    pub fn offers(&self, name: &str) -> bool {
        self.candidates
            .iter()
            .any(|candidate| same(&candidate.russian, name) || same(&candidate.english, name))
    }
}

/// Answers questions about one state of a document. Made anew after an edit; what it learns it keeps for the next question.
pub struct Resolver<'a> {
    view: View<'a>,
    document: &'a Document,
    /// What the module's own names belong to.
    this: Option<Type>,
    form: FormContext<'a>,
    module_variables: FxHashSet<String>,
    scans: RefCell<FxHashMap<Option<usize>, Code>>,
    answers: RefCell<FxHashMap<Asked, Option<Types>>>,
    /// Questions that are being answered.
    asking: RefCell<FxHashSet<Asked>>,
    /// Whether an answer on the way was cut off because it asked for itself.
    is_partial: Cell<bool>,
    member_lists: RefCell<FxHashMap<String, Rc<Vec<Member<'a>>>>>,
    /// Queries by the byte at which their first literal starts.
    queries: RefCell<FxHashMap<usize, Option<Rc<Query<'a, 'a>>>>>,
    /// Columns of executed queries, by the byte at which their text starts.
    query_columns: RefCell<FxHashMap<usize, Option<Fields<'a>>>>,
    temporary_tables: RefCell<FxHashMap<TableKey, Option<Fields<'a>>>>,
    depth: Cell<u32>,
    steps: Cell<u32>,
    is_exhausted: Cell<bool>,
}

/// A temporary table, by its folded name and the method that asks.
type TableKey = (String, Option<usize>);

/// The form of a form's module, an extension's and its base's as one.
#[derive(Default)]
struct FormContext<'a> {
    items: Vec<&'a Item>,
    attributes: Vec<&'a FormAttribute>,
    parameters: Vec<&'a MetadataMember>,
    /// Methods with the element whose event they handle.
    handlers: Vec<(NameKey, u32)>,
    commands: Vec<NameId>,
    actions: Vec<NameKey>,
    place: Option<ModulePlace>,
}

/// How deep one question may go from definition to definition.
const DEEPEST: u32 = 40;
/// How many steps one question may take: some milliseconds.
const MOST_STEPS: u32 = 2000;

/// One step down, until it is dropped.
struct Depth<'r>(&'r Cell<u32>);

impl Drop for Depth<'_> {
    fn drop(&mut self) {
        self.0.set(self.0.get() - 1);
    }
}

impl<'a> Resolver<'a> {
    /// A resolver for `document` in the project of `metadata`.
    pub fn new(metadata: &'a Metadata, document: &'a Document) -> Option<Resolver<'a>> {
        let view = metadata.view_of_path(document.path())?;
        let mut resolver = Resolver {
            view,
            document,
            this: None,
            form: FormContext::default(),
            module_variables: module_variables(document),
            scans: RefCell::default(),
            answers: RefCell::default(),
            asking: RefCell::default(),
            is_partial: Cell::new(false),
            member_lists: RefCell::default(),
            queries: RefCell::default(),
            query_columns: RefCell::default(),
            temporary_tables: RefCell::default(),
            depth: Cell::new(0),
            steps: Cell::new(0),
            is_exhausted: Cell::new(false),
        };
        resolver.find_this();
        Some(resolver)
    }

    /// Finds what the module belongs to.
    fn find_this(&mut self) {
        let place = self.document.place();
        let names = self.view.metadata().names();
        let mut kind = ObjectKind::from_object_type(place.object_type);
        let mut object = place.object_name.as_str();
        // Paths cannot tell an external report from an external processor; the root knows.
        if self.view.root().role == crate::model::RootRole::External {
            object = &self.view.root().name;
            if self
                .view
                .object(ObjectKind::ExternalReport, object)
                .is_some()
            {
                kind = Some(ObjectKind::ExternalReport);
            }
        }
        let (Some(kind), Some(key)) = (kind, names.find(object)) else {
            return;
        };
        let part = place.form.as_deref().or(place.command.as_deref());
        self.this = match place.module_kind {
            ModuleKind::Module if kind == ObjectKind::CommonModule => Some(Type::CommonModule(key)),
            ModuleKind::Object => Some(Type::Object(Facet::Object, kind, key)),
            ModuleKind::Manager => Some(Type::Object(Facet::Manager, kind, key)),
            ModuleKind::RecordSet => Some(Type::Object(Facet::RecordSet, kind, key)),
            ModuleKind::ValueManager => Some(Type::Object(Facet::ValueManager, kind, key)),
            ModuleKind::Form => {
                let forms = self.view.forms(kind, object, part.unwrap_or(object));
                self.form = FormContext::new(self.view.metadata(), &forms);
                self.form.place = Some(ModulePlace {
                    object_kind: Some(kind),
                    module_kind: ModuleKind::Form,
                    object: key,
                    part: part.and_then(|part| names.find(part)),
                });
                (!forms.is_empty()).then_some(Type::Form)
            }
            _ => None,
        };
    }

    /// What can stand at the byte `offset`, which is behind a dot or within the name behind one; `None` when the receiver is not known or
    /// there is no dot.
    pub fn at(&self, offset: usize) -> Option<Resolution> {
        let text = self.document.text();
        if offset > text.len() || !text.is_char_boundary(offset) {
            return None;
        }
        self.steps.set(0);
        self.is_exhausted.set(false);
        self.is_partial.set(false);
        let code = self.code_of(self.document.method_at(offset));
        if let Some(found) = self.in_query(&code, offset) {
            return found;
        }
        let scan = &code.scan;
        let mut at = scan.before(offset)?;
        if matches!(scan.token(at).kind, TokenKind::Identifier) && offset <= scan.token(at).span.end
        {
            at = at.checked_sub(1)?;
        }
        let is_dot = scan.text(text, at) == "."
            && scan.token(at).kind == TokenKind::Punctuation
            && scan.token(at).span.end <= offset;
        let types = self.receiver(&code, Some(at).filter(|_| is_dot)?)?;
        self.resolution(&types)
    }

    /// What a method of the configuration gives back is not looked up here: that may take long.
    fn sort(&self, owner: &Type, value: &members::Value<'a>) -> ValueSort {
        if matches!(value, members::Value::Method(..)) {
            return ValueSort::Unknown;
        }
        match self.value(owner, value).as_deref() {
            Some([Type::Platform(platform)]) if platform.english() == "Boolean" => {
                ValueSort::Boolean
            }
            Some([Type::Platform(platform)]) if platform.english() == "Number" => ValueSort::Number,
            Some([one]) if self.each(one).is_some() => ValueSort::Collection,
            Some([_, ..]) => ValueSort::Other,
            _ => ValueSort::Unknown,
        }
    }

    fn resolution(&self, types: &Types) -> Option<Resolution> {
        let mut candidates: Vec<Candidate> = Vec::new();
        let mut seen = FxHashSet::default();
        for one in types {
            for member in self.members(one).iter() {
                // One type's list has no name twice.
                if types.len() > 1 && !seen.insert(fold(&member.russian)) {
                    continue;
                }
                candidates.push(Candidate {
                    russian: member.russian.clone().into_owned(),
                    english: member.english.clone().into_owned(),
                    is_method: member.is_method,
                    sort: self.sort(one, &member.value),
                });
            }
        }
        (!candidates.is_empty()).then(|| Resolution {
            receiver: types.iter().map(|one| self.describe(one)).collect(),
            candidates,
            is_open: types.iter().any(|one| self.is_open(one)),
        })
    }

    /// The answer when `offset` is inside a literal: `Some(None)` where it is no query, or a place that is not known.
    fn in_query(&self, code: &Code, offset: usize) -> Option<Option<Resolution>> {
        let raw = &code.scan.raw;
        let inside = raw
            .partition_point(|token| token.span.start < offset)
            .checked_sub(1)?;
        if !raw[inside].kind.is_string()
            || offset >= raw[inside].span.end && is_closed(raw[inside].kind)
        {
            return None;
        }
        let query = self.query_around(code, offset);
        let tables = |name: &str| self.temporary_table(name, code.method);
        let found = query.and_then(|query| query.at(offset, &tables));
        Some(found.and_then(|found| {
            let names: Vec<(Cow<'_, str>, Cow<'_, str>)> = match found {
                Found::Fields(fields) => fields
                    .iter()
                    .map(|field| (field.russian.clone(), field.english.clone()))
                    .collect(),
                Found::Names(names) => names,
            };
            let mut seen = FxHashSet::default();
            let candidates: Vec<Candidate> = names
                .into_iter()
                .filter(|(russian, _)| seen.insert(fold(russian)))
                .map(|(russian, english)| Candidate {
                    russian: russian.into_owned(),
                    english: english.into_owned(),
                    is_method: false,
                    sort: ValueSort::Unknown,
                })
                .collect();
            (!candidates.is_empty()).then(|| Resolution {
                receiver: vec!["query".to_owned()],
                candidates,
                is_open: false,
            })
        }))
    }

    /// The query in the literal around the byte `offset` and those that are added to it, read once; `None` where they hold something
    /// else.
    fn query_around(&self, code: &Code, offset: usize) -> Option<Rc<Query<'a, 'a>>> {
        let text = self.document.text();
        let raw = &code.scan.raw;
        let inside = raw
            .partition_point(|token| token.span.start < offset)
            .checked_sub(1)?;
        let first = (0..=inside)
            .rev()
            .find(|&idx| matches!(raw[idx].kind, TokenKind::String | TokenKind::StringStart))?;
        let pieces = code.scan.added_literals(text, first);
        let start = raw[*pieces.first()?].span.start;
        if let Some(known) = self.queries.borrow().get(&start) {
            return known.clone();
        }
        let mut tokens = Vec::new();
        let mut is_query = false;
        for piece in pieces {
            let literal = literal(text, raw, piece)?;
            let piece = lex_query(text, &literal);
            is_query |= shape(text, &literal, &piece, is_query) == LiteralShape::Query;
            tokens.extend(piece);
        }
        let query = is_query.then(|| Rc::new(Query::new(self.view, text, tokens)));
        self.queries.borrow_mut().insert(start, query.clone());
        query
    }

    /// The columns of the temporary table `name` that another text of the module fills: one of the same method, or the only one.
    fn temporary_table(&self, name: &str, method: Option<usize>) -> Option<Fields<'a>> {
        const MOST: usize = 8;
        let _depth = self.go_deeper()?;
        let text = self.document.text();
        let key = (fold(name), method);
        if let Some(known) = self.temporary_tables.borrow().get(&key) {
            return known.clone();
        }
        let mut places: Vec<usize> = ["ПОМЕСТИТЬ", "Поместить", "INTO", "into", "Into"]
            .iter()
            .flat_map(|word| text.match_indices(word))
            .filter(|(at, word)| {
                let rest = text[at + word.len()..].trim_start();
                let end = rest.find(|c| !is_name_char(c)).unwrap_or(rest.len());
                same(&rest[..end], name)
            })
            .map(|(at, _)| at)
            .collect();
        let in_method = |at: &usize| self.document.method_at(*at) == method;
        if places.iter().any(in_method) {
            places.retain(in_method);
        } else if places.len() > 1 {
            places.clear();
        }
        let tables = |name: &str| self.temporary_table(name, method);
        let fields = places.iter().rev().take(MOST).find_map(|&at| {
            let code = self.code_of(self.document.method_at(at));
            let query = self.query_around(&code, at)?;
            query.filled_table(name, &tables)
        });
        if !self.is_exhausted() {
            let mut known = self.temporary_tables.borrow_mut();
            known.insert(key, fields.clone());
        }
        fields
    }

    /// The tokens of a method, or of the module's body behind the last one.
    fn code_of(&self, method: Option<usize>) -> Code {
        if let Some(code) = self.scans.borrow().get(&method) {
            return code.clone();
        }
        let span = match method {
            Some(idx) => {
                let method = &self.document.methods()[idx];
                method.header_span.start..method.span.end
            }
            None => {
                let start = self
                    .document
                    .methods()
                    .last()
                    .map_or(0, |method| method.span.end);
                start..self.document.text().len()
            }
        };
        let code = Code {
            scan: Rc::new(Scan::new(self.document.text(), span)),
            method,
        };
        self.count_steps(code.scan.len() / 64);
        self.scans.borrow_mut().insert(method, code.clone());
        code
    }

    /// Counts a step down; `None` when the question has become too long.
    fn go_deeper(&self) -> Option<Depth<'_>> {
        self.steps.set(self.steps.get() + 1);
        if self.depth.get() >= DEEPEST || self.steps.get() > MOST_STEPS {
            self.is_exhausted.set(true);
            return None;
        }
        self.depth.set(self.depth.get() + 1);
        Some(Depth(&self.depth))
    }

    /// Counts work that is no step down.
    fn count_steps(&self, steps: usize) {
        let steps = u32::try_from(steps).unwrap_or(MOST_STEPS);
        self.steps.set(self.steps.get().saturating_add(steps));
    }

    fn is_exhausted(&self) -> bool {
        self.is_exhausted.get()
    }

    fn describe(&self, one: &Type) -> String {
        let name = |key: NameKey| self.view.metadata().names().of_key(key);
        match one {
            Type::Platform(platform) => platform.english().to_owned(),
            Type::Object(facet, kind, object) => {
                format!("{}{}.{}", kind.english(), facet.english(), name(*object))
            }
            Type::Managers(kind) => kind.english_plural().to_owned(),
            Type::MetadataKind(kind) => format!("Metadata.{}", kind.english_plural()),
            Type::MetadataObject(kind, object) => {
                format!("Metadata.{}.{}", kind.english_plural(), name(*object))
            }
            Type::MetadataParts(kind, object, part) => format!(
                "Metadata.{}.{}.{part:?}",
                kind.english_plural(),
                name(*object)
            ),
            Type::CommonModule(module) => format!("CommonModule.{}", name(*module)),
            Type::Shape(shape) => shape.base.english().to_owned(),
            Type::Form => "Form".to_owned(),
            Type::FormItems => "FormItems".to_owned(),
            Type::FormItem(idx) => {
                let item = self.form.items.get(*idx as usize);
                item.map_or_else(String::new, |item| {
                    format!("FormItem.{}", self.view.metadata().name(item.name))
                })
            }
            Type::FormCommands => "FormCommands".to_owned(),
            Type::FormParameters => "FormParameters".to_owned(),
            Type::FormObject(kind, object, _) => {
                format!("FormData.{}.{}", kind.english(), name(*object))
            }
            Type::RegisterRecords(document) => format!("RegisterRecords.{}", name(*document)),
            Type::SessionParameters => "SessionParameters".to_owned(),
        }
    }
}

impl<'a> FormContext<'a> {
    fn new(metadata: &'a Metadata, forms: &[&'a Form]) -> FormContext<'a> {
        let mut context = FormContext::default();
        let mut seen = FxHashSet::default();
        let key = |name| metadata.names().key(name);
        for form in forms {
            let items = metadata.items(form);
            for item in items.iter().filter(|item| seen.insert((0, key(item.name)))) {
                context.items.push(item);
            }
            let attributes = metadata.form_attributes(form).iter();
            context
                .attributes
                .extend(attributes.filter(|attribute| seen.insert((1, key(attribute.name)))));
            let parameters = metadata.form_parameters(form).iter();
            context
                .parameters
                .extend(parameters.filter(|parameter| seen.insert((2, key(parameter.name)))));
            let commands = metadata
                .form_commands(form)
                .iter()
                .map(|command| command.name);
            context
                .commands
                .extend(commands.filter(|&command| seen.insert((3, key(command)))));
            context.actions.extend(
                metadata
                    .form_commands(form)
                    .iter()
                    .map(|command| key(command.action)),
            );
            for handler in metadata.handlers(form) {
                let Some(item) = handler.item.and_then(|item| items.get(item as usize)) else {
                    continue;
                };
                let idx = context
                    .items
                    .iter()
                    .position(|known| key(known.name) == key(item.name));
                context
                    .handlers
                    .extend(idx.map(|idx| (key(handler.method), idx as u32)));
            }
        }
        context
    }

    /// The elements whose events `method` handles.
    fn handled_items(&self, metadata: &Metadata, method: &str) -> Vec<u32> {
        let key = metadata.names().find(method);
        let items = self
            .handlers
            .iter()
            .filter(|(handler, _)| Some(*handler) == key);
        let mut items: Vec<u32> = items.map(|(_, item)| *item).collect();
        items.dedup();
        items
    }

    fn is_action(&self, metadata: &Metadata, method: &str) -> bool {
        metadata
            .names()
            .find(method)
            .is_some_and(|key| self.actions.contains(&key))
    }
}

fn is_closed(kind: TokenKind) -> bool {
    matches!(kind, TokenKind::String | TokenKind::StringEnd)
}

/// Folded names of the variables that the module declares before its methods.
fn module_variables(document: &Document) -> FxHashSet<String> {
    let end = document
        .methods()
        .first()
        .map_or(document.text().len(), |method| method.span.start);
    let head = &document.text()[..end];
    let mut variables = FxHashSet::default();
    let mut declares = false;
    for token in Lexer::new(head) {
        match token.kind {
            TokenKind::Keyword(Keyword::Var) => declares = true,
            TokenKind::Identifier if declares => {
                variables.insert(fold(token.text(head)));
            }
            TokenKind::Punctuation if token.text(head) == ";" => declares = false,
            _ => {}
        }
    }
    variables
}
