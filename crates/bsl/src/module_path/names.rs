//! Names of object types and module kinds: folders of the dumps, Russian and English.

macro_rules! object_types {
    ($($variant:ident: $folder:literal, $ru_folder:literal, $en:literal, $ru:literal;)+) => {
        /// Type of a metadata object that can have modules.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum ObjectType {
            $(#[doc = concat!("`", $ru, "`, `", $en, "`")] $variant,)+
            /// The configuration itself: its application and session modules.
            Configuration,
            /// A script of OneScript.
            OneScript,
            /// Nothing that the path tells.
            Other,
        }

        impl ObjectType {
            /// The word for one object, in Russian.
            pub fn russian(self) -> &'static str {
                match self {
                    $(ObjectType::$variant => $ru,)+
                    ObjectType::Configuration => "Конфигурация",
                    ObjectType::OneScript => "OneScript",
                    ObjectType::Other => "Файл",
                }
            }

            /// The word for one object, in English.
            pub fn english(self) -> &'static str {
                match self {
                    $(ObjectType::$variant => $en,)+
                    ObjectType::Configuration => "Configuration",
                    ObjectType::OneScript => "OneScript",
                    ObjectType::Other => "File",
                }
            }

            /// The type whose objects lie in `folder`.
            pub fn from_folder(folder: &str) -> Option<ObjectType> {
                match folder {
                    $($folder | $ru_folder => Some(ObjectType::$variant),)+
                    _ => None,
                }
            }

            /// The type that `name` says, in Russian or English.
            pub fn from_name(name: &str) -> Option<ObjectType> {
                match name {
                    $($en | $ru => Some(ObjectType::$variant),)+
                    _ => None,
                }
            }
        }
    };
}

object_types! {
    CommonModule: "CommonModules", "ОбщиеМодули", "CommonModule", "ОбщийМодуль";
    CommonForm: "CommonForms", "ОбщиеФормы", "CommonForm", "ОбщаяФорма";
    CommonCommand: "CommonCommands", "ОбщиеКоманды", "CommonCommand", "ОбщаяКоманда";
    Catalog: "Catalogs", "Справочники", "Catalog", "Справочник";
    Document: "Documents", "Документы", "Document", "Документ";
    DocumentJournal: "DocumentJournals", "ЖурналыДокументов", "DocumentJournal", "ЖурналДокументов";
    Sequence: "Sequences", "Последовательности", "Sequence", "Последовательность";
    Constant: "Constants", "Константы", "Constant", "Константа";
    Enum: "Enums", "Перечисления", "Enum", "Перечисление";
    Report: "Reports", "Отчеты", "Report", "Отчет";
    DataProcessor: "DataProcessors", "Обработки", "DataProcessor", "Обработка";
    ChartOfCharacteristicTypes: "ChartsOfCharacteristicTypes", "ПланыВидовХарактеристик", "ChartOfCharacteristicTypes", "ПланВидовХарактеристик";
    ChartOfAccounts: "ChartsOfAccounts", "ПланыСчетов", "ChartOfAccounts", "ПланСчетов";
    ChartOfCalculationTypes: "ChartsOfCalculationTypes", "ПланыВидовРасчета", "ChartOfCalculationTypes", "ПланВидовРасчета";
    InformationRegister: "InformationRegisters", "РегистрыСведений", "InformationRegister", "РегистрСведений";
    AccumulationRegister: "AccumulationRegisters", "РегистрыНакопления", "AccumulationRegister", "РегистрНакопления";
    AccountingRegister: "AccountingRegisters", "РегистрыБухгалтерии", "AccountingRegister", "РегистрБухгалтерии";
    CalculationRegister: "CalculationRegisters", "РегистрыРасчета", "CalculationRegister", "РегистрРасчета";
    BusinessProcess: "BusinessProcesses", "БизнесПроцессы", "BusinessProcess", "БизнесПроцесс";
    Task: "Tasks", "Задачи", "Task", "Задача";
    ExchangePlan: "ExchangePlans", "ПланыОбмена", "ExchangePlan", "ПланОбмена";
    FilterCriterion: "FilterCriteria", "КритерииОтбора", "FilterCriterion", "КритерийОтбора";
    SettingsStorage: "SettingsStorages", "ХранилищаНастроек", "SettingsStorage", "ХранилищеНастроек";
    HttpService: "HTTPServices", "HTTPСервисы", "HTTPService", "HTTPСервис";
    WebService: "WebServices", "WebСервисы", "WebService", "WebСервис";
    IntegrationService: "IntegrationServices", "СервисыИнтеграции", "IntegrationService", "СервисИнтеграции";
    WebSocketClient: "WebSocketClients", "WebSocketКлиенты", "WebSocketClient", "WebSocketКлиент";
    Bot: "Bots", "Боты", "Bot", "Бот";
    ExternalDataSource: "ExternalDataSources", "ВнешниеИсточникиДанных", "ExternalDataSource", "ВнешнийИсточникДанных";
    ExternalDataProcessor: "ExternalDataProcessors", "ВнешниеОбработки", "ExternalDataProcessor", "ВнешняяОбработка";
    ExternalReport: "ExternalReports", "ВнешниеОтчеты", "ExternalReport", "ВнешнийОтчет";
}

impl ObjectType {
    /// The kind of a file named just `Module` in the object's own folder.
    pub(super) fn own_module(self) -> ModuleKind {
        match self {
            ObjectType::CommonForm => ModuleKind::Form,
            ObjectType::CommonCommand => ModuleKind::Command,
            _ => ModuleKind::Module,
        }
    }
}

/// Kind of a module.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ModuleKind {
    /// The only module of a common module or a service, and of what is not recognised.
    Module,
    /// An object's module.
    Object,
    /// A manager's module.
    Manager,
    /// A form's module.
    Form,
    /// A command's module.
    Command,
    /// A record set's module.
    RecordSet,
    /// A constant's module.
    ValueManager,
    /// Application module of managed clients.
    ManagedApplication,
    /// Application module of ordinary clients.
    OrdinaryApplication,
    /// Session module.
    Session,
    /// Module of the external connection.
    ExternalConnection,
    /// A class of OneScript.
    ScriptClass,
    /// A module of a OneScript library.
    ScriptModule,
    /// A script that is run.
    Script,
}

impl ModuleKind {
    /// The last word of the header.
    pub fn russian(self) -> &'static str {
        match self {
            ModuleKind::Module | ModuleKind::ScriptModule => "Модуль",
            ModuleKind::Object => "МодульОбъекта",
            ModuleKind::Manager => "МодульМенеджера",
            ModuleKind::Form => "МодульФормы",
            ModuleKind::Command => "МодульКоманды",
            ModuleKind::RecordSet => "МодульНабораЗаписей",
            ModuleKind::ValueManager => "МодульМенеджераЗначения",
            ModuleKind::ManagedApplication => "МодульУправляемогоПриложения",
            ModuleKind::OrdinaryApplication => "МодульОбычногоПриложения",
            ModuleKind::Session => "МодульСеанса",
            ModuleKind::ExternalConnection => "МодульВнешнегоСоединения",
            ModuleKind::ScriptClass => "Класс",
            ModuleKind::Script => "Сценарий",
        }
    }

    /// The same in English.
    pub fn english(self) -> &'static str {
        match self {
            ModuleKind::Module | ModuleKind::ScriptModule => "Module",
            ModuleKind::Object => "ObjectModule",
            ModuleKind::Manager => "ManagerModule",
            ModuleKind::Form => "FormModule",
            ModuleKind::Command => "CommandModule",
            ModuleKind::RecordSet => "RecordSetModule",
            ModuleKind::ValueManager => "ValueManagerModule",
            ModuleKind::ManagedApplication => "ManagedApplicationModule",
            ModuleKind::OrdinaryApplication => "OrdinaryApplicationModule",
            ModuleKind::Session => "SessionModule",
            ModuleKind::ExternalConnection => "ExternalConnectionModule",
            ModuleKind::ScriptClass => "Class",
            ModuleKind::Script => "Script",
        }
    }

    /// The kind that a file's name says; a plain `Module` says nothing.
    pub(super) fn from_stem(stem: &str) -> Option<ModuleKind> {
        NAMED.into_iter().find(|kind| kind.english() == stem)
    }

    /// The kind that the last word of a flat dump's file name says.
    pub(super) fn from_name(name: &str) -> Option<ModuleKind> {
        NAMED
            .into_iter()
            .find(|kind| kind.english() == name || kind.russian() == name)
    }

    pub(super) fn is_of_configuration(self) -> bool {
        matches!(
            self,
            ModuleKind::ManagedApplication
                | ModuleKind::OrdinaryApplication
                | ModuleKind::Session
                | ModuleKind::ExternalConnection
        )
    }
}

/// Kinds whose files are named after them.
const NAMED: [ModuleKind; 10] = [
    ModuleKind::Object,
    ModuleKind::Manager,
    ModuleKind::Form,
    ModuleKind::Command,
    ModuleKind::RecordSet,
    ModuleKind::ValueManager,
    ModuleKind::ManagedApplication,
    ModuleKind::OrdinaryApplication,
    ModuleKind::Session,
    ModuleKind::ExternalConnection,
];

/// What lies in a folder of an object's parts, in Russian and English.
pub(super) fn part(folder: &str) -> Option<(&'static str, &'static str)> {
    match folder {
        "Recalculations" => Some(("Перерасчет", "Recalculation")),
        "Tables" => Some(("Таблица", "Table")),
        "Cubes" => Some(("Куб", "Cube")),
        "DimensionTables" => Some(("ТаблицаИзмерения", "DimensionTable")),
        _ => None,
    }
}
