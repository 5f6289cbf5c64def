//! What a value of a type offers behind a dot, and what each of it is.

use std::borrow::Cow;
use std::rc::Rc;

use nestor_bsl::keywords::fold;
use nestor_bsl::module_path::ModuleKind;
use rustc_hash::FxHashSet;

use super::Resolver;
use super::types::{FieldTypes, MetadataPart, Shape, ShapeField, Type, Types};
use crate::facts::{LinkKind, MemberKind};
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

pub(super) fn member<'a>(name: &'a str, value: Value<'a>) -> Member<'a> {
    Member {
        russian: name.into(),
        english: name.into(),
        is_method: false,
        value,
    }
}

pub(super) fn both<'a>(
    russian: &'static str,
    english: &'static str,
    value: Value<'a>,
) -> Member<'a> {
    Member {
        russian: russian.into(),
        english: english.into(),
        is_method: false,
        value,
    }
}

pub(super) fn method<'a>(russian: &'static str, english: &'static str) -> Member<'a> {
    Member {
        is_method: true,
        ..both(russian, english, Value::Unknown)
    }
}

pub(super) fn of_platform<'a>(platform: PlatformType) -> impl Iterator<Item = Member<'a>> {
    platform.members().iter().map(|known| Member {
        russian: known.russian.into(),
        english: known.english.into(),
        is_method: known.is_method,
        value: Value::Platform(known.result),
    })
}

pub(super) fn of_field<'a>(field: &Field<'a>) -> Member<'a> {
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

pub(super) fn of_shape_field<'a>(field: &ShapeField) -> Value<'a> {
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

    pub(super) fn module_of(
        &self,
        kind: ObjectKind,
        name: NameKey,
        module_kind: ModuleKind,
    ) -> ModulePlace {
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
}

pub(super) fn stated<'a>(types: Vec<TypeRef>) -> Value<'a> {
    if types.is_empty() {
        Value::Unknown
    } else {
        Value::Stated(types)
    }
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
