//! Strict scoring worked by hand: what counts as one token, what is given, what must be right.

#[path = "../../assist/tests/fixture/mod.rs"]
mod fixture;

use fixture::TOKENIZER;
use nestor_bsl::code_tokens::{CodeToken, code_tokens};
use nestor_eval::beam::ranking;
use nestor_eval::strict::{Answer, Masks, Piece, TokenText, answer, positions, questions, verdict};
use nestor_eval::tally::Verdict;

/// A text whose every code token is asked, and a model that says what the test wants.
struct Exam {
    text: String,
    code: Vec<CodeToken>,
    pieces: Vec<Piece>,
    masks: Masks,
}

impl Exam {
    fn new(text: &str) -> Self {
        Self {
            text: text.to_owned(),
            code: code_tokens(text),
            pieces: TOKENIZER.encode_with_spans(text),
            masks: Masks::new(TOKENIZER.clone()),
        }
    }

    /// The verdicts when the model is sure of the true piece everywhere, but says `lie(place)` where that is something.
    /// A lie gets nine times the probability of the truth.
    fn verdicts(&self, lie: impl Fn(usize) -> Option<u32>) -> Vec<(String, Verdict)> {
        let wanted = vec![true; self.code.len()];
        let asked = questions(&self.text, &self.code, &wanted, &self.pieces, &self.masks);
        let answers: Vec<(usize, Answer)> = positions(&asked, &self.pieces)
            .into_iter()
            .map(|(place, position)| {
                let mut probs = vec![0.0; TOKENIZER.vocab_size()];
                let truth = self
                    .pieces
                    .get(place)
                    .map_or(nestor_bsl::pieces::EOF, |p| p.0);
                probs[truth as usize] = 1.0;
                if let Some(lie) = lie(place) {
                    probs[truth as usize] = 0.1;
                    probs[lie as usize] = 0.9;
                }
                (place, answer(&position, &probs))
            })
            .collect();
        let answer_at = |place: usize| {
            let at = answers
                .binary_search_by_key(&place, |item| item.0)
                .expect("asked for");
            &answers[at].1
        };
        asked
            .iter()
            .map(|question| {
                let token = &self.code[question.token_idx];
                let text = TokenText {
                    text: &self.text,
                    token,
                    pieces: &self.pieces,
                };
                let verdict = verdict(question, text, &TOKENIZER, answer_at, None);
                (self.text[token.scored.clone()].to_owned(), verdict)
            })
            .collect()
    }

    /// The place whose piece starts with the byte where `found` stands in the text, a space before it included.
    fn place(&self, found: &str) -> usize {
        let at = self.text.find(found).expect("in the text");
        self.pieces
            .iter()
            .position(|piece| piece.1.end > at)
            .expect("a piece")
    }

    fn wrong(&self, lie: impl Fn(usize) -> Option<u32>) -> Vec<String> {
        let verdicts = self.verdicts(lie).into_iter();
        verdicts
            .filter(|(_, verdict)| !verdict.strict)
            .map(|(token, _)| token)
            .collect()
    }
}

/// A piece that goes on with a name.
fn tail() -> u32 {
    let of_letters = |id: &u32| {
        let text = std::str::from_utf8(TOKENIZER.piece(*id)).unwrap_or("");
        text.chars().count() > 1 && text.chars().all(char::is_lowercase)
    };
    (0..TOKENIZER.vocab_size() as u32)
        .find(of_letters)
        .expect("some syllable")
}

fn id(piece: &str) -> u32 {
    let ids = TOKENIZER.with_prefix(piece.as_bytes());
    let exact = ids
        .into_iter()
        .find(|id| TOKENIZER.piece(*id) == piece.as_bytes());
    exact.unwrap_or_else(|| panic!("no piece {piece:?}"))
}

#[test]
fn every_token_of_code_is_asked_once_and_a_perfect_model_is_perfect() {
    let exam = Exam::new(
        "// Комментарий\nПроцедура А(Б) // ещё\n\tБ = НСтр(\"ru = 'Готово 🙂'\") + \"ВЫБРАТЬ\n\t|\tТ.Код КАК Код\";\n",
    );
    let verdicts = exam.verdicts(|_| None);
    let asked: Vec<&str> = verdicts.iter().map(|(token, _)| token.as_str()).collect();
    let expected = [
        "Процедура",
        "А",
        "(",
        "Б",
        ")",
        "Б",
        "=",
        "НСтр",
        "(",
        "\"",
        ")",
        "+",
        "\"",
        "ВЫБРАТЬ",
        "Т",
        ".",
        "Код",
        "КАК",
        "Код",
        "\"",
        ";",
    ];
    assert_eq!(asked, expected);
    for (token, verdict) in verdicts {
        assert!(
            verdict.strict && verdict.folded && verdict.codexglue,
            "{token}"
        );
        assert!(verdict.bits.abs() < 1e-6, "{token}");
        assert_eq!(verdict.n_chars, token.chars().count() as u64);
    }
}

#[test]
fn white_space_is_given() {
    let exam = Exam::new("\tЗапрос = Новый Запрос;\n");
    // The likeliest piece of all is a line end, but the token is known to begin with a space: what is left is right.
    let place = exam.place(" Новый");
    let verdicts = exam.verdicts(|at| (at == place).then(|| id("\n")));
    assert!(verdicts.iter().all(|(_, verdict)| verdict.strict));
    // A piece of the same class is a real mistake.
    let wrong = exam.wrong(|at| (at == place).then(|| id(" Запрос")));
    assert_eq!(wrong, ["Новый"]);
    // And so is one that would go on with the token before: it does not begin a token.
    let dot = Exam::new("А.Б");
    let place = dot.place(".");
    assert_eq!(dot.wrong(|at| (at == place).then(|| id("В"))), ["А"]);
}

#[test]
fn a_token_is_right_only_where_the_model_would_end_it() {
    let exam = Exam::new("\tВыборка(А);\n");
    let end = exam.place("(");
    let verdicts = exam.verdicts(|at| (at == end).then(tail));
    let (token, verdict) = &verdicts[0];
    assert_eq!(token, "Выборка");
    // All its pieces are right, but `Выборка` would go on; the bracket itself is right among what may begin.
    assert!(!verdict.strict && verdict.codexglue);
    assert!((verdict.bits - 10f64.log2()).abs() < 1e-5);
    assert!(verdicts[1..].iter().all(|(_, verdict)| verdict.strict));
    // Any other end is as good as the true one.
    assert!(exam.wrong(|at| (at == end).then(|| id(";"))).len() == 1);
    let verdicts = exam.verdicts(|at| (at == end).then(|| id("\n")));
    assert!(verdicts[0].1.strict);
}

#[test]
fn an_inner_piece_that_would_end_the_token_is_wrong() {
    let exam = Exam::new("\tЦиклЦиклЦикл = 1;\n");
    let verdicts = exam.verdicts(|_| None);
    assert_eq!(verdicts[0].0, "ЦиклЦиклЦикл");
    let first = exam.place("ЦиклЦикл");
    let wrong = exam.wrong(|at| (at == first + 1).then(|| id("\n")));
    assert_eq!(wrong, ["ЦиклЦиклЦикл"]);
}

#[test]
fn prose_is_right_when_its_quote_is() {
    let exam = Exam::new("\tСообщить(\"Файл не найден\");\n");
    let quote = exam.place("\"");
    // What is said inside the prose does not count, and neither does what follows the quote.
    let wrong = exam.wrong(|at| (at > quote && at < exam.place(");")).then(tail));
    assert!(wrong.is_empty(), "{wrong:?}");
    assert_eq!(exam.wrong(|at| (at == quote).then(|| id(")"))), ["\""]);
}

#[test]
fn queries_are_scored_token_by_token() {
    let exam = Exam::new("\tТекст = \"ВЫБРАТЬ\n\t|\tТ.Товар\n\t|ИЗ Т\";\n");
    let field = exam.place("Товар");
    assert_eq!(
        exam.wrong(|at| (at == field).then(|| id("Склад"))),
        ["Товар"]
    );
    // The bar that continues the string is given like white space.
    let from = exam.place("ИЗ");
    assert!(exam.wrong(|at| (at == from).then(|| id("|"))).is_empty());
}

#[test]
fn case_is_folded_only_beside_the_headline() {
    let exam = Exam::new("\tA = 1;\n");
    let place = exam.place("A");
    let (_, verdict) = exam.verdicts(|at| (at == place).then(|| id("a")))[0].clone();
    assert!(!verdict.strict && !verdict.codexglue && verdict.folded);
    let (_, verdict) = exam.verdicts(|at| (at == place).then(|| id("b")))[0].clone();
    assert!(!verdict.folded);
}

#[test]
fn comments_are_no_rival_of_code() {
    let exam = Exam::new("\tА = 1;\n\tВозврат;\n");
    let place = exam.place("Возврат");
    assert!(exam.wrong(|at| (at == place).then(|| id("//"))).is_empty());
}

#[test]
fn a_beam_ranks_whole_tokens() {
    let masks = Masks::new(TOKENIZER.clone());
    let tail_text = std::str::from_utf8(TOKENIZER.piece(tail())).expect("letters");
    // `Запрос` and its end 0.5 * 0.6, `Склад` 0.25, `Запрос` with a tail 0.5 * 0.4, the tail alone 0.05.
    let distribution = |pieces: &[u32]| {
        let mut probs = vec![0.0f32; TOKENIZER.vocab_size()];
        let text = String::from_utf8(TOKENIZER.decode(pieces)).expect("whole pieces");
        let next: &[(&str, f32)] = match text.as_str() {
            "" => &[
                ("Запрос", 0.5),
                ("Склад", 0.25),
                ("\n", 0.2),
                (tail_text, 0.05),
            ],
            "Запрос" => &[(tail_text, 0.4), (".", 0.3), ("\n", 0.3)],
            _ => &[(";", 1.0)],
        };
        for (piece, p) in next {
            probs[id(piece) as usize] = *p;
        }
        Ok::<_, std::convert::Infallible>(probs.into())
    };
    // After a line end: white space cannot begin a token, so 0.8 of the mass is left.
    let found = ranking(&masks, &masks.first('\n', false), distribution).expect("no error");
    let texts: Vec<String> = found
        .iter()
        .map(|text| String::from_utf8_lossy(text).into_owned())
        .collect();
    assert_eq!(
        texts,
        ["Запрос", "Склад", &format!("Запрос{tail_text}"), tail_text]
    );
}
