//! Progress where there is no terminal: one short line when a host is through
//! with a play, and the output of tasks that take long, as it comes.

use std::io::{self, Write};
use std::time::{Duration, Instant};

use veza_agent::outcome::Verdict;

use super::Reporter;
use super::activity::{Activity, Running};
use super::event::{Event, Mode};
use super::paint;
use super::recap;
use super::summary::Summary;

/// After this time a task has a reader worried.
const LONG: Duration = Duration::from_secs(3);

/// The reader that writes plain lines of progress.
pub(super) struct Plain<W> {
    out: W,
    verbose: bool,
    mode: Mode,
    activity: Activity,
}

impl<W: Write> Plain<W> {
    /// A reader that writes to `out`; with `verbose` every task has its line.
    pub fn new(out: W, verbose: bool) -> Self {
        Self {
            out,
            verbose,
            mode: Mode::Apply,
            activity: Activity::default(),
        }
    }

    fn observe(&mut self, event: &Event, now: Instant) -> io::Result<()> {
        if let Event::RunStarted { mode, .. } = event {
            self.mode = *mode;
        }
        // What a task had to say must not be lost with its end.
        if let Event::TaskFinished { host, .. } = event
            && let Some(running) = self.activity.host(host).current()
            && running.is_shown
        {
            stream(&mut self.out, host, running)?;
        }
        self.activity.observe(event, now);
        if let Event::BatchStarted {
            play,
            batch,
            batches,
            hosts,
        } = event
        {
            let hosts = recap::names(hosts, 0, self.verbose);
            let play = paint::line(play);
            writeln!(self.out, "{play}: batch {batch} of {batches}: {hosts}")?;
        }
        if let Some((host, news)) = self.news(event) {
            writeln!(self.out, "{}: {news}", paint::line(host))?;
        }
        self.show_long_tasks(now)
    }

    /// What is worth a line at once.
    fn news<'a>(&mut self, event: &'a Event) -> Option<(&'a str, String)> {
        match event {
            Event::HostFinished { host } => {
                let activity = self.activity.host(host);
                let (tasks, changed) = (recap::number(activity.tasks, "task"), activity.changed);
                let word = recap::word(Verdict::Changed, self.mode);
                let play = paint::line(&self.activity.play);
                Some((
                    host,
                    format!("through with {play}: {tasks}, {changed} {word}"),
                ))
            }
            Event::HostConnected { host } if self.verbose => Some((host, "connected".into())),
            Event::TaskFinished {
                host,
                module,
                outcome,
                ..
            } if self.verbose => {
                let word = recap::word(outcome.verdict, self.mode);
                let title = paint::line(&outcome.title);
                Some((host, format!("{word} {module} {title}")))
            }
            other => bad_news(other),
        }
    }

    fn show_long_tasks(&mut self, now: Instant) -> io::Result<()> {
        for (host, running) in self.activity.running() {
            let is_long = self.verbose || now.duration_since(running.since) >= LONG;
            if !is_long {
                continue;
            }
            if !running.is_shown && !self.verbose {
                writeln!(self.out, "{host}: still at {}", running.label)?;
            }
            running.is_shown = true;
            stream(&mut self.out, host, running)?;
        }
        self.out.flush()
    }
}

/// Why a host left, at once and in one line; the whole story comes later.
pub(super) fn bad_news(event: &Event) -> Option<(&str, String)> {
    match event {
        Event::HostFailed {
            host,
            failure,
            module,
            site,
        } => {
            let message = paint::line(first_line(&failure.message));
            Some((host, format!("failed at {module} ({site}): {message}")))
        }
        Event::HostLost { host, reason, .. } => {
            Some((host, format!("lost: {}", paint::line(first_line(reason)))))
        }
        Event::ScriptFailed { host, message, .. } => {
            let message = paint::line(first_line(message));
            Some((host, format!("script failed: {message}")))
        }
        Event::HostBroken { host, message } => Some((
            host,
            format!("broken: {}", paint::line(first_line(message))),
        )),
        _ => None,
    }
}

fn first_line(text: &str) -> &str {
    text.lines().next().unwrap_or_default()
}

fn stream(out: &mut impl Write, host: &str, running: &mut Running) -> io::Result<()> {
    for line in running.lines.drain(..) {
        writeln!(out, "{host} | {line}")?;
    }
    Ok(())
}

impl<W: Write + Send> Reporter for Plain<W> {
    fn event(&mut self, event: &Event) -> io::Result<()> {
        self.observe(event, Instant::now())
    }

    fn tick(&mut self) -> io::Result<()> {
        self.show_long_tasks(Instant::now())
    }

    fn finish(&mut self, _: &Summary) -> io::Result<()> {
        self.out.flush()
    }
}

#[cfg(test)]
mod tests {
    use veza_agent::outcome::Failure;

    use super::super::sample;
    use super::*;

    fn shown(verbose: bool, events: &[(u64, Event)]) -> String {
        let start = Instant::now();
        let mut plain = Plain::new(Vec::new(), verbose);
        for (second, event) in events {
            let now = start + Duration::from_secs(*second);
            plain.observe(event, now).expect("memory takes all");
        }
        String::from_utf8(plain.out).expect("text")
    }

    fn story() -> Vec<(u64, Event)> {
        let changed = |title| sample::outcome(title, Verdict::Changed);
        vec![
            (0, sample::play_started("web servers", &["web1", "web2"])),
            (0, sample::started("web1", "command", "apt-get", 4)),
            (1, sample::output("web1", "reading\n")),
            (2, sample::lost("web2")),
            (5, sample::output("web1", "unpacking\n")),
            (6, sample::output("web1", "done\n")),
            (7, sample::task("web1", "command", 4, changed("apt-get"))),
            (7, sample::started("web1", "command", "quick", 5)),
            (7, sample::output("web1", "nobody reads this\n")),
            (7, sample::task("web1", "command", 5, changed("quick"))),
            (
                8,
                sample::host_failed("web1", "fail", 6, Failure::new("enough\nof it")),
            ),
            (
                8,
                Event::HostFinished {
                    host: "web3".into(),
                },
            ),
        ]
    }

    #[test]
    fn a_long_task_streams_its_output_and_a_short_one_does_not() {
        insta::assert_snapshot!(shown(false, &story()), @r"
        web2: lost: connection refused by 10.0.0.2 port 22
        web1: still at command apt-get
        web1 | reading
        web1 | unpacking
        web1 | done
        web1: failed at fail (site.rhai:6): enough
        web3: through with web servers: 0 tasks, 0 changed
        ");
    }

    #[test]
    fn verbose_has_a_line_for_every_task() {
        insta::assert_snapshot!(shown(true, &story()), @r"
        web1 | reading
        web2: lost: connection refused by 10.0.0.2 port 22
        web1 | unpacking
        web1 | done
        web1: changed command apt-get
        web1 | nobody reads this
        web1: changed command quick
        web1: failed at fail (site.rhai:6): enough
        web3: through with web servers: 0 tasks, 0 changed
        ");
    }
}
