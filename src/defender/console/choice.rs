//! Which checks an audit, on demand or scheduled, is to run. Pure.

use super::check_name;
use super::settings::AuditSettings;

/// What a person asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Choice<'a> {
    /// These, as [`check_name::resolve`] reads them.
    Named(&'a [String]),
    /// All that the account has enabled.
    AllEnabled,
}

/// The checks by their modern names. All of them are enabled: AWS refuses an audit of one that is not.
///
/// # Errors
///
/// A sentence for each mistake: the account has no audit role, a check is unknown or not enabled, or none is.
pub fn choose(settings: &AuditSettings, choice: Choice<'_>) -> Result<Vec<String>, Vec<String>> {
    if settings.role_arn.is_none() {
        return Err(vec![
            "this account has no audit settings yet, and an audit needs a role: set one with `fleetwarden audit settings set --role \
             arn:aws:iam::ACCOUNT:role/NAME --enable-all`"
                .to_owned(),
        ]);
    }
    let checks = match choice {
        Choice::Named(texts) => check_name::resolve_all(texts, settings.names())?,
        Choice::AllEnabled => settings.enabled_checks(),
    };
    if checks.is_empty() {
        return Err(vec![
            "no check is enabled; enable some with `fleetwarden audit settings set --enable CHECK`, or --enable-all"
                .to_owned(),
        ]);
    }
    let disabled: Vec<&str> = checks.iter().filter(|check| !settings.enabled(check)).map(String::as_str).collect();
    if disabled.is_empty() {
        return Ok(checks);
    }
    let (verb, them) = if disabled.len() == 1 { ("is", "it") } else { ("are", "them") };
    Err(vec![format!(
        "{} {verb} not enabled; enable {them} with `fleetwarden audit settings set --enable {}`, or leave {them} out",
        disabled.join(", "),
        disabled.join(",")
    )])
}

#[cfg(test)]
mod tests {
    use super::super::CheckSetting;
    use super::*;

    fn settings(enabled: &[&str]) -> AuditSettings {
        let checks =
            enabled.iter().map(|check| ((*check).to_owned(), CheckSetting { enabled: true, ..Default::default() }));
        AuditSettings { role_arn: Some("r".to_owned()), checks: checks.collect(), ..AuditSettings::default() }
    }

    #[test]
    fn only_enabled_checks_can_be_chosen() {
        let settings = settings(&["LOGGING_DISABLED_CHECK", "CONFLICTING_CLIENT_IDS_CHECK"]);
        let all = choose(&settings, Choice::AllEnabled).unwrap();
        assert_eq!(all, ["CONFLICTING_CLIENT_IDS_CHECK", "LOGGING_DISABLED_CHECK"]);
        let named = ["logging_disabled".to_owned(), "shared".to_owned()];
        let refused = choose(&settings, Choice::Named(&named)).unwrap_err();
        let words = "DEVICE_CERTIFICATE_SHARED_CHECK is not enabled; enable it with";
        assert!(refused.len() == 1 && refused[0].starts_with(words), "{refused:?}");
        assert_eq!(choose(&settings, Choice::Named(&named[..1])).unwrap(), ["LOGGING_DISABLED_CHECK"]);
    }

    #[test]
    fn without_a_role_or_any_check_a_sentence_says_what_to_set() {
        assert!(choose(&AuditSettings::default(), Choice::AllEnabled).unwrap_err()[0].contains("--role arn:aws:iam"));
        assert!(choose(&settings(&[]), Choice::AllEnabled).unwrap_err()[0].contains("no check is enabled"));
    }
}
