//! Files of a folder or of a bare git repository, for the examples.

use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{Command, Stdio};

use nestor_metadata::is_metadata_path;

/// Calls `each` with path and bytes of every file that may say something about metadata.
pub fn for_files(source: &Path, mut each: impl FnMut(String, Vec<u8>)) {
    if source.join("objects").is_dir() && source.join("HEAD").is_file() {
        from_git(source, &mut each);
        return;
    }
    for entry in walkdir::WalkDir::new(source).sort_by_file_name() {
        let entry = entry.unwrap();
        let path = entry
            .path()
            .strip_prefix(source)
            .unwrap()
            .to_string_lossy()
            .replace('\\', "/");
        if entry.file_type().is_file() && is_metadata_path(&path) {
            each(path, std::fs::read(entry.path()).unwrap());
        }
    }
}

fn from_git(repository: &Path, each: &mut impl FnMut(String, Vec<u8>)) {
    let git = |arguments: &[&str]| {
        let mut command = Command::new("git");
        command.arg("--git-dir").arg(repository).args(arguments);
        command
    };
    let listing = git(&["ls-tree", "-rz", "HEAD"]).output().unwrap().stdout;
    let mut cat = git(&["cat-file", "--batch"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = cat.stdin.take().unwrap();
    let mut output = BufReader::new(cat.stdout.take().unwrap());
    for entry in listing
        .split(|&byte| byte == 0)
        .filter(|entry| !entry.is_empty())
    {
        let entry = String::from_utf8_lossy(entry);
        let (facts, path) = entry.split_once('\t').unwrap();
        let words: Vec<&str> = facts.split(' ').collect();
        if words[1] != "blob" || !is_metadata_path(path) {
            continue;
        }
        writeln!(input, "{}", words[2]).unwrap();
        input.flush().unwrap();
        let mut header = String::new();
        output.read_line(&mut header).unwrap();
        let Some(size) = header.split_whitespace().nth(2) else {
            eprintln!("missing: {path}");
            continue;
        };
        let mut content = vec![0; size.parse::<usize>().unwrap() + 1];
        output.read_exact(&mut content).unwrap();
        content.pop();
        each(path.to_owned(), content);
    }
    drop(input);
    cat.wait().unwrap();
}
