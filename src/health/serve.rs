//! The listener. It is open to whoever reaches its port, so everything about it is bounded.

use super::board::{Board, Verdict};
use crate::telemetry::Telemetry;
use bytes::Bytes;
use http::header::{ALLOW, CONTENT_TYPE};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::timeout;

/// Connections at a time; further ones wait in the system's backlog. A health check, a load balancer's three zones and a scraper or two
/// have one each, for milliseconds.
const CONNECTIONS: usize = 32;

/// The most that is read of a request's head; the smallest buffer that hyper takes.
const HEAD_BYTES: usize = 8 * 1024;

/// A request's head is there within this, or the connection is closed: 32 who never send one hold up a health check, which waits 3 s,
/// for less than its patience.
const HEAD_TIMEOUT: Duration = Duration::from_secs(2);

/// A connection is over within this: the largest answer, some 100 KB of metrics, at 200 kbit/s.
const CONNECTION_TIMEOUT: Duration = Duration::from_secs(5);

const PROMETHEUS: &str = "text/plain; version=0.0.4";
const PLAIN: &str = "text/plain; charset=utf-8";

/// A listener at work. Dropped, it is closed.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    listening: JoinHandle<()>,
}

impl Server {
    /// Where it listens: the port that it was given, if it was to take any.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.listening.abort();
    }
}

/// Listens at this address, and serves until dropped.
///
/// # Errors
/// A sentence: why it cannot listen there, and what to do.
pub async fn serve(address: SocketAddr, board: Board, telemetry: Arc<Telemetry>) -> Result<Server, String> {
    let listener = TcpListener::bind(address).await.map_err(|error| why_not(address, &error))?;
    let address = listener.local_addr().map_err(|error| why_not(address, &error))?;
    let listening = tokio::spawn(accept(listener, board, telemetry));
    Ok(Server { address, listening })
}

fn why_not(address: SocketAddr, error: &io::Error) -> String {
    let ip = address.ip();
    match error.kind() {
        io::ErrorKind::AddrInUse => format!(
            "{address} is in use: stop what listens there, or give --http another port (0 takes any that is free)"
        ),
        io::ErrorKind::AddrNotAvailable => {
            format!("this machine has no address {ip}: give --http one that it has, 127.0.0.1 or 0.0.0.0 for all")
        }
        io::ErrorKind::PermissionDenied => {
            format!("{address} may not be listened at ({error}): give --http a port from 1024 on")
        }
        _ => format!("cannot listen at {address} ({error}): give --http another address"),
    }
}

async fn accept(listener: TcpListener, board: Board, telemetry: Arc<Telemetry>) {
    let room = Arc::new(Semaphore::new(CONNECTIONS));
    let mut connections = JoinSet::new();
    loop {
        // The semaphore is never closed.
        let Ok(permit) = Arc::clone(&room).acquire_owned().await else { return };
        match listener.accept().await {
            Ok((stream, _)) => {
                let (board, telemetry) = (board.clone(), Arc::clone(&telemetry));
                connections.spawn(async move {
                    // An error is a client that went away, or was too slow.
                    let _ = timeout(CONNECTION_TIMEOUT, converse(stream, board, telemetry)).await;
                    drop(permit);
                });
            }
            // Out of file descriptors, most likely: give connections a moment to end.
            Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
        }
        while connections.try_join_next().is_some() {}
    }
}

async fn converse(stream: TcpStream, board: Board, telemetry: Arc<Telemetry>) -> Result<(), hyper::Error> {
    let service = service_fn(move |request: Request<Incoming>| {
        let response = respond(request.method(), request.uri().path(), &board, &telemetry);
        async move { Ok::<_, Infallible>(response) }
    });
    http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(HEAD_BYTES)
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), service)
        .await
}

fn respond(method: &Method, path: &str, board: &Board, telemetry: &Telemetry) -> Response<Full<Bytes>> {
    let known = matches!(path, "/livez" | "/readyz" | "/metrics");
    if known && method != Method::GET && method != Method::HEAD {
        let mut refusal =
            reply(StatusCode::METHOD_NOT_ALLOWED, PLAIN, "only GET and HEAD are served here\n".to_owned());
        refusal.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
        return refusal;
    }
    match path {
        "/livez" => verdict(board.alive()),
        "/readyz" => verdict(board.ready()),
        "/metrics" => reply(StatusCode::OK, PROMETHEUS, telemetry.prometheus()),
        _ => reply(
            StatusCode::NOT_FOUND,
            PLAIN,
            "there is nothing here; /livez, /readyz and /metrics are served\n".to_owned(),
        ),
    }
}

fn verdict(verdict: Verdict) -> Response<Full<Bytes>> {
    let status = if verdict.well { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    reply(status, PLAIN, verdict.words + "\n")
}

fn reply(status: StatusCode, content_type: &'static str, body: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Clock;
    use crate::health::ask;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    async fn server() -> Server {
        let board = Board::new(Clock::system(), "a test");
        serve("127.0.0.1:0".parse().unwrap(), board, Arc::default()).await.unwrap()
    }

    /// All that is answered to these bytes, until the connection is closed.
    async fn exchange(server: &Server, request: &str) -> String {
        let mut stream = TcpStream::connect(server.address()).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        // A reset after the answer is as good as an end.
        let _ = stream.read_to_end(&mut answer).await;
        String::from_utf8(answer).unwrap()
    }

    #[tokio::test]
    async fn each_route_answers_get_and_head_and_nothing_else() {
        let server = server().await;
        for (request, status, end) in [
            ("GET /livez", "200", "\r\n\r\nok\n"),
            ("HEAD /livez", "200", "\r\n\r\n"),
            ("GET /readyz?verbose", "503", "\r\n\r\nstarting: a test\n"),
            ("HEAD /readyz", "503", "\r\n\r\n"),
            ("POST /livez", "405", "only GET and HEAD are served here\n"),
            ("GET /", "404", "/livez, /readyz and /metrics are served\n"),
            ("GET /livez/", "404", "/livez, /readyz and /metrics are served\n"),
            ("POST /nowhere", "404", "/livez, /readyz and /metrics are served\n"),
        ] {
            let answer = exchange(&server, &format!("{request} HTTP/1.1\r\nhost: here\r\n\r\n")).await;
            assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")) && answer.ends_with(end), "{request}: {answer}");
        }
        let metrics = exchange(&server, "GET /metrics HTTP/1.1\r\nhost: here\r\n\r\n").await;
        assert!(metrics.contains("content-type: text/plain; version=0.0.4\r\n"), "{metrics}");
    }

    #[tokio::test]
    async fn a_head_that_is_too_large_and_one_that_is_no_http_are_refused() {
        let server = server().await;
        let large = format!("GET /livez HTTP/1.1\r\nx: {}\r\n\r\n", "x".repeat(2 * HEAD_BYTES));
        assert!(exchange(&server, &large).await.starts_with("HTTP/1.1 431 "));
        assert!(exchange(&server, "\u{16}\u{3}\u{1} hello\r\n\r\n").await.starts_with("HTTP/1.1 400 "));
        assert!(exchange(&server, "GET /livez HTTP/1.1\r\nhost: here\r\n\r\n").await.ends_with("ok\n"));
    }

    #[tokio::test]
    async fn clients_that_never_finish_their_request_are_let_go_and_others_are_served() {
        let server = server().await;
        let mut slow = Vec::new();
        for _ in 0..CONNECTIONS {
            let mut stream = TcpStream::connect(server.address()).await.unwrap();
            stream.write_all(b"GET /livez HT").await.unwrap();
            slow.push(stream);
        }
        let address = server.address();
        // All places are taken: it is their timeout that lets it through.
        let asked = tokio::task::spawn_blocking(move || ask(address, "/livez", Duration::from_secs(60)));
        assert_eq!(asked.await.unwrap().unwrap().words, "ok");
        for mut stream in slow {
            let _ = stream.read_to_end(&mut Vec::new()).await;
        }
    }

    #[tokio::test]
    async fn an_address_that_is_taken_is_told_with_what_to_do() {
        let server = server().await;
        let board = Board::new(Clock::system(), "a test");
        let refusal = serve(server.address(), board.clone(), Arc::default()).await.unwrap_err();
        assert!(refusal.contains("is in use") && refusal.contains("--http another port"), "{refusal}");
        // TEST-NET-1, which no machine has.
        let refusal = serve("192.0.2.1:8080".parse().unwrap(), board, Arc::default()).await.unwrap_err();
        assert!(refusal.contains("no address 192.0.2.1"), "{refusal}");
    }
}
