//! The groups of an account: one primary, any number of others.

use serde_json::Value;

use super::{OneOrMany, User};
use crate::module::Result;
use crate::state::State;
use crate::system::{self, System};

impl User {
    /// A primary group given by number is the same as its name.
    pub(super) fn set_wanted_group(
        &self,
        state: &mut State,
        found: &str,
        system: &dyn System,
    ) -> Result<()> {
        let number = self
            .group
            .as_deref()
            .and_then(|group| group.parse::<u32>().ok());
        let Some(number) = number else {
            return Ok(());
        };
        let groups = system.groups()?;
        if groups
            .iter()
            .any(|group| group.name == found && group.gid == Some(number))
        {
            state.set("group", number.to_string());
        }
        Ok(())
    }

    /// Looks up the groups that are given by number.
    pub(super) fn name_groups(&self, system: &dyn System) -> Result<()> {
        let Some(OneOrMany(given)) = &self.groups else {
            return Ok(());
        };
        let known = system.groups()?;
        let name = |given: &str| {
            let number = given.parse::<u32>().ok();
            let mut same = known
                .iter()
                .filter(|group| number.is_some() && group.gid == number);
            match same.next() {
                Some(group) => group.name.clone(),
                None => given.to_owned(),
            }
        };
        let given = given.iter().flat_map(|names| names.split(','));
        let names = given.map(|given| name(given.trim()));
        self.named.get_or_init(|| names.collect());
        Ok(())
    }

    /// The groups a user is in, but for the primary one.
    pub(super) fn other_groups(
        &self,
        user: &system::User,
        system: &dyn System,
    ) -> Result<Vec<String>> {
        let is_in = |group: &system::Group| group.members.contains(&self.name);
        let mut names: Vec<String> = system
            .groups()?
            .into_iter()
            .filter(|group| is_in(group) && group.name != user.group)
            .map(|group| group.name)
            .collect();
        names.sort();
        Ok(names)
    }

    /// The groups asked for, but for the primary one: the user is in it.
    pub(super) fn wanted_groups(&self, found: &State) -> Option<Vec<String>> {
        let primary = self.group.as_deref().or(found.text("group"));
        let mut names = self.named_groups(found)?;
        names.retain(|name| Some(name.as_str()) != primary);
        Some(names)
    }

    /// The groups asked for, and with `append` those the user is in.
    pub(super) fn named_groups(&self, found: &State) -> Option<Vec<String>> {
        let mut names = self.named.get()?.clone();
        if self.append
            && let Some(Value::Array(known)) = found.value("groups")
        {
            names.extend(
                known
                    .iter()
                    .filter_map(|name| name.as_str().map(str::to_owned)),
            );
        }
        names.retain(|name| !name.is_empty());
        names.sort();
        names.dedup();
        Some(names)
    }
}
