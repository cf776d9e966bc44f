//! What feeds the queue: the topic, and the subscription between them.

use super::diagnosis::{About, Area, Diagnosis};
use super::mend;
use super::plan::Plan;
use super::words::about_read;
use crate::aws::{CallError, Class, Clients, Effect, classify};
use crate::setup::{SubscriptionInfo, find_subscription};

const TOPIC: About = About(Area::Topic);

/// A topic, as far as it could be looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fed {
    pub topic: String,
    /// Its signature version.
    pub signature_version: Result<String, CallError>,
    pub subscription: Result<Option<SubscriptionInfo>, CallError>,
}

impl Fed {
    /// Nobody said that there is no such topic.
    pub fn exists(&self) -> bool {
        !matches!(&self.signature_version, Err(error) if error.class == Class::Gone)
    }
}

/// Looks at a topic and at the queue's subscription to it. Reads only.
pub(super) async fn look(clients: &Clients, queue_arn: &str, topic: &str) -> Fed {
    let attributes = async {
        let answer = clients.sns.get_topic_attributes().topic_arn(topic).send().await;
        let answer = answer.map_err(|error| classify("GetTopicAttributes", Effect::Read, error))?;
        let version = answer.attributes.unwrap_or_default().remove("SignatureVersion");
        Ok(version.unwrap_or_else(|| "1".to_owned()))
    };
    let (signature_version, subscription) = tokio::join!(attributes, find_subscription(clients, queue_arn, topic));
    Fed { topic: topic.to_owned(), signature_version, subscription }
}

/// Whether something feeds the queue at all.
pub(super) fn judge_all(plan: &Plan, fed: &[Fed]) -> Vec<Diagnosis> {
    if fed.is_empty() {
        return vec![
            TOPIC
                .wrong(
                    "feeds the queue",
                    "the queue's access policy names no topic, and --topic says none: no finding arrives",
                )
                .mend(format!("{} --topic-name NAME, or name the topic with --topic", mend::setup(plan, None))),
        ];
    }
    fed.iter().flat_map(|fed| judge(plan, fed)).collect()
}

fn judge(plan: &Plan, fed: &Fed) -> Vec<Diagnosis> {
    let topic = &fed.topic;
    let setup = || mend::setup(plan, Some(topic));
    let mut rows = Vec::new();
    match &fed.signature_version {
        Err(error) if error.class == Class::Gone => {
            let by_name = mend::setup(plan, Some(mend::name_of(topic)));
            return vec![TOPIC.wrong("exists", format!("there is no topic {topic}")).mend(by_name)];
        }
        Err(error) => rows.push(
            TOPIC
                .not_checked("exists", format!("{topic}: failed to {error}"))
                .mend(about_read(error, "sns:GetTopicAttributes")),
        ),
        Ok(version) => {
            rows.push(TOPIC.ok("exists", topic));
            let signed = if version == "1" { "SHA-1" } else { "SHA-256" };
            let found = format!("version {version}, {signed}");
            rows.push(match version.as_str() {
                "1" if plan.policy.verify_signature => TOPIC.note("signature", found).mend(format!(
                    "aws sns set-topic-attributes --topic-arn {topic} --attribute-name SignatureVersion --attribute-value 2"
                )),
                _ => TOPIC.ok("signature", found),
            });
        }
    }
    rows.extend(match &fed.subscription {
        Err(error) => vec![
            TOPIC
                .not_checked("subscription", format!("failed to {error}"))
                .mend(about_read(error, &format!("sns:{}", error.operation))),
        ],
        Ok(None) => vec![
            TOPIC.wrong("subscription", "the queue is not subscribed to the topic: no finding arrives").mend(setup()),
        ],
        Ok(Some(subscription)) => judge_subscription(plan, subscription),
    });
    rows
}

fn judge_subscription(plan: &Plan, subscription: &SubscriptionInfo) -> Vec<Diagnosis> {
    if !subscription.confirmed {
        return vec![
            TOPIC
                .wrong("subscription", "it waits to be confirmed: SNS delivers nothing")
                .mend("confirm it as the queue's owner: `aws sns confirm-subscription` with the token of the message in the queue, or subscribe again as the owner"),
        ];
    }
    let set = |name: &str, value: &str| {
        format!(
            "aws sns set-subscription-attributes --subscription-arn {} --attribute-name {name} --attribute-value {value}",
            subscription.arn
        )
    };
    let mut rows = vec![TOPIC.ok("subscription", "confirmed")];
    let verified = plan.policy.verify_signature;
    rows.push(match (subscription.raw, verified) {
        (false, _) => TOPIC.ok("delivery", "in SNS's envelope"),
        (true, false) => TOPIC
            .note("delivery", "raw: messages do not name account and region, so that workers take the queue's, or --account")
            .mend(set("RawMessageDelivery", "false")),
        (true, true) => TOPIC
            .wrong("delivery", "raw, though the policy says verify_signature: what comes without SNS's envelope has no signature, and passes unchecked")
            .mend(set("RawMessageDelivery", "false")),
    });
    if let Some(filter) = &subscription.filter_policy {
        rows.push(
            TOPIC
                .note("filter", format!("what {filter} leaves out never reaches the queue"))
                .mend(set("FilterPolicy", "'{}'")),
        );
    }
    rows
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::State;
    use crate::doctor::run::tests::plan;

    const ARN: &str = "arn:aws:sns:us-east-1:123456789012:t";

    fn subscription() -> SubscriptionInfo {
        let arn = format!("{ARN}:1");
        SubscriptionInfo { arn, confirmed: true, raw: false, filter_policy: None }
    }

    fn fed(subscription: Option<SubscriptionInfo>) -> Fed {
        Fed { topic: ARN.to_owned(), signature_version: Ok("2".to_owned()), subscription: Ok(subscription) }
    }

    fn unwell(plan: &Plan, fed: &[Fed]) -> Vec<(String, State, String)> {
        let rows = judge_all(plan, fed).into_iter().filter(|row| row.state != State::Ok);
        rows.map(|row| (row.what, row.state, row.mend)).collect()
    }

    #[test]
    fn a_subscription_that_setup_made_is_in_order_and_each_that_differs_is_told() {
        let plan = plan();
        assert_eq!(unwell(&plan, &[fed(Some(subscription()))]), []);
        let raw = || fed(Some(SubscriptionInfo { raw: true, ..subscription() }));
        let filter = Some("{\"a\":[1]}".to_owned());
        for (fed, what, state, mend) in [
            (raw(), "delivery", State::Note, "RawMessageDelivery --attribute-value false"),
            (fed(None), "subscription", State::Wrong, "--topic-name arn:aws:sns:us-east-1:123456789012:t"),
            (
                fed(Some(SubscriptionInfo { confirmed: false, ..subscription() })),
                "subscription",
                State::Wrong,
                "confirm",
            ),
            (
                fed(Some(SubscriptionInfo { filter_policy: filter, ..subscription() })),
                "filter",
                State::Note,
                "FilterPolicy",
            ),
        ] {
            let rows = unwell(&plan, &[fed]);
            assert!(rows.len() == 1 && rows[0].0 == what && rows[0].1 == state && rows[0].2.contains(mend), "{rows:?}");
        }
        let mut strict = plan;
        strict.policy.verify_signature = true;
        assert_eq!(
            unwell(&strict, &[raw()])[0].1,
            State::Wrong,
            "unsigned messages pass where signatures are asked for"
        );
        let old = Fed { signature_version: Ok("1".to_owned()), ..fed(Some(subscription())) };
        assert!(unwell(&strict, &[old])[0].2.contains("SignatureVersion --attribute-value 2"));
    }

    #[test]
    fn a_topic_that_is_gone_or_hidden_or_none_at_all_is_told() {
        let error = |class, code: &str| CallError::new(class, "GetTopicAttributes", "words").with_code(code);
        let with =
            |error: CallError| Fed { signature_version: Err(error.clone()), subscription: Err(error), ..fed(None) };
        let gone = unwell(&plan(), &[with(error(Class::Gone, "NotFound"))]);
        assert!(gone.len() == 1 && gone[0].1 == State::Wrong && gone[0].2.ends_with("--topic-name t"), "{gone:?}");
        let hidden = unwell(&plan(), &[with(error(Class::Denied, "AuthorizationError"))]);
        assert!(hidden.iter().all(|row| row.1 == State::NotChecked && row.2.contains("allow sns:")), "{hidden:?}");
        assert_eq!(unwell(&plan(), &[])[0].1, State::Wrong);
    }
}
