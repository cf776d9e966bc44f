//! The embedded AWS: SQS, SNS, DynamoDB, STS's caller identity, Service Quotas, AWS IoT and Device Defender behind one loopback port.
//!
//! [`Sandbox::start`] serves them over HTTP to any AWS SDK, to boto3 and to the AWS CLI, and [`Sandbox::sdk_config`] points the
//! Rust SDK at them. Queues, topics and tables are the `rustack` library crates, whose conditional writes were measured to have
//! exactly one winner; the rooms beside this file fill in where they differ from AWS:
//!
//! | file | what it adds |
//! |---|---|
//! | `server.rs`, `routing.rs` | the listener, and which service a request is for |
//! | `sqs.rs`, `receipt.rs`, `large.rs` | receipt handles that can be invalid or stale, limits, redrive policies, bodies up to 1 MiB |
//! | `moves.rs` | message move tasks, from a dead-letter queue back |
//! | `sns.rs`, `envelope.rs`, `signer.rs` | delivery to queues, raw with attributes or in the envelope, which is signed |
//! | `dynamodb.rs`, `indexes.rs`, `partiql/` | sparse indexes; PartiQL statements and batches |
//! | `service_quotas.rs` | the throttle limits of [`iot`] as quotas of the account |
//! | [`iot`] | the fleet, its audits and its mitigations |
//! | `control.rs`, `entries.rs` | faults on demand: errors, dropped connections, lost replies, denials |
//! | `used.rs` | which permissions the calls would have needed |
//!
//! Nothing is authenticated and nothing is kept: it listens on 127.0.0.1 only and forgets everything when it stops.

mod control;
mod dynamodb;
mod entries;
mod envelope;
mod indexes;
pub mod iot;
mod large;
mod moves;
mod partiql;
mod receipt;
mod reply;
mod routing;
mod server;
mod service_quotas;
mod signer;
mod sns;
mod sqs;
#[cfg(test)]
mod tests;
mod used;

pub use control::{AwsFaults, AwsService, ServiceFaults};
pub use server::{Sandbox, SandboxConfig, SandboxError};
