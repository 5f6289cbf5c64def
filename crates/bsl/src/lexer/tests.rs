use super::*;
use proptest::prelude::*;

/// Tokens without white space as `kind:text`, and losslessness beside.
fn check(text: &str, expected: &[(TokenKind, &str)]) {
    let tokens = lex(text);
    assert_lossless(text, &tokens);
    let got: Vec<_> = tokens
        .iter()
        .filter(|token| !token.kind.is_white())
        .map(|token| (token.kind, token.text(text)))
        .collect();
    assert_eq!(got, expected, "{text:?}");
}

fn assert_lossless(text: &str, tokens: &[Token]) {
    let mut at = 0;
    for token in tokens {
        assert_eq!(token.span.start, at);
        assert!(token.span.end > at, "empty token at {at}");
        assert!(text.is_char_boundary(token.span.end));
        assert!(
            token.kind == TokenKind::Newline || !token.text(text).contains('\n'),
            "{:?}",
            token.text(text)
        );
        at = token.span.end;
    }
    assert_eq!(at, text.len());
}

use TokenKind::{
    Annotation, Comment, Date, Identifier as Id, Keyword as Kw, Number, Preprocessor as Pre,
    Punctuation as P, String as Str, StringEnd, StringPart, StringStart, Unknown,
};

#[test]
fn statements_in_either_language() {
    check("", &[]);
    check(
        "Если А <> 1.5 Then Ё=?(б,'20240101',\"\"); EndIf",
        &[
            (Kw(Keyword::If), "Если"),
            (Id, "А"),
            (P, "<>"),
            (Number, "1.5"),
            (Kw(Keyword::Then), "Then"),
            (Id, "Ё"),
            (P, "="),
            (P, "?"),
            (P, "("),
            (Id, "б"),
            (P, ","),
            (Date, "'20240101'"),
            (P, ","),
            (Str, "\"\""),
            (P, ")"),
            (P, ";"),
            (Kw(Keyword::EndIf), "EndIf"),
        ],
    );
    check("~Метка:", &[(P, "~"), (Id, "Метка"), (P, ":")]);
    check(
        "a>=b<=c",
        &[(Id, "a"), (P, ">="), (Id, "b"), (P, "<="), (Id, "c")],
    );
    check("1.Код", &[(Number, "1"), (P, "."), (Id, "Код")]);
}

#[test]
fn a_word_after_a_dot_or_a_method_keyword_is_a_name() {
    check(
        "Запрос.Выполнить ( )",
        &[
            (Id, "Запрос"),
            (P, "."),
            (Id, "Выполнить"),
            (P, "("),
            (P, ")"),
        ],
    );
    check("А. \n\tИли", &[(Id, "А"), (P, "."), (Id, "Или")]);
    check(
        "Функция Ждать",
        &[(Kw(Keyword::Function), "Функция"), (Id, "Ждать")],
    );
    check(
        "Выполнить(Код)",
        &[
            (Kw(Keyword::Execute), "Выполнить"),
            (P, "("),
            (Id, "Код"),
            (P, ")"),
        ],
    );
}

#[test]
fn strings_and_their_lines() {
    check(
        "\"а \"\"б\"\" \"+1",
        &[(Str, "\"а \"\"б\"\" \""), (P, "+"), (Number, "1")],
    );
    check(
        "\"ВЫБРАТЬ\n  |А // в строке\r\n// между\n#Вставка\n\t|\n|ИЗ \"\"Т\"\"\"; |",
        &[
            (StringStart, "\"ВЫБРАТЬ"),
            (StringPart, "|А // в строке"),
            (Comment, "// между"),
            (Pre(Some(Preprocessor::Insert)), "#Вставка"),
            (StringPart, "|"),
            (StringEnd, "|ИЗ \"\"Т\"\"\""),
            (P, ";"),
            (P, "|"),
        ],
    );
    check(
        "А = \"не закрыта\nБ | В",
        &[
            (Id, "А"),
            (P, "="),
            (StringStart, "\"не закрыта"),
            (Id, "Б"),
            (P, "|"),
            (Id, "В"),
        ],
    );
    check(
        "\"\r\n|\r\n|\"",
        &[(StringStart, "\""), (StringPart, "|"), (StringEnd, "|\"")],
    );
    check("\"", &[(StringStart, "\"")]);
}

#[test]
fn preprocessor_annotations_and_comments() {
    check(
        "#Если Сервер Тогда // к",
        &[
            (Pre(Some(Preprocessor::If)), "#Если"),
            (Id, "Сервер"),
            (Kw(Keyword::Then), "Тогда"),
            (Comment, "// к"),
        ],
    );
    check(
        "# Область А",
        &[(Pre(Some(Preprocessor::Region)), "# Область"), (Id, "А")],
    );
    check("#native\n#", &[(Pre(None), "#native"), (Pre(None), "#")]);
    check(
        "#Использовать \"../src\"",
        &[
            (Pre(Some(Preprocessor::Use)), "#Использовать"),
            (Str, "\"../src\""),
        ],
    );
    check(
        "#!/usr/bin/oscript\nА",
        &[(Comment, "#!/usr/bin/oscript"), (Id, "А")],
    );
    check(
        "&Вместо(\"А\")",
        &[(Annotation, "&Вместо"), (P, "("), (Str, "\"А\""), (P, ")")],
    );
    check("& А", &[(P, "&"), (Id, "А")]);
    check("//\n/ /", &[(Comment, "//"), (P, "/"), (P, "/")]);
}

#[test]
fn broken_and_foreign_text() {
    check("'2024\nА", &[(Date, "'2024"), (Id, "А")]);
    check("🙂А\u{feff}Б", &[(Unknown, "🙂"), (Id, "А"), (Id, "Б")]);
    check("日本 = $", &[(Id, "日本"), (P, "="), (Unknown, "$")]);
    check("\r", &[]);
    check("А\u{a0}Б", &[(Id, "А"), (Id, "Б")]);
}

#[test]
fn the_work_is_linear_in_the_text() {
    // Nothing is read twice except what each scan looks ahead in its own line, so tokens grow with the text.
    let line = "\tРезультат = ОбщегоНазначения.ЗначениеРеквизитаОбъекта(Ссылка, \"Наименование\"); // пояснение\n";
    let short = lex(&line.repeat(10)).len();
    let text = line.repeat(4 << 20 >> 7);
    let tokens = lex(&text);
    assert_eq!(tokens.len() * 10, short * (4 << 20 >> 7));
    assert_lossless(&text, &tokens);
    // A text of quotes and bars only is the worst case for look-ahead.
    let quotes = "\"\n|'#&".repeat(200_000);
    assert_lossless(&quotes, &lex(&quotes));
}

proptest! {
    #[test]
    fn any_text_is_given_back(text in "([а-яёЁA-Za-z0-9_\"'|#&~?.,;()<>=/ \t\r\n🙂é\u{feff}\u{301}]|\r\n|//|\"\"|Если|КонецЕсли){0,80}") {
        assert_lossless(&text, &lex(&text));
    }

    #[test]
    fn any_unicode_is_given_back(text in any::<String>()) {
        assert_lossless(&text, &lex(&text));
    }
}

#[test]
fn names_are_made_of_what_unicode_calls_letters_and_digits() {
    for c in '\0'..=char::MAX {
        assert_eq!(is_name_start(c), c == '_' || c.is_alphabetic(), "{c:?}");
        assert_eq!(is_name_char(c), c == '_' || c.is_alphanumeric(), "{c:?}");
    }
}
