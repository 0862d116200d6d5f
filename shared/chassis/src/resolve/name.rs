//! What is resolved: a host and a port, or a service whose SRV records name both.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::str::FromStr;
use std::sync::Arc;

use hickory_resolver::proto::rr::Name;

/// The name of a service: `host:port`, `address:port`, or `_service._proto.domain` for SRV records.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ServiceName(pub(super) Kind);

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Kind {
    /// Needs no DNS: an address, or the addresses of `localhost`.
    Fixed { text: Arc<str>, port: u16 },
    /// A and AAAA records.
    Host { host: Arc<str>, port: u16 },
    /// SRV records.
    Service(Arc<str>),
}

/// Not the name of a service.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a service's name; it should look like host:port or _service._tcp.domain")]
pub struct ParseServiceNameError(String);

impl ServiceName {
    /// Whether the name is an address or `localhost`, for which nobody is asked.
    pub fn is_literal(&self) -> bool {
        matches!(self.0, Kind::Fixed { .. })
    }
}

impl FromStr for ServiceName {
    type Err = ParseServiceNameError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = || ParseServiceNameError(text.to_owned());
        if text.starts_with('_') {
            let is_service = text.split('.').nth(1).is_some_and(|p| p.starts_with('_'));
            return match Name::from_str(text) {
                Ok(_) if is_service => Ok(Self(Kind::Service(text.into()))),
                _ => Err(wrong()),
            };
        }
        if let Ok(address) = text.parse::<SocketAddr>() {
            let port = address.port();
            let text = address.ip().to_string().into();
            return Ok(Self(Kind::Fixed { text, port }));
        }
        let (host, port) = text.rsplit_once(':').ok_or_else(wrong)?;
        let port = port.parse().map_err(|_| wrong())?;
        if host.is_empty() || host.contains(':') || Name::from_str(host).is_err() {
            return Err(wrong());
        }
        let kind = match host.to_ascii_lowercase().as_str() {
            "localhost" | "localhost." => Kind::Fixed {
                text: "localhost".into(),
                port,
            },
            host => Kind::Host {
                host: host.into(),
                port,
            },
        };
        Ok(Self(kind))
    }
}

impl fmt::Display for ServiceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Kind::Fixed { text, port } if text.contains(':') => write!(f, "[{text}]:{port}"),
            Kind::Fixed { text, port } | Kind::Host { host: text, port } => {
                write!(f, "{text}:{port}")
            }
            Kind::Service(name) => f.write_str(name),
        }
    }
}

/// The addresses of a name that needs no DNS.
pub(super) fn fixed(text: &str, port: u16) -> Vec<SocketAddr> {
    match text.parse::<IpAddr>() {
        Ok(address) => vec![SocketAddr::new(address, port)],
        Err(_) => vec![
            SocketAddr::from((Ipv4Addr::LOCALHOST, port)),
            SocketAddr::from((Ipv6Addr::LOCALHOST, port)),
        ],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> ServiceName {
        text.parse().expect("a name")
    }

    #[test]
    fn names_are_read_and_written_alike() {
        for text in [
            "syncd.internal:7300",
            "10.0.0.7:7300",
            "[::1]:7300",
            "localhost:1",
            "_grpc._tcp.syncd.internal",
        ] {
            assert_eq!(parse(text).to_string(), text);
        }
        assert_eq!(parse("Syncd.Internal:1"), parse("syncd.internal:1"));
    }

    #[test]
    fn addresses_and_localhost_need_no_dns() {
        for text in ["10.0.0.7:1", "[::1]:1", "localhost:1", "LocalHost:1"] {
            assert!(parse(text).is_literal(), "{text}");
        }
        for text in ["localhost.internal:1", "node:1", "_grpc._tcp.node"] {
            assert!(!parse(text).is_literal(), "{text}");
        }
    }

    #[test]
    fn what_is_no_name_is_refused() {
        for text in [
            "",
            "node",
            ":1",
            "node:",
            "node:x",
            "node:70000",
            "::1:80",
            "_grpc.node",
            "a..b:1",
        ] {
            assert!(text.parse::<ServiceName>().is_err(), "{text}");
        }
    }
}
