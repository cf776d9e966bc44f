//! From a policy file to a policy: every error is collected, none stops the search for more.

use super::action::read_action;
use super::file::{MatchFile, PolicyFile, RetryFile, RuleFile};
use super::fit::{Named, check_fit};
use super::nearest::did_you_mean;
use super::quotas::read_quotas;
use super::reader::{Fields, Reader};
use super::yaml::{self, Node, Place, Yaml};
use super::{MOST_DELEGATED, Matcher, Mode, Policy, PolicyErrors, PolicyQuotas, RetryPolicy, Rule};
use crate::budget::{MOST_RESERVED, RESERVE, is_reserve};
use crate::finding::{Severity, catalogue};
use std::time::Duration;

const HOUR: Duration = Duration::from_secs(3600);
/// SQS keeps a message invisible for at most 12 hours.
const LONGEST_DELAY: Duration = HOUR.saturating_mul(12);
/// Device Defender keeps findings for 90 days.
const LONGEST_COOLDOWN: Duration = HOUR.saturating_mul(24 * 90);
const MODES: [(&str, Mode); 2] = [("observe", Mode::Observe), ("enforce", Mode::Enforce)];
const SEVERITIES: [(&str, Severity); 5] = [
    ("CRITICAL", Severity::Critical),
    ("HIGH", Severity::High),
    ("MEDIUM", Severity::Medium),
    ("LOW", Severity::Low),
    ("UNKNOWN", Severity::Unknown),
];

impl Policy {
    /// Reads and checks a policy file. `name` stands in front of each error.
    pub fn load(text: &str, name: &str) -> Result<Self, PolicyErrors> {
        let mut reader = Reader::default();
        let policy = match yaml::parse(text) {
            Ok(tree) => read_policy(&mut reader, &tree),
            Err(error) => {
                reader.errors.push(error);
                None
            }
        };
        reader.errors.sort_by_key(|error| (error.line, error.column));
        match policy {
            Some(policy) if reader.errors.is_empty() => Ok(policy),
            _ => Err(PolicyErrors { name: name.to_owned(), errors: reader.errors }),
        }
    }
}

/// `None` only together with an error.
fn read_policy(reader: &mut Reader, tree: &Node) -> Option<Policy> {
    let fields = reader.fields::<PolicyFile>(tree, "the policy")?;
    if let Some(node) = reader.required(&fields, "version", "`version: 1`")
        && !matches!(node.value, Yaml::Integer(1))
    {
        reader.error(node.at, "this program reads version 1 of the policy format only; write `version: 1`");
    }
    let mode = fields.get("mode").map_or(Some(Mode::Observe), |node| reader.choice(node, "`mode`", &MODES));
    let verify_finding = fields.get("verify_finding").map_or(Some(true), |node| reader.flag(node, "`verify_finding`"));
    let verify_signature =
        fields.get("verify_signature").map_or(Some(false), |node| reader.flag(node, "`verify_signature`"));
    let read_back = fields.get("read_back").map_or(Some(false), |node| reader.flag(node, "`read_back`"));
    let cooldown = fields.get("cooldown").map_or(Some(Duration::ZERO), |node| {
        reader.duration(node, "`cooldown`", (Duration::ZERO, LONGEST_COOLDOWN), "from `0s` to `90d`")
    });
    let retry = read_retry(reader, fields.get("retry"));
    let quotas = fields.get("quotas").map_or(Some(PolicyQuotas::default()), |node| read_quotas(reader, node));
    let reserve = fields.get("reserve").map_or(Some(RESERVE), |node| {
        let words = format!("a part from 0 to {MOST_RESERVED}, such as {RESERVE}");
        reader.decimal(node, "`reserve`", is_reserve, &words)
    });
    let rules = reader.required(&fields, "rules", "`rules: []` or a list of rules");
    let rules = rules.map(|node| read_rules(reader, node));
    Some(Policy {
        mode: mode?,
        verify_finding: verify_finding?,
        verify_signature: verify_signature?,
        read_back: read_back?,
        retry: retry?,
        cooldown: cooldown?,
        quotas: quotas?,
        reserve: reserve?,
        rules: rules?,
    })
}

fn read_retry(reader: &mut Reader, node: Option<&Node>) -> Option<RetryPolicy> {
    let mut retry = RetryPolicy::default();
    let Some(node) = node else { return Some(retry) };
    let fields = reader.fields::<RetryFile>(node, "`retry`")?;
    if let Some(node) = fields.get("max_attempts") {
        retry.max_attempts = reader.number(node, "`max_attempts`", 1, 100)?;
    }
    let shortest = Duration::from_millis(100);
    let mut delay = |name: &str, default: Duration| match fields.get(name) {
        Some(node) => reader.duration(node, &format!("`{name}`"), (shortest, LONGEST_DELAY), "from `100ms` to `12h`"),
        None => Some(default),
    };
    let (base, max) = (delay("base_delay", retry.base_delay), delay("max_delay", retry.max_delay));
    (retry.base_delay, retry.max_delay) = (base?, max?);
    if retry.base_delay > retry.max_delay {
        let at = fields.get("base_delay").or(fields.get("max_delay")).map_or(node.at, |node| node.at);
        reader
            .error(at, "`base_delay` is longer than `max_delay`; write a shorter `base_delay` or a longer `max_delay`");
    }
    Some(retry)
}

fn read_rules(reader: &mut Reader, node: &Node) -> Vec<Rule> {
    let Yaml::List(nodes) = &node.value else {
        reader.error(node.at, format!("`rules` is {}; write `[]` or a list of rules", node.kind()));
        return Vec::new();
    };
    let mut rules: Vec<Rule> = Vec::with_capacity(nodes.len());
    let mut takes_all: Option<String> = None;
    for node in nodes {
        if let Some(earlier) = &takes_all {
            let what = format!("this rule is never reached, because `{earlier}` before it takes every finding");
            reader.error(node.at, format!("{what}; move it up, or give `{earlier}` a narrower `match`"));
        }
        let Some((rule, name_at, matches_all)) = read_rule(reader, node) else { continue };
        if rules.iter().any(|other| other.name == rule.name) {
            reader.error(name_at, format!("two rules are named `{}`; give each a name of its own", rule.name));
        }
        if matches_all && takes_all.is_none() {
            takes_all = Some(rule.name.clone());
        }
        rules.push(rule);
    }
    rules
}

/// The rule, where its name stands, and whether its `match` is empty.
fn read_rule(reader: &mut Reader, node: &Node) -> Option<(Rule, Place, bool)> {
    let fields = reader.fields::<RuleFile>(node, "a rule")?;
    let name = read_name(reader, &fields);
    let what = name.map_or_else(|| "this rule".to_owned(), |(_, name)| format!("rule `{name}`"));
    let observe = fields.get("mode").is_some_and(|node| read_rule_mode(reader, node, &what));
    let matcher = reader.required(&fields, "match", "`match: {}` to take every finding, or what it must be like");
    let matcher = matcher.and_then(|node| read_match(reader, node, &what));
    let (actions, places): (Vec<_>, Vec<_>) =
        fields.get("actions").map(|node| read_actions(reader, node, &what)).unwrap_or_default().into_iter().unzip();
    if let Some((_, checks)) = &matcher {
        let placed: Vec<_> = actions.iter().zip(places).collect();
        check_fit(reader, &what, checks.as_deref(), &placed);
    }
    let delegate = fields.get("delegate").map(|node| read_delegate(reader, node, &what)).unwrap_or_default();
    if let Some(node) = fields.get("delegate")
        && !actions.is_empty()
    {
        let sentence =
            "acts by itself and hands over to Device Defender; write `actions` or `delegate`, or make two rules of it";
        reader.error(node.at, format!("{what} {sentence}"));
    }
    let ((at, name), (matcher, _)) = (name?, matcher?);
    let matches_all =
        matcher == Matcher::default() && matches!(fields.get("match")?.value, Yaml::Map(ref keys) if keys.is_empty());
    Some((Rule { name: name.to_owned(), matcher, observe, actions, delegate }, at, matches_all))
}

fn read_name<'a>(reader: &mut Reader, fields: &Fields<'a>) -> Option<(Place, &'a str)> {
    let example = "`name: deactivate-revoked-certificates`";
    let node = reader.required(fields, "name", example)?;
    let name = reader.text(node, "`name`", "deactivate-revoked-certificates")?;
    let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    if !(1..=64).contains(&name.len()) || !name.bytes().all(fits) {
        reader.error(node.at, format!("`{name}` is no name for a rule; write 1 to 64 of a-z, 0-9 and -"));
        return None;
    }
    Some((node.at, name))
}

/// A rule may only be stricter than the file, so `observe` is all that it can say.
fn read_rule_mode(reader: &mut Reader, node: &Node, what: &str) -> bool {
    match reader.choice(node, &format!("`mode` of {what}"), &MODES) {
        Some(Mode::Observe) => true,
        Some(Mode::Enforce) => {
            let sentence = "a rule can be stricter than the file, never looser; write `mode: observe`, or remove it";
            reader.error(node.at, format!("{what}: {sentence}"));
            false
        }
        None => false,
    }
}

/// What it matches, and the checks that it names; no checks if it has no `check`.
fn read_match(reader: &mut Reader, node: &Node, what: &str) -> Option<(Matcher, Option<Vec<Named>>)> {
    let fields = reader.fields::<MatchFile>(node, &format!("`match` of {what}"))?;
    let checks = fields.get("check").map(|node| read_checks(reader, node));
    let mut texts = |name: &str, example: &str| match fields.get(name) {
        Some(node) => reader.texts(node, &format!("`{name}`"), example),
        None => Vec::new(),
    };
    let owned = |texts: Vec<(Place, &str)>| texts.into_iter().map(|(_, text)| text.to_owned()).collect();
    let reason = owned(texts("reason", "CERTIFICATE_PAST_EXPIRATION"));
    let resource = owned(texts("resource", "prod-*"));
    let groups = texts("thing_group", "prod-eu");
    for (at, group) in &groups {
        super::action::check_group_name(reader, *at, group);
    }
    let severity = fields.get("severity").map(|node| read_severities(reader, node)).unwrap_or_default();
    let check = checks.iter().flatten().map(|named| named.name.clone()).collect();
    Some((Matcher { check, reason, severity, resource, thing_group: owned(groups) }, checks))
}

fn read_severities(reader: &mut Reader, node: &Node) -> Vec<Severity> {
    match &node.value {
        Yaml::List(nodes) if !nodes.is_empty() => {
            nodes.iter().filter_map(|node| reader.choice(node, "`severity`", &SEVERITIES)).collect()
        }
        Yaml::List(_) => {
            reader.error(
                node.at,
                "`severity` is an empty list, which matches nothing; write CRITICAL, or remove the key",
            );
            Vec::new()
        }
        _ => reader.choice(node, "`severity`", &SEVERITIES).into_iter().collect(),
    }
}

fn read_checks(reader: &mut Reader, node: &Node) -> Vec<Named> {
    let mut checks = Vec::new();
    for (at, text) in reader.texts(node, "`check`", "REVOKED_DEVICE_CERTIFICATE_STILL_ACTIVE_CHECK") {
        let glob = text.contains(['*', '?']);
        if !glob && catalogue::check(text).is_none() {
            let near = did_you_mean(text, catalogue::CHECKS.iter().map(|check| check.name));
            let newer = "a check that is newer than this program goes by a glob such as `SOME_*` into a rule that only records or publishes";
            reader.error(at, format!("`{text}` is no check that this program knows{near} ({newer})"));
            continue;
        }
        let name = if glob { text.to_owned() } else { catalogue::modern_name(text).to_owned() };
        checks.push(Named { at, name, glob });
    }
    checks
}

/// Names of mitigation actions (FACTS C.2, `CreateMitigationAction`). Whether they exist, and fit, is asked when a worker starts.
fn read_delegate(reader: &mut Reader, node: &Node, what: &str) -> Vec<String> {
    let named = reader.texts(node, &format!("`delegate` of {what}"), "DeactivateCertificates");
    if named.len() > MOST_DELEGATED {
        let n = named.len();
        reader.error(
            node.at,
            format!(
                "`delegate` of {what} has {n} entries; Device Defender takes 1 to {MOST_DELEGATED} actions for a check"
            ),
        );
    }
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"_-".contains(&byte);
    let mut names: Vec<String> = Vec::with_capacity(named.len());
    for (at, name) in named {
        if !(1..=128).contains(&name.len()) || !name.bytes().all(fits) {
            let rule = "write 1 to 128 of a-z, A-Z, 0-9, `_` and `-`, as `fleetwarden actions list` shows them";
            reader.error(at, format!("`{name}` is no name of a mitigation action; {rule}"));
        } else if names.iter().any(|other| other == name) {
            reader.error(at, format!("`delegate` of {what} names `{name}` twice; remove one"));
        } else {
            names.push(name.to_owned());
        }
    }
    names
}

fn read_actions(reader: &mut Reader, node: &Node, what: &str) -> Vec<(super::Action, Place)> {
    let Yaml::List(nodes) = &node.value else {
        let kind = node.kind();
        reader.error(node.at, format!("`actions` of {what} is {kind}; write a list, or `[]` to record only"));
        return Vec::new();
    };
    let mut actions: Vec<(super::Action, Place)> = Vec::with_capacity(nodes.len());
    for node in nodes {
        let Some(action) = read_action(reader, node, what) else { continue };
        if actions.iter().any(|(other, _)| *other == action) {
            reader.error(node.at, format!("{what} lists the same {} twice; remove one", action.action_type()));
        }
        actions.push((action, node.at));
    }
    actions
}
