//! Types of attributes, parameters and columns.
//!
//! A type names what it refers to; nothing is looked up here, so types may refer to objects that are missing, and
//! defined types to each other in a circle. Sets of types are interned: most attributes share one of a few thousand.

use rustc_hash::FxHashMap;

use crate::kinds::{Facet, ObjectKind, split_type_word};
use crate::names::{NameId, Names, same};
use crate::platform::PlatformType;

/// One type.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum TypeRef {
    /// A type of the platform whose members are known.
    Platform(PlatformType),
    /// A type of the platform that is known by name only.
    Named(NameId),
    /// A type of one object: `СправочникСсылка.Товары`.
    Object(Facet, ObjectKind, NameId),
    /// The types of all objects of a kind: `СправочникСсылка`.
    Any(Facet, ObjectKind),
    /// Any reference.
    AnyRef,
    /// What a defined type stands for.
    Defined(NameId),
    /// What the characteristics of a chart can be.
    Characteristic(NameId),
}

impl TypeRef {
    /// Reads a type's name, in Russian or English: `CatalogRef.Товары`, `Строка`, `ОпределяемыйТип.Владелец`.
    pub fn parse(written: &str, names: &mut Names) -> TypeRef {
        let (word, object) = written.split_once('.').unwrap_or((written, ""));
        let (word, object) = (word.trim(), object.trim());
        if object.is_empty() {
            if let Some((kind, facet)) = split_type_word(word) {
                return TypeRef::Any(facet, kind);
            }
            return match PlatformType::find(word) {
                Some(found) => TypeRef::Platform(found),
                None if ["AnyRef", "AnyIBRef", "ЛюбаяСсылка"]
                    .iter()
                    .any(|any| same(any, word)) =>
                {
                    TypeRef::AnyRef
                }
                None => TypeRef::Named(names.intern(word)),
            };
        }
        if same(word, "DefinedType") || same(word, "ОпределяемыйТип") {
            TypeRef::Defined(names.intern(object))
        } else if same(word, "Characteristic") || same(word, "Характеристика") {
            TypeRef::Characteristic(names.intern(object))
        } else {
            match split_type_word(word) {
                Some((kind, facet)) => TypeRef::Object(facet, kind, names.intern(object)),
                None => TypeRef::Named(names.intern(written)),
            }
        }
    }

    /// The type's name as Designer's XML writes it.
    pub fn english(self, names: &Names) -> String {
        match self {
            TypeRef::Platform(platform) => platform.english().to_owned(),
            TypeRef::Named(name) => names.get(name).to_owned(),
            TypeRef::Object(facet, kind, name) => {
                format!("{}{}.{}", kind.english(), facet.english(), names.get(name))
            }
            TypeRef::Any(facet, kind) => format!("{}{}", kind.english(), facet.english()),
            TypeRef::AnyRef => "AnyRef".to_owned(),
            TypeRef::Defined(name) => format!("DefinedType.{}", names.get(name)),
            TypeRef::Characteristic(name) => format!("Characteristic.{}", names.get(name)),
        }
    }
}

/// An interned set of types.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TypeSetId(pub(crate) u32);

/// All sets of types.
#[derive(Debug, Clone, Default)]
pub struct TypeSets {
    types: Vec<TypeRef>,
    ends: Vec<u32>,
    ids: FxHashMap<Box<[TypeRef]>, TypeSetId>,
}

impl TypeSets {
    /// The id of the set that holds `types` in this order.
    pub fn intern(&mut self, types: &[TypeRef]) -> TypeSetId {
        if let Some(&id) = self.ids.get(types) {
            return id;
        }
        let id = TypeSetId(u32::try_from(self.ends.len()).expect("fewer than 4 billion sets"));
        self.types.extend_from_slice(types);
        self.ends
            .push(u32::try_from(self.types.len()).expect("fewer than 4 billion types"));
        self.ids.insert(types.into(), id);
        id
    }

    /// The types of a set.
    pub fn get(&self, set: TypeSetId) -> &[TypeRef] {
        let id = set.0 as usize;
        let start = if id == 0 {
            0
        } else {
            self.ends[id - 1] as usize
        };
        &self.types[start..self.ends[id] as usize]
    }

    /// Bytes held in memory, about.
    pub fn heap_bytes(&self) -> usize {
        let of_type = size_of::<TypeRef>();
        self.types.capacity() * of_type * 2 + self.ends.capacity() * 4 + self.ids.capacity() * 24
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_are_read_in_both_languages() {
        let mut names = Names::default();
        let mut check = |written: &str, english: &str| {
            assert_eq!(
                TypeRef::parse(written, &mut names).english(&names),
                english,
                "{written}"
            );
        };
        check("CatalogRef.Товары", "CatalogRef.Товары");
        check("СправочникСсылка.Товары", "CatalogRef.Товары");
        check("строка", "String");
        check("Число", "Number");
        check("ДокументСсылка", "DocumentRef");
        check("ОпределяемыйТип.Владелец", "DefinedType.Владелец");
        check("Characteristic.Свойства", "Characteristic.Свойства");
        check("AnyIBRef", "AnyRef");
        check("ТаблицаЗначений", "ValueTable");
        check("SettingsComposer", "SettingsComposer");
        check("Нечто.Другое", "Нечто.Другое");
        check("", "");
    }

    #[test]
    fn equal_sets_share_an_id() {
        let mut names = Names::default();
        let mut sets = TypeSets::default();
        let string = TypeRef::parse("String", &mut names);
        let goods = TypeRef::parse("CatalogRef.Товары", &mut names);
        let both = sets.intern(&[string, goods]);
        let empty = sets.intern(&[]);
        assert_eq!(sets.intern(&[string, goods]), both);
        assert_ne!(sets.intern(&[goods]), both);
        assert_eq!(sets.get(both), [string, goods]);
        assert!(sets.get(empty).is_empty());
    }
}
