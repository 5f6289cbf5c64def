//! Completion in editor terms, on a random network whose cache has learned a project.

mod fixture;

use fixture::{MODULE, assistant, file};
use nestor_assist::{
    AssistError, Assistant, CompleteRequest, Growing, Sampling, Speed, StopReason, StopRule,
};
use nestor_bsl::position::ByteOffset;

const PATH: &str = "src/cf/CommonModules/Остатки/Ext/Module.bsl";

fn taught() -> Assistant {
    let mut assistant = assistant(3, None);
    let copy = "src/cf/CommonModules/Копия/Ext/Module.bsl";
    let again = "src/cf/CommonModules/ЕщеКопия/Ext/Module.bsl";
    let report = assistant
        .learn_files([file(copy, MODULE), file(again, MODULE)], &mut |_| {})
        .expect("plain text");
    assert_eq!((report.files, report.skipped.len()), (2, 0));
    assistant
}

/// Completes where `|>` stands.
fn complete(assistant: &Assistant, text: &str, rule: StopRule, speed: Speed) -> String {
    let offset = text.find("|>").expect("a cursor");
    let text = text.replacen("|>", "", 1);
    let mut request = CompleteRequest::new(PATH, text, ByteOffset(offset));
    request.max_tokens = 60;
    request.stop = rule;
    request.speed = speed;
    assistant.complete(&request).expect("a completion").insert
}

/// The module up to the end of `seen`, then the cursor.
fn up_to(seen: &str) -> String {
    let end = MODULE.find(seen).expect("part of the module") + seen.len();
    format!("{}|>\n", &MODULE[..end])
}

#[test]
fn what_the_project_taught_is_offered_at_every_speed() {
    let assistant = taught();
    for speed in [Speed::Fast, Speed::Balanced, Speed::Accurate] {
        let found = complete(
            &assistant,
            &up_to("Выборка = Запрос."),
            StopRule::Line,
            speed,
        );
        assert_eq!(found, "Выполнить().Выбрать();", "{speed}");
    }
}

#[test]
fn half_typed_words_are_completed() {
    let assistant = taught();
    for (typed, rest) in [
        ("Запрос.Устан", "овитьПараметр(\"Склад\", Склад);"),
        ("Запрос.УстановитьПар", "аметр(\"Склад\", Склад);"),
        ("\tПока ", "Выборка.Следующий() Цикл"),
        ("Остатки.Тов", "ар КАК Товар"),
        ("If Value = Undef", "ined Then"),
    ] {
        let found = complete(&assistant, &up_to(typed), StopRule::Line, Speed::Balanced);
        assert_eq!(found, rest, "{typed}");
    }
}

#[test]
fn blocks_go_over_lines_and_keep_the_line_ends_of_the_document() {
    let assistant = taught();
    let text = up_to("\tIf Value = Undefined Then");
    let expected = "\n\t\tReturn True;\n\tEndIf;";
    let before = text.replacen("If Value = Undefined Then", "", 1);
    let found = complete(&assistant, &before, StopRule::Block, Speed::Accurate);
    assert_eq!(found, format!("If Value = Undefined Then{expected}"));
    let crlf = before.replace('\n', "\r\n");
    let found = complete(&assistant, &crlf, StopRule::Block, Speed::Accurate);
    assert_eq!(
        found,
        format!("If Value = Undefined Then{expected}").replace('\n', "\r\n")
    );
    let marked = format!("\u{feff}{crlf}");
    let again = complete(&assistant, &marked, StopRule::Block, Speed::Accurate);
    assert_eq!(again, found);
}

#[test]
fn nothing_is_written_into_prose_for_people() {
    let assistant = taught();
    let found = complete(
        &assistant,
        &up_to("\t\tСообщить("),
        StopRule::Line,
        Speed::Fast,
    );
    assert_eq!(found, "НСтр(\"");
    let text = up_to("НСтр(\"ru = 'Гот");
    let offset = text.find("|>").expect("a cursor");
    let request = CompleteRequest::new(PATH, text.replacen("|>", "", 1), ByteOffset(offset));
    let completion = assistant.complete(&request).expect("an answer");
    assert_eq!(
        (completion.insert.as_str(), completion.stop),
        ("", StopReason::Prose)
    );
}

#[test]
fn confidence_and_shares_are_probabilities() {
    let assistant = taught();
    let text = up_to("Выборка = Запрос.").replace("|>\n", "");
    let request = CompleteRequest::new(PATH, text.clone(), ByteOffset(text.len()));
    let completion = assistant.complete(&request).expect("a completion");
    let product: f32 = completion
        .tokens
        .iter()
        .map(|token| token.probability)
        .product();
    assert!((completion.confidence - product).abs() < 1e-6);
    assert!(completion.confidence > 0.0 && completion.confidence <= 1.0);
    let shares: f32 = completion.contributions.iter().map(|part| part.share).sum();
    assert!((shares - 1.0).abs() < 1e-3, "{shares}");
    let ids: Vec<u32> = completion.tokens.iter().map(|token| token.id).collect();
    let spelled = String::from_utf8(assistant.tokenizer().decode(&ids)).expect("whole words");
    assert_eq!(spelled, completion.insert);
}

#[test]
fn a_wrong_cursor_is_named() {
    let assistant = assistant(1, None);
    let ask = |text: &str, offset| {
        assistant.complete(&CompleteRequest::new(PATH, text, ByteOffset(offset)))
    };
    let outside = ask("А = 1;", 100).expect_err("outside");
    assert!(matches!(
        outside,
        AssistError::CursorOutside {
            offset: 100,
            len: 7,
            ..
        }
    ));
    assert!(outside.to_string().contains(PATH));
    let inside = ask("А = 1;", 1).expect_err("inside");
    assert!(matches!(
        inside,
        AssistError::CursorInsideCharacter {
            offset: 1,
            start: 0,
            ..
        }
    ));
    assert!(matches!(ask("А\0", 0), Err(AssistError::Text { .. })));
    for (text, offset) in [
        ("", 0),
        ("\u{feff}", 3),
        ("\u{feff}А\r\n", 6),
        ("\u{feff}А", 0),
    ] {
        ask(text, offset).expect("an odd cursor is still a cursor");
    }
    let mut request = CompleteRequest::new(PATH, "", ByteOffset(0));
    request.max_tokens = 1 << 20;
    assert!(matches!(
        assistant.complete(&request),
        Err(AssistError::Request {
            field: "max_tokens",
            ..
        })
    ));
}

#[test]
fn the_same_request_gives_the_same_answer_and_a_cancelled_one_stops() {
    let assistant = taught();
    let mut request = CompleteRequest::new(PATH, MODULE, ByteOffset(MODULE.len()));
    request.sampling = Sampling::Random {
        temperature: 1.0,
        top_p: 0.9,
        seed: 3,
    };
    let first = assistant.complete(&request).expect("a completion");
    let second = assistant.complete(&request).expect("a completion");
    assert_eq!((first.insert, first.tokens), (second.insert, second.tokens));
    let cancelled = assistant
        .complete_unless(&request, &|| true)
        .expect("an answer");
    assert_eq!(
        (cancelled.stop, cancelled.insert.as_str()),
        (StopReason::Cancelled, "")
    );
}

#[test]
fn binary_files_are_skipped_by_name() {
    let mut assistant = assistant(1, None);
    let mut seen = 0;
    let report = assistant
        .learn_files(
            [file("а.bsl", "А\0"), file("б.bsl", "Б = 1;")],
            &mut |progress| {
                seen = progress.files;
            },
        )
        .expect("readable files are learned");
    assert_eq!((report.files, seen), (1, 1));
    assert_eq!(report.skipped[0].0, "а.bsl");
}

#[test]
fn what_is_typed_is_scored_by_level_and_the_word_at_its_end_is_not() {
    let assistant = taught();
    let start = MODULE.find("\tПока ").expect("part of the module");
    let end = start + "\tПока Выборка.Следующий() Цикл\n".len();
    let hits = assistant.score_typed(PATH, MODULE, start..end, 100);
    let hits = hits.expect("plain text");
    assert_eq!(hits.len(), 5, "{hits:?}");
    // The project has the line twice: counts alone foresee nearly all of it.
    assert!(
        hits[0].pieces > 3 && hits[0].hits * 4 > hits[0].pieces * 3,
        "{hits:?}"
    );
    let crlf = MODULE.replace('\n', "\r\n");
    let shift = |at: usize| at + MODULE[..at].matches('\n').count();
    let again = assistant.score_typed(PATH, &crlf, shift(start)..shift(end), 100);
    assert_eq!(again.expect("plain text"), hits);
    let few = assistant.score_typed(PATH, MODULE, start..end, 2);
    assert_eq!(few.expect("plain text")[0].pieces, 2);
    assert!(
        assistant
            .score_typed(PATH, MODULE, 0..MODULE.len() + 1, 2)
            .is_err()
    );
}

#[test]
fn a_watcher_sees_the_text_grow_and_ends_it() {
    let assistant = taught();
    let text = up_to("Выборка = Запрос.").replacen("|>", "", 1);
    let offset = ByteOffset(text.len() - 1);
    let mut request = CompleteRequest::new(PATH, text, offset);
    request.stop = StopRule::Text;
    request.max_tokens = 40;
    let seen = std::cell::RefCell::new(Vec::<String>::new());
    let watch = |growing: &Growing<'_>| {
        // The pieces write the text, and as much again of the word that was typed.
        let pieces = growing.tokens().into_iter().flat_map(|token| token.bytes);
        let written: Vec<u8> = pieces.skip(growing.n_healed()).collect();
        assert!(written.starts_with(growing.text().as_bytes()));
        seen.borrow_mut().push(growing.text().to_owned());
        growing.text().contains('(')
    };
    let completion = assistant
        .complete_watched(&request, &|| false, &watch)
        .expect("a completion");
    assert!(
        completion.insert.starts_with("Выполнить("),
        "{completion:?}"
    );
    assert_eq!(completion.stop, StopReason::Rule);
    let seen = seen.into_inner();
    assert!(seen.windows(2).all(|pair| pair[1].starts_with(&pair[0])));
    assert_eq!(seen.last(), Some(&completion.insert));
}
