//! Files in a dry run.

mod change;

mod paths;

mod read;

pub(in crate::system::overlay) use change::NewFile;
