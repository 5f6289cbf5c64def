//! How a document spells: the language and the case of its keywords, and what it indents a level by.
//!
//! Asked where Nestor writes code by itself (skeletons of methods, closing words); what the network writes is its own. What a document does
//! not show has the usual form: Russian, capitalised, a tab. It must not know models or metadata.

use nestor_bsl::keywords::{Directive, Keyword};
use nestor_bsl::lexer::{TokenKind, lex};

/// How the letters of a word are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Case {
    /// As the platform writes it: `КонецПроцедуры`.
    #[default]
    Usual,
    /// `конецпроцедуры`.
    Lower,
    /// `КОНЕЦПРОЦЕДУРЫ`.
    Upper,
}

impl Case {
    /// The case of a word.
    pub(crate) fn of(word: &str) -> Self {
        let mut letters = word.chars().filter(|c| c.is_alphabetic());
        if letters.clone().all(char::is_lowercase) {
            Self::Lower
        } else if letters.clone().count() > 1 && letters.all(char::is_uppercase) {
            Self::Upper
        } else {
            Self::Usual
        }
    }

    /// A word of the platform in this case.
    pub(crate) fn write(self, word: &str) -> String {
        match self {
            Self::Usual => word.to_owned(),
            Self::Lower => word.to_lowercase(),
            Self::Upper => word.to_uppercase(),
        }
    }
}

/// How often each case was seen.
#[derive(Clone, Copy, Debug, Default)]
struct Cases([usize; 3]);

impl Cases {
    fn see(&mut self, case: Case) {
        self.0[case as usize] += 1;
    }

    /// The most common one.
    fn most(self) -> Option<Case> {
        let all = [Case::Upper, Case::Lower, Case::Usual];
        let most = all.into_iter().max_by_key(|case| self.0[*case as usize])?;
        (self.0[most as usize] > 0).then_some(most)
    }
}

/// How a document spells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Spelling {
    /// Whether keywords are English.
    pub(crate) is_english: bool,
    /// Case of keywords; none where the document has none.
    keywords: Option<Case>,
    /// Case of directives.
    directives: Option<Case>,
    /// What a level is indented by.
    pub(crate) indent: String,
}

impl Spelling {
    /// That of a document: what is most common there.
    pub(crate) fn of(text: &str) -> Self {
        let (mut n_english, mut n_russian) = (0, 0);
        // The words that we write tell more than the others.
        let (mut of_methods, mut others, mut directives) = Default::default();
        for token in lex(text) {
            let (word, cases): (_, &mut Cases) = match token.kind {
                TokenKind::Keyword(keyword) => match keyword {
                    // Operators and values have habits of their own.
                    Keyword::And | Keyword::Or | Keyword::Not | Keyword::Null => continue,
                    Keyword::Procedure
                    | Keyword::EndProcedure
                    | Keyword::Function
                    | Keyword::EndFunction => (token.text(text), &mut of_methods),
                    _ => (token.text(text), &mut others),
                },
                TokenKind::Annotation => {
                    let word = token.text(text).trim_start_matches('&').trim();
                    if Directive::find(word).is_none() {
                        continue;
                    }
                    (word, &mut directives)
                }
                _ => continue,
            };
            cases.see(Case::of(word));
            let is_english = word.is_ascii();
            n_english += usize::from(is_english);
            n_russian += usize::from(!is_english);
        }
        Self {
            is_english: n_english > n_russian,
            keywords: of_methods.most().or_else(|| others.most()),
            directives: directives.most(),
            indent: indent_of(text),
        }
    }

    /// With what the beginning of a line tells that goes on in this spelling: its language, and its case where the document has none.
    pub(crate) fn behind(mut self, line: &str) -> Self {
        let word = line.trim().trim_start_matches('&');
        if let Some(first) = word.chars().next().filter(|c| c.is_alphabetic()) {
            self.is_english = first.is_ascii();
            let word = word.split_whitespace().next().unwrap_or_default();
            let cases = if line.trim().starts_with('&') {
                &mut self.directives
            } else {
                &mut self.keywords
            };
            cases.get_or_insert(Case::of(word));
        }
        self
    }

    /// A keyword.
    pub(crate) fn keyword(&self, keyword: Keyword) -> String {
        let word = self.pick(keyword.russian(), keyword.english());
        self.keywords.unwrap_or_default().write(word)
    }

    /// A directive with its sign.
    pub(crate) fn directive(&self, directive: Directive) -> String {
        let word = self.pick(directive.russian(), directive.english());
        format!("&{}", self.directives.unwrap_or_default().write(word))
    }

    /// One of two names by the language.
    pub(crate) fn pick<'a>(&self, russian: &'a str, english: &'a str) -> &'a str {
        if self.is_english { english } else { russian }
    }
}

/// What a text indents a level by: what lines most often have in front that the line above does not; a tab where none has.
pub(crate) fn indent_of(text: &str) -> String {
    let mut seen: Vec<(&str, usize)> = Vec::new();
    let mut above = None;
    for line in text.lines().filter(|line| !line.trim().is_empty()) {
        let own = &line[..line.len() - line.trim_start().len()];
        let more = above.and_then(|above| own.strip_prefix(above));
        above = Some(own);
        let Some(more) = more.filter(|more| !more.is_empty()) else {
            continue;
        };
        match seen.iter_mut().find(|(indent, _)| *indent == more) {
            Some((_, n)) => *n += 1,
            None => seen.push((more, 1)),
        }
    }
    let most = seen
        .into_iter()
        .max_by_key(|(indent, n)| (*n, std::cmp::Reverse(indent.len())));
    most.map_or("\t", |(indent, _)| indent).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_most_common_in_a_document_is_its_spelling() {
        let check = |text: &str, end: &str, client: &str| {
            let spelling = Spelling::of(text);
            assert_eq!(spelling.keyword(Keyword::EndProcedure), end, "{text}");
            assert_eq!(spelling.directive(Directive::AtClient), client, "{text}");
        };
        check("", "КонецПроцедуры", "&НаКлиенте");
        check(
            "процедура А()\nконецпроцедуры\n",
            "конецпроцедуры",
            "&НаКлиенте",
        );
        check(
            "&НАСЕРВЕРЕ\nПРОЦЕДУРА А() ЭКСПОРТ\nКОНЕЦПРОЦЕДУРЫ\n",
            "КОНЕЦПРОЦЕДУРЫ",
            "&НАКЛИЕНТЕ",
        );
        check(
            "&atserver\nprocedure A()\nendprocedure\nIf a Then\nEndIf;",
            "endprocedure",
            "&atclient",
        );
        // Methods tell more than the words within them, and operators nothing.
        check(
            "Процедура А()\nесли А тогда\nиначе\nконецесли;\nКонецПроцедуры",
            "КонецПроцедуры",
            "&НаКлиенте",
        );
        check(
            "если А И Б ИЛИ НЕ В И Г тогда конецесли;",
            "конецпроцедуры",
            "&НаКлиенте",
        );
        // Free annotations are nobody's directives, and words in comments and strings are none.
        check(
            "&Тест\n// процедура\nА = \"процедура\";",
            "КонецПроцедуры",
            "&НаКлиенте",
        );
    }

    #[test]
    fn a_line_that_was_begun_tells_the_language_and_where_nothing_else_does_the_case() {
        let check = |text: &str, line: &str, begin: &str| {
            let spelling = Spelling::of(text).behind(line);
            assert_eq!(spelling.keyword(Keyword::Procedure), begin, "{line}");
        };
        check("", "", "Процедура");
        check("", "Proc", "Procedure");
        check("", "проц", "процедура");
        check("", "ПРОЦ", "ПРОЦЕДУРА");
        check("", "П", "Процедура");
        check("", "&AtCl", "Procedure");
        check("Функция А()\nКонецФункции", "проц", "Процедура");
    }

    #[test]
    fn a_level_is_indented_as_most_levels_are() {
        let check = |text: &str, expected: &str| assert_eq!(indent_of(text), expected, "{text}");
        check("", "\t");
        check("А = 1;\nБ = 2;\n", "\t");
        check("Процедура А()\r\n\tБ();\r\n\r\nКонецПроцедуры\r\n", "\t");
        check(
            "Процедура А()\n    Если Б Тогда\n        В();\n    КонецЕсли;\nКонецПроцедуры\n",
            "    ",
        );
        check("Процедура А()\n  Б();\nКонецПроцедуры", "  ");
        // Parameters below each other are no level.
        check(
            "Процедура А(Б,\n            В)\n   Г();\n   Если Д Тогда\n      Е();",
            "   ",
        );
    }
}
