//! Requests become outcomes: the agent's main loop.
//!
//! One thread reads requests, so that a cancelled run or a lost controller is
//! noticed while a task runs; the other carries out calls in order.

use std::io::{Read, Write};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread;
use std::time::Instant;

use serde_json::Value;

use self::host::{Host, due_of};
use self::link::Link;
use self::pieces::Pieces;
use crate::facts;
use crate::outcome::{Failure, Verdict};
use crate::protocol::{FrameError, Reply, Request, VERSION, read_frame};
use crate::system::due::Due;
use crate::system::live;

mod link;

mod pieces;

mod host;

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

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;
    use crate::protocol::{World, write_frame};

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
