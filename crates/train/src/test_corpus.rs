//! A small corpus for tests: made-up modules of three projects, built into a temporary folder.

use nestor_corpus::{BuildConfig, Role, SourceSpec, Step, build};
use std::fs;
use std::path::PathBuf;
use tempfile::TempDir;

/// Builds a corpus; it goes away with the folder.
pub(crate) fn build_corpus() -> (TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let mut sources = Vec::new();
    for (name, role, files) in [
        ("торговля", Role::Train, 12),
        ("склад", Role::Train, 5),
        ("учет", Role::Withheld, 3),
    ] {
        let path = dir.path().join(name);
        for file in 0..files {
            let folder = path.join(format!("Documents/Заказ{file}/Ext"));
            fs::create_dir_all(&folder).unwrap();
            fs::write(folder.join("ObjectModule.bsl"), module(name, file)).unwrap();
        }
        if role == Role::Train {
            let copy = format!("// Копия\n{}", module(name, 0));
            fs::write(path.join("Zcopy.bsl"), copy).unwrap();
        }
        let name = name.to_string();
        sources.push(SourceSpec {
            path,
            name,
            role,
            licence: Some("Apache-2.0".into()),
        });
    }
    let out = dir.path().join("corpus");
    let config = BuildConfig {
        vocab_size: 400,
        ..BuildConfig::new(sources, &out)
    };
    build(&config, &|_: &Step<'_>| ()).unwrap();
    (dir, out)
}

/// A module whose methods differ from file to file but for one, which all files share.
fn module(project: &str, file: usize) -> String {
    let mut text = String::from(
        "// Общий метод всех модулей, достаточно длинный, чтобы его не повторять.\n\
         Функция ОбщаяСумма(Товары) Экспорт\n\tИтог = 0;\n\tДля Каждого Строка Из Товары Цикл\n\
         \t\tИтог = Итог + Строка.Количество * Строка.Цена;\n\tКонецЦикла;\n\tВозврат Итог;\n\
         КонецФункции\n\n",
    );
    for method in 0..8 {
        text += &format!(
            "Процедура Заполнить{project}{file}Вариант{method}(Склад, Номер{file}) Экспорт\n\
             \tЗапрос = Новый Запрос(\"ВЫБРАТЬ Остатки.Склад ИЗ РегистрНакопления.Остатки{method}\");\n\
             \tЕсли Склад <> Неопределено И Номер{file} > {method} Тогда\n\
             \t\tЗапрос.УстановитьПараметр(\"Склад\", Склад); // отбор по складу\n\
             \t\tСообщить(\"Заполнен склад номер {file}\");\n\tКонецЕсли;\nКонецПроцедуры\n\n"
        );
    }
    text
}
