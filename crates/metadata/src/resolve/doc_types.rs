//! From the types that doc comments name to types of values.

use std::rc::Rc;

use nestor_bsl::module_path::ModuleKind;

use super::Resolver;
use super::eval::without_undefined;
use super::types::{Shape, ShapeField, Type, Types};
use crate::doc::{DocField, DocType};
use crate::kinds::ObjectKind;
use crate::model::{Module, ModulePlace};
use crate::names::same;
use crate::platform::PlatformType;

/// Whose doc comment names a type: `см. Метод` means a method of the same module.
#[derive(Clone, Copy)]
pub(super) enum Speaker<'a> {
    Document,
    Module(&'a Module),
}

impl<'a> Resolver<'a> {
    /// The types that a doc comment names; `None` when one of them says too little.
    pub(super) fn types_of_doc(&self, types: &[DocType], speaker: Speaker<'a>) -> Option<Types> {
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

    pub(super) fn type_of_doc(&self, one: &DocType, speaker: Speaker<'a>) -> Option<Type> {
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

    pub(super) fn field_of_doc(&self, field: &DocField, speaker: Speaker<'a>) -> ShapeField {
        let types = self
            .types_of_doc(&field.types, speaker)
            .map(without_undefined);
        ShapeField::named(&field.name, types.filter(|types| !types.is_empty()))
    }

    /// What `см. Модуль.Метод` refers to: the return value, or the parameter that a third word names.
    pub(super) fn types_of_reference(&self, path: &str, speaker: Speaker<'a>) -> Option<Types> {
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

    pub(super) fn reference_in(
        &self,
        module: &'a Module,
        method: &str,
        param: Option<&str>,
    ) -> Option<Types> {
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
