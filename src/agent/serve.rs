//! Requests become outcomes: the agent's main loop.
//!
//! One thread reads requests, so that a cancelled run or a lost controller is
//! noticed while a task runs; the other carries out calls in order.

use std::cell::{Cell, RefCell};
use std::io::{self, Read, Write};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread;
use std::time::Instant;

use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::content::hex;
use crate::door;
use crate::facts;
use crate::module::Result;
use crate::modules;
use crate::outcome::{Failure, Outcome, Verdict};
use crate::protocol::{FrameError, Reply, Request, VERSION, World, read_frame, write_frame};
use crate::secrets::{Masking, Shared};
use crate::system::System;
use crate::system::due::Due;
use crate::system::kept;
use crate::system::live::{self, ContentSource, Journal, Live, OutputSink, Stream};
use crate::system::overlay::{Absence, Overlay, Pending};
use crate::system::sandbox::{self, Store};

/// Serves one controller until it says goodbye or is gone.
///
/// # Errors
/// When the controller is lost or says what cannot be understood.
pub fn serve(
    mut input: impl Read + Send + 'static,
    output: impl Write + 'static,
) -> std::result::Result<(), FrameError> {
    let link = Rc::new(Link::new(output));
    let hello = read_frame(&mut input)?;
    let Request::Hello {
        version,
        world,
        run,
    } = hello
    else {
        return link.refuse(Failure::new("the controller did not say hello"));
    };
    if version != VERSION {
        let failure = Failure::new(format!(
            "the controller speaks version {version} of the protocol, this agent {VERSION}"
        ));
        return link.refuse(failure.hint(
            "Controller and agent must be of one build: remove the agent from the host and run again.",
        ));
    }
    let cancelled = Arc::new(AtomicBool::new(false));
    let (calls, contents, reader) = read_requests(input, cancelled.clone());
    let source = Rc::new(Pieces {
        link: link.clone(),
        pieces: contents,
    });
    let due = Rc::new(due_of(&world));
    let opened = Host::open(&world, &run, &link, source, &due);
    let (mut host, left) = match opened.and_then(|host| Ok((host, due.all()?))) {
        Ok(opened) => opened,
        Err(failure) => return link.refuse(failure),
    };
    let facts = facts::gather(&world);
    link.send(&Reply::Ready {
        version: VERSION,
        facts,
        due: left.into_iter().collect(),
    })?;
    answer(&calls, &link, &mut host, &due, &cancelled)?;
    // No more calls come, so the reader has ended; it knows why.
    reader.join().unwrap_or(Ok(()))
}

fn answer(
    calls: &Receiver<Request>,
    link: &Link,
    host: &mut Host,
    due: &Due,
    cancelled: &AtomicBool,
) -> std::result::Result<(), FrameError> {
    let mut stopped = false;
    for request in calls {
        match request {
            Request::Call { id, .. } | Request::Door { id, .. } | Request::Records { id }
                if stopped || cancelled.load(Ordering::SeqCst) =>
            {
                due.announce(Vec::new());
                link.send(&Reply::Dropped { id })?;
            }
            Request::Call {
                id,
                module,
                arguments,
            } => {
                link.running.set(id);
                let started = Instant::now();
                let outcome = host.call(&module, arguments);
                let outcome = link.scrubbed(host.kept(outcome, due));
                stopped = outcome.verdict == Verdict::Failed;
                let milliseconds = started.elapsed().as_millis() as u64;
                link.done(id, outcome, milliseconds)?;
            }
            Request::Door {
                id,
                function,
                arguments,
            } => {
                link.running.set(id);
                let answer = host.door(&function, arguments);
                let scrubbed = link.secrets.table().scrub(answer);
                link.answer(id, scrubbed.and_then(|answer| answer))?;
            }
            Request::Records { id } => {
                let records = host.records();
                let records = link.scrubbed(host.kept(records, due));
                link.done(id, records, 0)?;
            }
            Request::Notifies(handlers) => due.announce(handlers),
            Request::Due { id, add, remove } => {
                let changed = due.change(add, &remove);
                link.answer(id, changed.map(|()| Value::Null))?;
            }
            Request::Secrets(secrets) => {
                if let Err(failure) = link.secrets.add(secrets) {
                    return link.refuse(failure);
                }
            }
            Request::Resume => stopped = false,
            Request::TakePending => link.send(&Reply::Pending(Box::new(host.pending())))?,
            Request::SetPending(pending) => host.set_pending(*pending),
            Request::ActAs(user) => host.act_as(user),
            Request::Bye => break,
            Request::Hello { .. } | Request::Content { .. } | Request::Cancel => {}
        }
    }
    Ok(())
}

/// Sorts requests: calls are queued, pieces of contents wait for who wants
/// them, and a cancel is heeded at once.
fn read_requests(
    mut input: impl Read + Send + 'static,
    cancelled: Arc<AtomicBool>,
) -> (Receiver<Request>, Receiver<Request>, Reader) {
    let (calls, called) = mpsc::channel();
    let (contents, fetched) = mpsc::channel();
    let reader = thread::spawn(move || {
        loop {
            let request = match read_frame::<Request>(&mut input) {
                Ok(request) => request,
                // The controller is gone, or nobody knows what it says:
                // nothing more is begun, and what runs ends.
                Err(error) => {
                    cancel(&cancelled);
                    return match error {
                        FrameError::Closed => Ok(()),
                        error => Err(error),
                    };
                }
            };
            let bye = request == Request::Bye;
            if !sort(request, &calls, &contents, &cancelled) || bye {
                return Ok(());
            }
        }
    });
    (called, fetched, reader)
}

type Reader = thread::JoinHandle<std::result::Result<(), FrameError>>;

fn sort(
    request: Request,
    calls: &Sender<Request>,
    contents: &Sender<Request>,
    cancelled: &AtomicBool,
) -> bool {
    match request {
        Request::Cancel => {
            cancel(cancelled);
            true
        }
        content @ Request::Content { .. } => contents.send(content).is_ok(),
        other => calls.send(other).is_ok(),
    }
}

fn cancel(cancelled: &AtomicBool) {
    cancelled.store(true, Ordering::SeqCst);
    live::cancel();
}

/// The way back to the controller.
struct Link {
    output: RefCell<Box<dyn Write>>,
    running: Cell<u64>,
    secrets: Shared,
    printed: RefCell<[(Stream, Masking); 2]>,
}

impl Link {
    fn new(output: impl Write + 'static) -> Self {
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
    fn print(&self, stream: Stream, bytes: &[u8]) {
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
    fn print_rest(&self) {
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

    fn send(&self, reply: &Reply) -> std::result::Result<(), FrameError> {
        let mut output = self.output.borrow_mut();
        write_frame(&mut **output, reply)?;
        Ok(output.flush()?)
    }

    /// Tells how a call ended; without the details, where those do not fit.
    fn done(
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
    fn scrubbed(&self, outcome: Outcome) -> Outcome {
        let scrubbed = self.secrets.table().scrub(outcome);
        let mut outcome = scrubbed.unwrap_or_else(|failure| {
            // What cannot be looked through is not told.
            Outcome::failed(String::new(), failure)
        });
        outcome.shorten();
        outcome
    }

    /// Answers a module that runs on the controller.
    fn answer(&self, id: u64, answer: Result<Value>) -> std::result::Result<(), FrameError> {
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

    fn refuse(&self, failure: Failure) -> std::result::Result<(), FrameError> {
        self.send(&Reply::Refused {
            reason: failure.message,
            hint: failure.hint,
        })
    }
}

/// Contents that the controller holds, fetched when they are needed.
struct Pieces {
    link: Rc<Link>,
    pieces: Receiver<Request>,
}

impl ContentSource for Pieces {
    fn fetch(&self, sha256: &str, sink: &mut dyn Write) -> Result<()> {
        let lost = || Failure::new("the controller was lost while it sent a file");
        self.link
            .send(&Reply::Want {
                sha256: sha256.to_owned(),
            })
            .map_err(|_| lost())?;
        let mut hasher = Sha256::new();
        let mut written = Ok(());
        loop {
            let Ok(Request::Content {
                sha256: sent,
                bytes,
                last,
            }) = self.pieces.recv()
            else {
                return Err(lost());
            };
            if sent != sha256 {
                return Err(Failure::new(format!(
                    "the controller sent {sent} for {sha256}"
                )));
            }
            hasher.update(&bytes);
            // What cannot be written is still on its way, and must not be
            // there when the next file is asked for.
            if written.is_ok() {
                written = sink.write_all(&bytes).map_err(|error| unwritten(&error));
            }
            if last {
                break;
            }
        }
        written?;
        match hex(&hasher.finalize()) == sha256 {
            true => Ok(()),
            false => Err(
                Failure::new("the file arrived with other bytes than it had")
                    .hint("It was changed while the run went on; run again."),
            ),
        }
    }
}

fn unwritten(error: &io::Error) -> Failure {
    let failure = Failure::new(format!("cannot write a file: {error}"));
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            failure.hint("The disk is full; what was there before is untouched.")
        }
        _ => failure,
    }
}

/// One of the worlds, with what it needs between calls.
enum Host {
    Live(Box<Live>),
    DryRun(Box<Overlay>),
    Sandbox {
        host: Box<Overlay>,
        store: Store,
        contents: Rc<dyn ContentSource>,
    },
}

impl Host {
    fn open(
        world: &World,
        run: &str,
        link: &Rc<Link>,
        contents: Rc<Pieces>,
        due: &Rc<Due>,
    ) -> Result<Self> {
        Ok(match world {
            World::Live => {
                let journal = Journal::open(&kept::make()?.join("journal"), run)?;
                let live = Live::new(contents, output_to(link), Some(journal));
                let live = live.with_due(due.clone());
                Self::Live(Box::new(live.with_secrets(link.secrets.clone())))
            }
            World::DryRun => {
                let base = Live::new(contents, output_to(link), None);
                let base = base.with_secrets(link.secrets.clone());
                let overlay = Overlay::new(Box::new(base), Absence::Doubtful, Pending::default());
                Self::DryRun(Box::new(overlay))
            }
            World::Sandbox { directory, .. } => Self::Sandbox {
                host: Box::new(sandbox::open(directory)?),
                store: Store::new(directory),
                contents,
            },
            World::Planned { .. } => Self::DryRun(Box::new(sandbox::planned())),
            World::SandboxDryRun { directory, .. } => {
                Self::DryRun(Box::new(sandbox::dry_run(directory)?))
            }
        })
    }

    fn call(&mut self, module: &str, arguments: Value) -> Outcome {
        let Some(module) = modules::find(module) else {
            let failure = Failure::new(format!("this agent has no module {module}"));
            return Outcome::failed(String::new(), failure);
        };
        (module.call)(arguments, self.system())
    }

    fn door(&mut self, function: &str, arguments: Value) -> Result<Value> {
        match door::find(function) {
            Some(function) => function.call(arguments, self.system()),
            None => Err(Failure::new(format!("this agent knows no host.{function}"))),
        }
    }

    /// What was done since the last task.
    fn records(&mut self) -> Outcome {
        let (effects, assumptions) = self.system().take_records();
        Outcome::of_records(effects, assumptions)
    }

    /// The outcome of a task, with its effects kept where this world keeps
    /// them. A change without any effect makes handlers due, too.
    fn kept(&self, mut outcome: Outcome, due: &Due) -> Outcome {
        let is_change = matches!(outcome.verdict, Verdict::Changed | Verdict::Unknown);
        let kept = match outcome.effects.is_empty() {
            true if is_change => due.note(),
            true => Ok(()),
            false => due.note().and_then(|()| self.save()),
        };
        due.announce(Vec::new());
        if let Err(failure) = kept {
            outcome.verdict = Verdict::Failed;
            outcome.failure = Some(failure);
        }
        outcome
    }

    fn system(&mut self) -> &mut dyn System {
        match self {
            Self::Live(live) => &mut **live,
            Self::DryRun(overlay) | Self::Sandbox { host: overlay, .. } => &mut **overlay,
        }
    }

    fn save(&self) -> Result<()> {
        let Self::Sandbox {
            host,
            store,
            contents,
        } = self
        else {
            return Ok(());
        };
        store.save(host.pending(), &|content| {
            let mut bytes = Vec::new();
            contents.fetch(&content.sha256, &mut bytes)?;
            Ok(bytes)
        })
    }

    fn pending(&self) -> Pending {
        match self {
            Self::DryRun(overlay) => overlay.pending().clone(),
            Self::Live(_) | Self::Sandbox { .. } => Pending::default(),
        }
    }

    fn act_as(&mut self, user: Option<String>) {
        if let Self::DryRun(overlay) = self {
            overlay.act_as(user);
        }
    }

    fn set_pending(&mut self, pending: Pending) {
        if let Self::DryRun(overlay) = self {
            overlay.set_pending(pending);
        }
    }
}

fn output_to(link: &Rc<Link>) -> OutputSink {
    let link = link.clone();
    OutputSink::new(move |stream, bytes| link.print(stream, bytes))
}

/// The handlers that are due in a world. A dry run only asks for them.
fn due_of(world: &World) -> Due {
    match world {
        // Who has no place for them has never noted any.
        World::Live | World::DryRun => {
            kept::directory().map_or_else(|_| Due::default(), Due::kept_in)
        }
        World::Sandbox { directory, .. } | World::SandboxDryRun { directory, .. } => {
            Due::kept_in(directory.clone())
        }
        World::Planned { .. } => Due::default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::content::digest;

    fn pieces(bytes: &[&[u8]], sha256: &str) -> Pieces {
        let (sender, pieces) = mpsc::channel();
        for (index, bytes) in bytes.iter().enumerate() {
            let piece = Request::Content {
                sha256: sha256.to_owned(),
                bytes: bytes.to_vec(),
                last: index == 1,
            };
            sender.send(piece).expect("it is received");
        }
        Pieces {
            link: Rc::new(Link::new(io::sink())),
            pieces,
        }
    }

    #[test]
    fn a_content_with_another_digest_is_refused() {
        let mut sink = Vec::new();
        let sha256 = digest(b"one two");
        let right = pieces(&[b"one ", b"two"], &sha256);
        right.fetch(&sha256, &mut sink).expect("it is whole");
        assert_eq!(sink, b"one two");
        let wrong = pieces(&[b"one ", b"tow"], &sha256);
        let failure = wrong.fetch(&sha256, &mut sink).expect_err("it is not");
        assert!(failure.message.contains("other bytes"), "{failure}");
    }

    #[test]
    fn what_cannot_be_written_does_not_stay_in_the_way() {
        struct Full;
        impl Write for Full {
            fn write(&mut self, _: &[u8]) -> io::Result<usize> {
                Err(io::ErrorKind::StorageFull.into())
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let sha256 = digest(b"one two");
        let source = pieces(&[b"one ", b"two"], &sha256);
        let failure = source.fetch(&sha256, &mut Full).expect_err("it is full");
        assert!(failure.hint.is_some_and(|hint| hint.contains("full")));
        assert!(source.pieces.try_recv().is_err(), "nothing is left over");
    }

    #[test]
    fn another_version_is_refused_with_what_to_do() {
        let hello = Request::Hello {
            version: VERSION + 1,
            world: World::DryRun,
            run: "test".to_owned(),
        };
        let mut input = Vec::new();
        write_frame(&mut input, &hello).expect("it fits");
        let (mut read, write) = io::pipe().expect("a pipe");
        serve(io::Cursor::new(input), write).expect("it ends in order");
        let reply: Reply = read_frame(&mut read).expect("it answers");
        let Reply::Refused { reason, hint } = reply else {
            panic!("{reply:?}");
        };
        assert!(
            reason.contains(&format!("version {}", VERSION + 1)),
            "{reason}"
        );
        assert!(hint.is_some());
    }
}
