//! One module with everything in it, through every reader of this crate: they must agree with each other.

use nestor_bsl::lexer::lex;
use nestor_bsl::pieces::split_words;
use nestor_bsl::regions::{region_path, regions};
use nestor_bsl::{ModulePath, TokenClass, code_tokens, methods, normalise};

/// A Designer file: byte order mark, `\r\n`, mixed languages, `ё`, emoji, a query with a comment between its lines, dates,
/// a label, an insertion of an extension, and an unfinished method at the end.
fn file() -> Vec<u8> {
    let text = "\u{feff}#Область ПрограммныйИнтерфейс\n\
        // Возвращает ёлки 🎄.\n\
        //\n\
        // Параметры:\n\
        //  Дата - Дата - на какой день.\n\
        &НаСервере\n\
        Функция ЁлкиНаДату(Знач Дата = '20240101', Режим = \"Все\") Экспорт // к\n\
        #If Server Then\n\
        \tЗапрос = New Query;\n\
        \tЗапрос.Текст =\n\
        \t\"ВЫБРАТЬ РАЗРЕШЕННЫЕ\n\
        \t// комментарий между строками\n\
        \t|\tЁлки.Ссылка КАК Ссылка, // внутри\n\
        #Вставка\n\
        \t|\tЁлки.Высота КАК Высота,\n\
        #КонецВставки\n\
        \t|\t\"\"🎄\"\" КАК Знак\n\
        \t|ИЗ\n\
        \t|\tСправочник.Ёлки КАК Ёлки\n\
        \t|ГДЕ\n\
        \t|\tЁлки.Дата <= &Дата\";\n\
        \tЗапрос.УстановитьПараметр(\"Дата\", ?(ЗначениеЗаполнено(Дата), Дата, ТекущаяДата()));\n\
        \t~Повтор:\n\
        \tTry\n\
        \t\tReturn Запрос.Выполнить().Выгрузить();\n\
        \tИсключение\n\
        \t\tСообщить(НСтр(\"ru = 'Ёлок \"\"нет\"\" 🎄';\n\
        \t\t|en = 'No trees'\"));\n\
        \t\tПерейти ~Повтор;\n\
        \tКонецПопытки;\n\
        #EndIf\n\
        КонецФункции\n\
        #КонецОбласти\n\
        \n\
        &Вместо(\"ПриЗаписи\")\n\
        Procedure Расш_ПриЗаписи(Отказ, , \n\
        \tОтказ = Ист";
    text.replace('\n', "\r\n").into_bytes()
}

#[test]
fn every_reader_covers_the_same_text() {
    let file = file();
    let normalised = normalise(&file).unwrap();
    assert!(normalised.has_bom);
    assert_eq!(normalised.restore(&normalised.text), file);

    let text = &normalised.text;
    assert_eq!(
        lex(text)
            .iter()
            .map(|token| token.text(text))
            .collect::<String>(),
        *text
    );
    assert_eq!(
        split_words(text)
            .into_iter()
            .map(|word| &text[word])
            .collect::<String>(),
        *text
    );
}

#[test]
fn methods_regions_and_path_are_told() {
    let text = normalise(&file()).unwrap().text;
    let found = methods(&text);
    let [trees, extension] = &found[..] else {
        panic!("{found:?}")
    };
    assert_eq!(
        (trees.name.as_str(), trees.is_export, trees.is_complete),
        ("ЁлкиНаДату", true, true)
    );
    assert_eq!(
        (
            extension.name.as_str(),
            extension.is_export,
            extension.is_complete
        ),
        ("Расш_ПриЗаписи", false, false)
    );
    assert_eq!(
        region_path(&regions(&text), trees.body_span.start),
        ["ПрограммныйИнтерфейс"]
    );
    assert!(region_path(&regions(&text), extension.body_span.start).is_empty());
    let path = ModulePath::from_path(r"src\cf\Catalogs\Ёлки\Ext\ManagerModule.bsl");
    assert_eq!(path.header(), "Справочник.Ёлки.МодульМенеджера");
}

#[test]
fn code_tokens_do_not_depend_on_comments_or_white_space() {
    let text = normalise(&file()).unwrap().text;
    let words = |text: &str| {
        let tokens = code_tokens(text);
        tokens
            .iter()
            .map(|token| {
                (
                    text[token.scored.clone()].to_owned(),
                    token.class,
                    token.slot,
                )
            })
            .collect::<Vec<_>>()
    };
    let expected = words(&text);
    assert!(
        expected
            .iter()
            .any(|(word, class, _)| word == "ГДЕ" && *class == TokenClass::Keyword)
    );
    assert_eq!(
        expected
            .iter()
            .filter(|(_, class, _)| *class == TokenClass::Prose)
            .count(),
        2
    );
    // The file as it is on the disk, and without its own comments.
    assert_eq!(words(&text.replace('\n', "\r\n")), expected);
    let lines = text
        .lines()
        .filter(|line| !line.trim_start().starts_with("//"));
    assert_eq!(
        words(&lines.map(|line| format!("  {line} \n")).collect::<String>()),
        expected
    );
}
