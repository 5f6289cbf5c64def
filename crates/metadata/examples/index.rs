//! Indexes a folder or a bare git repository and prints what was found, how fast, and how large it is.
//!
//! `cargo run --release -p nestor-metadata --example index -- PATH [--problems] [--copies N] [--show Kind.Name]`
//!
//! With `--copies N` every object is read N times under names of its own, so that one configuration of the size of an ERP comes out. In the end one
//! object changes: its file is read again and all is brought up to date, in memory and on disk.

#![allow(clippy::unwrap_used, reason = "an example stops where it fails")]

#[path = "support/source.rs"]
mod source;

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Instant;

use nestor_metadata::facts::{FileFacts, ObjectFlags};
use nestor_metadata::{FileHash, Index, Metadata, ObjectKind, fields, read_file};
use rayon::prelude::*;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let source = arguments
        .first()
        .expect("a folder or a bare git repository");
    let copies = number_behind(&arguments, "--copies").unwrap_or(1);
    let mut index = Index::new();
    let (mut bytes, mut files) = (0, 0);
    let mut sample = None;
    let start = Instant::now();
    let mut parse_s = 0.0;
    for_batches(
        Path::new(source),
        copies,
        |batch| {
            let mut objects = batch.iter().filter(|(path, _)| path.contains("/Catalogs/"));
            sample = sample.take().or_else(|| objects.next().cloned());
            let parsing = Instant::now();
            let read: Vec<(String, FileHash, Option<FileFacts>)> = batch
                .into_par_iter()
                .map(|(path, bytes)| {
                    let facts = read_file(&path, &bytes);
                    (path, FileHash::of(&bytes), facts)
                })
                .collect();
            parse_s += parsing.elapsed().as_secs_f64();
            for (path, hash, facts) in read {
                index.insert(&path, hash, facts);
            }
        },
        &mut bytes,
        &mut files,
    );
    let read_s = start.elapsed().as_secs_f64();
    let linking = Instant::now();
    let (metadata, problems) = index.link();
    let link_s = linking.elapsed().as_secs_f64();
    let saved = index.save();
    let loading = Instant::now();
    let mut loaded = Index::load(&saved).unwrap();
    let load_s = loading.elapsed().as_secs_f64();
    assert!(loaded == index, "load(save(x)) = x");
    let resident = resident_mb();

    print_counts(&metadata);
    let megabytes = bytes as f64 / 1e6;
    println!(
        "files {files}, {megabytes:.1} MB; read in {read_s:.2} s, of which parsing {parse_s:.2} s = {:.0} MB/s",
        megabytes / parse_s
    );
    println!("link {link_s:.3} s; load {load_s:.3} s");
    println!(
        "index {:.2} MB in memory, {:.2} MB on disk; metadata {:.2} MB in memory; resident {} MB",
        index.heap_bytes() as f64 / 1e6,
        saved.len() as f64 / 1e6,
        metadata.heap_bytes() as f64 / 1e6,
        resident
    );
    if let Some((path, bytes)) = sample {
        update(&mut loaded, metadata.names().len(), &path, &bytes);
    }
    let mut kinds: BTreeMap<String, usize> = BTreeMap::new();
    for problem in &problems {
        let name = format!("{:?}", problem.kind);
        let name: String = name
            .chars()
            .take_while(|c| c.is_alphabetic() || *c == '(')
            .collect();
        *kinds.entry(name).or_default() += 1;
    }
    println!("problems {}: {kinds:?}", problems.len());
    for root in metadata.roots() {
        println!("root {:?}", root);
    }
    if arguments.iter().any(|argument| argument == "--problems") {
        for problem in &problems {
            println!("  {problem}");
        }
    }
    for name in arguments
        .iter()
        .skip_while(|argument| *argument != "--show")
        .skip(1)
    {
        show(&metadata, name);
    }
}

/// What it costs when the object in the file at `path` gets one more attribute.
fn update(index: &mut Index, n_names: usize, path: &str, bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let end = text.rfind("</ChildObjects>").unwrap();
    let attribute =
        "<Attribute><Properties><Name>НовыйРеквизитОбъекта</Name></Properties></Attribute>";
    let changed = format!("{}{attribute}{}", &text[..end], &text[end..]);
    let start = Instant::now();
    index.add(path, changed.as_bytes());
    let read_s = start.elapsed().as_secs_f64();
    let start = Instant::now();
    let (metadata, _) = index.link();
    let link_s = start.elapsed().as_secs_f64();
    assert!(metadata.names().len() == n_names + 1, "one name is new");
    let start = Instant::now();
    index.save();
    let save_s = start.elapsed().as_secs_f64();
    println!(
        "one object changed: read {:.4} s, link {link_s:.3} s; save {save_s:.3} s",
        read_s
    );
}

fn number_behind(arguments: &[String], flag: &str) -> Option<usize> {
    let mut behind = arguments.iter().skip_while(|argument| *argument != flag);
    behind.nth(1).map(|number| number.parse().unwrap())
}

fn print_counts(metadata: &Metadata) {
    let mut by_kind: BTreeMap<ObjectKind, usize> = BTreeMap::new();
    let (mut attributes, mut columns, mut predefined) = (0, 0, 0);
    for object in metadata.objects() {
        *by_kind.entry(object.kind).or_default() += 1;
        attributes += metadata.members(object).len();
        predefined += metadata.predefined(object).len();
        columns += metadata
            .sections(object)
            .iter()
            .map(|section| metadata.section_columns(section).len())
            .sum::<usize>();
    }
    for (kind, count) in &by_kind {
        print!("{} {count}, ", kind.english());
    }
    println!();
    println!(
        "objects {}, members {attributes}, columns of sections {columns}, predefined {predefined}",
        metadata.objects().len()
    );
    let items: usize = metadata
        .forms()
        .iter()
        .map(|form| metadata.items(form).len())
        .sum();
    let form_attributes: usize = metadata
        .forms()
        .iter()
        .map(|form| metadata.form_attributes(form).len())
        .sum();
    let handlers: usize = metadata
        .forms()
        .iter()
        .map(|form| metadata.handlers(form).len())
        .sum();
    println!(
        "forms {}, elements {items}, attributes {form_attributes}, handlers {handlers}",
        metadata.forms().len()
    );
    let methods = || {
        metadata
            .modules()
            .iter()
            .flat_map(|module| metadata.methods(module))
    };
    let exported = methods().filter(|method| method.is_export).count();
    let documented = methods()
        .filter(|method| !metadata.doc(method).is_empty())
        .count();
    println!(
        "modules {}, methods {}, exported {exported}, of them with doc comments {documented}",
        metadata.modules().len(),
        methods().count()
    );
    let extending: Vec<_> = metadata
        .modules()
        .iter()
        .flat_map(|module| {
            metadata
                .methods(module)
                .iter()
                .map(move |method| (module, method))
        })
        .filter(|(_, method)| method.extends.is_some())
        .collect();
    let found = extending
        .iter()
        .filter(|(module, method)| metadata.base_method(module, method).is_some())
        .count();
    println!(
        "methods of extensions that change another {}, of which found in the base {found}",
        extending.len()
    );
}

fn show(metadata: &Metadata, name: &str) {
    let (kind, name) = name.split_once('.').unwrap();
    let kind = ObjectKind::from_word(kind).unwrap();
    for (id, root) in metadata.roots() {
        let view = metadata.view(id);
        let Some(object) = view
            .object(kind, name)
            .filter(|object| object.parts()[0].root == id)
        else {
            continue;
        };
        let types = |types: &[nestor_metadata::TypeRef]| {
            let words: Vec<String> = types
                .iter()
                .take(4)
                .map(|one| one.english(metadata.names()))
                .collect();
            words.join("|")
        };
        println!(
            "== {}.{} in {}, flags {:?}",
            kind.english(),
            object.name(),
            root.name,
            object
                .flags()
                .map(|flags: ObjectFlags| format!("{:b}", flags.0))
        );
        for field in fields::attributes(&object) {
            println!(
                "  {} / {}: {}",
                field.russian,
                field.english,
                types(&field.types)
            );
        }
        for member in object.members() {
            println!("  {:?} {}", member.kind, metadata.name(member.name));
        }
        for (section, english) in fields::sections(&object) {
            println!("  section {section} / {english}");
            for field in fields::section_fields(&object, section).unwrap() {
                println!("    {}: {}", field.russian, types(&field.types));
            }
        }
        for table in fields::virtual_tables(&object) {
            let names: Vec<String> = table
                .fields(&object)
                .iter()
                .map(|field| field.russian.to_string())
                .collect();
            println!("  table {}: {}", table.russian(), names.join(", "));
        }
        for part in object.parts() {
            for link in metadata.links(part).iter().take(8) {
                println!("  link {:?} {}", link.kind, metadata.name(link.target));
            }
        }
    }
}

type Batch = Vec<(String, Vec<u8>)>;

/// Calls `each` with the files that may say something, each `copies` times, some megabytes at a time.
fn for_batches(
    source: &Path,
    copies: usize,
    mut each: impl FnMut(Batch),
    bytes: &mut u64,
    files: &mut u64,
) {
    const BATCH_BYTES: usize = 16 << 20;
    let mut batch: Batch = Vec::new();
    let mut size = 0;
    source::for_files(source, |path, content| {
        for copy in 0..copies {
            let Some((path, content)) = copied(&path, &content, copy) else {
                continue;
            };
            *bytes += content.len() as u64;
            *files += 1;
            size += content.len();
            batch.push((path, content));
            if size > BATCH_BYTES {
                size = 0;
                each(std::mem::take(&mut batch));
            }
        }
    });
    each(batch);
}

/// The file as one of another object, whose name ends in the number of the copy; `None` for a file that belongs to no object. References still
/// name the first one.
fn copied(path: &str, content: &[u8], copy: usize) -> Option<(String, Vec<u8>)> {
    if copy == 0 {
        return Some((path.to_owned(), content.to_owned()));
    }
    let is_folder = |part: &&str| ObjectKind::from_plural(part).is_some();
    let folder = path.split('/').find(is_folder)?;
    let (before, behind) = path.split_once(&format!("{folder}/"))?;
    let name = behind.split(['/', '.']).next()?;
    let rest = &behind[name.len()..];
    let path = format!("{before}{folder}/{name}_{copy}{rest}");
    let text = String::from_utf8_lossy(content);
    let (old, new) = (
        format!("<Name>{name}</Name>"),
        format!("<Name>{name}_{copy}</Name>"),
    );
    Some((path, text.replacen(&old, &new, 1).into_bytes()))
}

/// The most memory that the process has held, as Linux tells it; 0 elsewhere.
fn resident_mb() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmHWM"));
    line.and_then(|line| line.split_whitespace().nth(1)?.parse::<u64>().ok())
        .map_or(0, |kb| kb / 1024)
}
