//! What the configuration says of a module's object and form, in a few lines of names.
//!
//! The corpus keeps it beside a module's header line and the assistant writes it there before the module's text, so that a network
//! which was trained with it knows names that the text has not said yet. Names stand behind a comma or a bracket, never behind a space: as code
//! has them behind a dot. Only names: types and synonyms would cost more pieces than the model reads there.

use nestor_bsl::ModulePath;
use nestor_bsl::module_path::ModuleKind;
use rustc_hash::FxHashSet;

use crate::facts::{ItemKind, MemberKind};
use crate::kinds::ObjectKind;
use crate::model::{Form, FormAttribute, Metadata};
use crate::names::NameId;
use crate::types::TypeRef;
use crate::view::{ObjectView, View};

/// Most names of one list. A list that is longer says more about itself than a module uses.
const MOST_NAMES: usize = 48;
/// About as many names as all lists together have at most; no reader takes more.
const MOST_IN_ALL: usize = 160;

impl Metadata {
    /// What is known of the object and the form of the module at `path`, nearest to its code first: one list a line, without a line end behind
    /// the last; empty where nothing is known.
    ///
    /// A module of an object: its attributes (dimensions and resources, values of an enumeration, ...), then a line for each tabular section,
    /// `Товары(Номенклатура,Цена)`. A form: its own attributes, the main one as `Объект(...)` and `Объект.Товары(...)`, then
    /// `Элементы(...)` with those that are not named like what they show.
    pub fn outline(&self, path: &str) -> String {
        let Some(view) = self.view_of_path(path) else {
            return String::new();
        };
        let place = ModulePath::from_path(path);
        let Some(kind) = ObjectKind::from_object_type(place.object_type) else {
            return String::new();
        };
        let mut outline = Outline {
            view,
            lines: Vec::new(),
            n_names: 0,
        };
        if place.module_kind == ModuleKind::Form {
            let name = place.form.as_deref().unwrap_or(&place.object_name);
            for form in view.forms(kind, &place.object_name, name) {
                outline.form(form);
            }
        } else if let Some(object) = view.object(kind, &place.object_name) {
            outline.object("", &object);
        }
        outline.lines.join("\n")
    }
}

/// Ends of the names of elements that a form's editor makes beside others.
const MADE_BESIDE: [&str; 4] = [
    "КонтекстноеМеню",
    "КоманднаяПанель",
    "ContextMenu",
    "CommandBar",
];

/// The lines so far.
struct Outline<'a> {
    view: View<'a>,
    lines: Vec<String>,
    n_names: usize,
}

impl<'a> Outline<'a> {
    fn list(&mut self, of: &str, names: impl IntoIterator<Item = NameId>) {
        let metadata = self.view.metadata();
        let mut line = of.to_owned();
        let mut mark = if of.is_empty() { "" } else { "(" };
        let most = MOST_NAMES.min(MOST_IN_ALL.saturating_sub(self.n_names));
        for name in names.into_iter().take(most) {
            self.n_names += 1;
            line.push_str(mark);
            line.push_str(metadata.name(name));
            mark = ",";
        }
        // A list of nothing says nothing.
        if mark == "," {
            line.push_str(if of.is_empty() { "" } else { ")" });
            self.lines.push(line);
        }
    }

    /// An object behind `variable`, which is empty where code names its attributes alone.
    fn object(&mut self, variable: &str, object: &ObjectView<'a>) {
        let members = object.members().into_iter();
        let named = members.filter(|member| is_named_in_code(member.kind));
        self.list(variable, named.map(|member| member.name));
        for section in object.sections() {
            let key = self.view.metadata().names().key(section);
            let name = self.view.metadata().name(section);
            let path = match variable {
                "" => name.to_owned(),
                variable => format!("{variable}.{name}"),
            };
            let columns = object.section(key).unwrap_or_default();
            self.list(&path, columns.into_iter().map(|column| column.name));
        }
    }

    fn form(&mut self, form: &'a Form) {
        let metadata = self.view.metadata();
        let attributes = metadata.form_attributes(form);
        let own = attributes.iter().filter(|attribute| !attribute.is_main);
        self.list("", own.map(|attribute| attribute.name));
        for attribute in attributes {
            self.attribute(attribute);
        }
        let said = self.said();
        let items = metadata.items(form).iter().filter(|item| {
            let name = metadata.name(item.name);
            item.kind != ItemKind::Decoration
                && !MADE_BESIDE.iter().any(|end| name.ends_with(end))
                && !said.contains(name)
        });
        self.list("Элементы", items.map(|item| item.name));
    }

    /// What names of elements the lines say already: those of attributes, and of the columns of a table behind its name.
    fn said(&self) -> FxHashSet<String> {
        let mut said = FxHashSet::default();
        for line in &self.lines {
            let (of, names) = line.split_once('(').unwrap_or(("", line));
            let table = of.rsplit_once('.').map_or(of, |(_, table)| table);
            said.insert(table.to_owned());
            for name in names.trim_end_matches(')').split(',') {
                said.insert(name.to_owned());
                said.insert(format!("{table}{name}"));
            }
        }
        said
    }

    fn attribute(&mut self, attribute: &'a FormAttribute) {
        let metadata = self.view.metadata();
        let name = metadata.name(attribute.name);
        let table = metadata.name(attribute.main_table);
        let object = match table.is_empty() {
            true if attribute.is_main => self.object_of_types(attribute),
            true => None,
            false => self.view.object_of_link(attribute.main_table),
        };
        if let Some(object) = object {
            self.object(name, &object);
        }
        let columns = metadata.form_columns(attribute).iter();
        let own = columns.filter(|column| metadata.name(column.table).is_empty());
        self.list(name, own.map(|column| column.name));
    }

    fn object_of_types(&self, attribute: &FormAttribute) -> Option<ObjectView<'a>> {
        let types = self.view.expand(attribute.types);
        types.into_iter().find_map(|one| match one {
            TypeRef::Object(_, kind, name) => {
                let key = self.view.metadata().names().key(name);
                self.view.object_of_key(kind, key)
            }
            _ => None,
        })
    }
}

/// Whether code of the object speaks of such a member often.
fn is_named_in_code(kind: MemberKind) -> bool {
    !matches!(
        kind,
        MemberKind::Command | MemberKind::Template | MemberKind::Form
    )
}
