//! An OpenTelemetry collector: takes traces over OTLP/HTTP and keeps them.

use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message;
use std::convert::Infallible;
use std::sync::{Arc, Mutex};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

pub struct Collector {
    pub endpoint: String,
    taken: Arc<Mutex<Taken>>,
    served: JoinHandle<()>,
}

#[derive(Default)]
struct Taken {
    requests: Vec<http::request::Parts>,
    spans: Vec<Span>,
    resource: Vec<KeyValue>,
}

impl Collector {
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let taken = Arc::new(Mutex::new(Taken::default()));
        let served = tokio::spawn({
            let taken = Arc::clone(&taken);
            async move {
                loop {
                    let (stream, _) = listener.accept().await.unwrap();
                    let taken = Arc::clone(&taken);
                    let take = service_fn(move |request| take(Arc::clone(&taken), request));
                    tokio::spawn(
                        hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), take),
                    );
                }
            }
        });
        Self { endpoint, taken, served }
    }

    pub fn spans(&self) -> Vec<Span> {
        self.taken.lock().unwrap().spans.clone()
    }

    /// Paths and one header of what was asked.
    pub fn requests(&self, header: &str) -> Vec<(String, Option<String>)> {
        let taken = self.taken.lock().unwrap();
        let requests = taken.requests.iter().map(|head| {
            (head.uri.path().to_owned(), head.headers.get(header).map(|value| value.to_str().unwrap().to_owned()))
        });
        requests.collect()
    }

    pub fn service(&self) -> String {
        text_of(&self.taken.lock().unwrap().resource, "service.name")
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        self.served.abort();
    }
}

async fn take(taken: Arc<Mutex<Taken>>, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let (head, body) = request.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    let batch = ExportTraceServiceRequest::decode(body).unwrap();
    let mut taken = taken.lock().unwrap();
    taken.requests.push(head);
    for part in batch.resource_spans {
        taken.resource = part.resource.unwrap().attributes;
        taken.spans.extend(part.scope_spans.into_iter().flat_map(|scope| scope.spans));
    }
    Ok(Response::new(Full::default()))
}

/// An attribute as text; empty where there is none.
pub fn text_of(attributes: &[KeyValue], name: &str) -> String {
    let value = attributes.iter().find(|attribute| attribute.key == name).and_then(|it| it.value.clone()?.value);
    match value {
        None => String::new(),
        Some(Value::StringValue(text)) => text,
        Some(Value::IntValue(n)) => n.to_string(),
        other => format!("{other:?}"),
    }
}
