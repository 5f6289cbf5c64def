//! Nestor's program: reads the arguments, runs one command, ends with its exit code.
//!
//! `main` chooses the language and the exit code; a command's module resolves its arguments into settings and does the
//! work through the other crates. Nothing here knows how a model works.

mod accuracy;
mod arguments;
mod commands;
mod explain;
mod failure;
mod held_out;
mod home;
mod learning;
mod messages;
mod plot;
mod priority;
mod projects;
mod sources;
mod table;
mod terminal;
mod wrong_use;

use arguments::Arguments;
use failure::{Failure, Outcome};
use messages::Messages;
use std::panic::AssertUnwindSafe;
use std::process::ExitCode;
use terminal::Terminal;

fn main() -> ExitCode {
    // Help and errors about wrong use are written before the arguments are known, so the language is looked for first.
    let typed: Vec<_> = std::env::args_os().collect();
    let messages = Messages::new(arguments::language(&typed));
    let parsed = match arguments::parse(&typed, &messages) {
        Ok(parsed) => parsed,
        Err(error) if !error.use_stderr() => {
            // Help or the version; a reader that has gone away is no failure.
            let _ = error.print();
            return ExitCode::SUCCESS;
        }
        Err(error) => {
            let terminal = Terminal::new(messages, arguments::asks_for_json(&typed));
            let failure = wrong_use::failure(&terminal.messages, &error);
            terminal.failure(&failure);
            return ExitCode::from(failure.kind.code());
        }
    };
    let terminal = Terminal::new(messages, parsed.json);
    // A broken invariant has told its place on stderr by then; it must not look like a failure of another kind.
    let ran = std::panic::catch_unwind(AssertUnwindSafe(|| run(parsed, &terminal)));
    let ended =
        ran.unwrap_or_else(|_| Err(Failure::internal(terminal.messages.text("error-panic"))));
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            terminal.failure(&failure);
            ExitCode::from(failure.kind.code())
        }
    }
}

fn run(arguments: Arguments, terminal: &Terminal) -> Outcome {
    use arguments::Command;
    match arguments.command {
        Command::Quickstart(typed) => commands::quickstart::run(typed, terminal),
        Command::Corpus(typed) => commands::corpus::run(typed, terminal),
        Command::Train(typed) => commands::train::run(typed, terminal),
        Command::Learn(typed) => commands::learn::run(typed, terminal),
        Command::Project(typed) => commands::project::run(typed, terminal),
        Command::Complete(typed) => commands::complete::run(typed, terminal),
        Command::Eval(typed) => commands::eval::run(typed, terminal),
        Command::Models(typed) => commands::models::run(typed, terminal),
        Command::Quantize(typed) => commands::quantize::run(typed, terminal),
        Command::Bench(typed) => commands::bench::run(typed, terminal),
        Command::Serve(typed) => commands::serve::run(typed, terminal),
        Command::Keys(typed) => commands::keys::run(typed, terminal),
        Command::Lsp(typed) => commands::lsp::run(typed, terminal),
    }
}
