//! Modules that are written in Rhai: they run here, and read and change the
//! host through its agent, one question after the other.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::{Map, Value, json};
use veza_agent::mark;
use veza_agent::outcome::{Failure, Outcome};
use veza_agent::protocol::Request;

use super::host::RunHost;
use super::line::Answer;
use super::session::Session;
use super::shared::Shared;
use crate::script::RESOURCE;
use crate::script::tasks::{Door, Stop};

/// The door to one host, for one call of a module.
pub struct HostDoor {
    shared: Arc<Shared>,
    host: Arc<RunHost>,
    session: Arc<Session>,
    /// Where what is read from now on comes from, in a dry run, once the
    /// module has done what may change it in ways that are not recorded.
    later: Mutex<Option<String>>,
}

impl HostDoor {
    /// The door that an agent keeps.
    pub fn new(shared: Arc<Shared>, host: Arc<RunHost>, session: Arc<Session>) -> Self {
        Self {
            shared,
            host,
            session,
            later: Mutex::default(),
        }
    }

    fn later(&self) -> MutexGuard<'_, Option<String>> {
        self.later.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn send(&self, request: &Request) -> Result<Answer, Stop> {
        let (Request::Door { id, .. } | Request::Records { id }) = request else {
            return Err(Stop::Cancelled);
        };
        self.session
            .send(request)
            .map_err(|why| self.host.lose(why))?;
        self.session.answer(*id).map_err(|why| self.host.lose(why))
    }

    /// Notes a command that was recorded without what it does.
    fn note(&self, function: &str, arguments: &Map<String, Value>, answer: &Value) {
        let says_what = ["creates", "removes"].map(|name| arguments.contains_key(name));
        if let Some(origin) = mark::unknown_within(answer)
            && function == "run"
            && says_what == [false, false]
        {
            *self.later() = Some(origin.to_owned());
        }
    }
}

impl Door for HostDoor {
    fn call(
        &self,
        function: &str,
        mut arguments: Map<String, Value>,
    ) -> Result<Result<Value, Failure>, Stop> {
        let known = veza_agent::door::find(function);
        let is_effect = known.is_some_and(|function| function.is_effect());
        // What is recorded of a thing stays known.
        if let (false, Some(origin)) = (is_effect, &*self.later())
            && function != RESOURCE
        {
            return Ok(Ok(mark::unknown(origin).into()));
        }
        if let Some(Value::String(text)) = arguments.get("content") {
            let content = match self.shared.preparation.content(text) {
                Ok(content) => content,
                Err(failure) => return Ok(Err(failure)),
            };
            arguments.insert("content".to_owned(), json!(content));
        }
        let given = Value::Object(arguments.clone());
        if let Err(failure) = self.host.entrust(&self.session, &given) {
            return Ok(Err(failure));
        }
        let request = Request::Door {
            id: self.host.next_call(),
            function: function.to_owned(),
            arguments: given,
        };
        match self.send(&request)? {
            Answer::Told(answer) => {
                if let Ok(answer) = &answer {
                    self.note(function, &arguments, answer);
                }
                Ok(answer)
            }
            Answer::Done(..) | Answer::Dropped => Err(Stop::Cancelled),
        }
    }

    fn waits(&self) -> bool {
        let waits = self.host.waits();
        if !waits {
            *self.later() = Some("what it waits for".to_owned());
        }
        waits
    }

    fn records(&self) -> Result<Outcome, Stop> {
        let id = self.host.next_call();
        match self.send(&Request::Records { id })? {
            Answer::Done(outcome, _) => Ok(*outcome),
            Answer::Told(_) | Answer::Dropped => Err(Stop::Cancelled),
        }
    }
}
