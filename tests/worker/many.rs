//! Certificates that very many things share.

use crate::house::*;
use fleetwarden::ledger::Status;
use fleetwarden::policy::{Action, Matcher, Rule};

#[tokio::test(start_paused = true)]
async fn more_things_than_a_record_can_hold_are_one_dead_letter() {
    let mut house = House::new();
    let finding = house.device(1);
    house.iot.put_group("quarantine");
    for n in 0..6_000 {
        house.iot.put_thing(&format!("a-thing-with-a-name-of-usual-length-{n}"), &certificate(1), &[]);
    }
    let action =
        Action::AddThingsToThingGroup { thing_groups: vec!["quarantine".into()], override_dynamic_groups: false };
    house.policy.rules = vec![Rule {
        name: "q".into(),
        matcher: Matcher::default(),
        observe: false,
        actions: vec![action],
        delegate: Vec::new(),
    }];
    house.publish(&finding).await;
    house.work().await;
    let letters = house.dead_letters();
    assert_eq!(letters.len(), 1, "{letters:?}");
    assert_eq!((house.status(&finding), letters[0].0.as_str()), (Status::Dead, "too_many_things"));
    assert!(
        house.iot.groups("a-thing-with-a-name-of-usual-length-0").is_empty(),
        "nothing is begun that cannot be recorded"
    );
}
