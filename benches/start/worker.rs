//! One start of the program, seen from outside.

use crate::endpoint::backlog::{Backlog, REGION};
use crate::endpoint::{DEAD_LETTERS, Endpoint, QUEUE, Record};
use crate::process;
use std::collections::BTreeMap;
use std::io;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Long polls that the worker keeps open: what `run` has by default.
const POLLERS: u64 = 4;

/// How often it is looked whether the worker is idle; the moments that count are noted by the endpoint.
const GLANCE: Duration = Duration::from_millis(2);

/// A worker that is not idle by then does not start at all.
const PATIENCE: Duration = Duration::from_secs(30);

/// What one start shows.
#[derive(Debug, Clone)]
pub struct Start {
    /// From the start of the process to its first request.
    pub to_first_request: Duration,
    /// From there to its first receive.
    pub to_first_receive: Duration,
    /// What it asked besides: the checks of the deployment, by service and operation.
    pub asked: BTreeMap<(&'static str, String), u64>,
    /// Memory once every long poll is open and the ledger knows of the worker, and the most until then, in bytes; where `/proc` tells.
    pub resident: Option<u64>,
    pub peak: Option<u64>,
}

impl Start {
    /// From the start of the process to the first receive.
    pub fn whole(&self) -> Duration {
        self.to_first_request + self.to_first_receive
    }
}

/// Starts a worker, waits until it is idle, and ends it.
///
/// # Errors
/// It cannot be started, it ends by itself, or it does not become idle.
pub fn start(arguments: &[&str], delay: Duration) -> io::Result<Start> {
    let endpoint = Endpoint::serve(Backlog::new(0, 0.0, 1), delay)?;
    let begun = Instant::now();
    let mut worker = Worker(spawn(&endpoint, arguments)?);
    let record = worker.until_idle(&endpoint, begun + PATIENCE)?;
    let (Some(request), Some(receive)) = (record.first_request, record.first_receive) else {
        return Err(io::Error::other("the endpoint noted no first receive"));
    };
    let mut asked = record.requests;
    asked.retain(|(_, operation), _| operation != RECEIVE && operation != NOTE);
    Ok(Start {
        to_first_request: request.at - begun,
        // The endpoint notes a receive when it begins to answer it.
        to_first_receive: (receive.at - request.at).saturating_sub(delay),
        asked,
        resident: process::memory(worker.0.id()),
        peak: process::peak_memory(worker.0.id()),
    })
}

const RECEIVE: &str = "ReceiveMessage";
/// The worker's note in the ledger, which it writes beside its first receive.
const NOTE: &str = "UpdateItem";

/// A worker process; it ends with this value.
struct Worker(Child);

impl Worker {
    fn until_idle(&mut self, endpoint: &Endpoint, deadline: Instant) -> io::Result<Record> {
        loop {
            let record = endpoint.record();
            let made = |service, operation: &str| record.requests.get(&(service, operation.to_owned())).copied();
            if made("SQS", RECEIVE) >= Some(POLLERS) && made("DynamoDB", NOTE).is_some() {
                return Ok(record);
            }
            if let Some(status) = self.0.try_wait()? {
                return Err(io::Error::other(format!("the worker ended too early: {status}")));
            }
            if Instant::now() >= deadline {
                return Err(io::Error::other(format!("the worker is not idle after {} s", PATIENCE.as_secs())));
            }
            std::thread::sleep(GLANCE);
        }
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// As a service would start it, but for the endpoint and for credentials that nobody has to be asked for.
fn spawn(endpoint: &Endpoint, arguments: &[&str]) -> io::Result<Child> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_fleetwarden"));
    command
        .env_clear()
        .env("AWS_ENDPOINT_URL", endpoint.url())
        .env("AWS_REGION", REGION)
        .env("AWS_ACCESS_KEY_ID", "benchmark")
        .env("AWS_SECRET_ACCESS_KEY", "benchmark")
        .env("FLEETWARDEN_QUEUE_URL", endpoint.queue_url(QUEUE))
        .env("FLEETWARDEN_DEAD_LETTER_QUEUE_URL", endpoint.queue_url(DEAD_LETTERS))
        .env("FLEETWARDEN_TABLE", "t")
        .args(["--log", "warn", "run"])
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::null());
    command.spawn()
}
