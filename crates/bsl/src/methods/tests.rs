use super::*;
use proptest::prelude::*;

fn check(text: &str, expected: &[&str]) {
    let found: Vec<_> = methods(text).iter().map(describe).collect();
    assert_eq!(found, expected, "{text}");
}

/// `[async ]f|p Name(params)[ export][ open]`.
fn describe(method: &Method) -> String {
    let params: Vec<_> = method
        .params
        .iter()
        .map(|param| {
            let default = if param.default.is_some() { "=" } else { "" };
            format!(
                "{}{}{default}",
                if param.by_value { "val " } else { "" },
                param.name
            )
        })
        .collect();
    format!(
        "{}{} {}({}){}{}",
        if method.is_async { "async " } else { "" },
        if method.is_function { "f" } else { "p" },
        method.name,
        params.join(", "),
        if method.is_export { " export" } else { "" },
        if method.is_complete { "" } else { " open" },
    )
}

#[test]
fn headers_in_either_language() {
    check("", &[]);
    check("А = 1;", &[]);
    check("Процедура А()\nКонецПроцедуры", &["p А()"]);
    check(
        "Function Ф(Val А, б = -1, В = \"x, y\", Г = Неопределено) Export Return 1; КонецФункции",
        &["f Ф(val А, б=, В=, Г=) export"],
    );
    check(
        "Асинх Процедура Ждать(А)\nЖдать Б();\nКонецПроцедуры",
        &["async p Ждать(А)"],
    );
    check(
        "#Если Сервер Тогда\nПроцедура Ё() КонецПроцедуры\n#КонецЕсли",
        &["p Ё()"],
    );
    check(
        "Процедура А(&Опция(Имя = \"а\", Б = 1) Знач В, Г)\nКонецПроцедуры",
        &["p А(val В, Г)"],
    );
    check(
        "// Процедура А()\nА = \"Процедура Б()\";\nВ.Процедура();",
        &[],
    );
}

#[test]
fn unfinished_methods_end_at_the_next_one() {
    check("Процедура А(Б,\n\tВ = 1;", &["p А(Б, В=) open"]);
    check("Процедура", &["p () open"]);
    check(
        "Процедура Экспорт(&А\nПроцедура ",
        &["p Экспорт() open", "p () open"],
    );
    check("Функция Ф", &["f Ф() open"]);
    check(
        "Процедура А()\n\tБ = \n\n// Описание.\nПроцедура В() КонецПроцедуры",
        &["p А() open", "p В()"],
    );
    let text = "Процедура А()\n\tБ = \n\n// Описание.\nПроцедура В() КонецПроцедуры";
    assert_eq!(&text[methods(text)[0].span.clone()], "Процедура А()\n\tБ =");
}

#[test]
fn parts_of_a_method() {
    let text = "Перем Х; // х\n\n// Делает.\n//\n//  Параметры:\n&НаСервере\n// между\n&Вместо(\"А\")\nПроцедура Расш_А(Б) Экспорт // к\n\tВ();\nКонецПроцедуры // А()\n";
    let method = &methods(text)[0];
    let part = |span: &Range<usize>| &text[span.clone()];
    assert_eq!(
        part(method.doc_span.as_ref().unwrap()),
        "// Делает.\n//\n//  Параметры:"
    );
    assert_eq!(part(&method.header_span), "Процедура Расш_А(Б) Экспорт");
    assert_eq!(part(&method.body_span), " // к\n\tВ();\n");
    assert_eq!(part(&method.name_span), "Расш_А");
    assert!(
        part(&method.span).starts_with("// Делает")
            && part(&method.span).ends_with("КонецПроцедуры")
    );
    let annotations: Vec<_> = method
        .annotations
        .iter()
        .map(|a| (part(&a.span), a.directive))
        .collect();
    assert_eq!(
        annotations,
        [
            ("&НаСервере", Some(Directive::AtServer)),
            ("&Вместо(\"А\")", Some(Directive::Around))
        ]
    );
}

#[test]
fn the_doc_comment_touches_the_method() {
    let doc = |text: &str| {
        methods(text)[0]
            .doc_span
            .clone()
            .map(|doc| text[doc].to_owned())
    };
    assert_eq!(doc("// а\n\nПроцедура Б()"), None);
    assert_eq!(doc("А(); // а\nПроцедура Б()"), None);
    assert_eq!(doc("\t// а\n\tПроцедура Б()"), Some("// а".into()));
    assert_eq!(doc("&НаКлиенте\n// а\nПроцедура Б()"), Some("// а".into()));
    assert_eq!(doc("#!/bin/oscript\nПроцедура Б()"), None);
}

#[test]
fn the_hash_sees_code_only() {
    let same = |a: &str, b: &str| assert_eq!(method_hash(a), method_hash(b), "{a} | {b}");
    let other = |a: &str, b: &str| assert_ne!(method_hash(a), method_hash(b), "{a} | {b}");
    same(
        "// док\nПроцедура А()\n\tБ=1;\nКонецПроцедуры",
        "процедура а( )\r\nб = 1; // к\nКОНЕЦПРОЦЕДУРЫ",
    );
    same("А = \"ВЫБРАТЬ\n\t|  Б\"", "а = \"выбрать\n|\t\tб\"");
    other("А = 1", "А = 2");
    other("А = \"аб\"", "А = \"а б\"");
    other("АБ", "А Б");
    // The value is part of the model folder's format.
    assert_eq!(method_hash("Процедура А() КонецПроцедуры"), PINNED_HASH);
}

const PINNED_HASH: u64 = 2_629_140_655_892_834_138;

proptest! {
    #[test]
    fn spans_are_in_order_in_any_text(text in "([а-яА-Я(),;=&\"/ \n]|Процедура |Функция |КонецПроцедуры|//|Экспорт|Асинх |&А\n){0,50}") {
        let mut at = 0;
        for method in methods(&text) {
            prop_assert!(method.span.start >= at);
            prop_assert!(method.span.start <= method.header_span.start);
            prop_assert!(method.header_span.end == method.body_span.start && method.body_span.end <= method.span.end);
            prop_assert!(text.get(method.span.clone()).is_some() && text.get(method.body_span.clone()).is_some());
            at = method.span.end;
        }
    }
}

#[test]
fn a_stray_parenthesis_takes_no_annotation_from_afar() {
    let text = "&После(\"А\")\nПроцедура Б(В)\nКонецПроцедуры\n)\nПроцедура Г()\nКонецПроцедуры";
    let found = methods(text);
    assert_eq!(found[0].annotations.len(), 1);
    assert!(found[1].annotations.is_empty());
    assert!(text[found[1].span.clone()].starts_with("Процедура Г"));
    let statement = "&После(А);\n)\nПроцедура Г()\nКонецПроцедуры";
    assert!(methods(statement)[0].annotations.is_empty());
}
