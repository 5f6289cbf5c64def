//! Where output goes: results on stdout, as text or one JSON document; progress and notes on stderr.
//!
//! Every command gets one [`Terminal`]. It knows the language of the user, and no command.

use crate::failure::{Failure, Outcome};
use crate::messages::Messages;
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::io::{IsTerminal, Write};
use std::time::Duration;

/// The output of a command.
pub struct Terminal {
    /// Texts in the user's language.
    pub messages: Messages,
    json: bool,
    live: bool,
}

impl Terminal {
    /// The terminal of this process; `json` asks for one JSON document instead of text.
    pub fn new(messages: Messages, json: bool) -> Self {
        Self {
            messages,
            json,
            live: std::io::stderr().is_terminal(),
        }
    }

    /// True if JSON was asked for.
    pub fn is_json(&self) -> bool {
        self.json
    }

    /// Prints the result of a command: `document` if JSON was asked for, else what `text` makes.
    pub fn result(
        &self,
        document: &impl serde::Serialize,
        text: impl FnOnce() -> String,
    ) -> Outcome {
        if self.json {
            let mut document = serde_json::to_string_pretty(document).map_err(Failure::internal)?;
            document.push('\n');
            return write_out(&document);
        }
        write_out(&text())
    }

    /// Prints a part of a command's text at once, so that a reader sees it come; nothing under `--json`.
    pub fn part(&self, text: &str) -> Outcome {
        if self.json { Ok(()) } else { write_out(text) }
    }

    /// Prints a failure: as text on stderr, under `--json` also as the document on stdout.
    pub fn failure(&self, failure: &Failure) {
        let label = console::style(self.messages.text("error-label"))
            .red()
            .bold()
            .for_stderr();
        eprintln!("{label} {}", failure.message);
        if self.json {
            let document = serde_json::json!({
                "error": {
                    "kind": failure.kind.name(),
                    "exit_code": failure.kind.code(),
                    "message": failure.message,
                }
            });
            // Nothing is left to be told if stdout is gone too.
            let _ = write_out(&format!("{document:#}\n"));
        }
    }

    /// A line for people on stderr.
    pub fn note(&self, text: &str) {
        eprintln!("{text}");
    }

    /// True if stderr is a terminal, so that a line may be drawn over.
    pub fn is_live(&self) -> bool {
        self.live
    }

    /// A bar over `length` units of work; hidden when stderr is no terminal.
    pub fn bar(&self, length: u64, label: &str) -> ProgressBar {
        let bar = ProgressBar::with_draw_target(Some(length), self.target());
        bar.set_style(style("{prefix:<28} {bar:28} {percent:>3}% {msg}  {eta}"));
        bar.set_prefix(label.to_owned());
        bar
    }

    /// A turning sign for work whose length is not known.
    pub fn spinner(&self, label: &str) -> ProgressBar {
        let bar = ProgressBar::with_draw_target(None, self.target());
        bar.set_style(style("{spinner} {prefix} {msg}"));
        bar.set_prefix(label.to_owned());
        bar.enable_steady_tick(Duration::from_millis(120));
        bar
    }

    /// Several lines that change together.
    pub fn lines(&self) -> MultiProgress {
        MultiProgress::with_draw_target(self.target())
    }

    fn target(&self) -> ProgressDrawTarget {
        if self.live {
            ProgressDrawTarget::stderr_with_hz(8)
        } else {
            ProgressDrawTarget::hidden()
        }
    }
}

/// A style of progress; the templates are constants of this crate.
pub fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template)
        .expect("the template is a constant and correct")
        .progress_chars("━╸─")
}

/// Writes to stdout. A reader that has gone away, as `head` does, is no failure.
fn write_out(text: &str) -> Outcome {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        result => result.map_err(Failure::internal),
    }
}
