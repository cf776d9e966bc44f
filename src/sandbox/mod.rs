//! The embedded AWS.

pub mod iot;
