//! Groups of the host.

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::effect::Effect;
use crate::mark;
use crate::module::{Module, Result};
use crate::state::{Attribute, Diff, State};
use crate::system::{System, sound};

/// Keeps a group, with its number.
///
/// ```rhai
/// group("deploy", #{ gid: 2000 });
/// ```
#[derive(Deserialize, JsonSchema)]
pub struct Group {
    /// The group's name.
    name: String,
    /// Its number; the system chooses one if not given.
    gid: Option<u32>,
    /// Whether it shall be there.
    #[serde(default)]
    state: GroupState,
    /// Whether a new group's number comes from the system's range.
    #[serde(default)]
    system: bool,
    /// Whether another group may have the same number.
    #[serde(default)]
    non_unique: bool,
    /// Whether it is removed even while it is a user's primary group.
    #[serde(default)]
    force: bool,
}

/// Whether a group shall be there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum GroupState {
    /// It is there.
    #[default]
    Present,
    /// It is not there.
    Absent,
}

impl Module for Group {
    const NAME: &'static str = "group";
    const POSITIONAL: &'static [&'static str] = &["name"];

    fn title(&self) -> String {
        self.name.clone()
    }

    fn found(&self, system: &dyn System) -> Result<State> {
        sound::new_name("group", &self.name)?;
        let groups = system.groups()?;
        let Some(group) = groups.into_iter().find(|group| group.name == self.name) else {
            return Ok(State::new().with("state", "absent"));
        };
        let mut state = State::new().with("state", "present");
        match group.gid {
            Some(gid) => state.set("gid", gid),
            None => state.set_unknown("gid", format!("the new group {}", self.name)),
        }
        Ok(state)
    }

    fn wanted(&self, _: &State) -> Result<State> {
        if self.state == GroupState::Absent {
            return Ok(State::new().with("state", "absent"));
        }
        let mut wanted = State::new().with("state", "present");
        wanted.set_some("gid", self.gid);
        Ok(wanted)
    }

    fn fix(&self, diff: &Diff, system: &mut dyn System) -> Result<()> {
        let name = self.name.clone();
        let effect = match (self.state, self.gid) {
            (GroupState::Absent, _) => Effect::RemoveGroup {
                name,
                force: self.force,
            },
            (GroupState::Present, Some(gid)) if !diff.has("state") => Effect::ChangeGroup {
                name,
                gid,
                non_unique: self.non_unique,
            },
            (GroupState::Present, gid) => Effect::AddGroup {
                name,
                gid,
                system: self.system,
                non_unique: self.non_unique,
            },
        };
        system.perform(effect).map(drop)
    }

    fn values(&self, state: &State) -> Map<String, Value> {
        let gid = match state.get("gid") {
            Some(Attribute::Value(gid)) => gid.clone(),
            Some(Attribute::Unknown(origin)) => Value::from(mark::unknown(origin)),
            _ => return Map::new(),
        };
        Map::from_iter([("gid".to_owned(), gid)])
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::modules::testing::{changes_once, effects, host, refusal};
    use crate::system::overlay::Pending;

    #[test]
    fn a_group_is_added_renumbered_and_removed() {
        let mut host = host(Pending::default());
        let outcome = changes_once(&mut host, "group", json!({ "name": "app" }));
        assert_eq!(effects(&outcome), ["add_group"]);
        let gid = outcome.values["gid"].as_str().expect("a mark");
        assert_eq!(mark::show(gid), "(known after apply)");
        let absent = json!({ "name": "app", "state": "absent" });
        assert_eq!(
            effects(&changes_once(&mut host, "group", absent)),
            ["remove_group"]
        );
        let numbered = json!({ "name": "app", "gid": 2000, "system": true });
        changes_once(&mut host, "group", numbered);
        let outcome = changes_once(&mut host, "group", json!({ "name": "app", "gid": 2001 }));
        assert_eq!(effects(&outcome), ["change_group"]);
        assert_eq!(outcome.values["gid"], 2001);
    }

    #[test]
    fn a_taken_number_and_a_primary_group_are_refused_unless_asked_for() {
        let mut host = host(Pending::default());
        let message = refusal(&mut host, "group", json!({ "name": "app", "gid": 33 }));
        assert!(message.contains("belongs to www-data"), "{message}");
        let twice = json!({ "name": "app", "gid": 33, "non_unique": true });
        changes_once(&mut host, "group", twice);
        let message = refusal(
            &mut host,
            "group",
            json!({ "name": "daemon", "state": "absent" }),
        );
        assert!(message.contains("primary group of daemon"), "{message}");
        let forced = json!({ "name": "daemon", "state": "absent", "force": true });
        changes_once(&mut host, "group", forced);
    }

    #[test]
    fn what_is_no_name_is_refused() {
        let mut host = host(Pending::default());
        for name in ["", "-x", "a:b", "a b"] {
            let message = refusal(&mut host, "group", json!({ "name": name }));
            assert!(message.contains("not a group's name"), "{message}");
        }
    }
}
