//! Names from the metadata: what is offered where, that they are heard alike in completion and evaluation, and not at all without them.

mod fixture;

use std::sync::Arc;

use fixture::{TOKENIZER, assistant};
use nestor_assist::members::{MemberReader, ends_of_names};
use nestor_assist::mixture::Mixer;
use nestor_assist::stream::{FileStream, View};
use nestor_assist::{
    Assistant, CompleteRequest, GateSet, GrowingMetadata, MetadataFile, MetadataIndex, Speed,
};
use nestor_bsl::position::ByteOffset;
use nestor_cache::{CANDIDATE_COMPONENTS, GATE_SETS, Gate, check_candidate_gate};
use nestor_engine::{Mixture, Predictor};
use nestor_metadata::Metadata;
use proptest::prelude::*;

const PATH: &str = "cf/Catalogs/Товары/Ext/ObjectModule.bsl";

const CODE: &str = "Процедура ЗаполнитьОстатки() Экспорт\n\
\tТовар = Справочники.Товары.СоздатьЭлемент();\n\
\tТовар.СкладПоУмолчанию = Неопределено;\n\
\tЗапрос = Новый Запрос;\n\
\tЗапрос.Текст = \"ВЫБРАТЬ Остатки.СкладПоУмолчанию КАК Склад ИЗ Справочник.Товары КАК Остатки ГДЕ Остатки.Код = &Склад\";\n\
\tЗапрос.УстановитьПараметр(\"Склад\", 1);\n\
\tПараметры = Новый Структура(\"Партия\", 1);\n\
\tПараметры.Свойство(\"Партия\");\n\
КонецПроцедуры\n";

fn xml(path: &str, tag: &str, properties: &str, children: &str) -> MetadataFile {
    MetadataFile {
        path: path.to_owned(),
        bytes: format!(
            "<MetaDataObject xmlns=\"http://v8.1c.ru/8.3/MDClasses\" version=\"2.17\"><{tag}><Properties>{properties}</Properties>\
             <ChildObjects>{children}</ChildObjects></{tag}></MetaDataObject>"
        )
        .into_bytes(),
    }
}

fn metadata() -> Arc<Metadata> {
    let attribute =
        |name: &str| format!("<Attribute><Properties><Name>{name}</Name></Properties></Attribute>");
    let mut index = MetadataIndex::new();
    let read = index.read(&[
        xml(
            "cf/Configuration.xml",
            "Configuration",
            "<Name>База</Name>",
            "",
        ),
        xml(
            "cf/Catalogs/Товары.xml",
            "Catalog",
            "<Name>Товары</Name><CodeLength>9</CodeLength>",
            &[attribute("СкладПоУмолчанию"), attribute("Остаток")].concat(),
        ),
    ]);
    assert_eq!(read, 2);
    Arc::clone(GrowingMetadata::new(index).current())
}

fn reader(metadata: &Arc<Metadata>) -> MemberReader {
    let ends = ends_of_names(&TOKENIZER);
    MemberReader::new(Arc::clone(metadata), TOKENIZER.clone(), ends, PATH, "").expect("a root")
}

/// An even gate for every set of exits.
fn candidate_gates() -> Arc<GateSet> {
    let gate = Gate::uniform(
        &CANDIDATE_COMPONENTS.map(str::to_owned),
        nestor_cache::CANDIDATE_FEATURES,
    )
    .expect("a handful of components");
    check_candidate_gate("accurate", &gate).expect("its own shape");
    let mut gates = GateSet::default();
    for (name, _) in GATE_SETS {
        gates.gates.insert(name.to_owned(), gate.clone());
    }
    Arc::new(gates)
}

fn with_gates() -> Assistant {
    let mut assistant = assistant(3, None);
    assistant
        .set_candidate_gates(Some(candidate_gates()))
        .expect("gates of candidates");
    assistant
}

#[test]
fn names_are_offered_behind_dots_in_queries_and_links() {
    let metadata = metadata();
    let mut reader = reader(&metadata);
    for (before, offered, foreign) in [
        ("\tТовар.", Some("остаток"), "Склад"),
        ("ГДЕ Остатки.", Some("СкладПоУмолчанию"), "Склад"),
        ("УстановитьПараметр(\"", Some("Склад"), "Остаток"),
        ("Свойство(\"", Some("Партия"), "Остаток"),
        ("Параметры = Новый Структура(\"", None, ""),
        ("\tЗапрос", None, ""),
    ] {
        let at = CODE.find(before).expect("in the code") + before.len();
        let member = reader.member(CODE, at, "");
        assert_eq!(member.is_some(), offered.is_some(), "{before}");
        if let (Some(member), Some(name)) = (member, offered) {
            assert!(member.offers(name) && !member.offers(foreign), "{before}");
            assert_eq!(member.start, at);
        }
    }
    // Going back reads the text anew.
    let at = CODE.find("\tТовар.").expect("in the code") + "\tТовар.Склад".len();
    assert!(
        reader
            .member(CODE, at, "")
            .expect("a catalog")
            .offers("Код")
    );
}

/// The mixtures of all rows at some places.
fn mixtures(
    assistant: &Assistant,
    view: View,
    file: &FileStream,
    places: &[usize],
) -> Vec<Vec<Vec<f32>>> {
    let rows = assistant.rows().expect("rows");
    let walked = assistant.stream().walk(
        file,
        &mut [view],
        places,
        &[],
        |moment| {
            let mut mixer = Mixer::default();
            let mixed = rows.iter().map(|row| {
                let mut out = vec![0.0; TOKENIZER.vocab_size()];
                mixer.mix(row, &moment.scene(), &mut out)?;
                Ok(out)
            });
            mixed.collect::<Result<Vec<_>, nestor_assist::AssistError>>()
        },
        |_, _| Ok(()),
    );
    let answers = walked.expect("a walk").answers;
    answers
        .into_iter()
        .map(|mut views| views.remove(0))
        .collect()
}

#[test]
fn names_are_heard_where_there_are_some_and_nothing_changes_elsewhere() {
    let metadata = metadata();
    let (plain, hearing) = (assistant(3, None), with_gates());
    let file = FileStream::new(&TOKENIZER, PATH, CODE.to_owned());
    let places: Vec<usize> = (0..file.pieces().len()).collect();
    let view = |assistant: &Assistant, metadata: Option<&Arc<Metadata>>| {
        let cache = assistant.memory().cache_for(PATH).expect("a cache");
        View::new(cache, true).with_members(assistant.members(metadata, PATH, ""))
    };
    let without = mixtures(&plain, view(&plain, None), &file, &places);
    assert_eq!(
        mixtures(&hearing, view(&hearing, None), &file, &places),
        without
    );
    assert_eq!(
        mixtures(&plain, view(&plain, Some(&metadata)), &file, &places),
        without
    );
    let with = mixtures(&hearing, view(&hearing, Some(&metadata)), &file, &places);
    let mut n_changed = 0;
    let mut reader = reader(&metadata);
    for (place, (with, without)) in with.iter().zip(&without).enumerate() {
        let at = file.pieces()[place].1.start;
        let offers = reader.member(CODE, at, "").is_some();
        assert!(offers || with == without, "place {place}");
        n_changed += usize::from(with != without);
        for mixed in with {
            assert!((mixed.iter().sum::<f32>() - 1.0).abs() < 1e-4);
        }
    }
    assert!(n_changed > 20, "{n_changed}");
}

#[test]
fn the_scorer_hears_what_completion_hears() {
    let metadata = metadata();
    let assistant = with_gates();
    let file = FileStream::new(&TOKENIZER, PATH, CODE.to_owned());
    let dot = CODE.find("\tТовар.").expect("in the code") + "\tТовар.".len();
    let starts: Vec<usize> = file.pieces().iter().map(|piece| piece.1.start).collect();
    let places: Vec<usize> = (0..4)
        .map(|more| starts.partition_point(|start| *start < dot) + more)
        .collect();
    let cache = assistant.memory().cache_for(PATH).expect("a cache");
    let view =
        View::new(cache.clone(), true).with_members(assistant.members(Some(&metadata), PATH, ""));
    let scored = mixtures(&assistant, view, &file, &places);
    let gate = candidate_gates().gates["accurate"].clone();
    let mut reader = reader(&metadata);
    for (place, scored) in places.iter().zip(scored) {
        let mixture = Mixture::for_speed(Speed::Accurate, 3, None).expect("three stages");
        let mixture = mixture
            .with_candidate_gate(Arc::new(gate.clone()))
            .expect("its gate");
        let mut predictor =
            Predictor::with_mixture(assistant.model().clone(), mixture).expect("a model");
        let n_opening = file.tokens().len() - 1 - file.pieces().len();
        let tokens = &file.tokens()[..n_opening + place];
        let mut cache = cache.clone();
        cache.file_mut().extend(tokens).expect("room");
        predictor.set_cache(Some(cache)).expect("its vocabulary");
        predictor.prefill(tokens).expect("tokens");
        let read: Vec<u32> = file.pieces()[places[0]..*place]
            .iter()
            .map(|piece| piece.0)
            .collect();
        predictor.set_candidates(reader.place(CODE, starts[*place], &read));
        let mixed = predictor.distribution().expect("a distribution");
        let all = scored.last().expect("the row of all levels");
        for (one, other) in mixed.probs.iter().zip(all) {
            assert!((one - other).abs() < 1e-5, "place {place}: {one} {other}");
        }
        let shares: f32 = mixed.parts.iter().map(|part| part.weight).sum();
        assert!((shares - 1.0).abs() < 1e-5);
    }
}

#[test]
fn a_half_typed_name_goes_on_in_the_case_it_was_typed_in() {
    let mut assistant = with_gates();
    let text =
        format!("{CODE}Процедура Т()\n\tТовар = Справочники.Товары.СоздатьЭлемент();\n\tТовар.скл");
    let request = CompleteRequest {
        use_suffix: false,
        ..CompleteRequest::new(PATH, text.clone(), ByteOffset(text.len()))
    };
    let before = assistant.complete(&request).expect("an answer");
    assert!(before.contributions.iter().all(|part| part.part != "names"));
    assistant.set_metadata(Some(metadata()));
    let completion = assistant.complete(&request).expect("an answer");
    assert!(
        completion.insert.starts_with("адПоУмолчанию"),
        "{:?}",
        completion.insert
    );
    assert!(
        completion
            .contributions
            .iter()
            .any(|part| part.part == "names")
    );
}

#[test]
fn a_missing_handler_is_written_with_its_directive_and_signature() {
    let form = "<Form xmlns=\"http://v8.1c.ru/8.3/xcf/logform\" version=\"2.17\"><Events><Event name=\"OnOpen\">ПриОткрытии</Event>\
         <Event name=\"OnCreateAtServer\">ПриСозданииНаСервере</Event></Events></Form>";
    let mut index = MetadataIndex::new();
    index.read(&[
        xml(
            "cf/Configuration.xml",
            "Configuration",
            "<Name>База</Name>",
            "",
        ),
        xml(
            "cf/Catalogs/Товары.xml",
            "Catalog",
            "<Name>Товары</Name>",
            "",
        ),
        xml(
            "cf/Catalogs/Товары/Forms/Ф.xml",
            "Form",
            "<Name>Ф</Name>",
            "",
        ),
        MetadataFile {
            path: "cf/Catalogs/Товары/Forms/Ф/Ext/Form.xml".to_owned(),
            bytes: form.as_bytes().to_vec(),
        },
    ]);
    let mut assistant = assistant(1, None);
    assistant.set_metadata(Some(index.link().0));
    let check = |prefix: &str, suffix: &str, expected: Option<&str>| {
        let request = CompleteRequest {
            stop: nestor_assist::StopRule::Block,
            max_tokens: 1,
            ..CompleteRequest::new(
                "cf/Catalogs/Товары/Forms/Ф/Ext/Form/Module.bsl",
                format!("{prefix}{suffix}"),
                ByteOffset(prefix.len()),
            )
        };
        let found = assistant.complete(&request).expect("an answer");
        let is_skeleton = found.contributions.iter().any(|part| part.part == "names");
        assert_eq!(is_skeleton, expected.is_some(), "{prefix:?}");
        if let Some(expected) = expected {
            assert_eq!(found.insert, expected, "{prefix:?}");
        }
    };
    let open = "&НаКлиенте\nПроцедура ПриОткрытии(Отказ)\n\t\nКонецПроцедуры";
    let create = "Процедура ПриСозданииНаСервере(Отказ, СтандартнаяОбработка)\n\t\nКонецПроцедуры";
    check("", "", Some(open));
    check("&НаСервере\n", "", Some(create));
    check(
        "&НаСервере\nПроцедура При",
        "\n",
        Some(&create["Процедура При".len()..]),
    );
    check(
        "&НаКлиенте\r\nПроц",
        "\r\n",
        Some(&open["&НаКлиенте\nПроц".len()..].replace('\n', "\r\n")),
    );
    check(
        &format!("{open}\n\n"),
        "\n",
        Some(&format!("&НаСервере\n{create}")),
    );
    // A directive above is of the method to come, unless that of the next one.
    let other = "Процедура А()\nКонецПроцедуры\n";
    check(
        "&НаСервере\n",
        &format!("\n&НаКлиенте\n{other}"),
        Some(create),
    );
    check("&НаСервере\n", &format!("\n{other}"), None);
    check("Процедура А()\n", "КонецПроцедуры\n", None);
    check("Процедура Другая", "\n", None);
    // As the module spells and indents.
    check(
        "процедура А()\n    Б();\nконецпроцедуры\n\n",
        "",
        Some("&НаКлиенте\nпроцедура ПриОткрытии(Отказ)\n    \nконецпроцедуры"),
    );
    check(
        "&насервере\nпроц",
        "\n\nфункция А()\n  Возврат 1;\nконецфункции\n",
        Some("едура ПриСозданииНаСервере(Отказ, СтандартнаяОбработка)\n  \nконецпроцедуры"),
    );
    check(
        "",
        "\n&ATSERVER\nFUNCTION A()\n\tRETURN 1;\nENDFUNCTION\n",
        Some("&ATCLIENT\nPROCEDURE ПриОткрытии(Cancel)\n\t\nENDPROCEDURE"),
    );
    check(&format!("{open}\n&НаСервере\n{create}\n"), "", None);
}

/// A configuration with a module, and an extension that changes one of its methods already.
fn extended() -> Arc<Metadata> {
    let adopted = "<ObjectBelonging>Adopted</ObjectBelonging>";
    let module = |path: &str, text: &str| MetadataFile {
        path: path.to_owned(),
        bytes: text.as_bytes().to_vec(),
    };
    let mut index = MetadataIndex::new();
    index.read(&[
        xml(
            "cf/Configuration.xml",
            "Configuration",
            "<Name>База</Name>",
            "",
        ),
        xml(
            "cf/CommonModules/Цены.xml",
            "CommonModule",
            "<Name>Цены</Name>",
            "",
        ),
        module(
            "cf/CommonModules/Цены/Ext/Module.bsl",
            "Функция Цена(Знач Товар, Дата = Неопределено) Экспорт\nКонецФункции\nПроцедура Записать(Цена)\nКонецПроцедуры\n\
             Процедура Проверить()\nКонецПроцедуры\n",
        ),
        xml(
            "cfe/Configuration.xml",
            "Configuration",
            &format!("{adopted}<Name>Доработки</Name><ConfigurationExtensionPurpose>Customization</ConfigurationExtensionPurpose>"),
            "",
        ),
        xml(
            "cfe/CommonModules/Цены.xml",
            "CommonModule",
            &format!("{adopted}<Name>Цены</Name>"),
            "",
        ),
        module(EXTENSION, CHANGED),
    ]);
    index.link().0
}

const EXTENSION: &str = "cfe/CommonModules/Цены/Ext/Module.bsl";
const CHANGED: &str = "&После(\"Проверить\")\nПроцедура Дт_Проверить()\nКонецПроцедуры\n";

#[test]
fn an_extension_is_offered_the_methods_that_it_may_change() {
    let assistant = assistant(1, None);
    let at = |text: &str| {
        let ends = ends_of_names(assistant.tokenizer());
        let mut members = MemberReader::new(extended(), TOKENIZER.clone(), ends, EXTENSION, "")?;
        members.member(text, text.len(), "")
    };
    for (annotation, functions) in [
        ("&Вместо(\"", true),
        ("&Перед(\"", false),
        ("&ИзменениеИКонтроль(\"", true),
    ] {
        let found = at(&format!("{CHANGED}\n{annotation}")).expect(annotation);
        assert!(found.offers("Записать") && !found.is_open(), "{annotation}");
        assert_eq!(found.offers("Цена"), functions, "{annotation}");
        assert!(!found.offers("Проверить"), "{annotation}");
    }
    assert!(at(&format!("{CHANGED}\n&Другое(\"")).is_none());
}

#[test]
fn a_method_that_changes_another_is_written_with_its_parameters() {
    let mut assistant = assistant(1, None);
    assistant.set_metadata(Some(extended()));
    let insert_into = |module: &str, prefix: &str, suffix: &str| {
        let prefix = format!("{module}\n{prefix}");
        let request = CompleteRequest {
            stop: nestor_assist::StopRule::Block,
            max_tokens: 1,
            ..CompleteRequest::new(
                EXTENSION,
                format!("{prefix}{suffix}"),
                ByteOffset(prefix.len()),
            )
        };
        let found = assistant.complete(&request).expect("an answer");
        let is_skeleton = found.contributions.iter().any(|part| part.part == "names");
        is_skeleton.then_some(found.insert)
    };
    let insert = |prefix: &str, suffix: &str| insert_into(CHANGED, prefix, suffix);
    let price = "Функция Дт_Цена(Знач Товар, Дата = Неопределено)\n\tВозврат ПродолжитьВызов(Товар, Дата);\nКонецФункции";
    assert_eq!(insert("&Вместо(\"Цена\")\n", "\n").as_deref(), Some(price));
    assert_eq!(
        insert("&Вместо(\"цена\")\nФункция Дт", "\n").as_deref(),
        Some(&price["Функция Дт".len()..])
    );
    assert_eq!(
        insert("&После(\"Записать\")\n", "").as_deref(),
        Some("Процедура Дт_Записать(Цена)\n\t\nКонецПроцедуры")
    );
    assert_eq!(
        insert("&Around(\"Записать\")\n", "").as_deref(),
        Some("Procedure Дт_Записать(Цена)\n\tProceedWithCall(Цена);\nEndProcedure")
    );
    let lower = format!(
        "{}\nфункция А()\n  Б();\nконецфункции\n",
        CHANGED.to_lowercase()
    );
    assert_eq!(
        insert_into(&lower, "&Вместо(\"Цена\")\n", "\n").as_deref(),
        Some(
            "функция Дт_Цена(знач Товар, Дата = Неопределено)\n  возврат ПродолжитьВызов(Товар, Дата);\nконецфункции"
        )
    );
    assert_eq!(insert("&Вместо(\"Нет\")\n", ""), None);
    assert_eq!(insert("&После(\"Цена\")\n", ""), None);
    assert_eq!(insert("&После(\"Проверить\")\n", ""), None);
    assert_eq!(insert("&Вместо(\"Цена\")\nПроцедура", ""), None);
}

#[test]
fn columns_of_a_query_come_from_what_its_result_is_asked_for() {
    let assistant = assistant(1, None);
    let suffix = " ИЗ Справочник.Товары КАК Т\");\n\
        \tВыборка = Запрос.Выполнить().Выбрать();\n\
        \tПока Выборка.Следующий() Цикл\n\t\tСообщить(Выборка.Остаток + Выборка.Склад);\n\tКонецЦикла;\n\
        \tТаблица = Запрос.Выполнить().Выгрузить();\n\
        \tДля Каждого Строка Из Таблица Цикл\n\t\tСообщить(Строка.Партия);\n\tКонецЦикла;\nКонецПроцедуры\n";
    let begin = "Процедура А()\n\tЗапрос = Новый Запрос(\"ВЫБРАТЬ Т.Ссылка КАК Склад, Т.Код";
    let at = |end: &str| {
        let text = format!("{begin}{end}");
        let ends = ends_of_names(assistant.tokenizer());
        let mut members = MemberReader::new(metadata(), TOKENIZER.clone(), ends, PATH, suffix)?;
        members.member(&text, text.len(), "")
    };
    let behind = format!("{begin} КАК").len();
    for end in [" КАК", " КАК ", " КАК Оста"] {
        let found = at(end).expect(end);
        assert_eq!(found.start, behind, "{end}");
        assert!(found.offers("Остаток") && found.offers("Партия"), "{end}");
        assert!(
            !found.offers("Склад") && !found.offers("Следующий"),
            "{end}"
        );
        // The space belongs to the first piece.
        let pieces = TOKENIZER.encode(" Остаток");
        assert!(nestor_cache::CandidatePlace::new(&found.names, &pieces[..1]).is_some());
        let bare = TOKENIZER.encode("Остаток");
        assert!(nestor_cache::CandidatePlace::new(&found.names, &bare[..1]).is_none());
    }
    assert!(at(" КАКОЙ").is_none() && at(" ИЗ ").is_none());
    // Outside of a literal it is a word like others.
    assert!(at("\"); Б = КАК ").is_none());
}

/// What a reader finds at a place, as it stands in the mixture.
fn found(reader: &mut MemberReader, text: &str, at: usize) -> Option<(usize, String)> {
    let member = reader.member(text, at, "")?;
    Some((member.start, format!("{:?}", member.names)))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_reader_that_is_kept_over_edits_finds_what_a_fresh_one_finds(
        repeats in 1usize..90,
        edits in prop::collection::vec((
            0.0f64..1.0,
            0usize..60,
            "(\\tТовар\\.|Товар\\.Остаток = Товар\\.|Процедура Н\\(\\)\n|КонецПроцедуры\n|Б = Параметры\\.|Параметры\\.Вставить\\(\"|\"|// 🙂 \n|\n|)",
            0.0f64..1.0,
            any::<bool>(),
        ), 1..8),
    ) {
        let metadata = metadata();
        let mut text = CODE.repeat(repeats);
        let mut kept: Option<MemberReader> = None;
        for (at, len, with, cursor, use_suffix) in edits {
            let start = text.floor_char_boundary((at * text.len() as f64) as usize);
            let end = text.ceil_char_boundary((start + len).min(text.len()));
            text.replace_range(start..end, &with);
            // Behind the edit, or behind some dot of the text.
            let near = text.floor_char_boundary((cursor * text.len() as f64) as usize);
            let dot = text[..near].rfind('.').map(|dot| dot + 1);
            let cursor = dot.filter(|_| use_suffix).unwrap_or(start + with.len());
            let (prefix, suffix) = text.split_at(cursor);
            let suffix = if use_suffix { suffix } else { "" };
            let new = || MemberReader::new(Arc::clone(&metadata), TOKENIZER.clone(), ends_of_names(&TOKENIZER), PATH, suffix).unwrap();
            let again = kept.take().map(|kept| kept.begin_again(&metadata, suffix).unwrap());
            let mut again = again.unwrap_or_else(new);
            let mut fresh = new();
            // At the cursor, and behind what is written there.
            let written = format!("{prefix}Остаток = Товар.Код; Б = Товар.");
            for at in [prefix.len(), prefix.len() + "Остаток = Товар.".len(), written.len()] {
                let text = &written[..at];
                prop_assert_eq!(found(&mut again, text, at), found(&mut fresh, text, at));
            }
            kept = Some(again);
        }
    }
}
