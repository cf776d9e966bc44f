//! The certificate that SNS signs with: its key, and how long it is valid.
//!
//! That it is SNS's own follows from where it was fetched, over TLS (see [`super::CertificateUrl`]), not from who issued it: SNS
//! serves it without the chain that it would take to ask that.

use super::signature::{Seal, SignatureVersion};
use aws_lc_rs::signature::{
    ParsedPublicKey, RSA_PKCS1_2048_8192_SHA1_FOR_LEGACY_USE_ONLY, RSA_PKCS1_2048_8192_SHA256, RsaParameters,
};
use jiff::Timestamp;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, UnixTime};
use std::time::Duration;
use webpki::{EndEntityCert, Error, ExtendedKeyUsageValidator, KeyPurposeIdIter};

/// The RSA key of a signing certificate, ready to verify with.
#[derive(Debug)]
pub struct SigningCertificate {
    sha1: ParsedPublicKey,
    sha256: ParsedPublicKey,
    valid: (Timestamp, Timestamp),
}

impl SigningCertificate {
    /// Reads the first certificate of a PEM text.
    ///
    /// # Errors
    /// A clause: what it is not.
    pub fn from_pem(pem: &[u8]) -> Result<Self, String> {
        let der = CertificateDer::from_pem_slice(pem).map_err(|_| "is not a certificate in PEM".to_owned())?;
        let certificate =
            EndEntityCert::try_from(&der).map_err(|error| format!("is not an X.509 certificate ({error})"))?;
        let key = certificate.subject_public_key_info();
        let parse = |algorithm: &'static RsaParameters| {
            ParsedPublicKey::new(algorithm, key.as_ref()).map_err(|_| "has no RSA key".to_owned())
        };
        Ok(Self {
            sha1: parse(&RSA_PKCS1_2048_8192_SHA1_FOR_LEGACY_USE_ONLY)?,
            sha256: parse(&RSA_PKCS1_2048_8192_SHA256)?,
            valid: validity(&certificate).ok_or("does not say from when to when it is valid")?,
        })
    }

    /// Whether this certificate's key made the signature, and the certificate is valid now. The worker's own clock decides: one that
    /// is wrong by more than minutes could not call AWS either.
    ///
    /// # Errors
    /// A clause about the signature.
    pub fn verify(&self, seal: &Seal, now: Timestamp) -> Result<(), String> {
        let (from, to) = self.valid;
        if now < from || now > to {
            return Err(format!("is by a certificate that is valid from {from} to {to} only"));
        }
        let key = match seal.version() {
            SignatureVersion::V1 => &self.sha1,
            SignatureVersion::V2 => &self.sha256,
        };
        let verified = seal.digest().and_then(|digest| key.verify_digest_sig(&digest, seal.signature()).ok());
        verified.ok_or_else(|| "does not fit: the message is not what SNS signed".to_owned())
    }
}

/// The first and the last second of a certificate. `webpki` tells each to whom asks about a time outside.
fn validity(certificate: &EndEntityCert<'_>) -> Option<(Timestamp, Timestamp)> {
    // The last second of the year 9999, which is also the last that a certificate can name.
    const LATEST: Duration = Duration::from_secs(253_402_300_799);
    let ask = |time: Duration| {
        let time = UnixTime::since_unix_epoch(time);
        // No chain is asked for; its absence is told only after the time was found right.
        certificate.verify_for_usage(&[], &[], &[], time, AnyUsage, None, None).err()
    };
    let timestamp = |time: UnixTime| Timestamp::from_second(time.as_secs().try_into().ok()?).ok();
    let from = match ask(Duration::ZERO)? {
        Error::CertNotValidYet { not_before, .. } => timestamp(not_before)?,
        Error::InvalidCertValidity | Error::BadDer | Error::BadDerTime | Error::CertExpired { .. } => return None,
        _ => Timestamp::UNIX_EPOCH,
    };
    let to = match ask(LATEST)? {
        Error::CertExpired { not_after, .. } => timestamp(not_after)?,
        _ => Timestamp::MAX,
    };
    Some((from, to))
}

/// What else a certificate may be used for is nobody's business here.
struct AnyUsage;

impl ExtendedKeyUsageValidator for AnyUsage {
    fn validate(&self, _: KeyPurposeIdIter<'_, '_>) -> Result<(), Error> {
        Ok(())
    }
}
