//! What members, loops and indexes give.

use nestor_bsl::module_path::ModuleKind;

use super::Resolver;
use super::members::Value;
use super::types::{Shape, ShapeField, Type, Types, union};
use crate::facts::ObjectFlags;
use crate::fields;
use crate::kinds::{Facet, ObjectKind};
use crate::model::{MethodEntry, Module};
use crate::platform::{PlatformResult, PlatformType};
use crate::types::TypeRef;

impl<'a> Resolver<'a> {
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
    pub(super) fn value(&self, owner: &Type, value: &Value<'a>) -> Option<Types> {
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

fn is_map(platform: PlatformType) -> bool {
    matches!(platform.english(), "Map" | "FixedMap")
}
