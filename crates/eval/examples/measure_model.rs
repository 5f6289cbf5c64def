//! Throw-away.
use nestor_assist::gates::*;
use nestor_assist::*;
use nestor_eval::*;
use rayon::prelude::*;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

fn read(path: &Path) -> Vec<ProjectFile> {
    let data = std::fs::read(path).expect("blob file");
    let mut at = 0;
    let mut files = Vec::new();
    let u32_at = |at: usize| u32::from_le_bytes(data[at..at + 4].try_into().expect("4")) as usize;
    while at < data.len() {
        let n = u32_at(at);
        let path = String::from_utf8_lossy(&data[at + 4..at + 4 + n]).into_owned();
        at += 4 + n;
        let n = u32_at(at);
        let bytes = &data[at + 4..at + 4 + n];
        at += 4 + n;
        if let Ok(text) = nestor_bsl::normalise(bytes) { files.push(ProjectFile { path, text: text.text }); }
    }
    files
}
fn bins(prefix: &str) -> Vec<std::path::PathBuf> {
    let mut v: Vec<_> = std::fs::read_dir("/tmp/ngb").expect("d").map(|e| e.expect("e").path()).filter(|p| p.file_name().is_some_and(|n| n.to_string_lossy().starts_with(prefix))).collect();
    v.sort();
    v
}
fn main() {
    let args: Vec<String> = std::env::args().collect();
    let dir = Path::new(&args[1]);
    let t = Instant::now();
    let held = ["vanessa-runner", "xUnitFor1C", "Connector"];
    let is_held = |p: &Path| held.iter().any(|h| p.to_string_lossy().ends_with(&format!("{h}.bin")));
    match args[2].as_str() {
        "ngram" => {
            let tok = nestor_bsl::Tokenizer::from_file(dir.join("tokenizer.json")).expect("tok");
            let mut b = nestor_cache::CorpusBuilder::new(tok.vocab_size(), Default::default()).expect("b");
            let mut seen = std::collections::HashSet::new();
            for p in bins("train__") {
                if is_held(&p) { continue; }
                let files = read(&p);
                let enc: Vec<Vec<u32>> = files.par_iter().map(|f| document::file_pieces(&tok, &f.path, &f.text)).collect();
                for e in enc { if seen.insert(e.clone()) { b.add(&e).expect("add"); } }
                eprintln!("{} {} {:?}", p.display(), b.len(), t.elapsed());
            }
            let m = b.build().expect("build");
            m.save(&dir.join("ngram.bin")).expect("save");
            eprintln!("entries {} {:?}", m.entries(), t.elapsed());
        }
        "gates" => {
            let _ = std::fs::remove_file(dir.join("gate.json"));
            let a = Assistant::open(dir).expect("open");
            let projects: Vec<WithheldProject> = bins("train__").into_iter().filter(|p| is_held(p)).map(|p| WithheldProject { name: p.display().to_string(), files: read(&p).into_iter().map(|f| LearnFile { path: f.path, text: f.text }).collect() }).collect();
            let n = args.get(3).map_or(20000, |v| v.parse().expect("n"));
            let mut last = 0;
            let (set, reports) = fit_gates(&a, &projects, &GateFitOptions { max_places: n, ..Default::default() }, &mut |p| if p.files / 50 > last { last = p.files / 50; eprintln!("{p:?} {:?}", t.elapsed()); }).expect("fit");
            for r in reports { eprintln!("{r:?}"); }
            set.save(&dir.join("gate.json")).expect("save");
            eprintln!("{:?}", t.elapsed());
        }
        "eval" => {
            let a = Assistant::open(dir).expect("open");
            let max: u64 = args[4].parse().expect("n");
            let rank: u64 = args.get(5).map_or(50, |v| v.parse().expect("n"));
            for p in bins("dev__") {
                let name = p.file_stem().expect("s").to_string_lossy().into_owned();
                if args[3] != "all" && !name.contains(&args[3]) { continue; }
                let t = Instant::now();
                let source = Source { name: name.clone(), files: read(&p) };
                let mut c = EvalConfig::new(Protocol::Project);
                c.max_positions = Some(max);
                c.rank_every = rank;
                let e = evaluate(&source, Contestants { assistant: Some(&a), baseline: None }, &c, &mut |_| ()).expect("eval");
                println!("{name} {:?} {:.1}s", e.sources[0], t.elapsed().as_secs_f64());
                for r in &e.results {
                    println!("  {:?} {:4} strict {:.4} [{:.3} {:.3}] top5 {:?} token {:.4} idmrr {:?} bpc {:?} folded {:.4} cxg {:.4} n={} ranked {}", r.adaptation, r.level.name(), r.strict_top1, r.low, r.high, r.strict_top5, r.token_top1.unwrap_or(0.0), r.identifier_mrr, r.bits_per_char, r.folded_top1, r.codexglue_top1, r.positions, r.ranked_positions);
                }
            }
        }
        "complete" => {
            let a = Assistant::open(dir).expect("open");
            let text = std::fs::read_to_string(&args[3]).expect("t");
            let at = text.find("@@").expect("cursor");
            let text = text.replacen("@@", "", 1);
            for speed in [Speed::Fast, Speed::Balanced, Speed::Accurate] {
                let mut r = CompleteRequest::new("CommonModules/X/Ext/Module.bsl", text.clone(), nestor_bsl::position::ByteOffset(at));
                r.speed = speed;
                r.use_suffix = args.get(4).is_some();
                let c = a.complete(&r).expect("c");
                println!("{speed} {:?} conf {:.3} {:?} {:?} ctx {} {:?}", c.insert, c.confidence, c.stop, c.timings, c.n_context, c.contributions);
            }
        }
        _ => {}
    }
    let _ = Arc::new(0);
}
