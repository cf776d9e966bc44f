//! The program as a person starts it: real processes against the embedded AWS, over loopback HTTP.
#![cfg(feature = "sandbox")]
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod authenticity;
mod bench;
mod dlq;
mod native_move;
mod quotas;
mod refusals;
mod replay;
mod status;
mod stopping;
mod workshop;
