//! What a file's path says about the module in it: the object's type and name, and the kind of the module.
//!
//! The corpus writes [`ModulePath::header`] before every document and the assistant before every prompt, so the model
//! knows which globals and events exist. Read from the path alone, in the Designer's layout (`Catalogs/X/Ext/...`), EDT's
//! (`src/Catalogs/X/...`), external processors', flat old dumps' (`Справочник.X.МодульОбъекта.txt`) and OneScript's.
//! Nothing here opens a file.

mod names;

pub use names::{ModuleKind, ObjectType};

/// A module as its path names it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ModulePath {
    /// Type of the object that the module belongs to.
    pub object_type: ObjectType,
    /// Its name; empty for the configuration itself.
    pub object_name: String,
    /// A part of the object with modules of its own: a recalculation, a table of an external data source.
    pub part: Option<Part>,
    /// The form, where it is a form's module.
    pub form: Option<String>,
    /// The command, where it is a command's module.
    pub command: Option<String>,
    /// Kind of the module.
    pub module_kind: ModuleKind,
    /// The extension, where the path goes through `cfe/<name>` or `exts/<name>`. Not in the header: an extension's
    /// module is written like the one it extends.
    pub extension: Option<String>,
}

/// A part of an object that has modules of its own.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Part {
    /// What it is, in Russian: `Перерасчет`, `Таблица`.
    pub kind: &'static str,
    /// The same in English.
    pub kind_english: &'static str,
    /// Its name.
    pub name: String,
}

impl ModulePath {
    /// Reads a path with `/` or `\`, absolute or relative. Never fails: what is not recognised is
    /// [`ObjectType::Other`] with the file's name.
    pub fn from_path(path: &str) -> ModulePath {
        let folders: Vec<&str> = path
            .split(['/', '\\'])
            .filter(|part| !part.is_empty() && *part != ".")
            .collect();
        let (file, folders) = folders
            .split_last()
            .map_or(("", &[][..]), |(file, folders)| (*file, folders));
        let (stem, file_type) = file.rsplit_once('.').unwrap_or((file, ""));
        let mut module = if file_type.eq_ignore_ascii_case("os") {
            script(folders, stem)
        } else {
            flat(stem)
                .or_else(|| of_collection(folders, stem))
                .or_else(|| of_root(folders, stem))
                .unwrap_or_else(|| ModulePath::new(ObjectType::Other, stem, ModuleKind::Module))
        };
        module.extension = extension(folders);
        module
    }

    /// The line the model reads before the module: `Документ.ЗаказПокупателя.МодульОбъекта`,
    /// `Справочник.Товары.Форма.ФормаЭлемента.МодульФормы`. Always in Russian, whatever language the names are in.
    pub fn header(&self) -> String {
        let form = self.form.as_ref().map(|form| ("Форма", form));
        let command = self.command.as_ref().map(|command| ("Команда", command));
        let part = self.part.as_ref().map(|part| (part.kind, &part.name));
        self.join(
            self.object_type.russian(),
            [part, form, command],
            self.module_kind.russian(),
        )
    }

    /// The same in English: `Document.CustomerOrder.ObjectModule`.
    pub fn header_english(&self) -> String {
        let form = self.form.as_ref().map(|form| ("Form", form));
        let command = self.command.as_ref().map(|command| ("Command", command));
        let part = self
            .part
            .as_ref()
            .map(|part| (part.kind_english, &part.name));
        self.join(
            self.object_type.english(),
            [part, form, command],
            self.module_kind.english(),
        )
    }

    fn join(&self, object_type: &str, parts: [Option<(&str, &String)>; 3], kind: &str) -> String {
        let mut words = vec![object_type];
        if !self.object_name.is_empty() {
            words.push(&self.object_name);
        }
        for (word, name) in parts.into_iter().flatten() {
            words.extend([word, name]);
        }
        words.push(kind);
        words.join(".")
    }

    fn new(object_type: ObjectType, object_name: &str, module_kind: ModuleKind) -> Self {
        ModulePath {
            object_type,
            object_name: object_name.to_owned(),
            part: None,
            form: None,
            command: None,
            module_kind,
            extension: None,
        }
    }

    /// Reads what stands between the object's folder and the file, and settles the kind of the module.
    fn with_rest(mut self, rest: &[&str], stem: &str) -> Self {
        let mut rest = rest;
        while let [folder, name, tail @ ..] = rest {
            match (*folder, names::part(folder)) {
                ("Ext", _) => {
                    rest = &rest[1..];
                    continue;
                }
                // `Ext/Form/Module.bsl` is the form's own folder; `Form/<name>/<name>.bsl` is v8unpack's.
                ("Forms" | "Form", _) => self.form = Some((*name).to_owned()),
                ("Commands", _) => self.command = Some((*name).to_owned()),
                (_, Some((kind, kind_english))) => {
                    self.part = Some(Part {
                        kind,
                        kind_english,
                        name: (*name).to_owned(),
                    });
                }
                _ => {}
            }
            rest = tail;
        }
        self.module_kind = match ModuleKind::from_stem(stem) {
            Some(kind) => kind,
            None if self.form.is_some() => ModuleKind::Form,
            None if self.command.is_some() => ModuleKind::Command,
            None => self.object_type.own_module(),
        };
        self
    }
}

/// `.../Catalogs/<name>/...`: the last folder that is a collection of objects and holds one.
fn of_collection(folders: &[&str], stem: &str) -> Option<ModulePath> {
    let holds_object = |idx: &usize| {
        folders.get(idx + 1).is_some_and(|name| {
            !matches!(*name, "Ext" | "Forms" | "Form" | "Commands" | "Templates")
        })
    };
    let (idx, object_type) = (0..folders.len())
        .rev()
        .filter(holds_object)
        .find_map(|idx| Some((idx, ObjectType::from_folder(folders[idx])?)))?;
    let module = ModulePath::new(object_type, folders[idx + 1], ModuleKind::Module);
    Some(module.with_rest(&folders[idx + 2..], stem))
}

/// Modules of the configuration itself and of external processors, whose root is no collection.
fn of_root(folders: &[&str], stem: &str) -> Option<ModulePath> {
    let kind = ModuleKind::from_stem(stem);
    if kind.is_some_and(ModuleKind::is_of_configuration) {
        return kind.map(|kind| ModulePath::new(ObjectType::Configuration, "", kind));
    }
    let inner = folders
        .iter()
        .position(|folder| matches!(*folder, "Ext" | "Forms" | "Form" | "Commands"));
    let idx = match (inner, kind) {
        (Some(inner), _) => inner.checked_sub(1)?,
        (None, Some(ModuleKind::Object)) => folders.len().checked_sub(1)?,
        _ => return None,
    };
    let module = ModulePath::new(
        ObjectType::ExternalDataProcessor,
        folders[idx],
        ModuleKind::Module,
    );
    Some(module.with_rest(&folders[idx + 1..], stem))
}

/// `Справочник.Товары.МодульОбъекта`, `Catalog.Goods.Form.ItemForm.Form.Module`: the flat layout of old dumps.
fn flat(stem: &str) -> Option<ModulePath> {
    let words: Vec<&str> = stem.split('.').collect();
    let (object_type, name) = (ObjectType::from_name(words.first()?)?, *words.get(1)?);
    let mut module = ModulePath::new(object_type, name, object_type.own_module());
    let mut rest = &words[2..];
    if let [word, name, tail @ ..] = rest {
        match *word {
            "Форма" | "Form" => {
                module.form = Some((*name).to_owned());
                module.module_kind = ModuleKind::Form;
                rest = tail;
            }
            "Команда" | "Command" => {
                module.command = Some((*name).to_owned());
                module.module_kind = ModuleKind::Command;
                rest = tail;
            }
            _ => {}
        }
    }
    if let Some(kind) = rest.last().and_then(|word| ModuleKind::from_name(word)) {
        module.module_kind = kind;
    }
    Some(module)
}

/// OneScript tells classes from modules by the folder.
fn script(folders: &[&str], stem: &str) -> ModulePath {
    let kind = folders
        .iter()
        .rev()
        .find_map(|folder| match folder.to_lowercase().as_str() {
            "классы" | "classes" => Some(ModuleKind::ScriptClass),
            "модули" | "modules" => Some(ModuleKind::ScriptModule),
            _ => None,
        });
    ModulePath::new(
        ObjectType::OneScript,
        stem,
        kind.unwrap_or(ModuleKind::Script),
    )
}

fn extension(folders: &[&str]) -> Option<String> {
    let after = |idx: usize| folders.get(idx + 1).map(|name| (*name).to_owned());
    let idx = folders
        .iter()
        .position(|folder| matches!(*folder, "cfe" | "exts" | "extensions"))?;
    after(idx)
        .filter(|name| ObjectType::from_folder(name).is_none() && name != "Ext" && name != "src")
}

#[cfg(test)]
mod tests;
