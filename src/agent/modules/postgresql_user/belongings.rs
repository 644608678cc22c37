//! What keeps a role from being removed.

use serde_json::Value;

use super::{PostgresqlUser, RoleState};
use crate::module::Result;
use crate::modules::postgresql::DATABASE;
use crate::modules::postgresql::sql::literal;
use crate::outcome::Failure;
use crate::state::State;
use crate::system::{Found, System};

impl PostgresqlUser {
    /// The server would refuse to remove a role that owns something, or that
    /// something was granted to; so does this, before anything is done.
    pub(super) fn refuse_what_cannot_go(&self, found: &State, system: &dyn System) -> Result<()> {
        let goes = self.state == RoleState::Absent && found.text("state") == Some("present");
        // A role of this run, or of a virtual host, has nothing but what
        // this run gave it.
        if !goes || system.resource(&self.resource()).is_some() {
            return Ok(());
        }
        let Found::Present(Value::Array(rows)) = self.server.ask(&question(&self.name), system)?
        else {
            return Ok(());
        };
        let texts = |row: &Value| {
            let text = |key: &str| row.get(key)?.as_str().map(str::to_owned);
            Some((text("what")?, text("database")))
        };
        let held = rows
            .iter()
            .filter_map(texts)
            .filter(|(_, database)| !self.is_let_go(database.as_deref(), system))
            .map(|(what, _)| what);
        let held: Vec<_> = held.collect();
        match held.is_empty() {
            true => Ok(()),
            false => Err(Failure::new(format!(
                "the role {} cannot be removed: {}",
                self.name,
                held.join(", ")
            ))
            .hint(
                "Give that to another role first (`REASSIGN OWNED`, `DROP OWNED`), or remove it.",
            )),
        }
    }

    /// Whether an earlier task removes the database, or gives it away.
    fn is_let_go(&self, database: Option<&str>, system: &dyn System) -> bool {
        let Some(name) = database else { return false };
        match system.resource(&self.server.resource(DATABASE, name)) {
            Some(Found::Absent) => true,
            Some(Found::Present(known)) => {
                let owner = known.properties.get("owner").and_then(Value::as_str);
                owner.is_some_and(|owner| owner != self.name)
            }
            Some(Found::Unknown(_)) | None => false,
        }
    }
}

/// Asks for what depends on a role; objects inside a database are told by it.
fn question(name: &str) -> String {
    format!(
        "SELECT json_agg(DISTINCT jsonb_build_object('database', t.name, 'what', t.what))
FROM (SELECT d.datname AS name, CASE
    WHEN s.classid = 'pg_database'::regclass AND s.deptype = 'o' THEN 'it owns the database ' || d.datname
    WHEN s.classid = 'pg_database'::regclass THEN 'it has privileges on the database ' || d.datname
    WHEN s.dbid = 0 THEN 'it holds ' || pg_describe_object(s.classid, s.objid, s.objsubid)
    ELSE 'it holds objects in the database ' || d.datname END AS what
  FROM pg_shdepend s
  JOIN pg_roles r ON s.refclassid = 'pg_authid'::regclass AND s.refobjid = r.oid
  LEFT JOIN pg_database d
    ON d.oid = CASE WHEN s.classid = 'pg_database'::regclass THEN s.objid ELSE s.dbid END
  WHERE r.rolname = {}) t;",
        literal(name)
    )
}
