//! The listener: starting, serving, stopping.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use http::{Request, StatusCode};
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use thiserror::Error;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};

use super::control::AwsFaults;
use super::iot::{IotConfig, IotService};
use super::reply::reply;
use super::routing::Services;

/// The largest request body; SQS's own limit is 1 MiB for a batch, DynamoDB's 4 MB for a transaction.
const BODY_BYTES: usize = 4 << 20;

/// Where the sandbox listens and who it says it is.
#[derive(Clone, Debug)]
pub struct SandboxConfig {
    /// The port on 127.0.0.1; 0 takes any that is free.
    pub port: u16,
    /// The account, 12 digits.
    pub account: String,
    /// The region, as in `us-east-1`.
    pub region: String,
    /// The fleet. Its account and region are overwritten by those above.
    pub iot: IotConfig,
}

impl Default for SandboxConfig {
    fn default() -> Self {
        Self { port: 0, account: "123456789012".to_owned(), region: "us-east-1".to_owned(), iot: IotConfig::default() }
    }
}

/// Why the sandbox did not start.
#[derive(Debug, Error)]
pub enum SandboxError {
    /// Somebody else listens on the port.
    #[error(
        "port {port} on 127.0.0.1 is in use: stop what listens there, or choose another port (0 takes any that is free)"
    )]
    PortInUse {
        /// The port.
        port: u16,
    },
    /// The port could not be opened for another reason.
    #[error("listen on port {port} of 127.0.0.1: {source}")]
    Listen {
        /// The port.
        port: u16,
        /// What the system said.
        source: io::Error,
    },
}

/// A running sandbox. Dropping it closes the listener and every connection, and forgets all that was in it.
pub struct Sandbox {
    endpoint: String,
    region: String,
    services: Arc<Services>,
    listening: JoinHandle<()>,
}

impl Sandbox {
    /// Listens on 127.0.0.1 and serves empty services.
    ///
    /// # Errors
    /// [`SandboxError`] when the port cannot be had.
    pub async fn start(config: SandboxConfig) -> Result<Self, SandboxError> {
        let SandboxConfig { port, account, region, mut iot } = config;
        let failed = |source: io::Error| match source.kind() {
            io::ErrorKind::AddrInUse => SandboxError::PortInUse { port },
            _ => SandboxError::Listen { port, source },
        };
        let listener = TcpListener::bind(("127.0.0.1", port)).await.map_err(failed)?;
        let port = listener.local_addr().map_err(failed)?.port();
        iot.account.clone_from(&account);
        iot.region.clone_from(&region);
        let services = Arc::new(Services::new(account, region.clone(), port, iot));
        let listening = tokio::spawn(accept(listener, Arc::clone(&services)));
        Ok(Self { endpoint: format!("http://127.0.0.1:{port}"), region, services, listening })
    }

    /// The URL of every service here, such as `http://127.0.0.1:4566`.
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// The fleet: things, certificates, policies, audits.
    pub fn iot(&self) -> &IotService {
        &self.services.iot
    }

    /// Makes calls of SQS, SNS, DynamoDB and Service Quotas fail from now on, as `POST /_sandbox/aws-faults` does.
    ///
    /// # Errors
    /// A sentence when the rates are no rates; what was in force then stays.
    pub fn set_faults(&self, faults: AwsFaults) -> Result<(), String> {
        self.services.faults.set(faults)
    }

    /// The permissions that all calls so far would have needed of IAM, as `sqs:SendMessage`, and how many of them did.
    pub fn permissions(&self) -> BTreeMap<String, u64> {
        self.services.permissions()
    }

    /// Configuration for the Rust SDK's clients: this endpoint and region, and credentials that mean nothing.
    pub fn sdk_config(&self) -> SdkConfig {
        let credentials = Credentials::new("sandbox", "sandbox", None, None, "sandbox");
        SdkConfig::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new(self.region.clone()))
            .endpoint_url(&self.endpoint)
            .credentials_provider(SharedCredentialsProvider::new(credentials))
            .build()
    }

    /// The services, for tests that reach behind the listener.
    #[cfg(test)]
    pub(super) fn services(&self) -> &Services {
        &self.services
    }

    /// Closes the listener and every connection, and returns when that is done.
    pub async fn stop(mut self) {
        self.listening.abort();
        // The only outcome is the cancellation that was asked for.
        let _ = (&mut self.listening).await;
        self.services.shut_down().await;
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        self.listening.abort();
    }
}

/// Accepts until it is aborted; the connections end with it.
async fn accept(listener: TcpListener, services: Arc<Services>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    connections.spawn(serve(stream, Arc::clone(&services)));
                }
                Err(error) => {
                    // Out of file descriptors, most likely: give connections a moment to end.
                    tracing::warn!(%error, "the sandbox could not accept a connection");
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
            },
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn serve(stream: TcpStream, services: Arc<Services>) {
    // Small requests and replies: without this each waits for the acknowledgement of the one before.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "no TCP_NODELAY");
    }
    let service = service_fn(move |request| answer(request, Arc::clone(&services)));
    // An error here is a client that went away, or a connection dropped as a fault.
    let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
}

async fn answer(
    request: Request<Incoming>,
    services: Arc<Services>,
) -> Result<http::Response<Full<bytes::Bytes>>, io::Error> {
    let (head, body) = request.into_parts();
    let body = match Limited::new(body, BODY_BYTES).collect().await {
        Ok(body) => body.to_bytes(),
        Err(error) if error.is::<LengthLimitError>() => {
            let message = format!("the sandbox takes bodies of at most {BODY_BYTES} bytes");
            return Ok(reply(StatusCode::PAYLOAD_TOO_LARGE, "text/plain", message).map(Full::new));
        }
        Err(error) => return Err(io::Error::other(error)),
    };
    match services.answer(Request::from_parts(head, body)).await {
        Ok(reply) => Ok(reply.map(Full::new)),
        // An error ends the connection without a reply.
        Err(_drop) => Err(io::Error::other("dropped as a fault")),
    }
}
