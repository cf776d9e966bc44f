//! The one place where AWS clients are built: timeouts and retries, each with its reason.
//!
//! | client | attempt timeout | SDK attempts | why |
//! |---|---|---|---|
//! | SQS, `ReceiveMessage` | 25 s | 3 | a long poll lasts up to 20 s; 5 s for the round trip and a large answer |
//! | SQS, else | 10 s | 3 | answers take milliseconds; a batch of 10 x 1 MiB at 10 Mbit/s takes 8.4 s |
//! | DynamoDB | 10 s | 3 | every write is conditional: a repeated one is recognised, or (a reservation of slots) loses some and hands none out twice |
//! | IoT, SNS | 10 s | 1 | each attempt takes a slot of a budget, and an unknown outcome is read back first |
//! | Service Quotas | 2 s | 3 | asked once, at start, and the start does not wait for it: whatever it does not tell has a default |
//!
//! The SDK has no attempt timeout of its own: a server that accepts and never answers would hang a worker for ever. An attempt lasts until its
//! answer is read, so that the SDK's watch over stalled streams, which costs every request a timer, has nothing to add and is off.

use super::observe::{CallObserver, Observe};
use super::request_id::NoteRequestId;
use aws_config::stalled_stream_protection::StalledStreamProtectionConfig;
use aws_config::{BehaviorVersion, SdkConfig};
use aws_smithy_runtime_api::client::interceptors::SharedInterceptor;
use aws_smithy_types::retry::RetryConfig;
use aws_smithy_types::timeout::TimeoutConfig;
use std::sync::Arc;
use std::time::Duration;

/// A connection is there within this, or the endpoint is down: the SDK's own default, which leaves room for one lost SYN (3 s).
const CONNECT_TIMEOUT: Duration = Duration::from_millis(3100);

/// One attempt of anything but a long poll: the longest that one round trip to AWS may take.
pub const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(10);

/// One attempt of `ReceiveMessage`: the longest poll (20 s) plus 5 s.
pub const RECEIVE_TIMEOUT: Duration = Duration::from_secs(25);

/// One attempt of Service Quotas, which answers a page of 100 quotas well within a second.
const QUOTAS_TIMEOUT: Duration = Duration::from_secs(2);

/// The pause before the first SDK retry is drawn from zero to this, then doubled: with three attempts an endpoint that refuses
/// costs at most 100 + 200 ms before its error is told.
const FIRST_BACKOFF: Duration = Duration::from_millis(100);

/// The AWS clients that this program uses. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Clients {
    /// Queues.
    pub sqs: aws_sdk_sqs::Client,
    /// The ledger.
    pub dynamodb: aws_sdk_dynamodb::Client,
    /// AWS IoT and Device Defender.
    pub iot: aws_sdk_iot::Client,
    /// Topics.
    pub sns: aws_sdk_sns::Client,
    /// The account's own API quotas.
    pub service_quotas: aws_sdk_servicequotas::Client,
    /// The configured region: `eu-central-1`.
    pub region: String,
}

impl Clients {
    /// Builds every client from one configuration (see [`load_config`]).
    pub fn new(config: &SdkConfig) -> Self {
        Self::build(config, None)
    }

    /// The same clients, which tell of every attempt.
    pub fn observed(config: &SdkConfig, observer: Arc<dyn CallObserver>) -> Self {
        Self::build(config, Some(Observe(observer)))
    }

    fn build(config: &SdkConfig, observe: Option<Observe>) -> Self {
        let usual = timeouts(ATTEMPT_TIMEOUT);
        let retries = RetryConfig::standard().with_max_attempts(3).with_initial_backoff(FIRST_BACKOFF);
        let mut sqs =
            aws_sdk_sqs::config::Builder::from(config).timeout_config(usual.clone()).retry_config(retries.clone());
        let mut dynamodb =
            aws_sdk_dynamodb::config::Builder::from(config).timeout_config(usual.clone()).retry_config(retries.clone());
        let mut service_quotas = aws_sdk_servicequotas::config::Builder::from(config)
            .timeout_config(timeouts(QUOTAS_TIMEOUT))
            .retry_config(retries);
        let mut iot = aws_sdk_iot::config::Builder::from(config)
            .timeout_config(usual.clone())
            .retry_config(RetryConfig::disabled())
            .interceptor(NoteRequestId);
        let mut sns = aws_sdk_sns::config::Builder::from(config)
            .timeout_config(usual)
            .retry_config(RetryConfig::disabled())
            .interceptor(NoteRequestId);
        if let Some(observe) = observe.map(SharedInterceptor::new) {
            sqs.push_interceptor(observe.clone());
            dynamodb.push_interceptor(observe.clone());
            service_quotas.push_interceptor(observe.clone());
            iot.push_interceptor(observe.clone());
            sns.push_interceptor(observe);
        }
        Self {
            sqs: aws_sdk_sqs::Client::from_conf(sqs.build()),
            dynamodb: aws_sdk_dynamodb::Client::from_conf(dynamodb.build()),
            iot: aws_sdk_iot::Client::from_conf(iot.build()),
            sns: aws_sdk_sns::Client::from_conf(sns.build()),
            service_quotas: aws_sdk_servicequotas::Client::from_conf(service_quotas.build()),
            region: config.region().map(ToString::to_string).unwrap_or_default(),
        }
    }
}

/// The timeouts of a client, or of one call, whose attempts may take `attempt`.
fn timeouts(attempt: Duration) -> TimeoutConfig {
    TimeoutConfig::builder().connect_timeout(CONNECT_TIMEOUT).operation_attempt_timeout(attempt).build()
}

/// The standard AWS environment: `AWS_REGION`, `AWS_ENDPOINT_URL`, profiles and the credentials chain. Nothing is called yet,
/// so missing credentials show at the first call.
///
/// # Errors
/// A sentence, when no region is configured anywhere, or the endpoint is no address.
pub async fn load_config() -> Result<SdkConfig, String> {
    let config = aws_config::defaults(BehaviorVersion::latest())
        .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
        .load()
        .await;
    // The SDK looks at it when it sends, and then shows the whole request; over an empty one it panics.
    if let Some(url) = std::env::var("AWS_ENDPOINT_URL").ok().filter(|url| !is_endpoint(url)) {
        return Err(format!(
            "the endpoint `{url}` is no address: set AWS_ENDPOINT_URL to one such as http://127.0.0.1:4566, or unset it"
        ));
    }
    match config.region() {
        Some(region) if !region.as_ref().is_empty() => Ok(config),
        _ => Err("no AWS region is configured: set AWS_REGION (for example AWS_REGION=eu-central-1)".to_owned()),
    }
}

/// Whether the SDK can send requests there: a scheme that it speaks, and a host.
fn is_endpoint(url: &str) -> bool {
    let host = url.strip_prefix("http://").or_else(|| url.strip_prefix("https://"));
    host.is_some_and(|host| !host.is_empty() && !host.starts_with(['/', ':']) && !host.contains(char::is_whitespace))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::aws::{Class, Effect, classify};
    use aws_config::Region;
    use aws_credential_types::Credentials;
    use aws_credential_types::provider::error::CredentialsError;
    use aws_credential_types::provider::future::ProvideCredentials as ProvidedCredentials;
    use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider};
    use tokio::io::AsyncWriteExt;

    fn config(endpoint: &str) -> SdkConfig {
        SdkConfig::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new("us-east-1"))
            .endpoint_url(endpoint)
            .credentials_provider(SharedCredentialsProvider::new(Credentials::from_keys("a", "b", None)))
            .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
            .build()
    }

    #[derive(Debug)]
    struct NoCredentials;
    impl ProvideCredentials for NoCredentials {
        fn provide_credentials<'a>(&'a self) -> ProvidedCredentials<'a>
        where
            Self: 'a,
        {
            ProvidedCredentials::ready(Err(CredentialsError::not_loaded("nothing is configured")))
        }
    }

    #[tokio::test]
    async fn missing_credentials_stop_the_line_and_no_request_is_sent() {
        let config = config("http://127.0.0.1:1").into_builder();
        let clients = Clients::new(&config.credentials_provider(SharedCredentialsProvider::new(NoCredentials)).build());
        let error = clients.sqs.list_queues().send().await;
        let error = classify("ListQueues", Effect::Read, error.unwrap_err());
        assert_eq!(error.class, Class::Denied, "{error}");
        assert!(error.message.contains("nothing is configured"), "{error}");
        let error = clients.iot.update_certificate().certificate_id("c").new_status("INACTIVE".into()).send().await;
        let error = classify("UpdateCertificate", Effect::Write, error.unwrap_err());
        assert_eq!(error.class, Class::Denied, "{error}");
    }

    #[tokio::test]
    async fn a_request_that_cannot_be_built_is_permanent() {
        let clients = Clients::new(&config("http://127.0.0.1:1"));
        let error = clients.iot.update_certificate().send().await;
        let error = classify("UpdateCertificate", Effect::Write, error.unwrap_err());
        assert_eq!(error.class, Class::Permanent, "{error}");
    }

    #[tokio::test]
    async fn an_endpoint_that_refuses_is_told_fast_and_as_transient() {
        // A port that was just given up by its only listener.
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let clients = Clients::new(&config(&format!("http://127.0.0.1:{port}")));
        let begun = tokio::time::Instant::now();
        let error = clients.sns.publish().topic_arn("arn:aws:sns:us-east-1:000000000000:t").message("m").send().await;
        let error = classify("Publish", Effect::Write, error.unwrap_err());
        assert_eq!(error.class, Class::Transient, "{error}");
        let error = clients.sqs.list_queues().send().await;
        let error = classify("ListQueues", Effect::Read, error.unwrap_err());
        assert_eq!(error.class, Class::Transient, "{error}");
        assert!(begun.elapsed() < Duration::from_secs(3), "{:?}", begun.elapsed());
    }

    #[tokio::test]
    async fn an_answer_that_stops_in_the_middle_ends_with_the_attempt() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let clients = Clients::new(&config(&format!("http://{}", listener.local_addr().unwrap())));
        tokio::spawn(async move {
            let mut held = Vec::new();
            while let Ok((mut stream, _)) = listener.accept().await {
                let begun = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 100\r\n\r\n{";
                stream.write_all(begun).await.unwrap();
                held.push(stream);
            }
        });
        let hurried = aws_sdk_iot::Config::builder().timeout_config(timeouts(Duration::from_millis(200)));
        let call = clients.iot.get_policy().policy_name("p").customize().config_override(hurried).send();
        let error = tokio::time::timeout(Duration::from_secs(20), call).await.expect("it ends").unwrap_err();
        assert_eq!(classify("GetPolicy", Effect::Read, error).class, Class::Transient);
    }

    #[derive(Default)]
    struct Attempts(std::sync::Mutex<Vec<(String, String, Option<Class>)>>);

    impl CallObserver for Attempts {
        fn attempted(&self, service: &str, operation: &str, _took: Duration, failed: Option<Class>) {
            self.0.lock().unwrap().push((service.to_owned(), operation.to_owned(), failed));
        }
    }

    #[tokio::test]
    async fn every_attempt_of_the_sdk_is_told_and_so_are_those_that_never_left() {
        let attempts = Arc::new(Attempts::default());
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let refusing = config(&format!("http://127.0.0.1:{port}"));
        assert!(Clients::observed(&refusing, Arc::clone(&attempts) as _).sqs.list_queues().send().await.is_err());
        let without =
            refusing.into_builder().credentials_provider(SharedCredentialsProvider::new(NoCredentials)).build();
        let call = Clients::observed(&without, Arc::clone(&attempts) as _).iot.get_policy().policy_name("p").send();
        assert!(call.await.is_err());
        let told = |service: &str, operation: &str, class| (service.to_owned(), operation.to_owned(), Some(class));
        let mut expected = vec![told("SQS", "ListQueues", Class::Transient); 3];
        expected.push(told("IoT", "GetPolicy", Class::Denied));
        assert_eq!(*attempts.0.lock().unwrap(), expected);
    }

    #[test]
    fn an_endpoint_has_a_scheme_and_a_host() {
        for right in ["http://127.0.0.1:4566", "https://iot.example.com/prefix", "http://[::1]:4566"] {
            assert!(is_endpoint(right), "{right}");
        }
        for wrong in
            ["", "nonsense", "127.0.0.1:4566", "ftp://host", "http://", "http:///path", "http://:80", "http://a b"]
        {
            assert!(!is_endpoint(wrong), "{wrong}");
        }
    }
}
