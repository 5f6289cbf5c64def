//! From the facts of all files to the linked tables.
//!
//! Roots first (where a configuration begins, what it extends), then every file in the order of paths, then the sorted
//! lists that lookups search. Names and types are interned on the way; references stay names, so nothing here can go
//! in circles but defined types, which are looked at in the end.

mod check;
mod roots;

use nestor_bsl::ModulePath;
use rustc_hash::FxHashMap;

use crate::facts::{
    FileFacts, FormAttributeFacts, FormFacts, MemberFacts, MemberKind, MethodFacts, ModuleFacts,
    ObjectFacts,
};
use crate::index::Index;
use crate::kinds::ObjectKind;
use crate::model::{
    FileId, Form, FormAttribute, FormColumn, FormCommand, FormId, Handler, Item, Link, Member,
    Metadata, MethodEntry, Module, ModuleId, ModulePlace, Object, ObjectId, ParamEntry, RootId,
    RootRole, Section, Span,
};
use crate::names::{NameId, NameKey};
use crate::problem::{Problem, ProblemKind};
use crate::types::{TypeRef, TypeSetId};
use roots::Roots;

/// Links all files of `index`.
pub(crate) fn link(index: &Index) -> (Metadata, Vec<Problem>) {
    let roots = Roots::find(index);
    let mut linker = Linker {
        metadata: Metadata::default(),
        roots,
        problems: Vec::new(),
        objects: FxHashMap::default(),
        predefined: Vec::new(),
        known: FxHashMap::default(),
        known_types: FxHashMap::default(),
    };
    for (path, facts) in index.facts() {
        linker.file(path, facts);
    }
    linker.finish()
}

/// What makes an object one: its root, kind and name.
type ObjectKey = (RootId, ObjectKind, NameKey);

struct Linker<'a> {
    metadata: Metadata,
    roots: Roots,
    problems: Vec<Problem>,
    objects: FxHashMap<ObjectKey, ObjectId>,
    /// Predefined items that lie in files of their own.
    predefined: Vec<(ObjectKey, Span)>,
    /// Ids of spellings that were met: most come many times, and comparing letters without case is what linking spends its time on.
    known: FxHashMap<&'a str, NameId>,
    /// Types likewise, as written.
    known_types: FxHashMap<&'a str, TypeRef>,
}

/// Which object a file belongs to, by its path.
struct Owner {
    kind: ObjectKind,
    name: String,
}

impl<'a> Linker<'a> {
    fn file(&mut self, path: &str, facts: FileFacts<&'a str>) {
        let file = FileId(row(&self.metadata.paths));
        self.metadata.paths.push(path.into());
        let root = self.roots.of(path);
        for trouble in facts.troubles {
            self.problem(path, ProblemKind::Unreadable(trouble));
        }
        let place = ModulePath::from_path(path);
        let owner = self.owner(root, &place);
        let predefined = self.predefined_items(&facts.predefined);
        match facts.object {
            Some(object) => self.object(path, file, root, object, predefined),
            None if !predefined.is_empty() => {
                if let Some(owner) = &owner {
                    let name = self.metadata.names.intern(&owner.name);
                    let key = (root, owner.kind, self.metadata.names.key(name));
                    self.predefined.push((key, predefined));
                }
            }
            None => {}
        }
        if let (Some(form), Some(owner)) = (facts.form, &owner) {
            let name = place.form.clone().unwrap_or_else(|| owner.name.clone());
            self.form(file, root, owner, &name, form);
        }
        if let Some(module) = facts.module {
            self.module(file, root, owner.as_ref(), &place, &module);
        }
    }

    fn owner(&self, root: RootId, place: &ModulePath) -> Option<Owner> {
        // Paths cannot tell an external report from an external processor.
        if let Some((kind, name)) = self.roots.external(root) {
            return Some(Owner {
                kind,
                name: name.to_owned(),
            });
        }
        Some(Owner {
            kind: ObjectKind::from_object_type(place.object_type)?,
            name: place.object_name.clone(),
        })
    }

    fn problem(&mut self, path: &str, kind: ProblemKind) {
        self.problems.push(Problem {
            path: path.to_owned(),
            kind,
        });
    }

    fn name(&mut self, spelling: &'a str) -> NameId {
        let names = &mut self.metadata.names;
        let known = self.known.entry(spelling);
        *known.or_insert_with(|| names.intern(spelling))
    }

    fn types(&mut self, written: &[&'a str]) -> TypeSetId {
        let (known, names) = (&mut self.known_types, &mut self.metadata.names);
        let types: Vec<TypeRef> = written
            .iter()
            .map(|name| {
                *known
                    .entry(name)
                    .or_insert_with(|| TypeRef::parse(name, names))
            })
            .collect();
        self.metadata.types.intern(&types)
    }

    fn members(&mut self, facts: &[MemberFacts<&'a str>]) -> Span {
        let start = row(&self.metadata.members);
        for member in facts {
            let member = Member {
                kind: member.kind,
                name: self.name(member.name),
                types: self.types(&member.types),
                is_balance: member.is_balance,
            };
            self.metadata.members.push(member);
        }
        span(start, &self.metadata.members)
    }

    fn predefined_items(&mut self, items: &[&'a str]) -> Span {
        let start = row(&self.metadata.members);
        let types = self.types(&[]);
        for item in items {
            let name = self.name(item);
            self.metadata.members.push(Member {
                kind: MemberKind::Predefined,
                name,
                types,
                is_balance: false,
            });
        }
        span(start, &self.metadata.members)
    }

    fn object(
        &mut self,
        path: &str,
        file: FileId,
        root: RootId,
        facts: ObjectFacts<&'a str>,
        predefined: Span,
    ) {
        let name = self.name(facts.name);
        let key = (root, facts.kind, self.metadata.names.key(name));
        // Subsystems lie in each other; only the whole path of one has to be unique.
        if facts.kind != ObjectKind::Subsystem
            && let Some(&first) = self.objects.get(&key)
        {
            let other = self
                .metadata
                .path(self.metadata.object(first).file)
                .to_owned();
            let kind = ProblemKind::SameName {
                kind: facts.kind,
                name: facts.name.to_owned(),
                other,
            };
            self.problem(path, kind);
            return;
        }
        let types = self.types(&facts.types);
        let members = self.members(&facts.members);
        let sections: Vec<Section> = facts
            .sections
            .iter()
            .map(|section| Section {
                name: self.name(section.name),
                columns: self.members(&section.columns),
            })
            .collect();
        let links: Vec<Link> = facts
            .links
            .iter()
            .map(|link| Link {
                kind: link.kind,
                target: self.name(link.target),
            })
            .collect();
        let id = ObjectId(row(&self.metadata.objects));
        self.objects.insert(key, id);
        let object = Object {
            kind: facts.kind,
            name,
            root,
            file,
            flags: facts.flags,
            ext_dimension_count: facts.ext_dimension_count,
            types,
            members,
            predefined,
            sections: append(&mut self.metadata.sections, sections),
            links: append(&mut self.metadata.links, links),
        };
        self.metadata.objects.push(object);
    }

    fn form(
        &mut self,
        file: FileId,
        root: RootId,
        owner: &Owner,
        name: &str,
        facts: FormFacts<&'a str>,
    ) {
        let items = facts
            .items
            .iter()
            .map(|item| Item {
                kind: item.kind,
                name: self.name(item.name),
                parent: item.parent,
                data_path: self.name(item.data_path),
            })
            .collect();
        let commands = facts
            .commands
            .iter()
            .map(|command| FormCommand {
                name: self.name(command.name),
                action: self.name(command.action),
            })
            .collect();
        let handlers = facts
            .handlers
            .iter()
            .map(|handler| Handler {
                event: self.name(handler.event),
                method: self.name(handler.method),
                item: handler.item,
            })
            .collect();
        let form = Form {
            owner_kind: owner.kind,
            owner: self.metadata.names.intern(&owner.name),
            name: self.metadata.names.intern(name),
            root,
            file,
            items: append(&mut self.metadata.items, items),
            commands: append(&mut self.metadata.commands, commands),
            handlers: append(&mut self.metadata.handlers, handlers),
            parameters: self.members(&facts.parameters),
            attributes: self.form_attributes(&facts.attributes),
        };
        self.metadata.forms.push(form);
    }

    fn form_attributes(&mut self, facts: &[FormAttributeFacts<&'a str>]) -> Span {
        let attributes: Vec<FormAttribute> = facts
            .iter()
            .map(|attribute| {
                let columns: Vec<FormColumn> = attribute
                    .columns
                    .iter()
                    .map(|column| FormColumn {
                        table: self.name(column.table),
                        name: self.name(column.name),
                        types: self.types(&column.types),
                    })
                    .collect();
                FormAttribute {
                    name: self.name(attribute.name),
                    types: self.types(&attribute.types),
                    is_main: attribute.is_main,
                    main_table: self.name(attribute.main_table),
                    query: self.text(attribute.query),
                    columns: append(&mut self.metadata.columns, columns),
                }
            })
            .collect();
        append(&mut self.metadata.attributes, attributes)
    }

    fn text(&mut self, text: &str) -> Span {
        let start = u32::try_from(self.metadata.texts.len()).expect("less than 4 GB of comments");
        self.metadata.texts.push_str(text);
        Span {
            start,
            len: u32::try_from(text.len()).expect("comments are short"),
        }
    }

    fn module(
        &mut self,
        file: FileId,
        root: RootId,
        owner: Option<&Owner>,
        place: &ModulePath,
        facts: &ModuleFacts<&'a str>,
    ) {
        let object = owner.map_or(&place.object_name, |owner| &owner.name);
        let part = place
            .form
            .as_ref()
            .or(place.command.as_ref())
            .or(place.part.as_ref().map(|part| &part.name));
        let names = &mut self.metadata.names;
        let object = names.intern(object);
        let part = part.map(|part| names.intern(part));
        let place = ModulePlace {
            object_kind: owner.map(|owner| owner.kind),
            module_kind: place.module_kind,
            object: names.key(object),
            part: part.map(|part| names.key(part)),
        };
        let variables = facts
            .variables
            .iter()
            .map(|variable| self.name(variable))
            .collect();
        let variables = append(&mut self.metadata.variables, variables);
        let methods = facts
            .methods
            .iter()
            .map(|method| self.method(method))
            .collect();
        self.metadata.modules.push(Module {
            root,
            file,
            place,
            variables,
            methods: append(&mut self.metadata.methods, methods),
        });
    }

    fn method(&mut self, facts: &MethodFacts<&'a str>) -> MethodEntry {
        let params = facts
            .params
            .iter()
            .map(|param| ParamEntry {
                name: self.name(param.name),
                by_value: param.by_value,
                default: self.name(param.default),
            })
            .collect();
        MethodEntry {
            name: self.name(facts.name),
            is_function: facts.is_function,
            is_export: facts.is_export,
            extends: facts
                .extends
                .as_ref()
                .map(|(kind, method)| (*kind, self.name(method))),
            offset: facts.offset,
            params: append(&mut self.metadata.params, params),
            doc: self.text(facts.doc),
        }
    }

    fn finish(mut self) -> (Metadata, Vec<Problem>) {
        for (key, span) in std::mem::take(&mut self.predefined) {
            if let Some(object) = self.objects.get(&key) {
                self.metadata.objects[object.0 as usize].predefined = span;
            }
        }
        let metadata = &mut self.metadata;
        metadata.roots = self.roots.take();
        sort_lists(metadata);
        check::common_attributes(metadata);
        check::recorders(metadata);
        check::bases(metadata, &mut self.problems);
        check::forms(metadata, &mut self.problems);
        check::defined_types(metadata, &mut self.problems);
        self.problems.sort();
        self.problems.dedup();
        shrink(metadata);
        (self.metadata, self.problems)
    }
}

fn sort_lists(metadata: &mut Metadata) {
    let mut objects: Vec<ObjectId> = (0..row(&metadata.objects)).map(ObjectId).collect();
    objects.sort_by_key(|&id| {
        let object = metadata.object(id);
        (
            object.kind,
            metadata.names.key(object.name),
            object.root,
            id,
        )
    });
    let mut forms: Vec<FormId> = (0..row(&metadata.forms)).map(FormId).collect();
    forms.sort_by_key(|&id| {
        let form = metadata.form(id);
        let names = &metadata.names;
        (
            form.owner_kind,
            names.key(form.owner),
            names.key(form.name),
            form.root,
            id,
        )
    });
    let mut modules: Vec<ModuleId> = (0..row(&metadata.modules)).map(ModuleId).collect();
    modules.sort_by_key(|&id| {
        let module = metadata.module(id);
        (module.place, module.root, id)
    });
    metadata.objects_by_name = objects;
    metadata.forms_by_name = forms;
    metadata.modules_by_place = modules;
}

fn shrink(metadata: &mut Metadata) {
    metadata.paths.shrink_to_fit();
    metadata.members.shrink_to_fit();
    metadata.items.shrink_to_fit();
    metadata.methods.shrink_to_fit();
    metadata.params.shrink_to_fit();
    metadata.texts.shrink_to_fit();
}

/// The number of the next row.
fn row<T>(table: &[T]) -> u32 {
    u32::try_from(table.len()).expect("fewer than 4 billion rows")
}

fn span<T>(start: u32, table: &[T]) -> Span {
    Span {
        start,
        len: row(table) - start,
    }
}

fn append<T>(table: &mut Vec<T>, rows: Vec<T>) -> Span {
    let start = row(table);
    table.extend(rows);
    span(start, table)
}

impl Metadata {
    /// The root of `role` whose name is `name`.
    pub fn root_named(&self, role: RootRole, name: &str) -> Option<RootId> {
        self.roots()
            .find(|(_, root)| root.role == role && root.name == name)
            .map(|(id, _)| id)
    }
}
