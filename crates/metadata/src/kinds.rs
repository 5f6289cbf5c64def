//! Kinds of metadata objects and the types that each of them brings: words in Russian and English.
//!
//! The readers ask by the tag of an XML file, the resolver by the words of code (`Справочники`, `Catalogs`), of queries
//! (`Справочник.Товары`) and of type names (`СправочникСсылка`). Nothing here knows a particular configuration.

use nestor_bsl::module_path::ObjectType;
use serde::{Deserialize, Serialize};

use crate::names::same;

macro_rules! kinds {
    ($($variant:ident: $en:literal, $ru:literal, $en_plural:literal, $ru_plural:literal;)+) => {
        /// Kind of a metadata object.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        pub enum ObjectKind { $(#[doc = concat!("`", $ru, "`, `", $en, "`")] $variant,)+ }

        impl ObjectKind {
            /// Every kind, in the order of the enum.
            pub const ALL: &'static [ObjectKind] = &[$(ObjectKind::$variant,)+];

            /// The word for one object in English; the tag of its XML.
            pub fn english(self) -> &'static str {
                match self { $(ObjectKind::$variant => $en,)+ }
            }

            /// The word for one object in Russian.
            pub fn russian(self) -> &'static str {
                match self { $(ObjectKind::$variant => $ru,)+ }
            }

            /// The word for all of them in English; the folder of a dump, and the collection of managers in code.
            pub fn english_plural(self) -> &'static str {
                match self { $(ObjectKind::$variant => $en_plural,)+ }
            }

            /// The word for all of them in Russian: the collection of managers in code.
            pub fn russian_plural(self) -> &'static str {
                match self { $(ObjectKind::$variant => $ru_plural,)+ }
            }

            /// The kind whose XML has the tag `tag`.
            pub fn from_tag(tag: &str) -> Option<ObjectKind> {
                match tag { $($en => Some(ObjectKind::$variant),)+ _ => None }
            }
        }
    };
}

kinds! {
    Catalog: "Catalog", "Справочник", "Catalogs", "Справочники";
    Document: "Document", "Документ", "Documents", "Документы";
    DocumentJournal: "DocumentJournal", "ЖурналДокументов", "DocumentJournals", "ЖурналыДокументов";
    Enum: "Enum", "Перечисление", "Enums", "Перечисления";
    Constant: "Constant", "Константа", "Constants", "Константы";
    Report: "Report", "Отчет", "Reports", "Отчеты";
    DataProcessor: "DataProcessor", "Обработка", "DataProcessors", "Обработки";
    ChartOfCharacteristicTypes: "ChartOfCharacteristicTypes", "ПланВидовХарактеристик", "ChartsOfCharacteristicTypes", "ПланыВидовХарактеристик";
    ChartOfAccounts: "ChartOfAccounts", "ПланСчетов", "ChartsOfAccounts", "ПланыСчетов";
    ChartOfCalculationTypes: "ChartOfCalculationTypes", "ПланВидовРасчета", "ChartsOfCalculationTypes", "ПланыВидовРасчета";
    InformationRegister: "InformationRegister", "РегистрСведений", "InformationRegisters", "РегистрыСведений";
    AccumulationRegister: "AccumulationRegister", "РегистрНакопления", "AccumulationRegisters", "РегистрыНакопления";
    AccountingRegister: "AccountingRegister", "РегистрБухгалтерии", "AccountingRegisters", "РегистрыБухгалтерии";
    CalculationRegister: "CalculationRegister", "РегистрРасчета", "CalculationRegisters", "РегистрыРасчета";
    BusinessProcess: "BusinessProcess", "БизнесПроцесс", "BusinessProcesses", "БизнесПроцессы";
    Task: "Task", "Задача", "Tasks", "Задачи";
    ExchangePlan: "ExchangePlan", "ПланОбмена", "ExchangePlans", "ПланыОбмена";
    Sequence: "Sequence", "Последовательность", "Sequences", "Последовательности";
    FilterCriterion: "FilterCriterion", "КритерийОтбора", "FilterCriteria", "КритерииОтбора";
    SettingsStorage: "SettingsStorage", "ХранилищеНастроек", "SettingsStorages", "ХранилищаНастроек";
    ExternalDataSource: "ExternalDataSource", "ВнешнийИсточникДанных", "ExternalDataSources", "ВнешниеИсточникиДанных";
    CommonModule: "CommonModule", "ОбщийМодуль", "CommonModules", "ОбщиеМодули";
    CommonForm: "CommonForm", "ОбщаяФорма", "CommonForms", "ОбщиеФормы";
    CommonCommand: "CommonCommand", "ОбщаяКоманда", "CommonCommands", "ОбщиеКоманды";
    CommonTemplate: "CommonTemplate", "ОбщийМакет", "CommonTemplates", "ОбщиеМакеты";
    CommonPicture: "CommonPicture", "ОбщаяКартинка", "CommonPictures", "ОбщиеКартинки";
    CommonAttribute: "CommonAttribute", "ОбщийРеквизит", "CommonAttributes", "ОбщиеРеквизиты";
    CommandGroup: "CommandGroup", "ГруппаКоманд", "CommandGroups", "ГруппыКоманд";
    DefinedType: "DefinedType", "ОпределяемыйТип", "DefinedTypes", "ОпределяемыеТипы";
    DocumentNumerator: "DocumentNumerator", "НумераторДокументов", "DocumentNumerators", "НумераторыДокументов";
    EventSubscription: "EventSubscription", "ПодпискаНаСобытие", "EventSubscriptions", "ПодпискиНаСобытия";
    FunctionalOption: "FunctionalOption", "ФункциональнаяОпция", "FunctionalOptions", "ФункциональныеОпции";
    FunctionalOptionsParameter: "FunctionalOptionsParameter", "ПараметрФункциональныхОпций", "FunctionalOptionsParameters", "ПараметрыФункциональныхОпций";
    HttpService: "HTTPService", "HTTPСервис", "HTTPServices", "HTTPСервисы";
    WebService: "WebService", "WebСервис", "WebServices", "WebСервисы";
    WsReference: "WSReference", "WSСсылка", "WSReferences", "WSСсылки";
    IntegrationService: "IntegrationService", "СервисИнтеграции", "IntegrationServices", "СервисыИнтеграции";
    WebSocketClient: "WebSocketClient", "WebSocketКлиент", "WebSocketClients", "WebSocketКлиенты";
    Bot: "Bot", "Бот", "Bots", "Боты";
    Interface: "Interface", "Интерфейс", "Interfaces", "Интерфейсы";
    Language: "Language", "Язык", "Languages", "Языки";
    PaletteColor: "PaletteColor", "ЦветПалитры", "PaletteColors", "ЦветаПалитры";
    Role: "Role", "Роль", "Roles", "Роли";
    ScheduledJob: "ScheduledJob", "РегламентноеЗадание", "ScheduledJobs", "РегламентныеЗадания";
    SessionParameter: "SessionParameter", "ПараметрСеанса", "SessionParameters", "ПараметрыСеанса";
    Style: "Style", "Стиль", "Styles", "Стили";
    StyleItem: "StyleItem", "ЭлементСтиля", "StyleItems", "ЭлементыСтиля";
    Subsystem: "Subsystem", "Подсистема", "Subsystems", "Подсистемы";
    XdtoPackage: "XDTOPackage", "ПакетXDTO", "XDTOPackages", "ПакетыXDTO";
    ExternalDataProcessor: "ExternalDataProcessor", "ВнешняяОбработка", "ExternalDataProcessors", "ВнешниеОбработки";
    ExternalReport: "ExternalReport", "ВнешнийОтчет", "ExternalReports", "ВнешниеОтчеты";
    Configuration: "Configuration", "Конфигурация", "Configurations", "Конфигурации";
}

impl ObjectKind {
    /// The kind that `word` says for one object, in Russian or English and any case (`Справочник`).
    pub fn from_word(word: &str) -> Option<ObjectKind> {
        find(word, |kind| [kind.english(), kind.russian()])
    }

    /// The kind that `word` says for all objects, in Russian or English and any case (`Справочники`).
    pub fn from_plural(word: &str) -> Option<ObjectKind> {
        find(word, |kind| [kind.english_plural(), kind.russian_plural()])
    }

    /// What a module's path calls the object; `None` for scripts and what is not recognised.
    pub fn from_object_type(object_type: ObjectType) -> Option<ObjectKind> {
        Self::from_tag(object_type.english())
    }

    /// Whether code reaches the managers of such objects through a collection of that name (`Справочники.Товары`).
    pub fn has_managers(self) -> bool {
        matches!(
            self,
            ObjectKind::Catalog
                | ObjectKind::Document
                | ObjectKind::DocumentJournal
                | ObjectKind::Enum
                | ObjectKind::Constant
                | ObjectKind::Report
                | ObjectKind::DataProcessor
                | ObjectKind::ChartOfCharacteristicTypes
                | ObjectKind::ChartOfAccounts
                | ObjectKind::ChartOfCalculationTypes
                | ObjectKind::InformationRegister
                | ObjectKind::AccumulationRegister
                | ObjectKind::AccountingRegister
                | ObjectKind::CalculationRegister
                | ObjectKind::BusinessProcess
                | ObjectKind::Task
                | ObjectKind::ExchangePlan
                | ObjectKind::Sequence
                | ObjectKind::FilterCriterion
                | ObjectKind::SettingsStorage
                | ObjectKind::ExternalDataSource
                | ObjectKind::WebSocketClient
        )
    }

    /// Whether values of the database refer to such objects (`СправочникСсылка.Товары`).
    pub fn has_refs(self) -> bool {
        matches!(
            self,
            ObjectKind::Catalog
                | ObjectKind::Document
                | ObjectKind::Enum
                | ObjectKind::ChartOfCharacteristicTypes
                | ObjectKind::ChartOfAccounts
                | ObjectKind::ChartOfCalculationTypes
                | ObjectKind::BusinessProcess
                | ObjectKind::Task
                | ObjectKind::ExchangePlan
        )
    }

    /// Whether it is one of the four registers.
    pub fn is_register(self) -> bool {
        matches!(
            self,
            ObjectKind::InformationRegister
                | ObjectKind::AccumulationRegister
                | ObjectKind::AccountingRegister
                | ObjectKind::CalculationRegister
        )
    }
}

fn find(word: &str, words: impl Fn(ObjectKind) -> [&'static str; 2]) -> Option<ObjectKind> {
    ObjectKind::ALL
        .iter()
        .copied()
        .find(|&kind| words(kind).iter().any(|known| same(known, word)))
}

macro_rules! facets {
    ($($variant:ident: $en:literal, $ru:literal;)+) => {
        /// Which of an object's types: the reference, the object, the manager ...
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        pub enum Facet { $(#[doc = concat!("`…", $ru, "`, `…", $en, "`")] $variant,)+ }

        impl Facet {
            /// Every facet, in the order of the enum.
            pub const ALL: &'static [Facet] = &[$(Facet::$variant,)+];

            /// The end of the type's name in English.
            pub fn english(self) -> &'static str {
                match self { $(Facet::$variant => $en,)+ }
            }

            /// The end of the type's name in Russian.
            pub fn russian(self) -> &'static str {
                match self { $(Facet::$variant => $ru,)+ }
            }
        }
    };
}

facets! {
    Ref: "Ref", "Ссылка";
    Object: "Object", "Объект";
    Manager: "Manager", "Менеджер";
    Selection: "Selection", "Выборка";
    List: "List", "Список";
    RecordSet: "RecordSet", "НаборЗаписей";
    RecordManager: "RecordManager", "МенеджерЗаписи";
    RecordKey: "RecordKey", "КлючЗаписи";
    Record: "Record", "Запись";
    ValueManager: "ValueManager", "МенеджерЗначения";
    RoutePointRef: "RoutePointRef", "ТочкаМаршрутаСсылка";
    TabularSection: "TabularSection", "ТабличнаяЧасть";
    TabularSectionRow: "TabularSectionRow", "ТабличнаяЧастьСтрока";
}

/// Splits the first word of a type's name, `CatalogRef` or `СправочникСсылка` in any case, into kind and facet.
pub fn split_type_word(word: &str) -> Option<(ObjectKind, Facet)> {
    let mut best: Option<(ObjectKind, Facet, usize)> = None;
    for &kind in ObjectKind::ALL {
        for (kind_word, is_english) in [(kind.english(), true), (kind.russian(), false)] {
            let Some(end) = split_at(word, kind_word) else {
                continue;
            };
            let facet = Facet::ALL.iter().copied().find(|facet| {
                let facet_word = if is_english {
                    facet.english()
                } else {
                    facet.russian()
                };
                same(facet_word, &word[end..])
            });
            if let Some(facet) = facet
                && best.is_none_or(|(_, _, best_end)| end > best_end)
            {
                best = Some((kind, facet, end));
            }
        }
    }
    best.map(|(kind, facet, _)| (kind, facet))
}

/// Where `word` goes on after the beginning `start`.
fn split_at(word: &str, start: &str) -> Option<usize> {
    // Letters of both alphabets keep their number of bytes in any case.
    let head = word.get(..start.len())?;
    (head.len() < word.len() && same(head, start)).then_some(start.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_finds_its_kind() {
        for &kind in ObjectKind::ALL {
            assert_eq!(ObjectKind::from_tag(kind.english()), Some(kind));
            assert_eq!(
                ObjectKind::from_word(&kind.russian().to_uppercase()),
                Some(kind)
            );
            assert_eq!(ObjectKind::from_plural(kind.russian_plural()), Some(kind));
            assert_eq!(
                ObjectKind::from_plural(&kind.english_plural().to_lowercase()),
                Some(kind)
            );
        }
        assert_eq!(ObjectKind::from_word("Товар"), None);
    }

    #[test]
    fn type_words_are_split() {
        let check = |word: &str, kind, facet| {
            assert_eq!(split_type_word(word), Some((kind, facet)), "{word}")
        };
        check("СправочникСсылка", ObjectKind::Catalog, Facet::Ref);
        check("catalogref", ObjectKind::Catalog, Facet::Ref);
        check(
            "DocumentJournalManager",
            ObjectKind::DocumentJournal,
            Facet::Manager,
        );
        check(
            "РегистрСведенийМенеджерЗаписи",
            ObjectKind::InformationRegister,
            Facet::RecordManager,
        );
        check(
            "РегистрСведенийМенеджер",
            ObjectKind::InformationRegister,
            Facet::Manager,
        );
        check(
            "КонстантаМенеджерЗначения",
            ObjectKind::Constant,
            Facet::ValueManager,
        );
        check(
            "ПланВидовХарактеристикОбъект",
            ObjectKind::ChartOfCharacteristicTypes,
            Facet::Object,
        );
        for word in ["Справочник", "Ссылка", "СправочникRef", "Строка", "", "🙂"]
        {
            assert_eq!(split_type_word(word), None, "{word}");
        }
    }
}
