//! What the readers find in Designer's and EDT's files, and how roots are layered.

#![allow(
    clippy::unwrap_used,
    reason = "clippy's exception for tests does not know integration tests"
)]

mod support;

use nestor_bsl::module_path::ModuleKind;
use nestor_metadata::facts::{ExtensionKind, MemberKind, ObjectFlags};
use nestor_metadata::handlers::missing_handlers;
use nestor_metadata::{Index, ModulePlace, ObjectKind, RootRole, fields};
use support::{
    Project, describe, designer, designer_form, edt, goods_designer, goods_edt, part, view,
};

fn names<'a>(fields: &'a [fields::Field<'a>]) -> Vec<&'a str> {
    fields.iter().map(|field| &*field.russian).collect()
}

#[test]
fn designer_and_edt_say_the_same() {
    let (designer, problems) = goods_designer().link();
    assert_eq!(problems, []);
    let (edt, problems) = goods_edt().link();
    assert_eq!(problems, []);
    let of_designer = describe(&designer, view(&designer, "Catalogs/Товары.xml"));
    let of_edt = describe(&edt, view(&edt, "src/Catalogs/Товары/Товары.mdo"));
    assert!(of_designer.len() > 90, "{of_designer:#?}");
    assert_eq!(of_designer, of_edt);
}

#[test]
fn objects_have_standard_and_own_attributes() {
    let (metadata, _) = goods_designer().link();
    let view = view(&metadata, "any/file.bsl");
    let goods = view.object(ObjectKind::Catalog, "ТОВАРЫ").unwrap();
    assert_eq!(
        names(&fields::attributes(&goods)),
        [
            "Ссылка",
            "ПометкаУдаления",
            "ВерсияДанных",
            "Код",
            "Родитель",
            "ЭтоГруппа",
            "Предопределенный",
            "ИмяПредопределенныхДанных",
            "Артикул",
            "Поставщик",
        ]
    );
    let code = &fields::attributes(&goods)[3];
    assert_eq!(code.types[0].english(metadata.names()), "Number");
    let predefined: Vec<&str> = goods
        .members_of(MemberKind::Predefined)
        .iter()
        .map(|item| metadata.name(item.name))
        .collect();
    assert_eq!(predefined, ["Услуги", "Доставка"]);
    let sale = view.object(ObjectKind::Document, "Продажа").unwrap();
    assert_eq!(
        names(&fields::section_fields(&sale, "товары").unwrap()),
        ["НомерСтроки", "Товар", "Цена"]
    );
    assert_eq!(fields::section_fields(&sale, "Услуги"), None);
    // The defined type is replaced by what it stands for.
    let place = fields::attributes(&sale)
        .into_iter()
        .find(|field| field.is_named("склад"))
        .unwrap();
    let types: Vec<String> = place
        .types
        .iter()
        .map(|one| one.english(metadata.names()))
        .collect();
    assert_eq!(types, ["CatalogRef.Товары", "DocumentRef"]);
}

#[test]
fn registers_have_virtual_tables() {
    let (metadata, _) = goods_designer().link();
    let rests = view(&metadata, "x")
        .object(ObjectKind::AccumulationRegister, "Остатки")
        .unwrap();
    let tables = fields::virtual_tables(&rests);
    let balance = tables
        .iter()
        .find(|table| table.russian() == "Остатки")
        .unwrap()
        .fields(&rests);
    assert_eq!(names(&balance), ["Товар", "КоличествоОстаток"]);
    assert_eq!(balance[1].english, "КоличествоBalance");
    let both = tables
        .iter()
        .find(|table| table.english() == "BalanceAndTurnovers")
        .unwrap()
        .fields(&rests);
    for name in [
        "КоличествоНачальныйОстаток",
        "КоличествоОборот",
        "ПериодМесяц",
        "Регистратор",
        "Товар",
    ] {
        assert!(both.iter().any(|field| field.is_named(name)), "{name}");
    }
    let recorder = fields::attributes(&rests)
        .into_iter()
        .find(|field| field.is_named("Recorder"))
        .unwrap();
    assert_eq!(
        recorder.types[0].english(metadata.names()),
        "DocumentRef.Продажа"
    );
}

#[test]
fn accounting_registers_have_both_sides() {
    let balance = |name: &str, is_balance: bool| {
        part("Resource", name, &["xs:decimal"]).replace(
            "</Type>",
            &format!("</Type><Balance>{is_balance}</Balance>"),
        )
    };
    let (metadata, problems) = Project::new()
        .file("Configuration.xml", designer("Configuration", "<Name>К</Name>", ""))
        .file(
            "ChartsOfAccounts/Основной.xml",
            designer("ChartOfAccounts", "<Name>Основной</Name><MaxExtDimensionCount>2</MaxExtDimensionCount>", ""),
        )
        .file(
            "AccountingRegisters/Учет.xml",
            designer(
                "AccountingRegister",
                "<Name>Учет</Name><ChartOfAccounts>ChartOfAccounts.Основной</ChartOfAccounts><Correspondence>true</Correspondence>",
                &(balance("Сумма", true) + &balance("Количество", false)),
            ),
        )
        .link();
    assert_eq!(problems, []);
    let register = view(&metadata, "x")
        .object(ObjectKind::AccountingRegister, "Учет")
        .unwrap();
    let of = |name: &str| {
        let tables = fields::virtual_tables(&register);
        let table = tables
            .iter()
            .find(|table| table.russian() == name)
            .unwrap()
            .fields(&register);
        table
            .iter()
            .map(|field| field.russian.to_string())
            .collect::<Vec<_>>()
    };
    assert!(
        of("Остатки").contains(&"Субконто2".to_owned())
            && !of("Остатки").contains(&"Субконто3".to_owned())
    );
    for name in ["СуммаОборот", "КоличествоОборотДт", "СчетКт", "СубконтоДт1"]
    {
        assert!(of("ОборотыДтКт").contains(&name.to_owned()), "{name}");
    }
    assert!(!of("ОборотыДтКт").contains(&"СуммаОборотДт".to_owned()));
    assert!(of("Обороты").contains(&"КорСчет".to_owned()));
}

#[test]
fn slices_need_periods() {
    let register = |periodicity: &str| {
        let properties = format!(
            "<Name>Курсы</Name><InformationRegisterPeriodicity>{periodicity}</InformationRegisterPeriodicity>"
        );
        let (metadata, _) = Project::new()
            .file(
                "InformationRegisters/Курсы.xml",
                designer("InformationRegister", &properties, ""),
            )
            .link();
        let object = view(&metadata, "x")
            .object(ObjectKind::InformationRegister, "Курсы")
            .unwrap();
        fields::virtual_tables(&object)
            .iter()
            .map(|table| table.russian())
            .collect::<Vec<_>>()
    };
    assert_eq!(
        register("Day"),
        ["СрезПоследних", "СрезПервых", "Изменения"]
    );
    assert_eq!(register("Nonperiodical"), ["Изменения"]);
}

#[test]
fn common_attributes_belong_to_who_uses_them() {
    let attribute = |auto: &str, items: &str| {
        designer(
            "CommonAttribute",
            &format!(
                "<Name>Область</Name><Type><v8:Type>xs:decimal</v8:Type></Type><Content>{items}</Content><AutoUse>{auto}</AutoUse>"
            ),
            "",
        )
    };
    let item = |name: &str, uses: &str| {
        format!("<xr:Item><xr:Metadata>{name}</xr:Metadata><xr:Use>{uses}</xr:Use></xr:Item>")
    };
    let has = |file: String, kind, name| {
        let mut project = goods_designer();
        project = project.file("CommonAttributes/Область.xml", file);
        let (metadata, problems) = project.link();
        assert_eq!(problems, []);
        let object = view(&metadata, "x").object(kind, name).unwrap();
        fields::attributes(&object)
            .iter()
            .any(|field| field.is_named("область"))
    };
    let chosen = || attribute("DontUse", &item("Catalog.Товары", "Use"));
    assert!(has(chosen(), ObjectKind::Catalog, "Товары"));
    assert!(!has(chosen(), ObjectKind::Document, "Продажа"));
    let all = || attribute("Use", &item("Catalog.Товары", "DontUse"));
    assert!(!has(all(), ObjectKind::Catalog, "Товары"));
    assert!(has(all(), ObjectKind::Document, "Продажа"));
}

#[test]
fn modules_show_exports_with_comments() {
    let (metadata, _) = goods_designer().link();
    let place = ModulePlace {
        object_kind: Some(ObjectKind::CommonModule),
        module_kind: ModuleKind::Module,
        object: metadata.names().find("цены").unwrap(),
        part: None,
    };
    let modules = view(&metadata, "x").modules(place);
    let [module] = modules[..] else {
        panic!("{modules:?}")
    };
    let variables: Vec<&str> = metadata
        .variables(module)
        .iter()
        .map(|&name| metadata.name(name))
        .collect();
    assert_eq!(variables, ["Кэш"]);
    let [price, inner] = metadata.methods(module) else {
        panic!()
    };
    assert!(price.is_export && price.is_function && !inner.is_export);
    assert_eq!(
        metadata.doc(price),
        " Цена товара.\n\n Параметры:\n  Товар - СправочникСсылка.Товары\n"
    );
    assert_eq!(metadata.doc(inner), "");
    assert_eq!(metadata.params(price).len(), 2);
    let flags = view(&metadata, "x")
        .object(ObjectKind::CommonModule, "Цены")
        .unwrap()
        .flags()
        .unwrap();
    assert!(
        flags.has(ObjectFlags::SERVER)
            && flags.has(ObjectFlags::SERVER_CALL)
            && !flags.has(ObjectFlags::GLOBAL)
    );
}

fn with_extension() -> Project {
    let adopted = "<ObjectBelonging>Adopted</ObjectBelonging>";
    let mut project = Project::new();
    for (path, bytes) in goods_designer().files {
        project = project.file(&format!("cf/{path}"), bytes);
    }
    project
        .file(
            "cfe/Доработки/Configuration.xml",
            designer(
                "Configuration",
                &format!("{adopted}<Name>Доработки</Name><ConfigurationExtensionPurpose>Customization</ConfigurationExtensionPurpose>"),
                "",
            ),
        )
        .file(
            "cfe/Доработки/Catalogs/Товары.xml",
            designer("Catalog", &format!("{adopted}<Name>Товары</Name>"), &part("Attribute", "Дт_Вес", &["xs:decimal"])),
        )
        .file("cfe/Доработки/CommonModules/Цены.xml", designer("CommonModule", &format!("{adopted}<Name>Цены</Name>"), ""))
        .file(
            "cfe/Доработки/CommonModules/Цены/Ext/Module.bsl",
            "&Вместо(\"Внутренняя\")\nПроцедура Дт_Внутренняя()\nКонецПроцедуры\n&После(\"Нет\")\nПроцедура Дт_Нет()\nКонецПроцедуры\n",
        )
}

#[test]
fn an_extension_sees_its_base_and_not_the_other_way() {
    let (metadata, problems) = with_extension().link();
    assert_eq!(problems, []);
    let vat = |path: &str| {
        let object = view(&metadata, path)
            .object(ObjectKind::Catalog, "Товары")
            .unwrap();
        (
            fields::attributes(&object)
                .iter()
                .any(|field| field.is_named("Дт_Вес")),
            fields::attributes(&object)
                .iter()
                .any(|field| field.is_named("Артикул")),
            object
                .flags()
                .is_some_and(|flags| flags.has(ObjectFlags::HIERARCHICAL)),
        )
    };
    assert_eq!(
        vat("cfe/Доработки/CommonModules/Цены/Ext/Module.bsl"),
        (true, true, true)
    );
    assert_eq!(
        vat("cf/CommonModules/Цены/Ext/Module.bsl"),
        (false, true, true)
    );
    let roots: Vec<(RootRole, &str)> = metadata
        .roots()
        .map(|(_, root)| (root.role, root.name.as_str()))
        .collect();
    assert_eq!(
        roots[..2],
        [
            (RootRole::Base, "Торговля"),
            (RootRole::Extension, "Доработки")
        ]
    );
}

#[test]
fn extending_methods_know_the_method_they_change() {
    let (metadata, _) = with_extension().link();
    let module = metadata
        .modules()
        .iter()
        .find(|module| metadata.path(module.file).starts_with("cfe"))
        .unwrap();
    let [around, after] = metadata.methods(module) else {
        panic!()
    };
    assert_eq!(
        around
            .extends
            .map(|(kind, name)| (kind, metadata.name(name))),
        Some((ExtensionKind::Around, "Внутренняя"))
    );
    let (base, method) = metadata.base_method(module, around).unwrap();
    assert_eq!(
        (metadata.path(base.file), metadata.name(method.name)),
        ("cf/CommonModules/Цены/Ext/Module.bsl", "Внутренняя")
    );
    assert!(metadata.base_method(module, after).is_none());
}

#[test]
fn external_processors_run_in_the_configuration() {
    let (metadata, problems) = goods_designer()
        .file(
            "epf/Загрузка.xml",
            designer(
                "ExternalDataProcessor",
                "<Name>Загрузка</Name>",
                &part("Attribute", "Файл", &["xs:string"]),
            ),
        )
        .file(
            "epf/Загрузка/Ext/ObjectModule.bsl",
            "Процедура А() Экспорт\nКонецПроцедуры\n",
        )
        .link();
    assert_eq!(problems, []);
    let view = view(&metadata, "epf/Загрузка/Ext/ObjectModule.bsl");
    assert_eq!(view.root().role, RootRole::External);
    assert!(
        view.object(ObjectKind::ExternalDataProcessor, "Загрузка")
            .is_some()
    );
    assert!(view.object(ObjectKind::Catalog, "Товары").is_some());
}

#[test]
fn edt_extensions_are_told_by_their_belonging() {
    let (metadata, _) = Project::new()
        .file(
            "a/src/Configuration/Configuration.mdo",
            edt("Configuration", "<name>Основа</name>"),
        )
        .file(
            "b/src/Configuration/Configuration.mdo",
            edt(
                "Configuration",
                "<name>Тесты</name><objectBelonging>Adopted</objectBelonging>",
            ),
        )
        .link();
    let (_, root) = metadata
        .roots()
        .find(|(_, root)| root.name == "Тесты")
        .unwrap();
    assert_eq!(
        (root.role, root.folder.as_str()),
        (RootRole::Extension, "b/src/")
    );
    assert!(root.base.is_some());
}

#[test]
fn the_bundled_configuration_is_read_whole() {
    let (metadata, problems) = Project::of_folder("examples/trade").link();
    assert_eq!(problems, []);
    let view = view(&metadata, "cf/CommonModules/X/Ext/Module.bsl");
    let sale = view
        .object(ObjectKind::Document, "РеализацияТоваров")
        .unwrap();
    let columns = fields::section_fields(&sale, "Товары").unwrap();
    assert!(columns.iter().any(|field| field.is_named("Номенклатура")));
    let extending = metadata.modules().iter().flat_map(|module| {
        metadata
            .methods(module)
            .iter()
            .map(move |method| (module, method))
    });
    let extending: Vec<_> = extending
        .filter(|(_, method)| method.extends.is_some())
        .collect();
    assert!(!extending.is_empty());
    for (module, method) in extending {
        assert!(
            metadata.base_method(module, method).is_some(),
            "{}",
            metadata.name(method.name)
        );
    }
}

#[test]
fn the_order_of_files_changes_nothing() {
    let mut project = with_extension();
    let forward = project.index();
    project.files.reverse();
    let backward = project.index();
    assert_eq!(forward.save(), backward.save());
    let described = |index: &Index| {
        let (metadata, problems) = index.link();
        (describe(&metadata, view(&metadata, "cf/x")), problems)
    };
    assert_eq!(described(&forward), described(&backward));
}

#[test]
fn handlers_that_the_form_names_and_the_module_lacks_are_listed_with_their_signatures() {
    let form = designer_form(
        "<Events><Event name=\"OnCreateAtServer\">ПриСозданииНаСервере</Event><Event name=\"OnOpen\">ПриОткрытии</Event>\
         <Event name=\"SomethingNew\">Неведомое</Event></Events>\
         <ChildItems><InputField name=\"Склад\" id=\"1\"><Events><Event name=\"OnChange\">СкладПриИзменении</Event></Events></InputField>\
         <LabelDecoration name=\"Надпись\" id=\"2\"><Events><Event name=\"Click\">НадписьНажатие</Event></Events></LabelDecoration></ChildItems>\
         <Commands><Command name=\"Заполнить\" id=\"1\"><Action>Заполнить</Action></Command></Commands>",
    );
    let project = Project::new()
        .file(
            "cf/Configuration.xml",
            designer("Configuration", "<Name>База</Name>", ""),
        )
        .file(
            "cf/Catalogs/Товары.xml",
            designer("Catalog", "<Name>Товары</Name>", ""),
        )
        .file(
            "cf/Catalogs/Товары/Forms/Ф.xml",
            designer("Form", "<Name>Ф</Name>", ""),
        )
        .file("cf/Catalogs/Товары/Forms/Ф/Ext/Form.xml", form);
    let (metadata, _) = project.link();
    let path = "cf/Catalogs/Товары/Forms/Ф/Ext/Form/Module.bsl";
    let methods = nestor_bsl::methods("&НаКлиенте\nПроцедура приоткрытии(Отказ)\nКонецПроцедуры\n");
    let found = missing_handlers(view(&metadata, path), path, &methods);
    let shown: Vec<String> = found
        .iter()
        .map(|handler| {
            let params: Vec<&str> = handler.params.iter().map(|(russian, _)| *russian).collect();
            let place = if handler.at_server {
                "сервер"
            } else {
                "клиент"
            };
            format!("{place} {}({})", handler.name, params.join(", "))
        })
        .collect();
    assert_eq!(
        shown,
        [
            "сервер ПриСозданииНаСервере(Отказ, СтандартнаяОбработка)",
            "клиент СкладПриИзменении(Элемент)",
            "клиент НадписьНажатие(Элемент)",
            "клиент Заполнить(Команда)",
        ]
    );
    let other = "cf/Catalogs/Товары/Ext/ObjectModule.bsl";
    assert_eq!(missing_handlers(view(&metadata, other), other, &[]), []);
}
