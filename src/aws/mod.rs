//! The room below the adapters: how an AWS client is built, how its errors are classified, how the in-memory twins are made to
//! fail, and what is checked before work begins.

mod classify;
mod clients;
mod error;
mod fate;
pub mod startup;

pub use classify::{Effect, classify, classify_entry};
pub use clients::{Clients, RECEIVE_TIMEOUT, load_config};
pub use error::{CallError, Class};
pub(crate) use fate::Call;
pub use fate::{Fair, Fate, Fates, Script};
