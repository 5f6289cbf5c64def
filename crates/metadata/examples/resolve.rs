//! Asks the resolver about every member access of a folder or bare git repository and prints how many receivers it knows, how
//! often the name that stands there is among its candidates, and how long a question takes.
//!
//! `cargo run --release -p nestor-metadata --example resolve -- PATH [--misses] [--unknown] [--sample N SEED]`
//!
//! `--sample` draws N of the answers and prints each with what a reader needs to judge it: the lines of its method up to there that name the
//! receiver or what it comes from.

#![allow(clippy::unwrap_used, reason = "an example stops where it fails")]

#[path = "support/source.rs"]
mod source;

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Instant;

use nestor_bsl::lexer::{TokenKind, lex};
use nestor_bsl::normalise;
use nestor_bsl::query::{QueryTokenKind, Shape, lex_query, literal, shape};
use nestor_metadata::resolve::{Document, Resolution, Resolver};
use nestor_metadata::{Index, Metadata};

#[derive(Default)]
struct Counts {
    all: usize,
    known: usize,
    closed: usize,
    right: usize,
    right_closed: usize,
    candidates: usize,
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let has = |flag: &str| arguments.iter().any(|argument| argument == flag);
    let mut index = Index::new();
    let mut modules: Vec<(String, Vec<u8>)> = Vec::new();
    source::for_files(Path::new(&arguments[0]), |path, bytes| {
        index.add(&path, &bytes);
        if path.ends_with(".bsl") {
            modules.push((path, bytes));
        }
    });
    let (metadata, _) = index.link();
    let number_behind = |flag: &str, nth: usize| -> Option<u64> {
        let mut behind = arguments.iter().skip_while(|argument| *argument != flag);
        behind.nth(nth).map(|number| number.parse().unwrap())
    };
    let mut sample = Sample {
        size: number_behind("--sample", 1).unwrap_or_default() as usize,
        random: number_behind("--sample", 2).unwrap_or(1).max(1),
        seen: 0,
        drawn: Vec::new(),
    };
    let (mut code, mut query) = (Counts::default(), Counts::default());
    let mut times_us: Vec<f64> = Vec::new();
    let mut misses: BTreeMap<String, usize> = BTreeMap::new();
    let mut unknown: BTreeMap<String, usize> = BTreeMap::new();
    for (path, bytes) in &modules {
        let Ok(normalised) = normalise(bytes) else {
            continue;
        };
        let document = Document::new(path, normalised.text);
        let resolver = Resolver::new(&metadata, &document).unwrap();
        for (offset, end, is_query) in accesses(document.text()) {
            let start = Instant::now();
            let found = resolver.at(offset);
            let us = start.elapsed().as_secs_f64() * 1e6;
            times_us.push(us);
            if us > 20_000.0 && has("--slow") {
                let known = found.as_ref().map(|found| found.receiver.len());
                println!(
                    "{:.0} ms, {known:?} types: {path} {}",
                    us / 1e3,
                    &document.text()[offset..end]
                );
            }
            let counts = if is_query { &mut query } else { &mut code };
            counts.all += 1;
            let name = &document.text()[offset..end];
            let line_start = document.text()[..offset].rfind('\n').map_or(0, |at| at + 1);
            let context = document.text()[line_start..offset].trim();
            let Some(found) = found else {
                let word = context
                    .trim_end_matches('.')
                    .rsplit(|c: char| !c.is_alphanumeric() && c != '_' && c != '.')
                    .next()
                    .unwrap();
                if has("--unknown-lines") {
                    println!("{path}: {context}{name}");
                }
                *unknown
                    .entry(format!(
                        "{} {word}",
                        if is_query { "query" } else { "code" }
                    ))
                    .or_default() += 1;
                continue;
            };
            counts.known += 1;
            sample.offer(|| describe(&document, offset, end, is_query, &found));
            counts.candidates += found.candidates.len();
            counts.closed += usize::from(!found.is_open);
            if found.offers(name) {
                counts.right += 1;
                counts.right_closed += usize::from(!found.is_open);
            } else if !found.is_open {
                *misses
                    .entry(format!("{:?}.{name}", found.receiver))
                    .or_default() += 1;
                if has("--lines") {
                    println!("{path}: {context}{name}  -> {:?}", found.receiver);
                }
            }
        }
    }
    for answer in &sample.drawn {
        println!("{answer}");
    }
    if let Some(step) = number_behind("--typed", 1) {
        typed(&metadata, &modules, step as usize);
    }
    if times_us.is_empty() {
        println!("no member accesses");
        return;
    }
    report("code ", &code);
    report("query", &query);
    times_us.sort_by(f64::total_cmp);
    let at = |share: f64| times_us[((times_us.len() - 1) as f64 * share) as usize];
    println!(
        "a question: median {:.1} us, p99 {:.1} us, p99.9 {:.0} us, most {:.0} us, mean {:.1} us",
        at(0.5),
        at(0.99),
        at(0.999),
        at(1.0),
        times_us.iter().sum::<f64>() / times_us.len() as f64
    );
    large_module(&metadata, &modules);
    for (flag, list) in [("--misses", misses), ("--unknown", unknown)] {
        if has(flag) {
            let mut list: Vec<(String, usize)> = list.into_iter().collect();
            list.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
            println!(
                "{flag}: {} in all",
                list.iter().map(|(_, count)| count).sum::<usize>()
            );
            for (name, count) in list.iter().take(70) {
                println!("  {count} {name}");
            }
        }
    }
}

/// Some of the answers, each as likely as any other.
struct Sample {
    size: usize,
    /// State of the xorshift generator.
    random: u64,
    seen: u64,
    drawn: Vec<String>,
}

impl Sample {
    fn offer(&mut self, answer: impl FnOnce() -> String) {
        self.seen += 1;
        if self.drawn.len() < self.size {
            self.drawn.push(answer());
            return;
        }
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        let place = (self.random % self.seen) as usize;
        if place < self.size {
            self.drawn[place] = answer();
        }
    }
}

/// An answer with the lines that show whether it is right.
fn describe(
    document: &Document,
    offset: usize,
    end: usize,
    is_query: bool,
    found: &Resolution,
) -> String {
    let text = document.text();
    let name = &text[offset..end];
    let line_of = |at: usize| text[..at].matches('\n').count() + 1;
    let line_start = text[..offset].rfind('\n').map_or(0, |at| at + 1);
    let line_end = text[end..].find('\n').map_or(text.len(), |at| end + at);
    let is_part = |c: char| c.is_alphanumeric() || c == '_';
    let receiver = text[line_start..offset]
        .trim_end_matches('.')
        .rsplit(|c| !is_part(c) && c != '.')
        .next()
        .unwrap();
    let first = receiver.split('.').next().unwrap();
    let kind = if is_query { "query" } else { "code" };
    let mut words = vec![first.to_owned()];
    let method = document.method_at(offset);
    let span = method.map_or(0..text.len(), |idx| document.methods()[idx].span.clone());
    let says = |line: &str, words: &[String]| {
        line.split(|c| !is_part(c))
            .any(|word| words.iter().any(|known| known == word))
    };
    let lines: Vec<&str> = text[span.start..line_start].lines().collect();
    // What the receiver is made of counts too, one step back.
    for line in &lines {
        let Some((left, right)) = line.split_once('=') else {
            continue;
        };
        if left.trim() == first {
            let made_of = right.split(|c| !is_part(c)).filter(|word| !word.is_empty());
            words.extend(made_of.take(3).map(str::to_owned));
        }
    }
    let mut shown: Vec<&str> = lines
        .into_iter()
        .filter(|line| says(line, &words))
        .collect();
    let newest = shown.len().saturating_sub(14);
    shown.drain(..newest);
    let header = method.map_or("", |idx| {
        let header = &document.methods()[idx].header_span;
        text[header.clone()].lines().next().unwrap_or_default()
    });
    let names = found.candidates.iter().map(|one| one.russian.as_str());
    format!(
        "{}:{} {kind} {:?}{} {} of {} [{}]\n    {header}\n    {}\n  > {} (.{name})",
        document.path(),
        line_of(offset),
        found.receiver,
        if found.is_open { " open" } else { "" },
        if found.offers(name) { "in" } else { "NOT" },
        found.candidates.len(),
        names.take(5).collect::<Vec<_>>().join(" "),
        shown.join("\n    "),
        text[line_start..line_end].trim(),
    )
}

/// The same at every `step`th access while it is being typed: the name and the rest of its line are not there yet.
fn typed(metadata: &Metadata, modules: &[(String, Vec<u8>)], step: usize) {
    let (mut code, mut query) = (Counts::default(), Counts::default());
    let mut count = 0;
    let mut times_us = Vec::new();
    for (path, bytes) in modules {
        let Ok(normalised) = normalise(bytes) else {
            continue;
        };
        let text = normalised.text;
        let mut document = Document::new(path, text.clone());
        for (offset, end, is_query) in accesses(&text) {
            count += 1;
            if count % step != 0 {
                continue;
            }
            let line_end = text[offset..]
                .find('\n')
                .map_or(text.len(), |len| offset + len);
            // The closing quote of a query's last line stays.
            let line_end = if is_query && text[..line_end].ends_with(['\"', ';']) {
                end
            } else {
                line_end
            };
            let start = Instant::now();
            document.edit(offset..line_end, "");
            let found = Resolver::new(metadata, &document).unwrap().at(offset);
            times_us.push(start.elapsed().as_secs_f64() * 1e6);
            let counts = if is_query { &mut query } else { &mut code };
            counts.all += 1;
            if let Some(found) = found {
                counts.known += 1;
                counts.candidates += found.candidates.len();
                counts.closed += usize::from(!found.is_open);
                let is_right = found.offers(&text[offset..end]);
                counts.right += usize::from(is_right);
                counts.right_closed += usize::from(is_right && !found.is_open);
            }
            document.edit(offset..offset, &text[offset..line_end]);
        }
    }
    report("typed code ", &code);
    report("typed query", &query);
    times_us.sort_by(f64::total_cmp);
    println!(
        "edit, new resolver, question: median {:.0} us, p99 {:.0} us",
        times_us[times_us.len() / 2],
        times_us[times_us.len() * 99 / 100]
    );
}

fn report(name: &str, counts: &Counts) {
    let share = |part: usize, whole: usize| 100.0 * part as f64 / whole.max(1) as f64;
    println!(
        "{name}: {} accesses, receiver known {:.1} % (closed {:.1} %); name offered {:.2} % of known, {:.2} % of closed; {:.0} candidates on average",
        counts.all,
        share(counts.known, counts.all),
        share(counts.closed, counts.all),
        share(counts.right, counts.known),
        share(counts.right_closed, counts.closed),
        counts.candidates as f64 / counts.known.max(1) as f64
    );
}

/// The names behind dots, with whether they stand in query text.
fn accesses(text: &str) -> Vec<(usize, usize, bool)> {
    let tokens = lex(text);
    let mut found = Vec::new();
    for (idx, token) in tokens.iter().enumerate() {
        let before = tokens[..idx]
            .iter()
            .rev()
            .find(|token| !token.kind.is_trivia());
        if token.kind == TokenKind::Identifier
            && before.is_some_and(|before| before.text(text) == ".")
        {
            found.push((token.span.start, token.span.end, false));
        }
        let Some(literal) = literal(text, &tokens, idx) else {
            continue;
        };
        let query = lex_query(text, &literal);
        if shape(text, &literal, &query, false) != Shape::Query {
            continue;
        }
        for pair in query.windows(2) {
            if &text[pair[0].span.clone()] == "." && pair[1].kind == QueryTokenKind::Identifier {
                found.push((pair[1].span.start, pair[1].span.end, true));
            }
        }
    }
    found
}

/// What a module of 4 MB costs: to open, to edit, to ask the first question.
fn large_module(metadata: &Metadata, modules: &[(String, Vec<u8>)]) {
    const BYTES: usize = 4 << 20;
    let mut text = String::new();
    let in_code = modules
        .iter()
        .filter(|(path, _)| path.contains("CommonModules"));
    for (_, bytes) in in_code.cycle() {
        text.push_str(
            &normalise(bytes)
                .map(|normalised| normalised.text)
                .unwrap_or_default(),
        );
        text.push('\n');
        if text.len() > BYTES {
            break;
        }
    }
    let path = &modules
        .iter()
        .find(|(path, _)| path.contains("CommonModules"))
        .unwrap()
        .0;
    let start = Instant::now();
    let mut document = Document::new(path, text);
    let open_ms = start.elapsed().as_secs_f64() * 1e3;
    let middle = document.methods()[document.methods().len() / 2]
        .body_span
        .start;
    let start = Instant::now();
    document.edit(middle..middle, "\n\tА = Новый Массив;\n\tА.");
    let edit_ms = start.elapsed().as_secs_f64() * 1e3;
    let start = Instant::now();
    let resolver = Resolver::new(metadata, &document).unwrap();
    let found = resolver.at(middle + "\n\tА = Новый Массив;\n\tА.".len());
    let ask_ms = start.elapsed().as_secs_f64() * 1e3;
    assert!(found.unwrap().offers("Добавить"));
    println!(
        "a module of {:.1} MB with {} methods: open {open_ms:.1} ms, edit {edit_ms:.2} ms, first question {ask_ms:.2} ms",
        document.text().len() as f64 / 1e6,
        document.methods().len()
    );
}
