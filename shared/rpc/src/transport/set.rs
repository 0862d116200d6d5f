//! The places that an endpoint stands for, as they change.

use std::sync::Arc;

use chassis::resolve::Endpoints;
use tokio::sync::watch;

use super::{Endpoint, Named};

/// The places that an endpoint stands for. Made by [`Endpoint::all`].
#[derive(Debug, Clone)]
pub struct EndpointSet(Kind);

#[derive(Debug, Clone)]
enum Kind {
    One(Endpoint),
    Named {
        name: Named,
        followed: watch::Receiver<Arc<Endpoints>>,
    },
}

impl EndpointSet {
    pub(super) fn of(endpoint: &Endpoint) -> Self {
        Self(match endpoint {
            Endpoint::Named(name) => Kind::Named {
                name: name.clone(),
                followed: name.followed(),
            },
            Endpoint::Tcp(_) | Endpoint::Memory(_) => Kind::One(endpoint.clone()),
        })
    }

    /// The places now, in a fixed order, each by its address; none while no address of a name is
    /// healthy. They count as seen.
    pub fn current(&mut self) -> Vec<Endpoint> {
        match &mut self.0 {
            Kind::One(endpoint) => vec![endpoint.clone()],
            Kind::Named { name, followed } => {
                let endpoints = followed.borrow_and_update();
                let addresses = endpoints.healthy().iter();
                addresses.map(|address| name.endpoint(*address)).collect()
            }
        }
    }

    /// Waits until the places may differ from those seen last: for ever, if they cannot change.
    /// Cancel safe.
    pub async fn changed(&mut self) {
        let changed = match &mut self.0 {
            Kind::One(_) => false,
            Kind::Named { followed, .. } => followed.changed().await.is_ok(),
        };
        if !changed {
            std::future::pending::<()>().await;
        }
    }
}
