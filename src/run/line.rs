//! The line to one agent: requests go out without waiting, replies are kept
//! until somebody asks for them.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, BufReader, PipeReader, PipeWriter, Write};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use veza_agent::outcome::{Failure, Outcome};
use veza_agent::protocol::{FrameError, Reply, Request, read_frame, write_frame};
use veza_agent::secrets::{Masking, Secret};
use veza_agent::system::due::DueHandler;
use veza_agent::system::live::Stream;
use veza_agent::system::overlay::Pending;

use super::contents::Contents;
use crate::secrets::Secrets;
use crate::transport::{Ending, Unreachable};

/// What became of a call.
#[derive(Debug)]
pub enum Answer {
    /// It was carried out, in this many milliseconds.
    Done(Box<Outcome>, u64),
    /// What a module asked for or did through the door.
    Told(Result<Value, Failure>),
    /// It was not begun.
    Dropped,
}

/// Takes the output of running calls: call, stream, text.
pub type Listener = Box<dyn Fn(u64, Stream, String) + Send>;

/// How what an agent says is taken.
pub struct Heard {
    /// What must not be in it.
    pub secrets: Arc<Secrets>,
    /// Whether the agent may speak of any secret: it then knows none.
    pub trusted: bool,
    /// Takes the output of running calls.
    pub listener: Listener,
}

/// What an agent says first: what the host is, and which handlers are due there.
pub type Ready = (Map<String, Value>, Vec<DueHandler>);

/// The line to one agent.
pub struct Line {
    writer: Mutex<Option<PipeWriter>>,
    /// The secrets the agent was told.
    entrusted: Mutex<BTreeSet<String>>,
    inbox: Mutex<Inbox>,
    arrived: Condvar,
}

/// What has arrived and nobody took yet.
#[derive(Default)]
struct Inbox {
    ready: Option<Ready>,
    answers: BTreeMap<u64, Answer>,
    pending: Option<Box<Pending>>,
    ended: Option<Unreachable>,
}

impl Line {
    /// A line that nothing has been said over.
    pub fn new(input: PipeWriter) -> Self {
        Self {
            writer: Mutex::new(Some(input)),
            entrusted: Mutex::default(),
            inbox: Mutex::default(),
            arrived: Condvar::new(),
        }
    }

    /// Takes note of secrets that the agent is told; those of `needed` that it was
    /// not told before.
    pub fn entrust(&self, needed: BTreeMap<String, Secret>) -> BTreeMap<String, Secret> {
        let mut entrusted = self.entrusted();
        needed
            .into_iter()
            .filter(|(name, _)| entrusted.insert(name.clone()))
            .collect()
    }

    /// What the host is, and which handlers are due there.
    pub fn ready(&self, patience: Duration) -> Result<Ready, Unreachable> {
        self.wait(patience, |inbox| inbox.ready.take())
    }

    /// The answer to a call, if it has come.
    pub fn answered(&self, id: u64) -> Result<Option<Answer>, Unreachable> {
        let mut inbox = self.inbox();
        match inbox.answers.remove(&id) {
            Some(answer) => Ok(Some(answer)),
            None => inbox.ended.clone().map_or(Ok(None), Err),
        }
    }

    /// Waits for the answer to a call.
    pub fn answer(&self, id: u64) -> Result<Answer, Unreachable> {
        self.wait(Duration::MAX, |inbox| inbox.answers.remove(&id))
    }

    /// Waits for what a dry run has recorded.
    pub fn pending(&self, patience: Duration) -> Result<Box<Pending>, Unreachable> {
        self.wait(patience, |inbox| inbox.pending.take())
    }

    fn inbox(&self) -> MutexGuard<'_, Inbox> {
        self.inbox.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn entrusted(&self) -> MutexGuard<'_, BTreeSet<String>> {
        self.entrusted
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// What the agent said, without secrets that it was not told.
    fn cleared<T: Serialize + DeserializeOwned>(&self, said: T, heard: &Heard) -> Result<T, Ended> {
        if heard.trusted {
            return Ok(said);
        }
        let cleared = heard.secrets.received(said, &self.entrusted());
        cleared.map_err(|failure| Ended::Refused(Unreachable::new(failure.message)))
    }

    /// Sends a request without waiting for anything.
    pub fn send(&self, request: &Request) -> Result<(), Unreachable> {
        let frame = encoded(request)
            .map_err(|error| Unreachable::new(format!("cannot send a request: {error}")))?;
        self.put(&frame).map_err(|error| {
            // The reading side usually knows more about why.
            let ended = self.wait(Duration::from_secs(5), |_| None::<()>).err();
            ended.unwrap_or_else(|| Unreachable::new(format!("the connection broke: {error}")))
        })
    }

    /// The same, where nobody needs to know more of an error.
    pub fn write(&self, request: &Request) -> io::Result<()> {
        self.put(&encoded(request)?)
    }

    /// Whether somebody waits for the agent to take a request.
    #[cfg(test)]
    pub fn is_being_written(&self) -> bool {
        self.writer.try_lock().is_err()
    }

    fn put(&self, frame: &[u8]) -> io::Result<()> {
        let mut writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        match writer.as_mut() {
            Some(writer) => writer.write_all(frame),
            None => Err(io::ErrorKind::BrokenPipe.into()),
        }
    }

    /// Ends the requests.
    pub fn hang_up(&self) {
        self.writer
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
    }

    /// Waits until `take` finds something, or the conversation has ended.
    fn wait<T>(
        &self,
        patience: Duration,
        mut take: impl FnMut(&mut Inbox) -> Option<T>,
    ) -> Result<T, Unreachable> {
        let mut found = None;
        let waiting = |inbox: &mut Inbox| {
            found = take(inbox);
            found.is_none() && inbox.ended.is_none()
        };
        let inbox = match patience {
            Duration::MAX => self.arrived.wait_while(self.inbox(), waiting),
            _ => {
                let waited = self
                    .arrived
                    .wait_timeout_while(self.inbox(), patience, waiting);
                waited
                    .map(|(inbox, _)| inbox)
                    .map_err(|error| PoisonError::new(error.into_inner().0))
            }
        }
        .unwrap_or_else(PoisonError::into_inner);
        match (found, &inbox.ended) {
            (Some(found), _) => Ok(found),
            (None, Some(ended)) => Err(ended.clone()),
            (None, None) => Err(Unreachable::new(format!(
                "the agent did not answer within {} seconds",
                patience.as_secs()
            ))),
        }
    }

    /// Keeps what the agent says, until it has nothing more to say.
    pub fn listen(&self, output: PipeReader, ending: &Ending, contents: &Contents, heard: &Heard) {
        let ended = self.hear(BufReader::new(output), contents, heard);
        self.inbox().ended = Some(lost(&ended, &ending.stderr()));
        self.arrived.notify_all();
    }

    fn hear(&self, mut output: BufReader<PipeReader>, contents: &Contents, heard: &Heard) -> Ended {
        let mut printed = Printed::default();
        loop {
            let reply = match read_frame(&mut output) {
                Ok(reply) => reply,
                Err(error) => return Ended::Broken(error),
            };
            match reply {
                Reply::Output { id, stream, text } => printed.take(id, stream, &text, heard),
                Reply::Done {
                    id,
                    outcome,
                    milliseconds,
                } => {
                    printed.end(heard);
                    match self.cleared(outcome, heard) {
                        Ok(outcome) => self.keep(Reply::Done {
                            id,
                            outcome,
                            milliseconds,
                        }),
                        Err(ended) => return ended,
                    }
                }
                Reply::Ready {
                    version,
                    facts,
                    due,
                } => match self.cleared((facts, due), heard) {
                    Ok((facts, due)) => self.keep(Reply::Ready {
                        version,
                        facts,
                        due,
                    }),
                    Err(ended) => return ended,
                },
                Reply::Want { sha256 } => {
                    // A connection that is broken shows when the next reply is read.
                    let sent = contents.send(&sha256, &|piece| self.write(&piece).is_ok());
                    if let Err(error) = sent {
                        return Ended::Refused(error);
                    }
                }
                Reply::Refused { reason, hint } => {
                    return Ended::Refused(Unreachable { reason, hint });
                }
                Reply::Answer { id, answer } => match self.cleared(answer, heard) {
                    Ok(answer) => self.keep(Reply::Answer { id, answer }),
                    Err(ended) => return ended,
                },
                // The one has no text, and the other goes back to the host it
                // comes from; what it shows of it comes with an outcome.
                reply @ (Reply::Dropped { .. } | Reply::Pending(_)) => self.keep(reply),
            }
        }
    }

    fn keep(&self, reply: Reply) {
        let mut inbox = self.inbox();
        match reply {
            Reply::Ready {
                facts: Value::Object(facts),
                due,
                ..
            } => inbox.ready = Some((facts, due)),
            Reply::Done {
                id,
                outcome,
                milliseconds,
            } => {
                inbox
                    .answers
                    .insert(id, Answer::Done(outcome, milliseconds));
            }
            Reply::Answer { id, answer } => {
                inbox.answers.insert(id, Answer::Told(answer));
            }
            Reply::Dropped { id } => drop(inbox.answers.insert(id, Answer::Dropped)),
            Reply::Pending(pending) => inbox.pending = Some(pending),
            Reply::Ready { .. }
            | Reply::Output { .. }
            | Reply::Want { .. }
            | Reply::Refused { .. } => {}
        }
        self.arrived.notify_all();
    }
}

/// What a call has printed and nobody was told yet: a secret may come in
/// pieces.
#[derive(Default)]
struct Printed {
    id: u64,
    streams: [(Option<Stream>, Masking); 2],
}

impl Printed {
    fn take(&mut self, id: u64, stream: Stream, text: &str, heard: &Heard) {
        self.id = id;
        let of_stream = |known: &Option<Stream>| known.is_none_or(|known| known == stream);
        let found = self.streams.iter_mut().find(|(known, _)| of_stream(known));
        if let Some((known, masking)) = found {
            *known = Some(stream);
            let text = heard.secrets.passed(masking, text);
            tell(id, stream, text, heard);
        }
    }

    fn end(&mut self, heard: &Heard) {
        for (stream, masking) in &mut self.streams {
            if let Some(stream) = *stream {
                let text = heard.secrets.rest(masking);
                tell(self.id, stream, text, heard);
            }
        }
    }
}

fn tell(id: u64, stream: Stream, text: String, heard: &Heard) {
    if !text.is_empty() {
        (heard.listener)(id, stream, text);
    }
}

enum Ended {
    Broken(FrameError),
    Refused(Unreachable),
}

fn lost(ended: &Ended, stderr: &str) -> Unreachable {
    let error = match ended {
        Ended::Refused(why) => return why.clone(),
        Ended::Broken(FrameError::Closed) => "the agent ended without a word".to_owned(),
        Ended::Broken(error) => format!("the agent was lost: {error}"),
    };
    match stderr.trim() {
        "" => Unreachable::new(error)
            .hint("Was it killed, or did the host go down? Run again: what was done stays done."),
        said => Unreachable::new(format!("{error}; it said: {said}")),
    }
}

fn encoded(request: &Request) -> io::Result<Vec<u8>> {
    let mut frame = Vec::new();
    write_frame(&mut frame, request).map_err(io::Error::other)?;
    Ok(frame)
}
