//! The controller's library: scripts become plays, plays meet hosts, events
//! become output. The program in `main.rs` only parses the command line.

pub mod template;

pub mod transport;

pub mod report;
