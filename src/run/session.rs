//! A conversation with one agent, from its greeting to its goodbye.

use std::collections::BTreeMap;
use std::sync::mpsc;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use serde_json::{Map, Value};
use veza_agent::protocol::{HELLO_ARGUMENT, Request, VERSION, World};
use veza_agent::secrets::Secret;
use veza_agent::system::due::DueHandler;
use veza_agent::system::overlay::Pending;

use super::contents::Contents;
use super::line::{Answer, Heard, Line};
use crate::transport::{Pipe, Transport, Unreachable};

/// How long an agent may take to say what the host is.
const HELLO: Duration = Duration::from_secs(30);

/// How long a handing over of a dry run's records may take.
const HANDOVER: Duration = Duration::from_secs(60);

/// How long an agent may take to take a goodbye.
const GOODBYE: Duration = Duration::from_secs(2);

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
        let line = Arc::new(Line::new(pipe.input));
        let (output, ending) = (pipe.output, pipe.ending);
        let listening = line.clone();
        let reader = thread::Builder::new()
            .name("session".into())
            .spawn(move || listening.listen(output, &ending, &contents, &heard))
            .map_err(|error| Unreachable::new(format!("cannot start a thread: {error}")))?;
        let mut session = Self {
            line,
            facts: Map::new(),
            due: Mutex::default(),
            reader: Some(reader),
            transport: Mutex::new(Some(transport)),
        };
        let (facts, due) = session.line.ready(HELLO)?;
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
        let new = self.line.entrust(needed);
        match new.is_empty() {
            true => Ok(()),
            false => self.send(&Request::Secrets(new)),
        }
    }

    /// The answer to a call, if it has come.
    pub fn answered(&self, id: u64) -> Result<Option<Answer>, Unreachable> {
        self.line.answered(id)
    }

    /// Waits for the answer to a call.
    pub fn answer(&self, id: u64) -> Result<Answer, Unreachable> {
        self.line.answer(id)
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
        self.line.pending(HANDOVER)
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

/// Does on a thread of its own what may wait for long.
fn aside(work: impl FnOnce() + Send + 'static) {
    // Where no thread is to be had it is left out: whoever asks must not wait.
    let _ = thread::Builder::new().name("aside".into()).spawn(work);
}

#[cfg(test)]
mod tests {
    use std::io::{PipeReader, PipeWriter, pipe};

    use serde_json::json;
    use veza_agent::mark;
    use veza_agent::outcome::Failure;
    use veza_agent::protocol::{Reply, write_frame};

    use super::*;
    use crate::secrets::{Keys, Secrets};
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
        while !session.line.is_being_written() {
            thread::yield_now();
        }
        // Each of the two would wait for ever behind the piece.
        session.canceller().cancel();
        drop(session);
        let sent = sending.join().expect("it does not panic");
        assert!(sent.is_err(), "nobody was there to take it");
    }
}
