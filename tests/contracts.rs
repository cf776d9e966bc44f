//! The port contracts, run against the in-memory twins.
#![expect(clippy::unwrap_used, reason = "tests")]

#[macro_use]
mod contract {
    #[macro_use]
    pub mod run;
    #[macro_use]
    pub mod ledger;
    #[macro_use]
    pub mod ledger_lists;
    #[macro_use]
    pub mod ledger_races;
    #[macro_use]
    pub mod ledger_replays;
    #[macro_use]
    pub mod mitigation_tasks;
    #[macro_use]
    pub mod presence;
    #[macro_use]
    pub mod queue;
    #[macro_use]
    pub mod timelines;
}

use contract::mitigation_tasks::{CHECK, TasksFixture};
use contract::run::unique;
use fleetwarden::clock::Clock;
use fleetwarden::finding::Finding;
use fleetwarden::ledger::MemoryLedger;
use fleetwarden::mitigation::MemoryIot;
use fleetwarden::policy::Action;
use fleetwarden::queue::{MemoryQueue, MemoryQueueConfig};
use jiff::Timestamp;
use std::time::Duration;

async fn paused_queue() -> MemoryQueue {
    let origin: Timestamp = "2026-11-22T12:00:00Z".parse().unwrap();
    MemoryQueue::new(Clock::virtual_at(origin), MemoryQueueConfig::default())
}

async fn wall_clock_queue() -> MemoryQueue {
    MemoryQueue::new(Clock::system(), MemoryQueueConfig::default())
}

queue_contract! {
    memory_queue_in_paused_time {
        test: { #[tokio::test(start_paused = true)] },
        make: paused_queue,
        skip: {},
    }
}

// No case may need a paused clock: over the wire there is none.
queue_contract! {
    memory_queue_in_real_time {
        test: { #[tokio::test(flavor = "multi_thread", worker_threads = 2)] },
        make: wall_clock_queue,
        skip: {},
    }
}

async fn ledger() -> MemoryLedger {
    MemoryLedger::new()
}

ledger_contract! {
    memory_ledger {
        test: { #[tokio::test] },
        make: ledger,
        skip: {},
    }
}

ledger_list_contract! {
    memory_ledger_lists {
        test: { #[tokio::test] },
        make: ledger,
        skip: {},
    }
}

ledger_replay_contract! {
    memory_ledger_replays {
        test: { #[tokio::test] },
        make: ledger,
        skip: {},
    }
}

ledger_race_contract! {
    memory_ledger_races {
        test: { #[tokio::test(flavor = "multi_thread", worker_threads = 4)] },
        make: ledger,
        skip: {},
    }
}

presence_contract! {
    memory_presence {
        test: { #[tokio::test] },
        make: ledger,
        skip: {},
    }
}

timeline_contract! {
    memory_timelines {
        test: { #[tokio::test(flavor = "multi_thread", worker_threads = 4)] },
        make: ledger,
        skip: {},
    }
}

/// An account in memory, with a thing for each certificate.
struct Account {
    iot: MemoryIot,
}

async fn account() -> Account {
    let iot = MemoryIot::new();
    iot.set_task_duration(Duration::from_millis(20));
    Account { iot }
}

impl TasksFixture for Account {
    type Control = MemoryIot;

    fn control(&self) -> &MemoryIot {
        &self.iot
    }

    async fn finding(&self) -> (String, String) {
        let id = unique("finding");
        let digits: String = id.chars().filter(char::is_ascii_digit).collect();
        let certificate = format!("{digits:0>64}");
        self.iot.put_certificate(&certificate, "ACTIVE");
        self.iot.put_thing(&unique("thing"), &certificate, &[]);
        let payload = serde_json::json!({
            "findingId": id,
            "checkName": CHECK,
            "reasonForNonComplianceCode": "CERTIFICATE_SHARED_BY_MULTIPLE_DEVICES",
            "nonCompliantResource": {
                "resourceType": "DEVICE_CERTIFICATE",
                "resourceIdentifier": { "deviceCertificateId": certificate },
            },
        });
        self.iot.put_finding(&Finding::from_native(&payload, "123456789012", "us-east-1").unwrap());
        (id, certificate)
    }

    async fn deactivating(&self, name: &str) {
        self.iot.put_mitigation_action(name, Action::UpdateDeviceCertificate);
    }

    async fn adding_to(&self, name: &str, group: &str) {
        let thing_groups = vec![group.to_owned()];
        let action = Action::AddThingsToThingGroup { thing_groups, override_dynamic_groups: false };
        self.iot.put_mitigation_action(name, action);
    }
}

mitigation_tasks_contract! {
    memory_mitigation_tasks {
        test: { #[tokio::test] },
        make: account,
        skip: {},
    }
}
