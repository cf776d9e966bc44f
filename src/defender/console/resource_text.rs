//! Which resource a person means, as people write them: a certificate's id or ARN, `policy:version`, an account's id.

use crate::finding::{ResourceIdentifier, catalogue};

/// What a text names. Some names have to be looked up first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Meant {
    /// This one.
    Exactly(ResourceIdentifier),
    /// The version of this policy that is its default now.
    DefaultVersionOf(String),
    /// The role alias of this name.
    RoleAlias(String),
}

/// Reads the text as a resource of the kind that the check looks at. Every check takes the API's own form too:
/// `{"deviceCertificateId": "..."}`.
///
/// # Errors
///
/// A sentence that says what the check looks at and how to write it.
pub fn read(check: &str, text: &str) -> Result<Meant, String> {
    let text = text.trim();
    let kind = catalogue::check(check).map(|check| check.resource_type);
    if text.starts_with('{') {
        return read_json(check, kind, text);
    }
    let Some(kind) = kind else {
        return Err(format!(
            "this version does not know what {check} looks at; write the resource as the API does, such as \
             '{{\"deviceCertificateId\": \"...\"}}'"
        ));
    };
    let wrong = |how: &str| format!("{check} looks at {kind}: write {how}; `{text}` is not one");
    let exactly = |identifier| Ok(Meant::Exactly(identifier));
    match kind {
        "DEVICE_CERTIFICATE" => match certificate_id(text, "cert/") {
            Some(id) => exactly(ResourceIdentifier::DeviceCertificate(id)),
            None => Err(wrong("a certificate id (64 hexadecimal characters) or its ARN")),
        },
        "CA_CERTIFICATE" => match certificate_id(text, "cacert/") {
            Some(id) => exactly(ResourceIdentifier::CaCertificate(id)),
            None => Err(wrong("a CA certificate id (64 hexadecimal characters) or its ARN")),
        },
        "IOT_POLICY" => read_policy(text).ok_or_else(|| wrong("a policy NAME, or NAME:VERSION, or the policy's ARN")),
        "ROLE_ALIAS" => read_role_alias(text).ok_or_else(|| wrong("a role alias NAME or its ARN")),
        "ACCOUNT_SETTINGS" if text.len() == 12 && is_digits(text) => {
            exactly(ResourceIdentifier::Account(text.to_owned()))
        }
        "ACCOUNT_SETTINGS" => Err(wrong("the account's id (12 digits)")),
        "COGNITO_IDENTITY_POOL" => match text.split_once(':') {
            Some((region, id)) if is_name(region, "-") && is_name(id, "-") => {
                exactly(ResourceIdentifier::CognitoIdentityPool(text.to_owned()))
            }
            _ => Err(wrong("an identity pool id, REGION:UUID")),
        },
        "CLIENT_ID" if !text.is_empty() => exactly(ResourceIdentifier::ClientId(text.to_owned())),
        "CLIENT_ID" => Err(wrong("an MQTT client id")),
        _ => Err(wrong(
            "it as the API does, '{\"issuerCertificateIdentifier\": {\"issuerCertificateSubject\": \"...\"}}', or name a \
             finding with --finding",
        )),
    }
}

/// The member of the API's identifier that resources of this kind have.
fn member_of(kind: &str) -> Option<&'static str> {
    let member = match kind {
        "DEVICE_CERTIFICATE" => "deviceCertificateId",
        "CA_CERTIFICATE" => "caCertificateId",
        "IOT_POLICY" => "policyVersionIdentifier",
        "ROLE_ALIAS" => "roleAliasArn",
        "ACCOUNT_SETTINGS" => "account",
        "COGNITO_IDENTITY_POOL" => "cognitoIdentityPoolId",
        "CLIENT_ID" => "clientId",
        "ISSUER_CERTIFICATE" => "issuerCertificateIdentifier",
        _ => return None,
    };
    Some(member)
}

fn read_json(check: &str, kind: Option<&str>, text: &str) -> Result<Meant, String> {
    let identifier = ResourceIdentifier::from_json(text)?;
    if let ResourceIdentifier::Other { member, .. } = &identifier {
        return Err(format!(
            "the API knows no resource identifier `{member}`; look at the AuditFinding of the API reference"
        ));
    }
    match kind.and_then(|kind| member_of(kind).map(|member| (kind, member))) {
        Some((kind, member)) if member != identifier.member() => {
            Err(format!("{check} looks at {kind}, which {member} names, not {}", identifier.member()))
        }
        _ => Ok(Meant::Exactly(identifier)),
    }
}

/// The id itself, or at the end of the ARN of such a certificate.
fn certificate_id(text: &str, resource: &str) -> Option<String> {
    let id = match iot_arn(text, resource) {
        Some(id) => id,
        None => text,
    };
    let hex = id.strip_prefix("0x").unwrap_or(id);
    (id.len() == 64 && hex.bytes().all(|byte| byte.is_ascii_hexdigit())).then(|| id.to_ascii_lowercase())
}

fn read_policy(text: &str) -> Option<Meant> {
    let named = |name: &str| is_name(name, "_+=,.@-") && name.len() <= 128;
    let name = iot_arn(text, "policy/").unwrap_or(text);
    match name.rsplit_once(':') {
        Some((policy, version)) if named(policy) && is_digits(version) && version.len() <= 9 => {
            let (policy, version) = (policy.to_owned(), version.to_owned());
            Some(Meant::Exactly(ResourceIdentifier::PolicyVersion { policy, version }))
        }
        None if named(name) => Some(Meant::DefaultVersionOf(name.to_owned())),
        _ => None,
    }
}

fn read_role_alias(text: &str) -> Option<Meant> {
    if iot_arn(text, "rolealias/").is_some_and(|name| !name.is_empty()) {
        return Some(Meant::Exactly(ResourceIdentifier::RoleAlias(text.to_owned())));
    }
    (is_name(text, "_=,@-") && text.len() <= 128).then(|| Meant::RoleAlias(text.to_owned()))
}

/// What follows `resource` in `arn:aws:iot:REGION:ACCOUNT:resource...`.
fn iot_arn<'a>(text: &'a str, resource: &str) -> Option<&'a str> {
    let parts: Vec<&str> = text.splitn(6, ':').collect();
    match parts.as_slice() {
        ["arn", partition, "iot", _, _, rest] if partition.starts_with("aws") => rest.strip_prefix(resource),
        _ => None,
    }
}

fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// Letters, digits and these.
fn is_name(text: &str, others: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || others.as_bytes().contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "03204de92e11fc8c528139be419065920eb83dbff1a4663bbea455aa6e9702bd";

    fn exactly(check: &str, text: &str) -> ResourceIdentifier {
        match read(check, text) {
            Ok(Meant::Exactly(identifier)) => identifier,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn resources_are_read_as_people_write_them() {
        let arn = format!("arn:aws:iot:us-east-1:123456789012:cert/{ID}");
        for text in [ID, &ID.to_uppercase(), &arn, &format!("{{\"deviceCertificateId\": \"{ID}\"}}")] {
            let expected = ResourceIdentifier::DeviceCertificate(ID.to_owned());
            assert_eq!(exactly("DEVICE_CERTIFICATE_SHARED_CHECK", text), expected, "{text}");
        }
        let version = ResourceIdentifier::PolicyVersion { policy: "Open".to_owned(), version: "3".to_owned() };
        for text in ["Open:3", "arn:aws:iot:us-east-1:123456789012:policy/Open:3"] {
            assert_eq!(exactly("IOT_POLICY_OVERLY_PERMISSIVE_CHECK", text), version);
        }
        let default = read("IOT_POLICY_OVERLY_PERMISSIVE_CHECK", "Open").unwrap();
        assert_eq!(default, Meant::DefaultVersionOf("Open".to_owned()));
        let alias = read("IOT_ROLE_ALIAS_OVERLY_PERMISSIVE_CHECK", "upload").unwrap();
        assert_eq!(alias, Meant::RoleAlias("upload".to_owned()));
        let account = exactly("LOGGING_DISABLED_CHECK", "123456789012");
        assert_eq!(account, ResourceIdentifier::Account("123456789012".to_owned()));
        let pool = "us-east-1:11111111-1111-4111-8111-111111111111";
        let check = "AUTHENTICATED_COGNITO_ROLE_OVERLY_PERMISSIVE_CHECK";
        assert_eq!(exactly(check, pool), ResourceIdentifier::CognitoIdentityPool(pool.to_owned()));
        let client = exactly("CONFLICTING_CLIENT_IDS_CHECK", "sensor 1/a");
        assert_eq!(client, ResourceIdentifier::ClientId("sensor 1/a".to_owned()));
    }

    #[test]
    fn a_resource_of_the_wrong_kind_is_refused_with_what_the_check_looks_at() {
        for (check, text, words) in [
            (
                "DEVICE_CERTIFICATE_SHARED_CHECK",
                "SensorDevice01",
                "looks at DEVICE_CERTIFICATE: write a certificate id",
            ),
            ("DEVICE_CERTIFICATE_SHARED_CHECK", "arn:aws:iot:us-east-1:123456789012:cacert/ab", "DEVICE_CERTIFICATE"),
            ("CA_CERTIFICATE_EXPIRING_CHECK", "1234", "a CA certificate id (64 hexadecimal characters)"),
            ("IOT_POLICY_OVERLY_PERMISSIVE_CHECK", "a b", "NAME:VERSION"),
            ("IOT_POLICY_OVERLY_PERMISSIVE_CHECK", "Open:latest", "NAME:VERSION"),
            ("LOGGING_DISABLED_CHECK", "12345678901", "the account's id (12 digits); `12345678901` is not one"),
            ("UNAUTHENTICATED_COGNITO_ROLE_OVERLY_PERMISSIVE_CHECK", "pool", "REGION:UUID"),
            ("CONFLICTING_CLIENT_IDS_CHECK", " ", "client id"),
            ("INTERMEDIATE_CA_REVOKED_FOR_ACTIVE_DEVICE_CERTIFICATES_CHECK", ID, "--finding"),
            ("SOME_FUTURE_CHECK", ID, "as the API does"),
            ("LOGGING_DISABLED_CHECK", "{\"clientId\": \"x\"}", "which account names, not clientId"),
            ("LOGGING_DISABLED_CHECK", "{\"clientId\": ", "is not JSON"),
            ("SOME_FUTURE_CHECK", "{\"future\": \"x\"}", "no resource identifier `future`"),
        ] {
            let refused = read(check, text).unwrap_err();
            assert!(refused.contains(words), "`{words}` is not in: {refused}");
        }
    }
}
