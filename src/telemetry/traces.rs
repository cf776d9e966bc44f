//! Traces over OTLP: off unless an endpoint is given.
//!
//! `--otlp` and FLEETWARDEN_OTLP alone switch them on: a platform that sets OTEL_EXPORTER_OTLP_ENDPOINT for every task does not thereby
//! ask this one for traces. Once on, the standard variables apply that the libraries read themselves: OTEL_EXPORTER_OTLP_HEADERS (and
//! `_TRACES_HEADERS`), OTEL_EXPORTER_OTLP_TIMEOUT, OTEL_SERVICE_NAME, OTEL_RESOURCE_ATTRIBUTES, OTEL_TRACES_SAMPLER and its `_ARG`
//! (default: every finding), OTEL_BSP_SCHEDULE_DELAY, OTEL_BSP_MAX_QUEUE_SIZE (default: 2048 spans are held, more are dropped: P8).

use super::collector::{Collector, Ending};
use super::spans::TARGET;
use opentelemetry::trace::TracerProvider;
use opentelemetry::{Key, KeyValue};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::SdkTracerProvider;
use std::time::Duration;
use tracing::Subscriber;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::Layer;
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::registry::LookupSpan;

/// How long the last spans may take at the end of the program, after the drain.
const FLUSH: Duration = Duration::from_secs(3);

/// Where OTLP over HTTP takes traces, below the endpoint. Source: OpenTelemetry, "OTLP Exporter Configuration".
const PATH: &str = "/v1/traces";

/// The traces of this process, on their way to a collector.
#[derive(Debug)]
pub struct Traces {
    provider: SdkTracerProvider,
    ending: Ending,
}

impl Traces {
    /// Begins to send the spans of `spans.rs` to the collector at `endpoint` (`http://localhost:4318`, as in
    /// OTEL_EXPORTER_OTLP_ENDPOINT, to which `/v1/traces` is added), from within the runtime that is to send them.
    ///
    /// # Errors
    /// A sentence: the endpoint is none, or the standard variables ask for what the exporter cannot do.
    pub fn start<S>(endpoint: &str) -> Result<(Self, impl Layer<S> + Send + Sync + 'static), String>
    where
        S: Subscriber + for<'a> LookupSpan<'a> + Send + Sync,
    {
        let (collector, ending) = Collector::new(url(endpoint)?, tokio::runtime::Handle::current())
            .map_err(|error| format!("{error}; correct the OTEL_EXPORTER_OTLP_* variables, or unset them"))?;
        let provider = SdkTracerProvider::builder().with_resource(resource()).with_batch_exporter(collector).build();
        let ours = filter_fn(|metadata| metadata.is_span() && metadata.target() == TARGET);
        let layer = tracing_opentelemetry::layer()
            .with_tracer(provider.tracer("fleetwarden"))
            .with_location(false)
            .with_threads(false)
            .with_target(false)
            .with_tracked_inactivity(false)
            // Parents are told by our own spans alone.
            .with_context_activation(false)
            .with_filter(ours.with_max_level_hint(LevelFilter::INFO));
        Ok((Self { provider, ending }, layer))
    }

    /// Sends what is left, for so long at most; what a collector does not take by then is dropped.
    pub async fn end(self) {
        self.ending.begin();
        let provider = self.provider;
        // It blocks while the runtime sends.
        let flushed = tokio::task::spawn_blocking(move || provider.shutdown_with_timeout(FLUSH)).await;
        if !matches!(flushed, Ok(Ok(()))) {
            tracing::warn!("the last traces could not be sent within {} s, and are dropped", FLUSH.as_secs());
        }
    }
}

/// What the environment says of this service, and its name and version where it says nothing.
fn resource() -> Resource {
    let told = Resource::builder().build();
    let name = told.get(&Key::from_static_str("service.name")).map(|name| name.to_string());
    let mut resource = Resource::builder();
    // OpenTelemetry's own default where neither variable names it.
    if name.is_none_or(|name| name.starts_with("unknown_service")) {
        resource = resource.with_service_name("fleetwarden");
    }
    resource.with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION"))).build()
}

/// The whole URL. The text is not repeated in the error: it may hold a password.
fn url(endpoint: &str) -> Result<String, String> {
    let written = || "--otlp is no address; write the collector's, such as http://localhost:4318".to_owned();
    let uri: http::Uri = endpoint.parse().map_err(|_| written())?;
    let authority = uri.authority().ok_or_else(written)?;
    if !matches!(uri.scheme_str(), Some("http" | "https")) || uri.query().is_some() || authority.host().is_empty() {
        return Err(written());
    }
    if authority.as_str().contains('@') {
        return Err("--otlp has credentials in its address; put them into OTEL_EXPORTER_OTLP_HEADERS".to_owned());
    }
    Ok(format!("{}{PATH}", endpoint.trim_end_matches('/').trim_end_matches(PATH)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_path_is_added_to_an_endpoint_once() {
        for (endpoint, whole) in [
            ("http://127.0.0.1:4318", "http://127.0.0.1:4318/v1/traces"),
            ("https://collector.example/prefix/", "https://collector.example/prefix/v1/traces"),
            ("http://[::1]:4318/v1/traces", "http://[::1]:4318/v1/traces"),
        ] {
            assert_eq!(url(endpoint).as_deref(), Ok(whole));
        }
    }

    #[test]
    fn an_endpoint_has_a_scheme_and_a_host_and_no_credentials() {
        for wrong in ["", "on", "localhost:4318", "grpc://a:4317", "http://", "/v1/traces", "http://a/?b", "http://a b"]
        {
            assert!(url(wrong).unwrap_err().contains("http://localhost:4318"), "{wrong}");
        }
        let refused = url("https://user:secret@collector.example").unwrap_err();
        assert!(refused.contains("OTEL_EXPORTER_OTLP_HEADERS") && !refused.contains("secret"), "{refused}");
    }
}
