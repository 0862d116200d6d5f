//! Endpoints from their text form, alike in all of a process.

use chassis::resolve::Resolver;

use super::Endpoint;

/// Makes endpoints whose names the process's resolver follows. By default there is none, and the
/// system resolves names at each connect.
#[derive(Debug, Clone, Default)]
pub struct Names {
    resolver: Option<Resolver>,
}

impl Names {
    /// The endpoint at `address`, such as `http://host:port` or `http://_service._tcp.domain`.
    pub fn endpoint(&self, address: &str) -> Endpoint {
        let endpoint = Endpoint::tcp(address);
        match &self.resolver {
            Some(resolver) => endpoint.resolved_by(resolver),
            None => endpoint,
        }
    }
}

impl From<Resolver> for Names {
    fn from(resolver: Resolver) -> Self {
        let resolver = Some(resolver);
        Self { resolver }
    }
}
