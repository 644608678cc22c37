//! Progress on a terminal: a line for each working host, the latest output of
//! their tasks, and a total.
//!
//! All lines are one bar, redrawn by the tick of the report's own thread: a
//! bar a host costs a thread each for its ticker, and lines below the edge of
//! the terminal, the total first, would not be drawn.

use std::io;
use std::time::Instant;

use console::truncate_str;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use veza_agent::outcome::Verdict;

use super::Reporter;
use super::activity::Activity;
use super::event::{Event, Mode};
use super::paint::Paint;
use super::plain::bad_news;
use super::recap;
use super::summary::Summary;

/// Rows left to the shell's prompt, the total and one above.
const SPARE_ROWS: usize = 3;

/// Lines of output that are shown of all tasks together.
const OUTPUT_ROWS: usize = 5;

const FRAMES: [&str; 10] = ["⠋", "⠙", "⠹", "⠸", "⠼", "⠴", "⠦", "⠧", "⠇", "⠏"];

/// Tells rows and columns of the terminal, which may change at any time.
pub(super) type Size = Box<dyn Fn() -> (u16, u16) + Send>;

/// The reader that draws on a terminal.
pub(super) struct Bars {
    bar: ProgressBar,
    size: Size,
    paint: Paint,
    mode: Mode,
    activity: Activity,
    begun: Instant,
    frame: usize,
}

/// A bar on this target, whose message is all that is drawn.
pub(super) fn bar(target: ProgressDrawTarget) -> ProgressBar {
    let bar = ProgressBar::with_draw_target(None, target);
    // The template is a constant; the default style only looks different.
    if let Ok(style) = ProgressStyle::with_template("{msg}") {
        bar.set_style(style);
    }
    bar
}

impl Bars {
    /// A reader that draws on `bar`.
    pub fn new(bar: ProgressBar, size: Size, paint: Paint) -> Self {
        Self {
            bar,
            size,
            paint,
            mode: Mode::Apply,
            activity: Activity::default(),
            begun: Instant::now(),
            frame: 0,
        }
    }

    fn draw(&mut self, now: Instant) {
        let (rows, columns) = (self.size)();
        let lines = self.lines(usize::from(rows), now);
        // A line that wraps would be counted as one and leave garbage.
        let width = usize::from(columns).saturating_sub(1);
        let lines: Vec<_> = lines
            .iter()
            .map(|line| truncate_str(line, width, "…"))
            .collect();
        self.bar.set_message(lines.join("\n"));
        self.bar.tick();
    }

    fn lines(&mut self, rows: usize, now: Instant) -> Vec<String> {
        self.frame = (self.frame + 1) % FRAMES.len();
        let (spinner, paint) = (FRAMES[self.frame], self.paint);
        let room = rows.saturating_sub(SPARE_ROWS).max(1);
        let output = self.output(room / 2);
        let room = room - output.len();
        let width = self
            .activity
            .running()
            .map(|(host, _)| host.chars().count());
        let width = width.max().unwrap_or(0);
        let mut lines = Vec::new();
        for (host, running) in self.activity.running() {
            let age = elapsed(now.duration_since(running.since).as_secs());
            let label = &running.label;
            let age = paint.faint(&age).to_string();
            lines.push(format!("{spinner} {host:<width$}  {label}{age}"));
        }
        if lines.len() > room {
            let kept = room.saturating_sub(1);
            let more = lines.len() - kept;
            lines.truncate(kept);
            lines.push(format!("  and {more} hosts more"));
        }
        lines.push(self.total(now));
        lines.extend(output.iter().map(|line| paint.faint(line).to_string()));
        lines
    }

    /// The latest lines of running tasks, each host's fair share of them.
    fn output(&mut self, room: usize) -> Vec<String> {
        let room = room.min(OUTPUT_ROWS);
        let talking: Vec<_> = self
            .activity
            .running()
            .filter(|(_, running)| !running.lines.is_empty())
            .take(room)
            .collect();
        let share = room.checked_div(talking.len()).unwrap_or(0);
        let mut output = Vec::new();
        for (host, running) in talking {
            let from = running.lines.len().saturating_sub(share);
            let lines = running.lines.range(from..);
            output.extend(lines.map(|line| format!("{host} | {line}")));
        }
        output
    }

    fn total(&self, now: Instant) -> String {
        let activity = &self.activity;
        let mut total = match activity.play.as_str() {
            "" => "starting".into(),
            play => format!(
                "{play}{}: {} of {} hosts, {} tasks",
                match activity.batch {
                    Some((batch, batches)) => format!(", batch {batch} of {batches}"),
                    None => String::new(),
                },
                activity.done,
                activity.size,
                activity.tasks
            ),
        };
        let counts = [
            (activity.changed, Verdict::Changed),
            (activity.failed, Verdict::Failed),
        ];
        for (count, verdict) in counts.into_iter().filter(|(count, _)| *count > 0) {
            let text = format!("{count} {}", recap::word(verdict, self.mode));
            total.push_str(&format!(", {}", self.paint.verdict(verdict, &text)));
        }
        total + elapsed(now.duration_since(self.begun).as_secs()).as_str()
    }
}

/// A time that is worth showing, from the first second on.
fn elapsed(seconds: u64) -> String {
    match seconds {
        0 => String::new(),
        1..60 => format!("  {seconds} s"),
        _ => format!("  {} min {} s", seconds / 60, seconds % 60),
    }
}

impl Reporter for Bars {
    fn event(&mut self, event: &Event) -> io::Result<()> {
        if let Event::RunStarted { mode, .. } = event {
            self.mode = *mode;
        }
        self.activity.observe(event, Instant::now());
        if let Some((host, news)) = bad_news(event) {
            let line = format!("{host}: {news}");
            self.bar.println(self.paint.failure(&line).to_string());
        }
        Ok(())
    }

    fn tick(&mut self) -> io::Result<()> {
        self.draw(Instant::now());
        Ok(())
    }

    fn finish(&mut self, _: &Summary) -> io::Result<()> {
        self.bar.finish_and_clear();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use indicatif::InMemoryTerm;

    use super::super::sample;
    use super::*;

    fn bars(terminal: &InMemoryTerm, rows: u16) -> Bars {
        let target = ProgressDrawTarget::term_like(Box::new(terminal.clone()));
        let size: Size = Box::new(move || (rows, 50));
        Bars::new(bar(target), size, Paint::default())
    }

    fn play(bars: &mut Bars, hosts: usize) {
        let names: Vec<_> = (1..=hosts).map(|n| format!("web{n}")).collect();
        let names: Vec<_> = names.iter().map(String::as_str).collect();
        let begun = bars.begun;
        let activity = &mut bars.activity;
        activity.observe(&sample::play_started("web servers", &names), begun);
        for name in names {
            activity.observe(&sample::started(name, "command", "apt-get", 4), begun);
        }
    }

    #[test]
    fn each_working_host_has_a_line_and_its_output_stands_below() {
        let terminal = InMemoryTerm::new(20, 50);
        let mut bars = bars(&terminal, 20);
        play(&mut bars, 2);
        let begun = bars.begun;
        bars.activity
            .observe(&sample::output("web2", "reading\nunpacking\n"), begun);
        bars.draw(begun + Duration::from_secs(65));
        insta::assert_snapshot!(terminal.contents(), @r"
        ⠙ web1  command apt-get  1 min 5 s
        ⠙ web2  command apt-get  1 min 5 s
        web servers: 0 of 2 hosts, 0 tasks  1 min 5 s
        web2 | reading
        web2 | unpacking
        ");
    }

    #[test]
    fn no_more_lines_than_the_terminal_has_are_drawn() {
        let terminal = InMemoryTerm::new(8, 50);
        let mut bars = bars(&terminal, 8);
        play(&mut bars, 30);
        let begun = bars.begun;
        bars.draw(begun);
        insta::assert_snapshot!(terminal.contents(), @r"
        ⠙ web1   command apt-get
        ⠙ web2   command apt-get
        ⠙ web3   command apt-get
        ⠙ web4   command apt-get
          and 26 hosts more
        web servers: 0 of 30 hosts, 0 tasks
        ");
    }

    #[test]
    fn a_lost_host_is_told_above_and_the_end_leaves_nothing_behind() {
        let terminal = InMemoryTerm::new(20, 60);
        let mut bars = bars(&terminal, 20);
        play(&mut bars, 2);
        bars.event(&sample::lost("web1")).expect("drawn");
        bars.finish(&Summary::default()).expect("cleared");
        assert_eq!(
            terminal.contents(),
            "web1: lost: connection refused by 10.0.0.2 port 22"
        );
    }
}
