//! Service Quotas.

use aws_sdk_servicequotas::types::ServiceQuota;

use super::code;
use crate::budget::{Operation, read_service_quotas};
use crate::sandbox::iot::Quotas;
use crate::sandbox::{AwsFaults, AwsService, Sandbox, SandboxConfig, ServiceFaults};

async fn sandbox(quotas: Quotas) -> (Sandbox, aws_sdk_servicequotas::Client) {
    let sandbox = Sandbox::start(SandboxConfig::default()).await.unwrap();
    sandbox.iot().set_quotas(quotas);
    let client = aws_sdk_servicequotas::Client::new(&sandbox.sdk_config());
    (sandbox, client)
}

async fn listed(client: &aws_sdk_servicequotas::Client, service: &str, page: i32) -> Vec<ServiceQuota> {
    let pages = client.list_service_quotas().service_code(service).into_paginator().page_size(page).items().send();
    pages.collect::<Result<_, _>>().await.unwrap()
}

#[tokio::test]
async fn the_limits_in_force_are_listed_page_by_page_under_the_names_of_aws() {
    let mut quotas = Quotas::scaled(2.0);
    quotas.rates.insert("UpdateCertificate".to_owned(), 55.0);
    let (_sandbox, client) = sandbox(quotas).await;
    let core = listed(&client, "iotcore", 7).await;
    let value = |name: &str| core.iter().find(|quota| quota.quota_name() == Some(name)).and_then(ServiceQuota::value);
    assert_eq!(value("UpdateCertificate API TPS"), Some(55.0));
    assert_eq!(value("AddThingToThingGroup API TPS"), Some(200.0));
    assert_eq!(value("DescribeAuditFinding API TPS"), None, "Device Defender's are under another code");
    assert_eq!(core, listed(&client, "iotcore", 100).await, "whatever the size of a page");
    let codes: std::collections::BTreeSet<_> = core.iter().map(ServiceQuota::quota_code).collect();
    assert_eq!(codes.len(), core.len(), "each has its own code");
    let first = client.list_service_quotas().service_code("iotcore").max_results(7).send().await.unwrap();
    assert_eq!((first.quotas().len(), first.next_token().is_some()), (7, true));
}

#[tokio::test]
async fn what_is_not_there_or_not_right_is_refused_as_aws_does() {
    let (_sandbox, client) = sandbox(Quotas::default()).await;
    let list = || client.list_service_quotas();
    assert_eq!(code!(list().service_code("iotdevicedefender").send().await), "NoSuchResourceException");
    let token = list().service_code("iot").next_token("100000").send().await;
    assert_eq!(code!(token), "InvalidPaginationTokenException");
    assert_eq!(code!(list().service_code("iot").max_results(101).send().await), "IllegalArgumentException");
}

#[tokio::test]
async fn the_worker_reads_from_it_every_quota_that_aws_lists() {
    let (_sandbox, client) = sandbox(Quotas::scaled(3.0)).await;
    let applied = read_service_quotas(&client).await;
    assert_eq!(applied.problems, Vec::<String>::new());
    for &operation in Operation::ALL {
        let expected = match operation {
            Operation::ListRelatedResourcesForAuditFinding => None,
            _ => Some(operation.default_quota() * 3.0),
        };
        assert_eq!(applied.rates.get(&operation).copied(), expected, "{operation}");
    }
}

#[tokio::test]
async fn without_throttles_there_is_nothing_to_tell_and_a_denial_leaves_the_defaults() {
    let (sandbox, client) = sandbox(Quotas::off()).await;
    let applied = read_service_quotas(&client).await;
    assert!(applied.rates.is_empty() && applied.problems.is_empty(), "{applied:?}");
    let denied = ServiceFaults { denied: true, ..ServiceFaults::default() };
    let faults = AwsFaults { services: [(AwsService::ServiceQuotas, denied)].into(), ..AwsFaults::default() };
    sandbox.set_faults(faults).unwrap();
    let applied = read_service_quotas(&client).await;
    assert!(applied.rates.is_empty());
    assert!(applied.problems[0].contains("allow servicequotas:ListServiceQuotas"), "{:?}", applied.problems);
}
