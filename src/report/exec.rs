//! What `veza-play exec` prints: the output of one command, host by host.

use std::io::{self, Write};

use serde_json::Value;
use veza_agent::mark;
use veza_agent::outcome::{Failure, Outcome};

use super::Reporter;
use super::event::Event;
use super::summary::Summary;

/// The reader that writes what a command printed.
pub struct Exec<W> {
    out: W,
}

impl<W: Write> Exec<W> {
    /// A reader that writes to `out`.
    pub fn new(out: W) -> Self {
        Self { out }
    }

    fn task(&mut self, host: &str, outcome: &Outcome) -> io::Result<()> {
        let values = outcome
            .failure
            .as_ref()
            .map_or(&outcome.values, |failure| &failure.values);
        let code = values.get("rc").map_or_else(|| "?".to_owned(), mark_free);
        writeln!(self.out, "{host}: exit code {code}")?;
        for stream in ["stdout", "stderr"] {
            let text = values.get(stream).map(mark_free).unwrap_or_default();
            for line in text.lines() {
                writeln!(self.out, "  {}", super::paint::line(line))?;
            }
        }
        match &outcome.failure {
            Some(failure) if values.get("rc").is_none() => self.failure(failure),
            _ => self.out.flush(),
        }
    }

    fn failure(&mut self, failure: &Failure) -> io::Result<()> {
        writeln!(self.out, "  {}", super::paint::line(&failure.message))?;
        self.out.flush()
    }
}

fn mark_free(value: &Value) -> String {
    match value {
        Value::String(text) => mark::show(text).into_owned(),
        other => other.to_string(),
    }
}

impl<W: Write + Send> Reporter for Exec<W> {
    fn event(&mut self, event: &Event) -> io::Result<()> {
        match event {
            Event::TaskFinished { host, outcome, .. } => self.task(host, outcome),
            Event::HostLost { host, reason, hint } => {
                let hint = hint
                    .as_ref()
                    .map(|hint| format!("\n  {hint}"))
                    .unwrap_or_default();
                writeln!(self.out, "{host}: {}{hint}", super::paint::line(reason))
            }
            _ => Ok(()),
        }
    }

    fn finish(&mut self, _: &Summary) -> io::Result<()> {
        self.out.flush()
    }
}
