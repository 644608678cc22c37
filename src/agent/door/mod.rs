//! The door to a host for modules that run on the controller: what may be read
//! and what may be done, by name, with arguments as data.
//!
//! Each function is a type, as a module is: its fields are the arguments, and
//! its doc comments are what `veza-play doc host` shows. Answers are JSON;
//! what a dry run cannot know is a mark in them (see [`crate::mark`]), and
//! what is not there is null.

use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::module::{Result, parse};
use crate::system::System;

mod accounts;

mod arguments;

mod commands;

mod files;

mod packages;

mod reads;

mod units;

/// A function that reads a host and changes nothing.
trait Read: DeserializeOwned + JsonSchema {
    /// What a script writes behind `host.`.
    const NAME: &'static str;
    /// Arguments that may be written without their name, in order.
    const POSITIONAL: &'static [&'static str];

    /// What it finds.
    fn read(&self, system: &dyn System) -> Result<Value>;
}

/// A function that changes a host.
trait Change: DeserializeOwned + JsonSchema {
    /// What a script writes behind `host.`.
    const NAME: &'static str;
    /// Arguments that may be written without their name, in order.
    const POSITIONAL: &'static [&'static str];

    /// Performs its effect, and says what came of it.
    fn change(&self, system: &mut dyn System) -> Result<Value>;
}

/// A function of the door, in the list of all.
pub struct Function {
    /// What a script writes behind `host.`.
    pub name: &'static str,
    /// Arguments that may be written without their name, in order.
    pub positional: &'static [&'static str],
    /// The JSON schema of the arguments. Only the controller calls it.
    pub schema: fn() -> schemars::Schema,
    what: What,
}

enum What {
    Read(fn(Value, &dyn System) -> Result<Value>),
    Change(fn(Value, &mut dyn System) -> Result<Value>),
}

impl Function {
    /// Whether it changes something.
    pub fn is_effect(&self) -> bool {
        matches!(self.what, What::Change(_))
    }

    /// Carries it out.
    pub fn call(&self, arguments: Value, system: &mut dyn System) -> Result<Value> {
        match self.what {
            What::Read(read) => read(arguments, system),
            What::Change(change) => change(arguments, system),
        }
    }
}

const fn read<R: Read>() -> Function {
    Function {
        name: R::NAME,
        positional: R::POSITIONAL,
        schema: || schemars::schema_for!(R),
        what: What::Read(|arguments, system| parse::<R>(arguments)?.read(system)),
    }
}

const fn change<C: Change>() -> Function {
    Function {
        name: C::NAME,
        positional: C::POSITIONAL,
        schema: || schemars::schema_for!(C),
        what: What::Change(|arguments, system| parse::<C>(arguments)?.change(system)),
    }
}

/// Every function: what reads first, then what changes something.
pub const ALL: &[Function] = &[
    read::<reads::Exists>(),
    read::<reads::Stat>(),
    read::<reads::Content>(),
    read::<reads::List>(),
    read::<reads::User>(),
    read::<reads::Group>(),
    read::<reads::Package>(),
    read::<reads::Unit>(),
    read::<reads::Crontab>(),
    read::<commands::Query>(),
    read::<commands::Recorded>(),
    change::<files::Write>(),
    change::<files::SetAttributes>(),
    change::<files::Directory>(),
    change::<files::Link>(),
    change::<files::HardLink>(),
    change::<files::Touch>(),
    change::<files::Remove>(),
    change::<commands::Run>(),
    change::<commands::ChangeResource>(),
    change::<units::Act>(),
    change::<units::ReloadFiles>(),
    change::<packages::Install>(),
    change::<packages::Uninstall>(),
    change::<packages::UpdateLists>(),
    change::<accounts::AddUser>(),
    change::<accounts::ChangeUser>(),
    change::<accounts::RemoveUser>(),
    change::<accounts::AddGroup>(),
    change::<accounts::ChangeGroup>(),
    change::<accounts::RemoveGroup>(),
    change::<accounts::WriteCrontab>(),
];

/// The function of this name.
pub fn find(name: &str) -> Option<&'static Function> {
    ALL.iter().find(|function| function.name == name)
}

#[cfg(test)]
mod tests;
