//! `fleetwarden status`: one look at the line.
//!
//! ```text
//! command.rs  what it is told     look.rs   what it reads     fleet.rs   what workers say, put together; pure
//! screen.rs   for people          document.rs   for programs   watch.rs  again and again
//! ```

mod command;
mod document;
mod fleet;
mod look;
mod screen;
mod watch;

pub use command::{StatusArgs, run};
