//! Whether a rule takes a finding, key by key.

use super::{Facts, Matcher};
use crate::finding::{Finding, ResourceIdentifier};
use std::str::Chars;

/// What a rule can ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum MatchKey {
    Check,
    Reason,
    Severity,
    Resource,
    ThingGroup,
}

impl MatchKey {
    /// All but the thing group, which alone may need a look-up.
    pub const KNOWN: [Self; 4] = [Self::Check, Self::Reason, Self::Severity, Self::Resource];
    pub const ALL: [Self; 5] = [Self::Check, Self::Reason, Self::Severity, Self::Resource, Self::ThingGroup];
}

impl Matcher {
    /// Whether one entry matches, or nothing is asked.
    pub(super) fn fits(&self, key: MatchKey, finding: &Finding, facts: &Facts) -> bool {
        let one_of =
            |globs: &[String], text: &str| globs.is_empty() || globs.iter().any(|glob| glob_matches(glob, text));
        match key {
            MatchKey::Check => one_of(&self.check, &finding.check),
            MatchKey::Reason => one_of(&self.reason, &finding.reason_code),
            MatchKey::Severity => self.severity.is_empty() || self.severity.contains(&finding.severity),
            MatchKey::Resource => self.resource.is_empty() || one_of(&self.resource, &finding.resource_id()),
            // Not looked up is not in the group: a rule that asks for a group must not act on a guess.
            MatchKey::ThingGroup => {
                let groups = facts.thing_groups.as_deref().unwrap_or_default();
                self.thing_group.is_empty() || groups.iter().any(|group| self.thing_group.contains(group))
            }
        }
    }

    /// Why the key does not fit, as a sentence.
    pub(super) fn why_not(&self, key: MatchKey, finding: &Finding, facts: &Facts) -> String {
        let unlike = |what: &str, text: &str, globs: &[String]| {
            let wanted = globs.join(", ");
            format!("{what} is {text}; the rule takes {wanted}")
        };
        match key {
            MatchKey::Check => unlike("check", &finding.check, &self.check),
            MatchKey::Reason => unlike("reason", &finding.reason_code, &self.reason),
            MatchKey::Severity => {
                let wanted: Vec<_> = self.severity.iter().map(ToString::to_string).collect();
                unlike("severity", finding.severity.as_str(), &wanted)
            }
            MatchKey::Resource => unlike("resource", &finding.resource_id(), &self.resource),
            MatchKey::ThingGroup if !has_things(finding) => {
                format!(
                    "thing_group: a {} has no things; the rule takes those in {}",
                    finding.resource.kind,
                    self.thing_group.join(", ")
                )
            }
            MatchKey::ThingGroup => match facts.thing_groups.as_deref() {
                None => format!(
                    "thing_group: the groups of its things are not known; the rule takes those in {}",
                    self.thing_group.join(", ")
                ),
                Some([]) => unlike("thing_group", "none", &self.thing_group),
                Some(groups) => unlike("thing_group", &groups.join(", "), &self.thing_group),
            },
        }
    }
}

/// Only device certificates have things attached to them.
pub(super) fn has_things(finding: &Finding) -> bool {
    matches!(
        finding.resource.identifier,
        ResourceIdentifier::DeviceCertificate(_) | ResourceIdentifier::DeviceCertificateArn(_)
    )
}

/// `*` is any text, `?` any one character, all else itself. Linear in both for each star: no glob can be slow.
pub(crate) fn glob_matches(glob: &str, text: &str) -> bool {
    let (mut glob, mut text) = (glob.chars(), text.chars());
    // The glob behind the last star, and the text from where it was last tried.
    let mut star: Option<(Chars<'_>, Chars<'_>)> = None;
    while let Some(found) = text.clone().next() {
        match glob.next() {
            Some('*') => star = Some((glob.clone(), text.clone())),
            Some(wanted) if wanted == '?' || wanted == found => drop(text.next()),
            _ => {
                let Some((behind, tried)) = &mut star else { return false };
                tried.next();
                (glob, text) = (behind.clone(), tried.clone());
            }
        }
    }
    glob.all(|wanted| wanted == '*')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// By its definition, slow.
    fn reference(glob: &[char], text: &[char]) -> bool {
        match (glob.split_first(), text.split_first()) {
            (None, rest) => rest.is_none(),
            (Some(('*', rest)), _) => (0..=text.len()).any(|taken| reference(rest, &text[taken..])),
            (Some((c, rest)), Some((t, others))) => (*c == '?' || c == t) && reference(rest, others),
            (Some(_), None) => false,
        }
    }

    proptest! {
        #[test]
        fn a_glob_matches_what_its_definition_says(glob in "[ab*?]{0,8}", text in "[ab*]{0,10}") {
            let chars = |text: &str| text.chars().collect::<Vec<_>>();
            prop_assert_eq!(glob_matches(&glob, &text), reference(&chars(&glob), &chars(&text)));
        }
    }

    #[test]
    fn a_glob_of_many_stars_is_not_slow() {
        assert!(!glob_matches(&("a*".repeat(200) + "b"), &"a".repeat(20_000)));
    }
}
