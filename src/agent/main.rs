//! The agent: started on a host by the controller, it serves one session over
//! its standard input and output.
//!
//! `--hello JSON` is the first request, given at the start: the answer comes
//! right after the greeting, and no round trip is spent on asking.

use std::io::{self, BufReader, BufWriter, Cursor, Read, Write};
use std::process::ExitCode;

use veza_agent::protocol::{FrameError, GREETING, HELLO_ARGUMENT, Request, write_frame};
use veza_agent::serve::serve;

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let option = arguments.next();
    if option.as_deref() == Some("--version") {
        return report(writeln!(
            io::stdout(),
            "veza-agent {}",
            env!("CARGO_PKG_VERSION")
        ));
    }
    // The bootstrap made its files private; commands of the user make theirs
    // as a login of Debian does. What the agent keeps for itself has its mode
    // given each time.
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o022));
    let hello = match option.as_deref() {
        Some(HELLO_ARGUMENT) => arguments.next(),
        _ => None,
    };
    let output = match take_stdout() {
        Ok(output) => output,
        Err(error) => return report(Err(error)),
    };
    let mut output = BufWriter::new(output);
    if let Err(error) = output.write_all(GREETING).and_then(|()| output.flush()) {
        return report(Err(error));
    }
    match first_frame(hello).and_then(|hello| {
        let input = Cursor::new(hello).chain(BufReader::new(io::stdin()));
        serve(input, output)
    }) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => report(Err(io::Error::other(error))),
    }
}

/// A request that came as an argument, as if it came first on the input;
/// nothing, if there was none.
fn first_frame(json: Option<String>) -> Result<Vec<u8>, FrameError> {
    let mut frame = Vec::new();
    if let Some(json) = json {
        let request: Request = serde_json::from_str(&json).map_err(io::Error::other)?;
        write_frame(&mut frame, &request)?;
    }
    Ok(frame)
}

/// Frames keep the real standard output; whatever else prints there goes to
/// standard error.
fn take_stdout() -> io::Result<io::PipeWriter> {
    let frames = rustix::io::fcntl_dupfd_cloexec(rustix::stdio::stdout(), 3)?;
    rustix::stdio::dup2_stdout(rustix::stdio::stderr())?;
    Ok(frames.into())
}

fn report(result: io::Result<()>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // With standard error gone as well there is nobody left to tell.
            let _ = writeln!(io::stderr(), "veza-agent: {error}");
            ExitCode::FAILURE
        }
    }
}
