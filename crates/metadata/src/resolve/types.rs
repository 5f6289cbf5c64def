//! What a value may be.

use std::rc::Rc;

use crate::kinds::{Facet, ObjectKind};
use crate::names::NameKey;
use crate::platform::PlatformType;
use crate::types::TypeRef;

/// The types that a value may have, never none. What may be anything has no `Types` at all.
pub(super) type Types = Vec<Type>;

/// One type.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Type {
    /// Of the platform.
    Platform(PlatformType),
    /// Of an object: `СправочникСсылка.Товары`.
    Object(Facet, ObjectKind, NameKey),
    /// `Справочники`.
    Managers(ObjectKind),
    /// `Метаданные.Справочники`.
    MetadataKind(ObjectKind),
    /// `Метаданные.Справочники.Товары`.
    MetadataObject(ObjectKind, NameKey),
    /// `Метаданные.Справочники.Товары.Реквизиты`.
    MetadataParts(ObjectKind, NameKey, MetadataPart),
    /// A common module.
    CommonModule(NameKey),
    /// A value of the platform whose fields, columns or elements are known.
    Shape(Rc<Shape>),
    /// The form of the module.
    Form,
    /// `Элементы`.
    FormItems,
    /// An element of the form, by its index.
    FormItem(u32),
    /// `Параметры` of the form.
    FormParameters,
    /// `Команды` of the form.
    FormCommands,
    /// The data of an object in a form's attribute, by the attribute's name.
    FormObject(ObjectKind, NameKey, NameKey),
    /// `Движения` of a document.
    RegisterRecords(NameKey),
    /// `ПараметрыСеанса`.
    SessionParameters,
}

/// A list of parts of a metadata object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum MetadataPart {
    /// `Реквизиты`.
    Attributes,
    /// `Измерения`.
    Dimensions,
    /// `Ресурсы`.
    Resources,
    /// `ТабличныеЧасти`.
    TabularSections,
    /// `ЗначенияПеречисления`.
    EnumValues,
    /// `Формы`.
    Forms,
    /// `Макеты`.
    Templates,
    /// `Команды`.
    Commands,
}

impl MetadataPart {
    pub(super) const ALL: [(MetadataPart, &'static str, &'static str); 8] = [
        (MetadataPart::Attributes, "Реквизиты", "Attributes"),
        (MetadataPart::Dimensions, "Измерения", "Dimensions"),
        (MetadataPart::Resources, "Ресурсы", "Resources"),
        (
            MetadataPart::TabularSections,
            "ТабличныеЧасти",
            "TabularSections",
        ),
        (
            MetadataPart::EnumValues,
            "ЗначенияПеречисления",
            "EnumValues",
        ),
        (MetadataPart::Forms, "Формы", "Forms"),
        (MetadataPart::Templates, "Макеты", "Templates"),
        (MetadataPart::Commands, "Команды", "Commands"),
    ];
}

/// A structure with keys, a table with columns, an array with elements.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Shape {
    /// The type of the platform.
    pub(super) base: PlatformType,
    /// Keys, or columns of what it is or holds.
    pub(super) fields: Vec<ShapeField>,
    /// Types of the elements of an array.
    pub(super) elements: Types,
}

/// A field of a shape.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct ShapeField {
    pub(super) russian: String,
    pub(super) english: String,
    pub(super) types: FieldTypes,
}

/// Types of a field; those that the metadata states are looked up when they are needed.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum FieldTypes {
    /// Not known.
    Unknown,
    /// As the metadata states them.
    Stated(Vec<TypeRef>),
    /// As the code shows them.
    Seen(Types),
}

impl Shape {
    pub(super) fn of(base: PlatformType, fields: Vec<ShapeField>) -> Type {
        Type::Shape(Rc::new(Shape {
            base,
            fields,
            elements: Vec::new(),
        }))
    }
}

impl ShapeField {
    pub(super) fn named(name: &str, types: Option<Types>) -> ShapeField {
        ShapeField {
            russian: name.to_owned(),
            english: name.to_owned(),
            types: types.map_or(FieldTypes::Unknown, FieldTypes::Seen),
        }
    }

    pub(super) fn of_field(field: &crate::fields::Field<'_>) -> ShapeField {
        ShapeField {
            russian: field.russian.clone().into_owned(),
            english: field.english.clone().into_owned(),
            types: if field.types.is_empty() {
                FieldTypes::Unknown
            } else {
                FieldTypes::Stated(field.types.clone())
            },
        }
    }
}

/// Puts two sets of types together; unknown if one is.
pub(super) fn union(left: Option<Types>, right: Option<Types>) -> Option<Types> {
    let mut left = left?;
    for one in right? {
        if !left.contains(&one) {
            left.push(one);
        }
    }
    Some(left)
}
