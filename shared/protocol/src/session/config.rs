//! How a session behaves.

use std::time::Duration;

/// How a client behaves.
#[derive(Debug, Clone)]
pub struct SessionConfig {
    /// How many addresses there are to connect to; [`Output::Connect`](super::Output::Connect) names one by index.
    pub addresses: usize,
    /// Name and version of the client program.
    pub client: String,
    /// Longest that connecting and the answer to `hello` may take at the first attempt; twice as
    /// long at the second in a row, four times from the third on.
    pub connect_timeout: Duration,
    /// In a room: nothing heard for this long means that the gateway is dead.
    pub active_silence: Duration,
    /// Pause before the second attempt in a row; the first is made at once. Doubles each time.
    pub backoff: Duration,
    /// Longest pause between two attempts. A connection that lived for this long makes the next
    /// loss a first one again.
    pub backoff_limit: Duration,
    /// Bits of one step of input.
    pub input_width: u8,
    /// Most steps of input kept until they are durable. They are few while the server writes them
    /// down as they come; the default has room for a minute in which it cannot, at 60 a second.
    pub input_limit: usize,
}

impl Default for SessionConfig {
    fn default() -> Self {
        Self {
            addresses: 1,
            client: String::new(),
            connect_timeout: Duration::from_millis(1_500),
            active_silence: Duration::from_secs(1),
            backoff: Duration::from_millis(100),
            backoff_limit: Duration::from_secs(5),
            input_width: 8,
            input_limit: 3_600,
        }
    }
}
