//! `ResourceIdentifier` of the API, read and written: a structure of optional members of which exactly one is set.

use super::ResourceIdentifier;
use super::bounds::{MAX_IDENTIFIER_DEPTH, deeper_than};
use super::member::{Object, kind};
use serde_json::{Map, Value, json};

/// The members that this version knows, in the order of the API model.
const KNOWN: [&str; 10] = [
    "deviceCertificateId",
    "caCertificateId",
    "cognitoIdentityPoolId",
    "clientId",
    "policyVersionIdentifier",
    "account",
    "iamRoleArn",
    "roleAliasArn",
    "issuerCertificateIdentifier",
    "deviceCertificateArn",
];

impl ResourceIdentifier {
    /// Reads it. One known member decides; unknown ones beside it are ignored, one alone is kept as it is.
    pub(super) fn read(object: Object<'_>) -> Result<Self, String> {
        let set = |name: &&&str| object.get(name).is_some();
        let known: Vec<_> = KNOWN.iter().filter(set).copied().collect();
        match known.as_slice() {
            [one] => Self::read_known(object, one),
            [] => Self::read_unknown(object),
            several => Err(format!(
                "{} names {} resources at once ({}); exactly one is expected",
                object.path,
                several.len(),
                several.join(", ")
            )),
        }
    }

    /// Reads it as a person has written it: one JSON object.
    ///
    /// # Errors
    ///
    /// A sentence.
    pub(crate) fn from_json(text: &str) -> Result<Self, String> {
        let value: Value = serde_json::from_str(text).map_err(|error| {
            format!("the resource is not JSON ({error}); write {{\"deviceCertificateId\": \"...\"}}")
        })?;
        let map = value.as_object().ok_or_else(|| format!("the resource is {}, not an object", kind(&value)))?;
        Self::read(Object { map, path: "the resource" })
    }

    /// As the API writes it.
    pub(crate) fn to_json(&self) -> Value {
        self.write()
    }

    fn read_unknown(object: Object<'_>) -> Result<Self, String> {
        let mut members = object.map.iter().filter(|(_, value)| !value.is_null());
        match (members.next(), members.next()) {
            (Some((member, value)), None) if (1..=256).contains(&member.len()) => {
                let text = value.to_string();
                if deeper_than(text.as_bytes(), MAX_IDENTIFIER_DEPTH) {
                    return Err(format!("{} nests deeper than {MAX_IDENTIFIER_DEPTH} levels", object.at(member)));
                }
                // `serde_json` may miss a long fraction by one last digit, and then again: it would be another resource each time.
                if serde_json::from_str(&text).ok().as_ref() != Some(value) {
                    return Err(format!("{} has a number that cannot be kept exactly; send a text", object.at(member)));
                }
                Ok(Self::Other { member: member.clone(), value: text })
            }
            (None, _) => Err(format!("{} names no resource; exactly one member is expected", object.path)),
            _ => Err(format!("{} has several members and none that is known; exactly one is expected", object.path)),
        }
    }

    fn read_known(object: Object<'_>, member: &str) -> Result<Self, String> {
        let checked = |fits: &dyn Fn(&str) -> bool, rule: &str| read_text(object, member, fits, rule);
        let certificate = "a certificate id (64 hexadecimal characters)";
        match member {
            "deviceCertificateId" => checked(&is_certificate_id, certificate).map(Self::DeviceCertificate),
            "caCertificateId" => checked(&is_certificate_id, certificate).map(Self::CaCertificate),
            "cognitoIdentityPoolId" => checked(&not_empty, "an identity pool id").map(Self::CognitoIdentityPool),
            "clientId" => checked(&not_empty, "a client id").map(Self::ClientId),
            "account" => checked(&is_account, "an account id (12 digits)").map(Self::Account),
            "iamRoleArn" => {
                checked(&|text| within(text, 20, 2048), "a role ARN (20 to 2048 characters)").map(Self::IamRole)
            }
            "roleAliasArn" => {
                checked(&|text| within(text, 1, 2048), "a role alias ARN (1 to 2048 characters)").map(Self::RoleAlias)
            }
            "deviceCertificateArn" => {
                checked(&|text| within(text, 1, 2048), "a certificate ARN").map(Self::DeviceCertificateArn)
            }
            "policyVersionIdentifier" => {
                let (map, path) = (object.object(member)?, object.at(member));
                let inner = Object { map, path: &path };
                let policy = read_text(inner, "policyName", &is_policy_name, "a policy name ([\\w+=,.@-], 1 to 128)")?;
                let version = read_text(inner, "policyVersionId", &is_number, "a policy version (digits)")?;
                Ok(Self::PolicyVersion { policy, version })
            }
            _ => {
                let (map, path) = (object.object(member)?, object.at(member));
                read_issuer(Object { map, path: &path })
            }
        }
    }

    /// As the API writes it.
    pub(super) fn write(&self) -> Value {
        let value = match self {
            Self::PolicyVersion { policy, version } => json!({ "policyName": policy, "policyVersionId": version }),
            Self::IssuerCertificate { subject, issuer_id, serial } => {
                let members = [
                    ("issuerCertificateSubject", subject),
                    ("issuerId", issuer_id),
                    ("issuerCertificateSerialNumber", serial),
                ];
                let set = members.into_iter().filter(|(_, text)| !text.is_empty());
                set.map(|(name, text)| (name.to_owned(), Value::from(text.as_str()))).collect::<Map<_, _>>().into()
            }
            // It was JSON when it was read; a text that was put together elsewhere stays a text.
            Self::Other { value, .. } => serde_json::from_str(value).unwrap_or_else(|_| Value::from(value.as_str())),
            Self::DeviceCertificate(id)
            | Self::CaCertificate(id)
            | Self::CognitoIdentityPool(id)
            | Self::ClientId(id)
            | Self::Account(id)
            | Self::RoleAlias(id)
            | Self::IamRole(id)
            | Self::DeviceCertificateArn(id) => Value::from(id.as_str()),
        };
        json!({ self.member(): value })
    }
}

/// Each of the three members is optional in the API, and the shape in SNS messages is unconfirmed: one will do.
fn read_issuer(object: Object<'_>) -> Result<ResourceIdentifier, String> {
    let optional = |name: &str, fits: &dyn Fn(&str) -> bool, rule: &str| match object.get(name) {
        Some(_) => read_text(object, name, fits, rule),
        None => Ok(String::new()),
    };
    let issuer_id = |text: &str| within(text, 0, 64) && is_hex(text.strip_prefix("0x").unwrap_or(text));
    let serial = |text: &str| within(text, 0, 20) && text.chars().all(|c| c.is_ascii_hexdigit() || c == ':');
    let subject =
        optional("issuerCertificateSubject", &|text| within(text, 0, 1000), "a subject (at most 1000 characters)")?;
    let issuer_id = optional("issuerId", &issuer_id, "an issuer id (at most 64 hexadecimal characters)")?;
    let rule = "a serial number (at most 20 hexadecimal characters and colons)";
    let serial = optional("issuerCertificateSerialNumber", &serial, rule)?;
    if subject.is_empty() && issuer_id.is_empty() && serial.is_empty() {
        return Err(format!("{} says nothing about the issuer", object.path));
    }
    Ok(ResourceIdentifier::IssuerCertificate { subject, issuer_id, serial })
}

fn read_text(object: Object<'_>, name: &str, fits: &dyn Fn(&str) -> bool, rule: &str) -> Result<String, String> {
    let value = object.required(name)?;
    match value.as_str() {
        Some(text) if fits(text) => Ok(text.to_owned()),
        Some(_) => Err(format!("{} is not {rule}", object.at(name))),
        None => Err(format!("{} is {}, not {rule}", object.at(name), kind(value))),
    }
}

fn within(text: &str, least: usize, most: usize) -> bool {
    (least..=most).contains(&text.chars().count())
}

fn not_empty(text: &str) -> bool {
    !text.is_empty()
}

fn is_hex(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

fn is_certificate_id(text: &str) -> bool {
    text.len() == 64 && is_hex(text.strip_prefix("0x").unwrap_or(text))
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.len() <= 20 && text.bytes().all(|byte| byte.is_ascii_digit())
}

pub(super) fn is_account(text: &str) -> bool {
    text.len() == 12 && is_number(text)
}

fn is_policy_name(text: &str) -> bool {
    (1..=128).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_+=,.@-".contains(&byte))
}
