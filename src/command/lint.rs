//! `veza-play lint`: what is wrong with env files and all they import, found
//! without connecting to anything.

use std::path::PathBuf;

use super::{Refusal, load, say};
use crate::exit::Exit;
use crate::script::diagnostics::Problem;

/// Tells every problem of every file.
pub fn run(files: &[PathBuf]) -> Result<Exit, Refusal> {
    let mut problems: Vec<Problem> = Vec::new();
    for file in files {
        match load(file, &[]) {
            Ok(_) => {}
            Err(Refusal::Problems(found)) => problems.extend(found),
            Err(refusal) => return Err(refusal),
        }
    }
    if !problems.is_empty() {
        return Err(problems.into());
    }
    let files: Vec<String> = files
        .iter()
        .map(|file| file.display().to_string())
        .collect();
    say(&format!("No problems in {}.", files.join(", ")));
    Ok(Exit::Done)
}
