//! What every `IotControl` does with Device Defender's own mitigation tasks. `make` gives a fixture in an account of its own.
#![expect(clippy::unwrap_used, reason = "tests")]

use super::run::unique;
use fleetwarden::aws::{CallError, Class};
use fleetwarden::mitigation::{ActionExecution, IotControl, MitigationTaskOrder, MitigationTaskState};
use fleetwarden::policy::Action;
use std::time::Duration;

/// The check of every finding here.
pub const CHECK: &str = "DEVICE_CERTIFICATE_SHARED_CHECK";

/// What the cases need and the port does not offer.
pub trait TasksFixture {
    /// The implementation under test.
    type Control: IotControl;
    /// The implementation under test.
    fn control(&self) -> &Self::Control;
    /// An active certificate that Device Defender has a finding of [`CHECK`] about: the finding's id and the certificate's.
    async fn finding(&self) -> (String, String);
    /// Makes an action that deactivates device certificates.
    async fn deactivating(&self, name: &str);
    /// Makes an action that adds things to this group.
    async fn adding_to(&self, name: &str, group: &str);
}

/// Runs every case of this file against an implementation; see `run.rs`.
macro_rules! mitigation_tasks_contract {
    ($($implementation:tt)*) => {
        contract_tests!(mitigation_tasks, [
            a_task_applies_its_action_and_tells_how_it_ended,
            a_second_start_under_one_id_starts_nothing,
            after_a_failed_action_the_rest_is_skipped_and_the_task_failed,
            a_task_of_unknown_findings_or_actions_is_refused_and_does_not_exist,
            more_than_25_findings_are_refused,
            an_unknown_task_or_action_is_gone,
            an_action_is_described_with_its_parameters,
        ], $($implementation)*);
    };
}

fn order(actions: &[&str], finding_ids: &[&str]) -> MitigationTaskOrder {
    MitigationTaskOrder {
        task_id: unique("task"),
        token: unique("token"),
        check: CHECK.to_owned(),
        actions: actions.iter().map(|&name| name.to_owned()).collect(),
        finding_ids: finding_ids.iter().map(|&id| id.to_owned()).collect(),
    }
}

/// The task once it is over: it takes a moment.
async fn over(control: &impl IotControl, task_id: &str) -> MitigationTaskState {
    let over = async {
        loop {
            let state = control.describe_mitigation_task(task_id).await.unwrap();
            if state.status != "IN_PROGRESS" {
                return state;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), over).await.unwrap()
}

#[track_caller]
fn refused(outcome: Result<(), CallError>, code: &str) {
    let error = outcome.unwrap_err();
    assert_eq!((error.class, error.code.as_deref()), (Class::Permanent, Some(code)), "{error}");
}

async fn executions(control: &impl IotControl, task_id: &str, finding: &str) -> Vec<ActionExecution> {
    let page = control.list_action_executions(task_id, finding, None).await.unwrap();
    assert_eq!(page.next, None);
    page.items
}

pub async fn a_task_applies_its_action_and_tells_how_it_ended<F: TasksFixture>(make: impl AsyncFn() -> F) {
    let fixture = make().await;
    let (finding, certificate) = fixture.finding().await;
    fixture.deactivating("Deactivate").await;
    let order = order(&["Deactivate"], &[&finding]);
    fixture.control().start_mitigation_task(&order).await.unwrap();
    let state = over(fixture.control(), &order.task_id).await;
    assert_eq!(state, MitigationTaskState { status: "COMPLETED".into(), total: 1, succeeded: 1 });
    assert_eq!(fixture.control().describe_certificate(&certificate).await.unwrap().status, "INACTIVE");
    let executions = executions(fixture.control(), &order.task_id, &finding).await;
    let [execution] = executions.as_slice() else { panic!("{executions:?}") };
    assert_eq!((execution.action.as_str(), execution.status.as_str()), ("Deactivate", "COMPLETED"));
}

/// Whether the same token is refused too is UNCONFIRMED; it certainly starts nothing.
pub async fn a_second_start_under_one_id_starts_nothing<F: TasksFixture>(make: impl AsyncFn() -> F) {
    let fixture = make().await;
    let ((finding, _), (other, untouched)) = (fixture.finding().await, fixture.finding().await);
    fixture.deactivating("Deactivate").await;
    let first = order(&["Deactivate"], &[&finding]);
    fixture.control().start_mitigation_task(&first).await.unwrap();
    let second = MitigationTaskOrder { task_id: first.task_id.clone(), ..order(&["Deactivate"], &[&other]) };
    refused(fixture.control().start_mitigation_task(&second).await, "TaskAlreadyExistsException");
    let _ = fixture.control().start_mitigation_task(&first).await;
    assert_eq!(over(fixture.control(), &first.task_id).await.total, 1);
    assert!(fixture.control().describe_certificate(&untouched).await.unwrap().is_active());
}

pub async fn after_a_failed_action_the_rest_is_skipped_and_the_task_failed<F: TasksFixture>(make: impl AsyncFn() -> F) {
    let fixture = make().await;
    let (finding, certificate) = fixture.finding().await;
    fixture.adding_to("Quarantine", "no-such-group").await;
    fixture.deactivating("Deactivate").await;
    let order = order(&["Quarantine", "Deactivate"], &[&finding]);
    fixture.control().start_mitigation_task(&order).await.unwrap();
    let state = over(fixture.control(), &order.task_id).await;
    assert_eq!((state.status.as_str(), state.succeeded), ("FAILED", 0));
    let executions = executions(fixture.control(), &order.task_id, &finding).await;
    let told: Vec<_> = executions.iter().map(|one| (one.action.as_str(), one.status.as_str())).collect();
    assert_eq!(told, [("Quarantine", "FAILED"), ("Deactivate", "SKIPPED")]);
    assert!(executions[0].error_code.is_some() && executions[0].message.is_some(), "{executions:?}");
    assert!(fixture.control().describe_certificate(&certificate).await.unwrap().is_active());
}

pub async fn a_task_of_unknown_findings_or_actions_is_refused_and_does_not_exist<F: TasksFixture>(
    make: impl AsyncFn() -> F,
) {
    let fixture = make().await;
    let (finding, _) = fixture.finding().await;
    fixture.deactivating("Deactivate").await;
    for order in [order(&["Deactivate"], &["nobody"]), order(&["Nothing"], &[&finding])] {
        refused(fixture.control().start_mitigation_task(&order).await, "InvalidRequestException");
        let described = fixture.control().describe_mitigation_task(&order.task_id).await;
        assert_eq!(described.unwrap_err().class, Class::Gone);
    }
}

pub async fn more_than_25_findings_are_refused<F: TasksFixture>(make: impl AsyncFn() -> F) {
    let fixture = make().await;
    fixture.deactivating("Deactivate").await;
    let ids: Vec<String> = (0..26).map(|n| format!("finding-{n}")).collect();
    let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
    refused(fixture.control().start_mitigation_task(&order(&["Deactivate"], &ids)).await, "InvalidRequestException");
}

pub async fn an_unknown_task_or_action_is_gone<F: TasksFixture>(make: impl AsyncFn() -> F) {
    let fixture = make().await;
    let task = fixture.control().describe_mitigation_task(&unique("nothing")).await;
    assert_eq!(task.unwrap_err().class, Class::Gone);
    let action = fixture.control().describe_mitigation_action("Nothing").await;
    assert_eq!(action.unwrap_err().class, Class::Gone);
}

pub async fn an_action_is_described_with_its_parameters<F: TasksFixture>(make: impl AsyncFn() -> F) {
    let fixture = make().await;
    fixture.adding_to("Quarantine", "Suspects").await;
    let described = fixture.control().describe_mitigation_action("Quarantine").await.unwrap();
    let thing_groups = vec!["Suspects".to_owned()];
    assert_eq!(described, Action::AddThingsToThingGroup { thing_groups, override_dynamic_groups: false });
}
