//! Looking up what the selects of a query read and give.

use std::borrow::Cow;
use std::ops::Range;
use std::rc::Rc;

use nestor_bsl::keywords::QueryKeyword;

use super::{
    Ask, DEEPEST, Fields, Found, Query, Select, Source, SourceEntry, TemporaryTables, is_word,
};
use crate::facts::MemberKind;
use crate::fields::{self, Field};
use crate::kinds::{Facet, ObjectKind};
use crate::names::same;
use crate::platform::PlatformType;
use crate::types::TypeRef;
use crate::view::ObjectView;

impl<'a, 't> Query<'a, 't> {
    /// The columns of the last statement; `None` when they are not known, or go into a temporary table.
    pub(in crate::resolve) fn columns(
        &self,
        tables: TemporaryTables<'_, 'a>,
    ) -> Option<Fields<'a>> {
        let (id, select) = self
            .selects
            .iter()
            .enumerate()
            .rev()
            .find(|(id, select)| !select.is_nested && select.first == *id)?;
        if select.into.is_some() {
            return None;
        }
        self.columns_of(id, Ask { depth: 0, tables })
    }

    fn columns_of(&self, select: usize, ask: Ask<'_, 'a>) -> Option<Fields<'a>> {
        if ask.depth > DEEPEST {
            return None;
        }
        if let Some(known) = self.columns_of.borrow().get(&select) {
            return known.clone();
        }
        let columns = self.find_columns_of(select, ask).map(Rc::new);
        self.columns_of.borrow_mut().insert(select, columns.clone());
        columns
    }

    fn find_columns_of(&self, select: usize, ask: Ask<'_, 'a>) -> Option<Vec<Field<'a>>> {
        let mut columns: Vec<Field<'a>> = Vec::new();
        for column in &self.selects[select].columns {
            let (expression, alias) = self.split_alias(column.clone());
            if self.word(expression.end.saturating_sub(1)) == "*" && alias.is_none() {
                let sources = &self.selects[select].sources;
                let of =
                    |entry: &SourceEntry| self.source_fields(select, &entry.source, ask.deeper());
                if expression.len() > 2 {
                    let name = self.word(expression.start);
                    let entry = sources.iter().find(|entry| same(&entry.alias, name))?;
                    columns.extend(of(entry)?.iter().cloned());
                } else {
                    for entry in sources {
                        columns.extend(of(entry)?.iter().cloned());
                    }
                }
                continue;
            }
            let types = self
                .expression_types(select, expression.clone(), ask.deeper())
                .unwrap_or_default();
            let field = |russian: Cow<'a, str>, english: Cow<'a, str>| Field {
                russian,
                english,
                types: types.clone(),
                is_standard: false,
            };
            let name = match alias {
                Some(alias) => {
                    let alias: Cow<'a, str> = alias.to_owned().into();
                    field(alias.clone(), alias)
                }
                // A bare field gives its name in the language of its last word.
                None if self.end_of_path(expression.start) == expression.end
                    && self.is_name(expression.start) =>
                {
                    let name: Cow<'a, str> = self.word(expression.end - 1).to_owned().into();
                    field(name.clone(), name)
                }
                // The platform numbers the rest: `Поле1`.
                None => continue,
            };
            columns.push(name);
        }
        Some(columns)
    }

    fn split_alias(&self, column: Range<usize>) -> (Range<usize>, Option<&'t str>) {
        let end = column.end;
        if column.len() > 2
            && self.keyword(end - 2) == Some(QueryKeyword::As)
            && self.is_name(end - 1)
        {
            return (column.start..end - 2, Some(self.word(end - 1)));
        }
        // `Т.Код Имя`: two names in a row.
        if column.len() > 1
            && self.is_name(end - 1)
            && (self.is_name(end - 2) || self.word(end - 2) == ")")
        {
            return (column.start..end - 1, Some(self.word(end - 1)));
        }
        (column, None)
    }

    fn expression_types(
        &self,
        select: usize,
        expression: Range<usize>,
        ask: Ask<'_, 'a>,
    ) -> Option<Vec<TypeRef>> {
        let first = expression.start;
        if self.is_name(first) && self.end_of_path(first) == expression.end {
            let path: Vec<&str> = (first..expression.end)
                .step_by(2)
                .map(|idx| self.word(idx))
                .collect();
            let field = self.path_field(select, &path, ask)?;
            return Some(field.types);
        }
        if self.word(first + 1) != "(" || self.closing(first + 1) != Some(expression.end - 1) {
            return None;
        }
        let function = self.word(first);
        let is = |names: [&str; 2]| names.iter().any(|name| same(name, function));
        let inner = first + 2..expression.end - 1;
        if is(["ВЫРАЗИТЬ", "CAST"]) {
            let target = (inner.clone())
                .rev()
                .find(|&idx| self.keyword(idx) == Some(QueryKeyword::As))?
                + 1;
            return self.table_word_types(target);
        }
        if is(["ЗНАЧЕНИЕ", "VALUE"]) {
            return self.table_word_types(inner.start);
        }
        if is(["ЕСТЬNULL", "ISNULL"]) || is(["МАКСИМУМ", "MAX"]) || is(["МИНИМУМ", "MIN"])
        {
            let comma = (inner.clone())
                .find(|&idx| self.word(idx) == ",")
                .unwrap_or(inner.end);
            return self.expression_types(select, inner.start..comma, ask.deeper());
        }
        if is(["СУММА", "SUM"]) || is(["КОЛИЧЕСТВО", "COUNT"]) || is(["СРЕДНЕЕ", "AVG"])
        {
            return Some(vec![TypeRef::Platform(PlatformType::known("Number"))]);
        }
        None
    }

    /// The reference that `Справочник.Товары` at token `idx` stands for.
    fn table_word_types(&self, idx: usize) -> Option<Vec<TypeRef>> {
        let kind = ObjectKind::from_word(self.word(idx))?;
        let object = self.view.object(kind, self.word(idx + 2))?;
        kind.has_refs().then(|| vec![object.facet(Facet::Ref)])
    }

    fn closing(&self, open: usize) -> Option<usize> {
        let mut depth = 0usize;
        for idx in open..self.tokens.len() {
            match self.word(idx) {
                "(" => depth += 1,
                ")" => {
                    depth = depth.checked_sub(1)?;
                    if depth == 0 {
                        return Some(idx);
                    }
                }
                _ => {}
            }
        }
        None
    }

    fn source_fields(
        &self,
        select: usize,
        source: &Source,
        ask: Ask<'_, 'a>,
    ) -> Option<Fields<'a>> {
        if ask.depth > DEEPEST {
            return None;
        }
        match source {
            Source::Unknown => None,
            Source::Select(inner) => self.columns_of(*inner, ask.deeper()),
            Source::Path(path) => {
                if let Some(known) = self.sources.borrow().get(&path.start) {
                    return known.clone();
                }
                let fields = self.table(select, path.clone(), ask);
                self.sources.borrow_mut().insert(path.start, fields.clone());
                fields
            }
        }
    }

    /// The fields of the table that `path` names.
    fn table(&self, select: usize, path: Range<usize>, ask: Ask<'_, 'a>) -> Option<Fields<'a>> {
        let words: Vec<&str> = path.step_by(2).map(|idx| self.word(idx)).collect();
        match words[..] {
            [name] => self.temporary_table(select, name, ask),
            [kind, object] => {
                let object = self.view.object(ObjectKind::from_word(kind)?, object)?;
                Some(self.object_fields(&object))
            }
            [kind, object, part] => {
                let object = self.view.object(ObjectKind::from_word(kind)?, object)?;
                table_part(&object, part).map(Rc::new)
            }
            _ => None,
        }
    }

    fn object_fields(&self, object: &ObjectView<'a>) -> Fields<'a> {
        let key = (object.kind(), object.key());
        let known = self.objects.borrow().get(&key).cloned();
        known.unwrap_or_else(|| {
            let fields = Rc::new(with_sections(object, fields::table_fields(object)));
            self.objects.borrow_mut().insert(key, fields.clone());
            fields
        })
    }

    fn temporary_table(&self, select: usize, name: &str, ask: Ask<'_, 'a>) -> Option<Fields<'a>> {
        if same(name, "Константы") || same(name, "Constants") {
            let constants = self
                .view
                .objects(ObjectKind::Constant)
                .map(|constant| Field {
                    russian: constant.name().into(),
                    english: constant.name().into(),
                    types: self.view.expand(constant.types()),
                    is_standard: false,
                });
            return Some(Rc::new(constants.collect()));
        }
        let statement = self.selects[select].statement;
        let own = self.selects.iter().rev().find(|other| {
            other.statement < statement
                && other.into.as_deref().is_some_and(|into| same(into, name))
        });
        match own {
            Some(filled) => self.columns_of(filled.first, ask.deeper()),
            None => (ask.tables)(name),
        }
    }

    /// The columns of the temporary table `name`, where this text fills it last.
    pub(in crate::resolve) fn filled_table(
        &self,
        name: &str,
        tables: TemporaryTables<'_, 'a>,
    ) -> Option<Fields<'a>> {
        let is_meant = |select: &&Select| {
            let into = select.into.as_deref();
            into.is_some_and(|into| same(into, name))
        };
        let select = self.selects.iter().rev().find(is_meant)?;
        self.columns_of(select.first, Ask { depth: 0, tables })
    }

    /// The field that `path` names, seen from `select`.
    fn path_field(&self, select: usize, path: &[&str], ask: Ask<'_, 'a>) -> Option<Field<'a>> {
        let (field, before) = path.split_last()?;
        let fields = self.fields_behind(select, before, ask)?;
        fields.iter().find(|known| known.is_named(field)).cloned()
    }

    /// The fields that can follow `path`; all of the select's sources for an empty one.
    fn fields_behind(&self, select: usize, path: &[&str], ask: Ask<'_, 'a>) -> Option<Fields<'a>> {
        if ask.depth > DEEPEST {
            return None;
        }
        let Some((first, rest)) = path.split_first() else {
            let sources = &self.selects[select].sources;
            if let [only] = &sources[..] {
                return self.source_fields(select, &only.source, ask.deeper());
            }
            let mut all = Vec::new();
            for entry in sources {
                let fields = self.source_fields(select, &entry.source, ask.deeper())?;
                all.extend(fields.iter().cloned());
            }
            return Some(Rc::new(all));
        };
        let mut scope = Some(select);
        while let Some(at) = scope {
            let sources = &self.selects[at].sources;
            if let Some(entry) = sources.iter().find(|entry| same(&entry.alias, first)) {
                return self.follow(self.source_fields(at, &entry.source, ask.deeper())?, rest);
            }
            scope = self.selects[at].parent;
        }
        // A field without the name of its table.
        self.follow(self.fields_behind(select, &[], ask.deeper())?, path)
    }

    /// Goes from field to field through references.
    fn follow(&self, mut fields: Fields<'a>, path: &[&str]) -> Option<Fields<'a>> {
        for word in path {
            let types = &fields.iter().find(|field| field.is_named(word))?.types;
            fields = self.fields_of_types(types)?;
        }
        Some(fields)
    }

    /// The fields that a value of these types has; `None` when one of them is not known.
    fn fields_of_types(&self, types: &[TypeRef]) -> Option<Fields<'a>> {
        let mut found: Vec<Fields<'a>> = Vec::new();
        for one in types {
            match *one {
                TypeRef::Object(Facet::Ref, kind, name) => {
                    let object = self.view.object(kind, self.view.metadata().name(name))?;
                    found.push(self.object_fields(&object));
                }
                TypeRef::Platform(_) => {}
                _ => return None,
            }
        }
        if found.len() > 1 {
            let all = found.iter().flat_map(|fields| fields.iter().cloned());
            return Some(Rc::new(all.collect()));
        }
        found.pop()
    }

    /// What can follow the dot that ends before the byte `offset`; `None` when it is not known, or no dot is there.
    pub(in crate::resolve) fn at(
        &self,
        offset: usize,
        tables: TemporaryTables<'_, 'a>,
    ) -> Option<Found<'a>> {
        let mut dot = self
            .tokens
            .partition_point(|token| token.span.start < offset)
            .checked_sub(1)?;
        if is_word(self.tokens[dot].kind) && offset <= self.tokens[dot].span.end {
            dot = dot.checked_sub(1)?;
        }
        if self.word(dot) != "." || self.tokens[dot].span.end > offset {
            return None;
        }
        let mut first = dot.checked_sub(1)?;
        if !is_word(self.tokens[first].kind) {
            return None;
        }
        while first >= 2 && self.word(first - 1) == "." && is_word(self.tokens[first - 2].kind) {
            first -= 2;
        }
        if first > 0 && self.word(first - 1) == "." {
            // Behind parentheses: `ВЫРАЗИТЬ(Т.Поле КАК Документ.Д).`
            return None;
        }
        let path: Vec<&str> = (first..dot).step_by(2).map(|idx| self.word(idx)).collect();
        let select = self.select_of.get(dot).copied().flatten();
        let is_alias = |name: &str| {
            let mut scope = select;
            std::iter::from_fn(|| {
                let at = scope?;
                scope = self.selects[at].parent;
                Some(at)
            })
            .any(|at| {
                self.selects[at]
                    .sources
                    .iter()
                    .any(|entry| same(&entry.alias, name))
            })
        };
        if (self.is_source[first] || !is_alias(path[0]))
            && let Some(kind) = ObjectKind::from_word(path[0])
        {
            return self.table_names(kind, &path[1..], self.is_source[first]);
        }
        if self.is_source[first] {
            return None;
        }
        if let [name] = path[..]
            && !is_alias(name)
            && let Some(values) = PlatformType::find(name).filter(|found| found.is_enum())
        {
            let names = values.members().iter();
            let names = names.map(|value| (value.russian.into(), value.english.into()));
            return Some(Found::Names(names.collect()));
        }
        self.fields_behind(select?, &path, Ask { depth: 0, tables })
            .map(Found::Fields)
    }

    /// What follows the kind of an object in the path of a table or of a value.
    fn table_names(&self, kind: ObjectKind, rest: &[&str], is_source: bool) -> Option<Found<'a>> {
        match rest {
            [] => {
                let names = self
                    .view
                    .objects(kind)
                    .map(|object| (object.name().into(), object.name().into()));
                Some(Found::Names(names.collect()))
            }
            [object] => {
                let object = self.view.object(kind, object)?;
                let mut names: Vec<(Cow<'a, str>, Cow<'a, str>)> = Vec::new();
                if is_source {
                    names.extend(
                        fields::sections(&object)
                            .into_iter()
                            .map(|(russian, english)| (russian.into(), english.into())),
                    );
                    names.extend(
                        fields::virtual_tables(&object)
                            .iter()
                            .map(|table| (table.russian().into(), table.english().into())),
                    );
                } else {
                    names.push(("ПустаяСсылка".into(), "EmptyRef".into()));
                    if kind == ObjectKind::BusinessProcess {
                        names.push(("ТочкаМаршрута".into(), "RoutePoint".into()));
                    }
                    let values = object.members().into_iter().filter(|member| {
                        matches!(member.kind, MemberKind::EnumValue | MemberKind::Predefined)
                    });
                    names.extend(values.map(|value| {
                        let name = self.view.metadata().name(value.name);
                        (name.into(), name.into())
                    }));
                }
                Some(Found::Names(names))
            }
            // `Документ.Д.Товары.` in a list of fields: the columns of the section.
            [object, part] => {
                let fields = table_part(&self.view.object(kind, object)?, part)?;
                Some(Found::Fields(Rc::new(fields)))
            }
            _ => None,
        }
    }
}

/// The fields of a part of an object's table: a tabular section or a virtual table.
fn table_part<'a>(object: &ObjectView<'a>, part: &str) -> Option<Vec<Field<'a>>> {
    let is_named =
        |table: &fields::VirtualTable| same(table.russian(), part) || same(table.english(), part);
    if let Some(table) = fields::virtual_tables(object).into_iter().find(is_named) {
        return Some(table.fields(object));
    }
    let mut columns = fields::section_fields(object, part)?;
    columns.push(Field {
        russian: "Ссылка".into(),
        english: "Ref".into(),
        types: vec![object.facet(Facet::Ref)],
        is_standard: true,
    });
    Some(columns)
}

fn with_sections<'a>(object: &ObjectView<'a>, mut fields: Vec<Field<'a>>) -> Vec<Field<'a>> {
    fields.extend(
        fields::sections(object)
            .into_iter()
            .map(|(russian, english)| Field {
                russian: russian.into(),
                english: english.into(),
                types: Vec::new(),
                is_standard: false,
            }),
    );
    fields
}
