//! The type of an expression, of a variable, of what a function gives back.
//!
//! Goes from the place of use backwards: a chain of members to its first name, the name to the definitions that can reach it, a
//! definition to its expression. Everything that is not understood has no type. A budget bounds the work of one question.

use std::ops::Range;
use std::rc::Rc;

use nestor_bsl::keywords::{Keyword, fold};
use nestor_bsl::lexer::TokenKind;
use nestor_bsl::module_path::ModuleKind;
use nestor_bsl::query::{self, lex_query};

use super::Resolver;
use super::document::CallKind;
use super::query::{Fields, Query};
use super::scan::{Definition, Scan, Value};
use super::types::{Shape, ShapeField, Type, Types, union};
use crate::doc::{DocField, DocType};
use crate::facts::LinkKind;
use crate::kinds::{Facet, ObjectKind};
use crate::model::{MethodEntry, Module, ModulePlace};
use crate::names::same;
use crate::platform::{PlatformResult, PlatformType};
use crate::read::without_marks;

/// Where code stands: the tokens of a method, and which method.
#[derive(Clone)]
pub(super) struct Code {
    pub(super) scan: Rc<Scan>,
    /// The method's index; none in the module's body.
    pub(super) method: Option<usize>,
}

/// Whose doc comment names a type: `см. Метод` means a method of the same module.
#[derive(Clone, Copy)]
pub(super) enum Speaker<'a> {
    Document,
    Module(&'a Module),
}

/// A question that comes up again and again.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Asked {
    /// What a method of the document gives back.
    Returns(usize),
    /// What the module hands over for a parameter of a method.
    Param(usize, usize),
    /// The expression of some tokens of a method.
    Expression(Option<usize>, usize, usize),
}

impl<'a> Resolver<'a> {
    /// Answers a question once. Whoever asks again on the way to the answer, by recursion, learns nothing; what is found out
    /// below that point may be less than all there is, so only the answer to the outermost question is kept then.
    fn once(&self, asked: Asked, find: impl FnOnce() -> Option<Types>) -> Option<Types> {
        if let Some(known) = self.answers.borrow().get(&asked) {
            return known.clone();
        }
        if !self.asking.borrow_mut().insert(asked) {
            self.is_partial.set(true);
            return None;
        }
        let was_partial = self.is_partial.replace(false);
        let types = find();
        self.asking.borrow_mut().remove(&asked);
        let is_whole = !self.is_partial.get() || self.asking.borrow().is_empty();
        if is_whole && !self.is_exhausted() {
            self.answers.borrow_mut().insert(asked, types.clone());
        }
        self.is_partial.set(was_partial || !is_whole);
        types
    }

    /// The types of what stands before the dot at token `dot`.
    pub(super) fn receiver(&self, code: &Code, dot: usize) -> Option<Types> {
        let start = self.chain_start(&code.scan, dot)?;
        self.chain(code, start, dot)
    }

    /// The token at which the chain of members that ends before `end` begins.
    fn chain_start(&self, scan: &Scan, end: usize) -> Option<usize> {
        let text = self.document.text();
        let mut at = end;
        loop {
            let last = at.checked_sub(1)?;
            let mut start = match (scan.token(last).kind, scan.text(text, last)) {
                (TokenKind::Identifier, _) => last,
                (TokenKind::Punctuation, ")" | "]") => {
                    let open = scan.opening(text, last)?;
                    match open
                        .checked_sub(1)
                        .map(|before| (before, scan.token(before).kind, scan.text(text, before)))
                    {
                        Some((before, TokenKind::Identifier, _)) => before,
                        // `А[0][1]`, `Ф()[0]`.
                        Some((_, TokenKind::Punctuation, ")" | "]")) => {
                            at = open;
                            continue;
                        }
                        Some((before, TokenKind::Keyword(Keyword::New), _)) => before,
                        Some((before, TokenKind::Punctuation, "?")) => before,
                        _ => open,
                    }
                }
                _ => return None,
            };
            match start.checked_sub(1) {
                Some(before)
                    if scan.text(text, before) == "."
                        && scan.token(before).kind == TokenKind::Punctuation =>
                {
                    at = before
                }
                Some(before) if scan.token(before).kind == TokenKind::Keyword(Keyword::New) => {
                    start = before;
                    return Some(start);
                }
                _ => return Some(start),
            }
        }
    }

    /// The types of the chain of tokens from `start` to `end`.
    fn chain(&self, code: &Code, start: usize, end: usize) -> Option<Types> {
        let _depth = self.go_deeper()?;
        let text = self.document.text();
        let scan = &code.scan;
        let (mut types, mut at) = self.first_of_chain(code, start)?;
        while at < end {
            match scan.text(text, at) {
                "." if scan.kind(at + 1) == Some(TokenKind::Identifier) => {
                    let name = scan.text(text, at + 1);
                    let is_call = scan.text(text, at + 2) == "(";
                    let close = if is_call {
                        scan.closing(text, at + 2)?
                    } else {
                        at + 1
                    };
                    types = match is_call
                        .then(|| self.special_method(code, &types, name, at + 2, close))
                        .flatten()
                    {
                        Some(types) => types,
                        None => self.member_types(&types, name)?,
                    };
                    at = close + 1;
                }
                "[" => {
                    let close = scan.closing(text, at)?;
                    types = self.index_types(code, &types, at + 1..close)?;
                    at = close + 1;
                }
                _ => return None,
            }
        }
        (at == end).then_some(types)
    }

    fn index_types(&self, code: &Code, types: &Types, index: Range<usize>) -> Option<Types> {
        // `Справочники["Товары"]`: a member by its name.
        if let Some(name) = self.string_value(code, index) {
            return self.member_types(types, &name);
        }
        let mut all = Types::new();
        for one in types {
            all.extend(self.index(one)?);
        }
        Some(all)
    }

    /// The types of the first part of a chain, and the token behind it.
    fn first_of_chain(&self, code: &Code, start: usize) -> Option<(Types, usize)> {
        let text = self.document.text();
        let scan = &code.scan;
        match scan.kind(start)? {
            TokenKind::Identifier => {
                let name = scan.text(text, start);
                if scan.text(text, start + 1) == "(" {
                    let close = scan.closing(text, start + 1)?;
                    return Some((self.call(code, name, start + 1, close)?, close + 1));
                }
                Some((self.variable(code, name, start)?, start + 1))
            }
            TokenKind::Keyword(Keyword::New) => self.new_object(code, start),
            TokenKind::Punctuation if scan.text(text, start) == "(" => {
                let close = scan.closing(text, start)?;
                Some((self.expression(code, start + 1..close)?, close + 1))
            }
            TokenKind::Punctuation
                if scan.text(text, start) == "?" && scan.text(text, start + 1) == "(" =>
            {
                let close = scan.closing(text, start + 1)?;
                let arguments = scan.arguments(text, start + 1, close);
                let [_, yes, no] = &arguments[..] else {
                    return None;
                };
                let types = union(
                    self.expression(code, yes.clone()),
                    self.expression(code, no.clone()),
                );
                Some((without_undefined(types?), close + 1))
            }
            _ => None,
        }
    }

    /// The types of the expression of the tokens `range`.
    pub(super) fn expression(&self, code: &Code, range: Range<usize>) -> Option<Types> {
        let _depth = self.go_deeper()?;
        let asked = Asked::Expression(code.method, range.start, range.end);
        self.once(asked, || self.find_expression(code, range))
    }

    fn find_expression(&self, code: &Code, range: Range<usize>) -> Option<Types> {
        let text = self.document.text();
        let scan = &code.scan;
        let mut start = range.start;
        if scan.kind(start) == Some(TokenKind::Keyword(Keyword::Await)) {
            start += 1;
        }
        if start >= range.end {
            return None;
        }
        let platform = |name: &str| Some(vec![Type::Platform(PlatformType::known(name))]);
        if range.end - start == 1 {
            match scan.token(start).kind {
                TokenKind::String | TokenKind::StringStart => return platform("String"),
                TokenKind::Number => return platform("Number"),
                TokenKind::Date => return platform("Date"),
                TokenKind::Keyword(Keyword::True | Keyword::False) => return platform("Boolean"),
                TokenKind::Keyword(Keyword::Undefined) => return platform("Undefined"),
                TokenKind::Keyword(Keyword::Null) => return platform("Null"),
                _ => {}
            }
        }
        // Operators at the top: values that have no members.
        let mut at = start;
        while at < range.end {
            match scan.text(text, at) {
                "(" | "[" => at = scan.closing(text, at)?,
                "=" | "<>" | "<" | ">" | "<=" | ">=" => return platform("Boolean"),
                "+" | "-" | "*" | "/" | "%" => {
                    let left = self.expression(code, start..at);
                    return left.or_else(|| {
                        if scan.text(text, at) == "+" {
                            None
                        } else {
                            platform("Number")
                        }
                    });
                }
                _ => match scan.token(at).kind {
                    TokenKind::Keyword(Keyword::And | Keyword::Or | Keyword::Not) => {
                        return platform("Boolean");
                    }
                    _ => {}
                },
            }
            at += 1;
        }
        self.chain(code, start, range.end)
    }

    /// What a name by itself stands for at the token `at`.
    fn variable(&self, code: &Code, name: &str, at: usize) -> Option<Types> {
        let _depth = self.go_deeper()?;
        let folded = fold(name);
        let (definitions, is_sure) = code.scan.reaching(&folded, at);
        let param = code.method.and_then(|method| {
            self.document.methods()[method]
                .params
                .iter()
                .position(|param| same(&param.name, name))
        });
        if !definitions.is_empty() {
            let mut types: Option<Types> = None;
            for definition in &definitions {
                let found = self.definition_types(code, definition)?;
                let found = self.with_additions(code, &folded, found, definition.at, at);
                types = Some(match types {
                    None => found,
                    Some(known) => union(Some(known), Some(found))?,
                });
            }
            if let (Some(param), false) = (param, is_sure) {
                types = union(types, self.param_types(code.method?, param));
            }
            return types
                .map(without_undefined)
                .filter(|types| !types.is_empty());
        }
        if let Some(param) = param {
            let types = self.param_types(code.method?, param)?;
            return Some(self.with_additions(code, &folded, types, 0, at));
        }
        // A local variable that has no value here yet, or a module's that may have any.
        if code.scan.defines(&folded) || self.module_variables.contains(&folded) {
            return None;
        }
        self.global(name)
    }

    /// What a name stands for that no variable has.
    fn global(&self, name: &str) -> Option<Types> {
        if let Some(this) = &self.this {
            let members = self.members(this);
            // A property only: a method of the module without parentheses is no value.
            if members
                .iter()
                .any(|member| member.is_named(name) && !member.is_method)
            {
                return self.member_types(&vec![this.clone()], name);
            }
            if same(name, "ЭтотОбъект") || same(name, "ThisObject") {
                return Some(vec![this.clone()]);
            }
        }
        if let Some(kind) = ObjectKind::from_plural(name).filter(|kind| kind.has_managers()) {
            return Some(vec![Type::Managers(kind)]);
        }
        if let Some(module) = self.view.object(ObjectKind::CommonModule, name) {
            return Some(vec![Type::CommonModule(module.key())]);
        }
        if same(name, "ПараметрыСеанса") || same(name, "SessionParameters") {
            return Some(vec![Type::SessionParameters]);
        }
        if let Some(platform) = PlatformType::find(name).filter(|platform| platform.is_enum()) {
            return Some(vec![Type::Platform(platform)]);
        }
        let global = PlatformType::known("*Global")
            .member(name)
            .filter(|member| !member.is_method)?;
        match global.result {
            PlatformResult::Type(platform) => Some(vec![Type::Platform(platform)]),
            _ => None,
        }
    }

    fn definition_types(&self, code: &Code, definition: &Definition) -> Option<Types> {
        match &definition.value {
            Value::Counter => Some(vec![Type::Platform(PlatformType::known("Number"))]),
            Value::Expression(range) => self.expression(code, range.clone()),
            Value::Each(range) => {
                let mut all = Types::new();
                for one in self.expression(code, range.clone())? {
                    all.extend(self.each(&one)?);
                }
                (!all.is_empty()).then_some(all)
            }
        }
    }

    /// The types of a parameter, by its doc comment or by who calls the method.
    fn param_types(&self, method_idx: usize, param: usize) -> Option<Types> {
        let method = &self.document.methods()[method_idx];
        let name = &method.params[param].name;
        let doc = method
            .doc_span
            .clone()
            .map(|doc| without_marks(&self.document.text()[doc]));
        if let Some(doc) = doc {
            let comment = crate::doc::parse(&doc);
            if let Some(stated) = comment
                .params
                .iter()
                .find(|stated| same(&stated.name, name))
            {
                return self
                    .types_of_doc(&stated.types, Speaker::Document)
                    .map(without_undefined);
            }
        }
        if param == 1
            && is_command_handler(&method.name)
            && self.document.place().module_kind == ModuleKind::Command
        {
            return Some(vec![Type::Platform(PlatformType::known(
                "CommandExecuteParameters",
            ))]);
        }
        if param > 0 {
            return self.types_from_calls(method_idx, param);
        }
        let items = self.form.handled_items(self.view.metadata(), &method.name);
        if !items.is_empty() {
            return Some(items.into_iter().map(Type::FormItem).collect());
        }
        if self.form.is_action(self.view.metadata(), &method.name) {
            return Some(vec![Type::Platform(PlatformType::known("FormCommand"))]);
        }
        self.event_source(&method.name)
            .or_else(|| self.types_from_calls(method_idx, param))
    }

    /// The types of a parameter by what the module itself hands over: every call of a method that nobody else can call, or every
    /// notification that names the method.
    fn types_from_calls(&self, method_idx: usize, param: usize) -> Option<Types> {
        let _depth = self.go_deeper()?;
        self.once(Asked::Param(method_idx, param), || {
            self.find_types_from_calls(method_idx, param)
        })
    }

    fn find_types_from_calls(&self, method_idx: usize, param: usize) -> Option<Types> {
        const MOST_CALLS: usize = 20;
        let text = self.document.text();
        let method = &self.document.methods()[method_idx];
        let by_calls = |kind: CallKind, argument: usize| -> Option<Types> {
            let mut types: Option<Types> = None;
            for (count, (caller, offset)) in self.document.calls_of(&method.name, kind).enumerate()
            {
                if caller == Some(method_idx) {
                    continue;
                }
                if count >= MOST_CALLS {
                    return None;
                }
                let code = self.code_of(caller);
                let at = code.scan.before(offset + 1)?;
                let open = if kind == CallKind::Direct {
                    at + 1
                } else {
                    at.checked_sub(1)?
                };
                let close = code.scan.closing(text, open)?;
                let argument = code
                    .scan
                    .arguments(text, open, close)
                    .get(argument)
                    .cloned()
                    .filter(|range| !range.is_empty())?;
                let found = self.expression(&code, argument)?;
                types = match types {
                    None => Some(found),
                    some => union(some, Some(found)),
                };
            }
            types
                .map(without_undefined)
                .filter(|types| !types.is_empty())
        };
        let is_last = param + 1 == method.params.len();
        if is_last
            && self
                .document
                .calls_of(&method.name, CallKind::Notification)
                .next()
                .is_some()
        {
            return by_calls(CallKind::Notification, 2);
        }
        (!method.is_export)
            .then(|| by_calls(CallKind::Direct, param))
            .flatten()
    }

    /// What subscriptions hand over to a method of this common module.
    fn event_source(&self, method: &str) -> Option<Types> {
        let Some(Type::CommonModule(module)) = self.this else {
            return None;
        };
        let metadata = self.view.metadata();
        let handler = format!("CommonModule.{}.{method}", metadata.names().of_key(module));
        let handler = metadata.names().find(&handler)?;
        let mut types: Option<Types> = None;
        for subscription in self.view.objects(ObjectKind::EventSubscription) {
            let handles = subscription
                .links(LinkKind::Handler)
                .iter()
                .any(|&name| metadata.names().key(name) == handler);
            if handles {
                let source = self.types_of_refs(&self.view.expand(subscription.types()));
                types = match types {
                    None => Some(source?),
                    some => union(some, source),
                };
            }
        }
        types
    }

    /// What a call of a function by its name alone gives back.
    fn call(&self, code: &Code, name: &str, open: usize, close: usize) -> Option<Types> {
        if let Some(idx) = self.document.method_named(name) {
            return self.returns_of_local(idx);
        }
        let text = self.document.text();
        let is = |names: [&str; 2]| names.iter().any(|known| same(known, name));
        let arguments = code.scan.arguments(text, open, close);
        let argument = |idx: usize| arguments.get(idx).cloned().unwrap_or(0..0);
        if is(["ПредопределенноеЗначение", "PredefinedValue"]) {
            let value = self.string_value(code, argument(0))?;
            let mut words = value.split('.');
            let kind = ObjectKind::from_word(words.next()?)?;
            let object = self.view.object(kind, words.next()?)?;
            return kind
                .has_refs()
                .then(|| vec![Type::Object(Facet::Ref, kind, object.key())]);
        }
        if is(["РеквизитФормыВЗначение", "FormAttributeToValue"])
            && matches!(self.this, Some(Type::Form))
        {
            let name = self.string_value(code, argument(0))?;
            let attribute = self
                .form
                .attributes
                .iter()
                .find(|known| same(self.view.metadata().name(known.name), &name))?;
            return self.types_of_refs(&self.view.expand(attribute.types));
        }
        if is(["ДанныеФормыВЗначение", "FormDataToValue"]) {
            // The second argument is `Тип("ДокументОбъект.Заказ")`.
            let kind = argument(1);
            let is_type = ["Тип", "Type"]
                .iter()
                .any(|word| same(word, code.scan.text(text, kind.start)));
            let name = self
                .string_value(code, kind.start + 2..kind.end.saturating_sub(1))
                .filter(|_| is_type)?;
            return self.type_named(&name).map(|one| vec![one]);
        }
        if let Some(this) = &self.this {
            let members = self.members(this);
            if members
                .iter()
                .any(|member| member.is_named(name) && member.is_method)
            {
                return self.member_types(&vec![this.clone()], name);
            }
        }
        if let Some(member) = PlatformType::known("*Global")
            .member(name)
            .filter(|member| member.is_method)
        {
            return match member.result {
                PlatformResult::Type(platform) => Some(vec![Type::Platform(platform)]),
                _ => None,
            };
        }
        let (module, method) = self.global_export(name)?;
        self.returns_of(module, method)
    }

    /// Methods whose result depends on their arguments; `None` for all others.
    fn special_method(
        &self,
        code: &Code,
        types: &Types,
        name: &str,
        open: usize,
        close: usize,
    ) -> Option<Types> {
        let text = self.document.text();
        let is = |names: [&str; 2]| names.iter().any(|known| same(known, name));
        let arguments = || code.scan.arguments(text, open, close);
        let string = |idx: usize| self.string_value(code, arguments().get(idx)?.clone());
        match types.first()? {
            Type::Platform(platform)
                if is(["Выполнить", "Execute"]) && platform.english() == "Query" =>
            {
                let columns = self.query_columns(code, open)?;
                let fields = columns.iter().map(ShapeField::of_field).collect();
                Some(vec![Shape::of(PlatformType::known("QueryResult"), fields)])
            }
            // With totals in levels it is a tree: `Выгрузить(ОбходРезультатаЗапроса.ПоГруппировкам)`.
            one if is(["Выгрузить", "Unload"]) && is_query_result(one) => {
                let way = arguments().first()?.clone();
                let last = code.scan.text(text, way.end.checked_sub(1)?);
                if ["Прямой", "Linear"].iter().any(|word| same(word, last)) {
                    return None;
                }
                let fields = match one {
                    Type::Shape(shape) => shape.fields.clone(),
                    _ => Vec::new(),
                };
                Some(vec![Shape::of(PlatformType::known("ValueTree"), fields)])
            }
            // The standard library's way to name a module that may be missing.
            Type::CommonModule(_) if is(["ОбщийМодуль", "CommonModule"]) => {
                let module = self.view.object(ObjectKind::CommonModule, &string(0)?)?;
                Some(vec![Type::CommonModule(module.key())])
            }
            Type::CommonModule(_)
                if is(["ЗначенияРеквизитовОбъекта", "ObjectAttributesValues"]) =>
            {
                let names = string(1)?;
                let object = arguments()
                    .first()
                    .and_then(|object| self.expression(code, object.clone()));
                let fields = names
                    .split(',')
                    .map(str::trim)
                    .filter(|name| !name.is_empty())
                    .map(|name| {
                        let name = name.split(' ').next_back().unwrap_or(name);
                        let types = object
                            .as_ref()
                            .and_then(|object| self.member_types(object, name));
                        ShapeField::named(&name.replace('.', ""), types)
                    });
                Some(vec![Shape::of(
                    PlatformType::known("Structure"),
                    fields.collect(),
                )])
            }
            Type::CommonModule(_) if is(["ЗначениеРеквизитаОбъекта", "ObjectAttributeValue"]) =>
            {
                let name = string(1)?;
                let mut types = self.expression(code, arguments().first()?.clone())?;
                for word in name.split('.') {
                    types = self.member_types(&types, word)?;
                }
                Some(types)
            }
            Type::Object(Facet::Manager, kind, object)
                if *kind == ObjectKind::Enum && is(["Получить", "Get"]) =>
            {
                Some(vec![Type::Object(Facet::Ref, *kind, *object)])
            }
            _ => None,
        }
    }

    /// `Новый Тип(...)` at token `start`, and the token behind it.
    fn new_object(&self, code: &Code, start: usize) -> Option<(Types, usize)> {
        let text = self.document.text();
        let scan = &code.scan;
        if scan.kind(start + 1) != Some(TokenKind::Identifier) {
            // `Новый("Тип")`, `Новый(Тип("Тип"))`.
            let close = scan.closing(text, start + 1)?;
            let name = self.string_value(code, start + 2..close)?;
            return Some((vec![self.type_named(&name)?], close + 1));
        }
        let platform = PlatformType::find(scan.text(text, start + 1))
            .filter(|platform| platform.is_made_by_new())?;
        let (arguments, end) = if scan.text(text, start + 2) == "(" {
            let close = scan.closing(text, start + 2)?;
            (scan.arguments(text, start + 2, close), close + 1)
        } else {
            (Vec::new(), start + 2)
        };
        let mut one = Type::Platform(platform);
        if matches!(platform.english(), "Structure" | "FixedStructure") && !arguments.is_empty() {
            one = match self.string_value(code, arguments[0].clone()) {
                Some(keys) => {
                    let keys = keys
                        .split(',')
                        .map(str::trim)
                        .filter(|key| !key.is_empty())
                        .enumerate();
                    let fields = keys.map(|(idx, key)| {
                        let value = arguments.get(idx + 1).filter(|value| !value.is_empty());
                        let types = value.and_then(|value| self.expression(code, value.clone()));
                        ShapeField::named(
                            key,
                            types
                                .map(without_undefined)
                                .filter(|types| !types.is_empty()),
                        )
                    });
                    Shape::of(platform, fields.collect())
                }
                // `Новый ФиксированнаяСтруктура(Другая)`: the same keys.
                None => match self.expression(code, arguments[0].clone())?.pop()? {
                    Type::Shape(shape) => Shape::of(platform, shape.fields.clone()),
                    _ => one,
                },
            };
        }
        Some((vec![one], end))
    }

    /// What the code between `from` and `to` adds to the variable `name`: keys of a structure, columns of a table.
    fn with_additions(
        &self,
        code: &Code,
        name: &str,
        types: Types,
        from: usize,
        to: usize,
    ) -> Types {
        let base = |one: &Type| match one {
            Type::Platform(platform) => Some(*platform),
            Type::Shape(shape) => Some(shape.base),
            _ => None,
        };
        let [one] = &types[..] else { return types };
        let Some(platform) = base(one) else {
            return types;
        };
        let is_table = matches!(platform.english(), "ValueTable" | "ValueTree");
        let is_array = platform.english() == "Array";
        if !is_table && !is_array && platform.english() != "Structure" {
            return types;
        }
        let mut shape = match one {
            Type::Shape(shape) => (**shape).clone(),
            _ => Shape {
                base: platform,
                fields: Vec::new(),
                elements: Vec::new(),
            },
        };
        let text = self.document.text();
        let scan = &code.scan;
        let known = shape.clone();
        let mut elements: Option<Types> = Some(Vec::new());
        for at in from..to {
            let is_variable = scan.text(text, at + 1) == "."
                && scan.token(at).kind == TokenKind::Identifier
                && (at == 0 || scan.text(text, at - 1) != ".")
                && same(scan.text(text, at), name);
            if !is_variable {
                continue;
            }
            let word = |idx: usize, names: [&str; 2]| {
                names.iter().any(|known| same(known, scan.text(text, idx)))
            };
            let open = if is_table
                && word(at + 2, ["Колонки", "Columns"])
                && word(at + 4, ["Добавить", "Add"])
            {
                at + 5
            } else if is_array && word(at + 2, ["Добавить", "Add"])
                || !is_table && !is_array && word(at + 2, ["Вставить", "Insert"])
            {
                at + 3
            } else {
                continue;
            };
            let Some(close) = scan.closing(text, open).filter(|&close| close < to) else {
                continue;
            };
            let arguments = scan.arguments(text, open, close);
            if is_array {
                let added = arguments
                    .first()
                    .and_then(|value| self.expression(code, value.clone()));
                elements = union(elements, added);
                continue;
            }
            let Some(key) = arguments
                .first()
                .and_then(|key| self.string_value(code, key.clone()))
            else {
                continue;
            };
            let types = if is_table {
                arguments
                    .get(1)
                    .and_then(|types| self.described_types(code, types.clone()))
            } else {
                arguments
                    .get(1)
                    .and_then(|value| self.expression(code, value.clone()))
                    .map(without_undefined)
            };
            shape
                .fields
                .retain(|field| !same(&field.russian, &key) && !same(&field.english, &key));
            shape.fields.push(ShapeField::named(
                &key,
                types.filter(|types| !types.is_empty()),
            ));
        }
        if is_array && shape.elements.is_empty() {
            shape.elements = elements.unwrap_or_default();
        }
        if shape == known && matches!(one, Type::Platform(_)) {
            return types;
        }
        vec![Type::Shape(Rc::new(shape))]
    }

    /// The types in `Новый ОписаниеТипов("СправочникСсылка.Товары")`.
    fn described_types(&self, code: &Code, range: Range<usize>) -> Option<Types> {
        let text = self.document.text();
        let scan = &code.scan;
        let is_description = scan.kind(range.start) == Some(TokenKind::Keyword(Keyword::New))
            && ["ОписаниеТипов", "TypeDescription"]
                .iter()
                .any(|word| same(word, scan.text(text, range.start + 1)));
        if !is_description {
            return None;
        }
        let close = scan.closing(text, range.start + 2)?;
        let names = self.string_value(
            code,
            scan.arguments(text, range.start + 2, close)
                .first()?
                .clone(),
        )?;
        names
            .split(',')
            .map(|name| self.type_named(name.trim()))
            .collect()
    }

    /// The value of the expression where it is one string without line breaks, also of a variable that can only be that.
    fn string_value(&self, code: &Code, range: Range<usize>) -> Option<String> {
        let _depth = self.go_deeper()?;
        if range.len() != 1 {
            return None;
        }
        let text = self.document.text();
        match code.scan.kind(range.start)? {
            TokenKind::String => {
                let literal = code.scan.text(text, range.start);
                Some(literal[1..literal.len() - 1].replace("\"\"", "\""))
            }
            TokenKind::StringStart => {
                let raw = code.scan.code[range.start] as usize;
                let literal = query::literal(text, &code.scan.raw, raw)?;
                Some(
                    literal
                        .lines
                        .iter()
                        .map(|line| &text[line.clone()])
                        .collect::<Vec<_>>()
                        .join("\n"),
                )
            }
            TokenKind::Identifier => {
                let name = fold(code.scan.text(text, range.start));
                match code.scan.reaching(&name, range.start) {
                    (definitions, true) => match &definitions[..] {
                        [definition] => match &definition.value {
                            Value::Expression(value) => self.string_value(code, value.clone()),
                            _ => None,
                        },
                        _ => None,
                    },
                    _ => None,
                }
            }
            _ => None,
        }
    }

    /// The columns of the query that is executed by the call at `open`: `Запрос.Выполнить(`.
    fn query_columns(&self, code: &Code, open: usize) -> Option<Fields<'a>> {
        let text = self.document.text();
        let scan = &code.scan;
        // The variable before `.Выполнить(`.
        let variable = open.checked_sub(3)?;
        if scan.kind(variable)? != TokenKind::Identifier
            || variable > 0 && scan.text(text, variable - 1) == "."
        {
            return None;
        }
        let name = fold(scan.text(text, variable));
        let source = self.query_text(code, &name, variable)?;
        self.columns_of_literals(code, &source)
    }

    /// The literals that the text of the query in variable `name` is put together from, at the token `at`.
    fn query_text(&self, code: &Code, name: &str, at: usize) -> Option<Vec<usize>> {
        let text = self.document.text();
        let scan = &code.scan;
        for idx in (0..at).rev() {
            if scan.token(idx).kind != TokenKind::Identifier || !same(scan.text(text, idx), name) {
                continue;
            }
            // `Запрос.Текст = ...`
            let is_text = scan.text(text, idx + 1) == "."
                && ["Текст", "Text"]
                    .iter()
                    .any(|word| same(word, scan.text(text, idx + 2)))
                && scan.text(text, idx + 3) == "="
                && (idx == 0 || scan.text(text, idx - 1) != ".");
            if is_text {
                let end = scan.end_of_statement(text, idx + 4);
                if end >= at {
                    continue;
                }
                // A replacement within the same text changes tables and conditions, hardly the columns.
                if self.replaces_itself(scan, idx + 4, name) {
                    continue;
                }
                return self.literals(code, idx + 4..end);
            }
            // `Запрос = Новый Запрос("...")`
            if scan.text(text, idx + 1) == "="
                && scan.kind(idx + 2) == Some(TokenKind::Keyword(Keyword::New))
            {
                if scan.text(text, idx + 4) != "(" {
                    return None;
                }
                let close = scan.closing(text, idx + 4)?;
                let arguments = scan.arguments(text, idx + 4, close);
                return self.literals(code, arguments.first()?.clone());
            }
        }
        None
    }

    fn replaces_itself(&self, scan: &Scan, start: usize, name: &str) -> bool {
        let text = self.document.text();
        ["СтрЗаменить", "StrReplace"]
            .iter()
            .any(|word| same(word, scan.text(text, start)))
            && same(scan.text(text, start + 2), name)
    }

    /// The literals that an expression of text is put together from; `None` when anything else takes part.
    fn literals(&self, code: &Code, range: Range<usize>) -> Option<Vec<usize>> {
        let _depth = self.go_deeper()?;
        let text = self.document.text();
        let scan = &code.scan;
        let mut found = Vec::new();
        let mut at = range.start;
        while at < range.end {
            match scan.kind(at)? {
                TokenKind::String | TokenKind::StringStart => found.push(scan.code[at] as usize),
                TokenKind::Identifier if range.len() == 1 => {
                    let name = fold(scan.text(text, at));
                    let (definitions, _) = scan.reaching(&name, at);
                    let [definition] = &definitions[..] else {
                        return None;
                    };
                    let Value::Expression(value) = &definition.value else {
                        return None;
                    };
                    return self.literals(code, value.clone());
                }
                TokenKind::Identifier
                    if ["СтрЗаменить", "StrReplace"]
                        .iter()
                        .any(|word| same(word, scan.text(text, at))) =>
                {
                    let close = scan
                        .closing(text, at + 1)
                        .filter(|&close| close + 1 == range.end)?;
                    let arguments = scan.arguments(text, at + 1, close);
                    return self.literals(code, arguments.first()?.clone());
                }
                TokenKind::Punctuation if scan.text(text, at) == "+" => {}
                _ => return None,
            }
            at += 1;
        }
        (!found.is_empty()).then_some(found)
    }

    fn columns_of_literals(&self, code: &Code, literals: &[usize]) -> Option<Fields<'a>> {
        let scan = &code.scan;
        let text = self.document.text();
        let start = scan.raw[*literals.first()?].span.start;
        if let Some(known) = self.query_columns.borrow().get(&start) {
            return known.clone();
        }
        let mut tokens = Vec::new();
        for &first in literals {
            tokens.extend(lex_query(text, &query::literal(text, &scan.raw, first)?));
        }
        let tables = |name: &str| self.temporary_table(name, code.method);
        let columns = Query::new(self.view, text, tokens).columns(&tables);
        self.query_columns
            .borrow_mut()
            .insert(start, columns.clone());
        columns
    }

    /// The columns of a query that stands outside of code.
    pub(super) fn columns_of_text(&self, text: &str) -> Option<Fields<'a>> {
        let _depth = self.go_deeper()?;
        let mut lines = Vec::new();
        let mut start = 0;
        for line in text.split_inclusive('\n') {
            lines.push(start..start + line.trim_end_matches(['\n', '\r']).len());
            start += line.len();
        }
        let literal = query::Literal {
            tokens: 0..0,
            span: 0..text.len(),
            open: 0..0,
            close: None,
            lines,
        };
        let tokens = lex_query(text, &literal);
        Query::new(self.view, text, tokens).columns(&|_| None)
    }

    /// What a method of this document gives back: by its doc comment, else by its `Возврат`.
    fn returns_of_local(&self, idx: usize) -> Option<Types> {
        self.once(Asked::Returns(idx), || self.find_returns_of_local(idx))
    }

    fn find_returns_of_local(&self, idx: usize) -> Option<Types> {
        let method = &self.document.methods()[idx];
        if !method.is_function {
            return None;
        }
        let doc = method.doc_span.clone();
        let doc = doc.map(|doc| crate::doc::parse(&without_marks(&self.document.text()[doc])));
        let stated = doc
            .and_then(|comment| self.types_of_doc(&comment.returns, Speaker::Document))
            .map(without_undefined)
            .filter(|types| !types.is_empty());
        if let Some(types) = stated.as_ref().filter(|types| !types.iter().any(is_bare)) {
            return Some(types.clone());
        }
        let code = self.code_of(Some(idx));
        let text = self.document.text();
        let mut types: Option<Types> = None;
        for at in 0..code.scan.len() {
            if code.scan.token(at).kind != TokenKind::Keyword(Keyword::Return) {
                continue;
            }
            let end = code.scan.end_of_statement(text, at + 1);
            let found = self.expression(&code, at + 1..end);
            types = match types {
                None => found,
                some => union(some, found),
            };
            if types.is_none() {
                return stated;
            }
        }
        let seen = types
            .map(without_undefined)
            .filter(|types| !types.is_empty());
        seen.or(stated)
    }

    /// What a method of another module gives back, by its doc comment.
    pub(super) fn returns_of(&self, module: &'a Module, method: &'a MethodEntry) -> Option<Types> {
        let _depth = self.go_deeper()?;
        // The document's own text is newer than what was indexed.
        if self.view.metadata().path(module.file) == self.document.path() {
            let name = self.view.metadata().name(method.name);
            let idx = self.document.method_named(name)?;
            return self.returns_of_local(idx);
        }
        let comment = crate::doc::parse(self.view.metadata().doc(method));
        self.types_of_doc(&comment.returns, Speaker::Module(module))
            .map(without_undefined)
            .filter(|types| !types.is_empty())
    }

    /// The types that a doc comment names; `None` when one of them says too little.
    fn types_of_doc(&self, types: &[DocType], speaker: Speaker<'a>) -> Option<Types> {
        let _depth = self.go_deeper()?;
        let mut all = Types::new();
        for one in types {
            let found = match &one.see {
                Some(path) => self.types_of_reference(path, speaker)?,
                None => vec![self.type_of_doc(one, speaker)?],
            };
            for one in found {
                if !all.contains(&one) {
                    all.push(one);
                }
            }
        }
        (!all.is_empty()).then_some(all)
    }

    fn type_of_doc(&self, one: &DocType, speaker: Speaker<'a>) -> Option<Type> {
        if let Some(base) =
            PlatformType::find(&one.name).filter(|base| !base.english().starts_with('*'))
        {
            if one.fields.is_empty() && one.elements.is_empty() {
                return Some(Type::Platform(base));
            }
            let fields = one
                .fields
                .iter()
                .map(|field| self.field_of_doc(field, speaker))
                .collect();
            let elements = self
                .types_of_doc(&one.elements, speaker)
                .unwrap_or_default();
            return Some(Type::Shape(Rc::new(Shape {
                base,
                fields,
                elements,
            })));
        }
        self.type_named(&one.name)
    }

    fn field_of_doc(&self, field: &DocField, speaker: Speaker<'a>) -> ShapeField {
        let types = self
            .types_of_doc(&field.types, speaker)
            .map(without_undefined);
        ShapeField::named(&field.name, types.filter(|types| !types.is_empty()))
    }

    /// What `см. Модуль.Метод` refers to: the return value, or the parameter that a third word names.
    fn types_of_reference(&self, path: &str, speaker: Speaker<'a>) -> Option<Types> {
        let _depth = self.go_deeper()?;
        let words: Vec<&str> = path.split('.').collect();
        let module_place = |object_kind: ObjectKind, name: &str, module_kind| {
            Some(ModulePlace {
                object_kind: Some(object_kind),
                module_kind,
                object: self.view.metadata().names().find(name)?,
                part: None,
            })
        };
        match words[..] {
            [method] => match speaker {
                Speaker::Document => {
                    let idx = self.document.method_named(method)?;
                    self.returns_of_local(idx)
                }
                Speaker::Module(module) => self.reference_in(module, method, None),
            },
            [module, method] => {
                let place = module_place(ObjectKind::CommonModule, module, ModuleKind::Module)?;
                let modules = self.view.modules(place);
                if modules.is_empty() {
                    // `см. Метод.Параметр` of the same module.
                    let Speaker::Module(own) = speaker else {
                        return None;
                    };
                    return self.reference_in(own, module, Some(method));
                }
                modules
                    .into_iter()
                    .find_map(|found| self.reference_in(found, method, None))
            }
            [kind, object, method] => match ObjectKind::from_plural(kind) {
                Some(kind) => {
                    let place = module_place(kind, object, ModuleKind::Manager)?;
                    self.view
                        .modules(place)
                        .into_iter()
                        .find_map(|found| self.reference_in(found, method, None))
                }
                None => {
                    let place = module_place(ObjectKind::CommonModule, kind, ModuleKind::Module)?;
                    self.view
                        .modules(place)
                        .into_iter()
                        .find_map(|found| self.reference_in(found, object, Some(method)))
                }
            },
            _ => None,
        }
    }

    fn reference_in(&self, module: &'a Module, method: &str, param: Option<&str>) -> Option<Types> {
        let metadata = self.view.metadata();
        let key = metadata.names().find(method)?;
        let found = metadata
            .methods(module)
            .iter()
            .find(|known| metadata.names().key(known.name) == key)?;
        match param {
            None => self.returns_of(module, found),
            Some(name) => {
                let comment = crate::doc::parse(metadata.doc(found));
                let stated = comment
                    .params
                    .iter()
                    .find(|stated| same(&stated.name, name))?;
                self.types_of_doc(&stated.types, Speaker::Module(module))
            }
        }
    }

    /// The type that a name says, in Russian or English.
    pub(super) fn type_named(&self, name: &str) -> Option<Type> {
        let (word, object) = name.split_once('.').unwrap_or((name, ""));
        if object.is_empty() {
            return PlatformType::find(word)
                .filter(|base| !base.english().starts_with('*'))
                .map(Type::Platform);
        }
        let (kind, facet) = crate::kinds::split_type_word(word)?;
        Some(Type::Object(
            facet,
            kind,
            self.view.object(kind, object)?.key(),
        ))
    }
}

fn is_command_handler(method: &str) -> bool {
    same(method, "ОбработкаКоманды") || same(method, "CommandProcessing")
}

fn is_query_result(one: &Type) -> bool {
    let platform = match one {
        Type::Platform(platform) => *platform,
        Type::Shape(shape) => shape.base,
        _ => return false,
    };
    platform.english() == "QueryResult"
}

/// Types that say nothing of what they hold: the code says more.
fn is_bare(one: &Type) -> bool {
    let Type::Platform(platform) = one else {
        return false;
    };
    matches!(
        platform.english(),
        "Structure"
            | "FixedStructure"
            | "Array"
            | "FixedArray"
            | "ValueTable"
            | "ValueTree"
            | "Map"
            | "FixedMap"
            | "QueryResult"
            | "QueryResultSelection"
    )
}

/// A value that is used with a dot is not `Неопределено`.
fn without_undefined(mut types: Types) -> Types {
    let is_undefined = |one: &Type| matches!(one, Type::Platform(platform) if matches!(platform.english(), "Undefined" | "Null"));
    types.retain(|one| !is_undefined(one));
    types
}
