//! The live view of a training run: a bar with the time left, and a line a level with its loss and accuracy.
//!
//! Fed with the run's events; draws over itself on a terminal, writes a line now and then into a log.

use crate::messages::Messages;
use crate::terminal::{Terminal, style};
use indicatif::ProgressBar;
use nestor_train::{Event, Header, LevelScore, Step};
use std::time::{Duration, Instant};

/// How often a log that nobody watches gets a line.
const LOG_INTERVAL: Duration = Duration::from_secs(30);

/// What is drawn while a run goes.
pub struct View<'a> {
    terminal: &'a Terminal,
    progress: ProgressBar,
    state: ProgressBar,
    levels: Vec<ProgressBar>,
    validation: ProgressBar,
    last_log: Option<Instant>,
}

/// The bar counts in thousandths of the run.
const WHOLE: u64 = 1000;

impl<'a> View<'a> {
    /// A view of a run of `n_levels` levels.
    pub fn new(terminal: &'a Terminal, n_levels: usize) -> Self {
        let lines = terminal.lines();
        let progress = lines.add(ProgressBar::new(WHOLE));
        progress.set_style(style("{prefix} {bar:40} {percent:>3}%  {msg}"));
        progress.set_prefix(terminal.messages.text("train-progress"));
        let plain = || {
            let line = lines.add(ProgressBar::new_spinner());
            line.set_style(style("  {msg}"));
            line
        };
        let state = plain();
        let levels = (0..n_levels).map(|_| plain()).collect();
        let validation = plain();
        Self {
            terminal,
            progress,
            state,
            levels,
            validation,
            last_log: None,
        }
    }

    /// Shows an event.
    pub fn show(&mut self, event: &Event) {
        match event {
            Event::Header(header) => self.header(header),
            Event::Step(step) => self.step(step),
            Event::Validation { step, levels, .. } => self.validation(*step, levels),
            Event::Note { text, .. } => self.say(text),
            Event::Checkpoint { .. } => {}
            Event::Summary(_) => self.clear(),
        }
    }

    /// Takes the view from the screen.
    pub fn clear(&self) {
        let lines = [&self.progress, &self.state, &self.validation];
        for line in lines.into_iter().chain(&self.levels) {
            line.finish_and_clear();
        }
    }

    /// A line above the view, or in the log.
    fn say(&self, text: &str) {
        if self.terminal.is_live() {
            self.progress.suspend(|| self.terminal.note(text));
        } else {
            self.terminal.note(text);
        }
    }

    fn header(&self, header: &Header) {
        let messages = &self.terminal.messages;
        let values = [
            ("model", header.config.size.name().into()),
            ("levels", header.config.levels.into()),
            (
                "parameters",
                messages.count(header.parameters as u64).into(),
            ),
            ("tokens", messages.count(header.corpus_tokens).into()),
            ("device", header.config.device.name().into()),
            ("threads", header.threads.into()),
        ];
        self.say(&messages.with("train-header", &values));
        if header.first_step > 0 {
            let step = messages.count(header.first_step);
            self.say(&messages.with("train-resumed", &[("step", step.into())]));
        }
    }

    fn step(&mut self, step: &Step) {
        let messages = &self.terminal.messages;
        let state = state_line(messages, step);
        let left = left(messages, step);
        if self.terminal.is_live() {
            self.progress
                .set_position((step.progress * WHOLE as f64) as u64);
            self.progress.set_message(left);
            self.state.set_message(state);
            for (line, score) in self.levels.iter().zip(&step.levels) {
                line.set_message(level_line(messages, score));
            }
        } else if self
            .last_log
            .is_none_or(|last| last.elapsed() >= LOG_INTERVAL)
        {
            self.last_log = Some(Instant::now());
            let levels: Vec<String> = step
                .levels
                .iter()
                .map(|score| level_line(messages, score))
                .collect();
            let percent = messages.percent(step.progress);
            self.terminal.note(&format!(
                "{percent}% {left}; {state}; {}",
                levels.join("; ")
            ));
        }
    }

    fn validation(&mut self, step: u64, scores: &[LevelScore]) {
        let messages = &self.terminal.messages;
        let levels: Vec<String> = scores
            .iter()
            .map(|score| level_line(messages, score))
            .collect();
        let values = [
            ("step", messages.count(step).into()),
            ("levels", levels.join("; ").into()),
        ];
        let text = messages.with("train-validation", &values);
        if self.terminal.is_live() {
            self.validation.set_message(text);
        } else {
            self.terminal.note(&text);
        }
    }
}

fn state_line(messages: &Messages, step: &Step) -> String {
    let memory = step
        .resident_bytes
        .map_or_else(|| "–".to_owned(), |bytes| messages.bytes(bytes));
    let values = [
        ("step", messages.count(step.step).into()),
        ("tokens", messages.count(step.tokens).into()),
        ("loss", messages.decimal(step.loss, 3).into()),
        (
            "rate",
            messages.count(step.tokens_per_s.max(0.0) as u64).into(),
        ),
        ("memory", memory.into()),
    ];
    messages.with("train-state", &values)
}

fn left(messages: &Messages, step: &Step) -> String {
    step.seconds_left.map_or_else(String::new, |seconds| {
        messages.with("train-left", &[("time", messages.duration(seconds).into())])
    })
}

/// A level's loss and accuracy.
pub fn level_line(messages: &Messages, score: &LevelScore) -> String {
    let values = [
        ("level", score.level.into()),
        ("loss", messages.decimal(score.nll, 3).into()),
        ("accuracy", messages.percent(score.top1).into()),
    ];
    messages.with("train-level", &values)
}
