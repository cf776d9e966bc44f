//! Which check a person means.

use crate::finding::catalogue::{CHECKS, check as known_check};
use crate::policy::nearest::{did_you_mean, nearest};

/// What every check's name ends in.
const SUFFIX: &str = "_CHECK";

/// Where to look when no check is near.
const ALL_OF_THEM: &str = "; `fleetwarden audit settings show` lists them all";

/// The modern name of the check that is meant: its own name or an older one in any case, the same without `_CHECK`, or words of it
/// that no other check has (`shared`, `device_certificate_age`). `others` are names that this version does not know and the account
/// does.
///
/// # Errors
///
/// A sentence that names the nearest checks, or says where all of them are.
pub fn resolve<'a>(text: &str, others: impl IntoIterator<Item = &'a str>) -> Result<String, String> {
    if text.trim().is_empty() {
        return Err("an empty text names no check".to_owned());
    }
    let mut names: Vec<&str> = CHECKS.iter().map(|check| check.name).collect();
    names.extend(others.into_iter().filter(|name| known_check(name).is_none()));
    let upper = text.trim().to_ascii_uppercase().replace(['-', ' '], "_");
    let whole = if upper.ends_with(SUFFIX) { upper.clone() } else { format!("{upper}{SUFFIX}") };
    if let Some(check) = known_check(&whole) {
        return Ok(check.name.to_owned());
    }
    if let Some(name) = names.iter().find(|name| **name == whole || **name == text.trim()) {
        return Ok((*name).to_owned());
    }
    // Whole words only, and never of a name that claims to be complete.
    let words = format!("_{upper}_");
    let meant =
        |name: &&&str| !upper.is_empty() && !upper.ends_with(SUFFIX) && format!("_{}_", stem(name)).contains(&words);
    let candidates: Vec<&str> = names.iter().filter(meant).copied().collect();
    match candidates.as_slice() {
        [one] => Ok((*one).to_owned()),
        [] => {
            let near = did_you_mean(&whole, names.iter().copied());
            let advice = if near.is_empty() { ALL_OF_THEM } else { &near };
            Err(format!("there is no check {}{advice}", text.trim()))
        }
        several => Err(format!("{} may mean {}; write one of them", text.trim(), several.join(" or "))),
    }
}

/// [`resolve`]s what records and letters are chosen by. They may be of a check that is newer than this version: a whole name in AWS's
/// spelling that is near to none is taken as it is.
///
/// # Errors
///
/// Those of [`resolve`].
pub fn resolve_recorded(text: &str) -> Result<String, String> {
    let whole = text.ends_with(SUFFIX) && text.bytes().all(|byte| matches!(byte, b'A'..=b'Z' | b'0'..=b'9' | b'_'));
    match nearest(text, CHECKS.iter().map(|check| check.name)) {
        None if whole => Ok(text.to_owned()),
        _ => resolve(text, []),
    }
}

/// [`resolve`]s all of them, each once, in their order.
///
/// # Errors
///
/// A sentence for each mistake.
pub fn resolve_all<'a>(
    texts: &[String],
    others: impl IntoIterator<Item = &'a str> + Clone,
) -> Result<Vec<String>, Vec<String>> {
    let mut names = Vec::new();
    let mut mistakes = Vec::new();
    for text in texts {
        match resolve(text, others.clone()) {
            Ok(name) if names.contains(&name) => {}
            Ok(name) => names.push(name),
            Err(mistake) => mistakes.push(mistake),
        }
    }
    if mistakes.is_empty() { Ok(names) } else { Err(mistakes) }
}

/// The name without `_CHECK`.
pub fn stem(name: &str) -> &str {
    name.strip_suffix(SUFFIX).unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolved(text: &str) -> Result<String, String> {
        resolve(text, [])
    }

    #[test]
    fn a_check_may_be_named_without_its_suffix_in_lower_case_or_by_its_older_name() {
        for text in
            ["LOGGING_DISABLED_CHECK", "logging_disabled_check", "logging-disabled", "LOGGING_DISABLED", "logging"]
        {
            assert_eq!(resolved(text).unwrap(), "LOGGING_DISABLED_CHECK", "{text}");
        }
        for text in ["REVOKED_CA_CERT_CHECK", "revoked_ca_cert"] {
            assert_eq!(resolved(text).unwrap(), "REVOKED_CA_CERTIFICATE_STILL_ACTIVE_CHECK", "{text}");
        }
        assert_eq!(resolved("shared").unwrap(), "DEVICE_CERTIFICATE_SHARED_CHECK");
    }

    #[test]
    fn words_of_several_checks_are_refused_with_all_of_them() {
        let refused = resolved("expiring").unwrap_err();
        assert_eq!(
            refused,
            "expiring may mean CA_CERTIFICATE_EXPIRING_CHECK or DEVICE_CERTIFICATE_EXPIRING_CHECK; write one of them"
        );
        assert!(resolved("iot_policy").is_err());
        // The role of authenticated users is another than that of unauthenticated ones.
        let name = resolved("authenticated_cognito_role_overly_permissive").unwrap();
        assert_eq!(name, "AUTHENTICATED_COGNITO_ROLE_OVERLY_PERMISSIVE_CHECK");
    }

    #[test]
    fn an_unknown_check_is_refused_with_the_nearest_one() {
        let refused = resolved("LOGING_DISABLED_CHECK").unwrap_err();
        assert_eq!(refused, "there is no check LOGING_DISABLED_CHECK; did you mean `LOGGING_DISABLED_CHECK`?");
        assert_eq!(
            resolved("NOTHING_LIKE_ANY_OF_THEM_CHECK").unwrap_err(),
            "there is no check NOTHING_LIKE_ANY_OF_THEM_CHECK; `fleetwarden audit settings show` lists them all"
        );
        for text in ["", "_", "check", "_CHECK", "DISABLED_CHECK", "cert"] {
            assert!(resolved(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_check_that_only_the_account_knows_is_accepted() {
        assert_eq!(resolve("some_future", ["SOME_FUTURE_CHECK"]).unwrap(), "SOME_FUTURE_CHECK");
        let all = resolve_all(&["logging".into(), "LOGGING_DISABLED".into(), "x1".into(), "x2".into()], []);
        let mistakes = all.unwrap_err();
        assert!(mistakes[0].starts_with("there is no check x1;") && mistakes[1].starts_with("there is no check x2;"));
        assert_eq!(mistakes.len(), 2);
    }

    #[test]
    fn what_is_on_record_may_be_of_a_newer_check_but_not_of_a_misspelt_one() {
        assert_eq!(resolve_recorded("shared").unwrap(), "DEVICE_CERTIFICATE_SHARED_CHECK");
        assert_eq!(resolve_recorded("QUANTUM_SAFETY_OF_FIRMWARE_CHECK").unwrap(), "QUANTUM_SAFETY_OF_FIRMWARE_CHECK");
        for text in ["LOGING_DISABLED_CHECK", "quantum_safety_of_firmware", "nonsense", ""] {
            assert!(resolve_recorded(text).is_err(), "{text}");
        }
    }
}
