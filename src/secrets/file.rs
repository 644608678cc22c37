//! A file of secrets of either format, as a run and `vault` find it.

use std::fs;
use std::path::Path;

use super::ansible::{self, Password};
use super::keys::Identities;
use super::vault::{self, Clear, Vault};
use super::{Keys, Trouble};

/// A file of secrets.
pub struct File {
    /// How messages call it.
    pub id: String,
    kind: Kind,
}

enum Kind {
    Vault(Box<Vault>),
    /// A file of `ansible-vault`, and the names as far as they can be read.
    Ansible(String, Option<Vec<String>>),
}

impl File {
    /// Reads a file, whose names may be encrypted too.
    ///
    /// # Errors
    /// When it cannot be read, or holds no secrets.
    pub fn read(id: &str, path: &Path) -> Result<Self, Trouble> {
        let text = fs::read_to_string(path)
            .map_err(|error| Trouble::new(format!("cannot read {id}: {error}")))?;
        let kind = match (ansible::is_encrypted(&text), ansible::has_encrypted(&text)) {
            (true, _) => Ok(Kind::Ansible(text, None)),
            (false, true) => {
                let names = ansible::names(&text);
                names.map(|names| Kind::Ansible(text, Some(names)))
            }
            (false, false) => Vault::parse(&text).map(|vault| Kind::Vault(Box::new(vault))),
        };
        Ok(Self {
            id: id.to_owned(),
            kind: kind.map_err(|trouble| trouble.about(id))?,
        })
    }

    /// The names in it, if they can be read without a key.
    pub fn names(&self) -> Option<Vec<&str>> {
        match &self.kind {
            Kind::Vault(vault) => Some(vault.names()),
            Kind::Ansible(_, names) => Some(names.as_ref()?.iter().map(String::as_str).collect()),
        }
    }

    /// Who it is encrypted for, if it says so.
    pub fn recipients(&self) -> Vec<String> {
        match &self.kind {
            Kind::Vault(vault) => vault.recipients(),
            Kind::Ansible(..) => Vec::new(),
        }
    }

    /// All values in clear, by name.
    ///
    /// # Errors
    /// When one of them cannot be opened.
    pub fn values(&self, opener: &mut Opener) -> Result<Vec<(String, Clear)>, Trouble> {
        let values = match &self.kind {
            Kind::Vault(vault) => vault.open(opener.identities()?),
            Kind::Ansible(text, _) => ansible::variables(text, opener.password.get()?),
        };
        values.map_err(|trouble| trouble.about(&self.id))
    }

    /// One value in clear.
    ///
    /// # Errors
    /// When it is not there, or cannot be opened.
    pub fn value(&self, name: &str, opener: &mut Opener) -> Result<Clear, Trouble> {
        if let Kind::Vault(vault) = &self.kind {
            let value = vault.get(name, opener.identities()?);
            return value.map_err(|trouble| trouble.about(&self.id));
        }
        let mut values = self.values(opener)?;
        if let Some(index) = values.iter().position(|(known, _)| known == name) {
            return Ok(values.swap_remove(index).1);
        }
        let known = values.iter().map(|(name, _)| name.as_str());
        Err(vault::no_secret(name, known.collect()).about(&self.id))
    }

    /// The vault that it is; files of Ansible are left to Ansible.
    ///
    /// # Errors
    /// When it is one of those.
    pub fn into_vault(self) -> Result<Vault, Trouble> {
        match self.kind {
            Kind::Vault(vault) => Ok(*vault),
            Kind::Ansible(..) => {
                let Self { id, .. } = self;
                let message = format!("{id} is a file of ansible-vault, which is only read");
                let help = format!("Change it with `ansible-vault edit {id}`.");
                Err(Trouble::new(message).help(help))
            }
        }
    }
}

/// Opens files of secrets; keys are looked for when the first of their kind is
/// needed.
pub struct Opener {
    files: Vec<std::path::PathBuf>,
    identities: Option<Identities>,
    password: Password,
}

impl Opener {
    /// With these keys; nothing is read yet.
    pub fn new(keys: &Keys) -> Self {
        Self {
            files: keys.identities.clone(),
            identities: None,
            password: Password::new(keys),
        }
    }

    /// The keys that may open a vault.
    ///
    /// # Errors
    /// When a file that was named cannot be used.
    pub fn identities(&mut self) -> Result<&mut Identities, Trouble> {
        match &mut self.identities {
            Some(identities) => Ok(identities),
            unknown => Ok(unknown.insert(Identities::find(&self.files)?)),
        }
    }
}
