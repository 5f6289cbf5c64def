//! The type of an expression, of a variable, of what a function gives back.
//!
//! Goes from the place of use backwards: a chain of members to its first name, the name to the definitions that can reach it, a
//! definition to its expression. Everything that is not understood has no type. A budget bounds the work of one question.

use std::ops::Range;
use std::rc::Rc;

use nestor_bsl::keywords::{Keyword, fold};
use nestor_bsl::lexer::TokenKind;

use super::Resolver;
use super::scan::{Definition, Scan, Value};
use super::types::{Type, Types, union};
use crate::kinds::ObjectKind;
use crate::names::same;
use crate::platform::{PlatformResult, PlatformType};

/// Where code stands: the tokens of a method, and which method.
#[derive(Clone)]
pub(super) struct Code {
    pub(super) scan: Rc<Scan>,
    /// The method's index; none in the module's body.
    pub(super) method: Option<usize>,
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
    pub(super) fn once(&self, asked: Asked, find: impl FnOnce() -> Option<Types>) -> Option<Types> {
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
                _ => {}
            }
            let kind = scan.token(at).kind;
            if matches!(
                kind,
                TokenKind::Keyword(Keyword::And | Keyword::Or | Keyword::Not)
            ) {
                return platform("Boolean");
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
}

/// A value that is used with a dot is not `Неопределено`.
pub(super) fn without_undefined(mut types: Types) -> Types {
    let is_undefined = |one: &Type| matches!(one, Type::Platform(platform) if matches!(platform.english(), "Undefined" | "Null"));
    types.retain(|one| !is_undefined(one));
    types
}
