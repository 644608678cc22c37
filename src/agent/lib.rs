//! The host's side of veza-play.
//!
//! The controller links this crate for the protocol and the argument schemas
//! only; effects happen in the agent process, on the other end of the pipe.

pub mod protocol;

pub mod serve;

pub mod modules;

pub mod module;

pub mod state;

pub mod outcome;

pub mod effect;

pub mod describe;

pub mod content;

pub mod mark;

pub mod system;

pub mod facts;
