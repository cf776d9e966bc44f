//! Who is who: the keys by which findings and resources are told apart.

use super::{Finding, Resource, ResourceIdentifier};
use sha2::{Digest, Sha256};
use std::fmt::Write;

/// A key is at most this long, in bytes; a longer one ends in a hash.
pub const MAX_KEY: usize = 512;

impl Finding {
    /// The resource's own name, for people and for globs: a certificate id, a policy's name without its version.
    pub fn resource_id(&self) -> String {
        self.resource.id()
    }

    /// Account, region, resource type, resource id, check, reason code: the same defect has the same key in every audit.
    pub fn business_key(&self) -> String {
        bounded(&[self.resource_parts(), vec![&self.check, &self.reason_code]].concat(), &self.resource)
    }

    /// The business key without the reason code.
    pub fn resource_key(&self) -> String {
        bounded(&[self.resource_parts(), vec![&self.check]].concat(), &self.resource)
    }

    /// Tells two messages of one `findingId` apart if they say different things.
    ///
    /// Hexadecimal, the first 32 digits of a SHA-256 over account, region, task, check, reason code, resource type and
    /// identifier, severity and reason text. Neither times nor related resources: the SNS payload and the REST answer
    /// spell the former differently and only one has the latter.
    pub fn fingerprint(&self) -> String {
        let fields = [
            self.account.as_str(),
            &self.region,
            self.task_id.as_deref().unwrap_or_default(),
            &self.check,
            &self.reason_code,
            &self.resource.kind,
            self.severity.as_str(),
            &self.reason,
            self.resource.identifier.member(),
            self.resource.identifier.version().unwrap_or_default(),
        ];
        hex(&digest(fields.into_iter().chain(self.resource.identifier.parts()))[..16])
    }

    /// SHA-256 over what Device Defender must confirm before anything is done, which is all that a rule goes by: finding id, check,
    /// reason code, severity, resource type and identifier. Two findings of one digest are one finding that says the same.
    pub fn authenticity_digest(&self) -> [u8; 32] {
        let fields = [
            self.finding_id.as_str(),
            &self.check,
            &self.reason_code,
            self.severity.as_str(),
            &self.resource.kind,
            self.resource.identifier.member(),
            self.resource.identifier.version().unwrap_or_default(),
        ];
        digest(fields.into_iter().chain(self.resource.identifier.parts()))
    }

    fn resource_parts(&self) -> Vec<&str> {
        vec![&self.account, &self.region, &self.resource.kind]
    }
}

impl Resource {
    /// The resource's own name: see [`Finding::resource_id`].
    pub fn id(&self) -> String {
        match &self.identifier {
            ResourceIdentifier::Other { member, value } => format!("{member}={value}"),
            known => known.parts().join("/"),
        }
    }

    /// What writers of one resource agree on, whichever check or resource type led them to it.
    pub fn lock_key(&self, account: &str, region: &str) -> String {
        bounded(&[account, region], self)
    }
}

impl ResourceIdentifier {
    /// The member's name in the API.
    pub fn member(&self) -> &str {
        match self {
            Self::DeviceCertificate(_) => "deviceCertificateId",
            Self::CaCertificate(_) => "caCertificateId",
            Self::PolicyVersion { .. } => "policyVersionIdentifier",
            Self::CognitoIdentityPool(_) => "cognitoIdentityPoolId",
            Self::ClientId(_) => "clientId",
            Self::Account(_) => "account",
            Self::RoleAlias(_) => "roleAliasArn",
            Self::IamRole(_) => "iamRoleArn",
            Self::IssuerCertificate { .. } => "issuerCertificateIdentifier",
            Self::DeviceCertificateArn(_) => "deviceCertificateArn",
            Self::Other { member, .. } => member,
        }
    }

    /// What tells two resources of one kind apart; a policy's version is no part of it.
    fn parts(&self) -> Vec<&str> {
        match self {
            Self::DeviceCertificate(id)
            | Self::CaCertificate(id)
            | Self::CognitoIdentityPool(id)
            | Self::ClientId(id)
            | Self::Account(id)
            | Self::RoleAlias(id)
            | Self::IamRole(id)
            | Self::DeviceCertificateArn(id) => vec![id],
            Self::PolicyVersion { policy, .. } => vec![policy],
            Self::IssuerCertificate { subject, issuer_id, serial } => vec![subject, issuer_id, serial],
            Self::Other { value, .. } => vec![value],
        }
    }

    fn version(&self) -> Option<&str> {
        match self {
            Self::PolicyVersion { version, .. } => Some(version),
            _ => None,
        }
    }
}

/// Joins the fields and the resource's identity with `|` and `~`, which are escaped inside them, so that no two
/// sequences share a key; a key beyond [`MAX_KEY`] keeps its beginning and ends in the hash of the whole.
fn bounded(fields: &[&str], resource: &Resource) -> String {
    let identity = std::iter::once(resource.identifier.member()).chain(resource.identifier.parts());
    let identity = identity.map(escaped).collect::<Vec<_>>().join("~");
    let key = fields.iter().map(|field| escaped(field)).chain([identity]).collect::<Vec<_>>().join("|");
    if key.len() <= MAX_KEY {
        return key;
    }
    // `%#` cannot come from `escaped`, so that no short key looks like a shortened one. 2 + 64 bytes follow the cut.
    let cut = key.floor_char_boundary(MAX_KEY - 66);
    format!("{}%#{}", &key[..cut], hex(&Sha256::digest(key.as_bytes())))
}

/// The length in front of each field keeps `ab`+`c` and `a`+`bc` apart.
fn digest<'a>(fields: impl Iterator<Item = &'a str>) -> [u8; 32] {
    let mut hash = Sha256::new();
    for field in fields {
        hash.update((field.len() as u64).to_be_bytes());
        hash.update(field.as_bytes());
    }
    hash.finalize().into()
}

fn escaped(text: &str) -> String {
    text.replace('%', "%25").replace('|', "%7C").replace('~', "%7E")
}

/// Two lower-case digits for each byte.
pub(crate) fn hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(2 * bytes.len());
    for byte in bytes {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}
