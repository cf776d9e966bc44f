//! What a worker tells of its health over HTTP, and what `healthcheck` makes of it.

use super::bench::{Bench, ENFORCE, Ran};
use super::stopping::{Load, Process};
use fleetwarden::sandbox::{AwsFaults, AwsService, ServiceFaults};
use std::net::TcpListener;
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;

/// The way to the sandbox, closed until the token is cancelled: whoever calls meanwhile waits.
async fn gate(bench: &Bench) -> (String, CancellationToken) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let target = bench.sandbox.endpoint().strip_prefix("http://").unwrap().to_owned();
    let open = CancellationToken::new();
    let opened = open.clone();
    tokio::spawn(async move {
        while let Ok((mut from, _)) = listener.accept().await {
            let (target, opened) = (target.clone(), opened.clone());
            tokio::spawn(async move {
                opened.cancelled().await;
                let mut to = TcpStream::connect(target).await.unwrap();
                let _ = tokio::io::copy_bidirectional(&mut from, &mut to).await;
            });
        }
    });
    (endpoint, open)
}

/// The address at the end of the line that tells where it is served.
fn address(line: &str) -> String {
    line.rsplit("address=").next().unwrap().trim().to_owned()
}

fn check(ran: &Ran, code: i32, words: &str) {
    let told = if code == 0 { &ran.out } else { &ran.err };
    assert!(ran.code == code && told.contains(words), "{words}: {ran:?}");
}

#[tokio::test]
async fn a_worker_is_alive_throughout_and_ready_between_its_start_checks_and_its_drain_unless_its_breaker_is_open() {
    let load = Load::new(1).await;
    load.hang();
    let (bench, policy) = (&load.bench, load.bench.file("policy.yaml", ENFORCE));
    let (endpoint, open) = gate(bench).await;
    let mut command = bench.command();
    command.env("AWS_ENDPOINT_URL", endpoint).env("FLEETWARDEN_HTTP", "127.0.0.1:0");
    command.args(["--log", "debug", "run", "--policy", &policy, "--drain", "60s"]);
    let mut worker = Process::start(command);
    let address = address(&worker.says("serving /livez", 1).await);
    let alive = async || bench.run(&["healthcheck", "--http", &address]).await;
    let ready = async || bench.run(&["healthcheck", "--ready", "--http", &address]).await;

    check(&alive().await, 0, "ok");
    check(&ready().await, 1, "starting: checking the deployment");

    open.cancel();
    worker.says("claimed", 1).await;
    check(&ready().await, 0, "ready");

    let denied = ServiceFaults { denied: true, ..ServiceFaults::default() };
    let faults = AwsFaults { services: [(AwsService::Dynamodb, denied)].into(), seed: 1 };
    bench.sandbox.set_faults(faults).unwrap();
    bench.publish(include_str!("../fixtures/finding_iot_policy.json")).await;
    worker.says("receiving is paused", 1).await;
    check(&ready().await, 1, "breaker open: failed to call ");
    let json = bench.run(&["healthcheck", "--ready", "--http", &address, "--output", "json"]).await;
    let told: serde_json::Value = serde_json::from_str(&json.out).unwrap();
    assert_eq!((json.code, &told["well"]), (1, &false.into()), "{json:?}");
    assert!(told["reason"].as_str().unwrap().contains("not authorized"), "{told}");
    check(&alive().await, 0, "ok");

    // One finding hangs, so that the drain lasts.
    worker.terminate().await;
    worker.says("draining", 1).await;
    check(&ready().await, 1, "draining: it was told to stop");
    check(&alive().await, 0, "ok");
    worker.terminate().await;
    assert_eq!(worker.ends().await, Some(1));
    check(&alive().await, 1, "nobody listens at");
}

#[tokio::test]
async fn an_address_that_is_taken_or_none_is_refused_before_anything_is_touched() {
    let bench = Bench::new().await;
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = taken.local_addr().unwrap().to_string();
    // Nothing answers there: a worker that went on would say so.
    let run = async |address: &str| {
        let mut command = bench.command();
        command.env("AWS_ENDPOINT_URL", "http://127.0.0.1:1").args(["run", "--until-empty", "--http", address]);
        super::bench::ran(&mut command).await
    };
    check(&run(&taken).await, 2, "--http another port");
    for none in ["8080", "localhost:8080", ":8080", "http://127.0.0.1:8080"] {
        check(&run(none).await, 2, "write an IP address and a port, such as 127.0.0.1:8080");
        check(&bench.run(&["healthcheck", "--http", none]).await, 2, "write an IP address and a port");
    }
    check(&bench.run(&["healthcheck", "--http", "127.0.0.1:0"]).await, 2, "port 0");
}
