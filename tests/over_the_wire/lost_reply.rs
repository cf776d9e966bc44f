//! A write that took effect, and whose reply was lost: the SDK repeats the request. A claim must come out as ours, once; slots of a
//! timeline that were reserved unheard are lost, and a cut is counted once.

use crate::contract::ledger::{LEASE, request, subject};
use crate::contract::run::{now, unique};
use crate::{clients, config, endpoint};
use fleetwarden::aws::Clients;
use fleetwarden::budget::{Operation, timeline_key};
use fleetwarden::ledger::dynamodb::create_table;
use fleetwarden::ledger::{
    Change, Changed, ClaimOutcome, DynamoLedger, Ledger, ReplayMode, Subject, Timeline, Timelines,
};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// Stands between the SDK and the peer, and keeps the replies to the first `losses` requests that hold `needle`.
struct Thief {
    upstream: String,
    needle: &'static str,
    losses: AtomicUsize,
}

impl Thief {
    /// The address to talk to.
    async fn start(needle: &'static str, losses: usize) -> (Arc<Self>, String) {
        let upstream = endpoint().trim_start_matches("http://").trim_end_matches('/').to_owned();
        let thief = Arc::new(Self { upstream, needle, losses: AtomicUsize::new(losses) });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let serving = Arc::clone(&thief);
        tokio::spawn(async move {
            while let Ok((connection, _)) = listener.accept().await {
                let serving = Arc::clone(&serving);
                tokio::spawn(async move { serving.serve(connection).await });
            }
        });
        (thief, address)
    }

    /// One request a connection: `connection: close` is added on the way, so the reply ends with the stream.
    async fn serve(&self, mut client: TcpStream) -> Option<()> {
        let request = read_request(&mut client).await?;
        let (head, body) = request.split_once("\r\n\r\n")?;
        let mut server = TcpStream::connect(&self.upstream).await.ok()?;
        server.write_all(format!("{head}\r\nconnection: close\r\n\r\n{body}").as_bytes()).await.ok()?;
        let mut reply = Vec::new();
        server.read_to_end(&mut reply).await.ok()?;
        let take = |left: usize| left.checked_sub(1);
        if request.contains(self.needle) && self.losses.fetch_update(Ordering::SeqCst, Ordering::SeqCst, take).is_ok() {
            return None;
        }
        client.write_all(&reply).await.ok()
    }
}

async fn read_request(client: &mut TcpStream) -> Option<String> {
    let mut bytes = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&bytes);
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head.lines().filter_map(|line| line.split_once(": ")).find_map(|(name, value)| {
                name.eq_ignore_ascii_case("content-length").then(|| value.parse::<usize>().unwrap())
            });
            if body.len() >= length.unwrap_or(0) {
                return Some(text.into_owned());
            }
        }
        if client.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    }
}

async fn table() -> String {
    let table = unique("lost");
    create_table(&clients().dynamodb, &table).await.unwrap();
    table
}

fn ledger(endpoint: &str, table: &str) -> DynamoLedger {
    DynamoLedger::new(Clients::new(&config(endpoint)).dynamodb, table)
}

async fn claim(ledger: &DynamoLedger, subject: &Subject, owner: &str, now: i64) -> ClaimOutcome {
    let mut outcomes = ledger.claim(&[request(subject, ReplayMode::Fresh)], owner, now, LEASE).await.unwrap();
    outcomes.remove(0).unwrap()
}

#[tokio::test]
#[ignore = "needs a peer: .ci/peer"]
async fn a_first_claim_whose_reply_was_lost_is_ours() {
    let (table, now, subject) = (table().await, now(), subject("lost first"));
    let (thief, address) = Thief::start("INSERT INTO", 1).await;
    let outcome = claim(&ledger(&address, &table), &subject, "alice", now).await;
    assert_eq!(thief.losses.load(Ordering::SeqCst), 0, "no reply was lost");
    let ClaimOutcome::Ours(claim) = outcome else { panic!("{outcome:?}") };
    assert_eq!((claim.record.epoch, claim.record.owner.as_str(), claim.taken_over), (1, "alice", false));
}

#[tokio::test]
#[ignore = "needs a peer: .ci/peer"]
async fn a_takeover_whose_reply_was_lost_is_ours() {
    let (table, now, subject) = (table().await, now(), subject("lost takeover"));
    claim(&ledger(&endpoint(), &table), &subject, "alice", now).await;
    let later = now + i64::try_from(LEASE.as_millis()).unwrap();
    let (thief, address) = Thief::start("UPDATE ", 1).await;
    let outcome = claim(&ledger(&address, &table), &subject, "bob", later).await;
    assert_eq!(thief.losses.load(Ordering::SeqCst), 0, "no reply was lost");
    let ClaimOutcome::Ours(claim) = outcome else { panic!("{outcome:?}") };
    assert_eq!((claim.record.epoch, claim.record.owner.as_str(), claim.taken_over), (2, "bob", true));
    assert_eq!(claim.record.attempts, 1);
}

#[tokio::test]
#[ignore = "needs a peer: .ci/peer"]
async fn two_claims_of_one_worker_in_one_millisecond_are_told_apart() {
    let ledger = ledger(&endpoint(), &table().await);
    let now = now();
    for _ in 0..10 {
        let subject = subject("same moment");
        let (one, other) = tokio::join!(claim(&ledger, &subject, "alice", now), claim(&ledger, &subject, "alice", now));
        let ours = [&one, &other].into_iter().filter(|outcome| matches!(outcome, ClaimOutcome::Ours(_))).count();
        assert_eq!(ours, 1, "{one:?} {other:?}");
    }
}

/// A table with a timeline that starts at `now`; its key.
async fn timeline(now: i64) -> (String, String) {
    let (table, key) = (table().await, timeline_key("us-east-1", Operation::UpdateCertificate));
    let start = Change::Start { seen: None, to: now };
    assert_eq!(ledger(&endpoint(), &table).change(&key, start, now).await.unwrap(), Changed::From(None));
    (table, key)
}

#[tokio::test]
#[ignore = "needs a peer: .ci/peer"]
async fn an_advance_whose_reply_was_lost_reserves_what_follows_the_lost_slots() {
    let now = now() * 1000;
    let (table, key) = timeline(now).await;
    let (thief, address) = Thief::start("UpdateExpression", 1).await;
    let ledger = ledger(&address, &table);
    let advance = Change::Advance { from: now, until: now + 1_000_000, by: 100_000, cuts: 0 };
    let outcome = ledger.change(&key, advance, now).await.unwrap();
    assert_eq!(thief.losses.load(Ordering::SeqCst), 0, "no reply was lost");
    let Changed::From(Some(stood)) = outcome else { panic!("{outcome:?}") };
    assert_eq!(stood.next_free, now + 100_000, "the first hundred milliseconds are lost");
    assert_eq!(ledger.timeline(&key).await.unwrap().unwrap().next_free, now + 200_000);
}

#[tokio::test]
#[ignore = "needs a peer: .ci/peer"]
async fn a_cut_whose_reply_was_lost_is_counted_once() {
    let now = now() * 1000;
    let (table, key) = timeline(now).await;
    let (thief, address) = Thief::start("UpdateExpression", 1).await;
    let ledger = ledger(&address, &table);
    let outcome = ledger.change(&key, Change::Cut { rate: 0.7, at: now, cuts: 0 }, now).await.unwrap();
    assert_eq!(thief.losses.load(Ordering::SeqCst), 0, "no reply was lost");
    let cut = Timeline { next_free: now, written_at: now, rate: 0.7, cut_at: Some(now), cuts: 1 };
    assert_eq!(outcome, Changed::Refused(Some(cut)), "the repetition finds the cut already made");
    assert_eq!(ledger.timeline(&key).await.unwrap(), Some(cut));
}
