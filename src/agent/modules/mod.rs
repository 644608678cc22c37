//! All modules, one file each. A new one is a file and a line here.

use crate::module::{ModuleInfo, action, module};

pub(crate) mod arguments;

mod authorized_key;

mod blockinfile;

mod command;

mod copy;

mod cron;

mod edited;

mod file;

mod get_url;

mod git;

mod glob;

mod group;

pub(crate) mod guards;

mod hostname;

mod incus_instance;

mod lineinfile;

mod package;

pub mod pattern;

pub(crate) mod place;

mod postgresql;

mod postgresql_database;

mod postgresql_pg_hba;

mod postgresql_user;

mod shell;

mod slurp;

mod stat;

mod sysctl;

pub(crate) mod systemd;

mod template;

mod tree;

mod unarchive;

mod uri;

mod user;

mod version;

mod wait_for;

#[cfg(test)]
pub(crate) mod testing;

#[cfg(test)]
mod edits;

pub use arguments::{Mode, SourceFile, span};

/// Every module, by name.
pub const ALL: &[ModuleInfo] = &[
    module::<authorized_key::AuthorizedKey>(),
    module::<blockinfile::BlockInFile>(),
    action::<command::CommandCall>(),
    module::<copy::Copy>(),
    module::<cron::Cron>(),
    module::<file::File>(),
    module::<get_url::GetUrl>(),
    module::<git::Git>(),
    module::<group::Group>(),
    module::<hostname::Hostname>(),
    module::<incus_instance::IncusInstance>(),
    module::<lineinfile::LineInFile>(),
    module::<package::PackageSet>(),
    module::<postgresql_database::PostgresqlDatabase>(),
    module::<postgresql_pg_hba::PostgresqlPgHba>(),
    module::<postgresql_user::PostgresqlUser>(),
    action::<shell::Shell>(),
    action::<slurp::Slurp>(),
    action::<stat::Stat>(),
    module::<sysctl::Sysctl>(),
    module::<systemd::Systemd>(),
    module::<template::Template>(),
    module::<unarchive::Unarchive>(),
    action::<uri::Uri>(),
    module::<user::User>(),
    action::<wait_for::WaitFor>(),
];

/// The module of this name.
pub fn find(name: &str) -> Option<&'static ModuleInfo> {
    ALL.iter().find(|module| module.name == name)
}
