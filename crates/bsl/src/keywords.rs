//! Reserved words of BSL, of its preprocessor and of the query language, in Russian and English.
//!
//! The lexer and the query lexer ask; both alphabets may stand in one file and case never matters. This module must
//! not know where a word stands: that a word after a dot is a member name is the lexer's knowledge.

use std::sync::LazyLock;

use rustc_hash::FxHashMap;

macro_rules! words {
    ($(#[$doc:meta])* $name:ident, $table:ident { $($(#[$vdoc:meta])* $variant:ident: $ru:literal, $en:literal;)+ }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum $name { $($(#[$vdoc])* #[doc = concat!("`", $ru, "`, `", $en, "`")] $variant,)+ }

        impl $name {
            /// Every word, in the order of the enum.
            pub const ALL: &'static [$name] = &[$($name::$variant,)+];

            /// The canonical Russian spelling.
            pub fn russian(self) -> &'static str {
                match self { $($name::$variant => $ru,)+ }
            }

            /// The canonical English spelling.
            pub fn english(self) -> &'static str {
                match self { $($name::$variant => $en,)+ }
            }

            /// The reserved word that `word` spells in either language and any case.
            pub fn find(word: &str) -> Option<$name> {
                find_folded(&$table, word)
            }
        }

        static $table: LazyLock<FxHashMap<Vec<u8>, $name>> = LazyLock::new(|| {
            let mut table = FxHashMap::default();
            for &word in $name::ALL {
                table.insert(fold(word.russian()).into_bytes(), word);
                table.insert(fold(word.english()).into_bytes(), word);
            }
            table
        });
    };
}

words! {
    /// Reserved words of the language itself.
    Keyword, KEYWORDS {
        If: "Если", "If";
        Then: "Тогда", "Then";
        ElsIf: "ИначеЕсли", "ElsIf";
        Else: "Иначе", "Else";
        EndIf: "КонецЕсли", "EndIf";
        For: "Для", "For";
        Each: "Каждого", "Each";
        In: "Из", "In";
        To: "По", "To";
        While: "Пока", "While";
        Do: "Цикл", "Do";
        EndDo: "КонецЦикла", "EndDo";
        Procedure: "Процедура", "Procedure";
        EndProcedure: "КонецПроцедуры", "EndProcedure";
        Function: "Функция", "Function";
        EndFunction: "КонецФункции", "EndFunction";
        Var: "Перем", "Var";
        Export: "Экспорт", "Export";
        Val: "Знач", "Val";
        Return: "Возврат", "Return";
        Break: "Прервать", "Break";
        Continue: "Продолжить", "Continue";
        Goto: "Перейти", "Goto";
        Try: "Попытка", "Try";
        Except: "Исключение", "Except";
        EndTry: "КонецПопытки", "EndTry";
        Raise: "ВызватьИсключение", "Raise";
        New: "Новый", "New";
        And: "И", "And";
        Or: "Или", "Or";
        Not: "Не", "Not";
        True: "Истина", "True";
        False: "Ложь", "False";
        Undefined: "Неопределено", "Undefined";
        Null: "NULL", "NULL";
        Execute: "Выполнить", "Execute";
        AddHandler: "ДобавитьОбработчик", "AddHandler";
        RemoveHandler: "УдалитьОбработчик", "RemoveHandler";
        Async: "Асинх", "Async";
        Await: "Ждать", "Await";
    }
}

words! {
    /// Words after `#`.
    Preprocessor, PREPROCESSOR {
        Region: "Область", "Region";
        EndRegion: "КонецОбласти", "EndRegion";
        If: "Если", "If";
        ElsIf: "ИначеЕсли", "ElsIf";
        Else: "Иначе", "Else";
        EndIf: "КонецЕсли", "EndIf";
        Insert: "Вставка", "Insert";
        EndInsert: "КонецВставки", "EndInsert";
        Delete: "Удаление", "Delete";
        EndDelete: "КонецУдаления", "EndDelete";
        Use: "Использовать", "Use";
    }
}

words! {
    /// Annotations that the platform itself knows: where a method runs, and what it does to a method of the extended
    /// configuration. OneScript has others, freely named.
    Directive, DIRECTIVES {
        AtClient: "НаКлиенте", "AtClient";
        AtServer: "НаСервере", "AtServer";
        AtServerNoContext: "НаСервереБезКонтекста", "AtServerNoContext";
        AtClientAtServer: "НаКлиентеНаСервере", "AtClientAtServer";
        AtClientAtServerNoContext: "НаКлиентеНаСервереБезКонтекста", "AtClientAtServerNoContext";
        Before: "Перед", "Before";
        After: "После", "After";
        Around: "Вместо", "Around";
        ChangeAndValidate: "ИзменениеИКонтроль", "ChangeAndValidate";
    }
}

words! {
    /// Reserved words of the query language. Words that are also everyday field names are left out (`Ссылка` as in
    /// `Поле ССЫЛКА Тип`), and so are functions (`ЗНАЧЕНИЕ`, `ВЫРАЗИТЬ`).
    QueryKeyword, QUERY_KEYWORDS {
        Select: "ВЫБРАТЬ", "SELECT";
        Allowed: "РАЗРЕШЕННЫЕ", "ALLOWED";
        Distinct: "РАЗЛИЧНЫЕ", "DISTINCT";
        Top: "ПЕРВЫЕ", "TOP";
        From: "ИЗ", "FROM";
        As: "КАК", "AS";
        Where: "ГДЕ", "WHERE";
        Into: "ПОМЕСТИТЬ", "INTO";
        AddTo: "ДОБАВИТЬ", "ADD";
        Drop: "УНИЧТОЖИТЬ", "DROP";
        Index: "ИНДЕКСИРОВАТЬ", "INDEX";
        Left: "ЛЕВОЕ", "LEFT";
        Right: "ПРАВОЕ", "RIGHT";
        Full: "ПОЛНОЕ", "FULL";
        Inner: "ВНУТРЕННЕЕ", "INNER";
        Outer: "ВНЕШНЕЕ", "OUTER";
        Join: "СОЕДИНЕНИЕ", "JOIN";
        On: "ПО", "ON";
        By: "BY", "BY";
        Group: "СГРУППИРОВАТЬ", "GROUP";
        Grouping: "ГРУППИРУЮЩИМ", "GROUPING";
        Sets: "НАБОРАМ", "SETS";
        Having: "ИМЕЮЩИЕ", "HAVING";
        Order: "УПОРЯДОЧИТЬ", "ORDER";
        Ascending: "ВОЗР", "ASC";
        Descending: "УБЫВ", "DESC";
        Hierarchy: "ИЕРАРХИЯ", "HIERARCHY";
        Totals: "ИТОГИ", "TOTALS";
        Overall: "ОБЩИЕ", "OVERALL";
        Only: "ТОЛЬКО", "ONLY";
        Periods: "ПЕРИОДАМИ", "PERIODS";
        AutoOrder: "АВТОУПОРЯДОЧИВАНИЕ", "AUTOORDER";
        Union: "ОБЪЕДИНИТЬ", "UNION";
        All: "ВСЕ", "ALL";
        For: "ДЛЯ", "FOR";
        Update: "ИЗМЕНЕНИЯ", "UPDATE";
        Of: "OF", "OF";
        Case: "ВЫБОР", "CASE";
        When: "КОГДА", "WHEN";
        Then: "ТОГДА", "THEN";
        Else: "ИНАЧЕ", "ELSE";
        End: "КОНЕЦ", "END";
        And: "И", "AND";
        Or: "ИЛИ", "OR";
        Not: "НЕ", "NOT";
        In: "В", "IN";
        Is: "ЕСТЬ", "IS";
        Null: "NULL", "NULL";
        Between: "МЕЖДУ", "BETWEEN";
        Like: "ПОДОБНО", "LIKE";
        Escape: "СПЕЦСИМВОЛ", "ESCAPE";
        True: "ИСТИНА", "TRUE";
        False: "ЛОЖЬ", "FALSE";
        Undefined: "НЕОПРЕДЕЛЕНО", "UNDEFINED";
    }
}

/// Lower-cases `word` the way BSL compares names.
pub fn fold(word: &str) -> String {
    word.to_lowercase()
}

/// Bytes of the longest reserved word, with room; longer words are names and are not looked up.
const LONGEST: usize = 64;

/// Looks `word` up without allocating: reserved words have Latin and Russian letters only.
fn find_folded<T: Copy>(table: &FxHashMap<Vec<u8>, T>, word: &str) -> Option<T> {
    let bytes = word.as_bytes();
    if bytes.len() > LONGEST {
        return None;
    }
    let mut folded = [0u8; LONGEST];
    let mut at = 0;
    while at < bytes.len() {
        match bytes[at] {
            byte if byte.is_ascii() => {
                folded[at] = byte.to_ascii_lowercase();
                at += 1;
            }
            lead @ (0xD0 | 0xD1) => {
                // А-П, Р-Я in UTF-8: D0 90..9F, D0 A0..AF; а-п, р-я: D0 B0..BF, D1 80..8F.
                let (lead, tail) = match (lead, bytes[at + 1]) {
                    (0xD0, tail @ 0x90..=0x9F) => (0xD0, tail + 0x20),
                    (0xD0, tail @ 0xA0..=0xAF) => (0xD1, tail - 0x20),
                    (lead, tail) => (lead, tail),
                };
                folded[at] = lead;
                folded[at + 1] = tail;
                at += 2;
            }
            _ => return None,
        }
    }
    table.get(&folded[..bytes.len()]).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_found_in_both_languages_and_any_case() {
        let check = |word: &str, expected: Option<Keyword>| {
            assert_eq!(Keyword::find(word), expected, "{word}")
        };
        check("Если", Some(Keyword::If));
        check("еСЛИ", Some(Keyword::If));
        check("IF", Some(Keyword::If));
        check("КОНЕЦПРОЦЕДУРЫ", Some(Keyword::EndProcedure));
        check("вызватьисключение", Some(Keyword::Raise));
        check("ElsIf", Some(Keyword::ElsIf));
        check("Сообщить", None);
        check("", None);
        check("日本", None);
        check("ё", None);
        check(&"и".repeat(500), None);
    }

    #[test]
    fn every_spelling_finds_its_word() {
        for &word in Keyword::ALL {
            assert_eq!(Keyword::find(word.russian()), Some(word));
            assert_eq!(Keyword::find(&word.english().to_uppercase()), Some(word));
        }
        for &word in Preprocessor::ALL {
            assert_eq!(Preprocessor::find(word.russian()), Some(word));
            assert_eq!(Preprocessor::find(word.english()), Some(word));
        }
        for &word in QueryKeyword::ALL {
            assert_eq!(
                QueryKeyword::find(&word.russian().to_lowercase()),
                Some(word)
            );
        }
    }
}
