//! The `veza-play` program.

use std::process::ExitCode;

use clap::Parser;
use veza_play::cli::Cli;
use veza_play::command;
use veza_play::exit::Exit;

fn main() -> ExitCode {
    match Cli::try_parse() {
        Ok(cli) => command::run(cli).into(),
        Err(error) => {
            // With no terminal to tell, the exit code still says it.
            let _ = error.print();
            match error.use_stderr() {
                true => Exit::Script.into(),
                false => Exit::Done.into(),
            }
        }
    }
}
