//! The SQL that asks for a role and changes it.

use serde_json::Value;

use super::attributes::{FLAGS, settings};
use crate::modules::postgresql::sql::{identifier, literal, literal_or_null};
use crate::password::PasswordHash;
use crate::resource::{Properties, SECRET};

/// Asks what a role is like. What is kept of passwords may be read by
/// superusers only, so it is asked for only where it counts.
pub fn question(name: &str, with_password: bool) -> String {
    let (table, password) = match with_password {
        true => ("pg_authid", ", 'password', rolpassword"),
        false => ("pg_roles", ""),
    };
    format!(
        "SELECT json_build_object(
  'login', rolcanlogin, 'superuser', rolsuper, 'createdb', rolcreatedb,
  'createrole', rolcreaterole, 'replication', rolreplication,
  'inherit', rolinherit, 'bypassrls', rolbypassrls, 'connection_limit', rolconnlimit,
  'expires', CASE
    WHEN rolvaliduntil IS NULL OR NOT isfinite(rolvaliduntil) THEN 'never'
    WHEN rolvaliduntil AT TIME ZONE 'UTC' = date_trunc('day', rolvaliduntil AT TIME ZONE 'UTC')
      THEN to_char(rolvaliduntil AT TIME ZONE 'UTC', 'YYYY-MM-DD')
    ELSE to_char(rolvaliduntil AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS') END,
  'comment', coalesce(shobj_description(oid, 'pg_authid'), ''),
  'member_of', (SELECT coalesce(json_agg(g.rolname ORDER BY g.rolname COLLATE \"C\"), '[]')
    FROM (SELECT DISTINCT roleid FROM pg_auth_members WHERE member = r.oid) m
    JOIN pg_roles g ON g.oid = m.roleid),
  'configuration', (SELECT coalesce(
      json_object_agg(split_part(s, '=', 1), substr(s, strpos(s, '=') + 1)), '{{}}')
    FROM pg_db_role_setting d, unnest(d.setconfig) s
    WHERE d.setrole = r.oid AND d.setdatabase = 0){password})
FROM {table} r WHERE rolname = {name};",
        name = literal(name)
    )
}

/// Removes a role.
pub fn remove(name: &str) -> String {
    format!("DROP ROLE {};", identifier(name))
}

/// Makes a role, or changes it, in one transaction.
pub fn change(
    name: &str,
    new: bool,
    from: &Properties,
    to: &Properties,
    secret: Option<&PasswordHash>,
) -> String {
    let role = identifier(name);
    let mut statements = vec!["BEGIN;".to_owned()];
    let options = options(from, to, secret);
    let verb = if new { "CREATE" } else { "ALTER" };
    match options.is_empty() {
        true if new => statements.push(format!("CREATE ROLE {role};")),
        true => {}
        false => statements.push(format!("{verb} ROLE {role} WITH {};", options.join(" "))),
    }
    if let (before, Some(Value::String(comment))) = (from.get("comment"), to.get("comment"))
        && before.and_then(Value::as_str) != Some(comment)
    {
        let comment = literal_or_null(comment);
        statements.push(format!("COMMENT ON ROLE {role} IS {comment};"));
    }
    let (before, after) = (names(from), names(to));
    let quoted = |names: &[String], others: &[String], verb: &str, word: &str| {
        let fresh = names.iter().filter(|name| !others.contains(name));
        fresh
            .map(|name| format!("{verb} {} {word} {role};", identifier(name)))
            .collect::<Vec<_>>()
    };
    statements.extend(quoted(&after, &before, "GRANT", "TO"));
    statements.extend(quoted(&before, &after, "REVOKE", "FROM"));
    statements.extend(configuration(&role, from, to));
    statements.push("COMMIT;".to_owned());
    statements.join("\n")
}

fn options(from: &Properties, to: &Properties, secret: Option<&PasswordHash>) -> Vec<String> {
    let changed = |name: &str| to.get(name).filter(|value| from.get(name) != Some(value));
    let mut options = Vec::new();
    for (name, word) in FLAGS {
        match changed(name) {
            Some(Value::Bool(true)) => options.push(word.to_owned()),
            Some(Value::Bool(false)) => options.push(format!("NO{word}")),
            _ => {}
        }
    }
    if let Some(limit) = changed("connection_limit") {
        options.push(format!("CONNECTION LIMIT {limit}"));
    }
    match changed("expires").and_then(Value::as_str) {
        Some("never") => options.push("VALID UNTIL 'infinity'".to_owned()),
        Some(day) => options.push(format!("VALID UNTIL {}", literal(&format!("{day} UTC")))),
        None => {}
    }
    match secret.map(PasswordHash::reveal) {
        Some("") => options.push("PASSWORD NULL".to_owned()),
        Some(_) => options.push(format!("PASSWORD '{SECRET}'")),
        None => {}
    }
    options
}

fn names(properties: &Properties) -> Vec<String> {
    texts(properties.get("member_of"))
}

fn texts(list: Option<&Value>) -> Vec<String> {
    let items = list.and_then(Value::as_array).into_iter().flatten();
    items
        .filter_map(|item| item.as_str().map(str::to_owned))
        .collect()
}

fn configuration(role: &str, from: &Properties, to: &Properties) -> Vec<String> {
    let (before, after) = (settings(from), settings(to));
    let set = after.iter().filter_map(|(name, value)| {
        let value = match value {
            value if before.get(name) == Some(value) => return None,
            Value::Array(_) => {
                let names = texts(Some(value));
                let names: Vec<_> = names.iter().map(|name| literal(name)).collect();
                names.join(", ")
            }
            value => literal(value.as_str().unwrap_or_default()),
        };
        Some(format!("ALTER ROLE {role} SET {name} TO {value};"))
    });
    let gone = before.keys().filter(|name| !after.contains_key(*name));
    let reset = gone.map(|name| format!("ALTER ROLE {role} RESET {name};"));
    set.chain(reset).collect()
}
