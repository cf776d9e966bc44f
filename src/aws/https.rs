//! The SDK's own HTTPS client, for the few requests that no SDK makes.

use aws_smithy_http_client::proxy::ProxyConfig;
use aws_smithy_http_client::{Connector, tls};
use aws_smithy_runtime_api::client::http::HttpConnectorSettings;
use std::time::Duration;

/// As the SDK's own client is built: the same TLS, the same proxies of the environment. Reads the system's root certificates.
pub(crate) fn connect(timeout: Duration) -> Connector {
    let settings = HttpConnectorSettings::builder().connect_timeout(timeout).read_timeout(timeout).build();
    Connector::builder()
        .connector_settings(settings)
        .proxy_config(ProxyConfig::from_env())
        .tls_provider(tls::Provider::Rustls(tls::rustls_provider::CryptoMode::AwsLc))
        .build()
}
