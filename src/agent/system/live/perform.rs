//! Effects are done to the host, alike ones together: waiting for the disk
//! takes longer than all else about a small file, and need not be done for each.
//!
//! **Invariant:** what an effect takes to be taken back is on disk before it
//! begins, the bytes of a new file before it gets its name, and what was done
//! before anybody is told that it was.

use std::io::Write;
use std::path::Path;

use super::files::{self, Prepared};
use super::{Live, accounts, crontabs, http, kernel, packages, processes, reveal, units};
use crate::effect::{Effect, Record};
use crate::module::Result;
use crate::outcome::Failure;
use crate::system::{Performed, Reads, System, check, observe};

/// How many effects are done together: their journal entries are in memory.
const TOGETHER: usize = 10_000;

/// How many new files are open at a time, each with its directory.
const OPEN: usize = 250;

/// How far an effect is once it has begun.
enum Begun {
    Done(Performed),
    /// The file is complete, and has yet to take its name.
    Unnamed(Prepared),
}

impl System for Live {
    fn perform(&mut self, effect: Effect) -> Result<Performed> {
        self.perform_together(vec![effect])
    }

    fn perform_all(&mut self, effects: Vec<Effect>) -> Result<()> {
        for group in groups(effects) {
            self.perform_together(group)?;
        }
        Ok(())
    }

    fn take_records(&mut self) -> (Vec<Record>, Vec<String>) {
        (std::mem::take(&mut self.records), self.assumptions.take())
    }
}

/// Effects that can be done together, in their order.
fn groups(effects: Vec<Effect>) -> Vec<Vec<Effect>> {
    let mut groups: Vec<Vec<Effect>> = Vec::new();
    for effect in effects {
        match groups.last_mut() {
            Some(group) if group.len() < TOGETHER && are_alike(&group[0], &effect) => {
                group.push(effect);
            }
            _ => groups.push(vec![effect]),
        }
    }
    groups
}

/// Whether two effects can be done together: none looks at the other, and both
/// go through the same steps.
fn are_alike(one: &Effect, other: &Effect) -> bool {
    match (one, other) {
        (
            Effect::WriteFile { validate: one, .. },
            Effect::WriteFile {
                validate: other, ..
            },
        ) => {
            // A command may look at more than the file it is given.
            one.is_none() && other.is_none()
        }
        (Effect::SetAttributes { path: one, .. }, Effect::SetAttributes { path: other, .. }) => {
            // What is changed under one name shows under the others.
            !files::has_names(one) && !files::has_names(other)
        }
        (Effect::MakeDirectory { .. }, Effect::MakeDirectory { .. })
        | (Effect::Link { .. }, Effect::Link { .. }) => true,
        _ => false,
    }
}

/// Gives files their names, once what is in them is on disk.
fn place(unnamed: Vec<Prepared>, done: &mut usize) -> Result<()> {
    if unnamed.is_empty() {
        return Ok(());
    }
    processes::need_time()?;
    files::sync(unnamed.iter().map(Prepared::file))?;
    for file in unnamed {
        file.place()?;
        *done += 1;
    }
    Ok(())
}

/// The paths that an effect gives a name to.
fn named(effect: &Effect) -> impl Iterator<Item = &Path> {
    let names = !matches!(
        effect,
        Effect::SetAttributes { .. } | Effect::Remove { .. } | Effect::Touch { .. }
    );
    effect.paths().filter(move |_| names)
}

impl Live {
    /// Performs effects; returns what came of the last one.
    fn perform_together(&mut self, effects: Vec<Effect>) -> Result<Performed> {
        let mut records = Vec::with_capacity(effects.len());
        for effect in effects {
            check(&effect, self)?;
            records.push(observe::record(effect, self)?);
        }
        let Some(journal) = &self.journal else {
            return Err(Failure::new("this session may only read the host"));
        };
        self.due.note()?;
        let secrets = self.secrets();
        let entries = journal.begin(&secrets.scrub(records.clone())?)?;
        let mut done = 0;
        let performed = self.execute(&records, &mut done);
        records.truncate(done);
        let kept = files::sync_parents(records.iter().flat_map(|record| named(&record.effect)));
        let performed = performed.and_then(|performed| kept.map(|()| performed));
        let performed =
            performed.map_err(|failure| secrets.scrub(failure.clone()).unwrap_or(failure));
        journal.end(entries, done, performed.as_ref().err())?;
        self.records.append(&mut records);
        performed
    }

    /// Carries out effects, and counts those that are `done`.
    fn execute(&self, records: &[Record], done: &mut usize) -> Result<Performed> {
        let secrets = self.secrets();
        let mut last = Performed::Done;
        let mut unnamed = Vec::new();
        for record in records {
            match self.begin(&*reveal::effect(&record.effect, &secrets)?)? {
                Begun::Unnamed(file) => unnamed.push(file),
                Begun::Done(performed) => {
                    last = performed;
                    *done += 1;
                }
            }
            if unnamed.len() == OPEN {
                place(std::mem::take(&mut unnamed), done)?;
            }
        }
        place(unnamed, done)?;
        Ok(last)
    }

    fn begin(&self, effect: &Effect) -> Result<Begun> {
        match effect {
            Effect::WriteFile {
                path,
                content,
                attributes,
                backup,
                validate,
            } => {
                let file = files::NewFile {
                    path,
                    attributes,
                    backup: backup.as_deref(),
                };
                let check = |candidate: &Path| match validate {
                    Some(words) => processes::validate(words, candidate),
                    None => Ok(()),
                };
                let fill = |sink: &mut dyn Write| files::send(content, path, self, sink);
                let file = files::prepare(&file, &self.accounts, &fill, &check)?;
                return Ok(Begun::Unnamed(file));
            }
            Effect::Download {
                request,
                path,
                sha256,
                attributes,
                backup,
            } => {
                let file = files::NewFile {
                    path,
                    attributes,
                    backup: backup.as_deref(),
                };
                let fill = |sink: &mut dyn Write| {
                    let content = http::download(request, sink)?;
                    http::verify(&request.url, &content, sha256.as_deref())
                };
                let file = files::prepare(&file, &self.accounts, &fill, &|_| Ok(()))?;
                return Ok(Begun::Unnamed(file));
            }
            Effect::SetAttributes { path, attributes } => {
                files::set_attributes(path, attributes, &self.accounts)
            }
            Effect::MakeDirectory { path, attributes } => {
                files::make_directory(path, attributes, &self.accounts)
            }
            Effect::Remove { path } => files::remove(path),
            Effect::Link { path, target } => files::link(path, target),
            Effect::HardLink { path, target } => files::hard_link(path, target),
            Effect::Touch { path } => files::touch(path),
            Effect::UpdatePackageLists { lock_timeout } => {
                packages::update_lists(*lock_timeout, &self.output)
            }
            Effect::InstallPackages { packages, options } => {
                packages::install(packages, options, &self.output)
            }
            Effect::RemovePackages { names, options } => {
                packages::remove(names, options, &self.output)
            }
            Effect::ChangeUnit {
                unit,
                action,
                scope,
                no_block,
            } => units::change(unit, *action, scope, *no_block),
            Effect::ReloadUnitFiles { scope } => units::reload_files(scope),
            Effect::AddUser { name, account } => accounts::add_user(name, account, &self.accounts),
            Effect::ChangeUser { name, account } => accounts::change_user(name, account),
            Effect::RemoveUser {
                name,
                remove_home,
                force,
            } => accounts::remove_user(name, *remove_home, *force),
            Effect::AddGroup {
                name,
                gid,
                system,
                non_unique,
            } => accounts::add_group(name, *gid, *system, *non_unique),
            Effect::ChangeGroup {
                name,
                gid,
                non_unique,
            } => accounts::change_group(name, *gid, *non_unique),
            Effect::RemoveGroup { name, force } => accounts::remove_group(name, *force),
            Effect::WriteCrontab { user, content } => crontabs::write(user, content.as_deref()),
            Effect::ChangeResource(change) => {
                processes::succeed_with(&change.revealed(), &self.output)
            }
            Effect::SetKernelParameter { name, value } => kernel::set_parameter(name, value),
            Effect::SetHostname { name } => kernel::set_hostname(name),
            Effect::SendRequest { request } => {
                let answer = http::send(request)?;
                return Ok(Begun::Done(Performed::Answered(answer)));
            }
            Effect::RunCommand { command, .. } => {
                let output = processes::run(command, &self.output)?;
                return Ok(Begun::Done(Performed::Ran(output)));
            }
        }
        .map(|()| Begun::Done(Performed::Done))
    }
}
