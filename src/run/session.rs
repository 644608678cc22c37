//! A conversation with one agent: calls go out without waiting, answers are
//! kept until somebody asks for them.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, BufReader, Write};
use std::sync::mpsc;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use veza_agent::outcome::{Failure, Outcome};
use veza_agent::protocol::{
    FrameError, HELLO_ARGUMENT, Reply, Request, VERSION, World, read_frame, write_frame,
};
use veza_agent::secrets::{Masking, Secret};
use veza_agent::system::due::DueHandler;
use veza_agent::system::live::Stream;
use veza_agent::system::overlay::Pending;

use super::contents::Contents;
use crate::secrets::Secrets;
use crate::transport::{Pipe, Transport, Unreachable};

/// How long an agent may take to say what the host is.
const HELLO: Duration = Duration::from_secs(30);

/// How long a handing over of a dry run's records may take.
const HANDOVER: Duration = Duration::from_secs(60);

/// How long an agent may take to take a goodbye.
const GOODBYE: Duration = Duration::from_secs(2);

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

/// A conversation with one agent.
pub struct Session {
    line: Arc<Line>,
    facts: Map<String, Value>,
    /// Handlers that earlier runs left, and nobody took up yet.
    due: Mutex<Vec<DueHandler>>,
    reader: Option<JoinHandle<()>>,
    /// Kept open; dropped after the agent was told goodbye.
    transport: Mutex<Option<Box<dyn Transport>>>,
}

/// The arguments that tell an agent at its start what it is for.
pub fn hello(world: World, run: &str) -> Result<[String; 2], Unreachable> {
    let request = Request::Hello {
        version: VERSION,
        world,
        run: run.to_owned(),
    };
    let json = serde_json::to_string(&request)
        .map_err(|error| Unreachable::new(format!("the agent cannot be told its task: {error}")))?;
    Ok([HELLO_ARGUMENT.to_owned(), json])
}

impl Session {
    /// Begins a conversation with the agent behind `pipe`, which was started
    /// with the arguments of [`hello`].
    pub fn begin(
        transport: Box<dyn Transport>,
        pipe: Pipe,
        contents: Arc<Contents>,
        heard: Heard,
    ) -> Result<Self, Unreachable> {
        let line = Arc::new(Line {
            writer: Mutex::new(Some(pipe.input)),
            entrusted: Mutex::default(),
            inbox: Mutex::default(),
            arrived: Condvar::new(),
        });
        let (output, ending) = (pipe.output, pipe.ending);
        let listening = line.clone();
        let reader = thread::Builder::new()
            .name("session".into())
            .spawn(move || {
                let ended = listening.listen(BufReader::new(output), &contents, heard);
                listening.end(lost(&ended, &ending.stderr()));
            })
            .map_err(|error| Unreachable::new(format!("cannot start a thread: {error}")))?;
        let mut session = Self {
            line,
            facts: Map::new(),
            due: Mutex::default(),
            reader: Some(reader),
            transport: Mutex::new(Some(transport)),
        };
        let (facts, due) = session.line.wait(HELLO, |inbox| inbox.ready.take())?;
        session.facts = facts;
        session.due = Mutex::new(due);
        Ok(session)
    }

    /// What the host is.
    pub fn facts(&self) -> &Map<String, Value> {
        &self.facts
    }

    /// Handlers that earlier runs left to be run, and that `wanted` wants. They
    /// are handed out once.
    pub fn take_due(&self, wanted: impl Fn(&DueHandler) -> bool) -> Vec<DueHandler> {
        let mut due = self.due.lock().unwrap_or_else(PoisonError::into_inner);
        due.extract_if(.., |handler| wanted(handler)).collect()
    }

    /// A handle that can stop the agent from another thread.
    pub fn canceller(&self) -> Canceller {
        Canceller(self.line.clone())
    }

    /// Sends a request without waiting for anything.
    pub fn send(&self, request: &Request) -> Result<(), Unreachable> {
        self.line.send(request)
    }

    /// Tells the agent secrets, once each.
    pub fn entrust(&self, needed: BTreeMap<String, Secret>) -> Result<(), Unreachable> {
        let mut entrusted = self.line.entrusted();
        let new: BTreeMap<_, _> = needed
            .into_iter()
            .filter(|(name, _)| entrusted.insert(name.clone()))
            .collect();
        drop(entrusted);
        match new.is_empty() {
            true => Ok(()),
            false => self.send(&Request::Secrets(new)),
        }
    }

    /// The answer to a call, if it has come.
    pub fn answered(&self, id: u64) -> Result<Option<Answer>, Unreachable> {
        let mut inbox = self.line.inbox();
        match inbox.answers.remove(&id) {
            Some(answer) => Ok(Some(answer)),
            None => inbox.ended.clone().map_or(Ok(None), Err),
        }
    }

    /// Waits for the answer to a call.
    pub fn answer(&self, id: u64) -> Result<Answer, Unreachable> {
        self.line
            .wait(Duration::MAX, |inbox| inbox.answers.remove(&id))
    }

    /// How messages name the other end.
    pub fn name(&self) -> String {
        let transport = self
            .transport
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let name = transport
            .as_ref()
            .map(|transport| transport.name().to_owned());
        name.unwrap_or_default()
    }

    /// What a dry run has recorded so far.
    pub fn take_pending(&self) -> Result<Box<Pending>, Unreachable> {
        self.send(&Request::TakePending)?;
        self.line.wait(HANDOVER, |inbox| inbox.pending.take())
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        let (said, heard) = mpsc::channel::<()>();
        let line = self.line.clone();
        aside(move || {
            // An agent that is gone already needs no goodbye.
            let _ = line.write(&Request::Bye);
            line.hang_up();
            drop(said);
        });
        // One that takes nothing any more is left without: the end of the
        // transport ends the writing, too.
        let _ = heard.recv_timeout(GOODBYE);
        drop(
            self.transport
                .get_mut()
                .unwrap_or_else(PoisonError::into_inner)
                .take(),
        );
        if let Some(reader) = self.reader.take() {
            // It ends with the pipe; it has nothing to say but what it said.
            let _ = reader.join();
        }
    }
}

/// Stops what an agent does now.
#[derive(Clone)]
pub struct Canceller(Arc<Line>);

impl Canceller {
    /// Ends the running task and drops those that wait. Does not wait itself:
    /// an agent that takes nothing any more would keep others from being told.
    pub fn cancel(&self) {
        let line = self.0.clone();
        aside(move || {
            // An agent that is gone does nothing any more.
            let _ = line.write(&Request::Cancel);
        });
    }
}

fn encoded(request: &Request) -> io::Result<Vec<u8>> {
    let mut frame = Vec::new();
    write_frame(&mut frame, request).map_err(io::Error::other)?;
    Ok(frame)
}

/// Does on a thread of its own what may wait for long.
fn aside(work: impl FnOnce() + Send + 'static) {
    // Where no thread is to be had it is left out: whoever asks must not wait.
    let _ = thread::Builder::new().name("aside".into()).spawn(work);
}

struct Line {
    writer: Mutex<Option<std::io::PipeWriter>>,
    /// The secrets the agent was told.
    entrusted: Mutex<BTreeSet<String>>,
    inbox: Mutex<Inbox>,
    arrived: Condvar,
}

#[derive(Default)]
struct Inbox {
    /// What the host is, and which handlers are due there.
    ready: Option<(Map<String, Value>, Vec<DueHandler>)>,
    answers: BTreeMap<u64, Answer>,
    pending: Option<Box<Pending>>,
    ended: Option<Unreachable>,
}

impl Line {
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

    fn send(&self, request: &Request) -> Result<(), Unreachable> {
        let frame = encoded(request)
            .map_err(|error| Unreachable::new(format!("cannot send a request: {error}")))?;
        self.put(&frame).map_err(|error| {
            // The reading side usually knows more about why.
            let ended = self.wait(Duration::from_secs(5), |_| None::<()>).err();
            ended.unwrap_or_else(|| Unreachable::new(format!("the connection broke: {error}")))
        })
    }

    fn write(&self, request: &Request) -> io::Result<()> {
        self.put(&encoded(request)?)
    }

    fn put(&self, frame: &[u8]) -> io::Result<()> {
        let mut writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        match writer.as_mut() {
            Some(writer) => writer.write_all(frame),
            None => Err(io::ErrorKind::BrokenPipe.into()),
        }
    }

    fn hang_up(&self) {
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

    fn listen(
        &self,
        mut output: BufReader<std::io::PipeReader>,
        contents: &Contents,
        heard: Heard,
    ) -> Ended {
        let mut printed = Printed::default();
        loop {
            let reply = match read_frame(&mut output) {
                Ok(reply) => reply,
                Err(error) => return Ended::Broken(error),
            };
            match reply {
                Reply::Output { id, stream, text } => printed.take(id, stream, &text, &heard),
                Reply::Done {
                    id,
                    outcome,
                    milliseconds,
                } => {
                    printed.end(&heard);
                    match self.cleared(outcome, &heard) {
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
                } => match self.cleared((facts, due), &heard) {
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
                Reply::Answer { id, answer } => match self.cleared(answer, &heard) {
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

    fn end(&self, why: Unreachable) {
        self.inbox().ended = Some(why);
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

#[cfg(test)]
mod tests {
    use std::io::{PipeReader, PipeWriter, pipe};

    use serde_json::json;
    use veza_agent::mark;

    use super::*;
    use crate::secrets::Keys;
    use crate::transport::Ending;

    /// The way to an agent whose pipe is there already.
    struct Way {
        _agent: (PipeReader, PipeWriter),
    }

    impl Transport for Way {
        fn open(&mut self, _: &str) -> Result<Pipe, Unreachable> {
            Err(Unreachable::new("there is no other way"))
        }

        fn name(&self) -> &str {
            "way"
        }
    }

    /// A conversation with an agent that says this, whatever it is asked, and
    /// takes nothing.
    fn hearing(replies: &[Reply], secrets: Arc<Secrets>) -> Session {
        let (requests, input) = pipe().expect("a pipe");
        let (output, mut says) = pipe().expect("a pipe");
        let ready = Reply::Ready {
            version: VERSION,
            facts: json!({}),
            due: Vec::new(),
        };
        for reply in std::iter::once(&ready).chain(replies) {
            write_frame(&mut says, reply).expect("it fits into the pipe");
        }
        let pipe = Pipe {
            input,
            output,
            ending: Ending::default(),
        };
        let heard = Heard {
            secrets,
            trusted: false,
            listener: Box::new(|_, _, _| {}),
        };
        let way = Way {
            _agent: (requests, says),
        };
        Session::begin(Box::new(way), pipe, Arc::default(), heard).expect("it says hello")
    }

    fn secrets() -> Arc<Secrets> {
        let secrets = Secrets::default();
        secrets.unlock(&Keys::default()).expect("there is no file");
        secrets.conceal("other", "9876543210").expect("long enough");
        Arc::new(secrets)
    }

    #[test]
    fn what_a_host_tells_a_module_names_no_secret_that_it_was_not_given() {
        let told = json!({
            "content": mark::secret("other"),
            (mark::secret("other")): 1,
        });
        let failed = Failure::new(format!("no {}", mark::secret("other")));
        let replies = [
            Reply::Answer {
                id: 1,
                answer: Ok(told),
            },
            Reply::Answer {
                id: 2,
                answer: Err(failed),
            },
        ];
        let session = hearing(&replies, secrets());
        let Ok(Answer::Told(Ok(told))) = session.answer(1) else {
            panic!("no answer");
        };
        let text = told.to_string();
        assert!(text.contains("(secret other)"), "{text}");
        let keys = told.as_object().expect("a map").keys();
        assert!(keys.clone().all(|key| !mark::has_secret(key)), "{text}");
        let Ok(Answer::Told(Err(failure))) = session.answer(2) else {
            panic!("no answer");
        };
        assert_eq!(failure.message, "no (secret other)");
    }

    #[test]
    fn an_agent_that_takes_nothing_is_left_all_the_same() {
        let session = hearing(&[], Arc::default());
        let line = session.line.clone();
        let sending = thread::spawn(move || {
            let piece = Request::Content {
                sha256: String::new(),
                bytes: vec![0; 1 << 20],
                last: true,
            };
            line.write(&piece)
        });
        while session.line.writer.try_lock().is_ok() {
            thread::yield_now();
        }
        // Each of the two would wait for ever behind the piece.
        session.canceller().cancel();
        drop(session);
        let sent = sending.join().expect("it does not panic");
        assert!(sent.is_err(), "nobody was there to take it");
    }
}
