//! The modules that scripts may call, by name.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::schema::{Field, Kind, Schema};

/// The modules that scripts may call, by name.
#[derive(Clone, Debug, Default)]
pub struct Catalog {
    modules: BTreeMap<String, Entry>,
}

#[derive(Clone, Debug)]
struct Entry {
    own: Arc<Schema>,
    complete: Arc<Schema>,
}

/// What every call may carry beside the module's own arguments. A module with
/// an argument of the same name keeps it to itself.
pub fn common_options() -> Vec<Field> {
    let words = || Kind::OneOrMany(Box::new(Kind::String));
    let field = |name: &str, kind, doc: &str| Field {
        doc: doc.into(),
        ..Field::new(name, kind)
    };
    vec![
        field(
            "notify",
            words(),
            "Handlers to run at the end of the play if this changes something.",
        ),
        field(
            "tags",
            words(),
            "Words that --tags and --skip-tags select by.",
        ),
        field(
            "become",
            Kind::Boolean,
            "Whether to run this as another user.",
        ),
        field(
            "become_user",
            Kind::String,
            "The user to run this as; root if only `become` is given.",
        ),
    ]
}

impl Catalog {
    /// A catalog of these modules.
    pub fn new(schemas: impl IntoIterator<Item = Schema>) -> Self {
        Self::default().with(schemas)
    }

    /// The same with more modules; one that is there already stays.
    pub fn with(&self, schemas: impl IntoIterator<Item = Schema>) -> Self {
        let entry = |own: Schema| {
            let common = common_options();
            let added = common
                .into_iter()
                .filter(|field| own.field(&field.name).is_none());
            let mut complete = own.clone();
            complete.fields.extend(added);
            (
                own.name.clone(),
                Entry {
                    own: Arc::new(own),
                    complete: Arc::new(complete),
                },
            )
        };
        let mut modules: BTreeMap<_, _> = schemas.into_iter().map(entry).collect();
        modules.extend(self.modules.clone());
        Self { modules }
    }

    /// The module of this name.
    pub fn get(&self, name: &str) -> Option<&Arc<Schema>> {
        self.modules.get(name).map(|entry| &entry.own)
    }

    /// The module of this name, with what every call may carry.
    pub fn complete(&self, name: &str) -> Option<&Arc<Schema>> {
        self.modules.get(name).map(|entry| &entry.complete)
    }

    /// All modules, by name.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Schema>> {
        self.modules.values().map(|entry| &entry.own)
    }
}
