//! The SQL that asks for a database and changes it.

use serde_json::Value;

use crate::modules::postgresql::sql::{identifier, literal, literal_or_null};
use crate::resource::Properties;

/// Asks what a database is like.
pub fn question(name: &str) -> String {
    format!(
        "SELECT json_build_object(
  'owner', pg_get_userbyid(datdba), 'encoding', pg_encoding_to_char(encoding),
  'lc_collate', datcollate, 'lc_ctype', datctype, 'connection_limit', datconnlimit,
  'comment', coalesce(shobj_description(oid, 'pg_database'), ''))
FROM pg_database WHERE datname = {};",
        literal(name)
    )
}

/// Removes a database.
pub fn remove(name: &str, force: bool) -> String {
    let force = if force { " WITH (FORCE)" } else { "" };
    format!("DROP DATABASE {}{force};", identifier(name))
}

/// Makes a database. It cannot be made in a transaction.
pub fn create(name: &str, template: Option<&str>, wanted: &Properties) -> String {
    let database = identifier(name);
    let text = |name: &str| wanted.get(name).and_then(Value::as_str);
    let options = [
        text("owner").map(|owner| format!("OWNER {}", identifier(owner))),
        template.map(|template| format!("TEMPLATE {}", identifier(template))),
        text("encoding").map(|encoding| format!("ENCODING {}", literal(encoding))),
        text("lc_collate").map(|locale| format!("LC_COLLATE {}", literal(locale))),
        text("lc_ctype").map(|locale| format!("LC_CTYPE {}", literal(locale))),
        limit(wanted).map(|limit| format!("CONNECTION LIMIT {limit}")),
    ];
    let mut sql = format!("CREATE DATABASE {database}");
    for option in options.into_iter().flatten() {
        sql.extend([" ", &option]);
    }
    sql.push(';');
    match text("comment") {
        None | Some("") => sql,
        Some(comment) => format!("{sql}\n{}", comment_on(&database, comment)),
    }
}

/// Changes a database.
pub fn alter(name: &str, from: &Properties, to: &Properties) -> String {
    let database = identifier(name);
    let text = |properties: &Properties, name: &str| {
        properties
            .get(name)
            .and_then(Value::as_str)
            .map(str::to_owned)
    };
    let mut statements = vec!["BEGIN;".to_owned()];
    if let Some(owner) = text(to, "owner").filter(|_| from.get("owner") != to.get("owner")) {
        let owner = identifier(&owner);
        statements.push(format!("ALTER DATABASE {database} OWNER TO {owner};"));
    }
    if from.get("connection_limit") != to.get("connection_limit") {
        let limit = limit(to).unwrap_or(-1);
        statements.push(format!(
            "ALTER DATABASE {database} WITH CONNECTION LIMIT {limit};"
        ));
    }
    if from.get("comment") != to.get("comment") {
        let comment = text(to, "comment").unwrap_or_default();
        statements.push(comment_on(&database, &comment));
    }
    statements.push("COMMIT;".to_owned());
    statements.join("\n")
}

fn limit(properties: &Properties) -> Option<i64> {
    let limit = properties.get("connection_limit")?.as_i64();
    limit.filter(|limit| *limit != -1)
}

fn comment_on(database: &str, comment: &str) -> String {
    format!(
        "COMMENT ON DATABASE {database} IS {};",
        literal_or_null(comment)
    )
}
