//! The `veza-play` program.
fn main() {}
