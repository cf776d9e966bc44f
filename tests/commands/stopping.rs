//! How a worker process ends: by a signal under load, by a second signal, and before it began.

use super::bench::{Bench, ENFORCE};
use fleetwarden::finding::{Finding, Resource, ResourceIdentifier, Severity, encode_own};
use fleetwarden::ledger::{DynamoLedger, Filter, Ledger, Record, Status};
use fleetwarden::queue::{BATCH, Outgoing, Queue, SqsQueue};
use fleetwarden::sandbox::iot::{CertificateStatus, FaultKind, FaultRule, Faults};
use std::collections::{BTreeMap, BTreeSet};
use std::process::Stdio;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout};

/// What a busy machine may take for anything that is not timed here.
const PATIENCE: Duration = Duration::from_secs(60);

/// A bench with so many findings on the queue, each about an active certificate of its own.
pub struct Load {
    pub bench: Bench,
    queue: SqsQueue,
    certificates: Vec<String>,
}

impl Load {
    pub async fn new(findings: usize) -> Self {
        let bench = Bench::new().await;
        let certificates = bench
            .sandbox
            .iot()
            .with_fleet(|fleet| (0..findings).map(|_| fleet.create_certificate(true)).collect::<Vec<_>>());
        let findings: Vec<_> = certificates.iter().enumerate().map(|(n, id)| finding(n, id)).collect();
        bench.sandbox.iot().with_fleet(|fleet| {
            findings.iter().for_each(|finding| fleet.plant_finding(&finding.to_native()).unwrap());
        });
        let queue = SqsQueue::new(bench.clients.sqs.clone(), &bench.made.queue_url);
        for batch in findings.chunks(BATCH) {
            let bodies = batch.iter().map(|finding| Outgoing::new(&encode_own(finding, None), BTreeMap::new()));
            assert!(queue.send(&bodies.collect::<Vec<_>>()).await.unwrap().iter().all(Result::is_ok));
        }
        Self { bench, queue, certificates }
    }

    /// From now on nobody is told of a certificate, and waits for it. (A starting worker asks for a finding.)
    pub fn hang(&self) {
        let rules = vec![FaultRule::new("DescribeCertificate", 1.0, FaultKind::Hang { ms: 600_000 })];
        self.bench.sandbox.iot().set_faults(Faults { seed: 1, rules });
    }

    fn run(&self, arguments: &[&str]) -> Process {
        let policy = self.bench.file("policy.yaml", ENFORCE);
        let mut command = self.bench.command();
        command.args(["--log", "debug", "run", "--policy", &policy]).args(arguments);
        Process::start(command)
    }

    fn inactive(&self) -> usize {
        self.bench.sandbox.iot().with_fleet(|fleet| {
            let inactive = |id: &&String| fleet.certificate(id).unwrap().status == CertificateStatus::Inactive;
            self.certificates.iter().filter(inactive).count()
        })
    }

    /// Ids of all messages that can be received right now.
    async fn visible(&self) -> BTreeSet<String> {
        let mut ids = BTreeSet::new();
        loop {
            let batch = self.queue.receive(BATCH, Duration::ZERO, Duration::from_secs(600)).await.unwrap();
            if batch.is_empty() {
                return ids;
            }
            ids.extend(batch.into_iter().map(|message| message.message_id));
        }
    }

    async fn records(&self) -> Vec<Record> {
        let ledger = DynamoLedger::new(self.bench.clients.dynamodb.clone(), &self.bench.made.table);
        let (mut records, mut next) = (Vec::new(), None);
        loop {
            let page = ledger.list(&Filter::default(), 1000, next).await.unwrap();
            records.extend(page.records);
            next = page.next;
            if next.is_none() {
                return records;
            }
        }
    }
}

fn finding(n: usize, certificate: &str) -> Finding {
    let identifier = ResourceIdentifier::DeviceCertificate(certificate.to_owned());
    Finding {
        finding_id: format!("load-{n}"),
        account: "123456789012".into(),
        region: "us-east-1".into(),
        task_id: Some("audit-1".into()),
        check: "DEVICE_CERTIFICATE_SHARED_CHECK".into(),
        reason_code: "CERTIFICATE_SHARED_BY_MULTIPLE_DEVICES".into(),
        reason: "Words.".into(),
        severity: Severity::Critical,
        resource: Resource { kind: "DEVICE_CERTIFICATE".into(), identifier, additional_info: BTreeMap::new() },
        related: Vec::new(),
        suppressed: false,
        found_at: Some(1_791_014_401_000),
        audit_started_at: Some(1_791_014_400_000),
    }
}

/// A worker at work, and what it logs.
pub struct Process {
    child: Child,
    lines: mpsc::UnboundedReceiver<String>,
}

impl Process {
    /// A worker whose log is read.
    pub fn start(mut command: Command) -> Self {
        let mut child = command.stderr(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
        let mut stderr = BufReader::new(child.stderr.take().unwrap()).lines();
        let (said, lines) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            while let Ok(Some(line)) = stderr.next_line().await {
                let _ = said.send(line);
            }
        });
        Self { child, lines }
    }

    /// Waits for so many lines that hold these words; the last of them.
    pub async fn says(&mut self, words: &str, mut times: usize) -> String {
        let mut last = String::new();
        let read = async {
            while times > 0 {
                let Some(line) = self.lines.recv().await else { panic!("the worker ended: {last}") };
                last.clone_from(&line);
                times -= usize::from(line.contains(words));
            }
        };
        timeout(PATIENCE, read).await.unwrap_or_else(|_| panic!("`{words}` is not said"));
        last
    }

    /// Without a chance to say anything.
    pub async fn kill(&mut self) {
        self.child.kill().await.unwrap();
    }

    pub async fn terminate(&self) -> Instant {
        let pid = self.child.id().unwrap().to_string();
        let sent = Instant::now();
        assert!(Command::new("kill").args(["-TERM", &pid]).status().await.unwrap().success());
        sent
    }

    pub async fn ends(&mut self) -> Option<i32> {
        timeout(PATIENCE, self.child.wait()).await.expect("it ends").unwrap().code()
    }
}

#[tokio::test]
async fn sigterm_under_load_ends_within_the_drain_with_exit_code_0_and_gives_back_within_a_second_what_was_not_begun() {
    let load = Load::new(150).await;
    // Eight a second are mitigated: most wait for a long time.
    let mut worker = load.run(&["--concurrency", "8", "--drain", "15s"]);
    worker.says("claimed", 150).await;
    worker.says("mitigated", 3).await;
    let asked = worker.terminate().await;
    // At most eight were begun and not done.
    let least = 150 - load.inactive() as u64 - 8;
    while load.queue.depth().await.unwrap().visible < least {
        assert!(asked.elapsed() < PATIENCE, "what was not begun is not given back");
    }
    let given_back = asked.elapsed();
    assert_eq!(worker.ends().await, Some(0));
    let ended = asked.elapsed();
    let visible = load.visible().await;
    assert!(given_back < Duration::from_secs(1), "given back after {given_back:?}");
    assert!(ended < Duration::from_secs(15), "ended after {ended:?}");
    assert_eq!(visible.len(), 150 - load.inactive(), "a receive right after brings all that is not done");
    let records = load.records().await;
    assert_eq!(records.len(), 150);
    let done = records.iter().filter(|record| record.status == Status::Mitigated).count();
    let released = records.iter().filter(|record| (record.status, record.attempts) == (Status::Waiting, 0)).count();
    assert_eq!((done, released), (load.inactive(), visible.len()), "no lease is held, no attempt is spent");
    assert_eq!(load.bench.depths().await, (visible.len() as i64, 0));
}

#[tokio::test]
async fn sigterm_while_calls_hang_ends_at_the_drain_deadline_with_exit_code_0_and_strands_nothing() {
    let load = Load::new(40).await;
    load.hang();
    // Quotas that serve all forty soon: they are claimed at once.
    let quotas = "UpdateCertificate=1000,DescribeCertificate=1000,DescribeAuditFinding=1000";
    let mut worker = load.run(&["--concurrency", "8", "--drain", "1s", "--quota", quotas]);
    worker.says("claimed", 40).await;
    let asked = worker.terminate().await;
    assert_eq!(worker.ends().await, Some(0));
    let ended = asked.elapsed();
    assert_eq!(load.visible().await.len(), 40, "all are visible as soon as it ended");
    // The poll under way may take one second, and the drain one; the rest is writing down.
    assert!(ended < Duration::from_secs(5), "ended after {ended:?}");
    assert!(load.records().await.iter().all(|record| (record.status, record.attempts) == (Status::Waiting, 0)));
}

#[tokio::test]
async fn a_second_signal_ends_at_once_with_exit_code_1_and_the_messages_come_back() {
    let load = Load::new(12).await;
    load.hang();
    let mut worker = load.run(&["--concurrency", "4", "--lease", "30s", "--drain", "60s"]);
    worker.says("claimed", 12).await;
    worker.terminate().await;
    worker.says("a second signal ends at once", 1).await;
    let asked = worker.terminate().await;
    assert_eq!(worker.ends().await, Some(1));
    assert!(asked.elapsed() < Duration::from_secs(2), "ended after {:?}", asked.elapsed());
    assert_eq!(load.bench.depths().await, (12, 0), "nothing was deleted");
    // The four that it had begun come back when their visibility timeout of 30 s is over.
    load.bench.sandbox.iot().set_faults(Faults::default());
    let mut next = load.run(&["--until-empty"]);
    assert_eq!(next.ends().await, Some(0));
    assert_eq!((load.inactive(), load.bench.depths().await), (12, (0, 0)));
    assert!(load.records().await.iter().all(|record| record.status == Status::Mitigated));
}

#[tokio::test]
async fn a_queue_that_is_missing_at_start_is_exit_code_2_with_a_sentence() {
    let bench = Bench::new().await;
    let nowhere = bench.made.queue_url.replace("fleetwarden", "nowhere");
    assert_ne!(nowhere, bench.made.queue_url);
    let began = Instant::now();
    let ran = bench.run(&["run", "--queue-url", &nowhere]).await;
    assert_eq!((ran.code, ran.out.as_str()), (2, ""), "{ran:?}");
    assert!(ran.err.contains(&nowhere) && ran.err.contains("does not exist"), "{}", ran.err);
    assert!(ran.err.contains("fleetwarden setup"), "it says what to do: {}", ran.err);
    assert!(began.elapsed() < PATIENCE);
}

#[tokio::test]
async fn a_worker_that_is_stopped_while_it_still_checks_the_deployment_ends_at_once_with_nothing_to_drain() {
    // Connections are taken, and nothing is ever answered.
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let load = Load::new(1).await;
    let mut command = load.bench.command();
    command.env("AWS_ENDPOINT_URL", format!("http://{}", silent.local_addr().unwrap()));
    command.args(["--log", "debug", "run", "--http", "127.0.0.1:0"]);
    let mut worker = Process::start(command);
    worker.says("serving /livez", 1).await;
    worker.terminate().await;
    assert_eq!(worker.ends().await, Some(0));
    assert_eq!(load.bench.depths().await, (1, 0));
}
