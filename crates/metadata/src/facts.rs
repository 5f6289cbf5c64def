//! What one file says, before it is linked with the others.
//!
//! The readers make these in parallel, [`Index`](crate::Index) keeps them by path in a packed form, and linking turns
//! all of them into [`Metadata`](crate::Metadata). Facts name things by text and know nothing of other files. Types are written the way
//! Designer's XML does, in English: `CatalogRef.Товары`, `String`, `DefinedType.Владелец`.
//!
//! A reader's facts own their texts; those that linking unpacks borrow them from the packed form (`S` is `&str`): there are millions.

use serde::{Deserialize, Serialize};

use crate::kinds::ObjectKind;

/// Everything that is read from one file.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileFacts<S = String> {
    /// The configuration or extension that begins in the file's folder.
    pub configuration: Option<ConfigurationFacts<S>>,
    /// The object that the file describes.
    pub object: Option<ObjectFacts<S>>,
    /// Names of predefined items, where the file lists them.
    pub predefined: Vec<S>,
    /// The form whose layout the file holds.
    pub form: Option<FormFacts<S>>,
    /// The module.
    pub module: Option<ModuleFacts<S>>,
    /// What could not be read.
    pub troubles: Vec<Trouble>,
}

/// A configuration or an extension.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConfigurationFacts<S = String> {
    /// Its name.
    pub name: S,
    /// Whether it extends another configuration.
    pub is_extension: bool,
}

/// A metadata object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObjectFacts<S = String> {
    /// Its kind.
    pub kind: ObjectKind,
    /// Its name.
    pub name: S,
    /// Its properties that code can tell.
    pub flags: ObjectFlags,
    /// How many kinds of subconto an account can have.
    pub ext_dimension_count: u8,
    /// Types of the value: of a constant, a session parameter, a defined type, a characteristic.
    pub types: Vec<S>,
    /// Attributes and the like, without the columns of tabular sections.
    pub members: Vec<MemberFacts<S>>,
    /// Tabular sections.
    pub sections: Vec<SectionFacts<S>>,
    /// Other objects that it names.
    pub links: Vec<LinkFacts<S>>,
}

/// An attribute or another named part of an object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemberFacts<S = String> {
    /// What it is.
    pub kind: MemberKind,
    /// Its name.
    pub name: S,
    /// The types of its value.
    pub types: Vec<S>,
    /// A resource or dimension of an accounting register that is kept for each side of an entry apart is not balance.
    pub is_balance: bool,
}

/// A tabular section.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SectionFacts<S = String> {
    /// Its name.
    pub name: S,
    /// Its columns.
    pub columns: Vec<MemberFacts<S>>,
}

/// Another object that an object names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LinkFacts<S = String> {
    /// What for.
    pub kind: LinkKind,
    /// Its full name as written (`Catalog.Товары`).
    pub target: S,
}

/// What a member is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum MemberKind {
    /// `Реквизит`.
    Attribute,
    /// `Измерение` of a register or a sequence.
    Dimension,
    /// `Ресурс` of a register.
    Resource,
    /// `Графа` of a document journal.
    JournalColumn,
    /// `ЗначениеПеречисления`.
    EnumValue,
    /// `РеквизитАдресации` of a task.
    AddressingAttribute,
    /// `ПризнакУчета` of a chart of accounts.
    AccountingFlag,
    /// `ПризнакУчетаСубконто` of a chart of accounts.
    ExtDimensionAccountingFlag,
    /// `Команда`.
    Command,
    /// `Макет`.
    Template,
    /// A form, by name; its layout lies elsewhere.
    Form,
    /// `Операция` of a web service.
    Operation,
    /// `ШаблонURL` of an HTTP service.
    UrlTemplate,
    /// `Перерасчет` of a calculation register.
    Recalculation,
    /// A predefined item.
    Predefined,
}

/// Why an object names another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum LinkKind {
    /// A catalog's owner.
    Owner,
    /// A register that a document writes.
    RegisterRecords,
    /// A document of a journal.
    RegisteredDocument,
    /// What an object is filled from.
    BasedOn,
    /// What a subsystem, an exchange plan or a functional option holds.
    Content,
    /// An object that has the common attribute.
    CommonAttributeUse,
    /// An object that has not, though the common attribute is used by default.
    CommonAttributeDontUse,
    /// The characteristics of a chart of accounts: its kinds of subconto.
    ExtDimensionTypes,
    /// The accounts of an accounting register.
    ChartOfAccounts,
    /// The calculation types of a calculation register.
    ChartOfCalculationTypes,
    /// The tasks of a business process.
    Task,
    /// The method that an event subscription or a scheduled job calls (`CommonModule.X.Y`).
    Handler,
    /// The constant or attribute that holds a functional option.
    Location,
}

/// Properties of an object, as bits.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ObjectFlags(pub u32);

impl ObjectFlags {
    /// Taken over from the extended configuration.
    pub const ADOPTED: ObjectFlags = ObjectFlags(1);
    /// The module is global: its exports need no name before them.
    pub const GLOBAL: ObjectFlags = ObjectFlags(1 << 1);
    /// The module runs on the server.
    pub const SERVER: ObjectFlags = ObjectFlags(1 << 2);
    /// The module runs on managed clients.
    pub const CLIENT_MANAGED: ObjectFlags = ObjectFlags(1 << 3);
    /// The module runs on ordinary clients.
    pub const CLIENT_ORDINARY: ObjectFlags = ObjectFlags(1 << 4);
    /// The module runs in the external connection.
    pub const EXTERNAL_CONNECTION: ObjectFlags = ObjectFlags(1 << 5);
    /// Clients may call the module on the server.
    pub const SERVER_CALL: ObjectFlags = ObjectFlags(1 << 6);
    /// The module runs without checks of rights.
    pub const PRIVILEGED: ObjectFlags = ObjectFlags(1 << 7);
    /// The module's return values are kept and used again.
    pub const REUSES_VALUES: ObjectFlags = ObjectFlags(1 << 8);
    /// Items have parents.
    pub const HIERARCHICAL: ObjectFlags = ObjectFlags(1 << 9);
    /// The parents are items like any other, not folders.
    pub const WITHOUT_FOLDERS: ObjectFlags = ObjectFlags(1 << 10);
    /// Items have codes.
    pub const CODE: ObjectFlags = ObjectFlags(1 << 11);
    /// Items have descriptions.
    pub const DESCRIPTION: ObjectFlags = ObjectFlags(1 << 12);
    /// Documents have numbers.
    pub const NUMBER: ObjectFlags = ObjectFlags(1 << 13);
    /// An information register with periods.
    pub const PERIODIC: ObjectFlags = ObjectFlags(1 << 14);
    /// An information register that documents write.
    pub const BY_RECORDER: ObjectFlags = ObjectFlags(1 << 15);
    /// An accumulation register of turnovers, without balances.
    pub const TURNOVERS: ObjectFlags = ObjectFlags(1 << 16);
    /// An accounting register whose entries have a debit and a credit side.
    pub const CORRESPONDENCE: ObjectFlags = ObjectFlags(1 << 17);
    /// A calculation register with action periods.
    pub const ACTION_PERIOD: ObjectFlags = ObjectFlags(1 << 18);
    /// A calculation register with base periods.
    pub const BASE_PERIOD: ObjectFlags = ObjectFlags(1 << 19);
    /// Accounts have an order.
    pub const ORDER: ObjectFlags = ObjectFlags(1 << 20);
    /// A common attribute that objects have unless they refuse it.
    pub const AUTO_USE: ObjectFlags = ObjectFlags(1 << 21);
    /// A subordinate of the exchange plan knows the configuration's changes.
    pub const DISTRIBUTED: ObjectFlags = ObjectFlags(1 << 22);
    /// Codes or numbers are numbers, not strings.
    pub const NUMERIC_CODE: ObjectFlags = ObjectFlags(1 << 23);

    /// Whether all bits of `flags` are set.
    pub fn has(self, flags: ObjectFlags) -> bool {
        self.0 & flags.0 == flags.0
    }

    /// Sets the bits of `flags` where `value` holds.
    pub fn set(&mut self, flags: ObjectFlags, value: bool) {
        if value {
            self.0 |= flags.0;
        } else {
            self.0 &= !flags.0;
        }
    }
}

/// A managed form.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FormFacts<S = String> {
    /// Elements, parents before children.
    pub items: Vec<ItemFacts<S>>,
    /// Attributes.
    pub attributes: Vec<FormAttributeFacts<S>>,
    /// Commands.
    pub commands: Vec<FormCommandFacts<S>>,
    /// Parameters.
    pub parameters: Vec<MemberFacts<S>>,
    /// Methods that events call.
    pub handlers: Vec<HandlerFacts<S>>,
}

/// An element of a form.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ItemFacts<S = String> {
    /// What it is.
    pub kind: ItemKind,
    /// Its name.
    pub name: S,
    /// The index of the element around it.
    pub parent: Option<u32>,
    /// The path of what it shows (`Объект.Товары.Цена`); empty without.
    pub data_path: S,
}

/// What an element of a form is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum ItemKind {
    /// Groups, pages, command bars, menus.
    Group,
    /// Fields of any look.
    Field,
    /// Tables.
    Table,
    /// Buttons.
    Button,
    /// Labels, pictures, tooltips.
    Decoration,
    /// What belongs to a table's search.
    Addition,
}

/// An attribute of a form.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FormAttributeFacts<S = String> {
    /// Its name.
    pub name: S,
    /// Its types.
    pub types: Vec<S>,
    /// Whether it is the form's main attribute.
    pub is_main: bool,
    /// Columns of a table or a tree, and columns that the form adds to a tabular section.
    pub columns: Vec<FormColumnFacts<S>>,
    /// The main table of a dynamic list; empty without.
    pub main_table: S,
    /// The query of a dynamic list; empty without.
    pub query: S,
}

/// A column of a form's attribute.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FormColumnFacts<S = String> {
    /// The path of the table that it is added to (`Объект.Товары`); empty for the attribute's own table.
    pub table: S,
    /// Its name.
    pub name: S,
    /// Its types.
    pub types: Vec<S>,
}

/// A command of a form.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FormCommandFacts<S = String> {
    /// Its name.
    pub name: S,
    /// The method that it calls; empty without.
    pub action: S,
}

/// A method that an event calls.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HandlerFacts<S = String> {
    /// The event in English (`OnCreateAtServer`).
    pub event: S,
    /// The method of the form's module.
    pub method: S,
    /// The element whose event it is; `None` for the form's own.
    pub item: Option<u32>,
}

/// A module.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModuleFacts<S = String> {
    /// Exported variables.
    pub variables: Vec<S>,
    /// Methods in the order of the text.
    pub methods: Vec<MethodFacts<S>>,
}

/// A method of a module.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MethodFacts<S = String> {
    /// Its name.
    pub name: S,
    /// `Функция`, not `Процедура`.
    pub is_function: bool,
    /// `Экспорт`.
    pub is_export: bool,
    /// What it takes.
    pub params: Vec<ParamFacts<S>>,
    /// The doc comment of an exported method, without the comment marks; empty without.
    pub doc: S,
    /// The method of the extended configuration that it changes, and how.
    pub extends: Option<(ExtensionKind, S)>,
    /// Bytes from the start of the module's text (as `nestor_bsl::normalise` gives it) to the method's name.
    pub offset: u32,
}

/// A parameter of a method.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ParamFacts<S = String> {
    /// Its name.
    pub name: S,
    /// `Знач`.
    pub by_value: bool,
    /// Its default value as it is written; empty without.
    pub default: S,
}

/// What an extension does to a method.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum ExtensionKind {
    /// `&Перед`.
    Before,
    /// `&После`.
    After,
    /// `&Вместо`.
    Around,
    /// `&ИзменениеИКонтроль`.
    ChangeAndValidate,
}

/// Why a file was not read, or not to its end.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Trouble {
    /// The XML ends in the middle.
    CutShort {
        /// The byte at which it ends.
        offset: u64,
    },
    /// The XML breaks its own rules.
    NotXml {
        /// The byte at which it does.
        offset: u64,
        /// What is wrong.
        reason: String,
    },
    /// Elements lie in each other deeper than any configuration needs.
    TooDeep {
        /// The byte at which reading stopped.
        offset: u64,
    },
    /// The bytes are no UTF-8 text.
    NotText {
        /// What is wrong.
        reason: String,
    },
    /// A module without its text, as the platform writes protected ones.
    ProtectedModule,
    /// A form of the ordinary application, which is binary.
    OrdinaryForm,
    /// The XML was written by a platform whose format is not known. It was read as far as it is understood.
    OtherVersion {
        /// The version that it states.
        version: String,
    },
    /// An object without a name.
    Nameless,
}
