//! Whose code a module is: a vendor's, or that of the people who keep the source.
//!
//! What tells, the strongest first: the kind of the root, the vendor's rule of support for the object, the configuration's
//! prefix, commits by hand. Nothing here reads a module's text. Called by `learn`, which teaches own code first.

use std::collections::{HashMap, HashSet};

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::objects::{declared, value, values};
use super::support::{Support, SupportRule, Uuid};
use super::{Files, Layout, Root, RootRole};

/// Whose code a module is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// Written, or at least kept, by those whose source it is.
    Own,
    /// It may be either.
    Unknown,
    /// A vendor's, as delivered.
    Vendor,
}

/// What tells whose code a module is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OriginReason {
    /// Own: it lies in an extension.
    Extension,
    /// Own: it is an external data processor or report.
    External,
    /// Own: it lies in no configuration.
    NoConfiguration,
    /// Own: no vendor supports the configuration.
    NoSupport,
    /// Own: the object comes from no vendor.
    NotListed,
    /// Own: the object was taken off support.
    OffSupport,
    /// Own: the object's name, or that of a subsystem which it is in, begins with the configuration's prefix.
    Prefix,
    /// Own: the object may be edited while on support, and a commit of few modules has changed the file.
    EditedByHand,
    /// Own: the user says so.
    ToldOwn,
    /// Unknown: the object may be edited while on support, and nothing says that it was.
    Editable,
    /// Unknown: the list of objects on support cannot be read.
    UnreadableSupport,
    /// Unknown: no file declares the object, so that its rule of support is not known.
    NoObject,
    /// Vendor: the object may not be edited.
    Locked,
    /// Vendor: nothing of the configuration may be edited.
    ReadOnly,
    /// Vendor: it lies in a folder of installed packages.
    Package,
    /// Vendor: the user says so.
    ToldVendor,
}

impl OriginReason {
    /// The origin that it tells.
    #[must_use]
    pub fn origin(self) -> Origin {
        match self {
            Self::Extension
            | Self::External
            | Self::NoConfiguration
            | Self::NoSupport
            | Self::NotListed
            | Self::OffSupport
            | Self::Prefix
            | Self::EditedByHand
            | Self::ToldOwn => Origin::Own,
            Self::Editable | Self::UnreadableSupport | Self::NoObject => Origin::Unknown,
            Self::Locked | Self::ReadOnly | Self::Package | Self::ToldVendor => Origin::Vendor,
        }
    }
}

/// Folders that a package manager fills.
const PACKAGES: [&str; 2] = ["oscript_modules", "node_modules"];
/// A file that declares an object names its uuid this early.
const HEAD_BYTES: usize = 8 << 10;

/// What the files of a configuration say of all its objects.
pub(super) struct Facts {
    support: Option<Result<Support, String>>,
    /// The prefix of own objects in lower case; empty where none is set.
    prefix: String,
    /// Objects of own subsystems, as `Catalog.Товары`.
    in_own_subsystems: Vec<String>,
}

impl Facts {
    /// Reads them for each root; only configurations have some.
    pub(super) fn read<F: Files>(files: &F, paths: &[&str], roots: &[Root]) -> Vec<Option<Self>> {
        let loader = files.loader();
        let bytes = |path: &str| {
            let file = paths.binary_search(&path).ok()?;
            files.load(&loader, file).ok()
        };
        let text = |path: &str| Some(String::from_utf8_lossy(&bytes(path)?).into_owned());
        let of_root = |root: &Root| {
            if root.role != RootRole::Configuration {
                return None;
            }
            let place = Place::of(root);
            let support = bytes(&place.support());
            let configuration = text(&place.configuration()).unwrap_or_default();
            let prefix = ["NamePrefix", "namePrefix"]
                .iter()
                .find_map(|tag| value(&configuration, tag));
            let prefix = prefix.unwrap_or("").to_lowercase();
            Some(Self {
                support: support
                    .map(|bytes| Support::read(&bytes).map_err(|error| error.to_string())),
                in_own_subsystems: own_subsystems(&place, &prefix, paths, &text),
                prefix,
            })
        };
        roots.iter().map(of_root).collect()
    }
}

/// The content of the subsystems whose names begin with the prefix.
fn own_subsystems(
    place: &Place<'_>,
    prefix: &str,
    paths: &[&str],
    text: &dyn Fn(&str) -> Option<String>,
) -> Vec<String> {
    if prefix.is_empty() {
        return Vec::new();
    }
    let folder = format!("{}Subsystems/", place.objects);
    let is_own = |path: &&&str| {
        let name = path.rsplit('/').next().unwrap_or("");
        path.starts_with(&folder)
            && (name.ends_with(".xml") || name.ends_with(".mdo"))
            && name.to_lowercase().starts_with(prefix)
    };
    let files = paths.iter().filter(is_own).filter_map(|path| text(path));
    files
        .flat_map(|text| {
            let items = ["Item", "content"]
                .iter()
                .flat_map(|tag| values(&text, tag));
            items.map(str::to_owned).collect::<Vec<_>>()
        })
        .collect()
}

/// Where the files of a configuration lie.
struct Place<'a> {
    root: &'a Root,
    /// Folder of the kinds of objects, with a slash at the end unless it is empty.
    objects: String,
}

impl<'a> Place<'a> {
    fn of(root: &'a Root) -> Self {
        let mut objects = root.path.clone();
        if !objects.is_empty() {
            objects.push('/');
        }
        if root.layout == Layout::Edt {
            objects.push_str("src/");
        }
        Self { root, objects }
    }

    fn support(&self) -> String {
        let folder = match self.root.layout {
            Layout::Edt => "Configuration",
            _ => "Ext",
        };
        format!("{}{folder}/ParentConfigurations.bin", self.objects)
    }

    fn configuration(&self) -> String {
        let file = match self.root.layout {
            Layout::Edt => "Configuration/Configuration.mdo",
            _ => "Configuration.xml",
        };
        format!("{}{file}", self.objects)
    }

    /// The object that a module belongs to.
    fn object<'p>(&self, path: &'p str) -> Option<Object<'p>> {
        let parts: Vec<&str> = path.strip_prefix(&self.objects)?.split('/').collect();
        let is_edt = self.root.layout == Layout::Edt;
        let (&kind, &name) = (parts.first()?, parts.get(1)?);
        if kind == "Ext" || (is_edt && kind == "Configuration") {
            return Some(Object {
                kind: "",
                name: "",
                file: self.configuration(),
                child: None,
            });
        }
        let folder = format!("{}{kind}/{name}", self.objects);
        let child = match (parts.get(2), parts.get(3)) {
            (Some(&"Forms"), Some(&child)) => Some(("form", child)),
            (Some(&"Commands"), Some(&child)) => Some(("command", child)),
            _ => None,
        };
        Some(Object {
            kind,
            name,
            file: if is_edt {
                format!("{folder}/{name}.mdo")
            } else {
                format!("{folder}.xml")
            },
            child,
        })
    }
}

/// An object of metadata that has a module.
struct Object<'a> {
    /// Its folder, `Catalogs`; empty for the configuration itself.
    kind: &'a str,
    name: &'a str,
    /// The file that declares it.
    file: String,
    /// The form or the command that the module belongs to, inside the object.
    child: Option<(&'static str, &'a str)>,
}

impl Object<'_> {
    /// The file of a form that is declared in a file of its own.
    fn child_file(&self) -> Option<String> {
        let (_, name) = self.child.filter(|(kind, _)| *kind == "form")?;
        let folder = self.file.strip_suffix(".xml")?;
        Some(format!("{folder}/Forms/{name}.xml"))
    }

    fn has_prefix(&self, facts: &Facts) -> bool {
        if facts.prefix.is_empty() || self.name.is_empty() {
            return false;
        }
        let begins = |name: &str| name.to_lowercase().starts_with(&facts.prefix);
        let is_it = |item: &String| {
            // `Catalogs` and `Catalog`, `ChartsOfAccounts` and `ChartOfAccounts`: the beginnings agree.
            let start = |kind: &str| kind.get(..4).map(str::to_lowercase);
            item.split_once('.')
                .is_some_and(|(kind, name)| name == self.name && start(kind) == start(self.kind))
        };
        begins(self.name)
            || self.child.is_some_and(|(_, child)| begins(child))
            || facts.in_own_subsystems.iter().any(is_it)
    }
}

/// Finds for each of the modules, by path and root, what tells whose code it is. `edited` says which of those that may be
/// edited on support people have changed.
pub(super) fn find<F: Files>(
    files: &F,
    paths: &[&str],
    roots: &[Root],
    facts: &[Option<Facts>],
    modules: &[(&str, Option<usize>)],
    edited: &dyn Fn(&[&str]) -> HashSet<String>,
) -> Vec<OriginReason> {
    let objects: Vec<Option<Object<'_>>> = modules
        .iter()
        .map(|&(path, root)| {
            let root = root.filter(|root| supported(facts, *root).is_some())?;
            Place::of(&roots[root]).object(path)
        })
        .collect();
    let uuids = Uuids::read(files, paths, objects.iter().flatten());
    let mut reasons: Vec<OriginReason> = modules
        .iter()
        .zip(&objects)
        .map(|(&(path, root), object)| reason(path, root, roots, facts, object.as_ref(), &uuids))
        .collect();
    let may_be_edited = |reason: &OriginReason| *reason == OriginReason::Editable;
    let unsure: Vec<&str> = modules
        .iter()
        .zip(&reasons)
        .filter(|(_, reason)| may_be_edited(reason))
        .map(|((path, _), _)| *path)
        .collect();
    if !unsure.is_empty() {
        let edited = edited(&unsure);
        for ((path, _), reason) in modules.iter().zip(&mut reasons) {
            if may_be_edited(reason) && edited.contains(*path) {
                *reason = OriginReason::EditedByHand;
            }
        }
    }
    reasons
}

/// The support of a configuration that may be edited and that some vendor supports.
fn supported(facts: &[Option<Facts>], root: usize) -> Option<&Support> {
    let support = facts[root].as_ref()?.support.as_ref()?.as_ref().ok()?;
    (!support.is_read_only && !support.vendors.is_empty()).then_some(support)
}

fn reason(
    path: &str,
    root: Option<usize>,
    roots: &[Root],
    facts: &[Option<Facts>],
    object: Option<&Object<'_>>,
    uuids: &Uuids,
) -> OriginReason {
    if path.split('/').any(|part| PACKAGES.contains(&part)) {
        return OriginReason::Package;
    }
    let Some(root) = root else {
        return OriginReason::NoConfiguration;
    };
    match roots[root].role {
        RootRole::Extension => return OriginReason::Extension,
        RootRole::ExternalProcessor => return OriginReason::External,
        RootRole::Library => return OriginReason::NoConfiguration,
        RootRole::Configuration => {}
    }
    let facts_of_root = facts[root].as_ref();
    let has_prefix = |object: &Object<'_>| facts_of_root.is_some_and(|f| object.has_prefix(f));
    match facts_of_root.and_then(|facts| facts.support.as_ref()) {
        None => return OriginReason::NoSupport,
        Some(Err(_)) => {
            let object = Place::of(&roots[root]).object(path);
            return match object.filter(has_prefix) {
                Some(_) => OriginReason::Prefix,
                None => OriginReason::UnreadableSupport,
            };
        }
        Some(Ok(support)) if support.vendors.is_empty() => return OriginReason::NoSupport,
        Some(Ok(support)) if support.is_read_only => return OriginReason::ReadOnly,
        Some(Ok(_)) => {}
    }
    let (Some(object), Some(support)) = (object, supported(facts, root)) else {
        return OriginReason::NoObject;
    };
    let or_prefix = |reason| {
        if has_prefix(object) {
            OriginReason::Prefix
        } else {
            reason
        }
    };
    let Some(uuid) = uuids.of(object) else {
        return or_prefix(OriginReason::NoObject);
    };
    match support.rule(uuid) {
        None => OriginReason::NotListed,
        Some(SupportRule::Off) => OriginReason::OffSupport,
        Some(SupportRule::Editable) => or_prefix(OriginReason::Editable),
        Some(SupportRule::Locked) => OriginReason::Locked,
    }
}

/// Ids of objects by the files that declare them.
struct Uuids {
    by_file: HashMap<String, FileUuids>,
}

/// The object of a file, then those inside it by kind and name.
type FileUuids = (Uuid, HashMap<(String, String), Uuid>);

impl Uuids {
    fn read<'a, F: Files>(
        files: &F,
        paths: &[&str],
        objects: impl Iterator<Item = &'a Object<'a>>,
    ) -> Self {
        // Of most files the head is enough.
        let mut wanted: HashMap<String, bool> = HashMap::new();
        for object in objects {
            let own_file = object
                .child_file()
                .filter(|file| paths.binary_search(&file.as_str()).is_ok());
            let in_whole = object.child.is_some() && own_file.is_none();
            if let Some(file) = own_file {
                wanted.entry(file).or_default();
            }
            *wanted.entry(object.file.clone()).or_default() |= in_whole;
        }
        let wanted: Vec<(String, bool)> = wanted.into_iter().collect();
        let read = wanted.into_par_iter().map_init(
            || files.loader(),
            |loader, (path, whole)| {
                let file = paths.binary_search(&path.as_str()).ok()?;
                let bytes = if whole {
                    files.load(loader, file)
                } else {
                    files.load_head(loader, file, HEAD_BYTES)
                };
                let bytes = bytes.ok()?;
                let text = String::from_utf8_lossy(&bytes);
                let declared = declared(&text);
                let (first, inside) = declared.split_first()?;
                let inside = inside.iter().filter(|_| whole).map(|object| {
                    let kind = object.element.to_lowercase();
                    let kind = kind.trim_end_matches('s').to_owned();
                    ((kind, object.name.to_owned()), object.uuid)
                });
                Some((path, (first.uuid, inside.collect())))
            },
        );
        Self {
            by_file: read.flatten().collect(),
        }
    }

    /// The id of the form or command, else of the object itself.
    fn of(&self, object: &Object<'_>) -> Option<Uuid> {
        let own_file = object.child_file();
        if let Some((uuid, _)) = own_file.and_then(|file| self.by_file.get(&file)) {
            return Some(*uuid);
        }
        let (uuid, inside) = self.by_file.get(&object.file)?;
        let child = object
            .child
            .and_then(|(kind, name)| inside.get(&(kind.to_owned(), name.to_owned())).copied());
        Some(child.unwrap_or(*uuid))
    }
}

#[cfg(test)]
mod tests;
