//! What a value of a type offers behind a dot, and what each of it is.

use std::borrow::Cow;
use std::rc::Rc;

use nestor_bsl::keywords::fold;
use nestor_bsl::module_path::ModuleKind;
use rustc_hash::FxHashSet;

use super::Resolver;
use super::types::{FieldTypes, MetadataPart, Shape, ShapeField, Type, Types, union};
use crate::facts::{ItemKind, LinkKind, MemberKind, ObjectFlags};
use crate::fields::{self, Field};
use crate::kinds::{Facet, ObjectKind};
use crate::model::{MethodEntry, Module, ModulePlace};
use crate::names::{NameKey, same};
use crate::platform::{PlatformResult, PlatformType};
use crate::types::TypeRef;

/// A member of a type.
#[derive(Debug, Clone)]
pub(super) struct Member<'a> {
    pub(super) russian: Cow<'a, str>,
    pub(super) english: Cow<'a, str>,
    pub(super) is_method: bool,
    pub(super) value: Value<'a>,
}

/// What a member is or gives back.
#[derive(Debug, Clone)]
pub(super) enum Value<'a> {
    Unknown,
    /// As the metadata states it.
    Stated(Vec<TypeRef>),
    /// As it stands.
    Types(Types),
    /// What the platform's table says.
    Platform(PlatformResult),
    /// What the doc comment of a method says.
    Method(&'a Module, &'a MethodEntry),
}

impl Member<'_> {
    pub(super) fn is_named(&self, name: &str) -> bool {
        same(&self.russian, name) || same(&self.english, name)
    }
}

fn member<'a>(name: &'a str, value: Value<'a>) -> Member<'a> {
    Member {
        russian: name.into(),
        english: name.into(),
        is_method: false,
        value,
    }
}

fn both<'a>(russian: &'static str, english: &'static str, value: Value<'a>) -> Member<'a> {
    Member {
        russian: russian.into(),
        english: english.into(),
        is_method: false,
        value,
    }
}

fn method<'a>(russian: &'static str, english: &'static str) -> Member<'a> {
    Member {
        is_method: true,
        ..both(russian, english, Value::Unknown)
    }
}

fn of_platform<'a>(platform: PlatformType) -> impl Iterator<Item = Member<'a>> {
    platform.members().iter().map(|known| Member {
        russian: known.russian.into(),
        english: known.english.into(),
        is_method: known.is_method,
        value: Value::Platform(known.result),
    })
}

fn of_field<'a>(field: &Field<'a>) -> Member<'a> {
    Member {
        russian: field.russian.clone(),
        english: field.english.clone(),
        is_method: false,
        value: if field.types.is_empty() {
            Value::Unknown
        } else {
            Value::Stated(field.types.clone())
        },
    }
}

fn of_shape_field<'a>(field: &ShapeField) -> Value<'a> {
    match &field.types {
        FieldTypes::Unknown => Value::Unknown,
        FieldTypes::Stated(types) => Value::Stated(types.clone()),
        FieldTypes::Seen(types) => Value::Types(types.clone()),
    }
}

impl<'a> Resolver<'a> {
    /// The members of a type, its own before the platform's.
    pub(super) fn members(&self, one: &Type) -> Rc<Vec<Member<'a>>> {
        let key = self.cache_key(one);
        if let Some(known) = key
            .as_ref()
            .and_then(|key| self.member_lists.borrow().get(key).cloned())
        {
            return known;
        }
        let mut list = self.list_members(one);
        // Long lists are what a question spends its time on.
        self.count_steps(list.len() / 16);
        if key.is_some() {
            let mut seen = FxHashSet::default();
            list.retain(|member| seen.insert(fold(&member.russian)));
        }
        let list = Rc::new(list);
        if let Some(key) = key {
            self.member_lists.borrow_mut().insert(key, list.clone());
        }
        list
    }

    /// Types whose members are worth keeping: all but shapes, which differ from place to place.
    fn cache_key(&self, one: &Type) -> Option<String> {
        match one {
            Type::Shape(_) => None,
            // Debug text of plain ids: short, and the types need no hash of their own.
            other => Some(format!("{other:?}")),
        }
    }

    fn list_members(&self, one: &Type) -> Vec<Member<'a>> {
        match one {
            Type::Platform(platform)
                if *platform == PlatformType::known("ConfigurationMetadataObject") =>
            {
                let kinds = ObjectKind::ALL.iter().map(|&kind| {
                    both(
                        kind.russian_plural(),
                        kind.english_plural(),
                        Value::Types(vec![Type::MetadataKind(kind)]),
                    )
                });
                kinds.chain(of_platform(*platform)).collect()
            }
            Type::Platform(platform) => {
                let mut list: Vec<Member<'a>> = match platform.english() {
                    "FormField" | "FormTable" | "FormGroup" | "FormButton" | "FormDecoration" => {
                        of_platform(PlatformType::known("*FormItem")).collect()
                    }
                    "PictureLib" => self.names_of(ObjectKind::CommonPicture),
                    "StyleColors" | "StyleFonts" => self.names_of(ObjectKind::StyleItem),
                    _ => Vec::new(),
                };
                list.extend(of_platform(*platform));
                list
            }
            Type::Object(facet, kind, name) => self.object_members(*facet, *kind, *name),
            Type::Managers(kind) => {
                let objects = self.view.objects(*kind);
                let mut list: Vec<Member<'a>> = objects
                    .map(|object| {
                        member(
                            object.name(),
                            Value::Types(vec![Type::Object(Facet::Manager, *kind, object.key())]),
                        )
                    })
                    .collect();
                list.push(Member {
                    value: Value::Types(vec![Type::Platform(PlatformType::known(
                        "TypeDescription",
                    ))]),
                    ..method("ТипВсеСсылки", "AllRefsType")
                });
                let more = PlatformType::find(&format!("*{}", kind.english_plural()));
                list.extend(more.into_iter().flat_map(of_platform));
                if *kind == ObjectKind::Constant {
                    list.push(method("СоздатьНабор", "CreateSet"));
                }
                if matches!(kind, ObjectKind::DataProcessor | ObjectKind::Report) {
                    list.push(method("Создать", "Create"));
                }
                list
            }
            Type::CommonModule(name) => self.exports(ModulePlace {
                object_kind: Some(ObjectKind::CommonModule),
                module_kind: ModuleKind::Module,
                object: *name,
                part: None,
            }),
            Type::Shape(shape) => self.shape_members(shape),
            Type::Form => self.form_members(),
            Type::FormItems => {
                let items = self.form.items.iter().enumerate();
                let mut list: Vec<Member<'a>> = items
                    .map(|(idx, item)| {
                        member(
                            self.view.metadata().name(item.name),
                            Value::Types(vec![Type::FormItem(idx as u32)]),
                        )
                    })
                    .collect();
                list.extend(of_platform(PlatformType::known("FormAllItems")));
                list
            }
            Type::FormItem(idx) => self.item_members(*idx),
            Type::FormParameters => {
                let parameters = self.form.parameters.iter();
                let mut list: Vec<Member<'a>> = parameters
                    .map(|parameter| {
                        let types = self.view.expand(parameter.types);
                        member(self.view.metadata().name(parameter.name), stated(types))
                    })
                    .collect();
                list.push(method("Свойство", "Property"));
                list
            }
            Type::FormCommands => {
                let command =
                    Value::Types(vec![Type::Platform(PlatformType::known("FormCommand"))]);
                let commands = self
                    .form
                    .commands
                    .iter()
                    .map(|&name| member(self.view.metadata().name(name), command.clone()));
                commands
                    .chain(of_platform(PlatformType::known("FormCommands")))
                    .collect()
            }
            Type::FormObject(kind, name, attribute) => {
                self.form_object_members(*kind, *name, *attribute)
            }
            Type::RegisterRecords(document) => self.register_records(*document),
            Type::SessionParameters => self
                .view
                .objects(ObjectKind::SessionParameter)
                .map(|parameter| {
                    member(
                        parameter.name(),
                        stated(self.view.expand(parameter.types())),
                    )
                })
                .collect(),
            Type::MetadataKind(kind) => {
                let mut list: Vec<Member<'a>> = self
                    .view
                    .objects(*kind)
                    .map(|object| {
                        member(
                            object.name(),
                            Value::Types(vec![Type::MetadataObject(*kind, object.key())]),
                        )
                    })
                    .collect();
                list.extend(of_collection());
                list
            }
            Type::MetadataObject(kind, name) => {
                let mut list: Vec<Member<'a>> =
                    of_platform(PlatformType::known("MetadataObject")).collect();
                list.extend(MetadataPart::ALL.iter().map(|&(part, russian, english)| {
                    both(
                        russian,
                        english,
                        Value::Types(vec![Type::MetadataParts(*kind, *name, part)]),
                    )
                }));
                list
            }
            Type::MetadataParts(kind, name, part) => self.metadata_parts(*kind, *name, *part),
        }
    }

    fn names_of(&self, kind: ObjectKind) -> Vec<Member<'a>> {
        self.view
            .objects(kind)
            .map(|object| member(object.name(), Value::Unknown))
            .collect()
    }

    /// Whether values of the type may have members that nobody lists.
    pub(super) fn is_open(&self, one: &Type) -> bool {
        match one {
            // `*Ref`: some reference, nobody knows of what.
            Type::Platform(platform) => platform.is_open() || platform.english().starts_with('*'),
            Type::Shape(shape) => shape.base.is_open(),
            Type::Form | Type::FormParameters | Type::MetadataObject(..) => true,
            // Without its base an object has more than the extension shows.
            Type::Object(_, kind, name) | Type::FormObject(kind, name, _) => self
                .view
                .object_of_key(*kind, *name)
                .is_none_or(|object| object.flags().is_none()),
            _ => false,
        }
    }

    fn object_members(&self, facet: Facet, kind: ObjectKind, name: NameKey) -> Vec<Member<'a>> {
        let Some(object) = self.view.object_of_key(kind, name) else {
            return Vec::new();
        };
        let mut list: Vec<Member<'a>> = Vec::new();
        match facet {
            Facet::Ref | Facet::Object => {
                list.extend(fields::attributes(&object).iter().map(of_field));
                let base = PlatformType::known("*TabularSection");
                for (russian, english) in fields::sections(&object) {
                    let columns = fields::section_fields(&object, russian).unwrap_or_default();
                    let shape = Shape::of(base, columns.iter().map(ShapeField::of_field).collect());
                    list.push(Member {
                        russian: russian.into(),
                        english: english.into(),
                        is_method: false,
                        value: Value::Types(vec![shape]),
                    });
                }
                if facet == Facet::Object {
                    list.extend(self.exports(self.module_of(kind, name, ModuleKind::Object)));
                    if kind == ObjectKind::Document {
                        list.push(both(
                            "Движения",
                            "RegisterRecords",
                            Value::Types(vec![Type::RegisterRecords(name)]),
                        ));
                    }
                    list.push(both(
                        "ЭтотОбъект",
                        "ThisObject",
                        Value::Types(vec![Type::Object(facet, kind, name)]),
                    ));
                }
            }
            Facet::Manager => {
                let values = object.members().into_iter().filter(|member| {
                    matches!(member.kind, MemberKind::EnumValue | MemberKind::Predefined)
                });
                let reference = Value::Types(vec![Type::Object(Facet::Ref, kind, name)]);
                list.extend(
                    values.map(|value| {
                        member(self.view.metadata().name(value.name), reference.clone())
                    }),
                );
                list.extend(self.exports(self.module_of(kind, name, ModuleKind::Manager)));
            }
            Facet::Selection | Facet::Record | Facet::RecordManager | Facet::RecordKey => {
                list.extend(fields::record_fields(&object).iter().map(of_field));
            }
            Facet::RecordSet => {
                list.extend(self.exports(self.module_of(kind, name, ModuleKind::RecordSet)))
            }
            Facet::ValueManager => {
                list.extend(fields::attributes(&object).iter().map(of_field));
                list.extend(self.exports(self.module_of(kind, name, ModuleKind::ValueManager)));
            }
            Facet::List
            | Facet::RoutePointRef
            | Facet::TabularSection
            | Facet::TabularSectionRow => {}
        }
        let generic = PlatformType::find(&format!("*{}", facet.english()));
        let special = PlatformType::find(&format!("*{}{}", kind.english(), facet.english()));
        for platform in generic.into_iter().chain(special) {
            list.extend(of_platform(platform).filter(|known| fits(known, kind)));
        }
        if facet == Facet::Manager && kind == ObjectKind::Constant {
            let types = stated(self.view.expand(object.types()));
            if let Some(get) = list.iter_mut().find(|known| known.is_named("Получить")) {
                get.value = types;
            }
        }
        list
    }

    fn module_of(&self, kind: ObjectKind, name: NameKey, module_kind: ModuleKind) -> ModulePlace {
        ModulePlace {
            object_kind: Some(kind),
            module_kind,
            object: name,
            part: None,
        }
    }

    /// Exported methods and variables of the modules at `place`.
    pub(super) fn exports(&self, place: ModulePlace) -> Vec<Member<'a>> {
        let metadata = self.view.metadata();
        let mut list: Vec<Member<'a>> = Vec::new();
        for module in self.view.modules(place) {
            let methods = metadata
                .methods(module)
                .iter()
                .filter(|method| method.is_export);
            list.extend(methods.map(|method| Member {
                is_method: true,
                ..member(metadata.name(method.name), Value::Method(module, method))
            }));
            list.extend(
                metadata
                    .variables(module)
                    .iter()
                    .map(|&name| member(metadata.name(name), Value::Unknown)),
            );
        }
        list
    }

    fn shape_members(&self, shape: &Shape) -> Vec<Member<'a>> {
        let mut list: Vec<Member<'a>> = Vec::new();
        // A table's columns are no members of the table itself.
        if shape.base.is_open() || shape.base == PlatformType::known("*TabularSectionRow") {
            list.extend(shape.fields.iter().map(|field| Member {
                russian: field.russian.clone().into(),
                english: field.english.clone().into(),
                is_method: false,
                value: of_shape_field(field),
            }));
        }
        let is_shown = !list.is_empty();
        for mut known in of_platform(shape.base) {
            let stated = shape
                .fields
                .iter()
                .find(|field| known.is_named(&field.russian));
            match stated {
                // A key or column hides what the platform calls the same.
                Some(_) if is_shown => continue,
                // The key and the value of an entry: what is said of them goes before the platform's table.
                Some(field) if !shape.base.carries() => known.value = of_shape_field(field),
                _ => {}
            }
            list.push(known);
        }
        list
    }

    fn form_members(&self) -> Vec<Member<'a>> {
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
    pub(super) fn form_attribute_types(
        &self,
        attribute: &crate::model::FormAttribute,
    ) -> Option<Types> {
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

    fn form_object_members(
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

    fn item_members(&self, idx: u32) -> Vec<Member<'a>> {
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
    fn table_row(&self, data_path: &str) -> Option<Types> {
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
    fn list_fields(&self, attribute: &crate::model::FormAttribute) -> Option<Vec<ShapeField>> {
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

    fn register_records(&self, document: NameKey) -> Vec<Member<'a>> {
        let Some(document) = self.view.object_of_key(ObjectKind::Document, document) else {
            return Vec::new();
        };
        let registers = document.links(LinkKind::RegisterRecords);
        let registers = registers
            .into_iter()
            .filter_map(|link| self.view.object_of_link(link));
        let mut list: Vec<Member<'a>> = registers
            .map(|register| {
                let set = Type::Object(Facet::RecordSet, register.kind(), register.key());
                member(register.name(), Value::Types(vec![set]))
            })
            .collect();
        for (russian, english) in [
            ("Записать", "Write"),
            ("Прочитать", "Read"),
            ("Очистить", "Clear"),
            ("Количество", "Count"),
            ("Найти", "Find"),
        ] {
            list.push(method(russian, english));
        }
        list
    }

    fn metadata_parts(
        &self,
        kind: ObjectKind,
        name: NameKey,
        part: MetadataPart,
    ) -> Vec<Member<'a>> {
        let Some(object) = self.view.object_of_key(kind, name) else {
            return Vec::new();
        };
        let of = |kind: MemberKind| {
            object
                .members_of(kind)
                .into_iter()
                .map(|one| one.name)
                .collect::<Vec<_>>()
        };
        let names = match part {
            MetadataPart::Attributes => of(MemberKind::Attribute),
            MetadataPart::Dimensions => of(MemberKind::Dimension),
            MetadataPart::Resources => of(MemberKind::Resource),
            MetadataPart::EnumValues => of(MemberKind::EnumValue),
            MetadataPart::Forms => of(MemberKind::Form),
            MetadataPart::Templates => of(MemberKind::Template),
            MetadataPart::Commands => of(MemberKind::Command),
            MetadataPart::TabularSections => object.sections(),
        };
        let part = Value::Types(vec![Type::Platform(PlatformType::known("MetadataObject"))]);
        let names = names
            .into_iter()
            .map(|name| member(self.view.metadata().name(name), part.clone()));
        names.chain(of_collection()).collect()
    }

    /// What the member `name` of values of `types` is or gives back; `None` when that is not known.
    pub(super) fn member_types(&self, types: &Types, name: &str) -> Option<Types> {
        let mut result: Option<Types> = None;
        for one in types {
            let members = self.members(one);
            let Some(found) = members.iter().find(|member| member.is_named(name)) else {
                // A value of that type would fail here, so the code does not mean it, unless the list is open.
                if self.is_open(one) {
                    return None;
                }
                continue;
            };
            let value = self.value(one, &found.value);
            result = match result {
                None => Some(value?),
                some => union(some, value),
            };
        }
        result
    }

    /// What a member's value is on a value of the type `owner`.
    fn value(&self, owner: &Type, value: &Value<'a>) -> Option<Types> {
        match value {
            Value::Unknown => None,
            Value::Stated(types) => self.types_of_refs(types),
            Value::Types(types) => Some(types.clone()),
            Value::Platform(result) => self.platform_result(owner, *result).map(|one| vec![one]),
            Value::Method(module, method) => self.returns_of(module, method),
        }
    }

    pub(super) fn platform_result(&self, owner: &Type, result: PlatformResult) -> Option<Type> {
        match (result, owner) {
            (PlatformResult::Unknown, _) => None,
            (PlatformResult::Type(platform), Type::Shape(shape)) if platform.carries() => {
                Some(Shape::of(platform, shape.fields.clone()))
            }
            (PlatformResult::Type(platform), Type::Object(Facet::RecordSet, kind, name))
                if platform.carries() =>
            {
                let object = self.view.object_of_key(*kind, *name)?;
                let fields = fields::attributes(&object);
                Some(Shape::of(
                    platform,
                    fields.iter().map(ShapeField::of_field).collect(),
                ))
            }
            (PlatformResult::Type(platform), _) => Some(Type::Platform(platform)),
            (PlatformResult::Facet(facet), Type::Object(_, kind, name)) => {
                Some(Type::Object(facet, *kind, *name))
            }
            (PlatformResult::Facet(Facet::TabularSectionRow), Type::Shape(shape)) => {
                Some(Shape::of(
                    PlatformType::known("*TabularSectionRow"),
                    shape.fields.clone(),
                ))
            }
            (PlatformResult::Facet(_), _) => None,
        }
    }

    /// What a loop over a value of the type yields.
    pub(super) fn each(&self, one: &Type) -> Option<Types> {
        let (owner, platform) = match one {
            // `* Ключ - Строка`, `* Значение - Число` below a map: of its entries.
            Type::Shape(shape) if is_map(shape.base) && shape.elements.is_empty() => {
                return Some(vec![Shape::of(
                    PlatformType::known("KeyAndValue"),
                    shape.fields.clone(),
                )]);
            }
            Type::Shape(shape) if !shape.elements.is_empty() => {
                return Some(shape.elements.clone());
            }
            Type::Shape(shape) => (one, shape.base),
            Type::Platform(platform) => (one, *platform),
            Type::Object(Facet::RecordSet, ..) => (one, PlatformType::known("*RecordSet")),
            Type::MetadataKind(_) | Type::MetadataParts(..) => {
                return Some(vec![Type::Platform(PlatformType::known("MetadataObject"))]);
            }
            Type::Managers(_) => {
                return Some(vec![Type::Platform(PlatformType::known("*Manager"))]);
            }
            _ => return None,
        };
        self.platform_result(owner, platform.each())
            .map(|one| vec![one])
    }

    /// What `[...]` behind a value of the type gives.
    pub(super) fn index(&self, one: &Type) -> Option<Types> {
        match one {
            Type::Shape(shape) if is_map(shape.base) => {
                let mut entries = self.each(one)?;
                entries.retain(|entry| matches!(entry, Type::Shape(_)));
                (!entries.is_empty()).then_some(())?;
                self.member_types(&entries, "Значение")
            }
            Type::Shape(shape) if shape.base.is_open() => None,
            Type::Shape(shape) if !shape.elements.is_empty() => Some(shape.elements.clone()),
            Type::Shape(shape) => self
                .platform_result(one, shape.base.index())
                .map(|one| vec![one]),
            Type::Platform(platform) => self
                .platform_result(one, platform.index())
                .map(|one| vec![one]),
            Type::Object(Facet::RecordSet, ..) => self.each(one),
            // One of them, nobody knows which.
            Type::Managers(_) => Some(vec![Type::Platform(PlatformType::known("*Manager"))]),
            _ => None,
        }
    }

    /// The types that the metadata states, as types of values; `None` when one of them says too little.
    pub(super) fn types_of_refs(&self, types: &[TypeRef]) -> Option<Types> {
        let types: Option<Types> = types.iter().map(|one| self.type_of_ref(one)).collect();
        types.filter(|types| !types.is_empty())
    }

    pub(super) fn type_of_ref(&self, one: &TypeRef) -> Option<Type> {
        match *one {
            TypeRef::Platform(platform) => Some(Type::Platform(platform)),
            TypeRef::Object(facet, kind, name) => {
                let name = self.view.metadata().names().key(name);
                self.view.object_of_key(kind, name)?;
                Some(Type::Object(facet, kind, name))
            }
            TypeRef::Named(_)
            | TypeRef::Any(..)
            | TypeRef::AnyRef
            | TypeRef::Defined(_)
            | TypeRef::Characteristic(_) => None,
        }
    }

    /// Exported functions of global common modules with that name.
    pub(super) fn global_export(&self, name: &str) -> Option<(&'a Module, &'a MethodEntry)> {
        let key = self.view.metadata().names().find(name)?;
        self.view
            .objects(ObjectKind::CommonModule)
            .filter(|module| {
                module
                    .parts()
                    .iter()
                    .any(|part| part.flags.has(ObjectFlags::GLOBAL))
            })
            .find_map(|module| {
                let place =
                    self.module_of(ObjectKind::CommonModule, module.key(), ModuleKind::Module);
                self.view.modules(place).into_iter().find_map(|module| {
                    let metadata = self.view.metadata();
                    let method = metadata
                        .methods(module)
                        .iter()
                        .find(|method| metadata.names().key(method.name) == key)?;
                    method.is_export.then_some((module, method))
                })
            })
    }
}

fn stated<'a>(types: Vec<TypeRef>) -> Value<'a> {
    if types.is_empty() {
        Value::Unknown
    } else {
        Value::Stated(types)
    }
}

fn is_map(platform: PlatformType) -> bool {
    matches!(platform.english(), "Map" | "FixedMap")
}

/// Methods of the collections in `Метаданные`.
fn of_collection<'a>() -> impl Iterator<Item = Member<'a>> {
    [
        ("Найти", "Find"),
        ("Количество", "Count"),
        ("Содержит", "Contains"),
        ("Индекс", "IndexOf"),
        ("Получить", "Get"),
    ]
    .into_iter()
    .map(|(russian, english)| method(russian, english))
}

/// Whether objects of that kind have what a general list says of all.
fn fits(member: &Member<'_>, kind: ObjectKind) -> bool {
    let of = |kinds: &[ObjectKind]| kinds.contains(&kind);
    match member.value {
        Value::Platform(PlatformResult::Facet(Facet::Ref)) => kind.has_refs(),
        Value::Platform(PlatformResult::Facet(Facet::RecordSet)) => {
            kind.is_register() || kind == ObjectKind::Sequence
        }
        Value::Platform(PlatformResult::Facet(Facet::RecordManager)) => {
            kind == ObjectKind::InformationRegister
        }
        Value::Platform(PlatformResult::Facet(Facet::RecordKey)) => kind.is_register(),
        Value::Platform(PlatformResult::Facet(Facet::ValueManager)) => kind == ObjectKind::Constant,
        _ => match &*member.english {
            "SliceLast" | "SliceFirst" | "GetFirst" | "GetLast" => {
                kind == ObjectKind::InformationRegister
            }
            "Balance" | "Turnovers" => of(&[
                ObjectKind::AccumulationRegister,
                ObjectKind::AccountingRegister,
            ]),
            "Set" => kind == ObjectKind::Constant,
            "RoutePoints" => kind == ObjectKind::BusinessProcess,
            english if english.contains("Totals") || english == "RecalcTotals" => {
                kind.is_register()
            }
            _ => true,
        },
    }
}
