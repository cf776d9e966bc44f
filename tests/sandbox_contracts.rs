//! The port contracts over loopback HTTP: the AWS adapters, through the real SDK clients, against the embedded AWS.
#![cfg(feature = "sandbox")]
#![expect(clippy::unwrap_used, reason = "tests")]

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
    pub mod mitigation_tasks;
    #[macro_use]
    pub mod presence;
    #[macro_use]
    pub mod queue;
    #[macro_use]
    pub mod timelines;
    pub mod wire;
}

use aws_sdk_dynamodb::types::AttributeValue;
use aws_sdk_iot::types::{
    AddThingsToThingGroupParams, AuditCheckConfiguration, DeviceCertificateUpdateAction, MitigationActionParams,
    UpdateDeviceCertificateParams,
};
use contract::mitigation_tasks::{CHECK, TasksFixture};
use contract::run::{now, unique};
use contract::wire::WireFixture;
use fleetwarden::aws::Clients;
use fleetwarden::ledger::dynamodb::create_table;
use fleetwarden::ledger::{Change, DynamoLedger, Timelines};
use fleetwarden::mitigation::{AwsIot, IotControl};
use fleetwarden::queue::SqsQueue;
use fleetwarden::sandbox::iot::defects::Defect;
use fleetwarden::sandbox::iot::{CaCertificate, IotConfig, Quotas};
use fleetwarden::sandbox::{Sandbox, SandboxConfig};
use std::time::Duration;

/// A sandbox of the case's own, which lasts as long as the test's runtime; nothing is throttled in it.
async fn sandbox() -> &'static Sandbox {
    let iot = IotConfig { quotas: Quotas::off(), ..IotConfig::default() };
    let config = SandboxConfig { iot, ..SandboxConfig::default() };
    Box::leak(Box::new(Sandbox::start(config).await.unwrap()))
}

async fn clients() -> Clients {
    Clients::new(&sandbox().await.sdk_config())
}

async fn queue() -> SqsQueue {
    let clients = clients().await;
    let made = clients.sqs.create_queue().queue_name(unique("queue")).send().await.unwrap();
    SqsQueue::new(clients.sqs, made.queue_url.unwrap())
}

async fn ledger() -> DynamoLedger {
    let clients = clients().await;
    let table = unique("table");
    create_table(&clients.dynamodb, &table).await.unwrap();
    DynamoLedger::new(clients.dynamodb, table)
}

async fn iot() -> WireFixture {
    let sandbox = sandbox().await;
    let ca_certificate = "ca".repeat(32);
    sandbox.iot().with_fleet(|fleet| {
        fleet.ca_certificates.insert(ca_certificate.clone(), CaCertificate::new(now()));
    });
    WireFixture::new(Clients::new(&sandbox.sdk_config()), Some(ca_certificate))
}

queue_contract! {
    sqs_queue {
        test: { #[tokio::test(flavor = "multi_thread", worker_threads = 2)] },
        make: queue,
        skip: { a_batch_of_more_than_one_mebibyte_is_taken: "the sandbox's SQS takes messages of up to 256 KiB" },
    }
}

ledger_contract! {
    dynamo_ledger {
        test: { #[tokio::test(flavor = "multi_thread", worker_threads = 2)] },
        make: ledger,
        skip: {},
    }
}

ledger_list_contract! {
    dynamo_ledger_lists {
        test: { #[tokio::test(flavor = "multi_thread", worker_threads = 2)] },
        make: ledger,
        skip: {},
    }
}

ledger_replay_contract! {
    dynamo_ledger_replays {
        test: { #[tokio::test(flavor = "multi_thread", worker_threads = 2)] },
        make: ledger,
        skip: {},
    }
}

ledger_race_contract! {
    dynamo_ledger_races {
        test: { #[tokio::test(flavor = "multi_thread", worker_threads = 4)] },
        make: ledger,
        skip: {},
    }
}

iot_contract! {
    aws_iot {
        test: { #[tokio::test(flavor = "multi_thread", worker_threads = 2)] },
        make: iot,
        skip: {},
    }
}

/// An account over the wire, in which an audit finds what is planted.
struct Account {
    sandbox: &'static Sandbox,
    control: AwsIot,
    clients: Clients,
}

async fn account() -> Account {
    let quick = Duration::from_millis(20);
    let iot =
        IotConfig { quotas: Quotas::off(), audit_duration: quick, mitigation_duration: quick, ..IotConfig::default() };
    let config = SandboxConfig { iot, ..SandboxConfig::default() };
    let sandbox = Box::leak(Box::new(Sandbox::start(config).await.unwrap()));
    let clients = Clients::new(&sandbox.sdk_config());
    let control = AwsIot::new(clients.iot.clone(), clients.sns.clone(), "123456789012", "us-east-1");
    let configure = clients.iot.update_account_audit_configuration().role_arn("arn:aws:iam::123456789012:role/Audit");
    let enabled = AuditCheckConfiguration::builder().enabled(true).build();
    configure.audit_check_configurations(CHECK, enabled).send().await.unwrap();
    Account { sandbox, control, clients }
}

impl Account {
    async fn action(&self, name: &str, params: MitigationActionParams) {
        let call = self.clients.iot.create_mitigation_action().action_name(name).action_params(params);
        call.role_arn("arn:aws:iam::123456789012:role/Mitigation").send().await.unwrap();
    }
}

impl TasksFixture for Account {
    type Control = AwsIot;

    fn control(&self) -> &AwsIot {
        &self.control
    }

    async fn finding(&self) -> (String, String) {
        let defect = Defect { check: CHECK.to_owned(), ..Defect::default() };
        let planted = self.sandbox.iot().with_fleet(|fleet| fleet.plant_defect(&defect).unwrap());
        let certificate = planted.resource.identifier("deviceCertificateId").unwrap().to_owned();
        let started = self.clients.iot.start_on_demand_audit_task().target_check_names(CHECK).send().await.unwrap();
        let task = started.task_id.unwrap();
        loop {
            let described = self.clients.iot.describe_audit_task().task_id(&task).send().await.unwrap();
            if described.task_status.unwrap().as_str() != "IN_PROGRESS" {
                break;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let page = self.control.list_audit_findings(&task, CHECK, None).await.unwrap();
        let of_it = page.items.into_iter().find(|finding| finding.resource_id() == certificate).unwrap();
        (of_it.finding_id, certificate)
    }

    async fn deactivating(&self, name: &str) {
        let action = DeviceCertificateUpdateAction::Deactivate;
        let params = UpdateDeviceCertificateParams::builder().action(action).build().unwrap();
        self.action(name, MitigationActionParams::builder().update_device_certificate_params(params).build()).await;
    }

    async fn adding_to(&self, name: &str, group: &str) {
        let params = AddThingsToThingGroupParams::builder().thing_group_names(group).build().unwrap();
        self.action(name, MitigationActionParams::builder().add_things_to_thing_group_params(params).build()).await;
    }
}

mitigation_tasks_contract! {
    aws_mitigation_tasks {
        test: { #[tokio::test(flavor = "multi_thread", worker_threads = 2)] },
        make: account,
        skip: {},
    }
}

presence_contract! {
    dynamo_presence {
        test: { #[tokio::test(flavor = "multi_thread", worker_threads = 2)] },
        make: ledger,
        skip: {},
    }
}

timeline_contract! {
    dynamo_timelines {
        test: { #[tokio::test(flavor = "multi_thread", worker_threads = 4)] },
        make: ledger,
        skip: {},
    }
}

#[tokio::test]
async fn a_timelines_item_is_dated_in_milliseconds_and_expires_120_days_after_its_last_change() {
    let (clients, table, now) = (clients().await, unique("table"), now());
    create_table(&clients.dynamodb, &table).await.unwrap();
    let (ledger, key) = (DynamoLedger::new(clients.dynamodb.clone(), &table), "budget#us-east-1#GetPolicy");
    let changes = [Change::Start { seen: None, to: 1 }, Change::Cut { rate: 0.5, at: 2, cuts: 0 }];
    for (change, at) in changes.into_iter().zip([now, now + 5_000]) {
        ledger.change(key, change, at * 1000 + 999).await.unwrap();
        let call = clients.dynamodb.get_item().table_name(&table).key("id", AttributeValue::S(key.to_owned()));
        let item = call.send().await.unwrap().item.unwrap();
        let number = |name: &str| item[name].as_n().unwrap().parse::<i64>().unwrap();
        assert_eq!((number("updated_at"), number("written_at")), (at, at * 1000 + 999));
        assert_eq!(number("expires_at"), at / 1000 + 120 * 86_400);
    }
}
