//! What is wrong with secrets, in words for people.

use veza_agent::outcome::Failure;

/// What is wrong with secrets, for people.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Trouble {
    /// What happened, as a sentence without a full stop.
    pub message: String,
    /// What to do.
    pub help: Option<String>,
}

impl Trouble {
    /// Trouble without advice.
    pub fn new(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            help: None,
        }
    }

    /// Adds what to do.
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// Says which file or name it is about.
    pub fn about(mut self, what: &str) -> Self {
        self.message = format!("{what}: {}", self.message);
        self
    }
}

impl From<Failure> for Trouble {
    fn from(failure: Failure) -> Self {
        Self {
            message: failure.message,
            help: failure.hint,
        }
    }
}
