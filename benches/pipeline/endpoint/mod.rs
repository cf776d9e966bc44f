//! A lean AWS on a thread of its own: what a worker's life asks for, answered from memory with as little work as possible, so that
//! what is measured is the worker. It checks no signatures and throttles nobody.

mod account;
pub mod backlog;
mod queue;
mod table;

use crate::process;
use account::Account;
use backlog::{ACCOUNT, Backlog, REGION};
use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use queue::{Queue, Receive};
use serde_json::Value;
use std::collections::BTreeMap;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use table::Table;
use tokio::net::TcpListener;
use tokio::sync::oneshot;

/// The queue's name.
pub const QUEUE: &str = "findings";
/// Where nothing is to arrive.
pub const DEAD_LETTERS: &str = "findings-dead";

/// How often a receive on an empty queue looks again.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// A moment of the run.
#[derive(Debug, Clone, Copy)]
pub struct Mark {
    /// When.
    pub at: Instant,
    /// Processor time of the worker until then.
    pub cpu: Duration,
    /// Processor time of this process, which is the endpoint's, until then.
    pub own_cpu: Duration,
}

/// What has happened so far.
#[derive(Debug, Clone, Default)]
pub struct Record {
    /// Requests by service and operation.
    pub requests: BTreeMap<(&'static str, String), u64>,
    /// The first request of any kind.
    pub first_request: Option<Mark>,
    /// The first receive was asked for.
    pub first_receive: Option<Mark>,
    /// 99 % of the messages are deleted.
    pub most: Option<Mark>,
    /// All messages are deleted.
    pub all: Option<Mark>,
    /// Messages that were handed out again, because their time was over or they were given back.
    pub received_again: u64,
    /// Certificates that are not active any more.
    pub mitigated: u64,
    /// Certificates that were deactivated a second time.
    pub mitigated_twice: u64,
    /// Messages sent to the dead-letter queue.
    pub dead: u64,
}

struct State {
    queue: Queue,
    table: Table,
    account: Account,
    record: Record,
    worker: Option<u32>,
}

/// Served until it is dropped.
pub struct Endpoint {
    address: SocketAddr,
    state: Arc<Mutex<State>>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Endpoint {
    /// Serves a backlog on loopback. Each answer comes `delay` after its request.
    ///
    /// # Errors
    /// Loopback cannot be listened on, or no thread started.
    pub fn serve(backlog: Backlog, delay: Duration) -> std::io::Result<Self> {
        let (queue, table, account) = (Queue::new(backlog), Table::default(), Account::default());
        let state = State { queue, table, account, record: Record::default(), worker: None };
        let state = Arc::new(Mutex::new(state));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0"))?;
        let address = listener.local_addr()?;
        let (stop, stopped) = oneshot::channel();
        let thread = std::thread::Builder::new().name("endpoint".to_owned()).spawn({
            let state = Arc::clone(&state);
            move || runtime.block_on(accept(listener, state, delay, stopped))
        })?;
        Ok(Self { address, state, stop: Some(stop), thread: Some(thread) })
    }

    /// `http://127.0.0.1:<port>`
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The URL of the queue with this name.
    pub fn queue_url(&self, name: &str) -> String {
        format!("{}/{ACCOUNT}/{name}", self.url())
    }

    /// The process whose time is to be read at each mark.
    pub fn watch(&self, worker: u32) {
        lock(&self.state).worker = Some(worker);
    }

    /// What has happened so far.
    pub fn record(&self) -> Record {
        let state = lock(&self.state);
        Record {
            received_again: state.queue.received_again,
            mitigated: state.account.inactive(),
            mitigated_twice: state.account.twice,
            ..state.record.clone()
        }
    }

    /// Messages deleted, and messages in all.
    pub fn progress(&self) -> (u64, u64) {
        lock(&self.state).queue.progress()
    }
}

impl Drop for Endpoint {
    fn drop(&mut self) {
        if let Some(stop) = self.stop.take() {
            let _ = stop.send(());
        }
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn accept(listener: TcpListener, state: Arc<Mutex<State>>, delay: Duration, mut stopped: oneshot::Receiver<()>) {
    loop {
        let accepted = tokio::select! {
            _ = &mut stopped => return,
            accepted = listener.accept() => accepted,
        };
        let Ok((stream, _)) = accepted else { continue };
        let _ = stream.set_nodelay(true);
        let state = Arc::clone(&state);
        tokio::spawn(async move {
            let service = service_fn(|request| {
                let state = Arc::clone(&state);
                async move { Ok::<_, Infallible>(answer(&state, request, delay).await) }
            });
            let _ = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

async fn answer(state: &Mutex<State>, request: Request<Incoming>, delay: Duration) -> Response<Full<Bytes>> {
    lock(state).note(|record| &mut record.first_request);
    if !delay.is_zero() {
        tokio::time::sleep(delay).await;
    }
    let (head, body) = request.into_parts();
    let Ok(body) = body.collect().await else { return reply(StatusCode::BAD_REQUEST, "{}".to_owned()) };
    let body = body.to_bytes();
    let target = head.headers.get("x-amz-target").and_then(|target| target.to_str().ok());
    let answered = match target.and_then(|target| target.rsplit_once('.')) {
        Some((_, "ReceiveMessage")) => receive(state, &body).await,
        Some((service, operation)) if service.starts_with("AmazonSQS") => lock(state).sqs(operation, &body),
        Some((_, operation)) => lock(state).dynamodb(operation, &body),
        None => lock(state).iot(&head.method, head.uri.path(), &body),
    };
    let (status, text) = answered.unwrap_or_else(|error| {
        eprintln!("the endpoint does not understand a request: {error}");
        (StatusCode::BAD_REQUEST, r#"{"__type":"ValidationException"}"#.to_owned())
    });
    reply(status, text)
}

type Answer = serde_json::Result<(StatusCode, String)>;

fn ok(text: impl ToString) -> Answer {
    Ok((StatusCode::OK, text.to_string()))
}

fn reply(status: StatusCode, text: String) -> Response<Full<Bytes>> {
    let mut reply = Response::new(Full::new(Bytes::from(text)));
    *reply.status_mut() = status;
    reply.headers_mut().insert(http::header::CONTENT_TYPE, HeaderValue::from_static("application/x-amz-json-1.0"));
    reply.headers_mut().insert("x-amzn-requestid", HeaderValue::from_static("00000000-0000-4000-8000-000000000000"));
    reply
}

async fn receive(state: &Mutex<State>, body: &[u8]) -> Answer {
    let receive: Receive = serde_json::from_slice(body)?;
    {
        let mut state = lock(state);
        state.count("SQS", "ReceiveMessage");
        state.note(|record| &mut record.first_receive);
    }
    let deadline = Instant::now() + Duration::from_secs(receive.wait_time_seconds);
    loop {
        if let Some(messages) = lock(state).queue.receive(&receive) {
            return ok(messages);
        }
        if Instant::now() >= deadline {
            return ok("{}");
        }
        tokio::time::sleep(LOOK_AGAIN).await;
    }
}

impl State {
    fn count(&mut self, service: &'static str, operation: &str) {
        match self.record.requests.get_mut(&(service, operation.to_owned())) {
            Some(count) => *count += 1,
            None => drop(self.record.requests.insert((service, operation.to_owned()), 1)),
        }
    }

    /// Marks this moment, once.
    fn note(&mut self, which: impl Fn(&mut Record) -> &mut Option<Mark>) {
        if which(&mut self.record).is_none() {
            let cpu = self.worker.and_then(process::cpu).unwrap_or_default();
            let own_cpu = process::cpu(std::process::id()).unwrap_or_default();
            *which(&mut self.record) = Some(Mark { at: Instant::now(), cpu, own_cpu });
        }
    }

    fn sqs(&mut self, operation: &str, body: &[u8]) -> Answer {
        self.count("SQS", operation);
        match operation {
            "DeleteMessageBatch" => {
                let answer = self.queue.delete(body)?;
                let (deleted, all) = self.queue.progress();
                if deleted * 100 >= all * 99 {
                    self.note(|record| &mut record.most);
                }
                if deleted == all {
                    self.note(|record| &mut record.all);
                }
                ok(answer)
            }
            "ChangeMessageVisibilityBatch" => ok(self.queue.change_visibility(body)?),
            "SendMessageBatch" => {
                let (answer, sent) = queue::send(body)?;
                self.record.dead += sent;
                ok(answer)
            }
            "GetQueueAttributes" => {
                let request: Value = serde_json::from_slice(body)?;
                let url = request["QueueUrl"].as_str().unwrap_or_default();
                ok(self.queue.attributes(url.rsplit('/').next().unwrap_or_default()))
            }
            _ => unknown(operation),
        }
    }

    fn dynamodb(&mut self, operation: &str, body: &[u8]) -> Answer {
        self.count("DynamoDB", operation);
        match operation {
            "BatchExecuteStatement" => ok(self.table.execute(body)?),
            "GetItem" => ok(self.table.get(body)?),
            "UpdateItem" => match self.table.update(body)? {
                Ok(answer) => ok(answer),
                Err(item) => {
                    let refused = "com.amazonaws.dynamodb.v20120810#ConditionalCheckFailedException";
                    let answer = serde_json::json!({ "__type": refused, "message": "refused", "Item": item });
                    Ok((StatusCode::BAD_REQUEST, answer.to_string()))
                }
            },
            "DescribeTable" => ok(table::description()),
            _ => unknown(operation),
        }
    }

    fn iot(&mut self, method: &Method, path: &str, body: &[u8]) -> Answer {
        if let Some(id) = path.strip_prefix("/certificates/") {
            if method == Method::PUT {
                self.count("IoT", "UpdateCertificate");
                self.account.deactivate(id);
                return ok("");
            }
            self.count("IoT", "DescribeCertificate");
            return ok(self.account.describe(id));
        }
        if let Some(id) = path.strip_prefix("/audit/findings/") {
            self.count("IoT", "DescribeAuditFinding");
            return Ok(account::finding(id));
        }
        match path {
            "/audit/findings" => {
                self.count("IoT", "ListAuditFindings");
                ok(account::list(self.queue.backlog(), body)?)
            }
            _ => unknown(path),
        }
    }
}

/// Whatever else is asked for is told on standard error: the worker then does something that is not measured.
fn unknown(what: &str) -> Answer {
    eprintln!("the endpoint was asked for {what}, which it does not know, in {REGION}");
    Ok((StatusCode::BAD_REQUEST, r#"{"__type":"UnknownOperationException"}"#.to_owned()))
}
