//! Close codes. The range of a code alone tells a client what to do next.
//!
//! | range | what a client does |
//! | --- | --- |
//! | 4000 to 4099 | reconnect and resume, same address first |
//! | 4100 to 4199 | reconnect and resume, another address first |
//! | 4200 to 4299 | log in again, then connect anew |
//! | 4300 to 4399 | give up, and tell the player why |
//!
//! The codes of RFC 6455 fall in line: 1002, 1003, 1007 to 1010 give up (one side has a bug),
//! every other one reconnects elsewhere.

/// A close code that PixelRush sends on purpose.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CloseCode {
    /// The session ended because its owner wanted it to.
    Normal,
    /// A frame breaks RFC 6455.
    Protocol,
    /// A text message is not UTF-8.
    InvalidText,
    /// A message exceeds the size limit.
    TooBig,
    /// The server failed.
    Internal,
    /// Nothing was heard for the deadline.
    HeartbeatTimeout,
    /// The client reads more slowly than it is sent to; it can resume what it missed.
    SlowConsumer,
    /// A newer connection of the same session took over; this one is of no use any more.
    Superseded,
    /// No `hello` came within the handshake time.
    HelloTimeout,
    /// The node is going away.
    Draining,
    /// The node is full, or a service behind it is out of reach.
    Unavailable,
    /// The token has expired.
    TokenExpired,
    /// The token is not one that this deployment signed, or not for this use.
    TokenInvalid,
    /// The player logged in somewhere else.
    Replaced,
    /// A message breaks this protocol.
    Violation,
    /// The client's version is not spoken here any more.
    UpgradeRequired,
    /// The client went on over its limits after being told.
    Abuse,
}

/// What a client does after a close.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Retry {
    /// Reconnect and resume; the same address is as good as any.
    Same,
    /// Reconnect and resume at another address if there is one.
    Elsewhere,
    /// Get a new token first.
    Login,
    /// Do not come back by itself.
    Never,
}

impl CloseCode {
    /// Every code, for tables and tests.
    pub const ALL: [Self; 17] = [
        Self::Normal,
        Self::Protocol,
        Self::InvalidText,
        Self::TooBig,
        Self::Internal,
        Self::HeartbeatTimeout,
        Self::SlowConsumer,
        Self::Superseded,
        Self::HelloTimeout,
        Self::Draining,
        Self::Unavailable,
        Self::TokenExpired,
        Self::TokenInvalid,
        Self::Replaced,
        Self::Violation,
        Self::UpgradeRequired,
        Self::Abuse,
    ];

    /// The number on the wire.
    pub fn code(self) -> u16 {
        match self {
            Self::Normal => 1000,
            Self::Protocol => 1002,
            Self::InvalidText => 1007,
            Self::TooBig => 1009,
            Self::Internal => 1011,
            Self::HeartbeatTimeout => 4000,
            Self::SlowConsumer => 4001,
            Self::HelloTimeout => 4002,
            Self::Draining => 4100,
            Self::Unavailable => 4101,
            Self::TokenExpired => 4200,
            Self::TokenInvalid => 4201,
            Self::Replaced => 4300,
            Self::Superseded => 4301,
            Self::Violation => 4302,
            Self::UpgradeRequired => 4303,
            Self::Abuse => 4304,
        }
    }

    /// The reason text that goes with it: stable, for logs and for people.
    pub fn reason(self) -> &'static str {
        match self {
            Self::Normal => "bye",
            Self::Protocol => "protocol_error",
            Self::InvalidText => "invalid_utf8",
            Self::TooBig => "message_too_big",
            Self::Internal => "internal_error",
            Self::HeartbeatTimeout => "heartbeat_timeout",
            Self::SlowConsumer => "slow_consumer",
            Self::HelloTimeout => "hello_timeout",
            Self::Draining => "draining",
            Self::Unavailable => "unavailable",
            Self::TokenExpired => "token_expired",
            Self::TokenInvalid => "token_invalid",
            Self::Replaced => "replaced",
            Self::Superseded => "superseded",
            Self::Violation => "protocol_violation",
            Self::UpgradeRequired => "upgrade_required",
            Self::Abuse => "rate_limit_abuse",
        }
    }
}

impl Retry {
    /// What a client does after a close with `code`; `None` stands for a connection that ended
    /// without a close frame.
    pub fn after(code: Option<u16>) -> Self {
        match code {
            Some(4000..=4099) => Self::Same,
            Some(4200..=4299) => Self::Login,
            Some(1000 | 1002 | 1003 | 1007..=1010 | 4300..=4399) => Self::Never,
            _ => Self::Elsewhere,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_distinct_and_may_be_sent() {
        let mut codes: Vec<u16> = CloseCode::ALL.iter().map(|code| code.code()).collect();
        codes.sort_unstable();
        codes.dedup();
        assert_eq!(codes.len(), CloseCode::ALL.len());
        assert!(
            codes
                .iter()
                .all(|code| matches!(code, 1000..=1011 | 4000..=4999))
        );
    }

    #[test]
    fn a_lost_connection_is_resumed_elsewhere() {
        assert_eq!(Retry::after(None), Retry::Elsewhere);
        assert_eq!(Retry::after(Some(1006)), Retry::Elsewhere);
        assert_eq!(Retry::after(Some(CloseCode::Replaced.code())), Retry::Never);
        assert_eq!(
            Retry::after(Some(CloseCode::TokenExpired.code())),
            Retry::Login
        );
        assert_eq!(
            Retry::after(Some(CloseCode::SlowConsumer.code())),
            Retry::Same
        );
    }
}
