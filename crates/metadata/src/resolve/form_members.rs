//! What a form's module sees of its form: attributes, elements, the rows that tables show.

use super::Resolver;
use super::members::{Member, Value, both, member, of_field, of_platform};
use super::types::{FieldTypes, Shape, ShapeField, Type, Types};
use crate::facts::ItemKind;
use crate::fields;
use crate::kinds::{Facet, ObjectKind};
use crate::model::FormAttribute;
use crate::names::{NameKey, same};
use crate::platform::PlatformType;
use crate::types::TypeRef;

impl<'a> Resolver<'a> {
    pub(super) fn form_members(&self) -> Vec<Member<'a>> {
        let metadata = self.view.metadata();
        let mut list: Vec<Member<'a>> = Vec::new();
        for attribute in &self.form.attributes {
            let types = self.form_attribute_types(attribute);
            list.push(member(
                metadata.name(attribute.name),
                types.map_or(Value::Unknown, Value::Types),
            ));
        }
        if let Some(place) = self.form.place {
            list.extend(self.exports(place));
        }
        list.push(both(
            "Элементы",
            "Items",
            Value::Types(vec![Type::FormItems]),
        ));
        list.push(both(
            "Параметры",
            "Parameters",
            Value::Types(vec![Type::FormParameters]),
        ));
        list.push(both(
            "Команды",
            "Commands",
            Value::Types(vec![Type::FormCommands]),
        ));
        list.push(both("ЭтаФорма", "ThisForm", Value::Types(vec![Type::Form])));
        list.push(both(
            "ЭтотОбъект",
            "ThisObject",
            Value::Types(vec![Type::Form]),
        ));
        let platform = of_platform(PlatformType::known("ClientApplicationForm"));
        list.extend(
            platform
                .filter(|known| !["Элементы", "Параметры", "Команды"].contains(&&*known.russian)),
        );
        list
    }

    /// The types of a form's attribute, as the form holds its data.
    pub(super) fn form_attribute_types(&self, attribute: &FormAttribute) -> Option<Types> {
        let metadata = self.view.metadata();
        let columns = || -> Vec<ShapeField> {
            metadata
                .form_columns(attribute)
                .iter()
                .filter(|column| metadata.name(column.table).is_empty())
                .map(|column| {
                    let types = self.view.expand(column.types);
                    ShapeField {
                        types: if types.is_empty() {
                            FieldTypes::Unknown
                        } else {
                            FieldTypes::Stated(types)
                        },
                        ..ShapeField::named(metadata.name(column.name), None)
                    }
                })
                .collect()
        };
        let mut types = Types::new();
        for one in self.view.expand(attribute.types) {
            let one = match one {
                TypeRef::Object(Facet::Object | Facet::RecordManager, kind, name) => {
                    Type::FormObject(
                        kind,
                        metadata.names().key(name),
                        metadata.names().key(attribute.name),
                    )
                }
                TypeRef::Object(Facet::RecordSet, kind, name) => {
                    let object = self.view.object(kind, metadata.name(name))?;
                    let fields = fields::attributes(&object);
                    Shape::of(
                        PlatformType::known("FormDataCollection"),
                        fields.iter().map(ShapeField::of_field).collect(),
                    )
                }
                TypeRef::Platform(platform) => match platform.english() {
                    "ValueTable" => Shape::of(PlatformType::known("FormDataCollection"), columns()),
                    "ValueTree" => Shape::of(PlatformType::known("FormDataTree"), columns()),
                    "DynamicList" => Type::Platform(platform),
                    _ => Type::Platform(platform),
                },
                other => self.type_of_ref(&other)?,
            };
            types.push(one);
        }
        (!types.is_empty()).then_some(types)
    }

    pub(super) fn form_object_members(
        &self,
        kind: ObjectKind,
        name: NameKey,
        attribute: NameKey,
    ) -> Vec<Member<'a>> {
        let Some(object) = self.view.object_of_key(kind, name) else {
            return Vec::new();
        };
        let metadata = self.view.metadata();
        let mut list: Vec<Member<'a>> = fields::attributes(&object).iter().map(of_field).collect();
        let added = self
            .form
            .attributes
            .iter()
            .filter(|known| metadata.names().key(known.name) == attribute);
        let added: Vec<_> = added
            .flat_map(|known| metadata.form_columns(known))
            .collect();
        for (russian, english) in fields::sections(&object) {
            let columns = fields::section_fields(&object, russian).unwrap_or_default();
            let mut columns: Vec<ShapeField> = columns.iter().map(ShapeField::of_field).collect();
            let of_section = added.iter().filter(|column| {
                let table = metadata
                    .name(column.table)
                    .rsplit('.')
                    .next()
                    .unwrap_or_default();
                same(table, russian) || same(table, english)
            });
            columns.extend(of_section.map(|column| ShapeField {
                types: FieldTypes::Stated(self.view.expand(column.types)),
                ..ShapeField::named(metadata.name(column.name), None)
            }));
            list.push(Member {
                russian: russian.into(),
                english: english.into(),
                is_method: false,
                value: Value::Types(vec![Shape::of(
                    PlatformType::known("FormDataCollection"),
                    columns,
                )]),
            });
        }
        list.extend(of_platform(PlatformType::known("*FormObject")));
        if kind == ObjectKind::Report {
            let report = of_platform(PlatformType::known("*ReportObject"));
            list.extend(report.filter(|known| !known.is_method));
        }
        list
    }

    pub(super) fn item_members(&self, idx: u32) -> Vec<Member<'a>> {
        let Some(item) = self.form.items.get(idx as usize) else {
            return Vec::new();
        };
        let platform = match item.kind {
            ItemKind::Field => "FormField",
            ItemKind::Table => "FormTable",
            ItemKind::Group => "FormGroup",
            ItemKind::Button => "FormButton",
            ItemKind::Decoration => "FormDecoration",
            ItemKind::Addition => "ДополнениеЭлементаФормы",
        };
        let mut list: Vec<Member<'a>> = of_platform(PlatformType::known("*FormItem"))
            .chain(of_platform(PlatformType::known(platform)))
            .collect();
        if item.kind == ItemKind::Table
            && let Some(row) = self.table_row(self.view.metadata().name(item.data_path))
            && let Some(current) = list
                .iter_mut()
                .find(|known| known.is_named("ТекущиеДанные"))
        {
            current.value = Value::Types(row);
        }
        list
    }

    /// The rows of the form's table that shows `data_path`.
    pub(super) fn table_row(&self, data_path: &str) -> Option<Types> {
        let mut words = data_path.split('.');
        let first = words.next()?;
        let attribute = self
            .form
            .attributes
            .iter()
            .find(|known| same(self.view.metadata().name(known.name), first))?;
        let mut types = self.form_attribute_types(attribute)?;
        for word in words {
            types = self.member_types(&types, word)?;
        }
        let list = PlatformType::known("DynamicList");
        let mut rows = Types::new();
        for one in types {
            let row = match &one {
                Type::Platform(platform) if *platform == list => {
                    let fields = self.list_fields(attribute)?;
                    Shape::of(PlatformType::known("FormDataStructure"), fields)
                }
                Type::Shape(shape) if shape.base == PlatformType::known("FormDataTree") => {
                    Shape::of(
                        PlatformType::known("FormDataTreeItem"),
                        shape.fields.clone(),
                    )
                }
                other => self.each(other)?.pop()?,
            };
            rows.push(row);
        }
        Some(rows)
    }

    /// The fields of a dynamic list.
    pub(super) fn list_fields(&self, attribute: &FormAttribute) -> Option<Vec<ShapeField>> {
        let metadata = self.view.metadata();
        let query = metadata.list_query(attribute);
        if !query.is_empty() {
            let columns = self.columns_of_text(query)?;
            return Some(columns.iter().map(ShapeField::of_field).collect());
        }
        let object = self.view.object_of_link(attribute.main_table)?;
        Some(
            fields::table_fields(&object)
                .iter()
                .map(ShapeField::of_field)
                .collect(),
        )
    }
}
