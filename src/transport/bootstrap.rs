//! Gets the agent running on a host and hands its pipe over just after its
//! greeting.
//!
//! One line for the host's shell does it all on one command: it starts the
//! agent that is already there, or asks for it, receives it and starts it. A
//! warm start costs one round trip.

use std::borrow::Cow;
use std::io::{self, Read, Write};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags};
use sha2::{Digest, Sha256};

use super::deadline::wait_for;
use super::{Ending, Pipe, Transport, Unreachable, quote};

/// What the agent prints before its first frame.
pub const GREETING: &[u8] = b"\nveza-agent ready 1\n";

/// How long a host may be silent before it greets.
const PATIENCE: Duration = Duration::from_secs(20);

/// How much may be said before the greeting.
const JUNK: usize = 64 * 1024;

/// A write of this size to a pipe that `poll` calls writable never blocks.
const CHUNK: usize = 4096;

/// Where the agent may live, in this order, as words for the shell.
const DIRECTORIES: &str =
    r#""$home" "/var/tmp/veza-play-$uid" "/dev/shm/veza-play-$uid" "/tmp/veza-play-$uid""#;

/// The agent's program.
#[derive(Clone, Debug)]
pub struct AgentBinary {
    /// Its bytes.
    pub bytes: Cow<'static, [u8]>,
    /// Their SHA-256 in hexadecimal: the agent's name on the host.
    pub sha256: String,
    /// The machine it runs on, as `uname -m` says it; any when absent.
    pub machine: Option<&'static str>,
}

impl AgentBinary {
    /// The program with these bytes, for hosts that `uname -m` calls `machine`.
    pub fn new(bytes: impl Into<Cow<'static, [u8]>>, machine: Option<&'static str>) -> Self {
        let bytes = bytes.into();
        let digest = Sha256::digest(&bytes);
        let sha256 = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        Self {
            bytes,
            sha256,
            machine,
        }
    }
}

/// Who the agent runs as, where it is not the user of the connection.
#[derive(Clone, Debug, PartialEq)]
pub struct Become {
    /// The user's name.
    pub user: String,
}

/// Starts the agent with `arguments`, bringing it to the host where it is not
/// there yet. The next byte to read from the pipe is the first of its frames.
///
/// As another user everything happens as that user, so that root never runs a
/// file that somebody else can write.
pub fn start_agent(
    transport: &mut dyn Transport,
    agent: &AgentBinary,
    become_user: Option<&Become>,
    arguments: &[String],
) -> Result<Pipe, Unreachable> {
    start_agent_in(DIRECTORIES, transport, agent, become_user, arguments)
}

/// The same with the directories to try, as words for the host's shell.
pub(super) fn start_agent_in(
    directories: &str,
    transport: &mut dyn Transport,
    agent: &AgentBinary,
    become_user: Option<&Become>,
    arguments: &[String],
) -> Result<Pipe, Unreachable> {
    let line = command_line(directories, agent, become_user, arguments);
    let mut pipe = transport.open(&line)?;
    match meet(&mut pipe, agent) {
        Ok(()) => Ok(pipe),
        Err(missed) => {
            let Pipe {
                input,
                output,
                ending,
            } = pipe;
            drop((input, output));
            Err(explain(missed, &ending, transport, become_user))
        }
    }
}

/// The one line that is run on the host.
fn command_line(
    directories: &str,
    agent: &AgentBinary,
    become_user: Option<&Become>,
    arguments: &[String],
) -> String {
    const SCRIPT: usize = 2;
    let mut words = vec!["/bin/sh".to_owned(), "-c".to_owned(), script(directories)];
    words.extend([
        "veza-play".to_owned(),
        agent.sha256.clone(),
        agent.bytes.len().to_string(),
    ]);
    words.extend(arguments.iter().cloned());
    if let Some(become_user) = become_user {
        // sudo's complaints are recognized by their English words.
        let sudo = [
            "env",
            "LC_ALL=C",
            "sudo",
            "-n",
            "-H",
            "-u",
            &become_user.user,
            "--",
        ];
        words.splice(..0, sudo.map(str::to_owned));
        // That must not reach the commands of a play.
        words[SCRIPT + sudo.len()].insert_str(0, "unset LC_ALL; ");
    }
    let quoted: Vec<_> = words.iter().map(|word| quote(word)).collect();
    format!("exec {}", quoted.join(" "))
}

/// bootstrap.sh as one line.
fn script(directories: &str) -> String {
    let lines = include_str!("bootstrap.sh").lines().map(str::trim);
    let code: Vec<_> = lines
        .filter(|line| !line.starts_with('#') && !line.is_empty())
        .collect();
    code.join(" ").replace("@DIRECTORIES@", directories)
}

/// Why there is no greeting.
struct Missed {
    what: String,
    /// What came instead.
    junk: Vec<u8>,
}

/// Listens until the greeting, and sends the agent as often as it is asked for.
fn meet(pipe: &mut Pipe, agent: &AgentBinary) -> Result<(), Missed> {
    let wants = format!("veza-bootstrap wants {} ", agent.sha256);
    let mut heard = Vec::new();
    let mut end = Instant::now() + PATIENCE;
    loop {
        listen(pipe, &mut heard, end)?;
        if heard.ends_with(GREETING) {
            return Ok(());
        }
        if let Some(machine) = last_line_after(&heard, &wants) {
            let outcome = fits(agent, &machine).and_then(|()| send(pipe, &agent.bytes));
            heard.clear();
            end = Instant::now() + PATIENCE;
            outcome.map_err(|what| Missed {
                what,
                junk: Vec::new(),
            })?;
        } else if let Some(why) = last_line_after(&heard, "veza-bootstrap failed: ") {
            let what = format!(
                "no directory on the host can hold the agent: {}",
                why.trim_end_matches(';')
            );
            return Err(Missed {
                what,
                junk: Vec::new(),
            });
        } else if heard.len() > JUNK {
            let what = format!("more than {JUNK} bytes came before its greeting");
            return Err(Missed { what, junk: heard });
        }
    }
}

/// Reads some more, but never past the end of a greeting: what follows it is
/// the first frame. If `heard` ends with the first k bytes of the greeting, at
/// least its other bytes are still to come.
fn listen(pipe: &mut Pipe, heard: &mut Vec<u8>, end: Instant) -> Result<(), Missed> {
    let begun = (0..GREETING.len())
        .rev()
        .find(|k| heard.ends_with(&GREETING[..*k]));
    let mut buffer = [0; GREETING.len()];
    let safe = &mut buffer[begun.unwrap_or(0)..];
    let missed = |what: String, heard: &mut Vec<u8>| Missed {
        what,
        junk: std::mem::take(heard),
    };
    let mut ready = [PollFd::new(&pipe.output, PollFlags::IN)];
    match wait_for(&mut ready, end.saturating_duration_since(Instant::now())) {
        Ok(0) => {
            return Err(missed(
                format!("it did not greet within {} s", PATIENCE.as_secs()),
                heard,
            ));
        }
        Ok(_) => {}
        Err(error) => return Err(missed(error.to_string(), heard)),
    }
    match pipe.output.read(safe) {
        Ok(0) => Err(missed(
            "the command ended before its greeting".to_owned(),
            heard,
        )),
        Ok(size) => {
            heard.extend(&safe[..size]);
            Ok(())
        }
        Err(error) => Err(missed(format!("its output cannot be read: {error}"), heard)),
    }
}

/// The rest of the last line, where it is complete and begins with `start`.
fn last_line_after(heard: &[u8], start: &str) -> Option<String> {
    let lines = heard.strip_suffix(b"\n")?;
    let line = lines.rsplit(|byte| *byte == b'\n').next()?;
    let rest = line.strip_prefix(start.as_bytes())?;
    Some(String::from_utf8_lossy(rest).into_owned())
}

fn fits(agent: &AgentBinary, machine: &str) -> Result<(), String> {
    match agent.machine {
        Some(wanted) if wanted != machine => Err(format!(
            "the host is a {machine}, and this veza-play has an agent for {wanted} only"
        )),
        _ => Ok(()),
    }
}

/// Sends `bytes`, giving up when the host takes nothing for a while.
fn send(pipe: &mut Pipe, bytes: &[u8]) -> Result<(), String> {
    for chunk in bytes.chunks(CHUNK) {
        let mut ready = [PollFd::new(&pipe.input, PollFlags::OUT)];
        let room = wait_for(&mut ready, PATIENCE).map_err(|error| error.to_string())?;
        if room == 0 {
            return Err(format!(
                "the host took nothing of it for {} s",
                PATIENCE.as_secs()
            ));
        }
        pipe.input.write_all(chunk).map_err(not_taken)?;
    }
    Ok(())
}

fn not_taken(error: io::Error) -> String {
    format!("the host did not take it: {error}")
}

/// Puts into words why the agent did not start, best evidence first.
fn explain(
    missed: Missed,
    ending: &Ending,
    transport: &dyn Transport,
    become_user: Option<&Become>,
) -> Unreachable {
    let end = ending.wait(Duration::from_millis(500));
    let stderr = ending.stderr();
    if let Some(known) = transport.explain(&stderr) {
        return known;
    }
    if let Some(become_user) = become_user
        && let Some(known) = sudo_complaint(&stderr, &become_user.user, transport.name())
    {
        return known;
    }
    let mut reason = format!(
        "{}: the agent did not start: {}",
        transport.name(),
        missed.what
    );
    if let Some(end) = end {
        reason += &format!("; {end}");
    }
    for words in [quotation(&missed.junk), quotation(stderr.as_bytes())]
        .into_iter()
        .flatten()
    {
        reason += &format!("; the host said: {words}");
    }
    match hint(&reason) {
        Some(hint) => Unreachable::new(reason).hint(hint),
        None => Unreachable::new(reason),
    }
}

fn hint(reason: &str) -> Option<&'static str> {
    if reason.contains("no directory on the host") {
        return Some("make room, or make one of these directories usable for the user");
    }
    if reason.contains("before its greeting") {
        return Some("the user needs a login shell, and /bin/sh must be on the host");
    }
    None
}

/// What sudo said, where it is what kept the agent from starting.
fn sudo_complaint(stderr: &str, user: &str, name: &str) -> Option<Unreachable> {
    const COMPLAINTS: &[(&str, &str, &str)] = &[
        (
            "a password is required",
            "sudo asks for a password",
            "give the connecting user a NOPASSWD rule in sudoers, or connect as that user",
        ),
        (
            "a terminal is required",
            "sudo asks for a password",
            "give the connecting user a NOPASSWD rule in sudoers, or connect as that user",
        ),
        (
            "must have a tty",
            "sudo insists on a terminal",
            "remove `requiretty` from sudoers for the connecting user",
        ),
        (
            "is not in the sudoers file",
            "the connecting user may not use sudo",
            "add a rule for it to sudoers, or connect as that user",
        ),
        (
            "is not allowed to execute",
            "the connecting user may not do this with sudo",
            "allow /bin/sh as that user in sudoers, or connect as that user",
        ),
        (
            "sudo: not found",
            "sudo is not installed on the host",
            "install it, or connect as that user",
        ),
        (
            "sudo: No such file",
            "sudo is not installed on the host",
            "install it, or connect as that user",
        ),
        (
            "sudo’: No such file",
            "sudo is not installed on the host",
            "install it, or connect as that user",
        ),
    ];
    if stderr.contains("unknown user") {
        return Some(no_such_user(user, name));
    }
    let (_, what, hint) = COMPLAINTS.iter().find(|(sign, ..)| stderr.contains(sign))?;
    Some(Unreachable::new(format!("{name}: cannot become {user}: {what}")).hint(*hint))
}

/// Why nobody becomes a user who is not on the host.
pub fn no_such_user(user: &str, name: &str) -> Unreachable {
    let reason = format!("{name}: cannot become {user}: there is no such user on the host");
    Unreachable::new(reason).hint("create the user first")
}

/// The first printable part of what the host said, on one line.
fn quotation(words: &[u8]) -> Option<String> {
    const LONGEST: usize = 300;
    let text = String::from_utf8_lossy(words);
    let printable: String = text
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect();
    let joined = printable.split_whitespace().collect::<Vec<_>>().join(" ");
    let mut cut: String = joined.chars().take(LONGEST).collect();
    if cut.len() < joined.len() {
        cut.push('…');
    }
    (!cut.is_empty()).then(|| format!("`{cut}`"))
}

#[cfg(test)]
mod tests;
