use super::*;
use proptest::prelude::*;

/// Numbers that look random and are the same in every run.
struct Seeded(u64);

impl Seeded {
    fn below(&mut self, n: usize) -> usize {
        self.0 = nestor_bsl::similarity::mix(self.0);
        (self.0 % n as u64) as usize
    }

    fn pick<'a>(&mut self, of: &[&'a str]) -> &'a str {
        of[self.below(of.len())]
    }

    fn text(&mut self, alphabet: &[u8], len: usize) -> String {
        let mut byte = || alphabet[self.below(alphabet.len())] as char;
        (0..len).map(|_| byte()).collect()
    }

    fn lines(&mut self, n: usize, mut line: impl FnMut(&mut Self, usize) -> String) -> String {
        (0..n).map(|at| line(self, at) + "\n").collect()
    }
}

const NAMES: [&str; 12] = [
    "Товар",
    "Склад",
    "Цена",
    "Остаток",
    "Item",
    "total",
    "user",
    "index",
    "Документ",
    "value",
    "Дата",
    "name",
];
const BASE64: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// Code as people write it: every line another.
fn code(seeded: &mut Seeded, n: usize) -> String {
    let body = seeded.lines(n, |s, at| {
        let (a, b, c) = (s.pick(&NAMES), s.pick(&NAMES), s.pick(&NAMES));
        match s.below(6) {
            0 => {
                format!("\tЕсли {a}.{b} > {at} И Не {c} Тогда\n\t\t{b} = {c} + {a};\n\tКонецЕсли;")
            }
            1 => format!("\t{a}.Добавить({b}, \"{c}\", {at});"),
            2 => format!("\tFor Each {a} In {b}.{c} Do\n\t\tMessage({a});\n\tEndDo;"),
            3 => format!("\t// {a} и {b}: {c}\n\t{a} = Новый Структура(\"{b}, {c}\", {b}, {c});"),
            4 => format!("\tВозврат ?({a} = Неопределено, {b}[{at}], -{c});"),
            _ => format!(
                "\tЗапрос.Текст = \"ВЫБРАТЬ\n\t|\t{a}.{b}\n\t|ИЗ {a}\";\n\t{c} = '20240101';"
            ),
        }
    });
    format!(
        "&НаКлиенте\nПроцедура {}(Знач А = 1, Б) Экспорт\n{body}КонецПроцедуры\n",
        seeded.pick(&NAMES)
    )
}

fn check(kind: &str, reason: Reason, at_most: Teaches, make: impl Fn(&mut Seeded) -> String) {
    let n = 200;
    let caught = (0..n).filter(|&seed| {
        let text = make(&mut Seeded(seed * 31 + 7));
        let verdict = judge_text(&text);
        verdict.reason == Some(reason) && verdict.teaches <= at_most
    });
    let caught = caught.count();
    assert!(caught * 100 >= n as usize * 99, "{kind}: {caught} of {n}");
}

#[test]
fn other_languages_are_told_from_bsl() {
    let foreign = |kind: &str, line: &dyn Fn(&str, &str, &str, usize) -> String| {
        check(kind, Reason::Foreign, Teaches::Nothing, |s| {
            s.lines(60, |s, at| {
                line(
                    s.pick(&NAMES[4..8]),
                    s.pick(&NAMES[4..8]),
                    s.pick(&NAMES[4..8]),
                    at,
                )
            })
        });
    };
    foreign("JavaScript", &|a, b, c, at| match at % 3 {
        0 => format!("function {a}{at}({b}, {c}) {{"),
        1 => format!("  if ({a} === {b}) {{ return {c}.map(x => x + {at}); }}"),
        _ => "}".to_owned(),
    });
    foreign("C#", &|a, b, c, at| match at % 3 {
        0 => format!("public static int {a}{at}(string {b}, List<int> {c}) {{"),
        1 => format!("    var {a} = new {b}({c}); return {a}.Count;"),
        _ => "}".to_owned(),
    });
    foreign("Python", &|a, b, c, at| match at % 3 {
        0 => format!("def {a}{at}({b}, {c}):"),
        1 => format!("    for {a} in {b}:\n        print({c}, '{a}')"),
        _ => format!("    return [{a} for {b} in {c}]"),
    });
    foreign("SQL", &|a, b, c, at| {
        format!(
            "SELECT {a}.{b}, COUNT(*) AS n FROM {c} JOIN {a} ON {a}.id = {c}.id WHERE {b} > {at};"
        )
    });
    foreign("XML", &|a, b, c, at| {
        format!("<{a} {b}=\"{at}\"><{c}>{at}</{c}></{a}>")
    });
    foreign("JSON", &|a, b, c, at| {
        format!("{{\"{a}\": {at}, \"{b}\": [\"{c}\", null, true]}},")
    });
    foreign("CSV", &|a, b, c, at| format!("{a};{b};{at};\"{c}\""));
    foreign("CSV with commas", &|a, b, c, at| {
        format!("{at},{a},{b},\"{c}\"")
    });
    foreign("English", &|a, b, c, _| {
        format!("The {a} of every {b} was taken to the {c}, and nobody knew why it went.")
    });
    check("Russian", Reason::Foreign, Teaches::Nothing, |s| {
        s.lines(40, |s, _| {
            format!(
                "Этот {} всегда лежал у окна, где {} видел {} каждый день.",
                s.pick(&NAMES),
                s.pick(&NAMES),
                s.pick(&NAMES)
            )
        })
    });
}

#[test]
fn code_of_people_passes_also_unfinished() {
    for seed in 0..200 {
        let mut seeded = Seeded(seed);
        let n = 1 + seeded.below(400);
        let mut text = code(&mut seeded, n);
        assert_eq!(judge_text(&text), Verdict::ALL, "{text}");
        let mut cut = seeded.below(text.len());
        while !text.is_char_boundary(cut) {
            cut -= 1;
        }
        assert_eq!(judge_text(&text[..cut]), Verdict::ALL, "{}", &text[..cut]);
        text.insert_str(cut, "\nЕсли Товар.");
        assert_eq!(judge_text(&text), Verdict::ALL, "{text}");
    }
    let script = "#!/usr/bin/oscript\n#Использовать logos\n#Использовать \"../src\"\n&Пластилин(\"Лог\") Перем Лог;\n\
        &Желудь\nПроцедура ПриСозданииОбъекта(&Пластилин Настройки, &Деталька(\"а.б\") Б = \"\") Экспорт\nКонецПроцедуры\n~М: Перейти ~М;\n";
    for whole in [
        "",
        "\n",
        "// English prose in a comment, and a licence.\n",
        "🙂",
        script,
    ] {
        assert_eq!(judge_text(whole), Verdict::ALL, "{whole}");
    }
}

#[test]
fn minified_code_is_told_by_its_lines() {
    check("minified", Reason::Minified, Teaches::Nothing, |s| {
        s.lines(40, |s, at| {
            format!(
                "{}={}.{}({at});",
                s.pick(&NAMES),
                s.pick(&NAMES),
                s.pick(&NAMES)
            )
        })
        .replace('\n', "")
    });
}

#[test]
fn data_is_told_from_code_and_code_around_it_still_counts() {
    let constant =
        |value: &str| format!("Функция Данные() Экспорт\n\tВозврат \"{value}\";\nКонецФункции\n");
    check("base64 in a line", Reason::Data, Teaches::Nothing, |s| {
        constant(&s.text(BASE64, 2000))
    });
    check("base64 in lines", Reason::Data, Teaches::Nothing, |s| {
        constant(
            &s.lines(40, |s, _| s.text(BASE64, 76))
                .trim_end()
                .replace('\n', "\n\t|"),
        )
    });
    check("hexadecimal", Reason::Data, Teaches::Nothing, |s| {
        constant(&s.text(b"0123456789ABCDEF", 2000))
    });
    check("hexadecimal bytes", Reason::Data, Teaches::Nothing, |s| {
        constant(
            &s.lines(600, |s, _| s.text(b"0123456789abcdef", 2))
                .trim_end()
                .replace('\n', " "),
        )
    });
    check("numbers", Reason::Data, Teaches::Nothing, |s| {
        constant(
            &s.lines(300, |s, _| {
                format!("{},{}.{};", s.below(999), s.below(99), s.below(99))
            })
            .replace('\n', ""),
        )
    });
    check(
        "a picture in a module",
        Reason::Data,
        Teaches::Counts,
        |s| {
            let picture = s.text(BASE64, 40_000);
            let text = code(s, 60) + &constant(&picture);
            assert_eq!(judge_text(&text).teaches, Teaches::Counts);
            text
        },
    );
}

#[test]
fn generated_code_is_told_by_lines_alike() {
    check("a table", Reason::Generated, Teaches::Counts, |s| {
        s.lines(600, |s, at| {
            format!(
                "\tТаблица.Добавить(\"{}{at}\", {}, \"{}\");",
                s.pick(&NAMES),
                s.below(999),
                s.pick(&NAMES)
            )
        })
    });
    check("numbered names", Reason::Generated, Teaches::Counts, |s| {
        s.lines(600, |s, at| {
            format!("\tПоле{at} = Источник.{}{at};", s.pick(&NAMES))
        })
    });
    check("names at random", Reason::Generated, Teaches::Counts, |s| {
        s.lines(600, |s, _| {
            format!(
                "\t{}.{} = {};",
                s.text(b"abcdefgh", 9),
                s.text(b"abcdefgh", 9),
                s.text(b"abcdefgh", 9)
            )
        })
    });
}

#[test]
fn what_is_longer_than_people_write_counts_only() {
    let mut seeded = Seeded(3);
    let mut text = String::new();
    while text.len() <= MAX_BYTES {
        // Names of this part only, so that its lines are not alike.
        let part = code(&mut seeded, 400);
        let name = seeded.text(b"abcdefgh", 8);
        text += &part
            .replace("Товар", &name)
            .replace("Склад", &seeded.text(b"abcdefgh", 8));
    }
    let verdict = judge_text(&text);
    assert_eq!(
        (verdict.teaches, verdict.reason),
        (Teaches::Counts, Some(Reason::Long))
    );
}

#[test]
fn what_the_model_was_trained_on_counts_only() {
    let mut seeded = Seeded(5);
    let text: String = (0..10).map(|_| code(&mut seeded, 20)).collect();
    let all: Vec<_> = methods(&text);
    let mut hashes: Vec<u64> = all.iter().map(|method| method.hash(&text)).collect();
    hashes.sort_unstable();
    assert_eq!(judge_alone(&text, &hashes).reason, Some(Reason::Known));
    assert_eq!(judge_alone(&text, &[]), Verdict::ALL);
    assert_eq!(judge_alone(&text, &[1, 2, 3]), Verdict::ALL);
    let own: String = (0..10).map(|_| code(&mut seeded, 20)).collect();
    assert_eq!(judge_alone(&own, &hashes), Verdict::ALL);
    let mixed = own + &text;
    assert_eq!(judge_alone(&mixed, &hashes), Verdict::ALL);
}

#[test]
fn keys_are_read_back_and_differ() {
    for reason in Reason::ALL {
        assert_eq!(Reason::of_key(reason.key()), Some(reason));
    }
    assert_eq!(Reason::of_key("later"), None);
}

proptest! {
    #[test]
    fn any_text_has_a_verdict(text: String, hashes: Vec<u64>, times in 1..400usize) {
        for text in [text.clone(), text.repeat(times)] {
            let verdict = judge_alone(&text, &hashes);
            prop_assert!(verdict.weight > 0.0 && verdict.weight <= 1.0);
            prop_assert_eq!(verdict.reason.is_none(), verdict == Verdict::ALL);
        }
    }

    #[test]
    fn text_like_code_has_a_verdict(text in "([а-яА-Я0-9\"'|&#.,;:()<>=/ \n🙂{}\\[\\]]|Если |КонецЕсли|Процедура |//){0,200}") {
        let verdict = judge_alone(&text, &[7]);
        prop_assert!(verdict.weight > 0.0 && verdict.weight <= 1.0);
    }
}
