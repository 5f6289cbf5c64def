//! The linked metadata of all roots: flat tables, ids of 32 bits, names interned.
//!
//! Made by linking an [`Index`](crate::Index); read through a [`View`](crate::View), which layers an extension over its base. An object of an
//! extension and the object that it extends are two entries here. Tables hold their rows in the order of the files'
//! paths, so the same files give the same tables whatever order they were read in.

use nestor_bsl::module_path::ModuleKind;

use crate::facts::{ExtensionKind, ItemKind, LinkKind, MemberKind, ObjectFlags};
use crate::kinds::ObjectKind;
use crate::names::{NameId, NameKey, Names};
use crate::types::{TypeRef, TypeSetId, TypeSets};

/// Consecutive rows of a table.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Span {
    pub(crate) start: u32,
    pub(crate) len: u32,
}

impl Span {
    pub(crate) fn of<T>(self, table: &[T]) -> &[T] {
        &table[self.start as usize..(self.start + self.len) as usize]
    }

    /// How many rows.
    pub fn len(self) -> usize {
        self.len as usize
    }

    /// Whether there is none.
    pub fn is_empty(self) -> bool {
        self.len == 0
    }
}

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident;)+) => {
        $($(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(pub(crate) u32);)+
    };
}

ids! {
    /// A root.
    RootId;
    /// A file.
    FileId;
    /// An object of one root.
    ObjectId;
    /// A form of one root.
    FormId;
    /// A module of one root.
    ModuleId;
    /// A method.
    MethodId;
}

/// What a root is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum RootRole {
    /// A configuration.
    Base,
    /// An extension of one.
    Extension,
    /// An external processor or report.
    External,
    /// Files that belong to no configuration: libraries of scripts, single modules.
    Loose,
}

/// A configuration, an extension, an external processor, or the files that belong to none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Root {
    /// Its name.
    pub name: String,
    /// The folder that its paths start with, `/` at the end; empty for the top.
    pub folder: String,
    /// What it is.
    pub role: RootRole,
    /// The configuration that it extends or runs in.
    pub base: Option<RootId>,
    /// The roots that code in it sees, itself first.
    pub(crate) sees: Vec<RootId>,
}

/// An object of one root.
#[derive(Debug, Clone, Copy)]
pub struct Object {
    /// Its kind.
    pub kind: ObjectKind,
    /// Its name.
    pub name: NameId,
    /// Its root.
    pub root: RootId,
    /// The file that describes it.
    pub file: FileId,
    /// Its properties.
    pub flags: ObjectFlags,
    /// How many kinds of subconto an account can have.
    pub ext_dimension_count: u8,
    /// Types of its value.
    pub types: TypeSetId,
    pub(crate) members: Span,
    pub(crate) predefined: Span,
    pub(crate) sections: Span,
    pub(crate) links: Span,
}

/// An attribute or another named part of an object.
#[derive(Debug, Clone, Copy)]
pub struct Member {
    /// What it is.
    pub kind: MemberKind,
    /// Its name.
    pub name: NameId,
    /// The types of its value.
    pub types: TypeSetId,
    /// Of an accounting register: one value for both sides of an entry.
    pub is_balance: bool,
}

/// A tabular section.
#[derive(Debug, Clone, Copy)]
pub struct Section {
    /// Its name.
    pub name: NameId,
    pub(crate) columns: Span,
}

/// Another object that an object names.
#[derive(Debug, Clone, Copy)]
pub struct Link {
    /// What for.
    pub kind: LinkKind,
    /// Its full name as written (`Catalog.Товары`).
    pub target: NameId,
}

/// A form of one root.
#[derive(Debug, Clone, Copy)]
pub struct Form {
    /// Kind of the object that it belongs to; its own for a common form.
    pub owner_kind: ObjectKind,
    /// Name of that object.
    pub owner: NameId,
    /// Its name; the object's own for a common form.
    pub name: NameId,
    /// Its root.
    pub root: RootId,
    /// The file of its layout.
    pub file: FileId,
    pub(crate) items: Span,
    pub(crate) attributes: Span,
    pub(crate) commands: Span,
    pub(crate) parameters: Span,
    pub(crate) handlers: Span,
}

/// An element of a form.
#[derive(Debug, Clone, Copy)]
pub struct Item {
    /// What it is.
    pub kind: ItemKind,
    /// Its name.
    pub name: NameId,
    /// The index of the element around it, in the form's elements.
    pub parent: Option<u32>,
    /// The path of what it shows; empty without.
    pub data_path: NameId,
}

/// An attribute of a form.
#[derive(Debug, Clone, Copy)]
pub struct FormAttribute {
    /// Its name.
    pub name: NameId,
    /// Its types.
    pub types: TypeSetId,
    /// Whether it is the main one.
    pub is_main: bool,
    /// The main table of a dynamic list; empty without.
    pub main_table: NameId,
    /// The query of a dynamic list, in the texts; empty without.
    pub(crate) query: Span,
    pub(crate) columns: Span,
}

/// A column of a form's attribute.
#[derive(Debug, Clone, Copy)]
pub struct FormColumn {
    /// The path of the table that it is added to; empty for the attribute's own.
    pub table: NameId,
    /// Its name.
    pub name: NameId,
    /// Its types.
    pub types: TypeSetId,
}

/// A command of a form.
#[derive(Debug, Clone, Copy)]
pub struct FormCommand {
    /// Its name.
    pub name: NameId,
    /// The method that it calls; empty without.
    pub action: NameId,
}

/// A method that an event of a form calls.
#[derive(Debug, Clone, Copy)]
pub struct Handler {
    /// The event in English.
    pub event: NameId,
    /// The method.
    pub method: NameId,
    /// The index of the element whose event it is; `None` for the form's own.
    pub item: Option<u32>,
}

/// A module of one root.
#[derive(Debug, Clone, Copy)]
pub struct Module {
    /// Its root.
    pub root: RootId,
    /// Its file.
    pub file: FileId,
    /// Where it belongs.
    pub place: ModulePlace,
    pub(crate) variables: Span,
    pub(crate) methods: Span,
}

/// Where a module belongs: the same place in a base and in its extension is one module to code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ModulePlace {
    /// Kind of the object; `None` for scripts and what no path tells.
    pub object_kind: Option<ObjectKind>,
    /// Kind of the module.
    pub module_kind: ModuleKind,
    /// Name of the object.
    pub object: NameKey,
    /// The form, the command or the part of the object that it belongs to.
    pub part: Option<NameKey>,
}

/// A method of a module.
#[derive(Debug, Clone, Copy)]
pub struct MethodEntry {
    /// Its name.
    pub name: NameId,
    /// `Функция`, not `Процедура`.
    pub is_function: bool,
    /// `Экспорт`.
    pub is_export: bool,
    /// What an extension does with it to which method.
    pub extends: Option<(ExtensionKind, NameId)>,
    /// Bytes from the start of the module's text to the name.
    pub offset: u32,
    pub(crate) params: Span,
    pub(crate) doc: Span,
}

/// A parameter of a method.
#[derive(Debug, Clone, Copy)]
pub struct ParamEntry {
    /// Its name.
    pub name: NameId,
    /// `Знач`.
    pub by_value: bool,
    /// Its default value as it is written; empty without.
    pub default: NameId,
}

/// All that is known of a project's configurations. See the module's documentation.
#[derive(Debug, Clone, Default)]
pub struct Metadata {
    pub(crate) names: Names,
    pub(crate) types: TypeSets,
    pub(crate) paths: Vec<Box<str>>,
    pub(crate) roots: Vec<Root>,
    pub(crate) objects: Vec<Object>,
    pub(crate) members: Vec<Member>,
    pub(crate) sections: Vec<Section>,
    pub(crate) links: Vec<Link>,
    pub(crate) forms: Vec<Form>,
    pub(crate) items: Vec<Item>,
    pub(crate) attributes: Vec<FormAttribute>,
    pub(crate) columns: Vec<FormColumn>,
    pub(crate) commands: Vec<FormCommand>,
    pub(crate) handlers: Vec<Handler>,
    pub(crate) modules: Vec<Module>,
    pub(crate) variables: Vec<NameId>,
    pub(crate) methods: Vec<MethodEntry>,
    pub(crate) params: Vec<ParamEntry>,
    /// Doc comments and queries of dynamic lists.
    pub(crate) texts: String,
    /// Objects by kind, name and root.
    pub(crate) objects_by_name: Vec<ObjectId>,
    /// Forms by owner, name and root.
    pub(crate) forms_by_name: Vec<FormId>,
    /// Modules by place and root.
    pub(crate) modules_by_place: Vec<ModuleId>,
    /// Objects with their common attributes, sorted.
    pub(crate) common_attribute_uses: Vec<(ObjectKind, NameKey, ObjectId)>,
    /// Registers with the documents that write them, sorted.
    pub(crate) recorders: Vec<(ObjectKind, NameKey, ObjectId)>,
}

impl Metadata {
    /// The names.
    pub fn names(&self) -> &Names {
        &self.names
    }

    /// The spelling of a name.
    pub fn name(&self, name: NameId) -> &str {
        self.names.get(name)
    }

    /// The types of a set.
    pub fn types(&self, set: TypeSetId) -> &[TypeRef] {
        self.types.get(set)
    }

    /// The path of a file.
    pub fn path(&self, file: FileId) -> &str {
        &self.paths[file.0 as usize]
    }

    /// All roots.
    pub fn roots(&self) -> impl Iterator<Item = (RootId, &Root)> {
        (0..).map(RootId).zip(&self.roots)
    }

    /// A root.
    pub fn root(&self, root: RootId) -> &Root {
        &self.roots[root.0 as usize]
    }

    /// The root that the file at `path` belongs to: the one whose folder is the longest beginning of the path. `None` when
    /// there is no root at all.
    pub fn root_of_path(&self, path: &str) -> Option<RootId> {
        self.roots()
            .filter(|(_, root)| {
                path.starts_with(&root.folder) || path.replace('\\', "/").starts_with(&root.folder)
            })
            .max_by_key(|(_, root)| (root.folder.len(), root.role != RootRole::Loose))
            .map(|(id, _)| id)
    }

    /// All objects of all roots.
    pub fn objects(&self) -> &[Object] {
        &self.objects
    }

    /// An object.
    pub fn object(&self, object: ObjectId) -> &Object {
        &self.objects[object.0 as usize]
    }

    /// Attributes and the like of an object, without those of what it extends and without predefined items.
    pub fn members(&self, object: &Object) -> &[Member] {
        object.members.of(&self.members)
    }

    /// Predefined items of an object.
    pub fn predefined(&self, object: &Object) -> &[Member] {
        object.predefined.of(&self.members)
    }

    /// Tabular sections of an object.
    pub fn sections(&self, object: &Object) -> &[Section] {
        object.sections.of(&self.sections)
    }

    /// Columns of a tabular section.
    pub fn section_columns(&self, section: &Section) -> &[Member] {
        section.columns.of(&self.members)
    }

    /// Objects that an object names.
    pub fn links(&self, object: &Object) -> &[Link] {
        object.links.of(&self.links)
    }

    /// All forms of all roots.
    pub fn forms(&self) -> &[Form] {
        &self.forms
    }

    /// A form.
    pub fn form(&self, form: FormId) -> &Form {
        &self.forms[form.0 as usize]
    }

    /// Elements of a form, parents before children.
    pub fn items(&self, form: &Form) -> &[Item] {
        form.items.of(&self.items)
    }

    /// Attributes of a form.
    pub fn form_attributes(&self, form: &Form) -> &[FormAttribute] {
        form.attributes.of(&self.attributes)
    }

    /// Columns of a form's attribute.
    pub fn form_columns(&self, attribute: &FormAttribute) -> &[FormColumn] {
        attribute.columns.of(&self.columns)
    }

    /// The query of a dynamic list; empty without.
    pub fn list_query(&self, attribute: &FormAttribute) -> &str {
        self.text(attribute.query)
    }

    /// Commands of a form.
    pub fn form_commands(&self, form: &Form) -> &[FormCommand] {
        form.commands.of(&self.commands)
    }

    /// Parameters of a form.
    pub fn form_parameters(&self, form: &Form) -> &[Member] {
        form.parameters.of(&self.members)
    }

    /// Methods that events of a form call.
    pub fn handlers(&self, form: &Form) -> &[Handler] {
        form.handlers.of(&self.handlers)
    }

    /// All modules of all roots.
    pub fn modules(&self) -> &[Module] {
        &self.modules
    }

    /// A module.
    pub fn module(&self, module: ModuleId) -> &Module {
        &self.modules[module.0 as usize]
    }

    /// Methods of a module, in the order of the text.
    pub fn methods(&self, module: &Module) -> &[MethodEntry] {
        module.methods.of(&self.methods)
    }

    /// Exported variables of a module.
    pub fn variables(&self, module: &Module) -> &[NameId] {
        module.variables.of(&self.variables)
    }

    /// Parameters of a method.
    pub fn params(&self, method: &MethodEntry) -> &[ParamEntry] {
        method.params.of(&self.params)
    }

    /// The doc comment of an exported method without comment marks; empty without.
    pub fn doc(&self, method: &MethodEntry) -> &str {
        self.text(method.doc)
    }

    fn text(&self, span: Span) -> &str {
        &self.texts[span.start as usize..(span.start + span.len) as usize]
    }

    /// Bytes held in memory, about.
    pub fn heap_bytes(&self) -> usize {
        fn of<T>(table: &Vec<T>) -> usize {
            table.capacity() * size_of::<T>()
        }
        self.names.heap_bytes()
            + self.types.heap_bytes()
            + self.paths.iter().map(|path| path.len() + 16).sum::<usize>()
            + of(&self.objects)
            + of(&self.members)
            + of(&self.sections)
            + of(&self.links)
            + of(&self.forms)
            + of(&self.items)
            + of(&self.attributes)
            + of(&self.columns)
            + of(&self.commands)
            + of(&self.handlers)
            + of(&self.modules)
            + of(&self.variables)
            + of(&self.methods)
            + of(&self.params)
            + of(&self.common_attribute_uses)
            + of(&self.recorders)
            + self.texts.capacity()
            + (self.objects_by_name.capacity()
                + self.forms_by_name.capacity()
                + self.modules_by_place.capacity())
                * 4
    }
}
