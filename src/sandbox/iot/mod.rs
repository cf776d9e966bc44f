//! AWS IoT and Device Defender: a placeholder with the agreed interface, so that the listener compiles.

use std::sync::Arc;

use bytes::Bytes;

/// A fault: the listener closes the socket without a reply.
#[derive(Debug)]
pub struct DropConnection;

/// How the fleet is set up.
#[derive(Clone, Debug, Default)]
pub struct IotConfig {
    /// The account, 12 digits.
    pub account: String,
    /// The region, as in `us-east-1`.
    pub region: String,
}

/// Where findings and notifications are published.
#[async_trait::async_trait]
pub trait TopicPublisher: Send + Sync {
    /// Publishes `message` to the topic; the error is a sentence.
    async fn publish(&self, topic_arn: &str, message: String) -> Result<(), String>;
}

/// A cheap handle on the model of a fleet.
#[derive(Clone)]
pub struct IotService {
    _publisher: Arc<dyn TopicPublisher>,
}

impl IotService {
    /// A fleet that publishes through `publisher`.
    pub fn new(_config: IotConfig, publisher: Arc<dyn TopicPublisher>) -> Self {
        Self { _publisher: publisher }
    }

    /// Answers one request of the IoT REST API.
    ///
    /// # Errors
    /// [`DropConnection`] asks the listener to close the socket.
    pub async fn handle(&self, _request: http::Request<Bytes>) -> Result<http::Response<Bytes>, DropConnection> {
        let mut response = http::Response::new(Bytes::new());
        *response.status_mut() = http::StatusCode::NOT_FOUND;
        Ok(response)
    }
}
