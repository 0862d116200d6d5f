//! A look at a process's private port: readiness and metrics.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// Longest that connecting, and each read or write, may take.
const DEADLINE: Duration = Duration::from_secs(2);

/// An answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// The body as text.
    pub body: String,
}

/// `GET path`, on a connection of its own. Blocks.
///
/// # Errors
/// No connection, no answer in time, or an answer that is no HTTP.
pub fn get(address: SocketAddr, path: &str) -> io::Result<Answer> {
    let mut stream = TcpStream::connect_timeout(&address, DEADLINE)?;
    stream.set_read_timeout(Some(DEADLINE))?;
    stream.set_write_timeout(Some(DEADLINE))?;
    let request = format!("GET {path} HTTP/1.0\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes())?;
    let mut text = String::new();
    stream.read_to_string(&mut text)?;
    answer(&text).ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "no HTTP answer"))
}

/// The value of a metric, summed over its labels; `None` if there is no such metric.
pub fn metric(text: &str, name: &str) -> Option<f64> {
    let values = text.lines().filter_map(|line| {
        let rest = line.strip_prefix(name)?;
        if !rest.starts_with([' ', '{']) {
            return None;
        }
        rest.rsplit(' ').next()?.parse::<f64>().ok()
    });
    values.reduce(|sum, value| sum + value)
}

fn answer(text: &str) -> Option<Answer> {
    let (head, body) = text.split_once("\r\n\r\n")?;
    let status = head.split(' ').nth(1)?.parse().ok()?;
    Some(Answer {
        status,
        body: body.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_its_status_and_its_body() {
        let text = "HTTP/1.0 503 Service Unavailable\r\nx: y\r\n\r\n{\"ready\":false}";
        let read = answer(text).expect("an answer");
        assert_eq!(
            (read.status, read.body.as_str()),
            (503, "{\"ready\":false}")
        );
        assert_eq!(answer("nonsense"), None);
    }

    #[test]
    fn a_metric_is_summed_over_its_labels() {
        let text = "# TYPE rooms gauge\nrooms{of=\"a\"} 2\nrooms{of=\"b\"} 3.5\nrooms_ended 9\n";
        assert_eq!(metric(text, "rooms"), Some(5.5));
        assert_eq!(metric(text, "rooms_ended"), Some(9.0));
        assert_eq!(metric(text, "room"), None);
    }
}
