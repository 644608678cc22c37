//! Resources in a dry run: what commands are known to do is recorded.

use super::Overlay;
use crate::effect::Command;
use crate::module::Result;
use crate::resource::{Known, Resource, ResourceChange};
use crate::system::live::unsuccessful;
use crate::system::{Found, Output, Reads};

impl Overlay {
    pub(super) fn change_resource(&mut self, change: &ResourceChange) {
        let before = self.resource_pending(&change.resource);
        let secret = before.and_then(Found::present).and_then(|it| it.secret);
        let after = change.after.as_ref().map(|properties| Known {
            properties: properties.clone(),
            secret: change.secret.clone().or(secret),
        });
        let key = change.resource.to_string();
        self.pending.resources.insert(key, after);
    }

    pub(super) fn resource_pending(&self, resource: &Resource) -> Option<Found<Known>> {
        match self.pending.resources.get(&resource.to_string()) {
            Some(known) => Some(Found::from(known.clone())),
            None => self.base.resource(resource),
        }
    }

    pub(super) fn answer_pending(&self, command: &Command) -> Result<Found<Output>> {
        let failure = match self.query(command) {
            Ok(Found::Present(output)) if output.code != 0 => unsuccessful(command, &output),
            Ok(answer) => return Ok(answer),
            Err(failure) => failure,
        };
        match self.pending.is_empty() {
            true => Err(failure),
            false => Ok(Found::Unknown("the changes that come before it".to_owned())),
        }
    }
}
