//! Throw-away: the baseline's table from exported blobs.
use nestor_eval::baseline::NgramBaseline;
use nestor_eval::own_code::{Plan, ProjectFile};
use nestor_eval::results::Adaptation;
use nestor_eval::tally::Tally;
use std::time::Instant;

fn read(path: &std::path::Path) -> Vec<ProjectFile> {
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
        if let Ok(text) = nestor_bsl::normalise(bytes) {
            files.push(ProjectFile { path, text: text.text });
        } else {
            eprintln!("skipped {path}");
        }
    }
    files
}

fn main() {
    let args: Vec<String> = std::env::args().collect();
    let holdout = args.iter().any(|a| a == "holdout");
    let max: u64 = args.iter().find_map(|a| a.strip_prefix("max=")).map_or(u64::MAX, |v| v.parse().expect("n"));
    let mut train = Vec::new();
    let mut test = Vec::new();
    let mut paths: Vec<_> = std::fs::read_dir("/tmp/ngb").expect("dir").map(|e| e.expect("e").path()).collect();
    // corpus.tsv order does not matter for counts
    paths.sort();
    let held = ["vanessa-runner", "xUnitFor1C", "Connector"];
    for p in paths {
        let name = p.file_stem().expect("stem").to_string_lossy().into_owned();
        if name.starts_with("train__") {
            if holdout && held.iter().any(|h| name.ends_with(h)) { test.push((name, p)); } else { train.push(p); }
        } else if name.starts_with("dev__") && !holdout { test.push((name, p)); }
    }
    let t = Instant::now();
    let mut baseline = NgramBaseline::new();
    for p in &train {
        let files = read(p);
        for chunk in files.chunks(200) {
            let texts: Vec<&str> = chunk.iter().map(|f| f.text.as_str()).collect();
            baseline.learn_train(&texts);
        }
        eprintln!("{} {} tokens {:.1}s", p.display(), baseline.n_train_tokens(), t.elapsed().as_secs_f64());
    }
    let methods = baseline.train_methods().clone();
    let tests: Vec<_> = test.iter().map(|(n, p)| {
        let files = read(p);
        let plan = Plan::new(&files, &methods, Some(max));
        eprintln!("{n}: {} files, {} tokens, own {}", files.len(), plan.n_tokens.iter().sum::<u64>(), plan.n_own.iter().sum::<u64>());
        (n.clone(), files, plan)
    }).collect();
    let mut mean = [[0.0; 2]; 3];
    for (n, files, plan) in &tests {
        let t = Instant::now();
        let rows = baseline.score_rounds(files, &nestor_eval::rounds::project(files.len()), plan, &methods, &Adaptation::ALL);
        let mut line = n.clone();
        for (a, files) in rows.iter().enumerate() {
            let s = Tally::sum(files);
            let (one, five) = (s.strict.ratio().unwrap_or(0.0), s.top5.ratio().unwrap_or(0.0));
            mean[a][0] += one / tests.len() as f64;
            mean[a][1] += five / tests.len() as f64;
            line += &format!(" | {one:.3} / {five:.3}");
        }
        println!("{line} | n={} {:.1}s", Tally::sum(&rows[0]).strict.total, t.elapsed().as_secs_f64());
    }
    println!("mean {mean:.3?}");
}
