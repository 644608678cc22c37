//! Progress on stderr: [`Screen`] finds out what stderr is, and gives the
//! reader for it and the stdout that does not tear its lines apart.

use std::io::{self, Write};

use console::Term;
use indicatif::{ProgressBar, ProgressDrawTarget};

use super::Reporter;
use super::bars::{self, Bars};
use super::paint::Paint;
use super::plain::Plain;

/// What stderr is: a terminal with a bar, or not.
pub struct Screen {
    bar: Option<ProgressBar>,
}

impl Screen {
    /// Looks at stderr.
    pub fn detect() -> Self {
        let bar = bars::bar(ProgressDrawTarget::stderr());
        // What is printed to a hidden bar is lost, so there must be none.
        match bar.is_hidden() {
            true => Self { bar: None },
            false => Self { bar: Some(bar) },
        }
    }

    /// The reader that shows progress here.
    pub fn reporter(&self, verbose: bool) -> Box<dyn Reporter> {
        let Some(bar) = &self.bar else {
            return Box::new(Plain::new(io::stderr(), verbose));
        };
        let paint = Paint {
            colour: console::colors_enabled_stderr(),
        };
        let size = Box::new(|| Term::stderr().size());
        Box::new(Bars::new(bar.clone(), size, paint))
    }

    /// The stdout for the other readers of the same run.
    pub fn stdout(&self) -> Above<io::Stdout> {
        Above {
            bar: self.bar.clone(),
            out: io::stdout(),
        }
    }
}

/// A writer above the bars: they are cleared before each write and drawn
/// again after it.
pub struct Above<W> {
    bar: Option<ProgressBar>,
    out: W,
}

impl<W: Write> Above<W> {
    fn aside<T>(&mut self, write: impl FnOnce(&mut W) -> T) -> T {
        match &self.bar {
            Some(bar) => bar.suspend(|| write(&mut self.out)),
            None => write(&mut self.out),
        }
    }
}

impl<W: Write> Write for Above<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.aside(|out| out.write(bytes))
    }

    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        // Flushed before the bars come back, or they would mix with the rest.
        self.aside(|out| out.write_all(bytes).and_then(|()| out.flush()))
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}
