//! Commands on the live host. Each runs in a process group of its own, so
//! that a timeout or a cancelled run ends its children too.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{self, Child, ExitStatus, Stdio};
use std::sync::atomic::{AtomicI32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{OFlags, fcntl_setfl};
use rustix::process::{Pid, Signal, kill_process_group};

use crate::effect::Command;
use crate::module::Result;
use crate::outcome::Failure;
use crate::system::Output;

/// How much of each stream of a command is kept, in bytes. Both travel in one
/// frame, where a byte that is not UTF-8 takes three.
const KEPT: usize = 2 * 1024 * 1024;

/// More than a pipe holds, in bytes.
const PIPE: usize = 1024 * 1024;

/// Which stream a piece of output came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

/// Takes what running commands print, while they run.
pub struct OutputSink(Box<Take>);

type Take = dyn Fn(Stream, &[u8]);

impl OutputSink {
    /// A sink that calls `take` for each piece.
    pub fn new(take: impl Fn(Stream, &[u8]) + 'static) -> Self {
        Self(Box::new(take))
    }

    /// A sink that forgets everything.
    pub fn silent() -> Self {
        Self::new(|_, _| {})
    }
}

/// The process group of the command that runs now, or 0.
static RUNNING: AtomicI32 = AtomicI32::new(0);

/// Ends the command that runs now, if one does, with its children.
pub fn cancel() {
    if let Some(group) = Pid::from_raw(RUNNING.load(Ordering::SeqCst)) {
        // It may have ended by itself in the meantime.
        let _ = kill_process_group(group, Signal::TERM);
    }
}

/// Runs a command to its end, whatever its exit code.
pub fn run(command: &Command, sink: &OutputSink) -> Result<Output> {
    let mut child = start(command)?;
    let group = child.id() as i32;
    RUNNING.store(group, Ordering::SeqCst);
    let output = follow(&mut child, command, sink);
    RUNNING.store(0, Ordering::SeqCst);
    output.map_err(|error| Failure::new(format!("cannot run {}: {error}", name(command))))
}

/// Runs a command quietly to its end, whatever its exit code.
pub fn output(command: &Command) -> Result<Output> {
    run(command, &OutputSink::silent())
}

/// Runs a command that must succeed.
pub fn succeed(command: &Command) -> Result<()> {
    succeed_with(command, &OutputSink::silent())
}

/// Runs a command that must succeed, showing what it prints.
pub fn succeed_with(command: &Command, sink: &OutputSink) -> Result<()> {
    let output = run(command, sink)?;
    match output.code {
        0 => Ok(()),
        code => Err(ended_badly(name(command), code, &output)),
    }
}

/// The failure of a command that did not exit with 0.
pub fn ended_badly(what: &str, code: i32, output: &Output) -> Failure {
    let said = [&output.stderr, &output.stdout]
        .into_iter()
        .find_map(|text| text.lines().rev().find(|line| !line.trim().is_empty()));
    let reason = said.map_or(String::new(), |line| format!(": {}", line.trim()));
    Failure::new(format!("{what} ended with exit code {code}{reason}"))
        .value("rc", code)
        .value("stdout", output.stdout.as_str())
        .value("stderr", output.stderr.as_str())
}

/// Asks a command whether `candidate` may go live; `%s` stands for its path.
pub fn validate(words: &[String], candidate: &Path) -> Result<()> {
    let path = candidate.display().to_string();
    let command = Command::new(words.iter().map(|word| word.replace("%s", &path)));
    let output = output(&command)?;
    if output.code == 0 {
        return Ok(());
    }
    let what = format!("the new file was refused: `{}`", words.join(" "));
    Err(ended_badly(&what, output.code, &output).hint("The file on the host is untouched."))
}

fn name(command: &Command) -> &str {
    command
        .argv
        .first()
        .map_or("an empty command", String::as_str)
}

fn start(command: &Command) -> Result<Child> {
    let words = as_user(command);
    let Some((program, arguments)) = words.split_first() else {
        return Err(Failure::new("the command is empty"));
    };
    let directory = command.directory.as_deref().unwrap_or(Path::new("/"));
    let mut prepared = process::Command::new(program);
    prepared
        .args(arguments)
        .current_dir(directory)
        .envs(&command.environment)
        .stdin(if command.input.is_some() {
            Stdio::piped()
        } else {
            Stdio::null()
        })
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0);
    prepared.spawn().map_err(|error| match error.kind() {
        io::ErrorKind::NotFound if !directory.is_dir() => Failure::new(format!(
            "the directory {} does not exist",
            directory.display()
        )),
        io::ErrorKind::NotFound => Failure::new(format!("the program {program} was not found")),
        _ => Failure::new(format!("cannot run {program}: {error}")),
    })
}

fn as_user(command: &Command) -> Vec<String> {
    match &command.user {
        None => command.argv.clone(),
        Some(user) => ["runuser", "--user", user, "--"]
            .into_iter()
            .map(str::to_owned)
            .chain(command.argv.iter().cloned())
            .collect(),
    }
}

/// How often a silent command is looked at.
const TICK: Duration = Duration::from_millis(100);

fn follow(child: &mut Child, command: &Command, sink: &OutputSink) -> io::Result<Output> {
    let mut streams = open_streams(child)?;
    let writer = child
        .stdin
        .take()
        .zip(command.input.clone())
        .map(|(mut stdin, input)| {
            // A command may end without reading all of its input.
            thread::spawn(move || drop(stdin.write_all(input.as_bytes())))
        });
    let deadline = command
        .timeout
        .map(|seconds| Instant::now() + Duration::from_secs(seconds));
    let mut kept = Kept::default();
    let mut timed_out = false;
    let mut ended = false;
    while !ended && !streams.is_empty() {
        let patience = match deadline.filter(|_| !timed_out) {
            None => TICK,
            Some(deadline) => TICK.min(deadline.saturating_duration_since(Instant::now())),
        };
        wait_for_output(&streams, patience)?;
        // A daemon that the command left behind may hold its output open for
        // ever. This is asked before reading: all that a command printed which
        // has ended is there to be read.
        ended = child.try_wait()?.is_some();
        let mut failure = None;
        streams.retain_mut(|(kind, stream)| {
            let open = take(stream, |bytes| {
                (sink.0)(*kind, bytes);
                kept.add(*kind, bytes);
            });
            open.unwrap_or_else(|error| {
                failure = Some(error);
                false
            })
        });
        if let Some(error) = failure {
            return Err(error);
        }
        if !ended && !timed_out && deadline.is_some_and(|deadline| Instant::now() >= deadline) {
            timed_out = true;
            kill(child);
        }
    }
    let status = child.wait()?;
    // The thread only moves bytes; it does not panic. What a daemon that was
    // left behind does not read, it goes on offering.
    if let Some(writer) = writer.filter(|_| streams.is_empty()) {
        drop(writer.join());
    }
    Ok(kept.into_output(status, timed_out))
}

/// Our ends of a command's output, which reading never waits for.
fn open_streams(child: &mut Child) -> io::Result<Vec<(Stream, File)>> {
    let stdout = child.stdout.take().map(OwnedFd::from);
    let stderr = child.stderr.take().map(OwnedFd::from);
    let mut streams = Vec::new();
    for (kind, end) in [(Stream::Stdout, stdout), (Stream::Stderr, stderr)] {
        if let Some(end) = end {
            fcntl_setfl(&end, OFlags::NONBLOCK)?;
            streams.push((kind, File::from(end)));
        }
    }
    Ok(streams)
}

/// Waits until a stream has something to read or is closed, or for so long.
fn wait_for_output(streams: &[(Stream, File)], patience: Duration) -> io::Result<()> {
    let mut waiting: Vec<PollFd<'_>> = streams
        .iter()
        .map(|(_, stream)| PollFd::new(stream, PollFlags::IN))
        .collect();
    let timeout = Timespec::try_from(patience).map_err(io::Error::other)?;
    match poll(&mut waiting, Some(&timeout)) {
        Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Takes all that a stream holds now, and says whether it is still open.
fn take(stream: &mut File, mut each: impl FnMut(&[u8])) -> io::Result<bool> {
    let mut buffer = [0; 16 * 1024];
    let mut taken = 0;
    // A command that prints without end must not keep us from its deadline.
    while taken < PIPE {
        match stream.read(&mut buffer) {
            Ok(0) => return Ok(false),
            Ok(count) => {
                each(&buffer[..count]);
                taken += count;
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(true)
}

fn kill(child: &Child) {
    if let Some(group) = Pid::from_raw(child.id() as i32) {
        let _ = kill_process_group(group, Signal::KILL);
    }
}

#[derive(Default)]
struct Kept {
    stdout: Vec<u8>,
    stderr: Vec<u8>,
}

impl Kept {
    fn add(&mut self, stream: Stream, bytes: &[u8]) {
        let kept = match stream {
            Stream::Stdout => &mut self.stdout,
            Stream::Stderr => &mut self.stderr,
        };
        let room = KEPT.saturating_sub(kept.len()).min(bytes.len());
        kept.extend_from_slice(&bytes[..room]);
    }

    fn into_output(self, status: ExitStatus, timed_out: bool) -> Output {
        let signal = status.signal().map(|signal| 128 + signal);
        Output {
            code: status.code().or(signal).unwrap_or(-1),
            stdout: String::from_utf8_lossy(&self.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&self.stderr).into_owned(),
            timed_out,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Command {
        Command::new(["/bin/sh", "-c", script])
    }

    #[test]
    fn both_streams_and_the_exit_code_are_kept() {
        let output = output(&shell("echo out; echo err >&2; exit 3")).expect("sh runs");
        assert_eq!(
            (output.code, output.stdout.as_str(), output.stderr.as_str()),
            (3, "out\n", "err\n")
        );
    }

    #[test]
    fn a_timeout_ends_the_children_too() {
        let mut command = shell("sleep 60 & sleep 60");
        command.timeout = Some(1);
        let started = Instant::now();
        assert!(output(&command).expect("sh runs").timed_out);
        assert!(started.elapsed() < Duration::from_secs(20));
    }

    #[test]
    fn a_daemon_that_keeps_the_output_open_is_not_waited_for() {
        let started = Instant::now();
        let output = output(&shell("sleep 20 & echo started")).expect("sh runs");
        assert_eq!((output.code, output.stdout.as_str()), (0, "started\n"));
        assert!(started.elapsed() < Duration::from_secs(10));
    }

    #[test]
    fn the_last_words_of_a_command_are_kept_however_busy_the_machine_is() {
        // A command that ends in the moment in which it is looked at, many times.
        let threads: Vec<_> = (0..60)
            .map(|_| {
                thread::spawn(|| {
                    let mut command = Command::new(["sh", "-c", "sleep 0.1; echo last words"]);
                    command.timeout = Some(60);
                    output(&command).expect("sh runs").stdout
                })
            })
            .collect();
        for thread in threads {
            assert_eq!(thread.join().expect("no panic"), "last words\n");
        }
    }

    #[test]
    fn a_signal_is_not_taken_for_success() {
        assert_eq!(output(&shell("kill -9 $$")).expect("sh runs").code, 137);
    }

    #[test]
    fn a_missing_program_is_named() {
        let failure = output(&Command::new(["no-such-program-here"])).expect_err("not there");
        assert!(
            failure.message.contains("no-such-program-here"),
            "{failure}"
        );
    }
}
