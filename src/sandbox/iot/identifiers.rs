//! The forms that names, ids and resource identifiers must have (the constraints of the service model, botocore
//! `iot/2015-05-28`).

use serde_json::Value;

use super::error::IotError;

/// Names and ids that callers choose, and finding ids: 1 to 128 of `[a-zA-Z0-9_-]`.
pub(super) fn check_identifier(member: &str, text: &str) -> Result<(), IotError> {
    check(member, text, 128)
}

/// `clientRequestToken`: 1 to 64 of `[a-zA-Z0-9_-]`.
pub(super) fn check_token(token: &str) -> Result<(), IotError> {
    check("clientRequestToken", token, 64)
}

fn check(member: &str, text: &str, longest: usize) -> Result<(), IotError> {
    let fine = text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-');
    if text.is_empty() || text.len() > longest || !fine {
        return Err(IotError::invalid(format!(
            "{member} must be 1 to {longest} letters, digits, _ or -, not {text:?}"
        )));
    }
    Ok(())
}

/// A role's ARN: 20 to 2048 characters.
pub(super) fn check_role_arn(member: &str, arn: &str) -> Result<(), IotError> {
    if (20..=2048).contains(&arn.len()) {
        return Ok(());
    }
    Err(IotError::invalid(format!("{member} must be a role's ARN of 20 to 2048 characters, not {arn:?}")))
}

/// `resourceIdentifier`: a structure of optional members, of which exactly one is expected.
pub(super) fn check_resource_identifier(identifier: &Value) -> Result<(), IotError> {
    let one = identifier.as_object().filter(|members| members.len() == 1).and_then(|members| members.iter().next());
    let Some((member, value)) = one else {
        return Err(IotError::invalid(
            "resourceIdentifier must be an object with one member, for instance deviceCertificateId",
        ));
    };
    let text = value.as_str();
    let hex = |text: &str| text.len() == 64 && text.chars().all(|c| c.is_ascii_hexdigit());
    let (fine, form) = match member.as_str() {
        "deviceCertificateId" | "caCertificateId" => (text.is_some_and(hex), "64 hex digits"),
        "account" => (
            text.is_some_and(|text| text.len() == 12 && text.chars().all(|c| c.is_ascii_digit())),
            "an account of 12 digits",
        ),
        "cognitoIdentityPoolId" | "clientId" | "deviceCertificateArn" => (text.is_some(), "a string"),
        "roleAliasArn" => (text.is_some_and(|text| (1..=2048).contains(&text.len())), "a role alias's ARN"),
        "iamRoleArn" => (text.is_some_and(|text| (20..=2048).contains(&text.len())), "a role's ARN"),
        "policyVersionIdentifier" => (value["policyName"].is_string(), "an object with policyName and policyVersionId"),
        "issuerCertificateIdentifier" => (value.is_object(), "an object"),
        other => {
            return Err(IotError::invalid(format!("{other} is not a member of a resourceIdentifier")));
        }
    };
    if fine { Ok(()) } else { Err(IotError::invalid(format!("{member} must be {form}, not {value}"))) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_resource_identifier_has_one_member_in_its_own_form() {
        for fine in [
            json!({ "deviceCertificateId": "a".repeat(64) }),
            json!({ "account": "123456789012" }),
            json!({ "clientId": "lamp" }),
            json!({ "policyVersionIdentifier": { "policyName": "p", "policyVersionId": "1" } }),
        ] {
            assert_eq!(check_resource_identifier(&fine), Ok(()), "{fine}");
        }
        for wrong in [
            json!({}),
            json!("lamp"),
            json!({ "account": "123456789012", "clientId": "lamp" }),
            json!({ "account": "12345678901" }),
            json!({ "deviceCertificateId": "a".repeat(63) }),
            json!({ "policyVersionIdentifier": "p" }),
            json!({ "thingName": "lamp" }),
        ] {
            assert_eq!(check_resource_identifier(&wrong).unwrap_err().code, "InvalidRequestException", "{wrong}");
        }
    }
}
