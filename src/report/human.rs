//! Lines for people on stdout: what changed on which hosts, and how.
//!
//! A play is written when it has ended, because only then can equal changes of
//! several hosts stand in one block. What happens meanwhile is shown by
//! [`super::progress`] on stderr. The text depends on what happened alone,
//! never on how fast each host was.

use std::io::{self, Write};

use super::Reporter;
use super::event::{Event, Mode};
use super::paint::{self, Paint};
use super::play::Play;
use super::recap;
use super::summary::Summary;

/// How the lines look.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// Whether each change is shown, and not only named.
    pub show_diff: bool,
    /// Whether tasks without a change are listed too, and nothing is cut.
    pub verbose: bool,
    /// Whether to use colours.
    pub colour: bool,
    /// Whether the last line tells the time the run took.
    pub show_time: bool,
}

impl Default for Settings {
    /// Diffs and the time, in colours where stdout takes them.
    fn default() -> Self {
        Self {
            show_diff: true,
            verbose: false,
            colour: console::colors_enabled(),
            show_time: true,
        }
    }
}

/// The reader that writes lines for people.
pub struct Human<W> {
    out: W,
    view: View,
    play: Play,
}

/// What decides how a block is rendered.
#[derive(Clone, Copy)]
pub(super) struct View {
    pub settings: Settings,
    pub paint: Paint,
    pub mode: Mode,
}

impl<W: Write> Human<W> {
    /// A reader that writes to `out`.
    pub fn new(out: W, settings: Settings) -> Self {
        let paint = Paint {
            colour: settings.colour,
        };
        let view = View {
            settings,
            paint,
            mode: Mode::Apply,
        };
        Self {
            out,
            view,
            play: Play::default(),
        }
    }

    /// Writes what the play so far came to, and begins a new one.
    fn next_play(&mut self, next: Play) -> io::Result<()> {
        let done = std::mem::replace(&mut self.play, next);
        self.write(&done.render(&self.view))
    }

    /// One write for all lines, so that bars are cleared and drawn once.
    fn write(&mut self, lines: &[String]) -> io::Result<()> {
        if lines.is_empty() {
            return Ok(());
        }
        let mut text = lines.join("\n");
        text.push('\n');
        self.out.write_all(text.as_bytes())?;
        self.out.flush()
    }
}

impl<W: Write + Send> Reporter for Human<W> {
    fn event(&mut self, event: &Event) -> io::Result<()> {
        match event {
            Event::RunStarted { mode, sandbox, .. } => {
                self.view.mode = *mode;
                let Some(directory) = sandbox else {
                    return Ok(());
                };
                let directory = paint::line(directory);
                let note = format!("The hosts are virtual ones, kept in {directory}.");
                self.write(&[self.view.paint.caution(&note).to_string(), String::new()])
            }
            Event::PlayStarted { play, hosts } => self.next_play(Play::new(play, hosts)),
            Event::PlayStopped {
                play,
                hosts,
                reason,
            } => {
                let note = recap::stopped(play, hosts, reason);
                self.write(&[self.view.paint.caution(&note).to_string(), String::new()])
            }
            Event::PlayFinished { .. } => {
                self.play.finish();
                self.next_play(Play::default())
            }
            Event::PlaySkipped {
                play,
                hosts,
                reason,
            } => {
                self.next_play(Play::default())?;
                let note = recap::not_run(play, hosts, reason);
                self.write(&[self.view.paint.caution(&note).to_string(), String::new()])
            }
            Event::RunInterrupted | Event::RunFinished { .. } => Ok(()),
            other => {
                self.play.observe(other);
                Ok(())
            }
        }
    }

    fn finish(&mut self, summary: &Summary) -> io::Result<()> {
        self.next_play(Play::default())?;
        self.write(&recap::lines(summary, &self.view))
    }
}
