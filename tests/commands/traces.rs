//! `run --otlp`: what a collector is told of findings, and what a collector that is not there costs.

use super::bench::{Bench, ENFORCE};
use super::collector::{Collector, text_of};
use fleetwarden::finding::{Finding, Resource, ResourceIdentifier, Severity, encode_own};
use opentelemetry_proto::tonic::trace::v1::Span;
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

const SAMPLE: &str = include_str!("../fixtures/finding_iot_policy.json");
const SAMPLE_ID: &str = "11111111-1111-4111-8111-111111111111";
const SENDER: &str = "00-5759e988bd862e3fe1be46a994272793-53995c3f42cd8ad8-01";

fn finding(id: &str, certificate: String) -> Finding {
    Finding {
        finding_id: id.into(),
        account: "123456789012".into(),
        region: "us-east-1".into(),
        task_id: Some("audit-1".into()),
        check: "DEVICE_CERTIFICATE_SHARED_CHECK".into(),
        reason_code: "CODE".into(),
        reason: "Words.".into(),
        severity: Severity::Critical,
        resource: Resource {
            kind: "DEVICE_CERTIFICATE".into(),
            identifier: ResourceIdentifier::DeviceCertificate(certificate),
            additional_info: BTreeMap::new(),
        },
        related: Vec::new(),
        suppressed: false,
        found_at: Some(1_791_014_401_000),
        audit_started_at: Some(1_791_014_400_000),
    }
}

/// Sends a message, with its sender's span if there is one; its id.
async fn send(bench: &Bench, body: &str, traceparent: Option<&str>) -> String {
    let mut call = bench.clients.sqs.send_message().queue_url(&bench.made.queue_url).message_body(body);
    if let Some(traceparent) = traceparent {
        let value = aws_sdk_sqs::types::MessageAttributeValue::builder().data_type("String").string_value(traceparent);
        call = call.message_attributes("traceparent", value.build().unwrap());
    }
    call.send().await.unwrap().message_id.unwrap()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn is_error(span: &Span) -> bool {
    span.status.as_ref().is_some_and(|status| status.code == StatusCode::Error as i32)
}

/// The spans of one trace.
struct Trace<'a> {
    root: &'a Span,
    spans: Vec<&'a Span>,
}

impl Trace<'_> {
    fn names(&self) -> BTreeSet<&str> {
        self.spans.iter().map(|span| span.name.as_str()).collect()
    }

    fn calls(&self) -> Vec<(&str, String)> {
        let calls = self.spans.iter().filter(|span| span.name.contains('.'));
        calls.map(|span| (span.name.as_str(), text_of(&span.attributes, "aws.request_id"))).collect()
    }

    fn linked(&self) -> (String, String) {
        let [link] = &self.root.links[..] else { panic!("one link: {:?}", self.root.links) };
        (hex(&link.trace_id), hex(&link.span_id))
    }
}

/// The traces whose root has this name, in the order of their findings' ids.
fn traces<'a>(spans: &'a [Span], name: &str) -> Vec<Trace<'a>> {
    let mut traces: Vec<Trace<'a>> = Vec::new();
    for root in spans.iter().filter(|span| span.parent_span_id.is_empty() && span.name == name) {
        let spans: Vec<&Span> = spans.iter().filter(|span| span.trace_id == root.trace_id).collect();
        assert_eq!(spans.iter().filter(|span| span.parent_span_id.is_empty()).count(), 1, "one root a trace");
        traces.push(Trace { root, spans });
    }
    traces.sort_by_key(|trace| text_of(&trace.root.attributes, "finding"));
    traces
}

#[tokio::test]
async fn each_finding_is_a_trace_that_is_linked_to_its_message_and_tells_each_call_to_aws() {
    let bench = Bench::new().await;
    let collector = Collector::start().await;
    let policy = bench.file("policy.yaml", ENFORCE);
    let certificates = bench.sandbox.iot().with_fleet(|fleet| [(); 2].map(|()| fleet.create_certificate(true)));
    let [planted, made_up] = certificates.map(|id| finding(&format!("finding-{id}"), id));
    bench.sandbox.iot().with_fleet(|fleet| fleet.plant_finding(&planted.to_native()).unwrap());
    bench.publish(SAMPLE).await;
    bench.publish(SAMPLE).await;
    let sent = send(&bench, &encode_own(&planted, None), Some(SENDER)).await;
    send(&bench, &encode_own(&made_up, None), Some("00-nonsense")).await;
    send(&bench, "}{", None).await;

    let mut command = bench.command();
    command.env("OTEL_EXPORTER_OTLP_HEADERS", "x-team=fleet");
    // The libraries' own spans, which come and go with what is logged, are none of ours.
    command.args(["--log", "fleetwarden=info,aws_smithy_runtime=debug,aws_sdk_iot=debug"]);
    command.args(["run", "--policy", &policy, "--until-empty", "--worker-id", "w-1", "--otlp", &collector.endpoint]);
    let ran = super::bench::ran(&mut command).await;
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(!ran.err.contains("failed to send traces"), "{}", ran.err);
    assert!(
        ran.err.contains("try_attempt") && !ran.err.contains("messaging.system"),
        "no line for people names our spans"
    );

    let asked = collector.requests("x-team");
    assert!(asked.iter().all(|(path, team)| path == "/v1/traces" && team.as_deref() == Some("fleet")), "{asked:?}");
    assert_eq!(collector.service(), "fleetwarden");
    let spans = collector.spans();
    let findings = traces(&spans, "finding");
    let found: BTreeMap<String, &Trace> =
        findings.iter().map(|trace| (text_of(&trace.root.attributes, "finding"), trace)).collect();
    assert_eq!((findings.len(), found.len()), (3, 3), "a duplicate is no finding: {:?}", found.keys());

    let sample = found[SAMPLE_ID];
    let of = |name: &str| text_of(&sample.root.attributes, name);
    assert_eq!(
        (of("check"), of("epoch"), of("worker")),
        ("IOT_POLICY_OVERLY_PERMISSIVE_CHECK".into(), "1".into(), "w-1".into())
    );
    assert_eq!((of("status"), of("rule")), ("mitigated".into(), "blank-permissive-policies".into()));
    assert_eq!((of("messaging.system"), is_error(sample.root)), ("aws_sqs".into(), false));
    assert!(of("resource").contains("ExamplePolicy"), "{}", of("resource"));
    for stage in ["wait", "authenticate", "slot", "REPLACE_DEFAULT_POLICY_VERSION", "IoT.CreatePolicyVersion", "finish"]
    {
        assert!(sample.names().contains(stage), "{stage} of {:?}", sample.names());
    }
    let answers = bench.sandbox.iot().calls();
    assert!(answers["CreatePolicyVersion"].ok == 1 && sample.calls().len() >= 3, "{:?}", sample.calls());
    let ids: BTreeSet<String> = sample.calls().into_iter().map(|(_, id)| id).collect();
    assert!(ids.len() == sample.calls().len() && !ids.contains(""), "each with a request id: {:?}", sample.calls());
    let polls: Vec<(String, String)> =
        traces(&spans, "receive").iter().map(|poll| (hex(&poll.root.trace_id), hex(&poll.root.span_id))).collect();
    assert!(polls.contains(&sample.linked()), "{:?}", sample.linked());

    let planted = found[&planted.finding_id];
    assert_eq!(planted.linked(), ("5759e988bd862e3fe1be46a994272793".into(), "53995c3f42cd8ad8".into()));
    assert_eq!(text_of(&planted.root.attributes, "messaging.message.id"), sent);

    let dead = found[&made_up.finding_id];
    assert!(is_error(dead.root) && dead.names().contains("dead_letter"), "{:?}", dead.root);
    assert!(dead.root.status.as_ref().unwrap().message.starts_with("not_authentic: "), "{:?}", dead.root.status);
    let (_, refused) = dead.calls().into_iter().find(|(name, _)| *name == "IoT.DescribeAuditFinding").unwrap();
    assert!(!refused.is_empty(), "a call that fails has a request id too");
    assert!(polls.contains(&dead.linked()), "a malformed header is none");

    let [rejected] = &traces(&spans, "rejected")[..] else { panic!("one message was no finding") };
    let letter = rejected.spans.iter().find(|span| span.name == "dead_letter").unwrap();
    assert_eq!((text_of(&letter.attributes, "reason"), is_error(letter)), ("not_json".into(), true));
    assert!(polls.contains(&rejected.linked()));
}

#[tokio::test]
async fn a_collector_that_is_not_there_is_told_once_and_neither_slows_nor_fails_the_work() {
    let bench = Bench::new().await;
    let policy = bench.file("policy.yaml", ENFORCE);
    bench.publish(SAMPLE).await;
    let gone = Collector::start().await.endpoint.clone();
    let mut command = bench.command();
    // Each span is a batch of its own, and each fails.
    command.env("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "1").env("FLEETWARDEN_OTLP", &gone);
    command.args(["run", "--policy", &policy, "--until-empty", "--output", "json"]);
    let ran = super::bench::ran(&mut command).await;
    assert_eq!(ran.code, 0, "{ran:?}");
    let told: Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!(told["counts"]["mitigated"], 1, "{ran:?}");
    assert_eq!(ran.err.matches("failed to send traces").count(), 1, "{}", ran.err);
}

#[tokio::test]
async fn nothing_is_sent_unless_the_program_is_told_to_and_what_it_cannot_send_to_is_exit_2() {
    let bench = Bench::new().await;
    let collector = Collector::start().await;
    bench.publish(SAMPLE).await;
    let mut command = bench.command();
    command.env("OTEL_EXPORTER_OTLP_ENDPOINT", &collector.endpoint).env("FLEETWARDEN_OTLP", "");
    let ran = super::bench::ran(command.args(["run", "--until-empty"])).await;
    assert_eq!(ran.code, 0, "{ran:?}");
    assert_eq!(collector.requests("host"), []);

    for (endpoint, advice) in
        [("localhost:4318", "http://localhost:4318"), ("http://a:secret@b:4318", "OTEL_EXPORTER_OTLP_HEADERS")]
    {
        let ran = bench.run(&["run", "--until-empty", "--otlp", endpoint]).await;
        assert_eq!(ran.code, 2, "{ran:?}");
        assert!(ran.err.starts_with("error: --otlp ") && ran.err.contains(advice), "{ran:?}");
        assert!(!ran.err.contains("secret"), "{ran:?}");
    }
}
