//! Ports that nobody listens on.

use std::net::TcpListener;

/// Below what the kernel hands out to outgoing connections, so that none of those takes a port
/// while its server is down for a restart.
const RANGE: std::ops::Range<u16> = 10_000..30_000;

/// A free port.
pub(crate) fn free() -> u16 {
    for _ in 0..1000 {
        let port = rand::random_range(RANGE);
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
    panic!("no free port between {} and {}", RANGE.start, RANGE.end);
}
