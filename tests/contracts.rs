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
    pub mod queue;
    #[macro_use]
    pub mod timelines;
}

use fleetwarden::clock::Clock;
use fleetwarden::ledger::MemoryLedger;
use fleetwarden::queue::{MemoryQueue, MemoryQueueConfig};
use jiff::Timestamp;

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

timeline_contract! {
    memory_timelines {
        test: { #[tokio::test(flavor = "multi_thread", worker_threads = 4)] },
        make: ledger,
        skip: {},
    }
}
