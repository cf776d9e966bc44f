//! Fleetwarden takes AWS IoT Device Defender audit findings from an SQS queue, records each once in DynamoDB, decides by policy, and
//! mitigates them against AWS IoT inside the account's API quotas.
//!
//! ```text
//! SNS topic -> SQS queue -> receive -> decode -> claim -> decide -> authenticate -> budget -> act -> finish -> delete
//! ```
//!
//! | room | what lives there |
//! |---|---|
//! | [`finding`] | what arrives: envelopes, payloads, the check catalogue, resource identity, keys; pure |
//! | [`policy`] | the policy file, its schema, and `decide`; pure |
//! | [`ledger`] | the record and its transitions (pure), the `Ledger` port, DynamoDB |
//! | [`queue`] | the `Queue` port, SQS |
//! | [`budget`] | calls per second per operation |
//! | [`mitigation`] | the `IotControl` port, one file for each action type, AWS IoT |
//! | [`defender`] | Device Defender: is a finding genuine, which findings does an audit have |
//! | [`replay`] | second chances: from the dead-letter queue, from the ledger, from an audit task |
//! | [`worker`] | wires the stages; owns concurrency, drain and health |
//! | [`health`] | is this process well: `/livez`, `/readyz`, `/metrics`, and who asks |
//! | [`telemetry`] | one function per fact that is logged and counted, one per span that is traced |
//! | [`setup`] | makes, finds and checks the queues, the topic and the table |
//! | [`doctor`] | looks at a deployment from end to end, and says how to mend what is wrong |
//! | [`cost`] | what findings cost on AWS: requests, units and dollars; pure |
//! | [`cli`] | one file per command; prints, never decides |
//! | [`aws`] | how a client is built, how an error is classified |
//! | [`clock`] | what time it is |
//! | `sandbox`, `demo` | the embedded AWS, and the whole loop on it (feature `sandbox`) |
//!
//! The core is generic over the three ports. Each has its AWS adapter and an in-memory twin with the real semantics, and one contract
//! suite (`tests/contract`) runs against all of them.

pub mod aws;
pub mod budget;
pub mod cli;
pub mod clock;
pub mod cost;
pub mod defender;
#[cfg(feature = "sandbox")]
pub mod demo;
pub mod doctor;
pub mod finding;
pub mod health;
pub mod ledger;
pub mod mitigation;
pub mod policy;
pub mod queue;
pub mod replay;
#[cfg(feature = "sandbox")]
pub mod sandbox;
pub mod setup;
pub mod telemetry;
pub mod worker;
