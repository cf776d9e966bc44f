//! Asking a process how it is, without a runtime or an HTTP client: this runs in every container every 30 s.

use super::board::Verdict;
use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::time::Duration;
use tokio::time::Instant;

/// A process that has not answered by then is not well. It answers out of memory, within milliseconds.
pub const PATIENCE: Duration = Duration::from_secs(3);

/// The most that is read of an answer: its reason is a line.
const ANSWER_BYTES: u64 = 16 * 1024;

/// Where a process that listens at `address` is reached from the same machine: one that listens everywhere, over loopback.
pub fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}

/// Asks once; `path` is one of the routes of [`super::serve`].
///
/// # Errors
/// A sentence: nobody listens there, no answer came within `patience`, or it was none of HTTP.
pub fn ask(address: SocketAddr, path: &str, patience: Duration) -> Result<Verdict, String> {
    let url = format!("http://{address}{path}");
    let answer = exchange(address, path, patience).map_err(|error| match error.kind() {
        io::ErrorKind::ConnectionRefused => format!(
            "nobody listens at {address}: the worker does not run, or without --http {address} (FLEETWARDEN_HTTP)"
        ),
        io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock => {
            format!(
                "{url} does not answer within {} s: the process hangs, or something else listens there",
                patience.as_secs()
            )
        }
        _ => format!("{url} cannot be asked ({error}): check that the worker listens there"),
    })?;
    parse(&answer).ok_or_else(|| format!("{url} gave no answer of HTTP: something else listens there"))
}

fn exchange(address: SocketAddr, path: &str, patience: Duration) -> io::Result<String> {
    let began = Instant::now();
    let left = || {
        let left = patience.saturating_sub(began.elapsed());
        if left.is_zero() { Err(io::Error::from(io::ErrorKind::TimedOut)) } else { Ok(left) }
    };
    let mut stream = TcpStream::connect_timeout(&address, patience)?;
    stream.set_write_timeout(Some(left()?))?;
    // 1.0: the answer ends with the connection.
    write!(stream, "GET {path} HTTP/1.0\r\nhost: {address}\r\n\r\n")?;
    let mut answer = Vec::new();
    let mut part = [0; 1024];
    while (answer.len() as u64) < ANSWER_BYTES {
        stream.set_read_timeout(Some(left()?))?;
        match stream.read(&mut part)? {
            0 => break,
            n => answer.extend_from_slice(part.get(..n).unwrap_or_default()),
        }
    }
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

/// The verdict of an answer: its status, and the first line of its body.
fn parse(answer: &str) -> Option<Verdict> {
    let (head, body) = answer.split_once("\r\n\r\n")?;
    let status = head.strip_prefix("HTTP/1.")?.split(' ').nth(1)?;
    let words = body.lines().next().unwrap_or_default();
    let well = status == "200";
    let words = if well || status == "503" { words.to_owned() } else { format!("it answers {status}: {words}") };
    Some(Verdict { well, words })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    #[test]
    fn who_listens_everywhere_is_reached_over_loopback() {
        for (listens, reached) in [
            ("0.0.0.0:8080", "127.0.0.1:8080"),
            ("[::]:81", "[::1]:81"),
            ("10.0.0.7:8080", "10.0.0.7:8080"),
            ("[::1]:1", "[::1]:1"),
        ] {
            assert_eq!(reachable(listens.parse().unwrap()).to_string(), reached);
        }
    }

    #[test]
    fn an_answer_is_good_only_if_it_is_200() {
        let verdict = |status: &str, body: &str| parse(&format!("HTTP/1.0 {status} X\r\na: b\r\n\r\n{body}")).unwrap();
        assert_eq!(verdict("200", "ok\n"), Verdict { well: true, words: "ok".into() });
        assert_eq!(verdict("503", "draining\nmore"), Verdict { well: false, words: "draining".into() });
        assert_eq!(verdict("404", "no page"), Verdict { well: false, words: "it answers 404: no page".into() });
        assert_eq!(parse("SSH-2.0-OpenSSH_9.6\r\n\r\n"), None);
        assert_eq!(parse(""), None);
    }

    #[test]
    fn nobody_there_and_nobody_who_answers_are_told_apart() {
        let silent = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = silent.local_addr().unwrap();
        let told = ask(address, "/livez", Duration::from_millis(50)).unwrap_err();
        assert!(told.contains("does not answer"), "{told}");
        drop(silent);
        let told = ask(address, "/livez", PATIENCE).unwrap_err();
        assert!(told.contains("nobody listens") && told.contains("FLEETWARDEN_HTTP"), "{told}");
    }
}
