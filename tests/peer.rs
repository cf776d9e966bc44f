//! The port contracts over the wire, against an AWS that this project did not write: an emulator at `FLEETWARDEN_PEER_ENDPOINT`
//! (`.ci/peer` starts one). Ignored by plain `cargo test`; what the peer lacks is skipped by name.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

#[macro_use]
mod contract {
    #[macro_use]
    pub mod run;
    #[macro_use]
    pub mod iot;
    #[macro_use]
    pub mod ledger;
    #[macro_use]
    pub mod ledger_lists;
    #[macro_use]
    pub mod ledger_races;
    #[macro_use]
    pub mod ledger_replays;
    #[macro_use]
    pub mod presence;
    #[macro_use]
    pub mod queue;
    #[macro_use]
    pub mod timelines;
    pub mod wire;
}

/// What goes beyond the contracts.
mod over_the_wire {
    mod deployment;
    mod iot;
    mod lost_reply;
}

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use contract::run::unique;
use contract::wire::WireFixture;
use fleetwarden::aws::Clients;
use fleetwarden::ledger::DynamoLedger;
use fleetwarden::ledger::dynamodb::{Created, create_table};
use fleetwarden::queue::SqsQueue;

/// Where the peer is.
fn endpoint() -> String {
    std::env::var("FLEETWARDEN_PEER_ENDPOINT")
        .expect("FLEETWARDEN_PEER_ENDPOINT is not set: run .ci/peer, which starts a peer and sets it")
}

fn clients() -> Clients {
    Clients::new(&config(&endpoint()))
}

fn config(endpoint: &str) -> SdkConfig {
    SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("us-east-1"))
        .endpoint_url(endpoint)
        .credentials_provider(SharedCredentialsProvider::new(Credentials::from_keys("test", "test", None)))
        .build()
}

async fn queue() -> SqsQueue {
    let clients = clients();
    let made = clients.sqs.create_queue().queue_name(unique("queue")).send().await.unwrap();
    SqsQueue::new(clients.sqs, made.queue_url.unwrap())
}

async fn ledger() -> DynamoLedger {
    let clients = clients();
    let table = unique("table");
    assert_eq!(create_table(&clients.dynamodb, &table).await.unwrap(), Created::Created);
    DynamoLedger::new(clients.dynamodb, table)
}

async fn iot() -> WireFixture {
    WireFixture::new(clients(), None)
}

iot_contract! {
    aws_iot {
        test: { #[tokio::test(flavor = "multi_thread", worker_threads = 2)] #[ignore = "needs a peer: .ci/peer"] },
        make: iot,
        skip: {
            a_ca_certificate_is_deactivated_and_once_more_changes_nothing: "registering one takes a real CA certificate",
            a_sixth_policy_version_is_refused_until_one_is_deleted: "the peer has no limit of five policy versions",
            logging_is_none_until_it_is_set_and_then_reads_as_set: "the peer has no V2 logging options",
            an_unknown_audit_finding_is_gone: "the peer has no audits",
            an_audits_findings_are_listed_over_all_pages_suppressed_ones_too_and_marked: "the peer has no audits",
            an_unknown_audit_has_no_findings: "the peer has no audits",
        },
    }
}

queue_contract! {
    sqs_queue {
        test: { #[tokio::test(flavor = "multi_thread", worker_threads = 2)] #[ignore = "needs a peer: .ci/peer"] },
        make: queue,
        skip: {
            a_delete_by_a_stale_handle_is_accepted_and_the_newest_handle_deletes: "MiniStack 1.5.33 refuses handles of earlier deliveries",
            deleting_twice_is_accepted: "MiniStack 1.5.33 refuses handles of deleted messages",
            a_message_that_is_not_in_flight_refuses_a_visibility_change: "MiniStack 1.5.33 accepts it",
            a_visibility_timeout_beyond_twelve_hours_is_refused: "MiniStack 1.5.33 accepts it",
        },
    }
}

ledger_contract! {
    dynamo_ledger {
        test: { #[tokio::test(flavor = "multi_thread", worker_threads = 2)] #[ignore = "needs a peer: .ci/peer"] },
        make: ledger,
        skip: {},
    }
}

ledger_list_contract! {
    dynamo_ledger_lists {
        test: { #[tokio::test(flavor = "multi_thread", worker_threads = 2)] #[ignore = "needs a peer: .ci/peer"] },
        make: ledger,
        skip: {},
    }
}

ledger_replay_contract! {
    dynamo_ledger_replays {
        test: { #[tokio::test(flavor = "multi_thread", worker_threads = 2)] #[ignore = "needs a peer: .ci/peer"] },
        make: ledger,
        skip: {},
    }
}

ledger_race_contract! {
    dynamo_ledger_races {
        test: { #[tokio::test(flavor = "multi_thread", worker_threads = 4)] #[ignore = "needs a peer: .ci/peer"] },
        make: ledger,
        skip: {},
    }
}

presence_contract! {
    dynamo_presence {
        test: { #[tokio::test(flavor = "multi_thread", worker_threads = 2)] #[ignore = "needs a peer: .ci/peer"] },
        make: ledger,
        skip: {},
    }
}

timeline_contract! {
    dynamo_timelines {
        test: { #[tokio::test(flavor = "multi_thread", worker_threads = 4)] #[ignore = "needs a peer: .ci/peer"] },
        make: ledger,
        skip: {},
    }
}
