//! The shape of a policy file. The JSON Schema comes from these types, and so do the keys that the reader accepts.

use super::quotas::QuotasFile;
use super::{LogLevel, Mode};
use crate::finding::Severity;
use schemars::JsonSchema;
use serde::Serialize;

/// What Fleetwarden does about Device Defender audit findings.
#[derive(Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(title = "Fleetwarden policy", extend("required" = ["version", "rules"]))]
pub(super) struct PolicyFile {
    /// The version of this format: 1.
    #[schemars(range(min = 1, max = 1))]
    pub version: u32,
    /// `observe` decides and records and changes nothing; `enforce` does what the rules say.
    pub mode: Mode,
    /// Ask Device Defender that a finding exists and matches before acting on it (ListAuditFindings by the page, DescribeAuditFinding).
    pub verify_finding: bool,
    /// Check the signature of every SNS notification: that a topic of the audited account and region sent it, unchanged. One that
    /// is not signed so goes to the dead letters. Raw deliveries have no signature and are not concerned.
    pub verify_signature: bool,
    /// Read a resource again after each write.
    pub read_back: bool,
    /// What happens after throttles, timeouts and server errors.
    pub retry: RetryFile,
    /// A resource is not acted on again for the same check within this time, `0s` to `90d`; `0s` is off.
    #[schemars(extend("examples" = ["0s", "1h", "7d"]))]
    pub cooldown: String,
    /// API quotas of the account and region that differ from AWS's defaults: named here, or read from Service Quotas.
    #[serde(skip_serializing_if = "unsaid")]
    pub quotas: QuotasFile,
    /// The part of every API quota that is left to people and consoles.
    #[schemars(range(min = 0.0, max = 0.95))]
    pub reserve: f64,
    /// The first rule that matches takes the finding; a finding that no rule takes is recorded only.
    pub rules: Vec<RuleFile>,
}

impl Default for PolicyFile {
    fn default() -> Self {
        Self {
            version: 1,
            mode: Mode::Observe,
            verify_finding: true,
            verify_signature: false,
            read_back: false,
            retry: RetryFile::default(),
            cooldown: "0s".to_owned(),
            quotas: QuotasFile::default(),
            reserve: crate::budget::RESERVE,
            rules: Vec::new(),
        }
    }
}

/// Delays double from `base_delay` to `max_delay`, with full jitter.
#[derive(Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RetryFile {
    /// Attempts in all, the first included.
    #[schemars(range(min = 1, max = 100))]
    pub max_attempts: u32,
    /// Before the second attempt: `100ms` to `12h`.
    #[schemars(extend("examples" = ["5s"]))]
    pub base_delay: String,
    /// No delay is longer: up to `12h`, as long as SQS keeps a message invisible.
    #[schemars(extend("examples" = ["15m", "1h 30m"]))]
    pub max_delay: String,
}

impl Default for RetryFile {
    fn default() -> Self {
        Self { max_attempts: 8, base_delay: "5s".to_owned(), max_delay: "15m".to_owned() }
    }
}

/// Which findings, and what to do about them.
#[derive(Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RuleFile {
    /// Unique in the file; recorded with every decision.
    #[schemars(regex(pattern = "^[a-z0-9-]{1,64}$"))]
    pub name: String,
    /// Every given key must match; `{}` takes every finding.
    #[serde(rename = "match")]
    pub matcher: MatchFile,
    /// `observe` makes this rule record only, whatever the file's mode; a rule can be stricter than the file, never looser.
    #[serde(default, skip_serializing_if = "unsaid")]
    pub mode: ObserveOnly,
    /// Done in order; if one fails, the rest is skipped. An empty list records only.
    #[serde(default)]
    pub actions: Vec<ActionFile>,
    /// Instead of `actions`: names of Device Defender's own mitigation actions, applied in order by its own engine, up to 25
    /// findings of an audit at a time. They must exist when a worker starts.
    #[serde(default, skip_serializing_if = "unsaid")]
    pub delegate: OneOrMany<String>,
}

/// A list matches if one of its entries does.
#[derive(Serialize, Default, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct MatchFile {
    /// Check names (older names are understood). Globs such as `SOME_*` only in a rule that records or publishes: they
    /// also take checks that are newer than this program.
    #[serde(skip_serializing_if = "unsaid")]
    pub check: OneOrMany<String>,
    /// Reason codes; globs with `*` and `?`.
    #[serde(skip_serializing_if = "unsaid")]
    pub reason: OneOrMany<String>,
    /// Severities as Device Defender tells them; UNKNOWN takes whatever else it says.
    #[serde(skip_serializing_if = "unsaid")]
    pub severity: OneOrMany<Severity>,
    /// Globs with `*` and `?` on the resource's id: certificate id, policy name, client id, role alias ARN.
    #[serde(skip_serializing_if = "unsaid")]
    pub resource: OneOrMany<String>,
    /// A thing of the device certificate is in one of these groups (looked up only when a rule asks).
    #[serde(skip_serializing_if = "unsaid")]
    pub thing_group: OneOrMany<String>,
}

/// For the schema: the key may be missing, and there is no value that says the same.
fn unsaid<T>(_: &T) -> bool {
    true
}

/// A rule's own mode.
#[derive(Serialize, JsonSchema, Default)]
#[serde(rename_all = "lowercase")]
pub(super) enum ObserveOnly {
    /// Record only.
    #[default]
    Observe,
}

/// One entry, or a list of them.
#[derive(Serialize, JsonSchema)]
#[serde(untagged)]
pub(super) enum OneOrMany<T> {
    /// One entry.
    #[expect(dead_code, reason = "only its schema is used")]
    One(T),
    /// A list that is not empty.
    Many(#[schemars(length(min = 1))] Vec<T>),
}

impl<T> Default for OneOrMany<T> {
    fn default() -> Self {
        Self::Many(Vec::new())
    }
}

/// What is done, by the names that Device Defender gives its mitigation actions.
#[derive(Serialize, JsonSchema)]
#[serde(tag = "type", rename_all = "SCREAMING_SNAKE_CASE")]
#[expect(dead_code, reason = "only its schema is used")]
pub(super) enum ActionFile {
    /// Set the device certificate to INACTIVE. Fits the device certificate checks.
    UpdateDeviceCertificate(NoParameters),
    /// Set the CA certificate to INACTIVE: no new registrations. Fits the CA certificate checks.
    UpdateCaCertificate(NoParameters),
    /// Add every thing of the certificate to thing groups. Fits the device certificate checks.
    AddThingsToThingGroup(ThingGroups),
    /// Give the policy a new default version. Fits the IoT policy checks.
    ReplaceDefaultPolicyVersion(Replacement),
    /// Turn AWS IoT logging (V2) on; a setting that logs more is kept. Fits LOGGING_DISABLED_CHECK.
    EnableIotLogging(Logging),
    /// Publish the finding as Device Defender would. Fits every check.
    PublishFindingToSns(Topic),
}

/// Nothing else is to be said.
#[derive(Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NoParameters {}

/// Parameters of ADD_THINGS_TO_THING_GROUP.
#[derive(Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ThingGroups {
    /// 1 to 10 static groups.
    #[schemars(length(min = 1, max = 10))]
    pub thing_groups: Vec<String>,
    /// Let the new group win over dynamic groups when a thing is in too many.
    #[serde(default)]
    pub override_dynamic_groups: bool,
}

/// Parameters of REPLACE_DEFAULT_POLICY_VERSION: one of the two.
#[derive(Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("oneOf" = [{ "required": ["template"] }, { "required": ["document"] }]))]
pub(super) struct Replacement {
    /// A document that allows nothing.
    #[serde(default, skip_serializing_if = "unsaid")]
    #[schemars(extend("enum" = ["BLANK_POLICY"]))]
    pub template: String,
    /// A policy document of your own, as JSON text of at most 2048 characters without white space.
    #[serde(default, skip_serializing_if = "unsaid")]
    pub document: String,
}

/// Parameters of ENABLE_IOT_LOGGING.
#[derive(Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Logging {
    /// The role that AWS IoT writes logs with.
    #[schemars(extend("examples" = ["arn:aws:iam::123456789012:role/IoTLogging"]))]
    pub role_arn: String,
    /// What is logged at least.
    pub level: LogLevel,
}

/// Parameters of PUBLISH_FINDING_TO_SNS.
#[derive(Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Topic {
    /// A standard topic.
    #[schemars(extend("examples" = ["arn:aws:sns:us-east-1:123456789012:DeviceDefenderFindings"]))]
    pub topic_arn: String,
}
