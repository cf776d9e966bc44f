//! Who calls, from where, and by which clock.

use super::diagnosis::{About, Area, Diagnosis};
use super::plan::Instruments;
use crate::aws::{CallError, Class, ServerDate, said};
use crate::queue::QueueInfo;
use aws_credential_types::provider::ProvideCredentials;
use jiff::SignedDuration;

const IDENTITY: About = About(Area::Identity);
const CLOCK: About = About(Area::Clock);

/// The fleet's budgets follow the fastest clock of its workers: two seconds ahead is a second's calls of every operation unused, twice.
const SKEW_TOLD: SignedDuration = SignedDuration::from_secs(2);

/// AWS refuses signatures that are 5 minutes off; leases of 60 s are meaningless long before.
const SKEW_WRONG: SignedDuration = SignedDuration::from_secs(60);

/// Whether anything can be asked at all, before anything is.
pub(super) struct Identity {
    pub rows: Vec<Diagnosis>,
    /// Why nothing else can be looked at, in words.
    pub hopeless: Option<String>,
}

/// Region, endpoint, and whether there are credentials. Calls AWS only if the credentials have to be fetched.
pub(super) async fn look(instruments: &Instruments) -> Identity {
    let region = &instruments.clients.region;
    let source = source_of_region(std::env::var("AWS_REGION").ok().as_deref(), region);
    let mut rows = vec![IDENTITY.ok("region", format!("{region}, from {source}"))];
    if let Some(endpoint) = instruments.config.endpoint_url() {
        rows.push(
            IDENTITY.note(
                "endpoint",
                format!("{endpoint} in place of AWS's own: what is found holds for that, not for AWS"),
            ),
        );
    }
    let told = match instruments.config.credentials_provider() {
        None => Err("no provider is configured".to_owned()),
        Some(provider) => match provider.provide_credentials().await {
            Ok(credentials) => Ok(format!(
                "{}{}",
                short_key(credentials.access_key_id()),
                if credentials.expiry().is_some() { ", for a limited time" } else { "" }
            )),
            Err(error) => Err(said(&error)),
        },
    };
    match told {
        Ok(key) => rows.push(IDENTITY.ok(
            "credentials",
            format!("access key {key}; everything below is asked with them: take the workers' role to test its rights"),
        )),
        Err(why) => {
            rows.push(IDENTITY.wrong("credentials", format!("there are none: {why}")).mend(
                "set AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or run where a role provides them; `aws sts get-caller-identity` shows them",
            ));
            return Identity { rows, hopeless: Some("there are no AWS credentials".to_owned()) };
        }
    }
    Identity { rows, hopeless: None }
}

/// The variable, if it is the one; else what stands behind it in the SDK's chain.
fn source_of_region(variable: Option<&str>, region: &str) -> &'static str {
    if variable == Some(region) { "AWS_REGION" } else { "the AWS configuration (profile, or the machine's own)" }
}

/// Enough of an access key to tell it by: the id is no secret, and still nobody needs all of it on a screen.
fn short_key(id: &str) -> String {
    let shown: String = id.chars().take(4).collect();
    let last: String = id.chars().skip(4.max(id.chars().count().saturating_sub(4))).collect();
    format!("{shown}…{last}")
}

/// What the first answer says of the credentials: `Some` if they are refused as such, so that every other call would be too.
pub(super) fn refused(answer: &Result<(), CallError>) -> Option<Diagnosis> {
    let error = answer.as_ref().err()?;
    error.refuses_credentials().then(|| {
        IDENTITY
            .wrong("credentials", format!("AWS refuses them: failed to {error}"))
            .mend("renew them (`aws sso login`, or new keys); if the clock below is wrong, set it first")
    })
}

/// Whether AWS can be reached at all.
pub(super) fn unreachable(answer: &Result<(), CallError>) -> Option<Diagnosis> {
    let error = answer.as_ref().err()?;
    (error.class == Class::Transient && error.code.is_none()).then(|| {
        IDENTITY
            .wrong("endpoint", format!("SQS does not answer: failed to {error}"))
            .mend("check the network, AWS_ENDPOINT_URL and AWS_REGION; in a private subnet, the VPC endpoints")
    })
}

/// Whose account is audited, and whose the queue is.
pub(super) fn judge_account(audited: Option<&str>, queue: Option<&QueueInfo>) -> Option<Diagnosis> {
    let (what, audited) = ("account", audited?);
    Some(match queue {
        Some(queue) if queue.account != audited => IDENTITY.note(
            what,
            format!(
                "{audited} is audited, the queue is of {}: calls of AWS IoT go to the account of the credentials",
                queue.account
            ),
        ),
        Some(_) => IDENTITY.ok(what, format!("{audited}, by the queue's ARN")),
        None => IDENTITY.ok(what, format!("{audited}, by --account or the queue's URL")),
    })
}

/// This machine's clock against AWS's.
pub(super) fn judge_clock(seen: Option<&ServerDate>) -> Diagnosis {
    let what = "skew";
    let Some(seen) = seen else { return CLOCK.not_checked(what, "no answer of AWS told its time") };
    let skew = least_skew(seen);
    let (size, side) = (skew.abs(), if skew.is_negative() { "behind" } else { "ahead of" });
    let found = format!("this machine is at least {} s {side} AWS", size.as_secs());
    let mend = "let the machine follow a time server (chrony with 169.254.169.123 on EC2); Fargate tasks do so already";
    if size > SKEW_WRONG {
        return CLOCK
            .wrong(what, format!("{found}: leases mean nothing, and from 5 minutes on AWS refuses every call"))
            .mend(mend);
    }
    if size > SKEW_TOLD {
        return CLOCK.note(what, format!("{found}: the fleet's budgets follow its fastest clock")).mend(mend);
    }
    CLOCK.ok(what, "no difference to AWS's clock that can be told (its answers have whole seconds)")
}

/// The least that the clocks must differ by for both to have said what they said; positive if this machine's is ahead. AWS wrote
/// its date between question and answer, and meant any moment of that second.
fn least_skew(seen: &ServerDate) -> SignedDuration {
    let ahead = seen.asked.duration_since(seen.date) - SignedDuration::from_secs(1);
    let behind = seen.date.duration_since(seen.answered);
    if ahead.is_positive() {
        ahead
    } else if behind.is_positive() {
        -behind
    } else {
        SignedDuration::ZERO
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::State;
    use jiff::Timestamp;

    fn at(ms: i64) -> Timestamp {
        Timestamp::from_millisecond(1_791_014_400_000 + ms).unwrap()
    }

    fn seen(asked: i64, answered: i64, date: i64) -> ServerDate {
        ServerDate { asked: at(asked), answered: at(answered), date: at(date) }
    }

    #[test]
    fn a_skew_is_what_round_trip_and_whole_seconds_cannot_explain() {
        for (asked, answered, date, expected) in
            [(900, 950, 0, 0), (100, 5_000, 3_000, 0), (4_000, 4_100, 1_000, 2_000), (1_000, 1_500, 65_000, -63_500)]
        {
            assert_eq!(least_skew(&seen(asked, answered, date)).as_millis(), expected);
        }
    }

    #[test]
    fn two_seconds_are_told_and_a_minute_is_wrong() {
        let state = |ahead: i64| judge_clock(Some(&seen(ahead + 1_000, ahead + 1_000, 0))).state;
        assert_eq!(
            [state(0), state(2_000), state(2_001), state(60_000)],
            [State::Ok, State::Ok, State::Note, State::Note]
        );
        assert_eq!(state(60_001), State::Wrong);
        assert_eq!(judge_clock(None).state, State::NotChecked);
        let behind = judge_clock(Some(&seen(0, 0, 90_000)));
        assert!(behind.state == State::Wrong && behind.found.contains("90 s behind AWS"), "{behind:?}");
    }

    #[test]
    fn an_access_key_is_shown_by_its_ends() {
        assert_eq!(short_key("AKIAIOSFODNN7EXAMPLE"), "AKIA…MPLE");
        assert_eq!(short_key("sandbox"), "sand…box");
        assert_eq!(short_key("abc"), "abc…");
    }

    #[test]
    fn credentials_that_aws_refuses_are_told_once_and_a_missing_permission_is_none_of_it() {
        let answer = |code: &str| Err(CallError::new(Class::Denied, "GetQueueAttributes", "no").with_code(code));
        for code in
            ["ExpiredTokenException", "InvalidClientTokenId", "UnrecognizedClientException", "SignatureDoesNotMatch"]
        {
            assert!(refused(&answer(code)).is_some_and(|row| row.state == State::Wrong), "{code}");
        }
        assert_eq!(refused(&answer("AccessDenied")), None);
        assert_eq!(refused(&Ok(())), None);
    }
}
