//! Tables that queries know and no one fills: slices, balances, turnovers.

use super::{Field, attributes, chart_of_accounts, platform};
use crate::facts::{LinkKind, MemberKind, ObjectFlags};
use crate::kinds::{Facet, ObjectKind};
use crate::types::TypeRef;
use crate::view::ObjectView;

/// A table that the platform makes up from an object's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum VirtualTable {
    /// `СрезПоследних`.
    SliceLast,
    /// `СрезПервых`.
    SliceFirst,
    /// `Остатки`.
    Balance,
    /// `Обороты`.
    Turnovers,
    /// `ОстаткиИОбороты`.
    BalanceAndTurnovers,
    /// `ОборотыДтКт`.
    DrCrTurnovers,
    /// `ДвиженияССубконто`.
    RecordsWithExtDimensions,
    /// `Субконто`.
    ExtDimensions,
    /// `ФактическийПериодДействия`.
    ActualActionPeriod,
    /// `ДанныеГрафика`.
    ScheduleData,
    /// `ЗадачиПоИсполнителю`.
    TasksByExecutive,
    /// `Границы`.
    Boundaries,
    /// `Изменения`.
    Changes,
}

impl VirtualTable {
    /// Its name in Russian.
    pub fn russian(self) -> &'static str {
        self.names().0
    }

    /// Its name in English.
    pub fn english(self) -> &'static str {
        self.names().1
    }

    fn names(self) -> (&'static str, &'static str) {
        match self {
            VirtualTable::SliceLast => ("СрезПоследних", "SliceLast"),
            VirtualTable::SliceFirst => ("СрезПервых", "SliceFirst"),
            VirtualTable::Balance => ("Остатки", "Balance"),
            VirtualTable::Turnovers => ("Обороты", "Turnovers"),
            VirtualTable::BalanceAndTurnovers => ("ОстаткиИОбороты", "BalanceAndTurnovers"),
            VirtualTable::DrCrTurnovers => ("ОборотыДтКт", "DrCrTurnovers"),
            VirtualTable::RecordsWithExtDimensions => {
                ("ДвиженияССубконто", "RecordsWithExtDimensions")
            }
            VirtualTable::ExtDimensions => ("Субконто", "ExtDimensions"),
            VirtualTable::ActualActionPeriod => ("ФактическийПериодДействия", "ActualActionPeriod"),
            VirtualTable::ScheduleData => ("ДанныеГрафика", "ScheduleData"),
            VirtualTable::TasksByExecutive => ("ЗадачиПоИсполнителю", "TasksByPerformer"),
            VirtualTable::Boundaries => ("Границы", "Boundaries"),
            VirtualTable::Changes => ("Изменения", "Changes"),
        }
    }

    /// Its fields.
    pub fn fields<'a>(self, object: &ObjectView<'a>) -> Vec<Field<'a>> {
        match (self, object.kind()) {
            (VirtualTable::Changes, _) => changes(object),
            (
                VirtualTable::Balance | VirtualTable::Turnovers | VirtualTable::BalanceAndTurnovers,
                ObjectKind::AccountingRegister,
            ) => accounting(self, object),
            (
                VirtualTable::Balance | VirtualTable::Turnovers | VirtualTable::BalanceAndTurnovers,
                _,
            ) => accumulation(self, object),
            (VirtualTable::DrCrTurnovers, _) => dr_cr_turnovers(object),
            (VirtualTable::RecordsWithExtDimensions, _) => {
                let mut fields = attributes(object);
                main_accounting_fields(object, &mut fields);
                fields
            }
            // A calculation's tables have the fields of the register and some more.
            _ => attributes(object),
        }
    }
}

/// The virtual tables of an object.
pub fn virtual_tables(object: &ObjectView<'_>) -> Vec<VirtualTable> {
    let flags = object.flags();
    let mut tables = match object.kind() {
        ObjectKind::InformationRegister
            if flags.is_none_or(|flags| flags.has(ObjectFlags::PERIODIC)) =>
        {
            vec![VirtualTable::SliceLast, VirtualTable::SliceFirst]
        }
        ObjectKind::AccumulationRegister
            if flags.is_some_and(|flags| flags.has(ObjectFlags::TURNOVERS)) =>
        {
            vec![VirtualTable::Turnovers]
        }
        ObjectKind::AccumulationRegister => {
            vec![
                VirtualTable::Balance,
                VirtualTable::Turnovers,
                VirtualTable::BalanceAndTurnovers,
            ]
        }
        ObjectKind::AccountingRegister => vec![
            VirtualTable::Balance,
            VirtualTable::Turnovers,
            VirtualTable::BalanceAndTurnovers,
            VirtualTable::DrCrTurnovers,
            VirtualTable::RecordsWithExtDimensions,
            VirtualTable::ExtDimensions,
        ],
        ObjectKind::CalculationRegister => {
            vec![VirtualTable::ActualActionPeriod, VirtualTable::ScheduleData]
        }
        ObjectKind::Task => vec![VirtualTable::TasksByExecutive],
        ObjectKind::Sequence => vec![VirtualTable::Boundaries],
        _ => Vec::new(),
    };
    if object.kind().has_refs()
        || object.kind().is_register()
        || object.kind() == ObjectKind::Constant
    {
        tables.push(VirtualTable::Changes);
    }
    tables
}

/// The fields of `Изменения`: who has to be told of what.
fn changes<'a>(object: &ObjectView<'a>) -> Vec<Field<'a>> {
    let mut fields = vec![
        Field::standard(
            "Узел",
            "Node",
            vec![TypeRef::Any(Facet::Ref, ObjectKind::ExchangePlan)],
        ),
        Field::standard("НомерСообщения", "MessageNo", platform("Number")),
    ];
    if object.kind().has_refs() {
        fields.push(Field::standard(
            "Ссылка",
            "Ref",
            vec![object.facet(Facet::Ref)],
        ));
    } else {
        let keys = attributes(object).into_iter().filter(|field| {
            ["Период", "Регистратор"].contains(&&*field.russian)
                || object
                    .members_of(MemberKind::Dimension)
                    .iter()
                    .any(|dimension| object.view().metadata().name(dimension.name) == field.russian)
        });
        fields.extend(keys);
    }
    fields
}

/// Fields that break turnovers down by time and document.
fn periods<'a>(object: &ObjectView<'a>) -> Vec<Field<'a>> {
    const PERIODS: &[(&str, &str)] = &[
        ("Период", "Period"),
        ("ПериодСекунда", "SecondPeriod"),
        ("ПериодМинута", "MinutePeriod"),
        ("ПериодЧас", "HourPeriod"),
        ("ПериодДень", "DayPeriod"),
        ("ПериодНеделя", "WeekPeriod"),
        ("ПериодДекада", "TenDaysPeriod"),
        ("ПериодМесяц", "MonthPeriod"),
        ("ПериодКвартал", "QuarterPeriod"),
        ("ПериодПолугодие", "HalfYearPeriod"),
        ("ПериодГод", "YearPeriod"),
    ];
    let mut fields: Vec<Field<'a>> = PERIODS
        .iter()
        .map(|&(russian, english)| Field::standard(russian, english, platform("Date")))
        .collect();
    fields.extend(attributes(object).into_iter().filter(|field| {
        field.is_standard && ["Регистратор", "НомерСтроки"].contains(&&*field.russian)
    }));
    fields
}

fn of_kind<'a>(object: &ObjectView<'a>, kind: MemberKind) -> Vec<Field<'a>> {
    let members = object.members_of(kind);
    members
        .into_iter()
        .map(|member| Field::own(object.view(), member))
        .collect()
}

/// The field `resource` with a word behind its name.
fn suffixed<'a>(resource: &Field<'a>, russian: &str, english: &str) -> Field<'a> {
    Field {
        russian: format!("{}{russian}", resource.russian).into(),
        english: format!("{}{english}", resource.english).into(),
        types: resource.types.clone(),
        is_standard: false,
    }
}

fn accumulation<'a>(table: VirtualTable, register: &ObjectView<'a>) -> Vec<Field<'a>> {
    let is_turnovers = register
        .flags()
        .is_some_and(|flags| flags.has(ObjectFlags::TURNOVERS));
    let mut fields = of_kind(register, MemberKind::Dimension);
    if table != VirtualTable::Balance {
        fields.extend(periods(register));
    }
    let suffixes: &[(&str, &str)] = match table {
        VirtualTable::Balance => &[("Остаток", "Balance")],
        VirtualTable::Turnovers if is_turnovers => &[("Оборот", "Turnover")],
        VirtualTable::Turnovers => &[
            ("Приход", "Receipt"),
            ("Расход", "Expense"),
            ("Оборот", "Turnover"),
        ],
        _ => &[
            ("НачальныйОстаток", "OpeningBalance"),
            ("КонечныйОстаток", "ClosingBalance"),
            ("Приход", "Receipt"),
            ("Расход", "Expense"),
            ("Оборот", "Turnover"),
        ],
    };
    for resource in of_kind(register, MemberKind::Resource) {
        fields.extend(
            suffixes
                .iter()
                .map(|(russian, english)| suffixed(&resource, russian, english)),
        );
    }
    fields
}

const BALANCE: &[(&str, &str)] = &[
    ("Остаток", "Balance"),
    ("ОстатокДт", "BalanceDr"),
    ("ОстатокКт", "BalanceCr"),
    ("РазвернутыйОстатокДт", "SplittedBalanceDr"),
    ("РазвернутыйОстатокКт", "SplittedBalanceCr"),
];

const TURNOVERS: &[(&str, &str)] = &[
    ("Оборот", "Turnover"),
    ("ОборотДт", "TurnoverDr"),
    ("ОборотКт", "TurnoverCr"),
];

const BALANCED_TURNOVERS: &[(&str, &str)] = &[
    ("КорОборот", "BalancedTurnover"),
    ("КорОборотДт", "BalancedTurnoverDr"),
    ("КорОборотКт", "BalancedTurnoverCr"),
];

const OPENING_AND_CLOSING: &[(&str, &str)] = &[
    ("НачальныйОстаток", "OpeningBalance"),
    ("НачальныйОстатокДт", "OpeningBalanceDr"),
    ("НачальныйОстатокКт", "OpeningBalanceCr"),
    ("НачальныйРазвернутыйОстатокДт", "OpeningSplittedBalanceDr"),
    ("НачальныйРазвернутыйОстатокКт", "OpeningSplittedBalanceCr"),
    ("КонечныйОстаток", "ClosingBalance"),
    ("КонечныйОстатокДт", "ClosingBalanceDr"),
    ("КонечныйОстатокКт", "ClosingBalanceCr"),
    ("КонечныйРазвернутыйОстатокДт", "ClosingSplittedBalanceDr"),
    ("КонечныйРазвернутыйОстатокКт", "ClosingSplittedBalanceCr"),
];

fn accounts<'a>(register: &ObjectView<'a>) -> Vec<TypeRef> {
    chart_of_accounts(register)
        .map(|chart| chart.facet(Facet::Ref))
        .into_iter()
        .collect()
}

/// `Субконто1`, `Субконто2` ... with the words of `prefix` around.
fn ext_dimensions<'a>(register: &ObjectView<'a>, names: &[(&str, &str)]) -> Vec<Field<'a>> {
    // Three kinds where the chart is missing: what nearly every one has.
    let count = chart_of_accounts(register).map_or(3, |chart| chart.ext_dimension_count().max(1));
    let types = chart_of_accounts(register).map_or_else(Vec::new, |chart| {
        let kinds = chart.links(LinkKind::ExtDimensionTypes);
        let kinds = kinds
            .iter()
            .filter_map(|&kinds| register.view().object_of_link(kinds));
        kinds
            .flat_map(|kinds| register.view().expand(kinds.types()))
            .collect()
    });
    let mut fields = Vec::new();
    for idx in 1..=count {
        fields.extend(names.iter().map(|(russian, english)| Field {
            russian: format!("{russian}{idx}").into(),
            english: format!("{english}{idx}").into(),
            types: types.clone(),
            is_standard: true,
        }));
    }
    fields
}

fn accounting<'a>(table: VirtualTable, register: &ObjectView<'a>) -> Vec<Field<'a>> {
    let has_correspondence = register
        .flags()
        .is_none_or(|flags| flags.has(ObjectFlags::CORRESPONDENCE));
    let mut fields = vec![Field::standard("Счет", "Account", accounts(register))];
    fields.extend(ext_dimensions(
        register,
        &[
            ("Субконто", "ExtDimension"),
            ("ВидСубконто", "ExtDimensionType"),
        ],
    ));
    let dimensions = of_kind(register, MemberKind::Dimension);
    let mut suffixes: Vec<(&str, &str)> = Vec::new();
    match table {
        VirtualTable::Balance => suffixes.extend(BALANCE),
        VirtualTable::Turnovers => {
            fields.extend(periods(register));
            suffixes.extend(TURNOVERS);
            if has_correspondence {
                fields.push(Field::standard(
                    "КорСчет",
                    "BalancedAccount",
                    accounts(register),
                ));
                fields.extend(ext_dimensions(
                    register,
                    &[("КорСубконто", "BalancedExtDimension")],
                ));
                fields.extend(
                    dimensions
                        .iter()
                        .map(|dimension| suffixed(dimension, "Кор", "Balanced")),
                );
                suffixes.extend(BALANCED_TURNOVERS);
            }
        }
        _ => {
            fields.extend(periods(register));
            suffixes.extend(OPENING_AND_CLOSING);
            suffixes.extend(TURNOVERS);
        }
    }
    fields.extend(dimensions);
    for resource in of_kind(register, MemberKind::Resource) {
        fields.extend(
            suffixes
                .iter()
                .map(|(russian, english)| suffixed(&resource, russian, english)),
        );
    }
    fields
}

fn dr_cr_turnovers<'a>(register: &ObjectView<'a>) -> Vec<Field<'a>> {
    let mut fields = periods(register);
    fields.push(Field::standard("СчетДт", "AccountDr", accounts(register)));
    fields.push(Field::standard("СчетКт", "AccountCr", accounts(register)));
    fields.extend(ext_dimensions(
        register,
        &[
            ("СубконтоДт", "ExtDimensionDr"),
            ("СубконтоКт", "ExtDimensionCr"),
        ],
    ));
    for dimension in register.members_of(MemberKind::Dimension) {
        sided(
            register,
            dimension.is_balance,
            &Field::own(register.view(), dimension),
            ("Дт", "Dr"),
            ("Кт", "Cr"),
            &mut fields,
        );
    }
    for resource in register.members_of(MemberKind::Resource) {
        let field = Field::own(register.view(), resource);
        if resource.is_balance {
            fields.push(suffixed(&field, "Оборот", "Turnover"));
        } else {
            fields.push(suffixed(&field, "ОборотДт", "TurnoverDr"));
            fields.push(suffixed(&field, "ОборотКт", "TurnoverCr"));
        }
    }
    fields
}

/// A field of a register with correspondence: one for both sides of an entry, or one for each.
fn sided<'a>(
    register: &ObjectView<'a>,
    is_balance: bool,
    field: &Field<'a>,
    debit: (&str, &str),
    credit: (&str, &str),
    fields: &mut Vec<Field<'a>>,
) {
    let has_correspondence = register
        .flags()
        .is_none_or(|flags| flags.has(ObjectFlags::CORRESPONDENCE));
    if is_balance || !has_correspondence {
        fields.push(field.clone());
    } else {
        fields.push(suffixed(field, debit.0, debit.1));
        fields.push(suffixed(field, credit.0, credit.1));
    }
}

/// What the main table of an accounting register has in queries beside its attributes.
pub(super) fn main_accounting_fields<'a>(register: &ObjectView<'a>, fields: &mut Vec<Field<'a>>) {
    fields.push(Field::standard(
        "МоментВремени",
        "PointInTime",
        platform("PointInTime"),
    ));
    fields.extend(ext_dimensions(
        register,
        &[
            ("Субконто", "ExtDimension"),
            ("СубконтоДт", "ExtDimensionDr"),
            ("СубконтоКт", "ExtDimensionCr"),
            ("ВидСубконто", "ExtDimensionType"),
            ("ВидСубконтоДт", "ExtDimensionTypeDr"),
            ("ВидСубконтоКт", "ExtDimensionTypeCr"),
        ],
    ));
    for member in register.members() {
        if matches!(member.kind, MemberKind::Dimension | MemberKind::Resource) && !member.is_balance
        {
            sided(
                register,
                false,
                &Field::own(register.view(), member),
                ("Дт", "Dr"),
                ("Кт", "Cr"),
                fields,
            );
        }
    }
}
