//! The program as a person starts it: real processes against the embedded AWS, over loopback HTTP.
#![cfg(feature = "sandbox")]
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod actions;
mod audit;
mod audit_findings;
mod audit_runs;
mod audit_schedules;
mod audit_settings;
mod audit_suppressions;
mod audit_workshop;
mod authenticity;
mod bench;
mod collector;
mod cost;
mod cost_bench;
mod cost_model;
mod dlq;
mod doctor;
mod health;
mod logs;
mod metrics;
mod mitigate;
mod native_move;
mod permissions;
mod quotas;
mod refusals;
mod replay;
mod replay_audit;
mod signatures;
mod status;
mod stopping;
mod tasks;
mod traces;
mod verify;
mod workshop;
mod workshops;
