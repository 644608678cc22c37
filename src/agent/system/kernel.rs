//! Parameters of the running kernel.

use crate::outcome::Failure;

/// A parameter of the running kernel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KernelParameter {
    /// Its value, as the kernel writes it.
    pub value: String,
    /// Whether it may be set here and now.
    pub writable: bool,
}

impl KernelParameter {
    /// A parameter's path below /proc/sys. As in sysctl(8), the first separator
    /// of a name is what separates all of it; the other is then an ordinary
    /// character.
    pub fn path(name: &str) -> String {
        let swap = |c| match c {
            '.' => '/',
            '/' => '.',
            other => other,
        };
        match name.find(['.', '/']) {
            Some(at) if name[at..].starts_with('/') => name.to_owned(),
            _ => name.chars().map(swap).collect(),
        }
    }

    /// The failure where the kernel has no such parameter.
    pub fn missing(name: &str) -> Failure {
        Failure::new(format!("the kernel has no parameter {name}")).hint(
            "Load the module that has it first, or give `ignore: true` to keep only the file.",
        )
    }

    /// The failure where a parameter may not be set.
    pub fn refused(name: &str) -> Failure {
        Failure::new(format!("{name} cannot be set here")).hint(
            "It takes root, and in a container most belong to the container's host. With `ignore: true` only the file is kept.",
        )
    }
}
