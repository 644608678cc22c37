//! What no instance can have.

use super::IncusInstance;
use crate::module::Result;
use crate::outcome::Failure;

impl IncusInstance {
    /// Refuses what Incus would refuse, before anything is done.
    pub(super) fn refuse_nonsense(&self) -> Result<()> {
        let plain = |letter: char| letter.is_ascii_alphanumeric() || letter == '-';
        let edge = |name: &str| name.starts_with(|c: char| c == '-' || c.is_ascii_digit());
        let name = &self.name;
        if name.is_empty() || name.len() > 63 || !name.chars().all(plain) || edge(name) {
            return Err(
                Failure::new(format!("`{name}` cannot be the name of an instance"))
                    .hint("A name has letters, digits and dashes, and begins with a letter."),
            );
        }
        let words = [&self.remote, &self.project, &self.target, &self.image];
        let words = words
            .into_iter()
            .flatten()
            .chain(self.profiles.iter().flatten());
        let words = words.chain(&self.snapshots).chain(&self.absent_snapshots);
        let words = words.chain(&self.absent_devices);
        let odd = |word: &&String| word.is_empty() || word.starts_with('-') || word.contains('\n');
        if let Some(word) = words
            .chain(self.config.keys())
            .chain(self.devices.keys())
            .find(odd)
        {
            return Err(Failure::new(format!("`{word}` cannot be a name in Incus")));
        }
        let snapshots = self.snapshots.iter();
        let both = snapshots.filter(|it| self.absent_snapshots.contains(it));
        let devices = self.devices.keys();
        let devices = devices.filter(|it| self.absent_devices.contains(it));
        match both.chain(devices).next() {
            None => Ok(()),
            Some(name) => Err(Failure::new(format!(
                "`{name}` shall be there and not be there"
            ))),
        }
    }
}
