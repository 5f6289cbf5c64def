//! What the tests of the binary share: running it, a small corpus, a hardly trained model.

pub mod lsp_client;
pub mod repository;
pub mod served;
pub mod stub;

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;

/// How a run ended.
pub struct Ran {
    /// The exit code.
    pub code: i32,
    /// What stood on stdout.
    pub stdout: String,
    /// What stood on stderr.
    pub stderr: String,
}

impl Ran {
    /// Stdout as one JSON document.
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| {
            panic!("{error}\nstdout: {}\nstderr: {}", self.stdout, self.stderr)
        })
    }
}

/// Runs `nestor` in English in the folder of the workspace.
pub fn nestor<S: AsRef<std::ffi::OsStr>>(arguments: &[S]) -> Ran {
    run(command().arg("--lang=en").args(arguments))
}

/// The binary, with an environment that says nothing about the user.
pub fn command() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_nestor"));
    command
        .current_dir(workspace())
        .env_remove("NESTOR_HOME")
        .env_remove("NESTOR_MEMORY")
        .env("NO_COLOR", "1");
    command
}

/// Runs a command to its end.
pub fn run(command: &mut Command) -> Ran {
    let Output {
        status,
        stdout,
        stderr,
    } = command.output().expect("the binary under test starts");
    Ran {
        code: status.code().unwrap_or(-1),
        stdout: String::from_utf8(stdout).expect("stdout is UTF-8"),
        stderr: String::from_utf8(stderr).expect("stderr is UTF-8"),
    }
}

/// The root of the repository.
pub fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .ancestors()
        .nth(2)
        .unwrap()
        .to_path_buf()
}

/// The bundled configuration.
pub fn configuration() -> PathBuf {
    workspace().join("examples").join("trade")
}

/// A corpus of the bundled configuration and a nano model that has seen a few hundred tokens of it, made once.
pub struct Made {
    /// The corpus folder.
    pub corpus: PathBuf,
    /// The model folder.
    pub model: PathBuf,
}

/// Makes [`Made`] at the first call of a test binary.
pub fn made(test_binary: &str) -> &'static Made {
    static MADE: OnceLock<Made> = OnceLock::new();
    MADE.get_or_init(|| {
        let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join(test_binary);
        let _ = std::fs::remove_dir_all(&dir);
        std::fs::create_dir_all(&dir).unwrap();
        let made = Made {
            corpus: dir.join("corpus"),
            model: dir.join("model"),
        };
        let source =
            |name: &str, folder: &str| format!("{name}={}", configuration().join(folder).display());
        let built = run(command()
            .args([
                "corpus",
                "build",
                &source("conf", "cf"),
                &source("ext", "cfe"),
            ])
            .args(["--withhold", "ext", "--vocab", "800", "--out"])
            .arg(&made.corpus));
        assert_eq!(built.code, 0, "{}", built.stderr);
        let trained = run(command()
            .args([
                "train",
                "--max-tokens",
                "256",
                "--batch",
                "1",
                "--seq-len",
                "64",
                "--device",
                "cpu",
            ])
            .arg("--corpus")
            .arg(&made.corpus)
            .arg("--out")
            .arg(&made.model));
        assert_eq!(trained.code, 0, "{}", trained.stderr);
        made
    })
}

/// Copies a folder.
pub fn copy_folder(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy_folder(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), &target).unwrap();
        }
    }
}
