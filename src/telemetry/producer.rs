//! Where a message says that it comes from: the span of whoever sent it, in any of the places that carry one. Pure.

use crate::queue::Received;
use opentelemetry::propagation::{Extractor, TextMapPropagator};
use opentelemetry::trace::{SpanContext, SpanId, TraceContextExt, TraceFlags, TraceId, TraceState};
use opentelemetry_sdk::propagation::TraceContextPropagator;
use serde::Deserialize;
use std::collections::BTreeMap;

/// The name of W3C's header, and of the attribute that carries it.
const TRACEPARENT: &str = "traceparent";

/// The sender's span: from the message attribute `traceparent`, else from the same attribute of the SNS notification in the body (a
/// topic without raw delivery keeps attributes there), else from the system attribute `AWSTraceHeader`. What is malformed is none.
pub(crate) fn of_message(message: &Received) -> Option<SpanContext> {
    let attribute = message.attributes.get(TRACEPARENT).and_then(|value| from_traceparent(value));
    attribute.or_else(|| from_body(&message.body)).or_else(|| from_x_ray(message.trace_header.as_deref()?))
}

/// <https://www.w3.org/TR/trace-context/#traceparent-header>
fn from_traceparent(value: &str) -> Option<SpanContext> {
    struct Header<'a>(&'a str);
    impl Extractor for Header<'_> {
        fn get(&self, key: &str) -> Option<&str> {
            (key == TRACEPARENT).then_some(self.0)
        }
        fn keys(&self) -> Vec<&str> {
            vec![TRACEPARENT]
        }
    }
    let context = TraceContextPropagator::new().extract_with_context(&opentelemetry::Context::new(), &Header(value));
    let sender = context.span().span_context().clone();
    sender.is_valid().then_some(sender)
}

/// `Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1`: the trace's id is the two parts of the root without
/// the version. Source: AWS X-Ray, "Tracing header". Without a parent there is no span to link to.
fn from_x_ray(header: &str) -> Option<SpanContext> {
    let part = |name: &str| {
        let parts = header.split(';').filter_map(|part| part.trim().split_once('='));
        parts.into_iter().find(|(key, _)| *key == name).map(|(_, value)| value)
    };
    let hex = |text: &str, digits: usize| text.len() == digits && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    let (seconds, random) = part("Root")?.strip_prefix("1-")?.split_once('-')?;
    let parent = part("Parent")?;
    if !hex(seconds, 8) || !hex(random, 24) || !hex(parent, 16) {
        return None;
    }
    let trace = TraceId::from_hex(&format!("{seconds}{random}")).ok()?;
    let flags = if part("Sampled") == Some("1") { TraceFlags::SAMPLED } else { TraceFlags::NOT_SAMPLED };
    let sender = SpanContext::new(trace, SpanId::from_hex(parent).ok()?, flags, true, TraceState::NONE);
    sender.is_valid().then_some(sender)
}

/// What is read of an SNS notification, or of the list of them that a Lambda function forwards.
#[derive(Deserialize)]
struct Notification {
    #[serde(rename = "MessageAttributes", default)]
    attributes: BTreeMap<String, Attribute>,
    #[serde(rename = "Records", default)]
    records: Vec<Record>,
}

#[derive(Deserialize)]
struct Attribute {
    #[serde(rename = "Value", default)]
    value: String,
}

#[derive(Deserialize)]
struct Record {
    #[serde(rename = "Sns")]
    notification: Box<Notification>,
}

fn from_body(body: &str) -> Option<SpanContext> {
    // Most bodies have none, and need not be parsed to be told so.
    if !body.contains(TRACEPARENT) {
        return None;
    }
    let outer: Notification = serde_json::from_str(body).ok()?;
    let one = outer.records.first().map_or(&outer, |record| &record.notification);
    from_traceparent(&one.attributes.get(TRACEPARENT)?.value)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRACE: &str = "5759e988bd862e3fe1be46a994272793";
    const SPAN: &str = "53995c3f42cd8ad8";

    fn message(attributes: &[(&str, &str)], trace_header: Option<&str>, body: &str) -> Received {
        Received {
            message_id: "m".into(),
            receipt_handle: "h".into(),
            body: body.into(),
            attributes: attributes.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect(),
            receive_count: 1,
            first_received_at: None,
            sent_at: None,
            trace_header: trace_header.map(Into::into),
        }
    }

    fn ids(sender: Option<SpanContext>) -> Option<(String, String, bool)> {
        sender.map(|sender| (sender.trace_id().to_string(), sender.span_id().to_string(), sender.is_sampled()))
    }

    fn known(sampled: bool) -> Option<(String, String, bool)> {
        Some((TRACE.to_owned(), SPAN.to_owned(), sampled))
    }

    #[test]
    fn the_header_of_x_ray_names_the_senders_span_in_whatever_order_and_company() {
        for (header, sampled) in [
            ("Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1", true),
            ("Sampled=0;Parent=53995c3f42cd8ad8;Root=1-5759e988-bd862e3fe1be46a994272793", false),
            ("Self=1-1-2; Root=1-5759e988-bd862e3fe1be46a994272793; Parent=53995c3f42cd8ad8; Lineage=a:1|b:2", false),
            ("Root=1-5759E988-BD862E3FE1BE46A994272793;Parent=53995C3F42CD8AD8;Sampled=?", false),
        ] {
            assert_eq!(ids(from_x_ray(header)), known(sampled), "{header}");
        }
    }

    #[test]
    fn a_malformed_header_of_x_ray_is_none() {
        for header in [
            "",
            ";;==",
            "Root=1-5759e988-bd862e3fe1be46a994272793",
            "Parent=53995c3f42cd8ad8;Sampled=1",
            "Root=2-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8",
            "Root=1-5759e988bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8",
            "Root=1-5759e988-bd862e3fe1be46a99427279;Parent=53995c3f42cd8ad8",
            "Root=1-5759e988-bd862e3fe1be46a99427279g;Parent=53995c3f42cd8ad8",
            "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad",
            "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=+3995c3f42cd8ad8",
            "Root=1-00000000-000000000000000000000000;Parent=53995c3f42cd8ad8",
            "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=0000000000000000",
            "Root=1-ééé9e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8",
        ] {
            assert_eq!(from_x_ray(header), None, "{header}");
        }
    }

    #[test]
    fn a_malformed_traceparent_is_none() {
        let right = format!("00-{TRACE}-{SPAN}-01");
        assert_eq!(ids(from_traceparent(&right)), known(true));
        for wrong in [
            String::new(),
            "00".to_owned(),
            format!("ff-{TRACE}-{SPAN}-01"),
            format!("00-{TRACE}-{SPAN}"),
            format!("00-{}-{SPAN}-01", TRACE.to_uppercase()),
            format!("00-{}-{SPAN}-01", "0".repeat(32)),
            format!("00-{TRACE}-{}-01", "0".repeat(16)),
            format!("00-{TRACE}-{SPAN}-zz"),
            format!("00-{SPAN}-{TRACE}-01"),
        ] {
            assert_eq!(from_traceparent(&wrong), None, "{wrong}");
        }
    }

    #[test]
    fn the_attribute_wins_over_the_notification_and_that_over_x_ray() {
        let parent = |span: &str| format!("00-{TRACE}-{span}-01");
        let (attribute, notified) = (parent("aaaaaaaaaaaaaaaa"), parent("bbbbbbbbbbbbbbbb"));
        let header = Some("Root=1-5759e988-bd862e3fe1be46a994272793;Parent=cccccccccccccccc");
        let body = format!(
            r#"{{"Type":"Notification","Message":"{{}}","MessageAttributes":{{"traceparent":{{"Type":"String","Value":"{notified}"}}}}}}"#
        );
        let span = |message: Received| ids(of_message(&message)).map(|(_, span, _)| span);
        let all = message(&[("traceparent", &attribute)], header, &body);
        assert_eq!(span(all).as_deref(), Some("aaaaaaaaaaaaaaaa"));
        let wrong = message(&[("traceparent", "00-nonsense")], header, &body);
        assert_eq!(span(wrong).as_deref(), Some("bbbbbbbbbbbbbbbb"));
        let forwarded = message(&[], header, &format!(r#"{{"Records":[{{"Sns":{body}}}]}}"#));
        assert_eq!(span(forwarded).as_deref(), Some("bbbbbbbbbbbbbbbb"));
        assert_eq!(span(message(&[], header, "}{ traceparent")).as_deref(), Some("cccccccccccccccc"));
        assert_eq!(span(message(&[], None, r#"{"MessageAttributes":{"traceparent":7}}"#)), None);
        assert_eq!(span(message(&[], None, "{}")), None);
    }
}
