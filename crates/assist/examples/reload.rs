//! How long a project that has changed takes to load anew, and by its changes alone.
//!
//! `cargo run --release -p nestor-assist --example reload -- MODEL BEFORE AFTER PROJECT`
//!
//! BEFORE and AFTER are folders of projects (`nestor learn --memory`) that hold PROJECT as it was and as it is. Prints seconds.

use nestor_assist::{Assistant, ProjectName};
use nestor_memory::Projects;
use std::path::Path;
use std::time::Instant;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [model, before, after, project] = args.as_slice() else {
        return Err("MODEL BEFORE AFTER PROJECT are needed".into());
    };
    let name: ProjectName = project.parse()?;
    let [before, after] = [before, after].map(|dir| Projects::at(Path::new(dir)).open(&name));
    let (before, after) = (before?, after?);
    let empty = Assistant::open(Path::new(model))?;
    let mut held = empty.clone();
    held.load_project(&before, 1, &mut |_| {})?;
    let times = |n: usize, load: &mut dyn FnMut() -> Result<(), Box<dyn std::error::Error>>| {
        let mut times = Vec::new();
        for _ in 0..n {
            let started = Instant::now();
            load()?;
            times.push(started.elapsed().as_secs_f64());
        }
        times.sort_by(f64::total_cmp);
        Ok::<f64, Box<dyn std::error::Error>>(times[n / 2])
    };
    let anew = times(3, &mut || {
        Ok(empty.clone().load_project(&after, 1, &mut |_| {})?)
    })?;
    let changes = times(3, &mut || match held.clone().load_changes(&after)? {
        true => Ok(()),
        false => Err("too much has changed".into()),
    })?;
    println!(
        "{} files, {} pieces: anew {anew:.3} s, by its changes {changes:.3} s",
        held.memory().n_files(),
        held.memory().n_pieces()
    );
    Ok(())
}
