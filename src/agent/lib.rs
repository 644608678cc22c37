//! The host's side of veza-play.
//!
//! The controller links this crate for the protocol and the argument schemas
//! only; effects happen in the agent process, on the other end of the pipe.

pub mod protocol;

pub mod serve;

pub mod modules;

pub mod module;

pub mod door;

pub mod state;

pub mod outcome;

pub mod password;

pub mod effect;

pub mod resource;

pub mod describe;

pub mod content;

pub mod http;

pub mod mark;

pub mod secrets;

pub mod veil;

pub mod python;

#[expect(
    clippy::disallowed_types,
    clippy::disallowed_methods,
    reason = "this is the door itself"
)]
pub mod system;

#[expect(
    clippy::disallowed_methods,
    reason = "facts are read before there is a system"
)]
pub mod facts;
