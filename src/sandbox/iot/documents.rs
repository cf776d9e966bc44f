//! Policy documents, as far as the audit checks look into them.
//!
//! Rules after the Device Defender developer guide, pages `audit-chk-iot-policy-permissive` and
//! `audit-chk-iot-misconfigured-policies`.

use serde_json::Value;

/// Actions of AWS IoT's data plane, in the order in which a reason lists them, with the kind of resource they are about.
const DATA_PLANE: [(&str, &str); 7] = [
    ("iot:Subscribe", "topicfilter"),
    ("iot:Connect", "client"),
    ("iot:Publish", "topic"),
    ("iot:Receive", "topic"),
    ("iot:GetThingShadow", "thing"),
    ("iot:UpdateThingShadow", "thing"),
    ("iot:DeleteThingShadow", "thing"),
];

/// A name that no policy means in particular: a pattern that matches it matches every name.
const ANY_NAME: &str = "\u{1}";

/// A parsed policy document.
#[derive(Debug)]
pub(super) struct PolicyDocument {
    statements: Vec<Statement>,
}

#[derive(Debug)]
struct Statement {
    allow: bool,
    actions: Selector,
    resources: Selector,
}

/// `Action` or `NotAction`, `Resource` or `NotResource`.
#[derive(Debug)]
struct Selector {
    negated: bool,
    patterns: Vec<String>,
}

impl PolicyDocument {
    /// Reads a document; the error says what is wrong with it.
    pub fn parse(text: &str) -> Result<Self, String> {
        let document: Value = serde_json::from_str(text).map_err(|error| format!("it is not JSON: {error}"))?;
        let statements = match document.get("Statement") {
            Some(Value::Array(statements)) => statements.iter().map(Statement::parse).collect::<Result<_, _>>()?,
            Some(statement @ Value::Object(_)) => vec![Statement::parse(statement)?],
            _ => return Err("it has no Statement".to_owned()),
        };
        Ok(Self { statements })
    }

    /// Whether no statement allows anything: the blank policy, or one that only denies.
    pub fn allows_nothing(&self) -> bool {
        !self.statements.iter().any(|statement| statement.allow)
    }

    /// Data plane actions that are allowed on every resource of their kind, and not denied on all of them.
    pub fn broad_data_plane_actions(&self) -> Vec<&'static str> {
        let broad = |allow: bool, action: &str, kind: &str| {
            self.statements.iter().any(|statement| {
                statement.allow == allow && statement.actions.selects(action) && statement.resources.selects_any(kind)
            })
        };
        let wanted = |(action, kind): &(&str, &str)| broad(true, action, kind) && !broad(false, action, kind);
        DATA_PLANE.into_iter().filter(wanted).map(|(action, _)| action).collect()
    }

    /// The reason code of `IOT_POLICY_POTENTIAL_MISCONFIGURATION_CHECK` that fits, if any.
    pub fn misconfiguration(&self) -> Option<&'static str> {
        let denies = || self.statements.iter().filter(|statement| !statement.allow);
        // `+` and `#` mean nothing in a policy: such a Deny denies the literal topic only.
        if denies().any(|deny| deny.resources.patterns.iter().any(|resource| has_mqtt_wildcard(resource))) {
            return Some("POLICY_CONTAINS_MQTT_WILDCARDS_IN_DENY_STATEMENT");
        }
        // A Deny of one topic filter does not stop a device that may subscribe to a wider one, unless receiving from the
        // topic is denied as well.
        let escapes = denies().filter(|deny| deny.actions.selects("iot:Subscribe")).any(|deny| {
            deny.resources.patterns.iter().any(|denied| {
                let wider = self.statements.iter().any(|allow| {
                    allow.allow
                        && allow.actions.selects("iot:Subscribe")
                        && allow.resources.patterns.iter().any(|allowed| {
                            allowed != denied && allowed.contains('*') && glob(allowed, &denied.replace('*', "x"))
                        })
                });
                let topic = denied.replace(":topicfilter/", ":topic/").replace('*', "x");
                let received =
                    denies().any(|deny| deny.actions.selects("iot:Receive") && deny.resources.selects(&topic));
                wider && !received && denied != "*"
            })
        });
        escapes.then_some("TOPIC_FILTERS_INTENDED_TO_DENY_ALLOWED_USING_WILDCARDS")
    }
}

impl Statement {
    fn parse(statement: &Value) -> Result<Self, String> {
        let allow = match statement.get("Effect").and_then(Value::as_str) {
            Some("Allow") => true,
            Some("Deny") => false,
            _ => return Err("a statement's Effect must be Allow or Deny".to_owned()),
        };
        Ok(Self {
            allow,
            actions: Selector::parse(statement, "Action", "NotAction")?,
            resources: Selector::parse(statement, "Resource", "NotResource")?,
        })
    }
}

impl Selector {
    fn parse(statement: &Value, name: &str, negated: &str) -> Result<Self, String> {
        let (patterns, negated) = match (statement.get(name), statement.get(negated)) {
            (Some(patterns), None) => (patterns, false),
            (None, Some(patterns)) => (patterns, true),
            _ => return Err(format!("a statement must have {name} or {negated}, one of them")),
        };
        let patterns: Option<Vec<String>> = match patterns {
            Value::String(pattern) => Some(vec![pattern.clone()]),
            Value::Array(patterns) => patterns.iter().map(|pattern| pattern.as_str().map(str::to_owned)).collect(),
            _ => None,
        };
        let patterns = patterns.ok_or_else(|| format!("{name} must be a string or a list of strings"))?;
        Ok(Self { negated, patterns })
    }

    fn selects(&self, text: &str) -> bool {
        let matched =
            self.patterns.iter().any(|pattern| glob(&pattern.to_ascii_lowercase(), &text.to_ascii_lowercase()));
        matched != self.negated
    }

    /// Whether every resource of this kind is meant, in the account and region of the pattern.
    fn selects_any(&self, kind: &str) -> bool {
        let matched = self.patterns.iter().any(|pattern| {
            // arn:aws:iot:region:account:kind/name
            match pattern.splitn(6, ':').nth(5) {
                Some(resource) => glob(resource, &format!("{kind}/{ANY_NAME}")),
                None => glob(pattern, &format!("arn:aws:iot:region:account:{kind}/{ANY_NAME}")),
            }
        });
        matched != self.negated
    }
}

fn has_mqtt_wildcard(resource: &str) -> bool {
    let topic = resource.split_once(":topic/").or_else(|| resource.split_once(":topicfilter/"));
    topic.is_some_and(|(_, topic)| topic.split('/').any(|level| level == "+" || level == "#"))
}

/// IAM's wildcards: `*` any run of characters, `?` one character.
fn glob(pattern: &str, text: &str) -> bool {
    let (pattern, text): (Vec<char>, Vec<char>) = (pattern.chars().collect(), text.chars().collect());
    let (mut p, mut t) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while t < text.len() {
        if p < pattern.len() && pattern[p] == '*' {
            star = Some((p, t));
            p += 1;
        } else if p < pattern.len() && (pattern[p] == '?' || pattern[p] == text[t]) {
            p += 1;
            t += 1;
        } else if let Some((star_p, star_t)) = star {
            // Let the last star take one character more and try again.
            star = Some((star_p, star_t + 1));
            p = star_p + 1;
            t = star_t + 1;
        } else {
            return false;
        }
    }
    pattern[p..].iter().all(|c| *c == '*')
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn document(statements: Value) -> PolicyDocument {
        PolicyDocument::parse(&json!({"Version": "2012-10-17", "Statement": statements}).to_string()).unwrap()
    }

    #[test]
    fn an_open_policy_allows_every_data_plane_action_broadly() {
        let open = document(json!([{"Effect": "Allow", "Action": "iot:*", "Resource": "*"}]));
        assert_eq!(open.broad_data_plane_actions(), DATA_PLANE.map(|(action, _)| action));
        let workshop = document(
            json!([{"Effect": "Allow", "Action": ["iot:Connect", "iot:Publish", "iot:Subscribe"], "Resource": "*"}]),
        );
        assert_eq!(workshop.broad_data_plane_actions(), ["iot:Subscribe", "iot:Connect", "iot:Publish"]);
    }

    #[test]
    fn access_to_all_topics_is_broad_and_access_to_the_devices_own_is_not() {
        let topics = document(
            json!({"Effect": "Allow", "Action": "iot:Pub*", "Resource": ["arn:aws:iot:us-east-1:123456789012:topic/*"]}),
        );
        assert_eq!(topics.broad_data_plane_actions(), ["iot:Publish"]);
        let own = document(json!([{"Effect": "Allow", "Action": "iot:*",
            "Resource": "arn:aws:iot:us-east-1:123456789012:client/${iot:Connection.Thing.ThingName}"}]));
        assert_eq!(own.broad_data_plane_actions(), [""; 0]);
    }

    #[test]
    fn breadth_is_about_the_kind_of_resource_that_an_action_is_about() {
        for (action, resource, broad) in [
            ("iot:Publish", "arn:aws:iot:us-east-1:123456789012:client/*", false),
            ("iot:Connect", "arn:aws:iot:us-east-1:123456789012:client/*", true),
            ("iot:Connect", "arn:aws:iot:*", true),
            ("iot:Publish", "arn:aws:iot:*:*:topic/*", true),
            ("iot:Publish", "arn:aws:iot:us-east-1:123456789012:topic/plant/*", false),
            ("iot:DescribeThing", "*", false),
        ] {
            let policy = document(json!([{ "Effect": "Allow", "Action": action, "Resource": resource }]));
            assert_eq!(!policy.broad_data_plane_actions().is_empty(), broad, "{action} on {resource}");
        }
    }

    #[test]
    fn a_deny_of_everything_takes_the_breadth_away() {
        let denied = document(json!([
            {"Effect": "Allow", "Action": "iot:*", "Resource": "*"},
            {"Effect": "Deny", "NotAction": "iot:Connect", "Resource": "*"},
        ]));
        assert_eq!(denied.broad_data_plane_actions(), ["iot:Connect"]);
        assert!(document(json!([])).allows_nothing());
        assert!(!denied.allows_nothing());
    }

    #[test]
    fn mqtt_wildcards_in_a_deny_are_a_misconfiguration() {
        let policy = document(json!([
            {"Effect": "Allow", "Action": "iot:Subscribe", "Resource": "arn:aws:iot:us-east-1:123456789012:topicfilter/plant/*"},
            {"Effect": "Deny", "Action": "iot:Subscribe", "Resource": "arn:aws:iot:us-east-1:123456789012:topicfilter/plant/+/secret"},
        ]));
        assert_eq!(policy.misconfiguration(), Some("POLICY_CONTAINS_MQTT_WILDCARDS_IN_DENY_STATEMENT"));
    }

    #[test]
    fn a_denied_topic_filter_inside_an_allowed_one_is_a_misconfiguration_unless_receiving_is_denied_too() {
        let arn = |rest: &str| format!("arn:aws:iot:us-east-1:123456789012:{rest}");
        let mut statements = json!([
            {"Effect": "Allow", "Action": "iot:Subscribe", "Resource": arn("topicfilter/plant/*")},
            {"Effect": "Deny", "Action": "iot:Subscribe", "Resource": arn("topicfilter/plant/control/*")},
        ]);
        assert_eq!(
            document(statements.clone()).misconfiguration(),
            Some("TOPIC_FILTERS_INTENDED_TO_DENY_ALLOWED_USING_WILDCARDS")
        );
        statements
            .as_array_mut()
            .unwrap()
            .push(json!({"Effect": "Deny", "Action": "iot:Receive", "Resource": arn("topic/plant/control/*")}));
        assert_eq!(document(statements).misconfiguration(), None);
    }

    #[test]
    fn globs_match_as_iam_does() {
        for (pattern, text, matches) in [
            ("*", "", true),
            ("iot:*", "iot:Publish", true),
            ("iot:?ub*", "iot:Publish", true),
            ("a*b*c", "axxbxxbc", true),
            ("a*b", "axxbx", false),
            ("ab", "abc", false),
        ] {
            assert_eq!(glob(pattern, text), matches, "{pattern} on {text}");
        }
    }
}
