//! What the resolver knows behind a dot, on the bundled configuration and on code written here. `¦` is the cursor.

#![allow(
    clippy::unwrap_used,
    reason = "clippy's exception for tests does not know integration tests"
)]

mod support;

use std::sync::LazyLock;

use nestor_bsl::lexer::{TokenKind, lex};
use nestor_bsl::normalise;
use nestor_bsl::query::{QueryTokenKind, Shape, lex_query, literal, shape};
use nestor_metadata::Metadata;
use nestor_metadata::resolve::{Document, Resolution, Resolver};
use proptest::prelude::*;
use support::Project;

static TRADE: LazyLock<Metadata> = LazyLock::new(|| Project::of_folder("examples/trade").link().0);

const COMMON: &str = "cf/CommonModules/ПроведениеСервер/Ext/Module.bsl";
const OBJECT: &str = "cf/Documents/РеализацияТоваров/Ext/ObjectModule.bsl";
const FORM: &str = "cf/Documents/РеализацияТоваров/Forms/ФормаДокумента/Ext/Form/Module.bsl";

fn ask(path: &str, code: &str) -> Option<Resolution> {
    let offset = code.find('¦').expect("the code has a cursor");
    let document = Document::new(path, code.replace('¦', ""));
    Resolver::new(&TRADE, &document).unwrap().at(offset)
}

/// Asks within a method of its own.
fn in_method(path: &str, body: &str) -> Option<Resolution> {
    ask(
        path,
        &format!("Процедура Проверка()\n{body}\nКонецПроцедуры\n"),
    )
}

fn check(path: &str, body: &str, offered: &[&str]) -> Resolution {
    let found = in_method(path, body).unwrap_or_else(|| panic!("nothing is known: {body}"));
    for name in offered {
        assert!(
            found.offers(name),
            "{name} is missing: {body}\n{:?}",
            found.receiver
        );
    }
    found
}

fn check_unknown(path: &str, body: &str) {
    let found = in_method(path, body);
    assert!(
        found.is_none(),
        "{body}: {:?}",
        found.map(|found| found.receiver)
    );
}

#[test]
fn managers_lead_to_objects_and_references() {
    check(
        COMMON,
        "А = Справочники.¦",
        &["Номенклатура", "Контрагенты", "ТипВсеСсылки"],
    );
    check(
        COMMON,
        "А = catalogs.Номенклатура.¦",
        &["ПустаяСсылка", "FindByCode"],
    );
    check(COMMON, "А = Перечисления.СтавкиНДС.¦", &["ПустаяСсылка"]);
    let reference = check(
        COMMON,
        "Док = Документы.РеализацияТоваров.НайтиПоНомеру(\"1\").Контрагент;\nА = Док.¦",
        &[
            "ИНН",
            "Наименование",
            "Description",
            "ПолучитьОбъект",
            "КонтактныеЛица",
        ],
    );
    assert_eq!(reference.receiver, ["CatalogRef.Контрагенты"]);
    assert!(!reference.is_open && !reference.offers("Записать"));
    check(
        COMMON,
        "Док = Документы.РеализацияТоваров.СоздатьДокумент();\nДок.¦",
        &["Товары", "Записать", "Движения", "ДополнительныеСвойства"],
    );
    check(
        COMMON,
        "Набор = РегистрыСведений.КурсыВалют.СоздатьНаборЗаписей();\nДля Каждого Запись Из Набор Цикл\nЗапись.¦\nКонецЦикла",
        &["Курс", "Период"],
    );
    check(
        COMMON,
        "А = Метаданные.Документы.РеализацияТоваров.Реквизиты.¦",
        &["Контрагент", "Найти"],
    );
    check(
        COMMON,
        "Если Метаданные.СвойстваОбъектов.¦",
        &["РежимЗаписиРегистра", "InformationRegisterPeriodicity"],
    );
    let mode = check(
        COMMON,
        "Свойства = Метаданные.СвойстваОбъектов; А = Свойства.РежимЗаписиРегистра.¦",
        &["Независимый", "RecorderSubordinate"],
    );
    assert!(!mode.is_open);
    check(COMMON, "А = ПараметрыСеанса.¦", &["ТекущийПользователь"]);
    check(
        COMMON,
        "А = РежимЗаписиДокумента.¦",
        &["Проведение", "UndoPosting"],
    );
}

#[test]
fn tabular_sections_have_rows_with_their_columns() {
    let loop_over =
        |section: &str| format!("Для Каждого Строка Из {section} Цикл\nСтрока.¦\nКонецЦикла;");
    for (path, section) in [
        (OBJECT, "Товары"),
        (OBJECT, "ЭтотОбъект.Товары"),
        (FORM, "Объект.Товары"),
    ] {
        let row = check(
            path,
            &loop_over(section),
            &["Номенклатура", "Цена", "НомерСтроки", "LineNumber"],
        );
        assert!(!row.offers("Контрагент"), "{section}");
    }
    check(
        OBJECT,
        "Строка = Товары.Добавить();\nСтрока.Номенклатура.¦",
        &["Артикул"],
    );
    check(OBJECT, "Товары[0].¦", &["Количество"]);
    check(OBJECT, "Товары.¦", &["Выгрузить", "Количество", "Clear"]);
}

#[test]
fn an_object_module_sees_its_own_names() {
    check(OBJECT, "Контрагент.¦", &["ИНН"]);
    check(OBJECT, "Движения.¦", &["ТоварыНаСкладах", "Продажи"]);
    check(
        OBJECT,
        "Движения.ТоварыНаСкладах.¦",
        &["Записать", "ДобавитьРасход", "Записывать"],
    );
    check(
        OBJECT,
        "Движение = Движения.ТоварыНаСкладах.ДобавитьРасход();\nДвижение.¦",
        &["Номенклатура", "Количество", "Период"],
    );
}

#[test]
fn a_form_module_sees_the_form() {
    let items = check(FORM, "Элементы.¦", &["Товары", "ТоварыЦена", "Найти"]);
    assert!(!items.is_open);
    check(
        FORM,
        "ЭтотОбъект.Элементы.Товары.¦",
        &["ТекущиеДанные", "Видимость", "SelectedRows"],
    );
    check(
        FORM,
        "Данные = Элементы.Товары.ТекущиеДанные;\nДанные.¦",
        &["Номенклатура", "Цена"],
    );
    check(FORM, "Объект.¦", &["Товары", "Контрагент", "Ссылка", "Ref"]);
    check(FORM, "Объект.Контрагент.¦", &["ИНН"]);
    check(
        FORM,
        "Документ = РеквизитФормыВЗначение(\"Объект\");\nДокумент.¦",
        &["Записать", "Контрагент"],
    );
    // The parameter of an event's handler is the element.
    let handler = "Процедура ТоварыЦенаПриИзменении(Элемент)\nЭлемент.¦\nКонецПроцедуры";
    assert_eq!(
        ask(FORM, handler).unwrap().receiver,
        ["FormItem.ТоварыЦена"]
    );
    let action = "Процедура Подбор(Команда)\nКоманда.¦\nКонецПроцедуры";
    assert!(ask(FORM, action).unwrap().offers("Заголовок"));
}

#[test]
fn query_text_knows_its_tables() {
    let query = |text: &str| format!("Запрос = Новый Запрос;\nЗапрос.Текст = \"{text}\";");
    let fields = |text: &str, offered: &[&str]| check(COMMON, &query(text), offered);
    fields(
        "ВЫБРАТЬ Т.¦ ИЗ Справочник.Номенклатура КАК Т",
        &["Артикул", "Ссылка", "Представление", "Code"],
    );
    fields(
        "ВЫБРАТЬ Т.Родитель.¦ ИЗ Справочник.Номенклатура КАК Т",
        &["Артикул"],
    );
    fields(
        "SELECT Goods.¦ FROM Document.РеализацияТоваров.Товары AS Goods",
        &["Цена", "LineNumber", "Ref"],
    );
    let rests = fields(
        "ВЫБРАТЬ\n|\tО.¦\n|ИЗ РегистрНакопления.ТоварыНаСкладах.Остатки(&Дата, ) КАК О",
        &["КоличествоОстаток", "Номенклатура"],
    );
    assert!(!rests.offers("Количество") && !rests.is_open);
    fields(
        "ВЫБРАТЬ А.¦ ИЗ (ВЫБРАТЬ Т.Код КАК Шифр, Т.Ссылка ИЗ Справочник.Номенклатура КАК Т) КАК А",
        &["Шифр", "Ссылка"],
    );
    fields(
        "ВЫБРАТЬ Т.Код КАК Шифр ПОМЕСТИТЬ ВТ ИЗ Справочник.Номенклатура КАК Т;\n|ВЫБРАТЬ ВТ.¦ ИЗ ВТ КАК ВТ",
        &["Шифр"],
    );
    fields(
        "ВЫБРАТЬ * ИЗ Справочник.Номенклатура КАК Т ГДЕ Т.ВидНоменклатуры = ЗНАЧЕНИЕ(Перечисление.ВидыНоменклатуры.¦)",
        &["ПустаяСсылка"],
    );
    fields(
        "ВЫБРАТЬ 1 ИЗ Справочник.¦ КАК Т",
        &["Номенклатура", "Контрагенты"],
    );
    fields(
        "ВЫБРАТЬ 1 ИЗ РегистрНакопления.ТоварыНаСкладах.¦ КАК Т",
        &["Остатки", "Turnovers"],
    );
    fields(
        "ВЫБРАТЬ 1 ИЗ Справочник.Номенклатура КАК Т ЛЕВОЕ СОЕДИНЕНИЕ Справочник.Контрагенты КАК К ПО К.¦ = 1",
        &["ИНН"],
    );
    fields(
        "ВЫБРАТЬ 1 ИЗ Справочник.Номенклатура КАК Т ГДЕ Т.Ссылка В (ВЫБРАТЬ Д.Номенклатура ИЗ Документ.РеализацияТоваров.Товары КАК Д ГДЕ Д.Цена = Т.¦)",
        &["Артикул"],
    );
    check_unknown(COMMON, &query("ВЫБРАТЬ Т.¦ ИЗ ВТ_Чужая КАК Т"));
    check_unknown(COMMON, &query("ВЫБРАТЬ Т.¦ ИЗ Справочник.Нет КАК Т"));
    check_unknown(COMMON, &query("ВЫБРАТЬ Т.¦ ИЗ &Таблица КАК Т"));
}

#[test]
fn a_temporary_table_comes_from_another_query_of_the_method() {
    check(
        COMMON,
        "А = \"ВЫБРАТЬ Т.Код КАК Шифр ПОМЕСТИТЬ ВТ_Коды ИЗ Справочник.Номенклатура КАК Т\";\nБ = \"ВЫБРАТЬ К.¦ ИЗ ВТ_Коды КАК К\";",
        &["Шифр"],
    );
}

#[test]
fn a_query_goes_on_over_what_is_added_to_it() {
    for sum in [
        "\"ВЫБРАТЬ Т.¦ \" + Поля + \" ИЗ Справочник.Номенклатура КАК Т\"",
        "\"ВЫБРАТЬ Т.¦ \" + Поля(1, \"а\") + \" ИЗ Справочник.Номенклатура КАК Т\"",
        "\"ВЫБРАТЬ Т.Код \" + \" ИЗ Справочник.Номенклатура КАК Т\" + \"\n|ГДЕ Т.¦\"",
    ] {
        check(COMMON, &format!("А = {sum};"), &["Артикул"]);
    }
}

#[test]
fn query_results_have_the_columns_of_the_text() {
    let query = "Запрос = Новый Запрос(\"ВЫБРАТЬ Т.Контрагент КАК Покупатель, СУММА(Т.СуммаДокумента) КАК Итог\n|ИЗ Документ.РеализацияТоваров КАК Т\");\n";
    let columns = &["Покупатель", "Итог"];
    check(
        COMMON,
        &format!(
            "{query}Выборка = Запрос.Выполнить().Выбрать();\nПока Выборка.Следующий() Цикл\nВыборка.¦\nКонецЦикла"
        ),
        columns,
    );
    check(
        COMMON,
        &format!("{query}Выборка = Запрос.Выполнить().Выбрать();\nВыборка.Покупатель.¦"),
        &["ИНН"],
    );
    check(
        COMMON,
        &format!(
            "{query}Таблица = Запрос.Выполнить().Выгрузить();\nДля Каждого Строка Из Таблица Цикл\nСтрока.¦\nКонецЦикла"
        ),
        columns,
    );
    check(
        COMMON,
        &format!("{query}Таблица = Запрос.Выполнить().Выгрузить();\nТаблица.Колонки.¦"),
        &["Покупатель", "Добавить"],
    );
    check(
        COMMON,
        &format!(
            "{query}Дерево = Запрос.Выполнить().Выгрузить(ОбходРезультатаЗапроса.ПоГруппировкам);\nДерево.¦"
        ),
        &["Строки"],
    );
    let text = "Текст = \"ВЫБРАТЬ Т.Код КАК Шифр \" + \"ИЗ Справочник.Номенклатура КАК Т\";\nЗапрос = Новый Запрос;\nЗапрос.Текст = Текст;\nРезультат = Запрос.Выполнить();\nВ = Результат.Выбрать();\nВ.¦";
    check(COMMON, text, &["Шифр", "Следующий"]);
    // What is put in later is not known.
    let unknown = check(
        COMMON,
        "Запрос = Новый Запрос(\"ВЫБРАТЬ \" + Поля);\nВ = Запрос.Выполнить().Выбрать();\nВ.¦",
        &["Следующий"],
    );
    assert!(unknown.is_open);
}

#[test]
fn structures_and_tables_have_the_keys_that_code_gives_them() {
    let keys = check(
        COMMON,
        "С = Новый Структура(\"Товар, Цена\", Справочники.Номенклатура.ПустаяСсылка(), 1);\nС.Вставить(\"Склад\");\nС.¦",
        &["Товар", "Цена", "Склад", "Свойство"],
    );
    assert!(keys.is_open);
    check(
        COMMON,
        "С = Новый Структура(\"Товар\", Справочники.Номенклатура.ПустаяСсылка());\nС.Товар.¦",
        &["Артикул"],
    );
    check(
        COMMON,
        "Т = Новый ТаблицаЗначений;\nТ.Колонки.Добавить(\"Товар\", Новый ОписаниеТипов(\"СправочникСсылка.Номенклатура\"));\nС = Т.Добавить();\nС.Товар.¦",
        &["Артикул"],
    );
    check(
        COMMON,
        "М = Новый Массив;\nМ.Добавить(Новый Структура(\"Ключевой\"));\nДля Каждого Э Из М Цикл\nЭ.¦\nКонецЦикла",
        &["Ключевой"],
    );
    check(
        COMMON,
        "С = Новый Соответствие;\nДля Каждого КЗ Из С Цикл\nКЗ.¦\nКонецЦикла",
        &["Ключ", "Value"],
    );
}

#[test]
fn definitions_reach_as_the_blocks_let_them() {
    let goods = "Справочники.Номенклатура.ПустаяСсылка()";
    let people = "Справочники.Контрагенты.ПустаяСсылка()";
    let both = check(
        COMMON,
        &format!("А = {goods};\nЕсли Б Тогда\nА = {people};\nКонецЕсли;\nА.¦"),
        &["Артикул", "ИНН"],
    );
    assert_eq!(both.receiver.len(), 2);
    let last = check(
        COMMON,
        &format!("А = {goods};\nА = {people};\nА.¦"),
        &["ИНН"],
    );
    assert_eq!(last.receiver, ["CatalogRef.Контрагенты"]);
    let branch = format!("Если Б Тогда\nА = {goods};\nИначе\nА = {people};\nВ = А.¦;\nКонецЕсли;");
    assert_eq!(
        check(COMMON, &branch, &["ИНН"]).receiver,
        ["CatalogRef.Контрагенты"]
    );
    let tried = format!("Попытка\nА = {goods};\nИсключение\nВозврат;\nКонецПопытки;\nА.¦");
    assert_eq!(
        check(COMMON, &tried, &["Артикул"]).receiver,
        ["CatalogRef.Номенклатура"]
    );
    check(
        COMMON,
        &format!("А = Неопределено;\nЕсли Б Тогда\nА = {goods};\nКонецЕсли;\nА.¦"),
        &["Артикул"],
    );
    check(
        COMMON,
        &format!("А = ?(Б, {goods}, Неопределено);\nА.¦"),
        &["Артикул"],
    );
    // One way in that is not known makes the whole unknown.
    check_unknown(
        COMMON,
        &format!("А = {goods};\nЕсли Б Тогда\nА = Неизвестно();\nКонецЕсли;\nА.¦"),
    );
}

#[test]
fn common_modules_offer_their_exports() {
    let module = check(
        COMMON,
        "ЦенообразованиеСервер.¦",
        &["ЦенаНоменклатуры", "ЦеныНоменклатуры"],
    );
    assert!(!module.is_open);
    assert!(
        module
            .candidates
            .iter()
            .all(|candidate| candidate.is_method)
    );
    // Its doc comment says what the function gives back.
    check(
        COMMON,
        "А = ЦенообразованиеСервер.ЦеныНоменклатуры(1, 2, 3);\nА.¦",
        &["Получить", "Вставить"],
    );
    // A variable hides the module.
    check_unknown(
        COMMON,
        "ЦенообразованиеСервер = Неизвестно();\nЦенообразованиеСервер.¦",
    );
}

#[test]
fn parameters_have_the_types_of_their_comment_or_of_the_calls() {
    let check = |code: &str, offered: &[&str]| {
        let found = ask(COMMON, code).unwrap_or_else(|| panic!("nothing is known: {code}"));
        for name in offered {
            assert!(found.offers(name), "{name}: {code}");
        }
    };
    check(
        "// Параметры:\n//  Товар - СправочникСсылка.Номенклатура - товар.\nПроцедура А(Товар)\nТовар.¦\nКонецПроцедуры",
        &["Артикул"],
    );
    check(
        "// Параметры:\n//  Т - Структура:\n//   * Товар - СправочникСсылка.Номенклатура\nПроцедура А(Т)\nТ.Товар.¦\nКонецПроцедуры",
        &["Артикул"],
    );
    check(
        "// Параметры:\n//  Т - Массив из СправочникСсылка.Номенклатура\nПроцедура А(Т)\nДля Каждого Э Из Т Цикл\nЭ.¦\nКонецЦикла\nКонецПроцедуры",
        &["Артикул"],
    );
    check(
        "// Параметры:\n//  Т - см. Новая\nПроцедура А(Т)\nТ.¦\nКонецПроцедуры\nФункция Новая()\nВозврат Новый Структура(\"Поле\");\nКонецФункции",
        &["Поле"],
    );
    check(
        "Процедура А(Т)\nТ.¦\nКонецПроцедуры\nПроцедура Б()\nА(Новый Структура(\"Поле\"));\nКонецПроцедуры",
        &["Поле"],
    );
    check(
        "Процедура А(Р, Т) Экспорт\nТ.¦\nКонецПроцедуры\nПроцедура Б()\nО = Новый ОписаниеОповещения(\"А\", ЭтотОбъект, Новый Структура(\"Поле\"));\nКонецПроцедуры",
        &["Поле"],
    );
    let unknown = |code: &str| assert!(ask(COMMON, code).is_none(), "{code}");
    unknown("Процедура А(Т)\nТ.¦\nКонецПроцедуры");
    // Others may call it with anything.
    unknown(
        "Процедура А(Т) Экспорт\nТ.¦\nКонецПроцедуры\nПроцедура Б()\nА(Новый Структура(\"Поле\"));\nКонецПроцедуры",
    );
    unknown(
        "Процедура А(Т)\nТ.¦\nКонецПроцедуры\nПроцедура Б(Х)\nА(Новый Структура(\"Поле\"));\nА(Х);\nКонецПроцедуры",
    );
}

#[test]
fn functions_give_back_what_they_return() {
    let found = ask(COMMON, "Процедура А()\nС = Новая();\nС.¦\nКонецПроцедуры\nФункция Новая()\nР = Новый Структура(\"Имя\");\nР.Вставить(\"Код\");\nВозврат Р;\nКонецФункции").unwrap();
    assert!(found.offers("Имя") && found.offers("Код"));
    // Functions that call each other end.
    assert!(ask(COMMON, "Процедура А()\nС = Б();\nС.¦\nКонецПроцедуры\nФункция Б()\nВозврат В();\nКонецФункции\nФункция В()\nВозврат Б();\nКонецФункции").is_none());
}

#[test]
fn an_extension_sees_what_its_base_has() {
    let path = "cfe/ДоработкиТорговли/CommonModules/Дт_Скидки/Ext/Module.bsl";
    check(
        path,
        "А = РегистрыСведений.¦",
        &["Дт_СкидкиКонтрагентов", "КурсыВалют"],
    );
    check(path, "ЦенообразованиеСервер.¦", &["ЦенаНоменклатуры"]);
    let base = check(COMMON, "А = РегистрыСведений.¦", &["КурсыВалют"]);
    assert!(!base.offers("Дт_СкидкиКонтрагентов"));
}

#[test]
fn what_code_does_not_show_is_unknown() {
    for body in [
        "А.¦",
        "А = Неизвестно();\nА.¦",
        "А = 1;\nА = Б;\nА.¦",
        "¦",
        "А = Справочники¦",
        ".¦",
        "А..¦",
        "А().¦",
        "А[0].¦",
        "Справочники.НетТакого.¦",
        "Если А. Тогда Б.¦",
        "А = \"Текст.¦\";",
        "// Комментарий.¦",
    ] {
        check_unknown(COMMON, body);
    }
    // A number or a date has nothing behind a dot.
    check_unknown(COMMON, "А = 1;\nА.¦");
    check_unknown(COMMON, "А = ТекущаяДата();\nА.¦");
}

#[test]
fn the_name_behind_the_dot_may_have_begun() {
    check(COMMON, "А = Справочники.Номен¦", &["Номенклатура"]);
    check(
        COMMON,
        "А = Справочники.Но¦менклатура.НайтиПоКоду(1);",
        &["Контрагенты"],
    );
    check(
        COMMON,
        "Справочники\n\t.Номенклатура\n\t.¦",
        &["НайтиПоКоду"],
    );
}

#[test]
fn a_dot_at_the_end_of_a_line_hides_no_reserved_word() {
    let goods = "Справочники.Номенклатура.ПустаяСсылка()";
    let body = format!(
        "Если Б Тогда\nА = {goods};\nА.\nКонецЕсли;\nЕсли В Тогда\nА = 1;\nИначе\nА.¦\nКонецЕсли;"
    );
    let found = check(COMMON, &body, &["Артикул"]);
    assert_eq!(found.receiver, ["CatalogRef.Номенклатура"]);
}

/// Names behind dots with the byte at which they start.
fn accesses(text: &str) -> Vec<(usize, String)> {
    let tokens = lex(text);
    let mut found = Vec::new();
    for (idx, token) in tokens.iter().enumerate() {
        let before = tokens[..idx]
            .iter()
            .rev()
            .find(|token| !token.kind.is_trivia());
        if token.kind == TokenKind::Identifier
            && before.is_some_and(|before| before.text(text) == ".")
        {
            found.push((token.span.start, token.text(text).to_owned()));
        }
        let Some(literal) = literal(text, &tokens, idx) else {
            continue;
        };
        let query = lex_query(text, &literal);
        if shape(text, &literal, &query, false) == Shape::Query {
            let names = query.windows(2).filter(|pair| {
                &text[pair[0].span.clone()] == "." && pair[1].kind == QueryTokenKind::Identifier
            });
            found.extend(
                names.map(|pair| (pair[1].span.start, text[pair[1].span.clone()].to_owned())),
            );
        }
    }
    found
}

#[test]
fn in_the_bundled_configuration_most_is_known_and_all_of_it_right() {
    let (mut all, mut known) = (0, 0);
    for (path, bytes) in Project::of_folder("examples/trade").files {
        if !path.ends_with(".bsl") {
            continue;
        }
        let document = Document::new(&path, normalise(&bytes).unwrap().text);
        let resolver = Resolver::new(&TRADE, &document).unwrap();
        for (offset, name) in accesses(document.text()) {
            all += 1;
            let Some(found) = resolver.at(offset) else {
                continue;
            };
            known += 1;
            assert!(
                found.is_open || found.offers(&name),
                "{path} at {offset}: {name} of {:?}",
                found.receiver
            );
            // What was asked before changes no answer.
            let alone = Resolver::new(&TRADE, &document).unwrap().at(offset);
            assert_eq!(alone, Some(found), "{path} at {offset}");
        }
    }
    assert!(all > 2000);
    assert!(f64::from(known) > 0.85 * f64::from(all), "{known} of {all}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    #[test]
    fn broken_code_is_no_reason_to_fail(
        parts in prop::collection::vec("(А|\\.|\\(|\\)|\\[|\\]| = |;\n|Если |Тогда |КонецЕсли|Для Каждого С Из |Цикл\n|Новый |Структура|\"А, Б\"|\"ВЫБРАТЬ Т\\.К ИЗ Справочник\\.|\n\\||Номенклатура КАК Т|\"|Справочники|Процедура П\\(Р\\)\n|КонецПроцедуры\n|Возврат |\\?|,|🙂| )", 0..60),
        at in 0.0f64..1.0,
    ) {
        let text = parts.concat();
        let at = (at * text.len() as f64) as usize;
        let at = (at..=text.len()).find(|&at| text.is_char_boundary(at)).unwrap();
        for path in [COMMON, OBJECT, FORM, "нет/такого.bsl"] {
            let document = Document::new(path, text.clone());
            let resolver = Resolver::new(&TRADE, &document).unwrap();
            resolver.at(at);
            resolver.at(text.len());
        }
    }
}
