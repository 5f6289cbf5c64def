//! The metadata as code in one root sees it: an extension over its base, both as one.
//!
//! Lookups take names in any case. What several roots say of one object is put together, the nearer root first; properties that an
//! extension leaves out come from its base.

use rustc_hash::FxHashSet;

use crate::facts::{LinkKind, MemberKind, ObjectFlags};
use crate::kinds::{Facet, ObjectKind};
use crate::model::{
    Form, FormId, Member, Metadata, MethodEntry, Module, ModuleId, ModulePlace, Object, ObjectId,
    Root, RootId, Section,
};
use crate::names::{NameId, NameKey};
use crate::types::{TypeRef, TypeSetId};

impl Metadata {
    /// What code in `root` sees.
    pub fn view(&self, root: RootId) -> View<'_> {
        View {
            metadata: self,
            root,
        }
    }

    /// What the code of the file at `path` sees; `None` when there is no root at all.
    pub fn view_of_path(&self, path: &str) -> Option<View<'_>> {
        self.root_of_path(path).map(|root| self.view(root))
    }

    /// The objects of that kind and name, of all roots, in the order of roots.
    pub fn objects_named(&self, kind: ObjectKind, name: NameKey) -> &[ObjectId] {
        let key = |&id: &ObjectId| {
            let object = self.object(id);
            (object.kind, self.names.key(object.name))
        };
        equal_range(&self.objects_by_name, key, (kind, name))
    }

    /// The modules of that place, of all roots, in the order of roots.
    pub fn modules_at(&self, place: ModulePlace) -> &[ModuleId] {
        equal_range(&self.modules_by_place, |&id| self.module(id).place, place)
    }

    fn forms_named(&self, kind: ObjectKind, owner: NameKey, name: NameKey) -> &[FormId] {
        let key = |&id: &FormId| {
            let form = self.form(id);
            (
                form.owner_kind,
                self.names.key(form.owner),
                self.names.key(form.name),
            )
        };
        equal_range(&self.forms_by_name, key, (kind, owner, name))
    }

    /// Kind and name in the full name of an object, as links spell them (`Catalog.Товары`).
    pub(crate) fn target(&self, full_name: &str) -> Option<(ObjectKind, NameKey)> {
        let (kind, name) = full_name.split_once('.')?;
        Some((ObjectKind::from_tag(kind)?, self.names.find(name)?))
    }

    /// The methods that an extension's module at `path` may change: those of the same module in what the extension sees, with their module.
    pub fn base_methods(&self, path: &str) -> Vec<(&Module, &MethodEntry)> {
        let Some(module) = self.module_of_path(path) else {
            return Vec::new();
        };
        let sees = &self.root(module.root).sees[1..];
        let modules = self.view(module.root).modules(module.place);
        let bases = modules.into_iter().filter(|base| sees.contains(&base.root));
        bases
            .flat_map(|base| self.methods(base).iter().map(move |method| (base, method)))
            .collect()
    }

    /// What the methods of the root of `path` that change others' put before those names; `None` where there is none yet.
    pub fn method_prefix(&self, path: &str) -> Option<&str> {
        let root = self.module_of_path(path)?.root;
        let own = self.modules.iter().filter(|module| module.root == root);
        own.flat_map(|module| self.methods(module))
            .find_map(|method| {
                let (_, base) = method.extends?;
                let prefix = self.name(method.name).strip_suffix(self.name(base))?;
                (!prefix.is_empty()).then_some(prefix)
            })
    }

    fn module_of_path(&self, path: &str) -> Option<&Module> {
        let root = self.root_of_path(path)?;
        let is_it = |module: &&Module| module.root == root && self.path(module.file) == path;
        self.modules.iter().find(is_it)
    }

    /// The method of the base that `method` of `module` changes (`&Вместо` and its kin), with its module.
    pub fn base_method(
        &self,
        module: &Module,
        method: &MethodEntry,
    ) -> Option<(&Module, &MethodEntry)> {
        let (_, name) = method.extends?;
        let key = self.names.key(name);
        let sees = &self.root(module.root).sees[1..];
        self.view(module.root)
            .modules(module.place)
            .into_iter()
            .filter(|base| sees.contains(&base.root))
            .find_map(|base| {
                let found = self
                    .methods(base)
                    .iter()
                    .find(|method| self.names.key(method.name) == key)?;
                Some((base, found))
            })
    }
}

/// The rows of a sorted list whose key is `key`.
fn equal_range<T, K: Ord>(list: &[T], key_of: impl Fn(&T) -> K, key: K) -> &[T] {
    let start = list.partition_point(|row| key_of(row) < key);
    let len = list[start..].partition_point(|row| key_of(row) == key);
    &list[start..start + len]
}

/// The metadata as code in one root sees it.
#[derive(Debug, Clone, Copy)]
pub struct View<'a> {
    metadata: &'a Metadata,
    root: RootId,
}

impl<'a> View<'a> {
    /// All metadata.
    pub fn metadata(self) -> &'a Metadata {
        self.metadata
    }

    /// The root that looks.
    pub fn root(self) -> &'a Root {
        self.metadata.root(self.root)
    }

    fn sees(self) -> &'a [RootId] {
        &self.root().sees
    }

    /// An object.
    pub fn object(self, kind: ObjectKind, name: &str) -> Option<ObjectView<'a>> {
        self.object_of_key(kind, self.metadata.names.find(name)?)
    }

    /// An object by the key of its name.
    pub fn object_of_key(self, kind: ObjectKind, name: NameKey) -> Option<ObjectView<'a>> {
        let found = self.metadata.objects_named(kind, name);
        if found.is_empty() {
            return None;
        }
        let parts: Vec<&Object> = self
            .sees()
            .iter()
            .flat_map(|&root| {
                found
                    .iter()
                    .map(|&id| self.metadata.object(id))
                    .filter(move |object| object.root == root)
            })
            .collect();
        (!parts.is_empty()).then_some(ObjectView {
            view: self,
            kind,
            name,
            parts,
        })
    }

    /// The object that a link names (`Catalog.Товары`).
    pub fn object_of_link(self, full_name: NameId) -> Option<ObjectView<'a>> {
        let (kind, name) = self.metadata.target(self.metadata.name(full_name))?;
        self.object_of_key(kind, name)
    }

    /// All objects of a kind, in the order of their first spelling.
    pub fn objects(self, kind: ObjectKind) -> impl Iterator<Item = ObjectView<'a>> {
        let metadata = self.metadata;
        let list = &metadata.objects_by_name;
        let start = list.partition_point(|&id| metadata.object(id).kind < kind);
        let len = list[start..].partition_point(|&id| metadata.object(id).kind == kind);
        let mut last = None;
        list[start..start + len]
            .iter()
            .map(move |&id| metadata.names.key(metadata.object(id).name))
            .filter(move |&name| last.replace(name) != Some(name))
            .filter_map(move |name| self.object_of_key(kind, name))
    }

    /// The modules of a place, the nearest root's first.
    pub fn modules(self, place: ModulePlace) -> Vec<&'a Module> {
        let found = self.metadata.modules_at(place);
        self.sees()
            .iter()
            .flat_map(|&root| {
                found
                    .iter()
                    .map(|&id| self.metadata.module(id))
                    .filter(move |module| module.root == root)
            })
            .collect()
    }

    /// The parts of a form, the nearest root's first; `name` is the object's own for a common form.
    pub fn forms(self, kind: ObjectKind, owner: &str, name: &str) -> Vec<&'a Form> {
        let names = &self.metadata.names;
        let (Some(owner), Some(name)) = (names.find(owner), names.find(name)) else {
            return Vec::new();
        };
        let found = self.metadata.forms_named(kind, owner, name);
        self.sees()
            .iter()
            .flat_map(|&root| {
                found
                    .iter()
                    .map(|&id| self.metadata.form(id))
                    .filter(move |form| form.root == root)
            })
            .collect()
    }

    /// The types of a set with defined types and characteristics replaced by what they stand for.
    pub fn expand(self, set: TypeSetId) -> Vec<TypeRef> {
        let mut types = Vec::new();
        let mut seen = FxHashSet::default();
        self.expand_into(self.metadata.types(set), &mut types, &mut seen);
        types
    }

    fn expand_into(
        self,
        types: &[TypeRef],
        out: &mut Vec<TypeRef>,
        seen: &mut FxHashSet<(ObjectKind, NameKey)>,
    ) {
        for &one in types {
            let (kind, name) = match one {
                TypeRef::Defined(name) => (ObjectKind::DefinedType, name),
                TypeRef::Characteristic(name) => (ObjectKind::ChartOfCharacteristicTypes, name),
                _ => {
                    if !out.contains(&one) {
                        out.push(one);
                    }
                    continue;
                }
            };
            // Types that stand for each other in a circle add nothing the second time.
            if !seen.insert((kind, self.metadata.names.key(name))) {
                continue;
            }
            if let Some(object) = self.object_of_key(kind, self.metadata.names.key(name)) {
                for part in &object.parts {
                    self.expand_into(self.metadata.types(part.types), out, seen);
                }
            }
        }
    }
}

/// An object as code in one root sees it.
#[derive(Debug, Clone)]
pub struct ObjectView<'a> {
    view: View<'a>,
    kind: ObjectKind,
    name: NameKey,
    parts: Vec<&'a Object>,
}

impl<'a> ObjectView<'a> {
    /// Who looks.
    pub fn view(&self) -> View<'a> {
        self.view
    }

    /// Its kind.
    pub fn kind(&self) -> ObjectKind {
        self.kind
    }

    /// The key of its name.
    pub fn key(&self) -> NameKey {
        self.name
    }

    /// Its name as the nearest root writes it.
    pub fn name(&self) -> &'a str {
        self.view.metadata.name(self.name_id())
    }

    /// Its name as the nearest root writes it.
    pub fn name_id(&self) -> NameId {
        self.parts[0].name
    }

    /// What the roots say of it, the nearest first.
    pub fn parts(&self) -> &[&'a Object] {
        &self.parts
    }

    /// One of its types.
    pub fn facet(&self, facet: Facet) -> TypeRef {
        TypeRef::Object(facet, self.kind, self.name_id())
    }

    /// Its properties; `None` when only an extension shows it, which leaves properties out.
    pub fn flags(&self) -> Option<ObjectFlags> {
        self.parts
            .iter()
            .map(|part| part.flags)
            .find(|flags| !flags.has(ObjectFlags::ADOPTED))
    }

    /// Its value's types: of a constant, a session parameter, a defined type.
    pub fn types(&self) -> TypeSetId {
        let metadata = self.view.metadata;
        let stated = self
            .parts
            .iter()
            .map(|part| part.types)
            .find(|&types| !metadata.types(types).is_empty());
        stated.unwrap_or(self.parts[0].types)
    }

    /// How many kinds of subconto its accounts can have.
    pub fn ext_dimension_count(&self) -> u8 {
        self.parts
            .iter()
            .map(|part| part.ext_dimension_count)
            .max()
            .unwrap_or(0)
    }

    /// Attributes and the like, predefined items among them, without columns of tabular sections.
    pub fn members(&self) -> Vec<&'a Member> {
        let metadata = self.view.metadata;
        let of_part = |part: &&'a Object| {
            let part: &'a Object = part;
            metadata
                .members(part)
                .iter()
                .chain(metadata.predefined(part))
        };
        self.distinct(self.parts.iter().flat_map(of_part))
    }

    /// Members of one kind.
    pub fn members_of(&self, kind: MemberKind) -> Vec<&'a Member> {
        let mut members = self.members();
        members.retain(|member| member.kind == kind);
        members
    }

    /// Common attributes that it has.
    pub fn common_attributes(&self) -> Vec<ObjectView<'a>> {
        self.related(&self.view.metadata.common_attribute_uses)
    }

    /// Documents that write it, where it is a register.
    pub fn recorders(&self) -> Vec<ObjectView<'a>> {
        self.related(&self.view.metadata.recorders)
    }

    /// The objects that `list` relates to this one, as this root sees them.
    fn related(&self, list: &[(ObjectKind, NameKey, ObjectId)]) -> Vec<ObjectView<'a>> {
        let metadata = self.view.metadata;
        let mut related: Vec<ObjectView<'a>> = Vec::new();
        for &(_, _, id) in equal_range(
            list,
            |&(kind, name, _)| (kind, name),
            (self.kind, self.name),
        ) {
            let other = metadata.object(id);
            let name = metadata.names.key(other.name);
            if related.iter().all(|known| known.name != name)
                && let Some(other) = self.view.object_of_key(other.kind, name)
            {
                related.push(other);
            }
        }
        related
    }

    /// Names of its tabular sections.
    pub fn sections(&self) -> Vec<NameId> {
        let mut names: Vec<NameId> = Vec::new();
        for section in self.section_parts() {
            let key = self.key_of(section.name);
            if names.iter().all(|&known| self.key_of(known) != key) {
                names.push(section.name);
            }
        }
        names
    }

    /// The columns of a tabular section; `None` when it has no such section.
    pub fn section(&self, name: NameKey) -> Option<Vec<&'a Member>> {
        let metadata = self.view.metadata;
        let parts: Vec<&'a Section> = self
            .section_parts()
            .filter(|section| self.key_of(section.name) == name)
            .collect();
        if parts.is_empty() {
            return None;
        }
        Some(
            self.distinct(
                parts
                    .into_iter()
                    .flat_map(|section| metadata.section_columns(section)),
            ),
        )
    }

    /// Full names of the objects that it names for `kind`.
    pub fn links(&self, kind: LinkKind) -> Vec<NameId> {
        let metadata = self.view.metadata;
        let mut names: Vec<NameId> = Vec::new();
        for link in self
            .parts
            .iter()
            .flat_map(|part| metadata.links(part))
            .filter(|link| link.kind == kind)
        {
            if !names.contains(&link.target) {
                names.push(link.target);
            }
        }
        names
    }

    fn section_parts(&self) -> impl Iterator<Item = &'a Section> {
        let metadata = self.view.metadata;
        self.parts.iter().flat_map(|part| metadata.sections(part))
    }

    fn key_of(&self, name: NameId) -> NameKey {
        self.view.metadata.names.key(name)
    }

    /// The members without those whose name came before: an extension states again what it takes over.
    fn distinct(&self, members: impl Iterator<Item = &'a Member>) -> Vec<&'a Member> {
        if self.parts.len() == 1 {
            return members.collect();
        }
        let mut seen = FxHashSet::default();
        let mut kept: Vec<&'a Member> = Vec::new();
        for member in members {
            let key = (member.kind, self.key_of(member.name));
            if seen.insert(key) {
                kept.push(member);
            } else if let Some(known) = kept
                .iter_mut()
                .find(|known| (known.kind, self.key_of(known.name)) == key)
                && self.view.metadata.types(known.types).is_empty()
            {
                // The extension may leave out the type.
                *known = member;
            }
        }
        kept
    }
}
