//! A PostgreSQL server, asked and changed through the host's `psql`.
//!
//! SQL travels on standard input, never in the words of a command, where
//! every user of the host could read it. All that comes from a script is
//! quoted by [`sql`].

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use crate::effect::{Command, Effect};
use crate::module::Result;
use crate::outcome::Failure;
use crate::password::PasswordHash;
use crate::resource::{Known, Properties, Resource, ResourceChange};
use crate::system::{Found, System};

pub mod sql;

pub mod verifier;

/// The kind of roles as resources.
pub const ROLE: &str = "role";

/// The kind of databases as resources.
pub const DATABASE: &str = "database";

/// The server, and as whom it is asked.
#[derive(Deserialize, JsonSchema)]
pub struct Server {
    /// The role that logs in. Root runs `psql` as the account of that name,
    /// whom the server knows by it.
    #[serde(default = "postgres")]
    login_user: String,
    /// The server's name, or the directory of its socket; the local one if not
    /// given.
    #[schemars(extend("x-alias" = ["login_unix_socket"]))]
    login_host: Option<String>,
    /// The server's port; the usual one if not given.
    #[schemars(extend("x-alias" = ["login_port"]))]
    port: Option<u16>,
}

fn postgres() -> String {
    "postgres".to_owned()
}

/// What a change of a server's resource is made of.
pub struct Change {
    /// What was there before; nothing where it was not there.
    pub before: Option<Properties>,
    /// What is there afterwards; nothing where it is gone.
    pub after: Option<Properties>,
    /// The statements that do it.
    pub sql: String,
    /// The new password, if it gets one.
    pub secret: Option<PasswordHash>,
    /// The statements that take it back, if that can be.
    pub undo: Option<String>,
}

impl Server {
    /// A role or database of this server.
    pub fn resource(&self, kind: &str, name: &str) -> Resource {
        let host = self.login_host.as_deref();
        let name = match (host, self.port) {
            (None, None) => name.to_owned(),
            (Some(host), None) => format!("{name} at {host}"),
            (host, Some(port)) => format!("{name} at {}:{port}", host.unwrap_or("port")),
        };
        Resource::new(kind, name)
    }

    /// What is known of a resource; `question` answers with one JSON value, or
    /// nothing where it is not there.
    pub fn read(
        &self,
        resource: &Resource,
        question: &str,
        understand: impl Fn(Value) -> Result<Known>,
        system: &dyn System,
    ) -> Result<Found<Known>> {
        if let Some(found) = system.resource(resource) {
            return Ok(found);
        }
        Ok(match self.ask(question, system)? {
            Found::Present(value) => Found::Present(understand(value)?),
            Found::Absent => Found::Absent,
            Found::Unknown(origin) => Found::Unknown(origin),
        })
    }

    /// The JSON value that a question answers with.
    pub fn ask(&self, question: &str, system: &dyn System) -> Result<Found<Value>> {
        let command = self.psql(question, system)?;
        let output = match system.answer(&command).map_err(clearer)? {
            Found::Present(output) => output,
            Found::Absent => return Ok(Found::Absent),
            Found::Unknown(origin) => return Ok(Found::Unknown(origin)),
        };
        match output.stdout.trim() {
            "" => Ok(Found::Absent),
            text => serde_json::from_str(text)
                .map(Found::Present)
                .map_err(|error| {
                    Failure::new(format!("psql answered what is no JSON: {error}"))
                        .value("stdout", text)
                }),
        }
    }

    /// Changes a resource.
    pub fn change(
        &self,
        resource: Resource,
        change: Change,
        system: &mut dyn System,
    ) -> Result<()> {
        let undo = change.undo.map(|sql| self.psql(&sql, system)).transpose()?;
        let effect = Effect::ChangeResource(ResourceChange {
            resource,
            before: change.before,
            after: change.after,
            command: self.psql(&change.sql, system)?,
            secret: change.secret,
            undo,
        });
        system.perform(effect).map(drop).map_err(clearer)
    }

    fn psql(&self, sql: &str, system: &dyn System) -> Result<Command> {
        let mut words = vec!["psql", "-XAtqw", "-v", "ON_ERROR_STOP=1"];
        words.extend(["-U", &self.login_user, "-d", "postgres"]);
        if let Some(host) = &self.login_host {
            words.extend(["-h", host]);
        }
        let port = self.port.map(|port| port.to_string());
        if let Some(port) = &port {
            words.extend(["-p", port]);
        }
        let root = system.me()?.name == "root";
        Ok(Command {
            input: Some(format!("SET client_encoding TO 'UTF8';\n{sql}\n")),
            user: root.then(|| self.login_user.clone()),
            ..Command::new(words)
        })
    }
}

/// The failure of a psql, told by what the server said.
fn clearer(failure: Failure) -> Failure {
    let Some(said) = failure.values.get("stderr").and_then(Value::as_str) else {
        return failure;
    };
    let part = |word: &str| {
        let (_, rest) = said.split_once(word)?;
        let ends = ["DETAIL:", "HINT:", "CONTEXT:", "LINE ", "STATEMENT:"];
        let end = ends.iter().filter_map(|end| rest.find(end)).min();
        let text: Vec<_> = rest[..end.unwrap_or(rest.len())]
            .split_whitespace()
            .collect();
        Some(text.join(" "))
    };
    let words = ["ERROR:", "FATAL:", "psql: error:"];
    let Some(error) = words.iter().find_map(|word| part(word)) else {
        return failure;
    };
    let message = match part("DETAIL:") {
        Some(detail) => format!("PostgreSQL refused: {error} ({detail})"),
        None => format!("PostgreSQL refused: {error}"),
    };
    Failure {
        message,
        hint: part("HINT:").or(failure.hint),
        ..failure
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_server_said_becomes_the_message() {
        let said = "ERROR:  role \"app\" cannot be dropped because some objects depend on it\n\
                    DETAIL:  owner of database app\nowner of table t\n";
        let failure = clearer(Failure::new("psql ended with exit code 3").value("stderr", said));
        assert_eq!(
            failure.message,
            "PostgreSQL refused: role \"app\" cannot be dropped because some objects depend on it \
             (owner of database app owner of table t)"
        );
        let said = "psql:<stdin>:2: ERROR:  x\nHINT:  Use template0.\n";
        let failure = clearer(Failure::new("psql").value("stderr", said));
        assert_eq!(failure.hint.as_deref(), Some("Use template0."));
        assert_eq!(failure.message, "PostgreSQL refused: x");
    }
}
