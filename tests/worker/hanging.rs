//! Calls that hang when a worker is to end.

use crate::house::*;
use fleetwarden::aws::Fate;
use fleetwarden::ledger::Status;
use fleetwarden::worker::Ended;
use std::time::Duration;

#[tokio::test(start_paused = true)]
async fn claims_that_hang_do_not_hold_up_the_drain() {
    let house = House::new();
    for n in 0..512 {
        let finding = house.device(n);
        house.publish(&finding).await;
    }
    let mut worker = house.worker("worker");
    worker.ledger = house.ledger.with_fates(always("ledger.claim", Fate::Late(Duration::from_secs(300))));
    let running = start_for_good(worker);
    seconds(2).await;
    let asked = tokio::time::Instant::now();
    assert_eq!(finish(running.end()).await, Ended::CutShort);
    assert!(asked.elapsed() < Duration::from_secs(50), "drained in {:?}", asked.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_heartbeat_that_hangs_does_not_hold_up_the_drain() {
    let house = House::new();
    let finding = house.device(1);
    house.publish(&finding).await;
    let mut worker = house.worker("worker");
    worker.ledger = house.ledger.with_fates(always("ledger.renew", Fate::Late(FOR_EVER)));
    worker.iot = house.iot.with_fates(always("iot.deactivate_certificate", Fate::Late(Duration::from_secs(40))));
    let running = start_for_good(worker);
    seconds(38).await;
    let asked = tokio::time::Instant::now();
    finish(running.end()).await;
    assert!(asked.elapsed() < Duration::from_secs(20), "drained in {:?}", asked.elapsed());
    assert_eq!(house.status(&finding), Status::Mitigated);
}
