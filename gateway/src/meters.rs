//! The gateway's metrics. Handles are kept, because looking one up costs more than counting.

use std::collections::HashMap;

use metrics::{Counter, Gauge, Histogram, counter, gauge, histogram};
use protocol::close::CloseCode;

/// Handles of the gateway's metrics.
#[derive(Debug)]
pub(crate) struct Meters {
    /// Sockets open at the public port.
    pub(crate) connections: Gauge,
    /// Sessions logged in.
    pub(crate) sessions: Gauge,
    /// Logins by `hello`.
    pub(crate) logins: Counter,
    /// Resumes by `hello`.
    pub(crate) resumes: Counter,
    /// Messages from clients.
    pub(crate) received: Counter,
    /// Messages to clients.
    pub(crate) sent: Counter,
    /// Messages of clients that were refused.
    pub(crate) refused: Counter,
    /// Connections that were refused for a limit.
    pub(crate) turned_away: Counter,
    /// Round trip to clients, in seconds.
    pub(crate) rtt: Histogram,
    closes: HashMap<CloseCode, Counter>,
    lost: Counter,
}

impl Meters {
    pub(crate) fn new() -> Self {
        let close = |code: CloseCode| {
            let counter = counter!("gateway_closes_total", "code" => code.reason());
            (code, counter)
        };
        Self {
            connections: gauge!("gateway_connections"),
            sessions: gauge!("gateway_sessions"),
            logins: counter!("gateway_logins_total", "kind" => "login"),
            resumes: counter!("gateway_logins_total", "kind" => "resume"),
            received: counter!("gateway_messages_received_total"),
            sent: counter!("gateway_messages_sent_total"),
            refused: counter!("gateway_messages_refused_total"),
            turned_away: counter!("gateway_connections_refused_total"),
            rtt: histogram!("gateway_rtt_seconds"),
            closes: CloseCode::ALL.into_iter().map(close).collect(),
            lost: counter!("gateway_closes_total", "code" => "lost"),
        }
    }

    /// Counts the end of a connection.
    pub(crate) fn ended(&self, ended: crate::conn::Ended) {
        use crate::conn::Ended;
        match ended {
            Ended::ByUs(code) => self.closes[&code].increment(1),
            Ended::ByPeer => self.closes[&CloseCode::Normal].increment(1),
            Ended::Broken => self.lost.increment(1),
        }
    }
}
