//! Fleetwarden's program.
fn main() {}
