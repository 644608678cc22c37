//! What the words of the command line do. Each command ends with an exit code;
//! what goes wrong before a run is told here.

mod apply;

mod doc;

mod exec;

mod functions;

mod hosts;

mod lint;

mod options;

mod vault;

use std::io::Write;
use std::path::Path;
use std::sync::Arc;

use veza_agent::modules;

use crate::cli::{Cli, Command};
use crate::exit::Exit;
use crate::inventory::InventoryError;
use crate::schema::Schema;
use crate::script::catalog::Catalog;
use crate::script::diagnostics::Problem;
use crate::script::{Overrides, Playbook};
use crate::secrets::{Keys, Trouble};

/// Carries out a command line.
pub fn run(cli: Cli) -> Exit {
    let done = match cli.command {
        None => apply::run(cli.apply),
        Some(Command::Lint { files }) => lint::run(&files),
        Some(Command::Doc { name, project }) => doc::run(name.as_deref(), &project),
        Some(Command::Hosts {
            file,
            pattern,
            set,
            output,
        }) => hosts::run(&file, &pattern, &set, output),
        Some(Command::Exec {
            file,
            pattern,
            words,
            user,
            selection,
        }) => exec::run(&file, &pattern, &words, user, selection),
        Some(Command::Vault { command }) => vault::run(command),
    };
    match done {
        Ok(exit) => exit,
        Err(refusal) => refusal.tell(),
    }
}

/// Why a command was not carried out.
enum Refusal {
    /// A sentence without a full stop.
    Message(String),
    /// What is wrong with the scripts.
    Problems(Vec<Problem>),
}

impl Refusal {
    fn tell(self) -> Exit {
        match self {
            Self::Message(message) => {
                let style = console::Style::new().for_stderr().red().bold();
                say(&format!("{} {message}", style.apply_to("error:")));
            }
            Self::Problems(problems) => tell(problems),
        }
        Exit::Script
    }
}

impl From<Vec<Problem>> for Refusal {
    fn from(problems: Vec<Problem>) -> Self {
        Self::Problems(problems)
    }
}

/// A pattern of the command line that selects nothing.
impl From<InventoryError> for Refusal {
    fn from(error: InventoryError) -> Self {
        let help = error
            .help
            .map(|help| format!("; {help}"))
            .unwrap_or_default();
        Self::Message(format!("{}{help}", error.message))
    }
}

/// What is wrong with secrets.
impl From<Trouble> for Refusal {
    fn from(trouble: Trouble) -> Self {
        match trouble.help {
            Some(help) => Self::Message(format!("{}\n  help: {help}", trouble.message)),
            None => Self::Message(trouble.message),
        }
    }
}

impl From<std::io::Error> for Refusal {
    fn from(error: std::io::Error) -> Self {
        Self::Message(error.to_string())
    }
}

/// Shows problems with the text underlined, and says how many there are.
fn tell(problems: Vec<Problem>) {
    let count = problems.len();
    for problem in problems {
        say(&format!("{:?}", miette::Report::new(problem)));
    }
    if count > 1 {
        say(&format!("{count} problems; nothing was changed."));
    }
}

/// The result of a command that only shows something.
fn show(text: &str) -> Result<(), Refusal> {
    match std::io::stdout().write_all(text.as_bytes()) {
        // A reader that has seen enough is no failure.
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(()),
    }
}

/// A sentence for the person at the terminal.
fn say(text: &str) {
    // With standard error gone there is nobody to tell.
    let _ = writeln!(std::io::stderr(), "{text}");
}

/// What opens secrets, with what other programs set for the same.
fn keys(given: &crate::cli::Keys) -> Keys {
    let password = std::env::var_os("ANSIBLE_VAULT_PASSWORD_FILE").map(Into::into);
    Keys {
        identities: given.identity.clone(),
        vault_password_file: given.vault_password_file.clone().or(password),
    }
}

/// All modules that scripts may call.
fn catalog() -> Arc<Catalog> {
    let schemas = modules::ALL
        .iter()
        .map(|module| Schema::of_module(module.name, module.positional, &(module.schema)()));
    Arc::new(Catalog::new(schemas))
}

/// Reads and checks an env file.
fn load(file: &Path, set: &[String]) -> Result<Arc<Playbook>, Refusal> {
    let overrides = Overrides::parse(set.iter().map(String::as_str)).map_err(Refusal::Message)?;
    Ok(Arc::new(Playbook::load(file, &overrides, catalog())?))
}
