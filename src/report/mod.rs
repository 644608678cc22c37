//! Events become output.

pub mod event;
