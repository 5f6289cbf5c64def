//! Values that code builds: structures by their keys, tables by their columns, arrays by their elements.

use std::ops::Range;
use std::rc::Rc;

use nestor_bsl::keywords::{Keyword, fold};
use nestor_bsl::lexer::TokenKind;
use nestor_bsl::query;

use super::Resolver;
use super::eval::{Code, without_undefined};
use super::scan::Value;
use super::types::{Shape, ShapeField, Type, Types, union};
use crate::names::same;
use crate::platform::PlatformType;

impl<'a> Resolver<'a> {
    /// `Новый Тип(...)` at token `start`, and the token behind it.
    pub(super) fn new_object(&self, code: &Code, start: usize) -> Option<(Types, usize)> {
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
    pub(super) fn with_additions(
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
    pub(super) fn described_types(&self, code: &Code, range: Range<usize>) -> Option<Types> {
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
    pub(super) fn string_value(&self, code: &Code, range: Range<usize>) -> Option<String> {
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
}
