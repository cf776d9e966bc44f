//! What the signature of an SNS envelope says, and the part of checking it that needs nobody else.
//!
//! SNS signs each notification with the key of a certificate that it serves itself. Signed is the text `key\nvalue\n` for each of
//! `Message`, `MessageId`, `Subject` (if there is one), `Timestamp`, `TopicArn` and `Type`, in this order. The last value is followed by
//! a newline too: the developer guide's words say otherwise, AWS's own validator (`sns-validator` 0.3.5) does it. Attributes and
//! links of the envelope are not signed, and nothing here reads them.
//!
//! A genuine signature only proves that *some* topic of SNS sent the message, and anybody may have a topic. That is why the topic
//! itself is checked too, see [`Seal::certificate_url`].

use super::member::Object;
use super::provenance::{Place, is_region};
use super::{Origin, RejectReason, Rejected};
use aws_lc_rs::digest::{self, Digest};
use aws_smithy_types::base64;
use std::fmt;

/// What is signed, in this order.
const SIGNED: [&str; 6] = ["Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type"];

/// The only member of them that may be missing.
const OPTIONAL: &str = "Subject";

/// Base64 of a signature by the largest key that is accepted (8192 bits) has 1368 characters.
const MAX_SIGNATURE: usize = 1368;

/// `https://sns.ap-southeast-2.amazonaws.com/SimpleNotificationService-<32 hex digits>.pem` has 101 characters.
const MAX_URL: usize = 256;

/// How a message was signed (the topic's attribute `SignatureVersion`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SignatureVersion {
    /// RSA (PKCS #1 v1.5) over SHA-1: what a topic does unless told otherwise.
    V1,
    /// RSA (PKCS #1 v1.5) over SHA-256.
    V2,
}

impl SignatureVersion {
    fn algorithm(self) -> &'static digest::Algorithm {
        match self {
            Self::V1 => &digest::SHA1_FOR_LEGACY_USE_ONLY,
            Self::V2 => &digest::SHA256,
        }
    }
}

/// The signature of one SNS envelope, with a digest of what it covers: a few hundred bytes however large the message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seal {
    version: SignatureVersion,
    digest: Vec<u8>,
    signature: Vec<u8>,
    topic_arn: String,
    url: String,
    /// Where `SigningCertURL` and `TopicArn` stand in the message.
    at: (String, String),
}

impl Seal {
    /// Reads the signature of a notification; a sentence says what is missing or malformed, and where.
    pub(super) fn read(envelope: Object<'_>) -> Result<Self, String> {
        let text = |name: &str| {
            let text = envelope.text(name)?;
            text.ok_or_else(|| format!("{} is missing: this is nothing that SNS has signed", envelope.at(name)))
        };
        let signature = text("Signature")?;
        let version = match text("SignatureVersion")? {
            "1" => SignatureVersion::V1,
            "2" => SignatureVersion::V2,
            _ => return Err(format!("{} is neither 1 nor 2", envelope.at("SignatureVersion"))),
        };
        // Lambda spells it differently.
        let name = if envelope.get("SigningCertUrl").is_some() { "SigningCertUrl" } else { "SigningCertURL" };
        let url = text(name)?;
        if url.len() > MAX_URL {
            return Err(format!("{} is longer than {MAX_URL} bytes", envelope.at(name)));
        }
        let signature = Some(signature).filter(|text| text.len() <= MAX_SIGNATURE);
        let signature = signature.and_then(|text| base64::decode(text).ok());
        let mut signed = digest::Context::new(version.algorithm());
        for name in SIGNED {
            let value = match envelope.text(name)? {
                Some(value) => value,
                None if name == OPTIONAL => continue,
                None => text(name)?,
            };
            for part in [name, "\n", value, "\n"] {
                signed.update(part.as_bytes());
            }
        }
        Ok(Self {
            version,
            digest: signed.finish().as_ref().to_vec(),
            signature: signature.ok_or_else(|| format!("{} is not a signature in Base64", envelope.at("Signature")))?,
            topic_arn: text("TopicArn")?.to_owned(),
            url: url.to_owned(),
            at: (envelope.at(name), envelope.at("TopicArn")),
        })
    }

    /// Where the certificate is, if the message may come from there at all: signed by SNS of the region of its topic, which must be
    /// a topic of the audited account and region.
    ///
    /// # Errors
    /// A sentence: what does not fit, and where.
    pub fn certificate_url(&self, audited: &Origin) -> Result<CertificateUrl, String> {
        let (url_at, topic_at) = &self.at;
        let Place { account: Some(account), region: Some(region) } = Place::of_arn(&self.topic_arn, "sns") else {
            return Err(format!("{topic_at} is not the ARN of a topic"));
        };
        let (Some(own_account), Some(own_region)) = (&audited.account, &audited.region) else {
            return Err(format!(
                "{topic_at} cannot be compared, since the audited account and region are not configured"
            ));
        };
        if (&account, &region) != (own_account, own_region) {
            return Err(format!(
                "{topic_at} is a topic of account {account} in {region}, and not of the audited account {own_account} in \
                 {own_region}: whoever has a topic can have SNS sign what they like"
            ));
        }
        CertificateUrl::parse(&self.url, &region).map_err(|what| format!("{url_at} {what}"))
    }

    pub(super) fn version(&self) -> SignatureVersion {
        self.version
    }

    pub(super) fn signature(&self) -> &[u8] {
        &self.signature
    }

    /// `None` cannot be: the digest was made by the same algorithm.
    pub(super) fn digest(&self) -> Option<Digest> {
        Digest::import_less_safe(&self.digest, self.version.algorithm()).ok()
    }
}

/// Where SNS serves a signing certificate. There is no way to make one that leads elsewhere.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CertificateUrl {
    url: String,
    /// Where the path begins.
    path: usize,
}

impl CertificateUrl {
    /// Accepts `https://sns.<region>.amazonaws.com/<file>.pem` (`.com.cn` in China) and nothing else, letter by letter, so that no two
    /// readers of URLs can disagree about the host.
    ///
    /// # Errors
    /// A clause: what it is not.
    pub fn parse(url: &str, region: &str) -> Result<Self, String> {
        let suffix = if region.starts_with("cn-") { ".cn" } else { "" };
        let host = format!("https://sns.{region}.amazonaws.com{suffix}");
        let file = url.strip_prefix(&host).and_then(|path| path.strip_prefix('/'));
        let stem = file.and_then(|file| file.strip_suffix(".pem"));
        let plain = |stem: &&str| {
            !stem.is_empty() && stem.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
        };
        if !is_region(region) || url.len() > MAX_URL || stem.filter(plain).is_none() {
            return Err(format!("is not `{host}/<name>.pem`, where SNS of the topic's region has its certificates"));
        }
        Ok(Self { url: url.to_owned(), path: host.len() })
    }

    /// The whole URL.
    pub fn as_str(&self) -> &str {
        &self.url
    }

    /// From the slash on: `/SimpleNotificationService-<hash>.pem`.
    pub fn path(&self) -> &str {
        &self.url[self.path..]
    }
}

impl fmt::Display for CertificateUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.url)
    }
}

impl Rejected {
    /// A message whose signature is missing or wrong. `what` is a sentence without its end.
    pub fn bad_signature(what: &str) -> Self {
        let message = format!(
            "{what}; find out who sent it. If it is yours, have SNS deliver it unchanged from a topic of the audited account, or take \
             `verify_signature` out of the policy, and replay it"
        );
        Self { reason: RejectReason::BadSignature, message, finding_id: None, check: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(url: &str) -> Result<CertificateUrl, String> {
        CertificateUrl::parse(url, "us-east-1")
    }

    #[test]
    fn a_certificate_is_fetched_from_sns_of_the_region_and_from_nowhere_else() {
        let file = "SimpleNotificationService-0123456789abcdef0123456789abcdef.pem";
        let url = format!("https://sns.us-east-1.amazonaws.com/{file}");
        let parsed = parse(&url).unwrap();
        assert_eq!((parsed.as_str(), parsed.path()), (url.as_str(), format!("/{file}").as_str()));
        let tricks = [
            "http://sns.us-east-1.amazonaws.com/a.pem",
            "HTTPS://sns.us-east-1.amazonaws.com/a.pem",
            "https://SNS.us-east-1.amazonaws.com/a.pem",
            "https://sns.us-east-1.amazonaws.com.evil.com/a.pem",
            "https://sns.us-east-1.amazonaws.com.cn/a.pem",
            "https://sns.us-east-1.amazonaws.com./a.pem",
            "https://sns.us-east-1.amazonaws.com@evil.com/a.pem",
            "https://user@sns.us-east-1.amazonaws.com/a.pem",
            "https://user:word@sns.us-east-1.amazonaws.com/a.pem",
            "https://sns.us-east-1.amazonaws.com:443/a.pem",
            "https://sns.us-east-1.amazonaws.com:8443/a.pem",
            "https://sns.us-east-2.amazonaws.com/a.pem",
            "https://sns.evil.amazonaws.com/a.pem",
            "https://sns.us-east-1.evil.amazonaws.com/a.pem",
            "https://evil.sns.us-east-1.amazonaws.com/a.pem",
            "https://sns-us-east-1.amazonaws.com/a.pem",
            "https://s3.us-east-1.amazonaws.com/a.pem",
            "https://sns.us-east-1.amazonaws.com\\evil.com/a.pem",
            "https://sns.us-east-1.amazonaws.com/a.pem?x",
            "https://sns.us-east-1.amazonaws.com/a.pem#x.pem",
            "https://sns.us-east-1.amazonaws.com/?Action=Subscribe&x=.pem",
            "https://sns.us-east-1.amazonaws.com/#.pem",
            "https://sns.us-east-1.amazonaws.com/../a.pem",
            "https://sns.us-east-1.amazonaws.com/%2e%2e/a.pem",
            "https://sns.us-east-1.amazonaws.com//a.pem",
            "https://sns.us-east-1.amazonaws.com/b/a.pem",
            "https://sns.us-east-1.amazonaws.com/a.PEM",
            "https://sns.us-east-1.amazonaws.com/a.pem\n",
            " https://sns.us-east-1.amazonaws.com/a.pem",
            "https://sns.us-east-1.amazonaws.com/.pem",
            "https://sns.us-east-1.amazonaws.com/a\u{2024}pem",
            "https://sns.us-east-1.amazonaws.com/a.crt",
            "https://sns.us-east-1.amazonaws.com/",
            "https://sns.us-east-1.amazonaws.com",
            "",
        ];
        for trick in tricks {
            assert!(parse(trick).is_err(), "{trick}");
        }
        assert!(parse(&format!("https://sns.us-east-1.amazonaws.com/{}.pem", "a".repeat(300))).is_err());
    }

    #[test]
    fn china_has_a_domain_of_its_own_and_govcloud_has_not() {
        assert!(CertificateUrl::parse("https://sns.cn-north-1.amazonaws.com.cn/a.pem", "cn-north-1").is_ok());
        assert!(CertificateUrl::parse("https://sns.cn-north-1.amazonaws.com/a.pem", "cn-north-1").is_err());
        assert!(CertificateUrl::parse("https://sns.us-gov-west-1.amazonaws.com/a.pem", "us-gov-west-1").is_ok());
    }

    #[test]
    fn a_region_cannot_smuggle_a_host_in() {
        for region in ["evil.com/", "us-east-1.amazonaws.com.evil", "", "us east 1", "x@y"] {
            let url = format!("https://sns.{region}.amazonaws.com/a.pem");
            assert!(CertificateUrl::parse(&url, region).is_err(), "{region}");
        }
    }
}
