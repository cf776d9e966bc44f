//! The way to the collector: OTLP in protobuf over the SDK's own HTTPS client, so that traces bring no second TLS stack.
//!
//! OpenTelemetry's batches are sent from a thread of its own, where no runtime is: each request is handed to ours and waited for there.
//! That thread sends one batch at a time, and what does not fit into its queue meanwhile is dropped: the work never waits.

use crate::aws::{connect, said};
use async_trait::async_trait;
use aws_smithy_http_client::Connector;
use aws_smithy_runtime_api::client::http::HttpConnector;
use aws_smithy_runtime_api::http::Request;
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::byte_stream::ByteStream;
use bytes::{Bytes, BytesMut};
use opentelemetry_http::{HttpClient, HttpError};
use opentelemetry_otlp::{ExporterBuildError, Protocol, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::{OTelSdkError, OTelSdkResult};
use opentelemetry_sdk::trace::{SpanData, SpanExporter};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::sync::oneshot;

/// One request: a batch of 512 spans has some 200 KB, and a collector stands next door. The exporter tries again up to three times.
const TIMEOUT: Duration = Duration::from_secs(5);

/// An answer says how many spans were refused, if any.
const MAX_ANSWER: usize = 64 * 1024;

/// What both ends of the way know.
#[derive(Debug, Default)]
struct State {
    /// The last batch did not get through.
    failing: AtomicBool,
    /// The program is about to end.
    ending: AtomicBool,
    /// What went wrong last.
    trouble: Mutex<String>,
}

/// Sends requests by the runtime that it was made in.
#[derive(Debug)]
struct Client {
    runtime: Handle,
    /// Made at the first request, since it reads the system's root certificates.
    connector: Arc<OnceLock<Connector>>,
    state: Arc<State>,
}

#[async_trait]
impl HttpClient for Client {
    async fn send_bytes(&self, request: http::Request<Bytes>) -> Result<http::Response<Bytes>, HttpError> {
        let (answer, answered) = oneshot::channel();
        let connector = Arc::clone(&self.connector);
        self.runtime.spawn(async move {
            let sent = tokio::time::timeout(TIMEOUT, send(&connector, request)).await;
            let late = || Err(format!("no answer within {} s", TIMEOUT.as_secs()).into());
            // Whoever waited is gone only with the program.
            let _ = answer.send(sent.unwrap_or_else(|_| late()));
        });
        let response = answered.await.unwrap_or_else(|_| Err("the program is ending".into()));
        match &response {
            Ok(response) if response.status().is_success() => {}
            Ok(response) => self.state.trouble(format!("HTTP status {}", response.status())),
            Err(error) => self.state.trouble(error.to_string()),
        }
        response
    }
}

async fn send(
    connector: &OnceLock<Connector>,
    request: http::Request<Bytes>,
) -> Result<http::Response<Bytes>, HttpError> {
    let (head, body) = request.into_parts();
    let mut request = Request::new(SdkBody::from(body));
    request.set_method(head.method.as_str())?;
    request.set_uri(head.uri.to_string())?;
    for (name, value) in &head.headers {
        request.headers_mut().try_insert(name.to_string(), value.to_str()?.to_owned())?;
    }
    let connector = connector.get_or_init(|| connect(TIMEOUT));
    let answer = connector.call(request).await.map_err(|error| said(&error))?;
    let mut response = http::Response::builder().status(answer.status().as_u16());
    if let Some(later) = answer.headers().get("retry-after") {
        response = response.header("retry-after", later);
    }
    let mut stream = ByteStream::new(answer.into_body());
    let mut body = BytesMut::new();
    while let Some(chunk) = stream.try_next().await? {
        body.extend_from_slice(&chunk);
        if body.len() > MAX_ANSWER {
            return Err(format!("its answer has more than {MAX_ANSWER} bytes").into());
        }
    }
    Ok(response.body(body.freeze())?)
}

impl State {
    fn trouble(&self, what: String) {
        *self.trouble.lock().unwrap_or_else(PoisonError::into_inner) = what;
    }
}

/// Sends batches of spans to a collector; says once that it is out of reach, and once that it is back.
#[derive(Debug)]
pub(super) struct Collector {
    inner: opentelemetry_otlp::SpanExporter,
    endpoint: String,
    state: Arc<State>,
}

/// Tells a [`Collector`] that the program is about to end.
#[derive(Debug)]
pub(super) struct Ending(Arc<State>);

impl Ending {
    /// From here on what follows a batch that did not get through is dropped at once.
    pub fn begin(&self) {
        self.0.ending.store(true, Ordering::Relaxed);
    }
}

impl Collector {
    /// `endpoint` is the whole URL. Nothing is sent yet.
    ///
    /// # Errors
    /// What the environment asks of the exporter and it cannot do.
    pub fn new(endpoint: String, runtime: Handle) -> Result<(Self, Ending), ExporterBuildError> {
        let state = Arc::new(State::default());
        let client = Client { runtime, connector: Arc::default(), state: Arc::clone(&state) };
        let inner = opentelemetry_otlp::SpanExporter::builder()
            .with_http()
            .with_http_client(client)
            .with_endpoint(endpoint.as_str())
            .with_protocol(Protocol::HttpBinary)
            .build()?;
        Ok((Self { inner, endpoint, state: Arc::clone(&state) }, Ending(state)))
    }
}

impl SpanExporter for Collector {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        if self.state.ending.load(Ordering::Relaxed) && self.state.failing.load(Ordering::Relaxed) {
            return Err(OTelSdkError::AlreadyShutdown);
        }
        let result = self.inner.export(batch).await;
        let failed_before = self.state.failing.swap(result.is_err(), Ordering::Relaxed);
        let endpoint = self.endpoint.as_str();
        match (&result, failed_before) {
            (Err(error), false) => {
                // The client's words say more than the exporter's, where it came to a request.
                let said = std::mem::take(&mut *self.state.trouble.lock().unwrap_or_else(PoisonError::into_inner));
                let trouble = if said.is_empty() { error.to_string() } else { said };
                tracing::warn!(
                    endpoint,
                    "failed to send traces: {trouble}; the work goes on, its traces are dropped until the collector answers"
                );
            }
            (Ok(()), true) => tracing::info!(endpoint, "the collector takes traces again"),
            _ => {}
        }
        result
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.inner.shutdown_with_timeout(timeout)
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.inner.force_flush()
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.inner.set_resource(resource);
    }
}
