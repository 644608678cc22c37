//! The modules that scripts may call, by name.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::schema::{Kind, Schema};

/// The modules that scripts may call, by name.
#[derive(Clone, Debug, Default)]
pub struct Catalog {
    schemas: BTreeMap<String, Arc<Schema>>,
}

/// What every call may carry beside the module's own arguments. A module with
/// an argument of the same name keeps it to itself.
pub const COMMON_OPTIONS: [&str; 4] = ["notify", "tags", "become", "become_user"];

/// The kind of a common option.
pub fn common_option(name: &str) -> Option<Kind> {
    match name {
        "notify" | "tags" => Some(Kind::OneOrMany(Box::new(Kind::String))),
        "become" => Some(Kind::Boolean),
        "become_user" => Some(Kind::String),
        _ => None,
    }
}

impl Catalog {
    /// A catalog of these modules.
    pub fn new(schemas: impl IntoIterator<Item = Schema>) -> Self {
        let by_name = |schema: Schema| (schema.name.clone(), Arc::new(schema));
        Self {
            schemas: schemas.into_iter().map(by_name).collect(),
        }
    }

    /// The module of this name.
    pub fn get(&self, name: &str) -> Option<&Arc<Schema>> {
        self.schemas.get(name)
    }

    /// All modules, by name.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Schema>> {
        self.schemas.values()
    }
}
