//! The room below the adapters: how an AWS client is built, how its errors are classified, and how its twins are made to fail.

mod error;
mod fate;

pub use error::{CallError, Class};
pub(crate) use fate::Call;
pub use fate::{Fair, Fate, Fates, Script};
