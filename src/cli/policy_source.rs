//! Where a command's policy comes from: a file, the text in the environment, or the embedded default.

use super::CliError;
use crate::policy::Policy;
use sha2::{Digest, Sha256};
use std::path::{Path, PathBuf};

const TEXT: &str = "FLEETWARDEN_POLICY_TEXT";

/// Loads the policy file, or the default.
///
/// # Errors
/// Usage: the file cannot be read, or everything that is wrong with the policy.
pub(super) fn load_policy(file: Option<&PathBuf>) -> Result<Policy, CliError> {
    named_policy(file, None).map(|(policy, _)| policy)
}

/// The policy of `file` or of `text` (an empty text is none), or the default; and what people tell it by: its name, and the beginning
/// of its text's SHA-256, as `sha256sum` prints it.
///
/// # Errors
/// Usage: there are two policies, the file cannot be read, or everything that is wrong with the policy.
pub(super) fn named_policy(file: Option<&PathBuf>, text: Option<&str>) -> Result<(Policy, String), CliError> {
    let (text, place, name) = match (file, text.filter(|text| !text.trim().is_empty())) {
        (Some(file), Some(_)) => {
            return Err(CliError::Usage(format!(
                "there are two policies, the file {} and the text of {TEXT}: unset one of FLEETWARDEN_POLICY and {TEXT}",
                file.display()
            )));
        }
        (Some(file), None) => {
            let text = std::fs::read_to_string(file).map_err(|error| {
                CliError::Usage(format!(
                    "cannot read the policy {}: {error}; give --policy an existing file",
                    file.display()
                ))
            })?;
            let name = file.file_name().map(Path::new).unwrap_or(file).display().to_string();
            (text, file.display().to_string(), name)
        }
        (None, Some(text)) => (text.to_owned(), TEXT.to_owned(), TEXT.to_owned()),
        (None, None) => (Policy::default_text().to_owned(), "the default policy".to_owned(), "default".to_owned()),
    };
    let digest: String = Sha256::digest(&text).iter().take(4).map(|byte| format!("{byte:02x}")).collect();
    let policy = Policy::load(&text, &place).map_err(|errors| CliError::Usage(errors.to_string()))?;
    Ok((policy, format!("{name} {digest}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::Mode;

    #[test]
    fn a_policy_may_come_as_text_and_an_empty_one_is_none() {
        let (policy, _) = named_policy(None, Some("version: 1\nmode: enforce\nrules: []\n")).unwrap();
        assert_eq!((policy.mode, policy.rules.len()), (Mode::Enforce, 0));
        let (default, _) = named_policy(None, Some(" \n")).unwrap();
        assert_eq!(default.rules.len(), load_policy(None).unwrap().rules.len());
    }

    #[test]
    fn mistakes_in_a_text_are_told_in_place_and_two_policies_are_refused() {
        let mistake = named_policy(None, Some("version: 1\nmod: enforce\nrules: []\n")).unwrap_err().to_string();
        assert!(mistake.contains("FLEETWARDEN_POLICY_TEXT:2:1: "), "{mistake}");
        let file = PathBuf::from("policy.yaml");
        let two = named_policy(Some(&file), Some("version: 1\nrules: []\n")).unwrap_err().to_string();
        assert!(two.contains("policy.yaml") && two.contains("unset one"), "{two}");
    }
}
