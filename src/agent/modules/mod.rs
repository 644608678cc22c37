//! All modules, one file each. A new one is a file and a line here.

use crate::module::{ModuleInfo, action, module};

pub(crate) mod arguments;

mod command;

mod copy;

mod cron;

mod file;

mod group;

pub(crate) mod guards;

mod package;

pub(crate) mod place;

mod postgresql;

mod postgresql_database;

mod postgresql_pg_hba;

mod postgresql_user;

mod shell;

mod slurp;

mod stat;

pub(crate) mod systemd;

mod template;

mod tree;

mod user;

mod version;

#[cfg(test)]
pub(crate) mod testing;

pub use arguments::{Mode, SourceFile, span};

/// Every module, by name.
pub const ALL: &[ModuleInfo] = &[
    action::<command::CommandCall>(),
    module::<copy::Copy>(),
    module::<cron::Cron>(),
    module::<file::File>(),
    module::<group::Group>(),
    module::<package::PackageSet>(),
    module::<postgresql_database::PostgresqlDatabase>(),
    module::<postgresql_pg_hba::PostgresqlPgHba>(),
    module::<postgresql_user::PostgresqlUser>(),
    action::<shell::Shell>(),
    action::<slurp::Slurp>(),
    action::<stat::Stat>(),
    module::<systemd::Systemd>(),
    module::<template::Template>(),
    module::<user::User>(),
];

/// The module of this name.
pub fn find(name: &str) -> Option<&'static ModuleInfo> {
    ALL.iter().find(|module| module.name == name)
}
