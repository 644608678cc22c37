//! Measures, run by hand: `cargo test --lib measure -- --ignored --nocapture`.
#![expect(clippy::print_stderr, reason = "a measure is there to be read")]

use std::io::{Read, Write};
use std::process::Command;
use std::time::{Duration, Instant};

use super::ECHOING_AGENT;
use super::sshd::Sshd;
use crate::transport::bootstrap::{AgentBinary, start_agent_in};
use crate::transport::{Connection, connect, quote};

const ROUNDS: usize = 15;

/// From nothing to the greeting of an agent that is already on the host,
/// beside the ssh program that runs `true`.
#[test]
#[ignore = "a measure, not a test"]
fn measure_greeting_beside_ssh() {
    let Some(sshd) = Sshd::start() else { return };
    let agent = AgentBinary::new(ECHOING_AGENT, None);
    let home = quote(&sshd.file("agents").display().to_string());
    let server = Connection::Ssh(sshd.connection());
    let greeted = || {
        let mut transport = connect(&server).unwrap();
        drop(start_agent_in(&home, &mut *transport, &agent, None, &[]).unwrap());
    };
    greeted();
    let ours = median(greeted);
    let connected = median(|| drop(connect(&server).unwrap()));
    let ssh = median(|| assert!(sshd.ssh().arg("true").status().unwrap().success()));
    eprintln!("connect and log in {connected:?}, with greeting {ours:?}, ssh HOST true {ssh:?}");
    eprintln!("ratio {:.2}", ours.as_secs_f64() / ssh.as_secs_f64());
}

/// Round trips and throughput over one open command.
#[test]
#[ignore = "a measure, not a test"]
fn measure_round_trips_and_throughput() {
    let Some(sshd) = Sshd::start() else { return };
    let mut transport = connect(&Connection::Ssh(sshd.connection())).unwrap();
    let mut pipe = transport.open("exec cat").unwrap();
    let round_trip = median(|| {
        let mut frame = [7; 64];
        pipe.input.write_all(&frame).unwrap();
        pipe.output.read_exact(&mut frame).unwrap();
    });
    eprintln!("round trip {round_trip:?}");
    let mut pipe = transport.open("exec cat >/dev/null").unwrap();
    let block = vec![7; 64 * 1024 * 1024];
    let began = Instant::now();
    pipe.input.write_all(&block).unwrap();
    drop(pipe.input);
    assert!(pipe.ending.wait(Duration::from_secs(60)).is_some());
    eprintln!("upload {:.0} MiB/s", 64.0 / began.elapsed().as_secs_f64());
    let mut pipe = transport.open("exec head -c 67108864 /dev/zero").unwrap();
    let began = Instant::now();
    pipe.output.read_to_end(&mut Vec::new()).unwrap();
    eprintln!("download {:.0} MiB/s", 64.0 / began.elapsed().as_secs_f64());
}

fn median(mut run: impl FnMut()) -> Duration {
    let mut times: Vec<_> = (0..ROUNDS)
        .map(|_| {
            let began = Instant::now();
            run();
            began.elapsed()
        })
        .collect();
    times.sort();
    times[ROUNDS / 2]
}

impl Sshd {
    /// The ssh program, about to log in here without any file of the user's.
    fn ssh(&self) -> Command {
        let server = self.connection();
        let mut ssh = Command::new("ssh");
        ssh.args(["-F", "none", "-o", "BatchMode=yes", "-o"]);
        ssh.arg(format!(
            "UserKnownHostsFile={}",
            self.file("known_hosts").display()
        ));
        ssh.arg("-i")
            .arg(self.file("key"))
            .args(["-p", &server.port.to_string()]);
        ssh.arg(format!("{}@{}", server.user.unwrap(), server.address));
        ssh
    }
}
