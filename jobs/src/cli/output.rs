//! Where a run says what it does: a line that renews itself on a terminal, plain lines in a pipe,
//! JSON lines for scripts.
//!
//! Progress goes to standard error, results to standard output; with `--json` everything is on
//! standard output, one object a line with its kind in `event`; the last line is the result.

use std::{
    io::{self, IsTerminal, Write},
    time::Duration,
};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde::Serialize;
use serde_json::{Value, json};

use super::{progress::Figures, summary::Notes};

/// Between two plain lines.
const PLAIN_MS: i64 = 10_000;

/// Between two JSON lines.
const JSON_MS: i64 = 1_000;

/// How a run talks.
#[derive(Debug)]
pub struct Output {
    style: Style,
    /// When the last plain or JSON line was written.
    last: Option<i64>,
}

#[derive(Debug)]
enum Style {
    Terminal(ProgressBar),
    Plain,
    Json,
}

impl Output {
    /// As `--json` and the terminal have it.
    pub fn new(json: bool) -> Self {
        let style = if json {
            Style::Json
        } else if io::stderr().is_terminal() {
            Style::Terminal(bar())
        } else {
            Style::Plain
        };
        Output { style, last: None }
    }

    /// Something worth a line of its own: `text` for people, `event` and `fields` for scripts.
    pub fn say(&self, text: &str, event: &str, fields: Value) {
        match &self.style {
            Style::Terminal(bar) => bar.suspend(|| eprintln!("{text}")),
            Style::Plain => eprintln!("{text}"),
            Style::Json => line(event, fields),
        }
    }

    /// Advice for people; scripts have it in a field.
    pub fn hint(&self, text: &str) {
        if !matches!(self.style, Style::Json) {
            eprintln!("{text}");
        }
    }

    /// The figures and what the job itself adds, as often as this way of talking wants them.
    pub fn progress(&mut self, figures: &Figures, more: &dyn Fn() -> Notes, now: i64) {
        let due = |every: i64| self.last.is_none_or(|last| now - last >= every);
        let text = || {
            let more = more().text.join("  ");
            if more.is_empty() { figures.to_string() } else { format!("{figures}  {more}") }
        };
        match &self.style {
            Style::Terminal(bar) => bar.set_message(text()),
            Style::Plain if due(PLAIN_MS) => {
                eprintln!("{}", text());
                self.last = Some(now);
            }
            Style::Json if due(JSON_MS) => {
                let mut fields = to_value(figures);
                for (name, value) in more().fields {
                    fields[&name] = value;
                }
                line("progress", fields);
                self.last = Some(now);
            }
            Style::Plain | Style::Json => {}
        }
    }

    /// The result: `text` for people, `event` and `fields` for scripts. Ends the progress line.
    pub fn result(&self, text: &str, event: &str, fields: Value) {
        match &self.style {
            Style::Terminal(bar) => {
                bar.finish_and_clear();
                print(text);
            }
            Style::Plain => print(text),
            Style::Json => line(event, fields),
        }
    }
}

/// Any value as JSON; what cannot be is left out.
pub fn to_value(value: &impl Serialize) -> Value {
    serde_json::to_value(value).unwrap_or(Value::Null)
}

fn bar() -> ProgressBar {
    let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr_with_hz(5));
    if let Ok(style) = ProgressStyle::with_template("{spinner} {wide_msg}") {
        bar.set_style(style);
    }
    bar.enable_steady_tick(Duration::from_millis(200));
    bar
}

fn line(event: &str, fields: Value) {
    let mut object = json!({ "event": event });
    if let (Value::Object(object), Value::Object(fields)) = (&mut object, fields) {
        object.extend(fields);
    }
    print(&object.to_string());
}

/// A reader that has gone away (`| head`) is no reason to fail a job.
fn print(text: &str) {
    let _ = writeln!(io::stdout().lock(), "{text}");
}
