//! What the metadata says of a module's object, before the module's text: read by completion and by the scorer alike, by a model that was
//! trained with it only.

use std::path::Path;
use std::sync::Arc;

use nestor_assist::document::{MAX_OUTLINE, outline_pieces};
use nestor_assist::mixture::Mixer;
use nestor_assist::stream::{FileStream, View};
use nestor_assist::{
    Assistant, CompleteRequest, GrowingMetadata, MetadataFile, MetadataIndex, Speed,
};
use nestor_bsl::position::ByteOffset;
use nestor_metadata::Metadata;

const PATH: &str = "cf/Catalogs/Товары/Ext/ObjectModule.bsl";

const CODE: &str = "Процедура ПередЗаписью(Отказ)\n\n\tЕсли ОбменДанными.Загрузка Тогда\n\t\tВозврат;\n\tКонецЕсли;\n\n\tЕсли НЕ ЗначениеЗаполнено(";

fn metadata() -> Arc<Metadata> {
    let object = |tag: &str, properties: &str, children: &str| {
        format!(
            "<MetaDataObject xmlns=\"http://v8.1c.ru/8.3/MDClasses\" version=\"2.17\"><{tag}><Properties>{properties}</Properties>\
             <ChildObjects>{children}</ChildObjects></{tag}></MetaDataObject>"
        )
    };
    let attribute =
        |name: &str| format!("<Attribute><Properties><Name>{name}</Name></Properties></Attribute>");
    let file = |path: &str, text: String| MetadataFile {
        path: path.to_owned(),
        bytes: text.into_bytes(),
    };
    let mut index = MetadataIndex::new();
    index.read(&[
        file(
            "cf/Configuration.xml",
            object("Configuration", "<Name>База</Name>", ""),
        ),
        file(
            "cf/Catalogs/Товары.xml",
            object(
                "Catalog",
                "<Name>Товары</Name>",
                &[attribute("СкладПоУмолчанию"), attribute("Остаток")].concat(),
            ),
        ),
    ]);
    Arc::clone(GrowingMetadata::new(index).current())
}

/// The bundled model, as if it had been trained with outlines or not.
fn assistant(reads_outlines: bool) -> Assistant {
    let bundled = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models/tiny");
    let dir = tempfile::tempdir().expect("a folder");
    for name in [
        "weights.safetensors.zst",
        "tokenizer.json",
        "gate.json",
        "methods.bin",
    ] {
        std::fs::copy(bundled.join(name), dir.path().join(name)).expect("a file of the model");
    }
    let model = std::fs::read(bundled.join("model.json")).expect("model.json");
    let mut model: serde_json::Value = serde_json::from_slice(&model).expect("JSON");
    model["outlines"] = reads_outlines.into();
    std::fs::write(dir.path().join("model.json"), model.to_string()).expect("model.json");
    let mut assistant = Assistant::open(dir.path()).expect("a model");
    assistant.set_metadata(Some(metadata()));
    assistant
}

fn request() -> CompleteRequest {
    CompleteRequest {
        speed: Speed::Accurate,
        max_tokens: 8,
        ..CompleteRequest::new(PATH, CODE, ByteOffset(CODE.len()))
    }
}

#[test]
fn a_model_reads_outlines_if_it_was_trained_with_them() {
    let metadata = metadata();
    let plain = assistant(false);
    assert!(plain.outline(Some(&metadata), PATH).is_empty());
    let without = plain.complete(&request()).expect("a completion");

    let reading = assistant(true);
    let outline = reading.outline(Some(&metadata), PATH);
    let text = reading.tokenizer().decode(&outline);
    assert_eq!(
        String::from_utf8(text).expect("whole letters"),
        "СкладПоУмолчанию,Остаток\n"
    );
    assert!(reading.outline(None, PATH).is_empty());
    assert!(
        reading
            .outline(Some(&metadata), "cf/Catalogs/Иное/Ext/ObjectModule.bsl")
            .is_empty()
    );
    let with = reading.complete(&request()).expect("a completion");
    assert_eq!(with.n_context, without.n_context + outline.len());
    assert_ne!(with.tokens[0].probability, without.tokens[0].probability);
}

#[test]
fn the_scorer_reads_what_completion_reads() {
    let metadata = metadata();
    let assistant = assistant(true);
    let outline = assistant.outline(Some(&metadata), PATH);
    let file =
        FileStream::new(assistant.tokenizer(), PATH, CODE.to_owned()).with_outline(outline.clone());
    let place = file.pieces().len();
    let cache = assistant.memory().cache_for(PATH).expect("a cache");
    let members = assistant.members(Some(&metadata), PATH, "");
    let view = View::new(cache, true).with_members(members);
    let row = assistant.rows().expect("rows").pop().expect("all levels");
    let vocab = assistant.tokenizer().vocab_size();
    let walked = assistant.stream().walk(
        &file,
        &mut [view],
        &[place],
        &[],
        |moment| {
            let mut probs = vec![0.0; vocab];
            Mixer::default().mix(&row, &moment.scene(), &mut probs)?;
            Ok(probs)
        },
        |_, _| Ok(()),
    );
    let probs = &walked.expect("a walk").answers[0][0];
    let completion = assistant.complete(&request()).expect("a completion");
    let best = probs.iter().copied().fold(0.0, f32::max);
    let first = completion.tokens[0].probability;
    assert!((best - first).abs() < 2e-3, "{best} {first}");
    // What is learned of the file does not hold the outline.
    let plain = FileStream::new(assistant.tokenizer(), PATH, CODE.to_owned());
    assert_eq!(file.tokens(), plain.tokens());
}

#[test]
fn an_outline_is_cut_where_it_grows_too_long() {
    let assistant = assistant(true);
    let long = vec!["Реквизит"; 500].join(",");
    assert_eq!(
        outline_pieces(assistant.tokenizer(), &long).len(),
        MAX_OUTLINE
    );
    assert!(outline_pieces(assistant.tokenizer(), "").is_empty());
}
