//! Device certificates, CA certificates and the intermediate CAs behind them.

use super::error::IotError;
use super::fleet::Fleet;

const DAY_MS: i64 = 24 * 60 * 60 * 1000;

/// The life of a device certificate (`CertificateStatus` of the API; `REGISTER_INACTIVE` is deprecated there).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum CertificateStatus {
    /// Devices may connect with it.
    Active,
    /// Devices may not connect; can be made active again.
    Inactive,
    /// Final: no other status can follow.
    Revoked,
    /// Offered to another account.
    PendingTransfer,
    /// Created by just-in-time registration, not yet activated.
    PendingActivation,
}

impl CertificateStatus {
    /// As the API spells it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Active => "ACTIVE",
            Self::Inactive => "INACTIVE",
            Self::Revoked => "REVOKED",
            Self::PendingTransfer => "PENDING_TRANSFER",
            Self::PendingActivation => "PENDING_ACTIVATION",
        }
    }
}

/// A known weakness of a key pair, as the key quality checks name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WeakKey {
    /// CVE-2017-15361 (ROCA).
    Roca,
    /// CVE-2008-0166 (predictable keys of Debian's OpenSSL).
    Debian,
}

impl WeakKey {
    /// The reason code of the key quality checks.
    pub fn reason_code(self) -> &'static str {
        match self {
            Self::Roca => "CERTIFICATE_KEY_VULNERABILITY_CVE-2017-15361",
            Self::Debian => "CERTIFICATE_KEY_VULNERABILITY_CVE-2008-0166",
        }
    }
}

/// A device certificate. Times are epoch milliseconds.
#[derive(Clone, Debug)]
pub struct Certificate {
    /// What may be done with it.
    pub status: CertificateStatus,
    /// The registered CA that signed it.
    pub ca_certificate_id: Option<String>,
    /// Key in [`Fleet::issuers`] of the intermediate CA that issued it.
    pub issuer: Option<String>,
    /// Valid from.
    pub not_before_ms: i64,
    /// Valid until.
    pub not_after_ms: i64,
    /// Registered at.
    pub created_ms: i64,
    /// Last change of the status.
    pub modified_ms: i64,
    /// Counts changes, from 1.
    pub customer_version: i64,
    /// Its issuer has put it on a revocation list.
    pub revoked_by_issuer: bool,
    /// Its key is known to be weak.
    pub weak_key: Option<WeakKey>,
}

/// A registered CA certificate. Times are epoch milliseconds.
#[derive(Clone, Debug)]
pub struct CaCertificate {
    /// `ACTIVE`, or `INACTIVE`: registers no new device certificates.
    pub active: bool,
    /// `autoRegistrationStatus` is `ENABLE`.
    pub auto_registration: bool,
    /// Valid from.
    pub not_before_ms: i64,
    /// Valid until.
    pub not_after_ms: i64,
    /// Registered at.
    pub created_ms: i64,
    /// Last change.
    pub modified_ms: i64,
    /// Counts changes, from 1.
    pub customer_version: i64,
    /// Its issuer has revoked it.
    pub revoked_by_issuer: bool,
    /// Its key is known to be weak.
    pub weak_key: Option<WeakKey>,
}

/// An intermediate CA that is not registered but issued device certificates.
#[derive(Clone, Debug)]
pub struct IssuerCertificate {
    /// Distinguished name.
    pub subject: String,
    /// Serial number, hex and colons.
    pub serial_number: String,
    /// Its own issuer has revoked it.
    pub revoked: bool,
}

impl Certificate {
    /// A healthy, active certificate made at `now_ms` and valid for ten years.
    pub fn new(now_ms: i64) -> Self {
        Self {
            status: CertificateStatus::Active,
            ca_certificate_id: None,
            issuer: None,
            not_before_ms: now_ms,
            not_after_ms: now_ms + 3650 * DAY_MS,
            created_ms: now_ms,
            modified_ms: now_ms,
            customer_version: 1,
            revoked_by_issuer: false,
            weak_key: None,
        }
    }
}

impl CaCertificate {
    /// A healthy, active CA certificate made at `now_ms` and valid for ten years.
    pub fn new(now_ms: i64) -> Self {
        Self {
            active: true,
            auto_registration: true,
            not_before_ms: now_ms,
            not_after_ms: now_ms + 3650 * DAY_MS,
            created_ms: now_ms,
            modified_ms: now_ms,
            customer_version: 1,
            revoked_by_issuer: false,
            weak_key: None,
        }
    }
}

impl Fleet {
    /// `CreateKeysAndCertificate`: the new certificate's id.
    pub fn create_certificate(&mut self, active: bool) -> String {
        let id = self.new_certificate_id();
        let mut certificate = Certificate::new(self.now_ms());
        if !active {
            certificate.status = CertificateStatus::Inactive;
        }
        self.certificates.insert(id.clone(), certificate);
        id
    }

    /// `DescribeCertificate`.
    pub fn certificate(&self, id: &str) -> Result<&Certificate, IotError> {
        check_certificate_id(id)?;
        self.certificates.get(id).ok_or_else(|| IotError::not_found(format!("Certificate {id} does not exist")))
    }

    /// `UpdateCertificate`. Idempotent: the status it already has changes nothing, not even the modification date.
    /// `REVOKED` is final (`CertificateStateException` 406).
    pub fn update_certificate(&mut self, id: &str, new_status: &str) -> Result<(), IotError> {
        let status = match new_status {
            "ACTIVE" => CertificateStatus::Active,
            "INACTIVE" => CertificateStatus::Inactive,
            "REVOKED" => CertificateStatus::Revoked,
            other => {
                return Err(IotError::invalid(format!("newStatus must be ACTIVE, INACTIVE or REVOKED, not {other:?}")));
            }
        };
        let before = self.certificate(id)?.status;
        if before == status {
            return Ok(());
        }
        if before == CertificateStatus::Revoked {
            return Err(IotError::certificate_state(format!(
                "Certificate {id} is REVOKED; a revoked certificate cannot get another status"
            )));
        }
        let now = self.now_ms();
        if let Some(certificate) = self.certificates.get_mut(id) {
            certificate.status = status;
            certificate.modified_ms = now;
            certificate.customer_version += 1;
        }
        Ok(())
    }

    /// `DeleteCertificate`: not while active, nor while attached to a thing or a policy.
    pub fn delete_certificate(&mut self, id: &str, force: bool) -> Result<(), IotError> {
        if self.certificate(id)?.status == CertificateStatus::Active {
            return Err(IotError::certificate_state(format!("Certificate {id} is ACTIVE; make it INACTIVE first")));
        }
        let arn = self.arn("cert", id);
        if self.principals.contains_key(&arn) {
            return Err(IotError::delete_conflict(format!("Things are attached to certificate {id}")));
        }
        let attached = self.policies.values().any(|policy| policy.targets.contains(&arn));
        if attached && !force {
            return Err(IotError::delete_conflict(format!("Policies are attached to certificate {id}")));
        }
        for policy in self.policies.values_mut() {
            policy.targets.remove(&arn);
        }
        self.certificates.remove(id);
        Ok(())
    }

    /// `DescribeCACertificate`.
    pub fn ca_certificate(&self, id: &str) -> Result<&CaCertificate, IotError> {
        check_certificate_id(id)?;
        self.ca_certificates.get(id).ok_or_else(|| IotError::not_found(format!("CA certificate {id} does not exist")))
    }

    /// `UpdateCACertificate`: `new_status` `ACTIVE` or `INACTIVE`, `auto_registration` `ENABLE` or `DISABLE`; what is
    /// not given stays.
    pub fn update_ca_certificate(
        &mut self,
        id: &str,
        new_status: Option<&str>,
        auto_registration: Option<&str>,
    ) -> Result<(), IotError> {
        let before = self.ca_certificate(id)?;
        let active = either("newStatus", new_status, "ACTIVE", "INACTIVE")?.unwrap_or(before.active);
        let auto = either("newAutoRegistrationStatus", auto_registration, "ENABLE", "DISABLE")?
            .unwrap_or(before.auto_registration);
        if (active, auto) == (before.active, before.auto_registration) {
            return Ok(());
        }
        let now = self.now_ms();
        if let Some(ca) = self.ca_certificates.get_mut(id) {
            (ca.active, ca.auto_registration) = (active, auto);
            ca.modified_ms = now;
            ca.customer_version += 1;
        }
        Ok(())
    }
}

fn either(member: &str, given: Option<&str>, yes: &str, no: &str) -> Result<Option<bool>, IotError> {
    match given {
        None => Ok(None),
        Some(text) if text == yes => Ok(Some(true)),
        Some(text) if text == no => Ok(Some(false)),
        Some(text) => Err(IotError::invalid(format!("{member} must be {yes} or {no}, not {text:?}"))),
    }
}

fn check_certificate_id(id: &str) -> Result<(), IotError> {
    if id.len() == 64 && id.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Ok(());
    }
    Err(IotError::invalid(format!("a certificate id has 64 hex digits, which {id:?} has not")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fleet() -> (Fleet, String) {
        let mut fleet = Fleet::new("123456789012", "us-east-1", 1, 1_791_000_000_000);
        let id = fleet.create_certificate(true);
        (fleet, id)
    }

    #[test]
    fn deactivating_twice_is_one_change() {
        let (mut fleet, id) = fleet();
        fleet.set_now_ms(1_791_000_001_000);
        fleet.update_certificate(&id, "INACTIVE").unwrap();
        fleet.set_now_ms(1_791_000_002_000);
        fleet.update_certificate(&id, "INACTIVE").unwrap();
        let certificate = fleet.certificate(&id).unwrap();
        assert_eq!((certificate.customer_version, certificate.modified_ms), (2, 1_791_000_001_000));
    }

    #[test]
    fn nothing_leads_out_of_revoked() {
        let (mut fleet, id) = fleet();
        fleet.update_certificate(&id, "REVOKED").unwrap();
        assert_eq!(fleet.update_certificate(&id, "REVOKED"), Ok(()));
        for status in ["ACTIVE", "INACTIVE"] {
            let error = fleet.update_certificate(&id, status).unwrap_err();
            assert_eq!((error.code, error.status), ("CertificateStateException", 406));
        }
    }

    #[test]
    fn an_unknown_certificate_is_not_found_and_a_malformed_id_is_invalid() {
        let (mut fleet, _) = fleet();
        assert_eq!(fleet.update_certificate(&"0".repeat(64), "INACTIVE").unwrap_err().status, 404);
        assert_eq!(fleet.update_certificate("123", "INACTIVE").unwrap_err().status, 400);
        for status in ["PENDING_TRANSFER", "PENDING_ACTIVATION", "inactive", ""] {
            assert_eq!(fleet.update_certificate(&"0".repeat(64), status).unwrap_err().status, 400, "{status}");
        }
    }

    #[test]
    fn an_active_or_attached_certificate_is_not_deleted() {
        let (mut fleet, id) = fleet();
        assert_eq!(fleet.delete_certificate(&id, false).unwrap_err().status, 406);
        fleet.update_certificate(&id, "INACTIVE").unwrap();
        fleet.create_policy("p", r#"{"Version":"2012-10-17","Statement":[]}"#).unwrap();
        let arn = fleet.arn("cert", &id);
        fleet.attach_policy("p", &arn).unwrap();
        assert_eq!(fleet.delete_certificate(&id, false).unwrap_err().status, 409);
        fleet.delete_certificate(&id, true).unwrap();
        assert!(fleet.policies["p"].targets.is_empty());
    }
}
