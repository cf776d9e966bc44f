//! The real SDK client against the service, over loopback HTTP: what it sends is understood, what it gets it can read.

use std::sync::Arc;

use aws_sdk_iot::Client;
use aws_sdk_iot::error::ProvideErrorMetadata;
use aws_sdk_iot::types as t;
use aws_smithy_types::DateTime;
use http_body_util::{BodyExt, Full};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};

use super::service_tests::Recorder;
use super::*;

/// A listener as small as can be; the connection is closed when the service wants no reply.
async fn serve(service: IotService) -> String {
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let service = service.clone();
            let answer = service_fn(move |request: http::Request<hyper::body::Incoming>| {
                let service = service.clone();
                async move {
                    let (parts, body) = request.into_parts();
                    let body = body.collect().await.map_err(|error| error.to_string())?.to_bytes();
                    let reply = service.handle(http::Request::from_parts(parts, body)).await;
                    reply.map(|reply| reply.map(Full::new)).map_err(|DropConnection| "dropped".to_owned())
                }
            });
            tokio::spawn(async move {
                let builder = hyper_util::server::conn::auto::Builder::new(TokioExecutor::new());
                let _closed = builder.serve_connection(TokioIo::new(stream), answer).await;
            });
        }
    });
    endpoint
}

async fn client() -> (Client, IotService, Arc<Recorder>) {
    let recorder = Arc::new(Recorder::default());
    let config = IotConfig {
        quotas: Quotas::off(),
        audit_duration: std::time::Duration::ZERO,
        mitigation_duration: std::time::Duration::ZERO,
        ..IotConfig::default()
    };
    let service = IotService::new(config, recorder.clone());
    let endpoint = serve(service.clone()).await;
    let config = aws_sdk_iot::Config::builder()
        .behavior_version(aws_sdk_iot::config::BehaviorVersion::latest())
        .region(aws_sdk_iot::config::Region::new("us-east-1"))
        .endpoint_url(endpoint)
        .credentials_provider(aws_credential_types::Credentials::from_keys("test", "test", None))
        .retry_config(aws_sdk_iot::config::retry::RetryConfig::disabled())
        .build();
    (Client::from_conf(config), service, recorder)
}

fn code<E: ProvideErrorMetadata, R>(error: &aws_sdk_iot::error::SdkError<E, R>) -> String {
    error.code().unwrap_or_default().to_owned()
}

#[tokio::test]
async fn a_fleet_can_be_set_up_audited_and_mitigated_through_the_sdk() {
    let (iot, _, _) = client().await;
    let created = iot.create_keys_and_certificate().set_as_active(true).send().await.unwrap();
    let (arn, id) = (created.certificate_arn().unwrap(), created.certificate_id().unwrap());
    assert!(created.key_pair().unwrap().private_key().unwrap().contains("PRIVATE KEY"));
    iot.create_thing().thing_name("lamp 1".replace(' ', "_")).send().await.unwrap();
    iot.attach_thing_principal().thing_name("lamp_1").principal(arn).send().await.unwrap();
    let open = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"iot:*","Resource":"*"}]}"#;
    iot.create_policy().policy_name("open").policy_document(open).send().await.unwrap();
    iot.attach_policy().policy_name("open").target(arn).send().await.unwrap();
    assert_eq!(iot.list_attached_policies().target(arn).send().await.unwrap().policies().len(), 1);
    assert_eq!(iot.list_targets_for_policy().policy_name("open").send().await.unwrap().targets(), [arn]);

    let enabled = t::AuditCheckConfiguration::builder().enabled(true).build();
    iot.update_account_audit_configuration()
        .role_arn("arn:aws:iam::123456789012:role/Audit")
        .audit_check_configurations("IOT_POLICY_OVERLY_PERMISSIVE_CHECK", enabled)
        .send()
        .await
        .unwrap();
    let start = || iot.start_on_demand_audit_task().target_check_names("IOT_POLICY_OVERLY_PERMISSIVE_CHECK").send();
    let task_id = start().await.unwrap().task_id().unwrap().to_owned();
    let task = wait_for_audit(&iot, &task_id).await;
    assert_eq!(task.task_type(), Some(&t::AuditTaskType::OnDemandAuditTask));
    assert_eq!(
        task.audit_details().unwrap()["IOT_POLICY_OVERLY_PERMISSIVE_CHECK"].non_compliant_resources_count(),
        Some(1)
    );
    let findings = iot.list_audit_findings().task_id(&task_id).send().await.unwrap();
    let finding_id = findings.findings()[0].finding_id().unwrap();
    let finding = iot.describe_audit_finding().finding_id(finding_id).send().await.unwrap().finding.unwrap();
    let resource = finding.non_compliant_resource().unwrap().resource_identifier().unwrap();
    assert_eq!(resource.policy_version_identifier().unwrap().policy_version_id(), Some("1"));
    assert_eq!(finding.severity(), Some(&t::AuditFindingSeverity::Critical));

    // What a mitigator does.
    let default = iot.get_policy().policy_name("open").send().await.unwrap();
    assert_eq!((default.default_version_id(), default.policy_document()), (Some("1"), Some(open)));
    let version = iot.create_policy_version().policy_name("open").policy_document(BLANK_POLICY).set_as_default(true);
    assert_eq!(version.send().await.unwrap().policy_version_id(), Some("2"));
    iot.update_certificate().certificate_id(id).new_status(t::CertificateStatus::Inactive).send().await.unwrap();
    let described =
        iot.describe_certificate().certificate_id(id).send().await.unwrap().certificate_description.unwrap();
    assert_eq!(described.status(), Some(&t::CertificateStatus::Inactive));
    assert!(described.validity().unwrap().not_after().unwrap() > described.creation_date().unwrap());
    assert_eq!(iot.list_principal_things().principal(arn).send().await.unwrap().things(), ["lamp_1"]);
    iot.create_thing_group().thing_group_name("Quarantine").send().await.unwrap();
    iot.add_thing_to_thing_group().thing_name("lamp_1").thing_group_name("Quarantine").send().await.unwrap();
    let groups = iot.list_thing_groups_for_thing().thing_name("lamp_1").send().await.unwrap();
    assert_eq!(groups.thing_groups()[0].group_name(), Some("Quarantine"));

    let second = start().await.unwrap().task_id().unwrap().to_owned();
    wait_for_audit(&iot, &second).await;
    assert!(iot.list_audit_findings().task_id(&second).send().await.unwrap().findings().is_empty());
    let hour = 3600;
    let now = finding.finding_time().unwrap().secs();
    let tasks = iot
        .list_audit_tasks()
        .start_time(DateTime::from_secs(now - hour))
        .end_time(DateTime::from_secs(now + hour))
        .send()
        .await
        .unwrap();
    assert_eq!(tasks.tasks().len(), 2);
}

async fn wait_for_audit(
    iot: &Client,
    task_id: &str,
) -> aws_sdk_iot::operation::describe_audit_task::DescribeAuditTaskOutput {
    for _ in 0..1000 {
        let task = iot.describe_audit_task().task_id(task_id).send().await.unwrap();
        if task.task_status() != Some(&t::AuditTaskStatus::InProgress) {
            return task;
        }
    }
    panic!("the audit {task_id} did not end");
}

#[tokio::test]
async fn errors_arrive_in_the_sdk_with_their_codes() {
    let (iot, service, _) = client().await;
    let unknown = iot.update_certificate().certificate_id("0".repeat(64)).new_status(t::CertificateStatus::Inactive);
    let error = unknown.send().await.unwrap_err();
    assert!(error.as_service_error().unwrap().is_resource_not_found_exception());
    let id = service.with_fleet(|fleet| fleet.create_certificate(true));
    let update = |status| iot.update_certificate().certificate_id(&id).new_status(status).send();
    update(t::CertificateStatus::Revoked).await.unwrap();
    let error = update(t::CertificateStatus::Active).await.unwrap_err();
    assert!(error.as_service_error().unwrap().is_certificate_state_exception());
    let error = iot.get_v2_logging_options().send().await.unwrap_err();
    assert!(error.as_service_error().unwrap().is_not_configured_exception());
    service.set_faults(Faults { seed: 1, rules: vec![FaultRule::new("*", 1.0, FaultKind::Throttled).times(1)] });
    let error = iot.set_v2_logging_options().role_arn("r").default_log_level(t::LogLevel::Error).send().await;
    assert_eq!(code(&error.unwrap_err()), "ThrottlingException");
    let error = iot.list_jobs().send().await.unwrap_err();
    assert_eq!(code(&error), "UnknownOperationException");
    service.set_faults(Faults { seed: 1, rules: vec![FaultRule::new("*", 1.0, FaultKind::Dropped).times(1)] });
    let error = iot.list_things().send().await.unwrap_err();
    assert!(matches!(error, aws_sdk_iot::error::SdkError::DispatchFailure(_)), "{error:?}");
}

#[tokio::test]
async fn the_sdks_paginators_see_everything_once() {
    let (iot, service, _) = client().await;
    service.with_fleet(|fleet| seed::defective_fleet(fleet, 130, 6));
    let things: Vec<_> = iot.list_things().into_paginator().items().send().collect::<Result<_, _>>().await.unwrap();
    assert_eq!(things.len(), 130);
    let pages = iot.list_certificates().page_size(50).into_paginator().items().send();
    assert_eq!(pages.collect::<Result<Vec<_>, _>>().await.unwrap().len(), 130);
    let policies = iot.list_policies().into_paginator().items().send().collect::<Result<Vec<_>, _>>().await.unwrap();
    assert_eq!(policies.len(), 24 + 8 + 10);
    let task =
        iot.start_on_demand_audit_task().target_check_names("DEVICE_CERTIFICATE_SHARED_CHECK").send().await.unwrap();
    let task_id = task.task_id().unwrap();
    wait_for_audit(&iot, task_id).await;
    let pages = iot.list_audit_findings().task_id(task_id).max_results(7).into_paginator().items().send();
    let findings = pages.collect::<Result<Vec<_>, _>>().await.unwrap();
    let expected = service.with_fleet(|fleet| fleet.audit(task_id).unwrap().findings.len());
    assert!(expected > 20 && findings.len() == expected, "{} of {expected}", findings.len());
    assert_eq!(findings[0].related_resources().len(), 2);
}

#[tokio::test]
async fn mitigation_actions_tasks_and_suppressions_work_through_the_sdk() {
    let (iot, service, recorder) = client().await;
    service.with_fleet(seed::workshop);
    let topic = "arn:aws:sns:us-east-1:123456789012:Findings";
    let publish = t::PublishFindingToSnsParams::builder().topic_arn(topic).build().unwrap();
    let params = t::MitigationActionParams::builder().publish_finding_to_sns_params(publish).build();
    let action = iot.create_mitigation_action().action_name("Publish").role_arn("arn:aws:iam::123456789012:role/x");
    action.action_params(params).send().await.unwrap();
    let described = iot.describe_mitigation_action().action_name("Publish").send().await.unwrap();
    assert_eq!(described.action_type(), Some(&t::MitigationActionType::PublishFindingToSns));
    let id = "11111111-1111-4111-8111-111111111111";
    let target = t::AuditMitigationActionsTaskTarget::builder().finding_ids(id).build();
    iot.start_audit_mitigation_actions_task()
        .task_id("task-1")
        .target(target)
        .audit_check_to_actions_mapping("IOT_POLICY_OVERLY_PERMISSIVE_CHECK", vec!["Publish".to_owned()])
        .send()
        .await
        .unwrap();
    for _ in 0..1000 {
        let task = iot.describe_audit_mitigation_actions_task().task_id("task-1").send().await.unwrap();
        if task.task_status() == Some(&t::AuditMitigationActionsTaskStatus::Completed) {
            assert_eq!(
                task.task_statistics().unwrap()["IOT_POLICY_OVERLY_PERMISSIVE_CHECK"].succeeded_findings_count(),
                Some(1)
            );
            break;
        }
    }
    assert_eq!(recorder.taken().len(), 1);
    let executions =
        iot.list_audit_mitigation_actions_executions().task_id("task-1").finding_id(id).send().await.unwrap();
    assert_eq!(executions.actions_executions()[0].status(), Some(&t::AuditMitigationActionsExecutionStatus::Completed));

    let resource = || t::ResourceIdentifier::builder().account("123456789012").build();
    let check = "LOGGING_DISABLED_CHECK";
    let create = || iot.create_audit_suppression().check_name(check).resource_identifier(resource());
    create().suppress_indefinitely(true).send().await.unwrap();
    let again = create().suppress_indefinitely(true).send().await.unwrap_err();
    assert!(again.as_service_error().unwrap().is_resource_already_exists_exception());
    assert_eq!(iot.list_audit_suppressions().send().await.unwrap().suppressions().len(), 1);
    let task = iot.start_on_demand_audit_task().target_check_names(check).send().await.unwrap();
    wait_for_audit(&iot, task.task_id().unwrap()).await;
    let list = || iot.list_audit_findings().task_id(task.task_id().unwrap());
    assert_eq!(list().list_suppressed_findings(false).send().await.unwrap().findings().len(), 0);
    assert!(list().send().await.unwrap().findings()[0].is_suppressed().unwrap());
}

#[tokio::test]
async fn scheduled_audits_tags_and_both_kinds_of_logging_work_through_the_sdk() {
    let (iot, service, _) = client().await;
    service.with_fleet(|fleet| fleet.enable_audits(None));
    let check = "LOGGING_DISABLED_CHECK";
    let create = |name: &str| iot.create_scheduled_audit().scheduled_audit_name(name).target_check_names(check);
    let tag = t::Tag::builder().key("owner").value("security").build().unwrap();
    let made = create("monthly").frequency(t::AuditFrequency::Monthly).day_of_month("LAST").tags(tag).send().await;
    let made = made.unwrap();
    let arn = made.scheduled_audit_arn().unwrap();
    assert_eq!(arn, "arn:aws:iot:us-east-1:123456789012:scheduledaudit/monthly");
    assert_eq!(iot.list_tags_for_resource().resource_arn(arn).send().await.unwrap().tags()[0].key(), "owner");
    iot.untag_resource().resource_arn(arn).tag_keys("owner").send().await.unwrap();
    assert!(iot.list_tags_for_resource().resource_arn(arn).send().await.unwrap().tags().is_empty());
    let update = || iot.update_scheduled_audit().scheduled_audit_name("monthly");
    update().frequency(t::AuditFrequency::Biweekly).day_of_week(t::DayOfWeek::Tue).send().await.unwrap();
    let described = iot.describe_scheduled_audit().scheduled_audit_name("monthly").send().await.unwrap();
    assert_eq!(described.frequency(), Some(&t::AuditFrequency::Biweekly));
    assert_eq!((described.day_of_week(), described.day_of_month()), (Some(&t::DayOfWeek::Tue), None));
    let error = update().frequency(t::AuditFrequency::Monthly).send().await.unwrap_err();
    assert!(error.as_service_error().unwrap().is_invalid_request_exception());
    for n in 1..5 {
        create(&format!("daily{n}")).frequency(t::AuditFrequency::Daily).send().await.unwrap();
    }
    let error = create("sixth").frequency(t::AuditFrequency::Daily).send().await.unwrap_err();
    assert!(error.as_service_error().unwrap().is_limit_exceeded_exception());
    let listed = iot.list_scheduled_audits().max_results(2).into_paginator().items().send();
    assert_eq!(listed.collect::<Result<Vec<_>, _>>().await.unwrap().len(), 5);
    let task_id = service.with_fleet(|fleet| fleet.run_scheduled_audit("monthly").unwrap());
    let task = wait_for_audit(&iot, &task_id).await;
    assert_eq!(task.task_type(), Some(&t::AuditTaskType::ScheduledAuditTask));
    assert_eq!(task.scheduled_audit_name(), Some("monthly"));
    iot.delete_account_audit_configuration().delete_scheduled_audits(true).send().await.unwrap();
    let error = iot.describe_scheduled_audit().scheduled_audit_name("monthly").send().await.unwrap_err();
    assert!(error.as_service_error().unwrap().is_resource_not_found_exception());

    let payload = t::LoggingOptionsPayload::builder().role_arn("arn:aws:iam::123456789012:role/Log");
    let payload = payload.log_level(t::LogLevel::Warn).build().unwrap();
    iot.set_logging_options().logging_options_payload(payload).send().await.unwrap();
    assert_eq!(iot.get_logging_options().send().await.unwrap().log_level(), Some(&t::LogLevel::Warn));
    assert!(service.with_fleet(|fleet| fleet.logs()), "V1 logs count for the logging check");
    let event = t::LogEventConfiguration::builder().event_type("Connect").log_level(t::LogLevel::Info);
    let options = iot.set_v2_logging_options().role_arn("arn:aws:iam::123456789012:role/Log");
    let options = options.default_log_level(t::LogLevel::Error).event_configurations(event.build().unwrap());
    options.send().await.unwrap();
    let options = iot.get_v2_logging_options().send().await.unwrap();
    assert_eq!(options.event_configurations()[0].event_type(), "Connect");
}
