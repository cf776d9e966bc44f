//! The room below the adapters: how an AWS client is built, how its errors are classified, what it takes as an ARN or a
//! name, and how the in-memory twins are made to fail.

mod certificates;
mod classify;
mod clients;
mod error;
mod fate;
mod https;
mod observe;
mod request_id;
mod server_date;
pub mod syntax;

pub use certificates::{CertificateSource, MemoryCertificates, SnsCertificates};
pub use classify::{Effect, classify, classify_entry};
pub use clients::{ATTEMPT_TIMEOUT, Clients, RECEIVE_TIMEOUT, load_config};
pub(crate) use error::said;
pub use error::{CallError, Class};
pub(crate) use fate::Call;
pub use fate::{Fair, Fate, Fates, Script};
pub(crate) use https::connect;
pub use observe::CallObserver;
pub use server_date::{ServerDate, server_date};
