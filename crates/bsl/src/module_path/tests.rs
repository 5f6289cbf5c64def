use super::*;

fn check(path: &str, russian: &str, english: &str) {
    let module = ModulePath::from_path(path);
    assert_eq!(module.header(), russian, "{path}");
    assert_eq!(module.header_english(), english, "{path}");
    assert_eq!(
        ModulePath::from_path(&path.replace('/', "\\")),
        module,
        "{path}"
    );
}

#[test]
fn designer_layout() {
    check(
        "src/cf/CommonModules/Общий/Ext/Module.bsl",
        "ОбщийМодуль.Общий.Модуль",
        "CommonModule.Общий.Module",
    );
    check(
        "Documents/Заказ/Ext/ObjectModule.bsl",
        "Документ.Заказ.МодульОбъекта",
        "Document.Заказ.ObjectModule",
    );
    check(
        "Catalogs/Т/Ext/ManagerModule.bsl",
        "Справочник.Т.МодульМенеджера",
        "Catalog.Т.ManagerModule",
    );
    check(
        "src/cf/Catalogs/Товары/Forms/ФормаЭлемента/Ext/Form/Module.bsl",
        "Справочник.Товары.Форма.ФормаЭлемента.МодульФормы",
        "Catalog.Товары.Form.ФормаЭлемента.FormModule",
    );
    check(
        "Reports/Р/Forms/Старая/Ext/Form.bin",
        "Отчет.Р.Форма.Старая.МодульФормы",
        "Report.Р.Form.Старая.FormModule",
    );
    check(
        "InformationRegisters/Цены/Ext/RecordSetModule.bsl",
        "РегистрСведений.Цены.МодульНабораЗаписей",
        "InformationRegister.Цены.RecordSetModule",
    );
    check(
        "Constants/К/Ext/ValueManagerModule.bsl",
        "Константа.К.МодульМенеджераЗначения",
        "Constant.К.ValueManagerModule",
    );
    check(
        "Documents/Д/Commands/Печать/Ext/CommandModule.bsl",
        "Документ.Д.Команда.Печать.МодульКоманды",
        "Document.Д.Command.Печать.CommandModule",
    );
    check(
        "CommonForms/Ф/Ext/Form/Module.bsl",
        "ОбщаяФорма.Ф.МодульФормы",
        "CommonForm.Ф.FormModule",
    );
    check(
        "CommonCommands/К/Ext/CommandModule.bsl",
        "ОбщаяКоманда.К.МодульКоманды",
        "CommonCommand.К.CommandModule",
    );
    check(
        "HTTPServices/С/Ext/Module.bsl",
        "HTTPСервис.С.Модуль",
        "HTTPService.С.Module",
    );
    check(
        "src/cf/Ext/SessionModule.bsl",
        "Конфигурация.МодульСеанса",
        "Configuration.SessionModule",
    );
    check(
        "CalculationRegisters/Н/Recalculations/П/Ext/RecordSetModule.bsl",
        "РегистрРасчета.Н.Перерасчет.П.МодульНабораЗаписей",
        "CalculationRegister.Н.Recalculation.П.RecordSetModule",
    );
    check(
        "ExternalDataSources/И/Tables/Т/Forms/Ф/Ext/Form/Module.bsl",
        "ВнешнийИсточникДанных.И.Таблица.Т.Форма.Ф.МодульФормы",
        "ExternalDataSource.И.Table.Т.Form.Ф.FormModule",
    );
    // An object and a home folder that are named like collections.
    check(
        "home/Documents/p/DataProcessors/Catalogs/Ext/ObjectModule.bsl",
        "Обработка.Catalogs.МодульОбъекта",
        "DataProcessor.Catalogs.ObjectModule",
    );
}

#[test]
fn edt_layout() {
    check(
        "p/src/CommonModules/О/Module.bsl",
        "ОбщийМодуль.О.Модуль",
        "CommonModule.О.Module",
    );
    check(
        "p/src/Catalogs/T/ObjectModule.bsl",
        "Справочник.T.МодульОбъекта",
        "Catalog.T.ObjectModule",
    );
    check(
        "src/Catalogs/T/Forms/Item/Module.bsl",
        "Справочник.T.Форма.Item.МодульФормы",
        "Catalog.T.Form.Item.FormModule",
    );
    check(
        "src/CommonForms/Ф/Module.bsl",
        "ОбщаяФорма.Ф.МодульФормы",
        "CommonForm.Ф.FormModule",
    );
    check(
        "src/Documents/Д/Commands/К/CommandModule.bsl",
        "Документ.Д.Команда.К.МодульКоманды",
        "Document.Д.Command.К.CommandModule",
    );
    check(
        "src/Configuration/ManagedApplicationModule.bsl",
        "Конфигурация.МодульУправляемогоПриложения",
        "Configuration.ManagedApplicationModule",
    );
    check(
        "src/DataProcessors/Catalogs/ObjectModule.bsl",
        "Обработка.Catalogs.МодульОбъекта",
        "DataProcessor.Catalogs.ObjectModule",
    );
}

#[test]
fn external_processors_flat_dumps_and_scripts() {
    check(
        "epf/Загрузка/Загрузка/Ext/ObjectModule.bsl",
        "ВнешняяОбработка.Загрузка.МодульОбъекта",
        "ExternalDataProcessor.Загрузка.ObjectModule",
    );
    check(
        "VanessaAutomation/Forms/Ф/Ext/Form/Module.bsl",
        "ВнешняяОбработка.VanessaAutomation.Форма.Ф.МодульФормы",
        "ExternalDataProcessor.VanessaAutomation.Form.Ф.FormModule",
    );
    check(
        "src/Plugins/П/Form/Форма/Форма.bsl",
        "ВнешняяОбработка.П.Форма.Форма.МодульФормы",
        "ExternalDataProcessor.П.Form.Форма.FormModule",
    );
    check(
        "src/Plugins/П/ObjectModule.bsl",
        "ВнешняяОбработка.П.МодульОбъекта",
        "ExternalDataProcessor.П.ObjectModule",
    );
    check(
        "Справочник.Т.МодульОбъекта.txt",
        "Справочник.Т.МодульОбъекта",
        "Catalog.Т.ObjectModule",
    );
    check(
        "d/CommonModule.О.Module.txt",
        "ОбщийМодуль.О.Модуль",
        "CommonModule.О.Module",
    );
    check(
        "Document.Д.Form.Ф.Form.Module.txt",
        "Документ.Д.Форма.Ф.МодульФормы",
        "Document.Д.Form.Ф.FormModule",
    );
    check(
        "src/Классы/Парсер.os",
        "OneScript.Парсер.Класс",
        "OneScript.Парсер.Class",
    );
    check(
        "lib/Modules/json.os",
        "OneScript.json.Модуль",
        "OneScript.json.Module",
    );
    check(
        "main.os",
        "OneScript.main.Сценарий",
        "OneScript.main.Script",
    );
}

#[test]
fn what_is_not_known_keeps_its_name() {
    check("", "Файл.Модуль", "File.Module");
    check("заметки.bsl", "Файл.заметки.Модуль", "File.заметки.Module");
}

#[test]
fn extensions_are_named_apart() {
    let check = |path: &str, extension: Option<&str>| {
        let module = ModulePath::from_path(path);
        assert_eq!(module.extension.as_deref(), extension, "{path}");
        assert_eq!(module.header(), "ОбщийМодуль.О.Модуль", "{path}");
    };
    check("src/cfe/Патч/CommonModules/О/Ext/Module.bsl", Some("Патч"));
    check("exts/smoke/src/CommonModules/О/Module.bsl", Some("smoke"));
    check("cfe/CommonModules/О/Ext/Module.bsl", None);
    check("src/cf/CommonModules/О/Ext/Module.bsl", None);
}
