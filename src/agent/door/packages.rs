//! Packages.

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use super::Change;
use super::arguments::done;
use crate::effect::{Effect, InstallOptions, PackageRequest, RemoveOptions};
use crate::module::Result;
use crate::modules::arguments::OneOrMany;
use crate::system::System;

/// Seconds to wait for another package manager, as the module `package` does.
fn patience() -> u32 {
    60
}

/// Installs packages in one transaction; `name=version` asks for a version.
#[derive(Deserialize, JsonSchema)]
pub struct Install {
    /// Which.
    names: OneOrMany<String>,
    /// Whether recommended packages come too; the host's setting if not given.
    recommends: Option<bool>,
    /// Whether a lower version may replace a higher one.
    #[serde(default)]
    allow_downgrade: bool,
    /// Whether packages that are on hold may change.
    #[serde(default)]
    allow_held: bool,
    /// The release to prefer, such as `bookworm-backports`.
    default_release: Option<String>,
    /// Seconds to wait for another package manager.
    #[serde(default = "patience")]
    lock_timeout: u32,
}

impl Change for Install {
    const NAME: &'static str = "install";
    const POSITIONAL: &'static [&'static str] = &["names"];

    fn change(&self, system: &mut dyn System) -> Result<Value> {
        let request = |text: &String| match text.split_once('=') {
            Some((name, version)) => PackageRequest {
                name: name.to_owned(),
                version: Some(version.to_owned()),
            },
            None => PackageRequest {
                name: text.clone(),
                version: None,
            },
        };
        let effect = Effect::InstallPackages {
            packages: self.names.0.iter().map(request).collect(),
            options: InstallOptions {
                recommends: self.recommends,
                allow_downgrade: self.allow_downgrade,
                allow_held: self.allow_held,
                default_release: self.default_release.clone(),
                lock_timeout: self.lock_timeout,
            },
        };
        system.perform(effect).map(done)
    }
}

/// Removes packages in one transaction.
#[derive(Deserialize, JsonSchema)]
pub struct Uninstall {
    /// Which.
    names: OneOrMany<String>,
    /// Whether their configuration goes too.
    #[serde(default)]
    purge: bool,
    /// Whether packages that nothing needs any more go too.
    #[serde(default)]
    autoremove: bool,
    /// Whether packages that are on hold may go.
    #[serde(default)]
    allow_held: bool,
    /// Seconds to wait for another package manager.
    #[serde(default = "patience")]
    lock_timeout: u32,
}

impl Change for Uninstall {
    const NAME: &'static str = "uninstall";
    const POSITIONAL: &'static [&'static str] = &["names"];

    fn change(&self, system: &mut dyn System) -> Result<Value> {
        let effect = Effect::RemovePackages {
            names: self.names.0.clone(),
            options: RemoveOptions {
                purge: self.purge,
                autoremove: self.autoremove,
                allow_held: self.allow_held,
                lock_timeout: self.lock_timeout,
            },
        };
        system.perform(effect).map(done)
    }
}

/// Fetches the package lists anew.
#[derive(Deserialize, JsonSchema)]
pub struct UpdateLists {
    /// Seconds to wait for another package manager.
    #[serde(default = "patience")]
    lock_timeout: u32,
}

impl Change for UpdateLists {
    const NAME: &'static str = "update_package_lists";
    const POSITIONAL: &'static [&'static str] = &[];

    fn change(&self, system: &mut dyn System) -> Result<Value> {
        let lock_timeout = self.lock_timeout;
        let effect = Effect::UpdatePackageLists { lock_timeout };
        system.perform(effect).map(done)
    }
}
