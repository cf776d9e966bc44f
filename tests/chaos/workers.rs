//! Worker processes that are killed, and those that take their place.

use super::load::Load;
use std::process::Stdio;
use std::time::Duration;
use tokio::process::{Child, Command};

/// Raised so far that a fleet whose budget throttles have cut to the twentieth part still makes 250 calls a second.
const QUOTA: &str = "5000";

/// The operations that the policy's actions call.
const OPERATIONS: [&str; 8] = [
    "DescribeAuditFinding",
    "DescribeCertificate",
    "UpdateCertificate",
    "GetPolicy",
    "GetPolicyVersion",
    "ListPolicyVersions",
    "CreatePolicyVersion",
    "DeletePolicyVersion",
];

pub struct Workers {
    running: Vec<Child>,
    started: usize,
    /// Those that nobody had killed: a call of theirs failed before they had begun.
    ended_alone: usize,
}

impl Workers {
    pub fn start(load: &Load, workers: usize) -> Self {
        let running = (0..workers).map(|number| spawn(load, number)).collect();
        Self { running, started: workers, ended_alone: 0 }
    }

    /// `kill -9`, and another at once.
    pub async fn kill(&mut self, which: usize, load: &Load) {
        self.replace_ended(load).await;
        let next = self.next(load);
        let mut killed = std::mem::replace(&mut self.running[which], next);
        // By its id, and waited for.
        killed.kill().await.unwrap();
    }

    /// As a service does with a task that ended.
    pub async fn replace_ended(&mut self, load: &Load) {
        for which in 0..self.running.len() {
            if let Some(status) = self.running[which].try_wait().unwrap() {
                eprintln!("chaos: a worker ended by itself: {status}");
                self.ended_alone += 1;
                self.running[which] = self.next(load);
            }
        }
    }

    fn next(&mut self, load: &Load) -> Child {
        self.started += 1;
        spawn(load, self.started - 1)
    }

    /// Stops them as a service does; how many had ended by themselves before.
    pub async fn end(self) -> usize {
        for mut worker in self.running {
            let pid = worker.id().expect("it still runs").to_string();
            assert!(Command::new("kill").args(["-TERM", &pid]).status().await.unwrap().success());
            let ended = tokio::time::timeout(Duration::from_secs(60), worker.wait()).await.expect("it ends in time");
            assert_eq!(ended.unwrap().code(), Some(0));
        }
        self.ended_alone
    }
}

fn spawn(load: &Load, number: usize) -> Child {
    let mut command = load.bench.command();
    command.args(["--log", "error", "run", "--policy", &load.policy, "--worker-id", &format!("worker-{number}")]);
    // The shortest lease, since a killed worker's messages wait for its end; few messages, since they all do.
    command.args(["--lease", "30s", "--max-in-flight", "48", "--reserve", "0"]);
    for operation in OPERATIONS {
        command.args(["--quota", &format!("{operation}={QUOTA}")]);
    }
    command.stdout(Stdio::null()).spawn().unwrap()
}
