//! Fetching SNS's signing certificates: the port, the one HTTPS GET behind it, and the twin.

use super::error::said;
use super::error::{CallError, Class};
use super::fate::{Fair, Fate, Fates};
use super::https::connect;
use crate::finding::CertificateUrl;
use aws_config::SdkConfig;
use aws_smithy_http_client::Connector;
use aws_smithy_runtime_api::client::http::HttpConnector;
use aws_smithy_runtime_api::http::Request;
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::byte_stream::ByteStream;
use aws_types::service_config::ServiceConfigKey;
use futures_util::future::BoxFuture;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

/// The name of the call in errors; AWS has none for it.
const OPERATION: &str = "GetSigningCertificate";

/// A certificate has some 2 KB.
const MAX_CERTIFICATE: usize = 64 * 1024;

/// Resolving, connecting, TLS and 2 KB: well under a second from anywhere.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Where signing certificates come from.
pub trait CertificateSource: fmt::Debug + Send + Sync {
    /// The text of a certificate.
    ///
    /// # Errors
    /// `gone`: there is no such certificate. `permanent`: what is there is none. Anything else may pass.
    fn fetch<'a>(&'a self, url: &'a CertificateUrl) -> BoxFuture<'a, Result<Vec<u8>, CallError>>;
}

/// SNS itself, over HTTPS; or the endpoint that the SDK is told to find SNS at.
pub struct SnsCertificates {
    endpoint: Option<String>,
    /// Made at the first call, since it reads the system's root certificates.
    connector: OnceLock<Connector>,
}

impl fmt::Debug for SnsCertificates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SnsCertificates").field("endpoint", &self.endpoint).finish_non_exhaustive()
    }
}

impl SnsCertificates {
    /// Where the endpoint of SNS is configured (`AWS_ENDPOINT_URL`, `AWS_ENDPOINT_URL_SNS`, the profile), that is where certificates
    /// are fetched, by the path of their URL: who runs the worker has said where SNS is. Whatever a message says, its host stays
    /// pinned.
    pub fn new(config: &SdkConfig) -> Self {
        Self { endpoint: sns_endpoint(config), connector: OnceLock::new() }
    }

    fn target(&self, url: &CertificateUrl) -> String {
        match &self.endpoint {
            Some(endpoint) => format!("{}{}", endpoint.trim_end_matches('/'), url.path()),
            None => url.as_str().to_owned(),
        }
    }

    async fn get(&self, target: &str) -> Result<Vec<u8>, CallError> {
        let transient = |message: String| CallError::new(Class::Transient, OPERATION, message);
        let permanent = |message: String| CallError::new(Class::Permanent, OPERATION, message);
        // The worker's own configuration is at fault, and no message: they wait until it is corrected (P7).
        let request = Request::<SdkBody>::get(target)
            .map_err(|error| transient(format!("{target} is no URL ({error}); correct the endpoint of SNS")))?;
        let connector = self.connector.get_or_init(|| connect(TIMEOUT));
        // Redirects are not followed.
        let response =
            connector.call(request).await.map_err(|error| transient(format!("{target}: {}", said(&error))))?;
        match response.status().as_u16() {
            200 => {}
            status @ (404 | 410) => {
                let message = format!("{target} answers HTTP status {status}");
                return Err(CallError::new(Class::Gone, OPERATION, message));
            }
            status => return Err(transient(format!("{target} answers HTTP status {status}"))),
        }
        let mut body = ByteStream::new(response.into_body());
        let mut text = Vec::new();
        while let Some(chunk) =
            body.try_next().await.map_err(|error| transient(format!("{target} breaks off: {}", said(&error))))?
        {
            text.extend_from_slice(&chunk);
            if text.len() > MAX_CERTIFICATE {
                return Err(permanent(format!("{target} has more than {MAX_CERTIFICATE} bytes")));
            }
        }
        Ok(text)
    }
}

impl CertificateSource for SnsCertificates {
    fn fetch<'a>(&'a self, url: &'a CertificateUrl) -> BoxFuture<'a, Result<Vec<u8>, CallError>> {
        Box::pin(async move {
            let target = self.target(url);
            let late = || {
                let message = format!("{target} did not answer within {} s", TIMEOUT.as_secs());
                CallError::new(Class::Transient, OPERATION, message)
            };
            tokio::time::timeout(TIMEOUT, self.get(&target)).await.unwrap_or_else(|_| Err(late()))
        })
    }
}

/// As the SDK's client for SNS finds it: what is said in code, else for SNS alone, else for all services.
fn sns_endpoint(config: &SdkConfig) -> Option<String> {
    let general = config.endpoint_url().map(str::to_owned);
    if config.get_origin("endpoint_url").is_client_config() {
        return general;
    }
    let key = ServiceConfigKey::builder().service_id("SNS").env("AWS_ENDPOINT_URL").profile("endpoint_url").build();
    let own = config.service_config().zip(key.ok()).and_then(|(services, key)| services.load_config(key));
    own.or(general)
}

/// The twin: certificates by URL, in memory.
pub struct MemoryCertificates {
    texts: Mutex<BTreeMap<String, Vec<u8>>>,
    fetched: AtomicUsize,
    fates: Arc<dyn Fates>,
}

impl fmt::Debug for MemoryCertificates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryCertificates").field("fetched", &self.fetched).finish_non_exhaustive()
    }
}

impl Default for MemoryCertificates {
    fn default() -> Self {
        Self::new(Arc::new(Fair))
    }
}

impl MemoryCertificates {
    /// None at first. Calls are named `certificates.fetch`.
    pub fn new(fates: Arc<dyn Fates>) -> Self {
        Self { texts: Mutex::default(), fetched: AtomicUsize::new(0), fates }
    }

    /// Serves `text` at `url` from now on.
    pub fn serve(&self, url: &str, text: impl Into<Vec<u8>>) {
        self.texts.lock().unwrap_or_else(PoisonError::into_inner).insert(url.to_owned(), text.into());
    }

    /// How often any certificate was asked for.
    pub fn fetched(&self) -> usize {
        self.fetched.load(Ordering::SeqCst)
    }
}

impl CertificateSource for MemoryCertificates {
    fn fetch<'a>(&'a self, url: &'a CertificateUrl) -> BoxFuture<'a, Result<Vec<u8>, CallError>> {
        Box::pin(async move {
            self.fetched.fetch_add(1, Ordering::SeqCst);
            // As a round trip does: others run meanwhile.
            tokio::task::yield_now().await;
            let failed = |class| CallError::new(class, OPERATION, format!("{url} was made to fail"));
            match self.fates.next("certificates.fetch") {
                Fate::Proceed => {}
                Fate::Late(delay) => tokio::time::sleep(delay).await,
                Fate::Fail(class) | Fate::FailEntry(_, class) => return Err(failed(class)),
                Fate::ReplyLost => return Err(failed(Class::Transient)),
            }
            let text = self.texts.lock().unwrap_or_else(PoisonError::into_inner).get(url.as_str()).cloned();
            text.ok_or_else(|| CallError::new(Class::Gone, OPERATION, format!("{url} answers HTTP status 404")))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_config::{BehaviorVersion, Region};
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    fn url() -> CertificateUrl {
        CertificateUrl::parse("https://sns.us-east-1.amazonaws.com/a.pem", "us-east-1").unwrap()
    }

    fn config(endpoint: Option<&str>) -> SdkConfig {
        let mut builder =
            SdkConfig::builder().behavior_version(BehaviorVersion::latest()).region(Region::new("us-east-1"));
        builder.set_endpoint_url(endpoint.map(str::to_owned));
        builder.build()
    }

    /// What is made of one answer, and the request that it answers.
    async fn against(answer: Vec<u8>) -> (Result<Vec<u8>, CallError>, String) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}/", listener.local_addr().unwrap());
        let served = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = vec![0; 4096];
            let read = stream.read(&mut request).await.unwrap();
            // Whoever has read enough goes away.
            let _ = stream.write_all(&answer).await;
            String::from_utf8_lossy(&request[..read]).into_owned()
        });
        let fetched = SnsCertificates::new(&config(Some(&endpoint))).fetch(&url()).await;
        (fetched, served.await.unwrap())
    }

    fn answer(status: &str, body: &str) -> Vec<u8> {
        format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}", body.len()).into_bytes()
    }

    #[test]
    fn without_an_endpoint_of_its_own_the_pinned_host_is_asked() {
        assert_eq!(SnsCertificates::new(&config(None)).target(&url()), url().as_str());
    }

    #[tokio::test]
    async fn the_path_is_asked_of_the_configured_endpoint() {
        let (fetched, request) = against(answer("200 OK", "text")).await;
        assert_eq!(fetched.unwrap(), b"text");
        assert!(request.starts_with("GET /a.pem HTTP/1.1\r\n"), "{request}");
    }

    #[tokio::test]
    async fn only_a_certificate_that_is_not_there_is_gone() {
        for (status, class) in [
            ("404 Not Found", Class::Gone),
            ("410 Gone", Class::Gone),
            ("403 Forbidden", Class::Transient),
            ("407 Proxy Authentication Required", Class::Transient),
            ("429 Too Many Requests", Class::Transient),
            ("500 Internal Server Error", Class::Transient),
            ("503 Service Unavailable", Class::Transient),
        ] {
            assert_eq!(against(answer(status, "")).await.0.unwrap_err().class, class, "{status}");
        }
    }

    #[tokio::test]
    async fn an_endpoint_that_is_none_is_no_messages_fault() {
        for endpoint in ["not an endpoint", "localhost 4566"] {
            let error = SnsCertificates::new(&config(Some(endpoint))).fetch(&url()).await.unwrap_err();
            assert_eq!(error.class, Class::Transient, "{endpoint}");
            assert!(error.message.contains("correct the endpoint of SNS"), "{error}");
        }
    }

    #[tokio::test]
    async fn a_redirect_is_not_followed() {
        let redirect = b"HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 0\r\n\r\n";
        let error = against(redirect.to_vec()).await.0.unwrap_err();
        assert_eq!(error.class, Class::Transient);
        assert!(error.message.contains("HTTP status 302"), "{error}");
    }

    #[tokio::test]
    async fn a_body_without_end_is_not_read_to_its_end() {
        let error = against(answer("200 OK", &"a".repeat(MAX_CERTIFICATE + 1))).await.0.unwrap_err();
        assert_eq!(error.class, Class::Permanent);
    }

    #[tokio::test]
    async fn nobody_there_and_an_answer_that_breaks_off_may_pass() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        drop(listener);
        let error = SnsCertificates::new(&config(Some(&endpoint))).fetch(&url()).await.unwrap_err();
        assert_eq!(error.class, Class::Transient);
        let cut = b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\nconnection: close\r\n\r\nabc".to_vec();
        assert_eq!(against(cut).await.0.unwrap_err().class, Class::Transient);
    }

    #[tokio::test(start_paused = true)]
    async fn a_server_that_never_answers_is_given_up_after_five_seconds() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let began = tokio::time::Instant::now();
        let error = SnsCertificates::new(&config(Some(&endpoint))).fetch(&url()).await.unwrap_err();
        assert_eq!(error.class, Class::Transient);
        assert!(began.elapsed() <= TIMEOUT + Duration::from_millis(10), "{:?}", began.elapsed());
    }
}
