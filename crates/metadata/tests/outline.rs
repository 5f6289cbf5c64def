//! The lines of names that stand before a module's text, on the bundled configuration.

#![allow(
    clippy::unwrap_used,
    reason = "clippy's exception for tests does not know integration tests"
)]

mod support;

use support::Project;

const OBJECT: &str = "cf/Documents/РеализацияТоваров/Ext/ObjectModule.bsl";
const FORM: &str = "cf/Documents/РеализацияТоваров/Forms/ФормаДокумента/Ext/Form/Module.bsl";

#[test]
fn an_object_is_told_by_attributes_and_sections() {
    let (metadata, _) = Project::of_folder("examples/trade").link();
    let outline = metadata.outline(OBJECT);
    let lines: Vec<&str> = outline.lines().collect();
    assert_eq!(
        lines[0],
        "Организация,Склад,Контрагент,Договор,ЗаказПокупателя,ВидЦен,ВалютаДокумента,Курс,Кратность,\
         СуммаВключаетНДС,СуммаДокумента,Ответственный,Комментарий"
    );
    assert!(lines[1].starts_with("Товары(Номенклатура,Количество,"));
    assert!(!outline.contains(' ') && !outline.ends_with('\n'));
}

#[test]
fn a_form_is_told_by_its_attributes_its_object_and_its_elements() {
    let (metadata, _) = Project::of_folder("examples/trade").link();
    let outline = metadata.outline(FORM);
    let begins = |start: &str| outline.lines().any(|line| line.starts_with(start));
    assert!(begins("Объект(Организация,Склад,"), "{outline}");
    assert!(begins("Объект.Товары(Номенклатура,"), "{outline}");
    // `ТоварыЦена` is what `Объект.Товары(...)` says already.
    let items = outline.lines().last().unwrap();
    assert!(items.starts_with("Элементы(ФормаПодбор,"), "{outline}");
    assert!(!items.contains("ТоварыЦена") && !items.contains("Меню"));
}

#[test]
fn what_is_not_known_has_no_lines() {
    let (metadata, _) = Project::of_folder("examples/trade").link();
    for path in [
        "cf/Documents/НетТакого/Ext/ObjectModule.bsl",
        "Модуль.os",
        "",
    ] {
        assert_eq!(metadata.outline(path), "", "{path}");
    }
    assert_eq!(nestor_metadata::Metadata::default().outline(OBJECT), "");
}
