//! Calls modules of a running agent by hand, without a controller:
//!
//! ```console
//! cargo run -p veza-agent --example call -- dry_run 'incus exec web -T -- /root/veza-agent' \
//!     file '{"path": "/tmp/x", "state": "directory"}'
//! ```
//!
//! The first argument is the world (`live` or `dry_run`), the second the
//! command that starts the agent; then come pairs of module and arguments. The
//! module `pending` shows what a dry run has recorded so far.

#![expect(
    clippy::disallowed_types,
    reason = "this is the controller's part, not the host's"
)]

use std::error::Error;
use std::io::{self, BufReader, Read, Write};
use std::process::{Command, Stdio};

use veza_agent::protocol::{GREETING, Reply, Request, VERSION, World, read_frame, write_frame};

fn main() -> Result<(), Box<dyn Error>> {
    let mut words = std::env::args().skip(1);
    let (Some(world), Some(start)) = (words.next(), words.next()) else {
        return Err("usage: call WORLD COMMAND [MODULE ARGUMENTS]...".into());
    };
    let world = if world == "live" {
        World::Live
    } else {
        World::DryRun
    };
    let mut agent = Command::new("sh")
        .args(["-c", &start])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    let mut input = agent.stdin.take().ok_or("no standard input")?;
    let mut output = BufReader::new(agent.stdout.take().ok_or("no standard output")?);
    let mut greeting = vec![0; GREETING.len()];
    output.read_exact(&mut greeting)?;
    let run = format!("by-hand-{}", std::process::id());
    write_frame(
        &mut input,
        &Request::Hello {
            version: VERSION,
            world,
            run,
        },
    )?;
    let mut id = 0;
    while let (Some(module), Some(arguments)) = (words.next(), words.next()) {
        if module == "pending" {
            write_frame(&mut input, &Request::TakePending)?;
            id += 1;
            continue;
        }
        let arguments = serde_json::from_str(&arguments)?;
        write_frame(
            &mut input,
            &Request::Call {
                id,
                module,
                arguments,
            },
        )?;
        write_frame(&mut input, &Request::Resume)?;
        id += 1;
    }
    input.flush()?;
    let mut left = id;
    while left > 0 {
        let reply: Reply = read_frame(&mut output)?;
        left -= u64::from(matches!(reply, Reply::Done { .. } | Reply::Pending(_)));
        writeln!(io::stdout(), "{}", serde_json::to_string_pretty(&reply)?)?;
    }
    Ok(())
}
