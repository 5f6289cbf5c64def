//! What can only be seen once all files are linked: bases of extensions, uses of common attributes, and what does not fit together.

use rustc_hash::{FxHashMap, FxHashSet};

use crate::facts::{LinkKind, ObjectFlags};
use crate::kinds::ObjectKind;
use crate::model::{Metadata, ModulePlace, Object, ObjectId, RootId, RootRole};
use crate::names::NameKey;
use crate::problem::{Problem, ProblemKind};
use crate::types::TypeRef;
use nestor_bsl::module_path::ModuleKind;

/// Finds the base of every extension and external processor, and what each root sees.
pub(super) fn bases(metadata: &mut Metadata, problems: &mut Vec<Problem>) {
    let of_role = |role: RootRole| -> Vec<RootId> {
        metadata
            .roots()
            .filter(|(_, root)| root.role == role)
            .map(|(id, _)| id)
            .collect()
    };
    let (configurations, extensions) = (of_role(RootRole::Base), of_role(RootRole::Extension));
    let mut bases: Vec<Option<RootId>> = Vec::with_capacity(metadata.roots.len());
    for (id, root) in metadata.roots() {
        let base = match root.role {
            RootRole::Base => None,
            RootRole::Extension => {
                let (base, adopted, found) = base_of(metadata, id, &configurations);
                if adopted > 0 && found == 0 {
                    let extension = root.name.clone();
                    let path = format!("{}Configuration", root.folder);
                    problems.push(Problem {
                        path: path_of(metadata, id).unwrap_or(path),
                        kind: ProblemKind::MissingBase { extension },
                    });
                }
                // With a single configuration there is no doubt which is meant, even if little of it is there.
                base.filter(|_| adopted == 0 || found > 0 || configurations.len() == 1)
            }
            RootRole::External => nearest(metadata, id, &configurations),
            RootRole::Loose => match configurations[..] {
                [only] => Some(only),
                _ => None,
            },
        };
        bases.push(base);
    }
    for (idx, root) in metadata.roots.iter_mut().enumerate() {
        root.base = bases[idx];
        root.sees = vec![RootId(idx as u32)];
        root.sees.extend(root.base);
    }
    // Extensions of one configuration run together; what another one declares comes last.
    for idx in 0..metadata.roots.len() {
        let root = &metadata.roots[idx];
        let Some(base) = root.base else { continue };
        let others = extensions
            .iter()
            .copied()
            .filter(|&other| other.0 as usize != idx && bases[other.0 as usize] == Some(base))
            .collect::<Vec<_>>();
        metadata.roots[idx].sees.extend(others);
    }
}

/// The configuration that has most of what the extension has taken over; how much it has taken over, and how much of it was found.
fn base_of(
    metadata: &Metadata,
    extension: RootId,
    configurations: &[RootId],
) -> (Option<RootId>, usize, usize) {
    let adopted: Vec<(ObjectKind, NameKey)> = metadata
        .objects
        .iter()
        .filter(|object| object.root == extension && object.flags.has(ObjectFlags::ADOPTED))
        // Every configuration has a language, often of the same name.
        .filter(|object| object.kind != ObjectKind::Language)
        .map(|object| (object.kind, metadata.names.key(object.name)))
        .collect();
    let found_in = |root: RootId| {
        let is_found = |(kind, name): &&(ObjectKind, NameKey)| has(metadata, root, *kind, *name);
        adopted.iter().filter(is_found).count()
    };
    let best = configurations
        .iter()
        .map(|&root| {
            (
                found_in(root),
                common_folders(metadata, extension, root),
                std::cmp::Reverse(root),
            )
        })
        .max();
    match best {
        Some((found, _, std::cmp::Reverse(root))) => (Some(root), adopted.len(), found),
        None => (None, adopted.len(), 0),
    }
}

fn has(metadata: &Metadata, root: RootId, kind: ObjectKind, name: NameKey) -> bool {
    metadata
        .objects_named(kind, name)
        .iter()
        .any(|&id| metadata.object(id).root == root)
}

fn nearest(metadata: &Metadata, root: RootId, configurations: &[RootId]) -> Option<RootId> {
    configurations.iter().copied().max_by_key(|&other| {
        (
            common_folders(metadata, root, other),
            std::cmp::Reverse(other),
        )
    })
}

/// How many folders two roots share from the top.
fn common_folders(metadata: &Metadata, left: RootId, right: RootId) -> usize {
    let folders = |root: RootId| metadata.root(root).folder.split('/').collect::<Vec<_>>();
    folders(left)
        .iter()
        .zip(folders(right).iter())
        .take_while(|(left, right)| left == right)
        .count()
}

/// A file of the root, to name it by.
fn path_of(metadata: &Metadata, root: RootId) -> Option<String> {
    let folder = &metadata.root(root).folder;
    metadata
        .paths
        .iter()
        .find(|path| {
            path.strip_prefix(folder.as_str()).is_some_and(|rest| {
                matches!(
                    rest,
                    "Configuration.xml" | "Configuration/Configuration.mdo"
                )
            })
        })
        .map(|path| path.to_string())
}

/// Lists which objects have which common attributes.
pub(super) fn common_attributes(metadata: &mut Metadata) {
    let mut uses: Vec<(ObjectKind, NameKey, ObjectId)> = Vec::new();
    for (id, attribute) in (0..).map(ObjectId).zip(&metadata.objects) {
        if attribute.kind != ObjectKind::CommonAttribute {
            continue;
        }
        let targets = |kind: LinkKind| {
            metadata
                .links(attribute)
                .iter()
                .filter(move |link| link.kind == kind)
                .filter_map(|link| metadata.target(metadata.name(link.target)))
        };
        if attribute.flags.has(ObjectFlags::AUTO_USE) {
            let refuse: FxHashSet<(ObjectKind, NameKey)> =
                targets(LinkKind::CommonAttributeDontUse).collect();
            let all = metadata
                .objects
                .iter()
                .filter(|object| object.root == attribute.root && takes_common_attributes(object));
            uses.extend(
                all.map(|object| (object.kind, metadata.names.key(object.name)))
                    .filter(|key| !refuse.contains(key))
                    .map(|(kind, name)| (kind, name, id)),
            );
        } else {
            uses.extend(targets(LinkKind::CommonAttributeUse).map(|(kind, name)| (kind, name, id)));
        }
    }
    uses.sort_unstable();
    metadata.common_attribute_uses = uses;
}

/// Lists which documents write which registers.
pub(super) fn recorders(metadata: &mut Metadata) {
    let mut recorders: Vec<(ObjectKind, NameKey, ObjectId)> = Vec::new();
    for (id, document) in (0..).map(ObjectId).zip(&metadata.objects) {
        let registers = metadata
            .links(document)
            .iter()
            .filter(|link| link.kind == LinkKind::RegisterRecords);
        let registers = registers.filter_map(|link| metadata.target(metadata.name(link.target)));
        recorders.extend(registers.map(|(kind, name)| (kind, name, id)));
    }
    recorders.sort_unstable();
    metadata.recorders = recorders;
}

fn takes_common_attributes(object: &Object) -> bool {
    (object.kind.has_refs() && object.kind != ObjectKind::Enum) || object.kind.is_register()
}

/// Forms whose events call methods, without a module to have them.
pub(super) fn forms(metadata: &Metadata, problems: &mut Vec<Problem>) {
    for form in &metadata.forms {
        // An extension's form may live off the module of its base.
        if metadata.root(form.root).role == RootRole::Extension {
            continue;
        }
        let methods = metadata.handlers(form).iter().map(|handler| handler.method);
        let actions = metadata
            .form_commands(form)
            .iter()
            .map(|command| command.action);
        let Some(method) = methods
            .chain(actions)
            .map(|name| metadata.name(name))
            .find(|name| !name.is_empty())
        else {
            continue;
        };
        let place = ModulePlace {
            object_kind: Some(form.owner_kind),
            module_kind: ModuleKind::Form,
            object: metadata.names.key(form.owner),
            part: (form.owner_kind != ObjectKind::CommonForm)
                .then(|| metadata.names.key(form.name)),
        };
        let has_module = metadata
            .modules_at(place)
            .iter()
            .any(|&id| metadata.module(id).root == form.root);
        if !has_module {
            problems.push(Problem {
                path: metadata.path(form.file).to_owned(),
                kind: ProblemKind::FormWithoutModule {
                    method: method.to_owned(),
                },
            });
        }
    }
}

/// Defined types that stand for themselves in the end.
pub(super) fn defined_types(metadata: &Metadata, problems: &mut Vec<Problem>) {
    let defined: FxHashMap<(RootId, NameKey), &Object> = metadata
        .objects
        .iter()
        .filter(|object| object.kind == ObjectKind::DefinedType)
        .map(|object| ((object.root, metadata.names.key(object.name)), object))
        .collect();
    for object in metadata
        .objects
        .iter()
        .filter(|object| object.kind == ObjectKind::DefinedType)
    {
        let start = (object.root, metadata.names.key(object.name));
        let mut seen = FxHashSet::default();
        let mut waiting = vec![start];
        let mut is_cyclic = false;
        while let Some(at) = waiting.pop() {
            let Some(object) = defined.get(&at) else {
                continue;
            };
            for kind in metadata.types(object.types) {
                if let TypeRef::Defined(name) = kind {
                    let next = (at.0, metadata.names.key(*name));
                    is_cyclic |= next == start;
                    if seen.insert(next) {
                        waiting.push(next);
                    }
                }
            }
        }
        if is_cyclic {
            problems.push(Problem {
                path: metadata.path(object.file).to_owned(),
                kind: ProblemKind::CyclicType {
                    name: metadata.name(object.name).to_owned(),
                },
            });
        }
    }
}
