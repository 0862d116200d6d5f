//! A gateway that takes its sockets over from the process that it replaces, and has them taken
//! over when its turn comes.

use std::net::SocketAddr;
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;
use std::time::Duration;

use chassis::drain::Drain;
use chassis::handover::{HandoverError, Inherited, Offer};
use chassis::readiness::Readiness;
use tokio::net::TcpListener;
use tokio::time::timeout;

use crate::failure::Failure;
use crate::service::listen;

/// Longest that this process may take to become ready in place of another one.
const READY: Duration = Duration::from_secs(20);

/// Longest that the next one may: somewhat more, so that it gives up first.
const PATIENCE: Duration = Duration::from_secs(30);

/// The sockets of this process, and where they come from and go to.
pub(crate) struct Succession {
    /// The control socket; without one there is no succession.
    path: Option<PathBuf>,
    inherited: Option<Inherited>,
    /// Our own, by name, for the next one.
    sockets: Vec<(String, OwnedFd)>,
}

impl Succession {
    /// Takes the sockets that a process offers at `path`, if one does.
    pub(crate) async fn begin(path: Option<PathBuf>) -> Result<Self, Failure> {
        let inherited = match &path {
            Some(path) => Inherited::take(path).await?,
            None => None,
        };
        if inherited.is_some() {
            tracing::info!("taking over from the process before this one");
        }
        Ok(Self {
            path,
            inherited,
            sockets: Vec::new(),
        })
    }

    /// A listener on `address`: the inherited one of that name, if it has that address.
    pub(crate) fn listen(
        &mut self,
        name: &str,
        address: SocketAddr,
    ) -> Result<TcpListener, Failure> {
        let inherited = match &mut self.inherited {
            Some(inherited) => inherited.listener(name)?,
            None => None,
        };
        let fits = |listener: &TcpListener| {
            let at = listener.local_addr().ok();
            at.is_some_and(|at| at.ip() == address.ip() && [at.port(), 0].contains(&address.port()))
        };
        let listener = match inherited.filter(fits) {
            Some(listener) => listener,
            None => listen(address)?,
        };
        if self.path.is_some() {
            let socket = listener.as_fd().try_clone_to_owned()?;
            self.sockets.push((name.to_owned(), socket));
        }
        Ok(listener)
    }

    /// Waits until this process can serve, if another one serves meanwhile.
    pub(crate) async fn ready(&self, readiness: &Readiness) -> Result<(), Failure> {
        if self.inherited.is_none() {
            return Ok(());
        }
        let waited = timeout(READY, readiness.ready()).await;
        waited.map_err(|_| Failure::NotReady(READY))
    }

    /// This process serves: the one before it stops, and the next one may come. `stop` ends what
    /// the drain leaves running.
    pub(crate) async fn serve(
        self,
        drain: Drain,
        stop: impl FnOnce() + Send + 'static,
    ) -> Result<(), HandoverError> {
        if let Some(inherited) = self.inherited {
            inherited.take_over().await?;
            tracing::info!("took over from the process before this one");
        }
        let Some(path) = self.path else {
            return Ok(());
        };
        let offer = Offer::open(&path, self.sockets, PATIENCE)?;
        tokio::spawn(async move {
            tokio::select! {
                // The sockets close with the offer.
                () = drain.started() => return,
                () = offer.taken() => {}
            }
            tracing::info!("the next process has taken over: draining");
            stop();
            drain.begin();
        });
        Ok(())
    }
}
