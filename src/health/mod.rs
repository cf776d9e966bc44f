//! Is this process well? Told over HTTP to whoever asks: the container's health check, a load balancer, Prometheus, people.
//!
//! | route | 200 | 503 |
//! |---|---|---|
//! | `/livez` | the process does its work | one of its loops is stuck, or panicked: only a new process helps |
//! | `/readyz` | it takes on work | not yet, not now, not any more; with the reason |
//! | `/metrics` | the metrics, in Prometheus's text format | |
//!
//! A container's health check asks `/livez`, never `/readyz`: a broken account pauses workers (P7), and whatever started them would
//! otherwise kill and start them again for ever, each time giving back what they had in hand.

mod ask;
mod board;
mod serve;

pub use ask::{PATIENCE, ask, reachable};
pub use board::{Board, Verdict};
pub use serve::{Server, serve};
