//! What it costs to find the names behind a dot of a large module after each edit: with a reader made anew, and with one that is kept.
//!
//! `cargo run --release -p nestor-assist --example names -- [--megabytes 4] [--edits 60] [--model models/tiny]`
//!
//! A module is generated with metadata to its names. At the end, in the middle and near the start a statement is typed, two edits a
//! name, and both readers are asked behind its dots; they must find the same.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use nestor_assist::members::{MemberReader, ends_of_names};
use nestor_assist::{MetadataFile, MetadataIndex};
use nestor_bsl::pieces::Tokenizer;

const PATH: &str = "cf/Catalogs/Товар0/Ext/ObjectModule.bsl";

/// Catalogs in the metadata.
const N_CATALOGS: usize = 500;

fn metadata() -> MetadataIndex {
    let xml = |path: String, tag: &str, name: &str, children: &str| {
        MetadataFile {
        path,
        bytes: format!(
            "<MetaDataObject xmlns=\"http://v8.1c.ru/8.3/MDClasses\" version=\"2.17\"><{tag}><Properties><Name>{name}</Name></Properties>\
             <ChildObjects>{children}</ChildObjects></{tag}></MetaDataObject>"
        )
        .into_bytes(),
    }
    };
    let attributes: String = (0..30)
        .map(|at| {
            format!("<Attribute><Properties><Name>Реквизит{at}</Name></Properties></Attribute>")
        })
        .collect();
    let mut files = vec![xml(
        "cf/Configuration.xml".to_owned(),
        "Configuration",
        "База",
        "",
    )];
    for at in 0..N_CATALOGS {
        let name = format!("Товар{at}");
        let path = format!("cf/Catalogs/{name}.xml");
        files.push(xml(path, "Catalog", &name, &attributes));
    }
    let mut index = MetadataIndex::new();
    index.read(&files);
    index
}

/// Methods with assignments, a query and calls, up to so many bytes.
fn module(n_bytes: usize) -> String {
    let mut text = String::with_capacity(n_bytes + 4096);
    let mut at = 0;
    while text.len() < n_bytes {
        text.push_str(&format!(
            "// Заполняет товар {at}.\nПроцедура Заполнить{at}(Отбор) Экспорт\n"
        ));
        let catalog = at % N_CATALOGS;
        text.push_str(&format!(
            "\tОбъект = Справочники.Товар{catalog}.СоздатьЭлемент();\n"
        ));
        for line in 0..25 {
            let (left, right) = ((line * 7 + at) % 30, (line * 3 + at) % 30);
            text.push_str(&format!(
                "\tОбъект.Реквизит{left} = Отбор.Реквизит{right} + Объект.Реквизит{right};\n"
            ));
        }
        text.push_str("\tЗапрос = Новый Запрос(\"ВЫБРАТЬ Т.Реквизит1 КАК Цена ИЗ Справочник.Товар1 КАК Т ГДЕ Т.Код = &Код\");\n\tОбъект.Записать();\nКонецПроцедуры\n\n");
        at += 1;
    }
    text
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut megabytes = 4.0;
    let mut n_edits = 60;
    let mut model = PathBuf::from("models/tiny");
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        let value = arguments.next().ok_or("a value is missing")?;
        match argument.as_str() {
            "--megabytes" => megabytes = value.parse()?,
            "--edits" => n_edits = value.parse()?,
            "--model" => model = value.into(),
            _ => return Err(format!("no such option: {argument}").into()),
        }
    }
    let tokenizer = Arc::new(Tokenizer::from_file(model.join("tokenizer.json"))?);
    let ends = ends_of_names(&tokenizer);
    let (metadata, _) = metadata().link();
    let module = module((megabytes * f64::from(1 << 20)) as usize);
    println!(
        "module of {} bytes, {n_edits} edits at each place",
        module.len()
    );
    for (place, share) in [("the end", 0.999), ("the middle", 0.5), ("the start", 0.02)] {
        let start = module.floor_char_boundary((module.len() as f64 * share) as usize);
        let start = module[start..]
            .find(".Записать();\n")
            .map_or(module.len(), |at| start + at + ".Записать();\n".len());
        let (prefix, suffix) = module.split_at(start);
        let new = || {
            let metadata = Arc::clone(&metadata);
            MemberReader::new(
                metadata,
                Arc::clone(&tokenizer),
                Arc::clone(&ends),
                PATH,
                suffix,
            )
            .ok_or("the metadata has no root")
        };
        let mut text = prefix.to_owned();
        let (mut anew, mut kept_times) = (Vec::new(), Vec::new());
        let mut kept = Some(new()?);
        for edit in 0..n_edits {
            text.push_str(if edit % 2 == 0 {
                "\tОбъект."
            } else {
                "Код;\n"
            });
            let ask = |reader: &mut MemberReader| {
                let member = reader.member(&text, text.len(), "");
                member.map(|member| format!("{:?}", member.names))
            };
            let began = Instant::now();
            let by_new = ask(&mut new()?);
            anew.push(began.elapsed());
            let began = Instant::now();
            let reader = kept
                .take()
                .and_then(|kept| kept.begin_again(&metadata, suffix));
            let mut reader = reader.ok_or("the metadata has no root")?;
            let by_kept = ask(&mut reader);
            kept_times.push(began.elapsed());
            kept = Some(reader);
            if by_new != by_kept {
                return Err(format!("other names after edit {edit} at {place}").into());
            }
        }
        // Where no name is to come neither reads anything.
        let asked = |times: Vec<Duration>| times.into_iter().step_by(2).collect::<Vec<_>>();
        let (first, kept_times) = (kept_times[0], asked(kept_times));
        println!("{place}: anew {}", summary(asked(anew)));
        println!(
            "{place}: kept {}, the first {:.1} ms",
            summary(kept_times[1..].to_vec()),
            ms(first)
        );
    }
    Ok(())
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

/// Median, 99th percentile and slowest.
fn summary(mut times: Vec<Duration>) -> String {
    times.sort_unstable();
    let at = |share: f64| ms(times[((times.len() - 1) as f64 * share).round() as usize]);
    format!(
        "median {:.2} ms, p99 {:.2} ms, slowest {:.2} ms",
        at(0.5),
        at(0.99),
        at(1.0)
    )
}
