use super::*;
use crate::pieces::byte_level_alphabet;
use proptest::prelude::*;
use std::sync::LazyLock;
use tokenizers::models::bpe::BpeTrainer;
use tokenizers::{AddedToken, Trainer};

const SAMPLE: &str = "&НаСервере\nПроцедура ПриСозданииНаСервере(Отказ, СтандартнаяОбработка)\n\tЕсли Параметры.Свойство(\"Ключ\") Тогда\n\
    \t\tВозврат; // Выход\n\tКонецЕсли;\n\tЗапрос = Новый Запрос(\"ВЫБРАТЬ\n\t|\tТовары.Ссылка КАК Ссылка\n\t|ИЗ\n\t|\tСправочник.Товары КАК Товары\");\n\
    \tIf IsBlankString(Name) Then\n\t\tReturn;\n\tEndIf;\nКонецПроцедуры\n";

fn train(vocab_size: usize) -> Vec<u8> {
    let text = SAMPLE.repeat(3);
    let mut trainer = BpeTrainer::builder()
        .vocab_size(vocab_size)
        .show_progress(false)
        .special_tokens(
            SPECIAL_TOKENS
                .iter()
                .map(|&token| AddedToken::from(token, true))
                .collect(),
        )
        .initial_alphabet(byte_level_alphabet().collect())
        .build();
    let words: Vec<String> = split_words(&text)
        .into_iter()
        .map(|word| byte_level(text[word].as_bytes()))
        .collect();
    trainer
        .feed(words.iter(), |word| Ok(vec![word.to_owned()]))
        .unwrap();
    let mut bpe = BPE::default();
    trainer.train(&mut bpe).unwrap();
    tokenizers::Tokenizer::new(bpe)
        .to_string(false)
        .unwrap()
        .into_bytes()
}

static TOKENIZER: LazyLock<Tokenizer> =
    LazyLock::new(|| Tokenizer::from_bytes(&train(600)).unwrap());

fn id(piece: &str) -> u32 {
    let id = (0..TOKENIZER.vocab_size() as u32).find(|&id| TOKENIZER.piece(id) == piece.as_bytes());
    id.unwrap_or_else(|| panic!("no piece {piece:?}"))
}

#[test]
fn frequent_words_are_few_pieces_that_cross_no_word() {
    let ids = TOKENIZER.encode(SAMPLE);
    assert!(
        ids.len() * 3 < SAMPLE.len(),
        "{} pieces of {} bytes",
        ids.len(),
        SAMPLE.len()
    );
    assert_eq!(TOKENIZER.decode(&ids), SAMPLE.as_bytes());
    assert_eq!(TOKENIZER.encode("\n\t\tВозврат;").len(), 3);
    let borders: Vec<usize> = split_words(SAMPLE)
        .into_iter()
        .map(|word| word.end)
        .collect();
    let spans = TOKENIZER.encode_with_spans(SAMPLE);
    for border in borders {
        assert!(spans.iter().any(|(_, span)| span.end == border));
    }
}

#[test]
fn special_pieces_are_never_encoded_and_have_no_text() {
    let ids = TOKENIZER.encode("<file><pad>");
    assert!(ids.iter().all(|&id| id >= FIRST_BYTE));
    assert_eq!(TOKENIZER.decode(&[FILE, ids[0], EOF, 1 << 30]), b"<");
    assert_eq!(TOKENIZER.white_space_class(EOF), WhiteSpaceClass::Special);
    assert_eq!(TOKENIZER.sha256().len(), 64);
}

#[test]
fn what_a_piece_begins_with() {
    let check =
        |piece: &str, class| assert_eq!(TOKENIZER.white_space_class(id(piece)), class, "{piece:?}");
    check("Возврат", WhiteSpaceClass::None);
    check(" КАК", WhiteSpaceClass::LeadingSpace);
    check(" ", WhiteSpaceClass::Only);
    check("\n", WhiteSpaceClass::Only);
    let starts = |last: char, id: u32| TOKENIZER.starts_new_token(last, id);
    assert!(starts('а', id(" КАК")));
    assert!(starts('а', id("(")));
    assert!(starts('а', EOM));
    assert!(starts('1', id(".")));
    assert!(starts('.', id("Ссылка")));
    assert!(starts('"', id("\"")));
    assert!(!starts('ё', id("Ссылка")));
    assert!(!starts('_', id("1")));
    assert!(!starts('<', id(">")));
    assert!(starts('&', id("На")));
    assert!(!starts('а', TOKENIZER.byte_id(0xD0)));
    assert!(!starts('а', TOKENIZER.byte_id(0x91)));
    assert!(starts('а', TOKENIZER.byte_id(0xE2)));
}

#[test]
fn half_typed_words_are_healed_from_both_sides() {
    for prefix in ["Воз", "Воa", "\"", "Ссылка", " К", "\t", "ъъъ"] {
        let prefix = prefix.as_bytes();
        let mut expected: Vec<u32> = (FIRST_BYTE..TOKENIZER.vocab_size() as u32)
            .filter(|&id| {
                TOKENIZER.piece(id).starts_with(prefix) || prefix.starts_with(TOKENIZER.piece(id))
            })
            .collect();
        let mut got = TOKENIZER.with_prefix(prefix);
        expected.sort_unstable();
        got.sort_unstable();
        assert_eq!(got, expected);
    }
    assert_eq!(
        TOKENIZER.with_prefix(b"").len(),
        TOKENIZER.vocab_size() - SPECIAL_TOKENS.len()
    );
}

#[test]
fn a_file_that_cannot_work_is_refused_by_name() {
    assert!(matches!(
        Tokenizer::from_bytes(b"{}"),
        Err(TokenizerError::Format(_))
    ));
    let file = String::from_utf8(train(300)).unwrap();
    let renamed = file.replace("\"<eof>\"", "\"<end>\"");
    assert!(matches!(
        Tokenizer::from_bytes(renamed.as_bytes()),
        Err(TokenizerError::Special {
            token: "<eof>",
            expected: 5,
            found: None
        })
    ));
    assert!(matches!(
        Tokenizer::from_file("no/such/file"),
        Err(TokenizerError::Read { .. })
    ));
}

proptest! {
    #[test]
    fn decoding_gives_the_text_back(text in "([а-яА-Яa-zA-Z0-9_\"'|&#.,;()<>=/ \t\r\n🙂é]|Возврат|//|<eof>){0,60}") {
        let ids = TOKENIZER.encode(&text);
        prop_assert_eq!(TOKENIZER.decode(&ids), text.as_bytes());
        // A second time the words come from the cache.
        prop_assert_eq!(TOKENIZER.encode(&text), ids);
        let spans = TOKENIZER.encode_with_spans(&text);
        prop_assert_eq!(spans.last().map_or(0, |(_, span)| span.end), text.len());
    }
}
