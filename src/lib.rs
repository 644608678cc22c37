//! The controller's library: scripts become plays, plays meet hosts, events
//! become output. The program in `main.rs` only parses the command line.

pub mod cli;

pub mod command;

pub mod exit;

pub mod schema;

pub mod inventory;

mod files;

pub mod secrets;

pub mod script;

pub mod play;

pub mod run;

pub mod template;

pub mod transport;

pub mod report;
