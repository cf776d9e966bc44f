//! A listener on loopback that passes everything on to the embedded AWS, and counts what is asked of each timeline on the way.

use crate::simulation::distance::Asked;
use fleetwarden::budget::{Operation, timeline_key};
use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::OwnedReadHalf;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::Instant;

type Counts = Arc<Mutex<BTreeMap<Operation, Asked>>>;

/// The listener of one worker. Dropping it closes every connection.
pub struct Tap {
    /// Its URL.
    pub endpoint: String,
    counts: Counts,
    listening: JoinHandle<()>,
}

impl Tap {
    /// Listens on a free port of loopback. Times are counted from `started`.
    pub async fn open(upstream: SocketAddr, region: &str, started: Instant) -> io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let endpoint = format!("http://{}", listener.local_addr()?);
        let counts = Counts::default();
        let ear = Ear { keys: keys(region), counts: Arc::clone(&counts), started };
        let listening = tokio::spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                connections.spawn(pass_on(stream, upstream, ear.clone()));
                while connections.try_join_next().is_some() {}
            }
        });
        Ok(Self { endpoint, counts, listening })
    }

    /// What was asked so far.
    pub fn asked(&self) -> BTreeMap<Operation, Asked> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for Tap {
    fn drop(&mut self) {
        self.listening.abort();
    }
}

/// The timelines' keys as they stand in a request's JSON.
fn keys(region: &str) -> Arc<[(Operation, String)]> {
    let key = |&operation: &Operation| (operation, format!("\"{}\"", timeline_key(region, operation)));
    Operation::ALL.iter().map(key).collect()
}

#[derive(Clone)]
struct Ear {
    keys: Arc<[(Operation, String)]>,
    counts: Counts,
    started: Instant,
}

async fn pass_on(stream: TcpStream, upstream: SocketAddr, ear: Ear) -> io::Result<()> {
    let server = TcpStream::connect(upstream).await?;
    stream.set_nodelay(true)?;
    server.set_nodelay(true)?;
    let (from_worker, mut to_worker) = stream.into_split();
    let (mut from_server, to_server) = server.into_split();
    tokio::select! {
        ended = listen(from_worker, to_server, ear) => ended,
        ended = tokio::io::copy(&mut from_server, &mut to_worker) => ended.map(drop),
    }
}

async fn listen(mut worker: OwnedReadHalf, mut server: impl AsyncWriteExt + Unpin, ear: Ear) -> io::Result<()> {
    let mut heard = Vec::new();
    let mut chunk = vec![0; 1 << 16];
    loop {
        let n = worker.read(&mut chunk).await?;
        if n == 0 {
            return Ok(());
        }
        server.write_all(&chunk[..n]).await?;
        heard.extend_from_slice(&chunk[..n]);
        while let Some(length) = ear.request(&heard) {
            heard.drain(..length);
        }
    }
}

impl Ear {
    /// Counts the request that `heard` begins with; its length, if all of it is there.
    fn request(&self, heard: &[u8]) -> Option<usize> {
        let head = heard.windows(4).position(|end| end == b"\r\n\r\n")? + 4;
        let text = String::from_utf8_lossy(&heard[..head]).to_lowercase();
        let header = |name: &str| text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
        // The SDK sends JSON in one piece, never chunked.
        let body: usize = header("content-length").and_then(|length| length.trim().parse().ok()).unwrap_or(0);
        let request = heard.get(..head + body)?;
        let target = header("x-amz-target").unwrap_or_default();
        let body = String::from_utf8_lossy(&request[head..]);
        if let Some((operation, _)) = self.keys.iter().find(|(_, key)| body.contains(key.as_str())) {
            let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
            let asked = counts.entry(*operation).or_default();
            let list = if target.ends_with(".getitem") { &mut asked.reads } else { &mut asked.writes };
            list.push(self.started.elapsed());
        }
        Some(request.len())
    }
}
