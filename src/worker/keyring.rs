//! The signing certificates that this worker has seen: each fetched once, by one of those who wait for it.

use crate::aws::{CertificateSource, Class};
use crate::finding::{CertificateUrl, SigningCertificate};
use crate::telemetry::Telemetry;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio::time::Instant;

/// SNS signs with one certificate at a time in each region and changes it about once a year, so more than two are never of use. The
/// rest is room for URLs that lead nowhere.
const KEPT: usize = 16;

/// Certificates that are fetched at a time.
const FETCHES: usize = 4;

/// Who asks again this soon after a failure is told that same failure: a thousand messages make one call a second.
const FAILED_FOR: Duration = Duration::from_secs(1);

/// Why there is no certificate to verify with.
#[derive(Debug, Clone)]
pub(super) enum NoCertificate {
    /// It cannot be had now; why is in the log.
    Unreachable,
    /// There is none, or it is none: a clause.
    Unusable(String),
}

type Answer = Result<Arc<SigningCertificate>, NoCertificate>;

/// One certificate. Held locked while it is fetched; those who ask meanwhile wait.
#[derive(Debug, Default)]
struct Slot(tokio::sync::Mutex<Option<(Instant, Answer)>>);

#[derive(Debug)]
struct Kept {
    slot: Arc<Slot>,
    /// The turn at which it was last asked for.
    turn: u64,
    /// It has proved to be a certificate.
    good: bool,
}

#[derive(Debug, Default)]
struct Slots {
    by_url: BTreeMap<CertificateUrl, Kept>,
    turn: u64,
}

/// Certificates by URL, at most [`KEPT`].
#[derive(Debug)]
pub(super) struct Keyring {
    source: Arc<dyn CertificateSource>,
    slots: Mutex<Slots>,
    fetches: Semaphore,
}

impl Keyring {
    pub fn new(source: Arc<dyn CertificateSource>) -> Self {
        Self { source, slots: Mutex::default(), fetches: Semaphore::new(FETCHES) }
    }

    /// The certificate, fetched now if it is not here yet.
    pub async fn certificate(&self, url: &CertificateUrl, telemetry: &Telemetry) -> Answer {
        let slot = self.slot(url);
        let mut held = slot.0.lock().await;
        match &*held {
            Some((_, Ok(certificate))) => return Ok(Arc::clone(certificate)),
            Some((at, Err(error))) if at.elapsed() < FAILED_FOR => return Err(error.clone()),
            _ => {}
        }
        // The semaphore is never closed.
        let permit = self.fetches.acquire().await;
        let fetched = self.source.fetch(url).await;
        drop(permit);
        let answer = match fetched {
            Ok(text) => match SigningCertificate::from_pem(&text) {
                Ok(certificate) => {
                    telemetry.certificate_fetched(url.as_str());
                    self.keep(url);
                    Ok(Arc::new(certificate))
                }
                Err(what) => Err(NoCertificate::Unusable(what)),
            },
            Err(error) if error.class == Class::Gone => Err(NoCertificate::Unusable("does not exist".to_owned())),
            Err(error) if error.class == Class::Permanent => Err(NoCertificate::Unusable(error.message)),
            Err(error) => {
                telemetry.certificate_unreachable(&error);
                Err(NoCertificate::Unreachable)
            }
        };
        *held = Some((Instant::now(), answer.clone()));
        answer
    }

    fn slots(&self) -> std::sync::MutexGuard<'_, Slots> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The place of a certificate, new if need be. What has to go for it is what failed before what is good, the longest unused
    /// first: no number of invented URLs drives the real certificate out.
    fn slot(&self, url: &CertificateUrl) -> Arc<Slot> {
        let mut slots = self.slots();
        slots.turn += 1;
        let turn = slots.turn;
        if let Some(kept) = slots.by_url.get_mut(url) {
            kept.turn = turn;
            return Arc::clone(&kept.slot);
        }
        if slots.by_url.len() >= KEPT {
            let least = slots.by_url.iter().min_by_key(|(_, kept)| (kept.good, kept.turn)).map(|(url, _)| url.clone());
            least.and_then(|url| slots.by_url.remove(&url));
        }
        let slot = Arc::<Slot>::default();
        slots.by_url.insert(url.clone(), Kept { slot: Arc::clone(&slot), turn, good: false });
        slot
    }

    fn keep(&self, url: &CertificateUrl) {
        if let Some(kept) = self.slots().by_url.get_mut(url) {
            kept.good = true;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::aws::{Fate, MemoryCertificates, Script};

    const PEM: &str = include_str!("../../tests/signatures/fixtures/signing.pem");

    fn url(name: &str) -> CertificateUrl {
        CertificateUrl::parse(&format!("https://sns.us-east-1.amazonaws.com/{name}.pem"), "us-east-1").unwrap()
    }

    fn keyring(source: MemoryCertificates) -> (Arc<MemoryCertificates>, Arc<Keyring>) {
        let source = Arc::new(source);
        let keyring = Arc::new(Keyring::new(Arc::clone(&source) as _));
        (source, keyring)
    }

    async fn ask(keyring: &Keyring, name: &str) -> Answer {
        keyring.certificate(&url(name), &Telemetry::default()).await
    }

    #[tokio::test(start_paused = true)]
    async fn a_thousand_who_ask_at_once_cause_one_fetch() {
        let slow = Script::new([("certificates.fetch", Fate::Late(Duration::from_secs(3)))]);
        let (source, keyring) = keyring(MemoryCertificates::new(Arc::new(slow)));
        source.serve(url("a").as_str(), PEM);
        let asking: Vec<_> = (0..1000)
            .map(|_| {
                let keyring = Arc::clone(&keyring);
                tokio::spawn(async move { ask(&keyring, "a").await.is_ok() })
            })
            .collect();
        for asked in asking {
            assert!(asked.await.unwrap());
        }
        assert_eq!(source.fetched(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_failure_is_remembered_for_a_second_and_a_success_for_good() {
        let fails = Script::new([("certificates.fetch", Fate::Fail(Class::Transient))]);
        let (source, keyring) = keyring(MemoryCertificates::new(Arc::new(fails)));
        source.serve(url("a").as_str(), PEM);
        for _ in 0..10 {
            assert!(matches!(ask(&keyring, "a").await, Err(NoCertificate::Unreachable)));
        }
        assert_eq!(source.fetched(), 1);
        tokio::time::advance(FAILED_FOR).await;
        assert!(ask(&keyring, "a").await.is_ok());
        tokio::time::advance(Duration::from_secs(86_400)).await;
        assert!(ask(&keyring, "a").await.is_ok());
        assert_eq!(source.fetched(), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn a_certificate_that_appears_is_found_a_second_later() {
        let (source, keyring) = keyring(MemoryCertificates::default());
        assert!(matches!(ask(&keyring, "a").await, Err(NoCertificate::Unusable(_))));
        source.serve(url("a").as_str(), PEM);
        tokio::time::advance(FAILED_FOR).await;
        assert!(ask(&keyring, "a").await.is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_no_certificate_is_unusable() {
        let (source, keyring) = keyring(MemoryCertificates::default());
        let garbled = PEM.replace("MII", "AAA");
        for (name, text) in [("empty", ""), ("page", "<html>welcome</html>"), ("garbled", garbled.as_str())] {
            source.serve(url(name).as_str(), text);
            assert!(matches!(ask(&keyring, name).await, Err(NoCertificate::Unusable(_))), "{name}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn invented_urls_take_bounded_room_and_do_not_drive_the_real_certificate_out() {
        let (source, keyring) = keyring(MemoryCertificates::default());
        source.serve(url("real").as_str(), PEM);
        assert!(ask(&keyring, "real").await.is_ok());
        for n in 0..1000 {
            assert!(ask(&keyring, &format!("invented-{n}")).await.is_err());
        }
        assert_eq!(keyring.slots().by_url.len(), KEPT);
        assert!(ask(&keyring, "real").await.is_ok());
        assert_eq!(source.fetched(), 1001);
    }
}
