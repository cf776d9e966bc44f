//! One backlog through one worker process.

use crate::endpoint::backlog::{Backlog, CHECK, REGION};
use crate::endpoint::{DEAD_LETTERS, Endpoint, Mark, QUEUE, Record};
use crate::process;
use std::error::Error;
use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// What keeps a run from coming to its end.
pub type Failure = Box<dyn Error + Send + Sync>;

/// How often it is looked whether the run is over.
const GLANCE: Duration = Duration::from_millis(50);
/// How long a worker may take until its first receive.
const START: Duration = Duration::from_secs(30);
/// How long a worker may take for all of its messages, and for each of them in addition.
const PATIENCE: (Duration, Duration) = (Duration::from_secs(10), Duration::from_millis(5));
/// How long an idle worker idles before its memory is read: polls are open, connections made, the first note written.
const IDLE: Duration = Duration::from_secs(2);
/// The highest that a quota can be set to: 100,000 calls a second.
const LIFTED: &str =
    "UpdateCertificate=100000,DescribeCertificate=100000,ListAuditFindings=100000,DescribeAuditFinding=100000";

/// What is to be run.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The worker.
    pub program: PathBuf,
    /// Messages in the queue.
    pub messages: u64,
    /// The part of them whose finding came before.
    pub duplicates: f64,
    /// Between a request and its answer.
    pub delay: Duration,
    /// Arguments of the worker beside those that it needs.
    pub arguments: Vec<String>,
    /// For the order of the messages.
    pub seed: u64,
}

/// What came of it.
#[derive(Debug, Clone)]
pub struct Measured {
    /// As the endpoint saw it.
    pub record: Record,
    /// The first receive, 99 % and 100 % of the messages.
    pub marks: [Mark; 3],
    /// Messages in all.
    pub messages: u64,
    /// The most memory that the worker ever had, bytes.
    pub peak_memory: u64,
}

impl Measured {
    /// From the first receive to the last delete.
    pub fn took(&self) -> Duration {
        self.marks[2].at - self.marks[0].at
    }

    /// From the first receive to 99 %.
    pub fn to_99(&self) -> Duration {
        self.marks[1].at - self.marks[0].at
    }

    /// From 99 % to 100 %.
    pub fn tail(&self) -> Duration {
        self.marks[2].at - self.marks[1].at
    }

    /// CPU time of the worker in between.
    pub fn cpu(&self) -> Duration {
        self.marks[2].cpu.saturating_sub(self.marks[0].cpu)
    }

    /// CPU time of the endpoint in between.
    pub fn endpoint_cpu(&self) -> Duration {
        self.marks[2].own_cpu.saturating_sub(self.marks[0].own_cpu)
    }

    /// Messages a second.
    pub fn rate(&self) -> f64 {
        self.messages as f64 / self.took().as_secs_f64()
    }

    /// Requests to a service, but for those that are the action itself.
    pub fn requests(&self, service: &str) -> u64 {
        let own = |operation: &str| matches!(operation, "DescribeCertificate" | "UpdateCertificate");
        let requests = self.record.requests.iter();
        requests.filter(|((of, operation), _)| *of == service && !own(operation)).map(|(_, count)| count).sum()
    }
}

/// A worker process; it ends with this value.
struct Worker(Child);

impl Worker {
    fn start(program: &Path, endpoint: &Endpoint, policy: &Path, arguments: &[String]) -> Result<Self, Failure> {
        let mut command = Command::new(program);
        command
            .env_clear()
            .env("AWS_ENDPOINT_URL", endpoint.url())
            .env("AWS_REGION", REGION)
            .env("AWS_ACCESS_KEY_ID", "benchmark")
            .env("AWS_SECRET_ACCESS_KEY", "benchmark")
            .env("AWS_EC2_METADATA_DISABLED", "true")
            .env("FLEETWARDEN_QUEUE_URL", endpoint.queue_url(QUEUE))
            .env("FLEETWARDEN_DEAD_LETTER_QUEUE_URL", endpoint.queue_url(DEAD_LETTERS))
            .env("FLEETWARDEN_TABLE", "t")
            .args(["--log", "warn", "run", "--worker-id", "benchmark", "--quota", LIFTED, "--policy"])
            .arg(policy)
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::null());
        let child = command.spawn().map_err(|error| format!("{} cannot be started: {error}", program.display()))?;
        endpoint.watch(child.id());
        Ok(Self(child))
    }

    fn is_alive(&mut self) -> Result<(), Failure> {
        match self.0.try_wait()? {
            Some(status) => Err(format!("the worker ended too early: {status}").into()),
            None => Ok(()),
        }
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        // All that it had to do is done, or the run failed.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn policy() -> std::io::Result<tempfile::NamedTempFile> {
    let mut file = tempfile::Builder::new().suffix(".yaml").tempfile()?;
    write!(
        file,
        "version: 1\nmode: enforce\nrules:\n  - name: deactivate\n    match:\n      check: [{CHECK}]\n    actions:\n      - type: UPDATE_DEVICE_CERTIFICATE\n"
    )?;
    Ok(file)
}

/// The memory of a worker that has nothing to do, bytes.
///
/// # Errors
/// It does not start.
pub fn idle_memory(program: &Path) -> Result<u64, Failure> {
    let endpoint = Endpoint::serve(Backlog::new(0, 0.0, 1), Duration::ZERO)?;
    let policy = policy()?;
    let mut worker = Worker::start(program, &endpoint, policy.path(), &[])?;
    wait(&mut worker, START, || endpoint.record().first_receive.is_some())?;
    std::thread::sleep(IDLE);
    process::memory(worker.0.id()).ok_or_else(|| "the memory of the worker cannot be read".into())
}

/// Runs a backlog to its last delete.
///
/// # Errors
/// The worker ends too early, takes too long, or loses something.
pub fn run(plan: &Plan) -> Result<Measured, Failure> {
    let backlog = Backlog::new(plan.messages, plan.duplicates, plan.seed);
    let findings = backlog.findings();
    let endpoint = Endpoint::serve(backlog, plan.delay)?;
    let policy = policy()?;
    let mut worker = Worker::start(&plan.program, &endpoint, policy.path(), &plan.arguments)?;
    wait(&mut worker, START, || endpoint.record().first_receive.is_some())?;
    let patience = PATIENCE.0 + PATIENCE.1 * u32::try_from(plan.messages)?;
    let shown = std::io::stderr().is_terminal();
    let done = wait(&mut worker, patience, || {
        let (deleted, all) = endpoint.progress();
        if shown {
            eprint!("\r  {deleted} of {all} ");
        }
        deleted == all
    });
    done.map_err(|error| format!("{error}; what it did: {:?}", endpoint.record().requests))?;
    if shown {
        eprint!("\r                              \r");
    }
    let record = endpoint.record();
    let peak_memory = process::peak_memory(worker.0.id()).ok_or("the memory of the worker cannot be read")?;
    let (Some(first), Some(most), Some(all)) = (record.first_receive, record.most, record.all) else {
        return Err("the endpoint noted no end".into());
    };
    let Record { dead, mitigated, mitigated_twice, .. } = record;
    if dead > 0 || mitigated_twice > 0 || mitigated != findings {
        return Err(format!(
            "of {findings} certificates {mitigated} were deactivated, {mitigated_twice} twice, and {dead} dead letters sent"
        )
        .into());
    }
    Ok(Measured { record, marks: [first, most, all], messages: plan.messages, peak_memory })
}

fn wait(worker: &mut Worker, patience: Duration, mut over: impl FnMut() -> bool) -> Result<(), Failure> {
    let deadline = Instant::now() + patience;
    while !over() {
        worker.is_alive()?;
        if Instant::now() >= deadline {
            return Err(format!("the worker has not come to its end after {} s", patience.as_secs()).into());
        }
        std::thread::sleep(GLANCE);
    }
    Ok(())
}
