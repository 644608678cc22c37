//! What the agent says: replies, output and failures, without any secret.

use std::cell::{Cell, RefCell};
use std::io::Write;

use serde_json::Value;

use crate::module::Result;
use crate::outcome::{Failure, Outcome};
use crate::protocol::{FrameError, Reply, write_frame};
use crate::secrets::{Masking, Shared};
use crate::system::live::Stream;

/// The way back to the controller.
pub(super) struct Link {
    output: RefCell<Box<dyn Write>>,
    /// The call that is carried out.
    pub running: Cell<u64>,
    /// What may not be told.
    pub secrets: Shared,
    printed: RefCell<[(Stream, Masking); 2]>,
}

impl Link {
    pub fn new(output: impl Write + 'static) -> Self {
        Self {
            output: RefCell::new(Box::new(output)),
            running: Cell::new(0),
            secrets: Shared::default(),
            printed: RefCell::new(
                [Stream::Stdout, Stream::Stderr].map(|s| (s, Masking::of_strangers())),
            ),
        }
    }

    /// Tells what a running command printed, once no secret can be cut apart.
    pub fn print(&self, stream: Stream, bytes: &[u8]) {
        let secrets = self.secrets.table();
        for (_, masking) in self
            .printed
            .borrow_mut()
            .iter_mut()
            .filter(|(s, _)| *s == stream)
        {
            self.tell(stream, masking.pass(&secrets, bytes));
        }
    }

    /// Tells the rest of what it printed.
    pub fn print_rest(&self) {
        let secrets = self.secrets.table();
        for (stream, masking) in self.printed.borrow_mut().iter_mut() {
            self.tell(*stream, masking.rest(&secrets));
        }
    }

    fn tell(&self, stream: Stream, text: String) {
        if text.is_empty() {
            return;
        }
        // A lost controller is noticed by the reading thread.
        let _ = self.send(&Reply::Output {
            id: self.running.get(),
            stream,
            text,
        });
    }

    pub fn send(&self, reply: &Reply) -> std::result::Result<(), FrameError> {
        let mut output = self.output.borrow_mut();
        write_frame(&mut **output, reply)?;
        Ok(output.flush()?)
    }

    /// Tells how a call ended; without the details, where those do not fit.
    pub fn done(
        &self,
        id: u64,
        outcome: Outcome,
        milliseconds: u64,
    ) -> std::result::Result<(), FrameError> {
        self.print_rest();
        let reply = |outcome| Reply::Done {
            id,
            outcome: Box::new(outcome),
            milliseconds,
        };
        let brief = outcome.brief();
        match self.send(&reply(outcome)) {
            Err(FrameError::TooLarge(_)) => self.send(&reply(brief)),
            sent => sent,
        }
    }

    /// An outcome as it may leave this host.
    pub fn scrubbed(&self, outcome: Outcome) -> Outcome {
        let scrubbed = self.secrets.table().scrub(outcome);
        let mut outcome = scrubbed.unwrap_or_else(|failure| {
            // What cannot be looked through is not told.
            Outcome::failed(String::new(), failure)
        });
        outcome.shorten();
        outcome
    }

    /// Answers a module that runs on the controller.
    pub fn answer(&self, id: u64, answer: Result<Value>) -> std::result::Result<(), FrameError> {
        match self.send(&Reply::Answer { id, answer }) {
            Err(FrameError::TooLarge(size)) => {
                let answer = Err(Failure::new(format!(
                    "the answer of {size} bytes is too large for a module"
                )));
                self.send(&Reply::Answer { id, answer })
            }
            sent => sent,
        }
    }

    pub fn refuse(&self, failure: Failure) -> std::result::Result<(), FrameError> {
        self.send(&Reply::Refused {
            reason: failure.message,
            hint: failure.hint,
        })
    }
}
