//! The SSH transport against a real sshd.

mod lab;
mod speed;
mod sshd;

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::{Duration, Instant};

use sshd::Sshd;

use super::bootstrap::{AgentBinary, start_agent, start_agent_in};
use super::child::Children;
use super::ssh::{SshTransport, Surroundings, for_any_shell};
use super::{Connection, End, Pipe, Ssh, Transport, Unreachable, connect, quote};

/// An agent that greets and echoes what it reads.
const ECHOING_AGENT: &[u8] = b"#!/bin/sh
[ \"$1\" = --version ] && exit 0
printf '\\nveza-agent ready 1\\n'
exec cat
";

fn refusal(server: Ssh) -> Unreachable {
    connect(&Connection::Ssh(server)).map(drop).unwrap_err()
}

#[test]
fn a_command_runs_and_its_end_is_known() {
    let Some(sshd) = Sshd::start() else { return };
    let mut transport = connect(&Connection::Ssh(sshd.connection())).unwrap();
    let mut pipe = transport.open("cat; echo \"it's\" >&2; exit 3").unwrap();
    pipe.input.write_all(b"hello").unwrap();
    drop(pipe.input);
    let mut said = String::new();
    pipe.output.read_to_string(&mut said).unwrap();
    assert_eq!(said, "hello");
    assert_eq!(
        pipe.ending.wait(Duration::from_secs(5)),
        Some(End::Exited(3))
    );
    assert_eq!(pipe.ending.stderr(), "it's\n");
}

#[test]
fn a_signal_is_no_success() {
    let Some(sshd) = Sshd::start() else { return };
    let mut transport = connect(&Connection::Ssh(sshd.connection())).unwrap();
    let pipe = transport.open("kill -KILL $$").unwrap();
    let end = pipe.ending.wait(Duration::from_secs(5));
    assert_eq!(end, Some(End::Signalled("KILL".into())));
}

#[test]
fn two_commands_share_a_connection_without_waiting_for_each_other() {
    let Some(sshd) = Sshd::start() else { return };
    let mut transport = connect(&Connection::Ssh(sshd.connection())).unwrap();
    // Nobody reads this one, so its windows fill and stay full.
    let stuck = transport.open("cat /dev/zero").unwrap();
    let mut echo = transport.open("cat").unwrap();
    for size in [1, 100_000] {
        let sent = vec![b'x'; size];
        let mut received = vec![0; size];
        let mut input = echo.input.try_clone().unwrap();
        let writer = std::thread::spawn(move || input.write_all(&sent).unwrap());
        echo.output.read_exact(&mut received).unwrap();
        writer.join().unwrap();
        assert!(received.iter().all(|byte| *byte == b'x'));
    }
    drop(stuck);
}

#[test]
fn both_windows_may_fill_without_a_deadlock() {
    let Some(sshd) = Sshd::start() else { return };
    let mut transport = connect(&Connection::Ssh(sshd.connection())).unwrap();
    let mut pipe = transport.open("cat").unwrap();
    let size = 32 * 1024 * 1024;
    let writer = std::thread::spawn(move || {
        let block: Vec<u8> = (0..size).map(|n: usize| (n / 7) as u8).collect();
        pipe.input.write_all(&block).unwrap();
        block
    });
    // Long enough for everything between to be full.
    std::thread::sleep(Duration::from_millis(500));
    let mut received = Vec::new();
    pipe.output.read_to_end(&mut received).unwrap();
    assert!(received == writer.join().unwrap());
}

#[test]
fn a_stopped_reader_does_not_keep_the_thread_busy() {
    let Some(sshd) = Sshd::start() else { return };
    let mut transport = connect(&Connection::Ssh(sshd.connection())).unwrap();
    let pipe = transport.open("cat /dev/zero").unwrap();
    std::thread::sleep(Duration::from_millis(500));
    let before = sshd.ticks_of_its_thread();
    std::thread::sleep(Duration::from_millis(500));
    assert!(sshd.ticks_of_its_thread() - before < 5);
    drop(pipe);
}

#[test]
fn dropping_ends_everything_at_once_even_where_the_command_hangs() {
    let Some(sshd) = Sshd::start() else { return };
    let mut transport = connect(&Connection::Ssh(sshd.connection())).unwrap();
    let mut pipe = transport.open("trap '' HUP; exec sleep 4").unwrap();
    let began = Instant::now();
    drop(transport);
    assert!(began.elapsed() < Duration::from_secs(4));
    assert_eq!(pipe.output.read(&mut [0; 8]).unwrap(), 0);
    assert!(matches!(
        pipe.ending.wait(Duration::ZERO),
        Some(End::Lost(_))
    ));
}

#[test]
fn an_unknown_host_is_refused_with_its_fingerprint() {
    let Some(sshd) = Sshd::start() else { return };
    sshd.write_known_hosts("# nothing\n");
    let error = refusal(sshd.connection());
    let expected = Command::new("ssh-keygen")
        .arg("-lf")
        .arg(sshd.file("host_ed25519.pub"))
        .output()
        .unwrap();
    let expected = String::from_utf8(expected.stdout).unwrap();
    let fingerprint = expected.split_whitespace().nth(1).unwrap();
    assert!(fingerprint.starts_with("SHA256:"));
    assert!(error.reason.contains(fingerprint), "{error}");
    assert!(error.reason.contains("not known"), "{error}");
    assert!(error.hint.unwrap().contains("ssh-keyscan"));
}

#[test]
fn a_changed_key_is_refused_with_an_alarm_and_its_place() {
    let Some(sshd) = Sshd::start() else { return };
    sshd.trust("key");
    let error = refusal(sshd.connection());
    assert!(error.reason.contains("THE HOST KEY HAS CHANGED"), "{error}");
    assert!(error.reason.contains("known_hosts:1"), "{error}");
}

#[test]
fn a_server_is_asked_for_the_key_that_is_known() {
    let Some(sshd) = Sshd::start() else { return };
    sshd.trust("host_rsa");
    connect(&Connection::Ssh(sshd.connection())).unwrap();
}

#[test]
fn a_revoked_key_is_refused() {
    let Some(sshd) = Sshd::start() else { return };
    let public = std::fs::read_to_string(sshd.file("host_ed25519.pub")).unwrap();
    sshd.write_known_hosts(&format!("* {public}@revoked * {public}"));
    let error = refusal(sshd.connection());
    assert!(error.reason.contains("revoked in"), "{error}");
    assert!(error.reason.contains("known_hosts:2"), "{error}");
}

#[test]
fn a_refused_login_lists_what_was_tried() {
    let Some(sshd) = Sshd::start() else { return };
    let strange = sshd.strange_key("");
    let error = refusal(Ssh {
        identity_files: vec![strange.clone(), sshd.file("missing")],
        ..sshd.connection()
    });
    assert!(
        error
            .reason
            .contains(&format!("key {} (refused)", strange.display())),
        "{error}"
    );
    assert!(error.reason.contains("missing (unreadable: "), "{error}");
    assert!(error.reason.contains("SSH agent ("), "{error}");
    assert!(
        error.reason.contains("the server accepts publickey"),
        "{error}"
    );
}

#[test]
fn a_key_with_a_passphrase_is_named_as_such() {
    let Some(sshd) = Sshd::start() else { return };
    let error = refusal(Ssh {
        identity_files: vec![sshd.strange_key("secret")],
        ..sshd.connection()
    });
    assert!(
        error.reason.contains("protected by a passphrase"),
        "{error}"
    );
}

#[test]
fn a_silent_server_and_a_closed_port_are_told_apart() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let server = Ssh {
        address: "127.0.0.1".into(),
        port: listener.local_addr().unwrap().port(),
        user: Some("nobody".into()),
        identity_files: Vec::new(),
        known_hosts: Some("/dev/null".into()),
        host_keys: Vec::new(),
        timeout: Duration::from_millis(500),
    };
    let began = Instant::now();
    let error = refusal(server.clone());
    assert!(
        error.reason.contains("did not finish the key exchange"),
        "{error}"
    );
    assert!(began.elapsed() < Duration::from_secs(2));
    drop(listener);
    let error = refusal(server);
    assert!(
        error.reason.contains("the connection was refused"),
        "{error}"
    );
}

#[test]
fn a_server_that_falls_silent_is_lost() {
    let Some(sshd) = Sshd::start() else { return };
    let cable = Cable::to(&sshd.connection());
    // libssh2 asks every two seconds at most.
    let around = Surroundings {
        probe: Duration::from_secs(2),
        ..Surroundings::default()
    };
    let mut transport = SshTransport::connect(&cable.end(&sshd), &around).unwrap();
    let pipe = transport.open("exec cat").unwrap();
    // An idle server answers the questions.
    assert_eq!(pipe.ending.wait(Duration::from_secs(7)), None);
    cable.cut();
    let end = pipe.ending.wait(Duration::from_secs(10));
    assert!(
        matches!(&end, Some(End::Lost(why)) if why.contains("has not answered")),
        "{end:?}"
    );
}

/// Carries one connection until it is cut, which leaves it open and silent, or
/// torn, which closes it.
struct Cable {
    port: u16,
    state: Arc<AtomicU8>,
}

const WHOLE: u8 = 0;
const CUT: u8 = 1;
const TORN: u8 = 2;

impl Cable {
    fn to(server: &Ssh) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let (state, target) = (Arc::new(AtomicU8::new(WHOLE)), server.port);
        let watched = Arc::clone(&state);
        std::thread::spawn(move || {
            let (near, _) = listener.accept().unwrap();
            let far = TcpStream::connect(("127.0.0.1", target)).unwrap();
            let (far_too, near_too) = (far.try_clone().unwrap(), near.try_clone().unwrap());
            let watched_too = Arc::clone(&watched);
            std::thread::spawn(move || carry(far_too, near_too, &watched_too));
            carry(near, far, &watched);
        });
        Self { port, state }
    }

    /// How to log in through the cable; the server's key is made known there.
    fn end(&self, sshd: &Sshd) -> Ssh {
        let server = sshd.connection();
        let known = std::fs::read_to_string(sshd.file("known_hosts")).unwrap();
        let (old, new) = (format!(":{}", server.port), format!(":{}", self.port));
        sshd.write_known_hosts(&known.replace(&old, &new));
        Ssh {
            port: self.port,
            ..server
        }
    }

    fn cut(&self) {
        self.state.store(CUT, Ordering::SeqCst);
    }

    fn tear(&self) {
        self.state.store(TORN, Ordering::SeqCst);
    }
}

fn carry(mut from: TcpStream, mut to: TcpStream, state: &AtomicU8) {
    let mut buffer = [0; 4096];
    from.set_read_timeout(Some(Duration::from_millis(20)))
        .unwrap();
    while state.load(Ordering::SeqCst) != TORN {
        match from.read(&mut buffer) {
            Ok(0) => return,
            Ok(_) if state.load(Ordering::SeqCst) == CUT => {}
            Ok(size) => to.write_all(&buffer[..size]).unwrap(),
            Err(_) => {}
        }
    }
    let _ = from.shutdown(Shutdown::Both);
}

#[test]
fn a_dead_server_is_noticed_at_once() {
    let Some(sshd) = Sshd::start() else { return };
    let cable = Cable::to(&sshd.connection());
    let server = cable.end(&sshd);
    let mut transport = connect(&Connection::Ssh(server)).unwrap();
    let mut pipe = transport.open("exec cat").unwrap();
    cable.tear();
    assert_eq!(pipe.output.read(&mut [0; 8]).unwrap(), 0);
    let end = pipe.ending.wait(Duration::from_secs(2));
    assert!(
        matches!(&end, Some(End::Lost(why)) if why.contains("was lost")),
        "{end:?}"
    );
    let error = transport.open("true").map(drop).unwrap_err();
    assert!(error.reason.contains("already closed"), "{error}");
}

#[test]
fn a_command_that_nobody_listens_to_is_closed() {
    let Some(sshd) = Sshd::start() else { return };
    let mut transport = connect(&Connection::Ssh(sshd.connection())).unwrap();
    let Pipe {
        input,
        output,
        ending,
    } = transport.open("sleep 2; echo late").unwrap();
    drop((input, output));
    assert!(ending.wait(Duration::from_millis(1500)).is_some());
    // The connection goes on.
    let pipe = transport.open("exit 7").unwrap();
    assert_eq!(
        pipe.ending.wait(Duration::from_secs(2)),
        Some(End::Exited(7))
    );
}

#[test]
fn a_server_that_is_out_of_sessions_says_so() {
    let Some(sshd) = Sshd::start() else { return };
    let mut transport = connect(&Connection::Ssh(sshd.connection())).unwrap();
    let pipes: Vec<_> = (0..10)
        .map(|_| transport.open("exec cat").unwrap())
        .collect();
    let error = transport.open("exec cat").map(drop).unwrap_err();
    assert!(error.reason.contains("refused a channel"), "{error}");
    drop(pipes);
}

#[test]
fn keys_of_the_agent_are_used_and_counted() {
    let Some(sshd) = Sshd::start() else { return };
    let Some(agent) = sshd::KeyAgent::start(&sshd) else {
        return;
    };
    let nothing_named = Ssh {
        identity_files: vec![sshd.file("missing")],
        ..sshd.connection()
    };
    agent.add(&sshd.strange_key(""));
    let around = Surroundings {
        key_agent: Some(agent.socket.clone()),
        ..Surroundings::default()
    };
    let with_agent = |server: &Ssh| SshTransport::connect(server, &around);
    let error = with_agent(&nothing_named).map(drop).unwrap_err();
    assert!(
        error.reason.contains("SSH agent (its key was refused)"),
        "{error}"
    );
    agent.add(&sshd.file("key"));
    with_agent(&nothing_named).unwrap();
}

#[test]
fn an_account_that_may_not_log_in_is_reported_with_its_words() {
    let Some(sshd) = Sshd::start() else { return };
    if sshd::user() != "root" {
        return;
    }
    let server = Ssh {
        user: Some("nobody".into()),
        ..sshd.connection()
    };
    let agent = AgentBinary::new(b"".as_slice(), None);
    let mut transport = connect(&Connection::Ssh(server)).unwrap();
    let error = start_agent(&mut *transport, &agent, None, &[])
        .map(drop)
        .unwrap_err();
    assert!(
        error
            .reason
            .contains("`This account is currently not available.`"),
        "{error}"
    );
    assert!(error.reason.starts_with("nobody@127.0.0.1:"), "{error}");
}

/// What sshd hands to the login shell is one word after `-c`.
#[test]
fn other_login_shells_take_the_line_too() {
    let agent = AgentBinary::new(ECHOING_AGENT, None);
    for shell in ["bash", "dash", "fish", "ksh", "tcsh", "zsh"] {
        let there = Command::new(shell).args(["-c", "true"]).output().is_ok();
        if !there {
            continue;
        }
        let root = tempfile::tempdir().unwrap();
        // A path of letters that shells read must survive two rounds of quoting.
        let home = quote(&root.path().join(r"it's \! $x").display().to_string());
        let mut transport = LoginShell(Children::default(), shell);
        let mut pipe = start_agent_in(&home, &mut transport, &agent, None, &[]).unwrap();
        pipe.input.write_all(b"frame").unwrap();
        drop(pipe.input);
        let mut received = String::new();
        pipe.output.read_to_string(&mut received).unwrap();
        assert_eq!(received, "frame", "{shell}");
    }
}

/// Runs commands as sshd does for a user with this shell.
struct LoginShell(Children, &'static str);

impl Transport for LoginShell {
    fn open(&mut self, command: &str) -> Result<Pipe, Unreachable> {
        let mut shell = Command::new(self.1);
        Ok(self
            .0
            .start(shell.arg("-c").arg(for_any_shell(command)))
            .unwrap())
    }

    fn name(&self) -> &str {
        self.1
    }
}

#[test]
fn an_agent_starts_over_ssh_whatever_the_shell_says_first() {
    let Some(sshd) = Sshd::start() else { return };
    let agent = AgentBinary::new(ECHOING_AGENT, None);
    let mut transport = connect(&Connection::Ssh(sshd.connection())).unwrap();
    let home = quote(&sshd.file("agents").display().to_string());
    for _ in 0..2 {
        let mut pipe = start_agent_in(&home, &mut *transport, &agent, None, &[]).unwrap();
        pipe.input.write_all(b"frame").unwrap();
        drop(pipe.input);
        let mut received = String::new();
        pipe.output.read_to_string(&mut received).unwrap();
        assert_eq!(received, "frame");
    }
}
