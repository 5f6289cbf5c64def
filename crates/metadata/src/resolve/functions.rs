//! What functions give back and what parameters get.
//!
//! A function of the document by its doc comment, else by its `Возврат`; one of another module by its doc comment. A parameter
//! by the comment, by the event that it belongs to, or by all calls that the module itself makes.

use nestor_bsl::keywords::Keyword;
use nestor_bsl::lexer::TokenKind;
use nestor_bsl::module_path::ModuleKind;

use super::Resolver;
use super::doc_types::Speaker;
use super::document::CallKind;
use super::eval::{Asked, Code, without_undefined};
use super::types::{Shape, ShapeField, Type, Types, union};
use crate::facts::LinkKind;
use crate::kinds::{Facet, ObjectKind};
use crate::model::{MethodEntry, Module};
use crate::names::same;
use crate::platform::{PlatformResult, PlatformType};
use crate::read::without_marks;

impl<'a> Resolver<'a> {
    /// The types of a parameter, by its doc comment or by who calls the method.
    pub(super) fn param_types(&self, method_idx: usize, param: usize) -> Option<Types> {
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
    pub(super) fn types_from_calls(&self, method_idx: usize, param: usize) -> Option<Types> {
        let _depth = self.go_deeper()?;
        self.once(Asked::Param(method_idx, param), || {
            self.find_types_from_calls(method_idx, param)
        })
    }

    pub(super) fn find_types_from_calls(&self, method_idx: usize, param: usize) -> Option<Types> {
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
    pub(super) fn event_source(&self, method: &str) -> Option<Types> {
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
    pub(super) fn call(&self, code: &Code, name: &str, open: usize, close: usize) -> Option<Types> {
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
    pub(super) fn special_method(
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

    /// What a method of this document gives back: by its doc comment, else by its `Возврат`.
    pub(super) fn returns_of_local(&self, idx: usize) -> Option<Types> {
        self.once(Asked::Returns(idx), || self.find_returns_of_local(idx))
    }

    pub(super) fn find_returns_of_local(&self, idx: usize) -> Option<Types> {
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
