//! Parameters of the running kernel, and the host's name.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use rustix::fs::{Access, access};

use super::files::failed;
use crate::module::Result;
use crate::outcome::Failure;
use crate::system::{Found, KernelParameter};

/// A parameter's value, and whether it may be set.
pub fn parameter(name: &str) -> Result<Found<KernelParameter>> {
    let path = path(name)?;
    match fs::read_to_string(&path) {
        Ok(value) => Ok(Found::Present(KernelParameter {
            value: value.trim_end_matches('\n').to_owned(),
            writable: access(&path, Access::WRITE_OK).is_ok(),
        })),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Found::Absent),
        Err(error) => Err(failed("read", &path)(error)),
    }
}

/// Sets a parameter.
pub fn set_parameter(name: &str, value: &str) -> Result<()> {
    let path = path(name)?;
    fs::write(&path, value).map_err(|error| match error.raw_os_error() {
        Some(code) if code == rustix::io::Errno::INVAL.raw_os_error() => {
            Failure::new(format!("the kernel does not take `{value}` for {name}"))
        }
        _ => failed("set", &path)(error),
    })
}

/// Where a parameter is.
fn path(name: &str) -> Result<PathBuf> {
    let below = KernelParameter::path(name);
    let plain = |part: &str| !part.is_empty() && part != "." && part != "..";
    match below.split('/').all(plain) {
        true => Ok(Path::new("/proc/sys").join(below)),
        false => Err(Failure::new(format!("`{name}` is no kernel parameter"))),
    }
}

/// The name that the host has now.
pub fn hostname() -> String {
    rustix::system::uname()
        .nodename()
        .to_string_lossy()
        .into_owned()
}

/// Gives the host another name, until it starts anew.
pub fn set_hostname(name: &str) -> Result<()> {
    rustix::system::sethostname(name.as_bytes()).map_err(|error| {
        let failure = Failure::new(format!("cannot set the host's name to {name}: {error}"));
        match error {
            rustix::io::Errno::PERM => {
                failure.hint("Only root may; add `become: true` to the play or the task.")
            }
            _ => failure,
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_as_sysctl_reads_them() {
        for (name, below) in [
            ("vm.swappiness", "vm/swappiness"),
            (
                "net/ipv4/conf/eth0.1/forwarding",
                "net/ipv4/conf/eth0.1/forwarding",
            ),
            (
                "net.ipv4.conf.eth0/1.forwarding",
                "net/ipv4/conf/eth0.1/forwarding",
            ),
        ] {
            assert_eq!(path(name).unwrap(), Path::new("/proc/sys").join(below));
        }
        for name in ["", "vm..x", "../etc/passwd", "vm/../x", "/etc/passwd"] {
            assert!(path(name).is_err(), "{name}");
        }
    }

    #[test]
    fn the_kernel_is_asked() {
        let release = parameter("kernel.ostype").unwrap().present();
        assert_eq!(
            release.map(|parameter| parameter.value).as_deref(),
            Some("Linux")
        );
        assert_eq!(parameter("kernel.nosuch").unwrap(), Found::Absent);
    }
}
