//! Fields that the platform adds or makes up: standard attributes, and virtual tables of registers with theirs.
//!
//! Names come in Russian and English; a field that the configuration names itself has one name for both. Which standard
//! attributes an object has depends on its properties; where those are unknown (the base is missing) all of the kind count.

mod virtual_tables;

use std::borrow::Cow;

pub use virtual_tables::{VirtualTable, virtual_tables};

use crate::facts::{LinkKind, MemberKind, ObjectFlags};
use crate::kinds::{Facet, ObjectKind};
use crate::model::Member;
use crate::names::NameKey;
use crate::platform::PlatformType;
use crate::types::TypeRef;
use crate::view::{ObjectView, View};

/// A field of an object, a tabular section or a table of queries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Field<'a> {
    /// Its name in Russian.
    pub russian: Cow<'a, str>,
    /// Its name in English.
    pub english: Cow<'a, str>,
    /// The types of its value; empty when they are not known.
    pub types: Vec<TypeRef>,
    /// The platform's, not the configuration's.
    pub is_standard: bool,
}

impl<'a> Field<'a> {
    fn standard(russian: &'static str, english: &'static str, types: Vec<TypeRef>) -> Field<'a> {
        Field {
            russian: russian.into(),
            english: english.into(),
            types,
            is_standard: true,
        }
    }

    pub(crate) fn own(view: View<'a>, member: &Member) -> Field<'a> {
        let name = view.metadata().name(member.name);
        Field {
            russian: name.into(),
            english: name.into(),
            types: view.expand(member.types),
            is_standard: false,
        }
    }

    /// Whether `name` is its name in either language and any case.
    pub fn is_named(&self, name: &str) -> bool {
        crate::names::same(&self.russian, name) || crate::names::same(&self.english, name)
    }
}

/// A platform's type as the only one.
fn platform(english: &str) -> Vec<TypeRef> {
    vec![TypeRef::Platform(PlatformType::known(english))]
}

/// Standard attributes of an object, as code sees them on its reference, its object or its record.
pub fn standard_attributes<'a>(object: &ObjectView<'a>) -> Vec<Field<'a>> {
    let flags = object.flags();
    // Unknown properties keep everything.
    let has = |flag: ObjectFlags| flags.is_none_or(|flags| flags.has(flag));
    let reference = || vec![object.facet(Facet::Ref)];
    let add = Field::standard;
    let string = || platform("String");
    let boolean = || platform("Boolean");
    let code = || {
        platform(
            if flags.is_some_and(|flags| flags.has(ObjectFlags::NUMERIC_CODE)) {
                "Number"
            } else {
                "String"
            },
        )
    };
    let mut fields = Vec::new();
    if object.kind().has_refs() {
        fields.push(add("Ссылка", "Ref", reference()));
    }
    let is_data = object.kind().has_refs() && object.kind() != ObjectKind::Enum;
    if is_data {
        fields.push(add("ПометкаУдаления", "DeletionMark", boolean()));
        fields.push(add("ВерсияДанных", "DataVersion", string()));
    }
    match object.kind() {
        ObjectKind::Catalog | ObjectKind::ChartOfCharacteristicTypes => {
            if has(ObjectFlags::CODE) {
                fields.push(add("Код", "Code", code()));
            }
            if has(ObjectFlags::DESCRIPTION) {
                fields.push(add("Наименование", "Description", string()));
            }
            if has(ObjectFlags::HIERARCHICAL) {
                fields.push(add("Родитель", "Parent", reference()));
                if flags.is_none_or(|flags| !flags.has(ObjectFlags::WITHOUT_FOLDERS)) {
                    fields.push(add("ЭтоГруппа", "IsFolder", boolean()));
                }
            }
            let owners = object.links(LinkKind::Owner);
            if !owners.is_empty() || flags.is_none() && object.kind() == ObjectKind::Catalog {
                let owners = owners
                    .iter()
                    .filter_map(|&owner| object.view().object_of_link(owner));
                let types = owners.map(|owner| owner.facet(Facet::Ref)).collect();
                fields.push(add("Владелец", "Owner", types));
            }
            if object.kind() == ObjectKind::ChartOfCharacteristicTypes {
                fields.push(add("ТипЗначения", "ValueType", platform("TypeDescription")));
            }
            predefined(&mut fields);
        }
        ObjectKind::Document => {
            if has(ObjectFlags::NUMBER) {
                fields.push(add("Номер", "Number", code()));
            }
            fields.push(add("Дата", "Date", platform("Date")));
            fields.push(add("Проведен", "Posted", boolean()));
        }
        ObjectKind::DocumentJournal => {
            let documents = object.links(LinkKind::RegisteredDocument);
            let documents = documents
                .iter()
                .filter_map(|&document| object.view().object_of_link(document));
            fields.push(add(
                "Ссылка",
                "Ref",
                documents
                    .map(|document| document.facet(Facet::Ref))
                    .collect(),
            ));
            fields.push(add("ПометкаУдаления", "DeletionMark", boolean()));
            fields.push(add("Номер", "Number", code()));
            fields.push(add("Дата", "Date", platform("Date")));
            fields.push(add("Проведен", "Posted", boolean()));
            fields.push(add("Тип", "Type", platform("Type")));
        }
        ObjectKind::ChartOfAccounts => {
            fields.push(add("Код", "Code", string()));
            fields.push(add("Наименование", "Description", string()));
            fields.push(add("Родитель", "Parent", reference()));
            fields.push(add("Порядок", "Order", string()));
            fields.push(add("Вид", "Type", platform("AccountType")));
            fields.push(add("Забалансовый", "OffBalance", boolean()));
            predefined(&mut fields);
        }
        ObjectKind::ChartOfCalculationTypes => {
            fields.push(add("Код", "Code", string()));
            fields.push(add("Наименование", "Description", string()));
            fields.push(add(
                "ПериодДействияБазовый",
                "ActionPeriodIsBasic",
                boolean(),
            ));
            predefined(&mut fields);
        }
        ObjectKind::BusinessProcess => {
            fields.push(add("Номер", "Number", code()));
            fields.push(add("Дата", "Date", platform("Date")));
            fields.push(add("Стартован", "Started", boolean()));
            fields.push(add("Завершен", "Completed", boolean()));
            let tasks = object.links(LinkKind::Task);
            let tasks = tasks
                .iter()
                .filter_map(|&task| object.view().object_of_link(task));
            fields.push(add(
                "ВедущаяЗадача",
                "HeadTask",
                tasks.map(|task| task.facet(Facet::Ref)).collect(),
            ));
        }
        ObjectKind::Task => {
            fields.push(add("Номер", "Number", code()));
            fields.push(add("Дата", "Date", platform("Date")));
            fields.push(add("Наименование", "Description", string()));
            fields.push(add("Выполнена", "Executed", boolean()));
            let processes = object
                .view()
                .objects(ObjectKind::BusinessProcess)
                .filter(|process| {
                    process
                        .links(LinkKind::Task)
                        .iter()
                        .filter_map(|&task| object.view().object_of_link(task))
                        .any(|task| task.key() == object.key())
                });
            let processes: Vec<ObjectView<'a>> = processes.collect();
            let of = |facet: Facet| {
                processes
                    .iter()
                    .map(|process| process.facet(facet))
                    .collect()
            };
            fields.push(add("БизнесПроцесс", "BusinessProcess", of(Facet::Ref)));
            fields.push(add("ТочкаМаршрута", "RoutePoint", of(Facet::RoutePointRef)));
        }
        ObjectKind::ExchangePlan => {
            fields.push(add("Код", "Code", string()));
            fields.push(add("Наименование", "Description", string()));
            fields.push(add("НомерОтправленного", "SentNo", platform("Number")));
            fields.push(add("НомерПринятого", "ReceivedNo", platform("Number")));
            fields.push(add("ЭтотУзел", "ThisNode", boolean()));
            fields.push(add("ДатаОбмена", "ExchangeDate", platform("Date")));
        }
        ObjectKind::InformationRegister => {
            if has(ObjectFlags::PERIODIC) {
                fields.push(add("Период", "Period", platform("Date")));
            }
            if has(ObjectFlags::BY_RECORDER) {
                recorder(object, &mut fields);
            }
        }
        ObjectKind::AccumulationRegister => {
            fields.push(add("Период", "Period", platform("Date")));
            recorder(object, &mut fields);
            if flags.is_none_or(|flags| !flags.has(ObjectFlags::TURNOVERS)) {
                fields.push(add(
                    "ВидДвижения",
                    "RecordType",
                    platform("AccumulationRecordType"),
                ));
            }
        }
        ObjectKind::AccountingRegister => {
            fields.push(add("Период", "Period", platform("Date")));
            recorder(object, &mut fields);
            let account = || {
                chart_of_accounts(object)
                    .map(|chart| chart.facet(Facet::Ref))
                    .into_iter()
                    .collect()
            };
            if has(ObjectFlags::CORRESPONDENCE) {
                fields.push(add("СчетДт", "AccountDr", account()));
                fields.push(add("СчетКт", "AccountCr", account()));
                fields.push(add("СубконтоДт", "ExtDimensionsDr", Vec::new()));
                fields.push(add("СубконтоКт", "ExtDimensionsCr", Vec::new()));
            }
            if flags.is_none_or(|flags| !flags.has(ObjectFlags::CORRESPONDENCE)) {
                fields.push(add("Счет", "Account", account()));
                fields.push(add("Субконто", "ExtDimensions", Vec::new()));
                fields.push(add(
                    "ВидДвижения",
                    "RecordType",
                    platform("AccountingRecordType"),
                ));
            }
        }
        ObjectKind::CalculationRegister => {
            recorder(object, &mut fields);
            let charts = object.links(LinkKind::ChartOfCalculationTypes);
            let charts = charts
                .iter()
                .filter_map(|&chart| object.view().object_of_link(chart));
            fields.push(add(
                "ВидРасчета",
                "CalculationType",
                charts.map(|chart| chart.facet(Facet::Ref)).collect(),
            ));
            fields.push(add(
                "ПериодРегистрации",
                "RegistrationPeriod",
                platform("Date"),
            ));
            fields.push(add("Сторно", "ReversingEntry", boolean()));
            if has(ObjectFlags::ACTION_PERIOD) {
                fields.push(add("ПериодДействия", "ActionPeriod", platform("Date")));
                fields.push(add(
                    "ПериодДействияНачало",
                    "BegOfActionPeriod",
                    platform("Date"),
                ));
                fields.push(add(
                    "ПериодДействияКонец",
                    "EndOfActionPeriod",
                    platform("Date"),
                ));
            }
            if has(ObjectFlags::BASE_PERIOD) {
                fields.push(add(
                    "БазовыйПериодНачало",
                    "BegOfBasePeriod",
                    platform("Date"),
                ));
                fields.push(add(
                    "БазовыйПериодКонец",
                    "EndOfBasePeriod",
                    platform("Date"),
                ));
            }
        }
        ObjectKind::Sequence => {
            fields.push(add("Период", "Period", platform("Date")));
            fields.push(add("Регистратор", "Recorder", Vec::new()));
        }
        ObjectKind::Constant => {
            let types = object.view().expand(object.types());
            fields.push(add("Значение", "Value", types));
        }
        _ => {}
    }
    fields
}

fn predefined(fields: &mut Vec<Field<'_>>) {
    fields.push(Field::standard(
        "Предопределенный",
        "Predefined",
        platform("Boolean"),
    ));
    fields.push(Field::standard(
        "ИмяПредопределенныхДанных",
        "PredefinedDataName",
        platform("String"),
    ));
}

/// What documents leave in the records that they write.
fn recorder<'a>(register: &ObjectView<'a>, fields: &mut Vec<Field<'a>>) {
    let types = register
        .recorders()
        .iter()
        .map(|document| document.facet(Facet::Ref))
        .collect();
    fields.push(Field::standard("Регистратор", "Recorder", types));
    fields.push(Field::standard(
        "НомерСтроки",
        "LineNumber",
        platform("Number"),
    ));
    fields.push(Field::standard("Активность", "Active", platform("Boolean")));
}

fn chart_of_accounts<'a>(register: &ObjectView<'a>) -> Option<ObjectView<'a>> {
    let chart = *register.links(LinkKind::ChartOfAccounts).first()?;
    register.view().object_of_link(chart)
}

/// Standard and own attributes of an object, as code sees them on its reference, object or record: for registers with
/// dimensions and resources, without tabular sections.
pub fn attributes<'a>(object: &ObjectView<'a>) -> Vec<Field<'a>> {
    let view = object.view();
    let mut fields = standard_attributes(object);
    fields.extend(
        object
            .members()
            .into_iter()
            .filter(|member| is_attribute(member.kind))
            .map(|member| Field::own(view, member)),
    );
    fields.extend(
        object
            .common_attributes()
            .into_iter()
            .map(|attribute| Field {
                russian: attribute.name().into(),
                english: attribute.name().into(),
                types: view.expand(attribute.types()),
                is_standard: false,
            }),
    );
    fields
}

/// The fields of a record in code: of an accounting register those of both sides of an entry too.
pub fn record_fields<'a>(register: &ObjectView<'a>) -> Vec<Field<'a>> {
    let mut fields = attributes(register);
    if register.kind() == ObjectKind::AccountingRegister {
        virtual_tables::main_accounting_fields(register, &mut fields);
    }
    fields
}

/// Whether such a member holds a value of the object.
fn is_attribute(kind: MemberKind) -> bool {
    matches!(
        kind,
        MemberKind::Attribute
            | MemberKind::Dimension
            | MemberKind::Resource
            | MemberKind::JournalColumn
            | MemberKind::AddressingAttribute
            | MemberKind::AccountingFlag
    )
}

/// Standard tabular sections of charts, by their names.
const STANDARD_SECTIONS: &[(ObjectKind, &str, &str)] = &[
    (
        ObjectKind::ChartOfAccounts,
        "ВидыСубконто",
        "ExtDimensionTypes",
    ),
    (
        ObjectKind::ChartOfCalculationTypes,
        "БазовыеВидыРасчета",
        "BaseCalculationTypes",
    ),
    (
        ObjectKind::ChartOfCalculationTypes,
        "ВедущиеВидыРасчета",
        "LeadingCalculationTypes",
    ),
    (
        ObjectKind::ChartOfCalculationTypes,
        "ВытесняющиеВидыРасчета",
        "DisplacingCalculationTypes",
    ),
];

/// The tabular sections of an object by their names in Russian and English.
pub fn sections<'a>(object: &ObjectView<'a>) -> Vec<(&'a str, &'a str)> {
    let own = object
        .sections()
        .into_iter()
        .map(|name| object.view().metadata().name(name))
        .map(|name| (name, name));
    let standard = STANDARD_SECTIONS
        .iter()
        .filter(|(kind, _, _)| *kind == object.kind());
    own.chain(standard.map(|&(_, russian, english)| (russian, english)))
        .collect()
}

/// The columns of a tabular section; `None` when the object has none of that name.
pub fn section_fields<'a>(object: &ObjectView<'a>, name: &str) -> Option<Vec<Field<'a>>> {
    let view = object.view();
    let mut fields = vec![Field::standard(
        "НомерСтроки",
        "LineNumber",
        platform("Number"),
    )];
    let key: Option<NameKey> = view.metadata().names().find(name);
    if let Some(columns) = key.and_then(|key| object.section(key)) {
        fields.extend(columns.into_iter().map(|column| Field::own(view, column)));
        return Some(fields);
    }
    let is_named = |(kind, russian, english): &&(ObjectKind, &str, &str)| {
        *kind == object.kind()
            && [russian, english]
                .iter()
                .any(|known| crate::names::same(known, name))
    };
    STANDARD_SECTIONS.iter().find(is_named)?;
    fields.push(Field::standard(
        "Предопределенный",
        "Predefined",
        platform("Boolean"),
    ));
    if object.kind() == ObjectKind::ChartOfAccounts {
        let charts = object.links(LinkKind::ExtDimensionTypes);
        let charts = charts
            .iter()
            .filter_map(|&chart| view.object_of_link(chart));
        let types = charts.map(|chart| chart.facet(Facet::Ref)).collect();
        fields.push(Field::standard("ВидСубконто", "ExtDimensionType", types));
        fields.push(Field::standard(
            "ТолькоОбороты",
            "TurnoversOnly",
            platform("Boolean"),
        ));
        let flags = object.members_of(MemberKind::ExtDimensionAccountingFlag);
        fields.extend(flags.into_iter().map(|flag| Field::own(view, flag)));
    } else {
        fields.push(Field::standard(
            "ВидРасчета",
            "CalculationType",
            vec![object.facet(Facet::Ref)],
        ));
    }
    Some(fields)
}

/// The fields of an object's main table in queries (`Справочник.Товары`): more than code sees, tabular sections apart.
pub fn table_fields<'a>(object: &ObjectView<'a>) -> Vec<Field<'a>> {
    let mut fields = attributes(object);
    match object.kind() {
        ObjectKind::Document => {
            fields.push(Field::standard(
                "МоментВремени",
                "PointInTime",
                platform("PointInTime"),
            ));
        }
        ObjectKind::Enum => fields.push(Field::standard("Порядок", "Order", platform("Number"))),
        ObjectKind::AccountingRegister => {
            virtual_tables::main_accounting_fields(object, &mut fields)
        }
        kind if kind.is_register() => {
            fields.push(Field::standard(
                "МоментВремени",
                "PointInTime",
                platform("PointInTime"),
            ));
        }
        _ => {}
    }
    if object.kind().has_refs() {
        fields.push(Field::standard(
            "Представление",
            "Presentation",
            platform("String"),
        ));
    }
    fields
}
