//! A canary of `doctor` under a policy that enforces: recorded, and nothing else, whoever wrote it.

use crate::house::*;
use fleetwarden::finding::{CANARY_CHECK, CANARY_ID_PREFIX, Finding};
use fleetwarden::ledger::Status;
use fleetwarden::policy::CANARY_RULE;

#[tokio::test(start_paused = true)]
async fn a_canary_genuine_or_forged_is_observed_and_reaches_neither_aws_iot_nor_the_dead_letters() {
    let house = House::new();
    let genuine = Finding::canary(7, "123456789012", "us-east-1", 1_791_014_401_000);
    // About an active certificate that a rule would deactivate, and which a genuine finding is about as well.
    let real = house.device(1);
    let forged = Finding { check: CANARY_CHECK.to_owned(), finding_id: "forged".to_owned(), ..real.clone() };
    for canary in [&genuine, &forged] {
        house.publish(canary).await;
    }
    house.work().await;
    for canary in [&genuine, &forged] {
        let record = house.record(canary);
        assert_eq!((record.status, record.rule.as_deref()), (Status::Observed, Some(CANARY_RULE)), "{record:?}");
    }
    assert_eq!(house.iot.history().len(), 0, "nobody was asked about a canary");
    assert!(house.dead_letters().is_empty());
    assert!(house.depth().await.is_empty());
    let record = house.record(&genuine);
    assert!(genuine.finding_id.starts_with(CANARY_ID_PREFIX));
    assert_eq!(record.expires_at, record.updated_at / 1000 + 86_400, "it is forgotten after a day");
    // And the finding that the forger borrowed from is mitigated as ever.
    house.publish(&real).await;
    house.work().await;
    assert_eq!(house.status(&real), Status::Mitigated);
}
