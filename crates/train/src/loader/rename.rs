//! Consistent renaming of identifiers in one visit to a project.
//!
//! Names that the slow weights know by heart teach the faster memories nothing, so in a part of the visits
//! the words of identifiers change places: each rare enough word becomes another of like
//! frequency, alphabet and capitalisation, the same one everywhere in the visit, in code and in
//! queries. Keywords and the most frequent words stay. It works on pieces: a word is a run of
//! whole pieces, because the tokenizer never merges across words, so nothing is encoded again.

use super::code_words::code_words;
use super::pieces::Pieces;
use rand::SeedableRng;
use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use rustc_hash::FxHashMap;

/// The most frequent words, which stay as they are: mostly the platform's own names.
const KEPT_WORDS: usize = 600;
/// Words rarer than this are left alone; they are as good as renamed.
const MIN_COUNT: u32 = 3;
/// Neighbours in frequency that change places.
const BUCKET: usize = 48;

/// Words that are a keyword or a part of one.
const KEYWORD_WORDS: &[&str] = &[
    "Если",
    "Тогда",
    "Иначе",
    "Конец",
    "Для",
    "Каждого",
    "Из",
    "По",
    "Пока",
    "Цикл",
    "Цикла",
    "Процедура",
    "Процедуры",
    "Функция",
    "Функции",
    "Перем",
    "Знач",
    "Экспорт",
    "Возврат",
    "Продолжить",
    "Прервать",
    "Попытка",
    "Попытки",
    "Исключение",
    "Вызвать",
    "Перейти",
    "Новый",
    "Выполнить",
    "Истина",
    "Ложь",
    "Неопределено",
    "Добавить",
    "Удалить",
    "Обработчик",
    "Асинх",
    "Ждать",
    "Область",
    "Области",
    "Использовать",
    "Перед",
    "После",
    "Вместо",
    "Изменение",
    "Вставка",
    "Вставки",
    "Удаление",
    "Удаления",
    "Выбрать",
    "Разрешенные",
    "Различные",
    "Первые",
    "Как",
    "Где",
    "Сгруппировать",
    "Упорядочить",
    "Имеющие",
    "Левое",
    "Правое",
    "Полное",
    "Внутреннее",
    "Внешнее",
    "Соединение",
    "Поместить",
    "Уничтожить",
    "Объединить",
    "Когда",
    "Есть",
    "Между",
    "Подобно",
    "Выразить",
    "Клиенте",
    "Сервере",
    "Без",
    "Клиент",
    "Сервер",
    "Then",
    "Elsif",
    "Else",
    "End",
    "Each",
    "While",
    "Procedure",
    "Function",
    "Export",
    "Return",
    "Continue",
    "Break",
    "Except",
    "Raise",
    "Goto",
    "True",
    "False",
    "Undefined",
    "Null",
    "Execute",
    "Handler",
    "Add",
    "Remove",
    "Async",
    "Await",
    "Region",
    "Use",
    "Before",
    "After",
    "Instead",
    "And",
    "Validate",
    "Insert",
    "Delete",
    "Select",
    "Allowed",
    "Distinct",
    "From",
    "Where",
    "Having",
    "Left",
    "Right",
    "Full",
    "Inner",
    "Outer",
    "Join",
    "Into",
    "Drop",
    "Union",
    "When",
    "Between",
    "Like",
    "Client",
    "Server",
    "For",
    "Var",
    "Val",
    "New",
    "Try",
    "Not",
    "Loop",
];

/// A word's pieces, alone and after one space.
#[derive(Debug)]
struct Word {
    plain: Box<[u32]>,
    spaced: Box<[u32]>,
}

/// All words that may be renamed.
#[derive(Debug, Default)]
pub struct Names {
    ids: FxHashMap<Box<str>, u32>,
    words: Vec<Word>,
    /// Words of like frequency and the same alphabet.
    buckets: Vec<Vec<u32>>,
}

/// The renaming of one visit: the new word of each word.
#[derive(Debug)]
pub struct Renaming<'a> {
    names: &'a Names,
    new: Vec<u32>,
}

/// Counts words before [`Names`] can be built.
#[derive(Debug, Default)]
pub struct WordCounts(FxHashMap<Box<str>, u32>);

impl WordCounts {
    /// Counts the words of identifiers in a text.
    pub fn add(&mut self, text: &str) {
        code_words(text, |range| {
            let word = &text[range];
            match self.0.get_mut(word) {
                Some(count) => *count += 1,
                None => drop(self.0.insert(word.into(), 1)),
            }
        });
    }
}

impl Names {
    /// Chooses the renamable words.
    pub fn new(counts: WordCounts, pieces: &Pieces) -> Self {
        let mut counted: Vec<(Box<str>, u32)> = counts.0.into_iter().collect();
        counted.sort_unstable_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
        let kept = KEPT_WORDS.min(counted.len() / 4);
        let mut names = Self::default();
        let mut alphabets: [Vec<u32>; 2] = Default::default();
        for (word, count) in counted.into_iter().skip(kept) {
            if count < MIN_COUNT || KEYWORD_WORDS.contains(&&*word) {
                continue;
            }
            let id = names.words.len() as u32;
            names.words.push(Word {
                plain: pieces.encode(&word).into(),
                spaced: pieces.encode(&format!(" {word}")).into(),
            });
            alphabets[usize::from(word.is_ascii())].push(id);
            names.ids.insert(word, id);
        }
        for alphabet in alphabets {
            names
                .buckets
                .extend(alphabet.chunks(BUCKET).map(<[u32]>::to_vec));
        }
        names
    }

    /// Whether nothing can be renamed.
    pub fn is_empty(&self) -> bool {
        self.words.is_empty()
    }

    /// The renaming of a visit, the same for the same seed.
    pub fn visit(&self, seed: u64) -> Renaming<'_> {
        let mut rng = StdRng::seed_from_u64(seed);
        let mut new = vec![0; self.words.len()];
        for bucket in &self.buckets {
            let mut shuffled = bucket.clone();
            shuffled.shuffle(&mut rng);
            for (from, to) in bucket.iter().zip(shuffled) {
                new[*from as usize] = to;
            }
        }
        Renaming { names: self, new }
    }
}

/// Whether the tokenizer counts the white space at the end of a text to the word that follows: one
/// space does, but not where it is part of a line's indent.
fn has_space(before: &[u8]) -> bool {
    let visible = before
        .iter()
        .rposition(|byte| !matches!(byte, b' ' | b'\t'));
    before.last() == Some(&b' ') && visible.is_some_and(|at| before[at] != b'\n')
}

impl Renaming<'_> {
    /// The pieces with every renamable word replaced.
    pub fn apply(&self, pieces: &Pieces, tokens: &[u32]) -> Vec<u32> {
        let mut bytes = Vec::with_capacity(tokens.len() * 4);
        let mut starts = Vec::with_capacity(tokens.len() + 1);
        for token in tokens {
            starts.push(bytes.len());
            bytes.extend_from_slice(pieces.bytes(*token));
        }
        starts.push(bytes.len());
        // A window may be cut inside a character; what follows the last whole one stays.
        let text = match std::str::from_utf8(&bytes) {
            Ok(text) => text,
            Err(error) => {
                std::str::from_utf8(&bytes[..error.valid_up_to()]).expect("valid up to here")
            }
        };
        let mut out = Vec::with_capacity(tokens.len() + tokens.len() / 8);
        let mut token = 0;
        let mut copied = 0;
        code_words(text, |range| {
            let Some(id) = self.names.ids.get(&text[range.clone()]) else {
                return;
            };
            let spaced = has_space(&bytes[..range.start]);
            let begin = range.start - usize::from(spaced);
            while starts[token] < begin {
                token += 1;
            }
            let first = token;
            if starts[first] != begin {
                return;
            }
            let word = &self.names.words[self.new[*id as usize] as usize];
            let new = if spaced { &word.spaced } else { &word.plain };
            let Some(length) = starts[first..].iter().position(|s| *s >= range.end) else {
                return;
            };
            if starts[first + length] != range.end {
                return;
            }
            out.extend_from_slice(&tokens[copied..first]);
            out.extend_from_slice(new);
            copied = first + length;
            token = copied;
        });
        out.extend_from_slice(&tokens[copied..]);
        out
    }
}

#[cfg(test)]
mod tests {
    use super::super::pieces::special::FIRST_BYTE;
    use super::*;

    const CODE: &str = "Процедура ЗаполнитьТовары(Заказ) Экспорт // Заказ Товары\n\
        \tЕсли ЗначениеЗаполнено(Заказ.Товары) Тогда\n\
        \t\tЗапрос.Текст = \"ВЫБРАТЬ Заказ.Товары ИЗ Документ.Заказ\";\n\
        \t\tСообщить(\"Заказ заполнен\");\n\tКонецЕсли;\nКонецПроцедуры\n";

    fn names(pieces: &Pieces) -> Names {
        let mut counts = WordCounts::default();
        let words = [
            "Заказ",
            "Товары",
            "Склад",
            "Клиенты",
            "Договор",
            "Order",
            "Stock",
            "Goods",
        ];
        for word in words {
            counts.add(&format!("{word} ").repeat(10));
        }
        // The most frequent quarter stays, keywords stay wherever they stand.
        for word in ["Значение", "Заполнить", "Заполнено", "Запрос"]
        {
            counts.add(&format!("{word} ").repeat(99));
        }
        for word in ["Если", "Процедура", "Экспорт", "Тогда"] {
            counts.add(&format!("{word} ").repeat(10));
        }
        Names::new(counts, pieces)
    }

    #[test]
    fn renaming_is_consistent_and_keeps_keywords_comments_and_prose() {
        let pieces = Pieces::single_bytes();
        let names = names(&pieces);
        assert_eq!(names.words.len(), 8);
        let tokens = pieces.encode(CODE);
        let mut changed = 0;
        for seed in 0..20 {
            let renaming = names.visit(seed);
            let renamed = String::from_utf8(pieces.decode(&renaming.apply(&pieces, &tokens)));
            let renamed = renamed.unwrap();
            let new = |word: &str| {
                let word = &names.words[renaming.new[names.ids[word] as usize] as usize];
                String::from_utf8(pieces.decode(&word.plain)).unwrap()
            };
            let (order, goods) = (new("Заказ"), new("Товары"));
            assert!(!order.is_ascii(), "the alphabet stays: {order}");
            changed += usize::from(order != "Заказ");
            let expected = format!(
                "Процедура Заполнить{goods}({order}) Экспорт // Заказ Товары\n\
                 \tЕсли ЗначениеЗаполнено({order}.{goods}) Тогда\n\
                 \t\tЗапрос.Текст = \"ВЫБРАТЬ {order}.{goods} ИЗ Документ.{order}\";\n\
                 \t\tСообщить(\"Заказ заполнен\");\n\tКонецЕсли;\nКонецПроцедуры\n"
            );
            assert_eq!(renamed, expected);
            assert_eq!(names.visit(seed).new, renaming.new);
        }
        assert!(changed > 5, "{changed}");
    }

    #[test]
    fn words_that_share_a_piece_with_a_neighbour_stay() {
        // One piece covers "Заказ." and one is " Заказ"; single bytes cover the rest.
        let single = Pieces::single_bytes();
        let mut bytes: Vec<Box<[u8]>> = (0..264).map(|id| single.bytes(id).into()).collect();
        bytes.push("Заказ.".as_bytes().into());
        bytes.push(" Заказ".as_bytes().into());
        let pieces = Pieces::new(bytes, move |text| single.encode(text));
        let names = names(&pieces);
        let seed = (0..)
            .find(|seed| names.visit(*seed).new[names.ids["Заказ"] as usize] != names.ids["Заказ"]);
        let renaming = names.visit(seed.unwrap());
        let word = &names.words[renaming.new[names.ids["Заказ"] as usize] as usize];
        assert_eq!(
            renaming.apply(&pieces, &[264, 265]),
            [&[264], &*word.spaced].concat()
        );
        // The space of an indent is not the word's.
        let newline = u32::from(b'\n') + FIRST_BYTE;
        let line = [264, newline, 265];
        assert_eq!(renaming.apply(&pieces, &line), line);
    }
}
