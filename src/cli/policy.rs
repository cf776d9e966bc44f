//! `fleetwarden policy`: checks a policy file, prints its schema and the default, explains a decision and tells what workers must be
//! allowed.

use super::policy_permissions::{self, PermissionsArgs};
use super::{CliError, OutputFormat, print};
use crate::finding::{Arrival, Content, Finding, Origin, decode_sealed};
use crate::policy::{Action, Decision, Facts, Policy, RuleVerdict, Verdict, decide, schema};
use clap::{Args, Subcommand};
use serde_json::{Value, json};
use std::io::{self, Write};

/// Check a policy file, print its schema or the default, explain what it decides and which permissions it needs.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  fleetwarden policy default > policy.yaml      start from the annotated default
  fleetwarden policy validate policy.yaml       tell everything that is wrong with it
  fleetwarden policy explain policy.yaml --finding finding.json")]
pub struct PolicyArgs {
    #[command(subcommand)]
    command: PolicyCommand,
}

#[derive(Debug, Subcommand)]
enum PolicyCommand {
    /// Check a policy file; everything that is wrong is told at once, by line and column (exit 2).
    #[command(after_help = "\
Examples:
  fleetwarden policy validate policy.yaml
  fleetwarden policy validate - < policy.yaml
  fleetwarden --output json policy validate policy.yaml")]
    Validate {
        /// The policy file, or - for standard input.
        file: String,
    },
    /// Print the JSON Schema of a policy file, for editors.
    #[command(after_help = "\
Examples:
  fleetwarden policy schema > policy.schema.json
  then begin policy.yaml with: # yaml-language-server: $schema=policy.schema.json")]
    Schema,
    /// Print the default policy, annotated line by line.
    #[command(after_help = "\
Examples:
  fleetwarden policy default > policy.yaml")]
    Default,
    /// Tell which rule takes a finding, and why the others do not.
    #[command(after_help = "\
Examples:
  fleetwarden policy explain policy.yaml --finding finding.json
  fleetwarden policy explain policy.yaml --finding finding.json --thing-group prod-eu
  fleetwarden --output json policy explain policy.yaml --finding - < finding.json")]
    Explain(ExplainArgs),
    /// List what workers must be allowed to call for a policy; as JSON, a document for their role.
    #[command(after_help = "\
Examples:
  fleetwarden policy permissions policy.yaml --mode enforce

  # a role's inline policy
  fleetwarden --output json policy permissions policy.yaml --account 123456789012 --region eu-central-1 > worker.json
  aws iam put-role-policy --role-name fleetwarden --policy-name worker --policy-document file://worker.json

  # the parameters of infra/service.yaml
  aws cloudformation deploy --stack-name fleetwarden --template-file infra/service.yaml --capabilities CAPABILITY_IAM \\
    --parameter-overrides $(fleetwarden policy permissions policy.yaml --account 123456789012 --parameters) ...

Where AWS takes a resource it is named: queues, table, topics, thing groups, roles and mitigation actions of the policy one by
one; certificates, things and policies of AWS IoT by their kind. A key of your own that encrypts queue or table comes on top:
kms:Decrypt and kms:GenerateDataKey on it.")]
    Permissions(Box<PermissionsArgs>),
}

#[derive(Debug, Args)]
struct ExplainArgs {
    /// The policy file.
    file: String,
    /// A finding in any form that may stand in the queue (raw, SNS envelope, Lambda records), or - for standard input.
    #[arg(long, value_name = "FILE")]
    finding: String,
    /// A group that a thing of the certificate is in; may be repeated. Without it, rules that ask for one do not match.
    #[arg(long = "thing-group", value_name = "GROUP")]
    thing_groups: Vec<String>,
    /// The audited account, where the message does not tell it. No rule depends on it.
    #[arg(long, value_name = "12 DIGITS", env = "FLEETWARDEN_ACCOUNT")]
    account: Option<String>,
    /// The audited region, where the message does not tell it. No rule depends on it.
    #[arg(long, value_name = "REGION", env = "FLEETWARDEN_REGION")]
    region: Option<String>,
}

/// Runs the command and prints to standard output.
pub fn run(args: &PolicyArgs, output: OutputFormat) -> Result<(), CliError> {
    write_to(args, output, &mut io::stdout().lock())
}

fn write_to(args: &PolicyArgs, output: OutputFormat, out: &mut dyn Write) -> Result<(), CliError> {
    match &args.command {
        PolicyCommand::Validate { file } => validate(file, output, out),
        PolicyCommand::Schema => print(out, &pretty(&schema())),
        PolicyCommand::Default => print(out, Policy::default_text().trim_end()),
        PolicyCommand::Explain(args) => explain(args, output, out),
        PolicyCommand::Permissions(args) => policy_permissions::run(args, output, out),
    }
}

fn validate(file: &str, output: OutputFormat, out: &mut dyn Write) -> Result<(), CliError> {
    let policy = match Policy::load(&read(file)?, name(file)) {
        Ok(policy) => policy,
        Err(errors) => {
            if output == OutputFormat::Json {
                print(out, &pretty(&json!({ "valid": false, "errors": errors.errors })))?;
            }
            return Err(CliError::Usage(errors.to_string()));
        }
    };
    let rules: Vec<_> = policy.rules.iter().map(|rule| rule.name.as_str()).collect();
    if output == OutputFormat::Json {
        let summary = json!({
            "valid": true,
            "mode": policy.mode,
            "rules": rules,
            "actions": policy.actions(),
            "delegates": policy.delegates().keys().collect::<Vec<_>>(),
            "reserve": policy.reserve,
            "quotas": { "service-quotas": policy.quotas.service_quotas, "rates": policy.quotas.rates },
        });
        return print(out, &pretty(&summary));
    }
    let actions: Vec<_> = policy.actions().into_iter().map(|action| action.as_str()).collect();
    let mut actions = if actions.is_empty() { "none".to_owned() } else { actions.join(", ") };
    let delegates: Vec<_> = policy.delegates().into_keys().collect();
    if !delegates.is_empty() {
        actions.push_str(&format!(". Delegates to: {}", delegates.join(", ")));
    }
    let mode = pretty(&json!(policy.mode));
    let mode = mode.trim_matches('"');
    let (rules, quotas, reserve) = (rules.len(), quotas(&policy), policy.reserve);
    let (name, budget) = (name(file), format!("Quotas: {quotas}. Reserve: {reserve}."));
    print(out, &format!("{name} is valid. Mode: {mode}. Rules: {rules}. Actions: {actions}. {budget}"))
}

/// What a policy says about the quotas, in words.
fn quotas(policy: &Policy) -> String {
    let named = policy.quotas.rates.iter().map(|(operation, rate)| format!("{operation} {rate}/s"));
    let rest = if policy.quotas.service_quotas { "Service Quotas" } else { "AWS's defaults" };
    let named: Vec<_> = named.collect();
    if named.is_empty() { rest.to_owned() } else { format!("{}, else {rest}", named.join(", ")) }
}

fn explain(args: &ExplainArgs, output: OutputFormat, out: &mut dyn Write) -> Result<(), CliError> {
    if args.file == "-" && args.finding == "-" {
        let message = "policy and finding cannot both come from standard input; give one of them as a file";
        return Err(CliError::Usage(message.to_owned()));
    }
    let policy =
        Policy::load(&read(&args.file)?, name(&args.file)).map_err(|errors| CliError::Usage(errors.to_string()))?;
    let body = read(&args.finding)?;
    let origin = Origin {
        account: Some(args.account.clone().unwrap_or_else(|| own_account(&body))),
        region: Some(args.region.clone().unwrap_or_else(|| "us-east-1".to_owned())),
    };
    let thing_groups = (!args.thing_groups.is_empty()).then(|| args.thing_groups.clone());
    let facts = Facts { thing_groups };
    let mut refused = Vec::new();
    let mut explained = Vec::new();
    let mut signed = false;
    for Arrival { content, seals, .. } in decode_sealed(&body, &origin) {
        signed |= content.is_ok() && !seals.is_empty();
        match content {
            Ok(Content::Finding(finding)) => explained.push(Explained::new(&policy, &finding, &facts)),
            Ok(Content::Summary(summary)) => refused.push(format!(
                "the message is the summary of audit {}, which is expanded into findings; give one of those",
                summary.task_id
            )),
            Err(rejected) => refused.push(rejected.to_string()),
        }
    }
    if output == OutputFormat::Json {
        let findings: Vec<_> = explained.iter().map(Explained::json).collect();
        print(out, &pretty(&json!({ "findings": findings, "refused": refused })))?;
    } else {
        for explained in &explained {
            print(out, &explained.text())?;
        }
        if policy.verify_signature && signed {
            print(
                out,
                "A worker first checks that SNS signed this notification (verify_signature); here nobody is asked.",
            )?;
        }
    }
    if refused.is_empty() { Ok(()) } else { Err(CliError::Failed(refused.join("\n"))) }
}

/// A raw finding about account settings names the account; for any other, no rule depends on it.
fn own_account(body: &str) -> String {
    let finding: Value = serde_json::from_str(body).unwrap_or_default();
    let account = finding.pointer("/nonCompliantResource/resourceIdentifier/account");
    account.and_then(Value::as_str).unwrap_or("000000000000").to_owned()
}

struct Explained<'a> {
    finding: Finding,
    decision: Decision,
    rules: Vec<RuleVerdict>,
    needs_thing_groups: bool,
    facts: &'a Facts,
}

impl<'a> Explained<'a> {
    fn new(policy: &Policy, finding: &Finding, facts: &'a Facts) -> Self {
        Self {
            finding: finding.clone(),
            decision: decide(policy, finding, facts),
            rules: policy.explain(finding, facts),
            needs_thing_groups: policy.needs_thing_groups(finding),
            facts,
        }
    }

    fn json(&self) -> Value {
        json!({
            "finding_id": self.finding.finding_id,
            "check": self.finding.check,
            "resource": self.finding.resource_id(),
            "decision": self.decision,
            "rules": self.rules,
            "needs_thing_groups": self.needs_thing_groups,
        })
    }

    fn text(&self) -> String {
        let Finding { finding_id, check, reason_code, severity, .. } = &self.finding;
        let mut table = print::table(&["rule", "takes it", "why not"]);
        for rule in &self.rules {
            table.add_row([rule.rule.as_str(), if rule.takes { "yes" } else { "no" }, &rule.why_not.join("\n")]);
        }
        let hint = if self.needs_thing_groups && self.facts.thing_groups.is_none() {
            "\nA rule asks for the groups of the certificate's things: give them with --thing-group."
        } else {
            ""
        };
        format!(
            "Finding {finding_id}: {check} ({reason_code}, {severity})\nResource: {}\n{table}\n{}{hint}",
            self.finding.resource_id(),
            outcome(&self.decision),
        )
    }
}

fn outcome(decision: &Decision) -> String {
    let rule = decision.rule.as_deref().map_or_else(|| "No rule takes it".to_owned(), |rule| format!("Rule `{rule}`"));
    let list =
        |actions: &[Action]| actions.iter().map(|action| action.action_type().as_str()).collect::<Vec<_>>().join(", ");
    match &decision.verdict {
        Verdict::Act(actions) => format!("{rule}: does {}.", list(actions)),
        Verdict::Delegate(names) => format!("{rule}: hands it to Device Defender's {}.", names.join(", ")),
        Verdict::Observe { would_delegate, .. } if !would_delegate.is_empty() => {
            let names = would_delegate.join(", ");
            format!("{rule}: recorded only (observe mode); enforcing, it would hand it to Device Defender's {names}.")
        }
        Verdict::Observe { would, .. } if would.is_empty() => format!("{rule}: recorded only."),
        Verdict::Observe { would, .. } => {
            format!("{rule}: recorded only (observe mode); enforcing, it would do {}.", list(would))
        }
        Verdict::Suppressed => "Device Defender suppresses the finding: it is never mitigated.".to_owned(),
    }
}

pub(super) fn read(file: &str) -> Result<String, CliError> {
    let text = if file == "-" { io::read_to_string(io::stdin()) } else { std::fs::read_to_string(file) };
    text.map_err(|error| {
        CliError::Usage(format!("cannot read {file}: {error}; give the path of a file, or - for standard input"))
    })
}

/// What a file is called in sentences.
pub(super) fn name(file: &str) -> &str {
    if file == "-" { "standard input" } else { file }
}

/// Whoever reads the output may stop early (`| head`); that is no failure.
pub(super) fn print(out: &mut dyn Write, text: &str) -> Result<(), CliError> {
    match writeln!(out, "{text}") {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(CliError::Failed(format!("cannot write: {error}")))
        }
        _ => Ok(()),
    }
}

pub(super) fn pretty(value: &Value) -> String {
    format!("{value:#}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Cli {
        #[command(flatten)]
        args: PolicyArgs,
    }

    fn policy(words: &[&str], output: OutputFormat) -> (Result<(), CliError>, String) {
        let args = Cli::try_parse_from(["policy"].iter().chain(words)).unwrap().args;
        let mut out = Vec::new();
        let result = write_to(&args, output, &mut out);
        (result, String::from_utf8(out).unwrap())
    }

    fn file(text: &str) -> tempfile::NamedTempFile {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(text.as_bytes()).unwrap();
        file
    }

    fn fixture(name: &str) -> String {
        format!("{}/tests/fixtures/{name}.json", env!("CARGO_MANIFEST_DIR"))
    }

    #[test]
    fn the_default_validates_and_a_refused_policy_is_wrong_usage() {
        let (_, text) = policy(&["default"], OutputFormat::Table);
        let good = file(&text);
        let (result, out) = policy(&["validate", good.path().to_str().unwrap()], OutputFormat::Table);
        assert_eq!(result, Ok(()));
        assert!(out.contains("is valid. Mode: observe. Rules: 9. Actions: UPDATE_DEVICE_CERTIFICATE"), "{out}");

        let raised =
            file("version: 1\nreserve: 0\nquotas: { UpdateCertificate: 50, service-quotas: true }\nrules: []\n");
        let (_, out) = policy(&["validate", raised.path().to_str().unwrap()], OutputFormat::Table);
        assert!(out.ends_with("Quotas: UpdateCertificate 50/s, else Service Quotas. Reserve: 0.\n"), "{out}");
        let (_, out) = policy(&["validate", raised.path().to_str().unwrap()], OutputFormat::Json);
        let out: Value = serde_json::from_str(&out).unwrap();
        assert_eq!(out["quotas"], json!({ "service-quotas": true, "rates": { "UpdateCertificate": 50.0 } }));

        let bad = file("version: 1\nmode: on-ly\nrules: 7\n");
        let (result, out) = policy(&["validate", bad.path().to_str().unwrap()], OutputFormat::Json);
        let error = result.unwrap_err();
        assert_eq!(error.exit_code(), 2);
        assert!(error.to_string().contains(":2:7: `mode` is `on-ly`") && error.to_string().contains(":3:8: `rules`"));
        let out: Value = serde_json::from_str(&out).unwrap();
        assert_eq!((&out["errors"][0]["line"], &out["errors"][1]["column"]), (&json!(2), &json!(8)));
    }

    #[test]
    fn a_file_that_is_not_there_is_wrong_usage() {
        let (result, _) = policy(&["validate", "no/such/file"], OutputFormat::Table);
        assert!(matches!(result, Err(CliError::Usage(sentence)) if sentence.starts_with("cannot read no/such/file")));
    }

    #[test]
    fn it_is_told_that_a_worker_asks_for_a_signature_first_where_there_is_one() {
        let rules = file("version: 1\nverify_signature: true\nrules: []\n");
        let rules = rules.path().to_str().unwrap();
        let explain = |name: &str| policy(&["explain", rules, "--finding", &fixture(name)], OutputFormat::Table).1;
        assert!(explain("sqs_body_sns_envelope_finding").contains("verify_signature"));
        assert!(!explain("finding_iot_policy").contains("verify_signature"));
    }

    #[test]
    fn a_finding_is_explained_rule_by_rule() {
        let rules = file(Policy::default_text());
        let rules = rules.path().to_str().unwrap();
        let explain = |name: &str, output| policy(&["explain", rules, "--finding", &fixture(name)], output);
        let (result, out) = explain("finding_iot_policy", OutputFormat::Table);
        assert_eq!(result, Ok(()));
        assert!(out.contains("Rule `blank-overly-permissive-policies`: recorded only (observe mode)"), "{out}");
        assert!(out.contains("rule `blank-overly-permissive-policies` before it takes the finding"), "{out}");
        let (_, out) = explain("lambda_sqs_records_mixed_envelope_and_raw", OutputFormat::Json);
        let out: Value = serde_json::from_str(&out).unwrap();
        assert_eq!(out["findings"][1]["decision"]["rule"], "record-everything-else");
        assert_eq!(explain("finding_logging_disabled", OutputFormat::Table).0, Ok(()));
        let (result, _) = explain("detect_violation", OutputFormat::Table);
        assert!(matches!(result, Err(CliError::Failed(sentence)) if sentence.starts_with("detect_violation: ")));
    }

    #[test]
    fn the_schema_is_json() {
        let (_, out) = policy(&["schema"], OutputFormat::Table);
        assert_eq!(serde_json::from_str::<Value>(&out).unwrap(), schema());
    }
}
