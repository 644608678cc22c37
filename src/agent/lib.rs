//! The host's side of veza-play.
//!
//! The controller links this crate for the protocol and the argument schemas
//! only; effects happen in the agent process, on the other end of the pipe.

pub mod mark;

pub mod outcome;

pub mod content;

pub mod effect;

pub mod describe;
