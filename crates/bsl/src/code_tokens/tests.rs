use super::*;
use proptest::prelude::*;

/// Tokens as `text` or, where the slot is not `Other`, `text@Slot`; prose as its quote with the class.
fn check(text: &str, expected: &[&str]) {
    let got: Vec<String> = code_tokens(text)
        .iter()
        .map(|token| {
            let word = match token.class {
                TokenClass::Prose => format!("{}…", &text[token.scored.clone()]),
                _ => text[token.span.clone()].to_owned(),
            };
            match token.slot {
                Slot::Other => word,
                slot => format!("{word}@{slot:?}"),
            }
        })
        .collect();
    assert_eq!(got, expected, "{text}");
}

#[test]
fn comments_and_white_space_are_dropped() {
    check("", &[]);
    check("// только комментарий\n\n", &[]);
    check("А = 1; // а\n", &["А@StatementStart", "=", "1", ";"]);
}

#[test]
fn statements_arguments_and_members() {
    check(
        "Если ЗначениеЗаполнено(Об.Код, , '20240101') Тогда\n\tВозврат ?(А, -1, Б);\nКонецЕсли; X = New Map;",
        &[
            "Если@StatementStart",
            "ЗначениеЗаполнено",
            "(",
            "Об@CallArgument",
            ".",
            "Код@AfterDot",
            ",",
            ",",
            "'20240101'@CallArgument",
            ")",
            "Тогда",
            "Возврат@StatementStart",
            "?",
            "(",
            "А@CallArgument",
            ",",
            "-@CallArgument",
            "1",
            ",",
            "Б@CallArgument",
            ")",
            ";",
            "КонецЕсли@StatementStart",
            ";",
            "X@StatementStart",
            "=",
            "New",
            "Map",
            ";",
        ],
    );
    check(
        "А = (Б + В);",
        &["А@StatementStart", "=", "(", "Б", "+", "В", ")", ";"],
    );
    check(
        "~М: Б();",
        &[
            "~@StatementStart",
            "М",
            ":",
            "Б@StatementStart",
            "(",
            ")",
            ";",
        ],
    );
}

#[test]
fn declarations() {
    check(
        "#Область Имя\n&НаСервере\nФункция Ф(Знач А, Б = Неопределено, В = \"\") Экспорт\n\tПерем Г, Д;\n\tЕ();\nКонецФункции",
        &[
            "#Область@StatementStart",
            "Имя@Declaration",
            "&НаСервере@StatementStart",
            "Функция@StatementStart",
            "Ф@Declaration",
            "(",
            "Знач",
            "А@Declaration",
            ",",
            "Б@Declaration",
            "=",
            "Неопределено",
            ",",
            "В@Declaration",
            "=",
            "\"",
            "\"",
            ")",
            "Экспорт",
            "Перем@StatementStart",
            "Г@Declaration",
            ",",
            "Д@Declaration",
            ";",
            "Е@StatementStart",
            "(",
            ")",
            ";",
            "КонецФункции@StatementStart",
        ],
    );
    check(
        "&Вместо(\"А\")\nПроцедура Б()",
        &[
            "&Вместо@StatementStart",
            "(",
            "\"@CallArgument",
            "А",
            "\"",
            ")",
            "Процедура@StatementStart",
            "Б@Declaration",
            "(",
            ")",
        ],
    );
}

#[test]
fn strings_are_lexed_by_what_they_hold() {
    check(
        "С = Новый Структура(\"Ключ, Имя\", А); С.Вставить(\"Код\", \"Текст сообщения.\");",
        &[
            "С@StatementStart",
            "=",
            "Новый",
            "Структура",
            "(",
            "\"@CallArgument",
            "Ключ@StructureKey",
            ",",
            "Имя@StructureKey",
            "\"",
            ",",
            "А@CallArgument",
            ")",
            ";",
            "С@StatementStart",
            ".",
            "Вставить@AfterDot",
            "(",
            "\"@CallArgument",
            "Код@StructureKey",
            "\"",
            ",",
            "\"…@CallArgument",
            ")",
            ";",
        ],
    );
    check(
        "А = \"Объект.Товары\";",
        &[
            "А@StatementStart",
            "=",
            "\"",
            "Объект",
            ".",
            "Товары@AfterDot",
            "\"",
            ";",
        ],
    );
    check(
        "А = \"нет закрытия\nБ = 1;",
        &["А@StatementStart", "=", "\"…", "Б", "=", "1", ";"],
    );
}

#[test]
fn query_text_over_lines_and_literals() {
    check(
        "Т = \"ВЫБРАТЬ\n\t|\tТ.Код КАК Код, // к\n\t|\tСУММА(Т.С) + \"\"x\"\"\n\t// между\n\t|ИЗ\n\t|\tСправочник.\" + Имя + \" КАК Т\n\t|ГДЕ Т.А В (&Список)\";",
        &[
            "Т@StatementStart",
            "=",
            "\"",
            "ВЫБРАТЬ",
            "Т@QueryField",
            ".",
            "Код@QueryField",
            "КАК",
            "Код@QueryField",
            ",",
            "СУММА",
            "(",
            "Т@QueryField",
            ".",
            "С@QueryField",
            ")",
            "+",
            "\"\"…",
            "ИЗ",
            "Справочник@QueryTable",
            ".",
            "\"",
            "+",
            "Имя",
            "+",
            "\"",
            "КАК",
            "Т@QueryTable",
            "ГДЕ",
            "Т@QueryField",
            ".",
            "А@QueryField",
            "В",
            "(",
            "&",
            "Список@QueryParameter",
            ")",
            "\"",
            ";",
        ],
    );
    check(
        "\"SELECT A.B FROM Catalog.C AS A LEFT JOIN D.E.F(&G, H = 1) I ON A.B = I.J, K\"",
        &[
            "\"@StatementStart",
            "SELECT",
            "A@QueryField",
            ".",
            "B@QueryField",
            "FROM",
            "Catalog@QueryTable",
            ".",
            "C@QueryTable",
            "AS",
            "A@QueryTable",
            "LEFT",
            "JOIN",
            "D@QueryTable",
            ".",
            "E@QueryTable",
            ".",
            "F@QueryTable",
            "(",
            "&",
            "G@QueryParameter",
            ",",
            "H@QueryField",
            "=",
            "1",
            ")",
            "I@QueryField",
            "ON",
            "A@QueryField",
            ".",
            "B@QueryField",
            "=",
            "I@QueryField",
            ".",
            "J@QueryField",
            ",",
            "K@QueryTable",
            "\"",
        ],
    );
}

#[test]
fn a_prose_literal_is_scored_by_its_quote() {
    let text = "А = НСтр(\"ru = 'Раз'\n|en = 'One'\");";
    let tokens = code_tokens(text);
    let prose = tokens
        .iter()
        .find(|token| token.class == TokenClass::Prose)
        .unwrap();
    assert_eq!(&text[prose.span.clone()], "\"ru = 'Раз'\n|en = 'One'\"");
    assert_eq!(token_text(text, prose), "\"");
    assert_eq!(token_text(text, &tokens[0]), "А");
}

#[test]
fn insertions_of_extensions_stand_inside_query_text() {
    check(
        "\"ВЫБРАТЬ А\n#Вставка\n|, Б\n#КонецВставки\n|ИЗ Т\"",
        &[
            "\"@StatementStart",
            "ВЫБРАТЬ",
            "А@QueryField",
            "#Вставка@StatementStart",
            ",",
            "Б@QueryField",
            "#КонецВставки@StatementStart",
            "ИЗ",
            "Т@QueryTable",
            "\"",
        ],
    );
}

proptest! {
    /// Scored spans come in order, are never empty and never hold a line end.
    #[test]
    fn scored_spans_are_in_order(text in "([а-яА-Яa-zA-Z0-9_\"'|&#.,;()<>=/ \t\n🙂]|\"\"|//|ВЫБРАТЬ |ИЗ |Процедура |#Вставка\n|\n\\|){0,60}") {
        let mut at = 0;
        for token in code_tokens(&text) {
            prop_assert!(token.scored.start >= at && !token.scored.is_empty(), "{token:?}");
            prop_assert!(!text[token.scored.clone()].contains('\n'));
            prop_assert!(token.span.start == token.scored.start && token.span.end >= token.scored.end);
            at = token.span.end;
        }
    }

    /// No word of the tokenizer crosses the border of a scored span, or accuracy could not be told by pieces.
    #[test]
    fn words_cross_no_scored_span(text in "([а-яА-Яa-zA-Z0-9_\"'|&#.,;()<>=/ \t\n🙂]|\"\"|//|ВЫБРАТЬ |ИЗ |\n\\|){0,60}") {
        let tokens = code_tokens(&text);
        for word in crate::split_words(&text) {
            let visible = word.end - text[word.clone()].trim_start().len();
            for token in &tokens {
                let scored = &token.scored;
                let overlaps = visible < scored.end && scored.start < word.end;
                prop_assert!(!overlaps || scored.start <= visible && word.end <= scored.end, "{:?} {:?}", &text[word.clone()], token);
            }
        }
    }
}
