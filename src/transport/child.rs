//! A command run as a child process of this one: what the local and the Incus
//! transport have in common.

use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc};
use std::time::Duration;

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, waitid};

use super::{End, Ending, Pipe};

/// How long a child may take to finish after its transport was dropped.
const GRACE: Duration = Duration::from_secs(2);

/// How long the end of a child waits for the rest of its standard error.
const LAST_WORDS: Duration = Duration::from_millis(200);

/// The children of one transport. Dropping it ends them.
#[derive(Default)]
pub struct Children(Vec<(Arc<Mutex<Child>>, Ending)>);

impl Children {
    /// Starts `command` with pipes on all three streams.
    pub fn start(&mut self, command: &mut Command) -> io::Result<Pipe> {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?;
        let ending = Ending::default();
        let (Some(input), Some(output), Some(stderr)) =
            (child.stdin.take(), child.stdout.take(), child.stderr.take())
        else {
            return Err(io::Error::other("the child has no pipes"));
        };
        let child = Arc::new(Mutex::new(child));
        watch(&child, stderr, &ending)?;
        self.0.push((child, ending.clone()));
        Ok(Pipe {
            input: OwnedFd::from(input).into(),
            output: OwnedFd::from(output).into(),
            ending,
        })
    }
}

impl Drop for Children {
    fn drop(&mut self) {
        for (child, ending) in &self.0 {
            if ending.wait(GRACE).is_none() {
                // The watcher reaps it; here it may only be gone already.
                let _ = lock(child).kill();
            }
        }
    }
}

/// Collects standard error and the exit code of a child.
///
/// Two threads, because a grandchild may hold standard error open long after
/// the child has ended, and the end must be known at once.
fn watch(
    child: &Arc<Mutex<Child>>,
    mut stderr: impl Read + Send + 'static,
    ending: &Ending,
) -> io::Result<()> {
    let (heard, ended, child) = (ending.clone(), ending.clone(), Arc::clone(child));
    let (listening, silence) = mpsc::channel::<()>();
    thread("stderr", move || {
        let _until_silence = listening;
        let mut buffer = [0; 1024];
        while let Ok(size @ 1..) = stderr.read(&mut buffer) {
            heard.heard(&buffer[..size]);
        }
    })?;
    thread("child", move || {
        wait_without_reaping(&child);
        // Last words come before the end: what explains it must be there.
        let _ = silence.recv_timeout(LAST_WORDS);
        ended.finish(reap(&child));
    })
}

fn thread(name: &str, body: impl FnOnce() + Send + 'static) -> io::Result<()> {
    std::thread::Builder::new()
        .name(name.to_owned())
        .stack_size(128 * 1024)
        .spawn(body)
        .map(drop)
}

/// Blocks until the child has ended but leaves it to be reaped under the lock,
/// so that its number cannot be somebody else's when it is killed.
fn wait_without_reaping(child: &Mutex<Child>) {
    let id = lock(child).id();
    let Some(pid) = i32::try_from(id).ok().and_then(Pid::from_raw) else {
        return;
    };
    while let Err(rustix::io::Errno::INTR) = waitid(
        WaitId::Pid(pid),
        WaitIdOptions::EXITED | WaitIdOptions::NOWAIT,
    ) {}
}

fn reap(child: &Mutex<Child>) -> End {
    match lock(child).wait() {
        Ok(status) => match (status.code(), status.signal()) {
            (Some(code), _) => End::Exited(code),
            (None, signal) => End::Signalled(signal_name(signal.unwrap_or(0))),
        },
        Err(error) => End::Lost(format!("its end could not be awaited: {error}")),
    }
}

fn signal_name(number: i32) -> String {
    match Signal::from_named_raw(number) {
        Some(signal) => format!("{signal:?}"),
        None => number.to_string(),
    }
}

fn lock(child: &Mutex<Child>) -> MutexGuard<'_, Child> {
    child.lock().unwrap_or_else(PoisonError::into_inner)
}
