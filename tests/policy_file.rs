//! What a policy file may say, and how one that says something else is refused.

#![expect(clippy::expect_used, clippy::panic, reason = "helpers of tests")]

use fleetwarden::budget::Operation;
use fleetwarden::finding::{ActionType, catalogue};
use fleetwarden::policy::{Action, BLANK_POLICY, LogLevel, Mode, Policy, PolicyQuotas, schema};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

fn load(text: &str) -> Policy {
    Policy::load(text, "p.yaml").unwrap_or_else(|errors| panic!("{errors}"))
}

/// Every error of a refused policy, as the user sees it.
fn refusals(text: &str) -> Vec<String> {
    let errors = Policy::load(text, "p.yaml").expect_err("it is refused").to_string();
    errors.lines().map(str::to_owned).collect()
}

/// The one error of a refused policy must stand at that place and have those words in it.
#[track_caller]
fn refused(text: &str, at: &str, words: &[&str]) {
    let refusals = refusals(text);
    assert_eq!(refusals.len(), 1, "{refusals:#?}");
    assert!(refusals[0].starts_with(&format!("p.yaml:{at}: ")), "{} instead of {at}", refusals[0]);
    for word in words {
        assert!(refusals[0].contains(word), "{}\nlacks: {word}", refusals[0]);
    }
}

/// A policy of one rule, which begins in line 3 and whose members are given.
fn rule(members: &str) -> String {
    format!("version: 1\nrules:\n  - name: r\n    {}\n", members.replace('\n', "\n    "))
}

fn acting(check: &str, action: &str) -> String {
    rule(&format!("match: {{ check: {check} }}\nactions:\n  - {}", action.replace('\n', "\n    ")))
}

#[test]
fn the_default_policy_loads_and_changes_nothing_until_told_to() {
    let policy = load(Policy::default_text());
    assert_eq!(policy.mode, Mode::Observe);
    assert!(policy.verify_finding && !policy.verify_signature && !policy.read_back);
    assert_eq!(policy.retry.max_attempts, 8);
    assert_eq!((policy.retry.base_delay, policy.retry.max_delay), (Duration::from_secs(5), Duration::from_secs(900)));
    assert_eq!(policy.cooldown, Duration::ZERO);
    let acts: Vec<_> = policy.actions().into_iter().collect();
    assert_eq!(
        acts,
        [ActionType::UpdateDeviceCertificate, ActionType::UpdateCaCertificate, ActionType::ReplaceDefaultPolicyVersion]
    );
}

#[test]
fn what_the_default_policy_shows_commented_out_is_right_too() {
    // Prose begins with "# A"; what is commented out stands after a bare "#", a list's "#-" or an indented "#  ".
    let is_prose = |rest: &str| rest.starts_with(' ') && !rest.starts_with("  ");
    let uncomment = |line: &str| match line.trim_start().strip_prefix('#') {
        Some(rest) if !is_prose(rest) => line.replacen('#', "", 1),
        _ => line.to_owned(),
    };
    let text: Vec<_> = Policy::default_text().lines().map(uncomment).collect();
    let policy = load(&text.join("\n"));
    let names: Vec<_> = policy.rules.iter().map(|rule| rule.name.as_str()).collect();
    assert!(names.contains(&"enable-logging") && names.contains(&"tell-about-roles-and-client-ids"), "{names:?}");
    assert_eq!(policy.actions().len(), 6, "every action is shown");
}

#[test]
fn a_file_that_says_everything_is_read() {
    let policy = load(
        r#"
version: 1
mode: enforce
verify_finding: false
verify_signature: true
read_back: true
retry: { max_attempts: 3, base_delay: 250ms, max_delay: 1h 30m }
cooldown: 7d
rules:
  - name: everything
    match:
      check: [IOT_POLICY_UNRESTRICTED_CHECK]
      reason: ALLOWS_*
      severity: [CRITICAL, HIGH]
      resource: "prod-*"
      thing_group: [prod-eu, "a:b"]
    mode: observe
    actions:
      - type: REPLACE_DEFAULT_POLICY_VERSION
        document: |
          { "Version": "2012-10-17",
            "Statement": { "Effect": "Deny", "Action": "iot:Publish", "Resource": "*" } }
      - type: PUBLISH_FINDING_TO_SNS
        topic_arn: arn:aws-cn:sns:cn-north-1:123456789012:topic
  - name: things
    match: { check: DEVICE_CERTIFICATE_SHARED_CHECK }
    actions:
      - { type: UPDATE_DEVICE_CERTIFICATE }
      - { type: ADD_THINGS_TO_THING_GROUP, thing_groups: [Quarantine], override_dynamic_groups: true }
  - name: logging
    match: { check: LOGGING_DISABLED_CHECK }
    actions: [{ type: ENABLE_IOT_LOGGING, role_arn: "arn:aws:iam::123456789012:role/x/IoTLogging", level: WARN }]
  - name: blank
    match: { check: IOT_POLICY_OVERLY_PERMISSIVE_CHECK }
    actions: [{ type: REPLACE_DEFAULT_POLICY_VERSION, template: BLANK_POLICY }]
"#,
    );
    assert_eq!(policy.mode, Mode::Enforce);
    assert!(!policy.verify_finding && policy.verify_signature && policy.read_back);
    assert_eq!(policy.retry.base_delay, Duration::from_millis(250));
    assert_eq!(policy.retry.max_delay, Duration::from_secs(5400));
    assert_eq!(policy.cooldown, Duration::from_secs(7 * 86_400));
    let [everything, things, logging, blank] = policy.rules.as_slice() else { panic!("{:?}", policy.rules) };
    assert!(everything.observe && !things.observe);
    assert_eq!(everything.matcher.check, ["IOT_POLICY_OVERLY_PERMISSIVE_CHECK"], "an older name is understood");
    assert_eq!(everything.matcher.thing_group, ["prod-eu", "a:b"]);
    let compact = r#"{"Version":"2012-10-17","Statement":{"Effect":"Deny","Action":"iot:Publish","Resource":"*"}}"#;
    assert_eq!(everything.actions[0], Action::ReplaceDefaultPolicyVersion { document: compact.to_owned() });
    let groups = vec!["Quarantine".to_owned()];
    assert_eq!(
        things.actions[1],
        Action::AddThingsToThingGroup { thing_groups: groups, override_dynamic_groups: true }
    );
    let role_arn = "arn:aws:iam::123456789012:role/x/IoTLogging".to_owned();
    assert_eq!(logging.actions, [Action::EnableIotLogging { role_arn, level: LogLevel::Warn }]);
    assert_eq!(blank.actions, [Action::ReplaceDefaultPolicyVersion { document: BLANK_POLICY.to_owned() }]);
}

#[test]
fn the_shortest_policy_observes_and_records() {
    let policy = load("version: 1\nrules: []\n");
    assert_eq!((policy.mode, policy.rules.len(), policy.verify_finding), (Mode::Observe, 0, true));
    assert!(!policy.verify_signature);
    assert_eq!(load(&rule("match: {}")).rules[0].actions, []);
    load("version: 1\nrules: []\nretry: { base_delay: 5s, max_delay: 5s }\n");
}

#[test]
fn unknown_keys_are_refused_with_the_nearest_known_one() {
    refused("version: 1\nrules: []\ncooldwon: 5s\n", "3:1", &["unknown key `cooldwon`", "did you mean `cooldown`?"]);
    refused(
        &rule("match: { chekc: X }"),
        "4:14",
        &["unknown key `chekc` in `match` of rule `r`", "did you mean `check`?"],
    );
    refused(&rule("match: {}\naction: []"), "5:5", &["did you mean `actions`?"]);
    refused("version: 1\nrules: []\nretry: { tries: 5 }\n", "3:10", &["write one of ", "max_attempts"]);
    let extra = acting("DEVICE_CERTIFICATE_SHARED_CHECK", "type: UPDATE_DEVICE_CERTIFICATE\nthing_groups: [x]");
    refused(&extra, "7:9", &["unknown key `thing_groups` in UPDATE_DEVICE_CERTIFICATE of rule `r`"]);
}

#[test]
fn words_of_later_versions_are_told_apart_from_unknown_ones() {
    refused("version: 1\nguards: {}\nrules: []\n", "2:1", &["`guards`", "is reserved for a later version; remove it"]);
    refused(
        &rule("match: {}\napproval: required"),
        "5:5",
        &["`approval`", "is reserved for a later version; remove it"],
    );
}

#[test]
fn a_rule_may_hand_over_to_mitigation_actions_of_device_defender() {
    let policy =
        load(&rule("match: { check: [LOGGING_DISABLED_CHECK] }\ndelegate: [EnableErrorLoggingAction, Tell_2]"));
    assert_eq!(policy.rules[0].delegate, ["EnableErrorLoggingAction", "Tell_2"]);
    assert!(policy.rules[0].actions.is_empty() && policy.actions().is_empty());
    assert_eq!(policy.delegates().into_keys().collect::<Vec<_>>(), ["EnableErrorLoggingAction", "Tell_2"]);
    assert_eq!(load(&rule("match: {}\ndelegate: One")).rules[0].delegate, ["One"], "one needs no list");
}

#[test]
fn a_rule_that_hands_over_wrongly_is_refused_with_what_to_write() {
    let table = [
        ("delegate: []", "5:15", "`delegate` of rule `r`"),
        ("delegate: [One, One]", "5:21", "names `One` twice; remove one"),
        ("delegate: ['no name']", "5:16", "`no name` is no name of a mitigation action"),
        ("delegate: [A, B, C, D, E, F]", "5:15", "has 6 entries; Device Defender takes 1 to 5"),
        (
            "delegate: [One]\nactions: [{ type: PUBLISH_FINDING_TO_SNS, topic_arn: 'arn:aws:sns:us-east-1:123456789012:t' }]",
            "5:15",
            "write `actions` or `delegate`, or make two rules of it",
        ),
    ];
    for (said, at, sentence) in table {
        refused(&rule(&format!("match: {{}}\n{said}")), at, &[sentence]);
    }
}

#[test]
fn quotas_are_read_from_service_quotas_or_named_or_both() {
    let quotas = |said: &str| load(&format!("version: 1\nrules: []\n{said}\n")).quotas;
    assert_eq!(quotas(""), PolicyQuotas::default());
    assert_eq!(quotas("quotas: {}"), PolicyQuotas::default());
    assert_eq!(quotas("quotas: service-quotas"), PolicyQuotas { service_quotas: true, ..PolicyQuotas::default() });
    let rates = BTreeMap::from([(Operation::UpdateCertificate, 50.0), (Operation::UpdateCaCertificate, 0.5)]);
    let named = "UpdateCertificate: 50, UpdateCACertificate: 0.5";
    let expected = PolicyQuotas { service_quotas: false, rates: rates.clone() };
    assert_eq!(quotas(&format!("quotas: {{ {named} }}")), expected);
    let expected = PolicyQuotas { service_quotas: true, rates };
    assert_eq!(quotas(&format!("quotas: {{ service-quotas: true, {named} }}")), expected);
}

#[test]
fn a_fifth_of_the_quotas_is_left_to_people_unless_the_policy_says_otherwise() {
    let reserve = |said: &str| load(&format!("version: 1\nrules: []\n{said}\n")).reserve;
    assert_eq!([reserve(""), reserve("reserve: 0"), reserve("reserve: 0.95")], [0.2, 0.0, 0.95]);
}

#[test]
fn quotas_and_reserves_that_cannot_be_are_refused_with_what_to_write() {
    let with = |line: &str| format!("version: 1\nrules: []\n{line}\n");
    let word = |word: &str| format!("`quotas` is {word}; write `service-quotas`, or calls per second by operation");
    refused(&with("quotas: servicequotas"), "3:9", &[&word("`servicequotas`"), "`{ UpdateCertificate: 50 }`"]);
    refused(&with("quotas: 50"), "3:9", &[&word("a number")]);
    refused(&with("quotas:"), "3:7", &[&word("nothing")]);
    refused(&with("quotas: { UpdateCertifcate: 50 }"), "3:11", &["unknown key", "did you mean `UpdateCertificate`?"]);
    refused(&with("quotas: { DescribeThing: 50 }"), "3:11", &["write one of UpdateCertificate, ", "service-quotas"]);
    refused(
        &with("quotas: { service-quotas: yes please }"),
        "3:27",
        &["`service-quotas` is a text; write true or false"],
    );
    for (value, what) in [("0", "0"), ("-1", "-1"), ("100000.5", "100000.5"), ("1e6", "1000000")] {
        let words = ["above 0 and up to 100000", &format!("`GetPolicy` is {what}, which is out of range")];
        refused(&with(&format!("quotas: {{ GetPolicy: {value} }}")), "3:22", &words);
    }
    refused(
        &with("quotas: { GetPolicy: \"5\" }"),
        "3:22",
        &["`GetPolicy` is a text; write a number of calls per second"],
    );
    for value in ["0.96", "-0.1"] {
        refused(&with(&format!("reserve: {value}")), "3:10", &["out of range", "a part from 0 to 0.95, such as 0.2"]);
    }
    refused(&with("reserve: .nan"), "3:10", &["`.nan` is not a finite number"]);
    refused(&with("reserve: 20%"), "3:10", &["`reserve` is a text", "a part from 0 to 0.95"]);
}

#[test]
fn a_version_other_than_1_is_refused() {
    refused("version: 2\nrules: []\n", "1:10", &["version 1", "write `version: 1`"]);
    refused("version: \"1\"\nrules: []\n", "1:10", &["write `version: 1`"]);
    refused("rules: []\n", "1:1", &["the policy has no `version`", "write `version: 1`"]);
}

#[test]
fn bad_durations_are_refused_with_what_to_write() {
    let with = |line: &str| format!("version: 1\nrules: []\n{line}\n");
    refused(&with("cooldown: 5 parsecs"), "3:11", &["`5 parsecs`", "no time span", "write `30s`, `15m` or `1h 30m`"]);
    refused(&with("cooldown: 30"), "3:11", &["number 30 without a unit", "write `30s`"]);
    refused(&with("cooldown: 91d"), "3:11", &["out of range", "from `0s` to `90d`"]);
    refused(&with("cooldown: -5s"), "3:11", &["out of range"]);
    refused(&with("cooldown: 1mo"), "3:11", &["no time span"]);
    refused(&with("cooldown: [1s]"), "3:11", &["`cooldown` is a list"]);
    refused(&with("retry: { base_delay: 0s }"), "3:22", &["`base_delay`", "from `100ms` to `12h`"]);
    refused(&with("retry: { max_delay: 13h }"), "3:21", &["`max_delay`", "from `100ms` to `12h`"]);
    refused(&with("retry: { base_delay: 1h }"), "3:22", &["longer than `max_delay`"]);
}

#[test]
fn values_of_the_wrong_kind_are_refused_with_the_right_one() {
    let with = |line: &str| format!("version: 1\nrules: []\n{line}\n");
    refused(
        &with("mode: enforced"),
        "3:7",
        &["`mode` is `enforced`", "write observe or enforce", "did you mean `enforce`?"],
    );
    refused(&with("mode: off"), "3:7", &["`mode` is true or false; write observe or enforce"]);
    refused(&with("verify_finding: maybe"), "3:17", &["write true or false"]);
    refused(&with("verify_signature: required"), "3:19", &["`verify_signature`", "write true or false"]);
    refused(&with("verify_signatures: true"), "3:1", &["did you mean `verify_signature`?"]);
    refused(&with("retry: { max_attempts: 0 }"), "3:24", &["write one from 1 to 100"]);
    refused(&with("retry: 5"), "3:8", &["`retry` is a number", "write a mapping with the keys"]);
    refused("version: 1\nrules: {}\n", "2:8", &["`rules` is a mapping", "list of rules"]);
    refused("version: 1\n", "1:1", &["has no `rules`"]);
    refused("- 1\n", "1:1", &["the policy is a list", "write a mapping"]);
    refused("", "1:1", &["the policy is nothing", "write a mapping"]);
}

#[test]
fn text_that_is_no_yaml_is_refused_by_line_and_column() {
    refused("version: 1\nrules: [\n", "2:8", &["not readable as YAML: unclosed bracket '['; correct it here"]);
    refused("version: 1\nversion: 1\nrules: []\n", "2:1", &["not readable as YAML", "version"]);
}

#[test]
fn a_rule_needs_a_name_of_its_own_and_a_match() {
    refused("version: 1\nrules:\n  - match: {}\n", "3:5", &["a rule has no `name`"]);
    refused("version: 1\nrules:\n  - name: A b\n    match: {}\n", "3:11", &["`A b` is no name", "a-z, 0-9 and -"]);
    refused("version: 1\nrules:\n  - name: r\n", "3:5", &["a rule has no `match`", "write `match: {}`"]);
    let twice = "version: 1\nrules:\n  - { name: r, match: { severity: LOW } }\n  - { name: r, match: {} }\n";
    refused(twice, "4:13", &["two rules are named `r`"]);
}

#[test]
fn a_rule_can_be_stricter_than_the_file_and_never_looser() {
    refused(&rule("match: {}\nmode: enforce"), "5:11", &["rule `r`", "never looser", "write `mode: observe`"]);
}

#[test]
fn a_rule_behind_one_that_takes_everything_is_never_reached() {
    let text = "version: 1\nrules:\n  - { name: all, match: {} }\n  - { name: late, match: { severity: LOW } }\n";
    refused(text, "4:5", &["never reached", "`all`", "move it up"]);
}

#[test]
fn an_unknown_check_is_refused_with_the_nearest_one() {
    refused(
        &rule("match: { check: LOGGING_DISABLE_CHECK }"),
        "4:21",
        &["`LOGGING_DISABLE_CHECK` is no check", "did you mean `LOGGING_DISABLED_CHECK`?", "`SOME_*`"],
    );
    refused(&rule("match: { check: [LOGGING_DISABLED_CHECK, NONSENSE] }"), "4:46", &["`NONSENSE` is no check"]);
    refused(&rule("match: { check: [] }"), "4:21", &["empty list, which matches nothing"]);
    refused(
        &rule("match: { severity: SEVERE }"),
        "4:24",
        &["`severity` is `SEVERE`", "write CRITICAL, HIGH, MEDIUM, LOW or UNKNOWN"],
    );
    refused(&rule("match: { severity: [] }"), "4:24", &["empty list, which matches nothing"]);
    refused(&rule("match: { thing_group: [a b] }"), "4:28", &["`a b` is no name of a thing group"]);
    refused(&rule("match: { resource: 7 }"), "4:24", &["`resource` is a number", "write a text such as prod-*"]);
}

#[test]
fn an_action_that_does_not_fit_the_check_is_refused() {
    let text = acting("[LOGGING_DISABLED_CHECK, DEVICE_CERTIFICATE_SHARED_CHECK]", "type: UPDATE_DEVICE_CERTIFICATE");
    refused(
        &text,
        "6:9",
        &["UPDATE_DEVICE_CERTIFICATE does not fit LOGGING_DISABLED_CHECK; it fits ", "move the check to another rule"],
    );
    refused(
        &acting("DEVICE_CERTIFICATE_AGE_CHECK", "type: UPDATE_DEVICE_CERTIFICATE"),
        "6:9",
        &["does not fit DEVICE_CERTIFICATE_AGE_CHECK"],
    );
    let no_check = rule("match: { severity: HIGH }\nactions: [{ type: UPDATE_CA_CERTIFICATE }]");
    refused(&no_check, "5:15", &["findings of any check", "add a `check:` list", "CA_CERTIFICATE_KEY_QUALITY_CHECK"]);
    let glob = acting("DEVICE_CERTIFICATE_*", "type: UPDATE_DEVICE_CERTIFICATE");
    refused(&glob, "4:21", &["must name each check instead of `DEVICE_CERTIFICATE_*`"]);
}

#[test]
fn exactly_the_actions_of_aws_table_are_accepted_for_each_check() {
    for check in catalogue::CHECKS {
        for (kind, members) in [
            (ActionType::UpdateDeviceCertificate, ""),
            (ActionType::UpdateCaCertificate, ""),
            (ActionType::AddThingsToThingGroup, "\nthing_groups: [g]"),
            (ActionType::ReplaceDefaultPolicyVersion, "\ntemplate: BLANK_POLICY"),
            (ActionType::EnableIotLogging, "\nrole_arn: arn:aws:iam::123456789012:role/r\nlevel: INFO"),
            (ActionType::PublishFindingToSns, "\ntopic_arn: arn:aws:sns:us-east-1:123456789012:t"),
        ] {
            let loaded = Policy::load(&acting(check.name, &format!("type: {kind}{members}")), "p.yaml");
            assert_eq!(loaded.is_ok(), check.allows(kind), "{kind} for {}: {loaded:?}", check.name);
        }
    }
}

#[test]
fn publishing_fits_everything_even_checks_that_are_newer_than_the_program() {
    let publish = "type: PUBLISH_FINDING_TO_SNS\ntopic_arn: arn:aws:sns:us-east-1:123456789012:t";
    load(&acting("[SOME_*, LOGGING_DISABLED_CHECK]", publish));
    load(&rule(&format!("match: {{}}\nactions:\n  - {}", publish.replace('\n', "\n    "))));
}

#[test]
fn bad_parameters_of_actions_are_refused_in_place() {
    let shared = |action: &str| acting("DEVICE_CERTIFICATE_SHARED_CHECK", action);
    refused(&shared("type: UPDATE_CERTIFICATE"), "6:15", &["`UPDATE_CERTIFICATE` is no action", "did you mean"]);
    refused(&shared("kind: x"), "6:9", &["has no `type`", "write UPDATE_DEVICE_CERTIFICATE"]);
    refused(&shared("hello"), "6:9", &["an action of rule `r` is a text"]);
    refused(&rule("match: {}\nactions: {}"), "5:14", &["`actions` of rule `r` is a mapping", "`[]` to record only"]);
    let group = |list: &str| shared(&format!("type: ADD_THINGS_TO_THING_GROUP\nthing_groups: {list}"));
    refused(&shared("type: ADD_THINGS_TO_THING_GROUP"), "6:9", &["has no `thing_groups`"]);
    refused(&group("[]"), "7:23", &["empty list"]);
    refused(&group("[a, a]"), "7:27", &["`a` stands twice"]);
    refused(&group("[a/b]"), "7:24", &["`a/b` is no name of a thing group"]);
    refused(&group("[a,b,c,d,e,f,g,h,i,j,k]"), "7:23", &["has 11 entries; write 1 to 10"]);
    let members = "match: { check: DEVICE_CERTIFICATE_SHARED_CHECK }\nactions:\n  - type: UPDATE_DEVICE_CERTIFICATE\n  - type: UPDATE_DEVICE_CERTIFICATE";
    refused(&rule(members), "7:9", &["the same UPDATE_DEVICE_CERTIFICATE twice"]);
    let publish = |arn: &str| shared(&format!("type: PUBLISH_FINDING_TO_SNS\ntopic_arn: {arn}"));
    for arn in [
        "topic",
        "arn:aws:sqs:us-east-1:123456789012:q",
        "arn:aws:sns:us-east-1:1234:t",
        "arn:aws:sns:us-east-1:123456789012:t.fifo",
    ] {
        refused(&publish(arn), "7:20", &[&format!("`topic_arn` is `{arn}`"), "write one like arn:aws:sns:"]);
    }
    let logging = |members: &str| acting("LOGGING_DISABLED_CHECK", &format!("type: ENABLE_IOT_LOGGING\n{members}"));
    refused(
        &logging("role_arn: arn:aws:iam::123456789012:user/u\nlevel: ERROR"),
        "7:19",
        &["write one like arn:aws:iam::"],
    );
    refused(
        &logging("role_arn: arn:aws:iam::123456789012:role/r\nlevel: LOUD"),
        "8:16",
        &["`level` is `LOUD`", "write DEBUG, INFO, WARN or ERROR"],
    );
    refused(&logging("role_arn: arn:aws:iam::123456789012:role/r"), "6:9", &["has no `level`"]);
}

#[test]
fn a_policy_document_must_be_one_that_aws_takes() {
    let replace = |members: &str| {
        acting("IOT_POLICY_OVERLY_PERMISSIVE_CHECK", &format!("type: REPLACE_DEFAULT_POLICY_VERSION{members}"))
    };
    refused(&replace(""), "6:9", &["neither `template` nor `document`"]);
    refused(&replace("\ntemplate: BLANK_POLICY\ndocument: '{}'"), "6:9", &["both `template` and `document`"]);
    refused(&replace("\ntemplate: EMPTY"), "7:19", &["`template` is `EMPTY`", "write BLANK_POLICY"]);
    refused(&replace("\ndocument: '{'"), "7:19", &["`document` is not JSON"]);
    refused(&replace("\ndocument: {Version: x}"), "7:19", &["`document` is a mapping", "`document: |`"]);
    refused(&replace("\ndocument: '{\"Statement\":[]}'"), "7:19", &["no `Version`"]);
    refused(
        &replace("\ndocument: '{\"Version\":\"2012-10-17\",\"Statement\":[]}'"),
        "7:19",
        &["no `Statement` with an `Effect`"],
    );
    let sized = |letters: usize| {
        let resource = "x".repeat(letters);
        let statement = format!(r#"{{"Effect":"Deny","Action":"*","Resource":"{resource}"}}"#);
        replace(&format!("\ndocument: '{{\"Version\":\"2012-10-17\",    \"Statement\":{statement}}}'"))
    };
    let frame = r#"{"Version":"2012-10-17","Statement":{"Effect":"Deny","Action":"*","Resource":""}}"#.len();
    load(&sized(2048 - frame));
    refused(&sized(2049 - frame), "7:19", &["has 2049 characters without white space; write at most 2048"]);
}

#[test]
fn everything_that_is_wrong_is_told_at_once_in_the_order_of_the_file() {
    let text = "version: 3\nmode: off\ncooldwon: 1\nrules:\n  - name: X\n    match: { check: NONE }\n    approval: required\n    actions: [{ type: BLOW_UP }]\n";
    let places: Vec<_> =
        refusals(text).iter().map(|line| line.split(": ").next().unwrap_or_default().to_owned()).collect();
    let expected =
        ["p.yaml:1:10", "p.yaml:2:7", "p.yaml:3:1", "p.yaml:5:11", "p.yaml:6:21", "p.yaml:7:5", "p.yaml:8:23"];
    assert_eq!(places, expected, "{:#?}", refusals(text));
}

#[test]
fn the_schema_describes_every_key_and_the_default_file_keeps_to_it() {
    let schema = schema();
    let mut keys = BTreeSet::new();
    collect_keys(&schema, &mut keys);
    let default: Value = serde_saphyr::from_str(Policy::default_text()).unwrap();
    let mut used = BTreeSet::new();
    collect_used(&default, &mut used);
    assert!(used.is_subset(&keys), "{:?}", used.difference(&keys).collect::<Vec<_>>());
    for key in [
        "version",
        "mode",
        "rules",
        "thing_group",
        "thing_groups",
        "template",
        "document",
        "role_arn",
        "topic_arn",
        "max_delay",
        "reserve",
        "service-quotas",
    ] {
        assert!(keys.contains(key), "{key}");
    }
    for operation in Operation::ALL {
        assert!(keys.contains(operation.as_str()), "{operation}");
    }
    assert_eq!(schema["required"], serde_json::json!(["version", "rules"]));
    assert!(!schema.to_string().contains("null"), "no key takes null");
    for action in ActionType::ALL {
        assert!(schema.to_string().contains(action.as_str()), "{action}");
    }
}

/// The keys of all objects in the schema; each must have a description.
fn collect_keys(schema: &Value, keys: &mut BTreeSet<String>) {
    match schema {
        Value::Object(members) => {
            if let Some(Value::Object(properties)) = members.get("properties") {
                for (name, property) in properties {
                    assert!(name == "type" || property.get("description").is_some(), "{name}: {property}");
                    keys.insert(name.clone());
                }
                assert_eq!(members.get("additionalProperties"), Some(&Value::Bool(false)), "{schema}");
            }
            members.values().for_each(|value| collect_keys(value, keys));
        }
        Value::Array(items) => items.iter().for_each(|value| collect_keys(value, keys)),
        _ => {}
    }
}

fn collect_used(value: &Value, used: &mut BTreeSet<String>) {
    match value {
        Value::Object(members) => {
            used.extend(members.keys().cloned());
            members.values().for_each(|value| collect_used(value, used));
        }
        Value::Array(items) => items.iter().for_each(|value| collect_used(value, used)),
        _ => {}
    }
}
