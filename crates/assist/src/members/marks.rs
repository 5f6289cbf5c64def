//! How likely each name of a list is beside what the network says: a log-linear sum of marks that the text before the place shows.
//!
//! The weights were fitted together with the mixture's own probabilities, whose root they are multiplied by (`nestor_cache::candidates`), on
//! projects of the training corpus under other names (LOG.md, "Names beside the trained tiny"). So they say what the mixture does not. What stands
//! behind the place is not seen.

use nestor_bsl::keywords::fold;
use nestor_metadata::resolve::{Document, ValueSort};

use super::around::{Around, LONG_WORD, Setting};
use super::uses::{NEAR, RECENT, Uses, receiver};
use crate::renaming::words;

/// More uses than this say no more.
const MOST_USES: u32 = 30;

/// What a text says of a name at a place; each mark is 0 where it does not hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(usize)]
enum Mark {
    MethodFirstInStatement,
    MethodElsewhere,
    /// A name of the platform that is no method: `Ссылка`, `Видимость`.
    Platform,
    Used,
    UsedRecently,
    UsedNear,
    /// The same behind the same receiver.
    Behind,
    BehindRecently,
    BehindNear,
    /// It already has a value in this method, and another one is about to get one.
    Assigned,
    AssignedNear,
    /// It was read behind the receiver in this method; branches compare with one value after another.
    ReadInMethod,
    /// And it is the one that was used last.
    ReadAgain,
    /// It is the name that was used last behind the receiver, is declared right behind it, or a little further behind.
    SameAgain,
    NextDeclared,
    SoonDeclared,
    /// `Строка.Цена = Товар.`: the name on the left.
    LeftOfAssignment,
    /// `Если А.Цена <> Товар.`: the name on the left.
    LeftOfComparison,
    /// A part of the name on the left, or the left name a part of it.
    PartOfLeft,
    /// `Отбор.Вставить("Цена", Товар.`: the literal before.
    AsLiteral,
    /// `Списать(Товар.` where the parameter has the name.
    AsParameter,
    /// It stood behind some dot right after the name that stood last behind one.
    AfterLastName,
    /// The logarithm of how far down the list it stands.
    Down,
    /// Nothing was used behind the receiver yet.
    FirstUse,
    UsedFirstUse,
    /// `Для Каждого Строка Из Заказ.`: something to go through, and what is known to be none.
    CollectionInLoop,
    OtherInLoop,
    /// `Если Заказ.`
    BooleanInCondition,
    CollectionInCondition,
    /// `Сумма + Строка.`
    NumberInSum,
    /// It stands in the name of the method: `СкладПриИзменении`.
    InMethodName,
    /// The share of its words that the text has used within the last bytes.
    WordsNear,
}

/// What each mark adds to the logarithm of a name's weight.
const WEIGHTS: [(Mark, f32); N_MARKS] = [
    (Mark::MethodFirstInStatement, -0.6),
    (Mark::MethodElsewhere, -1.32),
    (Mark::Platform, -0.59),
    (Mark::Used, 0.46),
    (Mark::UsedRecently, 0.34),
    (Mark::UsedNear, -0.47),
    (Mark::Behind, 0.26),
    (Mark::BehindRecently, -0.7),
    (Mark::BehindNear, -0.35),
    (Mark::Assigned, -1.08),
    (Mark::AssignedNear, -0.76),
    (Mark::ReadInMethod, -0.97),
    (Mark::ReadAgain, 0.2),
    (Mark::SameAgain, 0.15),
    (Mark::NextDeclared, 0.68),
    (Mark::SoonDeclared, 0.22),
    (Mark::LeftOfAssignment, 1.48),
    (Mark::LeftOfComparison, 0.15),
    (Mark::PartOfLeft, 1.52),
    (Mark::AsLiteral, 0.59),
    (Mark::AsParameter, 1.77),
    (Mark::AfterLastName, 0.36),
    (Mark::Down, -0.18),
    (Mark::FirstUse, 0.77),
    (Mark::UsedFirstUse, -0.33),
    (Mark::CollectionInLoop, 1.09),
    (Mark::OtherInLoop, -0.35),
    (Mark::BooleanInCondition, 0.77),
    (Mark::CollectionInCondition, 0.34),
    (Mark::NumberInSum, -0.52),
    (Mark::InMethodName, 0.74),
    (Mark::WordsNear, 1.08),
];

const N_MARKS: usize = Mark::WordsNear as usize + 1;

/// The marks of a name.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Marks([f32; N_MARKS]);

impl Marks {
    fn hold(&mut self, mark: Mark, holds: bool) {
        self.set(mark, f32::from(u8::from(holds)));
    }

    fn set(&mut self, mark: Mark, value: f32) {
        self.0[mark as usize] = value;
    }

    /// How many times likelier the name is than one without any mark.
    pub(super) fn weight(&self) -> f32 {
        let parts = WEIGHTS
            .iter()
            .map(|(mark, weight)| self.0[*mark as usize] * weight);
        parts.sum::<f32>().exp()
    }
}

/// A name of a list, folded in both languages.
pub(super) struct Listed<'a> {
    pub(super) folded: [&'a str; 2],
    pub(super) is_method: bool,
    pub(super) sort: ValueSort,
    /// As the metadata writes it.
    pub(super) name: &'a str,
}

/// The place of a name that is to come, with what the text before it says of all names.
pub(super) struct Place<'a> {
    uses: &'a Uses,
    at: usize,
    receiver: Option<u64>,
    /// The index in the list of the name that was used last behind the receiver.
    last_idx: Option<usize>,
    around: Around,
}

impl<'a> Place<'a> {
    /// The place at the end of `text`, the beginning of `document` that `uses` has read, for the names of a list in the order of their
    /// declaration.
    pub(super) fn new<'l>(
        uses: &'a Uses,
        text: &str,
        document: &Document,
        list: impl IntoIterator<Item = [&'l str; 2]>,
    ) -> Self {
        let receiver = receiver(text, text.len());
        let last_idx = receiver
            .and_then(|receiver| uses.last_behind(receiver))
            .and_then(|last| {
                let mut names = list.into_iter();
                names.position(|folded| folded.contains(&last))
            });
        Self {
            uses,
            at: text.len(),
            receiver,
            last_idx,
            around: Around::new(text, document),
        }
    }

    /// The marks of the `idx`-th name of the list.
    pub(super) fn marks(&self, idx: usize, name: &Listed<'_>) -> Marks {
        let mut marks = Marks::default();
        let is_platform = name.folded[0] != name.folded[1];
        let is_first = self.around.is_first;
        marks.hold(Mark::MethodFirstInStatement, name.is_method && is_first);
        marks.hold(Mark::MethodElsewhere, name.is_method && !is_first);
        marks.hold(Mark::Platform, is_platform && !name.is_method);
        let used = self.uses.of_any(&name.folded);
        if let Some(used) = used {
            let distance = self.at.saturating_sub(used.last);
            marks.hold(Mark::Used, true);
            marks.hold(Mark::UsedRecently, distance <= RECENT);
            marks.hold(Mark::UsedNear, distance <= NEAR);
        }
        self.mark_receiver(&mut marks, idx, name);
        let has_last = self.last_idx.is_some();
        marks.hold(Mark::FirstUse, !has_last && !is_platform);
        marks.hold(Mark::UsedFirstUse, !has_last && used.is_some());
        marks.set(Mark::Down, (1.0 + idx as f32).ln());
        self.mark_around(&mut marks, name);
        marks
    }

    /// What stood behind the same receiver.
    fn mark_receiver(&self, marks: &mut Marks, idx: usize, name: &Listed<'_>) {
        let is_first = self.around.is_first;
        let behind = self.receiver.and_then(|receiver| {
            let uses = name.folded.iter();
            let uses = uses.filter_map(|name| self.uses.behind(receiver, name));
            uses.max_by_key(|used| used.last)
        });
        if let Some(behind) = behind {
            let distance = self.at.saturating_sub(behind.last);
            let count = behind.count.min(MOST_USES) as f32;
            marks.set(Mark::Behind, (1.0 + count).ln());
            marks.hold(Mark::BehindRecently, distance <= RECENT);
            marks.hold(Mark::BehindNear, distance <= NEAR);
            let method = self.uses.n_methods();
            if is_first && behind.assigned_in == method && method > 0 {
                marks.hold(Mark::Assigned, true);
                marks.hold(Mark::AssignedNear, distance <= NEAR);
            }
            if !is_first && behind.method == method {
                marks.hold(Mark::ReadInMethod, true);
                marks.hold(Mark::ReadAgain, self.last_idx == Some(idx));
            }
        }
        match self.last_idx.map(|last| (idx >= last, idx.abs_diff(last))) {
            Some((true, 0)) => marks.hold(Mark::SameAgain, true),
            Some((true, 1)) => marks.hold(Mark::NextDeclared, true),
            Some((true, 2..=4)) => marks.hold(Mark::SoonDeclared, true),
            _ => {}
        }
    }

    /// What is being written.
    fn mark_around(&self, marks: &mut Marks, name: &Listed<'_>) {
        let around = &self.around;
        let is = |known: &str| !known.is_empty() && name.folded.contains(&known);
        marks.hold(Mark::LeftOfAssignment, is(&around.left));
        marks.hold(Mark::LeftOfComparison, is(&around.compared));
        let is_part = name.folded.iter().any(|name| is_part(name, &around.left));
        marks.hold(Mark::PartOfLeft, is_part && !is(&around.left));
        marks.hold(Mark::AsLiteral, is(&around.literal));
        marks.hold(Mark::AsParameter, is(&around.parameter));
        let follows = name.folded.iter().any(|name| self.uses.follows_last(name));
        marks.hold(Mark::AfterLastName, follows);
        let is_list = name.sort == ValueSort::Collection;
        let is_known = name.sort != ValueSort::Unknown;
        match around.setting {
            Setting::Loop => {
                marks.hold(Mark::CollectionInLoop, is_list);
                marks.hold(Mark::OtherInLoop, is_known && !is_list);
            }
            Setting::Condition => {
                let is_boolean = name.sort == ValueSort::Boolean;
                marks.hold(Mark::BooleanInCondition, is_boolean);
                marks.hold(Mark::CollectionInCondition, is_list);
            }
            Setting::Sum => marks.hold(Mark::NumberInSum, name.sort == ValueSort::Number),
            Setting::Other => {}
        }
        let folded = name.folded[0];
        let in_method = folded.len() >= LONG_WORD && around.method.contains(folded);
        marks.hold(Mark::InMethodName, in_method);
        let (mut n_words, mut n_near) = (0, 0);
        for word in words(name.name).map(|word| &name.name[word]) {
            if word.len() >= LONG_WORD {
                n_words += 1;
                n_near += usize::from(around.words_near.contains(&fold(word)));
            }
        }
        marks.set(Mark::WordsNear, n_near as f32 / n_words.max(1) as f32);
    }
}

/// Whether one of the names begins or ends with the other, which is long enough to say something.
fn is_part(name: &str, other: &str) -> bool {
    let (short, long) = if name.len() < other.len() {
        (name, other)
    } else {
        (other, name)
    };
    short.len() >= LONG_WORD && (long.starts_with(short) || long.ends_with(short))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_mark_has_one_weight() {
        for (idx, (mark, _)) in WEIGHTS.iter().enumerate() {
            assert_eq!(*mark as usize, idx, "{mark:?}");
        }
    }

    const LIST: [&str; 5] = ["код", "цена", "количество", "сумма", "склад"];

    /// The weights of the names of the list behind `text`; the last one is a method.
    fn weighed(text: &str, sort_of_code: ValueSort) -> Vec<(f32, &'static str)> {
        let mut uses = Uses::default();
        uses.read(text, 0);
        let document = Document::new("м.bsl", text.to_owned());
        let place = Place::new(&uses, text, &document, LIST.map(|name| [name, name]));
        let weigh = |(idx, &name): (usize, &'static &'static str)| {
            let listed = Listed {
                folded: [name, name],
                is_method: name == "склад",
                sort: if idx == 0 {
                    sort_of_code
                } else {
                    ValueSort::Unknown
                },
                name,
            };
            (place.marks(idx, &listed).weight(), name)
        };
        let mut weighed: Vec<_> = LIST.iter().enumerate().map(weigh).collect();
        weighed.sort_by(|left, right| right.0.total_cmp(&left.0));
        weighed
    }

    /// Whether `first` is likelier than `second` behind `text`.
    fn is_before(text: &str, first: &str, second: &str) -> bool {
        let order = weighed(text, ValueSort::Unknown);
        let place = |name: &str| order.iter().position(|(_, known)| *known == name).unwrap();
        place(first) < place(second)
    }

    #[test]
    fn the_name_on_the_left_is_likeliest_on_the_right() {
        for text in [
            "\tСтрока.Сумма = Товар.",
            "\tСумма = Товар.",
            "\tОтбор.Вставить(\"Сумма\", Товар.",
            "Процедура СуммаПриИзменении()\n\tА(Товар.",
        ] {
            assert_eq!(weighed(text, ValueSort::Unknown)[0].1, "сумма", "{text}");
        }
    }

    #[test]
    fn what_has_a_value_gives_way_to_what_is_declared_next() {
        let filled = "Процедура А()\n\tСтрока.Код = 1;\n\tСтрока.Цена = 2;\n\tСтрока.";
        assert!(is_before(filled, "количество", "код"));
        // In another method nothing has a value yet.
        let weight_of_code = |text: &str| {
            let weighed = weighed(text, ValueSort::Unknown);
            weighed.iter().find(|(_, name)| *name == "код").unwrap().0
        };
        let other = filled.replace("\n\tСтрока.Цена", "\nПроцедура Б()\n\tСтрока.Цена");
        assert!(weight_of_code(&other) > weight_of_code(filled));
        let compared = "Процедура А()\n\tЕсли В = Виды.Код Тогда\n\tИначеЕсли В = Виды.";
        assert!(is_before(compared, "цена", "количество"));
        assert!(is_before(compared, "количество", "склад"));
    }

    #[test]
    fn what_stands_behind_this_receiver_comes_before_what_stands_behind_another() {
        let body = "\tА = Б.Сумма + Б.Сумма + Г.Код + Г.Код;\n".repeat(40);
        let here = format!(
            "Процедура А()\n{body}Процедура Б()\n{}\tА = Б.",
            " \n".repeat(3_000)
        );
        assert!(is_before(&here, "сумма", "код"));
        assert_eq!(
            weighed("", ValueSort::Unknown).last().unwrap().1,
            "склад",
            "a method"
        );
    }

    #[test]
    fn a_loop_goes_through_what_is_a_collection() {
        let text = "\tДля Каждого С Из Док.";
        assert_eq!(weighed(text, ValueSort::Collection)[0].1, "код");
        assert_eq!(weighed(text, ValueSort::Other)[0].1, "цена");
    }
}
