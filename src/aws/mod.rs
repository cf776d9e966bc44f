//! The room below the adapters: how an AWS client is built, and how its errors are classified.

mod error;

pub use error::{CallError, Class};
