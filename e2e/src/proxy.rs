//! A TCP proxy that fails like a network: slow, stalled, deaf in one direction, silent, cut, or
//! refusing.
//!
//! Everything random is drawn from a seed, for each connection and direction on its own: the n-th
//! connection of a run meets the delays that it met in another run with that seed, whatever else
//! goes on at the time.
//!
//! Memory: an idle connection has no buffer; one that is delayed holds at most
//! [`WINDOW`] bytes in each direction, and then its sender waits.

mod flow;
#[cfg(test)]
mod tests;
mod weather;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use protocol::random::Random;
use socket2::{Domain, Socket, Type};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};

pub use flow::WINDOW;
pub use weather::{Conditions, Door, Fate, Flow, Weather};

use flow::{Direction, Way};
use weather::Sky;

/// Longest that connecting to the target may take; then the client is reset.
const CONNECT: Duration = Duration::from_secs(5);

/// Connections at once; more are reset.
const MAX_CONNECTIONS: usize = 16 * 1024;

/// The wait after a failed accept, such as without a free file.
const ACCEPT_PAUSE: Duration = Duration::from_millis(20);

/// A proxy in front of one address.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    sky: watch::Sender<Sky>,
    live: Arc<AtomicUsize>,
}

impl Proxy {
    /// Starts a proxy on a free port; it runs until it is dropped.
    ///
    /// # Errors
    /// If no port can be bound.
    pub async fn start(target: SocketAddr) -> io::Result<Self> {
        Self::seeded(target, 0).await
    }

    /// The same, with all that is random drawn from `seed`.
    ///
    /// # Errors
    /// If no port can be bound.
    pub async fn seeded(target: SocketAddr, seed: u64) -> io::Result<Self> {
        let holder = bind(SocketAddr::from(([127, 0, 0, 1], 0)))?;
        let address = holder.local_addr()?;
        let address = address.as_socket().ok_or(io::ErrorKind::Unsupported)?;
        let listener = listen(address)?;
        let (sky, forecast) = watch::channel(Sky::default());
        let live = Arc::new(AtomicUsize::new(0));
        let gate = Gate {
            address,
            target,
            seed,
            forecast,
            live: live.clone(),
            accepted: 0,
            _holder: holder,
        };
        tokio::spawn(gate.run(listener));
        Ok(Self { address, sky, live })
    }

    /// Where to connect to.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// How many connections there are.
    pub fn connections(&self) -> usize {
        self.live.load(Ordering::Relaxed)
    }

    /// Changes what the network does, for all connections at once.
    pub fn set(&self, weather: Weather) {
        self.shape(weather.conditions());
        if weather == Weather::Cut {
            self.cut();
        }
    }

    /// Changes what the network does in detail, for all connections at once. A connection that
    /// has lost bytes is reset when its direction would carry again: TCP has no holes.
    pub fn shape(&self, conditions: Conditions) {
        self.sky.send_modify(|sky| sky.conditions = conditions);
    }

    /// Resets every connection that there is.
    pub fn cut(&self) {
        self.sky.send_modify(|sky| sky.cuts += 1);
    }

    /// Carries nothing in either direction for `time`, and then all that came meanwhile.
    pub fn stall(&self, time: Duration) {
        let until = Instant::now() + time;
        self.sky.send_modify(|sky| sky.stalled_until = Some(until));
    }
}

/// Accepts connections, while the door is open.
struct Gate {
    address: SocketAddr,
    target: SocketAddr,
    seed: u64,
    forecast: watch::Receiver<Sky>,
    live: Arc<AtomicUsize>,
    accepted: u64,
    /// Keeps the port from others while nobody listens: bound, and not listening itself.
    _holder: Socket,
}

impl Gate {
    async fn run(mut self, listener: TcpListener) {
        let mut listener = Some(listener);
        loop {
            let door = self.forecast.borrow_and_update().conditions.door;
            match (door, &listener) {
                // The system refuses for a port where nobody listens.
                (Door::Refuse, _) => listener = None,
                (_, Some(_)) => {}
                (_, None) => match listen(self.address) {
                    Ok(open) => listener = Some(open),
                    Err(_) => {
                        sleep(ACCEPT_PAUSE).await;
                        continue;
                    }
                },
            }
            tokio::select! {
                changed = self.forecast.changed() => {
                    // The proxy was dropped.
                    if changed.is_err() {
                        return;
                    }
                }
                accepted = accept(listener.as_ref()) => match accepted {
                    Ok(client) => self.admit(client),
                    Err(_) => sleep(ACCEPT_PAUSE).await,
                }
            }
        }
    }

    fn admit(&mut self, client: TcpStream) {
        let sky = *self.forecast.borrow();
        let full = self.live.load(Ordering::Relaxed) >= MAX_CONNECTIONS;
        if full || sky.conditions.door != Door::Open {
            reset(&client);
            return;
        }
        self.accepted += 1;
        let mut seeds = Random::new(self.seed ^ self.accepted.rotate_left(32));
        let connection = Connection {
            target: self.target,
            forecast: self.forecast.clone(),
            cuts: sky.cuts,
            up: Random::new(seeds.next_u64()),
            down: Random::new(seeds.next_u64()),
            _place: Place::take(&self.live),
        };
        tokio::spawn(connection.run(client));
    }
}

struct Connection {
    target: SocketAddr,
    forecast: watch::Receiver<Sky>,
    /// Cuts before it was accepted.
    cuts: u64,
    up: Random,
    down: Random,
    _place: Place,
}

impl Connection {
    async fn run(self, client: TcpStream) {
        let Ok(Ok(server)) = timeout(CONNECT, TcpStream::connect(self.target)).await else {
            reset(&client);
            return;
        };
        for socket in [&client, &server] {
            // Delays are for this proxy to make.
            let _ = socket.set_nodelay(true);
        }
        let forecast = || (self.forecast.clone(), self.cuts);
        let mut up = Direction::new(Way::Up, &client, &server, forecast(), self.up);
        let mut down = Direction::new(Way::Down, &server, &client, forecast(), self.down);
        // Either both ends are told in order, or neither is.
        if tokio::try_join!(up.run(), down.run()).is_err() {
            reset(&client);
            reset(&server);
        }
    }
}

/// A place among the live connections.
struct Place(Arc<AtomicUsize>);

impl Place {
    fn take(live: &Arc<AtomicUsize>) -> Self {
        live.fetch_add(1, Ordering::Relaxed);
        Self(live.clone())
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Makes the system send a reset when the socket is dropped.
fn reset(socket: &TcpStream) {
    // A socket that refuses is gone already.
    let _ = socket.set_zero_linger();
}

async fn accept(listener: Option<&TcpListener>) -> io::Result<TcpStream> {
    match listener {
        Some(listener) => Ok(listener.accept().await?.0),
        None => std::future::pending().await,
    }
}

fn bind(address: SocketAddr) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    Ok(socket)
}

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = bind(address)?;
    socket.listen(1024)?;
    socket.set_nonblocking(true)?;
    TcpListener::from_std(socket.into())
}
