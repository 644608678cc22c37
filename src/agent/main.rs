//! The agent: started on a host by the controller, it serves one session over
//! its standard input and output.

use std::io::{self, BufReader, BufWriter, Write};
use std::process::ExitCode;

use veza_agent::protocol::GREETING;
use veza_agent::serve::serve;

fn main() -> ExitCode {
    if std::env::args().nth(1).as_deref() == Some("--version") {
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
    let output = match take_stdout() {
        Ok(output) => output,
        Err(error) => return report(Err(error)),
    };
    let mut output = BufWriter::new(output);
    if let Err(error) = output.write_all(GREETING).and_then(|()| output.flush()) {
        return report(Err(error));
    }
    match serve(BufReader::new(io::stdin()), output) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => report(Err(io::Error::other(error))),
    }
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
